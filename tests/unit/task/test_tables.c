/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and joins in whole jobs: over real channels, at several parallelisms, with the watermarks of two sources. */
#include <pthread.h>

#include "tests/support/local/local_job.h"
#include "tests/unit/operator/tallies.h"

#define FACTS 900
#define KEYS 37
#define SPLITS 3

static struct event facts[2][FACTS]; /* of source 0 and source 1 */

static void draw_facts(void)
{
    for (uint32_t s = 0; s < 2; s++)
        for (uint32_t i = 0; i < FACTS; i++)
            facts[s][i] = (struct event){.key = below(KEYS), .value = below(40), .id = (int64_t)(i * 2 + s), .time_ms = 1 + i / 3};
}

/* ---- a source: every third fact a split, in order of time ---------------------------------------------------------------------------- */

struct reader {
    uint32_t source, at;
};

static weir_err fact_discover(const void *config, uint32_t parallelism, struct weir_splits *splits, struct weir_diag *diag)
{
    (void)config, (void)parallelism, (void)diag;
    for (uint32_t i = 0; i < SPLITS; i++)
        if (weir_splits_add(splits, &i, sizeof i)) return WEIR_E_NOMEM;
    return WEIR_OK;
}

static weir_err fact_open(void *self, struct weir_ctx *ctx, struct weir_bytes split, struct weir_bytes position)
{
    struct reader *r = self;
    (void)position;
    r->source = *(const uint32_t *)ctx->config;
    memcpy(&r->at, split.data, sizeof r->at);
    return WEIR_OK;
}

static weir_err emit_fact(struct weir_out *out, const struct event *e)
{
    char text[FACT_TEXT_MAX];
    struct fact row = {.flag = e->id & 1, .key = e->key, .value = e->value, .id = e->id, .time = e->time_ms};
    row.text = weir_put_str(out, sizeof row, text, text_of(e->id, text));
    return weir_emit(out, &row, sizeof row, e->time_ms);
}

static weir_err fact_read(void *self, struct weir_ctx *ctx)
{
    struct reader *r = self;
    for (uint32_t n = 0; n < 20 && r->at < FACTS; n++, r->at += SPLITS) {
        weir_err err = emit_fact(ctx->out, &facts[r->source][r->at]);
        if (err) return err;
    }
    if (r->at >= FACTS) return WEIR_DONE;
    return weir_source_watermark(ctx, facts[r->source][r->at].time_ms - 1);
}

static const struct weir_source fact_source = {.struct_size = sizeof fact_source,
                                               .name = "facts",
                                               .self_size = sizeof(struct reader),
                                               .schema = &fact_schema,
                                               .discover = fact_discover,
                                               .open = fact_open,
                                               .read = fact_read};

static struct weir_stream *source(struct weir_env *env, uint32_t i)
{
    return weir_from(env, i ? "second" : "first", &fact_source, &i, sizeof i);
}

/* ---- a sink: lines in one tally
 * ---------------------------------------------------------------------------------------------------------- */

static struct tallies got;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct collect_config {
    void (*render)(const void *row, char *line);
};

static weir_err collect_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    const struct collect_config *config = ctx->config;
    char line[3 * FACT_LINE_MAX];
    (void)self, (void)input;
    pthread_mutex_lock(&lock);
    for (uint32_t i = 0; i < batch->count; i++) {
        config->render(weir_record_row(weir_batch_record(batch, i)), line);
        tally_add(&got, line, 1);
    }
    pthread_mutex_unlock(&lock);
    return WEIR_OK;
}

/* Takes inserts only: what reaches it is append-only, or the graph is refused. */
static const struct weir_operator collect_op = {
    .struct_size = sizeof collect_op, .name = "collect", .flags = WEIR_OPERATOR_SINK, .process = collect_process};

static void collect(struct weir_stream *s, void (*render)(const void *, char *))
{
    struct collect_config config = {render};
    (void)weir_sink(s, "collect", &collect_op, &config);
}

