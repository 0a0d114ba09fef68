/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job of the chaos runs. Whatever is lost, doubled, reordered or shown too early leaves a trace in its output, which check.py finds.
 *
 *     count ──by key──┬── chain ──── OUT/chain      one row a record: the key's n-th, and a hash of all before it
 *  (S splits,         ├── windows ── OUT/windows    tumbling, event time: how many, and the sum of their numbers
 *   numbers 0, 1 ...) └── slots ──── OUT/slots      the same by a map and an event timer
 *
 * Number i of split s has the key mix(s, i) mod KEYS and the time i * STEP_MS: everything can be computed anew by who knows s and i.
 * mix and link are computed by check.py, too.
 */
#include "weir/connector/file.h"
#include "weir/source.h"
#include "weir/weir.h"

#define STEP_MS 10
#define SPAN_MS 1000 /* of windows and slots */
#define BURST 64     /* numbers of one call of read, at most */
#define SPLITS_MAX 1024

struct item {
    int64_t split, seq, key;
    weir_time time;
};
WEIR_ROW(item, WEIR_FIELD(item, 1, I64, split), WEIR_FIELD(item, 2, I64, seq), WEIR_FIELD(item, 3, I64, key),
         WEIR_FIELD(item, 4, TIME, time));

struct link {
    int64_t key, n, split, seq, hash;
};
WEIR_ROW(link, WEIR_FIELD(link, 1, I64, key), WEIR_FIELD(link, 2, I64, n), WEIR_FIELD(link, 3, I64, split), WEIR_FIELD(link, 4, I64, seq),
         WEIR_FIELD(link, 5, I64, hash));

struct span {
    int64_t key;
    weir_time start;
    int64_t count, sum;
};
WEIR_ROW(span, WEIR_FIELD(span, 1, I64, key), WEIR_FIELD(span, 2, TIME, start), WEIR_FIELD(span, 3, I64, count),
         WEIR_FIELD(span, 4, I64, sum));

static uint64_t mix(uint64_t z) /* the finalizer of SplitMix64 */
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t name_of(int64_t split, int64_t seq)
{
    return mix((uint64_t)split << 48 ^ (uint64_t)seq);
}

/* ---- the source ---------------------------------------------------------------------------------------------------------------------- */

struct count_config {
    int64_t splits, keys, rows, pace; /* rows, pace: of each split; 0 = without end, as fast as possible */
};

struct count {
    int64_t split, next;
    int64_t paced_from; /* the number that was due ... */
    weir_time paced_ms; /* ... at this time; 0 = not begun */
};

static weir_err count_discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    const struct count_config *c = config;
    (void)parallelism; /* the same splits at every one: positions stay good when it changes */
    for (int64_t i = 0; i < c->splits; i++) {
        weir_err err = weir_splits_add(splits, &i, sizeof i);
        if (err) return weir_fail(diag, err, "split %lld", (long long)i);
    }
    return WEIR_OK;
}

static weir_err count_open(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position)
{
    struct count *c = self;
    if (split.length != sizeof c->split || (position.length && position.length != sizeof c->next))
        return weir_fail(ctx->diag, WEIR_E_CORRUPT, "no split or position of this source");
    memcpy(&c->split, split.data, sizeof c->split);
    if (position.length) memcpy(&c->next, position.data, sizeof c->next);
    return WEIR_OK;
}

/* The first number that is not due yet. A restored reader does not hurry to make up for the time it was away. */
static int64_t due_below(struct count *c, const struct count_config *config, weir_time now)
{
    if (config->pace == 0) return INT64_MAX;
    if (!c->paced_ms || now < c->paced_ms) {
        c->paced_ms = now;
        c->paced_from = c->next;
    }
    return c->paced_from + (now - c->paced_ms) * config->pace / 1000 + 1;
}

