/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store must be able to do for channels: one table of operations, which each engine fills.
 * An engine sees opaque bytes and hints for its schedule; sealing, waiting and policy towards the
 * user happen above it, in src/channel.
 *
 *                  not before            lease                DONE
 *       put ──► [delayed] ────► [ready] ────────► [leased] ──────────► gone
 *         └────────────────────────▲ ▲               │ │ │
 *                                  │ └── lease over ─┘ │ └─ BURY · attempts used up · expired
 *                                  │ RELEASE, RETRY    │                    │
 *                               [delayed] ◄────────────┘                  [dead] ──► gone, in time
 *
 * Rules
 * 1. Every operation begins by moving what is due, in the whole store, and uses one instant for
 *    all it does. The order: leases by (deadline, channel, id), then wall-clock timers (delays,
 *    expiries, dead letters kept long enough) by (due, channel, id), then ends of dedupe windows.
 * 2. Ready messages leave by (priority, place). Entering ready takes the next place, always. A
 *    place counts up through the whole store, as ids do; both begin at 1.
 * 3. Leasing counts an attempt; RELEASE takes it back. A lease ends by settling, by its deadline,
 *    by its owner's death, or by the engine's close. Lost in any of the last three ways, the
 *    message goes back to ready, or is dead (SQI_DEATH_ATTEMPTS) when its attempts are used up.
 * 4. A message whose expiry has come is dead (SQI_DEATH_EXPIRED) as soon as it is not leased; of
 * one whose attempts are used up, too, that is said.
 * 5. RETRY and RELEASE with a delay make a message delayed, without one ready. RETRY when the
 *    attempts are used up makes it dead (SQI_DEATH_ATTEMPTS) with the reason given.
 * 6. A token that is not that of the message's present lease is answered SQ_ELEASE, and changes
 *    nothing: its puts neither.
 * 7. unfinished = delayed + ready + leased. The capacity bounds it for plain puts. Puts that come
 *    with a settlement ignore capacity and quota: a consumer must always be able to finish.
 * 8. A put finds a duplicate when one of its dedupe ids is held: by an unfinished message, or
 *    within the window after its put whatever became of it. Dead is finished.
 * 9. Paused: puts go on, leases find nothing. Closed: puts are refused with SQ_ESHUTDOWN, all
 *    else goes on, and a lease answers SQ_ESHUTDOWN once nothing is unfinished, paused or not.
 * 10. An operation that returned has happened, durably where the engine says so. One that failed
 *    has changed nothing.
 *
 * Threads: every operation from any thread, but open and close. None waits, but for `wait`.
 */
#ifndef SQI_ENGINE_ENGINE_H
#define SQI_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sealq/error.h"

/* What one operation handles at most; callers split what is more. */
#define SQI_COMMIT_MESSAGES_MAX 10000
#define SQI_COMMIT_BYTES_MAX (64 * 1024 * 1024)
#define SQI_CHANNELS_MAX 65536
#define SQI_CHANNEL_NAME_ROOM 65 /* its final NUL included */
#define SQI_CANARY_BYTES_MAX 2048
#define SQI_REASON_BYTES_MAX 2000 /* sealed */
#define SQI_DEDUPE_BYTES 16
#define SQI_DEDUPE_IDS_MAX 256
#define SQI_DEAD_KEPT_MS (INT64_C(14) * 24 * 3600 * 1000)

/* What contract tests branch on, and nothing else. */
enum {
    SQI_CAN_FENCE = 1 << 0,             /* rule 6 */
    SQI_CAN_RECLAIM_ON_DEATH = 1 << 1,  /* a dead owner's leases end at once */
    SQI_CAN_ORDER_STRICTLY = 1 << 2,    /* rule 2, also for what was retried */
    SQI_CAN_SETTLE_ATOMICALLY = 1 << 3, /* a settlement and its puts are one */
    SQI_CAN_DEDUPE = 1 << 4,            /* rule 8 */
    SQI_CAN_LEASE_PER_GET = 1 << 5,     /* each lease has a length of its own */
    SQI_CAN_PRIORITIES = 1 << 6,        /* 256 levels */
    SQI_CAN_PERSIST = 1 << 7,           /* it outlives the process */
};

/* The two clocks of an engine; tests put their own in the place. */
struct sqi_clock {
    int64_t (*monotonic_ns)(void *context); /* for leases and waits */
    int64_t (*wall_ms)(void *context);      /* since the epoch: delays, expiries, windows */
    void *context;
};
extern const struct sqi_clock sqi_system_clock;

