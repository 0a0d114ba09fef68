/* SPDX-License-Identifier: Apache-2.0 */
/* Does what --how says: in operator "wreck" of one subtask after a while, in the entry function, or to the graph. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weir/connector/blackhole.h"
#include "weir/connector/generator.h"
#include "weir/weir.h"

#define PEACEFUL_ROWS 100 /* of the run, before it happens */

struct config {
    char how[32];
    uint32_t subtask;
};

struct wreck {
    struct config config;
};

static weir_err wreck_open(void *self, struct weir_ctx *ctx)
{
    memcpy(&((struct wreck *)self)->config, ctx->config, sizeof(struct config));
    return WEIR_OK;
}

/* Each call keeps a page alive, so that the stack ends soon; the caller's use of the result keeps it from becoming a loop. */
__attribute__((noinline)) static int dive(int depth)
{
    volatile char page[4096];
    page[0] = (char)depth;
    page[4095] = page[0];
    return depth < 0 ? 0 : dive(depth + 1) + page[4095];
}

static void hang(void)
{
    for (volatile bool forever = true; forever;) continue;
}

static void crash(void)
{
    volatile uintptr_t nowhere = 4096; /* read from memory: no compiler or sanitizer sees it coming */
    *(volatile int *)nowhere = 1;
}

static weir_err flood(struct weir_ctx *ctx, const struct weir_generated *row, weir_time time)
{
    weir_err err;
    do err = weir_emit(ctx->out, row, sizeof *row, time);
    while (!err);
    return err;
}

static weir_err wreck_one(struct wreck *w, struct weir_ctx *ctx, const struct weir_generated *row, const struct weir_record *rec)
{
    const char *how = w->config.how;
    if (row->seq < PEACEFUL_ROWS || ctx->subtask != w->config.subtask) return weir_emit(ctx->out, row, sizeof *row, rec->time_ms);
    if (strcmp(how, "segv") == 0) crash();
    if (strcmp(how, "abort") == 0) abort();
    if (strcmp(how, "loop") == 0) hang();
    if (strcmp(how, "exit") == 0) exit(3);
    if (strcmp(how, "overflow") == 0) return dive(0) ? WEIR_OK : WEIR_E_USER;
    if (strcmp(how, "flood") == 0 || strcmp(how, "chained-flood") == 0) return flood(ctx, row, rec->time_ms);
    if (strcmp(how, "error") == 0) return weir_fail(ctx->diag, WEIR_E_USER, "a row from the year 1888 cannot be right");
    return weir_emit(ctx->out, row, sizeof *row, rec->time_ms);
}

WEIR_PROCESS(wreck, wreck, weir_generated, wreck_one);
static struct weir_operator wreck = {
    .struct_size = sizeof wreck, .name = "wreck", .self_size = sizeof(struct wreck), .open = wreck_open, .process = wreck_process};

WEIR_KEY_FIXED(by_key, weir_generated, key);

static void build_cycle(struct weir_stream *rows, const struct config *config)
{
    struct weir_stream *both = weir_union(&rows, 1);
    struct weir_stream *around = weir_process(both, "around", &wreck, config);
    (void)weir_union_add(both, around);
    (void)weir_to_blackhole(around, "hole");
}

/* The black box, descriptor 5, is there in a worker but not where the job is only described (taskmanager/worker/handover.h). */
static bool in_worker(void)
{
    return fcntl(5, F_GETFD) >= 0;
}

static void misbehave_at_once(const char *how)
{
    if (strcmp(how, "entry-crash") == 0 || (strcmp(how, "worker-entry-crash") == 0 && in_worker())) crash();
    if (strcmp(how, "entry-exit") == 0 || (strcmp(how, "worker-entry-exit") == 0 && in_worker())) exit(3);
    while (strcmp(how, "entry-hang") == 0) (void)pause();
}

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    const char *how = "well";
    int64_t subtask = 1;
    const struct weir_option options[] = {
        {"how", WEIR_OPTION_STR, &how, true, "what to do"},
        {"subtask", WEIR_OPTION_I64, &subtask, false, "of wreck that does it"},
    };
    weir_err err = weir_options(env, argc, argv, options, sizeof options / sizeof *options, diag);
    if (err) return err;
    misbehave_at_once(how);
    if (strcmp(how, "empty") == 0) return WEIR_OK;

    struct config config = {.subtask = (uint32_t)subtask};
    strncpy(config.how, how, sizeof config.how - 1);
    wreck.in = wreck.out = &weir_generated_schema;
    struct weir_stream *rows = weir_from_generator(env, "rows", &(struct weir_generator){.rows = -1, .keys = 100, .pace = 1000});
    if (strcmp(how, "cycle") == 0) {
        build_cycle(rows, &config);
        return WEIR_OK;
    }
    const char *id = strcmp(how, "moody") == 0 ? weir_env_printf(env, "wreck-%d", (int)getpid()) : "wreck";
    struct weir_stream *wrecked = weir_process(weir_key_by(rows, &by_key), id, &wreck, &config);
    if (strcmp(how, "flood") == 0) wrecked = weir_rebalance(wrecked); /* its output has to go through channels */
    if (strcmp(how, "sinkless") != 0) (void)weir_to_blackhole(wrecked, "hole");
    return WEIR_OK;
}

WEIR_PLUGIN("misbehave", "1.0", build);
