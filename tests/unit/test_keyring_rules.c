/* SPDX-License-Identifier: Apache-2.0 */
/* Keyrings beyond test_keyring.c: each rule of their text and of their keys, channel keys, limits,
   and where secrets lie. */
#include <openssl/crypto.h>

#include "seal/keyring.h"
#include "testing_keyring.h"

static struct text text; /* too large for a stack */

/* A file of two master keys, the second with a comment. */
static void begin_two_keys(void)
{
    struct digits one = master_key(1), two = master_key(2);
    text.count = 0;
    add_text(&text, FIRST "primary %s " DATE " - %s\n", one.id, one.key);
    add_text(&text, "accepted %s 2024-02-29T00:00:00Z - %s host b\n", two.id, two.key);
}

/* ── the text ─────────────────────────────────────────────────────────────────────────────── */

static void a_keyring_by_the_book_is_read(void **state)
{
    (void)state;
    begin_two_keys();
    add_text(&text, "retired 00112233445566ff 1999-12-31T00:00:00Z channel:a_b-C9 " KEY_DIGITS
                    " \u00e9\u20ac\n");
    add_checksum(&text);
    write_text(path, &text);
    sq_keyring *keyring = open_keyring(path);
    assert_int_equal(sq_keyring_key_count(keyring), 3);
    sq_key_info one = info_of(keyring, 0), two = info_of(keyring, 1), three = info_of(keyring, 2);
    assert_string_equal(one.id, master_key(1).id);
    assert_int_equal(one.state, SQ_KEY_PRIMARY);
    assert_int_equal(one.created_s, 1769903999);
    assert_string_equal(one.comment, "");
    assert_int_equal(two.state, SQ_KEY_ACCEPTED);
    assert_int_equal(two.created_s, 1709164800);
    assert_string_equal(two.comment, "host b");
    assert_int_equal(three.state, SQ_KEY_RETIRED);
    assert_string_equal(three.channel, "a_b-C9");
    assert_string_equal(three.comment, "\u00e9\u20ac");
    sq_keyring_free(keyring);
}

/* What is read and written again is the same, byte for byte. */
static void export_of_a_file_is_that_file(void **state)
{
    (void)state;
    static struct text exported;
    begin_two_keys();
    add_checksum(&text);
    write_text(path, &text);
    sq_keyring *keyring = open_keyring(path);
    int fd = open(in_folder("exported"), O_WRONLY | O_CREAT, 0600);
    assert_int_equal(sq_keyring_export(keyring, NULL, fd), SQ_OK);
    close(fd);
    sq_keyring_free(keyring);
    read_text(in_folder("exported"), &exported);
    assert_int_equal(exported.count, text.count);
    assert_memory_equal(exported.bytes, text.bytes, text.count);
}

static void assert_refused(size_t byte, int bit)
{
    text.bytes[byte] ^= (char)(1 << bit);
    write_text(path, &text);
    int result = open_result(path);
    if (result != SQ_EKEYRING && result != SQ_EVERSION)
        fail_msg("byte %zu, bit %d flipped: %s", byte, bit, sq_error_name(result));
}

/* Where a right checksum hides the flip, all but dates and comments must speak for itself. */
static void every_bit_flipped_under_a_mended_checksum_is_refused(void **state)
{
    (void)state;
    begin_two_keys();
    size_t count = text.count, first_date = (size_t)(strstr(text.bytes, DATE) - text.bytes);
    size_t second_date = (size_t)(strstr(text.bytes, "2024") - text.bytes);
    size_t comment = (size_t)(strstr(text.bytes, "host b") - text.bytes);
    for (size_t byte = 0; byte < count; byte++) {
        bool may_vary = (byte >= first_date && byte < first_date + 20) ||
                        (byte >= second_date && byte < second_date + 20) ||
                        (byte >= comment && byte < comment + 6);
        for (int bit = 0; bit < 8 && !may_vary; bit++) {
            begin_two_keys();
            text.bytes[byte] ^= (char)(1 << bit);
            add_checksum(&text);
            text.bytes[byte] ^= (char)(1 << bit); /* assert_refused() flips it again */
            assert_refused(byte, bit);
        }
    }
}

/* Between the first line and a right checksum. */
static int result_of_body(const char *body)
{
    text.count = 0;
    add_text(&text, FIRST "%s", body);
    add_checksum(&text);
    write_text(path, &text);
    return open_result(path);
}

