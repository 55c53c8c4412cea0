/* SPDX-License-Identifier: Apache-2.0 */
/* Shutdown: graceful and immediate, with and without waiters, and what is dropped. */
#include <stdatomic.h>
#include <string.h>

#include "testing.h"

enum { WAITERS = 64, DROPS_MAX = 16 };

struct drops {
    sq_queue *queue;
    uintptr_t numbers[DROPS_MAX];
    unsigned count;
    uint64_t unfinished_before; /* when the first one was dropped */
};

static void note_drop(void *dropped, void *context)
{
    struct drops *drops = context;
    if (drops->count == 0)
        drops->unfinished_before = stats_of(drops->queue).unfinished; /* may call the queue */
    drops->numbers[drops->count++] = number(dropped);
}

static sq_queue *make_dropping_queue(struct drops *drops, uint64_t capacity)
{
    sq_queue_options options = {.capacity = capacity, .drop = note_drop, .context = drops};
    assert_int_equal(sq_queue_create(&options, &drops->queue), SQ_OK);
    return drops->queue;
}

static void put_three(sq_queue *queue)
{
    void *items[] = {item(1), item(2), item(3)};
    assert_int_equal(sq_queue_put_many(queue, items, 3, SQ_NOWAIT), 3);
}

static void graceful_refuses_puts_and_lets_gets_empty_the_queue(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    void *got[3];
    put_three(queue);
    assert_int_equal(sq_queue_shutdown(queue, false), SQ_OK);
    assert_true(stats_of(queue).is_shutdown);
    assert_int_equal(sq_queue_put(queue, item(4), SQ_NOWAIT), SQ_ESHUTDOWN);
    assert_int_equal(sq_queue_put(queue, item(4), SQ_FOREVER), SQ_ESHUTDOWN);
    assert_int_equal(sq_queue_put_many(queue, got, 3, SQ_NOWAIT), SQ_ESHUTDOWN);
    assert_int_equal(sq_queue_get_many(queue, 3, SQ_FOREVER, got), 3);
    assert_int_equal(sq_queue_get(queue, SQ_FOREVER, got), SQ_ESHUTDOWN);
    assert_int_equal(sq_queue_join(queue, SQ_NOWAIT), SQ_ETIMEDOUT);
    assert_int_equal(sq_queue_task_done(queue, 3), SQ_OK); /* legal after a shutdown */
    assert_int_equal(sq_queue_join(queue, SQ_NOWAIT), SQ_OK);
    sq_queue_free(queue);
}

static void put_into_a_full_queue_that_is_shut_down_answers_shutdown(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(1, SQ_FIFO);
    assert_int_equal(sq_queue_put(queue, item(1), SQ_NOWAIT), SQ_OK);
    assert_int_equal(sq_queue_shutdown(queue, false), SQ_OK);
    assert_int_equal(sq_queue_put(queue, item(2), SQ_NOWAIT), SQ_ESHUTDOWN);
    sq_queue_free(queue);
}

static void shutdown_is_idempotent(void **state)
{
    (void)state;
    struct drops drops = {.count = 0};
    sq_queue *queue = make_dropping_queue(&drops, 0);
    put_three(queue);
    assert_int_equal(sq_queue_shutdown(queue, false), SQ_OK);
    assert_int_equal(sq_queue_shutdown(queue, false), SQ_OK);
    assert_int_equal(sq_queue_size(queue), 3);
    assert_int_equal(sq_queue_shutdown(queue, true), SQ_OK); /* graceful, then immediate */
    assert_int_equal(sq_queue_shutdown(queue, true), SQ_OK);
    assert_int_equal(sq_queue_shutdown(queue, false), SQ_OK);
    assert_int_equal(drops.count, 3);
    sq_queue_free(queue);
    assert_int_equal(drops.count, 3);
}

static void immediate_drops_in_order_then_counts_the_drained_as_done(void **state)
{
    (void)state;
    struct drops drops = {.count = 0};
    sq_queue *queue = make_dropping_queue(&drops, 0);
    void *got = item(42);
    put_three(queue);
    assert_int_equal(sq_queue_shutdown(queue, true), SQ_OK);
    assert_memory_equal(drops.numbers, ((uintptr_t[]){1, 2, 3}), 3 * sizeof(uintptr_t));
    assert_int_equal(drops.unfinished_before, 3);
    assert_int_equal(sq_queue_get(queue, SQ_FOREVER, &got), SQ_ESHUTDOWN);
    assert_ptr_equal(got, item(42));
    assert_int_equal(sq_queue_join(queue, SQ_NOWAIT), SQ_OK);
    assert_int_equal(sq_queue_task_done(queue, 1), SQ_ETOOMANY);
    sq_queue_stats stats = stats_of(queue);
    assert_int_equal(stats.drops, 3);
    assert_int_equal(stats.dones, 3);
    assert_int_equal(stats.gets, 0);
    sq_queue_free(queue);
}

