/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue against a plain model, over long random sequences of calls by one thread: after each
 * call the result and every counter must agree.
 *
 * The seed is printed; SEALQ_TEST_SEED=N repeats a run.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "testing.h"

enum { SLOT_COUNT = 1 << 16, BATCH_MAX = 700 };

static uint64_t seed;

/* Of what kind a sequence is. A queue fills up to the height, empties to the last item, fills … */
struct kind {
    uint64_t capacity;
    unsigned call_count;
    size_t batch_max; /* items in one call */
    size_t height;    /* for what an unbounded queue takes for full */
    bool may_end;     /* it is shut down at some time in its second half */
};

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014). */
static uint64_t next_random(void)
{
    uint64_t z = (seed += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static unsigned below(unsigned bound)
{
    return (unsigned)(next_random() % bound);
}

/* ── the model: an array in the order of putting, searched for whose turn it is ───────────── */

struct model {
    uint64_t capacity;
    sq_queue_order order;
    void *slots[SLOT_COUNT];
    void **items; /* within slots: what a FIFO takes leaves a gap before them */
    size_t count;
    uint64_t puts, gets, dones, drops, high_water;
    bool is_shutdown;
    bool is_filling; /* more puts than gets */
};

static int compare_tens(const void *a, const void *b, void *context)
{
    (void)context;
    return (int)(number(a) / 10 % 10) - (int)(number(b) / 10 % 10);
}

static size_t model_turn(const struct model *model)
{
    size_t turn = 0;
    if (model->order == SQ_LIFO)
        return model->count - 1;
    if (model->order == SQ_PRIORITY)
        for (size_t i = 1; i < model->count; i++)
            if (compare_tens(model->items[i], model->items[turn], NULL) < 0)
                turn = i;
    return turn;
}

static void *model_take(struct model *model)
{
    size_t turn = model_turn(model);
    void *taken = model->items[turn];
    model->count--;
    if (turn == 0)
        model->items++;
    else
        memmove(model->items + turn, model->items + turn + 1,
                (model->count - turn) * sizeof *model->items);
    return taken;
}

static ssize_t model_put(struct model *model, void *const *items, size_t count)
{
    size_t put = 0;
    if (model->is_shutdown)
        return count > 0 ? SQ_ESHUTDOWN : 0;
    memmove(model->slots, model->items, model->count * sizeof *model->items);
    model->items = model->slots;
    assert_true(model->count + count <= SLOT_COUNT);
    while (put < count && (model->capacity == 0 || model->count < model->capacity))
        model->items[model->count++] = items[put++];
    model->puts += put;
    if (model->count > model->high_water)
        model->high_water = model->count;
    return put == 0 && count > 0 ? SQ_EFULL : (ssize_t)put;
}

static ssize_t model_get(struct model *model, size_t count, void **ret_items)
{
    size_t got = 0;
    if (count == 0)
        return 0;
    if (model->count == 0)
        return model->is_shutdown ? SQ_ESHUTDOWN : SQ_EEMPTY;
    while (got < count && model->count > 0)
        ret_items[got++] = model_take(model);
    model->gets += got;
    return (ssize_t)got;
}

static int model_task_done(struct model *model, uint64_t n)
{
    if (n > model->puts - model->dones)
        return SQ_ETOOMANY;
    model->dones += n;
    return SQ_OK;
}

static void model_shutdown(struct model *model, bool immediate)
{
    model->is_shutdown = true;
    if (!immediate)
        return;
    uint64_t unfinished = model->puts - model->dones;
    model->dones += model->count < unfinished ? model->count : unfinished;
    model->drops += model->count;
    model->count = 0;
}

/* ── one call on both ─────────────────────────────────────────────────────────────────────── */

/* Mostly a few, for the ends of a small capacity; NULL is an item as any other. */
static size_t some_count(const struct kind *kind)
{
    size_t batch_max = kind->batch_max > 6 && below(4) ? 6 : kind->batch_max;
    return below((unsigned)batch_max + 1);
}

static void call_put_many(sq_queue *queue, struct model *model, const struct kind *kind)
{
    static void *items[BATCH_MAX];
    size_t count = some_count(kind);
    for (size_t i = 0; i < count; i++)
        items[i] = item(below(32) ? next_random() >> 1 : 0);
    if (count == 1) {
        ssize_t expected = model_put(model, items, 1);
        assert_int_equal(sq_queue_put(queue, items[0], SQ_NOWAIT), expected < 0 ? expected : SQ_OK);
    } else {
        assert_int_equal(sq_queue_put_many(queue, items, count, SQ_NOWAIT),
                         model_put(model, items, count));
    }
}

static void call_get_many(sq_queue *queue, struct model *model, const struct kind *kind)
{
    static void *expected_items[BATCH_MAX], *items[BATCH_MAX]; /* alike: also what is not written */
    size_t count = some_count(kind);
    ssize_t expected = model_get(model, count, expected_items);
    if (count == 1)
        assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, items), expected < 0 ? expected : SQ_OK);
    else
        assert_int_equal(sq_queue_get_many(queue, count, SQ_NOWAIT, items), expected);
    assert_memory_equal(items, expected_items, sizeof items);
}

