/* SPDX-License-Identifier: Apache-2.0 */
/* What ends a message, what keeps it, and what comes of it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/text.h"
#include "channel/channel.h"

static struct sqi_message *own(sq_message *message)
{
    return (struct sqi_message *)message;
}

static int check(const sq_message *message)
{
    if (!message)
        return sqi_fail_with(SQ_EINVAL, "message is NULL");
    return sqi_channel_check(message->channel);
}

sq_message *sq_message_free(sq_message *message)
{
    if (!message)
        return NULL;
    struct sqi_message *inner = own(message);
    for (size_t i = 0; i < inner->emission_count; i++)
        free((void *)inner->emissions[i].put.envelope);
    free(inner->emissions);
    if (message->channel->store->fork_generation == sqi_fork_generation())
        atomic_fetch_sub(&message->channel->users, 1);
    free(inner);
    return NULL;
}

int sq_message_header(const sq_message *message, const char *name, sq_header *ret_header)
{
    size_t cursor = 0;
    sq_header header;
    if (!message || !name || !ret_header)
        return sqi_fail_with(SQ_EINVAL, "message, name or ret_header is NULL");
    while (sq_opened_header(&message->opened, &cursor, &header) == 1)
        if (strlen(name) == header.name_bytes &&
            memcmp(name, header.name, header.name_bytes) == 0) {
            *ret_header = header;
            return 1;
        }
    return 0;
}

/* ── reasons and delays ───────────────────────────────────────────────────────────────────── */

static int seal_reason(sq_channel *channel, const char *reason, void **ret_sealed,
                       size_t *ret_bytes)
{
    sq_sealer *sealer = sqi_pool_take(&channel->reason_sealers);
    sq_content content = {.body = reason, .body_bytes = strnlen(reason, SQI_REASON_TEXT_BYTES_MAX)};
    int result = SQ_OK;
    if (!sealer)
        result = sq_sealer_create(channel->store->keyring, channel->name, SQ_KIND_REASON, &sealer);
    if (result < 0)
        return result;
    *ret_bytes = sq_sealed_bytes(&content);
    *ret_sealed = malloc(*ret_bytes);
    ssize_t bytes = *ret_sealed ? sq_seal(sealer, &content, *ret_sealed, *ret_bytes)
                                : sqi_fail(SQ_ENOMEM);
    if (!sqi_pool_give(&channel->reason_sealers, sealer))
        sq_sealer_free(sealer);
    return bytes < 0 ? (int)bytes : SQ_OK;
}

/* So that those who failed together do not come again together. */
static int64_t jitter(int64_t delay_ms)
{
    uint32_t random = UINT32_MAX / 2;
    (void)getrandom(&random, sizeof random, 0); /* without it: no jitter */
    double share = 0.8 + 0.4 * random / UINT32_MAX;
    return (int64_t)(share * (double)delay_ms);
}

int64_t sqi_backoff_ms(const struct sqi_policy *policy, uint32_t attempt)
{
    int64_t delay_ms = policy->backoff_ms;
    for (uint32_t i = 1; i < attempt && delay_ms < policy->backoff_max_ms; i++)
        delay_ms = delay_ms > policy->backoff_max_ms / 2 ? policy->backoff_max_ms : 2 * delay_ms;
    return jitter(delay_ms < policy->backoff_max_ms ? delay_ms : policy->backoff_max_ms);
}

/* ── settling ─────────────────────────────────────────────────────────────────────────────── */

int sqi_message_settlement(sq_message *message, enum sqi_verdict verdict, int64_t delay_ms,
                           const char *reason, struct sqi_settlement *ret_settlement)
{
    struct sqi_message *inner = own(message);
    void *sealed = NULL;
    size_t sealed_bytes = 0;
    int result = reason ? seal_reason(message->channel, reason, &sealed, &sealed_bytes) : SQ_OK;
    *ret_settlement = (struct sqi_settlement){
        .channel = message->channel->number,
        .id = message->id,
        .token = message->token,
        .verdict = verdict,
        .death = SQI_DEATH_BURIED,
        .delay_ms = delay_ms < 0 ? sqi_backoff_ms(&message->channel->policy, message->attempt)
                                 : delay_ms,
        .reason = sealed,
        .reason_bytes = sealed_bytes,
        .emissions = verdict == SQI_DONE ? inner->emissions : NULL,
        .emission_count = verdict == SQI_DONE ? inner->emission_count : 0,
        .result = SQ_EIO,
    };
    return result;
}

static int explain(int code, uint64_t id)
{
    switch (code) {
    case SQ_ELEASE:
        return sqi_fail_with(code, "the lease of message %llu was over: another may have it",
                             (unsigned long long)id);
    case SQ_ESHUTDOWN:
        return sqi_fail_with(code, "a channel that message %llu emitted to is closed",
                             (unsigned long long)id);
    case SQ_ENOENT:
        return sqi_fail_with(code, "the channel of message %llu, or one it emitted to, was removed",
                             (unsigned long long)id);
    default:
        return code;
    }
}

int sqi_message_settled(sq_message *message, struct sqi_settlement *settlement)
{
    int result = explain(settlement->result, settlement->id);
    free((void *)settlement->reason);
    sq_message_free(message);
    return result;
}

