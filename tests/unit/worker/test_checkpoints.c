/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job inside this process that is checkpointed, ended in the middle of its work, and begun again from a checkpoint. The test is its
 * JobManager. The count of every key must be what it is without all that, at any parallelism.
 */
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
#include <unistd.h>

#include "runtime/base/folder.h"
#include "runtime/checkpoint/archive.h"
#include "taskmanager/worker/checkpoints.h"
#include "tests/support/local/local_job.h"
#include "tests/support/temp_dir.h"
#include "weir/connector/generator.h"
#include "weir/weir.h"

#define ROWS 60000
#define KEYS 3000 /* so that their files are larger than what travels in a pack */
#define AWAIT_US 5000

/* ---- the job: counts rows by key ------------------------------------------------------------------------------------------------- */

static _Atomic int64_t counts[KEYS]; /* the last that was seen of each key: written by whoever owns it */
static _Atomic int64_t n_rows;       /* of all keys, of this attempt */

WEIR_KEY_FIXED(by_key, weir_generated, key);

struct tally {
    struct weir_state *count;
};

static weir_err tally_open(void *self, struct weir_ctx *ctx)
{
    struct tally *t = self;
    static const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "count", .value_size = 8};
    return weir_value_open(ctx, &desc, &t->count);
}

static weir_err tally_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct tally *t = self;
    (void)input;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct weir_generated *row = weir_record_row(weir_batch_record(batch, i));
        weir_set_key(ctx, i);
        int64_t *count = weir_value(ctx, t->count);
        if (!count) return WEIR_E_IO;
        counts[row->key] = ++*count;
        n_rows++;
    }
    return WEIR_OK;
}

static const struct weir_operator tally = {.struct_size = sizeof tally,
                                           .name = "tally",
                                           .self_size = sizeof(struct tally),
                                           .in = &weir_generated_schema,
                                           .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_SINK,
                                           .open = tally_open,
                                           .process = tally_process};

static const char *tally_id = "tally";
static int64_t pace;

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_generator config = {.seed = 7, .rows = ROWS, .keys = KEYS, .pace = pace};
    /* The generator has as many splits as subtasks: their number must not change. */
    struct weir_stream *rows = weir_key_by(weir_set_parallelism(weir_from_generator(env, "rows", &config), 2), &by_key);
    weir_apply(rows, tally_id, &tally, NULL, 0);
    return WEIR_OK;
}

static int64_t expected[KEYS];

static int count_by_hand(void **state)
{
    (void)state;
    struct local_job job;
    struct weir_diag diag = {0};
    if (local_job_run(&job, build, 1, 0, NULL, &diag)) print_error("%s\n", diag.text);
    for (uint32_t k = 0; k < KEYS; k++) expected[k] = counts[k];
    local_job_close(&job);
    return 0;
}

/* ---- the JobManager ------------------------------------------------------------------------------------------------------------------ */

struct run {
    struct local_job job;
    struct checkpoints c;
    struct wire_msg deploy;
    bool acked, declined, failed, restored;
    struct restoring_result restored_what;
    weir_err err;
    char reason[WEIR_DIAG_MAX];
    struct files_seal pack;
    uint64_t state_bytes, new_bytes;
    uint32_t n_ledger;
};

static struct temp_dir root;
static struct archive *archive;
static struct weir_diag diag;
static struct files_seal manifest_seal; /* of the last checkpoint that was completed */
static uint32_t n_attempts;

static void ok(weir_err err)
{
    if (err) print_error("%s: %s\n", weir_err_name(err), diag.text);
    assert_int_equal(err, WEIR_OK);
}

static weir_err on_message(void *arg, struct wire_msg *msg)
{
    struct run *r = arg;
    if (msg->type == WIRE_CHECKPOINT_DECLINE) {
        r->declined = true;
        (void)snprintf(r->reason, sizeof r->reason, "%s", msg->decline.failure.reason);
        return WEIR_OK;
    }
    assert_int_equal(msg->type, WIRE_CHECKPOINT_ACK);
    r->acked = true;
    assert_string_equal(msg->ack.pack, "pack-0");
    r->pack = (struct files_seal){msg->ack.pack_bytes, msg->ack.pack_crc32c};
    r->state_bytes = msg->ack.state_bytes;
    r->new_bytes = msg->ack.new_bytes;
    r->n_ledger = msg->ack.n_ledger;
    return WEIR_OK;
}

