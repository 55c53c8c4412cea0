/* SPDX-License-Identifier: Apache-2.0 */
/* What `work` tells of its jobs: the lines on stderr, the bar, the log. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/work.h"

#define BAR_PAUSE_MS 100
#define SENTENCE_BYTES_MAX 512

/* ── lines and the bar: both with stderr locked ───────────────────────────────────────────── */

static bool is_bar_there;
static int64_t bar_drawn_ms;

void sqi_bar_clear(struct sqi_work *work)
{
    if (work->shows_bar && is_bar_there)
        fputs("\r\033[K", stderr);
    is_bar_there = false;
}

void sqi_work_say(struct sqi_work *work, const char *format, ...)
{
    char sentence[SENTENCE_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    sqi_lock_stderr();
    sqi_bar_clear(work);
    sqi_complain(0, "%s", sentence);
    sqi_unlock_stderr();
}

void sqi_bar_draw(struct sqi_work *work)
{
    sq_channel_stats stats;
    if (!work->shows_bar)
        return;
    sqi_lock_stderr();
    int64_t now_ms = sqi_monotonic_ms();
    bool is_time = now_ms - bar_drawn_ms >= BAR_PAUSE_MS || atomic_load(&work->running) == 0;
    if (is_time && sq_channel_stat(work->channel, &stats) == SQ_OK) {
        bar_drawn_ms = now_ms;
        fprintf(stderr, "\r\033[K%llu done, %u running, %llu failed, %llu dead, %" PRIu64 " left",
                atomic_load(&work->done), atomic_load(&work->running), atomic_load(&work->failures),
                atomic_load(&work->deaths), stats.unfinished);
        is_bar_there = true;
    }
    sqi_unlock_stderr();
}

/* ── the log ──────────────────────────────────────────────────────────────────────────────── */

int sqi_joblog_open(struct sqi_work *work, const char *path)
{
    struct stat status;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
    work->joblog = fd >= 0 ? fdopen(fd, "a") : NULL;
    if (!work->joblog) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return sqi_complain(SQI_EXIT_IO, "cannot open the log %s: %s: name another file", path,
                            strerror(error));
    }
    if (fstat(fd, &status) == 0 && status.st_size == 0) {
        fputs("Seq\tStarttime\tRuntime\tExitval\tSignal\tAttempt\tCommand\n", work->joblog);
        fflush(work->joblog);
    }
    return SQI_EXIT_OK;
}

void sqi_joblog_add(struct sqi_work *work, uint64_t id, uint32_t attempt,
                    const struct sqi_outcome *outcome)
{
    if (!work->joblog)
        return;
    flockfile(work->joblog);
    fprintf(work->joblog, "%" PRIu64 "\t%" PRId64 ".%03d\t%" PRId64 ".%03d\t%d\t%d\t%" PRIu32 "\t",
            id, outcome->began_ms / 1000, (int)(outcome->began_ms % 1000), outcome->ran_ms / 1000,
            (int)(outcome->ran_ms % 1000), outcome->exit_code, outcome->signal, attempt);
    for (char **word = work->command; *word; word++) {
        if (word != work->command)
            fputc(' ', work->joblog);
        sqi_print_escaped(work->joblog, *word); /* a tab in it is \x09 */
    }
    fputc('\n', work->joblog);
    bool is_written = fflush(work->joblog) == 0;
    funlockfile(work->joblog);
    if (!is_written && !atomic_load(&work->exit_code)) {
        sqi_work_say(work, "cannot write the log: %s: free some space", strerror(errno));
        sqi_work_fail(work, SQI_EXIT_IO);
    }
}
