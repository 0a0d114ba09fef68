/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Phase 2: synchronisation. The leader makes each follower's log its own: it keeps what both have in common (SYNC: DIFF or TRUNC), or
 * replaces all by a snapshot (SNAP), then streams the rest of its log, old entries and new ones alike. NEW_LEADER marks the point that the
 * epoch begins with; the follower answers JOINED when all up to there and then the epoch are on its disk. With a quorum of those the
 * leader's whole history is committed.
 *
 *     SYNC(common) | SNAPSHOT … ─▶ ENTRY … ─▶ NEW_LEADER ─▶ history, then current epoch on disk ─▶ JOINED ─▶ UP_TO_DATE
 *
 * One stream, one cursor (`sent`): entries cannot overtake NEW_LEADER, nor be forgotten by it (ZOOKEEPER-3104, -4394).
 */
#include <inttypes.h>

#include "runtime/coord/internal.h"

/* ---- leader ---- */

void learner_forget(struct zab *z, struct peer *p)
{
    if (p->learner.stage == LEARNER_SNAPSHOT) zab_act(z, ZAB_DO_END_SNAPSHOT)->peer = p->id;
    p->learner = (struct learner){0};
}

static void read_snapshot(struct zab *z, const struct peer *p)
{
    struct zab_action *a = zab_act(z, ZAB_DO_READ_SNAPSHOT);
    a->peer = p->id;
    a->read_snapshot.read = p->learner.read;
    a->read_snapshot.offset = p->learner.offset;
}

static void begin_snapshot(struct zab *z, struct peer *p)
{
    p->learner.stage = LEARNER_SNAPSHOT;
    p->learner.offset = 0;
    p->learner.whole = false;
    p->learner.read = ++z->reads;
    read_snapshot(z, p);
}

static void begin_stream(struct zab *z, struct peer *p, struct zxid from)
{
    p->learner.stage = LEARNER_STREAMING;
    p->learner.read = 0;
    p->learner.sent = from;
    p->learner.target = z->history.last;
    sync_pump(z, p);
}

void sync_begin(struct zab *z, struct peer *p)
{
    struct learner *l = &p->learner;
    struct zxid common;
    if (!history_common(&z->history, l->spans, l->n_spans, &common)) {
        zab_trace(z, true, "peer %" PRIu32 " gets a snapshot", p->id);
        begin_snapshot(z, p);
        return;
    }
    struct zab_message *m = zab_say(z, p, ZAB_SYNC);
    m->flag = zxid_cmp(common, l->last) < 0;
    m->zxid = common;
    begin_stream(z, p, common);
}

static void send_entry(struct zab *z, struct peer *p, const struct zab_entry *entry)
{
    struct zab_message *m = zab_say(z, p, ZAB_ENTRY);
    m->zxid = entry->zxid;
    m->prev = entry->prev;
    m->kind = entry->kind;
    m->bytes = entry->bytes;
    m->commit = zxid_min(z->commit, entry->zxid);
    p->learner.sent = entry->zxid;
    p->learner.sent_bytes += entry->bytes.length;
}

static void tell_new_leader(struct zab *z, struct peer *p)
{
    struct learner *l = &p->learner;
    if (l->stage != LEARNER_STREAMING || zxid_cmp(l->sent, l->target) < 0) return;
    l->stage = LEARNER_TOLD;
    zab_say(z, p, ZAB_NEW_LEADER)->epoch = z->epoch;
}

static void read_log(struct zab *z, struct peer *p)
{
    p->learner.read = ++z->reads;
    struct zab_action *a = zab_act(z, ZAB_DO_READ_LOG);
    a->read_log.reader = p->id;
    a->read_log.read = p->learner.read;
    a->read_log.after = p->learner.sent;
    a->read_log.max = z->config.read_bytes;
}

void sync_pump(struct zab *z, struct peer *p)
{
    struct learner *l = &p->learner;
    if (l->stage < LEARNER_STREAMING) return;
    tell_new_leader(z, p);
    while (!l->read && zxid_cmp(l->sent, z->history.last) < 0 && l->sent_bytes - l->acked_bytes < z->config.flight_bytes) {
        const struct zab_entry *entry = history_after(&z->history, l->sent);
        if (!entry) {
            read_log(z, p);
            return;
        }
        send_entry(z, p, entry);
        tell_new_leader(z, p);
    }
}

