/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/keyed_types.h"

#include <stdio.h>
#include <string.h>

struct keyed_type {
    struct keyed_state_info info;
    struct keyed_type *next;
};

static const struct keyed_type *find(const struct keyed_types *types, const char *name)
{
    const struct keyed_type *t = types->first;
    while (t && strcmp(t->info.name, name) != 0) t = t->next;
    return t;
}

/* ---- copies -------------------------------------------------------------------------------------------------------------------------- */

static const struct weir_schema *copy_schema(struct arena *arena, const struct weir_schema *from)
{
    if (!from) return NULL;
    struct weir_schema *schema = arena_alloc(arena, 1, sizeof *schema);
    struct weir_field *fields = arena_alloc(arena, from->n_fields, sizeof *fields);
    if (arena->failed) return NULL;
    for (uint32_t i = 0; i < from->n_fields; i++) {
        fields[i] = from->fields[i];
        fields[i].name = arena_text(arena, from->fields[i].name);
    }
    *schema = *from;
    schema->name = arena_text(arena, from->name);
    schema->fields = fields;
    return schema;
}

weir_err keyed_types_add(struct keyed_types *types, const struct keyed_state_info *info)
{
    if (find(types, info->name)) return WEIR_OK;
    struct keyed_type *t = arena_alloc(&types->arena, 1, sizeof *t);
    if (!t) return WEIR_E_NOMEM;
    t->info = *info;
    t->info.value = copy_schema(&types->arena, info->value);
    t->info.user_key = copy_schema(&types->arena, info->user_key);
    if (types->arena.failed) return WEIR_E_NOMEM;
    t->next = types->first;
    types->first = t;
    return WEIR_OK;
}

void keyed_types_close(struct keyed_types *types)
{
    arena_close(&types->arena);
    types->first = NULL;
}

/* ---- differences --------------------------------------------------------------------------------------------------------------------- */

static const struct weir_field *find_field(const struct weir_schema *schema, uint32_t id)
{
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        if (schema->fields[i].id == id) return &schema->fields[i];
    }
    return NULL;
}

static bool same_field(const struct weir_field *a, const struct weir_field *b)
{
    return a->type == b->type && a->offset == b->offset && a->scale == b->scale;
}

/* "i64 at byte 8", "decimal(2) at byte 8" */
static const char *describe(const struct weir_field *f, char out[static 48])
{
    static const char *const names[] = {"?", "bool", "i32", "i64", "f64", "time", "str", "decimal"};
    char scale[16] = "";
    if (f->type == WEIR_TYPE_DECIMAL) (void)snprintf(scale, sizeof scale, "(%u)", f->scale);
    (void)snprintf(out, 48, "%s%s at byte %u", (size_t)f->type < sizeof names / sizeof names[0] ? names[f->type] : "?", scale, f->offset);
    return out;
}

/* what: "values" or "user keys". Names are for people: a field may be called otherwise. */
static weir_err check_rows(const char *state, const char *what, const struct weir_schema *then, const struct weir_schema *now,
                           struct weir_diag *diag)
{
    char old[48], new[48];
    if (!then || !now) return WEIR_OK;
    for (uint32_t i = 0; i < then->n_fields; i++) {
        const struct weir_field *f = &then->fields[i], *g = find_field(now, f->id);
        if (!g)
            return weir_fail(diag, WEIR_E_STATE, "state '%s': its %s were stored with field %u '%s', which row type %s no longer has",
                             state, what, f->id, f->name, now->name);
        if (!same_field(f, g))
            return weir_fail(diag, WEIR_E_STATE, "state '%s': in its %s field %u '%s' was stored as %s and is declared as %s", state, what,
                             f->id, f->name, describe(f, old), describe(g, new));
    }
    for (uint32_t i = 0; i < now->n_fields; i++) {
        const struct weir_field *g = &now->fields[i];
        if (!find_field(then, g->id))
            return weir_fail(diag, WEIR_E_STATE, "state '%s': its %s are declared with field %u '%s', which what was stored does not have",
                             state, what, g->id, g->name);
    }
    return WEIR_OK;
}

weir_err keyed_types_check(const struct keyed_types *types, const struct keyed_state_info *now, struct weir_diag *diag)
{
    const struct keyed_type *t = find(types, now->name);
    if (!t) return WEIR_OK;
    const struct keyed_state_info *then = &t->info;
    if (then->kind == now->kind && then->element_size != now->element_size)
        return weir_fail(diag, WEIR_E_STATE, "state '%s' was stored with elements of %u bytes and is opened with %u (0 = any length)",
                         now->name, then->element_size, now->element_size);
    if (then->kind == now->kind && then->namespaced != now->namespaced)
        return weir_fail(diag, WEIR_E_STATE, "state '%s' was stored %s namespaces and is opened %s them", now->name,
                         then->namespaced ? "with" : "without", now->namespaced ? "with" : "without");
    weir_err err = check_rows(now->name, "values", then->value, now->value, diag);
    return err ? err : check_rows(now->name, "user keys", then->user_key, now->user_key, diag);
}
