/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a freeze does in a store. At the barrier it only turns the bit with which entries are dirty: those with the other one wait. They are
 * copied into the frozen run afterwards, a step at a time; and before one of them changes or goes, whoever changes it has it copied first
 * (store_mark_dirty, store_remove_entry, store_destroy). So a copy is what the entry was at the barrier, whenever it is made.
 */
#include "runtime/base/assert.h"
#include "runtime/state/internal.h"

#define LOOK_BYTES 16u /* what it costs to look at an entry that does not wait, in bytes copied */

weir_err store_gather(struct store *s, struct table_entry *e, struct run *run)
{
    struct weir_key key = table_key(e);
    uint16_t group = store_key_group(s, (struct weir_bytes){key.data, key.length});
    if (e->stamp & STAMP_DELETED) return run_delete(run, group, key.data, key.length);
    struct weir_bytes value = store_bytes(s, e);
    return run_add(run, group, key.data, key.length, stamp_time(e->stamp), value.data, value.length);
}

/* Copies an entry that waits, as it was at the barrier, into the frozen run, which has the store's prefix. It is clean then. */
static weir_err copy_entry(struct store *s, struct table_entry *e)
{
    struct frozen *z = s->family->frozen;
    weir_err err = store_gather(s, e, &z->run);
    if (err) return slot_fail(s->family->slot, err, "state '%s': out of memory for a snapshot", s->family->name);
    uint64_t flags = z->ingest ? STAMP_KEPT | z->tag : 0;
    store_set_clean(s, e, e->stamp & STAMP_DELETED ? flags & ~(uint64_t)STAMP_KEPT : flags);
    return WEIR_OK;
}

/* Copy on write: what waits is copied before it changes. */
weir_err store_copy_first(struct store *s, struct table_entry *e)
{
    if (slot_failed(s->family->slot)) return slot_error(s->family->slot, NULL); /* the freeze it waits for may be gone */
    run_set_prefix(&s->family->frozen->run, s->spec.prefix);
    return copy_entry(s, e);
}

/* What becomes of a tombstone that has been copied: without a keeper to ask it has done its work, else it waits for the keeper to know. */
static weir_err lay_out(struct store *s, struct table_entry *e)
{
    if (!s->family->frozen->ingest) {
        store_discard(s, e);
        return WEIR_OK;
    }
    if (entry_list_put(&s->dead, s->table.memory, e)) return WEIR_OK;
    return slot_fail(s->family->slot, WEIR_E_NOMEM, "state '%s': out of memory for a snapshot", s->family->name);
}

static weir_err copy_in_turn(struct store *s, struct table_entry *e)
{
    weir_err err = copy_entry(s, e);
    return err || !(e->stamp & STAMP_DELETED) ? err : lay_out(s, e);
}

/* A store that goes: the freeze has it as it was at the barrier. */
void store_copy_waiting(struct store *s)
{
    run_set_prefix(&s->family->frozen->run, s->spec.prefix);
    for (struct table_entry *e; !slot_failed(s->family->slot) && (e = entry_list_take(&s->frozen, s->table.memory)) != NULL;)
        if (store_waits(s, e)) (void)copy_entry(s, e);
}

void store_freeze(struct store *s)
{
    WEIR_ASSERT(s->frozen.n == 0);
    s->frozen = s->dirty;
    s->dirty = (struct entry_list){0};
    if (!s->family->options.ttl_ms) s->fast_expect = s->family->dirty;
}

/* Entries lie in memory in order: when many of them wait, going over all is faster than going where the list says. */
static struct table_entry *next_frozen(struct store *s, struct frozen *z)
{
    return z->dense ? table_next(&s->table, &z->at) : entry_list_take(&s->frozen, s->table.memory);
}

bool store_copy(struct store *s, uint64_t *bytes)
{
    struct frozen *z = s->family->frozen;
    if (z->at == 0) z->dense = s->frozen.n > s->table.count / 4;
    run_set_prefix(&z->run, s->spec.prefix);
    for (struct table_entry *e; *bytes && (e = next_frozen(s, z)) != NULL;) {
        spend(bytes, store_waits(s, e) ? store_cost(s, e) : LOOK_BYTES);
        if (store_waits(s, e) && copy_in_turn(s, e)) return true;
    }
    if (*bytes == 0) return false;
    entry_list_close(&s->frozen, s->table.memory);
    return true;
}

/* A tombstone whose run has reached the keeper has done its work. */
static bool still_dead(struct table_entry *e, void *store)
{
    struct store *s = store;
    if (e->length == TABLE_FREE || (e->stamp & (STAMP_DELETED | STAMP_DIRTY)) != STAMP_DELETED) return false;
    if (store_in_flight(s, e)) return true;
    store_discard(s, e);
    return false;
}

void store_bury(struct store *s)
{
    if (s->scanned) return; /* the scan's view of the keeper may be older than they are */
    entry_list_keep(&s->dead, s->table.memory, still_dead, s);
}
