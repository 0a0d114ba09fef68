/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/live_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/coord/limits.h"
#include "runtime/coord/protocol.h"
#include "runtime/coord/stat.h"
#include "runtime/coord/watch.h"

#define JOBS LIVE_ROOT "/" LIVE_JOBS
#define VISITS_MAX (2 * LIVE_SETTINGS_MAX) /* nodes that wait to be read */

enum live_tree_state { CONNECTING, WATCHING, READING, CURRENT, FORGETTING, LOST };

/* A node that is still to be read. */
struct visit {
    struct visit *next;
    bool is_folder;
    char path[LIVE_PATH_MAX];
};

/* A job whose settings go. */
struct departure {
    struct departure *next;
    char job[WEIR_ID_TEXT];
    uint32_t n_seen; /* settings of the reading up to here have been dealt with */
    bool folder;     /* there were some: then their folder is left, which goes when it is empty */
};

struct live_tree {
    enum live_tree_state state;
    uint64_t last_xid;
    int64_t said_ms;
    bool asking;           /* `message` waits to be said */
    bool changed;          /* something happened during the reading */
    uint64_t n_readings;   /* complete ones */
    struct buffer message; /* the request under way */
    struct buffer ping;
    struct visit *visits; /* next first */
    uint32_t n_visits, n_passed_over;
    struct departure *departures; /* next first */
    uint32_t n;
    struct live_setting *at;
};

static void lose(struct live_tree *t)
{
    t->state = LOST;
}

/* ---- asking ---- */

static void ask(struct live_tree *t, const struct get *get)
{
    struct buffer bytes = {0};
    put_get(&bytes, get);
    buffer_clear(&t->message);
    put_ask(&t->message, &(struct ask){.type = ASK_READ, .xid = ++t->last_xid, .n = 1, .ops = bytes_of(bytes.data, bytes.len)});
    WEIR_ASSERT(!bytes.err);
    WEIR_ASSERT(!t->message.err);
    buffer_close(&bytes);
    t->asking = true;
}

static void ask_delete(struct live_tree *t, const char *path)
{
    struct buffer bytes = {0};
    put_request_op(&bytes, &(struct op){.type = OP_DELETE, .path = bytes_text(path), .version = OP_ANY_VERSION});
    buffer_clear(&t->message);
    uint64_t acked = t->last_xid++; /* one request at a time */
    put_ask(&t->message,
            &(struct ask){.type = ASK_WRITE, .xid = t->last_xid, .acked = acked, .n = 1, .ops = bytes_of(bytes.data, bytes.len)});
    WEIR_ASSERT(!bytes.err);
    WEIR_ASSERT(!t->message.err);
    buffer_close(&bytes);
    t->asking = true;
}

static void watch(struct live_tree *t)
{
    t->state = WATCHING;
    ask(t, &(struct get){.type = GET_WATCH, .path = bytes_text(LIVE_ROOT), .kind = WATCH_RECURSIVE});
}

/* ---- forgetting ---- */

static void leave_departure(struct live_tree *t)
{
    struct departure *d = t->departures;
    t->departures = d->next;
    free(d);
}

/* The next node of the departure; false: there is none. */
static bool find_node(const struct live_tree *t, struct departure *d, char path[static LIVE_PATH_MAX])
{
    while (d->n_seen < t->n && strcmp(t->at[d->n_seen].job, d->job) != 0) d->n_seen++;
    if (d->n_seen < t->n) {
        live_path(d->job, t->at[d->n_seen++].key, path);
        d->folder = true;
        return true;
    }
    (void)snprintf(path, LIVE_PATH_MAX, "%s/%s", JOBS, d->job);
    bool is_folder = d->folder;
    d->folder = false;
    return is_folder;
}

/* Goes on removing; when there is nothing left to remove, the state is CURRENT. */
static void forget_next(struct live_tree *t)
{
    char path[LIVE_PATH_MAX];
    while (t->departures && !find_node(t, t->departures, path)) leave_departure(t);
    t->state = t->departures ? FORGETTING : CURRENT;
    if (t->departures) ask_delete(t, path);
}

