/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/plans.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/limits.h"

static void forget(struct plans *p, uint32_t index)
{
    plan_destroy(&p->at[index].plan);
    graph_close(&p->at[index].graph);
    memmove(&p->at[index], &p->at[index + 1], (p->n - index - 1) * sizeof p->at[0]);
    p->n--;
}

/* A free place; where there is none, the oldest answer goes. */
static weir_err make_place(struct plans *p, struct weir_diag *diag)
{
    uint32_t i = 0;
    if (p->n < PLANS_MAX) return WEIR_OK;
    while (i < p->n && p->at[i].state == PLANS_DESCRIBING) i++;
    if (i == p->n)
        return weir_fail(diag, WEIR_E_LIMIT, "%d plans are being made, which is the limit: try again when one is done", PLANS_MAX);
    forget(p, i);
    return WEIR_OK;
}

weir_err plans_begin(struct plans *p, const struct job_submission *sub, int64_t now_ms, struct weir_diag *diag)
{
    struct job_options options; /* a plan does not depend on them */
    job_options_default(&options);
    weir_err err = job_submission_check(sub, &options, diag);
    if (!err) err = make_place(p, diag);
    if (err) return err;
    struct planned *planned = &p->at[p->n++];
    *planned = (struct planned){.id = sub->id,
                                .digest = sub->digest,
                                .state = PLANS_DESCRIBING,
                                .parallelism = sub->parallelism ? sub->parallelism : 1,
                                .until_ms = now_ms + WEIR_DESCRIBE_TIMEOUT_MS};
    (void)snprintf(planned->name, sizeof planned->name, "%s", sub->name);
    return WEIR_OK;
}

static void fail(struct planned *planned, weir_err err, const char *reason)
{
    (void)weir_fail(&planned->diag, err, "%s", reason && *reason ? reason : "the plugin could not be described");
    planned->state = PLANS_FAILED;
}

bool plans_described(struct plans *p, struct weir_id id, weir_err err, const char *reason, struct graph *graph, int64_t now_ms)
{
    uint32_t i = 0;
    while (i < p->n && !(id_equal(p->at[i].id, id) && p->at[i].state == PLANS_DESCRIBING)) i++;
    if (i == p->n) return false;
    struct planned *planned = &p->at[i];
    planned->until_ms = now_ms + PLANS_KEPT_MS;
    if (err) {
        fail(planned, err, reason);
        return true;
    }
    planned->graph = *graph;
    *graph = (struct graph){0};
    err = plan_new(&planned->plan, &planned->graph, planned->parallelism, &planned->diag);
    planned->state = err ? PLANS_FAILED : PLANS_READY;
    return true;
}

const struct planned *plans_find(const struct plans *p, struct weir_id id)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (id_equal(p->at[i].id, id)) return &p->at[i];
    return NULL;
}

const char *plans_name(const struct planned *planned)
{
    return planned->name[0] || !planned->graph.name ? planned->name : planned->graph.name;
}

bool plans_expire(struct plans *p, int64_t now_ms, struct weir_id *stop)
{
    char reason[96];
    for (uint32_t i = 0; i < p->n;) {
        struct planned *planned = &p->at[i];
        if (now_ms < planned->until_ms) {
            i++;
        } else if (planned->state == PLANS_DESCRIBING) {
            (void)snprintf(reason, sizeof reason, "the plugin did not describe its graph within %d ms", WEIR_DESCRIBE_TIMEOUT_MS);
            fail(planned, WEIR_E_TIMEOUT, reason);
            planned->until_ms = now_ms + PLANS_KEPT_MS;
            *stop = planned->id;
            return true;
        } else {
            forget(p, i);
        }
    }
    return false;
}

void plans_close(struct plans *p)
{
    while (p->n > 0) forget(p, p->n - 1);
}
