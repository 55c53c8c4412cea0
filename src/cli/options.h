/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing a command's options and explaining them, both from its table. */
#ifndef SQI_CLI_OPTIONS_H
#define SQI_CLI_OPTIONS_H

#include "cli/command.h"

/*
 * Parses the options in argv[1…] into their targets: those of the command's table and the global
 * ones; with command NULL the global ones alone, up to the first word that is no option.
 *
 * Returns the index of the first argument, after moving all of them behind the options; or
 * SQI_PARSE_HELP after --help was printed, or SQI_PARSE_WRONG after a complaint.
 */
enum { SQI_PARSE_HELP = -1, SQI_PARSE_WRONG = -2 };
int sqi_options_parse(const struct sqi_command *command, int argc, char **argv);

/* Prints what --help of a command says. */
void sqi_options_help(const struct sqi_command *command);

#endif
