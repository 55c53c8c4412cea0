/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared page: memory that all processes with the store open have mapped, in a file of its own
 * beside the data (PATH/shared). Nothing in it must survive: whoever opens a store that nobody
 * else has open makes it anew.
 *
 *     turnstile   a robust mutex that who wants to write takes first (see commit.c)
 *     poisoned    a sync failed: no more work until all have closed the store
 *     words       futex words, 64, hashed by channel: changed and woken after each commit
 *     promises    see sqi_page_promise()
 *     owners      who has the store open: each slot belongs to who holds its lock
 *
 * Locks are open-file-description locks on bytes of this file: byte 0 while opening, byte 1 + i for
 * as long as the process that owns slot i lives. The kernel releases them, whatever kills it.
 *
 * A waker that is killed between its commit and its wake would leave others asleep on what it had
 * put. But its death is seen by whoever waits (owners.c), who then wakes all. For the same reason
 * a wake wakes every waiter of a word: one chosen waiter could be killed before it looks.
 */
#ifndef SQI_ENGINE_LMDB_PAGE_H
#define SQI_ENGINE_LMDB_PAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SQI_OWNERS_MAX 1024
#define SQI_WORDS 64

/* The low bits of an incarnation count the handles of one process. */
#define SQI_INCARNATION_HANDLES UINT64_C(0xffff)

struct sqi_owner_slot {
    _Atomic uint64_t incarnation; /* 0: nobody's. Written by who holds the slot's lock */
    _Atomic int32_t pid;
    uint32_t zero;
};

struct sqi_page {
    char magic[8];
    uint32_t version, bytes;
    _Atomic uint32_t poisoned;
    _Atomic uint32_t generation; /* goes up when the owners change */
    uint64_t pid_namespace;
    _Atomic int64_t promises[2]; /* leases: monotonic ns; wall: ms */
    pthread_mutex_t turnstile;
    struct {
        _Alignas(64) _Atomic uint32_t word;
    } words[SQI_WORDS];
    struct sqi_owner_slot owners[SQI_OWNERS_MAX];
};

struct sqi_mapped_page {
    struct sqi_page *page;
    int fd; /* of the file; carries this process's locks */
    unsigned slot;
    uint64_t incarnation; /* the low bits zero */
};

/*
 * Maps the page of the store in this folder, claims a slot, and leaves the store locked against
 * others who open it, until sqi_page_unlock(). SQ_ESTORE (in use from another PID namespace, too
 * many owners), SQ_EVERSION, SQ_EIO, SQ_ENOSPACE.
 */
int sqi_page_open(int folder, const char *path, struct sqi_mapped_page *ret_page);
void sqi_page_unlock(struct sqi_mapped_page *page);

/* Gives the slot back and unmaps. In the child of a fork: unmaps only. */
void sqi_page_close(struct sqi_mapped_page *page, bool is_child);

/* Whether the process that has this incarnation lives: a system call. */
bool sqi_page_is_alive(const struct sqi_mapped_page *page, uint64_t incarnation);

/* Empties slots of the dead. Returns whether there was one. */
bool sqi_page_clear_dead(struct sqi_mapped_page *page);

static inline unsigned sqi_word_of(uint32_t channel)
{
    return channel % SQI_WORDS;
}

/* Changes the words in the mask and wakes all who sleep on them. */
void sqi_page_wake(struct sqi_mapped_page *page, uint64_t mask);

/*
 * Promises keep sleepers from oversleeping a timer that was set after they went to sleep, without
 * waking them at every lease. Each is a time by which everybody who sleeps is going to wake:
 *
 * set      a timer was set: true when sleepers must be told, for it comes before the promise.
 * is_over  its time has come, so everybody awakes, and it is to be renewed:
 * renew    the first timer there is becomes the promise.
 * least    what a sleeper must not sleep beyond, given the first timer that it knows.
 *
 * set, is_over and renew are called with the store's write lock held. A sleeper reads the promise
 * after its look, without it: should a promise be lowered after that, all words are changed after
 * the commit, so its sleep is refused or ended; should it be renewed, it has read a lower one, and
 * merely wakes early.
 */
bool sqi_page_promise_set(struct sqi_page *page, unsigned which, int64_t due);
bool sqi_page_promise_is_over(const struct sqi_page *page, unsigned which, int64_t now);
void sqi_page_promise_renew(struct sqi_page *page, unsigned which, int64_t first);
int64_t sqi_page_promise_least(const struct sqi_page *page, unsigned which, int64_t first);

#endif
