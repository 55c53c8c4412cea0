/* SPDX-License-Identifier: Apache-2.0 */
#include "spec.h"

#include <string.h>

/* ── the steps of a call ──────────────────────────────────────────────────────────────────── */

static bool moves_many(const struct sqt_call *call)
{
    return call->kind == SQT_PUT_MANY || call->kind == SQT_GET_MANY;
}

static unsigned step_count(const struct sqt_call *call)
{
    if (call->kind == SQT_SHUTDOWN_IMMEDIATE)
        return call->item_count + 3;
    return moves_many(call) && call->result >= 0 ? (unsigned)call->result : 1;
}

static bool needs_excuse(const struct sqt_call *call)
{
    return moves_many(call) && call->result > 0 && (size_t)call->result < call->n;
}

/* An answer that the header has no words for has no steps, and is never complete. */
static bool is_an_answer(const struct sqt_call *call)
{
    if (!moves_many(call))
        return call->result <= 0;
    return call->result < 0 || (call->result == 0 && call->n == 0) ||
           (call->result > 0 && (size_t)call->result <= call->n);
}

bool sqt_is_complete(const struct sqt_history *history, unsigned index,
                     const struct sqt_state *state)
{
    const struct sqt_call *call = &history->calls[index];
    return is_an_answer(call) && state->steps[index] == step_count(call) &&
           (!needs_excuse(call) || (state->excused >> index & 1));
}

/* ── the queue ────────────────────────────────────────────────────────────────────────────── */

static uint64_t room(const struct sqt_history *history, const struct sqt_state *state)
{
    return history->capacity == 0 ? UINT64_MAX : history->capacity - state->item_count;
}

static unsigned turn(const struct sqt_history *history, const struct sqt_state *state)
{
    unsigned index = 0;
    if (history->order == SQ_LIFO)
        return state->item_count - 1u;
    if (history->order == SQ_PRIORITY)
        for (unsigned i = 1; i < state->item_count; i++)
            if (sqt_priority(state->items[i]) < sqt_priority(state->items[index]))
                index = i;
    return index;
}

static bool add(const struct sqt_history *history, struct sqt_state *state, uint8_t number)
{
    if (state->is_closed || room(history, state) == 0 || state->item_count == SQT_ITEMS_MAX)
        return false;
    state->items[state->item_count++] = number;
    state->put |= UINT64_C(1) << number;
    state->puts++;
    state->unfinished++;
    return true;
}

static bool take(const struct sqt_history *history, struct sqt_state *state, uint8_t number)
{
    if (state->item_count == 0)
        return false;
    unsigned index = turn(history, state);
    if (state->items[index] != number)
        return false;
    state->item_count--;
    memmove(state->items + index, state->items + index + 1, state->item_count - index);
    state->items[state->item_count] = 0;
    return true;
}

/* All items that are there, one after the other: these and no more. */
static bool leave(const struct sqt_history *history, const struct sqt_call *call,
                  struct sqt_state state)
{
    unsigned count = 0;
    while (count < call->item_count && take(history, &state, call->items[count]))
        count++;
    return count == call->item_count && state.item_count == 0;
}

/* ── steps that look ──────────────────────────────────────────────────────────────────────── */

/* A call that failed: whether its reason is there. */
static bool fails(const struct sqt_history *history, const struct sqt_call *call,
                  const struct sqt_state *state)
{
    bool may_time_out = call->timeout_ms != SQ_FOREVER;
    switch (call->kind) {
    case SQT_PUT:
    case SQT_PUT_MANY:
        if (call->result == SQ_EFULL)
            return may_time_out && !state->is_closed && room(history, state) == 0;
        return call->result == SQ_ESHUTDOWN && state->is_closed;
    case SQT_GET:
    case SQT_GET_MANY:
        if (call->result == SQ_EEMPTY)
            return may_time_out && !state->is_closed && state->item_count == 0;
        return call->result == SQ_ESHUTDOWN && state->is_closed && state->item_count == 0;
    case SQT_TASK_DONE:
        return call->result == SQ_ETOOMANY && call->n > state->unfinished;
    case SQT_JOIN:
        return call->result == SQ_ETIMEDOUT && may_time_out && state->unfinished > 0;
    default:
        return false;
    }
}