/* Runs the job at 1 to 3 subtasks; each time the sink must have what the model says. */
static void runs_as(weir_job_fn build, void (*model)(struct tallies *))
{
    for (uint32_t p = 1; p <= 3; p++) {
        struct tallies expected;
        struct local_job job;
        struct weir_diag diag = {0};
        current_seed = p;
        draw_facts();
        tallies_init(&expected);
        tallies_init(&got);
        weir_err err = local_job_run(&job, build, p, 0, NULL, &diag);
        if (err) print_error("%s: %s\n", job.failed_id ? job.failed_id : "", diag.text);
        assert_int_equal(err, WEIR_OK);
        model(&expected);
        assert_true(expected.used > 0);
        CHECK(tallies_same(&expected, &got));
        local_job_close(&job);
        tallies_close(&expected);
        tallies_close(&got);
    }
}

/* ---- the average of the highest value of each key, by remainder of the key: an aggregate of an aggregate
 * ---------------------------------- */

struct highest {
    int64_t value;
};
struct top {
    int64_t key, value;
};
WEIR_ROW(top, WEIR_FIELD(top, 1, I64, key), WEIR_FIELD(top, 2, I64, value));

static inline void raise_to(struct highest *h, const struct fact *f, weir_time t)
{
    (void)t;
    if (f->value > h->value) h->value = f->value;
}
static inline void raise_both(struct highest *into, const struct highest *from)
{
    if (from->value > into->value) into->value = from->value;
}
static inline void top_of(const struct highest *h, const struct weir_key *key, struct top *row, struct weir_out *out)
{
    (void)out;
    memcpy(&row->key, key->data, sizeof row->key);
    row->value = h->value;
}
WEIR_GROUP_AGGREGATE(highest_agg, fact, highest, top, raise_to, raise_both, top_of);

struct mean {
    int64_t n, sum;
};
struct average {
    int64_t category, n, sum;
};
WEIR_ROW(average, WEIR_FIELD(average, 1, I64, category), WEIR_FIELD(average, 2, I64, n), WEIR_FIELD(average, 3, I64, sum));

static inline void mean_add(struct mean *m, const struct top *row, weir_time t)
{
    (void)t;
    m->n++;
    m->sum += row->value;
}
static inline void mean_subtract(struct mean *m, const struct top *row, weir_time t)
{
    (void)t;
    m->n--;
    m->sum -= row->value;
}
static inline void mean_merge(struct mean *into, const struct mean *from)
{
    into->n += from->n;
    into->sum += from->sum;
}
static inline void average_of(const struct mean *m, const struct weir_key *key, struct average *row, struct weir_out *out)
{
    (void)out;
    row->category = *(const unsigned char *)key->data;
    row->n = m->n;
    row->sum = m->sum;
}
WEIR_GROUP_AGGREGATE_CHANGES(mean_agg, top, mean, average, mean_add, mean_subtract, mean_merge, average_of);

static inline uint32_t put_category(const struct top *row, unsigned char *key)
{
    key[0] = (unsigned char)(row->key % 5);
    return 1;
}
WEIR_KEY_OF(category_key, top, 1, put_category);
WEIR_KEY_FIXED(average_key, average, category);

static void render_average(const void *row, char *line)
{
    const struct average *a = row;
    snprintf(line, FACT_LINE_MAX, "%" PRId64 " %" PRId64 " %" PRId64, a->category, a->n, a->sum);
}

static weir_err build_averages(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *tops = weir_group_aggregate(weir_key_by(source(env, 0), &fact_key), "tops", &highest_agg);
    struct weir_stream *means = weir_group_aggregate(weir_key_by(tops, &category_key), "means", &mean_agg);
    collect(weir_final_rows(means, "final", &average_key), render_average);
    return WEIR_OK;
}

static weir_err build_two_stages(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *tops = weir_two_stage_aggregate(source(env, 0), "tops", &fact_key, &highest_agg);
    struct weir_stream *means = weir_two_stage_aggregate(tops, "means", &category_key, &mean_agg);
    collect(weir_final_rows(means, "final", NULL), render_average);
    return WEIR_OK;
}

