/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/state/system.h"

#include <dirent.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/plan/plan.h"
#include "runtime/state/rocks.h"
#include "runtime/state/run.h"

#define CACHE_BYTES (1u << 20)
#define HESITATION_US 1000u

struct handle {
    struct weir_state *state;
    struct weir_panes *panes;
    struct weir_broadcast *broadcast;
    struct weir_operator_list *list;
};

struct instance {
    uint32_t first_group, last_group;
    struct state_slot *slot;
    struct keyed *keyed;
    struct keyed_snapshot *snapshot;
    struct handle handles[STATES_MAX];
};

/* The lists of one snapshot of all instances. */
struct cut {
    uint32_t n;
    struct cut_part {
        uint32_t first_group, last_group;
        struct keyed_files files;
    } parts[INSTANCES_MAX];
};

struct system {
    struct config config;
    char root[256];
    uint32_t serial; /* of folders */
    weir_time now_ms;
    uint64_t epoch;
    char folder[SYSTEM_PATH_MAX]; /* of all snapshots: lists go on naming what they were restored from */
    struct keyed_files seen;      /* every file that a list has named */
    struct instance instances[INSTANCES_MAX];
    bool is_frozen, in_thread;
    struct persisting {
        struct system *system;
        uint32_t instance;
        pthread_t thread;
        weir_err err;
        struct weir_diag diag;
    } persisting[INSTANCES_MAX];
    struct cut coming, kept; /* the one being written, the one to restore */
    struct cut before;       /* the list before: its files are still there */
};

static struct rocks_shared *shared[2]; /* [1]: of a RocksDB that changes files */

/* ---- folders ------------------------------------------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static char left_over[256]; /* root of a system that was not closed */

static void remove_folder(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void system_sweep(void)
{
    if (left_over[0]) remove_folder(left_over);
    left_over[0] = 0;
}

void system_end(void)
{
    system_sweep();
    for (int i = 0; i < 2; i++) rocks_shared_destroy(&shared[i]);
}

static void join_path(char out[SYSTEM_PATH_MAX], const char *folder, const char *name)
{
    MUST((size_t)snprintf(out, SYSTEM_PATH_MAX, "%s/%s", folder, name) < SYSTEM_PATH_MAX);
}

static void new_path(struct system *s, const char *stem, char out[SYSTEM_PATH_MAX])
{
    MUST((size_t)snprintf(out, SYSTEM_PATH_MAX, "%s/%s-%" PRIu32, s->root, stem, s->serial++) < SYSTEM_PATH_MAX);
}

void system_folder(void *subject, const char *stem, char out[SYSTEM_PATH_MAX])
{
    new_path(subject, stem, out);
    MUST(mkdir(out, 0700) == 0);
}

/* ---- lists of files -------------------------------------------------------------------------------------------------------------------
 */

static const struct keyed_file *find_file(const struct keyed_files *files, const char *name)
{
    for (uint32_t i = 0; i < files->n; i++)
        if (!strcmp(files->items[i].name, name)) return &files->items[i];
    return NULL;
}

static void add_file(struct keyed_files *files, const struct keyed_file *file)
{
    if (files->n == files->cap) {
        files->cap = files->cap * 2 + 8;
        files->items = realloc(files->items, files->cap * sizeof *files->items);
        MUST(files->items != NULL);
    }
    files->items[files->n++] = *file;
}

static void close_files(struct keyed_files *files)
{
    free(files->items);
    *files = (struct keyed_files){0};
}

static void cut_close(struct cut *cut)
{
    for (uint32_t i = 0; i < cut->n; i++) close_files(&cut->parts[i].files);
    *cut = (struct cut){0};
}

/* The file is on disk as the list says. */
static void check_bytes(const char *folder, const struct keyed_file *file)
{
    char path[SYSTEM_PATH_MAX];
    uint32_t crc;
    uint64_t bytes;
    struct weir_diag diag = {0};
    join_path(path, folder, file->name);
    if (run_file_checksum(path, &crc, &bytes, &diag)) BROKEN("a list names %s: %s", file->name, diag.text);
    if (bytes != file->bytes) BROKEN("%s has %" PRIu64 " bytes, the list says %" PRIu64, file->name, bytes, file->bytes);
    if (crc != file->crc32c) BROKEN("%s has checksum %08x, the list says %08x", file->name, (unsigned)crc, (unsigned)file->crc32c);
}

static void check_cut(const struct system *s, const struct cut *cut)
{
    for (uint32_t i = 0; i < cut->n; i++)
        for (uint32_t k = 0; k < cut->parts[i].files.n; k++) check_bytes(s->folder, &cut->parts[i].files.items[k]);
}

static void check_kept_file(const struct keyed_file *file, const struct keyed_file *was)
{
    if (file->is_new) BROKEN("%s is called new again", file->name);
    if (file->epoch != was->epoch) BROKEN("%s came with %" PRIu64 ", now it is of %" PRIu64, file->name, was->epoch, file->epoch);
    if (file->crc32c != was->crc32c || file->bytes != was->bytes || file->entries != was->entries) BROKEN("%s has changed", file->name);
    if (file->first_group < was->first_group || file->last_group > was->last_group) BROKEN("%s holds more groups than before", file->name);
    if (strcmp(file->state, was->state) || file->kind != was->kind) BROKEN("%s changed its state", file->name);
}

static void check_new_file(const struct system *s, const struct keyed_file *file)
{
    if (!file->is_new) BROKEN("%s is not called new", file->name);
    if (file->epoch != s->epoch) BROKEN("%s came with %" PRIu64 " and says %" PRIu64, file->name, s->epoch, file->epoch);
    if (file->kind < KEYED_VALUE || file->kind > KEYED_OPERATOR_LIST) BROKEN("%s is of kind %u", file->name, (unsigned)file->kind);
}

static void check_list(struct system *s, const struct keyed_files *files)
{
    for (uint32_t i = 0; i < files->n; i++) {
        const struct keyed_file *file = &files->items[i], *was = find_file(&s->seen, file->name);
        if (find_file(files, file->name) != file) BROKEN("%s is named twice", file->name);
        check_bytes(s->folder, file);
        if (was) {
            check_kept_file(file, was);
            continue;
        }
        check_new_file(s, file);
        add_file(&s->seen, file);
    }
}

static bool names(const struct cut *cut, const char *name)
{
    for (uint32_t i = 0; i < cut->n; i++)
        if (find_file(&cut->parts[i].files, name)) return true;
    return false;
}

/* Deletes what neither of the last two snapshots names. What no list has ever named must not be there. */
static void retain(const struct system *s)
{
    char path[SYSTEM_PATH_MAX];
    DIR *folder = opendir(s->folder);
    MUST(folder != NULL);
    for (struct dirent *e; (e = readdir(folder));) {
        if (e->d_name[0] == '.') continue;
        if (!find_file(&s->seen, e->d_name)) BROKEN("%s lies in the snapshots' folder and no list names it", e->d_name);
        if (names(&s->kept, e->d_name) || names(&s->before, e->d_name)) continue;
        join_path(path, s->folder, e->d_name);
        MUST(unlink(path) == 0);
    }
    closedir(folder);
}

/* ---- instances ------------------------------------------------------------------------------------------------------------------------
 */

static void check_slot(struct instance *i)
{
    struct weir_diag diag = {0};
    weir_err err = slot_error(i->slot, &diag);
    if (!err) return;
    struct slot_stats st;
    slot_stats(i->slot, &st);
    BROKEN("the slot failed: %s: %s (%" PRIu64 " bytes, %" PRIu64 " free, %" PRIu64 " reserved, %" PRIu64 " entries, %" PRIu64 " clean)",
           weir_err_name(err), diag.text, st.bytes, st.free_bytes, st.reserved_bytes, st.entries, st.clean);
}

static void add_to_acc(void *const *accs, const struct weir_batch *batch, const uint32_t *idx, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t row;
        memcpy(&row, weir_record_row(weir_batch_record(batch, idx ? idx[i] : i)), sizeof row);
        fold_row(accs[i], row);
    }
}

