/* SPDX-License-Identifier: Apache-2.0 */
/* The table that a changelog ends in, by key and counted; with state that does not fit into memory, and an output that is full. */
#include "runtime/operator/final_rows.h"
#include "runtime/operator/rows.h"
#include "tests/unit/operator/tables.h"

#define EVENTS 4000u
static struct event events[EVENTS];

static void render_fact(const void *row, char *line)
{
    fact_line(row, line);
}

/* Ends event time; the output takes few rows at a time. */
static void end_time(struct world *w)
{
    w->f->yield_at_rows = 1; /* a pause after each row */
    assert_ok(w->f, fake_op_watermark(w->f, 5000));
    assert_int_equal(fake_count(w->f, 0), 0); /* nothing before the end */
    assert_ok(w->f, fake_op_watermark(w->f, WEIR_TIME_MAX));
    for (uint32_t i = 0; i < fake_count(w->f, 0); i++) assert_int_equal(fake_record(w->f, 0, i)->kind, WEIR_INSERT);
    absorb(w);
}

/* ---- by key ----------------------------------------------------------------------------------------------------------------------------
 */

static void a_key_ends_with_its_last_row(void **state)
{
    static struct event last[EVENTS];
    static bool stands[EVENTS];
    char line[FACT_LINE_MAX];
    (void)state;
    for (current_seed = 1; current_seed <= 12; current_seed++) {
        const struct final_rows_config config = {.schema = &fact_schema};
        struct tallies expected;
        struct world w;
        uint32_t n_keys = 1 + below(EVENTS - 1);
        memset(stands, 0, sizeof stands);
        tallies_init(&expected);
        world_open(&w, &final_rows_by_key_operator, &config, current_seed % 2, render_fact);
        for (uint32_t i = 0; i < EVENTS; i++) {
            uint8_t kind = below(4) == 0 ? WEIR_DELETE : below(2) ? WEIR_INSERT : WEIR_UPDATE_AFTER; /* the runtime gives no -U */
            last[i] = (struct event){.key = below(n_keys), .value = i, .id = i, .time_ms = i, .kind = kind};
        }
        for (uint32_t at = 0, m; at < EVENTS; at += m) {
            m = draw_batch(EVENTS - at);
            feed(&w, 0, last + at, m);
        }
        for (uint32_t i = EVENTS; i-- > 0;) {
            if (stands[last[i].key]) continue;
            stands[last[i].key] = true;
            event_line(&last[i], line);
            if (last[i].kind != WEIR_DELETE) tally_add(&expected, line, 1);
        }
        end_time(&w);
        CHECK(tallies_same(&expected, &w.got));
        tallies_close(&expected);
        world_close(&w);
    }
}

/* ---- counted ---------------------------------------------------------------------------------------------------------------------------
 */

/* Two senders' changes may meet in any order: rows may be taken back before they are given. */
static void shuffle(struct event *e, uint32_t n)
{
    for (uint32_t i = n - 1; i > 0; i--) {
        uint32_t k = below(i + 1);
        struct event other = e[i];
        e[i] = e[k];
        e[k] = other;
    }
}

/* Rows by their fields, as the step before gives them: in the batches that the fake kept. */
static void feed_fields(struct fake *fields, struct world *w)
{
    static struct weir_key keys[WEIR_BATCH_MAX];
    for (uint32_t b = 0; b < fields->outputs[0].n_batches; b++) {
        const struct fake_batch *kept = &fields->outputs[0].batches[b];
        struct weir_batch batch = {.data = kept->data, .sel = kept->offsets, .count = kept->count};
        whole_row_key.extract(&batch, keys, NULL);
        assert_ok(w->f, fake_op_process_keyed(w->f, &batch, keys));
    }
    fake_clear(fields, 0);
}

static void play_counted(struct fake *fields, struct world *w, const struct event *e, uint32_t n)
{
    static uint32_t offsets[WEIR_BATCH_MAX];
    for (uint32_t at = 0, m; at < n; at += m) {
        struct weir_batch batch;
        m = draw_batch(n - at);
        unsigned char *data = make_batch(e + at, m, &batch, offsets);
        assert_ok(fields, fake_op_process(fields, &batch));
        free(data);
        feed_fields(fields, w);
    }
}

