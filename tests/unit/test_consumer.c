/* SPDX-License-Identifier: Apache-2.0 */
/* Consumers over a queue. */
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testing.h"

enum { ITEMS = 1000, FAILURE = -77 };

struct work {
    sq_queue *queue;
    sq_consumer *consumer;
    atomic_uint sum, failures, starts, ends, last_error_item;
    atomic_bool busy, go_on; /* for handlers that are held */
    int own_result;
};

static int add(void *got, void *context)
{
    struct work *work = context;
    atomic_fetch_add(&work->sum, (unsigned)number(got));
    return SQ_OK;
}

static struct work work_with(uint64_t capacity)
{
    return (struct work){.queue = make_queue(capacity, SQ_FIFO)};
}

static void consume(struct work *work, sq_consumer_options options)
{
    options.context = work;
    assert_int_equal(sq_queue_consume(work->queue, &options, &work->consumer), SQ_OK);
}

static void put_numbers(struct work *work, unsigned count)
{
    for (unsigned n = 1; n <= count; n++)
        assert_int_equal(sq_queue_put(work->queue, item(n), SQ_FOREVER), SQ_OK);
}

static sq_consumer_stats consumer_stats(const struct work *work)
{
    sq_consumer_stats stats;
    assert_int_equal(sq_consumer_stat(work->consumer, &stats), SQ_OK);
    return stats;
}

static void end_work(struct work *work)
{
    assert_null(sq_consumer_free(work->consumer));
    sq_queue_free(work->queue);
}

static void every_item_is_handled_and_counted_as_done(void **state)
{
    (void)state;
    struct work work = work_with(16);
    consume(&work, (sq_consumer_options){.threads = 5, .handler = add});
    put_numbers(&work, ITEMS);
    assert_int_equal(sq_queue_join(work.queue, SQ_FOREVER), SQ_OK);
    assert_int_equal(atomic_load(&work.sum), ITEMS * (ITEMS + 1) / 2);
    sq_consumer_stats stats = consumer_stats(&work);
    assert_int_equal(stats.handled, ITEMS);
    assert_int_equal(stats.errors, 0);
    assert_int_equal(stats.first_error, 0);
    assert_int_equal(stats.threads, 5);
    assert_int_equal(stats.running, 5);
    end_work(&work);
}

static void threads_zero_means_the_processors(void **state)
{
    (void)state;
    struct work work = work_with(0);
    consume(&work, (sq_consumer_options){.handler = add});
    cpu_set_t allowed;
    assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    assert_int_equal(consumer_stats(&work).threads, CPU_COUNT(&allowed));
    end_work(&work);
}

/* ── errors ───────────────────────────────────────────────────────────────────────────────── */

static int fail_tens(void *got, void *context)
{
    add(got, context);
    return number(got) % 10 == 0 ? FAILURE : 3; /* positive is success */
}

static void note_error(const sq_consumer_error *error, void *context)
{
    struct work *work = context;
    if (error->code == FAILURE && error->thread_index < 4)
        atomic_fetch_add(&work->failures, 1);
    atomic_store(&work->last_error_item, (unsigned)number(error->item));
}

static void errors_are_counted_and_reported_and_stop_nobody(void **state)
{
    (void)state;
    struct work work = work_with(0);
    consume(&work,
            (sq_consumer_options){.threads = 4, .handler = fail_tens, .on_error = note_error});
    put_numbers(&work, ITEMS);
    assert_int_equal(sq_consumer_drain(work.consumer, SQ_FOREVER), SQ_OK);
    assert_int_equal(atomic_load(&work.sum), ITEMS * (ITEMS + 1) / 2);
    assert_int_equal(atomic_load(&work.failures), ITEMS / 10);
    assert_int_equal(atomic_load(&work.last_error_item) % 10, 0);
    sq_consumer_stats stats = consumer_stats(&work);
    assert_int_equal(stats.handled, ITEMS);
    assert_int_equal(stats.errors, ITEMS / 10);
    assert_int_equal(stats.first_error, FAILURE);
    end_work(&work);
}

