/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog's store in the coordination tree, for one leadership. A core: messages of docs/protocol/coord.md go out and come in, and the
 * driver carries them to the peer of this process and back.
 *
 *     CONNECTING ──▶ CLAIMING ── /weir/leader holds our epoch ──▶ LISTING ── every key has been read ──▶ SERVING
 *         └──────────────┴── a newer epoch is there, the peer refuses or closes ──▶ LOST ◀── also from the others
 *
 * Key "job/ID/name" is the node /weir/job/ID/name, "artifact/HEX" is /weir/artifact/HEX; a key's version is that of the node plus one, so
 * that 0 is none. Every write is a transaction that begins with a check: /weir/leader has the version that our claim gave it. Who claims
 * after us changes that version, so a leader that was deposed writes nothing more, whatever it believes; the first such answer ends the
 * leadership here (LOST).
 *
 * A value that is larger than node_bytes lies in parts (catalog_note.h): they are written first, a few at a time, each behind the same
 * check, and then the note, which is the moment. So a torn put leaves the former value; its parts go when it fails, or, if nobody is left
 * who knows of them, when the next leadership begins. Those of a value that was replaced go behind the note of its successor. Who reads
 * verifies length and checksum: a value that is listed and damaged is told so, and one that is read back is not ours.
 *
 * Orders of one folder are carried out in their order: what comes behind a large value waits until that is published.
 *
 * A write whose outcome the peer does not know is answered CATALOG_UNKNOWN; the catalog core reads it back. CATALOG_CONFIRM is a CONFIRM of
 * the protocol, of which only the last counts: what is being written, at whatever disk, does not hold it up.
 *
 * Memory: a failed allocation aborts (WEIR_ASSERT); this is control code.  Thread: one at a time.
 */
#ifndef WEIR_JOBMANAGER_CATALOG_TREE_H
#define WEIR_JOBMANAGER_CATALOG_TREE_H

#include "jobmanager/master.h"

#define CATALOG_TREE_ROOT "/weir"
#define CATALOG_TREE_LEADER "/weir/leader"
#define CATALOG_TREE_NODE_BYTES (512u << 10) /* of a node, outside of tests: small enough that other writes come between two parts */
#define CATALOG_TREE_SESSION_MS 30000        /* the session lives so long without a sign of us */
#define CATALOG_TREE_PING_MS 5000            /* pause after which one is given */

enum catalog_tree_state {
    CATALOG_TREE_CONNECTING,
    CATALOG_TREE_CLAIMING,
    CATALOG_TREE_LISTING,
    CATALOG_TREE_SERVING,
    CATALOG_TREE_LOST, /* nothing is said or answered any more */
};

struct catalog_tree;

/* epoch: of the leadership that the peer has told. node_bytes: a value that is larger lies in parts. */
void catalog_tree_new(struct catalog_tree **out, uint64_t epoch, uint32_t node_bytes);
void catalog_tree_destroy(struct catalog_tree **tree);

enum catalog_tree_state catalog_tree_state(const struct catalog_tree *t);
const char *catalog_tree_reason(const struct catalog_tree *t); /* LOST: a sentence */

/* The next message to the peer; borrowed until the next call. false: none. */
bool catalog_tree_say(struct catalog_tree *t, struct weir_bytes *out, int64_t now_ms);
/* A message of the peer. */
void catalog_tree_hear(struct catalog_tree *t, struct weir_bytes message);
/* The peer has closed the connection. */
void catalog_tree_closed(struct catalog_tree *t);
/* When to call catalog_tree_say at the latest. */
int64_t catalog_tree_deadline_ms(const struct catalog_tree *t);

/* SERVING: what was there when we claimed it, in order of keys; borrowed until the first order. Gives how many. */
uint32_t catalog_tree_listed(const struct catalog_tree *t, const struct master_listed **out);

/* SERVING, LOST. Copies the order. */
void catalog_tree_order(struct catalog_tree *t, const struct catalog_order *order);
/* The next answer; false: none. It lasts until the next call. */
bool catalog_tree_answer(struct catalog_tree *t, struct catalog_answer *out);

#endif
