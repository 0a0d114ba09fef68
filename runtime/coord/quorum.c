/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/quorum.h"

bool quorum_is_ask(struct weir_bytes message)
{
    const uint8_t *first = (const uint8_t *)message.data;
    return message.length > 0 && (*first == QUORUM_ASK_STATUS || *first == QUORUM_ASK_RECONFIG);
}

static void put_member(struct buffer *b, const struct zab_member *m)
{
    put_u32(b, m->id);
    put_u8(b, m->observer);
    put_bytes(b, bytes_text(m->address));
}

static void read_member(struct reader *r, struct zab_member *m)
{
    *m = (struct zab_member){.id = read_u32(r), .observer = read_bool(r)};
    struct weir_bytes address = read_bytes(r, ZAB_ADDRESS_MAX - 1);
    if (address.length > 0 && memchr(address.data, '\0', address.length)) r->broken = true;
    if (address.length > 0) memcpy(m->address, address.data, address.length);
}

void put_quorum_ask(struct buffer *b, const struct quorum_ask *ask)
{
    put_u8(b, (uint8_t)ask->type);
    if (ask->type != QUORUM_ASK_RECONFIG) return;
    put_u32(b, ask->n);
    for (uint32_t i = 0; i < ask->n; i++) {
        put_u8(b, ask->changes[i].remove);
        put_member(b, &ask->changes[i].member);
    }
}

bool read_quorum_ask(struct weir_bytes message, struct quorum_ask *ask)
{
    struct reader r;
    reader_init(&r, message.data, message.length);
    *ask = (struct quorum_ask){.type = read_u8(&r)};
    if (ask->type == QUORUM_ASK_STATUS) return reader_done(&r);
    if (ask->type != QUORUM_ASK_RECONFIG) return false;
    uint32_t n = read_u32(&r);
    if (n == 0 || n > QUORUM_CHANGES_MAX) return false;
    for (; ask->n < n && !r.broken; ask->n++) {
        ask->changes[ask->n].remove = read_bool(&r);
        read_member(&r, &ask->changes[ask->n].member);
    }
    return reader_done(&r);
}

void put_quorum_status(struct buffer *b, const struct quorum_status *s)
{
    put_u8(b, QUORUM_SAY_STATUS);
    put_u32(b, s->id);
    put_u8(b, s->role);
    put_u8(b, s->established);
    put_u8(b, s->leads);
    put_u32(b, s->leader);
    put_u64(b, s->epoch);
    put_zxid(b, s->last);
    put_zxid(b, s->commit);
    put_zxid(b, s->delivered);
    put_zxid(b, s->snapshot);
    put_u32(b, s->connections);
    put_u64(b, s->watches);
    put_u64(b, s->nodes);
    put_u64(b, s->bytes);
    put_u64(b, s->sessions);
    put_zxid(b, s->members.version);
    put_u32(b, s->members.n);
    for (uint32_t i = 0; i < s->members.n; i++) put_member(b, &s->members.at[i]);
    put_u32(b, s->n_followers);
    for (uint32_t i = 0; i < s->n_followers; i++) {
        put_u32(b, s->followers[i].id);
        put_u8(b, s->followers[i].linked);
        put_u8(b, s->followers[i].follows);
        put_zxid(b, s->followers[i].acked);
    }
}

static void read_followers(struct reader *r, struct quorum_status *s)
{
    uint32_t n = read_u32(r);
    if (n > ZAB_MEMBERS_MAX) r->broken = true;
    for (; s->n_followers < n && !r->broken; s->n_followers++) {
        struct quorum_follower *f = &s->followers[s->n_followers];
        f->id = read_u32(r);
        f->linked = read_bool(r);
        f->follows = read_bool(r);
        f->acked = read_zxid(r);
    }
}

bool read_quorum_status(struct weir_bytes message, struct quorum_status *s)
{
    struct reader r;
    reader_init(&r, message.data, message.length);
    *s = (struct quorum_status){0};
    if (read_u8(&r) != QUORUM_SAY_STATUS) return false;
    s->id = read_u32(&r);
    s->role = read_u8(&r);
    s->established = read_bool(&r);
    s->leads = read_bool(&r);
    s->leader = read_u32(&r);
    s->epoch = read_u64(&r);
    s->last = read_zxid(&r);
    s->commit = read_zxid(&r);
    s->delivered = read_zxid(&r);
    s->snapshot = read_zxid(&r);
    s->connections = read_u32(&r);
    s->watches = read_u64(&r);
    s->nodes = read_u64(&r);
    s->bytes = read_u64(&r);
    s->sessions = read_u64(&r);
    s->members.version = read_zxid(&r);
    uint32_t n = read_u32(&r);
    if (n > ZAB_MEMBERS_MAX) r.broken = true;
    for (; s->members.n < n && !r.broken; s->members.n++) read_member(&r, &s->members.at[s->members.n]);
    read_followers(&r, s);
    return reader_done(&r);
}

void put_quorum_outcome(struct buffer *b, uint8_t outcome)
{
    put_u8(b, QUORUM_SAY_RECONFIG);
    put_u8(b, outcome);
}

bool read_quorum_outcome(struct weir_bytes message, uint8_t *outcome)
{
    struct reader r;
    reader_init(&r, message.data, message.length);
    uint8_t type = read_u8(&r);
    *outcome = read_u8(&r);
    return type == QUORUM_SAY_RECONFIG && reader_done(&r);
}
