/* SPDX-License-Identifier: Apache-2.0 */
/* The engine on LMDB: its table of operations, each a request for commit.c. */
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/futex.h"
#include "engine/lmdb/commit.h"
#include "engine/lmdb/environment.h"
#include "engine/lmdb/life.h"
#include "engine/lmdb/watcher.h"

struct lmdb_engine {
    struct sqi_engine engine;
    struct sqi_environment *environment;
    uint64_t incarnation; /* owns the leases taken through this handle */
    uint64_t quota_bytes;
};

static struct lmdb_engine *own(struct sqi_engine *engine)
{
    return (struct lmdb_engine *)engine;
}

static bool is_parents(const struct lmdb_engine *engine)
{
    return engine->environment->fork_generation != sqi_fork_generation();
}

/* Runs it, but not in the child of a fork, where LMDB must not be touched. */
static int commit(struct sqi_engine *engine, struct sqi_request *request)
{
    if (is_parents(own(engine)))
        return sqi_fail_with(SQ_EFORK, "this store was opened before a fork: open it anew");
    return sqi_commit(own(engine)->environment, request);
}

/* ── open, close ──────────────────────────────────────────────────────────────────────────── */

static int open_engine(const char *location, const struct sqi_engine_options *options,
                       struct sqi_engine **ret_engine)
{
    static const struct sqi_engine_options defaults;
    struct lmdb_engine *engine = calloc(1, sizeof *engine);
    options = options ? options : &defaults;
    if (!engine)
        return sqi_fail(SQ_ENOMEM);
    int result = sqi_environment_open(location, options, &engine->environment);
    if (result < 0) {
        free(engine);
        return result;
    }
    engine->engine.ops = &sqi_lmdb_engine;
    engine->incarnation = sqi_environment_incarnation(engine->environment);
    engine->quota_bytes = options->quota_bytes ? options->quota_bytes
                                               : engine->environment->quota_default;
    *ret_engine = &engine->engine;
    return SQ_OK;
}

static int apply_reclaim(struct sqi_transaction *transaction, void *incarnation)
{
    sqi_life_reclaim(transaction, *(const uint64_t *)incarnation);
    return SQ_OK;
}

static struct sqi_engine *close_engine(struct sqi_engine *engine)
{
    if (!engine)
        return NULL;
    struct sqi_request request = {.apply = apply_reclaim, .arguments = &own(engine)->incarnation};
    if (!is_parents(own(engine)))
        (void)sqi_commit(own(engine)->environment,
                         &request); /* else others will, once it is over */
    sqi_environment_close(own(engine)->environment);
    free(engine);
    return NULL;
}

/* ── channels ─────────────────────────────────────────────────────────────────────────────── */

struct opening {
    const char *name;
    const struct sqi_policy *policy;
    const void *canary;
    size_t canary_bytes;
    struct sqi_channel_info info;
};

/* Names may be longer than a sqi_tree_key: looked up by their own bytes. */
static MDB_val name_key(const char *name)
{
    return (MDB_val){.mv_size = strlen(name), .mv_data = (void *)name};
}

static bool find_name(struct sqi_transaction *transaction, const char *name, uint32_t *ret_channel)
{
    MDB_val key = name_key(name), value;
    int error = transaction->error
                    ? transaction->error
                    : mdb_get(transaction->mdb, transaction->environment->trees[SQI_NAMES], &key,
                              &value);
    if (error == MDB_NOTFOUND)
        return false;
    if (error)
        sqi_transaction_fail(transaction, error);
    else if (!sqi_read_record(&value, ret_channel, sizeof *ret_channel))
        sqi_transaction_damaged(transaction);
    return !transaction->error;
}

static void add_name(struct sqi_transaction *transaction, const char *name, uint32_t channel)
{
    MDB_val key = name_key(name), value = {.mv_size = sizeof channel, .mv_data = &channel};
    int error = transaction->error
                    ? 0
                    : mdb_put(transaction->mdb, transaction->environment->trees[SQI_NAMES], &key,
                              &value, 0);
    if (error)
        sqi_transaction_fail(transaction, error);
}

