/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scenario: producers put the integers 0 to count - 1 on a queue; consumers append (n, n²) to
 * a shared list; join; print the list, ordered by n.
 */
#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/demo.h"
#include "sealq/sealq.h"

#define COUNT_MAX 100000000 /* 16 bytes each: 1.6 GB */
#define PROCESSES_MAX 100   /* with --secure */

static uint64_t producer_count = 1, consumer_count = 5, count = 100, capacity;
static bool is_secure, is_shown, is_tampered;

static const struct sqi_option options[] = {
    {"producers", SQI_NUMBER, &producer_count, 1, 4096, "threads that put"},
    {"consumers", SQI_NUMBER, &consumer_count, 1, SQ_CONSUMER_THREADS_MAX, "threads that get"},
    {"count", SQI_NUMBER, &count, 0, COUNT_MAX, "integers to put, over all producers"},
    {"capacity", SQI_NUMBER, &capacity, 0, SQ_QUEUE_CAPACITY_MAX, "room on the queue; 0: no bound"},
    {"secure", SQI_FLAG, &is_secure, 0, 0, "processes, on a sealed store; see below"},
    {"show", SQI_FLAG, &is_shown, 0, 0, "also print what lies on the disk"},
    {"tamper", SQI_FLAG, &is_tampered, 0, 0, "also flip one bit of a stored message"},
    {.name = NULL},
};

struct demo {
    sq_queue *queue;
    pthread_mutex_t lock;
    struct sqi_demo shared; /* its results are guarded by lock */
};

struct producer {
    const struct demo *demo;
    uint64_t first; /* puts first, first + producer_count, … */
    pthread_t thread;
};

static void *produce(void *argument)
{
    const struct producer *producer = argument;
    int result = SQ_OK;
    for (uint64_t n = producer->first; n < count && result == SQ_OK; n += producer_count)
        result = sq_queue_put(producer->demo->queue, (void *)(uintptr_t)n, SQ_FOREVER);
    return (void *)(intptr_t)result;
}

static int consume(void *item, void *context)
{
    struct demo *demo = context;
    uint64_t n = (uintptr_t)item;
    pthread_mutex_lock(&demo->lock);
    assert(demo->shared.result_count < count);
    demo->shared.final_results[demo->shared.result_count++] = (struct sqi_pair){n, n * n};
    pthread_mutex_unlock(&demo->lock);
    return SQ_OK;
}

/* Runs all producers to their end: the exit code, after a complaint when it is not 0. */
static int run_producers(const struct demo *demo)
{
    struct producer *producers = calloc(producer_count, sizeof *producers);
    if (!producers)
        return sqi_complain(SQI_EXIT_SYSTEM, "no memory for the producers: ask for fewer");
    uint64_t made = 0;
    for (; made < producer_count; made++) {
        producers[made] = (struct producer){.demo = demo, .first = made};
        if (pthread_create(&producers[made].thread, NULL, produce, &producers[made]) != 0)
            break;
    }
    if (made < producer_count)
        sq_queue_shutdown(demo->queue, true); /* ends those that were made */
    int result = SQ_OK;
    for (uint64_t i = 0; i < made; i++) {
        void *returned;
        pthread_join(producers[i].thread, &returned);
        result = returned ? (int)(intptr_t)returned : result;
    }
    free(producers);
    if (made < producer_count)
        return sqi_complain(SQI_EXIT_SYSTEM,
                            "cannot start the producers: the system gave %" PRIu64
                            " threads of %" PRIu64 ": ask for fewer",
                            made, producer_count);
    return result == SQ_OK
               ? SQI_EXIT_OK
               : sqi_complain(SQI_EXIT_SYSTEM, "cannot put: %s: ask for a smaller count",
                              sq_strerror(result));
}

static int by_n(const void *a, const void *b)
{
    const struct sqi_pair *left = a, *right = b;
    return (left->n > right->n) - (left->n < right->n);
}

static void print_pairs(const struct sqi_demo *demo, char open, char close, const char *between)
{
    putchar('[');
    for (size_t i = 0; i < demo->result_count; i++)
        printf("%s%c%" PRIu64 "%s%" PRIu64 "%c", i > 0 ? between : "", open,
               demo->final_results[i].n, between, demo->final_results[i].square, close);
    putchar(']');
}

