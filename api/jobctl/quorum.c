/* SPDX-License-Identifier: Apache-2.0 */
#include "api/client/quorum.h"

#include "api/jobctl/coord.h"
#include "api/jobctl/exit.h"
#include "api/jobctl/session.h"
#include "api/jobctl/table.h"
#include "runtime/coord/limits.h"
#include "runtime/coord/zab.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SERVERS_MAX = 16, ENDPOINT_MAX = 256, EXPLAIN_MS = 1000 /* spent on asking why there was no answer */ };

static const char *const roles[] = {"looking", "following", "observing", "leading", "detached"};
#define N_ROLES (sizeof roles / sizeof *roles)

struct ensemble {
    const struct ctl_arguments *args;
    uint32_t n;
    char endpoints[SERVERS_MAX][ENDPOINT_MAX];
    bool answered[SERVERS_MAX];
    char why[SERVERS_MAX][WEIR_DIAG_MAX]; /* it did not answer */
    struct quorum_status status[SERVERS_MAX];
};

static bool take_servers(struct ensemble *e)
{
    for (const char *at = e->args->servers; *at; at += *at == ',') {
        size_t length = strcspn(at, ",");
        if (length == 0 || length >= ENDPOINT_MAX || e->n == SERVERS_MAX) return false;
        memcpy(e->endpoints[e->n++], at, length);
        at += length;
    }
    return e->n > 0;
}

static void ask_all(struct ensemble *e, int64_t within_ms)
{
    for (uint32_t i = 0; i < e->n; i++) {
        struct weir_diag diag = {0};
        int64_t timeout_ms = within_ms / e->n;
        e->answered[i] = quorum_status(&e->status[i], e->endpoints[i], timeout_ms > 0 ? timeout_ms : 1, &diag) == WEIR_OK;
        (void)snprintf(e->why[i], sizeof e->why[i], "%s", diag.text);
    }
}

static const struct quorum_status *leader_of(const struct ensemble *e, uint32_t *index)
{
    for (uint32_t i = 0; i < e->n; i++) {
        if (!e->answered[i] || !e->status[i].leads) continue;
        *index = i;
        return &e->status[i];
    }
    return NULL;
}

/* Entries that the leader has and this peer has not applied; of another epoch it cannot be counted: negative. */
static int64_t lag(const struct quorum_status *leader, const struct quorum_status *s)
{
    if (!leader || leader->commit.epoch != s->delivered.epoch) return -1;
    return (int64_t)(leader->commit.counter - s->delivered.counter);
}

static const char *role_of(const struct quorum_status *s)
{
    return s->role < N_ROLES ? roles[s->role] : "?";
}

static int print_table(const struct ensemble *e, const struct quorum_status *leader)
{
    static const struct table_column columns[] = {{"ID", TABLE_RIGHT},      {"ROLE", TABLE_LEFT},  {"EPOCH", TABLE_RIGHT},
                                                  {"APPLIED", TABLE_RIGHT}, {"LAG", TABLE_RIGHT},  {"CLIENTS", TABLE_RIGHT},
                                                  {"NODES", TABLE_RIGHT},   {"SERVER", TABLE_LEFT}};
    struct table *t = table_new(columns, sizeof columns / sizeof *columns);
    for (uint32_t i = 0; i < e->n; i++) {
        const struct quorum_status *s = &e->status[i];
        int64_t behind = lag(leader, s);
        table_row(t);
        if (!e->answered[i]) {
            table_cell(t, "?");
            table_cell(t, "no answer");
            for (int k = 0; k < 5; k++) table_cell(t, "");
            table_cell(t, e->endpoints[i]);
            continue;
        }
        table_cellf(t, "%" PRIu32, s->id);
        table_cellf(t, "%s%s", role_of(s), s->established ? "" : " (no quorum)");
        table_cellf(t, "%" PRIu64, s->epoch);
        table_cellf(t, "%" PRIu64 ":%" PRIu64, s->delivered.epoch, s->delivered.counter);
        if (behind < 0)
            table_cell(t, "?");
        else
            table_cellf(t, "%" PRId64, behind);
        table_cellf(t, "%" PRIu32, s->connections);
        table_cellf(t, "%" PRIu64, s->nodes);
        table_cell(t, e->endpoints[i]);
    }
    weir_err err = table_print(t, stdout);
    table_destroy(&t);
    return err ? CTL_EXIT_FAILED : CTL_EXIT_OK;
}

static json_t *members_json(const struct zab_members *m)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < m->n; i++)
        (void)json_array_append_new(
            list, json_pack("{s:I, s:b, s:s}", "id", (json_int_t)m->at[i].id, "observer", m->at[i].observer, "address", m->at[i].address));
    return list;
}

static int print_json(const struct ensemble *e, const struct quorum_status *leader)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < e->n; i++) {
        const struct quorum_status *s = &e->status[i];
        (void)json_array_append_new(
            list, e->answered[i]
                      ? json_pack("{s:s, s:I, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "server", e->endpoints[i], "id",
                                  (json_int_t)s->id, "role", role_of(s), "quorum", s->established, "epoch", (json_int_t)s->epoch,
                                  "applied-epoch", (json_int_t)s->delivered.epoch, "applied-counter", (json_int_t)s->delivered.counter,
                                  "lag", (json_int_t)lag(leader, s), "clients", (json_int_t)s->connections, "nodes", (json_int_t)s->nodes,
                                  "members", members_json(&s->members))
                      : json_pack("{s:s, s:s}", "server", e->endpoints[i], "error", e->why[i]));
    }
    (void)json_dumpf(list, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    json_decref(list);
    return CTL_EXIT_OK;
}

