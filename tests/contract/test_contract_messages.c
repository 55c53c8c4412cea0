/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a message, for every engine: rules 1 to 6 of engine.h. */
#include <stdlib.h>
#include <string.h>

#include "contract.h"

/* ---- put, lease, done ---- */

TEST(put_makes_a_message_ready)
{
    FIXTURE;
    uint64_t id = add(fixture, "a");
    assert_int_equal(id, 1);
    assert_counts(fixture, 0, 1, 0, 0);
    struct seen seen = look(fixture, id);
    assert_int_equal(seen.listed.state, SQI_READY);
    assert_int_equal(seen.listed.attempts, 0);
    assert_int_equal(seen.listed.envelope_bytes, 1);
    assert_string_equal(seen.text, "a");
}

TEST(ids_count_up_through_all_channels)
{
    FIXTURE;
    uint32_t other = open_channel(fixture, "other", &usual_policy);
    struct sqi_put second = {0};
    assert_int_equal(add(fixture, "a"), 1);
    assert_int_equal(put(fixture, other, "b", &second), 0);
    assert_int_equal(second.id, 2);
    assert_int_equal(add(fixture, "c"), 3);
}

TEST(refused_put_uses_no_id)
{
    FIXTURE;
    struct sqi_put refused = {0};
    uint32_t closed = open_channel(fixture, "closed", &usual_policy);
    control(fixture, closed, SQI_CLOSE);
    add(fixture, "a");
    assert_int_equal(put(fixture, closed, "b", &refused), SQ_ESHUTDOWN);
    assert_int_equal(add(fixture, "c"), 2);
}

TEST(lease_tells_all_of_the_message)
{
    FIXTURE;
    uint64_t id = add_with(fixture, "text", (struct sqi_put){.priority = 7});
    struct held held = get(fixture);
    assert_int_equal(held.id, id);
    assert_int_equal(held.attempt, 1);
    assert_int_equal(held.priority, 7);
    assert_int_equal(held.bytes, 4);
    assert_string_equal(held.text, "text");
    assert_int_equal(held.deadline_ns, fixture->now_ns + LEASE_MS * SQI_NS_PER_MS);
    assert_counts(fixture, 0, 0, 1, 0);
    struct seen seen = look(fixture, id);
    assert_int_equal(seen.listed.state, SQI_LEASED);
    assert_int_equal(seen.listed.attempts, 1);
    assert_int_equal(seen.listed.priority, 7);
    assert_int_equal(seen.listed.deadline_ns, held.deadline_ns);
}

TEST(leased_message_is_not_leased_again)
{
    FIXTURE;
    add(fixture, "a");
    get(fixture);
    assert_nothing_to_get(fixture);
}

TEST(done_message_is_gone)
{
    FIXTURE;
    uint64_t id = add(fixture, "a");
    struct held held = get(fixture);
    assert_int_equal(settle(fixture, &held, SQI_DONE), 0);
    assert_counts(fixture, 0, 0, 0, 0);
    assert_int_equal(stat_of(fixture, fixture->channel).bytes, 0);
    assert_gone(fixture, id);
    pass_ms(fixture, 2 * LEASE_MS);
    assert_nothing_to_get(fixture);
}

TEST(settle_and_lease_does_both)
{
    FIXTURE;
    add(fixture, "a");
    add(fixture, "b");
    struct held held = get_text(fixture, "a");
    struct sqi_settlement settlement = {.channel = fixture->channel,
                                        .id = held.id,
                                        .token = held.token,
                                        .verdict = SQI_RETRY,
                                        .result = -1000};
    struct sqi_lease_request request = {.channel = fixture->channel, .count_max = 5};
    struct sqi_lease leases[5];
    assert_int_equal(
        fixture->ops->settle_and_lease(fixture->engine, &settlement, 1, &request, leases, NULL), 2);
    assert_int_equal(settlement.result, 0);
    assert_memory_equal(leases[0].envelope, "b", 1);
    assert_memory_equal(leases[1].envelope, "a", 1);
    assert_int_equal(leases[1].attempt, 2);
    free(leases[0].envelope);
    free(leases[1].envelope);
}

