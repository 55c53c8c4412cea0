/* SPDX-License-Identifier: Apache-2.0 */
/* Printing JSON: one line, in ASCII, so that nothing in it steers a terminal. */
#ifndef SQI_CLI_JSON_H
#define SQI_CLI_JSON_H

#include <jansson.h>
#include <stdint.h>

/* Prints a document on one line and frees it: 0, or the exit code after a complaint. NULL counts
   as one that no memory could be had for. */
int sqi_print_json(json_t *document);

/* The same with neither the newline nor more after it: a part of a longer document. */
int sqi_print_json_part(json_t *part);

/* A string of text that may be no UTF-8: what is not is written as \\xNN. */
json_t *sqi_json_text(const char *text);

json_t *sqi_json_number(uint64_t number);

#endif
