/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One job: posix_spawn, never a shell, in a process group of its own. Fed and watched by one poll
 * over its pidfd, its three pipes and the worker's eventfd, with the job's deadline as time-out.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/work.h"

enum { AT_WAKE, AT_PID, AT_IN, AT_OUT, AT_ERR, AT_COUNT };

struct process {
    struct sqi_worker *worker;
    const sq_message *message;
    size_t fed_bytes;
    int fds[AT_COUNT];   /* ours; -1: closed */
    int child_fds[3];    /* its ends, until it is there; -1: it has ours, or /dev/null */
    int64_t deadline_ms; /* of the next signal; INT64_MAX: none */
    bool is_ending;      /* SIGTERM or SIGKILL was sent */
    struct sqi_output out, err;
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* A pipe whose end in `ours` does not block: false without one. */
static bool make_pipe(int *ours, int *childs, bool child_reads)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    *ours = ends[child_reads];
    *childs = ends[!child_reads];
    fcntl(*ours, F_SETFL, O_NONBLOCK);
    return true;
}

/* ── the environment ──────────────────────────────────────────────────────────────────────── */

static const char *const withheld[] = {"SEALQ_KEYRING=", "CREDENTIALS_DIRECTORY=", "SEALQ_CHANNEL=",
                                       "SEALQ_MESSAGE_ID=", "SEALQ_ATTEMPT="};
#define OWN_VARIABLES 3

static bool is_withheld(const char *variable)
{
    for (size_t i = 0; i < sizeof withheld / sizeof withheld[0]; i++)
        if (strncmp(variable, withheld[i], strlen(withheld[i])) == 0)
            return true;
    return false;
}

bool sqi_process_prepare(struct sqi_work *work)
{
    size_t count = 0;
    while (environ[count])
        count++;
    work->environment = calloc(count + 1, sizeof *work->environment);
    if (!work->environment)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!is_withheld(environ[i]))
            work->environment[work->environment_count++] = environ[i];
    return true;
}

/* ── beginning ────────────────────────────────────────────────────────────────────────────── */

static int add_file_actions(const struct process *process, posix_spawn_file_actions_t *actions)
{
    int error = 0;
    if (process->child_fds[STDIN_FILENO] < 0)
        error = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    for (int fd = 0; fd < 3 && error == 0; fd++)
        if (process->child_fds[fd] >= 0)
            error = posix_spawn_file_actions_adddup2(actions, process->child_fds[fd], fd);
    return error ? error : posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
}

