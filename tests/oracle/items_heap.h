/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle's items: one binary heap for all three orders, since FIFO and LIFO are priorities,
 * too: the place in the row. Not thread-safe, and it never gives memory back.
 */
#ifndef SQO_ITEMS_HEAP_H
#define SQO_ITEMS_HEAP_H

#include <stddef.h>
#include <stdint.h>

#include "sealq/queue.h"

struct sqo_slot {
    void *item;
    uint64_t place; /* the how-manieth item this is */
};

struct sqo_items {
    struct sqo_slot *slots;
    size_t slot_count, count;
    uint64_t next_place;
    sq_queue_order order;
    int (*compare)(const void *a, const void *b, void *context);
    void *context;
};

/* Makes room for `more` items: 0, or SQ_ENOMEM and nothing changed. */
int sqo_items_reserve(struct sqo_items *items, size_t more);

/* Adds an item; room was reserved. */
void sqo_items_add(struct sqo_items *items, void *item);

/* Takes the item whose turn it is; there is one. */
void *sqo_items_take(struct sqo_items *items);

#endif
