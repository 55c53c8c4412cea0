/* SPDX-License-Identifier: Apache-2.0 */
/* Stores on disk: other processes, their deaths, failing disks, and folders that are no store. */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "channels.h"

#define LONG_LEASE_MS INT64_C(3600000)

static struct place here;

static int set_up(void **state)
{
    (void)state;
    open_place(&here, "disk");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_place(&here);
    return 0;
}

/* ── faults ───────────────────────────────────────────────────────────────────────────────── */

static atomic_int commit_fails; /* with this error, so many times */
static atomic_int commit_failures_left;
static atomic_int callers, callers_awaited; /* a commit fails only when so many have called */
static atomic_bool is_disk_full;

int __real_mdb_txn_commit(MDB_txn *transaction);
int __wrap_mdb_txn_commit(MDB_txn *transaction);
int __wrap_mdb_txn_commit(MDB_txn *transaction)
{
    if (atomic_load(&commit_failures_left) <= 0)
        return __real_mdb_txn_commit(transaction);
    wait_until(atomic_load(&callers) >= atomic_load(&callers_awaited));
    atomic_fetch_sub(&commit_failures_left, 1);
    mdb_txn_abort(transaction);
    return atomic_load(&commit_fails);
}

/* Meson sets _FILE_OFFSET_BITS, by which glibc calls it so. */
int __real_fstatvfs64(int fd, struct statvfs *status);
int __wrap_fstatvfs64(int fd, struct statvfs *status);
int __wrap_fstatvfs64(int fd, struct statvfs *status)
{
    int result = __real_fstatvfs64(fd, status);
    if (atomic_load(&is_disk_full))
        status->f_bavail = 1;
    return result;
}

static void fail_commits(int error, int count)
{
    atomic_store(&commit_fails, error);
    atomic_store(&commit_failures_left, count);
}

static void failed_sync_poisons_the_store_until_all_have_closed_it(void **state)
{
    (void)state;
    sq_content content = text("x");
    sq_store *second = NULL;
    put_text(here.channel, "before");
    fail_commits(EIO, 1);
    assert_int_equal(sq_channel_put(here.channel, &content, SQ_NOWAIT, NULL), SQ_EPOISONED);
    assert_int_equal(sq_channel_put(here.channel, &content, SQ_NOWAIT, NULL), SQ_EPOISONED);
    sq_channel_stats stats;
    assert_int_equal(sq_channel_stat(here.channel, &stats), SQ_EPOISONED);
    pid_t child = fork();
    if (child == 0) /* another process is told too */
        _exit(sq_store_open(here.url, here.keyring, NULL, &second) == SQ_EPOISONED ? 0 : 1);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    here.channel = sq_channel_free(here.channel);
    here.store = sq_store_close(here.store);
    here.store = open_store(&here, here.keyring);
    here.channel = open_named(here.store, "jobs", NULL);
    sq_message *message = get_one(here.channel);
    assert_body(message, "before");
    assert_int_equal(sq_message_done(message), SQ_OK);
    assert_empty(here.channel);
}

static void full_disk_changes_nothing(void **state)
{
    (void)state;
    sq_content content = text("x");
    put_text(here.channel, "before");
    fail_commits(ENOSPC, 1);
    assert_int_equal(sq_channel_put(here.channel, &content, SQ_NOWAIT, NULL), SQ_ENOSPACE);
    assert_int_equal(channel_stats(here.channel).ready, 1);
    fail_commits(ENOSPC, 1);
    sq_message *message = NULL;
    assert_int_equal(sq_channel_get(here.channel, SQ_NOWAIT, &message), SQ_ENOSPACE);
    assert_null(message);
    message = get_one(here.channel);
    assert_body(message, "before");
    fail_commits(ENOSPC, 1);
    assert_int_equal(sq_message_done(message), SQ_ENOSPACE); /* it stays leased, and comes again */
    assert_int_equal(channel_stats(here.channel).leased, 1);
}

