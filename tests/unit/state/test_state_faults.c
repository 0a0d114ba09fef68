/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyed state on a disk that fails: the Nth call that changes a file, for many N, in a story of random work with a small budget, three
 * snapshots and a restore. A failure must come out, in words, and nothing after it may report success; what does report success must be
 * right. Then the same folder is used again by a new slot, on a disk that is well. Run with LD_PRELOAD=<faultfs>; without it the tests are
 * skipped. One thread, so that the Nth call of a story is nearly always the same; RocksDB's own threads may move it.
 */
#include "runtime/state/keyed.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>

#include "runtime/state/rocks.h"
#include "tests/support/faultfs/faultfs.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/state/oracle.h"

#define NUMBERS 3000u
#define VALUE_BYTES 64u
#define EPOCHS 3u
#define BUDGET ((uint64_t)96 << 10) /* a quarter of the state, about */
#define CACHE_BYTES (1u << 20)

static weir_fault_set_fn *fault_set;
static weir_fault_count_fn *fault_count;

static int find_faults(void **state)
{
    (void)state;
    *(void **)&fault_set = dlsym(RTLD_DEFAULT, "weir_fault_set");
    *(void **)&fault_count = dlsym(RTLD_DEFAULT, "weir_fault_count");
    return 0;
}

/* ---- the story --------------------------------------------------------------------------------------------------------------------------
 */

/* What every number's value should be; 0 = none. */
struct model {
    uint64_t value[NUMBERS];
};

struct story {
    struct temp_dir dir;
    struct rocks_shared *shared;
    struct state_slot *slot;
    struct keyed *keyed;
    struct weir_state *state;
    struct rng r;
    struct model now, saved; /* saved: what the last list given holds */
    struct keyed_files files;
    struct weir_diag diag;
    uint64_t n; /* of the call that fails */
};

static struct weir_key key_of(const uint64_t *number)
{
    return (struct weir_key){.data = number, .length = 8, .hash = hash64(number, 8)};
}

static weir_err begin(struct story *s, const struct keyed_files *from)
{
    struct state_slot_config config = {.dir = temp_path(&s->dir, "faulty/slot"), .budget = BUDGET, .shared = s->shared, .snapshots = true};
    weir_err err = state_slot_new(&s->slot, &config, &s->diag);
    if (err) return err;
    assert_int_equal(keyed_new(&s->keyed, s->slot, "op", 0, WEIR_KEY_GROUPS - 1), WEIR_OK);
    struct keyed_restore_from part = {.dir = temp_path(&s->dir, "faulty/epochs"), .files = from};
    if (from) err = keyed_restore(s->keyed, &part, 1, 0, 1, &s->diag);
    if (err) return err;
    struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "values", .value_size = VALUE_BYTES};
    return keyed_open(s->keyed, KEYED_VALUE, &desc, &s->state, &s->diag);
}

static void end(struct story *s)
{
    keyed_destroy(&s->keyed);
    state_slot_destroy(&s->slot);
    s->state = NULL;
}

static weir_err change(struct story *s)
{
    uint64_t i = below(&s->r, NUMBERS);
    struct weir_key key = key_of(&i);
    if (below(&s->r, 8) == 0) {
        keyed_value_clear(s->state, &key);
        s->now.value[i] = 0;
        return WEIR_OK;
    }
    uint64_t *value = keyed_value(s->state, &key);
    if (!value) {
        weir_err err = slot_error(s->slot, &s->diag);
        if (!err) fail_msg("N = %" PRIu64 ": no value, and no error either", s->n);
        return err;
    }
    if (!slot_error(s->slot, NULL) && *value != s->now.value[i]) fail_msg("N = %" PRIu64 ": a wrong value, and no error", s->n);
    *value = s->now.value[i] = draw(&s->r) | 1;
    return WEIR_OK;
}

static weir_err work(struct story *s, uint32_t n)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < n && !err; i++) {
        err = change(s);
        if (!err && i % 32 == 0 && keyed_safe_point(s->keyed, 1)) err = slot_error(s->slot, &s->diag);
    }
    return err;
}

