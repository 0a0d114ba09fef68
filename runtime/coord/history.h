/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log as the core sees it: not its bytes but its shape. Since counters have no gap and a zxid names one history, the last counter of
 * each epoch (a span) says of any zxid whether the log holds it; two lists of spans give the last point that two logs have in common.
 *
 *     base of the log ── floor ─────────── window ───────── last
 *                        │ can be read from the disk │ lies in memory, too
 *
 * The shape is that of the disk *after* all writes on their way, which the disk performs in order. So nothing here ever runs ahead of what
 * a later write builds upon (ZOOKEEPER-5094, -3642, -2845).
 *
 * Embedded value. Owner: the core.
 */
#ifndef WEIR_RUNTIME_COORD_HISTORY_H
#define WEIR_RUNTIME_COORD_HISTORY_H

#include "runtime/coord/zxid.h"
#include "weir/row.h"

#define ZAB_SPANS_MAX 256u /* epochs remembered; beyond, the oldest is forgotten and the floor rises (a far laggard gets a snapshot) */

enum zab_entry_kind { ZAB_ENTRY_DATA = 0, ZAB_ENTRY_MEMBERS = 1 };

struct zab_entry {
    struct zxid zxid;
    struct zxid prev; /* of the entry before it: every append and every transfer checks for gaps */
    enum zab_entry_kind kind;
    struct weir_bytes bytes;
};

struct zab_span {
    uint64_t epoch, last; /* the log holds (epoch, counter) up to `last` */
};

struct history {
    struct zxid floor; /* entries above it are on disk one by one */
    struct zxid last;
    uint32_t n_spans;
    struct zab_span spans[ZAB_SPANS_MAX]; /* ascending; the first holds the floor, the last holds `last` */

    struct zab_entry *ring; /* the window: a run that ends with `last`; each entry's bytes are malloc'ed */
    uint32_t cap, head, count;
    uint64_t bytes, limit; /* of the window; what exceeds the limit goes with history_trim */
};

void history_init(struct history *h, uint64_t window_bytes);
void history_close(struct history *h);

/* An empty log above `base`: after recovery of a snapshot, or its installation. */
void history_reset(struct history *h, struct zxid base);
/* The shape alone, while the log is read at the start. `zxid` must follow `last`. */
void history_note(struct history *h, struct zxid zxid);
/* `entry` must follow `last`; its bytes are copied into the window. false: no memory, nothing changed. */
bool history_append(struct history *h, const struct zab_entry *entry);
/*
 * Drops the oldest of the window beyond its limit, up to `to`. Apart from append, so that what a step has lent out stays valid until the
 * next one.
 */
void history_trim(struct history *h, struct zxid to);
void history_truncate(struct history *h, struct zxid to); /* `to` must be held */
void history_raise_floor(struct history *h, struct zxid floor);

bool history_holds(const struct history *h, struct zxid zxid);
/* The entry behind `zxid`, borrowed until the next change; NULL: not in the window (or there is none). */
const struct zab_entry *history_after(const struct history *h, struct zxid zxid);
/* The last point in common with a log of these spans (ascending); false: none that this log can serve from. */
bool history_common(const struct history *h, const struct zab_span *spans, uint32_t n, struct zxid *out);

#endif
