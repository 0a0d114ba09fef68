/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What outlives the JobManager: the catalog's store and the checkpoint storage. Both take their time, and fail as the world wants it: a put
 * is refused, or nobody says whether it was done; a folder cannot be made, a manifest not be written. What is done wrong with them is seen
 * here: a number used twice, a checkpoint deleted that the catalog names, one completed whose ledger did not agree.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/catalog_records.h"
#include "runtime/base/assert.h"
#include "runtime/checkpoint/manifest.h"
#include "tests/sim/world.h"

/* ---- the catalog's store ---- */

static uint32_t place_of(const struct sim *sim, const char *key, bool *found)
{
    uint32_t i = 0;
    while (i < sim->n_keys && strcmp(sim->keys[i].key, key) < 0) i++;
    *found = i < sim->n_keys && !strcmp(sim->keys[i].key, key);
    return i;
}

static const struct sim_key *find_key(const struct sim *sim, uint32_t job, enum job_key key)
{
    char name[CATALOG_KEY_MAX + 1];
    bool found;
    uint32_t at = place_of(sim, records_key(sim->jobs[job].id, key, name), &found);
    return found ? &sim->keys[at] : NULL;
}

/* An order on its way: its key, a NUL, its value. */
void durable_order(struct sim *sim, const struct catalog_order *order)
{
    size_t key_len = strlen(order->key) + 1;
    unsigned char *data = malloc(key_len + order->value.length);
    WEIR_ASSERT(data);
    memcpy(data, order->key, key_len);
    if (order->value.length) memcpy(data + key_len, order->value.data, order->value.length);
    sim_push(sim, (struct sim_event){.at_ms = sim->now_ms + sim_delay(sim, 4),
                                     .kind = SIM_EV_CATALOG,
                                     .what = order->kind,
                                     .life = (uint32_t)sim->epoch,
                                     .ref = order->number,
                                     .offset = order->expected,
                                     .data = data,
                                     .len = key_len + order->value.length});
}

static bool named(const struct sim_key *k, uint64_t id, const struct ckpt_pointer **newest, struct records_job *records)
{
    *records = (struct records_job){0};
    weir_err err = records_take(records, JOB_KEY_POINTERS, (struct weir_bytes){k->value.data, (uint32_t)k->value.len}, NULL);
    WEIR_ASSERT(!err);
    uint32_t n = records->recovery.n_pointers;
    *newest = n ? &records->pointers[n - 1] : NULL;
    for (uint32_t i = 0; i < n; i++)
        if (records->pointers[i].id == id) return true;
    return false;
}

bool durable_names(const struct sim *sim, uint32_t job, uint64_t id)
{
    const struct sim_key *k = find_key(sim, job, JOB_KEY_POINTERS);
    const struct ckpt_pointer *newest;
    struct records_job *records = malloc(sizeof *records);
    WEIR_ASSERT(records);
    *records = (struct records_job){0};
    bool is = k && named(k, id, &newest, records);
    records_close(records);
    free(records);
    return is;
}

bool durable_newest(const struct sim *sim, uint32_t job, uint64_t *id, uint32_t *options, char path[static 96])
{
    const struct sim_key *k = find_key(sim, job, JOB_KEY_POINTERS);
    const struct ckpt_pointer *newest = NULL;
    struct records_job *records = malloc(sizeof *records);
    WEIR_ASSERT(records);
    *records = (struct records_job){0};
    if (k) (void)named(k, 0, &newest, records);
    if (newest) {
        *id = newest->id;
        *options = newest->options;
        snprintf(path, 96, "%s", newest->path);
    }
    records_close(records);
    free(records);
    return newest != NULL;
}

/* A list of pointers was put: what it names is complete, so it must be whole and true. */
static void check_pointers(struct sim *sim, uint32_t job)
{
    uint64_t id;
    uint32_t options;
    char path[96];
    if (find_key(sim, job, JOB_KEY_RESULT) || !durable_newest(sim, job, &id, &options, path)) return; /* ended: nobody reads it any more */
    const struct sim_checkpoint *c = durable_find(sim, path);
    sim->n_completed++;
    for (uint32_t r = 0; r < sim->jobs[job].n_requests; r++)
        sim->jobs[job].requests[r].completed |= !strcmp(sim->jobs[job].requests[r].path, path);
    if (!c || !c->sealed) sim_violate(sim, "job %08" PRIu32 ": checkpoint %" PRIu64 " was completed without its manifest", job + 1, id);
    if (c && c->lied) sim_violate(sim, "job %08" PRIu32 ": checkpoint %" PRIu64 " was completed though records were lost", job + 1, id);
    if (c && sim->engine) sim->engine->completed(sim, c);
}

