/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job: two sources with gapless numbers, one of which ends early, and each kind of operator that a checkpoint must get right.
 *
 *     a ─ time ─┬─ union ─┬─ (by key) count ────── a value of each key            ─ sink
 *     b ─ time ─┘         ├─ (by key) panes ────── tumbling windows of the library ─ sink
 *        │  │             ├─ (by key) alarms ───── a map and event-time timers     ─ sink
 *        │  │             └─ (in turns) ───────── the items themselves             ─ sink
 *        └──┴── (by id) pairs ──────────────────── two inputs that share a state   ─ sink
 */
#include <string.h>

#include "tests/sim/tasks/tasks.h"
#include "weir/window.h"

WEIR_ROW(item, WEIR_FIELD(item, 1, I64, source), WEIR_FIELD(item, 2, I64, split), WEIR_FIELD(item, 3, I64, seq),
         WEIR_FIELD(item, 4, I64, key), WEIR_FIELD(item, 5, I64, id), WEIR_FIELD(item, 6, TIME, time));
WEIR_ROW(fact, WEIR_FIELD(fact, 1, I64, sink), WEIR_FIELD(fact, 2, I64, a), WEIR_FIELD(fact, 3, I64, b), WEIR_FIELD(fact, 4, I64, value));
WEIR_KEY_FIXED(by_key, item, key);
WEIR_KEY_FIXED(by_id, item, id);
WEIR_KEY_FIXED(by_a, fact, a);
WEIR_TIMESTAMP(item_time, item, time);

#define MS_BETWEEN_ITEMS 10
#define MS_OUT_OF_ORDER 7

/* ---- sources: one split after the other ------------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    return z ^ (z >> 31);
}

struct item job_item(uint32_t source, uint32_t split, uint32_t seq)
{
    uint64_t word = mix(tasks.input.seed ^ mix((uint64_t)source << 40 ^ (uint64_t)split << 32 ^ seq));
    return (struct item){.source = source,
                         .split = split,
                         .seq = seq,
                         .key = (int64_t)(word % tasks.input.keys),
                         .id = (int64_t)split << 32 | seq,
                         .time = (weir_time)seq * MS_BETWEEN_ITEMS + (weir_time)(word >> 32) % MS_OUT_OF_ORDER};
}

uint32_t job_rows(uint32_t source)
{
    return source == 0 ? tasks.input.rows : tasks.input.rows / 4;
}

struct reader {
    uint32_t split, seq, calls;
};

static weir_err discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    (void)config, (void)parallelism, (void)diag;
    for (uint32_t s = 0; s < tasks.input.splits && !err; s++) err = weir_splits_add(splits, &s, sizeof s);
    return err;
}

static weir_err open_split(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position)
{
    struct reader *r = self;
    (void)ctx;
    if (position.length == sizeof *r) memcpy(r, position.data, sizeof *r);
    memcpy(&r->split, split.data, sizeof r->split);
    return WEIR_OK;
}

static weir_err tell_position(void *self, struct weir_ctx *ctx, void *data, uint32_t *length)
{
    (void)ctx;
    memcpy(data, self, sizeof(struct reader));
    *length = sizeof(struct reader);
    return WEIR_OK;
}

uint32_t job_position(struct weir_bytes position)
{
    struct reader r = {0};
    if (position.length == sizeof r) memcpy(&r, position.data, sizeof r);
    return r.seq;
}

static weir_err read_items(void *self, struct weir_ctx *ctx)
{
    struct reader *r = self;
    const uint32_t *source = ctx->config;
    weir_err err = WEIR_OK;
    uint64_t word = mix(tasks.input.seed ^ r->calls++ ^ (uint64_t)r->split << 32);
    if (r->seq >= job_rows(*source)) return WEIR_DONE;
    if (word % (tasks.input.pause + 1)) return WEIR_AGAIN;
    for (uint64_t n = 1 + (word >> 32) % tasks.input.burst; n > 0 && r->seq < job_rows(*source) && !err; n--) {
        struct item row = job_item(*source, r->split, r->seq++);
        err = weir_emit(ctx->out, &row, sizeof row, row.time);
    }
    return err;
}

static const struct weir_source items = {.struct_size = sizeof items,
                                         .name = "items",
                                         .self_size = sizeof(struct reader),
                                         .schema = &item_schema,
                                         .discover = discover,
                                         .open = open_split,
                                         .read = read_items,
                                         .position = tell_position};

static const char *const source_ids[TASKS_SOURCES] = {"a", "b"};

uint32_t job_source_of(const char *operator_id)
{
    uint32_t s = 0;
    while (s < TASKS_SOURCES && strcmp(source_ids[s], operator_id) != 0) s++;
    return s;
}

/* ---- operators ------------------------------------------------------------------------------------------------------------------- */