TEST(settlements_of_one_call_are_independent)
{
    FIXTURE;
    add(fixture, "a");
    add(fixture, "b");
    struct held one = get_text(fixture, "a"), other = get_text(fixture, "b");
    uint32_t channel = fixture->channel;
    struct sqi_settlement settlements[] = {
        {.channel = channel, .id = one.id, .token = one.token + other.token, .result = 5},
        {.channel = channel, .id = other.id, .token = other.token, .result = 5},
        {.channel = channel, .id = other.id, .token = other.token, .result = 5},
        {.channel = 999, .id = one.id, .token = one.token, .result = 5},
        {.channel = channel, .id = one.id, .token = one.token, .result = 5},
    };
    assert_int_equal(
        fixture->ops->settle_and_lease(fixture->engine, settlements, 5, NULL, NULL, NULL), 0);
    assert_int_equal(settlements[0].result, SQ_ELEASE);
    assert_int_equal(settlements[1].result, 0);
    assert_int_equal(settlements[2].result, SQ_ELEASE);
    assert_int_equal(settlements[3].result, SQ_ENOENT);
    assert_int_equal(settlements[4].result, 0);
    assert_counts(fixture, 0, 0, 0, 0);
}

TEST(lease_of_an_unknown_channel_is_refused_and_settles_nevertheless)
{
    FIXTURE;
    add(fixture, "a");
    struct held held = get(fixture);
    struct sqi_settlement settlement = {
        .channel = held.channel, .id = held.id, .token = held.token, .result = 5};
    struct sqi_lease_request request = {.channel = 999, .count_max = 1};
    struct sqi_lease leased;
    struct sqi_due due = {0};
    assert_int_equal(
        fixture->ops->settle_and_lease(fixture->engine, &settlement, 1, &request, &leased, &due),
        SQ_ENOENT);
    assert_int_equal(settlement.result, 0);
    assert_true(due.monotonic_ns > fixture->now_ns && due.wall_ms == SQI_NEVER);
    assert_counts(fixture, 0, 0, 0, 0);
}

TEST(lease_takes_at_most_the_count)
{
    FIXTURE;
    struct held held[3];
    for (int i = 0; i < 5; i++)
        add(fixture, "a");
    assert_int_equal(lease(fixture, (struct sqi_lease_request){.count_max = 3}, held), 3);
    assert_counts(fixture, 0, 2, 3, 0);
}

TEST(lease_takes_at_most_the_bytes)
{
    FIXTURE;
    struct held held[4];
    add(fixture, "12345");
    add(fixture, "12345");
    add(fixture, "123456789");
    add(fixture, "1");
    struct sqi_lease_request request = {.count_max = 4, .bytes_max = 10};
    assert_int_equal(lease(fixture, request, held), 2);
    assert_int_equal(lease(fixture, request, held), 2);
    assert_int_equal(lease(fixture, request, held), 0);
}

TEST(first_message_is_leased_whatever_its_size)
{
    FIXTURE;
    struct held held[4];
    add(fixture, "12345");
    add(fixture, "1");
    assert_int_equal(
        lease(fixture, (struct sqi_lease_request){.count_max = 4, .bytes_max = 2}, held), 1);
    assert_int_equal(held[0].bytes, 5);
}

TEST(message_too_big_for_the_rest_is_not_overtaken)
{
    FIXTURE;
    struct held held[4];
    add(fixture, "1");
    add(fixture, "12345");
    add(fixture, "2");
    struct sqi_lease_request request = {.count_max = 4, .bytes_max = 3};
    assert_int_equal(lease(fixture, request, held), 1);
    get_text(fixture, "12345");
}

TEST(lease_length_is_that_of_the_request)
{
    FIXTURE;
    struct held held;
    add(fixture, "a");
    lease(fixture, (struct sqi_lease_request){.count_max = 1, .lease_ms = 10}, &held);
    assert_int_equal(held.deadline_ns, fixture->now_ns + 10 * SQI_NS_PER_MS);
    pass_ms(fixture, 9);
    assert_counts(fixture, 0, 0, 1, 0);
    pass_ms(fixture, 1);
    assert_counts(fixture, 0, 1, 0, 0);
}

/* ---- order: rule 2 ---- */

TEST(messages_of_one_priority_leave_as_they_came)
{
    FIXTURE;
    add(fixture, "a");
    add(fixture, "b");
    add(fixture, "c");
    get_text(fixture, "a");
    get_text(fixture, "b");
    get_text(fixture, "c");
}

