/* SPDX-License-Identifier: Apache-2.0 */
/* What tests want to know of an opener. */
#ifndef SQI_SEAL_OPENER_H
#define SQI_SEAL_OPENER_H

#include <stdbool.h>
#include <stdint.h>

#include "sealq/envelope.h"

#define SQI_SESSIONS_MAX 4096

size_t sqi_opener_session_count(const sq_opener *opener);

/* Whether the session of this envelope, sealed for any channel, is in the cache. */
bool sqi_opener_has_session(const sq_opener *opener, const uint8_t *envelope);

#endif
