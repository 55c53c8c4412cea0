/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The in-process queue: what users call, and how its calls wait.
 *
 *     put ──► fifo or pile: a ticket and the item ──► get_gate: wake one
 *     get ──► fifo or pile: the item, and room    ──► put_gate: wake one
 *     task_done ──► counts: done + n ── none left ──► join_gate: wake all
 *
 * Everything that is shared lives in parts with rules of their own: the numbers (counts.h), the
 * order FIFO (fifo.h, without a lock) or LIFO and PRIORITY (pile.h, with one), and three gates to
 * sleep at (gate.h). What this file adds is waiting:
 *
 *     try ─► must wait? ─► try a few times more ─► enter ─► try ─► sleep ─► leave ─► try ─┐
 *              ▲                                                                          │
 *              └─────────────── in time, and still nothing ◄──────────────────────────────┘
 *
 * and with it the two rules that gates ask of their callers: nobody leaves a gate without a look,
 * and who leaves passes the wake on when there is more (the chain).
 *
 * Nothing of the user's runs under a lock but `compare`. In particular `drop` may call the queue.
 *
 * Rejected: no tries before sleeping (a partner on another processor answers within a microsecond,
 * a sleep and a wake take ten); many (idle threads would use the processor, and with more threads
 * than processors keep the partner from running).
 */
#include "queue/queue.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "queue/fifo.h"
#include "queue/gate.h"
#include "queue/pile.h"
#include "queue/relax.h"

/* Tries before a thread goes to sleep, and the pauses between them: some microseconds in all. */
#define TRIES 40
#define PAUSES_A_TRY 4

#define NO_GENERATION UINT32_MAX /* of forks; nor is 0, which a wiped page reads */

struct sq_queue {
    /* constant */
    uint32_t fast_generation; /* that of forks in a FIFO; else NO_GENERATION */
    uint32_t fork_generation;
    bool is_fifo;
    void (*drop)(void *item, void *context);
    void *context;

    struct sqi_fifo fifo; /* its counts are those of the pile, too */
    struct sqi_gate put_gate, get_gate, join_gate;
    struct sqi_pile pile;
};

/* ── making and freeing ───────────────────────────────────────────────────────────────────── */

static int check_options(const sq_queue_options *options)
{
    if (options->capacity > SQ_QUEUE_CAPACITY_MAX)
        return sqi_fail_with(SQ_EINVAL, "capacity is %" PRIu64 ", the most is %" PRIu64,
                             options->capacity, SQ_QUEUE_CAPACITY_MAX);
    if ((unsigned)options->order > SQ_PRIORITY)
        return sqi_fail_with(SQ_EINVAL, "order is %d, not SQ_FIFO, SQ_LIFO or SQ_PRIORITY",
                             (int)options->order);
    if ((options->order == SQ_PRIORITY) != (options->compare != NULL))
        return sqi_fail_with(SQ_EINVAL, "SQ_PRIORITY needs compare, and no other order has one");
    return sqi_check_reserved(options->reserved, sizeof options->reserved, "sq_queue_options");
}

int sq_queue_create(const sq_queue_options *options, sq_queue **ret_queue)
{
    static const sq_queue_options defaults;
    if (!options)
        options = &defaults;
    if (!ret_queue)
        return sqi_fail_with(SQ_EINVAL, "ret_queue is NULL");
    int result = check_options(options);
    if (result < 0)
        return result;

    sq_queue *queue = aligned_alloc(_Alignof(sq_queue), sizeof *queue);
    if (!queue)
        return sqi_fail(SQ_ENOMEM);
    *queue = (sq_queue){
        .is_fifo = options->order == SQ_FIFO,
        .fast_generation = options->order == SQ_FIFO ? sqi_fork_generation() : NO_GENERATION,
        .fork_generation = sqi_fork_generation(),
        .drop = options->drop,
        .context = options->context,
    };
    uint64_t capacity = options->capacity ? options->capacity : SQI_UNBOUNDED;
    sqi_counts_init(&queue->fifo.counts, capacity,
                    !queue->is_fifo            ? SQI_BIAS_ENDED /* the pile's lock is around it */
                    : options->single_producer ? SQI_BIAS_ANYBODY
                                               : SQI_BIAS_NOBODY);
    if (queue->is_fifo)
        result = sqi_slots_init(&queue->fifo.slots, capacity);
    else
        sqi_pile_init(&queue->pile, options, &queue->fifo.counts);
    if (result < 0) {
        free(queue);
        return sqi_fail(result);
    }
    *ret_queue = queue;
    return SQ_OK;
}

