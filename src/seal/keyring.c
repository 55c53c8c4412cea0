/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/keyring.h"

#include <assert.h>
#include <openssl/rand.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/text.h"

static size_t keyring_bytes(size_t room)
{
    return sizeof(sq_keyring) + room * sizeof(struct sqi_key);
}

sq_keyring *sqi_keyring_new(size_t room)
{
    sq_keyring *keyring = sqi_secret_new(keyring_bytes(room));
    if (!keyring)
        return NULL;
    atomic_init(&keyring->holders, 1);
    keyring->room = room;
    return keyring;
}

/* No key in it: sealers and openers know it by its address. */
static sq_keyring plaintext;

const sq_keyring *sq_plaintext(void)
{
    return &plaintext;
}

sq_keyring *sqi_keyring_share(const sq_keyring *keyring)
{
    sq_keyring *shared = (sq_keyring *)keyring; /* the count of holders is not part of its value */
    /* Relaxed: who shares it is a holder, so it cannot end meanwhile. */
    atomic_fetch_add_explicit(&shared->holders, 1, memory_order_relaxed);
    return shared;
}

sq_keyring *sq_keyring_free(sq_keyring *keyring)
{
    /* Acquire and release: all use by other holders comes before the wiping by the last. */
    if (keyring && keyring != &plaintext &&
        atomic_fetch_sub_explicit(&keyring->holders, 1, memory_order_acq_rel) == 1)
        sqi_secret_free(keyring, keyring_bytes(keyring->room));
    return NULL;
}

size_t sq_keyring_key_count(const sq_keyring *keyring)
{
    return keyring ? keyring->key_count : 0;
}

int sq_keyring_key_info(const sq_keyring *keyring, size_t key_index, sq_key_info *ret_info)
{
    if (!keyring || !ret_info || key_index >= keyring->key_count)
        return sqi_fail_with(SQ_EINVAL, "there is no key at index %zu", key_index);
    *ret_info = keyring->keys[key_index].info;
    return SQ_OK;
}

bool sq_keyring_is_locked_in_memory(void)
{
    return sqi_secret_is_locked();
}

/* ── names ────────────────────────────────────────────────────────────────────────────────── */

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool sqi_is_channel_name(const char *name)
{
    size_t bytes = 0;
    if (!name || !is_alphanumeric(name[0]))
        return false;
    while (bytes <= SQ_CHANNEL_NAME_BYTES_MAX &&
           (is_alphanumeric(name[bytes]) || name[bytes] == '_' || name[bytes] == '-'))
        bytes++;
    return bytes <= SQ_CHANNEL_NAME_BYTES_MAX && !name[bytes];
}

bool sqi_is_comment(const char *comment)
{
    size_t bytes = strnlen(comment, SQ_KEY_COMMENT_BYTES_MAX + 1);
    return bytes <= SQ_KEY_COMMENT_BYTES_MAX && sqi_is_printable(comment) && comment[0] != ' ' &&
           (bytes == 0 || comment[bytes - 1] != ' ');
}

void sqi_key_id_text(const uint8_t id[SQI_KEY_ID_BYTES], char ret_text[SQ_KEY_ID_BYTES])
{
    sqi_hex_encode(id, SQI_KEY_ID_BYTES, ret_text);
}

/* ── looking keys up ──────────────────────────────────────────────────────────────────────── */

int sqi_keyring_find(const sq_keyring *keyring, const uint8_t id[SQI_KEY_ID_BYTES],
                     const char *channel, const struct sqi_key **ret_key)
{
    int result = SQ_ENOKEY;
    for (size_t i = 0; i < keyring->key_count; i++) {
        const struct sqi_key *key = &keyring->keys[i];
        if (memcmp(key->id, id, SQI_KEY_ID_BYTES) != 0 ||
            (key->info.channel[0] && strcmp(key->info.channel, channel) != 0))
            continue;
        if (key->info.state != SQ_KEY_RETIRED) {
            *ret_key = key;
            return SQ_OK;
        }
        result = SQ_ERETIRED;
    }
    return sqi_fail(result);
}

int sqi_keyring_primary(const sq_keyring *keyring, const char *channel,
                        const struct sqi_key **ret_key)
{
    const struct sqi_key *found = NULL;
    for (size_t i = 0; i < keyring->key_count; i++) {
        const struct sqi_key *key = &keyring->keys[i];
        if (key->info.state != SQ_KEY_PRIMARY)
            continue;
        if (strcmp(key->info.channel, channel) == 0 || (!key->info.channel[0] && !found))
            found = key;
    }
    if (!found)
        return sqi_fail_with(SQ_ENOKEY, "the keyring has no primary key for channel %s", channel);
    *ret_key = found;
    return SQ_OK;
}

int sqi_key_for_channel(const struct sqi_key *key, struct sqi_schedule *schedule,
                        const char *channel, uint8_t ret_key[SQI_KEY_BYTES])
{
    if (!key->info.channel[0])
        return sqi_derive_channel_key(schedule, key->bytes, channel, ret_key);
    assert(strcmp(key->info.channel, channel) == 0);
    memcpy(ret_key, key->bytes, SQI_KEY_BYTES);
    return SQ_OK;
}

/* ── changing one that is not shared yet ──────────────────────────────────────────────────── */

int sqi_keyring_generate(sq_keyring *keyring, const char *comment, struct sqi_key **ret_key)
{
    if (keyring->key_count == keyring->room)
        return sqi_fail_with(SQ_EFULL, "the keyring has %zu keys: remove one first",
                             keyring->key_count);
    struct sqi_key *key = &keyring->keys[keyring->key_count];
    struct sqi_schedule *schedule = sqi_schedule_new();
    if (!schedule)
        return sqi_fail(SQ_ENOMEM);
    int result = RAND_priv_bytes(key->bytes, SQI_KEY_BYTES) == 1 ? SQ_OK : sqi_fail(SQ_ECRYPTO);
    if (result == SQ_OK)
        result = sqi_derive_key_id(schedule, key->bytes, key->id);
    sqi_schedule_free(schedule);
    if (result < 0)
        return result;
    key->info = (sq_key_info){.state = SQ_KEY_ACCEPTED, .created_s = time(NULL)};
    sqi_key_id_text(key->id, key->info.id);
    strncpy(key->info.comment, comment ? comment : "", SQ_KEY_COMMENT_BYTES_MAX);
    keyring->key_count++;
    *ret_key = key;
    return SQ_OK;
}

void sqi_keyring_make_primary(sq_keyring *keyring, struct sqi_key *key)
{
    for (size_t i = 0; i < keyring->key_count; i++) {
        struct sqi_key *other = &keyring->keys[i];
        if (other->info.state == SQ_KEY_PRIMARY &&
            strcmp(other->info.channel, key->info.channel) == 0)
            other->info.state = SQ_KEY_ACCEPTED;
    }
    key->info.state = SQ_KEY_PRIMARY;
}
