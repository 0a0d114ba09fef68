/* SPDX-License-Identifier: Apache-2.0 */
/* The graph on its way from the describing worker to the JobManager. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "runtime/wire/pack.h"
#include "tests/unit/plan/graphs.h"
#include "weir/source.h"
#include "weir/stream.h"

static void assert_same_node(const struct graph_node *a, const struct graph_node *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->parallelism, b->parallelism);
    assert_int_equal(a->chain, b->chain);
    assert_int_equal(a->alone, b->alone);
    assert_int_equal(a->keyed, b->keyed);
    assert_int_equal(a->updating, b->updating);
    assert_int_equal(a->n_ports, b->n_ports);
    assert_int_equal(a->n_outputs, b->n_outputs);
    assert_int_equal(a->n_inputs, b->n_inputs);
    assert_int_equal(a->n_splits, b->n_splits);
    for (uint32_t i = 0; i < a->n_inputs; i++) {
        assert_int_equal(a->inputs[i].node, b->inputs[i].node);
        assert_int_equal(a->inputs[i].output, b->inputs[i].output);
        assert_int_equal(a->inputs[i].partition, b->inputs[i].partition);
        assert_int_equal(a->inputs[i].port, b->inputs[i].port);
        assert_string_equal(a->inputs[i].way, b->inputs[i].way);
    }
    for (uint32_t i = 0; i < a->n_splits; i++) {
        assert_int_equal(a->splits[i].length, b->splits[i].length);
        if (a->splits[i].length) assert_memory_equal(a->splits[i].data, b->splits[i].data, a->splits[i].length);
    }
}

/* What is written is read again, and writing that gives the same bytes. */
static void any_graph_survives_the_journey(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 1000; seed++) {
        struct sketch s;
        uint64_t dice = seed;
        struct graph read;
        struct weir_diag diag;
        struct buffer bytes = {0}, again = {0};
        draw_graph(&s, &dice);
        if (seed % 2) shuffle(&s, &dice);
        assert_int_equal(graph_encode(&s.g, &bytes), WEIR_OK);
        if (graph_decode(&read, bytes.data, bytes.len, &diag)) fail_msg("seed %llu: %s", (unsigned long long)seed, diag.text);
        assert_string_equal(read.name, s.g.name);
        assert_int_equal(read.n_nodes, s.g.n_nodes);
        assert_true(read.fingerprint == graph_fingerprint(&s.g));
        for (uint32_t i = 0; i < read.n_nodes; i++) assert_same_node(&read.nodes[i], &s.g.nodes[i]);
        assert_int_equal(graph_encode(&read, &again), WEIR_OK);
        assert_int_equal(again.len, bytes.len);
        assert_memory_equal(again.data, bytes.data, bytes.len);
        graph_close(&read);
        assert_null(read.arena.blocks);
        graph_close(&read);
        buffer_close(&bytes);
        buffer_close(&again);
    }
}

/* read (2 splits) -> count by key -> out */
static void small_job(struct sketch *s)
{
    sketch_init(s);
    uint32_t read = node(s, "read", GRAPH_SOURCE, 2), count = node(s, "count", GRAPH_STEP, 0), out = node(s, "out", GRAPH_SINK, 0);
    s->nodes[count].keyed = true;
    input(s, count, read, 0, GRAPH_KEY);
    input(s, out, count, 0, GRAPH_FORWARD);
    s->nodes[read].n_splits = 2;
    s->splits[read][0] = (struct weir_bytes){"file-1", 6};
    s->splits[read][1] = (struct weir_bytes){"\0\0", 2};
}

