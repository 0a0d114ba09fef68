/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/live.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/live_keys.h"
#include "runtime/base/nearest.h"

/* Options that change in the midst of a job without touching what its workers were told when they began. */
static const char *const live_options[] = {
    "execution.checkpointing.interval",
    "execution.checkpointing.min-pause",
    "execution.checkpointing.timeout",
    "execution.checkpointing.tolerable-failed-checkpoints",
    "execution.checkpointing.externalized-checkpoint-retention",
    "state.checkpoints.num-retained",
    "execution.state-recovery.older-checkpoint",
    "execution.state-recovery.timeout",
    "restart-strategy.type",
    "restart-strategy.fixed-delay.attempts",
    "restart-strategy.fixed-delay.delay",
    "restart-strategy.failure-rate.max-failures-per-interval",
    "restart-strategy.failure-rate.failure-rate-interval",
    "restart-strategy.failure-rate.delay",
    "restart-strategy.exponential-delay.initial-backoff",
    "restart-strategy.exponential-delay.max-backoff",
    "restart-strategy.exponential-delay.backoff-multiplier",
    "restart-strategy.exponential-delay.reset-backoff-threshold",
    "restart-strategy.exponential-delay.jitter-factor",
    "restart-strategy.exponential-delay.attempts-before-reset-backoff",
};
enum { N_OPTIONS = sizeof live_options / sizeof *live_options };

/* ---- paths ---- */

void live_path(const char *job, const char *key, char out[static LIVE_PATH_MAX])
{
    if (*job)
        (void)snprintf(out, LIVE_PATH_MAX, LIVE_ROOT "/" LIVE_JOBS "/%s/%s", job, key);
    else
        (void)snprintf(out, LIVE_PATH_MAX, LIVE_ROOT "/%s", key);
}

bool live_parse_path(const char *path, struct live_setting *out)
{
    static const char root[] = LIVE_ROOT "/", jobs[] = LIVE_ROOT "/" LIVE_JOBS "/";
    struct weir_id id;
    *out = (struct live_setting){0};
    if (strncmp(path, root, sizeof root - 1) != 0) return false;
    const char *key = path + sizeof root - 1;
    if (strncmp(path, jobs, sizeof jobs - 1) == 0) {
        const char *job = path + sizeof jobs - 1;
        size_t n = strcspn(job, "/");
        if (n != WEIR_ID_TEXT - 1 || job[n] != '/') return false;
        memcpy(out->job, job, n);
        if (!id_parse(out->job, &id)) return false;
        key = job + n + 1;
    }
    if (!*key || strchr(key, '/') || strlen(key) > CONFIG_NAME_MAX) return false;
    memcpy(out->key, key, strlen(key) + 1);
    return true;
}

/* ---- rules ---- */

static bool is_option(const char *key)
{
    for (uint32_t i = 0; i < N_OPTIONS; i++)
        if (strcmp(live_options[i], key) == 0) return true;
    return false;
}

static bool is_own(const struct live_setting *s)
{
    return *s->job && strncmp(s->key, LIVE_OWN, strlen(LIVE_OWN)) == 0;
}

static weir_err refuse_key(const struct live_setting *s, struct weir_diag *diag)
{
    struct nearest near = {.word = s->key};
    for (uint32_t i = 0; i < N_OPTIONS; i++) nearest_offer(&near, live_options[i]);
    if (!*s->job) nearest_offer(&near, LIVE_LOG_LEVEL);
    if (!*s->job) nearest_offer(&near, LIVE_LEADER_WAIT);
    if (near.best)
        return weir_fail(diag, WEIR_E_ARGUMENT, "%s cannot be changed while %s; did you mean %s?", s->key,
                         *s->job ? "a job runs" : "the cluster runs", near.best);
    return weir_fail(diag, WEIR_E_ARGUMENT, "%s cannot be changed while %s: set it %s. docs/reference/configuration.md lists what can",
                     s->key, *s->job ? "a job runs" : "the cluster runs",
                     *s->job ? "for a new run with -D; a job's own keys begin with " LIVE_OWN : "in the configuration, and start again");
}

weir_err live_check(const struct live_setting *s, struct weir_diag *diag)
{
    struct job_options options;
    int64_t value;
    if (is_own(s)) return WEIR_OK;
    if (is_option(s->key)) {
        job_options_default(&options);
        return job_options_set(&options, s->key, s->value, diag);
    }
    weir_err err = *s->job ? WEIR_E_NOT_FOUND : live_key_parse(s->key, s->value, &value, diag);
    return err == WEIR_E_NOT_FOUND ? refuse_key(s, diag) : err;
}

bool live_is_of_checkpoints(const char *key)
{
    return strncmp(key, "execution.checkpointing.", strlen("execution.checkpointing.")) == 0 ||
           strcmp(key, "state.checkpoints.num-retained") == 0;
}

void live_apply(const struct live_setting *at, uint32_t n, const char *job, struct job_options *options)
{
    for (uint32_t i = 0; i < n; i++)
        if (at[i].counts && strcmp(at[i].job, job) == 0 && is_option(at[i].key))
            (void)job_options_set(options, at[i].key, at[i].value, NULL);
}
