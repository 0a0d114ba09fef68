/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One table per message says which fields it has; encoding and decoding both walk it, so a new field is one line here (and one in
 * docs/protocol/control.md). Numbers are never given to another field. A list of structs is written as an array of arrays, whose values
 * stand in the order of their table: new ones go to its end, and readers skip what they do not know.
 */
#include "runtime/wire/message.h"

#include <inttypes.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/base/log.h"
#include "runtime/wire/cursor.h"
#include "runtime/wire/pack.h"
#include "weir/operator.h"
#include "weir/source.h"
#include "weir/stream.h"

enum kind {
    KIND_U32,    /* uint32_t, or an enum */
    KIND_U64,    /* uint64_t */
    KIND_I32,    /* int32_t */
    KIND_I64,    /* int64_t */
    KIND_STR,    /* const char * */
    KIND_ID,     /* struct weir_id, as 16 bytes of binary */
    KIND_DIGEST, /* struct weir_digest, as 32 bytes */
    KIND_BYTES,  /* struct weir_bytes */
    KIND_U32S,   /* uint32_t *, with a count */
    KIND_STRS,   /* const char **, with a count */
    KIND_ROWS,   /* array of structs, with a count */
};

struct rows;

struct field {
    uint32_t number; /* key in the body's map; of rows: unused, their place counts */
    enum kind kind;
    size_t at;       /* offset of the member in struct wire_msg, or in the row */
    size_t count_at; /* lists: offset of the uint32_t with their length */
    int64_t min;     /* signed numbers and the least of unsigned ones; a field whose least is above 0 must be there */
    uint64_t max;    /* numbers (of KIND_U32S: each); 0 = what the type holds */
    uint32_t n_max;  /* lists: their longest; 0 = what the bytes hold */
    const struct rows *rows;
};

struct rows {
    size_t size; /* of the struct */
    uint32_t n_fields;
    const struct field *fields;
};

struct shape {
    enum wire_type type;
    const char *name;
    uint32_t n_fields;
    const struct field *fields;
    bool (*agrees)(const struct wire_msg *msg); /* what no single field can tell; NULL = nothing */
};

#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof(array)[0]))
static_assert(sizeof(weir_err) == sizeof(uint32_t), "an error code is stored as KIND_U32");

/* ---- rows ---------------------------------------------------------------------------------------------------------------------- */

#define STATS(kind_, member, ...)                                                     \
    {                                                                                 \
        .kind = kind_, .at = offsetof(struct wire_subtask_stats, member), __VA_ARGS__ \
    }
static const struct field subtask_fields[] = {
    STATS(KIND_U32, vertex, .max = WEIR_OPERATORS_MAX - 1),
    STATS(KIND_U32, subtask, .max = WEIR_PARALLELISM_MAX - 1),
    STATS(KIND_U32, state, .max = WIRE_SUBTASK_FAILED),
    STATS(KIND_U64, records_in),
    STATS(KIND_U64, records_out),
    STATS(KIND_U64, bytes_in),
    STATS(KIND_U64, bytes_out),
    STATS(KIND_U64, frames_in_local),
    STATS(KIND_U64, frames_in_remote),
    STATS(KIND_U64, frames_out_local),
    STATS(KIND_U64, frames_out_remote),
    STATS(KIND_U64, late),
    STATS(KIND_I64, watermark_ms, .min = INT64_MIN),
    STATS(KIND_U64, busy_us),
    STATS(KIND_U64, idle_us),
    STATS(KIND_U64, blocked_us),
};
static const struct rows subtask_rows = {sizeof(struct wire_subtask_stats), COUNT(subtask_fields), subtask_fields};

#define COUNTER(kind_, member, ...)                                             \
    {                                                                           \
        .kind = kind_, .at = offsetof(struct wire_counter, member), __VA_ARGS__ \
    }
static const struct field counter_fields[] = {
    COUNTER(KIND_STR, operator_id),
    COUNTER(KIND_U32, subtask, .max = WEIR_PARALLELISM_MAX - 1),
    COUNTER(KIND_STR, name),
    COUNTER(KIND_U64, value),
};
static const struct rows counter_rows = {sizeof(struct wire_counter), COUNT(counter_fields), counter_fields};

#define SLOT(kind_, member, ...)                                                   \
    {                                                                              \
        .kind = kind_, .at = offsetof(struct wire_slot_stats, member), __VA_ARGS__ \
    }
