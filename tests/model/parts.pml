/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the models have in common: memory with store buffers, and gates. A model defines BUFFERS,
 * BUFFER_MAX, GATES and write(), and includes this.
 *
 * Memory is x86-TSO. A plain store goes into the thread's own buffer, and from there, in order and
 * at any time, into memory (the process `memory`). A load takes the thread's own youngest store, if
 * one is in its buffer, else memory. A locked instruction (seq_cst store, fetch-and-…,
 * compare-and-swap) empties the own buffer first. membarrier(2) empties everybody's. A thread that
 * makes no plain stores to what is modelled has no buffer. A full buffer holds the thread up.
 *
 * A loop around a compare-and-swap in which nothing is read but the word itself is one step: the
 * one in which it ends. The reads before that are thrown away.
 *
 * Gates (gate.c). A set of threads is a mask of bits.
 *
 *     enter, count_in   sqi_gate_enter: the fetch_add
 *     sleep             sqi_gate_sleep: FUTEX_WAIT compares the epoch and puts to sleep in one step
 *     leave, count_out  sqi_gate_leave: the compare-and-swap
 *     mark_waking       sqi_gate_wake_sleeper: the fetch_or and the compare-and-swap
 *     futex_wake_one    sqi_gate_wake_sleeper: FUTEX_WAKE, of any one who is asleep
 *     wake_one          sqi_gate_wake_one: the two above, after a load. It and mark_waking are one
 *                       step, for if both find a reason to wake the second one counts
 *     wake_all          sqi_gate_wake_all: the load and the compare-and-swap; FUTEX_WAKE of all
 *
 * The epoch: `fresh` has those that have read the epoch which is there now, and not slept since.
 * That is all the number is for. That it may come round is not modelled.
 */
#define BIT(thread) (1 << (thread))

/* ── memory ── */

chan buffer[BUFFERS] = [BUFFER_MAX] of { byte, byte };
hidden byte where, value;

#define store(me, where_, value_) buffer[me]!where_, value_
#define HAS_STORED(me, where_, value_) (buffer[me]??[where_, eval(value_)])

inline write_oldest(thread) {
    buffer[thread]?where, value;
    write()
}

/* Inside of a step. */
inline flush(thread) {
    do
    :: len(buffer[thread]) > 0 -> write_oldest(thread)
    :: else -> break
    od
}

active proctype memory() {
end:
    do
    :: d_step { len(buffer[0]) > 0 -> write_oldest(0) }
#if BUFFERS > 1
    :: d_step { len(buffer[1]) > 0 -> write_oldest(1) }
#endif
#if BUFFERS > 2
    :: d_step { len(buffer[2]) > 0 -> write_oldest(2) }
#endif
#if BUFFERS > 3
    :: d_step { len(buffer[3]) > 0 -> write_oldest(3) }
#endif
    od
}

inline membarrier() {
    d_step {
        flush(0);
#if BUFFERS > 1
        flush(1);
#endif
#if BUFFERS > 2
        flush(2);
#endif
#if BUFFERS > 3
        flush(3);
#endif
        skip
    }
}

/* ── gates ── */

byte sleepers[GATES], fresh[GATES], asleep[GATES]; /* asleep: on the futex */
bool waking[GATES];

/* Inside of a step. */
inline count_in(gate, me) {
    sleepers[gate]++;
    fresh[gate] = fresh[gate] | BIT(me)
}

inline enter(gate, me) {
#ifdef MUTANT_ENTER_IN_TWO_STEPS
    sleepers[gate]++;
    fresh[gate] = fresh[gate] | BIT(me)
#else
    d_step { count_in(gate, me) }
#endif
}

/* Ends when woken or, for who may, at any moment. */
inline sleep(gate, me, may_time_out, has_timed_out) {
    d_step {
        asleep[gate] = asleep[gate] | (fresh[gate] & BIT(me));
        fresh[gate] = fresh[gate] & ~BIT(me)
    };
    if
    :: !(asleep[gate] & BIT(me))
    :: atomic {
        (may_time_out) && (asleep[gate] & BIT(me)) ->
        asleep[gate] = asleep[gate] & ~BIT(me);
        has_timed_out = true
    }
    fi
}

/* Inside of a step. */
inline count_out(gate, me, keeps_waking) {
    sleepers[gate]--;
    waking[gate] = waking[gate] && (keeps_waking);
    fresh[gate] = fresh[gate] & ~BIT(me)
}

inline leave(gate, me, keeps_waking) {
    d_step { count_out(gate, me, keeps_waking) }
}

/* Inside of a step. */
inline mark_waking(gate, does_wake) {
    does_wake = sleepers[gate] > 0 && !waking[gate];
    waking[gate] = waking[gate] || does_wake;
    fresh[gate] = (does_wake -> 0 : fresh[gate])
}

inline futex_wake_one(gate, does_wake) {
    if
    :: does_wake -> atomic {
        does_wake = false;
        if
        :: asleep[gate] & 1 -> asleep[gate] = asleep[gate] & ~1
        :: asleep[gate] & 2 -> asleep[gate] = asleep[gate] & ~2
        :: asleep[gate] & 4 -> asleep[gate] = asleep[gate] & ~4
        :: asleep[gate] == 0
        fi
    }
    :: else
    fi
}

/* By a thread without a buffer. */
inline wake_one(gate, does_wake) {
    d_step { mark_waking(gate, does_wake) };
    futex_wake_one(gate, does_wake)
}

/* By a thread with one. */
inline flush_and_wake_one(gate, me, is_biased, does_wake) {
    d_step {
        if
        :: sleepers[gate] > 0 && ((is_biased) || !waking[gate]) ->
            flush(me);
            mark_waking(gate, does_wake)
        :: else
        fi
    };
    futex_wake_one(gate, does_wake)
}

/* By a thread whose buffer is empty. */
inline wake_all(gate, does_wake) {
    d_step {
        does_wake = sleepers[gate] > 0;
        fresh[gate] = (does_wake -> 0 : fresh[gate])
    };
    if
    :: does_wake -> d_step { does_wake = false; asleep[gate] = 0 }
    :: else
    fi
}
