/* SPDX-License-Identifier: Apache-2.0 */
/* The checker, on histories written by hand: what it must explain, and what it must not. */
#include "checker.h"
#include "unit/testing.h"

/* A call from one stamp to another. Those that wait do so for 1 ms at most. */
#define CALL(kind_, from, to, ...)                                                                 \
    {                                                                                              \
        .kind = SQT_##kind_, .invoked = from, .returned = to, .timeout_ms = 1, __VA_ARGS__         \
    }
#define PUT(from, to, number) CALL(PUT, from, to, .item_count = 1, .items = {number})
#define FULL(from, to) CALL(PUT, from, to, .result = SQ_EFULL, .item_count = 1, .items = {39})
#define PUT_CLOSED(from, to) CALL(PUT, from, to, .result = SQ_ESHUTDOWN, .item_count = 1)
#define GET(from, to, number) CALL(GET, from, to, .item_count = 1, .items = {number})
#define EMPTY(from, to) CALL(GET, from, to, .result = SQ_EEMPTY)
#define EMPTY_FOR_EVER(from, to)                                                                   \
    {                                                                                              \
        .kind = SQT_GET, .invoked = from, .returned = to, .timeout_ms = SQ_FOREVER,                \
        .result = SQ_EEMPTY                                                                        \
    }
#define GET_CLOSED(from, to) CALL(GET, from, to, .result = SQ_ESHUTDOWN)
#define DONE(from, to, n_) CALL(TASK_DONE, from, to, .n = n_)
#define TOO_MANY(from, to, n_) CALL(TASK_DONE, from, to, .n = n_, .result = SQ_ETOOMANY)
#define JOINED(from, to) CALL(JOIN, from, to, .result = SQ_OK)
#define NOT_JOINED(from, to) CALL(JOIN, from, to, .result = SQ_ETIMEDOUT)
#define CLOSE(from, to) CALL(SHUTDOWN, from, to, .result = SQ_OK)
/* PUT_MANY of 3 items, 1 2 3, and GET_MANY of at most 3 */
#define PUT_MANY(from, to, count)                                                                  \
    CALL(PUT_MANY, from, to, .n = 3, .result = count, .item_count = 3, .items = {1, 2, 3})
#define GET_MANY(from, to, count, ...)                                                             \
    CALL(GET_MANY, from, to, .n = 3, .result = count, .item_count = count, .items = {__VA_ARGS__})
#define DROP(from, to, count, ...)                                                                 \
    CALL(SHUTDOWN_IMMEDIATE, from, to, .item_count = count, .items = {__VA_ARGS__})
#define LEFT(from, to, count, ...) CALL(FREE, from, to, .item_count = count, .items = {__VA_ARGS__})

#define NOTHING_LEFT(from, to) CALL(FREE, from, to, .item_count = 0)

struct sample {
    const char *name;
    sq_queue_order order;
    uint64_t capacity;
    struct sqt_call calls[8];
};

