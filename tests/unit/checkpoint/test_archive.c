/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints that are completed, opened, dropped, cleaned up after; damaged ones; and what may never be deleted. */
#include "runtime/checkpoint/archive.h"

#include <unistd.h>

#include "tests/unit/checkpoint/storage.h"

#define ALL (STORAGE_WORKERS * STORAGE_FILES)

static int make(void **state)
{
    static struct storage s;
    storage_make(&s);
    MUST(&s, archive_open(&s.archive, s.job, &s.diag));
    *state = &s;
    return 0;
}

static int unmake(void **state)
{
    storage_remove(*state);
    return 0;
}

static const char *in_job(const struct storage *s, const char *name)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%.3000s/%s", s->job, name);
    return path;
}

/* A new process on the same storage, whose catalog names these checkpoints (0 ends the list). */
static weir_err restart(struct storage *s, const uint64_t *ids)
{
    weir_err first = WEIR_OK;
    archive_destroy(&s->archive);
    MUST(s, archive_open(&s->archive, s->job, &s->diag));
    for (; *ids; ids++) {
        struct weir_diag diag;
        weir_err err = archive_keep(s->archive, *ids, NULL, NULL, &diag);
        if (err && !first) {
            first = err;
            s->diag = diag;
        }
    }
    return first;
}

static void a_completed_checkpoint_opens(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    struct checkpoint *c;
    const struct pack_subtask *subtask;
    MUST(s, storage_checkpoint(s, 1, 0, &seal));
    MUST(s, checkpoint_open(&c, in_job(s, "chk-1"), &seal, &s->diag));
    MUST(s, checkpoint_verify(c, &s->diag));
    struct checkpoint_place at = {0};
    for (uint32_t i = 0; i < STORAGE_WORKERS; i++) {
        const struct pack_operator *o = checkpoint_next(c, "tally", &at, &subtask);
        assert_non_null(o);
        assert_int_equal(subtask->index, i);
        assert_int_equal(o->states[0].n_files, STORAGE_FILES);
    }
    assert_null(checkpoint_next(c, "tally", &at, &subtask));
    assert_true(checkpoint_has_state(c, "tally"));
    assert_false(checkpoint_has_state(c, "other"));
    checkpoint_close(&c);
    MUST(s, checkpoint_open(&c, in_job(s, "chk-1/MANIFEST"), NULL, &s->diag));
    checkpoint_close(&c);
    seal.crc32c ^= 1;
    assert_int_equal(checkpoint_open(&c, in_job(s, "chk-1"), &seal, &s->diag), WEIR_E_CORRUPT);
    assert_non_null(strstr(s->diag.text, "chk-1/MANIFEST"));
}

static void an_id_is_used_once(void **state)
{
    struct storage *s = *state;
    MUST(s, archive_begin(s->archive, 1, &s->diag));
    assert_int_equal(archive_begin(s->archive, 1, &s->diag), WEIR_E_EXISTS);
}

/* Files of two checkpoints overlap by half: dropping the older one deletes the other half. Then the newer goes as a whole. */
static void a_shared_file_goes_with_the_last_that_names_it(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    MUST(s, storage_checkpoint(s, 1, 0, &seal));
    MUST(s, storage_checkpoint(s, 2, ALL / 2, &seal));
    assert_int_equal(storage_count(in_job(s, "shared")), ALL + ALL / 2);
    MUST(s, archive_drop(s->archive, 1, &s->diag));
    assert_int_equal(storage_count(in_job(s, "shared")), ALL);
    assert_string_equal(temp_list(s->job), "chk-2 shared ");
    struct checkpoint *c;
    MUST(s, checkpoint_open(&c, in_job(s, "chk-2"), &seal, &s->diag));
    MUST(s, checkpoint_verify(c, &s->diag));
    checkpoint_close(&c);
    MUST(s, archive_drop(s->archive, 2, &s->diag));
    MUST(s, archive_drop(s->archive, 2, &s->diag)); /* once more is nothing */
    assert_string_equal(temp_list(s->job), "shared ");
    assert_int_equal(storage_count(in_job(s, "shared")), 0);
}

