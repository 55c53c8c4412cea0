/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lmdb/life.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

enum { LEASES = 0, WALL = 1 }; /* promises */

/* ── records ──────────────────────────────────────────────────────────────────────────────── */

bool sqi_life_read(struct sqi_transaction *transaction, uint32_t channel, uint64_t id,
                   struct sqi_message_record *ret_record)
{
    MDB_val value;
    struct sqi_tree_key key = sqi_key_message(channel, id);
    if (!sqi_tree_get(transaction, SQI_MESSAGES, &key, &value))
        return false;
    if (!sqi_read_record(&value, ret_record, sizeof *ret_record) ||
        ret_record->state < SQI_DELAYED || ret_record->state > SQI_DEAD) {
        sqi_transaction_damaged(transaction);
        return false;
    }
    return true;
}

static void write_message(struct sqi_transaction *transaction, uint32_t channel, uint64_t id,
                          const struct sqi_message_record *record)
{
    struct sqi_tree_key key = sqi_key_message(channel, id);
    sqi_tree_put(transaction, SQI_MESSAGES, &key, record, sizeof *record);
}

static void write_envelope(struct sqi_transaction *transaction, uint64_t id, const uint8_t *bytes,
                           size_t count)
{
    uint32_t chunk = 0;
    do {
        size_t part = count < SQI_CHUNK_BYTES ? count : SQI_CHUNK_BYTES;
        struct sqi_tree_key key = sqi_key_body(id, chunk++);
        sqi_tree_append(transaction, SQI_BODIES, &key, bytes, part);
        bytes += part;
        count -= part;
    } while (count > 0);
}

uint8_t *sqi_life_read_envelope(struct sqi_transaction *transaction, uint64_t id, size_t bytes)
{
    size_t read = 0;
    uint8_t *envelope = malloc(bytes ? bytes : 1);
    if (!envelope)
        sqi_transaction_fail(transaction, ENOMEM);
    for (uint32_t chunk = 0; envelope && (chunk == 0 || read < bytes); chunk++) {
        MDB_val value;
        struct sqi_tree_key key = sqi_key_body(id, chunk);
        if (!sqi_tree_get(transaction, SQI_BODIES, &key, &value) || value.mv_size > bytes - read ||
            (chunk > 0 && value.mv_size == 0)) {
            sqi_transaction_damaged(transaction);
            free(envelope);
            return NULL;
        }
        memcpy(envelope + read, value.mv_data, value.mv_size);
        read += value.mv_size;
    }
    return envelope;
}

static void delete_envelope(struct sqi_transaction *transaction, uint64_t id, size_t bytes)
{
    size_t chunks = bytes ? (bytes + SQI_CHUNK_BYTES - 1) / SQI_CHUNK_BYTES : 1;
    for (uint32_t chunk = 0; chunk < chunks; chunk++) {
        struct sqi_tree_key key = sqi_key_body(id, chunk);
        if (!sqi_tree_delete(transaction, SQI_BODIES, &key) && !transaction->error)
            sqi_transaction_damaged(transaction);
    }
}

/* ── timers ───────────────────────────────────────────────────────────────────────────────── */

static void set_timer(struct sqi_transaction *transaction, enum sqi_timer_clock clock, int64_t due,
                      uint32_t channel, uint64_t id)
{
    struct sqi_page *page = transaction->environment->page.page;
    struct sqi_tree_key key = sqi_key_timer(clock, due, channel, id);
    sqi_tree_put(transaction, SQI_TIMERS, &key, "", 0);
    if (sqi_page_promise_set(page, clock == SQI_TIMER_LEASE ? LEASES : WALL, due))
        transaction->wakes = ~UINT64_C(0);
}

/* The due of a clock's first timer, SQI_NEVER when it has none. */
static int64_t first_timer(struct sqi_transaction *transaction, enum sqi_timer_clock clock)
{
    MDB_val name, value;
    int64_t due = SQI_NEVER;
    enum sqi_timer_clock found;
    uint32_t channel;
    uint64_t id;
    struct sqi_tree_key key = sqi_key_timer(clock, 0, 0, 0);
    MDB_cursor *cursor = sqi_cursor_open(transaction, SQI_TIMERS);
    if (cursor && sqi_cursor_at_least(transaction, cursor, &key, &name, &value) &&
        sqi_read_timer_key(&name, &found, &due, &channel, &id) && found != clock)
        due = SQI_NEVER;
    mdb_cursor_close(cursor);
    return due;
}

