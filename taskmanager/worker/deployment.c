/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/deployment.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/client/coord_task.h"
#include "runtime/base/assert.h"
#include "runtime/base/folder.h"
#include "runtime/operator/window.h"
#include "runtime/state/rocks.h"
#include "runtime/state/slot.h"
#include "taskmanager/worker/channel_faults.h"
#include "taskmanager/worker/describe.h"
#include "taskmanager/worker/order.h"

/* ---- channels --------------------------------------------------------------------------------------------------------------------------
 */

static bool pairs(const struct plan_edge *edge, uint32_t sender, uint32_t receiver)
{
    return edge->partition != GRAPH_FORWARD || sender == receiver;
}

static weir_err make_channel(struct deployment *d, uint32_t id, uint32_t from_worker, uint32_t to_worker, uint32_t remote_window)
{
    if (from_worker != d->worker && to_worker != d->worker) return WEIR_OK;
    struct deployed_channel *slot = &d->channels[id];
    slot->channel = aligned_alloc(64, (sizeof *slot->channel + 63u) & ~(size_t)63u);
    if (!slot->channel) return WEIR_E_NOMEM;
    weir_err err = channel_init(slot->channel, id, from_worker == to_worker ? WEIR_CREDITS_LOCAL : remote_window);
    if (err) return err;
    slot->side = from_worker == to_worker ? SIDE_LOCAL : from_worker == d->worker ? SIDE_SENDER : SIDE_RECEIVER;
    slot->peer = slot->side == SIDE_SENDER ? to_worker : from_worker;
    return WEIR_OK;
}

/* Remote channels into subtask `receiver` of a vertex: both ends of a channel compute its window from this. */
static uint32_t remote_inputs(const struct deployment *d, const struct plan_vertex *v, uint32_t receiver, const uint32_t *slot_worker)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < v->n_in; k++) {
        const struct plan_edge *edge = &d->plan->edges[v->in[k]];
        for (uint32_t i = 0; i < d->plan->vertices[edge->from_vertex].parallelism; i++)
            n += pairs(edge, i, receiver) && slot_worker[i] != slot_worker[receiver];
    }
    return n;
}

static weir_err make_channels(struct deployment *d, const uint32_t *slot_worker)
{
    d->channels = calloc(d->plan->n_channels ? d->plan->n_channels : 1, sizeof *d->channels);
    if (!d->channels) return WEIR_E_NOMEM;
    for (uint32_t e = 0; e < d->plan->n_edges; e++) {
        const struct plan_edge *edge = &d->plan->edges[e];
        uint32_t n_from = d->plan->vertices[edge->from_vertex].parallelism, n_to = d->plan->vertices[edge->to_vertex].parallelism;
        for (uint32_t j = 0; j < n_to; j++) {
            uint32_t window = channel_remote_window(remote_inputs(d, &d->plan->vertices[edge->to_vertex], j, slot_worker));
            for (uint32_t i = 0; i < n_from; i++) {
                if (!pairs(edge, i, j)) continue;
                weir_err err = make_channel(d, plan_channel(d->plan, edge, i, j), slot_worker[i], slot_worker[j], window);
                if (err) return err;
            }
        }
    }
    return WEIR_OK;
}

/* ---- operators -------------------------------------------------------------------------------------------------------------------------
 */

