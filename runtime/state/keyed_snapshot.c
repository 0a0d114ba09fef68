/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of an operator: its families' parts put together, and taken apart again. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/state/keyed_internal.h"
#include "runtime/state/snapshot.h"

struct keyed_snapshot {
    struct keyed *keyed;
    uint32_t n;
    struct frozen *parts[KEYED_MEMBERS_MAX]; /* of members[i] */
};

void keyed_files_close(struct keyed_files *files)
{
    free(files->items);
    *files = (struct keyed_files){0};
}

weir_err keyed_freeze(struct keyed *k, uint64_t epoch, struct keyed_snapshot **out, struct weir_diag *diag)
{
    WEIR_ASSERT(!k->snapshot);
    if (!k->slot->snapshots || !k->slot->shared) return weir_fail(diag, WEIR_E_STATE, "this slot was made without snapshots");
    struct keyed_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (!snapshot) return weir_fail(diag, WEIR_E_NOMEM, "out of memory for a snapshot");
    snapshot->keyed = k;
    k->snapshot = true;
    weir_err err = slot_error(k->slot, diag);
    for (uint32_t i = 0; i < k->n_members && !err; i++) {
        err = family_freeze(k->members[i].family, epoch, &snapshot->parts[i]);
        snapshot->n = i + 1;
    }
    if (err) {
        (void)slot_error(k->slot, diag);
        keyed_snapshot_destroy(&snapshot);
        return err;
    }
    *out = snapshot;
    return WEIR_OK;
}

void keyed_describe_key(struct keyed *k, const struct weir_field *field)
{
    k->key = field;
}

const struct keyed_state_info *keyed_snapshot_state(const struct keyed_snapshot *snapshot, uint32_t i)
{
    return i < snapshot->n ? &snapshot->keyed->members[i].info : NULL;
}

const struct weir_field *keyed_snapshot_key(const struct keyed_snapshot *snapshot)
{
    return snapshot->keyed->key;
}

static weir_err list_part(const struct keyed_member *m, const struct frozen *part, struct file_list *all)
{
    for (uint32_t i = 0; i < part->files.n; i++) {
        struct keyed_file file = part->files.items[i];
        file.kind = m->info.kind;
        (void)snprintf(file.state, sizeof file.state, "%s", m->info.name);
        if (file_list_add(all, &file)) return WEIR_E_NOMEM;
    }
    return WEIR_OK;
}

weir_err keyed_persist(struct keyed_snapshot *snapshot, const char *dir, struct keyed_files *files, struct weir_diag *diag)
{
    struct file_list all = {0};
    int64_t step_ns = 0;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < snapshot->n && !err; i++) {
        err = frozen_persist(snapshot->parts[i], dir, diag);
        if (!err && snapshot->parts[i]->step_ns > step_ns) step_ns = snapshot->parts[i]->step_ns;
        if (!err && list_part(&snapshot->keyed->members[i], snapshot->parts[i], &all)) err = weir_fail(diag, WEIR_E_NOMEM, "out of memory");
    }
    if (err) {
        (void)slot_fail_diag(snapshot->keyed->slot, diag);
        for (uint32_t i = 0; i < snapshot->n; i++) gate_open(&snapshot->parts[i]->ingested); /* nobody waits for what will not come */
        file_list_close(&all);
        return weir_wrap(diag, err, "operator %s", snapshot->keyed->operator_id);
    }
    const struct keyed *k = snapshot->keyed;
    *files = (struct keyed_files){all.items, all.n, all.cap, k->first_group, k->last_group, (uint64_t)step_ns / 1000};
    return WEIR_OK;
}

void keyed_snapshot_destroy(struct keyed_snapshot **snapshot_)
{
    struct keyed_snapshot *snapshot = *snapshot_;
    if (!snapshot) return;
    for (uint32_t i = 0; i < snapshot->n; i++) frozen_settle(&snapshot->parts[i]);
    snapshot->keyed->snapshot = false;
    free(snapshot);
    *snapshot_ = NULL;
}

/* ---- restore ------------------------------------------------------------------------------------------------------------------------ */

void keyed_restored_close(struct keyed_restored *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        keyed_files_close(&r->lists[i]);
        free(r->dirs[i]);
    }
    free(r->lists);
    free(r->dirs);
    keyed_types_close(&r->types);
    *r = (struct keyed_restored){0};
}

