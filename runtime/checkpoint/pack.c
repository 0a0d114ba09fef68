/* SPDX-License-Identifier: Apache-2.0 */
/* Both directions stand side by side, level by level: what one writes the other reads. */
#include "runtime/checkpoint/pack.h"

#include <string.h>

#include "runtime/checkpoint/codec.h"
#include "weir/source.h"
#include "weir/state.h"
#include "weir/stream.h"

enum { VERSION = 1 };
static const char MAGIC[CODEC_MAGIC] = {'W', 'E', 'I', 'R', 'P', 'A', 'C', 'K'};

/* The fewest bytes that one of each takes: what bounds a count by what is left. */
enum {
    FILE_LEAST = 33,
    STATE_LEAST = 28,
    SPLIT_LEAST = 17,
    TIME_LEAST = 12,
    COMMITTABLE_LEAST = 12,
    OPERATOR_LEAST = 31,
    SUBTASK_LEAST = 17
};

#define STATES_MAX (WEIR_STATES_MAX + 2u) /* and timers of two domains */
#define FILES_MAX (1u << 20)              /* of one state */

enum { OPERATOR_FINISHED = 1, OPERATOR_KEY = 2 };
enum { STATE_NAMESPACED = 1 };
enum { FILE_INLINED = 1 };
enum { SUBTASK_FINISHED = 1 };

static uint8_t get_flags(struct codec_reader *r, uint8_t all)
{
    uint8_t flags = codec_u8(r);
    if (flags & ~all) codec_fault(r, "flags that mean nothing");
    return flags;
}

static void get_groups(struct codec_reader *r, uint16_t *first, uint16_t *last)
{
    *first = codec_u16(r);
    *last = codec_u16(r);
    if (*first > *last || *last >= WEIR_KEY_GROUPS) codec_fault(r, "no range of key groups");
}

/* ---- schemas ------------------------------------------------------------------------------------------------------------------------- */

static void put_field(struct codec_writer *w, const struct weir_field *f)
{
    codec_put_u32(w, f->id);
    codec_put_u8(w, (uint8_t)f->type);
    codec_put_u8(w, (uint8_t)f->scale);
    codec_put_u32(w, f->offset);
    codec_put_text(w, f->name, WEIR_NAME_MAX);
}

static uint32_t type_size(enum weir_type type)
{
    return type == WEIR_TYPE_BOOL ? 1 : type == WEIR_TYPE_I32 ? 4 : 8;
}

static void get_field(struct codec_reader *r, uint64_t row_size, struct weir_field *f)
{
    f->id = codec_u32(r);
    f->type = (enum weir_type)codec_u8(r);
    f->scale = codec_u8(r);
    f->offset = codec_u32(r);
    f->name = codec_text(r, WEIR_NAME_MAX);
    if (f->type < WEIR_TYPE_BOOL || f->type > WEIR_TYPE_DECIMAL) codec_fault(r, "a field of no type");
    if (f->scale > (f->type == WEIR_TYPE_DECIMAL ? WEIR_SCALE_MAX : 0)) codec_fault(r, "a field of no such scale");
    if ((uint64_t)f->offset + type_size(f->type) > row_size) codec_fault(r, "a field outside its row");
}

static void put_schema(struct codec_writer *w, const struct weir_schema *s)
{
    codec_put_u16(w, (uint16_t)s->n_fields);
    if (s->n_fields > WEIR_FIELDS_MAX && !w->fault) w->fault = "a row type has too many fields";
    if (s->n_fields == 0 || w->fault) return;
    codec_put_text(w, s->name, WEIR_NAME_MAX);
    codec_put_u32(w, s->row_size);
    for (uint32_t i = 0; i < s->n_fields; i++) put_field(w, &s->fields[i]);
}

