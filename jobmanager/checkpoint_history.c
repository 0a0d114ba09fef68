/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/checkpoint_history.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/wire/message.h"

const char *ckpt_cause_name(enum ckpt_cause cause)
{
    switch (cause) {
    case CKPT_CAUSE_NONE: return "";
    case CKPT_CAUSE_EXPIRED: return "expired";
    case CKPT_CAUSE_DECLINED: return "declined";
    case CKPT_CAUSE_STORAGE: return "storage failure";
    case CKPT_CAUSE_CATALOG: return "catalog failure";
    case CKPT_CAUSE_LEDGER: return "ledger mismatch";
    case CKPT_CAUSE_STOPPED: return "attempt ended";
    }
    return "?";
}

const char *ckpt_status_name(enum ckpt_status status)
{
    switch (status) {
    case CKPT_IN_PROGRESS: return "IN_PROGRESS";
    case CKPT_COMPLETED: return "COMPLETED";
    case CKPT_FAILED: return "FAILED";
    }
    return "?";
}

struct ckpt_stat *ckpt_history_begin(struct ckpt_history *h, const struct ckpt_stat *stat)
{
    WEIR_ASSERT(h->n == 0 || h->recent[h->n - 1].status != CKPT_IN_PROGRESS);
    if (h->n == CKPT_HISTORY_MAX) {
        h->n--;
        memmove(&h->recent[0], &h->recent[1], h->n * sizeof h->recent[0]);
    }
    h->recent[h->n] = *stat;
    h->n_total++;
    return &h->recent[h->n++];
}

static void spread_add(struct ckpt_spread *s, uint64_t value)
{
    if (s->n == 0 || value < s->least) s->least = value;
    if (value > s->most) s->most = value;
    s->sum += value;
    s->n++;
}

static void count_completed(struct ckpt_history *h, const struct ckpt_stat *stat)
{
    h->n_completed++;
    if (stat->options & CHECKPOINT_SAVEPOINT)
        h->savepoint = *stat;
    else
        h->completed = *stat;
    spread_add(&h->duration_ms, (uint64_t)stat->duration_ms);
    spread_add(&h->state_bytes, stat->state_bytes);
    spread_add(&h->new_bytes, stat->new_bytes);
}

void ckpt_history_end(struct ckpt_history *h, enum ckpt_status status, int64_t now_ms, int64_t began_ms, int64_t wall_ms)
{
    WEIR_ASSERT(h->n > 0);
    struct ckpt_stat *stat = &h->recent[h->n - 1];
    WEIR_ASSERT(stat->status == CKPT_IN_PROGRESS);
    stat->status = status;
    stat->duration_ms = now_ms - began_ms;
    stat->end_wall_ms = wall_ms;
    if (status == CKPT_COMPLETED) {
        count_completed(h, stat);
    } else {
        h->n_failed++;
        h->failed = *stat;
    }
}

void ckpt_history_restored(struct ckpt_history *h, uint64_t id, const char *path, int64_t wall_ms)
{
    h->n_restored++;
    h->restored_id = id;
    h->restored_wall_ms = wall_ms;
    snprintf(h->restored_path, sizeof h->restored_path, "%s", path);
}
