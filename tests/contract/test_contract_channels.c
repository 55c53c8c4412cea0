/* SPDX-License-Identifier: Apache-2.0 */
/* Channels, what is seen of them, and rule 9, for every engine: see engine.h. */
#include <stdlib.h>
#include <string.h>

#include "contract.h"

static const uint8_t keys[4][SQI_DEDUPE_BYTES] = {{1}, {2}, {3}, {4}};

static struct sqi_put keyed(size_t first, size_t count)
{
    return (struct sqi_put){.dedupe_ids = &keys[first], .dedupe_id_count = count};
}

/* ---- open_channel, set_canary, each_channel ---- */

TEST(new_channel_has_what_it_was_made_with)
{
    FIXTURE;
    struct sqi_policy policy = {1, 2, 3, 4, 5, 6, 7};
    struct sqi_channel_info info = {0};
    assert_int_equal(fixture->ops->open_channel(fixture->engine, "new", &policy, "bird", 4, &info),
                     1);
    assert_int_not_equal(info.channel, fixture->channel);
    assert_same_policy(&info.policy, &policy);
    assert_int_equal(info.canary_bytes, 4);
    assert_memory_equal(info.canary, "bird", 4);
}

TEST(channel_that_exists_keeps_its_policy_and_canary)
{
    FIXTURE;
    struct sqi_policy policy = {1, 2, 3, 4, 5, 6, 7};
    struct sqi_channel_info info = {0};
    assert_int_equal(fixture->ops->open_channel(fixture->engine, "jobs", &policy, "bird", 4, &info),
                     0);
    assert_int_equal(info.channel, fixture->channel);
    assert_same_policy(&info.policy, &usual_policy);
    assert_int_equal(info.canary_bytes, 6);
    assert_memory_equal(info.canary, "canary", 6);
}

TEST(channel_that_must_exist_is_found_or_not)
{
    FIXTURE;
    struct sqi_channel_info info = {0};
    assert_int_equal(fixture->ops->open_channel(fixture->engine, "jobs", NULL, NULL, 0, &info), 0);
    assert_int_equal(info.channel, fixture->channel);
    assert_int_equal(fixture->ops->open_channel(fixture->engine, "job", NULL, NULL, 0, &info),
                     SQ_ENOENT);
    assert_int_equal(info.channel, fixture->channel);
}

TEST(longest_name_and_canary_are_kept_whole)
{
    FIXTURE;
    char name[SQI_CHANNEL_NAME_ROOM] = "";
    uint8_t canary[SQI_CANARY_BYTES_MAX];
    memset(name, 'n', sizeof name - 1);
    memset(canary, 'c', sizeof canary);
    struct sqi_channel_info info, again = {0};
    assert_int_equal(fixture->ops->open_channel(fixture->engine, name, &usual_policy, canary,
                                                sizeof canary, &info),
                     1);
    assert_int_equal(fixture->ops->open_channel(fixture->engine, name, NULL, NULL, 0, &again), 0);
    assert_int_equal(again.channel, info.channel);
    assert_int_equal(again.canary_bytes, sizeof canary);
    assert_memory_equal(again.canary, canary, sizeof canary);
}

TEST(canary_that_is_set_replaces_the_one_before)
{
    FIXTURE;
    struct sqi_channel_info info;
    assert_int_equal(fixture->ops->set_canary(fixture->engine, fixture->channel, "new", 3), SQ_OK);
    assert_int_equal(fixture->ops->open_channel(fixture->engine, "jobs", NULL, NULL, 0, &info), 0);
    assert_int_equal(info.canary_bytes, 3);
    assert_memory_equal(info.canary, "new", 3);
}

TEST(unknown_channel_is_told)
{
    FIXTURE;
    const struct sqi_engine_ops *ops = fixture->ops;
    struct sqi_channel_stat stat;
    struct sqi_put unknown = {0};
    assert_int_equal(put(fixture, 999, "a", &unknown), SQ_ENOENT);
    assert_int_equal(ops->set_canary(fixture->engine, 999, "new", 3), SQ_ENOENT);
    assert_int_equal(ops->control(fixture->engine, 999, SQI_CLOSE), SQ_ENOENT);
    assert_int_equal(ops->stat(fixture->engine, 999, &stat, NULL), SQ_ENOENT);
    assert_int_equal(ops->list(fixture->engine, 999, 0, 1, NULL, NULL), SQ_ENOENT);
}

static int note_name(const char *name, void *context)
{
    char *names = context;
    strcat(strcat(names, name), " ");
    return strcmp(name, "last") == 0;
}

