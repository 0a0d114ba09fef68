/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's core that hears anything from its server: the input is a list of {u8 what, u16 length, bytes}. What it answers is taken apart
 * as for the user. Each request is answered once. The messages about the ensemble are read as well.
 */
#include <stdlib.h>

#include "api/client/coord_client.h"
#include "api/client/coord_reply.h"
#include "runtime/coord/quorum.h"
#include "runtime/coord/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) abort();
}

struct listening {
    struct coord_client *core;
    struct coord_client_actions actions;
    uint64_t connection;
    int64_t now_ms;
    uint32_t asked, answered;
};

static void on_reply(void *arg, struct weir_coord_reply *reply)
{
    struct listening *l = arg;
    l->answered++;
    for (uint32_t i = 0; reply->results && i < reply->n; i++)
        for (uint32_t k = 0; k < reply->results[i].n_names; k++) must(strlen(reply->results[i].names[k]) <= 1024);
}

static void on_event(void *arg, const struct weir_coord_event *event)
{
    (void)arg;
    (void)event;
}

static void obey(struct listening *l)
{
    for (uint32_t i = 0; i < l->actions.n; i++) {
        const struct coord_client_action *a = &l->actions.at[i];
        struct weir_coord_reply reply;
        if (a->type == CLIENT_DO_DIAL) l->connection = a->connection;
        if (a->type != CLIENT_DO_ANSWER || !a->reply.fn) continue;
        reply_make(&reply, &l->actions, a);
        a->reply.fn(a->reply.arg, &reply);
        weir_coord_reply_close(&reply);
    }
}

static void ask(struct listening *l, uint8_t what)
{
    struct request *q = request_new(what & 1 ? ASK_READ : ASK_WRITE, on_reply, l);
    if (what & 1) {
        struct weir_coord_read read = {.type = 1 + what / 2 % 7, .path = "/a", .arg = l};
        if (read.type <= WEIR_COORD_GET_CHILDREN && what & 32) read.on_change = on_event;
        q->watch.id = 1;
        must(request_put_reads(q, &read, 1) == WEIR_COORD_OK);
    } else {
        struct weir_coord_op op = {.type = 1 + what / 2 % 6, .path = "/a", .acl = {(const uint8_t *)"\0", 2}};
        q->refused = request_put_ops(q, &op, 1);
    }
    q->deadline_ms = l->now_ms + 1000;
    l->asked++;
    coord_client_ask(l->core, &q, l->now_ms, &l->actions);
    obey(l);
}

static void act(struct listening *l, uint8_t what, struct weir_bytes bytes)
{
    switch (what & 3) {
    case 0: ask(l, what >> 2); break;
    case 1:
        l->now_ms += what;
        coord_client_tick(l->core, l->now_ms, &l->actions);
        obey(l);
        coord_client_up(l->core, l->connection, l->now_ms, &l->actions);
        obey(l);
        break;
    default:
        coord_client_message(l->core, l->connection, bytes, l->now_ms, &l->actions);
        obey(l);
        break;
    }
}

static void read_about_ensemble(struct weir_bytes bytes)
{
    static struct quorum_status status;
    static struct quorum_ask question;
    struct buffer b = {0};
    uint8_t outcome;
    if (read_quorum_status(bytes, &status)) put_quorum_status(&b, &status);
    if (read_quorum_ask(bytes, &question)) put_quorum_ask(&b, &question);
    must(b.len == 0 || (b.len == bytes.length && memcmp(b.data, bytes.data, b.len) == 0)); /* one form for one meaning */
    (void)read_quorum_outcome(bytes, &outcome);
    buffer_close(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct listening l = {.now_ms = 1000};
    struct reader r;
    read_about_ensemble(bytes_of(data, size));
    coord_client_new(&l.core, &(struct coord_client_config){.n_servers = 2, .session_timeout_ms = 1000});
    reader_init(&r, data, size);
    while (reader_left(&r) > 0) {
        uint8_t what = read_u8(&r);
        struct weir_bytes bytes = what & 2 ? read_slice(&r, read_u16(&r)) : bytes_of("", 0);
        if (r.broken) break;
        act(&l, what, bytes);
    }
    coord_client_end(l.core, &l.actions);
    obey(&l);
    must(l.asked == l.answered);
    coord_client_destroy(&l.core);
    coord_client_actions_close(&l.actions);
    return 0;
}
