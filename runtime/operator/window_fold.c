/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/operator/window_fold.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/operator/partial.h"

/* ---- the aggregate that stands in front of rows ---------------------------------------------------------------------------------------
 */

static void count_add(void *const *accs, const struct weir_batch *batch, const uint32_t *idx, uint32_t n)
{
    (void)batch, (void)idx;
    for (uint32_t i = 0; i < n; i++) ++*(uint64_t *)accs[i];
}

static void count_merge(void *into, const void *from)
{
    *(uint64_t *)into += *(const uint64_t *)from;
}

static void count_subtract(void *into, const void *from)
{
    *(uint64_t *)into -= *(const uint64_t *)from;
}

static const struct weir_aggregate count_rows = {.struct_size = sizeof count_rows,
                                                 .name = "rows",
                                                 .acc_size = sizeof(uint64_t),
                                                 .add = count_add,
                                                 .merge = count_merge,
                                                 .subtract = count_subtract};

/* ---- life ---------------------------------------------------------------------------------------------------------------------------- */

static weir_err no_memory(struct weir_ctx *ctx)
{
    return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: out of memory for a window", ctx->operator_id);
}

weir_err window_fold_open(struct window_fold *f, struct weir_ctx *ctx, const struct window_config *config)
{
    *f = (struct window_fold){.aggregate = config->aggregate};
    if (config->aggregate) {
        uint32_t size = config->aggregate->summary_size;
        f->partials = config->aggregate->in == &partial_schema;
        if (size && !(f->summary = malloc(size))) return no_memory(ctx);
        return WEIR_OK;
    }
    f->aggregate = &count_rows;
    f->keeps_rows = true;
    f->function = config->function;
    f->self = calloc(1, f->function->self_size ? f->function->self_size : 1);
    if (!f->self) return no_memory(ctx);
    return weir_list_open(
        ctx, &(struct weir_state_desc){.struct_size = sizeof(struct weir_state_desc), .name = "rows", .flags = WEIR_STATE_NAMESPACED},
        &f->rows);
}

void window_fold_close(struct window_fold *f)
{
    free(f->self);
    free(f->row);
    free(f->summary);
    *f = (struct window_fold){0};
}

/* ---- lists of rows: an element is a record with its row --------------------------------------------------------------------------------
 */

static weir_err go_to(struct weir_ctx *ctx, const int64_t *place)
{
    return weir_set_namespace(ctx, (struct weir_bytes){place, sizeof *place});
}

static weir_err keep_rows(struct window_fold *f, struct weir_ctx *ctx, const struct weir_batch *batch, const uint32_t *idx, uint32_t n,
                          int64_t place)
{
    weir_err err = go_to(ctx, &place);
    for (uint32_t i = 0; i < n && !err; i++) {
        uint32_t at = idx ? idx[i] : i;
        const struct weir_record *rec = weir_batch_record(batch, at);
        weir_set_key(ctx, at);
        err = weir_list_add(ctx, f->rows, rec, (uint32_t)sizeof *rec + rec->size);
    }
    return err;
}

static bool is_new(const unsigned char *acc, uint32_t size)
{
    return acc[0] == 0 && memcmp(acc, acc + 1, size - 1) == 0;
}

/* A new accumulator becomes the first partial: to merge, both must hold something. */
static weir_err merge_partials(struct window_fold *f, struct weir_ctx *ctx, void *const *accs, const struct weir_batch *batch,
                               const uint32_t *idx, uint32_t n)
{
    uint32_t size = f->aggregate->acc_size;
    for (uint32_t i = 0; i < n; i++) {
        const void *from;
        int64_t count;
        weir_err err = partial_read(ctx, weir_batch_record(batch, idx ? idx[i] : i), size, &count, &from);
        if (err) return err;
        if (is_new(accs[i], size))
            memcpy(accs[i], from, size);
        else
            f->aggregate->merge(accs[i], from);
    }
    return WEIR_OK;
}

weir_err window_fold_add(struct window_fold *f, struct weir_ctx *ctx, void *const *accs, const struct weir_batch *batch,
                         const uint32_t *idx, uint32_t n, int64_t place)
{
    if (f->partials) return merge_partials(f, ctx, accs, batch, idx, n);
    f->aggregate->add(accs, batch, idx, n);
    return f->keeps_rows ? keep_rows(f, ctx, batch, idx, n, place) : WEIR_OK;
}

/* Makes `key` the current one; what was current before comes back by restore_key. */
struct current {
    const struct weir_key *keys;
    uint32_t index;
};

static struct current set_current(struct weir_ctx *ctx, const struct weir_key *key)
{
    struct current before = {ctx->keys, ctx->key_index};
    ctx->keys = key;
    ctx->key_index = 0;
    return before;
}