/* Every value is right, or there is an error. */
static weir_err read_all(struct story *s, const struct model *model)
{
    for (uint64_t i = 0; i < NUMBERS; i++) {
        struct weir_key key = key_of(&i);
        struct weir_bytes value = keyed_value_read(s->state, &key);
        weir_err err = slot_error(s->slot, &s->diag);
        if (err) return err;
        uint64_t got = 0;
        if (value.data) memcpy(&got, value.data, sizeof got);
        if (got != model->value[i]) fail_msg("N = %" PRIu64 ": number %" PRIu64 " is wrong, and no error", s->n, i);
        if (i % 32 == 0 && keyed_safe_point(s->keyed, 1)) return slot_error(s->slot, &s->diag);
    }
    return WEIR_OK;
}

static weir_err save(struct story *s, uint64_t epoch)
{
    struct keyed_snapshot *snapshot = NULL;
    struct keyed_files files = {0};
    weir_err err = keyed_freeze(s->keyed, epoch, &snapshot, &s->diag);
    if (err) return err;
    (void)slot_copy(s->slot, UINT64_MAX);
    err = keyed_persist(snapshot, temp_path(&s->dir, "faulty/epochs"), &files, &s->diag);
    if (err && files.n) fail_msg("N = %" PRIu64 ": a list after a failure", s->n);
    keyed_snapshot_destroy(&snapshot);
    if (err) return err;
    keyed_files_close(&s->files);
    s->files = files;
    s->saved = s->now;
    return WEIR_OK;
}

static weir_err play(struct story *s)
{
    weir_err err = begin(s, NULL);
    for (uint64_t epoch = 1; epoch <= EPOCHS && !err; epoch++) {
        err = work(s, 2 * NUMBERS);
        if (!err) err = save(s, epoch);
    }
    if (!err) err = work(s, NUMBERS);
    return err ? err : read_all(s, &s->now);
}

/* A restore of the last list, and a snapshot of what was restored. */
static weir_err play_restore(struct story *s)
{
    weir_err err = begin(s, &s->files);
    s->now = s->saved;
    if (!err) err = read_all(s, &s->saved);
    if (!err) err = work(s, NUMBERS);
    if (!err) err = save(s, EPOCHS + 1);
    return err ? err : read_all(s, &s->now);
}

/* ---- after a failure
 * ---------------------------------------------------------------------------------------------------------------------- */

/* Nothing reports success any more. */
static void expect_refusals(struct story *s)
{
    struct keyed_snapshot *snapshot = NULL;
    struct weir_diag diag;
    uint64_t number = 1;
    struct weir_key key = key_of(&number);
    if (!s->state) return; /* it was never opened */
    if (!slot_error(s->slot, &diag)) fail_msg("N = %" PRIu64 ": '%s' was forgotten", s->n, s->diag.text);
    if (!diag.text[0]) fail_msg("N = %" PRIu64 ": an error without words", s->n);
    if (!keyed_safe_point(s->keyed, 2)) fail_msg("N = %" PRIu64 ": a safe point went well after '%s'", s->n, s->diag.text);
    if (!keyed_freeze(s->keyed, 100, &snapshot, &diag)) fail_msg("N = %" PRIu64 ": froze after '%s'", s->n, s->diag.text);
    (void)keyed_value(s->state, &key); /* whatever it gives, it must not crash */
    keyed_value_clear(s->state, &key);
}

static bool is_essential(const char *path)
{
    return strstr(path, ".sst") || strstr(path, "/MANIFEST-") || strstr(path, "/CURRENT");
}

static void check_outcome(struct story *s, weir_err err)
{
    uint32_t failed = 0;
    char path[512] = "";
    (void)fault_count(&failed, path, sizeof path);
    if (err && !failed) fail_msg("N = %" PRIu64 ": %s, though nothing failed", s->n, s->diag.text);
    if (err && !strstr(s->diag.text, s->dir.path)) fail_msg("N = %" PRIu64 ": names no file: '%s'", s->n, s->diag.text);
    if (err) expect_refusals(s);
    if (!err && (failed & (WEIR_FAULT_SYNCS | WEIR_FAULT_WRITE | WEIR_FAULT_PWRITE)) && strstr(path, "/epochs/"))
        fail_msg("N = %" PRIu64 ": success after a failure on %s", s->n, path);
    if (getenv("VERBOSE")) {
        const char *kind = is_essential(path) ? "" : " (not essential)";
        print_message("N = %" PRIu64 " failed %x %s%s -> %s\n", s->n, failed, path, kind, err ? s->diag.text : "success");
    }
}

