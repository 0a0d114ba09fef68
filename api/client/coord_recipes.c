/* SPDX-License-Identifier: Apache-2.0 */
/* The recipes that are sequences of synchronous calls: semaphore, barriers, queue, counter. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/client/coord_await.h"

/* "a/b" of two parts. false: too long. */
static bool join(char out[static WEIR_COORD_NODE_MAX], const char *folder, const char *name)
{
    int n = snprintf(out, WEIR_COORD_NODE_MAX, "%s/%s", folder, name);
    return n > 0 && n < (int)WEIR_COORD_NODE_MAX;
}

/* Creates; when the folder is missing, that first. */
static enum weir_coord_err create_in_folder(struct weir_coord *coord, const char *path, const void *data, uint32_t length, unsigned kind,
                                            struct weir_coord_reply *reply)
{
    enum weir_coord_err err = weir_coord_create(coord, path, data, length, kind, reply);
    if (err != WEIR_COORD_NO_NODE) return err;
    if (reply) weir_coord_reply_close(reply);
    err = weir_coord_create_parents(coord, path);
    return err ? err : weir_coord_create(coord, path, data, length, kind, reply);
}

/* ---- semaphore ----------------------------------------------------------------------------------------------------------------- */

/* Takes a lease, in one transaction with the look at the gate: who has lost his turn takes none. */
static enum weir_coord_err take_lease(struct weir_coord *coord, struct weir_coord_claim *gate, const char *leases,
                                      struct weir_coord_lease *out)
{
    char path[WEIR_COORD_NODE_MAX];
    struct weir_coord_reply reply;
    if (!join(path, leases, "l-")) return WEIR_COORD_BAD_ARGUMENTS;
    struct weir_coord_op ops[2] = {
        weir_coord_claim_check(gate),
        {.type = WEIR_COORD_CREATE, .path = path, .kind = WEIR_COORD_EPHEMERAL | WEIR_COORD_SEQUENTIAL},
    };
    enum weir_coord_err err = weir_coord_write(coord, ops, 2, &reply);
    if (!err) {
        (void)snprintf(out->path, sizeof out->path, "%s", reply.results[1].path);
        out->token = reply.results[1].stat.czxid;
    }
    weir_coord_reply_close(&reply);
    return err;
}

/* Only who is at the gate waits for a lease, so one that is given back wakes one. */
static enum weir_coord_err wait_at_gate(struct await *a, struct weir_coord_claim *gate, const char *leases, uint32_t max,
                                        struct weir_coord_lease *out)
{
    struct weir_coord_reply reply;
    enum weir_coord_err err = weir_coord_claim_wait(gate, await_left_ms(a));
    while (!err) {
        err = await_read(a, WEIR_COORD_GET_CHILDREN, leases, &reply);
        bool free_one = !err && reply.results[0].stat.n_children < max;
        weir_coord_reply_close(&reply);
        if (free_one) return take_lease(a->coord, gate, leases, out);
        if (!err) err = await_change(a);
    }
    return err;
}

enum weir_coord_err weir_coord_semaphore_acquire(struct weir_coord *coord, const char *folder, uint32_t max, int64_t timeout_ms,
                                                 struct weir_coord_lease *out)
{
    char gate_path[WEIR_COORD_NODE_MAX], leases[WEIR_COORD_NODE_MAX];
    struct weir_coord_claim *gate = NULL;
    struct await a;
    if (max == 0 || !join(gate_path, folder, "gate") || !join(leases, folder, "leases")) return WEIR_COORD_BAD_ARGUMENTS;
    enum weir_coord_err err = await_begin(&a, coord, timeout_ms);
    if (err) return err;
    err = create_in_folder(coord, leases, NULL, 0, WEIR_COORD_PERSISTENT, NULL);
    if (err == WEIR_COORD_NODE_EXISTS) err = WEIR_COORD_OK;
    if (!err) err = weir_coord_claim_enter(&gate, coord, gate_path, WEIR_COORD_EXCLUSIVE, (struct weir_bytes){0}, NULL, NULL);
    if (!err) err = wait_at_gate(&a, gate, leases, max, out);
    weir_coord_claim_leave(&gate);
    await_end(&a);
    return err;
}

enum weir_coord_err weir_coord_semaphore_release(struct weir_coord *coord, const struct weir_coord_lease *lease)
{
    return weir_coord_delete(coord, lease->path, WEIR_COORD_ANY_VERSION);
}