#define FIFO(name, capacity, ...)                                                                  \
    {                                                                                              \
        name, SQ_FIFO, capacity,                                                                   \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define LIFO(name, ...)                                                                            \
    {                                                                                              \
        name, SQ_LIFO, 0,                                                                          \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define PRIORITY(name, ...)                                                                        \
    {                                                                                              \
        name, SQ_PRIORITY, 0,                                                                      \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const struct sample legal[] = {
    FIFO("nothing", 0, {.invoked = 0}),
    FIFO("in order", 0, PUT(1, 2, 7), PUT(3, 4, 8), GET(5, 6, 7), GET(7, 8, 8)),
    FIFO("puts at once, either way", 0, PUT(1, 3, 7), PUT(2, 4, 8), GET(5, 6, 8), GET(7, 8, 7)),
    FIFO("a get that ends before its put does", 0, PUT(1, 4, 7), GET(2, 3, 7)),
    FIFO("empty beside a put", 0, PUT(1, 4, 7), EMPTY(2, 3), GET(5, 6, 7)),
    FIFO("full beside a get", 1, PUT(1, 2, 7), GET(3, 6, 7), FULL(4, 5)),
    FIFO("full though there was room at both ends", 1, FULL(1, 8), PUT(2, 3, 7), GET(4, 5, 7)),
    FIFO("NULL, which is item 0", 0, PUT(1, 2, 0), GET(3, 4, 0)),
    FIFO("a put between those of put_many", 0, PUT_MANY(1, 4, 3), PUT(2, 3, 7),
         GET_MANY(5, 6, 3, 1, 2, 7), GET(7, 8, 3)),
    FIFO("put_many with room for a part", 2, PUT_MANY(1, 2, 2), FULL(3, 4)),
    FIFO("put_many that looked how much room there is", 2, PUT(1, 2, 7), PUT_MANY(3, 6, 1),
         GET(4, 5, 7), GET(7, 8, 1), EMPTY(9, 10)),
    FIFO("get_many of a part", 0, PUT_MANY(1, 2, 3), GET(3, 4, 1), GET_MANY(5, 6, 2, 2, 3)),
    FIFO("get_many of a part, and a put beside it", 0, PUT(1, 2, 7), GET_MANY(3, 6, 1, 7),
         PUT(4, 5, 8), GET(7, 8, 8)),
    FIFO("get_many through which a get cuts", 0, PUT_MANY(1, 2, 3), GET_MANY(3, 6, 2, 1, 3),
         GET(4, 5, 2)),
    FIFO("done before the get", 0, PUT(1, 2, 7), DONE(3, 4, 1), JOINED(5, 6), GET(7, 8, 7)),
    FIFO("too many", 0, PUT(1, 2, 7), TOO_MANY(3, 4, 2), NOT_JOINED(5, 6), DONE(7, 8, 1)),
    FIFO("a join that saw the instant between", 0, JOINED(1, 10), PUT(2, 3, 7), DONE(4, 5, 1),
         PUT(6, 7, 8)),
    FIFO("closed while the get waits", 0, GET_CLOSED(1, 4), CLOSE(2, 3), PUT_CLOSED(5, 6)),
    FIFO("closed, and what is there is got", 0, PUT(1, 2, 7), CLOSE(3, 4), GET(5, 6, 7),
         GET_CLOSED(7, 8)),
    FIFO("drained between a get and the other", 0, PUT_MANY(1, 2, 3), DROP(3, 8, 2, 1, 3),
         GET(4, 5, 2), NOT_JOINED(6, 7), DONE(9, 10, 1), JOINED(11, 12)),
    FIFO("drained after task_done has counted it", 0, PUT_MANY(1, 2, 3), DONE(3, 4, 2),
         DROP(5, 6, 3, 1, 2, 3), JOINED(7, 8)),
    LIFO("last in, first out", PUT_MANY(1, 2, 3), GET(3, 4, 3), GET(5, 6, 2), LEFT(7, 8, 1, 1)),
    PRIORITY("the least first, and equals in their order", PUT(1, 2, 5), PUT(3, 4, 6), PUT(5, 6, 3),
             GET(7, 8, 6), GET(9, 10, 3), GET(11, 12, 5)),
};

static const struct sample illegal[] = {
    FIFO("out of order", 0, PUT(1, 2, 7), PUT(3, 4, 8), GET(5, 6, 8), GET(7, 8, 7)),
    FIFO("got before it was put", 0, GET(1, 2, 7), PUT(3, 4, 7)),
    FIFO("got twice", 0, PUT(1, 2, 7), GET(3, 6, 7), GET(4, 5, 7)),
    FIFO("got, and left over", 0, PUT(1, 2, 7), GET(3, 4, 7), LEFT(5, 6, 1, 7)),
    FIFO("lost", 0, PUT(1, 2, 7), NOTHING_LEFT(3, 4)),
    FIFO("never put", 0, PUT(1, 2, 7), GET(3, 4, 9)),
    FIFO("empty with an item there", 0, PUT(1, 2, 7), EMPTY(3, 4), GET(5, 6, 7)),
    FIFO("empty for ever", 0, EMPTY_FOR_EVER(1, 2)),
    FIFO("empty with one of two items there at any time", 0, PUT(1, 2, 7), EMPTY(3, 8),
         PUT(4, 5, 8), GET(6, 7, 7), GET(9, 10, 8)),
    FIFO("full with room", 2, PUT(1, 2, 7), FULL(3, 4)),
    FIFO("full without a capacity", 0, PUT(1, 2, 7), FULL(3, 4)),
    FIFO("one more than its capacity", 1, PUT(1, 2, 7), PUT(3, 4, 8)),
    FIFO("put_many out of order", 0, PUT_MANY(1, 2, 3), GET(3, 4, 2)),
    FIFO("put_many of a part with room for all", 0, PUT_MANY(1, 2, 2)),
    FIFO("put_many of nothing without an error", 0, PUT_MANY(1, 2, 0)),
    FIFO("put_many of more than it was given", 0,
         CALL(PUT_MANY, 1, 2, .n = 1, .result = 2, .item_count = 2, .items = {1, 2})),
    FIFO("get_many of a part with more there", 0, PUT_MANY(1, 2, 3), GET_MANY(3, 4, 2, 1, 2)),
    FIFO("get_many of two that are not the first", 0, PUT_MANY(1, 2, 3), GET_MANY(3, 4, 2, 1, 3)),
    FIFO("joined with an item in work", 0, PUT(1, 2, 7), GET(3, 4, 7), JOINED(5, 6)),
    FIFO("joined though one was unfinished at any time", 0, PUT(1, 2, 7), JOINED(3, 8),
         PUT(4, 5, 8), DONE(6, 7, 1)),
    FIFO("not joined with nothing unfinished", 0, PUT(1, 2, 7), DONE(3, 4, 1), NOT_JOINED(5, 6)),
    FIFO("counted more than there is", 0, PUT(1, 2, 7), DONE(3, 4, 2)),
    FIFO("too many, though they are not", 0, PUT_MANY(1, 2, 3), TOO_MANY(3, 4, 3)),
    FIFO("too many, but counted", 0, PUT(1, 2, 7), TOO_MANY(3, 4, 2), JOINED(5, 6)),
    FIFO("put after the close", 0, CLOSE(1, 2), PUT(3, 4, 7)),
    FIFO("refused before the close", 0, PUT_CLOSED(1, 2), CLOSE(3, 4)),
    FIFO("empty after the close", 0, CLOSE(1, 2), EMPTY(3, 4)),
    FIFO("full after the close", 1, PUT(1, 2, 7), CLOSE(3, 4), FULL(5, 6)),
    FIFO("nothing more, with an item there", 0, PUT(1, 2, 7), CLOSE(3, 4), GET_CLOSED(5, 6),
         GET(7, 8, 7)),
    FIFO("closed, then an item that was put meanwhile", 0, PUT(1, 8, 7), CLOSE(2, 3),
         GET_CLOSED(4, 5), LEFT(9, 10, 1, 7)),
    FIFO("an immediate shutdown that leaves an item", 0, PUT_MANY(1, 2, 3), DROP(3, 4, 2, 1, 2),
         GET(5, 6, 3)),
    FIFO("dropped and got", 0, PUT(1, 2, 7), DROP(3, 6, 1, 7), GET(4, 5, 7)),
    FIFO("dropped and not counted", 0, PUT(1, 2, 7), DROP(3, 4, 1, 7), NOT_JOINED(5, 6)),
    FIFO("dropped out of order", 0, PUT_MANY(1, 2, 3), DROP(3, 4, 3, 2, 1, 3)),
    LIFO("first in, first out from a LIFO", PUT(1, 2, 7), PUT(3, 4, 8), GET(5, 6, 7)),
    PRIORITY("the greater first", PUT(1, 2, 5), PUT(3, 4, 6), GET(5, 6, 5)),
    FIFO("an error that the header does not name", 0, CALL(GET, 1, 2, .result = SQ_EINVAL)),
};

static struct sqt_history history_of(const struct sample *sample)
{
    struct sqt_history history = {.capacity = sample->capacity, .order = sample->order};
    while (history.call_count < 8 && sample->calls[history.call_count].invoked > 0) {
        history.calls[history.call_count] = sample->calls[history.call_count];
        history.call_count++;
    }
    return history;
}

static void check_samples(const struct sample *samples, size_t count, enum sqt_verdict expected)
{
    struct sqt_checker *checker = sqt_checker_make();
    for (size_t i = 0; i < count; i++) {
        struct sqt_history history = history_of(&samples[i]);
        enum sqt_verdict verdict = sqt_check(checker, &history);
        if (verdict != expected) {
            printf("# wrong about: %s\n", samples[i].name);
            sqt_history_print(&history, stdout);
        }
        assert_int_equal(verdict, expected);
    }
    sqt_checker_free(checker);
}

static void legal_histories_are_explained(void **state)
{
    (void)state;
    check_samples(legal, sizeof legal / sizeof legal[0], SQT_EXPLAINED);
}

static void illegal_histories_are_not(void **state)
{
    (void)state;
    check_samples(illegal, sizeof illegal / sizeof illegal[0], SQT_UNEXPLAINED);
}

/* ── stat ─────────────────────────────────────────────────────────────────────────────────── */

static enum sqt_verdict check_stat(sq_queue_stats stats)
{
    /* A put and a put that may come before or after the look. */
    struct sqt_history history = {
        .capacity = 2,
        .call_count = 3,
        .calls = {PUT(1, 2, 7), PUT(3, 6, 8), CALL(STAT, 4, 5, .stats = stats)},
    };
    struct sqt_checker *checker = sqt_checker_make();
    enum sqt_verdict verdict = sqt_check(checker, &history);
    sqt_checker_free(checker);
    return verdict;
}

static void stat_shows_one_instant(void **state)
{
    (void)state;
    sq_queue_stats before = {.capacity = 2, .size = 1, .unfinished = 1, .puts = 1, .high_water = 1};
    sq_queue_stats after = {.capacity = 2, .size = 2, .unfinished = 2, .puts = 2, .high_water = 2};
    assert_int_equal(check_stat(before), SQT_EXPLAINED);
    assert_int_equal(check_stat(after), SQT_EXPLAINED);
    sq_queue_stats torn = before;
    torn.puts = 2;
    assert_int_equal(check_stat(torn), SQT_UNEXPLAINED);
    torn = after;
    torn.high_water = 3;
    assert_int_equal(check_stat(torn), SQT_UNEXPLAINED);
    torn = before;
    torn.dones = 1;
    assert_int_equal(check_stat(torn), SQT_UNEXPLAINED);
    torn = before;
    torn.is_shutdown = true;
    assert_int_equal(check_stat(torn), SQT_UNEXPLAINED);
}

/* ── size ─────────────────────────────────────────────────────────────────────────────────── */

/* All puts at once, then all gets at once: every order of the one must be tried against every
   order of the other. Without the table of states this would not end. */
static void many_calls_at_once_are_decided_soon(void **state)
{
    (void)state;
    enum { EACH = 8 };
    struct sqt_history history = {.call_count = 2 * EACH + 1};
    for (unsigned i = 0; i < EACH; i++) {
        history.calls[i] = (struct sqt_call)PUT(i + 1, 100, (uint8_t)i);
        history.calls[EACH + i] = (struct sqt_call)GET(101 + i, 200, (uint8_t)i);
    }
    history.calls[2 * EACH] = (struct sqt_call)NOTHING_LEFT(201, 202);
    struct sqt_checker *checker = sqt_checker_make();
    assert_int_equal(sqt_check(checker, &history), SQT_EXPLAINED);
    history.calls[EACH].items[0] = 1; /* 0 is lost and 1 is there twice */
    assert_int_equal(sqt_check(checker, &history), SQT_UNEXPLAINED);
    sqt_checker_free(checker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(legal_histories_are_explained),
        cmocka_unit_test(illegal_histories_are_not),
        cmocka_unit_test(stat_shows_one_instant),
        cmocka_unit_test(many_calls_at_once_are_decided_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
