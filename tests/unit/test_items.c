/* SPDX-License-Identifier: Apache-2.0 */
/* The containers: growth, shrinking, and memory that runs out. Their order is tested through the
   queue, in test_queue.c and test_queue_random.c. */
#include "queue/items.h"
#include "testing.h"

static void reserve_of_too_much_changes_nothing(void **state)
{
    (void)state;
    struct sqi_items items = {.order = SQ_FIFO};
    assert_int_equal(sqi_items_reserve(&items, 3), SQ_OK);
    sqi_items_add(&items, item(1));
    size_t slot_count = items.slot_count;
    assert_int_equal(sqi_items_reserve(&items, SIZE_MAX), SQ_ENOMEM);      /* overflows count */
    assert_int_equal(sqi_items_reserve(&items, SIZE_MAX - 1), SQ_ENOMEM);  /* overflows slots */
    assert_int_equal(sqi_items_reserve(&items, SIZE_MAX / 64), SQ_ENOMEM); /* more than there is */
    assert_int_equal(items.slot_count, slot_count);
    assert_ptr_equal(sqi_items_take(&items), item(1));
    sqi_items_free(&items);
}

static void fill_and_empty(sq_queue_order order)
{
    enum { MANY = 100000 };
    struct sqi_items items = {.order = order};
    assert_int_equal(sqi_items_reserve(&items, 1), SQ_OK);
    size_t least = items.slot_count;
    for (unsigned n = 1; n <= MANY; n++) {
        assert_int_equal(sqi_items_reserve(&items, 1), SQ_OK);
        sqi_items_add(&items, item(n));
    }
    assert_true(items.slot_count >= MANY);
    for (unsigned n = 1; n <= MANY; n++)
        assert_int_equal(number(sqi_items_take(&items)), order == SQ_FIFO ? n : MANY + 1 - n);
    assert_int_equal(items.slot_count, least);
    sqi_items_free(&items);
}

static void a_burst_gives_its_memory_back(void **state)
{
    (void)state;
    fill_and_empty(SQ_FIFO);
    fill_and_empty(SQ_LIFO);
}

static void growing_keeps_the_order_of_a_ring_that_has_wrapped(void **state)
{
    (void)state;
    struct sqi_items items = {.order = SQ_FIFO};
    unsigned next_in = 1, next_out = 1;
    for (unsigned round = 0; round < 1000; round++) { /* each round adds 3 and takes 2 */
        for (unsigned i = 0; i < 3; i++, next_in++) {
            assert_int_equal(sqi_items_reserve(&items, 1), SQ_OK);
            sqi_items_add(&items, item(next_in));
        }
        for (unsigned i = 0; i < 2; i++, next_out++)
            assert_int_equal(number(sqi_items_take(&items)), next_out);
    }
    assert_int_equal(items.count, 1000);
    sqi_items_free(&items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserve_of_too_much_changes_nothing),
        cmocka_unit_test(a_burst_gives_its_memory_back),
        cmocka_unit_test(growing_keeps_the_order_of_a_ring_that_has_wrapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
