/* SPDX-License-Identifier: Apache-2.0 */
/* Channels through the public interface, over every engine there is. */
#include "channels.h"

#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#define HOUR_MS INT64_C(3600000)

static struct place here;

static int set_up(void **state)
{
    open_place(&here, *state);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_place(&here);
    return 0;
}

static uint64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* A second channel, with a policy, for one test. */
static sq_channel *other(const sq_channel_policy *policy)
{
    return open_named(here.store, "other", policy);
}

/* ── put, get, done ───────────────────────────────────────────────────────────────────────── */

static void message_comes_as_it_was_put(void **state)
{
    (void)state;
    sq_header headers[] = {{"content-type", "text/plain", 12, 10}}, found;
    sq_content content = {.body = "\0\xff{}",
                          .body_bytes = 4,
                          .headers = headers,
                          .header_count = 1,
                          .has_priority = true,
                          .priority = 7,
                          .expires_ms = wall_ms() + HOUR_MS};
    uint64_t id = 0;
    assert_int_equal(sq_channel_put(here.channel, &content, SQ_FOREVER, &id), 0);
    sq_message *message = get_one(here.channel);
    assert_int_equal(message->body_bytes, 4);
    assert_memory_equal(message->body, "\0\xff{}", 4);
    assert_int_equal(message->id, id);
    assert_int_equal(message->priority, 7);
    assert_int_equal(message->attempt, 1);
    assert_int_equal(message->attempts_max, 10);
    assert_int_equal(message->expires_ms, content.expires_ms);
    assert_true(message->created_ms > 0 && (uint64_t)message->created_ms <= wall_ms());
    assert_int_equal(sq_message_header(message, "content-type", &found), 1);
    assert_memory_equal(found.value, "text/plain", 10);
    assert_int_equal(sq_message_header(message, "content", &found), 0);
    assert_int_equal(sq_message_done(message), SQ_OK);
    assert_empty(here.channel);
    sq_channel_stats stats = channel_stats(here.channel);
    assert_int_equal(stats.dones, 1);
    assert_int_equal(stats.unfinished, 0);
    assert_int_equal(stats.bytes, 0);
}

static void sizes_from_nothing_to_the_most_come_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 255, 1736, 1856, 1857, 100000, SQ_BODY_BYTES_MAX};
    uint8_t *body = malloc(SQ_BODY_BYTES_MAX + 1);
    assert_non_null(body);
    for (size_t i = 0; i <= SQ_BODY_BYTES_MAX; i++)
        body[i] = (uint8_t)(i * 31 >> 3);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        sq_content content = {.body = body, .body_bytes = sizes[i]};
        assert_int_equal(sq_channel_put(here.channel, &content, SQ_FOREVER, NULL), 0);
        sq_message *message = get_one(here.channel);
        assert_int_equal(message->body_bytes, sizes[i]);
        assert_memory_equal(message->body, body, sizes[i]);
        assert_int_equal(sq_message_done(message), SQ_OK);
    }
    sq_content content = {.body = body, .body_bytes = SQ_BODY_BYTES_MAX + 1};
    assert_int_equal(sq_channel_put(here.channel, &content, SQ_FOREVER, NULL), SQ_EINVAL);
    assert_non_null(strstr(sq_last_error_detail(), "16777217"));
    assert_int_equal(channel_stats(here.channel).unfinished, 0);
    free(body);
}

static void put_many_and_get_many_keep_the_order(void **state)
{
    (void)state;
    enum { COUNT = 12000 }; /* more than one commit takes */
    sq_content *contents = calloc(COUNT, sizeof *contents);
    uint32_t *bodies = calloc(COUNT, sizeof *bodies);
    uint64_t *ids = calloc(COUNT, sizeof *ids);
    sq_message **messages = calloc(COUNT, sizeof *messages);
    for (uint32_t i = 0; i < COUNT; i++) {
        bodies[i] = i;
        contents[i] = (sq_content){.body = &bodies[i], .body_bytes = sizeof bodies[i]};
    }
    assert_int_equal(sq_channel_put_many(here.channel, contents, COUNT, SQ_NOWAIT, ids), COUNT);
    size_t got = 0;
    while (got < COUNT) {
        ssize_t more = sq_channel_get_many(here.channel, COUNT - got, SQ_NOWAIT, NULL,
                                           messages + got);
        assert_true(more > 0 && more <= 10000);
        got += (size_t)more;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_memory_equal(messages[i]->body, &i, sizeof i);
        assert_int_equal(messages[i]->id, ids[i]);
    }
    assert_int_equal(sq_message_done_many(messages, COUNT), COUNT);
    assert_int_equal(channel_stats(here.channel).dones, COUNT);
    free(contents);
    free(bodies);
    free(ids);
    free(messages);
}

