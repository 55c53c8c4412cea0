/* SPDX-License-Identifier: Apache-2.0 */
/* A keyring as text, and back: docs/FORMAT.md. */
#ifndef SQI_SEAL_KEYRING_TEXT_H
#define SQI_SEAL_KEYRING_TEXT_H

#include "seal/keyring.h"

/* Reads a keyring from text_bytes of text, followed by a NUL. The secrets in the text are the
   caller's to wipe. name is for the sentence of what is wrong. SQ_EKEYRING, SQ_EVERSION,
   SQ_ENOMEM. more_room: keys that will be added. */
int sqi_keyring_parse(const char *text, size_t text_bytes, const char *name, size_t more_room,
                      sq_keyring **ret_keyring);

/* Writes it as text on the secure heap; *ret_bytes without the final NUL, *ret_room what to free.
   SQ_EFULL (over SQ_KEYRING_BYTES_MAX), SQ_ENOMEM. */
int sqi_keyring_print(const sq_keyring *keyring, char **ret_text, size_t *ret_bytes,
                      size_t *ret_room);

const char *sqi_key_state_name(sq_key_state state);

#endif