static const struct field slot_fields[] = {
    SLOT(KIND_U32, slot, .max = WEIR_PARALLELISM_MAX - 1),
    SLOT(KIND_U64, memory_bytes),
    SLOT(KIND_U64, memory_budget),
    SLOT(KIND_U64, entries),
    SLOT(KIND_U64, loads),
    SLOT(KIND_U64, evictions),
    SLOT(KIND_U64, write_outs),
    SLOT(KIND_U64, waits),
    SLOT(KIND_U64, stalls),
    SLOT(KIND_U64, stalled_ms),
    SLOT(KIND_U64, filter_useful),
    SLOT(KIND_U64, sst_files),
    SLOT(KIND_U64, sst_bytes),
    SLOT(KIND_U64, level0_files),
    SLOT(KIND_U64, cache_bytes),
    SLOT(KIND_U64, reader_bytes),
    SLOT(KIND_U64, compactions),
    SLOT(KIND_U64, compaction_pending_bytes),
    SLOT(KIND_U64, compaction_read_bytes),
    SLOT(KIND_U64, compaction_write_bytes),
    SLOT(KIND_U64, gets),
    SLOT(KIND_U64, gets_found),
    SLOT(KIND_U64, bloom_useful),
    SLOT(KIND_U64, ingested_files),
    SLOT(KIND_U64, ingested_bytes),
};
static const struct rows slot_rows = {sizeof(struct wire_slot_stats), COUNT(slot_fields), slot_fields};

#define SPLIT(kind_, member, ...)                                             \
    {                                                                         \
        .kind = kind_, .at = offsetof(struct wire_split, member), __VA_ARGS__ \
    }
static const struct field split_fields[] = {
    SPLIT(KIND_U32, node, .max = WEIR_OPERATORS_MAX - 1),
    SPLIT(KIND_U32, index, .max = WEIR_SPLITS_MAX - 1),
    SPLIT(KIND_BYTES, data),
};
static const struct rows split_rows = {sizeof(struct wire_split), COUNT(split_fields), split_fields};

#define PEER(kind_, member, ...)                                             \
    {                                                                        \
        .kind = kind_, .at = offsetof(struct wire_peer, member), __VA_ARGS__ \
    }
static const struct field peer_fields[] = {
    PEER(KIND_U32, worker, .max = WEIR_TASKMANAGERS_MAX - 1),
    PEER(KIND_STR, endpoint),
    PEER(KIND_ID, incarnation),
};
static const struct rows peer_rows = {sizeof(struct wire_peer), COUNT(peer_fields), peer_fields};

#define WORKER(kind_, member, ...)                                             \
    {                                                                          \
        .kind = kind_, .at = offsetof(struct wire_worker, member), __VA_ARGS__ \
    }
static const struct field worker_fields[] = {
    WORKER(KIND_ID, job),
    WORKER(KIND_U32, attempt),
    WORKER(KIND_U64, epoch),
    WORKER(KIND_U32, state, .max = WIRE_WORKER_HAS_COMMITTED),
    WORKER(KIND_U32, worker, .max = WEIR_TASKMANAGERS_MAX - 1),
    WORKER(KIND_U32, n_workers, .min = 1, .max = WEIR_TASKMANAGERS_MAX),
    WORKER(KIND_U32S, slots, .count_at = offsetof(struct wire_worker, n_slots), .max = WEIR_PARALLELISM_MAX - 1, .n_max = WEIR_SLOTS_MAX),
    WORKER(KIND_STR, endpoint),
    WORKER(KIND_ID, incarnation),
    WORKER(KIND_U64, restored_id),
    WORKER(KIND_U64, triggered),
    WORKER(KIND_U32, options, .max = CHECKPOINT_OPTIONS),
};
static const struct rows worker_rows = {sizeof(struct wire_worker), COUNT(worker_fields), worker_fields};

#define LEDGER(kind_, member, ...)                                             \
    {                                                                          \
        .kind = kind_, .at = offsetof(struct wire_ledger, member), __VA_ARGS__ \
    }
static const struct field ledger_fields[] = {
    LEDGER(KIND_U32, channel, .max = WEIR_CHANNELS_MAX - 1),
    LEDGER(KIND_U32, side, .max = WIRE_LEDGER_RECEIVER),
    LEDGER(KIND_U64, records),
    LEDGER(KIND_U64, bytes),
    LEDGER(KIND_U64, hash),
};
static const struct rows ledger_rows = {sizeof(struct wire_ledger), COUNT(ledger_fields), ledger_fields};

