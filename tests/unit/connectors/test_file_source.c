/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file source: whatever the cuts, the compression and the place where a reader is taken up again, each line comes once; what is not a
 * whole, unchanged file is an error.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "api/src/env.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/connectors/sample_row.h"

/* ---- a job with one file source ---------------------------------------------------------------------------------------------------- */

struct job {
    struct weir_env *env;
    const struct env_node *node;
    struct weir_splits splits;
    struct weir_diag diag;
};

static weir_err open_job(struct job *job, const struct weir_file_source *config, uint32_t parallelism)
{
    *job = (struct job){0};
    assert_int_equal(weir_env_new(&job->env, "test", "/nowhere", parallelism), WEIR_OK);
    assert_non_null(weir_from_file(job->env, "lines", config));
    job->node = weir_env_node(job->env, 0);
    return job->node->source->discover(job->node->config, parallelism, &job->splits, &job->diag);
}

static void close_job(struct job *job)
{
    weir_splits_close(&job->splits);
    weir_env_destroy(&job->env);
}

/* A reader on split `index`, to be closed with fake_close. */
static struct fake *open_split(const struct job *job, uint32_t index, struct weir_bytes position, weir_err *err)
{
    struct fake *f = fake_new(&(struct fake_options){.config = job->node->config, .n_outs = 1});
    *err = fake_source_open(f, job->node->source, job->splits.items[index], position);
    return f;
}

/* Reads a whole split; the caller closes what it gets. */
static struct fake *read_split(const struct job *job, uint32_t index, struct weir_bytes position, weir_err *err)
{
    struct fake *f = open_split(job, index, position, err);
    if (!*err) *err = fake_source_run(f, UINT32_MAX);
    return f;
}

static struct weir_file_source lines_of(const char *path)
{
    return (struct weir_file_source){.path = path};
}

/* The first error of discovering and reading everything, its sentence in *diag. */
static weir_err read_everything(const struct weir_file_source *config, struct weir_diag *diag)
{
    struct job job;
    weir_err err = open_job(&job, config, 1);
    *diag = job.diag;
    for (uint32_t i = 0; i < job.splits.n && !err; i++) {
        struct fake *f = read_split(&job, i, (struct weir_bytes){0}, &err);
        *diag = f->diag;
        fake_close(f);
    }
    close_job(&job);
    return err;
}

static void assert_refused(const struct weir_file_source *config, weir_err expected, const char *words)
{
    struct weir_diag diag;
    assert_int_equal(read_everything(config, &diag), expected);
    if (!strstr(diag.text, words)) fail_msg("\"%s\" is not in \"%s\"", words, diag.text);
}

/* ---- texts ------------------------------------------------------------------------------------------------------------------------- */

struct text {
    char *data;
    size_t len;
    struct row {
        size_t at, len;
    } * rows;
    uint32_t n_rows;
    uint64_t seed; /* it was drawn from, for the message of a failure */
};

/* What the lines are by the simplest reading of the definition. */
static void find_rows(struct text *t)
{
    t->rows = calloc(t->len + 1, sizeof *t->rows);
    assert_non_null(t->rows);
    t->n_rows = 0;
    for (size_t at = 0, i = 0; i <= t->len; i++) {
        bool lf = i < t->len && t->data[i] == '\n';
        if (!lf && (i < t->len || at == t->len)) continue;
        size_t len = i - at;
        if (lf && len && t->data[i - 1] == '\r') len--;
        t->rows[t->n_rows++] = (struct row){at, len};
        at = i + 1;
    }
}

/* Lines of many lengths: empty, CR LF, longer than a read; with and without an LF at the end. */
static struct text random_text(uint64_t *seed, size_t len)
{
    struct text t = {.seed = *seed, .len = len, .data = malloc(len + 1)};
    assert_non_null(t.data);
    uint64_t shape = next_random(seed) % 5;
    for (size_t i = 0; i < len; i++) {
        uint64_t r = next_random(seed);
        uint64_t every = shape == 0 ? 2 : shape == 1 ? 300000 : 40;
        t.data[i] = (char)(r % every == 0 ? '\n' : r % 17 == 0 ? '\r' : 'a' + (char)(r >> 8) % 13);
    }
    t.data[len] = '\0';
    find_rows(&t);
    return t;
}

static void free_text(struct text *t)
{
    free(t->data);
    free(t->rows);
}

static void write_gzip(const char *path, const char *data, size_t len, const char *mode)
{
    gzFile file = gzopen(path, mode);
    assert_non_null(file);
    if (len) assert_int_equal(gzwrite(file, data, (unsigned)len), len);
    assert_int_equal(gzclose(file), Z_OK);
}

