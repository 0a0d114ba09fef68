/* SPDX-License-Identifier: Apache-2.0 */
/* CSV rows, and the numbers and times in all text formats. */
#include "connectors/text/csv.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "connectors/text/number_text.h"
#include "connectors/text/time_text.h"
#include "tests/unit/connectors/sample_row.h"

/* ---- numbers --------------------------------------------------------------------------------------------------------------------- */

static void assert_i64_text(int64_t value, const char *expected)
{
    char text[NUMBER_TEXT_MAX + 1];
    text[number_write_i64(text, value)] = '\0';
    assert_string_equal(text, expected);
    int64_t back = 0;
    assert_int_equal(number_read_i64(text, strlen(text), &back), NUMBER_OK);
    assert_true(back == value);
}

static void integers_are_exact_to_the_last(void **state)
{
    (void)state;
    assert_i64_text(0, "0");
    assert_i64_text(-1, "-1");
    assert_i64_text(99, "99");
    assert_i64_text(100, "100");
    assert_i64_text(INT64_MAX, "9223372036854775807");
    assert_i64_text(INT64_MIN, "-9223372036854775808");
    int64_t value = 42;
    static const char *const malformed[] = {"", "-", "+1", "1 ", " 1", "1.0", "1e3", "0x1", "--1", "12a", "99999999999999999999a"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        assert_int_equal(number_read_i64(malformed[i], strlen(malformed[i]), &value), NUMBER_MALFORMED);
    }
    static const char *const large[] = {"9223372036854775808", "-9223372036854775809", "18446744073709551616", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        assert_int_equal(number_read_i64(large[i], strlen(large[i]), &value), NUMBER_RANGE);
    }
    assert_true(value == 42); /* untouched */
    assert_int_equal(number_read_i64("0007", 4, &value), NUMBER_OK);
    assert_true(value == 7);
}

static void assert_decimal_text(int64_t value, uint32_t scale, const char *expected)
{
    char text[NUMBER_TEXT_MAX + 1];
    text[number_write_decimal(text, value, scale)] = '\0';
    assert_string_equal(text, expected);
    int64_t back = 0;
    assert_int_equal(number_read_decimal(text, strlen(text), scale, &back), NUMBER_OK);
    assert_true(back == value);
}

