/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/gate.h"

#include <assert.h>
#include <limits.h>

#include "base/futex.h"
#include "queue/interleave.h"

#define SLEEPERS_MAX ((UINT64_C(1) << 31) - 1)

/* Every access is seq_cst: that the word has one order of changes is what the invariants rest on,
   and none of these is on a path where nobody sleeps but the one load in wake_one. */

static const uint32_t *epoch_word(const struct sqi_gate *gate)
{
    const uint32_t *halves = (const uint32_t *)&gate->word;
    return halves + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

/* The next epoch, without a carry into the other fields. */
static uint64_t with_next_epoch(uint64_t word)
{
    return (word & ~(uint64_t)UINT32_MAX) | (uint32_t)(word + 1);
}

uint32_t sqi_gate_enter(struct sqi_gate *gate)
{
    uint64_t before = atomic_fetch_add(&gate->word, SQI_GATE_SLEEPER);
    assert(before / SQI_GATE_SLEEPER < SLEEPERS_MAX);
    return (uint32_t)before;
}

bool sqi_gate_sleep(struct sqi_gate *gate, uint32_t epoch, int64_t deadline_ns)
{
    return sqi_futex_wait(epoch_word(gate), epoch, deadline_ns);
}

void sqi_gate_leave(struct sqi_gate *gate)
{
    uint64_t word = atomic_load(&gate->word);
    while (!atomic_compare_exchange_weak(&gate->word, &word,
                                         (word - SQI_GATE_SLEEPER) & ~SQI_GATE_WAKING))
        ;
}

void sqi_gate_wake_sleeper(struct sqi_gate *gate)
{
    /* A read-modify-write even if it changes nothing: see gate.h on biased puts. */
    uint64_t word = atomic_fetch_or(&gate->word, 0);
    do {
        if (word < SQI_GATE_SLEEPER || (word & SQI_GATE_WAKING))
            return;
        SQI_INTERLEAVE();
    } while (
        !atomic_compare_exchange_weak(&gate->word, &word, with_next_epoch(word) | SQI_GATE_WAKING));
    SQI_INTERLEAVE();
    sqi_futex_wake(epoch_word(gate), 1);
}

void sqi_gate_wake_all(struct sqi_gate *gate)
{
    uint64_t word = atomic_load(&gate->word);
    do {
        if (word < SQI_GATE_SLEEPER)
            return;
    } while (!atomic_compare_exchange_weak(&gate->word, &word, with_next_epoch(word)));
    sqi_futex_wake(epoch_word(gate), INT_MAX);
}
