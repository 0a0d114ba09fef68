/* SPDX-License-Identifier: Apache-2.0 */
/* The public operator ABI in real jobs: whatever way operators write, forward, share and narrow, every row arrives whole, in order, as
 * often as it must. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/task/items.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) /* much slower, and look for other things than the last rare size */
#define SHARE 5
#else
#define SHARE 1
#endif
/* Rows of a test that has many: where each is a batch, a quarter finds as much. */
#define SOME(rows) ((rows) / SHARE / (local_job_state.segment == 1 ? 4 : 1))

static void draw(uint64_t seed, int64_t rows, enum item_sizes sizes)
{
    items.seed = seed;
    items.rows = rows;
    items.senders = 3;
    items.keys = 13;
    items.sizes = sizes;
}

static struct weir_stream *source(struct weir_env *env)
{
    return weir_from(env, "items", &item_source, NULL, 0);
}

static struct weir_stream *partitioned(struct weir_stream *s, char how)
{
    switch (how) {
    case 'r': return weir_rebalance(s);
    case 'k': return weir_key_by(s, &item_key);
    case 'g': return weir_global(s);
    case 'b': return weir_broadcast(s);
    default: return s;
    }
}

/* The next step starts a vertex of its own even where it could be chained: its input comes over a channel. */
static struct weir_stream *unchained(struct weir_stream *s, bool apart)
{
    return apart ? weir_start_new_chain(s) : s;
}

/* ---- sizes ------------------------------------------------------------------------------------------------------------------------------
 */

static inline weir_err again(struct weir_none *self, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    (void)self;
    return emit_again(ctx->out, row, rec);
}
WEIR_FLAT_MAP(again_op, item, item, again);

/* argv[0]: how to the first step, how to the sink, 'c' = chained where possible. */
static weir_err build_again(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_flat_map(partitioned(source(env), argv[0][0]), "again", &again_op);
    s = unchained(s, argv[0][2] != 'c');
    s = check_items(partitioned(s, argv[0][1]), "check", 0, argv[0][0] != 'r');
    (void)unchained(s, argv[0][2] != 'c');
    return WEIR_OK;
}

/* Strings of 0 bytes to 70 KB, many of them where a frame ends, come through every partitioning and every kind of output. */
static void rows_of_every_size_survive_every_partitioning(void **state)
{
    (void)state;
    const char *modes[] = {"ffc", "ff", "fr", "fkc", "fk", "fg", "fb", "kk", "kfc", "kf", "kg", "gg", "gk", "rr", "rk"};
    for (uint32_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        for (uint32_t p = 1; p <= 4; p++) {
            struct local_job job;
            draw(100 + m * 10 + p, SOME(700), SIZES_EDGES);
            assert_int_equal(run_items(&job, build_again, p, modes[m], NULL), WEIR_OK);
            assert_true(items_arrived(0, modes[m][1] == 'b' ? p : 1, NULL));
            local_job_close(&job);
        }
    }
}

/* Asks for more room than it ends with, and writes all of it. */
static inline weir_err in_place(struct weir_none *self, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    (void)self;
    uint32_t room = rec->size + (uint32_t)row->seq % 97;
    void *to = weir_row_begin(ctx->out, room);
    if (!to) return ctx->out->err;
    memset(to, 0xee, room);
    memcpy(to, row, rec->size);
    weir_row_end(ctx->out, rec->size, rec->time_ms, rec->kind);
    return WEIR_OK;
}
WEIR_FLAT_MAP(in_place_op, item, item, in_place);

static weir_err build_in_place(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_flat_map(source(env), "in-place", &in_place_op);
    s = check_items(partitioned(s, argv[0][0]), "check", 0, true);
    (void)unchained(s, argv[0][1] != 'c');
    return WEIR_OK;
}

static void rows_are_written_where_they_go(void **state)
{
    (void)state;
    const char *modes[] = {"fc", "f", "k", "g", "r"};
    for (uint32_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        struct local_job job;
        draw(500 + m, SOME(700), SIZES_EDGES);
        assert_int_equal(run_items(&job, build_in_place, 2, modes[m], NULL), WEIR_OK);
        assert_true(items_arrived(0, 1, NULL));
        local_job_close(&job);
    }
}