static int settle(sq_message *message, enum sqi_verdict verdict, int64_t delay_ms,
                  const char *reason)
{
    struct sqi_settlement settlement;
    int result = check(message);
    if (result < 0) { /* it is freed whatever is returned; but in a child it is the parent's */
        if (message)
            sq_message_free(message);
        return result;
    }
    struct sqi_engine *engine = message->channel->store->engine;
    result = sqi_message_settlement(message, verdict, delay_ms, reason, &settlement);
    if (result == SQ_OK)
        result = engine->ops->settle_and_lease(engine, &settlement, 1, NULL, NULL, NULL);
    int settled = sqi_message_settled(message, &settlement);
    return result < 0 ? result : settled;
}

int sq_message_done(sq_message *message)
{
    return message ? settle(message, SQI_DONE, 0, NULL) : SQ_OK;
}

int sq_message_retry(sq_message *message, int64_t delay_ms, const char *reason)
{
    return settle(message, SQI_RETRY, delay_ms < -1 ? -1 : delay_ms, reason);
}

int sq_message_bury(sq_message *message, const char *reason)
{
    return settle(message, SQI_BURY, 0, reason);
}

int sq_message_release(sq_message *message, int64_t delay_ms)
{
    return settle(message, SQI_RELEASE, delay_ms < 0 ? 0 : delay_ms, NULL);
}

/* Settles a part of what sq_message_done_many() got; how many are done. */
static size_t done_part(struct sqi_engine *engine, sq_message **messages, size_t count,
                        struct sqi_settlement *settlements, int *ret_error)
{
    size_t done = 0;
    for (size_t i = 0; i < count; i++)
        (void)sqi_message_settlement(messages[i], SQI_DONE, 0, NULL, &settlements[i]);
    int result = engine->ops->settle_and_lease(engine, settlements, count, NULL, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        int settled = sqi_message_settled(messages[i], &settlements[i]);
        messages[i] = NULL;
        done += settled >= 0;
        *ret_error = settled < 0 ? settled : *ret_error;
    }
    *ret_error = result < 0 ? result : *ret_error;
    return done;
}

ssize_t sq_message_done_many(sq_message **messages, size_t count)
{
    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++) {
        int result = messages ? check(messages[i]) : SQ_EINVAL;
        if (result < 0 || messages[i]->channel != messages[0]->channel)
            return result < 0 ? result
                              : sqi_fail_with(SQ_EINVAL, "the messages are of several channels");
    }
    struct sqi_engine *engine = messages[0]->channel->store->engine;
    size_t part = count < SQI_COMMIT_MESSAGES_MAX ? count : SQI_COMMIT_MESSAGES_MAX, done = 0;
    struct sqi_settlement *settlements = calloc(part, sizeof *settlements);
    if (!settlements)
        return sqi_fail(SQ_ENOMEM);
    int error = SQ_OK;
    for (size_t at = 0; at < count; at += part)
        done += done_part(engine, messages + at, count - at < part ? count - at : part, settlements,
                          &error);
    free(settlements);
    return done > 0 || error == SQ_OK ? (ssize_t)done : error;
}

/* ── extending, emitting ──────────────────────────────────────────────────────────────────── */

int sq_message_extend(sq_message *message, int64_t lease_ms)
{
    int result = check(message);
    if (result == SQ_OK && lease_ms < 0)
        result = sqi_fail_with(SQ_EINVAL, "lease_ms is negative");
    if (result < 0)
        return result;
    struct sqi_engine *engine = message->channel->store->engine;
    struct sqi_extension extension = {.channel = message->channel->number,
                                      .id = message->id,
                                      .token = message->token,
                                      .lease_ms = lease_ms};
    result = engine->ops->extend(engine, &extension, 1);
    if (result == SQ_OK)
        result = explain(extension.result, message->id);
    if (result == SQ_OK)
        atomic_store(&own(message)->deadline_ns, extension.deadline_ns);
    return result;
}

static int make_room(struct sqi_message *message)
{
    if (message->emission_count < message->emission_room)
        return SQ_OK;
    if (message->emission_count == SQI_EMISSIONS_MAX)
        return sqi_fail_with(SQ_EFULL, "a message emits %d results at most", SQI_EMISSIONS_MAX);
    size_t room = message->emission_room ? 2 * message->emission_room : 4;
    room = room < SQI_EMISSIONS_MAX ? room : SQI_EMISSIONS_MAX;
    struct sqi_emission *emissions = reallocarray(message->emissions, room, sizeof *emissions);
    if (!emissions)
        return sqi_fail(SQ_ENOMEM);
    message->emissions = emissions;
    message->emission_room = room;
    return SQ_OK;
}

int sq_message_emit(sq_message *message, sq_channel *channel, const void *body, size_t body_bytes)
{
    const sq_content content = {.body = body, .body_bytes = body_bytes};
    int result = check(message);
    if (result == SQ_OK)
        result = sqi_channel_check(channel);
    if (result == SQ_OK && channel->store != message->channel->store)
        result = sqi_fail_with(SQ_EINVAL, "a result goes to a channel of the message's own store");
    if (result == SQ_OK)
        result = make_room(own(message));
    if (result < 0)
        return result;
    struct sqi_emission *emission = &own(message)->emissions[own(message)->emission_count];
    emission->channel = channel->number;
    result = sqi_seal_put(channel, &content, &emission->put);
    own(message)->emission_count += result == SQ_OK;
    return result;
}
