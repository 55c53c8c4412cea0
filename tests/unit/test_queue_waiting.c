/* SPDX-License-Identifier: Apache-2.0 */
/* The queue between threads: who waits is woken, nobody wakes too early, idle ones cost nothing. */
#include <stdatomic.h>

#include "testing.h"

enum { WAITERS = 16 };

static void start_calls(sq_queue *queue, void *(*body)(void *), struct call *calls,
                        pthread_t *threads)
{
    for (unsigned i = 0; i < WAITERS; i++) {
        calls[i] = (struct call){.queue = queue, .timeout_ms = SQ_FOREVER, .item = item(i + 1)};
        threads[i] = start_thread(body, &calls[i]);
    }
}

static void end_calls(pthread_t *threads, int expected)
{
    for (unsigned i = 0; i < WAITERS; i++)
        assert_int_equal(end_thread(threads[i]), expected);
}

static void a_waiting_get_is_woken_by_a_put(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    struct call call = {.queue = queue, .timeout_ms = SQ_FOREVER};
    pthread_t getter = start_thread(call_get, &call);
    wait_until(stats_of(queue).waiting_gets == 1);
    assert_int_equal(sq_queue_put(queue, item(7), SQ_NOWAIT), SQ_OK);
    assert_int_equal(end_thread(getter), SQ_OK);
    assert_int_equal(number(call.item), 7);
    assert_int_equal(stats_of(queue).waiting_gets, 0);
    sq_queue_free(queue);
}

static void a_waiting_put_is_woken_by_a_get(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(1, SQ_FIFO);
    void *got;
    assert_int_equal(sq_queue_put(queue, item(1), SQ_NOWAIT), SQ_OK);
    struct call call = {.queue = queue, .timeout_ms = SQ_FOREVER, .item = item(2)};
    pthread_t putter = start_thread(call_put, &call);
    wait_until(stats_of(queue).waiting_puts == 1);
    assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
    assert_int_equal(end_thread(putter), SQ_OK);
    assert_int_equal(sq_queue_size(queue), 1);
    sq_queue_free(queue);
}

static void one_put_many_wakes_as_many_gets_as_it_has_items(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    struct call calls[WAITERS];
    pthread_t threads[WAITERS];
    void *items[WAITERS];
    for (unsigned i = 0; i < WAITERS; i++)
        items[i] = item(1);
    start_calls(queue, call_get, calls, threads);
    wait_until(stats_of(queue).waiting_gets == WAITERS);
    assert_int_equal(sq_queue_put_many(queue, items, WAITERS, SQ_NOWAIT), WAITERS);
    end_calls(threads, SQ_OK); /* the chain reached the last of them */
    assert_true(sq_queue_empty(queue));
    sq_queue_free(queue);
}

static void one_get_many_wakes_as_many_puts_as_it_makes_room_for(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(WAITERS, SQ_LIFO);
    struct call calls[WAITERS];
    pthread_t threads[WAITERS];
    void *items[WAITERS] = {NULL};
    assert_int_equal(sq_queue_put_many(queue, items, WAITERS, SQ_NOWAIT), WAITERS);
    start_calls(queue, call_put, calls, threads);
    wait_until(stats_of(queue).waiting_puts == WAITERS);
    assert_int_equal(sq_queue_get_many(queue, WAITERS, SQ_NOWAIT, items), WAITERS);
    end_calls(threads, SQ_OK);
    assert_int_equal(sq_queue_size(queue), WAITERS);
    sq_queue_free(queue);
}

enum { LONG_BATCH = 1000 };

static void *get_long_batch(void *argument)
{
    int wrong = 0;
    for (unsigned n = 1; n <= LONG_BATCH; n++) {
        void *got = NULL;
        wrong += sq_queue_get(argument, SQ_FOREVER, &got) != SQ_OK || number(got) != n;
    }
    return item(wrong);
}

static void put_many_goes_on_when_room_comes(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(2, SQ_FIFO);
    void *items[LONG_BATCH];
    for (unsigned i = 0; i < LONG_BATCH; i++)
        items[i] = item(i + 1);
    pthread_t getter = start_thread(get_long_batch, queue);
    assert_int_equal(sq_queue_put_many(queue, items, LONG_BATCH, SQ_FOREVER), LONG_BATCH);
    assert_int_equal(end_thread(getter), 0);
    sq_queue_free(queue);
}