/* Rows of mebibytes, one of them as large as a row may be. */
static void the_largest_rows_survive(void **state)
{
    (void)state;
    const char *modes[] = {"ffc", "ff", "fk", "gr"};
    for (uint32_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        struct local_job job;
        draw(m, 4, SIZES_LARGE);
        assert_int_equal(run_items(&job, build_again, 2, modes[m], NULL), WEIR_OK);
        assert_true(items_arrived(0, 1, NULL));
        local_job_close(&job);
    }
}

/* One byte more than WEIR_ROW_MAX: in one string, or by the second one. */
static inline weir_err swell(struct weir_none *self, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    static unsigned char bytes[WEIR_ROW_MAX];
    (void)self;
    struct item copy = *row;
    uint32_t first = row->seq % 2 ? WEIR_ROW_MAX - (uint32_t)sizeof copy + 1 : 1000;
    copy.text = weir_put_str(ctx->out, sizeof copy, bytes, first);
    if (row->seq % 2 == 0) copy.more = weir_put_str(ctx->out, sizeof copy, bytes, WEIR_ROW_MAX - (uint32_t)sizeof copy - 999);
    return weir_emit_kind(ctx->out, &copy, sizeof copy, rec->time_ms, rec->kind);
}
WEIR_FLAT_MAP(swell_op, item, item, swell);

static bool odd_first;
static inline bool one_parity(const struct item *row)
{
    return (row->seq % 2 == 1) == odd_first;
}
WEIR_FILTER(one_parity_op, item, one_parity);

static weir_err build_swell(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_flat_map(weir_filter(source(env), "one-parity", &one_parity_op), "swell", &swell_op);
    s = check_items(partitioned(s, argv[0][0]), "check", 0, true);
    (void)unchained(s, argv[0][1] != 'c');
    return WEIR_OK;
}

static void a_row_above_the_limit_fails_its_operator(void **state)
{
    (void)state;
    const char *modes[] = {"fc", "f", "k", "g"};
    for (uint32_t m = 0; m < 8; m++) {
        struct local_job job;
        struct weir_diag diag = {0};
        draw(m, 10, SIZES_NONE);
        odd_first = m % 2;
        assert_int_equal(run_items(&job, build_swell, 2, modes[m / 2], &diag), WEIR_E_LIMIT);
        assert_string_equal(job.failed_id, "swell");
        assert_non_null(strstr(diag.text, "WEIR_ROW_MAX"));
        local_job_close(&job);
    }
}

/* ---- batches ----------------------------------------------------------------------------------------------------------------------------
 */

static _Atomic uint32_t largest_batch;

static weir_err measure_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)input;
    uint32_t before = atomic_load(&largest_batch);
    while (batch->count > before && !atomic_compare_exchange_weak(&largest_batch, &before, batch->count)) continue;
    return weir_forward(ctx, 0, batch);
}
static const struct weir_operator measure_op = {
    .struct_size = sizeof(struct weir_operator), .name = "measure", .in = &item_schema, .process = measure_process};

/* Asks for more room than every other row needs; what is left of it would take in the next ones. */
static weir_err roomy_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)input;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        void *row = weir_row_begin(ctx->out, rec->size + (((const struct item *)weir_record_row(rec))->seq % 5 ? 0 : 4000));
        if (!row) return ctx->out->err;
        memcpy(row, rec + 1, rec->size);
        weir_row_end(ctx->out, rec->size, rec->time_ms, rec->kind);
    }
    return WEIR_OK;
}
static const struct weir_operator roomy_op = {
    .struct_size = sizeof(struct weir_operator), .name = "roomy", .in = &item_schema, .out = &item_schema, .process = roomy_process};

/* argv[0]: how to the second step; 'c' = chained where possible. Rows come in batches as large as the segment lets them. */
static weir_err build_roomy(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_apply(source(env), "roomy", &roomy_op, NULL, 0);
    s = unchained(weir_apply(partitioned(s, argv[0][0]), "measure", &measure_op, NULL, 0), argv[0][1] != 'c');
    check_items(s, "check", 0, true);
    return WEIR_OK;
}

