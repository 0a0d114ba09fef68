/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/catalog_tree.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/coord/acl.h"
#include "runtime/coord/limits.h"
#include "runtime/coord/protocol.h"
#include "runtime/coord/stat.h"

#define JOBS CATALOG_TREE_ROOT "/job"
#define ARTIFACTS CATALOG_TREE_ROOT "/artifact"
#define KEY_DEPTH 2 /* elements of a key below JOBS: the job, the name; below ARTIFACTS there is one */
#define EPOCH_TEXT 24

enum { PATH_BYTES = sizeof CATALOG_TREE_ROOT + 1 + CATALOG_KEY_MAX };

/* What a reply answers. */
enum purpose { MADE_FOLDER, SAW_LEADER, CLAIMED, LISTED_CHILDREN, LISTED_DATA, DID_ORDER, CONFIRMED };

/* A message that waits to be said, or its reply to be heard; both in order. */
struct request {
    struct request *next;
    enum purpose purpose;
    struct catalog_answer answer; /* DID_ORDER: what is known of it so far */
    enum catalog_kind kind;
    struct buffer bytes; /* the message, then the value of an answer */
};

struct queue {
    struct request *first, **last;
};

/* A node that is still to be read. */
struct visit {
    struct visit *next;
    uint32_t depth; /* of KEY_DEPTH: then it is a key */
    char path[PATH_BYTES];
};

struct catalog_tree {
    enum catalog_tree_state state;
    char reason[WEIR_DIAG_MAX];
    uint64_t epoch, leader_version, last_xid, acked;
    int64_t said_ms;
    struct queue to_say, to_hear, answers;
    struct queue to_confirm; /* one at most: the newest */
    uint64_t confirming;     /* its number, when it was said; 0: none is awaited */
    struct request *told;    /* whose bytes the owner reads */
    struct buffer message;
    struct visit *visits; /* next first */
    uint32_t n_listed, cap_listed;
    struct master_listed *listed;
};

/* ---- queues ---- */

static void queue_init(struct queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static void put_last(struct queue *q, struct request *r)
{
    r->next = NULL;
    *q->last = r;
    q->last = &r->next;
}

static struct request *take_first(struct queue *q)
{
    struct request *r = q->first;
    if (!r) return NULL;
    q->first = r->next;
    if (!q->first) q->last = &q->first;
    return r;
}

static void free_request(struct request *r)
{
    if (!r) return;
    buffer_close(&r->bytes);
    free(r);
}

static void drop_all(struct queue *q)
{
    for (struct request *r; (r = take_first(q)) != NULL;) free_request(r);
}

/* ---- the end ---- */

static void lose(struct catalog_tree *t, const char *fmt, ...) WEIR_PRINTF(2, 3);
static void lose(struct catalog_tree *t, const char *fmt, ...)
{
    va_list args;
    if (t->state == CATALOG_TREE_LOST) return;
    va_start(args, fmt);
    vsnprintf(t->reason, sizeof t->reason, fmt, args);
    va_end(args);
    t->state = CATALOG_TREE_LOST;
    drop_all(&t->to_say);
    drop_all(&t->to_hear);
    drop_all(&t->to_confirm);
}

/* ---- asking ---- */

static struct request *new_request(enum purpose purpose)
{
    struct request *r = calloc(1, sizeof *r);
    WEIR_ASSERT(r);
    r->purpose = purpose;
    return r;
}

/* Numbers the request and puts it in line. */
static struct request *ask(struct catalog_tree *t, enum purpose purpose, struct ask *ask)
{
    struct request *r = new_request(purpose);
    ask->xid = ++t->last_xid;
    ask->acked = t->acked;
    put_ask(&r->bytes, ask);
    WEIR_ASSERT(!r->bytes.err);
    put_last(&t->to_say, r);
    return r;
}

static struct request *ask_write(struct catalog_tree *t, enum purpose purpose, const struct op *ops, uint32_t n)
{
    struct buffer bytes = {0};
    for (uint32_t i = 0; i < n; i++) put_request_op(&bytes, &ops[i]);
    WEIR_ASSERT(!bytes.err);
    struct request *r = ask(t, purpose, &(struct ask){.type = ASK_WRITE, .n = n, .ops = bytes_of(bytes.data, bytes.len)});
    buffer_close(&bytes);
    return r;
}

static struct request *ask_read(struct catalog_tree *t, enum purpose purpose, const struct get *get, bool linear)
{
    struct buffer bytes = {0};
    put_get(&bytes, get);
    WEIR_ASSERT(!bytes.err);
    struct request *r = ask(t, purpose, &(struct ask){.type = ASK_READ, .linear = linear, .n = 1, .ops = bytes_of(bytes.data, bytes.len)});
    buffer_close(&bytes);
    return r;
}

static struct op create(const char *path, struct weir_bytes data, enum node_kind kind)
{
    return (struct op){.type = OP_CREATE, .path = bytes_text(path), .data = data, .acl = acl_open(), .kind = (uint8_t)kind};
}

static struct op check_leader(const struct catalog_tree *t)
{
    return (struct op){.type = OP_CHECK, .path = bytes_text(CATALOG_TREE_LEADER), .version = (int64_t)t->leader_version};
}

/* ---- claiming ---- */

static void begin_claim(struct catalog_tree *t)
{
    static const char *const folders[] = {CATALOG_TREE_ROOT, ARTIFACTS, JOBS, CATALOG_TREE_LEADER};
    t->state = CATALOG_TREE_CLAIMING;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        struct op op = create(folders[i], bytes_text("0"), NODE_PERSISTENT);
        (void)ask_write(t, MADE_FOLDER, &op, 1);
    }
    (void)ask_read(t, SAW_LEADER, &(struct get){.type = GET_DATA, .path = bytes_text(CATALOG_TREE_LEADER)}, false);
}

