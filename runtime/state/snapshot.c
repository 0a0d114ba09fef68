/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"

#define TURN_FLOOR ((uint64_t)8 << 20)     /* bytes of files below which no turn begins */
#define TURN_FILES 32u                     /* more files than after the last turn, however small, make one begin, too */
#define TURN_BYTES_MIN ((uint64_t)4 << 20) /* a step of a turn copies at least this much */
#define TURN_PARTS 16u                     /* or a 16th of what the last turn left */

/* ---- freeze ----------------------------------------------------------------------------------------------------------------------- */

static struct frozen *frozen_new(struct family *f, uint64_t epoch)
{
    struct frozen *z = calloc(1, sizeof *z);
    if (!z) return NULL;
    z->family = f;
    z->epoch = epoch;
    z->tag = epoch << STAMP_RUN_SHIFT & STAMP_RUN & ~(uint64_t)STAMP_WRITE_OUT;
    z->ingest = f->spilled;
    z->owner = pthread_self();
    run_init(&z->run, &f->slot->memory);
    gate_init(&z->copied);
    gate_init(&z->ingested);
    slot_stem(f->slot, z->stem);
    return z;
}

static bool turn_is_due(const struct family *f)
{
    const struct turn *t = &f->turn;
    uint64_t bytes = file_list_bytes(&f->files) + file_list_bytes(&f->spills);
    return bytes >= 2 * t->bytes_after_last + TURN_FLOOR || f->files.n + f->spills.n >= t->files_after_last + TURN_FILES;
}

static void begin_turn(struct family *f, uint64_t epoch)
{
    struct turn *t = &f->turn;
    t->active = true;
    t->spilled = f->spilled;
    t->epoch = epoch;
    t->residents = !f->spilled || !f->all_kept;
    t->store = f->stores;
    t->cursor = 0;
    t->quota = 0;
    t->key_length = 0;
}

static uint64_t turn_step_bytes(const struct family *f, uint64_t new_bytes)
{
    uint64_t bytes = f->turn.bytes_after_last / TURN_PARTS;
    if (bytes < 2 * new_bytes) bytes = 2 * new_bytes;
    return bytes < TURN_BYTES_MIN ? TURN_BYTES_MIN : bytes;
}

static uint64_t dirty_bytes(const struct family *f)
{
    uint64_t n = 0;
    for (const struct store *s = f->stores; s; s = s->next) n += s->dirty.n * (RUN_ENTRY_BYTES + s->value_size + 8);
    return n;
}

/* What this snapshot has to do with a turn: what one over memory has made dirty so far is in its run. */
static void plan_turn(struct frozen *z)
{
    struct family *f = z->family;
    struct turn *t = &f->turn;
    if (t->active && t->residents && t->spilled != f->spilled) t->active = false; /* its way has changed: from the start */
    if (!t->active && turn_is_due(f)) begin_turn(f, z->epoch);
    if (!t->active) return;
    if (t->residents) t->quota += turn_step_bytes(f, dirty_bytes(f));
    z->turn_ended = !t->residents && !t->spilled;
    z->turn_keeper = !t->residents && t->spilled;
}

weir_err family_freeze(struct family *f, uint64_t epoch, struct frozen **out)
{
    WEIR_ASSERT(f->frozen == NULL);
    for (struct store *s = f->stores; s; s = s->next) store_bury(s);
    struct frozen *z = frozen_new(f, epoch);
    if (!z) return slot_fail(f->slot, WEIR_E_NOMEM, "state '%s': out of memory for a snapshot", f->name);
    plan_turn(z);
    f->frozen = z;
    f->dirty ^= STAMP_DIRTY;
    for (struct store *s = f->stores; s; s = s->next) store_freeze(s);
    z->store = f->stores;
    z->ranges = f->ranges;
    z->n_ranges = f->n_ranges;
    f->ranges = NULL;
    f->n_ranges = f->ranges_cap = 0;
    z->files = f->files;
    z->spills = f->spills;
    f->files = f->spills = (struct file_list){0};
    if (f->slot->writing && f->slot->writing->family == f) {
        z->before = f->slot->writing;
        z->before->of_frozen = true;
    }
    f->slot->copying = true;
    *out = z;
    return WEIR_OK;
}

