/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions: what concurrent callers of this process ask for goes into one commit.
 *
 *     caller ──► queue ──► first to come leads: takes what waits, runs all in one transaction,
 *                          commits, tells the others, hands the lead on ──► next leader …
 *
 * While a leader's commit is being synced, more requests gather: the next commit takes them all.
 * No thread of its own, no delay for who comes alone.
 *
 * When anything fails in a merged transaction, the leader aborts it and runs each request alone,
 * so that one caller's error is never another's. Hence a request may run twice, and must begin by
 * forgetting what it answered before. A request that fails by itself (full, closed, no lease) has
 * written nothing: it checks first, then writes.
 */
#ifndef SQI_ENGINE_LMDB_COMMIT_H
#define SQI_ENGINE_LMDB_COMMIT_H

#include "engine/lmdb/environment.h"

/* A channel's record, read once a transaction and written at its end when it has changed. */
struct sqi_cached_channel {
    struct sqi_cached_channel *next;
    uint32_t channel;
    bool is_changed;
    struct sqi_channel_record record;
};

struct sqi_transaction {
    struct sqi_environment *environment;
    MDB_txn *mdb;
    int error; /* of LMDB or errno, the first; 0. Nothing is done any more once it is set */
    bool is_changed;
    int64_t now_ns, now_ms;
    struct sqi_store_record store;
    struct sqi_cached_channel *channels;
    uint64_t wakes; /* a bit a futex word */
};

struct sqi_request {
    int (*apply)(struct sqi_transaction *transaction, void *arguments);
    void *arguments;
    size_t messages, bytes; /* how much of a commit it takes */

    /* the queue's */
    struct sqi_request *next;
    _Atomic uint32_t state;
    int result;
    bool has_failed;  /* the transaction did, not the request by itself */
    char detail[256]; /* the sentence of a failure, from the leader's thread */
};

/* Runs it in a transaction, synced when it returns: what apply answered, or why the transaction
   failed. */
int sqi_commit(struct sqi_environment *environment, struct sqi_request *request);

/* ── what requests do in a transaction ───────────────────────────────────────────────────────
   All do nothing, and answer false, once the transaction has an error. */

/* Whether it is there. The value lies in LMDB's pages: valid until the next change. */
bool sqi_tree_get(struct sqi_transaction *transaction, enum sqi_tree tree,
                  const struct sqi_tree_key *key, MDB_val *ret_value);
void sqi_tree_put(struct sqi_transaction *transaction, enum sqi_tree tree,
                  const struct sqi_tree_key *key, const void *value, size_t value_bytes);
/* As sqi_tree_put(), for a key that is the greatest of its tree: fills pages, and does not search.
 */
void sqi_tree_append(struct sqi_transaction *transaction, enum sqi_tree tree,
                     const struct sqi_tree_key *key, const void *value, size_t value_bytes);
/* Whether it was there. */
bool sqi_tree_delete(struct sqi_transaction *transaction, enum sqi_tree tree,
                     const struct sqi_tree_key *key);

/* Going through a tree: NULL on an error. at_least moves to the first key that is not less. */
MDB_cursor *sqi_cursor_open(struct sqi_transaction *transaction, enum sqi_tree tree);
bool sqi_cursor_at_least(struct sqi_transaction *transaction, MDB_cursor *cursor,
                         const struct sqi_tree_key *key, MDB_val *ret_key, MDB_val *ret_value);
bool sqi_cursor_next(struct sqi_transaction *transaction, MDB_cursor *cursor, MDB_val *ret_key,
                     MDB_val *ret_value);

/* A record that is not as it must be: the store is damaged. */
void sqi_transaction_damaged(struct sqi_transaction *transaction);
void sqi_transaction_fail(struct sqi_transaction *transaction, int error);

/* NULL: there is no such channel (or an error). What it returns may be changed: set is_changed. */
struct sqi_cached_channel *sqi_channel_in(struct sqi_transaction *transaction, uint32_t channel);
/* Puts a record of a new channel there. */
struct sqi_cached_channel *sqi_channel_add(struct sqi_transaction *transaction, uint32_t channel,
                                           const struct sqi_channel_record *record);

#endif
