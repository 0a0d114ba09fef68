/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of real state on their way into a checkpoint storage, and what lies there afterwards. Some stories have a disk that fails:
 * they are skipped without LD_PRELOAD=<faultfs>.
 */
#include <dlfcn.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/hash.h"
#include "runtime/checkpoint/archive.h"
#include "runtime/plan/plan.h"
#include "runtime/state/rocks.h"
#include "taskmanager/worker/checkpoint_store.h"
#include "tests/support/faultfs/faultfs.h"
#include "tests/support/temp_dir.h"

#define SUBTASKS 2u
#define KEYS 4000u /* of 8 bytes: their file is larger than what travels in a pack */
#define FEW 20u    /* so many are in a file that does */

struct instance { /* one of operator "tally" */
    struct keyed *keyed;
    struct weir_state *value;
};

static struct temp_dir root;
static struct rocks_shared *rocks;
static struct state_slot *slot;
static struct instance instances[SUBTASKS];
static struct local_files *local;
static struct checkpoint_store *store;
static struct archive *archive;
static const struct weir_id job = {{7}};
static struct weir_diag diag;

static void ok(weir_err err)
{
    if (err) print_error("%s: %s\n", weir_err_name(err), diag.text);
    assert_int_equal(err, WEIR_OK);
}

static const char *job_dir(void)
{
    return temp_path(&root, "storage/job");
}

static void open_instance(struct instance *i, uint32_t index)
{
    uint32_t first, last;
    static const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "count", .value_size = 8};
    plan_key_groups(index, SUBTASKS, &first, &last);
    ok(keyed_new(&i->keyed, slot, "tally", (uint16_t)first, (uint16_t)last));
    ok(keyed_open(i->keyed, KEYED_VALUE, &desc, &i->value, &diag));
}

static int setup(void **state)
{
    (void)state;
    temp_dir_make(&root);
    assert_int_equal(mkdir(temp_path(&root, "storage"), 0700), 0);
    ok(archive_open(&archive, job_dir(), &diag));
    ok(rocks_shared_new(&rocks, 1u << 20, 1, &diag));
    const struct state_slot_config config = {.dir = temp_path(&root, "slot"), .shared = rocks, .snapshots = true};
    ok(state_slot_new(&slot, &config, &diag));
    for (uint32_t i = 0; i < SUBTASKS; i++) open_instance(&instances[i], i);
    ok(local_files_new(&local, temp_path(&root, "local"), &diag));
    const struct checkpoint_store_config c = {.job_dir = job_dir(), .job = job, .attempt = 3, .worker = 1, .local = local};
    ok(checkpoint_store_new(&store, &c, &diag));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    checkpoint_store_destroy(&store);
    local_files_destroy(&local);
    for (uint32_t i = 0; i < SUBTASKS; i++) keyed_destroy(&instances[i].keyed);
    state_slot_destroy(&slot);
    rocks_shared_destroy(&rocks);
    archive_destroy(&archive);
    temp_dir_remove(&root);
    return 0;
}

/* Keys 0 ... n-1 get the value, each in the instance that owns it. */
static void fill(uint32_t n, uint64_t value)
{
    for (uint64_t k = 0; k < n; k++) {
        struct weir_key key = {.data = &k, .length = sizeof k, .hash = hash64(&k, sizeof k)};
        uint32_t owner = plan_key_owner(hash_key_group(key.hash), SUBTASKS);
        uint64_t *at = keyed_value(instances[owner].value, &key);
        assert_non_null(at);
        *at = value + k;
    }
}

