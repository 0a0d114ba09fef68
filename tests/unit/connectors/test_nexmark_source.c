/* SPDX-License-Identifier: Apache-2.0 */
/* The generator as a source: published hashes of whole runs, and what must not change them: splits, restarts, pace, projection. */
#include "tests/unit/connectors/nexmark_events.h"

static void assert_text_hash(const struct weir_nexmark *config, enum weir_nexmark_format format, const char *expected)
{
    struct job job;
    struct sha256 sha;
    sha256_init(&sha);
    assert_int_equal(open_text(&job, config, format), WEIR_OK);
    struct fake *f = open_split(&job, 0, (struct weir_bytes){0});
    read_to_end(f);
    for (uint32_t i = 0; i < fake_count(f, 0); i++) {
        struct nexmark_line *line = fake_row(f, 0, i);
        sha256_update(&sha, weir_str_data(line, line->text), line->text.length);
        sha256_update(&sha, "\n", 1);
    }
    assert_digest(&sha, expected);
    assert_int_equal(fake_count(f, 0), config->events);
    fake_close(f);
    close_job(&job);
}

static const struct weir_nexmark std_run = {.events = 100000};
static const struct weir_nexmark mid_run = {.events = 100000, .rate = 3000, .group = 1000};
static const struct weir_nexmark slow_run = {.events = 100000, .rate = 2, .group = 1000};

static void runs_have_the_published_hashes(void **state)
{
    (void)state;
    struct weir_nexmark short_run = mid_run;
    short_run.events = 2500;
    assert_text_hash(&std_run, WEIR_NEXMARK_CSV, "4a26a7637a4ee4448bd8b9b9d75de2b717b7b052a9fa4ccab377dc6fa1728200");
    assert_text_hash(&mid_run, WEIR_NEXMARK_CSV, "b9e0265cb6a94348c18f0213f546478ebe9347960775f550fb4b6d1631eed7d5");
    assert_text_hash(&slow_run, WEIR_NEXMARK_CSV, "03fc9dbd4a86ec61ae73dcda6eabf3ace6daf5f6e2252abdfd30449c348e38dd");
    assert_text_hash(&std_run, WEIR_NEXMARK_JSON, "abd8880af10da4d4e44cb8bb506fe9be81be2ee2468d8ed3855e131c8a4cc8de");
    assert_text_hash(&mid_run, WEIR_NEXMARK_JSON, "0eba59b7922c4520584033f26c8d24b00f56781c3387d0b4ba44d2106d5f602b");
    assert_text_hash(&slow_run, WEIR_NEXMARK_JSON, "5373a51d6d70308e6e53e46c82196b862cb14e9250464831353db9dfee9d4600");
    assert_text_hash(&short_run, WEIR_NEXMARK_CSV, "aa8a4587b2fcf29fb660a461c3d7522447b867717b50924426b77a68a1e07c7d");
}

/* ---- rows by their event number ---------------------------------------------------------------------------------------------------- */

struct seen_row {
    const struct weir_record *rec;
    enum generate_kind kind;
};

/* Puts the rows of a reader where their seq says; each place once. */
static void collect(struct seen_row *rows, uint64_t n_rows, const struct fake *f)
{
    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        for (uint32_t i = 0; i < fake_count(f, (uint32_t)kind); i++) {
            int64_t seq = *(int64_t *)fake_row(f, (uint32_t)kind, i);
            assert_true(seq >= 0 && (uint64_t)seq < n_rows && !rows[seq].rec);
            rows[seq] = (struct seen_row){fake_record(f, (uint32_t)kind, i), (enum generate_kind)kind};
        }
    }
}

static void assert_same_rows(const struct seen_row *a, const struct seen_row *b, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        assert_non_null(a[i].rec);
        assert_non_null(b[i].rec);
        assert_int_equal(a[i].kind, b[i].kind);
        assert_int_equal(a[i].rec->size, b[i].rec->size);
        assert_memory_equal(a[i].rec, b[i].rec, sizeof *a[i].rec + a[i].rec->size);
    }
}

static struct fake *read_whole(struct job *job, const struct weir_nexmark *config)
{
    assert_int_equal(open_events(job, config, 1), WEIR_OK);
    struct fake *f = open_split(job, 0, (struct weir_bytes){0});
    read_to_end(f);
    return f;
}

#define SOME 5003 /* not a multiple of anything */

