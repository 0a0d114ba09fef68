/* SPDX-License-Identifier: Apache-2.0 */
/* Events from files: what is written reads back, whatever the strings hold and however the file is cut; what is no event is told apart. */
#include <stdio.h>
#include <string.h>

#include <zlib.h>

#include "tests/support/temp_dir.h"
#include "tests/unit/connectors/nexmark_events.h"

#define MALFORMED 3

static const enum weir_nexmark_format formats[] = {WEIR_NEXMARK_CSV, WEIR_NEXMARK_JSON};

static const char *write_file(const struct temp_dir *dir, const void *data, size_t len)
{
    const char *path = temp_path(dir, "events");
    temp_write(path, data, len);
    return path;
}

/* Reads all splits; the text of all outputs' rows, kind after kind, in `csv`. Returns the readers' malformed records. */
static uint32_t read_file(const struct weir_nexmark_file *config, uint32_t parallelism, struct text_buf csv[EVENT_KINDS], uint32_t *splits)
{
    struct job job;
    uint32_t malformed = 0;
    if (open_file(&job, config, parallelism)) fail_msg("%s", job.diag.text);
    *splits = job.splits.n;
    for (uint32_t s = 0; s < job.splits.n; s++) {
        struct fake *f = open_split(&job, s, (struct weir_bytes){0});
        read_to_end(f);
        for (int kind = 0; kind < EVENT_KINDS; kind++) append_csv(&csv[kind], f, (enum generate_kind)kind);
        malformed += fake_count(f, MALFORMED);
        fake_close(f);
    }
    close_job(&job);
    return malformed;
}

static void assert_same_texts(struct text_buf a[EVENT_KINDS], struct text_buf b[EVENT_KINDS])
{
    for (int kind = 0; kind < EVENT_KINDS; kind++) {
        assert_int_equal(a[kind].len, b[kind].len);
        if (a[kind].len) assert_memory_equal(a[kind].data, b[kind].data, a[kind].len);
    }
}

static void close_texts(struct text_buf texts[EVENT_KINDS])
{
    for (int kind = 0; kind < EVENT_KINDS; kind++) text_close(&texts[kind]);
}

/* ---- hostile events ---------------------------------------------------------------------------------------------------------------- */

/* A string from bytes that the formats find hard, sometimes none, sometimes of any bytes at all. */
static struct weir_str hostile_str(struct weir_out *out, uint32_t row_size, uint64_t *random)
{
    static const char hard[] = "\",\\\r\n\t{}[]:u0\x01\x1f\x7f\xc3\xa4 ab/";
    char text[48];
    uint32_t len = next_random(random) % 4 ? (uint32_t)(next_random(random) % sizeof text) : 0;
    for (uint32_t i = 0; i < len; i++) {
        uint64_t r = next_random(random);
        text[i] = r & 7 ? hard[(r >> 8) % (sizeof hard - 1)] : (char)(r >> 8);
    }
    return weir_put_str(out, row_size, text, len);
}

static int64_t hostile_number(uint64_t *random)
{
    uint64_t r = next_random(random);
    return r % 16 == 0 ? INT64_MAX : r % 16 == 1 ? 0 : (int64_t)(r >> 1) >> (next_random(random) % 63);
}

/* A row of any schema on output `kind`. */
static void emit_hostile(struct fake *f, enum generate_kind kind, uint64_t *random)
{
    const struct weir_schema *schema = event_schemas[kind];
    struct weir_out *out = &f->ctx.out[kind];
    unsigned char row[128] = {0};
    assert_in_range(schema->row_size, 1, sizeof row);
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        const struct weir_field *field = &schema->fields[i];
        if (field->type == WEIR_TYPE_STR) {
            struct weir_str str = hostile_str(out, schema->row_size, random);
            memcpy(row + field->offset, &str, sizeof str);
        } else {
            int64_t number = hostile_number(random);
            memcpy(row + field->offset, &number, sizeof number);
        }
    }
    assert_ok(f, weir_emit_bytes(out, row, schema->row_size, WEIR_TIME_MIN, WEIR_INSERT));
}

