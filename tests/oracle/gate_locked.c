/* SPDX-License-Identifier: Apache-2.0 */
#include "gate_locked.h"

#include <assert.h>
#include <limits.h>

#include "base/futex.h"

#define WAKING (UINT64_C(1) << 32)
#define SLEEPER (UINT64_C(1) << 33)
#define SLEEPERS_MAX ((UINT64_C(1) << 31) - 1)

/* Every access is seq_cst: that the word has one order of changes is what the invariants rest on,
   and none of these is on a path where nobody sleeps but the one load in wake_one. */

static uint64_t sleepers_of(uint64_t word)
{
    return word / SLEEPER;
}

static const uint32_t *epoch_word(const struct sqo_gate *gate)
{
    const uint32_t *halves = (const uint32_t *)&gate->word;
    return halves + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

/* The next epoch, without a carry into the other fields. */
static uint64_t with_next_epoch(uint64_t word)
{
    return (word & ~(uint64_t)UINT32_MAX) | (uint32_t)(word + 1);
}

uint32_t sqo_gate_enter(struct sqo_gate *gate)
{
    uint64_t before = atomic_fetch_add(&gate->word, SLEEPER);
    assert(sleepers_of(before) < SLEEPERS_MAX);
    return (uint32_t)before;
}

bool sqo_gate_sleep(struct sqo_gate *gate, uint32_t epoch, int64_t deadline_ns)
{
    return sqi_futex_wait(epoch_word(gate), epoch, deadline_ns);
}

void sqo_gate_leave(struct sqo_gate *gate)
{
    uint64_t word = atomic_load(&gate->word);
    while (!atomic_compare_exchange_weak(&gate->word, &word, (word - SLEEPER) & ~WAKING))
        ;
}

void sqo_gate_wake_one(struct sqo_gate *gate)
{
    uint64_t word = atomic_load(&gate->word);
    do {
        if (sleepers_of(word) == 0 || (word & WAKING))
            return;
    } while (!atomic_compare_exchange_weak(&gate->word, &word, with_next_epoch(word) | WAKING));
    sqi_futex_wake(epoch_word(gate), 1);
}

void sqo_gate_wake_all(struct sqo_gate *gate)
{
    uint64_t word = atomic_load(&gate->word);
    do {
        if (sleepers_of(word) == 0)
            return;
    } while (!atomic_compare_exchange_weak(&gate->word, &word, with_next_epoch(word)));
    sqi_futex_wake(epoch_word(gate), INT_MAX);
}

uint32_t sqo_gate_sleepers(const struct sqo_gate *gate)
{
    return (uint32_t)sleepers_of(atomic_load(&gate->word));
}
