/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mem/life.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define message_of_timer(part) SQI_MEM_OWNER(part, struct sqi_mem_message, timer)
#define message_of_link(part) SQI_MEM_OWNER(part, struct sqi_mem_message, link)
#define window_of_timer(part) SQI_MEM_OWNER(part, struct sqi_mem_window, timer)
#define window_of_link(part) SQI_MEM_OWNER(part, struct sqi_mem_window, link)

int64_t sqi_mem_after(int64_t time, int64_t length)
{
    int64_t end;
    return __builtin_add_overflow(time, length, &end) ? SQI_NEVER : end;
}

int64_t sqi_mem_after_ms(int64_t time_ns, int64_t length_ms)
{
    int64_t length_ns;
    if (__builtin_mul_overflow(length_ms, SQI_NS_PER_MS, &length_ns))
        return SQI_NEVER;
    return sqi_mem_after(time_ns, length_ns);
}

struct sqi_mem_message *sqi_mem_message_make(const struct sqi_put *put)
{
    struct sqi_mem_message *message = malloc(sizeof *message + put->envelope_bytes);
    if (!message)
        return NULL;
    *message = (struct sqi_mem_message){
        .priority = put->priority,
        .due_ms = put->not_before_ms,
        .expires_ms = put->expires_ms,
        .envelope_bytes = put->envelope_bytes,
    };
    if (put->envelope_bytes > 0)
        memcpy(message->envelope, put->envelope, put->envelope_bytes);
    if (put->dedupe_id_count > 0) {
        message->window = calloc(1, sizeof *message->window);
        if (!message->window) {
            free(message);
            return NULL;
        }
        memcpy(message->window->id, put->dedupe_ids[0], SQI_DEDUPE_BYTES);
    }
    return message;
}

void sqi_mem_message_free(struct sqi_mem_message *message)
{
    if (!message)
        return;
    free(message->window);
    free(message->reason);
    free(message);
}

bool sqi_mem_reserve(struct sqi_mem *mem, size_t messages)
{
    return sqi_mem_timers_reserve(&mem->leases, mem->messages.count + messages) &&
           sqi_mem_timers_reserve(&mem->walls, mem->messages.count + messages) &&
           sqi_mem_timers_reserve(&mem->windows, mem->dedupe.count + messages);
}

static uint64_t *count_of(struct sqi_channel_stat *stat, int state)
{
    switch (state) {
    case SQI_DELAYED:
        return &stat->delayed;
    case SQI_READY:
        return &stat->ready;
    case SQI_LEASED:
        return &stat->leased;
    default:
        assert(state == SQI_DEAD);
        return &stat->dead;
    }
}

static void list_ready(struct sqi_mem_message *message)
{
    struct sqi_mem_channel *channel = message->channel;
    TAILQ_INSERT_TAIL(&channel->ready[message->priority], message, in_ready);
    channel->ready_levels[message->priority / 64] |= UINT64_C(1) << message->priority % 64;
}

static void unlist_ready(struct sqi_mem_message *message)
{
    struct sqi_mem_channel *channel = message->channel;
    struct sqi_mem_list *list = &channel->ready[message->priority];
    TAILQ_REMOVE(list, message, in_ready);
    if (TAILQ_EMPTY(list))
        channel->ready_levels[message->priority / 64] &= ~(UINT64_C(1) << message->priority % 64);
}

static struct sqi_mem_timers *timers_of(struct sqi_mem *mem, int state)
{
    return state == SQI_LEASED ? &mem->leases : &mem->walls;
}

/* Out of its state, into none. */
static void leave(struct sqi_mem *mem, struct sqi_mem_message *message)
{
    sqi_mem_timers_remove(timers_of(mem, message->state), &message->timer);
    if (message->state == SQI_READY)
        unlist_ready(message);
    --*count_of(&message->channel->stat, message->state);
    message->state = 0;
    message->token = 0;
    mem->has_changed = true;
}

/* Into a state, out of none, until due by that state's clock. */
static void enter(struct sqi_mem *mem, struct sqi_mem_message *message, int state, int64_t due)
{
    assert(message->state == 0);
    message->state = state;
    message->timer.due = due;
    if (due != SQI_NEVER)
        sqi_mem_timers_add(timers_of(mem, state), &message->timer);
    if (state == SQI_READY)
        list_ready(message);
    ++*count_of(&message->channel->stat, state);
    mem->has_changed = true;
}

