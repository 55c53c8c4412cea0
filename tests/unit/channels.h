/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of channels share: a store in memory or in a temporary folder, and short cuts. */
#ifndef SQT_CHANNELS_H
#define SQT_CHANNELS_H

#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sealing.h"

struct place {
    const char *name; /* "mem" or "disk" */
    char url[64];
    sq_keyring *keyring;
    sq_store *store;
    sq_channel *channel; /* "jobs" */
};

static inline int remove_one(const char *path, const struct stat *status, int flag,
                             struct FTW *where)
{
    (void)status, (void)flag, (void)where;
    return remove(path);
}

static inline sq_channel *open_named(sq_store *store, const char *name,
                                     const sq_channel_policy *policy)
{
    sq_channel *channel = NULL;
    assert_int_equal(sq_channel_open(store, name, policy, &channel), SQ_OK);
    return channel;
}

static inline sq_store *open_store(const struct place *place, const sq_keyring *keyring)
{
    sq_store *store = NULL;
    assert_int_equal(sq_store_open(place->url, keyring, NULL, &store), SQ_OK);
    return store;
}

static inline void open_place(struct place *place, const char *name)
{
    *place = (struct place){.name = name, .url = "mem:"};
    if (strcmp(name, "disk") == 0) {
        strcpy(place->url, "/tmp/sealq-test-XXXXXX");
        assert_non_null(mkdtemp(place->url));
    }
    place->keyring = make_keyring();
    place->store = open_store(place, place->keyring);
    place->channel = open_named(place->store, "jobs", NULL);
}

static inline void close_place(struct place *place)
{
    place->channel = sq_channel_free(place->channel);
    place->store = sq_store_close(place->store);
    place->keyring = sq_keyring_free(place->keyring);
    if (strcmp(place->name, "disk") == 0)
        nftw(place->url, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline sq_content text(const char *body)
{
    return (sq_content){.body = body, .body_bytes = strlen(body)};
}

static inline void put_text(sq_channel *channel, const char *body)
{
    sq_content content = text(body);
    assert_int_equal(sq_channel_put(channel, &content, SQ_NOWAIT, NULL), 0);
}

static inline sq_message *get_one(sq_channel *channel)
{
    sq_message *message = NULL;
    assert_int_equal(sq_channel_get(channel, SQ_NOWAIT, &message), SQ_OK);
    return message;
}

static inline void assert_body(const sq_message *message, const char *body)
{
    assert_int_equal(message->body_bytes, strlen(body));
    assert_memory_equal(message->body, body, strlen(body));
}

static inline sq_channel_stats channel_stats(sq_channel *channel)
{
    sq_channel_stats stats;
    assert_int_equal(sq_channel_stat(channel, &stats), SQ_OK);
    return stats;
}

static inline void assert_empty(sq_channel *channel)
{
    sq_message *message = NULL;
    assert_int_equal(sq_channel_get(channel, SQ_NOWAIT, &message), SQ_EEMPTY);
    assert_null(message);
}

#endif
