/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/counts.h"

#include <assert.h>

#include "queue/interleave.h"

#define SNAPSHOT_TRIES 1000

static void lock(struct sqi_counts *counts)
{
    int failed = pthread_mutex_lock(&counts->lock);
    assert(!failed);
}

static void unlock(struct sqi_counts *counts)
{
    int failed = pthread_mutex_unlock(&counts->lock);
    assert(!failed);
}

void sqi_counts_init(struct sqi_counts *counts, uint64_t capacity, uintptr_t bias_owner)
{
    *counts = (struct sqi_counts){.capacity = capacity};
    sqi_bias_init(&counts->bias, bias_owner);
    int failed = pthread_mutex_init(&counts->lock, NULL);
    assert(!failed); /* only attributes could make it fail */
}

void sqi_counts_close(struct sqi_counts *counts)
{
    sqi_bias_end(&counts->bias); /* a plain store of tail would erase the bit */
    SQI_INTERLEAVE();
    atomic_fetch_or(&counts->tail, SQI_CLOSED);
}

/* ── done ─────────────────────────────────────────────────────────────────────────────────── */

static uint64_t look_at_tail(struct sqi_counts *counts)
{
    uint64_t tail = atomic_load(&counts->tail) & SQI_TICKET;
    /* Relaxed: any value that tail ever had is a lower bound of it. */
    atomic_store_explicit(&counts->tail_seen, tail, memory_order_relaxed);
    return tail;
}

int sqi_counts_task_done(struct sqi_counts *counts, size_t n, uint64_t *ret_unfinished)
{
    while (!sqi_counts_try_done(counts, n, ret_unfinished)) {
        uint64_t done = atomic_load(&counts->done);
        SQI_INTERLEAVE();
        *ret_unfinished = look_at_tail(counts) - done;
        if (n > *ret_unfinished)
            return SQ_ETOOMANY;
    }
    return SQ_OK;
}

uint64_t sqi_counts_drain(struct sqi_counts *counts, uint64_t *ret_first)
{
    uint64_t tail = atomic_load(&counts->tail) & SQI_TICKET; /* it stays */
    lock(counts);
    uint64_t head = atomic_load(&counts->head);
    bool is_first = !(head & SQI_DRAINED);
    if (is_first)
        do {
            counts->drained_from = head;
            SQI_INTERLEAVE();
        } while (!atomic_compare_exchange_weak(&counts->head, &head, tail | SQI_DRAINED));
    unlock(counts);
    *ret_first = head;
    return is_first ? tail - head : 0;
}

void sqi_counts_drained(struct sqi_counts *counts, uint64_t n)
{
    uint64_t done = atomic_load(&counts->done), unfinished;
    do {
        unfinished = (atomic_load(&counts->tail) & SQI_TICKET) - done;
    } while (!atomic_compare_exchange_weak(&counts->done, &done,
                                           done + (n < unfinished ? n : unfinished)));
}

bool sqi_counts_is_finished(struct sqi_counts *counts)
{
    uint64_t done = atomic_load(&counts->done);
    SQI_INTERLEAVE();
    /* More were put than were done then, or put since: either way unfinished at an instant. */
    if (atomic_load_explicit(&counts->tail_seen, memory_order_relaxed) > done)
        return false;
    return look_at_tail(counts) == done;
}

/* ── looking ──────────────────────────────────────────────────────────────────────────────── */

static void raise_mark(struct sqi_counts *counts, uint64_t size)
{
    uint64_t mark = atomic_load_explicit(&counts->high_water, memory_order_relaxed);
    while (size > mark &&
           !atomic_compare_exchange_weak_explicit(&counts->high_water, &mark, size,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void sqi_counts_raise_high_water(struct sqi_counts *counts, uint64_t tail)
{
    /* Seq_cst, so that it is read after the claim: there was an instant with no less than
       tail - head in the queue. */
    uint64_t head = atomic_load(&counts->head) & SQI_TICKET;
    atomic_store_explicit(&counts->head_seen, head, memory_order_relaxed);
    if (head < tail)
        raise_mark(counts, tail - head);
    /* While a queue grows every put makes a new mark, and a look at head by each would slow down
       the gets. */
    uint64_t mark = atomic_load_explicit(&counts->high_water, memory_order_relaxed);
    if (mark > SQI_EXACT_MARK_MAX)
        mark += mark / 128;
    atomic_store_explicit(&counts->mark_due, mark, memory_order_relaxed);
}

void sqi_counts_stat(struct sqi_counts *counts, sq_queue_stats *ret_stats)
{
    uint64_t done, head, tail;
    unsigned tries = 0;
    /* Numbers that only grow, and are the same when read again, all had these values in between. */
    do {
        done = atomic_load(&counts->done);
        SQI_INTERLEAVE();
        head = atomic_load(&counts->head);
        SQI_INTERLEAVE();
        tail = atomic_load(&counts->tail);
        SQI_INTERLEAVE();
    } while ((atomic_load(&counts->done) != done || atomic_load(&counts->head) != head) &&
             ++tries < SNAPSHOT_TRIES);
    uint64_t taken = head & SQI_TICKET, put = tail & SQI_TICKET;
    /* drained_from was set before the bit, which came with head. */
    uint64_t gets = head & SQI_DRAINED ? counts->drained_from : taken;
    uint64_t size = put - taken < counts->capacity ? put - taken : counts->capacity;
    raise_mark(counts, size); /* a put may not have noted yet what it has claimed */
    *ret_stats = (sq_queue_stats){
        .capacity = counts->capacity == SQI_UNBOUNDED ? 0 : counts->capacity,
        .size = size,
        .unfinished = put - done,
        .high_water = atomic_load_explicit(&counts->high_water, memory_order_relaxed),
        .puts = put,
        .gets = gets,
        .dones = done,
        .drops = taken - gets,
        .is_shutdown = tail & SQI_CLOSED,
    };
}