static void nearly_full_disk_refuses_puts_and_nothing_else(void **state)
{
    (void)state;
    sq_channel *results = open_named(here.store, "results", NULL);
    sq_content content = text("x");
    put_text(here.channel, "before");
    atomic_store(&is_disk_full, true);
    int result = sq_channel_put(here.channel, &content, SQ_NOWAIT, NULL);
    sq_message *message = get_one(here.channel);
    int emitted = sq_message_emit(message, results, "result", 6);
    int done = sq_message_done(message);
    atomic_store(&is_disk_full, false);
    assert_int_equal(result, SQ_ENOSPACE);
    assert_int_equal(emitted, SQ_OK);
    assert_int_equal(done, SQ_OK);
    assert_int_equal(channel_stats(results).ready, 1);
    sq_channel_free(results);
}

static void quota_refuses_puts_and_nothing_else(void **state)
{
    (void)state;
    sq_store *store = NULL;
    sq_store_options options = {.quota_bytes = 400};
    assert_int_equal(sq_store_open(here.url, here.keyring, &options, &store), SQ_OK);
    sq_channel *channel = open_named(store, "jobs", NULL);
    sq_content content = text("x");
    put_text(channel, "1");
    put_text(channel, "2");
    assert_int_equal(sq_channel_put(channel, &content, SQ_NOWAIT, NULL), SQ_ENOSPACE);
    assert_int_equal(sq_message_done(get_one(channel)), SQ_OK);
    put_text(channel, "3");
    sq_channel_free(channel);
    sq_store_close(store);
}

static void *put_one(void *unused)
{
    (void)unused;
    sq_content content = text("x");
    atomic_fetch_add(&callers, 1);
    return item(sq_channel_put(here.channel, &content, SQ_FOREVER, NULL));
}

static void failed_merged_commit_is_run_again_for_each_alone(void **state)
{
    (void)state;
    enum { THREADS = 16 };
    pthread_t threads[THREADS];
    int succeeded = 0, refused = 0;
    /* The first leader's fails, with his own put alone, and then the next one's with all others. */
    atomic_store(&callers, 0);
    atomic_store(&callers_awaited, THREADS);
    fail_commits(ENOSPC, 2);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(put_one, NULL);
    for (int i = 0; i < THREADS; i++) {
        int result = end_thread(threads[i]);
        succeeded += result == 0;
        refused += result == SQ_ENOSPACE;
    }
    atomic_store(&callers_awaited, 0);
    assert_int_equal(succeeded + refused, THREADS);
    assert_true(refused <= 2); /* 2: nobody else had come in time to be merged */
    assert_int_equal(channel_stats(here.channel).ready, succeeded);
}

/* ── other processes ──────────────────────────────────────────────────────────────────────── */

/* A child with the store open for itself, told what to do and answering through pipes. */
struct child {
    pid_t pid;
    int answers; /* one byte each time it comes to a point */
    int orders;  /* one byte lets it go on */
};

static struct child start_child(int (*body)(sq_channel *channel, int answers, int orders))
{
    int up[2], down[2];
    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(down), 0);
    pid_t pid = fork();
    if (pid == 0) {
        sq_store *store = NULL;
        sq_channel *channel = NULL;
        close(up[0]);
        close(down[1]);
        if (sq_store_open(here.url, here.keyring, NULL, &store) != SQ_OK ||
            sq_channel_open(store, "jobs", NULL, &channel) != SQ_OK)
            _exit(99);
        _exit(body(channel, up[1], down[0]));
    }
    close(up[1]);
    close(down[0]);
    return (struct child){pid, up[0], down[1]};
}

static void await_answer(const struct child *child)
{
    char byte;
    assert_int_equal(read(child->answers, &byte, 1), 1);
}

static int end_child(struct child *child)
{
    int status = -1;
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    close(child->answers);
    close(child->orders);
    return status;
}

static void answer(int answers)
{
    if (write(answers, "!", 1) != 1)
        _exit(98);
}

static void await_order(int orders)
{
    char byte;
    if (read(orders, &byte, 1) != 1)
        _exit(97);
}

