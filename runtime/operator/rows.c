/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/operator/rows.h"

#include <stdlib.h>
#include <string.h>

void *row_reserve(struct row_buf *buf, struct weir_ctx *ctx, size_t size)
{
    if (buf->data && size <= buf->cap) return buf->data;
    size_t cap = size + size / 2 + 64;
    void *grown = realloc(buf->data, cap);
    if (!grown) {
        (void)weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: no memory for a row of %zu bytes", ctx->operator_id, size);
        return NULL;
    }
    buf->data = grown;
    buf->cap = cap;
    return grown;
}

void row_buf_close(struct row_buf *buf)
{
    free(buf->data);
    *buf = (struct row_buf){0};
}

const void *row_aligned(struct row_buf *buf, struct weir_ctx *ctx, const void *data, uint32_t length)
{
    if ((uintptr_t)data % 8 == 0) return data;
    void *copy = row_reserve(buf, ctx, length);
    return copy ? memcpy(copy, data, length) : NULL;
}

/* ---- by fields ------------------------------------------------------------------------------------------------------------------- */

static uint32_t field_size(enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_BOOL: return sizeof(bool);
    case WEIR_TYPE_I32: return sizeof(int32_t);
    case WEIR_TYPE_I64: return sizeof(int64_t);
    case WEIR_TYPE_F64: return sizeof(double);
    case WEIR_TYPE_TIME: return sizeof(weir_time);
    case WEIR_TYPE_STR: return sizeof(struct weir_str);
    case WEIR_TYPE_DECIMAL: return sizeof(int64_t);
    }
    return 0; /* the builders refuse such a schema */
}

static struct weir_str string_of(const void *row, const struct weir_field *field)
{
    struct weir_str s;
    memcpy(&s, (const char *)row + field->offset, sizeof s);
    return s;
}

static size_t size_by_fields(const struct weir_schema *schema, const void *row)
{
    size_t size = schema->row_size;
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        if (schema->fields[i].type == WEIR_TYPE_STR) size += string_of(row, &schema->fields[i]).length;
    }
    return size;
}

struct weir_bytes row_by_fields(struct row_buf *buf, struct weir_ctx *ctx, const struct weir_schema *schema, const void *row)
{
    unsigned char *out = row_reserve(buf, ctx, size_by_fields(schema, row));
    if (!out) return (struct weir_bytes){NULL, 0};
    uint32_t at = schema->row_size;
    memset(out, 0, at);
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        const struct weir_field *field = &schema->fields[i];
        if (field->type != WEIR_TYPE_STR) {
            memcpy(out + field->offset, (const char *)row + field->offset, field_size(field->type));
            continue;
        }
        struct weir_str s = string_of(row, field), moved = {at, s.length};
        memcpy(out + field->offset, &moved, sizeof moved);
        if (s.length) memcpy(out + at, weir_str_data(row, s), s.length);
        at += s.length;
    }
    return (struct weir_bytes){out, at};
}

/* ---- with their times ------------------------------------------------------------------------------------------------------------- */

weir_err timed_row_write(struct row_buf *buf, struct weir_ctx *ctx, struct weir_state *state, const void *row, uint32_t size,
                         weir_time time_ms)
{
    unsigned char *value = row_reserve(buf, ctx, (size_t)size + TIMED_ROW_HEAD);
    if (!value) return WEIR_E_NOMEM;
    memcpy(value, &time_ms, TIMED_ROW_HEAD);
    memcpy(value + TIMED_ROW_HEAD, row, size);
    return weir_value_write(ctx, state, value, size + TIMED_ROW_HEAD);
}

bool timed_row_parse(struct weir_ctx *ctx, struct weir_bytes value, uint32_t row_size, struct timed_row *out, weir_err *err)
{
    if (!value.data) return false;
    if (value.length < TIMED_ROW_HEAD + row_size) {
        *err = weir_fail(ctx->diag, WEIR_E_CORRUPT, "%s: a row in its state has %u bytes, at least %u are due", ctx->operator_id,
                         value.length, TIMED_ROW_HEAD + row_size);
        return false;
    }
    memcpy(&out->time_ms, value.data, TIMED_ROW_HEAD);
    out->row = (const char *)value.data + TIMED_ROW_HEAD;
    out->size = value.length - TIMED_ROW_HEAD;
    return true;
}

weir_err timed_rows_tell(struct weir_ctx *ctx, struct weir_state *state, uint32_t row_size, uint64_t *cursor)
{
    struct weir_key key;
    struct weir_bytes value;
    struct timed_row row;
    weir_err err = WEIR_OK;
    while (weir_value_next(ctx, state, cursor, &key, &value)) {
        if (!timed_row_parse(ctx, value, row_size, &row, &err)) return err;
        err = weir_emit_bytes(ctx->out, row.row, row.size, row.time_ms, WEIR_INSERT);
        if (err) return err;
        if (weir_should_yield(ctx)) return WEIR_AGAIN;
    }
    return WEIR_OK;
}

weir_err refuse_after_end(struct weir_ctx *ctx)
{
    return weir_fail(ctx->diag, WEIR_E_STATE, "%s: a record came after the end of event time: the results have left", ctx->operator_id);
}
