/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of keyrings share: a folder for each test, files in it, and keyrings as text. */
#ifndef SQT_TESTING_KEYRING_H
#define SQT_TESTING_KEYRING_H

#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "seal/schedule.h"

/* The test's own folder, and in it the keyring that most tests work on. */
static char folder[64], path[128];

static int remove_entry(const char *name, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(name);
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sealq-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/keyring", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static inline const char *in_folder(const char *name)
{
    static _Thread_local char paths[4][256]; /* several may be in one expression */
    static _Thread_local unsigned next;
    char *found = paths[next++ % 4];
    snprintf(found, sizeof paths[0], "%s/%s", folder, name);
    return found;
}

/* ── files ────────────────────────────────────────────────────────────────────────────────── */

struct text {
    char bytes[3 * SQ_KEYRING_BYTES_MAX];
    size_t count;
};

static inline void write_file(const char *name, mode_t mode, const void *bytes, size_t byte_count)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, byte_count), byte_count);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static inline void read_text(const char *name, struct text *ret_text)
{
    int fd = open(name, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t got = read(fd, ret_text->bytes, sizeof ret_text->bytes - 1);
    assert_true(got >= 0);
    ret_text->count = (size_t)got;
    ret_text->bytes[got] = '\0';
    close(fd);
}

static inline bool exists(const char *name)
{
    struct stat status;
    return lstat(name, &status) == 0;
}

static inline unsigned mode_of(const char *name)
{
    struct stat status;
    assert_int_equal(stat(name, &status), 0);
    return status.st_mode & 07777;
}

/* ── keyrings ─────────────────────────────────────────────────────────────────────────────── */

/* What opening gives; a failure must leave the pointer alone. */
static inline int open_result(const char *name)
{
    sq_keyring *keyring = item(42);
    int result = sq_keyring_open(name, &keyring);
    if (result == SQ_OK)
        sq_keyring_free(keyring);
    else
        assert_ptr_equal(keyring, item(42));
    return result;
}

static inline sq_keyring *open_keyring(const char *name)
{
    sq_keyring *keyring = NULL;
    int result = sq_keyring_open(name, &keyring);
    if (result != SQ_OK)
        fail_msg("%s: %s", sq_error_name(result), sq_last_error_detail());
    return keyring;
}

static inline sq_key_info info_of(const sq_keyring *keyring, size_t index)
{
    sq_key_info info;
    assert_int_equal(sq_keyring_key_info(keyring, index, &info), SQ_OK);
    return info;
}

static inline size_t count_keys(const char *name)
{
    sq_keyring *keyring = open_keyring(name);
    size_t count = sq_keyring_key_count(keyring);
    sq_keyring_free(keyring);
    return count;
}

static inline size_t count_primaries(const char *name)
{
    sq_keyring *keyring = open_keyring(name);
    size_t count = 0;
    for (size_t i = 0; i < sq_keyring_key_count(keyring); i++)
        count += info_of(keyring, i).state == SQ_KEY_PRIMARY;
    sq_keyring_free(keyring);
    return count;
}

/* The state of a key in the file; -1 when it is not there. */
static inline int state_of(const char *name, const char *id, const char *channel)
{
    sq_keyring *keyring = open_keyring(name);
    int state = -1;
    for (size_t i = 0; i < sq_keyring_key_count(keyring); i++) {
        sq_key_info info = info_of(keyring, i);
        if (strcmp(info.id, id) == 0 && strcmp(info.channel, channel) == 0)
            state = (int)info.state;
    }
    sq_keyring_free(keyring);
    return state;
}

/* ── keyrings as text ─────────────────────────────────────────────────────────────────────── */

#define FIRST "sealq-keyring 1\n"
#define DATE "2026-01-31T23:59:59Z"
/* Any 64 digits are a key; a channel key's id cannot be checked. */
#define KEY_DIGITS "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

/* Puts a right checksum behind the text so far: what is wrong with it must be found by itself. */
static inline void add_checksum(struct text *text)
{
    uint8_t sum[32];
    char digits[65];
    assert_int_equal(EVP_Digest(text->bytes, text->count, sum, NULL, EVP_sha256(), NULL), 1);
    sqi_hex_encode(sum, sizeof sum, digits);
    text->count += (size_t)sprintf(text->bytes + text->count, "checksum %s\n", digits);
}

__attribute__((format(printf, 2, 3))) static inline void add_text(struct text *text,
                                                                  const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text->count += (size_t)vsnprintf(text->bytes + text->count, sizeof text->bytes - text->count,
                                     format, arguments);
    va_end(arguments);
}

/* The digits of a master key made of one byte, and the id that belongs to it. */
struct digits {
    char id[SQ_KEY_ID_BYTES], key[2 * SQI_KEY_BYTES + 1];
};

static inline struct digits master_key(uint8_t byte)
{
    uint8_t key[SQI_KEY_BYTES], id[SQI_KEY_ID_BYTES];
    struct digits digits;
    struct sqi_schedule *schedule = sqi_schedule_new();
    memset(key, byte, sizeof key);
    assert_non_null(schedule);
    assert_int_equal(sqi_derive_key_id(schedule, key, id), SQ_OK);
    sqi_schedule_free(schedule);
    sqi_hex_encode(id, sizeof id, digits.id);
    sqi_hex_encode(key, sizeof key, digits.key);
    return digits;
}

static inline void write_text(const char *name, const struct text *text)
{
    write_file(name, 0600, text->bytes, text->count);
}

#endif
