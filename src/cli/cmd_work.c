/* SPDX-License-Identifier: Apache-2.0 */
/* A command for each message; work.h has the picture. */
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/json.h"
#include "cli/put_stream.h"
#include "cli/signals.h"
#include "cli/store_path.h"
#include "cli/work.h"
#include "sealq/sealq.h"

#define SECONDS_MAX (366 * 24 * 3600)
#define STDERR_TRIES_MAX 100 /* 10 ms apart */

static uint64_t jobs = SQI_UNSET, retries = SQI_UNSET, timeout_s = SQI_UNSET;
static bool ends_when_finished, puts_lines, shows_bar;
static const char *halt_word, *joblog_path;

static const struct sqi_option options[] = {
    {"jobs", SQI_NUMBER, &jobs, 1, SQI_WORK_JOBS_MAX, "at a time; else as many as processors"},
    {"join", SQI_FLAG, &ends_when_finished, 0, 0, "end once the channel is finished"},
    {"lines", SQI_FLAG, &puts_lines, 0, 0, "put stdin's lines first; then as --join"},
    {"retries", SQI_NUMBER, &retries, 1, UINT32_MAX, "attempts at most; else the channel's"},
    {"timeout", SQI_NUMBER, &timeout_s, 1, SECONDS_MAX, "seconds a job may run; else for ever"},
    {"halt", SQI_TEXT, &halt_word, 0, 0, "at the first failure, end: soon, or now"},
    {"joblog", SQI_TEXT, &joblog_path, 0, 0, "a file that gets a line a job"},
    {"bar", SQI_FLAG, &shows_bar, 0, 0, "show progress, on a terminal"},
    {.name = NULL},
};
static const struct sqi_letter letters[] = {{'j', "jobs"}, {0, NULL}};

/* ── ending ───────────────────────────────────────────────────────────────────────────────── */

void sqi_work_drain(struct sqi_work *work)
{
    atomic_store(&work->is_draining, true);
    sq_channel_interrupt(work->channel);
}

void sqi_work_kill(struct sqi_work *work)
{
    atomic_store(&work->is_killing, true);
    sqi_work_drain(work);
    for (unsigned i = 0; i < work->jobs; i++)
        eventfd_write(work->workers[i].wake_fd, 1);
}

void sqi_work_fail(struct sqi_work *work, int exit_code)
{
    int none = 0;
    atomic_compare_exchange_strong(&work->exit_code, &none, exit_code);
    sqi_work_drain(work);
}

/* Who holds it may be blocked for as long as nobody reads: the next signal must be heard then. */
static bool lock_stderr_soon(void)
{
    for (int i = 0; i < STDERR_TRIES_MAX; i++) {
        if (sqi_try_lock_stderr())
            return true;
        (void)poll(NULL, 0, 10);
    }
    return false;
}

static void take_signal(int signal, unsigned count, void *context)
{
    struct sqi_work *work = context;
    unsigned running = atomic_load(&work->running);
    atomic_store(&work->last_signal, signal);
    if (count > 1) {
        sqi_work_kill(work);
        sqi_work_fail(work, SQI_EXIT_SIGNAL + signal);
        return;
    }
    sqi_work_drain(work);
    eventfd_write(work->workers[0].wake_fd, 1); /* should it be reading lines */
    if (running == 0 || !lock_stderr_soon())
        return;
    sqi_work_say(work, "ending once %u running %s done: a second signal ends them now", running,
                 running == 1 ? "job is" : "jobs are");
    sqi_unlock_stderr();
}

/* With --join: ends the work once the channel is finished. */
static void *wait_until_finished(void *context)
{
    struct sqi_work *work = context;
    int result = sq_channel_join(work->channel, SQ_FOREVER, NULL);
    if (result == SQ_OK)
        sqi_work_drain(work);
    else if (result != SQ_EINTERRUPTED && atomic_load(&work->exit_code) == 0)
        sqi_work_fail(work, sqi_complain_of(result, NULL));
    return NULL;
}

/* ── beginning ────────────────────────────────────────────────────────────────────────────── */

