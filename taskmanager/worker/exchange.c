/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/exchange.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/wire/frame.h"

#define PROBE_PAUSE_MAX \
    6u /* the pause between unanswered probes of a channel grows to 2 to the power of this many rounds (half a minute) ... */
#define PROBES_UNANSWERED 32u /* ... so that within ten minutes at most so many lie in the queue of a peer that does not read */
#define RECEIVES_A_PUMP 64u   /* messages per socket before the other direction gets its turn */

struct peer {
    struct weir_id incarnation;
    struct net_socket *dealer; /* NULL for this worker itself, and before START */
};

struct exchange {
    struct deployment *d;
    struct net_socket *router;
    struct peer *peers; /* by worker index; n_peers of them */
    uint32_t n_peers;   /* = d->n_workers, for the time when the deployment has gone */
    struct weir_id self;
    struct frame_pool pool;
    struct net_parts parts;
    uint64_t job, epoch;
    uint32_t attempt, silence_ms;
    bool connected;
    uint64_t n_dropped;
    int64_t probe_at_ms;
    uint64_t probe_round; /* grows by one every WEIR_PROBE_MS */
};

/* Credit bounds what is under way, so the marks only have to stand above it: ZeroMQ never decides to drop or to block. */
static uint32_t high_water_mark(const struct deployment *d)
{
    uint64_t frames = 4096; /* credits */
    for (uint32_t c = 0; c < d->plan->n_channels; c++)
        if (d->channels[c].channel) frames += d->channels[c].channel->window + PROBES_UNANSWERED;
    return frames < INT32_MAX ? (uint32_t)frames : INT32_MAX;
}

/* ---- life
 * --------------------------------------------------------------------------------------------------------------------------------- */

weir_err exchange_new(struct exchange **out, struct deployment *d, const struct wire_msg *deploy, struct weir_id incarnation,
                      const char *endpoint, uint32_t silence_ms, struct weir_diag *diag)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the data plane");
    x->d = d;
    x->self = incarnation;
    x->silence_ms = silence_ms;
    x->job = id_word(deploy->job);
    x->epoch = deploy->epoch;
    x->attempt = deploy->attempt;
    for (uint32_t t = 0; t < d->n_threads; t++)
        d->threads[t].outbox.address = (struct frame_header){.job = x->job, .epoch = x->epoch, .attempt = x->attempt};
    frame_pool_init(&x->pool);
    net_parts_init(&x->parts);
    x->peers = calloc(d->n_workers, sizeof *x->peers);
    x->n_peers = d->n_workers;
    uint32_t hwm = high_water_mark(d);
    struct net_socket_config config = {
        .kind = NET_ROUTER, .message_max = WEIR_FRAME_MAX, .send_hwm = hwm, .receive_hwm = hwm, .silence_ms = silence_ms, .plain = true};
    weir_err err = x->peers ? net_socket_new(&x->router, &config, diag) : weir_fail(diag, WEIR_E_NOMEM, "no memory for the data plane");
    if (!err) err = net_socket_bind(x->router, endpoint, diag);
    if (err) {
        exchange_destroy(&x);
        return err;
    }
    *out = x;
    return WEIR_OK;
}

void exchange_close(struct exchange *x)
{
    if (!x) return;
    net_parts_close(&x->parts);
    net_socket_destroy(&x->router);
    for (uint32_t i = 0; x->peers && i < x->n_peers; i++) net_socket_destroy(&x->peers[i].dealer);
}

void exchange_destroy(struct exchange **exchange)
{
    struct exchange *x = *exchange;
    if (!x) return;
    exchange_close(x);
    frame_pool_close(&x->pool);
    free(x->peers);
    free(x);
    *exchange = NULL;
}

const char *exchange_endpoint(const struct exchange *x)
{
    return net_socket_endpoint(x->router);
}

uint64_t exchange_dropped(const struct exchange *x)
{
    return x->n_dropped;
}

