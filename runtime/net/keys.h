/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CURVE keys in files: the key pair of one process, and the list of keys that a cluster knows. No socket; the texts are read by bounded
 * parsers (tests/fuzz/fuzz_keys.c). A key is 32 bytes, written as 40 characters of Z85 (ZeroMQ RFC 32).
 *
 *     a key pair                          the keys that are known: ROLE NAME KEY [ENDPOINT ...]
 *
 *     # weir key pair "jm-1"              jobmanager jm-1 Xk.&a…  tcp://127.0.0.1:6123 tcp://127.0.0.1:8081
 *     public Xk.&a…                       taskmanager tm-1 9u(Pq…
 *     secret )mZ0s…                       admin ann j#Gs1…
 *
 * Lines whose first character is '#' say nothing. Who may read the file of a key pair is that process, so the file must be its user's alone
 * (mode 0600); who may write the list decides who comes in, so only its owner may.
 */
#ifndef WEIR_RUNTIME_NET_KEYS_H
#define WEIR_RUNTIME_NET_KEYS_H

#include "runtime/base/buffer.h"
#include "runtime/net/socket.h"

#define NET_KEY_NAME_MAX 64u         /* bytes of a key's name; a longer one is refused */
#define NET_KEYS_MAX 1024u           /* known keys; with more the list is refused */
#define NET_KEY_ENDPOINTS_MAX 8u     /* of one JobManager; with more the list is refused */
#define NET_KEY_FILE_MAX 4096u       /* bytes of a key pair's file */
#define NET_KEYS_FILE_MAX (1u << 20) /* bytes of one file of known keys */
#define NET_KEYS_FILES_MAX 1024u     /* files of a folder of known keys */

/* A key pair as Z85. */
struct net_key_pair {
    char open[NET_KEY_TEXT];
    char secret[NET_KEY_TEXT];
};

struct net_known_key {
    char key[NET_KEY_TEXT];
    char name[NET_KEY_NAME_MAX + 1];
    enum net_role role;
    uint32_t n_endpoints;                                    /* JobManagers: where they answer, so that who connects knows the key there */
    char endpoints[NET_KEY_ENDPOINTS_MAX][NET_ENDPOINT_MAX]; /* as endpoint_text writes them; tcp://HOST:* stands for every port */
};

/* Sorted by key. Zero-initialised: none. */
struct net_known_keys {
    uint32_t n, cap;
    struct net_known_key *at;
};

/* "jobmanager"; "?" for what is none. */
const char *net_role_name(enum net_role role);
/* 0: no such role. */
enum net_role net_role_of_name(const char *name, size_t length);
/* 1 to NET_KEY_NAME_MAX letters, digits, '-', '_', '.', the first no '.'. */
bool net_key_name_valid(const char *name, size_t length);

/* ---- key pairs ---- */

/* A new one, from the kernel's generator. Errors: WEIR_E_UNSUPPORTED: this libzmq has no CURVE. */
weir_err net_key_pair_new(struct net_key_pair *out, struct weir_diag *diag);

/*
 * text: NULL with length 0. Errors: WEIR_E_ARGUMENT: the text is no key pair (which line, and why), the halves do not belong together, or
 * it is one of those that are printed in ZeroMQ's documentation. *out is untouched then.
 */
weir_err net_key_pair_parse(struct net_key_pair *out, const char *text, size_t length, struct weir_diag *diag);
void net_key_pair_text(const struct net_key_pair *pair, const char *name, struct buffer *out);

/*
 * Errors: of net_key_pair_parse; WEIR_E_NOT_FOUND, WEIR_E_IO; WEIR_E_ARGUMENT: no plain file, somebody else's, or others may read or write
 * it.
 */
weir_err net_key_pair_load(struct net_key_pair *out, const char *path, struct weir_diag *diag);
/* Writes a new file with mode 0600, durably. Errors: WEIR_E_EXISTS, WEIR_E_IO, WEIR_E_NOMEM. Nothing is left of a file that failed. */
weir_err net_key_pair_save(const struct net_key_pair *pair, const char *name, const char *path, struct weir_diag *diag);

/* Overwrites it. */
void net_key_pair_forget(struct net_key_pair *pair);

/* ---- the keys that are known ---- */

/*
 * Adds the keys of a text. `source` names it in the diagnostic. Errors: WEIR_E_ARGUMENT: which line, what, and what to do; a key twice;
 * WEIR_E_UNSUPPORTED: an endpoint by name; WEIR_E_LIMIT, WEIR_E_NOMEM. The list may hold a part then.
 */
weir_err net_known_keys_parse(struct net_known_keys *list, const char *text, size_t length, const char *source, struct weir_diag *diag);
/* One line, with its end. */
void net_known_key_text(const struct net_known_key *key, struct buffer *out);

/*
 * Reads a file, or of a folder every file NAME.pub. Gives a list, for net_known_keys_close. Errors: of net_known_keys_parse;
 * WEIR_E_NOT_FOUND, WEIR_E_IO; WEIR_E_ARGUMENT: others than the owner, this user or root, may write it. *out is untouched then.
 */
weir_err net_known_keys_load(struct net_known_keys *out, const char *path, struct weir_diag *diag);
void net_known_keys_close(struct net_known_keys *list);

/* NULL: it is not known. */
const struct net_known_key *net_known_keys_find(const struct net_known_keys *list, const char *key);
/* Which JobManager answers at an endpoint (endpoint_text's form); one that names the port before one that does not. NULL: nobody known. */
const struct net_known_key *net_known_keys_at(const struct net_known_keys *list, const char *endpoint);

#endif
