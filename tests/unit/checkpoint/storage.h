/* SPDX-License-Identifier: Apache-2.0 */
/* A job of one vertex with two subtasks, one a worker, that writes checkpoints: state files with known bytes, packs, manifests. */
#ifndef WEIR_TESTS_UNIT_CHECKPOINT_STORAGE_H
#define WEIR_TESTS_UNIT_CHECKPOINT_STORAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/checkpoint/archive.h"
#include "tests/support/temp_dir.h"

#define STORAGE_WORKERS 2u
#define STORAGE_FILES 4u

struct storage {
    struct temp_dir dir;
    char job[PATH_MAX];   /* the job's folder in the storage */
    char local[PATH_MAX]; /* where the workers' state files lie */
    struct archive *archive;
    struct weir_diag diag;
};

static inline void storage_make(struct storage *s)
{
    *s = (struct storage){0};
    temp_dir_make(&s->dir);
    (void)snprintf(s->job, sizeof s->job, "%s/storage/job", s->dir.path);
    (void)snprintf(s->local, sizeof s->local, "%s/local", s->dir.path);
    assert_int_equal(mkdir(temp_path(&s->dir, "storage"), 0700), 0);
    assert_int_equal(mkdir(s->local, 0700), 0);
}

static inline void storage_remove(struct storage *s)
{
    archive_destroy(&s->archive);
    temp_dir_remove(&s->dir);
}

/* A local state file whose bytes tell its number. */
static inline const char *storage_local(const struct storage *s, uint32_t number, struct files_seal *seal)
{
    static char path[PATH_MAX];
    unsigned char bytes[700];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(number * 31 + i);
    (void)snprintf(path, sizeof path, "%.3000s/state-%u", s->local, number);
    *seal = (struct files_seal){sizeof bytes, crc32c(0, bytes, sizeof bytes)};
    if (access(path, F_OK)) temp_write(path, bytes, sizeof bytes);
    return path;
}

/* What one worker does of a checkpoint whose state is the files from `first` on: puts them, writes its pack. */
static inline weir_err storage_worker(struct storage *s, uint64_t id, uint32_t worker, uint32_t first, struct manifest_pack *told)
{
    static char names[STORAGE_WORKERS][PACK_NAME];
    struct pack_file files[STORAGE_FILES] = {0};
    char chk[PATH_MAX], shared[PATH_MAX];
    struct buffer bytes = {0};
    weir_err err = layout_checkpoint(s->job, id, chk, &s->diag);
    if (!err) err = layout_join(s->job, LAYOUT_SHARED, shared, &s->diag);
    for (uint32_t i = 0; i < STORAGE_FILES && !err; i++) {
        struct files_seal seal;
        const char *path = storage_local(s, first + worker * STORAGE_FILES + i, &seal);
        files[i] = (struct pack_file){.last_group = 9, .bytes = seal.bytes, .crc32c = seal.crc32c};
        err = files_put(path, &seal, shared, files[i].content, NULL, &s->diag);
    }
    struct pack_state state = {.name = "count", .kind = 1, .value_size = 8, .n_files = STORAGE_FILES, .files = files};
    struct pack_operator op = {.id = "tally", .last_group = 32767, .n_states = 1, .states = &state};
    struct pack_subtask subtask = {.index = worker, .parallelism = STORAGE_WORKERS, .n_operators = 1, .operators = &op};
    struct pack pack = {.attempt = 1, .checkpoint_id = id, .worker = worker, .n_subtasks = 1, .subtasks = &subtask};
    if (!err) err = pack_encode(&pack, &bytes, &s->diag);
    if (!err) err = files_write(chk, layout_pack(worker, names[worker]), bytes.data, bytes.len, &s->diag);
    if (!err) err = files_sync_folder(shared, &s->diag);
    if (!err) err = files_sync_folder(chk, &s->diag);
    if (!err) *told = (struct manifest_pack){.name = names[worker], .bytes = bytes.len, .crc32c = crc32c(0, bytes.data, bytes.len)};
    buffer_close(&bytes);
    return err;
}

/* A whole checkpoint. Its state is 2 * STORAGE_FILES files from number `first` on. */
static inline weir_err storage_checkpoint(struct storage *s, uint64_t id, uint32_t first, struct files_seal *seal)
{
    struct manifest_pack packs[STORAGE_WORKERS];
    struct manifest_operator op = {.id = "tally", .name = "process", .kind = 2};
    struct manifest_vertex vertex = {.parallelism = STORAGE_WORKERS, .n_operators = 1, .operators = &op};
    struct manifest m = {.kind = MANIFEST_CHECKPOINT,
                         .job_name = "counting",
                         .attempt = 1,
                         .checkpoint_id = id,
                         .version = "0.1.0",
                         .parallelism = STORAGE_WORKERS,
                         .n_vertices = 1,
                         .vertices = &vertex,
                         .n_packs = STORAGE_WORKERS,
                         .packs = packs};
    weir_err err = archive_begin(s->archive, id, &s->diag);
    for (uint32_t w = 0; w < STORAGE_WORKERS && !err; w++) err = storage_worker(s, id, w, first, &packs[w]);
    return err ? err : archive_complete(s->archive, &m, seal, &s->diag);
}

/* Number of names in a folder. */
static inline uint32_t storage_count(const char *path)
{
    uint32_t n = 0;
    for (const char *c = temp_list(path); *c; c++) n += *c == ' ';
    return n;
}

#define MUST(s, call)                                                        \
    do {                                                                     \
        if (call) fail_msg("%s:%d: %s", __FILE__, __LINE__, (s)->diag.text); \
    } while (0)

#endif
