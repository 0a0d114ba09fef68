/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog in the tree of a real peer, an ensemble of one: what is put is listed by the next leadership, and the former writes no more.
 */
/* cmocka wants these first, in this order */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/catalog_tree.h"
#include "tests/unit/jobmanager/peer_alone.h"

#define KEY "job/00000000000000000000000000000001/"

struct side {
    struct catalog_tree *tree;
    uint64_t connection;
};

struct fixture {
    struct temp_dir dir;
    struct peer *peer;
    uint64_t epoch;
    struct side a, b; /* two leaderships; the second one begins while the first still believes in itself */
};

static void carry(struct fixture *f, struct side *s, const struct peer_news *news)
{
    if (!s->tree || news->connection != s->connection) return;
    if (news->type == PEER_NEWS_MESSAGE) catalog_tree_hear(s->tree, news->message);
    if (news->type == PEER_NEWS_CLOSED) catalog_tree_closed(s->tree);
    (void)f;
}

static void send_all(struct fixture *f, struct side *s)
{
    struct weir_bytes message;
    while (s->tree && catalog_tree_say(s->tree, &message, clock_mono_ms())) peer_send(f->peer, s->connection, message);
}

/* Carries messages for a moment. */
static void turn(struct fixture *f)
{
    struct peer_news news;
    send_all(f, &f->a);
    send_all(f, &f->b);
    struct pollfd p = {.fd = peer_fd(f->peer), .events = POLLIN};
    (void)poll(&p, 1, 100);
    while (peer_take(f->peer, &news)) {
        if (news.type == PEER_NEWS_ROLE && news.role.leads) f->epoch = news.role.epoch;
        carry(f, &f->a, &news);
        carry(f, &f->b, &news);
    }
}

static void begin(struct fixture *f, struct side *s, uint64_t epoch)
{
    catalog_tree_new(&s->tree, epoch);
    s->connection = peer_connect(f->peer);
    for (int64_t end = clock_mono_ms() + WAIT_MS; catalog_tree_state(s->tree) < CATALOG_TREE_SERVING; turn(f))
        assert_true(clock_mono_ms() < end);
}

static struct catalog_answer order(struct fixture *f, struct side *s, enum catalog_kind kind, const char *key, const char *value,
                                   uint64_t expected)
{
    static uint64_t number;
    struct catalog_answer answer = {0};
    struct catalog_order o = {.number = ++number, .kind = kind, .key = key, .expected = expected};
    o.value = (struct weir_bytes){value, (uint32_t)strlen(value)};
    catalog_tree_order(s->tree, &o);
    for (int64_t end = clock_mono_ms() + WAIT_MS; catalog_tree_state(s->tree) != CATALOG_TREE_LOST; turn(f)) {
        if (catalog_tree_answer(s->tree, &answer)) break;
        assert_true(clock_mono_ms() < end);
    }
    return answer;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    temp_dir_make(&f->dir);
    f->peer = peer_alone(&f->dir, "");
    for (int64_t end = clock_mono_ms() + WAIT_MS; !f->epoch; turn(f)) assert_true(clock_mono_ms() < end);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    catalog_tree_destroy(&f->a.tree);
    catalog_tree_destroy(&f->b.tree);
    peer_destroy(&f->peer);
    net_stop();
    temp_dir_remove(&f->dir);
    free(f);
    return 0;
}

static void values_are_put_over_the_version_that_was_seen(void **state)
{
    struct fixture *f = *state;
    begin(f, &f->a, f->epoch);
    struct catalog_answer a = order(f, &f->a, CATALOG_PUT, KEY "attempt", "one", 0);
    assert_int_equal(a.outcome, CATALOG_COMMITTED);
    assert_int_equal(a.version, 1);
    assert_int_equal(order(f, &f->a, CATALOG_PUT, KEY "attempt", "again", 0).outcome, CATALOG_CONFLICT);
    assert_int_equal(order(f, &f->a, CATALOG_PUT, KEY "attempt", "two", 1).version, 2);
    assert_int_equal(order(f, &f->a, CATALOG_PUT, KEY "attempt", "late", 1).outcome, CATALOG_CONFLICT);
    a = order(f, &f->a, CATALOG_GET, KEY "attempt", "", 0);
    assert_int_equal(a.version, 2);
    assert_memory_equal(a.value.data, "two", 3);
    assert_int_equal(order(f, &f->a, CATALOG_DELETE, KEY "attempt", "", 2).outcome, CATALOG_COMMITTED);
    a = order(f, &f->a, CATALOG_GET, KEY "attempt", "", 0);
    assert_int_equal(a.outcome, CATALOG_COMMITTED);
    assert_int_equal(a.version, 0);
}

static void the_next_leader_finds_what_was_put(void **state)
{
    struct fixture *f = *state;
    const struct master_listed *listed;
    begin(f, &f->a, f->epoch);
    assert_int_equal(catalog_tree_listed(f->a.tree, &listed), 0);
    assert_int_equal(order(f, &f->a, CATALOG_PUT, KEY "graph", "g", 0).outcome, CATALOG_COMMITTED);
    assert_int_equal(order(f, &f->a, CATALOG_PUT, "job/00000000000000000000000000000000/attempt", "x", 0).outcome, CATALOG_COMMITTED);
    assert_int_equal(order(f, &f->a, CATALOG_PUT, KEY "attempt", "a", 0).outcome, CATALOG_COMMITTED);
    assert_int_equal(order(f, &f->a, CATALOG_PUT, KEY "attempt", "b", 1).outcome, CATALOG_COMMITTED);
    begin(f, &f->b, f->epoch + 1);
    assert_int_equal(catalog_tree_listed(f->b.tree, &listed), 3);
    assert_string_equal(listed[0].key, "job/00000000000000000000000000000000/attempt");
    assert_string_equal(listed[1].key, KEY "attempt");
    assert_int_equal(listed[1].version, 2);
    assert_memory_equal(listed[1].value.data, "b", 1);
    assert_string_equal(listed[2].key, KEY "graph");
}

static void a_leader_that_was_deposed_writes_nothing(void **state)
{
    struct fixture *f = *state;
    begin(f, &f->a, f->epoch);
    assert_int_equal(order(f, &f->a, CATALOG_PUT, KEY "attempt", "mine", 0).outcome, CATALOG_COMMITTED);
    begin(f, &f->b, f->epoch + 1);
    (void)order(f, &f->a, CATALOG_PUT, KEY "attempt", "still mine", 1);
    assert_int_equal(catalog_tree_state(f->a.tree), CATALOG_TREE_LOST);
    assert_string_equal(catalog_tree_reason(f->a.tree), "another JobManager has begun to lead");
    struct catalog_answer a = order(f, &f->b, CATALOG_GET, KEY "attempt", "", 0);
    assert_int_equal(a.version, 1);
    assert_memory_equal(a.value.data, "mine", 4);
}

/* Its epoch is older than the one that has claimed the catalog: it does not even begin. */
static void a_leader_that_comes_late_does_not_begin(void **state)
{
    struct fixture *f = *state;
    begin(f, &f->b, f->epoch + 1);
    begin(f, &f->a, f->epoch);
    assert_int_equal(catalog_tree_state(f->a.tree), CATALOG_TREE_LOST);
    assert_int_equal(order(f, &f->b, CATALOG_PUT, KEY "attempt", "x", 0).outcome, CATALOG_COMMITTED);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(values_are_put_over_the_version_that_was_seen),
        CASE(the_next_leader_finds_what_was_put),
        CASE(a_leader_that_was_deposed_writes_nothing),
        CASE(a_leader_that_comes_late_does_not_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