/* Numbers of checkpoints only grow, whoever leads; a pointer that was stored is replaced by newer ones only; a result stays. */
static void check_progress(struct sim *sim, uint32_t job, enum job_key key, const struct sim_key *old, struct weir_bytes value)
{
    struct records_job *records = calloc(2, sizeof *records);
    WEIR_ASSERT(records);
    weir_err err = records_take(&records[0], key, (struct weir_bytes){old->value.data, (uint32_t)old->value.len}, NULL);
    if (!err) err = records_take(&records[1], key, value, NULL);
    WEIR_ASSERT(!err);
    const struct job_recovery *was = &records[0].recovery, *is = &records[1].recovery;
    bool falls = key == JOB_KEY_RESULT || (key == JOB_KEY_COUNTER && is->counter <= was->counter) ||
                 (key == JOB_KEY_ATTEMPT && is->attempt < was->attempt);
    if (key == JOB_KEY_POINTERS && was->n_pointers)
        falls = !is->n_pointers || records[1].pointers[is->n_pointers - 1].id < records[0].pointers[was->n_pointers - 1].id;
    if (falls) sim_violate(sim, "job %08" PRIu32 ": its %s goes back", job + 1, strrchr(old->key, '/') + 1);
    records_close(&records[0]);
    records_close(&records[1]);
    free(records);
}

void durable_set(struct sim *sim, const char *name, struct weir_bytes value)
{
    bool found;
    uint32_t at = place_of(sim, name, &found);
    struct weir_id id;
    enum job_key key;
    bool known = records_key_parse(name, &id, &key);
    WEIR_ASSERT(known);
    if (found) check_progress(sim, (uint32_t)sim_find_job(sim, id), key, &sim->keys[at], value);
    if (!found) {
        WEIR_ASSERT(sim->n_keys < SIM_KEYS_MAX);
        memmove(&sim->keys[at + 1], &sim->keys[at], (sim->n_keys++ - at) * sizeof sim->keys[0]);
        sim->keys[at] = (struct sim_key){0};
        snprintf(sim->keys[at].key, sizeof sim->keys[at].key, "%s", name);
    }
    sim->keys[at].version++;
    buffer_clear(&sim->keys[at].value);
    buffer_add(&sim->keys[at].value, value.data, value.length);
    if (key == JOB_KEY_POINTERS) check_pointers(sim, (uint32_t)sim_find_job(sim, id));
}

void durable_unset(struct sim *sim, const char *name)
{
    bool found;
    uint32_t at = place_of(sim, name, &found);
    WEIR_ASSERT(found);
    buffer_close(&sim->keys[at].value);
    memmove(&sim->keys[at], &sim->keys[at + 1], (--sim->n_keys - at) * sizeof sim->keys[0]);
}

/* Does the order, if the version fits. Gives what became of it. */
static enum catalog_outcome apply(struct sim *sim, const struct sim_event *ev, struct catalog_answer *answer)
{
    const char *name = ev->data;
    size_t key_len = strlen(name) + 1;
    bool found;
    if (ev->what == CATALOG_CONFIRM) return CATALOG_COMMITTED;
    uint32_t at = place_of(sim, name, &found);
    uint64_t version = found ? sim->keys[at].version : 0;
    if (ev->what == CATALOG_GET) {
        answer->version = version;
        if (found) answer->value = (struct weir_bytes){sim->keys[at].value.data, (uint32_t)sim->keys[at].value.len};
        return CATALOG_COMMITTED;
    }
    if (version != ev->offset) return CATALOG_CONFLICT;
    if (ev->what == CATALOG_DELETE && found) durable_unset(sim, name);
    if (ev->what == CATALOG_PUT) durable_set(sim, name, (struct weir_bytes){name + key_len, (uint32_t)(ev->len - key_len)});
    answer->version = version + 1;
    return CATALOG_COMMITTED;
}

/* Nobody says what became of it: it was done, it was not, or it will be some time later. */
static void leave_in_doubt(struct sim *sim, const struct sim_event *ev, struct catalog_answer *answer)
{
    uint64_t how = sim_random(sim, 3);
    if (how == 0) (void)apply(sim, ev, answer);
    if (how == 1) {
        struct sim_event late = *ev;
        late.at_ms = sim->now_ms + (int64_t)sim_random(sim, 800);
        late.life = 0; /* nobody hears its answer */
        late.data = actors_copy(ev->data, ev->len);
        sim_push(sim, late);
    }
}

