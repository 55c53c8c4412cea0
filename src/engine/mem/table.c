/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mem/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 64

/* The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit moves every other. */
static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

uint64_t sqi_mem_hash(const void *bytes, size_t byte_count, uint64_t seed)
{
    const char *next = bytes;
    uint64_t hash = mix(seed + byte_count);
    while (byte_count > 0) {
        uint64_t word = 0;
        size_t part = byte_count < sizeof word ? byte_count : sizeof word;
        memcpy(&word, next, part);
        hash = mix(hash ^ word) + UINT64_C(0x9e3779b97f4a7c15);
        next += part;
        byte_count -= part;
    }
    return hash;
}

static struct sqi_mem_link **bucket_of(const struct sqi_mem_table *table, uint64_t hash)
{
    return &table->buckets[hash & (table->bucket_count - 1)];
}

static void insert(struct sqi_mem_table *table, struct sqi_mem_link *link)
{
    struct sqi_mem_link **bucket = bucket_of(table, link->hash);
    link->next = *bucket;
    *bucket = link;
}

static void grow(struct sqi_mem_table *table)
{
    struct sqi_mem_table larger = {.bucket_count = 2 * table->bucket_count, .count = table->count};
    larger.buckets = calloc(larger.bucket_count, sizeof(struct sqi_mem_link *));
    if (!larger.buckets)
        return;
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (struct sqi_mem_link *link = table->buckets[i], *next; link; link = next) {
            next = link->next;
            insert(&larger, link);
        }
    }
    free(table->buckets);
    *table = larger;
}

bool sqi_mem_table_init(struct sqi_mem_table *table)
{
    table->buckets = calloc(BUCKETS_MIN, sizeof(struct sqi_mem_link *));
    table->bucket_count = BUCKETS_MIN;
    table->count = 0;
    return table->buckets;
}

void sqi_mem_table_add(struct sqi_mem_table *table, struct sqi_mem_link *link, uint64_t hash)
{
    if (table->count >= table->bucket_count)
        grow(table);
    link->hash = hash;
    insert(table, link);
    table->count++;
}

void sqi_mem_table_remove(struct sqi_mem_table *table, struct sqi_mem_link *link)
{
    struct sqi_mem_link **place = bucket_of(table, link->hash);
    while (*place != link) {
        assert(*place);
        place = &(*place)->next;
    }
    *place = link->next;
    table->count--;
}

static struct sqi_mem_link *skip_to(struct sqi_mem_link *link, uint64_t hash)
{
    while (link && link->hash != hash)
        link = link->next;
    return link;
}

struct sqi_mem_link *sqi_mem_table_first(const struct sqi_mem_table *table, uint64_t hash)
{
    return skip_to(*bucket_of(table, hash), hash);
}

struct sqi_mem_link *sqi_mem_table_next(const struct sqi_mem_link *link)
{
    return skip_to(link->next, link->hash);
}

void sqi_mem_table_free(struct sqi_mem_table *table)
{
    free(table->buckets);
    *table = (struct sqi_mem_table){0};
}
