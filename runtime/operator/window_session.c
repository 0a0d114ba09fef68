/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session windows: an accumulator per key and run of records whose distance does not exceed the gap.
 *
 * State: a table from key to its open sessions, in order of time (nearly always one, which then needs no array), and a heap of all sessions
 * by the time at which they may be due. A record joins the session it touches, or two and makes them one, or begins one.
 *
 * A session's due time (last + gap) only grows, so the heap keeps a lower bound of it: a record that prolongs a session does not touch the
 * heap. When the bound is reached the real time decides: fire, or sink to its new place. The heap has one node per open session, at all
 * times: a session that merges into another takes its node with it.
 *
 * A watermark fires, in order of due time, the sessions whose due time it has reached. Late is a record that joins no open session and
 * whose own would have been due already: it is counted and passed on to output 1 as it came.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/operator/window.h"
#include "runtime/operator/window_time.h"

#define CHUNK_SESSIONS 64u
#define KEY_INLINE 16u
#define ARITY 4u

struct owner;

/* Its accumulator follows. */
struct session {
    weir_time first;
    weir_time last;
    union {
        struct owner *owner;
        struct session *next_free;
    };
    uint64_t node; /* its index in the heap */
};

/*
 * The open sessions of a key, and the key, which the table does not give back. Zeros: none yet. The table's value is its address, since
 * entries may leave memory and come back elsewhere.
 */
struct owner {
    uint32_t n, cap;
    union {
        struct session *one;   /* while cap is 0 */
        struct session **many; /* ascending and further apart than the gap */
    } sessions;
    uint64_t key_hash;
    uint32_t key_length;
    bool has_key;
    union {
        unsigned char bytes[KEY_INLINE];
        unsigned char *block; /* longer keys */
    } key;
};

struct node {
    weir_time due_ms; /* not later than the session's due time */
    struct session *session;
};

struct chunk {
    struct chunk *next;
    _Alignas(16) unsigned char sessions[];
};

struct sessions {
    const struct weir_aggregate *aggregate;
    int64_t gap_ms;
    weir_time fired_ms; /* sessions due by then have fired or are firing */
    size_t session_size;
    struct weir_table *table;
    struct node *heap;
    uint64_t n_heap, cap_heap;
    struct session *free;
    struct chunk *chunks;
    uint32_t n_pending; /* records found, not yet added to their accumulators */
    uint32_t n_late;
    uint32_t idx[WEIR_BATCH_MAX];  /* pending records ... */
    void *accs[WEIR_BATCH_MAX];    /* ... and their accumulators */
    void *owners[WEIR_BATCH_MAX];  /* of the records that cannot be late, in order: where their addresses lie */
    uint32_t sure[WEIR_BATCH_MAX]; /* those records */
    uint32_t late[WEIR_BATCH_MAX];
};

static void *acc_of(struct session *s)
{
    return s + 1;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------------ */

static weir_err session_open(void *self, struct weir_ctx *ctx)
{
    struct sessions *op = self;
    const struct window_config *config = ctx->config;
    if (config->window.gap_ms <= 0)
        return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "%s: a session window needs a gap above 0", ctx->operator_id);
    if (!config->aggregate->merge)
        return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "%s: sessions need an aggregate with a merge function, '%s' has none",
                         ctx->operator_id, config->aggregate->name);
    op->aggregate = config->aggregate;
    op->gap_ms = config->window.gap_ms;
    op->fired_ms = WEIR_TIME_MIN;
    op->session_size = (sizeof(struct session) + op->aggregate->acc_size + 15u) & ~(size_t)15u;
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "sessions", .value_size = sizeof(struct owner *)};
    struct weir_panes *panes;
    int64_t restored;
    weir_err err = weir_panes_open(ctx, &desc, &panes);
    if (err) return err;
    if (weir_panes_next(ctx, panes, INT64_MIN, &restored)) /* addresses in the process that wrote them */
        return weir_fail(ctx->diag, WEIR_E_STATE, "%s: session windows cannot be restored", ctx->operator_id);
    return weir_panes_table(ctx, panes, 0, &op->table);
}

static void free_owner(struct owner *o)
{
    if (!o) return;
    if (o->cap) free(o->sessions.many);
    if (o->has_key && o->key_length > KEY_INLINE) free(o->key.block);
    free(o);
}