/* The old one is dropped while a worker relies on one of its files: the new one does not complete, and the next one does. */
static void a_file_that_went_meanwhile_fails_the_checkpoint(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    struct manifest_pack packs[STORAGE_WORKERS];
    MUST(s, storage_checkpoint(s, 1, 0, &seal));
    MUST(s, archive_begin(s->archive, 2, &s->diag));
    for (uint32_t w = 0; w < STORAGE_WORKERS; w++) MUST(s, storage_worker(s, 2, w, 0, &packs[w]));
    MUST(s, archive_drop(s->archive, 1, &s->diag));
    struct manifest_operator op = {.id = "tally", .name = "process", .kind = 2};
    struct manifest_vertex vertex = {.parallelism = STORAGE_WORKERS, .n_operators = 1, .operators = &op};
    struct manifest m = {.kind = MANIFEST_CHECKPOINT, .job_name = "", .version = "", .attempt = 1, .checkpoint_id = 2};
    m.n_vertices = 1, m.vertices = &vertex, m.n_packs = STORAGE_WORKERS, m.packs = packs;
    assert_int_equal(archive_complete(s->archive, &m, &seal, &s->diag), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(s->diag.text, "shared/"));
    assert_int_not_equal(access(in_job(s, "chk-2/MANIFEST"), F_OK), 0);
    MUST(s, archive_drop(s->archive, 2, &s->diag));
    MUST(s, storage_checkpoint(s, 3, 0, &seal));
}

/* A manifest that does not fit its packs is not written. */
static void packs_are_compared_with_what_was_told(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    struct manifest_pack packs[STORAGE_WORKERS + 1];
    MUST(s, archive_begin(s->archive, 1, &s->diag));
    for (uint32_t w = 0; w < STORAGE_WORKERS; w++) MUST(s, storage_worker(s, 1, w, 0, &packs[w]));
    struct manifest_operator op = {.id = "tally", .name = "process", .kind = 2};
    struct manifest_vertex vertex = {.parallelism = STORAGE_WORKERS, .n_operators = 1, .operators = &op};
    struct manifest m = {.kind = MANIFEST_CHECKPOINT, .job_name = "", .version = "", .attempt = 1, .checkpoint_id = 1};
    m.n_vertices = 1, m.vertices = &vertex, m.packs = packs;
    m.n_packs = 1;
    assert_int_equal(archive_complete(s->archive, &m, &seal, &s->diag), WEIR_E_CORRUPT);
    assert_non_null(strstr(s->diag.text, "no pack has subtask 1"));
    m.n_packs = STORAGE_WORKERS + 1;
    packs[STORAGE_WORKERS] = packs[0];
    assert_int_equal(archive_complete(s->archive, &m, &seal, &s->diag), WEIR_E_CORRUPT);
    assert_non_null(strstr(s->diag.text, "two packs"));
    m.n_packs = STORAGE_WORKERS;
    m.attempt = 2;
    assert_int_equal(archive_complete(s->archive, &m, &seal, &s->diag), WEIR_E_CORRUPT);
    m.attempt = 1;
    packs[1].crc32c ^= 1;
    assert_int_equal(archive_complete(s->archive, &m, &seal, &s->diag), WEIR_E_CORRUPT);
    packs[1].crc32c ^= 1;
    MUST(s, archive_complete(s->archive, &m, &seal, &s->diag));
}

/* Each file of a checkpoint in turn is cut, changed or gone: it is refused, and the file is named. */
static void damage_is_named(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    static const char *const names[] = {"chk-1/MANIFEST", "chk-1/pack-0", "chk-1/pack-1"};
    for (size_t i = 0; i < 3; i++) {
        for (int how = 0; how < 3; how++) {
            MUST(s, storage_checkpoint(s, 1, 0, &seal));
            size_t n;
            char *bytes = temp_read(in_job(s, names[i]), &n);
            assert_int_equal(unlink(in_job(s, names[i])), 0);
            bytes[n / 2] ^= 4;
            if (how < 2) temp_write(in_job(s, names[i]), bytes, how ? n : n - 1);
            free(bytes);
            struct checkpoint *c;
            weir_err err = checkpoint_open(&c, in_job(s, "chk-1"), NULL, &s->diag);
            assert_int_equal(err, how < 2 ? WEIR_E_CORRUPT : WEIR_E_NOT_FOUND);
            assert_non_null(strstr(s->diag.text, how == 2 && i == 0 ? "no MANIFEST" : names[i]));
            MUST(s, archive_drop(s->archive, 1, &s->diag));
        }
    }
}

