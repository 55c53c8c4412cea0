/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was put, taken and done: the numbers of a queue, whatever order its items leave in.
 *
 *     done ≤ tail          head ≤ tail          tail - head ≤ capacity
 *
 *     tail   items put, and the next put's ticket; bit 63: closed
 *     head   items taken, and the next get's ticket; bit 63: the rest was drained
 *     done   items counted as done
 *
 * Each only grows, and is changed in one step (but see the bias). Nothing else is counted: size,
 * unfinished and the counters that users see are differences.
 *
 * A difference of two numbers that are read one after the other is true at one instant, if the
 * reads come in the right order. That is where operations which find nothing take effect:
 *
 *     full        tail, then head:  tail - head ≥ capacity when head is read; tail only grew
 *     empty       head, then tail:  tail = head when tail is read; head ≤ tail, and only grew
 *     finished    done, then tail:  tail = done when tail is read, likewise. The other way round
 *                                   it is early when a worker puts a child, then finishes its
 *                                   parent in between.
 *     too many    done, then tail:  done + n > tail when tail is read
 *
 * Closing is a bit of tail, so a claim by compare-and-swap fails when it comes after the closing;
 * and a put that came before it is in the tail that the bit was set on. No put can be in between.
 *
 * Order. Claims, `done` and the closing are seq_cst, and so are the loads that decide to sleep:
 * with a gate's word, which is seq_cst too, the pairs of gate.h need no fence (on x86 such loads
 * are plain moves; the compare-and-swaps are there anyway).
 *
 * The bias: while one thread alone puts, it changes tail by plain stores (bias.h). What is said
 * above holds for these, too: they come one after the other.
 *
 * Rejected: `unfinished` as a number of its own (an addition that all producers and consumers
 * share); task_done as add-and-undo (join could see the addition).
 */
#ifndef SQI_QUEUE_COUNTS_H
#define SQI_QUEUE_COUNTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "queue/bias.h"
#include "queue/interleave.h"
#include "sealq/queue.h"

#define SQI_CLOSED (UINT64_C(1) << 63)
#define SQI_DRAINED (UINT64_C(1) << 63)
#define SQI_TICKET (~SQI_CLOSED)
/* Below SQI_CLOSED: a closed tail is beyond any capacity. */
#define SQI_UNBOUNDED (UINT64_C(1) << 62)

/* Two cache lines: some processors fetch them in pairs. */
#define SQI_APART 128

struct sqi_counts {
    uint64_t capacity; /* constant; SQI_UNBOUNDED: none */

    /* the producers' */
    _Alignas(SQI_APART) _Atomic uint64_t tail;
    _Atomic uint64_t head_seen;  /* head as a put last saw it: at most head */
    _Atomic uint64_t high_water; /* the largest size that a put has seen */
    _Atomic uint64_t mark_due;   /* a hint: larger sizes are to be seen */
    _Atomic uint64_t put_limit;  /* of a FIFO: tickets below it may be claimed, see fifo.h */
    struct sqi_bias bias;        /* of puts */

    /* the consumers' */
    _Alignas(SQI_APART) _Atomic uint64_t head;
    _Atomic uint64_t done;
    _Atomic uint64_t tail_seen; /* tail as somebody here last saw it: at most tail */
    _Atomic uint64_t get_limit; /* of a FIFO: tickets below it may be looked for */

    _Alignas(SQI_APART) pthread_mutex_t lock; /* guards the drain */
    uint64_t drained_from; /* head before the drain; read when SQI_DRAINED is set */
};

/* bias_owner: as for sqi_bias_init(). */
void sqi_counts_init(struct sqi_counts *counts, uint64_t capacity, uintptr_t bias_owner);

/* No more puts from here on. */
void sqi_counts_close(struct sqi_counts *counts);

/* Closed before, or used by this thread alone: claims all tickets from head to tail, for good and
   in one step. Answers how many; 0 when that was done before. ret_first: the first of them. */
uint64_t sqi_counts_drain(struct sqi_counts *counts, uint64_t *ret_first);

/* Counts n as done, or as many as are unfinished: task_done may have come before the get. */
void sqi_counts_drained(struct sqi_counts *counts, uint64_t n);

bool sqi_counts_is_finished(struct sqi_counts *counts);

/* All of them for one instant, or, where calls keep coming in between, for instants as near to
   each other as may be. */
void sqi_counts_stat(struct sqi_counts *counts, sq_queue_stats *ret_stats);

/* A hint. */
static inline uint64_t sqi_counts_size(const struct sqi_counts *counts)
{
    uint64_t head = atomic_load_explicit(&counts->head, memory_order_acquire) & SQI_TICKET;
    uint64_t tail = atomic_load_explicit(&counts->tail, memory_order_acquire) & SQI_TICKET;
    /* Others took and put in between: no size there ever was is above the capacity. */
    return tail - head < counts->capacity ? tail - head : counts->capacity;
}

static inline bool sqi_counts_has_room(const struct sqi_counts *counts)
{
    uint64_t tail = atomic_load(&counts->tail) & SQI_TICKET;
    uint64_t head = atomic_load(&counts->head) & SQI_TICKET;
    return tail - head < counts->capacity;
}

static inline bool sqi_counts_has_items(const struct sqi_counts *counts)
{
    uint64_t head = atomic_load(&counts->head) & SQI_TICKET;
    return (atomic_load(&counts->tail) & SQI_TICKET) != head;
}

/* What sq_queue_task_done() does: SQ_OK or SQ_ETOOMANY. *ret_unfinished: how many items are, as far
   as it takes no look at tail; so 0 says that these may be the ones that joiners wait for. On
   failure exactly. */
int sqi_counts_task_done(struct sqi_counts *counts, size_t n, uint64_t *ret_unfinished);

/* The same, if nothing is in the way: whether it was counted. */
static inline bool sqi_counts_try_done(struct sqi_counts *counts, size_t n,
                                       uint64_t *ret_unfinished)
{
    uint64_t done = atomic_load(&counts->done);
    /* Relaxed, both: any value that head or tail ever had is a lower bound of tail. Mostly head is
       enough, for done is counted after the get. */
    uint64_t bound = atomic_load_explicit(&counts->head, memory_order_relaxed) & SQI_TICKET;
    if (__builtin_expect(bound < done || bound - done < n, 0))
        bound = atomic_load_explicit(&counts->tail_seen, memory_order_relaxed);
    SQI_INTERLEAVE();
    *ret_unfinished = bound - done - n;
    return bound >= done && bound - done >= n &&
           atomic_compare_exchange_strong(&counts->done, &done, done + n);
}

/* Above this the high-water mark may be too low by a 128th part. */
#define SQI_EXACT_MARK_MAX 4096

/* Makes the high-water mark what it should be after a claim that ended at this tail. */
void sqi_counts_raise_high_water(struct sqi_counts *counts, uint64_t tail);

/* After a claim that ended at this tail. The mark may miss a size that lasted for less than a put,
   and is never more than there was. */
static inline void sqi_counts_note_size(struct sqi_counts *counts, uint64_t tail)
{
    /* Relaxed: hints. head_seen makes the size too large if anything, and mostly that is enough to
       know that the mark stands. */
    uint64_t size = tail - atomic_load_explicit(&counts->head_seen, memory_order_relaxed);
    if (__builtin_expect(size > atomic_load_explicit(&counts->mark_due, memory_order_relaxed), 0))
        sqi_counts_raise_high_water(counts, tail);
}

#endif
