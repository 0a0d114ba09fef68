/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of the access log job's functions, without a cluster: docs/how-to/test-your-job.md explains them and has the command.
 */
#include <stdio.h>

#include "api/examples/accesslog.c"
#include "weir/testing.h"

static void give_up(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static void open_operator(struct weir_harness **h, const struct weir_harness_operator *op, const struct weir_harness_options *options)
{
    struct weir_diag diag = {0};
    if (weir_harness_new_operator(h, op, options, &diag)) give_up(diag.text);
}

static void open_steps(struct weir_harness **h, weir_harness_build steps, const struct weir_harness_options *options)
{
    struct weir_diag diag = {0};
    if (weir_harness_new(h, steps, NULL, options, &diag)) give_up(diag.text);
}

/* ---- one operator, with a side output ---------------------------------------------------------------------------------------------- */

static void push_log_line(struct weir_harness *h, const char *text)
{
    struct weir_line line = {.text = weir_harness_str(h, 0, text)};
    WEIR_MUST(h, weir_harness_push(h, 0, &line, sizeof line, WEIR_TIME_MIN, WEIR_INSERT));
}

static void lines_are_parsed_or_put_aside(void)
{
    struct weir_harness *h = NULL;
    open_operator(&h, &(struct weir_harness_operator){.op = &parse}, &(struct weir_harness_options){.show = WEIR_HARNESS_ISO});

    push_log_line(h, "10.0.0.7 - - [17/May/2015:12:05:03 +0200] \"GET /a?b=c HTTP/1.1\" 200 512 \"-\" \"curl\"");
    WEIR_MUST(h, weir_harness_expect(h, 0, "+I 2015-05-17T10:05:03Z,512,200,10.0.0.7,/a\n"));
    WEIR_MUST(h, weir_harness_expect(h, 1, ""));

    push_log_line(h, "10.0.0.7 - - [31/Feb/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 512 \"-\" \"curl\"");
    push_log_line(h, "");
    WEIR_MUST(h, weir_harness_expect(h, 0, ""));
    WEIR_MUST(h,
              weir_harness_expect(h, 1,
                                  "+I \"10.0.0.7 - - [31/Feb/2015:10:05:03 +0000] \"\"GET / HTTP/1.1\"\" 200 512 \"\"-\"\" \"\"curl\"\"\"\n"
                                  "+I \n"));
    WEIR_MUST(h, weir_harness_finish(h));
    weir_harness_destroy(&h);
}

/* ---- keyed state and timers ---------------------------------------------------------------------------------------------------------- */

static const struct weir_harness_operator ranking = {.op = &rank, .in = {{.keyer = &by_hour}}};

static void the_ten_best_paths_come_at_the_end_of_their_hour(void)
{
    struct weir_harness *h = NULL;
    open_operator(&h, &ranking, NULL);
    const weir_time end = HOUR_MS - 1;
    for (int i = 0; i < 12; i++) {
        struct path_count row = {.hour = 0, .count = i / 2, .path = weir_harness_bytes(h, 0, &"abcdefghijkl"[i], 1)};
        WEIR_MUST(h, weir_harness_push(h, 0, &row, sizeof row, end, WEIR_INSERT));
    }
    WEIR_MUST(h, weir_harness_watermark(h, 0, end - 1));
    WEIR_MUST(h, weir_harness_expect(h, 0, "")); /* more may come */
    WEIR_MUST(h, weir_harness_watermark(h, 0, end));
    WEIR_MUST(h, weir_harness_expect(h, 0,
                                     "+I 0,1,k,5\n+I 0,2,l,5\n+I 0,3,i,4\n+I 0,4,j,4\n+I 0,5,g,3\n"
                                     "+I 0,6,h,3\n+I 0,7,e,2\n+I 0,8,f,2\n+I 0,9,c,1\n+I 0,10,d,1\n"));
    WEIR_MUST(h, weir_harness_finish(h));
    WEIR_MUST(h, weir_harness_expect(h, 0, "")); /* and is forgotten */
    weir_harness_destroy(&h);
}

/* ---- a restart in between, at another parallelism ------------------------------------------------------------------------------------ */

static void a_ranking_survives_a_restart(void)
{
    struct weir_harness *h = NULL;
    struct weir_harness_snapshot *snapshot = NULL;
    const weir_time end = HOUR_MS - 1;
    open_operator(&h, &ranking, NULL);
    WEIR_MUST(h, weir_harness_line(h, 0, "+I 0,/b,2", end));
    WEIR_MUST(h, weir_harness_line(h, 0, "+I 3600000,/x,1", end + HOUR_MS));
    WEIR_MUST(h, weir_harness_snapshot(h, &snapshot));
    weir_harness_destroy(&h);

    open_operator(&h, &ranking, &(struct weir_harness_options){.parallelism = 3, .restore = snapshot});
    WEIR_MUST(h, weir_harness_line(h, 0, "+I 0,/a,9", end));
    WEIR_MUST(h, weir_harness_finish(h));
    WEIR_MUST(h, weir_harness_expect_any_order(h, 0, "+I 0,1,/a,9\n+I 0,2,/b,2\n+I 3600000,1,/x,1\n"));
    weir_harness_destroy(&h);
    weir_harness_snapshot_destroy(&snapshot);
}

/* ---- several steps together ------------------------------------------------------------------------------------------------------------
 */

static weir_err build_results(struct weir_harness *h, void *arg, struct weir_diag *diag)
{
    (void)arg, (void)diag;
    struct weir_stream *hits = hits_of(weir_harness_in(h, &hit_schema));
    weir_harness_out(h, minutes_of(hits));
    weir_harness_out(h, top_paths_of(hits));
    weir_harness_out(h, sessions_of(hits));
    return WEIR_OK;
}

/* The same results however the rows are cut into batches, on one subtask or several. */
static void hits_become_minutes_rankings_and_sessions(void)
{
    for (uint32_t p = 1; p <= 3; p++) {
        struct weir_harness *h = NULL;
        open_steps(&h, build_results, &(struct weir_harness_options){.parallelism = p, .batch = WEIR_HARNESS_DRAWN, .seed = p});
        WEIR_MUST(h, weir_harness_line(h, 0, "+I 1000,10,200,ann,/", WEIR_TIME_MIN));
        WEIR_MUST(h, weir_harness_line(h, 0, "+I 59000,5,200,bob,/x", WEIR_TIME_MIN));
        WEIR_MUST(h, weir_harness_line(h, 0, "+I 30000,1,404,ann,/", WEIR_TIME_MIN)); /* a little late, not too late */
        WEIR_MUST(h, weir_harness_line(h, 0, "+I 1900000,7,200,ann,/", WEIR_TIME_MIN));
        WEIR_MUST(h, weir_harness_finish(h));
        WEIR_MUST(h, weir_harness_expect_any_order(h, 0, "+I 0,200,2,15\n+I 0,404,1,1\n+I 1860000,200,1,7\n"));
        WEIR_MUST(h, weir_harness_expect(h, 1, "+I 0,1,/,3\n+I 0,2,/x,1\n"));
        WEIR_MUST(h, weir_harness_expect_any_order(h, 2, "+I ann,1000,30000,2,11\n+I ann,1900000,1900000,1,7\n+I bob,59000,59000,1,5\n"));
        weir_harness_destroy(&h);
    }
}

static void a_hit_behind_the_watermark_is_counted_late(void)
{
    struct weir_harness *h = NULL;
    open_steps(&h, build_results, NULL);
    WEIR_MUST(h, weir_harness_line(h, 0, "+I 1000000,10,200,ann,/", WEIR_TIME_MIN));
    WEIR_MUST(h, weir_harness_line(h, 0, "+I 1000,10,200,ann,/", WEIR_TIME_MIN));
    if (weir_harness_counter(h, "per-minute", "late") != 1) give_up("no hit was late");
    weir_harness_destroy(&h);
}

int main(void)
{
    lines_are_parsed_or_put_aside();
    the_ten_best_paths_come_at_the_end_of_their_hour();
    a_ranking_survives_a_restart();
    hits_become_minutes_rankings_and_sessions();
    a_hit_behind_the_watermark_is_counted_late();
    puts("ok");
    return 0;
}