struct sqi_due sqi_life_due(struct sqi_transaction *transaction)
{
    return (struct sqi_due){
        .monotonic_ns = first_timer(transaction, SQI_TIMER_LEASE),
        .wall_ms = first_timer(transaction, SQI_TIMER_WALL),
    };
}

/* ── entering and leaving states ──────────────────────────────────────────────────────────── */

static uint64_t unfinished(const struct sqi_cached_channel *channel)
{
    const uint64_t *counts = channel->record.counts;
    return counts[SQI_DELAYED] + counts[SQI_READY] + counts[SQI_LEASED];
}

static void wake(struct sqi_transaction *transaction, const struct sqi_cached_channel *channel)
{
    transaction->wakes |= UINT64_C(1) << sqi_word_of(channel->channel);
}

static void leave(struct sqi_transaction *transaction, struct sqi_cached_channel *channel,
                  uint64_t id, const struct sqi_message_record *record)
{
    bool is_leased = record->state == SQI_LEASED;
    if (record->state == SQI_READY) {
        struct sqi_tree_key key = sqi_key_ready(channel->channel, record->priority, record->place);
        sqi_tree_delete(transaction, SQI_READY_TREE, &key);
    }
    if (record->timer != SQI_NEVER) {
        struct sqi_tree_key key = sqi_key_timer(is_leased ? SQI_TIMER_LEASE : SQI_TIMER_WALL,
                                                record->timer, channel->channel, id);
        sqi_tree_delete(transaction, SQI_TIMERS, &key);
    }
    if (is_leased && record->owner) {
        struct sqi_tree_key key = sqi_key_owner(record->owner, id);
        sqi_tree_delete(transaction, SQI_OWNERS, &key);
    }
    channel->record.counts[record->state]--;
    channel->is_changed = true;
}

/* For a record whose state and timer are set: the indexes, the counters, the record itself. */
static void enter(struct sqi_transaction *transaction, struct sqi_cached_channel *channel,
                  uint64_t id, const struct sqi_message_record *record)
{
    bool is_leased = record->state == SQI_LEASED;
    if (record->state == SQI_READY) {
        struct sqi_tree_key key = sqi_key_ready(channel->channel, record->priority, record->place);
        sqi_tree_put(transaction, SQI_READY_TREE, &key, &id, sizeof id);
    }
    if (record->timer != SQI_NEVER)
        set_timer(transaction, is_leased ? SQI_TIMER_LEASE : SQI_TIMER_WALL, record->timer,
                  channel->channel, id);
    if (is_leased && record->owner) {
        struct sqi_tree_key key = sqi_key_owner(record->owner, id);
        sqi_tree_put(transaction, SQI_OWNERS, &key, &channel->channel, sizeof channel->channel);
    }
    channel->record.counts[record->state]++;
    channel->is_changed = true;
    write_message(transaction, channel->channel, id, record);
    if (!is_leased)
        wake(transaction, channel);
}

static int64_t or_never(int64_t expires_ms)
{
    return expires_ms ? expires_ms : SQI_NEVER;
}

static void make_ready(struct sqi_transaction *transaction, struct sqi_message_record *record)
{
    record->state = SQI_READY;
    record->place = transaction->store.next_place++;
    record->timer = or_never(record->expires_ms);
}

static void make_delayed(struct sqi_message_record *record, int64_t due_ms)
{
    int64_t expires_ms = or_never(record->expires_ms);
    record->state = SQI_DELAYED;
    record->when_ms = due_ms;
    record->timer = due_ms < expires_ms ? due_ms : expires_ms;
}

static bool is_expired(const struct sqi_transaction *transaction,
                       const struct sqi_message_record *record)
{
    return record->expires_ms && record->expires_ms <= transaction->now_ms;
}

static int64_t later(int64_t at, int64_t by)
{
    int64_t sum;
    return __builtin_add_overflow(at, by, &sum) ? SQI_NEVER - 1 : sum;
}