TEST(lower_priority_number_leaves_first)
{
    FIXTURE;
    static const uint8_t priorities[] = {100, 255, 0, 64, 63, 100, 1, 128, 0};
    static const char *const texts[] = {"e", "h", "a", "d2", "d1", "f", "c", "g", "b"};
    static const char *const order[] = {"a", "b", "c", "d1", "d2", "e", "f", "g", "h"};
    for (int i = 0; i < 9; i++)
        add_with(fixture, texts[i], (struct sqi_put){.priority = priorities[i]});
    for (int i = 0; i < 9; i++)
        get_text(fixture, order[i]);
}

TEST(retried_and_released_go_last)
{
    FIXTURE;
    add(fixture, "a");
    add(fixture, "b");
    add(fixture, "c");
    struct held a = get_text(fixture, "a"), b = get_text(fixture, "b");
    settle(fixture, &b, SQI_RETRY);
    settle(fixture, &a, SQI_RELEASE);
    get_text(fixture, "c");
    get_text(fixture, "b");
    get_text(fixture, "a");
}

TEST(delayed_message_takes_its_place_when_it_becomes_ready)
{
    FIXTURE;
    add_with(fixture, "late", (struct sqi_put){.not_before_ms = fixture->now_ms + 20});
    add_with(fixture, "early", (struct sqi_put){.not_before_ms = fixture->now_ms + 10});
    add_with(fixture, "early too", (struct sqi_put){.not_before_ms = fixture->now_ms + 10});
    add(fixture, "now");
    pass_ms(fixture, 50);
    add(fixture, "after");
    get_text(fixture, "now");
    get_text(fixture, "early");
    get_text(fixture, "early too");
    get_text(fixture, "late");
    get_text(fixture, "after");
}

TEST(lost_leases_come_back_by_deadline_then_id_and_before_delayed)
{
    FIXTURE;
    static const int64_t leases_ms[] = {300, 100, 300, 200};
    struct held held;
    for (int i = 0; i < 4; i++)
        add(fixture, (const char *[]){"a", "b", "c", "d"}[i]);
    for (int i = 0; i < 4; i++)
        lease(fixture, (struct sqi_lease_request){.count_max = 1, .lease_ms = leases_ms[i]}, &held);
    add_with(fixture, "delayed", (struct sqi_put){.not_before_ms = fixture->now_ms + 1});
    pass_ms(fixture, 300);
    get_text(fixture, "b");
    get_text(fixture, "d");
    get_text(fixture, "a");
    get_text(fixture, "c");
    get_text(fixture, "delayed");
}

/* ---- attempts, retry, release, bury: rules 3 and 5 ---- */

TEST(each_lease_counts_an_attempt)
{
    FIXTURE;
    add(fixture, "a");
    for (uint32_t attempt = 1; attempt <= ATTEMPTS; attempt++) {
        struct held held = get(fixture);
        assert_int_equal(held.attempt, attempt);
        settle(fixture, &held, SQI_RETRY);
    }
}

TEST(release_takes_the_attempt_back)
{
    FIXTURE;
    uint64_t id = add(fixture, "a");
    for (int i = 0; i < 3 * ATTEMPTS; i++) {
        struct held held = get(fixture);
        assert_int_equal(held.attempt, 1);
        assert_int_equal(settle(fixture, &held, SQI_RELEASE), 0);
    }
    assert_int_equal(look(fixture, id).listed.attempts, 0);
    assert_int_equal(stat_of(fixture, fixture->channel).leases, 0);
    assert_counts(fixture, 0, 1, 0, 0);
}

TEST(last_retry_makes_it_dead_with_its_reason)
{
    FIXTURE;
    uint64_t id = add(fixture, "a");
    for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
        struct held held = get(fixture);
        struct sqi_settlement retry = {
            .verdict = SQI_RETRY, .reason = "no luck", .reason_bytes = 7, .delay_ms = 0};
        assert_int_equal(settle_as(fixture, &held, retry), attempt == ATTEMPTS);
    }
    assert_dead(fixture, id, SQI_DEATH_ATTEMPTS);
    struct seen seen = look(fixture, id);
    assert_string_equal(seen.reason, "no luck");
    assert_string_equal(seen.text, "a");
    assert_int_equal(seen.listed.attempts, ATTEMPTS);
    assert_int_equal(seen.listed.died_ms, fixture->now_ms);
    assert_counts(fixture, 0, 0, 0, 1);
    assert_nothing_to_get(fixture);
}