static void a_missing_state_file_is_named(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    struct checkpoint *c;
    char path[PATH_MAX];
    MUST(s, storage_checkpoint(s, 1, 0, &seal));
    MUST(s, checkpoint_open(&c, in_job(s, "chk-1"), NULL, &s->diag));
    MUST(s, checkpoint_file_path(c, &c->packs[1].subtasks[0].operators[0].states[0].files[2], path, &s->diag));
    checkpoint_close(&c);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(checkpoint_open(&c, in_job(s, "chk-1"), NULL, &s->diag), WEIR_E_NOT_FOUND);
    assert_non_null(strstr(s->diag.text, path));
    assert_non_null(strstr(s->diag.text, "state 'count' of operator tally"));
}

/* What given-up checkpoints, dead writers and unknown hands left. */
static void cleaning_takes_what_nobody_names(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    struct manifest_pack told;
    uint64_t deleted = 0;
    MUST(s, storage_checkpoint(s, 1, 0, &seal));
    MUST(s, archive_begin(s->archive, 2, &s->diag)); /* given up when one worker was done */
    MUST(s, storage_worker(s, 2, 0, 100, &told));
    MUST(s, archive_begin(s->archive, 3, &s->diag)); /* under way */
    MUST(s, storage_worker(s, 3, 0, 200, &told));
    temp_write(in_job(s, "shared/.tmp-x"), "half", 4);
    temp_write(in_job(s, ".tmp-drop-1"), "half", 4);
    temp_write(in_job(s, "shared/notes"), "mine", 4);
    MUST(s, archive_clean(s->archive, 3, ARCHIVE_GRACE_MS, &deleted, &s->diag)); /* young files stay */
    assert_int_equal(deleted, 1);
    assert_string_equal(temp_list(s->job), ".tmp-drop-1 chk-1 chk-3 shared ");
    assert_int_equal(storage_count(in_job(s, "shared")), ALL + 2 * STORAGE_FILES + 2);
    MUST(s, restart(s, (uint64_t[]){1, 0}));
    MUST(s, archive_clean(s->archive, 0, 0, &deleted, &s->diag));
    assert_string_equal(temp_list(s->job), "chk-1 shared ");
    assert_int_equal(storage_count(in_job(s, "shared")), ALL + 1); /* and the notes */
    assert_int_equal(deleted, 3 + 2 * STORAGE_FILES);
}

/* A restored checkpoint stays restorable whatever comes after it (FLINK-26985). */
static void a_restored_checkpoint_stays_whole(void **state)
{
    struct storage *s = *state;
    struct files_seal first, seal;
    struct checkpoint *c;
    MUST(s, storage_checkpoint(s, 1, 0, &first));
    MUST(s, restart(s, (uint64_t[]){1, 0}));
    for (uint32_t id = 2; id < 8; id++) {
        MUST(s, storage_checkpoint(s, id, id * 3, &seal));
        if (id > 2) MUST(s, archive_drop(s->archive, id - 1, &s->diag));
        MUST(s, archive_clean(s->archive, 0, 0, NULL, &s->diag));
    }
    MUST(s, checkpoint_open(&c, in_job(s, "chk-1"), &first, &s->diag));
    MUST(s, checkpoint_verify(c, &s->diag));
    checkpoint_close(&c);
}

