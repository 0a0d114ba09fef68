/* SPDX-License-Identifier: Apache-2.0 */
#include "connectors/text/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/connectors/sample_row.h"

/* A fake with a row of `schema` to read into. */
struct reader {
    struct fake *f;
    struct row_text row;
};

static struct reader open_reader(const struct weir_schema *schema, enum weir_file_time time_format)
{
    struct reader r = {.f = fake_new(&(struct fake_options){.n_outs = 1})};
    assert_ok(r.f, row_text_init(&r.row, schema, time_format, &r.f->diag));
    return r;
}

static void close_reader(struct reader *r)
{
    row_text_close(&r->row);
    fake_close(r->f);
}

static weir_err read_json(struct reader *r, const char *text, size_t *at)
{
    fake_clear(r->f, 0);
    return read_sample(r->f, json_read_row, &r->row, text, strlen(text), at);
}

static void assert_pair(struct reader *r, const char *json, int64_t id, const char *text, size_t len)
{
    size_t at;
    assert_ok(r->f, read_json(r, json, &at));
    const struct pair *row = fake_row(r->f, 0, 0);
    assert_true(row->id == id);
    assert_int_equal(row->text.length, len);
    assert_memory_equal(weir_str_data(row, row->text), text, len);
}

static void json_is_written_without_spaces(void **state)
{
    (void)state;
    struct fake *f = fake_new(&(struct fake_options){.n_outs = 1});
    struct sample row;
    memset(&row, 0, sizeof row);
    row.flag = true;
    row.small = -5;
    row.wide = INT64_MIN;
    row.real = 2.5;
    row.at = 1431857100000;
    row.name = weir_put_str(f->ctx.out, sizeof row, "a\"b\\c/\n\x1f\xc3\xa4", 10);
    row.note = weir_put_str(f->ctx.out, sizeof row, NULL, 0);
    assert_ok(f, weir_emit(f->ctx.out, &row, sizeof row, 0));
    fake_flush(f);
    struct text_buf buf = {0};
    assert_true(json_write_row(&buf, &sample_schema, fake_row(f, 0, 0), WEIR_FILE_TIME_MS));
    assert_true(json_write_row(&buf, &sample_schema, fake_row(f, 0, 0), WEIR_FILE_TIME_ISO));
    ((struct sample *)fake_row(f, 0, 0))->real = -(double)INFINITY;
    assert_true(json_write_row(&buf, &sample_schema, fake_row(f, 0, 0), WEIR_FILE_TIME_MS));
    assert_true(text_reserve(&buf, 1));
    buf.data[buf.len] = '\0';
#define FRONT "{\"flag\":true,\"small\":-5,\"wide\":-9223372036854775808,\"real\":"
#define BACK ",\"name\":\"a\\\"b\\\\c/\\u000a\\u001f\xc3\xa4\",\"note\":\"\"}\n"
    assert_string_equal(buf.data, FRONT "2.5,\"at\":1431857100000" BACK FRONT "2.5,\"at\":\"2015-05-17T10:05:00Z\"" BACK FRONT
                                        "\"-inf\",\"at\":1431857100000" BACK);
    text_close(&buf);
    fake_close(f);
}

static void json_round_trip(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed;
        enum weir_file_time time_format = seed % 2 ? WEIR_FILE_TIME_MS : WEIR_FILE_TIME_ISO;
        struct reader r = open_reader(&sample_schema, time_format);
        struct fake *from = fake_new(&(struct fake_options){.n_outs = 1});
        for (int i = 0; i < 200; i++) emit_random(from, &random);
        fake_flush(from);
        for (uint32_t i = 0; i < fake_count(from, 0); i++) {
            struct text_buf buf = {0};
            size_t at = 0;
            assert_true(json_write_row(&buf, &sample_schema, fake_row(from, 0, i), time_format));
            assert_null(memchr(buf.data, '\n', buf.len - 1)); /* always one line */
            assert_ok(r.f, read_sample(r.f, json_read_row, &r.row, buf.data, buf.len - 1, &at));
            assert_true(same_sample(fake_row(from, 0, i), fake_row(r.f, 0, i)));
            text_close(&buf);
        }
        fake_close(from);
        close_reader(&r);
    }
}

