/* SPDX-License-Identifier: Apache-2.0 */
/* The harness itself: how rows get in and out, in which order, how far, and what it says when something is wrong. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir/testing.h"

/* ---- a row and some operators ---------------------------------------------------------------------------------------------------------
 */

struct word {
    int64_t n;
    struct weir_str text;
};
WEIR_ROW(word, WEIR_FIELD(word, 1, I64, n), WEIR_FIELD(word, 2, STR, text));
WEIR_KEY_STR(by_text, word, text);

static weir_err emit_word(struct weir_out *out, int64_t n, const void *text, uint32_t length, weir_time time)
{
    struct word row = {.n = n};
    row.text = weir_put_str(out, sizeof row, text, length);
    return weir_emit(out, &row, sizeof row, time);
}

static bool even(const struct word *w)
{
    return w->n % 2 == 0;
}
WEIR_FILTER(evens, word, even);

/* Odd rows go to a side output of another type; a row 666 fails. */
struct odd {
    int64_t n;
};
WEIR_ROW(odd, WEIR_FIELD(odd, 1, I64, n));

static weir_err sort_one(struct weir_none *self, struct weir_ctx *ctx, const struct word *w, const struct weir_record *rec)
{
    (void)self;
    weir_count(ctx, "seen", 1);
    if (w->n == 666) return weir_fail(ctx->diag, WEIR_E_USER, "the number of the beast");
    struct odd odd = {w->n};
    if (w->n % 2) return weir_emit(&ctx->out[1], &odd, sizeof odd, rec->time_ms);
    return emit_word(ctx->out, w->n, weir_str_data(w, w->text), w->text.length, rec->time_ms);
}
WEIR_PROCESS(sorter, weir_none, word, sort_one);
static const struct weir_schema *const sorter_sides[] = {&odd_schema};
static const struct weir_operator sorter = {.struct_size = sizeof sorter,
                                            .name = "sorter",
                                            .in = &word_schema,
                                            .out = &word_schema,
                                            .sides = sorter_sides,
                                            .n_sides = 1,
                                            .process = sorter_process};

/* Counts by key; a timer a second after the first row (in the time that config says) gives the count and forgets it. */
struct counter {
    struct weir_state *n;
};

static weir_err counter_open(void *self, struct weir_ctx *ctx)
{
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "n", .value_size = sizeof(int64_t)};
    return weir_value_open(ctx, &desc, &((struct counter *)self)->n);
}

static weir_err count_one(struct counter *c, struct weir_ctx *ctx, const struct word *w, const struct weir_record *rec)
{
    enum weir_time_domain domain = *(const enum weir_time_domain *)ctx->config;
    int64_t *n = weir_value(ctx, c->n);
    if (!n) return WEIR_E_NOMEM;
    *n += w->n;
    return weir_timer_set(ctx, domain, (domain == WEIR_EVENT_TIME ? rec->time_ms / 1000 * 1000 : weir_now_ms(ctx)) + 1000, 0);
}

static weir_err counter_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct counter *c = self;
    const int64_t *n = weir_value_find(ctx, c->n);
    if (!n) return WEIR_OK;
    weir_err err = emit_word(ctx->out, *n, timer->key->data, timer->key->length, timer->time_ms);
    weir_value_clear(ctx, c->n);
    return err;
}
WEIR_PROCESS(counting, counter, word, count_one);
static const struct weir_operator counting = {.struct_size = sizeof counting,
                                              .name = "counting",
                                              .self_size = sizeof(struct counter),
                                              .in = &word_schema,
                                              .out = &word_schema,
                                              .flags = WEIR_OPERATOR_KEYED,
                                              .open = counter_open,
                                              .process = counting_process,
                                              .on_timer = counter_timer};

static void by_n_of(struct weir_batch *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        struct weir_record *rec = weir_batch_record(b, i);
        rec->time_ms = ((const struct word *)weir_record_row(rec))->n;
    }
}

static const enum weir_time_domain event_time = WEIR_EVENT_TIME, processing_time = WEIR_PROCESSING_TIME;

static struct weir_harness *open_one(const struct weir_harness_operator *op, const struct weir_harness_options *options)
{
    struct weir_harness *h = NULL;
    struct weir_diag diag = {0};
    if (weir_harness_new_operator(&h, op, options, &diag)) print_error("%s\n", diag.text);
    assert_non_null(h);
    return h;
}

static struct weir_harness *open_counting(const enum weir_time_domain *domain, const struct weir_harness_options *options)
{
    const struct weir_harness_operator op = {.op = &counting, .config = domain, .config_size = sizeof *domain, .in = {{.keyer = &by_text}}};
    return open_one(&op, options);
}

#define OK(call) WEIR_MUST(h, call)
#define REFUSED(call, code, words)                                    \
    do {                                                              \
        assert_int_equal(call, code);                                 \
        if (!strstr(weir_harness_diag(h)->text, words)) {             \
            print_error("instead: %s\n", weir_harness_diag(h)->text); \
            fail();                                                   \
        }                                                             \
    } while (0)

/* ---- rows in and out ------------------------------------------------------------------------------------------------------------------
 */

static void rows_come_out_as_lines(void **state)
{
    (void)state;
    struct weir_harness *h = open_one(&(struct weir_harness_operator){.op = &evens},
                                      &(struct weir_harness_options){.show = WEIR_HARNESS_TIMES | WEIR_HARNESS_WATERMARKS});
    struct word row = {.n = 2, .text = weir_harness_str(h, 0, "a, \"b\"")};
    OK(weir_harness_push(h, 0, &row, sizeof row, 10, WEIR_INSERT));
    OK(weir_harness_line(h, 0, "+I 3,odd", 20));
    OK(weir_harness_watermark(h, 0, 20));
    OK(weir_harness_line(h, 0, "+I 4,\"x,\"\"y\"\"\"", WEIR_TIME_MIN));
    OK(weir_harness_expect(h, 0, "+I 2,\"a, \"\"b\"\"\" @10\nW 20\n+I 4,\"x,\"\"y\"\"\"\n"));
    OK(weir_harness_expect(h, 0, ""));
    OK(weir_harness_finish(h));
    assert_string_equal(weir_harness_text(h, 0), "W end\n");
    weir_harness_destroy(&h);
    assert_null(h);
}

