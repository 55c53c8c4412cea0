/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lmdb/page.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/futex.h"

#define PAGE_FILE "shared"
#define PAGE_VERSION 1
static const char magic[8] = "sqshared";

enum { OPENING = 0, FIRST_SLOT = 1 }; /* bytes that are locked */

/* ── locks ────────────────────────────────────────────────────────────────────────────────── */

static struct flock lock_on(short type, off_t first, off_t count)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = first, .l_len = count};
}

static bool try_lock_slot(int fd, unsigned slot)
{
    struct flock lock = lock_on(F_WRLCK, FIRST_SLOT + (off_t)slot, 1);
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* Whether somebody else holds a lock on one of these bytes. When in doubt, yes. */
static bool is_locked_by_other(int fd, off_t first, off_t count)
{
    struct flock lock = lock_on(F_WRLCK, first, count);
    return fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

static int lock_opening(int fd, const char *path)
{
    struct flock lock = lock_on(F_WRLCK, OPENING, 1);
    int result;
    do
        result = fcntl(fd, F_OFD_SETLKW, &lock);
    while (result != 0 && errno == EINTR);
    return result == 0 ? SQ_OK
                       : sqi_fail_with(SQ_EIO, "%s: cannot lock it: %s", path, strerror(errno));
}

void sqi_page_unlock(struct sqi_mapped_page *page)
{
    struct flock lock = lock_on(F_UNLCK, OPENING, 1);
    (void)fcntl(page->fd, F_OFD_SETLK, &lock); /* cannot fail for a lock that is held */
}

/* ── opening ──────────────────────────────────────────────────────────────────────────────── */

static uint64_t pid_namespace(void)
{
    struct stat status;
    return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

static void make_turnstile(pthread_mutex_t *turnstile)
{
    pthread_mutexattr_t attributes;
    int failed = pthread_mutexattr_init(&attributes);
    failed |= pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    failed |= pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    failed |= pthread_mutex_init(turnstile, &attributes);
    failed |= pthread_mutexattr_destroy(&attributes);
    assert(!failed); /* on Linux these fail on wrong arguments only */
}

static void make_page(struct sqi_page *page)
{
    memset(page, 0, sizeof *page);
    memcpy(page->magic, magic, sizeof magic);
    page->version = PAGE_VERSION;
    page->bytes = sizeof *page;
    page->pid_namespace = pid_namespace();
    page->promises[0] = page->promises[1] = SQI_NEVER;
    make_turnstile(&page->turnstile);
}

/* A page that others use. */
static int check_page(const struct sqi_page *page, const char *path)
{
    if (memcmp(page->magic, magic, sizeof magic) != 0 || page->version != PAGE_VERSION ||
        page->bytes != sizeof *page)
        return sqi_fail_with(
            SQ_EVERSION, "%s: in use by another version of sealq: end those processes first", path);
    if (page->pid_namespace != pid_namespace())
        return sqi_fail_with(SQ_ESTORE,
                             "%s: in use from another PID namespace (a container): processes that "
                             "share a store must share that, too",
                             path);
    if (atomic_load(&page->poisoned))
        return sqi_fail_with(SQ_EPOISONED,
                             "%s: a sync failed: end all processes that have the "
                             "store open, and see to the disk",
                             path);
    return SQ_OK;
}

static int claim_slot(struct sqi_mapped_page *page, const char *path)
{
    uint64_t incarnation = 0;
    while (!(incarnation & ~SQI_INCARNATION_HANDLES))
        if (getrandom(&incarnation, sizeof incarnation, 0) != sizeof incarnation)
            return sqi_fail_with(SQ_EIO, "%s: the system gave no random bytes", path);
    incarnation &= ~SQI_INCARNATION_HANDLES;
    for (unsigned slot = 0; slot < SQI_OWNERS_MAX; slot++) {
        if (!try_lock_slot(page->fd, slot))
            continue;
        page->slot = slot;
        page->incarnation = incarnation;
        atomic_store(&page->page->owners[slot].pid, getpid());
        /* Release: who sees the incarnation sees its process. Pairs with the load in owners.c. */
        atomic_store_explicit(&page->page->owners[slot].incarnation, incarnation,
                              memory_order_release);
        return SQ_OK;
    }
    return sqi_fail_with(SQ_ESTORE, "%s: %d processes have the store open, the most there may be",
                         path, SQI_OWNERS_MAX);
}

/* With the opening lock held: the page made or checked, and a slot claimed. */
static int map_page(struct sqi_mapped_page *page, const char *path)
{
    bool is_used = is_locked_by_other(page->fd, FIRST_SLOT, SQI_OWNERS_MAX);
    /* All of it allocated: a store to a hole on a full disk would be a SIGBUS. */
    int error = posix_fallocate(page->fd, 0, sizeof *page->page);
    if (error)
        return sqi_fail_with(error == ENOSPC || error == EDQUOT ? SQ_ENOSPACE : SQ_EIO,
                             "%s: no room for its shared page: %s", path, strerror(error));
    page->page = mmap(NULL, sizeof *page->page, PROT_READ | PROT_WRITE, MAP_SHARED, page->fd, 0);
    if (page->page == MAP_FAILED) {
        page->page = NULL;
        return sqi_fail_with(SQ_EIO, "%s: cannot map its shared page: %s", path, strerror(errno));
    }
    if (!is_used)
        make_page(page->page);
    int result = check_page(page->page, path);
    return result < 0 ? result : claim_slot(page, path);
}

int sqi_page_open(int folder, const char *path, struct sqi_mapped_page *ret_page)
{
    struct sqi_mapped_page page = {0};
    page.fd = openat(folder, PAGE_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (page.fd < 0)
        return sqi_fail_with(errno == ENOSPC || errno == EDQUOT ? SQ_ENOSPACE : SQ_EIO,
                             "%s: cannot open %s in it: %s", path, PAGE_FILE, strerror(errno));
    int result = lock_opening(page.fd, path);
    if (result == SQ_OK)
        result = map_page(&page, path);
    if (result == SQ_OK)
        *ret_page = page;
    else
        sqi_page_close(&page, true);
    return result;
}

void sqi_page_close(struct sqi_mapped_page *page, bool is_child)
{
    if (page->page && !is_child) {
        atomic_store(&page->page->owners[page->slot].incarnation, 0);
        atomic_fetch_add(&page->page->generation, 1);
    }
    if (page->page)
        munmap(page->page, sizeof *page->page);
    if (page->fd >= 0)
        close(page->fd); /* and with it the locks */
    page->page = NULL;
    page->fd = -1;
}

/* ── owners ───────────────────────────────────────────────────────────────────────────────── */

bool sqi_page_is_alive(const struct sqi_mapped_page *page, uint64_t incarnation)
{
    incarnation &= ~SQI_INCARNATION_HANDLES;
    if (incarnation == page->incarnation)
        return true;
    for (unsigned slot = 0; slot < SQI_OWNERS_MAX; slot++)
        if (atomic_load_explicit(&page->page->owners[slot].incarnation, memory_order_acquire) ==
            incarnation)
            return is_locked_by_other(page->fd, FIRST_SLOT + (off_t)slot, 1);
    return false;
}

bool sqi_page_clear_dead(struct sqi_mapped_page *page)
{
    bool found = false;
    for (unsigned slot = 0; slot < SQI_OWNERS_MAX; slot++) {
        struct sqi_owner_slot *owner = &page->page->owners[slot];
        uint64_t incarnation = atomic_load(&owner->incarnation);
        if (incarnation == 0 || slot == page->slot ||
            is_locked_by_other(page->fd, FIRST_SLOT + (off_t)slot, 1))
            continue;
        /* Somebody may claim the slot just now: then it holds another incarnation, or will. */
        found |= atomic_compare_exchange_strong(&owner->incarnation, &incarnation, 0);
    }
    return found;
}

/* ── waking ───────────────────────────────────────────────────────────────────────────────── */

void sqi_page_wake(struct sqi_mapped_page *page, uint64_t mask)
{
    for (; mask; mask &= mask - 1) {
        _Atomic uint32_t *word = &page->page->words[__builtin_ctzll(mask)].word;
        /* Pairs with the load in watch(): who saw the old value looked before this commit, or
           will be refused by the futex. The kernel orders the word and its sleepers. */
        atomic_fetch_add(word, 1);
        sqi_futex_wake_all_shared((const uint32_t *)word);
    }
}

/* Relaxed: the write lock orders changes, and the futex words order them before sleepers. */

bool sqi_page_promise_set(struct sqi_page *page, unsigned which, int64_t due)
{
    if (due >= atomic_load_explicit(&page->promises[which], memory_order_relaxed))
        return false;
    atomic_store_explicit(&page->promises[which], due, memory_order_relaxed);
    return true;
}

bool sqi_page_promise_is_over(const struct sqi_page *page, unsigned which, int64_t now)
{
    return atomic_load_explicit(&page->promises[which], memory_order_relaxed) <= now;
}

void sqi_page_promise_renew(struct sqi_page *page, unsigned which, int64_t first)
{
    atomic_store_explicit(&page->promises[which], first, memory_order_relaxed);
}

int64_t sqi_page_promise_least(const struct sqi_page *page, unsigned which, int64_t first)
{
    int64_t promise = atomic_load_explicit(&page->promises[which], memory_order_relaxed);
    return promise < first ? promise : first;
}
