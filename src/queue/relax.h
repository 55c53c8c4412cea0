/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a moment: for another thread that is between two steps, or soon will be. */
#ifndef SQI_QUEUE_RELAX_H
#define SQI_QUEUE_RELAX_H

#include <sched.h>

#include "base/futex.h"

#define SQI_RELAX_PAUSES 64
#define SQI_RELAX_YIELDS 64
#define SQI_RELAX_NAP_NS 50000

/* One turn of a loop that waits: tell the processor so. */
static inline void sqi_pause(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("isb" ::: "memory"); /* yield is a no-op on most */
#else
    __asm__ volatile("" ::: "memory");
#endif
}

static inline void sqi_pause_times(unsigned count)
{
    while (count-- > 0)
        sqi_pause();
}

/* The same where the other thread may have been preempted: turn is 0 at first, and counts. */
static inline void sqi_relax(unsigned *turn)
{
    if (*turn < SQI_RELAX_PAUSES) {
        sqi_pause();
    } else if (*turn < SQI_RELAX_PAUSES + SQI_RELAX_YIELDS) {
        sched_yield();
    } else {
        /* A thread of lower priority runs only when this one sleeps. */
        sqi_nap(SQI_RELAX_NAP_NS);
        return;
    }
    ++*turn;
}

#endif
