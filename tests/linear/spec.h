/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What sealq/queue.h promises, as a machine that takes one step at a time.
 *
 * A call is a row of steps, each at one instant between its beginning and its end; what the header
 * does not promise to be one step is several, between which other calls may take theirs:
 *
 *     put                  add if there is room    |  "full"   |  "shut down"
 *     put_many             a put for each item that went in, in order
 *     get                  take whose turn it is   |  "empty"  |  "shut down and empty"
 *     get_many             a get for each item that it got, in order
 *     task_done            count                   |  "too many"
 *     join                 "nothing unfinished"    |  "something unfinished"
 *     shutdown             close
 *     shutdown, immediate  close, a get for each item dropped, in order, "empty", count
 *     stat                 "these counters"
 *     free                 "these items, in this order"
 *
 * Steps in quotes only look. Adding an item and its counting as unfinished are one step: stat shows
 * both "for one instant".
 *
 * A put_many or get_many that moved fewer than it might needs an excuse: an instant at which there
 * was no more room, or item, than it still moved; so that looking first, how many, and moving them
 * later is legal, and so is moving until there is no more.
 */
#ifndef SQT_SPEC_H
#define SQT_SPEC_H

#include "history.h"

/* One point of a search: what the queue holds, and how far each call is. Compared as bytes: items
   beyond the count are 0. */
struct sqt_state {
    uint64_t excused; /* one bit a call */
    uint64_t put;     /* one bit an item that was ever put */
    uint8_t steps[SQT_CALLS_MAX];
    uint8_t items[SQT_ITEMS_MAX]; /* in the order of putting */
    uint8_t item_count, unfinished, puts, gets, drops;
    uint8_t is_closed;
    uint8_t zero[2];
};

_Static_assert(SQT_CALLS_MAX <= 64 && SQT_ITEMS_MAX <= 64, "a bit each");
_Static_assert(sizeof(struct sqt_state) == 16 + SQT_CALLS_MAX + SQT_ITEMS_MAX + 8, "no padding");

/* Whether the call has taken all of its steps, and its excuse when it needs one. */
bool sqt_is_complete(const struct sqt_history *history, unsigned index,
                     const struct sqt_state *state);

/* Takes all that the call can do now without changing the queue: the next steps that only look,
   and its excuse. Whether there was anything. Never wrong to take at once: it forbids nothing. */
bool sqt_look(const struct sqt_history *history, unsigned index, struct sqt_state *state);

/* Takes the call's next step if it is one that changes the queue and is legal now. */
bool sqt_change(const struct sqt_history *history, unsigned index, struct sqt_state *state);

#endif
