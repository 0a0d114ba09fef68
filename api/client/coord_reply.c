/* SPDX-License-Identifier: Apache-2.0 */
#include "api/client/coord_reply.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/coord/acl.h"
#include "runtime/coord/limits.h"
#include "runtime/coord/watch.h"

/* ---- requests ------------------------------------------------------------------------------------------------------------------ */

static bool path_fits(const char *path)
{
    return path && strnlen(path, COORD_PATH_MAX + 1) <= COORD_PATH_MAX;
}

static enum weir_coord_err op_error(const struct weir_coord_op *op)
{
    unsigned kind = op->kind & ~(unsigned)WEIR_COORD_SEQUENTIAL;
    if (op->type < WEIR_COORD_CREATE || op->type > WEIR_COORD_CHECK || !path_fits(op->path)) return WEIR_COORD_BAD_ARGUMENTS;
    if (op->type == WEIR_COORD_CREATE && kind >= NODE_KINDS) return WEIR_COORD_BAD_ARGUMENTS;
    if (op->data.length > COORD_DATA_MAX) return WEIR_COORD_LIMIT;
    return op->acl.length > 2 + COORD_ACL_MAX * (4 + COORD_ID_MAX) ? WEIR_COORD_INVALID_ACL : WEIR_COORD_OK;
}

static void put_op(struct buffer *b, const struct weir_coord_op *op)
{
    struct op out = {.type = (enum op_type)op->type,
                     .path = bytes_text(op->path),
                     .data = op->data,
                     .acl = op->acl,
                     .version = op->version,
                     .quota = {op->quota_nodes, op->quota_bytes}};
    if (op->type == WEIR_COORD_CREATE) {
        out.kind = (uint8_t)(op->kind & ~(unsigned)WEIR_COORD_SEQUENTIAL);
        out.sequential = op->kind & WEIR_COORD_SEQUENTIAL;
        out.owner = op->ttl_ms;
        if (op->acl.length == 0) out.acl = acl_open();
    }
    put_request_op(b, &out);
    WEIR_ASSERT(!b->err);
}

enum weir_coord_err request_put_ops(struct request *request, const struct weir_coord_op *ops, uint32_t n)
{
    if (n == 0) return WEIR_COORD_BAD_ARGUMENTS;
    if (n > COORD_MULTI_MAX) return WEIR_COORD_LIMIT;
    for (uint32_t i = 0; i < n; i++) {
        enum weir_coord_err err = op_error(&ops[i]);
        if (err) return err;
        put_op(&request->ops, &ops[i]);
        if (request->ops.len > COORD_REQUEST_MAX) return WEIR_COORD_LIMIT;
    }
    request->n = n;
    return WEIR_COORD_OK;
}

static bool needs_path(enum weir_coord_read_type type)
{
    return type != WEIR_COORD_EPHEMERALS && type != WEIR_COORD_IDENTITIES;
}

static bool may_watch(enum weir_coord_read_type type)
{
    return type == WEIR_COORD_GET || type == WEIR_COORD_EXISTS || type == WEIR_COORD_GET_CHILDREN;
}

static enum weir_coord_err read_error(const struct weir_coord_read *read, uint32_t n)
{
    if (read->type < WEIR_COORD_GET || read->type > WEIR_COORD_USAGE) return WEIR_COORD_BAD_ARGUMENTS;
    if (needs_path(read->type) && !path_fits(read->path)) return WEIR_COORD_BAD_ARGUMENTS;
    if (read->after && strnlen(read->after, COORD_NAME_MAX + 1) > COORD_NAME_MAX) return WEIR_COORD_BAD_ARGUMENTS;
    return read->on_change && (n > 1 || !may_watch(read->type)) ? WEIR_COORD_BAD_ARGUMENTS : WEIR_COORD_OK;
}

static void take_watch(struct request *request, const struct weir_coord_read *read)
{
    request->watch_kind = read->type == WEIR_COORD_GET_CHILDREN ? WATCH_CHILD : WATCH_DATA;
    request->watch.fn = read->on_change;
    request->watch.arg = read->arg;
    buffer_str(&request->path, read->path);
    WEIR_ASSERT(!request->path.err);
}

enum weir_coord_err request_put_reads(struct request *request, const struct weir_coord_read *reads, uint32_t n)
{
    if (n == 0) return WEIR_COORD_BAD_ARGUMENTS;
    if (n > COORD_MULTI_MAX) return WEIR_COORD_LIMIT;
    for (uint32_t i = 0; i < n; i++) {
        const struct weir_coord_read *read = &reads[i];
        enum weir_coord_err err = read_error(read, n);
        if (err) return err;
        struct get get = {.type = (enum get_type)read->type, .watch = read->on_change != NULL, .skip = read->skip, .max = read->max};
        get.path = needs_path(read->type) ? bytes_text(read->path) : bytes_of("", 0);
        get.after = bytes_text(read->after ? read->after : "");
        put_get(&request->ops, &get);
        WEIR_ASSERT(!request->ops.err);
        if (read->on_change) take_watch(request, read);
    }
    request->n = n;
    return WEIR_COORD_OK;
}

/* ---- replies ------------------------------------------------------------------------------------------------------------------- */

static struct weir_coord_zxid zxid_out(struct zxid z)
{
    return (struct weir_coord_zxid){z.epoch, z.counter};
}

