/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints through whole jobs, stepped in one thread in an order drawn from a seed: snapshots at random moments, crashes, restores at
 * other parallelisms. What is committed in the end must be what a run without faults gives, each row once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "runtime/base/log.h"
#include "tests/support/local/world.h"
#include "tests/unit/task/items.h"

#define SEEDS 20
#define WINDOW_MS 100

/* ---- the job: items, their windows by timers, a sink that commits -----------------------------------------------------------------------
 */

/* A window of a key: how many items, the sum of their words. */
struct pane {
    int64_t key, begin, rows;
    uint64_t sum;
};
WEIR_ROW(pane, WEIR_FIELD(pane, 1, I64, key), WEIR_FIELD(pane, 2, I64, begin), WEIR_FIELD(pane, 3, I64, rows),
         WEIR_FIELD(pane, 4, I64, sum));
WEIR_KEY_FIXED(pane_key, pane, begin);
WEIR_TIMESTAMP(item_time, item, time);

struct windows {
    struct weir_state *panes; /* map: begin -> struct pane */
};

static weir_err windows_open(void *self, struct weir_ctx *ctx)
{
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "panes", .value_size = sizeof(struct pane)};
    return weir_map_open(ctx, &desc, &((struct windows *)self)->panes);
}

static inline weir_err window_item(struct windows *w, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    int64_t begin = rec->time_ms / WINDOW_MS * WINDOW_MS;
    if (begin + WINDOW_MS - 1 <= ctx->watermark_ms)
        return weir_fail(ctx->diag, WEIR_E_USER, "an item of %lld is late at %lld", (long long)rec->time_ms, (long long)ctx->watermark_ms);
    struct pane *pane = weir_map_value(ctx, w->panes, (struct weir_bytes){&begin, sizeof begin});
    if (!pane) return WEIR_E_NOMEM;
    *pane = (struct pane){row->key, begin, pane->rows + 1, pane->sum + item_sum(row->sender, row->seq)};
    return pane->rows == 1 ? weir_timer_set(ctx, WEIR_EVENT_TIME, begin + WINDOW_MS - 1, (uint64_t)begin) : WEIR_OK;
}
WEIR_PROCESS(window, windows, item, window_item);

static weir_err window_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct windows *w = self;
    int64_t begin = (int64_t)timer->tag;
    struct weir_bytes value = weir_map_get(ctx, w->panes, (struct weir_bytes){&begin, sizeof begin});
    if (value.length != sizeof(struct pane)) return weir_fail(ctx->diag, WEIR_E_USER, "a timer without its pane");
    struct pane pane;
    memcpy(&pane, value.data, sizeof pane);
    weir_err err = weir_map_remove(ctx, w->panes, (struct weir_bytes){&begin, sizeof begin});
    return err ? err : weir_emit(ctx->out, &pane, sizeof pane, timer->time_ms);
}

static const struct weir_operator window_op = {.struct_size = sizeof window_op,
                                               .name = "windows",
                                               .self_size = sizeof(struct windows),
                                               .in = &item_schema,
                                               .out = &pane_schema,
                                               .flags = WEIR_OPERATOR_KEYED | WEIR_OPERATOR_TAKES_CHANGES,
                                               .open = windows_open,
                                               .process = window_process,
                                               .on_timer = window_timer};

/* What a sink prepares: sums over rows, under a number that no other prepare of the whole test has. */
struct receipt {
    uint64_t number, rows, sum;
};
#define RECEIPTS_MAX 4096
static struct {
    uint64_t next;
    uint8_t prepared[RECEIPTS_MAX], committed[RECEIPTS_MAX];
    uint64_t rows, sum; /* of what was committed, each receipt once */
} ledger[2];

struct keeper {
    uint64_t rows, sum;
    bool finished;
};

static weir_err keeper_add(struct keeper *k, struct weir_ctx *ctx, uint64_t word)
{
    if (k->finished) return weir_fail(ctx->diag, WEIR_E_USER, "a row behind the end");
    k->rows++;
    k->sum += word;
    return WEIR_OK;
}

static inline weir_err keep_item(struct keeper *k, struct weir_ctx *ctx, const struct item *row, const struct weir_record *rec)
{
    (void)rec;
    return keeper_add(k, ctx, item_sum(row->sender, row->seq));
}
WEIR_PROCESS(keep_items, keeper, item, keep_item);

