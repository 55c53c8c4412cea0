/* SPDX-License-Identifier: Apache-2.0 */
/* A worker: gets a message, runs the command for it, and ends the message as the command ended. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/work.h"

/* What a command ends with when it has more to say than yes and no. */
enum {
    COMMAND_BURY = 65,
    COMMAND_TRY_LATER = 75,
    COMMAND_NO_PERMISSION = 126,
    COMMAND_MISSING = 127
};

#define REASON_BYTES_MAX 128

/* A job whose message is about to be ended; its numbers outlive the message. */
struct job {
    struct sqi_work *work;
    sq_message *message;
    uint64_t id;
    uint32_t attempt, attempts_max;
};

void sqi_worker_signal(struct sqi_worker *worker, int signal)
{
    pthread_mutex_lock(&worker->lock);
    if (worker->pid > 0)
        kill(-worker->pid, signal);
    pthread_mutex_unlock(&worker->lock);
}

bool sqi_worker_must_stop(const struct sqi_worker *worker)
{
    return atomic_load(&worker->work->is_killing) || atomic_load(&worker->is_lost);
}

/* ── ending a message ─────────────────────────────────────────────────────────────────────── */

/* What the store answered to the end of a message: false after a word about it. */
static bool is_settled(const struct job *job, int result)
{
    if (result >= 0)
        return true;
    if (result == SQ_ELEASE) {
        sqi_work_say(job->work,
                     "job %" PRIu64 ": the lease was over before it ended: it runs again", job->id);
        return false;
    }
    sqi_work_fail(job->work, sqi_complain_of(result, "cannot end a message"));
    return false;
}

static void release(const struct job *job, int64_t delay_ms)
{
    is_settled(job, sq_message_release(job->message, delay_ms));
}

/* After a failure, as --halt asks. */
static void halt(struct sqi_work *work)
{
    atomic_fetch_add(&work->failures, 1);
    if (work->halt == SQI_HALT_NEVER)
        return;
    atomic_store(&work->has_failed, true);
    if (work->halt == SQI_HALT_NOW)
        sqi_work_kill(work);
    else
        sqi_work_drain(work);
}

static void bury(const struct job *job, const char *reason)
{
    if (!is_settled(job, sq_message_bury(job->message, reason)))
        return;
    atomic_fetch_add(&job->work->deaths, 1);
    sqi_work_say(job->work, "job %" PRIu64 ": %s, dead", job->id, reason);
}

/* The channel's backoff, as sq_message_retry() has it, known before so that it can be told. */
static int64_t backoff_ms(const struct job *job)
{
    const sq_channel_policy *policy = &job->work->policy;
    int64_t delay_ms = policy->backoff_ms;
    for (uint32_t i = 1; i < job->attempt && delay_ms < policy->backoff_max_ms; i++)
        delay_ms *= 2;
    delay_ms = delay_ms < policy->backoff_max_ms ? delay_ms : policy->backoff_max_ms;
    uint32_t random = 0;
    (void)!getrandom(&random, sizeof random, 0);
    return delay_ms - delay_ms / 5 + (int64_t)((double)delay_ms * 0.4 * random / UINT32_MAX);
}

static void format_seconds(char text[24], int64_t ms)
{
    if (ms < 10000)
        snprintf(text, 24, "%.1f s", (double)ms / 1000);
    else
        snprintf(text, 24, "%" PRId64 " s", (ms + 500) / 1000);
}

/* A failed attempt: another one, or none are left. */
static void retry(const struct job *job, const char *what)
{
    char reason[2 * REASON_BYTES_MAX], later[24];
    snprintf(reason, sizeof reason, "%s, attempt %" PRIu32 " of %" PRIu32, what, job->attempt,
             job->attempts_max);
    if (job->attempt >= job->attempts_max) {
        /* The store's own bound is told from one that --retries set. */
        bool is_last = job->attempt >= job->message->attempts_max;
        int result = is_last ? sq_message_retry(job->message, 0, reason)
                             : sq_message_bury(job->message, reason);
        if (is_settled(job, result)) {
            atomic_fetch_add(&job->work->deaths, 1);
            sqi_work_say(job->work, "job %" PRIu64 ": %s, dead: attempts used up", job->id, reason);
        }
        return;
    }
    int64_t delay_ms = backoff_ms(job);
    format_seconds(later, delay_ms);
    if (is_settled(job, sq_message_retry(job->message, delay_ms, reason)))
        sqi_work_say(job->work, "job %" PRIu64 ": %s, again in %s", job->id, reason, later);
}

/* The command cannot be run at all: that is no fault of the message. */
static void stop_for(const struct job *job, const char *what, int exit_code)
{
    release(job, 0);
    if (atomic_load(&job->work->exit_code) == 0)
        sqi_work_say(job->work, "job %" PRIu64 ": %s %s: work stops, its message goes back",
                     job->id, job->work->command[0], what);
    sqi_work_fail(job->work, exit_code);
}