static bool is_parents(const sq_queue *queue)
{
    return !sqi_fork_is_same(queue->fork_generation);
}

static void drain(sq_queue *queue)
{
    if (queue->is_fifo)
        sqi_fifo_drain(&queue->fifo, queue->drop, queue->context);
    else
        sqi_pile_drain(&queue->pile, queue->drop, queue->context);
}

sq_queue *sq_queue_free(sq_queue *queue)
{
    if (!queue)
        return NULL;
    if (!is_parents(queue)) {
        assert(sqi_gate_sleepers(&queue->put_gate) == 0);
        assert(sqi_gate_sleepers(&queue->get_gate) == 0);
        assert(sqi_gate_sleepers(&queue->join_gate) == 0);
        drain(queue);
    }
    if (queue->is_fifo)
        sqi_slots_free(&queue->fifo.slots);
    else
        sqi_pile_free(&queue->pile);
    free(queue);
    return NULL;
}

/* ── one try ──────────────────────────────────────────────────────────────────────────────── */

/* What a waiting operation tries to do, and which of its arguments it uses. */
struct attempt {
    void *const *put_items;
    void **get_items;
    size_t count; /* at least 1 */
};

/* Each try_ answers the number of items moved, at least 1, or a code: SQ_EFULL, SQ_EEMPTY or
   SQ_ETIMEDOUT when it must wait, any other when waiting does not help. */
typedef int64_t try_function(sq_queue *queue, const struct attempt *attempt);

static int64_t try_put(sq_queue *queue, const struct attempt *attempt)
{
    enum sqi_bias_way way = SQI_BY_SWAP;
    int64_t result = queue->is_fifo
                         ? sqi_fifo_put(&queue->fifo, attempt->put_items, attempt->count, &way)
                         : sqi_pile_put(&queue->pile, attempt->put_items, attempt->count);
    if (result > 0)
        sqi_gate_wake_one(&queue->get_gate, way);
    return result;
}

static int64_t take(sq_queue *queue, size_t count, void **items)
{
    count = count < SQI_FIFO_BATCH_MAX ? count : SQI_FIFO_BATCH_MAX;
    int64_t result = queue->is_fifo ? sqi_fifo_get(&queue->fifo, count, items)
                                    : sqi_pile_get(&queue->pile, count, items);
    if (result > 0)
        sqi_gate_wake_one(&queue->put_gate, SQI_BY_SWAP);
    return result;
}

/* Takes what is there when it comes, and not what is put meanwhile, by claims of a size that a
   thread's stack has room for. */
static int64_t try_get(sq_queue *queue, const struct attempt *attempt)
{
    void *items[SQI_FIFO_BATCH_MAX];
    size_t got = 0, count = attempt->count;
    int64_t result = take(queue, count, items);
    while (result > 0) {
        memcpy(attempt->get_items + got, items, (size_t)result * sizeof *items);
        if (got == 0) {
            uint64_t there = (size_t)result + sqi_counts_size(&queue->fifo.counts);
            count = count < there ? count : (size_t)there;
        }
        got += (size_t)result;
        result = got < count ? take(queue, count - got, items) : 0;
    }
    return got > 0 ? (int64_t)got : result;
}

static int64_t try_join(sq_queue *queue, const struct attempt *attempt)
{
    (void)attempt;
    struct sqi_counts *counts = &queue->fifo.counts;
    bool is_finished = sqi_counts_is_finished(counts);
    if (is_finished && sqi_bias_barrier(&counts->bias, atomic_load(&counts->tail)))
        is_finished = sqi_counts_is_finished(counts);
    return is_finished ? SQ_OK : SQ_ETIMEDOUT;
}

/* ── waiting ──────────────────────────────────────────────────────────────────────────────── */

/* The chain of gate.h: who leaves a gate passes the wake on when there is more for others. Also
   one whose put failed for want of memory: it may have taken over the wake of one whose would not.
   Joins need none: they are all woken at once. */
