/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <time.h>

#include "base/clock.h"
#include "engine/engine.h"

static int64_t monotonic_ns(void *context)
{
    (void)context;
    return sqi_now_ns();
}

static int64_t wall_ms(void *context)
{
    (void)context;
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    assert(!failed);
    return now.tv_sec * 1000 + now.tv_nsec / SQI_NS_PER_MS;
}

const struct sqi_clock sqi_system_clock = {.monotonic_ns = monotonic_ns, .wall_ms = wall_ms};
