/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FIFO: tickets, claimed by one compare-and-swap a call, and a slot a ticket.
 *
 *      head                                     tail
 *       ▼                                        ▼
 *     [ 12 ][ 13 ][ 14 ][ claimed ][ 16 ][ 17 ][    ][    ]      tickets
 *       │                   │
 *       │                   └ its put has the ticket and has not published yet
 *       └ the next get: reads the slot, then claims it
 *
 *     put   below put_limit? ─► claim: tail + n ─► item ─► published = ticket + 1
 *     get   below get_limit? ─► published = ticket + 1? ─► item ─► claim: head + n
 *
 * That is all of a fast path: sqi_fifo_add() and sqi_fifo_take() make one attempt and call nothing.
 * When something is in the way, sqi_fifo_find_room() and sqi_fifo_find_item() clear it away, or say
 * why they cannot. The limits are tickets, each on the line of its side:
 *
 * - put_limit: below it there is room, by head as a put last saw it, and the segment is ready. A
 *   closed tail is above any limit.
 * - get_limit: below it the segment is ready. It is not far off, for at the limit gets see whether
 *   they are too close to the puts (pace.h). A drained head is above any limit.
 *
 * Linearization
 *     a put of n items      the claim of tail (n puts, one after the other)
 *     a get of n items      the claim of head
 *     full, empty, closed   where the second number is read: see counts.h
 * Items leave in the order of their tickets, whatever the order in which they are published: a get
 * that finds the first ticket claimed but not published waits for that put, which is between two
 * steps (or was preempted there), and never skips it. It holds no ticket meanwhile.
 *
 * Why a get may read before it claims. The slot of ticket h is written again only by the put of
 * ticket h + slots, which must have seen head beyond h (capacity ≤ slots; for segments, see
 * slots.h). So if the claim, head from h to h + n, succeeds, nothing has been written since the
 * look; and if something was, the claim fails and what was read is thrown away. Gets therefore
 * write no slot, and a line of slots travels once an item's life and not twice.
 *
 * Pairs, each a release and an acquire
 * - published, by put and get: the item is there.
 * - head, by get (its seq_cst claim) and find_room: the item was read, so its slot may be written.
 * - put_limit, by find_room and put: the same, passed on; and the segment is ready.
 * - get_limit, by find_item and get: the segment is ready.
 * And seq_cst all four: tail or head, then the gate's word, here; the gate's enter, then tail or
 * head, in who is about to sleep.
 *
 * Rejected: claims by fetch-and-add (a ticket cannot be given back, so no exact capacity, no
 * time-out); a sequence number that gets write too (twice the lines); batches of several
 * compare-and-swaps.
 */
#ifndef SQI_QUEUE_FIFO_H
#define SQI_QUEUE_FIFO_H

#include <sys/types.h>

#include "queue/counts.h"
#include "queue/interleave.h"
#include "queue/pace.h"
#include "queue/slots.h"

/* The most that one claim of a get takes. */
#define SQI_FIFO_BATCH_MAX 64

/* With fewer items, or less room, ahead: too close to the other side, see pace.h. */
#define SQI_FIFO_DISTANCE 64

struct sqi_fifo {
    struct sqi_counts counts;
    struct sqi_slots slots;
    _Alignas(SQI_APART) struct sqi_pace put_pace;
    _Alignas(SQI_APART) struct sqi_pace get_pace;
};

/* When sqi_fifo_add() did not: clears away what was in its way. SQ_OK, or why nothing can be put:
   SQ_EFULL, SQ_ESHUTDOWN, SQ_ENOMEM. */
int sqi_fifo_find_room(struct sqi_fifo *fifo);

/* When sqi_fifo_take() did not: clears away what was in its way, and waits for a put that is at
   work. SQ_OK, or why there is nothing to take: SQ_EEMPTY, SQ_ESHUTDOWN. */
int sqi_fifo_find_item(struct sqi_fifo *fifo);

/* Closed before, or used by this thread alone: takes out all that is in it, drops it, and counts it
   as done. When two threads do it at once, one of them finds nothing left and does not wait for the
   other. */
void sqi_fifo_drain(struct sqi_fifo *fifo, void (*drop)(void *item, void *context), void *context);

#define SQI_INLINE static inline __attribute__((always_inline))

