/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/schedule.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "sealq/keyring.h"

struct sqi_schedule {
    EVP_KDF_CTX *hkdf; /* expand only, with SHA-256; between calls its key is zeros */
};

static const uint8_t no_key[SQI_KEY_BYTES];

static OSSL_PARAM key_parameter(const uint8_t *key)
{
    return OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, SQI_KEY_BYTES);
}

static EVP_KDF_CTX *make_hkdf(void)
{
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = hkdf ? EVP_KDF_CTX_new(hkdf) : NULL;
    EVP_KDF_free(hkdf); /* the context holds its own reference */
    if (context && EVP_KDF_CTX_set_params(context, parameters) != 1) {
        EVP_KDF_CTX_free(context);
        return NULL;
    }
    return context;
}

struct sqi_schedule *sqi_schedule_new(void)
{
    struct sqi_schedule *schedule = calloc(1, sizeof *schedule);
    if (schedule)
        schedule->hkdf = make_hkdf();
    return schedule && schedule->hkdf ? schedule : sqi_schedule_free(schedule);
}

struct sqi_schedule *sqi_schedule_free(struct sqi_schedule *schedule)
{
    if (schedule)
        EVP_KDF_CTX_free(schedule->hkdf);
    free(schedule);
    return NULL;
}

/* HKDF-Expand of SHA-256, RFC 5869 section 2.3. */
static int expand(struct sqi_schedule *schedule, const uint8_t *key, const void *info,
                  size_t info_bytes, void *ret_output, size_t output_bytes)
{
    OSSL_PARAM parameters[] = {
        key_parameter(key),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_bytes),
        OSSL_PARAM_construct_end(),
    };
    OSSL_PARAM wiping[] = {key_parameter(no_key), OSSL_PARAM_construct_end()};
    bool is_derived = EVP_KDF_derive(schedule->hkdf, ret_output, output_bytes, parameters) == 1;
    /* OpenSSL wipes the key that it had. Not EVP_KDF_CTX_reset(): it forgets the digest too, and
       to look that up again takes longer than everything else here. */
    bool is_wiped = EVP_KDF_CTX_set_params(schedule->hkdf, wiping) == 1;
    return is_derived && is_wiped ? SQ_OK : sqi_fail(SQ_ECRYPTO);
}

/* A literal as the info, without its NUL. */
#define EXPAND(schedule, key, literal, output, output_bytes)                                       \
    expand(schedule, key, literal, sizeof literal - 1, output, output_bytes)

int sqi_derive_key_id(struct sqi_schedule *schedule, const uint8_t *key,
                      uint8_t ret_id[SQI_KEY_ID_BYTES])
{
    return EXPAND(schedule, key, "sealq/1 key id", ret_id, SQI_KEY_ID_BYTES);
}

int sqi_derive_channel_key(struct sqi_schedule *schedule, const uint8_t *key, const char *channel,
                           uint8_t ret_key[SQI_KEY_BYTES])
{
    static const char label[] = "sealq/1 channel"; /* with its NUL */
    uint8_t info[sizeof label + 2 + SQ_CHANNEL_NAME_BYTES_MAX];
    size_t name_bytes = strlen(channel);
    assert(name_bytes <= SQ_CHANNEL_NAME_BYTES_MAX);
    memcpy(info, label, sizeof label);
    info[sizeof label] = 0;
    info[sizeof label + 1] = (uint8_t)name_bytes;
    memcpy(info + sizeof label + 2, channel, name_bytes);
    return expand(schedule, key, info, sizeof label + 2 + name_bytes, ret_key, SQI_KEY_BYTES);
}

int sqi_derive_session(struct sqi_schedule *schedule, const uint8_t *channel_key, uint8_t kind,
                       const uint8_t key_id[SQI_KEY_ID_BYTES], const uint8_t salt[SQI_SALT_BYTES],
                       struct sqi_session_keys *ret_keys)
{
    static const char label[] = "sealq/1 session"; /* with its NUL */
    uint8_t info[sizeof label + 1 + SQI_KEY_ID_BYTES + SQI_SALT_BYTES];
    _Static_assert(sizeof *ret_keys == SQI_KEY_BYTES + SQI_COMMITMENT_BYTES, "key, commitment");
    memcpy(info, label, sizeof label);
    info[sizeof label] = kind;
    memcpy(info + sizeof label + 1, key_id, SQI_KEY_ID_BYTES);
    memcpy(info + sizeof label + 1 + SQI_KEY_ID_BYTES, salt, SQI_SALT_BYTES);
    return expand(schedule, channel_key, info, sizeof info, ret_keys, sizeof *ret_keys);
}

int sqi_derive_dedupe_key(struct sqi_schedule *schedule, const uint8_t *channel_key,
                          uint8_t ret_key[SQI_KEY_BYTES])
{
    return EXPAND(schedule, channel_key, "sealq/1 dedupe", ret_key, SQI_KEY_BYTES);
}

int sqi_dedupe_id(const uint8_t *key, const void *dedupe_key, size_t dedupe_key_bytes,
                  uint8_t ret_id[SQI_DEDUPE_ID_BYTES])
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned mac_bytes;
    if (!HMAC(EVP_sha256(), key, SQI_KEY_BYTES, dedupe_key, dedupe_key_bytes, mac, &mac_bytes))
        return sqi_fail(SQ_ECRYPTO);
    memcpy(ret_id, mac, SQI_DEDUPE_ID_BYTES);
    return SQ_OK;
}