TEST(retry_with_a_delay_comes_back_after_it)
{
    FIXTURE;
    uint64_t id = add(fixture, "a");
    struct held held = get(fixture);
    assert_int_equal(settle_later(fixture, &held, SQI_RETRY, 500), 0);
    struct seen seen = look(fixture, id);
    assert_int_equal(seen.listed.state, SQI_DELAYED);
    assert_int_equal(seen.listed.due_ms, fixture->now_ms + 500);
    pass_ms(fixture, 499);
    assert_nothing_to_get(fixture);
    assert_counts(fixture, 1, 0, 0, 0);
    pass_ms(fixture, 1);
    assert_int_equal(get(fixture).attempt, 2);
}

TEST(release_with_a_delay_comes_back_after_it)
{
    FIXTURE;
    add(fixture, "a");
    struct held held = get(fixture);
    assert_int_equal(settle_later(fixture, &held, SQI_RELEASE, 500), 0);
    pass_ms(fixture, 499);
    assert_nothing_to_get(fixture);
    pass_ms(fixture, 1);
    assert_int_equal(get(fixture).attempt, 1);
}

TEST(retry_of_the_last_attempt_with_a_delay_is_dead_at_once)
{
    FIXTURE;
    struct sqi_policy policy = usual_policy;
    policy.attempts_max = 1;
    start_again(fixture, 0, &policy);
    uint64_t id = add(fixture, "a");
    struct held held = get(fixture);
    assert_int_equal(settle_later(fixture, &held, SQI_RETRY, 500), 1);
    assert_dead(fixture, id, SQI_DEATH_ATTEMPTS);
}

TEST(buried_message_is_dead_with_its_reason)
{
    FIXTURE;
    uint64_t id = add(fixture, "a");
    struct held held = get(fixture);
    struct sqi_settlement bury = {
        .verdict = SQI_BURY, .death = SQI_DEATH_REFUSED, .reason = "forged", .reason_bytes = 6};
    assert_int_equal(settle_as(fixture, &held, bury), 0);
    assert_dead(fixture, id, SQI_DEATH_REFUSED);
    assert_string_equal(look(fixture, id).reason, "forged");
    assert_int_equal(stat_of(fixture, fixture->channel).bytes, 1);
}

TEST(longest_reason_is_kept_whole)
{
    FIXTURE;
    static uint8_t reason[SQI_REASON_BYTES_MAX];
    memset(reason, 'r', sizeof reason);
    uint64_t id = add(fixture, "a");
    struct held held = get(fixture);
    struct sqi_settlement bury = {.verdict = SQI_BURY,
                                  .death = SQI_DEATH_BURIED,
                                  .reason = reason,
                                  .reason_bytes = sizeof reason};
    assert_int_equal(settle_as(fixture, &held, bury), 0);
    assert_int_equal(look(fixture, id).listed.reason_bytes, sizeof reason);
}

TEST(reason_of_a_retry_is_seen_while_it_waits)
{
    FIXTURE;
    uint64_t id = add(fixture, "a");
    assert_int_equal(look(fixture, id).listed.reason_bytes, 0);
    struct held held = get(fixture);
    struct sqi_settlement retry = {
        .verdict = SQI_RETRY, .reason = "busy", .reason_bytes = 4, .delay_ms = 10};
    assert_int_equal(settle_as(fixture, &held, retry), 0);
    assert_string_equal(look(fixture, id).reason, "busy");
}

TEST(reason_stays_until_another_is_given)
{
    FIXTURE;
    uint64_t id = add(fixture, "a");
    struct sqi_settlement busy = {.verdict = SQI_RETRY, .reason = "busy", .reason_bytes = 4};
    struct held held = get(fixture);
    settle_as(fixture, &held, busy);
    held = get(fixture);
    settle(fixture, &held, SQI_RETRY);
    assert_string_equal(look(fixture, id).reason, "busy");
    held = get(fixture);
    settle_as(
        fixture, &held,
        (struct sqi_settlement){
            .verdict = SQI_BURY, .death = SQI_DEATH_BURIED, .reason = "bad", .reason_bytes = 3});
    assert_string_equal(look(fixture, id).reason, "bad");
}

