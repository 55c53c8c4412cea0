/* SPDX-License-Identifier: Apache-2.0 */
/* What the two ways to run the scenario share: between threads and between processes. */
#ifndef SQI_CLI_DEMO_H
#define SQI_CLI_DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sealq/keyring.h"

struct sqi_pair {
    uint64_t n, square;
};

struct sqi_demo {
    uint64_t producer_count, consumer_count, count, capacity;
    bool is_shown, is_tampered;     /* --show, --tamper */
    struct sqi_pair *final_results; /* room for count */
    size_t result_count;
};

/* The scenario between processes, on a sealed store: fills final_results. The exit code. */
int sqi_demo_secure(struct sqi_demo *demo);

/*
 * Looks into the store's own file, as somebody who has the disk and not the key could.
 *
 * show     prints, on stderr, what lies there of one message, beside what a consumer gets.
 * tamper   flips one bit of the message whose body is `body`, in every copy there is.
 *
 * The exit code, after a complaint when it is not 0.
 */
int sqi_demo_show(const char *store, const sq_keyring *keyring, const char *channel);
int sqi_demo_tamper(const char *store, const sq_keyring *keyring, const char *channel,
                    const char *body);

#endif
