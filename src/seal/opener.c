/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opener: sessions that were opened once stay open, so that most messages cost no key
 * derivation.
 *
 *     envelope ──► form ──► key id ──► session cached? ── yes ──► commitment ──► decrypt
 *                                            │ no                                  ▲
 *                                            └──► derive ──► commitment ──► init ──┘──► cache it
 *
 * Invariants
 * 1. A session enters the cache only after a message of it was authenticated, so a flood of junk
 *    neither fills the cache nor pushes anything out of it.
 * 2. A session is found by all that its key comes of: key id, channel, kind and salt. Its
 *    commitment is compared on a hit too: it is part of the header, and the header's tag is
 *    checked, but the order of the checks must not depend on what is cached.
 * 3. At most SQI_SESSIONS_MAX sessions; the least recently used one gives its place up.
 *
 * The cache is an array with links by index: a hash chain a session, and a list in the order of
 * use through all of them.
 */
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "seal/cipher.h"
#include "seal/format.h"
#include "seal/keyring.h"
#include "seal/opener.h"

#define CHANNEL_KEYS_MAX 8 /* derived ones that are kept; most openers serve one channel */
#define BUCKETS 4096
#define NONE UINT16_MAX

struct session {
    EVP_CIPHER_CTX *cipher; /* holds the session's key */
    uint8_t key_id[SQI_KEY_ID_BYTES], salt[SQI_SALT_BYTES], commitment[SQI_COMMITMENT_BYTES];
    char channel[SQ_CHANNEL_NAME_BYTES_MAX + 1];
    uint8_t kind;
    uint16_t next_in_bucket, newer, older;
};

struct channel_key {            /* on the secure heap */
    const struct sqi_key *from; /* NULL: unused */
    char channel[SQ_CHANNEL_NAME_BYTES_MAX + 1];
    uint8_t bytes[SQI_KEY_BYTES];
};

struct sq_opener {
    sq_keyring *keyring;
    struct sqi_schedule *schedule;
    struct channel_key *channel_keys; /* CHANNEL_KEYS_MAX of them */
    unsigned next_channel_key;        /* the one to be replaced next */

    EVP_CIPHER_CTX *spare; /* for sessions that are not in the cache */
    struct session *sessions;
    uint16_t session_count, room;
    uint16_t newest, oldest;
    uint16_t buckets[BUCKETS];
};

/* ── making and freeing ───────────────────────────────────────────────────────────────────── */

int sq_opener_create(const sq_keyring *keyring, sq_opener **ret_opener)
{
    if (!keyring || !ret_opener)
        return sqi_fail_with(SQ_EINVAL, "keyring or ret_opener is NULL");
    sq_opener *opener = calloc(1, sizeof *opener);
    if (!opener)
        return sqi_fail(SQ_ENOMEM);
    opener->keyring = sqi_keyring_share(keyring);
    opener->newest = opener->oldest = NONE;
    memset(opener->buckets, 0xff, sizeof opener->buckets);
    opener->schedule = sqi_schedule_new();
    opener->channel_keys = sqi_secret_new(CHANNEL_KEYS_MAX * sizeof *opener->channel_keys);
    opener->spare = EVP_CIPHER_CTX_new();
    if (!opener->schedule || !opener->channel_keys || !opener->spare) {
        sq_opener_free(opener);
        return sqi_fail(SQ_ENOMEM);
    }
    *ret_opener = opener;
    return SQ_OK;
}

sq_opener *sq_opener_free(sq_opener *opener)
{
    if (!opener)
        return NULL;
    for (uint16_t i = 0; i < opener->session_count; i++)
        EVP_CIPHER_CTX_free(opener->sessions[i].cipher);
    free(opener->sessions);
    EVP_CIPHER_CTX_free(opener->spare);
    sqi_secret_free(opener->channel_keys, CHANNEL_KEYS_MAX * sizeof *opener->channel_keys);
    sqi_schedule_free(opener->schedule);
    sq_keyring_free(opener->keyring);
    free(opener);
    return NULL;
}

size_t sqi_opener_session_count(const sq_opener *opener)
{
    return opener->session_count;
}

bool sqi_opener_has_session(const sq_opener *opener, const uint8_t *envelope)
{
    for (uint16_t i = opener->newest; i != NONE; i = opener->sessions[i].older)
        if (memcmp(opener->sessions[i].salt, envelope + 16, SQI_SALT_BYTES) == 0)
            return true;
    return false;
}

/* ── the cache ────────────────────────────────────────────────────────────────────────────── */

/* Salts are random; who chooses them to collide holds the key, and slows down only his readers. */
static uint16_t *bucket_of(sq_opener *opener, const uint8_t *salt)
{
    uint16_t hash;
    memcpy(&hash, salt, sizeof hash);
    return &opener->buckets[hash % BUCKETS];
}