static void get_schema(struct codec_reader *r, struct weir_schema *s)
{
    *s = (struct weir_schema){.struct_size = sizeof *s, .n_fields = codec_u16(r)};
    if (s->n_fields == 0) return;
    s->name = codec_text(r, WEIR_NAME_MAX);
    s->row_size = codec_u32(r);
    if (s->n_fields > WEIR_FIELDS_MAX || s->row_size > WEIR_ROW_MAX) codec_fault(r, "a row type beyond its limits");
    struct weir_field *fields = codec_array(r, s->n_fields, sizeof *fields);
    for (uint32_t i = 0; fields && i < s->n_fields && !r->fault; i++) get_field(r, s->row_size, &fields[i]);
    s->fields = fields;
}

/* ---- states -------------------------------------------------------------------------------------------------------------------------- */

static void put_file(struct codec_writer *w, const struct pack_file *f)
{
    struct hash128 hash = {0, 0};
    uint64_t bytes = f->inlined.length;
    bool inlined = !f->content[0];
    if (!inlined && !content_parse(f->content, &hash, &bytes) && !w->fault) w->fault = "a state file has no content name";
    if (bytes != f->bytes && !w->fault) w->fault = "a state file has another length than it says";
    if (inlined && bytes > PACK_INLINE_MAX && !w->fault) w->fault = "a state file is too large for the pack itself";
    codec_put_u8(w, inlined ? FILE_INLINED : 0);
    codec_put_u16(w, f->first_group);
    codec_put_u16(w, f->last_group);
    codec_put_u64(w, f->epoch);
    codec_put_u64(w, f->bytes);
    codec_put_u64(w, f->entries);
    codec_put_u32(w, f->crc32c);
    if (inlined) {
        codec_put_raw(w, f->inlined.data, f->inlined.length);
    } else {
        codec_put_u64(w, hash.low);
        codec_put_u64(w, hash.high);
    }
}

static void get_file(struct codec_reader *r, struct pack_file *f)
{
    uint8_t flags = get_flags(r, FILE_INLINED);
    get_groups(r, &f->first_group, &f->last_group);
    f->epoch = codec_u64(r);
    f->bytes = codec_u64(r);
    f->entries = codec_u64(r);
    f->crc32c = codec_u32(r);
    if (flags & FILE_INLINED) {
        if (f->bytes > PACK_INLINE_MAX) codec_fault(r, "a state file too large for the pack itself");
        f->inlined = codec_run(r, f->bytes);
        if (f->inlined.data && crc32c(0, f->inlined.data, f->inlined.length) != f->crc32c) codec_fault(r, "a state file's checksum");
        return;
    }
    struct hash128 hash = {.low = codec_u64(r)};
    hash.high = codec_u64(r);
    (void)content_name(hash, f->bytes, f->content);
}

static void put_state(struct codec_writer *w, const struct pack_state *s)
{
    codec_put_text(w, s->name, WEIR_NAME_MAX);
    codec_put_u8(w, (uint8_t)s->kind);
    codec_put_u8(w, s->namespaced ? STATE_NAMESPACED : 0);
    codec_put_u32(w, s->value_size);
    codec_put_u32(w, s->element_size);
    codec_put_i64(w, s->ttl_ms);
    put_schema(w, &s->value);
    put_schema(w, &s->user_key);
    codec_put_u32(w, s->n_files);
    for (uint32_t i = 0; i < s->n_files; i++) put_file(w, &s->files[i]);
}

static void get_state(struct codec_reader *r, struct pack_state *s)
{
    s->name = codec_text(r, WEIR_NAME_MAX);
    s->kind = codec_u8(r);
    s->namespaced = get_flags(r, STATE_NAMESPACED) & STATE_NAMESPACED;
    s->value_size = codec_u32(r);
    s->element_size = codec_u32(r);
    s->ttl_ms = codec_i64(r);
    get_schema(r, &s->value);
    get_schema(r, &s->user_key);
    if (!s->name[0] || s->kind == 0 || s->kind > PACK_KIND_MAX || s->value_size > WEIR_VALUE_MAX || s->element_size > WEIR_VALUE_MAX ||
        s->ttl_ms < 0)
        codec_fault(r, "no such state");
    s->n_files = codec_count(r, FILES_MAX, FILE_LEAST);
    s->files = codec_array(r, s->n_files, sizeof *s->files);
    for (uint32_t i = 0; s->files && i < s->n_files && !r->fault; i++) get_file(r, &s->files[i]);
}

