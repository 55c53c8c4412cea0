/* SPDX-License-Identifier: Apache-2.0 */
/* The exercise: one producer, five daemon consumers, a queue to join. Prints (n, n²), n = 0..99. */
#include <pthread.h>
#include <sealq/sealq.h>
#include <stdio.h>

enum { COUNT = 100, CONSUMERS = 5 };

static sq_queue *queue;
static long final_results[COUNT]; /* [n] is n²: a list that is in order whoever writes first */

static void *consume(void *unused)
{
    void *item;
    while (sq_queue_get(queue, SQ_FOREVER, &item) == SQ_OK) {
        long n = (long)item;
        final_results[n] = n * n;
        sq_queue_task_done(queue, 1);
    }
    return unused;
}

int main(void)
{
    if (sq_queue_create(NULL, &queue) < 0)
        return 1;
    for (int i = 0; i < CONSUMERS; i++)
        if (pthread_create(&(pthread_t){0}, NULL, consume, NULL) != 0)
            return 1;
    for (long n = 0; n < COUNT; n++)
        if (sq_queue_put(queue, (void *)n, SQ_FOREVER) < 0)
            return 1;
    sq_queue_join(queue, SQ_FOREVER); /* every task is done, so every square is there */
    for (long n = 0; n < COUNT; n++)
        printf("%s(%ld, %ld)", n ? ", " : "[", n, final_results[n]);
    puts("]");
    return 0; /* the consumers wait in get for ever: daemons end with the program */
}