static void release_dedupe(struct sqi_transaction *transaction, uint32_t channel,
                           const uint8_t dedupe_id[SQI_DEDUPE_BYTES]);

static void make_dead(struct sqi_transaction *transaction, struct sqi_cached_channel *channel,
                      struct sqi_message_record *record, enum sqi_death death)
{
    record->state = SQI_DEAD;
    record->death = (uint8_t)death;
    record->when_ms = transaction->now_ms;
    record->timer = later(transaction->now_ms, channel->record.dead_kept_ms);
    channel->record.deaths++;
}

/* Into ready, or delayed until due_ms where that is not 0; or dead, when it has expired. */
static void enter_waiting(struct sqi_transaction *transaction, struct sqi_cached_channel *channel,
                          uint64_t id, struct sqi_message_record *record, int64_t due_ms)
{
    if (is_expired(transaction, record))
        make_dead(transaction, channel, record, SQI_DEATH_EXPIRED);
    else if (due_ms > transaction->now_ms)
        make_delayed(record, due_ms);
    else
        make_ready(transaction, record);
    enter(transaction, channel, id, record);
    if (record->state == SQI_DEAD && (record->flags & SQI_MESSAGE_DEDUPED))
        release_dedupe(transaction, channel->channel, record->dedupe_id);
}

static void enter_dead(struct sqi_transaction *transaction, struct sqi_cached_channel *channel,
                       uint64_t id, struct sqi_message_record *record, enum sqi_death death)
{
    make_dead(transaction, channel, record, death);
    enter(transaction, channel, id, record);
    if (record->flags & SQI_MESSAGE_DEDUPED)
        release_dedupe(transaction, channel->channel, record->dedupe_id);
}

/* Of a message that has left its state. */
static void delete_message(struct sqi_transaction *transaction, struct sqi_cached_channel *channel,
                           uint64_t id, const struct sqi_message_record *record)
{
    struct sqi_tree_key key = sqi_key_message(channel->channel, id);
    sqi_tree_delete(transaction, SQI_MESSAGES, &key);
    delete_envelope(transaction, id, record->envelope_bytes);
    if (record->flags & SQI_MESSAGE_REASONED) {
        key = sqi_key_reason(id);
        sqi_tree_delete(transaction, SQI_REASONS, &key);
    }
    channel->record.bytes -= record->envelope_bytes;
    transaction->store.bytes -= record->envelope_bytes;
    if (record->flags & SQI_MESSAGE_DEDUPED)
        release_dedupe(transaction, channel->channel, record->dedupe_id);
    wake(transaction, channel);
}

/* ── dedupe ───────────────────────────────────────────────────────────────────────────────── */

static bool read_dedupe(struct sqi_transaction *transaction, const struct sqi_tree_key *key,
                        struct sqi_dedupe_record *ret_record)
{
    MDB_val value;
    if (!sqi_tree_get(transaction, SQI_DEDUPE, key, &value))
        return false;
    if (!sqi_read_record(&value, ret_record, sizeof *ret_record))
        sqi_transaction_damaged(transaction);
    return !transaction->error;
}

static bool is_unfinished(struct sqi_transaction *transaction, uint32_t channel, uint64_t id)
{
    struct sqi_message_record record;
    return sqi_life_read(transaction, channel, id, &record) && record.state != SQI_DEAD;
}

static void set_window_timer(struct sqi_transaction *transaction, uint32_t channel,
                             const uint8_t dedupe_id[SQI_DEDUPE_BYTES],
                             const struct sqi_dedupe_record *held)
{
    struct sqi_tree_key key = sqi_key_timer(SQI_TIMER_DEDUPE, held->until_ms, channel, held->id);
    sqi_tree_put(transaction, SQI_TIMERS, &key, dedupe_id, SQI_DEDUPE_BYTES);
}

/* Forgets the id unless it still holds: its window is open, or its message is unfinished. Called
   when either ends; should the clock go back in between, the window is open again, and needs its
   timer again. */