static void records_come_out_as_they_are(void **state)
{
    (void)state;
    const struct weir_harness_operator op = {.op = &evens, .in = {{.changes = true}}};
    struct weir_harness *h = open_one(&op, NULL);
    const enum weir_kind kinds[] = {WEIR_INSERT, WEIR_UPDATE_BEFORE, WEIR_UPDATE_AFTER, WEIR_DELETE};
    for (uint32_t i = 0; i < 4; i++) {
        struct word row = {.n = 2 * i, .text = weir_harness_bytes(h, 0, "abcd", i)};
        OK(weir_harness_push(h, 0, &row, sizeof row, i, kinds[i]));
    }
    assert_int_equal(weir_harness_count(h, 0), 4);
    struct weir_harness_record record;
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(weir_harness_next(h, 0, &record));
        const struct word *row = record.row;
        assert_false(record.is_watermark);
        assert_int_equal(record.kind, kinds[i]);
        assert_int_equal(record.time_ms, i);
        assert_int_equal(row->n, 2 * i);
        assert_int_equal(row->text.length, i);
        assert_memory_equal(weir_str_data(row, row->text), "abcd", i);
    }
    assert_false(weir_harness_next(h, 0, &record));
    assert_false(weir_harness_next(h, 1, &record));
    OK(weir_harness_line(h, 0, "-U 8,x", 0));
    OK(weir_harness_expect(h, 0, "-U 8,x\n"));
    weir_harness_destroy(&h);
}

static void side_outputs_and_counters(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 3; p++) {
        struct weir_harness *h =
            open_one(&(struct weir_harness_operator){.op = &sorter, .id = "sort"}, &(struct weir_harness_options){.parallelism = p});
        OK(weir_harness_line(h, 0, "+I 1,a", 0));
        OK(weir_harness_line(h, 0, "+I 2,b", 0));
        OK(weir_harness_line(h, 0, "+I 3,c", 0));
        OK(weir_harness_expect(h, 0, "+I 2,b\n"));
        OK(weir_harness_expect_any_order(h, 1, "+I 3\n+I 1\n"));
        assert_int_equal(weir_harness_counter(h, "sort", "seen"), 3);
        assert_int_equal(weir_harness_counter(h, "sort", "unseen"), 0);
        weir_harness_destroy(&h);
    }
}

static void a_difference_is_told(void **state)
{
    (void)state;
    struct weir_harness *h = open_one(&(struct weir_harness_operator){.op = &evens}, NULL);
    OK(weir_harness_line(h, 0, "+I 2,a", 0));
    OK(weir_harness_line(h, 0, "+I 4,b", 0));
    REFUSED(weir_harness_expect(h, 0, "+I 2,a\n+I 4,c\n"), WEIR_E_NOT_FOUND,
            "output 0, line 2 of 2: expected \"+I 4,c\", got \"+I 4,b\" (2 lines)");
    OK(weir_harness_line(h, 0, "+I 6,a", 0));
    REFUSED(weir_harness_expect(h, 0, ""), WEIR_E_NOT_FOUND, "line 1 of 0: expected no more lines, got \"+I 6,a\"");
    REFUSED(weir_harness_expect(h, 0, "+I 6,a"), WEIR_E_NOT_FOUND, "expected \"+I 6,a\", got no more lines");
    REFUSED(weir_harness_expect_any_order(h, 0, "+I 6,a\n"), WEIR_E_NOT_FOUND, "got no more lines");
    REFUSED(weir_harness_expect(h, 7, ""), WEIR_E_ARGUMENT, "there is no output 7");
    weir_harness_destroy(&h);
}

/* ---- what a test may do wrong ----------------------------------------------------------------------------------------------------------
 */

static void mistakes_of_the_test_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct weir_harness *h = open_one(&(struct weir_harness_operator){.op = &evens}, NULL);
    struct word row = {.n = 2, .text = {100, 1}}, good = {.n = 2};
    REFUSED(weir_harness_push(h, 1, &row, sizeof row, 0, WEIR_INSERT), WEIR_E_ARGUMENT, "there is no input 1");
    REFUSED(weir_harness_push(h, 0, &row, 8, 0, WEIR_INSERT), WEIR_E_ARGUMENT, "whose rows (word) have 16");
    REFUSED(weir_harness_push(h, 0, &row, sizeof row, 0, WEIR_INSERT), WEIR_E_ARGUMENT, "weir_harness_str");
    REFUSED(weir_harness_push(h, 0, &good, sizeof good, 0, WEIR_DELETE), WEIR_E_ARGUMENT, "inserts only");
    REFUSED(weir_harness_line(h, 0, "1,a", 0), WEIR_E_CORRUPT, "begins with +I");
    REFUSED(weir_harness_line(h, 0, "+I x,a", 0), WEIR_E_CORRUPT, "field \"n\": \"x\" is not an integer");
    REFUSED(weir_harness_line(h, 3, "+I 1,a", 0), WEIR_E_ARGUMENT, "there is no input 3");
    OK(weir_harness_watermark(h, 0, 10));
    OK(weir_harness_watermark(h, 0, 10));
    REFUSED(weir_harness_watermark(h, 0, 9), WEIR_E_ARGUMENT, "watermark 9 of input 0 goes back: it was at 10");
    REFUSED(weir_harness_watermark(h, 0, WEIR_TIME_MAX), WEIR_E_ARGUMENT, "weir_harness_end");
    REFUSED(weir_harness_set_time(h, 5), WEIR_E_ARGUMENT, "the clock goes back");
    bool more;
    REFUSED(weir_harness_step(h, &more), WEIR_E_STATE, "manual");
    OK(weir_harness_push(h, 0, &good, sizeof good, 0, WEIR_INSERT));
    OK(weir_harness_expect(h, 0, "+I 2,\n"));
    OK(weir_harness_end(h, 0));
    REFUSED(weir_harness_push(h, 0, &good, sizeof good, 0, WEIR_INSERT), WEIR_E_STATE, "input 0 has ended");
    OK(weir_harness_finish(h));
    REFUSED(weir_harness_push(h, 0, &good, sizeof good, 0, WEIR_INSERT), WEIR_E_STATE, "has finished");
    REFUSED(weir_harness_set_time(h, WEIR_TIME_MAX), WEIR_E_STATE, "has finished");
    REFUSED(weir_harness_finish(h), WEIR_E_STATE, "has finished");
    struct weir_harness_snapshot *s;
    REFUSED(weir_harness_snapshot(h, &s), WEIR_E_STATE, "has finished");
    assert_null(weir_harness_failed_id(h));
    weir_harness_destroy(&h);
}

