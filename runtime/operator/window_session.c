/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session windows: an accumulator per key and run of records whose distance does not exceed the gap.
 *
 * State: a table from key to its newest session, and a map with the others, which few keys have; in order of time they are further apart
 * than the gap. A record that prolongs the newest session and touches no other costs one probe, a batch at a time, and an edit in place.
 * For anything else the key's sessions are read, changed and written back as a whole: a record joins the session it touches, or two and
 * makes them one, or begins one.
 *
 * A session is due at last + gap, and over at due + lateness. The key is noted in a calendar (window_due.h) for the earliest of these times
 * or before: they only grow, so a record that prolongs a session does not touch it. When that time has come, the real one decides: fire, or
 * note it anew. So sessions fire in order of their due times. Those due at the end of all time are not noted; the watermark of the end of
 * the input fires them by a scan.
 *
 * With a trigger a session also has what came since its last firing, and an early timer, whose tag is the session's place; every record
 * then takes the long way. Sessions that become one have the earlier one's timer.
 *
 * Processing time: the same, with the clock as time, but for the calendar: each key has a timer for the time it is noted for. A session
 * whose timer is late fires before it could take a record.
 *
 * Late is a record that joins no open session and whose own would be over already: it is counted and passed on to output 1 as it came. A
 * record that is not late and leaves its session due fires it at once.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/operator/window_due.h"
#include "runtime/operator/window_early.h"
#include "runtime/operator/window_fold.h"
#include "runtime/operator/window_progress.h"
#include "runtime/operator/window_time.h"

#define NOT_NOTED WEIR_TIME_MAX
#define END_TAG ((uint64_t)INT64_MIN) /* of a timer by the clock: no session has this place */
#define SESSIONS_FIRST 8u             /* of one key in scratch */
#define BUCKETS_A_GAP 16              /* of the calendar */

/* Behind it: with a trigger a struct early, and the accumulator. */
struct session {
    weir_time first;
    weir_time last;
    int64_t place; /* of its rows; its key in the map */
    uint64_t fired;
};

struct early {
    uint64_t since;     /* records after the last firing */
    weir_time timer_ms; /* valid when has_timer */
    uint64_t has_timer;
};

/* Value of the table. Zeros: no session yet. */
struct owner {
    uint32_t n;           /* open sessions: the newest and n - 1 in the map */
    uint32_t n_places;    /* given out so far */
    weir_time noted_ms;   /* in the calendar; NOT_NOTED */
    weir_time before_due; /* due time of the last session before the newest, when n > 1 */
    struct session newest;
};

struct sessions {
    struct window_fold fold;
    struct window_progress progress;
    struct window_due due;
    int64_t gap_ms;
    int64_t lateness_ms;
    bool by_clock;
    weir_time now;                      /* of this batch, by the clock */
    const struct weir_trigger *trigger; /* NULL: none */
    size_t acc_at;                      /* in a session */
    size_t session_size;
    struct weir_panes *panes;
    struct weir_table *table;
    struct weir_state *others;
    uint64_t cursor;        /* of the scan at the end of the input */
    unsigned char *scratch; /* the sessions of one key, ascending */
    uint32_t n_scratch, cap_scratch;
    uint32_t n_pending; /* records found, not yet added to their accumulators */
    uint32_t n_late;
    uint32_t idx[WEIR_BATCH_MAX]; /* pending records ... */
    void *accs[WEIR_BATCH_MAX];   /* ... and their accumulators */
    void *owners[WEIR_BATCH_MAX]; /* of the records that cannot be late, in order */
    uint32_t sure[WEIR_BATCH_MAX];
    uint32_t late[WEIR_BATCH_MAX];
};

static void *acc_of(const struct sessions *op, struct session *s)
{
    return (unsigned char *)s + op->acc_at;
}

/* Only with a trigger. */
static struct early *early_of(struct session *s)
{
    return (struct early *)(s + 1);
}

/* What it had has been shown and purged. */
static bool is_empty(const struct sessions *op, struct session *s)
{
    return op->trigger && op->trigger->purge && early_of(s)->since == 0;
}

static weir_time due_of(const struct sessions *op, const struct session *s)
{
    return window_after(s->last, op->gap_ms);
}

