/* SPDX-License-Identifier: Apache-2.0 */
/* The peer's news, and whose turn it is to lead. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "jobmanager/peer/ensemble.h"
#include "jobmanager/server_internal.h"
#include "runtime/base/clock.h"

static void trace(void *arg, bool notable, const char *line)
{
    (void)arg;
    log_event("cluster", notable, line);
}

/* The endpoint of the established leader, "" when there is none or it has none. */
static const char *leader_endpoint(const struct jobmanager *s, enum ensemble_address which, char out[static ZAB_ADDRESS_MAX])
{
    uint32_t id = s->leadership.role.leader;
    const struct zab_member *leader = id ? members_find(&s->members, id) : NULL;
    out[0] = '\0';
    return leader ? ensemble_endpoint(leader->address, which, out) : out;
}

/* Where workers find the coordination. */
static void tell_clients_endpoints(struct jobmanager *s)
{
    char endpoints[ENSEMBLE_CLIENTS_MAX];
    master_set_coordination(s->master, ensemble_clients(&s->members, peer_client_endpoint(s->config.peer), endpoints));
}

void server_start_master(struct jobmanager *s, uint64_t epoch)
{
    char leader[ZAB_ADDRESS_MAX];
    if (s->master) {
        master_actions_close(&s->actions);
        master_destroy(&s->master);
    }
    struct master_config config = {.incarnation = id_random(), .epoch = epoch, .version = WEIR_VERSION, .trace = trace};
    config.heartbeat_ms = s->config.heartbeat.interval_ms;
    config.heartbeat_timeout_ms = s->config.heartbeat.timeout_ms;
    config.options = s->config.options;
    config.checkpoint_dir = s->checkpoint_dir;
    config.leader = epoch ? NULL : leader_endpoint(s, ENSEMBLE_CONTROL, leader);
    master_new(&s->master, &config, clock_mono_ms());
    master_actions_init(&s->actions);
    s->admin.master = s->master;
    s->live_told = 0;
    tell_clients_endpoints(s);
    (void)leader_endpoint(s, ENSEMBLE_ADMIN, leader);
    (void)snprintf(s->admin.leader, sizeof s->admin.leader, "%s", leader);
}

static void log_listening(const struct jobmanager *s)
{
    log_info("listening", "control=%s admin=%s data-dir=\"%s\" epoch=%" PRIu64 " plugins=%u pid=%d", net_socket_endpoint(s->control),
             net_socket_endpoint(s->admin_socket), s->config.data_dir, master_epoch(s->master), store_count(s->store), (int)getpid());
}

/* Whose list of plugins counts, if anybody's. */
static void follow_artifacts(struct jobmanager *s)
{
    const struct peer_role *role = &s->leadership.role;
    artifacts_role(s->artifacts, role->established && !role->leads ? role->epoch : 0, false);
}

/* From now on nobody is told anything by us but who leads. */
static void stop_leading(struct jobmanager *s)
{
    static const char unknown[] = "this JobManager leads no more: look whether the request was carried out before you repeat it";
    log_warn("leads no more", "reason=\"%s\"", s->leadership.why);
    while (s->pending.n > 0) server_answer_waiting(s, s->pending.at[0].awaited, s->pending.at[0].key, WEIR_E_UNREACHABLE, unknown);
    peer_disconnect(s->config.peer, s->connection);
    follow_artifacts(s);
    server_forget_work(s);
    server_start_master(s, 0);
}

/* A job that has not ended needs its plugin, whatever else the catalog says of that. */
static void name_plugins_of_jobs(struct jobmanager *s)
{
    for (uint32_t i = 0; i < master_n_jobs(s->master); i++) {
        const struct job *job = master_job_at(s->master, i);
        struct store_artifact about = {.digest = job->digest, .size = job->size};
        if (job_state_terminal(job->state) || artifacts_find(s->artifacts, job->digest)) continue;
        store_clean_name(job->name, about.name);
        artifacts_name(s->artifacts, &about);
    }
}

/* The catalog is ours: the jobs that it holds are taken up. */
static void lead(struct jobmanager *s)
{
    struct master_event ev = {.type = MASTER_EV_LISTED};
    server_start_master(s, s->leadership.epoch);
    artifacts_role(s->artifacts, s->leadership.epoch, true);
    ev.listed.n = catalog_tree_listed(s->leadership.catalog, &ev.listed.at);
    server_step(s, &ev);
    name_plugins_of_jobs(s);
    artifacts_named(s->artifacts);
    s->failure = s->actions.answer;
    s->stopping |= s->failure.code != WEIR_OK;
    if (!s->failure.code) log_listening(s);
}

static void follow(struct jobmanager *s)
{
    server_start_master(s, 0);
    follow_artifacts(s);
    log_info("stands by", "leader=%" PRIu32, s->leadership.role.leader);
}

static void take_turns(struct jobmanager *s)
{
    for (enum leadership_turn turn; (turn = leadership_turn(&s->leadership)) != LEADERSHIP_STAYS;) {
        switch (turn) {
        case LEADERSHIP_STAYS: break;
        case LEADERSHIP_FOLLOWS: follow(s); break;
        case LEADERSHIP_CLAIMS:
            follow_artifacts(s);
            s->connection = peer_connect(s->config.peer);
            break;
        case LEADERSHIP_LEADS: lead(s); break;
        case LEADERSHIP_ENDS: stop_leading(s); break;
        }
    }
}

static void take_members(struct jobmanager *s, const struct zab_members *members)
{
    uint32_t self = peer_id(s->config.peer);
    s->members = *members;
    tell_clients_endpoints(s);
    artifacts_members(s->artifacts, members, self);
    artifact_links_members(s->links, members, self);
}

static void take_news(struct jobmanager *s, const struct peer_news *news)
{
    struct catalog_tree *catalog = news->connection == s->connection ? s->leadership.catalog : NULL;
    switch (news->type) {
    case PEER_NEWS_ROLE: leadership_role(&s->leadership, &news->role); break;
    case PEER_NEWS_MEMBERS: take_members(s, news->members); break;
    case PEER_NEWS_MESSAGE:
        if (catalog) catalog_tree_hear(catalog, news->message);
        if (s->live && news->connection == s->live_connection) live_tree_hear(s->live, news->message);
        break;
    case PEER_NEWS_CLOSED:
        if (catalog) catalog_tree_closed(catalog);
        if (s->live && news->connection == s->live_connection) live_tree_closed(s->live);
        break;
    case PEER_NEWS_RECONFIG: break; /* nobody here asks for it */
    }
}

void server_take_peer(struct jobmanager *s)
{
    struct peer_news news;
    while (peer_take(s->config.peer, &news)) {
        take_news(s, &news);
        take_turns(s);
    }
}

void server_work_catalog(struct jobmanager *s)
{
    struct master_event ev = {.type = MASTER_EV_CATALOG};
    struct catalog_tree *catalog = s->leadership.catalog;
    struct weir_bytes message;
    if (!catalog) return;
    while (catalog_tree_answer(catalog, &ev.catalog)) server_step(s, &ev);
    take_turns(s);
    catalog = s->leadership.catalog;
    while (catalog && catalog_tree_say(catalog, &message, clock_mono_ms())) peer_send(s->config.peer, s->connection, message);
}

bool server_is_about_to_lead(const struct jobmanager *s)
{
    return !master_leads(s->master) && (s->leadership.role.leads || s->members.n <= 1);
}