static void release_dedupe(struct sqi_transaction *transaction, uint32_t channel,
                           const uint8_t dedupe_id[SQI_DEDUPE_BYTES])
{
    struct sqi_dedupe_record held;
    struct sqi_tree_key key = sqi_key_dedupe(channel, dedupe_id);
    if (!read_dedupe(transaction, &key, &held))
        return;
    if (held.until_ms > transaction->now_ms)
        set_window_timer(transaction, channel, dedupe_id, &held);
    else if (!is_unfinished(transaction, channel, held.id))
        sqi_tree_delete(transaction, SQI_DEDUPE, &key);
}

/* The id of the message that holds one of these ids, or 0. */
static uint64_t find_duplicate(struct sqi_transaction *transaction, uint32_t channel,
                               const struct sqi_put *put)
{
    for (size_t i = 0; i < put->dedupe_id_count; i++) {
        struct sqi_dedupe_record held;
        struct sqi_tree_key key = sqi_key_dedupe(channel, put->dedupe_ids[i]);
        if (read_dedupe(transaction, &key, &held) &&
            (held.until_ms > transaction->now_ms || is_unfinished(transaction, channel, held.id)))
            return held.id;
    }
    return 0;
}

static void hold_dedupe(struct sqi_transaction *transaction,
                        const struct sqi_cached_channel *channel, uint64_t id,
                        const uint8_t dedupe_id[SQI_DEDUPE_BYTES])
{
    struct sqi_dedupe_record held = {
        .id = id, .until_ms = later(transaction->now_ms, channel->record.dedupe_window_ms)};
    struct sqi_tree_key key = sqi_key_dedupe(channel->channel, dedupe_id);
    sqi_tree_put(transaction, SQI_DEDUPE, &key, &held, sizeof held);
    set_window_timer(transaction, channel->channel, dedupe_id, &held);
}

/* ── put ──────────────────────────────────────────────────────────────────────────────────── */

static int check_put(struct sqi_transaction *transaction, struct sqi_cached_channel *channel,
                     struct sqi_put *put, uint64_t quota_bytes)
{
    if (channel->record.flags & SQI_CHANNEL_CLOSED)
        return SQ_ESHUTDOWN;
    put->id = find_duplicate(transaction, channel->channel, put);
    if (put->id) {
        channel->record.duplicates++;
        channel->is_changed = transaction->is_changed = true;
        return 1;
    }
    if (channel->record.capacity && unfinished(channel) >= channel->record.capacity)
        return SQ_EFULL;
    if (quota_bytes && transaction->store.bytes + put->envelope_bytes > quota_bytes)
        return SQ_ENOSPACE;
    return SQ_OK;
}

static void add_message(struct sqi_transaction *transaction, struct sqi_cached_channel *channel,
                        struct sqi_put *put)
{
    struct sqi_message_record record = {
        .priority = put->priority,
        .envelope_bytes = (uint32_t)put->envelope_bytes,
        .expires_ms = put->expires_ms,
    };
    put->id = transaction->store.next_id++;
    if (put->dedupe_id_count > 0) {
        record.flags |= SQI_MESSAGE_DEDUPED;
        memcpy(record.dedupe_id, put->dedupe_ids[0], SQI_DEDUPE_BYTES);
        hold_dedupe(transaction, channel, put->id, put->dedupe_ids[0]);
    }
    write_envelope(transaction, put->id, put->envelope, put->envelope_bytes);
    channel->record.puts++;
    channel->record.bytes += put->envelope_bytes;
    transaction->store.bytes += put->envelope_bytes;
    enter_waiting(transaction, channel, put->id, &record, put->not_before_ms);
}

void sqi_life_put(struct sqi_transaction *transaction, struct sqi_cached_channel *channel,
                  struct sqi_put *put, uint64_t quota_bytes, bool is_emitted)
{
    put->id = 0;
    if (is_emitted) {
        put->result = SQ_OK;
        put->id = find_duplicate(transaction, channel->channel, put);
        if (put->id) {
            channel->record.duplicates++;
            channel->is_changed = transaction->is_changed = true;
            put->result = 1;
        }
    } else {
        put->result = check_put(transaction, channel, put, quota_bytes);
    }
    if (put->result == SQ_OK)
        add_message(transaction, channel, put);
}

/* ── settle, extend ───────────────────────────────────────────────────────────────────────── */