static int make_channel(struct sqi_transaction *transaction, const struct opening *opening,
                        uint32_t *ret_channel)
{
    const struct sqi_policy *policy = opening->policy;
    struct sqi_channel_record record = {
        .capacity = policy->capacity,
        .lease_ms = policy->lease_ms,
        .backoff_ms = policy->backoff_ms,
        .backoff_max_ms = policy->backoff_max_ms,
        .dedupe_window_ms = policy->dedupe_window_ms,
        .dead_kept_ms = policy->dead_kept_ms,
        .attempts_max = policy->attempts_max,
    };
    if (transaction->store.channel_count >= SQI_CHANNELS_MAX)
        return sqi_fail_with(SQ_EFULL, "the store has %d channels, the most there may be",
                             SQI_CHANNELS_MAX);
    *ret_channel = transaction->store.next_channel++;
    transaction->store.channel_count++;
    struct sqi_tree_key key = sqi_key_channel(*ret_channel);
    sqi_tree_put(transaction, SQI_CANARIES, &key, opening->canary, opening->canary_bytes);
    sqi_tree_put(transaction, SQI_CHANNELS, &key, &record, sizeof record);
    add_name(transaction, opening->name, *ret_channel);
    return 1;
}

static struct sqi_policy policy_of(const struct sqi_channel_record *record)
{
    return (struct sqi_policy){
        .capacity = record->capacity,
        .lease_ms = record->lease_ms,
        .attempts_max = record->attempts_max,
        .backoff_ms = record->backoff_ms,
        .backoff_max_ms = record->backoff_max_ms,
        .dedupe_window_ms = record->dedupe_window_ms,
        .dead_kept_ms = record->dead_kept_ms,
    };
}

static void read_channel(struct sqi_transaction *transaction, uint32_t number,
                         struct sqi_channel_info *ret_info)
{
    MDB_val value;
    struct sqi_tree_key key = sqi_key_channel(number);
    struct sqi_cached_channel *channel = sqi_channel_in(transaction, number);
    if (!channel || !sqi_tree_get(transaction, SQI_CANARIES, &key, &value) ||
        value.mv_size > sizeof ret_info->canary) {
        sqi_transaction_damaged(transaction);
        return;
    }
    ret_info->channel = number;
    ret_info->policy = policy_of(&channel->record);
    ret_info->canary_bytes = value.mv_size;
    memcpy(ret_info->canary, value.mv_data, value.mv_size);
}

static int apply_open_channel(struct sqi_transaction *transaction, void *arguments)
{
    struct opening *opening = arguments;
    uint32_t number;
    int result = 0;
    if (!find_name(transaction, opening->name, &number)) {
        if (!opening->policy)
            return sqi_fail_with(SQ_ENOENT, "there is no channel %s in this store", opening->name);
        result = make_channel(transaction, opening, &number);
    }
    if (result >= 0 && !transaction->error)
        read_channel(transaction, number, &opening->info);
    return result;
}

static int open_channel(struct sqi_engine *engine, const char *name,
                        const struct sqi_policy *policy, const void *canary, size_t canary_bytes,
                        struct sqi_channel_info *ret_info)
{
    struct opening opening = {
        .name = name, .policy = policy, .canary = canary, .canary_bytes = canary_bytes};
    struct sqi_request request = {.apply = apply_open_channel, .arguments = &opening};
    int result = commit(engine, &request);
    if (result >= 0)
        *ret_info = opening.info;
    return result;
}

struct canary {
    uint32_t channel;
    const void *bytes;
    size_t count;
};

static int apply_set_canary(struct sqi_transaction *transaction, void *arguments)
{
    const struct canary *canary = arguments;
    struct sqi_tree_key key = sqi_key_channel(canary->channel);
    if (!sqi_channel_in(transaction, canary->channel))
        return sqi_fail(SQ_ENOENT);
    sqi_tree_put(transaction, SQI_CANARIES, &key, canary->bytes, canary->count);
    return SQ_OK;
}

static int set_canary(struct sqi_engine *engine, uint32_t channel, const void *bytes, size_t count)
{
    struct canary canary = {channel, bytes, count};
    struct sqi_request request = {.apply = apply_set_canary, .arguments = &canary};
    return commit(engine, &request);
}

struct named {
    uint32_t channel;
    char name[SQI_CHANNEL_NAME_ROOM];
};

struct names {
    struct named *list;
    size_t count;
};

