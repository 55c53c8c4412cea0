/* SPDX-License-Identifier: Apache-2.0 */
#include "runner.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "interleave/delay.h"
#include "plan.h"

enum {
    ENDING_MAX = 16, /* calls with which thread 0 ends a queue */
    TURN_BATCH = 256,
    HANG_S = 60,  /* a history takes some microseconds: this is for ever, also under a sanitizer */
    WRONG = -999, /* the answer of a call that did what no answer allows */
};

_Static_assert(20 + ENDING_MAX + 2 <= SQT_CALLS_MAX, "planned, ending, and the runner's own");

struct worker {
    struct sqt_runner *runner;
    pthread_t pthread;
    sem_t go;
    unsigned thread;
    uint64_t random;
    struct sqt_call calls[SQT_PLANNED_MAX + ENDING_MAX];
    unsigned call_count;
};

struct sqt_runner {
    struct worker workers[SQT_THREADS_MAX];
    struct sqt_plan plan;
    sq_queue *queue;
    sq_queue_stats at_begin;
    _Atomic uint64_t clock;
    atomic_uint arrived, inside;
    atomic_bool stopping;
    sem_t ended;
    uint64_t call_count, overlap_count;
};

static void must(bool happened)
{
    if (!happened)
        abort();
}

/* ── one call ─────────────────────────────────────────────────────────────────────────────── */

/* What this thread is doing: for drop, which is called within. */
static _Thread_local struct sqt_call *current;

static void note_drop(void *dropped, void *context)
{
    (void)context;
    must(current && (current->kind == SQT_SHUTDOWN_IMMEDIATE || current->kind == SQT_FREE));
    if (current->item_count < SQT_ITEMS_MAX) /* more of them are an error anyway */
        current->items[current->item_count++] = (uint8_t)(uintptr_t)dropped;
}

static int compare_priorities(const void *a, const void *b, void *context)
{
    (void)context;
    return sqt_priority((unsigned)(uintptr_t)a) - sqt_priority((unsigned)(uintptr_t)b);
}

static ssize_t put(sq_queue *queue, const struct sqt_call *call)
{
    void *items[SQT_BATCH_MAX] = {NULL};
    for (unsigned i = 0; i < call->item_count; i++)
        items[i] = (void *)(uintptr_t)call->items[i];
    if (call->kind == SQT_PUT)
        return sq_queue_put(queue, items[0], call->timeout_ms);
    return sq_queue_put_many(queue, items, call->n, call->timeout_ms);
}

static ssize_t get(sq_queue *queue, struct sqt_call *call)
{
    static char untouched;
    void *items[SQT_BATCH_MAX] = {&untouched, &untouched, &untouched, &untouched};
    ssize_t result;
    if (call->kind == SQT_GET)
        result = sq_queue_get(queue, call->timeout_ms, items);
    else
        result = sq_queue_get_many(queue, call->n, call->timeout_ms, items);
    call->item_count = result < 0 ? 0 : call->kind == SQT_GET ? 1 : (unsigned)result;
    for (unsigned i = 0; i < SQT_BATCH_MAX; i++) {
        if (i < call->item_count)
            call->items[i] = (uint8_t)(uintptr_t)items[i];
        if ((i < call->item_count) == (items[i] == &untouched))
            return WRONG;
    }
    return result;
}

static int stat(const struct sqt_runner *runner, struct sqt_call *call)
{
    int result = sq_queue_stat(runner->queue, &call->stats);
    call->stats.puts -= runner->at_begin.puts;
    call->stats.gets -= runner->at_begin.gets;
    call->stats.dones -= runner->at_begin.dones;
    return result;
}

static ssize_t answer(const struct sqt_runner *runner, struct sqt_call *call)
{
    switch (call->kind) {
    case SQT_PUT:
    case SQT_PUT_MANY:
        return put(runner->queue, call);
    case SQT_GET:
    case SQT_GET_MANY:
        return get(runner->queue, call);
    case SQT_TASK_DONE:
        return sq_queue_task_done(runner->queue, call->n);
    case SQT_JOIN:
        return sq_queue_join(runner->queue, call->timeout_ms);
    case SQT_SHUTDOWN:
    case SQT_SHUTDOWN_IMMEDIATE:
        return sq_queue_shutdown(runner->queue, call->kind == SQT_SHUTDOWN_IMMEDIATE);
    case SQT_STAT:
        return stat(runner, call);
    case SQT_FREE:
        return sq_queue_free(runner->queue) ? WRONG : SQ_OK;
    }
    return WRONG;
}

