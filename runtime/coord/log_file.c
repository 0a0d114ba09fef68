/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/log_file.h"

#include <inttypes.h>
#include <stdlib.h>

#include "runtime/base/assert.h"

struct log_file {
    int folder;
    uint64_t generation, segment_bytes;
    struct zxid base;
    struct segment *segments; /* oldest first */
    uint32_t n, cap;
    struct buffer pending; /* records that end at the last segment's end, and are not written yet */
    bool failed;
};

static struct segment *newest(struct log_file *l)
{
    return l->n > 0 ? &l->segments[l->n - 1] : NULL;
}

struct zxid log_file_last(const struct log_file *l)
{
    return l->n > 0 ? l->segments[l->n - 1].last : l->base;
}

struct zxid log_file_floor(const struct log_file *l)
{
    return l->n > 0 ? l->segments[0].prev : l->base;
}

/* Remembers that the disk has failed. */
static weir_err note_failure(struct log_file *l, weir_err err)
{
    if (err) l->failed = true;
    return err;
}

static weir_err refuse_failed(struct weir_diag *diag)
{
    return weir_fail(diag, WEIR_E_IO, "the log has failed before: this process must end");
}

static weir_err reserve_segment(struct log_file *l, struct weir_diag *diag)
{
    if (l->n < l->cap) return WEIR_OK;
    uint32_t cap = l->cap ? 2 * l->cap : 16;
    struct segment *moved = realloc(l->segments, cap * sizeof *moved);
    if (!moved) return weir_fail(diag, WEIR_E_NOMEM, "no memory for %" PRIu32 " segments of the log", cap);
    l->segments = moved;
    l->cap = cap;
    return WEIR_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------------- */

struct opening {
    struct log_file *log;
    segment_visit *visit;
    void *arg;
    struct coord_name newest;
    bool found;
};

static weir_err find_newest(void *arg, struct coord_name name, struct weir_diag *diag)
{
    struct opening *o = arg;
    (void)diag;
    if (name.generation != o->log->generation) return WEIR_OK;
    o->newest = name;
    o->found = true;
    return WEIR_OK;
}

/* The first segment may begin anywhere at or behind the base (older ones were purged); each further one where the last has ended. */
static weir_err check_chain(const struct log_file *l, const struct segment *s, struct weir_diag *diag)
{
    char name[COORD_NAME_BYTES];
    struct zxid before = log_file_last(l);
    if (l->n == 0 ? zxid_cmp(s->prev, l->base) >= 0 : zxid_eq(s->prev, before)) return WEIR_OK;
    segment_name(s, name);
    return weir_fail(diag, WEIR_E_CORRUPT,
                     "%s begins behind entry %" PRIu64 ".%" PRIu64 ", but the log before it ends with %" PRIu64 ".%" PRIu64
                     ": a segment or its end is missing; take this peer's folder away and let it fetch a snapshot from the others",
                     name, s->prev.epoch, s->prev.counter, before.epoch, before.counter);
}

static weir_err open_one(void *arg, struct coord_name name, struct weir_diag *diag)
{
    struct opening *o = arg;
    struct log_file *l = o->log;
    if (name.generation != l->generation) return WEIR_OK;
    bool last = zxid_eq(name.zxid, o->newest.zxid), empty;
    struct segment s;
    weir_err err = reserve_segment(l, diag);
    if (!err) err = segment_open(&s, l->folder, name, last, &empty, diag);
    if (err) return err;
    if (empty) { /* it was being made when the power went */
        char text[COORD_NAME_BYTES];
        coord_name_text(text, SEGMENT_KIND, name);
        return file_remove(l->folder, text, diag);
    }
    err = check_chain(l, &s, diag);
    if (!err) err = segment_scan(&s, last, o->visit, o->arg, diag);
    if (err)
        segment_close(&s);
    else
        l->segments[l->n++] = s;
    return err;
}

weir_err log_file_open(struct log_file **out, int folder, uint64_t generation, struct zxid base, uint64_t segment_bytes,
                       segment_visit *visit, void *arg, struct weir_diag *diag)
{
    struct log_file *l = calloc(1, sizeof *l);
    if (!l) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the log");
    *l = (struct log_file){.folder = folder, .generation = generation, .base = base, .segment_bytes = segment_bytes};
    struct opening o = {.log = l, .visit = visit, .arg = arg};
    weir_err err = file_list(folder, SEGMENT_KIND, find_newest, &o, diag);
    if (!err) err = file_list(folder, SEGMENT_KIND, open_one, &o, diag);
    if (err)
        log_file_close(&l);
    else
        *out = l;
    return err;
}

void log_file_close(struct log_file **log)
{
    struct log_file *l = *log;
    if (!l) return;
    for (uint32_t i = 0; i < l->n; i++) segment_close(&l->segments[i]);
    free(l->segments);
    buffer_close(&l->pending);
    free(l);
    *log = NULL;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------------- */

static weir_err write_pending(struct log_file *l, struct weir_diag *diag)
{
    struct segment *s = newest(l);
    char name[COORD_NAME_BYTES];
    if (l->pending.len == 0) return WEIR_OK;
    segment_name(s, name);
    weir_err err = file_write(s->fd, l->pending.data, l->pending.len, (off_t)(s->end - l->pending.len), name, diag);
    buffer_clear(&l->pending);
    return note_failure(l, err);
}

weir_err log_file_sync(struct log_file *l, struct weir_diag *diag)
{
    struct segment *s = newest(l);
    char name[COORD_NAME_BYTES];
    if (l->failed) return refuse_failed(diag);
    if (!s || s->durable == s->end) return WEIR_OK;
    segment_name(s, name);
    weir_err err = write_pending(l, diag);
    if (!err) err = note_failure(l, file_sync(s->fd, name, diag));
    if (!err) s->durable = s->end;
    return err;
}

/* Begins a segment whose first entry is `entry`. */
static weir_err begin_segment(struct log_file *l, const struct zab_entry *entry, struct weir_diag *diag)
{
    struct coord_name name = {.generation = l->generation, .zxid = entry->zxid};
    struct zxid prev = log_file_last(l);
    weir_err err = log_file_sync(l, diag);
    if (!err && l->n > 0) err = note_failure(l, segment_seal(newest(l), diag));
    if (!err) err = reserve_segment(l, diag);
    if (!err) err = note_failure(l, segment_create(&l->segments[l->n], l->folder, name, prev, l->segment_bytes, diag));
    if (!err) l->n++;
    return err;
}

weir_err log_file_append(struct log_file *l, const struct zab_entry *entry, struct weir_diag *diag)
{
    uint64_t size = log_record_size(entry->bytes.length);
    if (l->failed) return refuse_failed(diag);
    WEIR_ASSERT(zxid_eq(entry->prev, log_file_last(l)));
    WEIR_ASSERT(zxid_follows(entry->zxid, entry->prev));
    struct segment *s = newest(l);
    weir_err err = WEIR_OK;
    if (!s || (s->end > SEGMENT_HEAD_BYTES && s->end + size > l->segment_bytes)) err = begin_segment(l, entry, diag);
    if (err) return err;
    s = newest(l);
    put_log_record(&l->pending, entry, s->durable);
    if (l->pending.err) return note_failure(l, weir_fail(diag, WEIR_E_NOMEM, "no memory for an entry of the log"));
    err = note_failure(l, segment_note(s, entry, size, diag));
    return err || l->pending.len < LOG_PENDING_MAX ? err : write_pending(l, diag);
}

/* ---- cutting at both ends ------------------------------------------------------------------------------------------------------- */

static weir_err remove_segment(struct log_file *l, uint32_t i, struct weir_diag *diag)
{
    char name[COORD_NAME_BYTES];
    segment_name(&l->segments[i], name);
    segment_close(&l->segments[i]);
    l->n--;
    memmove(&l->segments[i], &l->segments[i + 1], (l->n - i) * sizeof *l->segments);
    return note_failure(l, file_remove(l->folder, name, diag));
}

/* The first segment stays, if only with its head: it says behind what the log begins. */
weir_err log_file_truncate(struct log_file *l, struct zxid to, struct weir_diag *diag)
{
    WEIR_ASSERT(zxid_cmp(to, log_file_floor(l)) >= 0);
    weir_err err = log_file_sync(l, diag);
    while (!err && l->n > 1 && zxid_cmp(newest(l)->prev, to) >= 0) err = remove_segment(l, l->n - 1, diag); /* the newest first: no gap */
    if (!err) err = note_failure(l, file_sync_folder(l->folder, diag));
    if (!err && l->n > 0 && zxid_cmp(newest(l)->last, to) > 0) err = note_failure(l, segment_cut(newest(l), to, l->segment_bytes, diag));
    WEIR_ASSERT(err || zxid_eq(log_file_last(l), to));
    return err;
}

weir_err log_file_purge(struct log_file *l, struct zxid to, struct weir_diag *diag)
{
    weir_err err = l->failed ? refuse_failed(diag) : WEIR_OK;
    while (!err && l->n > 1 && zxid_cmp(l->segments[0].last, to) <= 0) err = remove_segment(l, 0, diag); /* the oldest first */
    return err;
}

weir_err log_file_read(struct log_file *l, struct zxid after, segment_visit *visit, void *arg, struct weir_diag *diag)
{
    if (l->failed) return refuse_failed(diag);
    if (zxid_cmp(after, log_file_floor(l)) < 0)
        return weir_fail(diag, WEIR_E_NOT_FOUND, "the log begins behind entry %" PRIu64 ".%" PRIu64, log_file_floor(l).epoch,
                         log_file_floor(l).counter);
    weir_err err = write_pending(l, diag);
    for (uint32_t i = 0; !err && i < l->n; i++)
        if (zxid_cmp(l->segments[i].last, after) > 0) err = segment_read(&l->segments[i], after, visit, arg, diag);
    return err;
}
