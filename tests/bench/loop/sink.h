/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where result rows go: into a buffer, and from there, when it is full, into the checksum. A row hashed as soon as it is made would wait
 * for its own stores.
 */
#ifndef WEIR_TESTS_BENCH_LOOP_SINK_H
#define WEIR_TESTS_BENCH_LOOP_SINK_H

#include <stdint.h>
#include <stdio.h>

#define SINK_BUFFER (16u << 10)
#define SINK_ROWS 256
#define SINK_ROW_MAX 1536 /* bytes of the largest row and of what block copies write behind it */

struct loop_sink {
    uint64_t rows, checksum;
    FILE *text;          /* rows are also printed here, unless NULL */
    const char *columns; /* of loop_row_print */
    uint32_t used, n;
    uint32_t at[SINK_ROWS], size[SINK_ROWS];
    _Alignas(8) char buffer[SINK_BUFFER];
};

void loop_sink_flush(struct loop_sink *s);

/* Room for a row of at most SINK_ROW_MAX bytes. */
static inline void *loop_sink_begin(struct loop_sink *s)
{
    if (s->n == SINK_ROWS || s->used > SINK_BUFFER - SINK_ROW_MAX) loop_sink_flush(s);
    return s->buffer + s->used;
}

/* The row is made, `size` bytes with its strings. */
static inline void loop_sink_end(struct loop_sink *s, uint32_t size)
{
    s->at[s->n] = s->used;
    s->size[s->n++] = size;
    s->used += (size + 7) & ~7u;
}

#endif
