/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lmdb/commit.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/futex.h"
#include "engine/lmdb/life.h"

/* An error of ours among LMDB's and errno's. */
#define DAMAGED (-1)

/* ── trees ────────────────────────────────────────────────────────────────────────────────── */

void sqi_transaction_fail(struct sqi_transaction *transaction, int error)
{
    if (!transaction->error)
        transaction->error = error;
}

void sqi_transaction_damaged(struct sqi_transaction *transaction)
{
    sqi_transaction_fail(transaction, DAMAGED);
}

/* Whether LMDB's answer is success; "not found" is none, and no error. */
static bool succeeded(struct sqi_transaction *transaction, int answer)
{
    if (answer != MDB_SUCCESS && answer != MDB_NOTFOUND)
        sqi_transaction_fail(transaction, answer);
    return answer == MDB_SUCCESS;
}

static MDB_val key_value(const struct sqi_tree_key *key)
{
    return (MDB_val){.mv_size = key->bytes, .mv_data = (void *)key->data};
}

bool sqi_tree_get(struct sqi_transaction *transaction, enum sqi_tree tree,
                  const struct sqi_tree_key *key, MDB_val *ret_value)
{
    MDB_val name = key_value(key);
    return !transaction->error &&
           succeeded(transaction, mdb_get(transaction->mdb, transaction->environment->trees[tree],
                                          &name, ret_value));
}

static void put(struct sqi_transaction *transaction, enum sqi_tree tree,
                const struct sqi_tree_key *key, const void *value, size_t value_bytes,
                unsigned flags)
{
    MDB_val name = key_value(key);
    MDB_val data = {.mv_size = value_bytes, .mv_data = (void *)value};
    if (transaction->error)
        return;
    transaction->is_changed = true;
    (void)succeeded(transaction, mdb_put(transaction->mdb, transaction->environment->trees[tree],
                                         &name, &data, flags));
}

void sqi_tree_put(struct sqi_transaction *transaction, enum sqi_tree tree,
                  const struct sqi_tree_key *key, const void *value, size_t value_bytes)
{
    put(transaction, tree, key, value, value_bytes, 0);
}

void sqi_tree_append(struct sqi_transaction *transaction, enum sqi_tree tree,
                     const struct sqi_tree_key *key, const void *value, size_t value_bytes)
{
    put(transaction, tree, key, value, value_bytes, MDB_APPEND);
}

bool sqi_tree_delete(struct sqi_transaction *transaction, enum sqi_tree tree,
                     const struct sqi_tree_key *key)
{
    MDB_val name = key_value(key);
    if (transaction->error)
        return false;
    transaction->is_changed = true;
    return succeeded(transaction,
                     mdb_del(transaction->mdb, transaction->environment->trees[tree], &name, NULL));
}

MDB_cursor *sqi_cursor_open(struct sqi_transaction *transaction, enum sqi_tree tree)
{
    MDB_cursor *cursor = NULL;
    if (!transaction->error)
        (void)succeeded(
            transaction,
            mdb_cursor_open(transaction->mdb, transaction->environment->trees[tree], &cursor));
    return cursor;
}

bool sqi_cursor_at_least(struct sqi_transaction *transaction, MDB_cursor *cursor,
                         const struct sqi_tree_key *key, MDB_val *ret_key, MDB_val *ret_value)
{
    *ret_key = key_value(key);
    return !transaction->error &&
           succeeded(transaction, mdb_cursor_get(cursor, ret_key, ret_value, MDB_SET_RANGE));
}

bool sqi_cursor_next(struct sqi_transaction *transaction, MDB_cursor *cursor, MDB_val *ret_key,
                     MDB_val *ret_value)
{
    return !transaction->error &&
           succeeded(transaction, mdb_cursor_get(cursor, ret_key, ret_value, MDB_NEXT));
}

/* ── channels ─────────────────────────────────────────────────────────────────────────────── */

struct sqi_cached_channel *sqi_channel_add(struct sqi_transaction *transaction, uint32_t channel,
                                           const struct sqi_channel_record *record)
{
    struct sqi_cached_channel *cached = malloc(sizeof *cached);
    if (!cached) {
        sqi_transaction_fail(transaction, ENOMEM);
        return NULL;
    }
    *cached = (struct sqi_cached_channel){
        .next = transaction->channels, .channel = channel, .record = *record};
    transaction->channels = cached;
    return cached;
}

struct sqi_cached_channel *sqi_channel_in(struct sqi_transaction *transaction, uint32_t channel)
{
    MDB_val value;
    struct sqi_channel_record record;
    for (struct sqi_cached_channel *cached = transaction->channels; cached; cached = cached->next)
        if (cached->channel == channel)
            return cached;
    struct sqi_tree_key key = sqi_key_channel(channel);
    if (!sqi_tree_get(transaction, SQI_CHANNELS, &key, &value))
        return NULL;
    if (!sqi_read_record(&value, &record, sizeof record)) {
        sqi_transaction_damaged(transaction);
        return NULL;
    }
    return sqi_channel_add(transaction, channel, &record);
}

