/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of sealing share: keyrings made of given bytes, envelopes, and the hook. */
#ifndef SQT_SEALING_H
#define SQT_SEALING_H

#include <string.h>

#include "seal/keyring.h"
#include "seal/opener.h"
#include "seal/sealer.h"
#include "testing.h"

#define ROOM 4096

/* Adds a master key of 32 equal bytes, in this state. */
static inline struct sqi_key *add_key(sq_keyring *keyring, uint8_t byte, sq_key_state state)
{
    struct sqi_schedule *schedule = sqi_schedule_new();
    struct sqi_key *key = &keyring->keys[keyring->key_count++];
    assert_non_null(schedule);
    memset(key->bytes, byte, SQI_KEY_BYTES);
    assert_int_equal(sqi_derive_key_id(schedule, key->bytes, key->id), SQ_OK);
    sqi_key_id_text(key->id, key->info.id);
    key->info.state = state;
    sqi_schedule_free(schedule);
    return key;
}

static inline sq_keyring *make_keyring(void)
{
    sq_keyring *keyring = sqi_keyring_new(4);
    assert_non_null(keyring);
    add_key(keyring, 1, SQ_KEY_PRIMARY);
    return keyring;
}

static inline sq_sealer *make_sealer(const sq_keyring *keyring, const char *channel)
{
    sq_sealer *sealer = NULL;
    assert_int_equal(sq_sealer_create(keyring, channel, SQ_KIND_MESSAGE, &sealer), SQ_OK);
    return sealer;
}

static inline sq_opener *make_opener(const sq_keyring *keyring)
{
    sq_opener *opener = NULL;
    assert_int_equal(sq_opener_create(keyring, &opener), SQ_OK);
    return opener;
}

static inline size_t seal_text(sq_sealer *sealer, const char *text, uint8_t *envelope)
{
    sq_content content = {.body = text, .body_bytes = strlen(text)};
    ssize_t bytes = sq_seal(sealer, &content, envelope, ROOM);
    assert_int_equal(bytes, SQ_ENVELOPE_OVERHEAD_BYTES + strlen(text));
    return (size_t)bytes;
}

/* Opens on the channel; the result, with nothing written to ret_opened unless it is SQ_OK. */
static inline int open_on(sq_opener *opener, const char *channel, const uint8_t *envelope,
                          size_t bytes)
{
    uint8_t plain[2 * ROOM];
    sq_opened opened = {.body_bytes = 4242};
    memset(plain, 0xee, sizeof plain);
    int result = sq_open(opener, channel, SQ_KIND_MESSAGE, envelope, bytes, plain, sizeof plain,
                         &opened);
    if (result != SQ_OK) {
        assert_int_equal(opened.body_bytes, 4242);
        for (size_t i = 0; i < sizeof plain; i++) /* no plaintext is left */
            assert_true(plain[i] == 0xee || plain[i] == 0);
    }
    return result;
}

#endif
