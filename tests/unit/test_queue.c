/* SPDX-License-Identifier: Apache-2.0 */
/* The queue by one thread: every row of its table, and every wrong argument. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testing.h"

/* ── create and free ──────────────────────────────────────────────────────────────────────── */

static int compare_numbers(const void *a, const void *b, void *context)
{
    (void)context;
    /* The tens order items; the ones tell equals apart. */
    return (int)(number(a) / 10) - (int)(number(b) / 10);
}

static void assert_refused(sq_queue_options options, const char *sentence)
{
    sq_queue *queue = item(42);
    assert_int_equal(sq_queue_create(&options, &queue), SQ_EINVAL);
    assert_ptr_equal(queue, item(42));
    assert_non_null(strstr(sq_last_error_detail(), sentence));
}

static void create_without_options_gives_an_unbounded_fifo(void **state)
{
    (void)state;
    sq_queue *queue = NULL;
    assert_int_equal(sq_queue_create(NULL, &queue), SQ_OK);
    assert_int_equal(stats_of(queue).capacity, 0);
    for (unsigned n = 1; n <= 1000; n++)
        assert_int_equal(sq_queue_put(queue, item(n), SQ_NOWAIT), SQ_OK);
    assert_false(sq_queue_full(queue));
    for (unsigned n = 1; n <= 1000; n++) {
        void *got;
        assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
        assert_ptr_equal(got, item(n));
    }
    assert_null(sq_queue_free(queue));
}

static void create_refuses_wrong_options(void **state)
{
    (void)state;
    assert_refused((sq_queue_options){.capacity = SQ_QUEUE_CAPACITY_MAX + 1}, "capacity");
    assert_refused((sq_queue_options){.order = (sq_queue_order)3}, "order is 3");
    assert_refused((sq_queue_options){.order = SQ_PRIORITY}, "compare");
    assert_refused((sq_queue_options){.compare = compare_numbers}, "compare");
    assert_refused((sq_queue_options){.reserved = {[7] = 1}}, "reserved");
    assert_int_equal(sq_queue_create(NULL, NULL), SQ_EINVAL);
}

static void create_takes_the_hints_and_the_largest_capacity(void **state)
{
    (void)state;
    sq_queue *queue;
    sq_queue_options options = {.capacity = SQ_QUEUE_CAPACITY_MAX,
                                .order = SQ_LIFO,
                                .single_producer = true,
                                .single_consumer = true};
    assert_int_equal(sq_queue_create(&options, &queue), SQ_OK);
    assert_int_equal(stats_of(queue).capacity, SQ_QUEUE_CAPACITY_MAX);
    assert_int_equal(sq_queue_put(queue, item(1), SQ_NOWAIT), SQ_OK);
    sq_queue_free(queue);
}

static void free_of_null_does_nothing(void **state)
{
    (void)state;
    assert_null(sq_queue_free(NULL));
}

/* ── order and capacity ───────────────────────────────────────────────────────────────────── */

static void assert_leaves(sq_queue *queue, const unsigned *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void *got;
        assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
        assert_int_equal(number(got), numbers[i]);
    }
    assert_true(sq_queue_empty(queue));
}

static void fifo_leaves_in_the_order_of_putting(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    void *items[] = {item(3), item(1), item(2)};
    assert_int_equal(sq_queue_put_many(queue, items, 3, SQ_NOWAIT), 3);
    assert_leaves(queue, (unsigned[]){3, 1, 2}, 3);
    sq_queue_free(queue);
}

static void lifo_leaves_the_newest_first(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_LIFO);
    void *items[] = {item(3), item(1), item(2)};
    assert_int_equal(sq_queue_put_many(queue, items, 3, SQ_NOWAIT), 3);
    assert_leaves(queue, (unsigned[]){2, 1, 3}, 3);
    sq_queue_free(queue);
}

