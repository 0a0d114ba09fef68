/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items: rows whose every byte follows from (seed, sender, seq), a source that makes them, and a sink that knows what each must look like.
 * So a job of any shape can be checked row by row at its end, and its losses, doubles and disorders are told by name.
 */
#ifndef WEIR_TESTS_UNIT_TASK_ITEMS_H
#define WEIR_TESTS_UNIT_TASK_ITEMS_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/local/local_job.h"

#define SENDERS_MAX 8
#define KEYS_MAX 16
#define TOTALS_MAX 4

struct item {
    int64_t sender, seq, key;
    weir_time time;
    struct weir_str text, more;
};
WEIR_ROW(item, WEIR_FIELD(item, 1, I64, sender), WEIR_FIELD(item, 2, I64, seq), WEIR_FIELD(item, 3, I64, key),
         WEIR_FIELD(item, 4, TIME, time), WEIR_FIELD(item, 5, STR, text), WEIR_FIELD(item, 6, STR, more));
WEIR_KEY_FIXED(item_key, item, key);

enum item_sizes { SIZES_NONE, SIZES_SMALL, SIZES_EDGES, SIZES_LARGE };

/* What the items of this run look like. Set before the job starts. */
static struct {
    uint64_t seed;
    int64_t rows; /* of each sender */
    int64_t senders;
    int64_t keys;
    enum item_sizes sizes;
} items;

static inline uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The random word `what` of an item. */
static inline uint64_t item_word(int64_t sender, int64_t seq, uint64_t what)
{
    return mix(items.seed ^ mix((uint64_t)sender << 48 ^ (uint64_t)seq) ^ what << 56);
}

/* Lengths around the places where a frame (32 KiB with its header), a buffer or a record's padding ends. */
static inline uint32_t edge_length(uint64_t word)
{
    static const uint32_t around[] = {
        0, 8, 16, 4096, WEIR_FRAME_BYTES / 2, WEIR_FRAME_BYTES - 144, WEIR_FRAME_BYTES - 64, WEIR_FRAME_BYTES, 65536, 70000};
    uint32_t base = around[word % (sizeof around / sizeof around[0])];
    uint32_t off = (uint32_t)(word >> 32) % 33;
    return base + off < 16 ? 0 : base + off - 16;
}

static inline uint32_t item_length(int64_t sender, int64_t seq, uint64_t which)
{
    uint64_t word = item_word(sender, seq, 16 + which);
    switch (items.sizes) {
    case SIZES_NONE: return 0;
    case SIZES_SMALL: return (uint32_t)(word % 41);
    case SIZES_EDGES: return word % 8 ? (uint32_t)(word >> 8) % 41 : edge_length(word >> 8);
    case SIZES_LARGE: break;
    }
    /* One row is as large as a row may be. */
    if (seq == 2) return which == 0 ? WEIR_ROW_MAX - (uint32_t)sizeof(struct item) - 1000 : 1000;
    return (uint32_t)(word >> 8) % (which == 0 ? 5u << 20 : 300);
}

static inline struct item item_of(int64_t sender, int64_t seq)
{
    return (struct item){.sender = sender,
                         .seq = seq,
                         .key = (int64_t)(item_word(sender, seq, 1) % (uint64_t)items.keys),
                         .time = seq * 10 + (int64_t)(item_word(sender, seq, 2) % 7)};
}

static inline uint8_t item_kind(int64_t sender, int64_t seq)
{
    return (uint8_t)(item_word(sender, seq, 3) % 4);
}

static inline uint64_t item_bytes(int64_t sender, int64_t seq, uint64_t which, uint64_t at)
{
    return (item_word(sender, seq, 32 + which) + at) * 0x9e3779b97f4a7c15u;
}

static inline struct weir_str put_text(struct weir_out *out, int64_t sender, int64_t seq, uint64_t which)
{
    uint32_t length = item_length(sender, seq, which);
    uint64_t few[16], *words = length > sizeof few ? malloc(length + 8u) : few;
    for (uint32_t i = 0; i < (length + 7) / 8; i++) words[i] = item_bytes(sender, seq, which, i);
    struct weir_str text = weir_put_str(out, sizeof(struct item), words, length);
    if (words != few) free(words);
    return text;
}

