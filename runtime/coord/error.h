/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors a client of the tree sees. The meaning, the name and, without its sign, the number are ZooKeeper's where ZooKeeper has them.
 * Stable: they travel in replies and lie in logs.
 */
#ifndef WEIR_RUNTIME_COORD_ERROR_H
#define WEIR_RUNTIME_COORD_ERROR_H

enum coord_err {
    COORD_OK = 0,
    COORD_MARSHALLING = 5,   /* bytes that are no request; the connection is closed */
    COORD_UNIMPLEMENTED = 6, /* an operation this server does not know */
    COORD_BAD_ARGUMENTS = 8, /* a path or another argument outside its documented range */
    COORD_NO_NODE = 101,     /* no such node, or no parent for a new one */
    COORD_NO_AUTH = 102,     /* the ACL does not allow it */
    COORD_BAD_VERSION = 103, /* the node has another version */
    COORD_NO_CHILDREN_FOR_EPHEMERALS = 108,
    COORD_NODE_EXISTS = 110,
    COORD_NOT_EMPTY = 111,       /* a node with children is not deleted */
    COORD_SESSION_EXPIRED = 112, /* no such session (any more) */
    COORD_INVALID_ACL = 114,
    COORD_AUTH_FAILED = 115,   /* wrong password of a session, unknown scheme, malformed credentials */
    COORD_SESSION_MOVED = 118, /* the session lives at another server now */
    COORD_NO_WATCHER = 121,    /* no such watch to remove */
    COORD_QUOTA_EXCEEDED = 125,
    COORD_THROTTLED = 127,           /* too much under way; not carried out */
    COORD_RUNTIME_INCONSISTENCY = 2, /* in a failed multi: this operation came after the one that failed */
    COORD_NO_QUORUM = 200,         /* this peer has no leader with a quorum: not carried out, or, for a write under way, outcome unknown */
    COORD_LIMIT = 201,             /* the change would exceed a limit of the tree */
    COORD_OUTCOME_FORGOTTEN = 202, /* a repeated request whose outcome is no longer kept */
    COORD_CLIENT_AHEAD = 203,      /* the client has seen a later state than this peer has; ask another */
};

/* "NO_NODE"; "UNKNOWN" for a number that is none. Thread: any. */
const char *coord_err_name(unsigned err);

#endif
