/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of the own state, in the background: a slice a turn, smaller ones when there is other work, and a few at a time; the disk
 * thread writes them between batches of the log. And the reads of snapshots for peers that are too far behind.
 */
#include <inttypes.h>

#include "jobmanager/peer/internal.h"

#include "runtime/base/assert.h"
#include "runtime/base/log.h"
#include "runtime/coord/image.h"

/* ---- whose members a snapshot has ---------------------------------------------------------------------------------------------- */

/* Members come into force when they are committed, which may be before they are delivered: the list of a state is the newest not above it.
 */
void snapshots_members(struct peer *p, const struct zab_members *active)
{
    struct snapshots *s = &p->snapshots;
    if (s->n_members > 0 && zxid_eq(s->members[s->n_members - 1].version, active->version)) return;
    if (s->n_members == MEMBERS_KEPT) s->n_members--;
    s->members[s->n_members++] = *active;
}

static void drop_former_members(struct snapshots *s, struct zxid delivered)
{
    while (s->n_members > 1 && zxid_cmp(s->members[1].version, delivered) <= 0) {
        s->n_members--;
        memmove(&s->members[0], &s->members[1], s->n_members * sizeof s->members[0]);
    }
}

/* ---- taking one ---------------------------------------------------------------------------------------------------------------- */

static void begin(struct peer *p)
{
    struct snapshots *s = &p->snapshots;
    struct disk_task *t = disk_task_new(DISK_SNAPSHOT_BEGIN);
    drop_former_members(s, p->state.last);
    s->image = image_begin(&p->state);
    WEIR_ASSERT(s->image);
    s->entries = s->bytes = 0;
    s->zxid = t->zxid = image_zxid(s->image);
    members_encode(&s->members[0], &t->members);
    WEIR_ASSERT(!t->members.err);
    disk_give(p->disk, t);
}

static bool is_active(const struct snapshots *s)
{
    return s->image || s->finishing;
}

void snapshots_delivered(struct peer *p, const struct zab_entry *entry)
{
    struct snapshots *s = &p->snapshots;
    s->entries++;
    s->bytes += entry->bytes.length;
    if (!is_active(s) && (s->entries >= p->snapshot_entries || s->bytes >= p->snapshot_bytes)) begin(p);
}

bool snapshots_busy(const struct peer *p)
{
    return p->snapshots.image && p->snapshots.slices < SLICES_MAX;
}

void snapshots_slice(struct peer *p, size_t bytes)
{
    struct snapshots *s = &p->snapshots;
    struct disk_task *t = disk_task_new(DISK_SNAPSHOT_ADD);
    bool last;
    weir_err err = image_slice(s->image, bytes, &t->bytes, &last);
    WEIR_ASSERT(!err);
    s->slices++;
    disk_give(p->disk, t);
    if (!last) return;
    image_end(&s->image);
    s->finishing = true;
    t = disk_task_new(DISK_SNAPSHOT_FINISH);
    t->generation = s->generation;
    disk_give(p->disk, t);
}

void snapshots_give_up(struct peer *p)
{
    struct snapshots *s = &p->snapshots;
    s->generation++;
    s->entries = s->bytes = 0;
    s->finishing = false;
    if (!s->image) return;
    image_end(&s->image);
    disk_give(p->disk, disk_task_new(DISK_SNAPSHOT_GIVE_UP));
}

/* ---- reading one --------------------------------------------------------------------------------------------------------------- */

static void give_read(struct peer *p, uint32_t peer, uint64_t read, uint64_t offset)
{
    struct disk_task *t = disk_task_new(DISK_READ_SNAPSHOT);
    t->peer = peer;
    t->read = read;
    t->offset = offset;
    disk_give(p->disk, t);
}

void snapshots_read(struct peer *p, uint32_t peer, uint64_t read, uint64_t offset)
{
    if (offset == 0) snapshots_end_read(p, peer);
    give_read(p, peer, read, offset);
}

void snapshots_end_read(struct peer *p, uint32_t peer)
{
    struct disk_task *t = disk_task_new(DISK_END_SNAPSHOT);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (p->snapshots.reads[i].peer == peer) p->snapshots.reads[i] = (struct snapshot_read){0};
    t->peer = peer;
    disk_give(p->disk, t);
}

/* There is no snapshot to read: one is taken, and the read waits for it. */
static void wait_for_snapshot(struct peer *p, const struct disk_task *t)
{
    struct snapshots *s = &p->snapshots;
    uint32_t i = 0;
    while (i < ZAB_PEERS_MAX - 1 && s->reads[i].peer != 0) i++;
    s->reads[i] = (struct snapshot_read){t->peer, t->read};
    if (!is_active(s)) begin(p);
}

static void tell_piece(struct peer *p, const struct disk_task *t)
{
    struct zab_event event = {.type = ZAB_EV_SNAPSHOT_READ};
    event.snapshot_read.peer = t->peer;
    event.snapshot_read.read = t->read;
    event.snapshot_read.zxid = t->zxid;
    event.snapshot_read.offset = t->offset;
    event.snapshot_read.last = t->last;
    event.snapshot_read.members = bytes_of(t->members.data, t->members.len);
    event.snapshot_read.bytes = bytes_of(t->bytes.data, t->bytes.len);
    carry_zab(p, &event);
}

static void finished(struct peer *p, const struct disk_task *t)
{
    struct snapshots *s = &p->snapshots;
    if (t->generation != s->generation) return;
    s->finishing = false;
    s->newest = s->zxid;
    log_debug("snapshot taken", " epoch=%" PRIu64 " counter=%" PRIu64, s->zxid.epoch, s->zxid.counter);
    carry_zab(p, &(struct zab_event){.type = ZAB_EV_SNAPSHOT_TAKEN, .snapshot_taken = {.zxid = s->zxid, .floor = t->zxid}});
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        struct snapshot_read r = s->reads[i];
        s->reads[i] = (struct snapshot_read){0};
        if (r.peer != 0) give_read(p, r.peer, r.read, 0);
    }
}

void snapshots_done(struct peer *p, struct disk_task *t)
{
    if (t->kind == DISK_SNAPSHOT_ADD)
        p->snapshots.slices--;
    else if (t->kind == DISK_SNAPSHOT_FINISH)
        finished(p, t);
    else if (t->none)
        wait_for_snapshot(p, t);
    else
        tell_piece(p, t);
}
