/* SPDX-License-Identifier: Apache-2.0 */
/* Who lives in the world: the two drivers, the network between them, describing processes, the artifact store, workers, users. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/wire/link.h"
#include "tests/sim/world.h"

void *actors_copy(const void *data, size_t len)
{
    void *p = malloc(len ? len : 1);
    WEIR_ASSERT(p);
    if (len) memcpy(p, data, len);
    return p;
}

struct weir_id actors_random_id(struct sim *sim)
{
    struct weir_id id;
    uint64_t a = sim_random(sim, UINT64_MAX), b = sim_random(sim, UINT64_MAX);
    memcpy(id.bytes, &a, 8);
    memcpy(id.bytes + 8, &b, 8);
    return id;
}

struct sim_tm_name sim_tm_name(uint32_t tm)
{
    struct sim_tm_name name;
    snprintf(name.text, sizeof name.text, "tm-%u", (tm + 1) % 10);
    return name;
}

/* ---- the network ---- */

static const char *packet_type(const void *data, size_t len, enum wire_type *type)
{
    struct wire_msg msg;
    *type = 0;
    if (len <= LINK_HEADER_BYTES || wire_msg_decode(&msg, (const unsigned char *)data + LINK_HEADER_BYTES, len - LINK_HEADER_BYTES, NULL))
        return "";
    *type = msg.type;
    wire_msg_close(&msg);
    return wire_type_name(*type);
}

/* Does the story want this packet lost? */
static bool dropped_by_hand(struct sim *sim, uint32_t tm, const void *data, size_t len)
{
    enum wire_type type;
    if (!sim->drop_n || sim->drop_tm != tm) return false;
    const char *name = packet_type(data, len, &type);
    if (type != sim->drop_type) return false;
    sim->drop_n--;
    sim_trace(sim, "network loses %s", name);
    return true;
}

static void deliver(struct sim *sim, struct sim_event *ev, const void *data, size_t len)
{
    uint32_t longest = sim_chance(sim, sim->config.slow) ? sim->config.slow_ms : sim->config.delay_ms;
    ev->at_ms = sim->now_ms + sim_delay(sim, longest);
    ev->data = actors_copy(data, len);
    ev->len = len;
    sim_push(sim, *ev);
}

/* Puts a packet of or for a TaskManager on the network. */
static void transmit(struct sim *sim, struct sim_event *ev, bool cut, const void *data, size_t len)
{
    sim_fold(sim, hash64(data, len));
    if (cut || dropped_by_hand(sim, ev->tm, data, len) || sim_chance(sim, sim->config.loss)) return;
    deliver(sim, ev, data, len);
    if (sim_chance(sim, sim->config.doubled)) deliver(sim, ev, data, len);
}

/* ---- steps ---- */

static void perform_jobmanager(struct sim_jobmanager *jm);
static void perform_taskmanager(struct sim *sim, uint32_t tm);

static void arm_jobmanager(struct sim_jobmanager *jm, int64_t at_ms)
{
    struct sim *sim = jm->world;
    if (jm->peer && leaders_deadline_ms(jm) < at_ms) at_ms = leaders_deadline_ms(jm);
    if (at_ms == jm->wake_ms || at_ms == INT64_MAX) return;
    jm->wake_ms = at_ms;
    sim_push(sim,
             (struct sim_event){
                 .at_ms = at_ms > sim->now_ms ? at_ms : sim->now_ms, .kind = SIM_EV_JM_TICK, .jm = jm->index, .offset = (uint64_t)at_ms});
}

void actors_step_jobmanager(struct sim_jobmanager *jm, struct master_event *ev)
{
    struct sim *sim = jm->world;
    ev->now_ms = sim->now_ms;
    ev->wall_ms = sim->now_ms;
    master_step(jm->core, ev, &sim->jm_actions);
    perform_jobmanager(jm);
    if (jm->core == sim->jm) check_jobmanager(sim);
    if (jm->peer) leaders_say(jm);
    arm_jobmanager(jm, sim->jm_actions.deadline_ms);
}