static int hold_a_long_lease(sq_channel *channel, int answers, int orders)
{
    sq_get_options options = {.lease_ms = LONG_LEASE_MS};
    sq_message *message = NULL;
    if (sq_channel_get_many(channel, 1, SQ_FOREVER, &options, &message) != 1)
        return 1;
    answer(answers);
    await_order(orders);
    return 0;
}

static void killed_process_gives_its_messages_to_who_waits(void **state)
{
    (void)state;
    put_text(here.channel, "job");
    struct child child = start_child(hold_a_long_lease);
    await_answer(&child);
    assert_empty(here.channel);
    kill(child.pid, SIGKILL);
    sq_message *message = NULL;
    /* Its lease has an hour to go: only its death can bring it. */
    assert_int_equal(sq_channel_get(here.channel, SQ_FOREVER, &message), SQ_OK);
    assert_int_equal(message->attempt, 2);
    assert_int_equal(sq_message_done(message), SQ_OK);
    assert_true(WIFSIGNALED(end_child(&child)));
}

static void killed_process_gives_its_messages_to_who_does_not_wait(void **state)
{
    (void)state;
    put_text(here.channel, "job");
    struct child child = start_child(hold_a_long_lease);
    await_answer(&child);
    kill(child.pid, SIGKILL);
    end_child(&child);
    assert_int_equal(sq_message_done(get_one(here.channel)), SQ_OK);
}

static void unowned_lease_outlives_its_process(void **state)
{
    (void)state;
    sq_get_options options = {.lease_ms = LONG_LEASE_MS, .is_unowned = true};
    sq_message *message = NULL;
    put_text(here.channel, "job");
    assert_int_equal(sq_channel_get_many(here.channel, 1, SQ_NOWAIT, &options, &message), 1);
    sq_message_free(message);
    here.channel = sq_channel_free(here.channel);
    here.store = sq_store_close(here.store);
    here.store = open_store(&here, here.keyring);
    here.channel = open_named(here.store, "jobs", NULL);
    assert_int_equal(channel_stats(here.channel).leased, 1);
    assert_empty(here.channel);
}

static int finish_when_told(sq_channel *channel, int answers, int orders)
{
    sq_get_options options = {.lease_ms = 1};
    sq_message *message = NULL;
    if (sq_channel_get_many(channel, 1, SQ_FOREVER, &options, &message) != 1)
        return 1;
    answer(answers);
    await_order(orders);
    return sq_message_done(message) == SQ_ELEASE ? 0 : 2;
}

static void stopped_process_is_fenced(void **state)
{
    (void)state;
    sq_message *message = NULL;
    int status;
    put_text(here.channel, "job");
    struct child child = start_child(finish_when_told);
    await_answer(&child);
    kill(child.pid, SIGSTOP);
    assert_int_equal(waitpid(child.pid, &status, WUNTRACED), child.pid);
    assert_int_equal(sq_channel_get(here.channel, SQ_FOREVER, &message), SQ_OK);
    kill(child.pid, SIGCONT);
    assert_int_equal(write(child.orders, "!", 1), 1);
    assert_int_equal(end_child(&child), 0);
    assert_int_equal(sq_message_done(message), SQ_OK);
    assert_int_equal(channel_stats(here.channel).dones, 1);
}

/* ThreadSanitizer has a thread of its own that wakes now and then. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WHOSE_SWITCHES RUSAGE_THREAD
#endif
#endif
#ifndef WHOSE_SWITCHES
#define WHOSE_SWITCHES RUSAGE_SELF
#endif

static int wait_without_a_wake(sq_channel *channel, int answers, int orders)
{
    (void)orders;
    sq_message *message = NULL;
    struct rusage before, after;
    answer(answers);
    (void)sq_channel_get(channel, 100, &message); /* the watcher has started, all is settled */
    getrusage(WHOSE_SWITCHES, &before);
    if (sq_channel_get(channel, 1500, &message) != SQ_EEMPTY)
        return 1;
    getrusage(WHOSE_SWITCHES, &after);
    return after.ru_nvcsw - before.ru_nvcsw <= 5 ? 0 : 2;
}

