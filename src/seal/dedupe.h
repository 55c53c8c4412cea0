/* SPDX-License-Identifier: Apache-2.0 */
/* Dedupe ids under every key that a keyring accepts: after a rotation a store may still hold ids
   under the keys before. */
#ifndef SQI_SEAL_DEDUPE_H
#define SQI_SEAL_DEDUPE_H

#include "seal/schedule.h"
#include "sealq/keyring.h"

struct sqi_dedupe_keys; /* on the secure heap; never changes: for any thread */

/* The keys of one channel: first that which a sealer's ids are made with. SQ_ENOKEY, SQ_ENOMEM. */
int sqi_dedupe_keys_new(const sq_keyring *keyring, const char *channel,
                        struct sqi_dedupe_keys **ret_keys);
struct sqi_dedupe_keys *sqi_dedupe_keys_free(struct sqi_dedupe_keys *keys);

size_t sqi_dedupe_id_count(const struct sqi_dedupe_keys *keys);

/* Writes sqi_dedupe_id_count() ids. */
int sqi_dedupe_ids(const struct sqi_dedupe_keys *keys, const void *dedupe_key,
                   size_t dedupe_key_bytes, uint8_t (*ret_ids)[SQI_DEDUPE_ID_BYTES]);

#endif
