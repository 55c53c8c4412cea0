/* SPDX-License-Identifier: Apache-2.0 */
/* Which store, for every command that needs one. */
#ifndef SQI_CLI_STORE_PATH_H
#define SQI_CLI_STORE_PATH_H

#include <stdbool.h>

#include "sealq/channel.h"
#include "sealq/store.h"

/*
 * Opens the store: --store, else $SEALQ_STORE, else $XDG_DATA_HOME/sealq/store, else
 * ~/.local/share/sealq/store; with the keyring as sqi_open_keyring() finds it.
 *
 * may_make: a store that is not there is made. On the very first use, when nothing is named and
 * neither the store nor the keyring is where they are by default, the keyring is made too, and
 * stderr says where.
 *
 * Returns 0, or the exit code after a complaint.
 */
int sqi_open_store(bool may_make, sq_store **ret_store);

/* The same, then the channel, which must exist unless may_make; policy is for a new one. */
int sqi_open_channel(const char *name, bool may_make, const sq_channel_policy *policy,
                     sq_store **ret_store, sq_channel **ret_channel);

#endif