void live_tree_forget(struct live_tree *t, struct weir_id job)
{
    struct departure *d = calloc(1, sizeof *d), **at = &t->departures;
    WEIR_ASSERT(d);
    (void)id_text(job, d->job);
    while (*at) at = &(*at)->next;
    *at = d;
    if (t->state == CURRENT) forget_next(t);
}

/* ---- reading: depth first, so that settings come in the order of their paths ---- */

static void add_visit(struct live_tree *t, struct visit **at, bool is_folder, const char *parent, struct weir_bytes name)
{
    struct visit *v = calloc(1, sizeof *v);
    WEIR_ASSERT(v);
    v->is_folder = is_folder;
    (void)snprintf(v->path, sizeof v->path, "%s%s%.*s", parent, name.length ? "/" : "", (int)name.length, (const char *)name.data);
    v->next = *at;
    *at = v;
    t->n_visits++;
}

static void leave_visit(struct live_tree *t)
{
    struct visit *v = t->visits;
    t->visits = v->next;
    t->n_visits--;
    free(v);
}

static void read_next(struct live_tree *t)
{
    const struct visit *v = t->visits;
    if (v) {
        ask(t, &(struct get){.type = v->is_folder ? GET_CHILDREN : GET_DATA, .path = bytes_text(v->path)});
        return;
    }
    t->n_readings++;
    forget_next(t);
}

static void begin_reading(struct live_tree *t)
{
    while (t->visits) leave_visit(t);
    t->state = READING;
    t->changed = false;
    t->n = t->n_passed_over = 0;
    add_visit(t, &t->visits, true, LIVE_ROOT, bytes_text(""));
    read_next(t);
}

/* Below the root are keys and the folder of the jobs; below that a folder for each job, with its keys. */
static bool is_folder(const char *parent, struct weir_bytes name)
{
    bool jobs = name.length == strlen(LIVE_JOBS) && memcmp(name.data, LIVE_JOBS, name.length) == 0;
    return strcmp(parent, JOBS) == 0 || (strcmp(parent, LIVE_ROOT) == 0 && jobs);
}

static void take_children(struct live_tree *t, struct reader *r)
{
    struct visit *v = t->visits, **at = &v->next;
    struct weir_bytes name = {0};
    (void)read_stat(r);
    bool more = read_bool(r);
    uint32_t n = read_u32(r);
    for (uint32_t i = 0; i < n && !r->broken; i++) {
        name = read_bytes(r, COORD_NAME_MAX);
        while (*at && strncmp((*at)->path, v->path, strlen(v->path)) == 0) at = &(*at)->next; /* behind those of the page before */
        bool fits = strlen(v->path) + 1 + name.length < LIVE_PATH_MAX && t->n_visits < VISITS_MAX;
        if (!fits) t->n_passed_over++;
        if (fits && !r->broken) add_visit(t, at, is_folder(v->path, name), v->path, name);
    }
    if (r->broken) return;
    if (more && n) {
        ask(t, &(struct get){.type = GET_CHILDREN, .path = bytes_text(v->path), .after = name});
        return;
    }
    leave_visit(t);
    read_next(t);
}

/* A text; what is none, or too long, is refused by name. */
static void take_value(struct live_setting *s, struct weir_bytes data)
{
    if (data.length > LIVE_VALUE_MAX)
        (void)snprintf(s->refusal, sizeof s->refusal, "the value has more than %u bytes", LIVE_VALUE_MAX);
    else if (data.length && memchr(data.data, 0, data.length))
        (void)snprintf(s->refusal, sizeof s->refusal, "the value is no text");
    else if (data.length)
        memcpy(s->value, data.data, data.length);
}

static void take_data(struct live_tree *t, struct reader *r)
{
    struct weir_bytes data = read_data(r, COORD_DATA_MAX);
    struct live_setting *s = &t->at[t->n];
    if (r->broken) return;
    if (t->n == LIVE_SETTINGS_MAX) {
        t->n_passed_over++;
    } else if (live_parse_path(t->visits->path, s)) {
        take_value(s, data);
        t->n++;
    }
    leave_visit(t);
    read_next(t);
}

