/* SPDX-License-Identifier: Apache-2.0 */
/* The queue when memory runs out: the linker puts our reallocarray in the place of libc's. */
#include <stdatomic.h>

#include "testing.h"

enum { FITS = 16 }; /* the slots of a queue's first block */

static atomic_size_t slots_max; /* a larger block is not to be had */

void *__real_reallocarray(void *block, size_t count, size_t bytes);
void *__wrap_reallocarray(void *block, size_t count, size_t bytes);
void *__wrap_reallocarray(void *block, size_t count, size_t bytes)
{
    return count > atomic_load(&slots_max) ? NULL : __real_reallocarray(block, count, bytes);
}

static sq_queue *make_queue_with(uint64_t capacity, size_t count)
{
    void *items[2 * FITS] = {NULL};
    atomic_store(&slots_max, SIZE_MAX);
    sq_queue *queue = make_queue(capacity, SQ_FIFO);
    assert_int_equal(sq_queue_put_many(queue, items, count, SQ_NOWAIT), count);
    atomic_store(&slots_max, FITS);
    return queue;
}

static void put_without_memory_changes_nothing(void **state)
{
    (void)state;
    sq_queue *queue = make_queue_with(0, FITS);
    void *items[] = {item(1), item(2)}, *got;
    assert_int_equal(sq_queue_put(queue, item(1), SQ_FOREVER), SQ_ENOMEM);
    assert_int_equal(sq_queue_put_many(queue, items, 2, SQ_FOREVER), SQ_ENOMEM);
    assert_int_equal(sq_queue_size(queue), FITS);
    assert_int_equal(stats_of(queue).puts, FITS);
    assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
    assert_int_equal(sq_queue_put(queue, item(1), SQ_NOWAIT), SQ_OK); /* there is room again */
    atomic_store(&slots_max, SIZE_MAX);
    assert_int_equal(sq_queue_put_many(queue, items, 2, SQ_NOWAIT), 2);
    sq_queue_free(queue);
}

static void *put_batch(void *queue)
{
    void *items[FITS + 1] = {NULL};
    return item(sq_queue_put_many(queue, items, FITS + 1, SQ_FOREVER));
}

/* A queue of 17 items shrinks to 16 slots. There is room for 12, and a wake for whoever waits
   first: mostly the batch, which would need more slots. It must pass the wake on to the single
   put, which needs none. */
static void a_put_that_fails_for_memory_passes_its_wake_on(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 50; round++) {
        sq_queue *queue = make_queue_with(FITS + 1, FITS + 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_without_memory_changes_nothing),
        cmocka_unit_test(a_put_that_fails_for_memory_passes_its_wake_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
