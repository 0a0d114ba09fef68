/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Safe points: memory back below the budget.
 *
 * CLOCK (Corbató, "A paging experiment with the Multics system", 1968), a hand per store: an entry used since the hand passed gets another
 * turn; a clean one that the keeper holds leaves. When few are clean, a second hand goes ahead and writes out what the keeper does not
 * hold, a tenth of the budget at a time: sorted, as one run, ingested at once. Stores of a family are written out together: a
 * thousand panes of a few entries each would otherwise be a thousand files, and each ingestion looks at all of them.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/state/internal.h"

#define CHUNK 1024u    /* entries a hand looks at, at most, before the next store's turn */
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

/* Looks at a chunk of entries, at each twice at most. Returns how many have left. */
static uint64_t sweep(struct store *s, uint64_t target)
{
    uint64_t left = 0, n = s->table.count * 2 < CHUNK ? s->table.count * 2 : CHUNK;
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
    struct family *family;
    struct run run;
    struct written {
        struct store *store;
        struct table_entry *entry;
    } * written;
    uint32_t n, cap;
};

static bool writable(const struct store *s, const struct table_entry *e)
{
    if ((e->stamp & (STAMP_DELETED | STAMP_DIRTY)) == STAMP_DELETED) return false; /* frozen already */
    return (e->stamp & (STAMP_KEPT | STAMP_DIRTY)) != STAMP_KEPT && !in_flight(s, e);
}

static weir_err take(struct write_out *w, struct store *s, struct table_entry *e)
{
    if (w->n == w->cap) {
        uint32_t cap = w->cap ? w->cap * 2 : 256;
        struct written *p = realloc(w->written, cap * sizeof *p);
        if (!p) return slot_fail(w->family->slot, WEIR_E_NOMEM, "out of memory for a write-out");
        w->written = p;
        w->cap = cap;
    }
    weir_err err = store_gather(s, e, &w->run);
    if (err) return slot_fail(w->family->slot, err, "state '%s': out of memory for a write-out", w->family->name);
    w->written[w->n++] = (struct written){s, e};
    return WEIR_OK;
}

/* Takes entries of one store until the run has `bytes`. */
static weir_err collect_store(struct write_out *w, struct store *s, bool used_too, uint64_t bytes)
{
    run_set_prefix(&w->run, s->spec.prefix);
    for (uint64_t i = 0; i < s->table.count && w->run.bytes < bytes; i++) {
        struct table_entry *e = next_round(s, &s->write_hand);
        if (!e || !writable(s, e) || (!used_too && e->stamp & STAMP_REF && !(e->stamp & STAMP_DELETED))) continue;
        weir_err err = take(w, s, e);
        if (err) return err;
    }
    return WEIR_OK;
}

static uint64_t unwritten(const struct store *s)
{
    return may_leave(s) ? s->table.count - s->clean : 0;
}

/* Takes up to `bytes` of entries, from `first` on and around the family; those used lately only if there are no others. */
static weir_err collect(struct write_out *w, struct store *first, uint64_t bytes)
{
    weir_err err = WEIR_OK;
    for (int round = 0; round < 2 && w->n == 0; round++) {
        struct store *s = first;
        do {
            if (unwritten(s)) err = collect_store(w, s, round > 0, bytes);
            s = s->next ? s->next : w->family->stores;
        } while (!err && s != first && w->run.bytes < bytes);
    }
    return err;
}

static weir_err write_file(struct write_out *w)
{
    struct family *f = w->family;
    struct state_slot *slot = f->slot;
    char stem[48], path[4096];
    struct weir_diag diag;
    struct file_list files = {0};
    slot_stem(slot, stem);
    weir_err err = family_write_run(f, &w->run, f->ranges, f->n_ranges, slot->dir, stem, 0, &files, &diag);
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
        struct store *s = w->written[i].store;
        struct table_entry *e = w->written[i].entry;
        if (e->stamp & STAMP_DELETED)
            store_discard(s, e);
        else
            store_set_clean(s, e, STAMP_KEPT);
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

/* Writes a part of what the keeper does not hold, beginning with a store's. *written: entries. */
static weir_err write_out(struct store *first, uint64_t *written)
{
    struct family *f = first->family;
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
    struct write_out w = {.family = f};
    run_init(&w.run, &f->slot->memory);
    err = collect(&w, first, bytes);
    if (!err && w.n) err = write_file(&w);
    if (!err) settle(&w);
    *written = err ? 0 : w.n;
    run_close(&w.run);
    free(w.written);
    return err;
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
            while (s && !may_leave(s)) s = s->next;
            slot->hand->hand = s ? s->next : NULL;
            if (s) return s;
        }
        move_hand(slot, slot->families);
    }
    return NULL;
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
            all += unwritten(s);
            if (unwritten(s) > unwritten(largest)) largest = s;
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
    if (slot_used(slot) > slot->budget + slot->budget / 8 + SLOT_SLACK + slot->n_stores * SLOT_SLACK_STORE)
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
