/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread of a client: it carries events and actions between coord_client.h and a lane (runtime/coord/lane.h) over one DEALER socket,
 * which is made anew for each connection, under a random identity. It decides nothing.
 *
 *     any thread ── orders, eventfd ──▶ thread "coord" ══ lane ══ server
 *                                             │
 *                                       callbacks of the user
 */
#ifndef WEIR_API_CLIENT_COORD_THREAD_H
#define WEIR_API_CLIENT_COORD_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "api/client/coord_client.h"
#include "runtime/base/gate.h"
#include "runtime/coord/lane.h"
#include "runtime/coord/limits.h"
#include "runtime/coord/watch.h"
#include "runtime/net/socket.h"

enum order_type { ORDER_ASK, ORDER_UNWATCH, ORDER_END };

/* What another thread wants done. */
struct order {
    STAILQ_ENTRY(order) next;
    enum order_type type;
    struct request *request; /* ASK */
    uint64_t id;             /* UNWATCH: the watch; 0: those whose callback has this arg */
    const void *arg;
    struct order_done *done; /* UNWATCH: who waits; NULL: nobody */
};

struct order_done {
    struct gate gate;
    bool found;
};

STAILQ_HEAD(order_list, order);

struct weir_coord {
    /* fixed */
    uint32_t n_servers;
    char servers[WEIR_COORD_SERVERS_MAX][NET_ENDPOINT_MAX];
    uint32_t request_timeout_ms;
    void (*on_state)(void *arg, enum weir_coord_state state);
    void *arg;
    pthread_t thread;
    bool started;
    pthread_t task;       /* a client of a task: its thread, which may wait ... */
    const bool *may_wait; /* ... while this is so; NULL: it is none of a task */

    pthread_mutex_t mutex; /* of the orders */
    struct order_list orders;
    int order_fd; /* eventfd */

    /* told to other threads */
    atomic_int state;
    atomic_uint_fast64_t session, last_watch;
    atomic_int_fast64_t alive_until_ms;

    /* the thread's */
    struct coord_client *client;
    struct coord_client_actions actions;
    struct net_socket *socket, *monitor; /* NULL: no connection */
    struct net_parts parts;
    struct lane lane;
    uint64_t connection;
    bool up, held, lost; /* ACCEPT came; a packet waits for the socket; the connection broke in this turn */
    bool refused;        /* ... in its handshake */
    char told[256];      /* the last refusal that was logged */
    bool ended;
};

/* Reads the list of servers. Errors: WEIR_E_ARGUMENT, WEIR_E_UNSUPPORTED, WEIR_E_LIMIT. */
weir_err coord_servers_parse(struct weir_coord *c, const char *servers, struct weir_diag *diag);

void *coord_thread_run(void *arg);
/* Takes the order (allocated); the thread is woken. */
void coord_thread_order(struct weir_coord *c, struct order *order);

#endif
