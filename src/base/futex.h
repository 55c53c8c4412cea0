/* SPDX-License-Identifier: Apache-2.0 */
/* The system call futex(2) on a word private to this process. */
#ifndef SQI_BASE_FUTEX_H
#define SQI_BASE_FUTEX_H

#include <stdbool.h>
#include <stdint.h>

/* Sleep while *word == expected, until woken or the deadline (CLOCK_MONOTONIC, ns; SQI_NEVER).
   False only when the deadline passed; true says nothing but "look again". */
bool sqi_futex_wait(const uint32_t *word, uint32_t expected, int64_t deadline_ns);

/* Wake at most count_max threads. */
void sqi_futex_wake(const uint32_t *word, int count_max);

#endif
