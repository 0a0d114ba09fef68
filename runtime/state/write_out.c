/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Write-out: what the keeper does not hold goes there before a snapshot asks for it, so that it may leave memory.
 *
 *     task thread                                      the slot's writer thread
 *     write_out_begin: copies entries into a run  ──▶  sorts, writes a file, fsyncs, ingests
 *     write_out_end:   they may leave memory      ◀──
 *
 * A tenth of the budget at a time, and one at a time in a slot. Its entries are clean from the beginning, with the write-out's mark in
 * their stamps: until its end they do not leave memory, and one that changes meanwhile is dirty again. Stores of a family are written out
 * together: a thousand panes of a few entries each would otherwise be a thousand files, and each ingestion looks at all of them.
 *
 * Runs reach the keeper in the order in which they were made: a write-out begins when no frozen run of the family is on its way there, and
 * a snapshot that is frozen meanwhile waits for the write-out before it ingests its own run, and takes its files along (frozen.before).
 *
 * A failure is the slot's as soon as the writer meets it. Entries that are taken for kept then are not, but a slot that has failed reads
 * nothing from its keeper any more.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/state/internal.h"

#define LOOK_MS 2 /* between two looks at a compaction that is waited for */
#define WRITE_OUT_MIN ((uint64_t)64 << 10)
#define WRITE_OUT_MAX ((uint64_t)16 << 20)
#define TURNS_MAX 65536u /* entries that one write-out passes by because they were used: what it takes itself are about as many */

/* ---- which entries ------------------------------------------------------------------------------------------------------------------- */

bool store_in_flight(const struct store *s, const struct table_entry *e)
{
    const struct family *f = s->family;
    const struct write_out *w = f->slot->writing;
    uint64_t tag = e->stamp & STAMP_RUN;
    return (w && w->family == f && w->tag == tag) || (family_in_flight(f) && f->frozen->tag == tag);
}

bool store_may_leave(const struct store *s)
{
    return !s->spec.pinned && !s->scanned && s->table.count > 0;
}

uint64_t store_unwritten(const struct store *s)
{
    return store_may_leave(s) ? s->table.count - s->clean : 0;
}

static bool writable(const struct table_entry *e)
{
    if ((e->stamp & (STAMP_DELETED | STAMP_DIRTY)) == STAMP_DELETED) return false; /* written already */
    return (e->stamp & (STAMP_KEPT | STAMP_DIRTY)) != STAMP_KEPT;
}

static weir_err take(struct write_out *w, struct store *s, struct table_entry *e)
{
    bool deleted = e->stamp & STAMP_DELETED;
    weir_err err = store_gather(s, e, &w->run);
    if (!err && deleted && !entry_list_put(&s->dead, s->table.memory, e)) err = WEIR_E_NOMEM;
    if (err) return slot_fail(w->family->slot, err, "state '%s': out of memory for a write-out", w->family->name);
    store_set_clean(s, e, w->tag | (deleted ? 0 : STAMP_KEPT));
    return WEIR_OK;
}

/* Another turn for one that was used since the hand passed, as long as turns are given. */
static bool has_turn(struct table_entry *e, uint32_t *turns)
{
    if (*turns == 0 || !(e->stamp & STAMP_REF) || e->stamp & STAMP_DELETED) return false;
    e->stamp &= ~(uint64_t)STAMP_REF;
    (*turns)--;
    return true;
}

/*
 * What waits for a freeze is copied for it first: what is written out is of the next snapshot. But for tombstones, which that copy would be
 * the end of: they are left to it.
 */
static weir_err release_from_freeze(struct store *s, struct table_entry *e, bool *ready)
{
    weir_err err = WEIR_OK;
    if (store_waits(s, e)) err = e->stamp & STAMP_DELETED ? WEIR_OK : store_copy_first(s, e);
    *ready = !err && !store_waits(s, e) && writable(e);
    return err;
}

/* Takes entries of one store until the run has `bytes`. */
static weir_err collect_store(struct write_out *w, struct store *s, uint32_t *turns, uint64_t bytes)
{
    run_set_prefix(&w->run, s->spec.prefix);
    for (uint64_t i = 0; i < s->table.count && w->run.bytes < bytes; i++) {
        struct table_entry *e = table_next_round(&s->table, &s->write_hand);
        bool ready;
        if (!e || !writable(e) || has_turn(e, turns)) continue;
        weir_err err = release_from_freeze(s, e, &ready);
        if (!err && ready) err = take(w, s, e);
        if (err) return err;
    }
    return WEIR_OK;
}

/* Takes up to `bytes` of entries, from `first` on and around the family; once more when on the first way around all had been used. */
static weir_err collect(struct write_out *w, struct store *first, uint64_t bytes)
{
    weir_err err = WEIR_OK;
    uint32_t turns = TURNS_MAX;
    for (int round = 0; round < 2 && !err && w->run.n == 0; round++) {
        struct store *s = first;
        do {
            if (store_unwritten(s)) err = collect_store(w, s, &turns, bytes);
            s = s->next ? s->next : w->family->stores;
        } while (!err && s != first && w->run.bytes < bytes);
    }
    return err;
}

/* ---- the writer thread --------------------------------------------------------------------------------------------------------------- */

