/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "channel/channel.h"

_Static_assert(SQI_DEDUPE_BYTES == SQI_DEDUPE_ID_BYTES, "one and the same");

/* ── sealing ──────────────────────────────────────────────────────────────────────────────── */

static int take_sealer(sq_channel *channel, sq_sealer **ret_sealer)
{
    *ret_sealer = sqi_pool_take(&channel->sealers);
    return *ret_sealer ? SQ_OK
                       : sq_sealer_create(channel->store->keyring, channel->name, SQ_KIND_MESSAGE,
                                          ret_sealer);
}

static void give_sealer(sq_channel *channel, sq_sealer *sealer)
{
    if (sealer && !sqi_pool_give(&channel->sealers, sealer))
        sq_sealer_free(sealer);
}

/* The room that an envelope and its dedupe ids take; 0 when the content breaks a limit. */
static size_t put_bytes(const sq_channel *channel, const sq_content *content)
{
    size_t bytes = sq_sealed_bytes(content);
    if (bytes > 0 && content->dedupe_key)
        bytes += sqi_dedupe_id_count(channel->dedupe_keys) * SQI_DEDUPE_BYTES;
    return bytes;
}

static int check_content(const sq_content *content)
{
    if (!content)
        return sqi_fail_with(SQ_EINVAL, "content is NULL");
    if (content->not_before_ms > INT64_MAX / 2 || content->expires_ms > INT64_MAX / 2)
        return sqi_fail_with(SQ_EINVAL, "not_before_ms or expires_ms is beyond all time");
    return SQ_OK;
}

/* Seals into the front of the room, which put_bytes() found to be enough, and moves it on. */
static int seal_into(const sq_channel *channel, sq_sealer *sealer, const sq_content *content,
                     uint8_t **room, size_t *room_bytes, struct sqi_put *ret_put)
{
    ssize_t sealed = sq_seal(sealer, content, *room, *room_bytes);
    if (sealed < 0)
        return (int)sealed;
    *ret_put = (struct sqi_put){
        .envelope = *room,
        .envelope_bytes = (size_t)sealed,
        .priority = content->has_priority ? content->priority : SQ_PRIORITY_DEFAULT,
        .not_before_ms = (int64_t)content->not_before_ms,
        .expires_ms = (int64_t)content->expires_ms,
    };
    *room += sealed;
    *room_bytes -= (size_t)sealed;
    if (!content->dedupe_key)
        return SQ_OK;
    uint8_t(*ids)[SQI_DEDUPE_BYTES] = (void *)*room;
    ret_put->dedupe_ids = (const uint8_t(*)[SQI_DEDUPE_BYTES])ids;
    ret_put->dedupe_id_count = sqi_dedupe_id_count(channel->dedupe_keys);
    *room += ret_put->dedupe_id_count * SQI_DEDUPE_BYTES;
    *room_bytes -= ret_put->dedupe_id_count * SQI_DEDUPE_BYTES;
    return sqi_dedupe_ids(channel->dedupe_keys, content->dedupe_key, content->dedupe_key_bytes,
                          ids);
}

int sqi_seal_put(sq_channel *channel, const sq_content *content, struct sqi_put *ret_put)
{
    sq_sealer *sealer = NULL;
    int result = check_content(content);
    size_t bytes = result == SQ_OK ? put_bytes(channel, content) : 0;
    if (result == SQ_OK && bytes == 0)
        return SQ_EINVAL; /* sq_sealed_bytes() has said why */
    if (result == SQ_OK)
        result = take_sealer(channel, &sealer);
    uint8_t *room = result == SQ_OK ? malloc(bytes) : NULL, *left = room;
    if (result == SQ_OK)
        result = room ? seal_into(channel, sealer, content, &left, &bytes, ret_put)
                      : sqi_fail(SQ_ENOMEM);
    give_sealer(channel, sealer);
    if (result < 0)
        free(room);
    return result;
}

/* ── batches ──────────────────────────────────────────────────────────────────────────────── */

/* What goes into one commit, sealed: at most SQI_COMMIT_MESSAGES_MAX and _BYTES_MAX. */
struct batch {
    struct sqi_put *puts;
    uint8_t *room;
    size_t count;
};

static void free_batch(struct batch *batch)
{
    free(batch->puts);
    free(batch->room);
}

