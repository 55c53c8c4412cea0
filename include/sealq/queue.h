/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file queue.h
 * A queue carries pointers between the threads of one process: put, get, task_done, join.
 *
 *     producer ── put ──► [ item item item ] ── get ──► consumer ── task_done ──┐
 *                                                                               ▼
 *        join waits here until every item that was put is done:        unfinished == 0
 *
 * Time-outs are in milliseconds on CLOCK_MONOTONIC: SQ_NOWAIT (0) does not wait, SQ_FOREVER (-1)
 * waits for ever, other negative numbers are refused with SQ_EINVAL. Every function may be called
 * from any thread unless it says otherwise, and none is async-signal-safe. In the child of a fork
 * a queue made before it answers SQ_EFORK to every call that can fail.
 *
 * A FIFO has no lock, but a get may come between two steps of a put. It then waits for that put,
 * past its own deadline if need be: for as long as the other thread is kept from running.
 */
#ifndef SEALQ_QUEUE_H
#define SEALQ_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SQ_NOWAIT INT64_C(0)
#define SQ_FOREVER INT64_C(-1)

/** The most items that sq_queue_options.capacity may ask for. */
#define SQ_QUEUE_CAPACITY_MAX (UINT64_C(1) << 32)

typedef struct sq_queue sq_queue;

typedef enum sq_queue_order {
    SQ_FIFO = 0,     /**< first in, first out */
    SQ_LIFO = 1,     /**< last in, first out */
    SQ_PRIORITY = 2, /**< the least by sq_queue_options.compare first; equals in FIFO order */
} sq_queue_order;

/** How a queue is made. Zeroed, or NULL in its place: an unbounded FIFO. */
typedef struct sq_queue_options {
    uint64_t capacity;    /**< items it holds at most, exactly; 0: unbounded */
    sq_queue_order order; /**< which item leaves first */
    /**
     * Needed with SQ_PRIORITY and refused without: negative when a leaves before b, 0 when they
     * are equal. Called with the queue's lock held: it must not call the queue.
     */
    int (*compare)(const void *a, const void *b, void *context);
    /**
     * Called once for each item that nobody will get: those left at an immediate shutdown and at
     * sq_queue_free(). No lock is held; at sq_queue_free() it must not use the queue. NULL: such
     * items are forgotten.
     */
    void (*drop)(void *item, void *context);
    void *context;        /**< handed to compare and drop */
    bool single_producer; /**< promise: never two threads at once in put; allows a faster queue */
    bool single_consumer; /**< promise: never two threads at once in get; of no use today */
    uint64_t reserved[8]; /**< zeros */
} sq_queue_options;

/** What sq_queue_stat() tells: all for one instant (or, when calls come faster than it can look,
   for instants as near as may be), but for the waiting, which are hints. */
typedef struct sq_queue_stats {
    uint64_t capacity;      /**< as made; 0: unbounded */
    uint64_t size;          /**< items in the queue */
    uint64_t unfinished;    /**< items put and not done: what join waits for */
    uint64_t high_water;    /**< the largest size there ever was; above 4,096 within 1 % */
    uint64_t puts;          /**< items put since it was made */
    uint64_t gets;          /**< items got */
    uint64_t dones;         /**< items counted as done, the drained ones among them */
    uint64_t drops;         /**< items drained by an immediate shutdown */
    uint64_t waiting_puts;  /**< threads waiting for room, or just about to */
    uint64_t waiting_gets;  /**< threads waiting for an item, or just about to */
    uint64_t waiting_joins; /**< threads waiting in join, or just about to */
    bool is_shutdown;       /**< whether sq_queue_shutdown() was called */
    uint64_t reserved[8];
} sq_queue_stats;

/**
 * Make a queue.
 *
 * options     NULL or zeroed: an unbounded FIFO. Copied.
 * ret_queue   the queue; end it with sq_queue_free(). Untouched on failure.
 * Errors      SQ_EINVAL (capacity above SQ_QUEUE_CAPACITY_MAX, an unknown order, SQ_PRIORITY
 *             without compare or compare without it, reserved not zero), SQ_ENOMEM.
 * Source      Python's queue.Queue, LifoQueue and PriorityQueue.
 */
SQ_API int sq_queue_create(const sq_queue_options *options, sq_queue **ret_queue);

/**
 * Free a queue; items still in it are dropped. NULL does nothing.
 *
 * No thread may be inside another call on it: one that waits there is caught by an assertion.
 * That join has returned is not enough, for the task_done that ended it may still be at work:
 * shut the queue down and let its threads end first. In the child of a fork only memory is freed,
 * and no item dropped: the items are the parent's.
 *
 * Returns     NULL, so that `queue = sq_queue_free(queue)` leaves no dangling pointer.
 * Threads     one, when all others are done with the queue.
 */
SQ_API sq_queue *sq_queue_free(sq_queue *queue);

