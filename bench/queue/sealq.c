/* SPDX-License-Identifier: Apache-2.0 */
/* Ours, as a user has it: the shared library, the public header, a call an item. */
#define HAS_BATCHES
#include "harness.h"

#include <sched.h>

#include "sealq/queue.h"

#define BATCH_MAX 1024

struct queue {
    sq_queue *items;
    const struct setup *setup;
    pthread_t joiner;
};

static void must(bool is_well, const char *what)
{
    if (!is_well)
        die("%s: %s", what, sq_last_error_detail());
}

static void *join(void *queue)
{
    must(sq_queue_join((sq_queue *)queue, SQ_FOREVER) == SQ_OK, "join");
    return NULL;
}

/* One item that was taken and is not done keeps the joiner waiting through the whole run. */
static void start_joiner(struct queue *queue)
{
    void *item;
    sq_queue_stats stats = {.waiting_joins = 0};
    must(sq_queue_put(queue->items, queue, SQ_NOWAIT) == SQ_OK, "put");
    must(sq_queue_get(queue->items, SQ_NOWAIT, &item) == SQ_OK, "get");
    must(pthread_create(&queue->joiner, NULL, join, queue->items) == 0, "pthread_create");
    while (stats.waiting_joins == 0) {
        sched_yield();
        must(sq_queue_stat(queue->items, &stats) == SQ_OK, "stat");
    }
}

static struct queue *queue_create(const struct setup *setup)
{
    sq_queue_options options = {
        .capacity = setup->capacity,
        .single_producer = setup->hints,
        .single_consumer = setup->hints,
    };
    struct queue *queue = calloc(1, sizeof *queue);
    must(queue != NULL && setup->batch <= BATCH_MAX, "set-up");
    must(sq_queue_create(&options, &queue->items) == SQ_OK, "create");
    queue->setup = setup;
    if (setup->joiner)
        start_joiner(queue);
    return queue;
}

static void queue_end(struct queue *queue)
{
    if (queue->setup->joiner) {
        must(sq_queue_task_done(queue->items, 1) == SQ_OK, "task_done");
        pthread_join(queue->joiner, NULL);
    }
    must(sq_queue_join(queue->items, SQ_NOWAIT) == SQ_OK, "join at the end");
    sq_queue_free(queue->items);
    free(queue);
}

static inline void queue_put(struct queue *queue, void *port, uint64_t value)
{
    (void)port;
    must(sq_queue_put(queue->items, (void *)(uintptr_t)value, SQ_FOREVER) == SQ_OK, "put");
}

static inline uint64_t queue_get(struct queue *queue, void *port)
{
    void *item;
    (void)port;
    must(sq_queue_get(queue->items, SQ_FOREVER, &item) == SQ_OK, "get");
    must(sq_queue_task_done(queue->items, 1) == SQ_OK, "task_done");
    return (uintptr_t)item;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void produce_batches(struct queue *queue, uint64_t first, uint64_t count)
{
    void *items[BATCH_MAX];
    uint64_t end = first + count;
    while (first < end) {
        uint64_t batch = least(queue->setup->batch, end - first);
        for (uint64_t i = 0; i < batch; i++)
            items[i] = (void *)(uintptr_t)(first + i);
        ssize_t put = sq_queue_put_many(queue->items, items, batch, SQ_FOREVER);
        must(put > 0, "put_many");
        first += (uint64_t)put;
    }
}

static uint64_t consume_batches(struct queue *queue, uint64_t count)
{
    void *items[BATCH_MAX];
    uint64_t sum = 0, left = count;
    while (left > 0) {
        ssize_t got = sq_queue_get_many(queue->items, least(queue->setup->batch, left), SQ_FOREVER,
                                        items);
        must(got > 0, "get_many");
        for (ssize_t i = 0; i < got; i++)
            sum += (uintptr_t)items[i];
        if (!queue->setup->join_at_end)
            must(sq_queue_task_done(queue->items, (size_t)got) == SQ_OK, "task_done");
        left -= (uint64_t)got;
    }
    if (queue->setup->join_at_end)
        must(sq_queue_task_done(queue->items, count) == SQ_OK, "task_done");
    return sum;
}
