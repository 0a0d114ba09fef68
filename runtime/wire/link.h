/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link: ordered, exactly-once delivery of control messages between two processes over a transport that may lose, double, delay and reorder
 * packets, with a heartbeat that needs the round trip, so that both ends agree that the link is dead. A core: no socket, no clock.
 *
 *     link_new ──▶ OPEN ──(no echo for timeout_ms | window full | peer's incarnation changed)──▶ DEAD
 *
 * Each packet carries: both incarnations, a nonce and the echo of the newest nonce seen, the number of its message (0 = none), and the number up
 * to which everything arrived. A message is sent again every retransmit_ms until acknowledged. A link never comes back: a new one (new incarnation)
 * takes its place. Late packets of an old incarnation are outcome LINK_STALE.
 */
#ifndef WEIR_RUNTIME_WIRE_LINK_H
#define WEIR_RUNTIME_WIRE_LINK_H

#include "runtime/base/buffer.h"
#include "runtime/base/id.h"
#include "weir/row.h"

struct link;

struct link_config {
    struct weir_id self;  /* this end's incarnation */
    struct weir_id peer;  /* the other's; zero = learn it from the first packet */
    uint32_t heartbeat_ms, timeout_ms, retransmit_ms;
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

/* Queues a message (copied) for the peer. Errors: WEIR_E_LIMIT (window full: the link becomes DEAD), WEIR_E_STATE (dead), WEIR_E_NOMEM. */
weir_err link_send(struct link *link, const void *data, size_t len, int64_t now_ms);

/* Takes a packet from the transport. */
enum link_outcome link_receive(struct link *link, const void *packet, size_t len, int64_t now_ms);

/* The next message in order, borrowed until the next call of link_next or link_destroy; false when there is none. */
bool link_next(struct link *link, struct weir_bytes *out);

/* Time passes. Then: the next packet to put on the transport, appended to `out` (cleared first); false when there is none now. Call until false. */
void link_tick(struct link *link, int64_t now_ms);
bool link_packet(struct link *link, struct buffer *out, int64_t now_ms);

int64_t link_deadline_ms(const struct link *link); /* when to call link_tick at the latest */
enum link_state link_state(const struct link *link);
const char *link_reason(const struct link *link); /* why it is dead: "no answer for 3000 ms"; "" while open */
bool link_idle(const struct link *link);          /* everything sent was acknowledged */

/* The incarnation of the sender of a packet, without a link: how a listener finds the link, or sees a newcomer. false: not a packet. */
bool link_peek(const void *packet, size_t len, struct weir_id *from, struct weir_id *to);

#endif
