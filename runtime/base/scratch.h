/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scratch folders: what a process keeps on disk for its own life only. The name tells the owner, so that what a killed process left behind
 * is found and removed by whoever looks next. A base folder belongs to one host: process numbers mean nothing elsewhere.
 *
 *     BASE/scratch-PID-START    START: the process's start time in clock ticks since boot, which tells a later process of that number apart
 */
#ifndef WEIR_RUNTIME_BASE_SCRATCH_H
#define WEIR_RUNTIME_BASE_SCRATCH_H

#include <limits.h>

#include "weir/base.h"

/* The folder of this process; it is not made. Errors: WEIR_E_LIMIT (a path too long), WEIR_E_IO. */
weir_err scratch_path(const char *base, char path[static PATH_MAX], struct weir_diag *diag);

/* Removes the scratch folders of processes that have ended. What cannot be removed stays; no base folder is no error. */
void scratch_sweep(const char *base);

#endif