TEST(each_channel_visits_by_number_until_told_to_end)
{
    FIXTURE;
    char names[100] = "";
    open_channel(fixture, "z", &usual_policy);
    open_channel(fixture, "a", &usual_policy);
    assert_int_equal(fixture->ops->each_channel(fixture->engine, note_name, names), SQ_OK);
    assert_string_equal(names, "jobs z a ");
    open_channel(fixture, "last", &usual_policy);
    open_channel(fixture, "beyond", &usual_policy);
    names[0] = '\0';
    assert_true(fixture->ops->each_channel(fixture->engine, note_name, names) >= 0);
    assert_string_equal(names, "jobs z a last ");
}

TEST(channels_do_not_see_each_others_messages)
{
    FIXTURE;
    uint32_t other = open_channel(fixture, "other", &usual_policy);
    struct sqi_put there = keyed(0, 1);
    struct held held;
    assert_int_equal(put(fixture, other, "there", &there), 0);
    assert_nothing_to_get(fixture);
    assert_gone(fixture, there.id);
    assert_int_equal(add_with(fixture, "here", keyed(0, 1)), there.id + 1);
    get_text(fixture, "here");
    assert_int_equal(
        lease(fixture, (struct sqi_lease_request){.channel = other, .count_max = 1}, &held), 1);
    assert_string_equal(held.text, "there");
}

/* ---- pause and close: rule 9 ---- */

TEST(paused_channel_takes_puts_and_gives_nothing)
{
    FIXTURE;
    add(fixture, "a");
    struct held held = get(fixture);
    control(fixture, fixture->channel, SQI_PAUSE);
    add(fixture, "b");
    assert_true(stat_of(fixture, fixture->channel).is_paused);
    assert_nothing_to_get(fixture);
    assert_int_equal(extend(fixture, &held, 0), 0);
    assert_int_equal(settle(fixture, &held, SQI_DONE), 0);
    control(fixture, fixture->channel, SQI_RESUME);
    assert_false(stat_of(fixture, fixture->channel).is_paused);
    get_text(fixture, "b");
}

TEST(closed_channel_refuses_puts_and_gives_what_is_left)
{
    FIXTURE;
    struct sqi_put refused = {0};
    add(fixture, "a");
    add_with(fixture, "b", (struct sqi_put){.not_before_ms = fixture->now_ms + 100});
    control(fixture, fixture->channel, SQI_CLOSE);
    assert_true(stat_of(fixture, fixture->channel).is_closed);
    assert_int_equal(put(fixture, fixture->channel, "c", &refused), SQ_ESHUTDOWN);
    struct held held = get_text(fixture, "a");
    assert_nothing_to_get(fixture);
    assert_int_equal(settle(fixture, &held, SQI_RETRY), 0);
    held = get_text(fixture, "a");
    assert_int_equal(settle(fixture, &held, SQI_BURY), 0);
    assert_nothing_to_get(fixture);
    pass_ms(fixture, 100);
    held = get_text(fixture, "b");
    assert_int_equal(settle(fixture, &held, SQI_DONE), 0);
}

TEST(closed_channel_answers_shutdown_once_nothing_is_unfinished)
{
    FIXTURE;
    struct sqi_lease_request request = {.channel = fixture->channel, .count_max = 1};
    struct sqi_lease leased;
    add(fixture, "a");
    struct held held = get(fixture);
    control(fixture, fixture->channel, SQI_CLOSE);
    assert_nothing_to_get(fixture);
    struct sqi_settlement done = {
        .channel = held.channel, .id = held.id, .token = held.token, .result = 5};
    struct sqi_due due = {0};
    assert_int_equal(
        fixture->ops->settle_and_lease(fixture->engine, &done, 1, &request, &leased, &due),
        SQ_ESHUTDOWN);
    assert_int_equal(done.result, 0);
    assert_true(due.monotonic_ns > fixture->now_ns && due.wall_ms == SQI_NEVER);
    assert_counts(fixture, 0, 0, 0, 0);
}

TEST(closed_and_empty_channel_answers_shutdown_though_paused)
{
    FIXTURE;
    struct held held;
    add(fixture, "a");
    held = get(fixture);
    control(fixture, fixture->channel, SQI_CLOSE);
    control(fixture, fixture->channel, SQI_PAUSE);
    assert_nothing_to_get(fixture);
    settle(fixture, &held, SQI_DONE);
    assert_int_equal(lease(fixture, (struct sqi_lease_request){.count_max = 1}, &held),
                     SQ_ESHUTDOWN);
}

