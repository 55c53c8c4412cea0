/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumers over a channel: a source for the threads of consumer.c, and a keeper of leases.
 *
 *     take     settles what the thread finished before, and leases the next, in one commit
 *     finish   remembers the verdict for the next take
 *     keeper   one thread: extends what is in hand when two thirds of its lease are left
 *
 * The keeper sleeps until the first renewal that is due, or for ever while nothing is in hand. Who
 * takes a message wakes it only when that message is due sooner; so a busy consumer wakes it once
 * in a third of a lease, and an idle one never.
 *
 *     hands, wakes_ns, is_ending ── guarded by lock, told by changed
 *     settlement of a hand       ── its thread's own
 */
#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "channel/channel.h"
#include "queue/consumer.h"

/* What one thread of the consumer has in hand. */
struct hand {
    sq_message *message; /* NULL: nothing */
    int64_t renew_ns;    /* when to extend its lease */
    sq_message *finished;
    struct sqi_settlement settlement; /* of the finished one */
};

struct channel_consumer {
    sq_channel *channel;
    unsigned hand_count;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t wakes_ns; /* when the keeper looks next */
    bool is_ending;
    pthread_t keeper;
    struct hand hands[];
};

static void lock(struct channel_consumer *consumer)
{
    int failed = pthread_mutex_lock(&consumer->lock);
    assert(!failed);
}

static void unlock(struct channel_consumer *consumer)
{
    int failed = pthread_mutex_unlock(&consumer->lock);
    assert(!failed);
}

/* ── the keeper ───────────────────────────────────────────────────────────────────────────── */

static int64_t third_of_lease_ns(const struct channel_consumer *consumer)
{
    return consumer->channel->policy.lease_ms * SQI_NS_PER_MS / 3;
}

/* With the lock held: what is due for renewal, and when to look again. */
static size_t find_due(struct channel_consumer *consumer, struct sqi_extension *ret_extensions)
{
    int64_t now_ns = sqi_now_ns(), third_ns = third_of_lease_ns(consumer);
    size_t count = 0;
    consumer->wakes_ns = SQI_NEVER;
    for (unsigned i = 0; i < consumer->hand_count; i++) {
        struct hand *hand = &consumer->hands[i];
        if (!hand->message)
            continue;
        if (hand->renew_ns <= now_ns) {
            hand->renew_ns = now_ns + third_ns;
            /* A handler may have extended it by more than we would. */
            const struct sqi_message *inner = (const struct sqi_message *)hand->message;
            if (atomic_load(&inner->deadline_ns) < now_ns + 3 * third_ns)
                ret_extensions[count++] = (struct sqi_extension){
                    .channel = consumer->channel->number,
                    .id = hand->message->id,
                    .token = hand->message->token};
        }
        if (hand->renew_ns < consumer->wakes_ns)
            consumer->wakes_ns = hand->renew_ns;
    }
    return count;
}

static void sleep_until_due(struct channel_consumer *consumer)
{
    struct timespec deadline = {
        .tv_sec = (time_t)(consumer->wakes_ns / SQI_NS_PER_S),
        .tv_nsec = (long)(consumer->wakes_ns % SQI_NS_PER_S),
    };
    if (consumer->wakes_ns == SQI_NEVER)
        pthread_cond_wait(&consumer->changed, &consumer->lock);
    else
        pthread_cond_timedwait(&consumer->changed, &consumer->lock, &deadline);
}

static void *keep(void *argument)
{
    struct channel_consumer *consumer = argument;
    struct sqi_engine *engine = consumer->channel->store->engine;
    struct sqi_extension *extensions = calloc(consumer->hand_count, sizeof *extensions);
    lock(consumer);
    while (!consumer->is_ending && extensions) {
        size_t count = find_due(consumer, extensions);
        if (count == 0) {
            sleep_until_due(consumer);
            continue;
        }
        unlock(consumer);
        /* One that is over by now is not ours to renew; its thread learns it when it settles. */
        (void)engine->ops->extend(engine, extensions, count);
        lock(consumer);
    }
    unlock(consumer);
    free(extensions);
    return NULL;
}

/* ── the source ───────────────────────────────────────────────────────────────────────────── */

static void take_in_hand(struct channel_consumer *consumer, struct hand *hand, sq_message *message)
{
    lock(consumer);
    hand->message = message;
    hand->renew_ns = sqi_now_ns() + third_of_lease_ns(consumer);
    if (hand->renew_ns < consumer->wakes_ns)
        pthread_cond_signal(&consumer->changed);
    unlock(consumer);
}

/* Frees what was settled, and tells when it could not be. */
static void end_finished(struct hand *hand, sq_consumer *consumer, unsigned thread_index)
{
    if (!hand->finished)
        return;
    int result = sqi_message_settled(hand->finished, &hand->settlement);
    hand->finished = NULL;
    if (result < 0)
        sqi_consumer_fail(consumer, thread_index, result, NULL);
}

