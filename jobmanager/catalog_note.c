/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/catalog_note.h"

#include <inttypes.h>
#include <stdio.h>

#include "jobmanager/catalog.h"
#include "runtime/base/assert.h"
#include "runtime/coord/bytes.h"

enum { MARK = 0xc1, FORM = 1 };

void catalog_note_put(struct buffer *out, const struct catalog_note *note)
{
    put_u8(out, MARK);
    put_u8(out, FORM);
    put_u64(out, note->claim);
    put_u64(out, note->number);
    put_u64(out, note->length);
    put_u32(out, note->part_bytes);
    put_u32(out, note->crc32c);
}

bool catalog_note_begins(struct weir_bytes value)
{
    return value.length > 0 && ((const unsigned char *)value.data)[0] == MARK;
}

bool catalog_note_read(struct weir_bytes value, struct catalog_note *out)
{
    struct reader r;
    struct catalog_note note;
    reader_init(&r, value.data, value.length);
    bool known = read_u8(&r) == MARK && read_u8(&r) == FORM;
    note.claim = read_u64(&r);
    note.number = read_u64(&r);
    note.length = read_u64(&r);
    note.part_bytes = read_u32(&r);
    note.crc32c = read_u32(&r);
    if (!known || !reader_done(&r) || !note.part_bytes || !note.length || note.length > CATALOG_VALUE_MAX) return false;
    if (note.length > (uint64_t)note.part_bytes * CATALOG_PARTS_MAX) return false;
    *out = note;
    return true;
}

bool catalog_note_same(const struct catalog_note *a, const struct catalog_note *b)
{
    return a->claim == b->claim && a->number == b->number;
}

uint32_t catalog_note_parts(const struct catalog_note *note)
{
    return (uint32_t)((note->length + note->part_bytes - 1) / note->part_bytes);
}

uint32_t catalog_note_part_bytes(const struct catalog_note *note, uint32_t index)
{
    uint64_t begin = (uint64_t)index * note->part_bytes;
    WEIR_ASSERT(begin < note->length);
    return note->length - begin < note->part_bytes ? (uint32_t)(note->length - begin) : note->part_bytes;
}

const char *catalog_note_folder(const struct catalog_note *note, char out[static CATALOG_PART_PATH])
{
    (void)snprintf(out, CATALOG_PART_PATH, CATALOG_PARTS "/%" PRIu64 "-%" PRIu64, note->claim, note->number);
    return out;
}

const char *catalog_note_part(const struct catalog_note *note, uint32_t index, char out[static CATALOG_PART_PATH])
{
    (void)snprintf(out, CATALOG_PART_PATH, CATALOG_PARTS "/%" PRIu64 "-%" PRIu64 "/%" PRIu32, note->claim, note->number, index);
    return out;
}
