/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random but repeatable material for the tests of runtime/wire and the seeds of the fuzz targets: numbers from a seed, and messages of
 * every type with every field filled.
 */
#ifndef WEIR_TESTS_UNIT_WIRE_SAMPLES_H
#define WEIR_TESTS_UNIT_WIRE_SAMPLES_H

#include "runtime/base/limits.h"
#include "runtime/wire/message.h"
#include "weir/source.h"
#include "weir/stream.h"

/* splitmix64: the next number of the stream whose state is *seed. */
static inline uint64_t draw(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint32_t draw_below(uint64_t *seed, uint32_t n)
{
    return (uint32_t)(draw(seed) % n);
}

/* A number of any length: small ones and the greatest are as likely as those between. */
static inline uint64_t draw_wide(uint64_t *seed)
{
    uint32_t bits = draw_below(seed, 65);
    return bits == 0 ? 0 : bits == 64 && draw_below(seed, 2) ? UINT64_MAX : draw(seed) >> (64 - bits);
}

/* What the strings and lists of samples live in: one message at a time. */
struct samples {
    unsigned char space[1 << 16];
    size_t used;
};

static inline void *sample_alloc(struct samples *s, size_t n)
{
    void *at = s->space + s->used;
    s->used += (n + 15) & ~(size_t)15;
    if (s->used > sizeof s->space) __builtin_trap();
    memset(at, 0, n);
    return at;
}

static inline const char *sample_str(struct samples *s, uint64_t *seed)
{
    uint32_t n = draw_below(seed, 4) ? draw_below(seed, 12) : draw_below(seed, 300);
    char *text = sample_alloc(s, n + 1);
    for (uint32_t i = 0; i < n; i++) text[i] = (char)(1 + draw_below(seed, 255));
    return text;
}

/* An absolute one. */
static inline const char *sample_path(struct samples *s, uint64_t *seed)
{
    const char *rest = sample_str(s, seed);
    char *path = sample_alloc(s, strlen(rest) + 2);
    path[0] = '/';
    memcpy(path + 1, rest, strlen(rest));
    return path;
}

static inline struct weir_bytes sample_bytes(struct samples *s, uint64_t *seed)
{
    uint32_t n = draw_below(seed, 4) ? draw_below(seed, 12) : draw_below(seed, 300);
    unsigned char *data = sample_alloc(s, n + 1);
    for (uint32_t i = 0; i < n; i++) data[i] = (unsigned char)draw(seed);
    return (struct weir_bytes){data, n};
}

static inline void sample_fill(uint64_t *seed, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)draw(seed);
}

static inline struct weir_id sample_id(uint64_t *seed)
{
    struct weir_id id;
    sample_fill(seed, id.bytes, sizeof id.bytes);
    return id;
}

static inline struct weir_digest sample_digest(uint64_t *seed)
{
    struct weir_digest digest;
    sample_fill(seed, digest.bytes, sizeof digest.bytes);
    return digest;
}

static inline void sample_stats(struct samples *s, uint64_t *seed, struct wire_msg *m)
{
    m->stats.n_subtasks = draw_below(seed, 5);
    m->stats.subtasks = sample_alloc(s, m->stats.n_subtasks * sizeof *m->stats.subtasks);
    for (uint32_t i = 0; i < m->stats.n_subtasks; i++) {
        m->stats.subtasks[i] = (struct wire_subtask_stats){.vertex = draw_below(seed, WEIR_OPERATORS_MAX),
                                                           .subtask = draw_below(seed, WEIR_PARALLELISM_MAX),
                                                           .state = draw_below(seed, 4),
                                                           .records_in = draw_wide(seed),
                                                           .records_out = draw_wide(seed),
                                                           .bytes_in = draw_wide(seed),
                                                           .bytes_out = draw_wide(seed),
                                                           .frames_in_local = draw_wide(seed),
                                                           .frames_in_remote = draw_wide(seed),
                                                           .frames_out_local = draw_wide(seed),
                                                           .frames_out_remote = draw_wide(seed),
                                                           .late = draw_wide(seed),
                                                           .watermark_ms = draw_below(seed, 3) ? (int64_t)draw_wide(seed) : WEIR_TIME_MIN,
                                                           .busy_us = draw_wide(seed),
                                                           .idle_us = draw_wide(seed),
                                                           .blocked_us = draw_wide(seed)};
    }
    m->stats.n_counters = draw_below(seed, 5);
    m->stats.counters = sample_alloc(s, m->stats.n_counters * sizeof *m->stats.counters);
    for (uint32_t i = 0; i < m->stats.n_counters; i++) {
        m->stats.counters[i] = (struct wire_counter){.operator_id = sample_str(s, seed),
                                                     .subtask = draw_below(seed, WEIR_PARALLELISM_MAX),
                                                     .name = sample_str(s, seed),
                                                     .value = draw_wide(seed)};
    }
    m->stats.frames_dropped = draw_wide(seed);
    m->stats.n_slots = draw_below(seed, 5);
    m->stats.slots = sample_alloc(s, m->stats.n_slots * sizeof *m->stats.slots);
    for (uint32_t i = 0; i < m->stats.n_slots; i++) {
        m->stats.slots[i].slot = draw_below(seed, WEIR_PARALLELISM_MAX);
        uint64_t *counts = &m->stats.slots[i].memory_bytes; /* the rest of the row: numbers alike */
        for (size_t k = 0; k < (sizeof *m->stats.slots - 8) / 8; k++) counts[k] = draw_wide(seed);
    }
}

