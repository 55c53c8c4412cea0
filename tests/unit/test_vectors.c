/* SPDX-License-Identifier: Apache-2.0 */
/* The known answers of tests/vectors: what we seal is theirs byte for byte, and what they say may
   be opened or not is. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "seal/keyring.h"
#include "seal/sealer.h"
#include "testing.h"

static json_t *vectors;
static uint8_t the_salt[SQI_SALT_BYTES];
static uint64_t the_time_ns;

static bool vector_salt(uint8_t ret_salt[SQI_SALT_BYTES])
{
    memcpy(ret_salt, the_salt, SQI_SALT_BYTES);
    return true;
}

static uint64_t vector_time(void)
{
    return the_time_ns;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    assert_non_null(text);
    return text;
}

static size_t bytes_of(const json_t *object, const char *name, uint8_t *ret_bytes)
{
    const char *text = text_of(object, name);
    assert_true(sqi_hex_decode(text, strlen(text) / 2, ret_bytes));
    return strlen(text) / 2;
}

static sq_keyring *keyring_of(const json_t *object)
{
    sq_keyring *keyring = sqi_keyring_new(1);
    struct sqi_schedule *schedule = sqi_schedule_new();
    assert_non_null(keyring);
    struct sqi_key *key = &keyring->keys[keyring->key_count++];
    bytes_of(object, "key_hex", key->bytes);
    assert_int_equal(sqi_derive_key_id(schedule, key->bytes, key->id), SQ_OK);
    sqi_key_id_text(key->id, key->info.id);
    sqi_schedule_free(schedule);
    return keyring;
}

static size_t body_of(const json_t *vector, uint8_t *ret_body)
{
    const json_t *repeat = json_object_get(vector, "body_repeat");
    if (!repeat)
        return bytes_of(vector, "body_hex", ret_body);
    size_t count = (size_t)json_integer_value(json_object_get(repeat, "count"));
    memset(ret_body, (int)json_integer_value(json_object_get(repeat, "byte")), count);
    return count;
}

static void seal_case(const json_t *vector, const sq_keyring *keyring)
{
    static uint8_t body[70000], expected[70000], envelope[70000], plain[70000];
    sq_header headers[8];
    sq_sealer *sealer;
    sq_opener *opener;
    sq_opened opened;
    sq_kind kind = (sq_kind)json_integer_value(json_object_get(vector, "kind"));
    const char *dedupe_key = json_string_value(json_object_get(vector, "dedupe_key"));
    sq_content content = {
        .body = body,
        .body_bytes = body_of(vector, body),
        .headers = headers,
        .dedupe_key = dedupe_key,
        .dedupe_key_bytes = dedupe_key ? strlen(dedupe_key) : 0,
        .not_before_ms = strtoull(text_of(vector, "not_before_ms"), NULL, 10),
        .expires_ms = strtoull(text_of(vector, "expires_ms"), NULL, 10),
        .has_priority = true,
        .priority = (uint8_t)json_integer_value(json_object_get(vector, "priority")),
        .is_padded = json_is_true(json_object_get(vector, "padded")),
    };
    size_t index;
    json_t *pair;
    json_array_foreach(json_object_get(vector, "headers"), index, pair)
    {
        const char *name = json_string_value(json_array_get(pair, 0));
        const char *value = json_string_value(json_array_get(pair, 1));
        headers[content.header_count++] = (sq_header){name, value, strlen(name), strlen(value)};
    }
    bytes_of(vector, "salt_hex", the_salt);
    the_time_ns = strtoull(text_of(vector, "created_ns"), NULL, 10);
    struct sqi_sealer_hook hook = sqi_sealer_defaults;
    hook.random_salt = vector_salt;
    hook.now_ns = vector_time;
    hook.first_seq = (uint32_t)json_integer_value(json_object_get(vector, "seq"));

    const char *channel = text_of(vector, "channel");
    assert_int_equal(sq_sealer_create(keyring, channel, kind, &sealer), SQ_OK);
    sqi_sealer_set_hook(sealer, &hook);
    size_t expected_bytes = bytes_of(vector, "envelope_hex", expected);
    assert_int_equal(sq_sealed_bytes(&content), expected_bytes);
    assert_int_equal(sq_seal(sealer, &content, envelope, sizeof envelope), expected_bytes);
    assert_memory_equal(envelope, expected, expected_bytes);

    assert_int_equal(sq_opener_create(keyring, &opener), SQ_OK);
    assert_int_equal(
        sq_open(opener, channel, kind, envelope, expected_bytes, plain, sizeof plain, &opened),
        SQ_OK);
    assert_int_equal(opened.body_bytes, content.body_bytes);
    assert_memory_equal(opened.body, body, content.body_bytes);
    sq_opener_free(opener);
    sq_sealer_free(sealer);
}

static void every_seal_case_is_reproduced_byte_for_byte(void **state)
{
    (void)state;
    size_t index;
    json_t *vector;
    sq_keyring *keyring = keyring_of(vectors);
    assert_string_equal(keyring->keys[0].info.id, text_of(vectors, "key_id_hex"));
    assert_int_equal(json_array_size(json_object_get(vectors, "seal")), 12);
    json_array_foreach(json_object_get(vectors, "seal"), index, vector)
    {
        seal_case(vector, keyring);
    }
    sq_keyring_free(keyring);
}

static int code_of(const char *result)
{
    return strcmp(result, "valid") == 0    ? SQ_OK
           : strcmp(result, "format") == 0 ? SQ_EFORMAT
           : strcmp(result, "auth") == 0   ? SQ_EAUTH
           : strcmp(result, "nokey") == 0  ? SQ_ENOKEY
                                           : SQ_EINVAL;
}

static void every_open_case_gives_its_result(void **state)
{
    (void)state;
    static uint8_t envelope[1000], plain[1000];
    size_t index;
    json_t *vector;
    assert_int_equal(json_array_size(json_object_get(vectors, "open")), 46);
    json_array_foreach(json_object_get(vectors, "open"), index, vector)
    {
        sq_opener *opener;
        sq_opened opened = {.body_bytes = 12345};
        sq_keyring *keyring = keyring_of(vector);
        size_t bytes = bytes_of(vector, "envelope_hex", envelope);
        int expected = code_of(text_of(vector, "result"));
        assert_int_equal(sq_opener_create(keyring, &opener), SQ_OK);
        int result = sq_open(opener, text_of(vector, "channel"),
                             (sq_kind)json_integer_value(json_object_get(vector, "kind")), envelope,
                             bytes, plain, sizeof plain, &opened);
        if (result != expected)
            print_message("# case %s\n", text_of(vector, "comment"));
        assert_int_equal(result, expected);
        assert_true((opened.body_bytes == 12345) == (expected != SQ_OK));
        sq_opener_free(opener);
        sq_keyring_free(keyring);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_seal_case_is_reproduced_byte_for_byte),
        cmocka_unit_test(every_open_case_gives_its_result),
    };
    json_error_t error;
    vectors = argc > 1 ? json_load_file(argv[1], 0, &error) : NULL;
    if (!vectors) {
        fprintf(stderr, "usage: test_vectors FILE (a readable JSON file)\n");
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(vectors);
    return failed;
}
