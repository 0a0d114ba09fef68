/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where actions are made: messages, writes with their tickets, what the outside is told. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/coord/internal.h"

#define BLOCK 32u /* messages allocated together */

struct zab_action *zab_act(struct zab *z, enum zab_action_type type)
{
    struct zab_actions *out = z->out;
    if (z->failed) return &z->sink;
    if (out->n == out->cap) {
        out->cap = out->cap ? 2 * out->cap : 32;
        out->at = realloc(out->at, out->cap * sizeof *out->at);
        WEIR_ASSERT(out->at);
    }
    struct zab_action *a = &out->at[out->n++];
    *a = (struct zab_action){.type = type};
    return a;
}

void zab_actions_close(struct zab_actions *actions)
{
    free(actions->at);
    *actions = (struct zab_actions){0};
}

/* Messages live in blocks that never move, until the next step. */
static struct zab_message *lend_message(struct zab *z)
{
    if (z->n_messages == z->n_blocks * BLOCK) {
        z->blocks = realloc(z->blocks, (z->n_blocks + 1) * sizeof *z->blocks);
        WEIR_ASSERT(z->blocks);
        z->blocks[z->n_blocks] = malloc(BLOCK * sizeof *z->blocks[0]);
        WEIR_ASSERT(z->blocks[z->n_blocks]);
        z->n_blocks++;
    }
    uint32_t i = z->n_messages++;
    return &z->blocks[i / BLOCK][i % BLOCK];
}

struct zab_message *zab_say(struct zab *z, const struct peer *to, enum zab_type type)
{
    struct zab_message *m = lend_message(z);
    struct zab_action *a = zab_act(z, ZAB_DO_SEND);
    *m = (struct zab_message){.type = type, .session = z->role == ZAB_LEADING ? to->learner.session : z->session};
    a->peer = to->id;
    a->message = m;
    return m;
}

void zab_trace(struct zab *z, bool notable, const char *fmt, ...)
{
    if (!z->config.trace) return;
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    z->config.trace(z->config.trace_arg, notable, line);
}

void zab_fail(struct zab *z, const char *fmt, ...)
{
    if (z->failed) return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(z->reason, sizeof z->reason, fmt, args);
    va_end(args);
    zab_act(z, ZAB_DO_FAIL)->reason = z->reason;
    zab_trace(z, true, "failed: %s", z->reason);
    z->failed = true;
}

/* ---- the disk ---- */

static void disk_push(struct zab *z, struct zab_action *a, struct disk_write write)
{
    if (z->n_writes == z->writes_cap) {
        uint32_t cap = z->writes_cap ? 2 * z->writes_cap : 64;
        struct disk_write *writes = malloc(cap * sizeof *writes);
        WEIR_ASSERT(writes);
        for (uint32_t i = 0; i < z->n_writes; i++) writes[i] = z->writes[(z->writes_head + i) & (z->writes_cap - 1)];
        free(z->writes);
        z->writes = writes;
        z->writes_cap = cap;
        z->writes_head = 0;
    }
    write.ticket = a->ticket = ++z->ticket;
    write.generation = z->generation;
    z->writes[(z->writes_head + z->n_writes++) & (z->writes_cap - 1)] = write;
}

void zab_log_append(struct zab *z, const struct zab_entry *entry)
{
    struct zab_members members;
    bool kept = history_append(&z->history, entry);
    WEIR_ASSERT(kept);
    if (entry->kind == ZAB_ENTRY_MEMBERS && !members_decode(entry->bytes, &members)) zab_members_propose(z, &members);
    struct zab_action *a = zab_act(z, ZAB_DO_APPEND);
    a->entry = *history_after(&z->history, entry->prev);
    disk_push(z, a, (struct disk_write){.what = DISK_APPEND, .zxid = entry->zxid, .size = entry->bytes.length});
}

