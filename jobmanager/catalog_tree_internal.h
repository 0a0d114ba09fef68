/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the parts of the catalog's store (catalog_tree.h): catalog_tree.c (claim, orders), catalog_requests.c (what is asked of the
 * peer), catalog_listing.c (what is there at the start), catalog_parts.c (values that are larger than a node).
 */
#ifndef WEIR_JOBMANAGER_CATALOG_TREE_INTERNAL_H
#define WEIR_JOBMANAGER_CATALOG_TREE_INTERNAL_H

#include "jobmanager/catalog_note.h"
#include "jobmanager/catalog_tree.h"
#include "runtime/coord/protocol.h"
#include "runtime/coord/stat.h"

#define CATALOG_JOBS CATALOG_TREE_ROOT "/job"
#define CATALOG_ARTIFACTS CATALOG_TREE_ROOT "/artifact"

enum { CATALOG_PATH_BYTES = sizeof CATALOG_TREE_ROOT + 1 + CATALOG_KEY_MAX };

/* What a reply answers. */
enum purpose {
    MADE_FOLDER,
    SAW_LEADER,
    CLAIMED,
    LISTED_CHILDREN, /* from here to READ_PART: reads */
    LISTED_DATA,
    LISTED_PARTS,
    SAW_PARTS,  /* of a folder that is to go */
    READ_PART,  /* of a value that is read back or listed */
    WROTE_PART, /* of a value that is put; its folder, too */
    REMOVED_PARTS,
    DID_ORDER,
    CONFIRMED,
};

/* A message that waits to be said, or its reply to be heard; both in order. */
struct request {
    struct request *next;
    enum purpose purpose;
    struct catalog_answer answer; /* DID_ORDER: what is known of it so far; READ_PART, WROTE_PART: the number of the order, 0 = listing */
    enum catalog_kind kind;
    char key[CATALOG_KEY_MAX + 1]; /* DID_ORDER */
    bool large;                    /* DID_ORDER: the value lies in parts ... */
    struct catalog_note note;      /* ... here; SAW_PARTS: the folder */
    struct buffer bytes;           /* the message, then the value of an answer */
};

struct queue {
    struct request *first, **last;
};

/* A node that is still to be read. */
struct visit {
    struct visit *next;
    uint32_t depth; /* of KEY_DEPTH: then it is a key */
    char path[CATALOG_PATH_BYTES];
};

/* A key whose value lies in parts. */
struct large {
    struct large *next;
    char key[CATALOG_KEY_MAX + 1];
    struct catalog_note note;
};

/* A value that is being put in parts. */
struct large_put {
    struct large_put *next;
    uint64_t number, expected; /* of the order */
    char key[CATALOG_KEY_MAX + 1];
    struct catalog_note note;
    uint32_t n_asked, n_done; /* nodes: the folder, then the parts */
    struct buffer value;
};

/* An order that must not overtake a large value of the same folder. */
struct held {
    struct held *next;
    struct catalog_order order; /* of what follows */
    char key[CATALOG_KEY_MAX + 1];
    struct buffer value;
};

/* A value that is being read from its parts. */
struct large_get {
    struct large_get *next;
    struct request *order; /* what it answers; NULL: it is listed */
    uint64_t version;
    char key[CATALOG_KEY_MAX + 1];
    struct catalog_note note;
    uint32_t n_asked, n_done; /* parts */
    bool torn;                /* a part is missing, or has another length */
    struct buffer value;
};

struct catalog_tree {
    enum catalog_tree_state state;
    char reason[WEIR_DIAG_MAX];
    uint64_t epoch, leader_version, last_xid, acked;
    uint32_t node_bytes; /* a larger value lies in parts */
    int64_t said_ms;
    struct queue to_say, to_hear, answers;
    struct queue to_confirm; /* one at most: the newest */
    uint64_t confirming;     /* its number, when it was said; 0: none is awaited */
    struct request *told;    /* whose bytes the owner reads */
    struct buffer message;
    struct visit *visits; /* next first */
    uint32_t n_listed, cap_listed;
    struct master_listed *listed;
    struct large *larges;
    uint64_t last_folder; /* number of the last one that was made for parts */
    struct large_put *puts;
    struct held *held; /* in order */
    struct large_get *gets;
};