static void immediate_counts_no_item_as_done_twice(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    put_three(queue);
    assert_int_equal(sq_queue_task_done(queue, 2), SQ_OK); /* before the gets */
    assert_int_equal(sq_queue_shutdown(queue, true), SQ_OK);
    assert_int_equal(stats_of(queue).unfinished, 0);
    assert_int_equal(stats_of(queue).dones, 3);
    sq_queue_free(queue);
}

static void count_drop(void *dropped, void *context)
{
    (void)dropped;
    ++*(unsigned *)context;
}

static void free_drops_what_is_left(void **state)
{
    (void)state;
    sq_queue *queue;
    unsigned drop_count = 0;
    void *got;
    sq_queue_options options = {.drop = count_drop, .context = &drop_count};
    assert_int_equal(sq_queue_create(&options, &queue), SQ_OK);
    put_three(queue);
    assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
    sq_queue_free(queue);
    assert_int_equal(drop_count, 2);
}

/* ── with waiters ─────────────────────────────────────────────────────────────────────────── */

struct waiters {
    struct call calls[WAITERS];
    pthread_t threads[WAITERS];
};

static void start_waiters(struct waiters *waiters, sq_queue *queue, void *(*body)(void *))
{
    for (unsigned i = 0; i < WAITERS; i++) {
        waiters->calls[i] = (struct call){
            .queue = queue, .timeout_ms = SQ_FOREVER, .item = item(100 + i)};
        waiters->threads[i] = start_thread(body, &waiters->calls[i]);
    }
}

static void end_waiters(struct waiters *waiters, int expected)
{
    for (unsigned i = 0; i < WAITERS; i++)
        assert_int_equal(end_thread(waiters->threads[i]), expected);
}

static void waiting_puts_answer_shutdown_and_keep_their_items(void **state)
{
    (void)state;
    for (int immediate = 0; immediate <= 1; immediate++) {
        struct drops drops = {.count = 0};
        sq_queue *queue = make_dropping_queue(&drops, 1);
        struct waiters waiters;
        assert_int_equal(sq_queue_put(queue, item(1), SQ_NOWAIT), SQ_OK);
        start_waiters(&waiters, queue, call_put);
        wait_until(stats_of(queue).waiting_puts == WAITERS);
        assert_int_equal(sq_queue_shutdown(queue, immediate), SQ_OK);
        end_waiters(&waiters, SQ_ESHUTDOWN);
        assert_int_equal(stats_of(queue).puts, 1);
        assert_int_equal(sq_queue_size(queue), immediate ? 0 : 1);
        assert_int_equal(sq_queue_shutdown(queue, true), SQ_OK);
        assert_int_equal(drops.count, 1); /* the waiting puts' items are their callers' */
        sq_queue_free(queue);
    }
}

static void waiting_gets_answer_shutdown(void **state)
{
    (void)state;
    for (int immediate = 0; immediate <= 1; immediate++) {
        sq_queue *queue = make_queue(0, SQ_FIFO);
        struct waiters waiters;
        start_waiters(&waiters, queue, call_get);
        wait_until(stats_of(queue).waiting_gets == WAITERS);
        assert_int_equal(sq_queue_shutdown(queue, immediate), SQ_OK);
        end_waiters(&waiters, SQ_ESHUTDOWN);
        sq_queue_free(queue);
    }
}

static void immediate_ends_joins_when_nothing_is_being_worked_on(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    struct waiters waiters;
    put_three(queue);
    start_waiters(&waiters, queue, call_join);
    wait_until(stats_of(queue).waiting_joins == WAITERS);
    assert_int_equal(sq_queue_shutdown(queue, true), SQ_OK);
    end_waiters(&waiters, SQ_OK);
    sq_queue_free(queue);
}