/* One frame with a checksum. */
static void write_zstd(const char *path, const char *data, size_t len)
{
    size_t cap = ZSTD_compressBound(len);
    void *to = malloc(cap);
    assert_non_null(to);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    size_t n = ZSTD_compress2(context, to, cap, data, len);
    assert_false(ZSTD_isError(n));
    ZSTD_freeCCtx(context);
    temp_write(path, to, n);
    free(to);
}

/* Writes the text as NAME, NAME.gz (two members) or NAME.zst. */
static const char *write_text(const struct temp_dir *dir, const struct text *t, const char *suffix)
{
    char name[32];
    snprintf(name, sizeof name, "text%s", suffix);
    const char *path = temp_path(dir, name);
    if (strcmp(suffix, ".gz") == 0) {
        write_gzip(path, t->data, t->len / 3, "wb");
        write_gzip(path, t->data + t->len / 3, t->len - t->len / 3, "ab");
    } else if (strcmp(suffix, ".zst") == 0) {
        write_zstd(path, t->data, t->len);
    } else {
        temp_write(path, t->data, t->len);
    }
    return path;
}

static void assert_line(const struct text *t, uint32_t row, const void *got, const char *path)
{
    const struct weir_line *line = got;
    bool right = row < t->n_rows && line->position == (int64_t)t->rows[row].at && line->text.length == t->rows[row].len &&
                 memcmp(weir_str_data(line, line->text), t->data + t->rows[row].at, line->text.length) == 0;
    if (!right) {
        fail_msg("text of %zu bytes from seed %llu: line %u of %u is not what was read at %lld", t->len, (unsigned long long)t->seed, row,
                 t->n_rows, (long long)line->position);
    }
    assert_int_equal(line->file.length, strlen(path));
    assert_memory_equal(weir_str_data(line, line->file), path, line->file.length);
}

/* Asserts that the splits, in order, hold exactly the lines of `t`. */
static void assert_covered(const struct job *job, const struct text *t, const char *path)
{
    uint32_t row = 0;
    for (uint32_t i = 0; i < job->splits.n; i++) {
        weir_err err;
        struct fake *f = read_split(job, i, (struct weir_bytes){0}, &err);
        assert_ok(f, err);
        for (uint32_t k = 0; k < fake_count(f, 0); k++) assert_line(t, row++, fake_row(f, 0, k), path);
        fake_close(f);
    }
    assert_int_equal(row, t->n_rows);
}

/* ---- lines once -------------------------------------------------------------------------------------------------------------------- */

static void splits_cover_every_line_once(void **state)
{
    struct temp_dir *dir = *state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t random = seed;
        size_t len = seed % 60 == 0 ? 700000 + next_random(&random) % 700000 : next_random(&random) % 3000;
        struct text t = random_text(&random, len);
        struct weir_file_source config = lines_of(write_text(dir, &t, ""));
        config.split_bytes = 1 + (int64_t)(next_random(&random) % (len + 1));
        uint32_t parallelism = 1 + (uint32_t)(next_random(&random) % 9);
        struct job job;
        assert_int_equal(open_job(&job, &config, parallelism), WEIR_OK);
        assert_in_range(job.splits.n, len ? 1 : 0, parallelism);
        assert_covered(&job, &t, config.path);
        close_job(&job);
        free_text(&t);
    }
}

/* As many ranges as lines and bytes: every cut there is. */
static void every_cut_is_right(void **state)
{
    struct temp_dir *dir = *state;
    static const char text[] = "a\r\n\nbc\n\r\n\n\ndef\r\rg\nh";
    for (size_t len = 1; len < sizeof text; len++) {
        struct text t = {.data = strndup(text, len), .len = len};
        find_rows(&t);
        struct weir_file_source config = lines_of(write_text(dir, &t, ""));
        config.split_bytes = 1;
        for (uint32_t parallelism = 1; parallelism <= len; parallelism++) {
            struct job job;
            assert_int_equal(open_job(&job, &config, parallelism), WEIR_OK);
            assert_int_equal(job.splits.n, parallelism);
            assert_covered(&job, &t, config.path);
            close_job(&job);
        }
        free_text(&t);
    }
}

static void compressed_text_is_the_same_text(void **state)
{
    struct temp_dir *dir = *state;
    static const char *const suffixes[] = {".gz", ".zst"};
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t random = seed;
        struct text t = random_text(&random, seed % 20 == 0 ? 900000 : 1 + next_random(&random) % 3000);
        for (int i = 0; i < 2; i++) {
            struct weir_file_source config = lines_of(write_text(dir, &t, suffixes[i]));
            struct job job;
            assert_int_equal(open_job(&job, &config, 4), WEIR_OK);
            assert_int_equal(job.splits.n, 1); /* cannot be cut */
            assert_covered(&job, &t, config.path);
            close_job(&job);
        }
        free_text(&t);
    }
}

