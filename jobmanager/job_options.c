/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/job_options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/config_value.h"
#include "runtime/base/nearest.h"

static const struct config_key keys[] = {JOB_OPTION_KEYS};
enum { N_KEYS = sizeof keys / sizeof keys[0], WANTED_MAX = 160 };

/* ---- words and fractions, which config.h has no types for ---- */

struct word {
    const char *text;
    int64_t value;
};

static const struct word modes[] = {{"EXACTLY_ONCE", false}, {"AT_LEAST_ONCE", true}, {NULL, 0}};
static const struct word retentions[] = {{"NO_EXTERNALIZED_CHECKPOINTS", JOB_RETAIN_NOTHING},
                                         {"DELETE_ON_CANCELLATION", JOB_RETAIN_ON_FAILURE},
                                         {"RETAIN_ON_CANCELLATION", JOB_RETAIN_ON_CANCEL_AND_FAIL},
                                         {NULL, 0}};
static const struct word strategies[] = {{"none", RESTART_NONE},
                                         {"fixed-delay", RESTART_FIXED_DELAY},
                                         {"failure-rate", RESTART_FAILURE_RATE},
                                         {"exponential-delay", RESTART_EXPONENTIAL_DELAY},
                                         {"", 0},
                                         {NULL, 0}};

static bool parse_word(const struct word *words, const char *text, int64_t *out, char wanted[static WANTED_MAX])
{
    size_t at = 0;
    for (const struct word *w = words; w->text; w++) {
        if (strcmp(w->text, text) == 0) *out = w->value;
        if (strcmp(w->text, text) == 0) return true;
        if (*w->text) at += (size_t)snprintf(wanted + at, WANTED_MAX - at, "%s%s", at ? ", " : "one of ", w->text);
    }
    return false;
}

/* "1.5" to 1500: digits, at most three of them behind a dot, from least to most thousandths. */
static bool parse_milli(const char *text, int64_t least, int64_t most, int64_t *out, char wanted[static WANTED_MAX])
{
    char *end;
    snprintf(wanted, WANTED_MAX, "a number from %g to %g", (double)least / 1000, (double)most / 1000);
    if (strspn(text, "0123456789.") != strlen(text) || !*text) return false;
    double value = strtod(text, &end) * 1000;
    if (*end || value < (double)least || value > (double)most) return false;
    *out = (int64_t)(value + 0.5);
    return true;
}

static bool parse_attempts(const char *text, int64_t *out, char wanted[static WANTED_MAX])
{
    static const struct config_key count = {.type = CONFIG_INT, .min = 1, .max = UINT32_MAX - 1};
    *out = RESTART_UNLIMITED;
    if (strcmp(text, "infinite") == 0 || config_value_parse(&count, text, out, wanted, WANTED_MAX)) return true;
    snprintf(wanted, WANTED_MAX, "infinite, or a whole number from 1");
    return false;
}

/* ---- where each option goes ---- */

enum how { BY_TYPE, MODE, RETENTION, STRATEGY, MULTIPLIER, JITTER, ATTEMPTS };
enum width { W32, W64, WBOOL, WTEXT };

#define AT(field) offsetof(struct job_options, field)
/* In the order of JOB_OPTION_KEYS. */
static const struct {
    size_t offset;
    enum width width;
    enum how how;
} places[N_KEYS] = {
    {AT(interval_ms), W64, BY_TYPE},
    {AT(min_pause_ms), W64, BY_TYPE},
    {AT(timeout_ms), W64, BY_TYPE},
    {AT(alignment_timeout_ms), W64, BY_TYPE},
    {AT(tolerable_failures), W32, BY_TYPE},
    {AT(dir), WTEXT, BY_TYPE},
    {AT(savepoint_dir), WTEXT, BY_TYPE},
    {AT(at_least_once), WBOOL, MODE},
    {AT(retention), W32, RETENTION},
    {AT(n_retained), W32, BY_TYPE},
    {AT(older_checkpoint), WBOOL, BY_TYPE},
    {AT(restore_timeout_ms), W64, BY_TYPE},
    {AT(strategy), W32, STRATEGY},
    {AT(fixed_attempts), W32, BY_TYPE},
    {AT(fixed_delay_ms), W64, BY_TYPE},
    {AT(rate_failures), W32, BY_TYPE},
    {AT(rate_interval_ms), W64, BY_TYPE},
    {AT(rate_delay_ms), W64, BY_TYPE},
    {AT(backoff_initial_ms), W64, BY_TYPE},
    {AT(backoff_max_ms), W64, BY_TYPE},
    {AT(backoff_multiplier_milli), W32, MULTIPLIER},
    {AT(backoff_reset_ms), W64, BY_TYPE},
    {AT(backoff_jitter_milli), W32, JITTER},
    {AT(backoff_attempts), W32, ATTEMPTS},
};
static_assert(sizeof(enum job_retention) == 4 && sizeof(enum restart_kind) == 4, "enums are stored as 32 bits");

static bool parse(uint32_t i, const char *text, int64_t *out, char wanted[static WANTED_MAX])
{
    switch (places[i].how) {
    case BY_TYPE: return config_value_parse(&keys[i], text, out, wanted, WANTED_MAX);
    case MODE: return parse_word(modes, text, out, wanted);
    case RETENTION: return parse_word(retentions, text, out, wanted);
    case STRATEGY: return parse_word(strategies, text, out, wanted);
    case MULTIPLIER: return parse_milli(text, 1000, 1000000, out, wanted);
    case JITTER: return parse_milli(text, 0, 1000, out, wanted);
    case ATTEMPTS: return parse_attempts(text, out, wanted);
    }
    return false;
}

