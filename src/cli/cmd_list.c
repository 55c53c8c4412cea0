/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/json.h"
#include "cli/store_path.h"
#include "sealq/sealq.h"

static const char *wanted_state;

static const struct sqi_option options[] = {
    {"state", SQI_TEXT, &wanted_state, 0, 0, "those delayed, ready, leased or dead alone"},
    {.name = NULL},
};

static const char *const state_names[] = {
    [SQ_DELAYED] = "delayed", [SQ_READY] = "ready", [SQ_LEASED] = "leased", [SQ_DEAD] = "dead"};

struct listing {
    sq_message_state wanted; /* 0: all */
    uint64_t count;
    int exit_code;
};

/* The state of a name; 0 when it is none. */
static sq_message_state state_of(const char *name)
{
    for (size_t i = SQ_DELAYED; i <= SQ_DEAD; i++)
        if (strcmp(state_names[i], name) == 0)
            return (sq_message_state)i;
    return 0;
}

static int64_t seconds_until(int64_t due_ms)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    return due_ms > now_ms ? (due_ms - now_ms + 999) / 1000 : 0;
}

/* What there is to say of a message, beyond its numbers. */
static void print_note(const sq_listed *listed)
{
    const char *between = "";
    if (listed->state == SQ_DEAD) {
        printf("%s", sq_death_text(listed->death));
        between = ": ";
    } else if (listed->state == SQ_DELAYED) {
        printf("in %" PRId64 " s", seconds_until(listed->due_ms));
        between = ": ";
    }
    if (listed->reason[0]) {
        fputs(between, stdout);
        sqi_print_escaped(stdout, listed->reason);
        between = ": ";
    }
    if (listed->open_error < 0)
        printf("%scannot be opened, %s", between, sq_strerror(listed->open_error));
    putchar('\n');
}

static void print_row(const sq_listed *listed)
{
    char bytes[24] = "?";
    if (listed->open_error == SQ_OK)
        snprintf(bytes, sizeof bytes, "%zu", listed->body_bytes);
    printf("%10" PRIu64 "  %-8s %8" PRIu32 " %8u %10s  ", listed->id, state_names[listed->state],
           listed->attempts, listed->priority, bytes);
    print_note(listed);
}

static json_t *as_json(const sq_listed *listed)
{
    json_t *object = json_pack(
        "{s:o, s:s, s:I, s:i, s:o, s:o}", "id", sqi_json_number(listed->id), "state",
        state_names[listed->state], "attempts", (json_int_t)listed->attempts, "priority",
        (int)listed->priority, "bytes",
        listed->open_error == SQ_OK ? sqi_json_number(listed->body_bytes) : json_null(),
        "stored_bytes", sqi_json_number(listed->stored_bytes));
    if (!object)
        return NULL;
    if (listed->reason[0])
        json_object_set_new(object, "reason", sqi_json_text(listed->reason));
    if (listed->open_error < 0)
        json_object_set_new(object, "error", json_string(sq_error_name(listed->open_error)));
    if (listed->state == SQ_DELAYED)
        json_object_set_new(object, "due_ms", json_integer(listed->due_ms));
    if (listed->state == SQ_LEASED)
        json_object_set_new(object, "lease_ms", json_integer(listed->lease_ms));
    if (listed->state == SQ_DEAD) {
        json_object_set_new(object, "death", json_string(sq_death_text(listed->death)));
        json_object_set_new(object, "died_ms", json_integer(listed->died_ms));
    }
    return object;
}

static int visit(const sq_listed *listed, void *context)
{
    struct listing *listing = context;
    if (listing->wanted && listed->state != listing->wanted)
        return 0;
    if (!sqi_globals.json) {
        print_row(listed);
    } else {
        if (listing->count > 0)
            putchar(',');
        listing->exit_code = sqi_print_json_part(as_json(listed));
    }
    listing->count++;
    return listing->exit_code;
}

static int list(sq_channel *channel, sq_message_state wanted)
{
    struct listing listing = {.wanted = wanted, .exit_code = SQI_EXIT_OK};
    if (sqi_globals.json)
        printf("{\"channel\":\"%s\",\"messages\":[", sq_channel_name(channel));
    else
        printf("%10s  %-8s %8s %8s %10s  %s\n", "ID", "STATE", "ATTEMPTS", "PRIORITY", "BYTES",
               "NOTE");
    int result = sq_channel_each_message(channel, visit, &listing);
    if (result < 0)
        return sqi_complain_of(result, NULL);
    if (sqi_globals.json)
        puts("]}");
    return listing.exit_code;
}

static int run(int argument_count, char **arguments)
{
    if (argument_count != 1)
        return sqi_complain(SQI_EXIT_USAGE, "list takes one channel: sealq stat lists them");
    sq_message_state wanted = wanted_state ? state_of(wanted_state) : 0;
    if (wanted_state && !wanted)
        return sqi_complain(SQI_EXIT_USAGE,
                            "--state %s: no such state: type delayed, ready, leased or dead",
                            wanted_state);
    sq_store *store;
    sq_channel *channel;
    int exit_code = sqi_open_channel(arguments[0], false, NULL, &store, &channel);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    exit_code = list(channel, wanted);
    sq_channel_free(channel);
    sq_store_close(store);
    return exit_code;
}

const struct sqi_command sqi_command_list = {
    .name = "list",
    .arguments = "CHANNEL",
    .summary = "the messages on a channel, and why the dead ones died",
    .is_basic = true,
    .options = options,
    .run = run,
};