/* Writes `n` hostile events to `file`, and what they are, kind after kind, to `expected`. */
static void write_hostile(struct text_buf *file, enum weir_nexmark_format format, struct text_buf expected[EVENT_KINDS], int n,
                          uint64_t seed)
{
    struct fake *f = fake_new(&(struct fake_options){.n_outs = EVENT_KINDS});
    for (int i = 0; i < n; i++) {
        enum generate_kind kind = (enum generate_kind)(next_random(&seed) % EVENT_KINDS);
        emit_hostile(f, kind, &seed);
        fake_flush(f);
        const void *row = fake_row(f, kind, fake_count(f, kind) - 1);
        assert_true(event_write(file, format, kind, row));
        assert_true(event_write(&expected[kind], WEIR_NEXMARK_CSV, kind, row));
    }
    fake_close(f);
}

static void hostile_events_read_back_however_the_file_is_cut(void **state)
{
    (void)state;
    struct temp_dir dir;
    temp_dir_make(&dir);
    for (int round = 0; round < 8; round++) {
        struct text_buf file = {0}, expected[EVENT_KINDS] = {0};
        enum weir_nexmark_format format = formats[round % 2];
        write_hostile(&file, format, expected, 300, (uint64_t)round);
        const char *path = write_file(&dir, file.data, file.len - (round & 2 ? 1 : 0)); /* the last LF may be missing */
        for (uint32_t parallelism = 1; parallelism <= 40; parallelism = parallelism * 2 + 1) {
            struct weir_nexmark_file config = {.path = path, .format = format, .lag_ms = -1};
            struct text_buf found[EVENT_KINDS] = {0};
            uint32_t splits;
            assert_int_equal(read_file(&config, parallelism, found, &splits), 0);
            assert_in_range(splits, parallelism / 2 + 1, parallelism);
            assert_same_texts(expected, found);
            close_texts(found);
        }
        text_close(&file);
        close_texts(expected);
    }
    temp_dir_remove(&dir);
}

/* ---- generated events -------------------------------------------------------------------------------------------------------------- */

#define EVENTS 3000
static const struct weir_nexmark run = {.seed = 1, .events = EVENTS, .rate = 3000, .group = 1000};

static void write_generated(struct text_buf *file, enum weir_nexmark_format format)
{
    struct job job;
    assert_int_equal(open_text(&job, &run, format), WEIR_OK);
    struct fake *f = open_split(&job, 0, (struct weir_bytes){0});
    read_to_end(f);
    for (uint32_t i = 0; i < fake_count(f, 0); i++) {
        struct nexmark_line *line = fake_row(f, 0, i);
        assert_true(text_reserve(file, line->text.length + 1));
        text_put(file, weir_str_data(line, line->text), line->text.length);
        text_put_char(file, '\n');
    }
    fake_close(f);
    close_job(&job);
}

/* The same bytes in rows and record headers, from the generator and from a file of its text. */
static void assert_same_records(const struct fake *a, const struct fake *b)
{
    for (uint32_t kind = 0; kind < EVENT_KINDS; kind++) {
        assert_int_equal(fake_count(a, kind), fake_count(b, kind));
        for (uint32_t i = 0; i < fake_count(a, kind); i++) {
            struct weir_record *x = fake_record(a, kind, i), *y = fake_record(b, kind, i);
            assert_int_equal(x->size, y->size);
            assert_memory_equal(x, y, sizeof *x + x->size);
        }
    }
}

static void a_file_of_a_run_is_the_run(void **state)
{
    (void)state;
    struct temp_dir dir;
    temp_dir_make(&dir);
    static const enum weir_nexmark_time times[] = {WEIR_NEXMARK_EVENT_TIME, WEIR_NEXMARK_ARRIVAL_TIME};
    for (int i = 0; i < 4; i++) {
        struct text_buf file = {0};
        struct job job, file_job;
        struct weir_nexmark generated = run;
        generated.time = times[i / 2];
        write_generated(&file, formats[i % 2]);
        struct weir_nexmark_file config = {.path = write_file(&dir, file.data, file.len),
                                           .format = formats[i % 2],
                                           .time = times[i / 2],
                                           .lag_ms = 1000 * 1000 / 3000 + 2,
                                           .rate = 3000};
        assert_int_equal(open_events(&job, &generated, 1), WEIR_OK);
        assert_int_equal(open_file(&file_job, &config, 1), WEIR_OK);
        struct fake *a = open_split(&job, 0, (struct weir_bytes){0}), *b = open_split(&file_job, 0, (struct weir_bytes){0});
        read_to_end(a);
        read_to_end(b);
        assert_same_records(a, b);
        fake_close(a);
        fake_close(b);
        close_job(&job);
        close_job(&file_job);
        text_close(&file);
    }
    temp_dir_remove(&dir);
}

