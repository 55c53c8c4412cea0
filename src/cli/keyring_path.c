/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/keyring_path.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/complain.h"

#define CREDENTIAL_NAME "sealq.keyring"

static const char *named_keyring(void)
{
    const char *named = sqi_globals.keyring ? sqi_globals.keyring : getenv("SEALQ_KEYRING");
    return named && named[0] ? named : NULL;
}

bool sqi_keyring_is_named(void)
{
    return named_keyring() != NULL;
}

bool sqi_keyring_is_plaintext(void)
{
    const char *named = named_keyring();
    return named && strcmp(named, "plaintext") == 0;
}

bool sqi_join_path(char path[PATH_MAX], const char *folder, const char *rest)
{
    return folder && folder[0] == '/' && snprintf(path, PATH_MAX, "%s/%s", folder, rest) < PATH_MAX;
}

const char *sqi_keyring_path(void)
{
    static char path[PATH_MAX];
    const char *named = named_keyring();
    if (named && strncmp(named, "fd:", 3) == 0) {
        sqi_complain(SQI_EXIT_USAGE, "%s: a keyring on a descriptor cannot be changed: name a file",
                     named);
        return NULL;
    }
    if (sqi_keyring_is_plaintext()) {
        sqi_complain(SQI_EXIT_USAGE, "plaintext stands for no keyring at all: name a file, "
                                     "./plaintext if that is its name");
        return NULL;
    }
    if (named)
        return named;
    if (sqi_join_path(path, getenv("CREDENTIALS_DIRECTORY"), CREDENTIAL_NAME) &&
        access(path, F_OK) == 0)
        return path;
    if (sqi_join_path(path, getenv("XDG_CONFIG_HOME"), "sealq/keyring") ||
        sqi_join_path(path, getenv("HOME"), ".config/sealq/keyring"))
        return path;
    sqi_complain(SQI_EXIT_USAGE, "no keyring is named and HOME is not set: use --keyring FILE");
    return NULL;
}

/* The number behind fd:, or -1. */
static int descriptor_of(const char *named)
{
    char *end;
    errno = 0;
    long fd = strtol(named + 3, &end, 10);
    return named[3] >= '0' && named[3] <= '9' && !*end && !errno && fd <= INT_MAX ? (int)fd : -1;
}

int sqi_check_memory_lock(void)
{
    if (!sqi_globals.require_mlock || sq_keyring_is_locked_in_memory())
        return SQI_EXIT_OK;
    return sqi_complain(SQI_EXIT_KEYRING, "the keys cannot be locked in memory: raise the limit "
                                          "(ulimit -l), or leave --require-mlock out");
}

int sqi_open_keyring(sq_keyring **ret_keyring)
{
    const char *named = named_keyring();
    int result;
    if (named && strncmp(named, "fd:", 3) == 0) {
        int fd = descriptor_of(named);
        if (fd < 0)
            return sqi_complain(SQI_EXIT_USAGE, "%s: no descriptor: type, for example, fd:3",
                                named);
        result = sq_keyring_open_fd(fd, ret_keyring);
    } else {
        const char *path = sqi_keyring_path();
        if (!path)
            return SQI_EXIT_USAGE;
        result = sq_keyring_open(path, ret_keyring);
    }
    int exit_code = result < 0 ? sqi_complain_of(result, NULL) : sqi_check_memory_lock();
    if (result == SQ_OK && exit_code != SQI_EXIT_OK)
        *ret_keyring = sq_keyring_free(*ret_keyring);
    return exit_code;
}
