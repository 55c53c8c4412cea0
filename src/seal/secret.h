/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for keys: OpenSSL's secure heap. */
#ifndef SQI_SEAL_SECRET_H
#define SQI_SEAL_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#define SQI_KEY_BYTES 32

/* The secure heap of the process, for all keys of all keyrings, sealers and openers. It hands out
   powers of two: to import a full keyring into a full one takes 64 KiB for either and 128 KiB for
   the text, and others must have room beside it. */
#define SQI_SECRET_HEAP_BYTES (1024 * 1024)

/* Zeroed memory on the secure heap; NULL when that is full. Never ordinary memory. */
void *sqi_secret_new(size_t bytes);

/* Wipes and frees. NULL does nothing. */
void sqi_secret_free(void *secret, size_t bytes);

/* Whether the secure heap is there and locked. */
bool sqi_secret_is_locked(void);

#endif