static weir_err spec_of(struct op_spec *out, const struct deployment *d, uint32_t node)
{
    const struct env_node *n = weir_env_node(d->env, node);
    *out = (struct op_spec){.id = n->id, .node = node, .config = n->config, .n_outs = n->n_outputs};
    for (uint32_t i = 0; i < n->n_inputs; i++) out->keyers[n->inputs[i].port] = n->inputs[i].keyer;
    switch (n->kind) {
    case ENV_SOURCE:
        out->kind = OP_SOURCE;
        out->source = n->source;
        break;
    case ENV_OPERATOR:
        out->kind = OP_USER;
        out->table = n->op;
        break;
    case ENV_WATERMARKS:
        out->kind = OP_WATERMARKS;
        out->timestamp = n->timestamp;
        out->watermarks = n->watermarks;
        break;
    case ENV_WINDOW: {
        struct window_config *config = weir_env_alloc(d->env, sizeof *config);
        if (!config) return WEIR_E_NOMEM;
        *config = (struct window_config){.window = n->window, .aggregate = n->aggregate, .function = n->function};
        out->kind = OP_USER;
        out->table = window_operator(&n->window);
        out->config = config;
        break;
    }
    }
    return WEIR_OK;
}

/* What is united must be keyed alike; of two inputs each has rows, and so a keyer, of its own. */
static weir_err check_keyers(const struct deployment *d, struct weir_diag *diag)
{
    for (uint32_t i = 0; i < weir_env_count(d->env); i++) {
        const struct env_node *n = weir_env_node(d->env, i);
        for (uint32_t k = 1; k < n->n_inputs; k++)
            if (n->inputs[k].port == n->inputs[k - 1].port && n->inputs[k].keyer != n->inputs[k - 1].keyer)
                return weir_fail(diag, WEIR_E_GRAPH, "the inputs of operator %s are keyed differently: use one key_by behind the union",
                                 n->id);
    }
    return WEIR_OK;
}

static weir_err add_target(struct op_out *out, struct op_target target)
{
    struct op_target *grown = realloc(out->targets, (out->n_targets + 1) * sizeof *grown);
    if (!grown) return WEIR_E_NOMEM;
    out->targets = grown;
    out->targets[out->n_targets++] = target;
    return WEIR_OK;
}

static weir_err make_edge(struct deployment *d, struct subtask *s, struct edge *edge, const struct plan_edge *plan_edge)
{
    uint32_t n = plan_edge->partition == GRAPH_FORWARD ? 1 : d->plan->vertices[plan_edge->to_vertex].parallelism;
    struct channel **channels = weir_env_alloc(d->env, n * sizeof *channels);
    if (!channels) return WEIR_E_NOMEM;
    for (uint32_t j = 0; j < n; j++)
        channels[j] = d->channels[plan_channel(d->plan, plan_edge, s->index, plan_edge->partition == GRAPH_FORWARD ? s->index : j)].channel;
    const struct plan_vertex *to = &d->plan->vertices[plan_edge->to_vertex];
    const struct env_node *consumer = weir_env_node(d->env, to->ops[0].node);
    WEIR_ASSERT(plan_edge->to_input < consumer->n_inputs);
    const struct env_input *input = &consumer->inputs[plan_edge->to_input];
    const struct edge_way way = {.partition = plan_edge->partition, .keyer = input->keyer, .partitioner = input->partitioner};
    return edge_init(edge, s, &way, n, channels);
}

/* The next edge, in a ring, into the operator of edge k whose channel i leads to the same receiver; NULL: there is none but k. */
static struct edge *next_twin(const struct deployment *d, const struct subtask *s, const struct plan_vertex *v, uint32_t k)
{
    const struct plan_edge *edge = &d->plan->edges[v->out[k]];
    for (uint32_t i = 1; i < v->n_out && edge->partition != GRAPH_REBALANCE; i++) {
        uint32_t other = (k + i) % v->n_out;
        const struct plan_edge *candidate = &d->plan->edges[v->out[other]];
        bool alike = candidate->partition != GRAPH_REBALANCE && s->edges[other].n_channels == s->edges[k].n_channels;
        if (alike && candidate->to_vertex == edge->to_vertex) return &s->edges[other];
    }
    return NULL;
}

/* Only an operator that tells its inputs apart cares whether they drift. */
static void link_twins(const struct deployment *d, struct subtask *s, const struct plan_vertex *v)
{
    for (uint32_t k = 0; k < v->n_out; k++) {
        const struct plan_vertex *to = &d->plan->vertices[d->plan->edges[v->out[k]].to_vertex];
        if (weir_env_node(d->env, to->ops[0].node)->n_ports == 2) s->edges[k].twin = next_twin(d, s, v, k);
    }
}

