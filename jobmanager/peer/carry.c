/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the cores. Actions of zab lend their bytes until its next step, and some of them make the server ask something of zab; so what it
 * asks is noted, and granted when the actions of the step are through.
 */
#include "jobmanager/peer/end.h"
#include "jobmanager/peer/internal.h"
#include "runtime/base/assert.h"
#include "runtime/base/log.h"

/* ---- the server ---------------------------------------------------------------------------------------------------------------- */

static void note_wish(struct wishes *wishes, enum coord_server_action_type type, uint64_t token, struct weir_bytes bytes)
{
    struct wish wish = {.type = type, .token = token, .at = wishes->bytes.len, .length = bytes.length};
    buffer_add(&wishes->bytes, bytes.data, bytes.length);
    buffer_add(&wishes->list, &wish, sizeof wish);
    WEIR_ASSERT(!wishes->bytes.err);
    WEIR_ASSERT(!wishes->list.err);
}

static void perform_server(struct peer *p)
{
    const struct coord_server_actions *actions = &p->server_actions;
    for (uint32_t i = 0; i < actions->n; i++) {
        const struct coord_server_action *a = &actions->at[i];
        if (a->type == COORD_DO_SEND)
            clients_send(p, a->connection, coord_server_bytes(actions, a));
        else if (a->type == COORD_DO_CLOSE)
            clients_end(p, a->connection);
        else
            note_wish(&p->wishes, a->type, a->token, coord_server_bytes(actions, a));
    }
    p->server_deadline_ms = actions->deadline_ms;
}

static void step_server(struct peer *p, struct coord_server_event *event)
{
    struct weir_diag diag = {0};
    event->now_ms = p->now_ms;
    event->wall_ms = p->wall_ms;
    if (coord_server_step(p->server, event, &p->server_actions, &diag)) peer_end("its copy of the tree", diag.text);
    perform_server(p);
}

/* ---- zab's actions ------------------------------------------------------------------------------------------------------------- */

static void on_deliver(struct peer *p, const struct zab_entry *entry)
{
    struct coord_server_event event = {.type = COORD_EV_DELIVER, .zxid = entry->zxid};
    if (entry->kind == ZAB_ENTRY_DATA) event.bytes = entry->bytes;
    step_server(p, &event);
    snapshots_delivered(p, entry);
}

static void on_role(struct peer *p, const struct zab_action *a)
{
    p->role = (struct peer_role){.role = a->role.role,
                                 .established = a->role.established,
                                 .leads = a->role.established && a->role.role == ZAB_LEADING,
                                 .epoch = a->role.epoch,
                                 .leader = a->role.leader};
    step_server(p, &(struct coord_server_event){.type = COORD_EV_ROLE, .established = p->role.established, .leads = p->role.leads});
    owner_tell(p, &(struct peer_news){.type = PEER_NEWS_ROLE, .role = p->role});
}

static void on_members(struct peer *p, const struct zab_action *a)
{
    links_members(p, a->members.active, a->members.pending);
    bool news = p->members.n == 0 || !zxid_eq(a->members.active->version, p->members.version);
    p->members = *a->members.active;
    snapshots_members(p, a->members.active);
    if (news) owner_tell(p, &(struct peer_news){.type = PEER_NEWS_MEMBERS, .members = &p->members});
}

/* The whole snapshot: the state becomes its, before anything else happens. */
static void replace_state(struct peer *p, struct disk_task *t)
{
    snapshots_give_up(p);
    coord_state_close(&p->state);
    weir_err err = coord_state_init(&p->state);
    WEIR_ASSERT(!err);
    t->state = &p->state;
    t = disk_wait(p->disk, t);
    p->disk_ready = true;
    p->installed = t->ticket;
    p->snapshots.newest = t->zxid;
    disk_task_free(&t);
    coord_server_replaced(p->server, &p->server_actions);
    perform_server(p);
}

static void on_install(struct peer *p, const struct zab_action *a)
{
    struct disk_task *t = disk_task_new(DISK_INSTALL);
    t->ticket = a->ticket;
    t->zxid = a->zxid;
    t->offset = a->install.offset;
    t->last = a->install.last;
    buffer_add(&t->bytes, a->install.bytes.data, a->install.bytes.length);
    WEIR_ASSERT(!t->bytes.err);
    if (t->last)
        replace_state(p, t);
    else
        disk_give(p->disk, t);
}

