/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle: the queue of sealq/queue.h as one lock around everything, as it was before its FIFO
 * became a ring. Every operation takes effect in a critical section, so that what it answers is
 * right by inspection; the tests of the queue run against it as well as against the library, and
 * what they ask of both is what the header promises, not what one version happens to do.
 *
 * It stands on src/base alone. Consumers, which need more than the header, are not for it.
 */
#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "gate_locked.h"
#include "items_heap.h"
#include "sealq/queue.h"

struct sq_queue {
    pthread_mutex_t lock; /* guards all down to size */
    struct sqo_items items;
    uint64_t high_water, puts, gets, dones, drops;
    bool is_shutdown;

    _Atomic uint64_t size; /* of items, for a look without the lock; written under it */

    struct sqo_gate put_gate, get_gate, join_gate;

    /* constant from here on */
    uint64_t capacity; /* UINT64_MAX: unbounded */
    void (*drop)(void *item, void *context);
    void *context;
    uint32_t fork_generation;
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
        .items = {.order = options->order,
                  .compare = options->compare,
                  .context = options->context},
        .capacity = options->capacity ? options->capacity : UINT64_MAX,
        .drop = options->drop,
        .context = options->context,
        .fork_generation = sqi_fork_generation(),
    };
    int failed = pthread_mutex_init(&queue->lock, NULL);
    assert(!failed); /* only attributes could make it fail */
    *ret_queue = queue;
    return SQ_OK;
}

/* Takes out and drops what is in items, which no other thread sees. */
static void drop_all(const sq_queue *queue, struct sqo_items *items)
{
    while (queue->drop && items->count > 0)
        queue->drop(sqo_items_take(items), queue->context);
    free(items->slots);
}

static bool is_parents(const sq_queue *queue)
{
    return queue->fork_generation != sqi_fork_generation();
}

sq_queue *sq_queue_free(sq_queue *queue)
{
    if (!queue)
        return NULL;
    if (is_parents(queue)) {
        free(queue->items.slots);
    } else {
        assert(sqo_gate_sleepers(&queue->put_gate) == 0);
        assert(sqo_gate_sleepers(&queue->get_gate) == 0);
        assert(sqo_gate_sleepers(&queue->join_gate) == 0);
        drop_all(queue, &queue->items);
        pthread_mutex_destroy(&queue->lock);
    }
    free(queue);
    return NULL;
}

/* ── the critical sections ────────────────────────────────────────────────────────────────── */

static void lock(sq_queue *queue)
{
    int failed = pthread_mutex_lock(&queue->lock);
    assert(!failed);
}

static void unlock(sq_queue *queue)
{
    /* Relaxed: a hint for who looks without the lock. */
    atomic_store_explicit(&queue->size, queue->items.count, memory_order_relaxed);
    int failed = pthread_mutex_unlock(&queue->lock);
    assert(!failed);
}

/* What a waiting operation tries to do, and which of its arguments it uses. */
struct attempt {
    void *const *put_items;
    void **get_items;
    size_t count; /* at least 1 */
};

/* Each try_ answers the number of items moved, at least 1, or a code: SQ_EFULL, SQ_EEMPTY or
   SQ_ETIMEDOUT when it must wait, any other when waiting does not help. */

static ssize_t try_put(sq_queue *queue, const struct attempt *attempt)
{
    ssize_t result;
    lock(queue);
    uint64_t room = queue->capacity - queue->items.count;
    size_t count = attempt->count < room ? attempt->count : (size_t)room;
    if (queue->is_shutdown) {
        result = SQ_ESHUTDOWN;
    } else if (count == 0) {
        result = SQ_EFULL;
    } else if (sqo_items_reserve(&queue->items, count) < 0) {
        result = SQ_ENOMEM;
    } else {
        for (size_t i = 0; i < count; i++)
            sqo_items_add(&queue->items, attempt->put_items[i]);
        queue->puts += count;
        if (queue->items.count > queue->high_water)
            queue->high_water = queue->items.count;
        result = (ssize_t)count;
    }
    unlock(queue);
    if (result > 0)
        sqo_gate_wake_one(&queue->get_gate);
    return result;
}

