/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot thread of a worker, and the storage behind it, as taskmanager/worker/snapshot_thread.h has them. Orders take their time, one
 * after the other: a snapshot is persisted a while after it was taken, when its subtask has long gone on. What a worker wrote is in the
 * storage from the moment in which its order is done, and not at all if the worker dies before.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "taskmanager/worker/snapshot_thread.h"
#include "tests/sim/tasks/tasks.h"

/* A worker's part of a checkpoint. */
struct part {
    struct part *next;
    struct kept *kept;
    uint32_t n_ledger;
    struct snapshot_ledger *ledger;
    bool lied; /* a frame was lost or doubled before its barrier */
    char path[96];
};

enum order_type { ORDER_RESTORE, ORDER_PERSIST, ORDER_STORE, ORDER_DROP };

struct order {
    struct order *next;
    enum order_type type;
    int64_t at_ms;
    const struct wire_msg *deploy;
    struct deployment *d;
    struct subtask_snapshot *snapshot;
    bool keep, lied;
    uint64_t id;
    char dir[96];
};

struct snapshot_thread {
    struct host *host;
    struct weir_id job;
    uint32_t worker;
    int64_t done_ms; /* the last order is */
    struct order *orders, **last_order;
    struct part *parts; /* persisted, and not stored yet */
};

static struct part *stored; /* in the checkpoint storage */

/* ---- parts ----------------------------------------------------------------------------------------------------------------------- */

static void part_free(struct part *p)
{
    kept_destroy(&p->kept);
    free(p->ledger);
    free(p);
}

static void drop_parts(struct part **list, uint64_t up_to)
{
    while (*list) {
        struct part *p = *list;
        if (kept_id(p->kept) > up_to) {
            list = &p->next;
            continue;
        }
        *list = p->next;
        part_free(p);
    }
}

static struct part *part_of(struct snapshot_thread *t, uint64_t id)
{
    struct part *p = t->parts;
    while (p && kept_id(p->kept) != id) p = p->next;
    if (p) return p;
    p = calloc(1, sizeof *p);
    WEIR_ASSERT(p);
    weir_err err = kept_new(&p->kept, id, tasks.dir, NULL);
    WEIR_ASSERT(!err);
    p->next = t->parts;
    t->parts = p;
    return p;
}

static void add_ledger(struct part *p, const struct subtask_snapshot *snapshot)
{
    p->ledger = realloc(p->ledger, (p->n_ledger + snapshot->n_ledger + 1) * sizeof *p->ledger);
    WEIR_ASSERT(p->ledger);
    if (snapshot->n_ledger) memcpy(p->ledger + p->n_ledger, snapshot->ledger, snapshot->n_ledger * sizeof *p->ledger);
    p->n_ledger += snapshot->n_ledger;
}

uint32_t storage_parts(const char *path, const struct kept *out[static TASKS_PARTS_MAX])
{
    uint32_t n = 0;
    for (const struct part *p = stored; p; p = p->next)
        if (!strcmp(p->path, path)) out[n++] = p->kept;
    return n;
}

void storage_end(void)
{
    drop_parts(&stored, UINT64_MAX);
}

/* ---- orders ---------------------------------------------------------------------------------------------------------------------- */

static struct order *give(struct snapshot_thread *t, enum order_type type)
{
    struct order *o = calloc(1, sizeof *o);
    WEIR_ASSERT(o);
    int64_t longest_ms = tasks.sim->config.storage_ms;
    o->type = type;
    o->at_ms = tasks.sim->now_ms + sim_delay(tasks.sim, longest_ms ? (uint32_t)longest_ms : 1);
    if (o->at_ms < t->done_ms) o->at_ms = t->done_ms;
    t->done_ms = o->at_ms;
    *t->last_order = o;
    t->last_order = &o->next;
    return o;
}

weir_err snapshot_thread_start(struct snapshot_thread **out, const struct snapshot_thread_config *config, struct weir_diag *diag)
{
    struct snapshot_thread *t = calloc(1, sizeof *t);
    (void)diag;
    WEIR_ASSERT(t);
    t->host = tasks.current;
    t->host->storage = t;
    t->job = config->job;
    t->worker = config->worker;
    t->last_order = &t->orders;
    *out = t;
    return WEIR_OK;
}

