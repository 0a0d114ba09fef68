/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JobManager's documents (docs/protocol/admin.md) as people read them. Pure functions: what is missing in a document or has another
 * type shows as "-" or 0, never as a fault. Errors of all: WEIR_E_NOMEM. Thread: any.
 */
#ifndef WEIR_JOBCTL_VIEW_H
#define WEIR_JOBCTL_VIEW_H

#include "weir/base.h"
#include <jansson.h>
#include <stdio.h>

weir_err view_overview(const json_t *doc, FILE *out);     /* GET /overview */
weir_err view_jobs(const json_t *doc, FILE *out);         /* GET /jobs/overview */
weir_err view_job(const json_t *doc, FILE *out);          /* GET /jobs/:id */
weir_err view_checkpoints(const json_t *doc, FILE *out);  /* GET /jobs/:id/checkpoints */
weir_err view_exceptions(const json_t *doc, FILE *out);   /* GET /jobs/:id/exceptions */
weir_err view_plan(const json_t *doc, FILE *out);         /* GET /jobs/:id/plan: its drawing, else a table */
weir_err view_dot(const json_t *doc, FILE *out);          /* the same as a Graphviz digraph */
weir_err view_plugins(const json_t *doc, FILE *out);      /* GET /plugins */
weir_err view_taskmanagers(const json_t *doc, FILE *out); /* GET /taskmanagers */
weir_err view_taskmanager(const json_t *doc, FILE *out);  /* GET /taskmanagers/:id */
weir_err view_nothing(const json_t *doc, FILE *out);      /* answers without content */

/* The failure of a job (its member "failure"): reason, operator, subtask, TaskManager. Nothing when it has none. */
void view_failure(const json_t *job, FILE *out);

/* What a job moved, from GET /jobs/:id. */
struct view_totals {
    uint64_t read;        /* records read by its sources */
    uint64_t exchanged;   /* records sent from vertex to vertex */
    int64_t watermark_ms; /* the lowest; WEIR_TIME_MIN: none yet */
    uint64_t slots;       /* largest parallelism of a vertex; 0 = not known yet */
};
/* plan: the answer of GET /jobs/:id/plan, which tells the sources; NULL: the first vertex counts as the only one. */
struct view_totals view_totals(const json_t *job, const json_t *plan);

/* Whether a state of a job is final. */
bool view_ended(const char *state);

#endif
