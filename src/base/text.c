/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

/* '0'…'9' or 'a'…'f' without a branch or a table, for digits of keys: their timing tells nothing.
   (9 - nibble) >> 8 has bits where nibble > 9. */
static char hex_digit(unsigned nibble)
{
    return (char)('0' + nibble + ((unsigned)((9 - (int)nibble) >> 8) & ('a' - '0' - 10)));
}

void sqi_hex_encode(const uint8_t *bytes, size_t byte_count, char *ret_text)
{
    for (size_t i = 0; i < byte_count; i++) {
        ret_text[2 * i] = hex_digit(bytes[i] >> 4);
        ret_text[2 * i + 1] = hex_digit(bytes[i] & 15);
    }
    ret_text[2 * byte_count] = '\0';
}

/* The value of a digit, or a number above 255 when it is none. */
static unsigned hex_value(unsigned char digit)
{
    unsigned decimal = digit - '0', letter = digit - 'a';
    unsigned is_decimal = (unsigned)((int)(decimal - 10) >> 31) & ~(unsigned)((int)decimal >> 31);
    unsigned is_letter = (unsigned)((int)(letter - 6) >> 31) & ~(unsigned)((int)letter >> 31);
    return (is_decimal & decimal) | (is_letter & (letter + 10)) |
           (~(is_decimal | is_letter) & 0x100);
}

bool sqi_hex_decode(const char *text, size_t byte_count, uint8_t *ret_bytes)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < byte_count; i++) {
        unsigned high = hex_value((unsigned char)text[2 * i]);
        if (!text[2 * i]) /* the end: nothing may be read behind it */
            return false;
        unsigned low = hex_value((unsigned char)text[2 * i + 1]);
        if (!text[2 * i + 1])
            return false;
        wrong |= high | low;
        ret_bytes[i] = (uint8_t)(high << 4 | low);
    }
    return wrong < 0x100;
}

/* The size of the UTF-8 sequence at text: 1 to 4, or 0 when it is none, overlong or a surrogate. */
static unsigned sequence_bytes(const unsigned char *text)
{
    unsigned char first = text[0], second = first ? text[1] : 0;
    unsigned bytes = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (bytes == 1)
        return 1;
    if (first < 0xc2 || first > 0xf4 || (first == 0xe0 && second < 0xa0) ||
        (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
        (first == 0xf4 && second > 0x8f))
        return 0;
    for (unsigned i = 1; i < bytes; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return bytes;
}

bool sqi_is_printable(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        unsigned bytes = sequence_bytes(at);
        if (bytes == 0 || at[0] < 0x20 || at[0] == 0x7f || (at[0] == 0xc2 && at[1] < 0xa0))
            return false;
        at += bytes;
    }
    return true;
}
