/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A family: one named state of an operator, as files and the keeper see it. Most have one store (store.h); the panes of a window have one
 * each, told apart by a prefix of their keys.
 *
 * Owner: the slot's task thread.
 */
#ifndef WEIR_RUNTIME_STATE_FAMILY_H
#define WEIR_RUNTIME_STATE_FAMILY_H

#include "runtime/state/slot.h"
#include "weir/base.h"

#define FAMILY_PREFIX_MAX 16u

struct family;

struct family_options {
    const char *name;    /* operator id '/' state; copied */
    uint32_t value_size; /* 0 = any length */
    int64_t ttl_ms;      /* 0 = none */
    bool ttl_on_read;
    uint16_t first_group, last_group; /* keys of other groups that a restored file holds are as if absent */
    uint32_t prefix_length;           /* of its stores' prefixes */
    bool whole; /* small and always in memory: what is restored is read once, and the next snapshot writes everything anew */
};

weir_err family_new(struct family **out, struct state_slot *slot, const struct family_options *options, struct weir_diag *diag);
void family_destroy(struct family **family); /* after its stores */

struct state_slot *family_slot(struct family *family);

/*
 * Gives the smallest prefix of `length` bytes above `after` (length bytes; NULL: any) under which the keeper holds something, in `out`: how
 * restored panes are found. *found false: none. Only what has been restored or written out is seen. Errors: the slot's.
 */
weir_err family_next_prefix(struct family *family, const void *after, uint32_t length, void *out, bool *found);

#endif