static void unlink_use(sq_opener *opener, uint16_t index)
{
    const struct session *session = &opener->sessions[index];
    *(session->newer == NONE ? &opener->newest
                             : &opener->sessions[session->newer].older) = session->older;
    *(session->older == NONE ? &opener->oldest
                             : &opener->sessions[session->older].newer) = session->newer;
}

static void link_newest(sq_opener *opener, uint16_t index)
{
    struct session *session = &opener->sessions[index];
    session->newer = NONE;
    session->older = opener->newest;
    *(opener->newest == NONE ? &opener->oldest : &opener->sessions[opener->newest].newer) = index;
    opener->newest = index;
}

static void unlink_bucket(sq_opener *opener, uint16_t index)
{
    uint16_t *link = bucket_of(opener, opener->sessions[index].salt);
    while (*link != index)
        link = &opener->sessions[*link].next_in_bucket;
    *link = opener->sessions[index].next_in_bucket;
}

static struct session *find_session(sq_opener *opener, const struct sqi_header *header,
                                    const char *channel)
{
    for (uint16_t i = *bucket_of(opener, header->salt); i != NONE;
         i = opener->sessions[i].next_in_bucket) {
        struct session *session = &opener->sessions[i];
        if (session->kind != header->kind ||
            memcmp(session->salt, header->salt, SQI_SALT_BYTES) != 0 ||
            memcmp(session->key_id, header->key_id, SQI_KEY_ID_BYTES) != 0 ||
            strcmp(session->channel, channel) != 0)
            continue;
        if (opener->newest != i) {
            unlink_use(opener, i);
            link_newest(opener, i);
        }
        return session;
    }
    return NULL;
}

/* An index for one more session: a new one, or the least recently used one's. NONE: no memory. */
static uint16_t place_for_session(sq_opener *opener)
{
    if (opener->session_count == SQI_SESSIONS_MAX) {
        uint16_t index = opener->oldest;
        unlink_use(opener, index);
        unlink_bucket(opener, index);
        return index;
    }
    if (opener->session_count == opener->room) {
        uint16_t room = opener->room ? (uint16_t)(2 * opener->room) : 8;
        struct session *sessions = reallocarray(opener->sessions, room, sizeof *sessions);
        if (!sessions)
            return NONE;
        opener->sessions = sessions;
        opener->room = room;
    }
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (!cipher)
        return NONE;
    opener->sessions[opener->session_count].cipher = cipher;
    return opener->session_count++;
}

/* The session that the spare cipher just opened a message of; the spare becomes its cipher.
   Without memory it is simply not cached. */
static void cache_session(sq_opener *opener, const struct sqi_header *header, const char *channel)
{
    uint16_t index = place_for_session(opener);
    if (index == NONE)
        return;
    struct session *session = &opener->sessions[index];
    EVP_CIPHER_CTX *cipher = session->cipher;
    session->cipher = opener->spare;
    opener->spare = cipher;
    session->kind = header->kind;
    memcpy(session->key_id, header->key_id, SQI_KEY_ID_BYTES);
    memcpy(session->salt, header->salt, SQI_SALT_BYTES);
    memcpy(session->commitment, header->commitment, SQI_COMMITMENT_BYTES);
    strcpy(session->channel, channel); /* checked: at most SQ_CHANNEL_NAME_BYTES_MAX */
    uint16_t *bucket = bucket_of(opener, header->salt);
    session->next_in_bucket = *bucket;
    *bucket = index;
    link_newest(opener, index);
}

/* ── keys ─────────────────────────────────────────────────────────────────────────────────── */

/* The channel key that a key of the keyring gives, derived once and kept while there is room. */
static int channel_key(sq_opener *opener, const struct sqi_key *from, const char *channel,
                       const uint8_t **ret_key)
{
    for (unsigned i = 0; i < CHANNEL_KEYS_MAX; i++) {
        struct channel_key *kept = &opener->channel_keys[i];
        if (kept->from == from && strcmp(kept->channel, channel) == 0) {
            *ret_key = kept->bytes;
            return SQ_OK;
        }
    }
    struct channel_key *kept = &opener->channel_keys[opener->next_channel_key];
    kept->from = NULL;
    int result = sqi_key_for_channel(from, opener->schedule, channel, kept->bytes);
    if (result < 0)
        return result;
    kept->from = from;
    strcpy(kept->channel, channel);
    opener->next_channel_key = (opener->next_channel_key + 1) % CHANNEL_KEYS_MAX;
    *ret_key = kept->bytes;
    return SQ_OK;
}

static int check_commitment(const uint8_t *ours, const uint8_t *theirs)
{
    return CRYPTO_memcmp(ours, theirs, SQI_COMMITMENT_BYTES) == 0 ? SQ_OK : sqi_fail(SQ_EAUTH);
}