/* No event tells of a compaction's end. Gives how long it took. */
static uint32_t await_compaction(const struct family *f)
{
    uint32_t ms = 0;
    while (ms < SLOT_STALL_MS && rocks_level0_files(f->keeper) >= SLOT_LEVEL0_MAX) {
        (void)usleep(LOOK_MS * 1000);
        ms += LOOK_MS;
    }
    return ms;
}

static weir_err write_and_ingest(struct write_out *w, struct weir_diag *diag)
{
    struct family *f = w->family;
    char path[4096];
    weir_err err = family_write_run(f, &w->run, w->ranges, w->n_ranges, f->slot->dir, w->stem, 0, &w->files, diag);
    if (!err) w->stalled_ms = await_compaction(f);
    for (uint32_t i = 0; i < w->files.n && !err; i++) {
        slot_path(f->slot, path, w->files.items[i].name);
        err = family_ingest(f, path, diag);
    }
    return err;
}

static void work(void *arg, struct background_task *batch)
{
    struct state_slot *slot = arg;
    for (struct background_task *task = batch; task; task = task->next) {
        struct write_out *w = (struct write_out *)task;
        struct weir_diag diag;
        w->failed = write_and_ingest(w, &diag) != WEIR_OK;
        if (w->failed) (void)slot_fail_diag(slot, &diag);
        gate_open(&w->written);
    }
}

/* ---- the task thread ----------------------------------------------------------------------------------------------------------------- */

void write_out_destroy(struct write_out **write_out)
{
    struct write_out *w = *write_out;
    if (!w) return;
    run_close(&w->run);
    run_ranges_close(w->ranges, w->n_ranges);
    file_list_close(&w->files);
    gate_close(&w->written);
    free(w);
    *write_out = NULL;
}

static void drop(struct background_task *task)
{
    struct write_out *w = (struct write_out *)task;
    write_out_destroy(&w);
}

static weir_err start_writer(struct state_slot *slot)
{
    struct background_config config = {.name = "weir-writer", .arg = slot, .work = work, .drop = drop};
    struct weir_diag diag;
    if (slot->writer) return WEIR_OK;
    return background_new(&slot->writer, &config, &diag) ? slot_fail_diag(slot, &diag) : WEIR_OK;
}

static struct write_out *write_out_new(struct family *f)
{
    struct write_out *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->family = f;
    w->tag = STAMP_WRITE_OUT | (f->slot->n_write_outs++ << STAMP_RUN_SHIFT & STAMP_RUN);
    run_init(&w->run, &w->memory);
    gate_init(&w->written);
    slot_stem(f->slot, w->stem);
    return w;
}

static void give_to_writer(struct write_out *w)
{
    struct family *f = w->family;
    w->ranges = f->ranges;
    w->n_ranges = f->n_ranges;
    f->ranges = NULL;
    f->n_ranges = f->ranges_cap = 0;
    f->slot->writing = w;
    background_give(f->slot->writer, &w->task);
}

static weir_err make_ready(struct family *f)
{
    weir_err err = slot_failed(f->slot) ? slot_error(f->slot, NULL) : WEIR_OK;
    if (!err) err = family_open_keeper(f);
    if (!err) err = start_writer(f->slot);
    if (!err) f->spilled = true;
    return err;
}

void write_out_begin(struct state_slot *slot, struct store *first, bool wait)
{
    if (!first || slot->writing) return;
    struct family *f = first->family;
    if (family_in_flight(f)) {
        if (!wait) return;
        slot->stats.waits++;
        family_wait(f); /* runs reach the keeper in the order in which they were made */
    }
    if (make_ready(f)) return;
    uint64_t bytes = slot->budget / 10;
    bytes = bytes < WRITE_OUT_MIN ? WRITE_OUT_MIN : bytes > WRITE_OUT_MAX ? WRITE_OUT_MAX : bytes;
    struct write_out *w = write_out_new(f);
    if (!w) {
        (void)slot_fail(slot, WEIR_E_NOMEM, "state '%s': out of memory for a write-out", f->name);
        return;
    }
    if (collect(w, first, bytes) || w->run.n == 0)
        write_out_destroy(&w);
    else
        give_to_writer(w);
}

/* Takes it back from the writer, which may still be in the middle of giving it. */
static void take_back(struct state_slot *slot)
{
    struct pollfd done = {.fd = background_fd(slot->writer), .events = POLLIN};
    struct background_task *task;
    while (!(task = background_take(slot->writer))) (void)poll(&done, 1, -1);
    WEIR_ASSERT(task == &slot->writing->task);
    slot->writing = NULL;
}

static void note_files(struct family *f, const struct write_out *w)
{
    if (f->slot->snapshots && file_list_append(&f->spills, &w->files))
        (void)slot_fail(f->slot, WEIR_E_NOMEM, "state '%s': out of memory for a write-out", f->name);
}

bool write_out_end(struct state_slot *slot, bool wait)
{
    struct write_out *w = slot->writing;
    if (!w || (!wait && !gate_is_open(&w->written))) return false;
    struct family *f = w->family;
    take_back(slot);
    slot->stats.write_outs += !w->failed;
    slot->stats.stalls += w->stalled_ms > 0;
    slot->stats.stalled_ms += w->stalled_ms;
    run_close(&w->run);
    if (w->failed) {
        if (!w->of_frozen) write_out_destroy(&w);
        return true;
    }
    for (struct store *s = f->stores; s; s = s->next) store_bury(s);
    if (w->of_frozen) return true; /* which has its files, and destroys it */
    note_files(f, w);
    write_out_destroy(&w);
    return true;
}
