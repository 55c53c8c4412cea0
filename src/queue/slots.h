/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the items of a FIFO are: a ticket, which is the how-manieth item this is, has its slot.
 *
 *     ring       one array, as large as the capacity; the ticket modulo its size is the slot
 *     segments   arrays of SQI_SEGMENT_SLOTS, made as tickets get there, used again once read:
 *                for a FIFO without a capacity, or with one above SQI_RING_SLOTS_MAX
 *
 *            at_head[k & 1]                         at_tail[m & 1]
 *                 ▼                                      ▼
 *     spare … [ segment k ] ─► [ segment k + 1 ] ─► … [ segment m ]
 *              read from here                          written here
 *
 * A ring is like one segment that is never full: where capacity allows a claim, the slot is free.
 *
 * Slots are never freed before the queue is, though segments that are not needed give their pages
 * back to the system (madvise). That is what lets a get read a slot before it has claimed the
 * ticket: the slot may by then be another ticket's, or zero, and the claim fails; but it is there.
 * What a program keeps of a burst is addresses, and 32 bytes a segment.
 *
 * Invariants
 * 1. at_tail[k & 1] is segment k from before the first claim of a put in it until after the first
 *    claim in segment k + 1; so a put whose claim succeeds has read the right one. at_head is
 *    the same for the claims of gets.
 * 2. Segment k becomes spare when head has passed its end: all its items were read then.
 * 3. `published` of a slot only ever grows, or is wiped to 0 with its page.
 *
 * Rejected: freeing segments (each get would have to announce which one it is about to read, with
 * a barrier); reading only after the claim (a mark a slot that it was read, which doubles the cache
 * lines that travel back); one huge mapping for all tickets (address space is limited, and where
 * overcommit is refused so is that).
 */
#ifndef SQI_QUEUE_SLOTS_H
#define SQI_QUEUE_SLOTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef SQI_SEGMENT_SHIFT /* tests make segments tiny */
#define SQI_SEGMENT_SHIFT 12
#endif
#define SQI_SEGMENT_SLOTS (UINT64_C(1) << SQI_SEGMENT_SHIFT) /* 64 KiB */
#define SQI_RING_SLOTS_MAX (UINT64_C(1) << 20)               /* 16 MiB */
#define SQI_SEGMENTS_HOT_MAX 4                               /* spare ones that keep their pages */

struct sqi_slot {
    _Atomic uint64_t published; /* the ticket of its item, plus 1; another: not yet, or no more */
    _Atomic(void *) item;
};
_Static_assert(sizeof(struct sqi_slot) == 16, "four slots in a cache line");

struct sqi_segment {
    struct sqi_slot *slots;
    struct sqi_segment *next;   /* the next in order, or the next spare one */
    struct sqi_segment *before; /* made before this one */
};

struct sqi_slots {
    /* constant */
    bool is_segmented;
    struct sqi_slot *ring; /* where it is not */
    uint64_t block_mask;   /* of a ticket: where in the ring or segment its block is */
    void *ring_memory;     /* as allocated */

    _Atomic(struct sqi_slot *) at_tail[2], at_head[2];

    pthread_mutex_t lock;              /* guards what follows, and changes of what stands before */
    uint64_t tail_number, head_number; /* of the segments last made ready */
    struct sqi_segment *tail_segment, *head_segment, *hot, *cold;
    unsigned hot_count;
    _Atomic(struct sqi_segment *) made; /* all of them, the last one first */
};

/* For capacity items at most, or any number: UINT64_MAX. SQ_OK or SQ_ENOMEM. */
int sqi_slots_init(struct sqi_slots *slots, uint64_t capacity);

/* Gives all memory back. Also in the child of a fork. */
void sqi_slots_free(struct sqi_slots *slots);

/* Consecutive tickets take turns between two neighbouring cache lines: who writes one slot then
   seldom takes the line from who reads the one before. Tickets 0 to 7 have the slots

       0 . 2 . 4 . 6 .   in bytes 0, 16, 32, 48          the line of the even ones
       . 1 . 3 . 5 . 7   in bytes 64, 80, 96, 112        that of the odd ones

   In bytes and by bits, since a get can't begin to read before it knows. */
#define SQI_BLOCK_SLOTS 8

static inline struct sqi_slot *sqi_slot_in(const struct sqi_slots *slots, struct sqi_slot *segment,
                                           uint64_t ticket)
{
    _Static_assert(sizeof *segment == 16 && SQI_BLOCK_SLOTS == 8, "as drawn above");
    uint64_t block_bytes = (ticket & slots->block_mask) << 4;
    return (struct sqi_slot *)((char *)segment + block_bytes + ((ticket & 1) << 6) +
                               ((ticket & 6) << 3));
}

/* The segment of a ticket that tail, or head, has come to. To be read before the claim: invariant 1
   holds for those alone. Relaxed: ordered by the acquire load of the limit that the ticket is below
   (fifo.h). */

static inline struct sqi_slot *sqi_slots_at_tail(struct sqi_slots *slots, uint64_t ticket)
{
    if (!slots->is_segmented)
        return slots->ring;
    return atomic_load_explicit(&slots->at_tail[ticket >> SQI_SEGMENT_SHIFT & 1],
                                memory_order_relaxed);
}

static inline struct sqi_slot *sqi_slots_at_head(struct sqi_slots *slots, uint64_t ticket)
{
    if (!slots->is_segmented)
        return slots->ring;
    return atomic_load_explicit(&slots->at_head[ticket >> SQI_SEGMENT_SHIFT & 1],
                                memory_order_relaxed);
}

/* How many tickets from this one on have their slots in the same segment. Of a ring, too, that is a
   way to divide its tickets. */
static inline uint64_t sqi_slots_run(uint64_t ticket)
{
    return SQI_SEGMENT_SLOTS - ticket % SQI_SEGMENT_SLOTS;
}

/* Makes this ticket's segment ready for puts. Tail is there, or was: SQ_OK, or SQ_ENOMEM and
   nothing changed. Nothing to do in a ring, as for sqi_slots_advance(). */
int sqi_slots_extend(struct sqi_slots *slots, uint64_t ticket);

/* Makes this ticket's segment ready for gets. Head is there, or was, and tail beyond it. The
   segment before becomes spare. */
void sqi_slots_advance(struct sqi_slots *slots, uint64_t ticket);

#endif
