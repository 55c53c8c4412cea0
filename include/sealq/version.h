/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file version.h
 * The version of sealq, and the macro that marks what the libraries export.
 *
 * The build reads the version from here: this is its only place.
 */
#ifndef SEALQ_VERSION_H
#define SEALQ_VERSION_H

#define SQ_VERSION_MAJOR 0
#define SQ_VERSION_MINOR 1
#define SQ_VERSION_PATCH 0
#define SQ_VERSION_STRING "0.1.0"

/** Marks a public function: everything else is hidden in the shared libraries. */
#define SQ_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The version of the library that runs, which may be newer than the header compiled against.
 *
 * Returns     "MAJOR.MINOR.PATCH".
 * Ownership   a constant; do not free it.
 * Threads     any.
 */
SQ_API const char *sq_version(void);

#ifdef __cplusplus
}
#endif
#endif