/* The channel and record of a lease that still holds: SQ_OK, SQ_ENOENT or SQ_ELEASE. */
static int find_lease(struct sqi_transaction *transaction, uint32_t number, uint64_t id,
                      uint64_t token, struct sqi_cached_channel **ret_channel,
                      struct sqi_message_record *ret_record)
{
    *ret_channel = sqi_channel_in(transaction, number);
    if (!*ret_channel)
        return SQ_ENOENT;
    if (!sqi_life_read(transaction, number, id, ret_record) || ret_record->state != SQI_LEASED ||
        ret_record->token != token)
        return SQ_ELEASE;
    return SQ_OK;
}

static int check_emissions(struct sqi_transaction *transaction,
                           const struct sqi_settlement *settlement)
{
    for (size_t i = 0; i < settlement->emission_count; i++) {
        struct sqi_cached_channel *channel = sqi_channel_in(transaction,
                                                            settlement->emissions[i].channel);
        if (!channel)
            return SQ_ENOENT;
        if (channel->record.flags & SQI_CHANNEL_CLOSED)
            return SQ_ESHUTDOWN;
    }
    return SQ_OK;
}

static void keep_reason(struct sqi_transaction *transaction, uint64_t id,
                        const struct sqi_settlement *settlement, struct sqi_message_record *record)
{
    if (!settlement->reason)
        return;
    struct sqi_tree_key key = sqi_key_reason(id);
    record->flags |= SQI_MESSAGE_REASONED;
    sqi_tree_put(transaction, SQI_REASONS, &key, settlement->reason, settlement->reason_bytes);
}

static void settle_done(struct sqi_transaction *transaction, struct sqi_cached_channel *channel,
                        struct sqi_settlement *settlement, const struct sqi_message_record *record)
{
    for (size_t i = 0; i < settlement->emission_count; i++) {
        struct sqi_emission *emission = &settlement->emissions[i];
        struct sqi_cached_channel *target = sqi_channel_in(transaction, emission->channel);
        if (target)
            sqi_life_put(transaction, target, &emission->put, 0, true);
    }
    channel->record.dones++;
    delete_message(transaction, channel, settlement->id, record);
}

static void settle_retry(struct sqi_transaction *transaction, struct sqi_cached_channel *channel,
                         struct sqi_settlement *settlement, struct sqi_message_record *record)
{
    channel->record.retries++;
    keep_reason(transaction, settlement->id, settlement, record);
    if (record->attempts >= channel->record.attempts_max)
        enter_dead(transaction, channel, settlement->id, record, SQI_DEATH_ATTEMPTS);
    else
        enter_waiting(transaction, channel, settlement->id, record,
                      settlement->delay_ms ? later(transaction->now_ms, settlement->delay_ms) : 0);
    settlement->result = record->state == SQI_DEAD;
}

void sqi_life_settle(struct sqi_transaction *transaction, struct sqi_settlement *settlement)
{
    struct sqi_cached_channel *channel;
    struct sqi_message_record record;
    settlement->result = find_lease(transaction, settlement->channel, settlement->id,
                                    settlement->token, &channel, &record);
    if (settlement->result == SQ_OK)
        settlement->result = check_emissions(transaction, settlement);
    if (settlement->result < 0)
        return;
    leave(transaction, channel, settlement->id, &record);
    record.owner = record.token = 0;
    switch (settlement->verdict) {
    case SQI_DONE:
        settle_done(transaction, channel, settlement, &record);
        break;
    case SQI_RETRY:
        settle_retry(transaction, channel, settlement, &record);
        break;
    case SQI_RELEASE:
        record.attempts--;
        channel->record.leases--;
        enter_waiting(transaction, channel, settlement->id, &record,
                      settlement->delay_ms ? later(transaction->now_ms, settlement->delay_ms) : 0);
        break;
    case SQI_BURY:
        keep_reason(transaction, settlement->id, settlement, &record);
        enter_dead(transaction, channel, settlement->id, &record, settlement->death);
        break;
    }
}

