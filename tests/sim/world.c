/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "tests/sim/coord/ensemble.h"

/* ---- chance ---- */

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sim_random(struct sim *sim, uint64_t below)
{
    return next_random(&sim->random) % below;
}

bool sim_chance(struct sim *sim, uint32_t per_mille)
{
    return !sim->calm && per_mille && sim_random(sim, 1000) < per_mille;
}

int64_t sim_delay(struct sim *sim, uint32_t longest_ms)
{
    return sim->calm ? longest_ms : 1 + (int64_t)sim_random(sim, longest_ms);
}

void sim_fold(struct sim *sim, uint64_t value)
{
    sim->hash = hash64_seed(&value, sizeof value, sim->hash);
}

/* ---- lines ---- */

void sim_trace(struct sim *sim, const char *fmt, ...)
{
    size_t at = sim->lines.len;
    char text[2 * WEIR_DIAG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buffer_printf(&sim->lines, "[%6" PRId64 "] %s\n", sim->now_ms, text);
    WEIR_ASSERT(!sim->lines.err);
    sim_fold(sim, hash64(sim->lines.data + at, sim->lines.len - at));
    if (sim->print) fwrite(sim->lines.data + at, 1, sim->lines.len - at, stdout);
}

void sim_violate(struct sim *sim, const char *fmt, ...)
{
    if (sim->violated) return;
    sim->violated = true;
    va_list args;
    va_start(args, fmt);
    vsnprintf(sim->violation, sizeof sim->violation, fmt, args);
    va_end(args);
    sim_trace(sim, "VIOLATION: %s", sim->violation);
}

/* Is there a line with exactly `line` behind its time, at or after *at? Moves *at behind it. */
static bool find_line(const char **at, const char *line, size_t len)
{
    for (const char *p = *at; *p;) {
        const char *text = strchr(p, ']') + 2;
        const char *end = strchr(p, '\n');
        p = end + 1;
        if ((size_t)(end - text) != len || memcmp(text, line, len) != 0) continue;
        *at = p;
        return true;
    }
    return false;
}

bool sim_expect(struct sim *sim, const char *text)
{
    const char *at = buffer_cstr(&sim->lines);
    for (const char *line = text; *line;) {
        const char *end = strchr(line, '\n');
        WEIR_ASSERT(end);
        if (!find_line(&at, line, (size_t)(end - line))) {
            fprintf(stderr, "not in the trace, or not in this order:\n    %.*s\nthe trace:\n%s", (int)(end - line), line,
                    (const char *)sim->lines.data);
            return false;
        }
        line = end + 1;
    }
    return true;
}

/* ---- events ---- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct sim *sim, uint32_t a, uint32_t b)
{
    struct sim_event t = sim->events[a];
    sim->events[a] = sim->events[b];
    sim->events[b] = t;
}

static void push(struct sim *sim, const struct sim_event *ev)
{
    if (sim->n_events == sim->cap_events) {
        sim->cap_events = sim->cap_events ? 2 * sim->cap_events : 256;
        sim->events = realloc(sim->events, sim->cap_events * sizeof *sim->events);
        WEIR_ASSERT(sim->events);
    }
    uint32_t i = sim->n_events++;
    sim->events[i] = *ev;
    for (; i > 0 && before(&sim->events[i], &sim->events[(i - 1) / 2]); i = (i - 1) / 2) swap(sim, i, (i - 1) / 2);
}

static struct sim_event pop(struct sim *sim)
{
    struct sim_event top = sim->events[0];
    sim->events[0] = sim->events[--sim->n_events];
    for (uint32_t i = 0;;) {
        uint32_t least = i;
        for (uint32_t child = 2 * i + 1; child <= 2 * i + 2; child++)
            if (child < sim->n_events && before(&sim->events[child], &sim->events[least])) least = child;
        if (least == i) return top;
        swap(sim, i, least);
        i = least;
    }
}

void sim_push(struct sim *sim, struct sim_event ev)
{
    ev.order = ++sim->order;
    push(sim, &ev);
}

/* A JobManager and its peer are stopped together. */
static int64_t jm_paused_until(const struct sim *sim, uint32_t jm)
{
    int64_t at_ms = sim->jms[jm].paused_ms;
    return sim->ens && sim->ens->peers[jm + 1].paused_ms > at_ms ? sim->ens->peers[jm + 1].paused_ms : at_ms;
}

/* Whoever is stopped gets his events when he goes on, in their order. */
static int64_t paused_until(const struct sim *sim, const struct sim_event *ev)
{
    switch (ev->kind) {
    case SIM_EV_JM_TICK:
    case SIM_EV_JM_PACKET:
    case SIM_EV_JM_NEWS:
    case SIM_EV_DESCRIBED:
    case SIM_EV_CHUNK:
    case SIM_EV_CATALOG: return jm_paused_until(sim, ev->jm);
    case SIM_EV_SUBMIT:
    case SIM_EV_REQUEST:
    case SIM_EV_CANCEL: return jm_paused_until(sim, sim->leader);
    case SIM_EV_PEER_ASK:
    case SIM_EV_SERVER_TICK: return sim->ens->peers[ev->jm + 1].paused_ms;
    case SIM_EV_TM_TICK:
    case SIM_EV_TM_PACKET:
    case SIM_EV_STORED:
    case SIM_EV_PROCESS: return sim->tms[ev->tm].paused_ms;
    default: return 0;
    }
}

static void step(struct sim *sim)
{
    struct sim_event ev = pop(sim);
    if (paused_until(sim, &ev) > ev.at_ms) {
        ev.at_ms = paused_until(sim, &ev);
        push(sim, &ev);
        return;
    }
    sim->spin = ev.at_ms > sim->now_ms ? 0 : sim->spin + 1;
    if (sim->spin > 20000) sim_violate(sim, "the world spins: time stands still");
    sim->now_ms = ev.at_ms;
    if (sim->ens) sim->ens->now_ms = ev.at_ms;
    sim->n_steps++;
    sim_fold(sim, (uint64_t)ev.at_ms * 64 + ev.kind);
    actors_dispatch(sim, &ev);
    free(ev.data);
}

static void step_ensemble(struct sim *sim, int64_t at_ms)
{
    sim->now_ms = at_ms;
    ens_step(sim->ens);
    if (sim->ens->violated) sim_violate(sim, "%s", sim->ens->violation);
}

void sim_run(struct sim *sim, int64_t ms)
{
    int64_t end = sim->now_ms + ms;
    while (!sim->violated) {
        int64_t own_ms = sim->n_events ? sim->events[0].at_ms : INT64_MAX;
        int64_t ens_ms = sim->ens && sim->ens->n_events ? sim->ens->events[0].at_ms : INT64_MAX;
        if (own_ms > end && ens_ms > end) break;
        if (ens_ms <= own_ms)
            step_ensemble(sim, ens_ms);
        else
            step(sim);
    }
    if (!sim->violated) sim->now_ms = end;
}

bool sim_run_until(struct sim *sim, uint32_t job, enum job_state state, int64_t ms)
{
    const struct job *j = sim_job(sim, job);
    for (int64_t i = 0; i < ms && !sim->violated && !(j && j->state == state); i++) {
        sim_run(sim, 1);
        j = sim_job(sim, job);
    }
    return j && j->state == state;
}

/* ---- the end ---- */

bool sim_at_rest(const struct sim *sim, const char **why)
{
    const char *ignored;
    const char **out = why ? why : &ignored;
    *out = "no JobManager leads";
    if (!sim->jm) return false;
    for (uint32_t i = 0; i < sim->n_jobs; i++) {
        const struct sim_job *job = &sim->jobs[i];
        if (!job->submitted || job->forgotten) continue;
        *out = "a job has not ended";
        if (!job_state_terminal(master_job_find(sim->jm, job->id)->state)) return false;
        *out = "JOB_ENDED was not told exactly once";
        if (job->n_ended != 1) return false;
    }
    for (uint32_t i = 0; i < SIM_CHECKPOINTS_MAX; i++) {
        const struct sim_checkpoint *c = &sim->checkpoints[i];
        *out = "a checkpoint of a job that has ended is left";
        if (c->exists && !(c->options & CHECKPOINT_SAVEPOINT) && !sim->jobs[c->job].forgotten) return false;
    }
    for (uint32_t i = 0; i < sim->n_processes; i++) {
        *out = "a worker process is left";
        if (sim->processes[i].exists) return false;
    }
    for (uint32_t i = 0; i < SIM_TMS; i++) {
        *out = "a TaskManager does not run";
        if (!sim->tms[i].core) return false;
        *out = "a TaskManager is not registered";
        if (supervisor_state(sim->tms[i].core) != SUPERVISOR_REGISTERED) return false;
        *out = "a TaskManager thinks it has a worker, or a slot in use";
        if (supervisor_n_workers(sim->tms[i].core) || supervisor_free_slots(sim->tms[i].core) != sim->config.slots[i]) return false;
    }
    uint32_t total, free_slots;
    master_slots(sim->jm, &total, &free_slots);
    *out = "the JobManager does not know all TaskManagers";
    if (master_n_taskmanagers(sim->jm) != SIM_TMS) return false;
    *out = "the JobManager thinks a slot is in use";
    return total == free_slots;
}

void sim_heal(struct sim *sim, int64_t bound_ms)
{
    sim_trace(sim, "healed");
    struct sim_config *c = &sim->config;
    c->loss = c->doubled = c->slow = c->store_fails = c->storage_fails = c->catalog_fails = c->catalog_unknown = c->lies = 0;
    sim->drop_n = 0;
    if (sim->ens) (void)fault_end(sim->ens);
    for (uint32_t i = 0; i < sim->n_events; i++) /* no new trouble */
        if (sim->events[i].kind == SIM_EV_CRASH || sim->events[i].kind == SIM_EV_PAUSE || sim->events[i].kind == SIM_EV_CUT ||
            sim->events[i].kind == SIM_EV_JM_RESTART || sim->events[i].kind == SIM_EV_JM_PAUSE)
            sim->events[i].how = UINT32_MAX;
    for (uint32_t i = 0; i < SIM_TMS; i++) {
        sim_cut(sim, i, false, false);
        if (!sim->tms[i].core) actors_start(sim, i);
    }
    const char *why = "";
    for (int64_t end = sim->now_ms + bound_ms; !sim->violated && sim->now_ms < end;) {
        sim_run(sim, 500);
        if (!sim->violated && sim_at_rest(sim, &why)) return;
    }
    sim_violate(sim, "not at rest %" PRId64 " ms after the healing: %s", bound_ms, why);
}

/* ---- what breaks, who acts ---- */

void sim_drop_next(struct sim *sim, enum wire_type type, uint32_t tm, uint32_t n)
{
    sim->drop_type = type;
    sim->drop_tm = tm;
    sim->drop_n = n;
}

void sim_cut(struct sim *sim, uint32_t tm, bool in, bool out)
{
    if (sim->tms[tm].cut_in == in && sim->tms[tm].cut_out == out) return;
    sim->tms[tm].cut_in = in;
    sim->tms[tm].cut_out = out;
    sim_trace(sim, "network: to tm-%" PRIu32 " %s, from it %s", tm + 1, in ? "cut" : "open", out ? "cut" : "open");
}

void sim_crash(struct sim *sim, uint32_t tm)
{
    actors_crash(sim, tm);
}

void sim_start(struct sim *sim, uint32_t tm)
{
    actors_start(sim, tm);
}

void sim_stop(struct sim *sim, uint32_t tm)
{
    actors_stop(sim, tm);
}

void sim_pause(struct sim *sim, uint32_t tm, int64_t ms)
{
    sim_trace(sim, "tm-%" PRIu32 " is stopped for %" PRId64 " ms", tm + 1, ms);
    sim->tms[tm].paused_ms = sim->now_ms + ms;
}

static void start_jobmanager(struct sim *sim, uint64_t epoch)
{
    struct master_listed listed[SIM_KEYS_MAX];
    uint32_t n = durable_list(sim, listed);
    actors_start_master(&sim->jms[0], epoch, NULL, listed, n);
}

void sim_restart_jobmanager(struct sim *sim)
{
    sim_trace(sim, "jm crashes and starts again");
    durable_crash(&sim->jms[0]);
    start_jobmanager(sim, sim->epoch + 1);
}

weir_err sim_request(struct sim *sim, uint32_t job, uint32_t options)
{
    return actors_request(sim, job, options);
}

uint32_t sim_submit(struct sim *sim, const struct sim_spec *spec)
{
    WEIR_ASSERT(sim->n_jobs < SIM_JOBS_MAX);
    uint32_t index = sim->n_jobs++;
    struct sim_job *job = &sim->jobs[index];
    *job = (struct sim_job){.spec = *spec};
    job->id.bytes[3] = (uint8_t)(index + 1); /* the fourth of the eight digits that lines show */
    job->id.bytes[15] = 1;
    actors_submit(sim, index);
    return index;
}

weir_err sim_cancel(struct sim *sim, uint32_t job)
{
    return actors_cancel(sim, job);
}

const struct job *sim_job(const struct sim *sim, uint32_t job)
{
    return sim->jm ? master_job_find(sim->jm, sim->jobs[job].id) : NULL;
}

int sim_find_job(const struct sim *sim, struct weir_id id)
{
    for (uint32_t i = 0; i < sim->n_jobs; i++)
        if (id_equal(sim->jobs[i].id, id)) return (int)i;
    return -1;
}

/* ---- plugins ---- */

uint32_t sim_plugin_bytes(uint32_t plugin)
{
    static const uint32_t bytes[SIM_PLUGINS] = {100, 40, WEIR_CHUNK_BYTES + 1, 5 * WEIR_CHUNK_BYTES};
    return bytes[plugin];
}

struct weir_digest sim_plugin_digest(uint32_t plugin)
{
    struct weir_digest digest = {{0}};
    digest.bytes[0] = (uint8_t)(0xd0 + plugin);
    return digest;
}

uint32_t sim_plugin_of(struct weir_digest digest)
{
    return (uint32_t)(digest.bytes[0] - 0xd0);
}

/* ---- worlds ---- */

struct sim *sim_new_world(uint64_t seed)
{
    /* Large and mostly empty: pages of the kernel's are zero already. */
    struct sim *sim = mmap(NULL, sizeof *sim, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    WEIR_ASSERT(sim != MAP_FAILED);
    sim->seed = seed;
    sim->random = seed;
    sim->n_jms = 1;
    for (uint32_t i = 0; i < SIM_JMS; i++) sim->jms[i] = (struct sim_jobmanager){.world = sim, .index = i};
    buffer_init(&sim->lines, 0);
    master_actions_init(&sim->jm_actions);
    supervisor_actions_init(&sim->tm_actions);
    return sim;
}

void sim_start_all(struct sim *sim)
{
    if (!sim->ens) start_jobmanager(sim, 1);
    for (uint32_t i = 0; i < SIM_TMS; i++) actors_start(sim, i);
}

static struct sim *new_calm_world(void)
{
    struct sim *sim = sim_new_world(1);
    sim->calm = true;
    sim->config = (struct sim_config){.delay_ms = 1,
                                      .slots = {2, 2, 2},
                                      .heartbeat_ms = 250,
                                      .heartbeat_timeout_ms = 3000,
                                      .retransmit_ms = 300,
                                      .slot_wait_ms = 10000,
                                      .describe_timeout_ms = 5000,
                                      .start_timeout_ms = 5000,
                                      .ready_timeout_ms = 5000,
                                      .reconcile_ms = 6000,
                                      .leader_wait_ms = 10000,
                                      .worker_silence_ms = 2000,
                                      .cancel_timeout_ms = 1000,
                                      .progress_timeout_ms = 3000};
    return sim;
}

void sim_new(struct sim **out)
{
    *out = new_calm_world();
    sim_start_all(*out);
}

void sim_new_ensemble(struct sim **out, uint32_t jms)
{
    struct ens_config config = {.n_peers = jms, .n_voters = jms, .n_members = jms, .delay_ms = 1, .break_ms = 1, .detect_ms = 100};
    config.retry_ms = 10;
    config.fsync_ms = 1;
    *out = new_calm_world();
    leaders_new(*out, &config);
    sim_start_all(*out);
}

void sim_destroy(struct sim **psim)
{
    struct sim *sim = *psim;
    if (!sim) return;
    for (uint32_t i = 0; i < sim->n_processes; i++) workers_vanish(sim, i);
    leaders_destroy(sim);
    for (uint32_t i = 0; i < SIM_JMS; i++) master_destroy(&sim->jms[i].core);
    for (uint32_t i = 0; i < SIM_TMS; i++) supervisor_destroy(&sim->tms[i].core);
    for (uint32_t i = 0; i < sim->n_events; i++) free(sim->events[i].data);
    free(sim->events);
    master_actions_close(&sim->jm_actions);
    supervisor_actions_close(&sim->tm_actions);
    buffer_close(&sim->lines);
    for (uint32_t i = 0; i < sim->n_keys; i++) buffer_close(&sim->keys[i].value);
    (void)munmap(sim, sizeof *sim);
    *psim = NULL;
}

uint32_t sim_between(struct sim *sim, uint32_t least, uint32_t most)
{
    return least + (uint32_t)sim_random(sim, most - least + 1);
}

/* Each world is harsh in its own way: most kinds of trouble are rare or absent in it, one or two are frequent. */
uint32_t sim_rate(struct sim *sim, uint32_t most)
{
    return sim_random(sim, 2) ? sim_between(sim, 0, most) : 0;
}

void sim_draw_config(struct sim *sim)
{
    struct sim_config *c = &sim->config;
    c->loss = sim_rate(sim, 300);
    c->doubled = sim_rate(sim, 200);
    c->slow = sim_rate(sim, 100);
    c->delay_ms = sim_between(sim, 1, 40);
    c->slow_ms = sim_between(sim, 100, 6000);
    c->store_fails = sim_rate(sim, 30);
    for (uint32_t i = 0; i < SIM_TMS; i++) c->slots[i] = sim_between(sim, 1, 4);
    c->heartbeat_ms = sim_between(sim, 100, 250);
    c->heartbeat_timeout_ms = sim_between(sim, 1000, 3000);
    c->retransmit_ms = sim_between(sim, 100, 300);
    c->slot_wait_ms = sim_between(sim, 2000, 8000);
    c->describe_timeout_ms = sim_between(sim, 1000, 3000);
    c->start_timeout_ms = sim_between(sim, 1000, 4000);
    c->ready_timeout_ms = sim_between(sim, 1000, 4000);
    c->reconcile_ms = sim_between(sim, 1000, 8000);
    c->leader_wait_ms = sim_between(sim, 1000, 12000);
    c->worker_silence_ms = sim_between(sim, 1000, 3000);
    c->cancel_timeout_ms = sim_between(sim, 200, 1500);
    c->progress_timeout_ms = sim_between(sim, 500, 3000);
    c->storage_fails = sim_rate(sim, 100);
    c->storage_ms = sim_between(sim, 1, 300);
    c->catalog_fails = sim_rate(sim, 20);
    c->catalog_unknown = sim_rate(sim, 200);
    c->lies = sim_random(sim, 4) ? 0 : sim_between(sim, 0, 50);
}

/* Half of the jobs have checkpoints and are started again; some of the others only the latter. */
static void draw_recovery(struct sim *sim, struct sim_spec *spec)
{
    spec->fate_attempts = sim_between(sim, 1, 2);
    if (!sim_random(sim, 4)) spec->restarts = sim_between(sim, 1, 2);
    if (sim_random(sim, 2)) return;
    spec->interval_ms = sim_between(sim, 20, 800);
    spec->min_pause_ms = sim_rate(sim, 200);
    spec->timeout_ms = sim_between(sim, 300, 3000);
    spec->tolerable = sim_between(sim, 0, 3);
    spec->n_retained = sim_between(sim, 1, 3);
    spec->restarts = sim_between(sim, 1, 4);
    spec->restart_delay_ms = sim_between(sim, 1, 500);
}

/* Checkpoints, savepoints and now and then a stop. */
void sim_draw_requests(struct sim *sim, uint32_t job, int64_t at_ms)
{
    static const uint32_t kinds[] = {0, CHECKPOINT_SAVEPOINT, CHECKPOINT_SAVEPOINT, CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP};
    for (uint32_t i = sim_rate(sim, 3); i > 0; i--)
        sim_push(sim, (struct sim_event){.at_ms = at_ms + (int64_t)sim_random(sim, 5000),
                                         .kind = SIM_EV_REQUEST,
                                         .what = job,
                                         .how = sim_random(sim, 4) ? kinds[sim_random(sim, 4)] : SIM_REPEAT});
}

static void draw_jobs(struct sim *sim, int64_t rage_ms)
{
    sim->n_jobs = sim_between(sim, 1, 12);
    uint32_t bad = sim_rate(sim, 1000);
    for (uint32_t i = 0; i < sim->n_jobs; i++) {
        struct sim_job *job = &sim->jobs[i];
        job->id.bytes[3] = (uint8_t)(i + 1);
        job->id.bytes[15] = 1;
        job->spec =
            (struct sim_spec){.parallelism = sim_between(sim, 1, 6),
                              .n_splits = sim_between(sim, 0, 16),
                              .plugin = (uint32_t)sim_random(sim, 10) ? sim_between(sim, 0, 1) : sim_between(sim, 2, SIM_PLUGINS - 1),
                              .describe_ms = sim_between(sim, 1, 800),
                              .step_ms = sim_between(sim, 1, 400),
                              .run_ms = sim_between(sim, 1, 4000)};
        if (!sim_random(sim, 12)) job->spec.describe = (enum sim_describe)sim_random(sim, SIM_DESCRIBES);
        if (sim_chance(sim, bad)) job->spec.fate = (enum sim_fate)sim_random(sim, SIM_FATES);
        job->spec.fate_worker = sim_between(sim, 0, 2);
        draw_recovery(sim, &job->spec);
        int64_t at_ms = (int64_t)sim_random(sim, (uint64_t)rage_ms);
        sim_push(sim, (struct sim_event){.at_ms = at_ms, .kind = SIM_EV_SUBMIT, .what = i});
        sim_draw_requests(sim, i, at_ms);
        if (sim_random(sim, 4)) continue;
        sim_push(sim, (struct sim_event){.at_ms = at_ms + (int64_t)sim_random(sim, 6000), .kind = SIM_EV_CANCEL, .what = i});
    }
}

static struct sim_event trouble(struct sim *sim, enum sim_kind kind, int64_t rage_ms)
{
    struct sim_event ev = {.at_ms = (int64_t)sim_random(sim, (uint64_t)rage_ms), .kind = kind};
    ev.tm = (uint32_t)sim_random(sim, SIM_TMS);
    if (sim->ens) ev.jm = (uint32_t)sim_random(sim, sim->n_jms);
    ev.ref = sim_random(sim, 5000); /* of a pause: its length */
    return ev;
}

/* The same event later, as its end. */
static struct sim_event later(struct sim *sim, struct sim_event ev, enum sim_kind kind)
{
    ev.at_ms += (int64_t)sim_random(sim, 6000);
    ev.kind = kind;
    ev.how = 0;
    return ev;
}

void sim_draw_trouble(struct sim *sim, int64_t rage_ms)
{
    for (uint32_t i = sim_rate(sim, 4); i > 0; i--) {
        struct sim_event crash = trouble(sim, SIM_EV_CRASH, rage_ms);
        sim_push(sim, crash);
        sim_push(sim, later(sim, crash, SIM_EV_START));
    }
    for (uint32_t i = sim_rate(sim, 4); i > 0; i--) {
        struct sim_event cut = trouble(sim, SIM_EV_CUT, rage_ms);
        cut.how = 1 + (uint32_t)sim_random(sim, 3); /* 1: to it, 2: from it, 3: both */
        sim_push(sim, cut);
        sim_push(sim, later(sim, cut, SIM_EV_CUT));
    }
    for (uint32_t i = sim_rate(sim, 3); i > 0; i--) sim_push(sim, trouble(sim, SIM_EV_PAUSE, rage_ms));
    if (!sim_random(sim, 6)) sim_push(sim, trouble(sim, SIM_EV_JM_PAUSE, rage_ms));
    if (sim->ens) return; /* its faults are others */
    for (uint32_t i = sim_random(sim, 3) ? 0 : sim_between(sim, 1, 3); i > 0; i--) sim_push(sim, trouble(sim, SIM_EV_JM_RESTART, rage_ms));
}

/* Peers suffer as in a world of their own, but for changes of members. */
static void draw_ensemble(struct sim *sim, int64_t rage_ms)
{
    struct ens draw = {.random = sim_random(sim, UINT64_MAX)};
    struct ens_config c = fault_draw(&draw);
    if (c.n_voters == 1) c.n_voters = 3;
    c.n_members = c.n_peers = c.n_voters;
    sim->config.node_bytes = sim_random(sim, 2) ? sim_between(sim, 30, 300) : 0;
    leaders_new(sim, &c);
    fault_schedule(sim->ens, ENS_EV_FAULT, c.faults, 0, rage_ms);
}

/* All else is well: no packet is lost, doubled or overtaken, no job is bad, and there is time to find who leads. */
static void spare(struct sim *sim)
{
    struct sim_config *c = &sim->config;
    sim->spared = true;
    c->delay_ms = 1;
    c->loss = c->doubled = c->slow = c->store_fails = c->storage_fails = c->lies = 0;
    c->reconcile_ms = 40000;
    c->leader_wait_ms = 60000;
    c->start_timeout_ms = c->ready_timeout_ms = c->describe_timeout_ms = c->slot_wait_ms = 30000;
    for (uint32_t i = 0; i < sim->n_jobs; i++) {
        struct sim_spec *spec = &sim->jobs[i].spec;
        spec->describe = SIM_DESCRIBE_WELL;
        spec->fate = SIM_GOOD;
        if (!spec->interval_ms) spec->interval_ms = 100;
        spec->timeout_ms = 20000;
        spec->tolerable = 1000;
        spec->parallelism = 1 + i % SIM_TMS;
    }
}

static void rage(struct sim *sim, int64_t ms)
{
    for (int64_t end = sim->now_ms + ms; !sim->violated && sim->now_ms < end;) {
        sim_run(sim, sim->ens ? 1 + (int64_t)sim_random(sim, 200) : ms);
        if (sim->ens) fault_snapshot(sim->ens);
    }
}

/*
 * Well is more than quiet: a job is taken, completes checkpoints, and ends. A TaskManager may still be stopped, hence the restart; or the
 * JobManager that leads, and then another one does who knows nothing of a job that nobody was told is accepted. It is submitted again.
 */
static void prove_well(struct sim *sim)
{
    static const struct sim_spec spec = {.parallelism = 2,
                                         .n_splits = 3,
                                         .describe_ms = 20,
                                         .step_ms = 5,
                                         .run_ms = 3000,
                                         .interval_ms = 100,
                                         .restarts = 3,
                                         .restart_delay_ms = 10};
    uint64_t completed = sim->n_completed;
    uint32_t job = sim_submit(sim, &spec);
    bool ends = sim_run_until(sim, job, JOB_FINISHED, 60000);
    if (!ends && !sim->jobs[job].accepted) ends = sim_run_until(sim, sim_submit(sim, &spec), JOB_FINISHED, 60000);
    if (!ends && !sim->violated) sim_violate(sim, "all is well, and a job does not finish");
    if (sim->n_completed < completed + 2) sim_violate(sim, "all is well, and no checkpoint completes");
    sim_run(sim, 1000);
    if (!sim->violated) leaders_check_parts(sim);
}

void sim_draw(struct sim **out, uint64_t seed, bool ensemble, bool print)
{
    struct sim *sim = sim_new_world(seed);
    sim->print = print;
    int64_t rage_ms = (int64_t)sim_between(sim, 3000, 12000);
    sim_draw_config(sim);
    if (ensemble) draw_ensemble(sim, rage_ms);
    draw_jobs(sim, rage_ms);
    if (ensemble && sim_random(sim, 2))
        spare(sim);
    else
        sim_draw_trouble(sim, rage_ms);
    sim_start_all(sim);
    rage(sim, rage_ms);
    if (!sim->violated) sim_heal(sim, 60000 + sim->config.reconcile_ms); /* so long an attempt waits for workers that are no more */
    if (!sim->violated && ensemble) prove_well(sim);
    *out = sim;
}
