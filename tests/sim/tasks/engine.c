/* SPDX-License-Identifier: Apache-2.0 */
/* How the world drives real workers, and worlds from a seed. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/folder.h"
#include "runtime/base/log.h"
#include "taskmanager/worker/describe.h"
#include "tests/sim/clusters.h"
#include "tests/sim/tasks/tasks.h"

static struct host *hosts[SIM_PROCESSES_MAX]; /* by process */

/* ---- describing ------------------------------------------------------------------------------------------------------------------ */

static void discover_all(struct graph *graph, const struct weir_env *env, struct weir_splits *found)
{
    for (uint32_t i = 0; i < graph->n_nodes; i++) {
        const struct env_node *n = weir_env_node(env, i);
        if (n->kind != ENV_SOURCE) continue;
        weir_err err = n->source->discover(n->config, 1, &found[i], NULL);
        WEIR_ASSERT(!err);
        graph->nodes[i].n_splits = found[i].n;
        graph->nodes[i].splits = found[i].items;
    }
}

static void close_splits(struct weir_splits *found)
{
    for (uint32_t k = 0; k < found->n; k++) free((void *)(uintptr_t)found->items[k].data);
    free(found->items);
}

static void describe(const struct sim_spec *spec, struct graph *out)
{
    struct weir_env *env = NULL;
    struct graph graph;
    struct buffer encoded;
    weir_err err = weir_env_new(&env, "sim", "/", spec->parallelism);
    if (!err) err = job_build(env, 0, NULL, NULL);
    if (!err) err = weir_env_finish(env, NULL);
    if (!err) err = describe_graph(&graph, env, "sim");
    WEIR_ASSERT(!err);
    struct weir_splits *found = calloc(graph.n_nodes, sizeof *found);
    WEIR_ASSERT(found);
    discover_all(&graph, env, found);
    buffer_init(&encoded, 0);
    err = graph_encode(&graph, &encoded);
    if (!err) err = graph_decode(out, encoded.data, encoded.len, NULL);
    WEIR_ASSERT(!err);
    for (uint32_t i = 0; i < graph.n_nodes; i++) close_splits(&found[i]);
    free(found);
    buffer_close(&encoded);
    describe_graph_close(&graph);
    weir_env_destroy(&env);
}

/* ---- a process ------------------------------------------------------------------------------------------------------------------- */

static void step_later(struct sim *sim, uint32_t process, uint32_t longest_ms)
{
    workers_act_later(sim, process, SIM_ACT_STEP, sim->now_ms + sim_delay(sim, longest_ms));
}

static void start(struct sim *sim, uint32_t process, struct weir_bytes deploy)
{
    host_new(&hosts[process], process, sim->processes[process].n_slots);
    host_give(hosts[process], deploy.data, deploy.length);
    step_later(sim, process, tasks.config.step_ms);
}

static void order(struct sim *sim, uint32_t process, struct weir_bytes order)
{
    (void)sim;
    host_give(hosts[process], order.data, order.length);
}

/* A worker fails of what the world did to it, and of nothing else. Of an attempt that is over it may come too late for a checkpoint. */
static void check_failure(const struct sim_process *p, const struct wire_failure *f)
{
    const struct sim_job *job = &tasks.sim->jobs[p->job];
    bool late = p->attempt < job->attempt || job_state_terminal(job->state);
    bool disk = f->code == WEIR_E_IO && tasks.n_disk_failures, gap = f->code == WEIR_E_PROTOCOL && tasks.n_resets;
    sim_trace(tasks.sim, "a worker fails: %s", f->reason);
    if (!disk && !gap && !late && !tasks.n_faults) sim_violate(tasks.sim, "a worker failed of itself: %s", f->reason);
}