TEST(dead_message_is_gone_after_it_was_kept)
{
    FIXTURE;
    uint64_t id = add(fixture, "a");
    struct held held = get(fixture);
    settle(fixture, &held, SQI_BURY);
    pass_ms(fixture, KEPT_MS - 1);
    assert_dead(fixture, id, SQI_DEATH_BURIED);
    pass_ms(fixture, 1);
    assert_counts(fixture, 0, 0, 0, 0);
    assert_gone(fixture, id);
    assert_int_equal(stat_of(fixture, fixture->channel).bytes, 0);
}

/* ---- delays and expiry: rules 1 and 4 ---- */

TEST(put_for_later_is_delayed_until_then)
{
    FIXTURE;
    uint64_t id = add_with(fixture, "a", (struct sqi_put){.not_before_ms = fixture->now_ms + 100});
    assert_counts(fixture, 1, 0, 0, 0);
    assert_int_equal(look(fixture, id).listed.state, SQI_DELAYED);
    assert_int_equal(look(fixture, id).listed.due_ms, fixture->now_ms + 100);
    pass_ms(fixture, 99);
    assert_nothing_to_get(fixture);
    pass_ms(fixture, 1);
    assert_counts(fixture, 0, 1, 0, 0);
    get_text(fixture, "a");
}

TEST(put_for_now_or_the_past_is_ready)
{
    FIXTURE;
    add_with(fixture, "a", (struct sqi_put){.not_before_ms = fixture->now_ms});
    add_with(fixture, "b", (struct sqi_put){.not_before_ms = 1});
    assert_counts(fixture, 0, 2, 0, 0);
}

TEST(delays_go_by_the_wall_clock_and_leases_do_not)
{
    FIXTURE;
    add(fixture, "leased");
    get(fixture);
    add_with(fixture, "a", (struct sqi_put){.not_before_ms = fixture->now_ms + 1000});
    fixture->now_ns += 2000 * SQI_NS_PER_MS;
    assert_counts(fixture, 1, 0, 1, 0);
    fixture->now_ms += 1000;
    assert_counts(fixture, 0, 1, 1, 0);
    fixture->now_ms += INT64_C(10) * LEASE_MS;
    assert_counts(fixture, 0, 1, 1, 0);
    fixture->now_ms -= INT64_C(20) * LEASE_MS;
    assert_counts(fixture, 0, 1, 1, 0);
    fixture->now_ns += LEASE_MS * SQI_NS_PER_MS;
    assert_counts(fixture, 0, 2, 0, 0);
}

TEST(expired_put_is_added_dead)
{
    FIXTURE;
    uint64_t id = add_with(fixture, "a", (struct sqi_put){.expires_ms = fixture->now_ms});
    assert_int_equal(id, 1);
    assert_dead(fixture, id, SQI_DEATH_EXPIRED);
    assert_counts(fixture, 0, 0, 0, 1);
    struct sqi_channel_stat stat = stat_of(fixture, fixture->channel);
    assert_int_equal(stat.puts, 1);
    assert_int_equal(stat.deaths, 1);
}

TEST(ready_message_dies_when_it_expires)
{
    FIXTURE;
    uint64_t id = add_with(fixture, "a", (struct sqi_put){.expires_ms = fixture->now_ms + 100});
    pass_ms(fixture, 99);
    assert_counts(fixture, 0, 1, 0, 0);
    pass_ms(fixture, 1);
    assert_nothing_to_get(fixture);
    assert_dead(fixture, id, SQI_DEATH_EXPIRED);
}

TEST(delayed_message_dies_when_it_expires)
{
    FIXTURE;
    int64_t now_ms = fixture->now_ms;
    uint64_t id = add_with(
        fixture, "a", (struct sqi_put){.not_before_ms = now_ms + 200, .expires_ms = now_ms + 100});
    pass_ms(fixture, 99);
    assert_counts(fixture, 1, 0, 0, 0);
    pass_ms(fixture, 1);
    assert_dead(fixture, id, SQI_DEATH_EXPIRED);
}