void actors_step_taskmanager(struct sim *sim, uint32_t tm, struct supervisor_event *ev)
{
    struct sim_taskmanager *t = &sim->tms[tm];
    ev->now_ms = sim->now_ms;
    supervisor_step(t->core, ev, &sim->tm_actions);
    int64_t at_ms = sim->tm_actions.deadline_ms;
    perform_taskmanager(sim, tm);
    if (!t->core) return; /* EXIT */
    check_taskmanager(sim, tm);
    if (at_ms == t->wake_ms || at_ms == INT64_MAX) return;
    t->wake_ms = at_ms;
    sim_push(sim, (struct sim_event){.at_ms = at_ms > sim->now_ms ? at_ms : sim->now_ms,
                                     .kind = SIM_EV_TM_TICK,
                                     .tm = tm,
                                     .life = t->life,
                                     .offset = (uint64_t)at_ms});
}

void actors_tick_jobmanager(struct sim_jobmanager *jm)
{
    struct master_event me = {.type = MASTER_EV_TICK};
    actors_step_jobmanager(jm, &me);
}

/* ---- the JobManager's driver ---- */

static void jm_line(void *arg, bool notable, const char *line)
{
    const struct sim_jobmanager *jm = arg;
    if (jm->peer)
        sim_trace(jm->world, notable ? "jm-%" PRIu32 " | %s" : "jm-%" PRIu32 "   %s", jm->index + 1, line);
    else
        sim_trace(jm->world, notable ? "jm | %s" : "jm   %s", line);
}

void actors_start_master(struct sim_jobmanager *jm, uint64_t epoch, const char *leader, const struct master_listed *listed, uint32_t n)
{
    struct sim *sim = jm->world;
    const struct sim_config *c = &sim->config;
    struct master_config config = {.incarnation = actors_random_id(sim),
                                   .epoch = epoch,
                                   .leader = leader,
                                   .version = "sim",
                                   .heartbeat_ms = c->heartbeat_ms,
                                   .heartbeat_timeout_ms = c->heartbeat_timeout_ms,
                                   .retransmit_ms = c->retransmit_ms,
                                   .slot_wait_ms = c->slot_wait_ms,
                                   .describe_timeout_ms = c->describe_timeout_ms,
                                   .start_timeout_ms = c->start_timeout_ms,
                                   .reconcile_ms = c->reconcile_ms,
                                   .checkpoint_dir = "/c",
                                   .trace = jm_line,
                                   .trace_arg = jm};
    struct master_event found = {.type = MASTER_EV_LISTED, .listed = {.n = n, .at = listed}};
    if (jm->core && jm->core == sim->jm) sim->jm = NULL;
    master_destroy(&jm->core);
    master_new(&jm->core, &config, sim->now_ms);
    jm->epoch = epoch;
    jm->wake_ms = INT64_MIN;
    bool leads = epoch && epoch >= sim->epoch; /* a lower one was stopped since its claim, and hears in a moment that it is over */
    if (leads) {
        sim->leader = jm->index;
        sim->jm = jm->core;
        sim->epoch = epoch;
        for (uint32_t i = 0; i < sim->n_jobs; i++) sim->jobs[i].forgotten |= sim->jobs[i].submitted; /* until it is seen again */
    }
    if (epoch) {
        actors_step_jobmanager(jm, &found);
        if (sim->jm_actions.answer.code) sim_violate(sim, "the catalog cannot be read: %s", sim->jm_actions.answer.text);
    }
    actors_tick_jobmanager(jm);
    if (leads) check_leader(sim);
}

static void describe(struct sim_jobmanager *jm, const struct job *job)
{
    struct sim *sim = jm->world;
    uint32_t index = (uint32_t)sim_find_job(sim, job->id);
    const struct sim_spec *spec = &sim->jobs[index].spec;
    if (spec->describe == SIM_DESCRIBE_NEVER) return;
    sim_push(sim, (struct sim_event){.at_ms = sim->now_ms + sim_delay(sim, spec->describe_ms),
                                     .kind = SIM_EV_DESCRIBED,
                                     .jm = jm->index,
                                     .what = index,
                                     .ref = jm->epoch});
}