void sync_on_log_read(struct zab *z, struct peer *p, const struct zab_event *ev)
{
    struct learner *l = &p->learner;
    if (l->stage < LEARNER_STREAMING || l->read != ev->log_read.read) return;
    l->read = 0;
    if (ev->log_read.n == 0) {
        zab_peer_reset(z, p, "peer %" PRIu32 " is further behind than the log reaches back", p->id);
        return;
    }
    for (uint32_t i = 0; i < ev->log_read.n && zxid_cmp(l->sent, z->history.last) < 0; i++) {
        if (!zxid_eq(ev->log_read.entries[i].prev, l->sent)) {
            zab_fail(z, "the log on disk has a gap behind %" PRIu64 ".%" PRIu64, l->sent.epoch, l->sent.counter);
            return;
        }
        send_entry(z, p, &ev->log_read.entries[i]);
        tell_new_leader(z, p);
    }
    sync_pump(z, p);
}

void sync_on_snapshot_read(struct zab *z, struct peer *p, const struct zab_event *ev)
{
    struct learner *l = &p->learner;
    if (l->stage != LEARNER_SNAPSHOT || l->read != ev->snapshot_read.read || l->offset != ev->snapshot_read.offset || l->whole) return;
    l->target = ev->snapshot_read.zxid;
    l->whole = ev->snapshot_read.last;
    struct zab_message *m = zab_say(z, p, ZAB_SNAPSHOT);
    m->zxid = l->target;
    m->offset = l->offset;
    m->flag = l->whole;
    if (l->offset == 0) m->members = ev->snapshot_read.members;
    m->bytes = ev->snapshot_read.bytes;
    l->offset += m->bytes.length;
}

void sync_on_chunk_ack(struct zab *z, struct peer *p, const struct zab_message *m)
{
    struct learner *l = &p->learner;
    if (l->stage != LEARNER_SNAPSHOT || m->offset != l->offset) return;
    z->progress_ms = z->now_ms;
    if (!l->whole) {
        read_snapshot(z, p);
        return;
    }
    zab_act(z, ZAB_DO_END_SNAPSHOT)->peer = p->id;
    if (history_holds(&z->history, l->target))
        begin_stream(z, p, l->target);
    else
        begin_snapshot(z, p); /* the log was cut meanwhile: a newer snapshot is there */
}

/* Serve from here on. */
static void tell_up_to_date(struct zab *z, const struct peer *p)
{
    zab_say(z, p, ZAB_UP_TO_DATE)->commit = zxid_min(z->commit, p->learner.sent);
}

/* A quorum has the whole history of this leader and knows its epoch: all of it is committed. What the state machine has not had may have to
 * be read first; until then nobody serves. */
static void establish(struct zab *z)
{
    z->phase = PHASE_ESTABLISHED;
    z->serve_from = z->history.last;
    zab_trace(z, true, "leads epoch %" PRIu64 " from %" PRIu64 ".%" PRIu64, z->epoch, z->history.last.epoch, z->history.last.counter);
    broadcast_commit_to(z, z->history.last);
}

void sync_serve(struct zab *z)
{
    if (z->role != ZAB_LEADING || !zab_serving(z) || z->told.epoch == z->epoch) return;
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (z->peers[i].learner.stage == LEARNER_JOINED) tell_up_to_date(z, &z->peers[i]);
}

static void count_joined(struct zab *z)
{
    struct zab_set set = {0};
    if (z->adopted) set_add(&set, z->config.id);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++)
        if (z->peers[i].learner.stage == LEARNER_JOINED) set_add(&set, z->peers[i].id);
    if (zab_quorum(z, &set)) establish(z);
}

void sync_on_joined(struct zab *z, struct peer *p, const struct zab_message *m)
{
    struct learner *l = &p->learner;
    if (l->stage != LEARNER_TOLD || m->epoch != z->epoch || zxid_cmp(m->zxid, l->sent) > 0) {
        zab_peer_reset(z, p, "peer %" PRIu32 " joined an epoch it was not told of", p->id);
        return;
    }
    l->stage = LEARNER_JOINED;
    l->acked = m->zxid;
    z->progress_ms = z->now_ms;
    if (z->phase == PHASE_JOINING) {
        count_joined(z);
    } else {
        if (zab_serving(z)) tell_up_to_date(z, p);
        broadcast_advance(z);
    }
}

/* ---- follower ---- */

