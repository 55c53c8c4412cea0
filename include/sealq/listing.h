/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file listing.h
 * Listing the messages of a channel, in every state, opened where the keyring can.
 */
#ifndef SEALQ_LISTING_H
#define SEALQ_LISTING_H

#include <stdint.h>

#include "channel.h"
#include "error.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sq_message_state {
    SQ_DELAYED = 1,
    SQ_READY = 2,
    SQ_LEASED = 3,
    SQ_DEAD = 4,
} sq_message_state;

typedef enum sq_death {
    SQ_DEATH_BURIED = 1,   /**< a consumer's verdict */
    SQ_DEATH_ATTEMPTS = 2, /**< attempts used up */
    SQ_DEATH_EXPIRED = 3,  /**< its time was over */
    SQ_DEATH_REFUSED = 4,  /**< it failed authentication, or is malformed */
} sq_death;

/** A message as it is listed; pointers are valid during the visit. */
typedef struct sq_listed {
    uint64_t id;
    sq_message_state state;
    uint32_t attempts; /**< so far */
    uint8_t priority;
    sq_death death;      /**< of the dead; else 0 */
    const char *reason;  /**< of a death or the last retry; "" where none is known */
    int64_t due_ms;      /**< of the delayed: when it becomes ready, ms since the epoch */
    int64_t died_ms;     /**< of the dead, ms since the epoch */
    int64_t lease_ms;    /**< of the leased: how long the lease still lasts */
    size_t stored_bytes; /**< as it lies in the store */
    int open_error;      /**< 0, or why it cannot be opened; then there is no body */
    const void *body;
    size_t body_bytes;
    uint64_t reserved[4];
} sq_listed;

/** What sq_channel_each_message() calls for each. */
typedef int (*sq_message_visitor)(const sq_listed *listed, void *context);

/**
 * Go through a channel's messages, in the order of their ids, a thousand a transaction: a message
 * that changes meanwhile is seen as it was or as it is.
 *
 * visit        a result other than 0 ends it. It must not use the store.
 * context      handed to visit.
 * Returns      0, or what visit ended it with.
 * Errors       those that all have; see channel.h.
 */
SQ_API int sq_channel_each_message(sq_channel *channel, sq_message_visitor visit, void *context);

/**
 * A few words for a way to die, such as "attempts used up".
 *
 * death        any; "" for none.
 * Ownership    a constant; do not free it.
 */
SQ_API const char *sq_death_text(sq_death death);

#ifdef __cplusplus
}
#endif
#endif
