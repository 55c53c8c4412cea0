/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread's barrier for all: the system call membarrier(2).
 *
 * Where two threads each store and then load what the other stores, both need a full barrier in
 * between, or neither may see the other. When one side is a fast path and the other is rare, the
 * rare side can pay for both:
 *
 *     fast                                rare
 *     store A, relaxed                    store B, seq_cst
 *     (the compiler keeps the order)      sqi_membarrier()
 *     load B, relaxed                     load A, seq_cst
 *
 * Either the fast side's load sees B, or the rare side's load sees A: the call makes every running
 * thread of the process pass a full barrier, which comes either before the fast side's load, which
 * then sees B, or after its store, which is then seen. ThreadSanitizer knows nothing of this: in
 * its builds there is no fast side.
 */
#ifndef SQI_BASE_MEMBARRIER_H
#define SQI_BASE_MEMBARRIER_H

#include <stdbool.h>

/* Whether the call is to be had. To be asked before anybody relies on it; costs system calls when
   it is asked first. */
bool sqi_membarrier_works(void);

/* The barrier: 0, or SQ_ETIMEDOUT when the kernel refuses it, as a seccomp filter that was set
   meanwhile makes it do. Then the thread has slept for 10 ms instead: C11 asks that stores become
   visible in reasonable time (7.17.3, 16), and hardware takes microseconds; but nobody should have
   to rely on that twice: sqi_membarrier_works() is false from then on. */
int sqi_membarrier(void);

#endif