static void wrong_arguments_are_refused(void **state)
{
    (void)state;
    sq_channel *channel = NULL;
    sq_message *message = NULL;
    sq_content content = text("x");
    sq_channel_policy policy = {.lease_ms = -1};
    for (size_t i = 0; i < 6; i++) {
        const char *const names[] = {"", "-a", "a b", "a/b", "\xc3\xa4", NULL};
        assert_int_equal(sq_channel_open(here.store, names[i], NULL, &channel), SQ_EINVAL);
    }
    assert_int_equal(sq_channel_open(here.store, "x", &policy, &channel), SQ_EINVAL);
    policy = (sq_channel_policy){.reserved = {1}};
    assert_int_equal(sq_channel_open(here.store, "x", &policy, &channel), SQ_EINVAL);
    assert_int_equal(sq_channel_find(here.store, "missing", &channel), SQ_ENOENT);
    assert_int_equal(sq_channel_put(NULL, &content, 0, NULL), SQ_EINVAL);
    assert_int_equal(sq_channel_put(here.channel, NULL, 0, NULL), SQ_EINVAL);
    assert_int_equal(sq_channel_put(here.channel, &content, -2, NULL), SQ_EINVAL);
    assert_int_equal(sq_channel_get(here.channel, -2, &message), SQ_EINVAL);
    assert_int_equal(sq_channel_get(here.channel, 0, NULL), SQ_EINVAL);
    assert_int_equal(sq_channel_join(here.channel, -2, NULL), SQ_EINVAL);
    assert_int_equal(sq_store_open(here.url, NULL, NULL, &here.store), SQ_EINVAL);
    sq_store *store = NULL;
    assert_int_equal(sq_store_open("", here.keyring, NULL, &store), SQ_EINVAL);
    assert_int_equal(sq_store_open("nats://x", here.keyring, NULL, &store), SQ_EINVAL);
    assert_int_equal(sq_store_open("mem:x", here.keyring, NULL, &store), SQ_EINVAL);
    assert_null(channel);
    assert_null(store);
    assert_int_equal(channel_stats(here.channel).puts, 0);
}

/* ── verdicts ─────────────────────────────────────────────────────────────────────────────── */

static int keep_listed(const sq_listed *listed, void *context)
{
    sq_listed *kept = context;
    static char reason[1100];
    snprintf(reason, sizeof reason, "%s", listed->reason);
    *kept = *listed;
    kept->reason = reason;
    return 1;
}

static sq_listed first_listed(sq_channel *channel)
{
    sq_listed listed = {0};
    assert_int_equal(sq_channel_each_message(channel, keep_listed, &listed), 1);
    return listed;
}

static void retry_comes_again_and_the_last_is_dead(void **state)
{
    (void)state;
    sq_channel_policy policy = {.attempts = 3};
    sq_channel *channel = other(&policy);
    put_text(channel, "job");
    for (uint32_t attempt = 1; attempt <= 3; attempt++) {
        sq_message *message = get_one(channel);
        assert_int_equal(message->attempt, attempt);
        assert_int_equal(sq_message_retry(message, 0, "no luck"), attempt == 3);
    }
    assert_empty(channel);
    sq_listed listed = first_listed(channel);
    assert_int_equal(listed.state, SQ_DEAD);
    assert_int_equal(listed.death, SQ_DEATH_ATTEMPTS);
    assert_string_equal(listed.reason, "no luck");
    assert_string_equal(sq_death_text(listed.death), "attempts used up");
    assert_int_equal(listed.attempts, 3);
    uint64_t deaths = 1;
    assert_int_equal(sq_channel_join(channel, SQ_NOWAIT, &deaths), SQ_OK);
    assert_int_equal(deaths, 0); /* it died before the join began */
    sq_channel_free(channel);
}

