/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions of weir/state.h on the record path, in a harness. Each row carries its number among the rows of its key, from which follows
 * what every state must hold when it comes, also after a restart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/task/subtask.h"
#include "weir/testing.h"

#define KEYS 50
#define ROWS 12000

struct step {
    int64_t key, nth;
};
WEIR_ROW(step, WEIR_FIELD(step, 1, I64, key), WEIR_FIELD(step, 2, I64, nth));
WEIR_KEY_FIXED(step_key, step, key);

/* ---- the rows: the keys in turn ------------------------------------------------------------------------------------------------------ */

static void push_steps(struct weir_harness *h, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to; i++) {
        struct step row = {i % KEYS, i / KEYS};
        WEIR_MUST(h, weir_harness_push(h, 0, &row, sizeof row, row.nth, WEIR_INSERT));
    }
}

static struct weir_harness *open_step(const struct weir_harness_operator *op, const struct weir_harness_options *options)
{
    struct weir_harness *h = NULL;
    struct weir_diag diag = {0};
    if (weir_harness_new_operator(&h, op, options, &diag)) print_error("%s\n", diag.text);
    assert_non_null(h);
    return h;
}

#define MUST(cond)                                                                                       \
    do {                                                                                                 \
        if (!(cond)) return weir_fail(ctx->diag, WEIR_E_USER, "line %d: not true: %s", __LINE__, #cond); \
    } while (0)

static struct weir_state_desc describe(const char *name, uint32_t value_size)
{
    return (struct weir_state_desc){.struct_size = sizeof(struct weir_state_desc), .name = name, .value_size = value_size};
}

/* ---- every kind of keyed state ------------------------------------------------------------------------------------------------------- */

struct total {
    int64_t n, sum;
};

static void total_add(struct total *t, const struct step *row, weir_time time)
{
    (void)time;
    t->n++;
    t->sum += row->nth;
}
static void total_merge(struct total *into, const struct total *from)
{
    into->n += from->n;
    into->sum += from->sum;
}
static weir_err total_emit(struct weir_ctx *ctx, const struct total *t, const struct weir_key *key, weir_time start, weir_time end)
{
    (void)t, (void)key, (void)start, (void)end;
    return weir_fail(ctx->diag, WEIR_E_USER, "nobody asked for it");
}
WEIR_AGGREGATE(totals, step, total, step, total_add, total_merge, total_emit);

struct every {
    struct weir_state *count, *last, *probed, *sum, *total, *list, *map, *ordered, *spaced;
    struct weir_panes *panes;
    void *values[WEIR_BATCH_MAX];
};

static void add_up(void *acc, const void *value)
{
    int64_t a, b;
    memcpy(&a, acc, sizeof a);
    memcpy(&b, value, sizeof b);
    a += b;
    memcpy(acc, &a, sizeof a);
}

static weir_err every_open(void *self, struct weir_ctx *ctx)
{
    struct every *e = self;
    struct weir_state_desc count = describe("count", 8), last = describe("last", 0), probed = describe("probed", 8),
                           sum = describe("sum", 8), total = describe("total", 0), list = describe("list", 8), map = describe("map", 0),
                           ordered = describe("ordered", 8), spaced = describe("spaced", 8),
                           panes = describe("panes", sizeof(struct total));
    spaced.flags = WEIR_STATE_NAMESPACED;
    weir_err err = weir_value_open(ctx, &count, &e->count);
    if (!err) err = weir_value_open(ctx, &last, &e->last);
    if (!err) err = weir_value_open(ctx, &probed, &e->probed);
    if (!err) err = weir_reducing_open(ctx, &sum, add_up, &e->sum);
    if (!err) err = weir_aggregating_open(ctx, &total, &totals, &e->total);
    if (!err) err = weir_list_open(ctx, &list, &e->list);
    if (!err) err = weir_map_open(ctx, &map, &e->map);
    if (!err) err = weir_ordered_open(ctx, &ordered, &e->ordered);
    if (!err) err = weir_value_open(ctx, &spaced, &e->spaced);
    if (!err) err = weir_panes_open(ctx, &panes, &e->panes);
    MUST(err || weir_value_open(ctx, &count, &e->count) == WEIR_E_EXISTS);
    return err;
}

static weir_err check_values(struct every *e, struct weir_ctx *ctx, const struct step *row)
{
    int64_t *count = weir_value_find(ctx, e->count);
    MUST(row->nth == 0 ? !count : count && *count == row->nth);
    MUST((count = weir_value(ctx, e->count)) && *count == row->nth);
    ++*count;
    struct weir_bytes last = weir_value_read(ctx, e->last);
    MUST(row->nth == 0 ? !last.data : last.length == row->nth % 100 && (last.length == 0 || *(const char *)last.data == (char)row->nth));
    char text[100];
    memset(text, (int)(row->nth + 1), sizeof text);
    MUST(weir_value_write(ctx, e->last, text, (uint32_t)((row->nth + 1) % 100)) == WEIR_OK);
    const int64_t *sum = weir_reducing_get(ctx, e->sum);
    MUST(row->nth == 0 ? !sum : sum && *sum == row->nth * (row->nth - 1) / 2);
    MUST((sum = weir_reducing_add(ctx, e->sum, &row->nth)) && *sum == row->nth * (row->nth + 1) / 2);
    return WEIR_OK;
}

/* The list holds the last few numbers: it is cleared every ten rows. */
static weir_err check_list(struct every *e, struct weir_ctx *ctx, const struct step *row)
{
    uint64_t cursor = 0;
    struct weir_bytes element;
    int64_t expected = row->nth / 10 * 10, number;
    MUST(weir_list_is_empty(ctx, e->list) == (row->nth % 10 == 0));
    while (weir_list_next(ctx, e->list, &cursor, &element)) {
        MUST(element.length == sizeof number);
        memcpy(&number, element.data, sizeof number);
        MUST(number == expected);
        expected++;
    }
    MUST(expected == row->nth);
    MUST(weir_list_add(ctx, e->list, &row->nth, sizeof row->nth) == WEIR_OK);
    return row->nth % 10 == 9 ? weir_list_clear(ctx, e->list) : WEIR_OK;
}

static weir_err check_map(struct every *e, struct weir_ctx *ctx, const struct step *row)
{
    int64_t slot = row->nth % 7, n = 0;
    uint64_t cursor = 0;
    struct weir_bytes name = {&slot, sizeof slot}, value = weir_map_get(ctx, e->map, name), user_key;
    MUST(weir_map_is_empty(ctx, e->map) == (row->nth == 0));
    MUST(row->nth < 7 ? !value.data : value.length == sizeof n && !memcmp(value.data, &(int64_t){row->nth - 7}, sizeof n));
    MUST(weir_map_put(ctx, e->map, name, &row->nth, sizeof row->nth) == WEIR_OK);
    while (weir_map_next(ctx, e->map, &cursor, &user_key, &value)) n++;
    MUST(n == (row->nth < 7 ? row->nth + 1 : 7));
    if (row->nth != 100) return WEIR_OK;
    MUST(weir_map_remove(ctx, e->map, name) == WEIR_OK);
    MUST(!weir_map_get(ctx, e->map, name).data);
    return weir_map_put(ctx, e->map, name, &row->nth, sizeof row->nth);
}

/* The last twenty numbers, by a time that falls. */
static weir_err check_ordered(struct every *e, struct weir_ctx *ctx, const struct step *row)
{
    uint64_t cursor = 0;
    struct weir_ordered_entry entry;
    MUST(weir_ordered_put(ctx, e->ordered, -row->nth, 3, &row->nth, sizeof row->nth) == WEIR_OK);
    if (row->nth >= 20) MUST(weir_ordered_remove(ctx, e->ordered, 20 - row->nth, 3) == WEIR_OK);
    weir_time expected = -row->nth;
    while (weir_ordered_next(ctx, e->ordered, WEIR_TIME_MIN, WEIR_TIME_MAX, &cursor, &entry)) {
        MUST(entry.time_ms == expected && entry.seq == 3 && !memcmp(entry.value.data, &(int64_t){-expected}, 8));
        expected++;
    }
    MUST(expected == (row->nth < 20 ? 1 : 20 - row->nth));
    MUST(weir_ordered_get(ctx, e->ordered, -row->nth, 3).length == 8);
    return row->nth == ROWS / KEYS - 1 ? weir_ordered_clear(ctx, e->ordered) : WEIR_OK;
}

static weir_err check_spaces(struct every *e, struct weir_ctx *ctx, const struct step *row)
{
    char ns = (char)('a' + row->nth % 3);
    MUST(weir_set_namespace(ctx, (struct weir_bytes){&ns, 1}) == WEIR_OK);
    int64_t *n = weir_value(ctx, e->spaced);
    MUST(n && *n == row->nth / 3);
    ++*n;
    return WEIR_OK;
}

static weir_err check_batch(struct every *e, struct weir_ctx *ctx, const struct weir_batch *batch)
{
    struct weir_table *table;
    weir_err err = weir_value_probe(ctx, e->probed, NULL, batch->count, e->values);
    for (uint32_t i = 0; i < batch->count && !err; i++) {
        const struct step *row = weir_record_row(weir_batch_record(batch, i));
        MUST(*(int64_t *)e->values[i] == row->nth);
        ++*(int64_t *)e->values[i];
    }
    if (!err) err = weir_aggregating_add(ctx, e->total, batch, NULL, batch->count, e->values);
    for (uint32_t i = 0; i < batch->count && !err; i++) {
        const struct step *row = weir_record_row(weir_batch_record(batch, i));
        MUST(((struct total *)e->values[i])->n > row->nth); /* of later rows of the batch, too */
    }
    if (!err) err = weir_panes_table(ctx, e->panes, -5, &table);
    if (!err) err = weir_table_probe(ctx, table, NULL, batch->count, e->values);
    for (uint32_t i = 0; i < batch->count && !err; i++) ((struct total *)e->values[i])->n++;
    return err;
}

static weir_err every_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct every *e = self;
    (void)input;
    weir_err err = check_batch(e, ctx, batch);
    for (uint32_t i = 0; i < batch->count && !err; i++) {
        const struct step *row = weir_record_row(weir_batch_record(batch, i));
        weir_set_key(ctx, i);
        err = check_values(e, ctx, row);
        if (!err) err = check_list(e, ctx, row);
        if (!err) err = check_map(e, ctx, row);
        if (!err) err = check_ordered(e, ctx, row);
        if (!err) err = check_spaces(e, ctx, row);
        if (!err) err = weir_timer_set(ctx, WEIR_EVENT_TIME, 1000, 7);
        if (!err && row->nth % 2) weir_timer_delete(ctx, WEIR_EVENT_TIME, 1000, 7);
        if (!err && row->nth == ROWS / KEYS - 1) err = weir_timer_set(ctx, WEIR_EVENT_TIME, 1000, 8);
    }
    return err;
}