/* ---- barrier ------------------------------------------------------------------------------------------------------------------- */

enum weir_coord_err weir_coord_barrier_close(struct weir_coord *coord, const char *path)
{
    enum weir_coord_err err = create_in_folder(coord, path, NULL, 0, WEIR_COORD_PERSISTENT, NULL);
    return err == WEIR_COORD_NODE_EXISTS ? WEIR_COORD_OK : err;
}

enum weir_coord_err weir_coord_barrier_lift(struct weir_coord *coord, const char *path)
{
    enum weir_coord_err err = weir_coord_delete(coord, path, WEIR_COORD_ANY_VERSION);
    return err == WEIR_COORD_NO_NODE ? WEIR_COORD_OK : err;
}

/* Until there is no such node, which may be at once. */
static enum weir_coord_err wait_until_gone(struct await *a, const char *path)
{
    enum weir_coord_err err = await_read(a, WEIR_COORD_GET, path, NULL);
    while (!err) {
        err = await_change(a);
        if (!err) err = await_read(a, WEIR_COORD_GET, path, NULL);
    }
    return err == WEIR_COORD_NO_NODE ? WEIR_COORD_OK : err;
}

static enum weir_coord_err wait_until_there(struct await *a, const char *path)
{
    enum weir_coord_err err = await_read(a, WEIR_COORD_EXISTS, path, NULL);
    while (err == WEIR_COORD_NO_NODE) {
        err = await_change(a);
        if (!err) err = await_read(a, WEIR_COORD_EXISTS, path, NULL);
    }
    return err;
}

enum weir_coord_err weir_coord_barrier_wait(struct weir_coord *coord, const char *path, int64_t timeout_ms)
{
    struct await a;
    enum weir_coord_err err = await_begin(&a, coord, timeout_ms);
    if (err) return err;
    err = wait_until_gone(&a, path);
    await_end(&a);
    return err;
}

/* ---- double barrier ------------------------------------------------------------------------------------------------------------ */

struct meeting {
    char in[WEIR_COORD_NODE_MAX], own[WEIR_COORD_NODE_MAX], ready[WEIR_COORD_NODE_MAX];
};

static bool meeting_paths(struct meeting *m, const char *folder, const char *name)
{
    return name && name[0] && !strchr(name, '/') && join(m->in, folder, "in") && join(m->own, m->in, name) &&
           join(m->ready, folder, "ready");
}

/* Who completes the number says so; the others wait for that, and for nothing else. */
static enum weir_coord_err meet(struct await *a, const struct meeting *m, uint32_t n)
{
    struct weir_coord_stat stat;
    enum weir_coord_err err = create_in_folder(a->coord, m->own, NULL, 0, WEIR_COORD_EPHEMERAL, NULL);
    if (!err) err = weir_coord_exists(a->coord, m->in, &stat);
    if (!err && stat.n_children < n) return wait_until_there(a, m->ready);
    if (!err) err = weir_coord_create(a->coord, m->ready, NULL, 0, WEIR_COORD_PERSISTENT, NULL);
    return err == WEIR_COORD_NODE_EXISTS ? WEIR_COORD_OK : err;
}

enum weir_coord_err weir_coord_meeting_enter(struct weir_coord *coord, const char *folder, const char *name, uint32_t n, int64_t timeout_ms)
{
    struct meeting m;
    struct await a;
    if (!meeting_paths(&m, folder, name) || n == 0) return WEIR_COORD_BAD_ARGUMENTS;
    enum weir_coord_err err = await_begin(&a, coord, timeout_ms);
    if (err) return err;
    err = meet(&a, &m, n);
    if (err == WEIR_COORD_OPERATION_TIMEOUT) (void)weir_coord_delete(coord, m.own, WEIR_COORD_ANY_VERSION);
    await_end(&a);
    return err;
}

/*
 * The first in the list stays until it is alone, and waits for the last; all others go at once, and wait for the first. So everybody is
 * woken by one other. The one who is alone lifts "ready" together with itself: the next meeting begins with nothing.
 */
