/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the targets of text formats share. The first byte of the input chooses the time format, the rest is a record. Whatever it is, the
 * reader returns; where it accepts, writing the row and reading that back must give the same text again.
 */
#ifndef WEIR_TESTS_FUZZ_TEXT_TARGET_H
#define WEIR_TESTS_FUZZ_TEXT_TARGET_H

#include <stdlib.h>

#include "connectors/text/row_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzzed {
    bool flag;
    int32_t small;
    int64_t wide;
    double real;
    weir_time at;
    struct weir_str name;
    struct weir_str note;
};
WEIR_ROW(fuzzed, WEIR_FIELD(fuzzed, 1, BOOL, flag), WEIR_FIELD(fuzzed, 2, I32, small), WEIR_FIELD(fuzzed, 3, I64, wide),
         WEIR_FIELD(fuzzed, 4, F64, real), WEIR_FIELD(fuzzed, 5, TIME, at), WEIR_FIELD(fuzzed, 6, STR, name),
         WEIR_FIELD(fuzzed, 7, STR, note));

#define RECORD_MAX 65536

typedef bool (*write_fn)(struct text_buf *buf, const struct weir_schema *schema, const void *row, enum weir_file_time time_format);
typedef weir_err (*read_fn)(struct row_text *row, struct weir_out *out, char *text, size_t len, size_t *error_at, struct weir_diag *diag);

/* The output of these targets has room for the longest record; there is no runtime to hand a frame to. */
void weir_out_make_room(struct weir_out *out, uint32_t need)
{
    (void)out, (void)need;
    abort();
}

static inline void must(bool condition)
{
    if (!condition) abort();
}

/* Reads a copy of its own size. On success `to` holds the whole row, struct and strings. */
static inline weir_err read_text(read_fn read, enum weir_file_time time_format, const char *text, size_t len, unsigned char *to, size_t cap)
{
    uint32_t offset = 0;
    struct weir_out out = {.cursor = to, .base = to, .end = to + cap, .offsets = &offset};
    struct row_text row;
    struct weir_diag diag;
    size_t error_at = 0;
    char *copy = malloc(len ? len : 1);
    must(copy && row_text_init(&row, &fuzzed_schema, time_format, &diag) == WEIR_OK);
    if (len) memcpy(copy, text, len);
    weir_err err = read(&row, &out, copy, len, &error_at, &diag);
    must(!err || error_at <= len);
    if (!err) {
        uint32_t size = out.tail ? out.tail : (uint32_t)sizeof(struct fuzzed);
        memmove(to, to + sizeof(struct weir_record), size);
        memcpy(to, row.bytes, sizeof(struct fuzzed));
        must(weir_row_valid(&fuzzed_schema, to, size));
    }
    row_text_close(&row);
    free(copy);
    return err;
}

static inline int round_trip(read_fn read, write_fn write, const uint8_t *data, size_t size)
{
    static _Alignas(8) unsigned char row[RECORD_MAX * 8];
    if (size == 0 || size > RECORD_MAX) return 0;
    enum weir_file_time time_format = data[0] & 1 ? WEIR_FILE_TIME_ISO : WEIR_FILE_TIME_MS;
    if (read_text(read, time_format, (const char *)data + 1, size - 1, row, sizeof row)) return 0;
    struct text_buf first = {0}, second = {0};
    must(write(&first, &fuzzed_schema, row, time_format));
    must(read_text(read, time_format, first.data, first.len - 1, row, sizeof row) == WEIR_OK);
    must(write(&second, &fuzzed_schema, row, time_format));
    must(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    text_close(&first);
    text_close(&second);
    return 0;
}

#endif
