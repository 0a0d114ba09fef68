/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/operator/step.h"

#include <string.h>

static const struct weir_operator *keep_table(struct weir_env *env, const struct weir_operator *table)
{
    struct weir_operator *copy = weir_env_alloc(env, sizeof *copy);
    const struct weir_schema **sides = weir_env_alloc(env, (table->n_sides + 1) * sizeof *sides);
    if (!copy || !sides) return NULL;
    for (uint32_t i = 0; i < table->n_sides; i++) sides[i] = table->sides[i];
    *copy = *table;
    copy->sides = sides;
    return copy;
}

struct weir_stream *step_apply(struct weir_stream *in, const char *id, const struct weir_operator *table, const void *config,
                               size_t config_size)
{
    if (!in) return NULL;
    const struct weir_operator *kept = keep_table(weir_stream_env(in), table);
    return kept ? weir_apply(in, id, kept, config, config_size) : NULL;
}

struct weir_stream *step_co_apply(struct weir_stream *left, struct weir_stream *right, const char *id, const struct weir_operator *table,
                                  const void *config, size_t config_size)
{
    if (!left || !right) return NULL;
    const struct weir_operator *kept = keep_table(weir_stream_env(left), table);
    return kept ? weir_co_apply(left, right, id, kept, config, config_size) : NULL;
}

const char *step_part_id(struct weir_stream *in, const char *id, const char *part)
{
    if (!in) return NULL;
    return weir_env_printf(weir_stream_env(in), "%s.%s", id ? id : "", part);
}

bool step_check(struct weir_stream *in, const char *id, const char *type, const void *desc, size_t size)
{
    size_t given = 0;
    if (!in) return false;
    if (desc) memcpy(&given, desc, sizeof given);
    if (given == size) return true;
    (void)weir_refuse(weir_stream_env(in), "operator %s: its %s is NULL, or was declared with other headers: rebuild the plugin",
                      id ? id : "", type);
    return false;
}
