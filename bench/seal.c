/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures sealing and opening, beside bare EVP calls on the same bytes: one line a case,
 * `CASE NANOSECONDS`. bench/seal.py runs this many times and compares.
 */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sealq/sealq.h"

#define MEASURE_NS 40000000
#define LARGE 65536
#define SMALL 256
#define HEADER 120
#define TAG 16
#define SESSIONS 512

struct bench {
    sq_sealer *sealer;
    sq_opener *opener;
    EVP_CIPHER_CTX *encrypt, *decrypt;
    size_t body_bytes, envelope_bytes;
    uint8_t body[LARGE], envelope[LARGE + SQ_ENVELOPE_OVERHEAD_BYTES], plain[LARGE + 64];
    uint8_t bare[LARGE + SQ_ENVELOPE_OVERHEAD_BYTES];
    uint8_t sessions[SESSIONS][SMALL + SQ_ENVELOPE_OVERHEAD_BYTES];
    const sq_keyring *keyring;
    unsigned turn;
};

static void must(bool is_well, const char *what)
{
    if (!is_well) {
        fprintf(stderr, "bench: %s: %s\n", what, sq_last_error_detail());
        exit(1);
    }
}

/* ── what is measured ─────────────────────────────────────────────────────────────────────── */

static void seal(struct bench *bench)
{
    sq_content content = {.body = bench->body, .body_bytes = bench->body_bytes};
    ssize_t bytes = sq_seal(bench->sealer, &content, bench->envelope, sizeof bench->envelope);
    must(bytes == (ssize_t)bench->envelope_bytes, "seal");
}

static void open_one(struct bench *bench)
{
    sq_opened opened;
    must(sq_open(bench->opener, "bench", SQ_KIND_MESSAGE, bench->envelope, bench->envelope_bytes,
                 bench->plain, sizeof bench->plain, &opened) == SQ_OK &&
             opened.body_bytes == bench->body_bytes,
         "open");
}

/* The calls that no implementation on EVP can do without: nonce, header, body, tag. */
static void bare_encrypt(struct bench *bench)
{
    int written;
    int bytes = (int)(bench->envelope_bytes - HEADER - TAG);
    EVP_EncryptInit_ex(bench->encrypt, NULL, NULL, NULL, bench->envelope + 40);
    EVP_EncryptUpdate(bench->encrypt, NULL, &written, bench->envelope, HEADER);
    EVP_EncryptUpdate(bench->encrypt, bench->bare, &written, bench->body, bytes);
    EVP_EncryptFinal_ex(bench->encrypt, bench->bare, &written);
    must(EVP_CIPHER_CTX_ctrl(bench->encrypt, EVP_CTRL_AEAD_GET_TAG, TAG, bench->bare + bytes) == 1,
         "EVP");
}

static void bare_decrypt(struct bench *bench)
{
    int written;
    int bytes = (int)(bench->envelope_bytes - HEADER - TAG);
    EVP_DecryptInit_ex(bench->decrypt, NULL, NULL, NULL, bench->envelope + 40);
    EVP_DecryptUpdate(bench->decrypt, NULL, &written, bench->envelope, HEADER);
    EVP_DecryptUpdate(bench->decrypt, bench->plain, &written, bench->bare, bytes);
    EVP_CIPHER_CTX_ctrl(bench->decrypt, EVP_CTRL_AEAD_SET_TAG, TAG, bench->bare + bytes);
    must(EVP_DecryptFinal_ex(bench->decrypt, bench->plain, &written) == 1, "EVP");
}

/* The first message of a session that is not in the cache: an opener meets each session once. */
static void open_new_session(struct bench *bench)
{
    sq_opened opened;
    if (bench->turn == SESSIONS) {
        sq_opener_free(bench->opener);
        must(sq_opener_create(bench->keyring, &bench->opener) == SQ_OK, "opener");
        bench->turn = 0;
    }
    must(sq_open(bench->opener, "bench", SQ_KIND_MESSAGE, bench->sessions[bench->turn++],
                 sizeof bench->sessions[0], bench->plain, sizeof bench->plain, &opened) == SQ_OK,
         "open");
}