static void on_failure(void *arg, weir_err err, const char *reason)
{
    struct run *r = arg;
    r->failed = true;
    r->err = err;
    (void)snprintf(r->reason, sizeof r->reason, "%s", reason);
}

static void on_restored(void *arg, const struct restoring_result *result, uint64_t us)
{
    struct run *r = arg;
    (void)us;
    r->restored = true;
    r->restored_what = *result;
}

/* Pumps until it is so, or the attempt has failed. */
static void await(struct run *r, bool (*is_so)(const struct run *r))
{
    for (;;) {
        wake_prepare(&r->job.d->wake);
        bool moved = checkpoints_pump(&r->c);
        if (is_so(r) || r->failed) break;
        if (!moved) wake_wait(&r->job.d->wake, AWAIT_US);
        wake_clear(&r->job.d->wake);
    }
    wake_clear(&r->job.d->wake);
}

static bool is_answered(const struct run *r)
{
    return r->acked || r->declined;
}

static bool is_restored(const struct run *r)
{
    return r->restored;
}

static bool all(const struct run *r, enum thread_state state)
{
    for (uint32_t t = 0; t < r->job.d->n_threads; t++)
        if (atomic_load(&r->job.d->threads[t].state) != (int)state) return false;
    return true;
}

static bool all_prepared(const struct run *r)
{
    return all(r, THREAD_PREPARED);
}

static bool all_closed(const struct run *r)
{
    for (uint32_t t = 0; t < r->job.d->n_threads; t++)
        if (r->job.d->threads[t].started && !atomic_load(&r->job.d->threads[t].closed)) return false;
    return true;
}

static int64_t rows_wanted;
static bool some_rows(const struct run *r)
{
    return n_rows >= rows_wanted || all_prepared(r);
}

static const char *folder_of(uint64_t id)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/chk-%" PRIu64, archive_dir(archive), id);
    return path;
}

/* A new attempt; from: the checkpoint it begins from, 0 = none. False: that failed. */
static bool begin(struct run *r, uint32_t parallelism, uint64_t from)
{
    static char manifest[2 * PATH_MAX];
    *r = (struct run){0};
    n_rows = 0;
    local_job_state = (struct deployment_state){.dir = temp_path(&root, "scratch"), .snapshots = true};
    local_job_order = (struct wire_msg){.type = WIRE_DEPLOY, .job = {{1}}, .attempt = ++n_attempts};
    local_job_order.deploy.checkpoint.dir = archive_dir(archive);
    (void)snprintf(manifest, sizeof manifest, "%s/MANIFEST", folder_of(from));
    local_job_order.deploy.restore = (typeof(local_job_order.deploy.restore)){
        .id = from, .path = manifest, .bytes = manifest_seal.bytes, .crc32c = manifest_seal.crc32c};
    r->deploy = local_job_order;
    ok(local_job_deploy(&r->job, build, parallelism, 0, NULL, &diag));
    local_job_order = (struct wire_msg){0};
    const struct checkpoints_owner owner = {.arg = r, .say = on_message, .fail = on_failure, .restored = on_restored};
    ok(checkpoints_init(&r->c, &owner, &r->deploy, r->job.d, temp_path(&root, "local"), &diag));
    if (from) {
        checkpoints_restore(&r->c);
        await(r, is_restored);
        if (r->failed) return false;
    }
    for (uint32_t t = 0; t < r->job.d->n_threads; t++) ok(task_thread_start(&r->job.d->threads[t], &diag));
    return true;
}

static void end(struct run *r, enum thread_command command)
{
    for (uint32_t t = 0; t < r->job.d->n_threads; t++) task_thread_command(&r->job.d->threads[t], command);
    await(r, all_closed);
    for (uint32_t t = 0; t < r->job.d->n_threads; t++) task_thread_join(&r->job.d->threads[t]);
    checkpoints_close(&r->c);
    local_job_close(&r->job);
}

static void order(struct run *r, enum wire_type type, uint64_t id, uint32_t options)
{
    struct wire_msg msg = {.type = type};
    if (type == WIRE_TRIGGER) msg.trigger = (typeof(msg.trigger)){.id = id, .options = options, .dir = ""};
    if (type == WIRE_CHECKPOINT_COMPLETE) msg.complete.id = id;
    if (type == WIRE_CHECKPOINT_ABORT) msg.abort.id = id;
    checkpoints_order(&r->c, &msg);
}

