/* SPDX-License-Identifier: Apache-2.0 */
/* What a user hands in (job.h): whether it can be a job, the options that it has, the job that is made of it, and its memory. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/job_internal.h"
#include "runtime/base/assert.h"
#include "runtime/base/limits.h"
#include "runtime/base/must.h"
#include "runtime/checkpoint/layout.h"
#include "weir/stream.h"

/* Its own options over the cluster's. */
static weir_err read_options(const struct job_submission *sub, const struct job_options *cluster, struct job_options *out,
                             struct weir_diag *diag)
{
    *out = *cluster;
    for (uint32_t i = 0; i < sub->n_options; i++) {
        weir_err err = job_options_set(out, sub->options[i].key, sub->options[i].value, diag);
        if (err) return err;
    }
    return job_options_check(out, diag);
}

static weir_err check_from(const struct job_submission *sub, struct weir_diag *diag)
{
    if (!sub->from || !*sub->from) return WEIR_OK;
    if (sub->from[0] != '/' || strlen(sub->from) >= CKPT_TEXT_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "the savepoint's path must be absolute, of at most %u bytes", CKPT_TEXT_MAX - 1);
    return WEIR_OK;
}

weir_err job_submission_check(const struct job_submission *sub, const struct job_options *options, struct weir_diag *diag)
{
    struct job_options own;
    if (id_is_zero(sub->id)) return weir_fail(diag, WEIR_E_ARGUMENT, "a job needs an id");
    if (sub->parallelism > WEIR_PARALLELISM_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "parallelism %" PRIu32 " is outside 1 ... %d", sub->parallelism, WEIR_PARALLELISM_MAX);
    if (!sub->size || sub->size > WEIR_PLUGIN_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "a plugin has 1 to %u bytes, this one has %" PRIu64, WEIR_PLUGIN_MAX, sub->size);
    if (sub->progress_timeout_ms > INT32_MAX) return weir_fail(diag, WEIR_E_ARGUMENT, "the progress timeout is above %d ms", INT32_MAX);
    size_t bytes = 0;
    for (uint32_t i = 0; i < sub->n_args && i <= WEIR_ARGS_MAX; i++) bytes += strlen(sub->args[i]);
    if (sub->n_args > WEIR_ARGS_MAX || bytes > WEIR_ARG_BYTES_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "a job takes at most %d arguments of %d bytes together", WEIR_ARGS_MAX, WEIR_ARG_BYTES_MAX);
    if (sub->n_options > JOB_OPTIONS_MAX) return weir_fail(diag, WEIR_E_ARGUMENT, "a job takes at most %u options", JOB_OPTIONS_MAX);
    weir_err err = read_options(sub, options, &own, diag);
    return err ? err : check_from(sub, diag);
}

static void copy_submission(struct job *job, const struct job_submission *sub)
{
    job->id = sub->id;
    job->digest = sub->digest;
    job->size = sub->size;
    job->name = must_copy(sub->name);
    job->cwd = must_copy(sub->cwd);
    job->parallelism = sub->parallelism ? sub->parallelism : 1;
    job->progress_timeout_ms = sub->progress_timeout_ms ? sub->progress_timeout_ms : WEIR_PROGRESS_TIMEOUT_MS;
    job->n_args = sub->n_args;
    job->args = must_zero(sub->n_args, sizeof *job->args);
    for (uint32_t i = 0; i < sub->n_args; i++) job->args[i] = must_copy(sub->args[i]);
    job->n_options = sub->n_options;
    job->own_options = must_zero(sub->n_options, sizeof *job->own_options);
    for (uint32_t i = 0; i < sub->n_options; i++)
        job->own_options[i] = (struct job_option){must_copy(sub->options[i].key), must_copy(sub->options[i].value)};
    job->from = must_copy(sub->from);
    job->from_claim = sub->from_claim;
    job->from_unmatched = sub->from_unmatched;
    job->predecessor = sub->predecessor;
}

struct job_submission job_submission_of(const struct job *job)
{
    return (struct job_submission){.id = job->id,
                                   .digest = job->digest,
                                   .size = job->size,
                                   .name = job->name,
                                   .cwd = job->cwd,
                                   .parallelism = job->parallelism,
                                   .progress_timeout_ms = job->progress_timeout_ms,
                                   .n_args = job->n_args,
                                   .args = (const char *const *)job->args,
                                   .n_options = job->n_options,
                                   .options = job->own_options,
                                   .from = job->from,
                                   .from_claim = job->from_claim,
                                   .from_unmatched = job->from_unmatched,
                                   .predecessor = job->predecessor};
}