static int apply_names(struct sqi_transaction *transaction, void *arguments)
{
    struct names *names = arguments;
    MDB_val key, value;
    size_t room = transaction->store.channel_count;
    struct sqi_tree_key from = {0};
    names->count = 0;
    free(names->list);
    names->list = calloc(room ? room : 1, sizeof *names->list);
    if (!names->list)
        return sqi_fail(SQ_ENOMEM);
    from.bytes = 1; /* no name begins with a NUL */
    MDB_cursor *cursor = sqi_cursor_open(transaction, SQI_NAMES);
    bool is_there = cursor && sqi_cursor_at_least(transaction, cursor, &from, &key, &value);
    for (; is_there && names->count < room; names->count++) {
        struct named *named = &names->list[names->count];
        if (key.mv_size >= sizeof named->name ||
            !sqi_read_record(&value, &named->channel, sizeof named->channel)) {
            sqi_transaction_damaged(transaction);
            break;
        }
        memcpy(named->name, key.mv_data, key.mv_size);
        is_there = sqi_cursor_next(transaction, cursor, &key, &value);
    }
    mdb_cursor_close(cursor);
    return SQ_OK;
}

static int by_channel(const void *a, const void *b)
{
    const struct named *left = a, *right = b;
    return (left->channel > right->channel) - (left->channel < right->channel);
}

static int each_channel(struct sqi_engine *engine, int (*visit)(const char *name, void *context),
                        void *context)
{
    struct names names = {0};
    struct sqi_request request = {.apply = apply_names, .arguments = &names};
    int result = commit(engine, &request);
    if (result == SQ_OK)
        qsort(names.list, names.count, sizeof *names.list, by_channel);
    for (size_t i = 0; result == SQ_OK && i < names.count; i++)
        result = visit(names.list[i].name, context);
    free(names.list);
    return result;
}

/* ── put ──────────────────────────────────────────────────────────────────────────────────── */

struct putting {
    uint32_t channel;
    uint64_t quota_bytes;
    struct sqi_put *puts;
    size_t count;
    bool is_disk_full;
};

static int apply_put(struct sqi_transaction *transaction, void *arguments)
{
    struct putting *putting = arguments;
    struct sqi_cached_channel *channel = sqi_channel_in(transaction, putting->channel);
    int refused = channel ? SQ_OK : SQ_ENOENT;
    uint64_t quota_bytes = putting->is_disk_full ? 1 : putting->quota_bytes;
    for (size_t i = 0; i < putting->count && !transaction->error; i++) {
        struct sqi_put *put = &putting->puts[i];
        if (refused) {
            put->id = 0;
            put->result = refused;
            continue;
        }
        sqi_life_put(transaction, channel, put, quota_bytes, false);
        refused = put->result < 0 ? put->result : SQ_OK;
    }
    return SQ_OK;
}

/* Puts leave some of the disk free, so that what is in the store can be finished. */
static bool is_disk_full(const struct sqi_environment *environment)
{
    struct statvfs disk;
    return fstatvfs(environment->data_fd, &disk) == 0 &&
           (uint64_t)disk.f_bavail * disk.f_frsize < environment->reserve_bytes;
}

static int put(struct sqi_engine *engine, uint32_t channel, struct sqi_put *puts, size_t count)
{
    struct putting putting = {
        .channel = channel, .quota_bytes = own(engine)->quota_bytes, .puts = puts, .count = count};
    struct sqi_request request = {.apply = apply_put, .arguments = &putting, .messages = count};
    for (size_t i = 0; i < count; i++)
        request.bytes += puts[i].envelope_bytes;
    putting.is_disk_full = is_disk_full(own(engine)->environment);
    return commit(engine, &request);
}

/* ── settle, lease, extend ────────────────────────────────────────────────────────────────── */

struct exchange {
    struct sqi_settlement *settlements;
    size_t count;
    const struct sqi_lease_request *request;
    uint64_t incarnation;
    struct sqi_lease *leases;
    int leased;
    bool wants_due;
    struct sqi_due due;
};

static void forget_leases(struct exchange *exchange)
{
    for (int i = 0; i < exchange->leased; i++)
        free(exchange->leases[i].envelope);
    exchange->leased = 0;
}

static int apply_exchange(struct sqi_transaction *transaction, void *arguments)
{
    struct exchange *exchange = arguments;
    int result = 0;
    forget_leases(exchange); /* of a transaction that failed */
    for (size_t i = 0; i < exchange->count && !transaction->error; i++)
        sqi_life_settle(transaction, &exchange->settlements[i]);
    if (exchange->request && !transaction->error) {
        result = sqi_life_lease(transaction, exchange->request, exchange->incarnation,
                                exchange->leases);
        exchange->leased = result > 0 ? result : 0;
    }
    if (exchange->wants_due)
        exchange->due = sqi_life_due(transaction);
    return result;
}

