/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the log's segments: an entry, the one before it, a checksum over both, and how much of the segment was durable when it was
 * written. The last is what tells a torn tail from damage: bytes that a later record calls durable were there once.
 *
 *     u32 crc32c of what follows, u32 length, u32 magic, u8 kind, 3 zero bytes, zxid, zxid of the entry before, u64 durable, the entry,
 *     zeros up to a multiple of 8
 */
#ifndef WEIR_RUNTIME_COORD_LOG_RECORD_H
#define WEIR_RUNTIME_COORD_LOG_RECORD_H

#include "runtime/coord/bytes.h"
#include "runtime/coord/history.h"

#define RECORD_HEAD_BYTES 56u
#define RECORD_ENTRY_MAX (4u << 20) /* bytes of an entry */

struct log_record {
    struct zab_entry entry; /* bytes borrowed */
    uint64_t durable;       /* up to here the segment was durable */
    uint64_t size;          /* of the whole record */
};

/* Bytes a record of an entry of `length` bytes has. */
static inline uint64_t log_record_size(uint32_t length)
{
    return (RECORD_HEAD_BYTES + (uint64_t)length + 7) & ~7ull;
}

void put_log_record(struct buffer *b, const struct zab_entry *entry, uint64_t durable);
/* A whole, undamaged record at the start of `len` bytes? */
bool read_log_record(const void *data, size_t len, struct log_record *out);

#endif
