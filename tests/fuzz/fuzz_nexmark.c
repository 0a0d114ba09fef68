/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of Nexmark files. The first byte of the input chooses the format, the rest is text. Whatever it is, the reader returns; where it
 * accepts, writing the event and reading that back gives the same text again. And where records of CSV end does not depend on how much of
 * the text is there.
 */
#include <stdlib.h>

#include "connectors/nexmark/event_text.h"
#include "connectors/text/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 65536

/* The outputs have room for the longest record; there is no runtime to hand a frame to. */
void weir_out_make_room(struct weir_out *out, uint32_t need)
{
    (void)out, (void)need;
    abort();
}

static void must(bool condition)
{
    if (!condition) abort();
}

/* Reads a copy of its own size. On success `to` holds the whole row. */
static weir_err read_text(enum weir_nexmark_format format, const char *text, size_t len, unsigned char *to, size_t cap,
                          enum generate_kind *kind)
{
    struct event_reader reader;
    struct weir_diag diag;
    struct weir_out outs[EVENT_KINDS];
    uint32_t offset;
    size_t error_at = 0;
    for (int k = 0; k < EVENT_KINDS; k++) outs[k] = (struct weir_out){.cursor = to, .base = to, .end = to + cap, .offsets = &offset};
    must(event_reader_init(&reader, format, &diag) == WEIR_OK);
    char *copy = malloc(len ? len : 1);
    must(copy != NULL);
    if (len) memcpy(copy, text, len);
    weir_err err = event_read(&reader, outs, copy, len, kind, &error_at, &diag);
    must(!err || error_at <= len);
    if (!err) {
        const struct row_text *row = &reader.rows[*kind];
        uint32_t row_size = row->schema->row_size, n = outs[*kind].tail ? outs[*kind].tail : row_size;
        memmove(to, to + sizeof(struct weir_record), n);
        memcpy(to, row->bytes, row_size);
        must(weir_row_valid(row->schema, to, n));
    }
    for (int k = 0; k < EVENT_KINDS && err; k++) must(outs[k].tail == 0); /* nothing of a refused record is left */
    event_reader_close(&reader);
    free(copy);
    return err;
}

static void check_round_trip(enum weir_nexmark_format format, const char *text, size_t len)
{
    static _Alignas(8) unsigned char row[TEXT_MAX * 8];
    enum generate_kind kind, again;
    if (read_text(format, text, len, row, sizeof row, &kind)) return;
    struct text_buf first = {0}, second = {0};
    must(event_write(&first, format, kind, row));
    must(read_text(format, first.data, first.len - 1, row, sizeof row, &again) == WEIR_OK && again == kind);
    must(event_write(&second, format, kind, row));
    must(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    text_close(&first);
    text_close(&second);
}

static void check_record_end(const char *text, size_t len)
{
    struct csv_scan whole = {0}, grown = {0};
    size_t expected, end = 0;
    must(csv_record_end(&whole, text, len, true, &expected));
    must(expected == len || (expected < len && text[expected] == '\n'));
    bool found = false;
    for (size_t n = 0, step = 1; !found; n = n + step < len ? n + step : len, step = step * 2 % 61)
        found = csv_record_end(&grown, text, n, n == len, &end);
    must(end == expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > TEXT_MAX) return 0;
    const char *text = (const char *)data + 1;
    check_round_trip(data[0] & 1 ? WEIR_NEXMARK_JSON : WEIR_NEXMARK_CSV, text, size - 1);
    check_record_end(text, size - 1);
    return 0;
}
