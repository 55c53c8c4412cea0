/* SPDX-License-Identifier: Apache-2.0 */
/* What moves messages in the memory's store: puts, settlements, leases, extensions. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/mem/mem.h"

/* ---- puts ---- */

/* Adds a message made for the put to a list, linked by in_channel. False: out of memory. */
static bool make_message(struct sqi_mem_list *list, const struct sqi_put *put)
{
    struct sqi_mem_message *message = sqi_mem_message_make(put);
    if (message)
        TAILQ_INSERT_TAIL(list, message, in_channel);
    return message;
}

static struct sqi_mem_message *pop_message(struct sqi_mem_list *list)
{
    struct sqi_mem_message *message = TAILQ_FIRST(list);
    if (message)
        TAILQ_REMOVE(list, message, in_channel);
    return message;
}

static void free_messages(struct sqi_mem_list *list)
{
    struct sqi_mem_message *message;
    while ((message = pop_message(list)))
        sqi_mem_message_free(message);
}

/* Rule 8. True, and the put is answered: it adds nothing. */
static bool finds_duplicate(struct sqi_mem *mem, struct sqi_mem_channel *channel,
                            struct sqi_put *put)
{
    for (size_t i = 0; i < put->dedupe_id_count; i++) {
        const struct sqi_mem_window *window = sqi_mem_find_window(mem, channel->info.channel,
                                                                  put->dedupe_ids[i]);
        if (window) {
            channel->stat.duplicates++;
            put->id = window->message_id;
            put->result = 1;
            return true;
        }
    }
    return false;
}

/* 0, or why a put that is no duplicate is refused: rule 7. */
static int refusal(const struct sqi_mem *mem, const struct sqi_mem_channel *channel,
                   const struct sqi_put *put)
{
    uint64_t capacity = channel->info.policy.capacity;
    if (capacity > 0 && sqi_mem_unfinished(channel) >= capacity)
        return SQ_EFULL;
    uint64_t quota = mem->quota_bytes, stored = mem->stored_bytes;
    if (quota > 0 && (stored > quota || put->envelope_bytes > quota - stored))
        return SQ_ENOSPACE;
    return 0;
}

/* 0, or why a channel takes no puts whatever. */
static int check_open(const struct sqi_mem_channel *channel)
{
    if (!channel)
        return SQ_ENOENT;
    return channel->stat.is_closed ? SQ_ESHUTDOWN : 0;
}

/* Answers the put. message, made for it, is added or freed. */
static void put_one(struct sqi_mem *mem, struct sqi_mem_channel *channel, struct sqi_put *put,
                    struct sqi_mem_message *message, bool is_bounded)
{
    put->result = check_open(channel);
    if (put->result == 0 && !finds_duplicate(mem, channel, put) && is_bounded)
        put->result = refusal(mem, channel, put);
    if (put->result != 0) {
        sqi_mem_message_free(message);
        return;
    }
    sqi_mem_add(mem, channel, message);
    put->id = message->id;
}

static void put_all(struct sqi_mem *mem, struct sqi_mem_channel *channel, struct sqi_put *puts,
                    size_t count, struct sqi_mem_list *messages)
{
    size_t i = 0;
    for (int result = 0; i < count && result >= 0; result = puts[i++].result)
        put_one(mem, channel, &puts[i], pop_message(messages), true);
    for (; i < count; i++)
        puts[i].result = puts[i - 1].result;
}

int sqi_mem_put(struct sqi_engine *engine, uint32_t number, struct sqi_put *puts, size_t count)
{
    struct sqi_mem *mem = sqi_mem_of(engine);
    assert(count <= SQI_COMMIT_MESSAGES_MAX);
    struct sqi_mem_list messages = TAILQ_HEAD_INITIALIZER(messages);
    bool is_made = true;
    for (size_t i = 0; i < count && is_made; i++)
        is_made = make_message(&messages, &puts[i]);
    int failed = sqi_mem_begin(mem);
    if (!failed) {
        is_made = is_made && sqi_mem_reserve(mem, count);
        if (is_made)
            put_all(mem, sqi_mem_channel_of(mem, number), puts, count, &messages);
        failed = sqi_mem_end_with(mem, is_made ? SQ_OK : SQ_ENOMEM);
    }
    for (size_t i = 0; failed && i < count; i++)
        puts[i].result = failed;
    free_messages(&messages);
    return failed;
}

