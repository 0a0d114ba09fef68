/* SPDX-License-Identifier: Apache-2.0 */
/* The environment a job's entry function fills: its memory, its first mistake, and the last look over everything when it is done. */
#include "api/src/builder.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* One allocation of the environment; the bytes follow. */
struct env_block {
    struct env_block *next;
    _Alignas(max_align_t) unsigned char bytes[];
};

weir_err weir_env_new(struct weir_env **out, const char *name, const char *cwd, uint32_t parallelism)
{
    if (parallelism == 0 || parallelism > WEIR_PARALLELISM_MAX) return WEIR_E_ARGUMENT;
    struct weir_env *env = calloc(1, sizeof *env);
    if (!env) return WEIR_E_NOMEM;
    env->name = name;
    env->cwd = cwd;
    env->parallelism = parallelism;
    *out = env;
    return WEIR_OK;
}

void weir_env_destroy(struct weir_env **env)
{
    if (!*env) return;
    struct env_block *block = (*env)->blocks;
    while (block) {
        struct env_block *next = block->next;
        free(block);
        block = next;
    }
    free(*env);
    *env = NULL;
}

void *env_mistake(struct weir_env *env, weir_err err, const char *fmt, ...)
{
    if (env->mistake.code) return NULL; /* what follows a mistake is often only its echo */
    char text[WEIR_DIAG_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)weir_fail(&env->mistake, err, "%s", text);
    return NULL;
}

struct weir_stream *weir_refuse(struct weir_env *env, const char *fmt, ...)
{
    if (!env) return NULL; /* the echo of an earlier mistake */
    char text[WEIR_DIAG_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return env_mistake(env, WEIR_E_GRAPH, "%s", text);
}

/* ---- memory ---------------------------------------------------------------------------------------------------------------------- */

void *weir_env_alloc(struct weir_env *env, size_t size)
{
    struct env_block *block = size > SIZE_MAX - sizeof *block ? NULL : calloc(1, sizeof *block + size);
    if (!block) return env_mistake(env, WEIR_E_NOMEM, "no memory for %zu bytes of the job's graph", size);
    block->next = env->blocks;
    env->blocks = block;
    return block->bytes;
}

const char *env_strdup(struct weir_env *env, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = weir_env_alloc(env, size);
    if (copy) memcpy(copy, text, size);
    return copy;
}

bool env_grow(struct weir_env *env, void **items, uint32_t n, uint32_t *cap, uint32_t need, size_t item_size)
{
    if (need <= *cap) return true;
    uint32_t wider = *cap ? *cap : 8;
    while (wider < need) wider *= 2;
    void *grown = weir_env_alloc(env, wider * item_size); /* the old array stays in the environment until its end */
    if (!grown) return false;
    if (n) memcpy(grown, *items, n * item_size);
    *items = grown;
    *cap = wider;
    return true;
}

const char *weir_env_printf(struct weir_env *env, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0) return env_mistake(env, WEIR_E_ARGUMENT, "weir_env_printf cannot format \"%s\"", fmt);
    char *text = weir_env_alloc(env, (size_t)length + 1);
    if (!text) return NULL;
    va_start(args, fmt);
    (void)vsnprintf(text, (size_t)length + 1, fmt, args);
    va_end(args);
    return text;
}

const char *operator_text(struct weir_env *env, const char *id)
{
    const char *text = weir_env_printf(env, "operator %s", id);
    return text ? text : "operator";
}

const char *weir_env_path(struct weir_env *env, const char *path)
{
    if (!path || !*path) return env_mistake(env, WEIR_E_ARGUMENT, "a path of the job is empty");
    if (*path == '/') return env_strdup(env, path);
    size_t length = strlen(env->cwd);
    const char *slash = length && env->cwd[length - 1] == '/' ? "" : "/";
    return weir_env_printf(env, "%s%s%s", env->cwd, slash, path);
}

/* ---- nodes ----------------------------------------------------------------------------------------------------------------------- */

uint32_t weir_env_parallelism(const struct weir_env *env)
{
    return env->parallelism;
}

uint32_t weir_env_count(const struct weir_env *env)
{
    return env->n_nodes;
}

const struct env_node *weir_env_node(const struct weir_env *env, uint32_t index)
{
    return index < env->n_nodes ? &env->nodes[index]->node : NULL;
}

static bool id_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

/* The id as it may stand in a sentence: printable and of bounded length. */
static const char *printable(const char *id, char out[static WEIR_NAME_MAX + 1])
{
    size_t n = 0;
    for (; n < WEIR_NAME_MAX && id[n]; n++) out[n] = id[n] >= ' ' && id[n] <= '~' ? id[n] : '?';
    out[n] = 0;
    return out;
}

static bool id_check(struct weir_env *env, const char *id)
{
    char shown[WEIR_NAME_MAX + 1];
    if (!id || !*id) return env_mistake(env, WEIR_E_GRAPH, "operator %u of the job has no id", env->n_nodes);
    size_t n = 0;
    while (n <= WEIR_NAME_MAX && id_char(id[n])) n++;
    if (n > WEIR_NAME_MAX) {
        return env_mistake(env, WEIR_E_GRAPH, "operator id \"%s...\" is longer than %d characters", printable(id, shown), WEIR_NAME_MAX);
    }
    if (id[n]) {
        return env_mistake(env, WEIR_E_GRAPH, "operator id \"%s\" may hold only letters, digits, '_', '.' and '-'", printable(id, shown));
    }
    for (uint32_t i = 0; i < env->n_nodes; i++) {
        if (strcmp(env->nodes[i]->node.id, id)) continue;
        return env_mistake(env, WEIR_E_GRAPH, "two operators have the id %s; state and metrics need one id each", id);
    }
    return true;
}