static weir_err count_read(void *self, struct weir_ctx *ctx)
{
    struct count *c = self;
    const struct count_config *config = ctx->config;
    int64_t end = config->rows ? config->rows : INT64_MAX, due = due_below(c, config, weir_now_ms(ctx));
    int64_t until = c->next + BURST, begun = c->next;
    if (until > due) until = due;
    if (until > end) until = end;
    while (c->next < until && !weir_should_yield(ctx)) {
        int64_t key = (int64_t)(name_of(c->split, c->next) % (uint64_t)config->keys);
        struct item row = {.split = c->split, .seq = c->next, .key = key, .time = c->next * STEP_MS};
        weir_err err = weir_emit(ctx->out, &row, sizeof row, row.time);
        if (err) return err;
        c->next++;
    }
    weir_err err = c->next > begun ? weir_source_watermark(ctx, c->next * STEP_MS - 1) : WEIR_OK;
    if (err) return err;
    return c->next == end ? WEIR_DONE : c->next > begun ? WEIR_OK : WEIR_AGAIN;
}

static weir_err count_position(void *self, struct weir_ctx *ctx, void *data, uint32_t *length)
{
    const struct count *c = self;
    (void)ctx;
    memcpy(data, &c->next, sizeof c->next);
    *length = sizeof c->next;
    return WEIR_OK;
}

static const struct weir_source count = {.struct_size = sizeof count,
                                         .name = "count",
                                         .self_size = sizeof(struct count),
                                         .schema = &item_schema,
                                         .discover = count_discover,
                                         .open = count_open,
                                         .read = count_read,
                                         .position = count_position};

WEIR_KEY_FIXED(by_key, item, key);

/* ---- chain: a value state ------------------------------------------------------------------------------------------------------------ */

struct chained {
    int64_t n, hash;
};
WEIR_ROW(chained, WEIR_FIELD(chained, 1, I64, n), WEIR_FIELD(chained, 2, I64, hash));

struct chain {
    struct weir_state *last;
};

static weir_err chain_open(void *self, struct weir_ctx *ctx)
{
    struct chain *c = self;
    struct weir_state_desc desc = {
        .struct_size = sizeof desc, .name = "last", .value_size = sizeof(struct chained), .schema = &chained_schema};
    return weir_value_open(ctx, &desc, &c->last);
}

static weir_err chain_one(struct chain *self, struct weir_ctx *ctx, const struct item *item, const struct weir_record *rec)
{
    struct chained *last = weir_value(ctx, self->last);
    if (!last) return WEIR_E_NOMEM;
    last->n++;
    last->hash = (int64_t)mix((uint64_t)last->hash + name_of(item->split, item->seq));
    struct link row = {item->key, last->n, item->split, item->seq, last->hash};
    return weir_emit(ctx->out, &row, sizeof row, rec->time_ms);
}

WEIR_PROCESS(chain, chain, item, chain_one);
static const struct weir_operator chain = {.struct_size = sizeof chain,
                                           .name = "chain",
                                           .self_size = sizeof(struct chain),
                                           .in = &item_schema,
                                           .out = &link_schema,
                                           .flags = WEIR_OPERATOR_KEYED,
                                           .open = chain_open,
                                           .process = chain_process};

/* ---- windows ------------------------------------------------------------------------------------------------------------------------- */

struct total {
    int64_t count, sum;
};

static void total_add(struct total *acc, const struct item *item, weir_time time)
{
    (void)time;
    acc->count++;
    acc->sum += item->seq;
}

static void total_merge(struct total *into, const struct total *from)
{
    into->count += from->count;
    into->sum += from->sum;
}

static weir_err total_emit(struct weir_ctx *ctx, const struct total *acc, const struct weir_key *key, weir_time start, weir_time end)
{
    struct span row = {.start = start, .count = acc->count, .sum = acc->sum};
    memcpy(&row.key, key->data, sizeof row.key);
    return weir_emit(ctx->out, &row, sizeof row, end - 1);
}

WEIR_AGGREGATE(totals, item, total, span, total_add, total_merge, total_emit);

/* ---- slots: a map by slot, and a timer that empties it ------------------------------------------------------------------------------- */

