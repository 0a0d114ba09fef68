/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A weir-worker process as its TaskManager sees it: started by exec with its plugin, a message pipe and a black box (worker/handover.h),
 * watched through descriptors, and, after its end, put in words. Nothing here waits. Owner: the main thread.
 */
#ifndef WEIR_TASKMANAGER_WORKER_PROCESS_H
#define WEIR_TASKMANAGER_WORKER_PROCESS_H

#include "runtime/base/id.h"
#include "runtime/base/log.h"
#include "runtime/net/child.h"
#include "runtime/net/socket.h"
#include "taskmanager/worker/handover.h"

struct worker_process;

struct worker_process_config {
    const char *worker_path;
    const char *data;      /* endpoint of its data socket; an ipc path is removed after its end */
    const char *state_dir; /* base of scratch folders; those of ended workers are removed after its end */
    const char *local_dir; /* where it keeps local copies of the job's checkpoints; stays when it ends */
    uint64_t slot_memory;  /* bytes; 0 = the default */
    uint32_t segment;      /* bytes of a frame */
    uint32_t silence_ms;   /* so long other workers may be silent before a JobManager ends the attempt */
    enum log_level log_level;
    const char *key, *known_keys; /* files, for the job's clients of the tree; NULL or "": none */
    int plugin_fd;                /* sealed; borrowed */
    struct weir_id job;
    uint32_t attempt;
    struct weir_bytes deploy; /* its first message */
};

/* Errors: as child_start; WEIR_E_LIMIT (deploy is larger than a control message), WEIR_E_NOMEM, WEIR_E_IO. */
weir_err worker_process_start(struct worker_process **out, const struct worker_process_config *config, struct weir_diag *diag);
/* Kills it if it still runs. */
void worker_process_destroy(struct worker_process **worker);

bool worker_process_is(const struct worker_process *w, struct weir_id job, uint32_t attempt);
struct weir_id worker_process_job(const struct worker_process *w);
uint32_t worker_process_attempt(const struct worker_process *w);
int worker_process_pid(const struct worker_process *w);

/* What to poll for. */
void worker_process_waits(const struct worker_process *w, struct net_wait out[static 2]);
/* Writes what waits and reads what there is: call when a descriptor is ready. Messages: worker_process_next until false. */
void worker_process_exchange(struct worker_process *w, int64_t now_ms);
bool worker_process_next(struct worker_process *w, struct weir_bytes *out);
/* A message to the worker. One that does not read is killed: its end says so. */
void worker_process_send(struct worker_process *w, struct weir_bytes message);
void worker_process_kill(struct worker_process *w);
/* true: it has ended and every message of it was taken by worker_process_next. */
bool worker_process_ended(struct worker_process *w, int64_t now_ms);

/* ---- how it ended ---- */

struct worker_end {
    weir_err code;                       /* WEIR_OK: status 0, nothing unusual */
    char operator_id[WEIR_NAME_MAX + 1]; /* "" where none is to blame */
    int32_t subtask;                     /* -1 where none */
    char reason[WEIR_NAME_MAX + 256];    /* a sentence; "" with WEIR_OK */
};

/* After worker_process_ended. */
void worker_process_end(const struct worker_process *w, struct worker_end *out);

/*
 * The pure part of it. box: a copy of what the worker left; nothing in it is believed before it is checked. suspect: the thread to name
 * when the kernel killed the worker and the box cannot say who was running; -1 = none.
 */
void worker_end_words(const struct blackbox *box, struct child_end end, int32_t suspect, struct worker_end *out);

#endif