static weir_err make_ops(struct deployment *d, struct subtask *s, const struct plan_vertex *v)
{
    s->ops = calloc(v->n_ops, sizeof *s->ops);
    s->edges = calloc(v->n_out ? v->n_out : 1, sizeof *s->edges);
    if (!s->ops || !s->edges) return WEIR_E_NOMEM;
    for (uint32_t i = 0; i < v->n_ops; i++) {
        struct op_spec spec;
        s->n_ops = i + 1; /* a half-built one is closed like the others */
        weir_err err = spec_of(&spec, d, v->ops[i].node);
        if (!err) err = op_init(&s->ops[i], s, &spec);
        if (err) return err;
    }
    for (uint32_t k = 0; k < v->n_out; k++) {
        const struct plan_edge *plan_edge = &d->plan->edges[v->out[k]];
        weir_err err = make_edge(d, s, &s->edges[k], plan_edge);
        s->n_edges = k + 1;
        if (!err) err = add_target(&s->ops[plan_edge->from_op].outs[plan_edge->from_output], (struct op_target){.edge = &s->edges[k]});
        if (err) return err;
    }
    link_twins(d, s, v);
    for (uint32_t i = 1; i < v->n_ops; i++) {
        struct op *parent = &s->ops[v->ops[i].parent];
        weir_err err = add_target(&parent->outs[v->ops[i].parent_output], (struct op_target){.op = &s->ops[i]});
        if (err) return err;
    }
    return WEIR_OK;
}

/* ---- inputs
 * ------------------------------------------------------------------------------------------------------------------------------ */

static bool has_strings(const struct weir_schema *schema)
{
    for (uint32_t i = 0; schema && i < schema->n_fields; i++)
        if (schema->fields[i].type == WEIR_TYPE_STR) return true;
    return false;
}

static weir_err make_inputs(struct deployment *d, struct subtask *s, const struct plan_vertex *v)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < v->n_in; k++) {
        const struct plan_edge *edge = &d->plan->edges[v->in[k]];
        n += edge->partition == GRAPH_FORWARD ? 1 : d->plan->vertices[edge->from_vertex].parallelism;
    }
    s->inputs = calloc(n ? n : 1, sizeof *s->inputs);
    if (!s->inputs) return WEIR_E_NOMEM;
    for (uint32_t k = 0; k < v->n_in; k++) {
        const struct plan_edge *edge = &d->plan->edges[v->in[k]];
        const struct plan_vertex *from = &d->plan->vertices[edge->from_vertex];
        const struct env_node *producer = weir_env_node(d->env, from->ops[edge->from_op].node);
        const struct env_node *head = weir_env_node(d->env, v->ops[0].node);
        for (uint32_t i = 0; i < from->parallelism; i++) {
            if (!pairs(edge, i, s->index)) continue;
            const struct deployed_channel *ch = &d->channels[plan_channel(d->plan, edge, i, s->index)];
            s->inputs[s->n_inputs++] = (struct subtask_input){.channel = ch->channel,
                                                              .port = head->inputs[edge->to_input].port,
                                                              .stream = k,
                                                              .apart = d->order[edge->from_vertex].apart,
                                                              .remote = ch->side == SIDE_RECEIVER,
                                                              .schema = producer->outputs[edge->from_output],
                                                              .has_strings = has_strings(producer->outputs[edge->from_output])};
        }
    }
    return WEIR_OK;
}

