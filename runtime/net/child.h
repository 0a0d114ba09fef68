/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child process with a message pipe: how TaskManager and JobManager start a weir-worker (taskmanager/worker/handover.h), watch it and end
 * it.
 *
 *     child_start ──▶ running ──(pidfd readable)──▶ child_collect ──▶ collected
 *
 * The child is exec'ed at once (a bare fork of a process with ZeroMQ inside is not safe), in a process group of its own: a Ctrl-C on our
 * terminal is ours alone, and whatever the child leaves in its group ends with it. Everything but the given descriptors is closed in it;
 * its signals are as a fresh program expects them. Owner: one thread, the main one: the kernel ties a child's "parent ended" signal to the
 * thread that started it.
 */
#ifndef WEIR_RUNTIME_NET_CHILD_H
#define WEIR_RUNTIME_NET_CHILD_H

#include <sys/types.h>

#include "runtime/net/pipe.h"

#define CHILD_FDS_MAX 4u       /* descriptors handed over beside the pipe */
#define CHILD_END_WORDS_MAX 64 /* bytes of child_end_words */

/* How a process ended. */
struct child_end {
    bool by_signal;
    int number; /* exit status or signal */
};

struct child {
    pid_t pid; /* 0 = none, or collected */
    int pidfd; /* readable when the process has ended; -1 = closed */
    struct pipe_end pipe;
    struct child_end end; /* once collected */
};

struct child_config {
    const char *path;     /* of the program */
    char *const *argv;    /* NULL-terminated */
    uint32_t n_fds;       /* at most CHILD_FDS_MAX */
    const int *fds;       /* become 4, 5, ... in the child; borrowed, stay open here. The pipe becomes 3 */
    uint32_t message_max; /* of the pipe */
};

/* Errors: WEIR_E_NOT_FOUND (no such program), WEIR_E_IO, WEIR_E_NOMEM. On failure *c is as after child_close. */
weir_err child_start(struct child *c, const struct child_config *config, struct weir_diag *diag);
/* SIGKILL to the child and its group. Harmless when it has ended. */
void child_kill(struct child *c);
/* Takes note of the end, after ending what is left of the group. false: it still runs. What it wrote can still be read from the pipe. */
bool child_collect(struct child *c);
/* Closes pipe and pidfd; kills and waits for the child if it still runs. Zero-initialised or closed: nothing. */
void child_close(struct child *c);

/* "exit status 3", "SIGSEGV". */
const char *child_end_words(struct child_end end, char out[static CHILD_END_WORDS_MAX]);

#endif
