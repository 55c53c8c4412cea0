/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Put and get of a FIFO, for park.pml and close.pml. With BIASED claims are plain stores until the
 * bias ends. The first producer takes it; or, where there is one producer, it is anybody's. Another
 * producer ends it, or a getter at any of its sleeps, or a closer.
 *
 *     put             try_put in queue.c: the claim, sqi_fifo_add's store to the slot (whose item is
 *                     its ticket), the wake
 *     claim, biased   sqi_fifo_claim by store, between sqi_bias_enter and sqi_bias_leave: an access
 *                     a step. Full and closed are what sqi_fifo_find_room then finds
 *     claim, else     sqi_fifo_claim by swap: loads, and the compare-and-swap of tail. One step: what
 *                     was loaded counts only if tail is the same still, and head only grew
 *     try             sqi_fifo_get: sqi_fifo_take and sqi_fifo_find_item, sqi_relax being a wait.
 *                     With FINE an access a step, but for the second load of head, as head stays
 *                     where it is while its slot is not published. Else one step, the last one: a
 *                     slot stays published, so what was read before is as it was, or is thrown away
 *     chain           chain in queue.c. With FINE an access a step. Else two steps, which allow all
 *                     that those do, and to go on when there is no sleeper
 *     before_sleep    sqi_bias_barrier in bias.c
 *     take_bias       the compare-and-swap of sqi_bias_settle there
 *     end_the_bias    sqi_bias_end there
 *     end_bias        end there: an access a step. Its last store is one that others see at once, for
 *                     the unlock is what comes next
 *
 * Not modelled: slots that are written again, so neither the limits nor segments.
 */
#define CLOSED 64
#define DRAINED 64
#define TICKET(number) ((number) & 63)
#define HAS_PUBLISHED(ticket_) (!((ticket_) & DRAINED) && (published & (1 << (ticket_))))

#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef BIASED
#define BUFFER_MAX 2
#endif
#ifndef BUFFER_MAX
#define BUFFER_MAX 6 /* a biased put makes four stores */
#endif

#define BIAS_ENDED 0
#define BIAS_ENDING 1
#define BIAS_NOBODY 2
#define BIAS_ANYBODY 3
#define SELF(me) (4 + (me))

#define GET_GATE 0
#define PUT_GATE 1
#ifdef CAPACITY
#define GATES 2
#else
#define GATES 1
#endif

byte tail, head, published; /* published: a bit a slot */
byte ended;                 /* a bit an item: got or dropped */
bool is_in_use, is_locked;
#ifdef BIASED
byte bias = (PRODUCERS == 1 -> BIAS_ANYBODY : BIAS_NOBODY);
#endif
bool has_answered; /* a get: shut down and empty */

mtype = { NONE, DONE, MUST_WAIT, SHUT };  /* outcomes */
mtype = { TAIL, IS_IN_USE, PUBLISHED }; /* what plain stores go to */

/* A store becomes visible. */
inline write() {
    if
    :: where == TAIL -> assert(!has_answered); tail = value
    :: where == IS_IN_USE -> is_in_use = value
    :: where == PUBLISHED -> published = published | (1 << value)
    fi
}

#define BUFFERS PRODUCERS
#include "parts.pml"

/* ── the bias ── */

/* Inside of a step: producers have something to flush, others have not. */
inline take_bias(me) {
    if
    :: bias == BIAS_NOBODY -> bias = SELF(me); may_try = true
    :: else
    fi
}

inline end_bias() {
    bias = BIAS_ENDING;
#ifndef MUTANT_END_OF_BIAS_WITHOUT_BARRIER
    membarrier();
#endif
#ifndef MUTANT_END_OF_BIAS_DOES_NOT_WAIT
    !is_in_use;
#endif
    bias = BIAS_ENDED
}

inline end_the_bias() {
    if
    :: bias == BIAS_ENDED
    :: else ->
        atomic { !is_locked -> is_locked = true };
        if
        :: bias != BIAS_ENDED -> end_bias()
        :: else
        fi;
        is_locked = false
    fi
}

inline before_sleep() {
#ifdef BIASED
    if
    :: bias == BIAS_ENDED || bias == BIAS_NOBODY
    :: else ->
        atomic { !is_locked -> is_locked = true };
        if
        :: bias != BIAS_ENDED ->
            if
            :: end_bias() /* too many sleeps, or the barrier failed */
#ifdef MUTANT_NO_MEMBARRIER
            :: skip
#else
            :: membarrier()
#endif
            fi
        :: else
        fi;
        is_locked = false
    fi
#else
    skip
#endif
}

/* ── put ── */

