/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links: the input is a script. Two ends talk, and the script says what the network does to each packet (deliver, lose, double, keep for
 * later), when time passes, and what a stranger who knows both incarnations and can compute checksums puts in between. Without a
 * stranger, what comes out is what went in, in order. With one, nothing but the invariants of memory and of the state machine is
 * promised.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/wire/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEPT_MAX 16u

struct kept {
    struct buffer bytes;
    unsigned to;
};

struct script {
    struct link *ends[2];
    uint64_t sent[2], got[2];
    int64_t now_ms;
    bool stranger;
    struct kept kept[KEPT_MAX];
    unsigned n_kept;
    struct buffer packet;
};

static void must(bool condition)
{
    if (!condition) abort();
}

static void listen(struct script *s, unsigned who)
{
    struct weir_bytes m;
    while (link_next(s->ends[who], &m)) {
        uint64_t number;
        s->got[who]++;
        if (s->stranger) continue;
        must(m.length == sizeof number);
        memcpy(&number, m.data, sizeof number);
        must(number == s->got[who]);
        must(number <= s->sent[1 - who]);
    }
}

static void deliver(struct script *s, unsigned to, const struct buffer *bytes)
{
    enum link_state before = link_state(s->ends[to]);
    enum link_outcome outcome = link_receive(s->ends[to], bytes->data, bytes->len, s->now_ms);
    must(before == LINK_OPEN || link_state(s->ends[to]) == LINK_DEAD); /* a link never comes back */
    must(before == LINK_OPEN || outcome == LINK_STALE || outcome == LINK_CORRUPT);
    must(s->stranger || outcome != LINK_CORRUPT);
    listen(s, to);
}

static void keep(struct script *s, unsigned to)
{
    struct kept *k = &s->kept[s->n_kept++ % KEPT_MAX];
    buffer_clear(&k->bytes);
    buffer_add(&k->bytes, s->packet.data, s->packet.len);
    k->to = to;
}

/* All packets of one end; two bits of `fate` for each. */
static void send_all(struct script *s, unsigned from, unsigned fate)
{
    unsigned to = 1 - from;
    for (unsigned n = 0; link_packet(s->ends[from], &s->packet, s->now_ms); n++, fate = fate >> 2 | (fate & 3) << 6) {
        must(n < 10000);
        must(link_state(s->ends[from]) == LINK_OPEN);
        switch (fate & 3) {
        case 0: deliver(s, to, &s->packet); break;
        case 1:
            deliver(s, to, &s->packet);
            deliver(s, to, &s->packet);
            break;
        case 2: keep(s, to); break;
        default: break; /* lost */
        }
    }
}

static void say(struct script *s, unsigned from)
{
    uint64_t number = s->sent[from] + 1;
    weir_err err = link_send(s->ends[from], &number, sizeof number, s->now_ms);
    must(err == WEIR_OK || err == WEIR_E_STATE || err == WEIR_E_LIMIT);
    if (!err) s->sent[from]++;
}

static void deliver_kept(struct script *s, unsigned which)
{
    struct kept *k = &s->kept[which % KEPT_MAX];
    if (k->bytes.len > 0) deliver(s, k->to, &k->bytes);
}

/* A kept packet with some of its bytes changed and its checksum put right. */
static void forge(struct script *s, unsigned which, uint8_t at, uint8_t with)
{
    struct kept *k = &s->kept[which % KEPT_MAX];
    uint32_t crc = 0;
    if (k->bytes.len < LINK_HEADER_BYTES) return;
    s->stranger = true;
    k->bytes.data[at % k->bytes.len] = with;
    memcpy(k->bytes.data + 8, &crc, sizeof crc);
    crc = crc32c(0, k->bytes.data, k->bytes.len);
    memcpy(k->bytes.data + 8, &crc, sizeof crc);
    deliver(s, k->to, &k->bytes);
}

static void begin(struct script *s)
{
    struct link_config a = {.self = {{1}}, .heartbeat_ms = 250, .timeout_ms = 3000, .retransmit_ms = 300};
    struct link_config b = a;
    b.self = (struct weir_id){{2}};
    b.peer = a.self;
    if (link_new(&s->ends[0], &a, 0) || link_new(&s->ends[1], &b, 0)) exit(0); /* no memory */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script s = {0};
    begin(&s);
    for (size_t i = 0; i + 2 < size && i < 3000; i += 3) {
        unsigned who = data[i] & 1;
        switch (data[i] >> 1 & 7) {
        case 0: say(&s, who); break;
        case 1:
            for (unsigned n = data[i + 1]; n > 0; n--) say(&s, who);
            break;
        case 2: send_all(&s, who, data[i + 1]); break;
        case 3: s.now_ms += data[i + 1]; break;
        case 4: s.now_ms += 16 * data[i + 1]; break;
        case 5: link_tick(s.ends[who], s.now_ms); break;
        case 6: deliver_kept(&s, data[i + 1]); break;
        default:
            if (data[i] & 16) forge(&s, data[i] >> 5, data[i + 1], data[i + 2]);
            break;
        }
        must(link_deadline_ms(s.ends[who]) >= 0);
        must((link_state(s.ends[who]) == LINK_DEAD) == (link_reason(s.ends[who])[0] != '\0'));
    }
    for (unsigned i = 0; i < KEPT_MAX; i++) buffer_close(&s.kept[i].bytes);
    buffer_close(&s.packet);
    link_destroy(&s.ends[0]);
    link_destroy(&s.ends[1]);

    struct weir_id from, to; /* and the bare bytes as a packet */
    link_peek(data, size, &from, &to);
    return 0;
}