static void priority_leaves_the_least_first_and_equals_in_fifo_order(void **state)
{
    (void)state;
    sq_queue *queue;
    sq_queue_options options = {.order = SQ_PRIORITY, .compare = compare_numbers};
    assert_int_equal(sq_queue_create(&options, &queue), SQ_OK);
    void *items[] = {item(35), item(11), item(34), item(13), item(22), item(12), item(33)};
    assert_int_equal(sq_queue_put_many(queue, items, 7, SQ_NOWAIT), 7);
    assert_leaves(queue, (unsigned[]){11, 13, 12, 22, 35, 34, 33}, 7);
    sq_queue_free(queue);
}

static void capacity_is_exact(void **state)
{
    (void)state;
    for (unsigned capacity = 1; capacity <= 5; capacity++) {
        sq_queue *queue = make_queue(capacity, SQ_FIFO);
        for (unsigned n = 1; n <= capacity; n++) {
            assert_false(sq_queue_full(queue));
            assert_int_equal(sq_queue_put(queue, item(n), SQ_NOWAIT), SQ_OK);
        }
        assert_true(sq_queue_full(queue));
        assert_int_equal(sq_queue_put(queue, item(9), SQ_NOWAIT), SQ_EFULL);
        assert_int_equal(sq_queue_size(queue), capacity);
        assert_int_equal(stats_of(queue).puts, capacity);
        sq_queue_free(queue);
    }
}

static void null_is_an_item_as_any_other(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    void *got = item(42);
    assert_int_equal(sq_queue_put(queue, NULL, SQ_NOWAIT), SQ_OK);
    assert_int_equal(sq_queue_size(queue), 1);
    assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
    assert_null(got);
    sq_queue_free(queue);
}

/* ── put and get ──────────────────────────────────────────────────────────────────────────── */

static void get_of_an_empty_queue_answers_empty_and_touches_nothing(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    void *got = item(42);
    assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_EEMPTY);
    assert_int_equal(sq_queue_get(queue, 1, &got), SQ_EEMPTY);
    assert_int_equal(sq_queue_get_many(queue, 1, 1, &got), SQ_EEMPTY);
    assert_ptr_equal(got, item(42));
    assert_int_equal(stats_of(queue).gets, 0);
    sq_queue_free(queue);
}

static void put_into_a_full_queue_times_out(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(1, SQ_FIFO);
    assert_int_equal(sq_queue_put(queue, item(1), 1), SQ_OK);
    assert_int_equal(sq_queue_put(queue, item(2), 1), SQ_EFULL);
    assert_int_equal(stats_of(queue).unfinished, 1);
    sq_queue_free(queue);
}

static void put_many_accepts_what_fits(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(3, SQ_FIFO);
    void *items[] = {item(1), item(2), item(3), item(4)};
    assert_int_equal(sq_queue_put_many(queue, items, 4, SQ_NOWAIT), 3);
    assert_int_equal(sq_queue_put_many(queue, items + 3, 1, SQ_NOWAIT), SQ_EFULL);
    assert_int_equal(sq_queue_put_many(queue, items + 3, 1, 1), SQ_EFULL);
    assert_leaves(queue, (unsigned[]){1, 2, 3}, 3);
    assert_int_equal(sq_queue_put(queue, item(1), SQ_NOWAIT), SQ_OK);
    assert_int_equal(sq_queue_put_many(queue, items, 4, 1), 2); /* partly, after its time-out */
    sq_queue_free(queue);
}

static void counts_of_zero_move_nothing(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(1, SQ_FIFO);
    assert_int_equal(sq_queue_put_many(queue, NULL, 0, SQ_FOREVER), 0);
    assert_int_equal(sq_queue_get_many(queue, 0, SQ_FOREVER, NULL), 0);
    assert_int_equal(sq_queue_task_done(queue, 0), SQ_OK);
    assert_int_equal(stats_of(queue).puts, 0);
    sq_queue_free(queue);
}

static void get_many_takes_what_is_there_up_to_its_room(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    void *items[] = {item(1), item(2), item(3)}, *got[5] = {0};
    assert_int_equal(sq_queue_put_many(queue, items, 3, SQ_NOWAIT), 3);
    assert_int_equal(sq_queue_get_many(queue, 2, SQ_NOWAIT, got), 2);
    assert_int_equal(number(got[1]), 2);
    assert_null(got[2]);
    assert_int_equal(sq_queue_get_many(queue, 5, SQ_FOREVER, got), 1);
    assert_int_equal(number(got[0]), 3);
    sq_queue_free(queue);
}

