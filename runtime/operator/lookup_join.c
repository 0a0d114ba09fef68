/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lookup join: a stream beside a table in memory.
 *
 * The table: rows with their keys, one behind the other in blocks that never move, under an open-addressing index by hash. It is loaded in
 * open, bounded in bytes, and not state: a restored job loads it again. A batch's keys are hashed and found, then all pairs are made in one
 * call. A watermark releases nothing.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/operator/join.h"
#include "runtime/operator/step.h"

#define BLOCK_BYTES (1u << 20)
#define FIRST_SLOTS 1024u

/* The row follows, then the key. */
struct entry {
    uint32_t row_size;
    uint32_t key_length;
};

struct block {
    struct block *next;
    _Alignas(16) unsigned char bytes[];
};

struct slot {
    uint64_t hash;
    const struct entry *entry; /* NULL = free */
};

struct weir_lookup {
    const struct weir_schema *schema;
    const char *operator_id;
    struct weir_diag *diag;
    uint64_t bytes, bytes_max;
    struct slot *slots;
    uint64_t mask, n; /* slots less 1; entries */
    struct block *blocks;
    unsigned char *free; /* of the newest block */
    size_t left;
};

struct lookup_join {
    const struct weir_pairs *pairs;
    const struct weir_keyer *keyer;
    bool left;
    struct weir_lookup table;
    unsigned char *scratch;
    struct weir_key keys[WEIR_BATCH_MAX];
    struct weir_pair found[WEIR_BATCH_MAX];
};

/* ---- the table ------------------------------------------------------------------------------------------------------------------------
 */

static const void *entry_row(const struct entry *e)
{
    return e + 1;
}

static const void *entry_key(const struct entry *e)
{
    return (const unsigned char *)(e + 1) + e->row_size;
}

/* The slot of a key, or the free one where it would be. */
static struct slot *find(const struct weir_lookup *t, const struct weir_key *key)
{
    for (uint64_t i = key->hash & t->mask;; i = (i + 1) & t->mask) {
        struct slot *s = &t->slots[i];
        if (!s->entry) return s;
        if (s->hash != key->hash || s->entry->key_length != key->length) continue;
        if (key->length == 0 || memcmp(entry_key(s->entry), key->data, key->length) == 0) return s;
    }
}

/* Slots for one entry more, at most half of them full. */
static bool grow(struct weir_lookup *t)
{
    if (t->slots && 2 * (t->n + 1) <= t->mask + 1) return true;
    uint64_t n = t->slots ? 2 * (t->mask + 1) : FIRST_SLOTS;
    struct slot *old = t->slots, *slots = calloc(n, sizeof *slots);
    if (!slots) return false;
    uint64_t n_old = old ? t->mask + 1 : 0;
    t->slots = slots;
    t->mask = n - 1;
    for (uint64_t i = 0; i < n_old; i++) {
        if (!old[i].entry) continue;
        uint64_t at = old[i].hash & t->mask;
        while (slots[at].entry) at = (at + 1) & t->mask;
        slots[at] = old[i];
    }
    free(old);
    return true;
}

static struct entry *take(struct weir_lookup *t, size_t size)
{
    if (size > t->left) {
        size_t bytes = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        struct block *block = malloc(sizeof *block + bytes);
        if (!block) return NULL;
        block->next = t->blocks;
        t->blocks = block;
        t->free = block->bytes;
        t->left = bytes;
    }
    struct entry *e = (struct entry *)(void *)t->free;
    t->free += size;
    t->left -= size;
    return e;
}

static weir_err check_row(const struct weir_lookup *t, uint32_t key_length, const void *row, uint32_t row_size, uint64_t need)
{
    if (key_length > WEIR_KEY_MAX || row_size > WEIR_ROW_MAX)
        return weir_fail(t->diag, WEIR_E_LIMIT,
                         "%s: a row of its side table has %u bytes and a key of %u; WEIR_ROW_MAX is %u, WEIR_KEY_MAX %u", t->operator_id,
                         row_size, key_length, WEIR_ROW_MAX, WEIR_KEY_MAX);
    if (!weir_row_valid(t->schema, row, row_size))
        return weir_fail(t->diag, WEIR_E_CORRUPT, "%s: row %" PRIu64 " of its side table is no row of type %s", t->operator_id, t->n,
                         t->schema->name);
    if (need <= t->bytes_max - t->bytes) return WEIR_OK;
    return weir_fail(t->diag, WEIR_E_LIMIT,
                     "%s: its side table exceeds bytes_max, %" PRIu64 " bytes, after %" PRIu64 " rows: raise it, or join two streams",
                     t->operator_id, t->bytes_max, t->n);
}

