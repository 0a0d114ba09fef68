/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JobManager's core: takes jobs, knows the TaskManagers, places jobs on slots, leads each job through its life. It composes cluster.h
 * (links, registration, slots), schedule.h (placement), catalog.h (what must not be forgotten) and job.h (the life of a job, with its state
 * diagram).
 *
 *     LISTED (jobs of before go on)
 *     SUBMIT ──▶ DESCRIBE ─ ─ ▶ DESCRIBED ──▶ slots ──▶ DEPLOY … COMMIT over SEND/PACKET ──▶ JOB_ENDED
 *                  with puts of CATALOG before every step that must not be taken twice, and STORAGE for checkpoints
 *
 * The parts: master.c (the step), master_jobs.c, master_catalog.c, master_members.c.
 *
 * A core: no socket, file, clock, thread or randomness. The driver waits until `deadline_ms` or an event, fills struct master_event, calls
 * master_step, and performs the actions in order. Two moments in each event: now_ms (monotonic: every timeout) and wall_ms (what people
 * read). Packets may be lost, doubled, delayed and reordered; each TaskManager has a link (runtime/wire/link.h) inside the core that makes
 * up for it. Messages of an older epoch or attempt, or of an unknown job, are dropped and counted.
 *
 * A driver that comes with its step much later than it was asked to was stopped. That time counts for no timeout, since the silence was its
 * own; and as somebody else may lead by now, packets are dropped (they come again) and none is sent until the catalog's store has answered.
 * So it begins, too: nobody knows how long ago what LISTED tells was read.
 *
 * A TaskManager reports the workers it has when it registers. Those of attempts that a leader before us has deployed are adopted (job.h);
 * all others are canceled, and hold their slots until they have ended.
 *
 * Limits: WEIR_JOBS_ACTIVE_MAX (SUBMIT is answered WEIR_E_LIMIT), WEIR_JOBS_KEPT_MAX (the oldest ended job is forgotten),
 * WEIR_TASKMANAGERS_MAX (registration is refused), WEIR_ARGS_MAX, WEIR_ARG_BYTES_MAX, WEIR_PARALLELISM_MAX, WEIR_PLUGIN_MAX (SUBMIT is
 * answered WEIR_E_ARGUMENT).
 *
 * Memory: a failed allocation aborts (WEIR_ASSERT); this is control code.  Thread: one at a time.
 */
#ifndef WEIR_JOBMANAGER_MASTER_H
#define WEIR_JOBMANAGER_MASTER_H

#include "jobmanager/catalog.h"
#include "jobmanager/cluster.h"
#include "jobmanager/job.h"
#include "jobmanager/store.h"
#include "runtime/base/arena.h"
#include "runtime/base/heartbeat.h"

struct master;

struct master_config {
    struct weir_id incarnation; /* random, new for each process */
    uint64_t epoch;             /* of this leadership; 0: this master leads nothing, and tells TaskManagers and users so */
    const char *leader;         /* epoch 0: where TaskManagers find who leads; "" or NULL = unknown; copied */
    const char *version;        /* kept; WEIR_VERSION. A TaskManager of another version is refused; NULL = not checked */
    /* zero = the value of limits.h */
    uint32_t heartbeat_ms, heartbeat_timeout_ms, retransmit_ms;
    uint32_t slot_wait_ms, describe_timeout_ms, start_timeout_ms;
    uint32_t reconcile_ms;             /* zero: also at least twice heartbeat_timeout_ms, to miss one JobManager and find the next */
    const struct job_options *options; /* of jobs that say nothing else; copied. NULL = the defaults */
    const char *checkpoint_dir;        /* absolute; for jobs whose options name none; copied */
    /*
     * Called within master_step for each thing worth telling: "job 4f… RUNNING -> FAILING: …". `line` is borrowed. notable: an operator
     * wants to read it in the log (registrations, losses, changes of jobs); the others are for debugging. NULL = nobody listens.
     */
    void (*trace)(void *arg, bool notable, const char *line);
    void *trace_arg;
};

enum master_event_type {
    MASTER_EV_LISTED,    /* first of all: what the catalog holds; answer in actions.answer */
    MASTER_EV_TICK,      /* time passed; at the latest at deadline_ms of the last step */
    MASTER_EV_PACKET,    /* from the transport to TaskManagers */
    MASTER_EV_SUBMIT,    /* a user submits a job; answer in actions.answer */
    MASTER_EV_CANCEL,    /* a user cancels a job; answer in actions.answer */
    MASTER_EV_REQUEST,   /* a user asks for a checkpoint, a savepoint, a stop; answer in actions.answer */
    MASTER_EV_CATALOG,   /* the catalog's store answers an order */
    MASTER_EV_STORAGE,   /* the checkpoint storage answers OPEN, BEGIN, SEAL or END */
    MASTER_EV_DESCRIBED, /* the describing process of a job ended */
    MASTER_EV_ARTIFACT,  /* a plugin is to be named by the catalog, or no more */
    MASTER_EV_CHUNK,     /* the artifact store answers READ_CHUNK; any time later, those of one reader in their order */
    MASTER_EV_LIVE,      /* what the tree has as live configuration, all of it; refused settings have their `refusal` */
};

