/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/counts.h"

#include <assert.h>

#include "base/membarrier.h"
#include "queue/interleave.h"
#include "queue/relax.h"

/* ThreadSanitizer does not see what membarrier orders. */
#if defined __SANITIZE_THREAD__
#define BIAS_ALLOWED 0
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define BIAS_ALLOWED 0
#endif
#endif
#ifndef BIAS_ALLOWED
#define BIAS_ALLOWED 1
#endif

/* A barrier takes 5 to 45 µs, and the bias saves some 5 ns a put: it is worth one sleep in so many
   puts, and some at the start. */
#define PUTS_A_SLEEP 4096
#define SLEEPS_AT_START 16

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

_Thread_local char sqi_thread_mark;

void sqi_counts_init(struct sqi_counts *counts, uint64_t capacity, uintptr_t bias)
{
    if (!BIAS_ALLOWED || !sqi_membarrier_works())
        bias = SQI_BIAS_ENDED;
    *counts = (struct sqi_counts){
        .capacity = capacity,
        .began_biased = bias != SQI_BIAS_ENDED,
        .bias = bias,
    };
    int failed = pthread_mutex_init(&counts->lock, NULL);
    assert(!failed); /* only attributes could make it fail */
}

/* ── the bias ─────────────────────────────────────────────────────────────────────────────── */

/* With the lock held. */
static bool has_bias(const struct sqi_counts *counts)
{
    return atomic_load_explicit(&counts->bias, memory_order_relaxed) != SQI_BIAS_ENDED;
}

/* With the lock held. */
static void end_bias(struct sqi_counts *counts)
{
    unsigned turn = 0;
    atomic_store(&counts->bias, SQI_BIAS_ENDING);
    (void)
        sqi_membarrier(); /* pairs with the order of the stores and loads in sqi_fifo_claim_any() */
    SQI_INTERLEAVE();
    /* Acquire: pairs with the release store there, and shows the tail that was claimed. */
    while (atomic_load_explicit(&counts->is_claiming, memory_order_acquire))
        sqi_relax(&turn);
    /* Release: pairs with the acquire load of who is about to claim by compare-and-swap. */
    atomic_store_explicit(&counts->bias, SQI_BIAS_ENDED, memory_order_release);
}

void sqi_counts_end_bias(struct sqi_counts *counts)
{
    /* With the lock: another thread may be half-way through it. */
    lock(counts);
    if (has_bias(counts))
        end_bias(counts);
    unlock(counts);
}

bool sqi_counts_take_bias(struct sqi_counts *counts)
{
    uintptr_t whose = SQI_BIAS_NOBODY;
    if (atomic_compare_exchange_strong(&counts->bias, &whose, sqi_self()))
        return true;
    sqi_counts_end_bias(counts);
    return false;
}

void sqi_counts_before_sleep(struct sqi_counts *counts)
{
    if (!counts->began_biased)
        return;
    lock(counts);
    if (has_bias(counts)) {
        uint64_t tail = atomic_load(&counts->tail) & SQI_TICKET;
        bool too_many = ++counts->biased_sleeps > SLEEPS_AT_START + tail / PUTS_A_SLEEP;
        if (too_many || sqi_membarrier() < 0)
            end_bias(counts);
    }
    unlock(counts);
}

void sqi_counts_close(struct sqi_counts *counts)
{
    sqi_counts_end_bias(counts);
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

/* A lower bound of tail: tail itself, unless what is at hand is `more` beyond `done` already. The
   producers' line is theirs, and a look at it slows them down. */
static uint64_t tail_at_least(struct sqi_counts *counts, uint64_t done, uint64_t more)
{
    /* Relaxed, both: as above. Mostly head is enough, for done is counted after the get. */
    uint64_t head = atomic_load_explicit(&counts->head, memory_order_relaxed) & SQI_TICKET;
    if (head >= done && head - done >= more)
        return head;
    uint64_t tail_seen = atomic_load_explicit(&counts->tail_seen, memory_order_relaxed);
    return tail_seen >= done && tail_seen - done >= more ? tail_seen : look_at_tail(counts);
}

int sqi_counts_task_done(struct sqi_counts *counts, size_t n, uint64_t *ret_unfinished)
{
    uint64_t done = atomic_load(&counts->done), bound;
    do {
        bound = tail_at_least(counts, done, n);
        *ret_unfinished = bound - done;
        if (n > *ret_unfinished)
            return SQ_ETOOMANY;
        SQI_INTERLEAVE();
    } while (!atomic_compare_exchange_weak(&counts->done, &done, done + n));
    *ret_unfinished -= n;
    return SQ_OK;
}

uint64_t sqi_counts_drain(struct sqi_counts *counts, uint64_t *ret_first)
{
    uint64_t tail = atomic_load(&counts->tail) & SQI_TICKET; /* closed: it stays */
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

void sqi_counts_raise_high_water(struct sqi_counts *counts, uint64_t tail)
{
    /* Acquire and release: as in sqi_fifo_find_room(). Read after the claim: there was an instant
       with no less than tail - head in the queue. */
    uint64_t head = atomic_load_explicit(&counts->head, memory_order_acquire) & SQI_TICKET;
    atomic_store_explicit(&counts->head_seen, head, memory_order_release);
    uint64_t high_water = atomic_load_explicit(&counts->high_water, memory_order_relaxed);
    while (head < tail && tail - head > high_water &&
           !atomic_compare_exchange_weak_explicit(&counts->high_water, &high_water, tail - head,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
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
    /* A put may not have noted yet what it has claimed. */
    uint64_t high_water = atomic_load_explicit(&counts->high_water, memory_order_relaxed);
    *ret_stats = (sq_queue_stats){
        .capacity = counts->capacity == SQI_UNBOUNDED ? 0 : counts->capacity,
        .size = size,
        .unfinished = put - done,
        .high_water = high_water > size ? high_water : size,
        .puts = put,
        .gets = gets,
        .dones = done,
        .drops = taken - gets,
        .is_shutdown = tail & SQI_CLOSED,
    };
}