/* What the world's checks want to know of a worker, from what it says. */
static void note(struct sim_process *p, const struct host_message *m)
{
    struct wire_msg msg;
    weir_err err = wire_msg_decode(&msg, m->data, m->len, NULL);
    WEIR_ASSERT(!err);
    if (msg.type == WIRE_WORKER_READY) p->ready = true;
    if (msg.type == WIRE_WORKER_RUNNING) p->running = true;
    if (msg.type == WIRE_WORKER_PREPARED) p->prepared = true;
    if (msg.type == WIRE_WORKER_ENDED) p->leaving = true;
    if (msg.type == WIRE_WORKER_ENDED && msg.ended.outcome == WIRE_COMMITTED) p->committed = true;
    if (msg.type == WIRE_WORKER_ENDED && msg.ended.outcome == WIRE_FAILED) check_failure(p, &msg.ended.failure);
    wire_msg_close(&msg);
}

/* Its TaskManager may leave when it hears something, and the process with it. */
static void let_speak(struct sim *sim, uint32_t process)
{
    struct sim_process *p = &sim->processes[process];
    struct host_message *m;
    while (p->exists && (m = hosts[process]->out.first) != NULL) {
        hosts[process]->out.first = m->next;
        if (!m->next) hosts[process]->out.last = &hosts[process]->out.first;
        note(p, m);
        workers_say(sim, process, m->data, m->len);
        free(m);
    }
}

static void step(struct sim *sim, uint32_t process)
{
    struct host *h = hosts[process];
    struct sim_process *p = &sim->processes[process];
    bool moved = host_step(h);
    if (h->dead) {
        p->fate = SIM_CRASHES_RUNNING; /* so that its TaskManager is told of a signal */
        p->leaving = true;
        sim_trace(sim, "worker %u of attempt %u is killed", p->worker, p->attempt);
        workers_act_later(sim, process, SIM_ACT_EXIT, sim->now_ms + sim_delay(sim, 3));
        return;
    }
    bool lives = worker_body_lives(h->worker);
    let_speak(sim, process);
    if (!p->exists) return;
    if (lives)
        step_later(sim, process, moved ? tasks.config.step_ms : 4 * tasks.config.step_ms);
    else
        workers_act_later(sim, process, SIM_ACT_EXIT, sim->now_ms + sim_delay(sim, 20));
}

static void kill_process(struct sim *sim, uint32_t process)
{
    (void)sim;
    host_kill(&hosts[process]);
}

static void completed(struct sim *sim, const struct sim_checkpoint *checkpoint)
{
    const struct kept *parts[TASKS_PARTS_MAX];
    (void)sim;
    outside_complete(parts, storage_parts(checkpoint->path, parts));
}

/* Ledgers differ when the world has lost or doubled a frame behind their back, and else never. */
static void failing(struct sim *sim, const char *reason)
{
    if (strstr(reason, "records were lost or doubled") && !tasks.n_faults) sim_violate(sim, "nothing was lost: %s", reason);
}

static void finished(struct sim *sim, const struct sim_job *job)
{
    (void)sim;
    outside_finished(job->stop_asked);
}

static const struct sim_engine engine = {.describe = describe,
                                         .start = start,
                                         .order = order,
                                         .step = step,
                                         .kill = kill_process,
                                         .completed = completed,
                                         .failing = failing,
                                         .finished = finished};

/* ---- worlds ---------------------------------------------------------------------------------------------------------------------- */

static void draw_tasks(struct sim *sim)
{
    struct tasks_config *c = &tasks.config;
    *c = (struct tasks_config){.crashes = sim_rate(sim, 50),
                               .resets = sim_rate(sim, 20),
                               .faults = sim_rate(sim, 100),
                               .disk_fails = sim_random(sim, 4) ? 0 : sim_between(sim, 1, 40),
                               .net_ms = sim_between(sim, 1, 10),
                               .step_ms = sim_between(sim, 1, 6)};
    static const uint32_t segments[] = {0, 1, 256, 1024};
    c->segment = segments[sim_random(sim, 4)];
    tasks.input = (struct tasks_input){.seed = sim->seed,
                                       .splits = sim_between(sim, 1, TASKS_SPLITS_MAX),
                                       .rows = sim_between(sim, 4, TASKS_ROWS_MAX),
                                       .keys = sim_between(sim, 1, TASKS_KEYS_MAX),
                                       .burst = sim_between(sim, 1, 4),
                                       .pause = sim_between(sim, 0, 7)};
    sim->config.storage_ms = sim_between(sim, 1, 50);
}

