/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mem/timers.h"

#include <assert.h>
#include <stdlib.h>

static bool is_before(const struct sqi_mem_timer *one, const struct sqi_mem_timer *other)
{
    if (one->due != other->due)
        return one->due < other->due;
    if (one->channel != other->channel)
        return one->channel < other->channel;
    return one->id < other->id;
}

static struct sqi_mem_timer *at(const struct sqi_mem_timers *timers, size_t slot)
{
    return timers->heap[slot - 1];
}

static void set(struct sqi_mem_timers *timers, size_t slot, struct sqi_mem_timer *timer)
{
    timers->heap[slot - 1] = timer;
    timer->slot = slot;
}

/* Puts timer where slot is free, or above it. */
static void rise(struct sqi_mem_timers *timers, size_t slot, struct sqi_mem_timer *timer)
{
    for (; slot > 1 && is_before(timer, at(timers, slot / 2)); slot /= 2)
        set(timers, slot, at(timers, slot / 2));
    set(timers, slot, timer);
}

/* Puts timer where slot is free, or below it. */
static void sink(struct sqi_mem_timers *timers, size_t slot, struct sqi_mem_timer *timer)
{
    for (size_t child; (child = 2 * slot) <= timers->count; slot = child) {
        if (child < timers->count && is_before(at(timers, child + 1), at(timers, child)))
            child++;
        if (!is_before(at(timers, child), timer))
            break;
        set(timers, slot, at(timers, child));
    }
    set(timers, slot, timer);
}

bool sqi_mem_timers_reserve(struct sqi_mem_timers *timers, size_t count)
{
    if (count <= timers->room)
        return true;
    size_t room = count > 2 * timers->room ? count : 2 * timers->room;
    struct sqi_mem_timer **heap = reallocarray(timers->heap, room, sizeof *heap);
    if (!heap)
        return false;
    timers->heap = heap;
    timers->room = room;
    return true;
}

void sqi_mem_timers_add(struct sqi_mem_timers *timers, struct sqi_mem_timer *timer)
{
    assert(timer->slot == 0);
    assert(timers->count < timers->room);
    rise(timers, ++timers->count, timer);
}

void sqi_mem_timers_remove(struct sqi_mem_timers *timers, struct sqi_mem_timer *timer)
{
    size_t slot = timer->slot;
    if (slot == 0)
        return;
    assert(at(timers, slot) == timer);
    struct sqi_mem_timer *last = at(timers, timers->count--);
    timer->slot = 0;
    if (last == timer)
        return;
    if (is_before(last, timer))
        rise(timers, slot, last);
    else
        sink(timers, slot, last);
}

struct sqi_mem_timer *sqi_mem_timers_first(const struct sqi_mem_timers *timers)
{
    return timers->count > 0 ? at(timers, 1) : NULL;
}

struct sqi_mem_timer *sqi_mem_timers_due(const struct sqi_mem_timers *timers, int64_t now)
{
    struct sqi_mem_timer *first = sqi_mem_timers_first(timers);
    return first && first->due <= now ? first : NULL;
}

void sqi_mem_timers_free(struct sqi_mem_timers *timers)
{
    free(timers->heap);
    *timers = (struct sqi_mem_timers){0};
}
