/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels: opened, with their canaries and policy.
 *
 * A canary is an envelope that tells a wrong keyring when a channel is opened, not when its first
 * message is. A channel has one for each key that was primary when somebody opened it, the newest
 * first: so a keyring is right when it opens one of them, and a rotation locks nobody out.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/fork.h"
#include "channel/channel.h"
#include "seal/format.h"
#include "seal/keyring.h"

#define CANARY_BYTES SQ_ENVELOPE_OVERHEAD_BYTES /* an empty body */
#define CANARIES_MAX (SQI_CANARY_BYTES_MAX / CANARY_BYTES)

int sqi_channel_check(const sq_channel *channel)
{
    if (!channel)
        return sqi_fail_with(SQ_EINVAL, "channel is NULL");
    return sqi_store_check(channel->store);
}

/* ── policy ───────────────────────────────────────────────────────────────────────────────── */

static int64_t or_default(int64_t value, int64_t by_default)
{
    return value ? value : by_default;
}

static int read_policy(const sq_channel_policy *given, struct sqi_policy *ret_policy)
{
    static const sq_channel_policy defaults;
    const sq_channel_policy *policy = given ? given : &defaults;
    if (policy->lease_ms < 0 || policy->backoff_ms < 0 || policy->backoff_max_ms < 0 ||
        policy->dedupe_window_ms < 0)
        return sqi_fail_with(SQ_EINVAL, "a time of the channel's policy is negative");
    *ret_policy = (struct sqi_policy){
        .capacity = policy->capacity,
        .lease_ms = or_default(policy->lease_ms, 30000),
        .attempts_max = policy->attempts ? policy->attempts : 10,
        .backoff_ms = or_default(policy->backoff_ms, 1000),
        .backoff_max_ms = or_default(policy->backoff_max_ms, 300000),
        .dedupe_window_ms = or_default(policy->dedupe_window_ms, 300000),
        .dead_kept_ms = SQI_DEAD_KEPT_MS,
    };
    if (ret_policy->lease_ms > INT64_C(86400000) * 365)
        return sqi_fail_with(SQ_EINVAL, "lease_ms is %" PRId64 ": the most is a year",
                             ret_policy->lease_ms);
    return sqi_check_reserved(policy->reserved, sizeof policy->reserved, "sq_channel_policy");
}

/* ── canaries ─────────────────────────────────────────────────────────────────────────────── */

static int seal_canary(const sq_store *store, const char *name, uint8_t ret_canary[CANARY_BYTES])
{
    sq_sealer *sealer = NULL;
    const sq_content content = {0};
    int result = sq_sealer_create(store->keyring, name, SQ_KIND_CANARY, &sealer);
    if (result < 0)
        return result;
    ssize_t bytes = sq_seal(sealer, &content, ret_canary, CANARY_BYTES);
    sq_sealer_free(sealer);
    assert(bytes < 0 || bytes == CANARY_BYTES);
    return bytes < 0 ? (int)bytes : SQ_OK;
}

/* Tries each canary: SQ_OK when the keyring is right, and whether one is under our primary key. */
static int try_canaries(sq_store *store, const char *name, const struct sqi_channel_info *info,
                        const uint8_t *own, bool *ret_has_own)
{
    sq_opener *opener = NULL;
    int result = sq_opener_create(store->keyring, &opener), found = SQ_ENOKEY;
    if (result < 0)
        return result;
    *ret_has_own = false;
    for (size_t at = 0; at + CANARY_BYTES <= info->canary_bytes; at += CANARY_BYTES) {
        const uint8_t *canary = info->canary + at;
        uint8_t plain[CANARY_BYTES];
        sq_opened opened;
        result = sq_open(opener, name, SQ_KIND_CANARY, canary, CANARY_BYTES, plain, sizeof plain,
                         &opened);
        if (result == SQ_OK && memcmp(canary + 8, own + 8, SQI_KEY_ID_BYTES) == 0)
            *ret_has_own = true;
        /* A key that was retired here was known here: the keyring is right. */
        if (result == SQ_OK || result == SQ_ERETIRED)
            found = SQ_OK;
        else if (found != SQ_OK && result != SQ_ENOKEY)
            found = result;
    }
    sq_opener_free(opener);
    return found;
}

static int fail_canary(const sq_store *store, const char *name, int code,
                       const struct sqi_channel_info *info)
{
    char key_id[SQ_KEY_ID_BYTES] = "?";
    if (info->canary_bytes >= CANARY_BYTES)
        sqi_key_id_text(info->canary + 8, key_id);
    if (code == SQ_EFORMAT && store->keyring != sq_plaintext())
        return sqi_fail_with(SQ_ENOKEY,
                             "channel %s is not sealed: open the store as plaintext, or "
                             "use another channel",
                             name);
    if (code == SQ_ENOKEY && store->keyring == sq_plaintext())
        return sqi_fail_with(SQ_ENOKEY,
                             "channel %s is sealed under key %s: open the store with its "
                             "keyring",
                             name, key_id);
    if (code == SQ_ENOKEY)
        return sqi_fail_with(SQ_ENOKEY,
                             "channel %s is sealed under key %s, which is not in this "
                             "keyring: import the key, or name the right keyring",
                             name, key_id);
    return sqi_fail_with(code, "channel %s: its canary was altered: the store cannot be trusted",
                         name);
}

