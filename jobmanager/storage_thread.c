/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/storage_thread.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/background.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"

struct task {
    struct background_task base;
    enum master_storage what;
    struct weir_id job;
    char *dir, *path;
    uint64_t id;
    uint32_t options;
    struct weir_id request;
    struct files_seal seal;
    struct buffer manifest;
    /* the answer */
    weir_err err;
    struct weir_diag diag;
    struct checkpoint *opened;
    bool *has_state;
};

/* The archive of a job that runs. */
struct open_archive {
    struct open_archive *next;
    struct weir_id job;
    struct archive *archive;
    int64_t swept_ms;
    bool untidy; /* something may lie there that should not: a former process left it, or it could not be deleted */
};

struct storage_thread {
    struct background *background;
    struct task *told;             /* whose answer the owner reads */
    struct open_archive *archives; /* of the thread */
};

static void free_task(struct background_task *base)
{
    struct task *t = (struct task *)base;
    checkpoint_close(&t->opened);
    buffer_close(&t->manifest);
    free(t->has_state);
    free(t->dir);
    free(t->path);
    free(t);
}

/* ---- archives ---- */

static weir_err find_archive(struct storage_thread *thread, const struct task *t, struct open_archive **out, struct weir_diag *diag)
{
    struct open_archive *a = thread->archives;
    while (a && !id_equal(a->job, t->job)) a = a->next;
    if (!a) {
        a = calloc(1, sizeof *a);
        if (!a) return weir_fail(diag, WEIR_E_NOMEM, "no memory for an archive");
        weir_err err = archive_open(&a->archive, t->dir, diag);
        if (err) {
            free(a);
            return err;
        }
        a->job = t->job;
        a->untidy = true;
        a->next = thread->archives;
        thread->archives = a;
    }
    *out = a;
    return WEIR_OK;
}

/* Is the checkpoint one of the job's own archive? Else it is a savepoint, or a checkpoint that another job left. */
static bool is_own(const struct task *t)
{
    char own[PATH_MAX];
    return !layout_checkpoint(t->dir, t->id, own, NULL) && !strcmp(own, t->path);
}

/*
 * Between two checkpoints, when nothing is under way: deletions that failed are made again, folders of checkpoints that were given up go,
 * and files that no checkpoint ever named, when they have not been used for long.
 */
static void sweep_now_and_then(struct open_archive *a)
{
    struct weir_diag diag;
    int64_t now_ms = clock_mono_ms();
    if (!a->untidy && now_ms - a->swept_ms < ARCHIVE_GRACE_MS) return;
    a->swept_ms = now_ms;
    a->untidy = archive_clean(a->archive, 0, ARCHIVE_GRACE_MS, NULL, &diag) != WEIR_OK;
    if (a->untidy) log_warn("checkpoint storage", "reason=\"%s\"", diag.text);
}

/* ---- orders ---- */

static weir_err open_checkpoint(struct task *t)
{
    weir_err err = checkpoint_open(&t->opened, t->path, NULL, &t->diag);
    if (err) return err;
    const struct manifest *m = &t->opened->manifest;
    uint32_t n = 0;
    for (uint32_t v = 0; v < m->n_vertices; v++) n += m->vertices[v].n_operators;
    t->has_state = calloc((size_t)n + 1, sizeof *t->has_state);
    if (!t->has_state) return weir_fail(&t->diag, WEIR_E_NOMEM, "no memory for a savepoint");
    n = 0;
    for (uint32_t v = 0; v < m->n_vertices; v++)
        for (uint32_t i = 0; i < m->vertices[v].n_operators; i++)
            t->has_state[n++] = checkpoint_has_state(t->opened, m->vertices[v].operators[i].id);
    t->seal = t->opened->seal;
    return WEIR_OK;
}

static weir_err keep(struct storage_thread *thread, struct task *t)
{
    struct open_archive *a;
    if (!is_own(t)) return WEIR_OK;
    weir_err err = find_archive(thread, t, &a, &t->diag);
    return err ? err : archive_keep(a->archive, t->id, &t->seal, NULL, &t->diag);
}

static weir_err begin(struct storage_thread *thread, struct task *t)
{
    struct open_archive *a;
    if (t->options & CHECKPOINT_SAVEPOINT) return savepoint_begin(t->path, t->request, &t->diag);
    weir_err err = find_archive(thread, t, &a, &t->diag);
    return err ? err : archive_begin(a->archive, t->id, &t->diag);
}

static weir_err complete(struct storage_thread *thread, struct task *t, const struct manifest *manifest)
{
    struct open_archive *a;
    if (t->options & CHECKPOINT_SAVEPOINT) {
        weir_err err = checkpoint_seal(t->path, manifest, &t->seal, NULL, &t->diag);
        return err ? err : savepoint_finish(t->path, t->request, &t->diag);
    }
    weir_err err = find_archive(thread, t, &a, &t->diag);
    if (!err) err = archive_complete(a->archive, manifest, &t->seal, &t->diag);
    if (!err) sweep_now_and_then(a);
    return err;
}

static weir_err seal(struct storage_thread *thread, struct task *t)
{
    struct manifest manifest = {0};
    weir_err err = manifest_decode(&manifest, t->manifest.data, t->manifest.len, &t->diag);
    if (!err) err = complete(thread, t, &manifest);
    manifest_close(&manifest);
    return err;
}

/* A checkpoint that another job left and this one has claimed: its files may be named by others that lie beside it. */
static weir_err drop_foreign(const char *job_dir, uint64_t id, struct weir_diag *diag)
{
    struct archive *archive = NULL;
    weir_err err = archive_open(&archive, job_dir, diag);
    if (err) return err;
    DIR *dir = opendir(job_dir);
    uint64_t number;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir))
        if (layout_number(e->d_name, "chk-", &number)) (void)archive_keep(archive, number, NULL, NULL, diag);
    if (dir) closedir(dir);
    err = archive_drop(archive, id, diag);
    archive_destroy(&archive);
    return err;
}

