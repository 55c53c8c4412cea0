/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boost::lockfree, raw: it says full or empty and leaves the waiting to its user. ONE_TO_ONE is
 * spsc_queue, else it is queue: with the nodes made before, of which bounded_push takes no more.
 * (Its capacity as a template's argument ends at 65,534.)
 */
#include "harness.h"

#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>

struct queue {
#if ONE_TO_ONE
    boost::lockfree::spsc_queue<uint64_t, boost::lockfree::capacity<CAPACITY>> items;

    bool put(uint64_t value)
    {
        return items.push(value);
    }
#else
    boost::lockfree::queue<uint64_t> items{CAPACITY};

    bool put(uint64_t value)
    {
        return items.bounded_push(value);
    }
#endif
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
    while (!queue->put(value))
        spin_pause();
}

static inline uint64_t queue_get(struct queue *queue, void *)
{
    uint64_t value;
    while (!queue->items.pop(value))
        spin_pause();
    return value;
}
