/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/wire/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"

#define PACKET_MAGIC 0x4b4e4c57u /* "WLNK" */
#define PACKET_VERSION 1

/* Little-endian on the wire, as frames are. docs/protocol/control.md. */
struct packet {
    uint32_t magic;
    uint8_t version;
    uint8_t reserved[3]; /* zero */
    uint32_t crc;        /* CRC32C of the packet with this field 0 */
    uint32_t length;     /* of the message behind the header */
    struct weir_id from;
    struct weir_id to; /* zero: the sender does not know its peer yet */
    uint64_t nonce;    /* of the sender; never falls */
    uint64_t echo;     /* the newest nonce of the receiver that the sender has seen; 0 = none */
    uint64_t number;   /* of the message, from 1; 0 = none */
    uint64_t ack;      /* all messages of the receiver up to this one have arrived */
};
static_assert(sizeof(struct packet) == LINK_HEADER_BYTES, "link packet header");

struct slot {
    void *data; /* malloc'ed; NULL = empty */
    uint32_t length;
};

/* Messages by number: number n lies in slots[n & (cap - 1)]. It holds a run of at most WEIR_LINK_WINDOW numbers and grows up to that. */
struct ring {
    struct slot *slots;
    uint64_t cap; /* 0 or a power of two */
    uint64_t bytes;
};

struct link {
    struct weir_id self, peer;
    bool learns; /* the peer was not given: a change of it means that it restarted */
    enum link_state state;
    char reason[96];
    int64_t heartbeat_ms, timeout_ms, retransmit_ms;

    int64_t start_ms;    /* nonce = milliseconds since then, plus 1 */
    int64_t now_ms;      /* highest time seen: time does not run backwards here */
    int64_t proof_ms;    /* sending time of the newest nonce that came back */
    uint64_t seen_nonce; /* newest of the peer */
    uint64_t nonce;      /* newest sent */
    int64_t beat_ms;     /* when a packet is due, if only to show life */
    bool owes_packet;    /* an acknowledgement, or a sign of life that the peer waits for */
    bool answered;       /* an echo came: the peer lives now, and is not a packet from the past */

    struct ring sent;   /* acked + 1 ... last */
    uint64_t acked;     /* the peer has all up to this one */
    uint64_t last;      /* newest number given */
    uint64_t sent_upto; /* highest number that was ever in a packet */
    uint64_t again;     /* next number to be sent again; above again_upto = none now */
    uint64_t again_upto;
    uint64_t again_last; /* highest number that had been sent when sending again began */
    int64_t resend_ms;   /* when to send again, while something is unacknowledged */

    struct ring got;  /* handed + 1 ... with holes behind `arrived` */
    uint64_t arrived; /* all up to this one arrived */
    uint64_t handed;  /* all up to this one were given to the owner */
    void *lent;       /* what link_next gave last */
};

/* ---- ring ---------------------------------------------------------------------------------------------------------------------- */

static struct slot *slot_of(const struct ring *ring, uint64_t number)
{
    return &ring->slots[number & (ring->cap - 1)];
}

static bool present(const struct ring *ring, uint64_t number)
{
    return ring->cap > 0 && slot_of(ring, number)->data != NULL;
}

/* Grows until numbers from first to first + span - 1 have a slot each. */
static bool grow(struct ring *ring, uint64_t first, uint64_t span)
{
    if (span <= ring->cap) return true;
    WEIR_ASSERT(span <= WEIR_LINK_WINDOW);
    struct ring bigger = {.cap = ring->cap ? ring->cap : 8, .bytes = ring->bytes};
    while (bigger.cap < span) bigger.cap *= 2;
    bigger.slots = calloc(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots) return false;
    for (uint64_t i = 0; i < ring->cap; i++) *slot_of(&bigger, first + i) = *slot_of(ring, first + i);
    free(ring->slots);
    *ring = bigger;
    return true;
}

static bool ring_put(struct ring *ring, uint64_t first, uint64_t number, const void *data, uint32_t length)
{
    if (!grow(ring, first, number - first + 1)) return false;
    void *copy = malloc(length);
    if (!copy) return false;
    memcpy(copy, data, length);
    *slot_of(ring, number) = (struct slot){copy, length};
    ring->bytes += length;
    return true;
}