static inline weir_err keep_pane(struct keeper *k, struct weir_ctx *ctx, const struct pane *row, const struct weir_record *rec)
{
    (void)rec;
    return keeper_add(k, ctx, mix((uint64_t)row->key ^ mix((uint64_t)row->begin ^ mix((uint64_t)row->rows ^ mix(row->sum)))));
}
WEIR_PROCESS(keep_panes, keeper, pane, keep_pane);

static weir_err keeper_finish(void *self, struct weir_ctx *ctx)
{
    struct keeper *k = self;
    if (k->finished) return weir_fail(ctx->diag, WEIR_E_USER, "finished twice");
    k->finished = true;
    return WEIR_OK;
}

static weir_err keeper_prepare(void *self, struct weir_ctx *ctx, uint64_t checkpoint_id, struct weir_committables *out)
{
    struct keeper *k = self;
    const uint32_t *which = ctx->config;
    (void)checkpoint_id;
    weir_committables_records(out, k->rows);
    if (k->rows == 0) return WEIR_OK;
    struct receipt receipt = {ledger[*which].next++, k->rows, k->sum};
    assert_true(receipt.number < RECEIPTS_MAX);
    ledger[*which].prepared[receipt.number] = 1;
    k->rows = k->sum = 0;
    return weir_committable_add(out, &receipt, sizeof receipt);
}

static weir_err keeper_commit(void *self, struct weir_ctx *ctx, struct weir_bytes committable)
{
    const uint32_t *which = ctx->config;
    struct receipt receipt;
    (void)self;
    memcpy(&receipt, committable.data, sizeof receipt);
    assert_int_equal(ledger[*which].prepared[receipt.number], 1);
    if (ledger[*which].committed[receipt.number]++) return WEIR_OK;
    ledger[*which].rows += receipt.rows;
    ledger[*which].sum += receipt.sum;
    return WEIR_OK;
}

#define KEEPER(process_)                                                                                         \
    {                                                                                                            \
        .struct_size = sizeof(struct weir_operator), .name = "keep", .self_size = sizeof(struct keeper),         \
        .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_TAKES_CHANGES, .process = process_, .finish = keeper_finish, \
        .prepare = keeper_prepare, .commit = keeper_commit                                                       \
    }
static const struct weir_operator keep_items_op = KEEPER(keep_items_process), keep_panes_op = KEEPER(keep_panes_process);

/* A source whose splits end early, so that subtasks finish while others go on. */
static weir_err short_read(void *self, struct weir_ctx *ctx)
{
    struct item_reader *r = self;
    if (r->seq >= items.rows / 8) return WEIR_DONE;
    return emit_item(ctx->out, r->sender, r->seq++);
}
static struct weir_source short_source;

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    static const uint32_t which[2] = {0, 1};
    const struct weir_watermarks bounds = {.max_out_of_orderness_ms = 10};
    (void)argc, (void)argv, (void)diag;
    short_source = item_source;
    short_source.read = short_read;
    struct weir_stream *a = weir_assign_watermarks(weir_from(env, "a", &item_source, NULL, 0), "a-time", item_time, &bounds);
    struct weir_stream *b = weir_assign_watermarks(weir_from(env, "b", &short_source, NULL, 0), "b-time", item_time, &bounds);
    struct weir_stream *both[] = {a, b}, *all = weir_union(both, 2);
    struct weir_stream *panes = weir_process(weir_key_by(all, &item_key), "windows", &window_op, &which[0]);
    (void)weir_sink(weir_key_by(panes, &pane_key), "keep-panes", &keep_panes_op, &which[1]);
    (void)weir_sink(weir_rebalance(all), "keep-items", &keep_items_op, &which[0]);
    return WEIR_OK;
}

static void reset(uint64_t seed)
{
    memset(ledger, 0, sizeof ledger);
    items.seed = seed;
    items.rows = 300;
    items.senders = 3;
    items.keys = 13;
    items.sizes = SIZES_SMALL;
}

