/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job whose subtasks coordinate while they run, by the tree of their cluster:
 *
 *     /weir/config/jobs/JOB/job.every   live configuration, a number: of so many rows one passes; 1 while there is none
 *     /elected/JOB/leader               the subtasks elect one, which alone writes ...
 *     /elected/JOB/status               ... "subtask S passed N rows, one of every E"
 *
 *     jobctl run build/jobs/elected.so -- --pace 10000
 *     jobctl config set --job JOB job.every 100; jobctl coord watch /elected/JOB/status
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "weir/connector/blackhole.h"
#include "weir/connector/generator.h"
#include "weir/coord_recipes.h"
#include "weir/weir.h"

#define PUBLISH_MS 200 /* pause between two writes of the leader */

struct sampler {
    struct weir_coord *coord;
    struct weir_coord_value *setting;
    struct weir_coord_zxid known; /* the setting's change that `every` is of */
    int64_t every, passed;
    struct weir_coord_claim *claim;
    weir_time publish_at_ms;
    atomic_bool publishing;
    char status[WEIR_COORD_NODE_MAX];
};

static weir_err failed(struct weir_ctx *ctx, const char *what, enum weir_coord_err err)
{
    return weir_fail(ctx->diag, WEIR_E_UNREACHABLE, "%s: %s", what, weir_coord_err_words(err));
}

/* Waiting is allowed here, a little. */
static weir_err sampler_open(void *self, struct weir_ctx *ctx)
{
    struct sampler *s = self;
    char leader[WEIR_COORD_NODE_MAX], setting[WEIR_COORD_NODE_MAX];
    (void)snprintf(leader, sizeof leader, "/elected/%s/leader", ctx->job_id);
    (void)snprintf(setting, sizeof setting, "/weir/config/jobs/%s/job.every", ctx->job_id);
    (void)snprintf(s->status, sizeof s->status, "/elected/%s/status", ctx->job_id);
    s->every = 1;
    weir_err err = weir_ctx_coord(ctx, &s->coord);
    if (err) return err;
    enum weir_coord_err e = weir_coord_create_parents(s->coord, s->status);
    if (!e) e = weir_coord_create(s->coord, s->status, NULL, 0, WEIR_COORD_PERSISTENT, NULL);
    if (e && e != WEIR_COORD_NODE_EXISTS) return failed(ctx, s->status, e);
    e = weir_coord_config_watch(&s->setting, s->coord, setting, NULL, NULL);
    if (!e) e = weir_coord_claim_enter(&s->claim, s->coord, leader, WEIR_COORD_EXCLUSIVE, (struct weir_bytes){0}, NULL, NULL);
    return e ? failed(ctx, setting, e) : WEIR_OK;
}

/* The present setting, if it is another one. Never waits; what is no number is passed over. */
static void look_at_setting(struct sampler *s, struct weir_ctx *ctx)
{
    struct weir_coord_zxid token;
    char text[24] = "";
    uint32_t length;
    if (weir_coord_config_get(s->setting, text, sizeof text - 1, &length, &token)) return;
    if (weir_coord_zxid_compare(token, s->known) == 0) return;
    s->known = token;
    int64_t every = strtoll(text, NULL, 10);
    if (every < 1) return;
    s->every = every;
    weir_count(ctx, "settings", 1);
}

/* On the client's thread. */
static void on_published(void *arg, struct weir_coord_reply *reply)
{
    struct sampler *s = arg;
    (void)reply; /* another one leads, or it comes too late: the next write says the same, and more */
    atomic_store(&s->publishing, false);
}

/* The check lets nobody write who has been followed by another leader without knowing. */
static void publish(struct sampler *s, struct weir_ctx *ctx)
{
    char text[128];
    weir_time now_ms = weir_now_ms(ctx);
    if (now_ms < s->publish_at_ms || atomic_load(&s->publishing) || !weir_coord_claim_held(s->claim, NULL)) return;
    int n = snprintf(text, sizeof text, "subtask %u passed %lld rows, one of every %lld", (unsigned)ctx->subtask, (long long)s->passed,
                     (long long)s->every);
    struct weir_coord_op ops[] = {
        weir_coord_claim_check(s->claim),
        {.type = WEIR_COORD_SET, .path = s->status, .data = {(const unsigned char *)text, (uint32_t)n}, .version = WEIR_COORD_ANY_VERSION}};
    s->publish_at_ms = now_ms + PUBLISH_MS;
    atomic_store(&s->publishing, true);
    weir_coord_write_async(s->coord, ops, 2, on_published, s);
    weir_count(ctx, "published", 1);
}

static weir_err sampler_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct sampler *s = self;
    weir_err err = WEIR_OK;
    (void)input; /* the only one */
    look_at_setting(s, ctx);
    for (uint32_t i = 0; i < batch->count && !err; i++) {
        const struct weir_record *rec = weir_batch_record(batch, i);
        const struct weir_generated *row = (const struct weir_generated *)(rec + 1);
        if (row->seq % s->every != 0) continue;
        s->passed++;
        err = weir_emit_record(ctx->out, rec);
    }
    publish(s, ctx);
    return err;
}

/* The runtime closes the client behind this; nothing runs on its thread for us any more then. */
static void sampler_close(void *self, struct weir_ctx *ctx)
{
    struct sampler *s = self;
    (void)ctx;
    if (s->claim) weir_coord_claim_leave(&s->claim);
    weir_coord_config_unwatch(&s->setting);
}

static struct weir_operator sampler = {.struct_size = sizeof sampler,
                                       .name = "sampler",
                                       .self_size = sizeof(struct sampler),
                                       .open = sampler_open,
                                       .process = sampler_process,
                                       .close = sampler_close};

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    int64_t rows = -1, pace = 10000;
    const struct weir_option options[] = {
        {"rows", WEIR_OPTION_I64, &rows, false, "how many; negative = endless"},
        {"pace", WEIR_OPTION_I64, &pace, false, "rows per second; 0 = as fast as possible"},
    };
    weir_err err = weir_options(env, argc, argv, options, sizeof options / sizeof *options, diag);
    if (err) return err;
    sampler.in = sampler.out = &weir_generated_schema;
    struct weir_stream *all =
        weir_from_generator(env, "rows", &(struct weir_generator){.seed = 5, .rows = rows, .keys = 100, .pace = pace});
    (void)weir_to_blackhole(weir_apply(all, "sample", &sampler, NULL, 0), "hole");
    return WEIR_OK;
}

WEIR_PLUGIN("elected", "1.0", build);
