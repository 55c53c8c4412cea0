/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lmdb/environment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fork.h"
#include "engine/lmdb/commit.h"
#include "engine/lmdb/folder.h"
#include "engine/lmdb/life.h"
#include "engine/lmdb/watcher.h"

/* Addresses, not disk: the file grows as it is written. As large as the disk, within these. */
#define MAP_BYTES_MIN (UINT64_C(64) << 20)
#define MAP_BYTES_MAX (UINT64_C(1) << 40)
#define RESERVE_BYTES_MAX (UINT64_C(16) << 20)

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sqi_environment *registry; /* guarded by registry_lock */

/* ── forks ────────────────────────────────────────────────────────────────────────────────── */

/* The child must not keep the locks of its parent alive: they tell that the parent lives. */

static void before_fork(void)
{
    pthread_mutex_lock(&registry_lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&registry_lock);
}

static void after_fork_in_child(void)
{
    for (struct sqi_environment *each = registry; each; each = each->next)
        if (each->page.fd >= 0) {
            close(each->page.fd);
            each->page.fd = -1;
        }
    registry = NULL;
    pthread_mutex_unlock(&registry_lock);
}

__attribute__((constructor)) static void watch_forks(void)
{
    int failed = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    assert(!failed);
}

/* ── LMDB ─────────────────────────────────────────────────────────────────────────────────── */

static int fail_mdb(const char *path, int error)
{
    switch (error) {
    case ENOMEM:
        return sqi_fail(SQ_ENOMEM);
    case ENOSPC:
    case EDQUOT:
        return sqi_fail_with(SQ_ENOSPACE, "%s: no space left for a store", path);
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_CORRUPTED:
    case MDB_INCOMPATIBLE:
    case MDB_PAGE_NOTFOUND:
        return sqi_fail_with(SQ_ESTORE,
                             "%s: its %s is no store of sealq, or is damaged: name "
                             "another folder, or restore a backup",
                             path, SQI_DATA_FILE);
    case MDB_PANIC:
        return sqi_fail_with(SQ_EPOISONED, "%s: the disk failed to write", path);
    default:
        return sqi_fail_with(SQ_EIO, "%s: %s", path, mdb_strerror(error));
    }
}

/* The map is as large as the address space lets it be. */
static int open_mapped(struct sqi_environment *environment, uint64_t map_bytes)
{
    int error = mdb_env_create(&environment->mdb);
    if (!error)
        error = mdb_env_set_maxdbs(environment->mdb, SQI_TREE_COUNT);
    if (!error)
        error = mdb_env_set_mapsize(environment->mdb, map_bytes);
    if (!error)
        error = mdb_env_open(environment->mdb, environment->path, MDB_NORDAHEAD, 0600);
    if (error) {
        mdb_env_close(environment->mdb);
        environment->mdb = NULL;
    }
    return error;
}

static int open_mdb(struct sqi_environment *environment, int folder)
{
    struct statvfs disk;
    if (fstatvfs(folder, &disk) != 0)
        return sqi_fail_with(SQ_EIO, "%s: %s", environment->path, strerror(errno));
    uint64_t disk_bytes = (uint64_t)disk.f_blocks * disk.f_frsize, map_bytes = MAP_BYTES_MIN;
    environment->quota_default = disk_bytes / 10 * 9;
    environment->reserve_bytes = disk_bytes / 16 < RESERVE_BYTES_MAX ? disk_bytes / 16
                                                                     : RESERVE_BYTES_MAX;
    while (map_bytes < disk_bytes && map_bytes < MAP_BYTES_MAX)
        map_bytes *= 2;
    int error = open_mapped(environment, map_bytes);
    while (error == ENOMEM && map_bytes > MAP_BYTES_MIN)
        error = open_mapped(environment, map_bytes /= 2);
    if (error)
        return fail_mdb(environment->path, error);
    sqi_folder_close_on_exec(folder);
    error = mdb_env_get_fd(environment->mdb, &environment->data_fd);
    return error ? fail_mdb(environment->path, error) : SQ_OK;
}

/* ── the schema ───────────────────────────────────────────────────────────────────────────── */

static int read_boot_id(uint8_t ret_id[16])
{
    char text[64] = {0};
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    if (bytes < 36)
        return sqi_fail_with(SQ_EIO, "cannot read the boot id in /proc: is it mounted?");
    memset(ret_id, 0, 16);
    for (int i = 0, digits = 0; i < 36 && digits < 32; i++) {
        char c = text[i];
        int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (value >= 0) {
            ret_id[digits / 2] = (uint8_t)(ret_id[digits / 2] << 4 | value);
            digits++;
        }
    }
    return SQ_OK;
}

