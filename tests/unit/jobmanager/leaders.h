/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JobManagers that lead, or think so: leadership and catalog of each, above the servers of the coordination tree that
 * tests/unit/coord/ensemble.h performs by hand. What one of them hears and says, and when, is up to the test. Behind cmocka.
 */
#ifndef WEIR_TESTS_UNIT_JOBMANAGER_LEADERS_H
#define WEIR_TESTS_UNIT_JOBMANAGER_LEADERS_H

#include "jobmanager/leadership.h"
#include "tests/unit/coord/ensemble.h"

struct leader {
    struct leadership l;
    uint32_t server;       /* its peer's, an index */
    struct client *client; /* the connection of its catalog */
};

/* At most n messages of the catalog arrive at its peer. */
static inline uint32_t leader_say(struct ensemble *e, struct leader *j, uint32_t n)
{
    struct weir_bytes message;
    uint32_t said = 0;
    for (; said < n && j->l.catalog && catalog_tree_say(j->l.catalog, &message, e->now_ms); said++)
        step(e, j->server, (struct coord_server_event){.type = COORD_EV_MESSAGE, .connection = j->client->id, .bytes = message});
    return said;
}

static inline void leader_hear(struct leader *j)
{
    struct client *c = j->client;
    for (; j->l.catalog && c->read < c->n; c->read++)
        catalog_tree_hear(j->l.catalog, bytes_of(c->inbox[c->read].data, c->inbox[c->read].len));
    if (j->l.catalog && c->closed) catalog_tree_closed(j->l.catalog);
}

/* Until neither has anything to say. */
static inline void leader_talk(struct ensemble *e, struct leader *j)
{
    do {
        settle(e);
        leader_hear(j);
    } while (leader_say(e, j, UINT32_MAX) > 0);
}

/* What its driver does; leader_hear, leader_talk come behind. */
static inline enum leadership_turn leader_turn(struct ensemble *e, struct leader *j)
{
    enum leadership_turn turn = leadership_turn(&j->l);
    if (turn == LEADERSHIP_CLAIMS) {
        j->client = &e->clients[e->next_connection];
        assert_true(e->next_connection < CLIENTS);
        open_connection(e, j->client, j->server);
    }
    if (turn == LEADERSHIP_ENDS) disconnect(e, j->client);
    return turn;
}

static inline void leader_role(struct leader *j, bool leads, uint64_t epoch)
{
    const struct peer_role role = {.role = leads ? ZAB_LEADING : ZAB_LOOKING, .established = leads, .leads = leads, .epoch = epoch};
    leadership_role(&j->l, &role);
}

/* Its peer leads `epoch`, and it begins to claim the catalog. */
static inline void leader_claim(struct ensemble *e, struct leader *j, uint32_t server, uint64_t epoch)
{
    j->server = server;
    if (e->leader != (int)server) lead(e, (int)server);
    leader_role(j, true, epoch);
    assert_int_equal(leader_turn(e, j), LEADERSHIP_CLAIMS);
}

static inline void leader_begin(struct ensemble *e, struct leader *j, uint32_t server, uint64_t epoch)
{
    leader_claim(e, j, server, epoch);
    leader_talk(e, j);
    assert_int_equal(leader_turn(e, j), LEADERSHIP_LEADS);
}

/* Gives the answer; all zero: there is none. Its value is borrowed from the catalog. */
static inline struct catalog_answer leader_order(struct ensemble *e, struct leader *j, enum catalog_kind kind, const char *key,
                                                 const char *value, uint64_t expected)
{
    static uint64_t number;
    struct catalog_answer answer = {0};
    const struct catalog_order o = {.number = ++number, .kind = kind, .key = key, .value = bytes_text(value), .expected = expected};
    catalog_tree_order(j->l.catalog, &o);
    leader_talk(e, j);
    if (catalog_tree_answer(j->l.catalog, &answer)) assert_int_equal(answer.number, o.number);
    return answer;
}

#endif
