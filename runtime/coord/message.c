/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/message.h"

#include "runtime/coord/bytes.h"
#include "runtime/coord/members.h"

#define MAGIC 0x5a /* 'Z' */

/* Fields in the order they are written. */
enum {
    PROTOCOL = 1u << 0,
    CLUSTER = 1u << 1,
    PEER = 1u << 2,
    STATE = 1u << 3,
    KIND = 1u << 4,
    FLAG = 1u << 5,
    SESSION = 1u << 6,
    ROUND = 1u << 7,
    EPOCH = 1u << 8,
    ACCEPTED = 1u << 9,
    NONCE = 1u << 10,
    OFFSET = 1u << 11,
    ZXID = 1u << 12,
    PREV = 1u << 13,
    COMMIT = 1u << 14,
    SPANS = 1u << 15,
    MEMBERS = 1u << 16,
    BYTES = 1u << 17,
};

static const struct form {
    const char *name;
    uint32_t fields;
    uint32_t bytes_max;
} forms[ZAB_TYPES] = {
    [ZAB_HELLO] = {"HELLO", PROTOCOL | CLUSTER | PEER | ZXID, 0},
    [ZAB_MEMBERS] = {"MEMBERS", BYTES, ZAB_MEMBERS_BYTES},
    [ZAB_VOTE] = {"VOTE", PEER | STATE | ROUND | EPOCH | ZXID, 0},
    [ZAB_FOLLOW] = {"FOLLOW", SESSION | ACCEPTED, 0},
    [ZAB_EPOCH] = {"EPOCH", SESSION | EPOCH, 0},
    [ZAB_PROMISE] = {"PROMISE", FLAG | SESSION | EPOCH | ZXID | SPANS, 0},
    [ZAB_SYNC] = {"SYNC", FLAG | SESSION | ZXID, 0},
    [ZAB_SNAPSHOT] = {"SNAPSHOT", FLAG | SESSION | OFFSET | ZXID | MEMBERS | BYTES, ZAB_CHUNK_MAX},
    [ZAB_CHUNK_ACK] = {"CHUNK_ACK", SESSION | OFFSET, 0},
    [ZAB_ENTRY] = {"ENTRY", KIND | SESSION | ZXID | PREV | COMMIT | BYTES, ZAB_ENTRY_MAX},
    [ZAB_NEW_LEADER] = {"NEW_LEADER", SESSION | EPOCH, 0},
    [ZAB_JOINED] = {"JOINED", SESSION | EPOCH | ZXID, 0},
    [ZAB_UP_TO_DATE] = {"UP_TO_DATE", SESSION | COMMIT, 0},
    [ZAB_ACK] = {"ACK", SESSION | NONCE | ZXID, 0},
    [ZAB_COMMIT] = {"COMMIT", SESSION | COMMIT, 0},
    [ZAB_PING] = {"PING", SESSION | NONCE | COMMIT, 0},
    [ZAB_PONG] = {"PONG", SESSION | NONCE | BYTES, ZAB_TOUCH_MAX},
    [ZAB_FORWARD] = {"FORWARD", SESSION | BYTES, ZAB_ENTRY_MAX},
    [ZAB_BARRIER] = {"BARRIER", SESSION | NONCE, 0},
    [ZAB_BARRIER_OK] = {"BARRIER_OK", SESSION | NONCE | ZXID, 0},
};

const char *message_name(enum zab_type type)
{
    return type > 0 && type < ZAB_TYPES ? forms[type].name : "?";
}

/* ---- writing ---- */

static void put_spans(struct buffer *out, const struct zab_message *m)
{
    put_u8(out, (uint8_t)m->n_spans);
    for (uint32_t i = 0; i < m->n_spans; i++) {
        put_u64(out, m->spans[i].epoch);
        put_u64(out, m->spans[i].last);
    }
}