static weir_err emit_fact(struct weir_ctx *ctx, enum fact_sink sink, int64_t a, int64_t b, int64_t value, weir_time time_ms)
{
    struct fact f = {.sink = sink, .a = a, .b = b, .value = value};
    return weir_emit(ctx->out, &f, sizeof f, time_ms);
}

static int64_t unit_of(const struct item *row)
{
    return row->source * TASKS_SPLITS_MAX + row->split;
}

static inline weir_err make_fact(struct weir_none *self, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    (void)self;
    return emit_fact(ctx, FACT_ITEMS, unit_of(row), row->seq, 0, rec->time_ms);
}
WEIR_FLAT_MAP(make_fact_op, item, fact, make_fact);

struct count {
    struct weir_state *n;
};

static weir_err count_open(void *self, struct weir_ctx *ctx)
{
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "n", .value_size = sizeof(int64_t)};
    return weir_value_open(ctx, &desc, &((struct count *)self)->n);
}

static inline weir_err count_item(struct count *c, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    int64_t *n = weir_value(ctx, c->n);
    if (!n) return WEIR_E_NOMEM;
    return emit_fact(ctx, FACT_COUNTS, row->key, ++*n, 0, rec->time_ms);
}
WEIR_PROCESS(count, count, item, count_item);

#define KEYED(name_, process_)                                                                                                         \
    .struct_size = sizeof(struct weir_operator), .name = name_, .in = &item_schema, .out = &fact_schema, .flags = WEIR_OPERATOR_KEYED, \
    .process = process_

static const struct weir_operator count_op = {KEYED("count", count_process), .self_size = sizeof(struct count), .open = count_open};

struct pane {
    int64_t rows;
};

static inline void pane_add(struct pane *p, const struct item *row, weir_time time_ms)
{
    (void)row, (void)time_ms;
    p->rows++;
}

static inline void pane_merge(struct pane *into, const struct pane *from)
{
    into->rows += from->rows;
}

static inline weir_err pane_emit(struct weir_ctx *ctx, const struct pane *p, const struct weir_key *key, weir_time start, weir_time end)
{
    int64_t k;
    memcpy(&k, key->data, sizeof k);
    return emit_fact(ctx, FACT_PANES, k, start / TASKS_WINDOW_MS, p->rows, end - 1);
}
WEIR_AGGREGATE(panes, item, pane, fact, pane_add, pane_merge, pane_emit);

/* Each item rings once, TASKS_ALARM_MS behind its time. */
struct alarms {
    struct weir_state *waiting; /* map: (unit, seq) -> when it came */
};

static weir_err alarms_open(void *self, struct weir_ctx *ctx)
{
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "waiting", .value_size = sizeof(weir_time)};
    return weir_map_open(ctx, &desc, &((struct alarms *)self)->waiting);
}

