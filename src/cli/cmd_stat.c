/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/json.h"
#include "cli/store_path.h"
#include "sealq/sealq.h"

/* The counts, as they are told for one channel. */
static const struct {
    const char *name;
    size_t offset;
    const char *meaning;
} counts[] = {
    {"delayed", offsetof(sq_channel_stats, delayed), "wait for their time"},
    {"ready", offsetof(sq_channel_stats, ready), "wait for a worker"},
    {"leased", offsetof(sq_channel_stats, leased), "are being worked on"},
    {"unfinished", offsetof(sq_channel_stats, unfinished), "these three: what join waits for"},
    {"dead", offsetof(sq_channel_stats, dead), "dead letters: see sealq list"},
    {"bytes", offsetof(sq_channel_stats, bytes), "as sealed"},
    {"puts", offsetof(sq_channel_stats, puts), "since the channel was made, as all below"},
    {"duplicates", offsetof(sq_channel_stats, duplicates), "puts that added nothing"},
    {"attempts", offsetof(sq_channel_stats, attempts), "to work on a message"},
    {"dones", offsetof(sq_channel_stats, dones), "messages done"},
    {"retries", offsetof(sq_channel_stats, retries), "handed back for another attempt"},
    {"deaths", offsetof(sq_channel_stats, deaths), "messages that became dead letters"},
    {"lost_leases", offsetof(sq_channel_stats, lost_leases), "run out, or the worker died"},
};

static uint64_t count_of(const sq_channel_stats *stats, size_t index)
{
    return *(const uint64_t *)((const char *)stats + counts[index].offset);
}

static json_t *policy_as_json(const sq_channel_policy *policy)
{
    return json_pack(
        "{s:o, s:I, s:I, s:I, s:I, s:I}", "capacity", sqi_json_number(policy->capacity), "lease_ms",
        (json_int_t)policy->lease_ms, "attempts", (json_int_t)policy->attempts, "backoff_ms",
        (json_int_t)policy->backoff_ms, "backoff_max_ms", (json_int_t)policy->backoff_max_ms,
        "dedupe_window_ms", (json_int_t)policy->dedupe_window_ms);
}

static json_t *as_json(const char *name, const sq_channel_stats *stats)
{
    json_t *object = json_pack("{s:s, s:b, s:b}", "channel", name, "closed", stats->is_closed,
                               "paused", stats->is_paused);
    for (size_t i = 0; object && i < sizeof counts / sizeof counts[0]; i++)
        json_object_set_new(object, counts[i].name, sqi_json_number(count_of(stats, i)));
    if (object)
        json_object_set_new(object, "policy", policy_as_json(&stats->policy));
    return object;
}

static const char *state_of(const sq_channel_stats *stats)
{
    return stats->is_paused   ? stats->is_closed ? "closed, paused" : "paused"
           : stats->is_closed ? "closed"
                              : "open";
}

static int tell_one(const char *name, const sq_channel_stats *stats)
{
    if (sqi_globals.json)
        return sqi_print_json(as_json(name, stats));
    printf("%-12s %s, %s\n", "channel", name, state_of(stats));
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        printf("%-12s %-12" PRIu64 " %s\n", counts[i].name, count_of(stats, i), counts[i].meaning);
    return SQI_EXIT_OK;
}

static void print_row(const char *name, const sq_channel_stats *stats)
{
    printf("%-20s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64 "  %s\n", name,
           stats->delayed, stats->ready, stats->leased, stats->dead, stats->dones, state_of(stats));
}

struct survey {
    sq_store *store;
    json_t *channels; /* NULL: printed as a table */
    int exit_code;
};

static int survey_channel(const char *name, void *context)
{
    struct survey *survey = context;
    sq_channel *channel = NULL;
    sq_channel_stats stats;
    int result = sq_channel_find(survey->store, name, &channel);
    if (result == SQ_OK)
        result = sq_channel_stat(channel, &stats);
    sq_channel_free(channel);
    if (result == SQ_ENOENT) /* removed meanwhile */
        return 0;
    if (result < 0) {
        sqi_complain_of(result, name);
        survey->exit_code = SQI_EXIT_FAILED;
    } else if (survey->channels) {
        json_array_append_new(survey->channels, as_json(name, &stats));
    } else {
        print_row(name, &stats);
    }
    return 0;
}

static int stat_all(void)
{
    struct survey survey = {.exit_code = SQI_EXIT_OK};
    int exit_code = sqi_open_store(false, &survey.store);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    if (sqi_globals.json)
        survey.channels = json_array();
    else
        printf("%-20s %9s %9s %9s %9s %9s  %s\n", "CHANNEL", "DELAYED", "READY", "LEASED", "DEAD",
               "DONE", "STATE");
    int result = sq_store_each_channel(survey.store, survey_channel, &survey);
    if (result < 0)
        survey.exit_code = sqi_complain_of(result, NULL);
    if (sqi_globals.json && result == SQ_OK) {
        exit_code = sqi_print_json(json_pack("{s:o}", "channels", survey.channels));
        survey.exit_code = exit_code != SQI_EXIT_OK ? exit_code : survey.exit_code;
    }
    sq_store_close(survey.store);
    return survey.exit_code;
}

static int stat_one(const char *name)
{
    sq_store *store;
    sq_channel *channel;
    sq_channel_stats stats;
    int exit_code = sqi_open_channel(name, false, NULL, &store, &channel);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    int result = sq_channel_stat(channel, &stats);
    exit_code = result < 0 ? sqi_complain_of(result, NULL) : tell_one(name, &stats);
    sq_channel_free(channel);
    sq_store_close(store);
    return exit_code;
}

static int run(int argument_count, char **arguments)
{
    if (argument_count > 1)
        return sqi_complain(SQI_EXIT_USAGE, "stat takes one channel, not %d: leave it out for all",
                            argument_count);
    return argument_count == 0 ? stat_all() : stat_one(arguments[0]);
}

const struct sqi_command sqi_command_stat = {
    .name = "stat",
    .arguments = "[CHANNEL]",
    .summary = "counts of a channel, or of all",
    .is_basic = true,
    .run = run,
};