/* ---- messages ------------------------------------------------------------------------------------------------------------------ */

#define FIELD(number_, kind_, member, ...)                                                     \
    {                                                                                          \
        .number = number_, .kind = kind_, .at = offsetof(struct wire_msg, member), __VA_ARGS__ \
    }
#define LIST(number_, kind_, member, count, ...) FIELD(number_, kind_, member, .count_at = offsetof(struct wire_msg, count), __VA_ARGS__)

static const struct field register_fields[] = {
    FIELD(1, KIND_STR, reg.taskmanager),
    FIELD(2, KIND_ID, reg.incarnation),
    FIELD(3, KIND_STR, reg.host),
    FIELD(4, KIND_U32, reg.slots, .max = WEIR_SLOTS_MAX),
    FIELD(5, KIND_U32, reg.pid),
    FIELD(6, KIND_STR, reg.version),
    LIST(7, KIND_ROWS, reg.workers, reg.n_workers, .rows = &worker_rows, .n_max = WIRE_REPORTS_MAX),
};
static const struct field fetch_fields[] = {
    FIELD(1, KIND_DIGEST, fetch.digest),
    FIELD(2, KIND_U64, fetch.offset, .max = WEIR_PLUGIN_MAX),
};
static const struct field ready_fields[] = {
    FIELD(1, KIND_STR, ready.endpoint),
    FIELD(2, KIND_ID, ready.incarnation),
    FIELD(3, KIND_U64, ready.fingerprint),
};
static const struct field running_fields[] = {
    FIELD(1, KIND_U64, running.restore_us),
    FIELD(2, KIND_U64, running.restored_bytes),
    FIELD(3, KIND_U64, running.from_local_bytes),
};
static const struct field stats_fields[] = {
    LIST(1, KIND_ROWS, stats.subtasks, stats.n_subtasks, .rows = &subtask_rows),
    LIST(2, KIND_ROWS, stats.counters, stats.n_counters, .rows = &counter_rows),
    FIELD(3, KIND_U64, stats.frames_dropped),
    LIST(4, KIND_ROWS, stats.slots, stats.n_slots, .rows = &slot_rows),
};
static const struct field ended_fields[] = {
    FIELD(1, KIND_U32, ended.outcome, .min = WIRE_COMMITTED, .max = WIRE_CANCELED),
    FIELD(2, KIND_U32, ended.failure.code), /* any number: user code returns what it likes, and a later Weir has more codes */
    FIELD(3, KIND_STR, ended.failure.operator_id),
    FIELD(4, KIND_I32, ended.failure.subtask, .min = -1, .max = WEIR_PARALLELISM_MAX - 1),
    FIELD(5, KIND_STR, ended.failure.reason),
};
static const struct field ack_fields[] = {
    FIELD(1, KIND_U64, ack.id, .min = 1),
    FIELD(2, KIND_U32, ack.options, .max = CHECKPOINT_OPTIONS),
    FIELD(3, KIND_STR, ack.pack),
    FIELD(4, KIND_U64, ack.pack_bytes),
    FIELD(5, KIND_U32, ack.pack_crc32c),
    FIELD(6, KIND_U64, ack.state_bytes),
    FIELD(7, KIND_U64, ack.new_bytes),
    FIELD(8, KIND_U64, ack.sync_us_max),
    FIELD(9, KIND_U64, ack.align_us_max),
    FIELD(10, KIND_U64, ack.async_us),
    LIST(11, KIND_ROWS, ack.ledger, ack.n_ledger, .rows = &ledger_rows),
};
static const struct field decline_fields[] = {
    FIELD(1, KIND_U64, decline.id, .min = 1),
    FIELD(2, KIND_U32, decline.failure.code),
    FIELD(3, KIND_STR, decline.failure.operator_id),
    FIELD(4, KIND_I32, decline.failure.subtask, .min = -1, .max = WEIR_PARALLELISM_MAX - 1),
    FIELD(5, KIND_STR, decline.failure.reason),
};
static const struct field registered_fields[] = {
    FIELD(1, KIND_U32, registered.heartbeat_ms, .min = 1, .max = INT32_MAX),
    FIELD(2, KIND_U32, registered.heartbeat_timeout_ms, .min = 1, .max = INT32_MAX),
};
static const struct field refused_fields[] = {
    FIELD(1, KIND_STR, refused.reason),
};
static const struct field chunk_fields[] = {
    FIELD(1, KIND_DIGEST, chunk.digest),
    FIELD(2, KIND_U64, chunk.offset, .max = WEIR_PLUGIN_MAX),
    FIELD(3, KIND_U64, chunk.total, .max = WEIR_PLUGIN_MAX),
    FIELD(4, KIND_BYTES, chunk.data),
};
static const struct field deploy_fields[] = {
    FIELD(1, KIND_DIGEST, deploy.digest),
    FIELD(2, KIND_U64, deploy.size, .max = WEIR_PLUGIN_MAX),
    FIELD(3, KIND_STR, deploy.name),
    FIELD(4, KIND_STR, deploy.cwd),
    FIELD(5, KIND_U32, deploy.parallelism, .max = WEIR_PARALLELISM_MAX),
    FIELD(6, KIND_U64, deploy.fingerprint),
    FIELD(7, KIND_U32, deploy.progress_timeout_ms, .max = INT32_MAX),
    LIST(8, KIND_STRS, deploy.args, deploy.n_args),
    FIELD(9, KIND_U32, deploy.worker, .max = WEIR_TASKMANAGERS_MAX - 1),
    FIELD(10, KIND_U32, deploy.n_workers, .min = 1, .max = WEIR_TASKMANAGERS_MAX),
    LIST(11, KIND_U32S, deploy.slot_worker, deploy.n_slots, .max = WEIR_TASKMANAGERS_MAX - 1, .n_max = WEIR_PARALLELISM_MAX),
    LIST(12, KIND_ROWS, deploy.splits, deploy.n_splits, .rows = &split_rows),
    FIELD(13, KIND_STR, deploy.checkpoint.dir),
    FIELD(14, KIND_U32, deploy.checkpoint.alignment_timeout_ms, .max = INT32_MAX),
    FIELD(15, KIND_U32, deploy.checkpoint.mode, .max = CHECKPOINT_AT_LEAST_ONCE),
    FIELD(16, KIND_U64, deploy.restore.id),
    FIELD(17, KIND_STR, deploy.restore.path),
    FIELD(18, KIND_U64, deploy.restore.bytes),
    FIELD(19, KIND_U32, deploy.restore.crc32c),
    FIELD(20, KIND_U32, deploy.restore.allow_unmatched, .max = 1),
    FIELD(21, KIND_STR, deploy.coordination),
};
static const struct field start_fields[] = {
    LIST(1, KIND_ROWS, start.peers, start.n_peers, .rows = &peer_rows, .n_max = WEIR_TASKMANAGERS_MAX),
};
static const struct field trigger_fields[] = {
    FIELD(1, KIND_U64, trigger.id, .min = 1),
    FIELD(2, KIND_U32, trigger.options, .max = CHECKPOINT_OPTIONS),
    FIELD(3, KIND_STR, trigger.dir),
};
static const struct field complete_fields[] = {
    FIELD(1, KIND_U64, complete.id, .min = 1),
};
static const struct field abort_fields[] = {
    FIELD(1, KIND_U64, abort.id, .min = 1),
    FIELD(2, KIND_STR, abort.reason),
};
static const struct field not_leader_fields[] = {
    FIELD(1, KIND_STR, not_leader.endpoint),
};
static const struct field settings_fields[] = {LIST(1, KIND_STRS, settings.items, settings.n, .n_max = WIRE_SETTINGS_MAX)};
static const struct field alive_fields[] = {
    FIELD(1, KIND_U64, alive.stalled_ms),
};
static const struct field log_level_fields[] = {
    FIELD(1, KIND_U32, log_level.lowest, .max = LOG_LEVEL_ERROR),
};

