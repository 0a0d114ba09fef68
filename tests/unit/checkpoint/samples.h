/* SPDX-License-Identifier: Apache-2.0 */
/* Packs, manifests and deletions drawn from a seed, with something in every field. Used by tests, fuzz targets' seeds and their corpora. */
#ifndef WEIR_TESTS_UNIT_CHECKPOINT_SAMPLES_H
#define WEIR_TESTS_UNIT_CHECKPOINT_SAMPLES_H

#include <stdio.h>

#include "runtime/checkpoint/journal.h"
#include "runtime/checkpoint/manifest.h"
#include "runtime/checkpoint/pack.h"

#define SAMPLE_OPERATORS 2u
#define SAMPLE_STATES 2u
#define SAMPLE_FILES 2u

static inline uint64_t sample_draw(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u); /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static const struct weir_field sample_fields[] = {
    {"user", 1, WEIR_TYPE_STR, 0, 0}, {"spent", 2, WEIR_TYPE_DECIMAL, 8, 2}, {"seen", 5, WEIR_TYPE_TIME, 16, 0}};
static const struct weir_schema sample_schema = {sizeof(struct weir_schema), "spending", 24, 3, sample_fields};

/* Memory of one subtask's part. */
struct sample_subtask {
    struct pack_operator operators[SAMPLE_OPERATORS];
    struct pack_state states[SAMPLE_OPERATORS][SAMPLE_STATES];
    struct pack_file files[SAMPLE_OPERATORS][SAMPLE_STATES][SAMPLE_FILES];
    struct pack_split splits[SAMPLE_OPERATORS][2];
    struct pack_time times[SAMPLE_OPERATORS][1];
    struct pack_committable committables[SAMPLE_OPERATORS][2];
    struct weir_digest filling;
};

/* A content-named file, or one that is inlined. */
static inline void sample_file(struct pack_file *f, uint64_t *seed, struct weir_bytes bytes, bool inlined)
{
    *f = (struct pack_file){.first_group = 7, .last_group = 4095, .epoch = sample_draw(seed), .entries = sample_draw(seed)};
    if (inlined) {
        f->inlined = bytes;
        f->bytes = bytes.length;
        f->crc32c = crc32c(0, bytes.data, bytes.length);
        return;
    }
    f->bytes = sample_draw(seed);
    f->crc32c = (uint32_t)sample_draw(seed);
    (void)content_name((struct hash128){sample_draw(seed), sample_draw(seed)}, f->bytes, f->content);
}

static inline void sample_operator(struct sample_subtask *s, uint32_t o, uint64_t *seed)
{
    static const char *const ids[SAMPLE_OPERATORS] = {"read", "tally"};
    static const char *const names[SAMPLE_STATES] = {"spending by user", "~event timers"};
    struct weir_bytes filling = {s->filling.bytes, sizeof s->filling.bytes};
    for (uint32_t i = 0; i < SAMPLE_STATES; i++) {
        for (uint32_t f = 0; f < SAMPLE_FILES; f++) sample_file(&s->files[o][i][f], seed, filling, f == 1);
        s->states[o][i] = (struct pack_state){.name = names[i],
                                              .kind = 1 + (uint32_t)(sample_draw(seed) % 10),
                                              .value_size = i ? 0 : 24,
                                              .element_size = i ? 8 : 0,
                                              .ttl_ms = (int64_t)(sample_draw(seed) >> 1),
                                              .namespaced = i,
                                              .n_files = SAMPLE_FILES,
                                              .files = s->files[o][i]};
        if (i == 0) s->states[o][i].value = s->states[o][i].user_key = sample_schema;
    }
    s->splits[o][0] = (struct pack_split){.index = 65535, .status = PACK_SPLIT_OPEN, .watermark_ms = -5, .position = filling};
    s->splits[o][1] = (struct pack_split){.index = 3, .status = PACK_SPLIT_DONE, .watermark_ms = WEIR_TIME_MAX};
    s->times[o][0] = (struct pack_time){.split = 9, .highest = (weir_time)sample_draw(seed)};
    s->committables[o][0] = (struct pack_committable){.checkpoint_id = sample_draw(seed), .data = filling};
    s->committables[o][1] = (struct pack_committable){.checkpoint_id = 1};
    s->operators[o] = (struct pack_operator){.id = ids[o],
                                             .finished = o,
                                             .watermark_ms = (weir_time)sample_draw(seed),
                                             .first_group = 0,
                                             .last_group = 32767,
                                             .n_times = 1,
                                             .times = s->times[o],
                                             .n_states = SAMPLE_STATES,
                                             .states = s->states[o],
                                             .n_splits = 2,
                                             .splits = s->splits[o],
                                             .n_committables = 2,
                                             .committables = s->committables[o]};
    if (o == 1) s->operators[o].key = sample_fields[0];
}

