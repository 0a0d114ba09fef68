/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame: the unit of transport between workers. 64 bytes of header, little-endian, then records. docs/protocol/frame.md specifies it
 * byte by byte.
 */
#ifndef WEIR_RUNTIME_WIRE_FRAME_H
#define WEIR_RUNTIME_WIRE_FRAME_H

#include "weir/operator.h"

#define FRAME_MAGIC 0x52494557u /* "WEIR" */
#define FRAME_VERSION 1

enum frame_kind {
    FRAME_DATA = 1,      /* `count` records in `bytes` bytes; time_ms = event time of the last one, a hint for the receiver's order */
    FRAME_WATERMARK = 2, /* time_ms = the watermark */
    FRAME_IDLE = 3,      /* this channel does not hold the watermark back until it is active again */
    FRAME_ACTIVE = 4,
    FRAME_END = 5,     /* end of input: nothing follows on this channel */
    FRAME_BARRIER = 6, /* time_ms = id of the checkpoint, above 0; flags = set of enum checkpoint_option (message.h) */
    /* between net threads; not part of a channel's sequence */
    FRAME_CREDIT = 16, /* receiver to sender: seq = frames consumed so far, time_ms = next frame expected */
    FRAME_PROBE = 17,  /* sender to receiver: seq = next number to be sent; a receiver that expects less has lost a tail */
};

enum { FRAME_UNIFORM = 1 }; /* flag of DATA: every record of the frame has the span `stride` */

struct frame_header {
    uint32_t magic;
    uint8_t version;
    uint8_t kind;
    uint16_t flags;
    uint64_t job; /* first eight bytes of the job's id */
    uint64_t epoch;
    uint32_t attempt;
    uint32_t channel;
    uint64_t seq;   /* from 0, without gap, over all frames of the channel's sequence */
    uint32_t count; /* records */
    uint32_t bytes; /* after the header */
    int64_t time_ms;
    uint32_t stride;
    uint32_t crc; /* CRC32C of header (this field 0) and bytes; set on remote channels only */
};
static_assert(sizeof(struct frame_header) == 64, "frame header");

/* Fills magic, version, crc. The rest is the caller's. data: header and bytes in one run. */
void frame_seal(struct frame_header *frame);

/*
 * Checks a frame that came from outside: length, magic, version, kind, bytes, checksum, and that its records lie in it, 8-byte aligned,
 * counts and spans agreeing. Errors: WEIR_E_CORRUPT, WEIR_E_UNSUPPORTED (version).
 */
weir_err frame_check(const void *data, size_t len, struct weir_diag *diag);

/*
 * Its two halves. Outside: what the first 64 bytes must be for the frame to find its channel. Inside: the rest, for a frame that has passed
 * the first half; it reads every record, so whoever processes them does it, with the frame then in its cache.
 */
weir_err frame_check_outside(const void *data, size_t len, struct weir_diag *diag);
weir_err frame_check_inside(const void *data, struct weir_diag *diag);

#endif
