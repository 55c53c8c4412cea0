/* SPDX-License-Identifier: Apache-2.0 */
/* A heap of timers, the first in order of (due, channel, id). It owns none of them. */
#ifndef SQI_ENGINE_MEM_TIMERS_H
#define SQI_ENGINE_MEM_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Part of what it will move. */
struct sqi_mem_timer {
    int64_t due;
    uint32_t channel;
    uint64_t id;
    size_t slot; /* in the heap, from 1 on; 0: in none */
};

/* Zeroed: empty. */
struct sqi_mem_timers {
    struct sqi_mem_timer **heap; /* of slot 1, 2, ... */
    size_t count, room;
};

/* Makes room for that many in all, so that adding cannot fail. False: out of memory. */
bool sqi_mem_timers_reserve(struct sqi_mem_timers *timers, size_t count);
void sqi_mem_timers_add(struct sqi_mem_timers *timers, struct sqi_mem_timer *timer);
/* One that is in no heap is left alone. */
void sqi_mem_timers_remove(struct sqi_mem_timers *timers, struct sqi_mem_timer *timer);
/* NULL: there is none. */
struct sqi_mem_timer *sqi_mem_timers_first(const struct sqi_mem_timers *timers);
/* The first if it is due, else NULL. */
struct sqi_mem_timer *sqi_mem_timers_due(const struct sqi_mem_timers *timers, int64_t now);
void sqi_mem_timers_free(struct sqi_mem_timers *timers);

#endif
