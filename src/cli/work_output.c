/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs' output, passed on whole lines at a time, so that no two of them share a line. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/work.h"

#define READ_BYTES (64 * 1024)

static pthread_mutex_t stdout_lock = PTHREAD_MUTEX_INITIALIZER;
/* Guarded by stdout_lock: the output whose last line has no newline yet; NULL: none. */
static const struct sqi_output *open_line;
static bool has_open_line;

/* Waits until at least PIPE_BUF bytes can be written without blocking: false when it is over. */
static bool wait_for_room(struct sqi_worker *worker, int fd)
{
    struct pollfd ready[] = {{.fd = fd, .events = POLLOUT},
                             {.fd = worker->wake_fd, .events = POLLIN}};
    while (!sqi_worker_must_stop(worker)) {
        if (poll(ready, 2, -1) < 0)
            continue;
        eventfd_t count;
        if (ready[1].revents)
            eventfd_read(worker->wake_fd, &count);
        if (ready[0].revents)
            return true;
    }
    return false;
}

/* All of it, or false after a complaint: a job whose output is lost is not done. */
static bool write_all(struct sqi_worker *worker, int fd, const char *bytes, size_t count)
{
    while (count > 0) {
        if (!wait_for_room(worker, fd))
            return false;
        ssize_t written = write(fd, bytes, count < PIPE_BUF ? count : PIPE_BUF);
        if (written < 0 && errno != EINTR && errno != EAGAIN) {
            int error = errno;
            if (!atomic_load(&worker->work->exit_code) && fd == STDOUT_FILENO)
                sqi_work_say(worker->work,
                             "cannot write the output: %s: free some space or write elsewhere",
                             strerror(error));
            sqi_work_fail(worker->work, SQI_EXIT_IO);
            return false;
        }
        bytes += written > 0 ? written : 0;
        count -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

/* To stdout, after the newline that another job's last line may lack. */
static bool pass_to_stdout(struct sqi_output *output, const char *bytes, size_t count)
{
    pthread_mutex_lock(&stdout_lock);
    bool is_written = true;
    if (has_open_line && open_line != output)
        is_written = write_all(output->worker, STDOUT_FILENO, "\n", 1);
    is_written = is_written && write_all(output->worker, STDOUT_FILENO, bytes, count);
    has_open_line = bytes[count - 1] != '\n';
    open_line = has_open_line ? output : NULL;
    pthread_mutex_unlock(&stdout_lock);
    return is_written;
}

static bool pass_to_stderr(struct sqi_output *output, const char *bytes, size_t count)
{
    sqi_lock_stderr(); /* as sqi_complain() does */
    sqi_bar_clear(output->worker->work);
    bool is_written = write_all(output->worker, STDERR_FILENO, bytes, count);
    sqi_unlock_stderr();
    return is_written;
}

static void pass_on(struct sqi_output *output, size_t count)
{
    if (output->target_fd == STDOUT_FILENO && output->worker->work->shows_bar) {
        sqi_lock_stderr();
        sqi_bar_clear(output->worker->work);
        sqi_unlock_stderr();
    }
    bool is_written = output->target_fd == STDOUT_FILENO
                          ? pass_to_stdout(output, output->bytes, count)
                          : pass_to_stderr(output, output->bytes, count);
    output->is_lost = output->is_lost || !is_written;
    output->used_bytes -= count;
    memmove(output->bytes, output->bytes + count, output->used_bytes);
}

/* Room for some more, within the bound: false when there is none. */
static bool make_room(struct sqi_output *output)
{
    if (output->room_bytes - output->used_bytes >= READ_BYTES)
        return true;
    size_t room = 2 * output->room_bytes + READ_BYTES;
    char *bytes = room <= 2 * SQI_WORK_LINE_BYTES_MAX ? realloc(output->bytes, room) : NULL;
    if (!bytes)
        return false;
    output->bytes = bytes;
    output->room_bytes = room;
    return true;
}

bool sqi_output_feed(struct sqi_output *output, int fd)
{
    if (!make_room(output) && output->used_bytes == output->room_bytes) {
        if (!output->bytes) {
            sqi_work_say(output->worker->work, "no memory for the output: ask for fewer jobs");
            sqi_work_fail(output->worker->work, SQI_EXIT_SYSTEM);
            output->is_lost = true;
            return false;
        }
        pass_on(output, output->used_bytes); /* a piece of a very long line */
    }
    ssize_t count = read(fd, output->bytes + output->used_bytes,
                         output->room_bytes - output->used_bytes);
    if (count <= 0)
        return count < 0 && (errno == EAGAIN || errno == EINTR);
    const char *begin = output->bytes + output->used_bytes;
    output->used_bytes += (size_t)count;
    const char *last = memrchr(begin, '\n', (size_t)count);
    if (last)
        pass_on(output, (size_t)(last - output->bytes) + 1);
    return true;
}

void sqi_output_end(struct sqi_output *output)
{
    if (output->used_bytes > 0 && output->target_fd == STDERR_FILENO &&
        output->used_bytes < output->room_bytes)
        output->bytes[output->used_bytes++] = '\n'; /* complaints follow on lines of their own */
    if (output->used_bytes > 0)
        pass_on(output, output->used_bytes);
    pthread_mutex_lock(&stdout_lock);
    if (open_line == output) /* it ends, and another may come to lie where it lay */
        open_line = NULL;
    pthread_mutex_unlock(&stdout_lock);
    free(output->bytes);
    output->bytes = NULL;
}
