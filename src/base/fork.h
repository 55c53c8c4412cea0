/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the child of a fork from its parent, at the price of two plain loads. */
#ifndef SQI_BASE_FORK_H
#define SQI_BASE_FORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/export.h"

/* How many forks lie between the process that loaded the library and this one. What was made
   under another generation belongs to another process. Seen by pthread_atfork(3), and, for copies
   of the process that bypass it such as a bare clone(2), by a page that the kernel wipes in them.
 */
SQI_API uint32_t sqi_fork_generation(void);

/* The same, certain also where the kernel has no such page: there at the price of a system call.
   For what must never happen twice, such as a nonce. */
SQI_API uint32_t sqi_fork_generation_sure(void);

/* What holds the generation: read by sqi_fork_is_same(). */
extern _Atomic uint32_t *sqi_fork_mark;

/* Whether this is still the process of that generation: two loads and no call, for the hot paths of
   libsealq-core, where alone the mark is to be had. */
static inline bool sqi_fork_is_same(uint32_t generation)
{
    /* Relaxed: see fork.c. 0, a wiped page, is no generation. */
    return atomic_load_explicit(sqi_fork_mark, memory_order_relaxed) == generation;
}

#endif
