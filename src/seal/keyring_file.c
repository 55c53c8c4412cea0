/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyring files: what may be read, and how one is changed.
 *
 * Reading: the file is opened without following a link, and everything is checked on the open
 * descriptor, from which it is read too: what was checked is what is read, whatever becomes of the
 * name meanwhile.
 *
 * Changing: under a lock on the folder (the file itself is replaced, so it cannot carry the lock)
 *
 *     lock folder ─► read FILE ─► change ─► write FILE.new, sync ─► rename ─► sync folder
 *
 * A crash leaves FILE as it was before or after, and perhaps FILE.new, which the next change
 * replaces. Nobody else can have made FILE.new: it is under our lock.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "seal/keyring.h"
#include "seal/keyring_text.h"

#define NAME_BYTES_MAX (NAME_MAX - sizeof ".new")

/* ── reading ──────────────────────────────────────────────────────────────────────────────── */

/* Why this open file must not be used as a keyring; NULL: it may. */
static const char *unsafe(const struct stat *file)
{
    if (S_ISDIR(file->st_mode))
        return "is a folder";
    if (!S_ISREG(file->st_mode))
        return "is not a regular file";
    if (file->st_uid != geteuid() && file->st_uid != 0)
        return "belongs to another user";
    if (file->st_mode & (S_IRWXG | S_IRWXO | S_ISUID | S_ISGID | S_ISVTX))
        return "can be used by others: type chmod 600 on it";
    if (file->st_nlink > 1) /* 0: a change has just replaced it, and this is how it was before */
        return "has another name, a hard link: remove that";
    if (file->st_size > SQ_KEYRING_BYTES_MAX)
        return "is larger than 65536 bytes";
    return NULL;
}

/* Reads to the end, which comes within room bytes: the count, or -1 with errno. */
static ssize_t read_all(int fd, char *text, size_t room)
{
    size_t bytes = 0;
    while (bytes < room) {
        ssize_t got = read(fd, text + bytes, room - bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        bytes += (size_t)got;
    }
    return (ssize_t)bytes;
}

static int read_keyring(int fd, size_t bytes_max, const char *name, size_t more_room,
                        sq_keyring **ret_keyring)
{
    size_t room = bytes_max + 2; /* one byte more would show, and a NUL */
    char *text = sqi_secret_new(room);
    if (!text)
        return sqi_fail_with(SQ_ENOMEM, "no secure memory is left for the keyring");
    int result;
    ssize_t bytes = read_all(fd, text, room - 1);
    if (bytes < 0)
        result = sqi_fail_with(SQ_EIO, "cannot read %s: %s", name, strerror(errno));
    else if ((size_t)bytes > bytes_max)
        result = sqi_fail_with(SQ_EKEYRING, "%s is larger than 65536 bytes, or grows", name);
    else
        result = sqi_keyring_parse(text, (size_t)bytes, name, more_room, ret_keyring);
    sqi_secret_free(text, room);
    return result;
}

/* Reads from an open file after checking it. */
static int read_checked(int fd, const char *name, size_t more_room, sq_keyring **ret_keyring)
{
    struct stat file;
    if (fstat(fd, &file) < 0)
        return sqi_fail_with(SQ_EIO, "cannot look at %s: %s", name, strerror(errno));
    const char *why = unsafe(&file);
    if (why)
        return sqi_fail_with(SQ_EKEYRING, "the keyring %s %s", name, why);
    return read_keyring(fd, (size_t)file.st_size, name, more_room, ret_keyring);
}

static int fail_to_open(const char *path)
{
    if (errno == ENOENT || errno == ENOTDIR)
        return sqi_fail_with(SQ_ENOENT, "there is no keyring %s: make one with sealq key new",
                             path);
    if (errno == ELOOP)
        return sqi_fail_with(SQ_EKEYRING, "the keyring %s is a symbolic link: name the file itself",
                             path);
    if (errno == EACCES || errno == ENXIO || errno == EPERM)
        return sqi_fail_with(SQ_EKEYRING, "the keyring %s may not be opened: %s", path,
                             strerror(errno));
    return sqi_fail_with(SQ_EIO, "cannot open the keyring %s: %s", path, strerror(errno));
}

/* folder: a descriptor that name is relative to. */
static int read_file(int folder, const char *name, const char *path, size_t more_room,
                     sq_keyring **ret_keyring)
{
    /* O_NONBLOCK: a FIFO must be refused, not waited for. */
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fail_to_open(path);
    int result = read_checked(fd, path, more_room, ret_keyring);
    close(fd);
    return result;
}

int sq_keyring_open(const char *path, sq_keyring **ret_keyring)
{
    if (!path || !ret_keyring)
        return sqi_fail_with(SQ_EINVAL, "path or ret_keyring is NULL");
    return read_file(AT_FDCWD, path, path, 0, ret_keyring);
}

int sq_keyring_open_fd(int fd, sq_keyring **ret_keyring)
{
    struct stat file;
    char name[32];
    if (!ret_keyring)
        return sqi_fail_with(SQ_EINVAL, "ret_keyring is NULL");
    if (fstat(fd, &file) < 0)
        return sqi_fail_with(SQ_EINVAL, "%d is no open descriptor", fd);
    snprintf(name, sizeof name, "descriptor %d", fd);
    if (S_ISFIFO(file.st_mode) || S_ISSOCK(file.st_mode)) /* who wrote into it, chose to */
        return read_keyring(fd, SQ_KEYRING_BYTES_MAX, name, 0, ret_keyring);
    return read_checked(fd, name, 0, ret_keyring);
}

/* ── replacing ────────────────────────────────────────────────────────────────────────────── */

/* A keyring file that is being changed. */
struct change {
    const char *path;
    char name[NAME_MAX + 1], name_of_new[NAME_MAX + 1];
    int folder; /* locked */
};

/* Makes the missing folders of a path, for this user alone. */
static int make_folders(const char *folder)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", folder);
    for (char *at = path + 1;; at++) {
        char was = *at;
        if (was != '/' && was != '\0')
            continue;
        *at = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return -1;
        *at = was;
        if (was == '\0')
            return 0;
    }
}

