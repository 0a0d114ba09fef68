/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the parts of a job (job.h): job.c, job_submission.c, job_failure.c, job_recovery.c, job_workers.c, job_reconcile.c,
 * job_checkpoints.c, job_view.c.
 */
#ifndef WEIR_JOBMANAGER_JOB_INTERNAL_H
#define WEIR_JOBMANAGER_JOB_INTERNAL_H

#include "jobmanager/job.h"

/* ---- actions ---- */

struct job_action *job_act(struct job_actions *a, enum job_action_type type);
void job_clear(struct job_actions *a);
/* Puts a text into the actions' bytes; gives its place. */
size_t job_text(struct job_actions *a, const char *text);
void job_tell(struct job_actions *out, const char *fmt, ...) WEIR_PRINTF(2, 3);

/* ---- job.c ---- */

void job_enter(struct job *job, enum job_state state, const struct job_event *ev);
/* The cancel that the catalog holds takes place. */
void job_begin_cancelling(struct job *job, const struct job_event *ev, struct job_actions *out);
/* The diagnostic of who asks a job that has ended for something. */
void job_refuse_ended(const struct job *job, struct weir_diag *diag);
/* In FAILING, CANCELLING, and RUNNING when all have committed: goes on when no worker is left and nothing is under way. */
void job_leave_if_empty(struct job *job, const struct job_event *ev, struct job_actions *out);
/* Puts a value that was appended to out->bytes behind `from`. waits: the state goes on when it is stored. */
void job_put(struct job *job, enum job_key key, size_t from, bool waits, struct job_actions *out);
void job_put_attempt(struct job *job, uint32_t attempt, bool committing, struct job_actions *out);
/* Stores how the job ends; it has ended when that is stored. */
void job_conclude(struct job *job, enum job_state outcome, const struct job_event *ev, struct job_actions *out);
/* INITIALIZING: asks for the graph. */
void job_describe(struct job *job, const struct job_event *ev, struct job_actions *out);
/* Takes the graph. False: it has failed the job. */
bool job_take_graph(struct job *job, struct graph *graph, const struct job_event *ev, struct job_actions *out);

/* ---- job_failure.c ---- */

/* A cause of failure on its way into job->failure. Everything is borrowed. */
struct cause {
    weir_err code;
    const char *operator_id, *reason, *taskmanager;
    int32_t subtask;
    bool symptom; /* seen from afar: a later cause that is none takes its place */
    bool fatal;   /* no restart heals it */
};

/* A failure of the job or of one of its workers, in any state. */
void job_fail(struct job *job, const struct cause *cause, const struct job_event *ev, struct job_actions *out);
void job_fail_text(struct job *job, weir_err code, const char *taskmanager, const struct job_event *ev, struct job_actions *out,
                   const char *fmt, ...) WEIR_PRINTF(6, 7);
struct job_failure job_failure_none(void);
void job_failure_close(struct job_failure *f);
/* It is overcome: the next attempt begins without. */
void job_remember_failure(struct job *job);
/* FAILING, and no worker is left. */
void job_restart_or_end(struct job *job, const struct job_event *ev, struct job_actions *out);

/* ---- job_recovery.c ---- */

/* First event of a job that was found in the catalog. */
void job_on_recover(struct job *job, const struct job_event *ev, struct job_actions *out);

/* ---- job_workers.c ---- */

/* Workers that are not gone and have come less far than `state`; JOB_WORKER_COMMITTED counts all that are not gone. */
uint32_t job_workers_before(const struct job *job, enum job_worker_state state);
/* How long workers that were told to start may take until they run: those that restore state longer than others. */
int64_t job_start_wait_ms(const struct job *job);
const struct job_worker *job_first_before(const struct job *job, enum job_worker_state state);
bool job_all_committed(const struct job *job);
/* The worker is gone from its TaskManager; when that one still lives its slots are free again. */
void job_worker_gone_as(struct job_worker *worker, enum job_worker_state state, struct job_actions *out);
/* A message that always fits, to every worker that is not gone. */
void job_send_all(const struct job *job, struct wire_msg *msg, struct job_actions *out);
/* DEPLOY for every worker. On failure some may be in `out`; the caller clears it. */
weir_err job_send_deploy(const struct job *job, struct job_actions *out);
enum job_outcome job_on_message(struct job *job, const struct job_event *ev, struct job_actions *out);
void job_on_lost(struct job *job, const struct job_event *ev, struct job_actions *out);
/* Tells the workers to commit and end, when no cancel is being stored. */
void job_commit(struct job *job, struct job_actions *out);
/* The index of a subtask in job->subtasks. */
uint32_t job_subtask_index(const struct job *job, uint32_t vertex, uint32_t subtask);
void job_forget_workers(struct job *job);
void job_reset_subtasks(struct job *job);
/* Takes the steps that are due when the slowest worker has come far enough. */
void job_advance(struct job *job, const struct job_event *ev, struct job_actions *out);

/* ---- job_reconcile.c ---- */

/* The job was found in the catalog with an attempt that may still run. */
void job_begin_reconciling(struct job *job, const struct job_event *ev);
enum job_outcome job_on_reported(struct job *job, const struct job_event *ev, struct job_actions *out);
/* RECONCILING: the attempt cannot be taken up, since of its workers ... */
void job_give_up_reconciling(struct job *job, const struct job_event *ev, struct job_actions *out, const char *fmt, ...) WEIR_PRINTF(4, 5);
void job_on_all_back(struct job *job, const struct job_event *ev, struct job_actions *out);
/* RECONCILING: takes up the attempt when every worker of it was reported and runs. */
void job_take_up_if_whole(struct job *job, const struct job_event *ev, struct job_actions *out);
/* RECONCILING: the TaskManager of a worker is lost, which may report it again. */
void job_miss_again(struct job *job, uint32_t worker);
/* Nobody waits for reports any more: who is missing is lost. */
void job_stop_reconciling(struct job *job, struct job_actions *out);

/* ---- job_checkpoints.c ---- */

/* Steps the coordinator, if there is one, and performs what it decides. The event's times are filled in. */
enum ckpt_outcome job_checkpoints_step(struct job *job, struct ckpt_event *cev, const struct job_event *ev, struct job_actions *out);
void job_checkpoints_attach(struct job *job, const struct job_event *ev, struct job_actions *out);
/* As attach, for an attempt that was taken up: what its workers were told last is settled. */
void job_checkpoints_take_over(struct job *job, const struct job_event *ev, struct job_actions *out);
/* reason: half a sentence; NULL: all workers have committed. */
void job_checkpoints_detach(struct job *job, const char *reason, const struct job_event *ev, struct job_actions *out);
bool job_checkpoints_settled(const struct job *job);
/* The folder of the job in the storage, or "". */
const char *job_checkpoint_dir(const struct job *job);
void job_on_opened(struct job *job, const struct job_event *ev, struct job_actions *out);
void job_on_checkpoint(struct job *job, const struct job_event *ev, struct job_actions *out);
void job_on_request(struct job *job, const struct job_event *ev, struct job_actions *out);
/* The list of requests is in the catalog, or not. */
void job_on_recorded(struct job *job, const struct job_event *ev, struct job_actions *out);
/* A worker could not restore. True: an older checkpoint may be tried. */
bool job_pass_over(struct job *job, const char *reason, struct job_actions *out);
/* What of the checkpoints stays when the job ends with this outcome; the rest is discarded. */
void job_checkpoints_end(struct job *job, enum job_state outcome, struct job_actions *out);
/* After a savepoint that was to rescale it stopped the job: who goes on. */
void job_find_successor(struct job *job);

#endif
