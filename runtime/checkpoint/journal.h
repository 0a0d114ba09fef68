/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of deletions: before anything of a checkpoint is deleted, a file drop-N (layout.h) says durably which shared files are to go
 * with it. It goes last. After a crash what it says is done again: deleting twice is deleting once. Byte by byte:
 * docs/protocol/checkpoint.md. Thread: any.
 */
#ifndef WEIR_RUNTIME_CHECKPOINT_JOURNAL_H
#define WEIR_RUNTIME_CHECKPOINT_JOURNAL_H

#include "runtime/base/arena.h"
#include "runtime/base/buffer.h"
#include "runtime/checkpoint/layout.h"

#define JOURNAL_MAX ((size_t)64 << 20) /* bytes of one; more shared files of one checkpoint go by archive_clean */

struct journal_file {
    struct hash128 hash;
    uint64_t bytes;
};

struct journal {
    uint64_t checkpoint_id;
    uint32_t n_files;
    struct journal_file *files;
    struct arena arena; /* of a decoded one */
};

/* As pack_encode, pack_decode, pack_close (pack.h). */
weir_err journal_encode(const struct journal *journal, struct buffer *out, struct weir_diag *diag);
weir_err journal_decode(struct journal *out, const void *data, size_t length, struct weir_diag *diag);
void journal_close(struct journal *journal);

#endif
