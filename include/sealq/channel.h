/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file channel.h
 * A channel is a named queue in a store: put, get, done, join, with sealed messages.
 *
 *               not before            get               done
 *     put ──► [delayed] ────► [ready] ──────► [leased] ──────► gone
 *       └────────────────────────▲ ▲             │ │ │
 *                                │ └─ lease over ┘ │ └─ bury · attempts used up · expired · forged
 *                             [delayed] ◄─ retry ──┘                     │
 *                                                                     [dead]
 *
 * At least once: a message got is leased until a deadline. Done in time, it is gone; else it goes
 * to somebody else, and who comes too late is told SQ_ELEASE. A process that dies loses its leases
 * at once. Priority first (0 is first, 255 last), then FIFO; what enters ready goes last.
 *
 * Time-outs are as in queue.h. Times of day are in milliseconds since the epoch. Every function
 * may be called from any thread unless it says otherwise; a message belongs to one thread at a
 * time. All may fail with SQ_EINVAL, SQ_ENOMEM, SQ_EFORK (made before a fork), SQ_EIO,
 * SQ_ENOSPACE, SQ_ESTORE, SQ_EPOISONED (a sync failed: reopen the store) and SQ_ENOENT (the
 * channel was removed), beyond the errors named; after an error nothing has changed.
 */
#ifndef SEALQ_CHANNEL_H
#define SEALQ_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "consumer.h"
#include "envelope.h"
#include "error.h"
#include "message.h"
#include "store.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How a channel treats its messages; kept in the store. Zeroed: the defaults. */
typedef struct sq_channel_policy {
    uint64_t capacity;        /**< unfinished messages at most; puts wait for room. 0: no bound */
    int64_t lease_ms;         /**< how long a message is leased; 0: 30,000 */
    uint32_t attempts;        /**< before it is dead; 0: 10 */
    int64_t backoff_ms;       /**< before the second attempt, then doubled, ±20 %; 0: 1,000 */
    int64_t backoff_max_ms;   /**< at most; 0: 300,000 */
    int64_t dedupe_window_ms; /**< how long a dedupe key is held after its put; 0: 300,000 */
    uint64_t reserved[8];
} sq_channel_policy;

/** What sq_channel_stat() tells: all for one instant. */
typedef struct sq_channel_stats {
    uint64_t delayed;     /**< waiting for their time */
    uint64_t ready;       /**< waiting for a get */
    uint64_t leased;      /**< being worked on */
    uint64_t dead;        /**< dead letters */
    uint64_t unfinished;  /**< delayed + ready + leased: what join waits for */
    uint64_t bytes;       /**< of sealed messages, the dead ones' too */
    uint64_t puts;        /**< since the channel was made, as all that follow */
    uint64_t duplicates;  /**< puts that added nothing, for their dedupe key was held */
    uint64_t attempts;    /**< leases, the released ones not counted */
    uint64_t dones;       /**< messages done */
    uint64_t retries;     /**< handed back for another attempt */
    uint64_t deaths;      /**< messages that became dead letters */
    uint64_t lost_leases; /**< run out, or their owner died */
    bool is_closed;
    bool is_paused;
    sq_channel_policy policy; /**< as it is, defaults filled in */
    uint64_t reserved[8];
} sq_channel_stats;

/** How sq_channel_get_many() gets. Zeroed: one by one's defaults. */
typedef struct sq_get_options {
    int64_t lease_ms; /**< 0: the channel's */
    bool is_unowned;  /**< the lease ends by time alone, not with this process: for scripts */
    uint64_t reserved[4];
} sq_get_options;

/* ── channels ────────────────────────────────────────────────────────────────────────────── */

/**
 * Open a channel, making it when it does not exist.
 *
 * store        must outlive it.
 * name         `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`.
 * policy       for a new channel; NULL: the defaults. One that exists keeps its own.
 * ret_channel  end it with sq_channel_free(). Untouched on failure.
 * Errors       SQ_ENOKEY or SQ_ERETIRED (the keyring cannot open this channel), SQ_EAUTH,
 *              SQ_EFULL (65,536 channels).
 */
SQ_API int sq_channel_open(sq_store *store, const char *name, const sq_channel_policy *policy,
                           sq_channel **ret_channel);

/**
 * Open a channel that must exist.
 *
 * store        must outlive it.
 * name         as sq_channel_open().
 * ret_channel  as sq_channel_open().
 * Errors       as sq_channel_open(); SQ_ENOENT.
 */
SQ_API int sq_channel_find(sq_store *store, const char *name, sq_channel **ret_channel);

/**
 * Free a channel's handle; the channel stays in its store. NULL does nothing. Its messages and
 * consumers must be freed before.
 *
 * Returns      NULL.
 * Threads      one, when no other uses it any more.
 */
SQ_API sq_channel *sq_channel_free(sq_channel *channel);

/** A channel's name; it lives as long as the channel. */
SQ_API const char *sq_channel_name(const sq_channel *channel);

