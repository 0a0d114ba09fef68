/* SPDX-License-Identifier: Apache-2.0 */
/* What the model (test_coord_model.c) does not tell: order of checks, limits, sequence numbers, outcomes, leases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/coord/image.h"
#include "runtime/coord/prep.h"

struct fixture {
    struct coord_limits limits;
    struct coord_state s;
    struct leases leases;
    struct prep *prep;
    struct applied applied;
    struct buffer txn, ops;
    uint16_t n_ops;
    uint64_t session, xid;
    uint64_t zxid;
    int64_t now_ms;
};

static void apply(struct fixture *f)
{
    struct weir_diag diag;
    struct zxid zxid = {1, ++f->zxid};
    if (txn_apply(&f->s, zxid, bytes_of(f->txn.data, f->txn.len), &f->applied, &diag)) fail_msg("%s", diag.text);
    prep_applied(f->prep, &f->applied.txn);
    buffer_clear(&f->txn);
}

static uint64_t open_session(struct fixture *f)
{
    struct txn wish = {.timeout_ms = 1000};
    assert_int_equal(prep_open(f->prep, &wish, f->now_ms, f->now_ms, &f->txn), PREP_PROPOSE);
    apply(f);
    return f->applied.txn.session;
}

static void add_op(struct fixture *f, const struct op *op)
{
    put_request_op(&f->ops, op);
    f->n_ops++;
}

static enum prep_outcome ask(struct fixture *f)
{
    struct write_request q = {.session = f->session, .xid = ++f->xid, .n_ops = f->n_ops, .ops = bytes_of(f->ops.data, f->ops.len)};
    enum prep_outcome outcome = prep_write(f->prep, &q, f->now_ms, &f->txn);
    buffer_clear(&f->ops);
    f->n_ops = 0;
    return outcome;
}

static struct op create_op(const char *path, uint8_t kind)
{
    return (struct op){.type = OP_CREATE, .path = bytes_text(path), .data = bytes_text("x"), .acl = acl_open(), .kind = kind};
}

/* Asks for what was added, applies it; the error. */
static enum coord_err commit(struct fixture *f)
{
    assert_int_equal(ask(f), PREP_PROPOSE);
    apply(f);
    return f->applied.txn.err;
}

static enum coord_err create(struct fixture *f, const char *path, uint8_t kind)
{
    struct op op = create_op(path, kind);
    if (kind == NODE_TTL) op.owner = 100;
    add_op(f, &op);
    return commit(f);
}

static int begin(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->limits = (struct coord_limits)COORD_LIMITS_DEFAULT;
    f->now_ms = 1000;
    assert_int_equal(coord_state_init(&f->s), WEIR_OK);
    assert_int_equal(leases_init(&f->leases, &f->s, f->now_ms), WEIR_OK);
    f->prep = prep_new(&f->s, &f->leases, &f->limits);
    f->session = open_session(f);
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;
    prep_destroy(&f->prep);
    leases_close(&f->leases);
    coord_state_close(&f->s);
    applied_close(&f->applied);
    buffer_close(&f->txn);
    buffer_close(&f->ops);
    free(f);
    return 0;
}

static void sequence_numbers_pass_every_bound(void **state)
{
    struct fixture *f = *state;
    struct op op = create_op("/n-", NODE_PERSISTENT);
    static const struct {
        uint64_t counter;
        const char *path;
    } cases[] = {{0, "/n-0000000000"},          {2147483647, "/n-2147483647"},   {2147483648, "/n-2147483648"},
                 {9999999999, "/n-9999999999"}, {10000000000, "/n-10000000000"}, {UINT64_MAX - 1, "/n-18446744073709551614"}};
    op.sequential = true;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f->s.tree.root->sequence = cases[i].counter;
        add_op(f, &op);
        assert_int_equal(commit(f), COORD_OK);
        assert_non_null(tree_find(&f->s.tree, bytes_text(cases[i].path)));
        assert_int_equal(f->s.tree.root->sequence, cases[i].counter + 1);
    }
    f->s.tree.root->sequence = UINT64_MAX;
    add_op(f, &op);
    assert_int_equal(commit(f), COORD_LIMIT);
}

