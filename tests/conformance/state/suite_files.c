/* SPDX-License-Identifier: Apache-2.0 */
/* Cases of the files alone: what is broken is refused by name, what is whole is enough. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/state/run.h"
#include "tests/conformance/state/suite.h"

enum { PLACES = 6 }; /* of a file, where a byte is flipped: the first, the last, some between */

static void in_folder(char out[SYSTEM_PATH_MAX + 80], const char *folder, const char *name)
{
    snprintf(out, SYSTEM_PATH_MAX + 80, "%s/%s", folder, name);
}

/* State of every kind, in several snapshots. */
static void live(struct story *s)
{
    static unsigned char bytes[100];
    uint32_t value = has(s, KEYED_VALUE, 0, 0, 0), list = has(s, KEYED_LIST, 0, 0, 0), map = has(s, KEYED_MAP, 0, 0, 0);
    uint32_t ordered = has(s, KEYED_ORDERED, 0, 0, 0), panes = has(s, KEYED_PANES, 8, 0, 0), rules = has(s, KEYED_BROADCAST, 0, 0, 0);
    uint32_t positions = has(s, KEYED_OPERATOR_LIST, 0, 0, 0);
    struct weir_bytes any = {bytes, sizeof bytes};
    begin(s);
    for (uint32_t i = 0; i < 120; i++) {
        bytes[i % sizeof bytes]++;
        act(s, (struct op){.verb = VALUE_WRITE, .state = value, .key = key(i), .bytes = any});
        act(s, (struct op){.verb = LIST_ADD, .state = list, .key = key(i % 7), .bytes = any});
        act(s, (struct op){.verb = MAP_PUT, .state = map, .key = key(i % 3), .user_key = any, .bytes = any});
        act(s, (struct op){.verb = ORDERED_PUT, .state = ordered, .key = key(1), .time_ms = (weir_time)i, .bytes = any});
        act(s, (struct op){.verb = PANE_PROBE, .state = panes, .pane = (int64_t)(i % 3), .key = key(i), .n = 1});
        if (i % 10) continue; /* what stays in memory whatever the budget: little */
        act(s, (struct op){.verb = TIMER_SET, .state = STATES_MAX, .key = key(i), .time_ms = (weir_time)i});
        act(s, (struct op){.verb = BROADCAST_PUT, .state = rules, .user_key = any, .bytes = any});
        act(s, (struct op){.verb = OPERATOR_LIST_ADD, .state = positions, .bytes = any});
        if (i % 40 == 0) keep(s);
        if (i % 20 == 0) passes(s, 1);
    }
}

/* A folder of one's own with copies of the snapshot's files. */
static void copy_snapshot(struct story *s, char folder[SYSTEM_PATH_MAX], struct keyed_restore_from *from)
{
    char to[SYSTEM_PATH_MAX + 80], source[SYSTEM_PATH_MAX + 80];
    *from = system_snapshot(s->subject, 0);
    system_folder(s->subject, "copy", folder);
    for (uint32_t i = 0; i < from->files->n; i++) {
        in_folder(source, from->dir, from->files->items[i].name);
        in_folder(to, folder, from->files->items[i].name);
        CHECK(run_file_copy(source, to, NULL) == WEIR_OK);
    }
    from->dir = folder;
}

static weir_err try(struct story *s, const struct keyed_restore_from *from, struct weir_diag *diag)
{
    *diag = (struct weir_diag){0};
    return system_try_restore(s->subject, from, (enum keyed_kind)0, NULL, diag);
}

static void is_refused(struct story *s, const struct keyed_restore_from *from, weir_err expected, const char *name)
{
    struct weir_diag diag;
    weir_err err = try(s, from, &diag);
    if (err != expected) BROKEN("%s: %s instead of %s: %s", name, weir_err_name(err), weir_err_name(expected), diag.text);
    if (!strstr(diag.text, name)) BROKEN("\"%s\" does not name %s", diag.text, name);
}

static void whole_files_are_enough(struct story *s)
{
    char folder[SYSTEM_PATH_MAX];
    struct keyed_restore_from from;
    struct weir_diag diag;
    live(s);
    copy_snapshot(s, folder, &from);
    weir_err err = try(s, &from, &diag);
    if (err) BROKEN("%s: %s", weir_err_name(err), diag.text);
}

static void flip(const char *path, uint64_t at)
{
    unsigned char byte;
    int file = open(path, O_RDWR);
    CHECK(file >= 0 && pread(file, &byte, 1, (off_t)at) == 1);
    byte ^= 1;
    CHECK(pwrite(file, &byte, 1, (off_t)at) == 1 && close(file) == 0);
}

