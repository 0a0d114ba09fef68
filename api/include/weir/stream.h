/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graph a job's entry function builds: sources, steps, sinks. Nothing runs while it is built.
 *
 * Builders return a stream that belongs to the environment, or NULL after a mistake; they accept NULL, so that a chain of calls needs one
 * check at its end: the first mistake is kept in the environment and refuses the job with its sentence. The function may be called in
 * several processes (to describe the job, and in each worker): with the same arguments it must build the same graph.
 *
 * Every step has an id: unique in the job, stable over its versions, [A-Za-z0-9_.-]{1,128}. State, metrics and errors use it.
 *
 * Configuration given to a step is copied (`config_size` bytes); what it points at must live until the process ends, as string constants,
 * argv and memory of weir_env_alloc do.
 *
 * Thread: the entry function's.
 */
#ifndef WEIR_STREAM_H
#define WEIR_STREAM_H

#include "weir/operator.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_env;
struct weir_stream;
struct weir_source;

#define WEIR_PARALLELISM_MAX 1024 /* subtasks of one step */
#define WEIR_OPERATORS_MAX 1024   /* steps of a job */

/* Parallelism a step gets unless it says otherwise (jobctl run --parallelism). */
WEIR_EXPORT uint32_t weir_env_parallelism(const struct weir_env *env);
/* Memory that lives as long as the environment, zeroed; NULL when there is none (kept as the environment's first mistake). */
WEIR_EXPORT void *weir_env_alloc(struct weir_env *env, size_t size);
WEIR_EXPORT const char *weir_env_printf(struct weir_env *env, const char *fmt, ...) WEIR_PRINTF(2, 3);
/* `path`, made absolute against the directory the job was submitted from. */
WEIR_EXPORT const char *weir_env_path(struct weir_env *env, const char *path);

/* ---- options of a job ------------------------------------------------------------------------------------------------------------ */

enum weir_option_type { WEIR_OPTION_FLAG, WEIR_OPTION_I64, WEIR_OPTION_STR, WEIR_OPTION_PATH, WEIR_OPTION_U64 };

/* `--name VALUE` or `--name=VALUE`. value: bool*, int64_t*, const char** (PATH: made absolute by weir_env_path), uint64_t*, holding the
 * default. */
struct weir_option {
    const char *name; /* without dashes */
    enum weir_option_type type;
    void *value;
    bool required;
    const char *help;
};

/*
 * Reads the job's arguments. argv[0] is the job's name. An unknown option is an error that names the nearest one; a missing required one, a
 * bad number, and a stray word are errors. `--help` fails with the text of all options. Errors: WEIR_E_ARGUMENT.
 */
WEIR_EXPORT weir_err weir_options(struct weir_env *env, int argc, char **argv, const struct weir_option *options, uint32_t n_options,
                                  struct weir_diag *diag);

/* ---- sources, steps, sinks --------------------------------------------------------------------------------------------------------- */

WEIR_EXPORT struct weir_stream *weir_from(struct weir_env *env, const char *id, const struct weir_source *source, const void *config,
                                          size_t config_size);

/* A step with one input, or several of the same type by weir_union. The result is its output 0 (a stream without type for a sink). */
WEIR_EXPORT struct weir_stream *weir_apply(struct weir_stream *in, const char *id, const struct weir_operator *op, const void *config,
                                           size_t config_size);

/*
 * A step with two inputs, which may be of different types: records of `first` arrive as process's input 0, of `second` as input 1, in no
 * order between them but that of event time at watermarks (the step's is the lower of both). Keyed state is shared by both inputs: equal
 * key bytes are one key. op->flags has WEIR_OPERATOR_TWO_INPUTS.
 */
WEIR_EXPORT struct weir_stream *weir_co_apply(struct weir_stream *first, struct weir_stream *second, const char *id,
                                              const struct weir_operator *op, const void *config, size_t config_size);

/* The words of the field for weir_apply. */
#define weir_map(in, id, op) weir_apply(in, id, op, NULL, 0)
#define weir_filter(in, id, op) weir_apply(in, id, op, NULL, 0)
#define weir_flat_map(in, id, op) weir_apply(in, id, op, NULL, 0)
#define weir_process(in, id, op, config) weir_apply(in, id, op, config, sizeof *(config))
#define weir_sink(in, id, op, config) weir_apply(in, id, op, config, sizeof *(config))
#define weir_co_process(first, second, id, op, config) weir_co_apply(first, second, id, op, config, sizeof *(config))

