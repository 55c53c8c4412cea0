/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/format.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "base/check.h"
#include "base/error.h"

/* ── integers ─────────────────────────────────────────────────────────────────────────────── */

static void put_u16(uint8_t *bytes, uint16_t value)
{
    value = htobe16(value);
    memcpy(bytes, &value, sizeof value);
}

static void put_u32(uint8_t *bytes, uint32_t value)
{
    value = htobe32(value);
    memcpy(bytes, &value, sizeof value);
}

static void put_u64(uint8_t *bytes, uint64_t value)
{
    value = htobe64(value);
    memcpy(bytes, &value, sizeof value);
}

static uint16_t get_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t get_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return be32toh(value);
}

static uint64_t get_u64(const uint8_t *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return be64toh(value);
}

/* ── the header in front ──────────────────────────────────────────────────────────────────── */

static const uint8_t sealed_magic[4] = {'S', 'Q', 'E', 1}, plain_magic[4] = {'S', 'Q', 'P', 1};
#define FLAG_PADDED 1

void sqi_header_encode(const struct sqi_header *header, bool is_plain,
                       uint8_t ret_bytes[SQI_HEADER_BYTES])
{
    memcpy(ret_bytes, is_plain ? plain_magic : sealed_magic, sizeof sealed_magic);
    ret_bytes[4] = header->kind;
    ret_bytes[5] = header->is_padded ? FLAG_PADDED : 0;
    ret_bytes[6] = header->priority;
    ret_bytes[7] = 0;
    memcpy(ret_bytes + 8, header->key_id, SQI_KEY_ID_BYTES);
    memcpy(ret_bytes + 16, header->salt, SQI_SALT_BYTES);
    put_u32(ret_bytes + 40, header->seq);
    put_u64(ret_bytes + 44, header->created_ns);
    put_u64(ret_bytes + 52, header->not_before_ms);
    put_u64(ret_bytes + 60, header->expires_ms);
    memcpy(ret_bytes + 68, header->dedupe_id, SQI_DEDUPE_ID_BYTES);
    memcpy(ret_bytes + 84, header->commitment, SQI_COMMITMENT_BYTES);
    put_u32(ret_bytes + 116, header->rest_bytes);
}

int sqi_header_decode(const uint8_t *envelope, size_t envelope_bytes, sq_kind kind, bool is_plain,
                      struct sqi_header *ret_header)
{
    const uint8_t *magic = is_plain ? plain_magic : sealed_magic;
    if (envelope_bytes < SQI_ENVELOPE_BYTES_MIN)
        return sqi_fail_with(SQ_EFORMAT, "%zu bytes are too few for an envelope", envelope_bytes);
    if (is_plain && memcmp(envelope, sealed_magic, 3) == 0)
        return sqi_fail_with(SQ_ENOKEY, "this is sealed, and there is no keyring");
    if (memcmp(envelope, magic, 3) != 0)
        return sqi_fail_with(SQ_EFORMAT, "this is no sealed envelope");
    if (envelope[3] != magic[3])
        return sqi_fail_with(SQ_EFORMAT, "the envelope's version is %d, not 1", envelope[3]);
    if (kind < SQ_KIND_MESSAGE || kind > SQ_KIND_CANARY || envelope[4] != kind)
        return sqi_fail_with(SQ_EFORMAT, "the envelope's kind is %d, not %d", envelope[4], kind);
    if ((envelope[5] & ~FLAG_PADDED) || envelope[7] != 0)
        return sqi_fail_with(SQ_EFORMAT, "reserved bits of the envelope are set");
    if (get_u32(envelope + 116) != envelope_bytes - SQI_HEADER_BYTES)
        return sqi_fail_with(SQ_EFORMAT, "the envelope's size is not what it says");
    *ret_header = (struct sqi_header){
        .kind = envelope[4],
        .is_padded = envelope[5] & FLAG_PADDED,
        .priority = envelope[6],
        .key_id = envelope + 8,
        .salt = envelope + 16,
        .seq = get_u32(envelope + 40),
        .created_ns = get_u64(envelope + 44),
        .not_before_ms = get_u64(envelope + 52),
        .expires_ms = get_u64(envelope + 60),
        .dedupe_id = envelope + 68,
        .commitment = envelope + 84,
        .rest_bytes = get_u32(envelope + 116),
    };
    return SQ_OK;
}

