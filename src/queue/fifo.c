/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/fifo.h"

#include "queue/relax.h"

struct sqi_fifo_look sqi_fifo_find_room(struct sqi_fifo *fifo, uint64_t tail)
{
    struct sqi_counts *counts = &fifo->counts;
    for (;;) {
        if (tail & SQI_CLOSED)
            return (struct sqi_fifo_look){tail, SQ_ESHUTDOWN};
        SQI_INTERLEAVE();
        uint64_t head = atomic_load(&counts->head) & SQI_TICKET;
        int64_t used = (int64_t)(tail - head);
        if (used >= (int64_t)counts->capacity)
            return (struct sqi_fifo_look){tail, SQ_EFULL};
        if (used >= 0) {
            /* Release: pairs with the acquire load in sqi_fifo_claim(). It may replace a larger
               value, which costs another look and nothing else. */
            atomic_store_explicit(&counts->head_seen, head, memory_order_release);
            return (struct sqi_fifo_look){tail, (int64_t)counts->capacity - used};
        }
        tail = atomic_load(&counts->tail); /* it was older than head */
    }
}

static struct sqi_slot *slot_at_head(struct sqi_fifo *fifo, uint64_t ticket)
{
    return sqi_slot_in(&fifo->slots, sqi_slots_at_head(&fifo->slots, ticket), ticket);
}

/* Acquire: pairs with the release store in sqi_fifo_put(). */
static bool is_published(struct sqi_slot *slot, uint64_t ticket)
{
    return atomic_load_explicit(&slot->published, memory_order_acquire) == ticket + 1;
}

struct sqi_fifo_look sqi_fifo_find_item(struct sqi_fifo *fifo, uint64_t head)
{
    struct sqi_counts *counts = &fifo->counts;
    for (unsigned turn = 0;; sqi_relax(&turn)) {
        uint64_t now = atomic_load(&counts->head);
        if (now != head)
            return (struct sqi_fifo_look){now, 1};
        SQI_INTERLEAVE();
        uint64_t tail = atomic_load(&counts->tail);
        if ((tail & SQI_TICKET) == (head & SQI_TICKET))
            return (struct sqi_fifo_look){head, tail & SQI_CLOSED ? SQ_ESHUTDOWN : SQ_EEMPTY};
        if (!sqi_slots_is_ready(&fifo->slots, head))
            sqi_slots_advance(&fifo->slots, head);
        if (is_published(slot_at_head(fifo, head), head))
            return (struct sqi_fifo_look){head, 1};
    }
}

static void *item_of(struct sqi_slot *slot, uint64_t ticket)
{
    for (unsigned turn = 0; !is_published(slot, ticket);)
        sqi_relax(&turn); /* its put is at work */
    return atomic_load_explicit(&slot->item, memory_order_relaxed);
}

void sqi_fifo_drain(struct sqi_fifo *fifo, void (*drop)(void *item, void *context), void *context)
{
    uint64_t first, count = sqi_counts_drain(&fifo->counts, &first);
    for (uint64_t ticket = first; ticket < first + count; ticket++) {
        if (sqi_slots_begins(&fifo->slots, ticket))
            sqi_slots_advance(&fifo->slots, ticket);
        void *item = item_of(slot_at_head(fifo, ticket), ticket);
        if (drop)
            drop(item, context);
    }
    sqi_counts_drained(&fifo->counts, count);
}