static void trigger(struct run *r, uint64_t id, uint32_t options)
{
    r->acked = r->declined = false;
    ok(archive_begin(archive, id, &diag));
    order(r, WIRE_TRIGGER, id, options);
}

/* Writes the manifest. The graph in it is not read by workers. */
static void complete(struct run *r, uint64_t id)
{
    struct manifest_operator operators[] = {{.id = "rows", .name = "generator", .kind = 1, .n_splits = 64},
                                            {.id = "tally", .name = "tally", .kind = 2}};
    struct manifest_vertex vertices[] = {
        {.parallelism = r->job.d->plan->vertices[0].parallelism, .n_operators = 1, .operators = &operators[0]},
        {.parallelism = r->job.d->plan->vertices[1].parallelism, .n_operators = 1, .operators = &operators[1]}};
    struct manifest_pack pack = {.name = "pack-0", .bytes = r->pack.bytes, .crc32c = r->pack.crc32c, .state_bytes = r->state_bytes};
    struct manifest m = {.kind = MANIFEST_CHECKPOINT,
                         .job = {{1}},
                         .job_name = "tally",
                         .attempt = n_attempts,
                         .checkpoint_id = id,
                         .version = "1",
                         .parallelism = vertices[0].parallelism,
                         .n_vertices = 2,
                         .vertices = vertices,
                         .n_packs = 1,
                         .packs = &pack};
    ok(archive_complete(archive, &m, &manifest_seal, &diag));
    order(r, WIRE_CHECKPOINT_COMPLETE, id, 0);
}

static void take(struct run *r, uint64_t id, uint32_t options)
{
    trigger(r, id, options);
    await(r, is_answered);
    if (!r->acked) print_error("checkpoint %" PRIu64 ": %s\n", id, r->reason);
    assert_true(r->acked);
    complete(r, id);
}

static void run_for(struct run *r, int64_t rows)
{
    rows_wanted = rows;
    await(r, some_rows);
}

static void finish(struct run *r, uint64_t last_id)
{
    await(r, all_prepared);
    if (r->failed) print_error("%s\n", r->reason);
    assert_false(r->failed);
    take(r, last_id, CHECKPOINT_FINAL);
    end(r, THREAD_COMMIT);
    for (uint32_t k = 0; k < KEYS; k++) assert_int_equal(counts[k], expected[k]);
}

static int setup(void **state)
{
    (void)state;
    temp_dir_make(&root);
    assert_int_equal(mkdir(temp_path(&root, "storage"), 0700), 0);
    ok(archive_open(&archive, temp_path(&root, "storage/job"), &diag));
    for (uint32_t k = 0; k < KEYS; k++) counts[k] = 0;
    n_attempts = 0;
    pace = 4 * ROWS; /* a quarter of a second: time for checkpoints on the way */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    archive_destroy(&archive);
    temp_dir_remove(&root);
    return 0;
}

/* ---- stories --------------------------------------------------------------------------------------------------------------------- */

static void two_checkpoints_and_a_death(uint32_t before, uint32_t after)
{
    struct run r;
    assert_true(begin(&r, before, 0));
    run_for(&r, ROWS / 8);
    take(&r, 1, 0);
    assert_true(r.n_ledger > 0 && r.state_bytes > 0);
    run_for(&r, ROWS / 4);
    take(&r, 2, 0);
    run_for(&r, ROWS / 3); /* which the dead attempt had counted, too */
    end(&r, THREAD_STOP);
    assert_true(begin(&r, after, 2));
    finish(&r, 3);
}

static void a_job_goes_on_from_its_last_checkpoint(void **state)
{
    (void)state;
    two_checkpoints_and_a_death(2, 2);
}

static void also_at_another_parallelism(void **state)
{
    (void)state;
    two_checkpoints_and_a_death(2, 3);
}

static void and_down_to_one(void **state)
{
    (void)state;
    two_checkpoints_and_a_death(3, 1);
}

/* Checkpoint after checkpoint over several attempts, each with files of earlier ones. */
static void attempts_in_a_row(void **state)
{
    (void)state;
    struct run r;
    uint64_t id = 0;
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(begin(&r, 2, id));
        run_for(&r, ROWS / 16);
        take(&r, ++id, 0);
        run_for(&r, ROWS / 8);
        take(&r, ++id, 0);
        end(&r, THREAD_STOP);
    }
    assert_true(begin(&r, 2, id));
    finish(&r, ++id);
}

