/* SPDX-License-Identifier: Apache-2.0 */
/* A row for each of many splits with long descriptions, as of a source with thousands of files. CSV into a folder. */
#include <string.h>

#include "weir/connector/file.h"
#include "weir/connector/generator.h"
#include "weir/weir.h"

#define NAME_BYTES 4000

struct config {
    int64_t splits, pause; /* ms that a split takes */
};

struct split {
    int64_t index;
    char name[NAME_BYTES];
};

struct reader {
    int64_t index, ready_ms;
};

WEIR_KEY_FIXED(by_seq, weir_generated, seq);

static weir_err many_discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    const struct config *c = config;
    (void)parallelism;
    for (int64_t i = 0; i < c->splits; i++) {
        struct split split = {.index = i};
        memset(split.name, 'a' + (int)(i % 26), sizeof split.name);
        weir_err err = weir_splits_add(splits, &split, sizeof split);
        if (err) return weir_fail(diag, err, "split %lld", (long long)i);
    }
    return WEIR_OK;
}

static weir_err many_open(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position)
{
    const struct config *c = ctx->config;
    struct reader *r = self;
    (void)position; /* what was not read to its end is read again */
    if (split.length != sizeof(struct split)) return weir_fail(ctx->diag, WEIR_E_CORRUPT, "a split of %u bytes", split.length);
    memcpy(&r->index, split.data, sizeof r->index);
    r->ready_ms = weir_now_ms(ctx) + c->pause;
    return WEIR_OK;
}

static weir_err many_read(void *self, struct weir_ctx *ctx)
{
    const struct reader *r = self;
    if (weir_now_ms(ctx) < r->ready_ms) return WEIR_AGAIN;
    struct weir_generated row = {.seq = r->index};
    weir_err err = weir_emit(ctx->out, &row, sizeof row, 0);
    return err ? err : WEIR_DONE;
}

static weir_err many_position(void *self, struct weir_ctx *ctx, void *data, uint32_t *length)
{
    (void)self, (void)ctx, (void)data;
    *length = 0;
    return WEIR_OK;
}

static const struct weir_source many = {
    .struct_size = sizeof(struct weir_source),
    .name = "many",
    .self_size = sizeof(struct reader),
    .schema = &weir_generated_schema,
    .flags = WEIR_SOURCE_ONE_BY_ONE,
    .discover = many_discover,
    .open = many_open,
    .read = many_read,
    .position = many_position,
};

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    struct config config = {.splits = 100};
    const char *output = NULL;
    const struct weir_option options[] = {
        {"splits", WEIR_OPTION_I64, &config.splits, false, "how many"},
        {"pause", WEIR_OPTION_I64, &config.pause, false, "milliseconds that each takes"},
        {"output", WEIR_OPTION_PATH, &output, true, "folder"},
    };
    weir_err err = weir_options(env, argc, argv, options, sizeof options / sizeof *options, diag);
    if (err) return err;
    struct weir_file_sink sink = {.dir = output, .format = WEIR_FILE_CSV};
    (void)weir_to_file(weir_key_by(weir_from(env, "many", &many, &config, sizeof config), &by_seq), "write", &sink);
    return WEIR_OK;
}

WEIR_PLUGIN("manysplits", "1.0", build);