static bool shows(const struct sqt_history *history, const sq_queue_stats *stats,
                  const struct sqt_state *state)
{
    return stats->capacity == history->capacity && stats->size == state->item_count &&
           stats->unfinished == state->unfinished && stats->puts == state->puts &&
           stats->gets == state->gets && stats->drops == state->drops &&
           stats->dones == (uint64_t)state->puts - state->unfinished &&
           stats->is_shutdown == (bool)state->is_closed && stats->high_water >= stats->size &&
           (stats->capacity == 0 || stats->high_water <= stats->capacity);
}

/* The next step is one that looks, and it finds what it must. */
static bool looks_right(const struct sqt_history *history, const struct sqt_call *call,
                        unsigned step, const struct sqt_state *state)
{
    if (step == step_count(call))
        return false;
    if (call->result < 0)
        return fails(history, call, state);
    switch (call->kind) {
    case SQT_JOIN:
        return state->unfinished == 0;
    case SQT_SHUTDOWN_IMMEDIATE:
        return step == call->item_count + 1 && state->item_count == 0;
    case SQT_STAT:
        return shows(history, &call->stats, state);
    case SQT_FREE:
        return leave(history, call, *state);
    default:
        return false;
    }
}

static bool has_excuse(const struct sqt_history *history, const struct sqt_call *call,
                       unsigned step, const struct sqt_state *state)
{
    unsigned left = (unsigned)call->result - step;
    if (call->kind == SQT_GET_MANY)
        return state->item_count <= left;
    if (state->is_closed)
        return left == 0;
    return call->timeout_ms != SQ_FOREVER && room(history, state) <= left;
}

bool sqt_look(const struct sqt_history *history, unsigned index, struct sqt_state *state)
{
    const struct sqt_call *call = &history->calls[index];
    bool looked = false;
    if (!is_an_answer(call))
        return false;
    if (needs_excuse(call) && !(state->excused >> index & 1) &&
        has_excuse(history, call, state->steps[index], state)) {
        state->excused |= UINT64_C(1) << index;
        looked = true;
    }
    while (looks_right(history, call, state->steps[index], state)) {
        state->steps[index]++;
        looked = true;
    }
    return looked;
}

/* ── steps that change ────────────────────────────────────────────────────────────────────── */

static bool shut_down(const struct sqt_history *history, const struct sqt_call *call, unsigned step,
                      struct sqt_state *state)
{
    if (step == 0) {
        state->is_closed = true;
    } else if (step <= call->item_count) {
        state->drops++;
        return take(history, state, call->items[step - 1]);
    } else if (step == call->item_count + 1) {
        return false; /* looks */
    } else {
        /* Of items that were called done before they left nothing is left to count. */
        state->unfinished -= call->item_count < state->unfinished ? call->item_count
                                                                  : state->unfinished;
    }
    return true;
}

static bool change(const struct sqt_history *history, const struct sqt_call *call, unsigned step,
                   struct sqt_state *state)
{
    switch (call->kind) {
    case SQT_PUT:
    case SQT_PUT_MANY:
        return add(history, state, call->items[step]);
    case SQT_GET:
    case SQT_GET_MANY:
        state->gets++;
        return take(history, state, call->items[step]);
    case SQT_TASK_DONE:
        if (call->n > state->unfinished)
            return false;
        state->unfinished -= (uint8_t)call->n;
        return true;
    case SQT_SHUTDOWN:
        state->is_closed = true;
        return true;
    case SQT_SHUTDOWN_IMMEDIATE:
        return shut_down(history, call, step, state);
    default:
        return false;
    }
}

bool sqt_change(const struct sqt_history *history, unsigned index, struct sqt_state *state)
{
    const struct sqt_call *call = &history->calls[index];
    unsigned step = state->steps[index];
    if (!is_an_answer(call) || call->result < 0 || step == step_count(call))
        return false;
    struct sqt_state before = *state;
    if (!change(history, call, step, state)) {
        *state = before;
        return false;
    }
    state->steps[index]++;
    return true;
}
