/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bias of bias.h, by which the only thread that puts claims by plain stores: when it begins,
 * when it ends, and that nothing is lost at either moment, nor where membarrier(2) is refused.
 *
 * ThreadSanitizer's builds have no bias: there these are tests of an ordinary queue.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/membarrier.h"
#include "queue/counts.h"
#include "testing.h"

#if defined __has_feature
#if __has_feature(thread_sanitizer)
#define WITHOUT_BIAS
#endif
#endif
#ifdef WITHOUT_BIAS
enum { CAN_BE_BIASED = 0 };
#else
enum { CAN_BE_BIASED = 1 };
#endif

enum { MANY = 20000, ROUNDS = 300, CROSSINGS = 30 };

/* From here on membarrier(2) fails in all threads of this process. */
static void refuse_membarrier(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof steps / sizeof steps[0], .filter = steps};
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program), 0);
}

/* Filters are for good: such tests have a process of their own. */
static void run_apart(void (*body)(void))
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("CMOCKA_TEST_ABORT", "1", 1); /* an assertion ends this process, not this test */
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* qemu-user cannot. */
static bool filters_can_be_set(void)
{
    unsigned action = SECCOMP_RET_ERRNO;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* Gets until the queue is shut down; how many, or 0 when they were not in order. */
static void *get_in_order(void *queue)
{
    uintptr_t last = 0, count = 0;
    void *got;
    while (sq_queue_get(queue, SQ_FOREVER, &got) == SQ_OK) {
        if (number(got) <= last)
            return NULL;
        last = number(got);
        count++;
        if (sq_queue_task_done(queue, 1) != SQ_OK)
            return NULL;
    }
    return item(count);
}

/* Puts first and those after it; after each `pause` of them waits until the getters have them. */
static void put_some(sq_queue *queue, unsigned first, unsigned count, unsigned pause)
{
    for (unsigned n = first; n < first + count; n++) {
        assert_int_equal(sq_queue_put(queue, item(n), SQ_FOREVER), SQ_OK);
        if (n % pause == 0)
            assert_int_equal(sq_queue_join(queue, SQ_FOREVER), SQ_OK);
    }
}

static void end_getters(sq_queue *queue, pthread_t *getters, unsigned getter_count,
                        unsigned expected)
{
    unsigned got = 0;
    assert_int_equal(sq_queue_join(queue, SQ_FOREVER), SQ_OK);
    assert_int_equal(sq_queue_shutdown(queue, false), SQ_OK);
    for (unsigned i = 0; i < getter_count; i++)
        got += (unsigned)end_thread(getters[i]);
    assert_int_equal(got, expected);
    sq_queue_free(queue);
}

/* ── when it begins and ends ──────────────────────────────────────────────────────────────── */

static uintptr_t owner_of(const struct sqi_bias *bias)
{
    return atomic_load(&bias->owner);
}

static void *settle(void *bias)
{
    sqi_bias_settle(bias);
    return NULL;
}

static void the_first_that_puts_has_the_bias_until_another_does(void **state)
{
    (void)state;
    struct sqi_bias bias;
    sqi_bias_init(&bias, SQI_BIAS_NOBODY);
    if (!CAN_BE_BIASED || !sqi_membarrier_works()) {
        assert_int_equal(owner_of(&bias), SQI_BIAS_ENDED);
        assert_int_equal(sqi_bias_enter(&bias), SQI_BY_SWAP);
        return;
    }
    assert_int_equal(sqi_bias_enter(&bias), SQI_UNSETTLED);
    sqi_bias_settle(&bias);
    assert_int_equal(owner_of(&bias), sqi_self());
    sqi_bias_settle(&bias);
    assert_int_equal(sqi_bias_enter(&bias), SQI_BY_STORE);
    sqi_bias_leave(&bias);
    end_thread(start_thread(settle, &bias));
    assert_int_equal(owner_of(&bias), SQI_BIAS_ENDED);
    sqi_bias_settle(&bias);
    assert_int_equal(owner_of(&bias), SQI_BIAS_ENDED);
    assert_int_equal(sqi_bias_enter(&bias), SQI_BY_SWAP);
}

static void nobody_is_biased_where_it_is_not_wanted(void **state)
{
    (void)state;
    struct sqi_bias bias;
    sqi_bias_init(&bias, SQI_BIAS_ENDED);
    assert_int_equal(sqi_bias_enter(&bias), SQI_BY_SWAP);
    sqi_bias_init(&bias, SQI_BIAS_ANYBODY);
    assert_int_equal(sqi_bias_enter(&bias),
                     CAN_BE_BIASED && sqi_membarrier_works() ? SQI_BY_STORE : SQI_BY_SWAP);
}

static void the_bias_ends_when_barriers_come_often(void **state)
{
    (void)state;
    struct sqi_bias bias;
    sqi_bias_init(&bias, SQI_BIAS_ANYBODY);
    uintptr_t owner = owner_of(&bias);
    sqi_bias_barrier(&bias, 1);
    assert_int_equal(owner_of(&bias), owner);
    for (unsigned i = 0; i < 100; i++)
        sqi_bias_barrier(&bias, i);
    assert_int_equal(owner_of(&bias), SQI_BIAS_ENDED);
    sqi_bias_init(&bias, SQI_BIAS_ANYBODY);
    for (unsigned i = 0; i < 100; i++) /* one in 100,000 puts */
        sqi_bias_barrier(&bias, i * 100000);
    assert_int_equal(owner_of(&bias), owner);
}

static void *close_counts(void *counts)
{
    sqi_counts_close(counts);
    return NULL;
}

static void closing_ends_the_bias(void **state)
{
    (void)state;
    struct sqi_counts counts;
    sqi_counts_init(&counts, 4, SQI_BIAS_ANYBODY);
    close_counts(&counts);
    assert_int_equal(owner_of(&counts.bias), SQI_BIAS_ENDED);
    assert_int_equal(atomic_load(&counts.tail), SQI_CLOSED);
}

static void closing_waits_for_a_claim_that_has_begun(void **state)
{
    (void)state;
    struct sqi_counts counts;
    sqi_counts_init(&counts, 4, SQI_BIAS_ANYBODY);
    if (sqi_bias_enter(&counts.bias) != SQI_BY_STORE)
        return;
    pthread_t closer = start_thread(close_counts, &counts);
    wait_until(owner_of(&counts.bias) == SQI_BIAS_ENDING);
    assert_int_equal(atomic_load(&counts.tail), 0);
    assert_int_equal(pthread_tryjoin_np(closer, NULL), EBUSY);
    atomic_store(&counts.tail, 1); /* the plain store that would erase the closed bit */
    sqi_bias_leave(&counts.bias);
    end_thread(closer);
    assert_int_equal(atomic_load(&counts.tail), SQI_CLOSED | 1);
}

/* ── nothing is lost ──────────────────────────────────────────────────────────────────────── */

static void every_item_arrives_in_order_when_gets_sleep_often(void **state)
{
    (void)state;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    pthread_t getters[2];
    for (unsigned i = 0; i < 2; i++)
        getters[i] = start_thread(get_in_order, queue);
    put_some(queue, 1, MANY, 7);
    end_getters(queue, getters, 2, MANY);
}

struct race {
    sq_queue *queue;
    atomic_uint dropped;
};

static void count_dropped(void *dropped, void *context)
{
    (void)dropped;
    struct race *race = context;
    atomic_fetch_add(&race->dropped, 1);
}

static void *put_until_shutdown(void *queue)
{
    unsigned count = 0;
    while (sq_queue_put(queue, item(count + 1), SQ_FOREVER) == SQ_OK)
        count++;
    return item(count);
}

/* What was acknowledged is got or dropped, though the closing comes between any two steps of it. */
static void a_shutdown_amid_puts_loses_nothing(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct race race = {.dropped = 0};
        sq_queue_options options = {.capacity = round % 3 ? 8 : 0,
                                    .single_producer = round % 5 == 0,
                                    .drop = count_dropped,
                                    .context = &race};
        assert_int_equal(sq_queue_create(&options, &race.queue), SQ_OK);
        pthread_t getter = start_thread(get_in_order, race.queue);
        pthread_t putter = start_thread(put_until_shutdown, race.queue);
        wait_until(stats_of(race.queue).gets > round % 50);
        assert_int_equal(sq_queue_shutdown(race.queue, round % 2), SQ_OK);
        unsigned put = (unsigned)end_thread(putter), got = (unsigned)end_thread(getter);
        assert_int_equal(put, got + atomic_load(&race.dropped));
        assert_int_equal(sq_queue_join(race.queue, SQ_NOWAIT), SQ_OK);
        sq_queue_free(race.queue);
    }
}