/* The owner whose address lies there, made when there is none yet. NULL: no memory. */
static struct owner *owner_at(struct owner **place)
{
    if (!*place) *place = calloc(1, sizeof **place);
    return *place;
}

static void session_close(void *self, struct weir_ctx *ctx)
{
    struct sessions *op = self;
    uint64_t cursor = 0;
    struct weir_key key;
    void *owner;
    while (op->table && weir_table_next(ctx, op->table, &cursor, &key, &owner)) free_owner(*(struct owner **)owner);
    if (op->table) weir_table_drop(ctx, &op->table);
    while (op->chunks) {
        struct chunk *next = op->chunks->next;
        free(op->chunks);
        op->chunks = next;
    }
    free(op->heap);
    op->heap = NULL;
    op->n_heap = op->cap_heap = 0;
    op->free = NULL;
}

/* ---- heap: 4-ary, by lower bound of the due time --------------------------------------------------------------------------------- */

static void settle(struct sessions *op, uint64_t at, struct node node)
{
    op->heap[at] = node;
    node.session->node = at;
}

static void sift_up(struct sessions *op, uint64_t at, struct node node)
{
    while (at && node.due_ms < op->heap[(at - 1) / ARITY].due_ms) {
        settle(op, at, op->heap[(at - 1) / ARITY]);
        at = (at - 1) / ARITY;
    }
    settle(op, at, node);
}

/* The child of `at` that is due first, 0 when it has none. */
static uint64_t first_child(const struct sessions *op, uint64_t at)
{
    uint64_t child = at * ARITY + 1;
    if (child >= op->n_heap) return 0;
    uint64_t first = child;
    for (uint64_t i = child + 1; i < op->n_heap && i < child + ARITY; i++) {
        if (op->heap[i].due_ms < op->heap[first].due_ms) first = i;
    }
    return first;
}

static void sift_down(struct sessions *op, uint64_t at, struct node node)
{
    for (uint64_t child; (child = first_child(op, at)) != 0 && op->heap[child].due_ms < node.due_ms; at = child)
        settle(op, at, op->heap[child]);
    settle(op, at, node);
}

static bool reserve_node(struct sessions *op)
{
    if (op->n_heap < op->cap_heap) return true;
    uint64_t cap = op->cap_heap ? op->cap_heap * 2 : 64;
    struct node *heap = realloc(op->heap, cap * sizeof *heap);
    if (!heap) return false;
    op->heap = heap;
    op->cap_heap = cap;
    return true;
}

static void take_node(struct sessions *op, uint64_t at)
{
    struct node last = op->heap[--op->n_heap];
    if (at == op->n_heap) return;
    if (at && last.due_ms < op->heap[(at - 1) / ARITY].due_ms)
        sift_up(op, at, last);
    else
        sift_down(op, at, last);
}

/* ---- sessions of a key ----------------------------------------------------------------------------------------------------------- */

static weir_time due_of(const struct sessions *op, const struct session *s)
{
    return window_after(s->last, op->gap_ms);
}

static struct session **list_of(struct owner *o)
{
    return o->cap ? o->sessions.many : &o->sessions.one;
}

/* Sessions come in chunks and are used again: a key's first record costs no call of the allocator. */
static struct session *take_session(struct sessions *op)
{
    if (!op->free) {
        struct chunk *chunk = calloc(1, sizeof *chunk + CHUNK_SESSIONS * op->session_size);
        if (!chunk) return NULL;
        chunk->next = op->chunks;
        op->chunks = chunk;
        for (uint32_t i = CHUNK_SESSIONS; i-- > 0;) {
            struct session *s = (struct session *)(void *)(chunk->sessions + i * op->session_size);
            s->next_free = op->free;
            op->free = s;
        }
    }
    struct session *s = op->free;
    op->free = s->next_free;
    memset(s, 0, op->session_size);
    return s;
}

static void give_session(struct sessions *op, struct session *s)
{
    s->next_free = op->free;
    op->free = s;
}

static bool keep_key(struct owner *o, const struct weir_key *key)
{
    if (o->has_key) return true;
    void *at = o->key.bytes;
    if (key->length > KEY_INLINE) {
        at = o->key.block = malloc(key->length);
        if (!at) return false;
    }
    if (key->length) memcpy(at, key->data, key->length);
    o->key_length = key->length;
    o->key_hash = key->hash;
    o->has_key = true;
    return true;
}