/* The bytes and the fingerprint are written down here: who changes them changes the format, which then needs another version number. */
static void the_format_is_pinned(void **state)
{
    (void)state;
    struct sketch s;
    struct buffer bytes = {0};
    small_job(&s);
    assert_int_equal(graph_encode(&s.g, &bytes), WEIR_OK);
    static const unsigned char head[] = {0x94, 0x03, 0xcf, 0x65, 0xe9, 0xd0, 0x4f, 0xf2, 0x99, 0x07, 0x14};
    static const unsigned char tail[] = "\xa6sketch\x93"
                                        "\x9c\xa4read\xa4"
                                        "file\x01\x02\xc3\xc2\xc2\xc2\x00\x01\x90\x92\xc4\x06"
                                        "file-1\xc4\x02\0\0"
                                        "\x9c\xa5"
                                        "count\xa3map\x02\x00\xc3\xc2\xc3\xc2\x01\x01\x91\x95\x00\x00\x00\x02\xa4path\x90"
                                        "\x9c\xa3out\xa5print\x03\x00\xc3\xc2\xc2\xc2\x01\x00\x91\x95\x00\x01\x00\x01\xa0\x90";
    assert_memory_equal(bytes.data, head, sizeof head);
    assert_int_equal(bytes.len, sizeof head + sizeof tail - 1);
    assert_memory_equal(bytes.data + sizeof head, tail, sizeof tail - 1);
    assert_true(graph_fingerprint(&s.g) == 0x65e9d04ff2990714u);
    buffer_close(&bytes);
}

/* Everything the author wrote counts, the splits (which depend on the day's files) do not. */
static void the_fingerprint_sees_everything_but_splits(void **state)
{
    (void)state;
    struct sketch s;
    small_job(&s);
    uint64_t base = graph_fingerprint(&s.g);
    s.nodes[0].n_splits = 0;
    assert_true(graph_fingerprint(&s.g) == base);
#define SEEN(change) \
    small_job(&s);   \
    change;          \
    assert_true(graph_fingerprint(&s.g) != base)
    SEEN(s.g.name = "sketcH");
    SEEN(s.g.n_nodes = 2);
    SEEN(s.nodes[1].id = "Count");
    SEEN(s.nodes[1].name = "reduce");
    SEEN((s.nodes[1].id = "countm", s.nodes[1].name = "ap")); /* parts do not run together */
    SEEN(s.nodes[2].kind = GRAPH_STEP);
    SEEN(s.nodes[1].parallelism = 1);
    SEEN(s.nodes[1].chain = false);
    SEEN(s.nodes[1].alone = true);
    SEEN(s.nodes[1].keyed = false);
    SEEN(s.nodes[1].n_outputs = 2);
    SEEN(s.nodes[1].n_inputs = 0);
    SEEN(s.inputs[2][0].node = 0);
    SEEN(s.inputs[2][0].output = 1);
    SEEN(s.inputs[2][0].partition = GRAPH_GLOBAL);
    SEEN(s.inputs[1][0].way = "bytes");
    SEEN(s.inputs[1][0].port = 1);
    SEEN(s.nodes[1].n_ports = 2);
    SEEN(s.nodes[1].updating = true);
#undef SEEN
}

static void expect_refused(const struct buffer *bytes, weir_err err, const char *part)
{
    struct graph read = {.name = "untouched"};
    struct weir_diag diag = {.code = WEIR_OK, .text = ""};
    assert_int_equal(bytes->err, WEIR_OK);
    assert_int_equal(graph_decode(&read, bytes->data, bytes->len, &diag), err);
    if (!strstr(diag.text, part)) fail_msg("\"%s\" is not in \"%s\"", part, diag.text);
    assert_string_equal(read.name, "untouched");
}

static void damaged_bytes_are_refused_and_never_crash(void **state)
{
    (void)state;
    struct sketch s;
    struct buffer bytes = {0};
    small_job(&s);
    assert_int_equal(graph_encode(&s.g, &bytes), WEIR_OK);
    for (size_t len = 0; len < bytes.len; len++) {
        struct graph read;
        void *copy = malloc(len ? len : 1); /* of that very size, so that a sanitizer sees a byte too far */
        assert_non_null(copy);
        memcpy(copy, bytes.data, len);
        assert_int_not_equal(graph_decode(&read, copy, len, NULL), WEIR_OK);
        free(copy);
    }
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
        struct graph read;
        struct plan *plan = NULL;
        bytes.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        if (graph_decode(&read, bytes.data, bytes.len, NULL) == WEIR_OK) { /* inside a split, which the fingerprint leaves out */
            if (plan_new(&plan, &read, 1, NULL) == WEIR_OK) plan_destroy(&plan);
            graph_close(&read);
        }
        bytes.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    buffer_add(&bytes, "", 1);
    expect_refused(&bytes, WEIR_E_CORRUPT, "bytes behind its end");
    buffer_close(&bytes);
}

