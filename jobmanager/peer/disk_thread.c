/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/peer/disk_thread.h"

#include <poll.h>
#include <stdlib.h>

#include "jobmanager/peer/end.h"
#include "runtime/base/assert.h"

struct disk_thread {
    struct coord_disk *disk; /* the thread's */
    struct coord_transfer transfers[ZAB_PEERS_MAX];
    uint32_t readers[ZAB_PEERS_MAX]; /* whose they are; 0: nobody's */
    struct background *background;
    struct disk_task *collected;        /* appends of this turn */
    struct background_task *done, *end; /* taken while disk_wait waited */
};

struct disk_task *disk_task_new(enum disk_kind kind)
{
    struct disk_task *t = calloc(1, sizeof *t);
    WEIR_ASSERT(t);
    t->kind = kind;
    return t;
}

void disk_task_free(struct disk_task **task)
{
    struct disk_task *t = *task;
    *task = NULL;
    if (!t) return;
    buffer_close(&t->entries.heads);
    buffer_close(&t->entries.bytes);
    buffer_close(&t->members);
    buffer_close(&t->bytes);
    free(t);
}

static void add_entry(struct disk_entries *entries, const struct zab_entry *entry)
{
    struct zab_entry copy = *entry;
    copy.bytes.data = (void *)(uintptr_t)entries->bytes.len;
    buffer_add(&entries->heads, &copy, sizeof copy);
    buffer_add(&entries->bytes, entry->bytes.data, entry->bytes.length);
    WEIR_ASSERT(!entries->heads.err);
    WEIR_ASSERT(!entries->bytes.err);
}

const struct zab_entry *disk_entries(struct disk_entries *entries, uint32_t *n)
{
    struct zab_entry *at = (struct zab_entry *)(void *)entries->heads.data;
    *n = (uint32_t)(entries->heads.len / sizeof *at);
    for (uint32_t i = 0; i < *n; i++) at[i].bytes.data = entries->bytes.data + (uintptr_t)at[i].bytes.data;
    return at;
}

/* ---- in the thread ------------------------------------------------------------------------------------------------------------- */

static struct coord_transfer *transfer_of(struct disk_thread *d, uint32_t peer)
{
    uint32_t free_at = ZAB_PEERS_MAX;
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        if (d->readers[i] == peer) return &d->transfers[i];
        if (d->readers[i] == 0) free_at = i;
    }
    WEIR_ASSERT(free_at < ZAB_PEERS_MAX); /* zab has no more links than that, and ends what it began */
    d->readers[free_at] = peer;
    return &d->transfers[free_at];
}

static void end_transfer(struct disk_thread *d, uint32_t peer)
{
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) {
        if (d->readers[i] != peer) continue;
        coord_transfer_end(&d->transfers[i]);
        d->readers[i] = 0;
    }
}

static weir_err append_all(struct disk_thread *d, struct disk_task *t, struct weir_diag *diag)
{
    uint32_t n;
    weir_err err = WEIR_OK;
    const struct zab_entry *entries = disk_entries(&t->entries, &n);
    for (uint32_t i = 0; i < n && !err; i++) err = coord_disk_append(d->disk, &entries[i], diag);
    return err;
}

static weir_err collect_entry(void *arg, const struct zab_entry *entry, struct weir_diag *diag)
{
    struct disk_task *t = arg;
    (void)diag;
    if (t->entries.heads.len > 0 && t->entries.bytes.len + entry->bytes.length > t->max) return WEIR_E_LIMIT; /* enough */
    add_entry(&t->entries, entry);
    return WEIR_OK;
}

static weir_err read_log(struct disk_thread *d, struct disk_task *t, struct weir_diag *diag)
{
    weir_err err = coord_disk_read_log(d->disk, t->zxid, collect_entry, t, diag);
    t->none = err == WEIR_E_NOT_FOUND;
    return err == WEIR_E_LIMIT || err == WEIR_E_NOT_FOUND ? WEIR_OK : err;
}

static weir_err read_snapshot(struct disk_thread *d, struct disk_task *t, struct weir_diag *diag)
{
    struct coord_transfer *transfer = transfer_of(d, t->peer);
    weir_err err = coord_disk_read_snapshot(d->disk, transfer, t->offset, ZAB_CHUNK_MAX, &t->bytes, &t->last, diag);
    t->none = err == WEIR_E_NOT_FOUND || err == WEIR_E_CORRUPT; /* none that could be sent: a new one is taken */
    if (t->none) return WEIR_OK;
    t->zxid = transfer->info.zxid;
    buffer_add(&t->members, transfer->info.members, transfer->info.n_members);
    return err;
}

