/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/coord/history.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

void history_init(struct history *h, uint64_t window_bytes)
{
    *h = (struct history){.limit = window_bytes};
    history_reset(h, (struct zxid){0});
}

/* ---- the window ---- */

static struct zab_entry *slot(const struct history *h, uint32_t i)
{
    return &h->ring[(h->head + i) & (h->cap - 1)];
}

static void drop_oldest(struct history *h)
{
    struct zab_entry *entry = slot(h, 0);
    h->bytes -= entry->bytes.length;
    free((void *)entry->bytes.data);
    h->head = (h->head + 1) & (h->cap - 1);
    h->count--;
}

static void drop_newest(struct history *h)
{
    struct zab_entry *entry = slot(h, h->count - 1);
    h->bytes -= entry->bytes.length;
    free((void *)entry->bytes.data);
    h->count--;
}

static bool grow(struct history *h)
{
    if (h->count < h->cap) return true;
    uint32_t cap = h->cap ? 2 * h->cap : 64;
    struct zab_entry *ring = malloc(cap * sizeof *ring);
    if (!ring) return false;
    for (uint32_t i = 0; i < h->count; i++) ring[i] = *slot(h, i);
    free(h->ring);
    h->ring = ring;
    h->cap = cap;
    h->head = 0;
    return true;
}

static bool keep(struct history *h, const struct zab_entry *entry)
{
    if (!grow(h)) return false;
    void *copy = malloc(entry->bytes.length + !entry->bytes.length);
    if (!copy) return false;
    if (entry->bytes.length) memcpy(copy, entry->bytes.data, entry->bytes.length);
    struct zab_entry *at = slot(h, h->count++);
    *at = *entry;
    at->bytes.data = copy;
    h->bytes += entry->bytes.length;
    return true;
}

void history_trim(struct history *h, struct zxid to)
{
    while (h->count && h->bytes + h->count * sizeof h->ring[0] > h->limit && zxid_cmp(slot(h, 0)->zxid, to) <= 0) drop_oldest(h);
}

void history_close(struct history *h)
{
    while (h->count) drop_oldest(h);
    free(h->ring);
    h->ring = NULL;
    h->cap = 0;
}

/* ---- the spans ---- */

void history_reset(struct history *h, struct zxid base)
{
    while (h->count) drop_oldest(h);
    h->floor = h->last = base;
    h->spans[0] = (struct zab_span){base.epoch, base.counter};
    h->n_spans = 1;
}

static void forget_oldest_span(struct history *h)
{
    h->n_spans--;
    memmove(&h->spans[0], &h->spans[1], h->n_spans * sizeof h->spans[0]);
}

void history_note(struct history *h, struct zxid zxid)
{
    WEIR_ASSERT(zxid_follows(zxid, h->last));
    h->last = zxid;
    if (zxid.epoch == h->spans[h->n_spans - 1].epoch) {
        h->spans[h->n_spans - 1].last = zxid.counter;
        return;
    }
    if (h->n_spans == ZAB_SPANS_MAX) {
        h->floor = (struct zxid){h->spans[1].epoch, h->spans[1].last};
        forget_oldest_span(h);
    }
    h->spans[h->n_spans++] = (struct zab_span){zxid.epoch, zxid.counter};
}

bool history_append(struct history *h, const struct zab_entry *entry)
{
    WEIR_ASSERT(zxid_eq(entry->prev, h->last));
    if (!keep(h, entry)) return false;
    history_note(h, entry->zxid);
    return true;
}

void history_truncate(struct history *h, struct zxid to)
{
    WEIR_ASSERT(history_holds(h, to));
    while (h->count && zxid_cmp(slot(h, h->count - 1)->zxid, to) > 0) drop_newest(h);
    while (h->spans[h->n_spans - 1].epoch != to.epoch) h->n_spans--;
    h->spans[h->n_spans - 1].last = to.counter;
    h->last = to;
}

void history_raise_floor(struct history *h, struct zxid floor)
{
    if (zxid_cmp(floor, h->floor) <= 0 || !history_holds(h, floor)) return;
    h->floor = floor;
    while (h->spans[0].epoch != floor.epoch) forget_oldest_span(h);
}

static const struct zab_span *span_of(const struct history *h, uint64_t epoch)
{
    for (uint32_t i = h->n_spans; i-- > 0;)
        if (h->spans[i].epoch <= epoch) return h->spans[i].epoch == epoch ? &h->spans[i] : NULL;
    return NULL;
}

bool history_holds(const struct history *h, struct zxid zxid)
{
    const struct zab_span *span = span_of(h, zxid.epoch);
    return span && zxid.counter <= span->last && zxid_cmp(zxid, h->floor) >= 0 && (zxid.counter > 0 || zxid.epoch == 0);
}

const struct zab_entry *history_after(const struct history *h, struct zxid zxid)
{
    if (h->count == 0 || zxid_cmp(zxid, slot(h, 0)->prev) < 0) return NULL;
    uint32_t low = 0, high = h->count; /* the first entry above zxid lies in low ... high */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (zxid_cmp(slot(h, middle)->zxid, zxid) > 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low < h->count ? slot(h, low) : NULL;
}

bool history_common(const struct history *h, const struct zab_span *spans, uint32_t n, struct zxid *out)
{
    for (uint32_t i = n; i-- > 0;) {
        const struct zab_span *mine = span_of(h, spans[i].epoch);
        if (!mine) continue;
        struct zxid common = {mine->epoch, mine->last < spans[i].last ? mine->last : spans[i].last};
        if (zxid_cmp(common, h->floor) < 0) return false;
        *out = common;
        return true;
    }
    return false;
}