/* While it is not known what a retained checkpoint names, nothing shared goes. Once that one is dropped, all that is left over does. */
static void a_damaged_checkpoint_stops_deletions(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    MUST(s, storage_checkpoint(s, 1, 0, &seal));
    MUST(s, storage_checkpoint(s, 2, 0, &seal));
    MUST(s, storage_checkpoint(s, 3, 50, &seal));
    assert_int_equal(truncate(in_job(s, "chk-2/pack-1"), 20), 0);
    assert_int_equal(restart(s, (uint64_t[]){1, 2, 3, 0}), WEIR_E_CORRUPT);
    assert_non_null(strstr(s->diag.text, "chk-2/pack-1"));
    assert_int_equal(archive_drop(s->archive, 1, &s->diag), WEIR_E_STATE);
    MUST(s, storage_checkpoint(s, 4, 70, &seal));
    (void)archive_clean(s->archive, 0, 0, NULL, &s->diag);
    assert_int_equal(storage_count(in_job(s, "shared")), 3 * ALL);
    MUST(s, archive_drop(s->archive, 2, &s->diag));
    MUST(s, archive_clean(s->archive, 0, 0, NULL, &s->diag));
    assert_string_equal(temp_list(s->job), "chk-3 chk-4 shared ");
    assert_int_equal(storage_count(in_job(s, "shared")), 2 * ALL);
}

/* A deletion that failed is made by the next cleaning: the checkpoint is not kept any more. */
static void what_could_not_be_dropped_is_cleaned(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    char away[PATH_MAX];
    (void)snprintf(away, sizeof away, "%.3000s/away", s->dir.path);
    MUST(s, storage_checkpoint(s, 1, 0, &seal));
    MUST(s, storage_checkpoint(s, 2, 50, &seal));
    assert_int_equal(rename(temp_path(&s->dir, "storage"), away), 0);
    assert_int_equal(archive_drop(s->archive, 1, &s->diag), WEIR_E_NOT_FOUND);
    assert_int_equal(rename(away, temp_path(&s->dir, "storage")), 0);
    assert_int_equal(archive_kept(s->archive), 1);
    MUST(s, archive_clean(s->archive, 0, 0, NULL, &s->diag));
    assert_string_equal(temp_list(s->job), "chk-2 shared ");
    assert_int_equal(storage_count(in_job(s, "shared")), ALL);
}

/* The storage is away when the job is taken up again: what the catalog names is kept, and its files stay when the storage is back. */
static void what_cannot_be_looked_at_is_kept(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    char away[PATH_MAX];
    (void)snprintf(away, sizeof away, "%.3000s/away", s->dir.path);
    MUST(s, storage_checkpoint(s, 1, 0, &seal));
    assert_int_equal(rename(temp_path(&s->dir, "storage"), away), 0);
    assert_int_equal(restart(s, (uint64_t[]){1, 0}), WEIR_E_NOT_FOUND);
    assert_int_equal(archive_begin(s->archive, 2, &s->diag), WEIR_E_NOT_FOUND);
    assert_int_equal(rename(away, temp_path(&s->dir, "storage")), 0);
    MUST(s, storage_checkpoint(s, 2, 50, &seal));
    (void)archive_clean(s->archive, 0, 0, NULL, &s->diag);
    struct checkpoint *c;
    MUST(s, checkpoint_open(&c, in_job(s, "chk-1"), NULL, &s->diag));
    checkpoint_close(&c);
    assert_int_equal(storage_count(in_job(s, "shared")), 2 * ALL);
}

static const struct weir_id asker = {{7}}, another = {{8}};

/* A pack and a state file in the folder of a savepoint, as workers leave them. */
static void begin_savepoint(struct storage *s, const char *path)
{
    char files[PATH_MAX];
    MUST(s, savepoint_begin(path, asker, &s->diag));
    MUST(s, layout_join(path, LAYOUT_FILES, files, &s->diag));
    MUST(s, files_write(path, "pack-0", "x", 1, &s->diag));
    MUST(s, files_write(files, "half", "y", 1, &s->diag));
}

/* Whoever comes after a JobManager that has gone removes what that one's request has left, and nothing else. */
static void an_unfinished_savepoint_goes_by_its_request(void **state)
{
    struct storage *s = *state;
    char path[PATH_MAX], missing[PATH_MAX];
    (void)snprintf(path, sizeof path, "%.3000s/save", s->dir.path);
    (void)snprintf(missing, sizeof missing, "%.3000s/never/begun", s->dir.path);
    begin_savepoint(s, path);
    MUST(s, savepoint_give_up(path, another, &s->diag));
    assert_int_equal(savepoint_begin(path, another, &s->diag), WEIR_E_EXISTS);
    MUST(s, savepoint_give_up(path, another, &s->diag)); /* it was not begun */
    assert_int_equal(access(path, F_OK), 0);
    MUST(s, savepoint_give_up(path, asker, &s->diag));
    assert_int_not_equal(access(path, F_OK), 0);
    MUST(s, savepoint_give_up(path, asker, &s->diag));
    MUST(s, savepoint_give_up(missing, asker, &s->diag));
    begin_savepoint(s, path);
    MUST(s, savepoint_finish(path, asker, &s->diag));
    MUST(s, savepoint_finish(path, asker, &s->diag));
    MUST(s, savepoint_give_up(path, asker, &s->diag));
    assert_int_equal(access(path, F_OK), 0);
    MUST(s, checkpoint_remove(path, &s->diag));
}

