/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far to stand back from the other side.
 *
 * Gets that are as fast as the puts catch up with them and take each item as it comes; then every
 * cache line travels back and forth for one item, and both sides are slow. The same happens to puts
 * behind the gets of a full queue. Who finds nothing therefore stands back for a while, so that the
 * other side gets ahead: longer when that was not enough the last time, shorter when it was more
 * than enough.
 *
 * But who finds nothing after each single item is being waited for, or served slowly, and then a
 * pause is only delay: it looks again at once.
 *
 * All of it is a hint, of the side that waits: relaxed, and lost updates do no harm.
 */
#ifndef SQI_QUEUE_PACE_H
#define SQI_QUEUE_PACE_H

#include <stdatomic.h>
#include <stdint.h>

#define SQI_PACE_ITEMS 256 /* fewer from one wait to the next: too close */
#define SQI_PACE_PAUSES_MIN 4
#define SQI_PACE_PAUSES_MAX 160 /* some 4 µs */

struct sqi_pace {
    _Atomic uint64_t waited_at; /* the ticket at the last wait */
    _Atomic unsigned pauses;
};

/* How many pauses to make before the next look, for who waits at this ticket. */
static inline unsigned sqi_pace_pauses(struct sqi_pace *pace, uint64_t ticket)
{
    uint64_t items = ticket - atomic_load_explicit(&pace->waited_at, memory_order_relaxed);
    unsigned pauses = atomic_load_explicit(&pace->pauses, memory_order_relaxed);
    atomic_store_explicit(&pace->waited_at, ticket, memory_order_relaxed);
    if (items <= 1)
        return SQI_PACE_PAUSES_MIN;
    pauses = items < SQI_PACE_ITEMS ? 2 * pauses : pauses / 2;
    pauses = pauses < SQI_PACE_PAUSES_MIN   ? SQI_PACE_PAUSES_MIN
             : pauses > SQI_PACE_PAUSES_MAX ? SQI_PACE_PAUSES_MAX
                                            : pauses;
    atomic_store_explicit(&pace->pauses, pauses, memory_order_relaxed);
    return pauses;
}

#endif
