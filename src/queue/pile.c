/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/pile.h"

#include <assert.h>

#include "queue/interleave.h"

static void lock(struct sqi_pile *pile)
{
    int failed = pthread_mutex_lock(&pile->lock);
    assert(!failed);
}

static void unlock(struct sqi_pile *pile)
{
    int failed = pthread_mutex_unlock(&pile->lock);
    assert(!failed);
}

void sqi_pile_init(struct sqi_pile *pile, const sq_queue_options *options,
                   struct sqi_counts *counts)
{
    *pile = (struct sqi_pile){
        .counts = counts,
        .items = {.order = options->order,
                  .compare = options->compare,
                  .context = options->context},
    };
    int failed = pthread_mutex_init(&pile->lock, NULL);
    assert(!failed); /* only attributes could make it fail */
}

void sqi_pile_free(struct sqi_pile *pile)
{
    sqi_items_free(&pile->items);
}

/* With the lock held: whether the put came before the closing. */
static bool claim(struct sqi_counts *counts, size_t n)
{
    uint64_t tail = atomic_load(&counts->tail);
    SQI_INTERLEAVE();
    while (!(tail & SQI_CLOSED))
        if (atomic_compare_exchange_weak(&counts->tail, &tail, tail + n)) {
            sqi_counts_note_size(counts, tail + n);
            return true;
        }
    return false;
}

int64_t sqi_pile_put(struct sqi_pile *pile, void *const *items, size_t n)
{
    struct sqi_counts *counts = pile->counts;
    int64_t result;
    lock(pile);
    uint64_t room = counts->capacity - pile->items.count;
    size_t count = n < room ? n : (size_t)room;
    if (atomic_load(&counts->tail) & SQI_CLOSED) {
        result = SQ_ESHUTDOWN;
    } else if (count == 0) {
        result = SQ_EFULL;
    } else if (sqi_items_reserve(&pile->items, count) < 0) {
        result = SQ_ENOMEM;
    } else if (!claim(counts, count)) {
        result = SQ_ESHUTDOWN;
    } else {
        for (size_t i = 0; i < count; i++)
            sqi_items_add(&pile->items, items[i]);
        result = (int64_t)count;
    }
    unlock(pile);
    return result;
}

int64_t sqi_pile_get(struct sqi_pile *pile, size_t n, void **items)
{
    struct sqi_counts *counts = pile->counts;
    int64_t result;
    lock(pile);
    size_t count = n < pile->items.count ? n : pile->items.count;
    if (count > 0) {
        for (size_t i = 0; i < count; i++)
            items[i] = sqi_items_take(&pile->items);
        atomic_fetch_add(&counts->head, count);
        result = (int64_t)count;
    } else {
        result = atomic_load(&counts->tail) & SQI_CLOSED ? SQ_ESHUTDOWN : SQ_EEMPTY;
    }
    unlock(pile);
    return result;
}

void sqi_pile_drain(struct sqi_pile *pile, void (*drop)(void *item, void *context), void *context)
{
    uint64_t first;
    lock(pile);
    struct sqi_items drained = pile->items;
    uint64_t count = sqi_counts_drain(pile->counts, &first);
    assert(count == drained.count);
    pile->items.entries = NULL;
    pile->items.entry_count = pile->items.count = 0;
    unlock(pile);
    while (drop && drained.count > 0)
        drop(sqi_items_take(&drained), context);
    sqi_items_free(&drained);
    sqi_counts_drained(pile->counts, count);
}
