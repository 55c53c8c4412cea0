/* SPDX-License-Identifier: Apache-2.0 */
#include "channel/pool.h"

#include <assert.h>

void sqi_pool_init(struct sqi_pool *pool)
{
    int failed = pthread_mutex_init(&pool->lock, NULL);
    assert(!failed);
    pool->kept_count = 0;
}

void *sqi_pool_take(struct sqi_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    void *thing = pool->kept_count > 0 ? pool->kept[--pool->kept_count] : NULL;
    pthread_mutex_unlock(&pool->lock);
    return thing;
}

int sqi_pool_give(struct sqi_pool *pool, void *thing)
{
    pthread_mutex_lock(&pool->lock);
    int is_kept = pool->kept_count < SQI_POOLED_MAX;
    if (is_kept)
        pool->kept[pool->kept_count++] = thing;
    pthread_mutex_unlock(&pool->lock);
    return is_kept;
}

void sqi_pool_end(struct sqi_pool *pool, void (*free_thing)(void *thing))
{
    while (pool->kept_count > 0)
        free_thing(pool->kept[--pool->kept_count]);
    pthread_mutex_destroy(&pool->lock);
}
