/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/options.h"
#include "sealq/version.h"

static bool show_all;

static const struct sqi_option options[] = {
    {"all", SQI_FLAG, &show_all, 0, 0, "list every command"},
    {.name = NULL},
};

static int run(int argument_count, char **arguments)
{
    if (argument_count > 1)
        return sqi_complain(SQI_EXIT_USAGE, "help takes one command, not %d: type sealq help %s",
                            argument_count, arguments[0]);
    if (argument_count == 1) {
        const struct sqi_command *command = sqi_command_find(arguments[0]);
        if (!command)
            return sqi_complain(SQI_EXIT_USAGE, "%s: no such command: sealq help --all lists them",
                                arguments[0]);
        sqi_options_help(command);
        return SQI_EXIT_OK;
    }
    printf("sealq %s: the producer-consumer queue as it should be\n\n"
           "usage: sealq COMMAND [ARGUMENT]… [OPTION]…\n\ncommands:\n",
           sq_version());
    for (const struct sqi_command *const *command = sqi_commands; *command; command++)
        if (show_all || (*command)->is_basic)
            printf("  %-10s %s\n", (*command)->name, (*command)->summary);
    printf("\nsealq help COMMAND, or sealq COMMAND --help, explains a command.\n");
    return SQI_EXIT_OK;
}

const struct sqi_command sqi_command_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "list the commands, or explain one",
    .is_basic = true,
    .options = options,
    .run = run,
};
