/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the catalog that are larger than a node: whole or not at all, whoever dies, and nothing is left of the others. */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>

#include "jobmanager/catalog_note.h"
#include "tests/unit/jobmanager/leaders.h"

#define KEY "job/00000000000000000000000000000001/graph"
#define NODE_BYTES 10
#define LONG "the quick brown fox jumps over the lazy dog" /* five parts, the last of them short */
#define OTHER "pack my box with five dozen liquor jugs"

static struct ensemble e;
static struct leader a, b;

static void begin(uint32_t node_bytes)
{
    ensemble_init(&e);
    if (node_bytes > NODE_BYTES) e.limits.data = node_bytes - 10; /* which a note has room in, and a part has not */
    ensemble_start(&e);
    a = b = (struct leader){0};
    leadership_init(&a.l);
    leadership_init(&b.l);
    a.l.node_bytes = b.l.node_bytes = node_bytes;
    leader_begin(&e, &a, 0, 1);
}

static void end(void)
{
    leadership_close(&a.l);
    leadership_close(&b.l);
    assert_int_equal(e.err, WEIR_OK);
    ensemble_end(&e);
}

static int setup(void **state)
{
    (void)state;
    begin(NODE_BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    end();
    return 0;
}

static struct catalog_answer order(struct leader *j, enum catalog_kind kind, const char *value, uint64_t expected)
{
    return leader_order(&e, j, kind, KEY, value, expected);
}

/* How many values have parts in the tree, and how many parts there are of all. */
static void expect_parts(uint32_t n_values, uint32_t n_parts)
{
    struct weir_bytes none = bytes_text("");
    const struct coord_state *s = &e.states[e.leader];
    uint32_t values = 0, parts = 0;
    settle(&e);
    const struct node *top = tree_find(&s->tree, bytes_text(CATALOG_PARTS));
    assert_non_null(top);
    for (const struct node *f = node_child_after(top, none); f; f = node_child_after(top, node_name(f)), values++)
        for (const struct node *p = node_child_after(f, none); p; p = node_child_after(f, node_name(p))) parts++;
    assert_int_equal(values, n_values);
    assert_int_equal(parts, n_parts);
}

/* The only key, as the next leadership reads it. */
static void expect_listed(struct leader *j, const char *value, uint64_t version, const char *damage)
{
    const struct master_listed *listed;
    assert_int_equal(catalog_tree_listed(j->l.catalog, &listed), 1);
    assert_string_equal(listed[0].key, KEY);
    assert_int_equal(listed[0].version, version);
    if (!damage) assert_null(listed[0].damage);
    if (damage) assert_string_equal(listed[0].damage, damage);
    if (!damage) assert_true(bytes_equal(listed[0].value, bytes_text(value)));
}

static void a_large_value_is_a_value(void **state)
{
    (void)state;
    struct catalog_answer got = order(&a, CATALOG_PUT, LONG, 0);
    assert_int_equal(got.outcome, CATALOG_COMMITTED);
    assert_int_equal(got.version, 1);
    expect_parts(1, 5);
    got = order(&a, CATALOG_GET, "", 0);
    assert_int_equal(got.version, 1);
    assert_true(bytes_equal(got.value, bytes_text(LONG)));
    assert_int_equal(order(&a, CATALOG_PUT, OTHER, 0).outcome, CATALOG_CONFLICT);
    expect_parts(1, 5);
    assert_int_equal(order(&a, CATALOG_PUT, OTHER, 1).version, 2);
    expect_parts(1, 4);
    leader_begin(&e, &b, 1, 2);
    expect_listed(&b, OTHER, 2, NULL);
    got = order(&b, CATALOG_GET, "", 0);
    assert_true(bytes_equal(got.value, bytes_text(OTHER)));
    assert_int_equal(order(&b, CATALOG_PUT, "short", 2).version, 3);
    expect_parts(0, 0);
    assert_int_equal(order(&b, CATALOG_PUT, LONG, 3).version, 4);
    assert_int_equal(order(&b, CATALOG_DELETE, "", 3).outcome, CATALOG_CONFLICT);
    expect_parts(1, 5);
    assert_int_equal(order(&b, CATALOG_DELETE, "", 4).outcome, CATALOG_COMMITTED);
    expect_parts(0, 0);
    assert_int_equal(order(&b, CATALOG_GET, "", 0).version, 0);
}

/* Of one job nothing overtakes anything; those of others go between. */
static void what_is_ordered_behind_waits(void **state)
{
    static const struct catalog_order orders[] = {
        {.number = 11, .kind = CATALOG_PUT, .key = KEY, .value = {LONG, sizeof LONG - 1}},
        {.number = 12, .kind = CATALOG_PUT, .key = KEY "2", .value = {OTHER, sizeof OTHER - 1}},
        {.number = 13, .kind = CATALOG_PUT, .key = KEY "3", .value = {"x", 1}},
        {.number = 14, .kind = CATALOG_GET, .key = KEY "2"},
        {.number = 15, .kind = CATALOG_PUT, .key = "job/00000000000000000000000000000002/graph", .value = {"y", 1}},
        {.number = 16, .kind = CATALOG_PUT, .key = "artifact/00", .value = {"z", 1}},
    };
    static const uint64_t numbers[] = {15, 16, 11, 12, 13, 14};
    struct catalog_answer answer = {0};
    (void)state;
    for (uint32_t i = 0; i < 6; i++) catalog_tree_order(a.l.catalog, &orders[i]);
    leader_talk(&e, &a);
    for (uint32_t i = 0; i < 6; i++) {
        assert_true(catalog_tree_answer(a.l.catalog, &answer));
        assert_int_equal(answer.number, numbers[i]);
        assert_int_equal(answer.outcome, CATALOG_COMMITTED);
    }
    assert_true(bytes_equal(answer.value, bytes_text(OTHER)));
}

/* What would be taken for a note of parts is put in parts, however short it is. */
static void no_value_is_taken_for_a_note(void **state)
{
    (void)state;
    assert_int_equal(order(&a, CATALOG_PUT, "\xc1", 0).outcome, CATALOG_COMMITTED);
    expect_parts(1, 1);
    leader_begin(&e, &b, 1, 2);
    expect_listed(&b, "\xc1", 1, NULL);
}

/* A leader dies when `n` of its messages have arrived. Gives whether the value was put; either it is there, or the former one. */
static bool dies_behind(uint32_t n, const char *former, const char *value)
{
    const struct catalog_order o = {.number = 77, .kind = CATALOG_PUT, .key = KEY, .value = bytes_text(value), .expected = 1};
    begin(NODE_BYTES);
    assert_int_equal(order(&a, CATALOG_PUT, former, 0).outcome, CATALOG_COMMITTED);
    catalog_tree_order(a.l.catalog, &o);
    for (uint32_t i = 0; i < n && leader_say(&e, &a, 1); i++) {
        settle(&e);
        leader_hear(&a);
    }
    struct catalog_answer answer = {0};
    bool done = catalog_tree_answer(a.l.catalog, &answer);
    leader_begin(&e, &b, 1, 2);
    const struct master_listed *listed;
    assert_int_equal(catalog_tree_listed(b.l.catalog, &listed), 1);
    assert_null(listed[0].damage);
    bool put = listed[0].version == 2;
    assert_true(put || !done);
    assert_true(bytes_equal(listed[0].value, bytes_text(put ? value : former)));
    leader_talk(&e, &b); /* it removes what nobody else does */
    uint32_t length = listed[0].value.length;
    expect_parts(length > NODE_BYTES, length > NODE_BYTES ? (length + NODE_BYTES - 1) / NODE_BYTES : 0);
    end();
    return put;
}

static void a_leader_that_dies_leaves_one_value_or_the_other(void **state)
{
    static const char *const values[] = {"short", LONG, OTHER};
    (void)state;
    for (uint32_t f = 0; f < 3; f++) {
        for (uint32_t v = 1; v < 3; v++) {
            uint32_t n = 0;
            while (!dies_behind(n, values[f], values[v])) n++;
            assert_int_equal(n, 1 + (v == 1 ? 5 : 4) + 1); /* folder, parts, note */
            assert_true(dies_behind(n + 1, values[f], values[v]));
            assert_true(dies_behind(n + 2, values[f], values[v]));
        }
    }
}

/* It may have written half of it: what it says of that after the next one has claimed the catalog is not done. */
static void a_leader_that_was_deposed_writes_no_part(void **state)
{
    const struct catalog_order o = {.number = 77, .kind = CATALOG_PUT, .key = KEY, .value = bytes_text(LONG)};
    (void)state;
    catalog_tree_order(a.l.catalog, &o);
    assert_int_equal(leader_say(&e, &a, 2), 2);
    leader_begin(&e, &b, 1, 2);
    leader_talk(&e, &b);
    expect_parts(0, 0);
    lead(&e, 0);
    leader_talk(&e, &a);
    assert_int_equal(catalog_tree_state(a.l.catalog), CATALOG_TREE_LOST);
    assert_string_equal(catalog_tree_reason(a.l.catalog), "another JobManager has begun to lead");
    expect_parts(0, 0);
}

/* The tree refuses a part: the value certainly is not put, and nothing of it stays. */
static void a_part_that_is_refused_refuses_the_value(void **state)
{
    (void)state;
    begin(60);
    assert_int_equal(order(&a, CATALOG_PUT, "former", 0).outcome, CATALOG_COMMITTED);
    struct catalog_answer got = order(&a, CATALOG_PUT, LONG OTHER, 1);
    assert_int_equal(got.outcome, CATALOG_REFUSED);
    assert_string_equal(got.reason, "LIMIT");
    expect_parts(0, 0);
    got = order(&a, CATALOG_GET, "", 0);
    assert_true(bytes_equal(got.value, bytes_text("former")));
    assert_int_equal(got.version, 1);
    end();
}

/* Nobody knows whether the note was written; until that is read back, neither value loses its parts. */
static void in_doubt_both_values_keep_their_parts(void **state)
{
    const struct catalog_order o = {.number = 77, .kind = CATALOG_PUT, .key = KEY, .value = bytes_text(OTHER), .expected = 1};
    struct catalog_answer answer = {0};
    (void)state;
    assert_int_equal(order(&a, CATALOG_PUT, LONG, 0).outcome, CATALOG_COMMITTED);
    catalog_tree_order(a.l.catalog, &o);
    for (uint32_t i = 0; i < 1 + 4; i++) { /* folder and parts */
        assert_int_equal(leader_say(&e, &a, 1), 1);
        settle(&e);
        leader_hear(&a);
    }
    for (uint32_t i = 0; i < SERVERS; i++) e.stopped[i] = true;
    assert_true(leader_say(&e, &a, UINT32_MAX) > 0); /* the note is proposed, and committed nowhere yet */
    lead(&e, -1);
    pass(&e, e.limits.quorum_wait_ms + 100);
    leader_hear(&a);
    assert_true(catalog_tree_answer(a.l.catalog, &answer));
    assert_int_equal(answer.outcome, CATALOG_UNKNOWN);
    for (uint32_t i = 0; i < SERVERS; i++) e.stopped[i] = false;
    lead(&e, 0);
    leader_talk(&e, &a);
    expect_parts(2, 5 + 4);
    answer = order(&a, CATALOG_GET, "", 0);
    assert_int_equal(answer.version, 2);
    assert_true(bytes_equal(answer.value, bytes_text(OTHER)));
    leader_talk(&e, &a);
    expect_parts(1, 4);
}

/* ---- what somebody else has done to the tree ---- */

static struct client *stranger(void)
{
    struct client *c = &e.clients[e.next_connection];
    struct say say;
    connect_to(&e, c, 0);
    settle(&e);
    assert_true(next_say(c, &say));
    return c;
}

/* Another process. */
static void begin_anew(struct leader *j, uint32_t server, uint64_t epoch)
{
    leadership_close(&j->l);
    leadership_init(&j->l);
    j->l.node_bytes = NODE_BYTES;
    leader_begin(&e, j, server, epoch);
}

static void damage_is_told(void **state)
{
    (void)state;
    assert_int_equal(order(&a, CATALOG_PUT, LONG, 0).outcome, CATALOG_COMMITTED);
    struct client *c = stranger();
    const struct node *top = tree_find(&e.states[0].tree, bytes_text(CATALOG_PARTS));
    struct weir_bytes name = node_name(node_child_after(top, bytes_text("")));
    char part[CATALOG_PART_PATH];
    (void)snprintf(part, sizeof part, CATALOG_PARTS "/%.*s/3", (int)name.length, (const char *)name.data);
    set(&e, c, part, "0123456789");
    settle(&e);
    struct catalog_answer got = order(&a, CATALOG_GET, "", 0);
    assert_int_equal(got.outcome, CATALOG_COMMITTED); /* somebody's, and not ours */
    assert_false(bytes_equal(got.value, bytes_text(LONG)));
    leader_begin(&e, &b, 1, 2);
    expect_listed(&b, NULL, 1, "its checksum differs");
    set(&e, c, part, "short");
    settle(&e);
    begin_anew(&a, 0, 3);
    expect_listed(&a, NULL, 1, "parts of it are missing");
    drop(&e, c, part);
    settle(&e);
    begin_anew(&b, 1, 4);
    expect_listed(&b, NULL, 1, "parts of it are missing");
    set(&e, c, "/weir/" KEY, "\xc1\x01 and so on");
    settle(&e);
    begin_anew(&a, 0, 5);
    expect_listed(&a, NULL, 2, "its note of parts makes no sense");
}

/* Names that nobody of us would give are not ours to remove. */
static void what_is_not_ours_stays(void **state)
{
    (void)state;
    struct client *c = stranger();
    create(&e, c, CATALOG_PARTS "/1-1x", NODE_PERSISTENT);
    create(&e, c, CATALOG_PARTS "/01-1", NODE_PERSISTENT);
    create(&e, c, CATALOG_PARTS "/1-99", NODE_PERSISTENT); /* ours, by its name */
    settle(&e);
    leader_begin(&e, &b, 1, 2);
    leader_talk(&e, &b);
    expect_parts(2, 0);
}

/* ---- notes ---- */

static void notes_are_read_as_they_were_put(void **state)
{
    const struct catalog_note note = {.claim = 5, .number = 7, .length = 43, .part_bytes = 10, .crc32c = 99};
    struct catalog_note got;
    struct buffer bytes = {0};
    char path[CATALOG_PART_PATH];
    (void)state;
    catalog_note_put(&bytes, &note);
    for (uint32_t n = 0; n < bytes.len; n++) assert_false(catalog_note_read(bytes_of(bytes.data, n), &got));
    assert_true(catalog_note_begins(bytes_of(bytes.data, bytes.len)));
    assert_true(catalog_note_read(bytes_of(bytes.data, bytes.len), &got));
    assert_memory_equal(&got, &note, sizeof note);
    assert_int_equal(catalog_note_parts(&got), 5);
    assert_int_equal(catalog_note_part_bytes(&got, 3), 10);
    assert_int_equal(catalog_note_part_bytes(&got, 4), 3);
    assert_string_equal(catalog_note_folder(&got, path), "/weir/part/5-7");
    assert_string_equal(catalog_note_part(&got, 4, path), "/weir/part/5-7/4");
    put_u8(&bytes, 0);
    assert_false(catalog_note_read(bytes_of(bytes.data, bytes.len), &got));
    static const struct catalog_note bad[] = {{.length = 0, .part_bytes = 1},
                                              {.length = 1, .part_bytes = 0},
                                              {.length = CATALOG_PARTS_MAX + 1, .part_bytes = 1},
                                              {.length = CATALOG_VALUE_MAX + 1, .part_bytes = 1u << 20}};
    for (uint32_t i = 0; i < 4; i++) {
        buffer_clear(&bytes);
        catalog_note_put(&bytes, &bad[i]);
        assert_false(catalog_note_read(bytes_of(bytes.data, bytes.len), &got));
    }
    buffer_close(&bytes);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_large_value_is_a_value),
        CASE(what_is_ordered_behind_waits),
        CASE(no_value_is_taken_for_a_note),
        cmocka_unit_test(a_leader_that_dies_leaves_one_value_or_the_other),
        CASE(a_leader_that_was_deposed_writes_no_part),
        cmocka_unit_test(a_part_that_is_refused_refuses_the_value),
        CASE(in_doubt_both_values_keep_their_parts),
        CASE(damage_is_told),
        CASE(what_is_not_ours_stays),
        cmocka_unit_test(notes_are_read_as_they_were_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
