/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Safe points: memory back below the budget.
 *
 * CLOCK (Corbató, "A paging experiment with the Multics system", 1968), a hand per store: an entry used since the hand passed gets another
 * turn; a clean one that the keeper holds leaves. When few are clean, a second hand goes ahead and writes out what the keeper does not
 * hold, a tenth of the budget at a time: sorted, as one run, ingested at once.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/state/internal.h"

#define CHUNK 1024u    /* entries a hand looks at before the next store's turn */
#define HEALTH_MS 1000 /* between two looks at what RocksDB's threads have met */
#define LOOK_MS 2      /* between two looks at a compaction that is waited for */
#define WRITE_OUT_MIN ((uint64_t)64 << 10)
#define WRITE_OUT_MAX ((uint64_t)16 << 20)

/* ---- eviction ------------------------------------------------------------------------------------------------------------------------ */

static bool in_flight(const struct store *s, const struct table_entry *e)
{
    uint64_t tag = 0xffull << STAMP_RUN_SHIFT;
    return family_in_flight(s->family) && (e->stamp & tag) == s->family->frozen->tag;
}

static bool evictable(const struct store *s, const struct table_entry *e)
{
    return (e->stamp & (STAMP_KEPT | STAMP_DIRTY | STAMP_DELETED)) == STAMP_KEPT && !in_flight(s, e);
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

/* The next entry for a hand, from the front again at the end; NULL: the table is empty. */
static struct table_entry *next_round(struct store *s, uint64_t *hand)
{
    struct table_entry *e = table_next(&s->table, hand);
    if (e) return e;
    *hand = 0;
    return table_next(&s->table, hand);
}

/* Returns how many have left. */
static uint64_t sweep(struct store *s, uint64_t n, uint64_t target)
{
    uint64_t left = 0;
    for (uint64_t i = 0; i < n && slot_used(s->family->slot) > target; i++) {
        struct table_entry *e = next_round(s, &s->hand);
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

static bool may_leave(const struct store *s)
{
    return !s->spec.pinned && !s->scanned && s->table.count > 0;
}

/* ---- write-out ----------------------------------------------------------------------------------------------------------------------- */

struct write_out {
    struct store *store;
    struct run run;
    struct table_entry **entries;
    uint32_t n, cap;
};

static bool writable(const struct store *s, const struct table_entry *e)
{
    if ((e->stamp & (STAMP_DELETED | STAMP_DIRTY)) == STAMP_DELETED) return false; /* frozen already */
    return (e->stamp & (STAMP_KEPT | STAMP_DIRTY)) != STAMP_KEPT && !in_flight(s, e);
}

static weir_err take(struct write_out *w, struct table_entry *e)
{
    if (w->n == w->cap) {
        uint32_t cap = w->cap ? w->cap * 2 : 256;
        struct table_entry **p = realloc(w->entries, cap * sizeof *p);
        if (!p) return slot_fail(w->store->family->slot, WEIR_E_NOMEM, "out of memory for a write-out");
        w->entries = p;
        w->cap = cap;
    }
    weir_err err = store_gather(w->store, e, &w->run);
    if (err) return slot_fail(w->store->family->slot, err, "state '%s': out of memory for a write-out", w->store->family->name);
    w->entries[w->n++] = e;
    return WEIR_OK;
}

/* Takes up to `bytes` of entries, those not used lately first. */
static weir_err collect(struct write_out *w, uint64_t bytes)
{
    struct store *s = w->store;
    for (int round = 0; round < 2 && w->run.bytes < bytes; round++) {
        uint32_t n_before = w->n;
        for (uint64_t i = 0; i < s->table.count && w->run.bytes < bytes; i++) {
            struct table_entry *e = next_round(s, &s->write_hand);
            if (!e || !writable(s, e) || (round == 0 && e->stamp & STAMP_REF && !(e->stamp & STAMP_DELETED))) continue;
            weir_err err = take(w, e);
            if (err) return err;
        }
        if (w->n > n_before) break; /* a second round would meet the same entries again */
    }
    return WEIR_OK;
}

static weir_err write_file(struct write_out *w)
{
    struct family *f = w->store->family;
    struct state_slot *slot = f->slot;
    char stem[48], path[4096];
    struct weir_diag diag;
    struct file_list files = {0};
    slot_stem(slot, stem);
    weir_err err = family_write_runs(f, &w->run, 1, f->ranges, f->n_ranges, slot->dir, stem, 0, &files, &diag);
    for (uint32_t i = 0; i < files.n && !err; i++) {
        slot_path(slot, path, files.items[i].name);
        err = family_ingest(f, path, &diag);
    }
    if (!err && slot->snapshots) err = file_list_append(&f->spills, &files) ? weir_fail(&diag, WEIR_E_NOMEM, "out of memory") : WEIR_OK;
    file_list_close(&files);
    if (err) return slot_fail_diag(slot, &diag);
    family_clear_ranges(f);
    slot->stats.write_outs++;
    return WEIR_OK;
}

static void settle(struct write_out *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        struct table_entry *e = w->entries[i];
        if (e->stamp & STAMP_DELETED)
            store_discard(w->store, e);
        else
            store_set_clean(w->store, e, STAMP_KEPT);
    }
}

/* No event tells of a compaction's end. */
static void await_compaction(struct family *f)
{
    uint32_t ms = 0;
    while (ms < SLOT_STALL_MS && rocks_level0_files(f->keeper) >= SLOT_LEVEL0_MAX) {
        (void)usleep(LOOK_MS * 1000);
        ms += LOOK_MS;
    }
    f->slot->stats.stalls += ms > 0;
    f->slot->stats.stalled_ms += ms;
}

/* Writes a part of what the keeper does not hold. *written: entries. */
static weir_err write_out(struct store *s, uint64_t *written)
{
    struct family *f = s->family;
    *written = 0;
    if (family_in_flight(f)) {
        f->slot->stats.waits++;
        family_wait(f); /* runs reach the keeper in the order in which they were made */
    }
    if (slot_failed(f->slot)) return slot_error(f->slot, NULL);
    weir_err err = family_open_keeper(f);
    if (err) return err;
    f->spilled = true;
    await_compaction(f);
    uint64_t bytes = f->slot->budget / 10;
    bytes = bytes < WRITE_OUT_MIN ? WRITE_OUT_MIN : bytes > WRITE_OUT_MAX ? WRITE_OUT_MAX : bytes;
    struct write_out w = {.store = s};
    run_init(&w.run, s->spec.prefix, &f->slot->memory);
    err = collect(&w, bytes);
    if (!err && w.n) err = write_file(&w);
    if (!err) settle(&w);
    *written = err ? 0 : w.n;
    run_close(&w.run);
    free(w.entries);
    return err;
}

/* ---- the slot ------------------------------------------------------------------------------------------------------------------------ */

static struct store *next_store(struct state_slot *slot)
{
    for (uint32_t tries = 0; tries < 2; tries++) {
        for (struct family *f = slot->hand ? slot->hand : slot->families; f; f = f->next) {
            struct store *s = f == slot->hand && f->hand ? f->hand : f->stores;
            slot->hand = f;
            while (s && !may_leave(s)) s = s->next;
            if (s) {
                f->hand = s->next;
                if (!f->hand) slot->hand = f->next;
                return s;
            }
            f->hand = NULL;
        }
        slot->hand = NULL;
    }
    return NULL;
}

static uint64_t count_stores(const struct state_slot *slot)
{
    uint64_t n = 0;
    for (const struct family *f = slot->families; f; f = f->next) {
        for (const struct store *s = f->stores; s; s = s->next) n++;
    }
    return n;
}

static uint64_t count_entries(const struct state_slot *slot, uint64_t *clean)
{
    uint64_t entries = 0;
    *clean = 0;
    for (const struct family *f = slot->families; f; f = f->next) {
        entries += f->entries;
        *clean += f->clean;
    }
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

/* The store with the most entries the keeper does not hold; NULL: none has any. */
static struct store *most_unwritten(struct state_slot *slot)
{
    struct store *best = NULL;
    uint64_t most = 0;
    for (struct family *f = slot->families; f; f = f->next) {
        if (f->entries - f->clean <= most) continue;
        for (struct store *s = f->stores; s; s = s->next) {
            if (!may_leave(s) || s->table.count - s->clean <= most) continue;
            best = s;
            most = s->table.count - s->clean;
        }
    }
    return best;
}

/* Sweeps until the target is met, or all have been looked at twice. */
static bool sweep_all(struct state_slot *slot, uint64_t target)
{
    uint64_t clean, budget = 2 * count_entries(slot, &clean) + CHUNK;
    budget += count_stores(slot) * 2 * CHUNK; /* however few it has, a store takes a turn */
    for (uint64_t looked = 0; looked <= budget; looked += CHUNK) {
        if (slot_used(slot) <= target) return true;
        struct store *s = next_store(slot);
        if (!s) return false;
        if (sweep(s, CHUNK, target)) looked = 0;
    }
    return slot_used(slot) <= target;
}

/* Pointers into a slab that goes: they can only be to entries that are gone. */
static void purge(struct table_entry **list, uint32_t *n, const struct table_slab *slab)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *n; i++) {
        uintptr_t at = (uintptr_t)list[i] - (uintptr_t)slab->data;
        if (at >= slab->bytes) list[kept++] = list[i];
    }
    *n = kept;
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
        purge(s->dirty, &s->n_dirty, slab);
        purge(s->dead, &s->n_dead, slab);
        table_release(t, i);
    }
}