static void all_joiners_are_woken_by_the_last_task_done(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    struct call calls[WAITERS];
    pthread_t threads[WAITERS];
    void *items[2] = {NULL};
    assert_int_equal(sq_queue_put_many(queue, items, 2, SQ_NOWAIT), 2);
    start_calls(queue, call_join, calls, threads);
    wait_until(stats_of(queue).waiting_joins == WAITERS);
    assert_int_equal(sq_queue_task_done(queue, 1), SQ_OK);
    assert_int_equal(stats_of(queue).waiting_joins, WAITERS);
    assert_int_equal(sq_queue_task_done(queue, 1), SQ_OK);
    end_calls(threads, SQ_OK);
    sq_queue_free(queue);
}

/* ── a parent's child keeps join waiting ──────────────────────────────────────────────────── */

enum { GENERATIONS = 20000 };

struct family {
    sq_queue *queue;
    atomic_uint finished;
};

/* Each item is a generation: its worker puts the next one, then finishes it. */
static void *raise_children(void *argument)
{
    struct family *family = argument;
    int wrong = 0;
    void *got;
    while (sq_queue_get(family->queue, SQ_FOREVER, &got) == SQ_OK) {
        if (number(got) < GENERATIONS)
            wrong += sq_queue_put(family->queue, item(number(got) + 1), SQ_FOREVER) != SQ_OK;
        atomic_fetch_add(&family->finished, 1);
        wrong += sq_queue_task_done(family->queue, 1) != SQ_OK;
    }
    return item(wrong);
}

static void *join_family(void *argument)
{
    struct family *family = argument;
    int wrong = sq_queue_join(family->queue, SQ_FOREVER) != SQ_OK;
    return item(wrong + (atomic_load(&family->finished) != GENERATIONS));
}

