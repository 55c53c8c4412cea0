/* SPDX-License-Identifier: Apache-2.0 */
/* Telling the child of a fork from its parent, at the price of one plain load. */
#ifndef SQI_BASE_FORK_H
#define SQI_BASE_FORK_H

#include <stdint.h>

/* How many forks lie between the process that loaded the library and this one. What was made
   under another generation belongs to another process. Forks are seen by pthread_atfork(3):
   fork() and what calls it, not a bare clone(2). */
uint32_t sqi_fork_generation(void);

#endif