/* Eight bytes, little-endian: the format of a position is a promise to checkpoints. */
static struct weir_bytes position_at(unsigned char *to, size_t at)
{
    for (int i = 0; i < 8; i++) to[i] = (unsigned char)((uint64_t)at >> (8 * i));
    return (struct weir_bytes){to, 8};
}

/* Row of the text that begins at `at`; n_rows at its end. */
static uint32_t row_at(const struct text *t, size_t at)
{
    uint32_t row = 0;
    while (row < t->n_rows && t->rows[row].at != at) row++;
    return row;
}

static void assert_resumes(const struct job *job, uint32_t split, const struct text *t, uint32_t first, uint32_t end, const char *path)
{
    unsigned char bytes[8];
    weir_err err;
    size_t at = first < t->n_rows ? t->rows[first].at : t->len;
    struct fake *f = read_split(job, split, position_at(bytes, at), &err);
    assert_ok(f, err);
    assert_int_equal(fake_count(f, 0), end - first);
    for (uint32_t k = 0; k < fake_count(f, 0); k++) assert_line(t, first + k, fake_row(f, 0, k), path);
    fake_close(f);
}

static void a_reader_resumes_at_every_row(void **state)
{
    struct temp_dir *dir = *state;
    static const char *const suffixes[] = {"", ".gz", ".zst"};
    for (int s = 0; s < 3; s++) {
        for (uint64_t seed = 1; seed <= 6; seed++) {
            uint64_t random = seed;
            struct text t = random_text(&random, 1 + next_random(&random) % 2000);
            struct weir_file_source config = lines_of(write_text(dir, &t, suffixes[s]));
            config.split_bytes = 1;
            struct job job;
            assert_int_equal(open_job(&job, &config, 3), WEIR_OK);
            for (uint32_t split = 0, row = 0; split < job.splits.n; split++) {
                weir_err err;
                struct fake *whole = read_split(&job, split, (struct weir_bytes){0}, &err);
                assert_ok(whole, err);
                uint32_t end = row + fake_count(whole, 0);
                for (uint32_t first = row; first <= end; first++) assert_resumes(&job, split, &t, first, end, config.path);
                fake_close(whole);
                row = end;
            }
            close_job(&job);
            free_text(&t);
        }
    }
}