static void restore_key(struct weir_ctx *ctx, struct current before)
{
    ctx->keys = before.keys;
    ctx->key_index = before.index;
}

weir_err window_fold_clear(struct window_fold *f, struct weir_ctx *ctx, const struct weir_key *key, int64_t place)
{
    if (!f->keeps_rows) return WEIR_OK;
    struct current before = set_current(ctx, key);
    weir_err err = go_to(ctx, &place);
    if (!err) err = weir_list_clear(ctx, f->rows);
    restore_key(ctx, before);
    return err;
}

/* Copies an element to where rows are aligned as everywhere else, and stay while the lists go on. */
static struct weir_record *copy_row(struct window_fold *f, struct weir_bytes element)
{
    if (element.length > f->row_cap) {
        unsigned char *grown = realloc(f->row, element.length);
        if (!grown) return NULL;
        f->row = grown;
        f->row_cap = element.length;
    }
    memcpy(f->row, element.data, element.length);
    return (struct weir_record *)(void *)f->row;
}

static weir_err move_rows(struct window_fold *f, struct weir_ctx *ctx, const int64_t *from, const int64_t *to)
{
    uint64_t cursor = 0;
    struct weir_bytes element;
    weir_err err = go_to(ctx, from);
    while (!err && weir_list_next(ctx, f->rows, &cursor, &element)) {
        const struct weir_record *rec = copy_row(f, element);
        if (!rec) return no_memory(ctx);
        err = go_to(ctx, to);
        if (!err) err = weir_list_add(ctx, f->rows, rec, element.length);
        if (!err) err = go_to(ctx, from);
    }
    return err ? err : weir_list_clear(ctx, f->rows);
}

weir_err window_fold_move(struct window_fold *f, struct weir_ctx *ctx, const struct weir_key *key, int64_t from, int64_t to)
{
    if (!f->keeps_rows) return WEIR_OK;
    struct current before = set_current(ctx, key);
    weir_err err = move_rows(f, ctx, &from, &to);
    restore_key(ctx, before);
    return err;
}

/* ---- results ------------------------------------------------------------------------------------------------------------------------- */

struct rows {
    struct weir_window_rows public;
    struct window_fold *fold;
    struct weir_ctx *ctx;
    struct window_places places;
    uint32_t at; /* place being read */
    uint64_t cursor;
    weir_err err;
};

static void rewind_rows(struct weir_window_rows *rows)
{
    struct rows *r = (struct rows *)rows;
    r->at = 0;
    r->cursor = 0;
}

static struct weir_record *next_row(struct weir_window_rows *rows)
{
    struct rows *r = (struct rows *)rows;
    struct weir_bytes element;
    for (; r->at < r->places.n && !r->err; r->at++, r->cursor = 0) {
        r->err = go_to(r->ctx, &r->places.items[r->at]);
        if (r->err || !weir_list_next(r->ctx, r->fold->rows, &r->cursor, &element)) continue;
        struct weir_record *rec = copy_row(r->fold, element);
        if (!rec) r->err = no_memory(r->ctx);
        return rec;
    }
    return NULL;
}

static weir_err call_function(struct window_fold *f, struct weir_ctx *ctx, const struct weir_key *key, weir_time start, weir_time end,
                              struct window_places places)
{
    struct rows rows = {
        .public = {.start_ms = start, .end_ms = end, .next = next_row, .rewind = rewind_rows}, .fold = f, .ctx = ctx, .places = places};
    weir_err err = f->function->process(f->self, ctx, key, &rows.public);
    return rows.err ? rows.err : err;
}

weir_err window_fold_emit(struct window_fold *f, struct weir_ctx *ctx, const struct weir_key *key, const void *acc, weir_time start,
                          weir_time end, struct window_places places)
{
    struct current before = set_current(ctx, key);
    weir_err err;
    if (f->keeps_rows)
        err = call_function(f, ctx, key, start, end, places);
    else if (f->aggregate->summary_size)
        err = f->aggregate->emit_surveyed(ctx, acc, f->summary, start, end);
    else
        err = f->aggregate->emit(ctx, acc, start, end);
    restore_key(ctx, before);
    return err;
}

weir_err window_pass_late(struct weir_ctx *ctx, const struct weir_batch *batch, const uint32_t *idx, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) ctx->sel[i] = batch->sel ? batch->sel[idx[i]] : idx[i] * batch->stride;
    weir_count(ctx, "late", n);
    struct weir_batch late = *batch;
    late.sel = ctx->sel;
    late.count = n;
    return weir_forward(ctx, 1, &late);
}
