/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds of puts, dedupe and emissions, for every engine: rules 6 to 8 of engine.h. */
#include <stdlib.h>
#include <string.h>

#include "contract.h"

static const uint8_t keys[4][SQI_DEDUPE_BYTES] = {{1}, {2}, {3}, {4}};

static struct sqi_put keyed(size_t first, size_t count)
{
    return (struct sqi_put){.dedupe_ids = &keys[first], .dedupe_id_count = count};
}

static struct sqi_policy with_capacity(uint64_t capacity)
{
    struct sqi_policy policy = usual_policy;
    policy.capacity = capacity;
    return policy;
}

/* ---- capacity and quota: rule 7 ---- */

TEST(put_beyond_the_capacity_is_refused)
{
    FIXTURE;
    struct sqi_policy policy = with_capacity(3);
    struct sqi_put refused = {0};
    start_again(fixture, 0, &policy);
    add(fixture, "a");
    add(fixture, "b");
    get(fixture);
    add_with(fixture, "c", (struct sqi_put){.not_before_ms = fixture->now_ms + 100});
    assert_int_equal(put(fixture, fixture->channel, "d", &refused), SQ_EFULL);
    assert_counts(fixture, 1, 1, 1, 0);
    assert_int_equal(stat_of(fixture, fixture->channel).puts, 3);
}

TEST(finished_messages_make_room)
{
    FIXTURE;
    struct sqi_policy policy = with_capacity(1);
    struct sqi_put refused = {0};
    start_again(fixture, 0, &policy);
    add(fixture, "a");
    struct held held = get(fixture);
    assert_int_equal(put(fixture, fixture->channel, "b", &refused), SQ_EFULL);
    settle(fixture, &held, SQI_BURY);
    add(fixture, "b");
    held = get(fixture);
    settle(fixture, &held, SQI_DONE);
    add(fixture, "c");
}

TEST(first_refused_put_of_a_batch_ends_it)
{
    FIXTURE;
    struct sqi_policy policy = with_capacity(2);
    start_again(fixture, 0, &policy);
    struct sqi_put puts[5];
    for (int i = 0; i < 5; i++)
        puts[i] = (struct sqi_put){.envelope = "a", .envelope_bytes = 1, .result = 5};
    puts[1] = puts[2] = puts[4] = keyed(0, 1);
    puts[1].envelope = puts[2].envelope = puts[4].envelope = "a";
    puts[1].envelope_bytes = puts[2].envelope_bytes = puts[4].envelope_bytes = 1;
    fixture->ops->put(fixture->engine, fixture->channel, puts, 5);
    assert_int_equal(puts[0].result, 0);
    assert_int_equal(puts[1].result, 0);
    assert_int_equal(puts[2].result, 1);
    assert_int_equal(puts[2].id, puts[1].id);
    assert_int_equal(puts[3].result, SQ_EFULL);
    assert_int_equal(puts[4].result, SQ_EFULL);
    assert_int_equal(stat_of(fixture, fixture->channel).duplicates, 1);
}

TEST(put_beyond_the_quota_is_refused)
{
    FIXTURE;
    start_again(fixture, 10, &usual_policy);
    uint32_t other = open_channel(fixture, "other", &usual_policy);
    struct sqi_put refused = {0}, fits = {0};
    add(fixture, "123456");
    assert_int_equal(put(fixture, other, "12345", &refused), SQ_ENOSPACE);
    assert_int_equal(put(fixture, other, "1234", &fits), 0);
    assert_int_equal(put(fixture, other, "1", &refused), SQ_ENOSPACE);
    struct held held = get(fixture);
    settle(fixture, &held, SQI_DONE);
    assert_int_equal(put(fixture, other, "123456", &fits), 0);
    assert_int_equal(fits.id, 3);
}

TEST(dead_messages_count_against_the_quota)
{
    FIXTURE;
    start_again(fixture, 10, &usual_policy);
    struct sqi_put refused = {0};
    add(fixture, "1234567890");
    struct held held = get(fixture);
    settle(fixture, &held, SQI_BURY);
    assert_int_equal(put(fixture, fixture->channel, "1", &refused), SQ_ENOSPACE);
    pass_ms(fixture, KEPT_MS);
    add(fixture, "1");
}