static const struct weir_aggregate aggregate = {
    .struct_size = sizeof(struct weir_aggregate), .name = "fold rows", .acc_size = ACC_BYTES, .add = add_to_acc};

static uint32_t reduced_size; /* a reduction is not told the size: all reducing states of a world have the same */

static void reduce(void *acc, const void *value)
{
    fold(acc, value, reduced_size);
}

static void open_state(struct instance *i, const struct state_config *c, struct handle *h)
{
    struct weir_state_desc desc = {
        .struct_size = sizeof desc, .name = c->name, .value_size = c->value_size, .ttl_ms = c->ttl_ms, .flags = c->flags};
    struct weir_diag diag = {0};
    weir_err err;
    if (c->kind == KEYED_AGGREGATING) desc.value_size = ACC_BYTES;
    switch (c->kind) {
    case KEYED_PANES: err = keyed_panes_open(i->keyed, &desc, &h->panes, &diag); break;
    case KEYED_BROADCAST: err = keyed_broadcast_open(i->keyed, &desc, &h->broadcast, &diag); break;
    case KEYED_OPERATOR_LIST: err = keyed_operator_list_open(i->keyed, &desc, c->how, &h->list, &diag); break;
    case KEYED_TIMERS: return; /* always there */
    default: err = keyed_open(i->keyed, c->kind, &desc, &h->state, &diag); break;
    }
    if (err) BROKEN("opening %s: %s: %s", c->name, weir_err_name(err), diag.text);
    if (c->kind == KEYED_REDUCING) {
        reduced_size = c->value_size;
        keyed_reducing_set(h->state, reduce);
    }
    if (c->kind == KEYED_AGGREGATING) keyed_aggregating_set(h->state, &aggregate);
}

static weir_err new_keyed(struct system *s, struct instance *i)
{
    char scratch[SYSTEM_PATH_MAX];
    struct weir_diag diag = {0};
    new_path(s, "slot", scratch);
    struct state_slot_config config = {.dir = s->config.on_disk ? scratch : NULL,
                                       .budget = s->config.budget,
                                       .shared = shared[s->config.numbered],
                                       .snapshots = s->config.snapshots};
    if (state_slot_new(&i->slot, &config, &diag)) BROKEN("a slot: %s", diag.text);
    weir_err err = keyed_new(&i->keyed, i->slot, "operator", (uint16_t)i->first_group, (uint16_t)i->last_group);
    return err ? err : keyed_safe_point(i->keyed, s->now_ms); /* the clock is known before anything is restored */
}

static void destroy_instance(struct instance *i)
{
    keyed_destroy(&i->keyed);
    state_slot_destroy(&i->slot);
    *i = (struct instance){0};
}

static void restore_instance(struct system *s, uint32_t index, const struct cut *from, const struct keyed_restore_from *whole);

static void open_instances(struct system *s, const struct cut *from, const struct keyed_restore_from *whole)
{
    for (uint32_t index = 0; index < s->config.n_instances; index++) {
        struct instance *i = &s->instances[index];
        plan_key_groups(index, s->config.n_instances, &i->first_group, &i->last_group);
        if (new_keyed(s, i)) BROKEN("no instance");
        if (from) restore_instance(s, index, from, whole);
        for (uint32_t k = 0; k < s->config.n_states; k++) open_state(i, &s->config.states[k], &i->handles[k]);
        check_slot(i);
    }
}

static void *system_open(const struct config *config)
{
    struct system *s = calloc(1, sizeof *s);
    struct weir_diag diag = {0};
    MUST(s != NULL);
    system_sweep(); /* after a failed test, whose slots are still there */
    for (int i = 0; i < 2; i++)
        if (!shared[i] && rocks_shared_new(&shared[i], CACHE_BYTES, 2, &diag)) BROKEN("%s", diag.text);
    rocks_shared_number_files(shared[1]);
    s->config = *config;
    s->now_ms = config->now_ms;
    const char *base = getenv("TMPDIR");
    MUST((size_t)snprintf(s->root, sizeof s->root, "%s/weir-conformance-XXXXXX", base && *base ? base : "/tmp") < sizeof s->root);
    MUST(mkdtemp(s->root) != NULL);
    strcpy(left_over, s->root);
    system_folder(s, "snapshots", s->folder);
    open_instances(s, NULL, NULL);
    return s;
}

