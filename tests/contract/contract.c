/* SPDX-License-Identifier: Apache-2.0 */
#include "contract.h"

#include <assert.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct sqi_policy usual_policy = {
    .lease_ms = LEASE_MS,
    .attempts_max = ATTEMPTS,
    .backoff_ms = 1000,
    .backoff_max_ms = 300000,
    .dedupe_window_ms = WINDOW_MS,
    .dead_kept_ms = KEPT_MS,
};

const struct sqi_due never = {SQI_NEVER, SQI_NEVER};

static const struct sqi_engine_ops *const engines[] = {
    &sqi_mem_engine,
#ifdef SQI_WITH_LMDB
    &sqi_lmdb_engine,
#endif
};

enum { ENGINES = sizeof engines / sizeof engines[0], TESTS_MAX = 100, NAME_ROOM = 120 };

size_t engine_count(void)
{
    return ENGINES;
}

const struct sqi_engine_ops *engine_at(size_t index)
{
    return engines[index];
}

/* ---- the life of a store ---- */

static int64_t simulated_ns(void *context)
{
    return ((struct fixture *)context)->now_ns;
}

static int64_t simulated_ms(void *context)
{
    return ((struct fixture *)context)->now_ms;
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *place)
{
    (void)stat, (void)type, (void)place;
    return remove(path);
}

static void make_folder(struct fixture *fixture)
{
    const char *parent = getenv("TMPDIR");
    snprintf(fixture->folder, sizeof fixture->folder, "%s/sealq-contract-XXXXXX",
             parent && parent[0] ? parent : "/tmp");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->location, sizeof fixture->location, "%s/store", fixture->folder);
}

static void open_engine(struct fixture *fixture)
{
    struct sqi_engine_options options = {.clock = fixture->used_clock,
                                         .quota_bytes = fixture->quota_bytes};
    int result = fixture->ops->open(fixture->location, &options, &fixture->engine);
    if (result)
        print_message("# %s: %s\n", fixture->ops->name, sq_last_error_detail());
    assert_int_equal(result, SQ_OK);
    assert_ptr_equal(fixture->engine->ops, fixture->ops);
}

static void close_engine(struct fixture *fixture)
{
    fixture->engine = fixture->ops->close(fixture->engine);
    assert_null(fixture->engine);
}

static void remove_folder(struct fixture *fixture)
{
    if (fixture->folder[0])
        nftw(fixture->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    fixture->folder[0] = fixture->location[0] = '\0';
}

static void open_new(struct fixture *fixture, const struct sqi_policy *policy)
{
    if (fixture->ops->capabilities & SQI_CAN_PERSIST)
        make_folder(fixture);
    open_engine(fixture);
    fixture->channel = open_channel(fixture, "jobs", policy);
}

struct fixture *make_fixture(const struct sqi_engine_ops *ops, bool has_real_clock)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->ops = ops;
    fixture->now_ns = INT64_C(5000) * SQI_NS_PER_S;
    fixture->now_ms = INT64_C(1700000000000);
    fixture->clock = (struct sqi_clock){simulated_ns, simulated_ms, fixture};
    fixture->used_clock = has_real_clock ? NULL : &fixture->clock;
    open_new(fixture, &usual_policy);
    return fixture;
}

void free_fixture(struct fixture *fixture)
{
    close_engine(fixture);
    remove_folder(fixture);
    free(fixture);
}

void reopen(struct fixture *fixture)
{
    close_engine(fixture);
    open_engine(fixture);
}

void start_again(struct fixture *fixture, uint64_t quota_bytes, const struct sqi_policy *policy)
{
    close_engine(fixture);
    remove_folder(fixture);
    fixture->quota_bytes = quota_bytes;
    open_new(fixture, policy);
}

void pass_ms(struct fixture *fixture, int64_t ms)
{
    fixture->now_ns += ms * SQI_NS_PER_MS;
    fixture->now_ms += ms;
}

/* ---- each test for each engine ---- */

static bool all_have_real_clocks;

static int set_up(void **state)
{
    *state = make_fixture(*state, all_have_real_clocks);
    return 0;
}

static int tear_down(void **state)
{
    free_fixture(*state);
    return 0;
}

static bool has_what_it_needs(const struct sqi_engine_ops *ops, const struct CMUnitTest *test)
{
    unsigned needs = (unsigned)(uintptr_t)test->initial_state;
    return (ops->capabilities & needs) == needs;
}