static weir_time over_at(const struct sessions *op, const struct session *s)
{
    return window_after(due_of(op, s), op->lateness_ms);
}

static weir_time time_of(const struct sessions *op, const struct weir_batch *batch, uint32_t i)
{
    return op->by_clock ? op->now : weir_batch_record(batch, i)->time_ms;
}

/* What is due by then has fired, or does before anything else. Reads the clock. */
static weir_time passed_now(struct sessions *op, struct weir_ctx *ctx)
{
    if (!op->by_clock) return window_progress_passed(&op->progress, ctx);
    op->now = weir_now_ms(ctx);
    return window_before(op->now, 1);
}

/* ---- life ---------------------------------------------------------------------------------------------------------------------------- */

static weir_err no_memory(struct weir_ctx *ctx)
{
    return weir_fail(ctx->diag, WEIR_E_NOMEM, "%s: out of memory for a session", ctx->operator_id);
}

static weir_err open_state(struct sessions *op, struct weir_ctx *ctx)
{
    const struct weir_state_desc newest = {.struct_size = sizeof newest,
                                           .name = "sessions",
                                           .value_size = (uint32_t)(sizeof(struct owner) - sizeof(struct session) + op->session_size)};
    const struct weir_state_desc others = {.struct_size = sizeof others, .name = "more-sessions", .value_size = (uint32_t)op->session_size};
    weir_err err = weir_panes_open(ctx, &newest, &op->panes);
    if (!err) err = weir_panes_table(ctx, op->panes, 0, &op->table);
    if (!err) err = weir_map_open(ctx, &others, &op->others);
    if (!err) err = window_due_open(&op->due, ctx, op->gap_ms / BUCKETS_A_GAP + 1);
    return err ? err : window_progress_open(&op->progress, ctx);
}

static weir_err session_open(void *self, struct weir_ctx *ctx)
{
    struct sessions *op = self;
    const struct window_config *config = ctx->config;
    if (config->window.gap_ms <= 0)
        return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "%s: a session window needs a gap above 0", ctx->operator_id);
    op->gap_ms = config->window.gap_ms;
    op->lateness_ms = config->window.allowed_lateness_ms;
    op->by_clock = config->window.domain == WEIR_PROCESSING_TIME;
    op->trigger = config->window.trigger;
    weir_err err = window_fold_open(&op->fold, ctx, config);
    if (err) return err;
    const struct weir_aggregate *aggregate = op->fold.aggregate;
    if (!aggregate->merge)
        return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "%s: sessions need an aggregate with a merge function, '%s' has none",
                         ctx->operator_id, aggregate->name);
    op->acc_at = sizeof(struct session) + (op->trigger ? sizeof(struct early) : 0);
    op->session_size = (op->acc_at + aggregate->acc_size + 7u) & ~(size_t)7u;
    return open_state(op, ctx);
}

static void session_close(void *self, struct weir_ctx *ctx)
{
    struct sessions *op = self;
    (void)ctx;
    window_fold_close(&op->fold);
    window_due_close(&op->due);
    free(op->scratch);
    op->scratch = NULL;
}

/* ---- the sessions of a key, in scratch ------------------------------------------------------------------------------------------------
 */

static struct session *at(const struct sessions *op, uint32_t i)
{
    return (struct session *)(void *)(op->scratch + i * op->session_size);
}

/* Room for one more session; NULL: no memory. What lies there moves. */
static bool reserve_scratch(struct sessions *op)
{
    if (op->n_scratch < op->cap_scratch) return true;
    uint32_t cap = op->cap_scratch ? op->cap_scratch * 2 : SESSIONS_FIRST;
    unsigned char *grown = realloc(op->scratch, cap * op->session_size);
    if (!grown) return false;
    op->scratch = grown;
    op->cap_scratch = cap;
    return true;
}

/* Makes room at place `i`, zeroed. */
static struct session *insert(struct sessions *op, uint32_t i)
{
    if (!reserve_scratch(op)) return NULL;
    struct session *s = at(op, i);
    memmove(at(op, i + 1), s, (op->n_scratch++ - i) * op->session_size);
    return memset(s, 0, op->session_size);
}

