/* SPDX-License-Identifier: Apache-2.0 */
/* Keyring files beyond test_keyring.c: paths, descriptors, swaps, changes by many at once, crashes.
 */
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "testing_keyring.h"

static void create(const char *name)
{
    int result = sq_keyring_create(name, NULL, NULL);
    if (result != SQ_OK)
        fail_msg("%s: %s", sq_error_name(result), sq_last_error_detail());
}

/* ── making one ───────────────────────────────────────────────────────────────────────────── */

static void file_has_mode_0600_whatever_the_umask(void **state)
{
    (void)state;
    static const mode_t umasks[] = {0, 022, 077, 0277, 0777};
    for (size_t i = 0; i < sizeof umasks / sizeof umasks[0]; i++) {
        mode_t before = umask(umasks[i]);
        int created = sq_keyring_create(path, NULL, NULL), rotated = SQ_OK;
        unsigned mode_created = created == SQ_OK ? mode_of(path) : 0;
        rotated = sq_keyring_rotate(path, NULL, NULL);
        umask(before);
        assert_int_equal(created, SQ_OK);
        assert_int_equal(rotated, SQ_OK);
        assert_int_equal(mode_created, 0600);
        assert_int_equal(mode_of(path), 0600);
        assert_int_equal(unlink(path), 0);
    }
}

static void missing_folders_are_made_for_this_user_alone(void **state)
{
    (void)state;
    mode_t before = umask(0);
    int result = sq_keyring_create(in_folder("a/b/c/keyring"), NULL, NULL);
    umask(before);
    assert_int_equal(result, SQ_OK);
    assert_int_equal(mode_of(in_folder("a")), 0700);
    assert_int_equal(mode_of(in_folder("a/b")), 0700);
    assert_int_equal(mode_of(in_folder("a/b/c")), 0700);
    assert_int_equal(count_keys(in_folder("a/b/c/keyring")), 1);
}

/* Whatever is there: a keyring, something else, a link that leads nowhere. */
static void create_keeps_what_is_there(void **state)
{
    (void)state;
    struct text before, after;
    create(path);
    read_text(path, &before);
    assert_int_equal(sq_keyring_create(path, NULL, NULL), SQ_EEXIST);
    read_text(path, &after);
    assert_memory_equal(after.bytes, before.bytes, before.count + 1);
    write_file(in_folder("other"), 0644, "notes", 5);
    assert_int_equal(sq_keyring_create(in_folder("other"), NULL, NULL), SQ_EEXIST);
    read_text(in_folder("other"), &after);
    assert_string_equal(after.bytes, "notes");
    assert_int_equal(symlink("nowhere", in_folder("link")), 0);
    assert_int_equal(sq_keyring_create(in_folder("link"), NULL, NULL), SQ_EEXIST);
    assert_false(exists(in_folder("nowhere")));
    assert_int_equal(sq_keyring_create(folder, NULL, NULL), SQ_EEXIST);
}

static void paths_that_name_no_file_are_refused(void **state)
{
    (void)state;
    char long_name[300], long_path[5000];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    memset(long_path, '/', sizeof long_path - 1);
    strcpy(long_path + sizeof long_path - 4, "key");
    const char *const wrong[] = {"", "/", ".", "..", "a/", "a/..", long_name, long_path};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(sq_keyring_create(wrong[i], NULL, NULL), SQ_EINVAL);
        assert_int_equal(sq_keyring_rotate(wrong[i], NULL, NULL), SQ_EINVAL);
    }
    assert_int_equal(sq_keyring_create(NULL, NULL, NULL), SQ_EINVAL);
    assert_int_equal(sq_keyring_open(NULL, &(sq_keyring *){NULL}), SQ_EINVAL);
    assert_int_equal(sq_keyring_open(path, NULL), SQ_EINVAL);
    assert_int_equal(sq_keyring_open_fd(0, NULL), SQ_EINVAL);
}