int run_contract(const char *name, const struct CMUnitTest *tests, size_t count,
                 bool has_real_clock)
{
    static struct CMUnitTest rows[ENGINES * TESTS_MAX]; /* cmocka passes over empty ones */
    static char names[ENGINES * TESTS_MAX][NAME_ROOM];
    size_t row_count = 0;
    assert(count <= TESTS_MAX);
    all_have_real_clocks = has_real_clock;
    for (size_t i = 0; i < ENGINES * count; i++) {
        const struct sqi_engine_ops *ops = engines[i / count];
        const struct CMUnitTest *test = &tests[i % count];
        if (!has_what_it_needs(ops, test))
            continue;
        snprintf(names[row_count], NAME_ROOM, "%s: %s", ops->name, test->name);
        rows[row_count] = (struct CMUnitTest){
            names[row_count], test->test_func, set_up, tear_down, (void *)(uintptr_t)ops,
        };
        row_count++;
    }
    return cmocka_run_group_tests_name(name, rows, NULL, NULL);
}

/* ---- operations ---- */

uint32_t open_channel(struct fixture *fixture, const char *name, const struct sqi_policy *policy)
{
    struct sqi_channel_info info;
    assert_int_equal(fixture->ops->open_channel(fixture->engine, name, policy, "canary", 6, &info),
                     1);
    return info.channel;
}

int put(struct fixture *fixture, uint32_t channel, const char *text, struct sqi_put *ret_put)
{
    ret_put->envelope = text;
    ret_put->envelope_bytes = strlen(text);
    ret_put->result = -1000;
    fixture->ops->put(fixture->engine, channel, ret_put, 1);
    return ret_put->result;
}

uint64_t add_with(struct fixture *fixture, const char *text, struct sqi_put it)
{
    assert_int_equal(put(fixture, fixture->channel, text, &it), 0);
    return it.id;
}

uint64_t add(struct fixture *fixture, const char *text)
{
    return add_with(fixture, text, (struct sqi_put){0});
}

int lease(struct fixture *fixture, struct sqi_lease_request request, struct held *ret_held)
{
    if (request.channel == 0)
        request.channel = fixture->channel;
    struct sqi_lease *leases = calloc(request.count_max, sizeof *leases);
    assert_non_null(leases);
    int count = fixture->ops->settle_and_lease(fixture->engine, NULL, 0, &request, leases, NULL);
    for (int i = 0; i < count; i++) {
        struct held *held = &ret_held[i];
        *held = (struct held){
            request.channel,    leases[i].id,          leases[i].token,          leases[i].attempt,
            leases[i].priority, leases[i].deadline_ns, leases[i].envelope_bytes, "",
        };
        size_t shown = held->bytes < sizeof held->text ? held->bytes : sizeof held->text - 1;
        memcpy(held->text, leases[i].envelope, shown);
        free(leases[i].envelope);
        assert_int_not_equal(held->token, 0);
    }
    free(leases);
    return count;
}

struct held get(struct fixture *fixture)
{
    struct held held;
    assert_int_equal(lease(fixture, (struct sqi_lease_request){.count_max = 1}, &held), 1);
    return held;
}

struct held get_text(struct fixture *fixture, const char *text)
{
    struct held held = get(fixture);
    assert_string_equal(held.text, text);
    return held;
}

void assert_nothing_to_get(struct fixture *fixture)
{
    struct held held;
    assert_int_equal(lease(fixture, (struct sqi_lease_request){.count_max = 1}, &held), 0);
}

int settle_as(struct fixture *fixture, const struct held *held, struct sqi_settlement settlement)
{
    settlement.channel = held->channel;
    settlement.id = held->id;
    settlement.token = held->token;
    settlement.result = -1000;
    assert_int_equal(
        fixture->ops->settle_and_lease(fixture->engine, &settlement, 1, NULL, NULL, NULL), 0);
    return settlement.result;
}

int settle_later(struct fixture *fixture, const struct held *held, enum sqi_verdict verdict,
                 int64_t delay_ms)
{
    return settle_as(fixture, held,
                     (struct sqi_settlement){
                         .verdict = verdict, .death = SQI_DEATH_BURIED, .delay_ms = delay_ms});
}

int settle(struct fixture *fixture, const struct held *held, enum sqi_verdict verdict)
{
    return settle_later(fixture, held, verdict, 0);
}

