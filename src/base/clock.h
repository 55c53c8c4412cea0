/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines: absolute times in nanoseconds on CLOCK_MONOTONIC. */
#ifndef SQI_BASE_CLOCK_H
#define SQI_BASE_CLOCK_H

#include <stdint.h>

#include "base/export.h"

#define SQI_NS_PER_MS INT64_C(1000000)
#define SQI_NS_PER_S INT64_C(1000000000)

#define SQI_NEVER INT64_MAX

SQI_API int64_t sqi_now_ns(void);

/* The deadline of a wait that begins now. A valid time-out; one beyond the clock's range, as
   SQ_FOREVER, gives SQI_NEVER. */
SQI_API int64_t sqi_deadline_after(int64_t timeout_ms);

#endif