static void erase(struct sessions *op, uint32_t i)
{
    memmove(at(op, i), at(op, i + 1), (--op->n_scratch - i) * op->session_size);
}

/* Index of the first session that begins behind t. */
static uint32_t first_behind(const struct sessions *op, weir_time t)
{
    uint32_t i = op->n_scratch;
    while (i && at(op, i - 1)->first > t) i--;
    return i;
}

/* Reads the current key's sessions. */
static weir_err load(struct sessions *op, struct weir_ctx *ctx, const struct owner *o)
{
    uint64_t cursor = 0;
    struct weir_bytes place, value;
    op->n_scratch = 0;
    while (o->n > 1 && weir_map_next(ctx, op->others, &cursor, &place, &value)) {
        struct session head; /* values that come from RocksDB lie anywhere */
        memcpy(&head, value.data, sizeof head);
        struct session *copy = insert(op, first_behind(op, head.first));
        if (!copy) return no_memory(ctx);
        memcpy(copy, value.data, op->session_size);
    }
    if (o->n == 0) return WEIR_OK;
    struct session *newest = insert(op, op->n_scratch);
    if (!newest) return no_memory(ctx);
    memcpy(newest, &o->newest, op->session_size);
    return WEIR_OK;
}

static weir_err put_other(struct sessions *op, struct weir_ctx *ctx, const struct session *s)
{
    return weir_map_put(ctx, op->others, (struct weir_bytes){&s->place, sizeof s->place}, s, (uint32_t)op->session_size);
}

static weir_err remove_other(struct sessions *op, struct weir_ctx *ctx, int64_t place)
{
    return weir_map_remove(ctx, op->others, (struct weir_bytes){&place, sizeof place});
}

/* Makes the last one in scratch the newest. What was the newest before and is not any more goes to the map. */
static weir_err store(struct sessions *op, struct weir_ctx *ctx, struct owner *o)
{
    uint32_t n = op->n_scratch;
    const struct session *newest = at(op, n - 1);
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i + 1 < n && !err; i++) err = put_other(op, ctx, at(op, i));
    if (!err && o->n > 1) err = remove_other(op, ctx, newest->place); /* if it was there */
    if (err) return err;
    memcpy(&o->newest, newest, op->session_size);
    o->n = n;
    if (n > 1) o->before_due = due_of(op, at(op, n - 2));
    return WEIR_OK;
}

/* ---- the calendar ----------------------------------------------------------------------------------------------------------------------
 */

/* When something is to be done with a session. */
static weir_time next_event(const struct sessions *op, const struct session *s)
{
    return s->fired ? over_at(op, s) : due_of(op, s);
}

/* Has the current key noted for `time` at the latest. */
static weir_err note_by(struct sessions *op, struct weir_ctx *ctx, struct owner *o, weir_time time)
{
    if (time >= o->noted_ms) return WEIR_OK;
    o->noted_ms = time;
    return op->by_clock ? weir_timer_set(ctx, WEIR_PROCESSING_TIME, window_end(time), END_TAG) : window_due_set(&op->due, ctx, time);
}

static weir_err note_earliest(struct sessions *op, struct weir_ctx *ctx, struct owner *o)
{
    weir_time earliest = NOT_NOTED;
    for (uint32_t i = 0; i < op->n_scratch; i++) {
        weir_time event = next_event(op, at(op, i));
        if (event < earliest) earliest = event;
    }
    return note_by(op, ctx, o, earliest);
}

/* ---- results --------------------------------------------------------------------------------------------------------------------------
 */

static weir_err emit(struct sessions *op, struct weir_ctx *ctx, const struct weir_key *key, struct session *s)
{
    const struct window_places places = {&s->place, 1};
    if (is_empty(op, s)) return WEIR_OK;
    weir_err err = window_fold_emit(&op->fold, ctx, key, acc_of(op, s), s->first, window_end(due_of(op, s)), places);
    if (err || !op->trigger) return err;
    early_of(s)->since = 0;
    if (!op->trigger->purge) return WEIR_OK;
    memset(acc_of(op, s), 0, op->fold.aggregate->acc_size);
    return window_fold_clear(&op->fold, ctx, key, s->place);
}

/* ---- records that take the long way -----------------------------------------------------------------------------------------------------
 */