/* ── what is inside ───────────────────────────────────────────────────────────────────────── */

size_t sqi_padme(size_t bytes)
{
    if (bytes < 2)
        return bytes;
    unsigned exponent = 63 - (unsigned)__builtin_clzll(bytes);
    unsigned kept = exponent == 0 ? 1 : 32 - (unsigned)__builtin_clz(exponent);
    if (kept >= exponent)
        return bytes;
    size_t mask = ((size_t)1 << (exponent - kept)) - 1;
    return (bytes + mask) & ~mask;
}

#define HEADER_BYTES_MIN 4 /* sizes of name and value, a name of one byte */

static int check_header(const sq_header *header)
{
    if (!header->name || header->name_bytes < 1 || header->name_bytes > UINT8_MAX)
        return sqi_fail_with(SQ_EINVAL, "a header's name must have 1 to 255 bytes");
    if ((!header->value && header->value_bytes > 0) || header->value_bytes > UINT16_MAX)
        return sqi_fail_with(SQ_EINVAL, "a header's value may have at most 65535 bytes");
    return SQ_OK;
}

static bool same_name(const sq_header *a, const sq_header *b)
{
    return a->name_bytes == b->name_bytes && memcmp(a->name, b->name, a->name_bytes) == 0;
}

static int check_headers(const sq_content *content)
{
    if (content->header_count > SQ_HEADERS_BYTES_MAX / HEADER_BYTES_MIN)
        return sqi_fail_with(SQ_EINVAL, "%zu headers are too many", content->header_count);
    for (size_t i = 0; i < content->header_count; i++) {
        int result = check_header(&content->headers[i]);
        if (result < 0)
            return result;
        for (size_t j = 0; j < i; j++)
            if (same_name(&content->headers[i], &content->headers[j]))
                return sqi_fail_with(SQ_EINVAL, "the header %.*s comes twice",
                                     (int)content->headers[i].name_bytes, content->headers[i].name);
    }
    if (sqi_content_headers_bytes(content) > SQ_HEADERS_BYTES_MAX)
        return sqi_fail_with(SQ_EINVAL, "the headers have more than %d bytes",
                             SQ_HEADERS_BYTES_MAX);
    return SQ_OK;
}

int sqi_content_check(const sq_content *content)
{
    if ((!content->body && content->body_bytes > 0) ||
        (!content->headers && content->header_count > 0) ||
        (!content->dedupe_key && content->dedupe_key_bytes > 0))
        return sqi_fail_with(SQ_EINVAL, "a size is not 0 where the pointer is NULL");
    if (content->body_bytes > SQ_BODY_BYTES_MAX)
        return sqi_fail_with(SQ_EINVAL, "the body has %zu bytes: the most is %d",
                             content->body_bytes, SQ_BODY_BYTES_MAX);
    int result = content->header_count > 0 ? check_headers(content) : SQ_OK;
    if (result < 0)
        return result;
    return sqi_check_reserved(content->reserved, sizeof content->reserved, "sq_content");
}

size_t sqi_content_headers_bytes(const sq_content *content)
{
    size_t bytes = 0;
    for (size_t i = 0; i < content->header_count; i++)
        bytes += 1 + content->headers[i].name_bytes + 2 + content->headers[i].value_bytes;
    return bytes;
}

size_t sqi_content_plain_bytes(const sq_content *content)
{
    size_t bytes = SQI_PRELUDE_BYTES + sqi_content_headers_bytes(content) + content->body_bytes;
    return content->is_padded ? sqi_padme(bytes) : bytes;
}

