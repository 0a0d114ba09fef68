/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The regular join: all pairs of rows with equal keys, for the whole run.
 *
 * State per key and side, as its input allows:
 *
 *     unique            value  | time (8) | row
 *     inserts           list   of | size of the row (4) | time (8) | row, filled up to a multiple of 8
 *     changes           map    from the row by its fields to how often it stands, and the time it came last
 *
 * (In a list of the state's own layout, with 4 bytes before each element, such rows lie at multiples of 8 and are read in place.)
 *
 * A row meets the rows of the other side, then it is kept; beside a unique side, whose row stays, only until that row has come. In an outer
 * join, whether a row is alone depends on nothing but whether the other side has rows of the key: the first row of a side takes back the
 * lonely rows of the other, the last one to go brings them back. A watermark releases nothing.
 */
#include "runtime/operator/join.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/operator/aggregate.h"
#include "runtime/operator/rows.h"
#include "runtime/operator/step.h"

#define LIST_HEAD 12u

enum keeping { KEEP_VALUE, KEEP_LIST, KEEP_MAP };

/* How often a row of a map stands, and since when. */
struct standing {
    int64_t count;
    weir_time time_ms;
};

struct side {
    const char *name;
    const struct weir_schema *schema;
    enum keeping keeping;
    bool changes;
    bool outer; /* its rows leave without match, too */
    bool waits; /* its rows have met all they ever will once one of the other side, unique and for ever, is there: then none is kept */
    struct weir_state *state;
    struct row_buf buf;     /* a row on its way to the state */
    struct row_buf aligned; /* a row from it */
};

/* A row of a side, `count` times. */
struct kept {
    const void *row;
    weir_time time_ms;
    int64_t count;
};

struct joiner {
    const struct weir_pairs *pairs;
    struct side sides[2];
};

/* ---- life -------------------------------------------------------------------------------------------------------------------------- */

static weir_err open_side(struct side *s, struct weir_ctx *ctx, int64_t ttl_ms)
{
    struct weir_state_desc desc = {.struct_size = sizeof desc, .name = s->name, .ttl_ms = ttl_ms};
    switch (s->keeping) {
    case KEEP_VALUE: return weir_value_open(ctx, &desc, &s->state);
    case KEEP_LIST: return weir_list_open(ctx, &desc, &s->state);
    case KEEP_MAP: desc.value_size = sizeof(struct standing); return weir_map_open(ctx, &desc, &s->state);
    }
    return WEIR_E_INTERNAL;
}

static struct side make_side(const char *name, const struct weir_schema *schema, const struct weir_join_side *side, bool outer)
{
    return (struct side){.name = name,
                         .schema = schema,
                         .keeping = side->unique    ? KEEP_VALUE
                                    : side->changes ? KEEP_MAP
                                                    : KEEP_LIST,
                         .changes = side->changes,
                         .outer = outer};
}

static weir_err join_open(void *self, struct weir_ctx *ctx)
{
    struct joiner *op = self;
    const struct join_config *config = ctx->config;
    const struct weir_join_options *o = &config->options;
    op->pairs = config->pairs;
    op->sides[0] = make_side("left", op->pairs->left, &o->left, o->kind & WEIR_LEFT_JOIN);
    op->sides[1] = make_side("right", op->pairs->right, &o->right, o->kind & WEIR_RIGHT_JOIN);
    for (uint32_t i = 0; i < 2; i++) {
        const struct side *own = &op->sides[i], *other = &op->sides[1 - i];
        op->sides[i].waits =
            other->keeping == KEEP_VALUE && !other->changes && !other->outer && own->keeping == KEEP_LIST && o->ttl_ms == 0;
    }
    weir_err err = open_side(&op->sides[0], ctx, o->ttl_ms);
    return err ? err : open_side(&op->sides[1], ctx, o->ttl_ms);
}

static void join_close(void *self, struct weir_ctx *ctx)
{
    struct joiner *op = self;
    (void)ctx;
    for (uint32_t i = 0; i < 2; i++) {
        row_buf_close(&op->sides[i].buf);
        row_buf_close(&op->sides[i].aligned);
    }
}

/* ---- rows of a side ------------------------------------------------------------------------------------------------------------------ */

static weir_err broken(const struct side *s, struct weir_ctx *ctx)
{
    return weir_fail(ctx->diag, WEIR_E_CORRUPT, "%s: a row of its %s side breaks its layout in the state", ctx->operator_id, s->name);
}

static bool side_is_empty(const struct side *s, struct weir_ctx *ctx)
{
    switch (s->keeping) {
    case KEEP_VALUE: return !weir_value_read(ctx, s->state).data;
    case KEEP_LIST: return weir_list_is_empty(ctx, s->state);
    case KEEP_MAP: return weir_map_is_empty(ctx, s->state);
    }
    return true;
}

static weir_err parse_value(struct side *s, struct weir_ctx *ctx, struct weir_bytes value, struct kept *out)
{
    struct timed_row row;
    weir_err err = WEIR_OK;
    if (!timed_row_parse(ctx, value, s->schema->row_size, &row, &err)) return err;
    *out = (struct kept){.row = row_aligned(&s->aligned, ctx, row.row, row.size), .time_ms = row.time_ms, .count = 1};
    return out->row ? WEIR_OK : WEIR_E_NOMEM;
}

static weir_err parse_element(struct side *s, struct weir_ctx *ctx, struct weir_bytes element, struct kept *out)
{
    const unsigned char *at = element.data;
    uint32_t size;
    if (element.length < LIST_HEAD) return broken(s, ctx);
    memcpy(&size, at, 4);
    if (size < s->schema->row_size || size > element.length - LIST_HEAD) return broken(s, ctx);
    memcpy(&out->time_ms, at + 4, 8);
    out->row = row_aligned(&s->aligned, ctx, at + LIST_HEAD, size);
    out->count = 1;
    return out->row ? WEIR_OK : WEIR_E_NOMEM;
}

static weir_err parse_entry(struct side *s, struct weir_ctx *ctx, struct weir_bytes row, struct weir_bytes value, struct kept *out)
{
    struct standing standing;
    if (row.length < s->schema->row_size || value.length != sizeof standing) return broken(s, ctx);
    memcpy(&standing, value.data, sizeof standing);
    *out = (struct kept){.row = row_aligned(&s->aligned, ctx, row.data, row.length), .time_ms = standing.time_ms, .count = standing.count};
    return out->row ? WEIR_OK : WEIR_E_NOMEM;
}

/* Scans the rows of the current key: *cursor is 0 at first; false at the end or on failure (*err). */
static bool side_next(struct side *s, struct weir_ctx *ctx, uint64_t *cursor, struct kept *out, weir_err *err)
{
    struct weir_bytes bytes, value;
    *out = (struct kept){0};
    switch (s->keeping) {
    case KEEP_VALUE:
        if ((*cursor)++) return false;
        value = weir_value_read(ctx, s->state);
        if (!value.data) return false;
        *err = parse_value(s, ctx, value, out);
        return !*err;
    case KEEP_LIST:
        if (!weir_list_next(ctx, s->state, cursor, &bytes)) return false;
        *err = parse_element(s, ctx, bytes, out);
        return !*err;
    case KEEP_MAP:
        if (!weir_map_next(ctx, s->state, cursor, &bytes, &value)) return false;
        *err = parse_entry(s, ctx, bytes, value, out);
        return !*err;
    }
    return false;
}

static weir_err add_element(struct side *s, struct weir_ctx *ctx, struct weir_record *rec)
{
    uint32_t padded = (rec->size + 7u) & ~7u;
    unsigned char *at = row_reserve(&s->buf, ctx, LIST_HEAD + padded);
    if (!at) return WEIR_E_NOMEM;
    memcpy(at, &rec->size, 4);
    memcpy(at + 4, &rec->time_ms, 8);
    memcpy(at + LIST_HEAD, weir_record_row(rec), rec->size);
    memset(at + LIST_HEAD + rec->size, 0, padded - rec->size);
    return weir_list_add(ctx, s->state, at, LIST_HEAD + padded);
}

static weir_err count_entry(struct side *s, struct weir_ctx *ctx, struct weir_record *rec, int64_t by)
{
    struct weir_bytes row = row_by_fields(&s->buf, ctx, s->schema, weir_record_row(rec));
    if (!row.data) return WEIR_E_NOMEM;
    if (row.length > WEIR_USER_KEY_MAX)
        return weir_fail(ctx->diag, WEIR_E_LIMIT,
                         "%s: a row of %u bytes of its %s side is too long to be found again (WEIR_USER_KEY_MAX, %u)", ctx->operator_id,
                         row.length, s->name, WEIR_USER_KEY_MAX);
    struct standing *standing = weir_map_value(ctx, s->state, row);
    if (!standing) return WEIR_E_NOMEM;
    standing->count += by;
    standing->time_ms = rec->time_ms;
    if (standing->count > 0) return WEIR_OK;
    if (standing->count == 0) return weir_map_remove(ctx, s->state, row);
    return weir_fail(ctx->diag, WEIR_E_USER, "%s: its %s side took a row back that had not been given", ctx->operator_id, s->name);
}

static weir_err add_unique(struct side *s, struct weir_ctx *ctx, struct weir_record *rec)
{
    if (side_is_empty(s, ctx)) return timed_row_write(&s->buf, ctx, s->state, weir_record_row(rec), rec->size, rec->time_ms);
    return weir_fail(ctx->diag, WEIR_E_USER, "%s: its %s side is declared unique, but a key has a second row", ctx->operator_id, s->name);
}

static weir_err remove_unique(struct side *s, struct weir_ctx *ctx)
{
    if (side_is_empty(s, ctx))
        return weir_fail(ctx->diag, WEIR_E_USER, "%s: its %s side took a row back that had not been given", ctx->operator_id, s->name);
    weir_value_clear(ctx, s->state);
    return WEIR_OK;
}

static weir_err side_add(struct side *s, struct weir_ctx *ctx, struct weir_record *rec)
{
    switch (s->keeping) {
    case KEEP_VALUE: return add_unique(s, ctx, rec);
    case KEEP_LIST: return add_element(s, ctx, rec);
    case KEEP_MAP: return count_entry(s, ctx, rec, 1);
    }
    return WEIR_E_INTERNAL;
}

static weir_err side_remove(struct side *s, struct weir_ctx *ctx, struct weir_record *rec)
{
    return s->keeping == KEEP_VALUE ? remove_unique(s, ctx) : count_entry(s, ctx, rec, -1);
}

/* ---- meeting ------------------------------------------------------------------------------------------------------------------------- */

static weir_time later(weir_time a, weir_time b)
{
    return a > b ? a : b;
}

/* Gives the pair of rows, of which one may be NULL; `a` is of side `input`. */
static weir_err give(struct joiner *op, struct weir_ctx *ctx, uint32_t input, const void *a, const void *b, weir_time time_ms, uint8_t kind)
{
    const struct weir_pair pair = {.left = input ? b : a, .right = input ? a : b, .time_ms = time_ms, .kind = kind};
    return op->pairs->emit(ctx->out, &pair, 1);
}

/* A row `count` times beside a kept one. first: it ends the loneliness of the kept one; last: it leaves it alone. */
static weir_err meet(struct joiner *op, struct weir_ctx *ctx, uint32_t input, struct weir_record *rec, const struct kept *other, bool first,
                     bool last)
{
    const uint32_t others = 1 - input;
    weir_time time_ms = later(rec->time_ms, other->time_ms);
    uint8_t kind = takes_back(rec->kind) ? WEIR_DELETE : WEIR_INSERT;
    weir_err err = WEIR_OK;
    for (int64_t i = 0; !err && i < other->count; i++) {
        if (first) err = give(op, ctx, others, other->row, NULL, time_ms, WEIR_DELETE);
        if (!err) err = give(op, ctx, input, weir_record_row(rec), other->row, time_ms, kind);
        if (!err && last) err = give(op, ctx, others, other->row, NULL, time_ms, WEIR_INSERT);
    }
    return err;
}

/* *met: there was one at least. */
static weir_err meet_others(struct joiner *op, struct weir_ctx *ctx, uint32_t input, struct weir_record *rec, bool first, bool last,
                            bool *met)
{
    struct side *others = &op->sides[1 - input];
    struct kept other;
    uint64_t cursor = 0;
    weir_err err = WEIR_OK;
    *met = false;
    while (!err && side_next(others, ctx, &cursor, &other, &err)) {
        *met = true;
        err = meet(op, ctx, input, rec, &other, first, last);
    }
    if (err || *met || !op->sides[input].outer) return err;
    return give(op, ctx, input, weir_record_row(rec), NULL, rec->time_ms, takes_back(rec->kind) ? WEIR_DELETE : WEIR_INSERT);
}

static weir_err take_record(struct joiner *op, struct weir_ctx *ctx, uint32_t input, struct weir_record *rec)
{
    struct side *own = &op->sides[input], *other = &op->sides[1 - input];
    bool lonely = other->outer; /* rows of the other side leave alone, too */
    bool met;
    if (takes_back(rec->kind)) {
        weir_err err = side_remove(own, ctx, rec);
        return err ? err : meet_others(op, ctx, input, rec, false, lonely && side_is_empty(own, ctx), &met);
    }
    weir_err err = meet_others(op, ctx, input, rec, lonely && side_is_empty(own, ctx), false, &met);
    if (err || (met && own->waits)) return err;
    if (met && other->waits) err = weir_list_clear(ctx, other->state);
    return err ? err : side_add(own, ctx, rec);
}

static weir_err join_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct joiner *op = self;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; !err && i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        if (rec->kind != WEIR_INSERT && !op->sides[input].changes)
            return weir_fail(ctx->diag, WEIR_E_USER, "%s: a change came to its %s side, whose options do not declare changes",
                             ctx->operator_id, op->sides[input].name);
        weir_set_key(ctx, i);
        err = take_record(op, ctx, input, rec);
    }
    return err;
}

