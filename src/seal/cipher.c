/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/cipher.h"

#include <openssl/core_names.h>
#include <pthread.h>

#include "seal/format.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *aes_256_gcm; /* for the life of the process */

static void fetch(void)
{
    aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

bool sqi_cipher_set_key(EVP_CIPHER_CTX *cipher, const uint8_t *key, bool is_for_sealing)
{
    pthread_once(&once, fetch);
    return aes_256_gcm &&
           EVP_CipherInit_ex2(cipher, aes_256_gcm, key, NULL, is_for_sealing, NULL) == 1;
}

static OSSL_PARAM tag_parameter(const uint8_t *tag)
{
    return OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, (void *)tag,
                                             SQI_TAG_BYTES);
}

bool sqi_cipher_begin(EVP_CIPHER_CTX *cipher, const uint8_t *nonce, const uint8_t *tag,
                      const uint8_t *header, size_t header_bytes)
{
    int written;
    OSSL_PARAM parameters[] = {tag_parameter(tag), OSSL_PARAM_construct_end()};
    return EVP_CipherInit_ex2(cipher, NULL, NULL, nonce, -1, tag ? parameters : NULL) == 1 &&
           EVP_CipherUpdate(cipher, NULL, &written, header, (int)header_bytes) == 1;
}

bool sqi_cipher_update(EVP_CIPHER_CTX *cipher, uint8_t *to, const uint8_t *from, size_t bytes)
{
    int written;
    return bytes == 0 || EVP_CipherUpdate(cipher, to, &written, from, (int)bytes) == 1;
}

bool sqi_cipher_end(EVP_CIPHER_CTX *cipher, uint8_t *ret_tag)
{
    int written;
    uint8_t none[EVP_MAX_BLOCK_LENGTH]; /* GCM holds nothing back: nothing is written */
    OSSL_PARAM parameters[] = {tag_parameter(ret_tag), OSSL_PARAM_construct_end()};
    return EVP_CipherFinal_ex(cipher, none, &written) == 1 &&
           (!ret_tag || EVP_CIPHER_CTX_get_params(cipher, parameters) == 1);
}