/* A user is told that the job is in the catalog; or whether it will be canceled. From then on that is true, unless it had failed before. */
static void hear_accepted(struct sim_jobmanager *jm, const struct master_action *a)
{
    struct sim_job *mine = &jm->world->jobs[sim_find_job(jm->world, a->accepted.job)];
    enum job_state state = master_job_find(jm->core, a->accepted.job)->state;
    if (a->accepted.err) return;
    mine->accepted |= a->accepted.key == JOB_KEY_SUBMISSION; /* a job that was refused may be canceled, and is lost all the same */
    for (uint32_t i = 0; i < mine->n_requests && a->accepted.key == JOB_KEY_REQUESTS; i++)
        mine->requests[i].accepted |= id_equal(mine->requests[i].id, a->accepted.request);
    if (a->accepted.key != JOB_KEY_CANCEL) return;
    if (state != JOB_CANCELLING && state != JOB_CANCELED && state != JOB_FAILING)
        sim_violate(jm->world, "a cancel was accepted and has no effect");
    mine->canceled |= state != JOB_FAILING;
}

static void send_to_taskmanager(struct sim_jobmanager *jm, const struct master_action *a)
{
    struct sim *sim = jm->world;
    struct sim_event ev = {.kind = SIM_EV_TM_PACKET, .jm = jm->index, .life = (uint32_t)a->send.route, .ref = jm->epoch};
    ev.tm = (uint32_t)(a->send.route >> 32) % SIM_TMS;
    transmit(sim, &ev, sim->tms[ev.tm].cut_in, a->send.data.data, a->send.data.length);
}

/* Chunks are read one after the other. */
static void read_chunk(struct sim_jobmanager *jm, const struct master_action *a)
{
    struct sim *sim = jm->world;
    int64_t at_ms = sim->now_ms + sim_delay(sim, 5);
    if (at_ms < jm->chunk_ms) at_ms = jm->chunk_ms;
    jm->chunk_ms = at_ms;
    sim_push(sim, (struct sim_event){.at_ms = at_ms,
                                     .kind = SIM_EV_CHUNK,
                                     .jm = jm->index,
                                     .ref = a->read_chunk.reader,
                                     .life = (uint32_t)jm->epoch,
                                     .what = sim_plugin_of(a->read_chunk.digest),
                                     .offset = a->read_chunk.offset});
}

static void perform_jobmanager(struct sim_jobmanager *jm)
{
    struct sim *sim = jm->world;
    for (uint32_t i = 0; i < sim->jm_actions.n; i++) {
        const struct master_action *a = &sim->jm_actions.at[i];
        switch (a->type) {
        case MASTER_DO_SEND: send_to_taskmanager(jm, a); break;
        case MASTER_DO_DESCRIBE: describe(jm, a->describe.job); break;
        case MASTER_DO_STOP_DESCRIBE: sim->jobs[sim_find_job(sim, a->stop_describe.job)].describe_stopped = true; break;
        case MASTER_DO_READ_CHUNK: read_chunk(jm, a); break;
        case MASTER_DO_ACCEPTED: hear_accepted(jm, a); break;
        case MASTER_DO_CATALOG:
            if (jm->peer)
                leaders_order(jm, &a->catalog);
            else
                durable_order(sim, &a->catalog);
            break;
        case MASTER_DO_STORAGE: durable_storage(jm, a); break;
        case MASTER_DO_LEAD_ANEW:
            if (jm->peer)
                leaders_anew(jm);
            else
                sim_push(sim, (struct sim_event){.at_ms = sim->now_ms, .kind = SIM_EV_JM_RESTART});
            break;
        case MASTER_DO_JOB_ENDED:
            if (jm->core == sim->jm) sim->jobs[sim_find_job(sim, a->job_ended.job->id)].n_ended++;
            break;
        case MASTER_DO_FORGET_LIVE:     /* nobody configures */
        case MASTER_DO_ARTIFACT: break; /* nobody uploads */
        }
    }
}