static void put_numbers(struct buffer *out, const struct zab_message *m, uint32_t fields)
{
    if (fields & PROTOCOL) put_u32(out, m->protocol);
    if (fields & CLUSTER) buffer_add(out, m->cluster.bytes, sizeof m->cluster.bytes);
    if (fields & PEER) put_u32(out, m->peer);
    if (fields & STATE) put_u8(out, (uint8_t)m->state);
    if (fields & KIND) put_u8(out, (uint8_t)m->kind);
    if (fields & FLAG) put_u8(out, m->flag);
    if (fields & SESSION) put_u64(out, m->session);
    if (fields & ROUND) put_u64(out, m->round);
    if (fields & EPOCH) put_u64(out, m->epoch);
    if (fields & ACCEPTED) put_u64(out, m->accepted);
    if (fields & NONCE) put_u64(out, m->nonce);
    if (fields & OFFSET) put_u64(out, m->offset);
}

void message_encode(const struct zab_message *m, struct buffer *out)
{
    uint32_t fields = forms[m->type].fields;
    put_u8(out, MAGIC);
    put_u8(out, (uint8_t)m->type);
    put_numbers(out, m, fields);
    if (fields & ZXID) put_zxid(out, m->zxid);
    if (fields & PREV) put_zxid(out, m->prev);
    if (fields & COMMIT) put_zxid(out, m->commit);
    if (fields & SPANS) put_spans(out, m);
    if (fields & MEMBERS) put_bytes(out, m->members);
    if (fields & BYTES) put_bytes(out, m->bytes);
}

/* ---- reading ---- */

static uint8_t read_enum(struct reader *r, uint8_t end)
{
    uint8_t value = read_u8(r);
    if (value >= end) r->broken = true;
    return value;
}

static void read_spans(struct reader *r, struct zab_message *m)
{
    m->n_spans = read_u8(r);
    if (m->n_spans == 0 || m->n_spans > ZAB_SPANS_SENT) r->broken = true;
    for (uint32_t i = 0; i < m->n_spans && !r->broken; i++) {
        m->spans[i].epoch = read_u64(r);
        m->spans[i].last = read_u64(r);
        if (i > 0 && m->spans[i].epoch <= m->spans[i - 1].epoch) r->broken = true;
    }
}

static void read_numbers(struct reader *r, struct zab_message *m, uint32_t fields)
{
    if (fields & PROTOCOL) m->protocol = read_u32(r);
    if (fields & CLUSTER) read_exactly(r, m->cluster.bytes, sizeof m->cluster.bytes);
    if (fields & PEER) m->peer = read_u32(r);
    if (fields & STATE) m->state = (enum zab_vote_state)read_enum(r, ZAB_VOTE_STATES);
    if (fields & KIND) m->kind = (enum zab_entry_kind)read_enum(r, ZAB_ENTRY_MEMBERS + 1);
    if (fields & FLAG) m->flag = read_bool(r);
    if (fields & SESSION) m->session = read_u64(r);
    if (fields & ROUND) m->round = read_u64(r);
    if (fields & EPOCH) m->epoch = read_u64(r);
    if (fields & ACCEPTED) m->accepted = read_u64(r);
    if (fields & NONCE) m->nonce = read_u64(r);
    if (fields & OFFSET) m->offset = read_u64(r);
}

weir_err message_decode(const void *data, size_t len, struct zab_message *out, struct weir_diag *diag)
{
    struct reader r;
    reader_init(&r, data, len);
    if (read_u8(&r) != MAGIC) return weir_fail(diag, WEIR_E_CORRUPT, "not a message between peers");
    uint8_t type = read_u8(&r);
    if (type == 0 || type >= ZAB_TYPES) return weir_fail(diag, WEIR_E_CORRUPT, "message of unknown type %u", type);
    uint32_t fields = forms[type].fields;
    *out = (struct zab_message){.type = (enum zab_type)type};
    read_numbers(&r, out, fields);
    if (fields & ZXID) out->zxid = read_zxid(&r);
    if (fields & PREV) out->prev = read_zxid(&r);
    if (fields & COMMIT) out->commit = read_zxid(&r);
    if (fields & SPANS) read_spans(&r, out);
    if (fields & MEMBERS) out->members = read_bytes(&r, ZAB_MEMBERS_BYTES);
    if (fields & BYTES) out->bytes = read_bytes(&r, forms[type].bytes_max);
    if (!reader_done(&r)) return weir_fail(diag, WEIR_E_CORRUPT, "%s message of %zu bytes does not fit its form", forms[type].name, len);
    return WEIR_OK;
}