/* NULL, in a message built by hand, is "". */
static bool is_empty(const char *text)
{
    return !text || !*text;
}

static bool is_absolute(const char *path)
{
    return path && *path == '/';
}

/* No slot of the TaskManager is used twice; who has committed uses none. */
static bool register_agrees(const struct wire_msg *msg)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < msg->reg.n_workers; i++) {
        const struct wire_worker *w = &msg->reg.workers[i];
        if (w->worker >= w->n_workers || (w->n_slots == 0) != (w->state == WIRE_WORKER_HAS_COMMITTED)) return false;
        n += w->n_slots;
    }
    return n <= msg->reg.slots;
}

static bool chunk_agrees(const struct wire_msg *msg)
{
    uint64_t total = msg->chunk.total;
    if (total == 0) return msg->chunk.data.length == 0;
    return msg->chunk.offset <= total && msg->chunk.data.length <= total - msg->chunk.offset;
}

static bool deploy_agrees(const struct wire_msg *msg)
{
    for (uint32_t i = 0; i < msg->deploy.n_slots; i++) {
        if (msg->deploy.slot_worker[i] >= msg->deploy.n_workers) return false;
    }
    if (msg->deploy.restore.id && !is_absolute(msg->deploy.restore.path)) return false;
    if (!is_empty(msg->deploy.checkpoint.dir) && !is_absolute(msg->deploy.checkpoint.dir)) return false;
    return msg->deploy.worker < msg->deploy.n_workers;
}