/* source -> map -> (by key) sink; or a circle, which the plan refuses. */
static void make_graph(const struct sim_spec *spec, struct graph *out)
{
    static const char bytes[64];
    struct weir_bytes splits[64];
    struct graph_input to_map[2] = {{.node = 0, .partition = GRAPH_FORWARD, .way = ""}, {.node = 1, .partition = GRAPH_FORWARD, .way = ""}};
    struct graph_input to_sink = {.node = 1, .partition = GRAPH_KEY, .way = "by_key"};
    struct graph_node nodes[3] = {
        {.id = "read", .name = "source", .kind = GRAPH_SOURCE, .n_outputs = 1, .n_splits = spec->n_splits, .splits = splits},
        {.id = "parse", .name = "map", .kind = GRAPH_STEP, .chain = true, .n_ports = 1, .n_outputs = 1, .n_inputs = 1, .inputs = to_map},
        {.id = "write", .name = "sink", .kind = GRAPH_SINK, .n_ports = 1, .n_inputs = 1, .inputs = &to_sink},
    };
    if (spec->describe == SIM_DESCRIBE_CYCLE) nodes[1].n_inputs = 2;
    for (uint32_t i = 0; i < spec->n_splits; i++) splits[i] = (struct weir_bytes){bytes, i};
    struct graph graph = {.name = "sim", .n_nodes = 3, .nodes = nodes};
    struct buffer encoded;
    buffer_init(&encoded, 0);
    weir_err err = graph_encode(&graph, &encoded);
    WEIR_ASSERT(!err);
    err = graph_decode(out, encoded.data, encoded.len, NULL);
    WEIR_ASSERT(!err);
    buffer_close(&encoded);
}

static void on_described(struct sim *sim, const struct sim_event *ev)
{
    struct sim_job *job = &sim->jobs[ev->what];
    struct sim_jobmanager *jm = &sim->jms[ev->jm];
    if (!jm->core || ev->ref != jm->epoch) return;
    if (job->describe_stopped && !sim_chance(sim, 500)) return; /* the kill came too late now and then */
    struct master_event me = {.type = MASTER_EV_DESCRIBED};
    struct graph graph = {0};
    me.described.job = job->id;
    if (job->spec.describe == SIM_DESCRIBE_FAILS) {
        me.described.err = WEIR_E_ABI;
        me.described.reason = "the plugin was built for another Weir";
    } else {
        if (sim->engine)
            sim->engine->describe(&job->spec, &graph);
        else
            make_graph(&job->spec, &graph);
        me.described.graph = &graph;
    }
    actors_step_jobmanager(jm, &me);
    if (graph.arena.blocks) sim_violate(sim, "the graph was not taken");
}

static void on_chunk(struct sim *sim, const struct sim_event *ev)
{
    static const unsigned char bytes[WEIR_CHUNK_BYTES];
    uint32_t size = sim_plugin_bytes(ev->what);
    struct sim_jobmanager *jm = &sim->jms[ev->jm];
    if (!jm->core || ev->life != (uint32_t)jm->epoch) return;
    struct master_event me = {.type = MASTER_EV_CHUNK};
    me.chunk.reader = ev->ref;
    me.chunk.digest = sim_plugin_digest(ev->what);
    me.chunk.offset = ev->offset;
    me.chunk.total = sim_chance(sim, sim->config.store_fails) || ev->offset >= size ? 0 : size;
    uint64_t left = size - ev->offset;
    me.chunk.data = (struct weir_bytes){bytes, (uint32_t)(left < WEIR_CHUNK_BYTES ? left : WEIR_CHUNK_BYTES)};
    actors_step_jobmanager(jm, &me);
}

static void on_jm_packet(struct sim *sim, const struct sim_event *ev)
{
    struct master_event me = {.type = MASTER_EV_PACKET};
    me.packet.route = ev->ref;
    me.packet.data = (struct weir_bytes){ev->data, (uint32_t)ev->len};
    if (sim->jms[ev->jm].core) actors_step_jobmanager(&sim->jms[ev->jm], &me);
}

/* ---- users: they ask the JobManager that leads ---- */

enum { OPTIONS = 9, RESTORE_TIMEOUT_MS = 4000 };
struct option_texts {
    char text[OPTIONS][16];
    struct job_option at[OPTIONS];
};