static void errors_without_a_callback_are_still_counted(void **state)
{
    (void)state;
    struct work work = work_with(0);
    consume(&work, (sq_consumer_options){.threads = 2, .handler = fail_tens});
    put_numbers(&work, 10);
    assert_int_equal(sq_consumer_drain(work.consumer, SQ_FOREVER), SQ_OK);
    assert_int_equal(consumer_stats(&work).errors, 1);
    end_work(&work);
}

static int fail_odd(void *got, void *context)
{
    (void)context;
    return number(got) % 2 ? FAILURE : SQ_OK;
}

/* Puts a failed item again, as an even one. */
static void put_again(const sq_consumer_error *error, void *context)
{
    struct work *work = context;
    if (sq_queue_put(work->queue, item(number(error->item) + 1), SQ_NOWAIT) == SQ_OK)
        atomic_fetch_add(&work->failures, 1);
}

static void an_item_put_again_by_on_error_is_not_missed_by_join(void **state)
{
    (void)state;
    struct work work = work_with(0);
    consume(&work, (sq_consumer_options){.threads = 3, .handler = fail_odd, .on_error = put_again});
    for (unsigned round = 1; round <= 200; round++) {
        assert_int_equal(sq_queue_put(work.queue, item(1), SQ_NOWAIT), SQ_OK);
        assert_int_equal(sq_queue_join(work.queue, SQ_FOREVER), SQ_OK);
        assert_int_equal(consumer_stats(&work).handled, 2 * round);
    }
    end_work(&work);
}

/* ── per-thread context ───────────────────────────────────────────────────────────────────── */

static int start_with_count(unsigned thread_index, void *context, void **ret_thread_context)
{
    struct work *work = context;
    unsigned *own = calloc(2, sizeof *own);
    atomic_fetch_add(&work->starts, 1 + 100 * thread_index);
    *ret_thread_context = own;
    return own ? SQ_OK : SQ_ENOMEM;
}

static int count_own(void *got, void *thread_context)
{
    (void)got;
    unsigned *own = thread_context;
    own[0]++; /* no lock: nobody else has it */
    return SQ_OK;
}

static atomic_uint owned_total;

static void add_own(unsigned thread_index, void *thread_context)
{
    (void)thread_index;
    unsigned *own = thread_context;
    atomic_fetch_add(&owned_total, own[0]);
    free(own);
}

static void each_thread_has_a_context_of_its_own(void **state)
{
    (void)state;
    struct work work = work_with(0);
    atomic_store(&owned_total, 0);
    consume(&work, (sq_consumer_options){.threads = 4,
                                         .handler = count_own,
                                         .thread_start = start_with_count,
                                         .thread_end = add_own});
    assert_int_equal(atomic_load(&work.starts), 4 + 100 * (0 + 1 + 2 + 3));
    put_numbers(&work, ITEMS);
    assert_int_equal(sq_consumer_drain(work.consumer, SQ_FOREVER), SQ_OK);
    assert_int_equal(atomic_load(&owned_total), ITEMS);
    end_work(&work);
}

static int fail_third_start(unsigned thread_index, void *context, void **ret_thread_context)
{
    struct work *work = context;
    *ret_thread_context = context;
    if (thread_index == 2)
        return FAILURE;
    atomic_fetch_add(&work->starts, 1);
    return SQ_OK;
}

static void count_end(unsigned thread_index, void *thread_context)
{
    (void)thread_index;
    atomic_fetch_add(&((struct work *)thread_context)->ends, 1);
}

static void a_failed_start_takes_no_item_and_leaves_no_thread(void **state)
{
    (void)state;
    struct work work = work_with(0);
    put_numbers(&work, 10);
    sq_consumer_options options = {.threads = 4,
                                   .handler = add,
                                   .thread_start = fail_third_start,
                                   .thread_end = count_end,
                                   .context = &work};
    assert_int_equal(sq_queue_consume(work.queue, &options, &work.consumer), FAILURE);
    assert_null(work.consumer);
    assert_int_equal(sq_queue_size(work.queue), 10);
    assert_int_equal(atomic_load(&work.starts), 3);
    assert_int_equal(atomic_load(&work.ends), 3); /* those that had started */
    end_work(&work);
}

