/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-GCM through EVP, for both directions: the cipher looked up once, and tags passed without
   the detour of EVP_CIPHER_CTX_ctrl(). */
#ifndef SQI_SEAL_CIPHER_H
#define SQI_SEAL_CIPHER_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A session's key is set once; every message sets its nonce. All answer whether it succeeded. */

bool sqi_cipher_set_key(EVP_CIPHER_CTX *cipher, const uint8_t *key, bool is_for_sealing);

/* Begins a message: its nonce, its tag when one is opened (NULL when sealed), and what is
   authenticated without being encrypted. */
bool sqi_cipher_begin(EVP_CIPHER_CTX *cipher, const uint8_t *nonce, const uint8_t *tag,
                      const uint8_t *header, size_t header_bytes);

/* Encrypts or decrypts some of it; in place when from == to. */
bool sqi_cipher_update(EVP_CIPHER_CTX *cipher, uint8_t *to, const uint8_t *from, size_t bytes);

/* Ends it. Sealing: writes the tag. Opening (NULL): whether the tag is right. */
bool sqi_cipher_end(EVP_CIPHER_CTX *cipher, uint8_t *ret_tag);

#endif