static weir_err connect_peer(struct exchange *x, const struct wire_peer *peer, struct weir_diag *diag)
{
    struct peer *p = &x->peers[peer->worker];
    p->incarnation = peer->incarnation;
    if (peer->worker == x->d->worker) return WEIR_OK;
    uint32_t hwm = high_water_mark(x->d);
    struct net_socket_config config = {.kind = NET_DEALER,
                                       .routing_id = {x->self.bytes, sizeof x->self.bytes},
                                       .message_max = WEIR_FRAME_MAX,
                                       .send_hwm = hwm,
                                       .receive_hwm = hwm,
                                       .silence_ms = x->silence_ms,
                                       .plain = true};
    weir_err err = net_socket_new(&p->dealer, &config, diag);
    if (!err) err = net_socket_connect(p->dealer, peer->endpoint, diag);
    return err ? weir_wrap(diag, err, "connect to worker %u", peer->worker) : WEIR_OK;
}

weir_err exchange_connect(struct exchange *x, const struct wire_msg *start, struct weir_diag *diag)
{
    if (start->start.n_peers != x->d->n_workers)
        return weir_fail(diag, WEIR_E_CORRUPT, "a start with %u peers for %u workers", start->start.n_peers, x->d->n_workers);
    for (uint32_t i = 0; i < start->start.n_peers; i++) {
        const struct wire_peer *peer = &start->start.peers[i];
        if (peer->worker >= x->d->n_workers || !id_is_zero(x->peers[peer->worker].incarnation) || id_is_zero(peer->incarnation))
            return weir_fail(diag, WEIR_E_CORRUPT, "a start that names worker %u wrongly", peer->worker);
        weir_err err = connect_peer(x, peer, diag);
        if (err) return err;
    }
    x->connected = true;
    return WEIR_OK;
}

/* ---- out
 * ---------------------------------------------------------------------------------------------------------------------------------- */

static void release_sent(void *data, void *hint)
{
    (void)data;
    RING_ACQUIRE(hint);
    frame_release(hint);
}

static void address(const struct exchange *x, struct frame_header *head)
{
    head->job = x->job;
    head->epoch = x->epoch;
    head->attempt = x->attempt;
    frame_seal(head);
}

static weir_err send_frame(struct exchange *x, struct frame *frame, struct weir_diag *diag)
{
    struct deployed_channel *dc = &x->d->channels[frame->head->channel];
    WEIR_ASSERT(dc->side == SIDE_SENDER);
    uint32_t bytes = frame->head->bytes;
    dc->channel->n_sent_net++;
    RING_RELEASE(frame); /* libzmq brings it to the thread that releases it, in an order that ThreadSanitizer does not see */
    struct net_message message;
    weir_err err = net_message_wrap(&message, frame->head, sizeof(struct frame_header) + bytes, release_sent, frame);
    if (err) {
        frame_release(frame);
        return weir_fail(diag, err, "no memory to send a frame");
    }
    err = net_send(x->peers[dc->peer].dealer, &message, 1);
    if (err) {
        net_message_close(&message);
        return weir_fail(diag, err, "send a frame to worker %u", dc->peer);
    }
    return WEIR_OK;
}

static weir_err send_credit(struct exchange *x, const struct channel *ch)
{
    const struct deployed_channel *dc = &x->d->channels[ch->id];
    struct frame_header head = {.kind = FRAME_CREDIT,
                                .channel = ch->id,
                                .seq = atomic_load_explicit(&ch->n_taken, memory_order_acquire),
                                .time_ms = (int64_t)ch->n_received};
    address(x, &head);
    struct weir_bytes parts[2] = {{x->peers[dc->peer].incarnation.bytes, sizeof(struct weir_id)}, {&head, sizeof head}};
    /* A credit that does not leave is no loss: the sender's next probe asks for it again. */
    (void)net_send_bytes(x->router, parts, 2);
    return WEIR_OK;
}

static weir_err drain_outboxes(struct exchange *x, bool *moved, struct weir_diag *diag)
{
    for (uint32_t t = 0; t < x->d->n_threads; t++) {
        struct outbox *box = &x->d->threads[t].outbox;
        struct frame *frame;
        struct channel *credit;
        while (outbox_take(box, &frame, &credit)) {
            *moved = true;
            weir_err err = credit ? send_credit(x, credit) : send_frame(x, frame, diag);
            if (err) return err;
        }
    }
    return WEIR_OK;
}

bool exchange_has_output(const struct exchange *x)
{
    for (uint32_t t = 0; t < x->d->n_threads; t++)
        if (ring_count(&x->d->threads[t].outbox.ring) > 0) return true;
    return false;
}

