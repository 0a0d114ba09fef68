/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/checkpoint/codec.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/base/endian.h"
#include "runtime/base/hash.h"

#define SEAL 4u /* bytes of the checksum at the end */
#define ZERO_AT 12u
#define LENGTH_AT 16u

/* ---- writing ------------------------------------------------------------------------------------------------------------------------- */

static void put(struct codec_writer *w, uint64_t value, size_t n)
{
    unsigned char bytes[8];
    le_put(bytes, value, n);
    buffer_add(w->out, bytes, n);
}

void codec_begin(struct codec_writer *w, struct buffer *out, const char magic[static CODEC_MAGIC], uint32_t version)
{
    *w = (struct codec_writer){.out = out, .start = out->len};
    buffer_add(out, magic, CODEC_MAGIC);
    put(w, version, 4);
    put(w, 0, 4);
    put(w, 0, 8);
}

weir_err codec_end(struct codec_writer *w, const char *what, size_t max, struct weir_diag *diag)
{
    struct buffer *out = w->out;
    if (w->fault) return weir_fail(diag, WEIR_E_LIMIT, "%s: %s", what, w->fault);
    if (!out->err) {
        le_put(out->data + w->start + LENGTH_AT, out->len - w->start - CODEC_HEAD, 8);
        put(w, crc32c(0, out->data + w->start, out->len - w->start), SEAL);
    }
    if (out->err == WEIR_E_NOMEM) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a %s", what);
    if (out->err || out->len - w->start > max) return weir_fail(diag, WEIR_E_LIMIT, "a %s of more than %zu bytes", what, max);
    return WEIR_OK;
}

void codec_put_u8(struct codec_writer *w, uint8_t value)
{
    put(w, value, 1);
}

void codec_put_u16(struct codec_writer *w, uint16_t value)
{
    put(w, value, 2);
}

void codec_put_u32(struct codec_writer *w, uint32_t value)
{
    put(w, value, 4);
}

void codec_put_u64(struct codec_writer *w, uint64_t value)
{
    put(w, value, 8);
}

void codec_put_i64(struct codec_writer *w, int64_t value)
{
    put(w, (uint64_t)value, 8);
}

void codec_put_raw(struct codec_writer *w, const void *data, size_t length)
{
    if (length) buffer_add(w->out, data, length);
}

void codec_put_text(struct codec_writer *w, const char *text, size_t max)
{
    size_t length = strlen(text);
    if (length > max) {
        if (!w->fault) w->fault = "a name is longer than its limit";
        return;
    }
    put(w, length, 2);
    codec_put_raw(w, text, length);
}

void codec_put_bytes(struct codec_writer *w, struct weir_bytes bytes, size_t max)
{
    if (bytes.length > max) {
        if (!w->fault) w->fault = "a piece of data is longer than its limit";
        return;
    }
    put(w, bytes.length, 4);
    codec_put_raw(w, bytes.data, bytes.length);
}

/* ---- memory of what is read ---------------------------------------------------------------------------------------------------------- */

static void *alloc(struct codec_reader *r, size_t n, size_t size)
{
    void *memory = arena_alloc(&r->arena, n, size);
    if (!memory) codec_fault(r, "no memory");
    return memory;
}

/*
 * A copy with a NUL behind it. Every run costs at least a byte of length or of a fixed part before it in the file, so all of them with
 * their NULs fit in a pool of the file's length.
 */
