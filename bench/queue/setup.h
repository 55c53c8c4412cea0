/* SPDX-License-Identifier: Apache-2.0 */
/* What a program of harness.h is to do, from its command line. */
#ifndef BENCH_QUEUE_SETUP_H
#define BENCH_QUEUE_SETUP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY 65536
#define THREADS_MAX 128

enum mode { MODE_RATE, MODE_PINGPONG, MODE_MEMORY };

struct setup {
    enum mode mode;
    uint64_t producers, consumers, items;
    uint64_t capacity;    /* 0: unbounded, where the queue can be both */
    uint64_t batch;       /* items a call */
    uint64_t hints;       /* 1: tell the queue that each side is one thread */
    uint64_t join_at_end; /* 1: a consumer counts its items as done at its end */
    uint64_t joiner;      /* 1: a thread waits meanwhile until all is done */
    uint64_t pause_us;    /* pingpong: how long to wait before each round, so the other sleeps */
};

#ifdef HAS_BATCHES
#define HAS_OPTIONS true
#else
#define HAS_OPTIONS false
#endif

static inline __attribute__((format(printf, 1, 2), noreturn)) void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text || *end)
        die("%s is no number", text);
    return value;
}

static void set_option(struct setup *setup, const char *text)
{
    const struct {
        const char *name;
        uint64_t *value;
        bool is_for_all;
    } options[] = {
        {"CAPACITY=", &setup->capacity, true},
        {"PAUSE_US=", &setup->pause_us, true},
        {"BATCH=", &setup->batch, HAS_OPTIONS},
        {"HINTS=", &setup->hints, HAS_OPTIONS},
        {"JOIN_AT_END=", &setup->join_at_end, HAS_OPTIONS},
        {"JOINER=", &setup->joiner, HAS_OPTIONS},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        size_t bytes = strlen(options[i].name);
        if (options[i].is_for_all && strncmp(text, options[i].name, bytes) == 0) {
            *options[i].value = number(text + bytes);
            return;
        }
    }
    if (strcmp(text, "MODE=pingpong") == 0)
        setup->mode = MODE_PINGPONG;
    else if (strcmp(text, "MODE=memory") == 0)
        setup->mode = MODE_MEMORY;
    else if (strcmp(text, "MODE=rate") != 0)
        die("this queue has no option %s", text);
}

static struct setup read_setup(int argc, char **argv)
{
    if (argc < 4)
        die("usage: %s PRODUCERS CONSUMERS ITEMS [OPTION=VALUE...]", argv[0]);
    struct setup setup;
    memset(&setup, 0, sizeof setup);
    setup.producers = number(argv[1]);
    setup.consumers = number(argv[2]);
    setup.items = number(argv[3]);
    setup.capacity = CAPACITY;
    setup.batch = 1;
    for (int i = 4; i < argc; i++)
        set_option(&setup, argv[i]);
    if (!setup.producers || !setup.consumers || setup.producers > THREADS_MAX / 2 ||
        setup.consumers > THREADS_MAX / 2 || !setup.items || setup.items % setup.producers ||
        setup.items % setup.consumers)
        die("ITEMS is to be a multiple of 1 to %d PRODUCERS and CONSUMERS", THREADS_MAX / 2);
    return setup;
}

#endif