struct builder_node *env_add(struct weir_env *env, const char *id, enum env_node_kind kind, struct weir_stream *in)
{
    if (!id_check(env, id)) return NULL;
    if (env->n_nodes == WEIR_OPERATORS_MAX) {
        return env_mistake(env, WEIR_E_LIMIT, "operator %s: a job has at most %d operators", id, WEIR_OPERATORS_MAX);
    }
    void *nodes = env->nodes;
    if (!env_grow(env, &nodes, env->n_nodes, &env->cap_nodes, env->n_nodes + 1, sizeof *env->nodes)) return NULL;
    env->nodes = nodes;
    struct builder_node *added = weir_env_alloc(env, sizeof *added);
    if (!added) return NULL;
    added->node = (struct env_node){.id = env_strdup(env, id), .kind = kind, .chain = true};
    added->in[0] = in;
    added->node.n_ports = in ? 1 : 0;
    if (!added->node.id) return NULL;
    env->nodes[env->n_nodes++] = added;
    return added;
}

/* ---- the end --------------------------------------------------------------------------------------------------------------------- */

/* Output 0 of a filter and output 1 of a window carry the input's type; a union widened late may have brought it only now. */
static bool hand_on_type(struct env_node *node)
{
    bool same = node->kind == ENV_WATERMARKS || (node->kind == ENV_OPERATOR && !node->op->out);
    uint32_t output = node->kind == ENV_WINDOW ? 1 : 0;
    if (!same && node->kind != ENV_WINDOW) return false;
    if (output >= node->n_outputs || node->outputs[output] || !node->input[0]) return false;
    node->outputs[output] = node->input[0];
    return true;
}

static const struct env_node *producer(const struct weir_env *env, const struct env_input *input)
{
    return &env->nodes[input->node]->node;
}

static const struct weir_schema *given_by(const struct weir_env *env, const struct env_input *input)
{
    return producer(env, input)->outputs[input->output];
}

/* Takes, for each port, the type of the first input that knows its own. Returns true when that taught something new. */
static bool learn_type(struct weir_env *env, struct env_node *node)
{
    for (uint32_t i = 0; i < node->n_inputs; i++) {
        const struct weir_schema **type = &node->input[node->inputs[i].port];
        if (!*type) *type = given_by(env, &node->inputs[i]);
    }
    return hand_on_type(node);
}

static void check_types(struct weir_env *env)
{
    for (bool learned = true; learned;) { /* each round fills at least one type, so it ends, cycles or not */
        learned = false;
        for (uint32_t i = 0; i < env->n_nodes; i++) learned |= learn_type(env, &env->nodes[i]->node);
    }
    for (uint32_t i = 0; i < env->n_nodes; i++) {
        const struct env_node *node = &env->nodes[i]->node;
        for (uint32_t k = 0; k < node->n_inputs; k++) {
            const struct weir_schema *given = given_by(env, &node->inputs[k]), *wanted = node->input[node->inputs[k].port];
            if (schema_fits(given, wanted)) continue;
            (void)schema_join(env, operator_text(env, node->id), wanted, producer(env, &node->inputs[k])->id, given);
        }
    }
}

/* ---- changes: which streams are updating, and that only steps which understand changes get them ---- */

static bool passes_changes(const struct env_node *node)
{
    return node->kind == ENV_WATERMARKS || (node->kind == ENV_OPERATOR && node->op->flags & WEIR_OPERATOR_PASSES_CHANGES);
}

static bool takes_changes(const struct env_node *node)
{
    const uint32_t flags = WEIR_OPERATOR_TAKES_CHANGES | WEIR_OPERATOR_PASSES_CHANGES | WEIR_OPERATOR_UPSERTS;
    return node->kind == ENV_WATERMARKS || (node->kind == ENV_OPERATOR && node->op->flags & flags);
}

/* The first input that is a changelog, or NULL. */
static const struct env_node *updating_input(const struct weir_env *env, const struct env_node *node)
{
    for (uint32_t k = 0; k < node->n_inputs; k++) {
        const struct env_node *from = producer(env, &node->inputs[k]);
        if (from->updating && (node->inputs[k].output == 0 || passes_changes(from))) return from;
    }
    return NULL;
}

static bool becomes_updating(const struct weir_env *env, const struct env_node *node)
{
    if (node->updating) return false;
    bool retracts = node->kind == ENV_OPERATOR && node->op->flags & WEIR_OPERATOR_RETRACTS;
    return retracts || (passes_changes(node) && updating_input(env, node));
}

static void check_changes(struct weir_env *env)
{
    for (bool spread = true; spread;) {
        spread = false;
        for (uint32_t i = 0; i < env->n_nodes; i++) {
            struct env_node *node = &env->nodes[i]->node;
            if (becomes_updating(env, node)) node->updating = spread = true;
        }
    }
    for (uint32_t i = 0; i < env->n_nodes; i++) {
        const struct env_node *node = &env->nodes[i]->node, *from = updating_input(env, node);
        if (!from || takes_changes(node)) continue;
        (void)env_mistake(
            env, WEIR_E_GRAPH,
            "operator %s takes inserts only, but operator %s gives updates and deletes, too: put weir_final_rows between them, "
            "or use an operator that takes changes",
            node->id, from->id);
    }
}

weir_err weir_env_finish(struct weir_env *env, struct weir_diag *diag)
{
    for (uint32_t i = 0; i < env->n_nodes && !env->mistake.code; i++) (void)stream_resolve(env, env->nodes[i]);
    if (!env->mistake.code) check_types(env);
    if (!env->mistake.code) check_changes(env);
    if (env->mistake.code && diag) *diag = env->mistake;
    return env->mistake.code;
}
