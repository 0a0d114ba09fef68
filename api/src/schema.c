/* SPDX-License-Identifier: Apache-2.0 */
/* Row types as the builders see them: are they sound, and does what a step gives fit what the next one takes. */
#include "api/src/builder.h"

#include <stdio.h>

bool name_ok(const char *name)
{
    return name && *name && strnlen(name, WEIR_NAME_MAX + 1) <= WEIR_NAME_MAX;
}

/* Bytes a field takes in its struct; 0 for a type that is none. */
static uint32_t type_size(enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_BOOL: return sizeof(bool);
    case WEIR_TYPE_I32: return sizeof(int32_t);
    case WEIR_TYPE_I64: return sizeof(int64_t);
    case WEIR_TYPE_F64: return sizeof(double);
    case WEIR_TYPE_TIME: return sizeof(weir_time);
    case WEIR_TYPE_STR: return sizeof(struct weir_str);
    case WEIR_TYPE_DECIMAL: return sizeof(int64_t);
    }
    return 0;
}

/* What is wrong with field `i`, or NULL. */
static const char *field_fault(const struct weir_schema *schema, uint32_t i)
{
    const struct weir_field *field = &schema->fields[i];
    if (!name_ok(field->name)) return "has no name, or one that is too long";
    if (field->id == 0) return "has id 0; ids begin at 1";
    uint32_t size = type_size(field->type);
    if (size == 0) return "has an unknown type";
    if (field->scale > (field->type == WEIR_TYPE_DECIMAL ? WEIR_SCALE_MAX : 0)) return "has a scale its type does not allow";
    if (field->offset > schema->row_size || size > schema->row_size - field->offset) return "leaves the struct";
    for (uint32_t k = 0; k < i; k++) {
        if (schema->fields[k].id == field->id) return "has the id of another field";
        if (!strcmp(schema->fields[k].name, field->name)) return "has the name of another field";
    }
    return NULL;
}

/* What is wrong with the schema apart from its fields, or NULL. */
static const char *head_fault(const struct weir_schema *schema)
{
    if (schema->struct_size != sizeof *schema) return "was declared with other headers: rebuild the plugin";
    if (!name_ok(schema->name)) return "has no name, or one that is too long";
    if (schema->row_size == 0 || schema->row_size > WEIR_ROW_MAX) return "has a row size outside 1 ... WEIR_ROW_MAX";
    if (schema->n_fields == 0 || schema->n_fields > WEIR_FIELDS_MAX) return "has a number of fields outside 1 ... WEIR_FIELDS_MAX";
    if (!schema->fields) return "has no fields";
    return NULL;
}

bool schema_check(struct weir_env *env, const char *owner, const struct weir_schema *schema)
{
    if (!schema) return true;
    const char *fault = head_fault(schema);
    if (fault) {
        bool named = schema->struct_size == sizeof *schema && schema->name;
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: row type %.128s %s", owner, named ? schema->name : "?", fault);
    }
    for (uint32_t i = 0; i < schema->n_fields; i++) {
        fault = field_fault(schema, i);
        if (!fault) continue;
        const char *name = schema->fields[i].name ? schema->fields[i].name : "?";
        return env_mistake(env, WEIR_E_GRAPH, "operator %s: row type %s: field %u (%.128s) %s", owner, schema->name, i, name, fault);
    }
    return true;
}

static bool field_equal(const struct weir_field *a, const struct weir_field *b)
{
    return a->id == b->id && a->type == b->type && a->offset == b->offset && a->scale == b->scale && !strcmp(a->name, b->name);
}

bool schema_fits(const struct weir_schema *given, const struct weir_schema *wanted)
{
    if (!given || !wanted || given == wanted) return true;
    if (strcmp(given->name, wanted->name) || given->row_size != wanted->row_size || given->n_fields != wanted->n_fields) return false;
    for (uint32_t i = 0; i < given->n_fields; i++) {
        if (!field_equal(&given->fields[i], &wanted->fields[i])) return false;
    }
    return true;
}

/* Two declarations under one name: says where they part, as that is what the author cannot see. */
static const char *difference(const struct weir_schema *given, const struct weir_schema *wanted, char *out, size_t size)
{
    if (given->row_size != wanted->row_size) {
        (void)snprintf(out, size, "%u bytes against %u", given->row_size, wanted->row_size);
    } else if (given->n_fields != wanted->n_fields) {
        (void)snprintf(out, size, "%u fields against %u", given->n_fields, wanted->n_fields);
    } else {
        uint32_t i = 0;
        while (i + 1 < given->n_fields && field_equal(&given->fields[i], &wanted->fields[i])) i++;
        (void)snprintf(out, size, "field %u (%s) differs in name, id, type, offset or scale", i, given->fields[i].name);
    }
    return out;
}

bool schema_join(struct weir_env *env, const char *taker, const struct weir_schema *wanted, const char *from,
                 const struct weir_schema *given)
{
    if (schema_fits(given, wanted)) return true;
    if (strcmp(given->name, wanted->name)) {
        return env_mistake(env, WEIR_E_GRAPH, "%s takes rows of type %s, but operator %s gives %s", taker, wanted->name, from, given->name);
    }
    char text[256];
    return env_mistake(env, WEIR_E_GRAPH, "%s takes rows of type %s, but operator %s gives another type of that name: %s", taker,
                       wanted->name, from, difference(given, wanted, text, sizeof text));
}
