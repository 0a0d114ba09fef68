/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the admin endpoint shows, as JSON documents (docs/protocol/admin.md). Pure functions of the views of master and store. Each gives a
 * document, or NULL when there is no memory. Text of plugins and users that is not UTF-8 is shown with '?'.
 */
#ifndef WEIR_JOBMANAGER_ADMIN_JSON_H
#define WEIR_JOBMANAGER_ADMIN_JSON_H

#include <jansson.h>

#include "jobmanager/artifacts.h"
#include "jobmanager/master.h"
#include "jobmanager/plans.h"

json_t *admin_json_text(const char *text); /* a JSON string of any bytes */

json_t *admin_json_overview(const struct master *m);
json_t *admin_json_taskmanagers(const struct master *m, int64_t wall_ms);
json_t *admin_json_taskmanager(const struct cluster_member *member, int64_t wall_ms);
json_t *admin_json_counters(const struct master *m); /* packets and messages dropped */

json_t *admin_json_plugins(const struct artifacts *artifacts);

json_t *admin_json_jobs(const struct master *m);
json_t *admin_json_jobs_overview(const struct master *m, int64_t wall_ms);
json_t *admin_json_job(const struct job *job, int64_t wall_ms);
json_t *admin_json_plan(struct weir_id jid, const char *name, const struct plan *plan, const struct graph *graph);
json_t *admin_json_planned(const struct planned *planned); /* state of a request for a plan, and its outcome */
json_t *admin_json_exceptions(const struct job *job);
json_t *admin_json_checkpoints(const struct job *job); /* statistics */
json_t *admin_json_checkpoint_config(const struct job *job);
json_t *admin_json_request(const struct job *job, const struct ckpt_request *request);

#endif
