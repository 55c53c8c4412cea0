/* SPDX-License-Identifier: Apache-2.0 */
/* Which engine a URL asks for. */
#include <string.h>

#include "base/error.h"
#include "engine/engine.h"

#define MEM "mem:"

int sqi_engine_for(const char *url, const struct sqi_engine_ops **ret_ops,
                   const char **ret_location)
{
    if (!url || !url[0])
        return sqi_fail_with(SQ_EINVAL, "no store is named: name a folder, or mem:");
    if (strncmp(url, MEM, strlen(MEM)) == 0) {
        if (url[strlen(MEM)])
            return sqi_fail_with(SQ_EINVAL, "%s: a store in memory has no name: write mem:", url);
        *ret_ops = &sqi_mem_engine;
        *ret_location = "";
        return SQ_OK;
    }
    if (strstr(url, "://"))
        return sqi_fail_with(SQ_EINVAL, "%s: no store of this kind: name a folder, or mem:", url);
#ifdef SQI_WITH_LMDB
    *ret_ops = &sqi_lmdb_engine;
    *ret_location = url;
    return SQ_OK;
#else
    return sqi_fail_with(SQ_EINVAL,
                         "%s: this sealq was built without LMDB, so it has no stores "
                         "on disk: write mem:, or build it with liblmdb-dev",
                         url);
#endif
}
