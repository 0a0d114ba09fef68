/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/keyed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/state/cell.h"
#include "runtime/state/keyed_internal.h"
#include "runtime/state/snapshot.h"

/* ---- life ------------------------------------------------------------------------------------------------------------------------- */

static weir_err open_timers(struct keyed *k, enum weir_time_domain domain, struct weir_diag *diag)
{
    struct family_wants wants = {
        .kind = KEYED_TIMERS, .name = domain == WEIR_EVENT_TIME ? "~event timers" : "~processing timers", .value_size = TIMERS_VALUE_SIZE};
    struct family *family;
    weir_err err = keyed_add_family(k, &wants, &family, diag);
    if (!err && timers_new(&k->timers[domain], family)) err = slot_error(k->slot, diag);
    return err;
}

weir_err keyed_new(struct keyed **out, struct state_slot *slot, const char *operator_id, uint16_t first_group, uint16_t last_group)
{
    struct keyed *k = calloc(1, sizeof *k);
    if (!k) return WEIR_E_NOMEM;
    k->slot = slot;
    k->first_group = first_group;
    k->last_group = last_group;
    (void)snprintf(k->operator_id, sizeof k->operator_id, "%s", operator_id);
    *out = k;
    return WEIR_OK;
}

static void destroy_state(struct weir_state **state)
{
    struct weir_state *s = *state;
    if (!s) return;
    keyed_scan_close(s); /* before the store whose cursor it has */
    store_destroy(&s->store, false);
    cells_destroy(&s->cells);
    free(s->accs);
    free(s);
    *state = NULL;
}

void keyed_destroy(struct keyed **keyed)
{
    struct keyed *k = *keyed;
    if (!k) return;
    WEIR_ASSERT(!k->snapshot);
    for (uint32_t i = 0; i < k->n_states; i++) destroy_state(&k->states[i]);
    for (uint32_t i = 0; i < k->n_panes; i++) panes_destroy(&k->panes[i]);
    for (uint32_t i = 0; i < k->n_broadcasts; i++) broadcast_destroy(&k->broadcasts[i]);
    for (uint32_t i = 0; i < k->n_lists; i++) operator_list_destroy(&k->lists[i]);
    timers_destroy(&k->timers[WEIR_EVENT_TIME]);
    timers_destroy(&k->timers[WEIR_PROCESSING_TIME]);
    for (uint32_t i = 0; i < k->n_members; i++) family_destroy(&k->members[i].family);
    keyed_restored_close(&k->restored);
    free(k->cell);
    free(k);
    *keyed = NULL;
}

weir_err keyed_safe_point(struct keyed *k, weir_time now_ms)
{
    uint64_t evictions = k->slot->stats.evictions;
    for (uint32_t i = 0; i < k->n_states; i++) {
        if (k->states[i]->cells) cells_rest(k->states[i]->cells);
    }
    slot_safe_point(k->slot, now_ms);
    if (k->slot->stats.evictions != evictions) {
        for (uint32_t i = 0; i < k->n_states; i++) k->states[i]->n_batch = 0; /* guesses may point at what has gone */
    }
    return slot_error(k->slot, NULL);
}

/* ---- families ---------------------------------------------------------------------------------------------------------------------- */

static weir_err check_name(const struct keyed *k, const char *name, struct weir_diag *diag)
{
    if (!name || !name[0]) return weir_fail(diag, WEIR_E_ARGUMENT, "a state needs a name");
    if (strlen(name) > WEIR_NAME_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "state name '%.40s...' is longer than %d bytes", name, WEIR_NAME_MAX);
    uint32_t n = 0;
    for (uint32_t i = 0; i < k->n_members; i++) {
        n += k->members[i].info.kind != KEYED_TIMERS;
        if (strcmp(k->members[i].info.name, name) == 0) return weir_fail(diag, WEIR_E_EXISTS, "state '%s' is opened twice", name);
    }
    if (n == WEIR_STATES_MAX && name[0] != '~')
        return weir_fail(diag, WEIR_E_LIMIT, "state '%s' is one more than %d of an operator", name, WEIR_STATES_MAX);
    return WEIR_OK;
}

const char *keyed_kind_name(enum keyed_kind kind)
{
    static const char *const names[] = {"none",    "value", "reducing", "aggregating", "list",         "map",
                                        "ordered", "panes", "timers",   "broadcast",   "operator list"};
    return (size_t)kind < sizeof names / sizeof names[0] ? names[kind] : "unknown";
}

static bool is_whole(enum keyed_kind kind)
{
    return kind == KEYED_BROADCAST || kind == KEYED_OPERATOR_LIST;
}

