/* SPDX-License-Identifier: Apache-2.0 */
/* What a job's entry function builds, and how its first mistake is kept and told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/src/env.h"

struct line {
    struct weir_str text;
};
WEIR_ROW(line, WEIR_FIELD(line, 1, STR, text));

struct hit {
    weir_time time;
    int64_t bytes;
    struct weir_str path;
};
WEIR_ROW(hit, WEIR_FIELD(hit, 1, TIME, time), WEIR_FIELD(hit, 2, I64, bytes), WEIR_FIELD(hit, 3, STR, path));

struct total {
    int64_t bytes;
};
WEIR_ROW(total, WEIR_FIELD(total, 1, I64, bytes));

/* `hit` again, as another source file of the plugin would declare it: another address, the same rows. */
static const struct weir_field hit_again_fields[] = {WEIR_FIELD(hit, 1, TIME, time), WEIR_FIELD(hit, 2, I64, bytes),
                                                     WEIR_FIELD(hit, 3, STR, path)};
static const struct weir_schema hit_again = {sizeof(struct weir_schema), "hit", sizeof(struct hit), 3, hit_again_fields};

/* The same name, but field 2 has another id. */
static const struct weir_field hit_other_fields[] = {WEIR_FIELD(hit, 1, TIME, time), WEIR_FIELD(hit, 7, I64, bytes),
                                                     WEIR_FIELD(hit, 3, STR, path)};
static const struct weir_schema hit_other = {sizeof(struct weir_schema), "hit", sizeof(struct hit), 3, hit_other_fields};

static weir_err discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    (void)config, (void)parallelism, (void)splits, (void)diag;
    return WEIR_OK;
}

static weir_err read_nothing(void *self, struct weir_ctx *ctx)
{
    (void)self, (void)ctx;
    return WEIR_DONE;
}

static const struct weir_source lines = {
    .struct_size = sizeof(struct weir_source), .name = "lines", .schema = &line_schema, .discover = discover, .read = read_nothing};
static const struct weir_source untyped = {
    .struct_size = sizeof(struct weir_source), .name = "untyped", .discover = discover, .read = read_nothing};

#define OPERATOR .struct_size = sizeof(struct weir_operator)
static const struct weir_schema *const bad_lines[] = {&line_schema};
static const struct weir_operator parse = {OPERATOR,           .name = "parse",    .in = &line_schema,
                                           .out = &hit_schema, .sides = bad_lines, .n_sides = 1};
static const struct weir_operator large = {OPERATOR, .name = "filter", .in = &hit_schema};
static const struct weir_operator pass = {OPERATOR, .name = "pass"};
static const struct weir_operator sink = {OPERATOR, .name = "sink", .flags = WEIR_OPERATOR_SINK};
static const struct weir_operator totals_sink = {OPERATOR, .name = "sink", .in = &total_schema, .flags = WEIR_OPERATOR_SINK};

static void extract(const struct weir_batch *batch, struct weir_key *keys, unsigned char *scratch)
{
    (void)batch, (void)keys, (void)scratch;
}
static const struct weir_keyer by_path = {sizeof(struct weir_keyer), "path", 0, extract, NULL};
static const struct weir_keyer by_bytes = {sizeof(struct weir_keyer), "bytes", 0, extract, NULL};

static void set_time(struct weir_batch *batch)
{
    (void)batch;
}

static void add(void *const *accs, const struct weir_batch *batch, const uint32_t *idx, uint32_t n)
{
    (void)accs, (void)batch, (void)idx, (void)n;
}

static void merge(void *into, const void *from)
{
    (void)into, (void)from;
}

static weir_err emit(struct weir_ctx *ctx, const void *acc, weir_time start_ms, weir_time end_ms)
{
    (void)ctx, (void)acc, (void)start_ms, (void)end_ms;
    return WEIR_OK;
}
static void survey(void *summary, const void *acc)
{
    (void)summary, (void)acc;
}
static weir_err emit_surveyed(struct weir_ctx *ctx, const void *acc, const void *summary, weir_time start_ms, weir_time end_ms)
{
    (void)summary;
    return emit(ctx, acc, start_ms, end_ms);
}
static weir_err process_window(void *self, struct weir_ctx *ctx, const struct weir_key *key, struct weir_window_rows *rows)
{
    (void)self, (void)ctx, (void)key, (void)rows;
    return WEIR_OK;
}
static const struct weir_aggregate sum = {.struct_size = sizeof sum,
                                          .name = "sum",
                                          .in = &hit_schema,
                                          .out = &total_schema,
                                          .acc_size = 8,
                                          .add = add,
                                          .merge = merge,
                                          .emit = emit};
static const struct weir_window minute = {.kind = WEIR_TUMBLING, .size_ms = 60000};

/* ---- helpers --------------------------------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
    return weir_env_new((struct weir_env **)state, "job", "/data/in", 4) != WEIR_OK;
}

static int teardown(void **state)
{
    weir_env_destroy((struct weir_env **)state);
    return *state != NULL;
}

static void expect_mistake(struct weir_env *env, weir_err err, const char *part)
{
    struct weir_diag diag = {.code = WEIR_OK, .text = ""};
    assert_int_equal(weir_env_finish(env, &diag), err);
    if (err) assert_int_equal(diag.code, err);
    if (!strstr(diag.text, part)) fail_msg("\"%s\" is not in \"%s\"", part, diag.text);
}

static void expect_good(struct weir_env *env)
{
    struct weir_diag diag = {.code = WEIR_OK, .text = ""};
    if (weir_env_finish(env, &diag)) fail_msg("%s", diag.text);
}

static struct weir_stream *hits(struct weir_env *env)
{
    return weir_apply(weir_from(env, "read", &lines, NULL, 0), "parse", &parse, NULL, 0);
}

/* ---- a job that is well ---------------------------------------------------------------------------------------------------------- */

