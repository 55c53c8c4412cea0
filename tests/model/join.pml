/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How join waits until nothing is unfinished: who puts, who counts as done, and who joins.
 *
 *     put             the claim of tail: one compare-and-swap. Slots and the get's gate are left
 *                     out, and so is the bias
 *     get             likewise, of head: waits for an item, and may find the queue drained
 *     task_done       sq_queue_task_done in queue.c, sqi_counts_try_done in counts.h and
 *                     sqi_counts_task_done in counts.c: an access a step. tail_seen is stored
 *                     plainly: the store buffers are for that
 *     is_finished     sqi_counts_is_finished in counts.c: an access a step
 *     joiner          wait_until in queue.c; its tries before the enter are one
 *     closer          sq_queue_shutdown, immediate: sqi_counts_drain, its compare-and-swap of head;
 *                     sqi_counts_drained, its compare-and-swap of done (tail is closed, so it
 *                     stays); the wake_all
 *
 * Who counts as done:
 *
 *     worker          gets an item; if it is a parent puts its child; counts the one it got
 *     hasty           counts an item that nobody need have got
 *     both            puts two, and counts two at once
 *
 * Checked: a join returns only if at some instant since its call nothing was unfinished; done is
 * never more than tail; a count is refused only after a drain; and when nothing can move, all is
 * done and nobody is asleep. Each MUTANT_… takes one rule away, and must make that fail.
 */
#ifndef JOINERS
#define JOINERS 1
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef HASTY
#define HASTY 0
#endif
#ifndef BOTH
#define BOTH 0
#endif
#ifndef CLOSERS
#define CLOSERS 0
#endif
#ifndef PARENTS
#define PARENTS 1 /* there at the start: each will have a child */
#endif
#ifndef CHILDLESS
#define CHILDLESS 0 /* there at the start */
#endif

byte tail, head, done, tail_seen;
bool is_drained;
byte in_join, saw_finished; /* joiners: a bit each */
byte gone;

mtype = { TAIL_SEEN };

inline write() {
    tail_seen = value
}

#define BUFFERS 4
#define BUFFER_MAX 1
#define GATES 1
#define JOIN_GATE 0
#include "parts.pml"

#if JOINERS + WORKERS + HASTY + BOTH > BUFFERS
#error "more buffers"
#endif

/* Inside of a step: of the call, and of each change of done. */
#define NOTE_FINISHED(joiners)                                                                     \
    saw_finished = (done == tail -> saw_finished | (joiners) : saw_finished)

inline load_tail_seen(me, ret) {
    ret = (HAS_STORED(me, TAIL_SEEN, own_seen) -> own_seen : tail_seen)
}

inline look_at_tail(me, ret) {
    ret = tail;
    own_seen = ret;
    store(me, TAIL_SEEN, own_seen)
}

inline is_finished(me) {
    bound = 0;
#ifdef MUTANT_TAIL_BEFORE_DONE
    look_at_tail(me, bound);
    count = done;
    result = bound == count;
#else
    count = done;
    load_tail_seen(me, bound);
#ifdef MUTANT_FINISHED_BY_TAIL_SEEN
    result = bound == count;
#else
    if
    :: bound > count -> result = false
    :: else ->
        look_at_tail(me, bound);
        result = bound == count
    fi;
#endif
#endif
    count = 0;
    bound = 0
}

inline wake_joiners(me) {
    d_step {
        if
        :: sleepers[JOIN_GATE] > 0 -> flush(me); fresh[JOIN_GATE] = 0; does_wake = true
        :: else
        fi
    };
#ifdef MUTANT_LAST_WAKES_ONE
    futex_wake_one(JOIN_GATE, does_wake)
#else
    if
    :: does_wake -> d_step { does_wake = false; asleep[JOIN_GATE] = 0 }
    :: else
    fi
#endif
}