static int open_folder(const char *folder, bool may_make)
{
    static const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int fd = open(folder, flags);
    if (fd < 0 && errno == ENOENT && may_make && make_folders(folder) == 0)
        fd = open(folder, flags);
    return fd;
}

/* Opens and locks the folder. */
static int change_begin(struct change *change, const char *path, bool may_make_folder)
{
    char folder[PATH_MAX];
    const char *slash = path ? strrchr(path, '/') : NULL;
    const char *name = slash ? slash + 1 : path;
    if (!path || strlen(path) >= PATH_MAX || !name[0] || strlen(name) > NAME_BYTES_MAX ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return sqi_fail_with(SQ_EINVAL, "the keyring's path names no file");
    change->path = path;
    snprintf(change->name, sizeof change->name, "%s", name);
    snprintf(change->name_of_new, sizeof change->name_of_new, "%s.new", name);
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    change->folder = open_folder(slash == path ? "/" : folder, may_make_folder);
    if (change->folder < 0)
        return fail_to_open(path);
    while (flock(change->folder, LOCK_EX) < 0)
        if (errno != EINTR) {
            close(change->folder);
            return sqi_fail_with(SQ_EIO, "cannot lock the folder of %s: %s", path, strerror(errno));
        }
    return SQ_OK;
}

static void change_end(const struct change *change)
{
    close(change->folder); /* and with it the lock */
}

static int write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(fd, text, bytes);
        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0) {
            text += written;
            bytes -= (size_t)written;
        }
    }
    return 0;
}

static int fail_to_write(const char *what)
{
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        return sqi_fail_with(SQ_ENOSPACE, "no room to write %s; it is as it was: free some space",
                             what);
    return sqi_fail_with(SQ_EIO, "cannot write %s; it is as it was: %s", what, strerror(errno));
}

