/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: places in a line. A machine of callbacks on the client's thread, with one request or one watch under way at a time:
 *
 *     create ──▶ list ──somebody blocks──▶ get the last of those, with a watch ──gone──▶ list again
 *                 └──nobody──▶ get the own node, with a watch ──▶ HELD ──deleted, session ended──▶ LOST
 *
 * Requests have no time limit: a create is answered with its outcome, however often the connection breaks, or with the session's end; so no
 * node is ever left behind that nobody knows of.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/client/coord_claim.h"
#include "api/client/coord_reply.h"
#include "runtime/base/assert.h"
#include "runtime/coord/limits.h"

enum { PAGE = 1000 }; /* names asked for at once */

struct weir_coord_claim {
    struct weir_coord *coord;
    weir_coord_claim_fn *fn;
    void *arg;
    char folder[WEIR_COORD_NODE_MAX], path[WEIR_COORD_NODE_MAX + 32];
    char ahead[WEIR_COORD_NODE_MAX]; /* the one it waits for; "": none */
    char after[WEIR_COORD_NODE_MAX]; /* the last name of the page before */
    bool shared, found;              /* found: its own node is in the list */
    uint64_t sequence, ahead_sequence;
    struct buffer data;

    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t cond;
    enum weir_coord_claim_state state;
    enum weir_coord_err err; /* LOST: why */
    struct weir_coord_zxid token;
    bool leaving, asking; /* asking: an answer will come */
};

static void list(struct weir_coord_claim *c);
static void create(struct weir_coord_claim *c);

static void claim_free(struct weir_coord_claim *c)
{
    buffer_close(&c->data);
    (void)pthread_cond_destroy(&c->cond);
    (void)pthread_mutex_destroy(&c->mutex);
    free(c);
}

static void become(struct weir_coord_claim *c, enum weir_coord_claim_state state, enum weir_coord_err err)
{
    (void)pthread_mutex_lock(&c->mutex);
    bool tell = !c->leaving && c->state != state;
    c->state = state;
    c->err = err;
    (void)pthread_cond_broadcast(&c->cond);
    (void)pthread_mutex_unlock(&c->mutex);
    if (tell && c->fn) c->fn(c->arg, c, state);
}

/* ---- leaving ------------------------------------------------------------------------------------------------------------------- */

static void remove_node(struct weir_coord_claim *c);

static void on_removed(void *arg, struct weir_coord_reply *reply)
{
    if (reply->err == WEIR_COORD_OUTCOME_FORGOTTEN)
        remove_node(arg); /* it was not carried out, and others wait for it */
    else
        claim_free(arg); /* gone, or with its session */
}

/* The last request: what it calls frees the claim. Before it, the watch that the claim may have. */
static void remove_node(struct weir_coord_claim *c)
{
    weir_coord_forget(c->coord, c);
    struct request *q = request_new(ASK_WRITE, on_removed, c);
    struct weir_coord_op op = {.type = WEIR_COORD_DELETE, .path = c->path, .version = WEIR_COORD_ANY_VERSION};
    if (c->path[0] == '\0')
        q->refused = WEIR_COORD_NO_NODE; /* there is none */
    else
        q->refused = request_put_ops(q, &op, 1);
    coord_ask_patiently(c->coord, q);
}

/* An answer has come. true: the claim is being left, and the answer is of no interest. */
static bool answered(struct weir_coord_claim *c)
{
    (void)pthread_mutex_lock(&c->mutex);
    c->asking = false;
    bool leaving = c->leaving;
    (void)pthread_mutex_unlock(&c->mutex);
    if (leaving) remove_node(c);
    return leaving;
}

/* Asks, unless the claim is being left: then whoever leaves does the rest. */
static void ask(struct weir_coord_claim *c, struct request *q)
{
    (void)pthread_mutex_lock(&c->mutex);
    bool leaving = c->leaving;
    c->asking = !leaving;
    (void)pthread_mutex_unlock(&c->mutex);
    if (leaving)
        request_destroy(&q);
    else
        coord_ask_patiently(c->coord, q);
}

