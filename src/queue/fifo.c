/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/fifo.h"

#include "queue/relax.h"

/* Lets the other side, whose number this is, get further away, if it is moving. */
static void stand_back(struct sqi_pace *pace, uint64_t ticket, const _Atomic uint64_t *number)
{
    uint64_t before = atomic_load_explicit(number, memory_order_relaxed);
    unsigned pauses = sqi_pace_pauses(pace, ticket);
    sqi_pause_times(SQI_PACE_PAUSES_MIN);
    if (atomic_load_explicit(number, memory_order_relaxed) != before)
        sqi_pause_times(pauses - SQI_PACE_PAUSES_MIN);
}

/* How much room there is from *ret_tail on, at least 1, or SQ_EFULL, SQ_ESHUTDOWN. */
static int64_t room_of(struct sqi_counts *counts, uint64_t *ret_tail)
{
    uint64_t tail, head;
    do {
        tail = atomic_load(&counts->tail);
        if (tail & SQI_CLOSED)
            return SQ_ESHUTDOWN;
        SQI_INTERLEAVE();
        head = atomic_load(&counts->head) & SQI_TICKET;
    } while (head > tail); /* tail was older than head */
    atomic_store_explicit(&counts->head_seen, head, memory_order_relaxed); /* a hint */
    *ret_tail = tail;
    return tail - head < counts->capacity ? (int64_t)(counts->capacity - (tail - head)) : SQ_EFULL;
}

int sqi_fifo_find_room(struct sqi_fifo *fifo)
{
    struct sqi_counts *counts = &fifo->counts;
    uint64_t tail;
    sqi_bias_settle(&counts->bias);
    int64_t room = room_of(counts, &tail);
    if (room > 0 && room < SQI_FIFO_DISTANCE && counts->capacity > 4 * SQI_FIFO_DISTANCE) {
        stand_back(&fifo->put_pace, tail, &counts->head);
        room = room_of(counts, &tail);
    }
    if (room < 0)
        return (int)room;
    if (sqi_slots_extend(&fifo->slots, tail) < 0)
        return SQ_ENOMEM;
    uint64_t run = sqi_slots_run(tail);
    if (fifo->slots.is_segmented && run < (uint64_t)room)
        room = (int64_t)run;
    /* Release: pairs with the acquire load in sqi_fifo_claim(). The slots up to here were read, and
       their segment is ready. It may replace a larger value, which costs another look only. */
    atomic_store_explicit(&counts->put_limit, tail + (uint64_t)room, memory_order_release);
    return SQ_OK;
}

static struct sqi_slot *slot_at_head(struct sqi_fifo *fifo, uint64_t ticket)
{
    return sqi_slot_in(&fifo->slots, sqi_slots_at_head(&fifo->slots, ticket), ticket);
}

/* Acquire: pairs with the release store in sqi_fifo_add(). */
static bool is_published(struct sqi_slot *slot, uint64_t ticket)
{
    return atomic_load_explicit(&slot->published, memory_order_acquire) == ticket + 1;
}

/* Gets have come to their limit at this head, and tail is beyond it. */
static void raise_get_limit(struct sqi_fifo *fifo, uint64_t head)
{
    struct sqi_counts *counts = &fifo->counts;
    uint64_t size = sqi_counts_size(counts), run = sqi_slots_run(head), ahead = size / 2;
    sqi_slots_advance(&fifo->slots, head);
    if (size < SQI_FIFO_DISTANCE)
        stand_back(&fifo->get_pace, head, &counts->tail);
    if (ahead < SQI_FIFO_DISTANCE)
        ahead = SQI_FIFO_DISTANCE;
    /* Release: pairs with the acquire load in sqi_fifo_take(): the segment is ready. It may replace
       a larger value, which costs another look and nothing else. */
    atomic_store_explicit(&counts->get_limit, head + (run < ahead ? run : ahead),
                          memory_order_release);
}

int sqi_fifo_find_item(struct sqi_fifo *fifo)
{
    struct sqi_counts *counts = &fifo->counts;
    uint64_t before = atomic_load(&counts->head), head = before;
    for (unsigned turn = 0; head == before; sqi_relax(&turn), head = atomic_load(&counts->head)) {
        SQI_INTERLEAVE();
        uint64_t tail = atomic_load(&counts->tail);
        if ((tail & SQI_TICKET) == (head & SQI_TICKET))
            return tail & SQI_CLOSED ? SQ_ESHUTDOWN : SQ_EEMPTY;
        if (head >= atomic_load_explicit(&counts->get_limit, memory_order_relaxed))
            raise_get_limit(fifo, head);
        if (is_published(slot_at_head(fifo, head), head))
            break;
    }
    return SQ_OK;
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
        sqi_slots_advance(&fifo->slots, ticket);
        void *item = item_of(slot_at_head(fifo, ticket), ticket);
        if (drop)
            drop(item, context);
    }
    sqi_counts_drained(&fifo->counts, count);
}
