/* SPDX-License-Identifier: Apache-2.0 */
/* The way into a database: sorted files, written and ingested. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/state/rocks_internal.h"

/* ---- writers ------------------------------------------------------------------------------------------------------------------------- */

struct rocks_writer {
    rocksdb_envoptions_t *env_options;
    rocksdb_sstfilewriter_t *writer;
    bool made;     /* the file is ours to remove */
    bool finished; /* ... no more */
    char path[];
};

static weir_err fail_writer(struct weir_diag *diag, char *words, const struct rocks_writer *w)
{
    return weir_wrap(diag, rocks_fail(diag, words), "write %s", w->path);
}

/* RocksDB would overwrite a file that is there. */
static weir_err make_file(struct rocks_writer *w, struct weir_diag *diag)
{
    int fd = open(w->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST) return weir_fail(diag, WEIR_E_EXISTS, "write %s: the file is there already", w->path);
    if (fd < 0) return weir_fail_errno(diag, errno, "write %s", w->path);
    close(fd);
    w->made = true;
    return WEIR_OK;
}

static weir_err open_writer(struct rocks_writer *w, struct rocks_shared *shared, struct weir_diag *diag)
{
    weir_err err = make_file(w, diag);
    if (err) return err;
    char *words = NULL;
    w->env_options = rocksdb_envoptions_create();
    w->writer = rocksdb_sstfilewriter_create(w->env_options, shared->options);
    rocksdb_sstfilewriter_open(w->writer, w->path, &words);
    return words ? fail_writer(diag, words, w) : WEIR_OK;
}

weir_err rocks_writer_new(struct rocks_writer **out, struct rocks_shared *shared, const char *path, struct weir_diag *diag)
{
    size_t length = strlen(path);
    struct rocks_writer *w = calloc(1, sizeof *w + length + 1);
    if (!w) return weir_fail(diag, WEIR_E_NOMEM, "write %s: no memory", path);
    memcpy(w->path, path, length);
    weir_err err = open_writer(w, shared, diag);
    if (err) {
        rocks_writer_destroy(&w);
        return err;
    }
    *out = w;
    return WEIR_OK;
}

weir_err rocks_writer_put(struct rocks_writer *w, const void *key, size_t key_length, const void *value, size_t length,
                          struct weir_diag *diag)
{
    char *words = NULL;
    rocksdb_sstfilewriter_put(w->writer, key, key_length, value, length, &words);
    return WEIR_UNLIKELY(words != NULL) ? fail_writer(diag, words, w) : WEIR_OK;
}

weir_err rocks_writer_delete(struct rocks_writer *w, const void *key, size_t key_length, struct weir_diag *diag)
{
    char *words = NULL;
    rocksdb_sstfilewriter_delete(w->writer, key, key_length, &words);
    return WEIR_UNLIKELY(words != NULL) ? fail_writer(diag, words, w) : WEIR_OK;
}

weir_err rocks_writer_delete_range(struct rocks_writer *w, struct weir_bytes from, struct weir_bytes to, struct weir_diag *diag)
{
    char *words = NULL;
    rocksdb_sstfilewriter_delete_range(w->writer, from.data, from.length, to.data, to.length, &words);
    return words ? fail_writer(diag, words, w) : WEIR_OK;
}

uint64_t rocks_writer_size(const struct rocks_writer *w)
{
    uint64_t bytes = 0;
    rocksdb_sstfilewriter_file_size(w->writer, &bytes);
    return bytes;
}

weir_err rocks_writer_finish(struct rocks_writer *w, struct weir_diag *diag)
{
    char *words = NULL;
    rocksdb_sstfilewriter_finish(w->writer, &words);
    if (words) return fail_writer(diag, words, w);
    w->finished = true;
    return WEIR_OK;
}

void rocks_writer_destroy(struct rocks_writer **writer)
{
    struct rocks_writer *w = *writer;
    if (!w) return;
    if (w->writer) rocksdb_sstfilewriter_destroy(w->writer);
    if (w->env_options) rocksdb_envoptions_destroy(w->env_options);
    if (w->made && !w->finished) (void)unlink(w->path);
    free(w);
    *writer = NULL;
}