/* read -> parse -> assign, keyed by path, a window, two sinks: every node, input and row type as the author meant it. */
static void a_job_is_recorded_as_it_was_built(void **state)
{
    struct weir_env *env = *state;
    const struct weir_watermarks bound = {.max_out_of_orderness_ms = 5000};
    struct weir_stream *times = weir_assign_watermarks(hits(env), "assign", set_time, &bound);
    struct weir_stream *sums = weir_window_aggregate(weir_key_by(times, &by_path), "sums", &minute, &sum);
    assert_non_null(weir_apply(sums, "out", &totals_sink, NULL, 0));
    assert_non_null(weir_apply(weir_side_output(sums, 0), "late", &sink, NULL, 0));
    assert_non_null(weir_start_new_chain(weir_set_parallelism(sums, 2)));
    assert_non_null(weir_disable_chaining(times));
    expect_good(env);

    assert_int_equal(weir_env_count(env), 6);
    assert_null(weir_env_node(env, 6));
    const struct env_node *window = weir_env_node(env, 3), *out = weir_env_node(env, 4), *late = weir_env_node(env, 5);
    assert_string_equal(window->id, "sums");
    assert_int_equal(window->kind, ENV_WINDOW);
    assert_int_equal(window->parallelism, 2);
    assert_false(window->chain || window->alone);
    assert_true(out->chain && !out->alone);
    assert_true(weir_env_node(env, 2)->alone && !weir_env_node(env, 2)->chain);
    assert_int_equal(window->n_inputs, 1);
    assert_int_equal(window->inputs[0].node, 2);
    assert_int_equal(window->inputs[0].partition, ENV_KEY);
    assert_ptr_equal(window->inputs[0].keyer, &by_path);
    assert_int_equal(window->window.size_ms, 60000);
    assert_ptr_equal(window->aggregate, &sum);
    assert_int_equal(window->n_outputs, 2);
    assert_ptr_equal(window->outputs[0], &total_schema);
    assert_ptr_equal(window->outputs[1], &hit_schema); /* late rows come as they went in */
    assert_int_equal(out->n_outputs, 0);
    assert_ptr_equal(out->input[0], &total_schema);
    assert_int_equal(late->inputs[0].output, 1);
    assert_ptr_equal(late->input[0], &hit_schema);
    assert_int_equal(weir_env_node(env, 0)->kind, ENV_SOURCE);
    assert_int_equal(weir_env_node(env, 0)->n_inputs, 0);
    assert_int_equal(weir_env_node(env, 2)->watermarks.max_out_of_orderness_ms, 5000);
    assert_ptr_equal(weir_env_node(env, 2)->outputs[0], &hit_schema);
}

static void configuration_is_copied(void **state)
{
    struct weir_env *env = *state;
    struct {
        int64_t a;
    } config = {7};
    (void)weir_process(weir_from(env, "read", &lines, NULL, 0), "step", &pass, &config);
    config.a = 8;
    expect_good(env);
    assert_int_equal(*(const int64_t *)weir_env_node(env, 1)->config, 7);
    assert_null(weir_env_node(env, 0)->config);
}

static void memory_texts_and_paths_belong_to_the_environment(void **state)
{
    struct weir_env *env = *state;
    unsigned char *zeros = weir_env_alloc(env, 1000);
    for (int i = 0; i < 1000; i++) assert_int_equal(zeros[i], 0);
    assert_int_equal(weir_env_parallelism(env), 4);
    assert_string_equal(weir_env_printf(env, "%s-%d", "part", 12), "part-12");
    assert_string_equal(weir_env_path(env, "/abs/x"), "/abs/x");
    assert_string_equal(weir_env_path(env, "x/y"), "/data/in/x/y");
    assert_null(weir_env_path(env, ""));
    expect_mistake(env, WEIR_E_ARGUMENT, "path");
}

static void a_huge_allocation_is_a_mistake_not_a_crash(void **state)
{
    struct weir_env *env = *state;
    assert_null(weir_env_alloc(env, SIZE_MAX));
    expect_mistake(env, WEIR_E_NOMEM, "no memory");
}

static void an_environment_has_a_sensible_parallelism(void **state)
{
    struct weir_env *env = NULL;
    (void)state;
    assert_int_equal(weir_env_new(&env, "job", "/", 0), WEIR_E_ARGUMENT);
    assert_int_equal(weir_env_new(&env, "job", "/", WEIR_PARALLELISM_MAX + 1), WEIR_E_ARGUMENT);
    assert_null(env);
    weir_env_destroy(&env);
}

/* ---- mistakes -------------------------------------------------------------------------------------------------------------------- */

/* The first mistake is told; those that follow from it are not. NULL passes through every builder. */
static void the_first_mistake_sticks(void **state)
{
    struct weir_env *env = *state;
    struct weir_stream *none = weir_apply(hits(env), "bad id", &pass, NULL, 0);
    assert_null(none);
    assert_null(weir_apply(none, "next", &pass, NULL, 0));
    assert_null(weir_key_by(none, &by_path));
    assert_null(weir_rebalance(none));
    assert_null(weir_union(&none, 1));
    assert_null(weir_union_add(none, none));
    assert_null(weir_side_output(none, 0));
    assert_null(weir_set_parallelism(none, 1));
    assert_null(weir_start_new_chain(none));
    assert_null(weir_disable_chaining(none));
    assert_null(weir_assign_watermarks(none, "w", set_time, NULL));
    assert_null(weir_window_aggregate(none, "x", &minute, &sum));
    assert_null(weir_stream_schema(none));
    assert_null(weir_from(env, "read", &lines, NULL, 0)); /* doubled: a second mistake */
    expect_mistake(env, WEIR_E_GRAPH, "operator id \"bad id\"");
}

