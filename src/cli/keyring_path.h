/* SPDX-License-Identifier: Apache-2.0 */
/* Where the keyring is, for every command that needs one. */
#ifndef SQI_CLI_KEYRING_PATH_H
#define SQI_CLI_KEYRING_PATH_H

#include <limits.h>
#include <stdbool.h>

#include "sealq/keyring.h"

/* Whether --keyring or $SEALQ_KEYRING names one, and whether it is the word plaintext: nothing is
   sealed then. */
bool sqi_keyring_is_named(void);
bool sqi_keyring_is_plaintext(void);

/* folder/rest in path, unless the folder is not set, not absolute, or it all is too long. */
bool sqi_join_path(char path[PATH_MAX], const char *folder, const char *rest);

/* The file: --keyring, else $SEALQ_KEYRING, else sealq.keyring in $CREDENTIALS_DIRECTORY when it
   is there, else $XDG_CONFIG_HOME/sealq/keyring, else ~/.config/sealq/keyring. NULL after a
   complaint. A static buffer. */
const char *sqi_keyring_path(void);

/* Opens it, whichever way it was named: 0, or the exit code after a complaint. */
int sqi_open_keyring(sq_keyring **ret_keyring);

/* Whether the keyring's keys may be used unlocked: 0, or the exit code after a complaint. */
int sqi_check_memory_lock(void);

#endif