static void a_missing_file_is_no_entry(void **state)
{
    (void)state;
    assert_int_equal(open_result(path), SQ_ENOENT);
    assert_int_equal(open_result(in_folder("no/keyring")), SQ_ENOENT);
    assert_int_equal(sq_keyring_add(path, NULL, NULL), SQ_ENOENT);
    assert_int_equal(sq_keyring_rotate(in_folder("no/keyring"), NULL, NULL), SQ_ENOENT);
    assert_int_equal(sq_keyring_promote(path, "0123", NULL), SQ_ENOENT);
    assert_false(exists(path));
    assert_false(exists(in_folder("no")));
}

/* ── which files may be read ──────────────────────────────────────────────────────────────── */

static void assert_unsafe(const char *name, const char *word)
{
    assert_int_equal(open_result(name), SQ_EKEYRING);
    if (!strstr(sq_last_error_detail(), word))
        fail_msg("\"%s\" does not say %s", sq_last_error_detail(), word);
    /* What may not be read may not be changed: it would be replaced. */
    assert_int_equal(sq_keyring_rotate(name, NULL, NULL), SQ_EKEYRING);
}

static void permission_for_others_is_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0620, 0610,  0604,  0602, 0601,
                                   0666, 0777, 04600, 02600, 01600};
    create(path);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_unsafe(path, "chmod 600");
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(open_result(path), SQ_OK);
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(open_result(path), SQ_OK);
}

static void links_are_refused(void **state)
{
    (void)state;
    create(path);
    assert_int_equal(symlink("keyring", in_folder("symbolic")), 0);
    assert_unsafe(in_folder("symbolic"), "symbolic link");
    assert_int_equal(link(path, in_folder("hard")), 0);
    assert_unsafe(in_folder("hard"), "hard link");
    assert_unsafe(path, "hard link");
    assert_int_equal(unlink(in_folder("hard")), 0);
    assert_int_equal(open_result(path), SQ_OK);
}

/* A FIFO without a writer: to open it for reading waits, unless one takes care. */
static void what_is_no_file_is_refused_without_waiting(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_unsafe(path, "not a regular file");
    assert_unsafe(folder, "folder");
    assert_int_equal(open_result("/dev/null"), SQ_EKEYRING);
    assert_int_equal(open_result("/dev/zero"), SQ_EKEYRING);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", in_folder("socket"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(open_result(in_folder("socket")), SQ_EKEYRING);
    close(fd);
}

/* ── descriptors ──────────────────────────────────────────────────────────────────────────── */

static int open_fd_result(int fd)
{
    sq_keyring *keyring = item(42);
    int result = sq_keyring_open_fd(fd, &keyring);
    if (result == SQ_OK)
        sq_keyring_free(keyring);
    else
        assert_ptr_equal(keyring, item(42));
    return result;
}

/* The reading end of a pipe with these bytes, and then the end. */
static int pipe_with(const void *bytes, size_t byte_count)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_true(byte_count <= 65536);
    assert_int_equal(write(ends[1], bytes, byte_count), byte_count);
    close(ends[1]);
    return ends[0];
}

static void open_fd_reads_a_pipe_to_its_end(void **state)
{
    (void)state;
    struct text text;
    create(path);
    assert_int_equal(sq_keyring_rotate(path, NULL, NULL), SQ_OK);
    read_text(path, &text);
    int fd = pipe_with(text.bytes, text.count);
    sq_keyring *keyring = NULL;
    assert_int_equal(sq_keyring_open_fd(fd, &keyring), SQ_OK);
    assert_int_equal(sq_keyring_key_count(keyring), 2);
    sq_keyring_free(keyring);
    assert_int_equal(open_fd_result(fd), SQ_EKEYRING); /* it is still open, and empty */
    close(fd);
    fd = pipe_with(text.bytes, text.count - 1);
    assert_int_equal(open_fd_result(fd), SQ_EKEYRING);
    close(fd);
}

static void *write_endlessly(void *argument)
{
    static const char zeros[4096];
    while (write(*(int *)argument, zeros, sizeof zeros) > 0)
        continue;
    return NULL;
}

static void open_fd_reads_no_more_than_the_limit_of_an_endless_pipe(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    signal(SIGPIPE, SIG_IGN);
    pthread_t writer = start_thread(write_endlessly, &ends[1]);
    assert_int_equal(open_fd_result(ends[0]), SQ_EKEYRING);
    assert_non_null(strstr(sq_last_error_detail(), "larger"));
    close(ends[0]);
    end_thread(writer);
    close(ends[1]);
}

