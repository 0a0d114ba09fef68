/* SPDX-License-Identifier: Apache-2.0 */
/* A healthy job that never ends: paced rows, divided by key between all subtasks, counted. */
#include "weir/connector/blackhole.h"
#include "weir/connector/generator.h"
#include "weir/weir.h"

WEIR_KEY_FIXED(by_key, weir_generated, key);

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    int64_t pace = 2000, rows = -1, sinks = 0;
    const struct weir_option options[] = {
        {"pace", WEIR_OPTION_I64, &pace, false, "rows per second; 0 = as fast as possible"},
        {"rows", WEIR_OPTION_I64, &rows, false, "how many; negative = endless"},
        {"sinks", WEIR_OPTION_I64, &sinks, false, "subtasks of the sink, if not as many as of the source"},
    };
    weir_err err = weir_options(env, argc, argv, options, sizeof options / sizeof *options, diag);
    if (err) return err;
    struct weir_generator config = {.seed = 7, .rows = rows, .keys = 1000, .pace = pace};
    struct weir_stream *sink = weir_to_blackhole(weir_key_by(weir_from_generator(env, "rows", &config), &by_key), "hole");
    if (sinks) (void)weir_set_parallelism(sink, (uint32_t)sinks);
    return WEIR_OK;
}

WEIR_PLUGIN("steady", "1.0", build);