/* ── a transaction ────────────────────────────────────────────────────────────────────────── */

static const struct sqi_tree_key store_key = {.bytes = 5, .data = "store"};

/*
 * LMDB's own mutex between processes is not fair: who has just committed takes it again before
 * who waits has awoken. So who wants it waits at the turnstile first: behind it there is one at
 * most, who takes LMDB's mutex next. Robust: the kernel hands it on when its holder is killed.
 */
static int begin_mdb(struct sqi_environment *environment, MDB_txn **ret_mdb)
{
    pthread_mutex_t *turnstile = &environment->page.page->turnstile;
    int result = pthread_mutex_lock(turnstile);
    if (result == EOWNERDEAD)
        result = pthread_mutex_consistent(turnstile); /* it guards no data */
    if (result != 0)
        return result;
    result = mdb_txn_begin(environment->mdb, NULL, 0, ret_mdb);
    if (result == MDB_MAP_RESIZED) { /* by a process on a machine with more address space */
        mdb_env_set_mapsize(environment->mdb, 0);
        result = mdb_txn_begin(environment->mdb, NULL, 0, ret_mdb);
    }
    pthread_mutex_unlock(turnstile);
    return result;
}

static void begin(struct sqi_environment *environment, struct sqi_transaction *transaction)
{
    MDB_val value;
    const struct sqi_clock *clock = environment->clock;
    *transaction = (struct sqi_transaction){.environment = environment};
    /* Acquire: pairs with the release in finish(). */
    if (atomic_load_explicit(&environment->page.page->poisoned, memory_order_acquire))
        transaction->error = MDB_PANIC;
    else
        transaction->error = begin_mdb(environment, &transaction->mdb);
    if (transaction->error)
        return;
    transaction->now_ns = clock->monotonic_ns(clock->context);
    transaction->now_ms = clock->wall_ms(clock->context);
    if (!sqi_tree_get(transaction, SQI_META, &store_key, &value) ||
        !sqi_read_record(&value, &transaction->store, sizeof transaction->store))
        sqi_transaction_damaged(transaction);
    else
        sqi_life_sweep(transaction);
}

static void free_channels(struct sqi_transaction *transaction)
{
    while (transaction->channels) {
        struct sqi_cached_channel *cached = transaction->channels;
        transaction->channels = cached->next;
        free(cached);
    }
}

static void write_records(struct sqi_transaction *transaction)
{
    for (struct sqi_cached_channel *cached = transaction->channels; cached; cached = cached->next)
        if (cached->is_changed) {
            struct sqi_tree_key key = sqi_key_channel(cached->channel);
            sqi_tree_put(transaction, SQI_CHANNELS, &key, &cached->record, sizeof cached->record);
        }
    sqi_tree_put(transaction, SQI_META, &store_key, &transaction->store, sizeof transaction->store);
}

static bool is_for_lack(int error)
{
    return error == ENOSPC || error == EDQUOT || error == MDB_MAP_FULL || error == ENOMEM ||
           error == MDB_TXN_FULL || error == MDB_CURSOR_FULL;
}

/* Commits or aborts; the error is the outcome. */
static void finish(struct sqi_transaction *transaction)
{
    struct sqi_environment *environment = transaction->environment;
    bool is_commit = !transaction->error && transaction->is_changed;
    if (is_commit) {
        write_records(transaction);
        is_commit = !transaction->error;
    }
    if (is_commit) {
        transaction->error = mdb_txn_commit(transaction->mdb);
        /* What is on the disk now nobody knows. */
        if (transaction->error && !is_for_lack(transaction->error)) {
            atomic_store_explicit(&environment->page.page->poisoned, 1, memory_order_release);
            transaction->wakes = ~UINT64_C(0); /* who sleeps is told */
        }
    } else if (transaction->mdb) {
        mdb_txn_abort(transaction->mdb);
    }
    free_channels(transaction);
    /* After a failure, too: it may have lowered a promise, which then was kept by nobody. */
    if (transaction->wakes)
        sqi_page_wake(&environment->page, transaction->wakes);
}