/* ---- snapshots ------------------------------------------------------------------------------------------------------------------------
 */

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Every other thread lets the operator go first, which then meets a snapshot that is frozen and nothing more. */
static void hesitate(const struct system *s)
{
    uint64_t until = now_us() + HESITATION_US;
    while (s->in_thread && s->epoch % 2 && now_us() < until) (void)sched_yield();
}

static void *persist(void *arg)
{
    struct persisting *p = arg;
    struct system *s = p->system;
    hesitate(s);
    p->err = keyed_persist(s->instances[p->instance].snapshot, s->folder, &s->coming.parts[p->instance].files, &p->diag);
    return NULL;
}

static void copy_all(struct system *s)
{
    for (uint32_t i = 0; i < s->config.n_instances; i++) (void)slot_copy(s->instances[i].slot, UINT64_MAX);
}

/* One thread each: an instance may wait for its own, while another has not copied all. */
static void persist_all(struct system *s)
{
    if (!s->in_thread) copy_all(s);
    for (uint32_t i = 0; i < s->config.n_instances; i++) {
        struct persisting *p = &s->persisting[i];
        *p = (struct persisting){.system = s, .instance = i};
        if (!s->in_thread)
            (void)persist(p);
        else
            MUST(pthread_create(&p->thread, NULL, persist, p) == 0);
    }
}

/* Whoever persists begins at once: the operator may have to wait for it. */
static void system_freeze(void *subject, bool in_thread)
{
    struct system *s = subject;
    struct weir_diag diag = {0};
    MUST(!s->is_frozen);
    s->epoch++;
    s->coming.n = s->config.n_instances;
    for (uint32_t index = 0; index < s->coming.n; index++) {
        struct instance *i = &s->instances[index];
        struct cut_part *part = &s->coming.parts[index];
        if (keyed_freeze(i->keyed, s->epoch, &i->snapshot, &diag)) BROKEN("freeze: %s", diag.text);
        part->first_group = i->first_group;
        part->last_group = i->last_group;
    }
    s->is_frozen = true;
    s->in_thread = in_thread;
    persist_all(s);
}

static void end_persisting(struct system *s)
{
    copy_all(s);
    for (uint32_t i = 0; i < s->config.n_instances; i++) {
        struct persisting *p = &s->persisting[i];
        if (s->in_thread) MUST(pthread_join(p->thread, NULL) == 0);
        keyed_snapshot_destroy(&s->instances[i].snapshot);
        if (p->err) BROKEN("persist: %s: %s", weir_err_name(p->err), p->diag.text);
    }
    s->is_frozen = s->in_thread = false;
}

/* A list that is not kept (a checkpoint that was given up) counts as one all the same: later lists may name its files. */
static void system_join(void *subject, bool keep)
{
    struct system *s = subject;
    MUST(s->is_frozen);
    end_persisting(s);
    for (uint32_t i = 0; i < s->coming.n; i++) {
        const struct cut_part *part = &s->coming.parts[i];
        MUST(part->files.first_group == part->first_group && part->files.last_group == part->last_group);
        check_list(s, &part->files);
    }
    if (keep) {
        cut_close(&s->before);
        s->before = s->kept;
        s->kept = s->coming;
        s->coming = (struct cut){0};
        retain(s);
    }
    cut_close(&s->coming);
}

/* A folder with links to exactly the files of a part. */
static void link_part(struct system *s, const struct cut_part *part, char out[SYSTEM_PATH_MAX])
{
    char from[SYSTEM_PATH_MAX], to[SYSTEM_PATH_MAX];
    system_folder(s, "restore", out);
    for (uint32_t i = 0; i < part->files.n; i++) {
        join_path(from, s->folder, part->files.items[i].name);
        join_path(to, out, part->files.items[i].name);
        MUST(link(from, to) == 0);
    }
}

/* An instance whose groups do not overlap: what has no key is dealt out all the same. */
static void only_unkeyed(struct keyed_files *to, const struct keyed_files *from)
{
    to->first_group = from->first_group;
    to->last_group = from->last_group;
    for (uint32_t i = 0; i < from->n; i++)
        if (from->items[i].kind >= KEYED_BROADCAST) add_file(to, &from->items[i]);
}

static void restore_instance(struct system *s, uint32_t index, const struct cut *from, const struct keyed_restore_from *whole)
{
    struct instance *i = &s->instances[index];
    struct keyed_restore_from parts[INSTANCES_MAX];
    struct keyed_files lists[INSTANCES_MAX] = {0};
    struct weir_diag diag = {0};
    for (uint32_t k = 0; k < from->n; k++) {
        const struct cut_part *part = &from->parts[k];
        parts[k] = whole[k];
        if (part->last_group >= i->first_group && part->first_group <= i->last_group) continue;
        if (index % 2) continue; /* odd ones get all lists whole: other keys are to be left out */
        only_unkeyed(&lists[k], whole[k].files);
        parts[k].files = &lists[k];
    }
    weir_err err = keyed_restore(i->keyed, parts, from->n, index, s->config.n_instances, &diag);
    if (err) BROKEN("restore: %s: %s", weir_err_name(err), diag.text);
    for (uint32_t k = 0; k < from->n; k++) close_files(&lists[k]);
}

static void system_restore(void *subject, const struct config *config)
{
    struct system *s = subject;
    struct keyed_restore_from whole[INSTANCES_MAX];
    char folders[INSTANCES_MAX][SYSTEM_PATH_MAX];
    MUST(!s->is_frozen && s->kept.n);
    for (uint32_t i = 0; i < s->config.n_instances; i++) destroy_instance(&s->instances[i]);
    s->config = *config;
    for (uint32_t k = 0; k < s->kept.n; k++) {
        link_part(s, &s->kept.parts[k], folders[k]);
        whole[k] = (struct keyed_restore_from){.dir = folders[k], .files = &s->kept.parts[k].files};
    }
    open_instances(s, &s->kept, whole);
    check_cut(s, &s->kept);                                             /* as they were */
    for (uint32_t k = 0; k < s->kept.n; k++) remove_folder(folders[k]); /* nobody needs them after the restore */
}