/* In the first transaction: the trees, made where they are missing from an empty store. */
static int open_trees(struct sqi_environment *environment, MDB_txn *mdb)
{
    MDB_stat status;
    MDB_dbi unnamed;
    int error = mdb_dbi_open(mdb, NULL, 0, &unnamed);
    if (!error)
        error = mdb_stat(mdb, unnamed, &status);
    bool is_new = !error && status.ms_entries == 0;
    for (unsigned tree = 0; !error && tree < SQI_TREE_COUNT; tree++)
        error = mdb_dbi_open(mdb, sqi_tree_names[tree], is_new ? MDB_CREATE : 0,
                             &environment->trees[tree]);
    if (error == MDB_NOTFOUND)
        error = MDB_INVALID; /* somebody else's */
    return error ? fail_mdb(environment->path, error) : SQ_OK;
}

static int check_version(const struct sqi_environment *environment,
                         const struct sqi_store_record *store)
{
    if (memcmp(store->magic, SQI_STORE_MAGIC, sizeof store->magic) != 0 || store->version == 0)
        return fail_mdb(environment->path, MDB_INVALID);
    if (store->version > SQI_SCHEMA_VERSION)
        return sqi_fail_with(SQ_EVERSION,
                             "%s: made by a newer sealq (schema %u, this one knows "
                             "%d): update sealq",
                             environment->path, store->version, SQI_SCHEMA_VERSION);
    return SQ_OK;
}

/* The version, before the trees: a newer schema may have others. */
static int check_newer(struct sqi_environment *environment, MDB_txn *mdb)
{
    MDB_dbi meta;
    MDB_val name = {.mv_size = 5, .mv_data = (void *)"store"}, value;
    struct sqi_store_record store = {0};
    int error = mdb_dbi_open(mdb, sqi_tree_names[SQI_META], 0, &meta);
    if (error == MDB_NOTFOUND)
        return SQ_OK; /* new, or foreign */
    if (!error)
        error = mdb_get(mdb, meta, &name, &value);
    if (error == MDB_NOTFOUND || (!error && value.mv_size < 16))
        error = MDB_INVALID;
    if (error)
        return fail_mdb(environment->path, error);
    memcpy(&store, value.mv_data, value.mv_size < sizeof store ? value.mv_size : sizeof store);
    int result = check_version(environment, &store);
    if (result == SQ_OK && value.mv_size != sizeof store)
        result = fail_mdb(environment->path, MDB_INVALID);
    return result;
}

static int make_store_record(struct sqi_environment *environment, MDB_txn *mdb)
{
    MDB_val name = {.mv_size = 5, .mv_data = (void *)"store"}, value;
    struct sqi_store_record store = {
        .magic = SQI_STORE_MAGIC,
        .version = SQI_SCHEMA_VERSION,
        .next_id = 1,
        .next_place = 1,
        .next_token = 1,
        .next_channel = 1,
    };
    int error = mdb_get(mdb, environment->trees[SQI_META], &name, &value);
    if (error != MDB_NOTFOUND)
        return error ? fail_mdb(environment->path, error) : SQ_OK;
    int result = read_boot_id(store.boot_id);
    if (result < 0)
        return result;
    value = (MDB_val){.mv_size = sizeof store, .mv_data = &store};
    error = mdb_put(mdb, environment->trees[SQI_META], &name, &value, 0);
    return error ? fail_mdb(environment->path, error) : SQ_OK;
}

static int open_schema(struct sqi_environment *environment)
{
    MDB_txn *mdb;
    int error = mdb_txn_begin(environment->mdb, NULL, 0, &mdb);
    if (error)
        return fail_mdb(environment->path, error);
    int result = check_newer(environment, mdb);
    if (result == SQ_OK)
        result = open_trees(environment, mdb);
    if (result == SQ_OK)
        result = make_store_record(environment, mdb);
    if (result < 0) {
        mdb_txn_abort(mdb);
        return result;
    }
    error = mdb_txn_commit(mdb);
    return error ? fail_mdb(environment->path, error) : SQ_OK;
}

/* A store may have leases of owners that died while nobody looked, or of another boot. */
static int apply_recovery(struct sqi_transaction *transaction, void *boot_id)
{
    if (memcmp(transaction->store.boot_id, boot_id, sizeof transaction->store.boot_id) != 0) {
        memcpy(transaction->store.boot_id, boot_id, sizeof transaction->store.boot_id);
        transaction->is_changed = true;
        sqi_life_reclaim_all(transaction);
    } else {
        sqi_life_reclaim(transaction, 0);
    }
    return SQ_OK;
}

