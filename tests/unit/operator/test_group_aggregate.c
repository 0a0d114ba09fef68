/* SPDX-License-Identifier: Apache-2.0 */
/* Running aggregates, in one stage and two. */
#include "runtime/operator/aggregate.h"
#include "runtime/operator/partial.h"
#include "tests/unit/operator/tables.h"

struct sums {
    int64_t count, sum;
};
struct total {
    int64_t key, count, sum;
    struct weir_str text;
};
WEIR_ROW(total, WEIR_FIELD(total, 1, I64, key), WEIR_FIELD(total, 2, I64, count), WEIR_FIELD(total, 3, I64, sum),
         WEIR_FIELD(total, 4, STR, text));

static inline void add_one(struct sums *s, const struct fact *row, weir_time t)
{
    (void)t;
    s->count++;
    s->sum += row->value;
}
static inline void subtract_one(struct sums *s, const struct fact *row, weir_time t)
{
    (void)t;
    s->count--;
    s->sum -= row->value;
}
static inline void merge_one(struct sums *into, const struct sums *from)
{
    into->count += from->count;
    into->sum += from->sum;
}
static inline void total_of(const struct sums *s, const struct weir_key *key, struct total *row, struct weir_out *out)
{
    char text[32];
    memcpy(&row->key, key->data, sizeof row->key);
    row->count = s->count;
    row->sum = s->sum;
    row->text = weir_put_str(out, sizeof *row, text, (uint32_t)snprintf(text, sizeof text, "<%" PRId64 ">", s->sum));
}
WEIR_GROUP_AGGREGATE_CHANGES(sums_agg, fact, sums, total, add_one, subtract_one, merge_one, total_of);

static void render_total(const void *row, char *line)
{
    const struct total *t = row;
    snprintf(line, FACT_LINE_MAX, "%" PRId64 " %" PRId64 " %" PRId64 " %.*s", t->key, t->count, t->sum, (int)t->text.length,
             weir_str_data(t, t->text));
}

#define EVENTS 2500u
#define KEYS_MAX 600u
static struct event events[EVENTS];

static void model(const struct event *e, uint32_t n, struct tallies *out)
{
    static struct sums sums[KEYS_MAX];
    char line[FACT_LINE_MAX];
    memset(sums, 0, sizeof sums);
    for (uint32_t i = 0; i < n; i++) {
        int64_t sign = is_minus(e[i].kind) ? -1 : 1;
        sums[e[i].key].count += sign;
        sums[e[i].key].sum += sign * e[i].value;
    }
    for (int64_t k = 0; k < (int64_t)KEYS_MAX; k++) {
        if (sums[k].count == 0) continue;
        snprintf(line, sizeof line, "%" PRId64 " %" PRId64 " %" PRId64 " <%" PRId64 ">", k, sums[k].count, sums[k].sum, sums[k].sum);
        tally_add(out, line, 1);
    }
}

static void compare(struct world *w, uint32_t n)
{
    struct tallies expected;
    tallies_init(&expected);
    model(events, n, &expected);
    CHECK(tallies_same(&expected, &w->got));
    tallies_close(&expected);
}

static void a_key_has_the_aggregate_of_its_records(void **state)
{
    (void)state;
    for (current_seed = 1; current_seed <= 24; current_seed++) {
        const struct aggregate_config config = {.aggregate = &sums_agg};
        struct world w;
        world_open(&w, &group_aggregate_operator, &config, current_seed % 4 == 0, render_total);
        uint32_t n = draw_changes(events, EVENTS, 1 + below(KEYS_MAX - 1), current_seed % 2);
        for (uint32_t at = 0, m; at < n; at += m) {
            m = draw_batch(n - at);
            feed(&w, 0, events + at, m);
            if (below(20) == 0) compare(&w, at + m);
        }
        compare(&w, n);
        world_close(&w);
    }
}