void durable_on_catalog(struct sim *sim, struct sim_event *ev)
{
    struct master_event me = {.type = MASTER_EV_CATALOG};
    bool writes = ev->what == CATALOG_PUT || ev->what == CATALOG_DELETE;
    me.catalog.number = ev->ref;
    me.catalog.reason = "the disk of the catalog is full";
    if (ev->life != (uint32_t)sim->epoch) {
        (void)apply(sim, ev, &me.catalog);
        return;
    }
    if (sim_chance(sim, sim->config.catalog_unknown)) {
        me.catalog.outcome = CATALOG_UNKNOWN;
        if (writes) leave_in_doubt(sim, ev, &me.catalog);
    } else if (writes && sim_chance(sim, sim->config.catalog_fails)) {
        me.catalog.outcome = CATALOG_REFUSED;
    } else {
        me.catalog.outcome = apply(sim, ev, &me.catalog);
    }
    actors_step_jobmanager(&sim->jms[0], &me);
}

uint32_t durable_list(const struct sim *sim, struct master_listed *out)
{
    for (uint32_t i = 0; i < sim->n_keys; i++)
        out[i] = (struct master_listed){
            sim->keys[i].key, sim->keys[i].version, {sim->keys[i].value.data, (uint32_t)sim->keys[i].value.len}, NULL};
    return sim->n_keys;
}

/* ---- the checkpoint storage ---- */

struct sim_checkpoint *durable_find(struct sim *sim, const char *path)
{
    for (uint32_t i = 0; i < SIM_CHECKPOINTS_MAX; i++)
        if (sim->checkpoints[i].exists && !strcmp(sim->checkpoints[i].path, path)) return &sim->checkpoints[i];
    return NULL;
}

/* An order on its way: the path, a NUL, the manifest. */
void durable_storage(struct sim_jobmanager *jm, const struct master_action *order)
{
    struct sim *sim = jm->world;
    size_t path_len = strlen(order->storage.path) + 1;
    unsigned char *data = malloc(path_len + order->storage.manifest.length);
    WEIR_ASSERT(data);
    memcpy(data, order->storage.path, path_len);
    if (order->storage.manifest.length) memcpy(data + path_len, order->storage.manifest.data, order->storage.manifest.length);
    int64_t at_ms = sim->now_ms + sim_delay(sim, sim->config.storage_ms ? sim->config.storage_ms : 5);
    if (at_ms < jm->storage_ms) at_ms = jm->storage_ms; /* one after the other */
    jm->storage_ms = at_ms;
    sim_push(sim, (struct sim_event){.at_ms = at_ms,
                                     .kind = SIM_EV_STORAGE,
                                     .jm = jm->index,
                                     .what = (uint32_t)sim_find_job(sim, order->storage.job),
                                     .how = order->storage.what,
                                     .tm = order->storage.options,
                                     .life = (uint32_t)jm->epoch,
                                     .ref = order->storage.id,
                                     .data = data,
                                     .len = path_len + order->storage.manifest.length});
}

/* It comes late: another JobManager leads, and may have removed what this is about. */
static bool of_a_leader_before(const struct sim *sim, const struct sim_event *ev)
{
    return ev->life && ev->life < sim->epoch;
}

static weir_err begin(struct sim *sim, const struct sim_event *ev)
{
    struct sim_job *job = &sim->jobs[ev->what];
    uint32_t i = 0;
    if (of_a_leader_before(sim, ev) && ev->ref < job->last_begun) return WEIR_E_STATE;
    if (ev->ref <= job->last_begun) sim_violate(sim, "job %08" PRIu32 ": checkpoint %" PRIu64 " was begun twice", ev->what + 1, ev->ref);
    job->last_begun = ev->ref;
    for (uint32_t r = 0; r < job->n_requests; r++)
        if (!strcmp(job->requests[r].path, ev->data) && ++job->requests[r].begun > 1)
            sim_violate(sim, "job %08" PRIu32 ": a request is carried out twice", ev->what + 1);
    if (durable_find(sim, ev->data)) return WEIR_E_EXISTS;
    while (i < SIM_CHECKPOINTS_MAX && sim->checkpoints[i].exists) i++;
    WEIR_ASSERT(i < SIM_CHECKPOINTS_MAX);
    struct sim_checkpoint *c = &sim->checkpoints[i];
    memset(c, 0, sizeof *c);
    c->exists = true;
    c->job = ev->what;
    c->id = ev->ref;
    c->options = ev->tm;
    snprintf(c->path, sizeof c->path, "%s", (const char *)ev->data);
    return WEIR_OK;
}

