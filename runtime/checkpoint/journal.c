/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/checkpoint/journal.h"

#include "runtime/checkpoint/codec.h"

enum { VERSION = 1, FILE_BYTES = 24 };
static const char MAGIC[CODEC_MAGIC] = {'W', 'E', 'I', 'R', 'D', 'R', 'O', 'P'};

weir_err journal_encode(const struct journal *j, struct buffer *out, struct weir_diag *diag)
{
    struct codec_writer w;
    codec_begin(&w, out, MAGIC, VERSION);
    codec_put_u64(&w, j->checkpoint_id);
    codec_put_u32(&w, j->n_files);
    for (uint32_t i = 0; i < j->n_files; i++) {
        codec_put_u64(&w, j->files[i].hash.low);
        codec_put_u64(&w, j->files[i].hash.high);
        codec_put_u64(&w, j->files[i].bytes);
    }
    return codec_end(&w, "deletion", JOURNAL_MAX, diag);
}

weir_err journal_decode(struct journal *out, const void *data, size_t length, struct weir_diag *diag)
{
    struct codec_reader r;
    weir_err err = codec_open(&r, data, length, MAGIC, VERSION, "deletion", diag);
    if (err) return err;
    struct journal j = {.checkpoint_id = codec_u64(&r)};
    j.n_files = codec_count(&r, UINT32_MAX, FILE_BYTES);
    j.files = codec_array(&r, j.n_files, sizeof *j.files);
    for (uint32_t i = 0; j.files && i < j.n_files; i++) {
        j.files[i].hash.low = codec_u64(&r);
        j.files[i].hash.high = codec_u64(&r);
        j.files[i].bytes = codec_u64(&r);
    }
    err = codec_close(&r, "deletion", diag);
    if (err) return err;
    j.arena = r.arena;
    *out = j;
    return WEIR_OK;
}

void journal_close(struct journal *j)
{
    if (!j->arena.blocks) return;
    struct arena arena = j->arena;
    *j = (struct journal){0};
    arena_close(&arena);
}
