/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file envelope.h
 * Sealing and opening single messages: what channels do with every message, for whoever carries
 * them by other means. The format is docs/FORMAT.md's envelope, version 1.
 *
 *     sealer (one thread's session) ── seal ──► 120 bytes of header ‖ ciphertext ‖ tag
 *     opener (one thread's sessions) ── open ──► headers and body, or one of four errors
 *
 * A sealer and an opener belong to one thread at a time, and to the process that made them: after
 * a fork the child's sealer takes a new salt by itself, so that no nonce is used twice.
 */
#ifndef SEALQ_ENVELOPE_H
#define SEALQ_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "keyring.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The bytes that an envelope has beyond its headers, body and padding. */
#define SQ_ENVELOPE_OVERHEAD_BYTES 144
/** The largest body and the largest headers, in bytes. */
#define SQ_BODY_BYTES_MAX (16 * 1024 * 1024)
#define SQ_HEADERS_BYTES_MAX (64 * 1024)
/** The priority of a message that asks for none: 0 is first, 255 last. */
#define SQ_PRIORITY_DEFAULT 100

typedef struct sq_sealer sq_sealer;
typedef struct sq_opener sq_opener;

/** What an envelope is for. One kind never opens as another. */
typedef enum sq_kind {
    SQ_KIND_MESSAGE = 1,
    SQ_KIND_RECEIPT = 2,
    SQ_KIND_CHECKPOINT = 3,
    SQ_KIND_REASON = 4, /**< of a retry or a death */
    SQ_KIND_CANARY = 5, /**< tells a wrong keyring when a channel is opened */
} sq_kind;

/** A header: UTF-8, neither ends with a NUL. */
typedef struct sq_header {
    const char *name;
    const char *value;
    size_t name_bytes;  /**< 1 to 255 */
    size_t value_bytes; /**< 0 to 65,535 */
} sq_header;

/** What is sealed. Zeroed: an empty body, nothing else. */
typedef struct sq_content {
    const void *body;
    size_t body_bytes; /**< at most SQ_BODY_BYTES_MAX */
    const sq_header *headers;
    size_t header_count;    /**< names unique; SQ_HEADERS_BYTES_MAX in all */
    const void *dedupe_key; /**< NULL: none. Only its keyed hash leaves the sealer */
    size_t dedupe_key_bytes;
    uint64_t not_before_ms; /**< since the epoch; 0: at once */
    uint64_t expires_ms;    /**< since the epoch; 0: never */
    bool has_priority;      /**< false: SQ_PRIORITY_DEFAULT */
    uint8_t priority;
    bool is_padded; /**< hide the size among its neighbours (Padmé, at most 12 % more) */
    uint64_t reserved[4];
} sq_content;

/** What came out of an envelope. The pointers lead into the buffer given to sq_open(). */
typedef struct sq_opened {
    const void *body;
    size_t body_bytes;
    const void *headers; /**< for sq_opened_header() */
    size_t headers_bytes;
    uint64_t created_ns;    /**< since the epoch */
    uint64_t not_before_ms; /**< as sealed: believe these, not what a store says */
    uint64_t expires_ms;
    uint8_t dedupe_id[16]; /**< zeros: none */
    const char *key_id;    /**< of the key it was sealed under; as long as the opener lives */
    uint8_t priority;
    bool is_padded;
    uint64_t reserved[4];
} sq_opened;

/**
 * Make a sealer: a session under the primary key.
 *
 * keyring      whose primary key it seals under: the channel's own, else the master one.
 * channel      the channel's name; an envelope opens on this channel only.
 * kind         what its envelopes are for.
 * ret_sealer   end it with sq_sealer_free(). It keeps what it needs of the keyring.
 * Errors       SQ_EINVAL, SQ_ENOKEY (no primary key for this channel), SQ_ENOMEM.
 * Threads      any; the sealer is for one thread at a time.
 */
SQ_API int sq_sealer_create(const sq_keyring *keyring, const char *channel, sq_kind kind,
                            sq_sealer **ret_sealer);

/** Wipe and free a sealer. NULL does nothing. Returns NULL. */
SQ_API sq_sealer *sq_sealer_free(sq_sealer *sealer);

/**
 * The size of the envelope that this content will have, or 0 when it breaks a limit.
 *
 * content      what would be sealed.
 * Threads      any.
 */
SQ_API size_t sq_sealed_bytes(const sq_content *content);

/**
 * Seal a message.
 *
 * sealer        begins a new session by itself when it is time to.
 * content       what is sealed; the caller keeps it.
 * buffer        room for the envelope; must not overlap the content.
 * buffer_bytes  at least sq_sealed_bytes(content).
 * Returns      the envelope's size in bytes. Nothing is allocated.
 * Errors       SQ_EINVAL (a limit is broken, a header is not well formed or comes twice, or the
 *              buffer is too small), SQ_ECRYPTO (OpenSSL failed). The buffer is not specified
 *              after an error, and holds nothing secret.
 * Threads      one at a time for one sealer.
 * Source       NIST SP 800-38D (GCM), RFC 5869 (HKDF), and docs/FORMAT.md.
 */
SQ_API ssize_t sq_seal(sq_sealer *sealer, const sq_content *content, void *buffer,
                       size_t buffer_bytes);

/**
 * Make an opener: up to 4,096 sessions kept open, the least recently used one leaves.
 *
 * keyring      is kept alive by the opener.
 * ret_opener   end it with sq_opener_free().
 * Errors       SQ_EINVAL, SQ_ENOMEM.
 */
SQ_API int sq_opener_create(const sq_keyring *keyring, sq_opener **ret_opener);

/** Wipe and free an opener. NULL does nothing. Returns NULL. */
SQ_API sq_opener *sq_opener_free(sq_opener *opener);

/**
 * Open an envelope.
 *
 * opener          remembers the session of what it opened.
 * channel         what it must have been sealed for.
 * kind            what it must have been sealed as.
 * envelope        the bytes, as they were carried.
 * envelope_bytes  how many they are.
 * buffer          room for the plaintext; it must not overlap the envelope.
 * buffer_bytes    envelope_bytes suffice.
 * ret_opened      filled on success, pointing into buffer; untouched on failure.
 * Errors          SQ_EFORMAT (malformed), SQ_ENOKEY (sealed under a key that is not here),
 *                 SQ_ERETIRED (under one that was retired), SQ_EAUTH (forged, altered, or sealed
 *                 for another channel), SQ_EINVAL, SQ_ENOMEM, SQ_ECRYPTO. After an error the buffer
 *                 is wiped as far as it was used.
 * Threads         one at a time for one opener.
 */
SQ_API int sq_open(sq_opener *opener, const char *channel, sq_kind kind, const void *envelope,
                   size_t envelope_bytes, void *buffer, size_t buffer_bytes, sq_opened *ret_opened);

/**
 * Go through the headers of an opened message.
 *
 * cursor       0 at first; moved on.
 * ret_header   the next header.
 * Returns      1, or 0 after the last.
 * Errors       SQ_EINVAL.
 */
SQ_API int sq_opened_header(const sq_opened *opened, size_t *cursor, sq_header *ret_header);

#ifdef __cplusplus
}
#endif
#endif
