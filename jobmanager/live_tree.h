/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live configuration as the coordination tree has it: everything below /weir/config, read again after each change. A core: messages of
 * docs/protocol/coord.md go out and come in, and the driver carries them to the peer of this process and back.
 *
 *     CONNECTING ──▶ WATCHING ── the watch is there ──▶ READING ──▶ CURRENT
 *         │              │                                 ▲ └─────────┘ an event: once more
 *         └──────────────┴── the peer refuses or closes ───┴──▶ LOST       another one is to be made
 *
 * CURRENT ──▶ FORGETTING, while settings of jobs are removed, ──▶ CURRENT, and then READING, since that was a change.
 *
 * One request is under way at a time. What cannot be read (it has gone, or an ACL forbids it) is not there.
 *
 * Memory: a failed allocation aborts (WEIR_ASSERT); this is control code.  Thread: one at a time.
 */
#ifndef WEIR_JOBMANAGER_LIVE_TREE_H
#define WEIR_JOBMANAGER_LIVE_TREE_H

#include "jobmanager/live.h"
#include "weir/row.h"

#define LIVE_TREE_SESSION_MS 30000 /* the session lives so long without a sign of us */
#define LIVE_TREE_PING_MS 5000     /* pause after which one is given */

struct live_tree;

void live_tree_new(struct live_tree **out);
void live_tree_destroy(struct live_tree **tree);

/* The next message to the peer; borrowed until the next call. false: none. */
bool live_tree_say(struct live_tree *t, struct weir_bytes *out, int64_t now_ms);
void live_tree_hear(struct live_tree *t, struct weir_bytes message);
/* The peer has closed the connection. */
void live_tree_closed(struct live_tree *t);
bool live_tree_lost(const struct live_tree *t);
/*
 * Removes the settings of a job from the tree, those of the reading that there is, or else of the next one. What may not be removed stays
 * until this is asked again.
 */
void live_tree_forget(struct live_tree *t, struct weir_id job);
/* When to call live_tree_say at the latest. */
int64_t live_tree_deadline_ms(const struct live_tree *t);

/*
 * What was read last: gives the number of that reading, from 1, and the settings in order of their paths, borrowed until the next message
 * is heard. 0: nothing yet, or it is being read again.
 */
uint64_t live_tree_reading(const struct live_tree *t, const struct live_setting **out, uint32_t *n);
/* How many of them were not read: LIVE_SETTINGS_MAX. */
uint32_t live_tree_passed_over(const struct live_tree *t);

#endif