void sqi_life_extend(struct sqi_transaction *transaction, struct sqi_extension *extension)
{
    struct sqi_cached_channel *channel;
    struct sqi_message_record record;
    extension->result = find_lease(transaction, extension->channel, extension->id, extension->token,
                                   &channel, &record);
    if (extension->result < 0)
        return;
    int64_t lease_ms = extension->lease_ms ? extension->lease_ms : channel->record.lease_ms;
    struct sqi_tree_key key = sqi_key_timer(SQI_TIMER_LEASE, record.timer, extension->channel,
                                            extension->id);
    sqi_tree_delete(transaction, SQI_TIMERS, &key);
    record.timer = later(transaction->now_ns, lease_ms * SQI_NS_PER_MS);
    set_timer(transaction, SQI_TIMER_LEASE, record.timer, extension->channel, extension->id);
    write_message(transaction, extension->channel, extension->id, &record);
    extension->deadline_ns = record.timer;
}

/* ── lease ────────────────────────────────────────────────────────────────────────────────── */

/* The first ready messages of a channel: how many of their ids were found. */
static size_t find_ready(struct sqi_transaction *transaction, uint32_t channel, uint64_t *ret_ids,
                         size_t count_max)
{
    MDB_val name, value;
    uint32_t found;
    size_t count = 0;
    struct sqi_tree_key key = sqi_key_ready(channel, 0, 0);
    MDB_cursor *cursor = sqi_cursor_open(transaction, SQI_READY_TREE);
    bool is_there = cursor && sqi_cursor_at_least(transaction, cursor, &key, &name, &value);
    while (is_there && count < count_max && sqi_read_ready_key(&name, &found) && found == channel) {
        if (!sqi_read_record(&value, &ret_ids[count++], sizeof ret_ids[0]))
            sqi_transaction_damaged(transaction);
        is_there = count < count_max && sqi_cursor_next(transaction, cursor, &name, &value);
    }
    mdb_cursor_close(cursor);
    return transaction->error ? 0 : count;
}

static bool lease_one(struct sqi_transaction *transaction, struct sqi_cached_channel *channel,
                      uint64_t id, const struct sqi_lease_request *request, uint64_t incarnation,
                      size_t *bytes_left, struct sqi_lease *ret_lease)
{
    struct sqi_message_record record;
    if (!sqi_life_read(transaction, channel->channel, id, &record)) {
        sqi_transaction_damaged(transaction);
        return false;
    }
    if (record.envelope_bytes > *bytes_left)
        return false;
    uint8_t *envelope = sqi_life_read_envelope(transaction, id, record.envelope_bytes);
    if (!envelope)
        return false;
    *bytes_left -= record.envelope_bytes;
    leave(transaction, channel, id, &record);
    int64_t lease_ms = request->lease_ms ? request->lease_ms : channel->record.lease_ms;
    record.state = SQI_LEASED;
    record.attempts++;
    record.timer = later(transaction->now_ns, lease_ms * SQI_NS_PER_MS);
    record.owner = request->is_unowned ? 0 : incarnation;
    record.token = transaction->store.next_token++;
    enter(transaction, channel, id, &record);
    channel->record.leases++;
    *ret_lease = (struct sqi_lease){
        .id = id,
        .token = record.token,
        .attempt = record.attempts,
        .priority = record.priority,
        .deadline_ns = record.timer,
        .envelope = envelope,
        .envelope_bytes = record.envelope_bytes,
    };
    return true;
}

int sqi_life_lease(struct sqi_transaction *transaction, const struct sqi_lease_request *request,
                   uint64_t incarnation, struct sqi_lease *ret_leases)
{
    struct sqi_cached_channel *channel = sqi_channel_in(transaction, request->channel);
    if (!channel)
        return transaction->error ? SQ_OK : sqi_fail(SQ_ENOENT);
    if ((channel->record.flags & SQI_CHANNEL_CLOSED) && unfinished(channel) == 0)
        return sqi_fail(SQ_ESHUTDOWN);
    if (channel->record.flags & SQI_CHANNEL_PAUSED || channel->record.counts[SQI_READY] == 0)
        return 0;
    size_t count_max = request->count_max < SQI_COMMIT_MESSAGES_MAX ? request->count_max
                                                                    : SQI_COMMIT_MESSAGES_MAX;
    size_t bytes_left = request->bytes_max ? request->bytes_max : SQI_COMMIT_BYTES_MAX;
    uint64_t one, *ids = count_max == 1 ? &one : malloc(count_max * sizeof *ids);
    if (!ids) {
        sqi_transaction_fail(transaction, ENOMEM);
        return 0;
    }
    size_t found = find_ready(transaction, request->channel, ids, count_max), leased = 0;
    while (leased < found) {
        size_t any = SIZE_MAX; /* the first comes whatever its size */
        if (!lease_one(transaction, channel, ids[leased], request, incarnation,
                       leased ? &bytes_left : &any, &ret_leases[leased]))
            break;
        if (leased == 0)
            bytes_left -= ret_leases[0].envelope_bytes < bytes_left ? ret_leases[0].envelope_bytes
                                                                    : bytes_left;
        leased++;
    }
    if (ids != &one)
        free(ids);
    return (int)leased;
}

