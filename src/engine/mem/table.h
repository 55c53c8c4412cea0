/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table of links that are part of what is looked up. It owns none of them. */
#ifndef SQI_ENGINE_MEM_TABLE_H
#define SQI_ENGINE_MEM_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sqi_mem_link {
    struct sqi_mem_link *next;
    uint64_t hash;
};

struct sqi_mem_table {
    struct sqi_mem_link **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
};

uint64_t sqi_mem_hash(const void *bytes, size_t byte_count, uint64_t seed);

/* False: out of memory. */
bool sqi_mem_table_init(struct sqi_mem_table *table);
/* Cannot fail: without memory to grow, searches take longer. */
void sqi_mem_table_add(struct sqi_mem_table *table, struct sqi_mem_link *link, uint64_t hash);
void sqi_mem_table_remove(struct sqi_mem_table *table, struct sqi_mem_link *link);
/* The first and the next link of this hash, for the caller to compare; NULL: no more. */
struct sqi_mem_link *sqi_mem_table_first(const struct sqi_mem_table *table, uint64_t hash);
struct sqi_mem_link *sqi_mem_table_next(const struct sqi_mem_link *link);
void sqi_mem_table_free(struct sqi_mem_table *table);

#endif
