/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame in which every C and C++ queue is measured:
 *
 *     bench_queue_NAME PRODUCERS CONSUMERS ITEMS [OPTION=VALUE...]
 *
 *     MODE=rate       prints the seconds from the first start to the last end
 *     MODE=pingpong   prints p50, p99 and p99.9 of ITEMS round trips, in microseconds
 *     MODE=memory     prints the bytes of memory that each of ITEMS waiting items takes
 *
 * An adapter includes this first and defines the functions declared at its head. They are static
 * and in the same unit as the loops that call them: a queue made of headers is inlined, as it
 * would be for its users. Included as C and as C++.
 *
 * Producers put the numbers 1 to ITEMS, each a share of them; consumers get equal shares and add
 * them up. The sum tells whether anything was lost or doubled. Nothing is 0: some queues can't
 * carry it.
 */
#ifndef BENCH_QUEUE_HARNESS_H
#define BENCH_QUEUE_HARNESS_H

#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "setup.h"

#define WARM_UP_ROUNDS 100

struct queue;

/* ── what an adapter defines ──────────────────────────────────────────────────────────────── */

static struct queue *queue_create(const struct setup *setup);
static void queue_end(struct queue *queue); /* after the last get */
static inline void queue_put(struct queue *queue, void *port, uint64_t value);
static inline uint64_t queue_get(struct queue *queue, void *port);

#ifdef HAS_PORTS /* what a thread has of its own, on either side of the queue */
static void *port_open(struct queue *queue, bool puts);
#endif

#ifdef HAS_BATCHES /* like produce() and consume() below; the options are the adapter's */
static void produce_batches(struct queue *queue, uint64_t first, uint64_t count);
static uint64_t consume_batches(struct queue *queue, uint64_t count);
#endif

/* ── small helpers ────────────────────────────────────────────────────────────────────────── */

/* For queues that leave the waiting to their user. */
static inline void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

static inline int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static inline void *open_port(struct queue *queue, bool puts)
{
#ifdef HAS_PORTS
    return port_open(queue, puts);
#else
    (void)queue, (void)puts;
    return NULL;
#endif
}

/* ── the rate ─────────────────────────────────────────────────────────────────────────────── */

struct worker {
    pthread_t thread;
    const struct setup *setup;
    struct queue *queue;
    uint64_t first, count, sum;
    int64_t start_ns, end_ns;
};

static pthread_barrier_t all_ready;

static void produce(struct queue *queue, void *port, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        queue_put(queue, port, first + i);
}

static uint64_t consume(struct queue *queue, void *port, uint64_t count)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++)
        sum += queue_get(queue, port);
    return sum;
}

static void *run_worker(void *argument)
{
    struct worker *worker = (struct worker *)argument;
    bool puts = worker->first != 0;
    void *port = open_port(worker->queue, puts);
    pthread_barrier_wait(&all_ready);
    worker->start_ns = now_ns();
#ifdef HAS_BATCHES
    if (worker->setup->batch > 1) {
        if (puts)
            produce_batches(worker->queue, worker->first, worker->count);
        else
            worker->sum = consume_batches(worker->queue, worker->count);
        worker->end_ns = now_ns();
        return NULL;
    }
#endif
    if (puts)
        produce(worker->queue, port, worker->first, worker->count);
    else
        worker->sum = consume(worker->queue, port, worker->count);
    worker->end_ns = now_ns();
    return NULL;
}

static void measure_rate(const struct setup *setup)
{
    static struct worker workers[THREADS_MAX];
    unsigned count = (unsigned)(setup->producers + setup->consumers);
    struct queue *queue = queue_create(setup);

    pthread_barrier_init(&all_ready, NULL, count);
    for (unsigned i = 0; i < count; i++) {
        struct worker *worker = &workers[i];
        bool puts = i < setup->producers;
        worker->setup = setup;
        worker->queue = queue;
        worker->count = setup->items / (puts ? setup->producers : setup->consumers);
        worker->first = puts ? 1 + i * worker->count : 0;
        if (pthread_create(&worker->thread, NULL, run_worker, worker) != 0)
            die("pthread_create failed");
    }
    uint64_t sum = 0;
    int64_t start_ns = INT64_MAX, end_ns = 0;
    for (unsigned i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        sum += workers[i].sum;
        start_ns = workers[i].start_ns < start_ns ? workers[i].start_ns : start_ns;
        end_ns = workers[i].end_ns > end_ns ? workers[i].end_ns : end_ns;
    }
    queue_end(queue);
    uint64_t wanted = setup->items * (setup->items + 1) / 2;
    if (sum != wanted)
        die("items were lost or doubled: their sum is %" PRIu64 ", not %" PRIu64, sum, wanted);
    printf("%.6f\n", (double)(end_ns - start_ns) / 1e9);
}

/* ── the time of a round trip ─────────────────────────────────────────────────────────────── */

struct pair {
    struct queue *there, *back;
    uint64_t rounds;
};

static void *answer(void *argument)
{
    struct pair *pair = (struct pair *)argument;
    void *in = open_port(pair->there, false), *out = open_port(pair->back, true);
    for (uint64_t i = 0; i < pair->rounds; i++)
        queue_put(pair->back, out, queue_get(pair->there, in));
    return NULL;
}

static int compare_ns(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void measure_round_trips(const struct setup *setup)
{
    struct pair pair = {queue_create(setup), queue_create(setup), WARM_UP_ROUNDS + setup->items};
    void *out = open_port(pair.there, true), *in = open_port(pair.back, false);
    struct timespec pause = {0, (long)setup->pause_us * 1000};
    int64_t *times_ns = (int64_t *)calloc(pair.rounds, sizeof *times_ns);
    pthread_t thread;
    if (!times_ns || pthread_create(&thread, NULL, answer, &pair) != 0)
        die("no memory or no thread");
    for (uint64_t i = 0; i < pair.rounds; i++) {
        if (setup->pause_us > 0)
            nanosleep(&pause, NULL);
        int64_t start_ns = now_ns();
        queue_put(pair.there, out, i + 1);
        if (queue_get(pair.back, in) != i + 1)
            die("another item came back");
        times_ns[i] = now_ns() - start_ns;
    }
    pthread_join(thread, NULL);
    times_ns += WARM_UP_ROUNDS;
    qsort(times_ns, setup->items, sizeof *times_ns, compare_ns);
    printf("%.2f %.2f %.2f\n", (double)times_ns[setup->items / 2] / 1e3,
           (double)times_ns[setup->items * 99 / 100] / 1e3,
           (double)times_ns[setup->items * 999 / 1000] / 1e3);
}

/* ── the memory of an item ────────────────────────────────────────────────────────────────── */

/* Not statm: that is an estimate on newer kernels. */
static uint64_t resident_kib(void)
{
    char line[256];
    uint64_t kib = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Rss: %" SCNu64, &kib) == 1)
            break;
    if (kib == 0)
        die("/proc/self/smaps_rollup does not tell the memory");
    fclose(file);
    return kib;
}

static void measure_memory(const struct setup *setup)
{
    uint64_t before_kib = resident_kib();
    struct queue *queue = queue_create(setup);
    void *port = open_port(queue, true);
    for (uint64_t i = 0; i < setup->items; i++)
        queue_put(queue, port, i + 1);
    printf("%.2f\n", (double)(resident_kib() - before_kib) * 1024 / (double)setup->items);
}

int main(int argc, char **argv)
{
    static void (*const measure[])(const struct setup *) = {measure_rate, measure_round_trips,
                                                            measure_memory};
    struct setup setup = read_setup(argc, argv);
    measure[setup.mode](&setup);
    return 0;
}

#endif
