/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec of everything this folder writes about its tree: fixed-width little-endian integers, and byte strings behind their length.
 * The reader is bounded and its failure is sticky: read all fields, ask reader_done once. It copies and allocates nothing; what it gives
 * points into the input. A reader that failed gives zeros and empty strings.
 *
 * Writing appends to a `struct buffer`, whose error is sticky as well.
 */
#ifndef WEIR_RUNTIME_COORD_BYTES_H
#define WEIR_RUNTIME_COORD_BYTES_H

#include "runtime/base/buffer.h"
#include "runtime/coord/zxid.h"
#include "weir/row.h"

struct reader {
    const uint8_t *at, *end;
    bool broken; /* a read reached behind the end or met a value out of its range; never unset */
};

void reader_init(struct reader *r, const void *data, size_t len);
bool reader_done(const struct reader *r); /* nothing failed and all was read */
size_t reader_left(const struct reader *r);

uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
int64_t read_i64(struct reader *r);
bool read_bool(struct reader *r); /* 0 or 1; anything else breaks the reader */
struct zxid read_zxid(struct reader *r);
void read_exactly(struct reader *r, void *out, size_t n); /* zeroes `out` when it fails */

/* A string behind its 32-bit length, at most `max` bytes. */
struct weir_bytes read_bytes(struct reader *r, uint32_t max);
/* The same, where the length 0xffffffff stands for "none", which is not the empty string: `data` is then NULL. */
struct weir_bytes read_data(struct reader *r, uint32_t max);
/* n bytes as they lie there. */
struct weir_bytes read_slice(struct reader *r, uint32_t n);

void put_u8(struct buffer *b, uint8_t v);
void put_u16(struct buffer *b, uint16_t v);
void put_u32(struct buffer *b, uint32_t v);
void put_u64(struct buffer *b, uint64_t v);
void put_i64(struct buffer *b, int64_t v);
void put_zxid(struct buffer *b, struct zxid v);
void put_bytes(struct buffer *b, struct weir_bytes v);
void put_data(struct buffer *b, struct weir_bytes v); /* data NULL: "none" */

/* Writes a 32-bit number where one was put before, `at` bytes from the start. Nothing happens after an error. */
void patch_u32(struct buffer *b, size_t at, uint32_t v);

static inline struct weir_bytes bytes_of(const void *data, size_t len)
{
    return (struct weir_bytes){data, (uint32_t)len};
}

/* A text constant or other C string of less than 4 GiB. */
static inline struct weir_bytes bytes_text(const char *text)
{
    return bytes_of(text, strlen(text));
}

static inline bool bytes_equal(struct weir_bytes a, struct weir_bytes b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* Order of their bytes, a prefix first: below, at or above zero. */
static inline int bytes_compare(struct weir_bytes a, struct weir_bytes b)
{
    uint32_t n = a.length < b.length ? a.length : b.length;
    int order = n > 0 ? memcmp(a.data, b.data, n) : 0;
    return order ? order : a.length < b.length ? -1 : a.length > b.length;
}

#endif
