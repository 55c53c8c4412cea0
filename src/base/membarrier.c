/* SPDX-License-Identifier: Apache-2.0 */
#include "base/membarrier.h"

#include <linux/membarrier.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/futex.h"
#include "sealq/error.h"

#define INSTEAD_NS 10000000

static bool call(int command)
{
    return syscall(SYS_membarrier, command, 0, 0) == 0;
}

/* Registering again costs nothing; a child of a fork may have to. */
static bool pass_barrier(void)
{
    return call(MEMBARRIER_CMD_PRIVATE_EXPEDITED) ||
           (call(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
            call(MEMBARRIER_CMD_PRIVATE_EXPEDITED));
}

enum { UNKNOWN, WORKS, FAILS };
static _Atomic int known; /* relaxed: two threads may find out at once */

bool sqi_membarrier_works(void)
{
    if (atomic_load_explicit(&known, memory_order_relaxed) == UNKNOWN)
        atomic_store_explicit(&known, pass_barrier() ? WORKS : FAILS, memory_order_relaxed);
    return atomic_load_explicit(&known, memory_order_relaxed) == WORKS;
}

int sqi_membarrier(void)
{
    if (pass_barrier())
        return SQ_OK;
    atomic_store_explicit(&known, FAILS, memory_order_relaxed);
    for (int64_t end_ns = sqi_now_ns() + INSTEAD_NS; sqi_now_ns() < end_ns;)
        sqi_nap(INSTEAD_NS); /* again after a signal */
    return SQ_ETIMEDOUT;
}