static void joins_still_wait_for_items_being_worked_on_after_immediate(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    struct waiters waiters;
    void *got;
    put_three(queue);
    assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
    start_waiters(&waiters, queue, call_join);
    wait_until(stats_of(queue).waiting_joins == WAITERS);
    assert_int_equal(sq_queue_shutdown(queue, true), SQ_OK);
    assert_int_equal(stats_of(queue).unfinished, 1);
    assert_int_equal(sq_queue_join(queue, 1), SQ_ETIMEDOUT);
    assert_int_equal(sq_queue_task_done(queue, 1), SQ_OK);
    end_waiters(&waiters, SQ_OK);
    sq_queue_free(queue);
}

static void graceful_leaves_joins_waiting_until_what_is_there_is_done(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    struct waiters waiters;
    void *got[3];
    put_three(queue);
    start_waiters(&waiters, queue, call_join);
    wait_until(stats_of(queue).waiting_joins == WAITERS);
    assert_int_equal(sq_queue_shutdown(queue, false), SQ_OK);
    assert_int_equal(sq_queue_get_many(queue, 3, SQ_NOWAIT, got), 3);
    assert_int_equal(sq_queue_task_done(queue, 2), SQ_OK);
    assert_int_equal(sq_queue_join(queue, 1), SQ_ETIMEDOUT);
    assert_int_equal(sq_queue_task_done(queue, 1), SQ_OK);
    end_waiters(&waiters, SQ_OK);
    sq_queue_free(queue);
}

static void one_shutdown_ends_all_puts_and_joins_that_wait(void **state)
{
    (void)state;
    static const uint64_t capacities[] = {1, 3, 2000};
    for (unsigned i = 0; i < 3; i++) {
        sq_queue *queue = make_queue(capacities[i], SQ_FIFO);
        struct waiters putters, joiners;
        for (uint64_t n = 0; n < capacities[i]; n++)
            assert_int_equal(sq_queue_put(queue, NULL, SQ_NOWAIT), SQ_OK);
        start_waiters(&putters, queue, call_put);
        start_waiters(&joiners, queue, call_join);
        wait_until(stats_of(queue).waiting_puts == WAITERS);
        wait_until(stats_of(queue).waiting_joins == WAITERS);
        assert_int_equal(sq_queue_shutdown(queue, true), SQ_OK);
        end_waiters(&putters, SQ_ESHUTDOWN);
        end_waiters(&joiners, SQ_OK);
        assert_int_equal(stats_of(queue).drops, capacities[i]);
        sq_queue_free(queue);
    }
}

/* ── while others are at work ─────────────────────────────────────────────────────────────── */

struct traffic {
    sq_queue *queue;
    atomic_uint put_count, got_count, drop_count;
};

static void *put_until_shutdown(void *argument)
{
    struct traffic *traffic = argument;
    int result;
    while ((result = sq_queue_put(traffic->queue, item(1), SQ_FOREVER)) == SQ_OK)
        atomic_fetch_add(&traffic->put_count, 1);
    return item(result);
}

static void *get_until_shutdown(void *argument)
{
    struct traffic *traffic = argument;
    int result, wrong = 0;
    void *got;
    while ((result = sq_queue_get(traffic->queue, SQ_FOREVER, &got)) == SQ_OK) {
        atomic_fetch_add(&traffic->got_count, 1);
        wrong += sq_queue_task_done(traffic->queue, 1) != SQ_OK;
    }
    return item(result + wrong);
}

static void note_traffic(void *dropped, void *context)
{
    struct traffic *traffic = context;
    (void)dropped;
    atomic_fetch_add(&traffic->drop_count, 1);
}

static void run_traffic(uint64_t capacity, bool immediate)
{
    struct traffic traffic = {.queue = NULL};
    sq_queue_options options = {.capacity = capacity, .drop = note_traffic, .context = &traffic};
    assert_int_equal(sq_queue_create(&options, &traffic.queue), SQ_OK);
    pthread_t putters[3], getters[3];
    for (unsigned i = 0; i < 3; i++) {
        putters[i] = start_thread(put_until_shutdown, &traffic);
        getters[i] = start_thread(get_until_shutdown, &traffic);
    }
    wait_until(atomic_load(&traffic.got_count) > 50);
    assert_int_equal(sq_queue_shutdown(traffic.queue, immediate), SQ_OK);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(end_thread(putters[i]), SQ_ESHUTDOWN);
        assert_int_equal(end_thread(getters[i]), SQ_ESHUTDOWN);
    }
    /* What a put said went in was got or dropped: none comes too late for both. */
    assert_int_equal(sq_queue_size(traffic.queue), 0);
    assert_int_equal(atomic_load(&traffic.put_count),
                     atomic_load(&traffic.got_count) + atomic_load(&traffic.drop_count));
    assert_true(immediate || atomic_load(&traffic.drop_count) == 0);
    assert_int_equal(sq_queue_join(traffic.queue, SQ_FOREVER), SQ_OK);
    sq_queue_free(traffic.queue);
}