/* ── drain and stop ───────────────────────────────────────────────────────────────────────── */

static int hold(void *got, void *context)
{
    struct work *work = context;
    atomic_store(&work->busy, true);
    wait_until(atomic_load(&work->go_on));
    return add(got, context);
}

static void stop_finishes_the_item_in_hand_and_takes_no_more(void **state)
{
    (void)state;
    struct work work = work_with(0);
    put_numbers(&work, 3);
    consume(&work, (sq_consumer_options){.threads = 1, .handler = hold});
    wait_until(atomic_load(&work.busy));
    assert_int_equal(sq_consumer_stop(work.consumer, SQ_NOWAIT), SQ_ETIMEDOUT);
    assert_int_equal(sq_consumer_stop(work.consumer, 1), SQ_ETIMEDOUT);
    assert_int_equal(consumer_stats(&work).running, 1);
    atomic_store(&work.go_on, true);
    assert_int_equal(sq_consumer_stop(work.consumer, SQ_FOREVER), SQ_OK);
    assert_int_equal(sq_consumer_stop(work.consumer, SQ_NOWAIT), SQ_OK); /* again */
    assert_int_equal(consumer_stats(&work).running, 0);
    assert_int_equal(consumer_stats(&work).handled, 1);
    assert_int_equal(sq_queue_size(work.queue), 2);
    assert_int_equal(stats_of(work.queue).unfinished, 2);
    end_work(&work);
}

static void stop_wakes_idle_threads_and_leaves_the_queue_open(void **state)
{
    (void)state;
    struct work work = work_with(0);
    consume(&work, (sq_consumer_options){.threads = 8, .handler = add});
    wait_until(stats_of(work.queue).waiting_gets == 8);
    assert_int_equal(sq_consumer_stop(work.consumer, SQ_FOREVER), SQ_OK);
    assert_int_equal(sq_queue_put(work.queue, item(1), SQ_NOWAIT), SQ_OK);
    assert_int_equal(sq_queue_size(work.queue), 1);
    end_work(&work);
}

static void idle_threads_use_no_cpu(void **state)
{
    (void)state;
    struct work work = work_with(0);
    sq_queue *never = make_queue(0, SQ_FIFO);
    void *got;
    consume(&work, (sq_consumer_options){.threads = 8, .handler = add});
    put_numbers(&work, ITEMS); /* idle again, which is another thing than idle still */
    assert_int_equal(sq_queue_join(work.queue, SQ_FOREVER), SQ_OK);
    wait_until(stats_of(work.queue).waiting_gets == 8);
    /* As in waiting_threads_use_no_cpu of test_queue_waiting.c. */
    assert_int_equal(sq_queue_get(never, 50, &got), SQ_EEMPTY);
    int64_t before_us = cpu_us();
    assert_int_equal(sq_queue_get(never, 500, &got), SQ_EEMPTY);
    assert_true(cpu_us() - before_us < 5000);
    sq_queue_free(never);
    end_work(&work);
}

static void drain_finishes_everything_then_stops(void **state)
{
    (void)state;
    struct work work = work_with(0);
    put_numbers(&work, ITEMS);
    consume(&work, (sq_consumer_options){.threads = 3, .handler = add});
    assert_int_equal(sq_consumer_drain(work.consumer, SQ_FOREVER), SQ_OK);
    assert_int_equal(consumer_stats(&work).handled, ITEMS);
    assert_int_equal(consumer_stats(&work).running, 0);
    end_work(&work);
}

static void drain_past_its_deadline_lets_the_consumer_go_on(void **state)
{
    (void)state;
    struct work work = work_with(0);
    put_numbers(&work, 3);
    consume(&work, (sq_consumer_options){.threads = 1, .handler = hold});
    wait_until(atomic_load(&work.busy));
    assert_int_equal(sq_consumer_drain(work.consumer, 1), SQ_ETIMEDOUT);
    atomic_store(&work.go_on, true);
    assert_int_equal(sq_queue_join(work.queue, SQ_FOREVER), SQ_OK);
    assert_int_equal(consumer_stats(&work).handled, 3);
    end_work(&work);
}

