/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/checkpoint/archive.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/checkpoint/journal.h"

/* A checkpoint that is kept. One that could not be read is kept, too: what it names is not known, so nothing shared may go. */
struct kept {
    uint64_t id;
    bool damaged;
    uint32_t n;
    struct journal_file *files; /* sorted, each once */
};

struct archive {
    char dir[PATH_MAX];
    char shared[PATH_MAX];
    struct kept *kept;
    uint32_t n, cap;
};

/* ---- life ---------------------------------------------------------------------------------------------------------------------------- */

weir_err archive_open(struct archive **out, const char *job_dir, struct weir_diag *diag)
{
    struct archive *a = calloc(1, sizeof *a);
    if (!a) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the archive %s", job_dir);
    weir_err err = strlen(job_dir) < sizeof a->dir ? WEIR_OK : weir_fail(diag, WEIR_E_LIMIT, "the path %.200s... is too long", job_dir);
    if (!err) (void)snprintf(a->dir, sizeof a->dir, "%s", job_dir);
    if (!err) err = layout_join(job_dir, LAYOUT_SHARED, a->shared, diag);
    if (err)
        archive_destroy(&a);
    else
        *out = a;
    return err;
}

void archive_destroy(struct archive **archive)
{
    struct archive *a = *archive;
    if (!a) return;
    for (uint32_t i = 0; i < a->n; i++) free(a->kept[i].files);
    free(a->kept);
    free(a);
    *archive = NULL;
}

const char *archive_dir(const struct archive *a)
{
    return a->dir;
}

uint32_t archive_kept(const struct archive *a)
{
    return a->n;
}

/* ---- who names what ------------------------------------------------------------------------------------------------------------------ */

static int compare_files(const void *left, const void *right)
{
    const struct journal_file *a = left, *b = right;
    if (a->hash.high != b->hash.high) return a->hash.high < b->hash.high ? -1 : 1;
    if (a->hash.low != b->hash.low) return a->hash.low < b->hash.low ? -1 : 1;
    return a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

static bool is_named(const struct archive *a, const struct journal_file *file)
{
    for (uint32_t i = 0; i < a->n; i++) {
        const struct kept *k = &a->kept[i];
        if (k->n && bsearch(file, k->files, k->n, sizeof *file, compare_files)) return true;
    }
    return false;
}

/* False while a kept checkpoint could not be read. */
static bool knows_all(const struct archive *a)
{
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->kept[i].damaged) return false;
    }
    return true;
}

static struct kept *find_kept(struct archive *a, uint64_t id)
{
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->kept[i].id == id) return &a->kept[i];
    }
    return NULL;
}

static void forget(struct archive *a, struct kept *k)
{
    free(k->files);
    *k = a->kept[--a->n];
}

/* The kept checkpoint of that id, new or emptied. NULL: no memory. */
static struct kept *make_kept(struct archive *a, uint64_t id)
{
    struct kept *k = find_kept(a, id);
    if (k) forget(a, k);
    if (a->n == a->cap) {
        uint32_t cap = a->cap * 2 + 8;
        struct kept *more = realloc(a->kept, cap * sizeof *more);
        if (!more) return NULL;
        a->kept = more;
        a->cap = cap;
    }
    k = &a->kept[a->n++];
    *k = (struct kept){.id = id};
    return k;
}

static uint32_t count_files(const struct checkpoint *c)
{
    const struct pack_operator *o;
    uint32_t n = 0;
    for (struct checkpoint_place at = {0}; (o = checkpoint_next(c, NULL, &at, NULL));) {
        for (uint32_t s = 0; s < o->n_states; s++) n += o->states[s].n_files;
    }
    return n;
}

static void add_names(struct kept *k, const struct pack_operator *o)
{
    for (uint32_t s = 0; s < o->n_states; s++) {
        for (uint32_t f = 0; f < o->states[s].n_files; f++) {
            struct journal_file *file = &k->files[k->n];
            k->n += content_parse(o->states[s].files[f].content, &file->hash, &file->bytes);
        }
    }
}

/* Notes what a checkpoint names. */
static weir_err count_checkpoint(struct archive *a, const struct checkpoint *c, struct weir_diag *diag)
{
    struct journal_file *files = calloc((size_t)count_files(c) + 1, sizeof *files);
    struct kept *k = files ? make_kept(a, c->manifest.checkpoint_id) : NULL;
    if (!k) {
        free(files);
        return weir_fail(diag, WEIR_E_NOMEM, "no memory to keep checkpoint %" PRIu64, c->manifest.checkpoint_id);
    }
    const struct pack_operator *o;
    k->files = files;
    for (struct checkpoint_place at = {0}; (o = checkpoint_next(c, NULL, &at, NULL));) add_names(k, o);
    if (k->n) qsort(k->files, k->n, sizeof *k->files, compare_files);
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->n; i++) {
        if (n == 0 || compare_files(&k->files[n - 1], &k->files[i]) != 0) k->files[n++] = k->files[i];
    }
    k->n = n;
    return WEIR_OK;
}

