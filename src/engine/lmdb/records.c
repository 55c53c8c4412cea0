/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lmdb/records.h"

#include <endian.h>
#include <string.h>

const char *const sqi_tree_names[SQI_TREE_COUNT] = {
    [SQI_META] = "meta",         [SQI_NAMES] = "names",       [SQI_CHANNELS] = "channels",
    [SQI_CANARIES] = "canaries", [SQI_MESSAGES] = "messages", [SQI_BODIES] = "bodies",
    [SQI_REASONS] = "reasons",   [SQI_READY_TREE] = "ready",  [SQI_TIMERS] = "timers",
    [SQI_OWNERS] = "owners",     [SQI_DEDUPE] = "dedupe",
};

/* ── making keys ──────────────────────────────────────────────────────────────────────────── */

static void add_bytes(struct sqi_tree_key *key, const void *bytes, size_t count)
{
    memcpy(key->data + key->bytes, bytes, count);
    key->bytes += count;
}

static void add_u8(struct sqi_tree_key *key, uint8_t value)
{
    add_bytes(key, &value, sizeof value);
}

static void add_u32(struct sqi_tree_key *key, uint32_t value)
{
    value = htobe32(value);
    add_bytes(key, &value, sizeof value);
}

static void add_u64(struct sqi_tree_key *key, uint64_t value)
{
    value = htobe64(value);
    add_bytes(key, &value, sizeof value);
}

struct sqi_tree_key sqi_key_channel(uint32_t channel)
{
    struct sqi_tree_key key = {0};
    add_u32(&key, channel);
    return key;
}

struct sqi_tree_key sqi_key_message(uint32_t channel, uint64_t id)
{
    struct sqi_tree_key key = {0};
    add_u32(&key, channel);
    add_u64(&key, id);
    return key;
}

struct sqi_tree_key sqi_key_body(uint64_t id, uint32_t chunk)
{
    struct sqi_tree_key key = {0};
    add_u64(&key, id);
    add_u32(&key, chunk);
    return key;
}

struct sqi_tree_key sqi_key_reason(uint64_t id)
{
    struct sqi_tree_key key = {0};
    add_u64(&key, id);
    return key;
}

struct sqi_tree_key sqi_key_ready(uint32_t channel, uint8_t priority, uint64_t place)
{
    struct sqi_tree_key key = {0};
    add_u32(&key, channel);
    add_u8(&key, priority);
    add_u64(&key, place);
    return key;
}

struct sqi_tree_key sqi_key_timer(enum sqi_timer_clock clock, int64_t due, uint32_t channel,
                                  uint64_t id)
{
    struct sqi_tree_key key = {0};
    add_u8(&key, (uint8_t)clock);
    add_u64(&key, due < 0 ? 0 : (uint64_t)due);
    add_u32(&key, channel);
    add_u64(&key, id);
    return key;
}

struct sqi_tree_key sqi_key_owner(uint64_t incarnation, uint64_t id)
{
    struct sqi_tree_key key = {0};
    add_u64(&key, incarnation);
    add_u64(&key, id);
    return key;
}

struct sqi_tree_key sqi_key_dedupe(uint32_t channel, const uint8_t id[SQI_DEDUPE_BYTES])
{
    struct sqi_tree_key key = {0};
    add_u32(&key, channel);
    add_bytes(&key, id, SQI_DEDUPE_BYTES);
    return key;
}

/* ── reading keys ─────────────────────────────────────────────────────────────────────────── */

static uint32_t get_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return be32toh(value);
}

static uint64_t get_u64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return be64toh(value);
}

bool sqi_read_message_key(const MDB_val *key, uint32_t *ret_channel, uint64_t *ret_id)
{
    if (key->mv_size != 12)
        return false;
    *ret_channel = get_u32(key->mv_data);
    *ret_id = get_u64((const uint8_t *)key->mv_data + 4);
    return true;
}

bool sqi_read_ready_key(const MDB_val *key, uint32_t *ret_channel)
{
    if (key->mv_size != 13)
        return false;
    *ret_channel = get_u32(key->mv_data);
    return true;
}

bool sqi_read_timer_key(const MDB_val *key, enum sqi_timer_clock *ret_clock, int64_t *ret_due,
                        uint32_t *ret_channel, uint64_t *ret_id)
{
    const uint8_t *bytes = key->mv_data;
    if (key->mv_size != 21)
        return false;
    *ret_clock = (enum sqi_timer_clock)bytes[0];
    *ret_due = (int64_t)get_u64(bytes + 1);
    *ret_channel = get_u32(bytes + 9);
    *ret_id = get_u64(bytes + 13);
    return true;
}

bool sqi_read_owner_key(const MDB_val *key, uint64_t *ret_incarnation, uint64_t *ret_id)
{
    if (key->mv_size != 16)
        return false;
    *ret_incarnation = get_u64(key->mv_data);
    *ret_id = get_u64((const uint8_t *)key->mv_data + 8);
    return true;
}

bool sqi_read_record(const MDB_val *value, void *ret_record, size_t record_bytes)
{
    if (value->mv_size != record_bytes)
        return false;
    memcpy(ret_record, value->mv_data, record_bytes);
    return true;
}
