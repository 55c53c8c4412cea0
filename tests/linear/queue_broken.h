/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue with an error, to see that the checker finds it: the linker puts these functions between
 * the runner and the oracle (--wrap), and each defect makes of right answers wrong ones. Most do so
 * only while another thread is inside, too: what a test by one thread cannot see.
 */
#ifndef SQT_QUEUE_BROKEN_H
#define SQT_QUEUE_BROKEN_H

enum sqt_defect {
    SQT_SOUND,
    SQT_IN_STEPS,          /* no error: batches and drains that are not one step */
    SQT_ONE_MORE,          /* it holds one more than its capacity */
    SQT_OVERTAKEN,         /* get takes the second item, and the first goes to the end */
    SQT_REVERSED,          /* put_many puts the last item first */
    SQT_LOST,              /* get takes two and answers one */
    SQT_DOUBLED,           /* get answers what the get before it did */
    SQT_SEEMS_EMPTY,       /* get answers empty without a look */
    SQT_SEEMS_FULL,        /* put answers full without a look */
    SQT_JOIN_TORN,         /* join reads how many were put, and later how many are done */
    SQT_STAT_TORN,         /* stat reads some counters, and later the others */
    SQT_ENDS_EARLY,        /* get finds the queue empty, and later that it is shut down */
    SQT_TOO_MANY_COUNTS,   /* task_done of too many counts what it can */
    SQT_DRAINED_UNCOUNTED, /* an immediate shutdown does not count what it drained as done */
    SQT_GET_MANY_TOO_FEW,  /* get_many leaves an item though it has room */
    SQT_DEFECT_COUNT,
};

extern enum sqt_defect sqt_defect;

#endif