static void ids_have_an_alphabet_and_a_length(void **state)
{
    static const char *const good[] = {"a", "A-z_0.9", "..."};
    static const char *const bad[] = {"", "a b", "a/b", "\xc3\xa9", "a\n"};
    char longest[WEIR_NAME_MAX + 2];
    struct weir_env *env = *state;
    memset(longest, 'x', sizeof longest);
    longest[WEIR_NAME_MAX] = 0;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) assert_non_null(weir_from(env, good[i], &lines, NULL, 0));
    assert_non_null(weir_from(env, longest, &lines, NULL, 0));
    expect_good(env);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct weir_env *other;
        assert_int_equal(weir_env_new(&other, "job", "/", 1), WEIR_OK);
        assert_null(weir_from(other, bad[i], &lines, NULL, 0));
        expect_mistake(other, WEIR_E_GRAPH, "id");
        weir_env_destroy(&other);
    }
    longest[WEIR_NAME_MAX] = 'x';
    longest[WEIR_NAME_MAX + 1] = 0;
    assert_null(weir_from(env, longest, &lines, NULL, 0));
    expect_mistake(env, WEIR_E_GRAPH, "longer than 128");
}

static void a_missing_id_is_told(void **state)
{
    assert_null(weir_from(*state, NULL, &lines, NULL, 0));
    expect_mistake(*state, WEIR_E_GRAPH, "operator 0 of the job has no id");
}

static void a_doubled_id_is_told(void **state)
{
    struct weir_env *env = *state;
    assert_null(weir_apply(hits(env), "parse", &pass, NULL, 0));
    expect_mistake(env, WEIR_E_GRAPH, "two operators have the id parse");
}

static void a_null_table_is_told(void **state)
{
    assert_null(weir_apply(hits(*state), "step", NULL, NULL, 0));
    expect_mistake(*state, WEIR_E_GRAPH, "operator step: its table");
}

static void a_table_of_another_size_is_told(void **state)
{
    static const struct weir_operator small = {.struct_size = 40, .name = "old"};
    assert_null(weir_apply(hits(*state), "step", &small, NULL, 0));
    expect_mistake(*state, WEIR_E_ABI, "operator step: its weir_operator has struct_size 40");
}

static void a_source_needs_its_functions(void **state)
{
    static const struct weir_source half = {.struct_size = sizeof(struct weir_source), .name = "half", .discover = discover};
    assert_null(weir_from(*state, "read", &half, NULL, 0));
    expect_mistake(*state, WEIR_E_GRAPH, "operator read: its source has no read function");
}

static void parallelism_has_a_range(void **state)
{
    struct weir_stream *stream = hits(*state);
    assert_ptr_equal(weir_set_parallelism(stream, WEIR_PARALLELISM_MAX), stream);
    assert_null(weir_set_parallelism(stream, WEIR_PARALLELISM_MAX + 1));
    expect_mistake(*state, WEIR_E_GRAPH, "operator parse: parallelism 1025 is outside 1 ... 1024");
}

static void a_side_output_that_does_not_exist_is_told(void **state)
{
    struct weir_stream *stream = hits(*state);
    assert_ptr_equal(weir_stream_schema(weir_side_output(weir_key_by(stream, &by_path), 0)), &line_schema);
    assert_null(weir_side_output(stream, 1));
    expect_mistake(*state, WEIR_E_GRAPH, "operator parse has 1 side outputs");
}

static void a_source_may_give_several_kinds_of_rows(void **state)
{
    struct weir_env *env = *state;
    static const struct weir_schema *const kinds[] = {&hit_schema, &total_schema};
    struct weir_source mixed = lines;
    mixed.sides = kinds;
    mixed.n_sides = 2;
    struct weir_stream *in = weir_from(env, "read", &mixed, NULL, 0);
    assert_ptr_equal(weir_stream_schema(in), &line_schema);
    assert_ptr_equal(weir_stream_schema(weir_side_output(in, 0)), &hit_schema);
    (void)weir_apply(weir_side_output(in, 1), "write", &totals_sink, NULL, 0);
    expect_good(env);
    assert_null(weir_side_output(in, 2));
    expect_mistake(env, WEIR_E_GRAPH, "operator read has 2 side outputs");
}

/* ---- two inputs, and changes -----------------------------------------------------------------------------------------------------------
 */

static const struct weir_operator join = {OPERATOR,
                                          .name = "join",
                                          .in = &hit_schema,
                                          .second = &total_schema,
                                          .out = &total_schema,
                                          .flags = WEIR_OPERATOR_TWO_INPUTS | WEIR_OPERATOR_RETRACTS};
static const struct weir_operator to_total = {OPERATOR, .name = "total", .in = &hit_schema, .out = &total_schema};
static const struct weir_operator every_kind = {OPERATOR, .name = "sink", .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_TAKES_CHANGES};
static const struct weir_operator passing = {OPERATOR, .name = "filter", .flags = WEIR_OPERATOR_PASSES_CHANGES};

static struct weir_stream *joined(struct weir_env *env)
{
    struct weir_stream *in = hits(env);
    return weir_co_apply(in, weir_apply(in, "totals", &to_total, NULL, 0), "join", &join, NULL, 0);
}

