/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Getting: leased by the engine, then opened. What cannot be opened never reaches the caller:
 *
 *     no key for it, or a retired one   back, with a delay of 30 s and no attempt counted; a
 * warning before its time                   back, the same (the store lied, or clocks differ)
 *     expired by its own word           dead
 *     forged, malformed, not sealed     dead, at once
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "channel/channel.h"
#include "channel/warning.h"
#include "seal/format.h"

static sq_opener *take_opener(sq_store *store)
{
    sq_opener *opener = sqi_pool_take(&store->openers);
    if (!opener)
        (void)sq_opener_create(store->keyring, &opener);
    return opener;
}

static void give_opener(sq_store *store, sq_opener *opener)
{
    if (opener && !sqi_pool_give(&store->openers, opener))
        sq_opener_free(opener);
}

static int64_t wall_ms(void)
{
    return sqi_system_clock.wall_ms(NULL);
}

/* Opens one: SQ_OK and a message, or what is wrong with it. */
static int open_message(sq_channel *channel, sq_opener *opener, const struct sqi_lease *lease,
                        struct sqi_message **ret_message)
{
    size_t plain_bytes = lease->envelope_bytes;
    struct sqi_message *message = malloc(sizeof *message + plain_bytes);
    if (!message)
        return sqi_fail(SQ_ENOMEM);
    *message = (struct sqi_message){.deadline_ns = lease->deadline_ns};
    int result = sq_open(opener, channel->name, SQ_KIND_MESSAGE, lease->envelope,
                         lease->envelope_bytes, message->plain, plain_bytes,
                         &message->public.opened);
    if (result < 0) {
        free(message);
        return result;
    }
    sq_opened *opened = &message->public.opened;
    opened->key_id = ""; /* the opener's, which others use next */
    message->public.body = opened->body;
    message->public.body_bytes = opened->body_bytes;
    message->public.id = lease->id;
    message->public.token = lease->token;
    message->public.attempt = lease->attempt;
    message->public.attempts_max = channel->policy.attempts_max;
    message->public.priority = opened->priority;
    message->public.created_ms = (int64_t)(opened->created_ns / SQI_NS_PER_MS);
    message->public.expires_ms = (int64_t)opened->expires_ms;
    message->public.channel = channel;
    *ret_message = message;
    return SQ_OK;
}

/* What becomes of a message that is not handed out. */
static struct sqi_settlement turn_away(sq_channel *channel, const struct sqi_lease *lease, int why)
{
    struct sqi_settlement settlement = {
        .channel = channel->number, .id = lease->id, .token = lease->token};
    if (why == SQ_EAUTH || why == SQ_EFORMAT) {
        settlement.verdict = SQI_BURY;
        settlement.death = SQI_DEATH_REFUSED;
        return settlement;
    }
    settlement.verdict = SQI_RELEASE;
    if (why == SQ_ENOKEY || why == SQ_ERETIRED) {
        settlement.delay_ms = SQI_HANDED_BACK_MS;
        sqi_warn_of_key(channel, why, lease->envelope + 8);
    }
    return settlement; /* no memory, OpenSSL failed: back at once */
}

/* By its own word, which alone is authenticated: SQ_OK, or turned away too. */
static bool is_in_time(sq_channel *channel, const sq_message *message,
                       const struct sqi_lease *lease, struct sqi_settlement *ret_settlement)
{
    int64_t now_ms = wall_ms();
    bool is_early = message->opened.not_before_ms > (uint64_t)now_ms;
    bool is_late = message->expires_ms && message->expires_ms <= now_ms;
    *ret_settlement = (struct sqi_settlement){
        .channel = channel->number,
        .id = lease->id,
        .token = lease->token,
        .verdict = is_late ? SQI_BURY : SQI_RELEASE,
        .death = SQI_DEATH_EXPIRED,
        .delay_ms = SQI_HANDED_BACK_MS,
    };
    return !is_early && !is_late;
}

/* Opens what was leased; how many are good, at the front of ret_messages. *ret_error is set when
   something of ours failed. */
