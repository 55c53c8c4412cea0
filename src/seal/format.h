/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The envelope's bytes: the header in front, the sizes and headers inside. No keys here.
 *
 *     0    4  "SQE" 01          8   8  key id      52  8  not before, ms    116    4  size of the
 * rest 4    1  kind             16  24  salt        60  8  expires, ms       120    n  ciphertext
 *     5    1  flags            40   4  seq         68 16  dedupe id         120+n 16  tag
 *     6    1  priority         44   8  created, ns 84 32  commitment
 *     7    1  0                (40..51: the nonce)                  integers are big-endian
 *
 *     ciphertext of:  u32 headers_bytes, u32 body_bytes, headers, body, zeros up to the Padmé size
 */
#ifndef SQI_SEAL_FORMAT_H
#define SQI_SEAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "seal/schedule.h"
#include "sealq/envelope.h"

enum {
    SQI_HEADER_BYTES = 120,
    SQI_TAG_BYTES = 16,
    SQI_PRELUDE_BYTES = 8,
    SQI_NONCE_BYTES = 12,
    SQI_NONCE_OFFSET = 40,
    SQI_ENVELOPE_BYTES_MIN = SQI_HEADER_BYTES + SQI_PRELUDE_BYTES + SQI_TAG_BYTES,
};
_Static_assert(SQI_ENVELOPE_BYTES_MIN == SQ_ENVELOPE_OVERHEAD_BYTES, "as envelope.h says");

/* The largest plaintext: everything at its limit, and Padmé's share on top (at most 12 %). */
#define SQI_PLAIN_BYTES_MAX                                                                        \
    ((SQI_PRELUDE_BYTES + SQ_HEADERS_BYTES_MAX + SQ_BODY_BYTES_MAX) / 100 * 112)

/* The header's fields; the pointers lead into the envelope, or to what shall be copied there. */
struct sqi_header {
    const uint8_t *key_id, *salt, *dedupe_id, *commitment;
    uint64_t created_ns, not_before_ms, expires_ms;
    uint32_t seq, rest_bytes; /* ciphertext and tag */
    uint8_t kind, priority;
    bool is_padded;
};

/* is_plain: the framing of what is not sealed, "SQP" 01 in front: the same layout, with key id,
   salt, commitment and tag zero, and the plaintext where the ciphertext is. */
void sqi_header_encode(const struct sqi_header *header, bool is_plain,
                       uint8_t ret_bytes[SQI_HEADER_BYTES]);

/* SQ_OK, or SQ_EFORMAT for whatever can be seen to be wrong without a key; SQ_ENOKEY for a sealed
   envelope where a plain one is looked for. */
int sqi_header_decode(const uint8_t *envelope, size_t envelope_bytes, sq_kind kind, bool is_plain,
                      struct sqi_header *ret_header);

/* The size that padding brings a plaintext of this size to (Padmé: Nikitin et al., "Reducing
   Metadata Leakage from Encrypted Files and Communication with PURBs", 2019). */
size_t sqi_padme(size_t bytes);

/* SQ_OK or SQ_EINVAL: the limits, and whether the headers are well formed. Then the sizes. */
int sqi_content_check(const sq_content *content);
size_t sqi_content_headers_bytes(const sq_content *content);
size_t sqi_content_plain_bytes(const sq_content *content); /* padding included */

/* Writes the prelude and the headers; returns how many bytes. */
size_t sqi_content_encode(const sq_content *content, uint8_t *ret_bytes);

/* Takes a decrypted plaintext apart: SQ_OK, or SQ_EFORMAT when the sizes inside lie, padding is
   not as it must be, or the headers are not well formed. Sets body and headers of ret_opened. */
int sqi_plain_decode(const uint8_t *plain, size_t plain_bytes, bool is_padded,
                     sq_opened *ret_opened);

#endif
