/* SPDX-License-Identifier: Apache-2.0 */
/* What consumers over a queue need beyond the public header: waits that another thread can end. */
#ifndef SQI_QUEUE_QUEUE_H
#define SQI_QUEUE_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "sealq/queue.h"

/* SQ_OK, or why this queue may not be used here: SQ_EINVAL (NULL), SQ_EFORK. */
int sqi_queue_check(const sq_queue *queue);

/* sq_queue_get() and sq_queue_join(), for ever or to a deadline (CLOCK_MONOTONIC, ns), that also
   end when *cancelled becomes true: with SQ_EEMPTY, SQ_ETIMEDOUT. An item at hand is still taken
   then. Who sets it calls sqi_queue_wake_cancelled() afterwards. */
int sqi_queue_get_until(sq_queue *queue, const atomic_bool *cancelled, void **ret_item);
int sqi_queue_join_until(sq_queue *queue, int64_t deadline_ns, const atomic_bool *cancelled);
void sqi_queue_wake_cancelled(sq_queue *queue);

#endif