/* What is asked of the checkpoint storage. */
enum master_storage {
    MASTER_STORAGE_OPEN = 1, /* read the checkpoint or savepoint at path, for a job that begins with it */
    MASTER_STORAGE_KEEP,  /* count the checkpoint `id` at path, with the manifest that bytes and crc32c describe, as retained; no answer */
    MASTER_STORAGE_BEGIN, /* make the folder of the checkpoint at path */
    MASTER_STORAGE_SEAL,  /* complete it: look that all is there, write the manifest */
    MASTER_STORAGE_DISCARD, /* delete it, whatever there is of it, with the files that no retained one names; no answer */
    MASTER_STORAGE_END,     /* the job has ended: what is not retained goes */
};

/* A key that the catalog holds. */
struct master_listed {
    const char *key;
    uint64_t version;
    struct weir_bytes value;
    const char *damage; /* half a sentence: why the value is not there; NULL: it is */
};

struct master_event {
    enum master_event_type type;
    int64_t now_ms;  /* monotonic; never below that of the event before */
    int64_t wall_ms; /* since 1970; used for display only */
    union {
        struct {
            uint32_t n;
            const struct master_listed *at; /* every key, in order; borrowed */
        } listed;
        struct catalog_answer catalog; /* borrowed */
        struct {
            uint32_t n;
            const struct live_setting *at; /* borrowed */
        } live;
        struct {
            enum master_storage what;
            struct weir_id job;
            uint64_t id; /* of the checkpoint */
            weir_err err;
            const char *reason;              /* when err; borrowed */
            uint64_t bytes;                  /* OPEN, SEAL: of the manifest file */
            uint32_t crc32c;                 /* OPEN, SEAL */
            const struct manifest *manifest; /* OPEN; borrowed */
            const bool *has_state;           /* OPEN: by operator of the manifest, in its order; borrowed */
        } storage;
        struct {
            struct weir_id job;
            struct ckpt_request request; /* id, options, path, parallelism, successor */
        } request;
        struct {
            uint64_t route;         /* driver's handle of the peer it came from; SEND names it again */
            struct weir_bytes data; /* borrowed */
        } packet;
        struct job_submission submit; /* borrowed */
        struct {
            struct weir_id job;
        } cancel;
        struct {
            struct weir_id job;
            weir_err err;        /* WEIR_OK, or why there is no graph */
            const char *reason;  /* a sentence when err is not WEIR_OK; borrowed */
            struct graph *graph; /* decoded; otherwise. Taken in any case: moved out and left zeroed */
        } described;
        struct {
            bool remove; /* else KEEP: ARTIFACT answers */
            const struct store_artifact *about;
        } artifact;
        struct {
            uint64_t reader;           /* as in READ_CHUNK */
            struct weir_digest digest; /* as in READ_CHUNK */
            uint64_t offset;           /* as in READ_CHUNK */
            uint64_t total;            /* size of the artifact; 0 = there is none, or it cannot be read */
            struct weir_bytes data;    /* at most WEIR_CHUNK_BYTES; borrowed */
        } chunk;
    };
};

enum master_action_type {
    MASTER_DO_ACCEPTED,      /* a submission, a cancel or a request is in the catalog, or has no effect: it may be answered now */
    MASTER_DO_ARTIFACT,      /* the catalog names a plugin, which LISTED tells of each; or certainly not */
    MASTER_DO_SEND,          /* put the packet on the transport; may be dropped if the route is gone */
    MASTER_DO_DESCRIBE,      /* run weir-worker --describe for the job, then DESCRIBED. No time limit of its own: see STOP_DESCRIBE */
    MASTER_DO_STOP_DESCRIBE, /* kill the describing process; its DESCRIBED, if it still comes, is ignored */
    MASTER_DO_CATALOG,       /* give the order to the catalog's store, then CATALOG */
    MASTER_DO_STORAGE,       /* give the order to the checkpoint storage; those of one job in their order */
    MASTER_DO_READ_CHUNK,    /* read up to WEIR_CHUNK_BYTES of the artifact at offset, then CHUNK */
    MASTER_DO_FORGET_LIVE,   /* remove the job's settings from the live configuration: it has ended */
    MASTER_DO_LEAD_ANEW,     /* another master takes this one's place, with what the catalog holds: TaskManagers have given this one up */
    MASTER_DO_JOB_ENDED,     /* the job reached a terminal state: wake whoever waits for it, remove its files */
};

