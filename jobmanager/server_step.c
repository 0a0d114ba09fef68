/* SPDX-License-Identifier: Apache-2.0 */
/* What the master decides, performed. */
#include "jobmanager/server_internal.h"
#include "runtime/base/clock.h"

static void send_packet(struct jobmanager *s, uint64_t route, struct weir_bytes packet)
{
    struct weir_bytes id;
    if (!routes_find(s->routes, route, &id)) return; /* the link will notice */
    weir_err err = net_send_bytes(s->control, (struct weir_bytes[]){id, packet}, 2);
    if (err == WEIR_E_UNREACHABLE) routes_forget(s->routes, route);
}

void server_answer(struct jobmanager *s, struct weir_bytes route, bool delimited, const struct admin_reply *reply)
{
    struct weir_bytes out[2 + REST_REPLY_PARTS] = {route};
    uint32_t n = 1;
    char status[4];
    if (delimited) out[n++] = (struct weir_bytes){"", 0};
    rest_reply_build(&out[n], status, reply->status, reply->headers, (struct weir_bytes){reply->body, (uint32_t)reply->len});
    weir_err err = net_send_bytes(s->admin_socket, out, n + REST_REPLY_PARTS);
    if (err) log_debug("an answer was dropped", "reason=%s", weir_err_name(err));
}

void server_answer_waiting(struct jobmanager *s, struct weir_id awaited, enum job_key key, weir_err err, const char *reason)
{
    struct pending_answer answer;
    while (pending_take(&s->pending, awaited, key, &answer)) {
        if (err) admin_reply_fail(&answer.reply, err, reason);
        server_answer(s, (struct weir_bytes){answer.route, answer.route_len}, answer.delimited, &answer.reply);
        admin_reply_close(&answer.reply);
    }
}

void server_answer_upload(struct jobmanager *s, struct weir_digest digest, weir_err err, const char *reason)
{
    server_answer_waiting(s, admin_ticket(digest), JOB_KEYS, err, reason);
}

/* What the catalog says of a plugin: at the start, that there is one; later, what became of one that was offered. */
static void take_artifact(struct jobmanager *s, const struct master_action *a)
{
    if (a->artifact.about.size)
        artifacts_name(s->artifacts, &a->artifact.about);
    else
        artifacts_kept(s->artifacts, a->artifact.about.digest, a->artifact.err == WEIR_OK);
    server_answer_upload(s, a->artifact.about.digest, a->artifact.err, a->artifact.reason);
}

static void take_accepted(struct jobmanager *s, const struct master_action *a)
{
    bool request = a->accepted.key == JOB_KEY_REQUESTS;
    server_answer_waiting(s, request ? a->accepted.request : a->accepted.job, a->accepted.key, a->accepted.err, a->accepted.reason);
}

static void perform(struct jobmanager *s, const struct master_action *a)
{
    switch (a->type) {
    case MASTER_DO_ACCEPTED: take_accepted(s, a); return;
    case MASTER_DO_ARTIFACT: take_artifact(s, a); return;
    case MASTER_DO_SEND: send_packet(s, a->send.route, a->send.data); return;
    case MASTER_DO_STOP_DESCRIBE: server_stop_describe(s, a->stop_describe.job); return;
    case MASTER_DO_DESCRIBE: server_defer_describe(s, a->describe.job); return;
    case MASTER_DO_READ_CHUNK: server_defer_chunk(s, a->read_chunk.reader, a->read_chunk.digest, a->read_chunk.offset); return;
    case MASTER_DO_CATALOG: catalog_tree_order(s->leadership.catalog, &a->catalog); return;
    case MASTER_DO_STORAGE: storage_thread_order(s->storage, a); return;
    case MASTER_DO_FORGET_LIVE:
        if (s->live) live_tree_forget(s->live, a->forget_live.job); /* else the next reading brings it up again */
        return;
    case MASTER_DO_LEAD_ANEW: leadership_anew(&s->leadership); return; /* server_work_catalog takes the turn */
    case MASTER_DO_JOB_ENDED: return; /* clients ask; nobody waits here, and a job leaves no files with the JobManager */
    }
}

void server_step(struct jobmanager *s, struct master_event *ev)
{
    ev->now_ms = clock_mono_ms();
    ev->wall_ms = clock_wall_ms();
    master_step(s->master, ev, &s->actions);
    for (uint32_t i = 0; i < s->actions.n; i++) perform(s, &s->actions.at[i]);
}
