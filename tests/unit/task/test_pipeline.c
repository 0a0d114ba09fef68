/* SPDX-License-Identifier: Apache-2.0 */
/* The record path with real threads and channels: results do not depend on parallelism, and failures name their operator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "tests/support/local/local_job.h"
#include "weir/connector/blackhole.h"
#include "weir/connector/generator.h"

#define ROWS 200000
#define KEYS 997

static inline void halve(struct weir_generated *r)
{
    r->value /= 2;
}
WEIR_UPDATE(halve_op, weir_generated, halve);

static inline bool keep(const struct weir_generated *r)
{
    return r->seq % 3 != 0;
}
WEIR_FILTER(keep_op, weir_generated, keep);

WEIR_KEY_FIXED(by_key, weir_generated, key);

struct sum {
    int64_t n, total;
};
struct total {
    int64_t key, n, total;
    weir_time start;
};
WEIR_ROW(total, WEIR_FIELD(total, 1, I64, key), WEIR_FIELD(total, 2, I64, n), WEIR_FIELD(total, 3, I64, total),
         WEIR_FIELD(total, 4, TIME, start));

static void sum_add(struct sum *acc, const struct weir_generated *r, weir_time time)
{
    (void)time;
    acc->n++;
    acc->total += r->value >> 32; /* so that no sum leaves its type */
}
static void sum_merge(struct sum *into, const struct sum *from)
{
    into->n += from->n;
    into->total += from->total;
}
static weir_err sum_emit(struct weir_ctx *ctx, const struct sum *acc, const struct weir_key *key, weir_time start, weir_time end)
{
    struct total row = {.n = acc->n, .total = acc->total, .start = start};
    memcpy(&row.key, key->data, sizeof row.key);
    return weir_emit(ctx->out, &row, sizeof row, end - 1);
}
WEIR_AGGREGATE(sums, weir_generated, sum, total, sum_add, sum_merge, sum_emit);

static struct weir_stream *rows(struct weir_env *env, int64_t n)
{
    return weir_from_generator(env, "generate", &(struct weir_generator){.seed = 7, .rows = n, .keys = KEYS, .rate = 10000});
}

static weir_err build_windows(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *s = weir_filter(weir_map(rows(env, ROWS), "halve", &halve_op), "keep", &keep_op);
    struct weir_window w = {.kind = WEIR_TUMBLING, .size_ms = 1000};
    weir_to_blackhole(weir_window_aggregate(weir_key_by(s, &by_key), "sum", &w, &sums), "end");
    return WEIR_OK;
}

static void results_do_not_depend_on_parallelism(void **state)
{
    (void)state;
    uint64_t rows_first = 0, checksum_first = 0;
    for (uint32_t p = 1; p <= 5; p++) {
        struct local_job job;
        struct weir_diag diag = {0};
        weir_err err = local_job_run(&job, build_windows, p, 0, NULL, &diag);
        if (err) print_error("parallelism %u: %s: %s\n", p, job.failed_id ? job.failed_id : "", diag.text);
        assert_int_equal(err, WEIR_OK);
        uint64_t n = local_job_counter(&job, "end", "rows"), checksum = local_job_counter(&job, "end", "checksum");
        if (p == 1) {
            rows_first = n;
            checksum_first = checksum;
        }
        assert_true(n > 0);
        assert_int_equal(n, rows_first);
        assert_true(checksum == checksum_first);
        assert_int_equal(local_job_counter(&job, "sum", "late"), 0);
        local_job_close(&job);
    }
}

/* ---- shared batches: two branches, one of which edits its rows ---- */

static weir_err build_branches(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *s = rows(env, ROWS);
    weir_to_blackhole(weir_map(s, "halve", &halve_op), "halved");
    weir_to_blackhole(s, "plain");
    return WEIR_OK;
}

static weir_err build_plain(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    weir_to_blackhole(rows(env, ROWS), "plain");
    return WEIR_OK;
}

