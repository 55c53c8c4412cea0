/* SPDX-License-Identifier: Apache-2.0 */
/* Text: hexadecimal digits, and what may be shown to a person. */
#ifndef SQI_BASE_TEXT_H
#define SQI_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/export.h"

/* Writes 2 digits a byte, lower case, and a NUL. Takes the same time for all values. */
SQI_API void sqi_hex_encode(const uint8_t *bytes, size_t byte_count, char *ret_text);

/* Reads exactly 2 * byte_count lower-case digits; false, and the output unspecified, when the text
   has anything else. Takes the same time for all digits. */
SQI_API bool sqi_hex_decode(const char *text, size_t byte_count, uint8_t *ret_bytes);

/* Valid UTF-8 without control characters (C0, DEL, C1). */
SQI_API bool sqi_is_printable(const char *text);

#endif
