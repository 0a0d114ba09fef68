/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/hash.h"

#define MAGIC 0x474f4c57u /* "WLOG" */
#define VERSION 1u

void segment_name(const struct segment *s, char out[static COORD_NAME_BYTES])
{
    coord_name_text(out, SEGMENT_KIND, s->name);
}

void segment_close(struct segment *s)
{
    if (s->fd >= 0) close(s->fd);
    free(s->marks);
    *s = (struct segment){.fd = -1};
}

static weir_err refuse_io(const struct segment *s, const char *what, struct weir_diag *diag)
{
    char name[COORD_NAME_BYTES];
    segment_name(s, name);
    weir_fail_errno(diag, errno, "%s %s", what, name);
    if (diag) diag->code = WEIR_E_IO;
    return WEIR_E_IO;
}

/* ---- making -------------------------------------------------------------------------------------------------------------------- */

static void put_head(struct buffer *b, const struct segment *s)
{
    static const uint8_t zero[SEGMENT_HEAD_BYTES];
    put_u32(b, MAGIC);
    put_u32(b, VERSION);
    put_u64(b, s->name.generation);
    put_zxid(b, s->name.zxid);
    put_zxid(b, s->prev);
    buffer_add(b, zero, SEGMENT_HEAD_BYTES - 4 - b->len);
    put_u32(b, b->err ? 0 : crc32c(0, b->data, SEGMENT_HEAD_BYTES - 4));
}

/* Zeros up to `bytes`, where the file system can: so that an append changes no metadata. */
static weir_err preallocate(struct segment *s, uint64_t bytes, struct weir_diag *diag)
{
    if (bytes <= s->end) return WEIR_OK;
    if (fallocate(s->fd, 0, 0, (off_t)bytes)) {
        if (errno == EOPNOTSUPP || errno == ENOSYS) return WEIR_OK;
        return refuse_io(s, "preallocate", diag);
    }
    s->allocated = bytes;
    return WEIR_OK;
}

static weir_err begin_file(struct segment *s, uint64_t bytes, struct weir_diag *diag)
{
    char name[COORD_NAME_BYTES];
    struct buffer head = {0};
    segment_name(s, name);
    put_head(&head, s);
    weir_err err = head.err ? weir_fail(diag, WEIR_E_NOMEM, "no memory for %s", name) : preallocate(s, bytes, diag);
    if (!err) err = file_write(s->fd, head.data, head.len, 0, name, diag);
    if (!err && fsync(s->fd)) err = refuse_io(s, "make durable", diag);
    buffer_close(&head);
    return err;
}