static void room_that_was_not_needed_makes_no_larger_batches(void **state)
{
    (void)state;
    const uint32_t before = local_job_state.segment, segments[] = {1, 500, 0};
    const char *modes[] = {"fc", "f", "g", "k"};
    for (uint32_t i = 0; i < 12; i++) {
        struct local_job job;
        draw(90 + i, 500, SIZES_SMALL);
        atomic_store(&largest_batch, 0);
        local_job_state.segment = segments[i / 4];
        assert_int_equal(run_items(&job, build_roomy, 2, modes[i % 4], NULL), WEIR_OK);
        assert_true(items_arrived(0, 1, NULL));
        assert_true(segments[i / 4] == 1 ? atomic_load(&largest_batch) == 1 : atomic_load(&largest_batch) > 1);
        local_job_close(&job);
    }
    local_job_state.segment = before;
}

/* Behind the source, behind a channel, behind an operator that emits. */
static weir_err build_measure(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_apply(source(env), "of-source", &measure_op, NULL, 0);
    s = weir_apply(partitioned(s, argv[0][0]), "of-channel", &measure_op, NULL, 0);
    s = weir_apply(weir_flat_map(s, "again", &again_op), "of-operator", &measure_op, NULL, 0);
    check_items(partitioned(s, argv[0][1]), "check", 0, false);
    return WEIR_OK;
}

/* With a segment of one byte every batch is one record, everywhere; at the default they are larger. */
static void the_segment_size_limits_batches(void **state)
{
    (void)state;
    const char *modes[] = {"ff", "kr", "rk", "gf"};
    for (uint32_t m = 0; m < 4; m++) {
        struct local_job job;
        draw(80 + m, 500, SIZES_SMALL);
        atomic_store(&largest_batch, 0);
        assert_int_equal(run_items(&job, build_measure, 2, modes[m], NULL), WEIR_OK);
        assert_true(items_arrived(0, 1, NULL));
        if (local_job_state.segment == 1)
            assert_int_equal(atomic_load(&largest_batch), 1);
        else
            assert_true(atomic_load(&largest_batch) > 1);
        local_job_close(&job);
    }
}

/* ---- forwarding and emitting in turns -------------------------------------------------------------------------------------------------
 */

struct patchwork {
    uint64_t turn;
};

/* Cuts the batch into runs; each is forwarded, or emitted row by row; before some forwards a row is begun and given up. */
static weir_err patchwork_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct patchwork *p = self;
    (void)input;
    for (uint32_t from = 0, n; from < batch->count; from += n) {
        uint64_t word = mix(items.seed + p->turn++);
        n = 1 + (uint32_t)(word % 40);
        if (n > batch->count - from) n = batch->count - from;
        if (word >> 8 & 1) {
            for (uint32_t i = from; i < from + n; i++) {
                const struct weir_record *rec = weir_batch_record(batch, i);
                weir_err err = emit_again(ctx->out, (const struct item *)(const void *)(rec + 1), rec);
                if (err) return err;
            }
            continue;
        }
        for (uint32_t i = 0; i < n; i++) ctx->sel[i] = batch->sel ? batch->sel[from + i] : (from + i) * batch->stride;
        struct weir_batch part = {.data = batch->data, .sel = ctx->sel, .count = n, .flags = batch->flags};
        if (word >> 9 & 1) (void)weir_put_str(ctx->out, sizeof(struct item), "given up", 8);
        weir_err err = weir_forward(ctx, 0, &part);
        if (err) return err;
    }
    /* A last row begun and given up with the call. */
    if (mix(p->turn) & 1) (void)weir_put_str(ctx->out, sizeof(struct item), "given up", 8);
    return WEIR_OK;
}
static const struct weir_operator patchwork_op = {.struct_size = sizeof patchwork_op,
                                                  .name = "patchwork",
                                                  .self_size = sizeof(struct patchwork),
                                                  .in = &item_schema,
                                                  .out = &item_schema,
                                                  .process = patchwork_process};