/* ── leases that end by themselves ────────────────────────────────────────────────────────── */

static void lose_lease(struct sqi_transaction *transaction, uint32_t number, uint64_t id)
{
    struct sqi_message_record record;
    struct sqi_cached_channel *channel = sqi_channel_in(transaction, number);
    if (!channel || !sqi_life_read(transaction, number, id, &record) ||
        record.state != SQI_LEASED) {
        sqi_transaction_damaged(transaction);
        return;
    }
    leave(transaction, channel, id, &record);
    record.owner = record.token = 0;
    channel->record.lost_leases++;
    if (record.attempts >= channel->record.attempts_max)
        enter_dead(transaction, channel, id, &record, SQI_DEATH_ATTEMPTS);
    else
        enter_waiting(transaction, channel, id, &record, 0);
}

struct held_lease {
    int64_t deadline_ns;
    uint32_t channel;
    uint64_t id;
};

static int by_deadline(const void *a, const void *b)
{
    const struct held_lease *left = a, *right = b;
    if (left->deadline_ns != right->deadline_ns)
        return left->deadline_ns < right->deadline_ns ? -1 : 1;
    if (left->channel != right->channel)
        return left->channel < right->channel ? -1 : 1;
    return (left->id > right->id) - (left->id < right->id);
}

/* Collects leases from the tree of owners while `wanted` says so; in the order of rule 1. */
struct collection {
    struct held_lease *leases;
    size_t count, room;
};

static void collect(struct sqi_transaction *transaction, struct collection *collection,
                    uint32_t channel, uint64_t id)
{
    struct sqi_message_record record;
    if (collection->count == collection->room) {
        size_t room = collection->room ? 2 * collection->room : 64;
        struct held_lease *leases = reallocarray(collection->leases, room, sizeof *leases);
        if (!leases) {
            sqi_transaction_fail(transaction, ENOMEM);
            return;
        }
        collection->leases = leases;
        collection->room = room;
    }
    if (!sqi_life_read(transaction, channel, id, &record)) {
        sqi_transaction_damaged(transaction);
        return;
    }
    collection->leases[collection->count++] = (struct held_lease){record.timer, channel, id};
}

static void lose_collected(struct sqi_transaction *transaction, struct collection *collection)
{
    if (collection->count > 0)
        qsort(collection->leases, collection->count, sizeof *collection->leases, by_deadline);
    for (size_t i = 0; i < collection->count && !transaction->error; i++)
        lose_lease(transaction, collection->leases[i].channel, collection->leases[i].id);
    free(collection->leases);
}

void sqi_life_reclaim(struct sqi_transaction *transaction, uint64_t incarnation)
{
    MDB_val name, value;
    uint64_t owner, id, asked = 0;
    uint32_t channel;
    bool is_wanted = incarnation != 0;
    struct collection collection = {0};
    struct sqi_tree_key key = sqi_key_owner(incarnation, 0);
    MDB_cursor *cursor = sqi_cursor_open(transaction, SQI_OWNERS);
    bool is_there = cursor && sqi_cursor_at_least(transaction, cursor, &key, &name, &value);
    while (is_there && !transaction->error) {
        if (!sqi_read_owner_key(&name, &owner, &id) ||
            !sqi_read_record(&value, &channel, sizeof channel)) {
            sqi_transaction_damaged(transaction);
            break;
        }
        if (incarnation && owner != incarnation)
            break;
        if (!incarnation && owner != asked) {
            asked = owner;
            is_wanted = !sqi_page_is_alive(&transaction->environment->page, owner);
        }
        if (is_wanted) {
            collect(transaction, &collection, channel, id);
            is_there = sqi_cursor_next(transaction, cursor, &name, &value);
        } else { /* the next owner's */
            key = sqi_key_owner(owner + 1, 0);
            is_there = sqi_cursor_at_least(transaction, cursor, &key, &name, &value);
        }
    }
    mdb_cursor_close(cursor);
    lose_collected(transaction, &collection);
}