/* ---- copy ------------------------------------------------------------------------------------------------------------------------- */

static void copy_stores(struct frozen *z, uint64_t *bytes)
{
    int64_t began_ns = clock_mono_ns();
    while (z->store && store_copy(z->store, bytes)) {
        spend(bytes, RUN_ENTRY_BYTES);
        z->store = slot_failed(z->family->slot) ? NULL : z->store->next;
        z->at = 0;
    }
    int64_t step_ns = clock_mono_ns() - began_ns;
    if (step_ns > z->step_ns) z->step_ns = step_ns;
    if (!z->store) gate_open(&z->copied);
}

static bool is_copied(const struct family *f)
{
    return !f->frozen || gate_is_open(&f->frozen->copied);
}

/* What a turn must take along: what did not change (the rest is taken anyway), and, once there is a keeper, is not there. */
static bool left_behind(const struct family *f, const struct table_entry *e)
{
    if (e->stamp & (STAMP_DIRTY | STAMP_DELETED)) return false;
    return !f->spilled || !(e->stamp & STAMP_KEPT);
}

static bool is_turning(const struct family *f)
{
    const struct turn *t = &f->turn;
    return t->active && t->residents && t->spilled == f->spilled && t->quota;
}

/* A step of a turn over memory: what it makes dirty is in the next run, and what it passes by, being dirty, too. */
static void turn_residents(struct family *f, uint64_t *bytes)
{
    struct turn *t = &f->turn;
    for (uint64_t cost; t->store && t->quota && *bytes; spend(bytes, cost), spend(&t->quota, cost)) {
        struct table_entry *e = table_next(&t->store->table, &t->cursor);
        cost = RUN_ENTRY_BYTES;
        if (!e) {
            t->store = t->store->next;
            t->cursor = 0;
        } else if (left_behind(f, e)) {
            cost += store_cost(t->store, e);
            if (store_mark_dirty(t->store, e)) return;
        }
    }
    if (t->store) return;
    t->residents = false;
    f->all_kept |= f->spilled; /* as soon as that run is in the keeper */
}

/* A step is better taken a little later than with page faults in it; not so when all has to be copied. */
static bool waits_for_block(const struct frozen *z, uint64_t bytes)
{
    return bytes != UINT64_MAX && run_block_is_coming(&z->run, bytes);
}

bool family_copy(struct family *f, uint64_t *bytes)
{
    if (!is_copied(f) && *bytes && !waits_for_block(f->frozen, *bytes)) copy_stores(f->frozen, bytes);
    if (slot_failed(f->slot)) return !is_copied(f);
    if (is_turning(f)) turn_residents(f, bytes);
    return !is_copied(f) || is_turning(f);
}

bool slot_copy(struct state_slot *slot, uint64_t bytes)
{
    bool more = false;
    for (struct family *f = slot->families; f && slot->copying; f = f->next) more |= family_copy(f, &bytes);
    slot->copying = more;
    return more;
}

/* ---- persist ------------------------------------------------------------------------------------------------------------------------ */

/* A second name for a fsynced file, or a fsynced copy where folders lie on different file systems. */
static weir_err bring(const char *from, const char *to, struct weir_diag *diag)
{
    if (link(from, to) == 0) return WEIR_OK;
    if (errno != EXDEV && errno != EPERM && errno != EMLINK) return weir_fail_errno(diag, errno, "link %s to %s", from, to);
    weir_err err = run_file_copy(from, to, diag);
    if (err) return err;
    int fd = open(to, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd)) err = weir_fail_errno(diag, errno, "fsync %s", to);
    if (fd >= 0) (void)close(fd);
    return err;
}

/* A write-out that was under way at the freeze reaches the keeper first, and is the last of the spills. */
static weir_err await_write_out(struct frozen *z, struct weir_diag *diag)
{
    if (!z->before) return WEIR_OK;
    gate_wait(&z->before->written);
    if (z->before->failed) return slot_error(z->family->slot, diag);
    return file_list_append(&z->spills, &z->before->files) ? weir_fail(diag, WEIR_E_NOMEM, "out of memory") : WEIR_OK;
}

