/* SPDX-License-Identifier: Apache-2.0 */
/* Telling a child from its parent: what keeps a nonce from being used in both. */
#include "base/fork.h"
#include "clone.h"
#include "testing.h"

typedef uint32_t generation_function(void);
typedef pid_t fork_function(void);

static int end_of(pid_t child)
{
    int status;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

enum { SEEN = 11, NOT_SEEN, NOT_STEADY };

static int seen_in_child(generation_function *generation, uint32_t before)
{
    uint32_t now = generation();
    if (now == before)
        return NOT_SEEN;
    return generation() == now ? SEEN : NOT_STEADY; /* once a fork, not at each call */
}

static void assert_child_is_told(fork_function *make_child, generation_function *generation)
{
    uint32_t before = generation();
    pid_t child = make_child();
    if (child == 0)
        _exit(seen_in_child(generation, before));
    assert_int_equal(end_of(child), SEEN);
    assert_int_equal(generation(), before);
}

static void generation_changes_in_a_forked_child_only(void **state)
{
    (void)state;
    assert_child_is_told(fork, sqi_fork_generation);
    assert_child_is_told(fork, sqi_fork_generation_sure);
}

static void generation_changes_in_a_bare_clone_too(void **state)
{
    (void)state;
    assert_child_is_told(bare_clone, sqi_fork_generation);
    assert_child_is_told(bare_clone, sqi_fork_generation_sure);
}

/* Both ways of asking are one number: what one was told, the other knows. */
static void both_ways_of_asking_agree(void **state)
{
    (void)state;
    assert_int_equal(sqi_fork_generation(), sqi_fork_generation_sure());
    pid_t child = fork();
    if (child == 0)
        _exit(sqi_fork_generation() == sqi_fork_generation_sure() ? SEEN : NOT_SEEN);
    assert_int_equal(end_of(child), SEEN);
}

static void generation_changes_in_every_descendant(void **state)
{
    (void)state;
    fork_function *const ways[][2] = {
        {fork, fork}, {fork, bare_clone}, {bare_clone, fork}, {bare_clone, bare_clone}};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        uint32_t first = sqi_fork_generation();
        pid_t child = ways[i][0]();
        if (child == 0) {
            uint32_t second = sqi_fork_generation();
            pid_t grandchild = ways[i][1]();
            if (grandchild == 0)
                _exit(sqi_fork_generation() == first ? NOT_SEEN
                                                     : seen_in_child(sqi_fork_generation, second));
            int status = 0;
            waitpid(grandchild, &status, 0);
            _exit(second == first ? NOT_SEEN : WEXITSTATUS(status));
        }
        assert_int_equal(end_of(child), SEEN);
    }
}

static void *generation_in_thread(void *argument)
{
    (void)argument;
    return item(sqi_fork_generation());
}

static void generation_is_the_same_in_all_threads(void **state)
{
    (void)state;
    assert_int_equal(end_thread(start_thread(generation_in_thread, NULL)), sqi_fork_generation());
}

static void queues_of_every_order_are_the_parents_in_a_bare_clone(void **state)
{
    (void)state;
    for (int order = SQ_FIFO; order <= SQ_LIFO; order++) {
        sq_queue *queue = make_queue(0, (sq_queue_order)order);
        void *got;
        assert_int_equal(sq_queue_put(queue, item(1), SQ_NOWAIT), SQ_OK);
        assert_int_equal(sq_queue_get(queue, SQ_NOWAIT, &got), SQ_OK);
        pid_t child = bare_clone();
        if (child == 0) {
            /* task_done first: it must be told without another call before it. */
            bool told = sq_queue_task_done(queue, 1) == SQ_EFORK &&
                        sq_queue_put(queue, item(2), SQ_NOWAIT) == SQ_EFORK &&
                        sq_queue_get(queue, SQ_NOWAIT, &got) == SQ_EFORK;
            _exit(told ? SEEN : NOT_SEEN);
        }
        assert_int_equal(end_of(child), SEEN);
        assert_int_equal(stats_of(queue).unfinished, 1);
        sq_queue_free(queue);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest forks[] = {
        cmocka_unit_test(generation_changes_in_a_forked_child_only),
        cmocka_unit_test(both_ways_of_asking_agree),
        cmocka_unit_test(generation_is_the_same_in_all_threads),
    };
    const struct CMUnitTest clones[] = {
        cmocka_unit_test(generation_changes_in_a_bare_clone_too),
        cmocka_unit_test(generation_changes_in_every_descendant),
        cmocka_unit_test(queues_of_every_order_are_the_parents_in_a_bare_clone),
    };
    if (argc < 2 || strcmp(argv[1], "clone") != 0)
        return cmocka_run_group_tests_name("fork", forks, NULL, NULL);
    if (!pages_are_wiped_in_children())
        return skip_all("children keep pages that should be wiped");
    return cmocka_run_group_tests_name("fork_clone", clones, NULL, NULL);
}
