/* SPDX-License-Identifier: Apache-2.0 */
/* The file sink: nothing is seen before the commit, all of it after; what is not committed leaves no trace. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/src/env.h"
#include "connectors/file/part.h"
#include "tests/support/fake_state.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/connectors/sample_row.h"

#define JOB "0123456789abcdef0123456789abcdef"

/* ---- a job with one file sink ------------------------------------------------------------------------------------------------------ */

static weir_err read_nothing(void *self, struct weir_ctx *ctx)
{
    (void)self, (void)ctx;
    return WEIR_DONE;
}

static weir_err discover_nothing(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    (void)config, (void)parallelism, (void)splits, (void)diag;
    return WEIR_OK;
}

struct job {
    struct weir_env *env;
    const struct env_node *sink;
};

/* A source of rows of `schema` and the sink behind it. */
static struct job open_job(const struct weir_file_sink *config, const struct weir_schema *schema)
{
    static struct weir_source source;
    struct job job = {0};
    source = (struct weir_source){
        .struct_size = sizeof source, .name = "nothing", .schema = schema, .discover = discover_nothing, .read = read_nothing};
    assert_int_equal(weir_env_new(&job.env, "test", "/nowhere", 1), WEIR_OK);
    assert_non_null(weir_to_file(weir_from(job.env, "in", &source, NULL, 0), "out", config));
    job.sink = weir_env_node(job.env, 1);
    return job;
}

/* Its attempt and what it was restored from, for the subtasks opened from here on. */
static uint32_t attempt;
static uint64_t restored;

static struct fake *open_subtask(const struct job *job, uint32_t subtask, uint32_t parallelism, weir_err *err)
{
    struct fake *f = fake_new(&(struct fake_options){.config = job->sink->config,
                                                     .subtask = subtask,
                                                     .parallelism = parallelism,
                                                     .job_id = JOB,
                                                     .operator_id = "out",
                                                     .attempt = attempt,
                                                     .restored = restored});
    if (job->sink->op->flags & WEIR_OPERATOR_KEYED) fake_state_open(f);
    *err = fake_op_open(f, job->sink->op);
    return f;
}

static struct fake *open_good(const struct job *job, uint32_t subtask, uint32_t parallelism)
{
    weir_err err;
    struct fake *f = open_subtask(job, subtask, parallelism, &err);
    assert_ok(f, err);
    return f;
}

/* Rows (first, "text") ... of struct pair, in an output to feed from. */
static struct fake *pairs(int64_t first, int64_t n, const char *text)
{
    struct fake *f = fake_new(&(struct fake_options){.n_outs = 1});
    for (int64_t i = first; i < first + n; i++) {
        struct pair row = {.id = i};
        row.text = weir_put_str(f->ctx.out, sizeof row, text, (uint32_t)strlen(text));
        assert_ok(f, weir_emit(f->ctx.out, &row, sizeof row, 0));
    }
    fake_flush(f);
    return f;
}

/* By the ten that the id is in, where keys are wanted. */
static weir_err feed(struct fake *f, const struct fake *rows)
{
    if (!f->keyed) return fake_op_feed(f, rows, 0);
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < fake_count(rows, 0) && !err; i++) {
        int64_t ten = ((const struct pair *)fake_row(rows, 0, i))->id / 10;
        struct weir_key key = {.data = &ten, .length = sizeof ten};
        struct weir_batch one = {.data = (unsigned char *)fake_record(rows, 0, i), .count = 1};
        err = fake_op_process_keyed(f, &one, &key);
    }
    return err;
}

static void feed_pairs(struct fake *f, int64_t first, int64_t n, const char *text)
{
    struct fake *rows = pairs(first, n, text);
    assert_ok(f, feed(f, rows));
    fake_close(rows);
}

static void assert_file(const char *path, const char *expected)
{
    size_t len = 0;
    char *data = temp_read(path, &len);
    assert_non_null(data);
    assert_string_equal(data, expected);
    free(data);
}

static struct weir_file_sink csv_to(const char *dir)
{
    return (struct weir_file_sink){.dir = dir, .format = WEIR_FILE_CSV};
}

/* ---- the life of a part file --------------------------------------------------------------------------------------------------------- */

