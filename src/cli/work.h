/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sealq work`: a command for each message.
 *
 *     worker thread × jobs:   get ──► spawn, feed, watch (pidfd, pipes) ──► done, retry, bury,
 * release renewer thread:         extends the leases of all running jobs at a third of their time
 *     signal thread:          first signal: drain; second: kill
 *     joiner thread:          with --join: drain when the channel is finished
 *
 * A lease does not depend on its worker thread being free: that one may be blocked for long by who
 * reads our output. Nobody polls: a waiting worker sleeps in the get, which sq_channel_interrupt()
 * ends; all else sleeps until a deadline that is there.
 *
 * Ending: is_draining is set before the interrupt. A worker looks at it after each get as well, so
 * that a message that came in between goes back, with no attempt counted.
 */
#ifndef SQI_CLI_WORK_H
#define SQI_CLI_WORK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "sealq/channel.h"

#define SQI_WORK_JOBS_MAX 1000
/* Between the SIGTERM to a job that took too long and its SIGKILL. */
#define SQI_WORK_GRACE_MS 5000
/* The kernel's bound for one argument (MAX_ARG_STRLEN), less the NUL. */
#define SQI_WORK_ARGUMENT_BYTES_MAX (128 * 1024 - 1)
/* A longer line of a job's output is passed on in pieces. */
#define SQI_WORK_LINE_BYTES_MAX (16 * 1024 * 1024)

enum sqi_halt { SQI_HALT_NEVER, SQI_HALT_SOON, SQI_HALT_NOW };

struct sqi_work {
    sq_channel *channel;
    sq_channel_policy policy;
    char **command; /* ends with NULL */
    size_t command_count;
    bool takes_payload_as_argument; /* {} is among the command's words */
    bool pipes_output;              /* and passes it on line by line */
    bool shows_bar;
    unsigned jobs;
    uint32_t attempts_max; /* of this worker; the message's own bound holds too */
    int64_t timeout_ms;    /* for a job; 0: none */
    enum sqi_halt halt;
    FILE *joblog; /* NULL: none */
    char **environment;
    size_t environment_count;

    atomic_bool is_draining; /* no more gets */
    atomic_bool is_killing;  /* jobs are killed, their messages released */
    atomic_bool has_failed;  /* a job failed, and --halt asked to stop then */
    atomic_int exit_code;    /* of the first thing that makes going on useless; 0: none */
    atomic_int last_signal;
    atomic_uint running;
    atomic_ullong done, failures, deaths;
    struct sqi_worker *workers; /* jobs of them */
};

struct sqi_worker {
    struct sqi_work *work;
    pthread_t thread;
    int wake_fd;          /* an eventfd: look at is_killing and is_lost */
    pthread_mutex_t lock; /* guards message, pid */
    sq_message *message;  /* that the renewer is to extend */
    pid_t pid;            /* of a job that is not reaped, for signals to its group; else 0 */
    atomic_bool is_lost;  /* the lease is over */
    int64_t renew_at_ms;  /* the renewer's, under its lock; 0: nothing to renew */
};

/* How a job ended. */
struct sqi_outcome {
    int spawn_error; /* an errno: it did not begin */
    int exit_code;   /* -1 when it was ended by a signal */
    int signal;      /* or 0 */
    bool is_timed_out;
    bool is_output_lost;
    int64_t began_ms; /* since the epoch */
    int64_t ran_ms;
};

/* ── cmd_work.c ───────────────────────────────────────────────────────────────────────────── */

/* No more gets; what runs is finished. */
void sqi_work_drain(struct sqi_work *work);

/* The same, and what runs is killed. */
void sqi_work_kill(struct sqi_work *work);

/* Drains, for work cannot go on: `sealq work` ends with this code, the first one counts. */
void sqi_work_fail(struct sqi_work *work, int exit_code);

/* ── work_worker.c ────────────────────────────────────────────────────────────────────────── */

/* A worker's thread, until it is drained or the channel is finished. */
void *sqi_worker_run(void *worker);

/* Sends a signal to the job's process group, if there is one that is not reaped. */
void sqi_worker_signal(struct sqi_worker *worker, int signal);

/* Its job is to end now, whatever becomes of its output. */
bool sqi_worker_must_stop(const struct sqi_worker *worker);

/* ── work_process.c ───────────────────────────────────────────────────────────────────────── */

/* Runs the command for a message to its end. */
void sqi_process_run(struct sqi_worker *worker, const sq_message *message,
                     struct sqi_outcome *ret_outcome);

/* The environment of jobs, without what leads to a key: false without memory. */
bool sqi_process_prepare(struct sqi_work *work);

/* ── work_output.c ────────────────────────────────────────────────────────────────────────── */

/* What a job wrote and is not passed on yet: less than a line. */
struct sqi_output {
    struct sqi_worker *worker;
    int target_fd; /* STDOUT_FILENO or STDERR_FILENO */
    char *bytes;
    size_t used_bytes, room_bytes;
    bool is_lost; /* some could not be written */
};

/* Reads what there is and passes whole lines on: false at its end. */
bool sqi_output_feed(struct sqi_output *output, int fd);

/* Passes on what is left, and frees it. */
void sqi_output_end(struct sqi_output *output);

/* ── work_renew.c ─────────────────────────────────────────────────────────────────────────── */

/* Starts the renewer: 0, or the exit code after a complaint. */
int sqi_renewer_start(struct sqi_work *work);

/* The worker's message is leased from now on, until sqi_renewer_leave(). */
void sqi_renewer_enter(struct sqi_worker *worker, sq_message *message);
void sqi_renewer_leave(struct sqi_worker *worker);

void sqi_renewer_stop(void);

int64_t sqi_monotonic_ms(void);

/* ── work_report.c ────────────────────────────────────────────────────────────────────────── */

/* A complaint, with the bar out of its way. */
void sqi_work_say(struct sqi_work *work, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Takes the bar off the terminal; with stderr locked. */
void sqi_bar_clear(struct sqi_work *work);

/* Draws the bar anew, at most ten times a second. */
void sqi_bar_draw(struct sqi_work *work);

/* Opens the log, adding to one that is there: 0, or the exit code after a complaint. */
int sqi_joblog_open(struct sqi_work *work, const char *path);

void sqi_joblog_add(struct sqi_work *work, uint64_t id, uint32_t attempt,
                    const struct sqi_outcome *outcome);

#endif