struct slots {
    struct weir_state *totals;
};

static weir_err slots_open(void *self, struct weir_ctx *ctx)
{
    struct slots *s = self;
    struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "totals", .value_size = sizeof(struct total)};
    return weir_map_open(ctx, &desc, &s->totals);
}

static weir_err slots_one(struct slots *self, struct weir_ctx *ctx, const struct item *item, const struct weir_record *rec)
{
    weir_time start = rec->time_ms / SPAN_MS * SPAN_MS;
    struct total *acc = weir_map_value(ctx, self->totals, (struct weir_bytes){&start, sizeof start});
    if (!acc) return WEIR_E_NOMEM;
    total_add(acc, item, rec->time_ms);
    return weir_timer_set(ctx, WEIR_EVENT_TIME, start + SPAN_MS - 1, 0);
}

static weir_err slots_on_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct slots *s = self;
    weir_time start = timer->time_ms + 1 - SPAN_MS;
    struct weir_bytes slot = {&start, sizeof start};
    struct weir_bytes value = weir_map_get(ctx, s->totals, slot);
    if (!value.data) return weir_fail(ctx->diag, WEIR_E_USER, "a timer fires for a slot that holds nothing");
    struct total acc;
    memcpy(&acc, value.data, sizeof acc);
    weir_err err = total_emit(ctx, &acc, timer->key, start, start + SPAN_MS);
    return err ? err : weir_map_remove(ctx, s->totals, slot);
}

WEIR_PROCESS(slots, slots, item, slots_one);
static const struct weir_operator slots = {.struct_size = sizeof slots,
                                           .name = "slots",
                                           .self_size = sizeof(struct slots),
                                           .in = &item_schema,
                                           .out = &span_schema,
                                           .flags = WEIR_OPERATOR_KEYED,
                                           .open = slots_open,
                                           .process = slots_process,
                                           .on_timer = slots_on_timer};

/* ---- the job ------------------------------------------------------------------------------------------------------------------------- */

static void write_to(struct weir_env *env, struct weir_stream *rows, const char *id, const char *output, const char *folder)
{
    (void)weir_to_file(rows, id, &(struct weir_file_sink){.dir = weir_env_printf(env, "%s/%s", output, folder), .format = WEIR_FILE_CSV});
}

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    struct count_config config = {.splits = 5, .keys = 100};
    const char *output = NULL;
    const struct weir_option options[] = {
        {"output", WEIR_OPTION_PATH, &output, true, "folder of the results"},
        {"splits", WEIR_OPTION_I64, &config.splits, false, "splits of the source"},
        {"keys", WEIR_OPTION_I64, &config.keys, false, "how many keys there are"},
        {"rows", WEIR_OPTION_I64, &config.rows, false, "numbers of each split; 0 = without end"},
        {"pace", WEIR_OPTION_I64, &config.pace, false, "numbers a second of each split; 0 = as fast as possible"},
    };
    weir_err err = weir_options(env, argc, argv, options, sizeof options / sizeof *options, diag);
    if (err) return err;
    if (config.splits < 1 || config.splits > SPLITS_MAX || config.keys < 1 || config.rows < 0 || config.pace < 0)
        return weir_fail(diag, WEIR_E_ARGUMENT, "splits, keys, rows or pace out of range");
    struct weir_stream *items = weir_key_by(weir_from(env, "count", &count, &config, sizeof config), &by_key);
    const struct weir_window tumbling = {.kind = WEIR_TUMBLING, .size_ms = SPAN_MS};
    write_to(env, weir_apply(items, "chain", &chain, NULL, 0), "write-chain", output, "chain");
    write_to(env, weir_window_aggregate(items, "windows", &tumbling, &totals), "write-windows", output, "windows");
    write_to(env, weir_apply(items, "slots", &slots, NULL, 0), "write-slots", output, "slots");
    return WEIR_OK;
}

WEIR_PLUGIN("verify", "1.0", build);