struct sqi_engine_options {
    const struct sqi_clock *clock; /* NULL: sqi_system_clock. Must outlive the engine */
    uint64_t quota_bytes;          /* of stored messages; 0: the engine's default */
    bool must_exist;               /* SQ_ENOENT rather than a new store */
};

struct sqi_policy {
    uint64_t capacity;        /* unfinished messages; 0: no bound */
    int64_t lease_ms;         /* > 0 */
    uint32_t attempts_max;    /* >= 1 */
    int64_t backoff_ms;       /* for the layer above: of the first retry */
    int64_t backoff_max_ms;   /* for the layer above */
    int64_t dedupe_window_ms; /* >= 0 */
    int64_t dead_kept_ms;     /* > 0; SQI_DEAD_KEPT_MS */
};

/* What is known of a channel when it is opened. */
struct sqi_channel_info {
    uint32_t channel; /* its number: never used for another one */
    struct sqi_policy policy;
    uint8_t canary[SQI_CANARY_BYTES_MAX];
    size_t canary_bytes;
};

struct sqi_put {
    const void *envelope;
    size_t envelope_bytes;
    uint8_t priority;
    int64_t not_before_ms; /* wall; 0: at once */
    int64_t expires_ms;    /* wall; 0: never */
    /* Looked up, all of them, and the first one held; none: not deduped. */
    const uint8_t (*dedupe_ids)[SQI_DEDUPE_BYTES];
    size_t dedupe_id_count;
    /* Answered: 0 added, 1 found a duplicate, or SQ_EFULL, SQ_ESHUTDOWN, SQ_ENOSPACE, SQ_ENOENT.
       After the first error the rest of the batch is not tried and gets the same code. */
    int result;
    uint64_t id; /* the message's, or that of the first one */
};

struct sqi_lease_request {
    uint32_t channel;
    size_t count_max;
    size_t bytes_max; /* of envelopes; the first message comes whatever its size */
    int64_t lease_ms; /* 0: the channel's */
    bool is_unowned;  /* ends by time alone, not by this process's death */
};

struct sqi_lease {
    uint64_t id, token; /* a token is never 0 */
    uint32_t attempt;   /* 1 for the first */
    uint8_t priority;
    int64_t deadline_ns; /* monotonic */
    uint8_t *envelope;   /* malloc'd; the caller's */
    size_t envelope_bytes;
};

enum sqi_verdict { SQI_DONE, SQI_RETRY, SQI_RELEASE, SQI_BURY };

/* Why a message is dead: kept in the open, beside the sealed reason. */
enum sqi_death {
    SQI_DEATH_BURIED = 1,
    SQI_DEATH_ATTEMPTS = 2,
    SQI_DEATH_EXPIRED = 3,
    SQI_DEATH_REFUSED = 4, /* failed authentication or form */
};

/* Puts that come with a settlement, to one channel. */
struct sqi_emission {
    uint32_t channel;
    struct sqi_put put;
};

struct sqi_settlement {
    uint32_t channel;
    uint64_t id, token;
    enum sqi_verdict verdict;
    enum sqi_death death; /* for BURY */
    int64_t delay_ms;     /* for RETRY and RELEASE; 0: ready at once */
    const void *reason;   /* sealed; for BURY, and for RETRY should it be the last. May be NULL */
    size_t reason_bytes;
    struct sqi_emission *emissions; /* for DONE: put in the same commit, or nothing is settled */
    size_t emission_count;
    /* Answered: 0; 1 when a RETRY was the last and the message is dead; SQ_ELEASE, SQ_ENOENT, or
       what an emission was refused with. */
    int result;
};

struct sqi_extension {
    uint32_t channel;
    uint64_t id, token;
    int64_t lease_ms;    /* from now; 0: the channel's */
    int64_t deadline_ns; /* answered */
    int result;          /* answered: 0, SQ_ELEASE, SQ_ENOENT */
};

enum sqi_control { SQI_CLOSE, SQI_PAUSE, SQI_RESUME };

/* All for one instant. The second half counts since the channel was made. */
struct sqi_channel_stat {
    uint64_t delayed, ready, leased, dead;
    uint64_t bytes; /* of envelopes, the dead ones' too */
    bool is_closed, is_paused;
    uint64_t puts, duplicates, leases, dones, retries, deaths, lost_leases;
};

/* A message as it is listed. */
struct sqi_listed {
    uint64_t id;
    int state; /* enum sqi_state */
    uint32_t attempts;
    uint8_t priority;
    enum sqi_death death;
    int64_t due_ms;      /* delayed: wall */
    int64_t died_ms;     /* dead: wall */
    int64_t deadline_ns; /* leased: monotonic */
    size_t envelope_bytes;
    const uint8_t *envelope, *reason; /* valid during the visit; reason may be NULL */
    size_t reason_bytes;
};
enum sqi_state { SQI_DELAYED = 1, SQI_READY = 2, SQI_LEASED = 3, SQI_DEAD = 4 };

