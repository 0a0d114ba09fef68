/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subtask: one parallel instance of a vertex, stepped cooperatively by its task thread.
 *
 *     CREATED ──open──▶ RUNNING ──(all inputs ended)──▶ DRAINING ──(finish done, ends sent)──▶ PREPARED ──commit──▶ COMMITTED
 *                        │ ▲                                                                                           ▲
 *       checkpoint with STOP │abort                                                                                    │
 *                        ▼ │                                                                                           │
 *                      RESTING ──────────────────────────────────────commit──────────────────────────────────────────┘
 *         any of them ──(error)──▶ FAILED
 *
 * A step takes frames from input channels (or batches from split readers), runs the chain of operators over each, and writes what comes out
 * into the frames of the outgoing channels. It never blocks: without credit it stops taking input and says BLOCKED. Frames leave when they
 * are full or when the step ends without more input.
 *
 * At a barrier (align.h) it hands over a snapshot (snapshot.h) and sends the barrier on. It begins with one when subtask_restore was called
 * before subtask_open.
 *
 * The parts: subtask.c (step, inputs, sources), checkpoint.c (barriers, snapshots), restore.c, commit.c (the phases of a sink), op.c (an
 * operator instance: batches, watermarks, timers, outputs), edge.c (partitioning into channels), context.c and state.c (the functions of
 * weir/operator.h and weir/state.h). Owner of all: the task thread.
 */
#ifndef WEIR_RUNTIME_TASK_SUBTASK_H
#define WEIR_RUNTIME_TASK_SUBTASK_H

#include "runtime/base/id.h"
#include "runtime/plan/plan.h"
#include "runtime/state/keyed.h"
#include "runtime/task/align.h"
#include "runtime/task/channel.h"
#include "runtime/task/snapshot.h"
#include "runtime/task/watermark.h"
#include "runtime/wire/message.h"
#include "weir/weir.h"

struct subtask;
struct op;

/* ---- what the builder of a worker says about an operator ---------------------------------------------------------------------------- */

enum op_kind { OP_USER = 1, OP_SOURCE = 2, OP_WATERMARKS = 3 };

struct op_spec {
    enum op_kind kind;
    const char *id;
    uint32_t node;                     /* index in the graph */
    const struct weir_operator *table; /* OP_USER */
    const struct weir_source *source;  /* OP_SOURCE */
    weir_timestamp_fn timestamp;       /* OP_WATERMARKS */
    struct weir_watermarks watermarks;
    const void *config; /* for ctx->config; lives as long as the worker */
    uint32_t n_outs;
    const struct weir_keyer *keyers[GRAPH_PORTS]; /* its inputs are keyed by these; NULL = not keyed */
};

/* ---- outgoing edges ------------------------------------------------------------------------------------------------------------------ */

/* The frame being filled for a channel. Where the next record goes stands here and not in the frame: one load instead of three in a row. */
struct lane {
    unsigned char *cursor, *end; /* both NULL: no frame */
    struct weir_record *last;    /* the record that was appended last */
    struct frame *frame;
    uint32_t count;
    uint32_t span;  /* of its first record */
    uint32_t mixed; /* non-zero once a span differs from that */
};

struct edge {
    struct subtask *subtask;
    enum graph_partition partition;
    const struct weir_keyer *keyer;
    const struct weir_partitioner *partitioner;
    uint32_t n_channels;
    struct channel **channels;
    struct lane *lanes;    /* of each channel */
    uint32_t turn;         /* GRAPH_REBALANCE: channel whose turn it is */
    struct weir_key *keys; /* GRAPH_KEY */
    unsigned char *key_scratch;
    uint32_t *chosen;                /* GRAPH_CUSTOM: of each record, its channel */
    struct edge *twin;               /* next of the subtask's edges into the same operator of two inputs, in a ring; NULL: none */
    struct op_out *direct;           /* writes frames for this edge itself; NULL = none */
    weir_time time_noted, time_sent; /* newest watermark; newest one that went out */
};

/* way: of GRAPH_KEY its keyer, of GRAPH_CUSTOM its partitioner. channels: borrowed array, kept. Errors: WEIR_E_NOMEM. */
struct edge_way {
    enum graph_partition partition;
    const struct weir_keyer *keyer;
    const struct weir_partitioner *partitioner;
};
weir_err edge_init(struct edge *e, struct subtask *s, const struct edge_way *way, uint32_t n_channels, struct channel **channels);
void edge_close(struct edge *e);
weir_err edge_write(struct edge *e, const struct weir_batch *batch);
weir_err edge_flush(struct edge *e);
weir_err edge_flush_copies(struct edge *e);                                   /* the open frames only, not a direct output's */
weir_err edge_event(struct edge *e, enum frame_kind kind, weir_time time_ms); /* flushes first */
weir_err edge_barrier(struct edge *e, uint64_t id, uint16_t options);
/*
 * Sends the watermark noted in time_noted, behind all data, if it is newer than the last. A watermark cuts the open frames, so under load
 * it goes out every EDGE_WATERMARK_MS only; delaying one is always right.
 */
