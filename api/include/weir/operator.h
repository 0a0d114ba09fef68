/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators: records, batches, outputs, and the tables that hold user code.
 *
 * The runtime hands an operator a batch: a run of records in one frame and a selection of them. The macros at the end of this header wrap
 * a function on one record into the loop over the batch, inside the plugin, so that the compiler inlines it: one indirect call a batch.
 * A filter narrows the selection and copies nothing; an update edits rows where they lie; what makes new rows writes them straight into the
 * output frame.
 *
 * Thread: all functions of one operator instance are called by one thread, never two at a time, for its whole life. No function may
 * block or sleep: the thread steps other subtasks too, and a step that does not return is ended by the watchdog.
 */
#ifndef WEIR_OPERATOR_H
#define WEIR_OPERATOR_H

#include "weir/row.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- records ------------------------------------------------------------------------------------------------------------------- */

enum weir_kind { WEIR_INSERT = 0, WEIR_UPDATE_BEFORE = 1, WEIR_UPDATE_AFTER = 2, WEIR_DELETE = 3 }; /* +I -U +U -D */

/* Header of a record; its row follows. Records start at multiples of 8 bytes. */
struct weir_record {
    uint32_t size;      /* bytes of the row with its strings */
    uint16_t key_group; /* of its key, 0 ... 32767, once it crossed a key_by; else 0 */
    uint8_t kind;       /* enum weir_kind */
    uint8_t flags;      /* zero */
    weir_time time_ms;  /* event time; WEIR_TIME_MIN while it has none */
};

/* Bytes from this record's header to the next one's. */
static inline uint32_t weir_record_span(uint32_t row_size)
{
    return ((uint32_t)sizeof(struct weir_record) + row_size + 7u) & ~7u;
}

#define WEIR_BATCH_MAX 2048u /* records in a batch */

enum { WEIR_BATCH_MUTABLE = 1 }; /* the receiver may edit the records where they lie */

/* Borrowed during the call. Record i stands at data + sel[i], or, when sel is NULL, at data + i * stride. */
struct weir_batch {
    unsigned char *data;
    const uint32_t *sel;
    uint32_t count;  /* selected records, 1 ... WEIR_BATCH_MAX */
    uint32_t stride; /* span of every record when sel is NULL */
    uint32_t flags;
};

static inline struct weir_record *weir_batch_record(const struct weir_batch *batch, uint32_t i)
{
    return (struct weir_record *)(void *)(batch->data + (batch->sel ? batch->sel[i] : i * batch->stride));
}

static inline void *weir_record_row(struct weir_record *rec)
{
    return rec + 1;
}

/* ---- keys ---------------------------------------------------------------------------------------------------------------------- */

#define WEIR_KEY_GROUPS 32768u
#define WEIR_KEY_MAX 65535u /* bytes of one key; a longer one fails its operator with WEIR_E_LIMIT */

/* A key: its bytes, and XXH3_64bits of them with seed 0 (part of the ABI). Key group = hash >> 49. Two keys are equal when their bytes are.
 */
struct weir_key {
    const void *data;
    uint32_t length;
    uint32_t reserved;
    uint64_t hash;
};

/*
 * How a stream is keyed. `extract` stores, for each record of the batch, where its key's bytes lie (data, length; not the hash): in the
 * row itself, or in `scratch`, which has room for key_size bytes a record. row: when the key is the bytes of the field `name` of these
 * rows, their schema, so that tools can print keys; else NULL.
 */
struct weir_keyer {
    size_t struct_size;
    const char *name;
    uint32_t key_size; /* bytes per record of scratch that extract uses; 0 = keys lie in the rows */
    void (*extract)(const struct weir_batch *batch, struct weir_key *keys, unsigned char *scratch);
    const struct weir_schema *row;
};

/*
 * A way of one's own to divide a stream: `choose` writes, for each record of the batch, the subtask of the next step it goes to, 0 ...
 * n_subtasks - 1; another number fails the job. It must depend on the record alone where equal records must meet.
 */
struct weir_partitioner {
    size_t struct_size;
    const char *name;
    void (*choose)(const struct weir_batch *batch, uint32_t n_subtasks, uint32_t *targets);
};

/* ---- outputs ------------------------------------------------------------------------------------------------------------------- */

