/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree, done the plain way, as an oracle: a list of nodes with their whole paths, searched from end to end; usage is counted anew
 * whenever somebody asks. A request is carried out at once, against all requests before it, and gives the body that its reply must have.
 * It shares no code with runtime/coord but the codec and the forms of requests.
 */
#ifndef WEIR_TESTS_UNIT_COORD_MODEL_H
#define WEIR_TESTS_UNIT_COORD_MODEL_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/coord/limits.h"
#include "runtime/coord/prep.h"

#define MODEL_NODES 64
#define MODEL_SESSIONS 8

struct model_node {
    char path[128];
    uint8_t data[64];
    bool none;   /* no data at all */
    uint8_t acl; /* 0: everybody everything; 1: READ for everybody; 2: user u:p everything */
    struct coord_stat stat;
    uint64_t sequence;
    struct quota quota;
};

struct model {
    struct model_node nodes[MODEL_NODES]; /* the root first; unordered otherwise */
    uint32_t n;
    uint64_t sessions[MODEL_SESSIONS]; /* open ones; 0: none */
    uint64_t last_session;
    struct coord_limits limits;
};

static inline struct model_node *model_find(struct model *m, const char *path)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (strcmp(m->nodes[i].path, path) == 0) return &m->nodes[i];
    return NULL;
}

static inline void model_parent(const char *path, char out[128])
{
    memmove(out, path, strlen(path) + 1);
    char *slash = strrchr(out, '/');
    slash[slash == out ? 1 : 0] = '\0';
}

