/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing, and opening in a cached session, allocate nothing: neither we nor OpenSSL. */
#include <openssl/crypto.h>

#include "sealing.h"

static unsigned long allocation_count;

static void *counted_malloc(size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    allocation_count++;
    return malloc(bytes);
}

static void *counted_realloc(void *block, size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    allocation_count++;
    return realloc(block, bytes);
}

static void plain_free(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    free(block);
}

/* The linker puts these in the place of libc's for our own objects. */
void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes)
{
    allocation_count++;
    return __real_malloc(bytes);
}

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes)
{
    allocation_count++;
    return __real_calloc(count, bytes);
}

void *__real_reallocarray(void *block, size_t count, size_t bytes);
void *__wrap_reallocarray(void *block, size_t count, size_t bytes);
void *__wrap_reallocarray(void *block, size_t count, size_t bytes)
{
    allocation_count++;
    return __real_reallocarray(block, count, bytes);
}

static void seal_and_open_allocate_nothing(void **state)
{
    (void)state;
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails");
    sq_opener *opener = make_opener(keyring);
    sq_header headers[] = {{"a", "1", 1, 1}};
    static char body[3 * ROOM];
    static uint8_t envelope[4 * ROOM], plain[4 * ROOM];
    sq_content content = {.body = body, .headers = headers, .header_count = 1};
    sq_opened opened;
    assert_true(allocation_count > 0); /* the counting works */
    for (unsigned i = 0; i < 1000; i++) {
        content.body_bytes = i * 12;
        content.is_padded = i % 2;
        if (i == 1) /* the first one opened the session */
            allocation_count = 0;
        ssize_t bytes = sq_seal(sealer, &content, envelope, sizeof envelope);
        assert_true(bytes > 0);
        assert_int_equal(sq_open(opener, "emails", SQ_KIND_MESSAGE, envelope, (size_t)bytes, plain,
                                 sizeof plain, &opened),
                         SQ_OK);
    }
    assert_int_equal(allocation_count, 0);
    sq_opener_free(opener);
    sq_sealer_free(sealer);
    sq_keyring_free(keyring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seal_and_open_allocate_nothing),
    };
    if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, plain_free) != 1)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
