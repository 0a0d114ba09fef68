/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sinks write to: a system that keeps transactions, prepared and committed ones, whatever becomes of the workers. A transaction is
 * due from the moment in which a complete checkpoint names it, and may be committed then, any number of times. What is due is at every
 * checkpoint exactly what follows from the items that its sources had read: no more, no less, nothing twice.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "tests/sim/tasks/tasks.h"

#define TRANSACTIONS_MAX 16384u
#define UNITS (TASKS_SOURCES * TASKS_SPLITS_MAX) /* splits of all sources */
#define A_MAX TASKS_KEYS_MAX                     /* first number of a fact is below: a unit or a key */
#define B_MAX (UNITS * TASKS_ROWS_MAX + 1)       /* second one: a sequence number, a count, or a window */
static_assert(UNITS <= A_MAX, "units fit");

struct transaction {
    uint32_t sink, attempt, n;
    bool due, committed, aborted;
    struct fact *facts;
};

static struct {
    uint32_t n;
    struct transaction all[TRANSACTIONS_MAX];
    bool due[FACT_SINKS][A_MAX][B_MAX]; /* facts of due transactions */
    uint32_t n_due[FACT_SINKS];
} outside;

static const char *const sink_names[FACT_SINKS] = {"items", "counts", "panes", "alarms", "pairs"};

#define violate(...) sim_violate(tasks.sim, __VA_ARGS__)

/* ---- transactions ---------------------------------------------------------------------------------------------------------------- */

void outside_end(void)
{
    for (uint32_t i = 0; i < outside.n; i++) free(outside.all[i].facts);
    outside.n = 0;
}

void outside_begin(void)
{
    outside_end();
    memset(outside.due, 0, sizeof outside.due);
    memset(outside.n_due, 0, sizeof outside.n_due);
}

uint64_t outside_prepare(uint32_t sink, uint32_t attempt, const struct fact *facts, uint32_t n)
{
    WEIR_ASSERT(outside.n < TRANSACTIONS_MAX);
    struct transaction *t = &outside.all[outside.n];
    *t = (struct transaction){.sink = sink, .attempt = attempt, .n = n, .facts = malloc(n * sizeof *facts)};
    WEIR_ASSERT(t->facts);
    memcpy(t->facts, facts, n * sizeof *facts);
    return outside.n++;
}

void outside_commit(uint64_t number)
{
    struct transaction *t = &outside.all[number];
    WEIR_ASSERT(number < outside.n);
    if (!t->due)
        violate("early: %s transaction %" PRIu64 " is committed, and no complete checkpoint names it", sink_names[t->sink], number);
    if (t->aborted) violate("lost: %s transaction %" PRIu64 " was aborted before its commit", sink_names[t->sink], number);
    t->committed = true;
}

void outside_abort(uint64_t number)
{
    struct transaction *t = &outside.all[number];
    WEIR_ASSERT(number < outside.n);
    t->aborted = true;
    tasks.n_aborted++;
    if (t->due) violate("lost: %s transaction %" PRIu64 " is aborted, and a complete checkpoint names it", sink_names[t->sink], number);
}

void outside_recover(uint32_t sink, uint32_t attempt, const uint64_t *kept, uint32_t n)
{
    for (uint32_t i = 0; i < outside.n; i++) {
        struct transaction *t = &outside.all[i];
        bool stays = t->sink != sink || t->attempt >= attempt || t->committed;
        for (uint32_t k = 0; k < n && !stays; k++) stays = kept[k] == i;
        if (stays) continue;
        t->aborted = true;
        if (t->due) violate("lost: %s transaction %" PRIu32 " is due, and recover is not told of it", sink_names[sink], i);
    }
}

static void become_due(uint64_t number)
{
    struct transaction *t = &outside.all[number];
    WEIR_ASSERT(number < outside.n);
    if (t->due) return;
    t->due = true;
    if (t->aborted) violate("lost: %s transaction %" PRIu64 " was aborted, and a checkpoint names it", sink_names[t->sink], number);
    for (uint32_t i = 0; i < t->n; i++) {
        const struct fact *f = &t->facts[i];
        if (f->sink != t->sink || f->a < 0 || f->a >= A_MAX || f->b < 0 || f->b >= B_MAX) {
            violate("%s: a fact that cannot be", sink_names[t->sink]);
            return;
        }
        bool *due = &outside.due[t->sink][f->a][f->b];
        if (*due) violate("doubled: %s (%" PRId64 ", %" PRId64 ")", sink_names[t->sink], f->a, f->b);
        *due = true;
        outside.n_due[t->sink]++;
    }
}

/* ---- what is due at a cut -------------------------------------------------------------------------------------------------------- */

struct cut {
    uint32_t read[TASKS_SOURCES][TASKS_SPLITS_MAX]; /* items of each split */
    weir_time panes, alarms;                        /* lowest event time of these operators' subtasks */
    weir_time panes_most, alarms_most;              /* highest */
};

static void note_time(const struct restore_op *op, const char *id, weir_time *least, weir_time *most)
{
    if (strcmp(op->operator_id, id) != 0) return;
    weir_time time_ms = op->finished ? WEIR_TIME_MAX : op->watermark;
    if (time_ms < *least) *least = time_ms;
    if (time_ms > *most) *most = time_ms;
}