void zab_log_truncate(struct zab *z, struct zxid to)
{
    zab_trace(z, true, "log truncated from %" PRIu64 ".%" PRIu64 " to %" PRIu64 ".%" PRIu64, z->history.last.epoch, z->history.last.counter,
              to.epoch, to.counter);
    history_truncate(&z->history, to);
    z->durable = zxid_min(z->durable, to);
    struct zab_action *a = zab_act(z, ZAB_DO_TRUNCATE);
    a->zxid = to;
    disk_push(z, a, (struct disk_write){.what = DISK_TRUNCATE, .zxid = to});
    if (zxid_cmp(z->pending.version, to) <= 0) return;
    z->pending = (struct zab_members){0};
    zab_tell_members(z);
}

void zab_log_epochs(struct zab *z, enum disk_what what)
{
    struct zab_action *a = zab_act(z, ZAB_DO_SET_EPOCHS);
    a->epochs.accepted = z->accepted;
    a->epochs.current = z->current;
    disk_push(z, a, (struct disk_write){.what = what});
}

void zab_log_install(struct zab *z, const struct zab_message *piece)
{
    struct zab_action *a = zab_act(z, ZAB_DO_INSTALL);
    a->zxid = piece->zxid;
    a->install.offset = piece->offset;
    a->install.last = piece->flag;
    a->install.members = piece->members;
    a->install.bytes = piece->bytes;
    uint64_t behind = piece->offset + piece->bytes.length;
    disk_push(z, a, (struct disk_write){.what = DISK_CHUNK, .zxid = piece->zxid, .size = behind, .last = piece->flag});
}

/* What waits for a write is told only in the role that ordered it. The log is one, whatever the role. */
static void written(struct zab *z, const struct disk_write *w, bool *acknowledge)
{
    bool mine = w->generation == z->generation;
    switch (w->what) {
    case DISK_APPEND:
        if (history_holds(&z->history, w->zxid)) z->durable = w->zxid;
        if (mine) z->session_bytes += w->size;
        if (mine) *acknowledge = true;
        return;
    case DISK_TRUNCATE: return;
    case DISK_PROMISE:
        if (mine) discovery_promised(z);
        return;
    case DISK_ADOPT:
        if (mine) sync_adopted(z);
        return;
    case DISK_CHUNK:
        if (w->last && history_holds(&z->history, w->zxid)) z->durable = w->zxid;
        if (mine) zab_say(z, zab_peer_find(z, z->leader), ZAB_CHUNK_ACK)->offset = w->size;
        return;
    }
}

void zab_disk_persisted(struct zab *z, uint64_t ticket)
{
    bool acknowledge = false;
    while (z->n_writes && z->writes[z->writes_head].ticket <= ticket) {
        struct disk_write w = z->writes[z->writes_head];
        z->writes_head = (z->writes_head + 1) & (z->writes_cap - 1);
        z->n_writes--;
        written(z, &w, &acknowledge);
    }
    if (!acknowledge) return;
    if (z->role == ZAB_LEADING)
        broadcast_advance(z);
    else
        broadcast_acknowledge(z);
}

/* ---- the outside ---- */

bool zab_serving(const struct zab *z)
{
    return z->phase == PHASE_ESTABLISHED && zxid_cmp(z->delivered, z->serve_from) >= 0;
}

void zab_tell_role(struct zab *z)
{
    bool established = zab_serving(z);
    uint64_t epoch = established ? z->epoch : 0;
    if (z->told.any && z->told.role == z->role && z->told.leader == z->leader && z->told.epoch == epoch &&
        z->told.established == established)
        return;
    z->told.any = true;
    z->told.role = z->role;
    z->told.leader = z->leader;
    z->told.epoch = epoch;
    z->told.established = established;
    struct zab_action *a = zab_act(z, ZAB_DO_ROLE);
    a->role.role = z->role;
    a->role.leader = z->leader;
    a->role.epoch = epoch;
    a->role.established = established;
}

void zab_tell_members(struct zab *z)
{
    struct zab_action *a = zab_act(z, ZAB_DO_MEMBERS);
    a->members.active = &z->active;
    a->members.pending = &z->pending;
}
