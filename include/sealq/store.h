/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file store.h
 * A store holds channels: named queues of sealed messages that outlive the process.
 *
 *     mem:                 in this process's memory: for tests and for programs that begin small
 *     a path               a folder on a local disk, for all processes of this machine (LMDB)
 *
 * What a put acknowledged is synced to disk, where there is one. Any number of processes and
 * threads may use a store at once; one that is killed loses nothing but its leases.
 */
#ifndef SEALQ_STORE_H
#define SEALQ_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "keyring.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sq_store sq_store;

/** What sq_store_each_channel() calls for each. */
typedef int (*sq_channel_visitor)(const char *name, void *context);

/** What sq_store_options.on_warning is told: something to look after, while work goes on. */
typedef struct sq_warning {
    int code;             /**< SQ_ENOKEY or SQ_ERETIRED: messages were handed back */
    const char *channel;  /**< where */
    const char *key_id;   /**< of the key that is missing or retired */
    const char *sentence; /**< for a person */
} sq_warning;

/** How a store is opened. Zeroed, or NULL in its place: made when it is not there. */
typedef struct sq_store_options {
    uint64_t quota_bytes; /**< of messages in it; puts beyond are refused. 0: 90 % of the disk */
    bool must_exist;      /**< SQ_ENOENT rather than a new store */
    /**
     * Called once for each key id that messages need and the keyring lacks or has retired: such
     * messages go back with a delay of 30 s, no attempt counted. From the thread that met one; it
     * must not use the store. NULL: nobody is told.
     */
    void (*on_warning)(const sq_warning *warning, void *context);
    void *context; /**< handed to on_warning */
    uint64_t reserved[8];
} sq_store_options;

/**
 * Open a store.
 *
 * url          "mem:", or the path of a folder; missing folders are made, for this user alone.
 * keyring      what messages are sealed and opened with, or sq_plaintext() for a store whose
 *              messages are not sealed. Needed; the store keeps it alive.
 * options      NULL: the defaults. Copied.
 * ret_store    end it with sq_store_close(). Untouched on failure.
 * Errors       SQ_EINVAL, SQ_ENOENT (must_exist), SQ_ESTORE (a folder with something else in it,
 *              damaged, on a file system that is not local, readable by others, or in use from
 *              another PID namespace), SQ_EVERSION (made by a newer sealq), SQ_EPOISONED,
 *              SQ_ENOSPACE, SQ_EIO, SQ_ENOMEM.
 * Threads      any. In the child of a fork a store made before it answers SQ_EFORK: open it anew.
 */
SQ_API int sq_store_open(const char *url, const sq_keyring *keyring,
                         const sq_store_options *options, sq_store **ret_store);

/**
 * Close a store. NULL does nothing. Leases that are held end: their messages go to others.
 *
 * Its channels, messages and consumers must be freed before; one left is a programming error that
 * an assertion catches. In the child of a fork only memory is freed.
 *
 * Returns      NULL.
 * Threads      one, when no other uses the store any more.
 */
SQ_API sq_store *sq_store_close(sq_store *store);

/**
 * Go through the channels of a store, the oldest first.
 *
 * visit        gets a name; a result other than 0 ends it. It may use the store.
 * context      handed to visit.
 * Returns      0, or what visit ended it with.
 * Errors       SQ_EINVAL, SQ_ENOMEM, SQ_EFORK, SQ_EIO, SQ_EPOISONED.
 */
SQ_API int sq_store_each_channel(sq_store *store, sq_channel_visitor visit, void *context);

#ifdef __cplusplus
}
#endif
#endif