TEST(settling_needs_no_room)
{
    FIXTURE;
    struct sqi_policy policy = with_capacity(1);
    start_again(fixture, 3, &policy);
    add(fixture, "123");
    struct held held = get(fixture);
    assert_int_equal(settle_later(fixture, &held, SQI_RETRY, 100), 0);
    assert_counts(fixture, 1, 0, 0, 0);
}

/* ---- dedupe: rule 8 ---- */

TEST(second_put_of_a_key_finds_the_first)
{
    FIXTURE;
    uint64_t id = add_with(fixture, "a", keyed(0, 1));
    struct sqi_put second = keyed(0, 1);
    assert_int_equal(put(fixture, fixture->channel, "b", &second), 1);
    assert_int_equal(second.id, id);
    assert_counts(fixture, 0, 1, 0, 0);
    struct sqi_channel_stat stat = stat_of(fixture, fixture->channel);
    assert_int_equal(stat.puts, 1);
    assert_int_equal(stat.duplicates, 1);
    assert_int_equal(add_with(fixture, "b", keyed(1, 1)), id + 1);
}

TEST(key_is_held_within_the_window_whatever_became_of_the_message)
{
    FIXTURE;
    uint64_t id = add_with(fixture, "done", keyed(0, 1));
    add_with(fixture, "dead", keyed(1, 1));
    struct held held = get_text(fixture, "done");
    settle(fixture, &held, SQI_DONE);
    held = get_text(fixture, "dead");
    settle(fixture, &held, SQI_BURY);
    pass_ms(fixture, WINDOW_MS - 1);
    for (size_t i = 0; i < 2; i++) {
        struct sqi_put again = keyed(i, 1);
        assert_int_equal(put(fixture, fixture->channel, "b", &again), 1);
        assert_int_equal(again.id, id + i);
    }
    pass_ms(fixture, 1);
    add_with(fixture, "b", keyed(0, 1));
    add_with(fixture, "b", keyed(1, 1));
}

TEST(key_is_held_after_the_window_while_unfinished)
{
    FIXTURE;
    add_with(fixture, "a", keyed(0, 1));
    uint64_t id = add_with(fixture, "b",
                           (struct sqi_put){.dedupe_ids = &keys[1],
                                            .dedupe_id_count = 1,
                                            .not_before_ms = fixture->now_ms + KEPT_MS});
    struct sqi_put again = keyed(0, 1);
    pass_ms(fixture, 2 * WINDOW_MS);
    struct held held = get_text(fixture, "a");
    assert_int_equal(put(fixture, fixture->channel, "x", &again), 1);
    again = keyed(1, 1);
    assert_int_equal(put(fixture, fixture->channel, "x", &again), 1);
    assert_int_equal(again.id, id);
    settle(fixture, &held, SQI_DONE);
    add_with(fixture, "c", keyed(0, 1));
}

TEST(key_of_a_message_dead_after_the_window_is_free)
{
    FIXTURE;
    uint64_t id = add_with(fixture, "a", keyed(0, 1));
    pass_ms(fixture, 2 * WINDOW_MS);
    struct held held = get(fixture);
    settle(fixture, &held, SQI_BURY);
    assert_int_equal(add_with(fixture, "b", keyed(0, 1)), id + 1);
    assert_counts(fixture, 0, 1, 0, 1);
}

TEST(window_nought_holds_while_unfinished_alone)
{
    FIXTURE;
    struct sqi_policy policy = usual_policy;
    policy.dedupe_window_ms = 0;
    start_again(fixture, 0, &policy);
    struct sqi_put again = keyed(0, 1);
    add_with(fixture, "a", keyed(0, 1));
    assert_int_equal(put(fixture, fixture->channel, "x", &again), 1);
    struct held held = get(fixture);
    settle(fixture, &held, SQI_DONE);
    add_with(fixture, "b", keyed(0, 1));
}