static void parts_appear_at_the_commit(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = csv_to(temp_path(dir, "a/b//out/"));
    struct job job = open_job(&config, &pair_schema);
    struct fake *sinks[3];
    for (uint32_t i = 0; i < 3; i++) sinks[i] = open_good(&job, i, 3);
    feed_pairs(sinks[0], 1, 2, "x");
    feed_pairs(sinks[2], 7, 1, "a,b");
    for (uint32_t i = 0; i < 3; i++) assert_ok(sinks[i], fake_op_finish(sinks[i]));
    assert_string_equal(temp_list(config.dir), ""); /* no name at all */
    for (uint32_t i = 0; i < 3; i++) {
        assert_ok(sinks[i], fake_op_commit(sinks[i]));
        assert_ok(sinks[i], fake_op_commit(sinks[i])); /* idempotent */
    }
    for (uint32_t i = 0; i < 3; i++) fake_close(sinks[i]);
    assert_string_equal(temp_list(config.dir), "part-00000 part-00002 "); /* a subtask without rows has none */
    assert_file(temp_path(dir, "a/b/out/part-00000"), "1,x\n2,x\n");
    assert_file(temp_path(dir, "a/b/out/part-00002"), "7,\"a,b\"\n");
    weir_env_destroy(&job.env);
}

static void what_is_not_committed_leaves_no_trace(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = csv_to(temp_path(dir, "out"));
    struct job job = open_job(&config, &pair_schema);
    for (int step = 0; step < 3; step++) { /* closed after open, after rows, after finish */
        struct fake *f = open_good(&job, 0, 1);
        if (step > 0) feed_pairs(f, 1, 200000, "more than the buffer holds");
        if (step > 1) assert_ok(f, fake_op_finish(f));
        fake_close(f);
        assert_string_equal(temp_list(config.dir), "");
    }
    weir_env_destroy(&job.env);
}

/* A process that is killed cannot clean up: the file must not have a name. */
static void a_killed_process_leaves_nothing(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = csv_to(temp_path(dir, "out"));
    int probe = open(dir->path, O_TMPFILE | O_WRONLY, 0600);
    if (probe < 0) skip(); /* this file system gives every file a name */
    close(probe);
    struct job job = open_job(&config, &pair_schema);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct fake *f = open_good(&job, 0, 1);
        feed_pairs(f, 1, 100000, "many");
        if (fake_op_finish(f)) _exit(1);
        raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_string_equal(temp_list(config.dir), "");
    weir_env_destroy(&job.env);
}

static void many_rows_come_out_as_they_went_in(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = csv_to(temp_path(dir, "out"));
    struct job job = open_job(&config, &pair_schema);
    struct fake *f = open_good(&job, 0, 1);
    feed_pairs(f, 0, 100000, "0123456789");
    assert_ok(f, fake_op_finish(f));
    assert_ok(f, fake_op_commit(f));
    fake_close(f);
    size_t len, at = 0;
    char *data = temp_read(temp_path(dir, "out/part-00000"), &len);
    for (int i = 0; i < 100000; i++) {
        char line[32];
        int n = snprintf(line, sizeof line, "%d,0123456789\n", i);
        assert_memory_equal(data + at, line, (size_t)n);
        at += (size_t)n;
    }
    assert_int_equal(at, len);
    free(data);
    weir_env_destroy(&job.env);
}

/* ---- earlier runs -------------------------------------------------------------------------------------------------------------------- */

static void an_earlier_result_is_not_touched(void **state)
{
    struct temp_dir *dir = *state;
    assert_int_equal(mkdir(temp_path(dir, "out"), 0777), 0);
    temp_write(temp_path(dir, "out/part-notes"), "mine", 4); /* not a part file */
    struct weir_file_sink config = csv_to(temp_path(dir, "out"));
    struct job job = open_job(&config, &pair_schema);
    struct fake *f = open_good(&job, 0, 1);
    feed_pairs(f, 1, 1, "new");
    assert_ok(f, fake_op_finish(f));
    temp_write(temp_path(dir, "out/part-00000"), "old", 3); /* somebody else was faster */
    assert_int_equal(fake_op_commit(f), WEIR_E_EXISTS);
    fake_close(f);
    assert_file(temp_path(dir, "out/part-00000"), "old");

    weir_err err;
    f = open_subtask(&job, 1, 2, &err); /* any part file stops any subtask */
    assert_int_equal(err, WEIR_E_EXISTS);
    assert_non_null(strstr(f->diag.text, "holds part-00000 of an earlier run; set replace"));
    fake_close(f);
    assert_string_equal(temp_list(config.dir), "part-00000 part-notes ");
    weir_env_destroy(&job.env);
}

