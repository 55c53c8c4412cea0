/* SPDX-License-Identifier: Apache-2.0 */
/* The containers: growth, shrinking, and memory that runs out. Their order is tested through the
   queue, in test_queue.c and test_queue_random.c. */
#include "queue/items.h"
#include "testing.h"

static void reserve_of_too_much_changes_nothing(void **state)
{
    (void)state;
    struct sqi_items items = {.order = SQ_LIFO};
    assert_int_equal(sqi_items_reserve(&items, 3), SQ_OK);
    sqi_items_add(&items, item(1));
    size_t entry_count = items.entry_count;
    assert_int_equal(sqi_items_reserve(&items, SIZE_MAX), SQ_ENOMEM);      /* overflows count */
    assert_int_equal(sqi_items_reserve(&items, SIZE_MAX - 1), SQ_ENOMEM);  /* overflows entries */
    assert_int_equal(sqi_items_reserve(&items, SIZE_MAX / 64), SQ_ENOMEM); /* more than there is */
    assert_int_equal(items.entry_count, entry_count);
    assert_ptr_equal(sqi_items_take(&items), item(1));
    sqi_items_free(&items);
}

static int compare_numbers(const void *a, const void *b, void *context)
{
    (void)context;
    return number(a) < number(b) ? -1 : number(a) > number(b);
}

static void fill_and_empty(sq_queue_order order)
{
    enum { MANY = 100000 };
    struct sqi_items items = {.order = order, .compare = compare_numbers};
    assert_int_equal(sqi_items_reserve(&items, 1), SQ_OK);
    size_t least = items.entry_count;
    for (unsigned n = 1; n <= MANY; n++) {
        assert_int_equal(sqi_items_reserve(&items, 1), SQ_OK);
        sqi_items_add(&items, item(n));
    }
    assert_true(items.entry_count >= MANY);
    for (unsigned n = 1; n <= MANY; n++)
        assert_int_equal(number(sqi_items_take(&items)), order == SQ_LIFO ? MANY + 1 - n : n);
    assert_int_equal(items.entry_count, least);
    sqi_items_free(&items);
}

static void a_burst_gives_its_memory_back(void **state)
{
    (void)state;
    fill_and_empty(SQ_LIFO);
    fill_and_empty(SQ_PRIORITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserve_of_too_much_changes_nothing),
        cmocka_unit_test(a_burst_gives_its_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