static void rows_stand_as_often_as_they_were_given(void **state)
{
    char line[FACT_LINE_MAX];
    (void)state;
    for (current_seed = 100; current_seed < 112; current_seed++) {
        const struct final_rows_config config = {.schema = &fact_schema};
        struct fake *fields = fake_new(&(struct fake_options){.config = &config, .n_outs = 1});
        struct tallies expected;
        struct world w;
        tallies_init(&expected);
        assert_ok(fields, fake_op_open(fields, &row_fields_operator));
        world_open(&w, &final_rows_counted_operator, NULL, current_seed % 2, render_fact);
        uint32_t n = draw_changes(events, EVENTS, 50, true);
        if (current_seed % 3) shuffle(events, n);
        play_counted(fields, &w, events, n);
        for (uint32_t i = 0; i < n; i++) {
            event_line(&events[i], line);
            tally_add(&expected, line, is_minus(events[i].kind) ? -1 : 1);
        }
        end_time(&w);
        CHECK(tallies_same(&expected, &w.got));
        tallies_close(&expected);
        world_close(&w);
        fake_close(fields);
    }
}

/* Whatever lay in the padding, of the row and of the buffer. */
static void equal_fields_give_equal_bytes(void **state)
{
    (void)state;
    struct fake *f = fake_new(&(struct fake_options){.n_outs = 0});
    const struct event e = {.key = 1, .value = 2, .id = 23, .time_ms = 4};
    struct row_buf bufs[2];
    struct weir_bytes rows[2];
    for (int i = 0; i < 2; i++) {
        struct weir_batch batch;
        uint32_t offset;
        unsigned char *data = make_batch(&e, 1, &batch, &offset);
        bufs[i] = (struct row_buf){.data = malloc(512), .cap = 512};
        memset(bufs[i].data, i ? 0x11 : 0xee, 512);
        rows[i] = row_by_fields(&bufs[i], &f->ctx, &fact_schema, weir_record_row(weir_batch_record(&batch, 0)));
        free(data);
    }
    assert_int_equal(rows[0].length, rows[1].length);
    assert_memory_equal(rows[0].data, rows[1].data, rows[0].length);
    assert_true(weir_row_valid(&fact_schema, rows[0].data, rows[0].length));
    row_buf_close(&bufs[0]);
    row_buf_close(&bufs[1]);
    fake_close(f);
}

static void a_count_below_zero_at_the_end_is_an_error(void **state)
{
    (void)state;
    const struct final_rows_config config = {.schema = &fact_schema};
    struct fake *fields = fake_new(&(struct fake_options){.config = &config, .n_outs = 1});
    struct world w;
    const struct event back = {.key = 1, .id = 5, .kind = WEIR_DELETE};
    assert_ok(fields, fake_op_open(fields, &row_fields_operator));
    world_open(&w, &final_rows_counted_operator, NULL, false, render_fact);
    play_counted(fields, &w, &back, 1);
    assert_int_equal(fake_op_watermark(w.f, WEIR_TIME_MAX), WEIR_E_USER);
    assert_non_null(strstr(w.f->diag.text, "taken back 1 times more often than it was given"));
    world_close(&w);
    fake_close(fields);
}

static void a_record_after_the_end_is_an_error(void **state)
{
    (void)state;
    const struct final_rows_config config = {.schema = &fact_schema};
    const struct event one = {.key = 1, .id = 5};
    struct world w;
    world_open(&w, &final_rows_by_key_operator, &config, false, render_fact);
    assert_ok(w.f, fake_op_watermark(w.f, WEIR_TIME_MAX));
    assert_int_equal(feed_by(&w, 0, &fact_key, &one, 1), WEIR_E_STATE);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_ends_with_its_last_row),       cmocka_unit_test(rows_stand_as_often_as_they_were_given),
        cmocka_unit_test(equal_fields_give_equal_bytes),      cmocka_unit_test(a_count_below_zero_at_the_end_is_an_error),
        cmocka_unit_test(a_record_after_the_end_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, world_end);
}