static void chain(sq_queue *queue, struct sqi_gate *gate)
{
    if (gate == &queue->join_gate || sqi_gate_sleepers(gate) == 0)
        return;
    if (gate == &queue->get_gate ? sqi_counts_has_items(&queue->fifo.counts)
                                 : sqi_counts_has_room(&queue->fifo.counts))
        sqi_gate_wake_one(gate, SQI_BY_SWAP);
}

static bool must_wait(int64_t result)
{
    return result == SQ_EFULL || result == SQ_EEMPTY || result == SQ_ETIMEDOUT;
}

static bool is_set(const atomic_bool *cancelled)
{
    /* Pairs with the store in request_stop() of consumer.c, which wakes the gate afterwards: enter
       comes before this load, so either this sees true or the wake refuses the sleep. */
    return cancelled && atomic_load(cancelled);
}

/* A few tries for what is about to come: a partner that runs will be there in a moment. */
static int64_t try_for_a_while(sq_queue *queue, struct sqi_gate *gate, try_function *try,
                               const struct attempt *attempt)
{
    struct sqi_fifo *fifo = &queue->fifo;
    if (gate == &queue->get_gate)
        sqi_pause_times(sqi_pace_pauses(&fifo->get_pace, atomic_load(&fifo->counts.head)));
    else if (gate == &queue->put_gate)
        sqi_pause_times(sqi_pace_pauses(&fifo->put_pace, atomic_load(&fifo->counts.tail)));
    int64_t result = try(queue, attempt);
    for (unsigned tries = 1; must_wait(result) && tries < TRIES; tries++) {
        sqi_pause_times(PAUSES_A_TRY);
        result = try(queue, attempt);
    }
    return result;
}

static bool has_passed(int64_t deadline_ns)
{
    return deadline_ns != SQI_NEVER && sqi_now_ns() >= deadline_ns;
}

/* Tries until it need not wait, the deadline has passed, or *cancelled is set. */
static int64_t wait_until(sq_queue *queue, struct sqi_gate *gate, try_function *try,
                          const struct attempt *attempt, int64_t deadline_ns,
                          const atomic_bool *cancelled)
{
    struct sqi_counts *counts = &queue->fifo.counts;
    int64_t result;
    bool in_time = true;
    do {
        result = try_for_a_while(queue, gate, try, attempt);
        if (!must_wait(result))
            return result;
        uint32_t epoch = sqi_gate_enter(gate);
        if (gate == &queue->get_gate) /* what puts publish by plain stores */
            sqi_bias_barrier(&counts->bias, atomic_load(&counts->tail));
        SQI_INTERLEAVE();
        result = try(queue, attempt);
        SQI_INTERLEAVE();
        if (must_wait(result) && !is_set(cancelled))
            in_time = sqi_gate_sleep(gate, epoch, deadline_ns) && !has_passed(deadline_ns);
        sqi_gate_leave(gate);
        SQI_INTERLEAVE();
        if (must_wait(result))
            result = try(queue, attempt); /* nobody leaves a gate without this look */
    } while (must_wait(result) && in_time && !is_set(cancelled));
    if (!must_wait(result))
        chain(queue, gate);
    return result;
}

int sqi_queue_check(const sq_queue *queue)
{
    if (!queue)
        return sqi_fail_with(SQ_EINVAL, "queue is NULL");
    if (is_parents(queue))
        return sqi_fail_with(SQ_EFORK, "this queue was made before a fork: make one in the child");
    return SQ_OK;
}

/* Whether the arguments are in order, and the queue is a FIFO. */
static inline bool is_fast(const sq_queue *queue, int64_t timeout_ms)
{
    return queue && timeout_ms >= SQ_FOREVER && sqi_fork_is_same(queue->fast_generation);
}

static int check_wait(const sq_queue *queue, int64_t timeout_ms)
{
    int result = sqi_check_timeout(timeout_ms);
    return result < 0 ? result : sqi_queue_check(queue);
}

