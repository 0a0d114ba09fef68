/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper of state, as runtime/state/rocks.h has it, in memory: sorted files are read into a sorted array when they are ingested.
 * RocksDB takes milliseconds to open and runs threads of its own; state that fits in memory asks it for little, at a restore.
 *
 * A file is a sequence of entries: their kind, the lengths of two parts, the parts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/buffer.h"
#include "runtime/state/rocks.h"

enum entry_kind { ENTRY_PUT, ENTRY_DELETE, ENTRY_DELETE_RANGE };

struct entry_head {
    uint32_t kind, key_length, length; /* a range: from as key, to as value */
};

/* ---- what databases share, and databases: names only ----------------------------------------------------------------------------- */

struct rocks_shared {
    char nothing;
};

struct rocks {
    char nothing;
};

weir_err rocks_shared_new(struct rocks_shared **out, uint64_t cache_bytes, uint32_t n_threads, struct weir_diag *diag)
{
    (void)cache_bytes, (void)n_threads, (void)diag;
    *out = calloc(1, sizeof **out);
    return *out ? WEIR_OK : WEIR_E_NOMEM;
}

void rocks_shared_destroy(struct rocks_shared **shared)
{
    free(*shared);
    *shared = NULL;
}

weir_err rocks_open(struct rocks **out, struct rocks_shared *shared, const char *dir, struct weir_diag *diag)
{
    (void)shared, (void)dir, (void)diag;
    *out = calloc(1, sizeof **out);
    return *out ? WEIR_OK : WEIR_E_NOMEM;
}

void rocks_destroy(struct rocks **r)
{
    free(*r);
    *r = NULL;
}

weir_err rocks_health(struct rocks *r, struct weir_diag *diag)
{
    (void)r, (void)diag;
    return WEIR_OK;
}

void rocks_stats(struct rocks *r, struct rocks_stats *out)
{
    (void)r;
    *out = (struct rocks_stats){0};
}

/* ---- families -------------------------------------------------------------------------------------------------------------------- */

struct row {
    struct weir_bytes key, value; /* in one piece, the key's */
};

struct rocks_family {
    struct row *rows;
    uint32_t n, cap;
};