static void numbers_under_way_are_not_given_twice(void **state)
{
    struct fixture *f = *state;
    struct op op = create_op("/n-", NODE_EPHEMERAL);
    op.sequential = true;
    add_op(f, &op);
    add_op(f, &op);
    assert_int_equal(ask(f), PREP_PROPOSE);
    struct buffer first = f->txn;
    f->txn = (struct buffer){0};
    add_op(f, &op);
    assert_int_equal(ask(f), PREP_PROPOSE);
    struct buffer second = f->txn;
    f->txn = first;
    apply(f);
    buffer_close(&f->txn);
    f->txn = second;
    apply(f);
    assert_non_null(tree_find(&f->s.tree, bytes_text("/n-0000000000")));
    assert_non_null(tree_find(&f->s.tree, bytes_text("/n-0000000002")));
    assert_int_equal(prep_overlay(f->prep), 0);
}

static void a_failed_multi_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct op a = create_op("/a", NODE_EPHEMERAL), b = create_op("/a/b", NODE_PERSISTENT);
    add_op(f, &a);
    add_op(f, &b);
    assert_int_equal(commit(f), COORD_NO_CHILDREN_FOR_EPHEMERALS);
    assert_int_equal(f->applied.txn.failed, 1);
    assert_null(tree_find(&f->s.tree, bytes_text("/a")));
    assert_int_equal(lease_find(&f->leases, f->session)->n_ephemerals, 0);
    assert_int_equal(prep_overlay(f->prep), 0);
    assert_int_equal(f->s.tree.acls.n, 1);
    assert_int_equal(create(f, "/a", NODE_PERSISTENT), COORD_OK);
}

/* A session that ends takes with it what it has under way; nothing can be put below what goes. */
static void the_end_of_a_session_counts_what_is_under_way(void **state)
{
    struct fixture *f = *state;
    struct op mine = create_op("/mine", NODE_EPHEMERAL), again = create_op("/mine", NODE_PERSISTENT);
    struct buffer txns[3];
    uint64_t ending = f->session, other = open_session(f);
    add_op(f, &mine);
    assert_int_equal(ask(f), PREP_PROPOSE);
    txns[0] = f->txn;
    f->txn = (struct buffer){0};
    assert_int_equal(prep_close(f->prep, lease_find(&f->leases, ending), TXN_EXPIRED, f->now_ms, &f->txn), PREP_PROPOSE);
    txns[1] = f->txn;
    f->txn = (struct buffer){0};
    add_op(f, &again);
    assert_int_equal(ask(f), PREP_NOTHING);
    f->session = other;
    add_op(f, &again); /* the name is free by then */
    assert_int_equal(ask(f), PREP_PROPOSE);
    txns[2] = f->txn;
    for (int i = 0; i < 3; i++) {
        f->txn = txns[i];
        apply(f);
        buffer_close(&f->txn);
    }
    assert_int_equal(f->applied.txn.err, COORD_OK);
    assert_int_equal(tree_find(&f->s.tree, bytes_text("/mine"))->kind, NODE_PERSISTENT);
    assert_null(lease_find(&f->leases, ending));
}

/* ZOOKEEPER-3496, 4306: a transaction larger than what readers accept. The end of a session with 100,000 ephemerals is a few bytes. */
static void the_end_of_many_ephemerals_is_a_small_transaction(void **state)
{
    struct fixture *f = *state;
    struct op op = create_op("/e-", NODE_EPHEMERAL);
    op.sequential = true;
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < 1000; k++) add_op(f, &op);
        assert_int_equal(commit(f), COORD_OK);
    }
    add_op(f, &op);
    assert_int_equal(commit(f), COORD_LIMIT); /* the session has as many as it may have */
    assert_int_equal(prep_close(f->prep, lease_find(&f->leases, f->session), TXN_CLOSED, f->now_ms, &f->txn), PREP_PROPOSE);
    assert_in_range(f->txn.len, 1, 64);
    apply(f);
    assert_int_equal(f->s.tree.root->usage.nodes, 1);
    assert_int_equal(f->s.tree.owners.n, 0);
}

