/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/catalog_tree.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/catalog_tree_internal.h"
#include "runtime/base/assert.h"
#include "runtime/coord/limits.h"

#define EPOCH_TEXT 24

/* ---- the end ---- */

void catalog_lose(struct catalog_tree *t, const char *fmt, ...)
{
    va_list args;
    if (t->state == CATALOG_TREE_LOST) return;
    va_start(args, fmt);
    vsnprintf(t->reason, sizeof t->reason, fmt, args);
    va_end(args);
    t->state = CATALOG_TREE_LOST;
    queue_drop(&t->to_say);
    queue_drop(&t->to_hear);
    queue_drop(&t->to_confirm);
}

/* ---- claiming ---- */

static void begin_claim(struct catalog_tree *t)
{
    static const char *const folders[] = {CATALOG_TREE_ROOT, CATALOG_ARTIFACTS, CATALOG_JOBS, CATALOG_PARTS, CATALOG_TREE_LEADER};
    t->state = CATALOG_TREE_CLAIMING;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        struct op op = catalog_op_create(folders[i], bytes_text("0"), NODE_PERSISTENT);
        (void)catalog_ask_write(t, MADE_FOLDER, &op, 1);
    }
    (void)catalog_ask_read(t, SAW_LEADER, &(struct get){.type = GET_DATA, .path = bytes_text(CATALOG_TREE_LEADER)}, false);
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
        catalog_lose(t, "a JobManager with epoch %" PRIu64 " leads, ours is %" PRIu64, other, t->epoch);
        return;
    }
    snprintf(text, sizeof text, "%" PRIu64, t->epoch);
    struct op op = {.type = OP_SET, .path = bytes_text(CATALOG_TREE_LEADER), .data = bytes_text(text), .version = (int64_t)stat->version};
    (void)catalog_ask_write(t, CLAIMED, &op, 1);
}

/* ---- orders ---- */

static void path_of(const char *key, char out[static CATALOG_PATH_BYTES])
{
    snprintf(out, CATALOG_PATH_BYTES, "%s/%s", CATALOG_TREE_ROOT, key);
}

/* The folder of a key that is to be made; that it is there already is no error. */
static void make_folder(struct catalog_tree *t, const char *path)
{
    char folder[CATALOG_PATH_BYTES];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    struct op ops[] = {catalog_op_check(t), catalog_op_create(folder, bytes_text(""), NODE_CONTAINER)};
    (void)catalog_ask_write(t, MADE_FOLDER, ops, 2);
}

static void confirm(struct catalog_tree *t, uint64_t number)
{
    struct request *r = request_new(CONFIRMED);
    r->answer = (struct catalog_answer){.number = number, .reason = ""};
    put_ask(&r->bytes, &(struct ask){.type = ASK_CONFIRM, .xid = number});
    WEIR_ASSERT(!r->bytes.err);
    queue_drop(&t->to_confirm);
    queue_put(&t->to_confirm, r);
    t->confirming = 0;
}

struct request *catalog_write_node(struct catalog_tree *t, const struct catalog_order *order)
{
    char path[CATALOG_PATH_BYTES];
    path_of(order->key, path);
    struct op ops[] = {catalog_op_check(t), catalog_op_create(path, order->value, NODE_PERSISTENT)};
    ops[1].type = order->kind == CATALOG_DELETE ? OP_DELETE : order->expected ? OP_SET : OP_CREATE;
    ops[1].version = (int64_t)order->expected - 1;
    if (ops[1].type == OP_CREATE) make_folder(t, path);
    struct request *r = catalog_ask_write(t, DID_ORDER, ops, 2);
    r->kind = order->kind;
    r->answer = (struct catalog_answer){.number = order->number, .outcome = CATALOG_UNKNOWN, .version = order->expected, .reason = ""};
    (void)snprintf(r->key, sizeof r->key, "%s", order->key);
    return r;
}