static unsigned char *keep(struct codec_reader *r, const unsigned char *data, size_t length)
{
    unsigned char *copy = r->pool + r->pool_used;
    if (length) memcpy(copy, data, length);
    copy[length] = 0;
    r->pool_used += length + 1;
    return copy;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------------- */

weir_err codec_open(struct codec_reader *r, const void *data, size_t length, const char magic[static CODEC_MAGIC], uint32_t version,
                    const char *what, struct weir_diag *diag)
{
    const unsigned char *at = data;
    *r = (struct codec_reader){.start = at};
    if (length < CODEC_HEAD + SEAL || memcmp(at, magic, CODEC_MAGIC) != 0)
        return weir_fail(diag, WEIR_E_CORRUPT, "these %zu bytes are no %s", length, what);
    uint32_t found = (uint32_t)le_get(at + CODEC_MAGIC, 4);
    if (found != version)
        return weir_fail(diag, WEIR_E_UNSUPPORTED, "%s of format version %" PRIu32 ", this Weir reads %" PRIu32, what, found, version);
    if (le_get(at + ZERO_AT, 4)) return weir_fail(diag, WEIR_E_CORRUPT, "%s: bytes that mean nothing are set", what);
    uint64_t body = le_get(at + LENGTH_AT, 8);
    if (body != length - CODEC_HEAD - SEAL)
        return weir_fail(diag, WEIR_E_CORRUPT, "%s of %zu bytes instead of %" PRIu64, what, length, body + CODEC_HEAD + SEAL);
    uint32_t want = (uint32_t)le_get(at + length - SEAL, SEAL), is = crc32c(0, data, length - SEAL);
    if (want != is) return weir_fail(diag, WEIR_E_CORRUPT, "%s: checksum %08" PRIx32 " instead of %08" PRIx32, what, is, want);
    r->at = at + CODEC_HEAD;
    r->end = at + length - SEAL;
    r->pool = alloc(r, length, 1);
    if (r->pool) return WEIR_OK;
    arena_close(&r->arena);
    return weir_fail(diag, WEIR_E_NOMEM, "no memory to read a %s", what);
}

weir_err codec_close(struct codec_reader *r, const char *what, struct weir_diag *diag)
{
    if (!r->fault && r->at != r->end) codec_fault(r, "bytes behind its end");
    if (!r->fault) return WEIR_OK;
    bool no_memory = r->arena.failed;
    arena_close(&r->arena);
    if (no_memory) return weir_fail(diag, WEIR_E_NOMEM, "no memory to read a %s", what);
    return weir_fail(diag, WEIR_E_CORRUPT, "%s: damaged at byte %zu: %s", what, r->fault_at, r->fault);
}

void codec_fault(struct codec_reader *r, const char *fault)
{
    if (r->fault) return;
    r->fault = fault;
    r->fault_at = (size_t)(r->at - r->start);
}

/* So many bytes, or NULL with a fault. */
static const unsigned char *take(struct codec_reader *r, uint64_t n)
{
    if (r->fault) return NULL;
    if (n > (size_t)(r->end - r->at)) {
        codec_fault(r, "it ends too early");
        return NULL;
    }
    const unsigned char *at = r->at;
    r->at += n;
    return at;
}

static uint64_t number(struct codec_reader *r, size_t n)
{
    const unsigned char *at = take(r, n);
    return at ? le_get(at, n) : 0;
}

uint8_t codec_u8(struct codec_reader *r)
{
    return (uint8_t)number(r, 1);
}

uint16_t codec_u16(struct codec_reader *r)
{
    return (uint16_t)number(r, 2);
}

uint32_t codec_u32(struct codec_reader *r)
{
    return (uint32_t)number(r, 4);
}

uint64_t codec_u64(struct codec_reader *r)
{
    return number(r, 8);
}

int64_t codec_i64(struct codec_reader *r)
{
    return (int64_t)number(r, 8);
}

void codec_raw(struct codec_reader *r, void *out, size_t length)
{
    const unsigned char *at = take(r, length);
    if (at)
        memcpy(out, at, length);
    else
        memset(out, 0, length);
}

struct weir_bytes codec_run(struct codec_reader *r, uint64_t length)
{
    if (length > UINT32_MAX) codec_fault(r, "a length beyond its limit");
    const unsigned char *at = take(r, length);
    if (!at) return (struct weir_bytes){NULL, 0};
    return (struct weir_bytes){keep(r, at, (size_t)length), (uint32_t)length};
}

const char *codec_text(struct codec_reader *r, size_t max)
{
    uint16_t length = codec_u16(r);
    if (length > max) codec_fault(r, "a name is longer than its limit");
    struct weir_bytes text = codec_run(r, length);
    if (text.data && memchr(text.data, 0, text.length)) codec_fault(r, "a NUL in a name");
    return r->fault ? "" : text.data;
}

struct weir_bytes codec_bytes(struct codec_reader *r, size_t max)
{
    uint32_t length = codec_u32(r);
    if (length > max) codec_fault(r, "a piece of data is longer than its limit");
    return codec_run(r, length);
}

uint32_t codec_count(struct codec_reader *r, uint32_t max, size_t least)
{
    uint32_t n = codec_u32(r);
    if (n > max) codec_fault(r, "more of a kind than its limit");
    if (!r->fault && n > (size_t)(r->end - r->at) / least) codec_fault(r, "more of a kind than there is room for");
    return r->fault ? 0 : n;
}

void *codec_array(struct codec_reader *r, uint32_t n, size_t size)
{
    return n && !r->fault ? alloc(r, n, size) : NULL;
}
