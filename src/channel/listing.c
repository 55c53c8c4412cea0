/* SPDX-License-Identifier: Apache-2.0 */
#include "sealq/listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "channel/channel.h"

#define LISTED_AT_ONCE 1000

/* The states and deaths of both sides are the same. */
_Static_assert((int)SQ_DELAYED == (int)SQI_DELAYED && (int)SQ_DEAD == (int)SQI_DEAD, "states");
_Static_assert((int)SQ_DEATH_BURIED == (int)SQI_DEATH_BURIED &&
                   (int)SQ_DEATH_REFUSED == (int)SQI_DEATH_REFUSED,
               "deaths");

struct listing {
    sq_channel *channel;
    sq_opener *opener;
    int (*visit)(const sq_listed *listed, void *context);
    void *context;
    uint64_t last_id;
    int result;
};

const char *sq_death_text(sq_death death)
{
    switch (death) {
    case SQ_DEATH_BURIED:
        return "buried";
    case SQ_DEATH_ATTEMPTS:
        return "attempts used up";
    case SQ_DEATH_EXPIRED:
        return "expired";
    case SQ_DEATH_REFUSED:
        return "refused: forged, altered or malformed";
    }
    return "";
}

/* Opens what is sealed into malloc'd memory, a NUL behind it: NULL, and why, when it cannot. */
static uint8_t *open_sealed(struct listing *listing, sq_kind kind, const uint8_t *envelope,
                            size_t bytes, sq_opened *ret_opened, int *ret_error)
{
    uint8_t *plain = malloc(bytes + 1);
    *ret_error = plain ? sq_open(listing->opener, listing->channel->name, kind, envelope, bytes,
                                 plain, bytes, ret_opened)
                       : sqi_fail(SQ_ENOMEM);
    if (*ret_error == SQ_OK)
        return plain;
    free(plain);
    return NULL;
}

static int visit_one(const struct sqi_listed *inner, void *context)
{
    struct listing *listing = context;
    sq_opened body = {0}, reason = {0};
    int open_error, reason_error;
    uint8_t *plain = open_sealed(listing, SQ_KIND_MESSAGE, inner->envelope, inner->envelope_bytes,
                                 &body, &open_error);
    uint8_t *text = inner->reason ? open_sealed(listing, SQ_KIND_REASON, inner->reason,
                                                inner->reason_bytes, &reason, &reason_error)
                                  : NULL;
    if (text)
        ((char *)reason.body)[reason.body_bytes] = '\0';
    int64_t left_ns = inner->deadline_ns - sqi_now_ns();
    sq_listed listed = {
        .id = inner->id,
        .state = (sq_message_state)inner->state,
        .attempts = inner->attempts,
        .priority = inner->priority,
        .death = (sq_death)inner->death,
        .reason = text ? reason.body : "",
        .due_ms = inner->due_ms,
        .died_ms = inner->died_ms,
        .lease_ms = inner->state == SQI_LEASED && left_ns > 0 ? left_ns / SQI_NS_PER_MS : 0,
        .stored_bytes = inner->envelope_bytes,
        .open_error = open_error,
        .body = plain ? body.body : NULL,
        .body_bytes = plain ? body.body_bytes : 0,
    };
    listing->last_id = inner->id;
    listing->result = listing->visit(&listed, listing->context);
    free(plain);
    free(text);
    return listing->result;
}

int sq_channel_each_message(sq_channel *channel, sq_message_visitor visit, void *context)
{
    int result = sqi_channel_check(channel);
    if (result == SQ_OK && !visit)
        result = sqi_fail_with(SQ_EINVAL, "visit is NULL");
    if (result < 0)
        return result;
    struct sqi_engine *engine = channel->store->engine;
    struct listing listing = {.channel = channel, .visit = visit, .context = context};
    result = sq_opener_create(channel->store->keyring, &listing.opener);
    if (result < 0)
        return result;
    do
        result = engine->ops->list(engine, channel->number, listing.last_id, LISTED_AT_ONCE,
                                   visit_one, &listing);
    while (result > 0 && listing.result == 0);
    sq_opener_free(listing.opener);
    return result < 0 ? result : listing.result;
}