static void join_is_never_early_when_a_worker_puts_a_child_and_finishes_its_parent(void **state)
{
    (void)state;
    struct family family = {.queue = make_queue(0, SQ_FIFO)};
    pthread_t workers[3], joiners[3];
    assert_int_equal(sq_queue_put(family.queue, item(1), SQ_NOWAIT), SQ_OK);
    for (unsigned i = 0; i < 3; i++) {
        joiners[i] = start_thread(join_family, &family);
        workers[i] = start_thread(raise_children, &family);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(end_thread(joiners[i]), 0);
    assert_int_equal(sq_queue_shutdown(family.queue, false), SQ_OK);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(end_thread(workers[i]), 0);
    sq_queue_free(family.queue);
}

/* ── idle waiters ─────────────────────────────────────────────────────────────────────────── */

static void waiting_threads_use_no_cpu(void **state)
{
    (void)state;
    sq_queue *empty = make_queue(0, SQ_FIFO), *full = make_queue(1, SQ_FIFO);
    sq_queue *never = make_queue(0, SQ_FIFO);
    struct call gets[WAITERS], puts[WAITERS], joins[WAITERS];
    pthread_t getters[WAITERS], putters[WAITERS], joiners[WAITERS];
    void *got;
    assert_int_equal(sq_queue_put(full, item(1), SQ_NOWAIT), SQ_OK);
    start_calls(empty, call_get, gets, getters);
    start_calls(full, call_put, puts, putters);
    start_calls(full, call_join, joins, joiners);
    wait_until(stats_of(empty).waiting_gets == WAITERS);
    wait_until(stats_of(full).waiting_puts == WAITERS);
    wait_until(stats_of(full).waiting_joins == WAITERS);
    /* Who is counted may still be on its way to sleep: a first wait lets all arrive. Both waits
       are for an item that never comes, so that their length is the queue's own time-out. */
    assert_int_equal(sq_queue_get(never, 50, &got), SQ_EEMPTY);
    int64_t before_us = cpu_us();
    assert_int_equal(sq_queue_get(never, 500, &got), SQ_EEMPTY);
    int64_t used_us = cpu_us() - before_us;
    /* One polling thread would use up to 500,000; a hundredth allows for a noisy machine. */
    assert_true(used_us < 5000);
    assert_int_equal(sq_queue_shutdown(empty, false), SQ_OK);
    assert_int_equal(sq_queue_shutdown(full, true), SQ_OK);
    end_calls(getters, SQ_ESHUTDOWN);
    end_calls(putters, SQ_ESHUTDOWN);
    end_calls(joiners, SQ_OK);
    sq_queue_free(empty);
    sq_queue_free(full);
    sq_queue_free(never);
}

/* ── many at once ─────────────────────────────────────────────────────────────────────────── */

enum { PRODUCERS = 4, CONSUMERS = 4, EACH = 20000, PRODUCER_SHIFT = 24 };

struct crowd {
    sq_queue *queue;
    atomic_uint seen[PRODUCERS][EACH];
};

struct producer {
    struct crowd *crowd;
    unsigned index;
};

static void *produce_mixed(void *argument)
{
    const struct producer *producer = argument;
    int wrong = 0;
    for (unsigned n = 0; n < EACH;) {
        void *items[7];
        unsigned count = n % 7 + 1 < EACH - n ? n % 7 + 1 : EACH - n;
        for (unsigned i = 0; i < count; i++)
            items[i] = item(((uintptr_t)producer->index << PRODUCER_SHIFT) + n + i);
        if (count == 1)
            wrong += sq_queue_put(producer->crowd->queue, items[0], SQ_FOREVER) != SQ_OK;
        else
            wrong += sq_queue_put_many(producer->crowd->queue, items, count, SQ_FOREVER) !=
                     (ssize_t)count;
        n += count;
    }
    return item(wrong);
}

static void *consume_in_order(void *argument)
{
    struct crowd *crowd = argument;
    uintptr_t next[PRODUCERS] = {0};
    int wrong = 0;
    void *got[5];
    ssize_t count;
    while ((count = sq_queue_get_many(crowd->queue, 5, SQ_FOREVER, got)) > 0) {
        for (ssize_t i = 0; i < count; i++) {
            uintptr_t producer = number(got[i]) >> PRODUCER_SHIFT;
            uintptr_t n = number(got[i]) & ((1 << PRODUCER_SHIFT) - 1);
            wrong += n < next[producer]; /* older than one that this thread has seen */
            next[producer] = n + 1;
            wrong += atomic_fetch_add(&crowd->seen[producer][n], 1) != 0;
        }
        wrong += sq_queue_task_done(crowd->queue, (size_t)count) != SQ_OK;
    }
    return item(wrong + (count != SQ_ESHUTDOWN));
}

static void crowd_sees_everything_once(uint64_t capacity, bool is_filled_first)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    assert_non_null(crowd);
    crowd->queue = make_queue(capacity, SQ_FIFO);
    struct producer producers[PRODUCERS];
    pthread_t putters[PRODUCERS], getters[CONSUMERS];
    for (unsigned i = 0; i < CONSUMERS && !is_filled_first; i++)
        getters[i] = start_thread(consume_in_order, crowd);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){crowd, i};
        putters[i] = start_thread(produce_mixed, &producers[i]);
    }
    if (is_filled_first)
        wait_until(stats_of(crowd->queue).size == (capacity ? capacity : PRODUCERS * EACH));
    for (unsigned i = 0; i < CONSUMERS && is_filled_first; i++)
        getters[i] = start_thread(consume_in_order, crowd);
    for (unsigned i = 0; i < PRODUCERS; i++)
        assert_int_equal(end_thread(putters[i]), 0);
    assert_int_equal(sq_queue_join(crowd->queue, SQ_FOREVER), SQ_OK);
    for (unsigned p = 0; p < PRODUCERS; p++)
        for (unsigned n = 0; n < EACH; n++)
            assert_int_equal(atomic_load(&crowd->seen[p][n]), 1);
    sq_queue_stats stats = stats_of(crowd->queue);
    assert_true(capacity == 0 || stats.high_water <= capacity);
    if (is_filled_first)
        assert_high_water(&stats, capacity ? capacity : PRODUCERS * EACH);
    assert_int_equal(stats.gets, PRODUCERS * EACH);
    assert_int_equal(sq_queue_shutdown(crowd->queue, false), SQ_OK);
    for (unsigned i = 0; i < CONSUMERS; i++)
        assert_int_equal(end_thread(getters[i]), 0);
    sq_queue_free(crowd->queue);
    free(crowd);
}