static void output_that_nobody_reads_is_bounded(void **state)
{
    (void)state;
    struct weir_harness *h = open_one(&(struct weir_harness_operator){.op = &evens}, &(struct weir_harness_options){.rows_max = 3});
    for (int i = 0; i < 3; i++) OK(weir_harness_line(h, 0, "+I 2,a", 0));
    REFUSED(weir_harness_line(h, 0, "+I 2,a", 0), WEIR_E_LIMIT, "output 0 of the test holds 3 rows that nobody has read");
    assert_string_equal(weir_harness_failed_id(h), "harness-out-0");
    OK(weir_harness_expect(h, 0, "+I 2,a\n+I 2,a\n+I 2,a\n")); /* what came before can be read */
    REFUSED(weir_harness_expect(h, 0, ""), WEIR_E_LIMIT, "nobody has read");
    weir_harness_destroy(&h);

    h = open_one(&(struct weir_harness_operator){.op = &evens}, &(struct weir_harness_options){.rows_max = 3, .manual = true});
    for (int i = 0; i < 3; i++) OK(weir_harness_line(h, 0, "+I 2,a", 0));
    REFUSED(weir_harness_line(h, 0, "+I 2,a", 0), WEIR_E_LIMIT, "3 rows wait");
    weir_harness_destroy(&h);
}

/* ---- user code that fails ------------------------------------------------------------------------------------------------------------ */

static void a_failure_has_its_operator_and_its_sentence(void **state)
{
    (void)state;
    struct weir_harness *h = open_one(&(struct weir_harness_operator){.op = &sorter, .id = "sort"}, NULL);
    OK(weir_harness_line(h, 0, "+I 2,a", 0));
    REFUSED(weir_harness_line(h, 0, "+I 666,b", 0), WEIR_E_USER, "operator sort: the number of the beast");
    assert_string_equal(weir_harness_failed_id(h), "sort");
    REFUSED(weir_harness_line(h, 0, "+I 2,c", 0), WEIR_E_USER, "the beast");
    REFUSED(weir_harness_watermark(h, 0, 5), WEIR_E_USER, "the beast");
    REFUSED(weir_harness_finish(h), WEIR_E_USER, "the beast");
    OK(weir_harness_expect(h, 0, "+I 2,a\n"));
    REFUSED(weir_harness_expect(h, 0, ""), WEIR_E_USER, "the beast");
    weir_harness_destroy(&h);
}

static uint32_t n_closed;
static weir_err failing_open(void *self, struct weir_ctx *ctx)
{
    (void)self;
    return weir_fail(ctx->diag, WEIR_E_IO, "no such thing at %lld", (long long)weir_now_ms(ctx));
}
static void failing_close(void *self, struct weir_ctx *ctx)
{
    (void)self, (void)ctx;
    n_closed++;
}
static const struct weir_operator failing = {.struct_size = sizeof failing,
                                             .name = "failing",
                                             .in = &word_schema,
                                             .out = &word_schema,
                                             .open = failing_open,
                                             .close = failing_close};

static void an_open_that_fails_fails_the_construction(void **state)
{
    (void)state;
    struct weir_harness *h = NULL;
    struct weir_diag diag = {0};
    n_closed = 0;
    const struct weir_harness_options options = {.now_ms = 77};
    assert_int_equal(weir_harness_new_operator(&h, &(struct weir_harness_operator){.op = &failing}, &options, &diag), WEIR_E_IO);
    assert_null(h);
    assert_string_equal(diag.text, "operator test: no such thing at 77");
    assert_int_equal(n_closed, 1);
}

static weir_err build_unkeyed(struct weir_harness *h, void *arg, struct weir_diag *diag)
{
    (void)arg, (void)diag;
    weir_harness_out(h, weir_process(weir_harness_in(h, &word_schema), "count", &counting, &event_time));
    return WEIR_OK;
}
static weir_err build_nothing(struct weir_harness *h, void *arg, struct weir_diag *diag)
{
    (void)h;
    return arg ? weir_fail(diag, WEIR_E_USER, "not today") : WEIR_OK;
}

static void a_graph_that_cannot_run_is_refused_as_a_job_is(void **state)
{
    (void)state;
    struct weir_harness *h = NULL;
    struct weir_diag diag = {0};
    assert_int_equal(weir_harness_new(&h, build_unkeyed, NULL, NULL, &diag), WEIR_E_GRAPH);
    assert_non_null(strstr(diag.text, "operator count keeps state by key"));
    assert_int_equal(weir_harness_new(&h, build_nothing, NULL, NULL, &diag), WEIR_E_GRAPH);
    assert_non_null(strstr(diag.text, "no input"));
    assert_int_equal(weir_harness_new(&h, build_nothing, &diag, NULL, &diag), WEIR_E_USER);
    assert_string_equal(diag.text, "not today");
    assert_int_equal(weir_harness_new_operator(&h, &(struct weir_harness_operator){0}, NULL, &diag), WEIR_E_ARGUMENT);
    const struct weir_harness_options wide = {.parallelism = WEIR_PARALLELISM_MAX + 1};
    assert_int_equal(weir_harness_new_operator(&h, &(struct weir_harness_operator){.op = &evens}, &wide, &diag), WEIR_E_ARGUMENT);
    assert_null(h);
}

/* ---- time -----------------------------------------------------------------------------------------------------------------------------
 */

static void timers_fire_by_watermarks_or_by_the_clock(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 3; p++) {
        const struct weir_harness_options options = {.parallelism = p, .show = WEIR_HARNESS_TIMES, .now_ms = 5000};
        struct weir_harness *h = open_counting(&event_time, &options);
        OK(weir_harness_line(h, 0, "+I 1,a", 100));
        OK(weir_harness_line(h, 0, "+I 5,b", 1100));
        OK(weir_harness_line(h, 0, "+I 2,a", 200));
        OK(weir_harness_watermark(h, 0, 999));
        OK(weir_harness_set_time(h, 1000000)); /* not their clock */
        OK(weir_harness_expect(h, 0, ""));
        OK(weir_harness_watermark(h, 0, 1000));
        OK(weir_harness_expect(h, 0, "+I 3,a @1000\n"));
        OK(weir_harness_finish(h));
        OK(weir_harness_expect(h, 0, "+I 5,b @2000\n"));
        weir_harness_destroy(&h);

        h = open_counting(&processing_time, &options);
        OK(weir_harness_line(h, 0, "+I 1,a", 100));
        OK(weir_harness_set_time(h, 5999));
        OK(weir_harness_watermark(h, 0, 1000000));
        OK(weir_harness_line(h, 0, "+I 7,b", 100));
        OK(weir_harness_expect(h, 0, ""));
        OK(weir_harness_set_time(h, 6000));
        OK(weir_harness_expect(h, 0, "+I 1,a @6000\n"));
        OK(weir_harness_set_time(h, 8000));
        OK(weir_harness_expect(h, 0, "+I 7,b @6999\n"));
        weir_harness_destroy(&h);
    }
}