static void retry_by_default_waits_for_the_backoff(void **state)
{
    (void)state;
    sq_channel_policy policy = {.backoff_ms = HOUR_MS, .backoff_max_ms = HOUR_MS};
    sq_channel *channel = other(&policy);
    put_text(channel, "job");
    uint64_t before_ms = wall_ms();
    assert_int_equal(sq_message_retry(get_one(channel), -1, NULL), 0);
    assert_empty(channel);
    sq_listed listed = first_listed(channel);
    assert_int_equal(listed.state, SQ_DELAYED);
    int64_t delay_ms = listed.due_ms - (int64_t)before_ms;
    assert_true(delay_ms >= HOUR_MS * 8 / 10 - 1 && delay_ms <= HOUR_MS * 12 / 10 + 60000);
    sq_channel_free(channel);
}

static void release_takes_the_attempt_back(void **state)
{
    (void)state;
    put_text(here.channel, "job");
    assert_int_equal(sq_message_release(get_one(here.channel), 0), SQ_OK);
    sq_message *message = get_one(here.channel);
    assert_int_equal(message->attempt, 1);
    assert_int_equal(sq_message_done(message), SQ_OK);
    assert_int_equal(channel_stats(here.channel).attempts, 1);
}

static void buried_is_dead_with_its_reason(void **state)
{
    (void)state;
    put_text(here.channel, "job");
    assert_int_equal(sq_message_bury(get_one(here.channel), "\x1b[31mbad"), SQ_OK);
    sq_listed listed = first_listed(here.channel);
    assert_int_equal(listed.death, SQ_DEATH_BURIED);
    assert_string_equal(listed.reason, "\x1b[31mbad");
    assert_int_equal(channel_stats(here.channel).deaths, 1);
}

static void freed_message_stays_leased(void **state)
{
    (void)state;
    put_text(here.channel, "job");
    assert_null(sq_message_free(get_one(here.channel)));
    assert_empty(here.channel);
    assert_int_equal(channel_stats(here.channel).leased, 1);
}

static void late_done_is_told_that_the_lease_is_over(void **state)
{
    (void)state;
    sq_get_options quick = {.lease_ms = 1};
    sq_message *late = NULL, *message = NULL;
    put_text(here.channel, "job");
    assert_int_equal(sq_channel_get_many(here.channel, 1, SQ_NOWAIT, &quick, &late), 1);
    assert_int_equal(sq_channel_get(here.channel, SQ_FOREVER, &message), SQ_OK); /* by its timer */
    assert_int_equal(message->attempt, 2);
    assert_int_equal(sq_message_extend(late, 0), SQ_ELEASE);
    assert_int_equal(sq_message_done(late), SQ_ELEASE);
    assert_non_null(strstr(sq_last_error_detail(), "lease"));
    assert_int_equal(sq_message_extend(message, HOUR_MS), SQ_OK);
    assert_int_equal(sq_message_done(message), SQ_OK);
    assert_int_equal(channel_stats(here.channel).lost_leases, 1);
}

/* ── emit ─────────────────────────────────────────────────────────────────────────────────── */

static void emitted_results_come_with_done_only(void **state)
{
    (void)state;
    sq_channel *results = other(NULL);
    put_text(here.channel, "job");
    sq_message *message = get_one(here.channel);
    assert_int_equal(sq_message_emit(message, results, "forgotten", 9), SQ_OK);
    assert_int_equal(sq_message_retry(message, 0, NULL), 0);
    assert_empty(results);
    message = get_one(here.channel);
    assert_int_equal(sq_message_emit(message, results, "one", 3), SQ_OK);
    assert_int_equal(sq_message_emit(message, results, "two", 3), SQ_OK);
    assert_empty(results);
    assert_int_equal(sq_message_done(message), SQ_OK);
    message = get_one(results);
    assert_body(message, "one");
    assert_int_equal(sq_message_done(message), SQ_OK);
    message = get_one(results);
    assert_body(message, "two");
    assert_int_equal(sq_message_done(message), SQ_OK);
    sq_channel_free(results);
}