static void idle_consumer_sleeps_through(void **state)
{
    (void)state;
    struct child child = start_child(wait_without_a_wake);
    await_answer(&child);
    assert_int_equal(end_child(&child), 0);
}

static int get_for_ever(sq_channel *channel, int answers, int orders)
{
    (void)orders;
    sq_message *message = NULL;
    answer(answers);
    return sq_channel_get(channel, SQ_FOREVER, &message) == SQ_OK ? 0 : 1;
}

/* Until it looks asleep, many times in a row. Should it not be yet, the test only shows less. */
static void wait_until_asleep(pid_t pid)
{
    char path[64], status[256];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    for (int seen = 0; seen < 1000; sched_yield()) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t bytes = read(fd, status, sizeof status - 1);
        close(fd);
        assert_true(bytes > 0);
        status[bytes] = '\0';
        seen = strstr(status, ") S ") ? seen + 1 : 0;
    }
}

static void timer_that_comes_sooner_wakes_who_sleeps(void **state)
{
    (void)state;
    sq_get_options options = {.lease_ms = LONG_LEASE_MS};
    sq_message *message = NULL;
    put_text(here.channel, "job");
    assert_int_equal(sq_channel_get_many(here.channel, 1, SQ_NOWAIT, &options, &message), 1);
    struct child child = start_child(get_for_ever);
    await_answer(&child);
    wait_until_asleep(child.pid);
    assert_int_equal(sq_message_extend(message, 1), SQ_OK); /* instead of an hour */
    assert_int_equal(end_child(&child), 0);
    assert_int_equal(sq_message_done(message), SQ_ELEASE);
}

static int get_and_finish_all(sq_channel *channel, int answers, int orders)
{
    (void)orders;
    sq_message *message = NULL;
    answer(answers);
    int result;
    while ((result = sq_channel_get(channel, SQ_FOREVER, &message)) == SQ_OK)
        if (sq_message_done(message) != SQ_OK)
            return 1;
    return result == SQ_ESHUTDOWN ? 0 : 2;
}

static void ten_processes_share_the_work(void **state)
{
    (void)state;
    enum { CHILDREN = 10, COUNT = 300 };
    struct child children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++)
        children[i] = start_child(get_and_finish_all);
    for (int i = 0; i < CHILDREN; i++)
        await_answer(&children[i]);
    for (int i = 0; i < COUNT; i++)
        put_text(here.channel, "job");
    uint64_t deaths = 1;
    assert_int_equal(sq_channel_join(here.channel, SQ_FOREVER, &deaths), SQ_OK);
    assert_int_equal(deaths, 0);
    assert_int_equal(sq_channel_close(here.channel), SQ_OK);
    for (int i = 0; i < CHILDREN; i++)
        assert_int_equal(end_child(&children[i]), 0);
    assert_int_equal(channel_stats(here.channel).dones, COUNT);
    assert_int_equal(channel_stats(here.channel).lost_leases, 0);
}

/* ── folders ──────────────────────────────────────────────────────────────────────────────── */

static void assert_refused(const char *url, int code, const char *word)
{
    sq_store *store = NULL;
    assert_int_equal(sq_store_open(url, here.keyring, NULL, &store), code);
    assert_null(store);
    if (!strstr(sq_last_error_detail(), word))
        fail_msg("%s says: %s", url, sq_last_error_detail());
}

static void write_file(const char *path, const void *bytes, size_t count)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, count), count);
    close(fd);
}

