/* SPDX-License-Identifier: Apache-2.0 */
/* Keyring files: what is read, what is refused, and how they change. */
#include "testing_keyring.h"

#include <openssl/crypto.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "seal/keyring.h"

static void make(char *ret_id)
{
    assert_int_equal(sq_keyring_create(path, "made for a test", ret_id), SQ_OK);
}

static void a_new_keyring_has_one_primary_and_mode_0600_whatever_the_umask(void **state)
{
    (void)state;
    char id[SQ_KEY_ID_BYTES];
    mode_t before = umask(0);
    make(id);
    umask(before);
    assert_int_equal(mode_of(path), 0600);
    sq_keyring *keyring = open_keyring(path);
    assert_int_equal(sq_keyring_key_count(keyring), 1);
    sq_key_info info = info_of(keyring, 0);
    assert_string_equal(info.id, id);
    assert_string_equal(info.comment, "made for a test");
    assert_int_equal(info.state, SQ_KEY_PRIMARY);
    assert_true(CRYPTO_secure_allocated(keyring)); /* all keys are on the secure heap */
    sq_keyring_free(keyring);
    assert_false(exists(in_folder("keyring.new")));
}

static void missing_folders_are_made_for_this_user_alone(void **state)
{
    (void)state;
    assert_int_equal(sq_keyring_create(in_folder("a/b/keyring"), NULL, NULL), SQ_OK);
    assert_int_equal(mode_of(in_folder("a")), 0700);
    assert_int_equal(mode_of(in_folder("a/b")), 0700);
}

static void create_leaves_an_existing_file_as_it_is(void **state)
{
    (void)state;
    static struct text before, after;
    make(NULL);
    read_text(path, &before);
    assert_int_equal(sq_keyring_create(path, NULL, NULL), SQ_EEXIST);
    read_text(path, &after);
    assert_int_equal(after.count, before.count);
    assert_memory_equal(after.bytes, before.bytes, before.count);
}

/* ── damage ───────────────────────────────────────────────────────────────────────────────── */

