/* SPDX-License-Identifier: Apache-2.0 */
/* Distinct values: which bits a record is the first to set, and how many values a group has with each. */
#include "runtime/operator/aggregate.h"
#include "runtime/operator/distinct.h"
#include "runtime/operator/partial.h"
#include "tests/unit/operator/tables.h"

#define EVENTS 3000u
#define N_BITS 4u
static struct event events[EVENTS];

/* Bit 0: seen; bits 1 to 3: by remainder of the id. */
static inline uint64_t bits_of(const struct fact *f)
{
    return 1u | 2u << f->id % 3;
}

struct news {
    int64_t key, value, fresh;
};
WEIR_ROW(news, WEIR_FIELD(news, 1, I64, key), WEIR_FIELD(news, 2, I64, value), WEIR_FIELD(news, 3, I64, fresh));

static inline void news_of(const struct fact *f, uint64_t fresh, struct news *row, struct weir_out *out)
{
    (void)out;
    *row = (struct news){.key = f->key, .value = f->value, .fresh = (int64_t)fresh};
}
WEIR_DISTINCT(news_op, fact, news, bits_of, news_of);

static inline uint32_t put_value(const struct fact *f, unsigned char *key)
{
    memcpy(key, &f->key, 8);
    memcpy(key + 8, &f->value, 8);
    return 16;
}
WEIR_KEY_OF(key_and_value, fact, 16, put_value);

struct counts {
    int64_t key, n[N_BITS];
};
WEIR_ROW(counts, WEIR_FIELD(counts, 1, I64, key), WEIR_FIELD(counts, 2, I64, n[0]), WEIR_FIELD(counts, 3, I64, n[1]));

static inline void counts_of(const uint64_t *counts, const struct weir_key *key, struct counts *row, struct weir_out *out)
{
    (void)out;
    memcpy(&row->key, key->data, sizeof row->key);
    for (uint32_t b = 0; b < N_BITS; b++) row->n[b] = (int64_t)counts[b];
}
WEIR_COUNT_DISTINCT(values_count, fact, counts, fact_key, key_and_value, N_BITS, bits_of, counts_of);

static void render_news(const void *row, char *line)
{
    const struct news *n = row;
    snprintf(line, FACT_LINE_MAX, "%" PRId64 " %" PRId64 " %" PRId64, n->key, n->value, n->fresh);
}

static void render_counts(const void *row, char *line)
{
    const struct counts *c = row;
    snprintf(line, FACT_LINE_MAX, "%" PRId64 ": %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, c->key, c->n[0], c->n[1], c->n[2], c->n[3]);
}

static void draw_values(uint32_t n_keys, uint32_t n_values)
{
    for (uint32_t i = 0; i < EVENTS; i++)
        events[i] = (struct event){.key = below(n_keys), .value = below(n_values), .id = below(9), .time_ms = i};
}

/* Bits that events before i have set for its key and value. */
static uint64_t seen_before(uint32_t i)
{
    uint64_t seen = 0;
    for (uint32_t k = 0; k < i; k++)
        if (events[k].key == events[i].key && events[k].value == events[i].value) seen |= 1u | 2u << events[k].id % 3;
    return seen;
}

static void a_record_passes_for_what_it_is_the_first_to_set(void **state)
{
    char line[FACT_LINE_MAX];
    (void)state;
    for (current_seed = 1; current_seed <= 12; current_seed++) {
        const struct distinct_config config = {.distinct = &news_op};
        struct tallies expected;
        struct world w;
        tallies_init(&expected);
        world_open(&w, &distinct_operator, &config, current_seed % 3 == 0, render_news);
        draw_values(1 + below(20), 1 + below(200));
        for (uint32_t at = 0, m; at < EVENTS; at += m) {
            m = draw_batch(EVENTS - at);
            assert_ok(w.f, feed_by(&w, 0, &key_and_value, events + at, m));
            absorb(&w);
        }
        for (uint32_t i = 0; i < EVENTS; i++) {
            uint64_t fresh = (1u | 2u << events[i].id % 3) & ~seen_before(i);
            snprintf(line, sizeof line, "%" PRId64 " %" PRId64 " %" PRId64, events[i].key, events[i].value, (int64_t)fresh);
            if (fresh) tally_add(&expected, line, 1);
        }
        CHECK(tallies_same(&expected, &w.got));
        tallies_close(&expected);
        world_close(&w);
    }
}

static void model_counts(uint32_t n_keys, struct tallies *out)
{
    static int64_t n[64][N_BITS];
    char line[FACT_LINE_MAX];
    memset(n, 0, sizeof n);
    for (uint32_t i = 0; i < EVENTS; i++) {
        uint64_t fresh = (1u | 2u << events[i].id % 3) & ~seen_before(i);
        for (uint32_t b = 0; b < N_BITS; b++) n[events[i].key][b] += (int64_t)(fresh >> b & 1);
    }
    for (uint32_t k = 0; k < n_keys; k++) {
        snprintf(line, sizeof line, "%u: %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, k, n[k][0], n[k][1], n[k][2], n[k][3]);
        if (n[k][0]) tally_add(out, line, 1);
    }
}

/* Values of a group lie in several instances of the first step; their counts meet in the second. */
static void counts_of_all_values_meet(void **state)
{
    (void)state;
    for (current_seed = 50; current_seed < 60; current_seed++) {
        static const struct weir_group_aggregate sum = {.struct_size = sizeof sum,
                                                        .name = "sum",
                                                        .out = &counts_schema,
                                                        .acc_size = N_BITS * 8,
                                                        .merge = distinct_merge,
                                                        .emit = values_count_emit};
        const struct count_distinct_config first = {.count = &values_count};
        const struct aggregate_config second = {.aggregate = &sum, .partials = true};
        struct tallies expected;
        struct world values[2], w;
        static struct weir_key keys[WEIR_BATCH_MAX];
        tallies_init(&expected);
        for (uint32_t i = 0; i < 2; i++) world_open(&values[i], &distinct_values_operator, &first, current_seed % 3 == 0, NULL);
        world_open(&w, &group_aggregate_operator, &second, false, render_counts);
        uint32_t n_keys = 1 + below(30);
        draw_values(n_keys, 2 + below(300));
        for (uint32_t i = 0; i < EVENTS; i++)
            assert_ok(values[events[i].value % 2].f, feed_by(&values[events[i].value % 2], 0, &key_and_value, &events[i], 1));
        for (uint32_t i = 0; i < 2; i++) {
            for (uint32_t b = 0; b < values[i].f->outputs[0].n_batches; b++) {
                const struct fake_batch *kept = &values[i].f->outputs[0].batches[b];
                struct weir_batch batch = {.data = kept->data, .sel = kept->offsets, .count = kept->count};
                partial_key.extract(&batch, keys, NULL);
                assert_ok(w.f, fake_op_process_keyed(w.f, &batch, keys));
                absorb(&w);
            }
        }
        model_counts(n_keys, &expected);
        CHECK(tallies_same(&expected, &w.got));
        tallies_close(&expected);
        world_close(&w);
        for (uint32_t i = 0; i < 2; i++) world_close(&values[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_passes_for_what_it_is_the_first_to_set),
        cmocka_unit_test(counts_of_all_values_meet),
    };
    return cmocka_run_group_tests(tests, NULL, world_end);
}