/* ---- hearing ---- */

static void take_reply(struct live_tree *t, const struct say *say)
{
    struct reader r;
    reader_init(&r, say->body.data, say->body.length);
    if (say->xid != t->last_xid || t->state == CONNECTING || t->state == CURRENT) return;
    if (t->state == FORGETTING) { /* whatever became of it: a change is an event */
        forget_next(t);
        return;
    }
    (void)read_u32(&r); /* results: one */
    uint16_t err = say->err ? say->err : read_u16(&r);
    bool hidden = t->state == READING && (err == COORD_NO_NODE || err == COORD_NO_AUTH);
    if (hidden) {
        leave_visit(t);
        read_next(t);
    } else if (err || r.broken) {
        lose(t);
    } else if (t->state == WATCHING) {
        begin_reading(t);
    } else if (t->visits->is_folder) {
        take_children(t, &r);
    } else {
        take_data(t, &r);
    }
    if (r.broken) lose(t);
}

void live_tree_hear(struct live_tree *t, struct weir_bytes message)
{
    struct say say;
    if (t->state == LOST) return;
    if (!read_say(message, &say)) {
        lose(t);
        return;
    }
    switch (say.type) {
    case SAY_CONNECTED:
        t->last_xid = say.last_xid;
        watch(t);
        break;
    case SAY_REFUSED: lose(t); break;
    case SAY_REPLY: take_reply(t, &say); break;
    case SAY_EVENT: t->changed = true; break;
    case SAY_PONG:
    case SAY_CONFIRMED: break;
    }
    if (t->state == CURRENT && t->changed) begin_reading(t);
}

void live_tree_closed(struct live_tree *t)
{
    lose(t);
}

/* ---- saying ---- */

bool live_tree_say(struct live_tree *t, struct weir_bytes *out, int64_t now_ms)
{
    if (t->state == LOST) return false;
    const struct buffer *what = &t->message;
    buffer_clear(&t->ping);
    if (t->said_ms == INT64_MIN) {
        put_ask(&t->ping, &(struct ask){.type = ASK_CONNECT, .timeout_ms = LIVE_TREE_SESSION_MS});
        what = &t->ping;
    } else if (!t->asking) {
        if (now_ms - t->said_ms < LIVE_TREE_PING_MS) return false;
        put_ask(&t->ping, &(struct ask){.type = ASK_PING});
        what = &t->ping;
    } else {
        t->asking = false;
    }
    WEIR_ASSERT(!t->ping.err);
    t->said_ms = now_ms;
    *out = bytes_of(what->data, what->len);
    return true;
}

int64_t live_tree_deadline_ms(const struct live_tree *t)
{
    return t->state == LOST || t->said_ms == INT64_MIN ? INT64_MAX : t->said_ms + LIVE_TREE_PING_MS;
}

/* ---- views, life ---- */

bool live_tree_lost(const struct live_tree *t)
{
    return t->state == LOST;
}

uint64_t live_tree_reading(const struct live_tree *t, const struct live_setting **out, uint32_t *n)
{
    *out = t->at;
    *n = t->n;
    return t->state == CURRENT ? t->n_readings : 0;
}

uint32_t live_tree_passed_over(const struct live_tree *t)
{
    return t->n_passed_over;
}

void live_tree_new(struct live_tree **out)
{
    struct live_tree *t = calloc(1, sizeof *t);
    WEIR_ASSERT(t);
    t->at = calloc(LIVE_SETTINGS_MAX + 1, sizeof *t->at); /* touched as far as it is used */
    WEIR_ASSERT(t->at);
    t->said_ms = INT64_MIN;
    *out = t;
}

void live_tree_destroy(struct live_tree **tree)
{
    struct live_tree *t = *tree;
    *tree = NULL;
    if (!t) return;
    while (t->visits) leave_visit(t);
    while (t->departures) leave_departure(t);
    buffer_close(&t->message);
    buffer_close(&t->ping);
    free(t->at);
    free(t);
}
