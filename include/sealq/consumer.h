/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file consumer.h
 * A consumer is N threads with a handler: each takes an item, handles it, and counts it as done.
 *
 * The threads never keep the process alive: exit() ends them, as Python's daemon threads are
 * ended. They block all signals, so that the program's own threads get them.
 */
#ifndef SEALQ_CONSUMER_H
#define SEALQ_CONSUMER_H

#include <stdint.h>

#include "error.h"
#include "queue.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The most threads that one consumer may have. */
#define SQ_CONSUMER_THREADS_MAX 4096

typedef struct sq_consumer sq_consumer;

/** An item whose handler failed, as sq_consumer_options.on_error is told of it. */
typedef struct sq_consumer_error {
    int code;              /**< what the handler returned: negative */
    void *item;            /**< the item; on_error may free it or put it again */
    unsigned thread_index; /**< which thread: 0 to threads - 1 */
} sq_consumer_error;

/** How a consumer works. Zeroed but for handler: as many threads as processors. */
typedef struct sq_consumer_options {
    unsigned threads; /**< 0: the processors this process may use */
    /**
     * Handles one item. It owns the item, and returns 0 or positive for success or a negative
     * number, any, for failure. task_done is counted after it either way, and after on_error:
     * it must not call sq_queue_task_done() for the item itself, nor sq_queue_join(), which would
     * wait for this very item. Required. It must return: neither exit its thread nor jump out;
     * a child that it forks must exec or _exit.
     */
    int (*handler)(void *item, void *thread_context);
    /**
     * Called in each thread before its first item, for what a thread keeps for itself. A negative
     * result makes sq_queue_consume() fail with it. NULL: the thread's context is `context`.
     */
    int (*thread_start)(unsigned thread_index, void *context, void **ret_thread_context);
    /** Called in each thread whose thread_start succeeded, when it ends. May be NULL. */
    void (*thread_end)(unsigned thread_index, void *thread_context);
    /**
     * Called in the thread whose handler failed, before its item counts as done: an item put
     * again from here is never missed by join. NULL: failures are counted only.
     */
    void (*on_error)(const sq_consumer_error *error, void *context);
    void *context;        /**< handed to thread_start and on_error; see thread_start */
    uint64_t reserved[8]; /**< zeros */
} sq_consumer_options;

/** What sq_consumer_stat() tells. */
typedef struct sq_consumer_stats {
    uint64_t handled; /**< items whose handler has returned, failures among them */
    uint64_t errors;  /**< items whose handler failed */
    int first_error;  /**< what the first failed handler returned; 0: none failed */
    unsigned threads; /**< as made */
    unsigned running; /**< threads that have not ended */
    uint64_t reserved[8];
} sq_consumer_stats;

/**
 * Start a consumer over a queue.
 *
 * options       copied; handler is required.
 * ret_consumer  the consumer; end it with sq_consumer_free(). Untouched on failure.
 * Ownership     the queue stays the caller's and must outlive the consumer.
 * Errors        SQ_EINVAL, SQ_ENOMEM, SQ_EFORK, SQ_ETHREAD (no thread to be had), or what
 *               thread_start returned. On failure no thread is left and no item was taken.
 */
SQ_API int sq_queue_consume(sq_queue *queue, const sq_consumer_options *options,
                            sq_consumer **ret_consumer);

/**
 * Let the consumer finish all that was put, then stop it.
 *
 * Waits as sq_queue_join() does, so an item that others took from the queue holds it up too.
 *
 * timeout_ms  how long to wait; SQ_NOWAIT and SQ_FOREVER as for a queue.
 * Returns     0 when nothing is unfinished and the threads have ended.
 * Errors      SQ_ETIMEDOUT (something is unfinished: the consumer goes on; or all was done but
 *             the threads had not ended in time: they are stopping), SQ_ESHUTDOWN (another call
 *             stops it, with items left), SQ_EDEADLOCK (called from its own thread), SQ_EINVAL,
 *             SQ_EFORK.
 */
SQ_API int sq_consumer_drain(sq_consumer *consumer, int64_t timeout_ms);

/**
 * Stop a consumer: its threads finish the item in hand, or that they are just taking, and take
 * no more.
 *
 * timeout_ms  how long to wait for the threads to end. SQ_NOWAIT asks them to stop and looks.
 * Returns     0 when all threads have ended, also when they had before.
 * Errors      SQ_ETIMEDOUT (some are still at their item: the stop stands, call again to wait
 *             longer), SQ_EDEADLOCK (called from its own thread), SQ_EINVAL, SQ_EFORK.
 */
SQ_API int sq_consumer_stop(sq_consumer *consumer, int64_t timeout_ms);

/**
 * What a consumer has done so far.
 *
 * ret_stats   filled; untouched on failure. After the threads have ended the numbers are final.
 * Errors      SQ_EINVAL, SQ_EFORK.
 */
SQ_API int sq_consumer_stat(const sq_consumer *consumer, sq_consumer_stats *ret_stats);

/**
 * Stop a consumer, wait for the items in hand, and free it. NULL does nothing.
 *
 * Calling it from one of its own threads is a programming error that an assertion catches.
 * In the child of a fork, where its threads do not exist, only memory is freed.
 *
 * Returns     NULL.
 * Threads     one, when no other uses the consumer any more.
 */
SQ_API sq_consumer *sq_consumer_free(sq_consumer *consumer);

#ifdef __cplusplus
}
#endif
#endif
