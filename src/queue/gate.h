/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gate: where threads sleep until another thread has made something true (an eventcount).
 *
 * The something (an item to get, room to put, nothing unfinished) lives with the caller; a gate
 * only makes sure that nobody sleeps through the change. The two sides:
 *
 *     waits                                      makes it true
 *     epoch = sqi_gate_enter(gate)               publish the change
 *     not true yet? sqi_gate_sleep(gate, epoch)  sqi_gate_wake_one(gate)   or _wake_all
 *     sqi_gate_leave(gate)
 *     look, take; took and there is more? sqi_gate_wake_one(gate)          (the chain)
 *
 * All of its state is one 64-bit word, so that each step is one atomic operation:
 *
 *     63              33      32     31                0
 *     | sleepers: 31 bits | waking | epoch: 32 bits    |   the epoch is the futex word
 *
 * Invariants
 * 1. After a wake somebody leaves. Enter counts and reads the epoch in one step; each wake changes
 *    the epoch in the step in which it reads sleepers. So each thread counted then is asleep on
 *    the futex, or will be refused by it (the epoch differs), or is on its way out. Either
 *    futex_wake finds a sleeper, or all of them are on their way.
 * 2. One wake in flight. wake_one does nothing while `waking` is set. Who leaves, for whatever
 *    reason, clears it in that step, and afterwards looks, or chains when it has taken something
 *    already: the wake is taken over, never lost.
 *    By 1 a thread that clears it is sure to come.
 * 3. The chain. A wake stands for all changes made while it was in flight. Hence the rule for
 *    callers: look after leaving, and when you took something and there is more, wake_one.
 *
 * What orders "publish, then read sleepers" against "enter, then look": all four are seq_cst, so
 * either the waker reads the word after the enter, and sees the sleeper, or the sleeper looks after
 * the publishing, and sees the change. Publishing is the compare-and-swap of tail, head or done
 * (counts.h), or a critical section. The same holds for "publish, then read waking" against "leave,
 * then look".
 *
 * Who has a bias (bias.h) publishes by plain stores, and the processor may read the word before
 * they are visible. Who waits therefore calls sqi_bias_barrier() between enter and look. As to
 * `waking`, a biased waker that sees sleepers reads the word again by a read-modify-write: that and
 * the one of leave come one after the other, and the second sees what was done before the first.
 *
 * The epoch could mislead only a thread that is stopped between enter and sleep for exactly a
 * multiple of 2^32 wakes.
 *
 * A wake stands for a thread that has yet to run. One of low priority that gets no time holds up
 * those that have gone to sleep since, until it runs.
 *
 * Rejected: a condition variable (wakes one sleeper a signal, a system call each, also when one
 * is already on its way; no absolute knowledge of sleepers); separate words for epoch, sleepers
 * and flag (a waker whose wake found nobody must then clear the flag, look again and repeat, for
 * as long as a sleeper is stopped between entering and sleeping).
 */
#ifndef SQI_QUEUE_GATE_H
#define SQI_QUEUE_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "queue/bias.h"

struct sqi_gate {
    _Alignas(64) _Atomic uint64_t word; /* a cache line of its own; zero is a gate at rest */
};

/* Count this thread among the sleepers; the epoch is for sqi_gate_sleep(). To be followed by a
   look and, sooner or later, by sqi_gate_leave(). */
uint32_t sqi_gate_enter(struct sqi_gate *gate);

/* Sleep until a wake that came after the enter, or the deadline (ns). False when it passed. */
bool sqi_gate_sleep(struct sqi_gate *gate, uint32_t epoch, int64_t deadline_ns);

/* No longer a sleeper; takes over a wake in flight. To be followed by a look. */
void sqi_gate_leave(struct sqi_gate *gate);

#define SQI_GATE_WAKING (UINT64_C(1) << 32)
#define SQI_GATE_SLEEPER (UINT64_C(1) << 33)

/* What sqi_gate_wake_one() does when it finds sleepers. */
void sqi_gate_wake_sleeper(struct sqi_gate *gate);

/* After publishing: wake a sleeper unless there is none or a wake is in flight already. Where
   nobody sleeps this is one load. way: how it was published. */
static inline void sqi_gate_wake_one(struct sqi_gate *gate, enum sqi_bias_way way)
{
    if (way == SQI_BY_STORE)
        atomic_signal_fence(memory_order_seq_cst); /* the compiler keeps the order, see bias.h */
    uint64_t word = atomic_load(&gate->word);
    if (__builtin_expect(word >= SQI_GATE_SLEEPER, 0) &&
        (way == SQI_BY_STORE || !(word & SQI_GATE_WAKING)))
        sqi_gate_wake_sleeper(gate);
}

/* After publishing: wake every sleeper. */
void sqi_gate_wake_all(struct sqi_gate *gate);

static inline uint32_t sqi_gate_sleepers(const struct sqi_gate *gate)
{
    return (uint32_t)(atomic_load(&gate->word) / SQI_GATE_SLEEPER);
}

#endif
