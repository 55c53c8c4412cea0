/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/secret.h"

#include <openssl/crypto.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_there, is_locked;

static void make_heap(void)
{
    if (CRYPTO_secure_malloc_initialized()) { /* the program's own: locked, as far as we know */
        is_there = is_locked = true;
        return;
    }
    /* 1: done; 2: done, but not locked or not guarded; 0: not at all. */
    int result = CRYPTO_secure_malloc_init(SQI_SECRET_HEAP_BYTES, SQI_KEY_BYTES);
    is_there = result > 0;
    is_locked = result == 1;
}

void *sqi_secret_new(size_t bytes)
{
    pthread_once(&once, make_heap);
    /* Without a secure heap OPENSSL_secure_zalloc() would take ordinary memory. */
    return is_there ? OPENSSL_secure_zalloc(bytes) : NULL;
}

void sqi_secret_free(void *secret, size_t bytes)
{
    OPENSSL_secure_clear_free(secret, bytes);
}

bool sqi_secret_is_locked(void)
{
    pthread_once(&once, make_heap);
    return is_locked;
}