weir_err archive_keep(struct archive *a, uint64_t id, const struct files_seal *expect, struct checkpoint **out, struct weir_diag *diag)
{
    char path[PATH_MAX];
    struct checkpoint *c = NULL;
    weir_err err = layout_checkpoint(a->dir, id, path, diag);
    if (!err) err = checkpoint_open(&c, path, expect, diag);
    if (!err && c->manifest.checkpoint_id != id)
        err = weir_fail(diag, WEIR_E_CORRUPT, "%s says that it is checkpoint %" PRIu64, path, c->manifest.checkpoint_id);
    if (!err) err = count_checkpoint(a, c, diag);
    if (err) {
        struct kept *k = make_kept(a, id);
        if (k) k->damaged = true;
    } else if (out) {
        *out = c;
        c = NULL;
    }
    checkpoint_close(&c);
    return err;
}

/* ---- a new one ----------------------------------------------------------------------------------------------------------------------- */

/* Makes a folder that is missing, durably in the one above. */
static weir_err make_folder(const char *path, struct weir_diag *diag)
{
    char parent[PATH_MAX];
    if (mkdir(path, 0700)) return errno == EEXIST ? WEIR_OK : weir_fail_errno(diag, errno, "make folder %s", path);
    weir_err err = layout_join(path, "..", parent, diag);
    return err ? err : files_sync_folder(parent, diag);
}

weir_err archive_begin(struct archive *a, uint64_t id, struct weir_diag *diag)
{
    char path[PATH_MAX];
    weir_err err = layout_checkpoint(a->dir, id, path, diag);
    if (!err) err = make_folder(a->dir, diag);
    if (!err) err = make_folder(a->shared, diag);
    if (err || mkdir(path, 0700) == 0) return err;
    if (errno == EEXIST) return weir_fail(diag, WEIR_E_EXISTS, "%s is there already: a checkpoint id is used once", path);
    return weir_fail_errno(diag, errno, "make folder %s", path);
}

weir_err archive_complete(struct archive *a, const struct manifest *manifest, struct files_seal *seal, struct weir_diag *diag)
{
    char path[PATH_MAX];
    struct checkpoint *c = NULL;
    struct files_seal sealed;
    weir_err err = layout_checkpoint(a->dir, manifest->checkpoint_id, path, diag);
    if (!err) err = checkpoint_seal(path, manifest, &sealed, &c, diag);
    if (!err) err = count_checkpoint(a, c, diag);
    if (!err) *seal = sealed;
    checkpoint_close(&c);
    return err;
}

/* ---- deleting ------------------------------------------------------------------------------------------------------------------------ */

/* A file that is not there is deleted. *n counts the others. */
static weir_err delete_file(const char *dir, const char *name, uint64_t *n, struct weir_diag *diag)
{
    char path[PATH_MAX];
    weir_err err = layout_join(dir, name, path, diag);
    if (err) return err;
    if (unlink(path)) return errno == ENOENT ? WEIR_OK : weir_fail_errno(diag, errno, "remove %s", path);
    ++*n;
    return WEIR_OK;
}

static weir_err delete_checkpoint(const struct archive *a, uint64_t id, uint64_t *n, struct weir_diag *diag)
{
    char path[PATH_MAX];
    weir_err err = layout_checkpoint(a->dir, id, path, diag);
    if (err) return err;
    if (access(path, F_OK)) return errno == ENOENT ? WEIR_OK : weir_fail_errno(diag, errno, "look at %s", path);
    err = checkpoint_remove(path, diag);
    *n += !err;
    return err;
}

static void drop_name(uint64_t id, char out[static 32])
{
    (void)snprintf(out, 32, "drop-%" PRIu64, id);
}

/* Makes a deletion that stands in the journal, and takes it out. */
static weir_err make_deletion(const struct archive *a, const struct journal *j, uint64_t *n, struct weir_diag *diag)
{
    char name[CONTENT_NAME], drop[32];
    if (!knows_all(a)) return weir_fail(diag, WEIR_E_STATE, "%s: nothing is deleted while a retained checkpoint cannot be read", a->dir);
    weir_err err = delete_checkpoint(a, j->checkpoint_id, n, diag);
    for (uint32_t i = 0; i < j->n_files && !err; i++) {
        if (is_named(a, &j->files[i])) continue;
        err = delete_file(a->shared, content_name(j->files[i].hash, j->files[i].bytes, name), n, diag);
    }
    uint64_t journals = 0;
    drop_name(j->checkpoint_id, drop);
    return err ? err : delete_file(a->dir, drop, &journals, diag);
}

static weir_err write_journal(const struct archive *a, const struct journal *j, struct weir_diag *diag)
{
    char name[32];
    struct buffer bytes = {0};
    drop_name(j->checkpoint_id, name);
    weir_err err = journal_encode(j, &bytes, diag);
    if (!err) err = files_write(a->dir, name, bytes.data, bytes.len, diag);
    if (!err) err = files_sync_folder(a->dir, diag);
    buffer_close(&bytes);
    return err;
}