static uint64_t read_epoch(struct weir_bytes data)
{
    char text[EPOCH_TEXT];
    snprintf(text, sizeof text, "%.*s", (int)data.length, (const char *)data.data);
    return strtoull(text, NULL, 10);
}

static void claim(struct catalog_tree *t, struct weir_bytes data, const struct coord_stat *stat)
{
    char text[EPOCH_TEXT];
    uint64_t other = read_epoch(data);
    if (other > t->epoch) {
        lose(t, "a JobManager with epoch %" PRIu64 " leads, ours is %" PRIu64, other, t->epoch);
        return;
    }
    snprintf(text, sizeof text, "%" PRIu64, t->epoch);
    struct op op = {.type = OP_SET, .path = bytes_text(CATALOG_TREE_LEADER), .data = bytes_text(text), .version = (int64_t)stat->version};
    (void)ask_write(t, CLAIMED, &op, 1);
}

/* ---- listing: depth first, so that keys come in their order ---- */

static void visit_next(struct catalog_tree *t)
{
    const struct visit *v = t->visits;
    if (!v) {
        t->state = CATALOG_TREE_SERVING;
        return;
    }
    struct get get = {.type = v->depth < KEY_DEPTH ? GET_CHILDREN : GET_DATA, .path = bytes_text(v->path)};
    (void)ask_read(t, v->depth < KEY_DEPTH ? LISTED_CHILDREN : LISTED_DATA, &get, false);
}

static void add_visit(struct visit **at, const char *parent, struct weir_bytes name, uint32_t depth)
{
    struct visit *v = calloc(1, sizeof *v);
    WEIR_ASSERT(v);
    v->depth = depth;
    snprintf(v->path, sizeof v->path, "%s%s%.*s", parent, name.length ? "/" : "", (int)name.length, (const char *)name.data);
    v->next = *at;
    *at = v;
}

static void begin_listing(struct catalog_tree *t)
{
    t->state = CATALOG_TREE_LISTING;
    add_visit(&t->visits, JOBS, bytes_text(""), 0);
    add_visit(&t->visits, ARTIFACTS, bytes_text(""), KEY_DEPTH - 1); /* put in front */
    visit_next(t);
}

static struct visit *leave_visit(struct catalog_tree *t)
{
    struct visit *v = t->visits;
    WEIR_ASSERT(v);
    t->visits = v->next;
    return v;
}

/* A page of names; the next one is asked for behind its last. */
static void take_children(struct catalog_tree *t, struct reader *r)
{
    struct visit *v = t->visits, **at = &v->next;
    struct weir_bytes name = {0};
    (void)read_stat(r);
    bool more = read_bool(r);
    uint32_t n = read_u32(r);
    for (uint32_t i = 0; i < n && !r->broken; i++) {
        name = read_bytes(r, COORD_NAME_MAX);
        while (*at && (*at)->depth > v->depth) at = &(*at)->next; /* behind those of the page before */
        if (!r->broken && strlen(v->path) + 1 + name.length < PATH_BYTES) add_visit(at, v->path, name, v->depth + 1);
    }
    if (r->broken) return;
    if (more && n) {
        (void)ask_read(t, LISTED_CHILDREN, &(struct get){.type = GET_CHILDREN, .path = bytes_text(v->path), .after = name}, false);
        return;
    }
    free(leave_visit(t));
    visit_next(t);
}