static void ask_read(struct weir_coord_claim *c, const struct weir_coord_read *read, weir_coord_reply_fn *fn)
{
    struct request *q = request_new(ASK_READ, fn, c);
    q->watch.id = coord_next_watch(c->coord);
    q->refused = request_put_reads(q, read, 1);
    ask(c, q);
}

static void lose(struct weir_coord_claim *c, enum weir_coord_err err)
{
    become(c, WEIR_COORD_LOST, err);
}

/* ---- the line ------------------------------------------------------------------------------------------------------------------ */

static void on_event(void *arg, const struct weir_coord_event *event)
{
    struct weir_coord_claim *c = arg;
    if (event->type == WEIR_COORD_ENDED)
        lose(c, WEIR_COORD_SESSION_EXPIRED);
    else if (c->state == WEIR_COORD_HELD && event->type == WEIR_COORD_DELETED)
        lose(c, WEIR_COORD_NO_NODE); /* at once: an answer that comes after this event must not find it held */
    else
        list(c);
}

static void on_own(void *arg, struct weir_coord_reply *reply)
{
    struct weir_coord_claim *c = arg;
    if (answered(c)) return;
    enum weir_coord_err err = reply->err ? reply->err : reply->results[0].err;
    if (err)
        lose(c, err);
    else
        become(c, WEIR_COORD_HELD, WEIR_COORD_OK);
}

static void on_ahead(void *arg, struct weir_coord_reply *reply)
{
    struct weir_coord_claim *c = arg;
    if (answered(c)) return;
    enum weir_coord_err err = reply->err ? reply->err : reply->results[0].err;
    if (err == WEIR_COORD_NO_NODE)
        list(c); /* it has gone meanwhile */
    else if (err)
        lose(c, err);
}

static void watch_node(struct weir_coord_claim *c, const char *path, weir_coord_reply_fn *fn)
{
    ask_read(c, &(struct weir_coord_read){.type = WEIR_COORD_GET, .path = path, .on_change = on_event, .arg = c}, fn);
}

