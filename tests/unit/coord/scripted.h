/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One peer of an ensemble in the hands of a test, which plays everybody else. Each step leaves what the peer ordered as lines:
 *
 *     struct scripted f;
 *     scripted_init(&f, &(struct scripted_options){.id = 1, .voters = 3});
 *     greet(&f, 2);
 *     hear(&f, 2, (struct zab_message){.type = ZAB_VOTE, ...});
 *     expect(&f, "> 2 VOTE leading 1 round 1\n"
 *                "disk epochs 1 0\n");
 */
#ifndef WEIR_TESTS_UNIT_COORD_SCRIPTED_H
#define WEIR_TESTS_UNIT_COORD_SCRIPTED_H

/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/coord/zab.h"

struct scripted {
    struct zab *zab;
    struct zab_actions actions;
    struct zab_members members;
    int64_t now_ms;
    uint64_t ticket;  /* newest */
    uint64_t session; /* of the peer's newest FOLLOW */
    uint64_t read;    /* number of the newest read it asked for */
    struct buffer lines;
};

struct scripted_options {
    uint32_t id, voters, observers;
    uint64_t accepted, current;
    uint32_t n_log; /* entries of the log, zxids below */
    struct zxid log[16];
    struct zxid snapshot;
    uint64_t window_bytes;
    uint32_t flight_bytes;
};

static inline void line_of_message(struct scripted *f, const struct zab_message *m)
{
    static const char *states[] = {"looking", "following", "leading"};
    struct buffer *b = &f->lines;
    buffer_printf(b, "%s", message_name(m->type));
    if (m->type == ZAB_VOTE) buffer_printf(b, " %s %" PRIu32 " round %" PRIu64, states[m->state], m->peer, m->round);
    if (m->type == ZAB_FOLLOW) buffer_printf(b, " accepted %" PRIu64, m->accepted);
    if (m->type == ZAB_EPOCH || m->type == ZAB_PROMISE || m->type == ZAB_NEW_LEADER || m->type == ZAB_JOINED)
        buffer_printf(b, " epoch %" PRIu64, m->epoch);
    if (m->type == ZAB_PROMISE || m->type == ZAB_SYNC || m->type == ZAB_ENTRY || m->type == ZAB_ACK || m->type == ZAB_JOINED ||
        m->type == ZAB_BARRIER_OK || m->type == ZAB_SNAPSHOT)
        buffer_printf(b, " %" PRIu64 ".%" PRIu64, m->zxid.epoch, m->zxid.counter);
    if (m->type == ZAB_COMMIT || m->type == ZAB_UP_TO_DATE) buffer_printf(b, " %" PRIu64 ".%" PRIu64, m->commit.epoch, m->commit.counter);
    if (m->type == ZAB_PROMISE && !m->flag) buffer_printf(b, ", does not count");
    if (m->type == ZAB_SYNC && m->flag) buffer_printf(b, ", truncate");
    if (m->type == ZAB_SNAPSHOT) buffer_printf(b, " at %" PRIu64 "%s", m->offset, m->flag ? ", last" : "");
    if (m->type == ZAB_CHUNK_ACK) buffer_printf(b, " %" PRIu64, m->offset);
    if (m->type == ZAB_PING || m->type == ZAB_PONG || m->type == ZAB_BARRIER || m->type == ZAB_BARRIER_OK)
        buffer_printf(b, " (%" PRIu64 ")", m->nonce);
    buffer_printf(b, "\n");
    if (m->type == ZAB_FOLLOW) f->session = m->session;
}

