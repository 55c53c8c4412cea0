/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sealer: sessions of AES-256-GCM under counter nonces.
 *
 * A nonce is used twice only if two messages share salt, seq and created. Why they never do:
 * 1. A session (salt, and the key that comes of it) belongs to one sealer, and a sealer to one
 *    thread at a time. Salts are 192 random bits.
 * 2. Within a session seq goes up with every message, before anything is encrypted under it, and a
 *    session ends long before seq could wrap.
 * 3. A copy of the process would go on with the same salt and seq. So the fork generation is
 *    compared at every message, and a child begins a session of its own.
 * 4. Against the copy that nobody sees, a virtual machine rolled back, the time of creation is in
 *    the nonce too, and a session ends when the clock goes back: a hedge, no guarantee.
 */
#include "seal/sealer.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/fork.h"
#include "seal/cipher.h"
#include "seal/format.h"
#include "seal/keyring.h"

/* Below this, one call to encrypt everything beats the copy of the body that it needs. */
#define COPIED_BODY_BYTES_MAX 4096

struct sealer_keys { /* on the secure heap */
    uint8_t channel_key[SQI_KEY_BYTES], dedupe_key[SQI_KEY_BYTES];
};

struct sq_sealer {
    struct sqi_schedule *schedule;
    struct sealer_keys *keys;
    const struct sqi_sealer_hook *hook;
    uint8_t key_id[SQI_KEY_ID_BYTES];
    uint8_t kind;
    bool is_plain; /* for sq_plaintext(): no session, nothing is encrypted */

    /* the session */
    EVP_CIPHER_CTX *cipher; /* holds the session's key */
    bool is_open;
    uint32_t fork_generation;
    uint64_t message_count, bytes, opened_ns;
    uint8_t salt[SQI_SALT_BYTES], commitment[SQI_COMMITMENT_BYTES];
};

/* ── the defaults of the hook ─────────────────────────────────────────────────────────────── */