static void compressed_files_are_one_split(void **state)
{
    (void)state;
    struct temp_dir dir;
    temp_dir_make(&dir);
    struct text_buf file = {0}, plain[EVENT_KINDS] = {0}, packed[EVENT_KINDS] = {0};
    write_generated(&file, WEIR_NEXMARK_CSV);
    const char *gz = temp_path(&dir, "events.gz");
    gzFile out = gzopen(gz, "wb");
    assert_int_equal(gzwrite(out, file.data, (unsigned)file.len), (int)file.len);
    assert_int_equal(gzclose(out), Z_OK);
    uint32_t splits;
    read_file(&(struct weir_nexmark_file){.path = write_file(&dir, file.data, file.len), .lag_ms = -1}, 1, plain, &splits);
    read_file(&(struct weir_nexmark_file){.path = gz, .lag_ms = -1}, 4, packed, &splits);
    assert_int_equal(splits, 1);
    assert_same_texts(plain, packed);
    text_close(&file);
    close_texts(plain);
    close_texts(packed);
    temp_dir_remove(&dir);
}

/* Each reader goes on from where the one before says it stands; the arrival clock shows that it knows the records' numbers. */
static void a_reader_resumes_between_any_two_records(void **state)
{
    (void)state;
    struct temp_dir dir;
    temp_dir_make(&dir);
    struct text_buf file = {0};
    write_generated(&file, WEIR_NEXMARK_CSV);
    struct weir_nexmark_file config = {
        .path = write_file(&dir, file.data, file.len), .time = WEIR_NEXMARK_ARRIVAL_TIME, .rate = 1000, .splits = 3};
    struct job job;
    assert_int_equal(open_file(&job, &config, 1), WEIR_OK);
    assert_int_equal(job.splits.n, 3);
    uint64_t random = 4;
    int64_t record = 0, readers = 0;
    for (uint32_t s = 0; s < 3; s++) {
        unsigned char bytes[WEIR_POSITION_BYTES_MAX];
        struct weir_bytes position = {0};
        weir_err err;
        do {
            struct fake *f = open_split(&job, s, position);
            f->yield_at_rows = 1 + (uint32_t)(next_random(&random) % 300);
            err = fake_source_read(f); /* fills its buffer */
            if (!err) err = fake_source_read(f);
            position = fake_source_position(f, bytes);
            int64_t rows = fake_count(f, 0) + fake_count(f, 1) + fake_count(f, 2);
            for (uint32_t kind = 0; kind < EVENT_KINDS; kind++) {
                for (uint32_t i = 0; i < fake_count(f, kind); i++)
                    assert_in_range(fake_record(f, kind, i)->time_ms, GENERATE_BASE_MS + record, GENERATE_BASE_MS + record + rows - 1);
            }
            record += rows;
            readers++;
            fake_close(f);
        } while (err == WEIR_OK);
        assert_int_equal(err, WEIR_DONE);
    }
    assert_int_equal(record, EVENTS);
    assert_in_range(readers, 10, EVENTS);
    close_job(&job);
    text_close(&file);
    temp_dir_remove(&dir);
}

/* ---- watermarks -------------------------------------------------------------------------------------------------------------------- */

static weir_time watermark_of(const char *path, int64_t lag_ms)
{
    struct job job;
    assert_int_equal(open_file(&job, &(struct weir_nexmark_file){.path = path, .lag_ms = lag_ms}, 1), WEIR_OK);
    struct fake *f = open_split(&job, 0, (struct weir_bytes){0});
    read_to_end(f);
    weir_time watermark = f->source_watermark_ms;
    fake_close(f);
    close_job(&job);
    return watermark;
}