/* Asks after the frames of channels that have been silent: finds a lost tail, and brings back a lost credit. */
static void send_probes(struct exchange *x, int64_t now_ms)
{
    if (now_ms < x->probe_at_ms) return;
    x->probe_at_ms = now_ms + WEIR_PROBE_MS;
    x->probe_round++;
    for (uint32_t c = 0; c < x->d->plan->n_channels; c++) {
        struct deployed_channel *dc = &x->d->channels[c];
        if (dc->side != SIDE_SENDER || x->probe_round < dc->probe_round) continue;
        if (atomic_load_explicit(&dc->channel->n_taken, memory_order_relaxed) == dc->channel->n_sent_net) continue;
        dc->probe_round = x->probe_round + (1u << (dc->n_probes < PROBE_PAUSE_MAX ? dc->n_probes++ : PROBE_PAUSE_MAX));
        struct frame_header head = {.kind = FRAME_PROBE, .channel = c, .seq = dc->channel->n_sent_net};
        address(x, &head);
        struct weir_bytes part = {&head, sizeof head};
        (void)net_send_bytes(x->peers[dc->peer].dealer, &part, 1); /* the next probe follows anyway */
    }
}

/* ---- in
 * ----------------------------------------------------------------------------------------------------------------------------------- */

static void release_message(void *message)
{
    net_message_close(message);
    free(message);
}

/* The arrived message as a frame: around the message itself when its bytes are aligned, else copied. */
static struct frame *frame_of(struct exchange *x, struct net_message *message)
{
    void *data = net_message_data(message);
    size_t size = net_message_size(message);
    if ((uintptr_t)data % 8 == 0 && size >= 4096) {
        struct net_message *kept = malloc(sizeof *kept);
        struct frame *frame = kept ? frame_wrap(&x->pool, data, release_message, kept) : NULL;
        if (!frame) {
            free(kept);
            return NULL;
        }
        net_message_init(kept);
        net_message_move(kept, message);
        frame->head = net_message_data(kept); /* a short message's bytes lie in the message and move with it */
        return frame;
    }
    struct frame *frame = frame_take(&x->pool, (uint32_t)(size - sizeof(struct frame_header)));
    if (!frame) return NULL;
    memcpy(frame->head, data, size);
    frame->remote = true;
    return frame;
}

static weir_err lost(const struct deployed_channel *dc, uint64_t got, struct weir_diag *diag)
{
    return weir_fail(diag, WEIR_E_PROTOCOL, "channel %u from worker %u lost frames: %" PRIu64 " expected, %" PRIu64 " came",
                     dc->channel->id, dc->peer, dc->channel->n_received, got);
}

static weir_err take_in_order(struct exchange *x, struct deployed_channel *dc, const struct frame_header *head, struct net_message *message,
                              struct weir_diag *diag)
{
    struct channel *ch = dc->channel;
    if (head->seq < ch->n_received) { /* seen before: drop */
        x->n_dropped++;
        return WEIR_OK;
    }
    if (head->seq > ch->n_received) return lost(dc, head->seq, diag);
    struct frame *frame = frame_of(x, message);
    if (!frame) return weir_fail(diag, WEIR_E_NOMEM, "no memory for an arrived frame");
    if (channel_deliver(ch, frame)) {
        ch->receiver->due = true;
        return WEIR_OK;
    }
    frame_release(frame);
    return weir_fail(diag, WEIR_E_PROTOCOL, "worker %u sent more frames on channel %u than it had credit for", dc->peer, ch->id);
}

/* A frame header that has passed frame_check: is it of this attempt, and of a channel whose other end is `peer`? */
static struct deployed_channel *channel_of(struct exchange *x, const struct frame_header *head, uint32_t peer, enum channel_side side)
{
    if (head->job != x->job || head->epoch != x->epoch || head->attempt != x->attempt || head->channel >= x->d->plan->n_channels)
        return NULL;
    struct deployed_channel *dc = &x->d->channels[head->channel];
    return dc->side == side && dc->peer == peer ? dc : NULL;
}

static int64_t peer_of(const struct exchange *x, struct weir_bytes routing_id)
{
    if (routing_id.length != sizeof(struct weir_id)) return -1;
    for (uint32_t i = 0; i < x->d->n_workers; i++)
        if (memcmp(x->peers[i].incarnation.bytes, routing_id.data, sizeof(struct weir_id)) == 0) return i;
    return -1;
}