/* Sets a timer for the time of the row, and takes it back if n is 0. */
static weir_err set_alarm(struct weir_none *self, struct weir_ctx *ctx, const struct word *w, const struct weir_record *rec)
{
    (void)self;
    weir_err err = weir_timer_set(ctx, WEIR_EVENT_TIME, rec->time_ms, 7);
    if (w->n == 0) weir_timer_delete(ctx, WEIR_EVENT_TIME, rec->time_ms, 7);
    return err;
}

static weir_err ring(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    (void)self;
    return emit_word(ctx->out, (int64_t)timer->tag, timer->key->data, timer->key->length, timer->time_ms);
}
WEIR_PROCESS(set_alarms, weir_none, word, set_alarm);
static const struct weir_operator alarm_clock = {.struct_size = sizeof alarm_clock,
                                                 .name = "alarm",
                                                 .in = &word_schema,
                                                 .out = &word_schema,
                                                 .flags = WEIR_OPERATOR_KEYED,
                                                 .process = set_alarms_process,
                                                 .on_timer = ring};

static void a_timer_for_the_end_of_time_fires_when_the_input_ends(void **state)
{
    (void)state;
    const struct weir_harness_options options = {.show = WEIR_HARNESS_TIMES};
    struct weir_harness *h = open_one(&(struct weir_harness_operator){.op = &alarm_clock, .in = {{.keyer = &by_text}}}, &options);
    OK(weir_harness_line(h, 0, "+I 1,a", WEIR_TIME_MAX));
    OK(weir_harness_line(h, 0, "+I 0,b", WEIR_TIME_MAX));
    OK(weir_harness_watermark(h, 0, WEIR_TIME_MAX - 2));
    OK(weir_harness_expect(h, 0, ""));
    OK(weir_harness_finish(h));
    OK(weir_harness_expect(h, 0, "+I 7,a @9223372036854775806\n"));
    weir_harness_destroy(&h);
}

static weir_err never_done(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    (void)self, (void)ctx, (void)watermark_ms;
    return WEIR_AGAIN;
}

static void work_without_end_is_given_up(void **state)
{
    (void)state;
    struct weir_operator endless = evens;
    endless.on_watermark = never_done;
    struct weir_harness *h = open_one(&(struct weir_harness_operator){.op = &endless}, NULL);
    OK(weir_harness_line(h, 0, "+I 2,a", 100));
    REFUSED(weir_harness_watermark(h, 0, 2000), WEIR_E_LIMIT, "WEIR_HARNESS_ROUNDS_MAX");
    REFUSED(weir_harness_finish(h), WEIR_E_LIMIT, "WEIR_HARNESS_ROUNDS_MAX");
    OK(weir_harness_expect(h, 0, "+I 2,a\n"));
    weir_harness_destroy(&h);
}

/* Two streams with assigners of their own; one falls silent. */
static weir_err build_silent(struct weir_harness *h, void *arg, struct weir_diag *diag)
{
    (void)arg, (void)diag;
    const struct weir_watermarks quick = {.max_out_of_orderness_ms = 0, .idle_ms = 100};
    struct weir_stream *both[2];
    for (uint32_t i = 0; i < 2; i++) both[i] = weir_assign_watermarks(weir_harness_in(h, &word_schema), i ? "b" : "a", by_n_of, &quick);
    weir_harness_out(h, weir_process(weir_key_by(weir_union(both, 2), &by_text), "count", &counting, &event_time));
    return WEIR_OK;
}

static void a_stream_is_silent_by_the_clock_of_the_test(void **state)
{
    (void)state;
    struct weir_harness *h = NULL;
    const struct weir_harness_options options = {.show = WEIR_HARNESS_WATERMARKS, .now_ms = 1000};
    WEIR_MUST(h, weir_harness_new(&h, build_silent, NULL, &options, NULL));
    OK(weir_harness_line(h, 0, "+I 500,a", 0));
    OK(weir_harness_line(h, 1, "+I 100,b", 0));
    OK(weir_harness_expect(h, 0, "W 99\n"));
    OK(weir_harness_set_time(h, 1090));
    OK(weir_harness_line(h, 0, "+I 600,a", 0));
    OK(weir_harness_expect(h, 0, ""));
    OK(weir_harness_set_time(h, 1101)); /* the second is idle, the first is not */
    OK(weir_harness_expect(h, 0, "W 599\n"));
    OK(weir_harness_line(h, 0, "+I 3000,a", 0));
    OK(weir_harness_expect(h, 0, "+I 4100,a\n+I 100,b\nW 2999\n"));
    weir_harness_destroy(&h);
}

/* ---- two inputs ------------------------------------------------------------------------------------------------------------------------
 */

/* Adds the second input's n to the key's sum; the first asks for it. */
struct meeting {
    struct weir_state *sum;
    struct weir_broadcast *rules;
};

static weir_err meeting_open(void *self, struct weir_ctx *ctx)
{
    struct meeting *m = self;
    const struct weir_state_desc sum = {.struct_size = sizeof sum, .name = "sum", .value_size = sizeof(int64_t)};
    const struct weir_state_desc rules = {.struct_size = sizeof rules, .name = "rules"};
    weir_err err = weir_value_open(ctx, &sum, &m->sum);
    return err ? err : weir_broadcast_open(ctx, &rules, &m->rules);
}

static weir_err ask(struct meeting *m, struct weir_ctx *ctx, const struct word *w, const struct weir_record *rec)
{
    const int64_t *sum = weir_value_find(ctx, m->sum);
    return emit_word(ctx->out, sum ? *sum : 0, weir_str_data(w, w->text), w->text.length, rec->time_ms);
}

static weir_err add(struct meeting *m, struct weir_ctx *ctx, const struct word *w, const struct weir_record *rec)
{
    (void)rec;
    int64_t *sum = weir_value(ctx, m->sum);
    if (sum) *sum += w->n;
    return sum ? WEIR_OK : WEIR_E_NOMEM;
}
WEIR_CO_PROCESS(meeting, meeting, word, ask, word, add);
static const struct weir_operator meeting = {.struct_size = sizeof meeting,
                                             .name = "meeting",
                                             .self_size = sizeof(struct meeting),
                                             .in = &word_schema,
                                             .second = &word_schema,
                                             .out = &word_schema,
                                             .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TWO_INPUTS,
                                             .open = meeting_open,
                                             .process = meeting_process};

