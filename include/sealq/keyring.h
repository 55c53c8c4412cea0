/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file keyring.h
 * A keyring holds the symmetric keys that messages are sealed and opened with.
 *
 *     primary    seals and opens; one at most for each scope
 *     accepted   opens
 *     retired    refused, with an error of its own
 *
 * A key's scope is everything (a master key) or one channel: whoever holds a channel key opens
 * and seals on that channel and nowhere else. A key is known by its id, 16 hexadecimal digits
 * that say nothing about it.
 *
 * On disk a keyring is a text file with a checksum, mode 0600, at most 64 KiB (docs/FORMAT.md).
 * It is opened without following a link, and what is checked is the open file: regular, owned by
 * this user, no permission for others, one name only. In memory keys lie in OpenSSL's secure heap:
 * locked where the system allows it, guarded, left out of core dumps.
 *
 * A keyring in memory never changes. Functions that change one work on the file: under a lock, by
 * writing a new file, syncing it, and putting it in the old one's place.
 */
#ifndef SEALQ_KEYRING_H
#define SEALQ_KEYRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The largest keyring file, in bytes. */
#define SQ_KEYRING_BYTES_MAX 65536
/** The most keys in one keyring. */
#define SQ_KEYRING_KEYS_MAX 256
/** Room for a key's id as text, its final NUL included. */
#define SQ_KEY_ID_BYTES 17
/** The longest comment of a key, in bytes. */
#define SQ_KEY_COMMENT_BYTES_MAX 100
/** The longest name of a channel: `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`. */
#define SQ_CHANNEL_NAME_BYTES_MAX 64

typedef struct sq_keyring sq_keyring;

typedef enum sq_key_state {
    SQ_KEY_PRIMARY = 0,
    SQ_KEY_ACCEPTED = 1,
    SQ_KEY_RETIRED = 2,
} sq_key_state;

/** What may be told about a key: nothing secret. */
typedef struct sq_key_info {
    char id[SQ_KEY_ID_BYTES];
    sq_key_state state;
    char channel[SQ_CHANNEL_NAME_BYTES_MAX + 1]; /**< "": a master key, for every channel */
    int64_t created_s;                           /**< seconds since the epoch */
    char comment[SQ_KEY_COMMENT_BYTES_MAX + 1];
} sq_key_info;

/**
 * Read a keyring from its file.
 *
 * path         the file; a link is not followed.
 * ret_keyring  the keyring; end it with sq_keyring_free(). Untouched on failure.
 * Errors       SQ_ENOENT (no such file), SQ_EKEYRING (not safe to use, or not a keyring: the
 *              detail says what and what to do), SQ_EVERSION (made by a newer sealq), SQ_EIO,
 *              SQ_ENOMEM, SQ_EINVAL.
 * Threads      any.
 */
SQ_API int sq_keyring_open(const char *path, sq_keyring **ret_keyring);

/**
 * Read a keyring from a descriptor: a file, which is checked as sq_keyring_open() does, or a
 * pipe, which is read to its end.
 *
 * fd           stays the caller's and open.
 * ret_keyring  as sq_keyring_open().
 * Errors       as sq_keyring_open().
 */
SQ_API int sq_keyring_open_fd(int fd, sq_keyring **ret_keyring);

/**
 * What is passed in a keyring's place for messages that are not sealed: anybody who can read the
 * store reads them, anybody who can write it forges them. A consumer that has a keyring never
 * accepts such a message.
 *
 * Ownership    a constant; sq_keyring_free() does nothing with it.
 */
SQ_API const sq_keyring *sq_plaintext(void);

/**
 * Free a keyring, wiping its keys once no sealer and no opener uses them. NULL does nothing.
 *
 * Returns      NULL.
 */
SQ_API sq_keyring *sq_keyring_free(sq_keyring *keyring);

/** How many keys a keyring has; 0 for NULL. */
SQ_API size_t sq_keyring_key_count(const sq_keyring *keyring);

/**
 * What is known about the key at an index.
 *
 * key_index    below sq_keyring_key_count().
 * ret_info     filled; untouched on failure.
 * Errors       SQ_EINVAL.
 */
