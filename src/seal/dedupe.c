/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/dedupe.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/error.h"
#include "seal/keyring.h"

struct sqi_dedupe_keys {
    size_t count, room;
    uint8_t keys[][SQI_KEY_BYTES];
};

static size_t keys_bytes(size_t room)
{
    return sizeof(struct sqi_dedupe_keys) + room * SQI_KEY_BYTES;
}

static int add_key(struct sqi_dedupe_keys *keys, struct sqi_schedule *schedule,
                   const struct sqi_key *key, const char *channel)
{
    uint8_t channel_key[SQI_KEY_BYTES];
    int result = sqi_key_for_channel(key, schedule, channel, channel_key);
    if (result == SQ_OK)
        result = sqi_derive_dedupe_key(schedule, channel_key, keys->keys[keys->count]);
    OPENSSL_cleanse(channel_key, sizeof channel_key);
    keys->count += result == SQ_OK;
    return result;
}

static int add_keys(struct sqi_dedupe_keys *keys, struct sqi_schedule *schedule,
                    const sq_keyring *keyring, const char *channel)
{
    const struct sqi_key *primary;
    int result = sqi_keyring_primary(keyring, channel, &primary);
    if (result == SQ_OK)
        result = add_key(keys, schedule, primary, channel);
    for (size_t i = 0; result == SQ_OK && i < keyring->key_count; i++) {
        const struct sqi_key *key = &keyring->keys[i];
        if (key != primary && key->info.state != SQ_KEY_RETIRED &&
            (!key->info.channel[0] || strcmp(key->info.channel, channel) == 0))
            result = add_key(keys, schedule, key, channel);
    }
    return result;
}

int sqi_dedupe_keys_new(const sq_keyring *keyring, const char *channel,
                        struct sqi_dedupe_keys **ret_keys)
{
    size_t room = keyring == sq_plaintext() ? 1 : keyring->key_count;
    struct sqi_schedule *schedule = sqi_schedule_new();
    struct sqi_dedupe_keys *keys = sqi_secret_new(keys_bytes(room));
    int result = schedule && keys ? SQ_OK : sqi_fail(SQ_ENOMEM);
    if (keys)
        keys->room = room;
    if (result == SQ_OK && keyring == sq_plaintext())
        keys->count = 1; /* a key of zeros, as a plain sealer has */
    else if (result == SQ_OK)
        result = add_keys(keys, schedule, keyring, channel);
    sqi_schedule_free(schedule);
    if (result == SQ_OK)
        *ret_keys = keys;
    else
        sqi_dedupe_keys_free(keys);
    return result;
}

struct sqi_dedupe_keys *sqi_dedupe_keys_free(struct sqi_dedupe_keys *keys)
{
    if (keys)
        sqi_secret_free(keys, keys_bytes(keys->room));
    return NULL;
}

size_t sqi_dedupe_id_count(const struct sqi_dedupe_keys *keys)
{
    return keys->count;
}

int sqi_dedupe_ids(const struct sqi_dedupe_keys *keys, const void *dedupe_key,
                   size_t dedupe_key_bytes, uint8_t (*ret_ids)[SQI_DEDUPE_ID_BYTES])
{
    int result = SQ_OK;
    for (size_t i = 0; result == SQ_OK && i < keys->count; i++)
        result = sqi_dedupe_id(keys->keys[i], dedupe_key, dedupe_key_bytes, ret_ids[i]);
    return result;
}