static inline void sample_restore(struct samples *s, uint64_t *seed, struct wire_msg *m)
{
    m->deploy.checkpoint.dir = draw_below(seed, 2) ? sample_path(s, seed) : "";
    m->deploy.checkpoint.alignment_timeout_ms = draw_below(seed, INT32_MAX);
    m->deploy.checkpoint.mode = draw_below(seed, 2);
    m->deploy.restore.id = draw_wide(seed);
    m->deploy.restore.path = m->deploy.restore.id ? sample_path(s, seed) : "";
    m->deploy.restore.bytes = draw_wide(seed);
    m->deploy.restore.crc32c = (uint32_t)draw(seed);
    m->deploy.restore.allow_unmatched = draw_below(seed, 2);
}

static inline void sample_deploy(struct samples *s, uint64_t *seed, struct wire_msg *m)
{
    m->deploy.digest = sample_digest(seed);
    m->deploy.size = draw_below(seed, WEIR_PLUGIN_MAX);
    m->deploy.name = sample_str(s, seed);
    m->deploy.cwd = sample_str(s, seed);
    m->deploy.coordination = sample_str(s, seed);
    m->deploy.parallelism = draw_below(seed, WEIR_PARALLELISM_MAX + 1);
    m->deploy.fingerprint = draw(seed);
    m->deploy.progress_timeout_ms = draw_below(seed, INT32_MAX);
    m->deploy.n_args = draw_below(seed, 6);
    m->deploy.args = sample_alloc(s, m->deploy.n_args * sizeof *m->deploy.args);
    for (uint32_t i = 0; i < m->deploy.n_args; i++) m->deploy.args[i] = sample_str(s, seed);
    m->deploy.n_workers = 1 + draw_below(seed, WEIR_TASKMANAGERS_MAX);
    m->deploy.worker = draw_below(seed, m->deploy.n_workers);
    m->deploy.n_slots = draw_below(seed, 20);
    m->deploy.slot_worker = sample_alloc(s, m->deploy.n_slots * sizeof *m->deploy.slot_worker);
    for (uint32_t i = 0; i < m->deploy.n_slots; i++) m->deploy.slot_worker[i] = draw_below(seed, m->deploy.n_workers);
    m->deploy.n_splits = draw_below(seed, 6);
    m->deploy.splits = sample_alloc(s, m->deploy.n_splits * sizeof *m->deploy.splits);
    for (uint32_t i = 0; i < m->deploy.n_splits; i++) {
        m->deploy.splits[i] = (struct wire_split){
            .node = draw_below(seed, WEIR_OPERATORS_MAX), .index = draw_below(seed, WEIR_SPLITS_MAX), .data = sample_bytes(s, seed)};
    }
    sample_restore(s, seed, m);
}

static inline struct wire_failure sample_failure(struct samples *s, uint64_t *seed)
{
    return (struct wire_failure){.code = (weir_err)draw_below(seed, 40),
                                 .operator_id = sample_str(s, seed),
                                 .subtask = (int32_t)draw_below(seed, WEIR_PARALLELISM_MAX) - 1,
                                 .reason = sample_str(s, seed)};
}