static void replace_leaves_only_this_run(void **state)
{
    struct temp_dir *dir = *state;
    assert_int_equal(mkdir(temp_path(dir, "out"), 0777), 0);
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "out/part-%05d", i);
        temp_write(temp_path(dir, name), "old", 3);
    }
    temp_write(temp_path(dir, "out/part-x"), "mine", 4);
    temp_write(temp_path(dir, "out/part-00001-3"), "old", 3);
    temp_write(temp_path(dir, "out/part-00000-ffffffff-12"), "old", 3);
    temp_write(temp_path(dir, "out/.part-00001-0.ffffffffffffffffffffffffffffffff.1.tmp"), "left over", 9);
    struct weir_file_sink config = csv_to(temp_path(dir, "out"));
    config.replace = true;
    struct job job = open_job(&config, &pair_schema);
    struct fake *sinks[3];
    for (uint32_t i = 0; i < 3; i++) sinks[i] = open_good(&job, i, 3);
    feed_pairs(sinks[0], 1, 1, "new");
    feed_pairs(sinks[1], 2, 1, "new");
    for (uint32_t i = 0; i < 3; i++) assert_ok(sinks[i], fake_op_finish(sinks[i]));
    assert_file(temp_path(dir, "out/part-00000"), "old"); /* until the commit */
    for (uint32_t i = 0; i < 3; i++) assert_ok(sinks[i], fake_op_commit(sinks[i]));
    for (uint32_t i = 0; i < 3; i++) assert_ok(sinks[i], fake_op_commit(sinks[i]));
    for (uint32_t i = 0; i < 3; i++) fake_close(sinks[i]);
    assert_string_equal(temp_list(config.dir), "part-00000 part-00001 part-x ");
    assert_file(temp_path(dir, "out/part-00000"), "1,new\n");
    assert_file(temp_path(dir, "out/part-00001"), "2,new\n");

    struct fake *alone = open_good(&job, 0, 1); /* a run of one subtask, without rows */
    assert_ok(alone, fake_op_finish(alone));
    assert_ok(alone, fake_op_commit(alone));
    fake_close(alone);
    assert_string_equal(temp_list(config.dir), "part-x ");
    weir_env_destroy(&job.env);
}

/* ---- checkpoints -----------------------------------------------------------------------------------------------------------------------
 */

static struct fake *open_with_checkpoint(const struct job *job, int64_t rows)
{
    struct fake *f = open_good(job, 0, 1);
    feed_pairs(f, 1, rows, "x");
    assert_ok(f, fake_op_prepare(f, 17));
    return f;
}

/* Between prepare and commit, and again and again after it: by whoever comes. */
static void a_checkpoint_shows_its_files_once(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = csv_to(temp_path(dir, "out"));
    struct job job = open_job(&config, &pair_schema);
    struct fake *f = open_with_checkpoint(&job, 2);
    assert_int_equal(f->committables.records, 2);
    assert_string_equal(temp_list(config.dir), ".part-00000-0." JOB ".1.tmp ");
    fake_op_prepare(f, 18); /* nothing was written since */
    assert_int_equal(f->committables.n, 1);
    attempt = 2;
    restored = 17;
    struct fake *g = open_good(&job, 3, 4);
    for (int again = 0; again < 3; again++) assert_ok(g, fake_op_commit_one(g, f->committables.items[0]));
    assert_ok(f, fake_op_commit(f)); /* the first attempt was not dead after all */
    attempt = 0;
    restored = 0;
    fake_close(f);
    fake_close(g);
    char name[64];
    (void)snprintf(name, sizeof name, "part-00000-%.8s-17 ", JOB);
    assert_string_equal(temp_list(config.dir), name);
    weir_env_destroy(&job.env);
}

