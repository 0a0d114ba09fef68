/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fake_state.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "runtime/base/hash.h"
#include "runtime/task/state.h"

/* ---- what the functions of weir/state.h ask ------------------------------------------------------------------------------------------ */

struct keyed *host_state(struct weir_ctx *ctx, enum state_need need)
{
    struct fake *f = ctx->host;
    (void)need; /* every fake operator may have a key: the test sets ctx.keys, or a call below does */
    assert_non_null(f->keyed);
    return f->keyed;
}

struct state_slot *host_slot(struct weir_ctx *ctx)
{
    struct fake *f = ctx->host;
    return f->slot;
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------------- */

static void close_keyed(struct fake *f)
{
    keyed_destroy(&f->keyed);
    state_slot_destroy(&f->slot);
}

void fake_state_open_with(struct fake *f, const struct state_slot_config *config)
{
    assert_int_equal(state_slot_new(&f->slot, config, &f->diag), WEIR_OK);
    assert_int_equal(keyed_new(&f->keyed, f->slot, f->ctx.operator_id, 0, WEIR_KEY_GROUPS - 1), WEIR_OK);
    f->keyed_close = close_keyed;
}

void fake_state_open(struct fake *f)
{
    fake_state_open_with(f, &(struct state_slot_config){.dir = NULL});
}

/* ---- calls --------------------------------------------------------------------------------------------------------------------------- */

/* Before each call into the operator: no address of its state is in use. */
static weir_err prepare(struct fake *f)
{
    return keyed_safe_point(f->keyed, f->now_ms) ? slot_error(f->slot, &f->diag) : WEIR_OK;
}

/* After it: a failure of the state goes before whatever the operator made of it. */
static weir_err judge(struct fake *f, weir_err err)
{
    weir_err failed = slot_error(f->slot, &f->diag);
    return failed ? failed : err;
}

weir_err fake_op_process_keyed(struct fake *f, struct weir_batch *batch, struct weir_key *keys)
{
    return fake_op_process_keyed_input(f, 0, batch, keys);
}

weir_err fake_op_process_keyed_input(struct fake *f, uint32_t input, struct weir_batch *batch, struct weir_key *keys)
{
    weir_err err = prepare(f);
    if (err) return err;
    hash_keys(keys, batch->count);
    f->ctx.keys = keys;
    keyed_prefetch(f->keyed, keys, batch->count);
    err = judge(f, fake_op_process_input(f, input, batch));
    f->ctx.keys = NULL;
    return err;
}

static weir_err fire(struct fake *f, const struct weir_timer *timer)
{
    f->ctx.keys = timer->key;
    f->ctx.key_index = 0;
    weir_err err = judge(f, f->op->on_timer(f->self, &f->ctx, timer));
    f->ctx.keys = NULL;
    return err;
}

/* Fires the timers of one domain up to `until`. */
static weir_err fire_timers(struct fake *f, enum weir_time_domain domain, weir_time until)
{
    struct weir_timer timer;
    weir_err err = prepare(f);
    while (!err && f->op->on_timer && keyed_timer_pop(f->keyed, domain, until, &timer)) {
        err = fire(f, &timer);
        if (!err) err = prepare(f);
    }
    return err;
}

weir_err fake_op_clock(struct fake *f, weir_time now_ms)
{
    f->now_ms = now_ms;
    weir_err err = fire_timers(f, WEIR_PROCESSING_TIME, now_ms);
    fake_flush(f);
    return err;
}

weir_err fake_op_watermark(struct fake *f, weir_time watermark_ms)
{
    f->ctx.watermark_ms = watermark_ms;
    weir_err err = fire_timers(f, WEIR_EVENT_TIME, watermark_ms);
    if (!err && f->op->on_watermark) {
        do {
            err = prepare(f);
            if (!err) err = judge(f, f->op->on_watermark(f->self, &f->ctx, watermark_ms));
        } while (err == WEIR_AGAIN);
    }
    fake_flush(f);
    return err;
}
