/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a queue: producers, closers, and getters that go on until they are told that the queue
 * is shut down and empty. With CAPACITY producers wait for room. The steps of put and get are in
 * fifo.pml, those of the gates in parts.pml.
 *
 *     producer        sq_queue_put and wait_until in queue.c
 *     getter          sq_queue_get and wait_until
 *     closer          sq_queue_shutdown; the immediate one, or not
 *     close           sqi_counts_close in counts.c: end of bias, fetch_or of tail
 *     drain           sqi_fifo_drain, sqi_counts_drain: load of tail, which is closed and stays;
 *                     compare-and-swap of head; then a wait a slot
 *
 * Checked: after a get was told so nothing is put (fifo.pml); everybody ends; each item that was
 * put was got or dropped, once; the queue stays closed. Each MUTANT_… takes one rule away, and
 * must make that fail.
 */
#ifndef GETTERS
#define GETTERS 2
#endif
#ifndef ITEMS_EACH
#define ITEMS_EACH 2
#endif
#ifndef CLOSERS
#define CLOSERS 1
#endif

#include "fifo.pml"

byte puts, gone; /* puts: that succeeded; gone: processes that ended */

proctype producer(byte me) {
    byte i, ticket, own_tail;
    mtype outcome;
    bool did_biased, may_try, does_wake, times_out;
    for (i : 1 .. ITEMS_EACH) {
again:
        put(me);
#ifdef CAPACITY
        if
        :: outcome == MUST_WAIT ->
            d_step { flush(me); count_in(PUT_GATE, me) };
            put(me);
            if
            :: outcome == MUST_WAIT -> sleep(PUT_GATE, me, false, times_out)
            :: else
            fi;
            d_step { flush(me); count_out(PUT_GATE, me, false) };
            if
            :: outcome == MUST_WAIT -> put(me)
            :: else
            fi;
            if
            :: outcome == MUST_WAIT -> goto again
            :: else ->                                   /* chain: there is room */
                if
                :: TICKET(tail) - TICKET(head) < CAPACITY ->
                    flush_and_wake_one(PUT_GATE, me, false, does_wake)
                :: TICKET(tail) - TICKET(head) >= CAPACITY || sleepers[PUT_GATE] == 0
                fi
            fi
        :: else
        fi;
#endif
        if
        :: outcome == DONE -> outcome = NONE; puts++
        :: else -> break
        fi
    }
    gone++
}

proctype getter(byte me) {
    mtype outcome;
    bool does_wake, times_out;
#ifdef FINE
    byte ticket;
    bool has_item;
#endif
    do
    :: try();
       if
       :: outcome == MUST_WAIT ->
           enter(GET_GATE, me);
           before_sleep();
           try();
           if
           :: outcome == MUST_WAIT -> sleep(GET_GATE, me, false, times_out)
           :: else
           fi;
           leave(GET_GATE, me, false);
           if
           :: outcome == MUST_WAIT -> try()
           :: else
           fi;
           if
           :: outcome != MUST_WAIT -> chain()
           :: else
           fi
       :: else
       fi;
       if
       :: outcome == SHUT -> break
       :: else -> outcome = NONE
       fi
    od;
    gone++
}

inline close() {
#ifdef BIASED
#ifdef MUTANT_CLOSE_KEEPS_BIAS
    skip;
#elif defined MUTANT_CLOSE_TAKES_ENDING_FOR_ENDED
    if
    :: bias > BIAS_ENDING -> end_the_bias()
    :: else
    fi;
#else
    end_the_bias();
#endif
#endif
#ifdef MUTANT_CLOSE_IN_TWO_STEPS
    count = tail;
    tail = count | CLOSED
#else
    tail = tail | CLOSED
#endif
}

inline drain() {
#ifdef MUTANT_DRAIN_IN_TWO_STEPS
    ticket = head;
    d_step {
#else
    d_step {
        ticket = head;
#endif
        count = (ticket & DRAINED -> 0 : TICKET(tail) - ticket);
        head = TICKET(tail) | DRAINED
    };
    do
    :: count > 0 ->
#ifndef MUTANT_DRAIN_SKIPS_UNPUBLISHED
        HAS_PUBLISHED(ticket);
#endif
        atomic {
            assert(published & BIT(ticket));
            assert(!(ended & BIT(ticket)));
            ended = ended | BIT(ticket);
            ticket++;
            count--
        }
    :: else -> break
    od
}

proctype closer() {
    byte ticket, count;
    bool does_wake;
    close();
#ifdef CAPACITY
    wake_all(PUT_GATE, does_wake);
#endif
#ifndef MUTANT_CLOSE_DOES_NOT_WAKE
    wake_all(GET_GATE, does_wake);
#endif
    if
    :: drain() /* immediate */
    :: skip
    fi;
    gone++
}

init {
    byte i;
    atomic {
        for (i : 0 .. GETTERS - 1) { run getter(i) }
        for (i : 0 .. PRODUCERS - 1) { run producer(i) }
        for (i : 1 .. CLOSERS) { run closer() }
    }
}

/* Goes on when nothing else can: every process has ended, or waits for ever. */
active proctype judge() {
end:
    timeout ->
    assert(gone == PRODUCERS + GETTERS + CLOSERS);
    assert(tail & CLOSED);
    assert(TICKET(tail) == TICKET(head) && TICKET(tail) == puts);
    assert(ended == BIT(puts) - 1);
    assert(sleepers[GET_GATE] == 0 && !is_in_use && !is_locked);
#ifdef CAPACITY
    assert(sleepers[PUT_GATE] == 0)
#endif
}