#define CHANNEL_KEY "accepted 0011223344556677 " DATE " channel:c " KEY_DIGITS
#define NAME_64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
#define dated(date) "accepted 0011223344556677 " date " channel:c " KEY_DIGITS "\n"
#define scoped(scope) "accepted 0011223344556677 " DATE " " scope " " KEY_DIGITS "\n"

static void lines_that_are_well_formed_are_read(void **state)
{
    (void)state;
    static const char *const right[] = {
        CHANNEL_KEY "\n",
        CHANNEL_KEY " " HUNDRED "\n",
        CHANNEL_KEY " a  b\n",
        scoped("channel:" NAME_64),
        scoped("channel:0"),
        dated("2024-02-29T23:59:59Z"),
        dated("1970-01-01T00:00:00Z"),
    };
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        if (result_of_body(right[i]) != SQ_OK)
            fail_msg("refused: %s", right[i]);
}

static void lines_that_are_not_well_formed_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\n",
        " " CHANNEL_KEY "\n",
        CHANNEL_KEY "\n\n",
        CHANNEL_KEY " \n",
        CHANNEL_KEY "\r\n",
        CHANNEL_KEY "\tx\n",
        CHANNEL_KEY "x\n",
        CHANNEL_KEY "00\n",
        CHANNEL_KEY "  two spaces\n",
        CHANNEL_KEY " space behind \n",
        CHANNEL_KEY " " HUNDRED "x\n",
        CHANNEL_KEY " \x1b[31mred\n",
        CHANNEL_KEY " bell\x07\n",
        CHANNEL_KEY " tab\there\n",
        CHANNEL_KEY " del\x7f\n",
        CHANNEL_KEY " c1\xc2\x9b\n",
        CHANNEL_KEY " \xff\n",
        CHANNEL_KEY " overlong \xc0\xaf\n",
        CHANNEL_KEY " cut \xe2\x82\n",
        "Accepted 0011223344556677 " DATE " channel:c " KEY_DIGITS "\n",
        "acceptedx 0011223344556677 " DATE " channel:c " KEY_DIGITS "\n",
        "accepted  0011223344556677 " DATE " channel:c " KEY_DIGITS "\n",
        "accepted 001122334455667 " DATE " channel:c " KEY_DIGITS "\n",
        "accepted 00112233445566778 " DATE " channel:c " KEY_DIGITS "\n",
        "accepted 00112233445566AA " DATE " channel:c " KEY_DIGITS "\n",
        "accepted 0011223344556677 " DATE " channel:c 00" KEY_DIGITS "\n",
        "accepted 0011223344556677 " DATE " channel:c\n",
        "accepted 0011223344556677 " DATE "\n",
        "accepted\n",
        scoped(""),
        scoped("*"),
        scoped("--"),
        scoped("channel:"),
        scoped("channel:-c"),
        scoped("channel:_c"),
        scoped("channel:a.b"),
        scoped("channel:a/b"),
        scoped("channel:\u00e9"),
        scoped("channel:" NAME_64 "c"),
        scoped("Channel:c"),
        scoped("-"), /* a master key whose id is another's */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (result_of_body(wrong[i]) != SQ_EKEYRING)
            fail_msg("not refused: %s", wrong[i]);
}

static void dates_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        dated("2026-02-31T00:00:00Z"),
        dated("2025-02-29T00:00:00Z"),
        dated("2026-13-01T00:00:00Z"),
        dated("2026-00-01T00:00:00Z"),
        dated("2026-01-00T00:00:00Z"),
        dated("2026-01-32T00:00:00Z"),
        dated("2026-01-01T24:00:00Z"),
        dated("2026-01-01T00:60:00Z"),
        dated("2026-01-01T00:00:60Z"),
        dated("2026-01-01T00:00:61Z"),
        dated("2026-1-01T00:00:00Z"),
        dated("2026- 1-01T00:00:00Z"),
        dated("2026-01-01 00:00:00Z"),
        dated("2026-01-01T00:00:00"),
        dated("2026-01-01t00:00:00z"),
        dated("2026-01-01T00:00:00+00"),
        dated("+026-01-01T00:00:00Z"),
        dated("now"),
        dated(""),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (result_of_body(wrong[i]) != SQ_EKEYRING)
            fail_msg("not refused: %s", wrong[i]);
}

/* The whole file, as it is. */
static int result_of_file(const void *bytes, size_t byte_count)
{
    write_file(path, 0600, bytes, byte_count);
    return open_result(path);
}