static void system_close(void *subject)
{
    struct system *s = subject;
    if (s->is_frozen) end_persisting(s);
    for (uint32_t i = 0; i < s->config.n_instances; i++) destroy_instance(&s->instances[i]);
    check_cut(s, &s->kept); /* whoever was restored from these files has not touched them */
    cut_close(&s->coming);
    cut_close(&s->kept);
    cut_close(&s->before);
    close_files(&s->seen);
    system_sweep();
    free(s);
}

/* ---- what only tests of files ask for
 * ---------------------------------------------------------------------------------------------------- */

struct keyed_restore_from system_snapshot(const void *subject, uint32_t instance)
{
    const struct system *s = subject;
    return (struct keyed_restore_from){.dir = s->folder, .files = &s->kept.parts[instance].files};
}

weir_err system_try_restore(void *subject, const struct keyed_restore_from *from, enum keyed_kind kind, const struct weir_state_desc *desc,
                            struct weir_diag *diag)
{
    struct system *s = subject;
    struct weir_state *state;
    struct instance i = {.last_group = WEIR_KEY_GROUPS - 1};
    MUST(new_keyed(s, &i) == WEIR_OK);
    weir_err err = keyed_restore(i.keyed, from, 1, 0, 1, diag);
    if (!err && kind) err = keyed_open(i.keyed, kind, desc, &state, diag);
    destroy_instance(&i);
    return err;
}

struct state_slot *system_slot(const void *subject, uint32_t instance)
{
    return ((const struct system *)subject)->instances[instance].slot;
}

struct slot_stats system_stats(const void *subject, uint32_t instance)
{
    struct slot_stats stats;
    slot_stats(((const struct system *)subject)->instances[instance].slot, &stats);
    return stats;
}

uint64_t system_new_entries(const void *subject)
{
    const struct cut *cut = &((const struct system *)subject)->kept;
    uint64_t n = 0;
    for (uint32_t i = 0; i < cut->n; i++)
        for (uint32_t k = 0; k < cut->parts[i].files.n; k++)
            if (cut->parts[i].files.items[k].is_new) n += cut->parts[i].files.items[k].entries;
    return n;
}

/* ---- operations: where a key lives
 * -------------------------------------------------------------------------------------------------------- */

static uint32_t owner_of(const struct system *s, const struct weir_key *key)
{
    return plan_key_owner(hash_key_group(key->hash), s->config.n_instances);
}

static struct weir_state *state_of(struct system *s, const struct op *op)
{
    return s->instances[owner_of(s, op->key)].handles[op->state].state;
}

static uint32_t size_of(const struct system *s, const struct op *op)
{
    const struct state_config *c = &s->config.states[op->state];
    return c->kind == KEYED_AGGREGATING ? ACC_BYTES : c->value_size;
}

static uint32_t record_of(const struct op *op, uint32_t i)
{
    return op->idx ? op->idx[i] : i;
}

/* The records of a batch whose keys are an instance's, and which places of the operation they have. */
struct share {
    uint32_t records[WEIR_BATCH_MAX], places[WEIR_BATCH_MAX];
    uint32_t n;
};

static void share_out(const struct system *s, const struct op *op, uint32_t instance, struct share *share)
{
    share->n = 0;
    for (uint32_t i = 0; i < op->n; i++) {
        uint32_t record = record_of(op, i);
        if (owner_of(s, &op->key[record]) != instance) continue;
        share->records[share->n] = record;
        share->places[share->n++] = i;
    }
}

typedef weir_err (*probe_fn)(struct system *s, const struct op *op, uint32_t instance, const uint32_t *idx, uint32_t n, void **values);

/* Probes each instance for its share and brings the addresses into the order of the operation. */
static void probe_all(struct system *s, const struct op *op, probe_fn probe, void **values)
{
    static struct share share;
    void *found[WEIR_BATCH_MAX];
    if (s->config.n_instances == 1) { /* as it comes, with idx or without */
        MUST(probe(s, op, 0, op->idx, op->n, values) == WEIR_OK);
        return;
    }
    for (uint32_t instance = 0; instance < s->config.n_instances; instance++) {
        share_out(s, op, instance, &share);
        if (!share.n) continue;
        MUST(probe(s, op, instance, share.records, share.n, found) == WEIR_OK);
        for (uint32_t i = 0; i < share.n; i++) values[share.places[i]] = found[i];
    }
}

static void say_and_nudge(const struct system *s, const struct op *op, void **values, struct answer *out)
{
    for (uint32_t i = 0; i < op->n; i++) {
        say_raw(out, values[i], size_of(s, op));
        nudge(values[i], size_of(s, op), i);
    }
}

/* ---- operations: all instances
 * ------------------------------------------------------------------------------------------------------------ */

static void check_memory(const struct system *s, const struct instance *i, uint64_t pinned)
{
    struct slot_stats st;
    slot_stats(i->slot, &st);
    if (!s->config.on_disk || pinned == UINT64_MAX) return;
    uint64_t holds = st.bytes - st.free_bytes + st.reserved_bytes;
    /* What is pinned counts twice while it is dirty: once as it lies there, once for the copy that a freeze makes of it. */
    if (holds <= st.budget + SLOT_SLACK + WEIR_STATES_MAX * (uint64_t)SLOT_SLACK_STORE + 2 * pinned) return;
    BROKEN("after a safe point: %" PRIu64 " bytes - %" PRIu64 " free + %" PRIu64 " reserved > budget %" PRIu64 " + slack + %" PRIu64
           " pinned",
           st.bytes, st.free_bytes, st.reserved_bytes, st.budget, pinned);
}

