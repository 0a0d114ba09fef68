/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a freeze does in a store. At the barrier it only turns the bit with which entries are dirty: those with the other one wait. They are
 * copied into the frozen run afterwards, a step at a time; and before one of them changes or goes, whoever changes it has it copied first
 * (store_mark_dirty, store_remove_entry, store_destroy). So a copy is what the entry was at the barrier, whenever it is made.
 */
#include <string.h>

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
    if (store_push(s, &s->dead, &s->n_dead, &s->dead_cap, e)) return WEIR_OK;
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
    for (uint32_t i = 0; i < s->n_frozen && !slot_failed(s->family->slot); i++)
        if (store_waits(s, s->dirty[i])) (void)copy_entry(s, s->dirty[i]);
}

void store_freeze(struct store *s)
{
    s->n_frozen = s->n_dirty;
    if (!s->family->options.ttl_ms) s->fast_expect = s->family->dirty;
}

/* Entries lie in memory in order: when many of them wait, going over all is faster than going where the list says. */
static struct table_entry *next_frozen(const struct store *s, struct frozen *z)
{
    if (z->dense) return table_next(&s->table, &z->at);
    if (z->at == s->n_frozen) return NULL;
    if (z->at + 8 < s->n_frozen) __builtin_prefetch(s->dirty[z->at + 8], 1);
    return s->dirty[z->at++];
}

bool store_copy(struct store *s, uint64_t *bytes)
{
    struct frozen *z = s->family->frozen;
    if (z->at == 0) z->dense = s->n_frozen > s->table.count / 4;
    run_set_prefix(&z->run, s->spec.prefix);
    for (struct table_entry *e; *bytes && (e = next_frozen(s, z)) != NULL;) {
        spend(bytes, store_waits(s, e) ? store_cost(s, e) : LOOK_BYTES);
        if (store_waits(s, e) && copy_in_turn(s, e)) return true;
    }
    if (*bytes == 0) return false;
    s->n_dirty -= s->n_frozen;
    if (s->n_dirty) memmove(s->dirty, s->dirty + s->n_frozen, s->n_dirty * sizeof *s->dirty);
    s->n_frozen = 0;
    return true;
}

void store_bury(struct store *s)
{
    if (s->scanned) return; /* the scan's view of the keeper may be older than they are */
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->n_dead; i++) {
        struct table_entry *e = s->dead[i];
        if (e->length == TABLE_FREE || (e->stamp & (STAMP_DELETED | STAMP_DIRTY)) != STAMP_DELETED) continue;
        if (store_in_flight(s, e))
            s->dead[kept++] = e;
        else
            store_discard(s, e);
    }
    s->n_dead = kept;
}
