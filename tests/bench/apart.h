/* SPDX-License-Identifier: Apache-2.0 */
/* A run in a process of its own: its memory begins empty, and what the kernel tells of the process is the run's. */
#ifndef WEIR_TESTS_BENCH_APART_H
#define WEIR_TESTS_BENCH_APART_H

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"

/*
 * Calls work(result, arg) in a child, which sees the caller's memory as it is and shares nothing but `result` with it: `size` bytes, from
 * apart_share. Ends the program when the child does not end well.
 */
static inline void apart_run(void (*work)(void *result, const void *arg), void *result, const void *arg)
{
    (void)fflush(stdout);
    pid_t child = fork();
    if (child < 0) bench_die("no process");
    if (child == 0) {
        work(result, arg);
        (void)fflush(stdout);
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) bench_die("a run ended before its result");
}

/* Zeroed; munmap frees it. */
static inline void *apart_share(size_t size)
{
    void *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED) bench_die("no memory for a result");
    return area;
}

#endif
