/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of the files of a checkpoint: little-endian numbers, texts and runs of bytes with their length, in an envelope
 *
 *     magic (8) · version u32 · zero u32 · length of the body u64 · body · CRC32C of all before u32
 *
 * The writer appends to a buffer; the reader never leaves its bytes, takes memory in proportion to them, and keeps the first fault: after
 * it every read gives zero, so that one look at the end is enough. Owner: one thread at a time.
 */
#ifndef WEIR_RUNTIME_CHECKPOINT_CODEC_H
#define WEIR_RUNTIME_CHECKPOINT_CODEC_H

#include "runtime/base/arena.h"
#include "runtime/base/buffer.h"
#include "weir/row.h"

#define CODEC_HEAD 24u
#define CODEC_MAGIC 8u

/* ---- writing ------------------------------------------------------------------------------------------------------------------------- */

struct codec_writer {
    struct buffer *out;
    size_t start;
    const char *fault; /* what was beyond its limit; NULL = nothing */
};

/* Begins a file at the end of `out`. what: "pack", for the sentence of a failure. */
void codec_begin(struct codec_writer *w, struct buffer *out, const char magic[static CODEC_MAGIC], uint32_t version);
/* Errors: WEIR_E_LIMIT (`what` is larger than `max`, or something in it was beyond its limit), WEIR_E_NOMEM. */
weir_err codec_end(struct codec_writer *w, const char *what, size_t max, struct weir_diag *diag);

void codec_put_u8(struct codec_writer *w, uint8_t value);
void codec_put_u16(struct codec_writer *w, uint16_t value);
void codec_put_u32(struct codec_writer *w, uint32_t value);
void codec_put_u64(struct codec_writer *w, uint64_t value);
void codec_put_i64(struct codec_writer *w, int64_t value);
void codec_put_raw(struct codec_writer *w, const void *data, size_t length);
void codec_put_text(struct codec_writer *w, const char *text, size_t max);         /* u16 length; max at most 65535 */
void codec_put_bytes(struct codec_writer *w, struct weir_bytes bytes, size_t max); /* u32 length */

/* ---- reading ------------------------------------------------------------------------------------------------------------------------- */

struct codec_reader {
    const unsigned char *start, *at, *end;
    const char *fault; /* what is wrong first, at byte `fault_at`; NULL = nothing */
    size_t fault_at;
    struct arena arena; /* everything that a reader gave */
    unsigned char *pool;
    size_t pool_used;
};

/*
 * Checks the envelope and stands at the body. Errors: WEIR_E_CORRUPT, WEIR_E_UNSUPPORTED (another version than `version`), WEIR_E_NOMEM.
 * what: "pack", for the sentence.
 */
weir_err codec_open(struct codec_reader *r, const void *data, size_t length, const char magic[static CODEC_MAGIC], uint32_t version,
                    const char *what, struct weir_diag *diag);
/* WEIR_OK when all was read and nothing was wrong; else frees the arena. Errors: WEIR_E_CORRUPT, WEIR_E_NOMEM. */
weir_err codec_close(struct codec_reader *r, const char *what, struct weir_diag *diag);

uint8_t codec_u8(struct codec_reader *r);
uint16_t codec_u16(struct codec_reader *r);
uint32_t codec_u32(struct codec_reader *r);
uint64_t codec_u64(struct codec_reader *r);
int64_t codec_i64(struct codec_reader *r);
void codec_raw(struct codec_reader *r, void *out, size_t length);         /* zeros after a fault */
struct weir_bytes codec_run(struct codec_reader *r, uint64_t length);     /* so many bytes, kept in the arena */
const char *codec_text(struct codec_reader *r, size_t max);               /* without NUL inside; "" after a fault */
struct weir_bytes codec_bytes(struct codec_reader *r, size_t max);        /* {NULL, 0} after a fault */
uint32_t codec_count(struct codec_reader *r, uint32_t max, size_t least); /* u32; how many follow, each of at least so many bytes */
void *codec_array(struct codec_reader *r, uint32_t n, size_t size);       /* zeroed, in the arena; NULL for none, or after a fault */
/* Notes a fault unless there is one. */
void codec_fault(struct codec_reader *r, const char *fault);

#endif