/* Side output `index` (from 0, as declared in the operator's table) of the step that made `stream`. */
WEIR_EXPORT struct weir_stream *weir_side_output(struct weir_stream *stream, uint32_t index);

/*
 * Row type of a stream, for builders of steps that take rows of any type and need their fields (a file sink). NULL when it is not known:
 * the stream is NULL, or comes from a step whose table does not say. Borrowed; lives as long as the table that declared it.
 */
WEIR_EXPORT const struct weir_schema *weir_stream_schema(const struct weir_stream *stream);

/*
 * For builders made of other builders: the environment of a stream (NULL for NULL), for memory that lives as long as the graph; and a
 * refusal of the job, which keeps the sentence as the environment's first mistake and returns NULL. A NULL environment is allowed.
 */
WEIR_EXPORT struct weir_env *weir_stream_env(const struct weir_stream *stream);
WEIR_EXPORT struct weir_stream *weir_refuse(struct weir_env *env, const char *fmt, ...) WEIR_PRINTF(2, 3);

/* The records of several streams of one type. weir_union_add takes another stream in later. */
WEIR_EXPORT struct weir_stream *weir_union(struct weir_stream *const *streams, uint32_t n);
WEIR_EXPORT struct weir_stream *weir_union_add(struct weir_stream *union_stream, struct weir_stream *stream);

/* ---- how records reach the next step ------------------------------------------------------------------------------------------------ */

WEIR_EXPORT struct weir_stream *weir_key_by(struct weir_stream *in, const struct weir_keyer *keyer); /* by key group */
WEIR_EXPORT struct weir_stream *weir_rebalance(struct weir_stream *in);                              /* round robin, a frame at a time */
WEIR_EXPORT struct weir_stream *weir_broadcast(struct weir_stream *in);                              /* to every subtask */
WEIR_EXPORT struct weir_stream *weir_global(struct weir_stream *in);                                 /* to subtask 0 */
WEIR_EXPORT struct weir_stream *weir_partition(struct weir_stream *in, const struct weir_partitioner *partitioner); /* as it says */

/* ---- settings of the step that made `stream`; return it ----------------------------------------------------------------------------- */

WEIR_EXPORT struct weir_stream *weir_set_parallelism(struct weir_stream *stream, uint32_t parallelism); /* 1 ... WEIR_PARALLELISM_MAX */
/* The step does not join its producer's vertex but begins one; steps behind it may join that. */
WEIR_EXPORT struct weir_stream *weir_start_new_chain(struct weir_stream *stream);
/* The step has a vertex to itself: neither does it join its producer's, nor any step behind it. */
WEIR_EXPORT struct weir_stream *weir_disable_chaining(struct weir_stream *stream);

/* ---- event time ------------------------------------------------------------------------------------------------------------------- */

/* Sets rec->time_ms of each record of the batch from its row. Defined by WEIR_TIMESTAMP. */
typedef void (*weir_timestamp_fn)(struct weir_batch *batch);

/* WEIR_TIMESTAMP(name, row, member): the time is a member of type weir_time. */
#define WEIR_TIMESTAMP(name, row_, member)                                      \
    static void name(struct weir_batch *b)                                      \
    {                                                                           \
        for (uint32_t i = 0; i < b->count; i++) {                               \
            struct weir_record *rec = weir_batch_record(b, i);                  \
            rec->time_ms = ((const struct row_ *)weir_record_row(rec))->member; \
        }                                                                       \
    }                                                                           \
    static_assert(sizeof(((struct row_ *)0)->member) == sizeof(weir_time), "member must be a weir_time")

/*
 * Bounded out-of-orderness: the watermark of a split is its highest time less max_out_of_orderness_ms, less 1; that of a subtask the
 * minimum over its splits that have begun or wait to begin, finished and idle ones left out. Per split when the step is chained to its
 * source (as it is by default), else per subtask.
 */
struct weir_watermarks {
    int64_t max_out_of_orderness_ms; /* >= 0 */
    int64_t idle_ms;                 /* a split without records for so long does not hold the watermark back; 0 = never idle */
};
WEIR_EXPORT struct weir_stream *weir_assign_watermarks(struct weir_stream *in, const char *id, weir_timestamp_fn timestamp,
                                                       const struct weir_watermarks *watermarks);

#ifdef __cplusplus
}
#endif
#endif