static uint32_t make_options(const struct sim_spec *spec, struct option_texts *out)
{
    const struct {
        const char *key, *unit;
        uint32_t value;
    } numbers[] = {
        {"execution.checkpointing.interval", "ms", spec->interval_ms},
        {"execution.checkpointing.min-pause", "ms", spec->min_pause_ms},
        {"execution.checkpointing.timeout", "ms", spec->timeout_ms ? spec->timeout_ms : 10000},
        {"execution.checkpointing.tolerable-failed-checkpoints", "", spec->tolerable},
        {"execution.state-recovery.timeout", "ms", RESTORE_TIMEOUT_MS},
        {"state.checkpoints.num-retained", "", spec->n_retained ? spec->n_retained : 1},
        {"restart-strategy.fixed-delay.attempts", "", spec->restarts},
        {"restart-strategy.fixed-delay.delay", "ms", spec->restart_delay_ms},
    };
    uint32_t n = 0;
    for (; n < sizeof numbers / sizeof numbers[0]; n++) {
        snprintf(out->text[n], sizeof out->text[n], "%u%s", numbers[n].value, numbers[n].unit);
        out->at[n] = (struct job_option){numbers[n].key, out->text[n]};
    }
    out->at[n++] = (struct job_option){"restart-strategy.type", spec->restarts ? "fixed-delay" : "none"};
    return n;
}

void actors_submit(struct sim *sim, uint32_t index)
{
    static const char *const args[] = {"sim", "--input", "x"};
    struct sim_job *job = &sim->jobs[index];
    struct master_event me = {.type = MASTER_EV_SUBMIT};
    struct option_texts options;
    me.submit = (struct job_submission){.id = job->id,
                                        .digest = sim_plugin_digest(job->spec.plugin),
                                        .size = sim_plugin_bytes(job->spec.plugin),
                                        .name = "",
                                        .cwd = "/",
                                        .parallelism = job->spec.parallelism,
                                        .progress_timeout_ms = sim->config.progress_timeout_ms,
                                        .n_args = 3,
                                        .args = args,
                                        .n_options = make_options(&job->spec, &options),
                                        .options = options.at};
    job->submitted = true;
    job->state = JOB_INITIALIZING;
    actors_step_jobmanager(&sim->jms[sim->leader], &me);
    if (sim->jm_actions.answer.code) sim_violate(sim, "SUBMIT was refused: %s", sim->jm_actions.answer.text);
}

static struct sim_request *new_request(struct sim *sim, uint32_t index, uint32_t options)
{
    struct sim_job *job = &sim->jobs[index];
    WEIR_ASSERT(job->n_requests < SIM_REQUESTS_MAX);
    struct sim_request *r = &job->requests[job->n_requests++];
    *r = (struct sim_request){.id = actors_random_id(sim), .options = options};
    snprintf(r->path, sizeof r->path, "/s/%u-%u", index + 1, job->n_requests); /* each has its own */
    return r;
}

weir_err actors_request(struct sim *sim, uint32_t index, uint32_t options)
{
    return actors_request_as(sim, index, new_request(sim, index, options));
}

void actors_repeat_request(struct sim *sim, uint32_t index)
{
    struct sim_job *job = &sim->jobs[index];
    if (job->n_requests) (void)actors_request_as(sim, index, &job->requests[sim_random(sim, job->n_requests)]);
}

weir_err actors_request_as(struct sim *sim, uint32_t index, const struct sim_request *request)
{
    static const char *const kinds[] = {"a checkpoint", "a savepoint", "", "a stop"};
    struct master_event me = {.type = MASTER_EV_REQUEST};
    uint32_t options = request->options;
    me.request.job = sim->jobs[index].id;
    me.request.request.id = request->id;
    me.request.request.options = options;
    snprintf(me.request.request.path, sizeof me.request.request.path, "%s", request->path);
    sim_trace(sim, "user asks job %08" PRIu32 " for %s", index + 1, kinds[options & 3]);
    actors_step_jobmanager(&sim->jms[sim->leader], &me);
    weir_err answer = sim->jm_actions.answer.code;
    sim_trace(sim, "jm answers: %s", answer ? sim->jm_actions.answer.text : "OK");
    sim->jobs[index].stop_asked |= !answer && (options & CHECKPOINT_STOP);
    return answer;
}

