/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/offline.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/state/cell.h"
#include "runtime/state/internal.h"
#include "runtime/state/panes.h"
#include "runtime/state/timers.h"

#define CACHE_BYTES (8u << 20)
#define TIME_BYTES 8u   /* in front of a keeper's value */
#define LENGTH_BYTES 4u /* in front of a list's element of any length */
#define LIST_LARGE 1u   /* bit of a chunk's number: one element as it is (cells_list.c) */
#define PLACE_BYTES 16u /* time and seq of an ordered entry */
#define SIGN_BIT ((uint64_t)1 << 63)

struct offline {
    struct offline_spec spec;
    struct rocks_shared *shared;
    struct state_slot *slot;
    struct family *family;
    struct rocks_cursor *cursor;
    unsigned char *only; /* the key wanted; NULL = every one */
    uint32_t only_length;
    struct offline_entry chunk; /* of a list: what is left of it lies in its value */
    bool large;                 /* it is one element */
};

/* ---- opening ------------------------------------------------------------------------------------------------------------------------- */

static bool has_key(enum keyed_kind kind)
{
    return kind != KEYED_BROADCAST && kind != KEYED_OPERATOR_LIST;
}

static weir_err open_family(struct offline *o, struct weir_diag *diag)
{
    const struct offline_spec *spec = &o->spec;
    struct state_slot_config slot = {.dir = spec->scratch, .shared = o->shared};
    struct family_options options = {.name = "offline",
                                     .value_size = spec->value_size,
                                     .first_group = has_key(spec->kind) ? spec->first_group : 0,
                                     .last_group = has_key(spec->kind) ? spec->last_group : 0,
                                     .prefix_length = spec->kind == KEYED_PANES ? PANES_PREFIX : 0};
    weir_err err = state_slot_new(&o->slot, &slot, diag);
    if (!err) err = family_new(&o->family, o->slot, &options, diag);
    if (!err && family_open_keeper(o->family)) err = slot_error(o->slot, diag);
    return err;
}

/* Keys of one group, or of all; with panes, a group's keys lie in all of them. */
static weir_err open_cursor(struct offline *o, bool one_group, uint16_t group, struct weir_diag *diag)
{
    unsigned char from[2] = {(unsigned char)(group >> 8), (unsigned char)group};
    unsigned char to[2] = {(unsigned char)((group + 1) >> 8), (unsigned char)(group + 1)};
    uint32_t length = one_group && o->spec.kind != KEYED_PANES ? sizeof from : 0;
    rocks_cursor_destroy(&o->cursor);
    o->chunk = (struct offline_entry){0};
    return rocks_cursor_new(o->family->keeper, (struct weir_bytes){from, length}, (struct weir_bytes){to, length}, ROCKS_SCAN, &o->cursor,
                            diag);
}

weir_err offline_open(struct offline **out, const struct offline_spec *spec, struct weir_diag *diag)
{
    struct offline *o = calloc(1, sizeof *o);
    if (!o) return weir_fail(diag, WEIR_E_NOMEM, "no memory to read a state");
    o->spec = *spec;
    weir_err err = rocks_shared_new(&o->shared, CACHE_BYTES, 1, diag);
    if (!err) err = open_family(o, diag);
    for (uint32_t i = 0; i < spec->n_paths && !err; i++) err = family_share(o->family, o->family->keeper, &spec->paths[i], 1, diag);
    if (!err) err = open_cursor(o, false, 0, diag);
    if (err)
        offline_close(&o);
    else
        *out = o;
    return err;
}

void offline_close(struct offline **offline)
{
    struct offline *o = *offline;
    if (!o) return;
    rocks_cursor_destroy(&o->cursor);
    family_destroy(&o->family);
    state_slot_destroy(&o->slot);
    rocks_shared_destroy(&o->shared);
    free(o->only);
    free(o);
    *offline = NULL;
}

weir_err offline_only(struct offline *o, struct weir_bytes key, struct weir_diag *diag)
{
    if (!has_key(o->spec.kind)) return weir_fail(diag, WEIR_E_ARGUMENT, "%s state has no keys", keyed_kind_name(o->spec.kind));
    unsigned char *copy = malloc((size_t)key.length + 1);
    if (!copy) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a key");
    if (key.length) memcpy(copy, key.data, key.length);
    free(o->only);
    o->only = copy;
    o->only_length = key.length;
    return open_cursor(o, true, hash_key_group(hash64(copy, key.length)), diag);
}

/* ---- taking entries apart ------------------------------------------------------------------------------------------------------------ */

static uint64_t get_u64(const unsigned char *at)
{
    uint64_t x;
    memcpy(&x, at, sizeof x);
    return be64toh(x);
}

static struct weir_bytes behind(struct weir_bytes bytes, uint32_t n)
{
    return (struct weir_bytes){(const unsigned char *)bytes.data + n, bytes.length - n};
}

