/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/json.h"
#include "cli/store_path.h"
#include "sealq/sealq.h"

#define SECONDS_MAX (366 * 24 * 3600)

static uint64_t timeout_s = SQI_UNSET;

static const struct sqi_option options[] = {
    {"timeout", SQI_NUMBER, &timeout_s, 0, SECONDS_MAX, "seconds to wait; else for ever"},
    {.name = NULL},
};

/* The exit code: the channel is finished, and deaths of its messages died meanwhile. */
static int tell(const char *name, uint64_t deaths)
{
    if (sqi_globals.json) {
        int exit_code = sqi_print_json(json_pack("{s:s, s:b, s:o}", "channel", name, "finished", 1,
                                                 "deaths", sqi_json_number(deaths)));
        if (exit_code != SQI_EXIT_OK)
            return exit_code;
    }
    if (deaths == 0)
        return SQI_EXIT_OK;
    return sqi_complain(SQI_EXIT_FAILED,
                        "%" PRIu64 " %s died meanwhile: sealq list %s --state dead tells why",
                        deaths, deaths == 1 ? "message" : "messages", name);
}

static int join(sq_channel *channel)
{
    uint64_t deaths = 0;
    int64_t timeout_ms = timeout_s == SQI_UNSET ? SQ_FOREVER : (int64_t)timeout_s * 1000;
    int result = sq_channel_join(channel, timeout_ms, &deaths);
    if (result == SQ_ETIMEDOUT)
        return sqi_complain(SQI_EXIT_TIMED_OUT,
                            "%s was not finished in time: sealq stat %s tells "
                            "what is left",
                            sq_channel_name(channel), sq_channel_name(channel));
    return result < 0 ? sqi_complain_of(result, NULL) : tell(sq_channel_name(channel), deaths);
}

static int run(int argument_count, char **arguments)
{
    if (argument_count != 1)
        return sqi_complain(SQI_EXIT_USAGE, "join takes one channel: sealq stat lists them");
    sq_store *store;
    sq_channel *channel;
    int exit_code = sqi_open_channel(arguments[0], false, NULL, &store, &channel);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    exit_code = join(channel);
    sq_channel_free(channel);
    sq_store_close(store);
    return exit_code;
}

const struct sqi_command sqi_command_join = {
    .name = "join",
    .arguments = "CHANNEL",
    .summary = "wait until a channel is finished",
    .details = "Until nothing on it is delayed, ready or being worked on, at one instant.\n"
               "Exit 0: all well; 1: some messages died meanwhile; 124: timed out.\n",
    .is_basic = true,
    .options = options,
    .run = run,
};