static void keys_come_in_any_order(void **state)
{
    (void)state;
    struct reader r = open_reader(&pair_schema, WEIR_FILE_TIME_MS);
    assert_pair(&r, "{\"text\":\"x\",\"id\":7}", 7, "x", 1);
    assert_pair(&r, " { \"id\" : -7 ,\t\"text\" : \"\" } ", -7, "", 0);
    assert_pair(&r, "{\"\\u0069d\":0,\"te\\u0078t\":\"x\"}", 0, "x", 1); /* keys may be escaped */
    assert_pair(&r, "{\"type\":\"P\",\"id\":1,\"i\":2,\"idd\":[],\"text\":\"x\",\"\":null}", 1, "x", 1);
    assert_pair(&r, "{\"a\":{\"id\":9,\"b\":[1,{\"c\":[]},{},true,-1.5e+3,\"}]\\\"\"]},\"id\":1,\"text\":\"x\"}", 1, "x", 1);
    assert_pair(&r, "{\"id\":9223372036854775807,\"text\":\"x\"}", INT64_MAX, "x", 1);
    assert_pair(&r, "{\"id\":-0,\"text\":\"x\"}", 0, "x", 1);
    assert_pair(&r, "{\"id\\u0000\":4,\"id\":5,\"text\":\"x\"}", 5, "x", 1);
    close_reader(&r);
}