TEST(delayed_message_that_becomes_ready_expires_still)
{
    FIXTURE;
    int64_t now_ms = fixture->now_ms;
    struct sqi_put put = {.not_before_ms = now_ms + 100, .expires_ms = now_ms + 200};
    uint64_t id = add_with(fixture, "a", put);
    pass_ms(fixture, 100);
    assert_counts(fixture, 0, 1, 0, 0);
    pass_ms(fixture, 100);
    assert_dead(fixture, id, SQI_DEATH_EXPIRED);
}

TEST(leased_message_does_not_expire)
{
    FIXTURE;
    add_with(fixture, "a", (struct sqi_put){.expires_ms = fixture->now_ms + 100});
    struct held held = get(fixture);
    pass_ms(fixture, 1000);
    assert_counts(fixture, 0, 0, 1, 0);
    assert_int_equal(settle(fixture, &held, SQI_DONE), 0);
    assert_counts(fixture, 0, 0, 0, 0);
}

TEST(expired_message_is_dead_when_retried)
{
    FIXTURE;
    uint64_t id = add_with(fixture, "a", (struct sqi_put){.expires_ms = fixture->now_ms + 100});
    struct held held = get(fixture);
    pass_ms(fixture, 100);
    assert_int_equal(settle_later(fixture, &held, SQI_RETRY, 5), 1);
    assert_dead(fixture, id, SQI_DEATH_EXPIRED);
}

TEST(expired_message_is_dead_when_released)
{
    FIXTURE;
    uint64_t id = add_with(fixture, "a", (struct sqi_put){.expires_ms = fixture->now_ms + 100});
    struct held held = get(fixture);
    pass_ms(fixture, 100);
    assert_int_equal(settle(fixture, &held, SQI_RELEASE), 0);
    assert_dead(fixture, id, SQI_DEATH_EXPIRED);
    assert_int_equal(look(fixture, id).listed.attempts, 0);
}

TEST(expired_message_is_dead_when_its_lease_is_lost)
{
    FIXTURE;
    uint64_t id = add_with(fixture, "a", (struct sqi_put){.expires_ms = fixture->now_ms + 100});
    get(fixture);
    pass_ms(fixture, LEASE_MS);
    assert_dead(fixture, id, SQI_DEATH_EXPIRED);
    assert_int_equal(stat_of(fixture, fixture->channel).lost_leases, 1);
}

TEST(retried_message_that_expires_in_its_delay_dies_then)
{
    FIXTURE;
    uint64_t id = add_with(fixture, "a", (struct sqi_put){.expires_ms = fixture->now_ms + 100});
    struct held held = get(fixture);
    assert_int_equal(settle_later(fixture, &held, SQI_RETRY, 200), 0);
    assert_counts(fixture, 1, 0, 0, 0);
    pass_ms(fixture, 100);
    assert_dead(fixture, id, SQI_DEATH_EXPIRED);
}

/* ---- lost leases, fencing, extension: rules 3 and 6 ---- */

TEST(lease_past_its_deadline_is_lost)
{
    FIXTURE;
    add(fixture, "a");
    get(fixture);
    pass_ms(fixture, LEASE_MS - 1);
    assert_nothing_to_get(fixture);
    pass_ms(fixture, 1);
    assert_int_equal(get(fixture).attempt, 2);
    assert_int_equal(stat_of(fixture, fixture->channel).lost_leases, 1);
}

TEST(lease_lost_on_the_last_attempt_is_death)
{
    FIXTURE;
    uint64_t id = add(fixture, "a");
    for (int i = 0; i < ATTEMPTS; i++) {
        get(fixture);
        pass_ms(fixture, LEASE_MS);
    }
    assert_dead(fixture, id, SQI_DEATH_ATTEMPTS);
    assert_int_equal(stat_of(fixture, fixture->channel).lost_leases, ATTEMPTS);
}

