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
#define LETTER_COUNT_MAX 8

struct sqi_globals sqi_globals;

static const struct sqi_option no_options[] = {{.name = NULL}};
static const struct sqi_option global_options[] = {
    {"json", SQI_FLAG, &sqi_globals.json, 0, 0, "print the result as JSON"},
    {"keyring", SQI_TEXT, &sqi_globals.keyring, 0, 0, "the keyring: a file, fd:N, or plaintext"},
    {"store", SQI_TEXT, &sqi_globals.store, 0, 0, "the store: a folder"},
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
        uint64_t usual = *(uint64_t *)option->target;
        sqi_complain(SQI_EXIT_USAGE,
                     "--%s %s: not a whole number from %" PRIu64 " to %" PRIu64
                     ": type, for example, --%s %" PRIu64,
                     option->name, text, option->least, option->most, option->name,
                     usual == SQI_UNSET ? option->least : usual);
        return false;
    }
    *(uint64_t *)option->target = number;
    return true;
}

static bool add_to_list(const struct sqi_option *option, const char *text)
{
    struct sqi_list *list = option->target;
    if (list->count == SQI_LIST_COUNT_MAX) {
        sqi_complain(SQI_EXIT_USAGE, "--%s %s: the most are %d: leave some out", option->name, text,
                     SQI_LIST_COUNT_MAX);
        return false;
    }
    list->items[list->count++] = text;
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

/* The row of a short name; -1 when there is none. */
static int row_of_letter(const struct sqi_command *command, const struct sqi_option *const *rows,
                         size_t count, int letter)
{
    const struct sqi_letter *letters = command ? command->letters : NULL;
    for (; letters && letters->letter; letters++)
        for (size_t i = 0; letters->letter == letter && i < count; i++)
            if (strcmp(rows[i]->name, letters->name) == 0)
                return (int)i;
    return -1;
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
    return option->kind != SQI_FLAG && option->kind != SQI_HELP;
}

/* What a row's val begins at: above every letter. */
#define ROW_BASE 256

/* Makes getopt's table of ours; a row's val is ROW_BASE and its index. */
static size_t collect(const struct sqi_command *command, const struct sqi_option **rows,
                      struct option *longs)
{
    const struct sqi_option *tables[] = {options_of(command), global_options};
    size_t count = 0;
    for (size_t t = 0; t < 2; t++)
        for (const struct sqi_option *row = tables[t]; row->name; row++, count++) {
            assert(count < OPTION_COUNT_MAX);
            rows[count] = row;
            longs[count] = (struct option){row->name,
                                           has_value(row) ? required_argument : no_argument, NULL,
                                           (int)count + ROW_BASE};
        }
    longs[count] = (struct option){NULL, 0, NULL, 0};
    return count;
}

/* getopt's string of short names. ':' first: a missing value is told apart; '+': stop at the first
   argument. All of them have a value. */
static void collect_letters(const struct sqi_command *command, char *shorts)
{
    const struct sqi_letter *letters = command ? command->letters : NULL;
    shorts += sprintf(shorts, "%s", command ? ":" : "+:");
    for (size_t i = 0; letters && letters[i].letter; i++) {
        assert(i < LETTER_COUNT_MAX);
        shorts += sprintf(shorts, "%c:", letters[i].letter);
    }
}

/* Puts what was given where the row says: 0, or how parsing ends. */
static int apply(const struct sqi_command *command, const struct sqi_option *row)
{
    switch (row->kind) {
    case SQI_HELP:
        sqi_options_help(command ? command : &sqi_command_help);
        return SQI_PARSE_HELP;
    case SQI_FLAG:
        *(bool *)row->target = true;
        return 0;
    case SQI_TEXT:
        *(const char **)row->target = optarg;
        return 0;
    case SQI_LIST:
        return add_to_list(row, optarg) ? 0 : SQI_PARSE_WRONG;
    case SQI_NUMBER:
        break;
    }
    return parse_number(row, optarg) ? 0 : SQI_PARSE_WRONG;
}

int sqi_options_parse(const struct sqi_command *command, int argc, char **argv)
{
    const struct sqi_option *rows[OPTION_COUNT_MAX];
    struct option longs[OPTION_COUNT_MAX + 1];
    char shorts[2 * LETTER_COUNT_MAX + 3];
    size_t count = collect(command, rows, longs);
    collect_letters(command, shorts);

    optind = 0; /* glibc: start afresh, for main parses before the command does */
    for (;;) {
        int at = optind > 0 ? optind : 1;
        int result = getopt_long(argc, argv, shorts, longs, NULL);
        if (result == -1)
            return optind;
        if (result == ':' || result == '?')
            return complain_of_word(command, result, argv[optind > at ? optind - 1 : at]);
        int index = result >= ROW_BASE ? result - ROW_BASE
                                       : row_of_letter(command, rows, count, result);
        assert(index >= 0);
        if (result >= ROW_BASE && !is_whole_name(rows[index]->name, argv))
            return complain_of_word(command, '?', argv[at]);
        int end = apply(command, rows[index]);
        if (end != 0)
            return end;
    }
}

/* "-j, " for an option that has a short name. */
static const char *letter_of(const struct sqi_command *command, const struct sqi_option *row)
{
    static char text[5];
    const struct sqi_letter *letters = command->letters;
    for (; letters && letters->letter; letters++)
        if (strcmp(letters->name, row->name) == 0) {
            snprintf(text, sizeof text, "-%c, ", letters->letter);
            return text;
        }
    return "";
}

static void print_rows(const struct sqi_command *command, const struct sqi_option *rows)
{
    for (; rows->name; rows++) {
        char name[40];
        snprintf(name, sizeof name, "%s--%s%s", letter_of(command, rows), rows->name,
                 rows->kind == SQI_NUMBER ? " N"
                 : has_value(rows)        ? " TEXT"
                                          : "");
        printf("  %-18s %s", name, rows->help);
        if (rows->kind == SQI_NUMBER && *(const uint64_t *)rows->target != SQI_UNSET)
            printf(" (%" PRIu64 ")", *(const uint64_t *)rows->target);
        putchar('\n');
    }
}

void sqi_options_help(const struct sqi_command *command)
{
    printf("usage: sealq %s%s%s%s\n\n%s\n", command->name, command->arguments[0] ? " " : "",
           command->arguments, strstr(command->arguments, "[OPTION]") ? "" : " [OPTION]…",
           command->summary);
    if (command->details)
        printf("\n%s", command->details);
    printf("\noptions:\n");
    print_rows(command, options_of(command));
    print_rows(command, global_options);
}
