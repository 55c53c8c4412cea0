/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine in memory: one lock, plain structures. Small and evidently right, for it is what the
 * contract tests compare other engines with; and a store for programs that begin small.
 *
 * Every operation is sqi_mem_begin() ... sqi_mem_end(). What needs memory is made before anything
 * is changed, most of it before the lock is taken. The only owner of leases is this process, which
 * the store does not outlive: nothing is to be reclaimed.
 */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "engine/mem/mem.h"

struct sqi_mem *sqi_mem_of(struct sqi_engine *engine)
{
    return SQI_MEM_OWNER(engine, struct sqi_mem, engine);
}

static bool is_in_child(const struct sqi_mem *mem)
{
    return mem->fork_generation != sqi_fork_generation();
}

static void lock(struct sqi_mem *mem)
{
    int failed = pthread_mutex_lock(&mem->lock);
    assert(!failed);
}

static void unlock(struct sqi_mem *mem)
{
    int failed = pthread_mutex_unlock(&mem->lock);
    assert(!failed);
}

static void wake_all(struct sqi_mem *mem)
{
    mem->changes++;
    pthread_cond_broadcast(&mem->changed);
}

int sqi_mem_begin(struct sqi_mem *mem)
{
    if (is_in_child(mem))
        return sqi_fail(SQ_EFORK);
    lock(mem);
    mem->now_ns = mem->clock->monotonic_ns(mem->clock->context);
    mem->now_ms = mem->clock->wall_ms(mem->clock->context);
    mem->has_changed = false;
    sqi_mem_sweep(mem);
    return SQ_OK;
}

void sqi_mem_end(struct sqi_mem *mem)
{
    if (mem->has_changed)
        wake_all(mem);
    unlock(mem);
}

int sqi_mem_end_with(struct sqi_mem *mem, int code)
{
    sqi_mem_end(mem);
    return code < 0 ? sqi_fail(code) : code;
}

struct sqi_mem_channel *sqi_mem_channel_of(const struct sqi_mem *mem, uint32_t number)
{
    return number >= 1 && number <= mem->channel_count ? mem->channels[number - 1] : NULL;
}

uint64_t sqi_mem_unfinished(const struct sqi_mem_channel *channel)
{
    return channel->stat.delayed + channel->stat.ready + channel->stat.leased;
}

void sqi_mem_tell_due(const struct sqi_mem *mem, struct sqi_due *ret_due)
{
    if (!ret_due)
        return;
    const struct sqi_mem_timer *lease = sqi_mem_timers_first(&mem->leases);
    const struct sqi_mem_timer *wall = sqi_mem_timers_first(&mem->walls);
    ret_due->monotonic_ns = lease ? lease->due : SQI_NEVER;
    ret_due->wall_ms = wall ? wall->due : SQI_NEVER;
}

/* ---- the store ---- */

static void free_all(struct sqi_mem *mem)
{
    sqi_mem_free_messages(mem);
    for (size_t i = 0; i < mem->channel_count; i++)
        free(mem->channels[i]);
    free(mem->channels);
    sqi_mem_table_free(&mem->names);
    sqi_mem_table_free(&mem->messages);
    sqi_mem_table_free(&mem->dedupe);
    sqi_mem_timers_free(&mem->leases);
    sqi_mem_timers_free(&mem->walls);
    sqi_mem_timers_free(&mem->windows);
    free(mem);
}

static void init_lock(struct sqi_mem *mem)
{
    pthread_condattr_t attributes;
    int failed = pthread_condattr_init(&attributes);
    assert(!failed);
    failed = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    assert(!failed);
    failed = pthread_cond_init(&mem->changed, &attributes);
    assert(!failed);
    pthread_condattr_destroy(&attributes);
    failed = pthread_mutex_init(&mem->lock, NULL);
    assert(!failed);
}