static void state_comes_from_local_copies(void **state)
{
    (void)state;
    struct run r;
    assert_true(begin(&r, 2, 0));
    run_for(&r, ROWS / 4);
    take(&r, 1, 0);
    end(&r, THREAD_STOP);
    assert_true(begin(&r, 2, 1));
    assert_true(r.restored_what.bytes > 0);
    assert_int_equal(r.restored_what.from_local_bytes, r.restored_what.bytes);
    end(&r, THREAD_STOP);
    ok(folder_remove(temp_path(&root, "local"), &diag)); /* another machine */
    assert_true(begin(&r, 2, 1));
    assert_int_equal(r.restored_what.from_local_bytes, 0);
    finish(&r, 2);
}

/* An attempt that died before its first checkpoint was complete leaves nothing to the next one. */
static void what_no_checkpoint_needs_goes(void **state)
{
    (void)state;
    struct run r;
    assert_true(begin(&r, 2, 0));
    run_for(&r, ROWS / 4);
    trigger(&r, 1, 0);
    await(&r, is_answered);
    end(&r, THREAD_STOP); /* nobody has completed it */
    assert_string_not_equal(temp_list(temp_path(&root, "local")), "");
    assert_true(begin(&r, 2, 0));
    assert_string_equal(temp_list(temp_path(&root, "local")), "");
    finish(&r, 2);
}

/* Walks the state files of the job in the storage. */
static void for_each_shared(void (*what)(const char *path))
{
    char shared[PATH_MAX], names[4096];
    (void)snprintf(shared, sizeof shared, "%s/shared", archive_dir(archive));
    (void)snprintf(names, sizeof names, "%s", temp_list(shared));
    uint32_t n = 0;
    for (char *save, *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save), n++) {
        char path[2 * PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/%s", shared, name);
        what(path);
    }
    assert_true(n > 0);
}

/* Another file of the same length: links to the old bytes keep them. */
static void spoil(const char *path)
{
    size_t len;
    char *bytes = temp_read(path, &len);
    bytes[len / 2] ^= 1;
    assert_int_equal(unlink(path), 0);
    temp_write(path, bytes, len);
    free(bytes);
}

static void cut(const char *path)
{
    assert_int_equal(truncate(path, 100), 0);
}

