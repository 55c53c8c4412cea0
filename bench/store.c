/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One case of `make bench-store`, once: bench_store CASE FOLDER prints messages a second.
 *
 *     ours     put-1  put-64-threads  put-1000  get-done-1000
 *     append   append-1  append-1000          write + fdatasync of the same bytes
 *     lmdb     lmdb-1  lmdb-1000  lmdb-get-done-1000      a bare loop on the same trees and sizes
 *
 * Every message has 256 bytes, 400 when sealed; every commit is synced.
 */
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <sealq/sealq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BODY_BYTES = 256, ENVELOPE_BYTES = 400, BATCH = 1000, BATCHES = 40, SINGLES = 1500 };
enum { THREADS = 64, PUTS_A_THREAD = 250 };

static uint8_t body[BODY_BYTES], envelope[ENVELOPE_BYTES];

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void check(long result, const char *what)
{
    if (result >= 0)
        return;
    fprintf(stderr, "bench_store: %s: %s\n", what, sq_last_error_detail());
    exit(1);
}

static void check_mdb(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "bench_store: %s: %s\n", what, mdb_strerror(result));
    exit(1);
}

/* ── ours ─────────────────────────────────────────────────────────────────────────────────── */

static sq_channel *channel;

static void open_ours(const char *folder)
{
    char path[4096];
    sq_keyring *keyring = NULL;
    sq_store *store = NULL;
    snprintf(path, sizeof path, "%s/keyring", folder);
    check(sq_keyring_create(path, NULL, NULL), "keyring");
    check(sq_keyring_open(path, &keyring), "keyring");
    snprintf(path, sizeof path, "%s/store", folder);
    check(sq_store_open(path, keyring, NULL, &store), "store");
    check(sq_channel_open(store, "bench", NULL, &channel), "channel");
}

static void put_singly(size_t count)
{
    const sq_content content = {.body = body, .body_bytes = BODY_BYTES};
    for (size_t i = 0; i < count; i++)
        check(sq_channel_put(channel, &content, SQ_FOREVER, NULL), "put");
}

static void put_batches(void)
{
    static sq_content contents[BATCH];
    for (size_t i = 0; i < BATCH; i++)
        contents[i] = (sq_content){.body = body, .body_bytes = BODY_BYTES};
    for (size_t i = 0; i < BATCHES; i++)
        check(sq_channel_put_many(channel, contents, BATCH, SQ_FOREVER, NULL), "put_many");
}

static void *put_in_thread(void *unused)
{
    put_singly(PUTS_A_THREAD);
    return unused;
}

static void put_in_threads(void)
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        check(-pthread_create(&threads[i], NULL, put_in_thread, NULL), "thread");
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void get_and_finish_batches(void)
{
    static sq_message *messages[BATCH];
    for (size_t i = 0; i < BATCHES; i++) {
        ssize_t got = sq_channel_get_many(channel, BATCH, SQ_NOWAIT, NULL, messages);
        check(got, "get_many");
        check(sq_message_done_many(messages, (size_t)got), "done_many");
    }
}

/* ── append + fdatasync ───────────────────────────────────────────────────────────────────── */