weir_err weir_lookup_put(struct weir_lookup *t, const void *key, uint32_t key_length, const void *row, uint32_t row_size)
{
    uint64_t need = (sizeof(struct entry) + (uint64_t)row_size + key_length + 7) & ~(uint64_t)7;
    weir_err err = check_row(t, key_length, row, row_size, need);
    if (err) return err;
    const struct weir_key k = {.data = key, .length = key_length, .hash = hash64(key, key_length)};
    if (!grow(t)) return weir_fail(t->diag, WEIR_E_NOMEM, "%s: no memory for its side table", t->operator_id);
    struct slot *s = find(t, &k);
    if (s->entry)
        return weir_fail(t->diag, WEIR_E_EXISTS, "%s: row %" PRIu64 " of its side table has the key of another", t->operator_id, t->n);
    struct entry *e = take(t, need);
    if (!e) return weir_fail(t->diag, WEIR_E_NOMEM, "%s: no memory for its side table", t->operator_id);
    *e = (struct entry){.row_size = row_size, .key_length = key_length};
    memcpy(e + 1, row, row_size);
    if (key_length) memcpy((unsigned char *)(e + 1) + row_size, key, key_length);
    *s = (struct slot){.hash = k.hash, .entry = e};
    t->bytes += need;
    t->n++;
    return WEIR_OK;
}

/* ---- the operator ----------------------------------------------------------------------------------------------------------------------
 */

static weir_err lookup_open(void *self, struct weir_ctx *ctx)
{
    struct lookup_join *op = self;
    const struct lookup_join_config *config = ctx->config;
    const struct weir_lookup_options *o = &config->options;
    op->pairs = config->pairs;
    op->keyer = o->keyer;
    op->left = o->left;
    op->table = (struct weir_lookup){.schema = op->pairs->right,
                                     .operator_id = ctx->operator_id,
                                     .diag = ctx->diag,
                                     .bytes_max = o->bytes_max ? o->bytes_max : WEIR_LOOKUP_BYTES_MAX};
    op->scratch = calloc(WEIR_BATCH_MAX, o->keyer->key_size ? o->keyer->key_size : 1);
    if (!op->scratch || !grow(&op->table)) return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: no memory for its side table", ctx->operator_id);
    return o->load(&op->table, o->config, ctx->diag);
}

static void lookup_close(void *self, struct weir_ctx *ctx)
{
    struct lookup_join *op = self;
    (void)ctx;
    while (op->table.blocks) {
        struct block *next = op->table.blocks->next;
        free(op->table.blocks);
        op->table.blocks = next;
    }
    free(op->table.slots);
    free(op->scratch);
}

static weir_err lookup_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct lookup_join *op = self;
    uint32_t n = 0;
    (void)input; /* one input */
    op->keyer->extract(batch, op->keys, op->scratch);
    hash_keys(op->keys, batch->count);
    for (uint32_t i = 0; i < batch->count; i++) __builtin_prefetch(&op->table.slots[op->keys[i].hash & op->table.mask]);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct entry *e = find(&op->table, &op->keys[i])->entry;
        struct weir_record *rec = weir_batch_record(batch, i);
        op->found[n] =
            (struct weir_pair){.left = weir_record_row(rec), .right = e ? entry_row(e) : NULL, .time_ms = rec->time_ms, .kind = rec->kind};
        n += e || op->left;
    }
    return n ? op->pairs->emit(ctx->out, op->found, n) : WEIR_OK;
}

const struct weir_operator lookup_join_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "lookup-join",
    .self_size = sizeof(struct lookup_join),
    .flags = WEIR_OPERATOR_PASSES_CHANGES,
    .open = lookup_open,
    .process = lookup_process,
    .close = lookup_close,
};

struct weir_stream *weir_lookup_join(struct weir_stream *in, const char *id, const struct weir_pairs *pairs,
                                     const struct weir_lookup_options *options)
{
    if (!pairs_check(in, id, pairs)) return NULL;
    if (!options || !options->load || (options->config_size && !options->config))
        return weir_refuse(weir_stream_env(in),
                           "operator %s: its lookup join needs a load function, and a configuration of config_size bytes", id);
    if (!step_check(in, id, "weir_keyer", options->keyer, sizeof *options->keyer)) return NULL;
    struct lookup_join_config config = {.pairs = pairs, .options = *options};
    if (options->config_size) {
        void *copy = weir_env_alloc(weir_stream_env(in), options->config_size);
        if (!copy) return NULL;
        config.options.config = memcpy(copy, options->config, options->config_size);
    }
    struct weir_operator table = lookup_join_operator;
    table.in = pairs->left;
    table.out = pairs->out;
    return step_apply(in, id, &table, &config, sizeof config);
}