/* Claims n tickets at most from *tail on: how many; 0 when something is in the way. */
SQI_INLINE uint64_t sqi_fifo_claim(struct sqi_fifo *fifo, size_t n, enum sqi_bias_way way,
                                   uint64_t *tail, struct sqi_slot **ret_segment)
{
    struct sqi_counts *counts = &fifo->counts;
    *tail = atomic_load(&counts->tail);
    /* Acquire: pairs with the release store in sqi_fifo_find_room(). */
    uint64_t limit = atomic_load_explicit(&counts->put_limit, memory_order_acquire);
    if (__builtin_expect(*tail >= limit, 0)) /* a closed tail always is */
        return 0;
    *ret_segment = sqi_slots_at_tail(&fifo->slots, *tail); /* before the claim: see slots.h */
    uint64_t count = n > 1 && n > limit - *tail ? limit - *tail : n;
    SQI_INTERLEAVE();
    if (way == SQI_BY_SWAP)
        return atomic_compare_exchange_strong(&counts->tail, tail, *tail + count) ? count : 0;
    /* Relaxed: the release store of `published` comes behind it. */
    atomic_store_explicit(&counts->tail, *tail + count, memory_order_relaxed);
    return count;
}

/* Puts n items at most, if nothing is in the way: how many, or 0. *ret_way: how it claimed, for
   sqi_gate_wake_one(). */
SQI_INLINE size_t sqi_fifo_add(struct sqi_fifo *fifo, void *const *items, size_t n,
                               enum sqi_bias_way *ret_way)
{
    uint64_t ticket, count = 0;
    struct sqi_slot *segment;
    *ret_way = sqi_bias_enter(&fifo->counts.bias);
    if (*ret_way == SQI_BY_SWAP) {
        count = sqi_fifo_claim(fifo, n, SQI_BY_SWAP, &ticket, &segment);
    } else if (*ret_way == SQI_BY_STORE) {
        count = sqi_fifo_claim(fifo, n, SQI_BY_STORE, &ticket, &segment);
        sqi_bias_leave(&fifo->counts.bias);
    }
    if (__builtin_expect(count == 0, 0))
        return 0;
    sqi_counts_note_size(&fifo->counts, ticket + count); /* before others can take them */
    SQI_INTERLEAVE();
    size_t i = 0;
    do {
        struct sqi_slot *slot = sqi_slot_in(&fifo->slots, segment, ticket);
        atomic_store_explicit(&slot->item, items[i], memory_order_relaxed);
        /* Release: pairs with the acquire load in sqi_fifo_take(). */
        atomic_store_explicit(&slot->published, ++ticket, memory_order_release);
    } while (n > 1 && ++i < count);
    return count;
}

/* Takes n items at most, n no more than SQI_FIFO_BATCH_MAX, if they are at hand: how many, or 0. In
   either case items may have been written. */
SQI_INLINE size_t sqi_fifo_take(struct sqi_fifo *fifo, size_t n, void **items)
{
    struct sqi_counts *counts = &fifo->counts;
    uint64_t head = atomic_load(&counts->head);
    /* Acquire: pairs with the release store in sqi_fifo_find_item(). */
    uint64_t limit = atomic_load_explicit(&counts->get_limit, memory_order_acquire);
    if (__builtin_expect(head >= limit, 0)) /* after a drain it always is */
        return 0;
    n = n > 1 && n > limit - head ? limit - head : n;
    struct sqi_slot *segment = sqi_slots_at_head(&fifo->slots, head);
    size_t count = 0;
    do {
        struct sqi_slot *slot = sqi_slot_in(&fifo->slots, segment, head + count);
        /* Acquire: pairs with the release store in sqi_fifo_add(). */
        if (atomic_load_explicit(&slot->published, memory_order_acquire) != head + count + 1)
            break;
        /* Relaxed: the claim tells whether it was the right item. */
        items[count] = atomic_load_explicit(&slot->item, memory_order_relaxed);
    } while (++count < n);
    SQI_INTERLEAVE();
    if (__builtin_expect(
            count == 0 || !atomic_compare_exchange_strong(&counts->head, &head, head + count), 0))
        return 0;
    return count;
}

/* How many were put, at least 1, or SQ_EFULL, SQ_ESHUTDOWN, SQ_ENOMEM. */
static inline int64_t sqi_fifo_put(struct sqi_fifo *fifo, void *const *items, size_t n,
                                   enum sqi_bias_way *ret_way)
{
    size_t count;
    while ((count = sqi_fifo_add(fifo, items, n, ret_way)) == 0) {
        int result = sqi_fifo_find_room(fifo);
        if (result < 0)
            return result;
    }
    return (int64_t)count;
}

/* How many were taken, at least 1, or SQ_EEMPTY, SQ_ESHUTDOWN. */
static inline int64_t sqi_fifo_get(struct sqi_fifo *fifo, size_t n, void **items)
{
    size_t count;
    while ((count = sqi_fifo_take(fifo, n, items)) == 0) {
        int result = sqi_fifo_find_item(fifo);
        if (result < 0)
            return result;
    }
    return (int64_t)count;
}

#endif