static void forget_window(struct sqi_mem *mem, struct sqi_mem_window *window)
{
    sqi_mem_timers_remove(&mem->windows, &window->timer);
    sqi_mem_table_remove(&mem->dedupe, &window->link);
    free(window);
}

/* From now on its dedupe id is held by time alone. */
static void finish(struct sqi_mem *mem, struct sqi_mem_message *message)
{
    struct sqi_mem_window *window = message->window;
    if (!window)
        return;
    message->window = NULL;
    if (window->until_ms <= mem->now_ms)
        forget_window(mem, window);
    else
        sqi_mem_timers_add(&mem->windows, &window->timer);
}

static bool has_expired(const struct sqi_mem *mem, const struct sqi_mem_message *message)
{
    return message->expires_ms != 0 && message->expires_ms <= mem->now_ms;
}

/* When it expires, or SQI_NEVER. */
static int64_t expiry(const struct sqi_mem_message *message)
{
    return message->expires_ms != 0 ? message->expires_ms : SQI_NEVER;
}

/* Rule 4. It is in no state. */
static void enter_dead(struct sqi_mem *mem, struct sqi_mem_message *message, enum sqi_death death)
{
    struct sqi_mem_channel *channel = message->channel;
    message->death = death;
    message->died_ms = mem->now_ms;
    channel->stat.deaths++;
    enter(mem, message, SQI_DEAD, sqi_mem_after(mem->now_ms, channel->info.policy.dead_kept_ms));
    finish(mem, message);
}

/* Where one belongs that is in no state: delayed until due_ms, ready, or dead by its expiry. */
static void enter_waiting(struct sqi_mem *mem, struct sqi_mem_message *message, int64_t due_ms)
{
    int64_t expires_ms = expiry(message);
    message->due_ms = due_ms;
    if (has_expired(mem, message))
        enter_dead(mem, message, SQI_DEATH_EXPIRED);
    else if (due_ms > mem->now_ms)
        enter(mem, message, SQI_DELAYED, due_ms < expires_ms ? due_ms : expires_ms);
    else
        enter(mem, message, SQI_READY, expires_ms);
}

void sqi_mem_die(struct sqi_mem *mem, struct sqi_mem_message *message, enum sqi_death death)
{
    leave(mem, message);
    enter_dead(mem, message, death);
}

bool sqi_mem_put_back(struct sqi_mem *mem, struct sqi_mem_message *message, int64_t delay_ms)
{
    leave(mem, message);
    enter_waiting(mem, message, delay_ms > 0 ? sqi_mem_after(mem->now_ms, delay_ms) : mem->now_ms);
    return message->state == SQI_DEAD;
}

void sqi_mem_erase(struct sqi_mem *mem, struct sqi_mem_message *message)
{
    leave(mem, message);
    finish(mem, message);
    TAILQ_REMOVE(&message->channel->messages, message, in_channel);
    sqi_mem_table_remove(&mem->messages, &message->link);
    message->channel->stat.bytes -= message->envelope_bytes;
    mem->stored_bytes -= message->envelope_bytes;
    sqi_mem_message_free(message);
}

void sqi_mem_lease(struct sqi_mem *mem, struct sqi_mem_message *message, int64_t deadline_ns)
{
    leave(mem, message);
    message->attempts++;
    message->channel->stat.leases++;
    enter(mem, message, SQI_LEASED, deadline_ns);
    message->token = ++mem->last_token;
}

void sqi_mem_extend_lease(struct sqi_mem *mem, struct sqi_mem_message *message, int64_t deadline_ns)
{
    assert(message->state == SQI_LEASED);
    sqi_mem_timers_remove(&mem->leases, &message->timer);
    message->timer.due = deadline_ns;
    if (deadline_ns != SQI_NEVER)
        sqi_mem_timers_add(&mem->leases, &message->timer);
    mem->has_changed = true;
}

static void add_window(struct sqi_mem *mem, const struct sqi_mem_message *message)
{
    struct sqi_mem_window *window = message->window;
    uint32_t channel = message->channel->info.channel;
    window->channel = window->timer.channel = channel;
    window->message_id = window->timer.id = message->id;
    window->until_ms = window->timer.due = sqi_mem_after(
        mem->now_ms, message->channel->info.policy.dedupe_window_ms);
    sqi_mem_table_add(&mem->dedupe, &window->link,
                      sqi_mem_hash(window->id, SQI_DEDUPE_BYTES, channel));
}

