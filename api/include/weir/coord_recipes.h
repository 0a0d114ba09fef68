/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipes over weir/coord.h: what several processes agree on by way of the tree.
 *
 *     leader election, exclusive and shared locks   weir_coord_claim_*
 *     semaphore                                     weir_coord_semaphore_*
 *     barrier, double barrier                       weir_coord_barrier_*, weir_coord_meeting_*
 *     queue                                         weir_coord_queue_*
 *     group membership, service discovery           weir_coord_group_*
 *     counter                                       weir_coord_counter_add
 *     live configuration                            weir_coord_config_*
 *
 * Folders are made when they are missing. Nobody who waits is woken but by what may let him go on: each waits for the one before him. A
 * connection that breaks changes nothing; a session that ends is told.
 *
 * Fencing. Who holds something cannot know for certain that he still does: he may have been held up for longer than his session lives. So
 * each holding has a token, which is greater than that of all who held it before. Show it wherever the protected thing is changed, and have
 * lesser tokens refused there; or, when it lies in the tree, change it together with the CHECK of weir_coord_claim_check.
 *
 * timeout_ms: below zero waits for ever; OPERATION_TIMEOUT when it has passed. What waits may not be called in a callback (WRONG_THREAD).
 */
#ifndef WEIR_COORD_RECIPES_H
#define WEIR_COORD_RECIPES_H

#include "weir/coord.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_COORD_NODE_MAX 1025u /* bytes of a path with its NUL */

/* ---- claims: leader election, locks ---------------------------------------------------------------------------------------------- */

/*
 * A place in a line. EXCLUSIVE holds when it is the first; SHARED when no exclusive one is before it. A leader is who holds an exclusive
 * claim; `data` tells the others who that is (weir_coord_claim_holder).
 *
 *     WAITING ──first──▶ HELD ──▶ LOST      session ended, or somebody deleted the node
 *        └────────────────────────▶
 */
enum weir_coord_claim_kind { WEIR_COORD_EXCLUSIVE, WEIR_COORD_SHARED };
enum weir_coord_claim_state { WEIR_COORD_WAITING, WEIR_COORD_HELD, WEIR_COORD_LOST };

struct weir_coord_claim;

/* Called at HELD and at LOST, on the client's thread. */
typedef void weir_coord_claim_fn(void *arg, struct weir_coord_claim *claim, enum weir_coord_claim_state state);

/*
 * Joins the line of `folder` and returns at once; the callback (NULL: none), or weir_coord_claim_wait, tells the rest. May be called in a
 * callback. Gives `*out`. Errors: BAD_ARGUMENTS (folder too long).
 */
WEIR_EXPORT enum weir_coord_err weir_coord_claim_enter(struct weir_coord_claim **out, struct weir_coord *coord, const char *folder,
                                                       enum weir_coord_claim_kind kind, struct weir_bytes data, weir_coord_claim_fn *fn,
                                                       void *arg);
/* Waits until it is held: OK. OPERATION_TIMEOUT: not yet, and it stays in the line. Otherwise it is lost, and why. */
WEIR_EXPORT enum weir_coord_err weir_coord_claim_wait(struct weir_coord_claim *claim, int64_t timeout_ms);
/*
 * Held, as far as can be known: HELD, and the session certainly lives (weir_coord_alive). false for whoever has read that its node is gone.
 * Gives the token, also when it is no longer so.
 */
WEIR_EXPORT bool weir_coord_claim_held(struct weir_coord_claim *claim, struct weir_coord_zxid *token);
/* An operation for weir_coord_write that fails (NO_NODE) unless the claim is still in its place. Of a claim that is held. Borrows it. */
WEIR_EXPORT struct weir_coord_op weir_coord_claim_check(struct weir_coord_claim *claim);
/* Leaves the line, or gives back what is held, and frees the claim; no callback comes afterwards. NULL is allowed. */
WEIR_EXPORT void weir_coord_claim_leave(struct weir_coord_claim **claim);
/* Who is first in the line now: NO_NODE, or `*reply`: results[0] has data and, as stat.czxid, the token. */
WEIR_EXPORT enum weir_coord_err weir_coord_claim_holder(struct weir_coord *coord, const char *folder, struct weir_coord_reply *reply);

/* ---- semaphore ------------------------------------------------------------------------------------------------------------------- */

/* One of `max` leases; all who use the folder give the same number. In turn: who comes first is served first. */
struct weir_coord_lease {
    char path[WEIR_COORD_NODE_MAX];
    struct weir_coord_zxid token;
};
WEIR_EXPORT enum weir_coord_err weir_coord_semaphore_acquire(struct weir_coord *coord, const char *folder, uint32_t max, int64_t timeout_ms,
                                                             struct weir_coord_lease *out);
WEIR_EXPORT enum weir_coord_err weir_coord_semaphore_release(struct weir_coord *coord, const struct weir_coord_lease *lease);

/* ---- barriers -------------------------------------------------------------------------------------------------------------------- */