/* No checkpoint will ever tell of what is aborted, and one may of the rest. */
static void what_is_aborted_goes_and_the_rest_stays(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = csv_to(temp_path(dir, "out"));
    struct job job = open_job(&config, &pair_schema);
    struct fake *f = open_with_checkpoint(&job, 2);
    feed_pairs(f, 2, 2, "a");
    assert_ok(f, fake_op_prepare(f, 18));
    assert_int_equal(f->committables.n, 2);
    job.sink->op->abort(f->self, &f->ctx, f->committables.items[1]);
    assert_string_equal(temp_list(config.dir), ".part-00000-0." JOB ".1.tmp ");
    job.sink->op->abort(f->self, &f->ctx, f->committables.items[1]); /* it has gone */
    fake_close(f);
    assert_string_equal(temp_list(config.dir), ".part-00000-0." JOB ".1.tmp ");
    attempt = 0;
    weir_env_destroy(&job.env);
}

/* What cannot be proven stops the job, in words. */
static void output_that_is_gone_or_another_is_no_success(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = csv_to(temp_path(dir, "out"));
    struct job job = open_job(&config, &pair_schema);
    struct fake *f = open_with_checkpoint(&job, 2);
    char path[256];
    (void)snprintf(path, sizeof path, "%s/part-00000-%.8s-17", config.dir, JOB);
    temp_write(path, "1,x\n2,y\n", 8); /* as long, but another */
    assert_int_equal(fake_op_commit(f), WEIR_E_EXISTS);
    unlink(path);
    assert_ok(f, fake_op_commit(f));
    temp_write(path, "1,x\n2,y\n", 8);
    assert_int_equal(fake_op_commit(f), WEIR_E_EXISTS);
    unlink(path);
    assert_int_equal(fake_op_commit(f), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(f->diag.text, "output of 8 bytes would be lost"));
    static const unsigned char noise[] = {1, 255, 3};
    assert_int_equal(fake_op_commit_one(f, (struct weir_bytes){noise, sizeof noise}), WEIR_E_CORRUPT);
    for (uint32_t n = 0; n < f->committables.items[0].length; n++)
        assert_int_equal(fake_op_commit_one(f, (struct weir_bytes){f->committables.items[0].data, n}), WEIR_E_CORRUPT);
    fake_close(f);
    weir_env_destroy(&job.env);
}

static void a_file_that_is_old_enough_is_followed_by_another(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = csv_to(temp_path(dir, "out"));
    config.roll_ms = 1000;
    struct job job = open_job(&config, &pair_schema);
    struct fake *f = open_good(&job, 0, 1);
    for (int64_t i = 0; i < 5; i++) {
        f->now_ms = 10000 + i * 600; /* 0, 600, 1200: the third begins the next */
        feed_pairs(f, i, 1, "x");
    }
    assert_ok(f, fake_op_prepare(f, 1));
    assert_int_equal(f->committables.n, 3);
    assert_int_equal(f->committables.records, 5);
    assert_ok(f, fake_op_commit(f));
    fake_close(f);
    char path[256];
    (void)snprintf(path, sizeof path, "%s/part-00000-%.8s-1-1", config.dir, JOB);
    assert_file(path, "2,x\n3,x\n");
    weir_env_destroy(&job.env);
}

/* ---- refusals ------------------------------------------------------------------------------------------------------------------------ */

static void assert_open_fails(const struct weir_file_sink *config, const struct weir_schema *schema, weir_err expected, const char *words)
{
    struct job job = open_job(config, schema);
    weir_err err;
    struct fake *f = open_subtask(&job, 0, 1, &err);
    assert_int_equal(err, expected);
    if (!strstr(f->diag.text, words)) fail_msg("\"%s\" is not in \"%s\"", words, f->diag.text);
    fake_close(f);
    weir_env_destroy(&job.env);
}