static bool random_salt(uint8_t ret_salt[SQI_SALT_BYTES])
{
    return RAND_bytes(ret_salt, SQI_SALT_BYTES) == 1;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    assert(!failed);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

const struct sqi_sealer_hook sqi_sealer_defaults = {
    .random_salt = random_salt,
    .now_ns = now_ns,
    .first_seq = 0,
    .messages_max = UINT64_C(1) << 30,
    .bytes_max = UINT64_C(1) << 36,
    .age_ns_max = UINT64_C(3600) * 1000000000,
};

void sqi_sealer_set_hook(sq_sealer *sealer, const struct sqi_sealer_hook *hook)
{
    sealer->hook = hook;
    sealer->is_open = false;
}

/* ── making and freeing ───────────────────────────────────────────────────────────────────── */

static int make_keys(sq_sealer *sealer, const struct sqi_key *key, const char *channel)
{
    int result = sqi_key_for_channel(key, sealer->schedule, channel, sealer->keys->channel_key);
    if (result == SQ_OK)
        result = sqi_derive_dedupe_key(sealer->schedule, sealer->keys->channel_key,
                                       sealer->keys->dedupe_key);
    memcpy(sealer->key_id, key->id, SQI_KEY_ID_BYTES);
    return result;
}

int sq_sealer_create(const sq_keyring *keyring, const char *channel, sq_kind kind,
                     sq_sealer **ret_sealer)
{
    const struct sqi_key *key = NULL;
    if (!keyring || !ret_sealer)
        return sqi_fail_with(SQ_EINVAL, "keyring or ret_sealer is NULL");
    if (!sqi_is_channel_name(channel))
        return sqi_fail_with(SQ_EINVAL, SQI_CHANNEL_NAME_ADVICE);
    if (kind < SQ_KIND_MESSAGE || kind > SQ_KIND_CANARY)
        return sqi_fail_with(SQ_EINVAL, "there is no kind %d", (int)kind);
    bool is_plain = keyring == sq_plaintext();
    int result = is_plain ? SQ_OK : sqi_keyring_primary(keyring, channel, &key);
    if (result < 0)
        return result;

    sq_sealer *sealer = calloc(1, sizeof *sealer);
    if (!sealer)
        return sqi_fail(SQ_ENOMEM);
    sealer->hook = &sqi_sealer_defaults;
    sealer->kind = (uint8_t)kind;
    sealer->is_plain = is_plain;
    sealer->schedule = sqi_schedule_new();
    sealer->keys = sqi_secret_new(sizeof *sealer->keys);
    sealer->cipher = EVP_CIPHER_CTX_new();
    if (!sealer->schedule || !sealer->keys || !sealer->cipher)
        result = sqi_fail(SQ_ENOMEM);
    else if (!is_plain) /* else all keys are zeros */
        result = make_keys(sealer, key, channel);
    if (result == SQ_OK)
        *ret_sealer = sealer;
    else
        sq_sealer_free(sealer);
    return result;
}

sq_sealer *sq_sealer_free(sq_sealer *sealer)
{
    if (!sealer)
        return NULL;
    EVP_CIPHER_CTX_free(sealer->cipher); /* wipes the session's key */
    sqi_secret_free(sealer->keys, sizeof *sealer->keys);
    sqi_schedule_free(sealer->schedule);
    free(sealer);
    return NULL;
}

/* ── sessions ─────────────────────────────────────────────────────────────────────────────── */

static int open_session(sq_sealer *sealer, uint64_t at_ns)
{
    struct sqi_session_keys keys;
    sealer->is_open = false;
    if (!sealer->hook->random_salt(sealer->salt))
        return sqi_fail(SQ_ECRYPTO);
    int result = sqi_derive_session(sealer->schedule, sealer->keys->channel_key, sealer->kind,
                                    sealer->key_id, sealer->salt, &keys);
    if (result == SQ_OK && !sqi_cipher_set_key(sealer->cipher, keys.key, true))
        result = sqi_fail(SQ_ECRYPTO);
    memcpy(sealer->commitment, keys.commitment, SQI_COMMITMENT_BYTES);
    OPENSSL_cleanse(&keys, sizeof keys);
    sealer->is_open = result == SQ_OK;
    sealer->message_count = sealer->bytes = 0;
    sealer->opened_ns = at_ns;
    return result;
}

/* Makes sure of a session that may seal one more message of this size. */
static int ensure_session(sq_sealer *sealer, size_t bytes, uint64_t at_ns)
{
    const struct sqi_sealer_hook *hook = sealer->hook;
    uint32_t generation = sqi_fork_generation_sure();
    if (sealer->is_open && sealer->fork_generation == generation &&
        sealer->message_count < hook->messages_max && sealer->bytes + bytes <= hook->bytes_max &&
        /* unsigned: when the clock went back this is a very great age */
        at_ns - sealer->opened_ns < hook->age_ns_max)
        return SQ_OK;
    sealer->fork_generation = generation;
    return open_session(sealer, at_ns);
}

/* ── sealing ──────────────────────────────────────────────────────────────────────────────── */

/* Writes the ciphertext behind the header. */
static bool encrypt_content(EVP_CIPHER_CTX *cipher, const sq_content *content, uint8_t *to,
                            size_t plain_bytes)
{
    size_t front_bytes = sqi_content_encode(content, to);
    size_t used_bytes = front_bytes + content->body_bytes;
    memset(to + used_bytes, 0, plain_bytes - used_bytes);
    if (content->body_bytes > COPIED_BODY_BYTES_MAX)
        return sqi_cipher_update(cipher, to, to, front_bytes) &&
               sqi_cipher_update(cipher, to + front_bytes, content->body, content->body_bytes) &&
               sqi_cipher_update(cipher, to + used_bytes, to + used_bytes,
                                 plain_bytes - used_bytes);
    if (content->body_bytes > 0)
        memcpy(to + front_bytes, content->body, content->body_bytes);
    return sqi_cipher_update(cipher, to, to, plain_bytes);
}

static bool seal_under(EVP_CIPHER_CTX *cipher, const sq_content *content, uint8_t *envelope,
                       size_t plain_bytes)
{
    uint8_t *ciphertext = envelope + SQI_HEADER_BYTES;
    return sqi_cipher_begin(cipher, envelope + SQI_NONCE_OFFSET, NULL, envelope,
                            SQI_HEADER_BYTES) &&
           encrypt_content(cipher, content, ciphertext, plain_bytes) &&
           sqi_cipher_end(cipher, ciphertext + plain_bytes);
}

/* What is not sealed: the content, padding and an empty tag behind the header. */
static void write_plain(const sq_content *content, uint8_t *to, size_t plain_bytes)
{
    size_t used_bytes = sqi_content_encode(content, to);
    if (content->body_bytes > 0)
        memcpy(to + used_bytes, content->body, content->body_bytes);
    used_bytes += content->body_bytes;
    memset(to + used_bytes, 0, plain_bytes + SQI_TAG_BYTES - used_bytes);
}

size_t sq_sealed_bytes(const sq_content *content)
{
    if (!content || sqi_content_check(content) < 0)
        return 0;
    return SQI_HEADER_BYTES + sqi_content_plain_bytes(content) + SQI_TAG_BYTES;
}

ssize_t sq_seal(sq_sealer *sealer, const sq_content *content, void *buffer, size_t buffer_bytes)
{
    if (!sealer || !content || !buffer)
        return sqi_fail_with(SQ_EINVAL, "sealer, content or buffer is NULL");
    int result = sqi_content_check(content);
    if (result < 0)
        return result;
    size_t plain_bytes = sqi_content_plain_bytes(content);
    size_t envelope_bytes = SQI_HEADER_BYTES + plain_bytes + SQI_TAG_BYTES;
    if (buffer_bytes < envelope_bytes)
        return sqi_fail_with(SQ_EINVAL, "the buffer has %zu bytes, the envelope needs %zu",
                             buffer_bytes, envelope_bytes);

    uint8_t dedupe_id[SQI_DEDUPE_ID_BYTES] = {0};
    uint64_t created_ns = sealer->hook->now_ns();
    if (content->dedupe_key)
        result = sqi_dedupe_id(sealer->keys->dedupe_key, content->dedupe_key,
                               content->dedupe_key_bytes, dedupe_id);
    if (result == SQ_OK && !sealer->is_plain)
        result = ensure_session(sealer, envelope_bytes, created_ns);
    if (result < 0)
        return result;

    struct sqi_header header = {
        .kind = sealer->kind,
        .is_padded = content->is_padded,
        .priority = content->has_priority ? content->priority : SQ_PRIORITY_DEFAULT,
        .key_id = sealer->key_id,
        .salt = sealer->salt,
        .seq = sealer->hook->first_seq + (uint32_t)sealer->message_count,
        .created_ns = created_ns,
        .not_before_ms = content->not_before_ms,
        .expires_ms = content->expires_ms,
        .dedupe_id = dedupe_id,
        .commitment = sealer->commitment,
        .rest_bytes = (uint32_t)(plain_bytes + SQI_TAG_BYTES),
    };
    sealer->message_count++; /* first: whatever happens from here on, this seq is used up */
    sealer->bytes += envelope_bytes;
    sqi_header_encode(&header, sealer->is_plain, buffer);
    if (sealer->is_plain) {
        write_plain(content, (uint8_t *)buffer + SQI_HEADER_BYTES, plain_bytes);
        return (ssize_t)envelope_bytes;
    }
    if (!seal_under(sealer->cipher, content, buffer, plain_bytes)) {
        OPENSSL_cleanse(buffer, envelope_bytes);
        sealer->is_open = false;
        return sqi_fail(SQ_ECRYPTO);
    }
    return (ssize_t)envelope_bytes;
}