static void an_update_in_one_branch_is_not_seen_in_another(void **state)
{
    (void)state;
    struct local_job both, one;
    assert_int_equal(local_job_run(&both, build_branches, 2, 0, NULL, NULL), WEIR_OK);
    assert_int_equal(local_job_run(&one, build_plain, 2, 0, NULL, NULL), WEIR_OK);
    assert_int_equal(local_job_counter(&both, "plain", "rows"), ROWS);
    assert_true(local_job_counter(&both, "plain", "checksum") == local_job_counter(&one, "plain", "checksum"));
    assert_true(local_job_counter(&both, "halved", "checksum") != local_job_counter(&one, "plain", "checksum"));
    local_job_close(&both);
    local_job_close(&one);
}

/* ---- every way of partitioning delivers everything, once (or once to each) ---- */

static weir_err build_partition(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)diag;
    struct weir_stream *s = weir_set_parallelism(rows(env, ROWS), 3);
    if (argv[0][0] == 'r') s = weir_rebalance(s);
    if (argv[0][0] == 'b') s = weir_broadcast(s);
    if (argv[0][0] == 'g') s = weir_global(s);
    if (argv[0][0] == 'k') s = weir_key_by(s, &by_key);
    weir_set_parallelism(weir_to_blackhole(s, "end"), 4);
    return WEIR_OK;
}

static void every_partitioning_delivers_all(void **state)
{
    (void)state;
    const char *kinds[] = {"forward", "rebalance", "broadcast", "global", "key"};
    for (int i = 0; i < 5; i++) {
        struct local_job job;
        char *argv[] = {(char *)(uintptr_t)kinds[i]};
        assert_int_equal(local_job_run(&job, build_partition, 2, 1, argv, NULL), WEIR_OK);
        assert_int_equal(local_job_counter(&job, "end", "rows"), kinds[i][0] == 'b' ? 4 * ROWS : ROWS);
        local_job_close(&job);
    }
}

/* ---- an operator that multiplies: moderate growth flows, endless growth is a failure with its name ---- */

static int64_t copies;

static inline weir_err multiply(struct weir_none *self, struct weir_ctx *ctx, const struct weir_generated *r, const struct weir_record *rec)
{
    (void)self;
    for (int64_t i = 0; i < copies; i++) {
        weir_err err = weir_emit(ctx->out, r, sizeof *r, rec->time_ms);
        if (err) return err;
    }
    return WEIR_OK;
}
WEIR_FLAT_MAP(multiply_op, weir_generated, weir_generated, multiply);

static weir_err build_multiply(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *s = weir_flat_map(rows(env, 100), "multiply", &multiply_op);
    weir_to_blackhole(weir_rebalance(s), "end");
    return WEIR_OK;
}

static void growth_within_the_limit_flows(void **state)
{
    (void)state;
    struct local_job job;
    copies = 3000;
    assert_int_equal(local_job_run(&job, build_multiply, 2, 0, NULL, NULL), WEIR_OK);
    assert_int_equal(local_job_counter(&job, "end", "rows"), 300000);
    local_job_close(&job);
}

static void endless_growth_fails_and_is_named(void **state)
{
    (void)state;
    struct local_job job;
    struct weir_diag diag = {0};
    copies = INT64_MAX;
    assert_int_equal(local_job_run(&job, build_multiply, 2, 0, NULL, &diag), WEIR_E_LIMIT);
    assert_string_equal(job.failed_id, "multiply");
    assert_non_null(strstr(diag.text, "WEIR_OVERFLOW_MAX"));
    local_job_close(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_do_not_depend_on_parallelism), cmocka_unit_test(an_update_in_one_branch_is_not_seen_in_another),
        cmocka_unit_test(every_partitioning_delivers_all),      cmocka_unit_test(growth_within_the_limit_flows),
        cmocka_unit_test(endless_growth_fails_and_is_named),
    };
    return LOCAL_JOB_RUN_TESTS(tests);
}