static void append(const char *folder, size_t syncs, size_t batch)
{
    char path[4096];
    static uint8_t bytes[BATCH * ENVELOPE_BYTES];
    snprintf(path, sizeof path, "%s/log", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    for (size_t i = 0; i < syncs; i++)
        if (write(fd, bytes, batch * ENVELOPE_BYTES) < 0 || fdatasync(fd) != 0)
            check(-1, "append");
    close(fd);
}

/* ── a bare loop on LMDB: the trees of docs/FORMAT.md, and nothing else ───────────────────── */

enum tree { META, CHANNELS, MESSAGES, BODIES, READY, TIMERS, OWNERS, TREES };
static MDB_env *env;
static MDB_dbi trees[TREES];
static uint8_t record[160];

static void put_u64(uint8_t *to, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(to, &value, sizeof value);
}

/* A key of this size that ends with the id. */
static MDB_val key_of(uint8_t room[24], size_t bytes, uint64_t id)
{
    memset(room, 0, 24);
    put_u64(room + bytes - 8, id);
    return (MDB_val){bytes, room};
}

static MDB_txn *begin(void)
{
    MDB_txn *txn;
    check_mdb(mdb_txn_begin(env, NULL, 0, &txn), "begin");
    return txn;
}

static void set(MDB_txn *txn, enum tree tree, MDB_val key, void *value, size_t bytes,
                unsigned flags)
{
    MDB_val data = {bytes, value};
    check_mdb(mdb_put(txn, trees[tree], &key, &data, flags), "put");
}

static void commit(MDB_txn *txn)
{
    uint8_t room[24];
    set(txn, META, key_of(room, 8, 0), record, 72, 0);
    set(txn, CHANNELS, key_of(room, 8, 0), record, 160, 0);
    check_mdb(mdb_txn_commit(txn), "commit");
}

static void open_bare(const char *folder)
{
    static const char *const names[] = {"meta",  "channels", "messages", "bodies",
                                        "ready", "timers",   "owners"};
    char path[4096];
    snprintf(path, sizeof path, "%s/bare", folder);
    mkdir(path, 0700);
    check_mdb(mdb_env_create(&env), "create");
    check_mdb(mdb_env_set_maxdbs(env, TREES), "maxdbs");
    check_mdb(mdb_env_set_mapsize(env, (size_t)1 << 36), "mapsize");
    check_mdb(mdb_env_open(env, path, MDB_NORDAHEAD, 0600), "open");
    MDB_txn *txn = begin();
    for (int tree = 0; tree < TREES; tree++)
        check_mdb(mdb_dbi_open(txn, names[tree], MDB_CREATE, &trees[tree]), "dbi");
    commit(txn);
}

static void bare_puts(size_t commits, size_t batch)
{
    static uint64_t id;
    uint8_t room[24];
    for (size_t i = 0; i < commits; i++) {
        MDB_txn *txn = begin();
        for (size_t j = 0; j < batch; j++) {
            id++;
            set(txn, BODIES, key_of(room, 12, id), envelope, ENVELOPE_BYTES, MDB_APPEND);
            set(txn, READY, key_of(room, 13, id), &id, sizeof id, 0);
            set(txn, MESSAGES, key_of(room, 12, id), record, 80, 0);
        }
        commit(txn);
    }
}

static void drop(MDB_txn *txn, enum tree tree, MDB_val key)
{
    check_mdb(mdb_del(txn, trees[tree], &key, NULL), "del");
}

static void bare_leases(uint64_t first)
{
    uint8_t room[24], copy[ENVELOPE_BYTES];
    MDB_txn *txn = begin();
    for (uint64_t id = first; id < first + BATCH; id++) {
        MDB_val key = key_of(room, 12, id), value;
        check_mdb(mdb_get(txn, trees[MESSAGES], &key, &value), "get");
        check_mdb(mdb_get(txn, trees[BODIES], &key, &value), "get");
        memcpy(copy, value.mv_data, sizeof copy);
        drop(txn, READY, key_of(room, 13, id));
        set(txn, TIMERS, key_of(room, 21, id), record, 0, 0);
        set(txn, OWNERS, key_of(room, 16, id), record, 4, 0);
        set(txn, MESSAGES, key_of(room, 12, id), record, 80, 0);
    }
    commit(txn);
}

static void bare_dones(uint64_t first)
{
    uint8_t room[24];
    MDB_txn *txn = begin();
    for (uint64_t id = first; id < first + BATCH; id++) {
        MDB_val key = key_of(room, 12, id), value;
        check_mdb(mdb_get(txn, trees[MESSAGES], &key, &value), "get");
        drop(txn, TIMERS, key_of(room, 21, id));
        drop(txn, OWNERS, key_of(room, 16, id));
        drop(txn, MESSAGES, key_of(room, 12, id));
        drop(txn, BODIES, key_of(room, 12, id));
    }
    commit(txn);
}

static void bare_gets_and_dones(void)
{
    for (uint64_t i = 0; i < BATCHES; i++) {
        bare_leases(1 + i * BATCH);
        bare_dones(1 + i * BATCH);
    }
}

/* ── which ────────────────────────────────────────────────────────────────────────────────── */

/* Prepares what is not measured, runs the rest, and answers how many messages that were. */
static size_t run(const char *name, const char *folder, double *ret_start_s)
{
    bool is_ours = strncmp(name, "lmdb", 4) != 0 && strncmp(name, "append", 6) != 0;
    if (is_ours)
        open_ours(folder);
    else if (name[0] == 'l')
        open_bare(folder);
    if (strcmp(name, "get-done-1000") == 0)
        put_batches();
    if (strcmp(name, "lmdb-get-done-1000") == 0)
        bare_puts(BATCHES, BATCH);
    *ret_start_s = now_s();
    if (strcmp(name, "put-1") == 0)
        return put_singly(SINGLES), SINGLES;
    if (strcmp(name, "put-64-threads") == 0)
        return put_in_threads(), THREADS * PUTS_A_THREAD;
    if (strcmp(name, "put-1000") == 0)
        return put_batches(), BATCHES * BATCH;
    if (strcmp(name, "get-done-1000") == 0)
        return get_and_finish_batches(), BATCHES * BATCH;
    if (strcmp(name, "append-1") == 0)
        return append(folder, SINGLES, 1), SINGLES;
    if (strcmp(name, "append-1000") == 0)
        return append(folder, BATCHES, BATCH), BATCHES * BATCH;
    if (strcmp(name, "lmdb-1") == 0)
        return bare_puts(SINGLES, 1), SINGLES;
    if (strcmp(name, "lmdb-1000") == 0)
        return bare_puts(BATCHES, BATCH), BATCHES * BATCH;
    if (strcmp(name, "lmdb-get-done-1000") == 0)
        return bare_gets_and_dones(), BATCHES * BATCH;
    fprintf(stderr, "bench_store: %s: no such case\n", name);
    exit(64);
}

int main(int argc, char **argv)
{
    double start_s;
    if (argc != 3) {
        fprintf(stderr, "usage: bench_store CASE FOLDER\n");
        return 64;
    }
    size_t count = run(argv[1], argv[2], &start_s);
    printf("%.0f\n", (double)count / (now_s() - start_s));
    return 0;
}
