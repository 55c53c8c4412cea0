/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bias: a number that one thread alone changes, it changes by plain stores.
 *
 * A compare-and-swap costs little by itself, but it waits until everything stored before it, such
 * as a slot, has come from another cache. The first thread that puts therefore has the bias of
 * tail, and keeps it until another thread puts. Everybody else pays (membarrier.h):
 *
 *     who has the bias                             who ends it
 *     is_in_use = true                             owner = SQI_BIAS_ENDING
 *     the bias still mine? no: as others do        sqi_membarrier()
 *     change the number, by a plain store          wait until !is_in_use
 *     is_in_use = false                            owner = SQI_BIAS_ENDED
 *
 * Either the owner sees that the bias is ending, or its change is waited for; and nobody changes
 * the number in the other way, by compare-and-swap, before the bias has ended.
 *
 * A plain store may become visible after the load that follows it. So who relies on the order of
 * the two pays as well, by sqi_bias_barrier(): a get before it sleeps (the load is that of the
 * gate's word, gate.h), or before it answers "empty" at once, and a join before it answers
 * "finished" (for then the load may be of anything of the user's).
 *
 * It ends, for good, when another thread makes the same kind of call, when the queue is closed,
 * when barriers come so often that they cost more than it saves, or when membarrier(2) begins to
 * fail. Where a queue was promised a single producer, "the thread" is whoever puts.
 */
#ifndef SQI_QUEUE_BIAS_H
#define SQI_QUEUE_BIAS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "queue/interleave.h"

#define SQI_BIAS_ENDED ((uintptr_t)0)   /* for good */
#define SQI_BIAS_ENDING ((uintptr_t)1)  /* it may still be in use */
#define SQI_BIAS_NOBODY ((uintptr_t)2)  /* yet: the first that calls takes it */
#define SQI_BIAS_ANYBODY ((uintptr_t)3) /* at a time: whoever calls */

struct sqi_bias {
    _Atomic uintptr_t owner; /* a thread's sqi_self(), or one of the above */
    atomic_bool is_in_use;
    pthread_mutex_t lock; /* guards `barriers`; and one thread is enough to end it */
    uint64_t barriers;    /* that others made */
};

/* Which thread this is: an address, used again only after the thread has ended. */
extern _Thread_local char sqi_thread_mark __attribute__((tls_model("initial-exec")));

static inline uintptr_t sqi_self(void)
{
    return (uintptr_t)&sqi_thread_mark;
}

/* owner: SQI_BIAS_NOBODY, SQI_BIAS_ANYBODY, or SQI_BIAS_ENDED for no bias at all. */
void sqi_bias_init(struct sqi_bias *bias, uintptr_t owner);

/* How to change the number: by SQI_BY_STORE, followed by sqi_bias_leave(), or SQI_BY_SWAP; or not
   before sqi_bias_settle() was called. */
enum sqi_bias_way { SQI_BY_SWAP, SQI_BY_STORE, SQI_UNSETTLED };

static inline enum sqi_bias_way sqi_bias_enter(struct sqi_bias *bias)
{
    /* Acquire: pairs with the release store in end(). */
    uintptr_t owner = atomic_load_explicit(&bias->owner, memory_order_acquire);
    if (owner == SQI_BIAS_ENDED)
        return SQI_BY_SWAP;
    if (owner != sqi_self() && owner != SQI_BIAS_ANYBODY)
        return SQI_UNSETTLED;
    atomic_store_explicit(&bias->is_in_use, true, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* pairs with sqi_membarrier() in end() */
    SQI_INTERLEAVE();
    if (atomic_load_explicit(&bias->owner, memory_order_relaxed) > SQI_BIAS_ENDING)
        return SQI_BY_STORE;
    atomic_store_explicit(&bias->is_in_use, false, memory_order_release);
    return SQI_UNSETTLED;
}

static inline void sqi_bias_leave(struct sqi_bias *bias)
{
    /* Release: pairs with the acquire load in end(). */
    atomic_store_explicit(&bias->is_in_use, false, memory_order_release);
}

/* Takes the bias if it is nobody's yet, ends it if it is another's. Afterwards the caller has it,
   or it has ended. */
void sqi_bias_settle(struct sqi_bias *bias);

/* Returns once it has ended, by whomever. */
void sqi_bias_end(struct sqi_bias *bias);

/* All changes so far are visible afterwards. For who is about to sleep, after sqi_gate_enter() and
   before the look: either the look sees the change, or who made it sees the sleeper. number: what
   it is about. False: there was no need. */
bool sqi_bias_barrier(struct sqi_bias *bias, uint64_t number);

#endif