static void folders_that_are_no_store_are_refused(void **state)
{
    (void)state;
    char path[160], file[200];
    static const char junk[8192] = "this is no database";
    snprintf(path, sizeof path, "%s/a/b", here.url);
    sq_store_options must_exist = {.must_exist = true};
    sq_store *store = NULL;
    assert_int_equal(sq_store_open(path, here.keyring, &must_exist, &store), SQ_ENOENT);

    snprintf(path, sizeof path, "%s/file", here.url);
    write_file(path, "x", 1);
    assert_refused(path, SQ_ESTORE, "not a folder");

    snprintf(path, sizeof path, "%s/full", here.url);
    mkdir(path, 0700);
    snprintf(file, sizeof file, "%s/thesis.txt", path);
    write_file(file, "x", 1);
    assert_refused(path, SQ_ESTORE, "thesis.txt");

    snprintf(path, sizeof path, "%s/junk", here.url);
    mkdir(path, 0700);
    assert_int_equal(sq_store_open(path, here.keyring, &must_exist, &store), SQ_ENOENT);
    snprintf(file, sizeof file, "%s/data.mdb", path);
    write_file(file, junk, sizeof junk);
    assert_refused(path, SQ_ESTORE, "no store of sealq");

    snprintf(path, sizeof path, "%s/open", here.url);
    mkdir(path, 0755);
    assert_refused(path, SQ_ESTORE, "chmod 700");
    assert_refused("/proc/self", SQ_ESTORE, "file system");
    assert_null(store);
}

/* Another program's LMDB, and a store of a later schema. */
static void make_lmdb(const char *path, const char *tree, const void *record, size_t record_bytes)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {.mv_size = 5, .mv_data = (void *)"store"};
    MDB_val value = {.mv_size = record_bytes, .mv_data = (void *)record};
    mkdir(path, 0700);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, tree, MDB_CREATE, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void foreign_and_newer_stores_are_refused(void **state)
{
    (void)state;
    char path[160];
    struct {
        char magic[12];
        uint32_t version;
        uint8_t rest[100];
    } newer = {"sealq store", 2, {0}};
    snprintf(path, sizeof path, "%s/foreign", here.url);
    make_lmdb(path, "cookies", "x", 1);
    assert_refused(path, SQ_ESTORE, "no store of sealq");
    snprintf(path, sizeof path, "%s/foreign-meta", here.url);
    make_lmdb(path, "meta", "somebody else's record", 22);
    assert_refused(path, SQ_ESTORE, "no store of sealq");
    snprintf(path, sizeof path, "%s/newer", here.url);
    make_lmdb(path, "meta", &newer, sizeof newer);
    assert_refused(path, SQ_EVERSION, "newer sealq");
}

static void no_descriptor_of_a_store_outlives_exec(void **state)
{
    (void)state;
    int found = 0;
    for (int fd = 3; fd < 1000; fd++) {
        char link[64], target[256];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t bytes = readlink(link, target, sizeof target - 1);
        if (bytes < 0)
            continue;
        target[bytes] = '\0';
        if (strncmp(target, here.url, strlen(here.url)) == 0) {
            found++;
            assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        }
    }
    assert_true(found >= 3); /* data, its second descriptor, the lock, the shared page */
}

static void one_path_opened_twice_is_one_environment(void **state)
{
    (void)state;
    sq_store *second = open_store(&here, here.keyring);
    sq_channel *channel = open_named(second, "jobs", NULL);
    put_text(here.channel, "job");
    sq_message *message = get_one(channel);
    assert_empty(here.channel);
    sq_message_free(message); /* still leased */
    sq_channel_free(channel);
    sq_store_close(second); /* ends the leases taken through it, and no others */
    assert_int_equal(sq_message_done(get_one(here.channel)), SQ_OK);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(failed_sync_poisons_the_store_until_all_have_closed_it),
        ROW(full_disk_changes_nothing),
        ROW(nearly_full_disk_refuses_puts_and_nothing_else),
        ROW(quota_refuses_puts_and_nothing_else),
        ROW(failed_merged_commit_is_run_again_for_each_alone),
        ROW(killed_process_gives_its_messages_to_who_waits),
        ROW(killed_process_gives_its_messages_to_who_does_not_wait),
        ROW(unowned_lease_outlives_its_process),
        ROW(stopped_process_is_fenced),
        ROW(idle_consumer_sleeps_through),
        ROW(timer_that_comes_sooner_wakes_who_sleeps),
        ROW(ten_processes_share_the_work),
        ROW(folders_that_are_no_store_are_refused),
        ROW(foreign_and_newer_stores_are_refused),
        ROW(no_descriptor_of_a_store_outlives_exec),
        ROW(one_path_opened_twice_is_one_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
