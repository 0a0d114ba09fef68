/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/lane.h"

#include <inttypes.h>

#include "runtime/base/assert.h"

#define LANE_MAGIC 0x454e4c57u /* "WLNE" */

void lane_close(struct lane *lane)
{
    buffer_close(&lane->out);
    *lane = (struct lane){0};
}

/* ---- sending ---- */

static void begin(struct lane *lane, enum lane_kind kind)
{
    put_u8(&lane->out, (uint8_t)kind);
    put_u64(&lane->out, lane->sent);
}

bool lane_put(struct lane *lane, struct weir_bytes message)
{
    if (lane->out.len == 0) begin(lane, LANE_DATA);
    put_bytes(&lane->out, message);
    return lane->out.len >= LANE_PACKET_BYTES;
}

bool lane_packet(struct lane *lane, struct weir_bytes *out)
{
    WEIR_ASSERT(!lane->out.err);
    *out = bytes_of(lane->out.data, lane->out.len);
    return lane->out.len > 0;
}

void lane_sent(struct lane *lane)
{
    buffer_clear(&lane->out);
    lane->sent++;
}

void lane_put_open(struct lane *lane, const struct lane_open *open)
{
    WEIR_ASSERT(lane->out.len == 0);
    begin(lane, LANE_OPEN);
    put_u32(&lane->out, LANE_MAGIC);
    put_u8(&lane->out, LANE_VERSION);
    buffer_add(&lane->out, open->cluster.bytes, sizeof open->cluster.bytes);
    put_u32(&lane->out, open->from);
    put_u32(&lane->out, open->to);
}

void lane_put_accept(struct lane *lane)
{
    WEIR_ASSERT(lane->out.len == 0);
    begin(lane, LANE_ACCEPT);
}

void lane_put_bye(struct lane *lane, const char *reason)
{
    WEIR_ASSERT(lane->out.len == 0);
    size_t length = strnlen(reason, LANE_REASON_MAX);
    begin(lane, LANE_BYE);
    put_bytes(&lane->out, bytes_of(reason, length));
}

/* ---- receiving ---- */

static weir_err read_open(struct reader *r, struct lane_open *open, struct weir_diag *diag)
{
    if (read_u32(r) != LANE_MAGIC) return weir_fail(diag, WEIR_E_PROTOCOL, "no packet of this protocol");
    if (read_u8(r) != LANE_VERSION) return weir_fail(diag, WEIR_E_PROTOCOL, "another version of the protocol than %u", LANE_VERSION);
    read_exactly(r, open->cluster.bytes, sizeof open->cluster.bytes);
    open->from = read_u32(r);
    open->to = read_u32(r);
    return WEIR_OK;
}

static weir_err read_kind(struct reader *r, struct lane_packet *out, struct weir_diag *diag)
{
    switch (out->kind) {
    case LANE_OPEN: return read_open(r, &out->open, diag);
    case LANE_ACCEPT: return WEIR_OK;
    case LANE_BYE: out->reason = read_bytes(r, LANE_REASON_MAX); return WEIR_OK;
    case LANE_DATA:
        out->messages = *r;
        read_slice(r, (uint32_t)reader_left(r));
        return WEIR_OK;
    }
    return weir_fail(diag, WEIR_E_PROTOCOL, "no packet of this protocol");
}

weir_err lane_read(struct lane *lane, struct weir_bytes packet, struct lane_packet *out, struct weir_diag *diag)
{
    struct reader r;
    reader_init(&r, packet.data, packet.length);
    *out = (struct lane_packet){.kind = (enum lane_kind)read_u8(&r)};
    uint64_t number = read_u64(&r);
    weir_err err = read_kind(&r, out, diag);
    if (err) return err;
    if (!reader_done(&r)) return weir_fail(diag, WEIR_E_PROTOCOL, "a packet of another length than its form has");
    if (out->kind != LANE_BYE && number != lane->received)
        return weir_fail(diag, WEIR_E_PROTOCOL, "packet %" PRIu64 " came in the place of %" PRIu64 ": some were lost", number,
                         lane->received);
    lane->received++;
    return WEIR_OK;
}

bool lane_next(struct reader *messages, struct weir_bytes *out)
{
    if (reader_left(messages) == 0) return false;
    *out = read_bytes(messages, LANE_MESSAGE_MAX);
    return !messages->broken;
}