static void settle_spawn_error(const struct job *job, int error)
{
    if (error == E2BIG) {
        bury(job, "its arguments are too long: give the payload on standard input");
        halt(job->work);
    } else if (error == ENOENT || error == ENOTDIR) {
        stop_for(job, "is not there", COMMAND_MISSING);
    } else if (error == EACCES || error == EPERM || error == ENOEXEC || error == ELOOP) {
        stop_for(job, strerror(error), COMMAND_NO_PERMISSION);
    } else {
        char what[REASON_BYTES_MAX];
        snprintf(what, sizeof what, "cannot be started: %s: ask for fewer jobs", strerror(error));
        stop_for(job, what, SQI_EXIT_SYSTEM);
    }
}

static void settle_exit(const struct job *job, const struct sqi_outcome *outcome)
{
    char what[REASON_BYTES_MAX];
    if (outcome->is_timed_out)
        snprintf(what, sizeof what, "timed out after %" PRId64 " s", job->work->timeout_ms / 1000);
    else if (outcome->signal) {
        const char *name = sigabbrev_np(outcome->signal);
        snprintf(what, sizeof what, "killed by signal %d%s%s%s", outcome->signal,
                 name ? " (SIG" : "", name ? name : "", name ? ")" : "");
    } else {
        snprintf(what, sizeof what, "exit %d", outcome->exit_code);
    }

    if (outcome->is_timed_out || outcome->signal) {
        retry(job, what);
    } else if (outcome->exit_code == COMMAND_TRY_LATER) {
        char later[24];
        format_seconds(later, job->work->policy.backoff_ms);
        if (is_settled(job, sq_message_release(job->message, job->work->policy.backoff_ms)))
            sqi_work_say(job->work, "job %" PRIu64 ": exit 75, again in %s, not counted", job->id,
                         later);
        return;
    } else if (outcome->exit_code == COMMAND_BURY) {
        bury(job, what);
    } else if (outcome->exit_code == COMMAND_MISSING ||
               outcome->exit_code == COMMAND_NO_PERMISSION) {
        snprintf(what, sizeof what, "ended with %d, as for a command that cannot be run",
                 outcome->exit_code);
        stop_for(job, what, outcome->exit_code);
        return;
    } else {
        retry(job, what);
    }
    halt(job->work);
}

static void settle(struct sqi_worker *worker, const struct job *job,
                   const struct sqi_outcome *outcome)
{
    if (atomic_load(&worker->is_lost)) {
        sqi_work_say(job->work, "job %" PRIu64 ": its lease was lost: it was ended, and runs again",
                     job->id);
        sq_message_free(job->message);
    } else if (outcome->spawn_error) {
        settle_spawn_error(job, outcome->spawn_error);
    } else if (outcome->exit_code == 0 && !outcome->is_timed_out && !outcome->is_output_lost) {
        if (is_settled(job, sq_message_done(job->message)))
            atomic_fetch_add(&job->work->done, 1);
    } else if (atomic_load(&job->work->is_killing) || outcome->is_output_lost) {
        release(job, 0);
    } else {
        settle_exit(job, outcome);
    }
}

/* ── the thread ───────────────────────────────────────────────────────────────────────────── */

/* Why a message cannot be one of the command's words; NULL when it can. */
static const char *why_no_argument(const sq_message *message)
{
    if (message->body_bytes > SQI_WORK_ARGUMENT_BYTES_MAX)
        return "longer than an argument may be, 128 KiB";
    if (message->body_bytes > 0 && memchr(message->body, '\0', message->body_bytes))
        return "has a NUL, which no argument may have";
    return NULL;
}

static void work_on(struct sqi_worker *worker, sq_message *message)
{
    struct sqi_work *work = worker->work;
    struct job job = {.work = work,
                      .message = message,
                      .id = message->id,
                      .attempt = message->attempt,
                      .attempts_max = message->attempts_max < work->attempts_max
                                          ? message->attempts_max
                                          : work->attempts_max};
    const char *refusal = work->takes_payload_as_argument ? why_no_argument(message) : NULL;
    if (refusal) {
        bury(&job, refusal);
        halt(work);
        return;
    }
    struct sqi_outcome outcome;
    atomic_fetch_add(&work->running, 1);
    sqi_renewer_enter(worker, message);
    sqi_bar_draw(work);
    sqi_process_run(worker, message, &outcome);
    sqi_renewer_leave(worker);
    if (!outcome.spawn_error)
        sqi_joblog_add(work, job.id, job.attempt, &outcome);
    settle(worker, &job, &outcome);
    atomic_fetch_sub(&work->running, 1);
    sqi_bar_draw(work);
}

void *sqi_worker_run(void *argument)
{
    struct sqi_worker *worker = argument;
    struct sqi_work *work = worker->work;
    while (!atomic_load(&work->is_draining)) {
        sq_message *message;
        int result = sq_channel_get(work->channel, SQ_FOREVER, &message);
        if (result == SQ_EINTERRUPTED || result == SQ_ESHUTDOWN)
            break;
        if (result < 0) {
            if (atomic_load(&work->exit_code) == 0) /* one of the workers says it */
                sqi_work_fail(work, sqi_complain_of(result, NULL));
            break;
        }
        if (atomic_load(&work->is_draining)) {
            sq_message_release(message, 0); /* should that fail, its lease ends with the process */
            break;
        }
        work_on(worker, message);
    }
    return NULL;
}