static weir_err discard(struct storage_thread *thread, struct task *t)
{
    struct open_archive *a;
    uint64_t number;
    char *name = strrchr(t->path, '/');
    if (!id_is_zero(t->request)) return savepoint_give_up(t->path, t->request, &t->diag);
    if (is_own(t)) {
        weir_err err = find_archive(thread, t, &a, &t->diag);
        if (err) return err;
        err = archive_drop(a->archive, t->id, &t->diag);
        a->untidy |= err != WEIR_OK;
        return err;
    }
    if (!name || !layout_number(name + 1, "chk-", &number)) return checkpoint_remove(t->path, &t->diag);
    *name = '\0';
    return drop_foreign(t->path, number, &t->diag);
}

/* The job has ended: nobody writes any more, so all that is not retained goes, and the folder when it is empty then. */
static weir_err end(struct storage_thread *thread, struct task *t)
{
    struct open_archive *a;
    char shared[PATH_MAX];
    if (access(t->dir, F_OK) != 0 && errno == ENOENT) return WEIR_OK; /* it never wrote anything */
    weir_err err = find_archive(thread, t, &a, &t->diag);
    if (err) return err;
    struct open_archive **at = &thread->archives;
    while (*at != a) at = &(*at)->next;
    *at = a->next;
    err = archive_clean(a->archive, 0, 0, NULL, &t->diag);
    if (archive_kept(a->archive) == 0 && !layout_join(t->dir, LAYOUT_SHARED, shared, NULL)) {
        (void)rmdir(shared);
        (void)rmdir(t->dir);
    }
    archive_destroy(&a->archive);
    free(a);
    return err;
}

static weir_err execute(struct storage_thread *thread, struct task *t)
{
    switch (t->what) {
    case MASTER_STORAGE_OPEN: return open_checkpoint(t);
    case MASTER_STORAGE_KEEP: return keep(thread, t);
    case MASTER_STORAGE_BEGIN: return begin(thread, t);
    case MASTER_STORAGE_SEAL: return seal(thread, t);
    case MASTER_STORAGE_DISCARD: return discard(thread, t);
    case MASTER_STORAGE_END: return end(thread, t);
    }
    return WEIR_OK;
}

static bool is_answered(const struct task *t)
{
    return t->what != MASTER_STORAGE_KEEP && t->what != MASTER_STORAGE_DISCARD;
}

static void work(void *arg, struct background_task *batch)
{
    for (struct background_task *b = batch; b; b = b->next) {
        struct task *t = (struct task *)b;
        t->err = execute(arg, t);
        if (t->err && !is_answered(t)) log_warn("checkpoint storage", "checkpoint=\"%s\" reason=\"%s\"", t->path, t->diag.text);
    }
}

/* ---- the owner ---- */

weir_err storage_thread_new(struct storage_thread **out, struct weir_diag *diag)
{
    struct storage_thread *thread = calloc(1, sizeof *thread);
    if (!thread) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the checkpoint storage");
    struct background_config config = {.name = "checkpoints", .arg = thread, .work = work, .drop = free_task};
    weir_err err = background_new(&thread->background, &config, diag);
    if (err) {
        storage_thread_destroy(&thread);
        return err;
    }
    *out = thread;
    return WEIR_OK;
}

void storage_thread_destroy(struct storage_thread **pthread)
{
    struct storage_thread *thread = *pthread;
    *pthread = NULL;
    if (!thread) return;
    background_destroy(&thread->background);
    if (thread->told) free_task(&thread->told->base);
    for (struct open_archive *a = thread->archives, *next; a; a = next) {
        next = a->next;
        archive_destroy(&a->archive);
        free(a);
    }
    free(thread);
}

void storage_thread_order(struct storage_thread *thread, const struct master_action *order)
{
    struct task *t = calloc(1, sizeof *t);
    WEIR_ASSERT(t);
    t->what = order->storage.what;
    t->job = order->storage.job;
    t->dir = strdup(order->storage.dir);
    t->path = strdup(order->storage.path);
    WEIR_ASSERT(t->dir);
    WEIR_ASSERT(t->path);
    t->id = order->storage.id;
    t->options = order->storage.options;
    t->request = order->storage.request;
    t->seal = (struct files_seal){.bytes = order->storage.bytes, .crc32c = order->storage.crc32c};
    buffer_add(&t->manifest, order->storage.manifest.data, order->storage.manifest.length);
    WEIR_ASSERT(!t->manifest.err);
    background_give(thread->background, &t->base);
}

bool storage_thread_answer(struct storage_thread *thread, struct master_event *out)
{
    struct task *t;
    do {
        if (thread->told) free_task(&thread->told->base);
        t = thread->told = (struct task *)background_take(thread->background);
    } while (t && !is_answered(t));
    if (!t) return false;
    *out = (struct master_event){.type = MASTER_EV_STORAGE};
    out->storage.what = t->what;
    out->storage.job = t->job;
    out->storage.id = t->id;
    out->storage.err = t->err;
    out->storage.reason = t->diag.text;
    out->storage.bytes = t->seal.bytes;
    out->storage.crc32c = t->seal.crc32c;
    out->storage.manifest = t->opened ? &t->opened->manifest : NULL;
    out->storage.has_state = t->has_state;
    return true;
}

int storage_thread_fd(const struct storage_thread *thread)
{
    return background_fd(thread->background);
}