static int64_t n_timers, n_scanned;

/* All rows of its key have come. */
static weir_err every_on_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct every *e = self;
    const int64_t n = ROWS / KEYS;
    n_timers++;
    MUST(timer->tag == 8);
    const struct total *total = weir_aggregating_get(ctx, e->total);
    MUST(total && total->n == n && total->sum == n * (n - 1) / 2);
    weir_value_clear(ctx, e->total);
    weir_value_clear(ctx, e->count);
    MUST(!weir_aggregating_get(ctx, e->total) && !weir_value_find(ctx, e->count));
    MUST(weir_ordered_remove_before(ctx, e->ordered, WEIR_TIME_MAX) == WEIR_OK);
    return weir_map_clear(ctx, e->map);
}

static weir_err every_finish(void *self, struct weir_ctx *ctx)
{
    struct every *e = self;
    struct weir_table *table;
    int64_t pane = INT64_MIN;
    uint64_t cursor = 0;
    struct weir_key key;
    void *value;
    if (!weir_panes_next(ctx, e->panes, pane, &pane)) return WEIR_OK; /* no key came here */
    MUST(pane == -5 && !weir_panes_next(ctx, e->panes, pane, &pane));
    MUST(weir_panes_table(ctx, e->panes, INT64_MIN, &table) == WEIR_E_ARGUMENT);
    MUST(weir_panes_table(ctx, e->panes, -5, &table) == WEIR_OK);
    while (weir_table_next(ctx, table, &cursor, &key, &value)) {
        const struct total *found = weir_table_find(ctx, table, &key); /* elsewhere, if the scan reads it from the disk */
        MUST(((struct total *)value)->n == ROWS / KEYS && found && found->n == ROWS / KEYS);
        weir_table_remove(ctx, table, &key);
        n_scanned++;
    }
    weir_table_drop(ctx, &table);
    MUST(!table && !weir_panes_next(ctx, e->panes, INT64_MIN, &pane));
    return WEIR_OK;
}