static void drop(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

/* Each of them with local copies that do not help, since they are gone, or links to the same bytes. */
static void broken(void (*what)(const char *path), weir_err err)
{
    struct run r;
    assert_true(begin(&r, 2, 0));
    run_for(&r, ROWS / 4);
    take(&r, 1, 0);
    end(&r, THREAD_STOP);
    ok(folder_remove(temp_path(&root, "local"), &diag));
    for_each_shared(what);
    assert_false(begin(&r, 2, 1));
    assert_int_equal(r.err, err);
    assert_non_null(strstr(r.reason, root.path));
    end(&r, THREAD_STOP);
}

static void a_corrupt_file_is_refused_by_name(void **state)
{
    (void)state;
    broken(spoil, WEIR_E_CORRUPT);
}

static void a_cut_file_is_refused_by_name(void **state)
{
    (void)state;
    broken(cut, WEIR_E_CORRUPT);
}

static void a_missing_file_is_refused_by_name(void **state)
{
    (void)state;
    broken(drop, WEIR_E_NOT_FOUND);
}

static void a_local_copy_that_is_wrong_is_not_used(void **state)
{
    (void)state;
    struct run r;
    assert_true(begin(&r, 2, 0));
    run_for(&r, ROWS / 4);
    take(&r, 1, 0);
    end(&r, THREAD_STOP);
    char names[8192];
    (void)snprintf(names, sizeof names, "%s", temp_list(temp_path(&root, "local")));
    for (char *save, *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
        char path[2 * PATH_MAX];
        (void)snprintf(path, sizeof path, "%s/local/%s", root.path, name);
        spoil(path);
    }
    assert_true(begin(&r, 2, 1));
    assert_int_equal(r.restored_what.from_local_bytes, 0);
    finish(&r, 2);
}

static void a_manifest_that_differs_from_its_pointer_is_refused(void **state)
{
    (void)state;
    struct run r;
    assert_true(begin(&r, 2, 0));
    run_for(&r, ROWS / 4);
    take(&r, 1, 0);
    end(&r, THREAD_STOP);
    manifest_seal.crc32c ^= 1;
    assert_false(begin(&r, 2, 1));
    assert_int_equal(r.err, WEIR_E_CORRUPT);
    assert_non_null(strstr(r.reason, "MANIFEST"));
    end(&r, THREAD_STOP);
}

/* The job goes on, and its next checkpoint is as good as any. */
static void a_storage_that_is_away_declines(void **state)
{
    (void)state;
    struct run r;
    assert_true(begin(&r, 2, 0));
    run_for(&r, ROWS / 8);
    trigger(&r, 1, 0);
    assert_int_equal(rename(temp_path(&root, "storage"), temp_path(&root, "away")), 0);
    await(&r, is_answered);
    bool declined = r.declined; /* else it was faster */
    assert_int_equal(rename(temp_path(&root, "away"), temp_path(&root, "storage")), 0);
    order(&r, WIRE_CHECKPOINT_ABORT, 1, 0);
    run_for(&r, ROWS / 4);
    take(&r, 2, 0);
    if (declined) assert_non_null(strstr(r.reason, "storage"));
    end(&r, THREAD_STOP);
    assert_true(begin(&r, 2, 2));
    finish(&r, 3);
}

static void state_that_nobody_wants_is_not_left_behind_silently(void **state)
{
    (void)state;
    struct run r;
    assert_true(begin(&r, 2, 0));
    run_for(&r, ROWS / 4);
    take(&r, 1, 0);
    end(&r, THREAD_STOP);
    tally_id = "renamed";
    assert_false(begin(&r, 2, 1));
    tally_id = "tally";
    assert_int_equal(r.err, WEIR_E_STATE);
    assert_non_null(strstr(r.reason, "operator tally"));
    end(&r, THREAD_STOP);
}

static void a_job_can_begin_from_its_end(void **state)
{
    (void)state;
    struct run r;
    pace = 0;
    assert_true(begin(&r, 2, 0));
    await(&r, all_prepared);
    take(&r, 1, CHECKPOINT_FINAL);
    end(&r, THREAD_STOP); /* it died before its COMMIT came */
    for (uint32_t k = 0; k < KEYS; k++) assert_int_equal(counts[k], expected[k]);
    assert_true(begin(&r, 2, 1));
    await(&r, all_prepared);
    assert_int_equal(n_rows, 0); /* nothing is done again */
    finish(&r, 2);
}

static bool all_running(const struct run *r)
{
    return all(r, THREAD_RUNNING);
}

/* A stop that is given up lets the job go on where it rests; a completed one can be resumed by another attempt. */
static void a_job_rests_behind_a_stop(void **state)
{
    (void)state;
    struct run r;
    pace = ROWS;
    assert_true(begin(&r, 2, 0));
    run_for(&r, ROWS / 8);
    trigger(&r, 1, CHECKPOINT_STOP);
    await(&r, all_prepared);
    await(&r, is_answered);
    assert_true(checkpoints_resting(&r.c));
    order(&r, WIRE_CHECKPOINT_ABORT, 1, 0);
    assert_false(checkpoints_resting(&r.c));
    for (uint32_t t = 0; t < r.job.d->n_threads; t++)
        assert_true(checkpoints_resumes(&r.c, t) || atomic_load(&r.job.d->threads[t].state) == THREAD_RUNNING);
    await(&r, all_running);
    take(&r, 2, CHECKPOINT_STOP);
    await(&r, all_prepared);
    assert_false(checkpoints_resting(&r.c));
    int64_t rows = n_rows;
    end(&r, THREAD_COMMIT);
    assert_true(begin(&r, 3, 2));
    finish(&r, 3);
    assert_int_equal(rows + n_rows, ROWS); /* none twice, none left out */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_job_goes_on_from_its_last_checkpoint),
        CASE(also_at_another_parallelism),
        CASE(and_down_to_one),
        CASE(attempts_in_a_row),
        CASE(state_comes_from_local_copies),
        CASE(what_no_checkpoint_needs_goes),
        CASE(a_corrupt_file_is_refused_by_name),
        CASE(a_cut_file_is_refused_by_name),
        CASE(a_missing_file_is_refused_by_name),
        CASE(a_local_copy_that_is_wrong_is_not_used),
        CASE(a_manifest_that_differs_from_its_pointer_is_refused),
        CASE(a_storage_that_is_away_declines),
        CASE(state_that_nobody_wants_is_not_left_behind_silently),
        CASE(a_job_can_begin_from_its_end),
        CASE(a_job_rests_behind_a_stop),
    };
    return cmocka_run_group_tests(tests, count_by_hand, NULL);
}