weir_err segment_create(struct segment *s, int folder, struct coord_name name, struct zxid prev, uint64_t bytes, struct weir_diag *diag)
{
    char text[COORD_NAME_BYTES];
    *s = (struct segment){.name = name, .prev = prev, .last = prev, .end = SEGMENT_HEAD_BYTES, .durable = SEGMENT_HEAD_BYTES};
    segment_name(s, text);
    s->fd = openat(folder, text, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (s->fd < 0) return refuse_io(s, "create", diag);
    weir_err err = begin_file(s, bytes, diag);
    if (!err && fsync(folder)) err = refuse_io(s, "make durable the folder of", diag);
    if (err) segment_close(s);
    return err;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------- */

/* Bytes of a file, read into memory. */
struct view {
    uint8_t *bytes;
    uint64_t size;
};

static weir_err load(const struct segment *s, uint64_t from, uint64_t to, struct view *v, struct weir_diag *diag)
{
    char name[COORD_NAME_BYTES];
    size_t got;
    segment_name(s, name);
    v->bytes = malloc(to > from ? to - from : 1);
    if (!v->bytes) return weir_fail(diag, WEIR_E_NOMEM, "no memory to read %s", name);
    weir_err err = file_read(s->fd, v->bytes, to - from, (off_t)from, &got, name, diag);
    v->size = got;
    return err;
}

static weir_err load_all(const struct segment *s, struct view *v, struct weir_diag *diag)
{
    char name[COORD_NAME_BYTES];
    uint64_t size;
    segment_name(s, name);
    weir_err err = file_size(s->fd, &size, name, diag);
    return err ? err : load(s, 0, size, v, diag);
}

static void unload(struct view *v)
{
    free(v->bytes);
    *v = (struct view){0};
}

static bool record_at(const struct view *v, uint64_t at, struct log_record *out)
{
    return at < v->size && read_log_record(v->bytes + at, v->size - at, out);
}

/* A record behind the bad place `at`, whatever it says; 0: none. */
static uint64_t good_record_behind(const struct view *v, uint64_t at, struct log_record *out)
{
    for (uint64_t i = (at + 8) & ~7ull; i + RECORD_HEAD_BYTES <= v->size; i += 8)
        if (record_at(v, i, out)) return i;
    return 0;
}

static weir_err damaged(const struct segment *s, uint64_t at, uint64_t proof, struct weir_diag *diag)
{
    char name[COORD_NAME_BYTES];
    segment_name(s, name);
    return weir_fail(diag, WEIR_E_CORRUPT,
                     "%s: the record at byte %" PRIu64 ", behind entry %" PRIu64 ".%" PRIu64 ", is damaged, and the one at byte %" PRIu64
                     " proves that it was durable; take this peer's folder away and let it fetch a snapshot from the others",
                     name, at, s->last.epoch, s->last.counter, proof);
}

/* Is the bad place a torn tail, or something that was durable once? */
static weir_err judge(const struct segment *s, const struct view *v, uint64_t at, struct weir_diag *diag)
{
    struct log_record rec;
    for (uint64_t i = good_record_behind(v, at, &rec); i > 0; i = good_record_behind(v, i, &rec))
        if (rec.durable > at) return damaged(s, at, i, diag);
    return WEIR_OK;
}

static bool read_head(struct segment *s, const struct view *v)
{
    struct reader r, crc;
    if (v->size < SEGMENT_HEAD_BYTES) return false;
    reader_init(&crc, v->bytes + SEGMENT_HEAD_BYTES - 4, 4);
    if (read_u32(&crc) != crc32c(0, v->bytes, SEGMENT_HEAD_BYTES - 4)) return false;
    reader_init(&r, v->bytes, SEGMENT_HEAD_BYTES);
    if (read_u32(&r) != MAGIC || read_u32(&r) != VERSION || read_u64(&r) != s->name.generation) return false;
    struct zxid first = read_zxid(&r);
    s->prev = s->last = read_zxid(&r);
    return zxid_eq(first, s->name.zxid);
}

weir_err segment_note(struct segment *s, const struct zab_entry *entry, uint64_t size, struct weir_diag *diag)
{
    if (s->n_marks == 0 || s->end - s->marks[s->n_marks - 1].at >= SEGMENT_MARK_BYTES) {
        if (s->n_marks == s->cap_marks) {
            uint32_t cap = s->cap_marks ? 2 * s->cap_marks : 16;
            struct segment_mark *moved = realloc(s->marks, cap * sizeof *moved);
            if (!moved) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the index of the log");
            s->marks = moved;
            s->cap_marks = cap;
        }
        s->marks[s->n_marks++] = (struct segment_mark){s->last, s->end};
    }
    s->last = entry->zxid;
    s->end += size;
    return WEIR_OK;
}

static weir_err gap(const struct segment *s, const struct zab_entry *entry, struct weir_diag *diag)
{
    char name[COORD_NAME_BYTES];
    segment_name(s, name);
    return weir_fail(diag, WEIR_E_CORRUPT,
                     "%s: entry %" PRIu64 ".%" PRIu64 " stands behind %" PRIu64 ".%" PRIu64 ": entries between are missing", name,
                     entry->zxid.epoch, entry->zxid.counter, s->last.epoch, s->last.counter);
}

static weir_err visit_all(struct segment *s, const struct view *v, segment_visit *visit, void *arg, struct weir_diag *diag)
{
    struct log_record rec;
    weir_err err = WEIR_OK;
    for (s->end = SEGMENT_HEAD_BYTES; !err && record_at(v, s->end, &rec);) {
        if (!zxid_eq(rec.entry.prev, s->last) || !zxid_follows(rec.entry.zxid, s->last)) return gap(s, &rec.entry, diag);
        err = visit(arg, &rec.entry, diag);
        if (!err) err = segment_note(s, &rec.entry, rec.size, diag);
    }
    return err;
}

static bool only_zeros(const struct view *v, uint64_t from)
{
    for (uint64_t i = from; i < v->size; i++)
        if (v->bytes[i]) return false;
    return true;
}

static weir_err look_through(struct segment *s, const struct view *v, bool last, bool *cut, segment_visit *visit, void *arg,
                             struct weir_diag *diag)
{
    weir_err err = visit_all(s, v, visit, arg, diag);
    if (err) return err;
    *cut = !only_zeros(v, s->end);
    if (!*cut) return WEIR_OK;
    return last ? judge(s, v, s->end, diag) : damaged(s, s->end, v->size, diag);
}

/* What lies behind the end goes, and zeros take its place. */
static weir_err drop_tail(struct segment *s, uint64_t bytes, struct weir_diag *diag)
{
    if (ftruncate(s->fd, (off_t)s->end)) return refuse_io(s, "cut", diag);
    s->allocated = s->end;
    weir_err err = preallocate(s, bytes, diag);
    if (!err && fsync(s->fd)) err = refuse_io(s, "make durable", diag);
    return err;
}

static weir_err no_head(const struct segment *s, bool last, bool *empty, struct weir_diag *diag)
{
    struct log_record rec;
    struct view v = {0};
    char name[COORD_NAME_BYTES];
    segment_name(s, name);
    weir_err err = load_all(s, &v, diag);
    *empty = !err && last && !good_record_behind(&v, SEGMENT_HEAD_BYTES - 8, &rec);
    unload(&v);
    return err || *empty ? err : weir_fail(diag, WEIR_E_CORRUPT, "%s: its head is damaged", name);
}

weir_err segment_open(struct segment *s, int folder, struct coord_name name, bool last, bool *empty, struct weir_diag *diag)
{
    char text[COORD_NAME_BYTES];
    struct view head = {0};
    *empty = false;
    *s = (struct segment){.name = name};
    segment_name(s, text);
    s->fd = openat(folder, text, O_RDWR | O_CLOEXEC);
    if (s->fd < 0) return refuse_io(s, "open", diag);
    weir_err err = load(s, 0, SEGMENT_HEAD_BYTES, &head, diag);
    if (!err && !read_head(s, &head)) err = no_head(s, last, empty, diag);
    unload(&head);
    if (err || *empty) segment_close(s);
    return err;
}

weir_err segment_scan(struct segment *s, bool last, segment_visit *visit, void *arg, struct weir_diag *diag)
{
    struct view v = {0};
    bool cut = false;
    weir_err err = load_all(s, &v, diag);
    if (!err) err = look_through(s, &v, last, &cut, visit, arg, diag);
    s->allocated = v.size;
    s->durable = s->end;
    if (!err && cut) err = drop_tail(s, v.size, diag);
    unload(&v);
    return err;
}

/* ---- reading and cutting ------------------------------------------------------------------------------------------------------- */

/* Where to begin to find what is behind `after`. */
static uint64_t start_for(const struct segment *s, struct zxid after)
{
    uint64_t at = SEGMENT_HEAD_BYTES;
    for (uint32_t i = 0; i < s->n_marks && zxid_cmp(s->marks[i].after, after) <= 0; i++) at = s->marks[i].at;
    return at;
}

/* Bytes read at a time; each time at least one record is whole in them. */
#define WINDOW_BYTES (RECORD_ENTRY_MAX + (1u << 20))

/* Visits what is whole in the bytes from *at on, and moves *at behind it. */
static weir_err visit_window(const struct segment *s, uint64_t *at, struct zxid after, segment_visit *visit, void *arg,
                             struct weir_diag *diag)
{
    struct view v = {0};
    struct log_record rec;
    uint64_t from = *at, to = s->end - from > WINDOW_BYTES ? from + WINDOW_BYTES : s->end;
    weir_err err = load(s, from, to, &v, diag);
    while (!err && record_at(&v, *at - from, &rec)) {
        if (zxid_cmp(rec.entry.zxid, after) > 0) err = visit(arg, &rec.entry, diag);
        *at += rec.size;
    }
    unload(&v);
    return !err && *at == from ? damaged(s, from, s->end, diag) : err;
}

weir_err segment_read(const struct segment *s, struct zxid after, segment_visit *visit, void *arg, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    uint64_t at = start_for(s, after);
    while (!err && at < s->end) err = visit_window(s, &at, after, visit, arg, diag);
    return err;
}

weir_err segment_cut(struct segment *s, struct zxid to, uint64_t bytes, struct weir_diag *diag)
{
    struct view v = {0};
    struct log_record rec;
    uint64_t at = SEGMENT_HEAD_BYTES;
    weir_err err = load_all(s, &v, diag);
    s->last = s->prev;
    while (!err && at < s->end && record_at(&v, at, &rec) && zxid_cmp(rec.entry.zxid, to) <= 0) {
        at += rec.size;
        s->last = rec.entry.zxid;
    }
    unload(&v);
    if (err) return err;
    while (s->n_marks > 0 && s->marks[s->n_marks - 1].at >= at) s->n_marks--;
    s->end = at;
    err = drop_tail(s, bytes, diag);
    s->durable = s->end;
    return err;
}

weir_err segment_seal(struct segment *s, struct weir_diag *diag)
{
    if (ftruncate(s->fd, (off_t)s->end)) return refuse_io(s, "end", diag);
    s->allocated = s->end;
    return fsync(s->fd) ? refuse_io(s, "make durable", diag) : WEIR_OK;
}
