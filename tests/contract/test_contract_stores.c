/* SPDX-License-Identifier: Apache-2.0 */
/* Stores: sizes, batches, reopening, threads and forks, for every engine. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract.h"

/* ---- sizes and batches ---- */

static void fill(uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251 + count);
}

struct expected {
    const uint8_t *bytes;
    size_t count;
    bool is_seen;
};

static int compare_listed(const struct sqi_listed *listed, void *context)
{
    struct expected *expected = context;
    assert_int_equal(listed->envelope_bytes, expected->count);
    assert_memory_equal(listed->envelope, expected->bytes, expected->count);
    expected->is_seen = true;
    return 0;
}

/* Put, list, lease, and the store is empty. */
static void pass_envelope(struct fixture *fixture, size_t bytes)
{
    uint8_t *envelope = malloc(bytes);
    fill(envelope, bytes);
    struct sqi_put put = {.envelope = envelope, .envelope_bytes = bytes, .result = 5};
    assert_int_equal(fixture->ops->put(fixture->engine, fixture->channel, &put, 1), SQ_OK);
    assert_int_equal(put.result, 0);
    assert_int_equal(stat_of(fixture, fixture->channel).bytes, bytes);
    struct expected expected = {envelope, bytes, false};
    assert_int_equal(fixture->ops->list(fixture->engine, fixture->channel, put.id - 1, 5,
                                        compare_listed, &expected),
                     1);
    assert_true(expected.is_seen);
    struct sqi_lease_request request = {.channel = fixture->channel, .count_max = 5};
    struct sqi_lease leases[5];
    assert_int_equal(
        fixture->ops->settle_and_lease(fixture->engine, NULL, 0, &request, leases, NULL), 1);
    assert_int_equal(leases[0].envelope_bytes, bytes);
    assert_memory_equal(leases[0].envelope, envelope, bytes);
    struct held held = {fixture->channel, leases[0].id, leases[0].token, 0, 0, 0, 0, ""};
    free(leases[0].envelope);
    free(envelope);
    assert_int_equal(settle(fixture, &held, SQI_DONE), 0);
    assert_int_equal(stat_of(fixture, fixture->channel).bytes, 0);
}

TEST(envelopes_of_every_size_come_back_as_they_were)
{
    FIXTURE;
    static const size_t sizes[] = {1,    2,    1999,  2000,  2001,    2030,    2031,
                                   3999, 4000, 4001,  4096,  65536,   1 << 20, (1 << 20) + 1,
                                   5,    511,  10000, 12345, 3 << 20, 16 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        pass_envelope(fixture, sizes[i]);
}

TEST(batch_of_the_most_messages_is_put_leased_and_done)
{
    FIXTURE;
    enum { COUNT = SQI_COMMIT_MESSAGES_MAX };
    struct sqi_put *puts = calloc(COUNT, sizeof *puts);
    struct held *held = calloc(COUNT + 1, sizeof *held);
    struct sqi_settlement *dones = calloc(COUNT, sizeof *dones);
    static const char text[COUNT] = "each from its own byte on";
    for (size_t i = 0; i < COUNT; i++)
        puts[i] = (struct sqi_put){.envelope = &text[i], .envelope_bytes = 1, .result = 5};
    assert_int_equal(fixture->ops->put(fixture->engine, fixture->channel, puts, COUNT), SQ_OK);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(puts[i].result, 0);
        assert_int_equal(puts[i].id, i + 1);
    }
    add(fixture, "beyond");
    assert_int_equal(lease(fixture, (struct sqi_lease_request){.count_max = COUNT + 1}, held),
                     COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(held[i].id, i + 1);
        dones[i] = (struct sqi_settlement){
            .channel = fixture->channel, .id = held[i].id, .token = held[i].token, .result = 5};
    }
    assert_int_equal(
        fixture->ops->settle_and_lease(fixture->engine, dones, COUNT, NULL, NULL, NULL), 0);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(dones[i].result, 0);
    assert_counts(fixture, 0, 1, 0, 0);
    free(puts);
    free(held);
    free(dones);
}

