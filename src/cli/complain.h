/* SPDX-License-Identifier: Apache-2.0 */
/* Diagnostics: one line on stderr, `sealq: what happened: what to do`. */
#ifndef SQI_CLI_COMPLAIN_H
#define SQI_CLI_COMPLAIN_H

#include <stdio.h>

#include <stdbool.h>

/* Prints the line and returns the exit code, so that a command can `return sqi_complain(…)`.
   Whatever in it could move a terminal's cursor or change its colours is escaped as \xNN. */
int sqi_complain(int exit_code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a failed call of the library: its sentence, after what (or nothing, when NULL), and
   the exit code that fits. */
int sqi_complain_of(int error, const char *what);

/* Prints text with whatever could move a terminal's cursor or change its colours as \xNN. */
void sqi_print_escaped(FILE *file, const char *text);

/* Flushes stdout: the exit code, and a complaint when anything printed there was not written. */
int sqi_finish_output(int exit_code);

/* For what must stay together on stderr: a thread may hold it more than once. */
void sqi_lock_stderr(void);
bool sqi_try_lock_stderr(void);
void sqi_unlock_stderr(void);

#endif
