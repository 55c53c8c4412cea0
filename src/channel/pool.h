/* SPDX-License-Identifier: Apache-2.0 */
/* Sealers and openers belong to one thread at a time: a pool lends them, and keeps them for the
   next. It never holds more than were in use at once. */
#ifndef SQI_CHANNEL_POOL_H
#define SQI_CHANNEL_POOL_H

#include <pthread.h>
#include <stddef.h>

#define SQI_POOLED_MAX 256 /* kept at most; more are freed when they come back */

struct sqi_pool {
    pthread_mutex_t lock;
    void *kept[SQI_POOLED_MAX];
    size_t kept_count;
};

void sqi_pool_init(struct sqi_pool *pool);

/* One that was kept, or NULL: make a new one. */
void *sqi_pool_take(struct sqi_pool *pool);

/* Whether it was kept; else the caller frees it. */
int sqi_pool_give(struct sqi_pool *pool, void *thing);

/* Frees all that are kept. */
void sqi_pool_end(struct sqi_pool *pool, void (*free_thing)(void *thing));

#endif
