/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     sealq-keyring 1
 *     STATE ID CREATED SCOPE KEY[ COMMENT]        one line a key; SCOPE - or channel:NAME
 *     checksum SHA256                             of all lines before
 *
 * One space between fields, one line feed behind each line, nothing else: a file that a tool or an
 * editor has changed is refused rather than guessed at. The text is read without copying it, so no
 * secret is left behind anywhere but in the keyring and in the text itself.
 */
#include "seal/keyring_text.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/text.h"

#define FIRST_LINE "sealq-keyring 1\n"
#define FIRST_WORD "sealq-keyring "
#define CHECKSUM_WORD "checksum "
#define CHECKSUM_BYTES 32
#define CHECKSUM_LINE_BYTES (sizeof CHECKSUM_WORD - 1 + 2 * CHECKSUM_BYTES + 1)
#define DATE_FORMAT "%Y-%m-%dT%H:%M:%SZ"
#define DATE_BYTES 20
#define CHANNEL_WORD "channel:"

/* The most bytes a key's line can have. */
#define LINE_BYTES_MAX                                                                             \
    (8 + 1 + SQ_KEY_ID_BYTES + DATE_BYTES + 1 + sizeof CHANNEL_WORD + SQ_CHANNEL_NAME_BYTES_MAX +  \
     1 + 2 * SQI_KEY_BYTES + 1 + SQ_KEY_COMMENT_BYTES_MAX + 1)

static const char *const state_names[] = {
    [SQ_KEY_PRIMARY] = "primary",
    [SQ_KEY_ACCEPTED] = "accepted",
    [SQ_KEY_RETIRED] = "retired",
};

const char *sqi_key_state_name(sq_key_state state)
{
    return state_names[state];
}

static bool checksum(const char *text, size_t bytes, uint8_t ret_checksum[CHECKSUM_BYTES])
{
    return EVP_Digest(text, bytes, ret_checksum, NULL, EVP_sha256(), NULL) == 1;
}

/* ── reading ──────────────────────────────────────────────────────────────────────────────── */

/* What is being read: at goes forward, and a field that is not well formed makes it wrong. */
struct reader {
    const char *at;
    const char *wrong; /* what was expected; NULL while all is well */
};

/* Moves over what is expected to be there. */
static void read_word(struct reader *reader, const char *word)
{
    size_t bytes = strlen(word);
    if (!reader->wrong && strncmp(reader->at, word, bytes) == 0)
        reader->at += bytes;
    else if (!reader->wrong)
        reader->wrong = "one space between fields";
}

static void read_state(struct reader *reader, sq_key_state *ret_state)
{
    for (sq_key_state state = SQ_KEY_PRIMARY; state <= SQ_KEY_RETIRED; state++) {
        size_t bytes = strlen(state_names[state]);
        if (strncmp(reader->at, state_names[state], bytes) == 0) {
            reader->at += bytes;
            *ret_state = state;
            return;
        }
    }
    reader->wrong = "primary, accepted or retired";
}

static void read_hex(struct reader *reader, size_t byte_count, uint8_t *ret_bytes,
                     const char *expected)
{
    if (reader->wrong)
        return;
    if (sqi_hex_decode(reader->at, byte_count, ret_bytes))
        reader->at += 2 * byte_count;
    else
        reader->wrong = expected;
}

static void read_date(struct reader *reader, int64_t *ret_created_s)
{
    struct tm date = {0};
    char again[DATE_BYTES + 1];
    if (reader->wrong)
        return;
    const char *end = strptime(reader->at, DATE_FORMAT, &date);
    /* strptime takes " 5" for "05" and 31 February: only what it would print is a date. */
    int64_t created_s = end ? timegm(&date) : 0;
    if (!end || end != reader->at + DATE_BYTES || !gmtime_r(&created_s, &date) ||
        strftime(again, sizeof again, DATE_FORMAT, &date) != DATE_BYTES ||
        memcmp(again, reader->at, DATE_BYTES) != 0) {
        reader->wrong = "a date such as 2026-01-31T23:59:59Z";
        return;
    }
    reader->at = end;
    *ret_created_s = created_s;
}

