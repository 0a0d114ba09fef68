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

#include "runtime/base/arena.h"
#include "runtime/base/buffer.h"
#include "runtime/base/id.h"
#include "weir/row.h"

enum wire_type {
    /* TaskManager -> JobManager */
    WIRE_REGISTER = 1,           /* first on a link */
    WIRE_FETCH = 2,              /* wants the chunk of an artifact at offset */
    WIRE_WORKER_READY = 3,       /* worker has loaded the plugin, checked the fingerprint, bound its data endpoint */
    WIRE_WORKER_RUNNING = 4,     /* worker has connected to its peers and steps its subtasks */
    WIRE_WORKER_STATS = 5,       /* counters, once a second and before PREPARED and ENDED */
    WIRE_WORKER_PREPARED = 6,    /* all subtasks of the worker have finished; sinks are durable, not visible */
    WIRE_WORKER_ENDED = 7,       /* worker is gone: committed, failed or canceled; the last message of an attempt */
    WIRE_CHECKPOINT_ACK = 8,     /* the worker's part of the checkpoint lies in the storage, fsynced */
    WIRE_CHECKPOINT_DECLINE = 9, /* it will not: the checkpoint fails, the job goes on */
    /* JobManager -> TaskManager */
    WIRE_REGISTERED = 16,
    WIRE_REFUSED = 17, /* registration refused; the TaskManager exits with the reason */
    WIRE_CHUNK = 18,
    WIRE_DEPLOY = 19,              /* start a worker for (job, attempt) */
    WIRE_START = 20,               /* all workers of the attempt are ready: connect and run */
    WIRE_COMMIT = 21,              /* all workers have prepared: make output visible, then end */
    WIRE_CANCEL = 22,              /* end the attempt's worker */
    WIRE_TRIGGER = 23,             /* take a checkpoint; once more for one that is under way or older: nothing */
    WIRE_CHECKPOINT_COMPLETE = 24, /* it is durable, with its pointer: sinks commit all up to it; may come doubled, or not at all */
    WIRE_CHECKPOINT_ABORT = 25,    /* it will not be: nothing of it is waited for any more */
    WIRE_SETTINGS = 28,            /* what is configured live of daemons: all of it, after REGISTERED and after each change */
    WIRE_NOT_LEADER = 27,          /* answer to REGISTER: another JobManager leads */
    WIRE_FORGET_JOB = 26,          /* the job has ended: its local copies go (attempt 0) */
    /* worker -> TaskManager only */
    WIRE_WORKER_ALIVE = 32, /* the net thread lives; with the time since the slowest task last finished a step */
    /* TaskManager -> worker only */
    WIRE_LOG_LEVEL = 33, /* what is configured live of the worker's process (attempt 0) */
};

enum wire_outcome { WIRE_COMMITTED = 1, WIRE_FAILED = 2, WIRE_CANCELED = 3 };

/* Why something failed. Strings are "" and subtask is -1 where they do not apply. */
struct wire_failure {
    weir_err code;
    const char *operator_id;
    int32_t subtask;
    const char *reason; /* a sentence; names the signal, file, limit ... */
};

/* What a checkpoint is beyond a plain one: a set, in TRIGGER and in the flags of its barriers. */
enum checkpoint_option {
    CHECKPOINT_SAVEPOINT = 1, /* self-contained: all files, below a folder of its own */
    CHECKPOINT_STOP = 2,      /* sources rest behind the barrier, without an end of input */
    CHECKPOINT_DRAIN = 4,     /* with STOP: sources end first, so that windows fire and operators finish, and then rest */
    CHECKPOINT_FINAL = 8,     /* every subtask of the attempt has finished */
};
#define CHECKPOINT_OPTIONS 15u

enum checkpoint_mode { CHECKPOINT_EXACTLY_ONCE = 0, CHECKPOINT_AT_LEAST_ONCE = 1 };