static int settle_and_lease(struct sqi_engine *engine, struct sqi_settlement *settlements,
                            size_t count, const struct sqi_lease_request *lease_request,
                            struct sqi_lease *ret_leases, struct sqi_due *ret_due)
{
    struct exchange exchange = {
        .settlements = settlements,
        .count = count,
        .request = lease_request,
        .incarnation = own(engine)->incarnation,
        .leases = ret_leases,
        .wants_due = ret_due != NULL,
        .due = {SQI_NEVER, SQI_NEVER},
    };
    struct sqi_request request = {.apply = apply_exchange, .arguments = &exchange};
    request.messages = count + (lease_request ? lease_request->count_max : 0);
    int result = commit(engine, &request);
    bool has_failed = request.has_failed || result == SQ_EFORK;
    if (has_failed)
        forget_leases(&exchange);
    for (size_t i = 0; has_failed && i < count; i++)
        settlements[i].result = result;
    /* Nothing, and an owner that died unwatched: there may be something after all. */
    if (result == 0 && lease_request && sqi_reclaim_dead(own(engine)->environment) == 1) {
        exchange.settlements = NULL;
        exchange.count = 0;
        result = commit(engine, &request);
    }
    if (ret_due)
        *ret_due = exchange.due;
    return result;
}

struct extending {
    struct sqi_extension *extensions;
    size_t count;
};

static int apply_extend(struct sqi_transaction *transaction, void *arguments)
{
    struct extending *extending = arguments;
    for (size_t i = 0; i < extending->count && !transaction->error; i++)
        sqi_life_extend(transaction, &extending->extensions[i]);
    return SQ_OK;
}

static int extend(struct sqi_engine *engine, struct sqi_extension *extensions, size_t count)
{
    struct extending extending = {extensions, count};
    struct sqi_request request = {
        .apply = apply_extend, .arguments = &extending, .messages = count};
    return commit(engine, &request);
}

/* ── control, stat, list ──────────────────────────────────────────────────────────────────── */

struct controlling {
    uint32_t channel;
    enum sqi_control control;
};

static int apply_control(struct sqi_transaction *transaction, void *arguments)
{
    const struct controlling *controlling = arguments;
    struct sqi_cached_channel *channel = sqi_channel_in(transaction, controlling->channel);
    if (!channel)
        return sqi_fail(SQ_ENOENT);
    uint32_t flags = channel->record.flags;
    switch (controlling->control) {
    case SQI_CLOSE:
        flags |= SQI_CHANNEL_CLOSED;
        break;
    case SQI_PAUSE:
        flags |= SQI_CHANNEL_PAUSED;
        break;
    case SQI_RESUME:
        flags &= ~(uint32_t)SQI_CHANNEL_PAUSED;
        break;
    }
    if (flags != channel->record.flags) {
        channel->record.flags = flags;
        channel->is_changed = transaction->is_changed = true;
        transaction->wakes |= UINT64_C(1) << sqi_word_of(channel->channel);
    }
    return SQ_OK;
}

static int control(struct sqi_engine *engine, uint32_t channel, enum sqi_control control)
{
    struct controlling controlling = {channel, control};
    struct sqi_request request = {.apply = apply_control, .arguments = &controlling};
    return commit(engine, &request);
}

struct statting {
    uint32_t channel;
    struct sqi_channel_stat stat;
    struct sqi_due due;
};

static int apply_stat(struct sqi_transaction *transaction, void *arguments)
{
    struct statting *statting = arguments;
    const struct sqi_cached_channel *channel = sqi_channel_in(transaction, statting->channel);
    statting->due = sqi_life_due(transaction);
    if (!channel)
        return sqi_fail(SQ_ENOENT);
    const struct sqi_channel_record *record = &channel->record;
    statting->stat = (struct sqi_channel_stat){
        .delayed = record->counts[SQI_DELAYED],
        .ready = record->counts[SQI_READY],
        .leased = record->counts[SQI_LEASED],
        .dead = record->counts[SQI_DEAD],
        .bytes = record->bytes,
        .is_closed = record->flags & SQI_CHANNEL_CLOSED,
        .is_paused = record->flags & SQI_CHANNEL_PAUSED,
        .puts = record->puts,
        .duplicates = record->duplicates,
        .leases = record->leases,
        .dones = record->dones,
        .retries = record->retries,
        .deaths = record->deaths,
        .lost_leases = record->lost_leases,
    };
    return SQ_OK;
}

