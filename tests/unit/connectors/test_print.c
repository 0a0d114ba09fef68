/* SPDX-License-Identifier: Apache-2.0 */
#include "weir/connector/print.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/src/env.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/connectors/sample_row.h"

static weir_err nothing(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    (void)config, (void)parallelism, (void)splits, (void)diag;
    return WEIR_OK;
}

static weir_err read_nothing(void *self, struct weir_ctx *ctx)
{
    (void)self, (void)ctx;
    return WEIR_DONE;
}

/* Feeds `rows` to a print step with standard output in a file; gives its text. */
static char *printed(const struct weir_print *config, const struct weir_schema *schema, const struct fake *rows, weir_err *err)
{
    struct temp_dir dir;
    struct weir_env *env = NULL;
    struct weir_source source = {
        .struct_size = sizeof source, .name = "nothing", .schema = schema, .discover = nothing, .read = read_nothing};
    temp_dir_make(&dir);
    assert_int_equal(weir_env_new(&env, "test", "/", 1), WEIR_OK);
    assert_non_null(weir_to_print(weir_from(env, "in", &source, NULL, 0), "look", config));
    struct fake *f =
        fake_new(&(struct fake_options){.config = weir_env_node(env, 1)->config, .subtask = 3, .parallelism = 4, .operator_id = "look"});
    assert_ok(f, fake_op_open(f, weir_env_node(env, 1)->op));
    fflush(stdout);
    int before = dup(STDOUT_FILENO), to = open(temp_path(&dir, "out"), O_WRONLY | O_CREAT, 0600);
    assert_true(before >= 0 && to >= 0);
    dup2(to, STDOUT_FILENO);
    *err = fake_op_feed(f, rows, 0);
    dup2(before, STDOUT_FILENO);
    close(before);
    close(to);
    size_t len;
    char *text = temp_read(temp_path(&dir, "out"), &len);
    temp_dir_remove(&dir);
    fake_close(f);
    weir_env_destroy(&env);
    return text;
}

static struct fake *one_row(uint8_t kind, double real, weir_time at)
{
    struct fake *f = fake_new(&(struct fake_options){.n_outs = 1});
    struct sample row;
    memset(&row, 0, sizeof row);
    row.small = -1;
    row.wide = INT64_MIN;
    row.real = real;
    row.at = at;
    row.name = weir_put_str(f->ctx.out, sizeof row, "a,\"b\"", 5);
    row.note = weir_put_str(f->ctx.out, sizeof row, "plain", 5);
    assert_ok(f, weir_emit_kind(f->ctx.out, &row, sizeof row, 0, kind));
    fake_flush(f);
    return f;
}

static void assert_prints(const struct weir_print *config, const struct weir_schema *schema, struct fake *rows, const char *expected)
{
    weir_err err;
    char *text = printed(config, schema, rows, &err);
    assert_int_equal(err, WEIR_OK);
    assert_string_equal(text, expected);
    free(text);
    fake_close(rows);
}

static void rows_are_printed_as_csv(void **state)
{
    (void)state;
#define ROW(real, at) "false,-1,-9223372036854775808," real "," at ",\"a,\"\"b\"\"\",plain\n"
    struct weir_print prefix = {.prefix = "hits"};
    assert_prints(NULL, &sample_schema, one_row(WEIR_INSERT, 0.1, 1431857100000), "look:3> " ROW("0.1", "2015-05-17T10:05:00Z"));
    assert_prints(&prefix, &sample_schema, one_row(WEIR_DELETE, 2, 1431857100007), "hits:3> -D " ROW("2", "2015-05-17T10:05:00.007Z"));
    assert_prints(&prefix, &sample_schema, one_row(WEIR_UPDATE_AFTER, 1e300, -1), "hits:3> +U " ROW("1e+300", "1969-12-31T23:59:59.999Z"));
    assert_prints(&prefix, &sample_schema, one_row(WEIR_UPDATE_BEFORE, -2.5, WEIR_TIME_MIN),
                  "hits:3> -U " ROW("-2.5", "-292275055-05-16T16:47:04.192Z"));
    assert_prints(&(struct weir_print){.prefix = ""}, &sample_schema, one_row(WEIR_DELETE, 2, 0), "-D " ROW("2", "1970-01-01T00:00:00Z"));
    struct fake *row = one_row(WEIR_INSERT, 0, 0);
    char expected[64];
    snprintf(expected, sizeof expected, "hits:3> (%u bytes of an unknown type)\n", fake_record(row, 0, 0)->size);
    assert_prints(&prefix, NULL, row, expected);
}

struct text_row {
    struct weir_str text;
};
WEIR_ROW(text_row, WEIR_FIELD(text_row, 1, STR, text));

static void lines_are_printed_as_they_are(void **state)
{
    (void)state;
    const struct weir_print lines = {.prefix = "", .lines = true};
    struct fake *f = fake_new(&(struct fake_options){.n_outs = 1});
    struct text_row row = {.text = weir_put_str(f->ctx.out, sizeof row, "a,\"b\"", 5)};
    assert_ok(f, weir_emit(f->ctx.out, &row, sizeof row, 0));
    fake_flush(f);
    assert_prints(&lines, &text_row_schema, f, "a,\"b\"\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_printed_as_csv), cmocka_unit_test(lines_are_printed_as_they_are)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
