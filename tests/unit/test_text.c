/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal digits, and what may be shown to a person. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "testing.h"

static void hex_round_trips_every_byte(void **state)
{
    (void)state;
    for (unsigned value = 0; value < 256; value++) {
        uint8_t byte = (uint8_t)value, again = (uint8_t)~value;
        char text[3], expected[3];
        sqi_hex_encode(&byte, 1, text);
        snprintf(expected, sizeof expected, "%02x", value);
        assert_string_equal(text, expected);
        assert_true(sqi_hex_decode(text, 1, &again));
        assert_int_equal(again, byte);
    }
}

static void hex_of_several_bytes_keeps_their_order(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
    uint8_t again[sizeof bytes];
    char text[2 * sizeof bytes + 1];
    sqi_hex_encode(bytes, sizeof bytes, text);
    assert_string_equal(text, "0123456789abcdef");
    assert_true(sqi_hex_decode("0123456789abcdef and more", sizeof bytes, again));
    assert_memory_equal(again, bytes, sizeof bytes);
    sqi_hex_encode(bytes, 0, text);
    assert_string_equal(text, "");
}

static void hex_refuses_every_other_character(void **state)
{
    (void)state;
    for (unsigned value = 0; value < 256; value++) {
        char character = (char)value;
        bool is_digit = value && strchr("0123456789abcdef", character) != NULL;
        uint8_t byte;
        assert_int_equal(sqi_hex_decode((char[]){character, '0', 0}, 1, &byte), is_digit);
        assert_int_equal(sqi_hex_decode((char[]){'0', character, 0}, 1, &byte), is_digit);
        assert_int_equal(sqi_hex_decode((char[]){character, 'f', 0}, 1, &byte), is_digit);
    }
}

/* Each text in memory of exactly its size: a sanitizer sees a step beyond. */
static void hex_refuses_a_short_text_and_stops_at_its_end(void **state)
{
    (void)state;
    static const char digits[] = "0011223344556677";
    for (size_t count = 0; count < sizeof digits - 1; count++) {
        uint8_t bytes[8];
        char *text = strndup(digits, count);
        assert_non_null(text);
        assert_false(sqi_hex_decode(text, 8, bytes));
        assert_int_equal(sqi_hex_decode(text, count / 2, bytes), true);
        free(text);
    }
}

static void printable_is_utf8_without_control_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_printable;
    } rows[] = {
        {"", true},
        {"plain ~ text", true},
        {"\u00e9\u00a0\u20ac", true},
        {"\U0001f512", true},
        {"\xf4\x8f\xbf\xbf", true}, /* U+10FFFF, the last */
        {"\xed\x9f\xbf", true},     /* U+D7FF, before the surrogates */
        {"\xee\x80\x80", true},     /* U+E000, behind them */
        {"\n", false},
        {"\t", false},
        {"\x01", false},
        {"\x1b[31m", false},
        {"a\x7f", false},
        {"\xc2\x80", false}, /* C1, first and last */
        {"\xc2\x9f", false},
        {"\x80", false},             /* no first byte */
        {"\xc3", false},             /* cut off */
        {"\xe2\x82", false},         /* cut off */
        {"\xf0\x9f\x94", false},     /* cut off */
        {"\xc3\x28", false},         /* no second byte */
        {"\xe2\x82\x28", false},     /* no third */
        {"\xc0\xaf", false},         /* overlong */
        {"\xc1\xbf", false},         /* overlong */
        {"\xe0\x9f\xbf", false},     /* overlong */
        {"\xf0\x8f\xbf\xbf", false}, /* overlong */
        {"\xed\xa0\x80", false},     /* a surrogate */
        {"\xf4\x90\x80\x80", false}, /* behind the last */
        {"\xf5\x80\x80\x80", false},
        {"\xff", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (sqi_is_printable(rows[i].text) != rows[i].is_printable)
            fail_msg("row %zu is not %d", i, rows[i].is_printable);
}

static void printable_agrees_for_every_single_byte(void **state)
{
    (void)state;
    for (unsigned value = 1; value < 256; value++)
        assert_int_equal(sqi_is_printable((char[]){(char)value, 0}), value >= 0x20 && value < 0x7f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_round_trips_every_byte),
        cmocka_unit_test(hex_of_several_bytes_keeps_their_order),
        cmocka_unit_test(hex_refuses_every_other_character),
        cmocka_unit_test(hex_refuses_a_short_text_and_stops_at_its_end),
        cmocka_unit_test(printable_is_utf8_without_control_characters),
        cmocka_unit_test(printable_agrees_for_every_single_byte),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