const struct weir_operator join_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "join",
    .self_size = sizeof(struct joiner),
    .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TWO_INPUTS,
    .open = join_open,
    .process = join_process,
    .close = join_close,
};

/* ---- builder ------------------------------------------------------------------------------------------------------------------------- */

bool pairs_check(struct weir_stream *in, const char *id, const struct weir_pairs *pairs)
{
    if (!step_check(in, id, "weir_pairs", pairs, sizeof *pairs)) return false;
    if (pairs->left && pairs->right && pairs->out && pairs->emit) return true;
    (void)weir_refuse(weir_stream_env(in), "operator %s: its weir_pairs needs left, right, out and emit", id);
    return false;
}

static uint32_t flags_of(const struct weir_join_options *o)
{
    bool changes = o->left.changes || o->right.changes;
    if (o->kind == WEIR_INNER_JOIN) return changes ? WEIR_OPERATOR_PASSES_CHANGES : 0;
    return WEIR_OPERATOR_RETRACTS | (changes ? WEIR_OPERATOR_TAKES_CHANGES : 0u);
}

struct weir_stream *weir_join(struct weir_stream *left, struct weir_stream *right, const char *id, const struct weir_pairs *pairs,
                              const struct weir_join_options *options)
{
    const struct weir_join_options none = {0};
    const struct weir_join_options *o = options ? options : &none;
    if (!right || !pairs_check(left, id, pairs)) return NULL;
    if (o->kind > WEIR_FULL_JOIN || o->ttl_ms < 0)
        return weir_refuse(weir_stream_env(left),
                           "operator %s: its join has kind %d and ttl_ms %" PRId64 ": a kind is 0 ... 3, a time not negative", id,
                           (int)o->kind, o->ttl_ms);
    struct weir_operator table = join_operator;
    table.in = pairs->left;
    table.second = pairs->right;
    table.out = pairs->out;
    table.flags |= flags_of(o);
    const struct join_config config = {.pairs = pairs, .options = *o};
    return step_co_apply(left, right, id, &table, &config, sizeof config);
}
