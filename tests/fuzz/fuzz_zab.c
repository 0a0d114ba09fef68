/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between peers: what decodes is written back byte by byte the same, and so are lists of members. Then a whole peer is fed with
 * the input as a script: links, time, fsyncs, and messages of hostile members. It may reset links and give up, but never break.
 *
 * A script is steps of two bytes, what and whom; a MESSAGE is followed by its length (one byte) and its bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/coord/zab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEP_MESSAGE, STEP_UP, STEP_DOWN, STEP_TICK, STEP_LATE, STEP_PERSISTED, STEP_PROPOSE, STEP_BARRIER, STEP_LOG_READ, STEPS };

static void must(bool condition)
{
    if (!condition) abort();
}

static void round_trip(const uint8_t *data, size_t size)
{
    struct zab_message m;
    struct weir_diag diag;
    struct buffer b = {0};
    if (!message_decode(data, size, &m, &diag)) {
        message_encode(&m, &b);
        must(!b.err && b.len == size && !memcmp(b.data, data, size));
    }
    struct zab_members members;
    if (size <= UINT32_MAX && !members_decode((struct weir_bytes){data, (uint32_t)size}, &members)) {
        buffer_clear(&b);
        members_encode(&members, &b);
        must(!b.err && b.len == size && !memcmp(b.data, data, size));
    }
    buffer_close(&b);
}

struct victim {
    struct zab *zab;
    struct zab_actions actions;
    uint64_t ticket; /* newest */
    uint64_t read;   /* number of the newest read */
    int64_t now_ms;
};

static void begin(struct victim *v)
{
    struct zab_members members = {.n = 3, .at = {{.id = 1}, {.id = 2}, {.id = 3}}};
    struct zab_recovery recovery;
    struct weir_diag diag;
    recovery_init(&recovery, &members);
    recovery_epochs(&recovery, 2, 2);
    must(!recovery_entry(&recovery, &(struct zab_entry){.zxid = {1, 1}}, &diag));
    must(!recovery_entry(&recovery, &(struct zab_entry){.zxid = {2, 1}, .prev = {1, 1}}, &diag));
    zab_new(&v->zab, &(struct zab_config){.id = 1, .window_bytes = 512}, &recovery, 0, &v->actions);
}

static void step(struct victim *v, struct zab_event ev)
{
    ev.now_ms = v->now_ms;
    zab_step(v->zab, &ev, &v->actions);
    for (uint32_t i = 0; i < v->actions.n; i++)
        if (v->actions.at[i].ticket)
            v->ticket = v->actions.at[i].ticket;
        else if (v->actions.at[i].type == ZAB_DO_READ_LOG)
            v->read = v->actions.at[i].read_log.read;
}

/* Returns the bytes used; 0: the script ends. */
static size_t play(struct victim *v, const uint8_t *at, size_t left)
{
    struct zab_message m;
    struct weir_diag diag;
    struct zab_entry entry = {.zxid = {1, 1}};
    if (left < 2) return 0;
    uint32_t whom = at[1] % 4;
    switch (at[0] % STEPS) {
    case STEP_MESSAGE:
        if (left < 3 || left - 3 < at[2]) return 0;
        if (!message_decode(at + 3, at[2], &m, &diag)) step(v, (struct zab_event){.type = ZAB_EV_MESSAGE, .message = {whom, &m}});
        return 3u + at[2];
    case STEP_UP: step(v, (struct zab_event){.type = ZAB_EV_LINK_UP, .peer = whom}); return 2;
    case STEP_DOWN: step(v, (struct zab_event){.type = ZAB_EV_LINK_DOWN, .peer = whom}); return 2;
    case STEP_LATE: v->now_ms += 10 * at[1]; /* fall through */
    case STEP_TICK:
        v->now_ms += at[1];
        step(v, (struct zab_event){.type = ZAB_EV_TICK});
        return 2;
    case STEP_PERSISTED: step(v, (struct zab_event){.type = ZAB_EV_PERSISTED, .ticket = v->ticket}); return 2;
    case STEP_PROPOSE: step(v, (struct zab_event){.type = ZAB_EV_PROPOSE, .bytes = {at, 2}}); return 2;
    case STEP_BARRIER: step(v, (struct zab_event){.type = ZAB_EV_BARRIER, .token = at[1]}); return 2;
    default:
        step(v, (struct zab_event){.type = ZAB_EV_LOG_READ,
                                   .log_read = {.reader = at[1] % 4, .read = v->read, .n = at[1] > 127, .entries = &entry}});
        return 2;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    round_trip(data, size);
    struct victim v = {0};
    begin(&v);
    for (size_t used; (used = play(&v, data, size)) > 0; size -= used) data += used;
    zab_destroy(&v.zab);
    zab_actions_close(&v.actions);
    return 0;
}
