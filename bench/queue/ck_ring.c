/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Concurrency Kit's ck_ring, raw: it says full or empty and leaves the waiting to its user. KIND is
 * spsc, spmc or mpmc: how many threads may be on either side.
 */
#include "harness.h"

#include <ck_pr.h>
#include <ck_ring.h>

#define PASTE_BOTH(a, b) a##b
#define PASTE(a, b) PASTE_BOTH(a, b)
#define ENQUEUE PASTE(ck_ring_enqueue_, KIND)
#define DEQUEUE PASTE(ck_ring_dequeue_, KIND)

struct queue {
    ck_ring_t ring;
    ck_ring_buffer_t slots[CAPACITY]; /* one of them stays empty */
};

static struct queue *queue_create(const struct setup *setup)
{
    struct queue *queue = aligned_alloc(CK_MD_CACHELINE, sizeof *queue);
    if (!queue || setup->capacity != CAPACITY)
        die("no memory, or another capacity");
    memset(queue, 0, sizeof *queue);
    ck_ring_init(&queue->ring, CAPACITY);
    return queue;
}

static void queue_end(struct queue *queue)
{
    free(queue);
}

static inline void queue_put(struct queue *queue, void *port, uint64_t value)
{
    (void)port;
    while (!ENQUEUE(&queue->ring, queue->slots, (void *)(uintptr_t)value))
        ck_pr_stall();
}

static inline uint64_t queue_get(struct queue *queue, void *port)
{
    void *item;
    (void)port;
    while (!DEQUEUE(&queue->ring, queue->slots, &item))
        ck_pr_stall();
    return (uintptr_t)item;
}