static weir_err build_patchwork(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_apply(partitioned(source(env), argv[0][0]), "patchwork", &patchwork_op, NULL, 0);
    s = unchained(s, argv[0][2] != 'c');
    s = check_items(partitioned(s, argv[0][1]), "check", 0, true);
    (void)unchained(s, argv[0][2] != 'c');
    return WEIR_OK;
}

static void forwards_and_emits_keep_their_order(void **state)
{
    (void)state;
    const char *modes[] = {"ffc", "ff", "fg", "fk", "kf", "kfc", "kg", "gf", "gr"};
    for (uint32_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        for (uint32_t p = 1; p <= 4; p++) {
            struct local_job job;
            draw(300 + m * 10 + p, SOME(3000), p % 2 ? SIZES_SMALL : SIZES_EDGES);
            assert_int_equal(run_items(&job, build_patchwork, p, modes[m], NULL), WEIR_OK);
            assert_true(items_arrived(0, 1, NULL));
            local_job_close(&job);
        }
    }
}

/* ---- side outputs ---------------------------------------------------------------------------------------------------------------------
 */

static bool to_main(const struct item *row)
{
    return row->seq % 3 == 0;
}
static bool to_side(const struct item *row)
{
    return row->seq % 3 == 1;
}

static inline weir_err split(struct weir_none *self, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    (void)self;
    weir_count(ctx, row->seq % 3 == 0 ? "main" : "side", 1);
    return emit_again(&ctx->out[row->seq % 3], row, rec);
}
WEIR_PROCESS(split, weir_none, item, split);
static const struct weir_schema *const split_sides[] = {&item_schema, &item_schema};
static const struct weir_operator split_op = {.struct_size = sizeof split_op,
                                              .name = "split",
                                              .in = &item_schema,
                                              .out = &item_schema,
                                              .sides = split_sides,
                                              .n_sides = 2,
                                              .process = split_process};

/* Main and first side go their ways; side 1 has no consumer in mode 'x' and joins the main stream again else. */
static weir_err build_split(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_apply(source(env), "split", &split_op, NULL, 0);
    check_items(partitioned(weir_side_output(s, 0), argv[0][1]), "side", 1, true);
    if (argv[0][2] != 'x') {
        struct weir_stream *both[] = {partitioned(s, argv[0][0]), partitioned(weir_side_output(s, 1), argv[0][0])};
        check_items(weir_union(both, 2), "main", 0, false);
        return WEIR_OK;
    }
    check_items(partitioned(s, argv[0][0]), "main", 0, true);
    return WEIR_OK;
}

static bool not_to_side(const struct item *row)
{
    return !to_side(row);
}

static void side_outputs_carry_their_own_rows(void **state)
{
    (void)state;
    const char *modes[] = {"ffx", "fkx", "kgx", "grx", "ff", "kk", "gf", "kg"};
    for (uint32_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        struct local_job job;
        draw(500 + m, 2000, SIZES_SMALL);
        assert_int_equal(run_items(&job, build_split, 1 + m % 4, modes[m], NULL), WEIR_OK);
        assert_true(items_arrived(1, 1, to_side));
        assert_true(items_arrived(0, 1, modes[m][2] == 'x' ? to_main : not_to_side));
        assert_int_equal(local_job_counter(&job, "split", "main") + local_job_counter(&job, "split", "side"), items.rows * items.senders);
        local_job_close(&job);
    }
}

/* ---- shared batches -------------------------------------------------------------------------------------------------------------------
 */

/* Spoils what it gets, in place where it may; only the rows it owns. */
static weir_err spoil_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)input;
    weir_err err = weir_batch_own(ctx, batch);
    if (err) return err;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        memset(rec + 1, 0xee, rec->size);
        rec->time_ms = 0;
    }
    return WEIR_OK;
}
static const struct weir_operator spoil_op = {
    .struct_size = sizeof spoil_op, .name = "spoil", .in = &item_schema, .flags = WEIR_OPERATOR_SINK, .process = spoil_process};

/* Edits in place and edits back: what was forwarded first must not see it. */
static inline void keep_as_it_is(struct item *row)
{
    row->seq = ~row->seq;
}
WEIR_UPDATE(invert_op, item, keep_as_it_is);