static size_t open_all(sq_channel *channel, struct sqi_lease *leases, size_t count,
                       sq_message **ret_messages, int *ret_error)
{
    sq_store *store = channel->store;
    sq_opener *opener = take_opener(store);
    struct sqi_settlement *away = NULL;
    size_t good = 0, away_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct sqi_message *message = NULL;
        struct sqi_settlement settlement;
        int result = opener ? open_message(channel, opener, &leases[i], &message) : SQ_ENOMEM;
        bool is_good = result == SQ_OK &&
                       is_in_time(channel, &message->public, &leases[i], &settlement);
        if (is_good) {
            ret_messages[good++] = &message->public;
            atomic_fetch_add(&channel->users, 1);
        } else {
            if (result != SQ_OK)
                settlement = turn_away(channel, &leases[i], result);
            if (result == SQ_ENOMEM || result == SQ_ECRYPTO)
                *ret_error = sqi_fail(result);
            free(message);
            if (!away)
                away = calloc(count, sizeof *away);
            if (away) /* else its lease runs out */
                away[away_count++] = settlement;
        }
        free(leases[i].envelope);
    }
    give_opener(store, opener);
    if (away_count > 0)
        (void)store->engine->ops->settle_and_lease(store->engine, away, away_count, NULL, NULL,
                                                   NULL);
    free(away);
    return good;
}

ssize_t sqi_channel_get_until(sq_channel *channel, size_t count_max, const sq_get_options *options,
                              int64_t deadline_ns, const atomic_bool *cancelled,
                              struct sqi_settlement *settlements, size_t settlement_count,
                              sq_message **ret_messages)
{
    struct sqi_engine *engine = channel->store->engine;
    struct sqi_wait wait = {.channel = channel, .deadline_ns = deadline_ns, .cancelled = cancelled};
    struct sqi_lease_request request = {
        .channel = channel->number,
        .count_max = count_max < SQI_COMMIT_MESSAGES_MAX ? count_max : SQI_COMMIT_MESSAGES_MAX,
        .lease_ms = options->lease_ms,
        .is_unowned = options->is_unowned,
    };
    struct sqi_lease one,
        *leases = request.count_max == 1 ? &one : calloc(request.count_max, sizeof *leases);
    if (!leases)
        return sqi_fail(SQ_ENOMEM);
    ssize_t result;
    do {
        struct sqi_due due;
        int error = SQ_OK;
        sqi_wait_begin(&wait);
        result = engine->ops->settle_and_lease(engine, settlements, settlement_count, &request,
                                               leases, &due);
        settlement_count = 0;
        if (result > 0) {
            result = (ssize_t)open_all(channel, leases, (size_t)result, ret_messages, &error);
            if (result == 0)
                result = error; /* or look again, at once */
        } else if (result == 0) {
            result = sqi_wait_sleep(&wait, &due);
        }
    } while (result == 0);
    if (leases != &one)
        free(leases);
    return result;
}

ssize_t sq_channel_get_many(sq_channel *channel, size_t count_max, int64_t timeout_ms,
                            const sq_get_options *options, sq_message **ret_messages)
{
    static const sq_get_options defaults;
    options = options ? options : &defaults;
    int result = sqi_channel_check(channel);
    if (result == SQ_OK)
        result = sqi_check_timeout(timeout_ms);
    if (result == SQ_OK && !ret_messages)
        result = sqi_fail_with(SQ_EINVAL, "ret_messages is NULL");
    if (result == SQ_OK && options->lease_ms < 0)
        result = sqi_fail_with(SQ_EINVAL, "lease_ms is negative");
    if (result == SQ_OK)
        result = sqi_check_reserved(options->reserved, sizeof options->reserved, "sq_get_options");
    if (result < 0 || count_max == 0)
        return result;
    ssize_t got = sqi_channel_get_until(channel, count_max, options, sqi_deadline_after(timeout_ms),
                                        NULL, NULL, 0, ret_messages);
    return got == SQ_ETIMEDOUT ? sqi_fail(SQ_EEMPTY) : got;
}

int sq_channel_get(sq_channel *channel, int64_t timeout_ms, sq_message **ret_message)
{
    ssize_t got = sq_channel_get_many(channel, 1, timeout_ms, NULL, ret_message);
    return got < 0 ? (int)got : SQ_OK;
}
