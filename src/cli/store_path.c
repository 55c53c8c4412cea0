/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/store_path.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/keyring_path.h"

static const char *named_store(void)
{
    const char *named = sqi_globals.store ? sqi_globals.store : getenv("SEALQ_STORE");
    return named && named[0] ? named : NULL;
}

/* NULL after a complaint. A static buffer. */
static const char *store_path(void)
{
    static char path[PATH_MAX];
    if (named_store())
        return named_store();
    if (sqi_join_path(path, getenv("XDG_DATA_HOME"), "sealq/store") ||
        sqi_join_path(path, getenv("HOME"), ".local/share/sealq/store"))
        return path;
    sqi_complain(SQI_EXIT_USAGE, "no store is named and HOME is not set: use --store FOLDER");
    return NULL;
}

/* Makes the keyring on the very first use: 0, or the exit code after a complaint. */
static int make_keyring_at_first_use(const char *store)
{
    if (named_store() || sqi_keyring_is_named() || access(store, F_OK) == 0)
        return SQI_EXIT_OK;
    const char *path = sqi_keyring_path();
    if (!path)
        return SQI_EXIT_USAGE;
    if (access(path, F_OK) == 0)
        return SQI_EXIT_OK;
    int exit_code = sqi_check_memory_lock(); /* before there is a key in memory */
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    int result = sq_keyring_create(path, "made with the store", NULL);
    if (result == SQ_EEXIST) /* another process came first, and said so */
        return SQI_EXIT_OK;
    if (result < 0)
        return sqi_complain_of(result, "cannot make the keyring");
    return sqi_complain(SQI_EXIT_OK, "made a key, in %s: keep a copy, for losing it loses the data",
                        path);
}

static void warn(const sq_warning *warning, void *context)
{
    (void)context;
    sqi_complain(0, "%s", warning->sentence);
}

int sqi_open_store(bool may_make, sq_store **ret_store)
{
    const char *path = store_path();
    if (!path)
        return SQI_EXIT_USAGE;
    int exit_code = may_make ? make_keyring_at_first_use(path) : SQI_EXIT_OK;
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    sq_keyring *keyring = NULL;
    if (!sqi_keyring_is_plaintext() && (exit_code = sqi_open_keyring(&keyring)) != SQI_EXIT_OK)
        return exit_code;
    sq_store_options options = {.must_exist = !may_make, .on_warning = warn};
    int result = sq_store_open(path, keyring ? keyring : sq_plaintext(), &options, ret_store);
    sq_keyring_free(keyring); /* the store keeps what it needs */
    return result < 0 ? sqi_complain_of(result, NULL) : SQI_EXIT_OK;
}

/* Asked before anything is made. */
static bool is_channel_name(const char *name)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    size_t bytes = strlen(name);
    return bytes > 0 && bytes <= SQ_CHANNEL_NAME_BYTES_MAX && strspn(name, letters) == bytes &&
           name[0] != '_' && name[0] != '-';
}

int sqi_open_channel(const char *name, bool may_make, const sq_channel_policy *policy,
                     sq_store **ret_store, sq_channel **ret_channel)
{
    sq_store *store;
    if (!is_channel_name(name))
        return sqi_complain(SQI_EXIT_USAGE,
                            "%s: not a channel's name: take at most %d letters, digits, _ and -, "
                            "a letter or digit first",
                            name, SQ_CHANNEL_NAME_BYTES_MAX);
    int exit_code = sqi_open_store(may_make, &store);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    int result = may_make ? sq_channel_open(store, name, policy, ret_channel)
                          : sq_channel_find(store, name, ret_channel);
    if (result < 0) {
        exit_code = sqi_complain_of(result, NULL);
        sq_store_close(store);
        return exit_code;
    }
    *ret_store = store;
    return SQI_EXIT_OK;
}