static weir_err take_splits(struct subtask *s, uint32_t node, const struct wire_msg *deploy)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < deploy->deploy.n_splits; i++) {
        const struct wire_split *split = &deploy->deploy.splits[i];
        n += split->node == node && plan_split_owner(split->index, s->parallelism) == s->index;
    }
    s->splits = calloc(n ? n : 1, sizeof *s->splits);
    if (!s->splits || splits_init(&s->progress, n)) return WEIR_E_NOMEM;
    for (uint32_t i = 0; i < deploy->deploy.n_splits; i++) {
        const struct wire_split *split = &deploy->deploy.splits[i];
        if (split->node != node || plan_split_owner(split->index, s->parallelism) != s->index) continue;
        s->splits[s->n_splits++] = (struct subtask_split){.index = split->index, .data = split->data};
    }
    return WEIR_OK;
}

/* ---- subtasks and threads -------------------------------------------------------------------------------------------------------------
 */

static weir_err make_subtask(struct deployment *d, struct subtask *s, uint32_t vertex, uint32_t index, struct task_thread *t,
                             const struct wire_msg *deploy)
{
    const struct plan_vertex *v = &d->plan->vertices[vertex];
    *s = (struct subtask){.vertex = vertex,
                          .index = index,
                          .parallelism = v->parallelism,
                          .attempt = deploy->attempt,
                          .job_id = d->job_id,
                          .coord = d->coord.servers ? &d->coord : NULL,
                          .checkpoints = {.on = deploy->deploy.checkpoint.dir && deploy->deploy.checkpoint.dir[0],
                                          .options = {.at_least_once = deploy->deploy.checkpoint.mode == CHECKPOINT_AT_LEAST_ONCE,
                                                      .timeout_ms = deploy->deploy.checkpoint.alignment_timeout_ms}},
                          .pool = &t->pool,
                          .segment = t->segment,
                          .in_order = v->n_in > 0 && d->order[vertex].kept,
                          .slot = t->slot,
                          .probe = {.op = &d->blackbox->threads[t->index].op, .subtask = &d->blackbox->threads[t->index].subtask}};
    weir_err err = take_splits(s, v->ops[0].node, deploy);
    if (!err) err = make_ops(d, s, v);
    return err ? err : make_inputs(d, s, v);
}

static weir_err make_slot(const struct deployment *d, uint32_t slot, struct state_slot **out, struct weir_diag *diag)
{
    char dir[PATH_MAX];
    if (d->state.dir && snprintf(dir, sizeof dir, "%s/slot-%" PRIu32, d->state.dir, slot) >= (int)sizeof dir)
        return weir_fail(diag, WEIR_E_LIMIT, "the path of the state folder is too long: %s", d->state.dir);
    const struct state_slot_config config = {
        .dir = d->state.dir ? dir : NULL, .budget = d->state.slot_memory, .shared = d->rocks, .snapshots = d->state.snapshots};
    return state_slot_new(out, &config, diag);
}

static weir_err make_thread(struct deployment *d, uint32_t slot, const struct wire_msg *deploy, struct weir_diag *diag)
{
    struct task_thread *t = &d->threads[d->n_threads];
    *t = (struct task_thread){.index = d->n_threads, .segment = d->state.segment, .net = &d->wake, .wake = {.fd = -1}};
    d->n_threads++;
    t->steps = &d->blackbox->threads[t->index].steps;
    atomic_store(&d->blackbox->threads[t->index].op, -1);
    t->subtasks = aligned_alloc(64, (d->plan->n_vertices * sizeof *t->subtasks + 63u) & ~(size_t)63u);
    if (!t->subtasks) return WEIR_E_NOMEM;
    weir_err made = make_slot(d, slot, &t->slot, diag);
    if (made) return made;
    for (uint32_t v = 0; v < d->plan->n_vertices; v++) {
        if (slot >= d->plan->vertices[v].parallelism) continue;
        t->counters_cap += d->plan->vertices[v].n_ops * OP_COUNTERS_MAX;
        weir_err err = make_subtask(d, &t->subtasks[t->n_subtasks++], v, slot, t, deploy);
        if (err) return err;
    }
    return WEIR_OK;
}

