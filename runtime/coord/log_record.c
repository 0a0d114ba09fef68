/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/log_record.h"

#include "runtime/base/hash.h"

#define MAGIC 0x43455257u /* "WREC" */

void put_log_record(struct buffer *b, const struct zab_entry *entry, uint64_t durable)
{
    static const uint8_t zero[8];
    size_t at = b->len;
    uint64_t size = log_record_size(entry->bytes.length);
    put_u32(b, 0);
    put_u32(b, entry->bytes.length);
    put_u32(b, MAGIC);
    put_u8(b, (uint8_t)entry->kind);
    buffer_add(b, zero, 3);
    put_zxid(b, entry->zxid);
    put_zxid(b, entry->prev);
    put_u64(b, durable);
    buffer_add(b, entry->bytes.data, entry->bytes.length);
    buffer_add(b, zero, size - RECORD_HEAD_BYTES - entry->bytes.length);
    if (!b->err) patch_u32(b, at, crc32c(0, b->data + at + 4, size - 4));
}

bool read_log_record(const void *data, size_t len, struct log_record *out)
{
    struct reader r;
    struct log_record rec = {0};
    reader_init(&r, data, len);
    uint32_t crc = read_u32(&r), length = read_u32(&r);
    if (read_u32(&r) != MAGIC || length > RECORD_ENTRY_MAX || log_record_size(length) > len) return false;
    rec.size = log_record_size(length);
    if (crc32c(0, (const uint8_t *)data + 4, rec.size - 4) != crc) return false;
    rec.entry.kind = read_u8(&r);
    read_slice(&r, 3);
    rec.entry.zxid = read_zxid(&r);
    rec.entry.prev = read_zxid(&r);
    rec.durable = read_u64(&r);
    rec.entry.bytes = read_slice(&r, length);
    if (r.broken || rec.entry.kind > ZAB_ENTRY_MEMBERS) return false;
    *out = rec;
    return true;
}
