/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lmdb/watcher.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "engine/lmdb/commit.h"
#include "engine/lmdb/life.h"

struct sqi_watcher {
    struct sqi_environment *environment;
    pthread_t thread;
    int bell; /* an eventfd: the owners have changed, or stop */
    atomic_bool is_stopping;
    _Atomic uint32_t generation; /* of the owners that it knows, or was told to look at */
    uint64_t incarnations[SQI_OWNERS_MAX];
    /* [0]: the bell; [1 + slot]: a pidfd, or -1 */
    struct pollfd polled[1 + SQI_OWNERS_MAX];
};

/* ── the dead ─────────────────────────────────────────────────────────────────────────────── */

static int apply_reclaim(struct sqi_transaction *transaction, void *unused)
{
    (void)unused;
    sqi_life_reclaim(transaction, 0);
    return SQ_OK;
}

int sqi_reclaim_dead(struct sqi_environment *environment)
{
    struct sqi_request request = {.apply = apply_reclaim};
    int dead_readers;
    if (!sqi_page_clear_dead(&environment->page))
        return 0;
    (void)mdb_reader_check(environment->mdb, &dead_readers); /* a backup's, perhaps */
    int result = sqi_commit(environment, &request);
    /* It may have been killed between a commit and the wake for it. */
    sqi_page_wake(&environment->page, ~UINT64_C(0));
    return result < 0 ? result : 1;
}

/* ── the thread ───────────────────────────────────────────────────────────────────────────── */

static void forget(struct sqi_watcher *watcher, unsigned slot)
{
    if (watcher->polled[1 + slot].fd >= 0)
        close(watcher->polled[1 + slot].fd);
    watcher->polled[1 + slot].fd = -1;
    watcher->incarnations[slot] = 0;
}

/* A pidfd for every owner that has none yet. Who is dead already is found by its lock. */
static void look_at_owners(struct sqi_watcher *watcher)
{
    struct sqi_mapped_page *page = &watcher->environment->page;
    for (unsigned slot = 0; slot < SQI_OWNERS_MAX; slot++) {
        /* Acquire: the process id. Pairs with the release in page.c. */
        uint64_t incarnation = atomic_load_explicit(&page->page->owners[slot].incarnation,
                                                    memory_order_acquire);
        if (slot == page->slot || incarnation == watcher->incarnations[slot])
            continue;
        forget(watcher, slot);
        if (incarnation == 0)
            continue;
        int pid = atomic_load(&page->page->owners[slot].pid);
        watcher->polled[1 + slot].fd = (int)syscall(SYS_pidfd_open, pid, 0);
        watcher->incarnations[slot] = incarnation;
    }
}

static void *watch(void *argument)
{
    struct sqi_watcher *watcher = argument;
    while (!atomic_load(&watcher->is_stopping)) {
        look_at_owners(watcher);
        /* After the pidfds are open: whose lock is held now, lived while its pidfd was opened. */
        (void)sqi_reclaim_dead(watcher->environment);
        int ready = poll(watcher->polled, 1 + SQI_OWNERS_MAX, -1);
        assert(ready >= 0 || errno == EINTR);
        if (watcher->polled[0].revents) {
            uint64_t count;
            ssize_t unused = read(watcher->bell, &count, sizeof count);
            (void)unused; /* it does not block: poll() has told so */
        }
        for (unsigned slot = 0; slot < SQI_OWNERS_MAX; slot++)
            if (watcher->polled[1 + slot].fd >= 0 && watcher->polled[1 + slot].revents)
                forget(watcher, slot);
    }
    return NULL;
}

static void ring(struct sqi_watcher *watcher)
{
    uint64_t one = 1;
    ssize_t written = write(watcher->bell, &one, sizeof one);
    assert(written == sizeof one);
}

static void free_watcher(struct sqi_watcher *watcher)
{
    for (unsigned slot = 0; slot < SQI_OWNERS_MAX; slot++)
        forget(watcher, slot);
    close(watcher->bell);
    free(watcher);
}

static int start(struct sqi_watcher *watcher)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&watcher->thread, NULL, watch, watcher);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? sqi_fail_with(SQ_ETHREAD, "the system gave no thread to watch other processes")
                  : SQ_OK;
}

static int make_watcher(struct sqi_environment *environment, struct sqi_watcher **ret_watcher)
{
    struct sqi_watcher *watcher = calloc(1, sizeof *watcher);
    if (!watcher)
        return sqi_fail(SQ_ENOMEM);
    watcher->environment = environment;
    for (unsigned slot = 0; slot < SQI_OWNERS_MAX; slot++)
        watcher->polled[1 + slot] = (struct pollfd){.fd = -1, .events = POLLIN};
    watcher->bell = eventfd(0, EFD_CLOEXEC);
    watcher->polled[0] = (struct pollfd){.fd = watcher->bell, .events = POLLIN};
    int result = watcher->bell < 0 ? sqi_fail(SQ_ENOMEM) : start(watcher);
    if (result < 0)
        free_watcher(watcher);
    else
        *ret_watcher = watcher;
    return result;
}

int sqi_watcher_update(struct sqi_environment *environment)
{
    int result = SQ_OK;
    uint32_t generation = atomic_load(&environment->page.page->generation);
    pthread_mutex_lock(&environment->lock);
    if (!environment->watcher) {
        result = make_watcher(environment, &environment->watcher);
        if (result == SQ_OK)
            atomic_store(&environment->watcher->generation, generation);
    }
    struct sqi_watcher *watcher = environment->watcher;
    pthread_mutex_unlock(&environment->lock);
    if (result == SQ_OK && atomic_exchange(&watcher->generation, generation) != generation)
        ring(watcher);
    return result;
}

void sqi_watcher_stop(struct sqi_environment *environment)
{
    struct sqi_watcher *watcher = environment->watcher;
    if (!watcher)
        return;
    atomic_store(&watcher->is_stopping, true);
    ring(watcher);
    int failed = pthread_join(watcher->thread, NULL);
    assert(!failed);
    free_watcher(watcher);
    environment->watcher = NULL;
}
