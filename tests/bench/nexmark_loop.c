/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/nexmark_loop.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/loop/queries.h"

#define EVENTS_MAX (UINT64_C(1) << 53) /* so that times in milliseconds do not overflow */

static query_loop generate;

static void generate(struct events *in, struct sink *out)
{
    while (events_next(in)) {
        if (out->text) {
            EACH_EVENT(e, in) event_print(out->text, e);
        }
        out->rows += in->n;
    }
}

/* Columns: what row_print expects. */
static const struct query {
    const char *name;
    query_loop *run;
    const char *columns;
} queries[] = {
    {"generate", generate, ""}, {"q0", q0, "iiiis"},
    {"q1", q1, "iieis"},        {"q2", q2, "ii"},
    {"q3", q3, "sssi"},         {"q4", q4, "ii"},
    {"q5", q5, "iii"},          {"q7", q7, "iiiis"},
    {"q8", q8, "isi"},          {"q11", q11, "iiii"},
    {"q12", q12, "iiii"},       {"q17", q17, "isiiiiiiii"},
    {"q18", q18, "iiissis"},    {"q20", q20, "iiississsiiiiiis"},
};

static const struct query *find(const char *name)
{
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        if (strcmp(queries[i].name, name) == 0) return &queries[i];
    }
    return NULL;
}

bool nexmark_loop_has(const char *query)
{
    return find(query) != NULL;
}

bool nexmark_params_valid(const struct nexmark_params *params)
{
    return params->events <= EVENTS_MAX && params->rate > 0 && params->group > 0 && params->group <= EVENTS_MAX && params->group % 953 != 0;
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct loop_result nexmark_loop_run(const char *query, const struct nexmark_params *params, FILE *text)
{
    static struct events in;
    static struct sink out;
    const struct query *q = find(query);
    if (!q || !nexmark_params_valid(params)) abort();
    events_init(&in, params);
    out = (struct sink){.text = text, .columns = q->columns};
    double from = now();
    q->run(&in, &out);
    sink_flush(&out);
    return (struct loop_result){out.rows, out.checksum, now() - from};
}