/* The canaries of an existing channel, ours added where it is missing. */
static int check_canaries(sq_store *store, const char *name, const struct sqi_channel_info *info,
                          const uint8_t *own)
{
    bool has_own;
    uint8_t canaries[SQI_CANARY_BYTES_MAX];
    int result = try_canaries(store, name, info, own, &has_own);
    if (result < 0)
        return fail_canary(store, name, result, info);
    if (has_own)
        return SQ_OK;
    size_t kept = info->canary_bytes / CANARY_BYTES;
    kept = kept < CANARIES_MAX ? kept : CANARIES_MAX - 1; /* the oldest one goes */
    memcpy(canaries, own, CANARY_BYTES);
    memcpy(canaries + CANARY_BYTES, info->canary, kept * CANARY_BYTES);
    return store->engine->ops->set_canary(store->engine, info->channel, canaries,
                                          (1 + kept) * CANARY_BYTES);
}

/* ── opening and freeing ──────────────────────────────────────────────────────────────────── */

static int make_handle(sq_store *store, const char *name, const struct sqi_channel_info *info,
                       sq_channel **ret_channel)
{
    sq_channel *channel = calloc(1, sizeof *channel);
    if (!channel)
        return sqi_fail(SQ_ENOMEM);
    channel->store = store;
    channel->number = info->channel;
    channel->policy = info->policy;
    strcpy(channel->name, name); /* checked */
    int result = sqi_dedupe_keys_new(store->keyring, name, &channel->dedupe_keys);
    if (result < 0) {
        free(channel);
        return result;
    }
    sqi_pool_init(&channel->sealers);
    sqi_pool_init(&channel->reason_sealers);
    atomic_fetch_add(&store->users, 1);
    *ret_channel = channel;
    return SQ_OK;
}

static int open_channel(sq_store *store, const char *name, const struct sqi_policy *policy,
                        sq_channel **ret_channel)
{
    struct sqi_channel_info info;
    uint8_t own[CANARY_BYTES];
    int result = sqi_store_check(store);
    if (result == SQ_OK && !ret_channel)
        result = sqi_fail_with(SQ_EINVAL, "ret_channel is NULL");
    if (result == SQ_OK && !sqi_is_channel_name(name))
        result = sqi_fail_with(SQ_EINVAL, SQI_CHANNEL_NAME_ADVICE);
    if (result == SQ_OK)
        result = seal_canary(store, name, own);
    if (result == SQ_OK)
        result = store->engine->ops->open_channel(store->engine, name, policy, own, sizeof own,
                                                  &info);
    if (result == SQ_OK) /* it was there before */
        result = check_canaries(store, name, &info, own);
    return result < 0 ? result : make_handle(store, name, &info, ret_channel);
}

int sq_channel_open(sq_store *store, const char *name, const sq_channel_policy *policy,
                    sq_channel **ret_channel)
{
    struct sqi_policy checked;
    int result = read_policy(policy, &checked);
    return result < 0 ? result : open_channel(store, name, &checked, ret_channel);
}

int sq_channel_find(sq_store *store, const char *name, sq_channel **ret_channel)
{
    return open_channel(store, name, NULL, ret_channel);
}

static void free_sealer(void *sealer)
{
    sq_sealer_free(sealer);
}

sq_channel *sq_channel_free(sq_channel *channel)
{
    if (!channel)
        return NULL;
    if (channel->store->fork_generation == sqi_fork_generation()) {
        assert(atomic_load(&channel->users) == 0); /* a message or consumer was not freed */
        sqi_pool_end(&channel->sealers, free_sealer);
        sqi_pool_end(&channel->reason_sealers, free_sealer);
        sqi_dedupe_keys_free(channel->dedupe_keys);
        atomic_fetch_sub(&channel->store->users, 1);
    }
    free(channel);
    return NULL;
}

const char *sq_channel_name(const sq_channel *channel)
{
    return channel ? channel->name : "";
}

/* ── control, stat ────────────────────────────────────────────────────────────────────────── */

static int control(sq_channel *channel, enum sqi_control what)
{
    int result = sqi_channel_check(channel);
    return result < 0 ? result
                      : channel->store->engine->ops->control(channel->store->engine,
                                                             channel->number, what);
}

int sq_channel_close(sq_channel *channel)
{
    return control(channel, SQI_CLOSE);
}

int sq_channel_pause(sq_channel *channel)
{
    return control(channel, SQI_PAUSE);
}

int sq_channel_resume(sq_channel *channel)
{
    return control(channel, SQI_RESUME);
}

int sq_channel_stat(sq_channel *channel, sq_channel_stats *ret_stats)
{
    struct sqi_channel_stat stat;
    int result = sqi_channel_check(channel);
    if (result == SQ_OK && !ret_stats)
        result = sqi_fail_with(SQ_EINVAL, "ret_stats is NULL");
    if (result == SQ_OK)
        result = channel->store->engine->ops->stat(channel->store->engine, channel->number, &stat,
                                                   NULL);
    if (result < 0)
        return result;
    *ret_stats = (sq_channel_stats){
        .delayed = stat.delayed,
        .ready = stat.ready,
        .leased = stat.leased,
        .dead = stat.dead,
        .unfinished = stat.delayed + stat.ready + stat.leased,
        .bytes = stat.bytes,
        .puts = stat.puts,
        .duplicates = stat.duplicates,
        .attempts = stat.leases,
        .dones = stat.dones,
        .retries = stat.retries,
        .deaths = stat.deaths,
        .lost_leases = stat.lost_leases,
        .is_closed = stat.is_closed,
        .is_paused = stat.is_paused,
        .policy = {.capacity = channel->policy.capacity,
                   .lease_ms = channel->policy.lease_ms,
                   .attempts = channel->policy.attempts_max,
                   .backoff_ms = channel->policy.backoff_ms,
                   .backoff_max_ms = channel->policy.backoff_max_ms,
                   .dedupe_window_ms = channel->policy.dedupe_window_ms},
    };
    return SQ_OK;
}