static void decimals_have_their_scale(void **state)
{
    (void)state;
    assert_decimal_text(101696, 3, "101.696");
    assert_decimal_text(-5, 2, "-0.05");
    assert_decimal_text(0, 3, "0.000");
    assert_decimal_text(7, 0, "7");
    assert_decimal_text(INT64_MIN, 18, "-9.223372036854775808");
    assert_decimal_text(INT64_MAX, 1, "922337203685477580.7");
    int64_t value = 42;
    static const char *const malformed[] = {"", "-", ".5", "-.5", "1.", "1.2.3", "1.-2", "+1", "1,5", "a.5", "1e3", "1.23456x"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        assert_int_equal(number_read_decimal(malformed[i], strlen(malformed[i]), 3, &value), NUMBER_MALFORMED);
    static const char *const wrong[] = {"1.2345", "9223372036854775.808", "-9223372036854775.809",
                                        "99999999999999999999999999999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(number_read_decimal(wrong[i], strlen(wrong[i]), 3, &value), NUMBER_RANGE);
    assert_true(value == 42); /* untouched */
    assert_int_equal(number_read_decimal("1.5", 3, 3, &value), NUMBER_OK);
    assert_true(value == 1500);
}

static void assert_f64_text(double value, const char *expected)
{
    char text[NUMBER_TEXT_MAX + 1];
    text[number_write_f64(text, value)] = '\0';
    assert_string_equal(text, expected);
}

static void doubles_are_written_short(void **state)
{
    (void)state;
    assert_f64_text(0.0, "0");
    assert_f64_text(-0.0, "-0");
    assert_f64_text(3.0, "3");
    assert_f64_text(0.1, "0.1");
    assert_f64_text(-2.5, "-2.5");
    assert_f64_text(1234.5678, "1234.5678");
    assert_f64_text(0.00001, "0.00001");
    assert_f64_text(1.0 / 3, "0.3333333333333333");
    assert_f64_text(1e300, "1e+300");
    assert_f64_text(5e-324, "4.94065645841247e-324");
    assert_f64_text(9007199254740993.0, "9007199254740992");
    assert_f64_text((double)INFINITY, "inf");
    assert_f64_text(-(double)INFINITY, "-inf");
    assert_f64_text((double)NAN, "nan");
}

static void every_double_reads_back(void **state)
{
    (void)state;
    uint64_t seed = 7;
    for (int i = 0; i < 200000; i++) {
        double value = random_f64(&seed), back = 0;
        char text[NUMBER_TEXT_MAX];
        size_t len = number_write_f64(text, value);
        assert_in_range(len, 1, NUMBER_TEXT_MAX);
        assert_int_equal(number_read_f64(text, len, &back), NUMBER_OK);
        assert_memory_equal(&value, &back, sizeof value);
    }
}

/* The fast path must agree with the C library on what people write. */
static void doubles_are_read_as_strtod_does(void **state)
{
    (void)state;
    uint64_t seed = 8;
    for (int i = 0; i < 100000; i++) {
        uint64_t r = next_random(&seed);
        char text[64];
        int len =
            snprintf(text, sizeof text, "%s%llu.%0*llue%d", r & 1 ? "-" : "", (unsigned long long)(next_random(&seed) >> (r >> 8) % 64),
                     (int)((r >> 16) % 18) + 1, (unsigned long long)(r >> 48), (int)((r >> 24) % 60) - 30);
        double value = 0, expected = strtod(text, NULL);
        assert_int_equal(number_read_f64(text, (size_t)len, &value), NUMBER_OK);
        assert_memory_equal(&value, &expected, sizeof value);
    }
    double value = 1;
    static const char *const malformed[] = {"", "-", ".5", "1.", "1e", "1e+", "+1", "1,5", "0x1p3", "NaN", "infinity", "1 ", "1.5.5", "e5"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        assert_int_equal(number_read_f64(malformed[i], strlen(malformed[i]), &value), NUMBER_MALFORMED);
    }
    assert_int_equal(number_read_f64("1e309", 5, &value), NUMBER_RANGE);
    assert_int_equal(number_read_f64("-1e999999999999999999999", 24, &value), NUMBER_RANGE);
    char longest[NUMBER_READ_MAX + 1];
    memset(longest, '1', sizeof longest);
    assert_int_equal(number_read_f64(longest, sizeof longest, &value), NUMBER_RANGE);
    assert_true(value == 1);
    assert_int_equal(number_read_f64("1e-999999999999999999999", 24, &value), NUMBER_OK);
    assert_true(value == 0);
}

/* ---- times ----------------------------------------------------------------------------------------------------------------------- */

static void assert_time_text(weir_time time, const char *expected)
{
    char text[TIME_TEXT_MAX + 1];
    text[time_write_iso(text, time)] = '\0';
    assert_string_equal(text, expected);
    weir_time back = 0;
    assert_true(time_read_iso(text, strlen(text), &back));
    assert_true(back == time);
}

static void times_are_iso(void **state)
{
    (void)state;
    assert_time_text(0, "1970-01-01T00:00:00Z");
    assert_time_text(1431857100000, "2015-05-17T10:05:00Z");
    assert_time_text(1431857100007, "2015-05-17T10:05:00.007Z");
    assert_time_text(951782400000, "2000-02-29T00:00:00Z");
    assert_time_text(-1, "1969-12-31T23:59:59.999Z");
    assert_time_text(-62167219200000, "0000-01-01T00:00:00Z");
    assert_time_text(-62167219200001, "-000001-12-31T23:59:59.999Z");
    assert_time_text(253402300800000, "+010000-01-01T00:00:00Z");
    assert_time_text(WEIR_TIME_MAX, "+292278994-08-17T07:12:55.807Z");
    assert_time_text(WEIR_TIME_MIN, "-292275055-05-16T16:47:04.192Z");
    uint64_t seed = 9;
    for (int i = 0; i < 100000; i++) {
        char text[TIME_TEXT_MAX];
        weir_time time = (weir_time)next_random(&seed) >> next_random(&seed) % 64, back = 0;
        assert_true(time_read_iso(text, time_write_iso(text, time), &back));
        assert_true(back == time);
    }
}

static void other_iso_times_are_read(void **state)
{
    (void)state;
    weir_time time = 0;
    assert_true(time_read_iso("2015-05-17T12:05:00+02:00", 25, &time));
    assert_true(time == 1431857100000);
    assert_true(time_read_iso("2015-05-17T10:05:00.5Z", 22, &time));
    assert_true(time == 1431857100500);
    assert_true(time_read_iso("2015-05-17T10:05:00.123987654Z", 30, &time));
    assert_true(time == 1431857100123);
    static const char *const wrong[] = {"",
                                        "2015",
                                        "2015-05-17",
                                        "2015-05-17T10:05Z",
                                        "2015-05-17T10:05:00",
                                        "2015-05-17 10:05:00Z",
                                        "2015-02-29T00:00:00Z",
                                        "2015-13-01T00:00:00Z",
                                        "2015-00-01T00:00:00Z",
                                        "2015-01-32T00:00:00Z",
                                        "2015-05-17T24:00:00Z",
                                        "2015-05-17T10:60:00Z",
                                        "2015-05-17T10:05:60Z",
                                        "2015-05-17T10:05:00.Z",
                                        "2015-05-17T10:05:00Zx",
                                        "+2015-05-17T10:05:00Z",
                                        "+999999999-01-01T00:00:00Z",
                                        "15-05-17T10:05:00Z",
                                        "2015-05-17T10:05:00+0200",
                                        "2015-05-17T10:05:00.1234567890Z"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(time_read_iso(wrong[i], strlen(wrong[i]), &time));
    }
    assert_true(time == 1431857100123); /* untouched */
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------------ */

static void csv_quotes_only_what_must_be(void **state)
{
    (void)state;
    struct fake *f = fake_new(&(struct fake_options){.n_outs = 1});
    static const char *const strings[][2] = {
        {"plain", "7,plain\n"}, {"", "7,\n"},         {"a,b", "7,\"a,b\"\n"},     {"say \"hi\"", "7,\"say \"\"hi\"\"\"\n"},
        {"\n", "7,\"\n\"\n"},   {"\r", "7,\"\r\"\n"}, {" blank ", "7, blank \n"}, {"'t\\", "7,'t\\\n"},
    };
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        struct pair row = {.id = 7};
        row.text = weir_put_str(f->ctx.out, sizeof row, strings[i][0], (uint32_t)strlen(strings[i][0]));
        assert_ok(f, weir_emit(f->ctx.out, &row, sizeof row, 0));
        fake_flush(f);
        struct text_buf buf = {0};
        assert_true(csv_write_row(&buf, &pair_schema, fake_row(f, 0, (uint32_t)i), WEIR_FILE_TIME_MS));
        assert_int_equal(buf.len, strlen(strings[i][1]));
        assert_memory_equal(buf.data, strings[i][1], buf.len);
        text_close(&buf);
    }
    fake_close(f);
}

/* What is written reads back the same, for rows of random bytes and both time formats, also when frames are small. */
static void csv_round_trip(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed;
        enum weir_file_time time_format = seed % 2 ? WEIR_FILE_TIME_MS : WEIR_FILE_TIME_ISO;
        struct fake *from = fake_new(&(struct fake_options){.n_outs = 1}),
                    *to = fake_new(&(struct fake_options){.n_outs = 1, .frame_bytes = 256});
        for (int i = 0; i < 200; i++) emit_random(from, &random);
        fake_flush(from);
        struct row_text row;
        assert_ok(to, row_text_init(&row, &sample_schema, time_format, &to->diag));
        for (uint32_t i = 0; i < fake_count(from, 0); i++) {
            struct text_buf buf = {0};
            size_t at = 0;
            struct csv_scan scan = {0};
            size_t end = 0;
            assert_true(csv_write_row(&buf, &sample_schema, fake_row(from, 0, i), time_format));
            assert_true(csv_record_end(&scan, buf.data, buf.len, false, &end));
            assert_int_equal(end, buf.len - 1);
            assert_ok(to, read_sample(to, csv_read_row, &row, buf.data, buf.len - 1, &at));
            assert_true(same_sample(fake_row(from, 0, i), fake_row(to, 0, i)));
            assert_true(weir_row_valid(&sample_schema, fake_row(to, 0, i), fake_record(to, 0, i)->size));
            text_close(&buf);
        }
        row_text_close(&row);
        fake_close(from);
        fake_close(to);
    }
}

/* Where records end, and that it does not depend on how the text comes: at once, or a byte at a time. */
static void records_end_where_quotes_allow(void **state)
{
    (void)state;
    static const struct {
        const char *text; /* up to the end of the file */
        size_t end;
    } cases[] = {
        {"", 0},
        {"a,b", 3},
        {"a,b\nc", 3},
        {"\n", 0},
        {"a,\"b\nc\",d\ne", 9},
        {"\"b\"\"\nc\"\r\ne", 8},
        {"\"\"\n\"", 2},
        {"a,\"b\nc\n", 4},       /* never closed: the first LF */
        {"a,\"b", 4},            /* without any LF: all of it */
        {"a,\"b\nc\"d\ne", 4},   /* text behind the closing quote */
        {"a,\"b\nc\"\rd\ne", 4}, /* a CR that ends nothing */
        {"a,\"b\nc\"\r", 4},
        {"a,b\"c,\"\nd\"\ne", 7}, /* a quote in an unquoted field opens nothing */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t len = strlen(cases[i].text), end = SIZE_MAX;
        struct csv_scan scan = {0};
        assert_true(csv_record_end(&scan, cases[i].text, len, true, &end));
        assert_int_equal(end, cases[i].end);
        scan = (struct csv_scan){0};
        bool found = false;
        for (size_t n = 0; n <= len && !found; n++) found = csv_record_end(&scan, cases[i].text, n, n == len, &end);
        assert_true(found);
        assert_int_equal(end, cases[i].end);
    }
}

struct refusal {
    const char *text;
    size_t at;
    const char *words;
};

static void malformed_csv_is_refused_in_words(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"", 0, "field \"id\": \"\" is not an integer"},
        {"7", 1, "field \"text\": missing, the record has 1 of 2 fields"},
        {"7,a,b", 4, "behind field \"text\": \"b\" is more than the 2 fields of pair"},
        {"7,a,", 4, "behind field \"text\": \"\" is more than the 2 fields of pair"},
        {"x,a", 0, "field \"id\": \"x\" is not an integer"},
        {"9223372036854775808,a", 0, "field \"id\": \"9223372036854775808\" is out of range for a 64-bit integer"},
        {"7,\"a", 2, "field \"text\": \"a\" has no closing quote (set multiline when fields hold line feeds)"},
        {"7,\"a\"b", 2, "field \"text\": \"a\" has text behind its closing quote"},
        {"7,\"", 2, "field \"text\": \"\" has no closing quote (set multiline when fields hold line feeds)"},
        {"7,\"\"\"", 2, "field \"text\": \"\"\" has no closing quote (set multiline when fields hold line feeds)"},
        {"7,a\"b", 2, "field \"text\": \"a\"b\" has a quote inside an unquoted field"},
        {"7\x01,a", 0, "field \"id\": \"7\\x01\" is not an integer"},
    };
    struct fake *f = fake_new(&(struct fake_options){.n_outs = 1});
    struct row_text row;
    assert_ok(f, row_text_init(&row, &pair_schema, WEIR_FILE_TIME_MS, &f->diag));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t at = 99;
        assert_int_equal(read_sample(f, csv_read_row, &row, cases[i].text, strlen(cases[i].text), &at), WEIR_E_CORRUPT);
        assert_string_equal(f->diag.text, cases[i].words);
        assert_int_equal(at, cases[i].at);
    }
    size_t at;
    assert_ok(f, read_sample(f, csv_read_row, &row, "\"-7\",\"\"", 7, &at)); /* any field may be quoted */
    assert_true(((struct pair *)fake_row(f, 0, 0))->id == -7);
    row_text_close(&row);
    fake_close(f);
}

