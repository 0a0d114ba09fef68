/* SPDX-License-Identifier: Apache-2.0 */
/*
 * State without key: broadcast maps and operator lists, behind weir_broadcast_* and weir_operator_list_* of weir/state.h. The functions
 * that use them are declared in keyed.h; here is what keyed.c makes and frees them with. Both are small and always in memory: each is a
 * pinned store, alone in its family, whose keys have no user's key in them (STORE_KEY_NONE).
 *
 *     broadcast        user key                                                          -> bytes
 *     operator list    writer's subtask index · place in its list (4 bytes each, big-endian) -> bytes
 *
 * Restoring. All subtasks hold the same broadcast map, so the files of one of them are put behind the family of each. Of an operator list,
 * the files of all subtasks are put behind the family of each: the writer's index keeps their elements apart and gives their order. Each
 * subtask then drops what is not its share and writes the rest again under its own index, so that its next snapshot is its own list and
 * nothing else. With WEIR_SPLIT the shares are the elements i, i + n_shards, ...; with WEIR_UNION each has all, and goes on writing all of
 * them: an operator that wants a union to stay as it is clears the list and adds its own.
 *
 * Owner: the operator's task thread.
 */
#ifndef WEIR_RUNTIME_STATE_UNKEYED_H
#define WEIR_RUNTIME_STATE_UNKEYED_H

#include "runtime/state/keyed.h"
#include "runtime/state/store.h"

/* family: kept; its values have any length, whatever the state's. value_size: length each value must have; 0 = any. Errors: the slot's. */
weir_err broadcast_new(struct weir_broadcast **out, struct family *family, uint32_t value_size);
void broadcast_destroy(struct weir_broadcast **state);

struct operator_list_options {
    uint32_t value_size; /* length each element must have; 0 = any */
    enum weir_redistribution how;
    uint32_t writer;          /* index of this subtask */
    uint32_t shard, n_shards; /* which share of what is restored is its; n_shards > 0 when something is */
};

/* family: as above. Errors: the slot's. */
weir_err operator_list_new(struct weir_operator_list **out, struct family *family, const struct operator_list_options *options);
void operator_list_destroy(struct weir_operator_list **list);

#endif