/* ── task_done and join ───────────────────────────────────────────────────────────────────── */

static void task_done_is_legal_before_get(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    assert_int_equal(sq_queue_put(queue, item(1), SQ_NOWAIT), SQ_OK);
    assert_int_equal(sq_queue_task_done(queue, 1), SQ_OK);
    assert_int_equal(sq_queue_join(queue, SQ_NOWAIT), SQ_OK);
    assert_int_equal(sq_queue_size(queue), 1);
    sq_queue_free(queue);
}

static void task_done_too_many_counts_nothing(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    assert_int_equal(sq_queue_task_done(queue, 1), SQ_ETOOMANY);
    void *items[] = {item(1), item(2)};
    assert_int_equal(sq_queue_put_many(queue, items, 2, SQ_NOWAIT), 2);
    assert_int_equal(sq_queue_task_done(queue, 3), SQ_ETOOMANY);
    assert_int_equal(sq_queue_task_done(queue, SIZE_MAX), SQ_ETOOMANY);
    assert_int_equal(stats_of(queue).unfinished, 2);
    assert_int_equal(sq_queue_task_done(queue, 2), SQ_OK);
    assert_int_equal(stats_of(queue).unfinished, 0);
    sq_queue_free(queue);
}

static void join_counts_items_that_are_taken_but_not_done(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    void *got;
    assert_int_equal(sq_queue_join(queue, SQ_FOREVER), SQ_OK); /* nothing was ever put */
    assert_int_equal(sq_queue_put(queue, item(1), SQ_NOWAIT), SQ_OK);
    assert_int_equal(sq_queue_join(queue, SQ_NOWAIT), SQ_ETIMEDOUT);
    assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
    assert_int_equal(sq_queue_join(queue, 1), SQ_ETIMEDOUT);
    assert_int_equal(sq_queue_task_done(queue, 1), SQ_OK);
    assert_int_equal(sq_queue_join(queue, SQ_FOREVER), SQ_OK);
    sq_queue_free(queue);
}

/* ── looking ──────────────────────────────────────────────────────────────────────────────── */

static void stat_counts_everything(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(4, SQ_FIFO);
    void *items[] = {item(1), item(2), item(3)}, *got[3];
    assert_int_equal(sq_queue_put_many(queue, items, 3, SQ_NOWAIT), 3);
    assert_int_equal(sq_queue_get_many(queue, 2, SQ_NOWAIT, got), 2);
    assert_int_equal(sq_queue_task_done(queue, 2), SQ_OK);
    sq_queue_stats stats = stats_of(queue);
    assert_int_equal(stats.capacity, 4);
    assert_int_equal(stats.size, 1);
    assert_int_equal(stats.unfinished, 1);
    assert_int_equal(stats.high_water, 3);
    assert_int_equal(stats.puts, 3);
    assert_int_equal(stats.gets, 2);
    assert_int_equal(stats.dones, 2);
    assert_int_equal(stats.drops, 0);
    assert_int_equal(stats.waiting_puts + stats.waiting_gets + stats.waiting_joins, 0);
    assert_false(stats.is_shutdown);
    sq_queue_free(queue);
}

static void high_water_of_a_large_queue_is_within_one_percent(void **state)
{
    (void)state;
    enum { LARGE = 30000 };
    sq_queue *queue = make_queue(0, SQ_FIFO);
    void *got;
    for (unsigned n = 1; n <= LARGE; n++) {
        assert_int_equal(sq_queue_put(queue, item(n), SQ_NOWAIT), SQ_OK);
        sq_queue_stats stats = stats_of(queue);
        assert_high_water(&stats, n);
    }
    for (unsigned n = 1; n <= LARGE; n++)
        assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
    sq_queue_stats stats = stats_of(queue);
    assert_high_water(&stats, LARGE);
    sq_queue_free(queue);
}