TEST(closing_twice_changes_nothing)
{
    FIXTURE;
    control(fixture, fixture->channel, SQI_CLOSE);
    control(fixture, fixture->channel, SQI_CLOSE);
    control(fixture, fixture->channel, SQI_RESUME);
    assert_true(stat_of(fixture, fixture->channel).is_closed);
}

/* ---- list, stat, due ---- */

struct listing {
    uint64_t ids[10];
    size_t count, end_after;
};

static int note_id(const struct sqi_listed *listed, void *context)
{
    struct listing *listing = context;
    listing->ids[listing->count++] = listed->id;
    return listing->count == listing->end_after;
}

TEST(list_visits_by_id_whatever_the_state)
{
    FIXTURE;
    uint32_t other = open_channel(fixture, "other", &usual_policy);
    struct sqi_put there = {0};
    add(fixture, "dead");
    struct held held = get(fixture);
    settle(fixture, &held, SQI_BURY);
    add(fixture, "leased");
    get(fixture);
    put(fixture, other, "there", &there);
    add_with(fixture, "delayed", (struct sqi_put){.not_before_ms = fixture->now_ms + 1});
    add_with(fixture, "ready", (struct sqi_put){.priority = 255});
    add(fixture, "ready");
    struct listing listing = {0};
    static const uint64_t ids[] = {1, 2, 4, 5, 6};
    assert_int_equal(
        fixture->ops->list(fixture->engine, fixture->channel, 0, 10, note_id, &listing), 5);
    assert_memory_equal(listing.ids, ids, sizeof ids);
}

TEST(list_begins_after_an_id_and_ends_early)
{
    FIXTURE;
    const struct sqi_engine_ops *ops = fixture->ops;
    for (int i = 0; i < 8; i++)
        add(fixture, "a");
    for (int i = 0; i < 3; i++) {
        struct held held = get(fixture);
        settle(fixture, &held, SQI_DONE);
    }
    struct listing listing = {0};
    assert_int_equal(ops->list(fixture->engine, fixture->channel, 2, 2, note_id, &listing), 2);
    assert_int_equal(listing.ids[0], 4);
    assert_int_equal(listing.ids[1], 5);
    listing = (struct listing){.end_after = 1};
    assert_int_equal(ops->list(fixture->engine, fixture->channel, 5, 10, note_id, &listing), 1);
    assert_int_equal(listing.count, 1);
    assert_int_equal(listing.ids[0], 6);
    assert_int_equal(ops->list(fixture->engine, fixture->channel, 8, 10, note_id, &listing), 0);
    assert_int_equal(ops->list(fixture->engine, fixture->channel, 0, 0, note_id, &listing), 0);
    assert_int_equal(
        ops->list(fixture->engine, fixture->channel, UINT64_MAX, 10, note_id, &listing), 0);
}

TEST(counters_count)
{
    FIXTURE;
    struct sqi_put again = keyed(0, 1);
    add_with(fixture, "12345", keyed(0, 1));
    put(fixture, fixture->channel, "12345", &again);
    add(fixture, "123");
    struct held held = get(fixture);
    settle(fixture, &held, SQI_RETRY);
    held = get(fixture);
    settle(fixture, &held, SQI_DONE);
    get(fixture);
    pass_ms(fixture, LEASE_MS);
    held = get(fixture);
    settle(fixture, &held, SQI_BURY);
    struct sqi_channel_stat stat = stat_of(fixture, fixture->channel);
    assert_int_equal(stat.puts, 2);
    assert_int_equal(stat.duplicates, 1);
    assert_int_equal(stat.leases, 4);
    assert_int_equal(stat.retries, 1);
    assert_int_equal(stat.dones, 1);
    assert_int_equal(stat.lost_leases, 1);
    assert_int_equal(stat.deaths, 1);
    assert_int_equal(stat.bytes, 5);
    assert_false(stat.is_closed || stat.is_paused);
}

TEST(due_is_never_when_nothing_ever_was)
{
    FIXTURE;
    add_with(fixture, "a", keyed(0, 1));
    struct sqi_due due = due_of(fixture);
    assert_true(due.monotonic_ns == SQI_NEVER && due.wall_ms == SQI_NEVER);
}

/* An engine may tell a time too soon, of a timer that was there: who comes then learns the next
   one. It is not to tell one that has come, for that would be no waiting. */