static void flipped_byte_is_refused(struct story *s)
{
    char folder[SYSTEM_PATH_MAX], path[SYSTEM_PATH_MAX + 80];
    struct keyed_restore_from from;
    live(s);
    copy_snapshot(s, folder, &from);
    for (uint32_t i = 0; i < from.files->n; i++) {
        const struct keyed_file *file = &from.files->items[i];
        in_folder(path, folder, file->name);
        for (uint64_t place = 0; place < PLACES; place++) {
            uint64_t at = (file->bytes - 1) * place / (PLACES - 1);
            flip(path, at);
            is_refused(s, &from, WEIR_E_CORRUPT, file->name);
            flip(path, at);
        }
    }
}

static void cut_file_is_refused(struct story *s)
{
    char folder[SYSTEM_PATH_MAX], path[SYSTEM_PATH_MAX + 80], source[SYSTEM_PATH_MAX + 80];
    struct keyed_restore_from from;
    live(s);
    copy_snapshot(s, folder, &from);
    for (uint32_t i = 0; i < from.files->n; i++) {
        const struct keyed_file *file = &from.files->items[i];
        in_folder(path, folder, file->name);
        in_folder(source, system_snapshot(s->subject, 0).dir, file->name);
        for (uint64_t left = 0; left < 3; left++) { /* empty, half, all but a byte */
            CHECK(truncate(path, (off_t)(left == 2 ? file->bytes - 1 : file->bytes * left / 2)) == 0);
            is_refused(s, &from, WEIR_E_CORRUPT, file->name);
            CHECK(unlink(path) == 0 && run_file_copy(source, path, NULL) == WEIR_OK);
        }
    }
}

static void missing_file_is_not_found(struct story *s)
{
    char folder[SYSTEM_PATH_MAX], path[SYSTEM_PATH_MAX + 80], away[SYSTEM_PATH_MAX + 80];
    struct keyed_restore_from from;
    live(s);
    copy_snapshot(s, folder, &from);
    in_folder(away, folder, "away");
    for (uint32_t i = 0; i < from.files->n; i++) {
        in_folder(path, folder, from.files->items[i].name);
        CHECK(rename(path, away) == 0);
        is_refused(s, &from, WEIR_E_NOT_FOUND, from.files->items[i].name);
        CHECK(rename(away, path) == 0);
    }
}

/* Two files that differ change places: the first of the list that is not what it should be is named. */
static void swapped_files_are_refused(struct story *s)
{
    char folder[SYSTEM_PATH_MAX], paths[2][SYSTEM_PATH_MAX + 80], away[SYSTEM_PATH_MAX + 80];
    struct keyed_restore_from from;
    struct weir_diag diag;
    live(s);
    copy_snapshot(s, folder, &from);
    in_folder(away, folder, "away");
    CHECK(from.files->n > 1);
    for (uint32_t i = 0; i + 1 < from.files->n; i++) {
        const struct keyed_file *files = &from.files->items[i];
        in_folder(paths[0], folder, files[0].name);
        in_folder(paths[1], folder, files[1].name);
        CHECK(rename(paths[0], away) == 0 && rename(paths[1], paths[0]) == 0 && rename(away, paths[1]) == 0);
        CHECK(try(s, &from, &diag) == WEIR_E_CORRUPT);
        CHECK(strstr(diag.text, files[0].name) || strstr(diag.text, files[1].name));
        CHECK(rename(paths[0], away) == 0 && rename(paths[1], paths[0]) == 0 && rename(away, paths[1]) == 0);
    }
}

static void restored_state_of_another_kind_is_refused(struct story *s)
{
    struct weir_diag diag = {0};
    struct weir_state_desc desc = {.struct_size = sizeof desc};
    live(s);
    desc.name = s->config.states[0].name;
    struct keyed_restore_from from = system_snapshot(s->subject, 0);
    CHECK(system_try_restore(s->subject, &from, KEYED_VALUE, &desc, &diag) == WEIR_OK);
    CHECK(system_try_restore(s->subject, &from, KEYED_MAP, &desc, &diag) == WEIR_E_STATE);
    CHECK(strstr(diag.text, desc.name));
    desc.value_size = 8;
    CHECK(system_try_restore(s->subject, &from, KEYED_VALUE, &desc, &diag) == WEIR_E_STATE);
}