/* One public call: the first try, then waiting if it must and may. */
static int64_t run(sq_queue *queue, struct sqi_gate *gate, try_function *try,
                   const struct attempt *attempt, int64_t timeout_ms)
{
    struct sqi_counts *counts = &queue->fifo.counts;
    int64_t result = try(queue, attempt);
    if (result == SQ_EEMPTY && timeout_ms == SQ_NOWAIT &&
        sqi_bias_barrier(&counts->bias, atomic_load(&counts->tail)))
        result = try(queue, attempt);
    if (must_wait(result) && timeout_ms != SQ_NOWAIT)
        result = wait_until(queue, gate, try, attempt, sqi_deadline_after(timeout_ms), NULL);
    return result < 0 ? sqi_fail((int)result) : result;
}

/* ── put, get, task_done, join ────────────────────────────────────────────────────────────── */

/* All that sq_queue_put() does. */
static __attribute__((noinline)) int put_carefully(sq_queue *queue, void *item, int64_t timeout_ms)
{
    int checked = check_wait(queue, timeout_ms);
    if (checked < 0)
        return checked;
    struct attempt attempt = {.put_items = &item, .count = 1};
    int64_t result = run(queue, &queue->put_gate, try_put, &attempt, timeout_ms);
    return result < 0 ? (int)result : SQ_OK;
}

int sq_queue_put(sq_queue *queue, void *item, int64_t timeout_ms)
{
    enum sqi_bias_way way;
    /* Mostly nothing is wrong and nothing in the way. No calls here, so no registers to save. */
    if (__builtin_expect(
            !is_fast(queue, timeout_ms) || sqi_fifo_add(&queue->fifo, &item, 1, &way) == 0, 0))
        return put_carefully(queue, item, timeout_ms);
    sqi_gate_wake_one(&queue->get_gate, way);
    return SQ_OK;
}

ssize_t sq_queue_put_many(sq_queue *queue, void *const *items, size_t count, int64_t timeout_ms)
{
    int checked = check_wait(queue, timeout_ms);
    if (checked < 0)
        return checked;
    if (!items && count > 0)
        return sqi_fail_with(SQ_EINVAL, "items is NULL");

    int64_t deadline_ns = SQI_NEVER;
    size_t put = 0;
    while (put < count) {
        struct attempt attempt = {.put_items = items + put, .count = count - put};
        int64_t result = try_put(queue, &attempt);
        if (must_wait(result) && timeout_ms != SQ_NOWAIT && !has_passed(deadline_ns)) {
            if (deadline_ns == SQI_NEVER)
                deadline_ns = sqi_deadline_after(timeout_ms);
            result = wait_until(queue, &queue->put_gate, try_put, &attempt, deadline_ns, NULL);
        }
        if (result < 0)
            return put > 0 ? (ssize_t)put : sqi_fail((int)result);
        put += (size_t)result;
    }
    return (ssize_t)put;
}

/* All that sq_queue_get() does. */
static __attribute__((noinline)) int get_carefully(sq_queue *queue, int64_t timeout_ms,
                                                   void **ret_item)
{
    int checked = check_wait(queue, timeout_ms);
    if (checked < 0)
        return checked;
    if (!ret_item)
        return sqi_fail_with(SQ_EINVAL, "ret_item is NULL");
    struct attempt attempt = {.get_items = ret_item, .count = 1};
    int64_t result = run(queue, &queue->get_gate, try_get, &attempt, timeout_ms);
    return result < 0 ? (int)result : SQ_OK;
}

int sq_queue_get(sq_queue *queue, int64_t timeout_ms, void **ret_item)
{
    void *item;
    if (__builtin_expect(!is_fast(queue, timeout_ms) || !ret_item ||
                             sqi_fifo_take(&queue->fifo, 1, &item) == 0,
                         0))
        return get_carefully(queue, timeout_ms, ret_item);
    *ret_item = item;
    sqi_gate_wake_one(&queue->put_gate, SQI_BY_SWAP);
    return SQ_OK;
}

ssize_t sq_queue_get_many(sq_queue *queue, size_t count_max, int64_t timeout_ms, void **ret_items)
{
    int checked = check_wait(queue, timeout_ms);
    if (checked < 0)
        return checked;
    if (count_max == 0)
        return 0;
    if (!ret_items)
        return sqi_fail_with(SQ_EINVAL, "ret_items is NULL");
    struct attempt attempt = {.get_items = ret_items, .count = count_max};
    return run(queue, &queue->get_gate, try_get, &attempt, timeout_ms);
}

static __attribute__((noinline)) void wake_joiners(sq_queue *queue)
{
    if (sqi_counts_is_finished(&queue->fifo.counts))
        sqi_gate_wake_all(&queue->join_gate);
}