inline task_done(me, n) {
#ifdef MUTANT_WORD_BEFORE_COUNT
    has_sleepers = sleepers[JOIN_GATE] > 0;
#endif
    count = done;
#ifdef MUTANT_BOUND_FROM_BEFORE
    unfinished = 255;
#endif
    do
    ::  bound = head;
        if
        :: bound < count + n -> load_tail_seen(me, bound)
        :: else
        fi;
        if
        :: bound < count + n -> look_at_tail(me, bound)
        :: else
        fi;
        if
        :: n > bound - count -> assert(is_drained && may_be_refused); unfinished = 1; break
        :: else
        fi;
#ifdef MUTANT_BOUND_FROM_BEFORE
        unfinished = (unfinished == 255 -> bound - count - n : unfinished);
#else
        unfinished = bound - count - n;
#endif
        atomic {
            flush(me);
            if
            :: done == count ->
                done = count + n;
                assert(done <= tail);
                NOTE_FINISHED(in_join);
                break
            :: else -> count = done
            fi
        }
    od;
    count = 0;
    bound = 0;
    if
    :: unfinished == 0 ->
#ifndef MUTANT_WORD_BEFORE_COUNT
        has_sleepers = sleepers[JOIN_GATE] > 0;
#endif
        if
        :: has_sleepers ->
            has_sleepers = false;
            is_finished(me);
            if
            :: result -> wake_joiners(me)
            :: else
            fi
        :: else
        fi
    :: else
    fi;
    unfinished = 0;
    result = false
}

#define LOCALS                                                                                     \
    byte count, bound, own_seen, unfinished;                                                       \
    bool result, does_wake, has_sleepers

proctype worker(byte me) {
    LOCALS;
    bool is_parents;
    bool may_be_refused = HASTY > 0; /* the hasty one may have counted what then was dropped */
    atomic {
        head < tail || is_drained ->
        if
        :: !is_drained -> is_parents = head < PARENTS; head++
        :: else -> goto out
        fi
    };
    if
    :: is_parents -> tail++
    :: else
    fi;
    task_done(me, 1);
out:
    gone++
}

proctype hasty(byte me) {
    LOCALS;
    bool may_be_refused = true;
    task_done(me, 1);
    gone++
}

proctype both(byte me) {
    LOCALS;
    bool may_be_refused;
    d_step { tail = tail + 2 };
    task_done(me, 2);
    gone++
}

proctype joiner(byte me) {
    byte count, bound, own_seen;
    bool result, times_out;
    d_step {
        in_join = in_join | BIT(me);
        NOTE_FINISHED(BIT(me))
    };
again:
    is_finished(me);
    if
    :: !result ->
        d_step { flush(me); count_in(JOIN_GATE, me) };
#ifndef MUTANT_NO_LOOK_BEFORE_SLEEP
        is_finished(me);
#endif
#ifdef MUTANT_EPOCH_AFTER_LOOK
        fresh[JOIN_GATE] = fresh[JOIN_GATE] | BIT(me);
#endif
        if
        :: !result -> sleep(JOIN_GATE, me, false, times_out)
        :: else
        fi;
        d_step { flush(me); count_out(JOIN_GATE, me, false) };
        if
        :: !result -> goto again
        :: else
        fi
    :: else
    fi;
    assert(saw_finished & BIT(me));
    gone++
}

/* Nobody puts in the scenarios with a closer, so tail is constant. */
proctype closer(byte me) {
    byte dropped;
    bool does_wake;
    d_step {
        dropped = tail - head;
        head = tail;
        is_drained = true
    };
    d_step {
#ifdef MUTANT_DRAIN_COUNTS_ALL
        done = done + dropped;
#else
        done = done + (dropped < tail - done -> dropped : tail - done);
#endif
        assert(done <= tail);
        NOTE_FINISHED(in_join)
    };
#ifndef MUTANT_DRAIN_DOES_NOT_WAKE
    wake_all(JOIN_GATE, does_wake);
#endif
    gone++
}

#define START(how_many, what)                                                                      \
    i = 0;                                                                                         \
    do                                                                                             \
    :: i < how_many -> run what(me); i++; me++                                                     \
    :: else -> break                                                                               \
    od

init {
    byte i, me;
    atomic {
        tail = PARENTS + CHILDLESS;
        START(JOINERS, joiner);
        START(WORKERS, worker);
        START(HASTY, hasty);
        START(BOTH, both);
        START(CLOSERS, closer)
    }
}

/* Goes on when nothing else can: every process has ended, or waits for ever. */
active proctype judge() {
end:
    timeout ->
    assert(done == tail);
    assert(gone == JOINERS + WORKERS + HASTY + BOTH + CLOSERS);
    assert(sleepers[JOIN_GATE] == 0)
}
