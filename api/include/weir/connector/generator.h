/* SPDX-License-Identifier: Apache-2.0 */
/* Generator: a seeded source of numbered rows, for tests, examples and benchmarks. */
#ifndef WEIR_CONNECTOR_GENERATOR_H
#define WEIR_CONNECTOR_GENERATOR_H

#include "weir/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Row n of a run: value = output number n of SplitMix64 started at `seed`, key = value modulo `keys`. */
struct weir_generated {
    int64_t seq;    /* n, 0 ... rows - 1 */
    int64_t key;    /* 0 ... keys - 1 */
    int64_t value;  /* the word, as a signed number */
    weir_time time; /* start_ms + n * 1000 / rate (integer division) */
};
extern WEIR_EXPORT const struct weir_schema weir_generated_schema;

/* Rows are dealt to splits s = 0 ... K-1 (K = parallelism): split s makes n = s, s+K, s+2K ... Records carry `time`, watermarks follow it.
 */
struct weir_generator {
    uint64_t seed;
    int64_t rows; /* < 0: endless */
    int64_t keys; /* > 0; 0 = 1 */
    int64_t rate; /* rows per second of event time, > 0; 0 = 1000 */
    weir_time start_ms;
    int64_t pace;         /* rows per second of wall time over all splits; 0 = as fast as possible */
    int64_t silent_after; /* an endless split falls silent after so many rows, as a quiet partition does; 0 = never */
};
WEIR_EXPORT struct weir_stream *weir_from_generator(struct weir_env *env, const char *id, const struct weir_generator *config);

#ifdef __cplusplus
}
#endif
#endif
