/* SPDX-License-Identifier: Apache-2.0 */
/* Does a job fit a savepoint, and which splits does it read on? */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "jobmanager/restore.h"

/* read -> count -> write, with these splits. */
static void make_graph(const char *step, const char *const *splits, uint32_t n, struct graph *out, struct buffer *bytes)
{
    struct weir_bytes data[8];
    struct graph_input to_count = {.node = 0, .partition = GRAPH_KEY, .way = "k"},
                       to_write = {.node = 1, .partition = GRAPH_FORWARD, .way = ""};
    struct graph_node nodes[] = {
        {.id = "read", .name = "file", .kind = GRAPH_SOURCE, .n_outputs = 1, .n_splits = n, .splits = data},
        {.id = "count", .name = step, .kind = GRAPH_STEP, .keyed = true, .n_ports = 1, .n_outputs = 1, .n_inputs = 1, .inputs = &to_count},
        {.id = "write", .name = "file", .kind = GRAPH_SINK, .chain = true, .n_ports = 1, .n_inputs = 1, .inputs = &to_write},
    };
    for (uint32_t i = 0; i < n; i++) data[i] = (struct weir_bytes){splits[i], (uint32_t)strlen(splits[i])};
    struct graph made = {.name = "g", .n_nodes = 3, .nodes = nodes};
    assert_int_equal(graph_encode(&made, bytes), WEIR_OK);
    if (out) assert_int_equal(graph_decode(out, bytes->data, bytes->len, NULL), WEIR_OK);
}

/* The splits that a job reads which finds `found` and begins with a savepoint that has `old`. */
static void read_on(const char *const *old, uint32_t n_old, const char *const *found, uint32_t n_found, const char *const *expected,
                    uint32_t n_expected)
{
    struct buffer was = {0}, now = {0};
    struct graph graph = {0};
    make_graph("count", old, n_old, NULL, &was);
    make_graph("count", found, n_found, &graph, &now);
    uint64_t fingerprint = graph.fingerprint;
    struct manifest m = {.graph = {was.data, (uint32_t)was.len}};
    assert_int_equal(restore_splits(&m, &graph, NULL), WEIR_OK);
    assert_int_equal(graph.nodes[0].n_splits, n_expected);
    for (uint32_t i = 0; i < n_expected; i++) {
        assert_int_equal(graph.nodes[0].splits[i].length, strlen(expected[i]));
        assert_memory_equal(graph.nodes[0].splits[i].data, expected[i], strlen(expected[i]));
    }
    assert_int_equal(graph.fingerprint, fingerprint);
    graph_close(&graph);
    buffer_close(&was);
    buffer_close(&now);
}

#define LIST(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

static void old_splits_keep_their_index_and_new_ones_follow(void **state)
{
    (void)state;
    read_on(LIST("a", "b"), LIST("a", "b"), LIST("a", "b"));
    read_on(LIST("b", "d"), LIST("a", "b", "c", "d"), LIST("b", "d", "a", "c"));
    read_on(LIST("a", "b"), LIST("b"), LIST("a", "b")); /* one that is not found any more is for its source to miss */
}

static void a_source_that_divides_otherwise_reads_the_old_splits(void **state)
{
    (void)state;
    read_on(LIST("0 of 2", "1 of 2"), LIST("0 of 3", "1 of 3", "2 of 3"), LIST("0 of 2", "1 of 2"));
}

static void a_manifest_whose_graph_is_broken_is_refused(void **state)
{
    (void)state;
    struct buffer now = {0};
    struct graph graph = {0};
    make_graph("count", LIST("a"), &graph, &now);
    struct manifest m = {.graph = {now.data, (uint32_t)now.len - 1}};
    assert_int_equal(restore_splits(&m, &graph, NULL), WEIR_E_CORRUPT);
    assert_int_equal(graph.nodes[0].n_splits, 1);
    graph_close(&graph);
    buffer_close(&now);
}

/* The operators of a savepoint: read, count (as `step`), gone, write. */
static weir_err check(const char *step, const bool *has_state, bool unmatched, struct weir_diag *diag)
{
    struct buffer now = {0};
    struct graph graph = {0};
    make_graph("count", LIST("a"), &graph, &now);
    struct manifest_operator first[] = {{.id = "read", .name = "file", .kind = GRAPH_SOURCE}};
    struct manifest_operator second[] = {{.id = "count", .name = step, .kind = GRAPH_STEP},
                                         {.id = "gone", .name = "window", .kind = GRAPH_STEP},
                                         {.id = "write", .name = "file", .kind = GRAPH_SINK}};
    struct manifest_vertex vertices[] = {{.n_operators = 1, .operators = first}, {.n_operators = 3, .operators = second}};
    struct manifest m = {.n_vertices = 2, .vertices = vertices};
    weir_err err = restore_check(&m, has_state, &graph, unmatched, diag);
    graph_close(&graph);
    buffer_close(&now);
    return err;
}

static void every_difference_is_named(void **state)
{
    (void)state;
    struct weir_diag diag;
    assert_int_equal(check("window", NULL, false, &diag), WEIR_E_GRAPH);
    assert_non_null(strstr(diag.text, "its operator 'count' is a window, in the job it is a count"));
    assert_non_null(strstr(diag.text, "its operator 'gone' (window) is not in the job (--allow-unmatched"));
}

static void what_has_no_state_may_come_and_go(void **state)
{
    (void)state;
    struct weir_diag diag;
    static const bool none_of_gone[] = {true, true, false, true}, only_gone[] = {false, false, true, false};
    assert_int_equal(check("count", none_of_gone, false, &diag), WEIR_OK);
    assert_int_equal(check("count", only_gone, false, &diag), WEIR_E_GRAPH);
    assert_int_equal(check("count", only_gone, true, &diag), WEIR_OK);
    assert_int_equal(check("window", NULL, true, &diag), WEIR_E_GRAPH); /* another kind fits in no case */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_splits_keep_their_index_and_new_ones_follow),
        cmocka_unit_test(a_source_that_divides_otherwise_reads_the_old_splits),
        cmocka_unit_test(a_manifest_whose_graph_is_broken_is_refused),
        cmocka_unit_test(every_difference_is_named),
        cmocka_unit_test(what_has_no_state_may_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