static void limits_hold_for_the_transaction_that_results(void **state)
{
    struct fixture *f = *state;
    struct op op = create_op("/a", NODE_PERSISTENT), small = create_op("/s-", NODE_PERSISTENT);
    static uint8_t data[2000];
    f->limits.data = 1000;
    f->limits.txn = 2500;
    op.data = bytes_of(data, 1001);
    add_op(f, &op);
    assert_int_equal(commit(f), COORD_LIMIT);
    op.data = bytes_of(data, 1000);
    for (char name[] = "/a"; name[1] < 'd'; name[1]++) {
        op.path = bytes_text(name);
        add_op(f, &op);
    }
    assert_int_equal(commit(f), COORD_LIMIT); /* three together */
    assert_int_equal(f->applied.txn.failed, 2);
    assert_int_equal(f->s.tree.root->usage.nodes, 1);
    f->limits.reply = 1000;
    small.sequential = true;
    for (int i = 0; i < 10; i++) add_op(f, &small);
    assert_int_equal(commit(f), COORD_LIMIT); /* its reply would be too long */
    f->limits.multi = 1;
    for (int i = 0; i < 2; i++) add_op(f, &small);
    assert_int_equal(commit(f), COORD_LIMIT);
    assert_int_equal(f->s.tree.root->usage.nodes, 1);
}

/* An image of many sessions comes in slices of bounded size, and is what it was though all of them end meanwhile. */
static void sessions_come_in_slices(void **state)
{
    struct fixture *f = *state;
    struct buffer slice = {0};
    struct coord_state copy;
    struct image_reader reader;
    struct weir_diag diag;
    bool last = false;
    struct op op = create_op("/n-", NODE_PERSISTENT);
    op.sequential = true;
    f->limits.sessions = 2000;
    for (uint32_t i = 0; i < 200; i++) {
        f->session = open_session(f);
        for (int k = 0; k < 50; k++) add_op(f, &op);
        assert_int_equal(commit(f), COORD_OK);
    }
    struct image *m = image_begin(&f->s);
    assert_int_equal(coord_state_init(&copy), WEIR_OK);
    image_reader_init(&reader, &copy);
    uint32_t slices = 0;
    for (; !last; slices++) {
        if (slices < 200) {
            assert_int_equal(prep_close(f->prep, lease_find(&f->leases, slices + 2), TXN_CLOSED, f->now_ms, &f->txn), PREP_PROPOSE);
            apply(f);
        }
        buffer_clear(&slice);
        assert_int_equal(image_slice(m, IMAGE_SLICE_BYTES, &slice, &last), WEIR_OK);
        assert_in_range(slice.len, 1, 2 * IMAGE_SLICE_BYTES);
        assert_int_equal(image_read(&reader, bytes_of(slice.data, slice.len), &diag), WEIR_OK);
    }
    assert_true(slices > 4);
    assert_int_equal(image_read_end(&reader, &diag), WEIR_OK);
    assert_int_equal(copy.sessions.by_id.n, 201);
    assert_int_equal(copy.tree.root->usage.nodes, 10001);
    image_end(&m);
    coord_state_close(&copy);
    buffer_close(&slice);
}

static void a_full_cluster_takes_no_session(void **state)
{
    struct fixture *f = *state;
    struct txn wish = {.timeout_ms = 1};
    f->limits.sessions = 1;
    assert_int_equal(prep_open(f->prep, &wish, 0, 0, &f->txn), PREP_PROPOSE);
    apply(f);
    assert_int_equal(f->applied.txn.type, TXN_DENY);
    assert_int_equal(f->applied.txn.err, COORD_LIMIT);
    assert_int_equal(f->s.sessions.by_id.n, 1);
}

static void timeouts_are_clamped(void **state)
{
    struct fixture *f = *state;
    static const uint32_t wishes[] = {0, 1000, UINT32_MAX}, given[] = {500, 1000, 600000};
    for (int i = 0; i < 3; i++) {
        struct txn wish = {.timeout_ms = wishes[i]};
        assert_int_equal(prep_open(f->prep, &wish, 0, 0, &f->txn), PREP_PROPOSE);
        apply(f);
        assert_int_equal(session_find(&f->s.sessions, f->applied.txn.session)->timeout_ms, given[i]);
    }
}