weir_err edge_watermark(struct edge *e);
#define EDGE_WATERMARK_MS 2

/* ---- operator instances ---------------------------------------------------------------------------------------------------------------
 */

struct op_target { /* exactly one of the two */
    struct op *op;
    struct edge *edge;
};

/*
 * The runtime's side of a weir_out. Rows go into `buffer` and from there to every target; or, when all of them go to one channel anyway
 * (`direct`), straight into the frame that will travel.
 */
struct op_out {
    struct op *op;
    struct weir_out *pub;
    unsigned char *buffer;
    uint32_t capacity; /* bytes of it */
    uint32_t room;     /* so many of them rows may fill before they are handed on; one larger row fills what it needs */
    struct edge *direct;
    struct frame *frame; /* direct: being filled; NULL = none */
    uint32_t n_targets;
    struct op_target *targets;
};

#define OP_COUNTERS_MAX 8

struct op {
    struct weir_ctx ctx;
    struct op_spec spec;
    struct subtask *subtask;
    void *self;
    bool opened, finished;
    bool may_wait;            /* a function of its table runs that may block for a moment */
    struct weir_coord *coord; /* NULL until it asks for one */
    bool done;                /* it had finished in the checkpoint that was restored: only a sink is opened again, to commit */
    struct op_out *outs;
    /* keys of the current batch */
    struct weir_key *keys;
    unsigned char *key_scratch;
    struct keyed *keyed; /* its state; of an operator without key made when it first opens some */
    /* private copy of a shared batch */
    unsigned char *own;
    uint32_t own_capacity;
    uint32_t *own_offsets;
    /* time */
    weir_time time_in, time_out; /* watermark to work up to; watermark passed on */
    bool idle_in, idle_out;
    struct splits splits; /* OP_WATERMARKS: one for each split of the source it is chained to, else one for all inputs */
    /* sinks */
    uint64_t taken;                        /* records given to it since its last prepare */
    struct weir_committables committables; /* prepared, and not known to be committed */
    struct weir_committables restored;     /* until it is opened: what all former instances had prepared */
    /* counters */
    struct {
        const char *name;
        uint64_t value;
    } counters[OP_COUNTERS_MAX];
    uint32_t n_counters;
    uint64_t step_in, step_out; /* records since the step began: who multiplied them */
};

weir_err op_init(struct op *op, struct subtask *s, const struct op_spec *spec);
void op_close(struct op *op);
weir_err op_open(struct op *op);
weir_err op_process(struct op *op, uint32_t input, struct weir_batch *batch);
weir_err op_flush(struct op *op); /* hands on what its outputs hold */
weir_err op_deliver(struct op_out *out, struct weir_batch *batch);
void op_choose_direct(struct op *op);        /* once the targets are known */
weir_err op_send_direct(struct op_out *out); /* the frame being filled goes */
weir_err op_advance(struct op *op);          /* works from time_out up to time_in; WEIR_AGAIN: not done yet */
weir_err op_processing_time(struct op *op, weir_time now_ms, bool *fired);
weir_err op_finish(struct op *op);             /* WEIR_AGAIN: not done yet */
weir_err op_fail(struct op *op, weir_err err); /* notes the first failing operator */
static inline bool op_is_sink(const struct op *op)
{
    return op->spec.kind == OP_USER && (op->spec.table->flags & WEIR_OPERATOR_SINK);
}
weir_err op_prepare(struct op *op, uint64_t checkpoint_id); /* sinks; others have nothing to do in these three */
weir_err op_commit(struct op *op, uint64_t checkpoint_id);  /* all that was prepared for it or before */
void op_abort(struct op *op, uint64_t kept);                /* all that was prepared for later ones, and not committed; before op_close */
weir_err op_recover(struct op *op);                         /* after open: commits what was restored, removes what is left over */
weir_err op_make_state(struct op *op);                      /* makes op->keyed, in the subtask's slot */
/*
 * Before each call into the operator, s->depth counted: keeps the slot's state within its budget. No address of it is in use then, unless
 * the call comes from inside that of an operator earlier in the chain, which may hold some: only calls that do not nest do anything here.
 * Errors: the slot's; s->diag has its sentence.
 */