static int spawn(const struct process *process, char **arguments, char **environment,
                 pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int error = add_file_actions(process, &actions);
    if (error == 0)
        error = posix_spawnp(ret_pid, arguments[0], &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* Spawns the command with its words and environment: an errno. */
static int spawn_for(const struct process *process, pid_t *ret_pid)
{
    const struct sqi_work *work = process->worker->work;
    const sq_message *message = process->message;
    char **arguments = calloc(work->command_count + 1, sizeof *arguments);
    char **environment = calloc(work->environment_count + OWN_VARIABLES + 1, sizeof *environment);
    char *payload = work->takes_payload_as_argument
                        ? strndup(message->body_bytes ? message->body : "", message->body_bytes)
                        : NULL;
    char own[OWN_VARIABLES][96];
    int error = ENOMEM;
    if (arguments && environment && (payload || !work->takes_payload_as_argument)) {
        for (size_t i = 0; i < work->command_count; i++)
            arguments[i] = strcmp(work->command[i], "{}") == 0 ? payload : work->command[i];
        memcpy(environment, work->environment, work->environment_count * sizeof *environment);
        snprintf(own[0], sizeof own[0], "SEALQ_CHANNEL=%s", sq_channel_name(work->channel));
        snprintf(own[1], sizeof own[1], "SEALQ_MESSAGE_ID=%llu", (unsigned long long)message->id);
        snprintf(own[2], sizeof own[2], "SEALQ_ATTEMPT=%u", message->attempt);
        for (size_t i = 0; i < OWN_VARIABLES; i++)
            environment[work->environment_count + i] = own[i];
        error = spawn(process, arguments, environment, ret_pid);
    }
    free(arguments);
    free(environment);
    free(payload);
    return error;
}

/* Pipes and process: an errno. */
static int begin(struct process *process)
{
    const struct sqi_work *work = process->worker->work;
    if (!work->takes_payload_as_argument &&
        !make_pipe(&process->fds[AT_IN], &process->child_fds[STDIN_FILENO], true))
        return errno;
    if (work->pipes_output &&
        (!make_pipe(&process->fds[AT_OUT], &process->child_fds[STDOUT_FILENO], false) ||
         !make_pipe(&process->fds[AT_ERR], &process->child_fds[STDERR_FILENO], false)))
        return errno;
    pid_t pid;
    int error = spawn_for(process, &pid);
    if (error != 0)
        return error;
    process->fds[AT_PID] = pidfd_open(pid, 0);
    if (process->fds[AT_PID] < 0) { /* it cannot be watched */
        error = errno;
        kill(-pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return error;
    }
    pthread_mutex_lock(&process->worker->lock);
    process->worker->pid = pid;
    pthread_mutex_unlock(&process->worker->lock);
    return 0;
}

/* ── watching ─────────────────────────────────────────────────────────────────────────────── */

/* Writes as much of the payload as goes in; a job need not read it. */
static void feed(struct process *process)
{
    const char *body = process->message->body;
    size_t size = process->message->body_bytes;
    while (process->fed_bytes < size) {
        ssize_t count = write(process->fds[AT_IN], body + process->fed_bytes,
                              size - process->fed_bytes);
        if (count < 0 && errno == EAGAIN)
            return;
        if (count < 0 && errno != EINTR)
            break;
        process->fed_bytes += count > 0 ? (size_t)count : 0;
    }
    close_fd(&process->fds[AT_IN]);
}

/* Signals that are due: at the deadline, or since the job must stop. */
static void end_if_due(struct process *process, struct sqi_outcome *outcome)
{
    struct sqi_worker *worker = process->worker;
    bool is_due = process->deadline_ms <= sqi_monotonic_ms();
    if (!is_due && !sqi_worker_must_stop(worker))
        return;
    bool is_gentle = is_due && !process->is_ending && !sqi_worker_must_stop(worker);
    outcome->is_timed_out = outcome->is_timed_out || is_gentle;
    sqi_worker_signal(worker, is_gentle ? SIGTERM : SIGKILL);
    process->is_ending = true;
    process->deadline_ms = is_gentle ? sqi_monotonic_ms() + SQI_WORK_GRACE_MS : INT64_MAX;
}

/* How long poll may sleep. */
static int sleep_ms(const struct process *process)
{
    int64_t left_ms = process->deadline_ms - sqi_monotonic_ms();
    return process->deadline_ms == INT64_MAX ? -1
           : left_ms <= 0                    ? 0
           : left_ms > 1000000000            ? 1000000000
                                             : (int)left_ms;
}

static void take_output(struct process *process, struct sqi_output *output, int at)
{
    if (!sqi_output_feed(output, process->fds[at]))
        close_fd(&process->fds[at]);
}

/* Until the process has ended. */
static void watch(struct process *process, struct sqi_outcome *outcome)
{
    struct pollfd ready[AT_COUNT];
    do {
        end_if_due(process, outcome);
        for (int i = 0; i < AT_COUNT; i++)
            ready[i] = (struct pollfd){.fd = process->fds[i],
                                       .events = i == AT_IN ? POLLOUT : POLLIN};
        if (sqi_worker_must_stop(process->worker))
            ready[AT_WAKE].fd = ready[AT_OUT].fd = ready[AT_ERR].fd = -1;
        if (poll(ready, AT_COUNT, sleep_ms(process)) < 0)
            continue;
        eventfd_t count;
        if (ready[AT_WAKE].revents)
            eventfd_read(process->fds[AT_WAKE], &count);
        if (ready[AT_IN].revents)
            feed(process);
        if (ready[AT_OUT].revents)
            take_output(process, &process->out, AT_OUT);
        if (ready[AT_ERR].revents)
            take_output(process, &process->err, AT_ERR);
    } while (!(ready[AT_PID].revents & POLLIN));
}

static void reap(struct process *process, struct sqi_outcome *outcome)
{
    siginfo_t info = {0};
    if (process->is_ending) /* what it started and left behind; its id is ours until it is reaped */
        sqi_worker_signal(process->worker, SIGKILL);
    pthread_mutex_lock(&process->worker->lock);
    waitid(P_PIDFD, (id_t)process->fds[AT_PID], &info, WEXITED);
    process->worker->pid = 0;
    pthread_mutex_unlock(&process->worker->lock);
    bool has_exited = info.si_code == CLD_EXITED;
    outcome->exit_code = has_exited ? info.si_status : -1;
    outcome->signal = has_exited ? 0 : info.si_status;
}

/* What it wrote last is in the pipe still. One that it left running may go on without us. */
static void take_rest(struct process *process, struct sqi_output *output, int at)
{
    struct pollfd ready = {.fd = process->fds[at], .events = POLLIN};
    while (process->fds[at] >= 0 && !output->is_lost && poll(&ready, 1, 0) > 0)
        if (sqi_worker_must_stop(process->worker))
            output->is_lost = true; /* who reads our output may block */
        else
            take_output(process, output, at);
    sqi_output_end(output);
}

void sqi_process_run(struct sqi_worker *worker, const sq_message *message,
                     struct sqi_outcome *ret_outcome)
{
    struct timespec began;
    struct process process = {
        .worker = worker,
        .message = message,
        .fds = {[AT_WAKE] = worker->wake_fd, -1, -1, -1, -1},
        .child_fds = {-1, -1, -1},
        .deadline_ms = INT64_MAX,
        .out = {.worker = worker, .target_fd = STDOUT_FILENO},
        .err = {.worker = worker, .target_fd = STDERR_FILENO},
    };
    clock_gettime(CLOCK_REALTIME, &began);
    int64_t began_ms = sqi_monotonic_ms();
    if (worker->work->timeout_ms > 0)
        process.deadline_ms = began_ms + worker->work->timeout_ms;
    *ret_outcome = (struct sqi_outcome){.began_ms = (int64_t)began.tv_sec * 1000 +
                                                    began.tv_nsec / 1000000};
    ret_outcome->spawn_error = begin(&process);
    for (int fd = 0; fd < 3; fd++)
        close_fd(&process.child_fds[fd]);
    if (ret_outcome->spawn_error == 0) {
        watch(&process, ret_outcome);
        reap(&process, ret_outcome);
    }
    ret_outcome->ran_ms = sqi_monotonic_ms() - began_ms;
    take_rest(&process, &process.out, AT_OUT);
    take_rest(&process, &process.err, AT_ERR);
    ret_outcome->is_output_lost = process.out.is_lost || process.err.is_lost;
    for (int i = AT_PID; i < AT_COUNT; i++)
        close_fd(&process.fds[i]);
}