static weir_err add_pending(struct sessions *op, struct weir_ctx *ctx, const struct weir_batch *batch)
{
    weir_err err = WEIR_OK;
    if (op->n_pending) err = window_fold_add(&op->fold, ctx, op->accs, batch, op->idx, op->n_pending, 0);
    op->n_pending = 0;
    return err;
}

/* Makes session i + 1 part of session i. */
static weir_err merge_next(struct sessions *op, struct weir_ctx *ctx, const struct weir_key *key, uint32_t i)
{
    struct session *left = at(op, i), *right = at(op, i + 1);
    weir_err err = window_fold_move(&op->fold, ctx, key, right->place, left->place);
    if (!err) err = remove_other(op, ctx, right->place); /* if it was there */
    if (err) return err;
    if (is_empty(op, left))
        memcpy(acc_of(op, left), acc_of(op, right), op->fold.aggregate->acc_size);
    else if (!is_empty(op, right))
        op->fold.aggregate->merge(acc_of(op, left), acc_of(op, right));
    if (op->trigger) early_of(left)->since += early_of(right)->since;
    left->last = right->last;
    erase(op, i + 1);
    return WEIR_OK;
}

/* A session takes records up to the gap away, until it is over; also when its result still waits to be emitted. */
static bool takes(const struct sessions *op, const struct session *s, weir_time t, weir_time passed)
{
    return s->first <= window_after(t, op->gap_ms) && due_of(op, s) >= t && over_at(op, s) > passed;
}

/* Gives the session in scratch that a record at t belongs to, prolonged, merged or new; NULL for a late record. */
static weir_err join(struct sessions *op, struct weir_ctx *ctx, struct owner *o, const struct weir_key *key, weir_time t, weir_time passed,
                     struct session **out)
{
    uint32_t i = first_behind(op, window_after(t, op->gap_ms));
    bool right = i > 0 && takes(op, at(op, i - 1), t, passed);
    *out = NULL;
    if (!right) {
        if (window_after(window_after(t, op->gap_ms), op->lateness_ms) <= passed) return WEIR_OK;
        struct session *s = insert(op, i);
        if (!s) return no_memory(ctx);
        *s = (struct session){.first = t, .last = t, .place = o->n_places++};
        *out = s;
        return WEIR_OK;
    }
    struct session *s = at(op, i - 1);
    if (t < s->first) s->first = t;
    if (t > s->last) s->last = t;
    *out = s;
    if (i < 2 || !takes(op, at(op, i - 2), t, passed)) return WEIR_OK;
    *out = at(op, i - 2);
    return merge_next(op, ctx, key, i - 2);
}

/* Sets the early timer of the current key's session after a record at t, unless it has ended. */
static weir_err set_timer(struct sessions *op, struct weir_ctx *ctx, struct session *s, weir_time t, weir_time passed)
{
    struct early *e = early_of(s);
    bool by_clock = op->trigger->early_domain == WEIR_PROCESSING_TIME;
    if (!op->trigger->early_ms || e->has_timer) return WEIR_OK;
    if (due_of(op, s) <= passed && !(by_clock && op->trigger->early_only)) return WEIR_OK;
    e->has_timer = 1;
    e->timer_ms = window_early_at(op->trigger, ctx, t, passed);
    return weir_timer_set(ctx, op->trigger->early_domain, e->timer_ms, (uint64_t)s->place);
}

/* After record i has been added to its session. */
static weir_err fire_by_record(struct sessions *op, struct weir_ctx *ctx, const struct weir_batch *batch, struct session *s, uint32_t i,
                               weir_time passed)
{
    bool ended = due_of(op, s) <= passed, fires = ended;
    s->fired = op->lateness_ms && ended;
    if (op->trigger) fires = window_fires(op->trigger, ++early_of(s)->since, ended);
    if (fires) return emit(op, ctx, &ctx->keys[i], s);
    return op->trigger ? set_timer(op, ctx, s, time_of(op, batch, i), passed) : WEIR_OK;
}