static void safe_point(struct system *s, const struct op *op, struct answer *out)
{
    (void)out;
    s->now_ms = op->time_ms;
    for (uint32_t i = 0; i < s->config.n_instances; i++) {
        weir_err err = keyed_safe_point(s->instances[i].keyed, op->time_ms);
        check_slot(&s->instances[i]);
        if (err) BROKEN("safe point: %s, and the slot has no error", weir_err_name(err));
        if (s->config.copied) (void)slot_copy(s->instances[i].slot, s->config.copied);
        check_memory(s, &s->instances[i], op->pinned);
    }
}

static void set_namespace(struct system *s, const struct op *op, struct answer *out)
{
    (void)out;
    for (uint32_t i = 0; i < s->config.n_instances; i++) MUST(keyed_set_namespace(s->instances[i].keyed, op->user_key) == WEIR_OK);
}

static void prefetch(struct system *s, const struct op *op, struct answer *out)
{
    (void)out;
    for (uint32_t i = 0; i < s->config.n_instances; i++) keyed_prefetch(s->instances[i].keyed, op->key, op->n);
}

/* ---- operations: values
 * -------------------------------------------------------------------------------------------------------------------- */

static struct weir_bytes fixed(const struct system *s, const struct op *op, const void *value)
{
    return (struct weir_bytes){value, value ? size_of(s, op) : 0};
}

static void value_edit(struct system *s, const struct op *op, struct answer *out)
{
    void *value = keyed_value(state_of(s, op), op->key);
    MUST(value != NULL);
    say_raw(out, value, size_of(s, op));
    memcpy(value, op->bytes.data, op->bytes.length);
}

static void value_find(struct system *s, const struct op *op, struct answer *out)
{
    void *value = keyed_value_find(state_of(s, op), op->key);
    say_bytes(out, fixed(s, op, value));
    if (op->verb == VALUE_FIND_EDIT && value) memcpy(value, op->bytes.data, op->bytes.length);
}

static void value_read(struct system *s, const struct op *op, struct answer *out)
{
    say_bytes(out, keyed_value_read(state_of(s, op), op->key));
}

static void value_write(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_value_write(state_of(s, op), op->key, op->bytes.data, op->bytes.length));
}

static void value_clear(struct system *s, const struct op *op, struct answer *out)
{
    (void)out;
    keyed_value_clear(state_of(s, op), op->key);
}

static weir_err probe_values(struct system *s, const struct op *op, uint32_t instance, const uint32_t *idx, uint32_t n, void **values)
{
    return keyed_value_probe(s->instances[instance].handles[op->state].state, op->key, idx, n, values);
}

static void value_probe(struct system *s, const struct op *op, struct answer *out)
{
    void *values[WEIR_BATCH_MAX];
    probe_all(s, op, probe_values, values);
    say_and_nudge(s, op, values, out);
}

static void reducing_add(struct system *s, const struct op *op, struct answer *out)
{
    void *acc = keyed_reducing_add(state_of(s, op), op->key, op->bytes.data);
    MUST(acc != NULL);
    say_raw(out, acc, size_of(s, op));
}

struct row {
    struct weir_record record;
    uint64_t number;
};

static weir_err add_rows(struct system *s, const struct op *op, uint32_t instance, const uint32_t *idx, uint32_t n, void **accs)
{
    static struct row rows[WEIR_BATCH_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < op->n; i++)
        if (record_of(op, i) >= count) count = record_of(op, i) + 1;
    for (uint32_t i = 0; i < count; i++) rows[i] = (struct row){.record.size = sizeof(uint64_t), .number = row_of(op, i)};
    struct weir_batch batch = {.data = (unsigned char *)rows, .count = count, .stride = sizeof(struct row)};
    return keyed_aggregating_add(s->instances[instance].handles[op->state].state, op->key, &batch, idx, n, accs);
}

static void aggregating_add(struct system *s, const struct op *op, struct answer *out)
{
    void *accs[WEIR_BATCH_MAX];
    probe_all(s, op, add_rows, accs);
    for (uint32_t i = 0; i < op->n; i++) say_raw(out, accs[i], ACC_BYTES);
}

/* ---- operations: lists
 * --------------------------------------------------------------------------------------------------------------------- */

static void list_add(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_list_add(state_of(s, op), op->key, op->bytes.data, op->bytes.length));
}

static void list_scan(struct system *s, const struct op *op, struct answer *out)
{
    struct weir_bytes element;
    uint64_t cursor = 0, n = 0;
    say_u64(out, 0);
    while ((!op->limit || n < op->limit) && keyed_list_next(state_of(s, op), op->key, &cursor, &element)) {
        say_bytes(out, element);
        if (n++ || op->verb != LIST_SCAN_ADDING) continue;
        MUST(keyed_list_add(state_of(s, op), op->key, op->bytes.data, op->bytes.length) == WEIR_OK);
    }
    memcpy(out->data, &n, sizeof n);
}

static void list_empty(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_list_is_empty(state_of(s, op), op->key));
}

static void list_clear(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_list_clear(state_of(s, op), op->key));
}

/* ---- entries of scans without order, to be put in order
 * ------------------------------------------------------------------------------------- */

struct pair {
    size_t at; /* in the room: key, value */
    uint32_t key_length, length;
};

static struct {
    struct answer room;
    struct pair *items;
    uint32_t n, cap;
} pairs;

static void note_pair(struct weir_bytes key, struct weir_bytes value)
{
    if (pairs.n == pairs.cap) {
        pairs.cap = pairs.cap * 2 + 64;
        pairs.items = realloc(pairs.items, pairs.cap * sizeof *pairs.items);
        MUST(pairs.items != NULL);
    }
    pairs.items[pairs.n++] = (struct pair){pairs.room.n, key.length, value.length};
    say_raw(&pairs.room, key.data, key.length);
    say_raw(&pairs.room, value.data, value.length);
}

static int by_key(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    uint32_t least = a->key_length < b->key_length ? a->key_length : b->key_length;
    int order = least ? memcmp(pairs.room.data + a->at, pairs.room.data + b->at, least) : 0;
    return order ? order : (a->key_length > b->key_length) - (a->key_length < b->key_length);
}