/* Two threads, each the only one to put on a queue of its own. */
struct crossing {
    sq_queue *mine, *others;
    atomic_uint *arrived;
    bool was_empty[CROSSINGS];
};

/* Both go on within nanoseconds of each other, if both are running. */
static void meet(atomic_uint *arrived, unsigned meeting)
{
    atomic_fetch_add(arrived, 1);
    for (unsigned turn = 1; atomic_load(arrived) < 2 * meeting; turn++)
        if (turn % 1000 == 0)
            sched_yield();
}

static void *put_then_look(void *argument)
{
    struct crossing *crossing = argument;
    unsigned meeting = 0;
    void *got;
    for (unsigned turn = 0; turn < CROSSINGS; turn++) {
        meet(crossing->arrived, ++meeting);
        (void)sq_queue_put(crossing->mine, item(1), SQ_NOWAIT);
        int result = sq_queue_get(crossing->others, SQ_NOWAIT, &got);
        crossing->was_empty[turn] = result == SQ_EEMPTY;
        meet(crossing->arrived, ++meeting);
        if (result == SQ_EEMPTY) /* so that each turn begins with empty queues */
            (void)sq_queue_get(crossing->others, SQ_FOREVER, &got);
    }
    return NULL;
}

/* A put that has returned is seen by every get that begins then. Not so if plain stores could wait
   while the putter looks elsewhere: both would find nothing. */