TEST(any_of_several_keys_finds_what_is_held)
{
    FIXTURE;
    uint64_t two = add_with(fixture, "2", keyed(1, 1));
    uint64_t three = add_with(fixture, "3", keyed(2, 1));
    struct sqi_put again = keyed(0, 4);
    assert_int_equal(put(fixture, fixture->channel, "x", &again), 1);
    assert_int_equal(again.id, two);
    again = keyed(2, 2);
    assert_int_equal(put(fixture, fixture->channel, "x", &again), 1);
    assert_int_equal(again.id, three);
    /* The duplicates held nothing of their own. */
    add_with(fixture, "1", keyed(0, 1));
    add_with(fixture, "4", keyed(3, 1));
}

TEST(first_of_several_keys_is_held_and_no_other)
{
    FIXTURE;
    uint64_t id = add_with(fixture, "a", keyed(0, 3));
    struct sqi_put again = keyed(0, 1);
    assert_int_equal(put(fixture, fixture->channel, "x", &again), 1);
    assert_int_equal(again.id, id);
    assert_int_equal(add_with(fixture, "b", keyed(1, 1)), id + 1);
    assert_int_equal(add_with(fixture, "c", keyed(2, 1)), id + 2);
}

TEST(last_of_the_most_keys_is_looked_up)
{
    FIXTURE;
    static uint8_t many[SQI_DEDUPE_IDS_MAX][SQI_DEDUPE_BYTES];
    for (size_t i = 0; i < SQI_DEDUPE_IDS_MAX; i++)
        many[i][SQI_DEDUPE_BYTES - 1] = (uint8_t)i;
    struct sqi_put all = {.dedupe_ids = (const uint8_t(*)[SQI_DEDUPE_BYTES])many,
                          .dedupe_id_count = SQI_DEDUPE_IDS_MAX};
    struct sqi_put last = {.dedupe_ids = &all.dedupe_ids[SQI_DEDUPE_IDS_MAX - 1],
                           .dedupe_id_count = 1};
    uint64_t id = add_with(fixture, "a", last);
    assert_int_equal(put(fixture, fixture->channel, "x", &all), 1);
    assert_int_equal(all.id, id);
}

TEST(duplicate_is_found_in_a_full_channel)
{
    FIXTURE;
    struct sqi_policy policy = with_capacity(1);
    start_again(fixture, 1, &policy);
    struct sqi_put again = keyed(0, 1), other = keyed(1, 1);
    add_with(fixture, "a", keyed(0, 1));
    assert_int_equal(put(fixture, fixture->channel, "too big", &again), 1);
    assert_int_equal(put(fixture, fixture->channel, "b", &other), SQ_EFULL);
    struct held held = get(fixture);
    settle(fixture, &held, SQI_DONE);
    /* A refused put holds nothing. */
    add_with(fixture, "b", keyed(1, 1));
}

TEST(duplicate_is_refused_in_a_closed_channel)
{
    FIXTURE;
    struct sqi_put again = keyed(0, 1);
    add_with(fixture, "a", keyed(0, 1));
    control(fixture, fixture->channel, SQI_CLOSE);
    assert_int_equal(put(fixture, fixture->channel, "a", &again), SQ_ESHUTDOWN);
}

TEST(key_of_an_expired_put_is_held_for_the_window)
{
    FIXTURE;
    struct sqi_put expired = keyed(0, 1), again = keyed(0, 1);
    expired.expires_ms = fixture->now_ms - 1;
    uint64_t id = add_with(fixture, "a", expired);
    assert_int_equal(put(fixture, fixture->channel, "a", &again), 1);
    assert_int_equal(again.id, id);
    pass_ms(fixture, WINDOW_MS);
    add_with(fixture, "a", keyed(0, 1));
}

/* ---- puts with a settlement ---- */

static struct sqi_emission emission_to(uint32_t channel, const char *text)
{
    return (struct sqi_emission){channel,
                                 {.envelope = text, .envelope_bytes = strlen(text), .result = 5}};
}