static void *call_drain(void *argument)
{
    struct work *work = argument;
    return item(sq_consumer_drain(work->consumer, SQ_FOREVER));
}

static void drain_ends_when_another_thread_stops_the_consumer(void **state)
{
    (void)state;
    struct work work = work_with(0);
    put_numbers(&work, 3);
    consume(&work, (sq_consumer_options){.threads = 1, .handler = hold});
    wait_until(atomic_load(&work.busy));
    pthread_t drainer = start_thread(call_drain, &work);
    wait_until(stats_of(work.queue).waiting_joins == 1);
    assert_int_equal(sq_consumer_stop(work.consumer, SQ_NOWAIT), SQ_ETIMEDOUT);
    assert_int_equal(end_thread(drainer), SQ_ESHUTDOWN);
    atomic_store(&work.go_on, true);
    end_work(&work);
}

static void threads_end_when_the_queue_is_shut_down_and_empty(void **state)
{
    (void)state;
    struct work work = work_with(0);
    put_numbers(&work, ITEMS);
    consume(&work, (sq_consumer_options){.threads = 3, .handler = add});
    assert_int_equal(sq_queue_shutdown(work.queue, false), SQ_OK);
    wait_until(consumer_stats(&work).running == 0);
    assert_int_equal(consumer_stats(&work).handled, ITEMS);
    assert_int_equal(sq_consumer_drain(work.consumer, SQ_FOREVER), SQ_OK);
    end_work(&work);
}

static int stop_from_within(void *got, void *context)
{
    struct work *work = context;
    (void)got;
    wait_until(atomic_load(&work->go_on)); /* until work.consumer is set */
    work->own_result = sq_consumer_stop(work->consumer, SQ_NOWAIT);
    return SQ_OK;
}

static void a_handler_that_stops_its_own_consumer_is_refused(void **state)
{
    (void)state;
    struct work work = work_with(0);
    put_numbers(&work, 2);
    consume(&work, (sq_consumer_options){.threads = 1, .handler = stop_from_within});
    atomic_store(&work.go_on, true);
    assert_int_equal(sq_queue_join(work.queue, SQ_FOREVER), SQ_OK); /* it was not stopped */
    assert_int_equal(work.own_result, SQ_EDEADLOCK);
    end_work(&work);
}

/* ── wrong arguments, forks, exit ─────────────────────────────────────────────────────────── */

static void consume_refuses_wrong_options(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    sq_consumer *consumer = item(42);
    sq_consumer_options options = {.handler = add};
    assert_int_equal(sq_queue_consume(NULL, &options, &consumer), SQ_EINVAL);
    assert_int_equal(sq_queue_consume(queue, NULL, &consumer), SQ_EINVAL);
    assert_int_equal(sq_queue_consume(queue, &options, NULL), SQ_EINVAL);
    options.handler = NULL;
    assert_int_equal(sq_queue_consume(queue, &options, &consumer), SQ_EINVAL);
    assert_non_null(strstr(sq_last_error_detail(), "handler"));
    options = (sq_consumer_options){.handler = add, .threads = SQ_CONSUMER_THREADS_MAX + 1};
    assert_int_equal(sq_queue_consume(queue, &options, &consumer), SQ_EINVAL);
    options = (sq_consumer_options){.handler = add, .reserved = {1}};
    assert_int_equal(sq_queue_consume(queue, &options, &consumer), SQ_EINVAL);
    assert_ptr_equal(consumer, item(42));
    assert_int_equal(stats_of(queue).waiting_gets, 0);
    sq_queue_free(queue);
}

static void calls_refuse_null_and_wrong_time_outs(void **state)
{
    (void)state;
    struct work work = work_with(0);
    consume(&work, (sq_consumer_options){.threads = 1, .handler = add});
    assert_int_equal(sq_consumer_stop(NULL, 0), SQ_EINVAL);
    assert_int_equal(sq_consumer_drain(NULL, 0), SQ_EINVAL);
    assert_int_equal(sq_consumer_stop(work.consumer, -2), SQ_EINVAL);
    assert_int_equal(sq_consumer_drain(work.consumer, -2), SQ_EINVAL);
    assert_int_equal(sq_consumer_stat(NULL, &(sq_consumer_stats){0}), SQ_EINVAL);
    assert_int_equal(sq_consumer_stat(work.consumer, NULL), SQ_EINVAL);
    assert_int_equal(consumer_stats(&work).running, 1);
    assert_null(sq_consumer_free(NULL));
    end_work(&work);
}

