/* SPDX-License-Identifier: Apache-2.0 */
/* Generated rows as CSV into a folder. */
#include "weir/connector/file.h"
#include "weir/connector/generator.h"
#include "weir/weir.h"

WEIR_KEY_FIXED(by_key, weir_generated, key);

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    int64_t rows = 1000, pace = 0;
    bool replace = false;
    const char *output = NULL;
    const struct weir_option options[] = {
        {"rows", WEIR_OPTION_I64, &rows, false, "how many; negative = endless"},
        {"pace", WEIR_OPTION_I64, &pace, false, "rows per second; 0 = as fast as possible"},
        {"output", WEIR_OPTION_PATH, &output, true, "folder"},
        {"replace", WEIR_OPTION_FLAG, &replace, false, "what is there"},
    };
    weir_err err = weir_options(env, argc, argv, options, sizeof options / sizeof *options, diag);
    if (err) return err;
    struct weir_generator config = {.seed = 3, .rows = rows, .keys = 97, .pace = pace};
    struct weir_file_sink sink = {.dir = output, .format = WEIR_FILE_CSV, .replace = replace};
    (void)weir_to_file(weir_key_by(weir_from_generator(env, "rows", &config), &by_key), "write", &sink);
    return WEIR_OK;
}

WEIR_PLUGIN("writer", "1.0", build);