/* On a disk that is well: the last list that was given can be restored, and is right; so does a story from the beginning. */
static void expect_recovery(struct story *s)
{
    fault_set("", 0, 0, 0, false);
    weir_err err = s->files.n ? begin(s, &s->files) : WEIR_OK;
    if (!err && s->files.n) err = read_all(s, &s->saved);
    if (err) fail_msg("N = %" PRIu64 ": the last list cannot be restored: %s", s->n, s->diag.text);
    end(s);
}

static void forget(struct story *s)
{
    struct temp_dir epochs;
    keyed_files_close(&s->files);
    memset(&s->now, 0, sizeof s->now);
    memset(&s->saved, 0, sizeof s->saved);
    (void)snprintf(epochs.path, sizeof epochs.path, "%s", temp_path(&s->dir, "faulty/epochs"));
    temp_dir_remove(&epochs);
    assert_int_equal(mkdir(epochs.path, 0755), 0);
}

/* Returns whether the Nth call was reached. */
static bool play_with_fault(struct story *s, weir_err (*tale)(struct story *), uint32_t ops, int errnum, bool sticky)
{
    uint32_t failed = 0;
    s->r.state = 11;
    fault_set("/faulty", ops, s->n, errnum, sticky);
    weir_err err = tale(s);
    check_outcome(s, err);
    (void)fault_count(&failed, NULL, 0);
    end(s); /* still on a disk that fails */
    expect_recovery(s);
    return failed;
}

static void story_open(struct story *s)
{
    temp_dir_make(&s->dir);
    assert_int_equal(mkdir(temp_path(&s->dir, "faulty"), 0755), 0);
    assert_int_equal(mkdir(temp_path(&s->dir, "faulty/epochs"), 0755), 0);
    assert_int_equal(rocks_shared_new(&s->shared, CACHE_BYTES, 1, &s->diag), WEIR_OK);
}

static void story_close(struct story *s)
{
    keyed_files_close(&s->files);
    rocks_shared_destroy(&s->shared);
    temp_dir_remove(&s->dir);
    free(s);
}

/* All of the first calls, then fewer and fewer. */
static uint64_t next_n(uint64_t n)
{
    return n < 24 ? n + 1 : n + n / 10;
}

static void play_all(uint32_t ops, int errnum, bool sticky)
{
    if (!fault_set) skip();
    struct story *s = calloc(1, sizeof *s);
    assert_non_null(s);
    story_open(s);
    s->n = 1;
    while (play_with_fault(s, play, ops, errnum, sticky)) {
        forget(s);
        s->n = next_n(s->n);
    }
    assert_true(s->n > 20); /* the shim was there and met something */
    story_close(s);
}

static void the_disk_is_full_once(void **state)
{
    (void)state;
    play_all(WEIR_FAULT_ALL, ENOSPC, false);
}

static void the_disk_is_full_from_now_on(void **state)
{
    (void)state;
    play_all(WEIR_FAULT_ALL, ENOSPC, true);
}

static void the_disk_breaks(void **state)
{
    (void)state;
    play_all(WEIR_FAULT_ALL, EIO, true);
}

static void a_sync_fails_once(void **state)
{
    (void)state;
    play_all(WEIR_FAULT_SYNCS, EIO, false);
}

/* The list of a story without faults is restored on a disk that fails, again and again. */
static void the_disk_breaks_during_a_restore(void **state)
{
    (void)state;
    if (!fault_set) skip();
    struct story *s = calloc(1, sizeof *s);
    assert_non_null(s);
    story_open(s);
    s->r.state = 7;
    if (play(s)) fail_msg("without a fault: %s", s->diag.text);
    end(s);
    struct keyed_files first = s->files;
    struct model saved = s->saved;
    for (s->n = 1;; s->n = next_n(s->n)) {
        struct keyed_file *items = calloc(first.n, sizeof *items);
        assert_non_null(items);
        memcpy(items, first.items, first.n * sizeof *items);
        s->files = first;
        s->files.items = items;
        s->saved = saved;
        bool reached = play_with_fault(s, play_restore, WEIR_FAULT_ALL, EIO, s->n % 2);
        keyed_files_close(&s->files);
        if (!reached) break;
    }
    keyed_files_close(&first);
    story_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_disk_is_full_once), cmocka_unit_test(the_disk_is_full_from_now_on),     cmocka_unit_test(the_disk_breaks),
        cmocka_unit_test(a_sync_fails_once),     cmocka_unit_test(the_disk_breaks_during_a_restore),
    };
    return cmocka_run_group_tests(tests, find_faults, NULL);
}
