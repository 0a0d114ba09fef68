/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded reader of msgpack bytes that nobody vouches for. It copies and allocates nothing, and every step it takes is paid for by a
 * byte of the input:
 *
 * - a string, binary or extension never reaches behind the end;
 * - an array of n elements (a map of n pairs) is refused unless n (2 n) bytes are left, so n is safe to allocate by;
 * - containers nest WEIR_MSGPACK_DEPTH deep, counted over the whole document; skipping a value uses no recursion.
 *
 * A read that fails (bytes end, other type, number out of range) returns false and leaves the cursor `broken` for ever: later reads fail
 * too, so a reader may check once at the end. Outputs are untouched on failure.
 *
 *     struct cursor c;
 *     uint32_t n;
 *     cursor_init(&c, data, len);
 *     if (cursor_array(&c, &n)) while (n-- > 0 && cursor_uint(&c, UINT32_MAX, &value)) use(value);
 *     if (!cursor_done(&c)) return WEIR_E_CORRUPT;
 *
 * Embedded value, nothing to close. Owner: one thread at a time. The input is kept (borrowed slices point into it).
 */
#ifndef WEIR_RUNTIME_WIRE_CURSOR_H
#define WEIR_RUNTIME_WIRE_CURSOR_H

#include "runtime/base/limits.h"
#include "weir/row.h"

enum cursor_type {
    CURSOR_NONE = 0, /* no value here: the end, a broken cursor, or the byte 0xc1, which msgpack never uses */
    CURSOR_NIL,
    CURSOR_BOOL,
    CURSOR_UINT, /* an integer >= 0, however it was written */
    CURSOR_INT,  /* an integer < 0 */
    CURSOR_FLOAT,
    CURSOR_STR,
    CURSOR_BIN,
    CURSOR_ARRAY,
    CURSOR_MAP,
    CURSOR_EXT,
};

struct cursor {
    const unsigned char *at;
    const unsigned char *end;
    bool broken;
    uint32_t depth;                    /* containers not yet read to their end */
    uint64_t left[WEIR_MSGPACK_DEPTH]; /* values still to come in each of them; a pair of a map is two */
};

void cursor_init(struct cursor *c, const void *data, size_t len);

/* Type of the next value; reads nothing. */
enum cursor_type cursor_peek(const struct cursor *c);

/* True when nothing failed and the bytes ended with the last value. */
bool cursor_done(const struct cursor *c);

/* Bytes not yet read. */
size_t cursor_left(const struct cursor *c);

bool cursor_nil(struct cursor *c);
bool cursor_bool(struct cursor *c, bool *out);
bool cursor_uint(struct cursor *c, uint64_t max, uint64_t *out);
bool cursor_int(struct cursor *c, int64_t min, int64_t max, int64_t *out);
bool cursor_float(struct cursor *c, double *out); /* 32 or 64 bits wide on the wire; integers are refused */

/* Borrowed slices. cursor_str refuses strings that hold a NUL, so that a copy is a C string; it does not check UTF-8. */
bool cursor_str(struct cursor *c, struct weir_bytes *out);
bool cursor_bin(struct cursor *c, struct weir_bytes *out);
bool cursor_ext(struct cursor *c, int8_t *type, struct weir_bytes *out);

/* Enters a container: the next *n values (pairs) are its elements. */
bool cursor_array(struct cursor *c, uint32_t *n);
bool cursor_map(struct cursor *c, uint32_t *n);

/* Reads one value of any type with all it holds. */
bool cursor_skip(struct cursor *c);

#endif