static void high_water_stays_when_the_queue_empties(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_LIFO);
    void *got;
    for (unsigned n = 1; n <= 100; n++)
        assert_int_equal(sq_queue_put(queue, item(n), SQ_NOWAIT), SQ_OK);
    for (unsigned n = 1; n <= 100; n++)
        assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
    assert_int_equal(sq_queue_put(queue, item(1), SQ_NOWAIT), SQ_OK);
    assert_int_equal(stats_of(queue).high_water, 100);
    sq_queue_free(queue);
}

/* ── wrong arguments and forks ────────────────────────────────────────────────────────────── */

static void null_and_wrong_time_outs_are_refused_everywhere(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    void *got = item(42);
    static const int64_t wrong[] = {-2, -1000, INT64_MIN};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(sq_queue_put(queue, item(1), wrong[i]), SQ_EINVAL);
        assert_non_null(strstr(sq_last_error_detail(), "timeout_ms"));
        assert_int_equal(sq_queue_put_many(queue, &got, 1, wrong[i]), SQ_EINVAL);
        assert_int_equal(sq_queue_get(queue, wrong[i], &got), SQ_EINVAL);
        assert_int_equal(sq_queue_get_many(queue, 1, wrong[i], &got), SQ_EINVAL);
        assert_int_equal(sq_queue_join(queue, wrong[i]), SQ_EINVAL);
    }
    assert_int_equal(sq_queue_put(NULL, item(1), 0), SQ_EINVAL);
    assert_int_equal(sq_queue_put_many(NULL, &got, 1, 0), SQ_EINVAL);
    assert_int_equal(sq_queue_put_many(queue, NULL, 1, 0), SQ_EINVAL);
    assert_int_equal(sq_queue_get(NULL, 0, &got), SQ_EINVAL);
    assert_int_equal(sq_queue_get(queue, 0, NULL), SQ_EINVAL);
    assert_int_equal(sq_queue_get_many(NULL, 1, 0, &got), SQ_EINVAL);
    assert_int_equal(sq_queue_get_many(queue, 1, 0, NULL), SQ_EINVAL);
    assert_int_equal(sq_queue_task_done(NULL, 1), SQ_EINVAL);
    assert_int_equal(sq_queue_join(NULL, 0), SQ_EINVAL);
    assert_int_equal(sq_queue_shutdown(NULL, true), SQ_EINVAL);
    assert_int_equal(sq_queue_stat(NULL, &(sq_queue_stats){0}), SQ_EINVAL);
    assert_int_equal(sq_queue_stat(queue, NULL), SQ_EINVAL);
    assert_int_equal(sq_queue_size(NULL), 0);
    assert_true(sq_queue_empty(NULL));
    assert_false(sq_queue_full(NULL));
    assert_ptr_equal(got, item(42));
    assert_int_equal(stats_of(queue).puts, 0);
    sq_queue_free(queue);
}

static void time_outs_beyond_the_clock_wait_for_ever(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(1, SQ_FIFO);
    struct call call = {.queue = queue, .timeout_ms = INT64_MAX};
    pthread_t getter = start_thread(call_get, &call);
    wait_until(stats_of(queue).waiting_gets == 1);
    assert_int_equal(sq_queue_put(queue, item(7), INT64_MAX), SQ_OK);
    assert_int_equal(end_thread(getter), SQ_OK);
    assert_int_equal(number(call.item), 7);
    sq_queue_free(queue);
}

static unsigned drop_count;

static void count_drop(void *dropped, void *context)
{
    (void)dropped;
    (void)context;
    drop_count++;
}

