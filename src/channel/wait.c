/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting on a channel, for gets, puts and joins alike:
 *
 *     begin ──► look ──► found? ── yes ──► done
 *       ▲                  │ no
 *       └────── sleep ◄────┘      until a change after the begin, a timer, or the deadline
 *
 * begin reads the channel's word before the look; who changes the channel changes the word after
 * its commit. So a change that the look missed is one that the sleep refuses to sleep over.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "channel/channel.h"

void sqi_wait_begin(struct sqi_wait *wait)
{
    struct sqi_engine *engine = wait->channel->store->engine;
    wait->seen = engine->ops->watch(engine, wait->channel->number);
}

int sqi_wait_sleep(struct sqi_wait *wait, const struct sqi_due *due)
{
    struct sqi_engine *engine = wait->channel->store->engine;
    /* Set before the word is changed, read after it: one of both is seen. */
    if (wait->cancelled && atomic_load(wait->cancelled))
        return sqi_fail(SQ_ETIMEDOUT);
    if (atomic_load(&wait->channel->is_interrupted))
        return sqi_fail(SQ_EINTERRUPTED);
    if (wait->deadline_ns != SQI_NEVER && sqi_now_ns() >= wait->deadline_ns)
        return sqi_fail(SQ_ETIMEDOUT);
    return engine->ops->wait(engine, wait->channel->number, wait->seen, due, wait->deadline_ns);
}

void sq_channel_interrupt(sq_channel *channel)
{
    if (sqi_channel_check(channel) < 0)
        return;
    atomic_store(&channel->is_interrupted, true);
    channel->store->engine->ops->wake(channel->store->engine, channel->number);
}

int sqi_channel_join_until(sq_channel *channel, int64_t deadline_ns, const atomic_bool *cancelled,
                           uint64_t *ret_deaths)
{
    struct sqi_engine *engine = channel->store->engine;
    struct sqi_wait wait = {.channel = channel, .deadline_ns = deadline_ns, .cancelled = cancelled};
    struct sqi_channel_stat stat;
    struct sqi_due due;
    uint64_t deaths_before = 0;
    for (bool is_first = true;; is_first = false) {
        sqi_wait_begin(&wait);
        int result = engine->ops->stat(engine, channel->number, &stat, &due);
        if (result < 0)
            return result;
        if (is_first)
            deaths_before = stat.deaths;
        if (ret_deaths)
            *ret_deaths = stat.deaths - deaths_before;
        if (stat.delayed + stat.ready + stat.leased == 0)
            return SQ_OK;
        result = sqi_wait_sleep(&wait, &due);
        if (result < 0)
            return result;
    }
}

int sq_channel_join(sq_channel *channel, int64_t timeout_ms, uint64_t *ret_deaths)
{
    uint64_t deaths = 0;
    int result = sqi_channel_check(channel);
    if (result == SQ_OK)
        result = sqi_check_timeout(timeout_ms);
    if (result == SQ_OK)
        result = sqi_channel_join_until(channel, sqi_deadline_after(timeout_ms), NULL, &deaths);
    if (ret_deaths && (result == SQ_OK || result == SQ_ETIMEDOUT))
        *ret_deaths = deaths;
    return result;
}