static weir_err check_kind(const struct keyed_file *file, const struct family_wants *wants, struct weir_diag *diag)
{
    if (file->kind != wants->kind)
        return weir_fail(diag, WEIR_E_STATE, "state '%s' was stored as %s state and is opened as %s state", wants->name,
                         keyed_kind_name(file->kind), keyed_kind_name(wants->kind));
    if (file->value_size != wants->value_size)
        return weir_fail(diag, WEIR_E_STATE, "state '%s' was stored with values of %u bytes and is opened with %u (0 = any length)",
                         wants->name, file->value_size, wants->value_size);
    return WEIR_OK;
}

/* What one restored list has of a state. False: nothing. */
static weir_err part_of(const struct keyed *k, uint32_t list, const struct family_wants *wants, struct restore_part *part,
                        struct weir_diag *diag)
{
    const struct keyed_files *from = &k->restored.lists[list];
    *part = (struct restore_part){.dir = k->restored.dirs[list], .first_group = from->first_group, .last_group = from->last_group};
    part->files = calloc((size_t)from->n + 1, sizeof *part->files);
    if (!part->files) return weir_fail(diag, WEIR_E_NOMEM, "state '%s': out of memory", wants->name);
    for (uint32_t i = 0; i < from->n; i++) {
        const struct keyed_file *file = &from->items[i];
        if (strcmp(file->state, wants->name) != 0) continue;
        weir_err err = check_kind(file, wants, diag);
        if (err) return err;
        /* Another list may tell otherwise of what lies outside of this one's groups. */
        part->clip |= k->restored.n > 1 && (file->first_group < from->first_group || file->last_group > from->last_group);
        part->files[part->n++] = *file;
    }
    part->clip &= !is_whole(wants->kind);
    return WEIR_OK;
}

/* The restored files of that name, in order, go behind the family. */
static weir_err restore_family(struct keyed *k, const struct family_wants *wants, struct family *family, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < k->restored.n && !err; i++) {
        struct restore_part part;
        err = part_of(k, i, wants, &part, diag);
        if (!err && part.n) err = family_restore(family, &part, diag);
        free(part.files);
        if (wants->kind == KEYED_BROADCAST) break; /* the same in every instance: the first one's will do */
    }
    return err;
}

static struct keyed_state_info info_of(const struct family_wants *wants)
{
    struct keyed_state_info info = {.kind = wants->kind,
                                    .value_size = wants->value_size,
                                    .element_size = wants->element_size,
                                    .ttl_ms = wants->ttl_ms,
                                    .namespaced = wants->namespaced,
                                    .value = wants->value,
                                    .user_key = wants->user_key};
    (void)snprintf(info.name, sizeof info.name, "%s", wants->name ? wants->name : "");
    return info;
}

weir_err keyed_add_family(struct keyed *k, const struct family_wants *wants, struct family **out, struct weir_diag *diag)
{
    struct keyed_state_info info = info_of(wants);
    weir_err err = check_name(k, wants->name, diag);
    if (!err) err = keyed_types_check(&k->restored.types, &info, diag);
    if (err) return err;
    char name[2 * WEIR_NAME_MAX + 2];
    (void)snprintf(name, sizeof name, "%s/%s", k->operator_id, wants->name);
    struct family_options options = {.name = name,
                                     .value_size = wants->value_size,
                                     .ttl_ms = wants->ttl_ms,
                                     .ttl_on_read = wants->ttl_on_read,
                                     .first_group = is_whole(wants->kind) ? 0 : k->first_group,
                                     .last_group = is_whole(wants->kind) ? 0 : k->last_group,
                                     .prefix_length = wants->kind == KEYED_PANES ? PANES_PREFIX : 0,
                                     .whole = is_whole(wants->kind)};
    struct family *family;
    err = family_new(&family, k->slot, &options, diag);
    if (err) return err;
    err = restore_family(k, wants, family, diag);
    if (err) {
        family_destroy(&family);
        return err;
    }
    struct keyed_member *m = &k->members[k->n_members++];
    m->family = family;
    m->info = info;
    *out = family;
    return WEIR_OK;
}

void keyed_drop_family(struct keyed *k, struct family *family)
{
    WEIR_ASSERT(k->members[k->n_members - 1].family == family);
    family_destroy(&k->members[--k->n_members].family);
}

/* ---- opening ----------------------------------------------------------------------------------------------------------------------- */

