/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpoint coordinator of one job. A core: no socket, file, clock, thread or randomness.
 *
 *          ATTEMPT         due, asked for              RESERVED                 BEGUN
 *     OFF ─────────▶ IDLE ───────────────▶ RESERVING ───────────▶ BEGINNING ───────────▶ PENDING ── every worker acknowledged,
 *      ▲              ▲                    its number is          its folder is          TRIGGER to   every ledger agrees
 *      │              │                    being made durable     being made             the workers        │
 *      │              │                                                                                     ▼
 *      │              └──────── POINTER: committed ───────── COMMITTING ◀────── SEALED ──────────────── SEALING
 *      │                        COMPLETE to the workers      the pointer is being put                   the manifest is being written
 *      └── DETACH: the attempt is over
 *
 * A checkpoint is complete when its pointer is in the catalog, and not before. It is given up (ABORT to the workers, its files go, a line
 * in the history) when it takes too long, a worker declines, the storage or the catalog refuses, or the attempt is over. Two things are
 * never given up by time alone: an order that is with the storage (its answer is waited for, then undone: `doomed`), and the put of the
 * pointer, of which nobody knows whether it was done until the catalog has said so (the catalog core reads back what it does not know).
 *
 * One checkpoint at a time. What is asked for (savepoints before checkpoints) comes before what is due by the interval and does not wait
 * for the minimum pause. A ledger that does not agree, and a stop that was begun and cannot be completed, fail the attempt; other failures
 * are tolerated `tolerable_failures` times in a row.
 *
 * A savepoint is a recovery point like any checkpoint: its completion makes sinks commit, so falling back behind it would double output
 * (docs/decision/0006-a-savepoint-is-a-recovery-point.md). Its files are never deleted here.
 *
 * What is asked for outlives its leader. It waits until the catalog holds that it was asked for (RECORD), which is when who asked is told;
 * its end is put there, too, and until it is there no other checkpoint is begun and the attempt does not end. A pointer names the request
 * that it fulfils: so who leads next knows of each that has no end in the catalog whether it was done, and of all others that they never
 * will be. One that is asked for again under its id is the same one.
 *
 * An attempt that another leader has begun is taken over: the newest complete checkpoint that its workers took part in is told again, and
 * what they were told to take since is given up, for nobody has collected their answers.
 *
 * After a STOP or FINAL checkpoint was completed none is begun any more in this attempt (`stopped`).
 *
 * Memory: a failed allocation aborts (WEIR_ASSERT); this is control code.  Thread: one at a time.
 */
#ifndef WEIR_JOBMANAGER_CHECKPOINT_H
#define WEIR_JOBMANAGER_CHECKPOINT_H

#include "jobmanager/checkpoint_history.h"
#include "jobmanager/checkpoint_ledger.h"
#include "runtime/base/id.h"

#define CKPT_RETAINED_MAX 100u /* largest state.checkpoints.num-retained */
#define CKPT_REQUESTS_MAX 16u  /* asked for and not answered, plus answers kept; a further one is refused with WEIR_E_LIMIT */

struct ckpt_config {
    int64_t interval_ms; /* 0 = only what is asked for */
    int64_t min_pause_ms, timeout_ms;
    uint32_t tolerable_failures, n_retained; /* n_retained: 1 ... CKPT_RETAINED_MAX */
    const char *dir;                         /* of the job in the checkpoint storage, absolute; copied */
};

enum ckpt_state {
    CKPT_OFF,       /* no attempt runs */
    CKPT_IDLE,      /* nothing under way */
    CKPT_RESERVING, /* the number of a checkpoint is being made durable, so that it is never used twice */
    CKPT_BEGINNING, /* the storage makes its folder */
    CKPT_PENDING,   /* workers were told; their answers are collected */
    CKPT_SEALING,   /* the storage looks that all is there and writes the manifest */
    CKPT_COMMITTING /* the catalog puts the pointer */
};

/* A complete checkpoint, as the catalog names it. */
struct ckpt_pointer {
    uint64_t id;
    uint32_t options; /* set of enum checkpoint_option */
    bool owned;       /* ours to delete; savepoints are their users', unless claimed */
    bool refused;     /* could not be restored: it is not tried again */
    char *path;       /* its folder, absolute */
    uint64_t bytes;   /* of the manifest */
    uint32_t crc32c;
    int64_t wall_ms; /* when it was completed */
    uint64_t state_bytes;
    struct weir_id request; /* that it fulfils; zero: none */
};

enum ckpt_request_state {
    CKPT_REQUEST_STORING = 1, /* the catalog does not hold it yet */
    CKPT_REQUEST_WAITING,
    CKPT_REQUEST_RUNNING,
    CKPT_REQUEST_DONE,
    CKPT_REQUEST_FAILED,
};

