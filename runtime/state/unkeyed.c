/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/unkeyed.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"

struct weir_broadcast {
    struct store *store;
    struct memory *memory;
    uint32_t value_size;
};

struct weir_operator_list {
    struct store *store;
    struct memory *memory;
    struct state_slot *slot;
    uint32_t value_size;
    uint32_t writer;
    uint32_t n;
};

static weir_err check_length(uint32_t value_size, uint32_t length)
{
    if (length > WEIR_VALUE_MAX) return WEIR_E_LIMIT;
    return value_size && length != value_size ? WEIR_E_ARGUMENT : WEIR_OK;
}

/* ---- broadcast --------------------------------------------------------------------------------------------------------------------- */

weir_err broadcast_new(struct weir_broadcast **out, struct family *family, uint32_t value_size)
{
    struct state_slot *slot = family_slot(family);
    struct weir_broadcast *b = memory_alloc(slot_memory(slot), sizeof *b);
    if (!b) return slot_fail(slot, WEIR_E_NOMEM, "out of memory for broadcast state");
    *b = (struct weir_broadcast){.memory = slot_memory(slot), .value_size = value_size};
    const struct store_spec spec = {.keys = STORE_KEY_NONE, .key_max = WEIR_USER_KEY_MAX, .pinned = true};
    weir_err err = store_new(&b->store, family, &spec);
    if (!err && !store_is_complete(b->store)) err = store_load_all(b->store); /* restored */
    if (err) {
        broadcast_destroy(&b);
        return err;
    }
    *out = b;
    return WEIR_OK;
}

void broadcast_destroy(struct weir_broadcast **state)
{
    struct weir_broadcast *b = *state;
    if (!b) return;
    store_destroy(&b->store, false);
    memory_free(b->memory, b, sizeof *b);
    *state = NULL;
}

static struct weir_key hashed(struct weir_bytes bytes)
{
    return (struct weir_key){.data = bytes.data, .length = bytes.length, .hash = hash64(bytes.data, bytes.length)};
}

struct weir_bytes keyed_broadcast_get(struct weir_broadcast *b, struct weir_bytes user_key)
{
    struct weir_key key = hashed(user_key);
    struct table_entry *e = store_find(b->store, &key, NULL);
    return e ? store_bytes(b->store, e) : (struct weir_bytes){NULL, 0};
}

weir_err keyed_broadcast_put(struct weir_broadcast *b, struct weir_bytes user_key, const void *data, uint32_t length)
{
    if (user_key.length > WEIR_USER_KEY_MAX) return WEIR_E_LIMIT;
    weir_err err = check_length(b->value_size, length);
    if (err) return err;
    struct weir_key key = hashed(user_key);
    return store_write(b->store, &key, NULL, data, length);
}

void keyed_broadcast_remove(struct weir_broadcast *b, struct weir_bytes user_key)
{
    struct weir_key key = hashed(user_key);
    store_remove(b->store, &key);
}

bool keyed_broadcast_next(struct weir_broadcast *b, uint64_t *cursor, struct weir_bytes *user_key, struct weir_bytes *value)
{
    struct table_entry *e = store_next_resident(b->store, cursor);
    if (!e) return false;
    struct weir_key key = table_key(e);
    *user_key = (struct weir_bytes){key.data, key.length};
    *value = store_bytes(b->store, e);
    return true;
}

/* ---- operator list: names of elements ------------------------------------------------------------------------------------------------ */

#define NAME 8u /* bytes of an element's key */

struct name {
    uint64_t bytes; /* big-endian */
};

static uint64_t number_of(uint32_t writer, uint32_t i)
{
    return (uint64_t)writer << 32 | i;
}

/* The key lies in *name. */
static struct weir_key name_element(struct name *name, uint32_t writer, uint32_t i)
{
    name->bytes = htobe64(number_of(writer, i));
    return hashed((struct weir_bytes){name, NAME});
}

static weir_err write_element(struct weir_operator_list *l, uint32_t i, const void *data, uint32_t length)
{
    struct name name;
    struct weir_key key = name_element(&name, l->writer, i);
    return store_write(l->store, &key, NULL, data, length);
}

static struct table_entry *element(const struct weir_operator_list *l, uint32_t i)
{
    struct name name;
    struct weir_key key = name_element(&name, l->writer, i);
    return store_find(l->store, &key, NULL);
}

/* ---- operator list: its share of what was restored ----------------------------------------------------------------------------------- */

struct restored {
    uint64_t number; /* writer and place */
    struct table_entry *entry;
    unsigned char *copy; /* of its bytes, while it moves; NULL: it stays, or goes */
    uint32_t length;
    bool stays; /* its name is the one it is to have */
};