static inline void sample_ack(struct samples *s, uint64_t *seed, struct wire_msg *m)
{
    m->ack.id = draw_wide(seed) | 1;
    m->ack.options = draw_below(seed, CHECKPOINT_OPTIONS + 1);
    m->ack.pack = sample_str(s, seed);
    m->ack.pack_bytes = draw_wide(seed);
    m->ack.pack_crc32c = (uint32_t)draw(seed);
    m->ack.state_bytes = draw_wide(seed);
    m->ack.new_bytes = draw_wide(seed);
    m->ack.sync_us_max = draw_wide(seed);
    m->ack.align_us_max = draw_wide(seed);
    m->ack.async_us = draw_wide(seed);
    m->ack.n_ledger = draw_below(seed, 6);
    m->ack.ledger = sample_alloc(s, m->ack.n_ledger * sizeof *m->ack.ledger);
    for (uint32_t i = 0; i < m->ack.n_ledger; i++) {
        m->ack.ledger[i] = (struct wire_ledger){.channel = draw_below(seed, WEIR_CHANNELS_MAX),
                                                .side = draw_below(seed, 2),
                                                .records = draw_wide(seed),
                                                .bytes = draw_wide(seed),
                                                .hash = draw(seed)};
    }
}

static inline void sample_trigger(struct samples *s, uint64_t *seed, struct wire_msg *m)
{
    m->trigger.id = draw_wide(seed) | 1;
    m->trigger.options = draw_below(seed, CHECKPOINT_OPTIONS + 1);
    if (m->trigger.options & CHECKPOINT_DRAIN) m->trigger.options |= CHECKPOINT_STOP;
    m->trigger.dir = m->trigger.options & CHECKPOINT_SAVEPOINT ? sample_path(s, seed) : "";
}

static inline void sample_start(struct samples *s, uint64_t *seed, struct wire_msg *m)
{
    m->start.n_peers = draw_below(seed, 6);
    m->start.peers = sample_alloc(s, m->start.n_peers * sizeof *m->start.peers);
    for (uint32_t i = 0; i < m->start.n_peers; i++) {
        m->start.peers[i] = (struct wire_peer){
            .worker = draw_below(seed, WEIR_TASKMANAGERS_MAX), .endpoint = sample_str(s, seed), .incarnation = sample_id(seed)};
    }
}

static inline void sample_chunk(struct samples *s, uint64_t *seed, struct wire_msg *m)
{
    m->chunk.digest = sample_digest(seed);
    m->chunk.offset = draw_below(seed, 1u << 20);
    if (draw_below(seed, 5) == 0) return; /* "no such artifact" */
    m->chunk.data = sample_bytes(s, seed);
    m->chunk.total = m->chunk.offset + m->chunk.data.length + 1 + draw_below(seed, 1u << 20);
}

static inline void sample_register(struct samples *s, uint64_t *seed, struct wire_msg *m)
{
    uint32_t n = draw_below(seed, 5);
    m->reg.taskmanager = sample_str(s, seed);
    m->reg.incarnation = sample_id(seed);
    m->reg.host = sample_str(s, seed);
    m->reg.slots = 16 + draw_below(seed, WEIR_SLOTS_MAX - 15);
    m->reg.pid = (uint32_t)draw_wide(seed);
    m->reg.version = sample_str(s, seed);
    m->reg.n_workers = n;
    m->reg.workers = sample_alloc(s, n * sizeof *m->reg.workers);
    for (uint32_t i = 0; i < n; i++) {
        struct wire_worker *w = &m->reg.workers[i];
        w->job = sample_id(seed);
        w->attempt = (uint32_t)draw_wide(seed);
        w->epoch = draw_wide(seed);
        w->state = draw_below(seed, WIRE_WORKER_HAS_COMMITTED + 1);
        w->worker = draw_below(seed, 100);
        w->n_workers = w->worker + 1 + draw_below(seed, 100);
        w->n_slots = w->state == WIRE_WORKER_HAS_COMMITTED ? 0 : 1 + draw_below(seed, 3);
        w->slots = sample_alloc(s, w->n_slots * sizeof *w->slots);
        for (uint32_t k = 0; k < w->n_slots; k++) w->slots[k] = draw_below(seed, WEIR_PARALLELISM_MAX);
        w->endpoint = sample_str(s, seed);
        w->incarnation = sample_id(seed);
        w->restored_id = draw_wide(seed);
        w->triggered = draw_wide(seed);
        w->options = draw_below(seed, CHECKPOINT_OPTIONS + 1);
    }
}

