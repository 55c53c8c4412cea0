/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include <inttypes.h>

static const char *const kind_names[] = {
    [SQT_PUT] = "put",
    [SQT_PUT_MANY] = "put_many",
    [SQT_GET] = "get",
    [SQT_GET_MANY] = "get_many",
    [SQT_TASK_DONE] = "task_done",
    [SQT_JOIN] = "join",
    [SQT_SHUTDOWN] = "shutdown",
    [SQT_SHUTDOWN_IMMEDIATE] = "shutdown immediate",
    [SQT_STAT] = "stat",
    [SQT_FREE] = "free",
};

static void print_items(const struct sqt_call *call, FILE *file)
{
    fprintf(file, " [");
    for (unsigned i = 0; i < call->item_count; i++)
        fprintf(file, i ? " %u" : "%u", call->items[i]);
    fprintf(file, "]");
}

static void print_arguments(const struct sqt_call *call, FILE *file)
{
    switch (call->kind) {
    case SQT_PUT:
    case SQT_PUT_MANY:
        print_items(call, file);
        break;
    case SQT_GET_MANY:
        fprintf(file, " at most %zu", call->n);
        break;
    case SQT_TASK_DONE:
        fprintf(file, " %zu", call->n);
        break;
    default:
        break;
    }
    if (call->kind <= SQT_GET_MANY || call->kind == SQT_JOIN) {
        if (call->timeout_ms == SQ_FOREVER)
            fprintf(file, " for ever");
        else
            fprintf(file, " %" PRId64 " ms", call->timeout_ms);
    }
}

static void print_answer(const struct sqt_call *call, FILE *file)
{
    fprintf(file, " -> ");
    if (call->returned == 0) {
        fprintf(file, "STILL INSIDE");
        return;
    }
    if (call->result < 0)
        fprintf(file, "%s", sq_error_name((int)call->result));
    else
        fprintf(file, "%zd", call->result);
    if (call->kind == SQT_GET || call->kind == SQT_GET_MANY ||
        call->kind == SQT_SHUTDOWN_IMMEDIATE || call->kind == SQT_FREE)
        print_items(call, file);
    if (call->kind == SQT_STAT)
        fprintf(file,
                " size %" PRIu64 ", unfinished %" PRIu64 ", puts %" PRIu64 ", gets %" PRIu64
                ", dones %" PRIu64 ", drops %" PRIu64 "%s",
                call->stats.size, call->stats.unfinished, call->stats.puts, call->stats.gets,
                call->stats.dones, call->stats.drops, call->stats.is_shutdown ? ", shut down" : "");
}

void sqt_call_print(const struct sqt_call *call, FILE *file)
{
    fprintf(file, "# %3" PRIu64 " to %3" PRIu64 "  thread %u  %s", call->invoked, call->returned,
            call->thread, kind_names[call->kind]);
    print_arguments(call, file);
    print_answer(call, file);
    fprintf(file, "\n");
}

void sqt_history_print(const struct sqt_history *history, FILE *file)
{
    static const char *const orders[] = {"FIFO", "LIFO", "PRIORITY"};
    fprintf(file, "# SEALQ_TEST_SEED=%" PRIu64 " SEALQ_HISTORIES=1: %s, capacity %" PRIu64 "\n",
            history->seed, orders[history->order], history->capacity);
    for (unsigned i = 0; i < history->call_count; i++)
        sqt_call_print(&history->calls[i], file);
}