/* ---- settlements ---- */

/* The memory that a settlement will need, should it succeed. */
struct plan {
    void *reason;
    struct sqi_mem_list emissions; /* a message for each */
};

static bool keeps_reason(const struct sqi_settlement *settlement)
{
    return settlement->verdict == SQI_RETRY || settlement->verdict == SQI_BURY;
}

static size_t emissions_of(const struct sqi_settlement *settlement)
{
    return settlement->verdict == SQI_DONE ? settlement->emission_count : 0;
}

static bool make_plan(struct plan *plan, const struct sqi_settlement *settlement)
{
    TAILQ_INIT(&plan->emissions);
    if (keeps_reason(settlement) && settlement->reason && settlement->reason_bytes > 0) {
        plan->reason = malloc(settlement->reason_bytes);
        if (!plan->reason)
            return false;
        memcpy(plan->reason, settlement->reason, settlement->reason_bytes);
    }
    for (size_t i = 0; i < emissions_of(settlement); i++)
        if (!make_message(&plan->emissions, &settlement->emissions[i].put))
            return false;
    return true;
}

static void free_plans(struct plan *plans, size_t count)
{
    for (size_t i = 0; plans && i < count; i++) {
        free(plans[i].reason);
        free_messages(&plans[i].emissions);
    }
    free(plans);
}

/* One for each settlement; NULL: out of memory. */
static struct plan *make_plans(const struct sqi_settlement *settlements, size_t count)
{
    struct plan *plans = calloc(count + 1, sizeof *plans);
    for (size_t i = 0; plans && i < count; i++) {
        if (!make_plan(&plans[i], &settlements[i])) {
            free_plans(plans, i + 1);
            return NULL;
        }
    }
    return plans;
}

static bool reserve_plans(struct sqi_mem *mem, const struct sqi_settlement *settlements,
                          size_t count)
{
    size_t messages = 0;
    for (size_t i = 0; i < count; i++)
        messages += emissions_of(&settlements[i]);
    return sqi_mem_reserve(mem, messages);
}

/* The message of a lease: 0, or SQ_ENOENT or SQ_ELEASE (rule 6). */
static int find_leased(const struct sqi_mem *mem, uint32_t number, uint64_t id, uint64_t token,
                       struct sqi_mem_message **ret_message)
{
    struct sqi_mem_channel *channel = sqi_mem_channel_of(mem, number);
    if (!channel)
        return SQ_ENOENT;
    struct sqi_mem_message *message = sqi_mem_find(mem, id);
    if (!message || message->channel != channel || message->state != SQI_LEASED ||
        message->token != token)
        return SQ_ELEASE;
    *ret_message = message;
    return 0;
}

/* All emissions, and then the message is gone; or nothing. */
static int settle_done(struct sqi_mem *mem, struct sqi_mem_message *message,
                       struct sqi_settlement *settlement, struct plan *plan)
{
    for (size_t i = 0; i < settlement->emission_count; i++) {
        int refused = check_open(sqi_mem_channel_of(mem, settlement->emissions[i].channel));
        if (refused)
            return refused;
    }
    for (size_t i = 0; i < settlement->emission_count; i++) {
        struct sqi_emission *emission = &settlement->emissions[i];
        put_one(mem, sqi_mem_channel_of(mem, emission->channel), &emission->put,
                pop_message(&plan->emissions), false);
    }
    message->channel->stat.dones++;
    sqi_mem_erase(mem, message);
    return 0;
}

