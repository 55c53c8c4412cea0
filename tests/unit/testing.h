/* SPDX-License-Identifier: Apache-2.0 */
/* What the unit tests share: cmocka with the headers it wants, and threads to test with. */
#ifndef SQT_TESTING_H
#define SQT_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "sealq/sealq.h"

/* Small integers as items, from 1 on; item(0) is NULL. */
#define item(n) ((void *)(uintptr_t)(n))
#define number(item) ((uintptr_t)(item))

static inline sq_queue *make_queue(uint64_t capacity, sq_queue_order order)
{
    sq_queue *queue = NULL;
    sq_queue_options options = {.capacity = capacity, .order = order};
    assert_int_equal(sq_queue_create(&options, &queue), SQ_OK);
    return queue;
}

static inline sq_queue_stats stats_of(sq_queue *queue)
{
    sq_queue_stats stats;
    assert_int_equal(sq_queue_stat(queue, &stats), SQ_OK);
    return stats;
}

/* As sq_queue_stats promises it. */
static inline void assert_high_water(const sq_queue_stats *stats, uint64_t largest)
{
    assert_in_range(stats->high_water, largest > 4096 ? largest - largest / 100 : largest, largest);
}

static inline pthread_t start_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, body, argument), 0);
    return thread;
}

/* Waits for the thread's end; its result, as a body returns it with `return item(result)`. */
static inline int end_thread(pthread_t thread)
{
    void *result;
    assert_int_equal(pthread_join(thread, &result), 0);
    return (int)(intptr_t)result;
}

/* Waits until condition is true: by yielding, so that no time is guessed. A condition that never
   becomes true ends in Meson's time-out. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        while (!(condition))                                                                       \
            sched_yield();                                                                         \
    } while (0)

/* What this process has used of the processors so far. */
static inline int64_t cpu_us(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) +
           usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* Instead of a group's tests: none was run, and why. (cmocka's skip() is a failure to Meson.) */
static inline int skip_all(const char *reason)
{
    printf("1..0 # SKIP %s\n", reason);
    return 0;
}

/* One call of the queue in a thread of its own. The result is the thread's. */
struct call {
    sq_queue *queue;
    int64_t timeout_ms;
    void *item; /* to put, or got */
};

static inline void *call_put(void *argument)
{
    struct call *call = argument;
    return item(sq_queue_put(call->queue, call->item, call->timeout_ms));
}

static inline void *call_get(void *argument)
{
    struct call *call = argument;
    return item(sq_queue_get(call->queue, call->timeout_ms, &call->item));
}

static inline void *call_join(void *argument)
{
    struct call *call = argument;
    return item(sq_queue_join(call->queue, call->timeout_ms));
}

#endif
