/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/operator/window_running.h"

#include <stdlib.h>
#include <string.h>

#define ENTRIES_A_CALL 8192u /* then the caller may let others step */
#define NONE WEIR_TIME_MIN   /* no slice has this pane */

/* A key that is held. Behind it: the accumulator `back`, and with stacks `front`. */
struct held_key {
    uint32_t n_slices; /* that hold it */
    uint32_t turn;     /* in which front and back were begun */
    weir_time front;   /* pane of the oldest turned entry, whose suffix is in front; NONE: front is empty */
    uint64_t has_back;
};

/* Value of a suffix table. The accumulator follows. */
struct suffix {
    weir_time next; /* pane of the key's next turned entry, or NONE */
};

static size_t padded(const struct window_running *r)
{
    return (r->aggregate->acc_size + 7u) & ~(size_t)7u;
}

static void *back_of(struct held_key *k)
{
    return k + 1;
}

static void *front_of(const struct window_running *r, struct held_key *k)
{
    return (unsigned char *)(k + 1) + padded(r);
}

static void *suffix_acc(struct suffix *s)
{
    return s + 1;
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------------- */

/* What is derived is not restored. */
static weir_err open_empty(struct weir_ctx *ctx, const char *name, size_t value_size, struct weir_panes **out)
{
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = name, .value_size = (uint32_t)value_size};
    int64_t pane = INT64_MIN;
    weir_err err = weir_panes_open(ctx, &desc, out);
    while (!err && weir_panes_next(ctx, *out, pane, &pane)) {
        struct weir_table *table;
        err = weir_panes_table(ctx, *out, pane, &table);
        if (!err) weir_table_drop(ctx, &table);
    }
    return err;
}

weir_err window_running_open(struct window_running *r, struct weir_ctx *ctx, struct window_slices *slices,
                             const struct weir_aggregate *aggregate, bool stacks)
{
    *r = (struct window_running){.aggregate = aggregate, .slices = slices, .stacks = stacks, .turned = -WINDOW_SLICE_FAR};
    r->total = malloc(padded(r));
    if (!r->total) return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: out of memory for a window", ctx->operator_id);
    weir_err err = open_empty(ctx, "running", sizeof(struct held_key) + padded(r) * (stacks ? 2 : 1), &r->state);
    if (!err && stacks) err = open_empty(ctx, "suffixes", sizeof(struct suffix) + padded(r), &r->suffixes);
    return err;
}

void window_running_close(struct window_running *r)
{
    free(r->total);
    r->total = NULL;
}

/* ---- one key --------------------------------------------------------------------------------------------------------------------------
 */

static struct held_key *find_key(struct window_running *r, struct weir_ctx *ctx, const struct weir_key *key)
{
    return r->table ? weir_table_find(ctx, r->table, key) : NULL;
}

/* Finds or makes the value of one key of a table. */
static weir_err make_value(struct weir_ctx *ctx, struct weir_table *table, const struct weir_key *key, void **out)
{
    const struct weir_key *keys = ctx->keys;
    ctx->keys = key;
    weir_err err = weir_table_probe(ctx, table, NULL, 1, out);
    ctx->keys = keys;
    return err;
}

static weir_err make_key(struct window_running *r, struct weir_ctx *ctx, const struct weir_key *key, struct held_key **out)
{
    void *value;
    weir_err err = r->table ? WEIR_OK : weir_panes_table(ctx, r->state, 0, &r->table);
    if (!err) err = make_value(ctx, r->table, key, &value);
    if (err) return err;
    struct held_key *k = value;
    if (k->n_slices == 0) {
        r->n_keys++;
        k->front = NONE;
        k->turn = r->turn;
    }
    *out = k;
    return WEIR_OK;
}

/* Makes `into` the combination of what it holds, if anything, and `from`. */
static void merge_or_copy(const struct window_running *r, void *into, bool holds, const void *from)
{
    if (holds)
        r->aggregate->merge(into, from);
    else
        memcpy(into, from, r->aggregate->acc_size);
}

