/* SPDX-License-Identifier: Apache-2.0 */
/* Steps with two inputs, streams divided in a way of one's own, and changes that reach only who understands them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "tests/unit/task/items.h"
#include "weir/testing.h"

static void draw(uint64_t seed, int64_t rows)
{
    items.seed = seed;
    items.rows = rows;
    items.senders = 3;
    items.keys = 13;
    items.sizes = SIZES_SMALL;
}

static struct weir_stream *source(struct weir_env *env, const char *id)
{
    return weir_from(env, id, &item_source, NULL, 0);
}

/* ---- state that both inputs share ---------------------------------------------------------------------------------------------------- */

/* The second input's rows, of a type of its own. */
struct ticket {
    int64_t price, key;
};
WEIR_ROW(ticket, WEIR_FIELD(ticket, 1, I64, price), WEIR_FIELD(ticket, 2, I64, key));
WEIR_KEY_FIXED(ticket_key, ticket, key);

static inline weir_err make_ticket(struct weir_none *self, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    (void)self;
    struct ticket t = {.price = row->seq, .key = row->key};
    return weir_emit(ctx->out, &t, sizeof t, rec->time_ms);
}
WEIR_FLAT_MAP(make_ticket_op, item, ticket, make_ticket);

struct seen {
    int64_t items, tickets;
};
struct meet {
    struct weir_state *seen;
};

static weir_err meet_open(void *self, struct weir_ctx *ctx)
{
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "seen", .value_size = sizeof(struct seen)};
    return weir_value_open(ctx, &desc, &((struct meet *)self)->seen);
}

static int64_t rows_of(int64_t key)
{
    int64_t n = 0;
    for (int64_t sender = 0; sender < items.senders; sender++)
        for (int64_t seq = 0; seq < items.rows; seq++) n += item_of(sender, seq).key == key;
    return n;
}

/* A key is whole once all of its rows have met, whichever input brings the last one. */
static void note_whole(struct weir_ctx *ctx, const struct seen *s, int64_t key)
{
    int64_t all = rows_of(key);
    if (s->items == all && s->tickets == all) weir_count(ctx, "whole", 1);
}

static inline weir_err meet_item(struct meet *m, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    struct seen *s = weir_value(ctx, m->seen);
    if (!s) return WEIR_E_NOMEM;
    s->items++;
    note_whole(ctx, s, row->key);
    return emit_again(ctx->out, row, rec);
}

static inline weir_err meet_ticket(struct meet *m, struct weir_ctx *ctx, const struct ticket *row, const struct weir_record *rec)
{
    (void)rec;
    struct seen *s = weir_value(ctx, m->seen);
    if (!s) return WEIR_E_NOMEM;
    s->tickets++;
    note_whole(ctx, s, row->key);
    return WEIR_OK;
}
WEIR_CO_PROCESS(meet, meet, item, meet_item, ticket, meet_ticket);

static const struct weir_operator meet_op = {.struct_size = sizeof meet_op,
                                             .name = "meet",
                                             .self_size = sizeof(struct meet),
                                             .in = &item_schema,
                                             .second = &ticket_schema,
                                             .out = &item_schema,
                                             .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TWO_INPUTS,
                                             .open = meet_open,
                                             .process = meet_process};

static const struct weir_operator drop_op = {.struct_size = sizeof drop_op, .name = "drop", .in = &item_schema, .out = &item_schema};

/* The first input is a union, so that ports and edges are not the same number. */
static weir_err build_meet(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *a = source(env, "a");
    struct weir_stream *both[] = {a, weir_apply(source(env, "b"), "none", &drop_op, NULL, 0)};
    struct weir_stream *all = weir_key_by(weir_union(both, 2), &item_key);
    struct weir_stream *tickets = weir_key_by(weir_flat_map(a, "tickets", &make_ticket_op), &ticket_key);
    check_items(weir_co_apply(all, tickets, "meet", &meet_op, NULL, 0), "check", 0, true);
    return WEIR_OK;
}

static void two_inputs_share_the_state_of_a_key(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 3; p++) {
        struct local_job job;
        draw(p, 500);
        uint64_t keys = 0;
        for (int64_t k = 0; k < items.keys; k++) keys += rows_of(k) > 0;
        assert_int_equal(run_items(&job, build_meet, p, "", NULL), WEIR_OK);
        assert_true(items_arrived(0, 1, NULL));
        assert_int_equal(local_job_counter(&job, "meet", "whole"), keys);
        local_job_close(&job);
    }
}