static void two_inputs_share_keys_in_the_order_of_the_calls(void **state)
{
    (void)state;
    const struct weir_harness_operator op = {.op = &meeting, .in = {{.keyer = &by_text}, {.keyer = &by_text}}};
    for (uint32_t p = 1; p <= 3; p++) {
        for (enum weir_harness_batch batch = WEIR_HARNESS_ONE; batch <= WEIR_HARNESS_DRAWN; batch++) {
            struct weir_harness *h = open_one(&op, &(struct weir_harness_options){.parallelism = p, .batch = batch, .seed = p});
            OK(weir_harness_line(h, 1, "+I 5,a", 0));
            OK(weir_harness_line(h, 0, "+I 0,a", 0));
            OK(weir_harness_line(h, 1, "+I 1,a", 0));
            OK(weir_harness_line(h, 0, "+I 0,a", 0));
            OK(weir_harness_line(h, 0, "+I 0,b", 0));
            OK(weir_harness_line(h, 1, "+I 1,a", 0));
            OK(weir_harness_expect_any_order(h, 0, "+I 5,a\n+I 6,a\n+I 0,b\n"));
            weir_harness_destroy(&h);
        }
    }
}

static void two_inputs_have_the_lower_time(void **state)
{
    (void)state;
    const struct weir_harness_operator op = {.op = &meeting, .in = {{.keyer = &by_text}, {.keyer = &by_text}}};
    for (uint32_t p = 1; p <= 3; p++) {
        struct weir_harness *h = open_one(&op, &(struct weir_harness_options){.parallelism = p, .show = WEIR_HARNESS_WATERMARKS});
        OK(weir_harness_watermark(h, 0, 100));
        OK(weir_harness_expect(h, 0, ""));
        OK(weir_harness_watermark(h, 1, 50));
        OK(weir_harness_expect(h, 0, "W 50\n"));
        OK(weir_harness_idle(h, 1)); /* holds nothing back any more */
        OK(weir_harness_expect(h, 0, "W 100\n"));
        OK(weir_harness_watermark(h, 0, 200));
        OK(weir_harness_expect(h, 0, "W 200\n"));
        OK(weir_harness_line(h, 1, "+I 1,a", 0)); /* active again, and behind */
        OK(weir_harness_watermark(h, 0, 300));
        OK(weir_harness_expect(h, 0, ""));
        OK(weir_harness_end(h, 1));
        OK(weir_harness_expect(h, 0, "W 300\n"));
        OK(weir_harness_finish(h));
        OK(weir_harness_expect(h, 0, "W end\n"));
        weir_harness_destroy(&h);
    }
}

static weir_err rule(struct meeting *m, struct weir_ctx *ctx, const struct word *w, const struct weir_record *rec)
{
    (void)rec;
    weir_count(ctx, "rules", 1);
    if (w->n == 13) (void)weir_value(ctx, m->sum); /* of which key? */
    return weir_broadcast_put(ctx, m->rules, (struct weir_bytes){"factor", 6}, &w->n, sizeof w->n);
}

static weir_err apply_rule(struct meeting *m, struct weir_ctx *ctx, const struct word *w, const struct weir_record *rec)
{
    int64_t factor = 1;
    struct weir_bytes found = weir_broadcast_get(ctx, m->rules, (struct weir_bytes){"factor", 6});
    if (found.data) memcpy(&factor, found.data, sizeof factor);
    return emit_word(ctx->out, w->n * factor, weir_str_data(w, w->text), w->text.length, rec->time_ms);
}
WEIR_CO_PROCESS(ruled, meeting, word, apply_rule, word, rule);
static const struct weir_operator ruled = {.struct_size = sizeof ruled,
                                           .name = "ruled",
                                           .self_size = sizeof(struct meeting),
                                           .in = &word_schema,
                                           .second = &word_schema,
                                           .out = &word_schema,
                                           .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TWO_INPUTS,
                                           .open = meeting_open,
                                           .process = ruled_process};
static const struct weir_harness_operator ruled_op = {.op = &ruled, .in = {{.keyer = &by_text}, {.broadcast = true}}};

static void a_broadcast_input_reaches_every_subtask(void **state)
{
    (void)state;
    for (uint32_t p = 1; p <= 4; p++) {
        struct weir_harness *h = open_one(&ruled_op, &(struct weir_harness_options){.parallelism = p});
        OK(weir_harness_line(h, 0, "+I 1,a", 0));
        OK(weir_harness_line(h, 1, "+I 10,", 0));
        const char *lines[] = {"+I 2,b", "+I 3,c", "+I 4,d", "+I 5,e"};
        for (uint32_t i = 0; i < 4; i++) OK(weir_harness_line(h, 0, lines[i], 0));
        OK(weir_harness_expect(h, 0, "+I 1,a\n+I 20,b\n+I 30,c\n+I 40,d\n+I 50,e\n"));
        assert_int_equal(weir_harness_counter(h, "test", "rules"), p);
        REFUSED(weir_harness_line(h, 1, "+I 13,", 0), WEIR_E_STATE, "used state by key while it processed a broadcast record");
        weir_harness_destroy(&h);
    }
}

/* ---- chains, batches, cuts ------------------------------------------------------------------------------------------------------------
 */

struct total {
    int64_t n;
};
static void total_add(struct total *t, const struct word *w, weir_time time)
{
    (void)time;
    t->n += w->n;
}
static void total_merge(struct total *into, const struct total *from)
{
    into->n += from->n;
}
static weir_err total_emit(struct weir_ctx *ctx, const struct total *t, const struct weir_key *key, weir_time start, weir_time end)
{
    (void)start;
    return emit_word(ctx->out, t->n, key->data, key->length, end - 1);
}
WEIR_AGGREGATE(totals, word, total, word, total_add, total_merge, total_emit);
/* Watermarks, a filter, a window by key, and a second one by the size of the first one's result. */
static weir_err build_chain(struct weir_harness *h, void *arg, struct weir_diag *diag)
{
    (void)arg, (void)diag;
    const struct weir_window ten = {.kind = WEIR_TUMBLING, .size_ms = 10}, hundred = {.kind = WEIR_TUMBLING, .size_ms = 100};
    struct weir_stream *s = weir_filter(weir_harness_in(h, &word_schema), "evens", &evens);
    s = weir_assign_watermarks(s, "time", by_n_of, &(struct weir_watermarks){.max_out_of_orderness_ms = 5});
    s = weir_window_aggregate(weir_key_by(s, &by_text), "ten", &ten, &totals);
    weir_harness_out(h, s);
    s = weir_window_aggregate(weir_key_by(s, &by_text), "hundred", &hundred, &totals);
    weir_harness_out(h, s);
    return WEIR_OK;
}