static inline bool text_is_right(const struct item *row, struct weir_str text, uint64_t which)
{
    if (text.length != item_length(row->sender, row->seq, which)) return false;
    const char *data = weir_str_data(row, text);
    for (uint32_t i = 0; i < text.length; i += 8) {
        uint64_t word = item_bytes(row->sender, row->seq, which, i / 8);
        if (memcmp(data + i, &word, text.length - i < 8 ? text.length - i : 8) != 0) return false;
    }
    return true;
}

static inline weir_err emit_item(struct weir_out *out, int64_t sender, int64_t seq)
{
    struct item row = item_of(sender, seq);
    row.text = put_text(out, sender, seq, 0);
    row.more = put_text(out, sender, seq, 1);
    return weir_emit_kind(out, &row, sizeof row, row.time, item_kind(sender, seq));
}

/* Emits the row again, with its strings, as an operator that changes something would. */
static inline weir_err emit_again(struct weir_out *out, const struct item *row, const struct weir_record *rec)
{
    struct item copy = *row;
    copy.text = weir_put_str(out, sizeof copy, weir_str_data(row, row->text), row->text.length);
    copy.more = weir_put_str(out, sizeof copy, weir_str_data(row, row->more), row->more.length);
    return weir_emit_kind(out, &copy, sizeof copy, rec->time_ms, rec->kind);
}

/* ---- the source: one split a sender ----------------------------------------------------------------------------------------------------
 */

struct item_reader {
    int64_t sender, seq;
    uint64_t calls;
};

static weir_err item_discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    (void)config, (void)parallelism, (void)diag;
    for (int64_t s = 0; s < items.senders; s++) {
        weir_err err = weir_splits_add(splits, &s, sizeof s);
        if (err) return err;
    }
    return WEIR_OK;
}

static weir_err item_open(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position)
{
    (void)ctx;
    struct item_reader *r = self;
    if (position.length == sizeof *r) memcpy(r, position.data, sizeof *r);
    memcpy(&r->sender, split.data, sizeof r->sender);
    return WEIR_OK;
}

static weir_err item_position(void *self, struct weir_ctx *ctx, void *data, uint32_t *length)
{
    (void)ctx;
    memcpy(data, self, sizeof(struct item_reader));
    *length = sizeof(struct item_reader);
    return WEIR_OK;
}

/* Calls of random length; now and then one that has nothing. */
static weir_err item_read(void *self, struct weir_ctx *ctx)
{
    struct item_reader *r = self;
    uint64_t word = item_word(r->sender, (int64_t)r->calls++, 5);
    if (word % 11 == 0) return WEIR_AGAIN;
    for (uint64_t n = word >> 8 & 1023; n > 0 && r->seq < items.rows && !weir_should_yield(ctx); n--) {
        weir_err err = emit_item(ctx->out, r->sender, r->seq++);
        if (err) return err;
    }
    return r->seq < items.rows ? WEIR_OK : WEIR_DONE;
}

static const struct weir_source item_source = {.struct_size = sizeof item_source,
                                               .name = "items",
                                               .self_size = sizeof(struct item_reader),
                                               .schema = &item_schema,
                                               .discover = item_discover,
                                               .open = item_open,
                                               .read = item_read,
                                               .position = item_position};

/* ---- the sink
 * ------------------------------------------------------------------------------------------------------------------------------ */

/* What arrived at the sinks whose config names this total. */
static struct {
    _Atomic uint64_t rows, sum;
} totals[TOTALS_MAX];

struct check_config {
    uint32_t total;
    bool ordered; /* each sink must see the rows of a sender and key in ascending order */
};

struct check {
    const struct check_config *config;
    int64_t last[SENDERS_MAX][KEYS_MAX];
};

