/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes histories: up to four threads, which stay from one history to the next, run small random
 * programs on a queue made for it.
 *
 *     the caller                        each thread of the history
 *     plan, make the queue, let go ──►  all wait for each other, then: stamp, call, stamp, delay …
 *     stat, free, sort             ◄──  the last one ends it
 *
 * Waits for ever are only in histories in which thread 0 does not wait so, shuts the queue down in
 * the end, and calls everything done: then each of them ends. One that does not is printed, and
 * the program aborts: a lost wake is an error as any other.
 */
#ifndef SQT_RUNNER_H
#define SQT_RUNNER_H

#include "history.h"

struct sqt_runner;

struct sqt_runner *sqt_runner_start(void);
void sqt_runner_stop(struct sqt_runner *runner);

/* One history; all its choices come from the seed, the threads' timing does not. */
void sqt_runner_run(struct sqt_runner *runner, sq_queue_order order, uint64_t seed,
                    struct sqt_history *ret_history);

/* How many calls there have been, and how many of them began while another was under way. */
uint64_t sqt_runner_calls(const struct sqt_runner *runner);
uint64_t sqt_runner_overlaps(const struct sqt_runner *runner);

#endif