/* Adds record i whatever its key's sessions are. */
static weir_err take_slowly(struct sessions *op, struct weir_ctx *ctx, const struct weir_batch *batch, struct owner *o, uint32_t i,
                            weir_time passed)
{
    const struct weir_key *key = &ctx->keys[i];
    struct session *s;
    weir_err err = add_pending(op, ctx, batch); /* accumulators must be whole before they move */
    weir_set_key(ctx, i);
    if (o->n == 0) o->noted_ms = NOT_NOTED;
    if (!err) err = load(op, ctx, o);
    if (!err) err = join(op, ctx, o, key, time_of(op, batch, i), passed, &s);
    if (err) return err;
    if (!s) {
        op->late[op->n_late++] = i;
        return WEIR_OK;
    }
    void *acc = acc_of(op, s);
    err = window_fold_add(&op->fold, ctx, &acc, batch, &i, 1, s->place);
    weir_set_key(ctx, i);
    if (!err) err = fire_by_record(op, ctx, batch, s, i, passed);
    weir_set_key(ctx, i);
    if (!err) err = store(op, ctx, o);
    return err ? err : note_earliest(op, ctx, o);
}

/* ---- records --------------------------------------------------------------------------------------------------------------------------
 */

/* The newest session alone takes a record at t. */
static bool prolongs_newest(const struct sessions *op, const struct owner *o, weir_time t, weir_time passed)
{
    const struct session *s = &o->newest;
    return o->n && !s->fired && due_of(op, s) > passed && s->first <= window_after(t, op->gap_ms) && due_of(op, s) >= t &&
           (o->n == 1 || t > o->before_due);
}

/* The first session of a key that has none. */
static weir_err begin(struct sessions *op, struct weir_ctx *ctx, struct owner *o, uint32_t i, weir_time t)
{
    o->n = 1;
    o->n_places = 1;
    o->noted_ms = NOT_NOTED;
    o->newest.first = o->newest.last = t;
    weir_set_key(ctx, i);
    return note_by(op, ctx, o, due_of(op, &o->newest));
}

static weir_err take(struct sessions *op, struct weir_ctx *ctx, const struct weir_batch *batch, struct owner *o, uint32_t i,
                     weir_time passed)
{
    weir_time t = time_of(op, batch, i);
    struct session *s = &o->newest;
    if (op->trigger) return take_slowly(op, ctx, batch, o, i, passed);
    if (prolongs_newest(op, o, t, passed)) {
        if (t < s->first) s->first = t;
        if (t > s->last) s->last = t;
    } else if (o->n == 0 && window_after(t, op->gap_ms) > passed) {
        weir_err err = begin(op, ctx, o, i, t);
        if (err) return err;
    } else {
        return take_slowly(op, ctx, batch, o, i, passed);
    }
    if (op->fold.keeps_rows) {
        void *acc = acc_of(op, s);
        return window_fold_add(&op->fold, ctx, &acc, batch, &i, 1, s->place);
    }
    op->idx[op->n_pending] = i;
    op->accs[op->n_pending++] = acc_of(op, s);
    return WEIR_OK;
}

/* A session of the record alone would not be over. */
static bool is_sure(const struct sessions *op, weir_time t, weir_time passed)
{
    return window_after(window_after(t, op->gap_ms), op->lateness_ms) > passed;
}

/* Sure records get their owners in one probe. The others may be late, and then must leave no entry behind. */
static weir_err probe_sure(struct sessions *op, struct weir_ctx *ctx, const struct weir_batch *batch, weir_time passed)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        weir_time t = time_of(op, batch, i);
        if (t == WEIR_TIME_MIN)
            return weir_fail(ctx->diag, WEIR_E_USER, "%s: record without event time: assign timestamps before the window",
                             ctx->operator_id);
        if (is_sure(op, t, passed)) op->sure[n++] = i;
    }
    if (n == 0) return WEIR_OK;
    return weir_table_probe(ctx, op->table, n == batch->count ? NULL : op->sure, n, op->owners);
}

/* ---- firing ----------------------------------------------------------------------------------------------------------------------------
 */

/* Drops session i of those in scratch, and its rows. */
static weir_err drop(struct sessions *op, struct weir_ctx *ctx, const struct weir_key *key, const struct owner *o, uint32_t i)
{
    int64_t place = at(op, i)->place;
    weir_err err = window_fold_clear(&op->fold, ctx, key, place);
    if (!err && o->n > 1) err = remove_other(op, ctx, place); /* if it is there */
    erase(op, i);
    return err;
}