static struct weir_coord_stat stat_out(struct reader *r)
{
    struct coord_stat s = read_stat(r);
    return (struct weir_coord_stat){.czxid = zxid_out(s.czxid),
                                    .mzxid = zxid_out(s.mzxid),
                                    .pzxid = zxid_out(s.pzxid),
                                    .ctime_ms = s.ctime_ms,
                                    .mtime_ms = s.mtime_ms,
                                    .version = s.version,
                                    .cversion = s.cversion,
                                    .aversion = s.aversion,
                                    .owner = s.owner,
                                    .ttl_ms = s.ttl_ms,
                                    .data_length = s.data_len,
                                    .n_children = s.n_children,
                                    .kind = (enum weir_coord_kind)s.kind};
}

/*
 * A string with a NUL behind it. It lies in the reply's own copy of the body, behind its length, which has been read: there is room for the
 * NUL when the string moves one byte to the front.
 */
static const char *text_out(struct reader *r)
{
    struct weir_bytes b = read_bytes(r, COORD_PATH_MAX);
    if (r->broken) return "";
    char *at = (char *)(uintptr_t)b.data - 1;
    memmove(at, at + 1, b.length);
    at[b.length] = '\0';
    return at;
}

static void names_out(struct reader *r, struct weir_coord_result *out)
{
    out->more = read_bool(r);
    uint32_t n = read_u32(r);
    if (n > reader_left(r) / 4) r->broken = true;
    if (r->broken || n == 0) return;
    const char **names = calloc(n, sizeof *names);
    WEIR_ASSERT(names);
    for (uint32_t i = 0; i < n; i++) names[i] = text_out(r);
    out->names = names;
    out->n_names = n;
}

static void usage_out(struct reader *r, struct weir_coord_result *out)
{
    out->quota_nodes = read_u64(r);
    out->quota_bytes = read_u64(r);
    out->nodes = read_u64(r);
    out->bytes = read_u64(r);
}

static void read_out(struct reader *r, enum get_type type, struct weir_coord_result *out)
{
    out->err = (enum weir_coord_err)read_u16(r);
    if (out->err) return;
    switch (type) {
    case GET_DATA:
        out->data = read_data(r, COORD_DATA_MAX);
        out->stat = stat_out(r);
        break;
    case GET_EXISTS: out->stat = stat_out(r); break;
    case GET_CHILDREN:
        out->stat = stat_out(r);
        names_out(r, out);
        break;
    case GET_ACL:
        out->data = read_bytes(r, COORD_DATA_MAX);
        out->stat = stat_out(r);
        break;
    case GET_EPHEMERALS: names_out(r, out); break;
    case GET_IDENTITIES: out->data = read_bytes(r, COORD_DATA_MAX); break;
    case GET_USAGE: usage_out(r, out); break;
    case GET_WATCH: break;
    }
}

static void results_of_reads(struct reader *r, struct weir_bytes reads, struct weir_coord_reply *out)
{
    struct reader asked;
    reader_init(&asked, reads.data, reads.length);
    if (read_u32(r) != out->n) r->broken = true;
    for (uint32_t i = 0; i < out->n && !r->broken; i++) {
        struct get get;
        read_get(&asked, &get);
        read_out(r, get.type, &out->results[i]);
    }
}

static void results_of_write(struct reader *r, struct weir_coord_reply *out)
{
    uint16_t err = read_u16(r);
    out->failed = read_u32(r);
    if (read_u16(r) != (err ? 0 : out->n)) r->broken = true;
    if (err) out->n = 0;
    for (uint32_t i = 0; i < out->n && !r->broken; i++) {
        struct weir_coord_result *result = &out->results[i];
        uint8_t type = read_u8(r);
        if (type == OP_CREATE) result->path = text_out(r);
        if (type == OP_CREATE || type == OP_SET || type == OP_SET_ACL) result->stat = stat_out(r);
    }
}

static void results_make(struct weir_coord_reply *out, const struct coord_client_actions *actions, const struct coord_client_action *a)
{
    struct reader r;
    out->n = a->n;
    out->results = calloc(a->n, sizeof *out->results);
    out->memory = malloc(a->length);
    WEIR_ASSERT(out->results);
    WEIR_ASSERT(out->memory);
    memcpy(out->memory, actions->bytes.data + a->at, a->length);
    reader_init(&r, out->memory, a->length);
    if (a->ask == ASK_WRITE)
        results_of_write(&r, out);
    else
        results_of_reads(&r, bytes_of(actions->bytes.data + a->requests_at, a->requests_len), out);
    if (reader_done(&r)) return;
    weir_coord_reply_close(out);
    out->err = WEIR_COORD_MARSHALLING;
}

void reply_make(struct weir_coord_reply *out, const struct coord_client_actions *actions, const struct coord_client_action *answer)
{
    bool has_results = (answer->ask == ASK_WRITE || answer->ask == ASK_READ) && answer->length > 0;
    *out = (struct weir_coord_reply){.err = answer->err, .zxid = zxid_out(answer->zxid)};
    if (has_results) results_make(out, actions, answer);
}

void weir_coord_reply_close(struct weir_coord_reply *reply)
{
    for (uint32_t i = 0; reply->results && i < reply->n; i++) free((void *)(uintptr_t)reply->results[i].names);
    free(reply->results);
    free(reply->memory);
    *reply = (struct weir_coord_reply){0};
}