SQ_API int sq_keyring_key_info(const sq_keyring *keyring, size_t key_index, sq_key_info *ret_info);

/**
 * Whether this process's keys are locked in memory, so that they never reach the swap space.
 *
 * False where the system refused (RLIMIT_MEMLOCK).
 */
SQ_API bool sq_keyring_is_locked_in_memory(void);

/**
 * Make a keyring file with one new key, its primary. Folders that are missing are made, for this
 * user alone.
 *
 * path         the file to make.
 * comment      NULL for none; printable UTF-8, at most SQ_KEY_COMMENT_BYTES_MAX bytes.
 * ret_id       the new key's id, SQ_KEY_ID_BYTES of room; may be NULL.
 * Errors       SQ_EEXIST (there is a file already, which stays as it is), SQ_EIO, SQ_ENOSPACE,
 *              SQ_EINVAL, SQ_ENOMEM.
 */
SQ_API int sq_keyring_create(const char *path, const char *comment, char *ret_id);

/**
 * Add a new key to a keyring file, as accepted: ready to be promoted once every host has it.
 *
 * path         the keyring's file.
 * comment      as sq_keyring_create().
 * ret_id       as sq_keyring_create().
 * Errors       as sq_keyring_open(); SQ_EFULL (SQ_KEYRING_KEYS_MAX keys, or no room in the file),
 *              SQ_ENOSPACE (the disk is full; the file is as it was).
 */
SQ_API int sq_keyring_add(const char *path, const char *comment, char *ret_id);

/**
 * Add a new key and make it primary, in one step: sq_keyring_add() and sq_keyring_promote().
 *
 * path         the keyring's file.
 * comment      as sq_keyring_create().
 * ret_id       as sq_keyring_create().
 * Errors       as sq_keyring_add().
 */
SQ_API int sq_keyring_rotate(const char *path, const char *comment, char *ret_id);

/**
 * Make an accepted key the primary of its scope; the one before stays accepted.
 *
 * path         the keyring's file.
 * id           the key's id, or the first digits of it, at least 4, when no other begins so.
 * channel      NULL or "" for a master key, else the channel of a channel key.
 * Errors       as sq_keyring_add(); SQ_ENOKEY (no such key, or several), SQ_ERETIRED.
 */
SQ_API int sq_keyring_promote(const char *path, const char *id, const char *channel);

/**
 * Retire a key: what it sealed is refused from now on. It stays in the file, to tell a retired
 * key from an unknown one.
 *
 * path         the keyring's file.
 * id           as sq_keyring_promote().
 * channel      as sq_keyring_promote().
 * Errors       as sq_keyring_promote(); SQ_EINUSE (it is the primary: promote another first).
 */
SQ_API int sq_keyring_retire(const char *path, const char *id, const char *channel);

/**
 * Remove a key for good; what it sealed can be opened no more.
 *
 * path         the keyring's file.
 * id           as sq_keyring_promote().
 * channel      as sq_keyring_promote().
 * Errors       as sq_keyring_retire().
 */
SQ_API int sq_keyring_remove(const char *path, const char *id, const char *channel);

/**
 * Write the keys, secrets included, as the text of a keyring file.
 *
 * channel      NULL: the keys as they are. A name: for each key that is not retired, its channel
 *              key for that channel, so that the receiver opens this channel and nothing else.
 * fd           where to write.
 * Errors       SQ_ENOKEY (nothing to export), SQ_EIO, SQ_EINVAL, SQ_ENOMEM.
 */
SQ_API int sq_keyring_export(const sq_keyring *keyring, const char *channel, int fd);

/**
 * Merge keys, as exported, into a keyring file; it is made when there is none.
 *
 * A key that is there already stays as it is, retired ones too. A new one is accepted, or primary
 * when its scope has no primary yet and it was one where it came from.
 *
 * path         the file to merge them into.
 * keyring      the keys to merge, as sq_keyring_open_fd() read them.
 * Returns      how many keys are new.
 * Errors       as sq_keyring_add(); SQ_EKEYRING (another key has the same id and scope).
 */
SQ_API int sq_keyring_import(const char *path, const sq_keyring *keyring);

#ifdef __cplusplus
}
#endif
#endif
