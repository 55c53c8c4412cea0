/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How gets wait for items: producers, and getters of which one may time out. The steps of put and
 * get are in fifo.pml, those of the gate in parts.pml.
 *
 *     getter          wait_until in queue.c; its tries before the enter are one
 *
 * Checked: when nothing can move any more, nobody is asleep while there is an item; all items were
 * put, and got once; the sleepers are those that are asleep, and nobody waits for a slot, a claim
 * or the lock. Each MUTANT_… takes one rule away, and must make that fail.
 */
#ifndef GETTERS
#define GETTERS 3
#endif
#ifndef ITEMS_EACH
#define ITEMS_EACH 1
#endif
#define TIMED 0 /* this getter may time out */

#include "fifo.pml"

byte over, finished; /* getters that timed out, producers that ended */

proctype producer(byte me) {
    byte i, ticket, own_tail;
    mtype outcome;
    bool did_biased, may_try, does_wake;
    for (i : 1 .. ITEMS_EACH) {
        put(me);
        outcome = NONE
    }
    finished++
}

proctype getter(byte me) {
    mtype outcome;
    bool does_wake, is_over;
#ifdef FINE
    byte ticket;
    bool has_item;
#endif
again:
    try();
    if
    :: outcome == DONE -> outcome = NONE; goto again
    :: else
    fi;
    enter(GET_GATE, me);
    before_sleep();
#ifndef MUTANT_NO_LOOK_BEFORE_SLEEP
    try();
#endif
#ifdef MUTANT_EPOCH_AFTER_LOOK
    fresh[GET_GATE] = fresh[GET_GATE] | BIT(me);
#endif
    if
    :: outcome == MUST_WAIT -> sleep(GET_GATE, me, me == TIMED, is_over)
    :: else
    fi;
#ifdef MUTANT_LEAVE_KEEPS_WAKING
    leave(GET_GATE, me, true);
#elif defined MUTANT_TIMED_OUT_KEEPS_WAKING
    leave(GET_GATE, me, is_over);
#else
    leave(GET_GATE, me, false);
#endif
    if
#ifdef MUTANT_NO_LOOK_AFTER_LEAVE
    :: false
#elif defined MUTANT_TIMED_OUT_DOES_NOT_LOOK || defined MUTANT_TIMED_OUT_KEEPS_WAKING
    :: outcome == MUST_WAIT && !is_over -> try()
#else
    :: outcome == MUST_WAIT -> try()
#endif
    :: else
    fi;
#ifndef MUTANT_NO_CHAIN
    if
    :: outcome != MUST_WAIT -> chain()
    :: else
    fi;
#endif
    if
    :: !is_over -> outcome = NONE; goto again
    :: else
    fi;
    over++
}

init {
    byte i;
    atomic {
        for (i : 0 .. GETTERS - 1) { run getter(i) }
        for (i : 0 .. PRODUCERS - 1) { run producer(i) }
    }
}

/* Goes on when nothing else can: every process has ended, or waits for ever. */
active proctype judge() {
    byte i;
end:
    timeout ->
    assert(finished == PRODUCERS);
    assert(tail == PRODUCERS * ITEMS_EACH && head <= tail);
    assert(head == tail || asleep[GET_GATE] == 0);
    assert(head == tail || over == GETTERS);
    assert(ended == BIT(head) - 1);
    i = (asleep[GET_GATE] & 1) + (asleep[GET_GATE] / 2 & 1) + asleep[GET_GATE] / 4;
    assert(sleepers[GET_GATE] == i && over + i == GETTERS);
    assert(!is_in_use && !is_locked)
}
