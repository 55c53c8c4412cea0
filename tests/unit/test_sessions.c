/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: no nonce twice on the sealing side, a bounded cache on the opening side. */
#include <time.h>

#include "clone.h"
#include "sealing.h"

/* ── nonces ───────────────────────────────────────────────────────────────────────────────── */

enum { SALT_AND_SEQ = 28, NONCES_MAX = 100000 };

/* What must never come twice under one key: salt and seq, bytes 16 to 43 of an envelope. Shared
   with children. */
struct nonces {
    unsigned count;
    uint8_t seen[NONCES_MAX][SALT_AND_SEQ];
};

static struct nonces *make_nonces(void)
{
    void *memory = mmap(NULL, sizeof(struct nonces), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

static int compare_nonces(const void *a, const void *b)
{
    return memcmp(a, b, SALT_AND_SEQ);
}

static void end_nonces(struct nonces *nonces, unsigned expected)
{
    assert_int_equal(nonces->count, expected);
    qsort(nonces->seen, nonces->count, SALT_AND_SEQ, compare_nonces);
    for (unsigned i = 1; i < nonces->count; i++)
        assert_int_not_equal(compare_nonces(nonces->seen[i - 1], nonces->seen[i]), 0);
    munmap(nonces, sizeof *nonces);
}

/* Without cmocka's assertions: also called in threads and children. */
static int note_seals(struct nonces *nonces, sq_sealer *sealer, unsigned count)
{
    uint8_t envelope[ROOM];
    sq_content content = {.body = "x", .body_bytes = 1};
    for (unsigned i = 0; i < count; i++) {
        if (sq_seal(sealer, &content, envelope, ROOM) < 0)
            return 1;
        memcpy(nonces->seen[__atomic_fetch_add(&nonces->count, 1, __ATOMIC_SEQ_CST)], envelope + 16,
               SALT_AND_SEQ);
    }
    return 0;
}

struct sealing {
    struct nonces *nonces;
    sq_sealer *sealer;
};

static void *seal_in_thread(void *argument)
{
    struct sealing *sealing = argument;
    return item(note_seals(sealing->nonces, sealing->sealer, 1000));
}

static void nonces_differ_across_threads(void **state)
{
    (void)state;
    struct nonces *nonces = make_nonces();
    sq_keyring *keyring = make_keyring();
    struct sealing sealings[8];
    pthread_t threads[8];
    for (unsigned i = 0; i < 8; i++) {
        sealings[i] = (struct sealing){nonces, make_sealer(keyring, "emails")};
        threads[i] = start_thread(seal_in_thread, &sealings[i]);
    }
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(end_thread(threads[i]), 0);
        sq_sealer_free(sealings[i].sealer);
    }
    sq_keyring_free(keyring);
    end_nonces(nonces, 8000);
}

static void assert_child_succeeds(pid_t child)
{
    int status;
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Seals, forks inside the session, seals on in parent, child and grandchild. */
static void fork_inside_a_session(pid_t (*make_child)(void))
{
    struct nonces *nonces = make_nonces();
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails");
    assert_int_equal(note_seals(nonces, sealer, 10), 0);
    pid_t child = make_child();
    if (child == 0) {
        int wrong = note_seals(nonces, sealer, 10), status = 1;
        pid_t grandchild = make_child();
        if (grandchild == 0)
            _exit(note_seals(nonces, sealer, 10));
        wrong += note_seals(nonces, sealer, 10);
        waitpid(grandchild, &status, 0);
        _exit(wrong + (status != 0));
    }
    assert_int_equal(note_seals(nonces, sealer, 10), 0);
    assert_child_succeeds(child);
    sq_sealer_free(sealer);
    sq_keyring_free(keyring);
    end_nonces(nonces, 50);
}

static void nonces_differ_across_forks_inside_a_session(void **state)
{
    (void)state;
    fork_inside_a_session(fork);
}

static void nonces_differ_across_copies_that_no_handler_sees(void **state)
{
    (void)state;
    fork_inside_a_session(bare_clone);
}

/* ── new salts ────────────────────────────────────────────────────────────────────────────── */

static uint64_t hook_now_ns = 1000;
static bool hook_fails;
static unsigned salt_count;

static uint64_t hook_clock(void)
{
    return hook_now_ns;
}

static bool hook_salt(uint8_t ret_salt[SQI_SALT_BYTES])
{
    memset(ret_salt, 0, SQI_SALT_BYTES);
    salt_count++;
    memcpy(ret_salt, &salt_count, sizeof salt_count);
    return !hook_fails;
}

static const struct sqi_sealer_hook hook_defaults = {.random_salt = hook_salt,
                                                     .now_ns = hook_clock,
                                                     .first_seq = UINT32_MAX - 4,
                                                     .messages_max = 5,
                                                     .bytes_max = UINT64_MAX / 2,
                                                     .age_ns_max = 1000};

static uint32_t seq_of(const uint8_t *envelope)
{
    return (uint32_t)envelope[40] << 24 | (uint32_t)envelope[41] << 16 |
           (uint32_t)envelope[42] << 8 | envelope[43];
}

static void a_new_salt_comes_by_count_and_seq_never_wraps(void **state)
{
    (void)state;
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails");
    uint8_t envelope[ROOM];
    salt_count = 0;
    sqi_sealer_set_hook(sealer, &hook_defaults);
    for (unsigned i = 0; i < 23; i++) {
        seal_text(sealer, "x", envelope);
        assert_int_equal(seq_of(envelope), UINT32_MAX - 4 + i % 5);
        assert_int_equal(salt_count, i / 5 + 1);
    }
    sq_sealer_free(sealer);
    sq_keyring_free(keyring);
}

static void a_new_salt_comes_by_bytes_by_age_and_when_the_clock_goes_back(void **state)
{
    (void)state;
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails");
    uint8_t envelope[ROOM];
    struct sqi_sealer_hook hook = hook_defaults;
    hook.first_seq = 0;
    hook.messages_max = 1000;
    hook.bytes_max = 3 * (SQ_ENVELOPE_OVERHEAD_BYTES + 1);
    salt_count = 0;
    sqi_sealer_set_hook(sealer, &hook);
    for (unsigned i = 0; i < 9; i++) {
        seal_text(sealer, "x", envelope);
        assert_int_equal(salt_count, i / 3 + 1);
    }
    hook.bytes_max = UINT64_MAX / 2;
    sqi_sealer_set_hook(sealer, &hook);
    static const struct {
        uint64_t now_ns;
        unsigned new_salts;
    } steps[] = {{2000, 1}, {2999, 1}, {3000, 2}, {3999, 2}, {2999, 3}, {3998, 3}, {3999, 4}};
    salt_count = 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        hook_now_ns = steps[i].now_ns;
        seal_text(sealer, "x", envelope);
        assert_int_equal(salt_count, steps[i].new_salts);
    }
    sq_sealer_free(sealer);
    sq_keyring_free(keyring);
}

static void without_a_salt_nothing_is_sealed(void **state)
{
    (void)state;
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails");
    sq_opener *opener = make_opener(keyring);
    uint8_t envelope[ROOM] = {0};
    sq_content content = {.body = "x", .body_bytes = 1};
    sqi_sealer_set_hook(sealer, &hook_defaults);
    hook_fails = true;
    assert_int_equal(sq_seal(sealer, &content, envelope, ROOM), SQ_ECRYPTO);
    assert_int_equal(sq_seal(sealer, &content, envelope, ROOM), SQ_ECRYPTO);
    assert_int_equal(envelope[0], 0);
    hook_fails = false;
    size_t bytes = seal_text(sealer, "x", envelope);
    assert_int_equal(open_on(opener, "emails", envelope, bytes), SQ_OK);
    sq_opener_free(opener);
    sq_sealer_free(sealer);
    sq_keyring_free(keyring);
}

static void the_limits_are_those_of_the_format(void **state)
{
    (void)state;
    assert_int_equal(sqi_sealer_defaults.messages_max, 1 << 30);
    assert_int_equal(sqi_sealer_defaults.bytes_max, UINT64_C(64) << 30);
    assert_int_equal(sqi_sealer_defaults.age_ns_max, UINT64_C(3600000000000));
    assert_int_equal(sqi_sealer_defaults.first_seq, 0);
}

/* ── the opener's cache ───────────────────────────────────────────────────────────────────── */

enum { SESSIONS = 6000, SEALED = SQ_ENVELOPE_OVERHEAD_BYTES + 1 };

static uint8_t envelopes[SESSIONS][SEALED];

/* One envelope in each of many sessions. */
static sq_keyring *make_sessions(void)
{
    sq_keyring *keyring = make_keyring();
    sq_sealer *sealer = make_sealer(keyring, "emails");
    struct sqi_sealer_hook hook = sqi_sealer_defaults;
    sq_content content = {.body = "x", .body_bytes = 1};
    hook.messages_max = 1;
    sqi_sealer_set_hook(sealer, &hook);
    for (unsigned i = 0; i < SESSIONS; i++)
        assert_int_equal(sq_seal(sealer, &content, envelopes[i], SEALED), SEALED);
    sq_sealer_free(sealer);
    return keyring;
}

static void the_cache_holds_4096_sessions_and_lets_the_least_recently_used_go(void **state)
{
    (void)state;
    sq_keyring *keyring = make_sessions();
    sq_opener *opener = make_opener(keyring);
    for (unsigned i = 0; i < SQI_SESSIONS_MAX; i++) {
        assert_int_equal(open_on(opener, "emails", envelopes[i], SEALED), SQ_OK);
        assert_int_equal(sqi_opener_session_count(opener), i + 1);
    }
    assert_int_equal(open_on(opener, "emails", envelopes[0], SEALED), SQ_OK); /* used again */
    assert_int_equal(open_on(opener, "emails", envelopes[SQI_SESSIONS_MAX], SEALED), SQ_OK);
    assert_int_equal(sqi_opener_session_count(opener), SQI_SESSIONS_MAX);
    assert_true(sqi_opener_has_session(opener, envelopes[0]));
    assert_false(sqi_opener_has_session(opener, envelopes[1])); /* the least recently used */
    assert_true(sqi_opener_has_session(opener, envelopes[2]));
    assert_int_equal(open_on(opener, "emails", envelopes[1], SEALED), SQ_OK);
    sq_opener_free(opener);
    sq_keyring_free(keyring);
}

static void a_flood_of_junk_adds_no_session(void **state)
{
    (void)state;
    sq_keyring *keyring = make_sessions();
    sq_opener *opener = make_opener(keyring);
    uint8_t junk[SEALED];
    memcpy(junk, envelopes[0], SEALED);
    assert_int_equal(open_on(opener, "emails", envelopes[0], SEALED), SQ_OK);
    for (unsigned i = 1; i <= 10000; i++) {
        memcpy(junk + 16, &i, sizeof i); /* another salt, under a key id that we know */
        assert_int_equal(open_on(opener, "emails", junk, SEALED), SQ_EAUTH);
    }
    assert_int_equal(sqi_opener_session_count(opener), 1);
    /* The right salt and commitment of a session that is not cached, with a forged message. */
    memcpy(junk, envelopes[1], SEALED);
    junk[SEALED - 1] ^= 1;
    assert_int_equal(open_on(opener, "emails", junk, SEALED), SQ_EAUTH);
    assert_int_equal(sqi_opener_session_count(opener), 1);
    sq_opener_free(opener);
    sq_keyring_free(keyring);
}

static void a_busy_cache_answers_as_a_fresh_opener(void **state)
{
    (void)state;
    sq_keyring *keyring = make_sessions();
    sq_opener *opener = make_opener(keyring);
    const char *given = getenv("SEALQ_TEST_SEED");
    uint64_t random = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("# SEALQ_TEST_SEED=%llu\n", (unsigned long long)random);
    for (unsigned i = 0; i < 30000; i++) {
        random = random * 6364136223846793005 + 1442695040888963407; /* Knuth's MMIX LCG */
        uint8_t *envelope = envelopes[(random >> 33) % SESSIONS];
        bool is_forged = (random >> 20) % 4 == 0;
        size_t at = 84 + (random >> 23) % (SEALED - 84); /* the commitment or behind it */
        at = at >= 116 && at < 120 ? 120 : at;           /* not the size: that is another error */
        envelope[at] ^= is_forged;
        assert_int_equal(open_on(opener, "emails", envelope, SEALED), is_forged ? SQ_EAUTH : SQ_OK);
        envelope[at] ^= is_forged;
    }
    assert_int_equal(sqi_opener_session_count(opener), SQI_SESSIONS_MAX);
    sq_opener_free(opener);
    sq_keyring_free(keyring);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonces_differ_across_threads),
        cmocka_unit_test(nonces_differ_across_forks_inside_a_session),
        cmocka_unit_test(a_new_salt_comes_by_count_and_seq_never_wraps),
        cmocka_unit_test(a_new_salt_comes_by_bytes_by_age_and_when_the_clock_goes_back),
        cmocka_unit_test(without_a_salt_nothing_is_sealed),
        cmocka_unit_test(the_limits_are_those_of_the_format),
        cmocka_unit_test(the_cache_holds_4096_sessions_and_lets_the_least_recently_used_go),
        cmocka_unit_test(a_flood_of_junk_adds_no_session),
        cmocka_unit_test(a_busy_cache_answers_as_a_fresh_opener),
    };
    const struct CMUnitTest clones[] = {
        cmocka_unit_test(nonces_differ_across_copies_that_no_handler_sees),
    };
    if (argc < 2 || strcmp(argv[1], "clone") != 0)
        return cmocka_run_group_tests(tests, NULL, NULL);
    if (!pages_are_wiped_in_children())
        return skip_all("children keep pages that should be wiped");
    return cmocka_run_group_tests(clones, NULL, NULL);
}