static inline weir_err alarm_item(struct alarms *op, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    uint64_t tag = (uint64_t)unit_of(row) << 32 | (uint64_t)row->seq;
    if (rec->time_ms <= ctx->watermark_ms) return weir_fail(ctx->diag, WEIR_E_USER, "an item is late");
    weir_time *when = weir_map_value(ctx, op->waiting, (struct weir_bytes){&tag, sizeof tag});
    if (!when) return WEIR_E_NOMEM;
    if (*when) return weir_fail(ctx->diag, WEIR_E_USER, "an item came twice");
    *when = rec->time_ms + 1;
    return weir_timer_set(ctx, WEIR_EVENT_TIME, rec->time_ms + TASKS_ALARM_MS, tag);
}
WEIR_PROCESS(alarm, alarms, item, alarm_item);

static weir_err alarm_ring(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct alarms *op = self;
    struct weir_bytes tag = {&timer->tag, sizeof timer->tag};
    if (weir_map_get(ctx, op->waiting, tag).length == 0) return weir_fail(ctx->diag, WEIR_E_USER, "a timer without its item");
    weir_err err = weir_map_remove(ctx, op->waiting, tag);
    return err ? err : emit_fact(ctx, FACT_ALARMS, (int64_t)(timer->tag >> 32), (int64_t)(uint32_t)timer->tag, 0, timer->time_ms);
}

static const struct weir_operator alarm_op = {KEYED("alarms", alarm_process), .self_size = sizeof(struct alarms), .open = alarms_open,
                                              .on_timer = alarm_ring};

/* An item of b and the one of a with its number. */
struct pairs {
    struct weir_state *seen; /* set of sources */
};

static weir_err pairs_open(void *self, struct weir_ctx *ctx)
{
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "seen", .value_size = sizeof(uint64_t)};
    return weir_value_open(ctx, &desc, &((struct pairs *)self)->seen);
}

static inline weir_err pair_item(struct pairs *op, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    uint64_t *seen = weir_value(ctx, op->seen), mine = UINT64_C(1) << row->source;
    if (!seen) return WEIR_E_NOMEM;
    if (*seen & mine) return weir_fail(ctx->diag, WEIR_E_USER, "an item came twice to be paired");
    *seen |= mine;
    return *seen == 3 ? emit_fact(ctx, FACT_PAIRS, row->split, row->seq, 0, rec->time_ms) : WEIR_OK;
}
WEIR_CO_PROCESS(pair, pairs, item, pair_item, item, pair_item);

static const struct weir_operator pair_op = {.struct_size = sizeof pair_op,
                                             .name = "pairs",
                                             .self_size = sizeof(struct pairs),
                                             .in = &item_schema,
                                             .second = &item_schema,
                                             .out = &fact_schema,
                                             .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TWO_INPUTS,
                                             .open = pairs_open,
                                             .process = pair_process};

/* ---- the sink: two phases -------------------------------------------------------------------------------------------------------- */

#define OPEN_MAX 4096u /* facts between two checkpoints, of one subtask */

struct sink {
    struct fact *open;
    uint32_t n;
};

static weir_err sink_open(void *self, struct weir_ctx *ctx)
{
    struct sink *s = self;
    s->open = calloc(OPEN_MAX, sizeof *s->open);
    return s->open ? WEIR_OK : weir_fail(ctx->diag, WEIR_E_NOMEM, "no memory");
}

static void sink_close(void *self, struct weir_ctx *ctx)
{
    (void)ctx;
    free(((struct sink *)self)->open);
}

static inline weir_err sink_fact(struct sink *s, struct weir_ctx *ctx, const struct fact *row, const struct weir_record *rec)
{
    (void)rec;
    if (s->n == OPEN_MAX) return weir_fail(ctx->diag, WEIR_E_USER, "too many facts without a checkpoint");
    s->open[s->n++] = *row;
    return WEIR_OK;
}
WEIR_PROCESS(sink, sink, fact, sink_fact);

static weir_err sink_prepare(void *self, struct weir_ctx *ctx, uint64_t checkpoint_id, struct weir_committables *out)
{
    struct sink *s = self;
    const uint32_t *which = ctx->config;
    (void)checkpoint_id;
    weir_committables_records(out, s->n);
    if (s->n == 0) return WEIR_OK;
    uint64_t number = outside_prepare(*which, ctx->attempt, s->open, s->n);
    s->n = 0;
    return weir_committable_add(out, &number, sizeof number);
}

