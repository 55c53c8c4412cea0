/* SPDX-License-Identifier: Apache-2.0 */
/* watch, wait and wake, for every engine, by the system's clocks. */
#include <pthread.h>
#include <stdlib.h>

#include "contract.h"

/* Longer than any wait here lasts: one that comes to it was not ended by what should end it. */
enum { TOO_LONG_MS = 60000 };

static int64_t wait_since(struct fixture *fixture, uint32_t seen, const struct sqi_due *due,
                          int64_t timeout_ms)
{
    assert_int_equal(fixture->ops->wait(fixture->engine, fixture->channel, seen, due,
                                        sqi_deadline_after(timeout_ms)),
                     SQ_OK);
    return sqi_now_ns();
}

static uint32_t watch(struct fixture *fixture)
{
    return fixture->ops->watch(fixture->engine, fixture->channel);
}

/* Asserts that nothing but a change since the watch can end the wait, and that one does. */
static void assert_changed(struct fixture *fixture, uint32_t seen)
{
    int64_t too_late_ns = sqi_deadline_after(TOO_LONG_MS);
    assert_true(wait_since(fixture, seen, &never, TOO_LONG_MS) < too_late_ns);
}

/* ---- what ends a wait that has not begun ---- */

TEST(wait_without_a_change_lasts_until_its_deadline)
{
    FIXTURE;
    uint32_t seen = watch(fixture);
    int64_t deadline_ns = sqi_deadline_after(20);
    assert_true(wait_since(fixture, seen, &never, 20) >= deadline_ns);
}

TEST(wait_with_a_deadline_past_returns_at_once)
{
    FIXTURE;
    uint32_t seen = watch(fixture);
    assert_int_equal(fixture->ops->wait(fixture->engine, fixture->channel, seen, &never, 0), SQ_OK);
}

TEST(wait_ends_by_a_put_before_it)
{
    FIXTURE;
    uint32_t seen = watch(fixture);
    add(fixture, "a");
    assert_changed(fixture, seen);
}

TEST(wait_ends_by_a_message_that_finished)
{
    FIXTURE;
    add(fixture, "a");
    struct held held = get(fixture);
    uint32_t seen = watch(fixture);
    settle(fixture, &held, SQI_DONE);
    assert_changed(fixture, seen);
    add(fixture, "b");
    held = get(fixture);
    seen = watch(fixture);
    settle(fixture, &held, SQI_BURY);
    assert_changed(fixture, seen);
}

TEST(wait_ends_by_a_retry)
{
    FIXTURE;
    add(fixture, "a");
    struct held held = get(fixture);
    uint32_t seen = watch(fixture);
    settle(fixture, &held, SQI_RETRY);
    assert_changed(fixture, seen);
}

TEST(wait_ends_by_each_control)
{
    FIXTURE;
    static const enum sqi_control controls[] = {SQI_PAUSE, SQI_RESUME, SQI_CLOSE};
    for (int i = 0; i < 3; i++) {
        uint32_t seen = watch(fixture);
        control(fixture, fixture->channel, controls[i]);
        assert_changed(fixture, seen);
    }
}

TEST(wait_ends_by_a_timer_before_what_due_told)
{
    FIXTURE;
    uint32_t seen = watch(fixture);
    struct sqi_due due = due_of(fixture);
    assert_true(due.wall_ms == SQI_NEVER);
    int64_t wall_ms = sqi_system_clock.wall_ms(NULL);
    add_with(fixture, "a", (struct sqi_put){.not_before_ms = wall_ms + INT64_C(3600) * 1000});
    int64_t too_late_ns = sqi_deadline_after(TOO_LONG_MS);
    assert_true(wait_since(fixture, seen, &due, TOO_LONG_MS) < too_late_ns);
}

TEST(wait_ends_by_wake)
{
    FIXTURE;
    uint32_t seen = watch(fixture);
    fixture->ops->wake(fixture->engine, fixture->channel);
    assert_changed(fixture, seen);
}

/* ---- what is due ---- */

TEST(wait_ends_when_a_lease_is_over)
{
    FIXTURE;
    struct held held;
    add(fixture, "a");
    lease(fixture, (struct sqi_lease_request){.count_max = 1, .lease_ms = 20}, &held);
    uint32_t seen = watch(fixture);
    struct sqi_due due = due_of(fixture);
    assert_true(due.monotonic_ns == held.deadline_ns);
    int64_t too_late_ns = sqi_deadline_after(TOO_LONG_MS);
    assert_true(wait_since(fixture, seen, &due, TOO_LONG_MS) < too_late_ns);
    assert_true(sqi_now_ns() >= held.deadline_ns);
    assert_int_equal(get(fixture).attempt, 2);
}

