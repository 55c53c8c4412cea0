/* SPDX-License-Identifier: Apache-2.0 */
/* Children that pthread_atfork(3) is not told of, and whether they can be told otherwise here. */
#ifndef SQT_CLONE_H
#define SQT_CLONE_H

#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* As fork(), by the system call alone: no handler of pthread_atfork() runs. */
static inline pid_t bare_clone(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

/* Whether MADV_WIPEONFORK does what it says: qemu-user takes it and does nothing. */
static inline bool pages_are_wiped_in_children(void)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    volatile int *page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                              -1, 0);
    int status = 1;
    if ((void *)page == MAP_FAILED || madvise((void *)page, page_bytes, MADV_WIPEONFORK) != 0)
        return false;
    *page = 1;
    pid_t child = bare_clone();
    if (child == 0)
        _exit(*page);
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#endif
