/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the contract tests share. Each test is run once for every engine, with a store of its own
 * that has one channel and clocks that only the test moves; what an engine cannot do is left out
 * by its capabilities alone.
 */
#ifndef SQT_CONTRACT_H
#define SQT_CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

#include "base/clock.h"
#include "engine/engine.h"

/* The policy of the fixture's channel. */
enum { LEASE_MS = 30000, ATTEMPTS = 3, WINDOW_MS = 60000, KEPT_MS = 3600000 };
extern const struct sqi_policy usual_policy;

extern const struct sqi_due never;

struct fixture {
    const struct sqi_engine_ops *ops;
    struct sqi_engine *engine;
    uint32_t channel;       /* "jobs" */
    int64_t now_ns, now_ms; /* what the engine's clocks tell */
    struct sqi_clock clock;
    const struct sqi_clock *used_clock;
    uint64_t quota_bytes;
    char folder[256]; /* of the store, and its name; empty where there is none */
    char location[300];
};

/* A lease with its envelope copied, as far as it goes. */
struct held {
    uint32_t channel;
    uint64_t id, token;
    uint32_t attempt;
    uint8_t priority;
    int64_t deadline_ns;
    size_t bytes;
    char text[64];
};

/* A message as it is listed; state 0: it is not. */
struct seen {
    struct sqi_listed listed; /* without its pointers */
    char text[64], reason[64];
};

/* ---- the engines and the life of a store ---- */

size_t engine_count(void);
const struct sqi_engine_ops *engine_at(size_t index);

/* A fixture for the engine: simulated clocks, or the system's. */
struct fixture *make_fixture(const struct sqi_engine_ops *ops, bool has_real_clock);
void free_fixture(struct fixture *fixture);
void reopen(struct fixture *fixture);
/* A store of its own with another quota and policy, for the rest of the test. */
void start_again(struct fixture *fixture, uint64_t quota_bytes, const struct sqi_policy *policy);
/* Both clocks. */
void pass_ms(struct fixture *fixture, int64_t ms);
/* A test, and how it begins. */
#define TEST(name) static void name(void **state)
#define FIXTURE struct fixture *fixture = *state

/* As cmocka_unit_test(), for a test that is left out where an engine lacks a capability. */
#define test_needing(name, capabilities)                                                           \
    cmocka_unit_test_prestate(name, (void *)(uintptr_t)(capabilities))

/* Runs every test for every engine that has what it needs; the result is main's. */
int run_contract(const char *name, const struct CMUnitTest *tests, size_t count,
                 bool has_real_clock);

/* ---- operations, asserted to succeed ---- */

uint32_t open_channel(struct fixture *fixture, const char *name, const struct sqi_policy *policy);
/* The result of one put of a text, with whatever else is in *put; its id stays there. */
int put(struct fixture *fixture, uint32_t channel, const char *text, struct sqi_put *ret_put);
/* Asserts that it is added; its id. */
uint64_t add(struct fixture *fixture, const char *text);
uint64_t add_with(struct fixture *fixture, const char *text, struct sqi_put put);
/* Leases by a request, the channel's when it names none; how many, or an error. */
int lease(struct fixture *fixture, struct sqi_lease_request request, struct held *ret_held);
/* Exactly one, from the fixture's channel. */
struct held get(struct fixture *fixture);
/* The same, and it is of this text. */
struct held get_text(struct fixture *fixture, const char *text);
void assert_nothing_to_get(struct fixture *fixture);
/* The result of one settlement. */
int settle_as(struct fixture *fixture, const struct held *held, struct sqi_settlement settlement);
int settle(struct fixture *fixture, const struct held *held, enum sqi_verdict verdict);
int settle_later(struct fixture *fixture, const struct held *held, enum sqi_verdict verdict,
                 int64_t delay_ms);
int extend(struct fixture *fixture, struct held *held, int64_t lease_ms);
void control(struct fixture *fixture, uint32_t channel, enum sqi_control what);

struct sqi_channel_stat stat_of(struct fixture *fixture, uint32_t channel);
struct sqi_due due_of(struct fixture *fixture);
struct seen look(struct fixture *fixture, uint64_t id);
void assert_same_policy(const struct sqi_policy *one, const struct sqi_policy *other);
void assert_same_stat(const struct sqi_channel_stat *one, const struct sqi_channel_stat *other);
void assert_counts(struct fixture *fixture, uint64_t delayed, uint64_t ready, uint64_t leased,
                   uint64_t dead);
void assert_dead(struct fixture *fixture, uint64_t id, enum sqi_death death);
void assert_gone(struct fixture *fixture, uint64_t id);

#endif