static const enum wire_type sample_types[] = {
    WIRE_REGISTER,
    WIRE_FETCH,
    WIRE_WORKER_READY,
    WIRE_WORKER_RUNNING,
    WIRE_WORKER_STATS,
    WIRE_WORKER_PREPARED,
    WIRE_WORKER_ENDED,
    WIRE_REGISTERED,
    WIRE_REFUSED,
    WIRE_CHUNK,
    WIRE_DEPLOY,
    WIRE_START,
    WIRE_COMMIT,
    WIRE_CANCEL,
    WIRE_WORKER_ALIVE,
    WIRE_CHECKPOINT_ACK,
    WIRE_CHECKPOINT_DECLINE,
    WIRE_TRIGGER,
    WIRE_CHECKPOINT_COMPLETE,
    WIRE_CHECKPOINT_ABORT,
    WIRE_FORGET_JOB,
    WIRE_NOT_LEADER,
    WIRE_SETTINGS,
    WIRE_LOG_LEVEL,
};
#define SAMPLE_TYPES (sizeof sample_types / sizeof sample_types[0])

/* Fills `m` with a message of the type; its strings and lists live in `s` until the next call. */
static inline void sample_msg(struct samples *s, uint64_t *seed, enum wire_type type, struct wire_msg *m)
{
    s->used = 0;
    memset(m, 0, sizeof *m);
    m->type = type;
    m->epoch = draw_wide(seed);
    m->job = sample_id(seed);
    m->attempt = (uint32_t)draw_wide(seed);
    switch (type) {
    case WIRE_REGISTER: sample_register(s, seed, m); return;
    case WIRE_FETCH:
        m->fetch.digest = sample_digest(seed);
        m->fetch.offset = draw_below(seed, WEIR_PLUGIN_MAX + 1);
        return;
    case WIRE_WORKER_READY:
        m->ready.endpoint = sample_str(s, seed);
        m->ready.incarnation = sample_id(seed);
        m->ready.fingerprint = draw(seed);
        return;
    case WIRE_WORKER_ENDED:
        m->ended.outcome = WIRE_COMMITTED + draw_below(seed, 3);
        m->ended.failure = sample_failure(s, seed);
        return;
    case WIRE_WORKER_RUNNING:
        m->running.restore_us = draw_wide(seed);
        m->running.restored_bytes = draw_wide(seed);
        m->running.from_local_bytes = draw_wide(seed);
        return;
    case WIRE_CHECKPOINT_ACK: sample_ack(s, seed, m); return;
    case WIRE_CHECKPOINT_DECLINE:
        m->decline.id = draw_wide(seed) | 1;
        m->decline.failure = sample_failure(s, seed);
        return;
    case WIRE_TRIGGER: sample_trigger(s, seed, m); return;
    case WIRE_CHECKPOINT_COMPLETE: m->complete.id = draw_wide(seed) | 1; return;
    case WIRE_CHECKPOINT_ABORT:
        m->abort.id = draw_wide(seed) | 1;
        m->abort.reason = sample_str(s, seed);
        return;
    case WIRE_REGISTERED:
        m->registered.heartbeat_ms = 1 + draw_below(seed, 10000);
        m->registered.heartbeat_timeout_ms = 1 + draw_below(seed, INT32_MAX);
        return;
    case WIRE_WORKER_STATS: sample_stats(s, seed, m); return;
    case WIRE_REFUSED: m->refused.reason = sample_str(s, seed); return;
    case WIRE_CHUNK: sample_chunk(s, seed, m); return;
    case WIRE_DEPLOY: sample_deploy(s, seed, m); return;
    case WIRE_START: sample_start(s, seed, m); return;
    case WIRE_SETTINGS:
        m->settings.n = draw_below(seed, WIRE_SETTINGS_MAX + 1);
        m->settings.items = sample_alloc(s, m->settings.n * sizeof *m->settings.items);
        for (uint32_t i = 0; i < m->settings.n; i++) m->settings.items[i] = sample_str(s, seed);
        return;
    case WIRE_NOT_LEADER: m->not_leader.endpoint = sample_str(s, seed); return;
    case WIRE_LOG_LEVEL: m->log_level.lowest = draw_below(seed, 4); return;
    case WIRE_WORKER_ALIVE: m->alive.stalled_ms = draw_wide(seed); return;
    case WIRE_WORKER_PREPARED:
    case WIRE_COMMIT:
    case WIRE_CANCEL:
    case WIRE_FORGET_JOB: return;
    }
}

#endif