static uint64_t number_in(struct weir_bytes committable)
{
    uint64_t number;
    memcpy(&number, committable.data, sizeof number);
    return number;
}

static weir_err sink_commit(void *self, struct weir_ctx *ctx, struct weir_bytes committable)
{
    (void)self, (void)ctx;
    outside_commit(number_in(committable));
    return WEIR_OK;
}

static void sink_abort(void *self, struct weir_ctx *ctx, struct weir_bytes committable)
{
    (void)self, (void)ctx;
    outside_abort(number_in(committable));
}

static weir_err sink_recover(void *self, struct weir_ctx *ctx, const struct weir_bytes *kept, uint32_t n_kept)
{
    const uint32_t *which = ctx->config;
    uint64_t *numbers = calloc(n_kept + 1, sizeof *numbers);
    (void)self;
    if (!numbers) return weir_fail(ctx->diag, WEIR_E_NOMEM, "no memory");
    for (uint32_t i = 0; i < n_kept; i++) numbers[i] = number_in(kept[i]);
    outside_recover(*which, ctx->attempt, numbers, n_kept);
    free(numbers);
    return WEIR_OK;
}

static const struct weir_operator sink_op = {.struct_size = sizeof sink_op,
                                             .name = "outside",
                                             .self_size = sizeof(struct sink),
                                             .in = &fact_schema,
                                             .flags = WEIR_OPERATOR_SINK,
                                             .open = sink_open,
                                             .process = sink_process,
                                             .prepare = sink_prepare,
                                             .commit = sink_commit,
                                             .recover = sink_recover,
                                             .close = sink_close,
                                             .abort = sink_abort};

/* ---- the whole ------------------------------------------------------------------------------------------------------------------- */

weir_err job_build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    static const uint32_t sources[TASKS_SOURCES] = {0, 1}, sinks[FACT_SINKS] = {0, 1, 2, 3, 4};
    const struct weir_watermarks bounds = {.max_out_of_orderness_ms = MS_OUT_OF_ORDER};
    const struct weir_window tumbling = {.kind = WEIR_TUMBLING, .size_ms = TASKS_WINDOW_MS};
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *a = weir_from(env, source_ids[0], &items, &sources[0], sizeof sources[0]);
    struct weir_stream *b = weir_from(env, source_ids[1], &items, &sources[1], sizeof sources[1]);
    a = weir_assign_watermarks(a, "a-time", item_time, &bounds);
    b = weir_assign_watermarks(b, "b-time", item_time, &bounds);
    struct weir_stream *both[] = {a, b}, *all = weir_union(both, 2);
    struct weir_stream *counts = weir_apply(weir_key_by(all, &by_key), "count", &count_op, NULL, 0);
    struct weir_stream *windows = weir_window_aggregate(weir_key_by(all, &by_key), "panes", &tumbling, &panes);
    struct weir_stream *rung = weir_apply(weir_key_by(all, &by_key), "alarms", &alarm_op, NULL, 0);
    struct weir_stream *pairs = weir_co_apply(weir_key_by(a, &by_id), weir_key_by(b, &by_id), "pairs", &pair_op, NULL, 0);
    struct weir_stream *plain = weir_flat_map(weir_rebalance(all), "facts", &make_fact_op);
    (void)weir_sink(plain, "items-out", &sink_op, &sinks[FACT_ITEMS]);
    (void)weir_sink(counts, "counts-out", &sink_op, &sinks[FACT_COUNTS]);
    (void)weir_sink(weir_key_by(windows, &by_a), "panes-out", &sink_op, &sinks[FACT_PANES]);
    (void)weir_sink(weir_rebalance(rung), "alarms-out", &sink_op, &sinks[FACT_ALARMS]);
    (void)weir_sink(pairs, "pairs-out", &sink_op, &sinks[FACT_PAIRS]);
    return WEIR_OK;
}