/* As a task thread makes it; settled by itself. */
static weir_err snapshot_one(uint32_t index, uint64_t id, bool finished)
{
    char position[] = "offset 12";
    struct snapshot_op ops[2] = {{.operator_id = "read", .watermark = 50}, {.operator_id = "tally", .watermark = 40}};
    struct snapshot_split split = {.index = 5 + index, .state = SPLIT_READING, .stated = 9, .position = {position, 9}};
    struct snapshot_ledger ledger = {.channel = index, .side = LEDGER_SENDER, .counts = {.records = id, .bytes = 8, .hash = 1}};
    struct committable prepared = {.checkpoint_id = id, .data = {"part-1", 6}};
    ops[1].committables = (struct weir_committables){.items = &prepared, .n = 1};
    if (!finished) ok(keyed_freeze(instances[index].keyed, id, &ops[1].state, &diag));
    struct subtask_snapshot snapshot = {.id = id,
                                        .vertex = 0,
                                        .index = index,
                                        .parallelism = SUBTASKS,
                                        .finished = finished,
                                        .ops = ops,
                                        .n_ops = 2,
                                        .splits = &split,
                                        .n_splits = 1,
                                        .ledger = &ledger,
                                        .n_ledger = 1,
                                        .align_us = 100 + index,
                                        .sync_us = 200 - index};
    (void)slot_copy(slot, UINT64_MAX);
    weir_err err = checkpoint_store_add(store, &snapshot, &diag);
    memset(position, 'x', sizeof position - 1); /* nothing of it is kept */
    keyed_snapshot_destroy(&ops[1].state);
    return err;
}

static void snapshot(uint64_t id)
{
    for (uint32_t i = SUBTASKS; i-- > 0;) ok(snapshot_one(i, id, false)); /* in any order */
}

static struct checkpoint_written write_checkpoint(uint64_t id, const char *dir)
{
    struct checkpoint_written written;
    if (!*dir) ok(archive_begin(archive, id, &diag));
    ok(checkpoint_store_write(store, id, dir, &written, &diag));
    free(written.ledger);
    written.ledger = NULL;
    return written;
}

static const char *folder_of(uint64_t id)
{
    static char name[64];
    (void)snprintf(name, sizeof name, "storage/job/chk-%" PRIu64, id);
    return temp_path(&root, name);
}

/* With a manifest; every file is read. */
static struct checkpoint *seal(uint64_t id, const char *dir, const struct checkpoint_written *written)
{
    struct manifest_operator operators[] = {{.id = "read", .name = "generator", .kind = 1, .n_splits = 9},
                                            {.id = "tally", .name = "process", .kind = 2}};
    struct manifest_vertex vertex = {.parallelism = SUBTASKS, .n_operators = 2, .operators = operators};
    struct manifest_pack pack = {
        .name = written->pack, .bytes = written->seal.bytes, .crc32c = written->seal.crc32c, .state_bytes = written->state_bytes};
    struct manifest m = {.kind = *dir ? MANIFEST_SAVEPOINT : MANIFEST_CHECKPOINT,
                         .job = job,
                         .job_name = "tally",
                         .attempt = 3,
                         .checkpoint_id = id,
                         .version = "1",
                         .parallelism = SUBTASKS,
                         .n_vertices = 1,
                         .vertices = &vertex,
                         .n_packs = 1,
                         .packs = &pack};
    struct files_seal manifest_seal;
    struct checkpoint *checkpoint = NULL;
    ok(checkpoint_seal(*dir ? dir : folder_of(id), &m, &manifest_seal, &checkpoint, &diag));
    ok(checkpoint_verify(checkpoint, &diag));
    return checkpoint;
}