/* A savepoint has a folder of its own, and nothing else has; who drains stops. */
static bool trigger_agrees(const struct wire_msg *msg)
{
    uint32_t options = msg->trigger.options;
    if ((options & CHECKPOINT_DRAIN) && !(options & CHECKPOINT_STOP)) return false;
    return options & CHECKPOINT_SAVEPOINT ? is_absolute(msg->trigger.dir) : is_empty(msg->trigger.dir);
}

#define SHAPE(type_, fields_, agrees_)                         \
    {                                                          \
        WIRE_##type_, #type_, COUNT(fields_), fields_, agrees_ \
    }
#define BARE(type_)                         \
    {                                       \
        WIRE_##type_, #type_, 0, NULL, NULL \
    }

static const struct shape shapes[] = {
    SHAPE(REGISTER, register_fields, register_agrees),
    SHAPE(FETCH, fetch_fields, NULL),
    SHAPE(WORKER_READY, ready_fields, NULL),
    SHAPE(WORKER_RUNNING, running_fields, NULL),
    SHAPE(WORKER_STATS, stats_fields, NULL),
    BARE(WORKER_PREPARED),
    SHAPE(WORKER_ENDED, ended_fields, NULL),
    SHAPE(CHECKPOINT_ACK, ack_fields, NULL),
    SHAPE(CHECKPOINT_DECLINE, decline_fields, NULL),
    SHAPE(REGISTERED, registered_fields, NULL),
    SHAPE(REFUSED, refused_fields, NULL),
    SHAPE(CHUNK, chunk_fields, chunk_agrees),
    SHAPE(DEPLOY, deploy_fields, deploy_agrees),
    SHAPE(START, start_fields, NULL),
    BARE(COMMIT),
    BARE(CANCEL),
    SHAPE(TRIGGER, trigger_fields, trigger_agrees),
    SHAPE(CHECKPOINT_COMPLETE, complete_fields, NULL),
    SHAPE(CHECKPOINT_ABORT, abort_fields, NULL),
    BARE(FORGET_JOB),
    SHAPE(NOT_LEADER, not_leader_fields, NULL),
    SHAPE(SETTINGS, settings_fields, NULL),
    SHAPE(WORKER_ALIVE, alive_fields, NULL),
    SHAPE(LOG_LEVEL, log_level_fields, NULL),
};

static const struct shape *find_shape(uint64_t type)
{
    for (uint32_t i = 0; i < COUNT(shapes); i++) {
        if (shapes[i].type == type) return &shapes[i];
    }
    return NULL;
}

const char *wire_type_name(enum wire_type type)
{
    const struct shape *shape = find_shape(type);
    return shape ? shape->name : "?";
}

/* ---- members of structs by offset ---------------------------------------------------------------------------------------------- */

static void *member(void *base, size_t at)
{
    return (unsigned char *)base + at;
}

static const void *member_of(const void *base, size_t at)
{
    return (const unsigned char *)base + at;
}

static uint32_t get_u32(const void *base, size_t at)
{
    return *(const uint32_t *)member_of(base, at);
}

/* Address of the first element of a list. Pointers to different types may differ in type only: they are moved as bytes. */
static const void *get_list(const void *base, size_t at)
{
    const void *list;
    memcpy(&list, member_of(base, at), sizeof list);
    return list;
}

