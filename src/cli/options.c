/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/complain.h"

#define OPTION_COUNT_MAX 32

struct sqi_globals sqi_globals;

static const struct sqi_option no_options[] = {{.name = NULL}};
static const struct sqi_option global_options[] = {
    {"json", SQI_FLAG, &sqi_globals.json, 0, 0, "print the result as JSON"},
    {"keyring", SQI_TEXT, &sqi_globals.keyring, 0, 0, "the keyring: a file, or fd:N"},
    {"require-mlock", SQI_FLAG, &sqi_globals.require_mlock, 0, 0,
     "refuse keys that cannot be locked in memory"},
    {"help", SQI_HELP, NULL, 0, 0, "print this"},
    {.name = NULL},
};

static const struct sqi_option *options_of(const struct sqi_command *command)
{
    return command && command->options ? command->options : no_options;
}

/* "sealq demo --help", or "sealq help" where there is no command. */
static const char *advice(const struct sqi_command *command)
{
    static char text[64];
    if (!command)
        return "sealq help";
    snprintf(text, sizeof text, "sealq %s --help", command->name);
    return text;
}

static bool parse_number(const struct sqi_option *option, const char *text)
{
    char *end;
    errno = 0;
    /* strtoull takes "-1" and " 1": only what begins with a digit is a number here. */
    uint64_t number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno == ERANGE || number < option->least ||
        number > option->most) {
        sqi_complain(SQI_EXIT_USAGE,
                     "--%s %s: not a whole number from %" PRIu64 " to %" PRIu64
                     ": type, for example, --%s %" PRIu64,
                     option->name, text, option->least, option->most, option->name,
                     *(uint64_t *)option->target);
        return false;
    }
    *(uint64_t *)option->target = number;
    return true;
}

static int complain_of_word(const struct sqi_command *command, int result, const char *word)
{
    if (result == ':')
        sqi_complain(SQI_EXIT_USAGE, "%s needs a value: see %s", word, advice(command));
    else if (strncmp(word, "--", 2) == 0 && strchr(word, '=') && optopt)
        sqi_complain(SQI_EXIT_USAGE, "%s: this option takes no value: see %s", word,
                     advice(command));
    else
        sqi_complain(SQI_EXIT_USAGE, "%s: no such option, or not a whole name: see %s", word,
                     advice(command));
    return SQI_PARSE_WRONG;
}

/* glibc takes any beginning of a name that fits one option only; a new option would break scripts
   that count on that. The word stands before optind, and before its value when that is apart. */
static bool is_whole_name(const char *name, char **argv)
{
    const char *word = argv[optind - 1 - (optarg && optarg == argv[optind - 1])] + 2;
    size_t bytes = strcspn(word, "=");
    return strlen(name) == bytes && strncmp(word, name, bytes) == 0;
}

static bool has_value(const struct sqi_option *option)
{
    return option->kind == SQI_NUMBER || option->kind == SQI_TEXT;
}

/* Makes getopt's table of ours; a row's val is its index + 1. */
static size_t collect(const struct sqi_command *command, const struct sqi_option **rows,
                      struct option *longs)
{
    const struct sqi_option *tables[] = {options_of(command), global_options};
    size_t count = 0;
    for (size_t t = 0; t < 2; t++)
        for (const struct sqi_option *row = tables[t]; row->name; row++, count++) {
            assert(count < OPTION_COUNT_MAX);
            rows[count] = row;
            longs[count] = (struct option){
                row->name, has_value(row) ? required_argument : no_argument, NULL, (int)count + 1};
        }
    longs[count] = (struct option){NULL, 0, NULL, 0};
    return count;
}

int sqi_options_parse(const struct sqi_command *command, int argc, char **argv)
{
    const struct sqi_option *rows[OPTION_COUNT_MAX];
    struct option longs[OPTION_COUNT_MAX + 1];
    collect(command, rows, longs);

    optind = 0; /* glibc: start afresh, for main parses before the command does */
    for (;;) {
        int at = optind > 0 ? optind : 1;
        /* ':' first: a missing value is told apart; '+': stop at the first argument. */
        int result = getopt_long(argc, argv, command ? ":" : "+:", longs, NULL);
        if (result == -1)
            return optind;
        if (result == ':' || result == '?')
            return complain_of_word(command, result, argv[optind > at ? optind - 1 : at]);
        const struct sqi_option *row = rows[result - 1];
        if (!is_whole_name(row->name, argv))
            return complain_of_word(command, '?', argv[at]);
        if (row->kind == SQI_HELP) {
            sqi_options_help(command ? command : &sqi_command_help);
            return SQI_PARSE_HELP;
        }
        if (row->kind == SQI_FLAG)
            *(bool *)row->target = true;
        else if (row->kind == SQI_TEXT)
            *(const char **)row->target = optarg;
        else if (!parse_number(row, optarg))
            return SQI_PARSE_WRONG;
    }
}

static void print_rows(const struct sqi_option *rows)
{
    for (; rows->name; rows++) {
        char name[32];
        snprintf(name, sizeof name, "--%s%s", rows->name,
                 rows->kind == SQI_NUMBER ? " N"
                 : rows->kind == SQI_TEXT ? " TEXT"
                                          : "");
        printf("  %-18s %s", name, rows->help);
        if (rows->kind == SQI_NUMBER)
            printf(" (%" PRIu64 ")", *(const uint64_t *)rows->target);
        putchar('\n');
    }
}

void sqi_options_help(const struct sqi_command *command)
{
    printf("usage: sealq %s%s%s [OPTION]…\n\n%s\n", command->name, command->arguments[0] ? " " : "",
           command->arguments, command->summary);
    if (command->details)
        printf("\n%s", command->details);
    printf("\noptions:\n");
    print_rows(options_of(command));
    print_rows(global_options);
}