static weir_err check_desc(const struct weir_state_desc *desc, struct weir_diag *diag)
{
    if (desc->struct_size != sizeof *desc)
        return weir_fail(diag, WEIR_E_ARGUMENT, "state '%s': struct_size must be sizeof(struct weir_state_desc)",
                         desc->name ? desc->name : "");
    if (desc->value_size > WEIR_VALUE_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "state '%s': values of %u bytes, at most %u", desc->name, desc->value_size, WEIR_VALUE_MAX);
    if (desc->ttl_ms < 0) return weir_fail(diag, WEIR_E_ARGUMENT, "state '%s': a negative time to live", desc->name);
    if (desc->name && desc->name[0] == '~')
        return weir_fail(diag, WEIR_E_ARGUMENT, "state '%s': names that begin with ~ belong to the runtime", desc->name);
    return WEIR_OK;
}

static struct family_wants wants_of(enum keyed_kind kind, const struct weir_state_desc *desc)
{
    return (struct family_wants){.kind = kind,
                                 .name = desc->name,
                                 .value_size = kind == KEYED_LIST || is_whole(kind) ? 0 : desc->value_size,
                                 .element_size = kind == KEYED_LIST || is_whole(kind) ? desc->value_size : 0,
                                 .ttl_ms = desc->ttl_ms,
                                 .ttl_on_read = desc->flags & WEIR_STATE_TTL_ON_READ,
                                 .namespaced = desc->flags & WEIR_STATE_NAMESPACED,
                                 .value = desc->schema,
                                 .user_key = desc->user_key_schema};
}

static weir_err make_state(struct weir_state *s, struct family *family, struct weir_diag *diag)
{
    struct store_spec spec = {.keys = s->namespaced ? STORE_KEY_CELL : STORE_KEY_RAW, .key_max = s->namespaced ? CELL_KEY_MAX : 0};
    switch (s->kind) {
    case KEYED_LIST: return cells_new(&s->cells, family, CELLS_LIST, s->value_size, diag);
    case KEYED_MAP: return cells_new(&s->cells, family, CELLS_MAP, s->value_size, diag);
    case KEYED_ORDERED: return cells_new(&s->cells, family, CELLS_ORDERED, s->value_size, diag);
    default: break;
    }
    if (s->kind == KEYED_AGGREGATING && !(s->accs = malloc(WEIR_BATCH_MAX * sizeof *s->accs))) return WEIR_E_NOMEM;
    return store_new(&s->store, family, &spec);
}

weir_err keyed_open(struct keyed *k, enum keyed_kind kind, const struct weir_state_desc *desc, struct weir_state **out,
                    struct weir_diag *diag)
{
    weir_err err = check_desc(desc, diag);
    if (err) return err;
    if ((kind == KEYED_REDUCING || kind == KEYED_AGGREGATING) && desc->value_size == 0)
        return weir_fail(diag, WEIR_E_ARGUMENT, "state '%s': %s state needs a value_size", desc->name, keyed_kind_name(kind));
    struct family_wants wants = wants_of(kind, desc);
    struct family *family;
    err = keyed_add_family(k, &wants, &family, diag);
    if (err) return err;
    struct weir_state *s = calloc(1, sizeof *s);
    if (s) {
        *s = (struct weir_state){.keyed = k, .kind = kind, .value_size = desc->value_size};
        s->namespaced = desc->flags & WEIR_STATE_NAMESPACED;
        err = make_state(s, family, diag);
    }
    if (!s || err) {
        destroy_state(&s);
        keyed_drop_family(k, family);
        return weir_fail(diag, err ? err : WEIR_E_NOMEM, "open state '%s': out of memory", desc->name);
    }
    k->states[k->n_states++] = s;
    *out = s;
    return WEIR_OK;
}

weir_err keyed_panes_open(struct keyed *k, const struct weir_state_desc *desc, struct weir_panes **out, struct weir_diag *diag)
{
    weir_err err = check_desc(desc, diag);
    if (err) return err;
    if (desc->value_size == 0 || desc->ttl_ms || desc->flags)
        return weir_fail(diag, WEIR_E_ARGUMENT, "state '%s': panes need a value_size, and have neither time to live nor namespaces",
                         desc->name);
    struct family_wants wants = wants_of(KEYED_PANES, desc);
    struct family *family;
    err = keyed_add_family(k, &wants, &family, diag);
    if (err) return err;
    err = panes_new(&k->panes[k->n_panes], family, desc->value_size);
    if (err) {
        keyed_drop_family(k, family);
        return weir_fail(diag, err, "open state '%s': out of memory", desc->name);
    }
    *out = k->panes[k->n_panes++];
    return WEIR_OK;
}