/* Encodes the small job after one member was given a value that no encoder writes. */
#define LIES(lie, err, part)                                   \
    do {                                                       \
        struct sketch s;                                       \
        struct buffer bytes = {0};                             \
        small_job(&s);                                         \
        lie;                                                   \
        assert_int_equal(graph_encode(&s.g, &bytes), WEIR_OK); \
        expect_refused(&bytes, err, part);                     \
        buffer_close(&bytes);                                  \
    } while (0)

static void values_out_of_range_are_refused(void **state)
{
    (void)state;
    static char big[WEIR_SPLIT_BYTES_MAX + 1];
    LIES(s.nodes[1].id = "a b", WEIR_E_CORRUPT, "operator 1 are damaged");
    LIES(s.nodes[1].kind = (enum graph_node_kind)0, WEIR_E_CORRUPT, "operator 1");
    LIES(s.nodes[1].kind = (enum graph_node_kind)4, WEIR_E_CORRUPT, "operator 1");
    LIES(s.nodes[1].parallelism = WEIR_PARALLELISM_MAX + 1, WEIR_E_CORRUPT, "operator 1");
    LIES(s.nodes[1].n_outputs = WEIR_SIDES_MAX + 2, WEIR_E_CORRUPT, "operator 1");
    LIES(s.inputs[2][0].node = 3, WEIR_E_CORRUPT, "operator 2");
    LIES(s.inputs[2][0].output = WEIR_SIDES_MAX + 1, WEIR_E_CORRUPT, "operator 2");
    LIES(s.inputs[2][0].partition = (enum graph_partition)0, WEIR_E_CORRUPT, "operator 2");
    LIES(s.inputs[2][0].partition = (enum graph_partition)7, WEIR_E_CORRUPT, "operator 2");
    LIES(s.inputs[2][0].port = GRAPH_PORTS, WEIR_E_CORRUPT, "operator 2");
    LIES(s.nodes[1].n_ports = GRAPH_PORTS + 1, WEIR_E_CORRUPT, "operator 1");
    LIES(s.nodes[2].n_splits = 1, WEIR_E_CORRUPT, "operator 2");
    LIES((s.splits[0][0] = (struct weir_bytes){big, sizeof big}), WEIR_E_LIMIT, "operator read");
}

static void other_documents_are_refused(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    expect_refused(&bytes, WEIR_E_CORRUPT, "no job graph");
    pack_array(&bytes, 4);
    pack_uint(&bytes, 4);
    pack_nil(&bytes), pack_nil(&bytes), pack_nil(&bytes);
    expect_refused(&bytes, WEIR_E_UNSUPPORTED, "format version 4");
    buffer_clear(&bytes);
    pack_array(&bytes, 4);
    pack_uint(&bytes, 3), pack_uint(&bytes, 1), pack_str(&bytes, "job");
    pack_array(&bytes, WEIR_OPERATORS_MAX + 1);
    for (int i = 0; i <= WEIR_OPERATORS_MAX; i++) pack_nil(&bytes);
    expect_refused(&bytes, WEIR_E_LIMIT, "1025 operators");
    buffer_clear(&bytes);
    pack_array(&bytes, 4);
    pack_uint(&bytes, 3), pack_uint(&bytes, 1), pack_str(&bytes, "job"), pack_array(&bytes, 0);
    expect_refused(&bytes, WEIR_E_CORRUPT, "its fingerprint is ");
    buffer_close(&bytes);
}

static void a_buffer_that_is_too_small_is_told(void **state)
{
    (void)state;
    struct sketch s;
    struct buffer bytes;
    buffer_init(&bytes, 20);
    small_job(&s);
    assert_int_equal(graph_encode(&s.g, &bytes), WEIR_E_LIMIT);
    buffer_close(&bytes);
}

int main(void)
{
    const struct CMUnitTest stories[] = {
        cmocka_unit_test(any_graph_survives_the_journey),
        cmocka_unit_test(the_format_is_pinned),
        cmocka_unit_test(the_fingerprint_sees_everything_but_splits),
        cmocka_unit_test(damaged_bytes_are_refused_and_never_crash),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(other_documents_are_refused),
        cmocka_unit_test(a_buffer_that_is_too_small_is_told),
    };
    return cmocka_run_group_tests(stories, NULL, NULL);
}