static void set_list(void *base, const struct field *f, const void *list, uint32_t n)
{
    memcpy(member(base, f->at), &list, sizeof list);
    *(uint32_t *)member(base, f->count_at) = n;
}

static uint64_t field_max(const struct field *f)
{
    if (f->max) return f->max;
    switch (f->kind) {
    case KIND_U32:
    case KIND_U32S: return UINT32_MAX;
    case KIND_I32: return INT32_MAX;
    case KIND_I64: return INT64_MAX;
    default: return UINT64_MAX;
    }
}

/* ---- encoding ------------------------------------------------------------------------------------------------------------------ */

static void refuse(struct buffer *out, weir_err err)
{
    if (!out->err) out->err = err;
}

static void put_uint(struct buffer *out, const struct field *f, uint64_t value)
{
    if (value > field_max(f) || (f->min > 0 && value < (uint64_t)f->min)) refuse(out, WEIR_E_ARGUMENT);
    pack_uint(out, value);
}

static void put_int(struct buffer *out, const struct field *f, int64_t value)
{
    if (value < f->min || (value > 0 && (uint64_t)value > field_max(f))) refuse(out, WEIR_E_ARGUMENT);
    pack_int(out, value);
}

static void put_u32s(struct buffer *out, const struct field *f, const void *base)
{
    const uint32_t *list = get_list(base, f->at);
    uint32_t n = get_u32(base, f->count_at);
    pack_array(out, n);
    for (uint32_t i = 0; i < n; i++) put_uint(out, f, list[i]);
}

static void put_strs(struct buffer *out, const struct field *f, const void *base)
{
    const char *const *list = get_list(base, f->at);
    uint32_t n = get_u32(base, f->count_at);
    pack_array(out, n);
    for (uint32_t i = 0; i < n; i++) pack_str(out, list[i]);
}

static void put_rows(struct buffer *out, const struct field *f, const void *base);

static void put_field(struct buffer *out, const struct field *f, const void *base)
{
    const void *at = member_of(base, f->at);
    switch (f->kind) {
    case KIND_U32: put_uint(out, f, *(const uint32_t *)at); return;
    case KIND_U64: put_uint(out, f, *(const uint64_t *)at); return;
    case KIND_I32: put_int(out, f, *(const int32_t *)at); return;
    case KIND_I64: put_int(out, f, *(const int64_t *)at); return;
    case KIND_STR: pack_str(out, *(const char *const *)at); return;
    case KIND_ID: pack_bin(out, at, sizeof(struct weir_id)); return;
    case KIND_DIGEST: pack_bin(out, at, sizeof(struct weir_digest)); return;
    case KIND_BYTES: pack_bin(out, ((const struct weir_bytes *)at)->data, ((const struct weir_bytes *)at)->length); return;
    case KIND_U32S: put_u32s(out, f, base); return;
    case KIND_STRS: put_strs(out, f, base); return;
    case KIND_ROWS: put_rows(out, f, base); return;
    }
}

static void put_rows(struct buffer *out, const struct field *f, const void *base)
{
    const unsigned char *list = get_list(base, f->at);
    uint32_t n = get_u32(base, f->count_at);
    pack_array(out, n);
    for (uint32_t i = 0; i < n && !out->err; i++) {
        pack_array(out, f->rows->n_fields);
        for (uint32_t k = 0; k < f->rows->n_fields; k++) put_field(out, &f->rows->fields[k], list + i * f->rows->size);
    }
}

static void put_body(struct buffer *out, const struct shape *shape, const struct wire_msg *msg)
{
    pack_map(out, shape->n_fields);
    for (uint32_t i = 0; i < shape->n_fields; i++) {
        const struct field *f = &shape->fields[i];
        if (f->n_max && get_u32(msg, f->count_at) > f->n_max) refuse(out, WEIR_E_ARGUMENT);
        pack_uint(out, f->number);
        put_field(out, f, msg);
    }
}

weir_err wire_msg_encode(const struct wire_msg *msg, struct buffer *out)
{
    const struct shape *shape = find_shape(msg->type);
    WEIR_ASSERT(shape != NULL);
    size_t before = out->len;
    if (shape->agrees && !shape->agrees(msg)) refuse(out, WEIR_E_ARGUMENT);
    pack_array(out, 5);
    pack_uint(out, msg->type);
    pack_uint(out, msg->epoch);
    pack_bin(out, msg->job.bytes, sizeof msg->job.bytes);
    pack_uint(out, msg->attempt);
    put_body(out, shape, msg);
    if (out->err) out->len = before;
    return out->err;
}

