/* SPDX-License-Identifier: Apache-2.0 */
/* From bytes that are read to messages that are put: what `put` and `work --lines` share. */
#ifndef SQI_CLI_PUT_STREAM_H
#define SQI_CLI_PUT_STREAM_H

#include <stdint.h>

#include "sealq/channel.h"

#define SQI_BATCH_MESSAGES_MAX 1000
#define SQI_BATCH_BYTES_MAX (8 * 1024 * 1024) /* a last message may go beyond */

/* A separator that is none: all that is read is one message, be it empty. */
#define SQI_WHOLE (-1)

/* Zeroed but for channel and timeout_ms: plain messages. */
struct sqi_put {
    sq_channel *channel;
    sq_content content;  /* of each message, but for body and times */
    uint64_t delay_ms;   /* from the put */
    uint64_t expires_ms; /* from the put; 0: never */
    int64_t timeout_ms;  /* for room */
    int stop_fd;         /* readable: stop reading. -1: none */

    uint64_t put_count, duplicate_count; /* so far */

    /* Messages that are read and not put yet, one after the other. */
    char *batch;
    size_t batch_bytes, batch_room_bytes, batch_count;
    size_t batch_ends[SQI_BATCH_MESSAGES_MAX];
};

/*
 * Reads fd to its end and puts what it reads as messages: what stands between separators, or the
 * whole. Messages are put as soon as no more is there to be read; the last ones may be left for
 * sqi_put_flush(), so that several sources share commits.
 *
 * name is for complaints. Returns 0; the exit code after a complaint; or, with none,
 * SQI_EXIT_SIGNAL when stop_fd or sq_channel_interrupt() ended it.
 */
int sqi_put_from(struct sqi_put *put, int fd, const char *name, int separator);

/* Puts what is left: the exit code as sqi_put_from(). */
int sqi_put_flush(struct sqi_put *put);

void sqi_put_free(struct sqi_put *put);

#endif
