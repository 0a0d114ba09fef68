/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pack: what one worker has to tell of one checkpoint, in one file. Of each of its subtasks and their operators: where sources stand,
 * what event time had been reached, which files hold the keyed state and of what types it is, what sinks have prepared. Small state files
 * lie in the pack itself.
 *
 *     pack
 *       subtask        (vertex, index)
 *         operator     id, watermark, key groups
 *           state      name, kind, types
 *             file     in the order in which they apply: a later entry of a key replaces an earlier one
 *           split      of a source
 *           committable of a sink
 *
 * The same structures are filled by hand to be encoded and made by decoding. Byte by byte: docs/protocol/checkpoint.md.
 * Thread: any.
 */
#ifndef WEIR_RUNTIME_CHECKPOINT_PACK_H
#define WEIR_RUNTIME_CHECKPOINT_PACK_H

#include "runtime/base/arena.h"
#include "runtime/base/buffer.h"
#include "runtime/base/id.h"
#include "runtime/checkpoint/layout.h"
#include "weir/row.h"

#define PACK_MAX ((size_t)1 << 30)       /* bytes of a pack; a checkpoint that would need a larger one is declined */
#define PACK_INLINE_MAX (16u << 10)      /* state files up to so many bytes travel in the pack: no file, no fsync of their own */
#define PACK_COMMITTABLE_MAX (64u << 10) /* bytes of a committable */

/* A file of a state, as struct keyed_file (runtime/state/keyed.h) tells it; its state's name, kind and value size stand in the state. */
struct pack_file {
    char content[CONTENT_NAME]; /* its name in the checkpoint's folder of files; "" = its bytes are `inlined` */
    struct weir_bytes inlined;
    uint16_t first_group, last_group; /* key groups it may hold something of */
    uint64_t epoch;                   /* of the snapshot that brought it */
    uint64_t bytes;
    uint64_t entries;
    uint32_t crc32c; /* of the whole file */
};

/* Of a schema whose author declared none, n_fields is 0. A schema's struct_size is set by decoding. */
struct pack_state {
    const char *name;
    uint32_t kind;         /* enum keyed_kind (runtime/state/keyed.h); 1 ... PACK_KIND_MAX */
    uint32_t value_size;   /* as its files say; 0 = any length */
    uint32_t element_size; /* of a list's elements (struct keyed_state_info) */
    int64_t ttl_ms;        /* 0 = none */
    bool namespaced;
    struct weir_schema value;    /* of its values */
    struct weir_schema user_key; /* of a map's own keys */
    uint32_t n_files;
    struct pack_file *files;
};
#define PACK_KIND_MAX 32u

enum pack_split_status { PACK_SPLIT_NEW = 0, PACK_SPLIT_OPEN = 1, PACK_SPLIT_DONE = 2 };
struct pack_split {
    uint32_t index; /* among all splits of its source */
    enum pack_split_status status;
    weir_time watermark_ms;
    struct weir_bytes position; /* PACK_SPLIT_OPEN: what weir_source.position gave; else empty */
};

/* Event time of a split, as an assigner of watermarks behind its source has seen it. */
struct pack_time {
    uint32_t split;
    weir_time highest;
};

struct pack_committable {
    uint64_t checkpoint_id; /* in which it was prepared: this one, or an earlier one that was given up */
    struct weir_bytes data;
};

struct pack_operator {
    const char *id;
    bool finished; /* its inputs had ended and `finish` had run: it is not opened again at the same parallelism */
    weir_time watermark_ms;
    uint16_t first_group, last_group; /* of this instance: what its files hold of other groups is not its own to tell */
    struct weir_field key;            /* how the bytes of its keys are read (a string is the whole key); name NULL = not declared */
    uint32_t n_times;
    struct pack_time *times;
    uint32_t n_states;
    struct pack_state *states;
    uint32_t n_splits;
    struct pack_split *splits;
    uint32_t n_committables;
    struct pack_committable *committables;
};

struct pack_subtask {
    uint32_t vertex; /* in the plan */
    uint32_t index, parallelism;
    bool finished; /* all its operators are */
    uint32_t n_operators;
    struct pack_operator *operators; /* in the order of the chain */
};

struct pack {
    struct weir_id job;
    uint64_t attempt;
    uint64_t checkpoint_id;
    uint32_t worker; /* of the attempt, from 0 */
    uint32_t n_subtasks;
    struct pack_subtask *subtasks;
    struct arena arena; /* of a decoded pack: what pack_close frees */
};

/* Appends to `out`. Errors: WEIR_E_NOMEM, WEIR_E_LIMIT (larger than PACK_MAX, or a name, position, piece beyond its limit). */
weir_err pack_encode(const struct pack *pack, struct buffer *out, struct weir_diag *diag);

/*
 * Reads a whole pack file; its bytes may go afterwards. Checks checksum, every length, enum, name and order, so that what it gives may be
 * used unchecked. Takes memory in proportion to `length`. Gives *out, for pack_close.
 * Errors: WEIR_E_CORRUPT, WEIR_E_UNSUPPORTED (format version), WEIR_E_NOMEM. The sentence does not name the file: the caller wraps it.
 */
weir_err pack_decode(struct pack *out, const void *data, size_t length, struct weir_diag *diag);
void pack_close(struct pack *pack); /* accepts a zeroed one; one built by hand owns nothing */

#endif