static void model_averages(struct tallies *out)
{
    int64_t n[5] = {0}, sum[5] = {0};
    char line[FACT_LINE_MAX];
    for (int64_t key = 0; key < KEYS; key++) {
        int64_t highest = -1;
        for (uint32_t i = 0; i < FACTS; i++)
            if (facts[0][i].key == key && facts[0][i].value > highest) highest = facts[0][i].value;
        n[key % 5] += highest >= 0;
        sum[key % 5] += highest >= 0 ? highest : 0;
    }
    for (uint32_t c = 0; c < 5; c++) {
        snprintf(line, sizeof line, "%u %" PRId64 " %" PRId64, c, n[c], sum[c]);
        tally_add(out, line, 1);
    }
}

static void an_aggregate_of_an_aggregate(void **state)
{
    (void)state;
    runs_as(build_averages, model_averages);
    runs_as(build_two_stages, model_averages);
}

/* ---- windows in two stages
 * ---------------------------------------------------------------------------------------------------------------- */

/* Sum and maximum; merging two that hold nothing would be wrong, as it is of many a job's. */
struct span_acc {
    int64_t sum, lowest;
};
struct span {
    weir_time start, end;
    int64_t key, sum, lowest;
};
WEIR_ROW(span, WEIR_FIELD(span, 1, TIME, start), WEIR_FIELD(span, 2, TIME, end), WEIR_FIELD(span, 3, I64, key),
         WEIR_FIELD(span, 4, I64, sum), WEIR_FIELD(span, 5, I64, lowest));

static inline void span_add(struct span_acc *a, const struct fact *row, weir_time t)
{
    (void)t;
    if (a->lowest == 0 || row->value + 1 < a->lowest) a->lowest = row->value + 1;
    a->sum += row->value;
}

static inline void span_merge(struct span_acc *into, const struct span_acc *from)
{
    if (from->lowest < into->lowest) into->lowest = from->lowest;
    into->sum += from->sum;
}

static inline weir_err span_emit(struct weir_ctx *ctx, const struct span_acc *a, const struct weir_key *key, weir_time start, weir_time end)
{
    struct span row = {.start = start, .end = end, .sum = a->sum, .lowest = a->lowest};
    memcpy(&row.key, key->data, sizeof row.key);
    return weir_emit(ctx->out, &row, sizeof row, end - 1);
}
WEIR_AGGREGATE(spans, fact, span_acc, span, span_add, span_merge, span_emit);

static void render_span(const void *row, char *line)
{
    const struct span *s = row;
    snprintf(line, FACT_LINE_MAX, "%" PRId64 " to %" PRId64 ": %" PRId64 " %" PRId64 " %" PRId64, s->start, s->end, s->key, s->sum,
             s->lowest);
}

static struct weir_window span_window;

static weir_err build_spans(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    collect(weir_two_stage_window_aggregate(source(env, 0), "spans", &fact_key, &span_window, &spans), render_span);
    return WEIR_OK;
}

static bool lies_in(const struct event *e, int64_t key, int64_t start, int64_t end)
{
    return e->key == key && e->time_ms >= start && e->time_ms < end;
}

static void model_span(struct tallies *out, int64_t start, int64_t end)
{
    for (int64_t key = 0; key < KEYS; key++) {
        struct span row = {.start = start, .end = end, .key = key};
        for (uint32_t i = 0; i < FACTS; i++) {
            const struct event *e = &facts[0][i];
            if (!lies_in(e, key, start, end)) continue;
            row.sum += e->value;
            if (row.lowest == 0 || e->value + 1 < row.lowest) row.lowest = e->value + 1;
        }
        char line[FACT_LINE_MAX];
        render_span(&row, line);
        if (row.lowest) tally_add(out, line, 1);
    }
}