static void a_savepoint_stands_for_itself_and_may_move(void **state)
{
    struct storage *s = *state;
    struct files_seal seal;
    char files[PATH_MAX], path[PATH_MAX], moved[PATH_MAX];
    (void)snprintf(path, sizeof path, "%.3000s/save", s->dir.path);
    (void)snprintf(moved, sizeof moved, "%.3000s/moved", s->dir.path);
    MUST(s, savepoint_begin(path, asker, &s->diag));
    assert_int_equal(savepoint_begin(path, asker, &s->diag), WEIR_E_EXISTS);
    MUST(s, layout_join(path, LAYOUT_FILES, files, &s->diag));
    struct pack_file file = {.last_group = 9};
    const char *local = storage_local(s, 1, &seal);
    file.bytes = seal.bytes, file.crc32c = seal.crc32c;
    MUST(s, files_put(local, &seal, files, file.content, NULL, &s->diag));
    struct pack_state st = {.name = "count", .kind = 1, .n_files = 1, .files = &file};
    struct pack_operator po = {.id = "tally", .last_group = 9, .n_states = 1, .states = &st};
    struct pack_subtask sub = {.parallelism = 1, .n_operators = 1, .operators = &po};
    struct pack pack = {.checkpoint_id = 5, .n_subtasks = 1, .subtasks = &sub};
    struct buffer bytes = {0};
    MUST(s, pack_encode(&pack, &bytes, &s->diag));
    MUST(s, files_write(path, "pack-0", bytes.data, bytes.len, &s->diag));
    struct manifest_pack told = {.name = "pack-0", .bytes = bytes.len, .crc32c = crc32c(0, bytes.data, bytes.len)};
    struct manifest_operator op = {.id = "tally", .name = "process", .kind = 2};
    struct manifest_vertex vertex = {.parallelism = 1, .n_operators = 1, .operators = &op};
    struct manifest m = {.kind = MANIFEST_SAVEPOINT, .job_name = "", .version = "", .checkpoint_id = 5};
    m.n_vertices = 1, m.vertices = &vertex, m.n_packs = 1, m.packs = &told;
    MUST(s, checkpoint_seal(path, &m, &seal, NULL, &s->diag));
    buffer_close(&bytes);
    assert_int_equal(rename(path, moved), 0);
    struct checkpoint *c;
    MUST(s, checkpoint_open(&c, moved, &seal, &s->diag));
    MUST(s, checkpoint_verify(c, &s->diag));
    checkpoint_close(&c);
    MUST(s, checkpoint_remove(moved, &s->diag));
    assert_int_not_equal(access(moved, F_OK), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, make, unmake)
    const struct CMUnitTest tests[] = {
        CASE(an_unfinished_savepoint_goes_by_its_request),
        CASE(a_completed_checkpoint_opens),
        CASE(an_id_is_used_once),
        CASE(a_shared_file_goes_with_the_last_that_names_it),
        CASE(a_file_that_went_meanwhile_fails_the_checkpoint),
        CASE(packs_are_compared_with_what_was_told),
        CASE(damage_is_named),
        CASE(a_missing_state_file_is_named),
        CASE(cleaning_takes_what_nobody_names),
        CASE(a_restored_checkpoint_stays_whole),
        CASE(a_damaged_checkpoint_stops_deletions),
        CASE(what_could_not_be_dropped_is_cleaned),
        CASE(what_cannot_be_looked_at_is_kept),
        CASE(a_savepoint_stands_for_itself_and_may_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