/* Closed while the node is there. Closing what is closed is no error, nor is lifting what is lifted. */
WEIR_EXPORT enum weir_coord_err weir_coord_barrier_close(struct weir_coord *coord, const char *path);
WEIR_EXPORT enum weir_coord_err weir_coord_barrier_lift(struct weir_coord *coord, const char *path);
WEIR_EXPORT enum weir_coord_err weir_coord_barrier_wait(struct weir_coord *coord, const char *path, int64_t timeout_ms);

/* A double barrier: nobody goes on before `n` have entered, and nobody before all have left. `name` is one's own, without a slash. */
WEIR_EXPORT enum weir_coord_err weir_coord_meeting_enter(struct weir_coord *coord, const char *folder, const char *name, uint32_t n,
                                                         int64_t timeout_ms);
WEIR_EXPORT enum weir_coord_err weir_coord_meeting_leave(struct weir_coord *coord, const char *folder, const char *name,
                                                         int64_t timeout_ms);

/* ---- queue ----------------------------------------------------------------------------------------------------------------------- */

WEIR_EXPORT enum weir_coord_err weir_coord_queue_put(struct weir_coord *coord, const char *folder, const void *data, uint32_t length);
/* The oldest item, which only this caller gets: results[0].data of `*reply`; stat.czxid is its token. Who waits longest is served first. */
WEIR_EXPORT enum weir_coord_err weir_coord_queue_take(struct weir_coord *coord, const char *folder, int64_t timeout_ms,
                                                      struct weir_coord_reply *reply);

/* ---- groups and services ---------------------------------------------------------------------------------------------------------- */

/* Joins: an ephemeral node `folder`/`name` with `data` (of a service, its address). NODE_EXISTS: the name is taken. Gives the token. */
WEIR_EXPORT enum weir_coord_err weir_coord_group_join(struct weir_coord *coord, const char *folder, const char *name, const void *data,
                                                      uint32_t length, struct weir_coord_zxid *token);
WEIR_EXPORT enum weir_coord_err weir_coord_group_leave(struct weir_coord *coord, const char *folder, const char *name);

/* The members, kept up to date: names sorted, with their data (none, and a zero token, where an ACL does not let this client read it). */
struct weir_coord_member {
    char name[256];
    struct weir_bytes data;
    struct weir_coord_zxid token;
};
struct weir_coord_group;
/* Called after the first look and after each change, on the client's thread; members are borrowed. err: the session ended. */
typedef void weir_coord_group_fn(void *arg, enum weir_coord_err err, const struct weir_coord_member *members, uint32_t n);
/* Gives `*out`; returns after the first look. fn may be NULL. */
WEIR_EXPORT enum weir_coord_err weir_coord_group_watch(struct weir_coord_group **out, struct weir_coord *coord, const char *folder,
                                                       weir_coord_group_fn *fn, void *arg);
WEIR_EXPORT void weir_coord_group_unwatch(struct weir_coord_group **group);
/* A member, each in its turn: copies name and up to `size` bytes of data. NO_NODE: there is none. */
WEIR_EXPORT enum weir_coord_err weir_coord_group_choose(struct weir_coord_group *group, char name[static 256], void *data, uint32_t size,
                                                        uint32_t *length);

/* ---- counter ------------------------------------------------------------------------------------------------------------------- */

/* Adds to a number, kept as decimal text; a node that is missing counts as 0. Gives the sum, and the token of the change. */
WEIR_EXPORT enum weir_coord_err weir_coord_counter_add(struct weir_coord *coord, const char *path, int64_t delta, int64_t *sum,
                                                       struct weir_coord_zxid *token);

/* ---- live configuration ---------------------------------------------------------------------------------------------------------- */

struct weir_coord_value;
/* Called with the present value and after each change, on the client's thread. data NULL: no such node, or no data. Of changes that follow
 * quickly only the last may be told. err: the session ended, and the value is no longer watched. */
typedef void weir_coord_value_fn(void *arg, enum weir_coord_err err, struct weir_bytes data, struct weir_coord_zxid token);
/* Gives `*out`, and tells the first value before it returns. fn may be NULL. */
WEIR_EXPORT enum weir_coord_err weir_coord_config_watch(struct weir_coord_value **out, struct weir_coord *coord, const char *path,
                                                        weir_coord_value_fn *fn, void *arg);
WEIR_EXPORT void weir_coord_config_unwatch(struct weir_coord_value **value);
/*
 * The value as it is known now: never waits, on any thread. Copies up to `size` bytes of it; `*length` is how many it has, `*token` (NULL:
 * not wanted) tells whether it is another than before. NO_NODE: there is none. Else: the session ended, by this error.
 */
WEIR_EXPORT enum weir_coord_err weir_coord_config_get(struct weir_coord_value *value, void *data, uint32_t size, uint32_t *length,
                                                      struct weir_coord_zxid *token);
/* Sets it, and creates it with its parents if it is missing. */
WEIR_EXPORT enum weir_coord_err weir_coord_config_set(struct weir_coord *coord, const char *path, const void *data, uint32_t length);

#ifdef __cplusplus
}
#endif
#endif
