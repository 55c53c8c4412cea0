/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <assert.h>
#include <time.h>

int64_t sqi_now_ns(void)
{
    struct timespec now;
    int failed = clock_gettime(CLOCK_MONOTONIC, &now);
    assert(!failed);
    return now.tv_sec * SQI_NS_PER_S + now.tv_nsec;
}

int64_t sqi_deadline_after(int64_t timeout_ms)
{
    int64_t wait_ns, deadline_ns;
    if (timeout_ms < 0 || __builtin_mul_overflow(timeout_ms, SQI_NS_PER_MS, &wait_ns) ||
        __builtin_add_overflow(sqi_now_ns(), wait_ns, &deadline_ns))
        return SQI_NEVER;
    return deadline_ns;
}