/* Where an operator writes rows. The members serve the inline functions below; do not touch them elsewhere. Owner: the runtime. */
struct weir_out {
    unsigned char *cursor; /* header of the row being built */
    unsigned char *end;    /* of the space in this frame */
    unsigned char *base;   /* first record of this frame */
    uint32_t *offsets;     /* of the finished records, from base */
    uint32_t count;        /* finished records, below WEIR_BATCH_MAX */
    uint32_t tail;         /* bytes of the row being built, struct and strings; 0 = none begun */
    uint32_t first_span;   /* span of the first finished record */
    uint32_t mixed;        /* non-zero once a span differs from the first */
    weir_err err;          /* first failure, sticky: later rows are ignored */
    void *host;            /* the runtime's own */
};

/*
 * Makes room for a row of `need` bytes (with its strings) at out->cursor: hands the finished records downstream and moves the row being
 * built to the front of a new frame. Sets out->err on failure. Called by the inline functions only.
 */
WEIR_EXPORT void weir_out_make_room(struct weir_out *out, uint32_t need);

/*
 * Appends the bytes of one string of the row being built and returns its place. `row_size` is sizeof the row's struct. The bytes are
 * copied at once. Strings belong to the next weir_emit. On failure returns {0, 0}; weir_emit then reports it.
 */
static inline struct weir_str weir_put_str(struct weir_out *out, uint32_t row_size, const void *data, uint32_t length)
{
    uint32_t at = out->tail ? out->tail : row_size;
    if (WEIR_UNLIKELY(length > WEIR_ROW_MAX - at || (size_t)(out->end - out->cursor) < (size_t)weir_record_span(at + length))) {
        weir_out_make_room(out, length > WEIR_ROW_MAX - at ? WEIR_ROW_MAX + 1 : at + length);
        if (out->err) return (struct weir_str){0, 0};
    }
    if (length) memcpy(out->cursor + sizeof(struct weir_record) + at, data, length);
    out->tail = at + length;
    return (struct weir_str){at, length};
}

/* The two halves of an emit; use the functions below. The first returns where the record goes, or NULL (out->err). */
static inline struct weir_record *weir_emit_begin(struct weir_out *out, uint32_t row_size)
{
    uint32_t size = out->tail ? out->tail : row_size;
    if (WEIR_UNLIKELY((size_t)(out->end - out->cursor) < weir_record_span(size) || out->count == WEIR_BATCH_MAX || out->err)) {
        if (!out->err) weir_out_make_room(out, size);
        if (out->err) return NULL;
    }
    return (struct weir_record *)(void *)out->cursor;
}
static inline void weir_emit_end(struct weir_out *out, struct weir_record *rec, uint32_t row_size, weir_time time_ms, uint8_t kind)
{
    uint32_t size = out->tail ? out->tail : row_size;
    uint32_t span = weir_record_span(size);
    *rec = (struct weir_record){.size = size, .kind = kind, .time_ms = time_ms};
    if (out->count == 0) out->first_span = span;
    out->mixed |= span ^ out->first_span;
    out->offsets[out->count++] = (uint32_t)(out->cursor - out->base);
    out->cursor += span;
    out->tail = 0;
}

/*
 * Emits a row whose type is not known at compile time: `row_size` bytes of struct (its strings already put by weir_put_str on the same
 * output, in any order). Copies it. Returns the output's first failure, or WEIR_OK. A sink or operator downstream may run inside this call.
 */
static inline weir_err weir_emit_bytes(struct weir_out *out, const void *row, uint32_t row_size, weir_time time_ms, uint8_t kind)
{
    struct weir_record *rec = weir_emit_begin(out, row_size);
    if (WEIR_UNLIKELY(!rec)) return out->err;
    memcpy(rec + 1, row, row_size);
    weir_emit_end(out, rec, row_size, time_ms, kind);
    return WEIR_OK;
}

/*
 * The same for a typed row: `row` is a pointer to its struct and row_size = sizeof *(row). A macro, so that the copy is an assignment of
 * the type: the compiler then stores the members where they go instead of building the struct twice (measured: 3 against 13 ns a row).
 */
#define weir_emit_kind(out_, row_, row_size_, time_, kind_)                                                                      \
    __extension__({                                                                                                              \
        static_assert(sizeof *(row_) == (row_size_), "row_size must be the size of the row's struct; else use weir_emit_bytes"); \
        struct weir_out *weir_o_ = (out_);                                                                                       \
        struct weir_record *weir_r_ = weir_emit_begin(weir_o_, (uint32_t)(row_size_));                                           \
        if (WEIR_LIKELY(weir_r_ != NULL)) {                                                                                      \
            __auto_type weir_v_ = *(row_); /* drops a const */                                                                   \
            *(__typeof__(weir_v_) *)(void *)(weir_r_ + 1) = weir_v_;                                                             \
            weir_emit_end(weir_o_, weir_r_, (uint32_t)(row_size_), (time_), (kind_));                                            \
        }                                                                                                                        \
        weir_o_->err;                                                                                                            \
    })
