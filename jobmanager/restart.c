/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/restart.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

static const struct {
    enum restart_kind kind;
    const char *name;
} kinds[] = {
    {RESTART_NONE, "none"},
    {RESTART_FIXED_DELAY, "fixed-delay"},
    {RESTART_FAILURE_RATE, "failure-rate"},
    {RESTART_EXPONENTIAL_DELAY, "exponential-delay"},
};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

const char *restart_kind_name(enum restart_kind kind)
{
    for (unsigned i = 0; i < N_KINDS; i++)
        if (kinds[i].kind == kind) return kinds[i].name;
    return "?";
}

void restart_init(struct restart *r, const struct restart_config *config, uint64_t seed)
{
    *r = (struct restart){.config = *config, .random = seed, .backoff_ms = config->initial_ms, .restarted_ms = INT64_MIN};
    if (config->kind != RESTART_FAILURE_RATE) return;
    WEIR_ASSERT(config->max_failures >= 1);
    WEIR_ASSERT(config->max_failures <= RESTART_FAILURES_MAX);
    r->failed_ms = calloc(config->max_failures + 1, sizeof *r->failed_ms);
    WEIR_ASSERT(r->failed_ms);
}

static bool same(const struct restart_config *a, const struct restart_config *b)
{
    return a->kind == b->kind && a->attempts == b->attempts && a->max_failures == b->max_failures && a->interval_ms == b->interval_ms &&
           a->delay_ms == b->delay_ms && a->initial_ms == b->initial_ms && a->max_ms == b->max_ms && a->reset_ms == b->reset_ms &&
           a->multiplier_milli == b->multiplier_milli && a->jitter_milli == b->jitter_milli;
}

void restart_configure(struct restart *r, const struct restart_config *config)
{
    uint64_t random = r->random;
    if (same(&r->config, config)) return;
    restart_close(r);
    restart_init(r, config, random);
}

void restart_close(struct restart *r)
{
    free(r->failed_ms);
    *r = (struct restart){0};
}

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void grant(struct restart *r, int64_t delay_ms, struct restart_decision *out)
{
    r->restarts++;
    out->restart = true;
    out->delay_ms = delay_ms;
}

static bool used_up(const struct restart *r, struct restart_decision *out)
{
    if (r->config.attempts == RESTART_UNLIMITED || r->restarts < r->config.attempts) return false;
    snprintf(out->why, sizeof out->why, "it was started again %" PRIu32 " times, which is the limit (restart-strategy %s)", r->restarts,
             restart_kind_name(r->config.kind));
    return true;
}

/* ---- failure-rate ---- */

static void remember(struct restart *r, int64_t now_ms)
{
    if (r->n_failures > r->config.max_failures) {
        r->n_failures--;
        memmove(r->failed_ms, r->failed_ms + 1, r->n_failures * sizeof *r->failed_ms);
    }
    r->failed_ms[r->n_failures++] = now_ms;
}

static void decide_by_rate(struct restart *r, int64_t now_ms, struct restart_decision *out)
{
    remember(r, now_ms);
    bool too_many = r->n_failures > r->config.max_failures && now_ms - r->failed_ms[0] <= r->config.interval_ms;
    if (!too_many) {
        grant(r, r->config.delay_ms, out);
        return;
    }
    snprintf(out->why, sizeof out->why, "%" PRIu32 " failures within %" PRId64 " ms are too many (restart-strategy failure-rate)",
             r->n_failures, r->config.interval_ms);
}

/* ---- exponential-delay ---- */

static void reset_if_it_ran_well(struct restart *r, int64_t now_ms)
{
    if (r->restarted_ms == INT64_MIN || now_ms - r->restarted_ms < r->config.reset_ms) return;
    r->backoff_ms = r->config.initial_ms;
    r->restarts = 0;
}

/* Up to jitter_milli thousandths more or less, at most max_ms. */
static int64_t with_jitter(struct restart *r, int64_t delay_ms)
{
    int64_t spread = delay_ms * r->config.jitter_milli / 1000;
    if (spread > 0) delay_ms += (int64_t)(next_random(&r->random) % (uint64_t)(2 * spread + 1)) - spread;
    return delay_ms < r->config.max_ms ? delay_ms : r->config.max_ms;
}

static void decide_by_backoff(struct restart *r, int64_t now_ms, struct restart_decision *out)
{
    reset_if_it_ran_well(r, now_ms);
    if (used_up(r, out)) return;
    grant(r, with_jitter(r, r->backoff_ms), out);
    r->restarted_ms = now_ms + out->delay_ms;
    int64_t next = r->backoff_ms * r->config.multiplier_milli / 1000;
    r->backoff_ms = next < r->config.max_ms ? next : r->config.max_ms;
}

void restart_failed(struct restart *r, int64_t now_ms, struct restart_decision *out)
{
    *out = (struct restart_decision){0};
    switch (r->config.kind) {
    case RESTART_NONE: snprintf(out->why, sizeof out->why, "it is not to be started again (restart-strategy none)"); return;
    case RESTART_FIXED_DELAY:
        if (!used_up(r, out)) grant(r, r->config.delay_ms, out);
        return;
    case RESTART_FAILURE_RATE: decide_by_rate(r, now_ms, out); return;
    case RESTART_EXPONENTIAL_DELAY: decide_by_backoff(r, now_ms, out); return;
    }
}