static int stat_channel(struct sqi_engine *engine, uint32_t channel,
                        struct sqi_channel_stat *ret_stat, struct sqi_due *ret_due)
{
    struct statting statting = {.channel = channel, .due = {SQI_NEVER, SQI_NEVER}};
    struct sqi_request request = {.apply = apply_stat, .arguments = &statting};
    int result = commit(engine, &request);
    if (result == SQ_OK && ret_stat)
        *ret_stat = statting.stat;
    if (ret_due)
        *ret_due = statting.due;
    return result;
}

/* ── list: copied within the transaction, visited outside of it ───────────────────────────── */

struct listing {
    uint32_t channel;
    uint64_t after_id;
    size_t count_max, count, bytes;
    struct sqi_listed *listed;
};

static void forget_listed(struct listing *listing)
{
    for (size_t i = 0; listing->listed && i < listing->count; i++) {
        free((void *)listing->listed[i].envelope);
        free((void *)listing->listed[i].reason);
    }
    free(listing->listed);
    listing->listed = NULL;
    listing->count = listing->bytes = 0;
}

static void copy_reason(struct sqi_transaction *transaction, struct sqi_listed *listed)
{
    MDB_val value;
    struct sqi_tree_key key = sqi_key_reason(listed->id);
    if (!sqi_tree_get(transaction, SQI_REASONS, &key, &value))
        return;
    void *reason = malloc(value.mv_size ? value.mv_size : 1);
    if (reason) {
        memcpy(reason, value.mv_data, value.mv_size);
        listed->reason = reason;
        listed->reason_bytes = value.mv_size;
    }
}

static void list_one(struct sqi_transaction *transaction, struct listing *listing, uint64_t id,
                     const struct sqi_message_record *record)
{
    uint8_t *envelope = sqi_life_read_envelope(transaction, id, record->envelope_bytes);
    if (!envelope)
        return;
    struct sqi_listed *listed = &listing->listed[listing->count++];
    *listed = (struct sqi_listed){
        .id = id,
        .state = record->state,
        .attempts = record->attempts,
        .priority = record->priority,
        .death = record->state == SQI_DEAD ? record->death : 0,
        .due_ms = record->state == SQI_DELAYED ? record->when_ms : 0,
        .died_ms = record->state == SQI_DEAD ? record->when_ms : 0,
        .deadline_ns = record->state == SQI_LEASED ? record->timer : 0,
        .envelope_bytes = record->envelope_bytes,
        .envelope = envelope,
    };
    if (record->flags & SQI_MESSAGE_REASONED)
        copy_reason(transaction, listed);
    listing->bytes += record->envelope_bytes;
}

static int apply_list(struct sqi_transaction *transaction, void *arguments)
{
    struct listing *listing = arguments;
    MDB_val name, value;
    uint32_t channel;
    uint64_t id;
    struct sqi_message_record record;
    forget_listed(listing); /* of a transaction that failed */
    if (!sqi_channel_in(transaction, listing->channel))
        return sqi_fail(SQ_ENOENT);
    if (listing->after_id == UINT64_MAX || listing->count_max == 0)
        return SQ_OK;
    listing->listed = calloc(listing->count_max, sizeof *listing->listed);
    if (!listing->listed)
        return sqi_fail(SQ_ENOMEM);
    struct sqi_tree_key key = sqi_key_message(listing->channel, listing->after_id + 1);
    MDB_cursor *cursor = sqi_cursor_open(transaction, SQI_MESSAGES);
    bool is_there = cursor && sqi_cursor_at_least(transaction, cursor, &key, &name, &value);
    while (is_there && sqi_read_message_key(&name, &channel, &id) && channel == listing->channel &&
           listing->count < listing->count_max && listing->bytes < SQI_COMMIT_BYTES_MAX) {
        if (!sqi_read_record(&value, &record, sizeof record)) {
            sqi_transaction_damaged(transaction);
            break;
        }
        list_one(transaction, listing, id, &record);
        is_there = sqi_cursor_next(transaction, cursor, &name, &value);
    }
    mdb_cursor_close(cursor);
    return SQ_OK;
}

