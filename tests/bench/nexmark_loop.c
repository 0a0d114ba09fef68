/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/nexmark_loop.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/loop/queries.h"

#define EVENTS_MAX (UINT64_C(1) << 53) /* so that times in milliseconds do not overflow */

static query_loop generate;

static void generate(struct loop_events *in, struct loop_sink *out)
{
    while (loop_events_next(in)) {
        if (out->text) {
            EACH_EVENT(e, in) loop_event_print(out->text, e);
        }
        out->rows += in->n;
    }
}

/* Columns: what loop_row_print expects. */
static const struct query {
    const char *name;
    query_loop *run;
    const char *columns;
} queries[] = {
    {"generate", generate, ""},   {"q0", loop_q0, "iiiis"},
    {"q1", loop_q1, "iieis"},     {"q2", loop_q2, "ii"},
    {"q3", loop_q3, "sssi"},      {"q4", loop_q4, "ii"},
    {"q5", loop_q5, "iii"},       {"q7", loop_q7, "iiiis"},
    {"q8", loop_q8, "isi"},       {"q11", loop_q11, "iiii"},
    {"q12", loop_q12, "iiii"},    {"q17", loop_q17, "isiiiiiiii"},
    {"q18", loop_q18, "iiissis"}, {"q20", loop_q20, "iiississsiiiiiis"},
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
    static struct loop_events in;
    static struct loop_sink out;
    const struct query *q = find(query);
    if (!q || !nexmark_params_valid(params)) abort();
    loop_events_init(&in, params);
    out = (struct loop_sink){.text = text, .columns = q->columns};
    double from = now();
    q->run(&in, &out);
    loop_sink_flush(&out);
    return (struct loop_result){out.rows, out.checksum, now() - from};
}
