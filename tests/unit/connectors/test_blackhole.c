/* SPDX-License-Identifier: Apache-2.0 */
/* The blackhole's checksum depends on the rows, and on nothing else. */
#include "weir/connector/blackhole.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "api/src/env.h"
#include "runtime/base/hash.h"
#include "tests/support/fake_state.h"
#include "tests/unit/connectors/sample_row.h"
#include "weir/connector/generator.h"

static const struct weir_operator *the_operator(void)
{
    static const struct weir_operator *op;
    struct weir_env *env = NULL;
    struct weir_generator config = {.rows = 1};
    assert_int_equal(weir_env_new(&env, "test", "/", 1), WEIR_OK);
    assert_non_null(weir_to_blackhole(weir_from_generator(env, "in", &config), "hole"));
    op = weir_env_node(env, 1)->op; /* a constant of the connector */
    weir_env_destroy(&env);
    return op;
}

static struct fake *random_rows(uint64_t seed, int n, uint32_t frame_bytes)
{
    struct fake *f = fake_new(&(struct fake_options){.n_outs = 1, .frame_bytes = frame_bytes});
    for (int i = 0; i < n; i++) emit_random(f, &seed);
    fake_flush(f);
    return f;
}

static void it_counts_and_sums_hashes(void **state)
{
    (void)state;
    struct fake *rows = random_rows(1, 5000, 0), *f = fake_new(&(struct fake_options){0});
    uint64_t expected = 0;
    for (uint32_t i = 0; i < fake_count(rows, 0); i++) {
        struct weir_record *rec = fake_record(rows, 0, i);
        rec->kind = (uint8_t)(i % 4);
        expected += hash64_seed(weir_record_row(rec), rec->size, rec->kind);
    }
    fake_state_open(f);
    assert_ok(f, fake_op_open(f, the_operator()));
    assert_ok(f, fake_op_feed(f, rows, 0));
    assert_int_equal(fake_counter(f, "rows"), 5000);
    assert_true(fake_counter(f, "checksum") == expected);
    fake_close(rows);
    fake_close(f);
}

/* The same rows in other batches, over two subtasks, backwards: the same sum. One row changed: another. */
static void order_and_batches_make_no_difference(void **state)
{
    (void)state;
    struct fake *rows = random_rows(2, 1000, 0), *small = random_rows(2, 1000, 512);
    struct fake *a = fake_new(&(struct fake_options){0}), *b = fake_new(&(struct fake_options){0}),
                *c = fake_new(&(struct fake_options){0});
    fake_state_open(a);
    assert_ok(a, fake_op_open(a, the_operator()));
    fake_state_open(b);
    assert_ok(b, fake_op_open(b, the_operator()));
    fake_state_open(c);
    assert_ok(c, fake_op_open(c, the_operator()));
    assert_ok(a, fake_op_feed(a, rows, 0));
    for (uint32_t i = 1000; i-- > 0;) {
        struct weir_record *rec = fake_record(small, 0, i);
        struct weir_batch one = {.data = (unsigned char *)rec, .count = 1, .stride = weir_record_span(rec->size)};
        assert_ok(b, fake_op_process(i % 3 ? b : c, &one));
    }
    assert_true(fake_counter(a, "rows") == fake_counter(b, "rows") + fake_counter(c, "rows"));
    assert_true(fake_counter(a, "checksum") == fake_counter(b, "checksum") + fake_counter(c, "checksum"));
    uint64_t before = fake_counter(a, "checksum");
    ((struct sample *)fake_row(rows, 0, 500))->wide ^= 1;
    assert_ok(a, fake_op_feed(a, rows, 0));
    assert_true(fake_counter(a, "checksum") != 2 * before);
    fake_close(rows);
    fake_close(small);
    fake_close(a);
    fake_close(b);
    fake_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_counts_and_sums_hashes),
        cmocka_unit_test(order_and_batches_make_no_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