/* Something a user asked for. */
struct ckpt_request {
    struct weir_id id; /* drawn by who asks, or else by the driver; people poll with it */
    uint32_t options;
    enum ckpt_request_state state;
    bool awaited;                /* who asked waits for ACCEPTED */
    bool recorded;               /* its end is in the catalog: nobody is told before */
    bool complete;               /* FAILED: the savepoint is there, and the stop behind it is not */
    bool lost;                   /* a savepoint whose JobManager has gone: what there is of it is still to be discarded */
    uint32_t attempt;            /* in which it was begun */
    uint64_t checkpoint;         /* its number, once it has one */
    uint32_t parallelism;        /* of a rescale: the new one; 0 = no rescale */
    struct weir_id successor;    /* of a rescale: the job that goes on */
    char path[CKPT_TEXT_MAX];    /* of a savepoint: its folder; DONE: where it is */
    char failure[CKPT_TEXT_MAX]; /* FAILED: a sentence */
};

/* What a worker has answered: a part of the manifest. */
struct ckpt_part {
    bool acked;
    char *pack;
    uint64_t pack_bytes, state_bytes;
    uint32_t pack_crc32c;
};

/* Fields may be read by anyone; only checkpoint.c writes them. */
struct ckpt {
    struct ckpt_config config;
    char *dir;
    enum ckpt_state state;
    uint32_t attempt, n_workers;
    const struct plan *plan; /* of the attempt; kept by the job */
    bool detached;           /* the attempt has ended while something is under way */
    bool stopped;            /* a STOP or FINAL one was completed */
    bool all_finished;       /* every subtask of the attempt has: a FINAL one is due */

    uint64_t last_id; /* the highest number ever used */
    uint64_t id;      /* of the one under way; 0: none */
    uint32_t options; /* of it */
    bool doomed;      /* it was given up; the answer that is still to come will be undone */
    char *path;       /* its folder */
    int64_t began_ms, began_wall_ms;
    uint32_t n_acked;
    struct ckpt_part *parts; /* by worker */
    struct ckpt_ledger ledger;
    struct ckpt_pointer made; /* COMMITTING: what the pointer will be; its path is `path` */

    int64_t due_ms;      /* next one by the interval; INT64_MAX: none */
    int64_t ended_ms;    /* when the last one ended; INT64_MIN: none yet */
    uint32_t n_failures; /* in a row */
    uint32_t n_retained;
    struct ckpt_pointer retained[CKPT_RETAINED_MAX + 2]; /* oldest first */
    uint32_t n_requests;
    struct ckpt_request requests[CKPT_REQUESTS_MAX]; /* in order of arrival */
    bool news;                                       /* of requests, in this step: RECORD is due */
    bool unrecorded;                                 /* one has ended, and the catalog does not hold that yet */
    int64_t record_ms;                               /* when RECORD is tried again; INT64_MAX: not */
    struct ckpt_history history;
};

enum ckpt_event_type {
    CKPT_EV_ATTEMPT,  /* every worker of an attempt runs, begun by us or by the leader before */
    CKPT_EV_FINISHED, /* every subtask of the attempt has finished: take the last one */
    CKPT_EV_DETACH,   /* the attempt is over, for whatever reason */
    CKPT_EV_REQUEST,  /* a user asks; answer in actions.answer */
    CKPT_EV_RESERVED, /* answer to RESERVE */
    CKPT_EV_BEGUN,    /* answer to BEGIN */
    CKPT_EV_ACK,      /* of a worker of this attempt */
    CKPT_EV_DECLINE,
    CKPT_EV_SEALED,   /* answer to SEAL */
    CKPT_EV_POINTER,  /* answer to COMMIT */
    CKPT_EV_RECORDED, /* answer to the last RECORD */
    CKPT_EV_TICK,
};

struct ckpt_event {
    enum ckpt_event_type type;
    int64_t now_ms, wall_ms;
    union {
        struct {
            uint32_t attempt, n_workers;
            const struct plan *plan; /* kept until DETACH */
            /* of an attempt that is taken over from another leader: the newest one it was told to take (0: none), and what that was */
            uint64_t triggered;
            uint32_t options;
        } attempt;
        struct {
            const char *reason; /* half a sentence; borrowed. NULL: its workers have all committed */
        } detach;
        struct ckpt_request request; /* id, options, path, parallelism and successor */
        struct {                     /* of RESERVED, BEGUN, SEALED and POINTER: which; and RECORDED: WEIR_OK or why not */
            uint64_t id;
            weir_err err;
            const char *reason; /* borrowed */
            uint64_t bytes;     /* SEALED: the manifest's */
            uint32_t crc32c;
        } answer;
        struct {
            uint32_t worker;
            const struct wire_msg *msg; /* CHECKPOINT_ACK or CHECKPOINT_DECLINE; borrowed */
        } worker;
    };
};

