/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: the whole replicated state as bytes, exact although it goes on changing while they are written. An image is made in slices; each
 * is asked for when there is time. What a transaction is about to change, and no slice has taken yet, is written first, as it is
 * (copy on write); what a transaction adds is younger than the image and left out. So the image is the state at one zxid, and the log goes
 * on right behind it: no transaction is ever applied to a state that already has it.
 *
 * Of equal states that do not change meanwhile the images are equal to the byte.
 *
 * A slice holds whole records: the first begins with the header and the sessions, then come the nodes, each behind its parent, then an end
 * mark with their number. docs/protocol/coord.md has the bytes. Owner: the thread of the state.
 */
#ifndef WEIR_RUNTIME_COORD_IMAGE_H
#define WEIR_RUNTIME_COORD_IMAGE_H

#include "runtime/coord/state.h"

#define IMAGE_SLICE_BYTES (256u << 10) /* usual size of a slice; it ends with the record that reaches it */

/* Begins an image of `s` as it is now. One at a time. Copies the sessions. NULL: no memory. */
struct image *image_begin(struct coord_state *s);
void image_end(struct image **image); /* at any time; before the state closes */

struct zxid image_zxid(const struct image *image); /* which state it is */

/*
 * Appends the next slice of about `bytes`, at most IMAGE_SLICE_BYTES and two records more; *last with the final one, after which there is
 * none. Errors: WEIR_E_NOMEM: this image is of no use any more.
 */
weir_err image_slice(struct image *image, size_t bytes, struct buffer *out, bool *last);

/* For tree.c: a node is about to change; about to be freed, after image_before_change. */
void image_before_change(struct image *image, struct node *n);
void image_before_delete(struct image *image, struct node *n);

/* ---- reading one ---- */

struct image_reader {
    struct coord_state *state;
    bool begun, ended;
    uint64_t last_session; /* the highest ever given */
    uint64_t n_nodes;
};

/* Reads into a state that was just made. */
void image_reader_init(struct image_reader *r, struct coord_state *state);

/*
 * Takes the next slice. Errors: WEIR_E_CORRUPT: these are no slices of an image; WEIR_E_NOMEM. The state may then hold a part: close it.
 */
weir_err image_read(struct image_reader *r, struct weir_bytes slice, struct weir_diag *diag);
/* After the last: WEIR_E_CORRUPT when the end is missing. */
weir_err image_read_end(const struct image_reader *r, struct weir_diag *diag);

#endif
