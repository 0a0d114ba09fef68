/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a TaskManager (or JobManager, to describe) and a weir-worker process agree on: descriptors, arguments, the black box.
 *
 * A worker is started by exec with
 *
 *     weir-worker --run  --parent PID --data tcp://HOST:* | ipc://PATH --state DIR --local DIR --memory BYTES
 *                 --segment BYTES --silence MS --log-level LEVEL
 *                 [--key FILE --known-keys FILE]                                              fds 3, 4, 5 below
 *     weir-worker --describe --parent PID --parallelism P --name NAME --cwd DIR [--] ARG...     fds 3, 4
 *
 *     fd 3  message pipe (runtime/net/pipe.h). --run: struct wire_msg both ways; the TaskManager sends the DEPLOY message first.
 *           --describe: the worker sends one message and exits 0: byte 'G' and the msgpack graph, or byte 'E', one byte weir_err, sentence.
 *     fd 4  the plugin: a sealed memfd, so the bytes that were digested are the bytes that are loaded.
 *     fd 5  the black box: a memfd of sizeof(struct blackbox), shared; the TaskManager reads it after the worker's end.
 *
 * The worker asks the kernel for SIGTERM when its parent dies (PR_SET_PDEATHSIG, checked against --parent), and ends when fd 3 ends.
 * --state: base of its scratch folder (runtime/base/scratch.h), which it makes when state does not fit --memory bytes a slot (0 = default).
 * --local: where it keeps local copies of the job's checkpoints: made when needed, found by the job's next worker here, removed by the
 * TaskManager.
 * --segment: bytes of a frame, 1 ... WEIR_FRAME_BYTES.
 * --silence: ZeroMQ must not give up another worker before a JobManager would, which takes so long (heartbeat.timeout).
 * --key, --known-keys: for the job's clients of the coordination tree (taskmanager.worker-key). The job can read them as the worker can.
 * --log-level: lowest level written, "info" without; LOG_LEVEL on the pipe changes it.
 * Standard output and error are inherited. Exit status: 0 after its last message; anything else, or a signal, is a failure that the
 * TaskManager puts in words from the status and the black box.
 */
#ifndef WEIR_TASKMANAGER_WORKER_HANDOVER_H
#define WEIR_TASKMANAGER_WORKER_HANDOVER_H

#include <stdatomic.h>

#include "runtime/base/limits.h"
#include "weir/row.h"

enum { WORKER_FD_PIPE = 3, WORKER_FD_PLUGIN = 4, WORKER_FD_BLACKBOX = 5 };

#define BLACKBOX_MAGIC 0x424b4c42u
#define BLACKBOX_NAMES_MAX 1024 /* operators whose ids fit; = WEIR_OPERATORS_MAX */

/*
 * Written by the worker with plain stores as it goes, so that its last moment can be read whatever ended it. Everything in it is checked by
 * the reader: the plugin may have scribbled on it.
 */
struct blackbox {
    uint32_t magic;
    uint32_t n_operators;
    uint32_t n_threads;
    int32_t
        ended_by_thread; /* index of the task thread in whose context a fatal signal or exit() came; -1 = not a task thread, or unknown */
    int32_t ended_by_signal; /* signal seen by the handler; 0 = none */
    int32_t ended_by_exit;   /* 1: the process left through exit() while the attempt was running */
    int32_t loading;         /* 1 while the plugin is loaded and its entry function runs */
    struct {
        _Atomic int32_t op; /* index into operators of the user code the thread is in; -1 = in none */
        _Atomic int32_t subtask;
        _Atomic uint64_t steps; /* finished steps of this thread */
    } threads[WEIR_SLOTS_MAX];
    char operators[BLACKBOX_NAMES_MAX][WEIR_NAME_MAX + 1]; /* ids by graph index */
};

#endif