static void a_step_with_two_inputs_has_two_ports(void **state)
{
    struct weir_env *env = *state;
    (void)weir_apply(joined(env), "write", &every_kind, NULL, 0);
    expect_good(env);
    const struct env_node *node = weir_env_node(env, 3);
    assert_int_equal(node->n_ports, 2);
    assert_int_equal(node->n_inputs, 2);
    assert_int_equal(node->inputs[0].port, 0);
    assert_int_equal(node->inputs[1].port, 1);
    assert_ptr_equal(node->input[1], &total_schema);
    assert_true(node->updating);
}

static void the_second_input_has_a_type_too(void **state)
{
    struct weir_env *env = *state;
    struct weir_stream *in = hits(env);
    assert_null(weir_co_apply(in, in, "join", &join, NULL, 0));
    expect_mistake(env, WEIR_E_GRAPH, "operator join");
}

static void the_number_of_inputs_must_fit_the_table(void **state)
{
    struct weir_env *env = *state;
    assert_null(weir_apply(hits(env), "join", &join, NULL, 0));
    expect_mistake(env, WEIR_E_GRAPH, "has two inputs: use weir_co_apply");
}

static void changes_are_refused_where_nobody_expects_them(void **state)
{
    struct weir_env *env = *state;
    struct weir_stream *filtered = weir_apply(joined(env), "filter", &passing, NULL, 0);
    (void)weir_apply(filtered, "write", &totals_sink, NULL, 0);
    expect_mistake(env, WEIR_E_GRAPH, "operator write takes inserts only, but operator filter gives updates and deletes, too");
}

static void changes_pass_through_to_who_takes_them(void **state)
{
    struct weir_env *env = *state;
    struct weir_stream *filtered = weir_apply(joined(env), "filter", &passing, NULL, 0);
    (void)weir_apply(weir_union(&filtered, 1), "write", &every_kind, NULL, 0);
    expect_good(env);
    assert_true(weir_env_node(env, 4)->updating);
    assert_false(weir_env_node(env, 2)->updating);
}

static void upserts_go_by_key(void **state)
{
    struct weir_env *env = *state;
    const struct weir_operator table = {OPERATOR, .name = "table", .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_UPSERTS};
    (void)weir_apply(joined(env), "write", &table, NULL, 0);
    expect_mistake(env, WEIR_E_GRAPH, "it needs WEIR_OPERATOR_KEYED");
}

static void a_partitioner_must_be_whole(void **state)
{
    struct weir_env *env = *state;
    const struct weir_partitioner empty = {.struct_size = sizeof empty, .name = "empty"};
    assert_null(weir_partition(hits(env), &empty));
    expect_mistake(env, WEIR_E_GRAPH, "partition of operator parse: the partitioner has no choose function");
}

static void a_sink_gives_nothing(void **state)
{
    struct weir_stream *end = weir_apply(hits(*state), "out", &sink, NULL, 0);
    assert_non_null(weir_set_parallelism(end, 1)); /* but it can be set */
    assert_null(weir_stream_schema(end));
    assert_null(weir_apply(end, "after", &pass, NULL, 0));
    expect_mistake(*state, WEIR_E_GRAPH, "operator after takes its input from operator out, a sink");
}

static void a_configuration_that_is_null_but_has_a_size_is_told(void **state)
{
    assert_null(weir_apply(hits(*state), "step", &pass, NULL, 8));
    expect_mistake(*state, WEIR_E_GRAPH, "operator step: its configuration is NULL");
}

static void too_many_operators_are_refused(void **state)
{
    struct weir_env *env = *state;
    for (int i = 0; i < WEIR_OPERATORS_MAX; i++) {
        assert_non_null(weir_from(env, weir_env_printf(env, "s%d", i), &lines, NULL, 0));
    }
    assert_null(weir_from(env, "last", &lines, NULL, 0));
    expect_mistake(env, WEIR_E_LIMIT, "operator last: a job has at most 1024 operators");
}

/* ---- row types ------------------------------------------------------------------------------------------------------------------- */

static void a_step_that_takes_other_rows_is_told(void **state)
{
    assert_null(weir_apply(weir_from(*state, "read", &lines, NULL, 0), "large", &large, NULL, 0));
    expect_mistake(*state, WEIR_E_GRAPH, "operator large takes rows of type hit, but operator read gives line");
}

static void the_same_type_declared_twice_fits(void **state)
{
    const struct weir_operator again = {OPERATOR, .name = "again", .in = &hit_again};
    assert_non_null(weir_apply(hits(*state), "again", &again, NULL, 0));
    expect_good(*state);
}

static void another_type_of_the_same_name_is_told_with_the_difference(void **state)
{
    const struct weir_operator other = {OPERATOR, .name = "other", .in = &hit_other};
    assert_null(weir_apply(hits(*state), "other", &other, NULL, 0));
    expect_mistake(*state, WEIR_E_GRAPH, "gives another type of that name: field 1 (bytes) differs");
}

/* A filter has no type of its own: what goes in comes out, and the step behind it is checked against that. */
static void types_pass_through_steps_without_one(void **state)
{
    struct weir_stream *passed = weir_broadcast(weir_apply(weir_global(hits(*state)), "pass", &pass, NULL, 0));
    assert_ptr_equal(weir_stream_schema(passed), &hit_schema);
    assert_null(weir_apply(passed, "out", &totals_sink, NULL, 0));
    expect_mistake(*state, WEIR_E_GRAPH, "operator out takes rows of type total, but operator pass gives hit");
}