static int by_number(const void *a, const void *b)
{
    const struct restored *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* In order of their names. *n: room at first, then how many there are; what has expired is not among them. */
static weir_err collect(struct weir_operator_list *l, struct restored *items, uint64_t *n)
{
    uint64_t cursor = 0, room = *n;
    struct table_entry *e;
    for (*n = 0; *n < room && (e = store_next_resident(l->store, &cursor)) != NULL; ++*n) {
        struct weir_key key = table_key(e);
        uint64_t bytes;
        if (key.length != NAME)
            return slot_fail(l->slot, WEIR_E_CORRUPT, "an element of an operator list has a name of %u bytes", key.length);
        memcpy(&bytes, key.data, NAME);
        items[*n] = (struct restored){.number = be64toh(bytes), .entry = e};
    }
    qsort(items, (size_t)*n, sizeof *items, by_number);
    return WEIR_OK;
}

/* Decides what becomes of each, and copies what gets another name: the new one may still be that of an element that moves, too. */
static weir_err choose(struct weir_operator_list *l, const struct operator_list_options *o, struct restored *items, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        struct restored *item = &items[i];
        if (o->how != WEIR_UNION && i % o->n_shards != o->shard) continue;
        if (l->n == UINT32_MAX) return slot_fail(l->slot, WEIR_E_LIMIT, "an operator list of more than %u elements", UINT32_MAX);
        item->stays = item->number == number_of(l->writer, l->n++);
        if (item->stays) continue;
        struct weir_bytes value = store_bytes(l->store, item->entry);
        item->copy = memory_alloc(l->memory, value.length + 1u);
        if (!item->copy) return slot_fail(l->slot, WEIR_E_NOMEM, "out of memory for an operator list");
        if (value.length) memcpy(item->copy, value.data, value.length);
        item->length = value.length;
    }
    return WEIR_OK;
}

static weir_err rename_elements(struct weir_operator_list *l, struct restored *items, uint64_t n)
{
    uint32_t at = 0;
    weir_err err = WEIR_OK;
    for (uint64_t i = 0; i < n; i++)
        if (!items[i].stays) store_remove_entry(l->store, items[i].entry);
    for (uint64_t i = 0; i < n && !err; i++) {
        if (items[i].copy) err = write_element(l, at, items[i].copy, items[i].length);
        at += items[i].copy || items[i].stays;
    }
    return err;
}

static weir_err take_share(struct weir_operator_list *l, const struct operator_list_options *o)
{
    weir_err err = store_load_all(l->store);
    uint64_t room = store_residents(l->store), n = room;
    if (err || room == 0) return err;
    struct restored *items = memory_alloc(l->memory, room * sizeof *items);
    if (!items) return slot_fail(l->slot, WEIR_E_NOMEM, "out of memory for an operator list");
    err = collect(l, items, &n);
    if (!err) err = choose(l, o, items, n);
    if (!err) err = rename_elements(l, items, n);
    for (uint64_t i = 0; i < n; i++) memory_free(l->memory, items[i].copy, items[i].length + 1u);
    memory_free(l->memory, items, room * sizeof *items);
    return err;
}

/* ---- operator list ------------------------------------------------------------------------------------------------------------------- */

weir_err operator_list_new(struct weir_operator_list **out, struct family *family, const struct operator_list_options *o)
{
    struct state_slot *slot = family_slot(family);
    struct weir_operator_list *l = memory_alloc(slot_memory(slot), sizeof *l);
    if (!l) return slot_fail(slot, WEIR_E_NOMEM, "out of memory for an operator list");
    *l = (struct weir_operator_list){.memory = slot_memory(slot), .slot = slot, .value_size = o->value_size, .writer = o->writer};
    const struct store_spec spec = {.keys = STORE_KEY_NONE, .key_max = NAME, .pinned = true};
    weir_err err = store_new(&l->store, family, &spec);
    if (!err && !store_is_complete(l->store)) err = take_share(l, o); /* restored */
    if (err) {
        operator_list_destroy(&l);
        return err;
    }
    *out = l;
    return WEIR_OK;
}

void operator_list_destroy(struct weir_operator_list **list)
{
    struct weir_operator_list *l = *list;
    if (!l) return;
    store_destroy(&l->store, false);
    memory_free(l->memory, l, sizeof *l);
    *list = NULL;
}

weir_err keyed_operator_list_add(struct weir_operator_list *l, const void *data, uint32_t length)
{
    weir_err err = check_length(l->value_size, length);
    if (!err && l->n == UINT32_MAX) err = WEIR_E_LIMIT;
    if (!err) err = write_element(l, l->n, data, length);
    if (!err) l->n++;
    return err;
}

uint32_t keyed_operator_list_count(const struct weir_operator_list *l)
{
    return l->n;
}

struct weir_bytes keyed_operator_list_at(const struct weir_operator_list *l, uint32_t i)
{
    struct table_entry *e = i < l->n ? element(l, i) : NULL;
    return e ? store_bytes(l->store, e) : (struct weir_bytes){NULL, 0};
}

void keyed_operator_list_clear(struct weir_operator_list *l)
{
    struct table_entry *e;
    for (uint32_t i = 0; i < l->n; i++)
        if ((e = element(l, i)) != NULL) store_remove_entry(l->store, e);
    l->n = 0;
}