static void the_watermark_lags_behind_the_highest_time(void **state)
{
    (void)state;
    static const char file[] = "B,1,1,1,1,c,u,500,x\nB,2,1,1,1,c,u,900,x\nB,3,1,1,1,c,u,800,x\n";
    struct temp_dir dir;
    temp_dir_make(&dir);
    const char *path = write_file(&dir, file, sizeof file - 1);
    assert_true(watermark_of(path, 0) == 899);
    assert_true(watermark_of(path, 250) == 649);
    assert_true(watermark_of(path, -1) == WEIR_TIME_MIN);
    temp_dir_remove(&dir);
}

/* ---- malformed records ------------------------------------------------------------------------------------------------------------- */

struct bad_record {
    enum weir_nexmark_format format;
    const char *text;
    const char *words;
};

#define BID "\"seq\":1,\"auction\":2,\"bidder\":3,\"price\":4,\"channel\":\"c\",\"url\":\"u\",\"dateTime\":5,"
static const struct bad_record bad_records[] = {
    {WEIR_NEXMARK_CSV, "", "unknown kind \"\""},
    {WEIR_NEXMARK_CSV, "X,1,2,3", "unknown kind \"X\""},
    {WEIR_NEXMARK_CSV, "b,1,2,3,4,c,u,5,x", "unknown kind \"b\""},
    {WEIR_NEXMARK_CSV, "BB,1,2,3,4,c,u,5,x", "unknown kind \"BB\""},
    {WEIR_NEXMARK_CSV, "B", "no fields"},
    {WEIR_NEXMARK_CSV, "B,", "\"\" is not an integer"},
    {WEIR_NEXMARK_CSV, "B,1,2,3,4,c,u,5", "field \"extra\": missing"},
    {WEIR_NEXMARK_CSV, "B,1,2,3,4,c,u,5,x,y", "more than the 8 fields"},
    {WEIR_NEXMARK_CSV, "B,1,2,3,4x,c,u,5,x", "field \"price\": \"4x\" is not an integer"},
    {WEIR_NEXMARK_CSV, "B,1,2,3,4.0,c,u,5,x", "\"4.0\" is not an integer"},
    {WEIR_NEXMARK_CSV, "B,1,2,3,+4,c,u,5,x", "\"+4\" is not an integer"},
    {WEIR_NEXMARK_CSV, "B,1,2,3, 4,c,u,5,x", "\" 4\" is not an integer"},
    {WEIR_NEXMARK_CSV, "B,1,2,3,-4,c,u,5,x", "\"-4\" is negative"},
    {WEIR_NEXMARK_CSV, "B,1,2,3,4,c,u,-5,x", "field \"dateTime\": \"-5\" is negative"},
    {WEIR_NEXMARK_CSV, "B,1,2,3,9223372036854775808,c,u,5,x", "out of range"},
    {WEIR_NEXMARK_CSV, "B,1,2,3,4,c\"d,u,5,x", "a quote inside an unquoted field"},
    {WEIR_NEXMARK_CSV, "B,1,2,3,4,\"c\"d,u,5,x", "text behind its closing quote"},
    {WEIR_NEXMARK_CSV, "B,1,2,3,4,\"c,u,5,x", "no closing quote"},
    {WEIR_NEXMARK_CSV, "P,1,2,n,e,c,c,s,5", "field \"extra\": missing"},
    {WEIR_NEXMARK_CSV, "A,1,2,i,d,3,4,5,6,7,8", "field \"extra\": missing"},
    {WEIR_NEXMARK_JSON, "", "an object must begin here"},
    {WEIR_NEXMARK_JSON, "[]", "an object must begin here"},
    {WEIR_NEXMARK_JSON, "{}", "key \"type\": missing"},
    {WEIR_NEXMARK_JSON, "{" BID "\"extra\":\"x\"}", "key \"type\": missing"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"X\"," BID "\"extra\":\"x\"}", "unknown kind \"X\""},
    {WEIR_NEXMARK_JSON, "{\"type\":1," BID "\"extra\":\"x\"}", "a string must begin here"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\"," BID "\"type\":\"B\",\"extra\":\"x\"}", "key \"type\" stands twice"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\"," BID "\"price\":4,\"extra\":\"x\"}", "field \"price\": \"price\" stands twice"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\"," BID "\"more\":4,\"extra\":\"x\"}", "key \"more\" is none of the row's"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\"," BID "\"type\":\"P\"}", "stands twice"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\",\"seq\":1}", "missing"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\",\"seq\":-1}", "\"-1\" is negative"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\",\"seq\":1.0}", "\"1.0\" is not an integer"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\",\"seq\":1e3}", "\"1e3\" is not an integer"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\",\"seq\":01}", "not a JSON line"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\",\"seq\":9223372036854775808}", "out of range"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\",\"seq\":\"1\"}", "begins with a string"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\",\"seq\":null}", "\"null\" is not an integer"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\",\"seq\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "nested too deep"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\",\"channel\":7}", "begins with no string"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\"," BID "\"extra\":\"x\"", "must stand here"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\"," BID "\"extra\":\"x\"}}", "text behind the object"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\"," BID "\"extra\":\"x}", "the string does not end"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\"," BID "\"extra\":\"\x01\"}", "a control character"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\"," BID "\"extra\":\"\\x\"}", "an escape JSON does not know"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\"," BID "\"extra\":\"\\ud800\"}", "half a surrogate pair"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\"," BID "\"extra\":\"\\udc00\"}", "half a surrogate pair"},
    {WEIR_NEXMARK_JSON, "{\"type\":\"B\"," BID "\"extra\":\"\\u12g4\"}", "four hex digits"},
};
static const char *const good_record[] = {"B,1,2,3,4,c,u,5,x", "{\"type\":\"B\"," BID "\"extra\":\"x\"}"};

