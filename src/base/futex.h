/* SPDX-License-Identifier: Apache-2.0 */
/* The system call futex(2): private words for the threads of this process, shared ones, in memory
   that several processes have mapped, for theirs. */
#ifndef SQI_BASE_FUTEX_H
#define SQI_BASE_FUTEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/export.h"

/* Sleep while *word == expected, until woken or the deadline (CLOCK_MONOTONIC, ns; SQI_NEVER).
   False only when the deadline passed; true says nothing but "look again". */
SQI_API bool sqi_futex_wait(const uint32_t *word, uint32_t expected, int64_t deadline_ns);

/* Sleep for so long, or until a signal. Not by nanosleep(), where a thread could be cancelled: none
   may be while it is between two steps of a queue. */
void sqi_nap(int64_t ns);

/* Wake at most count_max threads. */
SQI_API void sqi_futex_wake(const uint32_t *word, int count_max);

/* The same for a shared word; the deadline may be on CLOCK_REALTIME (ns since the epoch), which
   follows the clock when it is set. */
SQI_API bool sqi_futex_wait_shared(const uint32_t *word, uint32_t expected, int64_t deadline_ns,
                                   bool is_realtime);
SQI_API void sqi_futex_wake_all_shared(const uint32_t *word);

#endif
