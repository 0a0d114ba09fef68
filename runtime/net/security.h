/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CURVE for all sockets of a process. Between net_start and the first socket a program says once which key is its own and which it knows
 * (net_secure); from then on there is no plain transport in it but inproc, and what says so itself (net_socket_config.plain):
 *
 *     bind      only keys that are known, and of a role that the socket admits (net_socket_config.roles), come in; a handler of ZeroMQ's
 *               authentication protocol (ZAP) says so, and where there is none nobody comes in (ZMQ_ZAP_ENFORCE_DOMAIN)
 *     connect   the list says whose key answers at that endpoint; where it does not, nothing is connected
 *     receive   net_parts_key has the sender's key, which the transport has checked; nothing in a message can claim it
 *
 * A process that did not call it is as before: plain, on loopback and ipc alone.
 *
 * CURVE asks at the handshake only. The list is read again when it has changed, and whoever owns a connection asks net_role_of for what
 * comes by it, so a key that was struck out ends at its next message. A list that cannot be read leaves the former one in force, and says
 * so in the log.
 */
#ifndef WEIR_RUNTIME_NET_SECURITY_H
#define WEIR_RUNTIME_NET_SECURITY_H

#include "runtime/net/keys.h"

#define NET_SELF_TEST_MS 10000   /* how long a handshake of the self-test may take */
#define NET_REFUSALS_LOG_MS 1000 /* between two lines about keys that were refused */
#define NET_KEYS_LOOK_MS 500     /* the list is looked at as often as this, while it is asked, and for an unknown key at once */

/* For the tables of the daemons. */
#define SECURITY_KEYS                                                                                                                    \
    {"security.key", CONFIG_STR, "", .help = "file of this process's key pair (jobctl cert new); none: plain transport, loopback only"}, \
    {                                                                                                                                    \
        "security.known-keys", CONFIG_STR, "", .help = "file, or folder of NAME.pub: whose keys come in, with roles and endpoints"       \
    }

struct config;

struct net_security_config {
    const char *key;        /* file of the key pair */
    const char *known_keys; /* file or folder */
    uint32_t roles;         /* of a program that binds: its own key must have one of these (enum net_role). 0: it only connects */
};

/*
 * Errors, each with its remedy: of net_key_pair_load and net_known_keys_load; WEIR_E_ARGUMENT: one file without the other, the own key is
 * not known or has another role; WEIR_E_UNSUPPORTED: no CURVE; WEIR_E_STATE: net_start was not called, or this was; WEIR_E_INTERNAL: the
 * self-test failed: a random key was let in. End the process then. Thread: main.
 */
weir_err net_secure(const struct net_security_config *config, struct weir_diag *diag);
/* By security.key and security.known-keys; without both: nothing. */
weir_err net_secure_from_config(const struct config *config, uint32_t roles, struct weir_diag *diag);

/* Thread of all that follows: any. */
bool net_is_secured(void);
/* The process's own public key; "" without keys. */
const char *net_own_key(void);
/* The role of a known key, by the list as it is now; NET_ROLE_NONE: not known, or no longer. */
enum net_role net_role_of(const char *key);
/* Whose key answers at an endpoint. false: nobody known, or it is none. */
bool net_key_at(const char *endpoint, char out[static NET_KEY_TEXT]);
/* Its name. false: it is not known. */
bool net_name_of(const char *key, char out[static NET_KEY_NAME_MAX + 1]);

#endif
