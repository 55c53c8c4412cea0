/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/store_path.h"
#include "sealq/sealq.h"

static int run(int argument_count, char **arguments)
{
    if (argument_count != 1)
        return sqi_complain(SQI_EXIT_USAGE, "close takes one channel: sealq stat lists them");
    sq_store *store;
    sq_channel *channel;
    int exit_code = sqi_open_channel(arguments[0], false, NULL, &store, &channel);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    int result = sq_channel_close(channel);
    if (result < 0)
        exit_code = sqi_complain_of(result, NULL);
    else if (sqi_globals.json)
        printf("{\"channel\":\"%s\",\"closed\":true}\n", sq_channel_name(channel));
    sq_channel_free(channel);
    sq_store_close(store);
    return exit_code;
}

const struct sqi_command sqi_command_close = {
    .name = "close",
    .arguments = "CHANNEL",
    .summary = "let nothing more be put on a channel",
    .details = "What is on it is still worked on; once that is finished, its workers end.\n",
    .is_basic = true,
    .run = run,
};