/* Nothing changed: nothing is written. */
static void snapshot_without_changes_brings_no_values(struct story *s)
{
    uint32_t v = has(s, KEYED_VALUE, 0, 0, 0);
    begin(s);
    write_text(s, v, key(1), "one");
    for (int i = 0; i < 20; i++) keep(s); /* time enough to turn over whatever there is */
    CHECK(system_snapshot(s->subject, 0).files->n <= 20);
    restart(s, 1);
    reads(s, v, key(1), "one");
}

/* A list cannot name every file there has been, or a job that runs for a year has a year's files. */
static void old_files_go(struct story *s)
{
    uint32_t v = has(s, KEYED_VALUE, 0, 0, 0), most = 0;
    begin(s);
    for (uint32_t i = 0; i < 300; i++) {
        write_text(s, v, key(i % 50), "changes all the time");
        keep(s);
        uint32_t n = system_snapshot(s->subject, 0).files->n;
        if (n > most) most = n;
        passes(s, 1);
    }
    if (most > 150) BROKEN("300 snapshots of 50 keys: one list names %u files", most);
    restart(s, 1);
    for (uint32_t i = 0; i < 50; i++) reads(s, v, key(i), "changes all the time");
}

static void operators_of_a_slot_do_not_mix(struct story *s)
{
    struct keyed *other;
    struct weir_state *state;
    uint32_t v = has(s, KEYED_VALUE, 0, 0, 0);
    begin(s);
    struct weir_state_desc desc = {.struct_size = sizeof desc, .name = s->config.states[v].name};
    CHECK(keyed_new(&other, system_slot(s->subject, 0), "another operator", 0, WEIR_KEY_GROUPS - 1) == WEIR_OK);
    CHECK(keyed_open(other, KEYED_VALUE, &desc, &state, NULL) == WEIR_OK);
    write_text(s, v, key(1), "mine");
    CHECK(keyed_value_read(state, key(1)).data == NULL);
    CHECK(keyed_value_write(state, key(1), "other", 5) == WEIR_OK);
    move_out(s);
    CHECK(keyed_safe_point(other, s->now_ms) == WEIR_OK);
    reads(s, v, key(1), "mine");
    CHECK(keyed_value_read(state, key(1)).length == 5);
    keyed_destroy(&other);
    reads(s, v, key(1), "mine");
}

/* What fits is never written out, and never read. */
static void state_that_fits_its_budget_stays(struct story *s)
{
    uint32_t v = has(s, KEYED_VALUE, 0, 0, 0);
    begin(s);
    for (uint32_t i = 0; i < 500; i++) write_text(s, v, key(i), "in memory");
    move_out(s);
    struct slot_stats st = system_stats(s->subject, 0);
    bool fits = st.budget > 1u << 20;
    if (fits) CHECK(st.evictions == 0 && st.loads == 0 && st.write_outs == 0);
    if (!fits) CHECK(st.evictions > 0);
    for (uint32_t i = 0; i < 500; i++) reads(s, v, key(i), "in memory");
}

const struct named_case file_cases[] = {
    {"whole files are enough", whole_files_are_enough, NEEDS_SYSTEM | NEEDS_SNAPSHOTS},
    {"a flipped byte is refused by name", flipped_byte_is_refused, NEEDS_SYSTEM | NEEDS_SNAPSHOTS},
    {"a file cut short is refused by name", cut_file_is_refused, NEEDS_SYSTEM | NEEDS_SNAPSHOTS},
    {"a missing file is not found, by name", missing_file_is_not_found, NEEDS_SYSTEM | NEEDS_SNAPSHOTS},
    {"files that changed places are refused", swapped_files_are_refused, NEEDS_SYSTEM | NEEDS_SNAPSHOTS},
    {"restored state of another kind or size is refused", restored_state_of_another_kind_is_refused, NEEDS_SYSTEM | NEEDS_SNAPSHOTS},
    {"a snapshot without changes brings few files", snapshot_without_changes_brings_no_values, NEEDS_SYSTEM | NEEDS_SNAPSHOTS},
    {"old files go", old_files_go, NEEDS_SYSTEM | NEEDS_SNAPSHOTS},
    {"operators of a slot do not mix", operators_of_a_slot_do_not_mix, NEEDS_SYSTEM | NEEDS_DISK},
    {"state that fits its budget stays in memory", state_that_fits_its_budget_stays, NEEDS_SYSTEM | NEEDS_DISK},
    {NULL, NULL, 0},
};
