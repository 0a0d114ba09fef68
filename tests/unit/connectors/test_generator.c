/* SPDX-License-Identifier: Apache-2.0 */
/* The generator: each row follows from its number alone, so parallelism, restarts and pace change nothing but when it comes. */
#include "weir/connector/generator.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "api/src/env.h"
#include "tests/unit/connectors/sample_row.h"

struct job {
    struct weir_env *env;
    const struct env_node *node;
    struct weir_splits splits;
    struct weir_diag diag;
};

static weir_err open_job(struct job *job, const struct weir_generator *config, uint32_t parallelism)
{
    *job = (struct job){0};
    assert_int_equal(weir_env_new(&job->env, "test", "/", parallelism), WEIR_OK);
    assert_non_null(weir_from_generator(job->env, "numbers", config));
    job->node = weir_env_node(job->env, 0);
    return job->node->source->discover(job->node->config, parallelism, &job->splits, &job->diag);
}

static void close_job(struct job *job)
{
    weir_splits_close(&job->splits);
    weir_env_destroy(&job->env);
}

static struct fake *open_split(const struct job *job, uint32_t index, struct weir_bytes position)
{
    struct fake *f = fake_new(&(struct fake_options){.config = job->node->config, .n_outs = 1, .subtask = index});
    assert_ok(f, fake_source_open(f, job->node->source, job->splits.items[index], position));
    return f;
}

/* Row n by the words of the header. */
static struct weir_generated expected_row(const struct weir_generator *c, int64_t n)
{
    uint64_t seed = c->seed + (uint64_t)n * 0x9e3779b97f4a7c15u;
    uint64_t word = next_random(&seed);
    int64_t rate = c->rate ? c->rate : 1000;
    return (struct weir_generated){
        .seq = n,
        .key = (int64_t)(word % (uint64_t)(c->keys ? c->keys : 1)),
        .value = (int64_t)word,
        .time = c->start_ms + (weir_time)((__int128)n * 1000 / rate),
    };
}

static void assert_rows(const struct weir_generator *c, const struct fake *f, int64_t first, int64_t step, uint32_t count)
{
    assert_int_equal(fake_count(f, 0), count);
    for (uint32_t i = 0; i < count; i++) {
        struct weir_generated row = expected_row(c, first + (int64_t)i * step);
        assert_memory_equal(fake_row(f, 0, i), &row, sizeof row);
        assert_true(fake_record(f, 0, i)->time_ms == row.time);
    }
}

static void rows_are_dealt_to_splits(void **state)
{
    (void)state;
    static const int64_t rates[] = {0, 1, 3, 7, 999, 1000, 1001, 123456789};
    for (uint32_t parallelism = 1; parallelism <= 7; parallelism++) {
        for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
            struct weir_generator config = {.seed = 42, .rows = 10000, .keys = 97, .rate = rates[r], .start_ms = -5000};
            struct job job;
            assert_int_equal(open_job(&job, &config, parallelism), WEIR_OK);
            assert_int_equal(job.splits.n, parallelism);
            for (uint32_t s = 0; s < parallelism; s++) {
                struct fake *f = open_split(&job, s, (struct weir_bytes){0});
                assert_ok(f, fake_source_run(f, UINT32_MAX)); /* the fake runtime fails on a row behind its watermark */
                assert_rows(&config, f, s, parallelism, (10000 - s + parallelism - 1) / parallelism);
                fake_close(f);
            }
            close_job(&job);
        }
    }
}

/* SplitMix64 started at 1234567, as its authors' code and other libraries give it. */
static void the_words_are_splitmix64(void **state)
{
    (void)state;
    static const uint64_t words[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u,
                                     16408922859458223821u};
    struct weir_generator config = {.seed = 1234567, .rows = 5};
    struct job job;
    assert_int_equal(open_job(&job, &config, 1), WEIR_OK);
    struct fake *f = open_split(&job, 0, (struct weir_bytes){0});
    assert_ok(f, fake_source_run(f, UINT32_MAX));
    for (uint32_t i = 0; i < 5; i++) {
        assert_true((uint64_t)((struct weir_generated *)fake_row(f, 0, i))->value == words[i]);
        assert_true(((struct weir_generated *)fake_row(f, 0, i))->key == 0);
    }
    fake_close(f);
    close_job(&job);
}

