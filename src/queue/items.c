/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/items.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_COUNT_MIN 16

static int resize(struct sqi_items *items, size_t entry_count)
{
    struct sqi_entry *before = items->entries;
    struct sqi_entry *entries = reallocarray(NULL, entry_count, sizeof *entries);
    if (!entries)
        return SQ_ENOMEM;
    if (items->count > 0)
        memcpy(entries, before, items->count * sizeof *entries);
    items->entries = entries;
    items->entry_count = entry_count;
    free(before); /* last: a child forked in between frees items->entries */
    return SQ_OK;
}

int sqi_items_reserve(struct sqi_items *items, size_t more)
{
    size_t needed, entry_count = items->entry_count ? items->entry_count : ENTRY_COUNT_MIN;
    if (__builtin_add_overflow(items->count, more, &needed))
        return SQ_ENOMEM;
    while (entry_count < needed)
        if (__builtin_mul_overflow(entry_count, (size_t)2, &entry_count))
            return SQ_ENOMEM;
    return entry_count == items->entry_count ? SQ_OK : resize(items, entry_count);
}

static bool leaves_before(const struct sqi_items *items, struct sqi_entry a, struct sqi_entry b)
{
    int order = items->compare(a.item, b.item, items->context);
    return order != 0 ? order < 0 : a.place < b.place;
}

static void heap_sift_up(struct sqi_items *items, size_t index)
{
    struct sqi_entry moving = items->entries[index];
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (!leaves_before(items, moving, items->entries[parent]))
            break;
        items->entries[index] = items->entries[parent];
        index = parent;
    }
    items->entries[index] = moving;
}

static void heap_sift_down(struct sqi_items *items)
{
    struct sqi_entry moving = items->entries[0];
    size_t index = 0;
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= items->count)
            break;
        if (child + 1 < items->count &&
            leaves_before(items, items->entries[child + 1], items->entries[child]))
            child++;
        if (!leaves_before(items, items->entries[child], moving))
            break;
        items->entries[index] = items->entries[child];
        index = child;
    }
    items->entries[index] = moving;
}

void sqi_items_add(struct sqi_items *items, void *item)
{
    assert(items->count < items->entry_count);
    size_t index = items->count++;
    items->entries[index] = (struct sqi_entry){.item = item, .place = items->next_place++};
    if (items->order == SQ_PRIORITY)
        heap_sift_up(items, index);
}

static void *heap_take(struct sqi_items *items)
{
    void *item = items->entries[0].item;
    items->entries[0] = items->entries[--items->count];
    if (items->count > 0)
        heap_sift_down(items);
    return item;
}

void *sqi_items_take(struct sqi_items *items)
{
    assert(items->count > 0);
    void *item = items->order == SQ_PRIORITY ? heap_take(items)
                                             : items->entries[--items->count].item;
    /* Shrinking may fail for want of memory: then the entries stay as they are. */
    if (items->entry_count > ENTRY_COUNT_MIN && items->count < items->entry_count / 4)
        (void)resize(items, items->entry_count / 2);
    return item;
}

void sqi_items_free(struct sqi_items *items)
{
    free(items->entries);
    items->entries = NULL;
    items->entry_count = items->count = 0;
}