static void on_disk_action(struct peer *p, const struct zab_action *a)
{
    if (a->type == ZAB_DO_APPEND) {
        disk_append(p->disk, &a->entry, a->ticket);
        return;
    }
    struct disk_task *t = disk_task_new(a->type == ZAB_DO_TRUNCATE ? DISK_TRUNCATE : DISK_EPOCHS);
    t->ticket = a->ticket;
    t->zxid = a->zxid;
    if (a->type == ZAB_DO_SET_EPOCHS) {
        t->accepted = a->epochs.accepted;
        t->current = a->epochs.current;
    }
    disk_give(p->disk, t);
}

static void on_read_log(struct peer *p, const struct zab_action *a)
{
    struct disk_task *t = disk_task_new(DISK_READ_LOG);
    t->peer = a->read_log.reader;
    t->read = a->read_log.read;
    t->zxid = a->read_log.after;
    t->max = a->read_log.max;
    disk_give(p->disk, t);
}

static void perform_zab(struct peer *p, const struct zab_action *a)
{
    switch (a->type) {
    case ZAB_DO_SEND: links_send(p, a->peer, a->message); return;
    case ZAB_DO_RESET_LINK: links_reset(p, a->peer, a->reason); return;
    case ZAB_DO_APPEND:
    case ZAB_DO_TRUNCATE:
    case ZAB_DO_SET_EPOCHS: on_disk_action(p, a); return;
    case ZAB_DO_INSTALL: on_install(p, a); return;
    case ZAB_DO_READ_LOG: on_read_log(p, a); return;
    case ZAB_DO_READ_SNAPSHOT: snapshots_read(p, a->peer, a->read_snapshot.read, a->read_snapshot.offset); return;
    case ZAB_DO_END_SNAPSHOT: snapshots_end_read(p, a->peer); return;
    case ZAB_DO_DELIVER: on_deliver(p, &a->entry); return;
    case ZAB_DO_ROLE: on_role(p, a); return;
    case ZAB_DO_MEMBERS: on_members(p, a); return;
    case ZAB_DO_FORWARDED:
        step_server(p, &(struct coord_server_event){.type = COORD_EV_FORWARDED, .peer = a->peer, .bytes = a->bytes});
        return;
    case ZAB_DO_TOUCHED: step_server(p, &(struct coord_server_event){.type = COORD_EV_TOUCHED, .peer = a->peer, .bytes = a->bytes}); return;
    case ZAB_DO_SYNCED: step_server(p, &(struct coord_server_event){.type = COORD_EV_SYNCED, .token = a->token}); return;
    case ZAB_DO_BARRIER_LOST: step_server(p, &(struct coord_server_event){.type = COORD_EV_BARRIER_LOST, .token = a->token}); return;
    case ZAB_DO_FAIL: peer_end("its place in the ensemble", a->reason);
    }
}

static void perform_all(struct peer *p)
{
    for (uint32_t i = 0; i < p->zab_actions.n; i++) perform_zab(p, &p->zab_actions.at[i]);
    p->zab_deadline_ms = p->zab_actions.deadline_ms;
}

static enum zab_outcome step_zab(struct peer *p, struct zab_event *event)
{
    event->now_ms = p->now_ms;
    zab_step(p->zab, event, &p->zab_actions);
    enum zab_outcome outcome = p->zab_actions.outcome;
    perform_all(p);
    return outcome;
}

/* ---- wishes -------------------------------------------------------------------------------------------------------------------- */

/*
 * What is refused for want of a leader is asked again by the server when there is one. The server's limits keep proposals and requests
 * below zab's; of barriers zab takes fewer, and those it has no room for wait for the next tick.
 */
static void grant(struct peer *p, const struct wishes *from, const struct wish *wish)
{
    struct weir_bytes bytes = {from->bytes.data + wish->at, (uint32_t)wish->length};
    enum zab_outcome outcome = ZAB_TAKEN;
    switch (wish->type) {
    case COORD_DO_PROPOSE: outcome = step_zab(p, &(struct zab_event){.type = ZAB_EV_PROPOSE, .bytes = bytes}); break;
    case COORD_DO_FORWARD: outcome = step_zab(p, &(struct zab_event){.type = ZAB_EV_FORWARD, .bytes = bytes}); break;
    case COORD_DO_TOUCH: step_zab(p, &(struct zab_event){.type = ZAB_EV_TOUCH, .bytes = bytes}); return;
    case COORD_DO_BARRIER:
        outcome = step_zab(p, &(struct zab_event){.type = ZAB_EV_BARRIER, .token = wish->token});
        if (outcome == ZAB_BUSY) note_wish(&p->late, wish->type, wish->token, bytes);
        return;
    case COORD_DO_SEND:
    case COORD_DO_CLOSE: break;
    }
    WEIR_ASSERT(outcome != ZAB_BUSY);
    WEIR_ASSERT(outcome != ZAB_TOO_LARGE);
}