/* All that the storage has of the operator, restored into one instance of all key groups, must be what was filled in. */
static void assert_holds(const struct checkpoint *checkpoint, uint32_t n, uint64_t value)
{
    struct keyed_files lists[SUBTASKS] = {{0}};
    struct keyed_restore_from from[SUBTASKS];
    struct checkpoint_place at = {0};
    uint32_t n_from = 0;
    const struct pack_operator *op;
    struct temp_dir dir;
    temp_dir_make(&dir);
    while ((op = checkpoint_next(checkpoint, "tally", &at, NULL)) != NULL) {
        struct keyed_files *list = &lists[n_from];
        assert_int_equal(op->n_states, 1);
        assert_string_equal(op->states[0].name, "count");
        *list = (struct keyed_files){
            .items = calloc(op->states[0].n_files, sizeof *list->items), .first_group = op->first_group, .last_group = op->last_group};
        for (uint32_t i = 0; i < op->states[0].n_files; i++) {
            const struct pack_file *file = &op->states[0].files[i];
            struct keyed_file *to = &list->items[list->n++];
            *to = (struct keyed_file){.kind = KEYED_VALUE,
                                      .value_size = 8,
                                      .first_group = file->first_group,
                                      .last_group = file->last_group,
                                      .bytes = file->bytes,
                                      .entries = file->entries,
                                      .crc32c = file->crc32c};
            (void)strcpy(to->state, "count");
            const struct files_seal expect = {file->bytes, file->crc32c};
            if (file->content[0]) {
                (void)strcpy(to->name, file->content);
                ok(files_fetch(checkpoint->files, file->content, &expect, dir.path, &diag));
            } else {
                (void)snprintf(to->name, sizeof to->name, "inlined-%u-%u", n_from, i);
                temp_write(temp_path(&dir, to->name), file->inlined.data, file->inlined.length);
            }
        }
        from[n_from] = (struct keyed_restore_from){.dir = dir.path, .files = list};
        n_from++;
    }
    assert_int_equal(n_from, SUBTASKS);
    struct state_slot *other;
    struct instance whole = {0};
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "count", .value_size = 8};
    const struct state_slot_config config = {.dir = temp_path(&dir, "slot"), .shared = rocks, .snapshots = true};
    ok(state_slot_new(&other, &config, &diag));
    ok(keyed_new(&whole.keyed, other, "tally", 0, WEIR_KEY_GROUPS - 1));
    ok(keyed_restore(whole.keyed, from, n_from, 0, 1, &diag));
    ok(keyed_open(whole.keyed, KEYED_VALUE, &desc, &whole.value, &diag));
    for (uint64_t k = 0; k < n; k++) {
        struct weir_key key = {.data = &k, .length = sizeof k, .hash = hash64(&k, sizeof k)};
        const uint64_t *found = keyed_value_find(whole.value, &key);
        assert_non_null(found);
        assert_int_equal(*found, value + k);
    }
    keyed_destroy(&whole.keyed);
    state_slot_destroy(&other);
    for (uint32_t i = 0; i < SUBTASKS; i++) free(lists[i].items);
    temp_dir_remove(&dir);
}

/* ---- stories --------------------------------------------------------------------------------------------------------------------- */

static void what_was_frozen_can_be_restored(void **state)
{
    (void)state;
    fill(KEYS, 1000);
    snapshot(1);
    fill(KEYS, 5000); /* after the barrier */
    struct checkpoint_written written = write_checkpoint(1, "");
    assert_string_equal(written.pack, "pack-1");
    assert_int_equal(written.n_ledger, SUBTASKS);
    assert_true(written.sync_us_max >= 200); /* a step of copying may have taken longer */
    assert_int_equal(written.align_us_max, 101);
    assert_true(written.new_bytes > KEYS * 8 && written.new_bytes == written.state_bytes);
    struct checkpoint *checkpoint = seal(1, "", &written);
    assert_holds(checkpoint, KEYS, 1000);
    const struct pack *pack = &checkpoint->packs[0];
    assert_int_equal(pack->n_subtasks, SUBTASKS);
    for (uint32_t i = 0; i < SUBTASKS; i++) {
        const struct pack_subtask *s = &pack->subtasks[i];
        assert_int_equal(s->index, i); /* in order */
        assert_string_equal(s->operators[0].id, "read");
        assert_int_equal(s->operators[0].watermark_ms, 50);
        assert_int_equal(s->operators[0].n_splits, 1);
        assert_int_equal(s->operators[0].splits[0].index, 5 + i);
        assert_int_equal(s->operators[0].splits[0].status, PACK_SPLIT_OPEN);
        assert_memory_equal(s->operators[0].splits[0].position.data, "offset 12", 9);
        assert_int_equal(s->operators[1].n_splits, 0);
        assert_memory_equal(s->operators[1].committables[0].data.data, "part-1", 6);
    }
    checkpoint_close(&checkpoint);
}

static void the_next_one_stores_what_changed(void **state)
{
    (void)state;
    fill(KEYS, 1000);
    snapshot(1);
    struct checkpoint_written first = write_checkpoint(1, "");
    fill(FEW, 9000);
    snapshot(2);
    struct checkpoint_written second = write_checkpoint(2, "");
    assert_int_equal(second.new_bytes, 0); /* the few travel in the pack */
    assert_true(second.state_bytes > first.state_bytes);
    struct checkpoint *checkpoint = seal(2, "", &second);
    assert_holds(checkpoint, FEW, 9000);
    checkpoint_close(&checkpoint);
}