/* When something will be due next, to bound a wait; SQI_NEVER where nothing will. */
struct sqi_due {
    int64_t monotonic_ns;
    int64_t wall_ms;
};

struct sqi_engine;

/* Results are SQ_OK or positive, or a negative code: SQ_ENOENT (no such channel, or it was
   removed), SQ_ENOMEM, SQ_EIO, SQ_ENOSPACE, SQ_EFORK, SQ_EPOISONED, SQ_ESTORE. */
struct sqi_engine_ops {
    const char *name;
    unsigned capabilities;

    /* options NULL: the defaults. location is what follows the engine's prefix: the path for lmdb,
     * "" for mem. */
    int (*open)(const char *location, const struct sqi_engine_options *options,
                struct sqi_engine **ret_engine);
    /* Leases that are still held are lost. Returns NULL. In the child of a fork: memory only. */
    struct sqi_engine *(*close)(struct sqi_engine *engine);

    /* policy NULL: it must exist. Else it is made with that policy and canary when it does not
       exist, and ret_info tells what it has. Returns 1 when it was made, else 0. */
    int (*open_channel)(struct sqi_engine *engine, const char *name,
                        const struct sqi_policy *policy, const void *canary, size_t canary_bytes,
                        struct sqi_channel_info *ret_info);
    int (*set_canary)(struct sqi_engine *engine, uint32_t channel, const void *canary,
                      size_t canary_bytes);
    /* Calls visit for each, in the order of their numbers, until it returns other than 0. */
    int (*each_channel)(struct sqi_engine *engine, int (*visit)(const char *name, void *context),
                        void *context);

    /* At most SQI_COMMIT_MESSAGES_MAX puts. Each has its own result; SQ_OK when all have. */
    int (*put)(struct sqi_engine *engine, uint32_t channel, struct sqi_put *puts, size_t count);

    /* Settles (count may be 0), then leases where request is not NULL, in one commit. Returns how
       many were leased, 0 included; SQ_ESHUTDOWN (rule 9) and SQ_ENOENT are of the request:
       the settlements, each with its result, have happened nevertheless. After any other error
       nothing has, and each settlement's result is that error. ret_due, which may be NULL, tells
       when to look again. */
    int (*settle_and_lease)(struct sqi_engine *engine, struct sqi_settlement *settlements,
                            size_t count, const struct sqi_lease_request *request,
                            struct sqi_lease *ret_leases, struct sqi_due *ret_due);
    int (*extend)(struct sqi_engine *engine, struct sqi_extension *extensions, size_t count);
    int (*control)(struct sqi_engine *engine, uint32_t channel, enum sqi_control control);
    int (*stat)(struct sqi_engine *engine, uint32_t channel, struct sqi_channel_stat *ret_stat,
                struct sqi_due *ret_due);
    /* Visits messages in the order of their ids, those with an id above after_id, at most
       count_max, until visit returns other than 0. visit must not call the engine. Returns how
       many were visited: fewer than count_max does not mean the end, 0 does. */
    int (*list)(struct sqi_engine *engine, uint32_t channel, uint64_t after_id, size_t count_max,
                int (*visit)(const struct sqi_listed *listed, void *context), void *context);

    /* Waiting: seen = watch(); look, by any operation; wait(seen) returns at the next change of
       the channel after the watch (or of another one: look again), at the deadline (monotonic;
       SQI_NEVER), or when what `due` tells has come. Changes are: something became ready or
       finished, closed, paused or resumed, and timers that come before those that `due` told. */
    uint32_t (*watch)(struct sqi_engine *engine, uint32_t channel);
    int (*wait)(struct sqi_engine *engine, uint32_t channel, uint32_t seen,
                const struct sqi_due *due, int64_t deadline_ns);
    /* Ends the waits of this process, as a change would. */
    void (*wake)(struct sqi_engine *engine, uint32_t channel);
};

/* The first member of every engine. */
struct sqi_engine {
    const struct sqi_engine_ops *ops;
};

extern const struct sqi_engine_ops sqi_mem_engine;
#ifdef SQI_WITH_LMDB
extern const struct sqi_engine_ops sqi_lmdb_engine;
#endif

/* The engine for a URL ("mem:", a path), and the location within; SQ_EINVAL with advice. */
int sqi_engine_for(const char *url, const struct sqi_engine_ops **ret_ops,
                   const char **ret_location);

#endif