/* ---- an ingested file stays as it is -----------------------------------------------------------------------------------------------
 *
 * Unless it is told not to, RocksDB writes the number of an ingested file that overlaps others into the file, beside keeping it in its log
 * of files. The C interface has no setter for write_global_seqno, but the flags behind it lie in a row. It is set by its place, if the
 * setters that there are show that theirs are where they are expected; and it is believed only after a trial, two files of one entry over
 * each other, has left the second one as it was. Else files that overlap are refused where they may not be changed, and their owners copy.
 */

enum ingest_flag { MOVE_FILES, FALL_BACK_TO_COPY, CONSISTENCY, ALLOW_NUMBER, ALLOW_FLUSH, INGEST_BEHIND, WRITE_NUMBER, INGEST_FLAGS };

/* A snapshot is never taken, so nothing need be consistent with one: cursors hold the files they began with. */
static rocksdb_ingestexternalfileoptions_t *ingest_options(bool may_number)
{
    rocksdb_ingestexternalfileoptions_t *options = rocksdb_ingestexternalfileoptions_create();
    rocksdb_ingestexternalfileoptions_set_move_files(options, 1);
    rocksdb_ingestexternalfileoptions_set_snapshot_consistency(options, 0);
    rocksdb_ingestexternalfileoptions_set_allow_global_seqno(options, may_number);
    return options;
}

static bool flag_is_at(rocksdb_ingestexternalfileoptions_t *options, enum ingest_flag flag,
                       void (*set)(rocksdb_ingestexternalfileoptions_t *, unsigned char))
{
    const unsigned char *at = (const unsigned char *)options + flag;
    unsigned char before = *at;
    set(options, !before);
    bool follows = *at == !before;
    set(options, before);
    return before <= 1 && follows && *at == before;
}

static bool keep_number_out(rocksdb_ingestexternalfileoptions_t *options)
{
    unsigned char *flags = (unsigned char *)options;
    if (!flag_is_at(options, MOVE_FILES, rocksdb_ingestexternalfileoptions_set_move_files) ||
        !flag_is_at(options, CONSISTENCY, rocksdb_ingestexternalfileoptions_set_snapshot_consistency) ||
        !flag_is_at(options, ALLOW_NUMBER, rocksdb_ingestexternalfileoptions_set_allow_global_seqno) ||
        !flag_is_at(options, ALLOW_FLUSH, rocksdb_ingestexternalfileoptions_set_allow_blocking_flush) ||
        !flag_is_at(options, INGEST_BEHIND, rocksdb_ingestexternalfileoptions_set_ingest_behind))
        return false;
    if (flags[FALL_BACK_TO_COPY] != 1 || flags[WRITE_NUMBER] > 1) return false;
    flags[WRITE_NUMBER] = 0;
    return true;
}

#define TRIAL_BYTES_MAX 16384u /* of a file of one entry: some 1300 */

static weir_err write_trial(struct rocks *r, const char *path, const char *value, struct weir_diag *diag)
{
    struct rocks_writer *w = NULL;
    weir_err err = rocks_writer_new(&w, r->shared, path, diag);
    if (!err) err = rocks_writer_put(w, "key", 3, value, 1, diag);
    if (!err) err = rocks_writer_finish(w, diag);
    rocks_writer_destroy(&w);
    return err;
}

static weir_err read_trial(const char *path, unsigned char *bytes, ssize_t *n, struct weir_diag *diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return weir_fail_errno(diag, errno, "open %s", path);
    *n = read(fd, bytes, TRIAL_BYTES_MAX);
    weir_err err = *n < 0 ? weir_fail_errno(diag, errno, "read %s", path) : WEIR_OK;
    (void)close(fd);
    return err;
}

static bool is_newest(struct rocks *r, const char *value)
{
    char *words = NULL;
    size_t length = 0;
    char *found = rocksdb_get(r->db, r->read, "key", 3, &length, &words);
    bool same = found && length == 1 && *found == *value;
    rocksdb_free(found);
    rocksdb_free(words);
    return same;
}

/* Ingests `path` by another name of it into the default family, which serves nothing else. */
static weir_err ingest_trial(struct rocks *r, const char *path, struct weir_diag *diag)
{
    char name[4096];
    const char *const names[] = {name};
    char *words = NULL;
    if (snprintf(name, sizeof name, "%s-in", path) >= (int)sizeof name) return weir_fail(diag, WEIR_E_LIMIT, "%s: too long a path", path);
    if (link(path, name)) return weir_fail_errno(diag, errno, "link %s", name);
    rocksdb_ingest_external_file(r->db, names, 1, r->ingest, &words);
    return words ? rocks_fail(diag, words) : WEIR_OK;
}