static inline void line_of_action(struct scripted *f, const struct zab_action *a)
{
    static const char *roles[] = {"looking", "following", "observing", "leading", "detached"};
    struct buffer *b = &f->lines;
    if (a->ticket) f->ticket = a->ticket;
    if (a->type == ZAB_DO_READ_LOG) f->read = a->read_log.read;
    if (a->type == ZAB_DO_READ_SNAPSHOT) f->read = a->read_snapshot.read;
    switch (a->type) {
    case ZAB_DO_SEND:
        buffer_printf(b, "> %" PRIu32 " ", a->peer);
        line_of_message(f, a->message);
        return;
    case ZAB_DO_RESET_LINK: buffer_printf(b, "reset %" PRIu32 ": %s\n", a->peer, a->reason); return;
    case ZAB_DO_APPEND: buffer_printf(b, "disk append %" PRIu64 ".%" PRIu64 "\n", a->entry.zxid.epoch, a->entry.zxid.counter); return;
    case ZAB_DO_TRUNCATE: buffer_printf(b, "disk truncate %" PRIu64 ".%" PRIu64 "\n", a->zxid.epoch, a->zxid.counter); return;
    case ZAB_DO_SET_EPOCHS: buffer_printf(b, "disk epochs %" PRIu64 " %" PRIu64 "\n", a->epochs.accepted, a->epochs.current); return;
    case ZAB_DO_INSTALL:
        buffer_printf(b, "disk install %" PRIu64 ".%" PRIu64 " at %" PRIu64 "%s\n", a->zxid.epoch, a->zxid.counter, a->install.offset,
                      a->install.last ? ", last" : "");
        return;
    case ZAB_DO_READ_LOG:
        buffer_printf(b, "read log after %" PRIu64 ".%" PRIu64 " for %" PRIu32 "\n", a->read_log.after.epoch, a->read_log.after.counter,
                      a->read_log.reader);
        return;
    case ZAB_DO_READ_SNAPSHOT: buffer_printf(b, "read snapshot for %" PRIu32 " at %" PRIu64 "\n", a->peer, a->read_snapshot.offset); return;
    case ZAB_DO_END_SNAPSHOT: buffer_printf(b, "end snapshot for %" PRIu32 "\n", a->peer); return;
    case ZAB_DO_DELIVER: buffer_printf(b, "deliver %" PRIu64 ".%" PRIu64 "\n", a->entry.zxid.epoch, a->entry.zxid.counter); return;
    case ZAB_DO_ROLE:
        buffer_printf(b, "role %s %" PRIu32 " epoch %" PRIu64 "%s\n", roles[a->role.role], a->role.leader, a->role.epoch,
                      a->role.established ? " established" : "");
        return;
    case ZAB_DO_MEMBERS: buffer_printf(b, "members %" PRIu32 " pending %" PRIu32 "\n", a->members.active->n, a->members.pending->n); return;
    case ZAB_DO_FORWARDED: buffer_printf(b, "forwarded from %" PRIu32 "\n", a->peer); return;
    case ZAB_DO_TOUCHED: buffer_printf(b, "touched from %" PRIu32 "\n", a->peer); return;
    case ZAB_DO_SYNCED:
        buffer_printf(b, "synced (%" PRIu64 ") %" PRIu64 ".%" PRIu64 "\n", a->token, a->zxid.epoch, a->zxid.counter);
        return;
    case ZAB_DO_BARRIER_LOST: buffer_printf(b, "barrier lost (%" PRIu64 ")\n", a->token); return;
    case ZAB_DO_FAIL: buffer_printf(b, "fail: %s\n", a->reason); return;
    }
}

static inline void take_lines(struct scripted *f)
{
    buffer_clear(&f->lines);
    for (uint32_t i = 0; i < f->actions.n; i++) line_of_action(f, &f->actions.at[i]);
}

static inline enum zab_outcome step(struct scripted *f, struct zab_event ev)
{
    ev.now_ms = f->now_ms;
    zab_step(f->zab, &ev, &f->actions);
    take_lines(f);
    return f->actions.outcome;
}

static inline void scripted_init(struct scripted *f, const struct scripted_options *o)
{
    struct zab_recovery recovery;
    struct buffer b = {0};
    *f = (struct scripted){.members = {.n = o->voters + o->observers}};
    for (uint32_t i = 0; i < f->members.n; i++) f->members.at[i] = (struct zab_member){.id = i + 1, .observer = i >= o->voters};
    recovery_init(&recovery, &f->members);
    recovery_epochs(&recovery, o->accepted, o->current);
    members_encode(&f->members, &b);
    if (!zxid_is_zero(o->snapshot))
        assert_int_equal(recovery_snapshot(&recovery, o->snapshot, (struct weir_bytes){b.data, (uint32_t)b.len}, o->snapshot, NULL),
                         WEIR_OK);
    buffer_close(&b);
    for (uint32_t i = 0; i < o->n_log; i++) {
        struct zab_entry entry = {.zxid = o->log[i], .prev = recovery.history.last};
        assert_int_equal(recovery_entry(&recovery, &entry, NULL), WEIR_OK);
    }
    assert_int_equal(recovery_check(&recovery, NULL), WEIR_OK);
    struct zab_config config = {.id = o->id, .window_bytes = o->window_bytes, .flight_bytes = o->flight_bytes};
    zab_new(&f->zab, &config, &recovery, 0, &f->actions);
    take_lines(f);
}

static inline void scripted_close(struct scripted *f)
{
    zab_destroy(&f->zab);
    zab_actions_close(&f->actions);
    buffer_close(&f->lines);
}

static inline void hear(struct scripted *f, uint32_t from, struct zab_message m)
{
    if (!m.session) m.session = f->session;
    step(f, (struct zab_event){.type = ZAB_EV_MESSAGE, .message = {from, &m}});
}

