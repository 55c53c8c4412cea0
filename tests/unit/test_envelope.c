/* SPDX-License-Identifier: Apache-2.0 */
/* Envelopes: what opens, what does not, and what the limits are. Known answers: test_vectors.c. */
#include "seal/cipher.h"
#include "seal/format.h"
#include "sealing.h"

/* ── every bit, every length ──────────────────────────────────────────────────────────────── */

static size_t make_envelope(sq_sealer *sealer, unsigned which, uint8_t *envelope)
{
    sq_header headers[] = {{"a", "1", 1, 1}, {"content-type", "text/plain", 12, 10}};
    sq_content content = {.body = "a body of some bytes", .body_bytes = 20};
    if (which == 1) {
        content.headers = headers;
        content.header_count = 2;
        content.dedupe_key = "order/42";
        content.dedupe_key_bytes = 8;
    }
    content.is_padded = which == 2;
    ssize_t bytes = sq_seal(sealer, &content, envelope, ROOM);
    assert_true(bytes > 0);
    return (size_t)bytes;
}

static void put_size(uint8_t *envelope, size_t bytes)
{
    uint32_t rest = (uint32_t)(bytes - SQI_HEADER_BYTES);
    for (int i = 0; i < 4; i++)
        envelope[116 + i] = (uint8_t)(rest >> (24 - 8 * i));
}

/* Refused, whichever way; and the opener goes on working. */
static void assert_refuses(sq_opener *opener, const uint8_t *envelope, size_t bytes)
{
    int result = open_on(opener, "emails", envelope, bytes);
    assert_true(result == SQ_EAUTH || result == SQ_EFORMAT || result == SQ_ENOKEY);
}