static struct weir_key key_of(const struct owner *o)
{
    return (struct weir_key){
        .data = o->key_length > KEY_INLINE ? o->key.block : o->key.bytes, .length = o->key_length, .hash = o->key_hash};
}

/* Room in the key's list for one more; a list, once needed, stays until the key goes. */
static bool reserve_list(struct owner *o)
{
    if (o->n < (o->cap ? o->cap : 1)) return true;
    uint32_t cap = o->cap ? o->cap * 2 : 4;
    struct session **many = realloc(o->cap ? o->sessions.many : NULL, cap * sizeof *many);
    if (!many) return false;
    if (!o->cap) many[0] = o->sessions.one;
    o->sessions.many = many;
    o->cap = cap;
    return true;
}

/* Begins a session at place `at` of the key's list. */
static struct session *begin(struct sessions *op, struct owner *o, uint32_t at, const struct weir_key *key, weir_time t)
{
    if (!keep_key(o, key) || !reserve_list(o) || !reserve_node(op)) return NULL;
    struct session *s = take_session(op);
    if (!s) return NULL;
    struct session **list = list_of(o);
    memmove(list + at + 1, list + at, (o->n - at) * sizeof *list);
    list[at] = s;
    o->n++;
    s->first = s->last = t;
    s->owner = o;
    sift_up(op, op->n_heap++, (struct node){due_of(op, s), s});
    return s;
}

/* Takes the session out of the heap and of its key's list; the owner stays, if with nothing. */
static void end_session(struct sessions *op, struct session *s)
{
    struct owner *o = s->owner;
    struct session **list = list_of(o);
    uint32_t at = 0;
    while (list[at] != s) at++;
    memmove(list + at, list + at + 1, (o->n - at - 1) * sizeof *list);
    o->n--;
    take_node(op, s->node);
    give_session(op, s);
}

/* ---- records --------------------------------------------------------------------------------------------------------------------- */

static void add_pending(struct sessions *op, const struct weir_batch *batch)
{
    if (op->n_pending) op->aggregate->add(op->accs, batch, op->idx, op->n_pending);
    op->n_pending = 0;
}

/* Makes `right` part of `left`. What the batch has for either so far is added first: accumulators must be whole before they merge. */
static void merge(struct sessions *op, const struct weir_batch *batch, struct session *left, struct session *right)
{
    add_pending(op, batch);
    left->last = right->last;
    op->aggregate->merge(acc_of(left), acc_of(right));
    end_session(op, right);
}

/* Number of the key's sessions that stand before a record at t or are touched by it. Newest first: most records are new. */
static uint32_t sessions_before(const struct sessions *op, struct owner *o, weir_time t)
{
    struct session **list = list_of(o);
    weir_time reach = window_after(t, op->gap_ms);
    uint32_t n = o->n;
    while (n && list[n - 1]->first > reach) n--;
    return n;
}

/*
 * Gives the session that a record at t belongs to: one it touches, prolonged; two made one; or a new one. *out is NULL for a late record.
 * A session that is due is closed, even when its result still waits to be emitted.
 */
static weir_err join(struct sessions *op, const struct weir_batch *batch, struct owner *o, const struct weir_key *key, weir_time t,
                     weir_time passed, struct session **out)
{
    uint32_t at = sessions_before(op, o, t);
    struct session **list = list_of(o);
    struct session *right = at ? list[at - 1] : NULL;
    *out = NULL;
    if (!right || due_of(op, right) < t || due_of(op, right) <= passed) {
        if (window_after(t, op->gap_ms) <= passed) return WEIR_OK;
        *out = begin(op, o, at, key, t);
        return *out ? WEIR_OK : WEIR_E_NOMEM;
    }
    struct session *left = at > 1 ? list[at - 2] : NULL;
    if (t < right->first) right->first = t;
    if (t > right->last) right->last = t;
    *out = right;
    if (!left || due_of(op, left) < t || due_of(op, left) <= passed) return WEIR_OK;
    merge(op, batch, left, right);
    *out = left;
    return WEIR_OK;
}

static weir_err no_memory(struct weir_ctx *ctx)
{
    return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: out of memory for a session", ctx->operator_id);
}