static int list(struct sqi_engine *engine, uint32_t channel, uint64_t after_id, size_t count_max,
                int (*visit)(const struct sqi_listed *listed, void *context), void *context)
{
    struct listing listing = {
        .channel = channel,
        .after_id = after_id,
        .count_max = count_max < SQI_COMMIT_MESSAGES_MAX ? count_max : SQI_COMMIT_MESSAGES_MAX,
    };
    struct sqi_request request = {.apply = apply_list, .arguments = &listing};
    int result = commit(engine, &request);
    int visited = 0;
    if (result == SQ_OK)
        while ((size_t)visited < listing.count && visit(&listing.listed[visited++], context) == 0)
            ;
    forget_listed(&listing);
    return result < 0 ? result : visited;
}

/* ── waiting ──────────────────────────────────────────────────────────────────────────────── */

static uint32_t watch(struct sqi_engine *engine, uint32_t channel)
{
    struct sqi_page *page = own(engine)->environment->page.page;
    /* Acquire: what is looked at next is looked at after. Pairs with sqi_page_wake(). */
    return atomic_load_explicit(&page->words[sqi_word_of(channel)].word, memory_order_acquire);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* In real monotonic time, when the engine's clock will have come to `due`, in units of unit_ns. */
static int64_t real_deadline(int64_t due, int64_t now, int64_t unit_ns)
{
    int64_t wait, deadline;
    if (due == SQI_NEVER || __builtin_mul_overflow(due - now, unit_ns, &wait) ||
        __builtin_add_overflow(sqi_now_ns(), wait < 0 ? 0 : wait, &deadline))
        return SQI_NEVER;
    return deadline;
}

static int wait_for_change(struct sqi_engine *engine, uint32_t channel, uint32_t seen,
                           const struct sqi_due *due, int64_t deadline_ns)
{
    struct sqi_environment *environment = own(engine)->environment;
    if (is_parents(own(engine)))
        return sqi_fail_with(SQ_EFORK, "this store was opened before a fork: open it anew");
    int result = sqi_watcher_update(environment);
    if (result < 0)
        return result;
    const struct sqi_clock *clock = environment->clock;
    const struct sqi_page *page = environment->page.page;
    int64_t due_ns = sqi_page_promise_least(page, 0, due ? due->monotonic_ns : SQI_NEVER);
    int64_t due_ms = sqi_page_promise_least(page, 1, due ? due->wall_ms : SQI_NEVER);
    int64_t monotonic = real_deadline(due_ns, clock->monotonic_ns(clock->context), 1);
    int64_t wall = real_deadline(due_ms, clock->wall_ms(clock->context), SQI_NS_PER_MS);
    monotonic = sooner(monotonic, deadline_ns);
    const uint32_t *word = (const uint32_t *)&page->words[sqi_word_of(channel)].word;
    if (wall < monotonic && clock == &sqi_system_clock)
        /* On the wall clock itself: it may be set while we sleep. */
        sqi_futex_wait_shared(word, seen, due_ms * SQI_NS_PER_MS, true);
    else
        sqi_futex_wait_shared(word, seen, sooner(monotonic, wall), false);
    return SQ_OK;
}

static void wake(struct sqi_engine *engine, uint32_t channel)
{
    if (!is_parents(own(engine)))
        sqi_page_wake(&own(engine)->environment->page, UINT64_C(1) << sqi_word_of(channel));
}

const struct sqi_engine_ops sqi_lmdb_engine = {
    .name = "lmdb",
    .capabilities = SQI_CAN_FENCE | SQI_CAN_RECLAIM_ON_DEATH | SQI_CAN_ORDER_STRICTLY |
                    SQI_CAN_SETTLE_ATOMICALLY | SQI_CAN_DEDUPE | SQI_CAN_LEASE_PER_GET |
                    SQI_CAN_PRIORITIES | SQI_CAN_PERSIST,
    .open = open_engine,
    .close = close_engine,
    .open_channel = open_channel,
    .set_canary = set_canary,
    .each_channel = each_channel,
    .put = put,
    .settle_and_lease = settle_and_lease,
    .extend = extend,
    .control = control,
    .stat = stat_channel,
    .list = list,
    .watch = watch,
    .wait = wait_for_change,
    .wake = wake,
};