static void a_newer_version_is_told_apart(void **state)
{
    (void)state;
    static const char *const newer[] = {"sealq-keyring 2\nwhatever\n", "sealq-keyring 10\n",
                                        "sealq-keyring 1.1\n"};
    for (size_t i = 0; i < sizeof newer / sizeof newer[0]; i++)
        assert_int_equal(result_of_file(newer[i], strlen(newer[i])), SQ_EVERSION);
    assert_non_null(strstr(sq_last_error_detail(), "newer"));
}

static void other_ends_of_lines_and_more_behind_are_refused(void **state)
{
    (void)state;
    static struct text crlf;
    begin_two_keys();
    add_checksum(&text);
    crlf.count = 0;
    for (size_t i = 0; i < text.count; i++)
        add_text(&crlf, text.bytes[i] == '\n' ? "\r\n" : "%c", text.bytes[i]);
    assert_true(result_of_file(crlf.bytes, crlf.count) < 0);
    static const char *const behind[] = {"\n", " ", "x", "\r", "# comment\n"};
    for (size_t i = 0; i < sizeof behind / sizeof behind[0]; i++) {
        begin_two_keys();
        add_checksum(&text);
        add_text(&text, "%s", behind[i]);
        assert_int_equal(result_of_file(text.bytes, text.count), SQ_EKEYRING);
    }
    begin_two_keys();
    add_checksum(&text);
    assert_int_equal(result_of_file(text.bytes, text.count + 1), SQ_EKEYRING); /* a NUL */
    begin_two_keys();
    add_checksum(&text);
    add_checksum(&text); /* one checksum line too many */
    assert_int_equal(result_of_file(text.bytes, text.count), SQ_EKEYRING);
}

static void keys_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    struct digits one = master_key(1), two = master_key(2);
    static const struct {
        const char *states[2];
        bool is_same;
        const char *word;
    } rows[] = {
        {{"accepted", "accepted"}, true, "there twice"},
        {{"primary", "retired"}, true, "there twice"},
        {{"primary", "primary"}, false, "two primary keys"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct digits second = rows[i].is_same ? one : two;
        text.count = 0;
        add_text(&text, FIRST "%s %s " DATE " - %s\n", rows[i].states[0], one.id, one.key);
        add_text(&text, "%s %s " DATE " - %s\n", rows[i].states[1], second.id, second.key);
        add_checksum(&text);
        assert_int_equal(result_of_file(text.bytes, text.count), SQ_EKEYRING);
        assert_non_null(strstr(sq_last_error_detail(), rows[i].word));
    }
    text.count = 0;
    add_text(&text, FIRST "primary %s " DATE " - %s\n", one.id, two.key);
    add_checksum(&text);
    assert_int_equal(result_of_file(text.bytes, text.count), SQ_EKEYRING);
    assert_non_null(strstr(sq_last_error_detail(), "another id"));
}

static void a_channel_key_may_stand_beside_its_master(void **state)
{
    (void)state;
    struct digits one = master_key(1);
    text.count = 0;
    add_text(&text, FIRST "primary %s " DATE " - %s\n", one.id, one.key);
    add_text(&text, "primary %s " DATE " channel:a " KEY_DIGITS "\n", one.id);
    add_text(&text, "primary %s " DATE " channel:b " KEY_DIGITS "\n", one.id);
    add_checksum(&text);
    assert_int_equal(result_of_file(text.bytes, text.count), SQ_OK);
}

/* What the detail says may be printed: no part of a secret. */
static void complaints_have_nothing_of_the_keys(void **state)
{
    (void)state;
    static const char *const bodies[] = {CHANNEL_KEY "\r\n", scoped("channel:-"), scoped("-"),
                                         "accepted 0011 " KEY_DIGITS "\n",
                                         CHANNEL_KEY "\n" CHANNEL_KEY "\n"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_int_equal(result_of_body(bodies[i]), SQ_EKEYRING);
        for (size_t at = 0; at + 8 <= 2 * SQI_KEY_BYTES; at++) {
            char part[9];
            memcpy(part, &KEY_DIGITS[at], 8);
            part[8] = '\0';
            assert_null(strstr(sq_last_error_detail(), part));
        }
    }
}

/* ── comments ─────────────────────────────────────────────────────────────────────────────── */

static void comments_that_could_do_harm_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\x1b[2J", "line\nprimary", "tab\t",     "\x07", "\x7f",     "c1 \xc2\x85",  "\xff",
        " ahead",  "behind ",       HUNDRED "x", " ",    "\xe2\x82", "\xed\xa0\x80", "\r"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(sq_keyring_create(path, wrong[i], NULL), SQ_EINVAL);
        assert_false(exists(path));
    }
    assert_int_equal(sq_keyring_create(path, HUNDRED, NULL), SQ_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(sq_keyring_add(path, wrong[i], NULL), SQ_EINVAL);
        assert_int_equal(sq_keyring_rotate(path, wrong[i], NULL), SQ_EINVAL);
    }
    assert_int_equal(sq_keyring_add(path, "", NULL), SQ_OK);
    assert_int_equal(count_keys(path), 2);
}