static void a_row_type_must_be_sound(void **state)
{
    static const struct weir_field outside[] = {{"a", 1, WEIR_TYPE_I64, 4, 0}};
    static const struct weir_field twice[] = {{"a", 1, WEIR_TYPE_I32, 0, 0}, {"b", 1, WEIR_TYPE_I32, 4, 0}};
    static const struct weir_field typeless[] = {{"a", 1, (enum weir_type)9, 0, 0}};
    static const struct {
        struct weir_schema schema;
        const char *told;
    } cases[] = {
        {{sizeof(struct weir_schema), "row", 8, 1, outside}, "field 0 (a) leaves the struct"},
        {{sizeof(struct weir_schema), "row", 8, 2, twice}, "field 1 (b) has the id of another field"},
        {{sizeof(struct weir_schema), "row", 8, 1, typeless}, "field 0 (a) has an unknown type"},
        {{sizeof(struct weir_schema), "row", 8, 0, NULL}, "number of fields"},
        {{sizeof(struct weir_schema), "row", 0, 1, outside}, "row size"},
        {{8, "row", 8, 1, outside}, "other headers"},
        {{sizeof(struct weir_schema), NULL, 8, 1, outside}, "has no name"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_env *env;
        const struct weir_operator op = {OPERATOR, .name = "step", .out = &cases[i].schema};
        assert_int_equal(weir_env_new(&env, "job", "/", 1), WEIR_OK);
        assert_null(weir_apply(weir_from(env, "read", &lines, NULL, 0), "step", &op, NULL, 0));
        expect_mistake(env, WEIR_E_GRAPH, cases[i].told);
        weir_env_destroy(&env);
    }
}

/* ---- unions ---------------------------------------------------------------------------------------------------------------------- */

/* A union consumed before its last member joined is read with all of them. */
static void a_union_may_grow_after_it_was_consumed(void **state)
{
    struct weir_env *env = *state;
    struct weir_stream *two[] = {weir_from(env, "a", &lines, NULL, 0), weir_rebalance(weir_from(env, "b", &lines, NULL, 0))};
    struct weir_stream *all = weir_union(two, 2);
    (void)weir_apply(all, "step", &pass, NULL, 0);
    assert_ptr_equal(weir_union_add(all, weir_from(env, "c", &lines, NULL, 0)), all);
    expect_good(env);
    const struct env_node *step = weir_env_node(env, 2);
    assert_int_equal(step->n_inputs, 3);
    assert_int_equal(step->inputs[0].partition, ENV_FORWARD);
    assert_int_equal(step->inputs[1].partition, ENV_REBALANCE); /* each member keeps its own way */
    assert_int_equal(step->inputs[2].node, 3);
}

/* What is said nearest to the consumer holds: over a member's own way, and over an earlier one of the same stream. */
static void the_way_nearest_to_the_consumer_wins(void **state)
{
    struct weir_env *env = *state;
    struct weir_stream *dealt = weir_rebalance(hits(env));
    struct weir_stream *two[] = {dealt, weir_key_by(weir_apply(dealt, "x", &pass, NULL, 0), &by_bytes)};
    (void)weir_apply(weir_key_by(weir_union(two, 2), &by_path), "keyed", &pass, NULL, 0);
    (void)weir_apply(weir_global(weir_key_by(dealt, &by_path)), "all", &pass, NULL, 0);
    expect_good(env);
    const struct env_node *keyed = weir_env_node(env, 3), *all = weir_env_node(env, 4);
    assert_int_equal(keyed->n_inputs, 2);
    assert_ptr_equal(keyed->inputs[0].keyer, &by_path);
    assert_ptr_equal(keyed->inputs[1].keyer, &by_path);
    assert_int_equal(all->inputs[0].partition, ENV_GLOBAL);
    assert_null(all->inputs[0].keyer);
}

/* A loop through a step is a cycle of the graph: the environment resolves it, the plan refuses it. */
static void a_loop_through_a_step_is_left_to_the_plan(void **state)
{
    struct weir_env *env = *state;
    struct weir_stream *one[] = {weir_from(env, "read", &untyped, NULL, 0)};
    struct weir_stream *all = weir_union(one, 1);
    struct weir_stream *step = weir_apply(all, "step", &pass, NULL, 0);
    assert_non_null(weir_union_add(all, step));
    expect_good(env);
    assert_int_equal(weir_env_node(env, 1)->n_inputs, 2);
    assert_int_equal(weir_env_node(env, 1)->inputs[1].node, 1);
}

/* A union inside itself has no end; it is refused, not followed. */
static void a_union_that_takes_in_itself_is_told(void **state)
{
    struct weir_env *env = *state;
    struct weir_stream *one[] = {weir_from(env, "read", &lines, NULL, 0)};
    struct weir_stream *inner = weir_union(one, 1);
    struct weir_stream *outer = weir_union(&inner, 1);
    assert_non_null(weir_union_add(inner, weir_rebalance(outer)));
    (void)weir_apply(outer, "step", &pass, NULL, 0);
    expect_mistake(env, WEIR_E_GRAPH, "operator step: its union takes in itself");
}

static void a_deeply_nested_union_can_be_named_in_a_sentence(void **state)
{
    struct weir_env *env = *state;
    struct weir_stream *one[] = {weir_from(env, "read", &lines, NULL, 0)};
    struct weir_stream *inner = weir_union(one, 1);
    struct weir_stream *outer = weir_union(&inner, 1);
    for (int i = 0; i < 100; i++) outer = weir_union(&outer, 1); /* deeper than anybody nests */
    assert_null(weir_set_parallelism(outer, 2));
    expect_mistake(env, WEIR_E_GRAPH, "is not a step");
}

/* Thirty unions, each of the one before taken twice, would be a thousand million inputs. */
static void unions_of_unions_are_bounded(void **state)
{
    struct weir_env *env = *state;
    struct weir_stream *all = weir_from(env, "read", &lines, NULL, 0);
    for (int i = 0; i < 30; i++) all = weir_union((struct weir_stream *[]){all, all}, 2);
    (void)weir_apply(all, "step", &pass, NULL, 0);
    expect_mistake(env, WEIR_E_LIMIT, "operator step has more than 4096 inputs");
}

static void a_union_is_of_one_type(void **state)
{
    struct weir_stream *two[] = {hits(*state), weir_from(*state, "other", &lines, NULL, 0)};
    assert_null(weir_union(two, 2));
    expect_mistake(*state, WEIR_E_GRAPH, "a union takes rows of type hit, but operator other gives line");
}

/* The first member says nothing about its rows; the one that joins late does, and then the sink behind it cannot take them. */
static void a_type_learned_late_is_checked_late(void **state)
{
    struct weir_env *env = *state;
    struct weir_stream *one[] = {weir_from(env, "read", &untyped, NULL, 0)};
    struct weir_stream *all = weir_union(one, 1);
    struct weir_stream *step = weir_apply(all, "step", &pass, NULL, 0);
    assert_null(weir_stream_schema(step));
    assert_non_null(weir_apply(step, "out", &totals_sink, NULL, 0));
    assert_non_null(weir_union_add(all, weir_from(env, "late", &lines, NULL, 0)));
    assert_ptr_equal(weir_stream_schema(all), &line_schema);
    expect_mistake(env, WEIR_E_GRAPH, "operator out takes rows of type total, but operator step gives line");
}

/* As before, but against the order of building: what `first` reads is known only once `second`, built later, has learned its own. */
static void a_type_travels_against_the_order_of_building(void **state)
{
    struct weir_env *env = *state;
    struct weir_stream *a = weir_from(env, "a", &untyped, NULL, 0), *b = weir_from(env, "b", &untyped, NULL, 0);
    struct weir_stream *early = weir_union(&a, 1), *late = weir_union(&b, 1);
    (void)weir_apply(weir_apply(early, "first", &pass, NULL, 0), "out", &totals_sink, NULL, 0);
    (void)weir_union_add(early, weir_apply(late, "second", &pass, NULL, 0));
    (void)weir_union_add(late, weir_from(env, "c", &lines, NULL, 0));
    expect_mistake(env, WEIR_E_GRAPH, "operator out takes rows of type total, but operator first gives line");
}

static void only_a_union_can_be_added_to(void **state)
{
    struct weir_stream *stream = hits(*state);
    assert_null(weir_union_add(stream, stream));
    expect_mistake(*state, WEIR_E_GRAPH, "the stream of operator parse is not a union");
}

static void a_union_has_no_settings_and_no_sides(void **state)
{
    struct weir_stream *one[] = {hits(*state)};
    assert_null(weir_set_parallelism(weir_rebalance(weir_union(one, 1)), 2));
    expect_mistake(*state, WEIR_E_GRAPH, "weir_set_parallelism: a union (of parse ...) is not a step");
}

static void a_null_member_is_told(void **state)
{
    struct weir_stream *two[] = {hits(*state), NULL};
    assert_null(weir_union(two, 2));
    expect_mistake(*state, WEIR_E_GRAPH, "stream 1 of a union (of parse ...) is NULL");
}

/* ---- parameters ------------------------------------------------------------------------------------------------------------------ */

static void a_keyer_must_be_whole(void **state)
{
    static const struct weir_keyer empty = {sizeof(struct weir_keyer), "k", 0, NULL, NULL};
    assert_null(weir_key_by(hits(*state), &empty));
    expect_mistake(*state, WEIR_E_GRAPH, "key_by of operator parse: the keyer has no extract function");
}

static void windows_have_ranges(void **state)
{
    static const struct weir_trigger early = {.early_ms = 1}, never = {.early_only = true}, negative = {.early_ms = -1};
    static const struct weir_trigger no_domain = {.early_ms = 1, .early_domain = (enum weir_time_domain)9};
    static const struct {
        struct weir_window window;
        const char *told;
    } cases[] = {
        {{.kind = WEIR_TUMBLING, .size_ms = 0}, "operator w: size_ms 0"},
        {{.kind = WEIR_TUMBLING, .size_ms = 10, .offset_ms = 10}, "offset_ms 10 of its window is outside 0 ... size_ms - 1 = 9"},
        {{.kind = WEIR_TUMBLING, .size_ms = 10, .offset_ms = -1}, "offset_ms -1"},
        {{.kind = WEIR_SESSION, .gap_ms = 0}, "gap_ms 0"},
        {{.kind = (enum weir_window_kind)7, .size_ms = 1}, "unknown kind 7"},
        {{.kind = WEIR_SLIDING, .size_ms = 10}, "operator w: slide_ms 0"},
        {{.kind = WEIR_SLIDING, .size_ms = 10, .slide_ms = 2, .offset_ms = 2}, "outside 0 ... slide_ms - 1 = 1"},
        {{.kind = WEIR_CUMULATING, .size_ms = 10}, "operator w: step_ms 0"},
        {{.kind = WEIR_CUMULATING, .size_ms = 10, .step_ms = 3}, "size_ms 10 of its window is no multiple of step_ms 3"},
        {{.kind = WEIR_TUMBLING, .size_ms = 10, .allowed_lateness_ms = -1}, "allowed_lateness_ms -1"},
        {{.kind = WEIR_TUMBLING, .size_ms = 10, .domain = (enum weir_time_domain)2}, "domain 2"},
        {{.kind = WEIR_TUMBLING, .size_ms = 10, .domain = WEIR_PROCESSING_TIME, .allowed_lateness_ms = 1}, "nothing is late"},
        {{.kind = WEIR_GLOBAL, .domain = WEIR_PROCESSING_TIME}, "no time to go by"},
        {{.kind = WEIR_TUMBLING, .size_ms = 10, .domain = WEIR_PROCESSING_TIME, .trigger = &early}, "its windows go by the clock"},
        {{.kind = WEIR_GLOBAL, .allowed_lateness_ms = 1}, "nothing is late in a global window"},
        {{.kind = WEIR_GLOBAL, .trigger = &never}, "its trigger never fires"},
        {{.kind = WEIR_GLOBAL, .trigger = &negative}, "early_ms -1"},
        {{.kind = WEIR_GLOBAL, .trigger = &no_domain}, "early_domain 9"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_env *env;
        assert_int_equal(weir_env_new(&env, "job", "/", 1), WEIR_OK);
        assert_null(weir_window_aggregate(hits(env), "w", &cases[i].window, &sum));
        expect_mistake(env, WEIR_E_GRAPH, cases[i].told);
        weir_env_destroy(&env);
    }
}

static void sessions_need_merge(void **state)
{
    const struct weir_window session = {.kind = WEIR_SESSION, .gap_ms = 1};
    struct weir_aggregate rigid = sum;
    rigid.merge = NULL;
    struct weir_stream *keyed = weir_key_by(hits(*state), &by_path);
    assert_non_null(weir_window_aggregate(keyed, "fixed", &minute, &rigid));
    assert_null(weir_window_aggregate(keyed, "session", &session, &rigid));
    expect_mistake(*state, WEIR_E_GRAPH, "operator session: aggregate sum has no merge function");
}

/* Surveys see whole windows, which these do not fire. */
static void surveys_need_whole_windows(void **state)
{
    const struct weir_window late = {.kind = WEIR_TUMBLING, .size_ms = 10, .allowed_lateness_ms = 1};
    struct weir_aggregate most = sum;
    most.summary_size = 8;
    struct weir_env *env;
    assert_null(weir_window_aggregate(weir_key_by(hits(*state), &by_path), "w", &minute, &most));
    expect_mistake(*state, WEIR_E_GRAPH, "the survey of aggregate sum needs survey, emit_surveyed");
    most.survey = survey;
    most.emit_surveyed = emit_surveyed;
    assert_int_equal(weir_env_new(&env, "job", "/", 1), WEIR_OK);
    struct weir_stream *keyed = weir_key_by(hits(env), &by_path);
    assert_non_null(weir_window_aggregate(keyed, "w", &minute, &most));
    assert_null(weir_window_aggregate(keyed, "late", &late, &most));
    expect_mistake(env, WEIR_E_GRAPH, "operator late: aggregate sum surveys whole windows");
    weir_env_destroy(&env);
}

static void window_functions_are_whole(void **state)
{
    const struct weir_trigger count = {.early_count = 2};
    const struct weir_window global = {.kind = WEIR_GLOBAL, .trigger = &count};
    struct weir_window_function f = {
        .struct_size = sizeof f, .name = "all", .in = &hit_schema, .out = &total_schema, .process = process_window};
    struct weir_stream *keyed = weir_key_by(hits(*state), &by_path);
    assert_non_null(weir_window_process(keyed, "w", &global, &f));
    const struct env_node *node = weir_env_node(*state, weir_env_count(*state) - 1);
    assert_ptr_equal(node->function, &f);
    assert_ptr_equal(node->outputs[0], &total_schema);
    assert_ptr_not_equal(node->window.trigger, &count); /* a copy */
    assert_int_equal(node->window.trigger->early_count, 2);
    f.process = NULL;
    assert_null(weir_window_process(keyed, "v", &global, &f));
    expect_mistake(*state, WEIR_E_GRAPH, "operator v: window function all has no process function");
}

static void an_aggregate_has_an_accumulator(void **state)
{
    struct weir_aggregate empty = sum;
    empty.acc_size = 0;
    assert_null(weir_window_aggregate(hits(*state), "w", &minute, &empty));
    expect_mistake(*state, WEIR_E_GRAPH, "operator w: acc_size 0 of aggregate sum");
}

static void watermarks_do_not_run_ahead(void **state)
{
    const struct weir_watermarks ahead = {.max_out_of_orderness_ms = -1};
    assert_null(weir_assign_watermarks(hits(*state), "assign", set_time, &ahead));
    expect_mistake(*state, WEIR_E_GRAPH, "operator assign: max_out_of_orderness_ms -1 is negative");
}

/* ---- splits ---------------------------------------------------------------------------------------------------------------------- */

static void splits_are_copied_and_bounded(void **state)
{
    static char big[WEIR_SPLIT_BYTES_MAX + 1];
    struct weir_splits splits = {0};
    char name[] = "file-1";
    (void)state;
    assert_int_equal(weir_splits_add(&splits, name, 6), WEIR_OK);
    name[0] = 'X';
    assert_int_equal(weir_splits_add(&splits, NULL, 0), WEIR_OK);
    assert_int_equal(weir_splits_add(&splits, NULL, 1), WEIR_E_ARGUMENT);
    assert_int_equal(weir_splits_add(&splits, big, sizeof big), WEIR_E_LIMIT);
    assert_int_equal(weir_splits_add(&splits, big, sizeof big - 1), WEIR_OK);
    assert_int_equal(splits.n, 3);
    assert_memory_equal(splits.items[0].data, "file-1", 6);
    while (splits.n < WEIR_SPLITS_MAX) assert_int_equal(weir_splits_add(&splits, "s", 1), WEIR_OK);
    assert_int_equal(weir_splits_add(&splits, "s", 1), WEIR_E_LIMIT);
    weir_splits_close(&splits);
    assert_int_equal(splits.n, 0);
    weir_splits_close(&splits);
}

/* ---- any job at all -------------------------------------------------------------------------------------------------------------- */

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

static struct weir_stream *draw_stream(struct weir_env *env, uint64_t *seed, struct weir_stream **streams, uint32_t n)
{
    struct weir_stream *a = n ? streams[draw(seed, n)] : NULL, *b = n ? streams[draw(seed, n)] : NULL;
    const char *id = weir_env_printf(env, "n%u", draw(seed, 200));
    switch (draw(seed, 10)) {
    case 0: return weir_from(env, id, draw(seed, 2) ? &lines : &untyped, NULL, 0);
    case 1: return weir_union((struct weir_stream *[]){a, b}, 1 + draw(seed, 2));
    case 2: return weir_union_add(a, b);
    case 3: return weir_key_by(a, &by_path);
    case 4: return weir_rebalance(a);
    case 5: return weir_side_output(a, 0);
    case 6: return weir_set_parallelism(a, 1 + draw(seed, 9));
    case 7: return weir_window_aggregate(a, id, &minute, &sum);
    default: return weir_apply(a, id, draw(seed, 4) ? &pass : draw(seed, 2) ? &parse : &sink, NULL, 0);
    }
}

/* Whatever an entry function does, finishing ends, with a sentence or with inputs that name outputs which exist. */
static void any_sequence_of_builders_ends_well(void **state)
{
    (void)state;
    for (uint64_t first = 0; first < 3000; first++) {
        uint64_t seed = first;
        struct weir_env *env;
        struct weir_stream *streams[40];
        struct weir_diag diag;
        uint32_t n = 0;
        assert_int_equal(weir_env_new(&env, "job", "/", 1), WEIR_OK);
        while (n < 40 && draw(&seed, 60)) {
            struct weir_stream *stream = draw_stream(env, &seed, streams, n);
            if (stream) streams[n++] = stream;
        }
        weir_err err = weir_env_finish(env, &diag);
        for (uint32_t i = 0; !err && i < weir_env_count(env); i++) {
            const struct env_node *node = weir_env_node(env, i);
            for (uint32_t k = 0; k < node->n_inputs; k++) {
                const struct env_node *from = weir_env_node(env, node->inputs[k].node);
                if (!from || node->inputs[k].output >= from->n_outputs) fail_msg("seed %u: node %u input %u", (unsigned)first, i, k);
            }
        }
        weir_env_destroy(&env);
    }
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest stories[] = {
        STORY(a_job_is_recorded_as_it_was_built),
        STORY(configuration_is_copied),
        STORY(memory_texts_and_paths_belong_to_the_environment),
        STORY(a_huge_allocation_is_a_mistake_not_a_crash),
        STORY(an_environment_has_a_sensible_parallelism),
        STORY(the_first_mistake_sticks),
        STORY(ids_have_an_alphabet_and_a_length),
        STORY(a_missing_id_is_told),
        STORY(a_doubled_id_is_told),
        STORY(a_null_table_is_told),
        STORY(a_table_of_another_size_is_told),
        STORY(a_source_needs_its_functions),
        STORY(parallelism_has_a_range),
        STORY(a_side_output_that_does_not_exist_is_told),
        STORY(a_source_may_give_several_kinds_of_rows),
        STORY(a_step_with_two_inputs_has_two_ports),
        STORY(the_second_input_has_a_type_too),
        STORY(the_number_of_inputs_must_fit_the_table),
        STORY(changes_are_refused_where_nobody_expects_them),
        STORY(changes_pass_through_to_who_takes_them),
        STORY(upserts_go_by_key),
        STORY(a_partitioner_must_be_whole),
        STORY(a_sink_gives_nothing),
        STORY(a_configuration_that_is_null_but_has_a_size_is_told),
        STORY(too_many_operators_are_refused),
        STORY(a_step_that_takes_other_rows_is_told),
        STORY(the_same_type_declared_twice_fits),
        STORY(another_type_of_the_same_name_is_told_with_the_difference),
        STORY(types_pass_through_steps_without_one),
        STORY(a_row_type_must_be_sound),
        STORY(a_union_may_grow_after_it_was_consumed),
        STORY(the_way_nearest_to_the_consumer_wins),
        STORY(a_loop_through_a_step_is_left_to_the_plan),
        STORY(a_union_that_takes_in_itself_is_told),
        STORY(a_deeply_nested_union_can_be_named_in_a_sentence),
        STORY(unions_of_unions_are_bounded),
        STORY(a_union_is_of_one_type),
        STORY(a_type_learned_late_is_checked_late),
        STORY(a_type_travels_against_the_order_of_building),
        STORY(only_a_union_can_be_added_to),
        STORY(a_union_has_no_settings_and_no_sides),
        STORY(a_null_member_is_told),
        STORY(a_keyer_must_be_whole),
        STORY(windows_have_ranges),
        STORY(surveys_need_whole_windows),
        STORY(window_functions_are_whole),
        STORY(sessions_need_merge),
        STORY(an_aggregate_has_an_accumulator),
        STORY(watermarks_do_not_run_ahead),
        STORY(splits_are_copied_and_bounded),
        STORY(any_sequence_of_builders_ends_well),
    };
    return cmocka_run_group_tests(stories, NULL, NULL);
}
