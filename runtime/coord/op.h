/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that change the tree, in their two forms: what a client asks for (conditions, an ACL with `auth`, a prefix) and what the
 * leader made of it (no condition left, the ACL resolved, the whole path). docs/protocol/coord.md has both byte by byte.
 */
#ifndef WEIR_RUNTIME_COORD_OP_H
#define WEIR_RUNTIME_COORD_OP_H

#include "runtime/coord/tree.h"

enum op_type {
    OP_CREATE = 1,
    OP_DELETE = 2,
    OP_SET = 3,
    OP_SET_ACL = 4,
    OP_SET_QUOTA = 5,
    OP_CHECK = 6, /* changes nothing: a condition in a multi */
};

#define OP_ANY_VERSION (-1)

struct op {
    enum op_type type;
    struct weir_bytes path;
    struct weir_bytes data; /* CREATE, SET; data NULL: none */
    struct weir_bytes acl;  /* CREATE, SET_ACL */
    int64_t version;        /* request: DELETE, SET, CHECK (data), SET_ACL (ACL); OP_ANY_VERSION: whatever it is */
    uint8_t kind;           /* CREATE: enum node_kind */
    bool sequential;        /* request: CREATE adds a number to the path */
    uint64_t owner;         /* CREATE: of a TTL node the milliseconds; in a transaction of an ephemeral the session */
    uint64_t sequence;      /* transaction: CREATE of a sequential node; the parent's counter afterwards, else 0 */
    struct quota quota;     /* SET_QUOTA */
};

void put_request_op(struct buffer *b, const struct op *op);
void put_txn_op(struct buffer *b, const struct op *op);

/*
 * Reads one; breaks the reader when the bytes are none. Nothing is said of paths and ACLs in a request: a bad one is refused by the leader,
 * with its own error. In a transaction they are as they must be.
 */
void read_request_op(struct reader *r, struct op *op);
void read_txn_op(struct reader *r, struct op *op);

#endif