TEST(verdicts_after_the_lease_change_nothing)
{
    FIXTURE;
    static const enum sqi_verdict verdicts[] = {SQI_DONE, SQI_RETRY, SQI_RELEASE, SQI_BURY};
    uint64_t id = add(fixture, "a");
    struct held lost = get(fixture);
    pass_ms(fixture, LEASE_MS);
    for (int i = 0; i < 4; i++)
        assert_int_equal(settle(fixture, &lost, verdicts[i]), SQ_ELEASE);
    assert_int_equal(extend(fixture, &lost, 0), SQ_ELEASE);
    assert_counts(fixture, 0, 1, 0, 0);
    struct held held = get(fixture);
    assert_int_equal(held.id, id);
    assert_int_equal(held.attempt, 2);
    assert_int_not_equal(held.token, lost.token);
    for (int i = 0; i < 4; i++)
        assert_int_equal(settle(fixture, &lost, verdicts[i]), SQ_ELEASE);
    assert_int_equal(extend(fixture, &lost, 10 * LEASE_MS), SQ_ELEASE);
    assert_int_equal(look(fixture, id).listed.deadline_ns, held.deadline_ns);
    assert_counts(fixture, 0, 0, 1, 0);
    assert_int_equal(settle(fixture, &held, SQI_DONE), 0);
}

TEST(token_of_another_message_or_channel_is_refused)
{
    FIXTURE;
    uint32_t other = open_channel(fixture, "other", &usual_policy);
    add(fixture, "a");
    add(fixture, "b");
    struct held a = get(fixture), b = get(fixture), wrong = a;
    wrong.token = b.token;
    assert_int_equal(settle(fixture, &wrong, SQI_DONE), SQ_ELEASE);
    wrong = a;
    wrong.channel = other;
    assert_int_equal(settle(fixture, &wrong, SQI_DONE), SQ_ELEASE);
    assert_int_equal(extend(fixture, &wrong, 0), SQ_ELEASE);
    wrong.channel = 999;
    assert_int_equal(settle(fixture, &wrong, SQI_DONE), SQ_ENOENT);
    assert_int_equal(extend(fixture, &wrong, 0), SQ_ENOENT);
    wrong = a;
    wrong.id = 12345;
    assert_int_equal(settle(fixture, &wrong, SQI_DONE), SQ_ELEASE);
    assert_int_equal(settle(fixture, &a, SQI_DONE), 0);
    assert_int_equal(settle(fixture, &b, SQI_DONE), 0);
}

TEST(token_nought_is_never_a_lease)
{
    FIXTURE;
    struct held none = {.channel = fixture->channel, .id = add(fixture, "a")};
    assert_int_equal(settle(fixture, &none, SQI_DONE), SQ_ELEASE);
    assert_int_equal(extend(fixture, &none, 0), SQ_ELEASE);
    assert_counts(fixture, 0, 1, 0, 0);
}

TEST(settled_lease_is_over)
{
    FIXTURE;
    static const enum sqi_verdict verdicts[] = {SQI_DONE, SQI_RETRY, SQI_RELEASE, SQI_BURY};
    for (int i = 0; i < 4; i++) {
        add(fixture, "a");
        struct held held = get(fixture);
        assert_int_equal(settle_later(fixture, &held, verdicts[i], 5), 0);
        assert_int_equal(settle(fixture, &held, SQI_DONE), SQ_ELEASE);
        assert_int_equal(extend(fixture, &held, 0), SQ_ELEASE);
    }
    assert_counts(fixture, 2, 0, 0, 1);
}

TEST(extended_lease_ends_later)
{
    FIXTURE;
    add(fixture, "a");
    struct held held = get(fixture);
    pass_ms(fixture, LEASE_MS - 1);
    assert_int_equal(extend(fixture, &held, 0), 0);
    assert_int_equal(held.deadline_ns, fixture->now_ns + LEASE_MS * SQI_NS_PER_MS);
    pass_ms(fixture, LEASE_MS - 1);
    assert_counts(fixture, 0, 0, 1, 0);
    assert_int_equal(extend(fixture, &held, 5), 0);
    assert_int_equal(held.deadline_ns, fixture->now_ns + 5 * SQI_NS_PER_MS);
    assert_int_equal(look(fixture, held.id).listed.deadline_ns, held.deadline_ns);
    pass_ms(fixture, 5);
    assert_counts(fixture, 0, 1, 0, 0);
    assert_int_equal(extend(fixture, &held, 0), SQ_ELEASE);
}