/* A file of one entry, ingested; *kept: it is as it was. */
static weir_err add_trial(struct rocks *r, const char *path, const char *value, bool *kept, struct weir_diag *diag)
{
    unsigned char before[TRIAL_BYTES_MAX], after[TRIAL_BYTES_MAX];
    ssize_t n_before = 0, n_after = 0;
    weir_err err = write_trial(r, path, value, diag);
    if (!err) err = read_trial(path, before, &n_before, diag);
    if (!err) err = ingest_trial(r, path, diag);
    if (!err) err = read_trial(path, after, &n_after, diag);
    (void)unlink(path);
    *kept = !err && n_before == n_after && memcmp(before, after, (size_t)n_before) == 0;
    return err;
}

static weir_err try_numbers(struct rocks *r, bool *kept_out, struct weir_diag *diag)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/trial", r->dir) >= (int)sizeof path) return weir_fail(diag, WEIR_E_LIMIT, "too long a path");
    weir_err err = add_trial(r, path, "1", kept_out, diag);
    if (!err) err = add_trial(r, path, "2", kept_out, diag);
    *kept_out = *kept_out && is_newest(r, "2");
    return err;
}

/* Once a process is enough; two slots that open at the same time find the same. */
static weir_err learn_numbers(struct rocks *r, struct weir_diag *diag)
{
    int numbers = atomic_load(&r->shared->numbers);
    bool kept_out = keep_number_out(r->ingest) && numbers != NUMBERS_IN_FILE;
    weir_err err = kept_out && numbers == NUMBERS_UNKNOWN ? try_numbers(r, &kept_out, diag) : WEIR_OK;
    if (err) return weir_wrap(diag, err, "try an ingestion");
    atomic_store(&r->shared->numbers, kept_out ? NUMBERS_IN_LOG : NUMBERS_IN_FILE);
    if (kept_out) return WEIR_OK;
    rocksdb_ingestexternalfileoptions_destroy(r->ingest);
    r->ingest = ingest_options(true);
    r->ingest_shared = ingest_options(false);
    return WEIR_OK;
}

/* ---- ingestion --------------------------------------------------------------------------------------------------------------------- */

weir_err rocks_ingestion_open(struct rocks *r, struct weir_diag *diag)
{
    r->ingest = ingest_options(true);
    return learn_numbers(r, diag);
}

void rocks_ingestion_close(struct rocks *r)
{
    if (r->ingest_shared) rocksdb_ingestexternalfileoptions_destroy(r->ingest_shared);
    if (r->ingest) rocksdb_ingestexternalfileoptions_destroy(r->ingest);
}

static weir_err fail_ingestion(struct weir_diag *diag, weir_err err, const struct rocks_family *family, const char *path, uint32_t n)
{
    if (n == 1) return weir_wrap(diag, err, "ingest %s into family '%s' of %s", path, family->name, family->rocks->dir);
    return weir_wrap(diag, err, "ingest %s and %u more into family '%s' of %s", path, n - 1, family->name, family->rocks->dir);
}

static weir_err sum_sizes(const char *const *paths, uint32_t n, uint64_t *bytes, struct weir_diag *diag)
{
    struct stat st;
    for (uint32_t i = 0; i < n; i++) {
        if (stat(paths[i], &st)) return weir_fail_errno(diag, errno, "%s", paths[i]);
        *bytes += (uint64_t)st.st_size;
    }
    return WEIR_OK;
}

weir_err rocks_ingest_all(struct rocks_family *family, const char *const *paths, uint32_t n, uint32_t flags, struct weir_diag *diag)
{
    struct rocks *r = family->rocks;
    uint64_t bytes = 0;
    weir_err err = sum_sizes(paths, n, &bytes, diag);
    if (err) return fail_ingestion(diag, err, family, paths[0], n);
    char *words = NULL;
    bool refuse = flags & ROCKS_INGEST_SHARED && r->ingest_shared;
    rocksdb_ingest_external_file_cf(r->db, family->handle, paths, n, refuse ? r->ingest_shared : r->ingest, &words);
    if (words) return fail_ingestion(diag, rocks_fail(diag, words), family, paths[0], n);
    rocks_count(&r->ingested_files, n);
    rocks_count(&r->ingested_bytes, bytes);
    return WEIR_OK;
}
