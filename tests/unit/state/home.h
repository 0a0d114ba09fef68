/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a state of these tests lives: a slot and one family in it, which can be saved to a folder and found again by another home. All key
 * groups; no time to live.
 */
#ifndef WEIR_TESTS_UNIT_STATE_HOME_H
#define WEIR_TESTS_UNIT_STATE_HOME_H

#include "runtime/state/snapshot.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/state/oracle.h"

#define SAVED_MAX 64u

struct home {
    struct state_slot *slot;
    struct family *family;
};

/* Files of a snapshot, in one folder. */
struct saved {
    struct temp_dir dir;
    struct keyed_file files[SAVED_MAX];
    uint32_t n;
    uint64_t epoch;
};

static struct rocks_shared *rocks_of_all;

static inline void ok(weir_err err, const struct weir_diag *diag)
{
    if (err) print_error("%s: %s\n", weir_err_name(err), diag->text);
    assert_int_equal(err, WEIR_OK);
}

/* dir: scratch folder; NULL: in memory, without limit. */
static inline void home_open(struct home *h, const char *dir, uint64_t budget, uint32_t value_size)
{
    struct weir_diag diag;
    if (dir && !rocks_of_all) ok(rocks_shared_new(&rocks_of_all, 1u << 20, 1, &diag), &diag);
    const struct state_slot_config config = {.dir = dir, .budget = budget, .shared = dir ? rocks_of_all : NULL, .snapshots = dir != NULL};
    const struct family_options options = {.name = "op/state", .value_size = value_size, .last_group = WEIR_KEY_GROUPS - 1};
    ok(state_slot_new(&h->slot, &config, &diag), &diag);
    ok(family_new(&h->family, h->slot, &options, &diag), &diag);
}

/* After everything that lives in it. */
static inline void home_close(struct home *h)
{
    family_destroy(&h->family);
    state_slot_destroy(&h->slot);
}

static inline struct memory *home_memory(struct home *h)
{
    return slot_memory(h->slot);
}

static inline void home_ok(struct home *h)
{
    struct weir_diag diag;
    weir_err err = slot_error(h->slot, &diag);
    ok(err, &diag);
}

static inline void saved_init(struct saved *s)
{
    *s = (struct saved){0};
    temp_dir_make(&s->dir);
}

static inline void saved_close(struct saved *s)
{
    temp_dir_remove(&s->dir);
}

/* The home's family as it is now; earlier snapshots of the same home in `s` stay in its folder. */
static inline void home_save(struct home *h, struct saved *s)
{
    struct frozen *frozen;
    struct weir_diag diag;
    ok(family_freeze(h->family, ++s->epoch, &frozen), &diag);
    (void)slot_copy(h->slot, UINT64_MAX);
    ok(frozen_persist(frozen, s->dir.path, &diag), &diag);
    assert_in_range(frozen->files.n, 0, SAVED_MAX);
    s->n = frozen->files.n;
    for (uint32_t i = 0; i < s->n; i++) s->files[i] = frozen->files.items[i];
    frozen_settle(&frozen);
    home_ok(h);
}

/* Before any state of the home is made. Several: one behind the other. */
static inline void home_restore(struct home *h, const struct saved *const *saved, uint32_t n)
{
    struct keyed_file files[SAVED_MAX];
    struct weir_diag diag;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(files, saved[i]->files, sizeof files);
        const struct restore_part part = {.files = files, .n = saved[i]->n, .dir = saved[i]->dir.path, .last_group = WEIR_KEY_GROUPS - 1};
        if (part.n) ok(family_restore(h->family, &part, &diag), &diag);
    }
}

/* Teardown of a group of tests. */
static inline int home_end(void **state)
{
    (void)state;
    rocks_shared_destroy(&rocks_of_all);
    return 0;
}

static inline struct weir_key text_key(const char *text)
{
    uint32_t length = (uint32_t)strlen(text);
    return (struct weir_key){.data = text, .length = length, .hash = hash64(text, length)};
}

#endif