weir_err op_prepare_state(struct op *op);
/* After each: `err`, or the failure of the slot, which goes before whatever the operator made of it. */
weir_err op_judge_state(struct op *op, weir_err err);

static inline struct op *op_of(struct weir_ctx *ctx)
{
    return (struct op *)ctx->host;
}

/* ---- subtasks ----------------------------------------------------------------------------------------------------------------------- */

/*
 * Channels of one stream drift apart when their senders are not equally fast, and an operator that waits for event time, or for partners
 * from its other input, keeps all that the fast ones brought. So one that is ahead of the slowest is not taken from, and soon lacks credit:
 * its sender waits. All channels of a subtask together may be AHEAD_BYTES_MAX ahead of event time, each its share, AHEAD_BYTES_LEAST at
 * least. As watermarks tell of that late, one whose next frame ends no later than what the others have brought may be AHEAD_FIRM times as
 * far ahead. When nothing else comes for AHEAD_WAIT_MS, the slow ones are not just slow (a partition fell silent): the subtask's limit is
 * doubled.
 */
#define AHEAD_BYTES_MAX (2u << 20)
#define AHEAD_BYTES_LEAST (128u << 10)
#define AHEAD_FIRM 4u
#define AHEAD_WAIT_MS 200

/*
 * Such a subtask takes the frames of a stream in the order of the event times of their last records, and from the stream first that has
 * brought least of late (what is older than ORDER_BYTES_KNOWN counts half): of a join that is the side of which few rows are awaited by
 * many. So a frame of ORDER_BYTES_LEAST bytes or more, which tells of load, stays in its channel while an older one of another channel may
 * be under way; smaller ones never wait. When nothing comes for ORDER_WAIT_MS, the order is given up until nothing older is missing.
 */
#define ORDER_BYTES_LEAST (WEIR_FRAME_BYTES / 2)
#define ORDER_BYTES_KNOWN (1u << 20)
#define ORDER_WAIT_MS 5

struct subtask_input {
    struct channel *channel;
    uint32_t port;         /* of the head: process()'s `input` */
    uint32_t stream;       /* the same for the channels from the subtasks of one step */
    bool apart;            /* what its sender sends depends on none of the others: only then it may have to wait for them */
    uint64_t stream_bytes; /* that the stream has brought of late */
    weir_time reached;     /* event time that the frames have reached which were taken */
    bool remote;
    const struct weir_schema *schema;
    bool has_strings;     /* of the schema */
    struct ledger counts; /* of its channel at its last barrier, or at its end */
};

struct subtask_split {
    uint32_t index; /* in the source's list */
    struct weir_bytes data;
    void *self; /* reader; NULL until opened */
    bool opened;
    struct weir_bytes position; /* restored, owned: where the reader will be opened; length 0 = at the beginning */
};

/* Where the thread says what user code it runs: in the black box, or a dummy. */
struct task_probe {
    _Atomic int32_t *op;
    _Atomic int32_t *subtask;
};

enum subtask_state {
    SUBTASK_CREATED,
    SUBTASK_RUNNING,
    SUBTASK_DRAINING,
    SUBTASK_RESTING, /* behind a checkpoint with STOP: it takes nothing and fires nothing */
    SUBTASK_PREPARED,
    SUBTASK_COMMITTED,
    SUBTASK_FAILED
};
enum subtask_step { STEP_IDLE, STEP_PROGRESS, STEP_BLOCKED, STEP_DONE, STEP_FAILED };

struct weir_coord;

/* How operators reach the coordination tree: what the process that runs them provides. */
struct task_coord {
    const char *servers; /* endpoints, separated by commas; NULL or "" = the cluster has told none */
    /* may_wait: kept; true while the caller's thread may wait for an answer. */
    weir_err (*open)(struct weir_coord **out, const char *servers, const bool *may_wait, struct weir_diag *diag);
    void (*close)(struct weir_coord **coord);
};

struct subtask_checkpoints {
    bool on;                      /* the owner's: the job has checkpoints: sinks prepare with them, and not at the end */
    struct align_options options; /* the owner's, but for `source` */
    struct align align;
    uint64_t trigger; /* newest one that came; done when no emission is under way */
    uint32_t trigger_options;
    /*
     * The owner's: takes a snapshot, or what says why there is none, within the step that made it: the rest of that step may have to wait
     * until the state in it is persisted.
     */
    void (*hand_over)(void *owner, struct subtask_snapshot *snapshot);
    void *owner;
    uint32_t n_unsettled; /* snapshots with frozen state that are out */
};