static ssize_t try_get(sq_queue *queue, const struct attempt *attempt)
{
    ssize_t result;
    lock(queue);
    size_t count = attempt->count < queue->items.count ? attempt->count : queue->items.count;
    if (count > 0) {
        for (size_t i = 0; i < count; i++)
            attempt->get_items[i] = sqo_items_take(&queue->items);
        queue->gets += count;
        result = (ssize_t)count;
    } else {
        result = queue->is_shutdown ? SQ_ESHUTDOWN : SQ_EEMPTY;
    }
    unlock(queue);
    if (result > 0)
        sqo_gate_wake_one(&queue->put_gate);
    return result;
}

static ssize_t try_join(sq_queue *queue, const struct attempt *attempt)
{
    (void)attempt;
    lock(queue);
    ssize_t result = queue->puts == queue->dones ? SQ_OK : SQ_ETIMEDOUT;
    unlock(queue);
    return result;
}

/* ── waiting ──────────────────────────────────────────────────────────────────────────────── */

typedef ssize_t try_function(sq_queue *queue, const struct attempt *attempt);

/* The chain of gate_locked.h: who leaves a gate passes the wake on when there is more for others.
   Also one whose put failed for want of memory: it may have taken over the wake of one whose would
   not. Joins need none: they are all woken at once. */
static void chain(sq_queue *queue, struct sqo_gate *gate)
{
    if (gate == &queue->join_gate || sqo_gate_sleepers(gate) == 0)
        return;
    lock(queue);
    bool more = gate == &queue->get_gate ? queue->items.count > 0
                                         : queue->items.count < queue->capacity;
    unlock(queue);
    if (more)
        sqo_gate_wake_one(gate);
}

static bool must_wait(ssize_t result)
{
    return result == SQ_EFULL || result == SQ_EEMPTY || result == SQ_ETIMEDOUT;
}

/* Tries until it need not wait or the deadline has passed. */
static ssize_t wait_until(sq_queue *queue, struct sqo_gate *gate, try_function *try,
                          const struct attempt *attempt, int64_t deadline_ns)
{
    ssize_t result;
    bool in_time = true;
    do {
        uint32_t epoch = sqo_gate_enter(gate);
        result = try(queue, attempt);
        if (must_wait(result))
            in_time = sqo_gate_sleep(gate, epoch, deadline_ns);
        sqo_gate_leave(gate);
        if (must_wait(result))
            result = try(queue, attempt); /* nobody leaves a gate without this look */
    } while (must_wait(result) && in_time);
    if (!must_wait(result))
        chain(queue, gate);
    return result;
}

static int check_queue(const sq_queue *queue)
{
    if (!queue)
        return sqi_fail_with(SQ_EINVAL, "queue is NULL");
    if (is_parents(queue))
        return sqi_fail_with(SQ_EFORK, "this queue was made before a fork: make one in the child");
    return SQ_OK;
}

static int check_wait(const sq_queue *queue, int64_t timeout_ms)
{
    int result = sqi_check_timeout(timeout_ms);
    return result < 0 ? result : check_queue(queue);
}

/* One public call: checks, the first try, then waiting if it must and may. */
static ssize_t run(sq_queue *queue, struct sqo_gate *gate, try_function *try,
                   const struct attempt *attempt, int64_t timeout_ms)
{
    ssize_t result = try(queue, attempt);
    if (must_wait(result) && timeout_ms != SQ_NOWAIT)
        result = wait_until(queue, gate, try, attempt, sqi_deadline_after(timeout_ms));
    return result < 0 ? sqi_fail((int)result) : result;
}

/* ── put, get, task_done, join ────────────────────────────────────────────────────────────── */

int sq_queue_put(sq_queue *queue, void *item, int64_t timeout_ms)
{
    int result = check_wait(queue, timeout_ms);
    if (result < 0)
        return result;
    struct attempt attempt = {.put_items = &item, .count = 1};
    result = (int)run(queue, &queue->put_gate, try_put, &attempt, timeout_ms);
    return result < 0 ? result : SQ_OK;
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
        ssize_t result = try_put(queue, &attempt);
        if (must_wait(result) && timeout_ms != SQ_NOWAIT) {
            if (deadline_ns == SQI_NEVER)
                deadline_ns = sqi_deadline_after(timeout_ms);
            result = wait_until(queue, &queue->put_gate, try_put, &attempt, deadline_ns);
        }
        if (result < 0)
            return put > 0 ? (ssize_t)put : sqi_fail((int)result);
        put += (size_t)result;
    }
    return (ssize_t)put;
}