static void done_that_cannot_emit_changes_nothing(void **state)
{
    (void)state;
    sq_get_options quick = {.lease_ms = 1};
    sq_channel *results = other(NULL);
    sq_message *message = NULL;
    put_text(here.channel, "job");
    assert_int_equal(sq_channel_close(results), SQ_OK);
    assert_int_equal(sq_channel_get_many(here.channel, 1, SQ_NOWAIT, &quick, &message), 1);
    assert_int_equal(sq_message_emit(message, results, "one", 3), SQ_OK);
    int result = sq_message_done(message);
    assert_true(result == SQ_ESHUTDOWN || result == SQ_ELEASE);
    assert_int_equal(sq_channel_get(here.channel, SQ_FOREVER, &message), SQ_OK); /* still there */
    assert_int_equal(sq_message_done(message), SQ_OK);
    assert_int_equal(channel_stats(results).puts, 0);
    sq_channel_free(results);
}

/* ── times, dedupe, capacity ──────────────────────────────────────────────────────────────── */

static void delayed_message_comes_when_it_is_due(void **state)
{
    (void)state;
    sq_content content = text("later");
    content.not_before_ms = wall_ms() + 50;
    assert_int_equal(sq_channel_put(here.channel, &content, SQ_NOWAIT, NULL), 0);
    assert_int_equal(channel_stats(here.channel).delayed, 1);
    sq_message *message = NULL;
    assert_int_equal(sq_channel_get(here.channel, SQ_FOREVER, &message), SQ_OK);
    assert_true(wall_ms() >= content.not_before_ms);
    assert_int_equal(sq_message_done(message), SQ_OK);
}

static void expired_message_dies_while_only_a_joiner_waits(void **state)
{
    (void)state;
    sq_content content = text("old");
    content.expires_ms = wall_ms() + 50;
    uint64_t deaths = 0;
    assert_int_equal(sq_channel_put(here.channel, &content, SQ_NOWAIT, NULL), 0);
    assert_int_equal(sq_channel_join(here.channel, SQ_FOREVER, &deaths), SQ_OK);
    assert_true(deaths <= 1); /* 0: it died before the first look */
    assert_int_equal(first_listed(here.channel).death, SQ_DEATH_EXPIRED);
}

static void second_put_of_a_key_adds_nothing(void **state)
{
    (void)state;
    sq_content content = text("once");
    uint64_t first = 0, second = 0;
    content.dedupe_key = "order/42";
    content.dedupe_key_bytes = 8;
    assert_int_equal(sq_channel_put(here.channel, &content, SQ_NOWAIT, &first), 0);
    assert_int_equal(sq_channel_put(here.channel, &content, SQ_NOWAIT, &second), 1);
    assert_int_equal(first, second);
    assert_int_equal(sq_message_done(get_one(here.channel)), SQ_OK);
    assert_int_equal(sq_channel_put(here.channel, &content, SQ_NOWAIT, NULL), 1); /* the window */
    assert_int_equal(channel_stats(here.channel).duplicates, 2);
    assert_empty(here.channel);
}

static void key_is_found_after_a_rotation(void **state)
{
    (void)state;
    sq_keyring *rotated = make_keyring();
    rotated->keys[0].info.state = SQ_KEY_ACCEPTED;
    add_key(rotated, 2, SQ_KEY_PRIMARY);
    sq_content content = text("once");
    content.dedupe_key = "k";
    content.dedupe_key_bytes = 1;
    assert_int_equal(sq_channel_put(here.channel, &content, SQ_NOWAIT, NULL), 0);
    if (strcmp(here.name, "disk") == 0) { /* mem: a second store would be another one */
        sq_store *store = open_store(&here, rotated);
        sq_channel *channel = open_named(store, "jobs", NULL);
        assert_int_equal(sq_channel_put(channel, &content, SQ_NOWAIT, NULL), 1);
        sq_message *message = get_one(channel); /* sealed under the key before */
        assert_body(message, "once");
        assert_int_equal(sq_message_done(message), SQ_OK);
        sq_channel_free(channel);
        sq_store_close(store);
    } else {
        assert_int_equal(sq_channel_put(here.channel, &content, SQ_NOWAIT, NULL), 1);
    }
    sq_keyring_free(rotated);
}