static void read_node(struct catalog_tree *t, const struct catalog_order *order)
{
    char path[CATALOG_PATH_BYTES];
    path_of(order->key, path);
    struct request *r = catalog_ask_read(t, DID_ORDER, &(struct get){.type = GET_DATA, .path = bytes_text(path)}, true);
    r->kind = CATALOG_GET;
    r->answer = (struct catalog_answer){.number = order->number, .outcome = CATALOG_UNKNOWN, .reason = ""};
    (void)snprintf(r->key, sizeof r->key, "%s", order->key);
}

void catalog_carry_out(struct catalog_tree *t, const struct catalog_order *order)
{
    if (order->kind == CATALOG_GET)
        read_node(t, order);
    else if (order->kind == CATALOG_PUT && (order->value.length > t->node_bytes || catalog_note_begins(order->value)))
        catalog_parts_put(t, order);
    else
        (void)catalog_write_node(t, order);
}

void catalog_tree_order(struct catalog_tree *t, const struct catalog_order *order)
{
    if (t->state == CATALOG_TREE_LOST) return;
    WEIR_ASSERT(t->state == CATALOG_TREE_SERVING);
    catalog_drop_listed(t);
    if (order->kind == CATALOG_CONFIRM)
        confirm(t, order->number);
    else if (!catalog_parts_hold(t, order))
        catalog_carry_out(t, order);
}

void catalog_answer_order(struct catalog_tree *t, struct request *r, enum catalog_outcome outcome, unsigned err)
{
    r->answer.outcome = outcome;
    r->answer.reason = outcome == CATALOG_COMMITTED ? "" : coord_err_name(err);
    queue_put(&t->answers, r);
}

/* What became of a write, and so of parts: those of the value that it replaced go, or its own. Nobody knows which while it is in doubt. */
static void answer_write(struct catalog_tree *t, struct request *r, enum catalog_outcome outcome, unsigned err)
{
    if (outcome == CATALOG_COMMITTED)
        catalog_parts_are(t, r->key, r->large ? &r->note : NULL);
    else if (outcome != CATALOG_UNKNOWN && r->large)
        catalog_parts_remove(t, &r->note);
    catalog_answer_order(t, r, outcome, err);
}

/* A write was refused: by the check, which means that somebody else leads; or for itself. */
static void take_refusal(struct catalog_tree *t, struct request *r, uint16_t err, uint32_t failed)
{
    if (failed == 0) {
        request_free(r);
        catalog_lose(t, "another JobManager has begun to lead");
        return;
    }
    bool conflict = err == COORD_BAD_VERSION || err == COORD_NODE_EXISTS || err == COORD_NO_NODE;
    answer_write(t, r, conflict ? CATALOG_CONFLICT : CATALOG_REFUSED, err);
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
    answer_write(t, r, in.broken ? CATALOG_UNKNOWN : CATALOG_COMMITTED, COORD_MARSHALLING);
}

static void take_read(struct catalog_tree *t, struct request *r, struct weir_bytes body)
{
    struct reader in;
    struct catalog_note note;
    reader_init(&in, body.data, body.length);
    (void)read_u32(&in);
    uint16_t err = read_u16(&in);
    struct weir_bytes data = err ? (struct weir_bytes){0} : read_data(&in, COORD_DATA_MAX);
    struct coord_stat stat = err ? (struct coord_stat){0} : read_stat(&in);
    bool known = !in.broken && (!err || err == COORD_NO_NODE), large = known && !err && catalog_note_read(data, &note);
    if (known) catalog_parts_are(t, r->key, large ? &note : NULL);
    if (large) {
        catalog_parts_get(t, r, r->key, stat.version + 1, &note);
        return;
    }
    buffer_clear(&r->bytes);
    if (known) buffer_add(&r->bytes, data.data, data.length);
    WEIR_ASSERT(!r->bytes.err);
    r->answer.version = known && !err ? stat.version + 1 : 0;
    r->answer.value = bytes_of(r->bytes.data, r->bytes.len);
    catalog_answer_order(t, r, known ? CATALOG_COMMITTED : CATALOG_UNKNOWN, err);
}

/* ---- hearing ---- */

