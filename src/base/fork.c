/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fork.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint32_t generation; /* from 1 on */
static _Atomic pid_t process;

/* A page that is wiped to 0 in a child, and the generation until then. Where that is not to be had
   a plain word; there the process id stands in for it. */
static _Atomic uint32_t no_page;
_Atomic uint32_t *sqi_fork_mark = &no_page;

/* Relaxed throughout: a new generation begins with one thread, and others are made after it. */

static void begin_generation(void)
{
    uint32_t next = atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed) + 1;
    atomic_store_explicit(sqi_fork_mark, next, memory_order_relaxed);
    atomic_store_explicit(&process, getpid(), memory_order_relaxed);
}

/* In a child that no handler was told of, and that may have threads by now: one of them begins. */
static void begin_generation_late(void)
{
    uint32_t wiped = 0, next = atomic_load_explicit(&generation, memory_order_relaxed) + 1;
    if (atomic_compare_exchange_strong(sqi_fork_mark, &wiped, next))
        atomic_store(&generation, next);
}

__attribute__((constructor)) static void watch_forks(void)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    int failed = pthread_atfork(NULL, NULL, begin_generation);
    assert(!failed);
    void *page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page != MAP_FAILED && madvise(page, page_bytes, MADV_WIPEONFORK) == 0)
        sqi_fork_mark = page;
    begin_generation();
}

uint32_t sqi_fork_generation(void)
{
    if (atomic_load_explicit(sqi_fork_mark, memory_order_relaxed) == 0)
        begin_generation_late();
    return atomic_load_explicit(sqi_fork_mark, memory_order_relaxed);
}

uint32_t sqi_fork_generation_sure(void)
{
    if (sqi_fork_mark == &no_page &&
        atomic_load_explicit(&process, memory_order_relaxed) != getpid())
        begin_generation();
    return sqi_fork_generation();
}
