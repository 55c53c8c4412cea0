/* SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

uint64_t sqt_next_random(uint64_t *random)
{
    uint64_t z = (*random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct planner {
    struct sqt_plan plan;
    uint64_t random;
    unsigned item_count;
    bool is_timed; /* some calls wait for 1 ms: rare, for it is long */
};

static unsigned below(struct planner *planner, unsigned bound)
{
    return (unsigned)(sqt_next_random(&planner->random) >> 32) % bound;
}

static bool one_in(struct planner *planner, unsigned bound)
{
    return below(planner, bound) == 0;
}

/* So many items that those of the history meet the end of something: of the slots, of a block of
   them. Large numbers take longer than the history. */
static size_t some_turns(struct planner *planner)
{
    static const size_t blocks[] = {8, 8, 16, 16, 64, 64, 256, 1024};
    if (one_in(planner, 2))
        return below(planner, 8);
    size_t turned = blocks[below(planner, 8)];
    if (one_in(planner, 16))
        turned = one_in(planner, 64) ? 65536 : 4096;
    return turned - below(planner, 6);
}

static int64_t some_timeout_ms(struct planner *planner, unsigned thread)
{
    if (planner->is_timed && one_in(planner, 8))
        return 1;
    return planner->plan.is_ended && thread != 0 && one_in(planner, 2) ? SQ_FOREVER : SQ_NOWAIT;
}

static void offer(struct planner *planner, struct sqt_call *call, unsigned count)
{
    if (count > SQT_ITEMS_MAX - planner->item_count)
        count = SQT_ITEMS_MAX - planner->item_count;
    call->n = call->item_count = count;
    for (unsigned i = 0; i < count; i++)
        call->items[i] = (uint8_t)planner->item_count++;
    if (count != 1 || one_in(planner, 8))
        call->kind = SQT_PUT_MANY;
}

static enum sqt_kind some_kind(struct planner *planner, unsigned thread)
{
    static const struct {
        enum sqt_kind kind;
        unsigned weight; /* of 100 */
    } kinds[] = {
        {SQT_PUT, 38}, {SQT_GET, 28}, {SQT_GET_MANY, 10}, {SQT_TASK_DONE, 10},
        {SQT_JOIN, 7}, {SQT_STAT, 4}, {SQT_SHUTDOWN, 2},  {SQT_SHUTDOWN_IMMEDIATE, 1},
    };
    /* The promise of a single one: thread 0 puts, the last one gets. */
    const struct sqt_plan *plan = &planner->plan;
    bool may_put = !plan->single_producer || thread == 0;
    bool may_get = !plan->single_consumer || thread == plan->thread_count - 1;
    for (;;) {
        unsigned drawn = below(planner, 100), i = 0;
        while (drawn >= kinds[i].weight)
            drawn -= kinds[i++].weight;
        enum sqt_kind kind = kinds[i].kind;
        if (kind == SQT_PUT ? may_put : (kind != SQT_GET && kind != SQT_GET_MANY) || may_get)
            return kind;
    }
}

static struct sqt_call some_call(struct planner *planner, unsigned thread)
{
    struct sqt_call call = {.kind = some_kind(planner, thread), .thread = thread};
    if (call.kind <= SQT_GET_MANY || call.kind == SQT_JOIN)
        call.timeout_ms = some_timeout_ms(planner, thread);
    if (call.kind == SQT_PUT)
        offer(planner, &call, one_in(planner, 3) ? 1 + below(planner, SQT_BATCH_MAX) : 1);
    else if (call.kind == SQT_GET_MANY)
        call.n = below(planner, 16) ? 1 + below(planner, SQT_BATCH_MAX) : 0;
    else if (call.kind == SQT_TASK_DONE)
        call.n = one_in(planner, 32) ? SIZE_MAX : below(planner, 4);
    return call;
}

struct sqt_plan sqt_plan_make(uint64_t seed)
{
    static const uint64_t capacities[] = {1, 1, 2, 2, 3, 3, 0, 0, 0, 65536};
    static const unsigned counts_max[] = {0, 0, 8, 6, 5}; /* calls of a thread: 20 in all or less */
    struct planner planner = {.random = seed};
    struct sqt_plan *plan = &planner.plan;
    plan->capacity = capacities[below(&planner, 10)];
    plan->thread_count = 2 + below(&planner, SQT_THREADS_MAX - 1);
    plan->is_ended = below(&planner, 5) < 3;
    plan->single_producer = one_in(&planner, 8);
    plan->single_consumer = one_in(&planner, 8);
    plan->turned = some_turns(&planner);
    planner.is_timed = one_in(&planner, 8);
    for (unsigned t = 0; t < plan->thread_count; t++) {
        plan->call_counts[t] = 2 + below(&planner, counts_max[plan->thread_count] - 1);
        for (unsigned i = 0; i < plan->call_counts[t]; i++)
            plan->calls[t][i] = some_call(&planner, t);
    }
    return planner.plan;
}
