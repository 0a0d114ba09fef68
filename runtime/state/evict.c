/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Safe points: memory back below the budget.
 *
 * CLOCK (Corbató, "A paging experiment with the Multics system", 1968), a hand per store: an entry used since the hand passed gets another
 * turn; a clean one that the keeper holds leaves. When few are left that may, a second hand goes ahead and writes out what the keeper does
 * not hold (write_out.c). That is another thread's work: it begins while some may still leave, and is waited for when hardly any are left.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/state/internal.h"

#define CHUNK 1024u                          /* entries a hand looks at, at most, before the next store's turn */
#define HEALTH_MS 1000                       /* between two looks at what RocksDB's threads have met */
#define RELIEF(budget) ((budget) / 32)       /* what one relief brings below the budget, */
#define RELIEF_MAX ((uint64_t)32 << 20)      /* at most: the task stands still for it */
#define FEW(entries) ((entries) / 8)         /* fewer that may leave let the next write-out begin */
#define HARDLY_ANY(entries) ((entries) / 16) /* fewer are not looked for: the write-out is waited for instead */

/* ---- eviction ------------------------------------------------------------------------------------------------------------------------ */

static bool evictable(const struct store *s, const struct table_entry *e)
{
    return (e->stamp & (STAMP_KEPT | STAMP_DIRTY | STAMP_DELETED)) == STAMP_KEPT && !store_in_flight(s, e);
}

static void evict(struct store *s, struct table_entry *e)
{
    struct weir_key key = table_key(e);
    if (s->spec.leaves) s->spec.leaves(s->spec.owner, e, STORE_EVICTED);
    filter_add(&s->filter, hash64(key.data, key.length));
    s->complete = false;
    s->family->slot->stats.evictions++;
    store_discard(s, e);
}

/* Looks at a chunk of entries, at each twice at most. Returns how many have left. */
static uint64_t sweep(struct store *s, uint64_t target)
{
    uint64_t left = 0, n = s->table.count * 2 < CHUNK ? s->table.count * 2 : CHUNK;
    for (uint64_t i = 0; i < n && slot_used(s->family->slot) > target; i++) {
        struct table_entry *e = table_next_round(&s->table, &s->hand);
        if (!e) break;
        if (!evictable(s, e)) continue;
        if (e->stamp & STAMP_REF) {
            e->stamp &= ~(uint64_t)STAMP_REF;
            continue;
        }
        evict(s, e);
        left++;
    }
    return left;
}

/* ---- the slot ------------------------------------------------------------------------------------------------------------------------ */

static void move_hand(struct state_slot *slot, struct family *f)
{
    slot->hand = f;
    if (f) f->hand = f->entries ? f->stores : NULL;
}

/* The next store with something that may leave, around and around; *laps grows at each end of the way. NULL: there is none. */
static struct store *next_store(struct state_slot *slot, uint64_t *laps)
{
    for (uint32_t ends = 0; ends < 2; ends++, (*laps)++) {
        for (; slot->hand; move_hand(slot, slot->hand->next)) {
            struct store *s = slot->hand->hand;
            while (s && !store_may_leave(s)) s = s->next;
            slot->hand->hand = s ? s->next : NULL;
            if (s) return s;
        }
        move_hand(slot, slot->families);
    }
    return NULL;
}

/* *ready: clean ones that the keeper holds already, unless a snapshot is on its way there. */
static uint64_t count_entries(const struct state_slot *slot, uint64_t *ready)
{
    uint64_t entries = 0, clean = 0, writing = slot->writing ? slot->writing->run.n : 0;
    for (const struct family *f = slot->families; f; f = f->next) {
        entries += f->entries;
        clean += f->clean;
    }
    *ready = clean > writing ? clean - writing : 0;
    return entries;
}

static bool wait_for_any(struct state_slot *slot)
{
    for (struct family *f = slot->families; f; f = f->next) {
        if (!family_in_flight(f)) continue;
        slot->stats.waits++;
        family_wait(f);
        return true;
    }
    return false;
}

/* Of the family with the most entries the keeper does not hold the store with the most; NULL: none has any. */
static struct store *most_unwritten(struct state_slot *slot)
{
    struct store *best = NULL;
    uint64_t most = 0;
    for (struct family *f = slot->families; f; f = f->next) {
        struct store *largest = f->stores;
        uint64_t all = 0;
        if (f->entries - f->clean <= most) continue;
        for (struct store *s = f->stores; s; s = s->next) {
            all += store_unwritten(s);
            if (store_unwritten(s) > store_unwritten(largest)) largest = s;
        }
        if (all <= most) continue;
        best = largest;
        most = all;
    }
    return best;
}

/* Entries of the largest family: no store has more. */
static uint64_t most_entries(const struct state_slot *slot)
{
    uint64_t most = 0;
    for (const struct family *f = slot->families; f; f = f->next) most = f->entries > most ? f->entries : most;
    return most;
}

/* Sweeps until the target is met, or nothing has left while all were looked at twice. */
static bool sweep_all(struct state_slot *slot, uint64_t target)
{
    uint64_t laps = 0, laps_max = 2 * (most_entries(slot) / CHUNK + 1);
    while (slot_used(slot) > target && laps <= laps_max) {
        struct store *s = next_store(slot, &laps);
        if (!s) return false;
        if (sweep(s, target)) laps = 0;
    }
    return slot_used(slot) <= target;
}

