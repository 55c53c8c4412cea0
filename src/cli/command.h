/* SPDX-License-Identifier: Apache-2.0 */
/* What a subcommand is: each cmd_NAME.c defines one, main.c has the table of all. */
#ifndef SQI_CLI_COMMAND_H
#define SQI_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes: sysexits(3) where it has one. */
enum sqi_exit {
    SQI_EXIT_OK = 0,
    SQI_EXIT_FAILED = 1,    /* the work was done, and some of it failed */
    SQI_EXIT_USAGE = 64,    /* a wrong option or argument: nothing was done */
    SQI_EXIT_DATA = 65,     /* a message that cannot be one, or was forged */
    SQI_EXIT_NO_INPUT = 66, /* a file, store or channel that was named is not there */
    SQI_EXIT_CLOSED = 69,   /* the channel is closed */
    SQI_EXIT_SOFTWARE = 70, /* a bug of ours */
    SQI_EXIT_SYSTEM = 71,   /* the system refused memory, a thread, … */
    SQI_EXIT_EXISTS = 73,   /* what was to be made is there already */
    SQI_EXIT_IO = 74,       /* something could not be read or written */
    SQI_EXIT_LEASE = 75,    /* a lease was over: try again */
    SQI_EXIT_KEYRING = 78,  /* a keyring or store that is damaged, or not safe to use */
    SQI_EXIT_TIMED_OUT = 124,
    SQI_EXIT_SIGNAL = 128, /* and the signal's number: interrupted */
};

enum sqi_option_kind { SQI_FLAG, SQI_NUMBER, SQI_TEXT, SQI_LIST, SQI_HELP };

/* The default of a SQI_NUMBER that has none: its help shows no number. */
#define SQI_UNSET UINT64_MAX

/* What a SQI_LIST collects: the option may be given several times. */
#define SQI_LIST_COUNT_MAX 32
struct sqi_list {
    const char *items[SQI_LIST_COUNT_MAX];
    size_t count;
};

/* An option of a command. It is parsed, checked and explained from this one row. */
struct sqi_option {
    const char *name; /* without the dashes; NULL ends a table */
    enum sqi_option_kind kind;
    void *target; /* SQI_FLAG: bool; SQI_NUMBER: uint64_t, holding the default; SQI_TEXT: char *;
                     SQI_LIST: struct sqi_list */
    uint64_t least, most; /* SQI_NUMBER: the bounds, inclusive */
    const char *help;     /* what it does, at most 50 columns */
};

/* A short name: -j for --jobs. */
struct sqi_letter {
    char letter; /* 0 ends a table */
    const char *name;
};

/* Options that every command has, before its name or after it. */
struct sqi_globals {
    bool json;
    bool require_mlock;  /* refuse keys that cannot be locked in memory */
    const char *keyring; /* a path, fd:N or plaintext; NULL: see sqi_keyring_path() */
    const char *store;   /* a path; NULL: see sqi_open_store() */
};
extern struct sqi_globals sqi_globals;

struct sqi_command {
    const char *name;
    const char *arguments; /* for the usage line; "" for none. [OPTION] may be among them */
    const char *summary;   /* one line, at most 60 columns */
    const char *details;   /* more for its --help, lines of at most 80 columns; may be NULL */
    bool is_basic;         /* whether plain `sealq help` shows it */
    const struct sqi_option *options;
    const struct sqi_letter *letters; /* NULL: no option has a short name */
    /* Gets the arguments that are not options; returns the exit code. The word before the first
       argument is there too: "--" when it ended the options. */
    int (*run)(int argument_count, char **arguments);
};

extern const struct sqi_command *const sqi_commands[]; /* ends with NULL */
extern const struct sqi_command sqi_command_close, sqi_command_demo, sqi_command_help,
    sqi_command_join, sqi_command_key, sqi_command_list, sqi_command_put, sqi_command_stat,
    sqi_command_work;

/* NULL when there is none of that name. */
const struct sqi_command *sqi_command_find(const char *name);

#endif
