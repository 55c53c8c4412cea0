/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is there an order of the steps of all calls that explains a history (linearizability)?
 *
 * A search: from the empty queue, take any step that is legal of any call that has begun before
 * every call that is not complete has ended; when none is left, go back. A state that was visited
 * once is not visited again. Of a FIFO more is known: what left first was put first.
 *
 * Source      Wing and Gong, "Testing and verifying concurrent objects" (1993); the table of
 *             visited states: Lowe, "Testing for linearizability" (2017).
 */
#ifndef SQT_CHECKER_H
#define SQT_CHECKER_H

#include "history.h"

struct sqt_checker;

enum sqt_verdict {
    SQT_EXPLAINED,
    SQT_UNEXPLAINED,
    SQT_UNDECIDED, /* more states than there is patience for */
};

/* Aborts for want of memory, as all of this does. */
struct sqt_checker *sqt_checker_make(void);
void sqt_checker_free(struct sqt_checker *checker);

enum sqt_verdict sqt_check(struct sqt_checker *checker, const struct sqt_history *history);

/* Of the history checked last, unexplained: how far the best order came, and what is then left. */
void sqt_checker_explain(const struct sqt_checker *checker, const struct sqt_history *history,
                         FILE *file);

#endif