struct master_action {
    enum master_action_type type;
    union {
        struct {
            uint64_t route;
            struct weir_bytes data;
        } send;
        struct {
            struct weir_id job;
            enum job_key key;       /* JOB_KEY_SUBMISSION, JOB_KEY_CANCEL, JOB_KEY_REQUESTS */
            struct weir_id request; /* JOB_KEY_REQUESTS */
            weir_err err;
            const char *reason;
        } accepted;
        struct {
            struct store_artifact about; /* after KEEP only the digest */
            weir_err err;
            const char *reason;
        } artifact;
        struct {
            const struct job *job; /* id, digest, size, name, cwd, parallelism, args */
        } describe;
        struct {
            struct weir_id job;
        } stop_describe;
        struct catalog_order catalog;
        struct {
            enum master_storage what;
            struct weir_id job;
            const char *dir; /* of the job in the storage */
            uint64_t id;
            uint32_t options;       /* set of enum checkpoint_option */
            struct weir_id request; /* BEGIN, SEAL: who asked for it; DISCARD: only what this one has left unfinished; zero: nobody */
            const char *path;
            uint64_t bytes; /* KEEP */
            uint32_t crc32c;
            struct weir_bytes manifest; /* SEAL: encoded */
        } storage;
        struct {
            uint64_t reader; /* opaque: who asked */
            struct weir_digest digest;
            uint64_t offset;
        } read_chunk;
        struct {
            struct weir_id job;
        } forget_live;
        struct {
            const struct job *job;
        } job_ended;
    };
};

/*
 * What a step decided. Everything in it is borrowed from it or the master and lasts until the next step.
 */
struct master_actions {
    uint32_t n, cap;
    struct master_action *at;
    /*
     * Of SUBMIT: OK; LIMIT (too many active jobs); EXISTS (id is taken); ARGUMENT.
     * Of LISTED: OK; CORRUPT, UNSUPPORTED: the catalog holds what cannot be read, the JobManager must not start.
     * Of REQUEST: OK; NOT_FOUND; STATE, LIMIT, EXISTS.
     * Of CANCEL: OK (also when it is already being cancelled or failing); NOT_FOUND; STATE (ended, or its output is being committed: too
     * late). With a sentence unless OK. OK while the job has cancel_storing: ACCEPTED tells.
     */
    struct weir_diag answer;
    int64_t deadline_ms; /* call TICK then, at the latest */
    struct arena kept;   /* private: what the pointers point at, until the next step */
};

struct master_counts {
    uint64_t packets_dropped;  /* late, foreign or broken packets, or over the limit of sessions */
    uint64_t messages_stale;   /* of an older epoch or attempt */
    uint64_t messages_unknown; /* of no job we know, or of a TaskManager that has no part in it */
    uint64_t messages_late;    /* of a checkpoint that is over, or said twice */
    uint64_t messages_broken;  /* not decodable, or impossible in the state of their sender */
};

void master_new(struct master **out, const struct master_config *config, int64_t now_ms);
void master_destroy(struct master **master);

/* Where clients of the coordination connect, for the workers of later deployments; copied. */
void master_set_coordination(struct master *m, const char *endpoints);

/* The live configuration, as it counts. Gives how many settings. */
uint32_t master_live(const struct master *m, const struct live_setting **out);
/* Might this setting be added, or take the place of the one that is there? Errors: WEIR_E_ARGUMENT; of the job WEIR_E_NOT_FOUND,
 * WEIR_E_STATE. */
weir_err master_live_check(const struct master *m, const struct live_setting *setting, struct weir_diag *diag);

/* What master_set_coordination told last. */
const char *master_coordination(const struct master *m);

/* One step: `actions` is cleared, then filled. */
void master_step(struct master *m, const struct master_event *ev, struct master_actions *actions);

void master_actions_init(struct master_actions *a);
void master_actions_close(struct master_actions *a);

/* ---- views: pointers last until the next step ---- */

uint32_t master_n_jobs(const struct master *m);                               /* remembered, ended ones too */
const struct job *master_job_at(const struct master *m, uint32_t index);      /* in order of submission */
const struct job *master_job_find(const struct master *m, struct weir_id id); /* NULL: unknown */
uint32_t master_n_taskmanagers(const struct master *m);
const struct cluster_member *master_taskmanager_at(const struct master *m, uint32_t index); /* in order of id */
void master_slots(const struct master *m, uint32_t *total, uint32_t *free_slots);
uint64_t master_epoch(const struct master *m);
bool master_leads(const struct master *m);
struct heartbeat master_heartbeat(const struct master *m);
struct master_counts master_counts(const struct master *m);

#endif