static struct slot ring_take(struct ring *ring, uint64_t number)
{
    struct slot *at = slot_of(ring, number);
    struct slot taken = *at;
    *at = (struct slot){NULL, 0};
    ring->bytes -= taken.length;
    return taken;
}

static void ring_close(struct ring *ring)
{
    for (uint64_t i = 0; i < ring->cap; i++) free(ring->slots[i].data);
    free(ring->slots);
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------- */

weir_err link_new(struct link **out, const struct link_config *config, int64_t now_ms)
{
    WEIR_ASSERT(!id_is_zero(config->self));
    WEIR_ASSERT(config->timeout_ms > 0);
    WEIR_ASSERT(config->heartbeat_ms > 0);
    WEIR_ASSERT(config->retransmit_ms > 0);
    struct link *l = calloc(1, sizeof *l);
    if (!l) return WEIR_E_NOMEM;
    l->self = config->self;
    l->peer = config->peer;
    l->learns = id_is_zero(config->peer);
    l->heartbeat_ms = config->heartbeat_ms;
    l->timeout_ms = config->timeout_ms;
    l->retransmit_ms = config->retransmit_ms;
    l->start_ms = l->now_ms = l->proof_ms = l->beat_ms = now_ms; /* the first packet is due at once */
    l->again = 1;
    *out = l;
    return WEIR_OK;
}

void link_destroy(struct link **link)
{
    struct link *l = *link;
    if (!l) return;
    ring_close(&l->sent);
    ring_close(&l->got);
    free(l->lent);
    free(l);
    *link = NULL;
}

void link_set_heartbeat(struct link *link, uint32_t heartbeat_ms, uint32_t timeout_ms)
{
    WEIR_ASSERT(timeout_ms > 0);
    WEIR_ASSERT(heartbeat_ms > 0);
    link->heartbeat_ms = heartbeat_ms;
    link->timeout_ms = timeout_ms;
    if (link->beat_ms > link->now_ms + heartbeat_ms) link->beat_ms = link->now_ms + heartbeat_ms;
}

static void die(struct link *l, const char *reason)
{
    if (l->state == LINK_DEAD) return;
    l->state = LINK_DEAD;
    snprintf(l->reason, sizeof l->reason, "%s", reason);
}

static void pass_time(struct link *l, int64_t now_ms)
{
    if (now_ms > l->now_ms) l->now_ms = now_ms;
}

static bool in_flight(const struct link *l)
{
    return l->sent_upto > l->acked;
}

static void check_silence(struct link *l)
{
    if (l->now_ms - l->proof_ms < l->timeout_ms) return;
    char text[64];
    snprintf(text, sizeof text, "no answer for %" PRId64 " ms", l->timeout_ms);
    die(l, text);
}

static uint64_t burst_end(const struct link *l)
{
    return l->again_last - l->acked > WEIR_LINK_BURST ? l->acked + WEIR_LINK_BURST : l->again_last;
}

/* What nobody acknowledged in time goes out again, oldest first. Usually one loss holds up all behind it, hence not everything at once. */
static void start_resend(struct link *l)
{
    if (!in_flight(l) || l->now_ms < l->resend_ms) return;
    l->again = l->acked + 1;
    l->again_last = l->sent_upto;
    l->again_upto = burst_end(l);
    l->resend_ms = l->now_ms + l->retransmit_ms;
}

void link_tick(struct link *link, int64_t now_ms)
{
    pass_time(link, now_ms);
    if (link->state == LINK_DEAD) return;
    check_silence(link);
    start_resend(link);
}

/* ---- sending ------------------------------------------------------------------------------------------------------------------- */

weir_err link_send(struct link *link, const void *data, size_t len, int64_t now_ms)
{
    pass_time(link, now_ms);
    if (link->state == LINK_DEAD) return WEIR_E_STATE;
    if (len == 0 || len > LINK_MESSAGE_MAX) return WEIR_E_ARGUMENT;
    if (link->last - link->acked == WEIR_LINK_WINDOW || link->sent.bytes + len > WEIR_LINK_BYTES) {
        die(link, "the peer does not acknowledge: too many messages wait");
        return WEIR_E_LIMIT;
    }
    if (!ring_put(&link->sent, link->acked + 1, link->last + 1, data, (uint32_t)len)) return WEIR_E_NOMEM;
    link->last++;
    return WEIR_OK;
}

/* The number of the message that goes next: one to be sent again, else a new one, else 0. */
static uint64_t next_number(const struct link *l)
{
    if (l->again <= l->again_upto) return l->again;
    return l->sent_upto < l->last ? l->sent_upto + 1 : 0;
}

static void note_sent(struct link *l, uint64_t number)
{
    l->beat_ms = l->now_ms + l->heartbeat_ms;
    l->owes_packet = false;
    if (number == 0) return;
    if (!in_flight(l)) l->resend_ms = l->now_ms + l->retransmit_ms;
    if (number > l->sent_upto)
        l->sent_upto = number;
    else
        l->again = number + 1;
}

static bool write_packet(const struct packet *header, const struct slot *message, struct buffer *out)
{
    unsigned char *at = buffer_extend(out, sizeof *header + header->length);
    if (!at) return false;
    memcpy(at, header, sizeof *header);
    if (header->length) memcpy(at + sizeof *header, message->data, header->length);
    uint32_t crc = crc32c(0, at, sizeof *header + header->length);
    memcpy(at + offsetof(struct packet, crc), &crc, sizeof crc);
    return true;
}

bool link_packet(struct link *link, struct buffer *out, int64_t now_ms)
{
    buffer_clear(out);
    pass_time(link, now_ms);
    if (link->state == LINK_DEAD) return false;
    uint64_t number = next_number(link);
    if (number == 0 && !link->owes_packet && link->now_ms < link->beat_ms) return false;
    const struct slot *message = number ? slot_of(&link->sent, number) : NULL;
    if (message) WEIR_ASSERT(message->data != NULL);
    link->nonce = (uint64_t)(link->now_ms - link->start_ms) + 1;
    struct packet header = {
        .magic = PACKET_MAGIC,
        .version = PACKET_VERSION,
        .length = message ? message->length : 0,
        .from = link->self,
        .to = link->peer,
        .nonce = link->nonce,
        .echo = link->seen_nonce,
        .number = number,
        .ack = link->arrived,
    };
    if (!write_packet(&header, message, out)) return false; /* no memory: as if lost; the next tick tries again */
    note_sent(link, number);
    return true;
}

/* ---- receiving ----------------------------------------------------------------------------------------------------------------- */

static bool read_packet(struct packet *header, const unsigned char *data, size_t len)
{
    static const uint8_t zeros[sizeof header->reserved];
    if (len < sizeof *header || len > WEIR_CONTROL_MAX) return false;
    memcpy(header, data, sizeof *header);
    if (header->magic != PACKET_MAGIC || header->version != PACKET_VERSION) return false;
    if (memcmp(header->reserved, zeros, sizeof zeros) != 0 || header->length != len - sizeof *header) return false;
    if ((header->number == 0) != (header->length == 0) || id_is_zero(header->from) || header->nonce == 0) return false;
    struct packet bare = *header;
    bare.crc = 0;
    return crc32c(crc32c(0, &bare, sizeof bare), data + sizeof bare, header->length) == header->crc;
}

bool link_peek(const void *packet, size_t len, struct weir_id *from, struct weir_id *to)
{
    struct packet header;
    if (!read_packet(&header, packet, len)) return false;
    *from = header.from;
    *to = header.to;
    return true;
}

/* Is the packet from our peer and for us? Learns who the peer is where that is open. */
static bool belongs(struct link *l, const struct packet *p)
{
    bool for_us = id_equal(p->to, l->self);
    if (!for_us && !id_is_zero(p->to)) return false;
    if (id_is_zero(l->peer)) l->peer = p->from;
    if (id_equal(p->from, l->peer)) return true;
    if (for_us && l->learns) die(l, "the peer has restarted");
    return false;
}

/* An echo or acknowledgement of what was never sent: its sender is broken, or worse. */
static bool plausible(const struct link *l, const struct packet *p)
{
    return p->echo <= l->nonce && p->ack <= l->sent_upto;
}

static void take_acks(struct link *l, uint64_t ack)
{
    if (ack <= l->acked) return;
    while (l->acked < ack) free(ring_take(&l->sent, ++l->acked).data);
    if (l->again <= l->acked) l->again = l->acked + 1;
    if (l->again_last > l->acked) l->again_upto = burst_end(l);
    l->resend_ms = l->now_ms + l->retransmit_ms; /* there is progress: the others get their time, too */
}

static void take_life(struct link *l, const struct packet *p)
{
    if (p->nonce > l->seen_nonce) l->seen_nonce = p->nonce;
    if (!l->answered) l->owes_packet = true; /* the first exchange does not wait for heartbeats */
    if (p->echo == 0) return;
    l->answered = true;
    int64_t sent_ms = l->start_ms + (int64_t)(p->echo - 1);
    if (sent_ms > l->proof_ms) l->proof_ms = sent_ms;
}

/*
 * Room for a message: the same window and bytes that bind the sender. So an honest sender's next message always finds room once the
 * owner has taken what came before: all else that is kept is unacknowledged, and counted at the sender together with it.
 */
static bool has_room(const struct link *l, const struct packet *p)
{
    return p->number - l->handed <= WEIR_LINK_WINDOW && l->got.bytes + p->length <= WEIR_LINK_BYTES;
}

static enum link_outcome take_message(struct link *l, const struct packet *p, const unsigned char *message)
{
    l->owes_packet = true; /* also for a doubled one: its acknowledgement may be what was lost */
    if (p->number <= l->arrived || (p->number - l->handed <= l->got.cap && present(&l->got, p->number))) return LINK_DUPLICATE;
    if (!has_room(l, p) || !ring_put(&l->got, l->handed + 1, p->number, message, p->length)) return LINK_TAKEN;
    while (l->arrived - l->handed < l->got.cap && present(&l->got, l->arrived + 1)) l->arrived++;
    return LINK_TAKEN;
}

enum link_outcome link_receive(struct link *link, const void *packet, size_t len, int64_t now_ms)
{
    struct packet p;
    pass_time(link, now_ms);
    if (!read_packet(&p, packet, len)) return LINK_CORRUPT;
    if (link->state == LINK_DEAD || !belongs(link, &p)) return LINK_STALE;
    if (!plausible(link, &p)) return LINK_CORRUPT;
    take_life(link, &p);
    check_silence(link); /* after the echo, before the message: an order that arrives after death must not be obeyed */
    if (link->state == LINK_DEAD) return LINK_STALE;
    take_acks(link, p.ack);
    if (p.number == 0) return LINK_TAKEN;
    return take_message(link, &p, (const unsigned char *)packet + sizeof p);
}

bool link_next(struct link *link, struct weir_bytes *out)
{
    free(link->lent);
    link->lent = NULL;
    if (!link->answered || link->handed == link->arrived) return false;
    struct slot taken = ring_take(&link->got, ++link->handed);
    link->lent = taken.data;
    *out = (struct weir_bytes){taken.data, taken.length};
    return true;
}

/* ---- questions ------------------------------------------------------------------------------------------------------------------ */

int64_t link_deadline_ms(const struct link *link)
{
    if (link->state == LINK_DEAD) return INT64_MAX;
    if (link->owes_packet || next_number(link)) return link->now_ms;
    int64_t at = link->proof_ms + link->timeout_ms;
    if (link->beat_ms < at) at = link->beat_ms;
    if (in_flight(link) && link->resend_ms < at) at = link->resend_ms;
    return at;
}

enum link_state link_state(const struct link *link)
{
    return link->state;
}

const char *link_reason(const struct link *link)
{
    return link->reason;
}

bool link_idle(const struct link *link)
{
    return link->acked == link->last;
}
