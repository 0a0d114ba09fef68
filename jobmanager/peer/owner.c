/* SPDX-License-Identifier: Apache-2.0 */
/* Between the owner's thread and the peer's: orders one way, news the other, each a list behind a mutex and an eventfd. */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "jobmanager/peer/internal.h"
#include "runtime/base/assert.h"
#include "runtime/base/log.h"

static void ring(int fd)
{
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

static void silence(int fd)
{
    uint64_t count;
    (void)!read(fd, &count, sizeof count);
}

/* ---- the owner's side ---------------------------------------------------------------------------------------------------------- */

static struct order *new_order(enum order_type type, uint64_t connection, const void *bytes, size_t length)
{
    struct order *o = calloc(1, sizeof *o + length);
    WEIR_ASSERT(o);
    o->type = type;
    o->connection = connection;
    o->length = (uint32_t)length;
    if (length > 0) memcpy(o->bytes, bytes, length);
    return o;
}

static void give(struct peer *p, struct order *order)
{
    struct owner *o = &p->owner;
    pthread_mutex_lock(&o->mutex);
    bool first = !o->first_order;
    *o->last_order = order;
    o->last_order = &order->next;
    pthread_mutex_unlock(&o->mutex);
    if (first) ring(o->order_fd);
}

uint64_t peer_connect(struct peer *p)
{
    uint64_t connection = atomic_fetch_add(&p->clients.last_id, 1) + 1;
    give(p, new_order(ORDER_CONNECT, connection, NULL, 0));
    return connection;
}

void peer_send(struct peer *p, uint64_t connection, struct weir_bytes message)
{
    give(p, new_order(ORDER_SEND, connection, message.data, message.length));
}

void peer_disconnect(struct peer *p, uint64_t connection)
{
    give(p, new_order(ORDER_DISCONNECT, connection, NULL, 0));
}

void peer_reconfig(struct peer *p, uint64_t token, const struct zab_change *changes, uint32_t n, const struct zxid *version)
{
    struct order *o = new_order(ORDER_RECONFIG, token, changes, n * sizeof *changes);
    o->n_changes = n;
    o->versioned = version != NULL;
    if (version) o->version = *version;
    give(p, o);
}

int peer_fd(const struct peer *p)
{
    return p->owner.news_fd;
}

bool peer_take(struct peer *p, struct peer_news *out)
{
    struct owner *o = &p->owner;
    free(o->told);
    pthread_mutex_lock(&o->mutex);
    struct news *n = o->told = o->first_news;
    if (n) {
        o->first_news = n->next;
        atomic_fetch_sub(&o->news_bytes, sizeof *n + n->length);
    }
    if (!o->first_news) {
        o->last_news = &o->first_news;
        silence(o->news_fd);
    }
    pthread_mutex_unlock(&o->mutex);
    if (n) *out = n->news;
    return n != NULL;
}

void peer_status(struct peer *p, struct peer_status *out)
{
    pthread_mutex_lock(&p->owner.mutex);
    *out = p->owner.status;
    pthread_mutex_unlock(&p->owner.mutex);
}

/* ---- the thread's side --------------------------------------------------------------------------------------------------------- */

static void reconfig(struct peer *p, const struct order *order)
{
    enum zab_outcome outcome = carry_reconfig(p, order);
    owner_tell(p, &(struct peer_news){.type = PEER_NEWS_RECONFIG, .token = order->connection, .outcome = outcome});
}

static void perform(struct peer *p, const struct order *order)
{
    switch (order->type) {
    case ORDER_CONNECT: clients_add_local(p, order->connection); return;
    case ORDER_SEND: clients_from_local(p, order->connection, bytes_of(order->bytes, order->length)); return;
    case ORDER_DISCONNECT: clients_local_gone(p, order->connection); return;
    case ORDER_RECONFIG: reconfig(p, order); return;
    }
}

void owner_orders(struct peer *p)
{
    struct owner *o = &p->owner;
    pthread_mutex_lock(&o->mutex);
    struct order *order = o->first_order, *next;
    o->first_order = NULL;
    o->last_order = &o->first_order;
    silence(o->order_fd); /* within the lock: who gives the next one rings again */
    pthread_mutex_unlock(&o->mutex);
    for (; order; order = next) {
        next = order->next;
        perform(p, order);
        free(order);
    }
}

/* With the bytes behind it that it borrows. */
static struct news *new_news(const struct peer_news *news, const void *borrowed, size_t length)
{
    struct news *n = malloc(sizeof *n + length);
    WEIR_ASSERT(n);
    n->next = NULL;
    n->news = *news;
    n->length = length;
    if (length > 0) memcpy(n->bytes, borrowed, length);
    return n;
}

void owner_tell(struct peer *p, const struct peer_news *news)
{
    struct news *n = news->type == PEER_NEWS_MEMBERS ? new_news(news, news->members, sizeof *news->members)
                                                     : new_news(news, news->message.data, news->message.length);
    n->news.members = (const struct zab_members *)(const void *)n->bytes;
    n->news.message.data = n->bytes;
    atomic_fetch_add(&p->owner.news_bytes, sizeof *n + n->length);
    *p->owner.last = n;
    p->owner.last = &n->next;
}

bool owner_is_full(const struct peer *p)
{
    return atomic_load(&p->owner.news_bytes) > PEER_NEWS_BYTES;
}

static void gather_followers(struct peer *p, struct peer_status *out)
{
    for (uint32_t i = 0; i < p->members.n; i++) {
        uint32_t id = p->members.at[i].id;
        if (id == p->id) continue;
        struct peer_follower *f = &out->followers[out->n_followers++];
        *f = (struct peer_follower){.id = id, .linked = links_is_up(p, id)};
        f->follows = zab_follower(p->zab, id, &f->acked);
    }
}

static void gather_status(struct peer *p, struct peer_status *out)
{
    struct zab_status zab = zab_status(p->zab);
    struct coord_server_status server = coord_server_status(p->server);
    *out = (struct peer_status){.id = p->id,
                                .role = p->role,
                                .last = zab.last,
                                .commit = zab.commit,
                                .delivered = zab.delivered,
                                .accepted = zab.accepted,
                                .current = zab.current,
                                .connections = server.connections,
                                .watches = server.watches,
                                .waiting = server.waiting,
                                .nodes = p->state.tree.root->usage.nodes,
                                .bytes = p->state.tree.root->usage.bytes,
                                .sessions = p->state.sessions.by_id.n,
                                .snapshot = p->snapshots.newest,
                                .members = p->members};
    gather_followers(p, out);
}

void owner_flush(struct peer *p)
{
    struct owner *o = &p->owner;
    bool news = o->first != NULL;
    if (!news && p->now_ms - o->status_ms < STATUS_MS) return;
    struct peer_status status;
    gather_status(p, &status);
    o->status_ms = p->now_ms;
    pthread_mutex_lock(&o->mutex);
    o->status = status;
    if (news) {
        *o->last_news = o->first;
        o->last_news = o->last;
    }
    pthread_mutex_unlock(&o->mutex);
    o->first = NULL;
    o->last = &o->first;
    if (news) ring(o->news_fd);
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------- */

weir_err owner_open(struct owner *o, struct weir_diag *diag)
{
    pthread_mutex_init(&o->mutex, NULL);
    o->last_order = &o->first_order;
    o->last_news = &o->first_news;
    o->last = &o->first;
    o->order_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    o->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return o->order_fd < 0 || o->news_fd < 0 ? weir_fail_errno(diag, errno, "make an eventfd") : WEIR_OK;
}

static void free_news(struct news *n)
{
    for (struct news *next; n; n = next) {
        next = n->next;
        free(n);
    }
}

void owner_close(struct owner *o)
{
    for (struct order *order = o->first_order, *next; order; order = next) {
        next = order->next;
        free(order);
    }
    free_news(o->first_news);
    free_news(o->first);
    free(o->told);
    if (o->order_fd >= 0) close(o->order_fd);
    if (o->news_fd >= 0) close(o->news_fd);
    pthread_mutex_destroy(&o->mutex);
}

void owner_wake(struct peer *p)
{
    ring(p->owner.order_fd);
}