static void model_spans(struct tallies *out)
{
    const struct weir_window *w = &span_window;
    int64_t slide = w->kind == WEIR_SLIDING ? w->slide_ms : w->size_ms, step = w->kind == WEIR_CUMULATING ? w->step_ms : w->size_ms;
    for (int64_t start = w->offset_ms - 10 * slide; start <= FACTS; start += slide)
        for (int64_t size = step; size <= w->size_ms; size += step) model_span(out, start, start + size);
}

static void windows_in_two_stages(void **state)
{
    (void)state;
    const struct weir_window windows[] = {{.kind = WEIR_TUMBLING, .size_ms = 17, .offset_ms = 3},
                                          {.kind = WEIR_SLIDING, .size_ms = 20, .slide_ms = 5},
                                          {.kind = WEIR_SLIDING, .size_ms = 4, .slide_ms = 9, .offset_ms = 2},
                                          {.kind = WEIR_CUMULATING, .size_ms = 24, .step_ms = 8}};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        span_window = windows[i];
        runs_as(build_spans, model_spans);
    }
}

/* What cannot be cut in two is refused while the graph is built. */
static void windows_that_two_stages_cannot_have(void **state)
{
    (void)state;
    const struct weir_trigger often = {.early_count = 3};
    const struct weir_window windows[] = {{.kind = WEIR_SESSION, .gap_ms = 4},
                                          {.kind = WEIR_GLOBAL},
                                          {.kind = WEIR_TUMBLING, .size_ms = 8, .domain = WEIR_PROCESSING_TIME},
                                          {.kind = WEIR_TUMBLING, .size_ms = 8, .trigger = &often}};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        struct local_job job;
        struct weir_diag diag = {0};
        span_window = windows[i];
        assert_int_equal(local_job_run(&job, build_spans, 1, 0, NULL, &diag), WEIR_E_GRAPH);
        assert_non_null(strstr(diag.text, "two stages need"));
        local_job_close(&job);
    }
}

/* ---- first rows, and one row
 * ---------------------------------------------------------------------------------------------------------------- */

static inline bool dearer(const struct fact *a, const struct fact *b)
{
    return a->value != b->value ? a->value > b->value : a->id < b->id;
}
static inline bool lower_id(const struct fact *a, const struct fact *b)
{
    return a->id < b->id;
}
WEIR_TOP_N_ROWS(dearest, fact, 3, dearer);
WEIR_DEDUPLICATE(newest, fact, WEIR_KEEP_LAST, lower_id);

static void render_fact(const void *row, char *line)
{
    fact_line(row, line);
}

/* The dearest three of a key, and of these the newest. */
static weir_err build_first_rows(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    collect(weir_final_rows(weir_top_n(weir_key_by(source(env, 0), &fact_key), "dearest", &dearest), "final", NULL), render_fact);
    return WEIR_OK;
}

static void model_first_rows(struct tallies *out)
{
    char line[FACT_LINE_MAX];
    for (uint32_t i = 0; i < FACTS; i++) {
        uint32_t before = 0;
        for (uint32_t k = 0; k < FACTS; k++) {
            const struct event *a = &facts[0][k], *b = &facts[0][i];
            before += a->key == b->key && (a->value > b->value || (a->value == b->value && a->id < b->id));
        }
        event_line(&facts[0][i], line);
        if (before < 3) tally_add(out, line, 1);
    }
}

static weir_err build_newest(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    collect(weir_final_rows(weir_deduplicate(weir_key_by(source(env, 1), &fact_key), "newest", &newest), "final", &fact_key), render_fact);
    return WEIR_OK;
}

static weir_err build_newest_at_end(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    collect(weir_deduplicate_at_end(weir_key_by(source(env, 1), &fact_key), "newest", &newest), render_fact);
    return WEIR_OK;
}

static void model_newest(struct tallies *out)
{
    char line[FACT_LINE_MAX];
    for (uint32_t i = 0; i < FACTS; i++) {
        bool last = true; /* facts stand in order of time and id */
        for (uint32_t k = i + 1; k < FACTS && last; k++) last = facts[1][k].key != facts[1][i].key;
        event_line(&facts[1][i], line);
        if (last) tally_add(out, line, 1);
    }
}

