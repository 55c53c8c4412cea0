/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The items of a pile, in the order in which they leave: a stack for LIFO, a binary heap for
 * PRIORITY. Not thread-safe: the pile's lock is around every call.
 *
 * Both are one array of entries, grown by doubling and halved when three quarters are unused, so
 * that a burst gives its memory back.
 */
#ifndef SQI_QUEUE_ITEMS_H
#define SQI_QUEUE_ITEMS_H

#include <stddef.h>
#include <stdint.h>

#include "sealq/queue.h"

struct sqi_entry {
    void *item;
    uint64_t place; /* PRIORITY: the how-manieth item this is, so that equals leave in order */
};

struct sqi_items {
    struct sqi_entry *entries;
    size_t entry_count; /* there is room for: a power of two, or 0 */
    size_t count;       /* items in it */
    uint64_t next_place;
    sq_queue_order order; /* not SQ_FIFO */
    int (*compare)(const void *a, const void *b, void *context);
    void *context;
};

/* Makes room for `more` items on top of those in it: 0, or SQ_ENOMEM and nothing changed. */
int sqi_items_reserve(struct sqi_items *items, size_t more);

/* Adds an item; room was reserved. */
void sqi_items_add(struct sqi_items *items, void *item);

/* Takes the item whose turn it is; there is one. */
void *sqi_items_take(struct sqi_items *items);

/* Frees the entries. What items are left is forgotten. */
void sqi_items_free(struct sqi_items *items);

#endif
