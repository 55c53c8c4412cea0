/* SPDX-License-Identifier: Apache-2.0 */
#include "queue/slots.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "sealq/error.h"

#define LINE_BYTES 64
#define SEGMENT_BYTES (SQI_SEGMENT_SLOTS * sizeof(struct sqi_slot))

static void lock(struct sqi_slots *slots)
{
    int failed = pthread_mutex_lock(&slots->lock);
    assert(!failed);
}

static void unlock(struct sqi_slots *slots)
{
    int failed = pthread_mutex_unlock(&slots->lock);
    assert(!failed);
}

/* ── the ring ─────────────────────────────────────────────────────────────────────────────── */

static int init_ring(struct sqi_slots *slots, uint64_t capacity)
{
    uint64_t slot_count = SQI_BLOCK_SLOTS;
    while (slot_count < capacity)
        slot_count *= 2;
    /* calloc, not aligned_alloc: pages of a large ring come into being when they are used. */
    slots->ring_memory = calloc(1, slot_count * sizeof(struct sqi_slot) + LINE_BYTES);
    if (!slots->ring_memory)
        return SQ_ENOMEM;
    uintptr_t begin = ((uintptr_t)slots->ring_memory + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    slots->ring = (struct sqi_slot *)begin;
    slots->block_mask = slot_count - SQI_BLOCK_SLOTS;
    return SQ_OK;
}

/* ── segments ─────────────────────────────────────────────────────────────────────────────── */

static struct sqi_segment *new_segment(struct sqi_slots *slots)
{
    struct sqi_segment *segment = malloc(sizeof *segment);
    if (!segment)
        return NULL;
    void *pages = mmap(NULL, SEGMENT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                       0);
    if (pages == MAP_FAILED) {
        free(segment);
        return NULL;
    }
    *segment = (struct sqi_segment){
        .slots = pages,
        .before = atomic_load_explicit(&slots->made, memory_order_relaxed),
    };
    /* Release, in one step: a child that was forked at any moment finds a whole list. */
    atomic_store_explicit(&slots->made, segment, memory_order_release);
    return segment;
}

/* With the lock held: a spare segment, rather one that has its pages, or a new one. */
static struct sqi_segment *some_segment(struct sqi_slots *slots)
{
    struct sqi_segment **spare = slots->hot ? &slots->hot : &slots->cold, *segment = *spare;
    if (!segment)
        return new_segment(slots);
    slots->hot_count -= spare == &slots->hot;
    *spare = segment->next;
    segment->next = NULL;
    return segment;
}

/* With the lock held. */
static void make_spare(struct sqi_slots *slots, struct sqi_segment *segment)
{
    struct sqi_segment **spare = &slots->hot;
    if (slots->hot_count < SQI_SEGMENTS_HOT_MAX) {
        slots->hot_count++;
    } else {
        spare = &slots->cold;
        (void)madvise(segment->slots, SEGMENT_BYTES, MADV_DONTNEED); /* fails: pages are kept */
    }
    segment->next = *spare;
    *spare = segment;
}

static int init_segments(struct sqi_slots *slots)
{
    struct sqi_segment *first = new_segment(slots);
    if (!first)
        return SQ_ENOMEM;
    slots->tail_segment = slots->head_segment = first;
    atomic_init(&slots->at_tail[0], first->slots);
    atomic_init(&slots->at_tail[1], first->slots); /* a late get of a drained queue looks there */
    atomic_init(&slots->at_head[0], first->slots);
    atomic_init(&slots->at_head[1], first->slots);
    slots->block_mask = SQI_SEGMENT_SLOTS - SQI_BLOCK_SLOTS;
    slots->is_segmented = true;
    return SQ_OK;
}

/* Tail and head stop at the first ticket of a segment until it is ready. So it was for any other.
 */
static bool begins(const struct sqi_slots *slots, uint64_t ticket)
{
    return slots->is_segmented && ticket % SQI_SEGMENT_SLOTS == 0;
}

int sqi_slots_extend(struct sqi_slots *slots, uint64_t ticket)
{
    uint64_t number = ticket >> SQI_SEGMENT_SHIFT;
    int result = SQ_OK;
    if (!begins(slots, ticket))
        return SQ_OK;
    lock(slots);
    if (slots->tail_number < number) {
        assert(slots->tail_number == number - 1); /* for tail came to this ticket */
        struct sqi_segment *segment = some_segment(slots);
        if (segment) {
            slots->tail_segment->next = segment;
            slots->tail_segment = segment;
            slots->tail_number = number;
            /* Relaxed: released to others with put_limit. */
            atomic_store_explicit(&slots->at_tail[number & 1], segment->slots,
                                  memory_order_relaxed);
        } else {
            result = SQ_ENOMEM;
        }
    }
    unlock(slots);
    return result;
}

void sqi_slots_advance(struct sqi_slots *slots, uint64_t ticket)
{
    uint64_t number = ticket >> SQI_SEGMENT_SHIFT;
    if (!begins(slots, ticket))
        return;
    lock(slots);
    if (slots->head_number < number) {
        assert(slots->head_number == number - 1); /* for head came to this ticket */
        struct sqi_segment *read = slots->head_segment;
        assert(read->next); /* for tail went beyond it */
        slots->head_segment = read->next;
        slots->head_number = number;
        /* Relaxed: released to others with get_limit. */
        atomic_store_explicit(&slots->at_head[number & 1], read->next->slots, memory_order_relaxed);
        make_spare(slots, read);
    }
    unlock(slots);
}

/* ── making and freeing ───────────────────────────────────────────────────────────────────── */

int sqi_slots_init(struct sqi_slots *slots, uint64_t capacity)
{
    int result = capacity <= SQI_RING_SLOTS_MAX ? init_ring(slots, capacity) : init_segments(slots);
    if (result < 0)
        return result;
    int failed = pthread_mutex_init(&slots->lock, NULL);
    assert(!failed); /* only attributes could make it fail */
    return SQ_OK;
}

void sqi_slots_free(struct sqi_slots *slots)
{
    struct sqi_segment *segment = atomic_load_explicit(&slots->made, memory_order_acquire);
    while (segment) {
        struct sqi_segment *before = segment->before;
        int failed = munmap(segment->slots, SEGMENT_BYTES);
        assert(!failed);
        free(segment);
        segment = before;
    }
    free(slots->ring_memory);
}
