/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A history: what a few threads asked of one queue, what they were answered, and when each call
 * began and ended, in stamps of one counter. A call that ended before another began comes before
 * it in every order that explains the history.
 */
#ifndef SQT_HISTORY_H
#define SQT_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "sealq/queue.h"

enum {
    SQT_THREADS_MAX = 4,
    SQT_PLANNED_MAX = 8, /* calls of a thread before it ends the queue */
    SQT_CALLS_MAX = 48,  /* of all threads */
    SQT_BATCH_MAX = 4,
    SQT_ITEMS_MAX = 40, /* items of a history: the numbers from 0 on; 0 is NULL */
};

enum sqt_kind {
    SQT_PUT,
    SQT_PUT_MANY,
    SQT_GET,
    SQT_GET_MANY,
    SQT_TASK_DONE,
    SQT_JOIN,
    SQT_SHUTDOWN, /* graceful */
    SQT_SHUTDOWN_IMMEDIATE,
    SQT_STAT,
    SQT_FREE,
};

struct sqt_call {
    enum sqt_kind kind;
    unsigned thread;
    int64_t timeout_ms;
    size_t n;                   /* PUT_MANY: items offered; GET_MANY: room; TASK_DONE: its n */
    uint64_t invoked, returned; /* stamps from 1 on; returned 0: not yet */
    ssize_t result;
    unsigned item_count; /* items offered, got or dropped, in this order: */
    uint8_t items[SQT_ITEMS_MAX];
    sq_queue_stats stats; /* STAT: with puts, gets, dones and drops since the history began */
};

struct sqt_history {
    uint64_t seed;
    uint64_t capacity; /* 0: unbounded */
    sq_queue_order order;
    unsigned thread_count;
    unsigned call_count;
    struct sqt_call calls[SQT_CALLS_MAX]; /* sorted by `invoked` */
};

/* Items of SQ_PRIORITY: the less the earlier, and many are equal. */
static inline int sqt_priority(unsigned number)
{
    return (int)(number % 3);
}

/* One line a call, each a comment of TAP. */
void sqt_history_print(const struct sqt_history *history, FILE *file);

void sqt_call_print(const struct sqt_call *call, FILE *file);

#endif