/* A forged envelope that names a key we have, under a salt never seen: the worst junk. */
static void refuse_junk(struct bench *bench)
{
    sq_opened opened;
    bench->turn++;
    memcpy(bench->envelope + 16, &bench->turn, sizeof bench->turn);
    must(sq_open(bench->opener, "bench", SQ_KIND_MESSAGE, bench->envelope, bench->envelope_bytes,
                 bench->plain, sizeof bench->plain, &opened) == SQ_EAUTH,
         "refuse");
}

/* ── measuring ────────────────────────────────────────────────────────────────────────────── */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void measure(const char *name, struct bench *bench, void (*body)(struct bench *))
{
    int64_t count = 0, start_ns, end_ns;
    for (unsigned i = 0; i < 100; i++)
        body(bench);
    start_ns = now_ns();
    do {
        for (unsigned i = 0; i < 64; i++)
            body(bench);
        count += 64;
        end_ns = now_ns();
    } while (end_ns - start_ns < MEASURE_NS);
    printf("%s %.1f\n", name, (double)(end_ns - start_ns) / (double)count);
}

static void set_size(struct bench *bench, size_t body_bytes)
{
    bench->body_bytes = body_bytes;
    bench->envelope_bytes = body_bytes + SQ_ENVELOPE_OVERHEAD_BYTES;
    seal(bench);
    bare_encrypt(bench);
}

static void make_sessions(struct bench *bench)
{
    sq_content content = {.body = bench->body, .body_bytes = SMALL};
    for (unsigned i = 0; i < SESSIONS; i++) {
        sq_sealer *sealer;
        must(sq_sealer_create(bench->keyring, "bench", SQ_KIND_MESSAGE, &sealer) == SQ_OK &&
                 sq_seal(sealer, &content, bench->sessions[i], sizeof bench->sessions[i]) > 0,
             "sessions");
        sq_sealer_free(sealer);
    }
}

static sq_keyring *make_keyring(void)
{
    char folder[] = "/tmp/sealq-bench-XXXXXX", path[64];
    sq_keyring *keyring = NULL;
    must(mkdtemp(folder) != NULL, "folder");
    snprintf(path, sizeof path, "%s/keyring", folder);
    must(sq_keyring_create(path, NULL, NULL) == SQ_OK && sq_keyring_open(path, &keyring) == SQ_OK,
         "keyring");
    unlink(path);
    rmdir(folder);
    return keyring;
}

int main(void)
{
    static struct bench bench;
    uint8_t key[32];
    sq_keyring *keyring = make_keyring();
    bench.keyring = keyring;
    must(sq_sealer_create(keyring, "bench", SQ_KIND_MESSAGE, &bench.sealer) == SQ_OK, "sealer");
    must(sq_opener_create(keyring, &bench.opener) == SQ_OK, "opener");
    bench.encrypt = EVP_CIPHER_CTX_new();
    bench.decrypt = EVP_CIPHER_CTX_new();
    must(RAND_bytes(key, sizeof key) == 1 && RAND_bytes(bench.body, sizeof bench.body) == 1 &&
             EVP_EncryptInit_ex(bench.encrypt, EVP_aes_256_gcm(), NULL, key, NULL) == 1 &&
             EVP_DecryptInit_ex(bench.decrypt, EVP_aes_256_gcm(), NULL, key, NULL) == 1,
         "EVP");

    set_size(&bench, LARGE);
    measure("seal-64k", &bench, seal);
    measure("open-64k", &bench, open_one);
    set_size(&bench, SMALL);
    measure("seal-256", &bench, seal);
    measure("seal-256-evp", &bench, bare_encrypt);
    measure("open-256", &bench, open_one);
    set_size(&bench, SMALL);
    measure("open-256-evp", &bench, bare_decrypt);
    set_size(&bench, 4096);
    measure("seal-4k", &bench, seal);
    measure("open-4k", &bench, open_one);
    set_size(&bench, SMALL);
    measure("junk", &bench, refuse_junk);
    make_sessions(&bench);
    bench.turn = SESSIONS; /* begins with an empty cache */
    measure("new-session", &bench, open_new_session);

    EVP_CIPHER_CTX_free(bench.encrypt);
    EVP_CIPHER_CTX_free(bench.decrypt);
    sq_opener_free(bench.opener);
    sq_sealer_free(bench.sealer);
    sq_keyring_free(keyring);
    return 0;
}