/* A good record, the bad one, a good record. */
static size_t surround(char *file, size_t cap, const struct bad_record *bad)
{
    const char *good = good_record[bad->format];
    return (size_t)snprintf(file, cap, "%s\n%s\n%s\n", good, bad->text, good);
}

static void a_malformed_record_fails_the_job_in_words(void **state)
{
    (void)state;
    struct temp_dir dir;
    temp_dir_make(&dir);
    for (size_t i = 0; i < sizeof bad_records / sizeof *bad_records; i++) {
        const struct bad_record *bad = &bad_records[i];
        char file[1024], place[64];
        struct job job;
        const char *path = write_file(&dir, file, surround(file, sizeof file, bad));
        assert_int_equal(open_file(&job, &(struct weir_nexmark_file){.path = path, .format = bad->format}, 1), WEIR_OK);
        struct fake *f = open_split(&job, 0, (struct weir_bytes){0});
        weir_err err;
        do err = fake_source_read(f);
        while (err == WEIR_OK);
        if (err != WEIR_E_CORRUPT && err != WEIR_E_LIMIT) fail_msg("%s: read as an event", bad->text);
        assert_non_null(strstr(f->diag.text, path));
        assert_non_null(strstr(f->diag.text, ": line 1 (from 0), byte "));
        snprintf(place, sizeof place, "(line at %zu)", strlen(good_record[bad->format]) + 1);
        assert_non_null(strstr(f->diag.text, place));
        if (!strstr(f->diag.text, bad->words)) fail_msg("%s: %s", bad->text, f->diag.text);
        fake_close(f);
        close_job(&job);
    }
    temp_dir_remove(&dir);
}

static void a_malformed_record_becomes_a_dead_letter(void **state)
{
    (void)state;
    struct temp_dir dir;
    temp_dir_make(&dir);
    for (size_t i = 0; i < sizeof bad_records / sizeof *bad_records; i++) {
        const struct bad_record *bad = &bad_records[i];
        char file[1024];
        struct job job;
        struct weir_nexmark_file config = {.path = write_file(&dir, file, surround(file, sizeof file, bad)),
                                           .format = bad->format,
                                           .on_malformed = WEIR_NEXMARK_DEAD_LETTER};
        assert_int_equal(open_file(&job, &config, 1), WEIR_OK);
        struct fake *f = open_split(&job, 0, (struct weir_bytes){0});
        read_to_end(f);
        assert_int_equal(fake_count(f, 0), 2);
        assert_int_equal(fake_record(f, 0, 0)->size, fake_record(f, 0, 1)->size); /* nothing of the bad one is left in the next */
        assert_int_equal(fake_count(f, MALFORMED), 1);
        struct nexmark_malformed *row = fake_row(f, MALFORMED, 0);
        assert_true(weir_row_valid(&nexmark_malformed_schema, row, fake_record(f, MALFORMED, 0)->size));
        assert_int_equal(row->line, 1);
        assert_int_equal(row->position, strlen(good_record[bad->format]) + 1);
        assert_int_equal(row->text.length, strlen(bad->text));
        assert_memory_equal(weir_str_data(row, row->text), bad->text, row->text.length);
        assert_non_null(memmem(weir_str_data(row, row->reason), row->reason.length, bad->words, strlen(bad->words)));
        fake_close(f);
        close_job(&job);
    }
    temp_dir_remove(&dir);
}

