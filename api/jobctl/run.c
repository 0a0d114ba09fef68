/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/run.h"

#include "api/jobctl/exit.h"
#include "api/jobctl/field.h"
#include "api/jobctl/format.h"
#include "api/jobctl/interrupt.h"
#include "api/jobctl/progress.h"
#include "api/jobctl/session.h"
#include "api/jobctl/submission.h"
#include "api/jobctl/view.h"
#include "runtime/base/clock.h"
#include "weir/row.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PAUSE_MS_MIN = 10,       /* between two looks at the job: short for short jobs ... */
    PAUSE_MS_MAX = 200,      /* ... and not a load with long ones ... */
    PAUSE_SHARE = 10,        /* ... nor with large ones: so many times as long as the answer took, ... */
    PAUSE_MS_LONGEST = 2000, /* ... but not longer */
    SLOT_PATIENCE_MS = 1000, /* a job that has not got its slots by then is explained */
    PATH_BYTES = 256,
    SHORT_ID = 12,
};

struct run {
    const struct ctl_arguments *args;
    struct local *local; /* NULL without --local */
    struct session session;
    struct progress progress;
    char plugin[WEIR_DIGEST_TEXT];
    char job[WEIR_ID_TEXT];
    json_t *plan; /* NULL until the JobManager has one */
    int64_t pause_ms;
    int64_t waits_since_ms; /* when the job was first seen waiting for slots; 0 = it does not */
    bool explained;         /* why it waits has been said */
    bool hopeless;          /* a local cluster can never run it */
    bool canceled;          /* we asked for its end */
};

/* ---- submit ---- */

static int submit(struct run *r)
{
    json_t *answer = NULL;
    int failed = submission_post(&r->session, r->plugin, "run", &answer);
    if (failed) return failed;
    struct weir_id id;
    bool good = id_parse(field_text(answer, "jobid"), &id);
    if (good) id_text(id, r->job);
    json_decref(answer);
    if (good) return CTL_EXIT_OK;
    session_complain("the JobManager's answer to the submission has no usable \"jobid\": is it of another version?");
    return CTL_EXIT_UNREACHABLE;
}

static int leave_detached(struct run *r)
{
    if (r->args->format == CTL_JSON)
        printf("{\"jobid\": \"%s\"}\n", r->job);
    else
        printf("%s\n", r->job);
    if (fflush(stdout) != 0) return CTL_EXIT_FAILED;
    if (r->args->format == CTL_TABLE) fprintf(stderr, "submitted; `jobctl show %.*s` tells how it goes\n", SHORT_ID, r->job);
    return CTL_EXIT_OK;
}

/* ---- follow ---- */

static int ask_job(struct run *r, json_t **out)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/jobs/%s", r->job);
    return session_ask(&r->session, "GET", path, NULL, out);
}

/* A request that need not work; an interrupt or a lost JobManager shows in the next one that must. */
static json_t *try_get(struct run *r, const char *path)
{
    struct weir_reply reply = {0};
    if (weir_client_request(r->session.client, "GET", path, NULL, &reply, NULL)) return NULL;
    json_t *doc = json_loadb(reply.body, reply.len, 0, NULL);
    weir_reply_close(&reply);
    return doc;
}

/* The plan never changes, so it is asked for once, when the job has vertices. */
static void learn_plan(struct run *r, const json_t *job)
{
    char path[PATH_BYTES];
    if (r->plan || json_array_size(field_list(job, "vertices")) == 0) return;
    snprintf(path, sizeof path, "/jobs/%s/plan", r->job);
    r->plan = try_get(r, path);
}

static void explain_wait(struct run *r, uint64_t needed)
{
    json_t *overview = try_get(r, "/overview");
    int64_t total = field_int(overview, "slots-total", -1), available = field_int(overview, "slots-available", -1);
    json_decref(overview);
    if (total < 0 || available < 0 || (uint64_t)available >= needed) return;
    progress_clear(&r->progress);
    r->explained = true;
    if (r->local) {
        r->hopeless = (uint64_t)total < needed;
        session_complain("the job needs %" PRIu64 " slots and the local cluster has %" PRId64
                         ": use --slots or --taskmanagers to give it more",
                         needed, total);
        return;
    }
    session_complain("the job needs %" PRIu64 " slots, of %" PRId64 " there are %" PRId64
                     " free: it waits; start more TaskManagers, end other jobs, or cancel it and use a lower --parallelism",
                     needed, total, available);
}