static void perform(struct sqt_runner *runner, struct sqt_call *call)
{
    current = call;
    call->invoked = atomic_fetch_add(&runner->clock, 1) + 1;
    call->result = answer(runner, call);
    call->returned = atomic_fetch_add(&runner->clock, 1) + 1;
    current = NULL;
}

/* ── the threads ──────────────────────────────────────────────────────────────────────────── */

/* Threads are let go one after the other: without this the first might have ended by then. */
static void wait_for_all(struct sqt_runner *runner)
{
    atomic_fetch_add(&runner->arrived, 1);
    for (unsigned i = 1; atomic_load(&runner->arrived) < runner->plan.thread_count; i++) {
        sqt_spin(20);
        if (i % 256 == 0)
            sched_yield();
    }
}

/* Mostly none: calls take less than it takes to choose. */
static void delay(uint64_t *random)
{
    uint64_t drawn = sqt_next_random(random);
    if (drawn % 32 == 0)
        sched_yield();
    else if (drawn % 32 <= 4)
        sqt_spin((unsigned)(drawn >> 8) % (drawn % 32 <= 2 ? 30 : 300));
}

static struct sqt_call *do_next(struct worker *worker, struct sqt_call call)
{
    struct sqt_call *next = &worker->calls[worker->call_count];
    *next = call;
    worker->call_count++;
    next->thread = worker->thread;
    perform(worker->runner, next);
    return next;
}

/* Shuts the queue down and calls everything done, so that whoever waits goes on. Others may count
   at the same time: then it is tried again. */
static void end_queue(struct worker *worker)
{
    bool immediate = sqt_next_random(&worker->random) % 2;
    do_next(worker, (struct sqt_call){.kind = immediate ? SQT_SHUTDOWN_IMMEDIATE : SQT_SHUTDOWN});
    for (unsigned i = 1; i + 1 < ENDING_MAX; i += 2) {
        uint64_t unfinished =
            do_next(worker, (struct sqt_call){.kind = SQT_STAT})->stats.unfinished;
        if (unfinished == 0)
            return;
        do_next(worker, (struct sqt_call){.kind = SQT_TASK_DONE, .n = unfinished});
    }
}

static void run_program(struct worker *worker)
{
    const struct sqt_plan *plan = &worker->runner->plan;
    for (unsigned i = 0; i < plan->call_counts[worker->thread]; i++) {
        delay(&worker->random);
        do_next(worker, plan->calls[worker->thread][i]);
    }
    if (plan->is_ended && worker->thread == 0)
        end_queue(worker);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct sqt_runner *runner = worker->runner;
    for (;;) {
        while (sem_wait(&worker->go) != 0)
            must(errno == EINTR);
        if (atomic_load(&runner->stopping))
            return NULL;
        wait_for_all(runner);
        run_program(worker);
        if (atomic_fetch_sub(&runner->inside, 1) == 1)
            must(sem_post(&runner->ended) == 0);
    }
}

struct sqt_runner *sqt_runner_start(void)
{
    struct sqt_runner *runner = calloc(1, sizeof *runner);
    must(runner && sem_init(&runner->ended, 0, 0) == 0);
    for (unsigned t = 0; t < SQT_THREADS_MAX; t++) {
        struct worker *worker = &runner->workers[t];
        worker->runner = runner;
        worker->thread = t;
        must(sem_init(&worker->go, 0, 0) == 0);
        must(pthread_create(&worker->pthread, NULL, work, worker) == 0);
    }
    return runner;
}

void sqt_runner_stop(struct sqt_runner *runner)
{
    atomic_store(&runner->stopping, true);
    for (unsigned t = 0; t < SQT_THREADS_MAX; t++) {
        must(sem_post(&runner->workers[t].go) == 0);
        must(pthread_join(runner->workers[t].pthread, NULL) == 0);
    }
    free(runner);
}

/* ── one history ──────────────────────────────────────────────────────────────────────────── */

/* So many items in and out, by one thread. */
static void turn(sq_queue *queue, uint64_t capacity, size_t count)
{
    void *items[TURN_BATCH] = {NULL};
    size_t batch = capacity == 0 || capacity > TURN_BATCH ? TURN_BATCH : capacity;
    for (size_t left = count; left > 0; left -= batch) {
        batch = left < batch ? left : batch;
        must(sq_queue_put_many(queue, items, batch, SQ_NOWAIT) == (ssize_t)batch);
        must(sq_queue_get_many(queue, batch, SQ_NOWAIT, items) == (ssize_t)batch);
    }
    must(sq_queue_task_done(queue, count) == SQ_OK);
}