/* Pointers into a slab that goes can only be to entries that are gone. */
static bool is_elsewhere(struct table_entry *e, void *slab_)
{
    const struct table_slab *slab = slab_;
    return (uintptr_t)e - (uintptr_t)slab->data >= slab->bytes;
}

/* Gives back what slabs are empty, after evicting what may leave of those that are nearly so. */
static void release_slabs(struct store *s, uint64_t bytes_max)
{
    struct table *t = &s->table;
    table_shrink(t);
    /* Many tables with nothing in them, as panes of old windows are: without a filter, a new key costs a look into the keeper's. */
    if (t->count == 0 && !s->complete && slot_used(s->family->slot) > s->family->slot->budget) filter_give_up(&s->filter);
    for (uint32_t i = 0; i < t->n_slabs && s->family->slot->memory.bytes > bytes_max; i++) {
        struct table_slab *slab = &t->slabs[i];
        if (!slab->data) continue;
        for (uint32_t k = 0; k < slab->used && slab->live && slab->live < slab->room / 2; k++) {
            struct table_entry *e = (struct table_entry *)(void *)(slab->data + k * slab->stride);
            if (e->length != TABLE_FREE && !s->scanned && !s->spec.pinned && evictable(s, e)) evict(s, e);
        }
        if (slab->live) continue;
        entry_list_keep(&s->dirty, t->memory, is_elsewhere, slab);
        entry_list_keep(&s->frozen, t->memory, is_elsewhere, slab);
        entry_list_keep(&s->dead, t->memory, is_elsewhere, slab);
        table_release(t, i);
    }
}

/* What cannot leave memory is worth more than filters: without one, a new key costs a look into the keeper's. */
static void shed_filters(struct state_slot *slot)
{
    for (struct family *f = slot->families; f; f = f->next) {
        for (struct store *s = f->stores; s && slot_used(slot) > slot->budget; s = s->next) filter_give_up(&s->filter);
    }
}

static void release_all(struct state_slot *slot)
{
    memory_drop_spare(&slot->memory);
    uint64_t bytes_max = slot->budget + slot->budget / 16;
    for (struct family *f = slot->families; f; f = f->next) {
        for (struct store *s = f->stores; s; s = s->next) release_slabs(s, bytes_max);
    }
    shed_filters(slot);
}

/* Whether there are too few that may leave to go and look for them: of a large state, twice as many as must leave are enough. */
static bool are_too_few(const struct state_slot *slot, uint64_t ready, uint64_t entries, uint64_t target)
{
    double must_leave = (double)entries * (double)(slot_used(slot) - target) / (double)slot_used(slot);
    return ready < HARDLY_ANY(entries) && (double)ready < 2 * must_leave;
}

void slot_relieve(struct state_slot *slot)
{
    uint64_t relief = RELIEF(slot->budget), target = slot->budget - (relief < RELIEF_MAX ? relief : RELIEF_MAX);
    while (slot_used(slot) > target && !slot_failed(slot)) {
        uint64_t ready, entries = count_entries(slot, &ready);
        if (ready < FEW(entries)) write_out_begin(slot, most_unwritten(slot), false);
        if (!are_too_few(slot, ready, entries, target) && sweep_all(slot, target)) break;
        write_out_begin(slot, most_unwritten(slot), true);
        if (write_out_end(slot, true)) continue;
        if (sweep_all(slot, target) || !wait_for_any(slot)) break; /* what is left is pinned, or in use */
    }
    /* Slots count as used though they may be empty: without them the target may be met. */
    if (slot->memory.bytes > slot->budget + slot->budget / 16 || slot_used(slot) > target) release_all(slot);
    if (slot_used(slot) > slot->budget + slot->budget / 8 + SLOT_SLACK + slot->n_stores * SLOT_SLACK_STORE)
        (void)slot_fail(slot, WEIR_E_NOMEM,
                        "state needs %llu bytes that cannot leave memory (timers, broadcast state, indexes), the budget is %llu: raise it",
                        (unsigned long long)slot_used(slot), (unsigned long long)slot->budget);
}

/* What fails behind the scenes fails the task: a compaction that could not write, say. */
static void check_health(struct state_slot *slot, int64_t now_ms)
{
    struct weir_diag diag;
    slot->checked_ms = now_ms;
    if (rocks_health(slot->rocks, &diag)) (void)slot_fail_diag(slot, &diag);
}

void slot_safe_point(struct state_slot *slot, int64_t now_ms)
{
    if (WEIR_UNLIKELY(slot->rocks && now_ms - slot->checked_ms >= HEALTH_MS)) check_health(slot, now_ms);
    slot->now_bits = stamp_of(now_ms, STAMP_REF);
    atomic_store_explicit(&slot->now_ms, now_ms, memory_order_relaxed);
    if (WEIR_UNLIKELY(slot->writing != NULL)) (void)write_out_end(slot, false);
    if (WEIR_UNLIKELY(slot_used(slot) > slot->budget)) slot_relieve(slot);
}
