/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watcher: a thread, in each process where somebody waits, that sleeps until another process
 * with the store open dies, then reclaims what that had leased and wakes everybody.
 *
 * A process's death makes its pidfd readable; that it is the owner who died, and not another
 * process of the same number, its lock on the page tells. Who waits tells the watcher of its
 * process when the owners have changed: whoever opens the store wakes all waiters for that.
 */
#ifndef SQI_ENGINE_LMDB_WATCHER_H
#define SQI_ENGINE_LMDB_WATCHER_H

#include "engine/lmdb/environment.h"

/* Before a wait: makes sure that there is a watcher, and that it knows the owners there are now.
   SQ_ETHREAD, SQ_ENOMEM. */
int sqi_watcher_update(struct sqi_environment *environment);

/* Ends the thread, if there is one. */
void sqi_watcher_stop(struct sqi_environment *environment);

/* Takes back what dead owners have leased, now. Returns 1 when an owner was dead. */
int sqi_reclaim_dead(struct sqi_environment *environment);

#endif