static int settle_retry(struct sqi_mem *mem, struct sqi_mem_message *message, int64_t delay_ms)
{
    struct sqi_mem_channel *channel = message->channel;
    channel->stat.retries++;
    if (message->attempts < channel->info.policy.attempts_max)
        return sqi_mem_put_back(mem, message, delay_ms);
    sqi_mem_die(mem, message, SQI_DEATH_ATTEMPTS);
    return 1;
}

static void settle_release(struct sqi_mem *mem, struct sqi_mem_message *message, int64_t delay_ms)
{
    message->attempts--;
    message->channel->stat.leases--;
    sqi_mem_put_back(mem, message, delay_ms);
}

/* A reason stays until another is given. */
static void keep_reason(struct sqi_mem_message *message, const struct sqi_settlement *settlement,
                        struct plan *plan)
{
    if (!plan->reason)
        return;
    free(message->reason);
    message->reason = plan->reason;
    message->reason_bytes = settlement->reason_bytes;
    plan->reason = NULL;
}

/* Returns the settlement's result. */
static int settle(struct sqi_mem *mem, struct sqi_settlement *settlement, struct plan *plan)
{
    struct sqi_mem_message *message;
    int failed = find_leased(mem, settlement->channel, settlement->id, settlement->token, &message);
    if (failed)
        return failed;
    keep_reason(message, settlement, plan);
    switch (settlement->verdict) {
    case SQI_DONE:
        return settle_done(mem, message, settlement, plan);
    case SQI_RETRY:
        return settle_retry(mem, message, settlement->delay_ms);
    case SQI_RELEASE:
        settle_release(mem, message, settlement->delay_ms);
        return 0;
    default:
        assert(settlement->verdict == SQI_BURY);
        sqi_mem_die(mem, message, settlement->death);
        return 0;
    }
}

/* ---- leases ---- */

static size_t larger(size_t one, size_t other)
{
    return one > other ? one : other;
}

/* A copy that is there before anything is settled: of the size of whatever may then be the first
   to be leased, which is the first now, or one that is put back, or one that is put. So an
   operation that settled something always leases, or finds nothing. NULL: out of memory. */
static uint8_t *make_first_copy(const struct sqi_mem *mem, const struct sqi_settlement *settlements,
                                size_t count, const struct sqi_mem_channel *channel)
{
    const struct sqi_mem_message *message = channel ? sqi_mem_next_ready(channel) : NULL;
    size_t bytes = message ? message->envelope_bytes : 0;
    for (size_t i = 0; i < count; i++) {
        message = sqi_mem_find(mem, settlements[i].id);
        bytes = larger(bytes, message ? message->envelope_bytes : 0);
        for (size_t j = 0; j < emissions_of(&settlements[i]); j++)
            bytes = larger(bytes, settlements[i].emissions[j].put.envelope_bytes);
    }
    return malloc(larger(bytes, 1));
}

static struct sqi_lease lease_one(struct sqi_mem *mem, struct sqi_mem_message *message,
                                  int64_t deadline_ns, uint8_t *copy)
{
    memcpy(copy, message->envelope, message->envelope_bytes);
    sqi_mem_lease(mem, message, deadline_ns);
    return (struct sqi_lease){
        .id = message->id,
        .token = message->token,
        .attempt = message->attempts,
        .priority = message->priority,
        .deadline_ns = deadline_ns,
        .envelope = copy,
        .envelope_bytes = message->envelope_bytes,
    };
}

/* Returns how many. Without memory for more copies than *first_copy, which it takes, fewer. */
static size_t lease_all(struct sqi_mem *mem, struct sqi_mem_channel *channel,
                        const struct sqi_lease_request *request, struct sqi_lease *ret_leases,
                        uint8_t **first_copy)
{
    size_t bytes_left = SQI_COMMIT_BYTES_MAX, count_max = SQI_COMMIT_MESSAGES_MAX, count = 0;
    if (request->bytes_max > 0 && request->bytes_max < bytes_left)
        bytes_left = request->bytes_max;
    if (request->count_max < count_max)
        count_max = request->count_max;
    int64_t lease_ms = request->lease_ms > 0 ? request->lease_ms : channel->info.policy.lease_ms;
    int64_t deadline_ns = sqi_mem_after_ms(mem->now_ns, lease_ms);
    for (struct sqi_mem_message *message;
         count < count_max && (message = sqi_mem_next_ready(channel)); count++) {
        size_t bytes = message->envelope_bytes;
        if (count > 0 && bytes > bytes_left)
            break;
        uint8_t *copy = count == 0 ? *first_copy : malloc(larger(bytes, 1));
        if (!copy)
            break;
        if (count == 0)
            *first_copy = NULL;
        ret_leases[count] = lease_one(mem, message, deadline_ns, copy);
        bytes_left -= bytes < bytes_left ? bytes : bytes_left;
    }
    return count;
}