/* ---- operators ----------------------------------------------------------------------------------------------------------------------- */

static void put_split(struct codec_writer *w, const struct pack_split *s)
{
    codec_put_u32(w, s->index);
    codec_put_u8(w, (uint8_t)s->status);
    codec_put_i64(w, s->watermark_ms);
    codec_put_bytes(w, s->position, WEIR_POSITION_BYTES_MAX);
}

static void get_split(struct codec_reader *r, struct pack_split *s)
{
    s->index = codec_u32(r);
    s->status = (enum pack_split_status)codec_u8(r);
    s->watermark_ms = codec_i64(r);
    s->position = codec_bytes(r, WEIR_POSITION_BYTES_MAX);
    if (s->index >= WEIR_SPLITS_MAX || s->status > PACK_SPLIT_DONE) codec_fault(r, "no such split");
    if (s->status != PACK_SPLIT_OPEN && s->position.length) codec_fault(r, "a position in a split that is not being read");
}

static void put_operator(struct codec_writer *w, const struct pack_operator *o)
{
    codec_put_text(w, o->id, WEIR_NAME_MAX);
    codec_put_u8(w, (uint8_t)((o->finished ? OPERATOR_FINISHED : 0) | (o->key.name ? OPERATOR_KEY : 0)));
    codec_put_i64(w, o->watermark_ms);
    codec_put_u16(w, o->first_group);
    codec_put_u16(w, o->last_group);
    if (o->key.name) put_field(w, &o->key);
    codec_put_u32(w, o->n_times);
    for (uint32_t i = 0; i < o->n_times; i++) {
        codec_put_u32(w, o->times[i].split);
        codec_put_i64(w, o->times[i].highest);
    }
    codec_put_u32(w, o->n_states);
    for (uint32_t i = 0; i < o->n_states; i++) put_state(w, &o->states[i]);
    codec_put_u32(w, o->n_splits);
    for (uint32_t i = 0; i < o->n_splits; i++) put_split(w, &o->splits[i]);
    codec_put_u32(w, o->n_committables);
    for (uint32_t i = 0; i < o->n_committables; i++) {
        codec_put_u64(w, o->committables[i].checkpoint_id);
        codec_put_bytes(w, o->committables[i].data, PACK_COMMITTABLE_MAX);
    }
}

static void get_times(struct codec_reader *r, struct pack_operator *o)
{
    o->n_times = codec_count(r, WEIR_SPLITS_MAX, TIME_LEAST);
    o->times = codec_array(r, o->n_times, sizeof *o->times);
    for (uint32_t i = 0; o->times && i < o->n_times; i++) {
        o->times[i].split = codec_u32(r);
        o->times[i].highest = codec_i64(r);
    }
}

static void get_committables(struct codec_reader *r, struct pack_operator *o)
{
    o->n_committables = codec_count(r, UINT32_MAX, COMMITTABLE_LEAST);
    o->committables = codec_array(r, o->n_committables, sizeof *o->committables);
    for (uint32_t i = 0; o->committables && i < o->n_committables && !r->fault; i++) {
        o->committables[i].checkpoint_id = codec_u64(r);
        o->committables[i].data = codec_bytes(r, PACK_COMMITTABLE_MAX);
    }
}

