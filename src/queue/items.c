/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/items.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#define SLOT_COUNT_MIN 16

static size_t ring_index(const struct sqi_items *items, size_t nth)
{
    return (items->head + nth) & (items->slot_count - 1);
}

static int resize(struct sqi_items *items, size_t slot_count)
{
    struct sqi_slot *before = items->slots, *slots = reallocarray(NULL, slot_count, sizeof *slots);
    if (!slots)
        return SQ_ENOMEM;
    /* A heap has its root at slot 0 and head stays 0: for both this is a copy in order. */
    for (size_t i = 0; i < items->count; i++)
        slots[i] = before[ring_index(items, i)];
    items->slots = slots;
    items->slot_count = slot_count;
    items->head = 0;
    free(before); /* last: a child forked in between frees items->slots */
    return SQ_OK;
}

int sqi_items_reserve(struct sqi_items *items, size_t more)
{
    size_t needed, slot_count = items->slot_count ? items->slot_count : SLOT_COUNT_MIN;
    if (__builtin_add_overflow(items->count, more, &needed))
        return SQ_ENOMEM;
    while (slot_count < needed)
        if (__builtin_mul_overflow(slot_count, (size_t)2, &slot_count))
            return SQ_ENOMEM;
    return slot_count == items->slot_count ? SQ_OK : resize(items, slot_count);
}

static bool leaves_before(const struct sqi_items *items, struct sqi_slot a, struct sqi_slot b)
{
    int order = items->compare(a.item, b.item, items->context);
    return order != 0 ? order < 0 : a.place < b.place;
}

static void heap_sift_up(struct sqi_items *items, size_t index)
{
    struct sqi_slot moving = items->slots[index];
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!leaves_before(items, moving, items->slots[parent]))
            break;
        items->slots[index] = items->slots[parent];
        index = parent;
    }
    items->slots[index] = moving;
}

static void heap_sift_down(struct sqi_items *items)
{
    struct sqi_slot moving = items->slots[0];
    size_t index = 0;
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= items->count)
            break;
        if (child + 1 < items->count &&
            leaves_before(items, items->slots[child + 1], items->slots[child]))
            child++;
        if (!leaves_before(items, items->slots[child], moving))
            break;
        items->slots[index] = items->slots[child];
        index = child;
    }
    items->slots[index] = moving;
}

void sqi_items_add(struct sqi_items *items, void *item)
{
    assert(items->count < items->slot_count);
    size_t index = items->order == SQ_PRIORITY ? items->count : ring_index(items, items->count);
    items->slots[index] = (struct sqi_slot){.item = item, .place = items->next_place++};
    items->count++;
    if (items->order == SQ_PRIORITY)
        heap_sift_up(items, index);
}

static void *heap_take(struct sqi_items *items)
{
    void *item = items->slots[0].item;
    items->slots[0] = items->slots[--items->count];
    if (items->count > 0)
        heap_sift_down(items);
    return item;
}

void *sqi_items_take(struct sqi_items *items)
{
    void *item;
    assert(items->count > 0);
    if (items->order == SQ_PRIORITY) {
        item = heap_take(items);
    } else if (items->order == SQ_LIFO) {
        item = items->slots[ring_index(items, --items->count)].item;
    } else {
        item = items->slots[items->head].item;
        items->head = ring_index(items, 1);
        items->count--;
    }
    /* Shrinking may fail for want of memory: then the slots stay as they are. */
    if (items->slot_count > SLOT_COUNT_MIN && items->count < items->slot_count / 4)
        (void)resize(items, items->slot_count / 2);
    return item;
}

void sqi_items_free(struct sqi_items *items)
{
    free(items->slots);
    items->slots = NULL;
    items->slot_count = items->count = items->head = 0;
}