/* At most as many as there are slots: else the job waits for ever. */
static uint32_t draw_parallelism(struct sim *sim)
{
    uint32_t slots = 0;
    for (uint32_t i = 0; i < SIM_TMS; i++) slots += sim->config.slots[i];
    return sim_between(sim, 1, slots < 4 ? slots : 4);
}

static void draw_job(struct sim *sim)
{
    struct sim_job *job = &sim->jobs[0];
    sim->n_jobs = 1;
    job->id.bytes[3] = 1;
    job->id.bytes[15] = 1;
    job->spec = (struct sim_spec){.parallelism = draw_parallelism(sim),
                                  .n_splits = tasks.input.splits,
                                  .describe_ms = 1,
                                  .step_ms = 1,
                                  .run_ms = 1,
                                  .fate_worker = UINT32_MAX,
                                  .interval_ms = sim_between(sim, 10, 150),
                                  .timeout_ms = sim_between(sim, 200, 2000),
                                  .tolerable = sim_between(sim, 0, 3),
                                  .n_retained = sim_between(sim, 1, 3),
                                  .restarts = sim_between(sim, 2, 12),
                                  .restart_delay_ms = sim_between(sim, 1, 50)};
    sim_push(sim, (struct sim_event){.at_ms = 1, .kind = SIM_EV_SUBMIT});
}

static void draw_trouble(struct sim *sim, int64_t rage_ms)
{
    sim_draw_trouble(sim, rage_ms);
    sim_draw_requests(sim, 0, 100);
    if (!sim_random(sim, 16)) sim_push(sim, (struct sim_event){.at_ms = (int64_t)sim_random(sim, 3000), .kind = SIM_EV_CANCEL});
}

/* Nothing happens but the job. Its checkpoints then all complete, whatever ends early. */
static void calm_down(struct sim *sim)
{
    struct sim_config *c = &sim->config;
    c->loss = c->doubled = c->slow = c->store_fails = c->storage_fails = c->catalog_fails = c->catalog_unknown = 0;
    tasks.config.crashes = tasks.config.resets = tasks.config.faults = tasks.config.disk_fails = 0;
    sim->jobs[0].spec.timeout_ms = 20000;
}

static void check_calm(struct sim *sim)
{
    if (strstr(buffer_cstr(&sim->lines), " failed, ")) sim_violate(sim, "a checkpoint failed, and nothing was wrong");
}

static void make_scratch(void)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(tasks.dir, sizeof tasks.dir, "%s/weir-sim-XXXXXX", base);
    char *made = mkdtemp(tasks.dir);
    WEIR_ASSERT(made);
}

static void draw(struct sim **out, uint64_t seed, bool print)
{
    struct sim *sim = sim_new_world(seed);
    sim->print = print;
    sim->engine = &engine;
    tasks = (struct tasks){.sim = sim};
    make_scratch();
    outside_begin();
    int64_t rage_ms = (int64_t)sim_between(sim, 500, 2500);
    sim_draw_config(sim);
    draw_tasks(sim);
    draw_job(sim);
    bool calm = !sim_random(sim, 8);
    if (calm)
        calm_down(sim);
    else
        draw_trouble(sim, rage_ms);
    sim_start_all(sim);
    sim_run(sim, rage_ms);
    tasks.config.crashes = tasks.config.resets = tasks.config.faults = tasks.config.disk_fails = 0;
    if (!sim->violated) sim_heal(sim, 60000);
    if (calm) check_calm(sim);
    for (uint32_t i = 0; i < sim->n_processes; i++) workers_vanish(sim, i);
    storage_end();
    network_end();
    outside_end();
    (void)folder_remove(tasks.dir, NULL);
    *out = sim;
}

int main(int argc, char **argv)
{
    log_init("sim", LOG_LEVEL_ERROR);
    (void)mallopt(M_MMAP_THRESHOLD, 16 << 20); /* memory of frames serves the next attempt as it is ... */
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 20);
    (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* ... and is not cleared in pages of 2 MiB, of which a few KiB are used */
    return clusters_main(argc, argv, draw);
}