static weir_err seal(struct sim *sim, const struct sim_event *ev)
{
    struct sim_checkpoint *c = durable_find(sim, ev->data);
    struct manifest m;
    size_t path_len = strlen(ev->data) + 1;
    weir_err err = manifest_decode(&m, (const char *)ev->data + path_len, ev->len - path_len, NULL);
    WEIR_ASSERT(!err);
    bool whole = c && c->n_packs == m.n_packs && m.checkpoint_id == ev->ref;
    for (uint32_t s = 0; whole && s < sim->jobs[ev->what].spec.parallelism; s++) whole = c->slots[s].told;
    manifest_close(&m);
    if (!whole && of_a_leader_before(sim, ev)) return WEIR_E_NOT_FOUND;
    if (!whole)
        sim_violate(sim, "job %08" PRIu32 ": the manifest of checkpoint %" PRIu64 " names what is not there", ev->what + 1, ev->ref);
    if (c) c->sealed = true;
    return WEIR_OK;
}

static void discard(struct sim *sim, const struct sim_event *ev)
{
    struct sim_checkpoint *c = durable_find(sim, ev->data);
    bool ended = find_key(sim, ev->what, JOB_KEY_RESULT) != NULL;
    if (ev->ref == 0 && c && c->sealed) return; /* of a request that is lost: only what it has left unfinished */
    if (!ended && durable_names(sim, ev->what, c ? c->id : ev->ref))
        sim_violate(sim, "job %08" PRIu32 ": checkpoint %" PRIu64 " was deleted, and the catalog names it", ev->what + 1, ev->ref);
    if (c) c->exists = false;
}

static void end(struct sim *sim, uint32_t job)
{
    for (uint32_t i = 0; i < SIM_CHECKPOINTS_MAX; i++) {
        struct sim_checkpoint *c = &sim->checkpoints[i];
        if (c->exists && c->job == job && !(c->options & CHECKPOINT_SAVEPOINT) && !durable_names(sim, job, c->id)) c->exists = false;
    }
}

void durable_on_storage(struct sim *sim, struct sim_event *ev)
{
    struct master_event me = {.type = MASTER_EV_STORAGE};
    me.storage.what = (enum master_storage)ev->how;
    me.storage.job = sim->jobs[ev->what].id;
    me.storage.id = ev->ref;
    me.storage.reason = "the storage is away";
    bool fails = sim_chance(sim, sim->config.storage_fails);
    if (fails) me.storage.err = WEIR_E_IO;
    switch (me.storage.what) {
    case MASTER_STORAGE_OPEN:
    case MASTER_STORAGE_KEEP: return;
    case MASTER_STORAGE_BEGIN:
        if (!fails) me.storage.err = begin(sim, ev);
        break;
    case MASTER_STORAGE_SEAL:
        if (!fails) me.storage.err = seal(sim, ev);
        break;
    case MASTER_STORAGE_DISCARD: discard(sim, ev); return;
    case MASTER_STORAGE_END:
        me.storage.err = WEIR_OK;
        end(sim, ev->what);
        break;
    }
    struct sim_jobmanager *jm = &sim->jms[ev->jm];
    if (jm->core && ev->life == (uint32_t)jm->epoch) actors_step_jobmanager(jm, &me);
}

/* What was given to store and storage and not done yet: some of it is, some is not. What is too late is done after all. */
void durable_crash(struct sim_jobmanager *jm)
{
    struct sim *sim = jm->world;
    for (uint32_t i = 0; i < sim->n_events; i++) {
        struct sim_event *ev = &sim->events[i];
        if ((ev->kind != SIM_EV_CATALOG && ev->kind != SIM_EV_STORAGE) || ev->how == UINT32_MAX || ev->jm != jm->index) continue;
        struct catalog_answer ignored = {0};
        bool done = sim_random(sim, 2);
        if (done && ev->kind == SIM_EV_CATALOG) (void)apply(sim, ev, &ignored);
        if (done && ev->kind == SIM_EV_STORAGE) {
            ev->life = 0;
            durable_on_storage(sim, ev);
        }
        ev->how = UINT32_MAX; /* whether it was done or not, it does not come any more */
    }
}
