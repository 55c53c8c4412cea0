/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/complain.h"

static struct {
    sigset_t set;
    pthread_mutex_t lock;
    bool is_watched; /* guarded by lock */
    void (*on_signal)(int signal, unsigned count, void *context);
    void *context;
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *watch_signals(void *unused)
{
    int signal;
    for (unsigned count = 1; sigwait(&watch.set, &signal) == 0; count++) {
        pthread_mutex_lock(&watch.lock);
        if (!watch.is_watched)
            _exit(SQI_EXIT_SIGNAL + signal);
        watch.on_signal(signal, count, watch.context);
        pthread_mutex_unlock(&watch.lock);
    }
    return unused;
}

int sqi_watch_signals(void (*on_signal)(int signal, unsigned count, void *context), void *context)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    sigemptyset(&watch.set);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction action;
        if (sigaction(signals[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&watch.set, signals[i]);
    }
    watch.on_signal = on_signal;
    watch.context = context;
    watch.is_watched = true;
    pthread_sigmask(SIG_BLOCK, &watch.set, NULL);
    pthread_t thread;
    int error = pthread_create(&thread, NULL, watch_signals, NULL);
    if (error != 0)
        return sqi_complain(SQI_EXIT_SYSTEM, "cannot start a thread: %s: end other programs",
                            strerror(error));
    pthread_detach(thread);
    return SQI_EXIT_OK;
}

void sqi_unwatch_signals(void)
{
    pthread_mutex_lock(&watch.lock);
    watch.is_watched = false;
    pthread_mutex_unlock(&watch.lock);
}