static int done_emitting(struct fixture *fixture, const struct held *held,
                         struct sqi_emission *emissions, size_t count)
{
    return settle_as(fixture, held,
                     (struct sqi_settlement){
                         .verdict = SQI_DONE, .emissions = emissions, .emission_count = count});
}

TEST(done_puts_its_emissions)
{
    FIXTURE;
    uint32_t other = open_channel(fixture, "other", &usual_policy);
    uint64_t id = add(fixture, "a");
    struct held held = get(fixture), there;
    struct sqi_emission emissions[] = {emission_to(other, "b"), emission_to(fixture->channel, "c")};
    assert_int_equal(done_emitting(fixture, &held, emissions, 2), 0);
    assert_int_equal(emissions[0].put.result, 0);
    assert_int_equal(emissions[0].put.id, id + 1);
    assert_int_equal(emissions[1].put.id, id + 2);
    get_text(fixture, "c");
    assert_int_equal(
        lease(fixture, (struct sqi_lease_request){.channel = other, .count_max = 1}, &there), 1);
    assert_string_equal(there.text, "b");
    assert_int_equal(stat_of(fixture, other).puts, 1);
}

TEST(emission_to_a_closed_or_unknown_channel_settles_nothing)
{
    FIXTURE;
    uint32_t closed = open_channel(fixture, "closed", &usual_policy);
    control(fixture, closed, SQI_CLOSE);
    uint64_t id = add(fixture, "a");
    struct held held = get(fixture);
    struct sqi_emission emissions[] = {emission_to(fixture->channel, "b"),
                                       emission_to(closed, "c")};
    assert_int_equal(done_emitting(fixture, &held, emissions, 2), SQ_ESHUTDOWN);
    assert_counts(fixture, 0, 0, 1, 0);
    emissions[1].channel = 999;
    assert_int_equal(done_emitting(fixture, &held, emissions, 2), SQ_ENOENT);
    assert_counts(fixture, 0, 0, 1, 0);
    assert_int_equal(stat_of(fixture, fixture->channel).puts, 1);
    assert_int_equal(done_emitting(fixture, &held, emissions, 1), 0);
    assert_int_equal(emissions[0].put.id, id + 1);
    assert_counts(fixture, 0, 1, 0, 0);
}

TEST(emission_after_the_lease_puts_nothing)
{
    FIXTURE;
    add(fixture, "a");
    struct held held = get(fixture);
    pass_ms(fixture, LEASE_MS);
    struct sqi_emission emission = emission_to(fixture->channel, "b");
    assert_int_equal(done_emitting(fixture, &held, &emission, 1), SQ_ELEASE);
    assert_counts(fixture, 0, 1, 0, 0);
    get_text(fixture, "a");
}

TEST(emissions_ignore_capacity_and_quota)
{
    FIXTURE;
    struct sqi_policy policy = with_capacity(1);
    start_again(fixture, 1, &policy);
    add(fixture, "a");
    struct held held = get(fixture);
    struct sqi_emission emissions[] = {emission_to(fixture->channel, "12345"),
                                       emission_to(fixture->channel, "12345")};
    assert_int_equal(done_emitting(fixture, &held, emissions, 2), 0);
    assert_counts(fixture, 0, 2, 0, 0);
    struct sqi_put refused = {0};
    assert_int_equal(put(fixture, fixture->channel, "b", &refused), SQ_EFULL);
}

TEST(emissions_are_deduped)
{
    FIXTURE;
    uint64_t id = add_with(fixture, "a", keyed(0, 1));
    struct held held = get(fixture);
    struct sqi_emission emissions[] = {emission_to(fixture->channel, "b"),
                                       emission_to(fixture->channel, "c"),
                                       emission_to(fixture->channel, "d")};
    emissions[0].put.dedupe_ids = &keys[0];
    emissions[1].put.dedupe_ids = emissions[2].put.dedupe_ids = &keys[1];
    for (int i = 0; i < 3; i++)
        emissions[i].put.dedupe_id_count = 1;
    assert_int_equal(done_emitting(fixture, &held, emissions, 3), 0);
    assert_int_equal(emissions[0].put.result, 1);
    assert_int_equal(emissions[0].put.id, id);
    assert_int_equal(emissions[1].put.result, 0);
    assert_int_equal(emissions[2].put.result, 1);
    assert_int_equal(emissions[2].put.id, emissions[1].put.id);
    assert_counts(fixture, 0, 1, 0, 0);
    assert_int_equal(stat_of(fixture, fixture->channel).duplicates, 2);
}