static void watch_slots(struct run *r, const char *state, const struct view_totals *totals, int64_t now_ms)
{
    if (strcmp(state, "CREATED") != 0)
        r->waits_since_ms = 0;
    else if (!r->waits_since_ms)
        r->waits_since_ms = now_ms;
    else if (!r->explained && now_ms - r->waits_since_ms >= SLOT_PATIENCE_MS && totals->slots)
        explain_wait(r, totals->slots);
}

static void ask_cancel(struct run *r)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "/jobs/%s?mode=cancel", r->job);
    struct weir_diag diag;
    weir_err err = weir_client_request(r->session.client, "PATCH", path, "", NULL, &diag);
    uint32_t status = weir_client_status(r->session.client);
    if (err && status) session_complain("not canceled: %s", diag.text); /* without an answer the next question tells */
    r->canceled = true;
    r->pause_ms = PAUSE_MS_MIN;
}

static void answer_interrupt(struct run *r)
{
    interrupt_answered();
    progress_clear(&r->progress);
    fprintf(stderr, "canceling job %.*s; Ctrl-C again to leave without waiting\n", SHORT_ID, r->job);
    ask_cancel(r);
}

/* The longer an answer takes, the larger the job: asking shall stay a small part of what the JobManager does. */
static void rest(struct run *r, int64_t took_ms)
{
    int64_t pause_ms = took_ms * PAUSE_SHARE > r->pause_ms ? took_ms * PAUSE_SHARE : r->pause_ms;
    interrupt_pause(pause_ms < PAUSE_MS_LONGEST ? pause_ms : PAUSE_MS_LONGEST);
    r->pause_ms = r->pause_ms * 3 / 2 < PAUSE_MS_MAX ? r->pause_ms * 3 / 2 : PAUSE_MS_MAX;
}

static void look(struct run *r, const json_t *job)
{
    struct view_totals totals = view_totals(job, r->plan);
    int64_t now_ms = clock_mono_ms();
    progress_show(&r->progress, job, &totals, now_ms, clock_wall_ms());
    watch_slots(r, field_text(job, "state"), &totals, now_ms);
}

/* Why the JobManager does not answer is known when it is ours. */
static int lost(struct run *r, int failed)
{
    struct weir_diag diag;
    if (r->local && local_check(r->local, &diag)) {
        session_complain("%s", diag.text);
        local_print_logs(r->local, stderr);
        return CTL_EXIT_LOCAL;
    }
    if (failed == CTL_EXIT_UNREACHABLE && !r->local)
        session_complain("job %s was submitted and may go on: `jobctl show %.*s` asks again", r->job, SHORT_ID, r->job);
    return failed;
}

/* One question about the job; says what is wrong with an answer that has no state. */
static int ask_state(struct run *r, json_t **out)
{
    /* Asking a dead JobManager of our own would only take until the time limit. A lost TaskManager is told by the JobManager. */
    if (r->local && local_check(r->local, NULL) && !local_jobmanager_runs(r->local)) return CTL_EXIT_UNREACHABLE;
    json_t *job = NULL;
    int failed = ask_job(r, &job);
    if (failed) return failed;
    if (*field_text(job, "state")) {
        *out = job;
        return CTL_EXIT_OK;
    }
    json_decref(job);
    session_complain("the JobManager's answer about the job has no \"state\": is it of another version?");
    return CTL_EXIT_UNREACHABLE;
}