static void every_truncation_flipped_bit_and_extension_is_refused(void **state)
{
    (void)state;
    static struct text text;
    make(NULL);
    assert_int_equal(sq_keyring_rotate(path, NULL, NULL), SQ_OK);
    read_text(path, &text);
    for (size_t bytes = 0; bytes < text.count; bytes++) {
        write_file(path, 0600, text.bytes, bytes);
        assert_int_equal(open_result(path), SQ_EKEYRING);
    }
    for (size_t bit = 0; bit < 8 * text.count; bit++) {
        text.bytes[bit / 8] ^= (char)(1 << bit % 8);
        write_text(path, &text);
        int result = open_result(path);
        assert_true(result == SQ_EKEYRING || result == SQ_EVERSION);
        text.bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    text.bytes[text.count++] = '\n';
    write_text(path, &text);
    assert_int_equal(open_result(path), SQ_EKEYRING);
    text.count--;
    write_text(path, &text);
    assert_int_equal(open_result(path), SQ_OK);
}

/* A keyring of one line, with a right checksum. */
static int result_of_line(const char *line)
{
    static struct text text;
    text.count = 0;
    add_text(&text, FIRST "%s\n", line);
    add_checksum(&text);
    write_text(path, &text);
    return open_result(path);
}

static void lines_that_are_not_well_formed_are_refused_despite_a_right_checksum(void **state)
{
    (void)state;
    struct digits one = master_key(1);
    char line[600];
    const struct {
        const char *format;
        int result;
    } cases[] = {
        {"primary %s " DATE " - %s", SQ_OK},
        {"primary %s " DATE " - %s a comment", SQ_OK},
        {"primary %s " DATE " channel:a %s", SQ_OK},
        {"primary  %s " DATE " - %s", SQ_EKEYRING},
        {"Primary %s " DATE " - %s", SQ_EKEYRING},
        {"primary %s 2026-02-31T00:00:00Z - %s", SQ_EKEYRING},
        {"primary %s 2026-1-31T00:00:00Z - %s", SQ_EKEYRING},
        {"primary %s " DATE " * %s", SQ_EKEYRING},
        {"primary %s " DATE " channel:-a %s", SQ_EKEYRING},
        {"primary %s " DATE " channel: %s", SQ_EKEYRING},
        {"primary %s " DATE " - %s ", SQ_EKEYRING},
        {"primary %s " DATE " - %s  two spaces", SQ_EKEYRING},
        {"primary %s " DATE " - %s \x1b[31m", SQ_EKEYRING},
        {"primary %s " DATE " - %s \xff", SQ_EKEYRING},
        {"primary %s " DATE " - %s\r", SQ_EKEYRING},
        {"primary %s " DATE " - %s0", SQ_EKEYRING},
        {"", SQ_EKEYRING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(line, sizeof line, cases[i].format, one.id, one.key);
        assert_int_equal(result_of_line(line), cases[i].result);
    }
    snprintf(line, sizeof line, "primary %s " DATE " - %s", one.id, KEY_DIGITS); /* another id */
    assert_int_equal(result_of_line(line), SQ_EKEYRING);
    snprintf(line, sizeof line, "primary %s " DATE " - %s\naccepted %s " DATE " - %s", one.id,
             one.key, one.id, one.key); /* the same twice */
    assert_int_equal(result_of_line(line), SQ_EKEYRING);
    struct digits two = master_key(2);
    snprintf(line, sizeof line, "primary %s " DATE " - %s\nprimary %s " DATE " - %s", one.id,
             one.key, two.id, two.key); /* two primaries */
    assert_int_equal(result_of_line(line), SQ_EKEYRING);
}

static void huge_foreign_and_newer_files_are_refused(void **state)
{
    (void)state;
    static char huge[SQ_KEYRING_BYTES_MAX + 1];
    memset(huge, 'x', sizeof huge);
    write_file(path, 0600, huge, sizeof huge);
    assert_int_equal(open_result(path), SQ_EKEYRING);
    write_file(path, 0600, huge, 1000);
    assert_int_equal(open_result(path), SQ_EKEYRING);
    write_file(path, 0600, "sealq-keyring 2\n", 16);
    assert_int_equal(open_result(path), SQ_EVERSION);
    assert_int_equal(open_result(in_folder("none")), SQ_ENOENT);
}

/* ── files that are not safe ──────────────────────────────────────────────────────────────── */

static void links_fifos_folders_and_devices_are_refused(void **state)
{
    (void)state;
    make(NULL);
    assert_int_equal(symlink(path, in_folder("symbolic")), 0);
    assert_int_equal(open_result(in_folder("symbolic")), SQ_EKEYRING);
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_int_equal(open_result(in_folder("fifo")), SQ_EKEYRING); /* and does not wait */
    assert_int_equal(open_result(folder), SQ_EKEYRING);
    assert_int_equal(open_result("/dev/null"), SQ_EKEYRING);
    assert_int_equal(open_result(path), SQ_OK);
    assert_int_equal(link(path, in_folder("hard")), 0);
    assert_int_equal(open_result(path), SQ_EKEYRING);
    assert_int_equal(open_result(in_folder("hard")), SQ_EKEYRING);
}

static void files_that_others_can_use_are_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601, 04600, 02600, 01600};
    make(NULL);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(open_result(path), SQ_EKEYRING);
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(open_result(path), SQ_OK);
    if (geteuid() == 0) { /* only root can give files away */
        assert_int_equal(chmod(path, 0600), 0);
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_int_equal(open_result(path), SQ_EKEYRING);
    }
}

static atomic_bool is_over;

/* Puts a good file and one that others can read in the place of the keyring, in turn. */
static void *swap_files(void *unused)
{
    static struct text good, bad;
    char name[160];
    snprintf(name, sizeof name, "%s/swap", folder);
    read_text(in_folder("good"), &good);
    read_text(in_folder("bad"), &bad);
    while (!atomic_load(&is_over)) {
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        (void)!write(fd, bad.bytes, bad.count);
        close(fd);
        rename(name, path);
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
        (void)!write(fd, good.bytes, good.count);
        close(fd);
        rename(name, path);
    }
    return unused;
}

static void what_was_checked_is_what_is_read_when_files_are_swapped(void **state)
{
    (void)state;
    char good_id[SQ_KEY_ID_BYTES];
    assert_int_equal(sq_keyring_create(in_folder("good"), NULL, good_id), SQ_OK);
    assert_int_equal(sq_keyring_create(in_folder("bad"), NULL, NULL), SQ_OK);
    assert_int_equal(sq_keyring_create(path, NULL, NULL), SQ_OK);
    atomic_store(&is_over, false);
    pthread_t swapper = start_thread(swap_files, NULL);
    unsigned accepted = 0;
    while (accepted < 300) {
        sq_keyring *keyring;
        int result = sq_keyring_open(path, &keyring);
        assert_true(result == SQ_OK || result == SQ_EKEYRING);
        if (result < 0)
            continue;
        /* The first ones may still be the file that was there before. */
        if (strcmp(info_of(keyring, 0).id, good_id) == 0)
            accepted++;
        else
            assert_int_equal(accepted, 0);
        sq_keyring_free(keyring);
    }
    atomic_store(&is_over, true);
    assert_int_equal(end_thread(swapper), 0);
}

