/* SPDX-License-Identifier: Apache-2.0 */
/* A store's folder: made, and found to be ours, private, local, and a store. */
#ifndef SQI_ENGINE_LMDB_FOLDER_H
#define SQI_ENGINE_LMDB_FOLDER_H

#include <stdbool.h>

#define SQI_DATA_FILE "data.mdb"

/*
 * Opens it; where it is missing and may_make, makes it and the folders above it, for this user
 * alone. SQ_ENOENT, SQ_ESTORE, SQ_EIO, SQ_ENOSPACE. The descriptor is the caller's.
 */
int sqi_folder_open(const char *path, bool may_make, int *ret_folder);

/* Sets FD_CLOEXEC on every descriptor of this process that is open on a file in the folder: LMDB
   0.9.24 does not. */
void sqi_folder_close_on_exec(int folder);

#endif