static const struct weir_operator every_op = {.struct_size = sizeof every_op,
                                              .name = "every",
                                              .self_size = sizeof(struct every),
                                              .in = &step_schema,
                                              .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_SINK,
                                              .open = every_open,
                                              .process = every_process,
                                              .on_timer = every_on_timer,
                                              .finish = every_finish};

static const struct weir_harness_operator every = {.op = &every_op, .in = {{.keyer = &step_key}}};

/* All rows, with a restart before row `restart` (0 = none) onto `after` subtasks, on as much memory as `options` say. */
static void run_every(struct weir_harness_options options, int64_t restart, uint32_t after)
{
    struct weir_harness_snapshot *snapshot = NULL;
    struct weir_harness *h = open_step(&every, &options);
    n_timers = n_scanned = 0;
    push_steps(h, 0, restart);
    if (restart) {
        WEIR_MUST(h, weir_harness_snapshot(h, &snapshot));
        weir_harness_destroy(&h);
        options.parallelism = after;
        options.restore = snapshot;
        h = open_step(&every, &options);
        weir_harness_snapshot_destroy(&snapshot);
    }
    push_steps(h, restart, ROWS);
    WEIR_MUST(h, weir_harness_finish(h));
    assert_int_equal(n_timers, KEYS);
    assert_int_equal(n_scanned, KEYS);
    weir_harness_destroy(&h);
}

