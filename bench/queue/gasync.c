/* SPDX-License-Identifier: Apache-2.0 */
/* GLib's GAsyncQueue: unbounded. */
#include "harness.h"

#include <glib.h>

struct queue {
    GAsyncQueue *items;
};

static struct queue *queue_create(const struct setup *setup)
{
    (void)setup;
    struct queue *queue = g_new0(struct queue, 1);
    queue->items = g_async_queue_new();
    return queue;
}

static void queue_end(struct queue *queue)
{
    g_async_queue_unref(queue->items);
    g_free(queue);
}

static inline void queue_put(struct queue *queue, void *port, uint64_t value)
{
    (void)port;
    g_async_queue_push(queue->items, (void *)(uintptr_t)value);
}

static inline uint64_t queue_get(struct queue *queue, void *port)
{
    (void)port;
    return (uintptr_t)g_async_queue_pop(queue->items);
}
