/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store's folder, opened: LMDB's environment, the shared page, and what the threads of this
 * process share over them. One a path and process, whoever opens it how often: LMDB demands that.
 */
#ifndef SQI_ENGINE_LMDB_ENVIRONMENT_H
#define SQI_ENGINE_LMDB_ENVIRONMENT_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/engine.h"
#include "engine/lmdb/page.h"
#include "engine/lmdb/records.h"

struct sqi_request;
struct sqi_watcher;

struct sqi_environment {
    struct sqi_environment *next; /* in the list of those open in this process */
    unsigned holders;
    uint32_t fork_generation;
    dev_t device;
    ino_t inode; /* of the folder */
    char *path;
    const struct sqi_clock *clock;

    MDB_env *mdb;
    MDB_dbi trees[SQI_TREE_COUNT];
    int data_fd; /* LMDB's own, for fstatvfs() */
    struct sqi_mapped_page page;
    uint64_t quota_default; /* bytes */
    uint64_t reserve_bytes; /* that puts leave on the disk, for settling */
    _Atomic uint32_t next_handle;

    pthread_mutex_t lock;      /* guards what follows */
    struct sqi_request *queue; /* requests that wait for a leader, the oldest first */
    struct sqi_request **queue_end;
    bool is_led;                 /* a leader is at work */
    struct sqi_watcher *watcher; /* made by the first who waits */
};

/* Opens or shares the environment of this folder, making it where options allow it. */
int sqi_environment_open(const char *path, const struct sqi_engine_options *options,
                         struct sqi_environment **ret_environment);

/* Gives it back; the last one closes it. In the child of a fork: memory only. */
void sqi_environment_close(struct sqi_environment *environment);

/* A new incarnation for leases taken through one handle. */
uint64_t sqi_environment_incarnation(struct sqi_environment *environment);

#endif
