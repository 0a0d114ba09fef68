/* SPDX-License-Identifier: Apache-2.0 */
/* A stream beside a side table. */
#include "tests/unit/operator/pairs.h"

#define EVENTS 2000u
static struct event events[EVENTS];

struct side_table {
    uint32_t n;      /* keys 0, 3, 6 ... */
    bool twice;      /* the first of them again */
    bool leaves_row; /* a string beyond its row */
};

static weir_err put_fact(struct weir_lookup *table, int64_t key, bool leaves_row)
{
    const struct event e = {.key = key, .id = key, .time_ms = 5};
    struct weir_batch batch;
    uint32_t offset;
    unsigned char *data = make_batch(&e, 1, &batch, &offset);
    struct weir_record *rec = weir_batch_record(&batch, 0);
    struct fact *row = weir_record_row(rec);
    if (leaves_row) row->text.length += 1;
    weir_err err = weir_lookup_put(table, &key, sizeof key, row, rec->size);
    free(data);
    return err;
}

static weir_err load_side(struct weir_lookup *table, const void *config, struct weir_diag *diag)
{
    const struct side_table *t = config;
    weir_err err = WEIR_OK;
    (void)diag; /* weir_lookup_put has said it */
    for (int64_t i = 0; !err && i < t->n; i++) err = put_fact(table, i * 3, false);
    if (!err && t->twice) err = put_fact(table, 0, false);
    if (!err && t->leaves_row) err = put_fact(table, 1, true);
    return err;
}

static void rows_find_theirs(void **state)
{
    (void)state;
    for (current_seed = 1; current_seed <= 16; current_seed++) {
        const struct side_table table = {.n = below(3000)};
        const struct lookup_join_config config = {
            .pairs = &couples, .options = {.keyer = &fact_key, .load = load_side, .config = &table, .left = current_seed % 2}};
        struct tallies expected;
        struct world w;
        tallies_init(&expected);
        world_open(&w, &lookup_join_operator, &config, false, render_couple);
        for (uint32_t i = 0; i < EVENTS; i++) {
            events[i] =
                (struct event){.key = below(10000), .id = i, .time_ms = i, .kind = (uint8_t)(below(4) ? WEIR_INSERT : WEIR_UPDATE_AFTER)};
            const struct event match = {.key = events[i].key, .id = events[i].key};
            bool found = events[i].key % 3 == 0 && events[i].key / 3 < table.n;
            if (found || config.options.left) tally_couple(&expected, &events[i], found ? &match : NULL, 1);
        }
        for (uint32_t at = 0, m; at < EVENTS; at += m) {
            m = draw_batch(EVENTS - at);
            feed(&w, 0, events + at, m);
        }
        CHECK(tallies_same(&expected, &w.got));
        tallies_close(&expected);
        world_close(&w);
    }
}

static void fails_to_load(const struct side_table *table, uint64_t bytes_max, weir_err err, const char *why)
{
    const struct lookup_join_config config = {.pairs = &couples,
                                              .options = {.keyer = &fact_key, .load = load_side, .config = table, .bytes_max = bytes_max}};
    struct fake *f = fake_new(&(struct fake_options){.config = &config, .n_outs = 1});
    assert_int_equal(fake_op_open(f, &lookup_join_operator), err);
    assert_non_null(strstr(f->diag.text, why));
    fake_close(f);
}

static void a_table_that_cannot_be_is_refused_in_words(void **state)
{
    (void)state;
    fails_to_load(&(struct side_table){.n = 5, .twice = true}, 0, WEIR_E_EXISTS, "row 5 of its side table has the key of another");
    fails_to_load(&(struct side_table){.n = 5, .leaves_row = true}, 0, WEIR_E_CORRUPT, "row 5 of its side table is no row of type fact");
    fails_to_load(&(struct side_table){.n = 5000}, 10000, WEIR_E_LIMIT, "exceeds bytes_max, 10000 bytes, after");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_find_theirs),
        cmocka_unit_test(a_table_that_cannot_be_is_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, world_end);
}