#define weir_emit(out_, row_, row_size_, time_) weir_emit_kind(out_, row_, row_size_, time_, WEIR_INSERT)

/*
 * Runs: many rows of one struct without strings, written where they go. Faster than weir_emit (about 2 ns a row less), since the output's
 * book-keeping is done once a run:
 *
 *     uint32_t n = weir_run_begin(out, sizeof(struct hit), wanted);      0 on failure (out->err), else how many fit: 1 ... wanted
 *     for (uint32_t i = 0; i < n; i++) *(struct hit *)weir_run_row(out, sizeof(struct hit), i, time, WEIR_INSERT) = ...;
 *     weir_run_end(out, sizeof(struct hit), n);                          rows 0 ... n - 1 are emitted; n may be smaller than what fitted
 */
static inline uint32_t weir_run_begin(struct weir_out *out, uint32_t row_size, uint32_t wanted)
{
    if (!weir_emit_begin(out, row_size)) return 0;
    uint32_t room = (uint32_t)((size_t)(out->end - out->cursor) / weir_record_span(row_size));
    uint32_t left = WEIR_BATCH_MAX - out->count;
    if (room > left) room = left;
    return room < wanted ? room : wanted;
}
static inline void *weir_run_row(const struct weir_out *out, uint32_t row_size, uint32_t i, weir_time time_ms, uint8_t kind)
{
    struct weir_record *rec = (struct weir_record *)(void *)(out->cursor + (size_t)i * weir_record_span(row_size));
    *rec = (struct weir_record){.size = row_size, .kind = kind, .time_ms = time_ms};
    return rec + 1;
}
static inline void weir_run_end(struct weir_out *out, uint32_t row_size, uint32_t n)
{
    uint32_t span = weir_record_span(row_size), at = (uint32_t)(out->cursor - out->base), count = out->count;
    if (n == 0) return;
    for (uint32_t i = 0; i < n; i++) out->offsets[count + i] = at + i * span;
    if (count == 0) out->first_span = span;
    out->mixed |= span ^ out->first_span;
    out->count = count + n;
    out->cursor += (size_t)n * span;
}

/*
 * A row with strings, written where it goes. Faster than weir_put_str for many strings a row: room is made once, and since all of it may be
 * written on the way, short strings can be copied in blocks of a constant size that reach beyond their end:
 *
 *     void *row = weir_row_begin(out, size_max);     NULL on failure (out->err), else size_max bytes of room, 8-byte aligned
 *     ...                                            struct and strings, offsets from `row`, in at most size_max bytes
 *     weir_row_end(out, size, time, WEIR_INSERT);    the row is the first `size` bytes; what lies behind is lost
 *
 * size_max is at most WEIR_ROW_MAX. Nothing else is emitted on this output in between, and no string put by weir_put_str belongs to the
 * row.
 */
static inline void *weir_row_begin(struct weir_out *out, uint32_t size_max)
{
    struct weir_record *rec = weir_emit_begin(out, size_max);
    return rec ? rec + 1 : NULL;
}
static inline void weir_row_end(struct weir_out *out, uint32_t size, weir_time time_ms, uint8_t kind)
{
    weir_emit_end(out, (struct weir_record *)(void *)out->cursor, size, time_ms, kind);
}

/* Emits a record as it is, strings, time and kind included: a copy of its bytes. */
static inline weir_err weir_emit_record(struct weir_out *out, const struct weir_record *rec)
{
    void *row = weir_row_begin(out, rec->size);
    if (WEIR_UNLIKELY(!row)) return out->err;
    memcpy(row, rec + 1, rec->size);
    weir_row_end(out, rec->size, rec->time_ms, rec->kind);
    return WEIR_OK;
}

/* Forgets the strings put for a row that will not be emitted after all. */
static inline void weir_row_drop(struct weir_out *out)
{
    out->tail = 0;
}

/* ---- context ------------------------------------------------------------------------------------------------------------------- */