/* What was written out since the last snapshot. */
static weir_err bring_spills(struct frozen *z, const char *dir, struct weir_diag *diag)
{
    for (uint32_t i = 0; i < z->spills.n; i++) {
        struct keyed_file *file = &z->spills.items[i];
        char from[4096], to[4096];
        slot_path(z->family->slot, from, file->name);
        (void)snprintf(to, sizeof to, "%s/%s", dir, file->name);
        weir_err err = bring(from, to, diag);
        if (err) return err;
        (void)unlink(from);
        file->epoch = z->epoch;
    }
    return file_list_append(&z->files, &z->spills) ? weir_fail(diag, WEIR_E_NOMEM, "out of memory") : WEIR_OK;
}

static weir_err ingest_new(struct frozen *z, const char *dir, uint32_t from, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = from; i < z->files.n && !err; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s", dir, z->files.items[i].name);
        err = family_ingest(z->family, path, diag);
    }
    return err;
}

/* The next piece of a turn over the keeper, as of this snapshot. */
struct piece {
    struct frozen *frozen;
    struct rocks_writer *writer;
    uint64_t entries, bytes;
    char path[4096];
    char name[64];
};

static bool is_expired(const struct family *f, struct weir_bytes value)
{
    int64_t time_ms;
    if (!f->options.ttl_ms || value.length < 8) return false;
    memcpy(&time_ms, value.data, 8);
    return atomic_load_explicit(&f->slot->now_ms, memory_order_relaxed) - time_ms >= f->options.ttl_ms;
}

static weir_err put_piece(struct piece *p, struct weir_bytes key, struct weir_bytes value, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    if (!p->writer) err = rocks_writer_new(&p->writer, p->frozen->family->slot->shared, p->path, diag);
    if (!err) err = rocks_writer_put(p->writer, key.data, key.length, value.data, value.length, diag);
    p->entries++;
    p->bytes += key.length + value.length;
    return err;
}

static weir_err remember_key(struct turn *t, struct weir_bytes key)
{
    unsigned char *p = realloc(t->key, (size_t)key.length + 1);
    if (!p) return WEIR_E_NOMEM;
    memcpy(p, key.data, key.length);
    p[key.length] = 0; /* with it, the next key in order: where the next piece begins */
    t->key = p;
    t->key_length = key.length + 1;
    return WEIR_OK;
}

/* Copies from the cursor until the piece is large enough. *ended: the turn has seen everything. */
static weir_err fill_piece(struct piece *p, struct rocks_cursor *cursor, uint64_t bytes_max, bool *ended, struct weir_diag *diag)
{
    struct family *f = p->frozen->family;
    struct weir_bytes key, value;
    bool more = true;
    while (p->bytes < bytes_max) {
        weir_err err = rocks_cursor_next(cursor, &more, &key, &value, diag);
        if (err) return err;
        *ended = !more;
        if (!more) return WEIR_OK;
        if (family_holds(f, key, 0, UINT16_MAX) && !is_expired(f, value)) err = put_piece(p, key, value, diag);
        if (err) return err;
        if (p->bytes >= bytes_max && remember_key(&f->turn, key)) return weir_fail(diag, WEIR_E_NOMEM, "out of memory");
    }
    return WEIR_OK;
}

static weir_err close_piece(struct piece *p, struct weir_diag *diag)
{
    const struct family *f = p->frozen->family;
    if (!p->writer) return WEIR_OK;
    struct keyed_file file = {.value_size = f->options.value_size,
                              .first_group = f->options.first_group,
                              .last_group = f->options.last_group,
                              .epoch = p->frozen->epoch,
                              .entries = p->entries,
                              .is_new = true};
    memcpy(file.name, p->name, sizeof file.name);
    weir_err err = rocks_writer_finish(p->writer, diag);
    if (!err) err = run_file_checksum(p->path, &file.crc32c, &file.bytes, diag);
    if (!err && file_list_add(&p->frozen->files, &file)) err = weir_fail(diag, WEIR_E_NOMEM, "out of memory");
    return err;
}