/**
 * Put one item, waiting for room.
 *
 * item        any pointer, NULL included.
 * timeout_ms  how long to wait while the queue is full.
 * Ownership   success: the queue owns item; failure: the caller keeps it.
 * Errors      SQ_EFULL (no room in time), SQ_ESHUTDOWN, SQ_ENOMEM, SQ_EINVAL, SQ_EFORK.
 * Source      Python's Queue.put, put_nowait.
 */
SQ_API int sq_queue_put(sq_queue *queue, void *item, int64_t timeout_ms);

/**
 * Put several items, in order; like write(2) it may put only some.
 *
 * items       the pointers, put from the first on.
 * count       how many they are; 0 puts none and returns 0.
 * timeout_ms  how long to wait, in all, for room for all of them.
 * Returns     how many went in, from the first on: fewer than count when the time or the memory
 *             ran out or the queue was shut down meanwhile. An error only when none went in.
 * Ownership   the queue owns the items that went in; the caller keeps the rest.
 * Errors      SQ_EFULL, SQ_ESHUTDOWN, SQ_ENOMEM, SQ_EINVAL, SQ_EFORK.
 */
SQ_API ssize_t sq_queue_put_many(sq_queue *queue, void *const *items, size_t count,
                                 int64_t timeout_ms);

/**
 * Get one item, waiting for it.
 *
 * timeout_ms  how long to wait while the queue is empty.
 * ret_item    the item; untouched on failure.
 * Ownership   success: the caller owns the item, and owes one sq_queue_task_done() for it when
 *             anybody joins.
 * Errors      SQ_EEMPTY (nothing in time), SQ_ESHUTDOWN (shut down and empty), SQ_EINVAL,
 *             SQ_EFORK.
 * Source      Python's Queue.get, get_nowait.
 */
SQ_API int sq_queue_get(sq_queue *queue, int64_t timeout_ms, void **ret_item);

/**
 * Get several items at once: waits for the first only, then takes what is there.
 *
 * count_max   room in ret_items; 0 gets none and returns 0.
 * timeout_ms  how long to wait for the first.
 * ret_items   the items, in the order of leaving; only as many as returned are written.
 * Returns     how many there are, at least 1.
 * Errors      SQ_EEMPTY, SQ_ESHUTDOWN, SQ_EINVAL, SQ_EFORK.
 */
SQ_API ssize_t sq_queue_get_many(sq_queue *queue, size_t count_max, int64_t timeout_ms,
                                 void **ret_items);

/**
 * Count n items as done; when none is unfinished any more, wake everybody in join.
 *
 * Legal before the get and after a shutdown: it counts, it does not name items.
 *
 * n           how many; 0 counts none.
 * Errors      SQ_ETOOMANY (n exceeds the unfinished items: nothing counted), SQ_EINVAL, SQ_EFORK.
 * Source      Python's Queue.task_done.
 */
SQ_API int sq_queue_task_done(sq_queue *queue, size_t n);

/**
 * Wait until every item that was put is done: not until the queue is empty, for an item that was
 * taken and is still being worked on counts.
 *
 * timeout_ms  how long to wait.
 * Errors      SQ_ETIMEDOUT, SQ_EINVAL, SQ_EFORK.
 * Source      Python's Queue.join.
 */
SQ_API int sq_queue_join(sq_queue *queue, int64_t timeout_ms);

/**
 * End a queue: from now on puts answer SQ_ESHUTDOWN, those that wait for room too.
 *
 * immediate   false: gets go on until the queue is empty, then answer SQ_ESHUTDOWN. true: what
 *             is in the queue is drained, counted as done and dropped, and every waiting get
 *             answers SQ_ESHUTDOWN; join still waits for the items being worked on.
 * Returns     0, also when it was shut down before; graceful first and immediate later is
 *             allowed, and the other way round changes nothing.
 * Errors      SQ_EINVAL, SQ_EFORK.
 * Source      Python's Queue.shutdown (3.13).
 */
SQ_API int sq_queue_shutdown(sq_queue *queue, bool immediate);

/**
 * How many items the queue holds: a hint, for other threads go on. 0 for NULL.
 *
 * Source      Python's Queue.qsize.
 */
SQ_API uint64_t sq_queue_size(const sq_queue *queue);

/** Whether the queue holds nothing: a hint, as sq_queue_size() is. True for NULL. */
SQ_API bool sq_queue_empty(const sq_queue *queue);

/** Whether a put would have to wait: a hint. Never true when unbounded. False for NULL. */
SQ_API bool sq_queue_full(const sq_queue *queue);

/**
 * All counters of a queue.
 *
 * ret_stats   filled; untouched on failure.
 * Errors      SQ_EINVAL, SQ_EFORK.
 */
SQ_API int sq_queue_stat(sq_queue *queue, sq_queue_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