/**
 * Put one message, waiting for room where the channel has a capacity.
 *
 * content      body, headers, priority, dedupe key, times; the caller keeps it.
 * timeout_ms   how long to wait while the channel is full.
 * ret_id       the message's id, or the first's when it is a duplicate; may be NULL.
 * Returns      0: it is in the store, synced. 1: a duplicate of one there, nothing was added.
 * Errors       SQ_EFULL, SQ_ESHUTDOWN (closed), SQ_ENOSPACE (quota or disk full).
 */
SQ_API int sq_channel_put(sq_channel *channel, const sq_content *content, int64_t timeout_ms,
                          uint64_t *ret_id);

/**
 * Put several messages in as few commits as possible; like write(2) it may put only some.
 *
 * contents     put from the first on.
 * count        how many; 0 puts none.
 * timeout_ms   how long to wait, in all, for room.
 * ret_ids      count ids, of those that went in; may be NULL.
 * Returns      how many went in (a duplicate counts), from the first on; an error only for none.
 * Errors       as sq_channel_put().
 */
SQ_API ssize_t sq_channel_put_many(sq_channel *channel, const sq_content *contents, size_t count,
                                   int64_t timeout_ms, uint64_t *ret_ids);

/**
 * Get one message, waiting for it.
 *
 * timeout_ms   how long to wait while none is ready.
 * ret_message  the message; end it with one of the functions below.
 * Errors       SQ_EEMPTY (none in time), SQ_ESHUTDOWN (closed, and nothing is unfinished).
 */
SQ_API int sq_channel_get(sq_channel *channel, int64_t timeout_ms, sq_message **ret_message);

/**
 * Get several messages in one commit: waits for the first only.
 *
 * count_max     room in ret_messages; at most 10,000 come.
 * timeout_ms    how long to wait for the first.
 * options       NULL: the defaults.
 * ret_messages  the messages, in order.
 * Returns       how many there are, at least 1.
 * Errors        as sq_channel_get().
 */
SQ_API ssize_t sq_channel_get_many(sq_channel *channel, size_t count_max, int64_t timeout_ms,
                                   const sq_get_options *options, sq_message **ret_messages);

/**
 * Wait until the channel is finished: delayed + ready + leased is 0 at one instant. Dead letters
 * do not hold it up, paused messages do.
 *
 * timeout_ms   how long to wait.
 * ret_deaths   how many messages died since the wait began; may be NULL.
 * Errors       SQ_ETIMEDOUT.
 */
SQ_API int sq_channel_join(sq_channel *channel, int64_t timeout_ms, uint64_t *ret_deaths);

/**
 * Close a channel's input, durably: puts answer SQ_ESHUTDOWN from now on; retries go on, and gets
 * answer SQ_ESHUTDOWN once nothing is unfinished.
 *
 * Returns      0, also when it was closed before.
 * Errors       those that all have.
 */
SQ_API int sq_channel_close(sq_channel *channel);

/**
 * Pause a channel, durably: puts go on, gets see it empty.
 *
 * Errors       those that all have.
 */
SQ_API int sq_channel_pause(sq_channel *channel);

/**
 * Resume a paused channel.
 *
 * Errors       those that all have.
 */
SQ_API int sq_channel_resume(sq_channel *channel);

/**
 * End all waits on this handle, those to come too: gets, joins and puts that would wait answer
 * SQ_EINTERRUPTED from now on; what needs no wait goes on. For a program that ends.
 */
SQ_API void sq_channel_interrupt(sq_channel *channel);

/**
 * Counts and policy of a channel.
 *
 * ret_stats    filled; untouched on failure.
 * Errors       those that all have.
 */
SQ_API int sq_channel_stat(sq_channel *channel, sq_channel_stats *ret_stats);

/* ── consumers ───────────────────────────────────────────────────────────────────────────── */

/** What a handler of a channel's consumer returns; negative numbers retry, as SQ_RETRY. */
enum { SQ_DONE = 0, SQ_RETRY = 1, SQ_BURY = 2 };

/**
 * Start a consumer over a channel: N threads with a handler, whose item is a `sq_message *`.
 *
 * The handler answers SQ_DONE, SQ_RETRY (after the channel's backoff) or SQ_BURY; it must not end
 * the message itself, and may read it, emit from it, and sq_message_extend() it. Leases renew by
 * themselves, at a third of their time. sq_consumer_drain() waits as sq_channel_join();
 * sq_consumer_stop() finishes what is in hand. on_error is told of what a negative handler
 * returned, and of commits that failed. SQ_RETRY and SQ_BURY count as errors in the stats.
 *
 * options       as for sq_queue_consume(). Copied.
 * ret_consumer  end it with sq_consumer_free(), before the channel's.
 * Errors        as sq_queue_consume().
 */
SQ_API int sq_channel_consume(sq_channel *channel, const sq_consumer_options *options,
                              sq_consumer **ret_consumer);

#ifdef __cplusplus
}
#endif
#endif
