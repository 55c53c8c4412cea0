/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moodycamel::BlockingConcurrentQueue: unbounded, FIFO a producer only. With TOKENS each thread
 * has one, as its manual advises who wants speed.
 */
#if TOKENS
#define HAS_PORTS
#endif
#include "harness.h"

#include <concurrentqueue/blockingconcurrentqueue.h>

using Items = moodycamel::BlockingConcurrentQueue<uint64_t>;

struct queue {
    Items items{CAPACITY};
};

static struct queue *queue_create(const struct setup *)
{
    return new queue;
}

static void queue_end(struct queue *)
{
    // Tokens must go before their queue; at the end of a process neither has to.
}

static void check(bool is_put)
{
    if (!is_put)
        die("no memory");
}

#if TOKENS
static void *port_open(struct queue *queue, bool puts)
{
    if (puts)
        return new moodycamel::ProducerToken(queue->items);
    return new moodycamel::ConsumerToken(queue->items);
}

static inline void queue_put(struct queue *queue, void *port, uint64_t value)
{
    check(queue->items.enqueue(*static_cast<moodycamel::ProducerToken *>(port), value));
}

static inline uint64_t queue_get(struct queue *queue, void *port)
{
    uint64_t value;
    queue->items.wait_dequeue(*static_cast<moodycamel::ConsumerToken *>(port), value);
    return value;
}
#else
static inline void queue_put(struct queue *queue, void *, uint64_t value)
{
    check(queue->items.enqueue(value));
}

static inline uint64_t queue_get(struct queue *queue, void *)
{
    uint64_t value;
    queue->items.wait_dequeue(value);
    return value;
}
#endif