/* The fake runtime fails a test on a row that is not above the watermark stated before it. */
static void splits_make_the_same_events(void **state)
{
    (void)state;
    static const int64_t groups[] = {1, 1000, 77};
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        struct weir_nexmark config = {.seed = 9, .events = SOME, .rate = 3000, .group = groups[g]};
        struct job job;
        struct fake *whole = read_whole(&job, &config);
        static struct seen_row expected[SOME];
        memset(expected, 0, sizeof expected);
        collect(expected, SOME, whole);
        for (uint32_t n = 2; n <= 5; n++) {
            struct job split_job;
            struct fake *readers[5];
            static struct seen_row rows[SOME];
            memset(rows, 0, sizeof rows);
            config.splits = n == 5 ? 5 : 0;
            assert_int_equal(open_events(&split_job, &config, n == 5 ? 2 : n), WEIR_OK);
            assert_int_equal(split_job.splits.n, n);
            for (uint32_t s = 0; s < n; s++) {
                readers[s] = open_split(&split_job, s, (struct weir_bytes){0});
                read_to_end(readers[s]);
                collect(rows, SOME, readers[s]);
            }
            assert_same_rows(expected, rows, SOME);
            for (uint32_t s = 0; s < n; s++) fake_close(readers[s]);
            close_job(&split_job);
        }
        fake_close(whole);
        close_job(&job);
    }
}

static void a_reader_resumes_anywhere(void **state)
{
    (void)state;
    struct weir_nexmark config = {.seed = 3, .events = SOME, .rate = 300, .group = 100};
    struct job job, resumed_job;
    static struct seen_row expected[SOME], rows[SOME];
    struct fake *whole = read_whole(&job, &config), *readers[SOME];
    collect(expected, SOME, whole);
    assert_int_equal(open_events(&resumed_job, &config, 1), WEIR_OK);
    unsigned char bytes[WEIR_POSITION_BYTES_MAX];
    struct weir_bytes position = {0};
    uint64_t random = 1;
    uint32_t n = 0;
    weir_err err;
    do {
        struct fake *f = readers[n++] = open_split(&resumed_job, 0, position);
        f->yield_at_rows = 1 + (uint32_t)(next_random(&random) % 600);
        err = fake_source_read(f);
        position = fake_source_position(f, bytes);
        collect(rows, SOME, f);
    } while (err == WEIR_OK);
    assert_int_equal(err, WEIR_DONE);
    assert_in_range(n, 4, SOME);
    assert_same_rows(expected, rows, SOME);
    while (n) fake_close(readers[--n]);
    fake_close(whole);
    close_job(&resumed_job);
    close_job(&job);
}

static void the_watermark_follows_the_group(void **state)
{
    (void)state;
    struct weir_nexmark config = {.events = 10000, .rate = 1000, .group = 100};
    struct job job;
    assert_int_equal(open_events(&job, &config, 1), WEIR_OK);
    struct fake *f = open_split(&job, 0, (struct weir_bytes){0});
    f->yield_at_rows = 1;
    assert_ok(f, fake_source_read(f)); /* one burst: positions 0 ... 255 */
    assert_int_equal(fake_count(f, 0) + fake_count(f, 1) + fake_count(f, 2), 256);
    assert_true(f->source_watermark_ms == GENERATE_BASE_MS + 200 - 1);
    fake_close(f);
    close_job(&job);
}

/* Record times are those of arrival, in order, and so are the watermarks. */
static void the_arrival_clock_stamps_positions(void **state)
{
    (void)state;
    struct weir_nexmark config = {.events = 3000, .rate = 700, .group = 1000, .time = WEIR_NEXMARK_ARRIVAL_TIME};
    struct job job;
    struct fake *f = read_whole(&job, &config);
    struct generate g;
    generate_init(&g, 0, 3000, 700, 1000);
    uint32_t next[EVENT_KINDS] = {0};
    for (uint64_t p = 0; p < 3000; p++) {
        uint64_t n = generate_event_at(&g, p);
        enum generate_kind kind = generate_kind(n);
        struct weir_record *rec = fake_record(f, kind, next[kind]++);
        assert_true(*(uint64_t *)weir_record_row(rec) == n);
        assert_true(rec->time_ms == GENERATE_BASE_MS + (weir_time)(p * 1000 / 700));
    }
    assert_true(f->source_watermark_ms == GENERATE_BASE_MS + 2999 * 1000 / 700 - 1);
    fake_close(f);
    close_job(&job);
}

static uint32_t count_all(const struct fake *f)
{
    return fake_count(f, 0) + fake_count(f, 1) + fake_count(f, 2);
}