/* What stands in front of the state's own key. */
static bool take_prefix(const struct offline *o, struct weir_bytes *key, struct offline_entry *e)
{
    uint32_t prefix = o->spec.kind == KEYED_PANES ? PANES_PREFIX : 0;
    if (key->length < prefix + RUN_PREFIX) return false;
    if (prefix) e->pane = (int64_t)(get_u64(key->data) ^ SIGN_BIT);
    *key = behind(*key, prefix + RUN_PREFIX);
    return true;
}

static bool take_time(struct weir_bytes place, struct offline_entry *e)
{
    e->time_ms = (weir_time)(get_u64(place.data) ^ SIGN_BIT);
    e->seq = get_u64((const unsigned char *)place.data + 8);
    return true;
}

/* The state's own key. */
static bool take_key(struct offline *o, struct weir_bytes key, struct offline_entry *e)
{
    struct weir_bytes place;
    switch (o->spec.kind) {
    case KEYED_LIST:
        if (!cell_parse(key, &e->key, &e->ns, &place) || place.length != 8) return false;
        o->large = get_u64(place.data) & LIST_LARGE;
        return true;
    case KEYED_MAP: return cell_parse(key, &e->key, &e->ns, &e->user_key);
    case KEYED_ORDERED: return cell_parse(key, &e->key, &e->ns, &place) && place.length == PLACE_BYTES && take_time(place, e);
    case KEYED_TIMERS:
        if (key.length < TIMERS_PREFIX) return false;
        e->key = behind(key, TIMERS_PREFIX);
        return take_time(key, e);
    case KEYED_BROADCAST: e->user_key = key; return true;
    case KEYED_OPERATOR_LIST: return key.length == 8;
    default: e->key = key; return !o->spec.namespaced || (cell_parse(key, &e->key, &e->ns, &place) && place.length == 0);
    }
}

static bool take_value(const struct offline *o, struct weir_bytes value, struct offline_entry *e)
{
    uint64_t time;
    if (value.length < TIME_BYTES) return false;
    memcpy(&time, value.data, TIME_BYTES);
    e->written_ms = (weir_time)le64toh(time);
    if (o->spec.kind != KEYED_TIMERS) e->value = behind(value, TIME_BYTES);
    return true;
}

static bool is_wanted(const struct offline *o, struct weir_bytes keeper_key, const struct offline_entry *e)
{
    const struct offline_spec *spec = &o->spec;
    if (!family_holds(o->family, keeper_key, 0, WEIR_KEY_GROUPS - 1)) return false;
    if (spec->ttl_ms && e->written_ms <= spec->now_ms - spec->ttl_ms) return false;
    return !o->only || (e->key.length == o->only_length && memcmp(e->key.data, o->only, o->only_length) == 0);
}

/* The keeper's next entry that is wanted. */
static weir_err next_stored(struct offline *o, bool *more, struct offline_entry *e, struct weir_diag *diag)
{
    struct weir_bytes keeper_key, value;
    for (;;) {
        weir_err err = rocks_cursor_next(o->cursor, more, &keeper_key, &value, diag);
        if (err || !*more) return err;
        struct weir_bytes key = keeper_key;
        *e = (struct offline_entry){0};
        if (!take_prefix(o, &key, e) || !take_value(o, value, e) || !take_key(o, key, e))
            return weir_fail(diag, WEIR_E_CORRUPT, "an entry is none of %s state", keyed_kind_name(o->spec.kind));
        if (is_wanted(o, keeper_key, e)) return WEIR_OK;
    }
}

/* ---- lists: a chunk is several entries ----------------------------------------------------------------------------------------------- */

/* The first element of what is left of the chunk. False: it breaks its form. */
static bool take_element(struct offline *o, struct offline_entry *e)
{
    struct weir_bytes *left = &o->chunk.value;
    uint32_t header = o->spec.element_size || o->large ? 0 : LENGTH_BYTES, length = o->large ? left->length : o->spec.element_size;
    if (left->length < header) return false;
    if (header) {
        memcpy(&length, left->data, LENGTH_BYTES);
        length = le32toh(length);
    }
    if (length > left->length - header || header + length == 0) return false;
    *e = o->chunk;
    e->value = (struct weir_bytes){(const unsigned char *)left->data + header, length};
    *left = behind(*left, header + length);
    return true;
}

weir_err offline_next(struct offline *o, bool *more, struct offline_entry *entry, struct weir_diag *diag)
{
    if (o->spec.kind != KEYED_LIST) return next_stored(o, more, entry, diag);
    if (o->chunk.value.length == 0) {
        weir_err err = next_stored(o, more, &o->chunk, diag);
        if (err || !*more) return err;
    }
    *more = true;
    return take_element(o, entry) ? WEIR_OK : weir_fail(diag, WEIR_E_CORRUPT, "a list's elements break their form");
}