static void every_kind_of_state_follows_the_key(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 3; p++)
        for (uint64_t seed = 1; seed <= 3; seed++)
            run_every((struct weir_harness_options){.parallelism = p, .batch = WEIR_HARNESS_DRAWN, .seed = seed}, 0, 0);
    run_every((struct weir_harness_options){.batch = WEIR_HARNESS_FULL}, 0, 0);
    run_every((struct weir_harness_options){.batch = WEIR_HARNESS_ONE}, 0, 0);
}

static void every_kind_of_state_survives_a_restart(void **state)
{
    (void)state;
    const int64_t at[] = {ROWS / 2, 17, ROWS - KEYS / 2};
    for (uint32_t i = 0; i < 3; i++)
        run_every((struct weir_harness_options){.parallelism = 1 + i, .batch = WEIR_HARNESS_DRAWN, .seed = i}, at[i], 3 - i);
}

static void every_kind_of_state_may_lie_on_disk(void **state)
{
    (void)state;
    run_every((struct weir_harness_options){.batch = WEIR_HARNESS_FULL, .state_bytes = 40 << 10}, ROWS / 2, 2);
}

/* ---- state without key, of an operator without one ------------------------------------------------------------------------------------
 */

struct plain {
    struct weir_broadcast *rules;
    struct weir_operator_list *seen;
    int64_t n;
};

static weir_err plain_open(void *self, struct weir_ctx *ctx)
{
    struct plain *p = self;
    struct weir_state_desc rules = describe("rules", 8), seen = describe("seen", 0);
    struct weir_state *none;
    MUST(weir_value_open(ctx, &rules, &none) == WEIR_E_STATE);
    MUST(strcmp(ctx->diag->text, "keyed state needs WEIR_OPERATOR_KEYED and an input that comes from key_by") == 0);
    MUST(weir_timer_set(ctx, WEIR_EVENT_TIME, 1, 1) == WEIR_E_STATE);
    weir_timer_delete(ctx, WEIR_EVENT_TIME, 1, 1);
    weir_err err = weir_broadcast_open(ctx, &rules, &p->rules);
    if (!err) err = weir_operator_list_open(ctx, &seen, WEIR_SPLIT, &p->seen);
    MUST(err || weir_operator_list_open(ctx, &seen, WEIR_SPLIT, &p->seen) == WEIR_E_EXISTS);
    return err;
}

static weir_err plain_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct plain *p = self;
    (void)input;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct step *row = weir_record_row(weir_batch_record(batch, i));
        struct weir_bytes key = {&row->key, sizeof row->key}, before = weir_broadcast_get(ctx, p->rules, key);
        MUST(!before.data || before.length == sizeof row->nth);
        MUST(weir_broadcast_put(ctx, p->rules, key, &row->nth, sizeof row->nth) == WEIR_OK);
        MUST(weir_broadcast_put(ctx, p->rules, key, &row->nth, 3) == WEIR_E_ARGUMENT);
        if (!before.data) MUST(weir_operator_list_add(ctx, p->seen, &row->key, sizeof row->key) == WEIR_OK);
        p->n++;
    }
    return WEIR_OK;
}

