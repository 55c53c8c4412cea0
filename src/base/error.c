/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "sealq/version.h"

#define DETAIL_BYTES_MAX 256

static const struct {
    const char *name, *meaning;
} errors[] = {
    [-SQ_OK] = {"SQ_OK", "success"},
    [-SQ_EINVAL] = {"SQ_EINVAL", "an argument is wrong"},
    [-SQ_ENOMEM] = {"SQ_ENOMEM", "out of memory"},
    [-SQ_EFULL] = {"SQ_EFULL", "full: no room in time"},
    [-SQ_EEMPTY] = {"SQ_EEMPTY", "empty: nothing to get in time"},
    [-SQ_ESHUTDOWN] = {"SQ_ESHUTDOWN", "shut down"},
    [-SQ_ETIMEDOUT] = {"SQ_ETIMEDOUT", "not finished in time"},
    [-SQ_ETOOMANY] = {"SQ_ETOOMANY", "more task_done than unfinished items"},
    [-SQ_EFORK] = {"SQ_EFORK", "made before a fork: not usable in the child"},
    [-SQ_ETHREAD] = {"SQ_ETHREAD", "the system would not start a thread"},
    [-SQ_EDEADLOCK] = {"SQ_EDEADLOCK", "the caller would wait for itself"},
    [-SQ_ENOENT] = {"SQ_ENOENT", "no such file or channel"},
    [-SQ_EEXIST] = {"SQ_EEXIST", "there is one already"},
    [-SQ_EIO] = {"SQ_EIO", "the system could not read or write"},
    [-SQ_ENOSPACE] = {"SQ_ENOSPACE", "no space left"},
    [-SQ_EVERSION] = {"SQ_EVERSION", "made by a newer sealq"},
    [-SQ_EKEYRING] = {"SQ_EKEYRING", "a keyring that is damaged, or not safe to use"},
    [-SQ_ENOKEY] = {"SQ_ENOKEY", "no such key in the keyring"},
    [-SQ_ERETIRED] = {"SQ_ERETIRED", "a key that was retired"},
    [-SQ_EINUSE] = {"SQ_EINUSE", "a key that is still needed"},
    [-SQ_EAUTH] = {"SQ_EAUTH", "forged, altered, or sealed for another channel"},
    [-SQ_EFORMAT] = {"SQ_EFORMAT", "not a well-formed envelope"},
    [-SQ_ECRYPTO] = {"SQ_ECRYPTO", "the cryptographic library failed"},
    [-SQ_ELEASE] = {"SQ_ELEASE", "the lease is over: another may have the message"},
    [-SQ_ESTORE] = {"SQ_ESTORE", "a store that is damaged, foreign, or not safe to use"},
    [-SQ_EPOISONED] = {"SQ_EPOISONED", "a sync failed: all must reopen the store"},
    [-SQ_EINTERRUPTED] = {"SQ_EINTERRUPTED", "the wait was interrupted"},
};
_Static_assert(sizeof errors / sizeof errors[0] == 1 - SQI_ERROR_LEAST, "a row for each code");

static _Thread_local struct {
    int code;
    char detail[DETAIL_BYTES_MAX]; /* "" when the code says it all */
} last;

static int index_of(int code)
{
    return code <= 0 && code >= SQI_ERROR_LEAST ? -code : -1;
}

const char *sq_strerror(int code)
{
    int index = index_of(code);
    return index < 0 ? "unknown error" : errors[index].meaning;
}

const char *sq_error_name(int code)
{
    int index = index_of(code);
    return index < 0 ? "SQ_E?" : errors[index].name;
}

const char *sq_last_error_detail(void)
{
    return last.detail[0] ? last.detail : sq_strerror(last.code);
}

int sqi_fail(int code)
{
    last.code = code;
    last.detail[0] = '\0';
    return code;
}

int sqi_fail_with(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(last.detail, sizeof last.detail, format, arguments);
    va_end(arguments);
    last.code = code;
    return code;
}

const char *sq_version(void)
{
    return SQ_VERSION_STRING;
}
