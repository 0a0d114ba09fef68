/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/order.h"

/* Nothing is kept where no operator waits for event time, nor for what its other input brings. */
static bool keeps(const struct env_node *node)
{
    if (node->kind == ENV_WINDOW) return true;
    return node->kind == ENV_OPERATOR && (node->op->on_watermark || node->op->on_timer || node->op->flags & WEIR_OPERATOR_TWO_INPUTS);
}

static bool any_keeps(const struct plan_vertex *v, const struct weir_env *env)
{
    for (uint32_t i = 0; i < v->n_ops; i++)
        if (keeps(weir_env_node(env, v->ops[i].node))) return true;
    return false;
}

static bool all_apart(const struct vertex_order *of, const struct plan *plan, const struct plan_vertex *v)
{
    for (uint32_t k = 0; k < v->n_in; k++) {
        const struct plan_edge *edge = &plan->edges[v->in[k]];
        if (edge->partition != GRAPH_FORWARD || !of[edge->from_vertex].apart) return false;
    }
    return true;
}

void order_find(struct vertex_order *of, const struct plan *plan, const struct weir_env *env)
{
    for (uint32_t i = 0; i < plan->n_vertices; i++) of[i].apart = all_apart(of, plan, &plan->vertices[i]);
    for (uint32_t i = plan->n_vertices; i > 0; i--) { /* consumers before producers */
        const struct plan_vertex *v = &plan->vertices[i - 1];
        of[i - 1].kept = any_keeps(v, env);
        for (uint32_t k = 0; k < v->n_out; k++) of[i - 1].kept |= of[plan->edges[v->out[k]].to_vertex].kept;
    }
}
