/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/json.h"
#include "cli/put_stream.h"
#include "cli/signals.h"
#include "cli/store_path.h"
#include "sealq/sealq.h"

#define MS_MAX (366ull * 24 * 3600 * 1000) /* a year */

static bool by_line, by_null;
static uint64_t delay_ms, expires_ms, timeout_ms = SQI_UNSET, capacity;
static uint64_t priority = SQ_PRIORITY_DEFAULT;
static const char *dedupe_key;
static struct sqi_list headers;

static const struct sqi_option options[] = {
    {"lines", SQI_FLAG, &by_line, 0, 0, "a message a line"},
    {"null", SQI_FLAG, &by_null, 0, 0, "messages that end with a NUL"},
    {"delay", SQI_NUMBER, &delay_ms, 0, MS_MAX, "ms until they are ready"},
    {"expires", SQI_NUMBER, &expires_ms, 0, MS_MAX, "ms until they are worth nothing; 0: never"},
    {"priority", SQI_NUMBER, &priority, 0, 255, "0 is first, 255 last"},
    {"dedupe", SQI_TEXT, &dedupe_key, 0, 0, "a key that no other message may have"},
    {"header", SQI_LIST, &headers, 0, 0, "NAME=VALUE, sealed with it; several may be"},
    {"timeout", SQI_NUMBER, &timeout_ms, 0, MS_MAX, "ms to wait for room; else for ever"},
    {"capacity", SQI_NUMBER, &capacity, 0, INT64_MAX, "of a new channel; 0: no bound"},
    {.name = NULL},
};

struct interruption {
    sq_channel *channel;
    int stop_fd;
    atomic_int signal;
};

static void interrupt(int signal, unsigned count, void *context)
{
    struct interruption *interruption = context;
    (void)count;
    atomic_store(&interruption->signal, signal);
    sq_channel_interrupt(interruption->channel);
    eventfd_write(interruption->stop_fd, 1);
}

/* NAME=VALUE as headers: the exit code. */
static int parse_headers(sq_header parsed[SQI_LIST_COUNT_MAX])
{
    for (size_t i = 0; i < headers.count; i++) {
        const char *text = headers.items[i], *equals = strchr(text, '=');
        if (!equals || equals == text)
            return sqi_complain(SQI_EXIT_USAGE, "--header %s: type NAME=VALUE", text);
        parsed[i] = (sq_header){.name = text,
                                .name_bytes = (size_t)(equals - text),
                                .value = equals + 1,
                                .value_bytes = strlen(equals + 1)};
    }
    return SQI_EXIT_OK;
}

static int put_file(struct sqi_put *put, const char *path, int separator)
{
    if (strcmp(path, "-") == 0)
        return sqi_put_from(put, STDIN_FILENO, "standard input", separator);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int error = errno;
        int exit_code = sqi_put_flush(put); /* those before it */
        if (exit_code != SQI_EXIT_OK)
            return exit_code;
        return sqi_complain(error == ENOENT ? SQI_EXIT_NO_INPUT : SQI_EXIT_IO,
                            "cannot open %s: %s: %" PRIu64 " messages were put", path,
                            strerror(error), put->put_count);
    }
    int exit_code = sqi_put_from(put, fd, path, separator);
    close(fd);
    return exit_code;
}

/* Puts everything that was named: the exit code. */
static int put_all(struct sqi_put *put, int file_count, char **files)
{
    static char dash[] = "-", *standard_input[] = {dash};
    int separator = by_line ? '\n' : by_null ? '\0' : SQI_WHOLE;
    if (file_count == 0) {
        files = standard_input;
        file_count = 1;
        if (isatty(STDIN_FILENO))
            sqi_complain(0, "reading from the terminal: ctrl-D ends it");
    }
    int exit_code = SQI_EXIT_OK;
    for (int i = 0; i < file_count && exit_code == SQI_EXIT_OK; i++)
        exit_code = put_file(put, files[i], separator);
    return exit_code == SQI_EXIT_OK ? sqi_put_flush(put) : exit_code;
}

static int tell(const struct sqi_put *put)
{
    if (!sqi_globals.json)
        return SQI_EXIT_OK;
    return sqi_print_json(json_pack("{s:o, s:o}", "put", sqi_json_number(put->put_count),
                                    "duplicates", sqi_json_number(put->duplicate_count)));
}

/* On an open channel: the exit code. */
static int run_on(sq_channel *channel, int file_count, char **files)
{
    static struct sqi_put put;
    static struct interruption interruption;
    sq_header parsed[SQI_LIST_COUNT_MAX];
    int exit_code = parse_headers(parsed);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    interruption.channel = channel;
    interruption.stop_fd = eventfd(0, EFD_CLOEXEC);
    put = (struct sqi_put){.channel = channel,
                           .content = {.headers = headers.count > 0 ? parsed : NULL,
                                       .header_count = headers.count,
                                       .dedupe_key = dedupe_key,
                                       .dedupe_key_bytes = dedupe_key ? strlen(dedupe_key) : 0,
                                       .has_priority = true,
                                       .priority = (uint8_t)priority},
                           .delay_ms = delay_ms,
                           .expires_ms = expires_ms,
                           .timeout_ms = timeout_ms == SQI_UNSET ? SQ_FOREVER : (int64_t)timeout_ms,
                           .stop_fd = interruption.stop_fd};
    exit_code = sqi_watch_signals(interrupt, &interruption);
    if (exit_code == SQI_EXIT_OK)
        exit_code = put_all(&put, file_count, files);
    sqi_unwatch_signals();
    if (exit_code == SQI_EXIT_SIGNAL)
        exit_code = sqi_complain(SQI_EXIT_SIGNAL + atomic_load(&interruption.signal),
                                 "interrupted: %" PRIu64 " messages were put", put.put_count);
    sqi_put_free(&put);
    close(interruption.stop_fd);
    return exit_code == SQI_EXIT_OK ? tell(&put) : exit_code;
}

static int run(int argument_count, char **arguments)
{
    if (argument_count == 0)
        return sqi_complain(SQI_EXIT_USAGE, "put needs a channel: see sealq put --help");
    if (by_line && by_null)
        return sqi_complain(SQI_EXIT_USAGE, "--lines and --null: leave one of them out");
    if (dedupe_key && (by_line || by_null || argument_count > 2))
        return sqi_complain(SQI_EXIT_USAGE,
                            "--dedupe is for one message: put the others on their own");
    sq_store *store;
    sq_channel *channel;
    sq_channel_policy policy = {.capacity = capacity};
    int exit_code = sqi_open_channel(arguments[0], true, &policy, &store, &channel);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    exit_code = run_on(channel, argument_count - 1, arguments + 1);
    sq_channel_free(channel);
    sq_store_close(store);
    return exit_code;
}

const struct sqi_command sqi_command_put = {
    .name = "put",
    .arguments = "CHANNEL [FILE]…",
    .summary = "put messages on a channel, making it when it is new",
    .details = "Each FILE is a message, or the standard input is where none is named. When it\n"
               "returns, they are in the store, synced.\n\n"
               "  echo hello | sealq put emails\n"
               "  find . -name '*.wav' -print0 | sealq put --null encode\n",
    .is_basic = true,
    .options = options,
    .run = run,
};