static struct weir_bytes in_room(size_t at, uint32_t length)
{
    return (struct weir_bytes){length ? pairs.room.data + at : (const unsigned char *)"", length};
}

static void say_pairs(struct answer *out)
{
    if (pairs.n) qsort(pairs.items, pairs.n, sizeof *pairs.items, by_key);
    for (uint32_t i = 0; i < pairs.n; i++) {
        const struct pair *p = &pairs.items[i];
        if (i && !by_key(p - 1, p)) BROKEN("a scan gave a key twice");
        say_bytes(out, in_room(p->at, p->key_length));
        say_bytes(out, in_room(p->at + p->key_length, p->length));
    }
    pairs.n = 0;
    pairs.room.n = 0;
}

/* ---- operations: maps and ordered states
 * ---------------------------------------------------------------------------------------------------- */

static void map_get(struct system *s, const struct op *op, struct answer *out)
{
    say_bytes(out, keyed_map_get(state_of(s, op), op->key, op->user_key));
}

static void map_put(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_map_put(state_of(s, op), op->key, op->user_key, op->bytes.data, op->bytes.length));
}

static void map_value(struct system *s, const struct op *op, struct answer *out)
{
    void *value = keyed_map_value(state_of(s, op), op->key, op->user_key);
    MUST(value != NULL);
    say_raw(out, value, size_of(s, op));
    memcpy(value, op->bytes.data, op->bytes.length);
}

static void map_remove(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_map_remove(state_of(s, op), op->key, op->user_key));
}

static void map_scan(struct system *s, const struct op *op, struct answer *out)
{
    struct weir_bytes user_key, value;
    uint64_t cursor = 0;
    for (uint32_t n = 0; !op->limit || n < op->limit; n++) {
        if (!keyed_map_next(state_of(s, op), op->key, &cursor, &user_key, &value)) break;
        MUST(value.data != NULL);
        if (!op->limit) note_pair(user_key, value);
        if (op->verb != MAP_SCAN_REMOVING || !picked(op->salt, user_key.data, user_key.length)) continue;
        MUST(keyed_map_remove(state_of(s, op), op->key, user_key) == WEIR_OK);
    }
    say_pairs(out);
}

static void map_empty(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_map_is_empty(state_of(s, op), op->key));
}

static void map_clear(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_map_clear(state_of(s, op), op->key));
}

static void ordered_put(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_ordered_put(state_of(s, op), op->key, op->time_ms, op->seq, op->bytes.data, op->bytes.length));
}

static void ordered_get(struct system *s, const struct op *op, struct answer *out)
{
    say_bytes(out, keyed_ordered_get(state_of(s, op), op->key, op->time_ms, op->seq));
}

static void ordered_remove(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_ordered_remove(state_of(s, op), op->key, op->time_ms, op->seq));
}

static void ordered_remove_before(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_ordered_remove_before(state_of(s, op), op->key, op->until_ms));
}

static void ordered_range(struct system *s, const struct op *op, struct answer *out)
{
    struct weir_ordered_entry e;
    uint64_t cursor = 0;
    for (uint32_t n = 0; !op->limit || n < op->limit; n++) {
        if (!keyed_ordered_next(state_of(s, op), op->key, op->time_ms, op->until_ms, &cursor, &e)) break;
        say_u64(out, (uint64_t)e.time_ms);
        say_u64(out, e.seq);
        say_bytes(out, e.value);
        uint64_t seq = e.seq;
        if (op->verb != ORDERED_RANGE_REMOVING || !picked(op->salt, &seq, sizeof seq)) continue;
        MUST(keyed_ordered_remove(state_of(s, op), op->key, e.time_ms, seq) == WEIR_OK);
    }
}

static void ordered_clear(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_ordered_clear(state_of(s, op), op->key));
}

/* ---- operations: timers
 * ---------------------------------------------------------------------------------------------------------------------- */

static struct keyed *keyed_of(struct system *s, const struct op *op)
{
    return s->instances[owner_of(s, op->key)].keyed;
}

static void timer_set(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_timer_set(keyed_of(s, op), op->key, op->domain, op->time_ms, op->seq));
}

static void delete_timer(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_timer_delete(keyed_of(s, op), op->key, op->domain, op->time_ms, op->seq));
}

static void timer_first(struct system *s, const struct op *op, struct answer *out)
{
    weir_time first = WEIR_TIME_MAX;
    for (uint32_t i = 0; i < s->config.n_instances; i++) {
        weir_time of_one = keyed_timer_first(s->instances[i].keyed, op->domain);
        if (of_one < first) first = of_one;
    }
    say_u64(out, (uint64_t)first);
}

/* Bytes whose order is that of (time, tag, key), as the oracle has it. */
static void note_timer(const struct weir_timer *t)
{
    unsigned char order[16 + WEIR_KEY_MAX];
    uint64_t numbers[2] = {(uint64_t)t->time_ms ^ (uint64_t)1 << 63, t->tag};
    for (uint32_t i = 0; i < 16; i++) order[i] = (unsigned char)(numbers[i / 8] >> (56 - 8 * (i % 8)));
    if (t->key->length) memcpy(order + 16, t->key->data, t->key->length);
    note_pair((struct weir_bytes){order, 16 + t->key->length}, (struct weir_bytes){"", 0});
}

static void say_timer(struct answer *out, weir_time time_ms, uint64_t tag, struct weir_bytes key)
{
    say_u64(out, (uint64_t)time_ms);
    say_u64(out, tag);
    say_bytes(out, key);
}

static uint64_t number_in_room(size_t at)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < 8; i++) number = number << 8 | pairs.room.data[at + i];
    return number;
}

static void say_noted_timers(struct answer *out)
{
    if (pairs.n) qsort(pairs.items, pairs.n, sizeof *pairs.items, by_key);
    for (uint32_t i = 0; i < pairs.n; i++) {
        const struct pair *p = &pairs.items[i];
        if (i && !by_key(p - 1, p)) BROKEN("a timer fired twice");
        say_timer(out, (weir_time)(number_in_room(p->at) ^ (uint64_t)1 << 63), number_in_room(p->at + 8),
                  in_room(p->at + 16, p->key_length - 16));
    }
    pairs.n = 0;
    pairs.room.n = 0;
}