static void no_item_is_lost_when_a_shutdown_races_with_puts_and_gets(void **state)
{
    (void)state;
    static const uint64_t capacities[] = {0, 1, 2, 3, 65536};
    for (unsigned round = 0; round < 200; round++)
        run_traffic(capacities[round % 5], round / 5 % 2);
}

struct blocked_put {
    struct call call;
    pthread_mutex_t lock;
};

static void *put_with_the_lock(void *argument)
{
    struct blocked_put *blocked = argument;
    pthread_mutex_lock(&blocked->lock);
    void *result = call_put(&blocked->call);
    pthread_mutex_unlock(&blocked->lock);
    return result;
}

static void drop_with_the_lock(void *dropped, void *context)
{
    struct blocked_put *blocked = context;
    (void)dropped;
    pthread_mutex_lock(&blocked->lock);
    pthread_mutex_unlock(&blocked->lock);
}

static void drop_may_wait_for_threads_that_wait_in_put(void **state)
{
    (void)state;
    struct blocked_put blocked = {.lock = PTHREAD_MUTEX_INITIALIZER};
    sq_queue_options options = {.capacity = 1, .drop = drop_with_the_lock, .context = &blocked};
    assert_int_equal(sq_queue_create(&options, &blocked.call.queue), SQ_OK);
    blocked.call.timeout_ms = SQ_FOREVER;
    assert_int_equal(sq_queue_put(blocked.call.queue, item(1), SQ_NOWAIT), SQ_OK);
    pthread_t putter = start_thread(put_with_the_lock, &blocked);
    wait_until(stats_of(blocked.call.queue).waiting_puts == 1);
    assert_int_equal(sq_queue_shutdown(blocked.call.queue, true), SQ_OK);
    assert_int_equal(end_thread(putter), SQ_ESHUTDOWN);
    sq_queue_free(blocked.call.queue);
}

struct batch {
    sq_queue *queue;
    ssize_t put_count;
};

static void *put_four(void *argument)
{
    struct batch *batch = argument;
    void *items[4] = {item(1), item(2), item(3), item(4)};
    batch->put_count = sq_queue_put_many(batch->queue, items, 4, SQ_FOREVER);
    return NULL;
}

static void put_many_waiting_at_shutdown_tells_how_many_went_in(void **state)
{
    (void)state;
    struct batch batch = {.queue = make_queue(3, SQ_FIFO)};
    pthread_t putter = start_thread(put_four, &batch);
    wait_until(stats_of(batch.queue).waiting_puts == 1);
    assert_int_equal(sq_queue_shutdown(batch.queue, false), SQ_OK);
    assert_int_equal(end_thread(putter), 0);
    assert_int_equal(batch.put_count, 3);
    assert_int_equal(sq_queue_size(batch.queue), 3);
    sq_queue_free(batch.queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graceful_refuses_puts_and_lets_gets_empty_the_queue),
        cmocka_unit_test(put_into_a_full_queue_that_is_shut_down_answers_shutdown),
        cmocka_unit_test(shutdown_is_idempotent),
        cmocka_unit_test(immediate_drops_in_order_then_counts_the_drained_as_done),
        cmocka_unit_test(immediate_counts_no_item_as_done_twice),
        cmocka_unit_test(free_drops_what_is_left),
        cmocka_unit_test(waiting_puts_answer_shutdown_and_keep_their_items),
        cmocka_unit_test(waiting_gets_answer_shutdown),
        cmocka_unit_test(immediate_ends_joins_when_nothing_is_being_worked_on),
        cmocka_unit_test(joins_still_wait_for_items_being_worked_on_after_immediate),
        cmocka_unit_test(graceful_leaves_joins_waiting_until_what_is_there_is_done),
        cmocka_unit_test(one_shutdown_ends_all_puts_and_joins_that_wait),
        cmocka_unit_test(no_item_is_lost_when_a_shutdown_races_with_puts_and_gets),
        cmocka_unit_test(drop_may_wait_for_threads_that_wait_in_put),
        cmocka_unit_test(put_many_waiting_at_shutdown_tells_how_many_went_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
