/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scenario between processes: producers put the integers on a channel of a sealed store,
 * consumers emit (n, n²) to a channel of results, join, collect.
 *
 *     this process ──fork──► producers     put 0 … count - 1, and end
 *                  ──fork──► consumers     get, emit, done; for ever: daemons
 *                  join, then kill -9 the consumers, as a Python program's end does its daemons
 *
 * With --show or --tamper the producers come first, alone: then there is something to look at.
 */
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/demo.h"
#include "cli/keyring_path.h"
#include "cli/signals.h"
#include "cli/store_path.h"
#include "sealq/sealq.h"

#define BATCH 1000
#define BODY_BYTES 48

struct play {
    struct sqi_demo *demo;
    char folder[PATH_MAX]; /* "": the user named a store */
    const char *url;
    sq_keyring *keyring;
    char jobs_name[32], results_name[32];
    sq_store *store;
    sq_channel *jobs, *results;
    _Atomic pid_t *producers, *consumers; /* 0: not started, or waited for */
    _Atomic(sq_channel *) waited;         /* what a signal interrupts */
    atomic_bool is_ending;                /* whose consumers end now, ends them himself */
    atomic_bool has_failed;               /* a process ended that should not have */
};

/* ── processes ────────────────────────────────────────────────────────────────────────────── */

static int open_channels(struct play *play)
{
    sq_channel_policy policy = {.capacity = play->demo->capacity};
    int result = sq_store_open(play->url, play->keyring, NULL, &play->store);
    if (result == SQ_OK)
        result = sq_channel_open(play->store, play->jobs_name, &policy, &play->jobs);
    if (result == SQ_OK)
        result = sq_channel_open(play->store, play->results_name, NULL, &play->results);
    return result < 0 ? sqi_complain_of(result, "cannot open the store") : SQI_EXIT_OK;
}

/* The producer of this index: puts index, index + producer_count, … */
static int produce(struct play *play, uint64_t index)
{
    const struct sqi_demo *demo = play->demo;
    static char bodies[BATCH][BODY_BYTES];
    static sq_content contents[BATCH];
    size_t batch_max = demo->count > BATCH ? BATCH : 1; /* few are put one by one, as in Python */
    uint64_t n = index;
    while (n < demo->count) {
        size_t batch = 0, done = 0;
        for (; batch < batch_max && n < demo->count; n += demo->producer_count, batch++) {
            int bytes = snprintf(bodies[batch], BODY_BYTES, "%" PRIu64, n);
            contents[batch] = (sq_content){.body = bodies[batch], .body_bytes = (size_t)bytes};
        }
        while (done < batch) {
            ssize_t put = sq_channel_put_many(play->jobs, contents + done, batch - done, SQ_FOREVER,
                                              NULL);
            if (put < 0)
                return sqi_complain_of((int)put, "a producer cannot put");
            done += (size_t)put;
        }
    }
    return SQI_EXIT_OK;
}

static int square(struct play *play, sq_message *message)
{
    char body[BODY_BYTES] = {0}, result[BODY_BYTES];
    memcpy(body, message->body,
           message->body_bytes < BODY_BYTES ? message->body_bytes : BODY_BYTES - 1);
    uint64_t n = strtoull(body, NULL, 10);
    int bytes = snprintf(result, sizeof result, "%" PRIu64 " %" PRIu64, n, n * n);
    int emitted = sq_message_emit(message, play->results, result, (size_t)bytes);
    if (emitted < 0) {
        sq_message_free(message);
        return emitted;
    }
    return sq_message_done(message);
}

static int consume(struct play *play, uint64_t index)
{
    (void)index;
    sq_message *message;
    int result = SQ_OK;
    while (result >= 0 && (result = sq_channel_get(play->jobs, SQ_FOREVER, &message)) >= 0) {
        result = square(play, message);
        if (result == SQ_ELEASE) /* stopped for too long: another has done it */
            result = SQ_OK;
    }
    return sqi_complain_of(result, "a consumer cannot go on");
}

/* Starts `count` processes that run `body`: 0, or the exit code after a complaint. */
static int start(struct play *play, uint64_t count, _Atomic pid_t *pids,
                 int (*body)(struct play *play, uint64_t index))
{
    pid_t parent = getpid();
    fflush(stdout);
    for (uint64_t i = 0; i < count; i++) {
        if (atomic_load(&play->has_failed))
            return SQI_EXIT_SYSTEM;
        pid_t pid = fork();
        if (pid < 0)
            return sqi_complain(SQI_EXIT_SYSTEM, "cannot start process %" PRIu64 ": %s", i + 1,
                                strerror(errno));
        if (pid > 0) { /* a signal comes before the store, and is seen, or after it, and kills */
            atomic_store(&pids[i], pid);
            if (atomic_load(&play->has_failed))
                kill(pid, SIGKILL);
            continue;
        }
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a daemon does not outlive who started it */
        if (getppid() != parent)
            _exit(SQI_EXIT_SYSTEM);
        int exit_code = open_channels(play);
        _exit(exit_code == SQI_EXIT_OK ? body(play, i) : exit_code);
    }
    return SQI_EXIT_OK;
}

