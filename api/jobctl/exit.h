/* SPDX-License-Identifier: Apache-2.0 */
/* How jobctl ends. Scripts rely on these numbers: append only, and keep docs/reference/exit-codes.md in step. */
#ifndef WEIR_JOBCTL_EXIT_H
#define WEIR_JOBCTL_EXIT_H

enum ctl_exit {
    CTL_EXIT_OK = 0,          /* done; an attached run: the job is FINISHED */
    CTL_EXIT_FAILED = 1,      /* the job ended otherwise, or this computer refused (unreadable file, no memory, output cannot be written) */
    CTL_EXIT_USAGE = 2,       /* wrong use */
    CTL_EXIT_UNREACHABLE = 3, /* no JobManager, or no answer within --timeout */
    CTL_EXIT_REFUSED = 4,     /* the JobManager answered with an error */
    CTL_EXIT_LOCAL = 5,       /* the local cluster could not start, or broke down */
    CTL_EXIT_INTERRUPTED = 130, /* Ctrl-C */
};

#endif