static void open_fd_checks_a_file_as_open_does(void **state)
{
    (void)state;
    create(path);
    int fd = open(path, O_RDONLY);
    assert_int_equal(open_fd_result(fd), SQ_OK);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(fchmod(fd, 0640), 0);
    assert_int_equal(open_fd_result(fd), SQ_EKEYRING);
    assert_int_equal(fchmod(fd, 0600), 0);
    close(fd);
    assert_int_equal(open_fd_result(fd), SQ_EINVAL);
    assert_int_equal(open_fd_result(-1), SQ_EINVAL);
    fd = open(folder, O_RDONLY | O_DIRECTORY);
    assert_int_equal(open_fd_result(fd), SQ_EKEYRING);
    close(fd);
}

/* ── swapped between the check and the read ───────────────────────────────────────────────── */

static void exchange(const char *one, const char *other)
{
    int failed = renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
    assert_int_equal(failed, 0);
}

static void what_is_open_counts_and_not_its_name(void **state)
{
    (void)state;
    char bad[256];
    strcpy(bad, in_folder("bad"));
    create(path);
    create(bad);
    assert_int_equal(chmod(bad, 0644), 0);
    int good_fd = open(path, O_RDONLY), bad_fd = open(bad, O_RDONLY);
    exchange(path, bad);
    assert_int_equal(open_fd_result(good_fd), SQ_OK);
    assert_int_equal(open_fd_result(bad_fd), SQ_EKEYRING);
    assert_int_equal(open_result(path), SQ_EKEYRING);
    assert_int_equal(open_result(bad), SQ_OK);
    close(good_fd);
    close(bad_fd);
}

static struct {
    char bad[256];
    atomic_bool is_done;
    atomic_uint times;
} swap;

static void *swap_continuously(void *argument)
{
    (void)argument;
    while (!atomic_load(&swap.is_done))
        if (renameat2(AT_FDCWD, path, AT_FDCWD, swap.bad, RENAME_EXCHANGE) == 0)
            atomic_fetch_add(&swap.times, 1);
    return NULL;
}

/* A safe file and one that others may read, exchanged all the time under one name: whatever is
   accepted is the safe one's key. Goes on until both outcomes were seen many times, so a reader
   that checks one file and reads the other is caught. */
static void a_file_swapped_continuously_never_gives_the_unsafe_key(void **state)
{
    (void)state;
    char good_id[SQ_KEY_ID_BYTES];
    strcpy(swap.bad, in_folder("bad"));
    assert_int_equal(sq_keyring_create(path, NULL, good_id), SQ_OK);
    create(swap.bad);
    assert_int_equal(chmod(swap.bad, 0640), 0);
    atomic_store(&swap.is_done, false);
    pthread_t thread = start_thread(swap_continuously, NULL);
    unsigned accepted = 0, refused = 0;
    while (accepted < 2000 || refused < 2000 || atomic_load(&swap.times) < 4000) {
        sq_keyring *keyring = NULL;
        int result = sq_keyring_open(path, &keyring);
        accepted += result == SQ_OK;
        refused += result == SQ_EKEYRING;
        if (result == SQ_OK)
            assert_string_equal(info_of(keyring, 0).id, good_id);
        else
            assert_int_equal(result, SQ_EKEYRING);
        sq_keyring_free(keyring);
    }
    atomic_store(&swap.is_done, true);
    end_thread(thread);
}

/* ── changes at once ──────────────────────────────────────────────────────────────────────── */

enum { ROTATORS = 6, ROTATIONS = 8 };

static int rotate_several_times(void)
{
    for (int i = 0; i < ROTATIONS; i++)
        if (sq_keyring_rotate(path, NULL, NULL) != SQ_OK)
            return 1;
    return 0;
}

static void *rotate_in_thread(void *argument)
{
    (void)argument;
    return item(rotate_several_times());
}