static weir_err check_file(const struct keyed_file *file, const char *dir, struct weir_diag *diag)
{
    char path[4096];
    uint32_t crc;
    uint64_t bytes;
    if (memchr(file->name, 0, sizeof file->name) == NULL || memchr(file->state, 0, sizeof file->state) == NULL || strchr(file->name, '/') ||
        file->name[0] == '.' || !file->name[0])
        return weir_fail(diag, WEIR_E_CORRUPT, "a snapshot names a file that cannot be one of its own");
    (void)snprintf(path, sizeof path, "%s/%s", dir, file->name);
    weir_err err = run_file_checksum(path, &crc, &bytes, diag);
    if (err) return err;
    if (bytes != file->bytes)
        return weir_fail(diag, WEIR_E_CORRUPT, "%s has %llu bytes instead of %llu", path, (unsigned long long)bytes,
                         (unsigned long long)file->bytes);
    if (crc != file->crc32c) return weir_fail(diag, WEIR_E_CORRUPT, "%s: checksum %08x instead of %08x", path, crc, file->crc32c);
    return WEIR_OK;
}

#define CHECKERS 2u /* threads that read files, beside the one that opens the database and then helps */

/* The files of all lists; each thread takes the next one. */
struct check {
    const struct keyed_restore_from *from;
    uint32_t n_files;
    atomic_uint next;
};

struct checker {
    struct check *check;
    pthread_t thread;
    bool started;
    weir_err err;
    struct weir_diag diag;
};

static const struct keyed_file *nth_file(const struct check *check, uint32_t i, const char **dir)
{
    const struct keyed_restore_from *from = check->from;
    for (; i >= from->files->n; from++) i -= from->files->n;
    *dir = from->dir;
    return &from->files->items[i];
}

static void *check_files(void *arg)
{
    struct checker *c = arg;
    const char *dir;
    for (uint32_t i; !c->err && (i = atomic_fetch_add(&c->check->next, 1)) < c->check->n_files;) {
        const struct keyed_file *file = nth_file(c->check, i, &dir);
        c->err = check_file(file, dir, &c->diag);
    }
    return NULL;
}

/* Opening the database takes a dozen fsyncs: time in which others read. Its failure is sticky. */
static weir_err check_all(struct state_slot *slot, struct check *check, struct weir_diag *diag)
{
    struct checker own = {.check = check}, others[CHECKERS] = {{.check = check}, {.check = check}};
    for (uint32_t i = 0; i < CHECKERS && i < check->n_files; i++)
        others[i].started = pthread_create(&others[i].thread, NULL, check_files, &others[i]) == 0;
    weir_err err = check->n_files && slot->dir && slot_rocks(slot) ? slot_error(slot, diag) : WEIR_OK;
    (void)check_files(&own);
    for (uint32_t i = 0; i < CHECKERS; i++) {
        if (others[i].started) (void)pthread_join(others[i].thread, NULL);
        if (others[i].err && !own.err) own = others[i];
    }
    if (err || !own.err) return err;
    if (diag) *diag = own.diag;
    return own.err;
}

static weir_err take_from(struct keyed_restored *r, const struct keyed_restore_from *from, struct check *check, struct weir_diag *diag)
{
    const struct keyed_files *files = from->files;
    check->n_files += files->n;
    struct keyed_files *copy = &r->lists[r->n];
    *copy = *files;
    copy->items = calloc((size_t)files->n + 1, sizeof *copy->items);
    r->dirs[r->n++] = strdup(from->dir);
    if (!copy->items || !r->dirs[r->n - 1]) return weir_fail(diag, WEIR_E_NOMEM, "out of memory to restore");
    if (files->n) memcpy(copy->items, files->items, files->n * sizeof *copy->items);
    for (uint32_t i = 0; i < from->n_states; i++) {
        if (keyed_types_add(&r->types, &from->states[i])) return weir_fail(diag, WEIR_E_NOMEM, "out of memory to restore");
    }
    return WEIR_OK;
}

weir_err keyed_restore(struct keyed *k, const struct keyed_restore_from *from, uint32_t n_from, uint32_t shard, uint32_t n_shards,
                       struct weir_diag *diag)
{
    struct keyed_restored *r = &k->restored;
    struct check check = {.from = from};
    WEIR_ASSERT(k->n_members == 0);
    WEIR_ASSERT(!r->any);
    r->lists = calloc((size_t)n_from + 1, sizeof *r->lists);
    r->dirs = calloc((size_t)n_from + 1, sizeof *r->dirs);
    weir_err err = r->lists && r->dirs ? WEIR_OK : weir_fail(diag, WEIR_E_NOMEM, "out of memory to restore");
    for (uint32_t i = 0; i < n_from && !err; i++) err = take_from(r, &from[i], &check, diag);
    if (!err) err = check_all(k->slot, &check, diag);
    if (err) {
        keyed_restored_close(r);
        return weir_wrap(diag, err, "restore operator %s", k->operator_id);
    }
    r->shard = shard;
    r->n_shards = n_shards;
    r->any = true;
    return keyed_open_restored_timers(k, diag);
}