/* ---- inputs of very different rates ----------------------------------------------------------------------------------------------------
 */

#define LAG_MAX 2200 /* rows: two frames of the busy input */

struct pace {
    int64_t first, second; /* newest row of each input */
};

static inline weir_err pace_first(struct pace *p, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    (void)ctx, (void)rec;
    p->first = row->seq;
    return WEIR_OK;
}

static inline weir_err pace_second(struct pace *p, struct weir_ctx *ctx, const struct ticket *row, const struct weir_record *rec)
{
    (void)rec;
    p->second = row->price;
    if (row->price - p->first > LAG_MAX) weir_count(ctx, "behind", 1);
    return WEIR_OK;
}
WEIR_CO_PROCESS(pace, pace, item, pace_first, ticket, pace_second);

static const struct weir_operator pace_op = {.struct_size = sizeof pace_op,
                                             .name = "pace",
                                             .self_size = sizeof(struct pace),
                                             .in = &item_schema,
                                             .second = &ticket_schema,
                                             .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_TWO_INPUTS,
                                             .process = pace_process};

static inline bool is_rare(const struct item *row)
{
    return row->seq % 100 == 0;
}
WEIR_FILTER(rare_op, item, is_rare);

static weir_err build_pace(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *a = source(env, "a");
    struct weir_stream *rare = weir_key_by(weir_filter(a, "rare", &rare_op), &item_key);
    struct weir_stream *tickets = weir_key_by(weir_flat_map(a, "tickets", &make_ticket_op), &ticket_key);
    (void)weir_co_apply(rare, tickets, "pace", &pace_op, NULL, 0);
    return WEIR_OK;
}

/* One row in a hundred goes to the first input, all to the second: a frame of the first would hold tens of thousands of rows' worth. */
static void a_rare_input_does_not_lag_behind_a_busy_one(void **state)
{
    (void)state;
    struct local_job job;
    draw(60, 100000);
    items.senders = 1;
    assert_int_equal(run_items(&job, build_pace, 1, "", NULL), WEIR_OK);
    assert_int_equal(local_job_counter(&job, "pace", "behind"), 0);
    local_job_close(&job);
}

/* ---- rules beside a keyed stream ------------------------------------------------------------------------------------------------------
 */

static inline weir_err note_rule(struct meet *m, struct weir_ctx *ctx, const struct ticket *row, const struct weir_record *rec)
{
    (void)rec;
    weir_count(ctx, "rules", 1);
    if (row->price < 0) (void)weir_value(ctx, m->seen); /* whose value would it be? */
    return WEIR_OK;
}
WEIR_CO_PROCESS(ruled, meet, item, meet_item, ticket, note_rule);

static const struct weir_operator ruled_op = {.struct_size = sizeof ruled_op,
                                              .name = "ruled",
                                              .self_size = sizeof(struct meet),
                                              .in = &item_schema,
                                              .second = &ticket_schema,
                                              .out = &item_schema,
                                              .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TWO_INPUTS,
                                              .open = meet_open,
                                              .process = ruled_process};

static weir_err build_ruled(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *a = source(env, "a");
    struct weir_stream *rules = weir_broadcast(weir_flat_map(a, "rules", &make_ticket_op));
    check_items(weir_co_apply(weir_key_by(a, &item_key), rules, "ruled", &ruled_op, NULL, 0), "check", 0, true);
    return WEIR_OK;
}

static void a_broadcast_input_reaches_every_subtask(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 3; p++) {
        struct local_job job;
        draw(10 + p, 500);
        assert_int_equal(run_items(&job, build_ruled, p, "", NULL), WEIR_OK);
        assert_true(items_arrived(0, 1, NULL));
        assert_int_equal(local_job_counter(&job, "ruled", "rules"), (uint64_t)p * 3 * 500);
        local_job_close(&job);
    }
}

static struct weir_harness *open_step(const struct weir_harness_operator *op)
{
    struct weir_harness *h = NULL;
    struct weir_diag diag = {0};
    if (weir_harness_new_operator(&h, op, NULL, &diag)) print_error("%s\n", diag.text);
    assert_non_null(h);
    return h;
}