/* What went over a channel from the attempt's beginning to the barrier (or its own end), as one end of it saw it. */
enum wire_ledger_side { WIRE_LEDGER_SENDER = 0, WIRE_LEDGER_RECEIVER = 1 };
struct wire_ledger {
    uint32_t channel; /* of the plan */
    uint32_t side;    /* enum wire_ledger_side */
    uint64_t records, bytes;
    uint64_t hash; /* chained over its frames */
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

/* How far the worker of a report has come. In order: each includes the ones before it. */
enum wire_worker_state {
    WIRE_WORKER_IS_STARTING = 0, /* its plugin is on its way, or being loaded */
    WIRE_WORKER_IS_READY = 1,
    WIRE_WORKER_IS_RUNNING = 2,
    WIRE_WORKER_IS_PREPARED = 3,
    WIRE_WORKER_HAS_COMMITTED = 4, /* it is gone, and its output is visible */
};

#define WIRE_SETTINGS_MAX 16u /* keys of SETTINGS */
#define WIRE_REPORTS_MAX 512u /* rows of a REGISTER: every slot may have a worker of its own, and as many have committed lately */

/* What a TaskManager that registers says of a worker it has, or of one that has committed: a new leader adopts the attempt by it. */
struct wire_worker {
    struct weir_id job;
    uint32_t attempt;
    uint64_t epoch; /* of the leader that deployed it: its messages carry it */
    uint32_t state; /* enum wire_worker_state */
    uint32_t worker, n_workers;
    uint32_t n_slots; /* of the job, which it runs; none when it has committed */
    uint32_t *slots;
    const char *endpoint; /* of its data socket, from READY */
    struct weir_id incarnation;
    uint64_t restored_id; /* of the checkpoint that DEPLOY named; 0 = none */
    uint64_t triggered;   /* the newest checkpoint it was told to take; 0 = none */
    uint32_t options;     /* of that one */
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
            uint32_t n_workers;
            struct wire_worker *workers; /* that it has had since before this link */
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
        struct {                       /* all zero unless DEPLOY named a checkpoint */
            uint64_t restore_us;       /* from START until every subtask was restored and opened */
            uint64_t restored_bytes;   /* of files of state ... */
            uint64_t from_local_bytes; /* ... and of them from this TaskManager's copies */
        } running;
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
            uint64_t id;
            uint32_t options; /* as triggered */
            const char *pack; /* name of the worker's pack in the checkpoint's folder */
            uint64_t pack_bytes;
            uint32_t pack_crc32c;
            uint64_t state_bytes, new_bytes;    /* of all that the pack names; of what no checkpoint had stored before */
            uint64_t sync_us_max, align_us_max; /* of the slowest subtask: the stop for the snapshot, the wait for barriers before */
            uint64_t async_us;                  /* writing and storing, until everything was fsynced */
            uint32_t n_ledger;
            struct wire_ledger *ledger; /* one entry for each end of a channel that lives in this worker */
        } ack;
        struct {
            uint64_t id;
            struct wire_failure failure;
        } decline;
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
            struct {
                const char *dir;               /* of the job in the checkpoint storage, absolute; "" = the job has no checkpoints */
                uint32_t alignment_timeout_ms; /* 0 = none */
                uint32_t mode;                 /* enum checkpoint_mode */
            } checkpoint;
            struct {
                uint64_t id;      /* 0 = begin without state */
                const char *path; /* of its manifest, absolute */
                uint64_t bytes;
                uint32_t crc32c;
                uint32_t allow_unmatched; /* 1: state of operators that the job no longer has is left behind */
            } restore;
            const char *coordination; /* endpoints for clients of the coordination, separated by commas; "" = none is known */
        } deploy;
        struct {
            uint32_t n_peers;
            struct wire_peer *peers; /* every worker of the attempt, this one too */
        } start;
        struct {
            uint64_t id;      /* above all earlier ones of the job */
            uint32_t options; /* set of enum checkpoint_option */
            const char *dir;  /* of a savepoint: where it goes, absolute; "" = below the job's folder */
        } trigger;
        struct {
            uint64_t id;
        } complete;
        struct {
            uint64_t id;
            const char *reason;
        } abort;
        struct {
            const char *endpoint; /* of who leads, for TaskManagers; "" = unknown */
        } not_leader;
        struct {
            uint32_t n;
            const char **items; /* "key=value" (runtime/base/live_keys.h); a key that is not there is as it was at the start */
        } settings;
        struct {
            uint64_t stalled_ms;
        } alive;
        struct {
            uint32_t lowest; /* enum log_level: written from now on */
        } log_level;
    };
    struct arena arena; /* decoded messages: what wire_msg_close frees; empty in one built by hand */
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