static void check_timer(const struct instance *i, const struct op *op, const struct weir_timer *t, weir_time before)
{
    uint16_t group = hash_key_group(t->key->hash);
    if (t->time_ms < before) BROKEN("a timer of %" PRId64 " fired after one of %" PRId64, t->time_ms, before);
    if (t->time_ms > op->until_ms) BROKEN("a timer of %" PRId64 " fired at %" PRId64, t->time_ms, op->until_ms);
    if (t->key->hash != hash64(t->key->data, t->key->length)) BROKEN("a timer's key has a wrong hash");
    if (t->domain != op->domain) BROKEN("a timer fired in the wrong domain");
    if (group < i->first_group || group > i->last_group) BROKEN("a timer of group %u is another instance's", (unsigned)group);
}

static void timer_pop(struct system *s, const struct op *op, struct answer *out)
{
    for (uint32_t k = 0; k < s->config.n_instances; k++) {
        struct weir_timer t;
        weir_time before = WEIR_TIME_MIN;
        while (keyed_timer_pop(s->instances[k].keyed, op->domain, op->until_ms, &t)) {
            check_timer(&s->instances[k], op, &t, before);
            before = t.time_ms;
            if (op->in_order)
                say_timer(out, t.time_ms, t.tag, (struct weir_bytes){t.key->length ? t.key->data : "", t.key->length});
            else
                note_timer(&t);
        }
    }
    say_noted_timers(out);
}

/* ---- operations: panes
 * ----------------------------------------------------------------------------------------------------------------------- */

static struct weir_table *pane_of(struct system *s, const struct op *op, uint32_t instance)
{
    struct weir_table *table = NULL;
    MUST(keyed_panes_table(s->instances[instance].handles[op->state].panes, op->pane, &table) == WEIR_OK);
    return table;
}

static void pane_make(struct system *s, const struct op *op, struct answer *out)
{
    for (uint32_t i = 0; i < s->config.n_instances; i++) (void)pane_of(s, op, i);
    say_u64(out, WEIR_OK);
}

/* All panes that any instance has, in order. */
static void panes_list(struct system *s, const struct op *op, struct answer *out)
{
    for (int64_t after = INT64_MIN;;) {
        int64_t least = INT64_MAX, pane;
        bool found = false;
        for (uint32_t i = 0; i < s->config.n_instances; i++) {
            if (!keyed_panes_next(s->instances[i].handles[op->state].panes, after, &pane)) continue;
            if (pane <= after) BROKEN("the pane above %" PRId64 " is said to be %" PRId64, after, pane);
            found = true;
            if (pane < least) least = pane;
        }
        if (!found) return;
        say_u64(out, (uint64_t)least);
        after = least;
    }
}

static weir_err probe_pane(struct system *s, const struct op *op, uint32_t instance, const uint32_t *idx, uint32_t n, void **values)
{
    return keyed_table_probe(pane_of(s, op, instance), op->key, idx, n, values);
}

static void pane_probe(struct system *s, const struct op *op, struct answer *out)
{
    void *values[WEIR_BATCH_MAX];
    probe_all(s, op, probe_pane, values);
    say_and_nudge(s, op, values, out);
}

static void pane_find(struct system *s, const struct op *op, struct answer *out)
{
    void *value = keyed_table_find(pane_of(s, op, owner_of(s, op->key)), op->key);
    say_bytes(out, fixed(s, op, value));
    if (value && op->bytes.data) memcpy(value, op->bytes.data, op->bytes.length);
}

static void pane_remove(struct system *s, const struct op *op, struct answer *out)
{
    (void)out;
    keyed_table_remove(pane_of(s, op, owner_of(s, op->key)), op->key);
}

static void pane_scan(struct system *s, const struct op *op, struct answer *out)
{
    for (uint32_t i = 0; i < s->config.n_instances; i++) {
        struct weir_table *table = pane_of(s, op, i);
        struct weir_key key;
        void *value;
        uint64_t cursor = 0;
        for (uint32_t n = 0; (!op->limit || n < op->limit) && keyed_table_next(table, &cursor, &key, &value); n++) {
            uint64_t hash = hash64(key.data, key.length);
            if (plan_key_owner(hash_key_group(hash), s->config.n_instances) != i) BROKEN("a pane holds another instance's key");
            if (!op->limit) note_pair((struct weir_bytes){key.data, key.length}, fixed(s, op, value));
            key.hash = hash;
            if (op->verb == PANE_SCAN_REMOVING && picked(op->salt, key.data, key.length)) keyed_table_remove(table, &key);
        }
    }
    say_pairs(out);
}

static void value_scan(struct system *s, const struct op *op, struct answer *out)
{
    for (uint32_t i = 0; i < s->config.n_instances; i++) {
        struct weir_state *state = s->instances[i].handles[op->state].state;
        struct weir_key key;
        struct weir_bytes value;
        uint64_t cursor = 0;
        while (keyed_value_next(state, &cursor, &key, &value)) {
            if (hash64(key.data, key.length) != key.hash) BROKEN("a scanned key has another hash");
            if (plan_key_owner(hash_key_group(key.hash), s->config.n_instances) != i) BROKEN("a state holds another instance's key");
            note_pair((struct weir_bytes){key.data, key.length}, value);
            if (op->verb == VALUE_SCAN_REMOVING && picked(op->salt, key.data, key.length))
                keyed_value_clear(state, keyed_value_scanned(state));
        }
    }
    say_pairs(out);
}

static void pane_drop(struct system *s, const struct op *op, struct answer *out)
{
    (void)out;
    for (uint32_t i = 0; i < s->config.n_instances; i++) {
        struct weir_table *table = pane_of(s, op, i);
        keyed_table_drop(&table);
        MUST(table == NULL);
    }
}

/* ---- operations: broadcast, which every instance has alike
 * ------------------------------------------------------------------------------------ */

