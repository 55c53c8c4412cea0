/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consumers: threads that take, handle, and finish, over any source (see consumer.h).
 *
 * Life of the threads: made all at once, each runs thread_start and reports; only when every one
 * has succeeded are they let go (else all end, and no item was taken). They end when `stopping`
 * is set or the queue is shut down and empty. Who waits for that waits on the condition `changed`.
 *
 *     started, failed, running ── guarded by lock, told by changed
 *     stopping                 ── atomic, read at the queue's gates; set once, never cleared
 *     handled, errors          ── atomic counters, handled first: errors <= handled
 */
#include "sealq/consumer.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "queue/consumer.h"
#include "queue/queue.h"

struct worker {
    sq_consumer *consumer;
    pthread_t thread;
    unsigned index;
};

struct sq_consumer {
    struct sqi_consumer_source source;
    sq_consumer_options options;
    uint32_t fork_generation;

    atomic_bool stopping;
    _Atomic uint64_t handled, errors;
    _Atomic int first_error;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned started; /* threads whose thread_start has returned */
    int failed;       /* the first code of a thread_start that failed */
    bool go;          /* all have started, or one failed */
    unsigned running; /* threads that were made and have not ended */

    unsigned made; /* threads in workers; constant once sq_queue_consume() has returned */
    struct worker workers[];
};

/* The consumer whose thread this is, to refuse waits for oneself. */
static _Thread_local const sq_consumer *own_consumer;

static void lock(sq_consumer *consumer)
{
    int failed = pthread_mutex_lock(&consumer->lock);
    assert(!failed);
}

static void unlock(sq_consumer *consumer)
{
    int failed = pthread_mutex_unlock(&consumer->lock);
    assert(!failed);
}

/* With the lock held: wait for a change. False when the deadline has passed. */
static bool wait_for_change(sq_consumer *consumer, int64_t deadline_ns)
{
    if (deadline_ns == SQI_NEVER)
        return pthread_cond_wait(&consumer->changed, &consumer->lock) == 0;
    struct timespec deadline = {
        .tv_sec = (time_t)(deadline_ns / SQI_NS_PER_S),
        .tv_nsec = (long)(deadline_ns % SQI_NS_PER_S),
    };
    return pthread_cond_timedwait(&consumer->changed, &consumer->lock, &deadline) == 0;
}

/* ── the threads ──────────────────────────────────────────────────────────────────────────── */

void sqi_consumer_fail(sq_consumer *consumer, unsigned thread_index, int code, void *item)
{
    int none = SQ_OK;
    atomic_compare_exchange_strong(&consumer->first_error, &none, code);
    atomic_fetch_add(&consumer->errors, 1);
    if (code < 0 && consumer->options.on_error) {
        sq_consumer_error error = {.code = code, .item = item, .thread_index = thread_index};
        consumer->options.on_error(&error, consumer->options.context);
    }
}

static void handle(sq_consumer *consumer, const struct worker *worker, void *item,
                   void *thread_context)
{
    const struct sqi_consumer_source *source = &consumer->source;
    int result = consumer->options.handler(item, thread_context);
    atomic_fetch_add(&consumer->handled, 1); /* before errors: see sq_consumer_stat() */
    if (result < 0 || (result > 0 && source->has_verdicts))
        sqi_consumer_fail(consumer, worker->index, result, item);
    source->finish(source->object, consumer, worker->index, item, result);
}

/* Reports the outcome of this thread's start and waits for that of the others: whether to go. */
static bool all_started(sq_consumer *consumer, int result)
{
    lock(consumer);
    consumer->started++;
    if (result < 0 && !consumer->failed)
        consumer->failed = result;
    pthread_cond_broadcast(&consumer->changed);
    while (!consumer->go)
        wait_for_change(consumer, SQI_NEVER);
    bool go = !consumer->failed;
    unlock(consumer);
    return go;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    sq_consumer *consumer = worker->consumer;
    const sq_consumer_options *options = &consumer->options;
    void *item, *thread_context = options->context;
    own_consumer = consumer;

    int result = options->thread_start
                     ? options->thread_start(worker->index, options->context, &thread_context)
                     : SQ_OK;
    if (all_started(consumer, result))
        while (consumer->source.take(consumer->source.object, consumer, worker->index,
                                     &consumer->stopping, &item) == SQ_OK)
            handle(consumer, worker, item, thread_context);
    if (result >= 0 && options->thread_end)
        options->thread_end(worker->index, thread_context);

    lock(consumer);
    consumer->running--;
    pthread_cond_broadcast(&consumer->changed);
    unlock(consumer);
    return NULL;
}

/* ── making and freeing ───────────────────────────────────────────────────────────────────── */

