/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"

#include <inttypes.h>

#include "base/error.h"

int sqi_check_timeout(int64_t timeout_ms)
{
    if (timeout_ms < -1)
        return sqi_fail_with(
            SQ_EINVAL, "timeout_ms is %" PRId64 ": 0 does not wait, -1 waits for ever", timeout_ms);
    return SQ_OK;
}

int sqi_check_reserved(const uint64_t *reserved, size_t reserved_bytes, const char *name)
{
    for (size_t i = 0; i < reserved_bytes / sizeof *reserved; i++)
        if (reserved[i])
            return sqi_fail_with(SQ_EINVAL, "%s.reserved is not zero: clear the struct first",
                                 name);
    return SQ_OK;
}