/* A savepoint needs nothing of the job's own folder. */
static void a_savepoint_stands_for_itself(void **state)
{
    (void)state;
    fill(KEYS, 1000);
    snapshot(1);
    write_checkpoint(1, "");
    char dir[PATH_MAX];
    (void)snprintf(dir, sizeof dir, "%s", temp_path(&root, "savepoint"));
    ok(savepoint_begin(dir, (struct weir_id){{7}}, &diag));
    fill(FEW, 9000);
    snapshot(2);
    struct checkpoint_written written = write_checkpoint(2, dir);
    struct checkpoint *checkpoint = seal(2, dir, &written);
    ok(archive_drop(archive, 1, &diag));
    assert_holds(checkpoint, FEW, 9000);
    checkpoint_close(&checkpoint);
    fill(FEW, 9900); /* and the next checkpoint is whole, too */
    snapshot(3);
    written = write_checkpoint(3, "");
    checkpoint = seal(3, "", &written);
    assert_holds(checkpoint, FEW, 9900);
    checkpoint_close(&checkpoint);
}

static void a_storage_that_is_away_fails_the_checkpoint_alone(void **state)
{
    (void)state;
    struct checkpoint_written written;
    fill(KEYS, 1000);
    snapshot(1);
    ok(archive_begin(archive, 1, &diag));
    assert_int_equal(rename(temp_path(&root, "storage"), temp_path(&root, "away")), 0);
    assert_int_not_equal(checkpoint_store_write(store, 1, "", &written, &diag), WEIR_OK);
    assert_non_null(strstr(diag.text, "storage/job"));
    fill(FEW, 9000);
    snapshot(2); /* the state layer is none the wiser */
    assert_int_equal(rename(temp_path(&root, "away"), temp_path(&root, "storage")), 0);
    written = write_checkpoint(2, "");
    struct checkpoint *checkpoint = seal(2, "", &written);
    assert_holds(checkpoint, FEW, 9000);
    checkpoint_close(&checkpoint);
}

static void one_that_was_given_up_is_not_missed(void **state)
{
    (void)state;
    fill(KEYS, 1000);
    snapshot(1);
    checkpoint_store_drop(store, 1);
    fill(FEW, 9000);
    snapshot(2);
    struct checkpoint_written written = write_checkpoint(2, "");
    struct checkpoint *checkpoint = seal(2, "", &written);
    assert_int_equal(checkpoint->packs[0].n_subtasks, SUBTASKS);
    assert_holds(checkpoint, FEW, 9000);
    checkpoint_close(&checkpoint);
}

static void a_finished_subtask_has_a_part_without_state(void **state)
{
    (void)state;
    fill(KEYS, 1000);
    ok(snapshot_one(0, 1, true));
    ok(snapshot_one(1, 1, true));
    struct checkpoint_written written = write_checkpoint(1, "");
    assert_int_equal(written.state_bytes, 0);
    struct checkpoint *checkpoint = seal(1, "", &written);
    assert_true(checkpoint->packs[0].subtasks[0].finished && checkpoint->packs[0].subtasks[0].operators[1].finished);
    assert_int_equal(checkpoint->packs[0].subtasks[0].operators[1].n_committables, 1);
    checkpoint_close(&checkpoint);
}

/* What a complete checkpoint named lies in the local folder under its content's name, and older files do not. */
static void local_copies_follow(void **state)
{
    (void)state;
    fill(KEYS, 1000);
    snapshot(1);
    struct checkpoint_written written = write_checkpoint(1, "");
    struct checkpoint *checkpoint = seal(1, "", &written);
    struct checkpoint_place at = {0};
    const struct pack_operator *op = checkpoint_next(checkpoint, "tally", &at, NULL);
    char content[CONTENT_NAME];
    (void)strcpy(content, op->states[0].files[0].content);
    struct files_seal expect = {op->states[0].files[0].bytes, op->states[0].files[0].crc32c};
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", local_files_dir(local), content);
    ok(files_verify(path, &expect, &diag));
    checkpoint_close(&checkpoint);
    local_files_release(local, 1, false);
    ok(files_verify(path, &expect, &diag));
    for (uint32_t i = 0; i < SUBTASKS; i++) ok(snapshot_one(i, 2, true)); /* names none of them any more */
    write_checkpoint(2, "");
    local_files_release(local, 2, false);
    assert_int_equal(files_verify(path, &expect, &diag), WEIR_E_NOT_FOUND);
    assert_int_equal(local_files_count(local), 0);
}

