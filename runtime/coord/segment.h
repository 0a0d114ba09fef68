/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file of the log: a head, then records without gap, then zeros (the file is preallocated). For log_file.c.
 *
 *     head, 64 bytes: u32 magic, u32 version, u64 generation, zxid of the first record, zxid of the entry before it, zeros, u32 crc32c
 *
 * Reading tells three things apart:
 * - the end: nothing but zeros, or rubbish, behind the last good record, and nothing behind that says it was ever durable. It is cut there;
 * - damage: behind a bad place stands a good record that was written when the bad place was durable. Refused, with both places;
 * - a file whose head is bad: if no good record follows, it was being made; else it is damaged.
 */
#ifndef WEIR_RUNTIME_COORD_SEGMENT_H
#define WEIR_RUNTIME_COORD_SEGMENT_H

#include "runtime/coord/file.h"
#include "runtime/coord/log_record.h"

#define SEGMENT_KIND "log"
#define SEGMENT_HEAD_BYTES 64u
#define SEGMENT_MARK_BYTES (256u << 10) /* between two places kept in memory, from which reading can begin */

struct segment_mark {
    struct zxid after; /* the entry before the record */
    uint64_t at;       /* of the record */
};

struct segment {
    int fd;
    struct coord_name name; /* its generation and first entry */
    struct zxid prev, last; /* the entry before its first; its last, or prev */
    uint64_t end;           /* behind the last record */
    uint64_t durable;       /* what is on disk for certain */
    uint64_t allocated;     /* length of the file */
    struct segment_mark *marks;
    uint32_t n_marks, cap_marks;
};

void segment_name(const struct segment *s, char out[static COORD_NAME_BYTES]);
void segment_close(struct segment *s);

/* Makes a file whose first entry will be `first`, durable with its name. Errors: WEIR_E_IO. */
weir_err segment_create(struct segment *s, int folder, struct coord_name name, struct zxid prev, uint64_t bytes, struct weir_diag *diag);

typedef weir_err segment_visit(void *arg, const struct zab_entry *entry, struct weir_diag *diag);

/*
 * Opens one and reads its head. last: it may be without one, and then *empty says that it holds nothing and may be removed (it is closed).
 * Errors: WEIR_E_CORRUPT, WEIR_E_IO, WEIR_E_NOMEM.
 */
weir_err segment_open(struct segment *s, int folder, struct coord_name name, bool last, bool *empty, struct weir_diag *diag);

/*
 * Gives all records of one just opened to `visit`. last: it may have a torn tail, which is cut.
 * Errors: WEIR_E_CORRUPT, WEIR_E_IO, WEIR_E_NOMEM, those of `visit`
 */
weir_err segment_scan(struct segment *s, bool last, segment_visit *visit, void *arg, struct weir_diag *diag);

/* Notes a record that was put at s->end. */
weir_err segment_note(struct segment *s, const struct zab_entry *entry, uint64_t size, struct weir_diag *diag);

/* Visits records behind `after` until it returns an error, which is returned. */
weir_err segment_read(const struct segment *s, struct zxid after, segment_visit *visit, void *arg, struct weir_diag *diag);

/* Drops everything behind `to`, durably. */
weir_err segment_cut(struct segment *s, struct zxid to, uint64_t bytes, struct weir_diag *diag);

/* Gives back what was preallocated: nothing more will be written here. */
weir_err segment_seal(struct segment *s, struct weir_diag *diag);

#endif