static void grant_all(struct peer *p, struct wishes *wishes)
{
    const struct wish *at = (const struct wish *)(const void *)wishes->list.data;
    size_t n = wishes->list.len / sizeof *at;
    for (size_t i = 0; i < n; i++) grant(p, wishes, &at[i]);
    buffer_clear(&wishes->list);
    buffer_clear(&wishes->bytes);
}

static void settle(struct peer *p)
{
    while (p->wishes.list.len > 0) {
        struct wishes granted = p->wishes;
        p->wishes = p->spare;
        grant_all(p, &granted);
        p->spare = granted;
    }
}

/* ---- from outside -------------------------------------------------------------------------------------------------------------- */

void carry_zab(struct peer *p, struct zab_event *event)
{
    (void)step_zab(p, event);
    settle(p);
}

void carry_server(struct peer *p, struct coord_server_event *event)
{
    step_server(p, event);
    settle(p);
}

void carry_start(struct peer *p)
{
    struct coord_server_config config = {.id = p->id, .limits = p->limits};
    coord_server_new(&p->server, &config, &p->state, p->now_ms);
    p->server_deadline_ms = p->now_ms;
    zab_new(&p->zab, &p->zab_config, &p->recovery, p->now_ms, &p->zab_actions);
    perform_all(p);
    settle(p);
}

enum zab_outcome carry_reconfig(struct peer *p, const struct order *order)
{
    struct zab_event event = {.type = ZAB_EV_RECONFIG};
    event.reconfig.n = order->n_changes;
    event.reconfig.changes = (const struct zab_change *)(const void *)order->bytes;
    event.reconfig.version = order->versioned ? &order->version : NULL;
    enum zab_outcome outcome = step_zab(p, &event);
    settle(p);
    return outcome;
}

int64_t carry_deadline(const struct peer *p)
{
    return p->zab_deadline_ms < p->server_deadline_ms ? p->zab_deadline_ms : p->server_deadline_ms;
}

void carry_tick(struct peer *p)
{
    if (p->now_ms >= p->zab_deadline_ms) {
        struct wishes late = p->late;
        p->late = (struct wishes){0};
        grant_all(p, &late);
        buffer_close(&late.list);
        buffer_close(&late.bytes);
        carry_zab(p, &(struct zab_event){.type = ZAB_EV_TICK});
    }
    if (p->now_ms >= p->server_deadline_ms) carry_server(p, &(struct coord_server_event){.type = COORD_EV_TICK});
}

/* ---- from the disk ------------------------------------------------------------------------------------------------------------- */

static void tell_log(struct peer *p, struct disk_task *t)
{
    struct zab_event event = {.type = ZAB_EV_LOG_READ, .log_read = {.reader = t->peer, .read = t->read}};
    event.log_read.entries = disk_entries(&t->entries, &event.log_read.n);
    carry_zab(p, &event);
}

static void on_done(struct peer *p, struct disk_task *t)
{
    switch (t->kind) {
    case DISK_READ_LOG: tell_log(p, t); return;
    case DISK_READ_SNAPSHOT:
    case DISK_SNAPSHOT_ADD:
    case DISK_SNAPSHOT_FINISH: snapshots_done(p, t); return;
    default: return;
    }
}

/* Tickets are told once for all that is done, before what was read behind them. */
void carry_disk(struct peer *p)
{
    struct disk_task *t;
    uint64_t ticket = p->installed;
    struct disk_task *read[CARRY_READS];
    uint32_t n = 0;
    p->disk_ready = false;
    while (n < CARRY_READS && (t = disk_take(p->disk)) != NULL) {
        if (t->ticket > ticket) ticket = t->ticket;
        if (t->ticket > 0 || t->kind == DISK_END_SNAPSHOT)
            disk_task_free(&t);
        else
            read[n++] = t;
    }
    if (n == CARRY_READS) p->disk_ready = true;
    if (ticket > p->persisted) {
        p->persisted = ticket;
        carry_zab(p, &(struct zab_event){.type = ZAB_EV_PERSISTED, .ticket = ticket});
    }
    for (uint32_t i = 0; i < n; i++) {
        on_done(p, read[i]);
        disk_task_free(&read[i]);
    }
}
