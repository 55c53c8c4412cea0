/* SPDX-License-Identifier: Apache-2.0 */
#include "items_heap.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

int sqo_items_reserve(struct sqo_items *items, size_t more)
{
    size_t needed, slot_count = items->slot_count ? items->slot_count : 16;
    if (__builtin_add_overflow(items->count, more, &needed))
        return SQ_ENOMEM;
    while (slot_count < needed)
        if (__builtin_mul_overflow(slot_count, (size_t)2, &slot_count))
            return SQ_ENOMEM;
    if (slot_count == items->slot_count)
        return SQ_OK;
    struct sqo_slot *slots = reallocarray(items->slots, slot_count, sizeof *slots);
    if (!slots)
        return SQ_ENOMEM;
    items->slots = slots;
    items->slot_count = slot_count;
    return SQ_OK;
}

static bool leaves_before(const struct sqo_items *items, size_t a, size_t b)
{
    const struct sqo_slot *slots = items->slots;
    int order = 0;
    if (items->order == SQ_PRIORITY)
        order = items->compare(slots[a].item, slots[b].item, items->context);
    if (order != 0)
        return order < 0;
    return (slots[a].place < slots[b].place) == (items->order != SQ_LIFO);
}

static void swap(struct sqo_items *items, size_t a, size_t b)
{
    struct sqo_slot slot = items->slots[a];
    items->slots[a] = items->slots[b];
    items->slots[b] = slot;
}

void sqo_items_add(struct sqo_items *items, void *item)
{
    assert(items->count < items->slot_count);
    size_t index = items->count++;
    items->slots[index] = (struct sqo_slot){.item = item, .place = items->next_place++};
    for (; index > 0 && leaves_before(items, index, (index - 1) / 2); index = (index - 1) / 2)
        swap(items, index, (index - 1) / 2);
}

void *sqo_items_take(struct sqo_items *items)
{
    assert(items->count > 0);
    void *item = items->slots[0].item;
    items->slots[0] = items->slots[--items->count];
    for (size_t index = 0, child; (child = 2 * index + 1) < items->count; index = child) {
        if (child + 1 < items->count && leaves_before(items, child + 1, child))
            child++;
        if (!leaves_before(items, child, index))
            break;
        swap(items, index, child);
    }
    return item;
}