static void a_consumer_is_unusable_after_fork_and_says_so(void **state)
{
    (void)state;
    struct work work = work_with(0);
    consume(&work, (sq_consumer_options){.threads = 2, .handler = add});
    pid_t child = fork();
    if (child == 0) {
        int wrong = sq_consumer_stop(work.consumer, SQ_FOREVER) != SQ_EFORK;
        wrong += sq_consumer_drain(work.consumer, SQ_FOREVER) != SQ_EFORK;
        wrong += sq_consumer_stat(work.consumer, &(sq_consumer_stats){0}) != SQ_EFORK;
        sq_consumer *none = NULL;
        sq_consumer_options options = {.handler = add};
        wrong += sq_queue_consume(work.queue, &options, &none) != SQ_EFORK;
        sq_consumer_free(work.consumer);
        sq_queue_free(work.queue);
        _exit(wrong);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    end_work(&work);
}

static int sleep_for_ever(void *got, void *context)
{
    struct work *work = context;
    (void)got;
    atomic_store(&work->busy, true);
    while (pause()) /* it always returns -1, after a signal */
        ;
    return SQ_OK;
}

static void threads_do_not_keep_the_process_alive(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct work work = {0};
        sq_consumer_options options = {.threads = 3, .handler = sleep_for_ever, .context = &work};
        if (sq_queue_create(NULL, &work.queue) < 0 ||
            sq_queue_consume(work.queue, &options, &work.consumer) < 0 ||
            sq_queue_put(work.queue, item(1), SQ_NOWAIT) < 0)
            _exit(1);
        wait_until(atomic_load(&work.busy));
        quick_exit(7); /* exit() would run the atexit handlers of the test's parent, too */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

static int look_at_signals(void *got, void *context)
{
    struct work *work = context;
    (void)got;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    work->own_result = sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGUSR1);
    return SQ_OK;
}

static void threads_leave_signals_to_the_program(void **state)
{
    (void)state;
    struct work work = work_with(0);
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    consume(&work, (sq_consumer_options){.threads = 1, .handler = look_at_signals});
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    put_numbers(&work, 1);
    assert_int_equal(sq_consumer_drain(work.consumer, SQ_FOREVER), SQ_OK);
    assert_true(work.own_result);
    assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
    end_work(&work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_handled_and_counted_as_done),
        cmocka_unit_test(threads_zero_means_the_processors),
        cmocka_unit_test(errors_are_counted_and_reported_and_stop_nobody),
        cmocka_unit_test(errors_without_a_callback_are_still_counted),
        cmocka_unit_test(an_item_put_again_by_on_error_is_not_missed_by_join),
        cmocka_unit_test(each_thread_has_a_context_of_its_own),
        cmocka_unit_test(a_failed_start_takes_no_item_and_leaves_no_thread),
        cmocka_unit_test(stop_finishes_the_item_in_hand_and_takes_no_more),
        cmocka_unit_test(stop_wakes_idle_threads_and_leaves_the_queue_open),
        cmocka_unit_test(idle_threads_use_no_cpu),
        cmocka_unit_test(drain_finishes_everything_then_stops),
        cmocka_unit_test(drain_past_its_deadline_lets_the_consumer_go_on),
        cmocka_unit_test(drain_ends_when_another_thread_stops_the_consumer),
        cmocka_unit_test(threads_end_when_the_queue_is_shut_down_and_empty),
        cmocka_unit_test(a_handler_that_stops_its_own_consumer_is_refused),
        cmocka_unit_test(consume_refuses_wrong_options),
        cmocka_unit_test(calls_refuse_null_and_wrong_time_outs),
        cmocka_unit_test(a_consumer_is_unusable_after_fork_and_says_so),
        cmocka_unit_test(threads_do_not_keep_the_process_alive),
        cmocka_unit_test(threads_leave_signals_to_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
