/* SPDX-License-Identifier: Apache-2.0 */
/* What the threads of a history will do, from a seed. */
#ifndef SQT_PLAN_H
#define SQT_PLAN_H

#include "history.h"

struct sqt_plan {
    uint64_t capacity;
    bool single_producer, single_consumer; /* what the queue is promised, and is kept */
    size_t turned; /* items that go through the queue before the history begins */
    bool is_ended; /* by thread 0 */
    unsigned thread_count;
    unsigned call_counts[SQT_THREADS_MAX];
    struct sqt_call calls[SQT_THREADS_MAX][SQT_PLANNED_MAX];
};

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014). */
uint64_t sqt_next_random(uint64_t *random);

struct sqt_plan sqt_plan_make(uint64_t seed);

#endif