static weir_err take_from_router(struct exchange *x, struct weir_diag *diag)
{
    int64_t peer = x->parts.n == 2 ? peer_of(x, net_part(&x->parts, 0)) : -1;
    struct weir_bytes bytes = x->parts.n == 2 ? net_part(&x->parts, 1) : (struct weir_bytes){NULL, 0};
    if (peer < 0 || frame_check_outside(bytes.data, bytes.length, NULL)) {
        /* A stranger, or a peer's bytes damaged on the way; the gap the latter leaves fails the channel. The inside is its receiver's to
         * check. */
        x->n_dropped++;
        return WEIR_OK;
    }
    const struct frame_header *head = bytes.data;
    struct frame_header copy;
    memcpy(&copy, head, sizeof copy); /* short messages need not be aligned */
    struct deployed_channel *dc = channel_of(x, &copy, (uint32_t)peer, SIDE_RECEIVER);
    bool ours = dc && copy.kind != FRAME_CREDIT && (copy.kind != FRAME_PROBE || !frame_check_inside(bytes.data, NULL));
    if (!ours) {
        x->n_dropped++;
        return WEIR_OK;
    }
    if (copy.kind != FRAME_PROBE) return take_in_order(x, dc, &copy, &x->parts.part[1], diag);
    if (copy.seq > dc->channel->n_received) return lost(dc, copy.seq, diag);
    return send_credit(x, dc->channel);
}

static weir_err take_credit(struct exchange *x, uint32_t peer, struct weir_diag *diag)
{
    struct weir_bytes bytes = x->parts.n == 1 ? net_part(&x->parts, 0) : (struct weir_bytes){NULL, 0};
    struct frame_header head = {0};
    if (bytes.length >= sizeof head && !frame_check(bytes.data, bytes.length, NULL)) memcpy(&head, bytes.data, sizeof head);
    struct deployed_channel *dc = head.kind == FRAME_CREDIT ? channel_of(x, &head, peer, SIDE_SENDER) : NULL;
    if (!dc) {
        x->n_dropped++;
        return WEIR_OK;
    }
    dc->n_probes = 0;
    dc->probe_round = 0;
    if (channel_credit(dc->channel, head.seq)) return WEIR_OK;
    return weir_fail(diag, WEIR_E_PROTOCOL, "worker %u acknowledged frames of channel %u that were never sent", peer, head.channel);
}

/* Once for all that came in one go: a wake costs more than the frame it tells of. */
static void wake_receivers(struct exchange *x)
{
    for (uint32_t t = 0; t < x->d->n_threads; t++) {
        struct wake *wake = &x->d->threads[t].wake;
        if (!wake->due) continue;
        wake->due = false;
        wake_up(wake);
    }
}

static weir_err receive_all(struct exchange *x, bool *moved, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    for (uint32_t n = 0; !err && n < RECEIVES_A_PUMP && net_receive(x->router, &x->parts) != NET_NOTHING; n++) {
        *moved = true;
        err = take_from_router(x, diag);
    }
    for (uint32_t p = 0; !err && p < x->d->n_workers; p++) {
        for (uint32_t n = 0; !err && x->peers[p].dealer && n < RECEIVES_A_PUMP && net_receive(x->peers[p].dealer, &x->parts) != NET_NOTHING;
             n++) {
            *moved = true;
            err = take_credit(x, p, diag);
        }
    }
    return err;
}

weir_err exchange_pump(struct exchange *x, int64_t now_ms, bool *moved, struct weir_diag *diag)
{
    if (!x->connected) return WEIR_OK; /* frames of faster peers wait in the ROUTER until it is known who they are */
    frame_pool_adopt(&x->pool);
    weir_err err = receive_all(x, moved, diag);
    wake_receivers(x);
    if (!err) err = drain_outboxes(x, moved, diag);
    if (!err) send_probes(x, now_ms);
    return err;
}

uint32_t exchange_wait_items(struct exchange *x, struct net_wait *items, uint32_t max)
{
    if (!x->connected || max < x->d->n_workers + 1) return 0;
    uint32_t n = 0;
    items[n++] = (struct net_wait){.socket = x->router, .want_read = true};
    for (uint32_t i = 0; i < x->d->n_workers; i++)
        if (x->peers[i].dealer) items[n++] = (struct net_wait){.socket = x->peers[i].dealer, .want_read = true};
    return n;
}
