/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control messages between JobManager and TaskManager, and, in the same form, between TaskManager and worker.
 *
 * On the wire a message is a msgpack array [type, epoch, job, attempt, body], body being a map from small integers (field numbers, in
 * message.c) to values; unknown fields are skipped, so fields can be added. docs/protocol/control.md specifies them.
 * Every message carries the epoch of the leader it belongs to, the job and the attempt (zero where none): receivers drop what is older.
 *
 * A decoded message borrows its strings and arrays from an arena that belongs to it; wire_msg_close frees it.
 */
#ifndef WEIR_RUNTIME_WIRE_MESSAGE_H
#define WEIR_RUNTIME_WIRE_MESSAGE_H

#include "runtime/base/buffer.h"
#include "runtime/base/id.h"
#include "weir/row.h"

enum wire_type {
    /* TaskManager -> JobManager */
    WIRE_REGISTER = 1,        /* first on a link */
    WIRE_FETCH = 2,           /* wants the chunk of an artifact at offset */
    WIRE_WORKER_READY = 3,    /* worker has loaded the plugin, checked the fingerprint, bound its data endpoint */
    WIRE_WORKER_RUNNING = 4,  /* worker has connected to its peers and steps its subtasks */
    WIRE_WORKER_STATS = 5,    /* counters, once a second and before PREPARED and ENDED */
    WIRE_WORKER_PREPARED = 6, /* all subtasks of the worker have finished; sinks are durable, not visible */
    WIRE_WORKER_ENDED = 7,    /* worker is gone: committed, failed or canceled; the last message of an attempt */
    /* JobManager -> TaskManager */
    WIRE_REGISTERED = 16,
    WIRE_REFUSED = 17, /* registration refused; the TaskManager exits with the reason */
    WIRE_CHUNK = 18,
    WIRE_DEPLOY = 19, /* start a worker for (job, attempt) */
    WIRE_START = 20,  /* all workers of the attempt are ready: connect and run */
    WIRE_COMMIT = 21, /* all workers have prepared: make output visible, then end */
    WIRE_CANCEL = 22, /* end the attempt's worker */
    /* worker -> TaskManager only */
    WIRE_WORKER_ALIVE = 32, /* the net thread lives; with the time since the slowest task last finished a step */
};

enum wire_outcome { WIRE_COMMITTED = 1, WIRE_FAILED = 2, WIRE_CANCELED = 3 };

/* Why something failed. Strings are "" and subtask is -1 where they do not apply. */
struct wire_failure {
    weir_err code;
    const char *operator_id;
    int32_t subtask;
    const char *reason; /* a sentence; names the signal, file, limit ... */
};

struct wire_split {
    uint32_t node;  /* index of the source in the graph */
    uint32_t index; /* of the split in the source's list */
    struct weir_bytes data;
};

struct wire_peer {
    uint32_t worker;      /* index in the attempt */
    const char *endpoint; /* of its data socket: tcp://host:port or ipc://path */
    struct weir_id incarnation;
};

enum wire_subtask_state { WIRE_SUBTASK_CREATED = 0, WIRE_SUBTASK_RUNNING = 1, WIRE_SUBTASK_FINISHED = 2, WIRE_SUBTASK_FAILED = 3 };

struct wire_subtask_stats {
    uint32_t vertex, subtask;
    uint32_t state;                                        /* enum wire_subtask_state */
    uint64_t records_in, records_out, bytes_in, bytes_out; /* over channels; of a source in = read, of a sink out = 0 */
    uint64_t frames_in_local, frames_in_remote, frames_out_local, frames_out_remote;
    uint64_t late;                         /* records behind their windows */
    int64_t watermark_ms;                  /* WEIR_TIME_MIN: none yet */
    uint64_t busy_us, idle_us, blocked_us; /* since start: working, nothing to do, waiting for credit */
};

