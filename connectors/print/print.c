/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The print sink: "PREFIX:SUBTASK> " and the row as CSV, times in ISO-8601; rows that are no inserts have "-U ", "+U " or "-D " in front.
 * It is meant for eyes: a batch is formatted as a whole and written at once, so that lines of several subtasks do not mix within a process.
 */
#include "weir/connector/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "connectors/text/csv.h"

struct print_config {
    struct weir_print print;
    const struct weir_schema *schema; /* NULL = unknown: a row is shown by its size */
};

struct print {
    struct text_buf buf;
};

static bool put_text(struct text_buf *buf, const char *text)
{
    size_t len = strlen(text);
    if (!text_reserve(buf, len)) return false;
    text_put(buf, text, len);
    return true;
}

/* Of a row that is one string. */
static bool put_line(struct text_buf *buf, const void *row)
{
    struct weir_str text = *(const struct weir_str *)row;
    if (!text_reserve(buf, (size_t)text.length + 1)) return false;
    text_put(buf, weir_str_data(row, text), text.length);
    text_put_char(buf, '\n');
    return true;
}

static bool put_record(struct text_buf *buf, const struct print_config *config, struct weir_record *rec)
{
    static const char *const kinds[] = {"", "-U ", "+U ", "-D "};
    if (rec->kind < 4 && !put_text(buf, kinds[rec->kind])) return false;
    if (config->print.lines) return put_line(buf, weir_record_row(rec));
    if (config->schema) return csv_write_row(buf, config->schema, weir_record_row(rec), WEIR_FILE_TIME_ISO);
    char text[64];
    (void)snprintf(text, sizeof text, "(%" PRIu32 " bytes of an unknown type)\n", rec->size);
    return put_text(buf, text);
}

static weir_err print_open(void *self, struct weir_ctx *ctx)
{
    const struct print_config *config = ctx->config;
    const struct weir_schema *schema = config->schema;
    (void)self;
    if (!config->print.lines ||
        (schema && schema->n_fields == 1 && schema->fields[0].type == WEIR_TYPE_STR && schema->fields[0].offset == 0))
        return WEIR_OK;
    return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "print: lines need rows of exactly one string, not of type %s",
                     schema ? schema->name : "?");
}

static weir_err print_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct print *p = self;
    (void)input;
    const struct print_config *config = ctx->config;
    char prefix[WEIR_NAME_MAX + 16];
    const char *given = config->print.prefix ? config->print.prefix : ctx->operator_id;
    (void)snprintf(prefix, sizeof prefix, "%.*s:%" PRIu32 "> ", WEIR_NAME_MAX, given, ctx->subtask);
    if (!*given) prefix[0] = '\0';
    p->buf.len = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (!put_text(&p->buf, prefix) || !put_record(&p->buf, config, weir_batch_record(batch, i)))
            return weir_fail(ctx->diag, WEIR_E_NOMEM, "no memory to print a row");
    }
    flockfile(stdout);
    bool bad = fwrite(p->buf.data, 1, p->buf.len, stdout) != p->buf.len || fflush(stdout) != 0;
    int cause = errno;
    funlockfile(stdout);
    return bad ? weir_fail_errno(ctx->diag, cause, "write to standard output") : WEIR_OK;
}

static void print_close(void *self, struct weir_ctx *ctx)
{
    struct print *p = self;
    (void)ctx;
    text_close(&p->buf);
}

static const struct weir_operator print = {
    .struct_size = sizeof(struct weir_operator),
    .name = "print",
    .self_size = sizeof(struct print),
    .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_TAKES_CHANGES,
    .open = print_open,
    .process = print_process,
    .close = print_close,
};

struct weir_stream *weir_to_print(struct weir_stream *in, const char *id, const struct weir_print *config)
{
    struct print_config copy = {.print = config ? *config : (struct weir_print){0}, .schema = weir_stream_schema(in)};
    return weir_apply(in, id, &print, &copy, sizeof copy);
}