/* Waits for each: 0, or the exit code of the first that failed. */
static int wait_for(_Atomic pid_t *pids, uint64_t count)
{
    int exit_code = SQI_EXIT_OK, status;
    for (uint64_t i = 0; i < count; i++) {
        if (pids[i] == 0 || waitpid(pids[i], &status, 0) != pids[i])
            continue;
        pids[i] = 0;
        if (exit_code == SQI_EXIT_OK && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
            exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : SQI_EXIT_SYSTEM;
    }
    return exit_code;
}

static void kill_all(const _Atomic pid_t *pids, uint64_t count)
{
    for (uint64_t i = 0; pids && i < count; i++)
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
}

static void interrupt(struct play *play)
{
    sq_channel *waited = atomic_load(&play->waited);
    if (waited)
        sq_channel_interrupt(waited);
}

static void on_signal(int number, unsigned count, void *context)
{
    (void)number, (void)count;
    struct play *play = context;
    atomic_store(&play->has_failed, true);
    kill_all(play->producers, play->demo->producer_count);
    kill_all(play->consumers, play->demo->consumer_count);
    interrupt(play);
}

/* A thread: a consumer that ends by itself would leave join waiting for ever. */
static void *watch_consumers(void *argument)
{
    struct play *play = argument;
    siginfo_t ended;
    while (waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) != 0 && errno == EINTR)
        ;
    if (!atomic_load(&play->is_ending)) {
        atomic_store(&play->has_failed, true);
        interrupt(play);
    }
    return NULL;
}

/* ── results ──────────────────────────────────────────────────────────────────────────────── */

static int tell_death(const sq_listed *listed, void *context)
{
    (void)context;
    if (listed->state == SQ_DEAD)
        sqi_complain(0, "message %" PRIu64 " is a dead letter: %s%s%s", listed->id,
                     sq_death_text(listed->death), listed->reason[0] ? ": " : "", listed->reason);
    return 0;
}

static int collect(struct play *play, uint64_t deaths)
{
    struct sqi_demo *demo = play->demo;
    sq_message *messages[BATCH];
    while (demo->result_count < demo->count - deaths) {
        ssize_t got = sq_channel_get_many(play->results, BATCH, SQ_NOWAIT, NULL, messages);
        if (got < 0)
            return sqi_complain_of((int)got, "cannot collect the results");
        for (ssize_t i = 0; i < got && demo->result_count < demo->count; i++) {
            struct sqi_pair *pair = &demo->final_results[demo->result_count++];
            char body[BODY_BYTES] = {0};
            memcpy(body, messages[i]->body,
                   messages[i]->body_bytes < BODY_BYTES ? messages[i]->body_bytes : BODY_BYTES - 1);
            if (sscanf(body, "%" SCNu64 " %" SCNu64, &pair->n, &pair->square) != 2)
                return sqi_complain(SQI_EXIT_SOFTWARE, "a result is no pair");
        }
        got = sq_message_done_many(messages, (size_t)got);
        if (got < 0)
            return sqi_complain_of((int)got, "cannot collect the results");
    }
    return SQI_EXIT_OK;
}

/* Waits for the end, and ends the consumers. */
static int join_and_collect(struct play *play)
{
    pthread_t watcher;
    uint64_t deaths = 0;
    int result = pthread_create(&watcher, NULL, watch_consumers, play);
    if (result != 0)
        return sqi_complain(SQI_EXIT_SYSTEM, "cannot start a thread: end others first");
    result = sq_channel_join(play->jobs, SQ_FOREVER, NULL);
    sq_channel_stats stats;
    if (result == SQ_OK && (result = sq_channel_stat(play->jobs, &stats)) == SQ_OK)
        deaths = stats.deaths;
    atomic_store(&play->waited, NULL);
    atomic_store(&play->is_ending, true);
    kill_all(play->consumers, play->demo->consumer_count);
    pthread_join(watcher, NULL);
    wait_for(play->consumers, play->demo->consumer_count);
    if (atomic_load(&play->has_failed))
        return SQI_EXIT_SYSTEM;
    if (result < 0)
        return sqi_complain_of(result, "cannot join");
    int exit_code = collect(play, deaths);
    if (exit_code != SQI_EXIT_OK || deaths == 0)
        return exit_code;
    (void)sq_channel_each_message(play->jobs, tell_death, NULL);
    return SQI_EXIT_FAILED;
}

/* ── the store ────────────────────────────────────────────────────────────────────────────── */

static int remove_entry(const char *path, const struct stat *status, int flag, struct FTW *where)
{
    (void)status, (void)flag, (void)where;
    return remove(path);
}