struct wire_slot_stats { /* the keyed state of a slot; what is said of RocksDB is zero as long as all of it fits memory */
    uint32_t slot;
    uint64_t memory_bytes, memory_budget; /* in use, what a freeze would copy included; the limit, 0 = none */
    uint64_t entries;                     /* in memory */
    uint64_t loads, evictions, write_outs;
    uint64_t waits;              /* for a snapshot being written */
    uint64_t stalls, stalled_ms; /* write-outs held back because compaction lagged */
    uint64_t filter_useful;      /* misses that the filter of evicted keys answered */
    uint64_t sst_files, sst_bytes, level0_files;
    uint64_t cache_bytes, reader_bytes; /* block cache: of the whole worker */
    uint64_t compactions, compaction_pending_bytes, compaction_read_bytes, compaction_write_bytes;
    uint64_t gets, gets_found, bloom_useful, ingested_files, ingested_bytes;
};

struct wire_counter { /* a counter of user code or connector: weir_count */
    const char *operator_id;
    uint32_t subtask;
    const char *name;
    uint64_t value;
};

struct wire_msg {
    enum wire_type type;
    uint64_t epoch;
    struct weir_id job;
    uint32_t attempt;
    union {
        struct {
            const char *taskmanager; /* its id: chosen by its operator, or random */
            struct weir_id incarnation;
            const char *host; /* where its data sockets are reachable */
            uint32_t slots;
            uint32_t pid;
            const char *version;
        } reg;
        struct {
            struct weir_digest digest;
            uint64_t offset;
        } fetch;
        struct {
            const char *endpoint;
            struct weir_id incarnation;
            uint64_t fingerprint; /* of the graph it built */
        } ready;
        struct {
            uint32_t n_subtasks;
            struct wire_subtask_stats *subtasks;
            uint32_t n_counters;
            struct wire_counter *counters;
            uint32_t n_slots;
            struct wire_slot_stats *slots; /* those that have state */
            uint64_t frames_dropped;       /* fenced: of another job, attempt or incarnation */
        } stats;
        struct {
            uint32_t outcome; /* enum wire_outcome */
            struct wire_failure failure;
        } ended;
        struct {
            uint32_t heartbeat_ms, heartbeat_timeout_ms;
        } registered;
        struct {
            const char *reason;
        } refused;
        struct {
            struct weir_digest digest;
            uint64_t offset;
            uint64_t total; /* size of the artifact; 0 = the JobManager has no such artifact */
            struct weir_bytes data;
        } chunk;
        struct {
            struct weir_digest digest; /* of the plugin */
            uint64_t size;
            const char *name;     /* of the job */
            const char *cwd;      /* of its submitter */
            uint32_t parallelism; /* default parallelism of the job */
            uint64_t fingerprint; /* of the graph as described; a worker that builds another one refuses */
            uint32_t progress_timeout_ms;
            uint32_t n_args;
            const char **args; /* argv[0] first */
            uint32_t worker;   /* index of this worker in the attempt */
            uint32_t n_workers;
            uint32_t n_slots;
            uint32_t *slot_worker; /* worker index of each slot 0 ... n_slots-1; subtask i of every vertex lives in slot i */
            uint32_t n_splits;
            struct wire_split *splits; /* of this worker's source subtasks, in order of index */
        } deploy;
        struct {
            uint32_t n_peers;
            struct wire_peer *peers; /* every worker of the attempt, this one too */
        } start;
        struct {
            uint64_t stalled_ms;
        } alive;
    };
    void *arena; /* decoded messages: what wire_msg_close frees; NULL for one built by hand */
};

/* Appends the message's bytes to `out`. Returns out->err (WEIR_E_LIMIT when the buffer's limit is reached). */
weir_err wire_msg_encode(const struct wire_msg *msg, struct buffer *out);

/*
 * Decodes exactly `len` bytes. Everything is bounded by them: no count allocates more than the bytes can hold. Missing fields are zero
 * or "". Strings are checked to hold no NUL. Errors: WEIR_E_CORRUPT, WEIR_E_NOMEM, WEIR_E_UNSUPPORTED (unknown type).
 */
weir_err wire_msg_decode(struct wire_msg *out, const void *data, size_t len, struct weir_diag *diag);
void wire_msg_close(struct wire_msg *msg);

/* "DEPLOY", for log and trace lines; "?" for an unknown number. */
const char *wire_type_name(enum wire_type type);

#endif
