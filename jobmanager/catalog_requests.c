/* SPDX-License-Identifier: Apache-2.0 */
/* What the catalog asks of its peer: requests in their order, and the operations of writes. */
#include <stdlib.h>

#include "jobmanager/catalog_tree_internal.h"
#include "runtime/base/assert.h"
#include "runtime/coord/acl.h"

/* ---- queues ---- */

void queue_init(struct queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

void queue_put(struct queue *q, struct request *r)
{
    r->next = NULL;
    *q->last = r;
    q->last = &r->next;
}

struct request *queue_take(struct queue *q)
{
    struct request *r = q->first;
    if (!r) return NULL;
    q->first = r->next;
    if (!q->first) q->last = &q->first;
    return r;
}

void request_free(struct request *r)
{
    if (!r) return;
    buffer_close(&r->bytes);
    free(r);
}

void queue_drop(struct queue *q)
{
    for (struct request *r; (r = queue_take(q)) != NULL;) request_free(r);
}

/* ---- asking ---- */

struct request *request_new(enum purpose purpose)
{
    struct request *r = calloc(1, sizeof *r);
    WEIR_ASSERT(r);
    r->purpose = purpose;
    return r;
}

/* Numbers the request and puts it in line. */
static struct request *ask(struct catalog_tree *t, enum purpose purpose, struct ask *ask)
{
    struct request *r = request_new(purpose);
    ask->xid = ++t->last_xid;
    ask->acked = t->acked;
    put_ask(&r->bytes, ask);
    WEIR_ASSERT(!r->bytes.err);
    queue_put(&t->to_say, r);
    return r;
}

struct request *catalog_ask_ops(struct catalog_tree *t, enum purpose purpose, struct weir_bytes ops, uint32_t n)
{
    return ask(t, purpose, &(struct ask){.type = ASK_WRITE, .n = n, .ops = ops});
}

struct request *catalog_ask_write(struct catalog_tree *t, enum purpose purpose, const struct op *ops, uint32_t n)
{
    struct buffer bytes = {0};
    for (uint32_t i = 0; i < n; i++) put_request_op(&bytes, &ops[i]);
    WEIR_ASSERT(!bytes.err);
    struct request *r = catalog_ask_ops(t, purpose, bytes_of(bytes.data, bytes.len), n);
    buffer_close(&bytes);
    return r;
}

struct request *catalog_ask_read(struct catalog_tree *t, enum purpose purpose, const struct get *get, bool linear)
{
    struct buffer bytes = {0};
    put_get(&bytes, get);
    WEIR_ASSERT(!bytes.err);
    struct request *r = ask(t, purpose, &(struct ask){.type = ASK_READ, .linear = linear, .n = 1, .ops = bytes_of(bytes.data, bytes.len)});
    buffer_close(&bytes);
    return r;
}

struct op catalog_op_create(const char *path, struct weir_bytes data, enum node_kind kind)
{
    return (struct op){.type = OP_CREATE, .path = bytes_text(path), .data = data, .acl = acl_open(), .kind = (uint8_t)kind};
}

struct op catalog_op_check(const struct catalog_tree *t)
{
    return (struct op){.type = OP_CHECK, .path = bytes_text(CATALOG_TREE_LEADER), .version = (int64_t)t->leader_version};
}
