/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/local/local_job.h"

#include <stdlib.h>
#include <string.h>

#include "taskmanager/worker/describe.h"

#define AWAIT_US 100000

struct deployment_state local_job_state;
struct local_job_watch local_job_watch;
struct wire_msg local_job_order;

/* Splits of all sources, in one list as the JobManager sends it. */
static weir_err discover(const struct weir_env *env, uint32_t parallelism, struct wire_msg *deploy, struct weir_diag *diag)
{
    for (uint32_t i = 0; i < weir_env_count(env); i++) {
        const struct env_node *n = weir_env_node(env, i);
        if (n->kind != ENV_SOURCE) continue;
        struct weir_splits found = {0};
        weir_err err = n->source->discover(n->config, n->parallelism ? n->parallelism : parallelism, &found, diag);
        if (err) return err;
        deploy->deploy.splits = realloc(deploy->deploy.splits, (deploy->deploy.n_splits + found.n + 1) * sizeof *deploy->deploy.splits);
        for (uint32_t s = 0; s < found.n; s++)
            deploy->deploy.splits[deploy->deploy.n_splits++] = (struct wire_split){.node = i, .index = s, .data = found.items[s]};
        free(found.items); /* the bytes stay with the message */
    }
    return WEIR_OK;
}

static uint32_t widest(const struct weir_env *env, uint32_t parallelism)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < weir_env_count(env); i++) {
        uint32_t p = weir_env_node(env, i)->parallelism ? weir_env_node(env, i)->parallelism : parallelism;
        if (p > most) most = p;
    }
    return most;
}

static weir_err deploy(struct local_job *job, struct weir_env *env, uint32_t parallelism, struct weir_diag *diag)
{
    struct wire_msg msg = {
        .type = WIRE_DEPLOY, .job = local_job_order.job, .attempt = local_job_order.attempt ? local_job_order.attempt : 1};
    msg.deploy.checkpoint = local_job_order.deploy.checkpoint;
    msg.deploy.restore = local_job_order.deploy.restore;
    struct graph graph;
    weir_err err = describe_graph(&graph, env, "local");
    if (err) return err;
    msg.deploy.name = "local";
    msg.deploy.fingerprint = graph.fingerprint;
    msg.deploy.parallelism = parallelism;
    msg.deploy.n_workers = 1;
    msg.deploy.n_slots = widest(env, parallelism);
    msg.deploy.slot_worker = calloc(msg.deploy.n_slots, sizeof *msg.deploy.slot_worker);
    describe_graph_close(&graph);
    err = discover(env, parallelism, &msg, diag);
    if (!err) err = deployment_new(&job->d, &msg, env, &local_job_state, job->box, diag);
    free(msg.deploy.slot_worker);
    job->splits = msg.deploy.splits; /* subtasks borrow their bytes */
    job->n_splits = msg.deploy.n_splits;
    return err;
}

/* Room for the counters of all threads, once. */
static void make_stats(struct local_job *job)
{
    uint32_t n_subtasks = 0, n_counters = 0;
    for (uint32_t t = 0; t < job->d->n_threads; t++) {
        n_subtasks += job->d->threads[t].n_subtasks;
        n_counters += job->d->threads[t].counters_cap;
    }
    job->stats.stats.subtasks = calloc(n_subtasks + 1, sizeof *job->stats.stats.subtasks);
    job->stats.stats.counters = calloc(n_counters + 1, sizeof *job->stats.stats.counters);
    job->stats.stats.slots = calloc(job->d->n_threads + 1, sizeof *job->stats.stats.slots);
}

static void read_stats(struct local_job *job)
{
    job->stats.stats.n_subtasks = job->stats.stats.n_counters = job->stats.stats.n_slots = 0;
    for (uint32_t t = 0; t < job->d->n_threads; t++) task_thread_read_stats(&job->d->threads[t], &job->stats);
}

/* What the threads said since they were last asked; then asks them anew. */
static void look(struct local_job *job)
{
    read_stats(job);
    local_job_watch.look(job, local_job_watch.arg);
    for (uint32_t t = 0; t < job->d->n_threads; t++) task_thread_ask_stats(&job->d->threads[t]);
}

/* Sleeps until every thread is in a state beyond `below`, or one has failed. */
static bool await(struct local_job *job, int below)
{
    for (;;) {
        uint32_t n = 0;
        wake_prepare(&job->d->wake);
        for (uint32_t t = 0; t < job->d->n_threads; t++) {
            int state = atomic_load(&job->d->threads[t].state);
            if (state == THREAD_FAILED) return false;
            n += state > below;
        }
        if (n == job->d->n_threads) return true;
        wake_wait(&job->d->wake, local_job_watch.look ? local_job_watch.every_us : AWAIT_US);
        wake_clear(&job->d->wake);
        if (local_job_watch.look) look(job);
    }
}

static weir_err run(struct local_job *job, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    make_stats(job);
    for (uint32_t t = 0; !err && t < job->d->n_threads; t++) err = task_thread_start(&job->d->threads[t], diag);
    bool ok = !err && await(job, THREAD_RUNNING);
    for (uint32_t t = 0; t < job->d->n_threads; t++) task_thread_command(&job->d->threads[t], ok ? THREAD_COMMIT : THREAD_STOP);
    for (uint32_t t = 0; t < job->d->n_threads; t++) task_thread_join(&job->d->threads[t]);
    for (uint32_t t = 0; t < job->d->n_threads; t++) {
        struct subtask *failed = job->d->threads[t].failed;
        if (!failed) continue;
        job->failed_id = failed->failed_id;
        err = failed->diag.code;
        if (diag) *diag = failed->diag;
    }
    read_stats(job);
    return err;
}

weir_err local_job_deploy(struct local_job *job, weir_job_fn build, uint32_t parallelism, int argc, char **argv, struct weir_diag *diag)
{
    *job = (struct local_job){.box = calloc(1, sizeof *job->box)};
    if (!job->box) return weir_fail(diag, WEIR_E_NOMEM, "no memory");
    struct weir_env *env = NULL;
    weir_err err = weir_env_new(&env, "local", "/", parallelism);
    if (!err) err = build(env, argc, argv, diag);
    if (!err) err = weir_env_finish(env, diag);
    if (!err) err = deploy(job, env, parallelism, diag);
    if (err) weir_env_destroy(&env);
    return err;
}

weir_err local_job_run(struct local_job *job, weir_job_fn build, uint32_t parallelism, int argc, char **argv, struct weir_diag *diag)
{
    weir_err err = local_job_deploy(job, build, parallelism, argc, argv, diag);
    return err ? err : run(job, diag);
}

void local_job_close(struct local_job *job)
{
    free(job->stats.stats.subtasks);
    free(job->stats.stats.counters);
    free(job->stats.stats.slots);
    deployment_destroy(&job->d);
    for (uint32_t i = 0; i < job->n_splits; i++) free((void *)(uintptr_t)job->splits[i].data.data);
    free(job->splits);
    free(job->box);
    *job = (struct local_job){0};
}

uint64_t local_job_counter(const struct local_job *job, const char *operator_id, const char *name)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < job->stats.stats.n_counters; i++) {
        const struct wire_counter *c = &job->stats.stats.counters[i];
        if (strcmp(c->operator_id, operator_id) == 0 && strcmp(c->name, name) == 0) sum += c->value;
    }
    return sum;
}