static void store_number(struct job_options *options, uint32_t i, int64_t value)
{
    void *at = (char *)options + places[i].offset;
    uint32_t narrow = (uint32_t)value;
    bool truth = value != 0;
    if (places[i].width == W64) memcpy(at, &value, sizeof value);
    if (places[i].width == W32) memcpy(at, &narrow, sizeof narrow);
    if (places[i].width == WBOOL) memcpy(at, &truth, sizeof truth);
}

/* A folder: absolute, since it is opened by processes that work elsewhere. */
static weir_err store_folder(struct job_options *options, uint32_t i, const char *text, struct weir_diag *diag)
{
    size_t len = strlen(text);
    if (len && text[0] != '/') return weir_fail(diag, WEIR_E_ARGUMENT, "%s = %s is no absolute path", keys[i].name, text);
    while (len > 1 && text[len - 1] == '/') len--;
    if (len >= JOB_PATH_MAX) return weir_fail(diag, WEIR_E_ARGUMENT, "%s has more than %d bytes", keys[i].name, JOB_PATH_MAX - 1);
    char *at = (char *)options + places[i].offset;
    memcpy(at, text, len);
    at[len] = '\0';
    return WEIR_OK;
}

static weir_err unknown(const char *name, struct weir_diag *diag)
{
    struct nearest near = {.word = name};
    for (uint32_t i = 0; i < N_KEYS; i++) nearest_offer(&near, keys[i].name);
    if (near.best) return weir_fail(diag, WEIR_E_ARGUMENT, "a job has no option %s; did you mean %s?", name, near.best);
    return weir_fail(diag, WEIR_E_ARGUMENT, "a job has no option %s; docs/reference/configuration.md lists them", name);
}

weir_err job_options_set(struct job_options *options, const char *name, const char *text, struct weir_diag *diag)
{
    char wanted[WANTED_MAX] = "";
    int64_t value = 0;
    uint32_t i = 0;
    while (i < N_KEYS && strcmp(keys[i].name, name) != 0) i++;
    if (i == N_KEYS) return unknown(name, diag);
    if (places[i].width == WTEXT) return store_folder(options, i, text, diag);
    if (!parse(i, text, &value, wanted)) return weir_fail(diag, WEIR_E_ARGUMENT, "%s = %s is not %s", name, text, wanted);
    store_number(options, i, value);
    return WEIR_OK;
}

void job_options_default(struct job_options *out)
{
    *out = (struct job_options){0};
    for (uint32_t i = 0; i < N_KEYS; i++) {
        weir_err err = job_options_set(out, keys[i].name, keys[i].fallback, NULL);
        WEIR_ASSERT(!err);
    }
}

/* The text of a key in a configuration, whatever its type. */
static const char *config_text(const struct config *config, const struct config_key *key, char out[static PATH_MAX])
{
    if (key->type == CONFIG_STR) return config_str(config, key->name);
    if (key->type == CONFIG_BOOL) return config_bool(config, key->name) ? "true" : "false";
    snprintf(out, PATH_MAX, "%lld", (long long)config_int(config, key->name));
    return out;
}

weir_err job_options_from_config(struct job_options *out, const struct config *config, struct weir_diag *diag)
{
    char text[PATH_MAX];
    job_options_default(out);
    for (uint32_t i = 0; i < N_KEYS; i++) {
        weir_err err = job_options_set(out, keys[i].name, config_text(config, &keys[i], text), diag);
        if (err) return err;
    }
    return job_options_check(out, diag);
}

weir_err job_options_check(const struct job_options *options, struct weir_diag *diag)
{
    if (options->interval_ms && options->interval_ms < JOB_INTERVAL_MIN_MS)
        return weir_fail(diag, WEIR_E_ARGUMENT, "execution.checkpointing.interval is below %d ms", JOB_INTERVAL_MIN_MS);
    if (options->backoff_initial_ms > options->backoff_max_ms)
        return weir_fail(diag, WEIR_E_ARGUMENT,
                         "restart-strategy.exponential-delay.initial-backoff is above restart-strategy.exponential-delay.max-backoff");
    return WEIR_OK;
}

bool job_options_checkpoints(const struct job_options *options)
{
    return options->interval_ms > 0 || options->dir[0];
}

struct restart_config job_options_restart(const struct job_options *o)
{
    struct restart_config config = {.kind = o->strategy};
    if (!config.kind) config.kind = job_options_checkpoints(o) ? RESTART_EXPONENTIAL_DELAY : RESTART_NONE;
    switch (config.kind) {
    case RESTART_NONE: break;
    case RESTART_FIXED_DELAY:
        config.attempts = o->fixed_attempts;
        config.delay_ms = o->fixed_delay_ms;
        break;
    case RESTART_FAILURE_RATE:
        config.max_failures = o->rate_failures;
        config.interval_ms = o->rate_interval_ms;
        config.delay_ms = o->rate_delay_ms;
        break;
    case RESTART_EXPONENTIAL_DELAY:
        config.attempts = o->backoff_attempts;
        config.initial_ms = o->backoff_initial_ms;
        config.max_ms = o->backoff_max_ms;
        config.reset_ms = o->backoff_reset_ms;
        config.multiplier_milli = o->backoff_multiplier_milli;
        config.jitter_milli = o->backoff_jitter_milli;
        break;
    }
    return config;
}
