/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Nexmark benchmark as a job: one of the queries q0 to q22, or the events themselves, on generated events or those of a file.
 *
 *     jobctl run --local --parallelism 4 build/jobs/nexmark.so -- --query q5 --events 1000000 --output /tmp/q5
 */
#include <stdio.h>

#include "api/examples/nexmark/queries.h"
#include "weir/connector/blackhole.h"
#include "weir/connector/file.h"
#include "weir/connector/print.h"

struct options {
    const char *query, *input, *format, *output, *dead_letters;
    int64_t events, rate, group, pace, splits, lag;
    uint64_t seed;
    bool changelog;
};

static const struct {
    const char *name;
    query_fn make;
} queries[] = {{"q0", q0},   {"q1", q1},   {"q2", q2},   {"q3", q3},   {"q4", q4},   {"q5", q5},   {"q6", q6},   {"q7", q7},
               {"q8", q8},   {"q9", q9},   {"q10", q10}, {"q11", q11}, {"q12", q12}, {"q13", q13}, {"q14", q14}, {"q15", q15},
               {"q16", q16}, {"q17", q17}, {"q18", q18}, {"q19", q19}, {"q20", q20}, {"q21", q21}, {"q22", q22}};

static query_fn find_query(const char *name)
{
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        if (strcmp(queries[i].name, name) == 0) return queries[i].make;
    return NULL;
}

/* ---- events ----------------------------------------------------------------------------------------------------------------------------
 */

static weir_err read_format(const struct options *o, enum weir_nexmark_format *format, struct weir_diag *diag)
{
    *format = strcmp(o->format, "json") == 0 ? WEIR_NEXMARK_JSON : WEIR_NEXMARK_CSV;
    if (*format == WEIR_NEXMARK_JSON || strcmp(o->format, "csv") == 0) return WEIR_OK;
    return weir_fail(diag, WEIR_E_ARGUMENT, "--format is csv or json, not \"%.64s\"", o->format);
}

static weir_err check_ranges(const struct options *o, struct weir_diag *diag)
{
    if (o->splits < 0 || o->splits > WEIR_SPLITS_MAX)
        return weir_fail(diag, WEIR_E_ARGUMENT, "--splits %lld is outside 0 ... %d", (long long)o->splits, WEIR_SPLITS_MAX);
    if (o->dead_letters && !o->input)
        return weir_fail(diag, WEIR_E_ARGUMENT, "--dead-letters needs --input: generated events are never malformed");
    return WEIR_OK;
}

static struct weir_nexmark generator_of(const struct options *o, enum weir_nexmark_time time)
{
    return (struct weir_nexmark){.seed = o->seed,
                                 .events = o->events,
                                 .rate = o->rate,
                                 .group = o->group,
                                 .pace = o->pace,
                                 .time = time,
                                 .splits = (uint32_t)o->splits};
}

static struct weir_nexmark_streams events_of(struct weir_env *env, const struct options *o, enum weir_nexmark_format format,
                                             enum weir_nexmark_time time)
{
    if (!o->input) {
        struct weir_nexmark generator = generator_of(o, time);
        return weir_from_nexmark(env, "events", &generator);
    }
    struct weir_nexmark_file file = {.path = o->input,
                                     .format = format,
                                     .time = time,
                                     .lag_ms = o->lag,
                                     .rate = o->rate,
                                     .on_malformed = o->dead_letters ? WEIR_NEXMARK_DEAD_LETTER : WEIR_NEXMARK_FAIL,
                                     .splits = (uint32_t)o->splits};
    return weir_from_nexmark_file(env, "events", &file);
}

/* ---- results ---------------------------------------------------------------------------------------------------------------------------
 */

static void write_to(struct weir_stream *rows, const struct options *o, enum weir_file_format format,
                     const struct weir_file_folders *folders)
{
    if (strcmp(o->output, "print") == 0) {
        weir_to_print(rows, "print", &(struct weir_print){.prefix = "", .lines = format == WEIR_FILE_LINES});
    } else if (strcmp(o->output, "blackhole") == 0) {
        weir_to_blackhole(rows, "blackhole");
    } else {
        struct weir_file_sink sink = {.dir = o->output, .format = format, .replace = true, .changes = o->changelog, .folders = folders};
        weir_to_file(rows, "write", &sink);
    }
}