static void print_results(struct sqi_demo *demo)
{
    /* The list is in the order in which consumers finished, another in every run. */
    qsort(demo->final_results, demo->result_count, sizeof *demo->final_results, by_n);
    if (sqi_globals.json) {
        printf("{\"producers\":%" PRIu64 ",\"consumers\":%" PRIu64 ",\"count\":%" PRIu64
               ",\"capacity\":%" PRIu64 ",\"results\":",
               producer_count, consumer_count, count, capacity);
        print_pairs(demo, '[', ']', ",");
        puts("}");
    } else {
        print_pairs(demo, '(', ')', ", ");
        putchar('\n');
    }
}

/* The scenario itself, on a queue and a list that are ready: the exit code. */
static int play(struct demo *demo)
{
    sq_consumer *consumer = NULL;
    sq_consumer_options consuming = {
        .threads = (unsigned)consumer_count, .handler = consume, .context = demo};
    int result = sq_queue_consume(demo->queue, &consuming, &consumer);
    if (result < 0)
        return sqi_complain_of(result, "cannot start the consumers");
    int exit_code = run_producers(demo);
    if (exit_code == SQI_EXIT_OK && (result = sq_queue_join(demo->queue, SQ_FOREVER)) < 0)
        exit_code = sqi_complain_of(result, "cannot join the queue");
    sq_consumer_free(consumer);
    return exit_code;
}

/* The scenario between threads, into a list that is ready: the exit code. */
static int play_threads(struct demo *demo)
{
    sq_queue_options queueing = {.capacity = capacity};
    int result = sq_queue_create(&queueing, &demo->queue);
    if (result < 0)
        return sqi_complain_of(result, "cannot make the queue");
    int exit_code = play(demo);
    sq_queue_free(demo->queue);
    return exit_code;
}

static int check_options(void)
{
    if ((is_shown || is_tampered) && !is_secure)
        return sqi_complain(SQI_EXIT_USAGE,
                            "--%s looks into a store, and there is none: add --secure",
                            is_shown ? "show" : "tamper");
    if ((is_shown || is_tampered) && count == 0)
        return sqi_complain(SQI_EXIT_USAGE, "there is no message to look at: let --count be 1 or "
                                            "more");
    if ((is_shown || is_tampered) && capacity > 0 && capacity < count)
        return sqi_complain(SQI_EXIT_USAGE, "all messages are put before one is looked at: leave "
                                            "--capacity out");
    if (is_secure && (producer_count > PROCESSES_MAX || consumer_count > PROCESSES_MAX))
        return sqi_complain(SQI_EXIT_USAGE,
                            "each would be a process: at most %d producers and %d "
                            "consumers",
                            PROCESSES_MAX, PROCESSES_MAX);
    return SQI_EXIT_OK;
}

static int run(int argument_count, char **arguments)
{
    if (argument_count > 0)
        return sqi_complain(SQI_EXIT_USAGE, "demo takes no argument, not %s: see sealq demo --help",
                            arguments[0]);
    int exit_code = check_options();
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    struct demo demo = {.lock = PTHREAD_MUTEX_INITIALIZER,
                        .shared = {.producer_count = producer_count,
                                   .consumer_count = consumer_count,
                                   .count = count,
                                   .capacity = capacity,
                                   .is_shown = is_shown,
                                   .is_tampered = is_tampered}};
    demo.shared.final_results = calloc(count ? count : 1, sizeof *demo.shared.final_results);
    if (!demo.shared.final_results)
        return sqi_complain(SQI_EXIT_SYSTEM,
                            "no memory for %" PRIu64 " results: ask for a smaller count", count);
    exit_code = is_secure ? sqi_demo_secure(&demo.shared) : play_threads(&demo);
    if (exit_code == SQI_EXIT_OK || exit_code == SQI_EXIT_FAILED)
        print_results(&demo.shared);
    free(demo.shared.final_results);
    return exit_code;
}

const struct sqi_command sqi_command_demo = {
    .name = "demo",
    .arguments = "",
    .summary = "run the scenario: producers, a queue, consumers, join, a list",
    .details = "Producers put the integers from 0 on a queue; consumers take them and append\n"
               "(n, n squared) to a shared list; when all are done, the list is printed.\n"
               "\n"
               "--secure: the same between processes, on a sealed store in a temporary folder,\n"
               "or on that of --store. --show prints, on stderr, what of a message lies on the\n"
               "disk beside what a consumer gets. --tamper flips one bit of it there: that\n"
               "message is refused and becomes a dead letter, and the exit code is 1.\n",
    .is_basic = true,
    .options = options,
    .run = run,
};
