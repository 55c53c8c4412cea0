/* SPDX-License-Identifier: Apache-2.0 */
/* What everybody writes first: a ring, a mutex and two condition variables. */
#include "harness.h"

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t has_item, has_room;
    uint64_t capacity, size, head;
    uint64_t *ring;
};

static struct queue *queue_create(const struct setup *setup)
{
    struct queue *queue = calloc(1, sizeof *queue);
    if (!queue || !(queue->ring = calloc(setup->capacity, sizeof *queue->ring)))
        die("no memory");
    queue->capacity = setup->capacity;
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->has_item, NULL);
    pthread_cond_init(&queue->has_room, NULL);
    return queue;
}

static void queue_end(struct queue *queue)
{
    free(queue->ring);
    free(queue);
}

static inline void queue_put(struct queue *queue, void *port, uint64_t value)
{
    (void)port;
    pthread_mutex_lock(&queue->mutex);
    while (queue->size == queue->capacity)
        pthread_cond_wait(&queue->has_room, &queue->mutex);
    uint64_t tail = queue->head + queue->size++;
    queue->ring[tail < queue->capacity ? tail : tail - queue->capacity] = value;
    pthread_mutex_unlock(&queue->mutex);
    pthread_cond_signal(&queue->has_item);
}

static inline uint64_t queue_get(struct queue *queue, void *port)
{
    (void)port;
    pthread_mutex_lock(&queue->mutex);
    while (queue->size == 0)
        pthread_cond_wait(&queue->has_item, &queue->mutex);
    uint64_t value = queue->ring[queue->head];
    queue->head = queue->head + 1 < queue->capacity ? queue->head + 1 : 0;
    queue->size--;
    pthread_mutex_unlock(&queue->mutex);
    pthread_cond_signal(&queue->has_room);
    return value;
}