/* A store and a keyring of its own, in a temporary folder; or those that the user named. */
static int prepare(struct play *play)
{
    static char url[PATH_MAX + 16], keyring_path[PATH_MAX + 16];
    const char *temporary = getenv("TMPDIR");
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return sqi_complain(SQI_EXIT_SYSTEM, "the system gave no random bytes");
    snprintf(play->jobs_name, sizeof play->jobs_name, "demo-%08x", random);
    snprintf(play->results_name, sizeof play->results_name, "demo-%08x-results", random);
    if (sqi_globals.store) {
        if (strncmp(sqi_globals.store, "mem:", 4) == 0)
            return sqi_complain(SQI_EXIT_USAGE, "mem: is in the memory of one process: name a "
                                                "folder, or leave --secure out");
        play->url = sqi_globals.store;
        return sqi_open_keyring(&play->keyring);
    }
    snprintf(play->folder, sizeof play->folder, "%s/sealq-demo-XXXXXX",
             temporary && temporary[0] ? temporary : "/tmp");
    if (!mkdtemp(play->folder)) {
        play->folder[0] = '\0';
        return sqi_complain(SQI_EXIT_IO, "cannot make a temporary folder: %s: set TMPDIR",
                            strerror(errno));
    }
    snprintf(url, sizeof url, "%s/store", play->folder);
    snprintf(keyring_path, sizeof keyring_path, "%s/keyring", play->folder);
    play->url = url;
    int result = sq_keyring_create(keyring_path, "of a demo", NULL);
    if (result == SQ_OK)
        result = sq_keyring_open(keyring_path, &play->keyring);
    return result < 0 ? sqi_complain_of(result, "cannot make a key") : SQI_EXIT_OK;
}

static void clean_up(struct play *play)
{
    kill_all(play->producers, play->demo->producer_count);
    kill_all(play->consumers, play->demo->consumer_count);
    if (play->producers)
        wait_for(play->producers, play->demo->producer_count);
    if (play->consumers)
        wait_for(play->consumers, play->demo->consumer_count);
    sq_channel_free(play->jobs);
    sq_channel_free(play->results);
    sq_store_close(play->store);
    sq_keyring_free(play->keyring);
    free(play->producers);
    free(play->consumers);
    if (play->folder[0])
        (void)nftw(play->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* What is done to the store between the producers and the consumers. */
static int intrude(struct play *play)
{
    char body[BODY_BYTES];
    int exit_code = SQI_EXIT_OK;
    if (play->demo->is_shown)
        exit_code = sqi_demo_show(play->url, play->keyring, play->jobs_name);
    if (exit_code == SQI_EXIT_OK && play->demo->is_tampered) {
        snprintf(body, sizeof body, "%" PRIu64,
                 play->demo->count > 42 ? 42 : play->demo->count / 2);
        exit_code = sqi_demo_tamper(play->url, play->keyring, play->jobs_name, body);
    }
    return exit_code;
}

static int run(struct play *play)
{
    struct sqi_demo *demo = play->demo;
    bool is_intruded = demo->is_shown || demo->is_tampered;
    int exit_code = SQI_EXIT_OK;
    if (!is_intruded) /* as in the exercise: consumers wait before there is anything */
        exit_code = start(play, demo->consumer_count, play->consumers, consume);
    if (exit_code == SQI_EXIT_OK)
        exit_code = start(play, demo->producer_count, play->producers, produce);
    if (exit_code == SQI_EXIT_OK)
        exit_code = wait_for(play->producers, demo->producer_count);
    if (exit_code == SQI_EXIT_OK && is_intruded)
        exit_code = intrude(play);
    if (exit_code == SQI_EXIT_OK && is_intruded)
        exit_code = start(play, demo->consumer_count, play->consumers, consume);
    if (exit_code == SQI_EXIT_OK)
        exit_code = open_channels(play);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    atomic_store(&play->waited, play->jobs);
    if (atomic_load(&play->has_failed)) /* a signal that came before could interrupt nothing */
        interrupt(play);
    return join_and_collect(play);
}

int sqi_demo_secure(struct sqi_demo *demo)
{
    struct play play = {
        .demo = demo,
        .producers = calloc(demo->producer_count, sizeof *play.producers),
        .consumers = calloc(demo->consumer_count, sizeof *play.consumers),
    };
    int exit_code = play.producers && play.consumers
                        ? sqi_watch_signals(on_signal, &play)
                        : sqi_complain(SQI_EXIT_SYSTEM, "no memory: ask for fewer processes");
    if (exit_code == SQI_EXIT_OK) {
        exit_code = prepare(&play);
        if (exit_code == SQI_EXIT_OK)
            exit_code = run(&play);
        if (exit_code == SQI_EXIT_SYSTEM && atomic_load(&play.has_failed))
            sqi_complain(exit_code, "the demo was interrupted: run it again");
        sqi_unwatch_signals();
    }
    clean_up(&play);
    return exit_code;
}