static weir_err build_shared(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = source(env);
    if (argv[0][1] == 'p') s = weir_apply(s, "patchwork", &patchwork_op, NULL, 0);
    (void)unchained(s, argv[0][2] != 'c');
    struct weir_stream *first = weir_apply(partitioned(s, argv[0][0]), "spoil-first", &spoil_op, NULL, 0);
    (void)unchained(first, argv[0][2] != 'c');
    check_items(s, "check", 0, true);
    struct weir_stream *twice = weir_map(weir_map(weir_filter(s, "one-parity", &one_parity_op), "invert", &invert_op), "back", &invert_op);
    check_items(partitioned(twice, argv[0][0]), "check-twice", 1, true);
    weir_apply(s, "spoil-last", &spoil_op, NULL, 0);
    return WEIR_OK;
}

static bool odd(const struct item *row)
{
    return row->seq % 2 == 1;
}

static void consumers_of_one_output_do_not_see_each_other(void **state)
{
    (void)state;
    const char *modes[] = {"f-c", "f-", "fpc", "k-c", "gp", "b-", "rpc"};
    odd_first = true;
    for (uint32_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        struct local_job job;
        draw(600 + m, SOME(2000), SIZES_EDGES);
        assert_int_equal(run_items(&job, build_shared, 3, modes[m], NULL), WEIR_OK);
        assert_true(items_arrived(0, 1, NULL));
        assert_true(items_arrived(1, modes[m][0] == 'b' ? 3 : 1, odd));
        local_job_close(&job);
    }
}

/* ---- filters that leave nothing
 * ---------------------------------------------------------------------------------------------------------- */

static inline bool hardly_any(const struct item *row)
{
    return row->seq % 977 == 5;
}
WEIR_FILTER(hardly_any_op, item, hardly_any);
static bool hardly_any_of(const struct item *row)
{
    return hardly_any(row);
}

/* Forwards also what is left when nothing is. */
static weir_err none_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)input;
    batch->sel = ctx->sel;
    batch->count = 0;
    return weir_forward(ctx, 0, batch);
}
static const struct weir_operator none_op = {.struct_size = sizeof none_op, .name = "none", .in = &item_schema, .process = none_process};

static weir_err build_empty(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_filter(source(env), "hardly-any", &hardly_any_op);
    check_items(partitioned(weir_flat_map(s, "again", &again_op), argv[0][0]), "check", 0, true);
    check_items(partitioned(weir_filter(s, "none", &none_op), argv[0][0]), "nothing", 1, true);
    return WEIR_OK;
}

static void empty_selections_are_no_batches(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 4; p++) {
        struct local_job job;
        draw(700 + p, 5000, SIZES_SMALL);
        assert_int_equal(run_items(&job, build_empty, p, p % 2 ? "k" : "g", NULL), WEIR_OK);
        assert_true(items_arrived(0, 1, hardly_any_of));
        assert_int_equal(atomic_load(&totals[1].rows), 0);
        local_job_close(&job);
    }
}

/* ---- runs
 * --------------------------------------------------------------------------------------------------------------------------------- */

struct copy {
    int64_t sender, seq, index;
};
WEIR_ROW(copy, WEIR_FIELD(copy, 1, I64, sender), WEIR_FIELD(copy, 2, I64, seq), WEIR_FIELD(copy, 3, I64, index));
WEIR_KEY_FIXED(copy_key, copy, sender);

static inline int64_t copies_of(int64_t sender, int64_t seq)
{
    return (int64_t)(item_word(sender, seq, 11) % (seq % 50 == 0 ? 9000 : 30));
}

/* Copies of a row in runs that are sometimes ended before they are full, mixed with single emits. */
static inline weir_err copy_out(struct weir_none *self, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    (void)self;
    int64_t n = copies_of(row->sender, row->seq);
    for (int64_t i = 0; i < n;) {
        if (item_word(row->sender, i, 12) % 5 == 0) {
            struct copy one = {row->sender, row->seq, i++};
            weir_err err = weir_emit_kind(ctx->out, &one, sizeof one, rec->time_ms, rec->kind);
            if (err) return err;
            continue;
        }
        uint32_t fit = weir_run_begin(ctx->out, sizeof(struct copy), (uint32_t)(n - i));
        if (fit == 0) return ctx->out->err;
        uint32_t used = fit > 3 && i % 2 ? fit / 2 : fit;
        for (uint32_t k = 0; k < used; k++)
            *(struct copy *)weir_run_row(ctx->out, sizeof(struct copy), k, rec->time_ms, rec->kind) =
                (struct copy){row->sender, row->seq, i + k};
        weir_run_end(ctx->out, sizeof(struct copy), used);
        i += used;
    }
    return WEIR_OK;
}
WEIR_FLAT_MAP(copy_op, item, copy, copy_out);