/* All that sq_queue_task_done() does. */
static __attribute__((noinline)) int task_done_carefully(sq_queue *queue, size_t n)
{
    int checked = sqi_queue_check(queue);
    if (checked < 0)
        return checked;
    uint64_t unfinished;
    if (sqi_counts_task_done(&queue->fifo.counts, n, &unfinished) < 0)
        return sqi_fail_with(SQ_ETOOMANY, "task_done of %zu items, but %" PRIu64 " are unfinished",
                             n, unfinished);
    if (unfinished == 0)
        wake_joiners(queue);
    return SQ_OK;
}

int sq_queue_task_done(sq_queue *queue, size_t n)
{
    uint64_t unfinished;
    if (__builtin_expect(!is_fast(queue, SQ_NOWAIT) ||
                             !sqi_counts_try_done(&queue->fifo.counts, n, &unfinished),
                         0))
        return task_done_carefully(queue, n);
    if (__builtin_expect(unfinished == 0 && sqi_gate_sleepers(&queue->join_gate) > 0, 0))
        wake_joiners(queue);
    return SQ_OK;
}

int sq_queue_join(sq_queue *queue, int64_t timeout_ms)
{
    int checked = check_wait(queue, timeout_ms);
    if (checked < 0)
        return checked;
    return (int)run(queue, &queue->join_gate, try_join, NULL, timeout_ms);
}

/* ── shutdown ─────────────────────────────────────────────────────────────────────────────── */

int sq_queue_shutdown(sq_queue *queue, bool immediate)
{
    int checked = sqi_queue_check(queue);
    if (checked < 0)
        return checked;
    sqi_counts_close(&queue->fifo.counts);
    /* First the waiters, since drop may take its time; joiners last: whoever returns from join
       finds the drained items dropped. */
    sqi_gate_wake_all(&queue->put_gate);
    sqi_gate_wake_all(&queue->get_gate);
    if (immediate)
        drain(queue);
    sqi_gate_wake_all(&queue->join_gate);
    return SQ_OK;
}

/* ── looking ──────────────────────────────────────────────────────────────────────────────── */

uint64_t sq_queue_size(const sq_queue *queue)
{
    return queue ? sqi_counts_size(&queue->fifo.counts) : 0;
}

bool sq_queue_empty(const sq_queue *queue)
{
    return sq_queue_size(queue) == 0;
}

bool sq_queue_full(const sq_queue *queue)
{
    return queue && sq_queue_size(queue) >= queue->fifo.counts.capacity;
}

int sq_queue_stat(sq_queue *queue, sq_queue_stats *ret_stats)
{
    int result = sqi_queue_check(queue);
    if (result < 0)
        return result;
    if (!ret_stats)
        return sqi_fail_with(SQ_EINVAL, "ret_stats is NULL");
    sqi_counts_stat(&queue->fifo.counts, ret_stats);
    ret_stats->waiting_puts = sqi_gate_sleepers(&queue->put_gate);
    ret_stats->waiting_gets = sqi_gate_sleepers(&queue->get_gate);
    ret_stats->waiting_joins = sqi_gate_sleepers(&queue->join_gate);
    return SQ_OK;
}

/* ── for consumers ────────────────────────────────────────────────────────────────────────── */

int sqi_queue_get_until(sq_queue *queue, const atomic_bool *cancelled, void **ret_item)
{
    struct attempt attempt = {.get_items = ret_item, .count = 1};
    int64_t result = sqi_queue_check(queue); /* a handler may have forked */
    if (result == SQ_OK)
        result = try_get(queue, &attempt);
    if (must_wait(result))
        result = wait_until(queue, &queue->get_gate, try_get, &attempt, SQI_NEVER, cancelled);
    return result < 0 ? (int)result : SQ_OK;
}

int sqi_queue_join_until(sq_queue *queue, int64_t deadline_ns, const atomic_bool *cancelled)
{
    return (int)wait_until(queue, &queue->join_gate, try_join, NULL, deadline_ns, cancelled);
}

void sqi_queue_wake_cancelled(sq_queue *queue)
{
    sqi_gate_wake_all(&queue->get_gate);
    sqi_gate_wake_all(&queue->join_gate);
}
