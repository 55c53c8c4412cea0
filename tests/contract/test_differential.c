/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every other engine against mem, over long random sequences of operations with the same clocks:
 * each answer must be the same, but for tokens, and for what may be due too soon.
 *
 * The seed is printed; the program's first argument repeats a run: test_differential SEED.
 * Without another engine mem runs against itself, which shows nothing but that it runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "contract.h"

enum {
    SEEDS = 4,
    OPERATIONS = 20000,
    CHANNELS = 3,
    BATCH_MAX = 5,
    KEYS = 6,
    HELD_MAX = 48,
    LISTED_MAX = 200,
    BYTES_MAX = 5000,
    QUOTA_BYTES = 60000,
};

static const struct sqi_policy small_policy = {
    .capacity = 8,
    .lease_ms = 400,
    .attempts_max = 3,
    .dedupe_window_ms = 600,
    .dead_kept_ms = 2500,
};

/* ---- chance ---- */

static uint64_t chance;

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014). */
static uint64_t next_random(void)
{
    uint64_t z = (chance += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static unsigned below(unsigned bound)
{
    return (unsigned)(next_random() % bound);
}

static bool one_in(unsigned bound)
{
    return below(bound) == 0;
}

/* ---- both engines ---- */

/* A lease that was given, perhaps long ago; the tokens of both engines. */
struct pair_held {
    uint32_t channel;
    uint64_t id, tokens[2];
};

struct pair {
    struct fixture *sides[2]; /* mem, and the other */
    uint32_t channels[CHANNELS];
    unsigned channel_count; /* ever made */
    struct pair_held held[HELD_MAX];
    unsigned held_next;
    unsigned operation;
    uint64_t seed;
    unsigned reopenings, deaths;
};

#define same(pair, one, other, what)                                                               \
    check((pair), (int64_t)(one), (int64_t)(other), (what), __LINE__)

static void check(const struct pair *pair, int64_t mem, int64_t other, const char *what, int line)
{
    if (mem == other)
        return;
    print_message("# seed %llu, operation %u, line %d: %s: mem %lld, %s %lld\n",
                  (unsigned long long)pair->seed, pair->operation, line, what, (long long)mem,
                  pair->sides[1]->ops->name, (long long)other);
    fail();
}

/* One of the channels; rarely none. */
static uint32_t any_channel(const struct pair *pair)
{
    return one_in(50) ? 9999 : pair->channels[below(CHANNELS)];
}

/* ---- puts ---- */

static const uint8_t keys[KEYS][SQI_DEDUPE_BYTES] = {{1}, {2}, {3}, {4}, {5}, {6}};

static size_t any_size(void)
{
    static const size_t sizes[] = {1, 2, 1999, 2000, 2001, 2500, 4000, 4001, BYTES_MAX};
    return one_in(5) ? sizes[below(sizeof sizes / sizeof sizes[0])] : 1 + below(60);
}

static struct sqi_put any_put(const struct pair *pair)
{
    static const uint8_t priorities[] = {0, 100, 100, 100, 255};
    static uint8_t bytes[BYTES_MAX + 256];
    if (!bytes[1])
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)(i * 7 + i / 256 + 1);
    int64_t now_ms = pair->sides[0]->now_ms;
    struct sqi_put put = {.envelope = bytes + below(256),
                          .envelope_bytes = any_size(),
                          .priority = priorities[below(sizeof priorities)],
                          .result = -1000};
    if (one_in(4))
        put.not_before_ms = now_ms + below(1500) - 200;
    if (one_in(4))
        put.expires_ms = now_ms + below(2500) - 100;
    if (one_in(3)) {
        unsigned first = below(KEYS);
        put.dedupe_ids = &keys[first];
        put.dedupe_id_count = 1 + below(KEYS - first);
    }
    return put;
}

static void same_put(const struct pair *pair, const struct sqi_put *mem,
                     const struct sqi_put *other)
{
    same(pair, mem->result, other->result, "result of a put");
    if (mem->result >= 0)
        same(pair, mem->id, other->id, "id of a put");
}

static void put_some(struct pair *pair)
{
    struct sqi_put puts[2][BATCH_MAX];
    uint32_t channel = any_channel(pair);
    size_t count = below(BATCH_MAX + 1);
    for (size_t i = 0; i < count; i++)
        puts[0][i] = puts[1][i] = any_put(pair);
    int results[2];
    for (int i = 0; i < 2; i++)
        results[i] = pair->sides[i]->ops->put(pair->sides[i]->engine, channel, puts[i], count);
    same(pair, results[0], results[1], "put");
    for (size_t i = 0; i < count; i++)
        same_put(pair, &puts[0][i], &puts[1][i]);
}

/* ---- settlements and leases ---- */

static struct pair_held any_held(const struct pair *pair)
{
    struct pair_held held = pair->held[below(HELD_MAX)];
    if (one_in(40))
        held.channel = any_channel(pair);
    if (one_in(40))
        held.id += 1;
    return held;
}

static struct sqi_settlement any_settlement(const struct pair *pair, const struct pair_held *held,
                                            struct sqi_emission *emissions)
{
    static const char reasons[][8] = {"one", "two", "another"};
    struct sqi_settlement settlement = {
        .channel = held->channel,
        .id = held->id,
        .verdict = (enum sqi_verdict)below(4),
        .death = one_in(2) ? SQI_DEATH_BURIED : SQI_DEATH_REFUSED,
        .delay_ms = one_in(2) ? below(800) : 0,
        .result = -1000,
    };
    if (one_in(2)) {
        settlement.reason = reasons[below(3)];
        settlement.reason_bytes = strlen(settlement.reason);
    }
    if (settlement.verdict == SQI_DONE && one_in(3)) {
        settlement.emission_count = 1 + below(2);
        for (size_t i = 0; i < settlement.emission_count; i++)
            emissions[i] = (struct sqi_emission){any_channel(pair), any_put(pair)};
    }
    return settlement;
}

static void same_settlement(const struct pair *pair, const struct sqi_settlement *mem,
                            const struct sqi_settlement *other)
{
    same(pair, mem->result, other->result, "result of a settlement");
    for (size_t i = 0; i < mem->emission_count && mem->result >= 0; i++)
        same_put(pair, &mem->emissions[i].put, &other->emissions[i].put);
}

/* Also notes and frees the leases. */
static void same_leases(struct pair *pair, uint32_t channel, struct sqi_lease leases[2][BATCH_MAX],
                        int count)
{
    for (int i = 0; i < count; i++) {
        struct sqi_lease *mem = &leases[0][i], *other = &leases[1][i];
        same(pair, mem->id, other->id, "id of a lease");
        same(pair, mem->attempt, other->attempt, "attempt of a lease");
        same(pair, mem->priority, other->priority, "priority of a lease");
        same(pair, mem->deadline_ns, other->deadline_ns, "deadline of a lease");
        same(pair, mem->envelope_bytes, other->envelope_bytes, "bytes of a lease");
        same(pair, 0, memcmp(mem->envelope, other->envelope, mem->envelope_bytes),
             "envelope of a lease");
        same(pair, mem->token != 0, other->token != 0, "token of a lease");
        pair->held[pair->held_next++ % HELD_MAX] = (struct pair_held){
            channel, mem->id, {mem->token, other->token}};
        free(mem->envelope);
        free(other->envelope);
    }
}

/* A due that an engine tells may be too soon, but not too late, and not past. */
static void same_due(const struct pair *pair, const struct sqi_due *mem,
                     const struct sqi_due *other)
{
    same(pair, other->monotonic_ns <= mem->monotonic_ns, 1, "lease due too late");
    same(pair, other->monotonic_ns > pair->sides[0]->now_ns, 1, "lease due in the past");
    same(pair, other->wall_ms <= mem->wall_ms, 1, "timer due too late");
    same(pair, other->wall_ms > pair->sides[0]->now_ms, 1, "timer due in the past");
}

static void exchange(struct pair *pair)
{
    struct sqi_settlement settlements[2][BATCH_MAX];
    struct sqi_emission emissions[2][BATCH_MAX][2];
    struct sqi_lease leases[2][BATCH_MAX];
    struct sqi_lease_request request = {.channel = any_channel(pair),
                                        .count_max = 1 + below(BATCH_MAX),
                                        .bytes_max = one_in(3) ? below(3000) : 0,
                                        .lease_ms = one_in(2) ? 1 + below(900) : 0};
    size_t count = one_in(3) ? 0 : below(BATCH_MAX);
    bool has_request = !one_in(4);
    for (size_t i = 0; i < count; i++) {
        struct pair_held held = any_held(pair);
        settlements[0][i] = any_settlement(pair, &held, emissions[0][i]);
        memcpy(emissions[1][i], emissions[0][i], sizeof emissions[0][i]);
        settlements[1][i] = settlements[0][i];
        for (int j = 0; j < 2; j++) {
            settlements[j][i].token = held.tokens[j];
            settlements[j][i].emissions = emissions[j][i];
        }
    }
    int results[2];
    struct sqi_due dues[2];
    for (int i = 0; i < 2; i++)
        results[i] = pair->sides[i]->ops->settle_and_lease(pair->sides[i]->engine, settlements[i],
                                                           count, has_request ? &request : NULL,
                                                           leases[i], &dues[i]);
    same(pair, results[0], results[1], "settle_and_lease");
    for (size_t i = 0; i < count; i++)
        same_settlement(pair, &settlements[0][i], &settlements[1][i]);
    same_leases(pair, request.channel, leases, results[0]);
    same_due(pair, &dues[0], &dues[1]);
}

static void extend_some(struct pair *pair)
{
    struct sqi_extension extensions[2][BATCH_MAX];
    size_t count = 1 + below(BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        struct pair_held held = any_held(pair);
        extensions[0][i] = (struct sqi_extension){.channel = held.channel,
                                                  .id = held.id,
                                                  .lease_ms = one_in(2) ? 1 + below(900) : 0,
                                                  .result = -1000};
        extensions[1][i] = extensions[0][i];
        for (int j = 0; j < 2; j++)
            extensions[j][i].token = held.tokens[j];
    }
    int results[2];
    for (int i = 0; i < 2; i++)
        results[i] = pair->sides[i]->ops->extend(pair->sides[i]->engine, extensions[i], count);
    same(pair, results[0], results[1], "extend");
    for (size_t i = 0; i < count; i++) {
        same(pair, extensions[0][i].result, extensions[1][i].result, "result of an extension");
        if (extensions[0][i].result == 0)
            same(pair, extensions[0][i].deadline_ns, extensions[1][i].deadline_ns,
                 "deadline of an extension");
    }
}

/* ---- what is seen ---- */

struct listing {
    struct sqi_listed listed[LISTED_MAX];
    uint64_t hashes[LISTED_MAX];
    size_t count, end_after;
};

static uint64_t hash_of(uint64_t hash, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static int note(const struct sqi_listed *listed, void *context)
{
    struct listing *listing = context;
    assert_in_range(listing->count, 0, LISTED_MAX - 1);
    listing->listed[listing->count] = *listed;
    listing->hashes[listing->count] = hash_of(hash_of(1, listed->envelope, listed->envelope_bytes),
                                              listed->reason, listed->reason_bytes);
    return ++listing->count == listing->end_after;
}

static void same_listed(const struct pair *pair, const struct sqi_listed *mem,
                        const struct sqi_listed *other)
{
    same(pair, mem->id, other->id, "listed id");
    same(pair, mem->state, other->state, "listed state");
    same(pair, mem->attempts, other->attempts, "listed attempts");
    same(pair, mem->priority, other->priority, "listed priority");
    same(pair, mem->envelope_bytes, other->envelope_bytes, "listed bytes");
    same(pair, mem->reason_bytes, other->reason_bytes, "listed bytes of the reason");
    if (mem->state == SQI_DELAYED)
        same(pair, mem->due_ms, other->due_ms, "listed due");
    if (mem->state == SQI_LEASED)
        same(pair, mem->deadline_ns, other->deadline_ns, "listed deadline");
    if (mem->state == SQI_DEAD) {
        same(pair, mem->death, other->death, "listed death");
        same(pair, mem->died_ms, other->died_ms, "listed time of death");
    }
}

static void list_one(struct pair *pair, uint32_t channel, uint64_t after_id, size_t count_max,
                     size_t end_after)
{
    static struct listing listings[2];
    int results[2];
    for (int i = 0; i < 2; i++) {
        listings[i].count = 0;
        listings[i].end_after = end_after;
        results[i] = pair->sides[i]->ops->list(pair->sides[i]->engine, channel, after_id, count_max,
                                               note, &listings[i]);
    }
    same(pair, results[0], results[1], "list");
    same(pair, listings[0].count, listings[1].count, "count listed");
    for (size_t i = 0; i < listings[0].count; i++) {
        same_listed(pair, &listings[0].listed[i], &listings[1].listed[i]);
        same(pair, listings[0].hashes[i], listings[1].hashes[i], "listed envelope and reason");
    }
}

static void stat_one(struct pair *pair, uint32_t channel)
{
    struct sqi_channel_stat stats[2];
    struct sqi_due dues[2];
    int results[2];
    for (int i = 0; i < 2; i++)
        results[i] = pair->sides[i]->ops->stat(pair->sides[i]->engine, channel, &stats[i],
                                               &dues[i]);
    same(pair, results[0], results[1], "stat");
    if (results[0])
        return;
    same_due(pair, &dues[0], &dues[1]);
    const struct sqi_channel_stat *mem = &stats[0], *other = &stats[1];
    same(pair, mem->delayed, other->delayed, "delayed");
    same(pair, mem->ready, other->ready, "ready");
    same(pair, mem->leased, other->leased, "leased");
    same(pair, mem->dead, other->dead, "dead");
    same(pair, mem->bytes, other->bytes, "bytes");
    same(pair, mem->is_closed, other->is_closed, "is_closed");
    same(pair, mem->is_paused, other->is_paused, "is_paused");
    same(pair, mem->puts, other->puts, "puts");
    same(pair, mem->duplicates, other->duplicates, "duplicates");
    same(pair, mem->leases, other->leases, "leases");
    same(pair, mem->dones, other->dones, "dones");
    same(pair, mem->retries, other->retries, "retries");
    same(pair, mem->deaths, other->deaths, "deaths");
    same(pair, mem->lost_leases, other->lost_leases, "lost leases");
}

static void look_at_all(struct pair *pair)
{
    for (int i = 0; i < CHANNELS; i++) {
        stat_one(pair, pair->channels[i]);
        list_one(pair, pair->channels[i], 0, LISTED_MAX, 0);
    }
}

/* ---- channels, time, reopening ---- */

static void make_channel(struct pair *pair, unsigned index)
{
    char name[32];
    struct sqi_channel_info infos[2];
    snprintf(name, sizeof name, "channel-%u", pair->channel_count++);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pair->sides[i]->ops->open_channel(pair->sides[i]->engine, name,
                                                           &small_policy, name, strlen(name),
                                                           &infos[i]),
                         1);
    same(pair, infos[0].channel, infos[1].channel, "number of a channel");
    pair->channels[index] = infos[0].channel;
}

/* One that is closed and empty gives its place to a new one, in time. */
static void control_one(struct pair *pair)
{
    unsigned index = below(CHANNELS);
    static const enum sqi_control controls[] = {SQI_PAUSE, SQI_RESUME, SQI_RESUME, SQI_RESUME};
    enum sqi_control what = one_in(20) ? SQI_CLOSE : controls[below(4)];
    for (int i = 0; i < 2; i++)
        control(pair->sides[i], pair->channels[index], what);
    struct sqi_channel_stat stat = stat_of(pair->sides[0], pair->channels[index]);
    if (stat.is_closed && one_in(8))
        make_channel(pair, index);
}

static void pass_time(struct pair *pair)
{
    int64_t ms = one_in(20) ? 1000 + below(4000) : below(120);
    int64_t jump_ms = one_in(25) ? (int64_t)below(600) - 400 : 0;
    for (int i = 0; i < 2; i++) {
        pair->sides[i]->now_ns += ms * SQI_NS_PER_MS + (jump_ms != 0 ? 0 : 500);
        pair->sides[i]->now_ms += ms + jump_ms;
    }
}

/* The other engine is closed and opened: what it had leased is lost. For mem, the clock goes
   beyond all deadlines, which it does for both: nothing else depends on it. */
static void reopen_other(struct pair *pair)
{
    if (!(pair->sides[1]->ops->capabilities & SQI_CAN_PERSIST))
        return;
    look_at_all(pair);
    reopen(pair->sides[1]);
    for (int i = 0; i < 2; i++)
        pair->sides[i]->now_ns += INT64_C(10) * SQI_NS_PER_S;
    pair->reopenings++;
    look_at_all(pair);
}

static void do_something(struct pair *pair)
{
    unsigned die = below(1000);
    if (die < 260)
        put_some(pair);
    else if (die < 620)
        exchange(pair);
    else if (die < 680)
        extend_some(pair);
    else if (die < 710)
        control_one(pair);
    else if (die < 740)
        list_one(pair, any_channel(pair), below(4000), below(6), below(4));
    else if (die < 770)
        stat_one(pair, any_channel(pair));
    else if (die < 775)
        reopen_other(pair);
    else
        pass_time(pair);
}

static uint64_t first_seed;
static unsigned seed_count = SEEDS;

static void compare(const struct sqi_engine_ops *ops, uint64_t seed, unsigned operations)
{
    struct pair pair = {.seed = seed};
    const struct sqi_engine_ops *both[] = {&sqi_mem_engine, ops};
    chance = seed;
    for (int i = 0; i < 2; i++) {
        pair.sides[i] = make_fixture(both[i], false);
        start_again(pair.sides[i], QUOTA_BYTES, &usual_policy);
    }
    for (unsigned i = 0; i < CHANNELS; i++)
        make_channel(&pair, i);
    for (; pair.operation < operations; pair.operation++) {
        do_something(&pair);
        if (pair.operation % 8 == 0)
            look_at_all(&pair);
    }
    look_at_all(&pair);
    for (int i = 0; i < 2; i++)
        free_fixture(pair.sides[i]);
}

static void engine_agrees_with_mem(void **state)
{
    const struct sqi_engine_ops *ops = *state;
    for (unsigned i = 0; i < seed_count; i++)
        compare(ops, first_seed + i, OPERATIONS / seed_count);
}

int main(int argument_count, char **arguments)
{
    enum { OTHERS_MAX = 8 };
    static struct CMUnitTest tests[OTHERS_MAX];
    static char names[OTHERS_MAX][64];
    first_seed = (uint64_t)time(NULL) * 1000;
    if (argument_count > 1) {
        first_seed = strtoull(arguments[1], NULL, 10);
        seed_count = 1;
    }
    printf("# test_differential %llu repeats the first of the seeds\n",
           (unsigned long long)first_seed);
    for (size_t i = engine_count() > 1; i < engine_count() && i < OTHERS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "%s_agrees_with_mem", engine_at(i)->name);
        tests[i] = (struct CMUnitTest){.name = names[i],
                                       .test_func = engine_agrees_with_mem,
                                       .initial_state = (void *)(uintptr_t)engine_at(i)};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
