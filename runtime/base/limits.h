/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every limit of the runtime that is not part of the public API, with what happens when it is reached.
 */
#ifndef WEIR_RUNTIME_BASE_LIMITS_H
#define WEIR_RUNTIME_BASE_LIMITS_H

/* ---- data plane ---- */
#define WEIR_FRAME_BYTES 32768u              /* a frame with its header, unless configured smaller; one larger record gets its own */
#define WEIR_FRAME_MAX ((16u << 20) + 4096u) /* largest frame on the wire; a larger one fails its channel */
#define WEIR_CREDITS_LOCAL 16u /* frames in flight on a local channel: half a MiB, so they stay in cache; at the limit the sender waits */
#define WEIR_CREDITS_REMOTE_MIN 8u    /* on a remote channel at least so many ... */
#define WEIR_CREDITS_REMOTE_MAX 64u   /* ... and at most so many, as a receiving subtask's share of ... */
#define WEIR_CREDITS_RECEIVER 256u    /* ... so many over all its remote channels (8 MiB): what hides the round trip of a credit */
#define WEIR_OVERFLOW_MAX (64u << 20) /* bytes one subtask may emit beyond its credits in one step; then the job fails */
#define WEIR_CHANNELS_MAX (1u << 20)  /* channels of a job; the plan is refused above */

/* ---- control plane ---- */
#define WEIR_CONTROL_MAX (4u << 20)    /* bytes of a control message; larger ones are dropped and counted (received) or refused (sent) */
#define WEIR_ADMIN_MAX (1u << 20)      /* bytes of one admin request; larger ones are answered 413 */
#define WEIR_CHUNK_BYTES (256u << 10)  /* bytes of an artifact moved in one message */
#define WEIR_PLUGIN_MAX (256u << 20)   /* bytes of a plugin; larger uploads are refused */
#define WEIR_DESCRIBE_MAX (64u << 20)  /* bytes a describing worker may print; then it is ended and the job refused */
#define WEIR_DESCRIBE_TIMEOUT_MS 30000 /* time a plugin has to describe its graph; then the job is refused */
#define WEIR_TASKMANAGERS_MAX 1024     /* registered TaskManagers; further ones are refused with a reason */
#define WEIR_SLOTS_MAX 256             /* slots of a TaskManager */
#define WEIR_JOBS_KEPT_MAX 1000        /* ended jobs remembered; the oldest is forgotten */
#define WEIR_JOBS_ACTIVE_MAX 256       /* jobs not yet ended; a further submission is answered 429 */
#define WEIR_ARGS_MAX 256              /* arguments of a job; a submission with more is refused */
#define WEIR_ARG_BYTES_MAX 65536       /* bytes of all arguments together */
#define WEIR_LINK_WINDOW 4096          /* unacknowledged messages of a link; above, the link is given up */
#define WEIR_LINK_BYTES (64u << 20)    /* bytes of unacknowledged messages of a link; above, the link is given up */
#define WEIR_LINK_BURST 64             /* messages of a link sent again at once; the rest follows their acknowledgement */
#define WEIR_MSGPACK_DEPTH 16          /* nesting of a message; deeper ones are refused */

/* ---- waits, milliseconds ---- */
#define WEIR_HEARTBEAT_MS 250          /* pause between heartbeats on a link, unless configured (heartbeat.interval) */
#define WEIR_HEARTBEAT_TIMEOUT_MS 3000 /* silence after which both ends of a link give it up (heartbeat.timeout) */
#define WEIR_RETRANSMIT_MS 300         /* an unacknowledged control message is sent again */
#define WEIR_PROGRESS_TIMEOUT_MS 10000 /* a task step that does not return for so long fails its job (--progress-timeout) */
#define WEIR_WORKER_SILENCE_MS 3000    /* a worker that was ready and whose net thread is silent for so long is killed */
#define WEIR_CANCEL_TIMEOUT_MS 3000    /* a worker that has not ended so long after cancel is killed */
#define WEIR_SLOT_WAIT_MS 30000        /* a job waits so long for slots, then fails (Flink: slot.request.timeout) */
#define WEIR_READY_TIMEOUT_MS \
    30000 /* a worker makes no step (a chunk of its plugin, READY) for so long after DEPLOY: it is killed, its job fails */
#define WEIR_START_TIMEOUT_MS 30000 /* the workers of an attempt have not all connected so long after START: the job fails */
#define WEIR_LEADER_WAIT_MS 300000  /* workers go on for so long without a JobManager (taskmanager.leader-wait); then they are ended */
#define WEIR_RECONCILE_MS 6000      /* a new leader waits at least so long for the workers of a job that runs; then it restarts the job */
#define WEIR_LOCAL_COPIES_MS 600000 /* local copies of a job whose next attempt does not come here for so long are dropped */
#define WEIR_PROBE_MS 500           /* a channel with unacknowledged frames and no new ones is probed for a lost tail */

#endif
