/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the Nexmark connector share: a job with one of its sources, opened readers, events as text. */
#ifndef WEIR_TESTS_UNIT_CONNECTORS_NEXMARK_EVENTS_H
#define WEIR_TESTS_UNIT_CONNECTORS_NEXMARK_EVENTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/src/env.h"
#include "connectors/nexmark/event_text.h"
#include "runtime/base/id.h"
#include "tests/unit/connectors/sample_row.h"
#include "weir/connector/nexmark.h"

#define NEXMARK_OUTS 4

struct job {
    struct weir_env *env;
    const struct env_node *node;
    struct weir_splits splits;
    struct weir_diag diag;
};

static inline void begin_job(struct job *job, uint32_t parallelism)
{
    *job = (struct job){0};
    assert_int_equal(weir_env_new(&job->env, "test", "/", parallelism), WEIR_OK);
}

static inline weir_err discover_job(struct job *job, uint32_t parallelism)
{
    assert_int_equal(weir_env_finish(job->env, &job->diag), WEIR_OK);
    job->node = weir_env_node(job->env, 0);
    return job->node->source->discover(job->node->config, parallelism, &job->splits, &job->diag);
}

static inline weir_err open_events(struct job *job, const struct weir_nexmark *config, uint32_t parallelism)
{
    begin_job(job, parallelism);
    assert_non_null(weir_from_nexmark(job->env, "events", config).persons);
    return discover_job(job, parallelism);
}

static inline weir_err open_text(struct job *job, const struct weir_nexmark *config, enum weir_nexmark_format format)
{
    begin_job(job, 1);
    assert_non_null(weir_from_nexmark_text(job->env, "text", config, format));
    return discover_job(job, 1);
}

static inline weir_err open_file(struct job *job, const struct weir_nexmark_file *config, uint32_t parallelism)
{
    begin_job(job, parallelism);
    assert_non_null(weir_from_nexmark_file(job->env, "file", config).malformed);
    return discover_job(job, parallelism);
}

static inline void close_job(struct job *job)
{
    weir_splits_close(&job->splits);
    weir_env_destroy(&job->env);
}

static inline struct fake *open_split(const struct job *job, uint32_t index, struct weir_bytes position)
{
    struct fake *f = fake_new(&(struct fake_options){.config = job->node->config, .n_outs = job->node->n_outputs, .subtask = index});
    assert_ok(f, fake_source_open(f, job->node->source, job->splits.items[index], position));
    return f;
}

static inline void read_to_end(struct fake *f)
{
    weir_err err;
    do err = fake_source_read(f);
    while (err == WEIR_OK);
    assert_int_equal(err, WEIR_DONE);
}

static inline void assert_digest(struct sha256 *sha, const char *expected)
{
    char text[WEIR_DIGEST_TEXT];
    assert_string_equal(digest_text(sha256_final(sha), text), expected);
}

/* Appends the rows of output `kind` as CSV lines. */
static inline void append_csv(struct text_buf *buf, const struct fake *f, enum generate_kind kind)
{
    for (uint32_t i = 0; i < fake_count(f, kind); i++) assert_true(event_write(buf, WEIR_NEXMARK_CSV, kind, fake_row(f, kind, i)));
}

#endif