static enum weir_coord_err part(struct await *a, const struct meeting *m, const char *name)
{
    struct weir_coord_reply reply;
    char other[WEIR_COORD_NODE_MAX];
    for (;;) {
        enum weir_coord_err err = weir_coord_children(a->coord, m->in, &reply);
        uint32_t n = err ? 0 : reply.results[0].n_names;
        bool first = n > 0 && strcmp(reply.results[0].names[0], name) == 0;
        bool named = n > 0 && join(other, m->in, reply.results[0].names[first ? n - 1 : 0]);
        weir_coord_reply_close(&reply);
        if (err || n == 0) return err == WEIR_COORD_NO_NODE ? WEIR_COORD_OK : err;
        if (first && n == 1) {
            struct weir_coord_op ops[2] = {{.type = WEIR_COORD_DELETE, .path = m->own, .version = WEIR_COORD_ANY_VERSION},
                                           {.type = WEIR_COORD_DELETE, .path = m->ready, .version = WEIR_COORD_ANY_VERSION}};
            return weir_coord_write(a->coord, ops, 2, NULL);
        }
        if (!first) err = weir_coord_delete(a->coord, m->own, WEIR_COORD_ANY_VERSION);
        if (err == WEIR_COORD_NO_NODE) err = WEIR_COORD_OK; /* it has gone before */
        if (!err && named) err = wait_until_gone(a, other);
        if (err) return err;
    }
}

enum weir_coord_err weir_coord_meeting_leave(struct weir_coord *coord, const char *folder, const char *name, int64_t timeout_ms)
{
    struct meeting m;
    struct await a;
    if (!meeting_paths(&m, folder, name)) return WEIR_COORD_BAD_ARGUMENTS;
    enum weir_coord_err err = await_begin(&a, coord, timeout_ms);
    if (err) return err;
    err = part(&a, &m, name);
    await_end(&a);
    return err;
}

/* ---- queue --------------------------------------------------------------------------------------------------------------------- */

enum weir_coord_err weir_coord_queue_put(struct weir_coord *coord, const char *folder, const void *data, uint32_t length)
{
    char path[WEIR_COORD_NODE_MAX];
    if (strlen(folder) > WEIR_COORD_NODE_MAX - 64) return WEIR_COORD_BAD_ARGUMENTS;
    (void)snprintf(path, sizeof path, "%s/items/i-", folder);
    return create_in_folder(coord, path, data, length, WEIR_COORD_PERSISTENT | WEIR_COORD_SEQUENTIAL, NULL);
}

/* Takes the item, unless the turn is lost. */
static enum weir_coord_err take_item(struct await *a, struct weir_coord_claim *turn, const char *path, struct weir_coord_reply *reply)
{
    enum weir_coord_err err = weir_coord_get(a->coord, path, reply);
    struct weir_coord_op ops[2] = {weir_coord_claim_check(turn),
                                   {.type = WEIR_COORD_DELETE, .path = path, .version = WEIR_COORD_ANY_VERSION}};
    if (!err) err = weir_coord_write(a->coord, ops, 2, NULL);
    if (err) weir_coord_reply_close(reply);
    return err;
}

/* Names have at least ten digits, then more: shorter ones are older, equally long ones compare as texts. */
static bool older(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    return n != m ? n < m : strcmp(a, b) < 0;
}

static enum weir_coord_err wait_for_item(struct await *a, struct weir_coord_claim *turn, const char *items, struct weir_coord_reply *reply)
{
    char path[WEIR_COORD_NODE_MAX];
    for (;;) {
        enum weir_coord_err err = await_read(a, WEIR_COORD_GET_CHILDREN, items, reply);
        const char *oldest = NULL;
        for (uint32_t i = 0; !err && i < reply->results[0].n_names; i++)
            if (!oldest || older(reply->results[0].names[i], oldest)) oldest = reply->results[0].names[i];
        bool some = oldest && join(path, items, oldest);
        weir_coord_reply_close(reply);
        if (err) return err;
        if (some) return take_item(a, turn, path, reply);
        err = await_change(a);
        if (err) return err;
    }
}

enum weir_coord_err weir_coord_queue_take(struct weir_coord *coord, const char *folder, int64_t timeout_ms, struct weir_coord_reply *reply)
{
    char items[WEIR_COORD_NODE_MAX], takers[WEIR_COORD_NODE_MAX];
    struct weir_coord_claim *turn = NULL;
    struct await a;
    *reply = (struct weir_coord_reply){0};
    if (!join(items, folder, "items") || !join(takers, folder, "takers")) return WEIR_COORD_BAD_ARGUMENTS;
    enum weir_coord_err err = await_begin(&a, coord, timeout_ms);
    if (err) return err;
    err = create_in_folder(coord, items, NULL, 0, WEIR_COORD_PERSISTENT, NULL);
    if (err == WEIR_COORD_NODE_EXISTS) err = WEIR_COORD_OK;
    if (!err) err = weir_coord_claim_enter(&turn, coord, takers, WEIR_COORD_EXCLUSIVE, (struct weir_bytes){0}, NULL, NULL);
    if (!err) err = weir_coord_claim_wait(turn, await_left_ms(&a));
    if (!err) err = wait_for_item(&a, turn, items, reply);
    weir_coord_claim_leave(&turn);
    await_end(&a);
    return err;
}

