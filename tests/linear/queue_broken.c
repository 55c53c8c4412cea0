/* SPDX-License-Identifier: Apache-2.0 */
#include "queue_broken.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "interleave/delay.h"
#include "sealq/queue.h"

enum sqt_defect sqt_defect;

/* The functions that the linker takes from the runner, and those of the oracle. */
#define WRAPPED(result, name, ...)                                                                 \
    result __real_##name(__VA_ARGS__);                                                             \
    result __wrap_##name(__VA_ARGS__);                                                             \
    result __wrap_##name(__VA_ARGS__)

static atomic_uint inside; /* threads in a wrapped function */
static void *_Atomic last_got;
static void (*drop)(void *dropped, void *context);

static pthread_mutex_t drain_lock = PTHREAD_MUTEX_INITIALIZER; /* guards this: */
static uint64_t drain_count; /* gets of the oracle that were drains */

/* Whether to go wrong now. */
static bool goes_wrong(enum sqt_defect defect)
{
    return sqt_defect == defect && atomic_load(&inside) > 1;
}

/* Between two steps, for others to take theirs, if there are any. */
static void dawdle(void)
{
    if (atomic_load(&inside) < 2)
        return;
    sqt_spin(50);
    sched_yield();
}

WRAPPED(int, sq_queue_create, const sq_queue_options *options, sq_queue **ret_queue)
{
    sq_queue_options changed = *options;
    drop = options->drop;
    drain_count = 0;
    if (sqt_defect == SQT_ONE_MORE && changed.capacity > 0)
        changed.capacity++;
    return __real_sq_queue_create(&changed, ret_queue);
}

WRAPPED(int, sq_queue_stat, sq_queue *queue, sq_queue_stats *ret_stats)
{
    pthread_mutex_lock(&drain_lock);
    int result = __real_sq_queue_stat(queue, ret_stats);
    ret_stats->gets -= drain_count;
    ret_stats->drops += drain_count;
    pthread_mutex_unlock(&drain_lock);
    if (sqt_defect == SQT_ONE_MORE && ret_stats->capacity > 0)
        ret_stats->capacity--;
    if (goes_wrong(SQT_STAT_TORN)) {
        sq_queue_stats later;
        dawdle();
        __real_sq_queue_stat(queue, &later);
        later.puts = ret_stats->puts;
        *ret_stats = later;
    }
    return result;
}

/* ── put ──────────────────────────────────────────────────────────────────────────────────── */

WRAPPED(int, sq_queue_put, sq_queue *queue, void *item, int64_t timeout_ms)
{
    atomic_fetch_add(&inside, 1);
    int result = SQ_EFULL;
    if (timeout_ms != SQ_NOWAIT || !goes_wrong(SQT_SEEMS_FULL))
        result = __real_sq_queue_put(queue, item, timeout_ms);
    atomic_fetch_sub(&inside, 1);
    return result;
}

ssize_t __real_sq_queue_put_many(sq_queue *queue, void *const *items, size_t count,
                                 int64_t timeout_ms);

static ssize_t put_many_wrongly(sq_queue *queue, void *const *items, size_t count,
                                int64_t timeout_ms)
{
    void *reversed[] = {items[count - 1], items[0]};
    if (count == 2 && goes_wrong(SQT_REVERSED))
        return __real_sq_queue_put_many(queue, reversed, count, timeout_ms);
    if (sqt_defect != SQT_IN_STEPS)
        return __real_sq_queue_put_many(queue, items, count, timeout_ms);
    size_t put = 0;
    int result = SQ_OK;
    while (put < count && (result = __real_sq_queue_put(queue, items[put], timeout_ms)) == SQ_OK) {
        put++;
        dawdle();
    }
    return put > 0 ? (ssize_t)put : result;
}

WRAPPED(ssize_t, sq_queue_put_many, sq_queue *queue, void *const *items, size_t count,
        int64_t timeout_ms)
{
    atomic_fetch_add(&inside, 1);
    ssize_t result = 0;
    if (count > 0)
        result = put_many_wrongly(queue, items, count, timeout_ms);
    atomic_fetch_sub(&inside, 1);
    return result;
}

/* ── get ──────────────────────────────────────────────────────────────────────────────────── */

int __real_sq_queue_get(sq_queue *queue, int64_t timeout_ms, void **ret_item);
ssize_t __real_sq_queue_get_many(sq_queue *queue, size_t count_max, int64_t timeout_ms,
                                 void **ret_items);
int __real_sq_queue_task_done(sq_queue *queue, size_t n);

/* Of two items, the second; what becomes of the first is another matter. */
static int get_second(sq_queue *queue, int64_t timeout_ms, void **ret_item)
{
    void *items[2];
    ssize_t count = __real_sq_queue_get_many(queue, 2, timeout_ms, items);
    if (count <= 0)
        return (int)count;
    *ret_item = items[count - 1];
    if (count == 2 && sqt_defect == SQT_OVERTAKEN &&
        __real_sq_queue_put(queue, items[0], SQ_NOWAIT) == SQ_OK)
        __real_sq_queue_task_done(queue, 1); /* of its first put */
    return SQ_OK;
}