static void a_put_that_returned_is_seen(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3 * ROUNDS; round++) {
        atomic_uint arrived = 0;
        sq_queue *queues[2] = {make_queue(64, SQ_FIFO), make_queue(64, SQ_FIFO)};
        struct crossing crossings[2] = {{queues[0], queues[1], &arrived, {false}},
                                        {queues[1], queues[0], &arrived, {false}}};
        pthread_t other = start_thread(put_then_look, &crossings[1]);
        put_then_look(&crossings[0]);
        end_thread(other);
        for (unsigned turn = 0; turn < CROSSINGS; turn++)
            assert_false(crossings[0].was_empty[turn] && crossings[1].was_empty[turn]);
        for (unsigned i = 0; i < 2; i++)
            sq_queue_free(queues[i]);
    }
}

enum { TAKEN_OVER = 1000 };

struct share {
    sq_queue *queue;
    atomic_uint put; /* by the first thread */
};

static void *put_after_another(void *argument)
{
    struct share *share = argument;
    wait_until(atomic_load(&share->put) > 100); /* amid the other's puts */
    for (unsigned n = 0; n < TAKEN_OVER; n++)
        if (sq_queue_put(share->queue, item(1), SQ_FOREVER) != SQ_OK)
            return item(1);
    return NULL;
}

static void *sum_up(void *queue)
{
    uintptr_t sum = 0;
    void *got;
    while (sq_queue_get(queue, SQ_FOREVER, &got) == SQ_OK)
        sum += number(got);
    return item(sum);
}