static void *put_when_there_is_room(void *channel)
{
    sq_content content = text("third");
    return item(sq_channel_put(channel, &content, SQ_FOREVER, NULL));
}

static void put_waits_for_room(void **state)
{
    (void)state;
    sq_channel_policy policy = {.capacity = 2};
    sq_channel *channel = other(&policy);
    sq_content contents[3] = {text("first"), text("second"), text("third")};
    assert_int_equal(sq_channel_put_many(channel, contents, 3, SQ_NOWAIT, NULL), 2);
    assert_int_equal(sq_channel_put(channel, contents, SQ_NOWAIT, NULL), SQ_EFULL);
    assert_int_equal(sq_channel_put_many(channel, contents, 3, 1, NULL), SQ_EFULL);
    pthread_t putter = start_thread(put_when_there_is_room, channel);
    assert_int_equal(sq_message_done(get_one(channel)), SQ_OK);
    assert_int_equal(end_thread(putter), 0);
    assert_int_equal(channel_stats(channel).unfinished, 2);
    sq_channel_free(channel);
}

/* ── close, pause, interrupt, join ────────────────────────────────────────────────────────── */

static void closed_channel_ends_gets_once_it_is_finished(void **state)
{
    (void)state;
    sq_content content = text("late");
    sq_message *message = NULL;
    put_text(here.channel, "job");
    assert_int_equal(sq_channel_close(here.channel), SQ_OK);
    assert_int_equal(sq_channel_close(here.channel), SQ_OK);
    assert_int_equal(sq_channel_put(here.channel, &content, SQ_FOREVER, NULL), SQ_ESHUTDOWN);
    assert_int_equal(sq_message_retry(get_one(here.channel), 0, NULL), 0); /* still allowed */
    assert_int_equal(sq_message_done(get_one(here.channel)), SQ_OK);
    assert_int_equal(sq_channel_get(here.channel, SQ_FOREVER, &message), SQ_ESHUTDOWN);
    assert_true(channel_stats(here.channel).is_closed);
}

static void paused_channel_looks_empty_and_holds_join(void **state)
{
    (void)state;
    assert_int_equal(sq_channel_pause(here.channel), SQ_OK);
    put_text(here.channel, "job");
    assert_empty(here.channel);
    assert_true(channel_stats(here.channel).is_paused);
    assert_int_equal(sq_channel_join(here.channel, SQ_NOWAIT, NULL), SQ_ETIMEDOUT);
    assert_int_equal(sq_channel_resume(here.channel), SQ_OK);
    assert_int_equal(sq_message_done(get_one(here.channel)), SQ_OK);
    assert_int_equal(sq_channel_join(here.channel, SQ_NOWAIT, NULL), SQ_OK);
}

static void *get_for_ever(void *channel)
{
    sq_message *message = NULL;
    return item(sq_channel_get(channel, SQ_FOREVER, &message));
}

static void *join_for_ever(void *channel)
{
    return item(sq_channel_join(channel, SQ_FOREVER, NULL));
}

static void interrupt_ends_every_wait(void **state)
{
    (void)state;
    put_text(here.channel, "job");
    sq_message *message = get_one(here.channel);
    pthread_t getter = start_thread(get_for_ever, here.channel);
    pthread_t joiner = start_thread(join_for_ever, here.channel);
    sq_channel_interrupt(here.channel);
    assert_int_equal(end_thread(getter), SQ_EINTERRUPTED);
    assert_int_equal(end_thread(joiner), SQ_EINTERRUPTED);
    assert_int_equal(sq_message_done(message), SQ_OK);
    assert_int_equal(sq_channel_join(here.channel, SQ_FOREVER, NULL), SQ_OK); /* needs no wait */
}