static void take_data(struct catalog_tree *t, struct reader *r)
{
    struct visit *v = leave_visit(t);
    struct weir_bytes data = read_data(r, COORD_DATA_MAX);
    struct coord_stat stat = read_stat(r);
    if (!r->broken) {
        if (t->n_listed == t->cap_listed) {
            t->cap_listed = t->cap_listed ? 2 * t->cap_listed : 64;
            t->listed = realloc(t->listed, t->cap_listed * sizeof *t->listed);
            WEIR_ASSERT(t->listed);
        }
        char *key = strdup(v->path + sizeof CATALOG_TREE_ROOT); /* behind the slash */
        void *copy = malloc(data.length + 1u);
        WEIR_ASSERT(key);
        WEIR_ASSERT(copy);
        if (data.length) memcpy(copy, data.data, data.length);
        t->listed[t->n_listed++] = (struct master_listed){key, stat.version + 1, {copy, data.length}};
    }
    free(v);
    visit_next(t);
}

/* ---- orders ---- */

static void path_of(const char *key, char out[static PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/%s", CATALOG_TREE_ROOT, key);
}

/* The folder of a key that is to be made; that it is there already is no error. */
static void make_folder(struct catalog_tree *t, const char *path)
{
    char folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    struct op ops[] = {check_leader(t), create(folder, bytes_text(""), NODE_CONTAINER)};
    (void)ask_write(t, MADE_FOLDER, ops, 2);
}

static void confirm(struct catalog_tree *t, uint64_t number)
{
    struct request *r = new_request(CONFIRMED);
    r->answer = (struct catalog_answer){.number = number, .reason = ""};
    put_ask(&r->bytes, &(struct ask){.type = ASK_CONFIRM, .xid = number});
    WEIR_ASSERT(!r->bytes.err);
    drop_all(&t->to_confirm);
    put_last(&t->to_confirm, r);
    t->confirming = 0;
}

void catalog_tree_order(struct catalog_tree *t, const struct catalog_order *order)
{
    char path[PATH_BYTES];
    struct request *r;
    if (t->state == CATALOG_TREE_LOST) return;
    WEIR_ASSERT(t->state == CATALOG_TREE_SERVING);
    if (order->kind == CATALOG_CONFIRM) {
        confirm(t, order->number);
        return;
    }
    path_of(order->key, path);
    if (order->kind == CATALOG_GET) {
        r = ask_read(t, DID_ORDER, &(struct get){.type = GET_DATA, .path = bytes_text(path)}, true);
    } else {
        struct op ops[] = {check_leader(t), create(path, order->value, NODE_PERSISTENT)};
        ops[1].type = order->kind == CATALOG_DELETE ? OP_DELETE : order->expected ? OP_SET : OP_CREATE;
        ops[1].version = (int64_t)order->expected - 1;
        if (ops[1].type == OP_CREATE) make_folder(t, path);
        r = ask_write(t, DID_ORDER, ops, 2);
    }
    r->kind = order->kind;
    r->answer = (struct catalog_answer){.number = order->number, .outcome = CATALOG_UNKNOWN, .version = order->expected, .reason = ""};
}

static void answer(struct catalog_tree *t, struct request *r, enum catalog_outcome outcome, unsigned err)
{
    r->answer.outcome = outcome;
    r->answer.reason = outcome == CATALOG_COMMITTED ? "" : coord_err_name(err);
    put_last(&t->answers, r);
}

/* A write was refused: by the check, which means that somebody else leads; or for itself. */
static void take_refusal(struct catalog_tree *t, struct request *r, uint16_t err, uint32_t failed)
{
    if (failed == 0) {
        free_request(r);
        lose(t, "another JobManager has begun to lead");
        return;
    }
    bool conflict = err == COORD_BAD_VERSION || err == COORD_NODE_EXISTS || err == COORD_NO_NODE;
    answer(t, r, conflict ? CATALOG_CONFLICT : CATALOG_REFUSED, err);
}

static void take_write(struct catalog_tree *t, struct request *r, struct weir_bytes body)
{
    struct reader in;
    reader_init(&in, body.data, body.length);
    uint16_t err = read_u16(&in);
    uint32_t failed = read_u32(&in);
    if (err && !in.broken) {
        take_refusal(t, r, err, failed);
        return;
    }
    r->answer.version = r->kind == CATALOG_DELETE ? 0 : r->answer.version + 1;
    answer(t, r, in.broken ? CATALOG_UNKNOWN : CATALOG_COMMITTED, COORD_MARSHALLING);
}

static void take_read(struct catalog_tree *t, struct request *r, struct weir_bytes body)
{
    struct reader in;
    reader_init(&in, body.data, body.length);
    (void)read_u32(&in);
    uint16_t err = read_u16(&in);
    struct weir_bytes data = err ? (struct weir_bytes){0} : read_data(&in, COORD_DATA_MAX);
    struct coord_stat stat = err ? (struct coord_stat){0} : read_stat(&in);
    bool known = !in.broken && (!err || err == COORD_NO_NODE);
    buffer_clear(&r->bytes);
    if (known) buffer_add(&r->bytes, data.data, data.length);
    WEIR_ASSERT(!r->bytes.err);
    r->answer.version = known && !err ? stat.version + 1 : 0;
    r->answer.value = (struct weir_bytes){r->bytes.data, (uint32_t)r->bytes.len};
    answer(t, r, known ? CATALOG_COMMITTED : CATALOG_UNKNOWN, err);
}

/* ---- hearing ---- */

static void take_order(struct catalog_tree *t, struct request *r, const struct say *say)
{
    if (say->err == COORD_THROTTLED)
        answer(t, r, CATALOG_REFUSED, say->err);
    else if (say->err == COORD_NO_QUORUM || say->err == COORD_OUTCOME_FORGOTTEN)
        answer(t, r, CATALOG_UNKNOWN, say->err);
    else if (r->kind == CATALOG_GET)
        take_read(t, r, say->body);
    else
        take_write(t, r, say->body);
}

/* Of the requests before SERVING: what fails them ends this leadership. */
static void take_step(struct catalog_tree *t, enum purpose purpose, const struct say *say)
{
    struct reader in;
    reader_init(&in, say->body.data, say->body.length);
    if (purpose != CLAIMED) (void)read_u32(&in); /* results of a read: one */
    uint16_t err = say->err ? say->err : read_u16(&in);
    if ((purpose == LISTED_CHILDREN || purpose == LISTED_DATA) && err == COORD_NO_NODE) { /* a folder in which nothing was left has gone */
        free(leave_visit(t));
        visit_next(t);
        return;
    }
    if (in.broken || err) {
        lose(t, "the catalog could not be read from the tree: %s", coord_err_name(in.broken ? COORD_MARSHALLING : err));
        return;
    }
    switch (purpose) {
    case SAW_LEADER: {
        struct weir_bytes data = read_data(&in, COORD_DATA_MAX);
        struct coord_stat stat = read_stat(&in);
        t->leader_version = stat.version + 1; /* that of our claim, if it comes to be */
        claim(t, data, &stat);
        break;
    }
    case CLAIMED: begin_listing(t); break;
    case LISTED_CHILDREN: take_children(t, &in); break;
    case LISTED_DATA: take_data(t, &in); break;
    default: break;
    }
    if (in.broken) lose(t, "the catalog could not be read from the tree: %s", coord_err_name(COORD_MARSHALLING));
}

static void take_reply(struct catalog_tree *t, const struct say *say)
{
    struct request *r = take_first(&t->to_hear);
    if (!r) return;
    t->acked = say->xid;
    if (r->purpose == DID_ORDER) {
        take_order(t, r, say);
        return;
    }
    enum purpose purpose = r->purpose;
    free_request(r);
    if (purpose != MADE_FOLDER) take_step(t, purpose, say); /* that a folder is there already is seen by who uses it */
}

static void take_confirmed(struct catalog_tree *t, const struct say *say)
{
    if (!t->confirming || say->xid != t->confirming) return; /* of one before */
    t->confirming = 0;
    answer(t, take_first(&t->to_confirm), say->err ? CATALOG_UNKNOWN : CATALOG_COMMITTED, say->err);
}

void catalog_tree_hear(struct catalog_tree *t, struct weir_bytes message)
{
    struct say say;
    if (t->state == CATALOG_TREE_LOST) return;
    if (!read_say(message, &say)) {
        lose(t, "the coordination peer sent a message that cannot be read");
        return;
    }
    switch (say.type) {
    case SAY_CONNECTED:
        t->last_xid = t->acked = say.last_xid;
        begin_claim(t);
        return;
    case SAY_REFUSED: lose(t, "the coordination peer refuses: %s", coord_err_name(say.err)); return;
    case SAY_REPLY: take_reply(t, &say); return;
    case SAY_CONFIRMED: take_confirmed(t, &say); return;
    case SAY_EVENT:
    case SAY_PONG: return;
    }
}

void catalog_tree_closed(struct catalog_tree *t)
{
    lose(t, "the coordination peer has closed the connection");
}

/* ---- saying ---- */

static bool is_full(const struct catalog_tree *t)
{
    uint32_t n = 0;
    for (const struct request *r = t->to_hear.first; r; r = r->next) n++;
    return n >= COORD_OUTCOMES_MAX;
}

bool catalog_tree_say(struct catalog_tree *t, struct weir_bytes *out, int64_t now_ms)
{
    if (t->state == CATALOG_TREE_LOST) return false;
    buffer_clear(&t->message);
    if (t->to_confirm.first && !t->confirming) {
        t->confirming = t->to_confirm.first->answer.number;
        *out = bytes_of(t->to_confirm.first->bytes.data, t->to_confirm.first->bytes.len);
        return true;
    }
    struct request *r = is_full(t) ? NULL : take_first(&t->to_say);
    if (r) {
        buffer_add(&t->message, r->bytes.data, r->bytes.len);
        put_last(&t->to_hear, r);
    } else if (t->said_ms == INT64_MIN) {
        put_ask(&t->message, &(struct ask){.type = ASK_CONNECT, .timeout_ms = CATALOG_TREE_SESSION_MS});
    } else if (now_ms - t->said_ms >= CATALOG_TREE_PING_MS) {
        put_ask(&t->message, &(struct ask){.type = ASK_PING});
    } else {
        return false;
    }
    WEIR_ASSERT(!t->message.err);
    t->said_ms = now_ms;
    *out = bytes_of(t->message.data, t->message.len);
    return true;
}

int64_t catalog_tree_deadline_ms(const struct catalog_tree *t)
{
    return t->state == CATALOG_TREE_LOST ? INT64_MAX : t->said_ms + CATALOG_TREE_PING_MS;
}

/* ---- views, life ---- */

bool catalog_tree_answer(struct catalog_tree *t, struct catalog_answer *out)
{
    free_request(t->told);
    t->told = take_first(&t->answers);
    if (!t->told) return false;
    *out = t->told->answer;
    return true;
}

uint32_t catalog_tree_listed(const struct catalog_tree *t, const struct master_listed **out)
{
    *out = t->listed;
    return t->n_listed;
}

enum catalog_tree_state catalog_tree_state(const struct catalog_tree *t)
{
    return t->state;
}

const char *catalog_tree_reason(const struct catalog_tree *t)
{
    return t->reason;
}

void catalog_tree_new(struct catalog_tree **out, uint64_t epoch)
{
    struct catalog_tree *t = calloc(1, sizeof *t);
    WEIR_ASSERT(t);
    t->epoch = epoch;
    t->said_ms = INT64_MIN;
    queue_init(&t->to_say);
    queue_init(&t->to_hear);
    queue_init(&t->answers);
    queue_init(&t->to_confirm);
    *out = t;
}

void catalog_tree_destroy(struct catalog_tree **tree)
{
    struct catalog_tree *t = *tree;
    *tree = NULL;
    if (!t) return;
    drop_all(&t->to_say);
    drop_all(&t->to_hear);
    drop_all(&t->answers);
    drop_all(&t->to_confirm);
    free_request(t->told);
    for (struct visit *v = t->visits, *next; v; v = next) {
        next = v->next;
        free(v);
    }
    for (uint32_t i = 0; i < t->n_listed; i++) {
        free((char *)(uintptr_t)t->listed[i].key);
        free((void *)(uintptr_t)t->listed[i].value.data);
    }
    free(t->listed);
    buffer_close(&t->message);
    free(t);
}