void sqi_mem_add(struct sqi_mem *mem, struct sqi_mem_channel *channel,
                 struct sqi_mem_message *message)
{
    message->channel = channel;
    message->id = message->timer.id = ++mem->last_id;
    message->timer.channel = channel->info.channel;
    TAILQ_INSERT_TAIL(&channel->messages, message, in_channel);
    sqi_mem_table_add(&mem->messages, &message->link,
                      sqi_mem_hash(&message->id, sizeof message->id, 0));
    if (message->window)
        add_window(mem, message);
    channel->stat.puts++;
    channel->stat.bytes += message->envelope_bytes;
    mem->stored_bytes += message->envelope_bytes;
    enter_waiting(mem, message, message->due_ms);
}

/* The lease is over, and nobody settled: rule 3. */
static void lose(struct sqi_mem *mem, struct sqi_mem_message *message)
{
    struct sqi_mem_channel *channel = message->channel;
    channel->stat.lost_leases++;
    if (message->attempts >= channel->info.policy.attempts_max)
        sqi_mem_die(mem, message, SQI_DEATH_ATTEMPTS);
    else
        sqi_mem_put_back(mem, message, 0);
}

/* Its wall-clock timer is due. A delayed one comes to its time, or to its expiry. */
static void fire(struct sqi_mem *mem, struct sqi_mem_message *message)
{
    if (message->state == SQI_DEAD) {
        sqi_mem_erase(mem, message);
        return;
    }
    leave(mem, message);
    enter_waiting(mem, message, message->due_ms);
}

void sqi_mem_sweep(struct sqi_mem *mem)
{
    struct sqi_mem_timer *timer;
    while ((timer = sqi_mem_timers_due(&mem->leases, mem->now_ns)))
        lose(mem, message_of_timer(timer));
    while ((timer = sqi_mem_timers_due(&mem->walls, mem->now_ms)))
        fire(mem, message_of_timer(timer));
    while ((timer = sqi_mem_timers_due(&mem->windows, mem->now_ms)))
        forget_window(mem, window_of_timer(timer));
}

struct sqi_mem_message *sqi_mem_find(const struct sqi_mem *mem, uint64_t id)
{
    struct sqi_mem_link *link = sqi_mem_table_first(&mem->messages,
                                                    sqi_mem_hash(&id, sizeof id, 0));
    while (link && message_of_link(link)->id != id)
        link = sqi_mem_table_next(link);
    return link ? message_of_link(link) : NULL;
}

static bool is_window_of(struct sqi_mem_link *link, uint32_t channel, const uint8_t *id)
{
    const struct sqi_mem_window *window = window_of_link(link);
    return window->channel == channel && memcmp(window->id, id, SQI_DEDUPE_BYTES) == 0;
}

struct sqi_mem_window *sqi_mem_find_window(const struct sqi_mem *mem, uint32_t channel,
                                           const uint8_t *id)
{
    struct sqi_mem_link *link = sqi_mem_table_first(&mem->dedupe,
                                                    sqi_mem_hash(id, SQI_DEDUPE_BYTES, channel));
    while (link && !is_window_of(link, channel, id))
        link = sqi_mem_table_next(link);
    return link ? window_of_link(link) : NULL;
}

struct sqi_mem_message *sqi_mem_next_ready(const struct sqi_mem_channel *channel)
{
    for (int i = 0; i < SQI_MEM_PRIORITIES / 64; i++)
        if (channel->ready_levels[i])
            return TAILQ_FIRST(&channel->ready[64 * i + __builtin_ctzll(channel->ready_levels[i])]);
    return NULL;
}

void sqi_mem_free_messages(struct sqi_mem *mem)
{
    for (size_t i = 0; i < mem->windows.count; i++)
        free(window_of_timer(mem->windows.heap[i]));
    for (size_t i = 0; i < mem->channel_count; i++) {
        struct sqi_mem_message *message;
        while ((message = TAILQ_FIRST(&mem->channels[i]->messages))) {
            TAILQ_REMOVE(&mem->channels[i]->messages, message, in_channel);
            sqi_mem_message_free(message);
        }
    }
}