/* What a run without faults commits. */
static void check_result(void)
{
    uint64_t rows = 0, sum = 0, n_panes = 0, pane_sum = 0;
    enum { N_WINDOWS = 64 };
    static struct pane panes[KEYS_MAX][N_WINDOWS];
    memset(panes, 0, sizeof panes);
    for (int64_t sender = 0; sender < items.senders; sender++) {
        for (int64_t seq = 0; seq < items.rows; seq++) {
            int64_t copies = 1 + (seq < items.rows / 8);
            struct item row = item_of(sender, seq);
            struct pane *pane = &panes[row.key][row.time / WINDOW_MS];
            *pane = (struct pane){row.key, row.time / WINDOW_MS * WINDOW_MS, pane->rows + copies,
                                  pane->sum + (uint64_t)copies * item_sum(sender, seq)};
            rows += (uint64_t)copies;
            sum += (uint64_t)copies * item_sum(sender, seq);
        }
    }
    for (int64_t key = 0; key < items.keys; key++) {
        for (uint32_t i = 0; i < N_WINDOWS; i++) {
            const struct pane *p = &panes[key][i];
            if (p->rows == 0) continue;
            n_panes++;
            pane_sum += mix((uint64_t)p->key ^ mix((uint64_t)p->begin ^ mix((uint64_t)p->rows ^ mix(p->sum))));
        }
    }
    if (ledger[0].rows != rows || ledger[0].sum != sum || ledger[1].rows != n_panes || ledger[1].sum != pane_sum)
        fail_msg("seed %llu: committed %llu items of %llu, %llu windows of %llu", (unsigned long long)items.seed,
                 (unsigned long long)ledger[0].rows, (unsigned long long)rows, (unsigned long long)ledger[1].rows,
                 (unsigned long long)n_panes);
}

static uint64_t crashes, completed; /* of all runs */

static void begin(struct world *w, uint64_t seed)
{
    reset(seed);
    w->seed = seed;
    w->build = build;
    world_open(w);
}

static void run(uint64_t seed, bool faults, bool at_least_once)
{
    struct world w = {.at_least_once = at_least_once};
    begin(&w, seed);
    world_drive(&w, faults);
    world_commit(&w);
    if (!at_least_once || !w.n_crashes) check_result();
    assert_true(w.n_completed > 0);
    crashes += w.n_crashes;
    completed += w.n_completed;
    world_close(&w);
}

static void checkpoints_change_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS / 4; seed++) run(seed, false, seed % 2);
}

static void crashes_and_other_parallelisms_change_nothing(void **state)
{
    (void)state;
    crashes = completed = 0;
    for (uint64_t seed = 1000; seed < 1000 + SEEDS; seed++) run(seed, true, false);
    assert_true(crashes > SEEDS);
    assert_true(completed > crashes);
}

/* ---- stop and drain --------------------------------------------------------------------------------------------------------------------
 */

/* Runs until something has been read, then to the end of a checkpoint with these options. */
static void run_to(struct world *w, uint32_t options)
{
    for (uint32_t n = 20 + world_draw(w, 40); n > 0; n--) (void)world_step(w);
    world_trigger(w, options);
    while (!world_all_have_it(w)) (void)world_step(w);
}

static void a_stopped_job_goes_on_where_it_stopped(void **state)
{
    (void)state;
    uint32_t n_stopped = 0;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct world w = {0};
        begin(&w, seed);
        run_to(&w, CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP);
        for (uint32_t i = 0; i < 50; i++) (void)world_step(&w); /* nothing moves any more */
        assert_int_equal(world_count_in(&w, SUBTASK_RESTING) + world_count_in(&w, SUBTASK_PREPARED), world_count(&w));
        n_stopped += world_count_in(&w, SUBTASK_RESTING) > 0; /* else it had ended by then */
        world_complete(&w);
        world_commit(&w);
        w.stopping = false;
        world_crash(&w);
        world_drive(&w, false);
        world_commit(&w);
        check_result();
        world_close(&w);
    }
    assert_true(n_stopped >= 3);
}

static void a_stop_that_fails_is_taken_back(void **state)
{
    (void)state;
    struct world w = {0};
    begin(&w, 77);
    run_to(&w, CHECKPOINT_STOP);
    world_abort(&w);
    assert_int_equal(world_count_in(&w, SUBTASK_RESTING), 0);
    world_drive(&w, false);
    world_commit(&w);
    check_result();
    world_close(&w);
}

/* Windows fire, operators finish, once; and after a restore nothing of it happens again. */
static void a_drained_job_is_over(void **state)
{
    (void)state;
    struct world w = {0};
    begin(&w, 5);
    run_to(&w, CHECKPOINT_SAVEPOINT | CHECKPOINT_STOP | CHECKPOINT_DRAIN);
    assert_int_equal(world_count_in(&w, SUBTASK_PREPARED), world_count(&w));
    world_complete(&w);
    world_commit(&w);
    uint64_t rows = ledger[0].rows, panes = ledger[1].rows;
    assert_in_range(rows, 1, (uint64_t)(items.rows * items.senders) - 1); /* it was stopped half-way */
    assert_true(panes > 0);
    w.stopping = false;
    world_crash(&w);
    while (world_count_in(&w, SUBTASK_PREPARED) < world_count(&w)) (void)world_step(&w);
    world_commit(&w);
    assert_int_equal(ledger[0].rows, rows);
    assert_int_equal(ledger[1].rows, panes);
    world_close(&w);
}

