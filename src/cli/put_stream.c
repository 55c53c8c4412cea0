/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/put_stream.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/complain.h"

#define READ_BYTES_LEAST (64 * 1024)
/* A message and its separator. */
#define READ_BYTES_MAX ((size_t)SQ_BODY_BYTES_MAX + 1)

struct reader {
    int fd;
    const char *name;
    int separator;
    char *bytes;
    size_t used_bytes, room_bytes;
    size_t scanned_bytes; /* no separator among these */
    uint64_t number;      /* of the message that is being read, from 1 */
    bool is_at_end;
};

static int no_memory(void)
{
    return sqi_complain(SQI_EXIT_SYSTEM, "no memory for a message: end other programs");
}

/* ── putting ──────────────────────────────────────────────────────────────────────────────── */

static int complain_of_put(const struct sqi_put *put, int result)
{
    if (result == SQ_EINTERRUPTED)
        return SQI_EXIT_SIGNAL;
    if (result == SQ_EFULL)
        return sqi_complain(SQI_EXIT_TIMED_OUT,
                            "the channel is full, and no room came in time, after %" PRIu64
                            " messages: start more workers",
                            put->put_count);
    int exit_code = sqi_complain_of(result, "cannot put");
    if (put->put_count > 0)
        sqi_complain(exit_code, "%" PRIu64 " %s put before that", put->put_count,
                     put->put_count == 1 ? "message was" : "messages were");
    return exit_code;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* How many of contents went in, or an error. */
static ssize_t put_some(struct sqi_put *put, const sq_content *contents, size_t count)
{
    if (!put->content.dedupe_key) {
        ssize_t result = sq_channel_put_many(put->channel, contents, count, put->timeout_ms, NULL);
        put->put_count += result > 0 ? (uint64_t)result : 0;
        return result;
    }
    /* Only this one tells whether it was a duplicate. */
    int result = sq_channel_put(put->channel, contents, put->timeout_ms, NULL);
    if (result < 0)
        return result;
    put->put_count += result == 0;
    put->duplicate_count += result == 1;
    return 1;
}

int sqi_put_flush(struct sqi_put *put)
{
    if (put->batch_count == 0)
        return SQI_EXIT_OK;
    sq_content *contents = calloc(put->batch_count, sizeof *contents);
    if (!contents)
        return no_memory();
    uint64_t now = now_ms();
    for (size_t i = 0, begin = 0; i < put->batch_count; begin = put->batch_ends[i++]) {
        contents[i] = put->content;
        contents[i].body = put->batch + begin;
        contents[i].body_bytes = put->batch_ends[i] - begin;
        contents[i].not_before_ms = put->delay_ms > 0 ? now + put->delay_ms : 0;
        contents[i].expires_ms = put->expires_ms > 0 ? now + put->expires_ms : 0;
    }
    ssize_t result = 0;
    for (size_t at = 0; at < put->batch_count && result >= 0; at += result > 0 ? (size_t)result : 0)
        result = put_some(put, contents + at, put->batch_count - at);
    free(contents);
    put->batch_bytes = put->batch_count = 0;
    return result < 0 ? complain_of_put(put, (int)result) : SQI_EXIT_OK;
}

/* Adds a message to the batch, and puts that when it is full: the exit code. */
static int add(struct sqi_put *put, const char *bytes, size_t count_bytes)
{
    size_t wanted = put->batch_bytes + count_bytes;
    if (!put->batch || wanted > put->batch_room_bytes) {
        size_t room = 2 * wanted + READ_BYTES_LEAST;
        char *batch = realloc(put->batch, room);
        if (!batch)
            return no_memory();
        put->batch = batch;
        put->batch_room_bytes = room;
    }
    memcpy(put->batch + put->batch_bytes, bytes, count_bytes);
    put->batch_bytes = put->batch_ends[put->batch_count++] = wanted;
    bool is_full = put->batch_count == SQI_BATCH_MESSAGES_MAX ||
                   put->batch_bytes >= SQI_BATCH_BYTES_MAX;
    return is_full ? sqi_put_flush(put) : SQI_EXIT_OK;
}

void sqi_put_free(struct sqi_put *put)
{
    free(put->batch);
    put->batch = NULL;
}

/* ── reading ──────────────────────────────────────────────────────────────────────────────── */

static bool is_readable_now(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return poll(&ready, 1, 0) != 0;
}

/* Waits for something to read, without an end: false when it is time to stop. */
static bool wait_for_more(const struct sqi_put *put, int fd)
{
    struct pollfd ready[] = {{.fd = put->stop_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    while (poll(ready, 2, -1) < 0 && errno == EINTR)
        ;
    return ready[0].revents == 0;
}

/* Reads what there is, once: the exit code. */
static int read_some(const struct sqi_put *put, struct reader *reader)
{
    if (reader->used_bytes == reader->room_bytes) {
        size_t room = reader->room_bytes ? 2 * reader->room_bytes : READ_BYTES_LEAST;
        room = room < READ_BYTES_MAX ? room : READ_BYTES_MAX;
        char *bytes = realloc(reader->bytes, room);
        if (!bytes)
            return no_memory();
        reader->bytes = bytes;
        reader->room_bytes = room;
    }
    if (!wait_for_more(put, reader->fd))
        return SQI_EXIT_SIGNAL;
    ssize_t count = read(reader->fd, reader->bytes + reader->used_bytes,
                         reader->room_bytes - reader->used_bytes);
    if (count < 0 && errno != EINTR && errno != EAGAIN)
        return sqi_complain(SQI_EXIT_IO, "cannot read %s: %s: %" PRIu64 " messages were put",
                            reader->name, strerror(errno), put->put_count);
    reader->is_at_end = count == 0;
    reader->used_bytes += count > 0 ? (size_t)count : 0;
    return SQI_EXIT_OK;
}

static int complain_of_size(struct sqi_put *put, const struct reader *reader)
{
    int exit_code = sqi_put_flush(put); /* what came before it */
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    if (reader->separator == SQI_WHOLE)
        return sqi_complain(SQI_EXIT_DATA,
                            "%s is larger than a message may be, %d bytes: put it elsewhere, and "
                            "its name here (%" PRIu64 " messages were put)",
                            reader->name, SQ_BODY_BYTES_MAX, put->put_count);
    return sqi_complain(SQI_EXIT_DATA,
                        "%s %" PRIu64 " of %s is longer than a message may be, %d bytes: split it "
                        "(%" PRIu64 " messages were put)",
                        reader->separator == '\n' ? "line" : "message", reader->number,
                        reader->name, SQ_BODY_BYTES_MAX, put->put_count);
}

/* Takes the messages that are there whole out of what was read: the exit code. */
static int take(struct sqi_put *put, struct reader *reader)
{
    size_t begin = 0;
    int exit_code = SQI_EXIT_OK;
    while (reader->separator != SQI_WHOLE && exit_code == SQI_EXIT_OK) {
        const char *end = reader->used_bytes > reader->scanned_bytes
                              ? memchr(reader->bytes + reader->scanned_bytes, reader->separator,
                                       reader->used_bytes - reader->scanned_bytes)
                              : NULL;
        reader->scanned_bytes = end ? (size_t)(end - reader->bytes) + 1 : reader->used_bytes;
        if (!end)
            break;
        exit_code = add(put, reader->bytes + begin, reader->scanned_bytes - 1 - begin);
        begin = reader->scanned_bytes;
        reader->number++;
    }
    size_t rest = reader->used_bytes - begin;
    if (exit_code == SQI_EXIT_OK && rest > SQ_BODY_BYTES_MAX)
        return complain_of_size(put, reader);
    if (exit_code == SQI_EXIT_OK && reader->is_at_end &&
        (rest > 0 || reader->separator == SQI_WHOLE))
        exit_code = add(put, reader->bytes + begin, rest);
    if (begin > 0)
        memmove(reader->bytes, reader->bytes + begin, rest);
    reader->used_bytes = reader->scanned_bytes = rest;
    return exit_code;
}

int sqi_put_from(struct sqi_put *put, int fd, const char *name, int separator)
{
    struct reader reader = {.fd = fd, .name = name, .separator = separator, .number = 1};
    int exit_code = SQI_EXIT_OK;
    while (exit_code == SQI_EXIT_OK && !reader.is_at_end) {
        exit_code = read_some(put, &reader);
        if (exit_code == SQI_EXIT_OK)
            exit_code = take(put, &reader);
        if (exit_code == SQI_EXIT_OK && !is_readable_now(fd))
            exit_code = sqi_put_flush(put); /* rather than wait with these in hand */
    }
    free(reader.bytes);
    return exit_code;
}