static unsigned processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count < SQI_WORK_JOBS_MAX ? (unsigned)count : SQI_WORK_JOBS_MAX;
}

/* What the options say, into work: the exit code. */
static int configure(struct sqi_work *work, int command_count, char **command)
{
    work->command = command;
    work->command_count = (size_t)command_count;
    for (int i = 0; i < command_count; i++)
        work->takes_payload_as_argument |= strcmp(command[i], "{}") == 0;
    work->shows_bar = shows_bar && isatty(STDERR_FILENO);
    work->jobs = jobs == SQI_UNSET ? processors() : (unsigned)jobs;
    work->pipes_output = work->jobs > 1 || work->shows_bar;
    work->attempts_max = retries == SQI_UNSET ? UINT32_MAX : (uint32_t)retries;
    work->timeout_ms = timeout_s == SQI_UNSET ? 0 : (int64_t)timeout_s * 1000;
    if (halt_word && strcmp(halt_word, "soon") != 0 && strcmp(halt_word, "now") != 0)
        return sqi_complain(SQI_EXIT_USAGE, "--halt %s: type soon or now", halt_word);
    work->halt = !halt_word                       ? SQI_HALT_NEVER
                 : strcmp(halt_word, "soon") == 0 ? SQI_HALT_SOON
                                                  : SQI_HALT_NOW;
    return joblog_path ? sqi_joblog_open(work, joblog_path) : SQI_EXIT_OK;
}

static int put_lines(struct sqi_work *work)
{
    static struct sqi_put put;
    put.channel = work->channel;
    put.timeout_ms = SQ_FOREVER;
    put.stop_fd = work->workers[0].wake_fd;
    int exit_code = sqi_put_from(&put, STDIN_FILENO, "standard input", '\n');
    if (exit_code == SQI_EXIT_OK)
        exit_code = sqi_put_flush(&put);
    if (exit_code == SQI_EXIT_SIGNAL)
        exit_code = sqi_complain(SQI_EXIT_SIGNAL + atomic_load(&work->last_signal),
                                 "interrupted: %" PRIu64 " messages were put", put.put_count);
    sqi_put_free(&put);
    return exit_code;
}