struct copies {
    struct copy next[SENDERS_MAX];
};

static void skip_empty(struct copy *c)
{
    while (c->seq < items.rows && c->index == copies_of(c->sender, c->seq)) *c = (struct copy){c->sender, c->seq + 1, 0};
}

static inline weir_err count_copy(struct copies *self, struct weir_ctx *ctx, const struct copy *row, const struct weir_record *rec)
{
    if (row->sender < 0 || row->sender >= items.senders) return weir_fail(ctx->diag, WEIR_E_USER, "sender %lld", (long long)row->sender);
    struct copy *next = &self->next[row->sender];
    next->sender = row->sender;
    skip_empty(next);
    if (memcmp(next, row, sizeof *row) != 0 || rec->kind != item_kind(row->sender, row->seq) ||
        rec->time_ms != item_of(row->sender, row->seq).time)
        return weir_fail(ctx->diag, WEIR_E_USER, "copy %lld of %lld where %lld of %lld was due", (long long)row->index, (long long)row->seq,
                         (long long)next->index, (long long)next->seq);
    next->index++;
    atomic_fetch_add_explicit(&totals[0].rows, 1, memory_order_relaxed);
    return WEIR_OK;
}
WEIR_PROCESS(count_copies, copies, copy, count_copy);
static const struct weir_operator count_copies_op = {.struct_size = sizeof count_copies_op,
                                                     .name = "count-copies",
                                                     .self_size = sizeof(struct copies),
                                                     .in = &copy_schema,
                                                     .flags = WEIR_OPERATOR_SINK,
                                                     .process = count_copies_process};

static weir_err build_runs(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_flat_map(source(env), "copy", &copy_op);
    if (argv[0][0] == 'k')
        s = weir_key_by(s, &copy_key);
    else
        s = partitioned(s, argv[0][0]);
    s = weir_apply(s, "count-copies", &count_copies_op, NULL, 0);
    (void)unchained(s, argv[0][1] != 'c');
    return WEIR_OK;
}

static void runs_are_rows_like_others(void **state)
{
    (void)state;
    const char *modes[] = {"fc", "f", "g", "k"};
    for (uint32_t m = 0; m < 4; m++) {
        struct local_job job;
        draw(800 + m, 1000, SIZES_NONE);
        assert_int_equal(run_items(&job, build_runs, 1 + m, modes[m], NULL), WEIR_OK);
        uint64_t due = 0;
        for (int64_t s = 0; s < items.senders; s++)
            for (int64_t i = 0; i < items.rows; i++) due += (uint64_t)copies_of(s, i);
        assert_int_equal(atomic_load(&totals[0].rows), due);
        local_job_close(&job);
    }
}

/* ---- long emitters
 * ------------------------------------------------------------------------------------------------------------------------ */

/* Keeps the rows' numbers and emits all of them only when time or input ends, pausing as often as the outputs ask for it. */
struct hoard {
    int64_t *kept;
    uint64_t n, given;
    uint32_t pauses;
    bool at_watermark;
};

static weir_err hoard_open(void *self, struct weir_ctx *ctx)
{
    struct hoard *h = self;
    h->kept = calloc((size_t)(items.rows * items.senders), 2 * sizeof *h->kept);
    h->at_watermark = *(const bool *)ctx->config;
    /* What is emitted in an open comes first and is not lost. */
    return ctx->subtask == 0 ? emit_item(ctx->out, items.senders - 1, 0) : WEIR_OK;
}

static inline weir_err hoard_row(struct hoard *h, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    (void)ctx, (void)rec;
    h->kept[h->n * 2] = row->sender;
    h->kept[h->n++ * 2 + 1] = row->seq;
    return WEIR_OK;
}
WEIR_PROCESS(hoard, hoard, item, hoard_row);