weir_err snapshot_thread_restore(struct snapshot_thread *t, const struct wire_msg *deploy, struct deployment *d)
{
    struct order *o = give(t, ORDER_RESTORE);
    o->deploy = deploy;
    o->d = d;
    return WEIR_OK;
}

/* Of the sender that lost or doubled a frame: had it done so before this barrier? In the turn in which it did, nobody knows. */
static bool is_behind_fault(const struct host_fault *f, const struct subtask_snapshot *snapshot)
{
    for (uint32_t i = 0; f->happened && i < snapshot->n_ledger; i++) {
        const struct snapshot_ledger *l = &snapshot->ledger[i];
        if (l->side == LEDGER_SENDER && l->channel == f->channel->id) return l->counts.frames >= f->frames_after;
    }
    return false;
}

weir_err snapshot_thread_persist(struct snapshot_thread *t, struct subtask_snapshot *snapshot, bool keep)
{
    struct order *o = give(t, ORDER_PERSIST);
    o->snapshot = snapshot;
    o->keep = keep;
    o->lied = is_behind_fault(&t->host->fault, snapshot);
    return WEIR_OK;
}

weir_err snapshot_thread_store(struct snapshot_thread *t, uint64_t id, const char *dir)
{
    char job[WEIR_ID_TEXT];
    struct order *o = give(t, ORDER_STORE);
    o->id = id;
    if (*dir)
        snprintf(o->dir, sizeof o->dir, "%s", dir);
    else
        snprintf(o->dir, sizeof o->dir, "/c/%s/chk-%" PRIu64, id_text(t->job, job), id);
    return WEIR_OK;
}

weir_err snapshot_thread_drop(struct snapshot_thread *t, uint64_t id)
{
    give(t, ORDER_DROP)->id = id;
    return WEIR_OK;
}

/* Local copies are not kept here. */
weir_err snapshot_thread_release(struct snapshot_thread *t, uint64_t id)
{
    (void)t, (void)id;
    return WEIR_OK;
}

/* ---- carrying them out ----------------------------------------------------------------------------------------------------------- */

/* All parts of the checkpoint as one. */
static struct restore join(uint64_t id, const struct kept *const *parts, uint32_t n, struct restore_op **ops, struct restore_split **splits)
{
    struct restore all = {.id = id};
    for (uint32_t i = 0; i < n; i++) {
        struct restore one = kept_restore(parts[i]);
        *ops = realloc(*ops, (all.n_ops + one.n_ops + 1) * sizeof **ops);
        *splits = realloc(*splits, (all.n_splits + one.n_splits + 1) * sizeof **splits);
        WEIR_ASSERT(*ops && *splits);
        if (one.n_ops) memcpy(*ops + all.n_ops, one.ops, one.n_ops * sizeof **ops);
        if (one.n_splits) memcpy(*splits + all.n_splits, one.splits, one.n_splits * sizeof **splits);
        all.n_ops += one.n_ops;
        all.n_splits += one.n_splits;
    }
    all.ops = *ops;
    all.splits = *splits;
    return all;
}

static void restore(const struct order *o, struct snapshot_answer *out)
{
    char path[96];
    const struct kept *parts[TASKS_PARTS_MAX];
    const char *manifest = o->deploy->deploy.restore.path, *end = strrchr(manifest, '/');
    snprintf(path, sizeof path, "%.*s", (int)(end - manifest), manifest);
    const struct sim_checkpoint *c = durable_find(tasks.sim, path);
    out->type = SNAPSHOT_RESTORED;
    if (!c || !c->sealed || c->id != o->deploy->deploy.restore.id) {
        out->err = weir_fail(&out->diag, WEIR_E_NOT_FOUND, "the checkpoint is not there");
        return;
    }
    struct restore_op *ops = NULL;
    struct restore_split *splits = NULL;
    struct restore all = join(c->id, parts, storage_parts(path, parts), &ops, &splits);
    for (uint32_t t = 0; t < o->d->n_threads && !out->err; t++)
        for (uint32_t i = 0; i < o->d->threads[t].n_subtasks && !out->err; i++)
            out->err = subtask_restore(&o->d->threads[t].subtasks[i], &all, clock_wall_ms(), &out->diag);
    free(ops);
    free(splits);
}