/* ── promote, retire, remove ──────────────────────────────────────────────────────────────── */

static char first[SQ_KEY_ID_BYTES], second[SQ_KEY_ID_BYTES];

static void make_two_keys(void)
{
    assert_int_equal(sq_keyring_create(path, NULL, first), SQ_OK);
    assert_int_equal(sq_keyring_add(path, NULL, second), SQ_OK);
}

static void promote_makes_the_one_before_accepted(void **state)
{
    (void)state;
    make_two_keys();
    assert_int_equal(sq_keyring_promote(path, second, NULL), SQ_OK);
    assert_int_equal(state_of(path, first, ""), SQ_KEY_ACCEPTED);
    assert_int_equal(state_of(path, second, ""), SQ_KEY_PRIMARY);
    assert_int_equal(sq_keyring_promote(path, second, ""), SQ_OK); /* again: as it is */
    assert_int_equal(count_primaries(path), 1);
}

static void a_retired_key_stays_and_cannot_be_promoted(void **state)
{
    (void)state;
    make_two_keys();
    assert_int_equal(sq_keyring_retire(path, second, NULL), SQ_OK);
    assert_int_equal(state_of(path, second, ""), SQ_KEY_RETIRED);
    assert_int_equal(sq_keyring_promote(path, second, NULL), SQ_ERETIRED);
    assert_int_equal(sq_keyring_retire(path, second, NULL), SQ_OK);
    assert_int_equal(state_of(path, second, ""), SQ_KEY_RETIRED);
    assert_int_equal(sq_keyring_remove(path, second, NULL), SQ_OK);
    assert_int_equal(count_keys(path), 1);
}

static void remove_keeps_the_order_of_the_others(void **state)
{
    (void)state;
    char third[SQ_KEY_ID_BYTES];
    make_two_keys();
    assert_int_equal(sq_keyring_add(path, NULL, third), SQ_OK);
    assert_int_equal(sq_keyring_remove(path, second, NULL), SQ_OK);
    sq_keyring *keyring = open_keyring(path);
    assert_int_equal(sq_keyring_key_count(keyring), 2);
    assert_string_equal(info_of(keyring, 0).id, first);
    assert_string_equal(info_of(keyring, 1).id, third);
    sq_keyring_free(keyring);
}