static weir_err give(struct hoard *h, struct weir_ctx *ctx)
{
    while (h->given < h->n) {
        const int64_t *next = &h->kept[h->given++ * 2];
        if (next[0] == items.senders - 1 && next[1] == 0) continue; /* that one was emitted in open */
        weir_err err = emit_item(ctx->out, next[0], next[1]);
        if (err) return err;
        if (weir_should_yield(ctx) && ++h->pauses) return WEIR_AGAIN;
    }
    return WEIR_OK;
}

static weir_err hoard_watermark(void *self, struct weir_ctx *ctx, weir_time watermark)
{
    struct hoard *h = self;
    return h->at_watermark && watermark == WEIR_TIME_MAX ? give(h, ctx) : WEIR_OK;
}

static weir_err hoard_finish(void *self, struct weir_ctx *ctx)
{
    struct hoard *h = self;
    weir_err err = give(h, ctx);
    if (!err) weir_count(ctx, "pauses", h->pauses);
    return err;
}

static void hoard_close(void *self, struct weir_ctx *ctx)
{
    (void)ctx;
    free(((struct hoard *)self)->kept);
}

static const struct weir_operator hoard_op = {.struct_size = sizeof hoard_op,
                                              .name = "hoard",
                                              .self_size = sizeof(struct hoard),
                                              .in = &item_schema,
                                              .out = &item_schema,
                                              .open = hoard_open,
                                              .process = hoard_process,
                                              .on_watermark = hoard_watermark,
                                              .finish = hoard_finish,
                                              .close = hoard_close};

/* A chain of two hoards, so that a pause of the first comes before the second's. */
static weir_err build_hoards(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    bool at_watermark = argv[0][0] == 'w', finish = false;
    struct weir_stream *s = weir_apply(source(env), "hoard", &hoard_op, &at_watermark, sizeof at_watermark);
    if (argv[0][1] == '2') s = weir_apply(s, "second", &hoard_op, &finish, sizeof finish);
    s = check_items(partitioned(s, argv[0][2]), "check", 0, false);
    (void)unchained(s, argv[0][3] != 'c');
    return WEIR_OK;
}

static void long_emitters_pause_and_lose_nothing(void **state)
{
    (void)state;
    const char *modes[] = {"w1k", "f1k", "w2k", "f1f", "f1fc", "w2g", "w1b"};
    for (uint32_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        struct local_job job;
        draw(900 + m, 20000, SIZES_SMALL);
        assert_int_equal(run_items(&job, build_hoards, 3, modes[m], NULL), WEIR_OK);
        bool two = modes[m][1] == '2';
        /* The row of the second's open is its own; the first one's copy of it is skipped there. */
        assert_true(items_arrived(0, modes[m][2] == 'b' ? 3 : 1, NULL));
        assert_true(local_job_counter(&job, "hoard", "pauses") > 0);
        if (two) assert_true(local_job_counter(&job, "second", "pauses") > 0);
        local_job_close(&job);
    }
}

/* ---- several ways from one step to another
 * ------------------------------------------------------------------------------------------------ */

static weir_err build_union(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *a = source(env);
    struct weir_stream *b = weir_set_parallelism(weir_flat_map(a, "again", &again_op), 3) /* another parallelism: rebalanced */;
    struct weir_stream *c = weir_apply(partitioned(a, argv[0][0]), "patchwork", &patchwork_op, NULL, 0);
    struct weir_stream *ways[] = {partitioned(a, argv[0][0]), partitioned(b, argv[0][1]), partitioned(c, argv[0][1])};
    check_items(weir_union(ways, 3), "check", 0, false);
    return WEIR_OK;
}

static void several_edges_into_one_operator_deliver_all(void **state)
{
    (void)state;
    const char *modes[] = {"ff", "kk", "gr", "rg"};
    for (uint32_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
        for (uint32_t p = 1; p <= 4; p++) {
            struct local_job job;
            draw(1000 + m * 10 + p, SOME(1000), SIZES_EDGES);
            assert_int_equal(run_items(&job, build_union, p, modes[m], NULL), WEIR_OK);
            assert_true(items_arrived(0, 3, NULL));
            local_job_close(&job);
        }
    }
}

