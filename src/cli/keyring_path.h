/* SPDX-License-Identifier: Apache-2.0 */
/* Where the keyring is, for every command that needs one. */
#ifndef SQI_CLI_KEYRING_PATH_H
#define SQI_CLI_KEYRING_PATH_H

#include "sealq/keyring.h"

/* The file: --keyring, else $SEALQ_KEYRING, else sealq.keyring in $CREDENTIALS_DIRECTORY when it
   is there, else $XDG_CONFIG_HOME/sealq/keyring, else ~/.config/sealq/keyring. NULL after a
   complaint. A static buffer. */
const char *sqi_keyring_path(void);

/* Opens it, whichever way it was named: 0, or the exit code after a complaint. */
int sqi_open_keyring(sq_keyring **ret_keyring);

/* Whether the keyring's keys may be used unlocked: 0, or the exit code after a complaint. */
int sqi_check_memory_lock(void);

#endif
