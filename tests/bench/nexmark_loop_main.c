/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one query by hand: rows, checksum, seconds, nanoseconds an event; with --text the rows themselves. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/nexmark_loop.h"

static const struct option options[] = {
    {"query", required_argument, NULL, 'q'},
    {"events", required_argument, NULL, 'n'},
    {"seed", required_argument, NULL, 's'},
    {"rate", required_argument, NULL, 'r'},
    {"group", required_argument, NULL, 'g'},
    {"text", no_argument, NULL, 't'},
    {NULL, 0, NULL, 0},
};

_Noreturn static void usage(void)
{
    (void)fprintf(stderr, "usage: bench_nexmark_loop --query q0|...|q20|generate [--events N] [--seed S] [--rate R] [--group G] [--text]\n"
                          "  group is not a multiple of 953; --text writes the rows as CSV instead of the figures\n");
    exit(2);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end) usage();
    return n;
}

int main(int argc, char **argv)
{
    struct nexmark_params params = {.events = 10000000, .rate = 10000, .group = 1};
    const char *query = "";
    FILE *text = NULL;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 'q': query = optarg; break;
        case 'n': params.events = number(optarg); break;
        case 's': params.seed = number(optarg); break;
        case 'r': params.rate = number(optarg); break;
        case 'g': params.group = number(optarg); break;
        case 't': text = stdout; break;
        default: usage();
        }
    }
    if (optind < argc || !nexmark_loop_has(query) || !nexmark_params_valid(&params)) usage();
    struct loop_result r = nexmark_loop_run(query, &params, text);
    if (text) return fflush(text) == 0 ? 0 : 1;
    printf("%-8s %9" PRIu64 " rows  checksum %016" PRIx64 "  %7.3f s  %6.2f ns/event\n", query, r.rows, r.checksum, r.seconds,
           r.seconds * 1e9 / (double)(params.events ? params.events : 1));
    return 0;
}