/* A record with broken quotes takes no other record with it, and its neighbours keep their numbers, wherever the file is cut. */
static void broken_quotes_end_at_the_first_line_feed(void **state)
{
    (void)state;
    static const char file[] = "B,1,2,3,4,\"c\nc\",u,5,x\n"    /* 0: two lines, whole */
                               "B,2,2,3,4,\"c,u,5,x\n"         /* 1: never closed before the next quote */
                               "B,3,2,3,4,c,u,5,x\r\n"         /* 2 */
                               "B,4,2,3,4,\"c\"d\ne\",u,5,x\n" /* 3: broken; 4 is its second line */
                               "B,5,2,3,4,\"c\",u,5,\"\"\r\n"  /* 5 */
                               "B,6,2,3,4,c,u,5,\"x\n";        /* 6: closed by nothing */
    static const int64_t bids[] = {1, 3, 5}, bad_lines[] = {1, 3, 4, 6};
    struct temp_dir dir;
    temp_dir_make(&dir);
    const char *path = write_file(&dir, file, sizeof file - 1);
    for (uint32_t parallelism = 1; parallelism < 9; parallelism++) {
        struct job job;
        struct weir_nexmark_file config = {
            .path = path, .on_malformed = WEIR_NEXMARK_DEAD_LETTER, .time = WEIR_NEXMARK_ARRIVAL_TIME, .rate = 1000};
        uint32_t n_bids = 0, n_bad = 0;
        assert_int_equal(open_file(&job, &config, parallelism), WEIR_OK);
        for (uint32_t s = 0; s < job.splits.n; s++) {
            struct fake *f = open_split(&job, s, (struct weir_bytes){0});
            read_to_end(f);
            for (uint32_t i = 0; i < fake_count(f, 0); i++)
                assert_int_equal(((struct nexmark_bid *)fake_row(f, 0, i))->seq, bids[n_bids++]);
            for (uint32_t i = 0; i < fake_count(f, MALFORMED); i++) {
                assert_int_equal(((struct nexmark_malformed *)fake_row(f, MALFORMED, i))->line, bad_lines[n_bad]);
                assert_true(fake_record(f, MALFORMED, i)->time_ms == GENERATE_BASE_MS + bad_lines[n_bad++]);
            }
            fake_close(f);
        }
        assert_int_equal(n_bids, 3);
        assert_int_equal(n_bad, 4);
        close_job(&job);
    }
    temp_dir_remove(&dir);
}

static void json_keys_come_in_any_order(void **state)
{
    (void)state;
    static const char file[] =
        "{ \"extra\" : \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\ude00\", \"dateTime\":5, \"url\":\"u\",\"channel\":"
        "\"\\u0063\",\"price\":4,\"bidder\":3,\"auction\":2,\"\\u0073eq\":1, \"ty\\u0070e\" :\"\\u0042\" }\r\n";
    static const char extra[] = "\"\\/\b\f\n\r\t\xc3\xa4\xf0\x9f\x98\x80";
    struct temp_dir dir;
    temp_dir_make(&dir);
    struct job job;
    struct weir_nexmark_file config = {.path = write_file(&dir, file, sizeof file - 1), .format = WEIR_NEXMARK_JSON};
    assert_int_equal(open_file(&job, &config, 1), WEIR_OK);
    struct fake *f = open_split(&job, 0, (struct weir_bytes){0});
    read_to_end(f);
    assert_int_equal(fake_count(f, 0), 1);
    struct nexmark_bid *bid = fake_row(f, 0, 0);
    assert_true(bid->seq == 1 && bid->auction == 2 && bid->bidder == 3 && bid->price == 4 && bid->date_time == 5);
    assert_int_equal(bid->extra.length, sizeof extra - 1);
    assert_memory_equal(weir_str_data(bid, bid->extra), extra, sizeof extra - 1);
    assert_memory_equal(weir_str_data(bid, bid->channel), "c", 1);
    fake_close(f);
    close_job(&job);
    temp_dir_remove(&dir);
}