weir_err keyed_broadcast_open(struct keyed *k, const struct weir_state_desc *desc, struct weir_broadcast **out, struct weir_diag *diag)
{
    weir_err err = check_desc(desc, diag);
    if (err) return err;
    struct family_wants wants = wants_of(KEYED_BROADCAST, desc);
    struct family *family;
    err = keyed_add_family(k, &wants, &family, diag);
    if (err) return err;
    err = broadcast_new(&k->broadcasts[k->n_broadcasts], family, desc->value_size);
    if (err) {
        keyed_drop_family(k, family);
        return weir_fail(diag, err, "open state '%s': out of memory", desc->name);
    }
    *out = k->broadcasts[k->n_broadcasts++];
    return WEIR_OK;
}

weir_err keyed_operator_list_open(struct keyed *k, const struct weir_state_desc *desc, enum weir_redistribution how,
                                  struct weir_operator_list **out, struct weir_diag *diag)
{
    weir_err err = check_desc(desc, diag);
    if (err) return err;
    struct family_wants wants = wants_of(KEYED_OPERATOR_LIST, desc);
    struct family *family;
    err = keyed_add_family(k, &wants, &family, diag);
    if (err) return err;
    struct operator_list_options options = {.value_size = desc->value_size,
                                            .how = how,
                                            .writer = k->first_group, /* differs between instances, and orders them */
                                            .shard = k->restored.shard,
                                            .n_shards = k->restored.n_shards};
    err = operator_list_new(&k->lists[k->n_lists], family, &options);
    if (err) {
        keyed_drop_family(k, family);
        return weir_fail(diag, err, "open state '%s': out of memory", desc->name);
    }
    *out = k->lists[k->n_lists++];
    return WEIR_OK;
}

void keyed_reducing_set(struct weir_state *s, weir_reduce reduce)
{
    s->reduce = reduce;
}

void keyed_aggregating_set(struct weir_state *s, const struct weir_aggregate *aggregate)
{
    s->aggregate = aggregate;
}

void keyed_prefetch(struct keyed *k, const struct weir_key *keys, uint32_t n)
{
    if (n > WEIR_BATCH_MAX) n = WEIR_BATCH_MAX;
    for (uint32_t i = 0; i < k->n_states; i++) {
        struct weir_state *s = k->states[i];
        s->batch = keys;
        if (s->store && !s->namespaced) store_load(s->store, keys, n);
        s->n_batch = s->store && !s->namespaced && store_prefetch(s->store, keys, n, s->guesses) ? n : 0;
    }
}

weir_err keyed_set_namespace(struct keyed *k, struct weir_bytes ns)
{
    if (ns.length > WEIR_NAMESPACE_MAX) return WEIR_E_LIMIT;
    if (ns.length) memcpy(k->ns, ns.data, ns.length);
    k->ns_length = ns.length;
    return WEIR_OK;
}

/* ---- timers: their families are opened with the first one, or when a restored operator asks
 * ------------------------------------------------ */

static struct timers *timers_of(struct keyed *k, enum weir_time_domain domain)
{
    struct weir_diag diag;
    if (!k->timers[domain] && open_timers(k, domain, &diag)) (void)slot_fail_diag(k->slot, &diag);
    return k->timers[domain];
}

weir_err keyed_timer_set(struct keyed *k, const struct weir_key *key, enum weir_time_domain domain, weir_time time_ms, uint64_t tag)
{
    struct timers *t = timers_of(k, domain);
    return t ? timers_set(t, key, time_ms, tag) : slot_error(k->slot, NULL);
}

weir_err keyed_timer_delete(struct keyed *k, const struct weir_key *key, enum weir_time_domain domain, weir_time time_ms, uint64_t tag)
{
    if (k->timers[domain]) timers_delete(k->timers[domain], key, time_ms, tag);
    return slot_error(k->slot, NULL);
}

weir_time keyed_timer_first(const struct keyed *k, enum weir_time_domain domain)
{
    return k->timers[domain] ? timers_first(k->timers[domain]) : WEIR_TIME_MAX;
}

bool keyed_timer_pop(struct keyed *k, enum weir_time_domain domain, weir_time until, struct weir_timer *timer)
{
    struct weir_timer t = {.domain = domain};
    if (!k->timers[domain] || !timers_pop(k->timers[domain], until, &t.time_ms, &t.tag, &t.key)) return false;
    *timer = t;
    return true;
}

weir_err keyed_open_restored_timers(struct keyed *k, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    for (uint32_t l = 0; l < k->restored.n; l++) {
        const struct keyed_files *list = &k->restored.lists[l];
        for (uint32_t i = 0; i < list->n && !err; i++) {
            if (list->items[i].kind != KEYED_TIMERS) continue;
            enum weir_time_domain domain = list->items[i].state[1] == 'e' ? WEIR_EVENT_TIME : WEIR_PROCESSING_TIME;
            if (!k->timers[domain]) err = open_timers(k, domain, diag);
        }
    }
    return err;
}