static void read_part(const struct kept *part, struct cut *cut)
{
    struct restore r = kept_restore(part);
    for (uint32_t i = 0; i < r.n_splits; i++) {
        const struct snapshot_split *split = &r.splits[i].split;
        uint32_t source = job_source_of(r.splits[i].operator_id);
        cut->read[source][split->index] = split->state == SPLIT_DONE ? job_rows(source) : job_position(split->position);
    }
    for (uint32_t i = 0; i < r.n_ops; i++) {
        const struct restore_op *op = &r.ops[i];
        note_time(op, "panes", &cut->panes, &cut->panes_most);
        note_time(op, "alarms", &cut->alarms, &cut->alarms_most);
        for (uint32_t k = 0; k < op->n_committables; k++) {
            uint64_t number;
            memcpy(&number, op->committables[k].data.data, sizeof number);
            become_due(number);
        }
    }
}

/* Of a fact that follows from the cut, or may (least and most differ), or does not. */
static void expect(enum fact_sink sink, int64_t a, int64_t b, bool must, bool may)
{
    bool due = outside.due[sink][a][b];
    if (must && !due) violate("lost: %s (%" PRId64 ", %" PRId64 ") is not in the checkpoint", sink_names[sink], a, b);
    if (due && !may) violate("early: %s (%" PRId64 ", %" PRId64 ") is in the checkpoint", sink_names[sink], a, b);
}

static void check_items(const struct cut *cut)
{
    int64_t counts[TASKS_KEYS_MAX] = {0};
    for (uint32_t source = 0; source < TASKS_SOURCES; source++)
        for (uint32_t split = 0; split < tasks.input.splits; split++)
            for (uint32_t seq = 0; seq < job_rows(source); seq++) {
                struct item item = job_item(source, split, seq);
                int64_t unit = source * TASKS_SPLITS_MAX + split;
                bool read = seq < cut->read[source][split];
                expect(FACT_ITEMS, unit, seq, read, read);
                weir_time rings = item.time + TASKS_ALARM_MS;
                expect(FACT_ALARMS, unit, seq, read && rings <= cut->alarms, read && rings <= cut->alarms_most);
                bool paired = read && seq < job_rows(1) && seq < cut->read[1 - source][split];
                expect(FACT_PAIRS, split, seq, paired, paired);
                counts[item.key] += read;
            }
    for (int64_t key = 0; key < tasks.input.keys; key++)
        for (int64_t n = 1; n < B_MAX; n++) expect(FACT_COUNTS, key, n, n <= counts[key], n <= counts[key]);
}

/* A window that has fired holds all of its items, in this cut and for ever: none is late. */
static void check_panes(const struct cut *cut)
{
    enum { WINDOWS = TASKS_ROWS_MAX };
    static int64_t rows[TASKS_KEYS_MAX][WINDOWS];
    memset(rows, 0, sizeof rows);
    for (uint32_t source = 0; source < TASKS_SOURCES; source++)
        for (uint32_t split = 0; split < tasks.input.splits; split++)
            for (uint32_t seq = 0; seq < cut->read[source][split]; seq++) {
                struct item item = job_item(source, split, seq);
                rows[item.key][item.time / TASKS_WINDOW_MS]++;
            }
    for (int64_t key = 0; key < tasks.input.keys; key++)
        for (int64_t w = 0; w < WINDOWS; w++) {
            weir_time fires = (w + 1) * TASKS_WINDOW_MS - 1;
            expect(FACT_PANES, key, w, rows[key][w] && fires <= cut->panes, rows[key][w] && fires <= cut->panes_most);
        }
    for (uint32_t i = 0; i < outside.n; i++) {
        const struct transaction *t = &outside.all[i];
        for (uint32_t k = 0; t->due && t->sink == FACT_PANES && k < t->n; k++)
            if (t->facts[k].value != rows[t->facts[k].a][t->facts[k].b])
                violate("wrong: the window %" PRId64 " of key %" PRId64 " counts %" PRId64 " items of %" PRId64, t->facts[k].b,
                        t->facts[k].a, t->facts[k].value, rows[t->facts[k].a][t->facts[k].b]);
    }
}

void outside_complete(const struct kept *const *parts, uint32_t n)
{
    struct cut cut = {.panes = WEIR_TIME_MAX, .alarms = WEIR_TIME_MAX, .panes_most = WEIR_TIME_MIN, .alarms_most = WEIR_TIME_MIN};
    for (uint32_t i = 0; i < n; i++) read_part(parts[i], &cut);
    check_items(&cut);
    check_panes(&cut);
}

void outside_finished(bool stopped)
{
    for (uint32_t i = 0; i < outside.n; i++) {
        const struct transaction *t = &outside.all[i];
        if (t->due && !t->committed)
            violate("lost: %s transaction %" PRIu32 " is due, and the job ended without its commit", sink_names[t->sink], i);
    }
    uint32_t all = tasks.input.splits * (job_rows(0) + job_rows(1));
    if (!stopped && (outside.n_due[FACT_ITEMS] != all || outside.n_due[FACT_COUNTS] != all || outside.n_due[FACT_ALARMS] != all))
        violate("lost: the job has finished, and of %" PRIu32 " items %" PRIu32 " are visible, %" PRIu32 " counted, %" PRIu32 " rung", all,
                outside.n_due[FACT_ITEMS], outside.n_due[FACT_COUNTS], outside.n_due[FACT_ALARMS]);
}
