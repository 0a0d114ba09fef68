/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_state.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "runtime/base/hash.h"
#include "runtime/state/keyed.h"

static struct keyed *keyed_of(struct weir_ctx *ctx)
{
    struct fake *f = ctx->host;
    assert_non_null(f->keyed);
    return f->keyed;
}

/* The test that set keys[...] and key_index, or the call below, says which key is current. */
static const struct weir_key *current_key(struct weir_ctx *ctx)
{
    assert_non_null(ctx->keys);
    return &ctx->keys[ctx->key_index];
}

static void close_keyed(struct fake *f)
{
    keyed_destroy(&f->keyed);
}

void fake_state_open(struct fake *f)
{
    assert_int_equal(keyed_new(&f->keyed), WEIR_OK);
    f->keyed_close = close_keyed;
}

weir_err fake_op_process_keyed(struct fake *f, struct weir_batch *batch, struct weir_key *keys)
{
    hash_keys(keys, batch->count);
    f->ctx.keys = keys;
    keyed_prefetch(f->keyed, keys, batch->count);
    weir_err err = fake_op_process(f, batch);
    f->ctx.keys = NULL;
    return err;
}

static weir_err fire(struct fake *f, const struct weir_timer *timer)
{
    f->ctx.keys = timer->key;
    f->ctx.key_index = 0;
    weir_err err = f->op->on_timer(f->self, &f->ctx, timer);
    f->ctx.keys = NULL;
    return err;
}

weir_err fake_op_watermark(struct fake *f, weir_time watermark_ms)
{
    struct weir_timer timer;
    weir_err err = WEIR_OK;
    f->ctx.watermark_ms = watermark_ms;
    while (!err && f->op->on_timer && keyed_timer_pop(f->keyed, WEIR_EVENT_TIME, watermark_ms, &timer)) err = fire(f, &timer);
    if (!err && f->op->on_watermark) {
        do err = f->op->on_watermark(f->self, &f->ctx, watermark_ms);
        while (err == WEIR_AGAIN);
    }
    fake_flush(f);
    return err;
}

/* ---- weir/state.h ------------------------------------------------------------------------------------------------------------------ */

weir_err weir_value_open(struct weir_ctx *ctx, const struct weir_state_desc *desc, struct weir_state **out)
{
    return keyed_value_open(keyed_of(ctx), desc, out, ctx->diag);
}

void *weir_value(struct weir_ctx *ctx, struct weir_state *state)
{
    return keyed_value(state, current_key(ctx));
}

void *weir_value_find(struct weir_ctx *ctx, struct weir_state *state)
{
    return keyed_value_find(state, current_key(ctx));
}

struct weir_bytes weir_value_read(struct weir_ctx *ctx, struct weir_state *state)
{
    return keyed_value_read(state, current_key(ctx));
}

weir_err weir_value_write(struct weir_ctx *ctx, struct weir_state *state, const void *data, uint32_t length)
{
    return keyed_value_write(state, current_key(ctx), data, length);
}

void weir_value_clear(struct weir_ctx *ctx, struct weir_state *state)
{
    keyed_value_clear(state, current_key(ctx));
}

weir_err weir_timer_set(struct weir_ctx *ctx, enum weir_time_domain domain, weir_time time_ms, uint64_t tag)
{
    return keyed_timer_set(keyed_of(ctx), current_key(ctx), domain, time_ms, tag);
}

void weir_timer_delete(struct weir_ctx *ctx, enum weir_time_domain domain, weir_time time_ms, uint64_t tag)
{
    keyed_timer_delete(keyed_of(ctx), current_key(ctx), domain, time_ms, tag);
}

weir_err weir_table_new(struct weir_ctx *ctx, uint32_t value_size, struct weir_table **out)
{
    return keyed_table_new(keyed_of(ctx), value_size, out);
}

void weir_table_drop(struct weir_ctx *ctx, struct weir_table **table)
{
    keyed_table_drop(keyed_of(ctx), table);
}

weir_err weir_table_probe(struct weir_ctx *ctx, struct weir_table *table, const uint32_t *idx, uint32_t n, void **values)
{
    assert_non_null(ctx->keys);
    return keyed_table_probe(table, ctx->keys, idx, n, values);
}

void *weir_table_find(struct weir_ctx *ctx, struct weir_table *table, const struct weir_key *key)
{
    (void)ctx;
    return keyed_table_find(table, key);
}

void weir_table_remove(struct weir_ctx *ctx, struct weir_table *table, const struct weir_key *key)
{
    (void)ctx;
    keyed_table_remove(table, key);
}

uint64_t weir_table_count(const struct weir_table *table)
{
    return keyed_table_count(table);
}

bool weir_table_next(const struct weir_table *table, uint64_t *cursor, struct weir_key *key, void **value)
{
    return keyed_table_next(table, cursor, key, value);
}
