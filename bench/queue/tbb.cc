/* SPDX-License-Identifier: Apache-2.0 */
/* oneTBB's concurrent_bounded_queue. */
#include "harness.h"

#include <oneapi/tbb/concurrent_queue.h>

struct queue {
    tbb::concurrent_bounded_queue<uint64_t> items;
};

static struct queue *queue_create(const struct setup *setup)
{
    struct queue *queue = new struct queue;
    queue->items.set_capacity(static_cast<std::ptrdiff_t>(setup->capacity));
    return queue;
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
    uint64_t value = 0;
    queue->items.pop(value);
    return value;
}
