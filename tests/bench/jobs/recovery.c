/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job behind bench_recovery: `keys` keys with a KiB of state each, filled one after the other, and then a hundredth of them changed for
 * ever. The sink tells how far it is in a file that is mapped, one a process, so that looking costs nothing:
 *
 *     DIR/progress-PID    struct progress of tests/bench/progress.h
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/progress.h"
#include "weir/connector/generator.h"
#include "weir/weir.h"

#define HOT 100 /* one of so many keys is changed after the filling */

static int64_t n_keys;

/* Row n fills key n; later ones draw among the hot. */
static void choose_key(struct weir_generated *row)
{
    row->key = row->seq < n_keys ? row->seq : (int64_t)((uint64_t)row->value % (uint64_t)(n_keys / HOT));
}
WEIR_UPDATE(chosen, weir_generated, choose_key);
WEIR_KEY_FIXED(by_key, weir_generated, key);

struct config {
    char dir[256];
};

struct tally {
    struct weir_state *value;
    struct progress *progress;
};

static weir_err map_progress(struct tally *t, const char *dir, struct weir_diag *diag)
{
    char path[320];
    (void)snprintf(path, sizeof path, "%s/progress-%d", dir, (int)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *t->progress)) return weir_fail(diag, WEIR_E_IO, "make %s", path);
    t->progress = mmap(NULL, sizeof *t->progress, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    return t->progress == MAP_FAILED ? weir_fail(diag, WEIR_E_IO, "map %s", path) : WEIR_OK;
}

static weir_err tally_open(void *self, struct weir_ctx *ctx)
{
    struct tally *t = self;
    const struct config *config = ctx->config;
    static const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "value", .value_size = 1024};
    weir_err err = weir_value_open(ctx, &desc, &t->value);
    return err ? err : map_progress(t, config->dir, ctx->diag);
}

static void tell(struct progress *p, int64_t seq)
{
    struct timespec now;
    if (p->first_ns == 0) {
        clock_gettime(CLOCK_REALTIME, &now);
        p->first_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }
    if (seq > p->max_seq) p->max_seq = seq;
}

static weir_err tally_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct tally *t = self;
    int64_t newest = 0;
    (void)input;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct weir_generated *row = weir_record_row(weir_batch_record(batch, i));
        weir_set_key(ctx, i);
        int64_t *value = weir_value(ctx, t->value);
        if (!value) return WEIR_E_IO;
        value[row->seq % 128] += row->value | 1;
        if (row->seq > newest) newest = row->seq;
    }
    tell(t->progress, newest);
    return WEIR_OK;
}

static const struct weir_operator tally = {.struct_size = sizeof tally,
                                           .name = "tally",
                                           .self_size = sizeof(struct tally),
                                           .in = &weir_generated_schema,
                                           .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_SINK,
                                           .open = tally_open,
                                           .process = tally_process};

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    static struct config config;
    const char *dir = NULL;
    const struct weir_option options[] = {
        {"keys", WEIR_OPTION_I64, &n_keys, true, "with a KiB of state each"},
        {"progress", WEIR_OPTION_PATH, &dir, true, "folder"},
    };
    weir_err err = weir_options(env, argc, argv, options, sizeof options / sizeof *options, diag);
    if (err) return err;
    (void)snprintf(config.dir, sizeof config.dir, "%s", dir);
    struct weir_generator rows = {.seed = 7, .rows = -1, .keys = 1 << 30};
    struct weir_stream *s = weir_map(weir_from_generator(env, "rows", &rows), "choose", &chosen);
    (void)weir_sink(weir_key_by(s, &by_key), "tally", &tally, &config);
    return WEIR_OK;
}

WEIR_PLUGIN("recovery", "1.0", build);