static weir_err check_open(void *self, struct weir_ctx *ctx)
{
    struct check *c = self;
    c->config = ctx->config;
    memset(c->last, -1, sizeof c->last);
    return WEIR_OK;
}

static inline uint64_t item_sum(int64_t sender, int64_t seq)
{
    return item_word(sender, seq, 9);
}

static inline weir_err check_row(struct check *c, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    const char *wrong = NULL;
    if (row->sender < 0 || row->sender >= items.senders || row->seq < 0 || row->seq >= items.rows)
        return weir_fail(ctx->diag, WEIR_E_USER, "no such item: %lld of sender %lld", (long long)row->seq, (long long)row->sender);
    struct item right = item_of(row->sender, row->seq);
    if (row->key != right.key || row->time != right.time) wrong = "fields";
    if (rec->time_ms != right.time) wrong = "time";
    if (rec->kind != item_kind(row->sender, row->seq)) wrong = "kind";
    if (!text_is_right(row, row->text, 0) || !text_is_right(row, row->more, 1)) wrong = "strings";
    int64_t *last = &c->last[row->sender][row->key];
    if (c->config->ordered && row->seq <= *last) wrong = "place in the order";
    *last = row->seq;
    if (wrong)
        return weir_fail(ctx->diag, WEIR_E_USER, "item %lld of sender %lld: wrong %s", (long long)row->seq, (long long)row->sender, wrong);
    atomic_fetch_add_explicit(&totals[c->config->total].rows, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&totals[c->config->total].sum, item_sum(row->sender, row->seq), memory_order_relaxed);
    return WEIR_OK;
}
WEIR_PROCESS(check, check, item, check_row);

static const struct weir_operator check_op = {.struct_size = sizeof check_op,
                                              .name = "check",
                                              .self_size = sizeof(struct check),
                                              .in = &item_schema,
                                              .flags = WEIR_OPERATOR_SINK,
                                              .open = check_open,
                                              .process = check_process};

static inline struct weir_stream *check_items(struct weir_stream *s, const char *id, uint32_t total, bool ordered)
{
    struct check_config config = {.total = total, .ordered = ordered};
    return weir_sink(s, id, &check_op, &config);
}

/* True when exactly the items for which `keep` (NULL: all) holds arrived at `total`, each `copies` times. */
static inline bool items_arrived(uint32_t total, uint64_t copies, bool (*keep)(const struct item *))
{
    uint64_t rows = 0, sum = 0;
    for (int64_t sender = 0; sender < items.senders; sender++) {
        for (int64_t seq = 0; seq < items.rows; seq++) {
            struct item row = item_of(sender, seq);
            if (keep && !keep(&row)) continue;
            rows += copies;
            sum += copies * item_sum(sender, seq);
        }
    }
    uint64_t got = atomic_load(&totals[total].rows);
    if (got == rows && atomic_load(&totals[total].sum) == sum) return true;
    print_error("seed %llu: %llu rows arrived, %llu were due%s\n", (unsigned long long)items.seed, (unsigned long long)got,
                (unsigned long long)rows, got == rows ? ", but others" : "");
    return false;
}

/* Runs the job; a failure prints its sentence and the seed. The job's counters stay in *job: close it. */
static inline weir_err run_items(struct local_job *job, weir_job_fn build, uint32_t parallelism, const char *mode, struct weir_diag *diag)
{
    char *argv[] = {(char *)(uintptr_t)mode};
    struct weir_diag own = {0};
    for (uint32_t i = 0; i < TOTALS_MAX; i++) {
        atomic_store(&totals[i].rows, 0);
        atomic_store(&totals[i].sum, 0);
    }
    weir_err err = local_job_run(job, build, parallelism, 1, argv, diag ? diag : &own);
    if (err && !diag)
        print_error("seed %llu, mode %s, parallelism %u: %s: %s\n", (unsigned long long)items.seed, mode, parallelism,
                    job->failed_id ? job->failed_id : "", own.text);
    return err;
}

#endif