/* ---- a disk that fails ----------------------------------------------------------------------------------------------------------- */

static weir_fault_set_fn *fault_set;
static weir_fault_count_fn *fault_count;

static void need_faults(void)
{
    *(void **)&fault_set = dlsym(RTLD_DEFAULT, "weir_fault_set");
    *(void **)&fault_count = dlsym(RTLD_DEFAULT, "weir_fault_count");
    if (!fault_set) skip();
}

/* The Nth call that changes the storage fails, N = 1, 2, ...: each time the checkpoint fails, and the next one is whole. */
static void any_failing_call_of_the_storage_declines(void **state)
{
    (void)state;
    need_faults();
    uint64_t id = 1;
    for (uint64_t n = 1;; n++, id += 2) {
        struct checkpoint_written written;
        fill(KEYS, 1000 * id);
        snapshot(id);
        ok(archive_begin(archive, id, &diag));
        fault_set("storage/job", WEIR_FAULT_ALL, n, ENOSPC, false);
        weir_err err = checkpoint_store_write(store, id, "", &written, &diag);
        uint32_t failed;
        fault_count(&failed, NULL, 0);
        fault_set("", 0, 0, 0, false);
        if (!err) free(written.ledger);
        if (!failed) break; /* fewer calls than n */
        /* A link that fails becomes a copy; all else fails the checkpoint. */
        if (!(failed & WEIR_FAULT_LINK)) assert_int_not_equal(err, WEIR_OK);
        if (err) assert_non_null(strstr(diag.text, "storage/job"));
        fill(FEW, 7 * id);
        snapshot(id + 1);
        written = write_checkpoint(id + 1, "");
        struct checkpoint *checkpoint = seal(id + 1, "", &written);
        assert_holds(checkpoint, FEW, 7 * id);
        checkpoint_close(&checkpoint);
    }
    assert_true(id > 9);
}

/* A sync that failed is not tried again for the same file. */
static void a_failed_sync_is_final(void **state)
{
    (void)state;
    need_faults();
    struct checkpoint_written written;
    fill(KEYS, 1000);
    snapshot(1);
    ok(archive_begin(archive, 1, &diag));
    fault_set("chk-1", WEIR_FAULT_SYNCS, 1, EIO, false);
    assert_int_equal(checkpoint_store_write(store, 1, "", &written, &diag), WEIR_E_IO);
    assert_int_equal(fault_count(NULL, NULL, 0), 1);
    fault_set("", 0, 0, 0, false);
    assert_string_equal(temp_list(folder_of(1)), "");
}

/* The local folder is the state's own: what fails there has failed for good. */
static void a_local_disk_that_is_full_fails_the_attempt(void **state)
{
    (void)state;
    need_faults();
    fill(KEYS, 1000);
    fault_set("/local/", WEIR_FAULT_ALL, 1, ENOSPC, true);
    assert_int_not_equal(snapshot_one(0, 1, false), WEIR_OK);
    fault_set("", 0, 0, 0, false);
    assert_non_null(strstr(diag.text, "/local/"));
    assert_int_not_equal(slot_error(slot, &diag), WEIR_OK);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_frozen_can_be_restored),
        CASE(the_next_one_stores_what_changed),
        CASE(a_savepoint_stands_for_itself),
        CASE(a_storage_that_is_away_fails_the_checkpoint_alone),
        CASE(one_that_was_given_up_is_not_missed),
        CASE(a_finished_subtask_has_a_part_without_state),
        CASE(local_copies_follow),
        CASE(any_failing_call_of_the_storage_declines),
        CASE(a_failed_sync_is_final),
        CASE(a_local_disk_that_is_full_fails_the_attempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