/* Random bytes, and good rows with one byte changed, are read or refused; a sanitizer watches. */
static void random_bytes_do_no_harm(void **state)
{
    (void)state;
    static const char good[] = "true,-5,1431857100000,2.5,1431857100000,\"a,\"\"b\",note";
    struct fake *f = fake_new(&(struct fake_options){.n_outs = 1});
    struct row_text row;
    uint64_t seed = 3;
    assert_ok(f, row_text_init(&row, &sample_schema, WEIR_FILE_TIME_MS, &f->diag));
    for (int i = 0; i < 20000; i++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (uint64_t n = next_random(&seed) % 4; n > 0; n--) text[next_random(&seed) % (sizeof good - 1)] = (char)next_random(&seed);
        size_t at = 0, len = sizeof good - 1 - next_random(&seed) % 8;
        weir_err err = read_sample(f, csv_read_row, &row, text, len, &at);
        assert_true(err == WEIR_OK || err == WEIR_E_CORRUPT);
        assert_in_range(at, 0, len);
    }
    row_text_close(&row);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_exact_to_the_last),
        cmocka_unit_test(decimals_have_their_scale),
        cmocka_unit_test(doubles_are_written_short),
        cmocka_unit_test(every_double_reads_back),
        cmocka_unit_test(doubles_are_read_as_strtod_does),
        cmocka_unit_test(times_are_iso),
        cmocka_unit_test(other_iso_times_are_read),
        cmocka_unit_test(csv_quotes_only_what_must_be),
        cmocka_unit_test(csv_round_trip),
        cmocka_unit_test(records_end_where_quotes_allow),
        cmocka_unit_test(malformed_csv_is_refused_in_words),
        cmocka_unit_test(random_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