/* ---- decoding ------------------------------------------------------------------------------------------------------------------ */

struct reader {
    struct cursor cursor;
    struct arena arena; /* of the message */
};

static bool take_uint(struct reader *r, const struct field *f, uint64_t *value)
{
    return cursor_uint(&r->cursor, field_max(f), value) && (f->min <= 0 || *value >= (uint64_t)f->min);
}

static bool take_u32(struct reader *r, const struct field *f, uint32_t *out)
{
    uint64_t value;
    if (!take_uint(r, f, &value)) return false;
    *out = (uint32_t)value; /* field_max of the kind */
    return true;
}

static bool take_i32(struct reader *r, const struct field *f, int32_t *out)
{
    int64_t value;
    if (!cursor_int(&r->cursor, f->min, (int64_t)field_max(f), &value)) return false;
    *out = (int32_t)value;
    return true;
}

static bool take_str(struct reader *r, const char **out)
{
    struct weir_bytes text;
    if (!cursor_str(&r->cursor, &text)) return false;
    *out = (const char *)arena_bytes(&r->arena, text).data;
    return *out != NULL;
}

static bool take_exactly(struct reader *r, void *out, uint32_t size)
{
    struct weir_bytes bytes;
    if (!cursor_bin(&r->cursor, &bytes) || bytes.length != size) return false;
    memcpy(out, bytes.data, size);
    return true;
}

static bool take_bytes(struct reader *r, struct weir_bytes *out)
{
    struct weir_bytes bytes;
    if (!cursor_bin(&r->cursor, &bytes)) return false;
    *out = arena_bytes(&r->arena, bytes);
    return out->data != NULL;
}

/*
 * Enters a list and makes room for its elements. An element takes at least `least` bytes, so what is allocated is a small multiple of
 * what the sender has sent; the cursor alone would only promise one byte for each.
 */
static void *take_list(struct reader *r, const struct field *f, size_t least, size_t size, uint32_t *n)
{
    if (!cursor_array(&r->cursor, n) || *n > cursor_left(&r->cursor) / least) return NULL;
    if (f->n_max && *n > f->n_max) return NULL;
    return arena_alloc(&r->arena, *n, size);
}

static bool take_u32s(struct reader *r, const struct field *f, void *base)
{
    uint32_t n;
    uint32_t *list = take_list(r, f, 1, sizeof *list, &n);
    if (!list) return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!take_u32(r, f, &list[i])) return false;
    }
    set_list(base, f, list, n);
    return true;
}

static bool take_strs(struct reader *r, const struct field *f, void *base)
{
    uint32_t n;
    const char **list = take_list(r, f, 1, sizeof *list, &n);
    if (!list) return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!take_str(r, &list[i])) return false;
    }
    set_list(base, f, list, n);
    return true;
}

static bool take_rows(struct reader *r, const struct field *f, void *base);

static bool take_field(struct reader *r, const struct field *f, void *base)
{
    void *at = member(base, f->at);
    switch (f->kind) {
    case KIND_U32: return take_u32(r, f, at);
    case KIND_U64: return take_uint(r, f, at);
    case KIND_I32: return take_i32(r, f, at);
    case KIND_I64: return cursor_int(&r->cursor, f->min, (int64_t)field_max(f), at);
    case KIND_STR: return take_str(r, at);
    case KIND_ID: return take_exactly(r, at, sizeof(struct weir_id));
    case KIND_DIGEST: return take_exactly(r, at, sizeof(struct weir_digest));
    case KIND_BYTES: return take_bytes(r, at);
    case KIND_U32S: return take_u32s(r, f, base);
    case KIND_STRS: return take_strs(r, f, base);
    case KIND_ROWS: return take_rows(r, f, base);
    }
    return false;
}

static bool take_row(struct reader *r, const struct rows *rows, void *row)
{
    uint32_t n;
    if (!cursor_array(&r->cursor, &n) || n < rows->n_fields) return false;
    memset(row, 0, rows->size);
    for (uint32_t i = 0; i < rows->n_fields; i++) {
        if (!take_field(r, &rows->fields[i], row)) return false;
    }
    for (uint32_t i = rows->n_fields; i < n; i++) {
        if (!cursor_skip(&r->cursor)) return false;
    }
    return true;
}

