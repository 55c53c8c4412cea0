/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/complain.h"
#include "cli/demo.h"
#include "sealq/sealq.h"

/* docs/FORMAT.md: an envelope's first bytes, and where its ciphertext begins. */
static const char magic[] = {'S', 'Q', 'E', 1, SQ_KIND_MESSAGE};
#define CIPHERTEXT_OFFSET 120
#define ENVELOPE_BYTES_MAX 2000 /* the demo's are small: one chunk */
#define SHOWN_BYTES_MAX 240
#define LINE_BYTES 16

struct disk {
    int fd;
    uint8_t *bytes;
    size_t count;
    sq_opener *opener;
    const char *channel;
};

static int open_disk(const char *store, const sq_keyring *keyring, const char *channel,
                     struct disk *ret_disk)
{
    char path[PATH_MAX];
    struct stat status;
    snprintf(path, sizeof path, "%s/data.mdb", store);
    struct disk disk = {.fd = open(path, O_RDWR | O_CLOEXEC), .channel = channel};
    if (disk.fd < 0 || fstat(disk.fd, &status) != 0)
        return sqi_complain(SQI_EXIT_IO, "%s: cannot look into it: %s: name a store on this disk",
                            path, strerror(errno));
    disk.count = (size_t)status.st_size;
    disk.bytes = malloc(disk.count);
    if (!disk.bytes || sq_opener_create(keyring, &disk.opener) < 0 ||
        pread(disk.fd, disk.bytes, disk.count, 0) != (ssize_t)disk.count) {
        close(disk.fd);
        free(disk.bytes);
        return sqi_complain(SQI_EXIT_IO, "%s: cannot read it", path);
    }
    *ret_disk = disk;
    return SQI_EXIT_OK;
}

static void close_disk(struct disk *disk)
{
    sq_opener_free(disk->opener);
    free(disk->bytes);
    close(disk->fd);
}

/* The envelope's size, when a message of the channel lies here: opened into plain. */
static size_t open_at(const struct disk *disk, size_t at, uint8_t *plain, sq_opened *ret_opened)
{
    const uint8_t *envelope = disk->bytes + at;
    if (disk->count - at < SQ_ENVELOPE_OVERHEAD_BYTES)
        return 0;
    size_t bytes = CIPHERTEXT_OFFSET + ((size_t)envelope[118] << 8 | envelope[119]);
    if (bytes > ENVELOPE_BYTES_MAX || bytes > disk->count - at ||
        sq_open(disk->opener, disk->channel, SQ_KIND_MESSAGE, envelope, bytes, plain,
                ENVELOPE_BYTES_MAX, ret_opened) < 0)
        return 0;
    return bytes;
}

/* The next place, from `at` on, where an envelope may begin; count: none. */
static size_t find_magic(const struct disk *disk, size_t at)
{
    const uint8_t *found = memmem(disk->bytes + at, disk->count - at, magic, sizeof magic);
    return found ? (size_t)(found - disk->bytes) : disk->count;
}

static void print_line(const uint8_t *bytes, size_t count)
{
    fprintf(stderr, "   ");
    for (size_t i = 0; i < LINE_BYTES; i++)
        if (i < count)
            fprintf(stderr, " %02x", bytes[i]);
        else
            fprintf(stderr, "   ");
    fprintf(stderr, "  ");
    for (size_t i = 0; i < count; i++)
        fputc(bytes[i] >= ' ' && bytes[i] < 0x7f ? bytes[i] : '.', stderr);
    fputc('\n', stderr);
}

int sqi_demo_show(const char *store, const sq_keyring *keyring, const char *channel)
{
    struct disk disk;
    uint8_t plain[ENVELOPE_BYTES_MAX];
    sq_opened opened;
    int exit_code = open_disk(store, keyring, channel, &disk);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    size_t bytes = 0, at = find_magic(&disk, 0);
    while (at < disk.count && !(bytes = open_at(&disk, at, plain, &opened)))
        at = find_magic(&disk, at + 1);
    if (bytes == 0) {
        exit_code = sqi_complain(SQI_EXIT_SOFTWARE, "no message found on the disk");
    } else {
        fprintf(stderr, "what lies on the disk (%zu bytes, from %zu on in data.mdb):\n", bytes, at);
        for (size_t i = 0; i < bytes && i < SHOWN_BYTES_MAX; i += LINE_BYTES)
            print_line(disk.bytes + at + i, bytes - i < LINE_BYTES ? bytes - i : LINE_BYTES);
        fprintf(stderr, "what a consumer gets: %.*s\n", (int)opened.body_bytes,
                (const char *)opened.body);
    }
    close_disk(&disk);
    return exit_code;
}

int sqi_demo_tamper(const char *store, const sq_keyring *keyring, const char *channel,
                    const char *body)
{
    struct disk disk;
    uint8_t plain[ENVELOPE_BYTES_MAX];
    sq_opened opened;
    size_t flipped = 0;
    int exit_code = open_disk(store, keyring, channel, &disk);
    if (exit_code != SQI_EXIT_OK)
        return exit_code;
    for (size_t at = find_magic(&disk, 0); at < disk.count; at = find_magic(&disk, at + 1)) {
        if (!open_at(&disk, at, plain, &opened) || opened.body_bytes != strlen(body) ||
            memcmp(opened.body, body, opened.body_bytes) != 0)
            continue;
        uint8_t byte = disk.bytes[at + CIPHERTEXT_OFFSET] ^ 1;
        if (pwrite(disk.fd, &byte, 1, (off_t)(at + CIPHERTEXT_OFFSET)) == 1)
            flipped++;
    }
    close_disk(&disk);
    if (flipped == 0)
        return sqi_complain(SQI_EXIT_SOFTWARE, "the message to tamper with was not found");
    fprintf(stderr, "flipped one bit of the message %s in data.mdb\n", body);
    return SQI_EXIT_OK;
}
