/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record that must never be half: both epochs of a peer, whose folder it is, and which generation of log and snapshots counts. One file
 * of 96 bytes with a checksum, replaced as a whole: temporary name, fsync, rename, fsync of the folder. So no crash finds one epoch without
 * the other (ZOOKEEPER-2307, 2354, 1653, 4269), and an installed snapshot takes the place of snapshots and log in one moment.
 */
#ifndef WEIR_RUNTIME_COORD_EPOCHS_H
#define WEIR_RUNTIME_COORD_EPOCHS_H

#include "runtime/base/id.h"
#include "runtime/coord/bytes.h"

#define EPOCHS_FILE "epochs"
#define EPOCHS_BYTES 96u

struct epochs {
    struct weir_id cluster;
    uint32_t peer;
    uint64_t accepted, current;
    uint64_t generation; /* from 1; one more with each installed snapshot */
    struct zxid base;    /* what the log of this generation begins behind: {0, 0}, or the installed snapshot */
};

weir_err epochs_write(int folder, const struct epochs *e, struct weir_diag *diag);
/* Errors: WEIR_E_NOT_FOUND, WEIR_E_CORRUPT, WEIR_E_IO. */
weir_err epochs_read(int folder, struct epochs *e, struct weir_diag *diag);
/* The same from bytes. */
weir_err epochs_decode(struct weir_bytes bytes, struct epochs *e, struct weir_diag *diag);
void epochs_encode(struct buffer *b, const struct epochs *e);

#endif