/* The two clocks may differ by a little: as a consumer does, it looks again. */
TEST(wait_ends_when_a_delay_is_over)
{
    FIXTURE;
    int64_t due_ms = sqi_system_clock.wall_ms(NULL) + 20;
    int64_t too_late_ns = sqi_deadline_after(TOO_LONG_MS);
    add_with(fixture, "a", (struct sqi_put){.not_before_ms = due_ms});
    struct sqi_lease_request request = {.channel = fixture->channel, .count_max = 1};
    struct sqi_lease leased;
    struct sqi_due due;
    for (;;) {
        uint32_t seen = watch(fixture);
        int count = fixture->ops->settle_and_lease(fixture->engine, NULL, 0, &request, &leased,
                                                   &due);
        if (count == 1)
            break;
        assert_int_equal(count, 0);
        assert_true(due.wall_ms == due_ms);
        assert_true(wait_since(fixture, seen, &due, TOO_LONG_MS) < too_late_ns);
    }
    free(leased.envelope);
    assert_true(sqi_system_clock.wall_ms(NULL) >= due_ms);
}

TEST(wait_for_what_is_due_already_returns_at_once)
{
    FIXTURE;
    struct sqi_due due = {.monotonic_ns = sqi_now_ns() - 1, .wall_ms = SQI_NEVER};
    int64_t too_late_ns = sqi_deadline_after(TOO_LONG_MS);
    assert_true(wait_since(fixture, watch(fixture), &due, TOO_LONG_MS) < too_late_ns);
    due = (struct sqi_due){SQI_NEVER, sqi_system_clock.wall_ms(NULL) - 1};
    assert_true(wait_since(fixture, watch(fixture), &due, TOO_LONG_MS) < too_late_ns);
}

/* ---- a thread that waits, most likely, already ---- */

struct waiter {
    struct fixture *fixture;
    uint32_t seen;
    pthread_barrier_t barrier;
    int result;
};

static void *wait_in_thread(void *argument)
{
    struct waiter *waiter = argument;
    struct fixture *fixture = waiter->fixture;
    waiter->seen = fixture->ops->watch(fixture->engine, fixture->channel);
    pthread_barrier_wait(&waiter->barrier);
    waiter->result = fixture->ops->wait(fixture->engine, fixture->channel, waiter->seen, &never,
                                        sqi_deadline_after(TOO_LONG_MS));
    return NULL;
}

static void by_put(struct fixture *fixture)
{
    add(fixture, "a");
}

static void by_wake(struct fixture *fixture)
{
    fixture->ops->wake(fixture->engine, fixture->channel);
}

static void by_close(struct fixture *fixture)
{
    control(fixture, fixture->channel, SQI_CLOSE);
}

/* Many times, with many threads, for the change to come before, within and after their going to
   sleep. */
static void assert_threads_are_woken(struct fixture *fixture, void (*change)(struct fixture *),
                                     int rounds)
{
    enum { WAITERS = 3 };
    int64_t too_late_ns = sqi_deadline_after(TOO_LONG_MS);
    for (int i = 0; i < rounds; i++) {
        struct waiter waiters[WAITERS];
        pthread_t threads[WAITERS];
        for (int j = 0; j < WAITERS; j++) {
            waiters[j] = (struct waiter){.fixture = fixture, .result = 5};
            pthread_barrier_init(&waiters[j].barrier, NULL, 2);
            assert_int_equal(pthread_create(&threads[j], NULL, wait_in_thread, &waiters[j]), 0);
        }
        for (int j = 0; j < WAITERS; j++)
            pthread_barrier_wait(&waiters[j].barrier);
        change(fixture);
        for (int j = 0; j < WAITERS; j++) {
            assert_int_equal(pthread_join(threads[j], NULL), 0);
            assert_int_equal(waiters[j].result, SQ_OK);
            pthread_barrier_destroy(&waiters[j].barrier);
        }
    }
    assert_true(sqi_now_ns() < too_late_ns);
}

TEST(waiting_threads_are_woken_by_a_put)
{
    FIXTURE;
    assert_threads_are_woken(fixture, by_put, 50);
}

TEST(waiting_threads_are_woken_by_wake)
{
    FIXTURE;
    assert_threads_are_woken(fixture, by_wake, 50);
}

TEST(waiting_threads_are_woken_by_close)
{
    FIXTURE;
    assert_threads_are_woken(fixture, by_close, 1);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(wait_without_a_change_lasts_until_its_deadline),
        cmocka_unit_test(wait_with_a_deadline_past_returns_at_once),
        cmocka_unit_test(wait_ends_by_a_put_before_it),
        cmocka_unit_test(wait_ends_by_a_message_that_finished),
        cmocka_unit_test(wait_ends_by_a_retry),
        cmocka_unit_test(wait_ends_by_each_control),
        cmocka_unit_test(wait_ends_by_a_timer_before_what_due_told),
        cmocka_unit_test(wait_ends_by_wake),
        cmocka_unit_test(wait_ends_when_a_lease_is_over),
        cmocka_unit_test(wait_ends_when_a_delay_is_over),
        cmocka_unit_test(wait_for_what_is_due_already_returns_at_once),
        cmocka_unit_test(waiting_threads_are_woken_by_a_put),
        cmocka_unit_test(waiting_threads_are_woken_by_wake),
        cmocka_unit_test(waiting_threads_are_woken_by_close),
    };
    return run_contract("waiting", tests, sizeof tests / sizeof tests[0], true);
}
