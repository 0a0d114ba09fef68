/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 256u

void buffer_init(struct buffer *b, size_t limit)
{
    *b = (struct buffer){.limit = limit};
}

void buffer_close(struct buffer *b)
{
    free(b->data);
    buffer_init(b, b->limit);
}

void buffer_clear(struct buffer *b)
{
    b->len = 0;
    b->err = WEIR_OK;
}

/* Makes the memory hold `need` bytes; doubling keeps a long series of appends linear. */
static bool reserve(struct buffer *b, size_t need)
{
    if (need <= b->cap) return true;
    size_t cap = b->cap < FIRST_CAP ? FIRST_CAP : b->cap;
    while (cap < need) cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    unsigned char *data = realloc(b->data, cap);
    if (!data) {
        b->err = WEIR_E_NOMEM;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

/* Room for n more bytes under the limit, or the error that says why not. `spare` bytes more are wanted, but not counted. */
static bool make_room(struct buffer *b, size_t n, size_t spare)
{
    size_t limit = b->limit ? b->limit : SIZE_MAX;
    if (b->err) return false;
    if (b->len > limit || n > limit - b->len || spare > SIZE_MAX - b->len - n) {
        b->err = WEIR_E_LIMIT;
        return false;
    }
    return reserve(b, b->len + n + spare);
}

void *buffer_extend(struct buffer *b, size_t n)
{
    static unsigned char nothing;
    if (!make_room(b, n, 0)) return NULL;
    if (!b->data) return &nothing; /* n is 0 and nothing was ever stored: still not a failure */
    void *at = b->data + b->len;
    b->len += n;
    return at;
}

void buffer_add(struct buffer *b, const void *data, size_t n)
{
    void *at = buffer_extend(b, n);
    if (at && n) memcpy(at, data, n);
}

void buffer_str(struct buffer *b, const char *text)
{
    buffer_add(b, text, strlen(text));
}

void buffer_printf(struct buffer *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0) {
        if (!b->err) b->err = WEIR_E_INTERNAL;
    } else if (make_room(b, (size_t)n, 1)) {
        vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

const char *buffer_cstr(struct buffer *b)
{
    if (!make_room(b, 0, 1)) return "";
    b->data[b->len] = '\0';
    return (const char *)b->data;
}
