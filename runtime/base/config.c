/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/config_value.h"
#include "runtime/base/nearest.h"

struct value {
    char *text;   /* as written */
    char *origin; /* NULL = default */
    int64_t number;
    enum config_rank rank;
};

struct config {
    const struct config_table *table;
    struct value *values; /* one for each key of the table */
};

/* ---- keys ---------------------------------------------------------------------------------------------------------------------- */

/* Index of the key called `name`, or n_keys. */
static uint32_t find_key(const struct config_table *table, const char *name)
{
    uint32_t i = 0;
    while (i < table->n_keys && strcmp(table->keys[i].name, name) != 0) i++;
    return i;
}

static bool is_section(const char *section, const char *name)
{
    size_t n = strlen(section);
    return strncmp(section, name, n) == 0 && (name[n] == '.' || name[n] == '\0');
}

bool config_is_foreign(const struct config *config, const char *name)
{
    if (is_section("test", name)) return true;
    for (const char *const *section = config->table->foreign; section && *section; section++) {
        if (is_section(*section, name)) return true;
    }
    return false;
}

static weir_err unknown_key(const struct config_table *table, const char *name, const char *origin, struct weir_diag *diag)
{
    struct nearest near = {.word = name};
    for (uint32_t i = 0; i < table->n_keys; i++) nearest_offer(&near, table->keys[i].name);
    if (!near.best) return weir_fail(diag, WEIR_E_ARGUMENT, "unknown key %s (%s)", name, origin);
    return weir_fail(diag, WEIR_E_ARGUMENT, "unknown key %s (%s); did you mean %s?", name, origin, near.best);
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------- */

static void check_default(const struct config_key *key, int64_t *number)
{
    char wanted[128];
    bool fits = config_value_parse(key, key->fallback, number, wanted, sizeof wanted);
    WEIR_ASSERT(fits);
    WEIR_ASSERT(strchr(key->name, '.') != NULL);
    WEIR_ASSERT(strlen(key->name) <= CONFIG_NAME_MAX);
}

weir_err config_new(struct config **out, const struct config_table *table)
{
    struct config *c = calloc(1, sizeof *c);
    if (!c) return WEIR_E_NOMEM;
    c->table = table;
    c->values = calloc(table->n_keys + 1u, sizeof *c->values);
    for (uint32_t i = 0; c->values && i < table->n_keys; i++) {
        check_default(&table->keys[i], &c->values[i].number);
        c->values[i].text = strdup(table->keys[i].fallback);
        if (!c->values[i].text) break;
    }
    if (!c->values || (table->n_keys && !c->values[table->n_keys - 1].text)) {
        config_destroy(&c);
        return WEIR_E_NOMEM;
    }
    *out = c;
    return WEIR_OK;
}

void config_destroy(struct config **config)
{
    struct config *c = *config;
    if (!c) return;
    for (uint32_t i = 0; c->values && i < c->table->n_keys; i++) {
        free(c->values[i].text);
        free(c->values[i].origin);
    }
    free(c->values);
    free(c);
    *config = NULL;
}

weir_err config_set(struct config *config, enum config_rank rank, const char *name, const char *text, const char *origin,
                    struct weir_diag *diag)
{
    char wanted[128];
    int64_t number;
    uint32_t i = find_key(config->table, name);
    if (i == config->table->n_keys) return unknown_key(config->table, name, origin, diag);
    if (!config_value_parse(&config->table->keys[i], text, &number, wanted, sizeof wanted))
        return weir_fail(diag, WEIR_E_ARGUMENT, "%s = \"%s\" (%s) is not %s", name, text, origin, wanted);
    struct value *v = &config->values[i];
    if (rank < v->rank) return WEIR_OK;
    struct value set = {strdup(text), strdup(origin), number, rank};
    if (!set.text || !set.origin) {
        free(set.text);
        free(set.origin);
        return weir_fail(diag, WEIR_E_NOMEM, "no memory for %s", name);
    }
    free(v->text);
    free(v->origin);
    *v = set;
    return WEIR_OK;
}

/* ---- environment --------------------------------------------------------------------------------------------------------------- */

#define ENV_PREFIX "WEIR_"

/* The name a key has in the environment, without the prefix: net.max-peers is NET_MAX_PEERS. */
static void env_name(const char *key, char out[CONFIG_NAME_MAX + 1])
{
    size_t i = 0;
    for (; key[i] && i < CONFIG_NAME_MAX; i++) {
        char c = key[i];
        out[i] = c == '.' || c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    out[i] = '\0';
}

/* The dots of a key cannot be told from its dashes in the environment, so foreign sections are compared in the environment's spelling. */
static bool is_env_section(const char *section, const char *name)
{
    char upper[CONFIG_NAME_MAX + 1];
    env_name(section, upper);
    size_t n = strlen(upper);
    return strncmp(upper, name, n) == 0 && name[n] == '_';
}

/* What people set for jobctl, in the shell from which they start daemons too, and what jobctl sets for the programs it starts. */
static const char *const client_variables[] = {"JOBMANAGER", "COORD", "LOCK_TOKEN"};

static bool is_env_foreign(const struct config_table *table, const char *name)
{
    if (is_env_section("test", name)) return true;
    for (size_t i = 0; i < sizeof client_variables / sizeof *client_variables; i++)
        if (strcmp(client_variables[i], name) == 0) return true;
    for (const char *const *section = table->foreign; section && *section; section++) {
        if (is_env_section(*section, name)) return true;
    }
    return false;
}

/* `name`: of the variable, without the prefix. */
static weir_err unknown_variable(const struct config_table *table, const char *name, struct weir_diag *diag)
{
    struct nearest near = {.word = name};
    const char *best = NULL;
    char upper[CONFIG_NAME_MAX + 1];
    for (uint32_t i = 0; i < table->n_keys; i++) {
        const char *before = near.best;
        unsigned distance = near.distance;
        env_name(table->keys[i].name, upper);
        nearest_offer(&near, upper); /* remembers the address of `upper`; only whether and how near it was counts */
        if (near.best && (!before || near.distance < distance)) best = table->keys[i].name;
    }
    if (!best) return weir_fail(diag, WEIR_E_ARGUMENT, "environment variable " ENV_PREFIX "%s sets no known key", name);
    env_name(best, upper);
    return weir_fail(diag, WEIR_E_ARGUMENT, "environment variable " ENV_PREFIX "%s sets no known key; did you mean " ENV_PREFIX "%s?", name,
                     upper);
}

static weir_err set_variable(struct config *config, const char *name, const char *text, struct weir_diag *diag)
{
    char upper[CONFIG_NAME_MAX + 1];
    char origin[CONFIG_NAME_MAX + 32];
    for (uint32_t i = 0; i < config->table->n_keys; i++) {
        env_name(config->table->keys[i].name, upper);
        if (strcmp(upper, name) != 0) continue;
        snprintf(origin, sizeof origin, "environment " ENV_PREFIX "%s", upper);
        return config_set(config, CONFIG_RANK_ENV, config->table->keys[i].name, text, origin, diag);
    }
    return is_env_foreign(config->table, name) ? WEIR_OK : unknown_variable(config->table, name, diag);
}

weir_err config_read_env(struct config *config, char *const *env, struct weir_diag *diag)
{
    for (; *env; env++) {
        const char *equals = strchr(*env, '=');
        if (!equals || strncmp(*env, ENV_PREFIX, strlen(ENV_PREFIX)) != 0) continue;
        const char *from = *env + strlen(ENV_PREFIX);
        char *name = strndup(from, (size_t)(equals - from));
        if (!name) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the environment");
        weir_err err = set_variable(config, name, equals + 1, diag);
        free(name);
        if (err) return err;
    }
    return WEIR_OK;
}

/* ---- flags --------------------------------------------------------------------------------------------------------------------- */

static const struct config_key *find_flag(const struct config_table *table, const char *name, size_t len)
{
    for (uint32_t i = 0; i < table->n_keys; i++) {
        const struct config_key *key = &table->keys[i];
        if (strlen(key->name) == len && strncmp(key->name, name, len) == 0) return key;
        if (key->flag && strlen(key->flag) == len && strncmp(key->flag, name, len) == 0) return key;
    }
    return NULL;
}

static weir_err unknown_flag(const struct config_table *table, const char *name, struct weir_diag *diag)
{
    struct nearest near = {.word = name};
    for (uint32_t i = 0; i < table->n_keys; i++) {
        nearest_offer(&near, table->keys[i].name);
        if (table->keys[i].flag) nearest_offer(&near, table->keys[i].flag);
    }
    if (!near.best) return weir_fail(diag, WEIR_E_ARGUMENT, "unknown flag --%s", name);
    return weir_fail(diag, WEIR_E_ARGUMENT, "unknown flag --%s; did you mean --%s?", name, near.best);
}

/* Reads the flag at argv[*i], with its value moves *i to the last word it used. */
static weir_err read_flag(struct config *config, char **argv, int argc, int *i, struct weir_diag *diag)
{
    const char *name = argv[*i] + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const char *text = equals ? equals + 1 : NULL;
    const struct config_key *key = find_flag(config->table, name, len);
    if (!key && !text && strncmp(name, "no-", 3) == 0) {
        key = find_flag(config->table, name + 3, len - 3);
        if (key && key->type == CONFIG_BOOL)
            text = "false";
        else
            key = NULL;
    }
    if (!key) {
        char typed[NEAREST_WORD_MAX + 1];
        snprintf(typed, sizeof typed, "%.*s", (int)(len < NEAREST_WORD_MAX ? len : NEAREST_WORD_MAX), name);
        return unknown_flag(config->table, typed, diag);
    }
    if (!text && key->type == CONFIG_BOOL) text = "true";
    if (!text && *i + 1 < argc) text = argv[++*i];
    if (!text) return weir_fail(diag, WEIR_E_ARGUMENT, "flag --%s needs a value", name);
    char origin[CONFIG_NAME_MAX + 32];
    snprintf(origin, sizeof origin, "flag --%.*s", (int)(len < CONFIG_NAME_MAX ? len : CONFIG_NAME_MAX), name);
    return config_set(config, CONFIG_RANK_FLAG, key->name, text, origin, diag);
}

/* -D KEY=VALUE: one argument that fits every program, so keys in others' sections are passed over. */
static weir_err read_definition(struct config *config, char **argv, int argc, int *i, struct weir_diag *diag)
{
    const char *text = argv[*i] + 2;
    if (*text == '\0' && *i + 1 < argc) text = argv[++*i];
    size_t len = strcspn(text, "=");
    char name[CONFIG_NAME_MAX + 1];
    if (len == 0 || len > CONFIG_NAME_MAX || text[len] == '\0')
        return weir_fail(diag, WEIR_E_ARGUMENT, "flag -D takes KEY=VALUE, not \"%s\"", text);
    (void)snprintf(name, sizeof name, "%.*s", (int)len, text);
    if (config_is_foreign(config, name)) return WEIR_OK;
    return config_set(config, CONFIG_RANK_FLAG, name, text + len + 1, "flag -D", diag);
}

static bool is_definition(const char *word)
{
    return strncmp(word, "-D", 2) == 0;
}

static bool is_flag(const char *word)
{
    return strncmp(word, "--", 2) == 0 && strcmp(word, "--help") != 0 && strcmp(word, "--version") != 0;
}

weir_err config_read_flags(struct config *config, int *argc, char **argv, struct weir_diag *diag)
{
    int n_words = 0;
    char **words = calloc((size_t)*argc + 1, sizeof *words);
    if (!words) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the arguments");
    weir_err err = WEIR_OK;
    bool flags = true;
    for (int i = 0; i < *argc && !err; i++) {
        if (flags && i > 0 && strcmp(argv[i], "--") == 0)
            flags = false;
        else if (flags && i > 0 && is_flag(argv[i]))
            err = read_flag(config, argv, *argc, &i, diag);
        else if (flags && i > 0 && is_definition(argv[i]))
            err = read_definition(config, argv, *argc, &i, diag);
        else
            words[n_words++] = argv[i];
    }
    if (!err) {
        memcpy(argv, words, ((size_t)n_words + (n_words < *argc)) * sizeof *words); /* with a NULL behind, where there is room */
        *argc = n_words;
    }
    free(words);
    return err;
}

weir_err config_load(struct config *config, const char *file_key, int *argc, char **argv, char *const *env, struct weir_diag *diag)
{
    weir_err err = config_read_flags(config, argc, argv, diag);
    if (!err) err = config_read_env(config, env, diag);
    if (err || file_key[0] == '\0' || config_str(config, file_key)[0] == '\0') return err;
    return config_read_file(config, config_str(config, file_key), config_is_default(config, file_key), diag);
}

/* ---- questions ------------------------------------------------------------------------------------------------------------------ */

static uint32_t must_find(const struct config *config, const char *name)
{
    uint32_t i = find_key(config->table, name);
    WEIR_ASSERT(i < config->table->n_keys);
    return i;
}

const char *config_str(const struct config *config, const char *name)
{
    uint32_t i = must_find(config, name);
    WEIR_ASSERT(config->table->keys[i].type == CONFIG_STR);
    return config->values[i].text;
}

int64_t config_int(const struct config *config, const char *name)
{
    uint32_t i = must_find(config, name);
    WEIR_ASSERT(config->table->keys[i].type != CONFIG_STR);
    WEIR_ASSERT(config->table->keys[i].type != CONFIG_BOOL);
    return config->values[i].number;
}

bool config_bool(const struct config *config, const char *name)
{
    uint32_t i = must_find(config, name);
    WEIR_ASSERT(config->table->keys[i].type == CONFIG_BOOL);
    return config->values[i].number != 0;
}

const char *config_origin(const struct config *config, const char *name)
{
    const struct value *v = &config->values[must_find(config, name)];
    return v->origin ? v->origin : "default";
}

bool config_is_default(const struct config *config, const char *name)
{
    return config->values[must_find(config, name)].rank == CONFIG_RANK_DEFAULT;
}

void config_help(const struct config_table *table, struct buffer *out)
{
    for (uint32_t i = 0; i < table->n_keys; i++) {
        const struct config_key *key = &table->keys[i];
        char left[CONFIG_NAME_MAX + 16];
        snprintf(left, sizeof left, "--%s%s", key->flag ? key->flag : key->name, key->type == CONFIG_BOOL ? "" : " VALUE");
        buffer_printf(out, "  %-34s %s", left, key->help ? key->help : "");
        if (key->fallback[0]) buffer_printf(out, " (default %s)", key->fallback);
        buffer_str(out, "\n");
    }
}

void config_show(const struct config *config, struct buffer *out)
{
    for (uint32_t i = 0; i < config->table->n_keys; i++) {
        const struct value *v = &config->values[i];
        buffer_printf(out, "%s = %s   # %s\n", config->table->keys[i].name, v->text, v->origin ? v->origin : "default");
    }
}