/* ---- counters
 * ----------------------------------------------------------------------------------------------------------------------------- */

static inline weir_err count_names(struct weir_none *self, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
    (void)self, (void)rec;
    for (int64_t i = 0; i < 9; i++) weir_count(ctx, names[i], (uint64_t)(i + row->seq % 2));
    weir_count(ctx, "late", 1);
    return WEIR_OK;
}
WEIR_PROCESS(count_names, weir_none, item, count_names);
static const struct weir_operator names_op = {
    .struct_size = sizeof names_op, .name = "names", .in = &item_schema, .flags = WEIR_OPERATOR_SINK, .process = count_names_process};

static weir_err build_names(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    weir_apply(weir_rebalance(source(env)), "names", &names_op, NULL, 0);
    return WEIR_OK;
}

static void eight_counters_an_instance_are_kept(void **state)
{
    (void)state;
    struct local_job job;
    draw(1, 1000, SIZES_NONE);
    assert_int_equal(run_items(&job, build_names, 3, "", NULL), WEIR_OK);
    assert_int_equal(local_job_counter(&job, "names", "a"), 1500);
    assert_int_equal(local_job_counter(&job, "names", "h"), 1500 + 7 * 3000);
    assert_int_equal(local_job_counter(&job, "names", "i"), 0);
    assert_int_equal(local_job_counter(&job, "names", "late"), 0);
    local_job_close(&job);
}

/* ---- failures
 * ------------------------------------------------------------------------------------------------------------------------------ */

static inline weir_err break_at(struct weir_none *self, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    (void)self, (void)rec;
    if (row->seq < 900) return emit_again(ctx->out, row, rec);
    return row->sender == 1 ? weir_fail(ctx->diag, WEIR_E_USER, "had enough") : WEIR_E_ARGUMENT;
}
WEIR_FLAT_MAP(break_op, item, item, break_at);

static weir_err build_break(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_flat_map(partitioned(source(env), argv[0][0]), "again", &again_op);
    s = weir_flat_map(s, "break", &break_op);
    check_items(partitioned(s, argv[0][1]), "check", 0, false);
    return WEIR_OK;
}

/* A failure deep in a chain is named once, by the operator that made it, with its sentence or one that says there is none. */
static void the_failing_operator_is_named(void **state)
{
    (void)state;
    const char *modes[] = {"ff", "kk", "rg"};
    for (uint32_t m = 0; m < 3; m++) {
        struct local_job job;
        struct weir_diag diag = {0};
        draw(m, 2000, SIZES_SMALL);
        weir_err err = run_items(&job, build_break, 2, modes[m], &diag);
        assert_true(err == WEIR_E_USER || err == WEIR_E_ARGUMENT);
        assert_string_equal(job.failed_id, "break");
        assert_non_null(strstr(diag.text, err == WEIR_E_USER ? "had enough" : "ARGUMENT without a reason"));
        local_job_close(&job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_every_size_survive_every_partitioning),
        cmocka_unit_test(rows_are_written_where_they_go),
        cmocka_unit_test(the_largest_rows_survive),
        cmocka_unit_test(a_row_above_the_limit_fails_its_operator),
        cmocka_unit_test(the_segment_size_limits_batches),
        cmocka_unit_test(room_that_was_not_needed_makes_no_larger_batches),
        cmocka_unit_test(forwards_and_emits_keep_their_order),
        cmocka_unit_test(side_outputs_carry_their_own_rows),
        cmocka_unit_test(consumers_of_one_output_do_not_see_each_other),
        cmocka_unit_test(empty_selections_are_no_batches),
        cmocka_unit_test(runs_are_rows_like_others),
        cmocka_unit_test(long_emitters_pause_and_lose_nothing),
        cmocka_unit_test(several_edges_into_one_operator_deliver_all),
        cmocka_unit_test(eight_counters_an_instance_are_kept),
        cmocka_unit_test(the_failing_operator_is_named),
    };
    return LOCAL_JOB_RUN_TESTS(tests);
}