inline claim_biased(me) {
    store(me, IS_IN_USE, true);
    if
#ifdef MUTANT_BIAS_CHECKED_ONCE
    :: true ->
#else
    :: bias > BIAS_ENDING ->
#endif
        ticket = (HAS_STORED(me, TAIL, own_tail) -> own_tail : tail);
        if
        :: ticket & CLOSED -> outcome = SHUT
#ifdef CAPACITY
        :: !(ticket & CLOSED) && ticket - TICKET(head) >= CAPACITY -> outcome = MUST_WAIT
        :: !(ticket & CLOSED) && ticket - TICKET(head) < CAPACITY ->
#else
        :: else ->
#endif
            own_tail = ticket + 1;
            store(me, TAIL, own_tail);
            outcome = DONE
        fi;
        did_biased = true
    :: else
    fi;
    store(me, IS_IN_USE, false)
}

inline claim(me) {
    did_biased = false;
    outcome = NONE;
#ifdef BIASED
    ticket = bias;
    if
#ifdef MUTANT_ENDING_TAKEN_FOR_ENDED
    :: ticket <= BIAS_ENDING
#else
    :: ticket == BIAS_ENDED
#endif
    :: else ->
        if
        :: ticket == SELF(me) || ticket == BIAS_ANYBODY -> may_try = true
        :: else ->
#ifdef MUTANT_BIAS_TAKEN_IN_TWO_STEPS
            if
            :: bias == BIAS_NOBODY -> bias = SELF(me); may_try = true
            :: else
            fi
#else
            d_step { flush(me); take_bias(me) }
#endif
        fi;
        if
        :: may_try -> may_try = false; claim_biased(me)
        :: else
        fi;
        if
        :: outcome == NONE -> d_step { flush(me); skip }; end_the_bias()
        :: else
        fi
    fi;
#endif
    if
    :: outcome == NONE ->
        d_step {
            flush(me);
            ticket = tail;
            if
            :: tail & CLOSED -> outcome = SHUT
#ifdef CAPACITY
            :: !(tail & CLOSED) && tail - TICKET(head) >= CAPACITY -> outcome = MUST_WAIT
            :: !(tail & CLOSED) && tail - TICKET(head) < CAPACITY ->
#else
            :: else ->
#endif
                assert(!has_answered);
                tail++;
                outcome = DONE
            fi
        }
    :: else
    fi
}

#ifdef MUTANT_BIASED_WAKER_ONLY_LOADS
#define ASKS_AGAIN false
#else
#define ASKS_AGAIN did_biased
#endif

inline put(me) {
    claim(me);
    if
    :: outcome == DONE ->
        store(me, PUBLISHED, ticket);
        flush_and_wake_one(GET_GATE, me, ASKS_AGAIN, does_wake)
    :: else
    fi;
    ticket = 0
}

/* ── get ── */

#ifdef MUTANT_GET_SKIPS_UNPUBLISHED
#define WAITS_FOR_SLOT false
#else
#define WAITS_FOR_SLOT true
#endif

inline take() {
    assert(!(ended & BIT(head)));
    ended = ended | BIT(head);
    head++;
    outcome = DONE
}

#define OUTCOME_OF_NONE(tail_) ((tail_) & CLOSED -> SHUT : MUST_WAIT)

inline try() {
#ifdef FINE
    do
    :: atomic {
        ticket = head;
        has_item = HAS_PUBLISHED(ticket)
       };
       if
       :: has_item ->
           atomic {
               if
               :: head == ticket -> take(); break
               :: else
               fi
           }
       :: else ->
           if
           :: atomic {
               TICKET(tail) == TICKET(ticket) || !WAITS_FOR_SLOT ->
               outcome = OUTCOME_OF_NONE(tail);
               has_answered = has_answered || outcome == SHUT;
               break
              }
           :: else -> HAS_PUBLISHED(ticket) || head != ticket
           fi
       fi
    od;
    has_item = false;
    ticket = 0;
#else
    atomic {
        HAS_PUBLISHED(head) || TICKET(tail) == TICKET(head) || !WAITS_FOR_SLOT ->
        if
        :: HAS_PUBLISHED(head) -> take()
        :: else ->
            outcome = OUTCOME_OF_NONE(tail);
            has_answered = has_answered || outcome == SHUT
        fi
    };
#endif
#ifdef CAPACITY
    if
    :: outcome == DONE -> wake_one(PUT_GATE, does_wake)
    :: else
    fi
#else
    skip
#endif
}

inline chain() {
#ifdef FINE
    if
    :: sleepers[GET_GATE] > 0 ->
        ticket = TICKET(head);
        if
        :: TICKET(tail) != ticket -> wake_one(GET_GATE, does_wake)
        :: else
        fi;
        ticket = 0
    :: else
    fi
#else
    if
    :: TICKET(head) != TICKET(tail) -> wake_one(GET_GATE, does_wake)
    :: TICKET(head) == TICKET(tail) || sleepers[GET_GATE] == 0
    fi
#endif
}