weir_err archive_drop(struct archive *a, uint64_t id, struct weir_diag *diag)
{
    uint64_t n = 0;
    struct kept *k = find_kept(a, id);
    if (!k || k->damaged) { /* what it names, if anything, is left to archive_clean */
        if (k) forget(a, k);
        return delete_checkpoint(a, id, &n, diag);
    }
    struct journal j = {.checkpoint_id = id, .files = calloc((size_t)k->n + 1, sizeof *j.files)};
    struct kept dropped = *k;
    k->files = NULL;
    forget(a, k);
    for (uint32_t i = 0; j.files && i < dropped.n; i++) {
        if (!is_named(a, &dropped.files[i])) j.files[j.n_files++] = dropped.files[i];
    }
    free(dropped.files);
    weir_err err = j.files ? write_journal(a, &j, diag) : weir_fail(diag, WEIR_E_NOMEM, "no memory to delete checkpoint %" PRIu64, id);
    if (!err) err = make_deletion(a, &j, &n, diag);
    free(j.files);
    return err;
}

/* ---- cleaning ------------------------------------------------------------------------------------------------------------------------ */

struct cleaning {
    struct archive *archive;
    uint64_t under_way;
    int64_t before_ms; /* what was touched since then is left */
    uint64_t deleted;
    weir_err err; /* the first */
    struct weir_diag *diag;
};

/* The first failure's sentence is kept; the rest goes on. */
static void note(struct cleaning *c, weir_err err, const struct weir_diag *diag)
{
    if (!err || c->err) return;
    c->err = err;
    if (c->diag) *c->diag = *diag;
}

static bool is_old(const struct cleaning *c, const char *dir, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    if (layout_join(dir, name, path, NULL) || stat(path, &st)) return false;
    return (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000 <= c->before_ms;
}

static void clean_file(struct cleaning *c, const char *dir, const char *name)
{
    struct weir_diag diag;
    if (is_old(c, dir, name)) note(c, delete_file(dir, name, &c->deleted, &diag), &diag);
}

static void replay(struct cleaning *c, const char *name)
{
    struct archive *a = c->archive;
    char path[PATH_MAX];
    struct weir_diag diag;
    struct buffer bytes = {0};
    struct journal j = {0};
    weir_err err = layout_join(a->dir, name, path, &diag);
    if (!err) err = files_read(path, JOURNAL_MAX, &bytes, &diag);
    if (!err) {
        err = journal_decode(&j, bytes.data, bytes.len, &diag);
        if (err) (void)weir_wrap(&diag, err, "%s", path);
    }
    if (!err && !find_kept(a, j.checkpoint_id)) err = make_deletion(a, &j, &c->deleted, &diag);
    note(c, err, &diag);
    journal_close(&j);
    buffer_close(&bytes);
}

/* An entry of the job's folder. */
static void clean_entry(struct cleaning *c, const char *name)
{
    struct archive *a = c->archive;
    struct weir_diag diag;
    uint64_t id;
    if (layout_number(name, "drop-", &id)) {
        replay(c, name);
    } else if (layout_number(name, "chk-", &id)) {
        if (id != c->under_way && !find_kept(a, id)) note(c, delete_checkpoint(a, id, &c->deleted, &diag), &diag);
    } else if (strncmp(name, LAYOUT_TEMPORARY, strlen(LAYOUT_TEMPORARY)) == 0) {
        clean_file(c, a->dir, name);
    }
}

/* An entry of the folder of shared files. What has no name of ours is left alone. */
static void clean_shared(struct cleaning *c, const char *name)
{
    struct archive *a = c->archive;
    struct journal_file file;
    if (strncmp(name, LAYOUT_TEMPORARY, strlen(LAYOUT_TEMPORARY)) == 0)
        clean_file(c, a->shared, name);
    else if (content_parse(name, &file.hash, &file.bytes) && knows_all(a) && !is_named(a, &file))
        clean_file(c, a->shared, name);
}

static void clean_folder(struct cleaning *c, const char *dir, void (*entry)(struct cleaning *, const char *))
{
    struct weir_diag diag;
    DIR *folder = opendir(dir);
    if (!folder) {
        note(c, weir_fail_errno(&diag, errno, "open folder %s", dir), &diag);
        return;
    }
    const struct dirent *e;
    while (errno = 0, (e = readdir(folder))) entry(c, e->d_name);
    if (errno) note(c, weir_fail_errno(&diag, errno, "read folder %s", dir), &diag);
    closedir(folder);
}

weir_err archive_clean(struct archive *a, uint64_t under_way, int64_t grace_ms, uint64_t *deleted, struct weir_diag *diag)
{
    struct cleaning c = {.archive = a, .under_way = under_way, .before_ms = clock_wall_ms() - grace_ms, .diag = diag};
    clean_folder(&c, a->dir, clean_entry);
    clean_folder(&c, a->shared, clean_shared);
    if (deleted) *deleted = c.deleted;
    return c.err;
}
