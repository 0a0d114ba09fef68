/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/checkpoint/manifest.h"

#include "runtime/checkpoint/codec.h"
#include "runtime/checkpoint/layout.h"
#include "weir/source.h"
#include "weir/stream.h"

enum { VERSION = 1, OPERATOR_LEAST = 9, VERTEX_LEAST = 8, PACK_LEAST = 22 };
static const char MAGIC[CODEC_MAGIC] = {'W', 'E', 'I', 'R', 'M', 'A', 'N', 'I'};

#define JOB_NAME_MAX 4096u
#define VERSION_TEXT_MAX 64u
#define PACKS_MAX 65536u
#define OPERATOR_KINDS 8u

/* ---- writing ------------------------------------------------------------------------------------------------------------------------- */

static void put_vertex(struct codec_writer *w, const struct manifest_vertex *v)
{
    codec_put_u32(w, v->parallelism);
    codec_put_u32(w, v->n_operators);
    for (uint32_t i = 0; i < v->n_operators; i++) {
        const struct manifest_operator *o = &v->operators[i];
        codec_put_text(w, o->id, WEIR_NAME_MAX);
        codec_put_text(w, o->name, WEIR_NAME_MAX);
        codec_put_u8(w, (uint8_t)o->kind);
        codec_put_u32(w, o->n_splits);
    }
}

static void put_pack(struct codec_writer *w, const struct manifest_pack *p)
{
    codec_put_text(w, p->name, PACK_NAME - 1);
    codec_put_u64(w, p->bytes);
    codec_put_u32(w, p->crc32c);
    codec_put_u64(w, p->state_bytes);
}

weir_err manifest_encode(const struct manifest *m, struct buffer *out, struct weir_diag *diag)
{
    struct codec_writer w;
    codec_begin(&w, out, MAGIC, VERSION);
    codec_put_u8(&w, (uint8_t)m->kind);
    codec_put_raw(&w, m->job.bytes, sizeof m->job.bytes);
    codec_put_text(&w, m->job_name, JOB_NAME_MAX);
    codec_put_u64(&w, m->attempt);
    codec_put_u64(&w, m->epoch);
    codec_put_u64(&w, m->checkpoint_id);
    codec_put_u32(&w, m->options);
    codec_put_i64(&w, m->triggered_ms);
    codec_put_i64(&w, m->created_ms);
    codec_put_u64(&w, m->graph_fingerprint);
    codec_put_raw(&w, m->plugin.bytes, sizeof m->plugin.bytes);
    codec_put_text(&w, m->version, VERSION_TEXT_MAX);
    codec_put_u32(&w, m->parallelism);
    codec_put_u32(&w, m->n_vertices);
    for (uint32_t i = 0; i < m->n_vertices; i++) put_vertex(&w, &m->vertices[i]);
    codec_put_u32(&w, m->n_packs);
    for (uint32_t i = 0; i < m->n_packs; i++) put_pack(&w, &m->packs[i]);
    codec_put_bytes(&w, m->graph, MANIFEST_MAX);
    return codec_end(&w, "manifest", MANIFEST_MAX, diag);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------------- */

static void get_operator(struct codec_reader *r, struct manifest_operator *o)
{
    o->id = codec_text(r, WEIR_NAME_MAX);
    o->name = codec_text(r, WEIR_NAME_MAX);
    o->kind = codec_u8(r);
    o->n_splits = codec_u32(r);
    if (!o->id[0] || o->kind == 0 || o->kind > OPERATOR_KINDS || o->n_splits > WEIR_SPLITS_MAX) codec_fault(r, "no such operator");
}

static void get_vertex(struct codec_reader *r, struct manifest_vertex *v)
{
    v->parallelism = codec_u32(r);
    if (v->parallelism == 0 || v->parallelism > WEIR_PARALLELISM_MAX) codec_fault(r, "no such parallelism");
    v->n_operators = codec_count(r, WEIR_OPERATORS_MAX, OPERATOR_LEAST);
    v->operators = codec_array(r, v->n_operators, sizeof *v->operators);
    for (uint32_t i = 0; v->operators && i < v->n_operators && !r->fault; i++) get_operator(r, &v->operators[i]);
}

static void get_pack(struct codec_reader *r, struct manifest_pack *p)
{
    p->name = codec_text(r, PACK_NAME - 1);
    p->bytes = codec_u64(r);
    p->crc32c = codec_u32(r);
    p->state_bytes = codec_u64(r);
    if (!layout_is_pack(p->name)) codec_fault(r, "a pack of no such name");
}

static void get_head(struct codec_reader *r, struct manifest *m)
{
    m->kind = (enum manifest_kind)codec_u8(r);
    if (m->kind != MANIFEST_CHECKPOINT && m->kind != MANIFEST_SAVEPOINT) codec_fault(r, "neither a checkpoint nor a savepoint");
    codec_raw(r, m->job.bytes, sizeof m->job.bytes);
    m->job_name = codec_text(r, JOB_NAME_MAX);
    m->attempt = codec_u64(r);
    m->epoch = codec_u64(r);
    m->checkpoint_id = codec_u64(r);
    m->options = codec_u32(r);
    m->triggered_ms = codec_i64(r);
    m->created_ms = codec_i64(r);
    m->graph_fingerprint = codec_u64(r);
    codec_raw(r, m->plugin.bytes, sizeof m->plugin.bytes);
    m->version = codec_text(r, VERSION_TEXT_MAX);
    m->parallelism = codec_u32(r);
}

weir_err manifest_decode(struct manifest *out, const void *data, size_t length, struct weir_diag *diag)
{
    struct codec_reader r;
    weir_err err = codec_open(&r, data, length, MAGIC, VERSION, "manifest", diag);
    if (err) return err;
    struct manifest m = {0};
    get_head(&r, &m);
    m.n_vertices = codec_count(&r, WEIR_OPERATORS_MAX, VERTEX_LEAST);
    m.vertices = codec_array(&r, m.n_vertices, sizeof *m.vertices);
    for (uint32_t i = 0; m.vertices && i < m.n_vertices && !r.fault; i++) get_vertex(&r, &m.vertices[i]);
    m.n_packs = codec_count(&r, PACKS_MAX, PACK_LEAST);
    m.packs = codec_array(&r, m.n_packs, sizeof *m.packs);
    for (uint32_t i = 0; m.packs && i < m.n_packs && !r.fault; i++) get_pack(&r, &m.packs[i]);
    m.graph = codec_bytes(&r, MANIFEST_MAX);
    err = codec_close(&r, "manifest", diag);
    if (err) return err;
    m.arena = r.arena;
    *out = m;
    return WEIR_OK;
}

void manifest_close(struct manifest *m)
{
    if (!m->arena.blocks) return;
    struct arena arena = m->arena;
    *m = (struct manifest){0};
    arena_close(&arena);
}
