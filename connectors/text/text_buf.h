/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing run of bytes that rows are formatted into: reserve the most a value can take, then append without checks.
 * Owner: one sink instance. Bounded by its user, which empties it; one row needs at most 6 * WEIR_ROW_MAX (JSON escapes).
 */
#ifndef WEIR_CONNECTORS_TEXT_TEXT_BUF_H
#define WEIR_CONNECTORS_TEXT_TEXT_BUF_H

#include <stdlib.h>
#include <string.h>

#include "weir/base.h"

/* Zero-initialise. */
struct text_buf {
    char *data;
    size_t len;
    size_t cap;
};

/* Makes room for `n` more bytes. False when there is no memory; the buffer is then as before. */
static inline WEIR_MUST_USE bool text_reserve(struct text_buf *buf, size_t n)
{
    if (WEIR_LIKELY(buf->cap - buf->len >= n)) return true;
    size_t cap = buf->cap ? buf->cap : 4096;
    while (cap - buf->len < n) cap *= 2;
    char *data = realloc(buf->data, cap);
    if (!data) return false;
    buf->data = data;
    buf->cap = cap;
    return true;
}

/* Appends to room that text_reserve made. */
static inline void text_put(struct text_buf *buf, const void *data, size_t n)
{
    if (n) memcpy(buf->data + buf->len, data, n); /* an empty string may have no address */
    buf->len += n;
}

static inline void text_put_char(struct text_buf *buf, char c)
{
    buf->data[buf->len++] = c;
}

static inline void text_close(struct text_buf *buf)
{
    free(buf->data);
    *buf = (struct text_buf){0};
}

#endif