static void pace_limits_what_is_due(void **state)
{
    (void)state;
    struct weir_nexmark config = {.events = 1000, .pace = 100};
    struct job job;
    struct fake *whole;
    static struct seen_row expected[1000], rows[1000];
    assert_int_equal(open_events(&job, &config, 1), WEIR_OK);
    struct fake *f = open_split(&job, 0, (struct weir_bytes){0});
    f->now_ms = 5000;
    assert_int_equal(fake_source_read(f), WEIR_OK);
    assert_int_equal(count_all(f), 1);
    assert_int_equal(fake_source_read(f), WEIR_AGAIN);
    f->now_ms += 1000;
    assert_int_equal(fake_source_read(f), WEIR_OK);
    assert_int_equal(count_all(f), 101);
    f->now_ms += 100000;
    read_to_end(f);
    collect(rows, 1000, f);
    config.pace = 0; /* never changes the data */
    struct job whole_job;
    whole = read_whole(&whole_job, &config);
    collect(expected, 1000, whole);
    assert_same_rows(expected, rows, 1000);
    fake_close(whole);
    fake_close(f);
    close_job(&whole_job);
    close_job(&job);
}

/* With a start all splits count from it, wherever they begin, and one that is asked late has to catch up. */
static void pace_counts_from_its_start(void **state)
{
    (void)state;
    struct weir_nexmark config = {.events = 1000, .pace = 100, .pace_start = 5000};
    struct job job;
    assert_int_equal(open_events(&job, &config, 2), WEIR_OK);
    const int64_t at_201 = 201;
    struct fake *even = open_split(&job, 0, (struct weir_bytes){0}),
                *odd = open_split(&job, 1, (struct weir_bytes){&at_201, sizeof at_201});
    even->now_ms = odd->now_ms = 4999;
    assert_int_equal(fake_source_read(even), WEIR_AGAIN);
    assert_int_equal(count_all(even), 0);
    even->now_ms = odd->now_ms = 6000; /* positions 0 ... 100 are due */
    assert_int_equal(fake_source_read(even), WEIR_OK);
    assert_int_equal(count_all(even), 51);
    assert_int_equal(fake_source_read(odd), WEIR_AGAIN);
    even->now_ms = odd->now_ms = 8000; /* ... 300 */
    assert_int_equal(fake_source_read(odd), WEIR_OK);
    assert_int_equal(count_all(odd), 50);
    fake_close(even);
    fake_close(odd);
    close_job(&job);
}

/* However long ago the start was and however high the pace, all is due and nothing overflows. */
static void pace_from_long_ago(void **state)
{
    (void)state;
    struct weir_nexmark config = {.events = 1000, .pace = 1000000000000, .pace_start = 1};
    struct job job;
    assert_int_equal(open_events(&job, &config, 1), WEIR_OK);
    struct fake *f = open_split(&job, 0, (struct weir_bytes){0});
    f->now_ms = 4000000000000;
    read_to_end(f);
    assert_int_equal(count_all(f), 1000);
    fake_close(f);
    close_job(&job);
}

/* ---- projection -------------------------------------------------------------------------------------------------------------------- */

/* The wanted fields are as before, the others 0 or empty. */
static void assert_projected(const struct weir_schema *schema, uint32_t fields, const void *full, const void *row)
{
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        const struct weir_field *field = &schema->fields[i];
        bool wanted = fields >> i & 1;
        if (field->type == WEIR_TYPE_STR) {
            struct weir_str a, b;
            memcpy(&a, (const char *)full + field->offset, sizeof a);
            memcpy(&b, (const char *)row + field->offset, sizeof b);
            assert_true(wanted ? same_str(full, a, row, b) : b.length == 0);
        } else {
            int64_t a, b;
            memcpy(&a, (const char *)full + field->offset, sizeof a);
            memcpy(&b, (const char *)row + field->offset, sizeof b);
            assert_true(b == (wanted ? a : 0));
        }
    }
}

