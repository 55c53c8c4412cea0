/* SPDX-License-Identifier: Apache-2.0 */
/* What consumers are over: a queue here, a channel in libsealq. */
#ifndef SQI_QUEUE_CONSUMER_H
#define SQI_QUEUE_CONSUMER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/export.h"
#include "sealq/consumer.h"

struct sqi_consumer_source {
    void *object;
    /* Also positive results of a handler are failures: verdicts. */
    bool has_verdicts;
    /* Waits for an item, for ever or until *cancelled: SQ_OK, or a code that ends the thread.
       Called by each of its threads once more after every item. */
    int (*take)(void *object, sq_consumer *consumer, unsigned thread_index,
                const atomic_bool *cancelled, void **ret_item);
    /* The handler is through with the item, and answered result. */
    void (*finish)(void *object, sq_consumer *consumer, unsigned thread_index, void *item,
                   int result);
    /* Waits until nothing is unfinished: as take. */
    int (*join)(void *object, int64_t deadline_ns, const atomic_bool *cancelled);
    /* Makes take and join look at *cancelled again. */
    void (*wake)(void *object);
    /* The consumer's threads have ended, or could not be started. In the child of a fork too. May
       be NULL. */
    void (*end)(void *object, bool is_child);
};

/* What sq_queue_consume() does, over any source, which is copied. On failure `end` was not called.
 */
SQI_API int sqi_consumer_create(const struct sqi_consumer_source *source,
                                const sq_consumer_options *options, sq_consumer **ret_consumer);

/* The threads that these options ask for. */
SQI_API unsigned sqi_consumer_threads(const sq_consumer_options *options);

/* Counts and tells of an error that no handler returned. item may be NULL. */
SQI_API void sqi_consumer_fail(sq_consumer *consumer, unsigned thread_index, int code, void *item);

#endif