static inline void greet(struct scripted *f, uint32_t peer)
{
    step(f, (struct zab_event){.type = ZAB_EV_LINK_UP, .peer = peer});
    hear(f, peer, (struct zab_message){.type = ZAB_HELLO, .protocol = ZAB_PROTOCOL, .peer = peer});
}

static inline void tick(struct scripted *f, int64_t ms)
{
    f->now_ms += ms;
    step(f, (struct zab_event){.type = ZAB_EV_TICK});
}

static inline void persisted(struct scripted *f)
{
    step(f, (struct zab_event){.type = ZAB_EV_PERSISTED, .ticket = f->ticket});
}

static inline void log_read(struct scripted *f, uint32_t reader, uint32_t n, const struct zab_entry *entries)
{
    step(f, (struct zab_event){.type = ZAB_EV_LOG_READ, .log_read = {.reader = reader, .read = f->read, .n = n, .entries = entries}});
}

static inline void vote(struct scripted *f, uint32_t from, enum zab_vote_state state, uint32_t leader, uint64_t round, uint64_t epoch,
                        struct zxid zxid)
{
    hear(f, from, (struct zab_message){.type = ZAB_VOTE, .state = state, .peer = leader, .round = round, .epoch = epoch, .zxid = zxid});
}

/* The lines of the last step, all of them. */
static inline void expect(struct scripted *f, const char *text)
{
    assert_string_equal(buffer_cstr(&f->lines), text);
}

static inline bool has_line(struct scripted *f, const char *line)
{
    const char *at = strstr(buffer_cstr(&f->lines), line);
    return at && (at == (const char *)f->lines.data || at[-1] == '\n') && at[strlen(line)] == '\n';
}

static inline void expect_line(struct scripted *f, const char *line)
{
    if (!has_line(f, line)) fail_msg("no line \"%s\" in:\n%s", line, buffer_cstr(&f->lines));
}

static inline void expect_no(struct scripted *f, const char *part)
{
    if (strstr(buffer_cstr(&f->lines), part)) fail_msg("\"%s\" in:\n%s", part, buffer_cstr(&f->lines));
}

/* ---- roles reached by the shortest way ---- */

/* Follows peer 2, which leads `epoch`, and promised it; then SYNC is due. Needs the log {} or one whose last entry is older. */
static inline void follow_two(struct scripted *f, uint64_t epoch)
{
    greet(f, 2);
    vote(f, 2, ZAB_VOTE_LEADING, 2, 1, 0, (struct zxid){0});
    hear(f, 2, (struct zab_message){.type = ZAB_EPOCH, .epoch = epoch});
    persisted(f);
}

/* As follow_two; then synchronised without an entry and established. */
static inline void established_follower(struct scripted *f, uint64_t epoch)
{
    follow_two(f, epoch);
    hear(f, 2, (struct zab_message){.type = ZAB_SYNC, .zxid = zab_status(f->zab).last});
    hear(f, 2, (struct zab_message){.type = ZAB_NEW_LEADER, .epoch = epoch});
    persisted(f);
    hear(f, 2, (struct zab_message){.type = ZAB_UP_TO_DATE, .commit = zab_status(f->zab).last});
}

/* Peer 1 of three, elected with the vote of peer 2, which then says FOLLOW in session 7. */
static inline void elected(struct scripted *f, uint64_t accepted_of_two)
{
    struct zab_status s = zab_status(f->zab);
    greet(f, 2);
    vote(f, 2, ZAB_VOTE_LOOKING, 1, s.round, s.current, s.last);
    hear(f, 2, (struct zab_message){.type = ZAB_FOLLOW, .session = 7, .accepted = accepted_of_two});
    f->session = 7;
}

static inline void promise_of(struct scripted *f, uint32_t from, struct zxid last)
{
    struct zab_message m = {.type = ZAB_PROMISE, .flag = true, .zxid = last, .n_spans = 1, .spans = {{last.epoch, last.counter}}};
    hear(f, from, m);
}

/* As elected; peer 2 promised, has the same log, and joined: peer 1 leads epoch 1 (or the next). */
static inline void established_leader(struct scripted *f)
{
    elected(f, 0);
    persisted(f);
    promise_of(f, 2, zab_status(f->zab).last);
    persisted(f);
    hear(f, 2, (struct zab_message){.type = ZAB_JOINED, .epoch = zab_status(f->zab).accepted, .zxid = zab_status(f->zab).last});
}

static inline enum zab_outcome propose(struct scripted *f, const char *text)
{
    return step(f, (struct zab_event){.type = ZAB_EV_PROPOSE, .bytes = {text, (uint32_t)strlen(text)}});
}

static inline struct zab_message entry_message(struct zxid zxid, struct zxid prev)
{
    return (struct zab_message){.type = ZAB_ENTRY, .zxid = zxid, .prev = prev, .bytes = {"x", 1}};
}

#endif
