/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate of src/queue/gate.h under a queue's lock: two producers, three getters of which one may
 * time out. Every atomic block is one atomic operation of gate.c, one critical section of queue.c,
 * or one system call.
 *
 * Checked: when nothing can move any more, nobody is asleep while there are items; no getter is
 * counted who is not there. Each MUTANT_… takes one rule away, and must make that fail.
 */
#define PRODUCERS 2
#ifndef ITEMS_EACH
#define ITEMS_EACH 2
#endif
#define GETTERS 3
#define TIMED 2 /* this getter may time out */

byte items;             /* in the queue, under the lock */
byte sleepers, epoch;   /* with waking: the gate's word */
bool waking;
bool asleep[GETTERS];   /* on the futex */
byte got, finished;

/* FUTEX_WAKE of one: any sleeper, if there is one. */
inline futex_wake_one() {
    atomic {
        if
        :: asleep[0] -> asleep[0] = false
        :: asleep[1] -> asleep[1] = false
        :: asleep[2] -> asleep[2] = false
        :: !asleep[0] && !asleep[1] && !asleep[2] -> skip
        fi
    }
}

inline wake_one(does_wake) {
    atomic {
        does_wake = sleepers > 0 && !waking;
        if
        :: does_wake -> epoch++; waking = true
        :: else
        fi
    }
    if
    :: does_wake -> futex_wake_one()
    :: else
    fi
}

inline take(took) {
    atomic {
        if
        :: items > 0 -> items--; got++; took = true
        :: else
        fi
    }
}

proctype producer() {
    byte i;
    bool does_wake;
    for (i : 1 .. ITEMS_EACH) {
        items++;
        wake_one(does_wake)
    }
    finished++
}

proctype getter(byte me) {
    byte seen;
    bool took, does_wake, is_over, more;
again:
    took = false;
    take(took);
    if
    :: took -> goto again
    :: else
    fi;
wait:
    atomic { sleepers++; seen = epoch }                  /* enter */
#ifdef MUTANT_ENTER_IN_TWO_STEPS
    seen = epoch;
#endif
#ifndef MUTANT_NO_LOOK_BEFORE_SLEEP
    take(took);
#endif
#ifdef MUTANT_EPOCH_AFTER_LOOK
    seen = epoch;
#endif
    if
    :: !took ->
        atomic {                                         /* FUTEX_WAIT */
            if
            :: seen == epoch -> asleep[me] = true
            :: else
            fi
        }
        if
        :: !asleep[me]
        :: me == TIMED -> atomic { asleep[me] = false; is_over = true }
        fi
    :: else
    fi;
#ifdef MUTANT_LEAVE_KEEPS_THE_FLAG
    sleepers--;
#else
    atomic { sleepers--; waking = false }                /* leave */
#endif
#ifndef MUTANT_NO_LOOK_AFTER_LEAVE
    if
    :: !took -> take(took)
    :: else
    fi;
#endif
#ifndef MUTANT_NO_CHAIN
    if
    :: took && sleepers > 0 ->
        more = items > 0;
        if
        :: more -> wake_one(does_wake)
        :: else
        fi
    :: else
    fi;
#endif
    if
    :: took && !is_over -> goto again
    :: !took && !is_over -> goto wait
    :: is_over
    fi
}

/* Runs when nothing else can: every process has ended or sleeps for ever. */
active proctype judge() {
    byte i;
    atomic {
        for (i : 0 .. GETTERS - 1) { run getter(i) }
        for (i : 1 .. PRODUCERS) { run producer() }
    }
end:
    timeout ->
    assert(finished == PRODUCERS);
    assert(items == 0 || !(asleep[0] || asleep[1] || asleep[2]));
    assert(items > 0 || got == PRODUCERS * ITEMS_EACH);
    assert(sleepers == asleep[0] + asleep[1] + asleep[2])
}
