/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, times and foreign text as people read them. Each returns `out`, which has FORMAT_MAX bytes. Thread: any. */
#ifndef WEIR_JOBCTL_FORMAT_H
#define WEIR_JOBCTL_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define FORMAT_MAX 48

const char *format_count(uint64_t n, char out[static FORMAT_MAX]);    /* 1,234,567 */
const char *format_bytes(uint64_t n, char out[static FORMAT_MAX]);    /* 999 B, 1.5 KiB, 23.4 MiB */
const char *format_duration(int64_t ms, char out[static FORMAT_MAX]); /* 0.123 s, 12.3 s, 2 m 05 s, 3 h 07 m, 2 d 04 h; "-" below zero */
const char *format_time(int64_t wall_ms,
                        char out[static FORMAT_MAX]); /* 2026-01-31T12:00:00Z; "-" for zero and less, and after the year 9999 */

/* A copy without control characters, cut to fit `size`; a cut one ends in "...". */
const char *format_clean(const char *text, char *out, size_t size);

#endif