static void first_rows_of_keys(void **state)
{
    (void)state;
    runs_as(build_first_rows, model_first_rows);
    runs_as(build_newest, model_newest);
    runs_as(build_newest_at_end, model_newest);
}

/* ---- distinct values
 * -------------------------------------------------------------------------------------------------------------------------- */

struct counts {
    int64_t n, n_even;
};
WEIR_ROW(counts, WEIR_FIELD(counts, 1, I64, n), WEIR_FIELD(counts, 2, I64, n_even));

static inline uint64_t even_bits(const struct fact *f)
{
    return f->value % 2 ? 1 : 3;
}
static inline uint32_t put_all(const struct fact *f, unsigned char *key)
{
    (void)f;
    key[0] = 'd'; /* a single group */
    return 1;
}
static inline uint32_t put_value(const struct fact *f, unsigned char *key)
{
    key[0] = 'd';
    memcpy(key + 1, &f->key, 8);
    memcpy(key + 9, &f->value, 8);
    return 17;
}
WEIR_KEY_OF(all_key, fact, 1, put_all);
WEIR_KEY_OF(value_key, fact, 17, put_value);
static inline void counts_of(const uint64_t *counts, const struct weir_key *key, struct counts *row, struct weir_out *out)
{
    (void)key, (void)out;
    row->n = (int64_t)counts[0];
    row->n_even = (int64_t)counts[1];
}
WEIR_COUNT_DISTINCT(values, fact, counts, all_key, value_key, 2, even_bits, counts_of);

static void render_counts(const void *row, char *line)
{
    const struct counts *c = row;
    snprintf(line, FACT_LINE_MAX, "%" PRId64 " %" PRId64, c->n, c->n_even);
}

static weir_err build_distinct(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    collect(weir_final_rows(weir_count_distinct(source(env, 0), "values", &values), "final", NULL), render_counts);
    return WEIR_OK;
}

static void model_distinct(struct tallies *out)
{
    int64_t n = 0, even = 0;
    char line[FACT_LINE_MAX];
    for (uint32_t i = 0; i < FACTS; i++) {
        bool seen = false;
        for (uint32_t k = 0; k < i && !seen; k++) seen = facts[0][k].key == facts[0][i].key && facts[0][k].value == facts[0][i].value;
        n += !seen;
        even += !seen && facts[0][i].value % 2 == 0;
    }
    snprintf(line, sizeof line, "%" PRId64 " %" PRId64, n, even);
    tally_add(out, line, 1);
}

static void distinct_values_of_a_single_group(void **state)
{
    (void)state;
    runs_as(build_distinct, model_distinct);
}

/* ---- joins
 * -------------------------------------------------------------------------------------------------------------------------------------- */

struct couple {
    int64_t left, right;
};
WEIR_ROW(couple, WEIR_FIELD(couple, 1, I64, left), WEIR_FIELD(couple, 2, I64, right));

static inline bool couple_of(const struct fact *left, const struct fact *right, struct couple *row, struct weir_out *out)
{
    (void)out;
    row->left = left ? left->id : -1;
    row->right = right ? right->id : -1;
    return true;
}
WEIR_PAIRS(couples, fact, fact, couple, couple_of);

static void render_couple(const void *row, char *line)
{
    const struct couple *c = row;
    snprintf(line, FACT_LINE_MAX, "%" PRId64 " %" PRId64, c->left, c->right);
}

static void tally_couple(struct tallies *out, int64_t left, int64_t right)
{
    char line[FACT_LINE_MAX];
    render_couple(&(struct couple){left, right}, line);
    tally_add(out, line, 1);
}

/* Key and value together, so that pairs are few and some rows have none. */
WEIR_KEY_OF(pair_key, fact, 17, put_value);

static weir_err build_left_join(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    const struct weir_join_options options = {.kind = WEIR_LEFT_JOIN};
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *left = weir_key_by(source(env, 0), &pair_key), *right = weir_key_by(source(env, 1), &pair_key);
    collect(weir_final_rows(weir_join(left, right, "join", &couples, &options), "final", NULL), render_couple);
    return WEIR_OK;
}