static void join_waits_for_what_is_leased(void **state)
{
    (void)state;
    put_text(here.channel, "job");
    sq_message *message = get_one(here.channel);
    assert_int_equal(sq_channel_join(here.channel, 1, NULL), SQ_ETIMEDOUT);
    pthread_t joiner = start_thread(join_for_ever, here.channel);
    assert_int_equal(sq_message_done(message), SQ_OK);
    assert_int_equal(end_thread(joiner), SQ_OK);
}

/* ── consumers ────────────────────────────────────────────────────────────────────────────── */

static int consume_by_body(void *argument, void *context)
{
    sq_message *message = argument;
    atomic_int *handled = context;
    char first = *(const char *)message->body;
    atomic_fetch_add(handled, 1);
    return first == 'd' ? SQ_DONE : first == 'b' ? SQ_BURY : first == 'r' ? SQ_RETRY : -42;
}

static void consumer_obeys_its_handlers_verdicts(void **state)
{
    (void)state;
    atomic_int handled = 0;
    sq_channel_policy policy = {.attempts = 2, .backoff_ms = 1, .backoff_max_ms = 1};
    sq_channel *channel = other(&policy);
    for (int i = 0; i < 5; i++)
        put_text(channel, "done");
    put_text(channel, "bury");
    put_text(channel, "retry");
    put_text(channel, "fail");
    sq_consumer *consumer = NULL;
    sq_consumer_options options = {.threads = 3, .handler = consume_by_body, .context = &handled};
    assert_int_equal(sq_channel_consume(channel, &options, &consumer), SQ_OK);
    assert_int_equal(sq_consumer_drain(consumer, SQ_FOREVER), SQ_OK);
    sq_consumer_stats stats;
    assert_int_equal(sq_consumer_stat(consumer, &stats), SQ_OK);
    assert_int_equal(stats.handled, 5 + 1 + 2 + 2);
    assert_int_equal(stats.errors, 5);
    sq_consumer_free(consumer);
    assert_int_equal(handled, 10);
    assert_int_equal(channel_stats(channel).deaths, 3);
    assert_int_equal(channel_stats(channel).dones, 5);
    sq_channel_free(channel);
}

static int wait_for_third_attempt(void *argument, void *context)
{
    /* Longer than the lease: without renewal another thread would get it meanwhile. */
    atomic_int *inside = context;
    sq_message *message = argument;
    assert_int_equal(atomic_fetch_add(inside, 1), 0);
    uint64_t until_ms = wall_ms() + 400;
    wait_until(wall_ms() >= until_ms);
    atomic_fetch_sub(inside, 1);
    return message->attempt == 1 ? SQ_DONE : SQ_BURY;
}

static void lease_renews_itself_while_the_handler_works(void **state)
{
    (void)state;
    atomic_int inside = 0;
    sq_channel_policy policy = {.lease_ms = 150};
    sq_channel *channel = other(&policy);
    sq_consumer *consumer = NULL;
    sq_consumer_options options = {
        .threads = 2, .handler = wait_for_third_attempt, .context = &inside};
    put_text(channel, "long");
    assert_int_equal(sq_channel_consume(channel, &options, &consumer), SQ_OK);
    assert_int_equal(sq_consumer_drain(consumer, SQ_FOREVER), SQ_OK);
    sq_consumer_free(consumer);
    assert_int_equal(channel_stats(channel).dones, 1);
    assert_int_equal(channel_stats(channel).lost_leases, 0);
    sq_channel_free(channel);
}

static void consumer_stops_when_the_channel_is_closed_and_finished(void **state)
{
    (void)state;
    atomic_int handled = 0;
    sq_consumer *consumer = NULL;
    sq_consumer_options options = {.threads = 2, .handler = consume_by_body, .context = &handled};
    sq_consumer_stats stats;
    put_text(here.channel, "done");
    assert_int_equal(sq_channel_consume(here.channel, &options, &consumer), SQ_OK);
    assert_int_equal(sq_channel_close(here.channel), SQ_OK);
    do
        assert_int_equal(sq_consumer_stat(consumer, &stats), SQ_OK);
    while (stats.running > 0 && sched_yield() == 0);
    assert_int_equal(handled, 1);
    assert_int_equal(stats.errors, 0);
    sq_consumer_free(consumer);
}