static void get_operator(struct codec_reader *r, struct pack_operator *o)
{
    o->id = codec_text(r, WEIR_NAME_MAX);
    if (!o->id[0]) codec_fault(r, "an operator without id");
    uint8_t flags = get_flags(r, OPERATOR_FINISHED | OPERATOR_KEY);
    o->finished = flags & OPERATOR_FINISHED;
    o->watermark_ms = codec_i64(r);
    get_groups(r, &o->first_group, &o->last_group);
    if (flags & OPERATOR_KEY) get_field(r, WEIR_ROW_MAX, &o->key);
    get_times(r, o);
    o->n_states = codec_count(r, STATES_MAX, STATE_LEAST);
    o->states = codec_array(r, o->n_states, sizeof *o->states);
    for (uint32_t i = 0; o->states && i < o->n_states && !r->fault; i++) get_state(r, &o->states[i]);
    o->n_splits = codec_count(r, WEIR_SPLITS_MAX, SPLIT_LEAST);
    o->splits = codec_array(r, o->n_splits, sizeof *o->splits);
    for (uint32_t i = 0; o->splits && i < o->n_splits && !r->fault; i++) get_split(r, &o->splits[i]);
    get_committables(r, o);
}

/* ---- subtasks, and the whole --------------------------------------------------------------------------------------------------------- */

static void put_subtask(struct codec_writer *w, const struct pack_subtask *s)
{
    codec_put_u32(w, s->vertex);
    codec_put_u32(w, s->index);
    codec_put_u32(w, s->parallelism);
    codec_put_u8(w, s->finished ? SUBTASK_FINISHED : 0);
    codec_put_u32(w, s->n_operators);
    for (uint32_t i = 0; i < s->n_operators; i++) put_operator(w, &s->operators[i]);
}

static void get_subtask(struct codec_reader *r, struct pack_subtask *s)
{
    s->vertex = codec_u32(r);
    s->index = codec_u32(r);
    s->parallelism = codec_u32(r);
    s->finished = get_flags(r, SUBTASK_FINISHED) & SUBTASK_FINISHED;
    if (s->vertex >= WEIR_OPERATORS_MAX || s->parallelism > WEIR_PARALLELISM_MAX || s->index >= s->parallelism)
        codec_fault(r, "no such subtask");
    s->n_operators = codec_count(r, WEIR_OPERATORS_MAX, OPERATOR_LEAST);
    s->operators = codec_array(r, s->n_operators, sizeof *s->operators);
    for (uint32_t i = 0; s->operators && i < s->n_operators && !r->fault; i++) get_operator(r, &s->operators[i]);
}

weir_err pack_encode(const struct pack *pack, struct buffer *out, struct weir_diag *diag)
{
    struct codec_writer w;
    codec_begin(&w, out, MAGIC, VERSION);
    codec_put_raw(&w, pack->job.bytes, sizeof pack->job.bytes);
    codec_put_u64(&w, pack->attempt);
    codec_put_u64(&w, pack->checkpoint_id);
    codec_put_u32(&w, pack->worker);
    codec_put_u32(&w, pack->n_subtasks);
    for (uint32_t i = 0; i < pack->n_subtasks && !w.fault && !out->err; i++) put_subtask(&w, &pack->subtasks[i]);
    return codec_end(&w, "pack", PACK_MAX, diag);
}

weir_err pack_decode(struct pack *out, const void *data, size_t length, struct weir_diag *diag)
{
    struct codec_reader r;
    weir_err err = codec_open(&r, data, length, MAGIC, VERSION, "pack", diag);
    if (err) return err;
    struct pack p = {0};
    codec_raw(&r, p.job.bytes, sizeof p.job.bytes);
    p.attempt = codec_u64(&r);
    p.checkpoint_id = codec_u64(&r);
    p.worker = codec_u32(&r);
    p.n_subtasks = codec_count(&r, WEIR_PARALLELISM_MAX * WEIR_OPERATORS_MAX, SUBTASK_LEAST);
    p.subtasks = codec_array(&r, p.n_subtasks, sizeof *p.subtasks);
    for (uint32_t i = 0; p.subtasks && i < p.n_subtasks && !r.fault; i++) get_subtask(&r, &p.subtasks[i]);
    err = codec_close(&r, "pack", diag);
    if (err) return err;
    p.arena = r.arena;
    *out = p;
    return WEIR_OK;
}

void pack_close(struct pack *pack)
{
    if (!pack->arena.blocks) return;
    struct arena arena = pack->arena;
    *pack = (struct pack){0};
    arena_close(&arena);
}
