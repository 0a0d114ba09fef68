/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/members.h"

#include <string.h>

#include "runtime/coord/bytes.h"

const struct zab_member *members_find(const struct zab_members *m, uint32_t id)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->at[i].id == id) return &m->at[i];
    return NULL;
}

bool members_votes(const struct zab_members *m, uint32_t id)
{
    const struct zab_member *member = members_find(m, id);
    return member && !member->observer;
}

uint32_t members_voters(const struct zab_members *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n; i++) n += !m->at[i].observer;
    return n;
}

void set_add(struct zab_set *set, uint32_t id)
{
    for (uint32_t i = 0; i < set->n; i++)
        if (set->ids[i] == id) return;
    if (set->n <= ZAB_MEMBERS_MAX) set->ids[set->n++] = id;
}

bool members_quorum(const struct zab_members *m, const struct zab_set *set)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < set->n; i++) n += members_votes(m, set->ids[i]);
    return n > members_voters(m) / 2;
}

/* Takes member i out. */
static void cut(struct zab_members *m, uint32_t i)
{
    m->n--;
    memmove(&m->at[i], &m->at[i + 1], (m->n - i) * sizeof m->at[0]);
}

static weir_err remove_member(struct zab_members *m, uint32_t id)
{
    const struct zab_member *found = members_find(m, id);
    if (!found) return WEIR_E_NOT_FOUND;
    cut(m, (uint32_t)(found - m->at));
    return WEIR_OK;
}

static weir_err put_member(struct zab_members *m, const struct zab_member *member)
{
    if (member->id == 0 || !memchr(member->address, 0, sizeof member->address)) return WEIR_E_ARGUMENT;
    const struct zab_member *found = members_find(m, member->id);
    if (found) {
        m->at[found - m->at] = *member;
        return WEIR_OK;
    }
    if (m->n == ZAB_MEMBERS_MAX) return WEIR_E_LIMIT;
    uint32_t i = m->n++;
    for (; i > 0 && m->at[i - 1].id > member->id; i--) m->at[i] = m->at[i - 1];
    m->at[i] = *member;
    return WEIR_OK;
}

weir_err members_change(const struct zab_members *from, const struct zab_change *changes, uint32_t n, struct zab_members *out)
{
    struct zab_members m = *from;
    m.version = (struct zxid){0};
    for (uint32_t i = 0; i < n; i++) {
        weir_err err = changes[i].remove ? remove_member(&m, changes[i].member.id) : put_member(&m, &changes[i].member);
        if (err) return err;
    }
    if (members_voters(&m) == 0) return WEIR_E_ARGUMENT;
    *out = m;
    return WEIR_OK;
}

void members_encode(const struct zab_members *m, struct buffer *out)
{
    put_zxid(out, m->version);
    put_u32(out, m->n);
    for (uint32_t i = 0; i < m->n; i++) {
        put_u32(out, m->at[i].id);
        put_u8(out, m->at[i].observer);
        put_u8(out, (uint8_t)strlen(m->at[i].address));
        buffer_add(out, m->at[i].address, strlen(m->at[i].address));
    }
}

static void read_member(struct reader *r, struct zab_member *out)
{
    *out = (struct zab_member){.id = read_u32(r), .observer = read_bool(r)};
    uint8_t len = read_u8(r);
    if (len >= ZAB_ADDRESS_MAX) r->broken = true;
    if (r->broken) return;
    read_exactly(r, out->address, len);
    if (strlen(out->address) != len) r->broken = true;
}

weir_err members_decode(struct weir_bytes bytes, struct zab_members *out)
{
    struct reader r;
    struct zab_members m = {0};
    uint32_t last = 0;
    reader_init(&r, bytes.data, bytes.length);
    m.version = read_zxid(&r);
    m.n = read_u32(&r);
    if (m.n > ZAB_MEMBERS_MAX) return WEIR_E_CORRUPT;
    for (uint32_t i = 0; i < m.n && !r.broken; i++) {
        read_member(&r, &m.at[i]);
        if (m.at[i].id <= last) r.broken = true;
        last = m.at[i].id;
    }
    if (!reader_done(&r) || members_voters(&m) == 0) return WEIR_E_CORRUPT;
    *out = m;
    return WEIR_OK;
}