TEST(many_leases_are_lost_at_once)
{
    FIXTURE;
    enum { COUNT = 3000 };
    struct held *held = calloc(COUNT, sizeof *held);
    struct sqi_put *puts = calloc(COUNT, sizeof *puts);
    for (size_t i = 0; i < COUNT; i++)
        puts[i] = (struct sqi_put){.envelope = "a", .envelope_bytes = 1};
    fixture->ops->put(fixture->engine, fixture->channel, puts, COUNT);
    assert_int_equal(lease(fixture, (struct sqi_lease_request){.count_max = COUNT}, held), COUNT);
    pass_ms(fixture, LEASE_MS);
    assert_counts(fixture, 0, COUNT, 0, 0);
    assert_int_equal(lease(fixture, (struct sqi_lease_request){.count_max = COUNT}, held), COUNT);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(held[i].id, i + 1);
    free(puts);
    free(held);
}

TEST(empty_batches_do_nothing)
{
    FIXTURE;
    add(fixture, "a");
    assert_int_equal(fixture->ops->put(fixture->engine, fixture->channel, NULL, 0), SQ_OK);
    assert_int_equal(fixture->ops->settle_and_lease(fixture->engine, NULL, 0, NULL, NULL, NULL), 0);
    assert_int_equal(fixture->ops->extend(fixture->engine, NULL, 0), SQ_OK);
    assert_counts(fixture, 0, 1, 0, 0);
}

/* ---- opening and closing ---- */

TEST(store_that_must_exist_is_refused_when_there_is_none)
{
    FIXTURE;
    char elsewhere[320] = "";
    if (fixture->location[0])
        strcat(strcat(elsewhere, fixture->location), "-elsewhere");
    struct sqi_engine_options options = {.clock = fixture->used_clock, .must_exist = true};
    struct sqi_engine *engine = NULL;
    assert_int_equal(fixture->ops->open(elsewhere, &options, &engine), SQ_ENOENT);
    assert_null(engine);
    assert_true(strlen(sq_last_error_detail()) > 20);
}

TEST(closing_nothing_is_allowed)
{
    FIXTURE;
    assert_null(fixture->ops->close(NULL));
}

TEST(options_may_be_left_out)
{
    FIXTURE;
    char elsewhere[320] = "";
    if (fixture->location[0])
        strcat(strcat(elsewhere, fixture->location), "-elsewhere");
    struct sqi_engine *engine = NULL;
    assert_int_equal(fixture->ops->open(elsewhere, NULL, &engine), SQ_OK);
    assert_null(fixture->ops->close(engine));
}

TEST(new_store_is_empty)
{
    FIXTURE;
    add(fixture, "a");
    start_again(fixture, 0, &usual_policy);
    assert_counts(fixture, 0, 0, 0, 0);
    assert_int_equal(add(fixture, "b"), 1);
}

TEST(messages_survive_reopening)
{
    FIXTURE;
    static const uint8_t key[1][SQI_DEDUPE_BYTES] = {{7}};
    uint64_t dead = add(fixture, "dead");
    struct held held = get(fixture);
    settle_as(
        fixture, &held,
        (struct sqi_settlement){
            .verdict = SQI_BURY, .death = SQI_DEATH_BURIED, .reason = "r", .reason_bytes = 1});
    add_with(fixture, "last", (struct sqi_put){.priority = 200});
    add_with(fixture, "first", (struct sqi_put){.dedupe_ids = key, .dedupe_id_count = 1});
    add_with(fixture, "delayed", (struct sqi_put){.not_before_ms = fixture->now_ms + 10});
    control(fixture, fixture->channel, SQI_PAUSE);
    struct sqi_channel_stat before = stat_of(fixture, fixture->channel);
    reopen(fixture);
    struct sqi_channel_info info;
    assert_int_equal(fixture->ops->open_channel(fixture->engine, "jobs", NULL, NULL, 0, &info), 0);
    assert_int_equal(info.channel, fixture->channel);
    assert_same_policy(&info.policy, &usual_policy);
    struct sqi_channel_stat after = stat_of(fixture, fixture->channel);
    assert_same_stat(&after, &before);
    assert_string_equal(look(fixture, dead).reason, "r");
    control(fixture, fixture->channel, SQI_RESUME);
    struct sqi_put again = {.dedupe_ids = key, .dedupe_id_count = 1};
    assert_int_equal(put(fixture, fixture->channel, "x", &again), 1);
    pass_ms(fixture, 10);
    get_text(fixture, "first");
    get_text(fixture, "delayed");
    get_text(fixture, "last");
    assert_int_equal(add(fixture, "next"), 5);
}