static void projection_changes_no_other_field(void **state)
{
    (void)state;
    struct weir_nexmark config = {.seed = 4, .events = 1000};
    struct job job;
    struct fake *whole = read_whole(&job, &config);
    uint64_t random = 2;
    for (int round = 0; round < 40; round++) {
        struct weir_nexmark_fields fields = {.person = 1 + (uint32_t)(next_random(&random) % GENERATE_PERSON_FIELDS),
                                             .auction = 1 + (uint32_t)(next_random(&random) % GENERATE_AUCTION_FIELDS),
                                             .bid = 1 + (uint32_t)(next_random(&random) % GENERATE_BID_FIELDS)};
        const uint32_t by_kind[EVENT_KINDS] = {fields.bid, fields.auction, fields.person};
        struct weir_nexmark projected = config;
        projected.project = fields;
        struct job projected_job;
        struct fake *f = read_whole(&projected_job, &projected);
        for (uint32_t kind = 0; kind < EVENT_KINDS; kind++) {
            assert_int_equal(fake_count(f, kind), fake_count(whole, kind));
            for (uint32_t i = 0; i < fake_count(f, kind); i++) {
                struct weir_record *full = fake_record(whole, kind, i), *rec = fake_record(f, kind, i);
                assert_true(weir_row_valid(event_schemas[kind], rec + 1, rec->size));
                assert_true(rec->time_ms == full->time_ms);
                assert_projected(event_schemas[kind], by_kind[kind], full + 1, rec + 1);
            }
        }
        fake_close(f);
        close_job(&projected_job);
    }
    fake_close(whole);
    close_job(&job);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------------------------- */

static void bad_configurations_are_refused_in_words(void **state)
{
    (void)state;
    static const struct {
        struct weir_nexmark config;
        const char *words;
    } cases[] = {
        {{.events = WEIR_NEXMARK_EVENTS_MAX + 1}, "events"},
        {{.rate = -1}, "rate -1 is outside 1 ..."},
        {{.group = -5}, "group -5 is outside 1 ..."},
        {{.group = 953}, "multiple of 953"},
        {{.group = 953000}, "multiple of 953"},
        {{.pace = -1}, "pace"},
        {{.pace_start = -1}, "pace_start"},
        {{.time = (enum weir_nexmark_time)7}, "time"},
        {{.splits = WEIR_SPLITS_MAX + 1}, "splits"},
        {{.project.bid = 0x100}, "project"},
        {{.project.person = 0x200}, "project"},
        {{.project.auction = 0x800}, "project"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct job job;
        assert_int_equal(open_events(&job, &cases[i].config, 1), WEIR_E_ARGUMENT);
        assert_non_null(strstr(job.diag.text, cases[i].words));
        close_job(&job);
    }
    struct job job;
    struct weir_nexmark projected = {.events = 1, .project.bid = 1};
    assert_int_equal(open_text(&job, &projected, WEIR_NEXMARK_CSV), WEIR_E_ARGUMENT);
    close_job(&job);
    assert_int_equal(open_text(&job, &std_run, (enum weir_nexmark_format)2), WEIR_E_ARGUMENT);
    close_job(&job);
}

static void foreign_positions_are_refused(void **state)
{
    (void)state;
    struct weir_nexmark config = {.events = 100};
    struct job job;
    assert_int_equal(open_events(&job, &config, 2), WEIR_OK);
    int64_t other = 2; /* an even position in the odd split */
    const struct weir_bytes positions[] = {{&other, 3}, {&other, 8}};
    for (int i = 0; i < 2; i++) {
        struct fake *f = fake_new(&(struct fake_options){.config = job.node->config, .n_outs = 3});
        assert_int_equal(fake_source_open(f, job.node->source, job.splits.items[1], positions[i]), WEIR_E_CORRUPT);
        fake_close(f);
    }
    close_job(&job);
}

static void an_empty_run_ends(void **state)
{
    (void)state;
    struct weir_nexmark config = {.events = 0};
    struct job job;
    struct fake *f = read_whole(&job, &config);
    assert_int_equal(count_all(f), 0);
    fake_close(f);
    close_job(&job);
}

static void the_outputs_are_typed(void **state)
{
    (void)state;
    struct job job;
    begin_job(&job, 1);
    struct weir_nexmark_streams s = weir_from_nexmark(job.env, "events", &std_run);
    assert_ptr_equal(weir_stream_schema(s.bids), &nexmark_bid_schema);
    assert_ptr_equal(weir_stream_schema(s.auctions), &nexmark_auction_schema);
    assert_ptr_equal(weir_stream_schema(s.persons), &nexmark_person_schema);
    assert_null(s.malformed);
    s = weir_from_nexmark_file(job.env, "file", &(struct weir_nexmark_file){.path = "x"});
    assert_ptr_equal(weir_stream_schema(s.persons), &nexmark_person_schema);
    assert_ptr_equal(weir_stream_schema(s.malformed), &nexmark_malformed_schema);
    close_job(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_have_the_published_hashes),
        cmocka_unit_test(splits_make_the_same_events),
        cmocka_unit_test(a_reader_resumes_anywhere),
        cmocka_unit_test(the_watermark_follows_the_group),
        cmocka_unit_test(the_arrival_clock_stamps_positions),
        cmocka_unit_test(pace_limits_what_is_due),
        cmocka_unit_test(pace_counts_from_its_start),
        cmocka_unit_test(pace_from_long_ago),
        cmocka_unit_test(projection_changes_no_other_field),
        cmocka_unit_test(bad_configurations_are_refused_in_words),
        cmocka_unit_test(foreign_positions_are_refused),
        cmocka_unit_test(an_empty_run_ends),
        cmocka_unit_test(the_outputs_are_typed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