static int recover(struct sqi_environment *environment)
{
    uint8_t boot_id[16];
    struct sqi_request request = {.apply = apply_recovery, .arguments = boot_id};
    int result = read_boot_id(boot_id);
    return result < 0 ? result : sqi_commit(environment, &request);
}

/* ── opening and closing ──────────────────────────────────────────────────────────────────── */

static void free_environment(struct sqi_environment *environment, bool is_child)
{
    if (environment->mdb && !is_child) /* in a child LMDB's state is the parent's: it is left */
        mdb_env_close(environment->mdb);
    sqi_page_close(&environment->page, is_child || !environment->page.page);
    free(environment->path);
    free(environment);
}

static int open_all(struct sqi_environment *environment, int folder)
{
    int result = sqi_page_open(folder, environment->path, &environment->page);
    if (result < 0)
        return result;
    result = open_mdb(environment, folder);
    if (result == SQ_OK)
        result = open_schema(environment);
    if (result == SQ_OK)
        result = recover(environment);
    if (result == SQ_OK) { /* who waits begins to watch this process */
        atomic_fetch_add(&environment->page.page->generation, 1);
        sqi_page_wake(&environment->page, ~UINT64_C(0));
    }
    sqi_page_unlock(&environment->page);
    return result;
}

static int make_environment(const char *path, int folder, const struct stat *status,
                            const struct sqi_engine_options *options,
                            struct sqi_environment **ret_environment)
{
    struct sqi_environment *environment = calloc(1, sizeof *environment);
    if (!environment || !(environment->path = strdup(path))) {
        free(environment);
        return sqi_fail(SQ_ENOMEM);
    }
    environment->page.fd = -1;
    environment->holders = 1;
    environment->fork_generation = sqi_fork_generation();
    environment->device = status->st_dev;
    environment->inode = status->st_ino;
    environment->clock = options->clock ? options->clock : &sqi_system_clock;
    environment->queue_end = &environment->queue;
    int failed = pthread_mutex_init(&environment->lock, NULL);
    assert(!failed);
    int result = open_all(environment, folder);
    if (result < 0)
        free_environment(environment, false);
    else
        *ret_environment = environment;
    return result;
}

static int find_or_make(const char *path, int folder, const struct sqi_engine_options *options,
                        struct sqi_environment **ret_environment)
{
    struct stat status;
    if (fstat(folder, &status) != 0)
        return sqi_fail_with(SQ_EIO, "%s: %s", path, strerror(errno));
    for (struct sqi_environment *each = registry; each; each = each->next)
        if (each->device == status.st_dev && each->inode == status.st_ino) {
            each->holders++;
            *ret_environment = each;
            return SQ_OK;
        }
    int result = make_environment(path, folder, &status, options, ret_environment);
    if (result == SQ_OK) {
        (*ret_environment)->next = registry;
        registry = *ret_environment;
    }
    return result;
}

int sqi_environment_open(const char *path, const struct sqi_engine_options *options,
                         struct sqi_environment **ret_environment)
{
    int folder;
    int result = sqi_folder_open(path, !options->must_exist, &folder);
    if (result < 0)
        return result;
    pthread_mutex_lock(&registry_lock);
    result = find_or_make(path, folder, options, ret_environment);
    pthread_mutex_unlock(&registry_lock);
    close(folder);
    return result;
}

void sqi_environment_close(struct sqi_environment *environment)
{
    if (environment->fork_generation != sqi_fork_generation()) {
        free_environment(environment, true);
        return;
    }
    pthread_mutex_lock(&registry_lock);
    if (--environment->holders == 0) {
        struct sqi_environment **at = &registry;
        while (*at != environment)
            at = &(*at)->next;
        *at = environment->next;
        sqi_watcher_stop(environment);
        sqi_page_wake(&environment->page, ~UINT64_C(0));
        pthread_mutex_destroy(&environment->lock);
        free_environment(environment, false);
    }
    pthread_mutex_unlock(&registry_lock);
}

uint64_t sqi_environment_incarnation(struct sqi_environment *environment)
{
    /* Relaxed: it only has to differ. */
    uint32_t handle = atomic_fetch_add_explicit(&environment->next_handle, 1, memory_order_relaxed);
    return environment->page.incarnation | (handle & SQI_INCARNATION_HANDLES);
}
