/* SPDX-License-Identifier: Apache-2.0 */
#include "checker.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "spec.h"

enum { STATES_MAX = 1 << 20, SLOT_COUNT_MIN = 1 << 10 };

struct slot {
    uint64_t generation; /* of the history whose state this is; 0: none yet */
    struct sqt_state state;
};

struct sqt_checker {
    struct slot *slots; /* open addressing, at most half full */
    size_t slot_count, state_count;
    uint64_t generation; /* one a history, so that nothing need be cleared */

    uint64_t before[SQT_ITEMS_MAX]; /* FIFO: one bit an item that leaves before this one */

    struct sqt_state best; /* the state with the most steps */
    unsigned best_steps;
};

/* ── the table of visited states ──────────────────────────────────────────────────────────── */

static struct slot *make_slots(size_t slot_count)
{
    struct slot *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        abort();
    return slots;
}

struct sqt_checker *sqt_checker_make(void)
{
    struct sqt_checker *checker = calloc(1, sizeof *checker);
    if (!checker)
        abort();
    checker->slot_count = SLOT_COUNT_MIN;
    checker->slots = make_slots(SLOT_COUNT_MIN);
    return checker;
}

void sqt_checker_free(struct sqt_checker *checker)
{
    if (!checker)
        return;
    free(checker->slots);
    free(checker);
}