/* Does what is to be done with the current key's sessions until `now`. */
static weir_err settle(struct sessions *op, struct weir_ctx *ctx, const struct weir_key *key, const struct owner *o, weir_time now)
{
    weir_err err = load(op, ctx, o);
    for (uint32_t i = 0; i < op->n_scratch && !err;) {
        struct session *s = at(op, i);
        if (!s->fired && due_of(op, s) <= now) {
            if (!op->trigger || !op->trigger->early_only) err = emit(op, ctx, key, s);
            s->fired = 1;
        }
        if (!err && s->fired && over_at(op, s) <= now)
            err = drop(op, ctx, key, o, i);
        else
            i++;
    }
    return err;
}

/* The session of the key of a timer that is its early one and comes before its end. */
static struct session *find_early(struct sessions *op, const struct weir_timer *timer, weir_time passed)
{
    for (uint32_t i = 0; i < op->n_scratch; i++) {
        struct session *s = at(op, i);
        struct early *e = early_of(s);
        if (s->place != (int64_t)timer->tag || !e->has_timer || e->timer_ms != timer->time_ms) continue;
        e->has_timer = 0;
        if (op->trigger->early_domain == WEIR_PROCESSING_TIME) return due_of(op, s) > passed || op->trigger->early_only ? s : NULL;
        return due_of(op, s) > timer->time_ms ? s : NULL;
    }
    return NULL;
}

static weir_err fire_early(struct sessions *op, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct owner *o = weir_table_find(ctx, op->table, timer->key);
    if (!o || o->n == 0) return WEIR_OK;
    weir_err err = load(op, ctx, o);
    if (err || op->n_scratch == 0) return err;
    struct session *s = find_early(op, timer, passed_now(op, ctx));
    if (s && early_of(s)->since) err = emit(op, ctx, timer->key, s);
    return err ? err : store(op, ctx, o);
}

/* For window_due_pop: when the key's sessions are due, if that is in the bucket; else they are noted anew. */
static bool due_in_bucket(void *self, struct weir_ctx *ctx, const struct weir_key *key, int64_t bucket, weir_time *time, weir_err *err)
{
    struct sessions *op = self;
    struct owner *o = weir_table_find(ctx, op->table, key);
    if (!o || o->noted_ms == NOT_NOTED || window_due_bucket(&op->due, o->noted_ms) != bucket) return false;
    if (o->n == 1) o->noted_ms = next_event(op, &o->newest); /* it may have been prolonged */
    *time = o->noted_ms;
    if (*time != NOT_NOTED && window_due_bucket(&op->due, *time) == bucket) return true;
    ctx->keys = key;
    ctx->key_index = 0;
    *err = *time == NOT_NOTED ? WEIR_OK : window_due_set(&op->due, ctx, *time);
    return false;
}

/* Fires what the current key has due at `time`. */
static weir_err fire_key(struct sessions *op, struct weir_ctx *ctx, const struct weir_key *key, weir_time time)
{
    struct owner *o = weir_table_find(ctx, op->table, key);
    if (!o || o->noted_ms != time) return WEIR_OK;
    o->noted_ms = NOT_NOTED;
    weir_time event = next_event(op, &o->newest);
    if (o->n == 1 && event > time) return note_by(op, ctx, o, event); /* prolonged since */
    weir_err err = settle(op, ctx, key, o, time);
    if (err) return err;
    if (op->n_scratch == 0) {
        weir_table_remove(ctx, op->table, key);
        return WEIR_OK;
    }
    err = store(op, ctx, o);
    return err ? err : note_earliest(op, ctx, o);
}

/* By the clock: what a record of the batch finds due fires first. */
static weir_err fire_overdue(struct sessions *op, struct weir_ctx *ctx, const struct weir_batch *batch, weir_time passed)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < batch->count && !err; i++) {
        struct owner *o;
        weir_set_key(ctx, i);
        while (!err && (o = weir_table_find(ctx, op->table, &ctx->keys[i])) && o->n && o->noted_ms <= passed)
            err = fire_key(op, ctx, &ctx->keys[i], o->noted_ms);
    }
    return err;
}

