/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SQI_INTERLEAVE() calls in a test build: mostly nothing, at random a delay short or long, so
 * that other threads act between two steps of this one. It only ever delays: no test may rest on
 * when.
 */
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "delay.h"

/* As src/queue/interleave.h has it: repeated, since it is there only where something is
   interleaved. */
void sqi_interleave(void);

static atomic_uint thread_count;

static uint64_t next_random(void)
{
    static _Thread_local uint64_t random;
    if (random == 0) /* each thread its own row of numbers */
        random = (atomic_fetch_add(&thread_count, 1) + 1) * UINT64_C(0x9e3779b97f4a7c15);
    random ^= random << 13; /* xorshift64: Marsaglia, "Xorshift RNGs" (2003) */
    random ^= random >> 7;
    random ^= random << 17;
    return random >> 16;
}

void sqi_interleave(void)
{
    uint64_t random = next_random();
    if (random % 8 == 0) {
        sqt_spin((unsigned)(random >> 8) % 400);
    } else if (random % 16 == 1) {
        sched_yield();
    } else if (random % 512 == 2) {
        /* Long enough for another thread to be given the processor and to get somewhere. */
        static const struct timespec long_delay = {.tv_nsec = 50000};
        (void)ppoll(NULL, 0, &long_delay, NULL);
    }
}