static int take(void *object, sq_consumer *consumer, unsigned thread_index,
                const atomic_bool *cancelled, void **ret_item)
{
    static const sq_get_options defaults;
    struct channel_consumer *own = object;
    struct hand *hand = &own->hands[thread_index];
    struct sqi_engine *engine = own->channel->store->engine;
    sq_message *message = NULL;
    ssize_t got = SQ_ETIMEDOUT;
    if (!atomic_load(cancelled)) {
        struct sqi_settlement *settlements = hand->finished ? &hand->settlement : NULL;
        got = sqi_channel_get_until(own->channel, 1, &defaults, SQI_NEVER, cancelled, settlements,
                                    hand->finished ? 1 : 0, &message);
    } else if (hand->finished) {
        (void)engine->ops->settle_and_lease(engine, &hand->settlement, 1, NULL, NULL, NULL);
    }
    end_finished(hand, consumer, thread_index);
    if (got < 0) {
        if (got != SQ_ETIMEDOUT && got != SQ_ESHUTDOWN && got != SQ_EINTERRUPTED)
            sqi_consumer_fail(consumer, thread_index, (int)got, NULL);
        return (int)got;
    }
    take_in_hand(own, hand, message);
    *ret_item = message;
    return SQ_OK;
}

static void finish(void *object, sq_consumer *consumer, unsigned thread_index, void *item,
                   int result)
{
    (void)consumer;
    struct channel_consumer *own = object;
    struct hand *hand = &own->hands[thread_index];
    lock(own);
    hand->message = NULL;
    unlock(own);
    char reason[64] = "";
    if (result < 0)
        snprintf(reason, sizeof reason, "the handler answered %d", result);
    enum sqi_verdict verdict = result == SQ_DONE   ? SQI_DONE
                               : result == SQ_BURY ? SQI_BURY
                                                   : SQI_RETRY;
    hand->finished = item;
    /* Without its reason, should that not be sealed. */
    (void)sqi_message_settlement(item, verdict, -1, reason[0] ? reason : NULL, &hand->settlement);
}

static int join(void *object, int64_t deadline_ns, const atomic_bool *cancelled)
{
    struct channel_consumer *own = object;
    return sqi_channel_join_until(own->channel, deadline_ns, cancelled, NULL);
}

static void wake(void *object)
{
    const struct channel_consumer *own = object;
    struct sqi_engine *engine = own->channel->store->engine;
    engine->ops->wake(engine, own->channel->number);
}

/* ── making and ending ────────────────────────────────────────────────────────────────────── */

static void end(void *object, bool is_child)
{
    struct channel_consumer *own = object;
    if (!is_child) {
        lock(own);
        own->is_ending = true;
        pthread_cond_signal(&own->changed);
        unlock(own);
        int failed = pthread_join(own->keeper, NULL);
        assert(!failed);
        pthread_cond_destroy(&own->changed);
        pthread_mutex_destroy(&own->lock);
        atomic_fetch_sub(&own->channel->users, 1);
    }
    free(own);
}

static int start_keeper(struct channel_consumer *own)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&own->keeper, NULL, keep, own);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? sqi_fail_with(SQ_ETHREAD, "the system gave no thread to renew leases") : SQ_OK;
}

static struct channel_consumer *make_own(sq_channel *channel, unsigned threads)
{
    struct channel_consumer *own = calloc(1, sizeof *own + threads * sizeof own->hands[0]);
    if (!own)
        return NULL;
    own->channel = channel;
    own->hand_count = threads;
    own->wakes_ns = SQI_NEVER;
    pthread_condattr_t monotonic;
    int failed = pthread_condattr_init(&monotonic);
    failed |= pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    failed |= pthread_cond_init(&own->changed, &monotonic);
    failed |= pthread_condattr_destroy(&monotonic);
    failed |= pthread_mutex_init(&own->lock, NULL);
    assert(!failed); /* on Linux these fail on wrong arguments only */
    return own;
}

int sq_channel_consume(sq_channel *channel, const sq_consumer_options *options,
                       sq_consumer **ret_consumer)
{
    int result = sqi_channel_check(channel);
    if (result == SQ_OK && (!options || !options->handler))
        result = sqi_fail_with(SQ_EINVAL, "a consumer needs a handler");
    if (result == SQ_OK && options->threads > SQ_CONSUMER_THREADS_MAX)
        result = sqi_fail_with(SQ_EINVAL, "threads is %u, the most is %d", options->threads,
                               SQ_CONSUMER_THREADS_MAX);
    if (result < 0)
        return result;
    struct channel_consumer *own = make_own(channel, sqi_consumer_threads(options));
    if (!own)
        return sqi_fail(SQ_ENOMEM);
    result = start_keeper(own);
    if (result < 0) {
        free(own);
        return result;
    }
    atomic_fetch_add(&channel->users, 1);
    struct sqi_consumer_source source = {
        .object = own,
        .has_verdicts = true,
        .take = take,
        .finish = finish,
        .join = join,
        .wake = wake,
        .end = end,
    };
    result = sqi_consumer_create(&source, options, ret_consumer);
    if (result < 0)
        end(own, false);
    return result;
}