static weir_err turn_keeper(struct frozen *z, struct rocks_cursor *cursor, const char *dir, uint64_t bytes, struct weir_diag *diag)
{
    struct piece p = {.frozen = z};
    bool ended = false;
    (void)snprintf(p.name, sizeof p.name, "%s-t.sst", z->stem);
    (void)snprintf(p.path, sizeof p.path, "%s/%s", dir, p.name);
    weir_err err = fill_piece(&p, cursor, bytes, &ended, diag);
    if (!err) err = close_piece(&p, diag);
    rocks_writer_destroy(&p.writer);
    if (!err && ended) z->turn_ended = true;
    return err;
}

/* Run and spills into the folder; into the keeper, too, once there is one. Then others may write to the keeper again: the gate. */
static weir_err write_all(struct frozen *z, const char *dir, struct rocks_cursor **cursor, struct weir_diag *diag)
{
    struct family *f = z->family;
    weir_err err = bring_spills(z, dir, diag);
    uint32_t first_new = z->files.n;
    if (!err) err = family_write_run(f, &z->run, z->ranges, z->n_ranges, dir, z->stem, z->epoch, &z->files, diag);
    if (!err && z->ingest) err = ingest_new(z, dir, first_new, diag);
    if (!err && z->turn_keeper)
        err = rocks_cursor_new(f->keeper, (struct weir_bytes){f->turn.key, f->turn.key_length}, (struct weir_bytes){NULL, 0}, ROCKS_SCAN,
                               cursor, diag);
    return err;
}

/* After a whole turn nothing needs the files from before it. */
static void drop_old(struct frozen *z)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < z->files.n; i++) {
        if (z->files.items[i].epoch >= z->family->turn.epoch) z->files.items[n++] = z->files.items[i];
    }
    z->files.n = n;
}

weir_err frozen_persist(struct frozen *z, const char *dir, struct weir_diag *diag)
{
    struct family *f = z->family;
    struct rocks_cursor *cursor = NULL;
    WEIR_ASSERT(gate_is_open(&z->copied) || !pthread_equal(z->owner, pthread_self())); /* it would wait for itself: slot_copy first */
    gate_wait(&z->copied);
    weir_err err = slot_error(f->slot, diag); /* it may not be whole */
    if (!err) err = await_write_out(z, diag);
    uint64_t new_bytes = file_list_bytes(&z->spills) + z->run.bytes; /* the turn goes twice as fast as files come */
    if (!err) err = write_all(z, dir, &cursor, diag);
    if (err) (void)slot_fail_diag(f->slot, diag); /* before the gate: whoever waits finds it */
    gate_open(&z->ingested);
    if (!err && cursor) err = turn_keeper(z, cursor, dir, turn_step_bytes(f, new_bytes), diag);
    rocks_cursor_destroy(&cursor);
    if (err) return slot_fail_diag(f->slot, diag);
    if (z->turn_ended) drop_old(z);
    z->persisted = true;
    return WEIR_OK;
}

/* ---- settle ------------------------------------------------------------------------------------------------------------------------- */

static void take_over(struct family *f, struct frozen *z)
{
    f->files = z->files;
    z->files = (struct file_list){0};
    for (uint32_t i = 0; i < f->files.n; i++) f->files.items[i].is_new = false;
    if (!z->turn_ended) return;
    f->turn.active = false;
    f->turn.bytes_after_last = file_list_bytes(&f->files);
    f->turn.files_after_last = f->files.n;
}

void frozen_settle(struct frozen **frozen)
{
    struct frozen *z = *frozen;
    if (!z) return;
    struct family *f = z->family;
    if (z->persisted)
        take_over(f, z);
    else
        (void)slot_fail(f->slot, WEIR_E_STATE, "state '%s': a snapshot was given up: what it held is in no file", f->name);
    gate_open(&z->ingested);
    f->frozen = NULL;
    run_close(&z->run);
    run_ranges_close(z->ranges, z->n_ranges);
    if (z->before && z->before == f->slot->writing) (void)write_out_end(f->slot, true);
    write_out_destroy(&z->before);
    gate_close(&z->copied);
    gate_close(&z->ingested);
    file_list_close(&z->files);
    file_list_close(&z->spills);
    free(z);
    *frozen = NULL;
}