static void release_all(struct state_slot *slot)
{
    memory_drop_spare(&slot->memory);
    uint64_t bytes_max = slot->budget + slot->budget / 16;
    for (struct family *f = slot->families; f; f = f->next) {
        for (struct store *s = f->stores; s; s = s->next) release_slabs(s, bytes_max);
    }
}

void slot_relieve(struct state_slot *slot)
{
    uint64_t target = slot->budget - slot->budget / 32;
    while (slot_used(slot) > target && !slot_failed(slot)) {
        uint64_t clean, entries = count_entries(slot, &clean), written = 0;
        if (clean >= entries / 8 && sweep_all(slot, target)) break;
        struct store *s = most_unwritten(slot);
        if (s && write_out(s, &written)) return;
        if (!written && sweep_all(slot, target)) break;
        if (!written && !wait_for_any(slot)) break; /* what is left is pinned, or in use */
    }
    /* Slots count as used though they may be empty: without them the target may be met. */
    if (slot->memory.bytes > slot->budget + slot->budget / 16 || slot_used(slot) > target) release_all(slot);
    if (slot_used(slot) > slot->budget + slot->budget / 8 + SLOT_SLACK + count_stores(slot) * SLOT_SLACK_STORE)
        (void)slot_fail(slot, WEIR_E_NOMEM,
                        "state needs %llu bytes that cannot leave memory (timers, broadcast state, indexes), the budget is %llu: raise it",
                        (unsigned long long)slot_used(slot), (unsigned long long)slot->budget);
}

/* One block a safe point, so that the pause of a freeze is for copying and not for the kernel to clear pages. */
static void ready_block(struct state_slot *slot)
{
    void *block = memory_alloc(&slot->memory, MEMORY_HUGE_BYTES);
    if (!block) return;
    memset(block, 1, MEMORY_HUGE_BYTES);
    memory_give_block(&slot->memory, block);
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
    if (WEIR_UNLIKELY(slot_used(slot) > slot->budget)) slot_relieve(slot);
    if (WEIR_UNLIKELY(slot->reserved / MEMORY_HUGE_BYTES > slot->memory.n_spare && slot->memory.n_spare < slot->memory.spare_max))
        ready_block(slot);
}
