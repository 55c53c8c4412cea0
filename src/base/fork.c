/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fork.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

static _Atomic uint32_t generation;

static void in_child(void)
{
    /* Relaxed: the child has one thread, and later ones are made after this. */
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

__attribute__((constructor)) static void watch_forks(void)
{
    int failed = pthread_atfork(NULL, NULL, in_child);
    assert(!failed);
}

uint32_t sqi_fork_generation(void)
{
    /* Relaxed: changes only where there is one thread, see in_child(). */
    return atomic_load_explicit(&generation, memory_order_relaxed);
}