/* Returns how many, or why none: rule 9. */
static int lease(struct sqi_mem *mem, const struct sqi_lease_request *request,
                 struct sqi_lease *ret_leases, uint8_t **first_copy)
{
    struct sqi_mem_channel *channel = sqi_mem_channel_of(mem, request->channel);
    if (!channel)
        return SQ_ENOENT;
    if (channel->stat.is_closed && sqi_mem_unfinished(channel) == 0)
        return SQ_ESHUTDOWN;
    if (channel->stat.is_paused)
        return 0;
    return (int)lease_all(mem, channel, request, ret_leases, first_copy);
}

/* Under the lock. */
static int settle_all_and_lease(struct sqi_mem *mem, struct sqi_settlement *settlements,
                                size_t count, struct plan *plans,
                                const struct sqi_lease_request *request,
                                struct sqi_lease *ret_leases)
{
    uint8_t *first_copy = NULL;
    if (!plans || !reserve_plans(mem, settlements, count))
        return SQ_ENOMEM;
    if (request) {
        first_copy = make_first_copy(mem, settlements, count,
                                     sqi_mem_channel_of(mem, request->channel));
        if (!first_copy)
            return SQ_ENOMEM;
    }
    for (size_t i = 0; i < count; i++)
        settlements[i].result = settle(mem, &settlements[i], &plans[i]);
    int result = request ? lease(mem, request, ret_leases, &first_copy) : 0;
    free(first_copy);
    return result;
}

int sqi_mem_settle_and_lease(struct sqi_engine *engine, struct sqi_settlement *settlements,
                             size_t count, const struct sqi_lease_request *request,
                             struct sqi_lease *ret_leases, struct sqi_due *ret_due)
{
    struct sqi_mem *mem = sqi_mem_of(engine);
    assert(count <= SQI_COMMIT_MESSAGES_MAX);
    struct plan *plans = make_plans(settlements, count);
    int result = sqi_mem_begin(mem);
    if (!result) {
        result = settle_all_and_lease(mem, settlements, count, plans, request, ret_leases);
        sqi_mem_tell_due(mem, ret_due);
        result = sqi_mem_end_with(mem, result);
    }
    for (size_t i = 0; (result == SQ_ENOMEM || result == SQ_EFORK) && i < count; i++)
        settlements[i].result = result;
    free_plans(plans, count);
    return result;
}

static void extend_one(struct sqi_mem *mem, struct sqi_extension *extension)
{
    struct sqi_mem_message *message;
    extension->result = find_leased(mem, extension->channel, extension->id, extension->token,
                                    &message);
    if (extension->result)
        return;
    int64_t lease_ms = extension->lease_ms;
    if (lease_ms == 0)
        lease_ms = message->channel->info.policy.lease_ms;
    extension->deadline_ns = sqi_mem_after_ms(mem->now_ns, lease_ms);
    sqi_mem_extend_lease(mem, message, extension->deadline_ns);
}

int sqi_mem_extend(struct sqi_engine *engine, struct sqi_extension *extensions, size_t count)
{
    struct sqi_mem *mem = sqi_mem_of(engine);
    int failed = sqi_mem_begin(mem);
    if (failed)
        return failed;
    for (size_t i = 0; i < count; i++)
        extend_one(mem, &extensions[i]);
    return sqi_mem_end_with(mem, SQ_OK);
}