weir_err actors_cancel(struct sim *sim, uint32_t index)
{
    struct master_event me = {.type = MASTER_EV_CANCEL};
    me.cancel.job = sim->jobs[index].id;
    sim_trace(sim, "user cancels job %08" PRIu32, index + 1);
    sim->jobs[index].cancel_asked = true;
    actors_step_jobmanager(&sim->jms[sim->leader], &me);
    weir_err answer = sim->jm_actions.answer.code;
    sim_trace(sim, "jm answers: %s", answer ? sim->jm_actions.answer.text : "OK");
    return answer;
}

/* ---- the TaskManager's driver ---- */

static void tm_line(void *arg, bool notable, const char *line)
{
    const struct sim_taskmanager *t = arg;
    sim_trace(t->world, notable ? "%s | %s" : "%s   %s", sim_tm_name((uint32_t)(t - t->world->tms)).text, line);
}

void actors_start(struct sim *sim, uint32_t tm)
{
    struct sim_taskmanager *t = &sim->tms[tm];
    const struct sim_config *c = &sim->config;
    if (t->core) return;
    struct sim_tm_name name = sim_tm_name(tm);
    t->world = sim;
    struct supervisor_config config = {.taskmanager = name.text,
                                       .host = "host",
                                       .version = "sim",
                                       .slots = c->slots[tm],
                                       .pid = ++t->life,
                                       .incarnation = actors_random_id(sim),
                                       .heartbeat_ms = c->heartbeat_ms,
                                       .heartbeat_timeout_ms = c->heartbeat_timeout_ms,
                                       .retransmit_ms = c->retransmit_ms,
                                       .worker_silence_ms = c->worker_silence_ms,
                                       .cancel_timeout_ms = c->cancel_timeout_ms,
                                       .ready_timeout_ms = c->ready_timeout_ms,
                                       .leader_wait_ms = c->leader_wait_ms,
                                       .trace = tm_line,
                                       .trace_arg = t};
    sim_trace(sim, "%s starts", name.text);
    t->wake_ms = INT64_MIN;
    t->obeyed = 0;
    memset(t->stored, 0, sizeof t->stored);
    supervisor_new(&t->core, &config, sim->now_ms);
    for (uint32_t p = 0; p < SIM_PLUGINS; p++) {
        if (!t->cached[p]) continue;
        struct supervisor_event found = {.type = SUPERVISOR_EV_ARTIFACT_READY};
        found.artifact.digest = sim_plugin_digest(p);
        actors_step_taskmanager(sim, tm, &found);
    }
    struct supervisor_event se = {.type = SUPERVISOR_EV_TICK};
    actors_step_taskmanager(sim, tm, &se);
}

/* Its workers die with it: the kernel sees to that. */
void actors_crash(struct sim *sim, uint32_t tm)
{
    struct sim_taskmanager *t = &sim->tms[tm];
    if (!t->core) return;
    sim_trace(sim, "%s crashes", sim_tm_name(tm).text);
    supervisor_destroy(&t->core);
    t->paused_ms = 0;
    for (uint32_t i = 0; i < sim->n_processes; i++)
        if (sim->processes[i].tm == tm) workers_vanish(sim, i);
}

void actors_stop(struct sim *sim, uint32_t tm)
{
    struct supervisor_event se = {.type = SUPERVISOR_EV_STOP};
    se.stop.reason = "SIGTERM";
    if (sim->tms[tm].core) actors_step_taskmanager(sim, tm, &se);
}

static void store_chunk(struct sim *sim, uint32_t tm, const struct supervisor_action *a)
{
    uint32_t plugin = sim_plugin_of(a->store_chunk.digest);
    uint64_t *stored = &sim->tms[tm].stored[plugin];
    if (!a->store_chunk.offset) *stored = 0;
    if (*stored != a->store_chunk.offset || a->store_chunk.total != sim_plugin_bytes(plugin)) sim_violate(sim, "chunks out of order");
    *stored += a->store_chunk.data.length;
    if (*stored < a->store_chunk.total) return;
    sim_push(sim,
             (struct sim_event){
                 .at_ms = sim->now_ms + sim_delay(sim, 20), .kind = SIM_EV_STORED, .tm = tm, .life = sim->tms[tm].life, .what = plugin});
}

