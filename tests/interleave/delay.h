/* SPDX-License-Identifier: Apache-2.0 */
/* A delay without a system call. */
#ifndef SQT_DELAY_H
#define SQT_DELAY_H

/* As a loop waits on a processor with a sibling: a pause is from 5 to 50 ns or so. */
static inline void sqt_spin(unsigned pauses)
{
    for (unsigned i = 0; i < pauses; i++) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#else
        __asm__ volatile("");
#endif
    }
}

#endif