static void a_second_thread_that_puts_loses_nothing(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct share share = {.queue = make_queue(round % 2 ? 8 : 0, SQ_FIFO)};
        pthread_t getter = start_thread(sum_up, share.queue);
        pthread_t other = start_thread(put_after_another, &share);
        for (unsigned n = 0; n < TAKEN_OVER; n++, atomic_fetch_add(&share.put, 1))
            assert_int_equal(sq_queue_put(share.queue, item(1), SQ_FOREVER), SQ_OK);
        assert_int_equal(end_thread(other), 0);
        assert_int_equal(stats_of(share.queue).puts, 2 * TAKEN_OVER);
        assert_int_equal(sq_queue_shutdown(share.queue, false), SQ_OK);
        assert_int_equal(end_thread(getter), 2 * TAKEN_OVER);
        sq_queue_free(share.queue);
    }
}

/* ── membarrier refused ───────────────────────────────────────────────────────────────────── */

static void work_without_membarrier(void)
{
    refuse_membarrier();
    struct sqi_bias bias;
    sqi_bias_init(&bias, SQI_BIAS_ANYBODY);
    assert_int_equal(owner_of(&bias), SQI_BIAS_ENDED);
    sq_queue *queue = make_queue(64, SQ_FIFO);
    pthread_t getters[2];
    for (unsigned i = 0; i < 2; i++)
        getters[i] = start_thread(get_in_order, queue);
    put_some(queue, 1, MANY, 7);
    end_getters(queue, getters, 2, MANY);
}

static void a_queue_works_where_membarrier_fails_from_the_start(void **state)
{
    (void)state;
    run_apart(work_without_membarrier);
}

static void lose_membarrier_at_work(void)
{
    sq_queue *queue = make_queue(64, SQ_FIFO);
    pthread_t getters[2];
    for (unsigned i = 0; i < 2; i++)
        getters[i] = start_thread(get_in_order, queue);
    put_some(queue, 1, MANY, MANY); /* few sleeps: the bias stays */
    refuse_membarrier();
    put_some(queue, MANY + 1, MANY, 7);
    end_getters(queue, getters, 2, 2 * MANY);
}

static void a_queue_works_when_membarrier_begins_to_fail(void **state)
{
    (void)state;
    run_apart(lose_membarrier_at_work);
}

static void end_the_bias_without_membarrier(void)
{
    struct sqi_bias bias;
    struct sqi_counts closed;
    sqi_bias_init(&bias, SQI_BIAS_ANYBODY);
    sqi_counts_init(&closed, 4, SQI_BIAS_ANYBODY);
    refuse_membarrier();
    sqi_bias_barrier(&bias, 0);
    assert_int_equal(owner_of(&bias), SQI_BIAS_ENDED);
    assert_false(sqi_membarrier_works()); /* known for queues to come */
    sqi_counts_close(&closed);
    assert_int_equal(owner_of(&closed.bias), SQI_BIAS_ENDED);
    assert_int_equal(atomic_load(&closed.tail), SQI_CLOSED);
}

static void the_bias_ends_when_membarrier_begins_to_fail(void **state)
{
    (void)state;
    run_apart(end_the_bias_without_membarrier);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_that_puts_has_the_bias_until_another_does),
        cmocka_unit_test(nobody_is_biased_where_it_is_not_wanted),
        cmocka_unit_test(the_bias_ends_when_barriers_come_often),
        cmocka_unit_test(closing_ends_the_bias),
        cmocka_unit_test(closing_waits_for_a_claim_that_has_begun),
        cmocka_unit_test(every_item_arrives_in_order_when_gets_sleep_often),
        cmocka_unit_test(a_shutdown_amid_puts_loses_nothing),
        cmocka_unit_test(a_second_thread_that_puts_loses_nothing),
        cmocka_unit_test(a_put_that_returned_is_seen),
    };
    const struct CMUnitTest refusals[] = {
        cmocka_unit_test(a_queue_works_where_membarrier_fails_from_the_start),
        cmocka_unit_test(a_queue_works_when_membarrier_begins_to_fail),
        cmocka_unit_test(the_bias_ends_when_membarrier_begins_to_fail),
    };
    if (argc < 2 || strcmp(argv[1], "refused") != 0)
        return cmocka_run_group_tests(tests, NULL, NULL);
    if (!filters_can_be_set())
        return skip_all("there are no seccomp filters here");
    return cmocka_run_group_tests(refusals, NULL, NULL);
}
