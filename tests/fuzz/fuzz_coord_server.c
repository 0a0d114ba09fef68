/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server that leads alone, with two clients who say anything: the input is a list of {u8 what, bytes}. The low bit of `what` says which
 * client, the next one whether its message goes to the server as a peer's instead, the others what happens besides. Whatever is said, each
 * request is answered once and in order, or its connection ends.
 */
#include <stdlib.h>

#include "runtime/coord/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) abort();
}

struct lonely {
    struct coord_state state;
    struct coord_server *server;
    struct coord_server_actions out;
    uint64_t counter, connections[2], next, answered[2];
    int64_t now_ms;
};

static void step(struct lonely *l, struct coord_server_event ev);

static void hear(struct lonely *l, uint64_t connection, struct weir_bytes bytes)
{
    struct say say;
    must(read_say(bytes, &say));
    if (say.type != SAY_REPLY) return;
    for (int i = 0; i < 2; i++) {
        if (l->connections[i] != connection) continue;
        must(say.xid > l->answered[i]);
        l->answered[i] = say.xid;
    }
}

/* The log is at once agreed upon; barriers are passed at once. */
static void perform(struct lonely *l, const struct coord_server_action *a, struct weir_bytes bytes)
{
    struct buffer copy = {0};
    buffer_add(&copy, bytes.data, bytes.length);
    struct weir_bytes kept = bytes_of(copy.data, copy.len);
    switch (a->type) {
    case COORD_DO_PROPOSE: step(l, (struct coord_server_event){.type = COORD_EV_DELIVER, .zxid = {1, ++l->counter}, .bytes = kept}); break;
    case COORD_DO_FORWARD: step(l, (struct coord_server_event){.type = COORD_EV_FORWARDED, .peer = 1, .bytes = kept}); break;
    case COORD_DO_TOUCH: step(l, (struct coord_server_event){.type = COORD_EV_TOUCHED, .peer = 1, .bytes = kept}); break;
    case COORD_DO_BARRIER: step(l, (struct coord_server_event){.type = COORD_EV_SYNCED, .token = a->token}); break;
    case COORD_DO_SEND: hear(l, a->connection, kept); break;
    case COORD_DO_CLOSE:
        for (int i = 0; i < 2; i++)
            if (l->connections[i] == a->connection) l->connections[i] = 0;
        break;
    }
    buffer_close(&copy);
}

static void step(struct lonely *l, struct coord_server_event ev)
{
    struct coord_server_actions out = {0};
    struct weir_diag diag;
    ev.now_ms = l->now_ms;
    ev.wall_ms = l->now_ms;
    must(!coord_server_step(l->server, &ev, &out, &diag));
    for (uint32_t i = 0; i < out.n; i++) perform(l, &out.at[i], out.bytes.data ? coord_server_bytes(&out, &out.at[i]) : bytes_of("", 0));
    coord_server_actions_close(&out);
}

static void ensure_open(struct lonely *l, unsigned who)
{
    if (l->connections[who]) return;
    l->connections[who] = ++l->next;
    l->answered[who] = 0;
    step(l, (struct coord_server_event){.type = COORD_EV_OPENED, .connection = l->next, .random = {1, (uint8_t)l->next}});
}

static void say_one(struct lonely *l, uint8_t what, struct weir_bytes bytes)
{
    unsigned who = what & 1;
    ensure_open(l, who);
    l->now_ms += what & 4 ? 300 : 1;
    if (what & 8) step(l, (struct coord_server_event){.type = COORD_EV_TICK});
    if (what & 2)
        step(l, (struct coord_server_event){.type = COORD_EV_FORWARDED, .peer = 1 + (what >> 6), .bytes = bytes});
    else if (l->connections[who])
        step(l, (struct coord_server_event){.type = COORD_EV_MESSAGE, .connection = l->connections[who], .bytes = bytes});
    if ((what & 48) == 48 && l->connections[who]) {
        uint64_t id = l->connections[who];
        l->connections[who] = 0;
        step(l, (struct coord_server_event){.type = COORD_EV_CLOSED, .connection = id});
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lonely l = {.now_ms = 1};
    struct coord_server_config config = {.id = 1, .limits = COORD_LIMITS_DEFAULT};
    struct reader r;
    struct say say;
    config.limits.events = 64;
    if (coord_state_init(&l.state)) return 0;
    coord_server_new(&l.server, &config, &l.state, l.now_ms);
    step(&l, (struct coord_server_event){.type = COORD_EV_ROLE, .established = true, .leads = true});
    reader_init(&r, data, size);
    while (reader_left(&r) > 0) {
        uint8_t what = read_u8(&r);
        struct weir_bytes bytes = read_bytes(&r, UINT32_MAX);
        if (!r.broken) say_one(&l, what, bytes);
    }
    coord_server_destroy(&l.server);
    coord_state_close(&l.state);
    read_say(bytes_of(data, size), &say); /* and the bare bytes, to a client */
    return 0;
}
