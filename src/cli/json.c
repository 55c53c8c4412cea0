/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/complain.h"

int sqi_print_json_part(json_t *part)
{
    char *text = part ? json_dumps(part, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(part);
    if (!text)
        return sqi_complain(SQI_EXIT_SYSTEM, "no memory to print the result: end other programs");
    fputs(text, stdout);
    free(text);
    return SQI_EXIT_OK;
}

int sqi_print_json(json_t *document)
{
    int exit_code = sqi_print_json_part(document);
    if (exit_code == SQI_EXIT_OK)
        putchar('\n');
    return exit_code;
}

json_t *sqi_json_text(const char *text)
{
    json_t *string = json_string(text);
    if (string)
        return string;
    char *escaped = NULL;
    size_t escaped_bytes;
    FILE *file = open_memstream(&escaped, &escaped_bytes);
    if (!file)
        return NULL;
    sqi_print_escaped(file, text);
    if (fclose(file) == 0)
        string = json_string(escaped);
    free(escaped);
    return string;
}

json_t *sqi_json_number(uint64_t number)
{
    return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}