static int mem_open(const char *location, const struct sqi_engine_options *options,
                    struct sqi_engine **ret_engine)
{
    (void)location;
    if (options && options->must_exist)
        return sqi_fail_with(SQ_ENOENT, "mem: a store in memory begins empty with each opening, so "
                                        "none exists already: make it, or name a folder");
    struct sqi_mem *mem = calloc(1, sizeof *mem);
    if (!mem)
        return sqi_fail(SQ_ENOMEM);
    if (!sqi_mem_table_init(&mem->names) || !sqi_mem_table_init(&mem->messages) ||
        !sqi_mem_table_init(&mem->dedupe)) {
        free_all(mem);
        return sqi_fail(SQ_ENOMEM);
    }
    mem->engine.ops = &sqi_mem_engine;
    mem->clock = options && options->clock ? options->clock : &sqi_system_clock;
    mem->quota_bytes = options ? options->quota_bytes : 0;
    mem->fork_generation = sqi_fork_generation();
    init_lock(mem);
    *ret_engine = &mem->engine;
    return SQ_OK;
}

static struct sqi_engine *mem_close(struct sqi_engine *engine)
{
    if (!engine)
        return NULL;
    struct sqi_mem *mem = sqi_mem_of(engine);
    if (!is_in_child(mem)) {
        pthread_cond_destroy(&mem->changed);
        pthread_mutex_destroy(&mem->lock);
    }
    free_all(mem);
    return NULL;
}

/* ---- channels ---- */

static struct sqi_mem_channel *find_channel(const struct sqi_mem *mem, const char *name)
{
    uint64_t hash = sqi_mem_hash(name, strlen(name), 0);
    struct sqi_mem_link *link = sqi_mem_table_first(&mem->names, hash);
    while (link && strcmp(SQI_MEM_OWNER(link, struct sqi_mem_channel, link)->name, name) != 0)
        link = sqi_mem_table_next(link);
    return link ? SQI_MEM_OWNER(link, struct sqi_mem_channel, link) : NULL;
}

static bool reserve_channel(struct sqi_mem *mem)
{
    if (mem->channel_count < mem->channel_room)
        return true;
    size_t room = mem->channel_room > 0 ? 2 * mem->channel_room : 8;
    struct sqi_mem_channel **channels = reallocarray(mem->channels, room, sizeof *channels);
    if (!channels)
        return false;
    mem->channels = channels;
    mem->channel_room = room;
    return true;
}

static void set_info_canary(struct sqi_channel_info *info, const void *canary, size_t canary_bytes)
{
    assert(canary_bytes <= SQI_CANARY_BYTES_MAX);
    if (canary_bytes > 0)
        memcpy(info->canary, canary, canary_bytes);
    info->canary_bytes = canary_bytes;
}

/* Its number is yet to be given. */
static struct sqi_mem_channel *make_channel(const char *name, const struct sqi_policy *policy,
                                            const void *canary, size_t canary_bytes)
{
    struct sqi_mem_channel *channel = calloc(1, sizeof *channel);
    if (!channel)
        return NULL;
    assert(strlen(name) < SQI_CHANNEL_NAME_ROOM);
    strcpy(channel->name, name);
    channel->info.policy = *policy;
    set_info_canary(&channel->info, canary, canary_bytes);
    TAILQ_INIT(&channel->messages);
    for (size_t i = 0; i < SQI_MEM_PRIORITIES; i++)
        TAILQ_INIT(&channel->ready[i]);
    return channel;
}

static int mem_open_channel(struct sqi_engine *engine, const char *name,
                            const struct sqi_policy *policy, const void *canary,
                            size_t canary_bytes, struct sqi_channel_info *ret_info)
{
    struct sqi_mem *mem = sqi_mem_of(engine);
    int failed = sqi_mem_begin(mem);
    if (failed)
        return failed;
    struct sqi_mem_channel *channel = find_channel(mem, name);
    if (channel) {
        *ret_info = channel->info;
        return sqi_mem_end_with(mem, 0);
    }
    if (!policy)
        return sqi_mem_end_with(mem, SQ_ENOENT);
    if (mem->channel_count == SQI_CHANNELS_MAX)
        return sqi_mem_end_with(mem, SQ_ENOSPACE);
    channel = reserve_channel(mem) ? make_channel(name, policy, canary, canary_bytes) : NULL;
    if (!channel)
        return sqi_mem_end_with(mem, SQ_ENOMEM);
    mem->channels[mem->channel_count++] = channel;
    channel->info.channel = (uint32_t)mem->channel_count;
    sqi_mem_table_add(&mem->names, &channel->link, sqi_mem_hash(name, strlen(name), 0));
    *ret_info = channel->info;
    return sqi_mem_end_with(mem, 1);
}