/* What an operator instance sees of its runtime. Borrowed for the instance's life. Members are read-only for the plugin. */
struct weir_ctx {
    size_t struct_size;
    struct weir_out *out; /* out[0] main, out[1...] side outputs in declared order */
    uint32_t n_outs;      /* 0 for a sink */
    uint32_t subtask;     /* 0 ... parallelism - 1 */
    uint32_t parallelism;
    uint32_t key_index;          /* record of the batch whose key is current; set by weir_set_key */
    uint32_t *sel;               /* scratch of WEIR_BATCH_MAX offsets, for a narrowed selection */
    const struct weir_key *keys; /* with WEIR_OPERATOR_KEYED: keys[i] of record i of this batch; in on_timer the timer's */
    weir_time watermark_ms;      /* event time of this operator */
    const void *config;          /* what the builder was given */
    const char *operator_id;
    const char *job_id;     /* 32 hex digits */
    struct weir_diag *diag; /* where a failing function leaves its sentence */
    void *host;             /* the runtime's own */
    uint32_t attempt;       /* of the job, from 1: each restart after a failure is a new one */
    uint64_t restored;      /* id of the checkpoint that the instance begins with; 0 = it begins without */
};

/* Makes record i's key the current one: state and timers then belong to it. Keyed inputs only. */
static inline void weir_set_key(struct weir_ctx *ctx, uint32_t i)
{
    ctx->key_index = i;
}

/* Passes a batch on to output `index` as it is (a filter's narrowed selection). Rows not yet flushed from the output go first. */
WEIR_EXPORT weir_err weir_forward(struct weir_ctx *ctx, uint32_t index, struct weir_batch *batch);

/* Makes `batch` mutable: when it is shared, points it at a private copy that lives until the call into the operator returns. */
WEIR_EXPORT weir_err weir_batch_own(struct weir_ctx *ctx, struct weir_batch *batch);

/* Wall clock, milliseconds since the epoch, read once a step. Results must not depend on it unless processing time is meant. */
WEIR_EXPORT weir_time weir_now_ms(struct weir_ctx *ctx);

struct weir_coord;

/*
 * This instance's client of the coordination tree of its cluster (weir/coord.h, weir/coord_recipes.h): elections, locks, live values ...
 * It is opened by the first call, usually in `open`, which does not wait for the connection, and closed behind `close`; with it go its
 * session and ephemeral nodes. All readers of a source's instance share one. In the next attempt it is another session.
 *
 * A task must not be held up. Synchronous calls may be made in open, recover, prepare, commit and close of operators and in open and close
 * of sources, where each waits at most 3 s for its answer, however long the caller would have waited (OPERATION_TIMEOUT). Elsewhere they
 * are answered WRONG_THREAD. What never waits may be called anywhere: the asynchronous calls, whose callbacks run on the client's thread,
 * and the views that are kept up to date: weir_coord_claim_held, weir_coord_config_get, weir_coord_group_choose, weir_coord_alive.
 * A callback must not touch what the operator's functions use, but by atomics or a lock of its own.
 *
 * What is read here is no part of a checkpoint: after a restore the same records may meet another value.
 *
 * Gives `*out`, borrowed: the runtime closes it. Claims and views on it are left before, in `close` at the latest.
 * Errors: WEIR_E_UNREACHABLE: the cluster has told no endpoint; WEIR_E_UNSUPPORTED: no cluster (weir/testing.h); of weir_coord_open.
 * Thread: the instance's.
 */
WEIR_EXPORT weir_err weir_ctx_coord(struct weir_ctx *ctx, struct weir_coord **out);

/* Adds to a named counter of this instance, shown by `jobctl show`. name: a string constant, at most 8 different names an instance. */
WEIR_EXPORT void weir_count(struct weir_ctx *ctx, const char *name, uint64_t n);

/* ---- what sinks prepare ---------------------------------------------------------------------------------------------------------- */

/*
 * A sink writes in two phases, so that its output is visible exactly once whatever fails:
 *
 *     process ... process ── prepare ── process ... process ── prepare ── ...
 *                               └─▶ committables, kept in the checkpoint ──(it is complete)──▶ commit each
 *
 * prepare makes durable, and not visible, what was written since the last prepare, and says in committables how to make it visible. The
 * runtime keeps them with the checkpoint, and once that is complete it calls commit for each. When that was in vain, or the word of the
 * completed checkpoint was lost, commit is called again: with the next checkpoint, or after a restore, by any subtask, in another process.
 * A committable must therefore be all that commit needs. What was prepared for a checkpoint that fails stays part of the output and of the
 * next one; what was written behind the checkpoint that is restored is not, and recover removes it.
 */
#define WEIR_COMMITTABLE_MAX 65536u /* bytes of one committable */

struct weir_committables; /* where prepare puts them; owner: the runtime */

/* Adds a committable: any bytes, copied. Errors: WEIR_E_LIMIT (empty, or WEIR_COMMITTABLE_MAX), WEIR_E_NOMEM. */
WEIR_EXPORT weir_err weir_committable_add(struct weir_committables *out, const void *data, uint32_t length);