enum ckpt_action_type {
    CKPT_DO_RESERVE,  /* make durable that the number `id` is used, then RESERVED */
    CKPT_DO_BEGIN,    /* make the folder of the checkpoint, then BEGUN */
    CKPT_DO_TRIGGER,  /* TRIGGER to every worker */
    CKPT_DO_ABORT,    /* CHECKPOINT_ABORT to every worker */
    CKPT_DO_SEAL,     /* write the manifest, then SEALED */
    CKPT_DO_COMMIT,   /* put the list of pointers with `made` in it (ckpt_next_pointers), then POINTER */
    CKPT_DO_COMPLETE, /* CHECKPOINT_COMPLETE to every worker */
    CKPT_DO_DISCARD,  /* the checkpoint `id` at `path` is not needed any more; with a `request`, only what that has left unfinished there */
    CKPT_DO_RECORD,   /* put the list of requests, then RECORDED */
    CKPT_DO_ACCEPTED, /* `request` is in the catalog; or (actions.refusal) it is not, and forgotten: who asked may be told */
    CKPT_DO_STOPPED,  /* a STOP or FINAL one was completed: the workers may commit and end */
    CKPT_DO_FAIL,     /* the attempt must fail: actions.failure */
};

struct ckpt_action {
    enum ckpt_action_type type;
    uint64_t id;
    uint32_t options;
    char *path;             /* DISCARD: freed with the actions; else NULL */
    struct weir_id request; /* BEGIN, SEAL: whose it is; zero: nobody asked for it */
};

/* Outcome of an event that somebody sent: late and doubled ones are no errors. */
enum ckpt_outcome {
    CKPT_TAKEN,
    CKPT_STALE,      /* of another checkpoint than the one whose answers are collected */
    CKPT_DUPLICATE,  /* this worker has answered already */
    CKPT_UNEXPECTED, /* impossible here */
};

#define CKPT_ACTIONS_MAX (CKPT_RETAINED_MAX + CKPT_REQUESTS_MAX + 9u)

struct ckpt_actions {
    uint32_t n;
    struct ckpt_action at[CKPT_ACTIONS_MAX];
    enum ckpt_outcome outcome;
    struct weir_diag answer;    /* of REQUEST: OK, LIMIT, STATE, EXISTS */
    struct weir_diag failure;   /* of FAIL */
    struct weir_diag refusal;   /* of ACCEPTED */
    char reason[CKPT_TEXT_MAX]; /* of ABORT */
};

/* Copies what config points at. Nothing is retained yet. */
void ckpt_new(struct ckpt **out, const struct ckpt_config *config);
void ckpt_destroy(struct ckpt **ckpt);

/* Other times and limits from now on; `dir` and what it points at are not looked at. One under way is held to the new timeout. */
void ckpt_configure(struct ckpt *c, const struct ckpt_config *config, int64_t now_ms);

/* One step; `out` is cleared first (it must have been zeroed once, and be closed at the end). */
void ckpt_step(struct ckpt *c, const struct ckpt_event *ev, struct ckpt_actions *out);
void ckpt_actions_close(struct ckpt_actions *out);

/* When to call TICK at the latest; INT64_MAX: not by time. */
int64_t ckpt_deadline_ms(const struct ckpt *c);

/* Nothing is under way whose outcome could still change what is restored, and the catalog holds what became of every request. */
bool ckpt_settled(const struct ckpt *c);

/* What to restore: the newest complete one that was not refused; NULL: none. */
const struct ckpt_pointer *ckpt_restore_point(const struct ckpt *c);
/* The restore point could not be restored: it is passed over from now on. */
void ckpt_refuse(struct ckpt *c, uint64_t id);
/* A pointer from the catalog, or the one a job begins with; oldest first. Copied. False: there are too many. */
bool ckpt_retain(struct ckpt *c, const struct ckpt_pointer *pointer);
/* The numbers up to this one have been used. */
void ckpt_used(struct ckpt *c, uint64_t id);

/*
 * A request from the catalog, behind all pointers. One without an end gets it now, and is recorded with the next step: done in `attempt`,
 * if a pointer names it; else failed, and what there is of a savepoint is discarded with it.
 */
void ckpt_recall(struct ckpt *c, const struct ckpt_request *request, uint32_t attempt);

/* COMMITTING: the list that the catalog is to hold, oldest first; borrowed until the next step. Gives how many. */
uint32_t ckpt_next_pointers(const struct ckpt *c, const struct ckpt_pointer *out[static CKPT_RETAINED_MAX + 2]);

/* Everything retained that is ours to delete leaves the list: DISCARD actions. For a job that ends and keeps nothing. */
void ckpt_discard_all(struct ckpt *c, struct ckpt_actions *out);

/* What was asked for under this id; NULL: nothing, or its answer was forgotten. */
const struct ckpt_request *ckpt_find_request(const struct ckpt *c, struct weir_id id);

#endif