static void model_pairs(struct tallies *out, bool (*fits)(const struct event *, const struct event *), bool alone)
{
    for (uint32_t i = 0; i < FACTS; i++) {
        bool any = false;
        for (uint32_t k = 0; k < FACTS; k++) {
            if (facts[0][i].key != facts[1][k].key || !fits(&facts[0][i], &facts[1][k])) continue;
            tally_couple(out, facts[0][i].id, facts[1][k].id);
            any = true;
        }
        if (alone && !any) tally_couple(out, facts[0][i].id, -1);
    }
}

static bool same_value(const struct event *a, const struct event *b)
{
    return a->value == b->value;
}
static void model_left_join(struct tallies *out)
{
    model_pairs(out, same_value, true);
}

/* The row that stands for each key on both sides, joined: changes on both inputs, of which one row a key stands. */
static weir_err build_join_of_changes(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    const struct weir_join_options options = {.left = {.unique = true, .changes = true}, .right = {.changes = true}};
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *left = weir_deduplicate(weir_key_by(source(env, 0), &fact_key), "newest", &newest);
    struct weir_stream *right = weir_top_n(weir_key_by(source(env, 1), &fact_key), "dearest", &dearest);
    struct weir_stream *joined = weir_join(weir_key_by(left, &fact_key), weir_key_by(right, &fact_key), "join", &couples, &options);
    collect(weir_final_rows(joined, "final", NULL), render_couple);
    return WEIR_OK;
}

static void model_join_of_changes(struct tallies *out)
{
    for (uint32_t i = 0; i < FACTS; i++) {
        bool last = true;
        for (uint32_t k = i + 1; k < FACTS && last; k++) last = facts[0][k].key != facts[0][i].key;
        for (uint32_t k = 0; last && k < FACTS; k++) {
            const struct event *b = &facts[1][k];
            uint32_t before = 0;
            if (b->key != facts[0][i].key) continue;
            for (uint32_t m = 0; m < FACTS; m++) {
                const struct event *a = &facts[1][m];
                before += a->key == b->key && (a->value > b->value || (a->value == b->value && a->id < b->id));
            }
            if (before < 3) tally_couple(out, facts[0][i].id, b->id);
        }
    }
}

static weir_err build_interval(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    const struct weir_interval interval = {-4, 9};
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *left = weir_key_by(source(env, 0), &fact_key), *right = weir_key_by(source(env, 1), &fact_key);
    collect(weir_interval_join(left, right, "join", &couples, &interval), render_couple);
    return WEIR_OK;
}
static bool near(const struct event *a, const struct event *b)
{
    return b->time_ms >= a->time_ms - 4 && b->time_ms <= a->time_ms + 9;
}
static void model_interval(struct tallies *out)
{
    model_pairs(out, near, false);
}

static weir_err build_window(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    const struct weir_join_window window = {.size_ms = 20};
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *left = weir_key_by(source(env, 0), &fact_key), *right = weir_key_by(source(env, 1), &fact_key);
    collect(weir_window_join(left, right, "join", &couples, &window), render_couple);
    return WEIR_OK;
}
static bool same_window(const struct event *a, const struct event *b)
{
    return a->time_ms / 20 == b->time_ms / 20;
}
static void model_window(struct tallies *out)
{
    model_pairs(out, same_window, false);
}

/* The side table: facts of the second source with an even id at first, by id / 2. */
static weir_err load_facts(struct weir_lookup *table, const void *config, struct weir_diag *diag)
{
    (void)diag;
    for (int64_t i = 0; i < *(const int64_t *)config; i++) {
        const struct fact row = {.id = i * 100, .text = {sizeof row, 0}};
        weir_err err = weir_lookup_put(table, &i, sizeof i, &row, sizeof row);
        if (err) return err;
    }
    return WEIR_OK;
}