static void rotations_by_many_threads_lose_none(void **state)
{
    (void)state;
    pthread_t threads[ROTATORS];
    create(path);
    for (int i = 0; i < ROTATORS; i++)
        threads[i] = start_thread(rotate_in_thread, NULL);
    for (int i = 0; i < ROTATORS; i++)
        assert_int_equal(end_thread(threads[i]), 0);
    assert_int_equal(count_keys(path), ROTATORS * ROTATIONS + 1);
    assert_int_equal(count_primaries(path), 1);
}

static void rotations_by_many_processes_lose_none(void **state)
{
    (void)state;
    create(path);
    for (int i = 0; i < ROTATORS; i++)
        if (fork() == 0)
            _exit(rotate_several_times());
    for (int i = 0; i < ROTATORS; i++) {
        int status;
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count_keys(path), ROTATORS * ROTATIONS + 1);
    assert_int_equal(count_primaries(path), 1);
    assert_false(exists(in_folder("keyring.new")));
}

/* A file that is replaced between its opening and its check has no name left: that is no reason to
   refuse a reader. */
static void a_reader_during_rotations_always_gets_a_keyring(void **state)
{
    (void)state;
    enum { THREADS = 20 };
    pthread_t threads[THREADS];
    create(path);
    for (int i = 0; i < THREADS; i++)
        threads[i] = start_thread(rotate_in_thread, NULL);
    size_t count = 1;
    while (count < THREADS * ROTATIONS + 1) {
        size_t now = count_keys(path); /* fails the test when it cannot be read */
        assert_true(now >= count);
        count = now;
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(end_thread(threads[i]), 0);
}

static pthread_barrier_t together;

static void *create_together(void *argument)
{
    (void)argument;
    pthread_barrier_wait(&together);
    return item(sq_keyring_create(path, NULL, NULL));
}

static void of_many_creators_one_succeeds(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        pthread_t threads[ROTATORS];
        int created = 0;
        assert_int_equal(pthread_barrier_init(&together, NULL, ROTATORS), 0);
        for (int i = 0; i < ROTATORS; i++)
            threads[i] = start_thread(create_together, NULL);
        for (int i = 0; i < ROTATORS; i++) {
            int result = end_thread(threads[i]);
            assert_true(result == SQ_OK || result == SQ_EEXIST);
            created += result == SQ_OK;
        }
        pthread_barrier_destroy(&together);
        assert_int_equal(created, 1);
        assert_int_equal(count_keys(path), 1);
        assert_int_equal(unlink(path), 0);
    }
}

/* ── crashes and full disks ───────────────────────────────────────────────────────────────── */

/* Rotates until it is killed, and tells the id of each key that it was told is safe. */
static void rotate_and_tell(int fd)
{
    char id[SQ_KEY_ID_BYTES];
    while (sq_keyring_rotate(path, NULL, id) == SQ_OK)
        if (write(fd, id, sizeof id) != sizeof id)
            break;
    _exit(1);
}

static pid_t start_rotator(int *ret_ids)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        rotate_and_tell(ends[1]);
    close(ends[1]);
    *ret_ids = ends[0];
    return child;
}

