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
 *     put   room? ─► claim: tail + n ─► item ─► published = ticket + 1
 *     get   published = ticket + 1? ─► item ─► claim: head + n
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
 * Pairs
 *     published: release in put            acquire in get         the item is there
 *     head:      release (of seq_cst)      acquire in put         the item was read, write again
 *     head_seen: release                   acquire in put         passes the one above on
 *     tail:      release (of seq_cst)      acquire in both        the segment is ready
 *     tail or head, then the gate's word: seq_cst against the gate's enter, then tail or head
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
#include "queue/slots.h"

/* The most that one claim of a get takes. */
#define SQI_FIFO_BATCH_MAX 64

struct sqi_fifo {
    struct sqi_counts counts;
    struct sqi_slots slots;
};

/* What a look at both numbers says: a ticket to go on with, or why there is none. */
struct sqi_fifo_look {
    uint64_t ticket; /* the tail or head as it is now */
    int64_t result;  /* how many tickets there may be from it on, at least 1, or a code */
};

/* When tail and head_seen show no room: SQ_EFULL, SQ_ESHUTDOWN, or how many may be put. */
struct sqi_fifo_look sqi_fifo_find_room(struct sqi_fifo *fifo, uint64_t tail);

/* When the slot of ticket head is not published: SQ_EEMPTY, SQ_ESHUTDOWN, or 1, which says to look
   again. Waits while the put that has the ticket is at work. */
struct sqi_fifo_look sqi_fifo_find_item(struct sqi_fifo *fifo, uint64_t head);

/* Closed before: takes out all that is in it, drops it, and counts it as done. When two threads do
   it at once, one of them finds nothing left and does not wait for the other. */
void sqi_fifo_drain(struct sqi_fifo *fifo, void (*drop)(void *item, void *context), void *context);

#define SQI_INLINE static inline __attribute__((always_inline))

/* The tickets that a put has. */
struct sqi_fifo_claim {
    uint64_t ticket; /* the first of them */
    struct sqi_slot *segment;
    int64_t count;  /* at least 1, or SQ_EFULL, SQ_ESHUTDOWN, SQ_ENOMEM */
    bool is_biased; /* claimed by a plain store */
};

/* Claims n tickets at most. */
SQI_INLINE struct sqi_fifo_claim sqi_fifo_claim(struct sqi_fifo *fifo, size_t n, bool is_biased)
{
    struct sqi_counts *counts = &fifo->counts;
    uint64_t tail = atomic_load(&counts->tail), count;
    struct sqi_slot *segment;
    do {
        /* Acquire: pairs with the stores of head_seen, so that slots below it may be written. */
        uint64_t used = tail - atomic_load_explicit(&counts->head_seen, memory_order_acquire);
        uint64_t room = counts->capacity - used;
        /* Full as it seems, closed (tail is huge then), or tail is older than head_seen. */
        if (__builtin_expect(used >= counts->capacity, 0)) {
            struct sqi_fifo_look look = sqi_fifo_find_room(fifo, tail);
            if (look.result < 0)
                return (struct sqi_fifo_claim){.count = look.result};
            tail = look.ticket;
            room = (uint64_t)look.result;
        }
        if (__builtin_expect(sqi_slots_begins(&fifo->slots, tail), 0) &&
            sqi_slots_extend(&fifo->slots, tail) < 0)
            return (struct sqi_fifo_claim){.count = SQ_ENOMEM};
        segment = sqi_slots_at_tail(&fifo->slots, tail); /* before the claim: see slots.h */
        count = 1;
        if (n > 1) {
            uint64_t run = sqi_slots_run(&fifo->slots, tail);
            count = n < room ? n : room;
            count = count < run ? count : run;
        }
        SQI_INTERLEAVE();
        if (is_biased) {
            /* Relaxed: the release store of `published` comes behind it. */
            atomic_store_explicit(&counts->tail, tail + count, memory_order_relaxed);
            break;
        }
    } while (!atomic_compare_exchange_strong(&counts->tail, &tail, tail + count));
    return (struct sqi_fifo_claim){tail, segment, (int64_t)count, is_biased};
}

