/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of arguments that many public functions share: SQ_OK, or SQ_EINVAL with its sentence. */
#ifndef SQI_BASE_CHECK_H
#define SQI_BASE_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base/export.h"

/* 0, positive, or -1 (SQ_FOREVER). */
SQI_API int sqi_check_timeout(int64_t timeout_ms);

/* The reserved members of an options struct, all zero; name says whose they are. */
SQI_API int sqi_check_reserved(const uint64_t *reserved, size_t reserved_bytes, const char *name);

#endif