static void take_order(struct catalog_tree *t, struct request *r, const struct say *say)
{
    enum catalog_outcome failed = say->err == COORD_THROTTLED ? CATALOG_REFUSED : CATALOG_UNKNOWN;
    if (r->kind == CATALOG_GET && !say->err)
        take_read(t, r, say->body);
    else if (r->kind == CATALOG_GET)
        catalog_answer_order(t, r, failed, say->err);
    else if (say->err == COORD_THROTTLED || say->err == COORD_NO_QUORUM || say->err == COORD_OUTCOME_FORGOTTEN)
        answer_write(t, r, failed, say->err);
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
        catalog_skip_visit(t);
        return;
    }
    if (in.broken || err) {
        catalog_lose(t, "the catalog could not be read from the tree: %s", coord_err_name(in.broken ? COORD_MARSHALLING : err));
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
    case CLAIMED: catalog_begin_listing(t); break;
    case LISTED_CHILDREN: catalog_take_children(t, &in); break;
    case LISTED_DATA: catalog_take_data(t, &in); break;
    case LISTED_PARTS: catalog_take_parts(t, &in); break;
    default: break;
    }
    if (in.broken) catalog_lose(t, "the catalog could not be read from the tree: %s", coord_err_name(COORD_MARSHALLING));
}

static void take_reply(struct catalog_tree *t, const struct say *say)
{
    struct request *r = queue_take(&t->to_hear);
    if (!r) return;
    t->acked = say->xid;
    switch (r->purpose) {
    case DID_ORDER: take_order(t, r, say); return; /* keeps it */
    case WROTE_PART: catalog_parts_wrote(t, r, say); break;
    case READ_PART: catalog_parts_read(t, r, say); break;
    case SAW_PARTS: catalog_parts_saw(t, r, say); break;
    case REMOVED_PARTS: break; /* what is left is found by who leads next */
    case MADE_FOLDER: break;   /* that a folder is there already is seen by who uses it */
    default: take_step(t, r->purpose, say); break;
    }
    request_free(r);
}

static void take_confirmed(struct catalog_tree *t, const struct say *say)
{
    if (!t->confirming || say->xid != t->confirming) return; /* of one before */
    t->confirming = 0;
    catalog_answer_order(t, queue_take(&t->to_confirm), say->err ? CATALOG_UNKNOWN : CATALOG_COMMITTED, say->err);
}

void catalog_tree_hear(struct catalog_tree *t, struct weir_bytes message)
{
    struct say say;
    if (t->state == CATALOG_TREE_LOST) return;
    if (!read_say(message, &say)) {
        catalog_lose(t, "the coordination peer sent a message that cannot be read");
        return;
    }
    switch (say.type) {
    case SAY_CONNECTED:
        t->last_xid = t->acked = say.last_xid;
        begin_claim(t);
        return;
    case SAY_REFUSED: catalog_lose(t, "the coordination peer refuses: %s", coord_err_name(say.err)); return;
    case SAY_REPLY: take_reply(t, &say); return;
    case SAY_CONFIRMED: take_confirmed(t, &say); return;
    case SAY_EVENT:
    case SAY_PONG: return;
    }
}

void catalog_tree_closed(struct catalog_tree *t)
{
    catalog_lose(t, "the coordination peer has closed the connection");
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
    struct request *r = is_full(t) ? NULL : queue_take(&t->to_say);
    if (r) {
        buffer_add(&t->message, r->bytes.data, r->bytes.len);
        queue_put(&t->to_hear, r);
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
    request_free(t->told);
    t->told = queue_take(&t->answers);
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

void catalog_tree_new(struct catalog_tree **out, uint64_t epoch, uint32_t node_bytes)
{
    struct catalog_tree *t = calloc(1, sizeof *t);
    WEIR_ASSERT(t);
    WEIR_ASSERT(node_bytes > 0);
    t->epoch = epoch;
    t->node_bytes = node_bytes;
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
    queue_drop(&t->to_say);
    queue_drop(&t->to_hear);
    queue_drop(&t->answers);
    queue_drop(&t->to_confirm);
    request_free(t->told);
    catalog_drop_visits(t);
    catalog_drop_listed(t);
    catalog_parts_close(t);
    buffer_close(&t->message);
    free(t);
}