/* ---- files ------------------------------------------------------------------------------------------------------------------------- */

static void assert_refused(const struct weir_nexmark_file *config, weir_err expected, const char *words)
{
    struct job job;
    assert_int_equal(open_file(&job, config, 1), expected);
    if (!strstr(job.diag.text, words)) fail_msg("%s", job.diag.text);
    close_job(&job);
}

static void wrong_configurations_are_refused(void **state)
{
    (void)state;
    assert_refused(&(struct weir_nexmark_file){.path = NULL}, WEIR_E_ARGUMENT, "no path");
    assert_refused(&(struct weir_nexmark_file){.path = "/no/such/file"}, WEIR_E_NOT_FOUND, "/no/such/file");
    assert_refused(&(struct weir_nexmark_file){.path = "/"}, WEIR_E_ARGUMENT, "not a regular file");
    assert_refused(&(struct weir_nexmark_file){.path = "x", .format = (enum weir_nexmark_format)2}, WEIR_E_ARGUMENT, "format");
    assert_refused(&(struct weir_nexmark_file){.path = "x", .time = (enum weir_nexmark_time)2}, WEIR_E_ARGUMENT, "time");
    assert_refused(&(struct weir_nexmark_file){.path = "x", .rate = -1}, WEIR_E_ARGUMENT, "rate");
    assert_refused(&(struct weir_nexmark_file){.path = "x", .on_malformed = (enum weir_nexmark_on_malformed)2}, WEIR_E_ARGUMENT,
                   "on_malformed");
    assert_refused(&(struct weir_nexmark_file){.path = "x", .splits = WEIR_SPLITS_MAX + 1}, WEIR_E_ARGUMENT, "splits");
}

static void an_empty_file_has_no_splits(void **state)
{
    (void)state;
    struct temp_dir dir;
    temp_dir_make(&dir);
    struct text_buf none[EVENT_KINDS] = {0};
    uint32_t splits;
    read_file(&(struct weir_nexmark_file){.path = write_file(&dir, "", 0)}, 3, none, &splits);
    assert_int_equal(splits, 0);
    temp_dir_remove(&dir);
}

static void foreign_positions_are_refused(void **state)
{
    (void)state;
    struct temp_dir dir;
    temp_dir_make(&dir);
    struct job job;
    static const char file[] = "B,1,2,3,4,c,u,5,x\nB,2,2,3,4,c,u,5,x\n";
    struct weir_nexmark_file config = {.path = write_file(&dir, file, sizeof file - 1), .splits = 2};
    assert_int_equal(open_file(&job, &config, 1), WEIR_OK);
    assert_int_equal(job.splits.n, 2);
    static unsigned char start[16]; /* of the first split, in the second */
    const struct weir_bytes positions[] = {{start, 8}, {start, 16}};
    for (int i = 0; i < 2; i++) {
        struct fake *f = fake_new(&(struct fake_options){.config = job.node->config, .n_outs = NEXMARK_OUTS});
        assert_int_equal(fake_source_open(f, job.node->source, job.splits.items[1], positions[i]), WEIR_E_CORRUPT);
        fake_close(f);
    }
    close_job(&job);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_events_read_back_however_the_file_is_cut),
        cmocka_unit_test(a_file_of_a_run_is_the_run),
        cmocka_unit_test(compressed_files_are_one_split),
        cmocka_unit_test(a_reader_resumes_between_any_two_records),
        cmocka_unit_test(the_watermark_lags_behind_the_highest_time),
        cmocka_unit_test(a_malformed_record_fails_the_job_in_words),
        cmocka_unit_test(a_malformed_record_becomes_a_dead_letter),
        cmocka_unit_test(broken_quotes_end_at_the_first_line_feed),
        cmocka_unit_test(json_keys_come_in_any_order),
        cmocka_unit_test(wrong_configurations_are_refused),
        cmocka_unit_test(an_empty_file_has_no_splits),
        cmocka_unit_test(foreign_positions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
