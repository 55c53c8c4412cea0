/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the oracle's threads sleep: the gate as it was when one lock ordered every publish and
 * every look, kept apart from src/queue so that no error there is an error here, too.
 *
 *     waits                                      makes it true
 *     epoch = sqo_gate_enter(gate)               publish, under the queue's lock
 *     not true yet? sqo_gate_sleep(gate, epoch)  sqo_gate_wake_one(gate)   or _wake_all
 *     sqo_gate_leave(gate)
 *     look, take; took and there is more? sqo_gate_wake_one(gate)
 *
 * Not a condition variable: those of glibc before 2.41 may lose a signal (its bug 25847), and an
 * oracle that hangs proves nothing.
 */
#ifndef SQO_GATE_LOCKED_H
#define SQO_GATE_LOCKED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct sqo_gate {
    _Atomic uint64_t word; /* sleepers: 31 bits, a wake in flight: 1, the futex's epoch: 32 */
};

uint32_t sqo_gate_enter(struct sqo_gate *gate);
bool sqo_gate_sleep(struct sqo_gate *gate, uint32_t epoch, int64_t deadline_ns);
void sqo_gate_leave(struct sqo_gate *gate);
void sqo_gate_wake_one(struct sqo_gate *gate);
void sqo_gate_wake_all(struct sqo_gate *gate);
uint32_t sqo_gate_sleepers(const struct sqo_gate *gate);

#endif