static void read_scope(struct reader *reader, char *ret_channel)
{
    if (reader->wrong)
        return;
    if (reader->at[0] == '-') {
        reader->at++;
        return;
    }
    size_t word_bytes = sizeof CHANNEL_WORD - 1, bytes = 0;
    if (strncmp(reader->at, CHANNEL_WORD, word_bytes) == 0)
        bytes = strcspn(reader->at + word_bytes, " \n");
    if (bytes > 0 && bytes <= SQ_CHANNEL_NAME_BYTES_MAX)
        memcpy(ret_channel, reader->at + word_bytes, bytes);
    if (sqi_is_channel_name(ret_channel))
        reader->at += word_bytes + bytes;
    else
        reader->wrong = "- or channel:NAME";
}

static void read_comment(struct reader *reader, char *ret_comment)
{
    if (reader->wrong || reader->at[0] == '\n')
        return;
    read_word(reader, " ");
    size_t bytes = reader->wrong ? 0 : strcspn(reader->at, "\n");
    if (bytes > 0 && bytes <= SQ_KEY_COMMENT_BYTES_MAX)
        memcpy(ret_comment, reader->at, bytes);
    if (!reader->wrong && (!ret_comment[0] || !sqi_is_comment(ret_comment)))
        reader->wrong = "a comment of at most 100 printable bytes, without a space at its ends";
    reader->at += bytes;
}

static void read_key(struct reader *reader, struct sqi_key *key)
{
    read_state(reader, &key->info.state);
    read_word(reader, " ");
    read_hex(reader, SQI_KEY_ID_BYTES, key->id, "a key id of 16 digits 0-9a-f");
    read_word(reader, " ");
    read_date(reader, &key->info.created_s);
    read_word(reader, " ");
    read_scope(reader, key->info.channel);
    read_word(reader, " ");
    read_hex(reader, SQI_KEY_BYTES, key->bytes, "a key of 64 digits 0-9a-f");
    read_comment(reader, key->info.comment);
    read_word(reader, "\n");
    sqi_key_id_text(key->id, key->info.id);
}

/* What is wrong with a key beside those before it; NULL: nothing. A channel key's id cannot be
   checked: it is that of the master key it came from. */
static const char *misfit(const sq_keyring *keyring, const struct sqi_key *key,
                          struct sqi_schedule *schedule)
{
    uint8_t id[SQI_KEY_ID_BYTES];
    if (!key->info.channel[0] &&
        (sqi_derive_key_id(schedule, key->bytes, id) < 0 || memcmp(id, key->id, sizeof id) != 0))
        return "the key has another id";
    for (const struct sqi_key *other = keyring->keys; other < key; other++) {
        if (strcmp(other->info.channel, key->info.channel) != 0)
            continue;
        if (memcmp(other->id, key->id, sizeof id) == 0)
            return "the key is there twice";
        if (other->info.state == SQ_KEY_PRIMARY && key->info.state == SQ_KEY_PRIMARY)
            return "there are two primary keys";
    }
    return NULL;
}

static int parse_keys(sq_keyring *keyring, struct reader reader, const char *end, const char *name,
                      struct sqi_schedule *schedule)
{
    for (size_t line = 2; reader.at < end; line++) {
        struct sqi_key *key = &keyring->keys[keyring->key_count];
        assert(keyring->key_count < keyring->room);
        read_key(&reader, key);
        const char *wrong = reader.wrong ? reader.wrong : misfit(keyring, key, schedule);
        if (wrong)
            return sqi_fail_with(SQ_EKEYRING, "%s, line %zu: %s%s: restore it from a copy", name,
                                 line, reader.wrong ? "expected " : "", wrong);
        keyring->key_count++;
    }
    return SQ_OK;
}