static void watch_ahead(struct weir_coord_claim *c)
{
    char path[2 * WEIR_COORD_NODE_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", c->folder, c->ahead);
    watch_node(c, path, on_ahead);
}

/* "w-0000000007": 7, and whether it is exclusive. false: no claim. */
static bool parse_name(const char *name, uint64_t *sequence, bool *shared)
{
    char *end;
    if ((name[0] != 'w' && name[0] != 'r') || name[1] != '-') return false;
    *shared = name[0] == 'r';
    *sequence = strtoull(name + 2, &end, 10);
    return *end == '\0' && end > name + 2;
}

static void compare(struct weir_coord_claim *c, const char *name)
{
    uint64_t sequence;
    bool shared;
    if (!parse_name(name, &sequence, &shared)) return;
    c->found |= sequence == c->sequence;
    if (sequence >= c->sequence || (shared && c->shared)) return;
    if (c->ahead[0] && sequence < c->ahead_sequence) return;
    c->ahead_sequence = sequence;
    (void)snprintf(c->ahead, sizeof c->ahead, "%s", name);
}

static void list_page(struct weir_coord_claim *c);

static void on_page(void *arg, struct weir_coord_reply *reply)
{
    struct weir_coord_claim *c = arg;
    if (answered(c)) return;
    enum weir_coord_err err = reply->err ? reply->err : reply->results[0].err;
    if (err) {
        lose(c, err);
        return;
    }
    const struct weir_coord_result *page = &reply->results[0];
    for (uint32_t i = 0; i < page->n_names; i++) compare(c, page->names[i]);
    if (page->more && page->n_names > 0) {
        (void)snprintf(c->after, sizeof c->after, "%s", page->names[page->n_names - 1]);
        list_page(c);
    } else if (!c->found) {
        lose(c, WEIR_COORD_NO_NODE);
    } else if (c->ahead[0]) {
        watch_ahead(c);
    } else {
        watch_node(c, c->path, on_own);
    }
}

static void list_page(struct weir_coord_claim *c)
{
    ask_read(c, &(struct weir_coord_read){.type = WEIR_COORD_GET_CHILDREN, .path = c->folder, .after = c->after, .max = PAGE}, on_page);
}

static void list(struct weir_coord_claim *c)
{
    c->found = false;
    c->ahead[0] = c->after[0] = '\0';
    list_page(c);
}

/* ---- entering ------------------------------------------------------------------------------------------------------------------ */

static void on_folder(void *arg, struct weir_coord_reply *reply)
{
    struct weir_coord_claim *c = arg;
    if (answered(c)) return;
    if (reply->err && reply->err != WEIR_COORD_NODE_EXISTS)
        lose(c, reply->err);
    else
        create(c);
}

/* The folder that is missing, and what is missing above it: each step makes the uppermost. Containers, so that they go again. */
static void create_folder(struct weir_coord_claim *c, size_t length)
{
    char path[WEIR_COORD_NODE_MAX];
    (void)snprintf(path, sizeof path, "%.*s", (int)length, c->folder);
    struct request *q = request_new(ASK_WRITE, on_folder, c);
    struct weir_coord_op op = {.type = WEIR_COORD_CREATE, .path = path, .kind = WEIR_COORD_CONTAINER};
    q->refused = request_put_ops(q, &op, 1);
    ask(c, q);
}

static void on_exists(void *arg, struct weir_coord_reply *reply)
{
    struct weir_coord_claim *c = arg;
    if (answered(c)) return;
    if (reply->err) {
        lose(c, reply->err);
        return;
    }
    size_t length = strlen(c->folder);
    for (uint32_t i = 0; i < reply->n; i++) { /* from the top */
        const char *slash = c->folder;
        for (uint32_t k = 0; slash && k <= i; k++) slash = strchr(slash + 1, '/');
        if (reply->results[i].err != WEIR_COORD_NO_NODE) continue;
        create_folder(c, slash ? (size_t)(slash - c->folder) : length);
        return;
    }
    create(c);
}

static void look_for_folders(struct weir_coord_claim *c)
{
    struct weir_coord_read reads[COORD_DEPTH_MAX];
    char paths[COORD_DEPTH_MAX][WEIR_COORD_NODE_MAX];
    uint32_t n = 0;
    for (const char *slash = strchr(c->folder + 1, '/'); n < COORD_DEPTH_MAX; slash = strchr(slash + 1, '/')) {
        size_t length = slash ? (size_t)(slash - c->folder) : strlen(c->folder);
        (void)snprintf(paths[n], sizeof paths[n], "%.*s", (int)length, c->folder);
        reads[n] = (struct weir_coord_read){.type = WEIR_COORD_EXISTS, .path = paths[n]};
        n++;
        if (!slash) break;
    }
    struct request *q = request_new(ASK_READ, on_exists, c);
    q->refused = request_put_reads(q, reads, n);
    ask(c, q);
}

static void on_created(void *arg, struct weir_coord_reply *reply)
{
    struct weir_coord_claim *c = arg;
    bool shared;
    if (!reply->err) {
        (void)snprintf(c->path, sizeof c->path, "%s", reply->results[0].path);
        (void)pthread_mutex_lock(&c->mutex);
        c->token = (struct weir_coord_zxid){reply->results[0].stat.czxid.epoch, reply->results[0].stat.czxid.counter};
        (void)pthread_mutex_unlock(&c->mutex);
    }
    if (answered(c)) return;
    if (reply->err == WEIR_COORD_NO_NODE)
        look_for_folders(c);
    else if (reply->err == WEIR_COORD_OUTCOME_FORGOTTEN)
        create(c); /* it was not carried out */
    else if (reply->err || !parse_name(strrchr(c->path, '/') + 1, &c->sequence, &shared))
        lose(c, reply->err ? reply->err : WEIR_COORD_MARSHALLING);
    else
        list(c);
}

static void create(struct weir_coord_claim *c)
{
    char path[WEIR_COORD_NODE_MAX + 8];
    (void)snprintf(path, sizeof path, "%s/%s-", c->folder, c->shared ? "r" : "w");
    struct request *q = request_new(ASK_WRITE, on_created, c);
    struct weir_coord_op op = {.type = WEIR_COORD_CREATE,
                               .path = path,
                               .data = {c->data.data, (uint32_t)c->data.len},
                               .kind = WEIR_COORD_EPHEMERAL | WEIR_COORD_SEQUENTIAL};
    q->refused = request_put_ops(q, &op, 1);
    ask(c, q);
}

enum weir_coord_err weir_coord_claim_enter(struct weir_coord_claim **out, struct weir_coord *coord, const char *folder,
                                           enum weir_coord_claim_kind kind, struct weir_bytes data, weir_coord_claim_fn *fn, void *arg)
{
    pthread_condattr_t attr;
    if (!folder || folder[0] != '/' || !folder[1] || strnlen(folder, COORD_PATH_MAX) > COORD_PATH_MAX - 32) return WEIR_COORD_BAD_ARGUMENTS;
    struct weir_coord_claim *c = calloc(1, sizeof *c);
    WEIR_ASSERT(c);
    c->coord = coord;
    c->fn = fn;
    c->arg = arg;
    c->shared = kind == WEIR_COORD_SHARED;
    (void)snprintf(c->folder, sizeof c->folder, "%s", folder);
    buffer_add(&c->data, data.data, data.length);
    WEIR_ASSERT(!c->data.err);
    (void)pthread_mutex_init(&c->mutex, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&c->cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    *out = c;
    create(c);
    return WEIR_COORD_OK;
}

/* ---- the holder's side --------------------------------------------------------------------------------------------------------- */

enum weir_coord_err weir_coord_claim_wait(struct weir_coord_claim *claim, int64_t timeout_ms)
{
    if (!coord_may_wait(claim->coord)) return WEIR_COORD_WRONG_THREAD;
    timeout_ms = coord_wait_ms(claim->coord, timeout_ms);
    struct timespec until = coord_moment(timeout_ms);
    int late = 0;
    (void)pthread_mutex_lock(&claim->mutex);
    while (claim->state == WEIR_COORD_WAITING && !late)
        late =
            timeout_ms < 0 ? pthread_cond_wait(&claim->cond, &claim->mutex) : pthread_cond_timedwait(&claim->cond, &claim->mutex, &until);
    enum weir_coord_err err = claim->state == WEIR_COORD_WAITING ? WEIR_COORD_OPERATION_TIMEOUT : claim->err;
    (void)pthread_mutex_unlock(&claim->mutex);
    return err;
}

bool weir_coord_claim_held(struct weir_coord_claim *claim, struct weir_coord_zxid *token)
{
    (void)pthread_mutex_lock(&claim->mutex);
    bool held = claim->state == WEIR_COORD_HELD;
    if (token) *token = claim->token;
    (void)pthread_mutex_unlock(&claim->mutex);
    return held && weir_coord_alive(claim->coord);
}

struct weir_coord_op weir_coord_claim_check(struct weir_coord_claim *claim)
{
    return (struct weir_coord_op){.type = WEIR_COORD_CHECK, .path = claim->path, .version = WEIR_COORD_ANY_VERSION};
}

void weir_coord_claim_leave(struct weir_coord_claim **claim)
{
    struct weir_coord_claim *c = *claim;
    *claim = NULL;
    if (!c) return;
    (void)pthread_mutex_lock(&c->mutex);
    c->leaving = true;
    bool asking = c->asking;
    (void)pthread_mutex_unlock(&c->mutex);
    if (asking) return; /* the answer does the rest */
    remove_node(c);
}

enum weir_coord_err weir_coord_claim_holder(struct weir_coord *coord, const char *folder, struct weir_coord_reply *reply)
{
    char path[2 * WEIR_COORD_NODE_MAX];
    for (;;) {
        uint64_t sequence, first = UINT64_MAX;
        bool shared;
        enum weir_coord_err err = weir_coord_children(coord, folder, reply);
        path[0] = '\0';
        for (uint32_t i = 0; !err && i < reply->results[0].n_names; i++) {
            const char *name = reply->results[0].names[i];
            if (!parse_name(name, &sequence, &shared) || sequence >= first) continue;
            first = sequence;
            (void)snprintf(path, sizeof path, "%s/%s", folder, name);
        }
        weir_coord_reply_close(reply);
        if (err) return err;
        if (!path[0]) return WEIR_COORD_NO_NODE;
        err = weir_coord_get(coord, path, reply);
        if (err != WEIR_COORD_NO_NODE) return err;
        weir_coord_reply_close(reply); /* it has gone meanwhile */
    }
}