static weir_err session_on_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct sessions *op = self;
    if (timer->tag == END_TAG) return fire_key(op, ctx, timer->key, window_before(timer->time_ms, 1));
    return fire_early(op, ctx, timer);
}

/* Fires all that is due until `passed`. With `pauses` it may return WEIR_AGAIN: call again. */
static weir_err fire_due(struct sessions *op, struct weir_ctx *ctx, weir_time passed, bool pauses)
{
    const struct weir_key *keys = ctx->keys;
    struct weir_key key;
    weir_time time;
    bool found = true;
    weir_err err = WEIR_OK;
    while (!err && found) {
        err = window_due_pop(&op->due, ctx, passed, due_in_bucket, op, &key, &time, &found);
        if (err == WEIR_AGAIN && !pauses) {
            err = WEIR_OK;
            found = true;
            continue;
        }
        if (err || !found) break;
        ctx->keys = &key;
        ctx->key_index = 0;
        err = fire_key(op, ctx, &key, time);
        if (!err && pauses && weir_should_yield(ctx)) err = WEIR_AGAIN;
    }
    ctx->keys = keys;
    return err;
}

/* All that is left fires. */
static weir_err end_input(struct sessions *op, struct weir_ctx *ctx)
{
    struct weir_key key;
    void *owner;
    weir_err err = WEIR_OK;
    const struct weir_key *keys = ctx->keys;
    while (!err && weir_table_next(ctx, op->table, &op->cursor, &key, &owner)) {
        ctx->keys = &key;
        ctx->key_index = 0;
        err = settle(op, ctx, &key, owner, WEIR_TIME_MAX);
        weir_table_remove(ctx, op->table, &key);
        if (!err && weir_should_yield(ctx)) err = WEIR_AGAIN;
    }
    ctx->keys = keys;
    return err;
}

static weir_err session_on_watermark(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct sessions *op = self;
    if (op->by_clock && watermark_ms != WEIR_TIME_MAX) return WEIR_OK;
    weir_err err = op->by_clock ? WEIR_OK : fire_due(op, ctx, watermark_ms, true);
    if (!err && watermark_ms == WEIR_TIME_MAX) err = end_input(op, ctx);
    if (err) return err;
    op->cursor = 0;
    return window_progress_note(&op->progress, ctx, watermark_ms);
}

/* ---- batches ---------------------------------------------------------------------------------------------------------------------- */

static weir_err session_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct sessions *op = self;
    (void)input; /* one input */
    weir_time passed = passed_now(op, ctx);
    weir_err err = WEIR_OK;
    /* Sessions that are due take nothing in, wherever their results wait to be taken. */
    if (op->by_clock)
        err = fire_overdue(op, ctx, batch, passed);
    else if (passed > op->progress.passed)
        err = fire_due(op, ctx, passed, false);
    if (!err) err = probe_sure(op, ctx, batch, passed);
    op->n_pending = op->n_late = 0;
    for (uint32_t i = 0, n_sure = 0; i < batch->count && !err; i++) {
        bool sure = is_sure(op, time_of(op, batch, i), passed);
        struct owner *o = sure ? op->owners[n_sure++] : weir_table_find(ctx, op->table, &ctx->keys[i]);
        if (o)
            err = take(op, ctx, batch, o, i, passed);
        else
            op->late[op->n_late++] = i;
    }
    if (!err) err = add_pending(op, ctx, batch);
    /* Last: what is downstream may edit these records. */
    return err || op->n_late == 0 ? err : window_pass_late(ctx, batch, op->late, op->n_late);
}

/* The late output carries the input's rows: the builder puts the aggregate's schemas in place of these. */
static const struct weir_schema *const sides[] = {NULL};

const struct weir_operator window_session_operator = {
    .struct_size = sizeof(struct weir_operator),
    .name = "session-window",
    .self_size = sizeof(struct sessions),
    .sides = sides,
    .n_sides = 1,
    .flags = WEIR_OPERATOR_KEYED,
    .open = session_open,
    .process = session_process,
    .on_watermark = session_on_watermark,
    .on_timer = session_on_timer,
    .close = session_close,
};