size_t sqi_content_encode(const sq_content *content, uint8_t *ret_bytes)
{
    uint8_t *at = ret_bytes + SQI_PRELUDE_BYTES;
    for (size_t i = 0; i < content->header_count; i++) {
        const sq_header *header = &content->headers[i];
        *at++ = (uint8_t)header->name_bytes;
        memcpy(at, header->name, header->name_bytes);
        at += header->name_bytes;
        put_u16(at, (uint16_t)header->value_bytes);
        at += 2;
        if (header->value_bytes > 0)
            memcpy(at, header->value, header->value_bytes);
        at += header->value_bytes;
    }
    put_u32(ret_bytes, (uint32_t)(at - ret_bytes - SQI_PRELUDE_BYTES));
    put_u32(ret_bytes + 4, (uint32_t)content->body_bytes);
    return (size_t)(at - ret_bytes);
}

/* The header at *cursor, which is moved behind it; false when it is not well formed. */
static bool next_header(const uint8_t *headers, size_t headers_bytes, size_t *cursor,
                        sq_header *ret_header)
{
    size_t left = headers_bytes - *cursor;
    const uint8_t *at = headers + *cursor;
    if (left < 1 || at[0] == 0 || left < 1u + at[0] + 2u)
        return false;
    size_t name_bytes = at[0], value_bytes = get_u16(at + 1 + name_bytes);
    size_t bytes = 1 + name_bytes + 2 + value_bytes;
    if (left < bytes)
        return false;
    *ret_header = (sq_header){
        .name = (const char *)at + 1,
        .name_bytes = name_bytes,
        .value = (const char *)at + 1 + name_bytes + 2,
        .value_bytes = value_bytes,
    };
    *cursor += bytes;
    return true;
}

/* Well formed, and no name twice. Messages have a handful: comparing each with all before it needs
   no memory. */
static bool are_headers(const uint8_t *headers, size_t headers_bytes)
{
    sq_header header, earlier;
    for (size_t cursor = 0; cursor < headers_bytes;) {
        size_t start = cursor;
        if (!next_header(headers, headers_bytes, &cursor, &header))
            return false;
        for (size_t before = 0; before < start;)
            if (next_header(headers, headers_bytes, &before, &earlier) &&
                same_name(&earlier, &header))
                return false;
    }
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    uint8_t all = 0;
    for (size_t i = 0; i < count; i++)
        all |= bytes[i];
    return all == 0;
}

int sqi_plain_decode(const uint8_t *plain, size_t plain_bytes, bool is_padded,
                     sq_opened *ret_opened)
{
    assert(plain_bytes >= SQI_PRELUDE_BYTES);
    uint64_t headers_bytes = get_u32(plain), body_bytes = get_u32(plain + 4);
    uint64_t used = SQI_PRELUDE_BYTES + headers_bytes + body_bytes; /* 64 bits: cannot overflow */
    if (used > plain_bytes || headers_bytes > SQ_HEADERS_BYTES_MAX ||
        body_bytes > SQ_BODY_BYTES_MAX || plain_bytes != (is_padded ? sqi_padme(used) : used))
        return sqi_fail_with(SQ_EFORMAT, "the sizes inside the envelope are wrong");
    if (!is_zero(plain + used, plain_bytes - used))
        return sqi_fail_with(SQ_EFORMAT, "the envelope's padding is not zero");
    if (!are_headers(plain + SQI_PRELUDE_BYTES, headers_bytes))
        return sqi_fail_with(SQ_EFORMAT, "the headers inside the envelope are malformed");
    ret_opened->headers = plain + SQI_PRELUDE_BYTES;
    ret_opened->headers_bytes = headers_bytes;
    ret_opened->body = plain + SQI_PRELUDE_BYTES + headers_bytes;
    ret_opened->body_bytes = body_bytes;
    return SQ_OK;
}

int sq_opened_header(const sq_opened *opened, size_t *cursor, sq_header *ret_header)
{
    if (!opened || !cursor || !ret_header || *cursor > opened->headers_bytes)
        return sqi_fail_with(SQ_EINVAL, "opened, cursor or ret_header is wrong");
    if (*cursor == opened->headers_bytes)
        return 0;
    if (!next_header(opened->headers, opened->headers_bytes, cursor, ret_header))
        return sqi_fail_with(SQ_EINVAL, "the cursor is not one that sq_opened_header() left");
    return 1;
}