static void assert_due(struct fixture *fixture, int64_t lease_ns, int64_t wall_ms)
{
    int64_t now_ns = fixture->now_ns, now_ms = fixture->now_ms;
    struct sqi_due due = due_of(fixture);
    for (int i = 0; i < 9 && (due.monotonic_ns != lease_ns || due.wall_ms != wall_ms); i++) {
        assert_in_range(due.monotonic_ns, fixture->now_ns + 1, lease_ns);
        assert_in_range(due.wall_ms, fixture->now_ms + 1, wall_ms);
        if (due.monotonic_ns != lease_ns)
            fixture->now_ns = due.monotonic_ns;
        if (due.wall_ms != wall_ms)
            fixture->now_ms = due.wall_ms;
        due = due_of(fixture);
    }
    assert_true(due.monotonic_ns == lease_ns && due.wall_ms == wall_ms);
    fixture->now_ns = now_ns;
    fixture->now_ms = now_ms;
}

TEST(due_tells_the_first_lease_of_the_store)
{
    FIXTURE;
    struct held held, sooner;
    add(fixture, "a");
    add(fixture, "b");
    held = get(fixture);
    lease(fixture, (struct sqi_lease_request){.count_max = 1, .lease_ms = 10}, &sooner);
    assert_due(fixture, sooner.deadline_ns, SQI_NEVER);
    settle(fixture, &sooner, SQI_DONE);
    assert_due(fixture, held.deadline_ns, SQI_NEVER);
    extend(fixture, &held, 5);
    assert_due(fixture, held.deadline_ns, SQI_NEVER);
    extend(fixture, &held, 50);
    assert_due(fixture, held.deadline_ns, SQI_NEVER);
    settle(fixture, &held, SQI_DONE);
    assert_due(fixture, SQI_NEVER, SQI_NEVER);
}

TEST(due_tells_delays_expiries_and_ends_of_the_dead)
{
    FIXTURE;
    uint32_t other = open_channel(fixture, "other", &usual_policy);
    int64_t now_ms = fixture->now_ms;
    struct sqi_put there = {.not_before_ms = now_ms + 350};
    add(fixture, "b");
    struct held held = get(fixture);
    settle(fixture, &held, SQI_BURY);
    assert_due(fixture, SQI_NEVER, now_ms + KEPT_MS);
    add_with(fixture, "c",
             (struct sqi_put){.not_before_ms = now_ms + 500, .expires_ms = now_ms + 400});
    assert_due(fixture, SQI_NEVER, now_ms + 400);
    put(fixture, other, "there", &there);
    assert_due(fixture, SQI_NEVER, now_ms + 350);
    add_with(fixture, "d", (struct sqi_put){.expires_ms = now_ms + 300});
    assert_due(fixture, SQI_NEVER, now_ms + 300);
    held = get_text(fixture, "d");
    assert_due(fixture, held.deadline_ns, now_ms + 350);
}

TEST(due_does_not_tell_of_windows)
{
    FIXTURE;
    add_with(fixture, "a", keyed(0, 1));
    struct held held = get(fixture);
    settle(fixture, &held, SQI_DONE);
    assert_due(fixture, SQI_NEVER, SQI_NEVER);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_channel_has_what_it_was_made_with),
        cmocka_unit_test(channel_that_exists_keeps_its_policy_and_canary),
        cmocka_unit_test(channel_that_must_exist_is_found_or_not),
        cmocka_unit_test(longest_name_and_canary_are_kept_whole),
        cmocka_unit_test(canary_that_is_set_replaces_the_one_before),
        cmocka_unit_test(unknown_channel_is_told),
        cmocka_unit_test(each_channel_visits_by_number_until_told_to_end),
        cmocka_unit_test(channels_do_not_see_each_others_messages),
        cmocka_unit_test(paused_channel_takes_puts_and_gives_nothing),
        cmocka_unit_test(closed_channel_refuses_puts_and_gives_what_is_left),
        cmocka_unit_test(closed_channel_answers_shutdown_once_nothing_is_unfinished),
        cmocka_unit_test(closed_and_empty_channel_answers_shutdown_though_paused),
        cmocka_unit_test(closing_twice_changes_nothing),
        cmocka_unit_test(list_visits_by_id_whatever_the_state),
        cmocka_unit_test(list_begins_after_an_id_and_ends_early),
        cmocka_unit_test(counters_count),
        cmocka_unit_test(due_is_never_when_nothing_ever_was),
        cmocka_unit_test(due_tells_the_first_lease_of_the_store),
        cmocka_unit_test(due_tells_delays_expiries_and_ends_of_the_dead),
        cmocka_unit_test(due_does_not_tell_of_windows),
    };
    return run_contract("channels", tests, sizeof tests / sizeof tests[0], false);
}