/* Gives the ended job's document, or returns an exit code. */
static int follow(struct run *r, json_t **out)
{
    for (;;) {
        if (interrupt_pending() && (r->canceled || interrupt_hangup())) return CTL_EXIT_INTERRUPTED;
        if (interrupt_pending()) answer_interrupt(r);
        if (r->hopeless && !r->canceled) ask_cancel(r);
        json_t *job = NULL;
        int64_t asked_ms = clock_mono_ms();
        int failed = ask_state(r, &job);
        if (failed == CTL_EXIT_INTERRUPTED) continue;
        if (failed) {
            progress_clear(&r->progress);
            return lost(r, failed);
        }
        int64_t took_ms = clock_mono_ms() - asked_ms;
        learn_plan(r, job);
        if (view_ended(field_text(job, "state"))) {
            *out = job;
            return CTL_EXIT_OK;
        }
        look(r, job);
        json_decref(job);
        rest(r, took_ms);
    }
}

/* ---- end ---- */

int run_outcome(const char *state, bool interrupted)
{
    if (strcmp(state, "FINISHED") == 0) return CTL_EXIT_OK;
    if (strcmp(state, "CANCELED") == 0 && interrupted) return CTL_EXIT_INTERRUPTED;
    return CTL_EXIT_FAILED;
}

void run_summary(const json_t *job, const json_t *plan, FILE *out)
{
    char name[96], state[24], took[FORMAT_MAX], read[FORMAT_MAX], rate[FORMAT_MAX];
    int64_t duration = field_int(job, "duration", -1);
    format_clean(field_text(job, "state"), state, sizeof state);
    format_clean(field_text(job, "name"), name, sizeof name);
    fprintf(out, "job %.*s %s%s%s%s after %s", SHORT_ID, field_text(job, "jid"), *name ? "(" : "", name, *name ? ") " : "", state,
            format_duration(duration, took));
    if (json_is_object(json_object_get(job, "failure"))) {
        fputc('\n', out);
        view_failure(job, out);
        return;
    }
    struct view_totals totals = view_totals(job, plan);
    double seconds = duration > 0 ? (double)duration / 1000 : 0.001;
    fprintf(out, ", %s records read", format_count(totals.read, read));
    if (totals.read) fprintf(out, ", %s/s", format_count((uint64_t)((double)totals.read / seconds), rate));
    fputc('\n', out);
}

static int finish(struct run *r, const json_t *job)
{
    progress_clear(&r->progress);
    run_summary(job, r->plan, stderr);
    struct weir_diag diag;
    if (r->local && local_check(r->local, &diag)) session_complain("%s", diag.text); /* more than the JobManager can know */
    int failed = r->args->format == CTL_JSON ? session_print(&r->session, job, view_nothing) : CTL_EXIT_OK;
    int outcome = run_outcome(field_text(job, "state"), r->canceled && !r->hopeless);
    return outcome ? outcome : failed;
}

/* ---- the command ---- */

static int open_session(struct run *r)
{
    if (!r->args->local) return session_open(&r->session, r->args, r->args->jobmanager);
    const struct local_config config = {.taskmanagers = arguments_taskmanagers(r->args),
                                        .slots = arguments_slots(r->args),
                                        .n_definitions = r->args->n_definitions,
                                        .definitions = r->args->definitions};
    return session_start(&r->session, &r->local, r->args, &config);
}

static int run_job(struct run *r)
{
    int failed = submission_check(r->args->subject);
    if (!failed) failed = open_session(r);
    if (!failed) failed = submission_upload(&r->session, r->plugin);
    if (!failed) failed = submit(r);
    if (failed) return failed;
    if (r->args->detached) return leave_detached(r);
    json_t *job = NULL;
    failed = follow(r, &job);
    if (!failed) failed = finish(r, job);
    json_decref(job);
    return failed;
}

int run_command(const struct ctl_arguments *args)
{
    struct run r = {.args = args, .pause_ms = PAUSE_MS_MIN};
    progress_init(&r.progress, stderr, !args->no_progress);
    int code = run_job(&r);
    progress_clear(&r.progress);
    json_decref(r.plan);
    session_close(&r.session);
    /* One Ctrl-C has brought us here and is answered by ending; another one shortens the end of the cluster. */
    if (code == CTL_EXIT_INTERRUPTED && !r.canceled) interrupt_answered();
    local_destroy(&r.local);
    return code;
}