/* ---- groups: belonging --------------------------------------------------------------------------------------------------------- */

enum weir_coord_err weir_coord_group_join(struct weir_coord *coord, const char *folder, const char *name, const void *data, uint32_t length,
                                          struct weir_coord_zxid *token)
{
    char path[WEIR_COORD_NODE_MAX];
    struct weir_coord_reply reply;
    if (!name || strchr(name, '/') || !join(path, folder, name)) return WEIR_COORD_BAD_ARGUMENTS;
    enum weir_coord_err err = create_in_folder(coord, path, data, length, WEIR_COORD_EPHEMERAL, &reply);
    if (!err && token) *token = reply.results[0].stat.czxid;
    weir_coord_reply_close(&reply);
    return err;
}

enum weir_coord_err weir_coord_group_leave(struct weir_coord *coord, const char *folder, const char *name)
{
    char path[WEIR_COORD_NODE_MAX];
    if (!name || strchr(name, '/') || !join(path, folder, name)) return WEIR_COORD_BAD_ARGUMENTS;
    return weir_coord_delete(coord, path, WEIR_COORD_ANY_VERSION);
}

/* ---- counter ------------------------------------------------------------------------------------------------------------------- */

static bool parse_number(struct weir_bytes text, int64_t *out)
{
    char digits[24], *end;
    if (text.length == 0 || text.length >= sizeof digits) return false;
    memcpy(digits, text.data, text.length);
    digits[text.length] = '\0';
    *out = strtoll(digits, &end, 10);
    return *end == '\0';
}

static enum weir_coord_err add_once(struct weir_coord *coord, const char *path, int64_t delta, int64_t *sum, struct weir_coord_zxid *token)
{
    struct weir_coord_reply reply;
    struct weir_coord_stat stat = {0};
    int64_t before = 0;
    char text[24];
    enum weir_coord_err err = weir_coord_get(coord, path, &reply);
    bool missing = err == WEIR_COORD_NO_NODE;
    if (!err && !parse_number(reply.results[0].data, &before)) err = WEIR_COORD_BAD_ARGUMENTS; /* no counter */
    if (!err) stat = reply.results[0].stat;
    weir_coord_reply_close(&reply);
    if (err && !missing) return err;
    if (__builtin_add_overflow(before, delta, sum)) return WEIR_COORD_LIMIT;
    uint32_t length = (uint32_t)snprintf(text, sizeof text, "%" PRId64, *sum);
    if (!missing) {
        err = weir_coord_set(coord, path, text, length, (int64_t)stat.version, &stat);
        if (!err && token) *token = stat.mzxid;
        return err;
    }
    err = create_in_folder(coord, path, text, length, WEIR_COORD_PERSISTENT, &reply);
    if (!err && token) *token = reply.results[0].stat.mzxid;
    weir_coord_reply_close(&reply);
    return err;
}

enum weir_coord_err weir_coord_counter_add(struct weir_coord *coord, const char *path, int64_t delta, int64_t *sum,
                                           struct weir_coord_zxid *token)
{
    enum weir_coord_err err;
    int64_t own;
    do err = add_once(coord, path, delta, sum ? sum : &own, token);
    while (err == WEIR_COORD_BAD_VERSION || err == WEIR_COORD_NODE_EXISTS ||
           err == WEIR_COORD_NO_NODE); /* somebody was faster: he got on */
    return err;
}

/* ---- configuration: setting ---------------------------------------------------------------------------------------------------- */

enum weir_coord_err weir_coord_config_set(struct weir_coord *coord, const char *path, const void *data, uint32_t length)
{
    enum weir_coord_err err = weir_coord_set(coord, path, data, length, WEIR_COORD_ANY_VERSION, NULL);
    if (err != WEIR_COORD_NO_NODE) return err;
    err = create_in_folder(coord, path, data, length, WEIR_COORD_PERSISTENT, NULL);
    return err == WEIR_COORD_NODE_EXISTS ? weir_coord_set(coord, path, data, length, WEIR_COORD_ANY_VERSION, NULL) : err;
}
