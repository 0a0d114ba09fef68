/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/bytes.h"

#include "runtime/base/endian.h"

#define NONE UINT32_MAX

void reader_init(struct reader *r, const void *data, size_t len)
{
    r->at = data;
    r->end = len > 0 ? r->at + len : r->at;
    r->broken = false;
}

size_t reader_left(const struct reader *r)
{
    return r->broken ? 0 : (size_t)(r->end - r->at);
}

bool reader_done(const struct reader *r)
{
    return !r->broken && r->at == r->end;
}

/* n bytes further, or NULL and broken. */
static const uint8_t *advance(struct reader *r, size_t n)
{
    if (r->broken || (size_t)(r->end - r->at) < n) {
        r->broken = true;
        return NULL;
    }
    const uint8_t *from = r->at;
    r->at += n;
    return from;
}

static uint64_t read_uint(struct reader *r, unsigned n)
{
    const uint8_t *from = advance(r, n);
    return from ? le_get(from, n) : 0;
}

uint8_t read_u8(struct reader *r)
{
    return (uint8_t)read_uint(r, 1);
}

uint16_t read_u16(struct reader *r)
{
    return (uint16_t)read_uint(r, 2);
}

uint32_t read_u32(struct reader *r)
{
    return (uint32_t)read_uint(r, 4);
}

uint64_t read_u64(struct reader *r)
{
    return read_uint(r, 8);
}

int64_t read_i64(struct reader *r)
{
    return (int64_t)read_uint(r, 8);
}

bool read_bool(struct reader *r)
{
    uint8_t v = read_u8(r);
    if (v > 1) r->broken = true;
    return v == 1;
}

struct zxid read_zxid(struct reader *r)
{
    struct zxid z = {.epoch = read_u64(r)};
    z.counter = read_u64(r);
    return z;
}

void read_exactly(struct reader *r, void *out, size_t n)
{
    const uint8_t *from = advance(r, n);
    if (from)
        memcpy(out, from, n);
    else
        memset(out, 0, n);
}

struct weir_bytes read_slice(struct reader *r, uint32_t n)
{
    const uint8_t *from = advance(r, n);
    return from ? bytes_of(from, n) : bytes_of("", 0);
}

struct weir_bytes read_bytes(struct reader *r, uint32_t max)
{
    uint32_t n = read_u32(r);
    if (n > max) r->broken = true;
    return read_slice(r, n);
}

struct weir_bytes read_data(struct reader *r, uint32_t max)
{
    uint32_t n = read_u32(r);
    if (!r->broken && n == NONE) return bytes_of(NULL, 0);
    if (n > max) r->broken = true;
    return read_slice(r, n);
}

static void put_uint(struct buffer *b, uint64_t v, unsigned n)
{
    uint8_t bytes[8];
    le_put(bytes, v, n);
    buffer_add(b, bytes, n);
}

void put_u8(struct buffer *b, uint8_t v)
{
    put_uint(b, v, 1);
}

void put_u16(struct buffer *b, uint16_t v)
{
    put_uint(b, v, 2);
}

void put_u32(struct buffer *b, uint32_t v)
{
    put_uint(b, v, 4);
}

void put_u64(struct buffer *b, uint64_t v)
{
    put_uint(b, v, 8);
}

void put_i64(struct buffer *b, int64_t v)
{
    put_uint(b, (uint64_t)v, 8);
}

void put_zxid(struct buffer *b, struct zxid v)
{
    put_u64(b, v.epoch);
    put_u64(b, v.counter);
}

void put_bytes(struct buffer *b, struct weir_bytes v)
{
    put_u32(b, v.length);
    buffer_add(b, v.data, v.length);
}

void put_data(struct buffer *b, struct weir_bytes v)
{
    if (v.data)
        put_bytes(b, v);
    else
        put_u32(b, NONE);
}

void patch_u32(struct buffer *b, size_t at, uint32_t v)
{
    if (!b->err) le_put(b->data + at, v, 4);
}