/* The seed decides after how many keys, and how long behind the last of them, the kill comes. */
static void kill_at_any_moment_leaves_a_valid_file_with_all_keys(void **state)
{
    (void)state;
    const char *given = getenv("SEALQ_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);
    print_message("# SEALQ_TEST_SEED=%u\n", seed);
    for (int round = 0; round < 60; round++) {
        char id[SQ_KEY_ID_BYTES];
        int ids, status;
        create(path);
        pid_t child = start_rotator(&ids);
        for (int told = rand_r(&seed) % 3; told >= 0; told--)
            assert_int_equal(read(ids, id, sizeof id), sizeof id);
        assert_true(state_of(path, id, "") >= 0);
        for (int spins = rand_r(&seed) % 20; spins > 0; spins--)
            mode_of(folder); /* some microseconds, in which it goes on */
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        while (read(ids, id, sizeof id) == sizeof id)
            assert_true(state_of(path, id, "") >= 0);
        close(ids);
        assert_int_equal(count_primaries(path), 1);
        assert_int_equal(sq_keyring_rotate(path, NULL, NULL), SQ_OK); /* no lock is left */
        assert_false(exists(in_folder("keyring.new")));
        assert_int_equal(unlink(path), 0);
    }
}

static void a_new_file_left_by_a_crash_is_replaced(void **state)
{
    (void)state;
    create(path);
    write_file(in_folder("keyring.new"), 0644, "half a li", 9);
    assert_int_equal(sq_keyring_rotate(path, NULL, NULL), SQ_OK);
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(count_keys(path), 2);
    assert_false(exists(in_folder("keyring.new")));
}

/* Nobody may have us write our keys through a link. */
static void a_new_file_that_is_a_link_is_not_followed(void **state)
{
    (void)state;
    struct text victim;
    create(path);
    write_file(in_folder("victim"), 0600, "precious", 8);
    assert_int_equal(symlink("victim", in_folder("keyring.new")), 0);
    assert_int_equal(sq_keyring_rotate(path, NULL, NULL), SQ_OK);
    read_text(in_folder("victim"), &victim);
    assert_string_equal(victim.bytes, "precious");
}

/* A limit on files' size stands for the full disk, and needs no root. */
static void set_room(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_loses_nothing(void **state)
{
    (void)state;
    struct text before, after;
    char id[SQ_KEY_ID_BYTES] = "", accepted[SQ_KEY_ID_BYTES];
    struct rlimit limit;
    create(path);
    assert_int_equal(sq_keyring_add(path, NULL, accepted), SQ_OK);
    create(in_folder("other"));
    sq_keyring *other = open_keyring(in_folder("other"));
    read_text(path, &before);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_IGN);

    set_room(before.count + 10); /* room for a part of what is to be written */
    int rotated = sq_keyring_rotate(path, NULL, id), added = sq_keyring_add(path, NULL, id);
    int imported = sq_keyring_import(path, other);
    set_room(10);
    int promoted = sq_keyring_promote(path, accepted, NULL);
    int created = sq_keyring_create(in_folder("third"), NULL, id);
    set_room(limit.rlim_cur);
    sq_keyring_free(other);

    assert_int_equal(rotated, SQ_ENOSPACE);
    assert_int_equal(added, SQ_ENOSPACE);
    assert_int_equal(imported, SQ_ENOSPACE);
    assert_int_equal(promoted, SQ_ENOSPACE);
    assert_int_equal(created, SQ_ENOSPACE);
    assert_string_equal(id, "");
    assert_false(exists(in_folder("keyring.new")));
    assert_false(exists(in_folder("third")));
    assert_false(exists(in_folder("third.new")));
    read_text(path, &after);
    assert_int_equal(after.count, before.count);
    assert_memory_equal(after.bytes, before.bytes, before.count);
    assert_int_equal(sq_keyring_rotate(path, NULL, NULL), SQ_OK);
}

#define keyring_test(function) cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        keyring_test(file_has_mode_0600_whatever_the_umask),
        keyring_test(missing_folders_are_made_for_this_user_alone),
        keyring_test(create_keeps_what_is_there),
        keyring_test(paths_that_name_no_file_are_refused),
        keyring_test(a_missing_file_is_no_entry),
        keyring_test(permission_for_others_is_refused),
        keyring_test(links_are_refused),
        keyring_test(what_is_no_file_is_refused_without_waiting),
        keyring_test(open_fd_reads_a_pipe_to_its_end),
        keyring_test(open_fd_reads_no_more_than_the_limit_of_an_endless_pipe),
        keyring_test(open_fd_checks_a_file_as_open_does),
        keyring_test(what_is_open_counts_and_not_its_name),
        keyring_test(a_file_swapped_continuously_never_gives_the_unsafe_key),
        keyring_test(rotations_by_many_threads_lose_none),
        keyring_test(rotations_by_many_processes_lose_none),
        keyring_test(a_reader_during_rotations_always_gets_a_keyring),
        keyring_test(of_many_creators_one_succeeds),
        keyring_test(kill_at_any_moment_leaves_a_valid_file_with_all_keys),
        keyring_test(a_new_file_left_by_a_crash_is_replaced),
        keyring_test(a_new_file_that_is_a_link_is_not_followed),
        keyring_test(a_full_disk_loses_nothing),
    };
    return cmocka_run_group_tests_name("keyring_file", tests, NULL, NULL);
}