TEST(extended_lease_still_settles)
{
    FIXTURE;
    add(fixture, "a");
    struct held held = get(fixture);
    assert_int_equal(extend(fixture, &held, 10 * LEASE_MS), 0);
    pass_ms(fixture, 5 * LEASE_MS);
    assert_int_equal(settle(fixture, &held, SQI_DONE), 0);
    assert_counts(fixture, 0, 0, 0, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_makes_a_message_ready),
        cmocka_unit_test(ids_count_up_through_all_channels),
        cmocka_unit_test(refused_put_uses_no_id),
        cmocka_unit_test(lease_tells_all_of_the_message),
        cmocka_unit_test(leased_message_is_not_leased_again),
        cmocka_unit_test(done_message_is_gone),
        cmocka_unit_test(settle_and_lease_does_both),
        cmocka_unit_test(settlements_of_one_call_are_independent),
        cmocka_unit_test(lease_of_an_unknown_channel_is_refused_and_settles_nevertheless),
        cmocka_unit_test(lease_takes_at_most_the_count),
        cmocka_unit_test(lease_takes_at_most_the_bytes),
        cmocka_unit_test(first_message_is_leased_whatever_its_size),
        cmocka_unit_test(message_too_big_for_the_rest_is_not_overtaken),
        test_needing(lease_length_is_that_of_the_request, SQI_CAN_LEASE_PER_GET),
        cmocka_unit_test(messages_of_one_priority_leave_as_they_came),
        test_needing(lower_priority_number_leaves_first, SQI_CAN_PRIORITIES),
        test_needing(retried_and_released_go_last, SQI_CAN_ORDER_STRICTLY),
        test_needing(delayed_message_takes_its_place_when_it_becomes_ready, SQI_CAN_ORDER_STRICTLY),
        test_needing(lost_leases_come_back_by_deadline_then_id_and_before_delayed,
                     SQI_CAN_ORDER_STRICTLY | SQI_CAN_LEASE_PER_GET),
        cmocka_unit_test(each_lease_counts_an_attempt),
        cmocka_unit_test(release_takes_the_attempt_back),
        cmocka_unit_test(last_retry_makes_it_dead_with_its_reason),
        cmocka_unit_test(retry_with_a_delay_comes_back_after_it),
        cmocka_unit_test(release_with_a_delay_comes_back_after_it),
        cmocka_unit_test(retry_of_the_last_attempt_with_a_delay_is_dead_at_once),
        cmocka_unit_test(buried_message_is_dead_with_its_reason),
        cmocka_unit_test(longest_reason_is_kept_whole),
        cmocka_unit_test(reason_of_a_retry_is_seen_while_it_waits),
        cmocka_unit_test(reason_stays_until_another_is_given),
        cmocka_unit_test(dead_message_is_gone_after_it_was_kept),
        cmocka_unit_test(put_for_later_is_delayed_until_then),
        cmocka_unit_test(put_for_now_or_the_past_is_ready),
        cmocka_unit_test(delays_go_by_the_wall_clock_and_leases_do_not),
        cmocka_unit_test(expired_put_is_added_dead),
        cmocka_unit_test(ready_message_dies_when_it_expires),
        cmocka_unit_test(delayed_message_dies_when_it_expires),
        cmocka_unit_test(delayed_message_that_becomes_ready_expires_still),
        cmocka_unit_test(leased_message_does_not_expire),
        cmocka_unit_test(expired_message_is_dead_when_retried),
        cmocka_unit_test(expired_message_is_dead_when_released),
        cmocka_unit_test(expired_message_is_dead_when_its_lease_is_lost),
        cmocka_unit_test(retried_message_that_expires_in_its_delay_dies_then),
        cmocka_unit_test(lease_past_its_deadline_is_lost),
        cmocka_unit_test(lease_lost_on_the_last_attempt_is_death),
        test_needing(verdicts_after_the_lease_change_nothing, SQI_CAN_FENCE),
        test_needing(token_of_another_message_or_channel_is_refused, SQI_CAN_FENCE),
        cmocka_unit_test(token_nought_is_never_a_lease),
        test_needing(settled_lease_is_over, SQI_CAN_FENCE),
        cmocka_unit_test(extended_lease_ends_later),
        cmocka_unit_test(extended_lease_still_settles),
    };
    return run_contract("messages", tests, sizeof tests / sizeof tests[0], false);
}