int sq_queue_get(sq_queue *queue, int64_t timeout_ms, void **ret_item)
{
    int result = check_wait(queue, timeout_ms);
    if (result < 0)
        return result;
    if (!ret_item)
        return sqi_fail_with(SQ_EINVAL, "ret_item is NULL");
    struct attempt attempt = {.get_items = ret_item, .count = 1};
    result = (int)run(queue, &queue->get_gate, try_get, &attempt, timeout_ms);
    return result < 0 ? result : SQ_OK;
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

int sq_queue_task_done(sq_queue *queue, size_t n)
{
    int result = check_queue(queue);
    if (result < 0)
        return result;
    lock(queue);
    uint64_t unfinished = queue->puts - queue->dones;
    bool counted = n <= unfinished;
    if (counted)
        queue->dones += n;
    unlock(queue);
    if (!counted)
        return sqi_fail_with(SQ_ETOOMANY, "task_done of %zu items, but %" PRIu64 " are unfinished",
                             n, unfinished);
    if (n == unfinished)
        sqo_gate_wake_all(&queue->join_gate);
    return SQ_OK;
}

int sq_queue_join(sq_queue *queue, int64_t timeout_ms)
{
    int result = check_wait(queue, timeout_ms);
    if (result < 0)
        return result;
    return (int)run(queue, &queue->join_gate, try_join, NULL, timeout_ms);
}

/* ── shutdown ─────────────────────────────────────────────────────────────────────────────── */

/* With the lock held: takes all items out of the queue. */
static struct sqo_items take_all(sq_queue *queue)
{
    struct sqo_items taken = queue->items;
    queue->items.slots = NULL;
    queue->items.slot_count = queue->items.count = 0;
    queue->drops += taken.count;
    return taken;
}

/* The floor is 0 unfinished: task_done may have been called for items before they were got. */
static void count_drained(sq_queue *queue, uint64_t drained_count)
{
    lock(queue);
    uint64_t unfinished = queue->puts - queue->dones;
    queue->dones += drained_count < unfinished ? drained_count : unfinished;
    unlock(queue);
}

int sq_queue_shutdown(sq_queue *queue, bool immediate)
{
    int result = check_queue(queue);
    if (result < 0)
        return result;
    struct sqo_items drained = {.count = 0};
    lock(queue);
    queue->is_shutdown = true;
    if (immediate)
        drained = take_all(queue);
    unlock(queue);
    /* First the waiters, since drop may take its time; joiners last: whoever returns from join
       finds the drained items dropped. */
    sqo_gate_wake_all(&queue->put_gate);
    sqo_gate_wake_all(&queue->get_gate);
    uint64_t drained_count = drained.count;
    drop_all(queue, &drained);
    count_drained(queue, drained_count);
    sqo_gate_wake_all(&queue->join_gate);
    return SQ_OK;
}

/* ── looking ──────────────────────────────────────────────────────────────────────────────── */

uint64_t sq_queue_size(const sq_queue *queue)
{
    /* Relaxed: a hint, see unlock(). */
    return queue ? atomic_load_explicit(&queue->size, memory_order_relaxed) : 0;
}

bool sq_queue_empty(const sq_queue *queue)
{
    return sq_queue_size(queue) == 0;
}

bool sq_queue_full(const sq_queue *queue)
{
    return queue && sq_queue_size(queue) >= queue->capacity;
}

int sq_queue_stat(sq_queue *queue, sq_queue_stats *ret_stats)
{
    int result = check_queue(queue);
    if (result < 0)
        return result;
    if (!ret_stats)
        return sqi_fail_with(SQ_EINVAL, "ret_stats is NULL");
    lock(queue);
    *ret_stats = (sq_queue_stats){
        .capacity = queue->capacity == UINT64_MAX ? 0 : queue->capacity,
        .size = queue->items.count,
        .unfinished = queue->puts - queue->dones,
        .high_water = queue->high_water,
        .puts = queue->puts,
        .gets = queue->gets,
        .dones = queue->dones,
        .drops = queue->drops,
        .waiting_puts = sqo_gate_sleepers(&queue->put_gate),
        .waiting_gets = sqo_gate_sleepers(&queue->get_gate),
        .waiting_joins = sqo_gate_sleepers(&queue->join_gate),
        .is_shutdown = queue->is_shutdown,
    };
    unlock(queue);
    return SQ_OK;
}