static void leave(struct sim *sim, uint32_t tm, const struct supervisor_action *a)
{
    sim_trace(sim, "%s exits: %s", sim_tm_name(tm).text, a->exit.reason);
    actors_crash(sim, tm); /* whoever looks after the machine starts it again */
    sim_push(sim, (struct sim_event){.at_ms = sim->now_ms + 500, .kind = SIM_EV_START, .tm = tm});
}

/* leader: "jm-2", or "": the next one. */
static void connect_taskmanager(struct sim *sim, struct sim_taskmanager *t, const char *leader)
{
    uint32_t tm = (uint32_t)(t - sim->tms);
    t->jm = *leader ? (uint32_t)(leader[3] - '1') : (t->jm + 1) % sim->n_jms;
    t->route = (uint64_t)(tm + SIM_TMS * ++sim->last_route) << 32 | t->life;
}

static void perform_taskmanager(struct sim *sim, uint32_t tm)
{
    struct sim_taskmanager *t = &sim->tms[tm];
    for (uint32_t i = 0; i < sim->tm_actions.n && t->core; i++) {
        const struct supervisor_action *a = &sim->tm_actions.at[i];
        struct sim_event ev = {.kind = SIM_EV_JM_PACKET, .jm = t->jm, .tm = tm, .ref = t->route};
        struct sim_process *p;
        switch (a->type) {
        case SUPERVISOR_DO_SEND: transmit(sim, &ev, t->cut_out, a->send.data.data, a->send.data.length); break;
        case SUPERVISOR_DO_RECONNECT: connect_taskmanager(sim, t, a->reconnect.endpoint); break;
        case SUPERVISOR_DO_SPAWN: workers_start(sim, tm, a); break;
        case SUPERVISOR_DO_KILL:
            p = workers_find(sim, tm, a->kill.job, a->kill.attempt);
            if (!p)
                sim_violate(sim, "%s kills a worker that it never started", sim_tm_name(tm).text);
            else
                workers_act_later(sim, (uint32_t)(p - sim->processes), SIM_ACT_EXIT, sim->now_ms + sim_delay(sim, 3));
            break;
        case SUPERVISOR_DO_TO_WORKER: workers_order(sim, tm, a); break;
        case SUPERVISOR_DO_STORE_CHUNK: store_chunk(sim, tm, a); break;
        case SUPERVISOR_DO_DROP_ARTIFACT: t->cached[sim_plugin_of(a->drop_artifact.digest)] = false; break;
        case SUPERVISOR_DO_FORGET_JOB:       /* nothing is kept in the simulation ... */
        case SUPERVISOR_DO_LOG_LEVEL: break; /* ... or written */
        case SUPERVISOR_DO_EXIT: leave(sim, tm, a); break;
        }
    }
}

static void on_stored(struct sim *sim, const struct sim_event *ev)
{
    struct supervisor_event se = {.type = SUPERVISOR_EV_ARTIFACT_READY};
    bool fails = sim_chance(sim, sim->config.store_fails);
    if (fails) se.type = SUPERVISOR_EV_ARTIFACT_FAILED;
    if (fails) se.artifact.err = WEIR_E_CORRUPT;
    se.artifact.reason = "the digest of the plugin differs";
    se.artifact.digest = sim_plugin_digest(ev->what);
    sim->tms[ev->tm].cached[ev->what] = !fails;
    actors_step_taskmanager(sim, ev->tm, &se);
}

/* ---- dispatch ---- */

/* Did the packet that was just taken have an effect? Of a leader before one that had, none may. */
static void check_fence(struct sim *sim, struct sim_taskmanager *t, uint64_t epoch)
{
    bool effect = false;
    for (uint32_t i = 0; i < sim->tm_actions.n; i++) {
        enum supervisor_action_type type = sim->tm_actions.at[i].type;
        effect |= type == SUPERVISOR_DO_SPAWN || type == SUPERVISOR_DO_TO_WORKER || type == SUPERVISOR_DO_FORGET_JOB;
    }
    if (!effect) return;
    if (epoch < t->obeyed)
        sim_violate(sim, "%s obeys an order of epoch %" PRIu64 " after one of epoch %" PRIu64, sim_tm_name((uint32_t)(t - sim->tms)).text,
                    epoch, t->obeyed);
    t->obeyed = epoch;
}

