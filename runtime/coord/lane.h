/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane: messages between two programs, in order and whole, over one connection of a transport that may lose what was queued when it
 * breaks (ZeroMQ does, and says nothing). Both ends number their packets from 0; a packet with another number than the next ends the lane.
 * A packet holds as many messages as were put since the last one. docs/protocol/coord.md has the bytes.
 *
 *     who opens    OPEN ──▶ … DATA … ──▶ BYE
 *     who accepts  ACCEPT (or BYE) ──▶ … DATA … ──▶ BYE
 *
 * Embedded value, zero-initialised; lane_close frees it. No I/O: the owner sends what lane_packet gives and reads what came with lane_read.
 * Thread: one at a time.
 */
#ifndef WEIR_RUNTIME_COORD_LANE_H
#define WEIR_RUNTIME_COORD_LANE_H

#include "runtime/base/id.h"
#include "runtime/coord/bytes.h"

#define LANE_VERSION 1u
#define LANE_PACKET_BYTES (256u << 10)        /* a packet is sent when it has so many bytes, or when there is nothing more */
#define LANE_MESSAGE_MAX ((4u << 20) + 4096u) /* bytes of a message; a longer one breaks the lane */
#define LANE_PACKET_MAX (LANE_PACKET_BYTES + LANE_MESSAGE_MAX + 64u) /* bytes of a packet; the transport refuses longer ones */
#define LANE_REASON_MAX 255u                                         /* bytes of the words of a BYE; longer ones are cut */

enum lane_kind { LANE_OPEN = 1, LANE_ACCEPT = 2, LANE_DATA = 3, LANE_BYE = 4 };

/* Who opens a lane, and to whom. A client of a peer: all zero. */
struct lane_open {
    struct weir_id cluster;
    uint32_t from, to; /* peers */
};

struct lane {
    uint64_t sent, received; /* packets */
    struct buffer out;       /* the packet under way; empty: none */
};

void lane_close(struct lane *lane);

/* ---- sending ---- */

/* Adds a message to the packet under way. true: the packet is full and must be sent before the next message. */
bool lane_put(struct lane *lane, struct weir_bytes message);
/* The packet under way, borrowed until lane_sent; false: none. An allocation that failed aborts: this is control code. */
bool lane_packet(struct lane *lane, struct weir_bytes *out);
void lane_sent(struct lane *lane);
/* These begin a packet of their own; what is under way goes first. */
void lane_put_open(struct lane *lane, const struct lane_open *open);
void lane_put_accept(struct lane *lane);
void lane_put_bye(struct lane *lane, const char *reason);

/* ---- receiving ---- */

struct lane_packet {
    enum lane_kind kind;
    struct lane_open open;    /* OPEN */
    struct reader messages;   /* DATA: for lane_next */
    struct weir_bytes reason; /* BYE */
};

/*
 * Reads a packet; what it gives is borrowed from it. Errors: WEIR_E_PROTOCOL: no packet of this version, or not the next one: the lane is
 * broken. A BYE is read whatever its number.
 */
weir_err lane_read(struct lane *lane, struct weir_bytes packet, struct lane_packet *out, struct weir_diag *diag);
/* The next message of a DATA packet. false: there is none, and `messages.broken` says whether the packet was whole. */
bool lane_next(struct reader *messages, struct weir_bytes *out);

#endif
