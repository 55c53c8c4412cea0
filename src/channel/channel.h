/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share: stores, channels and messages from inside. */
#ifndef SQI_CHANNEL_CHANNEL_H
#define SQI_CHANNEL_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel/pool.h"
#include "engine/engine.h"
#include "seal/dedupe.h"
#include "sealq/channel.h"
#include "sealq/store.h"

#define SQI_HANDED_BACK_MS 30000
#define SQI_WARNED_MAX 64
#define SQI_EMISSIONS_MAX SQI_COMMIT_MESSAGES_MAX
#define SQI_REASON_TEXT_BYTES_MAX 1000

struct sq_store {
    struct sqi_engine *engine;
    sq_keyring *keyring; /* a share of the caller's */
    sq_store_options options;
    uint32_t fork_generation;
    struct sqi_pool openers;     /* of sq_opener */
    _Atomic uint32_t users;      /* channels */
    pthread_mutex_t warned_lock; /* guards what follows */
    char warned[SQI_WARNED_MAX][SQ_KEY_ID_BYTES];
    unsigned warned_count;
};

struct sq_channel {
    sq_store *store;
    uint32_t number;
    char name[SQ_CHANNEL_NAME_BYTES_MAX + 1];
    struct sqi_policy policy;
    struct sqi_dedupe_keys *dedupe_keys;
    struct sqi_pool sealers, reason_sealers; /* of sq_sealer */
    _Atomic uint32_t users;                  /* messages and consumers */
    atomic_bool is_interrupted;
};

/* A message, and what the user does not see of it. */
struct sqi_message {
    sq_message public; /* first: a sq_message is the address of one of these */
    _Atomic int64_t deadline_ns;
    struct sqi_emission *emissions; /* staged; their envelopes are malloc'd */
    size_t emission_count, emission_room;
    uint8_t plain[]; /* what the public pointers lead into */
};

/* SQ_OK, or why a call may not go on: NULL, or the child of a fork. */
int sqi_store_check(const sq_store *store);
int sqi_channel_check(const sq_channel *channel);

/* ── put.c ── */

/* Seals into malloc'd memory. The dedupe ids, where the content has a key, lie behind it. */
int sqi_seal_put(sq_channel *channel, const sq_content *content, struct sqi_put *ret_put);

/* ── wait.c ── */

/* A wait on a channel: between two looks. */
struct sqi_wait {
    sq_channel *channel;
    int64_t deadline_ns;
    const atomic_bool *cancelled; /* ends it, too; may be NULL */
    uint32_t seen;
};
/* Before each look. */
void sqi_wait_begin(struct sqi_wait *wait);
/* After a look that found nothing: SQ_OK to look again; SQ_ETIMEDOUT, SQ_EINTERRUPTED or worse. */
int sqi_wait_sleep(struct sqi_wait *wait, const struct sqi_due *due);

/* SQ_OK, SQ_ETIMEDOUT, SQ_EINTERRUPTED. */
int sqi_channel_join_until(sq_channel *channel, int64_t deadline_ns, const atomic_bool *cancelled,
                           uint64_t *ret_deaths);

/* ── get.c ── */

/* Gets at most count_max messages until the deadline or *cancelled, settling first what is given:
   how many, or SQ_ETIMEDOUT (settled nevertheless), SQ_ESHUTDOWN, SQ_EINTERRUPTED … */
ssize_t sqi_channel_get_until(sq_channel *channel, size_t count_max, const sq_get_options *options,
                              int64_t deadline_ns, const atomic_bool *cancelled,
                              struct sqi_settlement *settlements, size_t settlement_count,
                              sq_message **ret_messages);

/* ── message.c ── */

/* What ends a message; reasons are sealed into malloc'd memory, freed by the second. */
int sqi_message_settlement(sq_message *message, enum sqi_verdict verdict, int64_t delay_ms,
                           const char *reason, struct sqi_settlement *ret_settlement);
/* Frees message and settlement, and turns the settlement's result into a code with a sentence. */
int sqi_message_settled(sq_message *message, struct sqi_settlement *settlement);

/* The backoff before the attempt that follows this one, ±20 %. */
int64_t sqi_backoff_ms(const struct sqi_policy *policy, uint32_t attempt);

#endif
