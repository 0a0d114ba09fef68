/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value of the catalog that is larger than a node of the tree ought to be lies in parts, nodes of a folder of its own; the key's node
 * holds a note that says where, how long it is, and its checksum. docs/protocol/catalog.md has the bytes. A note cannot be taken for a
 * value: its first byte begins no msgpack.
 */
#ifndef WEIR_JOBMANAGER_CATALOG_NOTE_H
#define WEIR_JOBMANAGER_CATALOG_NOTE_H

#include "runtime/base/buffer.h"
#include "weir/row.h"

#define CATALOG_PARTS "/weir/part"
#define CATALOG_PART_PATH 80u   /* bytes of the path of a part, with its NUL */
#define CATALOG_PARTS_MAX 1024u /* parts of a value */

struct catalog_note {
    uint64_t claim, number; /* which names the folder; of no other value ever */
    uint64_t length;        /* of the value */
    uint32_t part_bytes;    /* of each part but the last, which may be shorter */
    uint32_t crc32c;        /* of the value */
};

void catalog_note_put(struct buffer *out, const struct catalog_note *note);
bool catalog_note_begins(struct weir_bytes value); /* it is a note, or the wreck of one */
/* False: it is none, or none that this version could have written. */
bool catalog_note_read(struct weir_bytes value, struct catalog_note *out);
bool catalog_note_same(const struct catalog_note *a, const struct catalog_note *b); /* they name the same folder */

uint32_t catalog_note_parts(const struct catalog_note *note);
/* How many bytes part `index` has. */
uint32_t catalog_note_part_bytes(const struct catalog_note *note, uint32_t index);
const char *catalog_note_folder(const struct catalog_note *note, char out[static CATALOG_PART_PATH]);
const char *catalog_note_part(const struct catalog_note *note, uint32_t index, char out[static CATALOG_PART_PATH]);

#endif