static int make_workers(struct sqi_work *work)
{
    work->workers = calloc(work->jobs, sizeof *work->workers);
    if (!work->workers || !sqi_process_prepare(work))
        return sqi_complain(SQI_EXIT_SYSTEM, "no memory for the workers: ask for fewer jobs");
    for (unsigned i = 0; i < work->jobs; i++) {
        work->workers[i] = (struct sqi_worker){.work = work, .wake_fd = -1};
        pthread_mutex_init(&work->workers[i].lock, NULL);
    }
    for (unsigned i = 0; i < work->jobs; i++)
        if ((work->workers[i].wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
            return sqi_complain(SQI_EXIT_SYSTEM,
                                "no descriptors for %u jobs: ask for fewer, or raise ulimit -n",
                                work->jobs);
    return SQI_EXIT_OK;
}

static void free_workers(struct sqi_work *work)
{
    for (unsigned i = 0; work->workers && i < work->jobs; i++)
        if (work->workers[i].wake_fd >= 0)
            close(work->workers[i].wake_fd);
    free(work->workers);
    free(work->environment);
}

/* ── the work ─────────────────────────────────────────────────────────────────────────────── */

/* Runs the threads to their end. */
static void run_workers(struct sqi_work *work)
{
    pthread_t joiner;
    bool has_joiner = false;
    unsigned made = 0;
    while (made < work->jobs && pthread_create(&work->workers[made].thread, NULL, sqi_worker_run,
                                               &work->workers[made]) == 0)
        made++;
    if (made == work->jobs && (ends_when_finished || puts_lines))
        has_joiner = pthread_create(&joiner, NULL, wait_until_finished, work) == 0;
    if (made < work->jobs || (!has_joiner && (ends_when_finished || puts_lines)))
        sqi_work_fail(work, sqi_complain(SQI_EXIT_SYSTEM,
                                         "the system gave %u threads of %u: ask for fewer jobs",
                                         made, work->jobs + 1));
    for (unsigned i = 0; i < made; i++)
        pthread_join(work->workers[i].thread, NULL);
    sqi_work_drain(work);
    if (has_joiner)
        pthread_join(joiner, NULL);
}

/* Tells how it went: the exit code. deaths_before: of the channel, when the work began. */
static int conclude(struct sqi_work *work, uint64_t deaths_before)
{
    sq_channel_stats stats;
    int exit_code = atomic_load(&work->exit_code);
    uint64_t deaths = atomic_load(&work->deaths);
    sqi_lock_stderr();
    sqi_bar_clear(work);
    sqi_unlock_stderr();
    if (sq_channel_stat(work->channel, &stats) == SQ_OK)
        deaths = stats.deaths - deaths_before;
    if (deaths > 0)
        sqi_complain(0, "%" PRIu64 " %s died: sealq list %s --state dead tells why", deaths,
                     deaths == 1 ? "message" : "messages", sq_channel_name(work->channel));
    if (sqi_globals.json) {
        int printed = sqi_print_json(json_pack(
            "{s:o, s:o, s:o}", "done", sqi_json_number(atomic_load(&work->done)), "failures",
            sqi_json_number(atomic_load(&work->failures)), "deaths", sqi_json_number(deaths)));
        exit_code = exit_code ? exit_code : printed;
    }
    if (exit_code == SQI_EXIT_OK && (deaths > 0 || atomic_load(&work->has_failed)))
        exit_code = SQI_EXIT_FAILED;
    return exit_code;
}

/* On an open channel: the exit code. */
static int work_on(struct sqi_work *work)
{
    sq_channel_stats stats;
    int result = sq_channel_stat(work->channel, &stats);
    if (result < 0)
        return sqi_complain_of(result, NULL);
    work->policy = stats.policy;
    int exit_code = make_workers(work);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    signal(SIGPIPE, SIG_IGN); /* a job need not read its payload */
    exit_code = sqi_watch_signals(take_signal, work);
    if (exit_code == SQI_EXIT_OK && puts_lines)
        exit_code = put_lines(work);
    if (exit_code == SQI_EXIT_OK)
        exit_code = sqi_renewer_start(work);
    if (exit_code == SQI_EXIT_OK) {
        run_workers(work);
        sqi_renewer_stop();
        exit_code = conclude(work, stats.deaths);
    }
    sqi_unwatch_signals();
    return exit_code;
}

static int run(int argument_count, char **arguments)
{
    static struct sqi_work work;
    if (argument_count < 2 || strcmp(arguments[-1], "--") != 0)
        return sqi_complain(SQI_EXIT_USAGE, "work needs a channel and a command: type, for "
                                            "example, sealq work emails -- ./send");
    sq_store *store;
    sq_channel *channel;
    int exit_code = configure(&work, argument_count - 1, arguments + 1);
    if (exit_code == SQI_EXIT_OK)
        exit_code = sqi_open_channel(arguments[0], true, NULL, &store, &channel);
    if (exit_code == SQI_EXIT_OK) {
        work.channel = channel;
        exit_code = work_on(&work);
        free_workers(&work);
        sq_channel_free(channel);
        sq_store_close(store);
    }
    if (work.joblog)
        fclose(work.joblog);
    return exit_code;
}

const struct sqi_command sqi_command_work = {
    .name = "work",
    .arguments = "CHANNEL [OPTION]… -- COMMAND [ARGUMENT]…",
    .summary = "run a command for each message of a channel",
    .details = "The message is on the command's standard input, or in place of each argument {}.\n"
               "Exit 0: done; 65: never again, a dead letter; 75: later, not counted as an\n"
               "attempt; 126 and 127 stop the work; all else: another attempt, later.\n"
               "SIGTERM lets running jobs finish; a second one ends them.\n\n"
               "  sealq work emails -j 8 -- ./send\n"
               "  find . -name '*.wav' | sealq work encode --lines -- flac {}\n",
    .is_basic = true,
    .options = options,
    .letters = letters,
    .run = run,
};
