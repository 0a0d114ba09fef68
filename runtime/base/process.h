/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a daemon asks of the kernel about itself: signals as a descriptor, its parent's end, its folder; and memory files, whose bytes can
 * be handed to another process and vanish with the last descriptor, whatever happens to anybody.
 */
#ifndef WEIR_RUNTIME_BASE_PROCESS_H
#define WEIR_RUNTIME_BASE_PROCESS_H

#include "weir/base.h"

/*
 * Blocks SIGTERM, SIGINT and SIGHUP and ignores SIGPIPE; gives a descriptor (close-on-exec, non-blocking) that is readable when one of the
 * three came. Before other threads start, which inherit the mask. -1 and errno on failure.
 */
int process_signals_open(void);
/* The next signal's number; 0: none waits. */
int process_signals_next(int fd);

/*
 * Asks the kernel for SIGTERM when the parent ends. false: the parent is not (or no longer) `parent`, so the signal may never come: the
 * caller ends. The kernel means the parent's thread that started us.
 */
bool process_exit_with_parent(int64_t parent);

/* "FOLDER/name" where FOLDER is the one of the running program. Errors: WEIR_E_IO, WEIR_E_LIMIT. */
weir_err process_beside(const char *name, char *out, size_t size, struct weir_diag *diag);

/* An empty memory file, close-on-exec. name: for /proc only. Gives a descriptor, or -1 and errno. */
int memfd_new(const char *name);
/* Appends at `offset`, all or nothing in effect: a failure leaves the file to be closed. */
weir_err memfd_write(int fd, uint64_t offset, const void *data, size_t len, struct weir_diag *diag);
/* No byte of it changes any more, by anyone. */
weir_err memfd_seal(int fd, struct weir_diag *diag);
/* Its size does not change any more; its bytes may. */
weir_err memfd_seal_size(int fd, uint64_t size, struct weir_diag *diag);

#endif