/* ---- what goes wrong -------------------------------------------------------------------------------------------------------------------
 */

static struct channel *find_channel(struct world *w, uint32_t id, struct frame_pool **pool)
{
    for (uint32_t i = 0; i < world_count(w); i++) {
        struct subtask *s = world_subtask(w, i);
        for (uint32_t e = 0; e < s->n_edges; e++)
            for (uint32_t c = 0; c < s->edges[e].n_channels; c++) {
                *pool = s->pool;
                if (s->edges[e].channels[c]->id == id) return s->edges[e].channels[c];
            }
    }
    return NULL;
}

/* One frame of any channel: whatever the rows in it are, and though no number is missing. */
static void a_lost_or_doubled_frame_is_seen(void **state)
{
    (void)state;
    uint32_t n_caught = 0;
    for (uint32_t id = 0;; id++) {
        struct world w = {0};
        struct frame_pool *pool;
        uint32_t channel = UINT32_MAX;
        w.parallelism = 2;
        begin(&w, 300 + id);
        struct channel *ch = find_channel(&w, id, &pool);
        if (!ch) {
            world_close(&w);
            break;
        }
        struct channel_fault fault = {.kind = id % 2 ? CHANNEL_DROP : CHANNEL_DOUBLE, .at = 1, .pool = pool};
        ch->fault = &fault;
        for (uint32_t i = 0; i < 5000 && fault.n < fault.at; i++) (void)world_step(&w);
        run_to(&w, 0);
        bool agree = kept_ledgers_agree(w.pending, &channel);
        assert_true(agree == (fault.n == 0)); /* keys that nobody has leave a channel empty */
        if (!agree) assert_int_equal(channel, id);
        n_caught += !agree;
        world_close(&w);
    }
    assert_true(n_caught >= 8);
}

static struct subtask_snapshot *held;
static uint32_t n_held, n_declined;

static void hold(void *owner, struct subtask_snapshot *snapshot)
{
    (void)owner;
    if (snapshot->declined.code) assert_non_null(strstr(snapshot->declined.text, "still being written"));
    n_declined += snapshot->declined.code != WEIR_OK;
    n_held++;
    snapshot->next = held;
    held = snapshot;
}

/* While a snapshot is still being written the next one is declined, in words, and the job goes on. */
static void a_second_snapshot_at_once_is_declined(void **state)
{
    (void)state;
    struct world w = {0};
    struct weir_diag diag = {0};
    begin(&w, 9);
    uint32_t n = world_count(&w);
    for (uint32_t i = 0; i < n; i++) world_subtask(&w, i)->checkpoints.hand_over = hold;
    for (uint64_t id = 1; id <= 2; id++) {
        for (uint32_t i = 0; i < n; i++) subtask_trigger(world_subtask(&w, i), id, 0);
        while (n_held < id * n) (void)world_step(&w);
    }
    assert_true(n_declined > 0 && n_declined <= w.parallelism); /* of the windows' subtasks */
    struct kept *aside;
    assert_int_equal(kept_new(&aside, 1, w.dir.path, &diag), WEIR_OK);
    for (struct subtask_snapshot *s; (s = held);) {
        held = s->next;
        if (s->subtask->slot) (void)slot_copy(s->subtask->slot, UINT64_MAX);
        if (!s->declined.code) assert_int_equal(kept_add(aside, s, &diag), WEIR_OK);
        subtask_settle(s);
    }
    kept_destroy(&aside);
    world_crash(&w); /* whose subtasks hand over as the world wants it */
    w.id = 2;
    memset(ledger, 0, sizeof ledger);
    world_drive(&w, false);
    world_commit(&w);
    check_result();
    world_close(&w);
}

/* The lowest watermark of the subtasks of `windows` that have not finished; WEIR_TIME_MAX: there are none. */
static weir_time windows_stand_at(struct world *w)
{
    weir_time lowest = WEIR_TIME_MAX;
    for (uint32_t i = 0; i < world_count(w); i++) {
        const struct op *head = &world_subtask(w, i)->ops[0];
        if (strcmp(head->spec.id, "windows") == 0 && head->ctx.watermark_ms < lowest) lowest = head->ctx.watermark_ms;
    }
    return lowest;
}

