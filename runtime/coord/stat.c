/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/stat.h"

void put_stat(struct buffer *b, const struct coord_stat *s)
{
    put_zxid(b, s->czxid);
    put_zxid(b, s->mzxid);
    put_zxid(b, s->pzxid);
    put_i64(b, s->ctime_ms);
    put_i64(b, s->mtime_ms);
    put_u64(b, s->version);
    put_u64(b, s->cversion);
    put_u64(b, s->aversion);
    put_u64(b, s->owner);
    put_u64(b, s->ttl_ms);
    put_u32(b, s->data_len);
    put_u32(b, s->n_children);
    put_u8(b, s->kind);
}

struct coord_stat read_stat(struct reader *r)
{
    struct coord_stat s = {.czxid = read_zxid(r)};
    s.mzxid = read_zxid(r);
    s.pzxid = read_zxid(r);
    s.ctime_ms = read_i64(r);
    s.mtime_ms = read_i64(r);
    s.version = read_u64(r);
    s.cversion = read_u64(r);
    s.aversion = read_u64(r);
    s.owner = read_u64(r);
    s.ttl_ms = read_u64(r);
    s.data_len = read_u32(r);
    s.n_children = read_u32(r);
    s.kind = read_u8(r);
    return s;
}