/* Tells both ends of each channel whom to wake, and where remote frames and credits go; counts what each thread's outbox must hold. */
static void wire_up(struct deployment *d, uint64_t *n_outbox)
{
    for (uint32_t t = 0; t < d->n_threads; t++) {
        struct task_thread *thread = &d->threads[t];
        for (uint32_t i = 0; i < thread->n_subtasks; i++) {
            struct subtask *s = &thread->subtasks[i];
            for (uint32_t e = 0; e < s->n_edges; e++) {
                for (uint32_t c = 0; c < s->edges[e].n_channels; c++) {
                    struct channel *ch = s->edges[e].channels[c];
                    ch->sender = &thread->wake;
                    if (d->channels[ch->id].side != SIDE_SENDER) continue;
                    ch->outbox = &thread->outbox;
                    n_outbox[t] += ch->window;
                }
            }
            for (uint32_t k = 0; k < s->n_inputs; k++) {
                struct channel *ch = s->inputs[k].channel;
                ch->receiver = &thread->wake;
                if (!s->inputs[k].remote) continue;
                ch->credits = &thread->outbox;
                n_outbox[t]++;
            }
        }
    }
}

static weir_err find_order(struct deployment *d)
{
    d->order = weir_env_alloc(d->env, d->plan->n_vertices * sizeof *d->order);
    if (!d->order) return WEIR_E_NOMEM;
    order_find(d->order, d->plan, d->env);
    return WEIR_OK;
}

static weir_err make_threads(struct deployment *d, const struct wire_msg *deploy, struct weir_diag *diag)
{
    uint32_t n = 0;
    for (uint32_t s = 0; s < deploy->deploy.n_slots; s++) n += deploy->deploy.slot_worker[s] == d->worker;
    if (n == 0 || n > WEIR_SLOTS_MAX) return weir_fail(diag, WEIR_E_CORRUPT, "a deployment of %u slots to one worker", (unsigned)n);
    d->threads = aligned_alloc(64, n * sizeof *d->threads);
    uint64_t *n_outbox = calloc(n, sizeof *n_outbox);
    weir_err err = d->threads && n_outbox ? WEIR_OK : WEIR_E_NOMEM;
    for (uint32_t s = 0; !err && s < deploy->deploy.n_slots; s++)
        if (deploy->deploy.slot_worker[s] == d->worker) err = make_thread(d, s, deploy, diag);
    if (!err) wire_up(d, n_outbox);
    for (uint32_t t = 0; !err && t < d->n_threads; t++) err = task_thread_init(&d->threads[t], n_outbox[t], diag);
    d->blackbox->n_threads = d->n_threads;
    free(n_outbox);
    return err;
}

static weir_err check_deploy(const struct deployment *d, const struct wire_msg *deploy, struct weir_diag *diag)
{
    if (d->graph.fingerprint != deploy->deploy.fingerprint)
        return weir_fail(diag, WEIR_E_GRAPH,
                         "the plugin built another graph here than when the job was submitted: its entry function must depend on "
                         "its arguments only");
    if (deploy->deploy.n_slots != d->plan->n_slots || deploy->deploy.worker >= deploy->deploy.n_workers)
        return weir_fail(diag, WEIR_E_CORRUPT, "a deployment that contradicts its plan: %u slots for %u", deploy->deploy.n_slots,
                         d->plan->n_slots);
    for (uint32_t s = 0; s < deploy->deploy.n_slots; s++)
        if (deploy->deploy.slot_worker[s] >= deploy->deploy.n_workers)
            return weir_fail(diag, WEIR_E_CORRUPT, "slot %u is given to worker %u of %u", s, deploy->deploy.slot_worker[s],
                             deploy->deploy.n_workers);
    return check_keyers(d, diag);
}

