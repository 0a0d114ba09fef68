/* SPDX-License-Identifier: Apache-2.0 */
/* Between the parts of the master (master.h): master.c, master_jobs.c, master_catalog.c, master_members.c. */
#ifndef WEIR_JOBMANAGER_MASTER_INTERNAL_H
#define WEIR_JOBMANAGER_MASTER_INTERNAL_H

#include "jobmanager/catalog.h"
#include "jobmanager/catalog_records.h"
#include "jobmanager/master.h"

struct master {
    struct master_config config;
    struct job_options options;
    char *checkpoint_dir, *leader;
    char *coordination;              /* endpoints for clients */
    struct job_options live_options; /* with the cluster's live settings */
    bool live_known;
    uint32_t n_live;
    struct live_setting *live;
    struct cluster cluster;
    struct catalog *catalog;
    bool listed; /* what the catalog holds is known */
    uint64_t last_job;
    uint32_t n_jobs, cap_jobs, n_ended;
    struct job **jobs; /* in order of submission */
    struct master_counts counts;

    int64_t real_ms, due_ms; /* of the last step: when it was, when the next one was asked for; by the driver's clock */
    /* Whether we still lead: the catalog is to be asked, was asked; it was too late for TaskManagers, and another master comes. */
    enum { DOUBT_NONE, DOUBT_BEGINS, DOUBT_ASKED, DOUBT_GIVEN_UP } doubt;
    uint64_t n_doubts, doubt_number; /* of the order that asks */
    int64_t alive_ms;                /* the last step before the doubt began, by the driver's clock */
    int64_t stopped_ms;              /* what the driver's clock is ahead of ours (pass_time) */

    /* of the step that runs */
    int64_t now_ms, wall_ms; /* now_ms: by our clock */
    struct master_actions *out;
    struct job_actions job_out;
    struct buffer packet;
};

/* ---- master.c ---- */

struct master_action *master_act(struct master *m, enum master_action_type type);
/* A copy that lasts until the next step; a NUL stands behind it. */
struct weir_bytes master_keep(struct master *m, const void *data, size_t len);
void master_trace(struct master *m, bool notable, const char *fmt, ...) WEIR_PRINTF(3, 4);

#define SHORT_ID 9 /* eight hex digits and NUL: enough to tell jobs apart in a line */
const char *master_short_id(struct weir_id id, char out[static SHORT_ID]);

/* ---- master_jobs.c ---- */

struct job *master_find_job(const struct master *m, struct weir_id id);
/* Steps a job and performs what it decides. */
enum job_outcome master_step_job(struct master *m, struct job *job, struct job_event *ev);
void master_on_submit(struct master *m, const struct job_submission *sub);
/* A job that the catalog holds. Records are taken from. */
void master_adopt(struct master *m, struct records_job *found);
/* A rescaled job goes on in another one, unless that is there already. */
void master_succeed(struct master *m, const struct job *job);
void master_on_described(struct master *m, const struct master_event *ev);
void master_on_storage(struct master *m, const struct master_event *ev);
void master_on_request(struct master *m, const struct master_event *ev);
void master_on_cancel(struct master *m, struct weir_id id);
/* In order of submission. A job that does not fit does not hold up the ones behind it; its wait is bounded by slot_wait_ms. */
void master_place_jobs(struct master *m);
void master_tick_jobs(struct master *m);

/* ---- master_live.c ---- */

void master_on_live(struct master *m, const struct master_event *ev);
/* The job has ended, and the catalog holds that: nobody reads its settings any more. */
void master_forget_live(struct master *m, const struct job *job);
/* To a job that is new here, to a TaskManager that has just registered: what counts now. */
void master_configure_job(struct master *m, struct job *job);
void master_tell_settings(struct master *m, struct cluster_session *s);

/* ---- master_catalog.c ---- */

void master_put(struct master *m, const struct job *job, enum job_key key, struct weir_bytes value, uint64_t number);
void master_delete(struct master *m, struct weir_id job, enum job_key key);
void master_on_listed(struct master *m, const struct master_event *ev);
void master_on_artifact(struct master *m, const struct master_event *ev);
void master_on_catalog(struct master *m, const struct catalog_answer *answer);
/* Whether we lead is not known any more, since a moment by the driver's clock; the catalog is asked. */
void master_doubt(struct master *m, int64_t alive_ms);
/* Gives the store what is due, and the jobs what is settled. */
void master_work_catalog(struct master *m);

/* ---- master_members.c ---- */

void master_send(struct master *m, struct cluster_session *s, struct wire_msg *msg);
void master_send_to_member(struct master *m, const struct job *job, const struct job_action *action);
void master_forget_job(struct master *m, struct weir_id job);
void master_on_packet(struct master *m, uint64_t route, struct weir_bytes packet);
void master_on_chunk(struct master *m, const struct master_event *ev);
/* Lets time pass on the links; TaskManagers whose link has died are lost, other sessions just end. */
void master_tick_links(struct master *m);
void master_flush(struct master *m);
int64_t master_links_deadline_ms(const struct master *m);

#endif