struct sample_pack {
    struct pack pack;
    struct pack_subtask subtasks[2];
    struct sample_subtask parts[2];
};

static inline const struct pack *sample_pack(struct sample_pack *p, uint64_t seed)
{
    p->pack = (struct pack){.attempt = sample_draw(&seed),
                            .checkpoint_id = sample_draw(&seed),
                            .worker = (uint32_t)sample_draw(&seed),
                            .n_subtasks = 2,
                            .subtasks = p->subtasks};
    for (size_t i = 0; i < sizeof p->pack.job.bytes; i++) p->pack.job.bytes[i] = (uint8_t)sample_draw(&seed);
    for (uint32_t i = 0; i < 2; i++) {
        for (size_t b = 0; b < sizeof p->parts[i].filling.bytes; b++) p->parts[i].filling.bytes[b] = (uint8_t)sample_draw(&seed);
        for (uint32_t o = 0; o < SAMPLE_OPERATORS; o++) sample_operator(&p->parts[i], o, &seed);
        p->subtasks[i] = (struct pack_subtask){
            .vertex = i, .index = 1, .parallelism = 2, .finished = i, .n_operators = SAMPLE_OPERATORS, .operators = p->parts[i].operators};
    }
    return &p->pack;
}

struct sample_manifest {
    struct manifest manifest;
    struct manifest_vertex vertices[2];
    struct manifest_operator operators[2];
    struct manifest_pack packs[2];
};

static inline const struct manifest *sample_manifest(struct sample_manifest *m, uint64_t seed)
{
    m->operators[0] = (struct manifest_operator){.id = "read", .name = "file", .kind = 1, .n_splits = 12};
    m->operators[1] = (struct manifest_operator){.id = "write", .name = "file", .kind = 3};
    m->vertices[0] = (struct manifest_vertex){.parallelism = 2, .n_operators = 1, .operators = &m->operators[0]};
    m->vertices[1] = (struct manifest_vertex){.parallelism = 1024, .n_operators = 1, .operators = &m->operators[1]};
    for (uint32_t i = 0; i < 2; i++)
        m->packs[i] = (struct manifest_pack){.name = i ? "pack-1" : "pack-0",
                                             .bytes = sample_draw(&seed),
                                             .crc32c = (uint32_t)sample_draw(&seed),
                                             .state_bytes = sample_draw(&seed)};
    m->manifest = (struct manifest){.kind = MANIFEST_SAVEPOINT,
                                    .job_name = "spending",
                                    .attempt = sample_draw(&seed),
                                    .epoch = sample_draw(&seed),
                                    .checkpoint_id = sample_draw(&seed),
                                    .options = 7,
                                    .triggered_ms = (int64_t)sample_draw(&seed),
                                    .created_ms = (int64_t)sample_draw(&seed),
                                    .graph_fingerprint = sample_draw(&seed),
                                    .version = "0.1.0",
                                    .parallelism = 2,
                                    .n_vertices = 2,
                                    .vertices = m->vertices,
                                    .n_packs = 2,
                                    .packs = m->packs,
                                    .graph = {(const unsigned char *)"graph", 1 + (uint32_t)sample_draw(&seed) % 5}};
    for (size_t i = 0; i < sizeof m->manifest.plugin.bytes; i++) m->manifest.plugin.bytes[i] = (uint8_t)sample_draw(&seed);
    return &m->manifest;
}

struct sample_journal {
    struct journal journal;
    struct journal_file files[3];
};

static inline const struct journal *sample_journal(struct sample_journal *j, uint64_t seed)
{
    j->journal = (struct journal){.checkpoint_id = sample_draw(&seed), .n_files = 3, .files = j->files};
    for (uint32_t i = 0; i < 3; i++) j->files[i] = (struct journal_file){{sample_draw(&seed), sample_draw(&seed)}, sample_draw(&seed)};
    return &j->journal;
}

#endif
