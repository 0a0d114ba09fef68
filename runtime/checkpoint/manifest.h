/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest: the file that makes a folder a checkpoint or a savepoint. It says of which job and when it was taken, of what graph, and
 * names the packs with their checksums. It is written last; without it the folder is a half-written one. Byte by byte:
 * docs/protocol/checkpoint.md. Thread: any.
 */
#ifndef WEIR_RUNTIME_CHECKPOINT_MANIFEST_H
#define WEIR_RUNTIME_CHECKPOINT_MANIFEST_H

#include "runtime/base/arena.h"
#include "runtime/base/buffer.h"
#include "runtime/base/id.h"
#include "weir/row.h"

#define MANIFEST_MAX ((size_t)64 << 20) /* bytes of a manifest; a job that would need a larger one takes no checkpoint */

enum manifest_kind {
    MANIFEST_CHECKPOINT = 1, /* its files lie in ../shared, shared with other checkpoints of the job */
    MANIFEST_SAVEPOINT = 2,  /* its files lie in files/ beside it: the folder stands for itself */
};

struct manifest_operator {
    const char *id;
    const char *name;  /* kind of step: "map", "window" */
    uint32_t kind;     /* enum graph_node_kind (runtime/plan/graph.h) */
    uint32_t n_splits; /* of a source */
};

struct manifest_vertex {
    uint32_t parallelism;
    uint32_t n_operators;
    struct manifest_operator *operators; /* in the order of the chain */
};

struct manifest_pack {
    const char *name; /* in the manifest's folder: layout_pack */
    uint64_t bytes;
    uint32_t crc32c;      /* of the whole file */
    uint64_t state_bytes; /* of the files it names */
};

struct manifest {
    enum manifest_kind kind;
    struct weir_id job;
    const char *job_name;
    uint64_t attempt;
    uint64_t epoch;
    uint64_t checkpoint_id;
    uint32_t options;                 /* CHECKPOINT_* of the trigger (drained, stopped, final) */
    int64_t triggered_ms, created_ms; /* wall clock */
    uint64_t graph_fingerprint;
    struct weir_digest plugin;
    const char *version;  /* of Weir that wrote it */
    uint32_t parallelism; /* the job's default */
    uint32_t n_vertices;
    struct manifest_vertex *vertices;
    uint32_t n_packs;
    struct manifest_pack *packs;
    struct weir_bytes graph; /* of the job, with its splits, encoded (graph_encode): positions name splits by their index in it */
    struct arena arena;      /* of a decoded manifest */
};

/* As pack_encode, pack_decode, pack_close. */
weir_err manifest_encode(const struct manifest *manifest, struct buffer *out, struct weir_diag *diag);
weir_err manifest_decode(struct manifest *out, const void *data, size_t length, struct weir_diag *diag);
void manifest_close(struct manifest *manifest);

#endif