static uint64_t hash(const struct sqt_state *state)
{
    uint64_t words[sizeof *state / 8], h = 0;
    memcpy(words, state, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        h = (h ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 32;
    }
    return h;
}

/* The state's slot, or the free one where it belongs. */
static struct slot *find(const struct sqt_checker *checker, const struct sqt_state *state)
{
    size_t index = hash(state) & (checker->slot_count - 1);
    while (checker->slots[index].generation == checker->generation &&
           memcmp(&checker->slots[index].state, state, sizeof *state) != 0)
        index = (index + 1) & (checker->slot_count - 1);
    return &checker->slots[index];
}

static void grow(struct sqt_checker *checker)
{
    struct slot *before = checker->slots;
    size_t before_count = checker->slot_count;
    checker->slot_count *= 2;
    checker->slots = make_slots(checker->slot_count);
    for (size_t i = 0; i < before_count; i++)
        if (before[i].generation == checker->generation)
            *find(checker, &before[i].state) = before[i];
    free(before);
}

/* False when it was there already. */
static bool remember(struct sqt_checker *checker, const struct sqt_state *state)
{
    if (2 * checker->state_count >= checker->slot_count)
        grow(checker);
    struct slot *slot = find(checker, state);
    if (slot->generation == checker->generation)
        return false;
    *slot = (struct slot){checker->generation, *state};
    checker->state_count++;
    return true;
}

/* ── what is put first ────────────────────────────────────────────────────────────────────── */

static bool takes_items(const struct sqt_call *call)
{
    return call->result >= 0 && (call->kind == SQT_GET || call->kind == SQT_GET_MANY ||
                                 call->kind == SQT_SHUTDOWN_IMMEDIATE || call->kind == SQT_FREE);
}

static uint64_t bit(uint8_t number)
{
    return number < SQT_ITEMS_MAX ? UINT64_C(1) << number : 0;
}

static void note_before(struct sqt_checker *checker, const struct sqt_call *call, uint64_t before)
{
    for (unsigned i = 0; i < call->item_count; i++) {
        if (call->items[i] < SQT_ITEMS_MAX)
            checker->before[call->items[i]] |= before;
        before |= bit(call->items[i]);
    }
}

/* Without this a search tries all orders of puts at once, to find out when they are got. */
static void note_order_of_leaving(struct sqt_checker *checker, const struct sqt_history *history)
{
    memset(checker->before, 0, sizeof checker->before);
    if (history->order != SQ_FIFO)
        return;
    for (unsigned i = 0; i < history->call_count; i++) {
        const struct sqt_call *call = &history->calls[i];
        uint64_t before = 0;
        for (unsigned j = 0; j < i; j++)
            if (takes_items(&history->calls[j]) && history->calls[j].returned < call->invoked)
                for (unsigned k = 0; k < history->calls[j].item_count; k++)
                    before |= bit(history->calls[j].items[k]);
        if (takes_items(call))
            note_before(checker, call, before);
    }
}

/* Whether what a step has put, if anything, was put too soon. */
static bool is_too_soon(const struct sqt_checker *checker, const struct sqt_state *before,
                        const struct sqt_state *after)
{
    uint64_t added = after->put & ~before->put;
    return added && (checker->before[__builtin_ctzll(added)] & ~before->put);
}

/* ── the search ───────────────────────────────────────────────────────────────────────────── */

/* The first end of a call that is not complete: what begins after it must wait. UINT64_MAX: all
   are. */
static uint64_t first_end(const struct sqt_history *history, const struct sqt_state *state)
{
    uint64_t first = UINT64_MAX;
    for (unsigned i = 0; i < history->call_count; i++)
        if (history->calls[i].returned < first && !sqt_is_complete(history, i, state))
            first = history->calls[i].returned;
    return first;
}

/* Lets every call that may look do so, until none can. Returns first_end. */
static uint64_t look_around(const struct sqt_history *history, struct sqt_state *state)
{
    for (;;) {
        uint64_t first = first_end(history, state);
        bool looked = false;
        for (unsigned i = 0; i < history->call_count && history->calls[i].invoked < first; i++)
            looked |= sqt_look(history, i, state);
        if (!looked)
            return first;
    }
}

static void note_best(struct sqt_checker *checker, const struct sqt_history *history,
                      const struct sqt_state *state)
{
    unsigned steps = 1;
    for (unsigned i = 0; i < history->call_count; i++)
        steps += state->steps[i];
    if (steps > checker->best_steps) {
        checker->best_steps = steps;
        checker->best = *state;
    }
}

/* As deep as the history has steps: some hundred at most. */
static enum sqt_verdict visit(struct sqt_checker *checker, const struct sqt_history *history,
                              struct sqt_state state)
{
    uint64_t first = look_around(history, &state);
    if (first == UINT64_MAX)
        return SQT_EXPLAINED;
    if (checker->state_count >= STATES_MAX)
        return SQT_UNDECIDED;
    if (!remember(checker, &state))
        return SQT_UNEXPLAINED;
    note_best(checker, history, &state);
    for (unsigned i = 0; i < history->call_count && history->calls[i].invoked < first; i++) {
        struct sqt_state next = state;
        if (!sqt_change(history, i, &next) || is_too_soon(checker, &state, &next))
            continue;
        enum sqt_verdict verdict = visit(checker, history, next);
        if (verdict != SQT_UNEXPLAINED)
            return verdict;
    }
    return SQT_UNEXPLAINED;
}

enum sqt_verdict sqt_check(struct sqt_checker *checker, const struct sqt_history *history)
{
    assert(history->call_count <= SQT_CALLS_MAX);
    for (unsigned i = 1; i < history->call_count; i++)
        assert(history->calls[i - 1].invoked < history->calls[i].invoked);
    checker->generation++;
    checker->state_count = 0;
    checker->best_steps = 0;
    note_order_of_leaving(checker, history);
    return visit(checker, history, (struct sqt_state){.excused = 0});
}

void sqt_checker_explain(const struct sqt_checker *checker, const struct sqt_history *history,
                         FILE *file)
{
    const struct sqt_state *best = &checker->best;
    fprintf(file, "# The longest order that explains a part ends with [");
    for (unsigned i = 0; i < best->item_count; i++)
        fprintf(file, i ? " %u" : "%u", best->items[i]);
    fprintf(file, "], unfinished %u%s, and without:\n", best->unfinished,
            best->is_closed ? ", shut down" : "");
    for (unsigned i = 0; i < history->call_count; i++)
        if (!sqt_is_complete(history, i, best))
            sqt_call_print(&history->calls[i], file);
}
