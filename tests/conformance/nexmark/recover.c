/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every Nexmark query with checkpoints, crashes and other parallelisms: rows and checksum are those of a run without any.
 *
 *     nexmark_recover [SEEDS [FIRST]]
 *
 * So every operator of the runtime that a query uses is shown to keep in its state whatever outlives a batch, and the generator to go on
 * exactly where it stood. The sink is the blackhole, whose sums are part of the checkpoint.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/base/log.h"
#include "tests/support/local/world.h"

#define EVENTS "6000"

extern const struct weir_plugin weir_plugin_v1; /* of the job */

static uint64_t seeds = 2, first = 1;

struct sums {
    uint64_t rows, checksum;
};

static struct sums sums_of(struct world *w)
{
    struct sums sums = {0, 0};
    for (uint32_t i = 0; i < world_count(w); i++) {
        struct subtask *s = world_subtask(w, i);
        for (uint32_t o = 0; o < s->n_ops; o++) {
            if (strcmp(s->ops[o].spec.id, "blackhole") != 0) continue;
            for (uint32_t c = 0; c < s->ops[o].n_counters; c++)
                *(strcmp(s->ops[o].counters[c].name, "rows") == 0 ? &sums.rows : &sums.checksum) += s->ops[o].counters[c].value;
        }
    }
    return sums;
}

static struct sums run(struct world *w, bool faults)
{
    world_open(w);
    world_drive(w, faults);
    world_commit(w);
    struct sums sums = sums_of(w);
    world_close(w);
    return sums;
}

static void a_query_survives(void **state)
{
    char *argv[] = {"nexmark", "--query", *state, "--events", EVENTS, "--output", "blackhole", "--splits", "3", "--rate", "100"};
    struct world plain = {.seed = 1, .build = weir_plugin_v1.build, .argc = 11, .argv = argv, .parallelism = 1, .trigger_one_in = 1u << 30};
    struct sums expected = run(&plain, false);
    uint64_t crashes = 0;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct world w = plain;
        w = (struct world){.seed = seed, .build = plain.build, .argc = 11, .argv = argv, .trigger_one_in = 20, .crash_one_in = 60};
        if (seed % 2) w.slot_memory = 64 << 10; /* state leaves memory */
        struct sums got = run(&w, true);
        crashes += w.n_crashes;
        if (got.rows != expected.rows || got.checksum != expected.checksum)
            fail_msg("%s, seed %llu: %llu rows with checksum %016llx; without faults %llu with %016llx", argv[2], (unsigned long long)seed,
                     (unsigned long long)got.rows, (unsigned long long)got.checksum, (unsigned long long)expected.rows,
                     (unsigned long long)expected.checksum);
    }
    assert_true(crashes > 0);
}

int main(int argc, char **argv)
{
    static char *const queries[] = {"q0",  "q1",  "q2",  "q3",  "q4",  "q5",  "q6",  "q7",  "q8",  "q9",  "q10", "q11",
                                    "q12", "q13", "q14", "q15", "q16", "q17", "q18", "q19", "q20", "q21", "q22"};
    struct CMUnitTest tests[sizeof queries / sizeof *queries];
    log_init("nexmark", LOG_LEVEL_WARN);
    if (argc > 1) seeds = strtoull(argv[1], NULL, 10);
    if (argc > 2) first = strtoull(argv[2], NULL, 10);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        tests[i] = (struct CMUnitTest){.name = queries[i], .test_func = a_query_survives, .initial_state = queries[i]};
    return cmocka_run_group_tests_name("nexmark with faults", tests, NULL, NULL);
}