/* Seals the first of the contents, as many as one commit takes. */
static int seal_batch(sq_channel *channel, const sq_content *contents, size_t count,
                      struct batch *ret_batch)
{
    size_t bytes = 0, fits = 0;
    while (fits < count && fits < SQI_COMMIT_MESSAGES_MAX) {
        int result = check_content(&contents[fits]);
        size_t more = result == SQ_OK ? put_bytes(channel, &contents[fits]) : 0;
        if (more == 0 && fits == 0)
            return SQ_EINVAL;
        if (more == 0 || (fits > 0 && bytes + more > SQI_COMMIT_BYTES_MAX))
            break;
        bytes += more;
        fits++;
    }
    sq_sealer *sealer = NULL;
    int result = take_sealer(channel, &sealer);
    *ret_batch = (struct batch){
        .puts = calloc(fits, sizeof *ret_batch->puts), .room = malloc(bytes), .count = fits};
    if (result == SQ_OK && (!ret_batch->puts || !ret_batch->room))
        result = sqi_fail(SQ_ENOMEM);
    uint8_t *room = ret_batch->room;
    for (size_t i = 0; result == SQ_OK && i < fits; i++)
        result = seal_into(channel, sealer, &contents[i], &room, &bytes, &ret_batch->puts[i]);
    give_sealer(channel, sealer);
    if (result < 0)
        free_batch(ret_batch);
    return result;
}

static int explain(const sq_channel *channel, int code)
{
    switch (code) {
    case SQ_ESHUTDOWN:
        return sqi_fail_with(code, "channel %s is closed: it takes no more messages",
                             channel->name);
    case SQ_ENOSPACE:
        return sqi_fail_with(code, "the store's quota or its disk is full: let consumers finish, "
                                   "or free some space");
    case SQ_ENOENT:
        return sqi_fail_with(code, "channel %s was removed", channel->name);
    default:
        return sqi_fail(code);
    }
}

/* Puts a sealed batch, waiting for room: how many went in; *ret_error is what stopped it. */
static size_t put_batch(sq_channel *channel, struct batch *batch, int64_t deadline_ns,
                        int *ret_error)
{
    struct sqi_engine *engine = channel->store->engine;
    struct sqi_wait wait = {.channel = channel, .deadline_ns = deadline_ns};
    size_t done = 0;
    for (;;) {
        sqi_wait_begin(&wait);
        *ret_error = engine->ops->put(engine, channel->number, batch->puts + done,
                                      batch->count - done);
        if (*ret_error < 0)
            return done;
        while (done < batch->count && batch->puts[done].result >= 0)
            done++;
        if (done == batch->count)
            return done;
        *ret_error = batch->puts[done].result;
        if (*ret_error != SQ_EFULL) {
            explain(channel, *ret_error);
            return done;
        }
        struct sqi_due due;
        int result = engine->ops->stat(engine, channel->number, NULL, &due);
        if (result == SQ_OK)
            result = sqi_wait_sleep(&wait, &due);
        if (result < 0) {
            *ret_error = result == SQ_ETIMEDOUT ? sqi_fail(SQ_EFULL) : result;
            return done;
        }
    }
}

ssize_t sq_channel_put_many(sq_channel *channel, const sq_content *contents, size_t count,
                            int64_t timeout_ms, uint64_t *ret_ids)
{
    size_t done = 0;
    int result = sqi_channel_check(channel);
    if (result == SQ_OK)
        result = sqi_check_timeout(timeout_ms);
    if (result == SQ_OK && !contents && count > 0)
        result = sqi_fail_with(SQ_EINVAL, "contents is NULL");
    if (result < 0)
        return result;
    int64_t deadline_ns = sqi_deadline_after(timeout_ms);
    while (result == SQ_OK && done < count) {
        struct batch batch;
        result = seal_batch(channel, contents + done, count - done, &batch);
        if (result < 0)
            break;
        size_t put = put_batch(channel, &batch, deadline_ns, &result);
        for (size_t i = 0; ret_ids && i < put; i++)
            ret_ids[done + i] = batch.puts[i].id;
        done += put;
        free_batch(&batch);
    }
    return done > 0 || result >= 0 ? (ssize_t)done : result;
}

int sq_channel_put(sq_channel *channel, const sq_content *content, int64_t timeout_ms,
                   uint64_t *ret_id)
{
    struct sqi_put put;
    int result = sqi_channel_check(channel);
    if (result == SQ_OK)
        result = sqi_check_timeout(timeout_ms);
    if (result == SQ_OK)
        result = sqi_seal_put(channel, content, &put);
    if (result < 0)
        return result;
    struct batch batch = {.puts = &put, .count = 1};
    put_batch(channel, &batch, sqi_deadline_after(timeout_ms), &result);
    free((void *)put.envelope);
    if (result < 0)
        return result;
    if (ret_id)
        *ret_id = put.id;
    return put.result;
}
