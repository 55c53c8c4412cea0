/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checker finds each error of queue_broken.h by what a broken queue answers, and finds none
 * where there is none.
 */
#include <inttypes.h>
#include <time.h>

#include "checker.h"
#include "queue_broken.h"
#include "runner.h"
#include "unit/testing.h"

enum { SOUND_HISTORIES = 3000, BROKEN_HISTORIES = 200000 };

static uint64_t seed;

/* How many histories it takes; 0: no error in as many as may be. */
static unsigned histories_to_an_error(enum sqt_defect defect, unsigned histories_max)
{
    struct sqt_runner *runner = sqt_runner_start();
    struct sqt_checker *checker = sqt_checker_make();
    struct sqt_history history;
    enum sqt_verdict verdict = SQT_EXPLAINED;
    unsigned count = 0;
    sqt_defect = defect;
    while (verdict != SQT_UNEXPLAINED && count < histories_max) {
        sqt_runner_run(runner, SQ_FIFO, seed++, &history);
        verdict = sqt_check(checker, &history);
        count++;
    }
    if (verdict == SQT_UNEXPLAINED)
        printf("# defect %d: found in history %u\n", (int)defect, count);
    if (verdict == SQT_UNEXPLAINED && (defect == SQT_SOUND || defect == SQT_IN_STEPS)) {
        sqt_history_print(&history, stdout);
        sqt_checker_explain(checker, &history, stdout);
    }
    sqt_checker_free(checker);
    sqt_runner_stop(runner);
    return verdict == SQT_UNEXPLAINED ? count : 0;
}

static void a_sound_queue_is_explained(void **state)
{
    (void)state;
    assert_int_equal(histories_to_an_error(SQT_SOUND, SOUND_HISTORIES), 0);
}

static void batches_and_drains_in_several_steps_are_explained(void **state)
{
    (void)state;
    assert_int_equal(histories_to_an_error(SQT_IN_STEPS, SOUND_HISTORIES), 0);
}

/* One test a defect: its state is the defect's number. */
static void an_error_is_found(void **state)
{
    enum sqt_defect defect = (enum sqt_defect)number(*state);
    assert_int_not_equal(histories_to_an_error(defect, BROKEN_HISTORIES), 0);
}

#define FOUND(defect)                                                                              \
    {                                                                                              \
#defect " is found", an_error_is_found, NULL, NULL, item(defect)                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_queue_is_explained),
        cmocka_unit_test(batches_and_drains_in_several_steps_are_explained),
        FOUND(SQT_ONE_MORE),
        FOUND(SQT_OVERTAKEN),
        FOUND(SQT_REVERSED),
        FOUND(SQT_LOST),
        FOUND(SQT_DOUBLED),
        FOUND(SQT_SEEMS_EMPTY),
        FOUND(SQT_SEEMS_FULL),
        FOUND(SQT_JOIN_TORN),
        FOUND(SQT_STAT_TORN),
        FOUND(SQT_ENDS_EARLY),
        FOUND(SQT_TOO_MANY_COUNTS),
        FOUND(SQT_DRAINED_UNCOUNTED),
        FOUND(SQT_GET_MANY_TOO_FEW),
    };
    _Static_assert(sizeof tests / sizeof tests[0] == SQT_DEFECT_COUNT, "each defect has a test");
    const char *given = getenv("SEALQ_TEST_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) << 24;
    printf("# SEALQ_TEST_SEED=%" PRIu64 "\n", seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
