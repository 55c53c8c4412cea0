/* SPDX-License-Identifier: Apache-2.0 */
/*
 * atomic_queue, raw: it spins, and never sleeps. OPTIMIST takes its place in the ring first and
 * waits for the slot, else a place is taken only when there is room or an item; ONE_TO_ONE is for
 * one thread on either side. The names are those of its author's benchmarks.
 */
#include "harness.h"

#include <atomic_queue/atomic_queue.h>

#if OPTIMIST
using Items = atomic_queue::AtomicQueue<uint64_t, CAPACITY, 0, true, true, false, ONE_TO_ONE>;
#else
using Items = atomic_queue::RetryDecorator<
    atomic_queue::AtomicQueue2<uint64_t, CAPACITY, true, true, false, ONE_TO_ONE>>;
#endif

struct queue {
    Items items;
};

static struct queue *queue_create(const struct setup *setup)
{
    if (setup->capacity != CAPACITY)
        die("its capacity is built in");
    return new queue;
}

static void queue_end(struct queue *queue)
{
    delete queue;
}

static inline void queue_put(struct queue *queue, void *, uint64_t value)
{
    queue->items.push(value);
}

static inline uint64_t queue_get(struct queue *queue, void *)
{
    return queue->items.pop();
}
