/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer with an upper bound and a sticky error: append without checking, ask `err` once at the end.
 * Embedded value; zero-initialised (plus `limit`) it is ready. Owner: one thread at a time.
 */
#ifndef WEIR_RUNTIME_BASE_BUFFER_H
#define WEIR_RUNTIME_BASE_BUFFER_H

#include "weir/base.h"

struct buffer {
    unsigned char *data;
    size_t len;
    size_t cap;
    size_t limit; /* most bytes it may hold; 0 = SIZE_MAX */
    weir_err err; /* WEIR_OK, WEIR_E_NOMEM or WEIR_E_LIMIT; appends after an error do nothing */
};

void buffer_init(struct buffer *b, size_t limit);
void buffer_close(struct buffer *b);             /* frees; the value may be used again */
void buffer_clear(struct buffer *b);             /* keeps the memory, clears the error */
void *buffer_extend(struct buffer *b, size_t n); /* n uninitialised bytes at the end, or NULL (err is set) */
void buffer_add(struct buffer *b, const void *data, size_t n);
void buffer_str(struct buffer *b, const char *text); /* without its NUL */
void buffer_printf(struct buffer *b, const char *fmt, ...) WEIR_PRINTF(2, 3);
/* A NUL behind the end (not counted in len), so that data is a C string. Returns it, or "" after an error. */
const char *buffer_cstr(struct buffer *b);

#endif