static void a_reader_resumes_anywhere(void **state)
{
    (void)state;
    struct weir_generator config = {.seed = 3, .rows = 30011, .keys = 5, .rate = 300, .start_ms = 1};
    struct job job;
    uint64_t random = 1;
    assert_int_equal(open_job(&job, &config, 2), WEIR_OK);
    unsigned char bytes[WEIR_POSITION_BYTES_MAX];
    struct weir_bytes position = {0};
    weir_err err;
    int64_t next = 1;
    do {
        struct fake *f = open_split(&job, 1, position);
        f->yield_at_rows = 1 + (uint32_t)(next_random(&random) % 3000);
        err = fake_source_read(f);
        position = fake_source_position(f, bytes);
        assert_rows(&config, f, next, 2, fake_count(f, 0));
        next += 2 * (int64_t)fake_count(f, 0);
        fake_close(f);
    } while (err == WEIR_OK);
    assert_int_equal(err, WEIR_DONE);
    assert_true(next == 30011); /* odd rows: the last is 30009 */
    struct fake *f = open_split(&job, 1, position);
    assert_int_equal(fake_source_read(f), WEIR_DONE); /* an ended split has nothing more */
    assert_int_equal(fake_count(f, 0), 0);
    fake_close(f);
    close_job(&job);
}

static void the_watermark_is_just_below_the_next_row(void **state)
{
    (void)state;
    struct weir_generator config = {.rows = -1, .rate = 1000, .start_ms = 100};
    struct job job;
    assert_int_equal(open_job(&job, &config, 1), WEIR_OK);
    struct fake *f = open_split(&job, 0, (struct weir_bytes){0});
    f->yield_at_rows = 1;
    assert_ok(f, fake_source_read(f));
    uint32_t rows = fake_count(f, 0);
    assert_in_range(rows, 1, 256); /* a burst, then it looked at its output */
    assert_true(f->source_watermark_ms == 100 + (weir_time)rows - 1);
    assert_ok(f, fake_source_read(f)); /* the output is still full */
    assert_int_equal(fake_count(f, 0), rows);
    fake_close(f);
    close_job(&job);
}

static void pace_follows_the_wall_clock(void **state)
{
    (void)state;
    struct weir_generator config = {.rows = -1, .pace = 100};
    struct job job;
    assert_int_equal(open_job(&job, &config, 2), WEIR_OK);
    struct fake *f = open_split(&job, 0, (struct weir_bytes){0});
    f->now_ms = 5000;
    assert_ok(f, fake_source_run(f, 1));
    assert_int_equal(fake_source_read(f), WEIR_AGAIN);
    assert_int_equal(fake_count(f, 0), 1); /* row 0 is due at once */
    f->now_ms += 19;
    assert_int_equal(fake_source_read(f), WEIR_AGAIN); /* row 2, this split's next, is due 20 ms later: 100 a second over both */
    f->now_ms += 1;
    assert_ok(f, fake_source_read(f));
    assert_int_equal(fake_count(f, 0), 2);
    f->now_ms += 1000;
    assert_ok(f, fake_source_read(f));
    assert_int_equal(fake_count(f, 0), 52);
    f->now_ms -= 3600000; /* set back: goes on at its pace, neither at once nor in an hour */
    assert_int_equal(fake_source_read(f), WEIR_AGAIN);
    f->now_ms += 1000;
    assert_ok(f, fake_source_read(f));
    assert_int_equal(fake_count(f, 0), 102);
    fake_close(f);
    close_job(&job);
}

static void an_endless_split_may_fall_silent(void **state)
{
    (void)state;
    struct weir_generator config = {.rows = -1, .silent_after = 10000};
    struct job job;
    assert_int_equal(open_job(&job, &config, 3), WEIR_OK);
    struct fake *f = open_split(&job, 2, (struct weir_bytes){0});
    assert_int_equal(fake_source_run(f, UINT32_MAX), WEIR_AGAIN);
    assert_rows(&config, f, 2, 3, 10000);
    assert_int_equal(fake_source_read(f), WEIR_AGAIN);
    fake_close(f);
    close_job(&job);
}

static void wrong_configurations_are_refused(void **state)
{
    (void)state;
    static const struct weir_generator wrong[] = {
        {.keys = -1}, {.rate = -1}, {.pace = -1}, {.silent_after = -1}, {.rate = INT64_MAX},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct job job;
        assert_int_equal(open_job(&job, &wrong[i], 1), WEIR_E_ARGUMENT);
        assert_non_null(strstr(job.diag.text, "generator: "));
        close_job(&job);
    }
    struct job job;
    assert_int_equal(open_job(&job, &(struct weir_generator){.rows = 0}, 2), WEIR_OK);
    struct fake *f = open_split(&job, 0, (struct weir_bytes){0});
    assert_int_equal(fake_source_read(f), WEIR_DONE);
    fake_close(f);
    f = fake_new(&(struct fake_options){.config = job.node->config, .n_outs = 1});
    assert_int_equal(fake_source_open(f, job.node->source, job.splits.items[0], (struct weir_bytes){"abc", 3}), WEIR_E_CORRUPT);
    fake_close(f);
    close_job(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_dealt_to_splits),         cmocka_unit_test(the_words_are_splitmix64),
        cmocka_unit_test(a_reader_resumes_anywhere),        cmocka_unit_test(the_watermark_is_just_below_the_next_row),
        cmocka_unit_test(pace_follows_the_wall_clock),      cmocka_unit_test(an_endless_split_may_fall_silent),
        cmocka_unit_test(wrong_configurations_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
