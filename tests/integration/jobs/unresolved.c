/* SPDX-License-Identifier: Apache-2.0 */
/* Calls a function that exists nowhere: the plugin is whole, but cannot be loaded. */
#include "weir/weir.h"

weir_err function_that_is_nowhere(struct weir_env *env);

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    return function_that_is_nowhere(env);
}

WEIR_PLUGIN("unresolved", "1.0", build);