/* Stops where the runtime stops (between two calls), takes the reader's own position, goes on in a new reader: again and again. */
static void a_reader_hands_over_to_the_next(void **state)
{
    struct temp_dir *dir = *state;
    static const char *const suffixes[] = {"", ".gz", ".zst"};
    for (int s = 0; s < 3; s++) {
        uint64_t random = 77;
        struct text t = random_text(&random, 600000);
        struct weir_file_source config = lines_of(write_text(dir, &t, suffixes[s]));
        struct job job;
        assert_int_equal(open_job(&job, &config, 3), WEIR_OK);
        for (uint32_t split = 0, row = 0; split < job.splits.n; split++) {
            unsigned char bytes[WEIR_POSITION_BYTES_MAX];
            struct weir_bytes position = {0};
            weir_err err;
            uint32_t readers = 0;
            do {
                struct fake *f = open_split(&job, split, position, &err);
                assert_ok(f, err);
                f->yield_at_rows = 1 + (uint32_t)(next_random(&random) % 3000);
                while (!err && fake_count(f, 0) < f->yield_at_rows) {
                    err = fake_source_read(f);
                    position = fake_source_position(f, bytes);
                    if (position.length)
                        assert_true(row_at(&t, (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16) <= t.n_rows);
                }
                for (uint32_t k = 0; k < fake_count(f, 0); k++) assert_line(&t, row++, fake_row(f, 0, k), config.path);
                fake_close(f);
                readers++;
            } while (err != WEIR_DONE);
            assert_true(readers > 1);
            if (split + 1 == job.splits.n) assert_int_equal(row, t.n_rows);
        }
        close_job(&job);
        free_text(&t);
    }
}

static void one_call_reads_a_bounded_amount(void **state)
{
    struct temp_dir *dir = *state;
    size_t len = 3 << 20;
    char *data = malloc(len);
    assert_non_null(data);
    memset(data, '\n', len);
    temp_write(temp_path(dir, "text"), data, len);
    free(data);
    struct weir_file_source config = lines_of(temp_path(dir, "text"));
    struct job job;
    assert_int_equal(open_job(&job, &config, 1), WEIR_OK);
    weir_err err;
    struct fake *f = open_split(&job, 0, (struct weir_bytes){0}, &err);
    assert_ok(f, err);
    for (uint32_t calls = 0; !err; calls++) {
        uint32_t before = fake_count(f, 0);
        err = fake_source_read(f);
        assert_in_range(fake_count(f, 0) - before, 0, 300000);
        fake_clear(f, 0);
    }
    assert_int_equal(err, WEIR_DONE);
    f->yield_at_rows = 1;
    fake_close(f);
    f = open_split(&job, 0, (struct weir_bytes){0}, &err);
    f->yield_at_rows = 1;
    assert_ok(f, fake_source_read(f)); /* fills the buffer */
    assert_ok(f, fake_source_read(f));
    assert_in_range(fake_count(f, 0), 1, 64); /* a burst */
    assert_ok(f, fake_source_read(f));
    assert_in_range(fake_count(f, 0), 1, 64); /* the output is full: nothing more */
    fake_close(f);
    close_job(&job);

    len = 3 << 20; /* long lines: a burst is bounded in bytes too */
    data = malloc(len);
    assert_non_null(data);
    for (size_t i = 0; i < len; i++) data[i] = i % 50000 ? 'x' : '\n';
    temp_write(config.path, data, len);
    free(data);
    assert_int_equal(open_job(&job, &config, 1), WEIR_OK);
    f = open_split(&job, 0, (struct weir_bytes){0}, &err);
    f->yield_at_rows = 3;
    while (fake_count(f, 0) == 0) assert_ok(f, fake_source_read(f));
    assert_int_equal(fake_count(f, 0), 3); /* a tiny one, then one long line each */
    fake_close(f);
    close_job(&job);
}

/* ---- folders ----------------------------------------------------------------------------------------------------------------------- */

static void a_folder_is_its_visible_files(void **state)
{
    struct temp_dir *dir = *state;
    assert_int_equal(mkdir(temp_path(dir, "in"), 0777), 0);
    assert_int_equal(mkdir(temp_path(dir, "in/sub"), 0777), 0);
    assert_int_equal(mkfifo(temp_path(dir, "in/pipe"), 0666), 0);
    temp_write(temp_path(dir, "in/sub/no"), "sub\n", 4);
    temp_write(temp_path(dir, "in/.hidden"), "hidden\n", 7);
    temp_write(temp_path(dir, "in/_marker"), "marker\n", 7);
    temp_write(temp_path(dir, "in/empty"), "", 0);
    temp_write(temp_path(dir, "in/b"), "b", 1);
    temp_write(temp_path(dir, "in/a"), "a\n", 2);
    write_gzip(temp_path(dir, "in/c.gz"), "c", 1, "wb");
    write_zstd(temp_path(dir, "in/d.zst"), "d\n", 2);
    assert_int_equal(symlink("b", temp_path(dir, "in/link")), 0);
    struct weir_file_source config = lines_of(temp_path(dir, "in"));
    struct job job;
    assert_int_equal(open_job(&job, &config, 2), WEIR_OK);
    char got[64] = "";
    for (uint32_t i = 0; i < job.splits.n; i++) {
        weir_err err;
        struct fake *f = read_split(&job, i, (struct weir_bytes){0}, &err);
        assert_ok(f, err);
        const struct weir_line *line = fake_row(f, 0, 0);
        assert_int_equal(fake_count(f, 0), 1);
        strncat(got, weir_str_data(line, line->text), line->text.length);
        fake_close(f);
    }
    assert_string_equal(got, "abcdb");
    close_job(&job);
}

static void what_cannot_be_read_is_refused_at_once(void **state)
{
    struct temp_dir *dir = *state;
    struct weir_file_source config = lines_of(temp_path(dir, "missing"));
    assert_refused(&config, WEIR_E_NOT_FOUND, config.path);
    config.path = "relative";
    assert_refused(&config, WEIR_E_NOT_FOUND, "/nowhere/relative"); /* against the job's folder */
    assert_int_equal(mkfifo(temp_path(dir, "pipe"), 0666), 0);
    config.path = temp_path(dir, "pipe");
    assert_refused(&config, WEIR_E_ARGUMENT, "not a regular file");
    assert_int_equal(symlink("nothing", temp_path(dir, "dangling")), 0);
    config.path = dir->path;
    assert_refused(&config, WEIR_E_NOT_FOUND, "dangling");
    assert_int_equal(unlink(temp_path(dir, "dangling")), 0);

    temp_write(temp_path(dir, "text"), "x\n", 2);
    config = (struct weir_file_source){.path = temp_path(dir, "text"), .format = WEIR_FILE_CSV};
    assert_refused(&config, WEIR_E_ARGUMENT, "no schema");
    config = (struct weir_file_source){.path = temp_path(dir, "text"), .format = WEIR_FILE_JSON, .schema = &pair_schema, .multiline = true};
    assert_refused(&config, WEIR_E_ARGUMENT, "multiline is for CSV only");
    config = (struct weir_file_source){.path = temp_path(dir, "text"), .format = (enum weir_file_format)7};
    assert_refused(&config, WEIR_E_ARGUMENT, "7 is no format");
    config = (struct weir_file_source){.path = temp_path(dir, "text"), .schema = &pair_schema};
    assert_refused(&config, WEIR_E_ARGUMENT, "LINES takes no schema");
    config = (struct weir_file_source){.path = temp_path(dir, "text"), .split_bytes = -1};
    assert_refused(&config, WEIR_E_ARGUMENT, "split_bytes is negative");
}

static void a_file_that_must_not_be_read_is_named(void **state)
{
    struct temp_dir *dir = *state;
    if (geteuid() == 0) skip(); /* may read everything */
    temp_write(temp_path(dir, "secret"), "x\n", 2);
    assert_int_equal(chmod(temp_path(dir, "secret"), 0), 0);
    struct weir_file_source config = lines_of(temp_path(dir, "secret"));
    assert_refused(&config, WEIR_E_IO, "secret: Permission denied");
}

/* ---- records ----------------------------------------------------------------------------------------------------------------------- */

static void csv_and_json_make_rows_of_the_schema(void **state)
{
    struct temp_dir *dir = *state;
    static const char csv[] = "1,one\r\n\n-2,\"t,w\"\"o\"\n3,",
                      json[] = "{\"text\":\"one\",\"id\":1}\n\n{\"id\":-2,\"text\":\"t,w\\\"o\"}\n{\"id\":3,\"text\":\"\"}";
    static const struct {
        int64_t id;
        const char *text;
    } rows[] = {{1, "one"}, {-2, "t,w\"o"}, {3, ""}};
    temp_write(temp_path(dir, "csv"), csv, sizeof csv - 1);
    temp_write(temp_path(dir, "json"), json, sizeof json - 1);
    for (int k = 0; k < 2; k++) {
        struct weir_file_source config = {.path = temp_path(dir, k ? "json" : "csv"),
                                          .format = k ? WEIR_FILE_JSON : WEIR_FILE_CSV,
                                          .schema = &pair_schema,
                                          .split_bytes = 1};
        struct job job;
        assert_int_equal(open_job(&job, &config, 5), WEIR_OK);
        assert_ptr_equal(job.node->outputs[0], &pair_schema);
        uint32_t n = 0;
        for (uint32_t i = 0; i < job.splits.n; i++) {
            weir_err err;
            struct fake *f = read_split(&job, i, (struct weir_bytes){0}, &err);
            assert_ok(f, err);
            for (uint32_t r = 0; r < fake_count(f, 0); r++, n++) {
                const struct pair *row = fake_row(f, 0, r);
                assert_int_equal(row->id, rows[n].id);
                assert_int_equal(row->text.length, strlen(rows[n].text));
                assert_memory_equal(weir_str_data(row, row->text), rows[n].text, row->text.length);
            }
            fake_close(f);
        }
        assert_int_equal(n, 3);
        close_job(&job);
    }
}

struct word {
    struct weir_str text;
};
WEIR_ROW(word, WEIR_FIELD(word, 1, STR, text));

/* With a single field an empty line is an empty value: what a sink writes, the source reads back. */
static void an_empty_line_of_a_single_field_is_a_row(void **state)
{
    struct temp_dir *dir = *state;
    temp_write(temp_path(dir, "csv"), "a\n\nb\n", 5);
    struct weir_file_source config = {.path = temp_path(dir, "csv"), .format = WEIR_FILE_CSV, .schema = &word_schema};
    struct job job;
    assert_int_equal(open_job(&job, &config, 1), WEIR_OK);
    weir_err err;
    struct fake *f = read_split(&job, 0, (struct weir_bytes){0}, &err);
    assert_ok(f, err);
    assert_int_equal(fake_count(f, 0), 3);
    assert_int_equal(((struct word *)fake_row(f, 0, 1))->text.length, 0);
    fake_close(f);
    close_job(&job);
}

static void a_malformed_record_is_named_with_its_place(void **state)
{
    struct temp_dir *dir = *state;
    char words[TEMP_PATH_MAX + 128];
    temp_write(temp_path(dir, "csv"), "1,a\n2,b\nx3,c\n", 13);
    struct weir_file_source config = {.path = temp_path(dir, "csv"), .format = WEIR_FILE_CSV, .schema = &pair_schema};
    snprintf(words, sizeof words, "%s: byte 8 (line at 8): field \"id\": \"x3\" is not an integer", config.path);
    assert_refused(&config, WEIR_E_CORRUPT, words);
    temp_write(temp_path(dir, "json"), "{\"id\":1,\"text\":\"\"}\n{\"id\":true}\n", 31);
    config = (struct weir_file_source){.path = temp_path(dir, "json"), .format = WEIR_FILE_JSON, .schema = &pair_schema};
    snprintf(words, sizeof words, "%s: byte 25 (line at 19): field \"id\": \"true\" is not an integer", config.path);
    assert_refused(&config, WEIR_E_CORRUPT, words);
}

static void multiline_fields_need_the_flag(void **state)
{
    struct temp_dir *dir = *state;
    static const char csv[] = "1,\"a\nb\"\n2,\"\"\"\n\"\"\"\r\n3,c";
    static const size_t starts[] = {0, 8, 19, sizeof csv - 1};
    temp_write(temp_path(dir, "csv"), csv, sizeof csv - 1);
    struct weir_file_source config = {.path = temp_path(dir, "csv"), .format = WEIR_FILE_CSV, .schema = &pair_schema, .split_bytes = 1};
    assert_refused(&config, WEIR_E_CORRUPT, "set multiline");
    config.multiline = true;
    struct job job;
    assert_int_equal(open_job(&job, &config, 5), WEIR_OK);
    assert_int_equal(job.splits.n, 1);
    for (uint32_t first = 0; first <= 3; first++) {
        unsigned char bytes[8];
        weir_err err;
        struct fake *f = read_split(&job, 0, position_at(bytes, starts[first]), &err);
        assert_ok(f, err);
        assert_int_equal(fake_count(f, 0), 3 - first);
        for (uint32_t k = first; k < 3; k++) assert_int_equal(((struct pair *)fake_row(f, 0, k - first))->id, k + 1);
        fake_close(f);
    }
    close_job(&job);
    temp_write(temp_path(dir, "open"), "1,\"a\nb\nc", 8);
    config.path = temp_path(dir, "open");
    assert_refused(&config, WEIR_E_CORRUPT, "no closing quote");
}

static void a_line_has_a_limit(void **state)
{
    struct temp_dir *dir = *state;
    char *data = malloc(WEIR_LINE_MAX + 16);
    assert_non_null(data);
    memset(data, 'x', WEIR_LINE_MAX + 16);
    memcpy(data, "ab\n", 3);
    static const char *const suffixes[] = {"", ".gz"};
    for (int k = 0; k < 2; k++) {
        for (int over = 0; over <= 1; over++) {
            for (int ending = 0; ending <= 2; ending++) {
                static const char *const endings[] = {"", "\n", "\r\n"};
                memset(data + 3, 'x', WEIR_LINE_MAX + 13);
                size_t len = 3 + WEIR_LINE_MAX + (size_t)over;
                memcpy(data + len, endings[ending], strlen(endings[ending]));
                struct text t = {.data = data, .len = len + strlen(endings[ending])};
                struct weir_file_source config = lines_of(write_text(dir, &t, suffixes[k]));
                struct weir_diag diag;
                weir_err err = read_everything(&config, &diag);
                assert_int_equal(err, over ? WEIR_E_LIMIT : WEIR_OK);
                if (err) assert_non_null(strstr(diag.text, "byte 3: a line longer than 1048576 bytes (WEIR_LINE_MAX)"));
            }
        }
    }
    free(data);
}

/* ---- damage ------------------------------------------------------------------------------------------------------------------------ */

static const char poem[] = "the first line\nthe second line\r\n\nthe last, without an end";

/* Every shorter file than the whole is an error, never an early end; so is every longer one. */
static void assert_all_or_error(const struct temp_dir *dir, const char *name, const char *bytes, size_t len, size_t also_whole)
{
    char *data = malloc(len + 8);
    assert_non_null(data);
    memcpy(data, bytes, len);
    memcpy(data + len, "\0\0\0junk", 8);
    struct weir_file_source config = lines_of(temp_path(dir, name));
    struct weir_diag diag;
    for (size_t cut = 0; cut <= len + 8; cut++) {
        temp_write(config.path, data, cut);
        weir_err err = read_everything(&config, &diag);
        bool whole = cut == len || (also_whole && cut == also_whole);
        if ((err == WEIR_OK) != whole) fail_msg("%s cut to %zu of %zu bytes: %s", name, cut, len, weir_err_name(err));
        if (err) assert_int_equal(err, WEIR_E_CORRUPT);
        if (err) assert_non_null(strstr(diag.text, config.path));
        if (err) assert_non_null(strstr(diag.text, ": byte "));
    }
    free(data);
}

static void a_truncated_file_is_never_a_short_one(void **state)
{
    struct temp_dir *dir = *state;
    size_t len, first;
    write_gzip(temp_path(dir, "one.gz"), poem, sizeof poem - 1, "wb");
    char *one = temp_read(temp_path(dir, "one.gz"), &first);
    assert_all_or_error(dir, "cut.gz", one, first, 0);
    write_gzip(temp_path(dir, "one.gz"), poem, sizeof poem - 1, "ab");
    char *two = temp_read(temp_path(dir, "one.gz"), &len);
    assert_all_or_error(dir, "cut.gz", two, len, first); /* the first member alone is a whole file too */
    write_zstd(temp_path(dir, "one.zst"), poem, sizeof poem - 1);
    char *frame = temp_read(temp_path(dir, "one.zst"), &len);
    assert_all_or_error(dir, "cut.zst", frame, len, 0);
    free(one);
    free(two);
    free(frame);
}

static void a_flipped_byte_is_noticed(void **state)
{
    struct temp_dir *dir = *state;
    static const char *const names[] = {"flip.gz", "flip.zst"};
    write_gzip(temp_path(dir, names[0]), poem, sizeof poem - 1, "wb");
    write_zstd(temp_path(dir, names[1]), poem, sizeof poem - 1);
    for (int k = 0; k < 2; k++) {
        size_t len;
        struct weir_file_source config = lines_of(temp_path(dir, names[k]));
        char *data = temp_read(config.path, &len);
        struct weir_diag diag;
        for (size_t i = 0; i < len; i++) {
            if (k == 0 && i >= 4 && i < 10) continue; /* time and system of the gzip header: not data */
            data[i] = (char)~data[i];
            temp_write(config.path, data, len);
            if (read_everything(&config, &diag) == WEIR_OK) fail_msg("%s: byte %zu flipped unnoticed", names[k], i);
            data[i] = (char)~data[i];
        }
        free(data);
    }
}

static void empty_members_are_no_lines(void **state)
{
    struct temp_dir *dir = *state;
    const char *path = temp_path(dir, "empty.gz");
    write_gzip(path, "", 0, "wb");
    struct weir_file_source config = lines_of(path);
    struct text none = {.data = "", .len = 0}, ab = {.data = "ab\n", .len = 3};
    for (int i = 0; i < 2; i++) {
        struct job job;
        struct text *t = i ? &ab : &none;
        find_rows(t);
        assert_int_equal(open_job(&job, &config, 1), WEIR_OK);
        assert_covered(&job, t, path);
        close_job(&job);
        free(t->rows);
        write_gzip(path, "a", 1, "ab");
        write_gzip(path, "", 0, "ab");
        write_gzip(path, "b\n", 2, "ab");
        write_gzip(path, "", 0, "ab");
    }
}

static void set_mtime(const char *path, time_t seconds)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void assert_changed(const struct job *job, weir_err expected, const char *words)
{
    weir_err err;
    struct fake *f = read_split(job, 0, (struct weir_bytes){0}, &err);
    assert_int_equal(err, expected);
    if (!strstr(f->diag.text, words)) fail_msg("\"%s\" is not in \"%s\"", words, f->diag.text);
    fake_close(f);
}

static void a_file_changed_since_the_submission_is_refused(void **state)
{
    struct temp_dir *dir = *state;
    const char *path = temp_path(dir, "text");
    struct weir_file_source config = lines_of(path);
    struct job job;
    temp_write(path, "one\ntwo\n", 8);
    set_mtime(path, 1000000);
    assert_int_equal(open_job(&job, &config, 1), WEIR_OK);
    temp_write(path, "one\n", 4);
    set_mtime(path, 1000000);
    assert_changed(&job, WEIR_E_CORRUPT, "has shrunk since the job was submitted");
    temp_write(path, "one\ntwo\nthree\n", 14);
    set_mtime(path, 1000000);
    assert_changed(&job, WEIR_E_CORRUPT, "has changed since the job was submitted");
    temp_write(path, "one\nTWO\n", 8);
    set_mtime(path, 1000001);
    assert_changed(&job, WEIR_E_CORRUPT, "has changed since the job was submitted");
    assert_int_equal(unlink(path), 0);
    assert_changed(&job, WEIR_E_NOT_FOUND, path);
    close_job(&job);
}

static void a_file_cut_while_it_is_read_is_refused(void **state)
{
    struct temp_dir *dir = *state;
    uint64_t seed = 4;
    for (int k = 0; k < 2; k++) {
        struct text t = random_text(&seed, 2000000);
        struct weir_file_source config = lines_of(write_text(dir, &t, k ? ".gz" : ""));
        struct job job;
        assert_int_equal(open_job(&job, &config, 1), WEIR_OK);
        weir_err err;
        struct fake *f = open_split(&job, 0, (struct weir_bytes){0}, &err);
        assert_ok(f, err);
        assert_ok(f, fake_source_read(f));
        assert_int_equal(truncate(config.path, 500000), 0);
        assert_int_equal(fake_source_run(f, UINT32_MAX), WEIR_E_CORRUPT);
        assert_non_null(strstr(f->diag.text, "byte 500000"));
        fake_close(f);
        close_job(&job);
        free_text(&t);
    }
}

/* Same size, other bytes, behind the reader's back: nobody knows which it has seen. */
static void a_file_changed_while_it_is_read_is_refused(void **state)
{
    struct temp_dir *dir = *state;
    uint64_t seed = 5;
    struct text t = random_text(&seed, 1000000);
    struct weir_file_source config = lines_of(write_text(dir, &t, ""));
    struct job job;
    assert_int_equal(open_job(&job, &config, 1), WEIR_OK);
    weir_err err;
    struct fake *f = open_split(&job, 0, (struct weir_bytes){0}, &err);
    assert_ok(f, err);
    assert_ok(f, fake_source_read(f));
    set_mtime(config.path, 1000000);
    assert_int_equal(fake_source_run(f, UINT32_MAX), WEIR_E_CORRUPT);
    assert_non_null(strstr(f->diag.text, "has changed since the job was submitted"));
    fake_close(f);
    close_job(&job);
    free_text(&t);
}

static void a_wrong_split_or_position_is_refused(void **state)
{
    struct temp_dir *dir = *state;
    temp_write(temp_path(dir, "text"), "one\n", 4);
    struct weir_file_source config = lines_of(temp_path(dir, "text"));
    struct job job;
    assert_int_equal(open_job(&job, &config, 1), WEIR_OK);
    unsigned char bytes[8];
    weir_err err;
    fake_close(open_split(&job, 0, (struct weir_bytes){"x", 1}, &err));
    assert_int_equal(err, WEIR_E_CORRUPT);
    fake_close(open_split(&job, 0, position_at(bytes, SIZE_MAX), &err));
    assert_int_equal(err, WEIR_E_CORRUPT);
    job.splits.items[0].length = 5;
    fake_close(open_split(&job, 0, (struct weir_bytes){0}, &err));
    assert_int_equal(err, WEIR_E_CORRUPT);
    close_job(&job);
}

/* ---- the real log ------------------------------------------------------------------------------------------------------------------ */

static void the_real_log_has_its_lines(void **state)
{
    (void)state;
    char path[1024];
    assert_non_null(getcwd(path, sizeof path - 64));
    strcat(path, "/tests/data/apache_logs.gz"); /* ctest runs in the source folder */
    if (access(path, R_OK)) skip();
    struct weir_file_source config = lines_of(path);
    struct job job;
    assert_int_equal(open_job(&job, &config, 2), WEIR_OK);
    weir_err err;
    struct fake *f = read_split(&job, 0, (struct weir_bytes){0}, &err);
    assert_ok(f, err);
    assert_int_equal(fake_count(f, 0), 10000);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < 10000; i++) bytes += ((struct weir_line *)fake_row(f, 0, i))->text.length + 1;
    assert_int_equal(bytes, 2370789);
    fake_close(f);
    close_job(&job);
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
        CASE(splits_cover_every_line_once),
        CASE(every_cut_is_right),
        CASE(compressed_text_is_the_same_text),
        CASE(a_reader_resumes_at_every_row),
        CASE(a_reader_hands_over_to_the_next),
        CASE(one_call_reads_a_bounded_amount),
        CASE(a_folder_is_its_visible_files),
        CASE(what_cannot_be_read_is_refused_at_once),
        CASE(a_file_that_must_not_be_read_is_named),
        CASE(csv_and_json_make_rows_of_the_schema),
        CASE(an_empty_line_of_a_single_field_is_a_row),
        CASE(a_malformed_record_is_named_with_its_place),
        CASE(multiline_fields_need_the_flag),
        CASE(a_line_has_a_limit),
        CASE(a_truncated_file_is_never_a_short_one),
        CASE(a_flipped_byte_is_noticed),
        CASE(empty_members_are_no_lines),
        CASE(a_file_changed_since_the_submission_is_refused),
        CASE(a_file_cut_while_it_is_read_is_refused),
        CASE(a_file_changed_while_it_is_read_is_refused),
        CASE(a_wrong_split_or_position_is_refused),
        CASE(the_real_log_has_its_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