static weir_err build_lookup(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    int64_t n = 20;
    (void)argc, (void)argv, (void)diag;
    const struct weir_lookup_options options = {
        .keyer = &fact_key, .load = load_facts, .config = &n, .config_size = sizeof n, .left = true};
    collect(weir_lookup_join(source(env, 0), "lookup", &couples, &options), render_couple);
    return WEIR_OK;
}
static void model_lookup(struct tallies *out)
{
    for (uint32_t i = 0; i < FACTS; i++) tally_couple(out, facts[0][i].id, facts[0][i].key < 20 ? facts[0][i].key * 100 : -1);
}

static void joins_of_two_sources(void **state)
{
    (void)state;
    runs_as(build_left_join, model_left_join);
    runs_as(build_join_of_changes, model_join_of_changes);
    runs_as(build_interval, model_interval);
    runs_as(build_window, model_window);
    runs_as(build_lookup, model_lookup);
}

/* ---- rows over rows
 * ------------------------------------------------------------------------------------------------------------------------------ */

static inline uint64_t id_of(const struct fact *f)
{
    return (uint64_t)f->id;
}
static inline void first_of_three(const struct fact *const *rows, uint32_t n, struct couple *row, struct weir_out *out)
{
    (void)out;
    row->left = rows[n - 1]->id;
    row->right = rows[0]->id;
}
WEIR_OVER_ROWS(three, fact, couple, 3, id_of, first_of_three);

static weir_err build_over(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    collect(weir_over_rows(weir_key_by(source(env, 0), &fact_key), "over", &three), render_couple);
    return WEIR_OK;
}
static void model_over(struct tallies *out)
{
    for (uint32_t i = 0; i < FACTS; i++) {
        uint32_t n = 1, first = i;
        for (uint32_t k = i; k-- > 0 && n < 3;) {
            if (facts[0][k].key != facts[0][i].key) continue;
            first = k;
            n++;
        }
        tally_couple(out, facts[0][i].id, facts[0][first].id);
    }
}

static void rows_over_the_rows_before(void **state)
{
    (void)state;
    runs_as(build_over, model_over);
}

/* ---- graphs that cannot be
 * ----------------------------------------------------------------------------------------------------------------------- */

static weir_err build_changes_to_top(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *one = weir_deduplicate(weir_key_by(source(env, 0), &fact_key), "newest", &newest);
    collect(weir_top_n(weir_key_by(one, &fact_key), "dearest", &dearest), render_fact);
    return WEIR_OK;
}
static weir_err build_no_options(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)argc, (void)argv, (void)diag;
    struct weir_stream *a = weir_key_by(source(env, 0), &fact_key), *b = weir_key_by(source(env, 1), &fact_key);
    collect(weir_interval_join(a, b, "join", &couples, &(struct weir_interval){5, 4}), render_couple);
    return WEIR_OK;
}

static void is_refused(weir_job_fn build, const char *why)
{
    struct local_job job;
    struct weir_diag diag = {0};
    assert_int_equal(local_job_run(&job, build, 1, 0, NULL, &diag), WEIR_E_GRAPH);
    if (!strstr(diag.text, why)) print_error("%s\n", diag.text);
    assert_non_null(strstr(diag.text, why));
    local_job_close(&job);
}

static void graphs_that_cannot_be_are_refused(void **state)
{
    (void)state;
    is_refused(build_changes_to_top, "operator dearest takes inserts only, but operator newest gives updates and deletes");
    is_refused(build_no_options, "operator join: its interval is not lower_ms <= upper_ms");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_aggregate_of_an_aggregate),        cmocka_unit_test(windows_in_two_stages),
        cmocka_unit_test(windows_that_two_stages_cannot_have), cmocka_unit_test(first_rows_of_keys),
        cmocka_unit_test(distinct_values_of_a_single_group),   cmocka_unit_test(joins_of_two_sources),
        cmocka_unit_test(rows_over_the_rows_before),           cmocka_unit_test(graphs_that_cannot_be_are_refused),
    };
    return LOCAL_JOB_RUN_TESTS(tests);
}