/* ── changes ──────────────────────────────────────────────────────────────────────────────── */

static void keys_are_promoted_retired_and_removed_by_the_rules(void **state)
{
    (void)state;
    char first[SQ_KEY_ID_BYTES], second[SQ_KEY_ID_BYTES], begin[5];
    make(first);
    assert_int_equal(sq_keyring_add(path, NULL, second), SQ_OK);
    assert_int_equal(state_of(path, second, ""), SQ_KEY_ACCEPTED);
    assert_int_equal(sq_keyring_retire(path, first, NULL), SQ_EINUSE);
    assert_int_equal(sq_keyring_remove(path, first, NULL), SQ_EINUSE);
    snprintf(begin, sizeof begin, "%.4s", second);
    assert_int_equal(sq_keyring_promote(path, begin, NULL), SQ_OK);
    assert_int_equal(state_of(path, second, ""), SQ_KEY_PRIMARY);
    assert_int_equal(state_of(path, first, ""), SQ_KEY_ACCEPTED);
    assert_int_equal(sq_keyring_retire(path, first, NULL), SQ_OK);
    assert_int_equal(sq_keyring_promote(path, first, NULL), SQ_ERETIRED);
    assert_int_equal(sq_keyring_remove(path, first, "emails"), SQ_ENOKEY);
    assert_int_equal(sq_keyring_remove(path, "abc", NULL), SQ_EINVAL);
    assert_int_equal(sq_keyring_remove(path, first, NULL), SQ_OK);
    assert_int_equal(state_of(path, first, ""), -1);
    assert_int_equal(sq_keyring_remove(path, first, NULL), SQ_ENOKEY);
}