static int get_or_end(sq_queue *queue, int64_t timeout_ms, void **ret_item)
{
    sq_queue_stats stats;
    int result = __real_sq_queue_get(queue, SQ_NOWAIT, ret_item);
    if (result != SQ_EEMPTY)
        return result;
    dawdle();
    __real_sq_queue_stat(queue, &stats);
    return stats.is_shutdown ? SQ_ESHUTDOWN : __real_sq_queue_get(queue, timeout_ms, ret_item);
}

static int get_wrongly(sq_queue *queue, int64_t timeout_ms, void **ret_item)
{
    if (timeout_ms == SQ_NOWAIT && goes_wrong(SQT_SEEMS_EMPTY))
        return SQ_EEMPTY;
    if (goes_wrong(SQT_OVERTAKEN) || goes_wrong(SQT_LOST))
        return get_second(queue, timeout_ms, ret_item);
    if (sqt_defect == SQT_ENDS_EARLY)
        return get_or_end(queue, timeout_ms, ret_item);
    if (goes_wrong(SQT_DOUBLED) && atomic_load(&last_got)) {
        *ret_item = atomic_load(&last_got);
        return SQ_OK;
    }
    int result = __real_sq_queue_get(queue, timeout_ms, ret_item);
    if (result == SQ_OK)
        atomic_store(&last_got, *ret_item);
    return result;
}

WRAPPED(int, sq_queue_get, sq_queue *queue, int64_t timeout_ms, void **ret_item)
{
    atomic_fetch_add(&inside, 1);
    int result = get_wrongly(queue, timeout_ms, ret_item);
    atomic_fetch_sub(&inside, 1);
    return result;
}

static ssize_t get_many_in_steps(sq_queue *queue, size_t count_max, int64_t timeout_ms,
                                 void **ret_items)
{
    size_t got = 0;
    int result = SQ_OK;
    while (got < count_max && (result = __real_sq_queue_get(queue, got ? SQ_NOWAIT : timeout_ms,
                                                            ret_items + got)) == SQ_OK) {
        got++;
        dawdle();
    }
    return got > 0 ? (ssize_t)got : result;
}

WRAPPED(ssize_t, sq_queue_get_many, sq_queue *queue, size_t count_max, int64_t timeout_ms,
        void **ret_items)
{
    atomic_fetch_add(&inside, 1);
    if (count_max > 1 && goes_wrong(SQT_GET_MANY_TOO_FEW))
        count_max--;
    ssize_t result = sqt_defect == SQT_IN_STEPS
                         ? get_many_in_steps(queue, count_max, timeout_ms, ret_items)
                         : __real_sq_queue_get_many(queue, count_max, timeout_ms, ret_items);
    atomic_fetch_sub(&inside, 1);
    return result;
}

/* ── task_done, join, shutdown ────────────────────────────────────────────────────────────── */

WRAPPED(int, sq_queue_task_done, sq_queue *queue, size_t n)
{
    atomic_fetch_add(&inside, 1);
    int result = __real_sq_queue_task_done(queue, n);
    if (result == SQ_ETOOMANY && goes_wrong(SQT_TOO_MANY_COUNTS))
        __real_sq_queue_task_done(queue, 1);
    atomic_fetch_sub(&inside, 1);
    return result;
}

WRAPPED(int, sq_queue_join, sq_queue *queue, int64_t timeout_ms)
{
    atomic_fetch_add(&inside, 1);
    sq_queue_stats before = {0}, after = {.dones = 1};
    if (sqt_defect == SQT_JOIN_TORN) {
        __real_sq_queue_stat(queue, &before);
        dawdle();
        __real_sq_queue_stat(queue, &after);
    }
    int result = SQ_OK;
    if (before.puts != after.dones)
        result = __real_sq_queue_join(queue, timeout_ms);
    atomic_fetch_sub(&inside, 1);
    return result;
}

int __real_sq_queue_shutdown(sq_queue *queue, bool immediate);

static bool drain_one(sq_queue *queue)
{
    void *got;
    pthread_mutex_lock(&drain_lock);
    bool drained = __real_sq_queue_get(queue, SQ_NOWAIT, &got) == SQ_OK;
    drain_count += drained;
    pthread_mutex_unlock(&drain_lock);
    if (drained)
        drop(got, NULL);
    return drained;
}

/* Closes, then drains by one get after the other, then counts: or not. */
static int drain_in_steps(sq_queue *queue)
{
    int result = __real_sq_queue_shutdown(queue, false);
    size_t count = 0;
    for (; drain_one(queue); count++)
        dawdle();
    sq_queue_stats stats;
    do {
        __real_sq_queue_stat(queue, &stats);
        count = count < stats.unfinished ? count : stats.unfinished;
    } while (sqt_defect == SQT_IN_STEPS && __real_sq_queue_task_done(queue, count) != SQ_OK);
    return result;
}

WRAPPED(int, sq_queue_shutdown, sq_queue *queue, bool immediate)
{
    bool in_steps = sqt_defect == SQT_IN_STEPS || sqt_defect == SQT_DRAINED_UNCOUNTED;
    atomic_fetch_add(&inside, 1);
    int result = immediate && in_steps ? drain_in_steps(queue)
                                       : __real_sq_queue_shutdown(queue, immediate);
    atomic_fetch_sub(&inside, 1);
    return result;
}