static inline bool model_below(const char *path, const char *above)
{
    size_t n = strcmp(above, "/") == 0 ? 0 : strlen(above);
    return strncmp(path, above, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static inline struct usage model_usage(struct model *m, const char *top)
{
    struct usage u = {0};
    for (uint32_t i = 0; i < m->n; i++) {
        const struct model_node *n = &m->nodes[i];
        if (!model_below(n->path, top)) continue;
        u.nodes++;
        u.bytes += (strcmp(n->path, "/") ? strlen(strrchr(n->path, '/')) : 1) + n->stat.data_len;
    }
    return u;
}

/* Whether so much more may be used at `path` and above. */
static inline enum coord_err model_room(struct model *m, const char *path, uint64_t nodes, uint64_t bytes)
{
    char at[128];
    snprintf(at, sizeof at, "%s", path);
    for (;;) {
        struct usage u = model_usage(m, at);
        struct quota q = model_find(m, at)->quota;
        bool root = strcmp(at, "/") == 0;
        if (root && nodes && u.nodes + nodes > m->limits.nodes) return COORD_LIMIT;
        if (root && bytes && u.bytes + bytes > m->limits.bytes) return COORD_LIMIT;
        if (q.nodes && nodes && u.nodes + nodes > q.nodes) return COORD_QUOTA_EXCEEDED;
        if (q.bytes && bytes && u.bytes + bytes > q.bytes) return COORD_QUOTA_EXCEEDED;
        if (root) return COORD_OK;
        model_parent(at, at);
    }
}

struct model_ask {
    uint64_t session; /* 0: the leader, who may do everything */
    bool user;        /* has the identity u:p */
    struct moment when;
};

static inline bool model_may(const struct model_node *n, enum acl_perm perm, const struct model_ask *ask)
{
    if (n->acl == 0 || ask->session == 0) return true;
    return n->acl == 1 ? perm == ACL_READ : ask->user;
}

static inline void model_put(struct buffer *body, const struct coord_stat *s)
{
    put_stat(body, s);
}

static inline uint8_t model_acl_of(struct weir_bytes acl)
{
    return bytes_equal(acl, acl_open()) ? 0 : ((const uint8_t *)acl.data)[2] == ACL_READ ? 1 : 2;
}

static inline void model_data(struct model_node *n, struct weir_bytes data)
{
    n->none = !data.data;
    n->stat.data_len = data.length;
    if (data.length) memcpy(n->data, data.data, data.length);
}

static inline enum coord_err model_create(struct model *m, const struct op *op, const struct model_ask *ask, struct buffer *body)
{
    char path[128], above[128];
    snprintf(path, sizeof path, "%.*s", (int)op->path.length, (const char *)op->path.data);
    if (op->sequential) snprintf(path + op->path.length, sizeof path - op->path.length, "x");
    model_parent(path, above);
    struct model_node *p = model_find(m, above);
    if (op->sequential) snprintf(path + op->path.length, sizeof path - op->path.length, "%010" PRIu64, p ? p->sequence : 0);
    if (!p) return COORD_NO_NODE;
    if (!model_may(p, ACL_CREATE, ask)) return COORD_NO_AUTH;
    if (model_find(m, path)) return COORD_NODE_EXISTS;
    if (p->stat.kind == NODE_EPHEMERAL) return COORD_NO_CHILDREN_FOR_EPHEMERALS;
    if (p->stat.n_children >= m->limits.children || op->data.length > m->limits.data) return COORD_LIMIT;
    enum coord_err err = model_room(m, above, 1, strlen(strrchr(path, '/')) + op->data.length);
    if (err) return err;
    if (m->n == MODEL_NODES) abort();
    struct model_node *n = &m->nodes[m->n++];
    *n = (struct model_node){.acl = model_acl_of(op->acl)};
    snprintf(n->path, sizeof n->path, "%s", path);
    n->stat = (struct coord_stat){.czxid = ask->when.zxid, .mzxid = ask->when.zxid, .pzxid = ask->when.zxid, .ctime_ms = ask->when.ms};
    n->stat.mtime_ms = ask->when.ms;
    n->stat.kind = op->kind;
    if (op->kind == NODE_EPHEMERAL) n->stat.owner = ask->session;
    if (op->kind == NODE_TTL) n->stat.ttl_ms = op->owner;
    model_data(n, op->data);
    p->stat.n_children++;
    p->stat.cversion++;
    p->stat.pzxid = ask->when.zxid;
    if (op->sequential) p->sequence++;
    put_bytes(body, bytes_text(path));
    model_put(body, &n->stat);
    return COORD_OK;
}

static inline void model_remove(struct model *m, struct model_node *n, struct moment when)
{
    char above[128];
    model_parent(n->path, above);
    *n = m->nodes[--m->n];
    struct model_node *p = model_find(m, above);
    p->stat.n_children--;
    p->stat.cversion++;
    p->stat.pzxid = when.zxid;
}

static inline enum coord_err model_existing(struct model *m, const struct op *op, const struct model_ask *ask, struct buffer *body)
{
    char path[128], above[128];
    snprintf(path, sizeof path, "%.*s", (int)op->path.length, (const char *)op->path.data);
    model_parent(path, above);
    struct model_node *n = model_find(m, path), *p = model_find(m, above);
    uint64_t version = n ? op->type == OP_SET_ACL ? n->stat.aversion : n->stat.version : 0;
    bool right = op->version == OP_ANY_VERSION || (uint64_t)op->version == version;
    if (op->type == OP_DELETE) {
        if (strcmp(path, "/") == 0) return COORD_BAD_ARGUMENTS;
        if (!p) return COORD_NO_NODE;
        if (!model_may(p, ACL_DELETE, ask)) return COORD_NO_AUTH;
        if (!n) return COORD_NO_NODE;
        if (!right) return COORD_BAD_VERSION;
        if (n->stat.n_children) return COORD_NOT_EMPTY;
        model_remove(m, n, ask->when);
        return COORD_OK;
    }
    if (!n) return COORD_NO_NODE;
    if (op->type == OP_SET_QUOTA) {
        if (!model_may(p, ACL_ADMIN, ask)) return COORD_NO_AUTH;
        n->quota = op->quota;
        return COORD_OK;
    }
    enum acl_perm perm = op->type == OP_SET ? ACL_WRITE : op->type == OP_SET_ACL ? ACL_ADMIN : ACL_READ;
    if (!model_may(n, perm, ask)) return COORD_NO_AUTH;
    if (!right) return COORD_BAD_VERSION;
    if (op->type == OP_CHECK) return COORD_OK;
    if (op->type == OP_SET) {
        if (op->data.length > m->limits.data) return COORD_LIMIT;
        if (op->data.length > n->stat.data_len) {
            enum coord_err err = model_room(m, path, 0, op->data.length - n->stat.data_len);
            if (err) return err;
        }
        model_data(n, op->data);
        n->stat.version++;
        n->stat.mzxid = ask->when.zxid;
        n->stat.mtime_ms = ask->when.ms;
    } else {
        n->acl = model_acl_of(op->acl);
        n->stat.aversion++;
    }
    model_put(body, &n->stat);
    return COORD_OK;
}

/* Carries out all operations or none; `body` becomes the body of the reply. */
static inline void model_write(struct model *m, const struct op *ops, uint16_t n_ops, const struct model_ask *ask, struct buffer *body)
{
    struct model before = *m;
    body->len = 0;
    put_body_head(body, COORD_OK, 0, n_ops);
    for (uint16_t i = 0; i < n_ops; i++) {
        put_u8(body, (uint8_t)ops[i].type);
        enum coord_err err = ops[i].type == OP_CREATE ? model_create(m, &ops[i], ask, body) : model_existing(m, &ops[i], ask, body);
        if (!err) continue;
        *m = before;
        body->len = 0;
        put_body_head(body, err, i, 0);
        return;
    }
}

static inline void model_end_session(struct model *m, uint64_t session, struct moment when)
{
    for (uint32_t i = m->n; i-- > 0;)
        if (m->nodes[i].stat.kind == NODE_EPHEMERAL && m->nodes[i].stat.owner == session) model_remove(m, &m->nodes[i], when);
    for (uint32_t i = 0; i < MODEL_SESSIONS; i++)
        if (m->sessions[i] == session) m->sessions[i] = 0;
}

static inline void model_init(struct model *m, const struct coord_limits *limits)
{
    *m = (struct model){.n = 1, .limits = *limits};
    strcpy(m->nodes[0].path, "/");
}

#endif
