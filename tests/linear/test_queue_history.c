/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a few threads are answered by one queue can be explained by some order of their calls: see
 * checker.h and spec.h for what that means.
 *
 * Seeds are printed; SEALQ_TEST_SEED=N gives the first one, the others count up from it.
 * SEALQ_HISTORIES=N, or else the first argument, says how many there are for each test.
 */
#include <inttypes.h>
#include <time.h>

#include "checker.h"
#include "runner.h"
#include "unit/testing.h"

static uint64_t seed;
static unsigned long history_count;

static void explain_histories(sq_queue_order order)
{
    struct sqt_runner *runner = sqt_runner_start();
    struct sqt_checker *checker = sqt_checker_make();
    unsigned long undecided = 0;
    for (unsigned long i = 0; i < history_count; i++) {
        struct sqt_history history;
        sqt_runner_run(runner, order, seed++, &history);
        enum sqt_verdict verdict = sqt_check(checker, &history);
        undecided += verdict == SQT_UNDECIDED;
        if (verdict != SQT_UNEXPLAINED)
            continue;
        printf("# No order explains this history:\n");
        sqt_history_print(&history, stdout);
        sqt_checker_explain(checker, &history, stdout);
        fail();
    }
    printf("# %lu histories, %" PRIu64 " calls, %" PRIu64
           " of them beside another, %lu undecided\n",
           history_count, sqt_runner_calls(runner), sqt_runner_overlaps(runner), undecided);
    /* Else this test sees one thread at a time, or decides nothing. */
    assert_true(sqt_runner_overlaps(runner) >= sqt_runner_calls(runner) / 100);
    assert_true(undecided <= history_count / 1000);
    sqt_checker_free(checker);
    sqt_runner_stop(runner);
}

static void some_order_explains_every_history_of_a_fifo(void **state)
{
    (void)state;
    explain_histories(SQ_FIFO);
}

static void some_order_explains_every_history_of_a_lifo(void **state)
{
    (void)state;
    history_count = history_count / 4 + 1;
    explain_histories(SQ_LIFO);
}

static void some_order_explains_every_history_by_priority(void **state)
{
    (void)state;
    explain_histories(SQ_PRIORITY);
}

int main(int argument_count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(some_order_explains_every_history_of_a_fifo),
        cmocka_unit_test(some_order_explains_every_history_of_a_lifo),
        cmocka_unit_test(some_order_explains_every_history_by_priority),
    };
    const char *given = getenv("SEALQ_TEST_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL) << 24;
    given = getenv("SEALQ_HISTORIES");
    if (!given)
        given = argument_count > 1 ? arguments[1] : "1000";
    history_count = strtoul(given, NULL, 10);
    printf("# SEALQ_TEST_SEED=%" PRIu64 " SEALQ_HISTORIES=%lu\n", seed, history_count);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