static void persist(struct snapshot_thread *t, const struct order *o, struct snapshot_answer *out)
{
    out->type = SNAPSHOT_PERSISTED;
    out->id = o->snapshot->id;
    out->snapshot = o->snapshot;
    if (sim_chance(tasks.sim, tasks.config.disk_fails)) {
        tasks.n_disk_failures++;
        out->err = weir_fail(&out->diag, WEIR_E_IO, "the local disk is full");
        return;
    }
    struct part *p = part_of(t, o->snapshot->id);
    if (o->snapshot->subtask->slot) (void)slot_copy(o->snapshot->subtask->slot, UINT64_MAX); /* this is the thread it would wait for */
    out->err = kept_add(p->kept, o->snapshot, &out->diag);
    if (out->err) return; /* of a slot that has failed, since an earlier one was not persisted */
    add_ledger(p, o->snapshot);
    p->lied |= o->lied;
    if (!o->keep) drop_parts(&t->parts, o->snapshot->id);
}

static void take_out(struct snapshot_thread *t, struct part *p)
{
    struct part **at = &t->parts;
    while (*at != p) at = &(*at)->next;
    *at = p->next;
}

static void store(struct snapshot_thread *t, const struct order *o, struct snapshot_answer *out)
{
    struct sim_checkpoint *c = durable_find(tasks.sim, o->dir);
    struct part *p = part_of(t, o->id);
    out->type = SNAPSHOT_STORED;
    out->id = o->id;
    take_out(t, p);
    if (!c || sim_chance(tasks.sim, tasks.sim->config.storage_fails)) {
        out->err = weir_fail(&out->diag, WEIR_E_IO, c ? "the storage is away" : "the folder is not there");
        part_free(p);
        return;
    }
    (void)layout_pack(t->worker, out->written.pack);
    out->written.seal.bytes = 100;
    out->written.n_ledger = p->n_ledger;
    out->written.ledger = p->ledger;
    p->ledger = NULL;
    snprintf(p->path, sizeof p->path, "%s", o->dir);
    p->next = stored;
    stored = p;
    c->n_packs++;
    c->lied |= p->lied;
    for (uint32_t s = 0; s < SIM_SLOTS; s++) c->slots[s].told |= tasks.sim->processes[t->host->process].slots >> s & 1;
}

static bool carry_out(struct snapshot_thread *t, const struct order *o, struct snapshot_answer *out)
{
    switch (o->type) {
    case ORDER_RESTORE: restore(o, out); return true;
    case ORDER_PERSIST: persist(t, o, out); return true;
    case ORDER_STORE: store(t, o, out); return true;
    case ORDER_DROP: drop_parts(&t->parts, o->id); break;
    }
    return false;
}

static struct order *take_order(struct snapshot_thread *t)
{
    struct order *o = t->orders;
    t->orders = o->next;
    if (!t->orders) t->last_order = &t->orders;
    return o;
}

bool snapshot_thread_next(struct snapshot_thread *t, struct snapshot_answer *out)
{
    while (t->orders && t->orders->at_ms <= tasks.sim->now_ms) {
        struct order *o = take_order(t);
        *out = (struct snapshot_answer){0};
        bool answered = carry_out(t, o, out);
        free(o);
        if (answered) return true;
    }
    return false;
}

void storage_kill(struct host *host)
{
    struct snapshot_thread *t = host->storage;
    while (t && t->orders) {
        struct order *o = take_order(t);
        if (o->snapshot) task_thread_settle(host_thread_of(host, o->snapshot->subtask), o->snapshot);
        free(o);
    }
}

void snapshot_thread_stop(struct snapshot_thread **thread)
{
    struct snapshot_thread *t = *thread;
    if (!t) return;
    storage_kill(t->host);
    drop_parts(&t->parts, UINT64_MAX);
    t->host->storage = NULL;
    free(t);
    *thread = NULL;
}