TEST(emission_is_delayed_as_any_put)
{
    FIXTURE;
    add(fixture, "a");
    struct held held = get(fixture);
    struct sqi_emission emission = emission_to(fixture->channel, "b");
    emission.put.not_before_ms = fixture->now_ms + 50;
    emission.put.priority = 9;
    assert_int_equal(done_emitting(fixture, &held, &emission, 1), 0);
    assert_counts(fixture, 1, 0, 0, 0);
    pass_ms(fixture, 50);
    assert_int_equal(get_text(fixture, "b").priority, 9);
}

TEST(emission_is_leased_by_the_same_call)
{
    FIXTURE;
    add(fixture, "a");
    struct held held = get(fixture);
    struct sqi_emission emission = emission_to(fixture->channel, "longer than a");
    struct sqi_settlement done = {.channel = held.channel,
                                  .id = held.id,
                                  .token = held.token,
                                  .emissions = &emission,
                                  .emission_count = 1};
    struct sqi_lease_request request = {.channel = held.channel, .count_max = 1};
    struct sqi_lease leased;
    assert_int_equal(
        fixture->ops->settle_and_lease(fixture->engine, &done, 1, &request, &leased, NULL), 1);
    assert_int_equal(leased.id, emission.put.id);
    assert_int_equal(leased.envelope_bytes, 13);
    assert_memory_equal(leased.envelope, "longer than a", 13);
    free(leased.envelope);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_beyond_the_capacity_is_refused),
        cmocka_unit_test(finished_messages_make_room),
        cmocka_unit_test(first_refused_put_of_a_batch_ends_it),
        cmocka_unit_test(put_beyond_the_quota_is_refused),
        cmocka_unit_test(dead_messages_count_against_the_quota),
        cmocka_unit_test(settling_needs_no_room),
        test_needing(second_put_of_a_key_finds_the_first, SQI_CAN_DEDUPE),
        test_needing(key_is_held_within_the_window_whatever_became_of_the_message, SQI_CAN_DEDUPE),
        test_needing(key_is_held_after_the_window_while_unfinished, SQI_CAN_DEDUPE),
        test_needing(key_of_a_message_dead_after_the_window_is_free, SQI_CAN_DEDUPE),
        test_needing(window_nought_holds_while_unfinished_alone, SQI_CAN_DEDUPE),
        test_needing(any_of_several_keys_finds_what_is_held, SQI_CAN_DEDUPE),
        test_needing(first_of_several_keys_is_held_and_no_other, SQI_CAN_DEDUPE),
        test_needing(last_of_the_most_keys_is_looked_up, SQI_CAN_DEDUPE),
        test_needing(duplicate_is_found_in_a_full_channel, SQI_CAN_DEDUPE),
        cmocka_unit_test(duplicate_is_refused_in_a_closed_channel),
        test_needing(key_of_an_expired_put_is_held_for_the_window, SQI_CAN_DEDUPE),
        cmocka_unit_test(done_puts_its_emissions),
        test_needing(emission_to_a_closed_or_unknown_channel_settles_nothing,
                     SQI_CAN_SETTLE_ATOMICALLY),
        test_needing(emission_after_the_lease_puts_nothing,
                     SQI_CAN_SETTLE_ATOMICALLY | SQI_CAN_FENCE),
        cmocka_unit_test(emissions_ignore_capacity_and_quota),
        test_needing(emissions_are_deduped, SQI_CAN_DEDUPE),
        cmocka_unit_test(emission_is_delayed_as_any_put),
        cmocka_unit_test(emission_is_leased_by_the_same_call),
    };
    return run_contract("puts", tests, sizeof tests / sizeof tests[0], false);
}