static int compare(struct weir_bytes a, struct weir_bytes b)
{
    uint32_t least = a.length < b.length ? a.length : b.length;
    int order = least ? memcmp(a.data, b.data, least) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* The first row whose key is not below. */
static uint32_t place_of(const struct rocks_family *f, struct weir_bytes key)
{
    uint32_t low = 0, high = f->n;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (compare(f->rows[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void remove_rows(struct rocks_family *f, uint32_t from, uint32_t to)
{
    if (from == to) return;
    for (uint32_t i = from; i < to; i++) free((void *)(uintptr_t)f->rows[i].key.data);
    memmove(f->rows + from, f->rows + to, (f->n - to) * sizeof *f->rows);
    f->n -= to - from;
}

static void put(struct rocks_family *f, struct weir_bytes key, struct weir_bytes value)
{
    uint32_t at = place_of(f, key);
    if (at < f->n && compare(f->rows[at].key, key) == 0) remove_rows(f, at, at + 1);
    if (f->n == f->cap) {
        f->cap = 2 * f->cap + 16;
        f->rows = realloc(f->rows, f->cap * sizeof *f->rows);
    }
    unsigned char *copy = malloc(key.length + value.length + 1u);
    WEIR_ASSERT(f->rows && copy);
    if (key.length) memcpy(copy, key.data, key.length);
    if (value.length) memcpy(copy + key.length, value.data, value.length);
    memmove(f->rows + at + 1, f->rows + at, (f->n++ - at) * sizeof *f->rows);
    f->rows[at] = (struct row){{copy, key.length}, {copy + key.length, value.length}};
}

weir_err rocks_family_new(struct rocks *r, const char *name, const struct rocks_family_options *options, struct rocks_family **out,
                          struct weir_diag *diag)
{
    (void)r, (void)name, (void)options, (void)diag;
    *out = calloc(1, sizeof **out);
    return *out ? WEIR_OK : WEIR_E_NOMEM;
}

void rocks_family_destroy(struct rocks_family **family)
{
    struct rocks_family *f = *family;
    if (!f) return;
    remove_rows(f, 0, f->n);
    free(f->rows);
    free(f);
    *family = NULL;
}

uint64_t rocks_level0_files(const struct rocks_family *family)
{
    (void)family;
    return 0;
}

weir_err rocks_get(struct rocks_family *family, const void *key, size_t length, struct rocks_value *out, struct weir_diag *diag)
{
    struct weir_bytes wanted = {key, (uint32_t)length};
    uint32_t at = place_of(family, wanted);
    (void)diag;
    *out = (struct rocks_value){0};
    if (at == family->n || compare(family->rows[at].key, wanted) != 0) return WEIR_OK;
    struct weir_bytes found = family->rows[at].value;
    out->pin = malloc(found.length + 1u);
    if (!out->pin) return WEIR_E_NOMEM;
    memcpy(out->pin, found.data, found.length);
    out->data = out->pin;
    out->length = found.length;
    return WEIR_OK;
}

weir_err rocks_multi_get(struct rocks_family *family, uint32_t n, const struct weir_bytes *keys, struct rocks_value *out,
                         struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < n && !err; i++) err = rocks_get(family, keys[i].data, keys[i].length, &out[i], diag);
    return err;
}

void rocks_value_release(struct rocks_value *value)
{
    free(value->pin);
    *value = (struct rocks_value){0};
}

/* ---- files ----------------------------------------------------------------------------------------------------------------------- */

struct rocks_writer {
    int fd;
    uint32_t n;
    struct buffer bytes;
};

weir_err rocks_writer_new(struct rocks_writer **out, struct rocks_shared *shared, const char *path, struct weir_diag *diag)
{
    (void)shared;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return weir_fail_errno(diag, errno, "write %s", path);
    struct rocks_writer *w = calloc(1, sizeof *w);
    WEIR_ASSERT(w);
    w->fd = fd;
    buffer_init(&w->bytes, 0);
    *out = w;
    return WEIR_OK;
}

static weir_err add(struct rocks_writer *w, enum entry_kind kind, struct weir_bytes key, struct weir_bytes value)
{
    const struct entry_head head = {kind, key.length, value.length};
    buffer_add(&w->bytes, &head, sizeof head);
    if (key.length) buffer_add(&w->bytes, key.data, key.length);
    if (value.length) buffer_add(&w->bytes, value.data, value.length);
    w->n++;
    return w->bytes.err;
}

weir_err rocks_writer_put(struct rocks_writer *w, const void *key, size_t key_length, const void *value, size_t length,
                          struct weir_diag *diag)
{
    (void)diag;
    return add(w, ENTRY_PUT, (struct weir_bytes){key, (uint32_t)key_length}, (struct weir_bytes){value, (uint32_t)length});
}

weir_err rocks_writer_delete(struct rocks_writer *w, const void *key, size_t key_length, struct weir_diag *diag)
{
    (void)diag;
    return add(w, ENTRY_DELETE, (struct weir_bytes){key, (uint32_t)key_length}, (struct weir_bytes){0});
}

weir_err rocks_writer_delete_range(struct rocks_writer *w, struct weir_bytes from, struct weir_bytes to, struct weir_diag *diag)
{
    (void)diag;
    return add(w, ENTRY_DELETE_RANGE, from, to);
}

uint64_t rocks_writer_size(const struct rocks_writer *w)
{
    return w->bytes.len;
}

weir_err rocks_writer_finish(struct rocks_writer *w, struct weir_diag *diag)
{
    if (w->n == 0) return weir_fail(diag, WEIR_E_ARGUMENT, "a file without entries");
    ssize_t n = write(w->fd, w->bytes.data, w->bytes.len);
    return n == (ssize_t)w->bytes.len ? WEIR_OK : weir_fail_errno(diag, n < 0 ? errno : ENOSPC, "write a file of state");
}

void rocks_writer_destroy(struct rocks_writer **writer)
{
    struct rocks_writer *w = *writer;
    if (!w) return;
    (void)close(w->fd);
    buffer_close(&w->bytes);
    free(w);
    *writer = NULL;
}

/* Ranges, or all else: what the file itself holds is not in its ranges. */
static void apply(struct rocks_family *f, const unsigned char *data, size_t len, bool ranges)
{
    for (size_t at = 0; at < len;) {
        struct entry_head head;
        memcpy(&head, data + at, sizeof head);
        struct weir_bytes key = {data + at + sizeof head, head.key_length},
                          value = {data + at + sizeof head + head.key_length, head.length};
        at += sizeof head + head.key_length + head.length;
        uint32_t from = place_of(f, key);
        if (ranges != (head.kind == ENTRY_DELETE_RANGE)) continue;
        if (head.kind == ENTRY_DELETE_RANGE) remove_rows(f, from, place_of(f, value));
        if (head.kind == ENTRY_DELETE && from < f->n && compare(f->rows[from].key, key) == 0) remove_rows(f, from, from + 1);
        if (head.kind == ENTRY_PUT) put(f, key, value);
    }
}

static weir_err ingest(struct rocks_family *family, const char *path, struct weir_diag *diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return weir_fail_errno(diag, errno, "read %s", path);
    off_t len = lseek(fd, 0, SEEK_END);
    unsigned char *data = malloc((size_t)len + 1);
    WEIR_ASSERT(data && len >= 0);
    ssize_t n = pread(fd, data, (size_t)len, 0);
    (void)close(fd);
    WEIR_ASSERT(n == len);
    apply(family, data, (size_t)len, true);
    apply(family, data, (size_t)len, false);
    free(data);
    (void)unlink(path);
    return WEIR_OK;
}

weir_err rocks_ingest_all(struct rocks_family *family, const char *const *paths, uint32_t n, uint32_t flags, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    (void)flags;
    for (uint32_t i = 0; i < n && !err; i++) err = ingest(family, paths[i], diag);
    return err;
}

/* ---- cursors: a copy ------------------------------------------------------------------------------------------------------------- */

struct rocks_cursor {
    struct rocks_family view;
    uint32_t next;   /* row that rocks_cursor_next gives */
    uint32_t behind; /* row behind the one that rocks_cursor_last gives */
};

weir_err rocks_cursor_new(struct rocks_family *family, struct weir_bytes from, struct weir_bytes to, uint32_t flags,
                          struct rocks_cursor **out, struct weir_diag *diag)
{
    (void)flags, (void)diag;
    struct rocks_cursor *c = calloc(1, sizeof *c);
    WEIR_ASSERT(c);
    uint32_t end = to.length ? place_of(family, to) : family->n;
    for (uint32_t i = place_of(family, from); i < end; i++) put(&c->view, family->rows[i].key, family->rows[i].value);
    c->behind = c->view.n;
    *out = c;
    return WEIR_OK;
}

void rocks_cursor_destroy(struct rocks_cursor **cursor)
{
    struct rocks_cursor *c = *cursor;
    if (!c) return;
    remove_rows(&c->view, 0, c->view.n);
    free(c->view.rows);
    free(c);
    *cursor = NULL;
}

void rocks_cursor_seek(struct rocks_cursor *c, struct weir_bytes key)
{
    c->next = place_of(&c->view, key);
    c->behind = c->view.n;
}

static weir_err give(const struct rocks_cursor *c, uint32_t i, struct weir_bytes *key, struct weir_bytes *value)
{
    *key = c->view.rows[i].key;
    *value = c->view.rows[i].value;
    return WEIR_OK;
}

weir_err rocks_cursor_next(struct rocks_cursor *c, bool *more, struct weir_bytes *key, struct weir_bytes *value, struct weir_diag *diag)
{
    (void)diag;
    *more = c->next < c->view.n;
    return *more ? give(c, c->next++, key, value) : WEIR_OK;
}

weir_err rocks_cursor_last(struct rocks_cursor *c, bool *more, struct weir_bytes *key, struct weir_bytes *value, struct weir_diag *diag)
{
    (void)diag;
    *more = c->behind > 0;
    return *more ? give(c, --c->behind, key, value) : WEIR_OK;
}
