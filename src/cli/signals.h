/* SPDX-License-Identifier: Apache-2.0 */
/* SIGINT, SIGTERM and SIGHUP as events, for commands that end in good order. */
#ifndef SQI_CLI_SIGNALS_H
#define SQI_CLI_SIGNALS_H

/*
 * From now on each of them is told to on_signal, with its count from 1, in a thread of its own.
 * Those that were ignored, as nohup(1) does, stay ignored. To be called before other threads are
 * made. Returns 0, or the exit code after a complaint.
 */
int sqi_watch_signals(void (*on_signal)(int signal, unsigned count, void *context), void *context);

/* on_signal is not called any more once this returned; a signal then ends the process. */
void sqi_unwatch_signals(void);

#endif
