/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/op.h"

#include "runtime/coord/limits.h"
#include "runtime/coord/path.h"

/* An ACL of COORD_ACL_MAX entries with ids of COORD_ID_MAX bytes. */
#define ACL_BYTES_MAX (2u + COORD_ACL_MAX * (4u + COORD_ID_MAX))

static bool has_data(enum op_type type)
{
    return type == OP_CREATE || type == OP_SET;
}

static bool has_acl(enum op_type type)
{
    return type == OP_CREATE || type == OP_SET_ACL;
}

static bool has_version(enum op_type type)
{
    return type == OP_DELETE || type == OP_SET || type == OP_SET_ACL || type == OP_CHECK;
}

/* ---- what both forms have ------------------------------------------------------------------------------------------------------ */

static void put_common(struct buffer *b, const struct op *op)
{
    put_u8(b, (uint8_t)op->type);
    put_bytes(b, op->path);
    if (has_data(op->type)) put_data(b, op->data);
    if (has_acl(op->type)) put_bytes(b, op->acl);
    if (op->type == OP_CREATE) {
        put_u8(b, op->kind);
        put_u64(b, op->owner);
    }
    if (op->type != OP_SET_QUOTA) return;
    put_u64(b, op->quota.nodes);
    put_u64(b, op->quota.bytes);
}

static void read_common(struct reader *r, struct op *op)
{
    *op = (struct op){.type = read_u8(r)};
    if (op->type < OP_CREATE || op->type > OP_CHECK) r->broken = true;
    op->path = read_bytes(r, COORD_PATH_MAX);
    if (has_data(op->type)) op->data = read_data(r, COORD_DATA_MAX);
    if (has_acl(op->type)) op->acl = read_bytes(r, ACL_BYTES_MAX);
    if (op->type == OP_CREATE) {
        op->kind = read_u8(r);
        op->owner = read_u64(r);
        if (op->kind >= NODE_KINDS) r->broken = true;
    }
    if (op->type != OP_SET_QUOTA) return;
    op->quota.nodes = read_u64(r);
    op->quota.bytes = read_u64(r);
}

/* ---- requests ------------------------------------------------------------------------------------------------------------------ */

void put_request_op(struct buffer *b, const struct op *op)
{
    put_common(b, op);
    if (op->type == OP_CREATE) put_u8(b, op->sequential);
    if (has_version(op->type)) put_i64(b, op->version);
}

void read_request_op(struct reader *r, struct op *op)
{
    read_common(r, op);
    if (op->type == OP_CREATE) op->sequential = read_bool(r);
    if (has_version(op->type)) op->version = read_i64(r);
}

/* ---- transactions -------------------------------------------------------------------------------------------------------------- */

void put_txn_op(struct buffer *b, const struct op *op)
{
    put_common(b, op);
    if (op->type == OP_CREATE) put_u64(b, op->sequence);
}

void read_txn_op(struct reader *r, struct op *op)
{
    read_common(r, op);
    if (op->type == OP_CREATE) op->sequence = read_u64(r);
    if (r->broken) return;
    if (path_check(op->path)) r->broken = true;
    if (has_acl(op->type) && !acl_valid(op->acl)) r->broken = true;
}
