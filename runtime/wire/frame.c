/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/wire/frame.h"

#include <inttypes.h>

#include "runtime/base/hash.h"
#include "runtime/base/limits.h"
#include "runtime/wire/message.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are written as they lie in memory");
static_assert(sizeof(struct weir_record) == 16, "record header");

/* The checksum covers the header as it is with its own field zero. */
static uint32_t checksum(const struct frame_header *header, const void *body)
{
    struct frame_header h = *header;
    h.crc = 0;
    return crc32c(crc32c(0, &h, sizeof h), body, h.bytes);
}

void frame_seal(struct frame_header *frame)
{
    frame->magic = FRAME_MAGIC;
    frame->version = FRAME_VERSION;
    frame->crc = checksum(frame, frame + 1);
}

static bool known_kind(uint8_t kind)
{
    return (kind >= FRAME_DATA && kind <= FRAME_BARRIER) || kind == FRAME_CREDIT || kind == FRAME_PROBE;
}

/* One record of a frame from outside: what the code behind takes for granted about its header. */
static weir_err check_record(const struct weir_record *rec, uint32_t left, struct weir_diag *diag)
{
    if (rec->size > WEIR_ROW_MAX || weir_record_span(rec->size) > left) return weir_fail(diag, WEIR_E_CORRUPT, "it leaves the frame");
    if (rec->kind > WEIR_DELETE || rec->flags != 0 || rec->key_group >= WEIR_KEY_GROUPS)
        return weir_fail(diag, WEIR_E_CORRUPT, "its kind, flags or key group are out of range");
    return WEIR_OK;
}

static weir_err check_records(const struct frame_header *h, const unsigned char *body, struct weir_diag *diag)
{
    uint32_t at = 0;
    if (h->count == 0 || h->count > WEIR_BATCH_MAX)
        return weir_fail(diag, WEIR_E_CORRUPT, "frame of %" PRIu32 " records; the range is 1 to %u", h->count, WEIR_BATCH_MAX);
    for (uint32_t i = 0; i < h->count; i++) {
        struct weir_record rec;
        if (h->bytes - at < sizeof rec)
            return weir_fail(diag, WEIR_E_CORRUPT, "frame of %" PRIu32 " bytes ends before its record %" PRIu32, h->bytes, i);
        memcpy(&rec, body + at, sizeof rec);
        weir_err err = check_record(&rec, h->bytes - at, diag);
        if (err) return weir_wrap(diag, err, "record %" PRIu32 " of a frame", i);
        uint32_t span = weir_record_span(rec.size);
        if ((h->flags & FRAME_UNIFORM) && span != h->stride)
            return weir_fail(diag, WEIR_E_CORRUPT, "record %" PRIu32 " breaks the stride of its frame", i);
        at += span;
    }
    if (at != h->bytes) return weir_fail(diag, WEIR_E_CORRUPT, "%" PRIu32 " bytes follow the last record of a frame", h->bytes - at);
    return WEIR_OK;
}

static weir_err check_marker(const struct frame_header *h, struct weir_diag *diag)
{
    if (h->bytes || h->count || (h->flags && h->kind != FRAME_BARRIER))
        return weir_fail(diag, WEIR_E_CORRUPT, "frame of kind %u has records or flags", h->kind);
    if (h->kind == FRAME_BARRIER && h->time_ms <= 0)
        return weir_fail(diag, WEIR_E_CORRUPT, "a barrier of checkpoint %" PRId64 "; ids are above 0", h->time_ms);
    return WEIR_OK;
}

weir_err frame_check_outside(const void *data, size_t len, struct weir_diag *diag)
{
    struct frame_header h;
    if (len < sizeof h || len > WEIR_FRAME_MAX) return weir_fail(diag, WEIR_E_CORRUPT, "%zu bytes are no frame", len);
    memcpy(&h, data, sizeof h); /* a transport's buffer need not be aligned */
    if (h.magic != FRAME_MAGIC) return weir_fail(diag, WEIR_E_CORRUPT, "no frame: wrong magic %08" PRIx32, h.magic);
    if (h.version != FRAME_VERSION)
        return weir_fail(diag, WEIR_E_UNSUPPORTED, "frame of version %u; this build knows version %u", h.version, FRAME_VERSION);
    if (h.bytes != len - sizeof h)
        return weir_fail(diag, WEIR_E_CORRUPT, "frame says %" PRIu32 " bytes and has %zu", h.bytes, len - sizeof h);
    return WEIR_OK;
}

weir_err frame_check_inside(const void *data, struct weir_diag *diag)
{
    struct frame_header h;
    memcpy(&h, data, sizeof h);
    const unsigned char *body = (const unsigned char *)data + sizeof h;
    if (checksum(&h, body) != h.crc) return weir_fail(diag, WEIR_E_CORRUPT, "frame's checksum differs");
    if (!known_kind(h.kind)) return weir_fail(diag, WEIR_E_CORRUPT, "frame of unknown kind %u", h.kind);
    unsigned known = h.kind == FRAME_BARRIER ? CHECKPOINT_OPTIONS : FRAME_UNIFORM;
    if (h.flags & ~known) return weir_fail(diag, WEIR_E_CORRUPT, "frame has unknown flags %04x", h.flags);
    return h.kind == FRAME_DATA ? check_records(&h, body, diag) : check_marker(&h, diag);
}

weir_err frame_check(const void *data, size_t len, struct weir_diag *diag)
{
    weir_err err = frame_check_outside(data, len, diag);
    return err ? err : frame_check_inside(data, diag);
}
