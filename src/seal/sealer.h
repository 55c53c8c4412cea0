/* SPDX-License-Identifier: Apache-2.0 */
/* What tests may put in the place of a sealer's salts, clock and limits. */
#ifndef SQI_SEAL_SEALER_H
#define SQI_SEAL_SEALER_H

#include <stdbool.h>
#include <stdint.h>

#include "seal/schedule.h"
#include "sealq/envelope.h"

struct sqi_sealer_hook {
    bool (*random_salt)(uint8_t ret_salt[SQI_SALT_BYTES]);
    uint64_t (*now_ns)(void); /* since the epoch */
    uint32_t first_seq;       /* of every session */
    /* A session ends before it would seal more than this. */
    uint64_t messages_max, bytes_max, age_ns_max;
};

/* The one that every sealer has until a test sets another. */
extern const struct sqi_sealer_hook sqi_sealer_defaults;

/* The hook is not copied. The next message begins a new session. */
void sqi_sealer_set_hook(sq_sealer *sealer, const struct sqi_sealer_hook *hook);

#endif
