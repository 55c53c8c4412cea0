/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many rounds of a crowd on one queue: random orders, capacities, batch sizes and time-outs, and
 * an immediate shutdown in the middle. A ledger beside the queue counts where each item ended:
 * got or dropped, exactly once.
 *
 * The seed is printed; SEALQ_TEST_SEED=N repeats a run's choices (not the threads' timing).
 * SEALQ_STRESS_ROUNDS=N sets the length.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "unit/testing.h"

enum { THREADS_MAX = 12, EACH = 2000, BATCH_MAX = 9 };

struct round {
    sq_queue *queue;
    unsigned producer_count, consumer_count;
    atomic_uint next_item; /* numbers from 1 on, so that a producer's own are not in one row */
    unsigned item_count;   /* put in all, unless shut down */
    atomic_uchar ends[THREADS_MAX * EACH + 1]; /* how often each number was got or dropped */
    atomic_uint put_count;
};

struct member {
    struct round *round;
    uint64_t random;
};

static uint64_t next_random(uint64_t *random)
{
    *random = *random * 6364136223846793005 + 1442695040888963407; /* Knuth's MMIX LCG */
    return *random >> 33;
}

static int64_t some_timeout_ms(uint64_t *random)
{
    static const int64_t timeouts_ms[] = {SQ_NOWAIT, 1, 2, SQ_FOREVER};
    return timeouts_ms[next_random(random) % 4];
}

static int compare_any(const void *a, const void *b, void *context)
{
    (void)context;
    return (int)(number(a) % 7) - (int)(number(b) % 7);
}

static void note_end(void *ended, void *context)
{
    struct round *round = context;
    atomic_fetch_add(&round->ends[number(ended)], 1);
}

/* Puts until the round's numbers are used up; what a full queue refuses is tried again. */
static void *produce(void *argument)
{
    struct member *member = argument;
    struct round *round = member->round;
    for (;;) {
        void *items[BATCH_MAX];
        size_t count = 0, wanted = next_random(&member->random) % BATCH_MAX + 1;
        while (count < wanted) {
            unsigned n = atomic_fetch_add(&round->next_item, 1);
            if (n > round->item_count)
                break;
            items[count++] = item(n);
        }
        for (size_t put = 0; put < count;) {
            ssize_t result = sq_queue_put_many(round->queue, items + put, count - put,
                                               some_timeout_ms(&member->random));
            if (result == SQ_ESHUTDOWN)
                return NULL;
            if (result != SQ_EFULL && result <= 0)
                return item(1);
            put += result > 0 ? (size_t)result : 0;
            atomic_fetch_add(&round->put_count, result > 0 ? (unsigned)result : 0);
        }
        if (count < wanted)
            return NULL;
    }
}

static void *consume(void *argument)
{
    struct member *member = argument;
    struct round *round = member->round;
    for (;;) {
        void *items[BATCH_MAX];
        ssize_t count = sq_queue_get_many(round->queue,
                                          next_random(&member->random) % BATCH_MAX + 1,
                                          some_timeout_ms(&member->random), items);
        if (count == SQ_ESHUTDOWN)
            return NULL;
        for (ssize_t i = 0; i < count; i++)
            note_end(items[i], round);
        if (count > 0 ? sq_queue_task_done(round->queue, (size_t)count) != SQ_OK
                      : count != SQ_EEMPTY)
            return item(1);
    }
}

/* After every join that succeeds, at some instant nothing was unfinished. */
static void *join_often(void *argument)
{
    struct member *member = argument;
    sq_queue_stats stats;
    int result;
    do {
        result = sq_queue_join(member->round->queue, some_timeout_ms(&member->random));
        if (result != SQ_OK && result != SQ_ETIMEDOUT)
            return item(1);
        if (sq_queue_stat(member->round->queue, &stats) < 0)
            return item(1);
    } while (!stats.is_shutdown);
    return item(sq_queue_join(member->round->queue, SQ_FOREVER));
}

static void check_ledger(struct round *round)
{
    sq_queue_stats stats = stats_of(round->queue);
    assert_int_equal(stats.puts, atomic_load(&round->put_count));
    assert_int_equal(stats.puts, stats.gets + stats.drops);
    assert_int_equal(stats.unfinished, 0);
    assert_int_equal(stats.size, 0);
    assert_int_equal(stats.waiting_puts + stats.waiting_gets + stats.waiting_joins, 0);
    unsigned ended = 0;
    for (unsigned n = 1; n <= round->item_count; n++) {
        unsigned ends = atomic_load(&round->ends[n]);
        assert_in_range(ends, 0, 1);
        ended += ends;
    }
    assert_int_equal(ended, stats.puts);
}

static void run_round(struct round *round, uint64_t *random)
{
    static const uint64_t capacities[] = {0, 1, 2, 3, 64, 1000};
    memset(round, 0, sizeof *round);
    round->producer_count = (unsigned)(next_random(random) % 6 + 1);
    round->consumer_count = (unsigned)(next_random(random) % 6 + 1);
    round->item_count = round->producer_count * EACH;
    atomic_store(&round->next_item, 1);
    sq_queue_options options = {.capacity = capacities[next_random(random) % 6],
                                .order = (sq_queue_order)(next_random(random) % 3),
                                .drop = note_end,
                                .context = round};
    options.compare = options.order == SQ_PRIORITY ? compare_any : NULL;
    assert_int_equal(sq_queue_create(&options, &round->queue), SQ_OK);
    bool in_the_middle = next_random(random) % 2;

    struct member members[THREADS_MAX + 2];
    pthread_t threads[THREADS_MAX + 2];
    unsigned count = round->producer_count + round->consumer_count + 2;
    for (unsigned i = 0; i < count; i++) {
        members[i] = (struct member){round, next_random(random)};
        threads[i] = start_thread(i < round->producer_count ? produce
                                  : i < count - 2           ? consume
                                                            : join_often,
                                  &members[i]);
    }
    if (in_the_middle)
        wait_until(stats_of(round->queue).puts >= round->item_count / 2);
    for (unsigned i = 0; i < round->producer_count && !in_the_middle; i++)
        assert_int_equal(end_thread(threads[i]), 0);
    assert_int_equal(sq_queue_shutdown(round->queue, in_the_middle), SQ_OK);
    for (unsigned i = in_the_middle ? 0 : round->producer_count; i < count; i++)
        assert_int_equal(end_thread(threads[i]), 0);
    check_ledger(round);
    sq_queue_free(round->queue);
}

static uint64_t seed;

static void every_item_ends_once_whatever_the_crowd_does(void **state)
{
    (void)state;
    struct round *round = malloc(sizeof *round);
    assert_non_null(round);
    const char *given = getenv("SEALQ_STRESS_ROUNDS");
    unsigned long round_count = given ? strtoul(given, NULL, 10) : 100;
    for (unsigned long i = 0; i < round_count; i++)
        run_round(round, &seed);
    free(round);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_ends_once_whatever_the_crowd_does),
    };
    const char *given = getenv("SEALQ_TEST_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("# SEALQ_TEST_SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
