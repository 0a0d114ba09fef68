/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link: ordered, exactly-once delivery of control messages between two processes over a transport that may lose, double, delay and
 * reorder packets, with a heartbeat that needs the round trip, so that both ends agree that the link is dead. A core: no socket, no
 * clock.
 *
 *     link_new ──▶ OPEN ──(no echo for timeout_ms | window full | peer's incarnation changed)──▶ DEAD
 *
 * Each packet carries: both incarnations, a nonce and the echo of the newest nonce seen, the number of its message (0 = none), and the
 * number up to which everything arrived. A message is sent again every retransmit_ms until acknowledged. A link never comes back: a new
 * one (new incarnation) takes its place. Late packets of an old incarnation are outcome LINK_STALE.
 *
 * Silence is counted from the sending of the newest nonce that came back, not from the arrival of its echo. So a link that loses one
 * direction at time t is dead at both ends by t + timeout_ms, whichever direction it was.
 *
 * Incarnations. Each end makes a fresh one (id_random) for each link, never one for the whole process: a link made anew with an old name
 * would take the numbers of the old one for its own. The end that opens the connection leaves `peer` zero: it learns the other end from
 * the first packet that is addressed to it, or to nobody yet. When another incarnation answers it afterwards, the peer has restarted:
 * LINK_STALE, and the link is DEAD. The end that listens asks link_peek for (from, to) and finds its link by `from`; when there is none,
 * it makes one if `to` is zero, else it drops the packet (the sender's link dies of silence). With `peer` given, packets of other
 * incarnations are LINK_STALE and change nothing.
 *
 * Messages are handed out only once the peer has answered: a late packet of a process long gone may open a link at the listener, but
 * never brings a message with it.
 *
 * A dead link makes no packets and takes none (LINK_STALE); messages that had arrived before can still be had from link_next.
 *
 * docs/protocol/control.md has the packet byte by byte. Owner: one thread at a time.
 */
#ifndef WEIR_RUNTIME_WIRE_LINK_H
#define WEIR_RUNTIME_WIRE_LINK_H

#include "runtime/base/buffer.h"
#include "runtime/base/id.h"
#include "runtime/base/limits.h"
#include "weir/row.h"

#define LINK_HEADER_BYTES 80u
/* Longest message, so that no packet exceeds WEIR_CONTROL_MAX. */
#define LINK_MESSAGE_MAX (WEIR_CONTROL_MAX - LINK_HEADER_BYTES)

struct link;

struct link_config {
    struct weir_id self;                              /* this end's incarnation, fresh for this link */
    struct weir_id peer;                              /* the other's; zero = learn it from the first packet */
    uint32_t heartbeat_ms, timeout_ms, retransmit_ms; /* each above 0; usually WEIR_HEARTBEAT_MS and its like */
};

enum link_state { LINK_OPEN, LINK_DEAD };

enum link_outcome {
    LINK_TAKEN,     /* packet used; messages may be ready */
    LINK_STALE,     /* of another incarnation of either end; dropped */
    LINK_DUPLICATE, /* message seen before; its acknowledgement is repeated */
    LINK_CORRUPT,   /* not a packet; dropped */
};

weir_err link_new(struct link **out, const struct link_config *config, int64_t now_ms);
void link_destroy(struct link **link);

/* What the other end does: its pause between heartbeats and its limit of silence are those of this end from now on. */
void link_set_heartbeat(struct link *link, uint32_t heartbeat_ms, uint32_t timeout_ms);

/*
 * Queues a message (copied) of 1 to LINK_MESSAGE_MAX bytes for the peer.
 * Errors: WEIR_E_LIMIT     WEIR_LINK_WINDOW messages or WEIR_LINK_BYTES bytes unacknowledged: the link becomes DEAD
 *         WEIR_E_ARGUMENT  empty or too long; the link stays open
 *         WEIR_E_STATE     the link is dead
 *         WEIR_E_NOMEM     nothing was queued; the link stays open
 */
weir_err link_send(struct link *link, const void *data, size_t len, int64_t now_ms);

/* Takes a packet from the transport. A message that finds no room (the owner does not call link_next) is dropped, and comes again. */
enum link_outcome link_receive(struct link *link, const void *packet, size_t len, int64_t now_ms);

/* The next message in order, borrowed until the next call of link_next or link_destroy; false: none, or the peer has never answered. */
bool link_next(struct link *link, struct weir_bytes *out);

/* Time passes. Then: the next packet to put on the transport, in `out` (cleared first); false when there is none now. Call until false. */
void link_tick(struct link *link, int64_t now_ms);
bool link_packet(struct link *link, struct buffer *out, int64_t now_ms);

int64_t link_deadline_ms(const struct link *link); /* when to call link_tick at the latest; INT64_MAX for a dead link */
enum link_state link_state(const struct link *link);
const char *link_reason(const struct link *link); /* why it is dead: "no answer for 3000 ms"; "" while open */
bool link_idle(const struct link *link);          /* everything sent was acknowledged */

/* The incarnation of the sender of a packet, without a link: how a listener finds the link, or sees a newcomer. false: not a packet. */
bool link_peek(const void *packet, size_t len, struct weir_id *from, struct weir_id *to);

#endif