static weir_err perform(struct disk_thread *d, struct disk_task *t, struct weir_diag *diag)
{
    struct weir_bytes bytes = {t->bytes.data, (uint32_t)t->bytes.len}, members = {t->members.data, (uint32_t)t->members.len};
    switch (t->kind) {
    case DISK_APPEND: return append_all(d, t, diag);
    case DISK_TRUNCATE: return coord_disk_truncate(d->disk, t->zxid, diag);
    case DISK_EPOCHS: return coord_disk_set_epochs(d->disk, t->accepted, t->current, diag);
    case DISK_INSTALL: return coord_disk_install(d->disk, t->zxid, t->offset, bytes, t->last, t->state, diag);
    case DISK_READ_LOG: return read_log(d, t, diag);
    case DISK_READ_SNAPSHOT: return read_snapshot(d, t, diag);
    case DISK_END_SNAPSHOT: end_transfer(d, t->peer); return WEIR_OK;
    case DISK_SNAPSHOT_BEGIN: return coord_disk_snapshot_begin(d->disk, t->zxid, members, diag);
    case DISK_SNAPSHOT_ADD: return coord_disk_snapshot_add(d->disk, bytes, diag);
    case DISK_SNAPSHOT_FINISH: return coord_disk_snapshot_finish(d->disk, &t->zxid, diag);
    case DISK_SNAPSHOT_GIVE_UP: coord_disk_snapshot_give_up(d->disk); return WEIR_OK;
    }
    return WEIR_OK;
}

static void work(void *arg, struct background_task *batch)
{
    struct disk_thread *d = arg;
    struct weir_diag diag = {0};
    bool appended = false;
    for (struct background_task *b = batch; b; b = b->next) {
        struct disk_task *t = (struct disk_task *)b;
        if (perform(d, t, &diag)) peer_end("its log", diag.text);
        appended |= t->kind == DISK_APPEND;
    }
    if (appended && coord_disk_sync(d->disk, &diag)) peer_end("its log", diag.text);
}

/* ---- the owner ----------------------------------------------------------------------------------------------------------------- */

static void drop(struct background_task *base)
{
    struct disk_task *t = (struct disk_task *)base;
    disk_task_free(&t);
}

weir_err disk_thread_new(struct disk_thread **out, struct coord_disk *disk, struct weir_diag *diag)
{
    struct disk_thread *d = calloc(1, sizeof *d);
    if (!d) return weir_fail(diag, WEIR_E_NOMEM, "no memory for a disk thread");
    struct background_config config = {.name = "coord-disk", .arg = d, .work = work, .drop = drop};
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) d->transfers[i] = (struct coord_transfer)COORD_TRANSFER_NONE;
    d->disk = disk;
    weir_err err = background_new(&d->background, &config, diag);
    if (err) {
        free(d);
        return err;
    }
    *out = d;
    return WEIR_OK;
}

void disk_thread_destroy(struct disk_thread **thread)
{
    struct disk_thread *d = *thread;
    *thread = NULL;
    if (!d) return;
    struct disk_task *last = disk_wait(d, disk_task_new(DISK_END_SNAPSHOT)); /* of nobody: the end of the queue */
    disk_task_free(&last);
    while ((last = disk_take(d)) != NULL) disk_task_free(&last);
    background_destroy(&d->background);
    for (uint32_t i = 0; i < ZAB_PEERS_MAX; i++) coord_transfer_end(&d->transfers[i]);
    coord_disk_close(&d->disk);
    free(d);
}

void disk_append(struct disk_thread *d, const struct zab_entry *entry, uint64_t ticket)
{
    if (!d->collected) d->collected = disk_task_new(DISK_APPEND);
    add_entry(&d->collected->entries, entry);
    d->collected->ticket = ticket;
    if (d->collected->entries.bytes.len >= DISK_BATCH_BYTES) disk_flush(d);
}

void disk_flush(struct disk_thread *d)
{
    struct disk_task *t = d->collected;
    d->collected = NULL;
    if (t) background_give(d->background, &t->base);
}

void disk_give(struct disk_thread *d, struct disk_task *task)
{
    disk_flush(d);
    background_give(d->background, &task->base);
}

struct disk_task *disk_take(struct disk_thread *d)
{
    struct background_task *t = d->done;
    if (!t) return (struct disk_task *)background_take(d->background);
    d->done = t->next;
    if (!d->done) d->end = NULL;
    return (struct disk_task *)t;
}

static void keep(struct disk_thread *d, struct background_task *t)
{
    t->next = NULL;
    if (d->end)
        d->end->next = t;
    else
        d->done = t;
    d->end = t;
}

struct disk_task *disk_wait(struct disk_thread *d, struct disk_task *task)
{
    struct background_task *t;
    struct pollfd ready = {.fd = background_fd(d->background), .events = POLLIN};
    disk_give(d, task);
    for (;;) {
        while ((t = background_take(d->background)) != NULL) {
            if (t == &task->base) return task;
            keep(d, t);
        }
        (void)poll(&ready, 1, -1);
    }
}

int disk_fd(const struct disk_thread *d)
{
    return background_fd(d->background);
}