/* No row of an output is behind a watermark of it, whoever of its subtasks lags. Returns how many rows there are. */
static uint32_t read_in_time(struct weir_harness *h, uint32_t output)
{
    struct weir_harness_record record;
    weir_time watermark = WEIR_TIME_MIN;
    uint32_t n = 0;
    while (weir_harness_next(h, output, &record)) {
        assert_true(record.time_ms > watermark);
        if (record.is_watermark) watermark = record.time_ms;
        n += !record.is_watermark;
    }
    assert_int_equal(watermark, WEIR_TIME_MAX);
    return n;
}

static char *play_chain(const struct weir_harness_options *options)
{
    struct weir_harness *h = NULL;
    struct weir_diag diag = {0};
    WEIR_MUST(h, weir_harness_new(&h, build_chain, NULL, options, &diag));
    for (int64_t i = 0; i < 3000; i++) {
        struct word row = {.n = i, .text = weir_harness_bytes(h, 0, &"abcdefg"[i % 7], 1)};
        OK(weir_harness_push(h, 0, &row, sizeof row, WEIR_TIME_MIN, WEIR_INSERT));
    }
    OK(weir_harness_finish(h));
    assert_int_equal(read_in_time(h, 0), 1500); /* each even number is alone in its ten */
    char *lines = strdup(weir_harness_text(h, 1));
    weir_harness_destroy(&h);
    return lines;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of rows in ascending order, in place. */
static char *sort_lines(char *lines)
{
    char *items[1000], *copy = strdup(lines);
    size_t n = 0;
    for (char *line = strtok(copy, "\n"); line && n < 1000; line = strtok(NULL, "\n"))
        if (line[0] == '+') items[n++] = line;
    qsort(items, n, sizeof *items, compare);
    lines[0] = '\0';
    for (size_t i = 0; i < n; i++) strcat(strcat(lines, items[i]), "\n");
    free(copy);
    return lines;
}

/* The sums of the even numbers by letter and hundred, reckoned by hand. */
static char *sums(void)
{
    char *lines = calloc(30 * 7, 16);
    for (int64_t hundred = 0; hundred < 30; hundred++) {
        for (int64_t letter = 0; letter < 7; letter++) {
            int64_t sum = 0;
            for (int64_t i = hundred * 100; i < hundred * 100 + 100; i += 2) sum += i % 7 == letter ? i : 0;
            (void)sprintf(lines + strlen(lines), "+I %lld,%c\n", (long long)sum, (char)('a' + letter));
        }
    }
    return sort_lines(lines);
}

/* However the same rows are cut into batches, on however many subtasks, in memory or not: the result is one. */
static void a_chain_gives_the_same_in_every_cut(void **state)
{
    (void)state;
    char *expected = sums();
    for (uint32_t p = 1; p <= 3; p++) {
        for (uint64_t seed = 0; seed < 5; seed++) {
            const struct weir_harness_options options = {.parallelism = p,
                                                         .batch = seed == 0   ? WEIR_HARNESS_ONE
                                                                  : seed == 1 ? WEIR_HARNESS_FULL
                                                                              : WEIR_HARNESS_DRAWN,
                                                         .seed = seed,
                                                         .show = WEIR_HARNESS_WATERMARKS,
                                                         .state_bytes = seed == 4 && p == 2 ? 1 : 0};
            char *got = sort_lines(play_chain(&options));
            if (strcmp(got, expected) != 0) print_error("parallelism %u, seed %llu\n", p, (unsigned long long)seed);
            assert_string_equal(got, expected);
            free(got);
        }
    }
    free(expected);
}

static uint32_t largest_batch;
static weir_err measure(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)input;
    if (batch->count > largest_batch) largest_batch = batch->count;
    return weir_forward(ctx, 0, batch);
}
static const struct weir_operator measuring = {
    .struct_size = sizeof measuring, .name = "measuring", .in = &odd_schema, .out = &odd_schema, .process = measure};

static void batches_have_one_record_or_many(void **state)
{
    (void)state;
    for (uint32_t full = 0; full < 2; full++) {
        const struct weir_harness_options options = {.batch = full ? WEIR_HARNESS_FULL : WEIR_HARNESS_ONE};
        struct weir_harness *h = open_one(&(struct weir_harness_operator){.op = &measuring}, &options);
        largest_batch = 0;
        for (int64_t i = 0; i < 1000; i++) OK(weir_harness_push(h, 0, &(struct odd){i}, sizeof(struct odd), i, WEIR_INSERT));
        assert_int_equal(weir_harness_count(h, 0), 1000);
        assert_int_equal(largest_batch, full ? 1000 : 1);
        weir_harness_destroy(&h);
    }
}

/* ---- snapshots ------------------------------------------------------------------------------------------------------------------------
 */

static void state_and_timers_come_back_at_any_parallelism(void **state)
{
    (void)state;
    for (uint32_t before = 1; before <= 3; before += 2) {
        for (uint32_t after = 1; after <= 3; after++) {
            struct weir_harness_snapshot *first = NULL, *second = NULL;
            struct weir_harness *h = open_counting(&event_time, &(struct weir_harness_options){.parallelism = before});
            for (int i = 0; i < 26; i++) OK(weir_harness_line(h, 0, (char[]){'+', 'I', ' ', '1', ',', (char)('a' + i), 0}, 100));
            OK(weir_harness_snapshot(h, &first));
            OK(weir_harness_line(h, 0, "+I 100,a", 100));
            OK(weir_harness_snapshot(h, &second));
            OK(weir_harness_line(h, 0, "+I 1000,a", 100));
            weir_harness_destroy(&h);

            const struct weir_harness_options of_first = {.parallelism = after, .restore = first};
            h = open_counting(&event_time, &of_first);
            weir_harness_snapshot_destroy(&first);
            OK(weir_harness_line(h, 0, "+I 5,b", 200));
            OK(weir_harness_watermark(h, 0, 1000));
            char lines[26 * 8 + 1] = "";
            for (int i = 0; i < 26; i++) sprintf(lines + strlen(lines), "+I %d,%c\n", i == 1 ? 6 : 1, 'a' + i);
            OK(weir_harness_expect_any_order(h, 0, lines));
            weir_harness_destroy(&h);

            const struct weir_harness_options of_second = {.parallelism = after, .restore = second};
            h = open_counting(&event_time, &of_second);
            weir_harness_snapshot_destroy(&second);
            OK(weir_harness_watermark(h, 0, 1000));
            assert_non_null(strstr(weir_harness_text(h, 0), "+I 101,a\n"));
            weir_harness_destroy(&h);
        }
    }
}