/* ---- catalog_requests.c ---- */

void queue_init(struct queue *q);
void queue_put(struct queue *q, struct request *r);
struct request *queue_take(struct queue *q); /* NULL: it is empty */
void queue_drop(struct queue *q);
struct request *request_new(enum purpose purpose);
void request_free(struct request *r);

/* Each gives the request, which stands in line. */
struct request *catalog_ask_write(struct catalog_tree *t, enum purpose purpose, const struct op *ops, uint32_t n);
struct request *catalog_ask_ops(struct catalog_tree *t, enum purpose purpose, struct weir_bytes ops, uint32_t n); /* in request form */
struct request *catalog_ask_read(struct catalog_tree *t, enum purpose purpose, const struct get *get, bool linear);

struct op catalog_op_create(const char *path, struct weir_bytes data, enum node_kind kind);
/* First of each write: nobody has begun to lead since. */
struct op catalog_op_check(const struct catalog_tree *t);

/* ---- catalog_tree.c ---- */

void catalog_lose(struct catalog_tree *t, const char *fmt, ...) WEIR_PRINTF(2, 3);
/* Whose turn has come. */
void catalog_carry_out(struct catalog_tree *t, const struct catalog_order *order);
/* The order is done, as far as it will be. err: why not, for the reason. */
void catalog_answer_order(struct catalog_tree *t, struct request *r, enum catalog_outcome outcome, unsigned err);
/* A write of one node, as the order says. */
struct request *catalog_write_node(struct catalog_tree *t, const struct catalog_order *order);

/* ---- catalog_listing.c ---- */

void catalog_begin_listing(struct catalog_tree *t);
void catalog_take_children(struct catalog_tree *t, struct reader *r);
void catalog_take_data(struct catalog_tree *t, struct reader *r);
void catalog_take_parts(struct catalog_tree *t, struct reader *r);
/* What was to be read next is not there any more. */
void catalog_skip_visit(struct catalog_tree *t);
/* The value of a large key is there, in one piece; damage: NULL, or why not. */
void catalog_listed_large(struct catalog_tree *t, const struct large_get *get, const char *damage);
void catalog_drop_listed(struct catalog_tree *t);
void catalog_drop_visits(struct catalog_tree *t);

/* ---- catalog_parts.c ---- */

/* PUT of a value that is larger than a node: its parts, and then, behind the last, the note. */
void catalog_parts_put(struct catalog_tree *t, const struct catalog_order *order);
/* Whether an order of this key has to wait until a value is published; then it is kept, and given again. */
bool catalog_parts_hold(struct catalog_tree *t, const struct catalog_order *order);
/* order: taken, and answered in the end; NULL: it is listed. */
void catalog_parts_get(struct catalog_tree *t, struct request *order, const char *key, uint64_t version, const struct catalog_note *note);
/* The key's value is this one now, NULL: none in parts. Those of its former value go. */
void catalog_parts_are(struct catalog_tree *t, const char *key, const struct catalog_note *note);
bool catalog_parts_known(const struct catalog_tree *t, const struct catalog_note *note);
/* The folder goes, whatever there is of it. */
void catalog_parts_remove(struct catalog_tree *t, const struct catalog_note *note);
/* Replies to WROTE_PART, READ_PART, SAW_PARTS. */
void catalog_parts_wrote(struct catalog_tree *t, const struct request *r, const struct say *say);
void catalog_parts_read(struct catalog_tree *t, const struct request *r, const struct say *say);
void catalog_parts_saw(struct catalog_tree *t, const struct request *r, const struct say *say);
void catalog_parts_close(struct catalog_tree *t);

#endif
