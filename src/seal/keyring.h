/* SPDX-License-Identifier: Apache-2.0 */
/* A keyring in memory, for the folder's own use. */
#ifndef SQI_SEAL_KEYRING_H
#define SQI_SEAL_KEYRING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "seal/schedule.h"
#include "sealq/keyring.h"

struct sqi_key {
    sq_key_info info;
    uint8_t id[SQI_KEY_ID_BYTES];
    uint8_t bytes[SQI_KEY_BYTES];
};

/* On the secure heap, all of it. Constant once it is shared; see sqi_keyring_share(). */
struct sq_keyring {
    atomic_uint holders;
    size_t key_count, room; /* keys in it, and how many it was made for */
    struct sqi_key keys[];
};

/* An empty one with room for so many keys; NULL: the secure heap is full. */
sq_keyring *sqi_keyring_new(size_t room);

/* One more holder, who calls sq_keyring_free() too. */
sq_keyring *sqi_keyring_share(const sq_keyring *keyring);

/* `[A-Za-z0-9][A-Za-z0-9_-]{0,63}` */
bool sqi_is_channel_name(const char *name);
#define SQI_CHANNEL_NAME_ADVICE                                                                    \
    "a channel's name begins with a letter or digit and has at most 64 letters, digits, _ and -"

/* What an opener needs: the key that opens envelopes of this id on this channel. SQ_ENOKEY or
   SQ_ERETIRED when there is none. */
int sqi_keyring_find(const sq_keyring *keyring, const uint8_t id[SQI_KEY_ID_BYTES],
                     const char *channel, const struct sqi_key **ret_key);

/* What a sealer needs: the channel's own primary key, else the master one; SQ_ENOKEY. */
int sqi_keyring_primary(const sq_keyring *keyring, const char *channel,
                        const struct sqi_key **ret_key);

/* The channel key that a key gives: itself when it is one. Belongs on the secure heap. */
int sqi_key_for_channel(const struct sqi_key *key, struct sqi_schedule *schedule,
                        const char *channel, uint8_t ret_key[SQI_KEY_BYTES]);

/* Adds a new random master key, accepted. SQ_EFULL, SQ_ECRYPTO. */
int sqi_keyring_generate(sq_keyring *keyring, const char *comment, struct sqi_key **ret_key);

/* Makes it the primary of its scope; the one before becomes accepted. */
void sqi_keyring_make_primary(sq_keyring *keyring, struct sqi_key *key);

bool sqi_is_comment(const char *comment);
void sqi_key_id_text(const uint8_t id[SQI_KEY_ID_BYTES], char ret_text[SQ_KEY_ID_BYTES]);

#endif