/* Event time begins where it stood, so that what was late is late again (FLINK-36663). */
static void a_restored_operator_stands_at_its_watermark(void **state)
{
    (void)state;
    struct world w = {0};
    begin(&w, 12);
    items.rows = 3000;
    while (windows_stand_at(&w) == WEIR_TIME_MIN) (void)world_step(&w);
    run_to(&w, 0);
    weir_time before = windows_stand_at(&w);
    assert_true(before > WEIR_TIME_MIN && before < WEIR_TIME_MAX);
    world_complete(&w);
    world_crash(&w);
    assert_true(windows_stand_at(&w) > WEIR_TIME_MIN);
    assert_true(windows_stand_at(&w) <= before);
    world_close(&w);
}

/* ---- threads ---------------------------------------------------------------------------------------------------------------------------
 */

/* The same through task threads: triggers, snapshots and commits between threads, while records flow. */
static void threads_take_checkpoints(void **state)
{
    (void)state;
    struct world w = {0};
    struct weir_diag diag = {0};
    reset(21);
    items.rows = 2000;
    temp_dir_make(&w.dir);
    struct kept *kept = NULL;
    local_job_state = (struct deployment_state){.dir = temp_path(&w.dir, "state"), .snapshots = true};
    assert_int_equal(local_job_deploy(&w.job, build, 2, 0, NULL, &diag), WEIR_OK);
    uint32_t n = world_count(&w), n_threads = w.job.d->n_threads, got = 0, n_prepared = 0;
    struct task_thread *threads = w.job.d->threads;
    for (uint32_t i = 0; i < n; i++) world_subtask(&w, i)->checkpoints.on = true;
    for (uint32_t t = 0; t < n_threads; t++) assert_int_equal(task_thread_start(&threads[t], &diag), WEIR_OK);
    uint64_t id = 0;
    for (bool final = false;;) {
        if (!kept) {
            final = n_prepared == n_threads;
            assert_int_equal(kept_new(&kept, ++id, w.dir.path, &diag), WEIR_OK);
            for (uint32_t t = 0; t < n_threads; t++) task_thread_trigger(&threads[t], id, final ? CHECKPOINT_FINAL : 0);
            got = 0;
        }
        wake_prepare(&w.job.d->wake);
        n_prepared = 0;
        for (uint32_t t = 0; t < n_threads; t++) {
            int at = atomic_load(&threads[t].state);
            assert_int_not_equal(at, THREAD_FAILED);
            n_prepared += at == THREAD_PREPARED;
            for (struct subtask_snapshot *taken; (taken = task_thread_take_snapshot(&threads[t])); got++) {
                assert_int_equal(kept_add(kept, taken, &diag), WEIR_OK);
                task_thread_settle(&threads[t], taken);
            }
        }
        if (got < n) {
            wake_wait(&w.job.d->wake, 100000);
            wake_clear(&w.job.d->wake);
            continue;
        }
        wake_clear(&w.job.d->wake);
        uint32_t channel;
        assert_true(kept_ledgers_agree(kept, &channel));
        kept_destroy(&kept);
        for (uint32_t t = 0; t < n_threads; t++) task_thread_complete(&threads[t], id);
        if (final) break;
    }
    for (uint32_t t = 0; t < n_threads; t++) task_thread_command(&threads[t], THREAD_COMMIT);
    for (uint32_t t = 0; t < n_threads; t++) task_thread_join(&threads[t]);
    assert_true(id > 1);
    assert_int_equal(ledger[0].rows, items.rows * items.senders + items.rows / 8 * items.senders);
    world_close(&w);
}

int main(void)
{
    log_init("test", LOG_LEVEL_WARN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoints_change_nothing),
        cmocka_unit_test(crashes_and_other_parallelisms_change_nothing),
        cmocka_unit_test(a_stopped_job_goes_on_where_it_stopped),
        cmocka_unit_test(a_stop_that_fails_is_taken_back),
        cmocka_unit_test(a_drained_job_is_over),
        cmocka_unit_test(a_lost_or_doubled_frame_is_seen),
        cmocka_unit_test(a_second_snapshot_at_once_is_declined),
        cmocka_unit_test(a_restored_operator_stands_at_its_watermark),
        cmocka_unit_test(threads_take_checkpoints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