static void containers_and_ttl_nodes_go(void **state)
{
    struct fixture *f = *state;
    struct op del = {.type = OP_DELETE, .path = bytes_text("/c/x"), .version = OP_ANY_VERSION};
    assert_int_equal(create(f, "/c", NODE_CONTAINER), COORD_OK);
    assert_int_equal(create(f, "/unused", NODE_CONTAINER), COORD_OK);
    assert_int_equal(create(f, "/t", NODE_TTL), COORD_OK);
    assert_int_equal(create(f, "/t/x", NODE_PERSISTENT), COORD_OK);
    assert_int_equal(create(f, "/c/x", NODE_PERSISTENT), COORD_OK);
    f->now_ms += 101;
    assert_int_equal(prep_clean(f->prep, f->now_ms, &f->txn), PREP_NOTHING); /* both have children */
    add_op(f, &del);
    del.path = bytes_text("/t/x");
    add_op(f, &del);
    assert_int_equal(commit(f), COORD_OK);
    assert_int_equal(prep_clean(f->prep, f->now_ms - 2, &f->txn), PREP_PROPOSE); /* a clock that runs back is held */
    assert_int_equal(prep_clean(f->prep, f->now_ms, &f->txn), PREP_NOTHING);     /* both are going already */
    apply(f);
    assert_null(tree_find(&f->s.tree, bytes_text("/c")));
    assert_null(tree_find(&f->s.tree, bytes_text("/t")));
    assert_non_null(tree_find(&f->s.tree, bytes_text("/unused")));
}

static void outcomes_are_kept_until_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct op check = {.type = OP_CHECK, .path = bytes_text("/"), .version = OP_ANY_VERSION};
    const struct session *s = session_find(&f->s.sessions, f->session);
    for (uint32_t i = 0; i < COORD_OUTCOMES_MAX + 10; i++) {
        add_op(f, &check);
        assert_int_equal(commit(f), COORD_OK);
    }
    assert_int_equal(s->n_outcomes, COORD_OUTCOMES_MAX);
    assert_null(session_outcome(s, 10));
    assert_non_null(session_outcome(s, 11));
    struct write_request q = {.session = f->session, .xid = ++f->xid, .acked = f->xid - 2};
    assert_int_equal(prep_write(f->prep, &q, f->now_ms, &f->txn), PREP_PROPOSE);
    apply(f);
    assert_int_equal(f->applied.txn.err, COORD_BAD_ARGUMENTS); /* no operation at all */
    assert_int_equal(s->n_outcomes, 2);
}

static void leases_expire_when_due_and_jumps_extend_them(void **state)
{
    struct fixture *f = *state;
    struct lease *lease = lease_find(&f->leases, f->session);
    for (int64_t ms = 1000; ms <= 1990; ms += 10) {
        leases_tick(&f->leases, ms);
        assert_null(lease_due(&f->leases));
    }
    lease_touch(&f->leases, lease, 1990);
    for (int64_t ms = 2000; ms <= 2990; ms += 10) {
        leases_tick(&f->leases, ms);
        assert_null(lease_due(&f->leases));
    }
    leases_tick(&f->leases, 60000); /* the process was stopped */
    assert_null(lease_due(&f->leases));
    for (int64_t ms = 60010; ms <= 60060 + LEASE_GRAIN_MS; ms += 10) leases_tick(&f->leases, ms);
    assert_ptr_equal(lease_due(&f->leases), lease);
    lease->closing = true;
    assert_null(lease_due(&f->leases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sequence_numbers_pass_every_bound, begin, end),
        cmocka_unit_test_setup_teardown(numbers_under_way_are_not_given_twice, begin, end),
        cmocka_unit_test_setup_teardown(a_failed_multi_leaves_nothing, begin, end),
        cmocka_unit_test_setup_teardown(the_end_of_a_session_counts_what_is_under_way, begin, end),
        cmocka_unit_test_setup_teardown(the_end_of_many_ephemerals_is_a_small_transaction, begin, end),
        cmocka_unit_test_setup_teardown(limits_hold_for_the_transaction_that_results, begin, end),
        cmocka_unit_test_setup_teardown(sessions_come_in_slices, begin, end),
        cmocka_unit_test_setup_teardown(a_full_cluster_takes_no_session, begin, end),
        cmocka_unit_test_setup_teardown(timeouts_are_clamped, begin, end),
        cmocka_unit_test_setup_teardown(containers_and_ttl_nodes_go, begin, end),
        cmocka_unit_test_setup_teardown(outcomes_are_kept_until_acknowledged, begin, end),
        cmocka_unit_test_setup_teardown(leases_expire_when_due_and_jumps_extend_them, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
