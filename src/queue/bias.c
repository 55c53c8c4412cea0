/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/bias.h"

#include <assert.h>

#include "base/membarrier.h"
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

/* A barrier takes 5 to 45 µs, and the bias saves some 5 ns a change: it is worth one in so many
   changes, and some at the start. */
#define CHANGES_A_BARRIER 4096
#define BARRIERS_AT_START 16

_Thread_local char sqi_thread_mark;

static void lock(struct sqi_bias *bias)
{
    int failed = pthread_mutex_lock(&bias->lock);
    assert(!failed);
}

static void unlock(struct sqi_bias *bias)
{
    int failed = pthread_mutex_unlock(&bias->lock);
    assert(!failed);
}

void sqi_bias_init(struct sqi_bias *bias, uintptr_t owner)
{
    bool is_allowed = BIAS_ALLOWED && owner != SQI_BIAS_ENDED && sqi_membarrier_works();
    *bias = (struct sqi_bias){.owner = is_allowed ? owner : SQI_BIAS_ENDED};
    int failed = pthread_mutex_init(&bias->lock, NULL);
    assert(!failed); /* only attributes could make it fail */
}

static bool has_ended(const struct sqi_bias *bias)
{
    /* Acquire: pairs with the release store in end(). */
    return atomic_load_explicit(&bias->owner, memory_order_acquire) == SQI_BIAS_ENDED;
}

/* With the lock held. */
static void end(struct sqi_bias *bias)
{
    unsigned turn = 0;
    atomic_store(&bias->owner, SQI_BIAS_ENDING);
    (void)sqi_membarrier(); /* pairs with the order of store and load in sqi_bias_enter() */
    SQI_INTERLEAVE();
    /* Acquire: pairs with the release store in sqi_bias_leave(), and shows what was changed. */
    while (atomic_load_explicit(&bias->is_in_use, memory_order_acquire))
        sqi_relax(&turn);
    /* Release: pairs with the acquire load of who is about to change by compare-and-swap. */
    atomic_store_explicit(&bias->owner, SQI_BIAS_ENDED, memory_order_release);
}

void sqi_bias_end(struct sqi_bias *bias)
{
    if (has_ended(bias))
        return;
    lock(bias);
    if (!has_ended(bias))
        end(bias);
    unlock(bias);
}

void sqi_bias_settle(struct sqi_bias *bias)
{
    uintptr_t owner = atomic_load(&bias->owner), self = sqi_self();
    if (owner == SQI_BIAS_NOBODY && atomic_compare_exchange_strong(&bias->owner, &owner, self))
        return;
    if (owner != self && owner != SQI_BIAS_ANYBODY)
        sqi_bias_end(bias);
}

bool sqi_bias_barrier(struct sqi_bias *bias, uint64_t number)
{
    /* Nobody's: no plain store was made; and who takes it after this load, and after the enter that
       came before it, sees the sleeper. Seq_cst, as is all of that. */
    if (atomic_load(&bias->owner) == SQI_BIAS_NOBODY || has_ended(bias))
        return false;
    lock(bias);
    if (!has_ended(bias)) {
        bool too_many = ++bias->barriers > BARRIERS_AT_START + number / CHANGES_A_BARRIER;
        if (too_many || sqi_membarrier() < 0)
            end(bias);
    }
    unlock(bias);
    return true;
}
