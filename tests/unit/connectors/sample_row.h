/* SPDX-License-Identifier: Apache-2.0 */
/* A row with a field of each type, a way to read one from text into an output of the fake runtime, and random ones. */
#ifndef WEIR_TESTS_UNIT_CONNECTORS_SAMPLE_ROW_H
#define WEIR_TESTS_UNIT_CONNECTORS_SAMPLE_ROW_H

#include "connectors/text/row_text.h"
#include "tests/support/fake_runtime.h"

struct sample {
    bool flag;
    int32_t small;
    int64_t wide;
    double real;
    weir_time at;
    struct weir_str name;
    struct weir_str note;
};
WEIR_ROW(sample, WEIR_FIELD(sample, 1, BOOL, flag), WEIR_FIELD(sample, 2, I32, small), WEIR_FIELD(sample, 3, I64, wide),
         WEIR_FIELD(sample, 4, F64, real), WEIR_FIELD(sample, 5, TIME, at), WEIR_FIELD(sample, 6, STR, name),
         WEIR_FIELD(sample, 7, STR, note));

struct pair {
    int64_t id;
    struct weir_str text;
};
WEIR_ROW(pair, WEIR_FIELD(pair, 1, I64, id), WEIR_FIELD(pair, 2, STR, text));

/* SplitMix64: the same numbers everywhere. */
static inline uint64_t next_random(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Random bytes that text formats find hard, as a string of the row being built on `out`. */
static inline struct weir_str random_str(struct weir_out *out, uint64_t *seed)
{
    static const char hard[] = "\",\\\r\n\t{}[]:u0\x01\x1f\x7f\xc3\xa4 ab/";
    char text[64];
    uint32_t len = (uint32_t)(next_random(seed) % sizeof text);
    for (uint32_t i = 0; i < len; i++) {
        uint64_t r = next_random(seed);
        text[i] = r & 1 ? hard[(r >> 8) % sizeof hard] : (char)(r >> 8);
    }
    return weir_put_str(out, sizeof(struct sample), text, len);
}

static inline double random_f64(uint64_t *seed)
{
    uint64_t r = next_random(seed);
    double value;
    if (r % 4 == 0) return (double)(int64_t)(r >> 8 & 0xffffff) / 100;
    if (r % 4 == 1) return (double)(int64_t)(r >> 40) * 1e-7;
    r = next_random(seed);
    memcpy(&value, &r, sizeof value);
    return value == value ? value : 0.5; /* NaN compares with nothing */
}

static inline void emit_random(struct fake *f, uint64_t *seed)
{
    struct sample row;
    memset(&row, 0, sizeof row);
    row.flag = next_random(seed) & 1;
    row.small = (int32_t)next_random(seed);
    row.wide = (int64_t)next_random(seed) >> (next_random(seed) % 64);
    row.real = random_f64(seed);
    row.at = (int64_t)next_random(seed) >> (next_random(seed) % 64);
    row.name = random_str(f->ctx.out, seed);
    row.note = random_str(f->ctx.out, seed);
    (void)weir_emit(f->ctx.out, &row, sizeof row, WEIR_TIME_MIN);
}

static inline bool same_str(const void *a, struct weir_str s, const void *b, struct weir_str t)
{
    return s.length == t.length && memcmp(weir_str_data(a, s), weir_str_data(b, t), s.length) == 0;
}

static inline bool same_sample(const struct sample *a, const struct sample *b)
{
    return a->flag == b->flag && a->small == b->small && a->wide == b->wide && memcmp(&a->real, &b->real, sizeof a->real) == 0 &&
           a->at == b->at && same_str(a, a->name, b, b->name) && same_str(a, a->note, b, b->note);
}

/* csv_read_row or json_read_row. */
typedef weir_err (*read_fn)(struct row_text *row, struct weir_out *out, char *text, size_t len, size_t *error_at, struct weir_diag *diag);

/* Reads one row from a copy of its own size (a sanitizer sees what reads past it) and emits it to f's output 0. */
static inline weir_err read_sample(struct fake *f, read_fn read, struct row_text *row, const char *text, size_t len, size_t *error_at)
{
    char *copy = malloc(len ? len : 1);
    if (!copy) abort();
    memcpy(copy, text, len);
    weir_err err = read(row, f->ctx.out, copy, len, error_at, &f->diag);
    if (!err) err = weir_emit_bytes(f->ctx.out, row->bytes, row->schema->row_size, WEIR_TIME_MIN, WEIR_INSERT);
    if (err) f->ctx.out->tail = 0; /* strings of the refused row */
    free(copy);
    fake_flush(f);
    return err;
}

#endif
