/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which plugins the cluster has, and which JobManagers hold them (docs/decision/0008-artifacts-are-replicated.md). A core.
 *
 *     uploaded here ──▶ OFFERED ── a quorum holds it ──▶ KEEP ── the catalog has it ──▶ LISTED ── deleted ──▶ gone, everywhere
 *                          └── nobody takes a byte for ARTIFACTS_WAIT_MS ──▶ GIVE_UP
 *
 * The leader has the list: what the catalog names, and what is offered. It tells every other member the whole list (SYNC), again and again;
 * the answer says what is missing there. Who holds something is known from nothing else. A follower removes what the list does not name,
 * and fetches what it lacks from the leader; the leader fetches what it lacks from whoever holds it. Lists are numbered, (epoch, version):
 * an older one than the last is refused, so a late message cannot take away what was promised.
 *
 * Memory: a failed allocation aborts; this is control code.  Thread: one at a time.
 */
#ifndef WEIR_JOBMANAGER_ARTIFACTS_H
#define WEIR_JOBMANAGER_ARTIFACTS_H

#include "jobmanager/store.h"
#include "runtime/coord/members.h"

#define ARTIFACTS_POLL_MS 20     /* pause before a member that lacks something is told again; doubles without progress ... */
#define ARTIFACTS_SYNC_MS 2000   /* ... up to this, the pause of members that lack nothing */
#define ARTIFACTS_ANSWER_MS 1000 /* a request that is not answered for so long is made again */
#define ARTIFACTS_RETRY_MS 200   /* pause after a fetch that failed */
#define ARTIFACTS_WAIT_MS 8000   /* an upload of which no other member takes a byte for so long is refused */

struct artifacts;

enum artifact_state {
    ARTIFACT_STRAY,   /* no list names it (yet) */
    ARTIFACT_OFFERED, /* the leader's: a quorum must hold it */
    ARTIFACT_KEEPING, /* the catalog must name it */
    ARTIFACT_LISTED,
};

struct artifact {
    struct store_artifact about;
    enum artifact_state state;
    bool here;              /* in the store */
    struct zab_set holders; /* the leader's: other members that hold it */
    int64_t due_ms;         /* OFFERED: when it is given up; else when it may be fetched */
};

enum artifacts_order_type {
    ARTIFACTS_SYNC,    /* tell `member` the list (artifacts_list, artifacts_version), then artifacts_synced */
    ARTIFACTS_FETCH,   /* ask `member` for the bytes at `offset`, put them into the store, then artifacts_fetched, _missed or _held */
    ARTIFACTS_REMOVE,  /* out of the store */
    ARTIFACTS_KEEP,    /* put it into the catalog, then artifacts_kept */
    ARTIFACTS_GIVE_UP, /* its upload has failed: too few hold it. It is no longer offered */
};

struct artifacts_order {
    enum artifacts_order_type type;
    uint32_t member;
    uint64_t number;               /* SYNC, FETCH: the answer names it */
    struct store_artifact about;   /* but SYNC */
    uint64_t offset;               /* FETCH */
    uint32_t n_holders, n_members; /* GIVE_UP: who holds it, of how many voters */
};

void artifacts_new(struct artifacts **out);
void artifacts_destroy(struct artifacts **artifacts);

/* The members of the ensemble, and which of them this is. */
void artifacts_members(struct artifacts *a, const struct zab_members *members, uint32_t self);
/* The peer's role has changed: the list of before counts no more. epoch 0: there is no leader. */
void artifacts_role(struct artifacts *a, uint64_t epoch, bool leads);

/* ---- the leader ---- */

/* The catalog names it. */
void artifacts_name(struct artifacts *a, const struct store_artifact *about);
/* The catalog has been read: what it does not name may go. */
void artifacts_named(struct artifacts *a);
/* Uploaded here, and in the store. false: it is listed already, there is nothing to wait for. */
bool artifacts_offer(struct artifacts *a, const struct store_artifact *about, int64_t now_ms);
/* What became of KEEP. */
void artifacts_kept(struct artifacts *a, struct weir_digest digest, bool kept);
void artifacts_delete(struct artifacts *a, struct weir_digest digest);

/* A member's answer: bytes it has fetched since it began, and what it lacks of the list. An answer to nothing is ignored. */
void artifacts_synced(struct artifacts *a, uint32_t member, uint64_t number, uint64_t fetched, const struct weir_digest *missing,
                      uint32_t n, int64_t now_ms);

/* ---- a follower ---- */

/*
 * The leader's list. Errors: WEIR_E_STATE: of another epoch than the present leader's, older than the last one, from nobody we follow.
 */
weir_err artifacts_take(struct artifacts *a, uint64_t epoch, uint64_t version, uint32_t leader, const struct store_artifact *list,
                        uint32_t n, struct weir_diag *diag);

/* ---- everybody ---- */

/* It is in the store: from before, or fetched. */
void artifacts_held(struct artifacts *a, const struct store_artifact *about);
/* Whether this is a SYNC that the member has not answered. */
bool artifacts_asked(const struct artifacts *a, uint32_t member, uint64_t number);
/* Whether this is the fetch under way: else its bytes are of no use. */
bool artifacts_expects(const struct artifacts *a, uint32_t member, uint64_t number);
uint64_t artifacts_offset(const struct artifacts *a); /* where its bytes belong */
void artifacts_fetched(struct artifacts *a, uint32_t length);
/* The fetch under way has failed. damaged: what has been fetched of it must be fetched again. */
void artifacts_missed(struct artifacts *a, bool damaged, int64_t now_ms);

/* The next order; false: none now. */
bool artifacts_next(struct artifacts *a, int64_t now_ms, struct artifacts_order *out);
/* When to ask again, at the latest. */
int64_t artifacts_deadline_ms(const struct artifacts *a);

/* ---- views: borrowed until the next change ---- */

uint32_t artifacts_count(const struct artifacts *a);
const struct artifact *artifacts_at(const struct artifacts *a, uint32_t index); /* in order of arrival */
/* Listed. NULL: there is none. */
const struct artifact *artifacts_find(const struct artifacts *a, struct weir_digest digest);
uint64_t artifacts_epoch(const struct artifacts *a);
uint64_t artifacts_version(const struct artifacts *a);       /* of the list */
uint64_t artifacts_bytes_fetched(const struct artifacts *a); /* since this process began */

#endif
