/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/operator/window_due.h"

#include <stdlib.h>

#define KEYS_A_CALL 8192u /* looked at, before others may step */

struct window_due_node {
    weir_time time;
    uint64_t seq; /* of one time: in order of noting */
    uint64_t hash;
    size_t key; /* where its bytes lie */
    uint32_t length;
};

static weir_err no_memory(struct weir_ctx *ctx)
{
    return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: out of memory for what is due", ctx->operator_id);
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------------- */

weir_err window_due_open(struct window_due *d, struct weir_ctx *ctx, int64_t width_ms)
{
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "due", .value_size = sizeof(uint64_t)};
    *d = (struct window_due){.width_ms = width_ms, .open = INT64_MIN};
    return weir_panes_open(ctx, &desc, &d->panes);
}

void window_due_close(struct window_due *d)
{
    free(d->heap);
    free(d->keys);
    free(d->popped);
    *d = (struct window_due){0};
}

/* ---- heap: binary, of the open bucket's keys -------------------------------------------------------------------------------------------
 */

static bool before(const struct window_due_node *a, const struct window_due_node *b)
{
    return a->time != b->time ? a->time < b->time : a->seq < b->seq;
}

static bool reserve(struct window_due *d, uint32_t length)
{
    if (d->n == d->cap) {
        uint32_t cap = d->cap ? d->cap * 2 : 64;
        struct window_due_node *grown = realloc(d->heap, cap * sizeof *grown);
        if (!grown) return false;
        d->heap = grown;
        d->cap = cap;
    }
    if (length <= d->cap_keys - d->n_keys) return true;
    size_t cap = d->cap_keys * 2 + length;
    unsigned char *grown = realloc(d->keys, cap);
    if (!grown) return false;
    d->keys = grown;
    d->cap_keys = cap;
    return true;
}

static weir_err push(struct window_due *d, struct weir_ctx *ctx, const struct weir_key *key, weir_time time)
{
    if (!reserve(d, key->length)) return no_memory(ctx);
    struct window_due_node node = {.time = time, .seq = d->seq++, .hash = key->hash, .key = d->n_keys, .length = key->length};
    if (key->length) memcpy(d->keys + d->n_keys, key->data, key->length);
    d->n_keys += key->length;
    uint32_t at = d->n++;
    for (; at && before(&node, &d->heap[(at - 1) / 2]); at = (at - 1) / 2) d->heap[at] = d->heap[(at - 1) / 2];
    d->heap[at] = node;
    return WEIR_OK;
}

static void sink_first(struct window_due *d, struct window_due_node node)
{
    uint32_t at = 0;
    for (uint32_t child; (child = 2 * at + 1) < d->n; at = child) {
        if (child + 1 < d->n && before(&d->heap[child + 1], &d->heap[child])) child++;
        if (before(&node, &d->heap[child])) break;
        d->heap[at] = d->heap[child];
    }
    d->heap[at] = node;
}

/* Takes the first one out; its key moves to where it stays until the next one. */
static weir_err pop_first(struct window_due *d, struct weir_ctx *ctx, struct weir_key *key, weir_time *time)
{
    struct window_due_node first = d->heap[0];
    if (first.length > d->cap_popped) {
        unsigned char *grown = realloc(d->popped, first.length);
        if (!grown) return no_memory(ctx);
        d->popped = grown;
        d->cap_popped = first.length;
    }
    if (first.length) memcpy(d->popped, d->keys + first.key, first.length);
    *key = (struct weir_key){.data = d->popped, .length = first.length, .hash = first.hash};
    *time = first.time;
    if (--d->n)
        sink_first(d, d->heap[d->n]);
    else
        d->n_keys = 0;
    return WEIR_OK;
}

/* ---- buckets ---------------------------------------------------------------------------------------------------------------------------
 */

int64_t window_due_bucket(const struct window_due *d, weir_time time)
{
    int64_t q = time / d->width_ms;
    return time % d->width_ms < 0 ? q - 1 : q;
}

weir_err window_due_set(struct window_due *d, struct weir_ctx *ctx, weir_time time)
{
    int64_t bucket = window_due_bucket(d, time);
    struct weir_table *table;
    void *value;
    const struct weir_key *keys = ctx->keys, *key = &ctx->keys[ctx->key_index];
    /* What belongs to the open bucket or before it is noted there, too: the heap does not outlive a restart. */
    weir_err err = weir_panes_table(ctx, d->panes, bucket, &table);
    if (err) return err;
    if (bucket == d->open) d->table = table;
    ctx->keys = key;
    err = weir_table_probe(ctx, table, NULL, 1, &value);
    ctx->keys = keys;
    return err || bucket > d->open ? err : push(d, ctx, key, time);
}

/* Looks at the keys of the open bucket: a heap is made of those that are due in it. */
static weir_err lay_open(struct window_due *d, struct weir_ctx *ctx, window_due_ask ask, void *owner)
{
    struct weir_key key;
    void *value;
    weir_time time;
    weir_err err = WEIR_OK;
    for (uint32_t n = 0; n < KEYS_A_CALL; n++) {
        if (!weir_table_next(ctx, d->table, &d->cursor, &key, &value)) {
            d->laying = false;
            return WEIR_OK;
        }
        if (ask(owner, ctx, &key, d->open, &time, &err)) err = push(d, ctx, &key, time);
        if (err) return err;
    }
    return WEIR_AGAIN;
}

/* Goes on to the next bucket that has begun by `until`. false: there is none. */
static bool open_next(struct window_due *d, struct weir_ctx *ctx, weir_time until, weir_err *err)
{
    int64_t next;
    if (d->open != INT64_MIN && window_due_bucket(d, until) == d->open) return false; /* more may come for it */
    if (d->table) weir_table_drop(ctx, &d->table);
    if (!weir_panes_next(ctx, d->panes, INT64_MIN, &next) || next > window_due_bucket(d, until)) return false;
    *err = weir_panes_table(ctx, d->panes, next, &d->table);
    d->open = next;
    d->laying = true;
    d->cursor = 0;
    return !*err;
}

weir_err window_due_pop(struct window_due *d, struct weir_ctx *ctx, weir_time until, window_due_ask ask, void *owner, struct weir_key *key,
                        weir_time *time, bool *found)
{
    weir_err err = WEIR_OK;
    *found = false;
    do {
        if (d->laying) err = lay_open(d, ctx, ask, owner);
        if (err) return err;
        if (d->n && d->heap[0].time <= until) {
            *found = true;
            return pop_first(d, ctx, key, time);
        }
    } while (d->n == 0 && open_next(d, ctx, until, &err));
    return err;
}