static weir_err plain_finish(void *self, struct weir_ctx *ctx)
{
    struct plain *p = self;
    uint64_t cursor = 0;
    uint32_t n = 0;
    struct weir_bytes key, value;
    while (weir_broadcast_next(ctx, p->rules, &cursor, &key, &value)) n++;
    MUST(n == weir_operator_list_count(p->seen) && n == (p->n ? KEYS : 0));
    for (uint32_t i = 0; i < n; i++) {
        struct weir_bytes element = weir_operator_list_at(p->seen, i);
        MUST(element.length == 8 && !memcmp(element.data, &(int64_t){i}, 8));
        weir_broadcast_remove(ctx, p->rules, element);
        MUST(!weir_broadcast_get(ctx, p->rules, element).data);
    }
    weir_operator_list_clear(ctx, p->seen);
    MUST(weir_operator_list_count(p->seen) == 0);
    n_scanned += p->n;
    return WEIR_OK;
}

static const struct weir_operator plain_op = {.struct_size = sizeof plain_op,
                                              .name = "plain",
                                              .self_size = sizeof(struct plain),
                                              .in = &step_schema,
                                              .flags = WEIR_OPERATOR_SINK,
                                              .open = plain_open,
                                              .process = plain_process,
                                              .finish = plain_finish};

static void any_operator_may_have_state_without_key(void **state)
{
    (void)state;
    const struct weir_harness_options options = {.batch = WEIR_HARNESS_FULL};
    struct weir_harness *h = open_step(&(struct weir_harness_operator){.op = &plain_op}, &options);
    n_scanned = 0;
    push_steps(h, 0, ROWS);
    WEIR_MUST(h, weir_harness_finish(h));
    assert_int_equal(n_scanned, ROWS);
    weir_harness_destroy(&h);
}

/* ---- failures ------------------------------------------------------------------------------------------------------------------------ */

struct careless {
    struct weir_state *value;
};

static weir_err careless_open(void *self, struct weir_ctx *ctx)
{
    struct weir_state_desc desc = describe("value", 8);
    return weir_value_open(ctx, &desc, &((struct careless *)self)->value);
}

/* Memory runs out half-way, and nobody looks at what the functions say. */
static weir_err careless_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct careless *c = self;
    (void)input;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct step *row = weir_record_row(weir_batch_record(batch, i));
        if (row->key == 30) slot_memory(op_of(ctx)->subtask->slot)->fail_in = 1;
        weir_set_key(ctx, i);
        int64_t *n = weir_value(ctx, c->value);
        if (n) ++*n;
    }
    return WEIR_OK;
}

static const struct weir_operator careless_op = {.struct_size = sizeof careless_op,
                                                 .name = "careless",
                                                 .self_size = sizeof(struct careless),
                                                 .in = &step_schema,
                                                 .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_SINK,
                                                 .open = careless_open,
                                                 .process = careless_process};

static void failed_state_fails_the_task_whatever_the_operator_returns(void **state)
{
    (void)state;
    const struct weir_harness_operator op = {.op = &careless_op, .id = "careless", .in = {{.keyer = &step_key}}};
    struct weir_harness *h = open_step(&op, &(struct weir_harness_options){.batch = WEIR_HARNESS_FULL});
    push_steps(h, 0, WEIR_BATCH_MAX - 1); /* one more, and they would be delivered */
    assert_int_equal(weir_harness_finish(h), WEIR_E_NOMEM);
    assert_string_equal(weir_harness_failed_id(h), "careless");
    assert_non_null(strstr(weir_harness_diag(h)->text, "state 'careless/value': out of memory"));
    weir_harness_destroy(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_state_follows_the_key),
        cmocka_unit_test(every_kind_of_state_survives_a_restart),
        cmocka_unit_test(every_kind_of_state_may_lie_on_disk),
        cmocka_unit_test(any_operator_may_have_state_without_key),
        cmocka_unit_test(failed_state_fails_the_task_whatever_the_operator_returns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
