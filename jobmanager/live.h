/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live configuration: settings in the coordination tree that reach what runs. Which keys there are, and what they may be set to; pure.
 *
 *     /weir/config/KEY             of the cluster: log.level, taskmanager.leader-wait, and options of jobs that say nothing else themselves
 *     /weir/config/jobs/JOB/KEY    of one job (32 hex digits): its options, and its own, "job.ANYTHING", which only the job reads
 *
 * A later line hides those before it:
 *
 *     configuration at the start < the cluster's live settings < the job's options (jobctl run -D) < the job's live settings
 *
 * What may not be set changes nothing: the former value stays in force, and the refusal is kept beside it for people to see.
 */
#ifndef WEIR_JOBMANAGER_LIVE_H
#define WEIR_JOBMANAGER_LIVE_H

#include "jobmanager/job_options.h"
#include "runtime/base/id.h"

#define LIVE_ROOT "/weir/config"
#define LIVE_JOBS "jobs"
#define LIVE_OWN "job."         /* begins the keys that a job reads itself */
#define LIVE_SETTINGS_MAX 1024u /* in the tree; more are not read, and that is logged */
#define LIVE_VALUE_MAX 1024u    /* bytes of a value; a longer one is refused */
#define LIVE_PATH_MAX (sizeof LIVE_ROOT + sizeof LIVE_JOBS + WEIR_ID_TEXT + CONFIG_NAME_MAX + 4u)

struct live_setting {
    char job[WEIR_ID_TEXT]; /* "" = the cluster's */
    char key[CONFIG_NAME_MAX + 1];
    char value[LIVE_VALUE_MAX + 1];
    bool counts;                 /* this value is in force */
    char refusal[WEIR_DIAG_MAX]; /* why what the tree says is not, or "": then `value` is the former one, or does not count */
};

/* Where the setting lies. */
void live_path(const char *job, const char *key, char out[static LIVE_PATH_MAX]);
/* The setting at this path, without its value. false: there is none. */
bool live_parse_path(const char *path, struct live_setting *out);

/*
 * May this be set? By the rules of the program's start. Errors: WEIR_E_ARGUMENT: a key that cannot change while something runs, or that
 * nobody knows, with the nearest; a bad value.
 */
weir_err live_check(const struct live_setting *setting, struct weir_diag *diag);

/* Puts what counts of the settings for `job` ("" = the cluster's) over the options. */
void live_apply(const struct live_setting *at, uint32_t n, const char *job, struct job_options *options);

/* A setting that says nothing to a job without checkpoints. */
bool live_is_of_checkpoints(const char *key);

#endif
