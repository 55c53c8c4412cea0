/* SPDX-License-Identifier: Apache-2.0 */
/* What the operations of the store in memory share, and those of them that are in commit.c. */
#ifndef SQI_ENGINE_MEM_MEM_H
#define SQI_ENGINE_MEM_MEM_H

#include "engine/mem/life.h"

struct sqi_mem *sqi_mem_of(struct sqi_engine *engine);

/* Takes the lock and the instant, and moves what is due. SQ_OK: the lock is held until the end. */
int sqi_mem_begin(struct sqi_mem *mem);
/* Wakes who waits, if something has changed. */
void sqi_mem_end(struct sqi_mem *mem);
/* Returns the code. */
int sqi_mem_end_with(struct sqi_mem *mem, int code);

/* NULL: there is none of this number. */
struct sqi_mem_channel *sqi_mem_channel_of(const struct sqi_mem *mem, uint32_t number);
uint64_t sqi_mem_unfinished(const struct sqi_mem_channel *channel);
/* ret_due may be NULL. */
void sqi_mem_tell_due(const struct sqi_mem *mem, struct sqi_due *ret_due);

int sqi_mem_put(struct sqi_engine *engine, uint32_t channel, struct sqi_put *puts, size_t count);
int sqi_mem_settle_and_lease(struct sqi_engine *engine, struct sqi_settlement *settlements,
                             size_t count, const struct sqi_lease_request *request,
                             struct sqi_lease *ret_leases, struct sqi_due *ret_due);
int sqi_mem_extend(struct sqi_engine *engine, struct sqi_extension *extensions, size_t count);

#endif
