/* SPDX-License-Identifier: Apache-2.0 */
/* `jobctl state` on a checkpoint made of real states: what it prints, what it refuses. And bytes as text, type by type. */
#include "api/jobctl/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/jobctl/exit.h"
#include "api/jobctl/state_text.h"
#include "runtime/checkpoint/reader.h"
#include "runtime/state/keyed.h"
#include "runtime/state/rocks.h"
#include "tests/support/temp_dir.h"

struct tally {
    int64_t n;
    int64_t spent;
    struct weir_str last;
};
WEIR_ROW(tally, WEIR_FIELD(tally, 1, I64, n), WEIR_FIELD_DECIMAL(tally, 2, spent, 2), WEIR_FIELD(tally, 3, STR, last));
static const struct weir_field user_field = {"user", 1, WEIR_TYPE_STR, 0, 0};

struct world {
    struct temp_dir dir;
    char save[600];
    struct rocks_shared *shared;
    struct weir_diag diag;
};

static struct world w;

static struct weir_key key_of(const char *text)
{
    return (struct weir_key){.data = text, .length = (uint32_t)strlen(text), .hash = hash64(text, strlen(text))};
}

#define MUST(call)                                        \
    do {                                                  \
        if (call) fail_msg("%s: %s", #call, w.diag.text); \
    } while (0)

/* What an operator holds: a tally of each user, its visits, an event timer. */
static void fill(struct keyed *keyed)
{
    struct weir_state_desc count = {.struct_size = sizeof count, .name = "count", .schema = &tally_schema};
    struct weir_state_desc visits = {.struct_size = sizeof visits, .name = "visits", .value_size = 8};
    struct weir_state *tallies, *list;
    MUST(keyed_open(keyed, KEYED_VALUE, &count, &tallies, &w.diag));
    MUST(keyed_open(keyed, KEYED_LIST, &visits, &list, &w.diag));
    static const char *const users[] = {"alice", "bob"};
    for (uint32_t i = 0; i < 2; i++) {
        struct weir_key key = key_of(users[i]);
        struct {
            struct tally t;
            char text[8];
        } row = {{3 + i, 1050, {sizeof(struct tally), 4}}, "caf\xc3"};
        memcpy(row.text, i ? "tea\n" : "caf\xc3", 4);
        MUST(keyed_value_write(tallies, &key, &row, sizeof(struct tally) + 4));
        uint64_t visit = 7;
        MUST(keyed_list_add(list, &key, &visit, 8));
        MUST(keyed_timer_set(keyed, &key, WEIR_EVENT_TIME, 1000 + i, 5));
    }
    keyed_describe_key(keyed, &user_field);
}

/* The snapshot as a pack's operator. Every other file is inlined. */
static void describe(struct keyed_snapshot *snapshot, const struct keyed_files *files, const char *local, struct pack_operator *o)
{
    static struct pack_state states[4];
    static struct pack_file items[4][8];
    static struct buffer bytes[4];
    const struct keyed_state_info *info;
    *o = (struct pack_operator){.id = "tally", .last_group = WEIR_KEY_GROUPS - 1, .key = *keyed_snapshot_key(snapshot), .states = states};
    for (uint32_t s = 0; (info = keyed_snapshot_state(snapshot, s)); s++) {
        states[s] = (struct pack_state){.name = info->name, .kind = info->kind, .files = items[s]};
        states[s].value_size = info->value_size;
        states[s].element_size = info->element_size;
        if (info->value) states[s].value = *info->value;
        for (uint32_t i = 0; i < files->n; i++) {
            const struct keyed_file *f = &files->items[i];
            char path[PATH_MAX], to[PATH_MAX];
            if (strcmp(f->state, info->name) != 0) continue;
            struct pack_file *file = &items[s][states[s].n_files++];
            *file = (struct pack_file){.first_group = f->first_group, .last_group = f->last_group, .bytes = f->bytes, .crc32c = f->crc32c};
            file->entries = f->entries;
            MUST(layout_join(local, f->name, path, &w.diag));
            MUST(layout_join(w.save, LAYOUT_FILES, to, &w.diag));
            if (s % 2) {
                buffer_clear(&bytes[s]);
                MUST(files_read(path, PACK_INLINE_MAX, &bytes[s], &w.diag));
                file->inlined = (struct weir_bytes){bytes[s].data, (uint32_t)bytes[s].len};
            } else {
                MUST(files_put(path, &(struct files_seal){f->bytes, f->crc32c}, to, file->content, NULL, &w.diag));
            }
        }
        o->n_states = s + 1;
    }
}

static void save(const struct pack_operator *o)
{
    struct pack_subtask subtask = {.parallelism = 1, .n_operators = 1, .operators = (struct pack_operator *)(uintptr_t)o};
    struct pack pack = {.checkpoint_id = 7, .n_subtasks = 1, .subtasks = &subtask};
    struct buffer bytes = {0};
    MUST(pack_encode(&pack, &bytes, &w.diag));
    MUST(files_write(w.save, "pack-0", bytes.data, bytes.len, &w.diag));
    struct manifest_pack told = {.name = "pack-0", .bytes = bytes.len, .crc32c = crc32c(0, bytes.data, bytes.len)};
    struct manifest_operator op = {.id = "tally", .name = "process", .kind = 2};
    struct manifest_vertex vertex = {.parallelism = 1, .n_operators = 1, .operators = &op};
    struct manifest m = {
        .kind = MANIFEST_SAVEPOINT, .job_name = "tallies", .version = "", .checkpoint_id = 7, .n_vertices = 1, .n_packs = 1};
    m.vertices = &vertex, m.packs = &told, m.created_ms = 1767225600000;
    struct files_seal seal;
    MUST(checkpoint_seal(w.save, &m, &seal, NULL, &w.diag));
    buffer_close(&bytes);
}

static int make(void **state)
{
    (void)state;
    char local[600], slot_dir[600];
    temp_dir_make(&w.dir);
    (void)snprintf(w.save, sizeof w.save, "%s/save", w.dir.path);
    (void)snprintf(local, sizeof local, "%s/local", w.dir.path);
    (void)snprintf(slot_dir, sizeof slot_dir, "%s/slot", w.dir.path);
    assert_int_equal(mkdir(local, 0700), 0);
    MUST(savepoint_begin(w.save, (struct weir_id){{7}}, &w.diag));
    MUST(rocks_shared_new(&w.shared, 1u << 20, 1, &w.diag));
    struct state_slot_config config = {.dir = slot_dir, .shared = w.shared, .snapshots = true};
    struct state_slot *slot;
    struct keyed *keyed;
    struct keyed_snapshot *snapshot;
    struct keyed_files files;
    struct pack_operator o;
    MUST(state_slot_new(&slot, &config, &w.diag));
    MUST(keyed_new(&keyed, slot, "tally", 0, WEIR_KEY_GROUPS - 1));
    fill(keyed);
    MUST(keyed_freeze(keyed, 1, &snapshot, &w.diag));
    (void)slot_copy(slot, UINT64_MAX);
    MUST(keyed_persist(snapshot, local, &files, &w.diag));
    describe(snapshot, &files, local, &o);
    save(&o);
    keyed_snapshot_destroy(&snapshot);
    keyed_files_close(&files);
    keyed_destroy(&keyed);
    state_slot_destroy(&slot);
    rocks_shared_destroy(&w.shared);
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    temp_dir_remove(&w.dir);
    return 0;
}

/* Runs the command and gives what it wrote to standard output (free). */
static char *output_of(struct ctl_arguments args, int want)
{
    const char *path = temp_path(&w.dir, "output");
    args.command = CTL_STATE;
    if (!args.subject) args.subject = w.save;
    fflush(stdout);
    int before = dup(STDOUT_FILENO);
    assert_non_null(freopen(path, "w", stdout));
    int code = state_command(&args);
    fflush(stdout);
    assert_true(dup2(before, STDOUT_FILENO) >= 0);
    close(before);
    assert_int_equal(code, want);
    size_t n;
    return temp_read(path, &n);
}

static void prints(struct ctl_arguments args, const char *want)
{
    char *text = output_of(args, CTL_EXIT_OK);
    if (strcmp(text, want) != 0) fail_msg("it prints:\n%s\ninstead of\n%s", text, want);
    free(text);
}

static void contains(struct ctl_arguments args, const char *want)
{
    char *text = output_of(args, CTL_EXIT_OK);
    if (!strstr(text, want)) fail_msg("it prints:\n%s\nwithout\n%s", text, want);
    free(text);
}

static void states_are_listed(void **state)
{
    (void)state;
    contains((struct ctl_arguments){0}, "savepoint 7 of job 000000000000 (tallies), 2026-01-01T00:00:00Z");
    contains((struct ctl_arguments){0}, "tally {n i64, spent decimal(2), last str}");
    contains((struct ctl_arguments){.format = CTL_JSON}, "\"kind\": \"timers\"");
    contains((struct ctl_arguments){.format = CTL_JSON}, "\"key\": \"str\"");
}

static void a_key_is_got(void **state)
{
    (void)state;
    prints((struct ctl_arguments){.state = "tally/count", .key = "bob"},
           "{\"key\": \"bob\", \"value\": {\"n\": 4, \"spent\": 10.50, \"last\": \"tea\\n\"}}\n");
    prints((struct ctl_arguments){.state = "tally/count", .key = "hex:626f62"},
           "{\"key\": \"bob\", \"value\": {\"n\": 4, \"spent\": 10.50, \"last\": \"tea\\n\"}}\n");
    prints((struct ctl_arguments){.state = "tally/count", .key = "alice"},
           "{\"key\": \"alice\", \"value\": {\"n\": 3, \"spent\": 10.50, \"last\": {\"hex\": \"636166c3\"}}}\n");
    free(output_of((struct ctl_arguments){.state = "tally/count", .key = "carol"}, CTL_EXIT_FAILED));
}

static void a_state_is_scanned(void **state)
{
    (void)state;
    contains((struct ctl_arguments){.state = "tally/visits"}, "{\"key\": \"alice\", \"value\": {\"hex\": \"0700000000000000\"}}\n");
    contains((struct ctl_arguments){.state = "tally/visits"}, "\"bob\"");
    contains((struct ctl_arguments){.state = "tally/~event timers"}, "{\"key\": \"bob\", \"time\": 1001, \"tag\": 5}\n");
    char *text = output_of((struct ctl_arguments){.state = "tally/visits", .limit = 1}, CTL_EXIT_OK);
    assert_ptr_equal(strchr(text, '\n') + 1, text + strlen(text));
    free(text);
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    free(output_of((struct ctl_arguments){.state = "tally/coumt"}, CTL_EXIT_FAILED));
    free(output_of((struct ctl_arguments){.subject = "/nowhere"}, CTL_EXIT_FAILED));
    free(output_of((struct ctl_arguments){.subject = w.dir.path}, CTL_EXIT_FAILED));
}

static void nothing_is_left_behind(void **state)
{
    (void)state;
    char tmp[600];
    (void)snprintf(tmp, sizeof tmp, "%s/tmp", w.dir.path);
    assert_int_equal(mkdir(tmp, 0700), 0);
    assert_int_equal(setenv("TMPDIR", tmp, 1), 0);
    contains((struct ctl_arguments){.state = "tally/visits"}, "\"bob\"");
    assert_string_equal(temp_list(tmp), "");
    unsetenv("TMPDIR");
}

static void keys_are_read_by_their_type(void **state)
{
    (void)state;
    static const struct {
        enum weir_type type;
        uint32_t scale;
        const char *text, *again; /* NULL: refused */
    } cases[] = {{WEIR_TYPE_I64, 0, "-9223372036854775808", "-9223372036854775808"},
                 {WEIR_TYPE_I64, 0, "9223372036854775808", NULL},
                 {WEIR_TYPE_I64, 0, "1.0", NULL},
                 {WEIR_TYPE_I64, 0, "", NULL},
                 {WEIR_TYPE_I32, 0, "2147483648", NULL},
                 {WEIR_TYPE_I32, 0, "-5", "-5"},
                 {WEIR_TYPE_TIME, 0, "1767225600000", "1767225600000"},
                 {WEIR_TYPE_DECIMAL, 2, "-0.5", "-0.50"},
                 {WEIR_TYPE_DECIMAL, 2, "0.505", NULL},
                 {WEIR_TYPE_DECIMAL, 2, "12", "12.00"},
                 {WEIR_TYPE_BOOL, 0, "true", "true"},
                 {WEIR_TYPE_BOOL, 0, "yes", NULL},
                 {WEIR_TYPE_F64, 0, "0.5", "0.5"},
                 {WEIR_TYPE_STR, 0, "", "\"\""},
                 {WEIR_TYPE_STR, 0, "hex:ff", "{\"hex\": \"ff\"}"},
                 {WEIR_TYPE_STR, 0, "hex:f", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct weir_field field = {"k", 1, cases[i].type, 0, cases[i].scale};
        struct buffer key = {0}, text = {0};
        weir_err err = state_text_parse_key(&field, cases[i].text, &key, &w.diag);
        assert_int_equal(err, cases[i].again ? WEIR_OK : WEIR_E_ARGUMENT);
        if (!err) {
            state_text_key(&text, &field, (struct weir_bytes){key.data, (uint32_t)key.len});
            assert_string_equal(buffer_cstr(&text), cases[i].again);
        }
        buffer_close(&key);
        buffer_close(&text);
    }
}

/* A row whose string leaves it, or that is too short, is printed as its bytes. */
static void a_row_that_does_not_fit_its_type_is_bytes(void **state)
{
    (void)state;
    struct tally t = {1, 2, {sizeof t, 1}};
    struct buffer text = {0};
    state_text_row(&text, &tally_schema, (struct weir_bytes){&t, sizeof t});
    assert_non_null(strstr(buffer_cstr(&text), "{\"hex\": \"01"));
    buffer_clear(&text);
    state_text_row(&text, &tally_schema, (struct weir_bytes){&t, 3});
    assert_string_equal(buffer_cstr(&text), "{\"hex\": \"010000\"}");
    buffer_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_listed),
        cmocka_unit_test(a_key_is_got),
        cmocka_unit_test(a_state_is_scanned),
        cmocka_unit_test(what_is_not_there_is_said),
        cmocka_unit_test(nothing_is_left_behind),
        cmocka_unit_test(keys_are_read_by_their_type),
        cmocka_unit_test(a_row_that_does_not_fit_its_type_is_bytes),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
