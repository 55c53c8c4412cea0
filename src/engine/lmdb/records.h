/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in the trees of a store: schema 1, as docs/FORMAT.md has it.
 *
 *     meta      "store"                        → struct sqi_store_record
 *     names     name                           → number of the channel, u32
 *     channels  channel                        → struct sqi_channel_record
 *     canaries  channel                        → the sealed canary
 *     messages  channel, id                    → struct sqi_message_record
 *     bodies    id, chunk                      → at most SQI_CHUNK_BYTES of an envelope
 *     reasons   id                             → a sealed reason
 *     ready     channel, priority, place       → id, u64
 *     timers    clock, due, channel, id        → nothing; for dedupe windows the dedupe id
 *     owners    incarnation, id                → channel, u32: who holds which leases
 *     dedupe    channel, dedupe id             → struct sqi_dedupe_record
 *
 * Keys are big-endian, so that their order is that of the numbers. Records are little-endian, as
 * LMDB's own pages are on every machine we build for: a store is not moved to another kind.
 */
#ifndef SQI_ENGINE_LMDB_RECORDS_H
#define SQI_ENGINE_LMDB_RECORDS_H

#include <lmdb.h>
#include <stdint.h>

#include "engine/engine.h"

#define SQI_SCHEMA_VERSION 1
#define SQI_STORE_MAGIC "sealq store" /* 12 bytes with its NUL */

/* Two to a page of 4,096 bytes; a value a little larger would take whole pages of its own. */
#define SQI_CHUNK_BYTES 2000

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are little-endian");

enum sqi_tree {
    SQI_META,
    SQI_NAMES,
    SQI_CHANNELS,
    SQI_CANARIES,
    SQI_MESSAGES,
    SQI_BODIES,
    SQI_REASONS,
    SQI_READY_TREE,
    SQI_TIMERS,
    SQI_OWNERS,
    SQI_DEDUPE,
    SQI_TREE_COUNT,
};
extern const char *const sqi_tree_names[SQI_TREE_COUNT];

enum sqi_timer_clock { SQI_TIMER_LEASE = 1, SQI_TIMER_WALL = 2, SQI_TIMER_DEDUPE = 3 };

struct sqi_store_record {
    char magic[12];
    uint32_t version;
    uint64_t next_id, next_place, next_token;
    uint64_t bytes; /* of all envelopes, for the quota */
    uint32_t next_channel, channel_count;
    uint8_t boot_id[16]; /* of the boot whose monotonic clock the leases are on */
};
_Static_assert(sizeof(struct sqi_store_record) == 72, "as docs/FORMAT.md says");

struct sqi_channel_record {
    uint64_t capacity;
    int64_t lease_ms, backoff_ms, backoff_max_ms, dedupe_window_ms, dead_kept_ms;
    uint32_t attempts_max;
    uint32_t flags;     /* SQI_CHANNEL_… */
    uint64_t counts[5]; /* messages by enum sqi_state; [0] is 0 */
    uint64_t bytes;
    uint64_t puts, duplicates, leases, dones, retries, deaths, lost_leases;
};
_Static_assert(sizeof(struct sqi_channel_record) == 160, "as docs/FORMAT.md says");
enum { SQI_CHANNEL_CLOSED = 1, SQI_CHANNEL_PAUSED = 2 };

struct sqi_message_record {
    uint8_t state; /* enum sqi_state */
    uint8_t priority;
    uint8_t death; /* enum sqi_death */
    uint8_t flags; /* SQI_MESSAGE_… */
    uint32_t attempts;
    uint32_t envelope_bytes;
    uint32_t zero;
    int64_t expires_ms;
    int64_t when_ms; /* delayed: due; dead: died */
    int64_t timer;   /* its due in timers, SQI_NEVER: none. Leased: the deadline */
    uint64_t place;  /* ready */
    uint64_t owner;  /* leased; 0: by time alone */
    uint64_t token;  /* leased */
    uint8_t dedupe_id[SQI_DEDUPE_BYTES];
};
_Static_assert(sizeof(struct sqi_message_record) == 80, "as docs/FORMAT.md says");
enum { SQI_MESSAGE_DEDUPED = 1, SQI_MESSAGE_REASONED = 2 };

struct sqi_dedupe_record {
    uint64_t id;
    int64_t until_ms;
};

struct sqi_tree_key {
    size_t bytes;
    uint8_t data[24];
};

struct sqi_tree_key sqi_key_channel(uint32_t channel);
struct sqi_tree_key sqi_key_message(uint32_t channel, uint64_t id);
struct sqi_tree_key sqi_key_body(uint64_t id, uint32_t chunk);
struct sqi_tree_key sqi_key_reason(uint64_t id);
struct sqi_tree_key sqi_key_ready(uint32_t channel, uint8_t priority, uint64_t place);
struct sqi_tree_key sqi_key_timer(enum sqi_timer_clock clock, int64_t due, uint32_t channel,
                                  uint64_t id);
struct sqi_tree_key sqi_key_owner(uint64_t incarnation, uint64_t id);
struct sqi_tree_key sqi_key_dedupe(uint32_t channel, const uint8_t id[SQI_DEDUPE_BYTES]);

/* Keys taken apart; false when one has not the size it must have. */
bool sqi_read_message_key(const MDB_val *key, uint32_t *ret_channel, uint64_t *ret_id);
bool sqi_read_ready_key(const MDB_val *key, uint32_t *ret_channel);
bool sqi_read_timer_key(const MDB_val *key, enum sqi_timer_clock *ret_clock, int64_t *ret_due,
                        uint32_t *ret_channel, uint64_t *ret_id);
bool sqi_read_owner_key(const MDB_val *key, uint64_t *ret_incarnation, uint64_t *ret_id);

/* Copies a value of exactly this size; false when it has another. */
bool sqi_read_record(const MDB_val *value, void *ret_record, size_t record_bytes);

#endif