static void every_item_is_seen_once_and_in_its_producers_order_when_unbounded(void **state)
{
    (void)state;
    crowd_sees_everything_once(0, false);
}

static void every_item_is_seen_once_and_in_its_producers_order_when_bounded(void **state)
{
    (void)state;
    crowd_sees_everything_once(64, false);
}

static void every_item_is_seen_once_and_in_its_producers_order_at_capacities_1_to_3(void **state)
{
    (void)state;
    for (uint64_t capacity = 1; capacity <= 3; capacity++)
        crowd_sees_everything_once(capacity, false);
}

static void every_item_is_seen_once_when_65536_are_there_before_the_first_get(void **state)
{
    (void)state;
    crowd_sees_everything_once(65536, true);
}

static void every_item_is_seen_once_when_all_are_there_before_the_first_get(void **state)
{
    (void)state;
    crowd_sees_everything_once(0, true);
}

/* ── time-outs against wakes ──────────────────────────────────────────────────────────────── */

static void *get_with_short_time_outs(void *argument)
{
    struct family *family = argument;
    int result;
    void *got;
    while ((result = sq_queue_get(family->queue, 1, &got)) != SQ_ESHUTDOWN)
        if (result == SQ_OK)
            atomic_fetch_add(&family->finished, 1);
    return NULL;
}

static void no_wake_of_a_get_is_lost_when_time_outs_race_with_it(void **state)
{
    (void)state;
    struct family family = {.queue = make_queue(0, SQ_FIFO)};
    pthread_t timed[4], patient;
    struct call call = {.queue = family.queue, .timeout_ms = SQ_FOREVER};
    for (unsigned i = 0; i < 4; i++)
        timed[i] = start_thread(get_with_short_time_outs, &family);
    /* Each round: one thread that waits for ever among four that keep timing out. The timed ones
       look again before they leave, so an item could hide a lost wake only from the patient one:
       it must get an item after finitely many puts. */
    for (unsigned round = 0; round < 200; round++) {
        patient = start_thread(call_get, &call);
        do {
            assert_int_equal(sq_queue_put(family.queue, item(1), SQ_NOWAIT), SQ_OK);
            wait_until(sq_queue_empty(family.queue));
        } while (pthread_tryjoin_np(patient, NULL) != 0);
    }
    assert_int_equal(sq_queue_shutdown(family.queue, false), SQ_OK);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(end_thread(timed[i]), 0);
    sq_queue_stats stats = stats_of(family.queue);
    assert_int_equal(stats.gets, stats.puts);
    assert_int_equal(atomic_load(&family.finished) + 200, stats.gets);
    sq_queue_free(family.queue);
}

static void *put_with_short_time_outs(void *argument)
{
    struct family *family = argument;
    int result;
    while ((result = sq_queue_put(family->queue, item(1), 1)) != SQ_ESHUTDOWN)
        if (result == SQ_OK)
            atomic_fetch_add(&family->finished, 1);
    return NULL;
}

/* As above, from the other side: the queue is full, and each get makes room for one put. */
static void no_wake_of_a_put_is_lost_when_time_outs_race_with_it(void **state)
{
    (void)state;
    struct family family = {.queue = make_queue(1, SQ_FIFO)};
    pthread_t timed[4], patient;
    struct call call = {.queue = family.queue, .timeout_ms = SQ_FOREVER, .item = item(2)};
    for (unsigned i = 0; i < 4; i++)
        timed[i] = start_thread(put_with_short_time_outs, &family);
    for (unsigned round = 0; round < 200; round++) {
        void *got;
        patient = start_thread(call_put, &call);
        do {
            wait_until(sq_queue_full(family.queue));
            assert_int_equal(sq_queue_get(family.queue, SQ_NOWAIT, &got), SQ_OK);
        } while (pthread_tryjoin_np(patient, NULL) != 0);
    }
    assert_int_equal(sq_queue_shutdown(family.queue, false), SQ_OK);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(end_thread(timed[i]), 0);
    sq_queue_stats stats = stats_of(family.queue);
    assert_int_equal(stats.puts, stats.gets + stats.size);
    assert_int_equal(atomic_load(&family.finished) + 200, stats.puts);
    sq_queue_free(family.queue);
}