static void what_cannot_be_written_is_refused_at_the_start(void **state)
{
    struct temp_dir *dir = *state;
    temp_write(temp_path(dir, "file"), "x", 1);
    struct weir_file_sink config = csv_to(temp_path(dir, "file"));
    assert_open_fails(&config, &pair_schema, WEIR_E_IO, "Not a directory");
    config = csv_to(temp_path(dir, "file/below"));
    assert_open_fails(&config, &pair_schema, WEIR_E_IO, "Not a directory");
    config = csv_to("relative");
    assert_open_fails(&config, &pair_schema, WEIR_E_ARGUMENT, "\"relative\" is not absolute; make it so with weir_env_path");
    config = csv_to(NULL);
    assert_open_fails(&config, &pair_schema, WEIR_E_ARGUMENT, "is not absolute");
    config = csv_to(temp_path(dir, "out"));
    assert_open_fails(&config, NULL, WEIR_E_ARGUMENT, "the type of the rows is not known");
    config.format = WEIR_FILE_LINES;
    assert_open_fails(&config, &sample_schema, WEIR_E_ARGUMENT,
                      "LINES needs rows with exactly one string field, sample has another number");
    config.format = (enum weir_file_format)9;
    assert_open_fails(&config, &sample_schema, WEIR_E_ARGUMENT, "9 is no format");
    assert_string_equal(temp_list(dir->path), "file ");
}

static void a_row_that_takes_back_is_refused(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = csv_to(temp_path(dir, "out"));
    struct job job = open_job(&config, &pair_schema);
    struct fake *f = open_good(&job, 0, 1), *rows = fake_new(&(struct fake_options){.n_outs = 1});
    struct pair row = {.id = 1};
    assert_ok(rows, weir_emit_kind(rows->ctx.out, &row, sizeof row, 0, WEIR_DELETE));
    fake_flush(rows);
    assert_int_equal(fake_op_feed(f, rows, 0), WEIR_E_UNSUPPORTED);
    fake_close(rows);
    fake_close(f);
    weir_env_destroy(&job.env);
}