static void a_broadcast_record_has_no_key(void **state)
{
    (void)state;
    struct weir_harness *h =
        open_step(&(struct weir_harness_operator){.op = &ruled_op, .id = "ruled", .in = {{.keyer = &item_key}, {.broadcast = true}}});
    WEIR_MUST(h, weir_harness_line(h, 1, "+I 1,2", 0));
    assert_int_equal(weir_harness_line(h, 1, "+I -1,2", 0), WEIR_E_STATE);
    assert_string_equal(weir_harness_failed_id(h), "ruled");
    assert_non_null(strstr(weir_harness_diag(h)->text, "used state by key while it processed a broadcast record"));
    weir_harness_destroy(&h);
}

/* ---- partitions of one's own -----------------------------------------------------------------------------------------------------------
 */

static inline uint32_t by_remainder(const struct ticket *row, uint32_t n)
{
    return row->price == 300 ? n : (uint32_t)row->key % n;
}
WEIR_PARTITION(remainder_of_key, ticket, by_remainder);

static inline bool any_ticket(const struct ticket *row)
{
    (void)row;
    return true;
}
WEIR_FILTER(any_op, ticket, any_ticket);

static weir_err build_partition(struct weir_harness *h, void *arg, struct weir_diag *diag)
{
    (void)arg, (void)diag;
    weir_harness_out(h, weir_filter(weir_partition(weir_harness_in(h, &ticket_schema), &remainder_of_key), "any", &any_op));
    return WEIR_OK;
}

static void a_partitioner_decides_where_rows_go(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 4; p++) {
        struct weir_harness *h = NULL;
        struct weir_harness_record record;
        const struct weir_harness_options options = {.parallelism = p, .batch = WEIR_HARNESS_DRAWN, .seed = p};
        assert_int_equal(weir_harness_new(&h, build_partition, NULL, &options, NULL), WEIR_OK);
        for (int64_t i = 0; i < 200; i++)
            WEIR_MUST(h, weir_harness_push(h, 0, &(struct ticket){i, i * 7}, sizeof(struct ticket), 0, WEIR_INSERT));
        assert_int_equal(weir_harness_count(h, 0), 200);
        while (weir_harness_next(h, 0, &record)) assert_int_equal(record.subtask, ((const struct ticket *)record.row)->key % p);
        (void)weir_harness_line(h, 0, "+I 300,0", 0);
        assert_int_equal(weir_harness_finish(h), WEIR_E_USER);
        char sentence[80];
        (void)snprintf(sentence, sizeof sentence, "partitioner remainder_of_key chose subtask %u of %u", p, p);
        assert_non_null(strstr(weir_harness_diag(h)->text, sentence));
        weir_harness_destroy(&h);
    }
}

/* ---- upserts ---------------------------------------------------------------------------------------------------------------------------
 */

static inline weir_err tell_kind(struct weir_none *self, struct weir_ctx *ctx, const struct ticket *row, const struct weir_record *rec)
{
    (void)self;
    struct ticket told = {.price = rec->kind, .key = row->key};
    return weir_emit(ctx->out, &told, sizeof told, rec->time_ms);
}
WEIR_PROCESS(tell_kind, weir_none, ticket, tell_kind);
static const struct weir_operator upserts_op = {.struct_size = sizeof upserts_op,
                                                .name = "upserts",
                                                .in = &ticket_schema,
                                                .out = &ticket_schema,
                                                .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_UPSERTS,
                                                .process = tell_kind_process};

static void an_operator_of_upserts_sees_no_befores(void **state)
{
    (void)state;
    struct weir_harness *h = open_step(&(struct weir_harness_operator){.op = &upserts_op, .in = {{.keyer = &ticket_key, .changes = true}}});
    const char *lines[] = {"+I 0,1", "-U 0,2", "+U 0,3", "-D 0,4", "-U 0,5"};
    for (uint32_t i = 0; i < 5; i++) WEIR_MUST(h, weir_harness_line(h, 0, lines[i], 0));
    WEIR_MUST(h, weir_harness_expect(h, 0, "+I 0,1\n+I 2,3\n+I 3,4\n")); /* WEIR_INSERT, _UPDATE_AFTER, _DELETE */
    weir_harness_destroy(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_inputs_share_the_state_of_a_key),     cmocka_unit_test(a_rare_input_does_not_lag_behind_a_busy_one),
        cmocka_unit_test(a_broadcast_input_reaches_every_subtask), cmocka_unit_test(a_broadcast_record_has_no_key),
        cmocka_unit_test(a_partitioner_decides_where_rows_go),     cmocka_unit_test(an_operator_of_upserts_sees_no_befores),
    };
    return LOCAL_JOB_RUN_TESTS(tests);
}