/* The frame: first line, checksum, and how many lines there are between. */
static int check_frame(const char *text, size_t bytes, const char *name, size_t *ret_key_count)
{
    static const size_t first_bytes = sizeof FIRST_LINE - 1;
    uint8_t found[CHECKSUM_BYTES], expected[CHECKSUM_BYTES];
    if (strlen(text) != bytes || strncmp(text, FIRST_WORD, sizeof FIRST_WORD - 1) != 0)
        return sqi_fail_with(SQ_EKEYRING,
                             "%s is no keyring: name another file, or make one with "
                             "sealq key new",
                             name);
    if (strchr(text, '\n') && strncmp(text, FIRST_LINE, first_bytes) != 0)
        return sqi_fail_with(SQ_EVERSION, "%s was made by a newer sealq: use that one", name);
    bool has_room = bytes >= first_bytes + CHECKSUM_LINE_BYTES;
    const char *last = has_room ? text + bytes - CHECKSUM_LINE_BYTES : text;
    if (!has_room || last[-1] != '\n' || text[bytes - 1] != '\n' ||
        strncmp(last, CHECKSUM_WORD, sizeof CHECKSUM_WORD - 1) != 0 ||
        !sqi_hex_decode(last + sizeof CHECKSUM_WORD - 1, CHECKSUM_BYTES, found))
        return sqi_fail_with(SQ_EKEYRING, "%s is cut short: restore it from a copy", name);
    if (!checksum(text, (size_t)(last - text), expected))
        return sqi_fail(SQ_ECRYPTO);
    if (memcmp(found, expected, CHECKSUM_BYTES) != 0)
        return sqi_fail_with(SQ_EKEYRING,
                             "%s is damaged, its checksum is wrong: restore it from a copy", name);
    for (const char *at = text + first_bytes; at < last; at++)
        *ret_key_count += *at == '\n';
    return *ret_key_count <= SQ_KEYRING_KEYS_MAX
               ? SQ_OK
               : sqi_fail_with(SQ_EKEYRING, "%s has %zu keys, the most is %d", name, *ret_key_count,
                               SQ_KEYRING_KEYS_MAX);
}

int sqi_keyring_parse(const char *text, size_t text_bytes, const char *name, size_t more_room,
                      sq_keyring **ret_keyring)
{
    size_t key_count = 0;
    int result = check_frame(text, text_bytes, name, &key_count);
    if (result < 0)
        return result;
    size_t room = key_count + more_room;
    sq_keyring *keyring = sqi_keyring_new(room < SQ_KEYRING_KEYS_MAX ? room : SQ_KEYRING_KEYS_MAX);
    struct sqi_schedule *schedule = sqi_schedule_new();
    if (!keyring || !schedule)
        result = sqi_fail_with(SQ_ENOMEM, "no secure memory is left for the keyring");
    else
        result = parse_keys(keyring, (struct reader){.at = text + sizeof FIRST_LINE - 1},
                            text + text_bytes - CHECKSUM_LINE_BYTES, name, schedule);
    sqi_schedule_free(schedule);
    if (result == SQ_OK)
        *ret_keyring = keyring;
    else
        sq_keyring_free(keyring);
    return result;
}

/* ── writing ──────────────────────────────────────────────────────────────────────────────── */

static char *print_key(char *at, const struct sqi_key *key)
{
    struct tm date;
    at += sprintf(at, "%s %s ", state_names[key->info.state], key->info.id);
    gmtime_r(&key->info.created_s, &date);
    at += strftime(at, DATE_BYTES + 1, DATE_FORMAT, &date);
    at += sprintf(at, " %s%s ", key->info.channel[0] ? CHANNEL_WORD : "-", key->info.channel);
    /* The secret goes straight to its place: printf would buffer it elsewhere. */
    sqi_hex_encode(key->bytes, SQI_KEY_BYTES, at);
    at += 2 * SQI_KEY_BYTES;
    return at + sprintf(at, "%s%s\n", key->info.comment[0] ? " " : "", key->info.comment);
}

int sqi_keyring_print(const sq_keyring *keyring, char **ret_text, size_t *ret_bytes,
                      size_t *ret_room)
{
    size_t room = sizeof FIRST_LINE + keyring->key_count * LINE_BYTES_MAX + CHECKSUM_LINE_BYTES + 1;
    uint8_t sum[CHECKSUM_BYTES];
    char *text = sqi_secret_new(room), *at = text;
    if (!text)
        return sqi_fail_with(SQ_ENOMEM, "no secure memory is left for the keyring");
    at += sprintf(at, FIRST_LINE);
    for (size_t i = 0; i < keyring->key_count; i++)
        at = print_key(at, &keyring->keys[i]);
    int result = checksum(text, (size_t)(at - text), sum) ? SQ_OK : sqi_fail(SQ_ECRYPTO);
    at += sprintf(at, CHECKSUM_WORD);
    sqi_hex_encode(sum, CHECKSUM_BYTES, at);
    at += 2 * CHECKSUM_BYTES;
    at += sprintf(at, "\n");
    if (result == SQ_OK && at - text > SQ_KEYRING_BYTES_MAX)
        result = sqi_fail_with(SQ_EFULL, "the keyring would have more than %d bytes: remove a key",
                               SQ_KEYRING_BYTES_MAX);
    if (result < 0) {
        sqi_secret_free(text, room);
        return result;
    }
    *ret_text = text;
    *ret_bytes = (size_t)(at - text);
    *ret_room = room;
    return SQ_OK;
}
