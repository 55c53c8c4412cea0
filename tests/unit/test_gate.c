/* SPDX-License-Identifier: Apache-2.0 */
/* The gate's word, step by step, by one thread: each invariant of gate.h. */
#include "base/clock.h"
#include "queue/gate.h"
#include "testing.h"

/* A sleep that would be a mistake ends soon, and is seen by its false. */
static bool sleeps(struct sqi_gate *gate, uint32_t epoch)
{
    return !sqi_gate_sleep(gate, epoch, sqi_deadline_after(1));
}

static void a_gate_at_rest_sleeps_until_the_deadline(void **state)
{
    (void)state;
    struct sqi_gate gate = {0};
    assert_true(sleeps(&gate, sqi_gate_enter(&gate)));
    assert_int_equal(sqi_gate_sleepers(&gate), 1);
    sqi_gate_leave(&gate);
    assert_int_equal(sqi_gate_sleepers(&gate), 0);
}

static void a_wake_between_enter_and_sleep_refuses_the_sleep(void **state)
{
    (void)state;
    struct sqi_gate gate = {0};
    uint32_t epoch = sqi_gate_enter(&gate);
    sqi_gate_wake_one(&gate, SQI_BY_SWAP);
    assert_true(sqi_gate_sleep(&gate, epoch, SQI_NEVER));
    sqi_gate_leave(&gate);
    epoch = sqi_gate_enter(&gate);
    sqi_gate_wake_all(&gate);
    assert_true(sqi_gate_sleep(&gate, epoch, SQI_NEVER));
    sqi_gate_leave(&gate);
}

static void a_wake_for_nobody_changes_nothing(void **state)
{
    (void)state;
    struct sqi_gate gate = {0};
    sqi_gate_wake_one(&gate, SQI_BY_SWAP);
    sqi_gate_wake_all(&gate);
    assert_int_equal(atomic_load(&gate.word), 0);
    assert_true(sleeps(&gate, sqi_gate_enter(&gate)));
    sqi_gate_leave(&gate);
}

static void one_wake_is_in_flight_until_somebody_leaves(void **state)
{
    (void)state;
    struct sqi_gate gate = {0};
    sqi_gate_enter(&gate);
    sqi_gate_wake_one(&gate, SQI_BY_SWAP);
    uint64_t in_flight = atomic_load(&gate.word);
    sqi_gate_wake_one(&gate, SQI_BY_SWAP);
    assert_int_equal(atomic_load(&gate.word), in_flight);
    uint32_t late = sqi_gate_enter(&gate);
    assert_true(sleeps(&gate, late));      /* it looked after the wake: not for it */
    sqi_gate_leave(&gate);                 /* takes the wake over */
    sqi_gate_wake_one(&gate, SQI_BY_SWAP); /* so another one may go */
    assert_true(sqi_gate_sleep(&gate, late, SQI_NEVER));
    sqi_gate_leave(&gate);
    assert_int_equal(sqi_gate_sleepers(&gate), 0);
}

static void the_epoch_wraps_without_touching_its_neighbours(void **state)
{
    (void)state;
    struct sqi_gate gate = {.word = UINT32_MAX};
    uint32_t epoch = sqi_gate_enter(&gate);
    uint64_t one_sleeper_at_epoch_0 = atomic_load(&gate.word) - UINT32_MAX;
    sqi_gate_wake_all(&gate);
    assert_int_equal(atomic_load(&gate.word), one_sleeper_at_epoch_0);
    assert_true(sqi_gate_sleep(&gate, epoch, SQI_NEVER));
    sqi_gate_leave(&gate);
    assert_int_equal(atomic_load(&gate.word), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gate_at_rest_sleeps_until_the_deadline),
        cmocka_unit_test(a_wake_between_enter_and_sleep_refuses_the_sleep),
        cmocka_unit_test(a_wake_for_nobody_changes_nothing),
        cmocka_unit_test(one_wake_is_in_flight_until_somebody_leaves),
        cmocka_unit_test(the_epoch_wraps_without_touching_its_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