static int show(const struct ensemble *e)
{
    uint32_t index;
    const struct quorum_status *leader = leader_of(e, &index);
    int code = e->args->format == CTL_JSON ? print_json(e, leader) : print_table(e, leader);
    for (uint32_t i = 0; i < e->n; i++)
        if (!e->answered[i]) session_complain("%s", e->why[i]);
    if (!leader) session_complain("none of the servers that were asked leads: start the missing peers, or name them all with --servers");
    return code ? code : leader ? CTL_EXIT_OK : CTL_EXIT_UNREACHABLE;
}

/* ---- members ------------------------------------------------------------------------------------------------------------------- */

static const char *outcome_words(uint8_t outcome)
{
    static const char *const words[] = {
        [ZAB_TAKEN] = "taken",
        [ZAB_NOT_LEADER] = "the leader has changed: try again",
        [ZAB_NOT_ESTABLISHED] = "there is no leader with a quorum: start the missing peers",
        [ZAB_TOO_LARGE] = "the list of members would be too long",
        [ZAB_BUSY] = "the leader has too much to do: try again later",
        [ZAB_BAD_CHANGE] = "there is no such member, no voter would be left, or there would be more than 16 members",
        [ZAB_BAD_VERSION] = "somebody else has changed the members: look again",
        [ZAB_PENDING] = "the change before is not yet committed: try again",
        [ZAB_NO_QUORUM] =
            "no majority of the new voters follows: start the new peer, and add it as observer first (add ID=observer:ADDRESS)",
    };
    if (outcome == QUORUM_DENIED)
        return "only keys with the role admin change the members, and those that the ACL of " COORD_ENSEMBLE_PATH " lets write: use one";
    return outcome < sizeof words / sizeof *words ? words[outcome] : "an outcome this jobctl does not know";
}

/* "4=ADDRESS", "4=observer:ADDRESS", or for remove "4". */
static bool parse_change(const struct ctl_arguments *args, struct zab_change *change)
{
    static const char observer[] = "observer:";
    char *end;
    *change = (struct zab_change){.remove = strcmp(args->verb, "remove") == 0};
    unsigned long id = strtoul(args->value, &end, 10);
    if (id == 0 || id > UINT32_MAX || args->value[0] < '0' || args->value[0] > '9') return false;
    change->member.id = (uint32_t)id;
    if (change->remove) return *end == '\0';
    if (*end++ != '=') return false;
    change->member.observer = strncmp(end, observer, sizeof observer - 1) == 0;
    if (change->member.observer) end += sizeof observer - 1;
    return snprintf(change->member.address, sizeof change->member.address, "%s", end) < (int)sizeof change->member.address && *end;
}

static int change(const struct ensemble *e)
{
    struct zab_change c;
    struct weir_diag diag;
    uint32_t index;
    uint8_t outcome;
    if (!parse_change(e->args, &c)) {
        session_complain("'%s' names no member: the use is `jobctl quorum add ID=PEER;CLIENT;ADMIN;CONTROL` or `jobctl quorum remove ID`",
                         e->args->value);
        return CTL_EXIT_USAGE;
    }
    if (!leader_of(e, &index)) {
        session_complain("none of the servers that were asked leads: name them all with --servers");
        return CTL_EXIT_UNREACHABLE;
    }
    if (quorum_reconfig(&outcome, e->endpoints[index], &c, 1, e->args->timeout_ms, &diag)) {
        session_complain("%s", diag.text);
        return diag.code == WEIR_E_DENIED ? CTL_EXIT_REFUSED : CTL_EXIT_UNREACHABLE;
    }
    if (outcome == ZAB_TAKEN) return CTL_EXIT_OK;
    session_complain("%s %s: %s", e->args->verb, e->args->value, outcome_words(outcome));
    return CTL_EXIT_REFUSED;
}

int quorum_command(const struct ctl_arguments *args)
{
    struct ensemble *e = calloc(1, sizeof *e);
    int code = CTL_EXIT_USAGE;
    if (!e) return CTL_EXIT_FAILED;
    e->args = args;
    if (take_servers(e)) {
        ask_all(e, args->timeout_ms);
        code = args->verb ? change(e) : show(e);
    } else {
        session_complain("--servers takes 1 to %d endpoints with commas between them, not '%s'", SERVERS_MAX, args->servers);
    }
    free(e);
    return code;
}

void quorum_explain(const struct ctl_arguments *args)
{
    struct ensemble *e = calloc(1, sizeof *e);
    if (!e) return;
    e->args = args;
    if (take_servers(e)) ask_all(e, EXPLAIN_MS);
    for (uint32_t i = 0; i < e->n; i++) {
        if (!e->answered[i])
            session_complain("%s", e->why[i]);
        else if (!e->status[i].established)
            session_complain("peer %" PRIu32 " at %s has no leader with a quorum: start the missing peers", e->status[i].id,
                             e->endpoints[i]);
    }
    free(e);
}