/*
 * Says how many records all committables of this prepare hold, added up over several calls. The runtime compares the number with the
 * records that it gave to the sink since the last prepare, and fails the job back to the last good checkpoint when they differ: the last
 * link of the ledger that follows every record from its source. A sink whose output is not one record for each that came says nothing.
 */
WEIR_EXPORT void weir_committables_records(struct weir_committables *out, uint64_t n);

/* ---- operator table ------------------------------------------------------------------------------------------------------------ */

/* Not a failure: "I stopped in between because my output is full; call me again". Only where a comment allows it. */
#define WEIR_AGAIN ((weir_err)100)
/* Not a failure: a split has been read to its end. Only from weir_source.read. */
#define WEIR_DONE ((weir_err)101)

/* True when the subtask's outputs cannot take more: a long emitter returns WEIR_AGAIN (where it may). */
WEIR_EXPORT bool weir_should_yield(struct weir_ctx *ctx);

enum weir_time_domain { WEIR_EVENT_TIME = 0, WEIR_PROCESSING_TIME = 1 };

struct weir_timer {
    weir_time time_ms;
    enum weir_time_domain domain;
    const struct weir_key *key;
    uint64_t tag; /* what weir_timer_set was given */
};

#define WEIR_SIDES_MAX 15 /* side outputs of an operator */

/*
 * Functions may be NULL where nothing is to be done. `self` has self_size zeroed bytes, 64-byte aligned. It lives as long as the instance
 * and is no part of a checkpoint: what must outlive a failure belongs in state (weir/state.h), or, of a sink, in committables.
 */
struct weir_operator {
    size_t struct_size;
    const char *name; /* kind of step, shown in plans: "map", "filter", "top-paths" */
    size_t self_size;
    const struct weir_schema *in;           /* of every input; NULL = any */
    const struct weir_schema *out;          /* of output 0; NULL = same as the input (filter, update) or none (sink) */
    const struct weir_schema *const *sides; /* of side outputs; n_sides of them */
    uint32_t n_sides;
    uint32_t flags; /* enum weir_operator_flags */
    weir_err (*open)(void *self, struct weir_ctx *ctx);
    weir_err (*process)(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch);
    /* The operator's event time reached watermark_ms; called after the timers up to it have fired. May return WEIR_AGAIN. */
    weir_err (*on_watermark)(void *self, struct weir_ctx *ctx, weir_time watermark_ms);
    weir_err (*on_timer)(void *self, struct weir_ctx *ctx, const struct weir_timer *timer);
    /* All inputs have ended; after the last watermark. Once in a job's life: an instance that had finished in the checkpoint that is
     * restored is not opened again (but for a sink, to commit). May return WEIR_AGAIN. */
    weir_err (*finish)(void *self, struct weir_ctx *ctx);
    /*
     * Sinks: makes the output that `committable` tells of visible. Idempotent: what is visible already is a success, and must be known to
     * be the same and not guessed; a failure that cannot be proven harmless is returned, and stops the job. Called after open, before
     * recover and between calls of process.
     */
    weir_err (*commit)(void *self, struct weir_ctx *ctx, struct weir_bytes committable);
    /* Frees what open made. Always called once after open, also after failure or cancel. A sink removes what it has not prepared; what it
     * has prepared stays, since a checkpoint may tell of it; of what none can tell it hears by `abort` before. */
    void (*close)(void *self, struct weir_ctx *ctx);
    const struct weir_schema *second; /* WEIR_OPERATOR_TWO_INPUTS: of input 1; NULL = any */
    /*
     * Sinks: what was written since the last prepare becomes durable, not visible; nothing to add when nothing was written. checkpoint_id
     * grows over the life of the job, restarts included, and is 0 for the one prepare at the end of a job without checkpoints. It may block
     * as long as a disk takes. What it changes in the sink's state is in the checkpoint.
     */
    weir_err (*prepare)(void *self, struct weir_ctx *ctx, uint64_t checkpoint_id, struct weir_committables *out);
    /*
     * Sinks: after open, once, before any record: removes what earlier attempts of the job (ctx->attempt) have left behind, of any of their
     * subtasks, whose number may have been another. `kept`: the committables of the checkpoint that was restored, of all former subtasks;
     * what they tell of must stay: other subtasks may still be about to commit it.
     */
    weir_err (*recover)(void *self, struct weir_ctx *ctx, const struct weir_bytes *kept, uint32_t n_kept);
    /*
     * Sinks: what `committable` tells of will never be made visible, since no complete checkpoint tells of it and none ever will: it goes.
     * Called before close, when the job is canceled or has failed, as far as that is known here; nobody waits for it, and what is left is
     * recover's.
     */
    void (*abort)(void *self, struct weir_ctx *ctx, struct weir_bytes committable);
};