struct subtask {
    uint32_t vertex, index, parallelism;
    uint32_t attempt;
    const char *job_id;
    const struct task_coord *coord; /* kept; NULL: none outside of a cluster */
    enum subtask_state state;
    struct op *ops; /* parents before children; ops[0] the head */
    uint32_t n_ops;
    struct edge *edges;
    uint32_t n_edges;
    struct subtask_input *inputs;
    uint32_t n_inputs, next_input;
    bool in_order;              /* the owner's: some operator, here or further down, keeps what comes early */
    bool order_given_up;        /* at present */
    weir_time order_waiting_ms; /* since then frames wait and nothing is taken; 0 = that is not so */
    uint64_t ahead_max;         /* a channel so many bytes ahead of its stream has to wait; the owner may set it, else subtask_open does */
    weir_time ahead_waiting_ms; /* since then nothing came but from channels that have to wait; 0 = that is not so */
    struct valve valve;
    struct subtask_split *splits; /* source vertices */
    uint32_t n_splits, current_split;
    uint32_t splits_left;
    struct splits progress;
    struct subtask_checkpoints checkpoints;
    struct frame_pool *pool;
    uint32_t segment;        /* of the pool (frame_pool_set_segment); buffers of outputs are not filled beyond it either */
    struct state_slot *slot; /* kept: where state lives, shared by the subtasks of the thread; NULL: no operator has state */
    struct task_probe probe;
    uint32_t depth;            /* calls into user code under way, one inside the other along the chain */
    weir_time now_ms;          /* wall clock at the start of the step */
    weir_time watermark_at_ms; /* when the noted watermarks go out even under load */
    uint32_t step_flushes;     /* batches handed on in this step */
    uint32_t yield_flushes;    /* so many before long emitters are asked to pause; the owner may set it, else subtask_open does */
    uint32_t n_blocked;        /* outgoing channels on which frames wait for credit */
    uint64_t waiting_bytes;    /* emitted without credit, since the last time all was drained */
    bool pumping;              /* watermarks are under way through the chain */
    uint32_t offsets[WEIR_BATCH_MAX];
    struct wire_subtask_stats stats;
    struct weir_diag diag; /* of the first failure */
    const char *failed_id; /* operator that failed first; NULL = none */
};

/*
 * After the builder filled vertex ... pool, ops and edges: opens operators. now_ms: the wall clock they see. Errors: the operator's;
 * s->diag, s->failed_id say more.
 */
weir_err subtask_open(struct subtask *s, weir_time now_ms);
enum subtask_step subtask_step(struct subtask *s, weir_time now_ms);
weir_err subtask_commit(struct subtask *s);
/* Before the end of a subtask that is stopped: what its sinks prepared for checkpoints above `kept` will never be made visible. */
void subtask_abandon(struct subtask *s, uint64_t kept);
/* Closes operators and readers and frees everything inside; state stays. Channels are the owner's. */
void subtask_close(struct subtask *s);
static inline bool subtask_blocked(const struct subtask *s)
{
    return s->n_blocked > 0;
}
/* True when a step would find something to do (used before parking). */
bool subtask_has_work(const struct subtask *s);
weir_err subtask_send(struct subtask *s, struct channel *ch, struct frame *frame);
weir_err subtask_flush(struct subtask *s); /* all that its outputs hold leaves, with the time behind it */
void subtask_set_split(struct subtask *s, uint32_t i, enum split_state state);

/* ---- checkpoints: between two steps ---------------------------------------------------------------------------------------------------
 *
 * trigger: of a source begins a checkpoint, of a subtask that has finished is one; done within one of the next steps. complete: sinks
 * commit. abort: it is not waited for any more. Ids of each only grow; older ones are ignored. Errors: the operator's, or of the snapshot:
 * the subtask has FAILED.
 */
void subtask_trigger(struct subtask *s, uint64_t id, uint32_t options);
weir_err subtask_complete(struct subtask *s, uint64_t id);
weir_err subtask_abort(struct subtask *s, uint64_t id);
/* Frees a snapshot that is no longer needed, its frozen state having been persisted. Before subtask_close. */
void subtask_settle(struct subtask_snapshot *snapshot);
/* For the parts of a subtask: tells the aligner, and does what it says. Not while an emission is under way (pumping). */
weir_err subtask_align(struct subtask *s, struct align_event ev);

#endif