static void alike(const struct answer *out, size_t from, size_t to)
{
    if (out->n - to != to - from || memcmp(out->data + from, out->data + to, to - from)) BROKEN("two instances' broadcast state differ");
}

static void broadcast_get(struct system *s, const struct op *op, struct answer *out)
{
    for (uint32_t i = 0; i < s->config.n_instances; i++) {
        size_t so_far = out->n;
        say_bytes(out, keyed_broadcast_get(s->instances[i].handles[op->state].broadcast, op->user_key));
        if (!i) continue;
        alike(out, 0, so_far);
        out->n = so_far;
    }
}

static void broadcast_put(struct system *s, const struct op *op, struct answer *out)
{
    for (uint32_t i = 0; i < s->config.n_instances; i++) {
        struct weir_broadcast *b = s->instances[i].handles[op->state].broadcast;
        MUST(keyed_broadcast_put(b, op->user_key, op->bytes.data, op->bytes.length) == WEIR_OK);
    }
    say_u64(out, WEIR_OK);
}

static void broadcast_remove(struct system *s, const struct op *op, struct answer *out)
{
    (void)out;
    for (uint32_t i = 0; i < s->config.n_instances; i++) keyed_broadcast_remove(s->instances[i].handles[op->state].broadcast, op->user_key);
}

static void broadcast_scan(struct system *s, const struct op *op, struct answer *out)
{
    for (uint32_t i = 0; i < s->config.n_instances; i++) {
        struct weir_bytes user_key, value;
        uint64_t cursor = 0;
        size_t so_far = out->n;
        while (keyed_broadcast_next(s->instances[i].handles[op->state].broadcast, &cursor, &user_key, &value)) note_pair(user_key, value);
        say_pairs(out);
        if (!i) continue;
        alike(out, 0, so_far);
        out->n = so_far;
    }
}

/* ---- operations: operator lists
 * ----------------------------------------------------------------------------------------------------------------- */

static struct weir_operator_list *list_of(struct system *s, const struct op *op)
{
    return s->instances[op->instance].handles[op->state].list;
}

static void operator_list_add(struct system *s, const struct op *op, struct answer *out)
{
    say_u64(out, keyed_operator_list_add(list_of(s, op), op->bytes.data, op->bytes.length));
}

static void operator_list_read(struct system *s, const struct op *op, struct answer *out)
{
    for (uint32_t i = 0; i < keyed_operator_list_count(list_of(s, op)); i++) say_bytes(out, keyed_operator_list_at(list_of(s, op), i));
}

static void operator_list_clear(struct system *s, const struct op *op, struct answer *out)
{
    (void)out;
    keyed_operator_list_clear(list_of(s, op));
}

/* ---- as a subject
 * ------------------------------------------------------------------------------------------------------------------------------ */

static void (*const apply[VERBS])(struct system *, const struct op *, struct answer *) = {
    [SAFE_POINT] = safe_point,
    [NAMESPACE] = set_namespace,
    [PREFETCH] = prefetch,
    [VALUE_EDIT] = value_edit,
    [VALUE_FIND] = value_find,
    [VALUE_FIND_EDIT] = value_find,
    [VALUE_READ] = value_read,
    [VALUE_WRITE] = value_write,
    [VALUE_CLEAR] = value_clear,
    [VALUE_PROBE] = value_probe,
    [VALUE_SCAN] = value_scan,
    [VALUE_SCAN_REMOVING] = value_scan,
    [REDUCING_ADD] = reducing_add,
    [AGGREGATING_ADD] = aggregating_add,
    [LIST_ADD] = list_add,
    [LIST_SCAN] = list_scan,
    [LIST_SCAN_ADDING] = list_scan,
    [LIST_EMPTY] = list_empty,
    [LIST_CLEAR] = list_clear,
    [MAP_GET] = map_get,
    [MAP_PUT] = map_put,
    [MAP_VALUE] = map_value,
    [MAP_REMOVE] = map_remove,
    [MAP_SCAN] = map_scan,
    [MAP_SCAN_REMOVING] = map_scan,
    [MAP_EMPTY] = map_empty,
    [MAP_CLEAR] = map_clear,
    [ORDERED_PUT] = ordered_put,
    [ORDERED_GET] = ordered_get,
    [ORDERED_REMOVE] = ordered_remove,
    [ORDERED_REMOVE_BEFORE] = ordered_remove_before,
    [ORDERED_RANGE] = ordered_range,
    [ORDERED_RANGE_REMOVING] = ordered_range,
    [ORDERED_CLEAR] = ordered_clear,
    [TIMER_SET] = timer_set,
    [TIMER_DELETE] = delete_timer,
    [TIMER_FIRST] = timer_first,
    [TIMER_POP] = timer_pop,
    [PANE_MAKE] = pane_make,
    [PANES_LIST] = panes_list,
    [PANE_PROBE] = pane_probe,
    [PANE_FIND] = pane_find,
    [PANE_REMOVE] = pane_remove,
    [PANE_SCAN] = pane_scan,
    [PANE_SCAN_REMOVING] = pane_scan,
    [PANE_DROP] = pane_drop,
    [BROADCAST_GET] = broadcast_get,
    [BROADCAST_PUT] = broadcast_put,
    [BROADCAST_REMOVE] = broadcast_remove,
    [BROADCAST_SCAN] = broadcast_scan,
    [OPERATOR_LIST_ADD] = operator_list_add,
    [OPERATOR_LIST_READ] = operator_list_read,
    [OPERATOR_LIST_CLEAR] = operator_list_clear,
};

static void system_apply(void *subject, const struct op *op, const struct answer *hint, struct answer *out)
{
    struct system *s = subject;
    (void)hint; /* what the oracle thinks is nothing to it */
    out->n = 0;
    apply[op->verb](s, op, out);
    for (uint32_t i = 0; i < s->config.n_instances; i++) check_slot(&s->instances[i]);
}

const struct subject_ops system_ops = {"system", system_open, system_close, system_apply, system_freeze, system_join, system_restore};