static void on_tm_event(struct sim *sim, struct sim_event *ev)
{
    struct sim_taskmanager *t = &sim->tms[ev->tm];
    if (!t->core || t->life != ev->life) return; /* it was for one that has crashed */
    struct supervisor_event se = {.type = SUPERVISOR_EV_TICK};
    switch (ev->kind) {
    case SIM_EV_TM_TICK:
        if (t->wake_ms != (int64_t)ev->offset) return; /* it was woken by something else since */
        t->wake_ms = INT64_MIN;
        actors_step_taskmanager(sim, ev->tm, &se);
        return;
    case SIM_EV_TM_PACKET:
        se.type = SUPERVISOR_EV_PACKET;
        se.packet.data = (struct weir_bytes){ev->data, (uint32_t)ev->len};
        actors_step_taskmanager(sim, ev->tm, &se);
        check_fence(sim, t, ev->ref);
        return;
    case SIM_EV_STORED: on_stored(sim, ev); return;
    default: workers_on_event(sim, ev); return;
    }
}

/* Who asks in vain for a leader asks again. */
static void on_user(struct sim *sim, const struct sim_event *ev)
{
    if (!sim->jm) {
        struct sim_event again = *ev;
        again.at_ms = sim->now_ms + 100;
        sim_push(sim, again);
        return;
    }
    if (ev->kind == SIM_EV_SUBMIT)
        actors_submit(sim, ev->what);
    else if (sim->jobs[ev->what].submitted && ev->kind == SIM_EV_CANCEL)
        actors_cancel(sim, ev->what);
    else if (sim->jobs[ev->what].submitted && ev->how == SIM_REPEAT)
        actors_repeat_request(sim, ev->what);
    else if (sim->jobs[ev->what].submitted)
        actors_request(sim, ev->what, ev->how);
}

static void on_jm_tick(struct sim_jobmanager *jm, int64_t at_ms)
{
    if (!jm->core || jm->wake_ms != at_ms) return; /* it was woken by something else since */
    jm->wake_ms = INT64_MIN;
    actors_tick_jobmanager(jm);
}

void actors_dispatch(struct sim *sim, struct sim_event *ev)
{
    if (ev->how == UINT32_MAX) return; /* called off by the healing */
    switch (ev->kind) {
    case SIM_EV_JM_TICK: on_jm_tick(&sim->jms[ev->jm], (int64_t)ev->offset); return;
    case SIM_EV_JM_PACKET: on_jm_packet(sim, ev); return;
    case SIM_EV_DESCRIBED: on_described(sim, ev); return;
    case SIM_EV_CHUNK: on_chunk(sim, ev); return;
    case SIM_EV_SUBMIT:
    case SIM_EV_CANCEL:
    case SIM_EV_REQUEST: on_user(sim, ev); return;
    case SIM_EV_JM_NEWS:
    case SIM_EV_PEER_ASK:
    case SIM_EV_SERVER_TICK: leaders_on_event(sim, ev); return;
    case SIM_EV_CATALOG: durable_on_catalog(sim, ev); return;
    case SIM_EV_STORAGE: durable_on_storage(sim, ev); return;
    case SIM_EV_JM_RESTART: sim_restart_jobmanager(sim); return;
    case SIM_EV_JM_PAUSE: sim->jms[ev->jm].paused_ms = sim->now_ms + (int64_t)ev->ref; return;
    case SIM_EV_CRASH: actors_crash(sim, ev->tm); return;
    case SIM_EV_START: actors_start(sim, ev->tm); return;
    case SIM_EV_PAUSE: sim_pause(sim, ev->tm, (int64_t)ev->ref); return;
    case SIM_EV_CUT: sim_cut(sim, ev->tm, ev->how & 1, ev->how & 2); return;
    case SIM_EV_TM_TICK:
    case SIM_EV_TM_PACKET:
    case SIM_EV_STORED:
    case SIM_EV_PROCESS: on_tm_event(sim, ev); return;
    }
}