static int check_options(const sq_consumer_options *options)
{
    if (!options || !options->handler)
        return sqi_fail_with(SQ_EINVAL, "a consumer needs a handler");
    if (options->threads > SQ_CONSUMER_THREADS_MAX)
        return sqi_fail_with(SQ_EINVAL, "threads is %u, the most is %d", options->threads,
                             SQ_CONSUMER_THREADS_MAX);
    return sqi_check_reserved(options->reserved, sizeof options->reserved, "sq_consumer_options");
}

static unsigned processor_count(void)
{
    cpu_set_t allowed;
    /* The affinity does not fit into a cpu_set_t where there are more than 1,024 processors. */
    long count = sched_getaffinity(0, sizeof allowed, &allowed) == 0
                     ? CPU_COUNT(&allowed)
                     : sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1                         ? 1
           : count > SQ_CONSUMER_THREADS_MAX ? SQ_CONSUMER_THREADS_MAX
                                             : (unsigned)count;
}

unsigned sqi_consumer_threads(const sq_consumer_options *options)
{
    return options->threads ? options->threads : processor_count();
}

static sq_consumer *consumer_new(const struct sqi_consumer_source *source,
                                 const sq_consumer_options *options)
{
    unsigned threads = sqi_consumer_threads(options);
    sq_consumer *consumer = calloc(1, sizeof *consumer + threads * sizeof consumer->workers[0]);
    if (!consumer)
        return NULL;
    consumer->source = *source;
    consumer->options = *options;
    consumer->options.threads = threads;
    consumer->fork_generation = sqi_fork_generation();

    pthread_condattr_t monotonic;
    int failed = pthread_condattr_init(&monotonic);
    failed |= pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    failed |= pthread_cond_init(&consumer->changed, &monotonic);
    failed |= pthread_condattr_destroy(&monotonic);
    failed |= pthread_mutex_init(&consumer->lock, NULL);
    assert(!failed); /* on Linux these fail on wrong arguments only */
    return consumer;
}

