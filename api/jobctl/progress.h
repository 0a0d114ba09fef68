/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line that tells how an attached job goes: one line on a terminal, written over and over, never elsewhere. NO_COLOR and TERM=dumb are
 * respected. Embedded value; owner: one thread.
 */
#ifndef WEIR_JOBCTL_PROGRESS_H
#define WEIR_JOBCTL_PROGRESS_H

#include "api/jobctl/view.h"

struct progress {
    FILE *out;
    bool on, color;
    bool shown;         /* the line is on the screen */
    uint64_t read;      /* of the last change of the count ... */
    int64_t read_at_ms; /* ... and when that was; 0 = none yet */
    double per_second;
};

/* wanted: not switched off by the user. The line appears only when `out` is a terminal. */
void progress_init(struct progress *p, FILE *out, bool wanted);

/* now_ms: monotonic; wall_ms: to tell how far event time is behind. */
void progress_show(struct progress *p, const json_t *job, const struct view_totals *totals, int64_t now_ms, int64_t wall_ms);

/* Removes the line, so that something else can be printed. */
void progress_clear(struct progress *p);

/* Writes the line's text, without colour: the part of progress_show a test can read. Keeps the rate. */
void progress_text(struct progress *p, const json_t *job, const struct view_totals *totals, int64_t now_ms, int64_t wall_ms, char *out,
                   size_t size);

#endif