/* The rows of a table that has one for each key, or that counts them, once no event can change it. */
static struct weir_stream *settled(const struct result *result, const struct options *o)
{
    if (!result->updating || o->changelog) return result->rows;
    struct weir_stream *rows = result->key ? weir_key_by(result->rows, result->key) : result->rows;
    return weir_final_rows(rows, "final", result->key);
}

static void write_dead_letters(struct weir_stream *malformed, const struct options *o)
{
    struct weir_file_sink sink = {.dir = o->dead_letters, .format = WEIR_FILE_CSV, .replace = true};
    weir_to_file(malformed, "dead-letters", &sink);
}

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    struct options o = {.format = "csv", .output = "print", .events = 100000, .rate = 10000, .group = 1, .lag = -1};
    const struct weir_option table[] = {
        {"query", WEIR_OPTION_STR, &o.query, true, "q0 ... q22, or events: the events themselves"},
        {"events", WEIR_OPTION_I64, &o.events, false, "how many; -1 = endless"},
        {"seed", WEIR_OPTION_U64, &o.seed, false, "of the generator"},
        {"rate", WEIR_OPTION_I64, &o.rate, false, "events per second of event time"},
        {"group", WEIR_OPTION_I64, &o.group, false, "arrival is shuffled within so many events"},
        {"pace", WEIR_OPTION_I64, &o.pace, false, "events per second of the clock; 0 = at full speed"},
        {"splits", WEIR_OPTION_I64, &o.splits, false, "of the source; 0 = its parallelism"},
        {"input", WEIR_OPTION_PATH, &o.input, false, "file of events instead of the generator"},
        {"format", WEIR_OPTION_STR, &o.format, false, "of --input and of events: csv or json"},
        {"lag", WEIR_OPTION_I64, &o.lag, false, "ms the watermark of --input stays behind; -1 = to the end"},
        {"dead-letters", WEIR_OPTION_PATH, &o.dead_letters, false, "folder for malformed lines, which else fail the job"},
        {"output", WEIR_OPTION_STR, &o.output, false, "folder, print or blackhole"},
        {"changelog", WEIR_OPTION_FLAG, &o.changelog, false, "write changes with + and -, not the final rows"},
    };
    enum weir_nexmark_format format;
    weir_err err = weir_options(env, argc, argv, table, sizeof table / sizeof *table, diag);
    if (!err) err = read_format(&o, &format, diag);
    if (!err) err = check_ranges(&o, diag);
    if (err) return err;
    if (strcmp(o.output, "print") != 0 && strcmp(o.output, "blackhole") != 0) o.output = weir_env_path(env, o.output);
    if (!o.output) return WEIR_OK; /* the environment keeps the mistake */

    if (strcmp(o.query, "events") == 0) {
        if (o.input) return weir_fail(diag, WEIR_E_ARGUMENT, "--query events prints generated events; --input is a file of them");
        struct weir_nexmark generator = generator_of(&o, WEIR_NEXMARK_EVENT_TIME);
        o.changelog = false;
        write_to(weir_from_nexmark_text(env, "events", &generator, format), &o, WEIR_FILE_LINES, NULL);
        return WEIR_OK;
    }
    query_fn query = find_query(o.query);
    if (!query) return weir_fail(diag, WEIR_E_ARGUMENT, "--query is q0 ... q22 or events, not \"%.64s\"", o.query);
    struct weir_nexmark_streams events = events_of(env, &o, format, query == q12 ? WEIR_NEXMARK_ARRIVAL_TIME : WEIR_NEXMARK_EVENT_TIME);
    const struct query_input in = {.persons = events.persons, .auctions = events.auctions, .bids = events.bids, .changes = o.changelog};
    struct result result = query(&in);
    o.changelog = o.changelog && result.updating;
    write_to(settled(&result, &o), &o, WEIR_FILE_CSV, result.folders);
    if (o.dead_letters) write_dead_letters(events.malformed, &o);
    return WEIR_OK;
}

WEIR_PLUGIN("nexmark", "1.0", build);