/* Makes the threads, with all signals blocked: 0, or SQ_ETHREAD when there was none for one. */
static int make_threads(sq_consumer *consumer)
{
    sigset_t all, before;
    sigfillset(&all);
    int failed = pthread_sigmask(SIG_SETMASK, &all, &before);
    assert(!failed);
    lock(consumer);
    while (!failed && consumer->made < consumer->options.threads) {
        struct worker *worker = &consumer->workers[consumer->made];
        *worker = (struct worker){.consumer = consumer, .index = consumer->made};
        failed = pthread_create(&worker->thread, NULL, work, worker);
        if (!failed)
            consumer->made++;
    }
    consumer->running = consumer->made;
    unlock(consumer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? SQ_ETHREAD : SQ_OK;
}

/* Waits until every thread's start has succeeded or failed, and lets them go or end. */
static int start(sq_consumer *consumer)
{
    int result = make_threads(consumer);
    lock(consumer);
    while (consumer->started < consumer->made)
        wait_for_change(consumer, SQI_NEVER);
    if (consumer->failed)
        result = consumer->failed;
    else
        consumer->failed = result;
    consumer->go = true;
    pthread_cond_broadcast(&consumer->changed);
    unlock(consumer);
    return result;
}

int sqi_consumer_create(const struct sqi_consumer_source *source,
                        const sq_consumer_options *options, sq_consumer **ret_consumer)
{
    int result = check_options(options);
    if (result < 0)
        return result;
    if (!ret_consumer)
        return sqi_fail_with(SQ_EINVAL, "ret_consumer is NULL");
    sq_consumer *consumer = consumer_new(source, options);
    if (!consumer)
        return sqi_fail(SQ_ENOMEM);
    result = start(consumer);
    if (result < 0) {
        consumer->source.end = NULL; /* the source stays its maker's */
        unsigned made = consumer->made, threads = consumer->options.threads;
        sq_consumer_free(consumer);
        return made < threads ? sqi_fail_with(result,
                                              "the system gave %u threads of %u: "
                                              "ask for fewer",
                                              made, threads)
                              : sqi_fail_with(result, "thread_start answered %d", result);
    }
    *ret_consumer = consumer;
    return SQ_OK;
}

static bool is_parents(const sq_consumer *consumer)
{
    return consumer->fork_generation != sqi_fork_generation();
}

static void request_stop(sq_consumer *consumer)
{
    atomic_store(&consumer->stopping, true);
    consumer->source.wake(consumer->source.object);
}

sq_consumer *sq_consumer_free(sq_consumer *consumer)
{
    if (!consumer)
        return NULL;
    if (!is_parents(consumer)) {
        assert(own_consumer != consumer);
        request_stop(consumer);
        for (unsigned i = 0; i < consumer->made; i++) {
            int failed = pthread_join(consumer->workers[i].thread, NULL);
            assert(!failed);
        }
        pthread_cond_destroy(&consumer->changed);
        pthread_mutex_destroy(&consumer->lock);
    }
    if (consumer->source.end)
        consumer->source.end(consumer->source.object, is_parents(consumer));
    free(consumer);
    return NULL;
}

/* ── drain, stop, stat ────────────────────────────────────────────────────────────────────── */

static int check(const sq_consumer *consumer)
{
    if (!consumer)
        return sqi_fail_with(SQ_EINVAL, "consumer is NULL");
    if (is_parents(consumer))
        return sqi_fail_with(SQ_EFORK, "this consumer was made before a fork: "
                                       "its threads are in the parent");
    return SQ_OK;
}

static int check_wait(const sq_consumer *consumer, int64_t timeout_ms)
{
    int result = sqi_check_timeout(timeout_ms);
    if (result == SQ_OK)
        result = check(consumer);
    if (result < 0)
        return result;
    if (own_consumer == consumer)
        return sqi_fail_with(SQ_EDEADLOCK, "a handler would wait for its own consumer to end");
    return SQ_OK;
}

static int stop_until(sq_consumer *consumer, int64_t deadline_ns)
{
    bool in_time = true;
    request_stop(consumer);
    lock(consumer);
    while (consumer->running > 0 && in_time)
        in_time = wait_for_change(consumer, deadline_ns);
    bool ended = consumer->running == 0;
    unlock(consumer);
    return ended ? SQ_OK : sqi_fail(SQ_ETIMEDOUT);
}

int sq_consumer_stop(sq_consumer *consumer, int64_t timeout_ms)
{
    int result = check_wait(consumer, timeout_ms);
    return result < 0 ? result : stop_until(consumer, sqi_deadline_after(timeout_ms));
}

int sq_consumer_drain(sq_consumer *consumer, int64_t timeout_ms)
{
    int result = check_wait(consumer, timeout_ms);
    if (result < 0)
        return result;
    int64_t deadline_ns = sqi_deadline_after(timeout_ms);
    result = consumer->source.join(consumer->source.object, deadline_ns, &consumer->stopping);
    if (result == SQ_OK)
        return stop_until(consumer, deadline_ns);
    if (atomic_load(&consumer->stopping))
        return sqi_fail_with(SQ_ESHUTDOWN, "the consumer was stopped with items left");
    return sqi_fail(result);
}

int sq_consumer_stat(const sq_consumer *consumer, sq_consumer_stats *ret_stats)
{
    int result = check(consumer);
    if (result < 0)
        return result;
    if (!ret_stats)
        return sqi_fail_with(SQ_EINVAL, "ret_stats is NULL");
    uint64_t errors = atomic_load(&consumer->errors);
    lock((sq_consumer *)consumer);
    *ret_stats = (sq_consumer_stats){
        .errors = errors,
        .handled = atomic_load(&consumer->handled),
        .first_error = atomic_load(&consumer->first_error),
        .threads = consumer->options.threads,
        .running = consumer->running,
    };
    unlock((sq_consumer *)consumer);
    return SQ_OK;
}

/* ── over a queue ─────────────────────────────────────────────────────────────────────────── */

static int take_from_queue(void *queue, sq_consumer *consumer, unsigned thread_index,
                           const atomic_bool *cancelled, void **ret_item)
{
    (void)consumer, (void)thread_index;
    if (atomic_load(cancelled))
        return SQ_ETIMEDOUT;
    return sqi_queue_get_until(queue, cancelled, ret_item);
}

static void finish_in_queue(void *queue, sq_consumer *consumer, unsigned thread_index, void *item,
                            int result)
{
    (void)consumer, (void)thread_index, (void)item, (void)result;
    /* It may answer SQ_ETOOMANY: to somebody who counted this item as done before it was got. */
    (void)sq_queue_task_done(queue, 1);
}

static int join_queue(void *queue, int64_t deadline_ns, const atomic_bool *cancelled)
{
    return sqi_queue_join_until(queue, deadline_ns, cancelled);
}

static void wake_queue(void *queue)
{
    sqi_queue_wake_cancelled(queue);
}

int sq_queue_consume(sq_queue *queue, const sq_consumer_options *options,
                     sq_consumer **ret_consumer)
{
    struct sqi_consumer_source source = {
        .object = queue,
        .take = take_from_queue,
        .finish = finish_in_queue,
        .join = join_queue,
        .wake = wake_queue,
    };
    int result = check_options(options);
    if (result < 0)
        return result;
    result = sqi_queue_check(queue);
    return result < 0 ? result : sqi_consumer_create(&source, options, ret_consumer);
}
