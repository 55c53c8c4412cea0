/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of messages, within a transaction: the rules of engine.h on the trees of records.h.
 *
 * A message is in exactly one state, and what the trees say of it follows from its record: leave()
 * takes it out of the indexes of its state and of the counters, enter() puts it into those of
 * another. Nothing else touches the indexes.
 *
 *     state     ready    timers                              owners
 *     delayed   –        wall, the lesser of due and expiry  –
 *     ready     place    wall, expiry (if any)               –
 *     leased    –        lease, the deadline                 unless it is unowned
 *     dead      –        wall, the end of its keeping        –
 */
#ifndef SQI_ENGINE_LMDB_LIFE_H
#define SQI_ENGINE_LMDB_LIFE_H

#include "engine/lmdb/commit.h"

/* Rule 1: moves what is due, at most SQI_COMMIT_MESSAGES_MAX messages. */
void sqi_life_sweep(struct sqi_transaction *transaction);

/* When the next sweep has something to do. */
struct sqi_due sqi_life_due(struct sqi_transaction *transaction);

/* Sets put->result and put->id. is_emitted: no capacity, no quota. */
void sqi_life_put(struct sqi_transaction *transaction, struct sqi_cached_channel *channel,
                  struct sqi_put *put, uint64_t quota_bytes, bool is_emitted);

void sqi_life_settle(struct sqi_transaction *transaction, struct sqi_settlement *settlement);

void sqi_life_extend(struct sqi_transaction *transaction, struct sqi_extension *extension);

/* How many leases, or an error of the request. Their envelopes are malloc'd. */
int sqi_life_lease(struct sqi_transaction *transaction, const struct sqi_lease_request *request,
                   uint64_t incarnation, struct sqi_lease *ret_leases);

/* Ends the leases of one owner, or, when incarnation is 0, of all owners that are dead. */
void sqi_life_reclaim(struct sqi_transaction *transaction, uint64_t incarnation);

/* Ends every lease: their deadlines are of another boot's clock. */
void sqi_life_reclaim_all(struct sqi_transaction *transaction);

/* Reads an envelope: malloc'd; NULL on an error of the transaction. */
uint8_t *sqi_life_read_envelope(struct sqi_transaction *transaction, uint64_t id, size_t bytes);

/* Reads a message's record; false when there is none. */
bool sqi_life_read(struct sqi_transaction *transaction, uint32_t channel, uint64_t id,
                   struct sqi_message_record *ret_record);

#endif