static int mem_set_canary(struct sqi_engine *engine, uint32_t number, const void *canary,
                          size_t canary_bytes)
{
    struct sqi_mem *mem = sqi_mem_of(engine);
    int failed = sqi_mem_begin(mem);
    if (failed)
        return failed;
    struct sqi_mem_channel *channel = sqi_mem_channel_of(mem, number);
    if (channel)
        set_info_canary(&channel->info, canary, canary_bytes);
    return sqi_mem_end_with(mem, channel ? SQ_OK : SQ_ENOENT);
}

/* Outside the lock, so that visit may call the engine: channels and their names stay. */
static int mem_each_channel(struct sqi_engine *engine,
                            int (*visit)(const char *name, void *context), void *context)
{
    struct sqi_mem *mem = sqi_mem_of(engine);
    for (uint32_t number = 1;; number++) {
        int failed = sqi_mem_begin(mem);
        if (failed)
            return failed;
        struct sqi_mem_channel *channel = sqi_mem_channel_of(mem, number);
        sqi_mem_end(mem);
        if (!channel || visit(channel->name, context) != 0)
            return SQ_OK;
    }
}

/* ---- the state of a channel ---- */

static int mem_control(struct sqi_engine *engine, uint32_t number, enum sqi_control control)
{
    struct sqi_mem *mem = sqi_mem_of(engine);
    int failed = sqi_mem_begin(mem);
    if (failed)
        return failed;
    struct sqi_mem_channel *channel = sqi_mem_channel_of(mem, number);
    if (!channel)
        return sqi_mem_end_with(mem, SQ_ENOENT);
    if (control == SQI_CLOSE)
        channel->stat.is_closed = true;
    else
        channel->stat.is_paused = control == SQI_PAUSE;
    mem->has_changed = true;
    return sqi_mem_end_with(mem, SQ_OK);
}

static int mem_stat(struct sqi_engine *engine, uint32_t number, struct sqi_channel_stat *ret_stat,
                    struct sqi_due *ret_due)
{
    struct sqi_mem *mem = sqi_mem_of(engine);
    int failed = sqi_mem_begin(mem);
    if (failed)
        return failed;
    struct sqi_mem_channel *channel = sqi_mem_channel_of(mem, number);
    if (channel && ret_stat)
        *ret_stat = channel->stat;
    sqi_mem_tell_due(mem, ret_due);
    return sqi_mem_end_with(mem, channel ? SQ_OK : SQ_ENOENT);
}

/* The first message of the channel with a higher id. The last one seen is mostly there still, and
   leads to its neighbour. */
static struct sqi_mem_message *message_after(struct sqi_mem *mem, struct sqi_mem_channel *channel,
                                             uint64_t after_id)
{
    struct sqi_mem_message *message = sqi_mem_find(mem, after_id);
    if (message && message->channel == channel)
        return TAILQ_NEXT(message, in_channel);
    message = TAILQ_FIRST(&channel->messages);
    while (message && message->id <= after_id)
        message = TAILQ_NEXT(message, in_channel);
    return message;
}

static struct sqi_listed listed_as(const struct sqi_mem_message *message)
{
    struct sqi_listed listed = {
        .id = message->id,
        .state = message->state,
        .attempts = message->attempts,
        .priority = message->priority,
        .envelope = message->envelope,
        .envelope_bytes = message->envelope_bytes,
        .reason = message->reason,
        .reason_bytes = message->reason_bytes,
    };
    if (message->state == SQI_DELAYED)
        listed.due_ms = message->due_ms;
    if (message->state == SQI_LEASED)
        listed.deadline_ns = message->timer.due;
    if (message->state == SQI_DEAD) {
        listed.died_ms = message->died_ms;
        listed.death = message->death;
    }
    return listed;
}