/*
 * Changes. A stream is append-only (every record an insert) or updating: a changelog of +I, -U, +U and -D records, whose sum is a table. An
 * operator that does not say that it understands changes is never given them: the job is refused while it is built.
 */
enum weir_operator_flags {
    WEIR_OPERATOR_SINK = 1,       /* has no output */
    WEIR_OPERATOR_KEYED = 2,      /* it uses keys, keyed state or timers: its input must come from key_by. With two inputs each comes from
                                     key_by or broadcast, one at least from key_by; a broadcast record has no key */
    WEIR_OPERATOR_TWO_INPUTS = 4, /* for weir_co_apply: `in` is the type of input 0, `second` that of input 1 */
    WEIR_OPERATOR_TAKES_CHANGES = 8,   /* it looks at rec->kind; its output is append-only unless a flag below says otherwise */
    WEIR_OPERATOR_PASSES_CHANGES = 16, /* the same, and each record it gives has the kind of the one it came from (filters, maps) */
    WEIR_OPERATOR_RETRACTS = 32,       /* output 0 is updating, whatever the input */
    WEIR_OPERATOR_UPSERTS = 64, /* as TAKES_CHANGES, by key: each +I or +U replaces the key's row, -D removes it; -U is not given to it */
};

/* ---- macros: one record's function to a batch's ---------------------------------------------------------------------------------- */

#define WEIR_INLINE static inline __attribute__((always_inline))

/* Calls body(i, offset-in-data) for each record with the selection or, without one, the constant stride known to the compiler. */
#define WEIR_BATCH_LOOP(loop, batch, row, ...)                                                               \
    ((batch)->sel ? loop((batch)->sel, 0u, __VA_ARGS__)                                                      \
     : (batch)->stride == ((sizeof(struct weir_record) + sizeof(struct row) + 7u) & ~7u)                     \
         ? loop(NULL, (uint32_t)((sizeof(struct weir_record) + sizeof(struct row) + 7u) & ~7u), __VA_ARGS__) \
         : loop(NULL, (batch)->stride, __VA_ARGS__))

#define WEIR_RECORD_AT(batch, sel, stride, i) ((struct weir_record *)(void *)((batch)->data + ((sel) ? (sel)[i] : (i) * (stride))))