static void escapes_become_utf8(void **state)
{
    (void)state;
    struct reader r = open_reader(&pair_schema, WEIR_FILE_TIME_MS);
    assert_pair(&r, "{\"id\":1,\"text\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", 1, "\"\\/\b\f\n\r\t", 8);
    assert_pair(&r, "{\"id\":1,\"text\":\"\\u0041\\u00e4\\u20AC\\ud83d\\ude00\"}", 1, "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 10);
    assert_pair(&r, "{\"id\":1,\"text\":\"a\\u0000b\"}", 1, "a\0b", 3);
    assert_pair(&r, "{\"id\":1,\"text\":\"\\udbff\\udfff\"}", 1, "\xf4\x8f\xbf\xbf", 4);
    assert_pair(&r, "{\"id\":1,\"text\":\"\xff\xc3\"}", 1, "\xff\xc3", 2); /* bytes that are no UTF-8 stay as they are */
    close_reader(&r);
}

static void nested(char *to, const char *open, const char *close, int depth)
{
    to += sprintf(to, "{\"x\":");
    for (int i = 0; i < depth; i++) to += sprintf(to, "%s", open);
    to += sprintf(to, "1");
    for (int i = 0; i < depth; i++) to += sprintf(to, "%s", close);
    sprintf(to, ",\"id\":1,\"text\":\"x\"}");
}

static void unknown_values_nest_to_the_limit(void **state)
{
    (void)state;
    struct reader r = open_reader(&pair_schema, WEIR_FILE_TIME_MS);
    char json[1024];
    size_t at;
    nested(json, "[", "]", JSON_DEPTH_MAX);
    assert_pair(&r, json, 1, "x", 1);
    nested(json, "{\"y\":", "}", JSON_DEPTH_MAX);
    assert_pair(&r, json, 1, "x", 1);
    nested(json, "[", "]", JSON_DEPTH_MAX + 1);
    assert_int_equal(read_json(&r, json, &at), WEIR_E_LIMIT);
    assert_int_equal(at, 5 + JSON_DEPTH_MAX);
    nested(json, "{\"y\":", "}", JSON_DEPTH_MAX + 1);
    assert_int_equal(read_json(&r, json, &at), WEIR_E_LIMIT);
    close_reader(&r);
}

struct refusal {
    const char *text;
    size_t at;
    const char *words;
};

static void hostile_json_is_refused_in_words(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"", 0, "not a JSON line: an object must begin here: \"\""},
        {"[]", 0, "not a JSON line: an object must begin here: \"[]\""},
        {"{}", 2, "field \"id\": missing"},
        {"{\"id\":1}", 8, "field \"text\": missing"},
        {"{\"id\":1,\"text\":\"x\"} x", 20, "not a JSON line: text behind the object: \"x\""},
        {"{\"id\":1,\"text\":\"x\",}", 19, "not a JSON line: a string must begin here: \"}\""},
        {"{\"id\":1 \"text\":\"x\"}", 8, "not a JSON line: a ',' or '}' must stand here: \"\"text\":\"x\"}\""},
        {"{\"id\" 1,\"text\":\"x\"}", 6, "not a JSON line: a ':' must follow the key: \"1,\"text\":\"x\"}\""},
        {"{id:1,\"text\":\"x\"}", 1, "not a JSON line: a string must begin here: \"id:1,\"text\":\"x\"}\""},
        {"{\"id\":1,\"id\":2,\"text\":\"x\"}", 9, "field \"id\": \"id\" stands twice"},
        {"{\"id\":9223372036854775808,\"text\":\"x\"}", 6, "field \"id\": \"9223372036854775808\" is out of range for a 64-bit integer"},
        {"{\"id\":1.0,\"text\":\"x\"}", 6, "field \"id\": \"1.0\" is not an integer"},
        {"{\"id\":1e3,\"text\":\"x\"}", 6, "field \"id\": \"1e3\" is not an integer"},
        {"{\"id\":007,\"text\":\"x\"}", 9, "not a JSON line: not a JSON value: \",\"text\":\"x\"}\""},
        {"{\"id\":+7,\"text\":\"x\"}", 6, "not a JSON line: not a JSON value: \"+7,\"text\":\"x\"}\""},
        {"{\"id\":null,\"text\":\"x\"}", 6, "field \"id\": \"null\" is not an integer"},
        {"{\"id\":[7],\"text\":\"x\"}", 6, "field \"id\": \"[7]\" is not an integer"},
        {"{\"id\":\"7\",\"text\":\"x\"}", 6, "field \"id\": \"\"7\",\"text\":\"x\"}\" begins with a string, not the bare value"},
        {"{\"id\":7,\"text\":x}", 15, "field \"text\": \"x}\" begins with no string"},
        {"{\"id\":7,\"text\":null}", 15, "field \"text\": \"null}\" begins with no string"},
        {"{\"id\":7,\"text\":\"x", 17, "not a JSON line: the string does not end: \"\""},
        {"{\"id\":7,\"text\":\"\\", 17, "not a JSON line: the string does not end: \"\""},
        {"{\"id\":7,\"text\":\"\\x\"}", 18, "not a JSON line: an escape JSON does not know: \"\"}\""},
        {"{\"id\":7,\"text\":\"\x01\"}", 16, "not a JSON line: a control character inside a string: \"\\x01\"}\""},
        {"{\"id\":7,\"text\":\"\\u12\"}", 20, "not a JSON line: \\u needs four hex digits: \"\"}\""},
        {"{\"id\":7,\"text\":\"\\ud800\"}", 22, "not a JSON line: half a surrogate pair: \"\"}\""},
        {"{\"id\":7,\"text\":\"\\ud800\\u0041\"}", 28, "not a JSON line: half a surrogate pair: \"\"}\""},
        {"{\"id\":7,\"text\":\"\\udc00\"}", 22, "not a JSON line: half a surrogate pair: \"\"}\""},
        {"{\"x\":[1,],\"id\":7,\"text\":\"x\"}", 8, "not a JSON line: not a JSON value: \"],\"id\":7,\"text\":\"x\"}\""},
        {"{\"x\":[1}],\"id\":7,\"text\":\"x\"}", 7, "not a JSON line: a ',' or ']' must stand here: \"}],\"id\":7,\"text\":\"x\"}\""},
        {"{\"x\":{\"y\"},\"id\":7}", 9, "not a JSON line: a ':' must follow the key: \"},\"id\":7}\""},
        {"{\"x\":{\"y\":1,},\"id\":7}", 12, "not a JSON line: a string must begin here: \"},\"id\":7}\""},
        {"{\"x\":nul,\"id\":7}", 5, "not a JSON line: not a JSON value: \"nul,\"id\":7}\""},
        {"{\"x\":1.,\"id\":7}", 7, "not a JSON line: a digit must follow the point: \",\"id\":7}\""},
        {"{\"x\":1e,\"id\":7}", 7, "not a JSON line: a digit must follow the exponent's e: \",\"id\":7}\""},
    };
    struct reader r = open_reader(&pair_schema, WEIR_FILE_TIME_MS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t at = 99;
        assert_int_equal(read_json(&r, cases[i].text, &at), WEIR_E_CORRUPT);
        assert_string_equal(r.f->diag.text, cases[i].words);
        assert_int_equal(at, cases[i].at);
    }
    close_reader(&r);
}

