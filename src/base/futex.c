/* SPDX-License-Identifier: Apache-2.0 */
#include "base/futex.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* Where libc's time_t has 64 bits and long has not, the older call would read half of the deadline.
 */
#ifdef SYS_futex_time64
#define FUTEX_OF_TIMESPEC (sizeof(time_t) > sizeof(long) ? SYS_futex_time64 : SYS_futex)
#else
#define FUTEX_OF_TIMESPEC SYS_futex
#endif

static bool wait_on(const uint32_t *word, uint32_t expected, int64_t deadline_ns, int flags)
{
    struct timespec deadline = {
        .tv_sec = (time_t)(deadline_ns / SQI_NS_PER_S),
        .tv_nsec = (long)(deadline_ns % SQI_NS_PER_S),
    };
    /* FUTEX_WAIT_BITSET, not FUTEX_WAIT: its time-out is absolute, so nothing drifts when a
       thread is woken and sleeps again. */
    long result = syscall(FUTEX_OF_TIMESPEC, word, FUTEX_WAIT_BITSET | flags, expected,
                          deadline_ns == SQI_NEVER ? NULL : &deadline, NULL,
                          FUTEX_BITSET_MATCH_ANY);
    if (result == 0)
        return true;
    assert(errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT);
    return errno != ETIMEDOUT;
}

bool sqi_futex_wait(const uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    return wait_on(word, expected, deadline_ns, FUTEX_PRIVATE_FLAG);
}

void sqi_nap(int64_t ns)
{
    static const uint32_t nobody_wakes = 0;
    (void)sqi_futex_wait(&nobody_wakes, 0, sqi_now_ns() + ns);
}

void sqi_futex_wake(const uint32_t *word, int count_max)
{
    long result = syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count_max, NULL, NULL,
                          0);
    assert(result >= 0);
}

bool sqi_futex_wait_shared(const uint32_t *word, uint32_t expected, int64_t deadline_ns,
                           bool is_realtime)
{
    return wait_on(word, expected, deadline_ns, is_realtime ? FUTEX_CLOCK_REALTIME : 0);
}

void sqi_futex_wake_all_shared(const uint32_t *word)
{
    long result = syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    assert(result >= 0);
}