/* WEIR_UPDATE(op, row, fn): `void fn(struct row *r)` edits each row in place; its strings stay as they are. Defines operator `op`. */
#define WEIR_UPDATE(op, row_, fn)                                                                               \
    WEIR_INLINE weir_err op##_loop(const uint32_t *sel, uint32_t stride, struct weir_batch *b)                  \
    {                                                                                                           \
        uint32_t n = b->count;                                                                                  \
        for (uint32_t i = 0; i < n; i++) fn((struct row_ *)weir_record_row(WEIR_RECORD_AT(b, sel, stride, i))); \
        return WEIR_OK;                                                                                         \
    }                                                                                                           \
    static weir_err op##_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *b)        \
    {                                                                                                           \
        (void)self, (void)input;                                                                                \
        weir_err err = weir_batch_own(ctx, b);                                                                  \
        if (err) return err;                                                                                    \
        (void)WEIR_BATCH_LOOP(op##_loop, b, row_, b);                                                           \
        return weir_forward(ctx, 0, b);                                                                         \
    }                                                                                                           \
    static const struct weir_operator op = {.struct_size = sizeof(struct weir_operator),                        \
                                            .name = "map",                                                      \
                                            .in = &row_##_schema,                                               \
                                            .flags = WEIR_OPERATOR_PASSES_CHANGES,                              \
                                            .process = op##_process}

/* WEIR_MAP(op, in, out, fn): `void fn(const struct in *, struct out *)`, one row without strings for each row. Defines operator `op`. */
#define WEIR_MAP(op, in_, out_, fn)                                                                                        \
    WEIR_INLINE weir_err op##_loop(const uint32_t *sel, uint32_t stride, const struct weir_batch *b, struct weir_out *out) \
    {                                                                                                                      \
        for (uint32_t done = 0; done < b->count;) {                                                                        \
            uint32_t n = weir_run_begin(out, sizeof(struct out_), b->count - done);                                        \
            if (n == 0) return out->err;                                                                                   \
            for (uint32_t i = 0; i < n; i++) {                                                                             \
                struct weir_record *rec = WEIR_RECORD_AT(b, sel, stride, done + i);                                        \
                struct out_ row;                                                                                           \
                fn((const struct in_ *)weir_record_row(rec), &row);                                                        \
                *(struct out_ *)weir_run_row(out, sizeof row, i, rec->time_ms, rec->kind) = row;                           \
            }                                                                                                              \
            weir_run_end(out, sizeof(struct out_), n);                                                                     \
            done += n;                                                                                                     \
        }                                                                                                                  \
        return WEIR_OK;                                                                                                    \
    }                                                                                                                      \
    static weir_err op##_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *b)                   \
    {                                                                                                                      \
        (void)self, (void)input;                                                                                           \
        return WEIR_BATCH_LOOP(op##_loop, b, in_, b, ctx->out);                                                            \
    }                                                                                                                      \
    static const struct weir_operator op = {.struct_size = sizeof(struct weir_operator),                                   \
                                            .name = "map",                                                                 \
                                            .in = &in_##_schema,                                                           \
                                            .out = &out_##_schema,                                                         \
                                            .flags = WEIR_OPERATOR_PASSES_CHANGES,                                         \
                                            .process = op##_process}

/* WEIR_FILTER(op, row, fn): `bool fn(const struct row *)` says which rows stay. Defines operator `op`. */
#define WEIR_FILTER(op, row_, fn)                                                                                    \
    WEIR_INLINE uint32_t op##_loop(const uint32_t *sel, uint32_t stride, const struct weir_batch *b, uint32_t *kept) \
    {                                                                                                                \
        uint32_t n = b->count, m = 0;                                                                                \
        for (uint32_t i = 0; i < n; i++) {                                                                           \
            uint32_t at = sel ? sel[i] : i * stride;                                                                 \
            kept[m] = at;                                                                                            \
            m += fn((const struct row_ *)(const void *)(b->data + at + sizeof(struct weir_record))) ? 1u : 0u;       \
        }                                                                                                            \
        return m;                                                                                                    \
    }                                                                                                                \
    static weir_err op##_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *b)             \
    {                                                                                                                \
        (void)self, (void)input;                                                                                     \
        b->count = WEIR_BATCH_LOOP(op##_loop, b, row_, b, ctx->sel);                                                 \
        b->sel = ctx->sel;                                                                                           \
        return b->count ? weir_forward(ctx, 0, b) : WEIR_OK;                                                         \
    }                                                                                                                \
    static const struct weir_operator op = {.struct_size = sizeof(struct weir_operator),                             \
                                            .name = "filter",                                                        \
                                            .in = &row_##_schema,                                                    \
                                            .flags = WEIR_OPERATOR_PASSES_CHANGES,                                   \
                                            .process = op##_process}

/*
 * The loop of an operator with a function on one record: `weir_err fn(struct self_ *self, struct weir_ctx *ctx, const struct row *in,
 * const struct weir_record *rec)`, which emits any number of rows to ctx->out[...]. Defines `op_process`, to be put in a table of the
 * author's (with open, timers, side outputs ...). Before each call the record's key is made current.
 */
#define WEIR_PROCESS(op, self_, row_, fn)                                                                                        \
    WEIR_INLINE weir_err op##_loop(const uint32_t *sel, uint32_t stride, void *self, struct weir_ctx *ctx, struct weir_batch *b) \
    {                                                                                                                            \
        uint32_t n = b->count;                                                                                                   \
        for (uint32_t i = 0; i < n; i++) {                                                                                       \
            struct weir_record *rec = WEIR_RECORD_AT(b, sel, stride, i);                                                         \
            weir_set_key(ctx, i);                                                                                                \
            weir_err err = fn((struct self_ *)self, ctx, (const struct row_ *)weir_record_row(rec), rec);                        \
            if (WEIR_UNLIKELY(err)) return err;                                                                                  \
        }                                                                                                                        \
        return WEIR_OK;                                                                                                          \
    }                                                                                                                            \
    static weir_err op##_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *b)                         \
    {                                                                                                                            \
        (void)input;                                                                                                             \
        return WEIR_BATCH_LOOP(op##_loop, b, row_, self, ctx, b);                                                                \
    }                                                                                                                            \
    static_assert(sizeof(struct row_) > 0, "row type")

/*
 * The same for two inputs: `fn` and `second_fn` take rows of type `row` from input 0 and of type `second_row` from input 1. Defines
 * `op_process`, for a table with WEIR_OPERATOR_TWO_INPUTS. While a broadcast record is processed no key is current.
 */
#define WEIR_CO_PROCESS(op, self_, row_, fn, second_row_, second_fn)                                       \
    WEIR_PROCESS(op##_first, self_, row_, fn);                                                             \
    WEIR_PROCESS(op##_second, self_, second_row_, second_fn);                                              \
    static weir_err op##_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *b)   \
    {                                                                                                      \
        return input ? op##_second_process(self, ctx, input, b) : op##_first_process(self, ctx, input, b); \
    }                                                                                                      \
    static_assert(sizeof(struct second_row_) > 0, "row type")

/* WEIR_FLAT_MAP(op, in, out, fn): as WEIR_PROCESS without a self (pass NULL's type as weir_none); defines operator `op`. */
struct weir_none;
#define WEIR_FLAT_MAP(op, in_, out_, fn)                                                 \
    WEIR_PROCESS(op, weir_none, in_, fn);                                                \
    static const struct weir_operator op = {.struct_size = sizeof(struct weir_operator), \
                                            .name = "flat_map",                          \
                                            .in = &in_##_schema,                         \
                                            .out = &out_##_schema,                       \
                                            .process = op##_process}

/* WEIR_KEY_STR(keyer, row, member): keyed by a string of the row. Defines `const struct weir_keyer keyer`. */
#define WEIR_KEY_STR(keyer, row_, member)                                                                  \
    static void keyer##_extract(const struct weir_batch *b, struct weir_key *keys, unsigned char *scratch) \
    {                                                                                                      \
        (void)scratch;                                                                                     \
        for (uint32_t i = 0; i < b->count; i++) {                                                          \
            const struct row_ *row = (const struct row_ *)weir_record_row(weir_batch_record(b, i));        \
            keys[i].data = weir_str_data(row, row->member);                                                \
            keys[i].length = row->member.length;                                                           \
        }                                                                                                  \
    }                                                                                                      \
    static const struct weir_keyer keyer = {sizeof(struct weir_keyer), #member, 0, keyer##_extract, &row_##_schema}

/* WEIR_KEY_FIXED(keyer, row, member): keyed by the bytes of a fixed-size member (integer, time). */
#define WEIR_KEY_FIXED(keyer, row_, member)                                                                \
    static void keyer##_extract(const struct weir_batch *b, struct weir_key *keys, unsigned char *scratch) \
    {                                                                                                      \
        (void)scratch;                                                                                     \
        for (uint32_t i = 0; i < b->count; i++) {                                                          \
            const struct row_ *row = (const struct row_ *)weir_record_row(weir_batch_record(b, i));        \
            keys[i].data = &row->member;                                                                   \
            keys[i].length = (uint32_t)sizeof row->member;                                                 \
        }                                                                                                  \
    }                                                                                                      \
    static const struct weir_keyer keyer = {sizeof(struct weir_keyer), #member, 0, keyer##_extract, &row_##_schema}

/*
 * WEIR_KEY_OF(keyer, row, size, fn): keyed by what `uint32_t fn(const struct row *, unsigned char *key)` writes, at most `size` bytes;
 * it returns how many. For keys of several fields. Write no padding bytes.
 */
#define WEIR_KEY_OF(keyer, row_, size_, fn)                                                                \
    static void keyer##_extract(const struct weir_batch *b, struct weir_key *keys, unsigned char *scratch) \
    {                                                                                                      \
        for (uint32_t i = 0; i < b->count; i++, scratch += (size_)) {                                      \
            keys[i].length = fn((const struct row_ *)weir_record_row(weir_batch_record(b, i)), scratch);   \
            keys[i].data = scratch;                                                                        \
        }                                                                                                  \
    }                                                                                                      \
    static const struct weir_keyer keyer = {sizeof(struct weir_keyer), #keyer, size_, keyer##_extract, NULL}

/* WEIR_PARTITION(partitioner, row, fn): `uint32_t fn(const struct row *, uint32_t n_subtasks)` chooses. Defines `partitioner`. */
#define WEIR_PARTITION(partitioner, row_, fn)                                                            \
    static void partitioner##_choose(const struct weir_batch *b, uint32_t n_subtasks, uint32_t *targets) \
    {                                                                                                    \
        for (uint32_t i = 0; i < b->count; i++)                                                          \
            targets[i] = fn((const struct row_ *)weir_record_row(weir_batch_record(b, i)), n_subtasks);  \
    }                                                                                                    \
    static const struct weir_partitioner partitioner = {sizeof(struct weir_partitioner), #partitioner, partitioner##_choose}

#ifdef __cplusplus
}
#endif
#endif
