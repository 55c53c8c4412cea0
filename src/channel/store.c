/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"
#include "base/fork.h"
#include "channel/channel.h"
#include "channel/warning.h"
#include "seal/keyring.h"

int sqi_store_check(const sq_store *store)
{
    if (!store)
        return sqi_fail_with(SQ_EINVAL, "store is NULL");
    if (store->fork_generation != sqi_fork_generation())
        return sqi_fail_with(SQ_EFORK, "this store was opened before a fork: open it anew");
    return SQ_OK;
}

static int open_engine(sq_store *store, const char *url)
{
    const struct sqi_engine_ops *ops;
    const char *location;
    struct sqi_engine_options options = {
        .quota_bytes = store->options.quota_bytes,
        .must_exist = store->options.must_exist,
    };
    int result = sqi_engine_for(url, &ops, &location);
    return result < 0 ? result : ops->open(location, &options, &store->engine);
}

int sq_store_open(const char *url, const sq_keyring *keyring, const sq_store_options *options,
                  sq_store **ret_store)
{
    static const sq_store_options defaults;
    options = options ? options : &defaults;
    if (!keyring)
        return sqi_fail_with(SQ_EINVAL, "keyring is NULL: pass a keyring, or sq_plaintext() for "
                                        "messages that are not sealed");
    if (!ret_store)
        return sqi_fail_with(SQ_EINVAL, "ret_store is NULL");
    int result = sqi_check_reserved(options->reserved, sizeof options->reserved,
                                    "sq_store_options");
    if (result < 0)
        return result;
    sq_store *store = calloc(1, sizeof *store);
    if (!store)
        return sqi_fail(SQ_ENOMEM);
    store->options = *options;
    store->fork_generation = sqi_fork_generation();
    result = open_engine(store, url);
    if (result < 0) {
        free(store);
        return result;
    }
    store->keyring = sqi_keyring_share(keyring);
    sqi_pool_init(&store->openers);
    int failed = pthread_mutex_init(&store->warned_lock, NULL);
    assert(!failed);
    *ret_store = store;
    return SQ_OK;
}

static void free_opener(void *opener)
{
    sq_opener_free(opener);
}

sq_store *sq_store_close(sq_store *store)
{
    if (!store)
        return NULL;
    bool is_child = store->fork_generation != sqi_fork_generation();
    assert(is_child || atomic_load(&store->users) == 0); /* a channel was not freed */
    store->engine->ops->close(store->engine);
    if (!is_child) { /* there a lock may be held, and keys be in use, by threads that are no more */
        sqi_pool_end(&store->openers, free_opener);
        pthread_mutex_destroy(&store->warned_lock);
    }
    sq_keyring_free(store->keyring);
    free(store);
    return NULL;
}

int sq_store_each_channel(sq_store *store, sq_channel_visitor visit, void *context)
{
    int result = sqi_store_check(store);
    if (result == SQ_OK && !visit)
        result = sqi_fail_with(SQ_EINVAL, "visit is NULL");
    return result < 0 ? result : store->engine->ops->each_channel(store->engine, visit, context);
}

/* ── warnings ─────────────────────────────────────────────────────────────────────────────── */

/* Whether this key id is new among those warned of. Beyond the maximum nobody is told any more. */
static bool is_first_warning(sq_store *store, const char *key_id)
{
    bool is_first = true;
    pthread_mutex_lock(&store->warned_lock);
    for (unsigned i = 0; i < store->warned_count; i++)
        is_first = is_first && strcmp(store->warned[i], key_id) != 0;
    is_first = is_first && store->warned_count < SQI_WARNED_MAX;
    if (is_first)
        memcpy(store->warned[store->warned_count++], key_id, SQ_KEY_ID_BYTES);
    pthread_mutex_unlock(&store->warned_lock);
    return is_first;
}

void sqi_warn_of_key(sq_channel *channel, int code, const uint8_t id[SQI_KEY_ID_BYTES])
{
    char key_id[SQ_KEY_ID_BYTES], sentence[256];
    sq_store *store = channel->store;
    sqi_key_id_text(id, key_id);
    if (!store->options.on_warning || !is_first_warning(store, key_id))
        return;
    bool is_sealed = store->keyring != sq_plaintext();
    snprintf(sentence, sizeof sentence,
             is_sealed ? "channel %s has messages under key %s, which the keyring %s: they go back "
                         "for %d s each time: %s"
                       : "channel %s has messages sealed under key %s, and there is no keyring%s: "
                         "they go back for %d s each time: %s",
             channel->name, key_id,
             !is_sealed          ? ""
             : code == SQ_ENOKEY ? "lacks"
                                 : "has retired",
             SQI_HANDED_BACK_MS / 1000,
             code == SQ_ENOKEY ? "import the key, and start again"
                               : "let a consumer that still accepts it have them");
    sq_warning warning = {
        .code = code, .channel = channel->name, .key_id = key_id, .sentence = sentence};
    store->options.on_warning(&warning, store->options.context);
}