/* Records that even alone would not be due get their owners in one probe. The others may be late, and then must leave no entry behind. */
static weir_err probe_sure(struct sessions *op, struct weir_ctx *ctx, const struct weir_batch *batch, weir_time passed)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        weir_time t = weir_batch_record(batch, i)->time_ms;
        if (t == WEIR_TIME_MIN)
            return weir_fail(ctx->diag, WEIR_E_USER, "%s: record without event time: assign timestamps before the window",
                             ctx->operator_id);
        if (window_after(t, op->gap_ms) > passed) op->sure[n++] = i;
    }
    if (n == 0) return WEIR_OK;
    return weir_table_probe(ctx, op->table, n == batch->count ? NULL : op->sure, n, op->owners);
}

static weir_err session_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct sessions *op = self;
    (void)input; /* one input */
    weir_time passed = ctx->watermark_ms > op->fired_ms ? ctx->watermark_ms : op->fired_ms;
    weir_err err = probe_sure(op, ctx, batch, passed);
    if (err) return err;
    op->n_pending = op->n_late = 0;
    for (uint32_t i = 0, n_sure = 0; i < batch->count; i++) {
        weir_time t = weir_batch_record(batch, i)->time_ms;
        bool sure = window_after(t, op->gap_ms) > passed;
        struct owner **place = sure ? op->owners[n_sure++] : weir_table_find(ctx, op->table, &ctx->keys[i]);
        struct owner *o = place ? owner_at(place) : NULL;
        struct session *s = NULL;
        if (place && !o) return no_memory(ctx);
        if (o && join(op, batch, o, &ctx->keys[i], t, passed, &s)) return no_memory(ctx);
        if (!s) {
            op->late[op->n_late++] = i;
            continue;
        }
        op->idx[op->n_pending] = i;
        op->accs[op->n_pending++] = acc_of(s);
    }
    add_pending(op, batch);
    if (op->n_late == 0) return WEIR_OK;
    for (uint32_t i = 0; i < op->n_late; i++) ctx->sel[i] = batch->sel ? batch->sel[op->late[i]] : op->late[i] * batch->stride;
    weir_count(ctx, "late", op->n_late);
    struct weir_batch late = *batch;
    late.sel = ctx->sel;
    late.count = op->n_late;
    return weir_forward(ctx, 1, &late);
}

/* ---- firing ---------------------------------------------------------------------------------------------------------------------- */

/* Emits the session's result and ends it, and its key with the last one. */
static weir_err fire(struct sessions *op, struct weir_ctx *ctx, struct session *s)
{
    const struct weir_key *keys = ctx->keys;
    uint32_t key_index = ctx->key_index;
    struct owner *o = s->owner;
    struct weir_key key = key_of(o);
    ctx->keys = &key;
    ctx->key_index = 0;
    weir_err err = op->aggregate->emit(ctx, acc_of(s), s->first, window_end(due_of(op, s)));
    if (!err) {
        end_session(op, s);
        if (o->n == 0) {
            weir_table_remove(ctx, op->table, &key);
            free_owner(o);
        }
    }
    ctx->keys = keys;
    ctx->key_index = key_index;
    return err;
}

static weir_err session_on_watermark(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct sessions *op = self;
    if (watermark_ms > op->fired_ms) op->fired_ms = watermark_ms;
    while (op->n_heap && op->heap[0].due_ms <= op->fired_ms) {
        struct session *s = op->heap[0].session;
        weir_time due = due_of(op, s);
        if (due > op->heap[0].due_ms) {
            sift_down(op, 0, (struct node){due, s});
            continue;
        }
        weir_err err = fire(op, ctx, s);
        if (err) return err;
        if (weir_should_yield(ctx)) return WEIR_AGAIN;
    }
    return WEIR_OK;
}

/* The late output carries the input's rows: the builder puts the aggregate's schemas in place of these. */
static const struct weir_schema *const sides[] = {NULL};

const struct weir_operator window_session_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "session-window",
    .self_size = sizeof(struct sessions),
    .sides = sides,
    .n_sides = 1,
    .flags = WEIR_OPERATOR_KEYED,
    .open = session_open,
    .process = session_process,
    .on_watermark = session_on_watermark,
    .close = session_close,
};