/* Writes the new file beside the old one, and makes sure that it is on disk. */
static int write_new(const struct change *change, const char *text, size_t bytes)
{
    if (unlinkat(change->folder, change->name_of_new, 0) < 0 && errno != ENOENT)
        return -1;
    int fd = openat(change->folder, change->name_of_new,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    /* fchmod: the umask could only take our own permissions away. */
    int failed = fchmod(fd, 0600) < 0 || write_all(fd, text, bytes) < 0 || fsync(fd) < 0;
    int error = errno;
    if (close(fd) < 0 && !failed) {
        failed = 1;
        error = errno;
    }
    errno = error;
    return failed ? -1 : 0;
}

static int change_commit(const struct change *change, const sq_keyring *keyring, bool may_replace)
{
    char *text;
    size_t bytes, room;
    int result = sqi_keyring_print(keyring, &text, &bytes, &room);
    if (result < 0)
        return result;
    if (write_new(change, text, bytes) < 0 ||
        renameat2(change->folder, change->name_of_new, change->folder, change->name,
                  may_replace ? 0 : RENAME_NOREPLACE) < 0) {
        result = errno == EEXIST
                     ? sqi_fail_with(
                           SQ_EEXIST,
                           "there is a keyring %s already: sealq key rotate makes a new key",
                           change->path)
                     : fail_to_write(change->path);
        unlinkat(change->folder, change->name_of_new, 0);
    } else if (fsync(change->folder) < 0) {
        result = sqi_fail_with(SQ_EIO, "%s is written, but may not survive a crash: %s",
                               change->path, strerror(errno));
    }
    sqi_secret_free(text, room);
    return result;
}

/* ── changes ──────────────────────────────────────────────────────────────────────────────── */

static int check_comment(const char *comment)
{
    if (comment && !sqi_is_comment(comment))
        return sqi_fail_with(SQ_EINVAL,
                             "a comment has at most %d printable bytes, and no space at "
                             "its ends",
                             SQ_KEY_COMMENT_BYTES_MAX);
    return SQ_OK;
}

int sq_keyring_create(const char *path, const char *comment, char *ret_id)
{
    struct change change;
    struct sqi_key *key;
    int result = check_comment(comment);
    if (result == SQ_OK)
        result = change_begin(&change, path, true);
    if (result < 0)
        return result;
    sq_keyring *keyring = sqi_keyring_new(1);
    if (!keyring)
        result = sqi_fail_with(SQ_ENOMEM, "no secure memory is left for the keyring");
    else if (faccessat(change.folder, change.name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        result = sqi_fail_with(
            SQ_EEXIST, "there is a keyring %s already: sealq key rotate makes a new key", path);
    else
        result = sqi_keyring_generate(keyring, comment, &key);
    if (result == SQ_OK) {
        sqi_keyring_make_primary(keyring, key);
        result = change_commit(&change, keyring, false);
    }
    if (result == SQ_OK && ret_id)
        memcpy(ret_id, key->info.id, SQ_KEY_ID_BYTES);
    sq_keyring_free(keyring);
    change_end(&change);
    return result;
}

/* A change that works on the keys: SQ_OK, and they are written. */
typedef int edit_function(sq_keyring *keyring, void *context);

static int edit(const char *path, size_t more_room, edit_function *apply, void *context)
{
    struct change change;
    sq_keyring *keyring = NULL;
    int result = change_begin(&change, path, false);
    if (result < 0)
        return result;
    result = read_file(change.folder, change.name, path, more_room, &keyring);
    if (result == SQ_OK)
        result = apply(keyring, context);
    if (result == SQ_OK)
        result = change_commit(&change, keyring, true);
    sq_keyring_free(keyring);
    change_end(&change);
    return result;
}

struct addition {
    const char *comment;
    bool is_primary;
    char id[SQ_KEY_ID_BYTES];
};

static int apply_addition(sq_keyring *keyring, void *context)
{
    struct addition *addition = context;
    struct sqi_key *key;
    int result = sqi_keyring_generate(keyring, addition->comment, &key);
    if (result < 0)
        return result;
    if (addition->is_primary)
        sqi_keyring_make_primary(keyring, key);
    memcpy(addition->id, key->info.id, SQ_KEY_ID_BYTES);
    return SQ_OK;
}

static int add(const char *path, struct addition addition, char *ret_id)
{
    int result = check_comment(addition.comment);
    if (result == SQ_OK)
        result = edit(path, 1, apply_addition, &addition);
    if (result == SQ_OK && ret_id)
        memcpy(ret_id, addition.id, SQ_KEY_ID_BYTES);
    return result;
}

int sq_keyring_add(const char *path, const char *comment, char *ret_id)
{
    return add(path, (struct addition){.comment = comment}, ret_id);
}

int sq_keyring_rotate(const char *path, const char *comment, char *ret_id)
{
    return add(path, (struct addition){.comment = comment, .is_primary = true}, ret_id);
}

/* Which key a person means. */
struct choice {
    const char *id, *channel;
};

static int choose(sq_keyring *keyring, const struct choice *choice, struct sqi_key **ret_key)
{
    const char *channel = choice->channel ? choice->channel : "";
    size_t digits = choice->id ? strlen(choice->id) : 0;
    struct sqi_key *found = NULL;
    if (digits < 4 || digits >= SQ_KEY_ID_BYTES)
        return sqi_fail_with(SQ_EINVAL, "a key is named by the first 4 to 16 digits of its id");
    for (size_t i = 0; i < keyring->key_count; i++) {
        struct sqi_key *key = &keyring->keys[i];
        if (strncmp(key->info.id, choice->id, digits) != 0 ||
            strcmp(key->info.channel, channel) != 0)
            continue;
        if (found)
            return sqi_fail_with(SQ_ENOKEY, "several keys begin with %s: type more digits",
                                 choice->id);
        found = key;
    }
    if (!found)
        return sqi_fail_with(SQ_ENOKEY, "there is no key %s%s%s: sealq key list shows them",
                             choice->id, channel[0] ? " for channel " : "", channel);
    *ret_key = found;
    return SQ_OK;
}

static int apply_promote(sq_keyring *keyring, void *context)
{
    struct sqi_key *key;
    int result = choose(keyring, context, &key);
    if (result == SQ_OK && key->info.state == SQ_KEY_RETIRED)
        result = sqi_fail_with(SQ_ERETIRED, "key %s is retired: promote another", key->info.id);
    if (result == SQ_OK)
        sqi_keyring_make_primary(keyring, key);
    return result;
}

/* The key of a choice, unless it is the primary, without which nothing can be sealed. */
static int choose_idle(sq_keyring *keyring, const struct choice *choice, struct sqi_key **ret_key)
{
    int result = choose(keyring, choice, ret_key);
    if (result == SQ_OK && (*ret_key)->info.state == SQ_KEY_PRIMARY)
        return sqi_fail_with(SQ_EINUSE, "key %s is the primary: promote another, or rotate, first",
                             (*ret_key)->info.id);
    return result;
}

static int apply_retire(sq_keyring *keyring, void *context)
{
    struct sqi_key *key;
    int result = choose_idle(keyring, context, &key);
    if (result == SQ_OK)
        key->info.state = SQ_KEY_RETIRED;
    return result;
}

static int apply_remove(sq_keyring *keyring, void *context)
{
    struct sqi_key *key;
    int result = choose_idle(keyring, context, &key);
    if (result < 0)
        return result;
    struct sqi_key *last = &keyring->keys[--keyring->key_count];
    memmove(key, key + 1, (size_t)(last - key) * sizeof *key);
    OPENSSL_cleanse(last, sizeof *last);
    return SQ_OK;
}

int sq_keyring_promote(const char *path, const char *id, const char *channel)
{
    return edit(path, 0, apply_promote, &(struct choice){id, channel});
}

int sq_keyring_retire(const char *path, const char *id, const char *channel)
{
    return edit(path, 0, apply_retire, &(struct choice){id, channel});
}

int sq_keyring_remove(const char *path, const char *id, const char *channel)
{
    return edit(path, 0, apply_remove, &(struct choice){id, channel});
}

/* ── export and import ────────────────────────────────────────────────────────────────────── */

static struct sqi_key *find_same(sq_keyring *keyring, const struct sqi_key *key)
{
    for (size_t i = 0; i < keyring->key_count; i++)
        if (memcmp(keyring->keys[i].id, key->id, SQI_KEY_ID_BYTES) == 0 &&
            strcmp(keyring->keys[i].info.channel, key->info.channel) == 0)
            return &keyring->keys[i];
    return NULL;
}

/* Adds the channel key that a key gives, unless it is there: a keyring may have both a master key
   and the channel key that came from it. */
static int derive_channel_key(const struct sqi_key *from, struct sqi_schedule *schedule,
                              const char *channel, bool is_primary, sq_keyring *ret_keys)
{
    struct sqi_key *to = &ret_keys->keys[ret_keys->key_count];
    *to = *from;
    strcpy(to->info.channel, channel);
    to->info.state = is_primary ? SQ_KEY_PRIMARY : SQ_KEY_ACCEPTED;
    int result = sqi_key_for_channel(from, schedule, channel, to->bytes);
    struct sqi_key *same = find_same(ret_keys, to);
    if (same && is_primary)
        *same = *to;
    if (same)
        OPENSSL_cleanse(to, sizeof *to);
    else
        ret_keys->key_count++;
    return result;
}

/* The channel keys that the keys which are not retired give: in a keyring of their own. Its primary
   is the key that a sealer on this channel takes. */
static int derive_channel_keys(const sq_keyring *keyring, const char *channel, sq_keyring *ret_keys)
{
    struct sqi_schedule *schedule = sqi_schedule_new();
    const struct sqi_key *primary = NULL;
    int result = schedule ? SQ_OK : sqi_fail(SQ_ENOMEM);
    (void)sqi_keyring_primary(keyring, channel, &primary); /* there may be none */
    for (size_t i = 0; i < keyring->key_count && result == SQ_OK; i++) {
        const struct sqi_key *from = &keyring->keys[i];
        if (from->info.state == SQ_KEY_RETIRED ||
            (from->info.channel[0] && strcmp(from->info.channel, channel) != 0))
            continue;
        result = derive_channel_key(from, schedule, channel, from == primary, ret_keys);
    }
    sqi_schedule_free(schedule);
    return result;
}

static int export_keys(const sq_keyring *keyring, int fd)
{
    char *text;
    size_t bytes, room;
    if (keyring->key_count == 0)
        return sqi_fail_with(SQ_ENOKEY, "there is no key to export");
    int result = sqi_keyring_print(keyring, &text, &bytes, &room);
    if (result < 0)
        return result;
    if (write_all(fd, text, bytes) < 0)
        result = sqi_fail_with(SQ_EIO, "cannot write the exported keys: %s", strerror(errno));
    sqi_secret_free(text, room);
    return result;
}

int sq_keyring_export(const sq_keyring *keyring, const char *channel, int fd)
{
    if (!keyring)
        return sqi_fail_with(SQ_EINVAL, "keyring is NULL");
    if (!channel)
        return export_keys(keyring, fd);
    if (!sqi_is_channel_name(channel))
        return sqi_fail_with(SQ_EINVAL, SQI_CHANNEL_NAME_ADVICE);
    sq_keyring *keys = sqi_keyring_new(keyring->key_count);
    if (!keys)
        return sqi_fail_with(SQ_ENOMEM, "no secure memory is left for the keyring");
    int result = derive_channel_keys(keyring, channel, keys);
    if (result == SQ_OK)
        result = export_keys(keys, fd);
    sq_keyring_free(keys);
    return result;
}

static bool has_primary(const sq_keyring *keyring, const char *channel)
{
    for (size_t i = 0; i < keyring->key_count; i++)
        if (keyring->keys[i].info.state == SQ_KEY_PRIMARY &&
            strcmp(keyring->keys[i].info.channel, channel) == 0)
            return true;
    return false;
}

struct merge {
    const sq_keyring *from;
    int new_count;
};

static int apply_merge(sq_keyring *keyring, void *context)
{
    struct merge *merge = context;
    merge->new_count = 0;
    for (size_t i = 0; i < merge->from->key_count; i++) {
        const struct sqi_key *key = &merge->from->keys[i];
        const struct sqi_key *same = find_same(keyring, key);
        if (same && CRYPTO_memcmp(same->bytes, key->bytes, SQI_KEY_BYTES) != 0)
            return sqi_fail_with(SQ_EKEYRING, "another key is known as %s: import it elsewhere",
                                 key->info.id);
        if (same)
            continue;
        if (keyring->key_count == keyring->room)
            return sqi_fail_with(SQ_EFULL, "the keyring would have more than %d keys: remove one",
                                 SQ_KEYRING_KEYS_MAX);
        struct sqi_key *added = &keyring->keys[keyring->key_count];
        *added = *key;
        if (key->info.state == SQ_KEY_PRIMARY && has_primary(keyring, key->info.channel))
            added->info.state = SQ_KEY_ACCEPTED;
        keyring->key_count++;
        merge->new_count++;
    }
    return SQ_OK;
}

/* Into a file that is not there yet. */
static int import_into_new(const char *path, struct merge *merge)
{
    struct change change;
    int result = change_begin(&change, path, true);
    if (result < 0)
        return result;
    sq_keyring *keyring = sqi_keyring_new(merge->from->key_count);
    result = keyring ? apply_merge(keyring, merge)
                     : sqi_fail_with(SQ_ENOMEM, "no secure memory is left for the keyring");
    if (result == SQ_OK)
        result = change_commit(&change, keyring, false);
    sq_keyring_free(keyring);
    change_end(&change);
    return result;
}

int sq_keyring_import(const char *path, const sq_keyring *keyring)
{
    if (!keyring)
        return sqi_fail_with(SQ_EINVAL, "keyring is NULL");
    struct merge merge = {.from = keyring};
    int result = edit(path, keyring->key_count, apply_merge, &merge);
    if (result == SQ_ENOENT) {
        result = import_into_new(path, &merge);
        if (result == SQ_EEXIST) /* somebody else made it meanwhile */
            result = edit(path, keyring->key_count, apply_merge, &merge);
    }
    return result < 0 ? result : merge.new_count;
}