/* A batch of many records of one key costs one change, and one that changes nothing none. */
static void a_batch_costs_one_change_a_key(void **state)
{
    (void)state;
    const struct aggregate_config config = {.aggregate = &sums_agg};
    struct world w;
    current_seed = 100;
    world_open(&w, &group_aggregate_operator, &config, false, render_total);
    struct event some[4] = {{.key = 7, .value = 1}, {.key = 7, .value = 2}, {.key = 7, .value = 3}, {.key = 8, .value = 4}};
    assert_ok(w.f, feed_by(&w, 0, &fact_key, some, 4));
    assert_int_equal(fake_count(w.f, 0), 2);
    assert_ok(w.f, feed_by(&w, 0, &fact_key, some, 1));
    assert_int_equal(fake_count(w.f, 0), 4);
    assert_int_equal(fake_record(w.f, 0, 2)->kind, WEIR_UPDATE_BEFORE);
    assert_int_equal(fake_record(w.f, 0, 3)->kind, WEIR_UPDATE_AFTER);
    some[1].kind = WEIR_DELETE;
    some[1].value = some[0].value;
    assert_ok(w.f, feed_by(&w, 0, &fact_key, some, 2));
    assert_int_equal(fake_count(w.f, 0), 4);
    world_close(&w);
}

/* What has been taken back leaves no state. */
static void an_empty_key_is_forgotten(void **state)
{
    (void)state;
    const struct aggregate_config config = {.aggregate = &sums_agg};
    struct world w;
    struct slot_stats stats;
    world_open(&w, &group_aggregate_operator, &config, false, render_total);
    struct event some[] = {{.key = 7, .value = 1}, {.key = 8, .value = 2}, {.key = 7, .value = 1, .kind = WEIR_DELETE}};
    feed(&w, 0, some, 3);
    slot_stats(w.f->slot, &stats);
    assert_int_equal(stats.entries, 1);
    some[1].kind = WEIR_UPDATE_BEFORE;
    feed(&w, 0, some + 1, 1);
    slot_stats(w.f->slot, &stats);
    assert_int_equal(stats.entries, 0);
    world_close(&w);
}

static void a_record_taken_back_that_was_not_given_is_an_error(void **state)
{
    (void)state;
    const struct aggregate_config config = {.aggregate = &sums_agg};
    struct world w;
    world_open(&w, &group_aggregate_operator, &config, false, render_total);
    const struct event back = {.key = 3, .value = 1, .kind = WEIR_DELETE};
    assert_int_equal(feed_by(&w, 0, &fact_key, &back, 1), WEIR_E_USER);
    assert_non_null(strstr(w.f->diag.text, "1 records of a key were taken back that had not been given"));
    world_close(&w);
}

/* ---- two stages -------------------------------------------------------------------------------------------------------------------------
 */

/* Hands what the local stage gave to the global one, as one batch. */
static void cross(struct fake *local, struct world *w)
{
    static struct weir_key keys[WEIR_BATCH_MAX];
    for (uint32_t b = 0; b < local->outputs[0].n_batches; b++) {
        const struct fake_batch *kept = &local->outputs[0].batches[b];
        struct weir_batch batch = {.data = kept->data, .sel = kept->offsets, .count = kept->count};
        partial_key.extract(&batch, keys, NULL);
        assert_ok(w->f, fake_op_process_keyed(w->f, &batch, keys));
        absorb(w);
    }
    fake_clear(local, 0);
}