/* ── the sweep ────────────────────────────────────────────────────────────────────────────── */

/* The first timer of a clock that is due; false when none is. */
static bool next_due(struct sqi_transaction *transaction, enum sqi_timer_clock clock, int64_t now,
                     struct sqi_tree_key *ret_key, uint32_t *ret_channel, uint64_t *ret_id,
                     uint8_t ret_dedupe_id[SQI_DEDUPE_BYTES])
{
    MDB_val name, value;
    enum sqi_timer_clock found;
    int64_t due;
    struct sqi_tree_key key = sqi_key_timer(clock, 0, 0, 0);
    MDB_cursor *cursor = sqi_cursor_open(transaction, SQI_TIMERS);
    bool is_due = cursor && sqi_cursor_at_least(transaction, cursor, &key, &name, &value) &&
                  sqi_read_timer_key(&name, &found, &due, ret_channel, ret_id) && found == clock &&
                  due <= now;
    if (is_due) {
        ret_key->bytes = name.mv_size;
        memcpy(ret_key->data, name.mv_data, name.mv_size);
        if (value.mv_size == SQI_DEDUPE_BYTES)
            memcpy(ret_dedupe_id, value.mv_data, SQI_DEDUPE_BYTES);
    }
    mdb_cursor_close(cursor);
    return is_due;
}

static void move_by_wall(struct sqi_transaction *transaction, uint32_t number, uint64_t id)
{
    struct sqi_message_record record;
    struct sqi_cached_channel *channel = sqi_channel_in(transaction, number);
    if (!channel || !sqi_life_read(transaction, number, id, &record)) {
        sqi_transaction_damaged(transaction);
        return;
    }
    leave(transaction, channel, id, &record);
    if (record.state == SQI_DEAD)
        delete_message(transaction, channel, id, &record);
    else
        enter_waiting(transaction, channel, id, &record, 0);
}

void sqi_life_reclaim_all(struct sqi_transaction *transaction)
{
    struct sqi_tree_key key;
    uint32_t channel;
    uint64_t id;
    uint8_t unused[SQI_DEDUPE_BYTES];
    while (next_due(transaction, SQI_TIMER_LEASE, SQI_NEVER, &key, &channel, &id, unused))
        lose_lease(transaction, channel, id);
}

void sqi_life_sweep(struct sqi_transaction *transaction)
{
    struct sqi_page *page = transaction->environment->page.page;
    struct sqi_tree_key key;
    uint32_t channel;
    uint64_t id;
    uint8_t dedupe_id[SQI_DEDUPE_BYTES] = {0};
    size_t left = SQI_COMMIT_MESSAGES_MAX;
    while (left > 0 && next_due(transaction, SQI_TIMER_LEASE, transaction->now_ns, &key, &channel,
                                &id, dedupe_id)) {
        lose_lease(transaction, channel, id);
        left--;
    }
    while (left > 0 && next_due(transaction, SQI_TIMER_WALL, transaction->now_ms, &key, &channel,
                                &id, dedupe_id)) {
        move_by_wall(transaction, channel, id);
        left--;
    }
    while (left > 0 && next_due(transaction, SQI_TIMER_DEDUPE, transaction->now_ms, &key, &channel,
                                &id, dedupe_id)) {
        sqi_tree_delete(transaction, SQI_TIMERS, &key);
        release_dedupe(transaction, channel, dedupe_id);
        left--;
    }
    if (sqi_page_promise_is_over(page, LEASES, transaction->now_ns))
        sqi_page_promise_renew(page, LEASES, first_timer(transaction, SQI_TIMER_LEASE));
    if (sqi_page_promise_is_over(page, WALL, transaction->now_ms))
        sqi_page_promise_renew(page, WALL, first_timer(transaction, SQI_TIMER_WALL));
}