static void comments_that_are_not_printable_are_refused(void **state)
{
    (void)state;
    char long_comment[SQ_KEY_COMMENT_BYTES_MAX + 2];
    memset(long_comment, 'c', sizeof long_comment - 1);
    long_comment[sizeof long_comment - 1] = '\0';
    const char *const wrong[] = {"\x1b[31m", "a\nb", " a", "a ", "\xff", "\xc2\x9b", long_comment};
    make(NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(sq_keyring_add(path, wrong[i], NULL), SQ_EINVAL);
    assert_int_equal(count_keys(path), 1);
    assert_int_equal(sq_keyring_add(path, long_comment + 1, NULL), SQ_OK);
}

static void a_keyring_takes_256_keys_and_no_more(void **state)
{
    (void)state;
    make(NULL);
    for (unsigned i = 1; i < SQ_KEYRING_KEYS_MAX; i++)
        assert_int_equal(sq_keyring_add(path, NULL, NULL), SQ_OK);
    assert_int_equal(sq_keyring_add(path, NULL, NULL), SQ_EFULL);
    assert_int_equal(count_keys(path), SQ_KEYRING_KEYS_MAX);
}

enum { ROTATORS = 8, ROTATIONS = 10 };

static void *rotate_often(void *unused)
{
    int wrong = 0;
    (void)unused;
    for (unsigned i = 0; i < ROTATIONS; i++)
        wrong += sq_keyring_rotate(path, NULL, NULL) != SQ_OK;
    return item(wrong);
}

static void rotations_at_once_lose_none(void **state)
{
    (void)state;
    make(NULL);
    pthread_t threads[ROTATORS];
    pid_t child = fork(); /* from two processes, too */
    if (child == 0)
        _exit((int)(intptr_t)rotate_often(NULL));
    for (unsigned i = 0; i < ROTATORS; i++)
        threads[i] = start_thread(rotate_often, NULL);
    for (unsigned i = 0; i < ROTATORS; i++)
        assert_int_equal(end_thread(threads[i]), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(count_keys(path), 1 + (ROTATORS + 1) * ROTATIONS);
    assert_int_equal(count_primaries(path), 1);
}

static void a_killed_rotation_leaves_a_sound_file(void **state)
{
    (void)state;
    make(NULL);
    for (unsigned i = 0; i < 30; i++) {
        size_t before = count_keys(path);
        pid_t child = fork();
        if (child == 0) {
            while (sq_keyring_rotate(path, NULL, NULL) == SQ_OK)
                ;
            _exit(0); /* full */
        }
        wait_until(count_keys(path) > before); /* it is at work */
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(count_primaries(path), 1);
        if (count_keys(path) > SQ_KEYRING_KEYS_MAX / 2) {
            unlink(path);
            make(NULL);
        }
    }
    assert_int_equal(sq_keyring_rotate(path, NULL, NULL), SQ_OK); /* whatever was left behind */
}

static void a_full_disk_while_rotating_loses_nothing(void **state)
{
    (void)state;
    static struct text before, after;
    struct rlimit was, small = {100, RLIM_INFINITY}; /* bytes a file may have */
    make(NULL);
    read_text(path, &before);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small.rlim_max = was.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int result = sq_keyring_rotate(path, NULL, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(result, SQ_ENOSPACE);
    read_text(path, &after);
    assert_int_equal(after.count, before.count);
    assert_memory_equal(after.bytes, before.bytes, before.count);
    assert_false(exists(in_folder("keyring.new")));
}

/* ── export and import ────────────────────────────────────────────────────────────────────── */

/* Through a pipe, as `export | import` does: how many are new. */
static int move_keys(const char *channel, const char *to)
{
    int ends[2];
    sq_keyring *keyring = open_keyring(path), *moved;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(sq_keyring_export(keyring, channel, ends[1]), SQ_OK);
    close(ends[1]);
    assert_int_equal(sq_keyring_open_fd(ends[0], &moved), SQ_OK);
    close(ends[0]);
    int result = sq_keyring_import(to, moved);
    sq_keyring_free(moved);
    sq_keyring_free(keyring);
    return result;
}

static void exported_keys_are_imported_once(void **state)
{
    (void)state;
    char first[SQ_KEY_ID_BYTES], second[SQ_KEY_ID_BYTES];
    char other[160];
    snprintf(other, sizeof other, "%s/other/keyring", folder);
    make(first);
    assert_int_equal(sq_keyring_rotate(path, NULL, second), SQ_OK);
    assert_int_equal(move_keys(NULL, other), 2);
    assert_int_equal(move_keys(NULL, other), 0);
    assert_int_equal(state_of(other, second, ""), SQ_KEY_PRIMARY);
    assert_int_equal(sq_keyring_retire(other, first, NULL), SQ_OK);
    assert_int_equal(move_keys(NULL, other), 0);
    assert_int_equal(state_of(other, first, ""), SQ_KEY_RETIRED); /* stays so */
    assert_int_equal(sq_keyring_rotate(path, NULL, first), SQ_OK);
    assert_int_equal(move_keys(NULL, other), 1);
    assert_int_equal(state_of(other, first, ""), SQ_KEY_ACCEPTED); /* it had a primary */
    assert_int_equal(count_primaries(other), 1);
}

static void a_channels_export_has_channel_keys_alone(void **state)
{
    (void)state;
    char first[SQ_KEY_ID_BYTES], part[160];
    snprintf(part, sizeof part, "%s/part", folder);
    make(first);
    assert_int_equal(move_keys("emails", part), 1);
    assert_int_equal(state_of(part, first, "emails"), SQ_KEY_PRIMARY);
    assert_int_equal(state_of(part, first, ""), -1);
    static struct text whole_text, part_text;
    read_text(path, &whole_text);
    read_text(part, &part_text);
    char *key = strstr(whole_text.bytes, " - ") + 3;
    key[2 * SQI_KEY_BYTES] = '\0';
    assert_null(strstr(part_text.bytes, key));
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_new_keyring_has_one_primary_and_mode_0600_whatever_the_umask),
        IN_FOLDER(missing_folders_are_made_for_this_user_alone),
        IN_FOLDER(create_leaves_an_existing_file_as_it_is),
        IN_FOLDER(every_truncation_flipped_bit_and_extension_is_refused),
        IN_FOLDER(lines_that_are_not_well_formed_are_refused_despite_a_right_checksum),
        IN_FOLDER(huge_foreign_and_newer_files_are_refused),
        IN_FOLDER(links_fifos_folders_and_devices_are_refused),
        IN_FOLDER(files_that_others_can_use_are_refused),
        IN_FOLDER(what_was_checked_is_what_is_read_when_files_are_swapped),
        IN_FOLDER(keys_are_promoted_retired_and_removed_by_the_rules),
        IN_FOLDER(comments_that_are_not_printable_are_refused),
        IN_FOLDER(a_keyring_takes_256_keys_and_no_more),
        IN_FOLDER(rotations_at_once_lose_none),
        IN_FOLDER(a_killed_rotation_leaves_a_sound_file),
        IN_FOLDER(a_full_disk_while_rotating_loses_nothing),
        IN_FOLDER(exported_keys_are_imported_once),
        IN_FOLDER(a_channels_export_has_channel_keys_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