static int code_of(const struct sqi_environment *environment, int error)
{
    switch (error) {
    case 0:
        return SQ_OK;
    case ENOMEM:
        return sqi_fail(SQ_ENOMEM);
    case ENOSPC:
    case EDQUOT:
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return sqi_fail_with(SQ_ENOSPACE, "%s: no space left: free some, nothing was changed",
                             environment->path);
    case DAMAGED:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_BAD_TXN:
    case MDB_BAD_VALSIZE:
    case MDB_KEYEXIST:
        return sqi_fail_with(SQ_ESTORE, "%s: the store is damaged: restore a backup",
                             environment->path);
    case MDB_PANIC:
    case EIO:
        return sqi_fail_with(SQ_EPOISONED,
                             "%s: the disk failed to write: end all processes that have the store "
                             "open, see to the disk, and start them again",
                             environment->path);
    default:
        return sqi_fail_with(SQ_EIO, "%s: %s", environment->path, mdb_strerror(error));
    }
}

/* ── leading and following ────────────────────────────────────────────────────────────────── */

enum { WAITING = 0, LEADS = 1, FINISHED = 2 };

static void lock(struct sqi_environment *environment)
{
    int failed = pthread_mutex_lock(&environment->lock);
    assert(!failed);
}

static void unlock(struct sqi_environment *environment)
{
    int failed = pthread_mutex_unlock(&environment->lock);
    assert(!failed);
}

/* Runs these requests in one transaction; false when it failed and nothing has happened. */
static bool run_merged(struct sqi_environment *environment, struct sqi_request *requests)
{
    struct sqi_transaction transaction;
    begin(environment, &transaction);
    for (struct sqi_request *request = requests; request && !transaction.error;
         request = request->next) {
        request->has_failed = false;
        request->result = request->apply(&transaction, request->arguments);
        if (request->result < 0)
            strncpy(request->detail, sq_last_error_detail(), sizeof request->detail - 1);
    }
    finish(&transaction);
    if (!transaction.error)
        return true;
    for (struct sqi_request *request = requests; request; request = request->next) {
        request->has_failed = true;
        request->result = code_of(environment, transaction.error);
        strncpy(request->detail, sq_last_error_detail(), sizeof request->detail - 1);
    }
    return false;
}

static void run(struct sqi_environment *environment, struct sqi_request *requests)
{
    if (run_merged(environment, requests) || !requests->next)
        return;
    while (requests) {
        struct sqi_request *next = requests->next;
        requests->next = NULL;
        (void)run_merged(environment, requests);
        requests->next = next;
        requests = next;
    }
}

/* Takes from the queue what fits into one commit; with the lock held. */
static struct sqi_request *take(struct sqi_environment *environment)
{
    struct sqi_request *first = environment->queue, *last = first;
    size_t messages = first->messages, bytes = first->bytes;
    while (last->next && messages + last->next->messages <= SQI_COMMIT_MESSAGES_MAX &&
           bytes + last->next->bytes <= SQI_COMMIT_BYTES_MAX) {
        last = last->next;
        messages += last->messages;
        bytes += last->bytes;
    }
    environment->queue = last->next;
    if (!environment->queue)
        environment->queue_end = &environment->queue;
    last->next = NULL;
    return first;
}

/* Tells a follower. Once the state is stored the request, on its owner's stack, may be gone; a
   futex_wake on an address that means something else by then is harmless. */
static void tell(struct sqi_request *request, uint32_t state)
{
    const uint32_t *word = (const uint32_t *)&request->state;
    /* Release: the results. Pairs with the acquire in sqi_commit(). */
    atomic_store_explicit(&request->state, state, memory_order_release);
    sqi_futex_wake(word, 1);
}

static void lead(struct sqi_environment *environment, const struct sqi_request *own)
{
    lock(environment);
    struct sqi_request *requests = take(environment);
    unlock(environment);

    run(environment, requests);

    lock(environment);
    struct sqi_request *heir = environment->queue;
    environment->is_led = heir != NULL;
    unlock(environment);
    if (heir) /* before the others are told: its commit begins while they wake */
        tell(heir, LEADS);
    while (requests) {
        struct sqi_request *next = requests->next;
        if (requests != own)
            tell(requests, FINISHED);
        requests = next;
    }
}

int sqi_commit(struct sqi_environment *environment, struct sqi_request *request)
{
    request->next = NULL;
    request->detail[sizeof request->detail - 1] = '\0';
    atomic_init(&request->state, WAITING);
    lock(environment);
    bool is_leader = !environment->is_led;
    environment->is_led = true;
    *environment->queue_end = request;
    environment->queue_end = &request->next;
    unlock(environment);

    while (!is_leader) {
        uint32_t state = atomic_load_explicit(&request->state, memory_order_acquire);
        if (state == FINISHED)
            break;
        is_leader = state == LEADS;
        if (!is_leader)
            sqi_futex_wait((const uint32_t *)&request->state, WAITING, SQI_NEVER);
    }
    if (is_leader)
        lead(environment, request);
    return request->result < 0 ? sqi_fail_with(request->result, "%s", request->detail)
                               : request->result;
}