static void take_in(const struct window_running *r, struct held_key *k, const void *acc)
{
    merge_or_copy(r, back_of(k), k->has_back, acc);
    k->has_back = 1;
}

/* Puts an entry of `slice`, older than all that are turned, in front of them. */
static weir_err turn_entry(struct window_running *r, struct weir_ctx *ctx, struct slice *slice, const struct weir_key *key, const void *acc,
                           struct held_key *k)
{
    void *value;
    weir_err err = slice->suffix ? WEIR_OK : weir_panes_table(ctx, r->suffixes, slice->lowest, &slice->suffix);
    if (!err) err = make_value(ctx, slice->suffix, key, &value);
    if (err) return err;
    struct suffix *s = value;
    s->next = k->front;
    memcpy(suffix_acc(s), acc, r->aggregate->acc_size);
    if (k->front != NONE) r->aggregate->merge(suffix_acc(s), front_of(r, k));
    memcpy(front_of(r, k), suffix_acc(s), r->aggregate->acc_size);
    k->front = slice->lowest;
    return WEIR_OK;
}

static void forget_key(struct window_running *r, struct weir_ctx *ctx, const struct weir_key *key)
{
    weir_table_remove(ctx, r->table, key);
    r->n_keys--;
}

/* The key's oldest turned entry leaves: the next one's suffix is the front now. */
static void advance_front(struct window_running *r, struct weir_ctx *ctx, const struct slice *slice, const struct weir_key *key,
                          struct held_key *k)
{
    const struct suffix *leaving = weir_table_find(ctx, slice->suffix, key);
    if (!leaving) return; /* a failure of the state, which remembers it */
    k->front = leaving->next;
    struct slice *next = k->front == NONE ? NULL : window_slices_pane(r->slices, k->front);
    struct suffix *s = next && next->suffix ? weir_table_find(ctx, next->suffix, key) : NULL;
    if (s) memcpy(front_of(r, k), suffix_acc(s), r->aggregate->acc_size);
}

/* ---- slices ---------------------------------------------------------------------------------------------------------------------------
 */

/* What is done with each entry of a slice. */
typedef weir_err (*entry_fn)(struct window_running *r, struct weir_ctx *ctx, struct slice *slice, const struct weir_key *key,
                             const void *acc);

static weir_err for_each_entry(struct window_running *r, struct weir_ctx *ctx, struct slice *slice, entry_fn fn)
{
    struct weir_key key;
    void *acc;
    for (uint32_t n = 0; n < ENTRIES_A_CALL; n++) {
        if (!weir_table_next(ctx, slice->table, &r->cursor, &key, &acc)) {
            r->cursor = 0;
            return WEIR_OK;
        }
        weir_err err = fn(r, ctx, slice, &key, acc);
        if (err) return err;
    }
    return WEIR_AGAIN;
}

static weir_err enter_entry(struct window_running *r, struct weir_ctx *ctx, struct slice *slice, const struct weir_key *key,
                            const void *acc)
{
    struct held_key *k;
    (void)slice;
    weir_err err = make_key(r, ctx, key, &k);
    if (err) return err;
    k->n_slices++;
    take_in(r, k, acc);
    return WEIR_OK;
}

weir_err window_running_enter(struct window_running *r, struct weir_ctx *ctx, struct slice *slice)
{
    return for_each_entry(r, ctx, slice, enter_entry);
}

static weir_err turn_one(struct window_running *r, struct weir_ctx *ctx, struct slice *slice, const struct weir_key *key, const void *acc)
{
    struct held_key *k = find_key(r, ctx, key);
    if (!k) return WEIR_OK; /* a failure of the state, which remembers it */
    if (k->turn != r->turn) {
        k->turn = r->turn;
        k->front = NONE;
        k->has_back = 0;
    }
    return turn_entry(r, ctx, slice, key, acc, k);
}