static void name_operators(struct deployment *d)
{
    struct blackbox *box = d->blackbox;
    uint32_t n = d->graph.n_nodes < BLACKBOX_NAMES_MAX ? d->graph.n_nodes : BLACKBOX_NAMES_MAX;
    for (uint32_t i = 0; i < n; i++) {
        size_t len = strnlen(d->graph.nodes[i].id, WEIR_NAME_MAX);
        memcpy(box->operators[i], d->graph.nodes[i].id, len);
        box->operators[i][len] = '\0';
    }
    box->n_operators = n;
}

static weir_err share_state(struct deployment *d, const struct deployment_state *state, struct weir_diag *diag)
{
    if (state) d->state = *state;
    if (d->state.segment == 0) d->state.segment = WEIR_FRAME_BYTES;
    if (!d->state.dir) return WEIR_OK;
    d->state.dir = strdup(state->dir);
    if (!d->state.dir) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a deployment");
    return rocks_shared_new(&d->rocks, ROCKS_CACHE_BYTES, ROCKS_THREADS, diag);
}

weir_err deployment_new(struct deployment **out, const struct wire_msg *deploy, struct weir_env *env, const struct deployment_state *state,
                        struct blackbox *blackbox, struct weir_diag *diag)
{
    struct deployment *d = aligned_alloc(64, (sizeof *d + 63u) & ~(size_t)63u);
    if (!d) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a deployment");
    *d = (struct deployment){
        .env = env, .worker = deploy->deploy.worker, .n_workers = deploy->deploy.n_workers, .blackbox = blackbox, .wake = {.fd = -1}};
    (void)id_text(deploy->job, d->job_id);
    d->coord = (struct task_coord){deploy->deploy.coordination, coord_open_for_task, weir_coord_close};
    weir_err err = wake_init(&d->wake, diag);
    if (!err) err = share_state(d, state, diag);
    if (!err) err = describe_graph(&d->graph, env, deploy->deploy.name);
    if (!err) err = plan_new(&d->plan, &d->graph, deploy->deploy.parallelism, diag);
    if (!err) err = check_deploy(d, deploy, diag);
    if (!err) {
        name_operators(d);
        err = make_channels(d, deploy->deploy.slot_worker);
        if (!err) err = find_order(d);
        if (!err) err = make_threads(d, deploy, diag);
        if (!err) channel_faults_from_environment(d, deploy->attempt);
        if (err == WEIR_E_NOMEM) (void)weir_fail(diag, err, "no memory for the subtasks of the job");
    }
    if (err) {
        d->env = NULL; /* stays the caller's */
        deployment_destroy(&d);
        return err;
    }
    *out = d;
    return WEIR_OK;
}

void deployment_destroy(struct deployment **deployment)
{
    struct deployment *d = *deployment;
    if (!d) return;
    for (uint32_t t = 0; d->threads && t < d->n_threads; t++)
        for (uint32_t i = 0; d->threads[t].subtasks && i < d->threads[t].n_subtasks; i++) subtask_close(&d->threads[t].subtasks[i]);
    /* Outboxes name channels, channels hold frames, frames belong to the threads' pools. */
    for (uint32_t t = 0; d->threads && t < d->n_threads; t++) outbox_close(&d->threads[t].outbox);
    for (uint32_t c = 0; d->channels && c < d->plan->n_channels; c++) {
        if (!d->channels[c].channel) continue;
        channel_close(d->channels[c].channel);
        free(d->channels[c].channel);
    }
    for (uint32_t t = 0; d->threads && t < d->n_threads; t++) task_thread_close(&d->threads[t]);
    rocks_shared_destroy(&d->rocks);
    if (d->state.dir) (void)folder_remove(d->state.dir, NULL);
    free((char *)(uintptr_t)d->state.dir);
    free(d->threads);
    free(d->channels);
    plan_destroy(&d->plan);
    describe_graph_close(&d->graph);
    weir_env_destroy(&d->env);
    wake_close(&d->wake);
    free(d);
    *deployment = NULL;
}