static void keys_are_named_by_the_beginning_of_their_id(void **state)
{
    (void)state;
    text.count = 0;
    add_text(&text, FIRST "accepted 1234000000000000 " DATE " channel:c " KEY_DIGITS "\n");
    add_text(&text, "accepted 1234000000000001 " DATE " channel:c " KEY_DIGITS "\n");
    add_text(&text, "accepted 12340000ffffffff " DATE " channel:d " KEY_DIGITS "\n");
    add_text(&text, "accepted 5678000000000000 " DATE " channel:c " KEY_DIGITS "\n");
    add_checksum(&text);
    write_text(path, &text);
    static const struct {
        const char *id;
        int result;
        const char *word;
    } rows[] = {
        {"1234", SQ_ENOKEY, "several"},
        {"123400000000000", SQ_ENOKEY, "several"},
        {"1234000000000001", SQ_OK, ""},
        {"5678", SQ_OK, ""},
        {"9abc", SQ_ENOKEY, "no key 9abc"},
        {"12340000ffffffff", SQ_ENOKEY, "channel c"},
        {"567", SQ_EINVAL, "4 to 16"},
        {"", SQ_EINVAL, "4 to 16"},
        {"56780000000000000", SQ_EINVAL, "4 to 16"},
        {NULL, SQ_EINVAL, "4 to 16"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(sq_keyring_promote(path, rows[i].id, "c"), rows[i].result);
        assert_true(rows[i].result == SQ_OK || strstr(sq_last_error_detail(), rows[i].word));
    }
    assert_int_equal(sq_keyring_promote(path, "1234", "d"), SQ_OK);
    assert_int_equal(sq_keyring_retire(path, "5678", NULL), SQ_ENOKEY); /* no master key */
    assert_int_equal(count_primaries(path), 2);                         /* one a scope */
}

/* ── export and import ────────────────────────────────────────────────────────────────────── */

/* What one file exports, merged into another. */
static int transfer(const char *from, const char *channel, const char *to)
{
    int ends[2];
    sq_keyring *source = open_keyring(from), *received = NULL;
    assert_int_equal(pipe(ends), 0);
    int result = sq_keyring_export(source, channel, ends[1]);
    close(ends[1]);
    if (result == SQ_OK)
        result = sq_keyring_open_fd(ends[0], &received);
    close(ends[0]);
    if (result == SQ_OK)
        result = sq_keyring_import(to, received);
    sq_keyring_free(source);
    sq_keyring_free(received);
    return result;
}

static void import_makes_the_file_and_again_changes_nothing(void **state)
{
    (void)state;
    static struct text once, twice;
    make_two_keys();
    const char *other = in_folder("new/other");
    assert_int_equal(transfer(path, NULL, other), 2);
    assert_int_equal(mode_of(other), 0600);
    assert_int_equal(state_of(other, first, ""), SQ_KEY_PRIMARY);
    assert_int_equal(state_of(other, second, ""), SQ_KEY_ACCEPTED);
    read_text(other, &once);
    assert_int_equal(transfer(path, NULL, other), 0);
    read_text(other, &twice);
    assert_memory_equal(twice.bytes, once.bytes, once.count + 1);
}

static void a_retired_key_stays_retired_through_an_import(void **state)
{
    (void)state;
    make_two_keys();
    const char *other = in_folder("other");
    assert_int_equal(transfer(path, NULL, other), 2);
    assert_int_equal(sq_keyring_retire(other, second, NULL), SQ_OK);
    assert_int_equal(transfer(path, NULL, other), 0); /* accepted there, retired here */
    assert_int_equal(state_of(other, second, ""), SQ_KEY_RETIRED);
    const char *third = in_folder("third");
    assert_int_equal(transfer(other, NULL, third), 2);
    assert_int_equal(state_of(third, second, ""), SQ_KEY_RETIRED);
}

static void import_refuses_other_bytes_under_a_known_id(void **state)
{
    (void)state;
    static struct text before, after;
    const char *other = in_folder("other");
    assert_int_equal(result_of_body(CHANNEL_KEY "\n"), SQ_OK);
    text.count = 0;
    add_text(&text, FIRST "primary ff11223344556677 " DATE " channel:c " KEY_DIGITS "\n");
    add_text(&text, "accepted 0011223344556677 " DATE " channel:c %s\n", master_key(1).key);
    add_checksum(&text);
    write_text(other, &text);
    read_text(path, &before);
    assert_int_equal(transfer(other, NULL, path), SQ_EKEYRING);
    read_text(path, &after);
    assert_memory_equal(after.bytes, before.bytes, before.count + 1);
}

static void import_and_export_refuse_wrong_arguments(void **state)
{
    (void)state;
    make_two_keys();
    sq_keyring *keyring = open_keyring(path);
    assert_int_equal(sq_keyring_import(path, NULL), SQ_EINVAL);
    assert_int_equal(sq_keyring_import(NULL, keyring), SQ_EINVAL);
    assert_int_equal(sq_keyring_export(NULL, NULL, 1), SQ_EINVAL);
    assert_int_equal(sq_keyring_export(keyring, "no/name", 1), SQ_EINVAL);
    assert_int_equal(sq_keyring_export(keyring, "", 1), SQ_EINVAL);
    assert_int_equal(sq_keyring_export(keyring, NULL, -1), SQ_EIO);
    sq_keyring_free(keyring);
    assert_int_equal(result_of_body(CHANNEL_KEY "\n"), SQ_OK);
    keyring = open_keyring(path);
    assert_int_equal(sq_keyring_export(keyring, "another", -1), SQ_ENOKEY);
    sq_keyring_free(keyring);
}

static pthread_barrier_t together;

static void *import_together(void *keyring)
{
    pthread_barrier_wait(&together);
    return item(sq_keyring_import(in_folder("other"), keyring));
}

/* All find no file; one makes it, the others find it there when they want to. */
static void imports_at_once_into_no_file_count_each_key_once(void **state)
{
    (void)state;
    enum { IMPORTERS = 6 };
    make_two_keys();
    sq_keyring *keyring = open_keyring(path);
    for (int round = 0; round < 30; round++) {
        pthread_t threads[IMPORTERS];
        int new_keys = 0;
        assert_int_equal(pthread_barrier_init(&together, NULL, IMPORTERS), 0);
        for (int i = 0; i < IMPORTERS; i++)
            threads[i] = start_thread(import_together, keyring);
        for (int i = 0; i < IMPORTERS; i++)
            new_keys += end_thread(threads[i]);
        pthread_barrier_destroy(&together);
        assert_int_equal(new_keys, 2);
        assert_int_equal(unlink(in_folder("other")), 0);
    }
    sq_keyring_free(keyring);
}

/* ── channel keys ─────────────────────────────────────────────────────────────────────────── */

/* Seals on the channel with the primary of one file and opens with another. */
static int passes(const char *sealed_with, const char *opened_with, const char *channel)
{
    uint8_t envelope[256], buffer[256];
    sq_keyring *ours = open_keyring(sealed_with), *theirs = open_keyring(opened_with);
    sq_sealer *sealer = NULL;
    sq_opener *opener = NULL;
    sq_opened opened;
    sq_content content = {.body = "hello", .body_bytes = 5};
    int result = sq_sealer_create(ours, channel, SQ_KIND_MESSAGE, &sealer);
    if (result == SQ_OK) {
        ssize_t bytes = sq_seal(sealer, &content, envelope, sizeof envelope);
        assert_true(bytes > 0);
        assert_int_equal(sq_opener_create(theirs, &opener), SQ_OK);
        result = sq_open(opener, channel, SQ_KIND_MESSAGE, envelope, (size_t)bytes, buffer,
                         sizeof buffer, &opened);
        if (result == SQ_OK)
            assert_memory_equal(opened.body, "hello", 5);
    }
    sq_opener_free(opener);
    sq_sealer_free(sealer);
    sq_keyring_free(ours);
    sq_keyring_free(theirs);
    return result;
}

static void a_channel_key_opens_and_seals_its_channel_and_no_other(void **state)
{
    (void)state;
    make_two_keys();
    const char *other = in_folder("other");
    assert_int_equal(transfer(path, "orders", other), 2);
    assert_int_equal(passes(path, other, "orders"), SQ_OK);
    assert_int_equal(passes(other, path, "orders"), SQ_OK);
    assert_int_equal(passes(path, other, "refunds"), SQ_ENOKEY);
    assert_int_equal(passes(other, path, "refunds"), SQ_ENOKEY);
    assert_int_equal(passes(path, other, "order"), SQ_ENOKEY);
    sq_keyring *keyring = open_keyring(other);
    assert_string_equal(info_of(keyring, 0).channel, "orders");
    assert_string_equal(info_of(keyring, 0).id, first);
    assert_int_equal(sq_keyring_export(keyring, "refunds", -1), SQ_ENOKEY);
    sq_keyring_free(keyring);
}

static void a_channel_export_leaves_retired_keys_and_other_channels_out(void **state)
{
    (void)state;
    make_two_keys();
    assert_int_equal(sq_keyring_retire(path, second, NULL), SQ_OK);
    const char *other = in_folder("other");
    assert_int_equal(transfer(path, "orders", other), 1);
    assert_int_equal(transfer(path, "refunds", other), 1);
    assert_int_equal(transfer(other, "orders", in_folder("third")), 1);
    assert_int_equal(state_of(in_folder("third"), first, "orders"), SQ_KEY_PRIMARY);
    assert_int_equal(count_keys(in_folder("third")), 1);
}

/* Beside master keys, channel keys of the same id or with a primary of their own. */
static void a_channel_export_of_masters_and_channel_keys_can_be_imported(void **state)
{
    (void)state;
    char theirs[SQ_KEY_ID_BYTES];
    make_two_keys();
    const char *other = in_folder("other"), *third = in_folder("third");
    assert_int_equal(sq_keyring_create(other, NULL, theirs), SQ_OK);
    assert_int_equal(transfer(path, "orders", path), 2);
    assert_int_equal(transfer(other, "orders", path), 1);
    assert_int_equal(sq_keyring_promote(path, theirs, "orders"), SQ_OK);
    assert_int_equal(transfer(path, "orders", third), 3);
    assert_int_equal(state_of(third, theirs, "orders"), SQ_KEY_PRIMARY); /* as a sealer takes it */
    assert_int_equal(count_primaries(third), 1);
    assert_int_equal(passes(path, third, "orders"), SQ_OK);
    assert_int_equal(passes(third, other, "orders"), SQ_OK);
    assert_int_equal(passes(third, path, "orders"), SQ_OK);
}

/* ── limits ───────────────────────────────────────────────────────────────────────────────── */

static void write_channel_keys(const char *name, int from, int to)
{
    text.count = 0;
    add_text(&text, "%s", FIRST);
    for (int i = from; i < to; i++)
        add_text(&text, "accepted 0011223344556677 " DATE " channel:c%d " KEY_DIGITS "\n", i);
    add_checksum(&text);
    write_text(name, &text);
}

static void at_256_keys_a_keyring_is_full(void **state)
{
    (void)state;
    const char *other = in_folder("other");
    write_channel_keys(path, 0, SQ_KEYRING_KEYS_MAX + 1);
    assert_int_equal(open_result(path), SQ_EKEYRING);
    write_channel_keys(path, 0, SQ_KEYRING_KEYS_MAX - 1);
    assert_int_equal(sq_keyring_rotate(path, NULL, NULL), SQ_OK);
    assert_int_equal(count_keys(path), SQ_KEYRING_KEYS_MAX);
    assert_int_equal(sq_keyring_add(path, NULL, NULL), SQ_EFULL);
    assert_int_equal(sq_keyring_rotate(path, NULL, NULL), SQ_EFULL);
    write_channel_keys(other, 300, 301);
    assert_int_equal(transfer(other, NULL, path), SQ_EFULL);
    assert_int_equal(transfer(path, NULL, other), SQ_EFULL);
    assert_int_equal(count_keys(other), 1);
    assert_int_equal(sq_keyring_remove(path, "0011", "c7"), SQ_OK);
    assert_int_equal(transfer(other, NULL, path), 1);
}

/* The secure heap has room for what this takes: two full keyrings and their text. */
static void a_full_keyring_can_be_imported_where_it_is_known(void **state)
{
    (void)state;
    write_channel_keys(path, 0, SQ_KEYRING_KEYS_MAX);
    assert_int_equal(transfer(path, NULL, in_folder("other")), SQ_KEYRING_KEYS_MAX);
    assert_int_equal(transfer(path, NULL, in_folder("other")), 0);
}

static void a_keyring_over_64_kib_is_not_written(void **state)
{
    (void)state;
    static struct text before, after;
    text.count = 0;
    add_text(&text, "%s", FIRST);
    for (int i = 0; text.count + 400 < SQ_KEYRING_BYTES_MAX; i++)
        add_text(&text, "accepted %016x " DATE " channel:" NAME_64 " " KEY_DIGITS " " HUNDRED "\n",
                 i);
    add_checksum(&text);
    write_text(path, &text);
    int result;
    while ((result = sq_keyring_add(path, HUNDRED, NULL)) == SQ_OK)
        continue;
    assert_int_equal(result, SQ_EFULL);
    read_text(path, &before);
    assert_true(before.count <= SQ_KEYRING_BYTES_MAX);
    assert_int_equal(sq_keyring_rotate(path, HUNDRED, NULL), SQ_EFULL);
    read_text(path, &after);
    assert_int_equal(after.count, before.count);
    assert_memory_equal(after.bytes, before.bytes, before.count);
    assert_int_equal(open_result(path), SQ_OK);
}

/* ── in memory ────────────────────────────────────────────────────────────────────────────── */

static void a_keyring_lives_as_long_as_its_openers(void **state)
{
    (void)state;
    uint8_t envelope[256], buffer[256];
    sq_sealer *sealer = NULL;
    sq_opener *opener = NULL;
    sq_opened opened;
    assert_int_equal(sq_keyring_create(path, NULL, NULL), SQ_OK);
    sq_keyring *keyring = open_keyring(path);
    assert_int_equal(sq_sealer_create(keyring, "c", SQ_KIND_MESSAGE, &sealer), SQ_OK);
    assert_int_equal(sq_opener_create(keyring, &opener), SQ_OK);
    assert_null(sq_keyring_free(keyring));
    ssize_t bytes = sq_seal(sealer, &(sq_content){.body = "x", .body_bytes = 1}, envelope,
                            sizeof envelope);
    assert_true(bytes > 0);
    assert_int_equal(sq_open(opener, "c", SQ_KIND_MESSAGE, envelope, (size_t)bytes, buffer,
                             sizeof buffer, &opened),
                     SQ_OK);
    sq_sealer_free(sealer);
    size_t used = CRYPTO_secure_used();
    sq_opener_free(opener); /* the last to hold it */
    assert_true(CRYPTO_secure_used() + sizeof(struct sqi_key) < used);
}

static void secrets_lie_on_the_secure_heap_and_are_wiped(void **state)
{
    (void)state;
    uint8_t copy[SQI_KEY_BYTES];
    assert_int_equal(sq_keyring_create(path, NULL, NULL), SQ_OK);
    size_t used = CRYPTO_secure_used(); /* OpenSSL's random generator has its state there too */
    sq_keyring *keyring = open_keyring(path);
    const uint8_t *bytes = keyring->keys[0].bytes;
    assert_true(CRYPTO_secure_allocated(keyring));
    assert_true(CRYPTO_secure_allocated(bytes));
    memcpy(copy, bytes, sizeof copy);
    sq_keyring *shared = sqi_keyring_share(keyring);
    sq_keyring_free(keyring);
    assert_memory_equal(bytes, copy, sizeof copy); /* another holds it */
    sq_keyring_free(shared);
    /* The heap's pages stay mapped: what is left there can be looked at. */
    assert_memory_equal(bytes, ((uint8_t[SQI_KEY_BYTES]){0}), SQI_KEY_BYTES);
    assert_int_equal(CRYPTO_secure_used(), used);
}

static bool kernel_says_locked(void)
{
    char line[256];
    unsigned long locked_kb = 0;
    FILE *status = fopen("/proc/self/status", "re");
    assert_non_null(status);
    while (fgets(line, sizeof line, status))
        sscanf(line, "VmLck: %lu", &locked_kb);
    fclose(status);
    return locked_kb * 1024 >= SQI_SECRET_HEAP_BYTES;
}

static void locked_in_memory_is_what_the_kernel_says(void **state)
{
    (void)state;
    assert_int_equal(sq_keyring_create(path, NULL, NULL), SQ_OK);
    assert_int_equal(sq_keyring_is_locked_in_memory(), kernel_says_locked());
}

static void nothing_is_known_of_no_keyring(void **state)
{
    (void)state;
    sq_key_info info = {.id = "untouched"};
    assert_null(sq_keyring_free(NULL));
    assert_int_equal(sq_keyring_key_count(NULL), 0);
    assert_int_equal(sq_keyring_key_info(NULL, 0, &info), SQ_EINVAL);
    assert_int_equal(sq_keyring_create(path, NULL, NULL), SQ_OK);
    sq_keyring *keyring = open_keyring(path);
    assert_int_equal(sq_keyring_key_info(keyring, 1, &info), SQ_EINVAL);
    assert_int_equal(sq_keyring_key_info(keyring, SIZE_MAX, &info), SQ_EINVAL);
    assert_int_equal(sq_keyring_key_info(keyring, 0, NULL), SQ_EINVAL);
    assert_string_equal(info.id, "untouched");
    sq_keyring_free(keyring);
}

#define keyring_test(function) cmocka_unit_test_setup_teardown(function, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        keyring_test(a_keyring_by_the_book_is_read),
        keyring_test(export_of_a_file_is_that_file),
        keyring_test(every_bit_flipped_under_a_mended_checksum_is_refused),
        keyring_test(lines_that_are_well_formed_are_read),
        keyring_test(lines_that_are_not_well_formed_are_refused),
        keyring_test(dates_that_are_none_are_refused),
        keyring_test(a_newer_version_is_told_apart),
        keyring_test(other_ends_of_lines_and_more_behind_are_refused),
        keyring_test(keys_that_contradict_each_other_are_refused),
        keyring_test(a_channel_key_may_stand_beside_its_master),
        keyring_test(complaints_have_nothing_of_the_keys),
        keyring_test(comments_that_could_do_harm_are_refused),
        keyring_test(promote_makes_the_one_before_accepted),
        keyring_test(a_retired_key_stays_and_cannot_be_promoted),
        keyring_test(remove_keeps_the_order_of_the_others),
        keyring_test(keys_are_named_by_the_beginning_of_their_id),
        keyring_test(import_makes_the_file_and_again_changes_nothing),
        keyring_test(a_retired_key_stays_retired_through_an_import),
        keyring_test(import_refuses_other_bytes_under_a_known_id),
        keyring_test(import_and_export_refuse_wrong_arguments),
        keyring_test(imports_at_once_into_no_file_count_each_key_once),
        keyring_test(a_channel_key_opens_and_seals_its_channel_and_no_other),
        keyring_test(a_channel_export_leaves_retired_keys_and_other_channels_out),
        keyring_test(a_channel_export_of_masters_and_channel_keys_can_be_imported),
        keyring_test(at_256_keys_a_keyring_is_full),
        keyring_test(a_full_keyring_can_be_imported_where_it_is_known),
        keyring_test(a_keyring_over_64_kib_is_not_written),
        keyring_test(a_keyring_lives_as_long_as_its_openers),
        keyring_test(secrets_lie_on_the_secure_heap_and_are_wiped),
        keyring_test(locked_in_memory_is_what_the_kernel_says),
        keyring_test(nothing_is_known_of_no_keyring),
    };
    return cmocka_run_group_tests_name("keyring_rules", tests, NULL, NULL);
}
