/* SPDX-License-Identifier: Apache-2.0 */
/* The queue when memory runs out, and the memory of a burst that is over: the linker puts functions
   of ours in the place of libc's. */
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "queue/slots.h"
#include "testing.h"

enum {
    FITS = 16, /* the entries of a pile's first block */
    SEGMENT = SQI_SEGMENT_SLOTS,
    SEGMENT_BYTES = SEGMENT * sizeof(struct sqi_slot),
    MILLION = 1000000,
    MAPPINGS_MAX = 1000,
};

static atomic_size_t entries_max; /* a larger block is not to be had */
static atomic_bool no_pages, no_blocks;

static struct {
    void *pages[MAPPINGS_MAX];
    size_t count;
} mapped;

void *__real_reallocarray(void *block, size_t count, size_t bytes);
void *__wrap_reallocarray(void *block, size_t count, size_t bytes);
void *__wrap_reallocarray(void *block, size_t count, size_t bytes)
{
    return count > atomic_load(&entries_max) ? NULL : __real_reallocarray(block, count, bytes);
}

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes)
{
    return atomic_load(&no_blocks) ? NULL : __real_malloc(bytes);
}

void *__real_mmap64(void *address, size_t bytes, int protection, int flags, int file, off_t offset);
void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags, int file, off_t offset);
void *__wrap_mmap64(void *address, size_t bytes, int protection, int flags, int file, off_t offset)
{
    if (atomic_load(&no_pages))
        return MAP_FAILED;
    void *pages = __real_mmap64(address, bytes, protection, flags, file, offset);
    if (bytes == SEGMENT_BYTES && mapped.count < MAPPINGS_MAX)
        mapped.pages[mapped.count++] = pages;
    return pages;
}

/* Of all segments: the pages that are in memory. */
static size_t resident_bytes(void)
{
    unsigned char is_resident[SEGMENT_BYTES / 4096];
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE), count = 0;
    for (size_t i = 0; i < mapped.count; i++) {
        assert_int_equal(mincore(mapped.pages[i], SEGMENT_BYTES, is_resident), 0);
        for (size_t page = 0; page < SEGMENT_BYTES / page_bytes; page++)
            count += is_resident[page] & 1;
    }
    return count * page_bytes;
}

static int all_memory_is_back(void **state)
{
    (void)state;
    atomic_store(&entries_max, SIZE_MAX);
    atomic_store(&no_pages, false);
    atomic_store(&no_blocks, false);
    mapped.count = 0;
    return 0;
}

/* ── FIFO ─────────────────────────────────────────────────────────────────────────────────── */

static sq_queue *make_full_segment(void)
{
    sq_queue *queue = make_queue(0, SQ_FIFO);
    for (unsigned n = 1; n <= SEGMENT; n++)
        assert_int_equal(sq_queue_put(queue, item(n), SQ_NOWAIT), SQ_OK);
    return queue;
}

static void assert_goes_on_once_there_is_memory(sq_queue *queue)
{
    void *items[] = {item(SEGMENT + 1), item(SEGMENT + 2)}, *got;
    assert_int_equal(sq_queue_put(queue, item(1), SQ_FOREVER), SQ_ENOMEM);
    assert_int_equal(sq_queue_put_many(queue, items, 2, SQ_FOREVER), SQ_ENOMEM);
    assert_int_equal(sq_queue_size(queue), SEGMENT);
    assert_int_equal(stats_of(queue).puts, SEGMENT);
    all_memory_is_back(NULL);
    assert_int_equal(sq_queue_put_many(queue, items, 2, SQ_NOWAIT), 2);
    for (unsigned n = 1; n <= SEGMENT + 2; n++) {
        assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
        assert_int_equal(number(got), n);
    }
    sq_queue_free(queue);
}

static void put_without_pages_changes_nothing(void **state)
{
    (void)state;
    sq_queue *queue = make_full_segment();
    atomic_store(&no_pages, true);
    assert_goes_on_once_there_is_memory(queue);
}

static void put_without_a_block_for_the_segment_changes_nothing(void **state)
{
    (void)state;
    sq_queue *queue = make_full_segment();
    atomic_store(&no_blocks, true);
    assert_goes_on_once_there_is_memory(queue);
}

static void put_many_without_memory_puts_what_has_room(void **state)
{
    (void)state;
    enum { LEFT = 3 };
    static void *items[SEGMENT];
    sq_queue *queue = make_queue(0, SQ_FIFO);
    assert_int_equal(sq_queue_put_many(queue, items, SEGMENT - LEFT, SQ_NOWAIT), SEGMENT - LEFT);
    atomic_store(&no_pages, true);
    assert_int_equal(sq_queue_put_many(queue, items, LEFT + 1, SQ_FOREVER), LEFT);
    assert_int_equal(sq_queue_put_many(queue, items, 1, SQ_FOREVER), SQ_ENOMEM);
    sq_queue_free(queue);
}

static void create_without_memory_fails(void **state)
{
    (void)state;
    sq_queue *queue = NULL;
    atomic_store(&no_pages, true);
    assert_int_equal(sq_queue_create(NULL, &queue), SQ_ENOMEM);
    sq_queue_options options = {.capacity = SQ_QUEUE_CAPACITY_MAX};
    assert_int_equal(sq_queue_create(&options, &queue), SQ_ENOMEM);
    assert_null(queue);
}