/* Claims as sqi_fifo_claim() does, by plain stores for who has the bias: see counts.h. */
SQI_INLINE struct sqi_fifo_claim sqi_fifo_claim_any(struct sqi_fifo *fifo, size_t n)
{
    struct sqi_counts *counts = &fifo->counts;
    /* Acquire: pairs with the release store in end_bias(). */
    uintptr_t bias = atomic_load_explicit(&counts->bias, memory_order_acquire), self = sqi_self();
    if (bias == SQI_BIAS_ENDED ||
        (bias != self && bias != SQI_BIAS_ANYBODY && !sqi_counts_take_bias(counts)))
        return sqi_fifo_claim(fifo, n, false);
    struct sqi_fifo_claim claim = {.count = 0};
    atomic_store_explicit(&counts->is_claiming, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* pairs with sqi_membarrier() in end_bias() */
    if (atomic_load_explicit(&counts->bias, memory_order_relaxed) > SQI_BIAS_ENDING)
        claim = sqi_fifo_claim(fifo, n, true);
    /* Release: pairs with the acquire load in end_bias(). */
    atomic_store_explicit(&counts->is_claiming, false, memory_order_release);
    if (claim.count != 0)
        return claim;
    sqi_counts_end_bias(counts);
    return sqi_fifo_claim(fifo, n, false);
}

/* How many were put, at least 1, or SQ_EFULL, SQ_ESHUTDOWN, SQ_ENOMEM. *ret_biased: by plain
   stores, for sqi_gate_wake_one(). */
SQI_INLINE int64_t sqi_fifo_put(struct sqi_fifo *fifo, void *const *items, size_t n,
                                bool *ret_biased)
{
    struct sqi_fifo_claim claim = sqi_fifo_claim_any(fifo, n);
    if (__builtin_expect(claim.count < 0, 0))
        return claim.count;
    SQI_INTERLEAVE();
    size_t i = 0;
    do {
        struct sqi_slot *slot = sqi_slot_in(&fifo->slots, claim.segment, claim.ticket);
        atomic_store_explicit(&slot->item, items[i], memory_order_relaxed);
        /* Release: pairs with the acquire load in sqi_fifo_read(). */
        atomic_store_explicit(&slot->published, ++claim.ticket, memory_order_release);
    } while (n > 1 && ++i < (size_t)claim.count);
    sqi_counts_note_size(&fifo->counts, claim.ticket);
    *ret_biased = claim.is_biased;
    return claim.count;
}

/* How many of the tickets from head on are published, n at most, and their items. */
SQI_INLINE size_t sqi_fifo_read(struct sqi_fifo *fifo, uint64_t head, size_t n, void **items)
{
    struct sqi_slot *segment = sqi_slots_at_head(&fifo->slots, head);
    size_t count = 0;
    do {
        struct sqi_slot *slot = sqi_slot_in(&fifo->slots, segment, head + count);
        /* Acquire: pairs with the release store in sqi_fifo_put(). */
        if (atomic_load_explicit(&slot->published, memory_order_acquire) != head + count + 1)
            break;
        /* Relaxed: the claim tells whether it was the right item. */
        items[count] = atomic_load_explicit(&slot->item, memory_order_relaxed);
    } while (++count < n);
    return count;
}

/* Takes n items at most, n no more than SQI_FIFO_BATCH_MAX: how many, at least 1, or SQ_EEMPTY,
   SQ_ESHUTDOWN. items may be written in any case. */
SQI_INLINE int64_t sqi_fifo_get(struct sqi_fifo *fifo, size_t n, void **items)
{
    struct sqi_counts *counts = &fifo->counts;
    uint64_t head = atomic_load(&counts->head);
    for (;;) {
        size_t count = 0;
        if (__builtin_expect(sqi_slots_is_ready(&fifo->slots, head), 1)) {
            uint64_t run = n > 1 ? sqi_slots_run(&fifo->slots, head) : 1;
            count = sqi_fifo_read(fifo, head, n < run ? n : (size_t)run, items);
        }
        SQI_INTERLEAVE();
        if (__builtin_expect(count == 0, 0)) {
            struct sqi_fifo_look look = sqi_fifo_find_item(fifo, head);
            if (look.result < 0)
                return look.result;
            head = look.ticket;
        } else if (atomic_compare_exchange_strong(&counts->head, &head, head + count)) {
            return (int64_t)count;
        }
    }
}

#endif
