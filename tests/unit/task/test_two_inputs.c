/* SPDX-License-Identifier: Apache-2.0 */
/* Steps with two inputs, streams divided in a way of one's own, and changes that reach only who understands them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "tests/unit/task/items.h"

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

/* ---- rules beside a keyed stream ------------------------------------------------------------------------------------------------------
 */

static inline weir_err note_rule(struct meet *m, struct weir_ctx *ctx, const struct ticket *row, const struct weir_record *rec)
{
    (void)rec;
    weir_count(ctx, "rules", 1);
    if (row->price == 400 && *(const bool *)ctx->config) (void)weir_value(ctx, m->seen); /* whose value would it be? */
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
    (void)argc, (void)diag;
    bool careless = argv[0][0] == 'c';
    struct weir_stream *a = source(env, "a");
    struct weir_stream *rules = weir_broadcast(weir_flat_map(a, "rules", &make_ticket_op));
    check_items(weir_co_process(weir_key_by(a, &item_key), rules, "ruled", &ruled_op, &careless), "check", 0, true);
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

static void a_broadcast_record_has_no_key(void **state)
{
    (void)state;
    struct local_job job;
    struct weir_diag diag = {0};
    draw(20, 500);
    assert_int_equal(run_items(&job, build_ruled, 2, "careless", &diag), WEIR_E_STATE);
    assert_string_equal(job.failed_id, "ruled");
    assert_non_null(strstr(diag.text, "used state by key while it processed a broadcast record"));
    local_job_close(&job);
}

/* ---- partitions of one's own -----------------------------------------------------------------------------------------------------------
 */

static inline uint32_t by_remainder(const struct item *row, uint32_t n)
{
    return (uint32_t)row->key % n;
}
WEIR_PARTITION(remainder_of_key, item, by_remainder);

static inline uint32_t beyond(const struct item *row, uint32_t n)
{
    return row->seq == 300 ? n : 0;
}
WEIR_PARTITION(one_beyond, item, beyond);

static inline weir_err in_place(struct weir_none *self, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    (void)self;
    if ((uint32_t)row->key % ctx->parallelism != ctx->subtask) return weir_fail(ctx->diag, WEIR_E_USER, "a row in the wrong place");
    return emit_again(ctx->out, row, rec);
}
WEIR_FLAT_MAP(in_place_op, item, item, in_place);

static weir_err build_partition(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_partition(source(env, "a"), argv[0][0] == 'b' ? &one_beyond : &remainder_of_key);
    check_items(weir_flat_map(s, "place", &in_place_op), "check", 0, true);
    return WEIR_OK;
}

static void a_partitioner_decides_where_rows_go(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 4; p++) {
        struct local_job job;
        draw(30 + p, 700);
        assert_int_equal(run_items(&job, build_partition, p, "", NULL), WEIR_OK);
        assert_true(items_arrived(0, 1, NULL));
        local_job_close(&job);
    }
}

static void a_choice_out_of_range_fails_the_job(void **state)
{
    (void)state;
    struct local_job job;
    struct weir_diag diag = {0};
    draw(40, 700);
    assert_int_equal(run_items(&job, build_partition, 1, "beyond", &diag), WEIR_E_USER);
    assert_non_null(strstr(diag.text, "partitioner one_beyond chose subtask 1 of 1"));
    local_job_close(&job);
}

/* ---- upserts ---------------------------------------------------------------------------------------------------------------------------
 */

static inline weir_err count_kind(struct weir_none *self, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    static const char *const names[] = {"inserts", "befores", "afters", "deletes"};
    (void)self, (void)row;
    weir_count(ctx, names[rec->kind], 1);
    return WEIR_OK;
}
WEIR_PROCESS(count_kind, weir_none, item, count_kind);
static const struct weir_operator upserts_op = {.struct_size = sizeof upserts_op,
                                                .name = "upserts",
                                                .in = &item_schema,
                                                .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_KEYED | WEIR_OPERATOR_UPSERTS,
                                                .process = count_kind_process};

static weir_err build_upserts(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    (void)weir_apply(weir_key_by(source(env, "a"), &item_key), "upserts", &upserts_op, NULL, 0);
    return WEIR_OK;
}

static void an_operator_of_upserts_sees_no_befores(void **state)
{
    (void)state;
    struct local_job job;
    draw(50, 700);
    uint64_t n[4] = {0};
    for (int64_t sender = 0; sender < items.senders; sender++)
        for (int64_t seq = 0; seq < items.rows; seq++) n[item_kind(sender, seq)]++;
    assert_int_equal(run_items(&job, build_upserts, 2, "", NULL), WEIR_OK);
    assert_int_equal(local_job_counter(&job, "upserts", "inserts"), n[WEIR_INSERT]);
    assert_int_equal(local_job_counter(&job, "upserts", "befores"), 0);
    assert_int_equal(local_job_counter(&job, "upserts", "afters"), n[WEIR_UPDATE_AFTER]);
    assert_int_equal(local_job_counter(&job, "upserts", "deletes"), n[WEIR_DELETE]);
    local_job_close(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_inputs_share_the_state_of_a_key), cmocka_unit_test(a_broadcast_input_reaches_every_subtask),
        cmocka_unit_test(a_broadcast_record_has_no_key),       cmocka_unit_test(a_partitioner_decides_where_rows_go),
        cmocka_unit_test(a_choice_out_of_range_fails_the_job), cmocka_unit_test(an_operator_of_upserts_sees_no_befores),
    };
    return LOCAL_JOB_RUN_TESTS(tests);
}