static void a_bounded_queue_needs_no_memory_once_made(void **state)
{
    (void)state;
    enum { CAPACITY = 1000 };
    void *got;
    sq_queue *queue = make_queue(CAPACITY, SQ_FIFO);
    atomic_store(&no_pages, true);
    atomic_store(&no_blocks, true);
    for (unsigned n = 0; n < 5 * CAPACITY; n++) {
        assert_int_equal(sq_queue_put(queue, item(n), SQ_NOWAIT), SQ_OK);
        if (n >= CAPACITY - 1)
            assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
    }
    all_memory_is_back(NULL);
    sq_queue_free(queue);
}

static void a_burst_gives_its_memory_back(void **state)
{
    (void)state;
    void *got;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    for (unsigned burst = 0; burst < 2; burst++) {
        for (uintptr_t n = 0; n < MILLION; n++)
            assert_int_equal(sq_queue_put(queue, item(n), SQ_NOWAIT), SQ_OK);
        assert_in_range(resident_bytes(), MILLION * 16, MILLION * 16 + SEGMENT_BYTES);
        for (uintptr_t n = 0; n < MILLION; n++) {
            assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
            assert_int_equal(number(got), n);
        }
        assert_in_range(resident_bytes(), 0, (SQI_SEGMENTS_HOT_MAX + 2) * SEGMENT_BYTES);
    }
    /* The second burst used the addresses of the first. */
    assert_in_range(mapped.count, MILLION / SEGMENT, MILLION / SEGMENT + 2);
    sq_queue_free(queue);
}

static void a_queue_that_stays_short_stays_small(void **state)
{
    (void)state;
    void *got;
    sq_queue *queue = make_queue(0, SQ_FIFO);
    for (uintptr_t n = 0; n < MILLION; n++) {
        assert_int_equal(sq_queue_put(queue, item(n), SQ_NOWAIT), SQ_OK);
        assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
        assert_int_equal(number(got), n);
    }
    assert_in_range(mapped.count, 1, 3);
    sq_queue_free(queue);
}

/* ── LIFO ─────────────────────────────────────────────────────────────────────────────────── */

static sq_queue *make_pile_with(uint64_t capacity, size_t count)
{
    void *items[2 * FITS] = {NULL};
    sq_queue *queue = make_queue(capacity, SQ_LIFO);
    assert_int_equal(sq_queue_put_many(queue, items, count, SQ_NOWAIT), count);
    atomic_store(&entries_max, FITS);
    return queue;
}

static void put_on_a_pile_without_memory_changes_nothing(void **state)
{
    (void)state;
    sq_queue *queue = make_pile_with(0, FITS);
    void *items[] = {item(1), item(2)}, *got;
    assert_int_equal(sq_queue_put(queue, item(1), SQ_FOREVER), SQ_ENOMEM);
    assert_int_equal(sq_queue_put_many(queue, items, 2, SQ_FOREVER), SQ_ENOMEM);
    assert_int_equal(sq_queue_size(queue), FITS);
    assert_int_equal(stats_of(queue).puts, FITS);
    assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
    assert_int_equal(sq_queue_put(queue, item(1), SQ_NOWAIT), SQ_OK); /* there is room again */
    all_memory_is_back(NULL);
    assert_int_equal(sq_queue_put_many(queue, items, 2, SQ_NOWAIT), 2);
    sq_queue_free(queue);
}

static void *put_batch(void *queue)
{
    void *items[FITS + 1] = {NULL};
    return item(sq_queue_put_many(queue, items, FITS + 1, SQ_FOREVER));
}

/* A pile of 17 items shrinks to 16 entries. There is room for 12, and a wake for whoever waits
   first: mostly the batch, which would need more entries. It must pass the wake on to the single
   put, which needs none. */
static void a_put_that_fails_for_memory_passes_its_wake_on(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        all_memory_is_back(NULL);
        sq_queue *queue = make_pile_with(FITS + 1, FITS + 1);
        void *got[FITS];
        pthread_t batch = start_thread(put_batch, queue);
        wait_until(stats_of(queue).waiting_puts == 1);
        struct call call = {.queue = queue, .timeout_ms = SQ_FOREVER};
        pthread_t single = start_thread(call_put, &call);
        wait_until(stats_of(queue).waiting_puts == 2);
        assert_int_equal(sq_queue_get_many(queue, 12, SQ_NOWAIT, got), 12);
        assert_int_equal(end_thread(single), SQ_OK);
        assert_int_equal(end_thread(batch), SQ_ENOMEM);
        sq_queue_free(queue);
    }
}

#define memory_test(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, all_memory_is_back, all_memory_is_back)

int main(void)
{
    const struct CMUnitTest tests[] = {
        memory_test(put_without_pages_changes_nothing),
        memory_test(put_without_a_block_for_the_segment_changes_nothing),
        memory_test(put_many_without_memory_puts_what_has_room),
        memory_test(create_without_memory_fails),
        memory_test(a_bounded_queue_needs_no_memory_once_made),
        memory_test(a_burst_gives_its_memory_back),
        memory_test(a_queue_that_stays_short_stays_small),
        memory_test(put_on_a_pile_without_memory_changes_nothing),
        memory_test(a_put_that_fails_for_memory_passes_its_wake_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