/* A full disk, played by a limit on file sizes: the error says so, stays, and nothing is left. */
static void a_full_disk_fails_for_good(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = csv_to(temp_path(dir, "out"));
    struct job job = open_job(&config, &pair_schema);
    struct fake *f = open_good(&job, 0, 1), *rows = pairs(1, 100000, "enough to be written at once");
    struct rlimit before, small = {100000, 100000};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    weir_err err = fake_op_feed(f, rows, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(err, WEIR_E_IO);
    assert_non_null(strstr(f->diag.text, "out/.part-00000-0." JOB ".1.tmp at byte 100000: File too large"));
    assert_int_equal(fake_op_finish(f), WEIR_E_IO); /* although there is room again: bytes may be missing in the middle */
    assert_int_equal(f->committables.n, 0);
    fake_close(rows);
    fake_close(f);
    assert_string_equal(temp_list(config.dir), "");
    weir_env_destroy(&job.env);
}

/* ---- formats ------------------------------------------------------------------------------------------------------------------------- */

struct hit {
    weir_time at;
    int64_t bytes;
    struct weir_str path;
};
WEIR_ROW(hit, WEIR_FIELD(hit, 1, TIME, at), WEIR_FIELD(hit, 2, I64, bytes), WEIR_FIELD(hit, 3, STR, path));

static void each_format_writes_its_text(void **state)
{
    struct temp_dir *dir = *state;
    static const struct {
        enum weir_file_format format;
        enum weir_file_time time_format;
        const char *expected;
    } cases[] = {
        {WEIR_FILE_CSV, WEIR_FILE_TIME_MS, "1431857100000,-1,\"/a\"\"b\"\n"},
        {WEIR_FILE_CSV, WEIR_FILE_TIME_ISO, "2015-05-17T10:05:00Z,-1,\"/a\"\"b\"\n"},
        {WEIR_FILE_JSON, WEIR_FILE_TIME_ISO, "{\"at\":\"2015-05-17T10:05:00Z\",\"bytes\":-1,\"path\":\"/a\\\"b\"}\n"},
        {WEIR_FILE_LINES, WEIR_FILE_TIME_MS, "/a\"b\n"}, /* the only string; the other fields are not written */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weir_file_sink config = {
            .dir = temp_path(dir, "out"), .format = cases[i].format, .time_format = cases[i].time_format, .replace = true};
        struct job job = open_job(&config, &hit_schema);
        struct fake *f = open_good(&job, 0, 1), *rows = fake_new(&(struct fake_options){.n_outs = 1});
        struct hit row = {.at = 1431857100000, .bytes = -1};
        row.path = weir_put_str(rows->ctx.out, sizeof row, "/a\"b", 4);
        assert_ok(rows, weir_emit(rows->ctx.out, &row, sizeof row, 0));
        fake_flush(rows);
        assert_ok(f, fake_op_feed(f, rows, 0));
        assert_ok(f, fake_op_finish(f));
        assert_ok(f, fake_op_commit(f));
        assert_file(temp_path(dir, "out/part-00000"), cases[i].expected);
        fake_close(rows);
        fake_close(f);
        weir_env_destroy(&job.env);
    }
}

static void lines_of_a_file_source_are_written_unchanged(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = {.dir = temp_path(dir, "out")};
    struct job job = open_job(&config, &weir_line_schema);
    struct fake *f = open_good(&job, 0, 1), *rows = fake_new(&(struct fake_options){.n_outs = 1});
    struct weir_line row = {.position = 5};
    row.file = weir_put_str(rows->ctx.out, sizeof row, "/in", 3);
    row.text = weir_put_str(rows->ctx.out, sizeof row, "a \"line\", as it is\xff", 19);
    assert_ok(rows, weir_emit(rows->ctx.out, &row, sizeof row, 0));
    fake_flush(rows);
    assert_ok(f, fake_op_feed(f, rows, 0));
    assert_ok(f, fake_op_finish(f));
    assert_ok(f, fake_op_commit(f));
    assert_file(temp_path(dir, "out/part-00000"), "a \"line\", as it is\xff\n");
    fake_close(rows);
    fake_close(f);
    weir_env_destroy(&job.env);
}

/* ---- part files by themselves ----------------------------------------------------------------------------------------------------------
 */

/* What file systems without O_TMPFILE get: a hidden name that is not left behind. */
static void a_named_temporary_file_does_the_same(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_diag diag;
    struct part part;
    assert_int_equal(part_open(&part, dir->path, ".one.tmp", true, &diag), WEIR_OK);
    assert_int_equal(part_write(&part, "new\n", 4, &diag), WEIR_OK);
    assert_int_equal(part_seal(&part, true, &diag), WEIR_OK);
    assert_int_equal(part.fd, -1);
    assert_string_equal(temp_list(dir->path), ".one.tmp ");
    struct part again; /* a name is used once */
    assert_int_equal(part_open(&again, dir->path, ".one.tmp", true, &diag), WEIR_E_IO);
    part_discard(&part, true);
    part_discard(&part, true); /* idempotent */
    assert_string_equal(temp_list(dir->path), "");
}

static void names_of_part_files(void **state)
{
    (void)state;
    struct part_name name;
    static const char *const others[] = {
        "part-",       "part-1",          "part-0001",   "part-00001x",         "part-x0001",      "Part-00001",
        ".part-00001", "part-0000000001", "part-00001-", "part-00001-abcdef01", "part-00001-1-2x", "part-00001-ABCDEF01-1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (name_is_part(others[i], &name)) fail_msg("%s", others[i]);
    assert_true(name_is_part("part-00042", &name));
    assert_int_equal(name.subtask, 42);
    assert_true(name_is_part("part-123456-7", &name));
    assert_int_equal(name.subtask, 123456);
    assert_int_equal(name.number, 7);
    assert_string_equal(name.job, "");
    assert_true(name_is_part("part-00003-0123abcd-17-2", &name));
    assert_string_equal(name.job, "0123abcd");
    char made[PART_NAME_MAX];
    name_temporary(made, 3, 9, JOB, 2);
    assert_true(name_is_orphan(made, JOB, 3));
    assert_false(name_is_orphan(made, JOB, 2));
    assert_false(name_is_left_over(made, JOB));
    assert_true(name_is_left_over(made, "ffffffffffffffffffffffffffffffff"));
    assert_false(name_is_orphan(".part-00001.tmp", JOB, 9));
    assert_false(name_is_left_over(".part-00001-0..tmp", JOB));
}

/* ---- folders ------------------------------------------------------------------------------------------------------------------------ */

/* "g=ID/10": ten ids a folder; an id below zero asks for what is not allowed. */
static uint32_t by_ten(const void *row, char to[WEIR_FILE_FOLDER_MAX])
{
    static const char *const bad[] = {"", "/abs", "a//b", "a/", "../up", "a/.hidden", "_x"};
    int64_t id = ((const struct pair *)row)->id;
    return (uint32_t)(id < 0 ? snprintf(to, WEIR_FILE_FOLDER_MAX, "%s", bad[-id - 1])
                             : snprintf(to, WEIR_FILE_FOLDER_MAX, "g=%lld/h", (long long)(id / 10)));
}

static weir_time tens_end(const void *row)
{
    return ((const struct pair *)row)->id / 10 * 10 + 9;
}

static const struct weir_file_folders tens = {sizeof tens, by_ten, tens_end};

static struct weir_file_sink folders_in(const char *dir)
{
    return (struct weir_file_sink){.dir = dir, .format = WEIR_FILE_CSV, .folders = &tens};
}

static void assert_watermark(struct fake *f, weir_time watermark)
{
    assert_ok(f, fake_op_watermark(f, watermark));
}

static void rows_are_divided_over_folders(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = folders_in(temp_path(dir, "out"));
    struct job job = open_job(&config, &pair_schema);
    struct fake *f = open_good(&job, 2, 3);
    feed_pairs(f, 8, 4, "x");
    assert_string_equal(temp_list(temp_path(dir, "out/g=0/h")), ""); /* in the buffer still */
    assert_watermark(f, 9);
    assert_string_equal(temp_list(temp_path(dir, "out/g=0/h")), ".part-00002-0." JOB ".1.tmp "); /* durable, not visible */
    feed_pairs(f, 7, 1, "late");
    assert_watermark(f, WEIR_TIME_MAX - 1);
    assert_ok(f, fake_op_finish(f));
    assert_ok(f, fake_op_commit(f));
    assert_ok(f, fake_op_commit(f));
    fake_close(f);
    assert_string_equal(temp_list(temp_path(dir, "out/g=0/h")), "_SUCCESS part-00002 ");
    assert_file(temp_path(dir, "out/g=0/h/part-00002"), "8,x\n9,x\n7,late\n");
    assert_file(temp_path(dir, "out/g=1/h/part-00002"), "10,x\n11,x\n");
    assert_file(temp_path(dir, "out/g=1/h/_SUCCESS"), "");
    weir_env_destroy(&job.env);
}

/* More folders than may be open, visited again and again: the ones that rest go on where they stopped. */
static void many_folders_share_few_descriptors(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = folders_in(temp_path(dir, "out"));
    struct job job = open_job(&config, &pair_schema);
    struct fake *f = open_good(&job, 0, 1);
    struct rlimit before, few = {.rlim_cur = 100, .rlim_max = 0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (int round = 0; round < 2; round++)
        for (int64_t g = 0; g < 150; g++) feed_pairs(f, g * 10 + round, 1, "x");
    assert_watermark(f, WEIR_TIME_MAX - 1);
    assert_ok(f, fake_op_finish(f));
    assert_ok(f, fake_op_commit(f));
    fake_close(f);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (int64_t g = 0; g < 150; g++) {
        char name[64], rows[64];
        (void)snprintf(name, sizeof name, "out/g=%lld/h/part-00000", (long long)g);
        (void)snprintf(rows, sizeof rows, "%lld,x\n%lld,x\n", (long long)(g * 10), (long long)(g * 10 + 1));
        assert_file(temp_path(dir, name), rows);
    }
    weir_env_destroy(&job.env);
}

static void folders_of_a_failed_run_stay_empty(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = folders_in(temp_path(dir, "out"));
    struct job job = open_job(&config, &pair_schema);
    struct fake *f = open_good(&job, 0, 1);
    feed_pairs(f, 1, 30, "x");
    assert_watermark(f, 20);
    fake_close(f);
    assert_string_equal(temp_list(temp_path(dir, "out/g=0/h")), "");
    assert_string_equal(temp_list(temp_path(dir, "out/g=1/h")), "");
    weir_env_destroy(&job.env);
}

static void a_folder_of_an_earlier_run_is_replaced_or_refused(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = folders_in(temp_path(dir, "out"));
    for (uint32_t run = 0; run < 2; run++) {
        config.replace = run == 1;
        struct job job = open_job(&config, &pair_schema);
        struct fake *f = open_good(&job, run, 2);
        feed_pairs(f, 1, 2, run ? "new" : "old");
        assert_watermark(f, WEIR_TIME_MAX - 1);
        assert_ok(f, fake_op_finish(f));
        assert_ok(f, fake_op_commit(f));
        fake_close(f);
        weir_env_destroy(&job.env);
    }
    assert_string_equal(temp_list(temp_path(dir, "out/g=0/h")), "_SUCCESS part-00001 ");
    assert_file(temp_path(dir, "out/g=0/h/part-00001"), "1,new\n2,new\n");
    config.replace = false;
    struct job job = open_job(&config, &pair_schema);
    struct fake *f = open_good(&job, 0, 1), *rows = pairs(1, 1, "x");
    assert_int_equal(feed(f, rows), WEIR_E_EXISTS);
    assert_non_null(strstr(f->diag.text, "holds part-00001 of an earlier run"));
    fake_close(rows);
    fake_close(f);
    weir_env_destroy(&job.env);
}

static void a_folder_leads_nowhere_else(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = folders_in(temp_path(dir, "out"));
    for (int64_t bad = -7; bad < 0; bad++) {
        struct job job = open_job(&config, &pair_schema);
        struct fake *f = open_good(&job, 0, 1), *rows = pairs(bad, 1, "x");
        assert_int_equal(feed(f, rows), WEIR_E_USER);
        fake_close(rows);
        fake_close(f);
        weir_env_destroy(&job.env);
    }
    assert_string_equal(temp_list(dir->path), "out ");
    assert_string_equal(temp_list(config.dir), "");
}

static void a_changelog_has_signs(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_sink config = csv_to(temp_path(dir, "out"));
    config.changes = true;
    struct job job = open_job(&config, &pair_schema);
    struct fake *f = open_good(&job, 0, 1), *rows = fake_new(&(struct fake_options){.n_outs = 1});
    for (uint8_t kind = WEIR_INSERT; kind <= WEIR_DELETE; kind++) {
        struct pair row = {.id = kind};
        row.text = weir_put_str(rows->ctx.out, sizeof row, "t", 1);
        assert_ok(rows, weir_emit_kind(rows->ctx.out, &row, sizeof row, 0, kind));
    }
    fake_flush(rows);
    assert_ok(f, fake_op_feed(f, rows, 0));
    assert_ok(f, fake_op_finish(f));
    assert_ok(f, fake_op_commit(f));
    assert_file(temp_path(dir, "out/part-00000"), "+0,t\n-1,t\n+2,t\n-3,t\n");
    fake_close(rows);
    fake_close(f);
    weir_env_destroy(&job.env);
}

/* ---- main -------------------------------------------------------------------------------------------------------------------------- */

static struct temp_dir folder;

static int set_up(void **state)
{
    temp_dir_make(&folder);
    *state = &folder;
    return 0;
}

static int tear_down(void **state)
{
    temp_dir_remove(*state);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(parts_appear_at_the_commit),
        CASE(what_is_not_committed_leaves_no_trace),
        CASE(a_killed_process_leaves_nothing),
        CASE(many_rows_come_out_as_they_went_in),
        CASE(an_earlier_result_is_not_touched),
        CASE(replace_leaves_only_this_run),
        CASE(a_checkpoint_shows_its_files_once),
        CASE(what_is_aborted_goes_and_the_rest_stays),
        CASE(output_that_is_gone_or_another_is_no_success),
        CASE(a_file_that_is_old_enough_is_followed_by_another),
        CASE(what_cannot_be_written_is_refused_at_the_start),
        CASE(a_row_that_takes_back_is_refused),
        CASE(a_full_disk_fails_for_good),
        CASE(each_format_writes_its_text),
        CASE(lines_of_a_file_source_are_written_unchanged),
        CASE(a_named_temporary_file_does_the_same),
        CASE(names_of_part_files),
        CASE(rows_are_divided_over_folders),
        CASE(many_folders_share_few_descriptors),
        CASE(folders_of_a_failed_run_stay_empty),
        CASE(a_folder_of_an_earlier_run_is_replaced_or_refused),
        CASE(a_folder_leads_nowhere_else),
        CASE(a_changelog_has_signs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