TEST(leases_of_a_closed_engine_are_lost)
{
    FIXTURE;
    add(fixture, "a");
    struct held held = get(fixture);
    reopen(fixture);
    assert_counts(fixture, 0, 1, 0, 0);
    assert_int_equal(stat_of(fixture, fixture->channel).lost_leases, 1);
    assert_int_equal(settle(fixture, &held, SQI_DONE), SQ_ELEASE);
    struct held again = get_text(fixture, "a");
    assert_int_equal(again.attempt, 2);
    assert_int_equal(settle(fixture, &held, SQI_DONE), SQ_ELEASE);
    assert_int_equal(settle(fixture, &again, SQI_DONE), 0);
}

TEST(unowned_lease_survives_the_close)
{
    FIXTURE;
    struct held held;
    add(fixture, "a");
    lease(fixture, (struct sqi_lease_request){.count_max = 1, .is_unowned = true}, &held);
    reopen(fixture);
    assert_counts(fixture, 0, 0, 1, 0);
    assert_int_equal(settle(fixture, &held, SQI_DONE), 0);
    add(fixture, "b");
    lease(fixture, (struct sqi_lease_request){.count_max = 1, .is_unowned = true}, &held);
    pass_ms(fixture, LEASE_MS);
    assert_counts(fixture, 0, 1, 0, 0);
}

/* ---- threads and forks ---- */

enum { THREADS = 4, EACH = 200 };

struct crowd {
    struct fixture *fixture;
    _Atomic uint64_t sum;
    _Atomic int done;
};

/* No assertions: those belong to the test's own thread. */
static void *put_many(void *argument)
{
    struct crowd *crowd = argument;
    struct fixture *fixture = crowd->fixture;
    for (int i = 0; i < EACH; i++) {
        struct sqi_put put = {.envelope = "a", .envelope_bytes = 1};
        if (fixture->ops->put(fixture->engine, fixture->channel, &put, 1) || put.result)
            return argument;
        atomic_fetch_add_explicit(&crowd->sum, put.id, memory_order_relaxed);
    }
    return NULL;
}

static void *get_many(void *argument)
{
    struct crowd *crowd = argument;
    struct fixture *fixture = crowd->fixture;
    struct sqi_lease_request request = {.channel = fixture->channel, .count_max = 3};
    while (atomic_load_explicit(&crowd->done, memory_order_relaxed) < THREADS * EACH) {
        struct sqi_lease leases[3];
        struct sqi_settlement dones[3];
        uint32_t seen = fixture->ops->watch(fixture->engine, fixture->channel);
        int count = fixture->ops->settle_and_lease(fixture->engine, NULL, 0, &request, leases,
                                                   NULL);
        if (count < 0)
            return argument;
        for (int i = 0; i < count; i++) {
            dones[i] = (struct sqi_settlement){
                .channel = fixture->channel, .id = leases[i].id, .token = leases[i].token};
            atomic_fetch_sub_explicit(&crowd->sum, leases[i].id, memory_order_relaxed);
            free(leases[i].envelope);
        }
        fixture->ops->settle_and_lease(fixture->engine, dones, (size_t)count, NULL, NULL, NULL);
        if (atomic_fetch_add_explicit(&crowd->done, count, memory_order_relaxed) + count ==
            THREADS * EACH)
            fixture->ops->wake(fixture->engine, fixture->channel);
        else if (count == 0)
            fixture->ops->wait(fixture->engine, fixture->channel, seen, &never,
                               sqi_deadline_after(100));
    }
    return NULL;
}