static void two_stages_give_the_same(void **state)
{
    (void)state;
    for (current_seed = 200; current_seed < 216; current_seed++) {
        const struct aggregate_config first = {.aggregate = &sums_agg, .keyer = &fact_key};
        const struct aggregate_config second = {.aggregate = &sums_agg, .partials = true};
        static uint32_t offsets[WEIR_BATCH_MAX];
        struct fake *local = fake_new(&(struct fake_options){.config = &first, .n_outs = 1});
        struct world w;
        assert_ok(local, fake_op_open(local, &local_aggregate_operator));
        world_open(&w, &group_aggregate_operator, &second, current_seed % 4 == 0, render_total);
        uint32_t n = draw_changes(events, EVENTS, 1 + below(KEYS_MAX - 1), current_seed % 2);
        for (uint32_t at = 0, m; at < n; at += m) {
            struct weir_batch batch;
            m = draw_batch(n - at);
            unsigned char *data = make_batch(events + at, m, &batch, offsets);
            assert_ok(local, fake_op_process(local, &batch));
            free(data);
            cross(local, &w);
        }
        compare(&w, n);
        world_close(&w);
        fake_close(local);
    }
}

/* ---- told once --------------------------------------------------------------------------------------------------------------------------
 */

static void nothing_is_told_before_the_end(void **state)
{
    (void)state;
    for (current_seed = 300; current_seed < 316; current_seed++) {
        const struct aggregate_config config = {.aggregate = &sums_agg};
        struct world w;
        world_open(&w, &end_aggregate_operator, &config, current_seed % 2, render_total);
        uint32_t n = draw_changes(events, EVENTS, 1 + below(KEYS_MAX - 1), current_seed % 3);
        for (uint32_t at = 0, m; at < n; at += m) {
            m = draw_batch(n - at);
            feed(&w, 0, events + at, m);
        }
        assert_ok(w.f, fake_op_watermark(w.f, WEIR_TIME_MAX - 1));
        assert_int_equal(fake_count(w.f, 0), 0);
        assert_ok(w.f, fake_op_watermark(w.f, WEIR_TIME_MAX));
        absorb(&w);
        compare(&w, n);
        assert_int_equal(feed_by(&w, 0, &fact_key, events, 1), WEIR_E_STATE);
        world_close(&w);
    }
}

static void a_count_below_zero_is_told_at_the_end(void **state)
{
    (void)state;
    const struct aggregate_config config = {.aggregate = &sums_agg};
    struct world w;
    world_open(&w, &end_aggregate_operator, &config, false, render_total);
    const struct event back = {.key = 3, .value = 1, .kind = WEIR_DELETE};
    feed(&w, 0, &back, 1);
    assert_int_equal(fake_op_watermark(w.f, WEIR_TIME_MAX), WEIR_E_USER);
    assert_non_null(strstr(w.f->diag.text, "1 records of a key were taken back that had not been given"));
    world_close(&w);
}

static void a_partial_of_another_size_is_refused(void **state)
{
    (void)state;
    const struct aggregate_config config = {.aggregate = &sums_agg, .partials = true};
    struct fake *maker = fake_new(&(struct fake_options){.n_outs = 1});
    struct world w;
    world_open(&w, &group_aggregate_operator, &config, false, render_total);
    const struct weir_key key = {.data = "k", .length = 1};
    struct weir_key keys[1];
    assert_ok(maker, partial_emit(maker->ctx.out, &key, 1, (struct weir_bytes){"12345678", 8}, 0));
    fake_flush(maker);
    const struct fake_batch *kept = &maker->outputs[0].batches[0];
    struct weir_batch batch = {.data = kept->data, .sel = kept->offsets, .count = 1};
    partial_key.extract(&batch, keys, NULL);
    assert_int_equal(fake_op_process_keyed(w.f, &batch, keys), WEIR_E_CORRUPT);
    fake_close(maker);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_the_aggregate_of_its_records),
        cmocka_unit_test(a_batch_costs_one_change_a_key),
        cmocka_unit_test(an_empty_key_is_forgotten),
        cmocka_unit_test(a_record_taken_back_that_was_not_given_is_an_error),
        cmocka_unit_test(two_stages_give_the_same),
        cmocka_unit_test(nothing_is_told_before_the_end),
        cmocka_unit_test(a_count_below_zero_is_told_at_the_end),
        cmocka_unit_test(a_partial_of_another_size_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, world_end);
}
