/* SPDX-License-Identifier: Apache-2.0 */
/* How far a process of bench_recovery's job is; mapped by it, read by the benchmark. */
#ifndef WEIR_TESTS_BENCH_PROGRESS_H
#define WEIR_TESTS_BENCH_PROGRESS_H

#include <stdint.h>

struct progress {
    _Atomic int64_t first_ns; /* wall clock when it worked on its first row; 0 = not yet */
    _Atomic int64_t max_seq;  /* the newest row it has seen */
};

#endif