static void mutate(sq_opener *opener, uint8_t *envelope, size_t bytes)
{
    for (size_t bit = 0; bit < 8 * bytes; bit++) {
        envelope[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_refuses(opener, envelope, bytes);
        envelope[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    uint8_t changed[ROOM + 64] = {0};
    for (size_t length = 0; length < bytes + 64; length++) {
        if (length == bytes)
            continue;
        memset(changed, 0, sizeof changed);
        memcpy(changed, envelope, length < bytes ? length : bytes);
        assert_refuses(opener, changed, length);
        if (length >= SQI_HEADER_BYTES) {
            put_size(changed, length); /* the size mended */
            assert_refuses(opener, changed, length);
        }
    }
    assert_int_equal(open_on(opener, "emails", envelope, bytes), SQ_OK);
}

static void no_mutated_envelope_is_accepted(void **state)
{
    (void)state;
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails");
    for (unsigned which = 0; which < 3; which++) {
        uint8_t envelope[ROOM];
        size_t bytes = make_envelope(sealer, which, envelope);
        sq_opener *opener = make_opener(keyring);
        mutate(opener, envelope, bytes); /* first with no session cached, then with this one */
        assert_int_equal(sqi_opener_session_count(opener), 1);
        mutate(opener, envelope, bytes);
        assert_int_equal(sqi_opener_session_count(opener), 1);
        sq_opener_free(opener);
    }
    sq_sealer_free(sealer);
    sq_keyring_free(keyring);
}

/* Changes the commitment of an envelope and tags it anew, as only a holder of the key can: the tag
   is right, so nothing but the comparison of commitments refuses it. */
static void forge_commitment(const sq_keyring *keyring, uint8_t *envelope, size_t bytes)
{
    struct sqi_schedule *schedule = sqi_schedule_new();
    struct sqi_session_keys keys;
    uint8_t channel_key[SQI_KEY_BYTES], *plain = envelope + SQI_HEADER_BYTES;
    size_t plain_bytes = bytes - SQI_HEADER_BYTES - SQI_TAG_BYTES;
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    assert_int_equal(
        sqi_derive_channel_key(schedule, keyring->keys[0].bytes, "emails", channel_key), SQ_OK);
    assert_int_equal(sqi_derive_session(schedule, channel_key, SQ_KIND_MESSAGE, envelope + 8,
                                        envelope + 16, &keys),
                     SQ_OK);
    assert_memory_equal(keys.commitment, envelope + 84, SQI_COMMITMENT_BYTES);
    assert_true(sqi_cipher_set_key(cipher, keys.key, false));
    assert_true(sqi_cipher_begin(cipher, envelope + SQI_NONCE_OFFSET, plain + plain_bytes, envelope,
                                 SQI_HEADER_BYTES));
    assert_true(sqi_cipher_update(cipher, plain, plain, plain_bytes));
    assert_true(sqi_cipher_end(cipher, NULL));
    envelope[84] ^= 1;
    assert_true(sqi_cipher_set_key(cipher, keys.key, true));
    assert_true(
        sqi_cipher_begin(cipher, envelope + SQI_NONCE_OFFSET, NULL, envelope, SQI_HEADER_BYTES));
    assert_true(sqi_cipher_update(cipher, plain, plain, plain_bytes));
    assert_true(sqi_cipher_end(cipher, plain + plain_bytes));
    EVP_CIPHER_CTX_free(cipher);
    sqi_schedule_free(schedule);
}

static void the_commitment_is_checked_on_new_and_on_cached_sessions(void **state)
{
    (void)state;
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails");
    sq_opener *opener = make_opener(keyring);
    uint8_t envelope[ROOM], forged[ROOM];
    size_t bytes = seal_text(sealer, "hello", envelope);
    memcpy(forged, envelope, bytes);
    forge_commitment(keyring, forged, bytes);
    assert_int_equal(open_on(opener, "emails", forged, bytes), SQ_EAUTH);
    assert_int_equal(sqi_opener_session_count(opener), 0);
    assert_int_equal(open_on(opener, "emails", envelope, bytes), SQ_OK);
    assert_int_equal(open_on(opener, "emails", forged, bytes), SQ_EAUTH);
    assert_string_equal(sq_last_error_detail(), sq_strerror(SQ_EAUTH)); /* one error for all */
    sq_opener_free(opener);
    sq_sealer_free(sealer);
    sq_keyring_free(keyring);
}

/* ── other keys, channels, kinds ──────────────────────────────────────────────────────────── */

static void old_envelopes_open_after_rotation_and_not_after_retirement_or_removal(void **state)
{
    (void)state;
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails");
    uint8_t old_envelope[ROOM], new_envelope[ROOM];
    size_t bytes = seal_text(sealer, "hello", old_envelope);
    sq_sealer_free(sealer);

    sq_keyring *rotated = sqi_keyring_new(2);
    add_key(rotated, 1, SQ_KEY_ACCEPTED);
    add_key(rotated, 2, SQ_KEY_PRIMARY);
    sq_opener *opener = make_opener(rotated);
    sealer = make_sealer(rotated, "emails");
    assert_int_equal(seal_text(sealer, "hello", new_envelope), bytes);
    assert_int_equal(open_on(opener, "emails", old_envelope, bytes), SQ_OK);
    assert_int_equal(open_on(opener, "emails", new_envelope, bytes), SQ_OK);
    assert_memory_not_equal(old_envelope + 8, new_envelope + 8, SQI_KEY_ID_BYTES);
    sq_opener_free(opener);
    sq_sealer_free(sealer);

    rotated->keys[0].info.state = SQ_KEY_RETIRED;
    opener = make_opener(rotated);
    assert_int_equal(open_on(opener, "emails", old_envelope, bytes), SQ_ERETIRED);
    assert_int_equal(open_on(opener, "emails", new_envelope, bytes), SQ_OK);
    sq_opener_free(opener);
    sq_keyring_free(rotated);

    opener = make_opener(keyring);
    assert_int_equal(open_on(opener, "emails", new_envelope, bytes), SQ_ENOKEY);
    sq_opener_free(opener);
    sq_keyring_free(keyring);
}

static void an_envelope_opens_on_its_channel_and_as_its_kind_only(void **state)
{
    (void)state;
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails");
    sq_opener *opener = make_opener(keyring);
    uint8_t envelope[ROOM], plain[ROOM];
    sq_opened opened;
    size_t bytes = seal_text(sealer, "hello", envelope);
    for (int cached = 0; cached <= 1; cached++) {
        assert_int_equal(open_on(opener, "sms", envelope, bytes), SQ_EAUTH);
        assert_int_equal(open_on(opener, "email", envelope, bytes), SQ_EAUTH);
        assert_int_equal(
            sq_open(opener, "emails", SQ_KIND_RECEIPT, envelope, bytes, plain, ROOM, &opened),
            SQ_EFORMAT);
        envelope[4] = SQ_KIND_RECEIPT;
        assert_int_equal(
            sq_open(opener, "emails", SQ_KIND_RECEIPT, envelope, bytes, plain, ROOM, &opened),
            SQ_EAUTH);
        envelope[4] = SQ_KIND_MESSAGE;
        assert_int_equal(open_on(opener, "emails", envelope, bytes), SQ_OK);
    }
    sq_opener_free(opener);
    sq_sealer_free(sealer);
    sq_keyring_free(keyring);
}

static void unsealed_downgraded_and_stripped_ones_are_refused(void **state)
{
    (void)state;
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails");
    sq_opener *opener = make_opener(keyring);
    uint8_t envelope[ROOM], other[ROOM];
    size_t bytes = seal_text(sealer, "hello", envelope);
    assert_int_equal(open_on(opener, "emails", (const uint8_t *)"hello", 5), SQ_EFORMAT);
    uint8_t plain[ROOM] = "plaintext that is long enough to be an envelope";
    assert_int_equal(open_on(opener, "emails", plain, 500), SQ_EFORMAT);
    assert_int_equal(
        open_on(opener, "emails", envelope + SQI_HEADER_BYTES, bytes - SQI_HEADER_BYTES),
        SQ_EFORMAT);
    envelope[3] = 0;
    assert_int_equal(open_on(opener, "emails", envelope, bytes), SQ_EFORMAT);
    envelope[3] = 1;
    /* the ciphertexts of two envelopes of one session exchanged */
    assert_int_equal(seal_text(sealer, "world", other), bytes);
    memcpy(other + SQI_HEADER_BYTES, envelope + SQI_HEADER_BYTES, bytes - SQI_HEADER_BYTES);
    assert_int_equal(open_on(opener, "emails", other, bytes), SQ_EAUTH);
    assert_int_equal(open_on(opener, "emails", envelope, bytes), SQ_OK);
    sq_opener_free(opener);
    sq_sealer_free(sealer);
    sq_keyring_free(keyring);
}

static void a_channel_key_seals_and_opens_its_channel_and_no_other(void **state)
{
    (void)state;
    sq_keyring *master = make_keyring(), *part = sqi_keyring_new(1);
    struct sqi_schedule *schedule = sqi_schedule_new();
    struct sqi_key *key = &part->keys[part->key_count++];
    *key = master->keys[0];
    strcpy(key->info.channel, "emails");
    assert_int_equal(sqi_derive_channel_key(schedule, master->keys[0].bytes, "emails", key->bytes),
                     SQ_OK);
    sqi_schedule_free(schedule);
    sq_sealer *of_master = make_sealer(master, "emails"), *of_part = make_sealer(part, "emails");
    sq_sealer *elsewhere = make_sealer(master, "sms"), *none = NULL;
    sq_opener *master_opener = make_opener(master), *part_opener = make_opener(part);
    uint8_t envelope[ROOM];
    size_t bytes = seal_text(of_master, "hello", envelope);
    assert_int_equal(open_on(part_opener, "emails", envelope, bytes), SQ_OK);
    seal_text(of_part, "hello", envelope);
    assert_int_equal(open_on(master_opener, "emails", envelope, bytes), SQ_OK);
    seal_text(elsewhere, "hello", envelope);
    assert_int_equal(open_on(part_opener, "sms", envelope, bytes), SQ_ENOKEY);
    assert_int_equal(sq_sealer_create(part, "sms", SQ_KIND_MESSAGE, &none), SQ_ENOKEY);
    assert_null(none);
    sq_sealer_free(of_master);
    sq_sealer_free(of_part);
    sq_sealer_free(elsewhere);
    sq_opener_free(master_opener);
    sq_opener_free(part_opener);
    sq_keyring_free(part);
    sq_keyring_free(master);
}

/* ── limits and arguments ─────────────────────────────────────────────────────────────────── */

static void bodies_of_all_sizes_come_out_as_they_went_in(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 15, 16, 17, 4095, 4096, 4097, 65536, SQ_BODY_BYTES_MAX};
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails");
    sq_opener *opener = make_opener(keyring);
    size_t room = (size_t)SQ_BODY_BYTES_MAX * 112 / 100 + ROOM;
    uint8_t *body = malloc(room), *envelope = malloc(room), *plain = malloc(room);
    for (size_t i = 0; i < SQ_BODY_BYTES_MAX; i++)
        body[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++) {
        sq_content content = {.body = body, .body_bytes = sizes[i / 2], .is_padded = i % 2};
        sq_opened opened;
        size_t expected = sq_sealed_bytes(&content);
        assert_true(expected >= sizes[i / 2] + SQ_ENVELOPE_OVERHEAD_BYTES);
        assert_int_equal(sq_seal(sealer, &content, envelope, expected), expected);
        assert_int_equal(sq_seal(sealer, &content, envelope, expected - 1), SQ_EINVAL);
        assert_int_equal(
            sq_open(opener, "emails", SQ_KIND_MESSAGE, envelope, expected, plain, room, &opened),
            SQ_OK);
        assert_int_equal(opened.body_bytes, sizes[i / 2]);
        assert_memory_equal(opened.body, body, sizes[i / 2]);
        assert_int_equal(opened.is_padded, i % 2);
    }
    sq_content content = {.body = body, .body_bytes = SQ_BODY_BYTES_MAX + 1};
    assert_int_equal(sq_sealed_bytes(&content), 0);
    assert_int_equal(sq_seal(sealer, &content, envelope, room), SQ_EINVAL);
    free(body);
    free(envelope);
    free(plain);
    sq_opener_free(opener);
    sq_sealer_free(sealer);
    sq_keyring_free(keyring);
}

static void headers_have_limits(void **state)
{
    (void)state;
    static char text[70000];
    memset(text, 'x', sizeof text);
    const struct {
        sq_header headers[2];
        size_t count;
        bool is_valid;
    } cases[] = {
        {{{text, text, 1, 0}}, 1, true},
        {{{text, text, 255, 100}}, 1, true},
        {{{text, text, 256, 1}}, 1, false},
        {{{text, text, 0, 1}}, 1, false},
        {{{NULL, text, 1, 1}}, 1, false},
        {{{text, NULL, 1, 1}}, 1, false},
        {{{text, NULL, 1, 0}}, 1, true},
        {{{text, text, 1, 65532}}, 1, true},                /* 65,536 in all */
        {{{text, text, 2, 65532}}, 1, false},               /* one more */
        {{{text, text, 1, 65536}}, 1, false},               /* over 16 bits */
        {{{text, "1", 3, 1}, {text, "2", 3, 1}}, 2, false}, /* the same name twice */
        {{{text, "1", 3, 1}, {text, "2", 4, 1}}, 2, true},  /* a prefix is another */
    };
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails");
    sq_opener *opener = make_opener(keyring);
    static uint8_t envelope[80000], plain[80000];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sq_content content = {.headers = cases[i].headers, .header_count = cases[i].count};
        ssize_t bytes = sq_seal(sealer, &content, envelope, sizeof envelope);
        assert_true((bytes > 0) == cases[i].is_valid);
        assert_true((sq_sealed_bytes(&content) > 0) == cases[i].is_valid);
        if (bytes < 0)
            continue;
        sq_opened opened;
        sq_header header;
        size_t cursor = 0, count = 0;
        assert_int_equal(sq_open(opener, "emails", SQ_KIND_MESSAGE, envelope, (size_t)bytes, plain,
                                 sizeof plain, &opened),
                         SQ_OK);
        while (sq_opened_header(&opened, &cursor, &header) == 1)
            assert_int_equal(header.name_bytes, cases[i].headers[count++].name_bytes);
        assert_int_equal(count, cases[i].count);
    }
    sq_opener_free(opener);
    sq_sealer_free(sealer);
    sq_keyring_free(keyring);
}

static void padding_that_is_not_zero_is_malformed(void **state)
{
    (void)state;
    uint8_t plain[18] = {0, 0, 0, 0, 0, 0, 0, 9, 'n', 'i', 'n', 'e'}; /* 17 bytes, padded to 18 */
    sq_opened opened = {0};
    assert_int_equal(sqi_plain_decode(plain, sizeof plain, true, &opened), SQ_OK);
    assert_int_equal(opened.body_bytes, 9);
    plain[17] = 1;
    assert_int_equal(sqi_plain_decode(plain, sizeof plain, true, &opened), SQ_EFORMAT);
    plain[17] = 0;
    assert_int_equal(sqi_plain_decode(plain, sizeof plain, false, &opened), SQ_EFORMAT);
    assert_int_equal(sqi_plain_decode(plain, 17, true, &opened), SQ_EFORMAT);
    assert_int_equal(sqi_plain_decode(plain, 17, false, &opened), SQ_OK);
}

static void padme_sizes_are_those_of_its_paper(void **state)
{
    (void)state;
    static const size_t table[][2] = {{0, 0},       {1, 1},        {2, 2},       {8, 8},
                                      {9, 10},      {15, 16},      {16, 16},     {17, 18},
                                      {100, 104},   {1000, 1024},  {1025, 1088}, {4096, 4096},
                                      {4097, 4352}, {65537, 67584}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(sqi_padme(table[i][0]), table[i][1]);
    for (size_t bytes = 1; bytes < 100000; bytes++) {
        assert_true(sqi_padme(bytes) >= bytes);
        assert_true(sqi_padme(bytes) <= bytes + bytes * 12 / 100 + 1);
        assert_int_equal(sqi_padme(sqi_padme(bytes)), sqi_padme(bytes));
    }
}

static void wrong_arguments_are_refused_and_touch_nothing(void **state)
{
    (void)state;
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails"), *none = item(42);
    sq_opener *opener = make_opener(keyring), *no_opener = item(42);
    static const char *const wrong_names[] = {NULL, "", "a b", "-a", "_a", "a/b", "ä", "a\n"};
    char long_name[66] = {0};
    uint8_t envelope[ROOM], plain[ROOM];
    sq_opened opened;
    sq_content content = {.body = "x", .body_bytes = 1};
    memset(long_name, 'c', 65);
    for (size_t i = 0; i <= sizeof wrong_names / sizeof wrong_names[0]; i++) {
        bool is_last = i == sizeof wrong_names / sizeof wrong_names[0];
        const char *name = is_last ? long_name : wrong_names[i];
        assert_int_equal(sq_sealer_create(keyring, name, SQ_KIND_MESSAGE, &none), SQ_EINVAL);
        assert_int_equal(
            sq_open(opener, name, SQ_KIND_MESSAGE, envelope, ROOM, plain, ROOM, &opened),
            SQ_EINVAL);
    }
    assert_int_equal(sq_sealer_create(NULL, "a", SQ_KIND_MESSAGE, &none), SQ_EINVAL);
    assert_int_equal(sq_sealer_create(keyring, "a", (sq_kind)0, &none), SQ_EINVAL);
    assert_int_equal(sq_sealer_create(keyring, "a", (sq_kind)6, &none), SQ_EINVAL);
    assert_int_equal(sq_sealer_create(keyring, "a", SQ_KIND_MESSAGE, NULL), SQ_EINVAL);
    assert_int_equal(sq_opener_create(NULL, &no_opener), SQ_EINVAL);
    assert_int_equal(sq_opener_create(keyring, NULL), SQ_EINVAL);
    assert_ptr_equal(none, item(42));
    assert_ptr_equal(no_opener, item(42));
    assert_int_equal(sq_seal(NULL, &content, envelope, ROOM), SQ_EINVAL);
    assert_int_equal(sq_seal(sealer, NULL, envelope, ROOM), SQ_EINVAL);
    assert_int_equal(sq_seal(sealer, &content, NULL, ROOM), SQ_EINVAL);
    assert_int_equal(sq_sealed_bytes(NULL), 0);
    content.reserved[3] = 1;
    assert_int_equal(sq_seal(sealer, &content, envelope, ROOM), SQ_EINVAL);
    content = (sq_content){.body_bytes = 1};
    assert_int_equal(sq_seal(sealer, &content, envelope, ROOM), SQ_EINVAL);
    size_t bytes = seal_text(sealer, "hello", envelope);
    assert_int_equal(
        sq_open(opener, "emails", SQ_KIND_MESSAGE, envelope, bytes, plain, 12, &opened), SQ_EINVAL);
    assert_int_equal(sq_open(opener, "emails", SQ_KIND_MESSAGE, NULL, bytes, plain, ROOM, &opened),
                     SQ_EINVAL);
    assert_null(sq_sealer_free(NULL));
    assert_null(sq_opener_free(NULL));
    sq_opener_free(opener);
    sq_sealer_free(sealer);
    sq_keyring_free(keyring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_mutated_envelope_is_accepted),
        cmocka_unit_test(the_commitment_is_checked_on_new_and_on_cached_sessions),
        cmocka_unit_test(old_envelopes_open_after_rotation_and_not_after_retirement_or_removal),
        cmocka_unit_test(an_envelope_opens_on_its_channel_and_as_its_kind_only),
        cmocka_unit_test(unsealed_downgraded_and_stripped_ones_are_refused),
        cmocka_unit_test(a_channel_key_seals_and_opens_its_channel_and_no_other),
        cmocka_unit_test(bodies_of_all_sizes_come_out_as_they_went_in),
        cmocka_unit_test(headers_have_limits),
        cmocka_unit_test(padding_that_is_not_zero_is_malformed),
        cmocka_unit_test(padme_sizes_are_those_of_its_paper),
        cmocka_unit_test(wrong_arguments_are_refused_and_touch_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
