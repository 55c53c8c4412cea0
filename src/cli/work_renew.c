/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread extends the leases of all running jobs. All leases of a channel last as long, so a job
 * that begins is due after those that run: only one that begins while nothing is due wakes it.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/work.h"

static struct {
    struct sqi_work *work;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t next_ms; /* when it wakes by itself; INT64_MAX: never. Guarded by lock */
    int64_t third_ms;
    bool is_over; /* guarded by lock */
} renewer = {.lock = PTHREAD_MUTEX_INITIALIZER};

int64_t sqi_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void renew(struct sqi_worker *worker)
{
    int result = SQ_OK;
    pthread_mutex_lock(&worker->lock);
    if (worker->message)
        result = sq_message_extend(worker->message, 0);
    pthread_mutex_unlock(&worker->lock);
    if (result == SQ_ELEASE) {
        atomic_store(&worker->is_lost, true);
        eventfd_write(worker->wake_fd, 1);
    } else if (result < 0) {
        sqi_work_fail(worker->work, sqi_complain_of(result, "cannot renew a lease"));
    }
}

/* The worker that is due first; NULL when nothing is leased. With the lock held. */
static struct sqi_worker *first_due(void)
{
    struct sqi_worker *first = NULL, *workers = renewer.work->workers;
    for (unsigned i = 0; i < renewer.work->jobs; i++)
        if (workers[i].renew_at_ms && (!first || workers[i].renew_at_ms < first->renew_at_ms))
            first = &workers[i];
    return first;
}

/* Waits until something is due, or there is something to wait for. With the lock held. */
static void wait_for(int64_t due_ms)
{
    renewer.next_ms = due_ms;
    if (due_ms == INT64_MAX) {
        pthread_cond_wait(&renewer.changed, &renewer.lock);
        return;
    }
    struct timespec due = {.tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000};
    pthread_cond_timedwait(&renewer.changed, &renewer.lock, &due);
}

static void *renew_all(void *unused)
{
    pthread_mutex_lock(&renewer.lock);
    while (!renewer.is_over) {
        struct sqi_worker *worker = first_due();
        if (!worker || worker->renew_at_ms > sqi_monotonic_ms()) {
            wait_for(worker ? worker->renew_at_ms : INT64_MAX);
            continue;
        }
        worker->renew_at_ms = sqi_monotonic_ms() + renewer.third_ms;
        pthread_mutex_unlock(&renewer.lock);
        renew(worker);
        pthread_mutex_lock(&renewer.lock);
    }
    pthread_mutex_unlock(&renewer.lock);
    return unused;
}

int sqi_renewer_start(struct sqi_work *work)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&renewer.changed, &attributes);
    pthread_condattr_destroy(&attributes);
    renewer.work = work;
    renewer.next_ms = INT64_MAX;
    renewer.third_ms = work->policy.lease_ms / 3 > 0 ? work->policy.lease_ms / 3 : 1;
    int error = pthread_create(&renewer.thread, NULL, renew_all, NULL);
    if (error == 0)
        return SQI_EXIT_OK;
    return sqi_complain(SQI_EXIT_SYSTEM, "cannot start a thread: %s: end other programs",
                        strerror(error));
}

void sqi_renewer_enter(struct sqi_worker *worker, sq_message *message)
{
    pthread_mutex_lock(&worker->lock);
    worker->message = message;
    atomic_store(&worker->is_lost, false);
    pthread_mutex_unlock(&worker->lock);

    pthread_mutex_lock(&renewer.lock);
    worker->renew_at_ms = sqi_monotonic_ms() + renewer.third_ms;
    if (worker->renew_at_ms < renewer.next_ms)
        pthread_cond_signal(&renewer.changed);
    pthread_mutex_unlock(&renewer.lock);
}

void sqi_renewer_leave(struct sqi_worker *worker)
{
    pthread_mutex_lock(&renewer.lock);
    worker->renew_at_ms = 0;
    pthread_mutex_unlock(&renewer.lock);

    pthread_mutex_lock(&worker->lock); /* waits for a renewal that is on its way */
    worker->message = NULL;
    pthread_mutex_unlock(&worker->lock);
}

void sqi_renewer_stop(void)
{
    pthread_mutex_lock(&renewer.lock);
    renewer.is_over = true;
    pthread_cond_signal(&renewer.changed);
    pthread_mutex_unlock(&renewer.lock);
    pthread_join(renewer.thread, NULL);
}