static int mem_list(struct sqi_engine *engine, uint32_t number, uint64_t after_id, size_t count_max,
                    int (*visit)(const struct sqi_listed *listed, void *context), void *context)
{
    struct sqi_mem *mem = sqi_mem_of(engine);
    int failed = sqi_mem_begin(mem);
    if (failed)
        return failed;
    struct sqi_mem_channel *channel = sqi_mem_channel_of(mem, number);
    if (!channel)
        return sqi_mem_end_with(mem, SQ_ENOENT);
    struct sqi_mem_message *message = message_after(mem, channel, after_id);
    size_t count = 0;
    for (bool is_over = false; message && count < count_max && count < INT_MAX && !is_over;) {
        struct sqi_listed listed = listed_as(message);
        is_over = visit(&listed, context) != 0;
        count++;
        message = TAILQ_NEXT(message, in_channel);
    }
    return sqi_mem_end_with(mem, (int)count);
}

/* ---- waiting ---- */

static uint32_t mem_watch(struct sqi_engine *engine, uint32_t channel)
{
    (void)channel;
    struct sqi_mem *mem = sqi_mem_of(engine);
    if (is_in_child(mem))
        return 0;
    lock(mem);
    uint32_t seen = mem->changes;
    unlock(mem);
    return seen;
}

/* The sooner of end_ns and the time when due, of the store's clocks, will have come: by the real
   clock, on which threads sleep. */
static int64_t end_of_wait(const struct sqi_mem *mem, const struct sqi_due *due, int64_t end_ns)
{
    if (!due)
        return end_ns;
    int64_t now_ns = sqi_now_ns();
    if (due->monotonic_ns != SQI_NEVER) {
        int64_t left_ns = due->monotonic_ns - mem->clock->monotonic_ns(mem->clock->context);
        int64_t due_ns = sqi_mem_after(now_ns, left_ns > 0 ? left_ns : 0);
        end_ns = due_ns < end_ns ? due_ns : end_ns;
    }
    if (due->wall_ms != SQI_NEVER) {
        int64_t left_ms = due->wall_ms - mem->clock->wall_ms(mem->clock->context);
        int64_t due_ns = sqi_mem_after_ms(now_ns, left_ms > 0 ? left_ms : 0);
        end_ns = due_ns < end_ns ? due_ns : end_ns;
    }
    return end_ns;
}

static int mem_wait(struct sqi_engine *engine, uint32_t channel, uint32_t seen,
                    const struct sqi_due *due, int64_t deadline_ns)
{
    (void)channel;
    struct sqi_mem *mem = sqi_mem_of(engine);
    if (is_in_child(mem))
        return sqi_fail(SQ_EFORK);
    int64_t end_ns = end_of_wait(mem, due, deadline_ns);
    struct timespec end = {.tv_sec = end_ns / SQI_NS_PER_S, .tv_nsec = end_ns % SQI_NS_PER_S};
    lock(mem);
    int timed_out = 0;
    while (mem->changes == seen && !timed_out) {
        if (end_ns == SQI_NEVER)
            pthread_cond_wait(&mem->changed, &mem->lock);
        else
            timed_out = pthread_cond_timedwait(&mem->changed, &mem->lock, &end);
    }
    unlock(mem);
    return SQ_OK;
}

static void mem_wake(struct sqi_engine *engine, uint32_t channel)
{
    (void)channel;
    struct sqi_mem *mem = sqi_mem_of(engine);
    if (is_in_child(mem))
        return;
    lock(mem);
    wake_all(mem);
    unlock(mem);
}

const struct sqi_engine_ops sqi_mem_engine = {
    .name = "mem",
    .capabilities = SQI_CAN_FENCE | SQI_CAN_RECLAIM_ON_DEATH | SQI_CAN_ORDER_STRICTLY |
                    SQI_CAN_SETTLE_ATOMICALLY | SQI_CAN_DEDUPE | SQI_CAN_LEASE_PER_GET |
                    SQI_CAN_PRIORITIES,
    .open = mem_open,
    .close = mem_close,
    .open_channel = mem_open_channel,
    .set_canary = mem_set_canary,
    .each_channel = mem_each_channel,
    .put = sqi_mem_put,
    .settle_and_lease = sqi_mem_settle_and_lease,
    .extend = sqi_mem_extend,
    .control = mem_control,
    .stat = mem_stat,
    .list = mem_list,
    .watch = mem_watch,
    .wait = mem_wait,
    .wake = mem_wake,
};