TEST(threads_get_each_message_once)
{
    FIXTURE;
    struct crowd crowd = {.fixture = fixture};
    pthread_t threads[2 * THREADS];
    for (int i = 0; i < 2 * THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < THREADS ? put_many : get_many, &crowd), 0);
    for (int i = 0; i < 2 * THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(crowd.sum, 0);
    assert_counts(fixture, 0, 0, 0, 0);
    assert_int_equal(stat_of(fixture, fixture->channel).dones, THREADS * EACH);
}

/* What the child finds: 0 when all is refused. */
static int try_in_child(struct fixture *fixture, struct held *held)
{
    const struct sqi_engine_ops *ops = fixture->ops;
    struct sqi_engine *engine = fixture->engine;
    struct sqi_put put = {.envelope = "a", .envelope_bytes = 1};
    struct sqi_extension extension = {
        .channel = held->channel, .id = held->id, .token = held->token};
    struct sqi_channel_stat stat;
    struct sqi_channel_info info;
    int found = 0;
    found |= (ops->put(engine, fixture->channel, &put, 1) != SQ_EFORK) << 0;
    found |= (ops->settle_and_lease(engine, NULL, 0, NULL, NULL, NULL) != SQ_EFORK) << 1;
    found |= (ops->extend(engine, &extension, 1) != SQ_EFORK) << 2;
    found |= (ops->control(engine, fixture->channel, SQI_CLOSE) != SQ_EFORK) << 3;
    found |= (ops->stat(engine, fixture->channel, &stat, NULL) != SQ_EFORK) << 4;
    found |= (ops->list(engine, fixture->channel, 0, 1, NULL, NULL) != SQ_EFORK) << 5;
    found |= (ops->open_channel(engine, "new", &usual_policy, "", 0, &info) != SQ_EFORK) << 6;
    found |= (ops->wait(engine, fixture->channel, 0, &never, SQI_NEVER) != SQ_EFORK) << 7;
    ops->wake(engine, fixture->channel);
    ops->close(engine);
    return found;
}

TEST(child_of_a_fork_is_refused_and_its_close_ends_no_lease)
{
    FIXTURE;
    add(fixture, "a");
    struct held held = get(fixture);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(try_in_child(fixture, &held));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_counts(fixture, 0, 0, 1, 0);
    assert_int_equal(settle(fixture, &held, SQI_DONE), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(envelopes_of_every_size_come_back_as_they_were),
        cmocka_unit_test(batch_of_the_most_messages_is_put_leased_and_done),
        cmocka_unit_test(many_leases_are_lost_at_once),
        cmocka_unit_test(empty_batches_do_nothing),
        cmocka_unit_test(store_that_must_exist_is_refused_when_there_is_none),
        cmocka_unit_test(closing_nothing_is_allowed),
        cmocka_unit_test(options_may_be_left_out),
        cmocka_unit_test(new_store_is_empty),
        test_needing(messages_survive_reopening, SQI_CAN_PERSIST),
        test_needing(leases_of_a_closed_engine_are_lost,
                     SQI_CAN_PERSIST | SQI_CAN_RECLAIM_ON_DEATH),
        test_needing(unowned_lease_survives_the_close, SQI_CAN_PERSIST | SQI_CAN_RECLAIM_ON_DEATH),
        cmocka_unit_test(threads_get_each_message_once),
        cmocka_unit_test(child_of_a_fork_is_refused_and_its_close_ends_no_lease),
    };
    return run_contract("stores", tests, sizeof tests / sizeof tests[0], false);
}
