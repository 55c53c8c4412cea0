/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file message.h
 * A message is what a get on a channel leases: to be read, and then ended by one of four verdicts.
 *
 *     done        gone, with what it emitted, in one commit
 *     retry       back for another attempt, after a delay; the last attempt makes it dead
 *     release     back, and no attempt counted
 *     bury        dead: kept for a person to look at
 *
 * A lease that is not ended runs out, and the message goes to somebody else; who ends it after
 * that is told SQ_ELEASE and changes nothing. A message belongs to one thread at a time. All may
 * fail with the errors that channel.h names for all.
 */
#ifndef SEALQ_MESSAGE_H
#define SEALQ_MESSAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "envelope.h"
#include "error.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sq_channel sq_channel;

/** A message that was got, open. Read it; the functions below end it. */
typedef struct sq_message {
    const void *body;
    size_t body_bytes;
    uint64_t id;           /**< unique in the store */
    uint64_t token;        /**< of this lease */
    uint32_t attempt;      /**< 1 for the first */
    uint32_t attempts_max; /**< with this one a retry is a death */
    uint8_t priority;
    int64_t created_ms;  /**< when it was sealed */
    int64_t expires_ms;  /**< 0: never */
    sq_opened opened;    /**< for sq_opened_header() */
    sq_channel *channel; /**< where it was got */
} sq_message;

/**
 * A message is done: with what it emitted, in one commit. Frees it, whatever is returned.
 *
 * message      NULL does nothing.
 * Errors       SQ_ELEASE (the lease was over: nothing changed, another may have the message, and
 *              what it emitted is forgotten), SQ_ESHUTDOWN (a channel it emitted to is closed).
 */
SQ_API int sq_message_done(sq_message *message);

/**
 * Several messages of one channel are done, in as few commits as possible. Frees them all.
 *
 * messages     of one channel; each becomes NULL.
 * count        how many.
 * Returns      how many were done; fewer where a lease was over.
 * Errors       SQ_ELEASE (none was), SQ_ESHUTDOWN.
 */
SQ_API ssize_t sq_message_done_many(sq_message **messages, size_t count);

/**
 * Hand a message back for another attempt; the last attempt makes it a dead letter. Frees it.
 *
 * delay_ms     until then; -1: the channel's backoff for this attempt.
 * reason       why, kept sealed should it die; text of at most 1,000 bytes, or NULL.
 * Returns      0; 1 when this was the last attempt and it is dead.
 * Errors       SQ_ELEASE.
 */
SQ_API int sq_message_retry(sq_message *message, int64_t delay_ms, const char *reason);

/**
 * Make a message a dead letter. Frees it.
 *
 * reason       as sq_message_retry().
 * Errors       SQ_ELEASE.
 */
SQ_API int sq_message_bury(sq_message *message, const char *reason);

/**
 * Hand a message back, with no attempt counted. Frees it.
 *
 * delay_ms     until it is ready again; 0: at once.
 * Errors       SQ_ELEASE.
 */
SQ_API int sq_message_release(sq_message *message, int64_t delay_ms);

/**
 * Extend a lease, counted from now.
 *
 * lease_ms     how long; 0: the channel's.
 * Errors       SQ_ELEASE.
 */
SQ_API int sq_message_extend(sq_message *message, int64_t lease_ms);

/**
 * Stage a result, put with the message's done, in one commit; forgotten otherwise. It may exceed
 * the target's capacity: a consumer must be able to finish.
 *
 * channel      of the same store.
 * body         copied.
 * body_bytes   its size.
 * Errors       SQ_EFULL (10,000 staged).
 */
SQ_API int sq_message_emit(sq_message *message, sq_channel *channel, const void *body,
                           size_t body_bytes);

/**
 * Forget a message without a word to the store: its lease runs out. NULL does nothing. To end one
 * properly use sq_message_done() and its kin.
 *
 * Returns      NULL.
 */
SQ_API sq_message *sq_message_free(sq_message *message);

/**
 * The value of one of a message's headers.
 *
 * name         the header's.
 * ret_header   filled when it is there.
 * Returns      1, or 0 when there is none.
 * Errors       SQ_EINVAL.
 */
SQ_API int sq_message_header(const sq_message *message, const char *name, sq_header *ret_header);

#ifdef __cplusplus
}
#endif
#endif
