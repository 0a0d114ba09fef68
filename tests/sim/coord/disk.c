/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk: writes in order, each known as seen or as durable. A crash keeps a prefix of what was not durable; the record that was being
 * written is torn, and the driver's reader cuts it off, so it counts as not written.
 */
#include "tests/sim/coord/ensemble.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

static void set_members(struct ens_snapshot *s, const struct zab_members *m)
{
    struct buffer b = {0};
    members_encode(m, &b);
    WEIR_ASSERT(b.len <= sizeof s->members);
    memcpy(s->members, b.data, b.len);
    s->n_members = (uint32_t)b.len;
    buffer_close(&b);
}

void disk_begin(struct ens_disk *d, const struct zab_members *initial)
{
    *d = (struct ens_disk){0};
    set_members(&d->seen.snapshot, initial);
    set_members(&d->durable.snapshot, initial);
}

void disk_close(struct ens_disk *d)
{
    free(d->seen.log);
    free(d->durable.log);
    free(d->writes);
}

/* ---- images ---- */

static void image_append(struct ens_image *image, const struct zab_entry *entry)
{
    if (image->n == image->cap) {
        image->cap = image->cap ? 2 * image->cap : 64;
        image->log = realloc(image->log, image->cap * sizeof *image->log);
        WEIR_ASSERT(image->log);
    }
    image->log[image->n++] = *entry;
}

static void image_truncate(struct ens_image *image, struct zxid to)
{
    while (image->n && zxid_cmp(image->log[image->n - 1].zxid, to) > 0) image->n--;
}

static void image_apply(struct ens_image *image, const struct ens_write *w)
{
    switch (w->type) {
    case ZAB_DO_APPEND: image_append(image, &w->entry); return;
    case ZAB_DO_TRUNCATE: image_truncate(image, w->zxid); return;
    case ZAB_DO_SET_EPOCHS:
        image->accepted = w->accepted;
        image->current = w->current;
        return;
    case ZAB_DO_INSTALL:
        if (!w->snapshot) return;
        image->snapshot = *w->snapshot;
        image->floor = w->snapshot->zxid;
        image->n = 0;
        return;
    default: return;
    }
}

static void image_copy(struct ens_image *to, const struct ens_image *from)
{
    struct zab_entry *log = to->log;
    uint32_t cap = to->cap;
    *to = *from;
    to->log = log;
    to->cap = cap;
    to->n = 0;
    for (uint32_t i = 0; i < from->n; i++) image_append(to, &from->log[i]);
}

static void image_drop_before(struct ens_image *image, struct zxid floor)
{
    uint32_t n = 0;
    while (n < image->n && zxid_cmp(image->log[n].zxid, floor) <= 0) n++;
    image->n -= n;
    if (n) memmove(image->log, image->log + n, image->n * sizeof *image->log);
    image->floor = floor;
}

/* ---- writing ---- */

static struct ens_snapshot *take_piece(struct ens *e, struct ens_disk *d, const struct zab_action *a)
{
    if (a->install.offset == 0) {
        d->filled = 0;
        d->arriving = (struct ens_snapshot){.zxid = a->zxid, .n_members = a->install.members.length};
        memcpy(d->arriving.members, a->install.members.data, a->install.members.length);
    }
    if (a->install.offset != d->filled || !zxid_eq(a->zxid, d->arriving.zxid)) ens_violate(e, "a snapshot in pieces that do not fit");
    WEIR_ASSERT(d->filled + a->install.bytes.length <= ENS_SNAPSHOT_BYTES);
    memcpy(d->incoming + d->filled, a->install.bytes.data, a->install.bytes.length);
    d->filled += a->install.bytes.length;
    if (!a->install.last) return NULL;
    if (d->filled != ENS_SNAPSHOT_BYTES) ens_violate(e, "a snapshot without its end");
    memcpy(&d->arriving.place, d->incoming, sizeof d->arriving.place);
    return ens_keep(e, &d->arriving, sizeof d->arriving);
}

static void begin_fsync(struct ens *e, struct ens_peer *p)
{
    struct ens_disk *d = &p->disk;
    if (d->syncing || d->n == 0) return;
    d->syncing = d->writes[d->n - 1].ticket;
    ens_push(e, (struct ens_event){.kind = ENS_EV_FSYNC, .peer = p->id, .life = p->life}, e->now_ms + ens_delay(e, (uint32_t)p->fsync_ms));
}

void disk_write(struct ens *e, struct ens_peer *p, const struct zab_action *a)
{
    struct ens_disk *d = &p->disk;
    struct ens_write w = {.ticket = a->ticket, .type = a->type, .zxid = a->zxid};
    if (a->type == ZAB_DO_APPEND) {
        w.entry = a->entry;
        w.entry.bytes.data = ens_keep(e, a->entry.bytes.data, a->entry.bytes.length);
        struct zxid last = d->seen.n ? d->seen.log[d->seen.n - 1].zxid : d->seen.floor;
        if (!zxid_eq(last, a->entry.prev)) ens_violate(e, "peer %u appends with a gap", p->id);
    } else if (a->type == ZAB_DO_SET_EPOCHS) {
        w.accepted = a->epochs.accepted;
        w.current = a->epochs.current;
        if (w.accepted < d->seen.accepted || w.current < d->seen.current) ens_violate(e, "peer %u: epochs fall", p->id);
    } else if (a->type == ZAB_DO_INSTALL) {
        w.snapshot = take_piece(e, d, a);
    }
    if (d->n == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 16;
        d->writes = realloc(d->writes, d->cap * sizeof *d->writes);
        WEIR_ASSERT(d->writes);
    }
    d->writes[d->n++] = w;
    image_apply(&d->seen, &w);
    if (w.snapshot) p->place = w.snapshot->place, p->applied = w.snapshot->zxid;
    begin_fsync(e, p);
}

