/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/lmdb/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.h"

/* Local file systems, whose locks and shared mappings are those of one kernel. By name where
   linux/magic.h does not have it. */
static const unsigned long local_file_systems[] = {
    EXT4_SUPER_MAGIC, /* ext2 and ext3 too */
    XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC,     F2FS_SUPER_MAGIC,
    TMPFS_MAGIC,      OVERLAYFS_SUPER_MAGIC, 0x2fc12fc1, /* ZFS */
    0xca451a4e,                                          /* bcachefs */
    0x52654973,                                          /* reiserfs */
};

static int fail_for(const char *path, const char *what)
{
    int code = errno == ENOSPC || errno == EDQUOT ? SQ_ENOSPACE
               : errno == ENOENT                  ? SQ_ENOENT
                                                  : SQ_EIO;
    return sqi_fail_with(code, "%s: %s: %s", path, what, strerror(errno));
}

/* mkdir -p, each new folder 0700. */
static int make_folders(const char *path)
{
    char *copy = strdup(path);
    int result = SQ_OK;
    if (!copy)
        return sqi_fail(SQ_ENOMEM);
    for (char *at = copy + 1; result == SQ_OK; at++) {
        char was = *at;
        if (was && was != '/')
            continue;
        *at = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST)
            result = fail_for(copy, "cannot make the folder");
        *at = was;
        if (!was)
            break;
    }
    free(copy);
    return result;
}

static int check_file_system(int folder, const char *path)
{
    struct statfs status;
    if (fstatfs(folder, &status) != 0)
        return fail_for(path, "cannot tell its file system");
    for (size_t i = 0; i < sizeof local_file_systems / sizeof local_file_systems[0]; i++)
        if ((unsigned long)status.f_type == local_file_systems[i])
            return SQ_OK;
    return sqi_fail_with(SQ_ESTORE,
                         "%s: its file system (type %lx) is not known to be local: put the store "
                         "on a disk of this machine",
                         path, (unsigned long)status.f_type);
}

static int check_owner(int folder, const char *path)
{
    struct stat status;
    if (fstat(folder, &status) != 0)
        return fail_for(path, "cannot look at it");
    if (status.st_uid != geteuid())
        return sqi_fail_with(SQ_ESTORE, "%s: belongs to another user: name a store of your own",
                             path);
    if (status.st_mode & 077)
        return sqi_fail_with(SQ_ESTORE, "%s: others may enter it: type chmod 700 %s", path, path);
    return SQ_OK;
}

static bool is_ours(const char *name)
{
    static const char *const ours[] = {".", "..", SQI_DATA_FILE, "lock.mdb", "shared"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strcmp(name, ours[i]) == 0)
            return true;
    return false;
}

/* A folder without data must be empty, but for what an opening that failed left behind, or one
   that goes on beside us has just made. */
static int check_is_empty(int folder, const char *path)
{
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = copy >= 0 ? fdopendir(copy) : NULL;
    if (!listing) {
        int result = fail_for(path, "cannot list it");
        if (copy >= 0)
            close(copy);
        return result;
    }
    int result = SQ_OK;
    for (struct dirent *entry; result == SQ_OK && (entry = readdir(listing));)
        if (!is_ours(entry->d_name))
            result = sqi_fail_with(SQ_ESTORE,
                                   "%s: has something else in it (%.64s): name a new or an empty "
                                   "folder",
                                   path, entry->d_name);
    closedir(listing);
    return result;
}

static int check_content(int folder, const char *path, bool may_make)
{
    struct stat status;
    if (fstatat(folder, SQI_DATA_FILE, &status, AT_SYMLINK_NOFOLLOW) == 0)
        return S_ISREG(status.st_mode) ? SQ_OK
                                       : sqi_fail_with(SQ_ESTORE, "%s: its %s is not a plain file",
                                                       path, SQI_DATA_FILE);
    if (!may_make)
        return sqi_fail_with(SQ_ENOENT, "%s: there is no store in this folder", path);
    return check_is_empty(folder, path);
}

int sqi_folder_open(const char *path, bool may_make, int *ret_folder)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 && errno == ENOENT && may_make) {
        int result = make_folders(path);
        if (result < 0)
            return result;
        folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (folder < 0 && errno == ENOTDIR)
        return sqi_fail_with(SQ_ESTORE, "%s: not a folder: a store is one", path);
    if (folder < 0 && errno == ENOENT)
        return sqi_fail_with(SQ_ENOENT, "%s: there is no such store", path);
    if (folder < 0)
        return fail_for(path, "cannot open it");
    int result = check_file_system(folder, path);
    if (result == SQ_OK)
        result = check_owner(folder, path);
    if (result == SQ_OK)
        result = check_content(folder, path, may_make);
    if (result == SQ_OK)
        *ret_folder = folder;
    else
        close(folder);
    return result;
}

/* Whether the descriptor is open on the file of this name in the folder. */
static bool is_open_on(int fd, int folder, const char *name)
{
    struct stat ours, theirs;
    return fstat(fd, &ours) == 0 && fstatat(folder, name, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

void sqi_folder_close_on_exec(int folder)
{
    DIR *listing = opendir("/proc/self/fd");
    if (!listing)
        return;
    for (struct dirent *entry; (entry = readdir(listing));) {
        char *end;
        long fd = strtol(entry->d_name, &end, 10);
        if (!*end && end != entry->d_name &&
            (is_open_on((int)fd, folder, SQI_DATA_FILE) || is_open_on((int)fd, folder, "lock.mdb")))
            (void)fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    }
    closedir(listing);
}