static struct ckpt_config ckpt_config_of(const struct job_options *options)
{
    return (struct ckpt_config){.interval_ms = options->interval_ms,
                                .min_pause_ms = options->min_pause_ms,
                                .timeout_ms = options->timeout_ms,
                                .tolerable_failures = options->tolerable_failures,
                                .n_retained = options->n_retained};
}

/* The coordinator, when the job has checkpoints, be it only the savepoint that it begins with. */
static void make_coordinator(struct job *job, const char *default_dir)
{
    char dir[PATH_MAX];
    if (!job_options_checkpoints(&job->options) && !*job->from) return;
    weir_err err = layout_job(job->options.dir[0] ? job->options.dir : default_dir, job->id, dir, NULL);
    WEIR_ASSERT(!err); /* JOB_PATH_MAX */
    struct ckpt_config config = ckpt_config_of(&job->options);
    config.dir = dir;
    ckpt_new(&job->ckpt, &config);
}

void job_new(struct job **out, const struct job_config *config, const struct job_submission *sub, int64_t now_ms, int64_t wall_ms)
{
    struct job *job = must_zero(1, sizeof *job);
    copy_submission(job, sub);
    job->epoch = config->epoch;
    job->number = config->number;
    job->slot_wait_ms = config->slot_wait_ms;
    job->describe_timeout_ms = config->describe_timeout_ms;
    job->start_timeout_ms = config->start_timeout_ms;
    job->reconcile_ms = config->reconcile_ms;
    job->coordination = config->coordination;
    job->submitted_wall_ms = wall_ms;
    job->failure = job_failure_none();
    /* What the catalog holds was checked when it was submitted; a limit that was changed since is passed over. */
    if (read_options(sub, config->options, &job->options, NULL)) job->options = *config->options;
    struct restart_config strategy = job_options_restart(&job->options);
    job->strategy = strategy.kind;
    restart_init(&job->restart, &strategy, id_word(job->id) + (uint64_t)now_ms);
    make_coordinator(job, config->checkpoint_dir);
    job->state = JOB_INITIALIZING;
    job->deadline_ms = INT64_MAX;
    job->history[job->n_history++] = (struct job_change){.state = JOB_INITIALIZING, .wall_ms = wall_ms};
    job->n_changes++;
    *out = job;
}

weir_err job_options_with(const struct job *job, const struct job_options *cluster, const struct live_setting *live, uint32_t n,
                          struct job_options *out, struct weir_diag *diag)
{
    struct job_submission sub = job_submission_of(job);
    struct job_options options;
    char id[WEIR_ID_TEXT];
    weir_err err = read_options(&sub, cluster, &options, diag);
    if (!err) live_apply(live, n, id_text(job->id, id), &options);
    if (!err) err = job_options_check(&options, diag);
    if (!options.strategy) options.strategy = job->strategy;
    if (!err) *out = options;
    return err;
}

weir_err job_configure(struct job *job, const struct job_options *cluster, const struct live_setting *live, uint32_t n, int64_t now_ms,
                       struct weir_diag *diag)
{
    weir_err err = job_options_with(job, cluster, live, n, &job->options, diag);
    if (err) return err;
    struct restart_config strategy = job_options_restart(&job->options);
    restart_configure(&job->restart, &strategy);
    if (!job->ckpt) return WEIR_OK;
    struct ckpt_config config = ckpt_config_of(&job->options);
    ckpt_configure(job->ckpt, &config, now_ms);
    return WEIR_OK;
}

static void close_submission(struct job *job)
{
    for (uint32_t i = 0; i < job->n_args; i++) free(job->args[i]);
    for (uint32_t i = 0; i < job->n_options; i++) {
        free((char *)(uintptr_t)job->own_options[i].key);
        free((char *)(uintptr_t)job->own_options[i].value);
    }
    free(job->own_options);
    free(job->args);
    free(job->name);
    free(job->cwd);
    free(job->from);
}

void job_destroy(struct job **pjob)
{
    struct job *job = *pjob;
    if (!job) return;
    job_forget_workers(job);
    ckpt_destroy(&job->ckpt);
    restart_close(&job->restart);
    plan_destroy(&job->plan);
    if (job->described) graph_close(&job->graph);
    close_submission(job);
    job_failure_close(&job->failure);
    for (uint32_t i = 0; i < job->n_awaited; i++) free(job->awaited[i]);
    free(job->awaited);
    for (uint32_t i = 0; i < job->n_failures; i++) job_failure_close(&job->failures[i]);
    free(job);
    *pjob = NULL;
}
