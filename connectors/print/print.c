/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The print sink: "PREFIX:SUBTASK> " and the row as CSV, times in ISO-8601; rows that are no inserts have "-U ", "+U " or "-D " in front.
 * It is meant for eyes, so it is written for its reader: stdio, one call a field. Lines of several subtasks do not mix within a process.
 */
#include "weir/connector/print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct print_config {
    struct weir_print print;
    const struct weir_schema *schema; /* NULL = unknown: a row is shown by its size */
};

static void print_str(const char *text, size_t len)
{
    bool quote = false;
    for (size_t i = 0; i < len && !quote; i++) quote = text[i] == ',' || text[i] == '"' || text[i] == '\r' || text[i] == '\n';
    if (quote) putchar('"');
    for (size_t i = 0; i < len; i++) {
        if (quote && text[i] == '"') putchar('"');
        putchar(text[i]);
    }
    if (quote) putchar('"');
}

/* As ISO-8601, or the number of milliseconds where the C library has no such date. */
static void print_time(weir_time time_ms)
{
    int64_t ms = (time_ms % 1000 + 1000) % 1000;
    time_t seconds = (time_t)(time_ms / 1000 - (time_ms % 1000 < 0));
    struct tm tm;
    char text[64];
    bool usual = time_ms > -62135596800000 && time_ms < 253402300800000; /* years 1 to 9999 */
    if (!usual || !gmtime_r(&seconds, &tm) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm) == 0) {
        printf("%" PRId64, time_ms);
    } else if (ms) {
        printf("%s.%03" PRId64 "Z", text, ms);
    } else {
        printf("%sZ", text);
    }
}

/* The fewest digits that read back to the same value. */
static void print_f64(double value)
{
    char text[40];
    int precision = 15;
    do snprintf(text, sizeof text, "%.*g", precision, value);
    while (++precision <= 17 && strtod(text, NULL) != value);
    fputs(text, stdout);
}

static void print_field(const struct weir_field *field, const unsigned char *row)
{
    const void *at = row + field->offset; /* aligned as in the author's struct */
    switch (field->type) {
    case WEIR_TYPE_BOOL: fputs(*(const bool *)at ? "true" : "false", stdout); break;
    case WEIR_TYPE_I32: printf("%" PRId32, *(const int32_t *)at); break;
    case WEIR_TYPE_I64: printf("%" PRId64, *(const int64_t *)at); break;
    case WEIR_TYPE_F64: print_f64(*(const double *)at); break;
    case WEIR_TYPE_TIME: print_time(*(const weir_time *)at); break;
    case WEIR_TYPE_STR: print_str(weir_str_data(row, *(const struct weir_str *)at), ((const struct weir_str *)at)->length); break;
    }
}

static void print_record(const struct print_config *config, struct weir_record *rec)
{
    static const char *const kinds[] = {"", "-U ", "+U ", "-D "};
    if (rec->kind < 4) fputs(kinds[rec->kind], stdout);
    const struct weir_schema *schema = config->schema;
    for (uint32_t i = 0; schema && i < schema->n_fields; i++) {
        if (i) putchar(',');
        print_field(&schema->fields[i], weir_record_row(rec));
    }
    if (!schema) printf("(%" PRIu32 " bytes of an unknown type)", rec->size);
    putchar('\n');
}

static weir_err print_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)input;
    const struct print_config *config = ctx->config;
    const char *prefix = config->print.prefix ? config->print.prefix : ctx->operator_id;
    flockfile(stdout);
    for (uint32_t i = 0; i < batch->count; i++) {
        printf("%s:%" PRIu32 "> ", prefix, ctx->subtask);
        print_record(config, weir_batch_record(batch, i));
    }
    bool bad = fflush(stdout) != 0 || ferror(stdout);
    int cause = errno;
    funlockfile(stdout);
    return bad ? weir_fail_errno(ctx->diag, cause, "write to standard output") : WEIR_OK;
}

static const struct weir_operator print = {
    .struct_size = sizeof(struct weir_operator),
    .name = "print",
    .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_TAKES_CHANGES,
    .process = print_process,
};

struct weir_stream *weir_to_print(struct weir_stream *in, const char *id, const struct weir_print *config)
{
    struct print_config copy = {.print = config ? *config : (struct weir_print){0}, .schema = weir_stream_schema(in)};
    return weir_apply(in, id, &print, &copy, sizeof copy);
}