static void call_something(sq_queue *queue, struct model *model, const struct kind *kind)
{
    unsigned drawn = below(1000);
    if (drawn < 800) {
        if (drawn < (model->is_filling ? 480 : 320))
            call_put_many(queue, model, kind);
        else
            call_get_many(queue, model, kind);
    } else if (drawn < 920) {
        size_t n = some_count(kind);
        assert_int_equal(sq_queue_task_done(queue, n), model_task_done(model, n));
    } else if (drawn < 998 || !kind->may_end) {
        int expected = model->puts == model->dones ? SQ_OK : SQ_ETIMEDOUT;
        assert_int_equal(sq_queue_join(queue, SQ_NOWAIT), expected);
    } else {
        bool immediate = below(2);
        assert_int_equal(sq_queue_shutdown(queue, immediate), SQ_OK);
        model_shutdown(model, immediate);
    }
}

static void assert_same(sq_queue *queue, const struct model *model)
{
    sq_queue_stats stats = stats_of(queue);
    assert_int_equal(stats.size, model->count);
    assert_int_equal(stats.unfinished, model->puts - model->dones);
    assert_high_water(&stats, model->high_water);
    assert_int_equal(stats.puts, model->puts);
    assert_int_equal(stats.gets, model->gets);
    assert_int_equal(stats.dones, model->dones);
    assert_int_equal(stats.drops, model->drops);
    assert_int_equal(stats.is_shutdown, model->is_shutdown);
    assert_int_equal(sq_queue_size(queue), model->count);
    assert_int_equal(sq_queue_empty(queue), model->count == 0);
    assert_int_equal(sq_queue_full(queue), model->capacity && model->count == model->capacity);
}

static void run_sequence(sq_queue_order order, struct kind kind)
{
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    model->capacity = kind.capacity;
    model->order = order;
    model->items = model->slots;
    sq_queue *queue;
    sq_queue_options options = {.capacity = kind.capacity,
                                .order = order,
                                .compare = order == SQ_PRIORITY ? compare_tens : NULL};
    assert_int_equal(sq_queue_create(&options, &queue), SQ_OK);
    struct kind opening = kind;
    opening.may_end = false;
    for (unsigned call = 0; call < kind.call_count; call++) {
        call_something(queue, model, call < kind.call_count / 2 ? &opening : &kind);
        assert_same(queue, model);
        if (model->count == 0)
            model->is_filling = true;
        else if (model->count >= kind.height)
            model->is_filling = false;
    }
    sq_queue_free(queue);
    free(model);
}

static void run_short_sequences(sq_queue_order order)
{
    static const uint64_t capacities[] = {0, 1, 2, 3, 5, 7, 64};
    for (unsigned sequence = 0; sequence < 60; sequence++)
        run_sequence(order, (struct kind){capacities[below(7)], 2000, 6, 50, true});
}

static void fifo_agrees_with_the_model(void **state)
{
    (void)state;
    run_short_sequences(SQ_FIFO);
}

static void lifo_agrees_with_the_model(void **state)
{
    (void)state;
    run_short_sequences(SQ_LIFO);
}

static void priority_agrees_with_the_model(void **state)
{
    (void)state;
    run_short_sequences(SQ_PRIORITY);
}

/* ── what only long runs reach ────────────────────────────────────────────────────────────── */

static void fifo_agrees_when_its_slots_are_used_many_thousand_times(void **state)
{
    (void)state;
    static const uint64_t capacities[] = {1, 2, 3, 5, 64};
    for (unsigned i = 0; i < 5; i++)
        run_sequence(SQ_FIFO, (struct kind){capacities[i], 60000, 100, capacities[i], false});
}

/* Some ten times up to 20,000 items and down to none. */
static void fifo_agrees_when_it_grows_and_drains_again_and_again(void **state)
{
    (void)state;
    static const uint64_t capacities[] = {0, 65536, 4096, 1000};
    for (unsigned i = 0; i < 4; i++)
        run_sequence(SQ_FIFO, (struct kind){capacities[i], 30000, BATCH_MAX, 20000, false});
}

static void fifo_agrees_when_it_ends_with_thousands_of_items(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        run_sequence(SQ_FIFO, (struct kind){i % 2 * 5000, 2000, BATCH_MAX, 20000, true});
}

static void lifo_agrees_when_it_grows_and_drains_again_and_again(void **state)
{
    (void)state;
    run_sequence(SQ_LIFO, (struct kind){0, 20000, BATCH_MAX, 20000, false});
}

/* Lower: here the model looks at every item for each that it takes. */
static void priority_agrees_when_it_grows_and_drains_again_and_again(void **state)
{
    (void)state;
    run_sequence(SQ_PRIORITY, (struct kind){0, 4000, BATCH_MAX, 2000, false});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifo_agrees_with_the_model),
        cmocka_unit_test(lifo_agrees_with_the_model),
        cmocka_unit_test(priority_agrees_with_the_model),
        cmocka_unit_test(fifo_agrees_when_its_slots_are_used_many_thousand_times),
        cmocka_unit_test(fifo_agrees_when_it_grows_and_drains_again_and_again),
        cmocka_unit_test(fifo_agrees_when_it_ends_with_thousands_of_items),
        cmocka_unit_test(lifo_agrees_when_it_grows_and_drains_again_and_again),
        cmocka_unit_test(priority_agrees_when_it_grows_and_drains_again_and_again),
    };
    const char *given = getenv("SEALQ_TEST_SEED");
    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("# SEALQ_TEST_SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