static void make_queue(struct sqt_runner *runner, sq_queue_order order)
{
    sq_queue_options options = {
        .capacity = runner->plan.capacity,
        .order = order,
        .compare = order == SQ_PRIORITY ? compare_priorities : NULL,
        .drop = note_drop,
        .single_producer = runner->plan.single_producer,
        .single_consumer = runner->plan.single_consumer,
    };
    must(sq_queue_create(&options, &runner->queue) == SQ_OK);
    turn(runner->queue, options.capacity, runner->plan.turned);
    must(sq_queue_stat(runner->queue, &runner->at_begin) == SQ_OK);
}

static int by_invoked(const void *a, const void *b)
{
    const struct sqt_call *left = a, *right = b;
    return (left->invoked > right->invoked) - (left->invoked < right->invoked);
}

static void collect(const struct sqt_runner *runner, struct sqt_history *history)
{
    history->call_count = 0;
    for (unsigned t = 0; t < history->thread_count; t++)
        for (unsigned i = 0; i < runner->workers[t].call_count; i++)
            history->calls[history->call_count++] = runner->workers[t].calls[i];
    qsort(history->calls, history->call_count, sizeof history->calls[0], by_invoked);
}

/* Reads what threads still write, which matters no more. */
static void wait_for_end(struct sqt_runner *runner, struct sqt_history *history)
{
    struct timespec deadline;
    must(clock_gettime(CLOCK_REALTIME, &deadline) == 0);
    deadline.tv_sec += HANG_S;
    while (sem_timedwait(&runner->ended, &deadline) != 0) {
        if (errno == EINTR)
            continue;
        collect(runner, history);
        printf("# This history does not end:\n");
        sqt_history_print(history, stdout);
        fflush(stdout);
        abort();
    }
}

static void count_overlaps(struct sqt_runner *runner, const struct sqt_history *history)
{
    uint64_t last_end = 0;
    for (unsigned i = 0; i < history->call_count; i++) {
        const struct sqt_call *call = &history->calls[i];
        runner->overlap_count += call->invoked < last_end;
        last_end = call->returned > last_end ? call->returned : last_end;
    }
    runner->call_count += history->call_count;
}

/* When all others have ended: what it has come to. */
static void finish(struct sqt_runner *runner, struct sqt_history *history)
{
    struct sqt_call *end = &history->calls[history->call_count];
    end[0] = (struct sqt_call){.kind = SQT_STAT, .thread = history->thread_count};
    end[1] = (struct sqt_call){.kind = SQT_FREE, .thread = history->thread_count};
    perform(runner, &end[0]);
    const sq_queue_stats *stats = &end[0].stats;
    if (stats->waiting_puts + stats->waiting_gets + stats->waiting_joins != 0)
        end[0].result = WRONG;
    perform(runner, &end[1]);
    history->call_count += 2;
}

void sqt_runner_run(struct sqt_runner *runner, sq_queue_order order, uint64_t seed,
                    struct sqt_history *ret_history)
{
    runner->plan = sqt_plan_make(seed);
    ret_history->seed = seed;
    ret_history->capacity = runner->plan.capacity;
    ret_history->order = order;
    ret_history->thread_count = runner->plan.thread_count;
    make_queue(runner, order);
    atomic_store(&runner->clock, 0);
    atomic_store(&runner->arrived, 0);
    atomic_store(&runner->inside, runner->plan.thread_count);
    for (unsigned t = 0; t < runner->plan.thread_count; t++) {
        runner->workers[t].call_count = 0;
        runner->workers[t].random = seed + t + 1;
    }
    for (unsigned t = 0; t < runner->plan.thread_count; t++)
        must(sem_post(&runner->workers[t].go) == 0);
    wait_for_end(runner, ret_history);
    collect(runner, ret_history);
    count_overlaps(runner, ret_history);
    finish(runner, ret_history);
}

uint64_t sqt_runner_calls(const struct sqt_runner *runner)
{
    return runner->call_count;
}

uint64_t sqt_runner_overlaps(const struct sqt_runner *runner)
{
    return runner->overlap_count;
}