static void broadcast_state_comes_back_everywhere(void **state)
{
    (void)state;
    struct weir_harness_snapshot *s = NULL;
    struct weir_harness *h = open_one(&ruled_op, &(struct weir_harness_options){.parallelism = 2});
    OK(weir_harness_line(h, 1, "+I 7,", 0));
    OK(weir_harness_snapshot(h, &s));
    weir_harness_destroy(&h);
    h = open_one(&ruled_op, &(struct weir_harness_options){.parallelism = 4, .restore = s});
    OK(weir_harness_line(h, 0, "+I 1,a", 0));
    OK(weir_harness_line(h, 0, "+I 2,b", 0));
    OK(weir_harness_line(h, 0, "+I 3,c", 0));
    OK(weir_harness_expect(h, 0, "+I 7,a\n+I 14,b\n+I 21,c\n"));
    weir_harness_snapshot_destroy(&s);
    weir_harness_destroy(&h);
}

static weir_err wide_open(void *self, struct weir_ctx *ctx)
{
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "n", .value_size = 16};
    return weir_value_open(ctx, &desc, &((struct counter *)self)->n);
}

static void state_that_finds_no_place_is_refused(void **state)
{
    (void)state;
    struct weir_harness_snapshot *s = NULL;
    struct weir_diag diag = {0};
    struct weir_harness *h = open_counting(&event_time, NULL), *other = NULL;
    OK(weir_harness_line(h, 0, "+I 1,a", 100));
    OK(weir_harness_snapshot(h, &s));
    weir_harness_destroy(&h);

    struct weir_harness_options options = {.restore = s};
    struct weir_harness_operator op = {
        .op = &counting, .id = "renamed", .config = &event_time, .config_size = sizeof event_time, .in = {{.keyer = &by_text}}};
    assert_int_equal(weir_harness_new_operator(&other, &op, &options, &diag), WEIR_E_STATE);
    assert_non_null(strstr(diag.text, "state of operator test, which the graph does not have"));
    options.allow_lost_state = true;
    h = open_one(&op, &options);
    OK(weir_harness_watermark(h, 0, 5000));
    OK(weir_harness_expect(h, 0, ""));
    weir_harness_destroy(&h);

    struct weir_operator wide = counting; /* a new version whose state has another layout */
    wide.open = wide_open;
    op.op = &wide;
    op.id = NULL;
    assert_int_equal(weir_harness_new_operator(&other, &op, &options, &diag), WEIR_E_STATE);
    assert_non_null(strstr(diag.text, "state 'n' was stored with values of 8 bytes and is opened with 16"));
    weir_harness_snapshot_destroy(&s);
}

/* Gives a row for each of its numbers at a watermark, pausing when it is asked to. */
struct speaker {
    struct weir_operator_list *numbers;
    uint32_t at;
};
static weir_err speaker_open(void *self, struct weir_ctx *ctx)
{
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "numbers"};
    return weir_operator_list_open(ctx, &desc, WEIR_SPLIT, &((struct speaker *)self)->numbers);
}
static weir_err remember(struct speaker *s, struct weir_ctx *ctx, const struct odd *row, const struct weir_record *rec)
{
    (void)rec;
    return weir_operator_list_add(ctx, s->numbers, row, sizeof *row);
}
static weir_err speak(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct speaker *s = self;
    for (; s->at < weir_operator_list_count(s->numbers); s->at++) {
        if (weir_should_yield(ctx)) return WEIR_AGAIN;
        struct odd row;
        memcpy(&row, weir_operator_list_at(s->numbers, s->at).data, sizeof row);
        weir_err err = weir_emit(ctx->out, &row, sizeof row, watermark_ms);
        if (err) return err;
    }
    weir_operator_list_clear(ctx, s->numbers);
    s->at = 0;
    return WEIR_OK;
}
WEIR_PROCESS(speaking, speaker, odd, remember);
static const struct weir_operator speaking = {.struct_size = sizeof speaking,
                                              .name = "speaking",
                                              .self_size = sizeof(struct speaker),
                                              .in = &odd_schema,
                                              .out = &odd_schema,
                                              .open = speaker_open,
                                              .process = speaking_process,
                                              .on_watermark = speak};

static void a_snapshot_waits_for_an_emission_that_paused(void **state)
{
    (void)state;
    struct weir_harness_snapshot *s = NULL;
    const struct weir_harness_operator op = {.op = &speaking};
    struct weir_harness *h = open_one(&op, &(struct weir_harness_options){.manual = true});
    bool more = true;
    for (int64_t i = 0; i < 20; i++) OK(weir_harness_push(h, 0, &(struct odd){i}, sizeof(struct odd), i, WEIR_INSERT));
    assert_int_equal(weir_harness_count(h, 0), 0);
    while (more) OK(weir_harness_step(h, &more));
    OK(weir_harness_watermark(h, 0, 100));
    while (weir_harness_count(h, 0) < 5) OK(weir_harness_step(h, &more));
    assert_true(more);
    assert_true(weir_harness_count(h, 0) < 10); /* it paused indeed */
    OK(weir_harness_snapshot(h, &s));
    assert_int_equal(weir_harness_count(h, 0), 20);
    OK(weir_harness_push(h, 0, &(struct odd){77}, sizeof(struct odd), 5, WEIR_INSERT));
    OK(weir_harness_finish(h));
    assert_int_equal(weir_harness_count(h, 0), 21);
    weir_harness_destroy(&h);

    h = open_one(&op, &(struct weir_harness_options){.restore = s});
    OK(weir_harness_finish(h));
    OK(weir_harness_expect(h, 0, "")); /* nothing is said twice */
    weir_harness_destroy(&h);
    weir_harness_snapshot_destroy(&s);
}

static void an_operator_list_is_dealt_out_again(void **state)
{
    (void)state;
    struct weir_harness_snapshot *s = NULL;
    const struct weir_harness_operator op = {.op = &speaking};
    struct weir_harness *h = open_one(&op, &(struct weir_harness_options){.parallelism = 2});
    for (int64_t i = 0; i < 9; i++) OK(weir_harness_push(h, 0, &(struct odd){i}, sizeof(struct odd), i, WEIR_INSERT));
    OK(weir_harness_snapshot(h, &s));
    weir_harness_destroy(&h);
    h = open_one(&op, &(struct weir_harness_options){.parallelism = 3, .restore = s});
    OK(weir_harness_finish(h));
    uint32_t of[3] = {0};
    struct weir_harness_record record;
    for (uint32_t i = 0; i < 9; i++) {
        assert_true(weir_harness_next(h, 0, &record));
        of[record.subtask]++;
    }
    assert_false(weir_harness_next(h, 0, &record));
    for (uint32_t i = 0; i < 3; i++) assert_int_equal(of[i], 3);
    weir_harness_destroy(&h);
    weir_harness_snapshot_destroy(&s);
}