void sync_on_sync(struct zab *z, struct peer *p, const struct zab_message *m)
{
    if (z->phase != PHASE_SYNCING || z->synced || !history_holds(&z->history, m->zxid) ||
        (!m->flag && !zxid_eq(m->zxid, z->history.last))) {
        zab_peer_reset(z, p, "peer %" PRIu32 " syncs from %" PRIu64 ".%" PRIu64 ", where this log is not", p->id, m->zxid.epoch,
                       m->zxid.counter);
        return;
    }
    if (zxid_cmp(m->zxid, z->delivered) < 0) {
        zab_fail(z, "leader %" PRIu32 " would undo what was committed, back to %" PRIu64 ".%" PRIu64 ": compare the disks of both", p->id,
                 m->zxid.epoch, m->zxid.counter);
        return;
    }
    z->synced = true;
    z->progress_ms = z->now_ms;
    if (m->flag) zab_log_truncate(z, m->zxid);
}

/* The snapshot is here: it is the whole history now. */
static void installed(struct zab *z, struct zxid zxid)
{
    z->synced = true;
    history_reset(&z->history, zxid);
    z->commit = z->delivered = zxid;
    z->durable = (struct zxid){0};
    z->pending = (struct zab_members){0};
    if (zxid_cmp(z->incoming.version, z->active.version) > 0) zab_members_adopt(z, &z->incoming);
    zab_tell_members(z);
}

void sync_on_snapshot(struct zab *z, struct peer *p, const struct zab_message *m)
{
    bool first = m->offset == 0;
    if (first) z->install_next = 0;
    if (z->phase != PHASE_SYNCING || z->synced || m->offset != z->install_next || (first && members_decode(m->members, &z->incoming))) {
        zab_peer_reset(z, p, "peer %" PRIu32 " sent a piece of a snapshot that does not fit", p->id);
        return;
    }
    if (zxid_cmp(m->zxid, z->delivered) < 0) {
        zab_fail(z, "leader %" PRIu32 " sends a snapshot older than what was committed here", p->id);
        return;
    }
    z->progress_ms = z->now_ms;
    z->install_next += m->bytes.length;
    zab_log_install(z, m);
    if (m->flag) installed(z, m->zxid);
}

static bool fits(const struct zab *z, const struct zab_message *m)
{
    struct zab_members members;
    if (!z->synced || z->phase < PHASE_SYNCING || !zxid_eq(m->prev, z->history.last) || !zxid_follows(m->zxid, m->prev)) return false;
    if (m->zxid.epoch > z->epoch || zxid_cmp(m->commit, m->zxid) > 0) return false;
    return m->kind == ZAB_ENTRY_DATA || (!members_decode(m->bytes, &members) && zxid_eq(members.version, m->zxid));
}

void sync_on_entry(struct zab *z, struct peer *p, const struct zab_message *m)
{
    if (!fits(z, m)) {
        zab_peer_reset(z, p, "peer %" PRIu32 " sent entry %" PRIu64 ".%" PRIu64 ", which does not follow this log", p->id, m->zxid.epoch,
                       m->zxid.counter);
        return;
    }
    z->progress_ms = z->now_ms;
    zab_log_append(z, &(struct zab_entry){.zxid = m->zxid, .prev = m->prev, .kind = m->kind, .bytes = m->bytes});
    broadcast_on_commit(z, p, m->commit);
}

void sync_on_new_leader(struct zab *z, struct peer *p, const struct zab_message *m)
{
    if (z->phase != PHASE_SYNCING || !z->synced || m->epoch != z->epoch) {
        zab_peer_reset(z, p, "peer %" PRIu32 " began epoch %" PRIu64 " out of order", p->id, m->epoch);
        return;
    }
    z->phase = PHASE_ADOPTING;
    z->progress_ms = z->now_ms;
    z->current = m->epoch;
    zab_log_epochs(z, DISK_ADOPT); /* behind every entry of the history: the disk keeps that order (ZOOKEEPER-4643, -3911) */
}

void sync_adopted(struct zab *z)
{
    if (z->role == ZAB_LEADING) {
        z->adopted = true;
        if (z->phase == PHASE_JOINING)
            count_joined(z);
        else
            broadcast_advance(z);
        return;
    }
    z->phase = PHASE_JOINED;
    struct zab_message *m = zab_say(z, zab_peer_find(z, z->leader), ZAB_JOINED);
    m->epoch = z->epoch;
    m->zxid = z->durable;
}

void sync_on_up_to_date(struct zab *z, struct peer *p, const struct zab_message *m)
{
    if (z->phase != PHASE_JOINED || zxid_cmp(m->commit, z->history.last) > 0) {
        zab_peer_reset(z, p, "peer %" PRIu32 " says up to date out of order", p->id);
        return;
    }
    z->phase = PHASE_ESTABLISHED;
    z->serve_from = m->commit;
    zab_trace(z, true, "follows epoch %" PRIu64 " of peer %" PRIu32, z->epoch, p->id);
    broadcast_commit_to(z, m->commit);
}
