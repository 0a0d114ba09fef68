/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/slot.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/folder.h"
#include "runtime/base/id.h"
#include "runtime/base/log.h"
#include "runtime/state/internal.h"

#define SPARE_BLOCKS_MAX 2048u                                               /* 4 GiB: what a freeze may find ready */
#define SUPPLY_BUDGET_MIN ((uint64_t)32 * SUPPLY_BLOCKS * MEMORY_HUGE_BYTES) /* with less, it would be too much */

weir_err state_slot_new(struct state_slot **out, const struct state_slot_config *config, struct weir_diag *diag)
{
    struct state_slot *slot = calloc(1, sizeof *slot);
    if (!slot) return weir_fail(diag, WEIR_E_NOMEM, "out of memory for a slot's state");
    WEIR_ASSERT(pthread_mutex_init(&slot->mutex, NULL) == 0);
    slot->budget = config->dir ? (config->budget ? config->budget : SLOT_BUDGET_DEFAULT) : UINT64_MAX / 2;
    slot->filters.bytes_max = slot->budget / 2;
    slot->snapshots = config->snapshots;
    slot->shared = config->shared;
    slot->now_bits = stamp_of(0, STAMP_REF);
    slot->memory.supply = config->snapshots && slot->budget >= SUPPLY_BUDGET_MIN ? &slot->supply : NULL;
    slot->memory.spare_max = config->snapshots ? SPARE_BLOCKS_MAX : 0;
    struct weir_id id = id_random();
    memcpy(&slot->incarnation, &id, sizeof slot->incarnation);
    weir_err err = WEIR_OK;
    if (config->dir) {
        slot->dir = strdup(config->dir);
        err = slot->dir ? folder_remove(slot->dir, diag) : weir_fail(diag, WEIR_E_NOMEM, "out of memory for a slot's state");
    }
    if (err) {
        state_slot_destroy(&slot);
        return err;
    }
    *out = slot;
    return WEIR_OK;
}

void state_slot_destroy(struct state_slot **slot_)
{
    struct state_slot *slot = *slot_;
    if (!slot) return;
    WEIR_ASSERT(slot->families == NULL);
    WEIR_ASSERT(slot->writing == NULL); /* each family waited for its own */
    background_destroy(&slot->writer);
    memory_drop_spare(&slot->memory);
    WEIR_ASSERT(slot->memory.bytes == 0); /* every byte of the account has been given back */
    struct rocks *rocks = atomic_load(&slot->rocks);
    rocks_destroy(&rocks);
    if (slot->dir) (void)folder_remove(slot->dir, NULL);
    supply_close(&slot->supply);
    (void)pthread_mutex_destroy(&slot->mutex);
    free(slot->scratch);
    free(slot->dir);
    free(slot);
    *slot_ = NULL;
}

weir_err slot_rocks(struct state_slot *slot)
{
    if (slot->rocks) return WEIR_OK;
    struct rocks *rocks;
    struct weir_diag diag;
    char path[4096];
    if (!slot->dir) return slot_fail(slot, WEIR_E_STATE, "state has no folder to leave memory to");
    slot_path(slot, path, "db");
    weir_err err = folder_make(slot->dir, &diag);
    if (!err) err = rocks_open(&rocks, slot->shared, path, &diag);
    if (err) return slot_fail_diag(slot, &diag);
    atomic_store(&slot->rocks, rocks);
    log_info("state goes to disk", "folder=%s budget=%" PRIu64, slot->dir, slot->budget);
    return WEIR_OK;
}

/* ---- failure: the first stays ----------------------------------------------------------------------------------------------------------
 */

weir_err slot_fail_diag(struct state_slot *slot, const struct weir_diag *diag)
{
    (void)pthread_mutex_lock(&slot->mutex);
    if (!slot_failed(slot)) {
        slot->diag = *diag;
        atomic_store_explicit(&slot->error, (int)diag->code, memory_order_release);
    }
    (void)pthread_mutex_unlock(&slot->mutex);
    return diag->code;
}

weir_err slot_fail(struct state_slot *slot, weir_err err, const char *fmt, ...)
{
    struct weir_diag diag;
    char text[WEIR_DIAG_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)weir_fail(&diag, err, "%s", text);
    return slot_fail_diag(slot, &diag);
}

weir_err slot_error(struct state_slot *slot, struct weir_diag *diag)
{
    weir_err err = (weir_err)atomic_load_explicit(&slot->error, memory_order_acquire);
    if (!err || !diag) return err;
    (void)pthread_mutex_lock(&slot->mutex);
    *diag = slot->diag;
    (void)pthread_mutex_unlock(&slot->mutex);
    return err;
}

/* ---- names and gauges ------------------------------------------------------------------------------------------------------------------
 */

void slot_stem(struct state_slot *slot, char stem[48])
{
    (void)snprintf(stem, 48, "%016" PRIx64 "-%" PRIu64, slot->incarnation, slot->next_file++);
}

void slot_path(const struct state_slot *slot, char path[4096], const char *name)
{
    (void)snprintf(path, 4096, "%s/%s", slot->dir, name);
}

struct memory *slot_memory(struct state_slot *slot)
{
    return &slot->memory;
}

void slot_stats(const struct state_slot *slot, struct slot_stats *out)
{
    struct slot_stats stats = slot->stats;
    stats.bytes = slot->memory.bytes + (slot->writing ? slot->writing->memory.bytes : 0);
    stats.free_bytes = slot->memory.free;
    stats.reserved_bytes = slot->reserved;
    stats.budget = slot->budget;
    for (const struct family *f = slot->families; f; f = f->next) {
        stats.entries += f->entries;
        stats.clean += f->clean;
    }
    *out = stats;
}

bool slot_keeper_stats(const struct state_slot *slot, struct rocks_stats *out)
{
    struct rocks *rocks = atomic_load(&slot->rocks);
    if (rocks) rocks_stats(rocks, out);
    return rocks != NULL;
}