/* The first n writes are durable. */
static void settle(struct ens_disk *d, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) image_apply(&d->durable, &d->writes[i]);
    d->n -= n;
    if (n) memmove(d->writes, d->writes + n, d->n * sizeof *d->writes);
}

uint64_t disk_synced(struct ens *e, struct ens_peer *p)
{
    struct ens_disk *d = &p->disk;
    uint64_t upto = d->syncing;
    uint32_t n = 0;
    while (n < d->n && d->writes[n].ticket <= upto) n++;
    settle(d, n);
    d->syncing = 0;
    begin_fsync(e, p);
    return upto;
}

void disk_crash(struct ens *e, struct ens_disk *d, uint32_t keep)
{
    (void)e;
    settle(d, keep < d->n ? keep : d->n);
    d->n = 0;
    d->syncing = 0;
    d->filled = 0;
    memset(d->pinned, 0, sizeof d->pinned);
    image_copy(&d->seen, &d->durable);
}

bool disk_recover(struct ens *e, struct ens_peer *p, const struct zab_members *initial, struct zab_recovery *out)
{
    const struct ens_image *image = &p->disk.durable;
    const struct ens_snapshot *s = &image->snapshot;
    struct weir_diag diag = {0};
    recovery_init(out, initial);
    recovery_epochs(out, image->accepted, image->current);
    weir_err err = recovery_snapshot(out, s->zxid, (struct weir_bytes){s->members, s->n_members}, image->floor, &diag);
    for (uint32_t i = 0; i < image->n && !err; i++) err = recovery_entry(out, &image->log[i], &diag);
    if (!err) err = recovery_check(out, &diag);
    if (err) ens_violate(e, "peer %u does not start: %s", p->id, diag.text);
    p->place = s->place;
    p->applied = s->zxid;
    return !err;
}

/* ---- snapshots ---- */

static bool durable_holds(const struct ens_image *image, struct zxid zxid)
{
    for (uint32_t i = image->n; i-- > 0;)
        if (zxid_eq(image->log[i].zxid, zxid)) return true;
    return zxid_eq(image->floor, zxid);
}

/* Of what is applied, when the log up to there is durable. The log is cut somewhere before it. */
void disk_take_snapshot(struct ens *e, struct ens_peer *p)
{
    struct ens_disk *d = &p->disk;
    if (zxid_cmp(p->applied, d->durable.snapshot.zxid) <= 0 || !durable_holds(&d->durable, p->applied)) return;
    if (zxid_cmp(p->members.version, p->applied) > 0) return; /* they belong to a later state */
    struct ens_snapshot s = {.zxid = p->applied, .place = p->place};
    set_members(&s, &p->members);
    struct zxid floor = p->applied;
    if (!e->calm && d->durable.n && ens_random(e, 2)) floor = d->durable.log[ens_random(e, d->durable.n)].zxid;
    floor = zxid_min(floor, p->applied);
    d->durable.snapshot = d->seen.snapshot = s;
    image_drop_before(&d->durable, floor);
    image_drop_before(&d->seen, floor);
    ens_trace(e, "%u snapshot at %llu.%llu", p->id, (unsigned long long)s.zxid.epoch, (unsigned long long)s.zxid.counter);
    struct zab_event ev = {.type = ZAB_EV_SNAPSHOT_TAKEN};
    ev.snapshot_taken.zxid = s.zxid;
    ev.snapshot_taken.floor = floor;
    peer_step(e, p, &ev);
}

/* ---- reading ---- */

void disk_answer_log(struct ens *e, struct ens_peer *p, const struct ens_event *ev)
{
    const struct ens_image *image = &p->disk.seen;
    uint32_t from = 0, n = 0, bytes = 0;
    while (from < image->n && !zxid_eq(image->log[from].prev, ev->zxid)) from++;
    while (from + n < image->n && (n == 0 || bytes + image->log[from + n].bytes.length <= ev->len))
        bytes += image->log[from + n++].bytes.length;
    struct zab_event step = {.type = ZAB_EV_LOG_READ};
    step.log_read.reader = ev->other;
    step.log_read.read = ev->read;
    step.log_read.n = n;
    struct zab_entry *copy = ens_keep(e, n ? image->log + from : NULL, n * sizeof *copy);
    step.log_read.entries = copy;
    peer_step(e, p, &step);
}

void disk_answer_snapshot(struct ens *e, struct ens_peer *p, const struct ens_event *ev)
{
    struct ens_disk *d = &p->disk;
    if (ev->offset == 0) d->pinned[ev->other] = ens_keep(e, &d->durable.snapshot, sizeof d->durable.snapshot);
    struct ens_snapshot *s = d->pinned[ev->other];
    if (!s) return; /* END_SNAPSHOT came first */
    unsigned char bytes[ENS_SNAPSHOT_BYTES] = {0};
    memcpy(bytes, &s->place, sizeof s->place);
    uint32_t left = ENS_SNAPSHOT_BYTES - (uint32_t)ev->offset, n = left < ENS_PIECE_BYTES ? left : ENS_PIECE_BYTES;
    struct zab_event step = {.type = ZAB_EV_SNAPSHOT_READ};
    step.snapshot_read.peer = ev->other;
    step.snapshot_read.read = ev->read;
    step.snapshot_read.zxid = s->zxid;
    step.snapshot_read.offset = ev->offset;
    step.snapshot_read.last = n == left;
    step.snapshot_read.members = (struct weir_bytes){s->members, s->n_members};
    step.snapshot_read.bytes = (struct weir_bytes){bytes + ev->offset, n};
    if (n == left) e->n_snapshots++;
    peer_step(e, p, &step);
}
