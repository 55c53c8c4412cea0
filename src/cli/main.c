/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: a table of subcommands, and nothing else. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/options.h"
#include "sealq/version.h"

const struct sqi_command *const sqi_commands[] = {
    &sqi_command_demo, &sqi_command_put,   &sqi_command_work, &sqi_command_join, &sqi_command_stat,
    &sqi_command_list, &sqi_command_close, &sqi_command_key,  &sqi_command_help, NULL,
};

const struct sqi_command *sqi_command_find(const char *name)
{
    for (const struct sqi_command *const *command = sqi_commands; *command; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return NULL;
}

static int run(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("sealq %s\n", sq_version());
        return SQI_EXIT_OK;
    }
    int at = sqi_options_parse(NULL, argc, argv);
    if (at < 0)
        return at == SQI_PARSE_HELP ? SQI_EXIT_OK : SQI_EXIT_USAGE;
    if (at == argc)
        return sqi_complain(SQI_EXIT_USAGE, "no command: type sealq demo, or sealq help");
    const struct sqi_command *command = sqi_command_find(argv[at]);
    if (!command)
        return sqi_complain(SQI_EXIT_USAGE, "%s: no such command: sealq help lists them", argv[at]);

    argc -= at; /* the command's name takes the place of the program's */
    argv += at;
    at = sqi_options_parse(command, argc, argv);
    if (at < 0)
        return at == SQI_PARSE_HELP ? SQI_EXIT_OK : SQI_EXIT_USAGE;
    return command->run(argc - at, argv + at);
}

/* Keys pass through this process: no core file, and no look into it by others of this user. */
static void hide_memory(void)
{
    struct rlimit none = {0, 0};
    (void)prctl(PR_SET_DUMPABLE, 0); /* neither can fail for these arguments */
    (void)setrlimit(RLIMIT_CORE, &none);
}

/* A store opened as descriptor 2 would be written over by the first complaint. What takes the place
   of a closed descriptor fails as that did: 0 cannot be read, 1 and 2 cannot be written. */
static void fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    hide_memory();
    fill_standard_descriptors();
    return sqi_finish_output(run(argc, argv));
}
