/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing of base is compiled into two libraries: libsealq takes it from libsealq-core. */
#ifndef SQI_BASE_EXPORT_H
#define SQI_BASE_EXPORT_H

/* Marks what libsealq-core exports for libsealq alone. No part of the interface: both come from
   one build, and libsealq asks for the core of exactly its version. */
#define SQI_API __attribute__((visibility("default")))

#endif
