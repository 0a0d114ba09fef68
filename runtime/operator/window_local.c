/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows in two stages: the local stage of aggregates (aggregate_local.c) folds each batch by key and slice, then the window operator
 * merges what comes as it would add records. It knows partials by their row type.
 */
#include "runtime/operator/aggregate.h"
#include "runtime/operator/partial.h"
#include "runtime/operator/step.h"

static bool can_be_cut(const struct weir_window *w)
{
    return w && (w->kind == WEIR_TUMBLING || w->kind == WEIR_SLIDING || w->kind == WEIR_CUMULATING) && w->domain == WEIR_EVENT_TIME &&
           !w->trigger;
}

static bool check(struct weir_stream *in, const char *id, const struct weir_keyer *keyer, const struct weir_window *window,
                  const struct weir_aggregate *aggregate)
{
    if (!step_check(in, id, "weir_keyer", keyer, sizeof *keyer) || !step_check(in, id, "weir_aggregate", aggregate, sizeof *aggregate))
        return false;
    if (!can_be_cut(window))
        (void)weir_refuse(weir_stream_env(in),
                          "operator %s: two stages need tumbling, sliding or cumulating windows by event time and without a trigger", id);
    else if (!aggregate->merge)
        (void)weir_refuse(weir_stream_env(in), "operator %s: aggregate %s has no merge function, which two stages need", id,
                          aggregate->name);
    else
        return true;
    return false;
}

struct weir_stream *weir_two_stage_window_aggregate(struct weir_stream *in, const char *id, const struct weir_keyer *keyer,
                                                    const struct weir_window *window, const struct weir_aggregate *aggregate)
{
    if (!check(in, id, keyer, window, aggregate)) return NULL;
    struct weir_group_aggregate *folds = weir_env_alloc(weir_stream_env(in), sizeof *folds);
    struct weir_aggregate *merges = weir_env_alloc(weir_stream_env(in), sizeof *merges);
    if (!folds || !merges) return NULL;
    *folds = (struct weir_group_aggregate){
        .struct_size = sizeof *folds, .name = aggregate->name, .in = aggregate->in, .acc_size = aggregate->acc_size, .add = aggregate->add};
    *merges = *aggregate;
    merges->in = &partial_schema;
    const struct aggregate_config config = {.aggregate = folds, .keyer = keyer, .window = *window};
    return weir_window_aggregate(aggregate_locally(in, id, &config), id, window, merges);
}