/* Joins until all is done, by short waits; a result that is neither is the thread's. */
static void *join_with_short_time_outs(void *argument)
{
    struct family *family = argument;
    int result;
    do
        result = sq_queue_join(family->queue, 1);
    while (result == SQ_ETIMEDOUT);
    return item(result + (atomic_load(&family->finished) != 1));
}

static void join_with_short_time_outs_sees_each_end_once_it_is_there(void **state)
{
    (void)state;
    struct family family = {.queue = make_queue(0, SQ_FIFO)};
    for (unsigned round = 0; round < 50; round++) {
        pthread_t timed[3], patient;
        struct call call = {.queue = family.queue, .timeout_ms = SQ_FOREVER};
        atomic_store(&family.finished, 0);
        assert_int_equal(sq_queue_put(family.queue, item(1), SQ_NOWAIT), SQ_OK);
        for (unsigned i = 0; i < 3; i++)
            timed[i] = start_thread(join_with_short_time_outs, &family);
        patient = start_thread(call_join, &call);
        wait_until(stats_of(family.queue).waiting_joins > 0);
        atomic_store(&family.finished, 1);
        assert_int_equal(sq_queue_task_done(family.queue, 1), SQ_OK);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(end_thread(timed[i]), 0);
        assert_int_equal(end_thread(patient), SQ_OK);
    }
    sq_queue_free(family.queue);
}

/* Takes an item whenever there is one, and puts nothing back. */
static void *get_until_shutdown(void *queue)
{
    void *got;
    while (sq_queue_get(queue, SQ_FOREVER, &got) == SQ_OK)
        ;
    return NULL;
}

/* So many items take far more than a millisecond through a queue that holds one. */
static void put_many_ends_at_its_deadline_though_room_keeps_coming(void **state)
{
    (void)state;
    enum { LOTS = 200000 };
    static void *items[LOTS];
    sq_queue *queue = make_queue(1, SQ_FIFO);
    pthread_t getter = start_thread(get_until_shutdown, queue);
    assert_in_range(sq_queue_put_many(queue, items, LOTS, 1), 1, LOTS - 1);
    assert_int_equal(sq_queue_shutdown(queue, false), SQ_OK);
    end_thread(getter);
    sq_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiting_get_is_woken_by_a_put),
        cmocka_unit_test(a_waiting_put_is_woken_by_a_get),
        cmocka_unit_test(one_put_many_wakes_as_many_gets_as_it_has_items),
        cmocka_unit_test(one_get_many_wakes_as_many_puts_as_it_makes_room_for),
        cmocka_unit_test(put_many_goes_on_when_room_comes),
        cmocka_unit_test(all_joiners_are_woken_by_the_last_task_done),
        cmocka_unit_test(join_is_never_early_when_a_worker_puts_a_child_and_finishes_its_parent),
        cmocka_unit_test(waiting_threads_use_no_cpu),
        cmocka_unit_test(every_item_is_seen_once_and_in_its_producers_order_when_unbounded),
        cmocka_unit_test(every_item_is_seen_once_and_in_its_producers_order_when_bounded),
        cmocka_unit_test(every_item_is_seen_once_and_in_its_producers_order_at_capacities_1_to_3),
        cmocka_unit_test(every_item_is_seen_once_when_65536_are_there_before_the_first_get),
        cmocka_unit_test(every_item_is_seen_once_when_all_are_there_before_the_first_get),
        cmocka_unit_test(no_wake_of_a_get_is_lost_when_time_outs_race_with_it),
        cmocka_unit_test(no_wake_of_a_put_is_lost_when_time_outs_race_with_it),
        cmocka_unit_test(put_many_ends_at_its_deadline_though_room_keeps_coming),
        cmocka_unit_test(join_with_short_time_outs_sees_each_end_once_it_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