/* In the child: 0 when every function says SQ_EFORK and free drops nothing. */
static int use_after_fork(sq_queue *queue)
{
    void *got = item(42);
    int wrong = 0;
    wrong += sq_queue_put(queue, item(1), SQ_FOREVER) != SQ_EFORK;
    wrong += strstr(sq_last_error_detail(), "fork") == NULL;
    wrong += sq_queue_put_many(queue, &got, 1, SQ_FOREVER) != SQ_EFORK;
    wrong += sq_queue_get(queue, SQ_FOREVER, &got) != SQ_EFORK;
    wrong += sq_queue_get_many(queue, 1, SQ_FOREVER, &got) != SQ_EFORK;
    wrong += sq_queue_task_done(queue, 1) != SQ_EFORK;
    wrong += sq_queue_join(queue, SQ_FOREVER) != SQ_EFORK;
    wrong += sq_queue_shutdown(queue, true) != SQ_EFORK;
    wrong += sq_queue_stat(queue, &(sq_queue_stats){0}) != SQ_EFORK;
    sq_queue_free(queue);
    wrong += drop_count != 0;
    wrong += sq_queue_create(NULL, &queue) != SQ_OK; /* one made in the child works there */
    wrong += sq_queue_put(queue, item(1), SQ_NOWAIT) != SQ_OK;
    sq_queue_free(queue);
    return wrong;
}

static void a_queue_is_unusable_after_fork_and_says_so(void **state)
{
    (void)state;
    sq_queue *queue;
    sq_queue_options options = {.drop = count_drop};
    assert_int_equal(sq_queue_create(&options, &queue), SQ_OK);
    assert_int_equal(sq_queue_put(queue, item(1), SQ_NOWAIT), SQ_OK);
    pid_t child = fork();
    if (child == 0)
        _exit(use_after_fork(queue));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(sq_queue_size(queue), 1); /* the parent's is as it was */
    sq_queue_free(queue);
    assert_int_equal(drop_count, 1);
}

/* Runs body in a child and asserts that an assertion ends it. */
static void assert_aborts(void (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        signal(SIGABRT, SIG_DFL); /* not cmocka's handler */
        body();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void free_with_a_waiter(void)
{
    sq_queue *queue;
    sq_queue_stats stats = {0};
    pthread_t getter;
    if (sq_queue_create(NULL, &queue) < 0)
        _exit(1);
    struct call call = {.queue = queue, .timeout_ms = SQ_FOREVER};
    if (pthread_create(&getter, NULL, call_get, &call) != 0)
        _exit(1);
    wait_until(sq_queue_stat(queue, &stats) == SQ_OK && stats.waiting_gets == 1);
    sq_queue_free(queue);
}

static void free_with_waiters_is_caught_by_an_assertion(void **state)
{
    (void)state;
    assert_aborts(free_with_a_waiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_without_options_gives_an_unbounded_fifo),
        cmocka_unit_test(create_refuses_wrong_options),
        cmocka_unit_test(create_takes_the_hints_and_the_largest_capacity),
        cmocka_unit_test(free_of_null_does_nothing),
        cmocka_unit_test(fifo_leaves_in_the_order_of_putting),
        cmocka_unit_test(lifo_leaves_the_newest_first),
        cmocka_unit_test(priority_leaves_the_least_first_and_equals_in_fifo_order),
        cmocka_unit_test(capacity_is_exact),
        cmocka_unit_test(null_is_an_item_as_any_other),
        cmocka_unit_test(get_of_an_empty_queue_answers_empty_and_touches_nothing),
        cmocka_unit_test(put_into_a_full_queue_times_out),
        cmocka_unit_test(put_many_accepts_what_fits),
        cmocka_unit_test(counts_of_zero_move_nothing),
        cmocka_unit_test(get_many_takes_what_is_there_up_to_its_room),
        cmocka_unit_test(task_done_is_legal_before_get),
        cmocka_unit_test(task_done_too_many_counts_nothing),
        cmocka_unit_test(join_counts_items_that_are_taken_but_not_done),
        cmocka_unit_test(stat_counts_everything),
        cmocka_unit_test(high_water_of_a_large_queue_is_within_one_percent),
        cmocka_unit_test(high_water_stays_when_the_queue_empties),
        cmocka_unit_test(null_and_wrong_time_outs_are_refused_everywhere),
        cmocka_unit_test(time_outs_beyond_the_clock_wait_for_ever),
        cmocka_unit_test(a_queue_is_unusable_after_fork_and_says_so),
        cmocka_unit_test(free_with_waiters_is_caught_by_an_assertion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