static void numbers_keep_to_their_types(void **state)
{
    (void)state;
    static const char shape[] = "{\"flag\":%s,\"small\":%s,\"wide\":1,\"real\":%s,\"at\":%s,\"name\":\"\",\"note\":\"\"}";
    static const char *const cases[][5] = {
        {"true", "1", "1", "\"2015-05-17T10:05:00Z\"", ""},
        {"true", "1", "\"nan\"", "\"2015-05-17T10:05:00Z\"", ""},
        {"true", "1", "-1.5E-3", "\"2015-05-17T10:05:00Z\"", ""},
        {"1", "1", "1", "\"2015-05-17T10:05:00Z\"", "field \"flag\": \"1\" is neither true nor false"},
        {"true", "2147483648", "1", "\"2015-05-17T10:05:00Z\"", "field \"small\": \"2147483648\" is out of range for a 32-bit integer"},
        {"true", "-2147483649", "1", "\"2015-05-17T10:05:00Z\"", "field \"small\": \"-2147483649\" is out of range for a 32-bit integer"},
        {"true", "1", "1e309", "\"2015-05-17T10:05:00Z\"", "field \"real\": \"1e309\" is out of range for a double"},
        {"true", "1", "\"1\"", "\"2015-05-17T10:05:00Z\"", "field \"real\": \"1\" is a string, not a number"},
        {"true", "1", "false", "\"2015-05-17T10:05:00Z\"", "field \"real\": \"false\" is not a number"},
        {"true", "1", "1", "\"yesterday\"", "field \"at\": \"yesterday\" is not an ISO-8601 time like 2015-05-17T10:05:00Z"},
    };
    struct reader r = open_reader(&sample_schema, WEIR_FILE_TIME_ISO);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char json[256];
        size_t at;
        snprintf(json, sizeof json, shape, cases[i][0], cases[i][1], cases[i][2], cases[i][3]);
        weir_err err = read_json(&r, json, &at);
        assert_int_equal(err, *cases[i][4] ? WEIR_E_CORRUPT : WEIR_OK);
        if (err) assert_string_equal(r.f->diag.text, cases[i][4]);
    }
    close_reader(&r);
}

/* No beginning of a line is a line, and no byte of it can be changed to something that does harm. */
static void cut_and_changed_lines_do_no_harm(void **state)
{
    (void)state;
    static const char good[] = "{\"flag\":true,\"small\":-5,\"skip\":[{\"a\":null},[]],\"wide\":123,\"real\":2.5,\"at\":1431857100000,"
                               "\"name\":\"\\ud83d\\ude00\\n\",\"note\":\"x\"}";
    struct reader r = open_reader(&sample_schema, WEIR_FILE_TIME_MS);
    size_t at;
    assert_ok(r.f, read_json(&r, good, &at));
    for (size_t len = 0; len < sizeof good - 1; len++) {
        assert_int_equal(read_sample(r.f, json_read_row, &r.row, good, len, &at), WEIR_E_CORRUPT);
        assert_in_range(at, 0, len);
    }
    uint64_t seed = 5;
    for (int i = 0; i < 50000; i++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (uint64_t n = next_random(&seed) % 4; n > 0; n--) text[next_random(&seed) % (sizeof good - 1)] = (char)next_random(&seed);
        size_t len = sizeof good - 1 - (next_random(&seed) % 4 ? 0 : next_random(&seed) % 20);
        weir_err err = read_sample(r.f, json_read_row, &r.row, text, len, &at);
        assert_true(err == WEIR_OK || err == WEIR_E_CORRUPT);
        if (err) assert_in_range(at, 0, len);
        if (fake_count(r.f, 0) > 1000) fake_clear(r.f, 0);
    }
    close_reader(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_written_without_spaces),   cmocka_unit_test(json_round_trip),
        cmocka_unit_test(keys_come_in_any_order),           cmocka_unit_test(escapes_become_utf8),
        cmocka_unit_test(unknown_values_nest_to_the_limit), cmocka_unit_test(hostile_json_is_refused_in_words),
        cmocka_unit_test(numbers_keep_to_their_types),      cmocka_unit_test(cut_and_changed_lines_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