/* Turns the slices held, newest first. */
static weir_err turn(struct window_running *r, struct weir_ctx *ctx, struct window_span held)
{
    if (!r->is_turning) {
        r->is_turning = true;
        r->turn++;
        r->turning = held.to;
    }
    for (uint32_t at; (at = window_slices_from(r->slices, r->turning)) > window_slices_from(r->slices, held.from);) {
        struct slice *slice = r->slices->items[at - 1];
        weir_err err = for_each_entry(r, ctx, slice, turn_one);
        if (err) return err;
        r->turning = slice->number;
    }
    r->is_turning = false;
    r->turned = held.to;
    return WEIR_OK;
}

static weir_err leave_entry(struct window_running *r, struct weir_ctx *ctx, struct slice *slice, const struct weir_key *key,
                            const void *acc)
{
    struct held_key *k = find_key(r, ctx, key);
    if (!k) return WEIR_OK; /* a failure of the state, which remembers it */
    if (--k->n_slices == 0) {
        forget_key(r, ctx, key);
    } else if (!r->stacks) {
        r->aggregate->subtract(back_of(k), acc);
    } else if (k->front == slice->lowest) {
        advance_front(r, ctx, slice, key, k);
    }
    return WEIR_OK;
}

weir_err window_running_leave(struct window_running *r, struct weir_ctx *ctx, struct slice *slice, struct window_span held)
{
    weir_err err = WEIR_OK;
    if (r->stacks && (r->is_turning || slice->number >= r->turned)) err = turn(r, ctx, held);
    if (!err) err = for_each_entry(r, ctx, slice, leave_entry);
    if (!err && slice->suffix) weir_table_drop(ctx, &slice->suffix);
    return err;
}

void window_running_reset(struct window_running *r, struct weir_ctx *ctx)
{
    if (r->table) weir_table_drop(ctx, &r->table);
    r->n_keys = 0;
}

/* ---- totals ----------------------------------------------------------------------------------------------------------------------------
 */

static const void *total_of(struct window_running *r, struct held_key *k)
{
    if (!r->stacks || k->front == NONE) return back_of(k);
    if (!k->has_back) return front_of(r, k);
    memcpy(r->total, front_of(r, k), r->aggregate->acc_size);
    r->aggregate->merge(r->total, back_of(k));
    return r->total;
}

bool window_running_next(struct window_running *r, struct weir_ctx *ctx, uint64_t *cursor, struct weir_key *key, const void **total)
{
    void *value;
    if (!r->table || !weir_table_next(ctx, r->table, cursor, key, &value)) return false;
    *total = total_of(r, value);
    return true;
}

weir_err window_running_refold(struct window_running *r, struct weir_ctx *ctx, const struct weir_key *key, struct window_span held)
{
    struct held_key *k;
    weir_err err = make_key(r, ctx, key, &k);
    if (err) return err;
    k->n_slices = 0;
    k->turn = r->turn;
    k->front = NONE;
    k->has_back = 0;
    uint32_t from = window_slices_from(r->slices, held.from), to = window_slices_from(r->slices, held.to);
    uint32_t turned = r->stacks ? window_slices_from(r->slices, r->turned) : from;
    if (turned < from) turned = from;
    if (turned > to) turned = to;
    for (uint32_t i = turned; i-- > from && !err;) {
        const void *acc = weir_table_find(ctx, r->slices->items[i]->table, key);
        if (!acc) continue;
        k->n_slices++;
        err = turn_entry(r, ctx, r->slices->items[i], key, acc, k);
    }
    for (uint32_t i = turned; i < to; i++) {
        const void *acc = weir_table_find(ctx, r->slices->items[i]->table, key);
        if (!acc) continue;
        k->n_slices++;
        take_in(r, k, acc);
    }
    return err;
}

const void *window_running_combine(struct window_running *r, struct weir_ctx *ctx, const struct weir_key *key, struct window_span window)
{
    bool holds = false;
    uint32_t to = window_slices_from(r->slices, window.to);
    for (uint32_t i = window_slices_from(r->slices, window.from); i < to; i++) {
        const void *acc = weir_table_find(ctx, r->slices->items[i]->table, key);
        if (!acc) continue;
        merge_or_copy(r, r->total, holds, acc);
        holds = true;
    }
    return holds ? r->total : NULL;
}
