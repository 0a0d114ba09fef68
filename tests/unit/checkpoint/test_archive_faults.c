/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A storage that fails, and processes that die, at every single call that changes it. The story: checkpoint 1 is there and pointed to;
 * checkpoint 2 is written by its workers, completed, pointed to; 1 is dropped; what is left over is cleaned.
 *
 *   crash    at the Nth call the process ends. A new one finds the checkpoint that is pointed to whole, cleans up, and goes on.
 *   failure  the Nth call fails, alone or with all later ones. What reports success is true; what fails names a file; when the storage is
 *            well again everything goes on, and nothing is left over.
 *
 * Run with LD_PRELOAD=<faultfs>; without it the tests are skipped.
 */
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/faultfs/faultfs.h"
#include "tests/unit/checkpoint/storage.h"

#define ALL (STORAGE_WORKERS * STORAGE_FILES)
#define SECOND (ALL / 2) /* first state file of checkpoint 2: half are those of checkpoint 1 */
#define CALLS_MAX 200u   /* more than the story makes */

static weir_fault_set_fn *fault_set;
static weir_fault_count_fn *fault_count;

static int find_faults(void **state)
{
    (void)state;
    *(void **)&fault_set = dlsym(RTLD_DEFAULT, "weir_fault_set");
    *(void **)&fault_count = dlsym(RTLD_DEFAULT, "weir_fault_count");
    return 0;
}

static void heal(void)
{
    fault_set("", 0, 0, 0, false);
}

/* The catalog: the number of the checkpoint that is pointed to, outside the storage. */
static void point_to(const struct storage *s, uint64_t id)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%" PRIu64, id);
    temp_write(temp_path(&s->dir, "pointer"), text, (size_t)n);
}

static uint64_t pointed_to(const struct storage *s)
{
    size_t n;
    char *text = temp_read(temp_path(&s->dir, "pointer"), &n);
    uint64_t id = strtoull(text, NULL, 10);
    free(text);
    return id;
}

static void begin(struct storage *s)
{
    struct files_seal seal;
    storage_make(s);
    for (uint32_t i = 0; i < 2 * ALL; i++) (void)storage_local(s, i, &seal); /* the workers' own disk is well */
    MUST(s, archive_open(&s->archive, s->job, &s->diag));
    MUST(s, storage_checkpoint(s, 1, 0, &seal));
    point_to(s, 1);
}

/* What has been reported as done. */
struct done {
    bool completed, dropped, cleaned;
};

static weir_err play(struct storage *s, struct done *done)
{
    struct files_seal seal;
    weir_err err = storage_checkpoint(s, 2, SECOND, &seal);
    if (err) return err;
    done->completed = true;
    point_to(s, 2);
    err = archive_drop(s->archive, 1, &s->diag);
    if (err) return err;
    done->dropped = true;
    err = archive_clean(s->archive, 0, 0, NULL, &s->diag);
    done->cleaned = !err;
    return err;
}

/* The storage is well: a new process finds what is pointed to, and leaves nothing else there. Then the next checkpoint is made. */
static void go_on(struct storage *s, uint64_t n)
{
    struct checkpoint *c = NULL;
    struct files_seal seal;
    char shared[PATH_MAX], want[64];
    uint64_t id = pointed_to(s);
    archive_destroy(&s->archive);
    if (archive_open(&s->archive, s->job, &s->diag) || archive_keep(s->archive, id, NULL, &c, &s->diag) || checkpoint_verify(c, &s->diag) ||
        archive_clean(s->archive, 0, 0, NULL, &s->diag))
        fail_msg("N = %" PRIu64 ": %s", n, s->diag.text);
    checkpoint_close(&c);
    MUST(s, layout_join(s->job, LAYOUT_SHARED, shared, &s->diag));
    (void)snprintf(want, sizeof want, "chk-%" PRIu64 " shared ", id);
    if (strcmp(temp_list(s->job), want) != 0) fail_msg("N = %" PRIu64 ": '%s' in the job's folder", n, temp_list(s->job));
    if (storage_count(shared) != ALL) fail_msg("N = %" PRIu64 ": %u shared files instead of %u", n, storage_count(shared), ALL);
    MUST(s, storage_checkpoint(s, 3, 0, &seal));
    MUST(s, archive_drop(s->archive, id, &s->diag));
    assert_int_equal(storage_count(shared), ALL);
}

/* The story in a process of its own that dies at call n. True: it did. */
static bool die_at(struct storage *s, uint64_t n)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct done done = {0};
        fault_set("/storage/", WEIR_FAULT_EVERY, n, WEIR_FAULT_CRASH, false);
        _exit(play(s, &done) ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 1);
    return WEXITSTATUS(status) == WEIR_FAULT_CRASH_EXIT;
}

static void a_death_at_any_call_leaves_the_old_or_the_new(void **state)
{
    (void)state;
    if (!fault_set) skip();
    bool old = false, new = false, died = true;
    uint64_t n = 0;
    while (died && n < CALLS_MAX) {
        struct storage s;
        begin(&s);
        died = die_at(&s, ++n);
        uint64_t id = pointed_to(&s);
        old |= id == 1;
        new |= id == 2;
        go_on(&s, n);
        storage_remove(&s);
    }
    assert_false(died);
    assert_true(old && new);
    assert_true(n > 30); /* the story has that many calls at least: else the shim sees nothing */
}

/* One failure. False: the story has fewer calls. */
static bool fail_at(uint64_t n, int errnum, bool sticky, uint32_t ops)
{
    struct storage s;
    struct done done = {0};
    uint32_t failed;
    begin(&s);
    fault_set("/storage/", ops, n, errnum, sticky);
    weir_err err = play(&s, &done);
    uint64_t calls = fault_count(&failed, NULL, 0);
    heal();
    if (failed && !err) fail_msg("N = %" PRIu64 ": a call failed (kinds %x), and all was well", n, failed);
    if (err && !strstr(s.diag.text, "/storage/")) fail_msg("N = %" PRIu64 ": no file in '%s'", n, s.diag.text);
    if (err && !strstr(s.diag.text, strerror(errnum))) fail_msg("N = %" PRIu64 ": no cause in '%s'", n, s.diag.text);
    if (!done.completed) MUST(&s, archive_drop(s.archive, 2, &s.diag)); /* given up */
    go_on(&s, n);
    storage_remove(&s);
    return calls >= n;
}

static void fail_everywhere(int errnum, bool sticky, uint32_t ops, uint64_t least)
{
    if (!fault_set) skip();
    uint64_t n = 1;
    while (fail_at(n, errnum, sticky, ops) && n < CALLS_MAX) n++;
    assert_true(n > least && n < CALLS_MAX);
}

static void an_error_at_any_call_is_told(void **state)
{
    (void)state;
    fail_everywhere(EIO, false, WEIR_FAULT_EVERY, 30);
}

static void a_full_disk_from_any_call_on_is_told(void **state)
{
    (void)state;
    fail_everywhere(ENOSPC, true, WEIR_FAULT_EVERY, 20);
}

/* The workers' and the JobManager's syncs, of files and folders: none may be missing from the story, none may be ignored. */
static void a_failed_fsync_is_never_success(void **state)
{
    (void)state;
    fail_everywhere(EIO, false, WEIR_FAULT_SYNCS, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_death_at_any_call_leaves_the_old_or_the_new),
        cmocka_unit_test(an_error_at_any_call_is_told),
        cmocka_unit_test(a_full_disk_from_any_call_on_is_told),
        cmocka_unit_test(a_failed_fsync_is_never_success),
    };
    return cmocka_run_group_tests(tests, find_faults, NULL);
}