/* ---- sinks ----------------------------------------------------------------------------------------------------------------------------
 */

static char calls[8];
static weir_err note_call(char what)
{
    calls[strlen(calls)] = what;
    return WEIR_OK;
}
static weir_err sink_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    (void)self, (void)ctx, (void)input, (void)batch;
    return note_call('r');
}
static weir_err sink_finish(void *self, struct weir_ctx *ctx)
{
    (void)self, (void)ctx;
    return note_call('f');
}
static weir_err sink_prepare(void *self, struct weir_ctx *ctx, uint64_t checkpoint_id, struct weir_committables *out)
{
    (void)self, (void)ctx, (void)checkpoint_id;
    weir_err err = weir_committable_add(out, "all", 3);
    return err ? err : note_call('p');
}
static weir_err sink_commit(void *self, struct weir_ctx *ctx, struct weir_bytes committable)
{
    (void)self, (void)ctx;
    assert_memory_equal(committable.data, "all", 3);
    return note_call('c');
}
static void sink_close(void *self, struct weir_ctx *ctx)
{
    (void)self, (void)ctx;
    (void)note_call('x');
}
static const struct weir_operator noting = {.struct_size = sizeof noting,
                                            .name = "noting",
                                            .in = &word_schema,
                                            .flags = WEIR_OPERATOR_SINK,
                                            .process = sink_process,
                                            .finish = sink_finish,
                                            .prepare = sink_prepare,
                                            .commit = sink_commit,
                                            .close = sink_close};

static void a_sink_is_finished_and_committed_or_only_closed(void **state)
{
    (void)state;
    for (uint32_t finish = 0; finish < 2; finish++) {
        struct weir_harness *h = open_one(&(struct weir_harness_operator){.op = &noting}, NULL);
        memset(calls, 0, sizeof calls);
        OK(weir_harness_line(h, 0, "+I 1,a", 0));
        if (finish) OK(weir_harness_finish(h));
        weir_harness_destroy(&h);
        assert_string_equal(calls, finish ? "rfpcx" : "rx");
    }
}

/* ---- files ----------------------------------------------------------------------------------------------------------------------------
 */

static uint32_t n_files(const char *path)
{
    uint32_t n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) n += entry->d_name[0] != '.';
    closedir(dir);
    return n;
}

static void state_beyond_its_bytes_is_refused_where_it_cannot_leave_memory(void **state)
{
    (void)state;
    struct weir_harness *h = open_counting(&event_time, &(struct weir_harness_options){.state_bytes = 1, .batch = WEIR_HARNESS_FULL});
    weir_err err = WEIR_OK;
    for (int64_t i = 0; i < 5000 && !err; i++) {
        struct word row = {.n = 1, .text = weir_harness_bytes(h, 0, &i, sizeof i)};
        err = weir_harness_push(h, 0, &row, sizeof row, 0, WEIR_INSERT);
    }
    REFUSED(weir_harness_finish(h), WEIR_E_NOMEM, "cannot leave memory (timers, broadcast state, indexes), the budget is 1");
    weir_harness_destroy(&h);
}

static void files_go_with_the_harness_and_its_snapshots(void **state)
{
    (void)state;
    const char *before = getenv("TMPDIR");
    char base[] = "/tmp/weir-test-XXXXXX", *kept = before ? strdup(before) : NULL;
    assert_non_null(mkdtemp(base));
    setenv("TMPDIR", base, 1);
    struct weir_harness_snapshot *s = NULL;
    struct weir_harness *h = open_counting(&event_time, &(struct weir_harness_options){.state_bytes = 1 << 20, .batch = WEIR_HARNESS_FULL});
    for (int64_t i = 0; i < 5000; i++) {
        char text[24];
        (void)snprintf(text, sizeof text, "%lld", (long long)i);
        struct word row = {.n = 1, .text = weir_harness_str(h, 0, text)};
        OK(weir_harness_push(h, 0, &row, sizeof row, 0, WEIR_INSERT));
    }
    OK(weir_harness_snapshot(h, &s));
    weir_harness_destroy(&h);
    assert_int_equal(n_files(base), 1);
    h = open_counting(&event_time, &(struct weir_harness_options){.restore = s});
    weir_harness_snapshot_destroy(&s);
    OK(weir_harness_finish(h));
    assert_int_equal(weir_harness_count(h, 0), 5000);
    weir_harness_destroy(&h);
    assert_int_equal(n_files(base), 0);
    assert_int_equal(rmdir(base), 0);
    kept ? setenv("TMPDIR", kept, 1) : unsetenv("TMPDIR");
    free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_out_as_lines),
        cmocka_unit_test(records_come_out_as_they_are),
        cmocka_unit_test(side_outputs_and_counters),
        cmocka_unit_test(a_difference_is_told),
        cmocka_unit_test(mistakes_of_the_test_are_refused_and_change_nothing),
        cmocka_unit_test(output_that_nobody_reads_is_bounded),
        cmocka_unit_test(a_failure_has_its_operator_and_its_sentence),
        cmocka_unit_test(an_open_that_fails_fails_the_construction),
        cmocka_unit_test(a_graph_that_cannot_run_is_refused_as_a_job_is),
        cmocka_unit_test(timers_fire_by_watermarks_or_by_the_clock),
        cmocka_unit_test(a_timer_for_the_end_of_time_fires_when_the_input_ends),
        cmocka_unit_test(work_without_end_is_given_up),
        cmocka_unit_test(a_stream_is_silent_by_the_clock_of_the_test),
        cmocka_unit_test(a_sink_is_finished_and_committed_or_only_closed),
        cmocka_unit_test(two_inputs_share_keys_in_the_order_of_the_calls),
        cmocka_unit_test(two_inputs_have_the_lower_time),
        cmocka_unit_test(a_broadcast_input_reaches_every_subtask),
        cmocka_unit_test(a_chain_gives_the_same_in_every_cut),
        cmocka_unit_test(batches_have_one_record_or_many),
        cmocka_unit_test(state_and_timers_come_back_at_any_parallelism),
        cmocka_unit_test(broadcast_state_comes_back_everywhere),
        cmocka_unit_test(state_that_finds_no_place_is_refused),
        cmocka_unit_test(a_snapshot_waits_for_an_emission_that_paused),
        cmocka_unit_test(an_operator_list_is_dealt_out_again),
        cmocka_unit_test(state_beyond_its_bytes_is_refused_where_it_cannot_leave_memory),
        cmocka_unit_test(files_go_with_the_harness_and_its_snapshots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
