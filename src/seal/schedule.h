/* SPDX-License-Identifier: Apache-2.0 */
/* The key schedule of the envelope: every key, and every id, that is derived from another. */
#ifndef SQI_SEAL_SCHEDULE_H
#define SQI_SEAL_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

#include "seal/secret.h"

#define SQI_KEY_ID_BYTES 8
#define SQI_SALT_BYTES 24
#define SQI_COMMITMENT_BYTES 32
#define SQI_DEDUPE_ID_BYTES 16

/* A session: the key that one salt gives, and the commitment to it that stands in the header. */
struct sqi_session_keys {
    uint8_t key[SQI_KEY_BYTES];
    uint8_t commitment[SQI_COMMITMENT_BYTES];
};

/* Working memory of derivations; for one thread at a time. Keeps no key between calls. */
struct sqi_schedule;
struct sqi_schedule *sqi_schedule_new(void); /* NULL: no memory */
struct sqi_schedule *sqi_schedule_free(struct sqi_schedule *schedule);

/* All answer SQ_OK or SQ_ECRYPTO. Outputs that are keys belong on the secure heap, or on a stack
   that is wiped. */
int sqi_derive_key_id(struct sqi_schedule *schedule, const uint8_t *key,
                      uint8_t ret_id[SQI_KEY_ID_BYTES]);
int sqi_derive_channel_key(struct sqi_schedule *schedule, const uint8_t *key, const char *channel,
                           uint8_t ret_key[SQI_KEY_BYTES]);
int sqi_derive_session(struct sqi_schedule *schedule, const uint8_t *channel_key, uint8_t kind,
                       const uint8_t key_id[SQI_KEY_ID_BYTES], const uint8_t salt[SQI_SALT_BYTES],
                       struct sqi_session_keys *ret_keys);

/* A channel's dedupe keys become ids, which is what a store sees of them, under a key of its own.
 */
int sqi_derive_dedupe_key(struct sqi_schedule *schedule, const uint8_t *channel_key,
                          uint8_t ret_key[SQI_KEY_BYTES]);
int sqi_dedupe_id(const uint8_t *key, const void *dedupe_key, size_t dedupe_key_bytes,
                  uint8_t ret_id[SQI_DEDUPE_ID_BYTES]);

#endif