/* ── keys ─────────────────────────────────────────────────────────────────────────────────── */

static void plaintext_store_and_keyring_do_not_mix(void **state)
{
    (void)state;
    sq_store *plain = NULL;
    sq_channel *channel = NULL;
    assert_int_equal(sq_store_open(here.url, sq_plaintext(), NULL, &plain), SQ_OK);
    channel = open_named(plain, "open", NULL);
    sq_content content = text("for all");
    content.dedupe_key = "k";
    content.dedupe_key_bytes = 1;
    assert_int_equal(sq_channel_put(channel, &content, SQ_NOWAIT, NULL), 0);
    assert_int_equal(sq_channel_put(channel, &content, SQ_NOWAIT, NULL), 1);
    sq_message *message = get_one(channel);
    assert_body(message, "for all");
    assert_int_equal(sq_message_done(message), SQ_OK);
    if (strcmp(here.name, "disk") == 0) {
        sq_channel *wrong = NULL;
        assert_int_equal(sq_channel_find(here.store, "open", &wrong), SQ_ENOKEY);
        assert_non_null(strstr(sq_last_error_detail(), "not sealed"));
        assert_int_equal(sq_channel_find(plain, "jobs", &wrong), SQ_ENOKEY);
        assert_null(wrong);
    }
    sq_channel_free(channel);
    sq_store_close(plain);
}

/* ── forks ────────────────────────────────────────────────────────────────────────────────── */

static void child_of_a_fork_is_refused(void **state)
{
    (void)state;
    put_text(here.channel, "job");
    sq_message *message = get_one(here.channel), *none = NULL;
    sq_content content = text("x");
    sq_channel_stats stats;
    pid_t child = fork();
    if (child == 0) {
        int is_refused = sq_channel_put(here.channel, &content, 0, NULL) == SQ_EFORK &&
                         sq_channel_get(here.channel, 0, &none) == SQ_EFORK &&
                         sq_channel_stat(here.channel, &stats) == SQ_EFORK &&
                         sq_message_done(message) == SQ_EFORK;
        sq_channel_free(here.channel);
        sq_store_close(here.store);
        _exit(is_refused ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(sq_message_done(message), SQ_OK); /* the lease was the parent's */
}

#define ROW_ON(place, test)                                                                        \
    {                                                                                              \
        place ": " #test, test, set_up, tear_down, (void *)place                                   \
    }
#define ROW(test) ROW_ON("mem", test), ROW_ON("disk", test)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(message_comes_as_it_was_put),
        ROW(sizes_from_nothing_to_the_most_come_back),
        ROW(put_many_and_get_many_keep_the_order),
        ROW(wrong_arguments_are_refused),
        ROW(retry_comes_again_and_the_last_is_dead),
        ROW(retry_by_default_waits_for_the_backoff),
        ROW(release_takes_the_attempt_back),
        ROW(buried_is_dead_with_its_reason),
        ROW(freed_message_stays_leased),
        ROW(late_done_is_told_that_the_lease_is_over),
        ROW(emitted_results_come_with_done_only),
        ROW(done_that_cannot_emit_changes_nothing),
        ROW(delayed_message_comes_when_it_is_due),
        ROW(expired_message_dies_while_only_a_joiner_waits),
        ROW(second_put_of_a_key_adds_nothing),
        ROW(key_is_found_after_a_rotation),
        ROW(put_waits_for_room),
        ROW(closed_channel_ends_gets_once_it_is_finished),
        ROW(paused_channel_looks_empty_and_holds_join),
        ROW(interrupt_ends_every_wait),
        ROW(join_waits_for_what_is_leased),
        ROW(consumer_obeys_its_handlers_verdicts),
        ROW(lease_renews_itself_while_the_handler_works),
        ROW(consumer_stops_when_the_channel_is_closed_and_finished),
        ROW(plaintext_store_and_keyring_do_not_mix),
        ROW(child_of_a_fork_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