int extend(struct fixture *fixture, struct held *held, int64_t lease_ms)
{
    struct sqi_extension extension = {.channel = held->channel,
                                      .id = held->id,
                                      .token = held->token,
                                      .lease_ms = lease_ms,
                                      .result = -1000};
    assert_int_equal(fixture->ops->extend(fixture->engine, &extension, 1), SQ_OK);
    if (extension.result == 0)
        held->deadline_ns = extension.deadline_ns;
    return extension.result;
}

void control(struct fixture *fixture, uint32_t channel, enum sqi_control what)
{
    assert_int_equal(fixture->ops->control(fixture->engine, channel, what), SQ_OK);
}

struct sqi_channel_stat stat_of(struct fixture *fixture, uint32_t channel)
{
    struct sqi_channel_stat stat;
    assert_int_equal(fixture->ops->stat(fixture->engine, channel, &stat, NULL), SQ_OK);
    return stat;
}

struct sqi_due due_of(struct fixture *fixture)
{
    struct sqi_due due = {0};
    struct sqi_channel_stat stat;
    assert_int_equal(fixture->ops->stat(fixture->engine, fixture->channel, &stat, &due), SQ_OK);
    return due;
}

static void copy_text(char *ret_text, size_t room, const uint8_t *bytes, size_t count)
{
    size_t shown = count < room ? count : room - 1;
    if (shown > 0)
        memcpy(ret_text, bytes, shown);
    ret_text[shown] = '\0';
}

static int keep_listed(const struct sqi_listed *listed, void *context)
{
    struct seen *seen = context;
    seen->listed = *listed;
    copy_text(seen->text, sizeof seen->text, listed->envelope, listed->envelope_bytes);
    copy_text(seen->reason, sizeof seen->reason, listed->reason, listed->reason_bytes);
    seen->listed.envelope = seen->listed.reason = NULL;
    return 1;
}

struct seen look(struct fixture *fixture, uint64_t id)
{
    struct seen seen = {0};
    int count = fixture->ops->list(fixture->engine, fixture->channel, id - 1, 1, keep_listed,
                                   &seen);
    assert_true(count >= 0);
    return count == 1 && seen.listed.id == id ? seen : (struct seen){0};
}

void assert_same_policy(const struct sqi_policy *one, const struct sqi_policy *other)
{
    assert_int_equal(one->capacity, other->capacity);
    assert_int_equal(one->lease_ms, other->lease_ms);
    assert_int_equal(one->attempts_max, other->attempts_max);
    assert_int_equal(one->backoff_ms, other->backoff_ms);
    assert_int_equal(one->backoff_max_ms, other->backoff_max_ms);
    assert_int_equal(one->dedupe_window_ms, other->dedupe_window_ms);
    assert_int_equal(one->dead_kept_ms, other->dead_kept_ms);
}

void assert_same_stat(const struct sqi_channel_stat *one, const struct sqi_channel_stat *other)
{
    assert_int_equal(one->delayed, other->delayed);
    assert_int_equal(one->ready, other->ready);
    assert_int_equal(one->leased, other->leased);
    assert_int_equal(one->dead, other->dead);
    assert_int_equal(one->bytes, other->bytes);
    assert_int_equal(one->is_closed, other->is_closed);
    assert_int_equal(one->is_paused, other->is_paused);
    assert_int_equal(one->puts, other->puts);
    assert_int_equal(one->duplicates, other->duplicates);
    assert_int_equal(one->leases, other->leases);
    assert_int_equal(one->dones, other->dones);
    assert_int_equal(one->retries, other->retries);
    assert_int_equal(one->deaths, other->deaths);
    assert_int_equal(one->lost_leases, other->lost_leases);
}

void assert_counts(struct fixture *fixture, uint64_t delayed, uint64_t ready, uint64_t leased,
                   uint64_t dead)
{
    struct sqi_channel_stat stat = stat_of(fixture, fixture->channel);
    assert_int_equal(stat.delayed, delayed);
    assert_int_equal(stat.ready, ready);
    assert_int_equal(stat.leased, leased);
    assert_int_equal(stat.dead, dead);
}

void assert_dead(struct fixture *fixture, uint64_t id, enum sqi_death death)
{
    struct seen seen = look(fixture, id);
    assert_int_equal(seen.listed.state, SQI_DEAD);
    assert_int_equal(seen.listed.death, death);
}

void assert_gone(struct fixture *fixture, uint64_t id)
{
    assert_int_equal(look(fixture, id).listed.state, 0);
}