/* Makes the spare cipher ready for a session that is not in the cache. */
static int open_session(sq_opener *opener, const struct sqi_header *header, const char *channel,
                        const struct sqi_key *key)
{
    const uint8_t *kept;
    struct sqi_session_keys keys;
    int result = channel_key(opener, key, channel, &kept);
    if (result < 0)
        return result;
    result = sqi_derive_session(opener->schedule, kept, header->kind, header->key_id, header->salt,
                                &keys);
    if (result == SQ_OK)
        result = check_commitment(keys.commitment, header->commitment);
    if (result == SQ_OK && !sqi_cipher_set_key(opener->spare, keys.key, false))
        result = sqi_fail(SQ_ECRYPTO);
    OPENSSL_cleanse(&keys, sizeof keys);
    return result;
}

/* ── opening ──────────────────────────────────────────────────────────────────────────────── */

static int decrypt(EVP_CIPHER_CTX *cipher, const uint8_t *envelope, uint8_t *plain,
                   size_t plain_bytes)
{
    const uint8_t *ciphertext = envelope + SQI_HEADER_BYTES;
    if (!sqi_cipher_begin(cipher, envelope + SQI_NONCE_OFFSET, ciphertext + plain_bytes, envelope,
                          SQI_HEADER_BYTES) ||
        !sqi_cipher_update(cipher, plain, ciphertext, plain_bytes))
        return sqi_fail(SQ_ECRYPTO);
    return sqi_cipher_end(cipher, NULL) ? SQ_OK : sqi_fail(SQ_EAUTH);
}

/* Decrypts with the session's key, from the cache or derived: SQ_OK, and the plaintext is there. */
static int decrypt_in_session(sq_opener *opener, const struct sqi_header *header,
                              const char *channel, const struct sqi_key *key,
                              const uint8_t *envelope, uint8_t *plain, size_t plain_bytes)
{
    struct session *session = find_session(opener, header, channel);
    if (session) {
        int result = check_commitment(session->commitment, header->commitment);
        return result < 0 ? result : decrypt(session->cipher, envelope, plain, plain_bytes);
    }
    int result = open_session(opener, header, channel, key);
    if (result == SQ_OK)
        result = decrypt(opener->spare, envelope, plain, plain_bytes);
    if (result == SQ_OK)
        cache_session(opener, header, channel);
    return result;
}

static int check_arguments(const sq_opener *opener, const char *channel, const void *envelope,
                           const void *buffer, const sq_opened *opened)
{
    if (!opener || !envelope || !buffer || !opened)
        return sqi_fail_with(SQ_EINVAL, "opener, envelope, buffer or ret_opened is NULL");
    if (!sqi_is_channel_name(channel))
        return sqi_fail_with(SQ_EINVAL, SQI_CHANNEL_NAME_ADVICE);
    return SQ_OK;
}

int sq_open(sq_opener *opener, const char *channel, sq_kind kind, const void *envelope,
            size_t envelope_bytes, void *buffer, size_t buffer_bytes, sq_opened *ret_opened)
{
    struct sqi_header header;
    const struct sqi_key *key = NULL;
    int result = check_arguments(opener, channel, envelope, buffer, ret_opened);
    bool is_plain = opener && opener->keyring == sq_plaintext();
    if (result == SQ_OK)
        result = sqi_header_decode(envelope, envelope_bytes, kind, is_plain, &header);
    if (result < 0)
        return result;
    size_t plain_bytes = header.rest_bytes - SQI_TAG_BYTES;
    if (plain_bytes > SQI_PLAIN_BYTES_MAX)
        return sqi_fail_with(SQ_EFORMAT, "the envelope is larger than any message may be");
    if (buffer_bytes < plain_bytes)
        return sqi_fail_with(SQ_EINVAL, "the buffer has %zu bytes, the message needs %zu",
                             buffer_bytes, plain_bytes);
    result = is_plain ? SQ_OK : sqi_keyring_find(opener->keyring, header.key_id, channel, &key);
    if (result < 0)
        return result;

    sq_opened opened = {
        .created_ns = header.created_ns,
        .not_before_ms = header.not_before_ms,
        .expires_ms = header.expires_ms,
        .priority = header.priority,
        .is_padded = header.is_padded,
        .key_id = is_plain ? "" : key->info.id,
    };
    memcpy(opened.dedupe_id, header.dedupe_id, SQI_DEDUPE_ID_BYTES);
    if (is_plain)
        memcpy(buffer, (const uint8_t *)envelope + SQI_HEADER_BYTES, plain_bytes);
    else
        result = decrypt_in_session(opener, &header, channel, key, envelope, buffer, plain_bytes);
    if (result == SQ_OK)
        result = sqi_plain_decode(buffer, plain_bytes, header.is_padded, &opened);
    if (result == SQ_OK)
        *ret_opened = opened;
    else
        OPENSSL_cleanse(buffer, plain_bytes);
    return result;
}