static bool take_rows(struct reader *r, const struct field *f, void *base)
{
    uint32_t n;
    unsigned char *list = take_list(r, f, (size_t)f->rows->n_fields + 1, f->rows->size, &n);
    if (!list) return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!take_row(r, f->rows, list + i * f->rows->size)) return false;
    }
    set_list(base, f, list, n);
    return true;
}

static const struct field *find_field(const struct shape *shape, uint64_t number)
{
    for (uint32_t i = 0; i < shape->n_fields; i++) {
        if (shape->fields[i].number == number) return &shape->fields[i];
    }
    return NULL;
}

static weir_err take_body(struct reader *r, const struct shape *shape, struct wire_msg *msg, struct weir_diag *diag)
{
    uint64_t seen = 0;
    uint32_t n;
    for (uint32_t i = 0; i < shape->n_fields; i++) {
        if (shape->fields[i].kind == KIND_STR) *(const char **)member(msg, shape->fields[i].at) = "";
    }
    if (!cursor_map(&r->cursor, &n)) return weir_fail(diag, WEIR_E_CORRUPT, "its body is not a map of field numbers");
    while (n-- > 0) {
        uint64_t number;
        if (!cursor_uint(&r->cursor, UINT64_MAX, &number)) return weir_fail(diag, WEIR_E_CORRUPT, "a field number is missing");
        const struct field *f = find_field(shape, number);
        bool again = f && (seen & UINT64_C(1) << number);
        if (again || !(f ? take_field(r, f, msg) : cursor_skip(&r->cursor)))
            return weir_fail(diag, WEIR_E_CORRUPT, "field %" PRIu64 " is %s", number, again ? "doubled" : "cut or out of range");
        if (f) seen |= UINT64_C(1) << number;
    }
    for (uint32_t i = 0; i < shape->n_fields; i++) {
        const struct field *f = &shape->fields[i];
        if (f->min > 0 && !(seen & UINT64_C(1) << f->number))
            return weir_fail(diag, WEIR_E_CORRUPT, "field %" PRIu32 " is missing", f->number);
    }
    return WEIR_OK;
}

static weir_err take_message(struct reader *r, struct wire_msg *msg, struct weir_diag *diag)
{
    uint32_t n;
    uint64_t type, attempt;
    if (!cursor_array(&r->cursor, &n) || n != 5 || !cursor_uint(&r->cursor, UINT32_MAX, &type))
        return weir_fail(diag, WEIR_E_CORRUPT, "not a control message");
    const struct shape *shape = find_shape(type);
    if (!shape) return weir_fail(diag, WEIR_E_UNSUPPORTED, "control message of unknown type %" PRIu64, type);
    if (!cursor_uint(&r->cursor, UINT64_MAX, &msg->epoch) || !take_exactly(r, msg->job.bytes, sizeof msg->job.bytes) ||
        !cursor_uint(&r->cursor, UINT32_MAX, &attempt))
        return weir_fail(diag, WEIR_E_CORRUPT, "%s message: epoch, job or attempt is broken", shape->name);
    msg->type = shape->type;
    msg->attempt = (uint32_t)attempt;
    weir_err err = take_body(r, shape, msg, diag);
    if (!err && !cursor_done(&r->cursor)) err = weir_fail(diag, WEIR_E_CORRUPT, "bytes follow its end");
    if (!err && shape->agrees && !shape->agrees(msg)) err = weir_fail(diag, WEIR_E_CORRUPT, "its fields contradict each other");
    return err ? weir_wrap(diag, err, "%s message", shape->name) : WEIR_OK;
}

weir_err wire_msg_decode(struct wire_msg *out, const void *data, size_t len, struct weir_diag *diag)
{
    struct reader r = {0};
    struct wire_msg msg;
    memset(&msg, 0, sizeof msg); /* all of the union, not only its first member */
    cursor_init(&r.cursor, data, len);
    weir_err err = take_message(&r, &msg, diag);
    if (r.arena.failed) err = weir_fail(diag, WEIR_E_NOMEM, "no memory for a control message of %zu bytes", len);
    if (err) {
        arena_close(&r.arena);
        return err;
    }
    msg.arena = r.arena;
    *out = msg;
    return WEIR_OK;
}

void wire_msg_close(struct wire_msg *msg)
{
    arena_close(&msg->arena);
}
