/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that operators keep: in state, where bytes may lie anywhere, and by their fields. */
#ifndef WEIR_RUNTIME_OPERATOR_ROWS_H
#define WEIR_RUNTIME_OPERATOR_ROWS_H

#include "weir/weir.h"

/* A buffer that grows. Zeros: empty. */
struct row_buf {
    void *data;
    size_t cap;
};

/* At least `size` bytes, or NULL: no memory, which ctx->diag then says. What was in it is kept. */
void *row_reserve(struct row_buf *buf, struct weir_ctx *ctx, size_t size);
void row_buf_close(struct row_buf *buf);

/* The bytes where user code may read them as a row, at a multiple of 8: as they are, or copied to `buf`. NULL: no memory. */
const void *row_aligned(struct row_buf *buf, struct weir_ctx *ctx, const void *data, uint32_t length);

/*
 * A row by its fields alone: members in their places, zeros between them, strings in order of the fields. Two rows with equal fields give
 * equal bytes, however they were made. Gives the bytes in `buf`; {NULL, 0}: no memory.
 */
struct weir_bytes row_by_fields(struct row_buf *buf, struct weir_ctx *ctx, const struct weir_schema *schema, const void *row);

/* A row with its event time, as values hold it. */
struct timed_row {
    weir_time time_ms;
    const void *row;
    uint32_t size;
};
#define TIMED_ROW_HEAD 8u

/* Writes the current key's value: time, row. */
weir_err timed_row_write(struct row_buf *buf, struct weir_ctx *ctx, struct weir_state *state, const void *row, uint32_t size,
                         weir_time time_ms);

/* Reads such a value. False: there is none (value.data is NULL), or it is too short for the type: WEIR_E_CORRUPT in *err. */
bool timed_row_parse(struct weir_ctx *ctx, struct weir_bytes value, uint32_t row_size, struct timed_row *out, weir_err *err);

/*
 * Emits the rows of all keys as inserts with their times: a scan of memory and RocksDB that `cursor`, 0 at first, goes along. WEIR_AGAIN:
 * the output is full, to be called again. row_size: of the type, at least so many bytes each row has.
 */
weir_err timed_rows_tell(struct weir_ctx *ctx, struct weir_state *state, uint32_t row_size, uint64_t *cursor);

/* Fails: a record came when what is told at the end of event time has left, or begun to. */
weir_err refuse_after_end(struct weir_ctx *ctx);

#endif
