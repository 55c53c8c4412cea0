/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIFO and PRIORITY: the items under one short lock. The numbers are those of counts.h, changed
 * with the lock held, so that everything that looks at numbers alone is the same for all orders.
 *
 * Linearization: the changes of tail and head, in the critical section that also moves the items.
 * The claim of a put is a compare-and-swap all the same, for the closing comes without the lock.
 *
 * Nothing of the user's runs under the lock but `compare`.
 */
#ifndef SQI_QUEUE_PILE_H
#define SQI_QUEUE_PILE_H

#include <pthread.h>

#include "queue/counts.h"
#include "queue/items.h"

struct sqi_pile {
    struct sqi_counts *counts;
    pthread_mutex_t lock; /* guards items */
    struct sqi_items items;
};

void sqi_pile_init(struct sqi_pile *pile, const sq_queue_options *options,
                   struct sqi_counts *counts);
void sqi_pile_free(struct sqi_pile *pile);

/* How many were put, at least 1, or SQ_EFULL, SQ_ESHUTDOWN, SQ_ENOMEM. */
int64_t sqi_pile_put(struct sqi_pile *pile, void *const *items, size_t n);

/* How many were taken, at least 1, or SQ_EEMPTY, SQ_ESHUTDOWN. */
int64_t sqi_pile_get(struct sqi_pile *pile, size_t n, void **items);

/* As sqi_fifo_drain(). */
void sqi_pile_drain(struct sqi_pile *pile, void (*drop)(void *item, void *context), void *context);

#endif
