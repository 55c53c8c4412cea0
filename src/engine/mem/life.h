/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of a store in memory, and how they move from state to state. All of it is under
 * the lock of the store.
 *
 * Invariants: a message is in exactly one state. Leased, its timer is in leases; delayed, ready or
 * dead, in walls, unless it is due never; ready, it is also in the list of its priority, at the
 * end of which it came: that is its place. A window is in windows once its message is finished.
 * The heaps have room for every message and every window there is, so that no move can fail.
 */
#ifndef SQI_ENGINE_MEM_LIFE_H
#define SQI_ENGINE_MEM_LIFE_H

#include <pthread.h>
#include <sys/queue.h>

#include "engine/engine.h"
#include "engine/mem/table.h"
#include "engine/mem/timers.h"

#define SQI_MEM_PRIORITIES 256

/* What part belongs to: the struct of this type whose member it is. */
#define SQI_MEM_OWNER(part, type, member) ((type *)((char *)(part)-offsetof(type, member)))

struct sqi_mem_channel;
struct sqi_mem_message;

/* The dedupe id of a message, held while that is unfinished, or until a time. */
struct sqi_mem_window {
    struct sqi_mem_link link; /* in dedupe */
    struct sqi_mem_timer timer;
    uint64_t message_id;
    int64_t until_ms;
    uint32_t channel;
    uint8_t id[SQI_DEDUPE_BYTES];
};

struct sqi_mem_message {
    TAILQ_ENTRY(sqi_mem_message) in_channel; /* by id */
    TAILQ_ENTRY(sqi_mem_message) in_ready;
    struct sqi_mem_link link;   /* in messages */
    struct sqi_mem_timer timer; /* leased: its due is the deadline */
    struct sqi_mem_channel *channel;
    struct sqi_mem_window *window; /* NULL: not deduped, or finished */
    int state;                     /* enum sqi_state; 0: not added yet */
    uint8_t priority;
    uint32_t attempts;
    enum sqi_death death;
    uint64_t id, token;
    int64_t due_ms, expires_ms, died_ms;
    void *reason;
    size_t reason_bytes, envelope_bytes;
    uint8_t envelope[];
};
TAILQ_HEAD(sqi_mem_list, sqi_mem_message);

struct sqi_mem_channel {
    char name[SQI_CHANNEL_NAME_ROOM];
    struct sqi_mem_link link; /* in names */
    struct sqi_channel_info info;
    struct sqi_channel_stat stat;
    struct sqi_mem_list messages;                   /* all, by id */
    uint64_t ready_levels[SQI_MEM_PRIORITIES / 64]; /* a bit for each list that is not empty */
    struct sqi_mem_list ready[SQI_MEM_PRIORITIES];
};

struct sqi_mem {
    struct sqi_engine engine;
    const struct sqi_clock *clock;
    uint32_t fork_generation;
    uint64_t quota_bytes; /* 0: none */

    pthread_mutex_t lock; /* guards all that follows */
    pthread_cond_t changed;
    uint32_t changes;
    bool has_changed;       /* by the operation under way */
    int64_t now_ns, now_ms; /* the instant of the operation under way */

    struct sqi_mem_channel **channels; /* of number 1, 2, ... */
    size_t channel_count, channel_room;
    struct sqi_mem_table names, messages, dedupe;
    struct sqi_mem_timers leases, walls, windows;
    uint64_t last_id, last_token, stored_bytes;
};

/* A message for a put, in no store yet; NULL: out of memory. */
struct sqi_mem_message *sqi_mem_message_make(const struct sqi_put *put);
/* One that is in no store; NULL: nothing to do. */
void sqi_mem_message_free(struct sqi_mem_message *message);
/* Room for so many more messages. False: out of memory. */
bool sqi_mem_reserve(struct sqi_mem *mem, size_t messages);

/* Moves what is due: rule 1. */
void sqi_mem_sweep(struct sqi_mem *mem);

struct sqi_mem_message *sqi_mem_find(const struct sqi_mem *mem, uint64_t id);
/* The one that holds a dedupe id; NULL: none. */
struct sqi_mem_window *sqi_mem_find_window(const struct sqi_mem *mem, uint32_t channel,
                                           const uint8_t *id);
/* The next ready message; NULL: none. */
struct sqi_mem_message *sqi_mem_next_ready(const struct sqi_mem_channel *channel);

void sqi_mem_add(struct sqi_mem *mem, struct sqi_mem_channel *channel,
                 struct sqi_mem_message *message);
void sqi_mem_lease(struct sqi_mem *mem, struct sqi_mem_message *message, int64_t deadline_ns);
void sqi_mem_extend_lease(struct sqi_mem *mem, struct sqi_mem_message *message,
                          int64_t deadline_ns);
/* Ready, or delayed when delay_ms > 0, or dead when it has expired. True: it is dead. */
bool sqi_mem_put_back(struct sqi_mem *mem, struct sqi_mem_message *message, int64_t delay_ms);
void sqi_mem_die(struct sqi_mem *mem, struct sqi_mem_message *message, enum sqi_death death);
/* It is gone. */
void sqi_mem_erase(struct sqi_mem *mem, struct sqi_mem_message *message);
/* All messages and windows, with the store. */
void sqi_mem_free_messages(struct sqi_mem *mem);

/* Of times and lengths that are not negative; what is beyond the clock is SQI_NEVER. */
int64_t sqi_mem_after(int64_t time, int64_t length);
int64_t sqi_mem_after_ms(int64_t time_ns, int64_t length_ms);

#endif
