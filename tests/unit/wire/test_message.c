/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off: cmocka wants these first, in this order */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runtime/wire/message.h"
#include "runtime/wire/pack.h"
#include "tests/unit/wire/samples.h"

#define ROUNDS 400 /* messages of each type */

static bool same_bytes(struct weir_bytes a, struct weir_bytes b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static bool same_subtask(const struct wire_subtask_stats *a, const struct wire_subtask_stats *b)
{
    return a->vertex == b->vertex && a->subtask == b->subtask && a->state == b->state && a->records_in == b->records_in &&
           a->records_out == b->records_out && a->bytes_in == b->bytes_in && a->bytes_out == b->bytes_out &&
           a->frames_in_local == b->frames_in_local && a->frames_in_remote == b->frames_in_remote &&
           a->frames_out_local == b->frames_out_local && a->frames_out_remote == b->frames_out_remote && a->late == b->late &&
           a->watermark_ms == b->watermark_ms && a->busy_us == b->busy_us && a->idle_us == b->idle_us && a->blocked_us == b->blocked_us;
}

static bool same_stats(const struct wire_msg *a, const struct wire_msg *b)
{
    if (a->stats.n_subtasks != b->stats.n_subtasks || a->stats.n_counters != b->stats.n_counters) return false;
    for (uint32_t i = 0; i < a->stats.n_subtasks; i++) {
        if (!same_subtask(&a->stats.subtasks[i], &b->stats.subtasks[i])) return false;
    }
    for (uint32_t i = 0; i < a->stats.n_counters; i++) {
        const struct wire_counter *x = &a->stats.counters[i], *y = &b->stats.counters[i];
        if (strcmp(x->operator_id, y->operator_id) || strcmp(x->name, y->name)) return false;
        if (x->subtask != y->subtask || x->value != y->value) return false;
    }
    if (a->stats.n_slots != b->stats.n_slots) return false;
    for (uint32_t i = 0; i < a->stats.n_slots; i++) {
        const struct wire_slot_stats *x = &a->stats.slots[i], *y = &b->stats.slots[i];
        if (x->slot != y->slot || memcmp(&x->memory_bytes, &y->memory_bytes, sizeof *x - 8) != 0) return false;
    }
    return a->stats.frames_dropped == b->stats.frames_dropped;
}

static bool same_restore(const struct wire_msg *a, const struct wire_msg *b)
{
    return !strcmp(a->deploy.checkpoint.dir, b->deploy.checkpoint.dir) &&
           a->deploy.checkpoint.alignment_timeout_ms == b->deploy.checkpoint.alignment_timeout_ms &&
           a->deploy.checkpoint.mode == b->deploy.checkpoint.mode && a->deploy.restore.id == b->deploy.restore.id &&
           !strcmp(a->deploy.restore.path, b->deploy.restore.path) && a->deploy.restore.bytes == b->deploy.restore.bytes &&
           a->deploy.restore.crc32c == b->deploy.restore.crc32c && a->deploy.restore.allow_unmatched == b->deploy.restore.allow_unmatched;
}

static bool same_failure(const struct wire_failure *a, const struct wire_failure *b)
{
    return a->code == b->code && !strcmp(a->operator_id, b->operator_id) && a->subtask == b->subtask && !strcmp(a->reason, b->reason);
}

static bool same_ack(const struct wire_msg *a, const struct wire_msg *b)
{
    if (a->ack.n_ledger != b->ack.n_ledger) return false;
    for (uint32_t i = 0; i < a->ack.n_ledger; i++) {
        const struct wire_ledger *x = &a->ack.ledger[i], *y = &b->ack.ledger[i];
        if (x->channel != y->channel || x->side != y->side || x->records != y->records || x->bytes != y->bytes || x->hash != y->hash)
            return false;
    }
    return a->ack.id == b->ack.id && a->ack.options == b->ack.options && !strcmp(a->ack.pack, b->ack.pack) &&
           a->ack.pack_bytes == b->ack.pack_bytes && a->ack.pack_crc32c == b->ack.pack_crc32c && a->ack.state_bytes == b->ack.state_bytes &&
           a->ack.new_bytes == b->ack.new_bytes && a->ack.sync_us_max == b->ack.sync_us_max && a->ack.align_us_max == b->ack.align_us_max &&
           a->ack.async_us == b->ack.async_us;
}

static bool same_deploy(const struct wire_msg *a, const struct wire_msg *b)
{
    if (a->deploy.n_args != b->deploy.n_args || a->deploy.n_slots != b->deploy.n_slots) return false;
    if (a->deploy.n_splits != b->deploy.n_splits) return false;
    for (uint32_t i = 0; i < a->deploy.n_args; i++) {
        if (strcmp(a->deploy.args[i], b->deploy.args[i])) return false;
    }
    for (uint32_t i = 0; i < a->deploy.n_slots; i++) {
        if (a->deploy.slot_worker[i] != b->deploy.slot_worker[i]) return false;
    }
    for (uint32_t i = 0; i < a->deploy.n_splits; i++) {
        const struct wire_split *x = &a->deploy.splits[i], *y = &b->deploy.splits[i];
        if (x->node != y->node || x->index != y->index || !same_bytes(x->data, y->data)) return false;
    }
    return digest_equal(a->deploy.digest, b->deploy.digest) && a->deploy.size == b->deploy.size &&
           !strcmp(a->deploy.name, b->deploy.name) && !strcmp(a->deploy.cwd, b->deploy.cwd) &&
           a->deploy.parallelism == b->deploy.parallelism && a->deploy.fingerprint == b->deploy.fingerprint &&
           a->deploy.progress_timeout_ms == b->deploy.progress_timeout_ms && a->deploy.worker == b->deploy.worker &&
           a->deploy.n_workers == b->deploy.n_workers && same_restore(a, b);
}

static bool same_start(const struct wire_msg *a, const struct wire_msg *b)
{
    if (a->start.n_peers != b->start.n_peers) return false;
    for (uint32_t i = 0; i < a->start.n_peers; i++) {
        const struct wire_peer *x = &a->start.peers[i], *y = &b->start.peers[i];
        if (x->worker != y->worker || strcmp(x->endpoint, y->endpoint) || !id_equal(x->incarnation, y->incarnation)) return false;
    }
    return true;
}

static bool same_register(const struct wire_msg *a, const struct wire_msg *b)
{
    if (a->reg.n_workers != b->reg.n_workers) return false;
    for (uint32_t i = 0; i < a->reg.n_workers; i++) {
        const struct wire_worker *x = &a->reg.workers[i], *y = &b->reg.workers[i];
        if (!id_equal(x->job, y->job) || x->attempt != y->attempt || x->epoch != y->epoch || x->state != y->state) return false;
        if (x->worker != y->worker || x->n_workers != y->n_workers || x->n_slots != y->n_slots) return false;
        if (x->n_slots && memcmp(x->slots, y->slots, x->n_slots * sizeof *x->slots) != 0) return false;
        if (strcmp(x->endpoint, y->endpoint) || !id_equal(x->incarnation, y->incarnation)) return false;
        if (x->restored_id != y->restored_id || x->triggered != y->triggered || x->options != y->options) return false;
    }
    return !strcmp(a->reg.taskmanager, b->reg.taskmanager) && id_equal(a->reg.incarnation, b->reg.incarnation) &&
           !strcmp(a->reg.host, b->reg.host) && a->reg.slots == b->reg.slots && a->reg.pid == b->reg.pid &&
           !strcmp(a->reg.version, b->reg.version);
}

/* Written out by hand, not by the table under test: a field missing there must be noticed. */
static bool same(const struct wire_msg *a, const struct wire_msg *b)
{
    if (a->type != b->type || a->epoch != b->epoch || !id_equal(a->job, b->job) || a->attempt != b->attempt) return false;
    switch (a->type) {
    case WIRE_REGISTER: return same_register(a, b);
    case WIRE_FETCH: return digest_equal(a->fetch.digest, b->fetch.digest) && a->fetch.offset == b->fetch.offset;
    case WIRE_WORKER_READY:
        return !strcmp(a->ready.endpoint, b->ready.endpoint) && id_equal(a->ready.incarnation, b->ready.incarnation) &&
               a->ready.fingerprint == b->ready.fingerprint;
    case WIRE_WORKER_ENDED: return a->ended.outcome == b->ended.outcome && same_failure(&a->ended.failure, &b->ended.failure);
    case WIRE_WORKER_RUNNING:
        return a->running.restore_us == b->running.restore_us && a->running.restored_bytes == b->running.restored_bytes &&
               a->running.from_local_bytes == b->running.from_local_bytes;
    case WIRE_CHECKPOINT_ACK: return same_ack(a, b);
    case WIRE_CHECKPOINT_DECLINE: return a->decline.id == b->decline.id && same_failure(&a->decline.failure, &b->decline.failure);
    case WIRE_TRIGGER:
        return a->trigger.id == b->trigger.id && a->trigger.options == b->trigger.options && !strcmp(a->trigger.dir, b->trigger.dir);
    case WIRE_CHECKPOINT_COMPLETE: return a->complete.id == b->complete.id;
    case WIRE_CHECKPOINT_ABORT: return a->abort.id == b->abort.id && !strcmp(a->abort.reason, b->abort.reason);
    case WIRE_REGISTERED:
        return a->registered.heartbeat_ms == b->registered.heartbeat_ms &&
               a->registered.heartbeat_timeout_ms == b->registered.heartbeat_timeout_ms;
    case WIRE_CHUNK:
        return digest_equal(a->chunk.digest, b->chunk.digest) && a->chunk.offset == b->chunk.offset && a->chunk.total == b->chunk.total &&
               same_bytes(a->chunk.data, b->chunk.data);
    case WIRE_WORKER_STATS: return same_stats(a, b);
    case WIRE_REFUSED: return !strcmp(a->refused.reason, b->refused.reason);
    case WIRE_DEPLOY: return same_deploy(a, b);
    case WIRE_START: return same_start(a, b);
    case WIRE_SETTINGS:
        if (a->settings.n != b->settings.n) return false;
        for (uint32_t i = 0; i < a->settings.n; i++)
            if (strcmp(a->settings.items[i], b->settings.items[i]) != 0) return false;
        return true;
    case WIRE_NOT_LEADER: return !strcmp(a->not_leader.endpoint, b->not_leader.endpoint);
    case WIRE_LOG_LEVEL: return a->log_level.lowest == b->log_level.lowest;
    case WIRE_WORKER_ALIVE: return a->alive.stalled_ms == b->alive.stalled_ms;
    case WIRE_WORKER_PREPARED:
    case WIRE_COMMIT:
    case WIRE_CANCEL:
    case WIRE_FORGET_JOB: return true;
    }
    return false;
}

static struct samples samples;

/* An exact copy on the heap, so that a sanitizer sees the first byte read behind the end. */
static weir_err decode_copy(struct wire_msg *out, const void *data, size_t len)
{
    unsigned char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len) memcpy(copy, data, len);
    weir_err err = wire_msg_decode(out, copy, len, NULL);
    free(copy);
    return err;
}

static void every_type_survives_the_wire(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, WEIR_CONTROL_MAX);
    for (size_t t = 0; t < SAMPLE_TYPES; t++) {
        for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
            uint64_t s = seed * 100 + t;
            struct wire_msg before, after;
            sample_msg(&samples, &s, sample_types[t], &before);
            buffer_clear(&b);
            assert_int_equal(wire_msg_encode(&before, &b), WEIR_OK);
            assert_int_equal(decode_copy(&after, b.data, b.len), WEIR_OK);
            assert_true(same(&before, &after));
            wire_msg_close(&after);
            assert_null(after.arena.blocks);
        }
    }
    buffer_close(&b);
}

static void a_cut_message_is_refused_at_every_byte(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 0);
    for (size_t t = 0; t < SAMPLE_TYPES; t++) {
        uint64_t s = 7 + t;
        struct wire_msg m;
        sample_msg(&samples, &s, sample_types[t], &m);
        buffer_clear(&b);
        assert_int_equal(wire_msg_encode(&m, &b), WEIR_OK);
        for (size_t len = 0; len < b.len; len++) {
            struct wire_msg out = {.epoch = 77};
            assert_int_equal(decode_copy(&out, b.data, len), WEIR_E_CORRUPT);
            assert_int_equal(out.epoch, 77); /* untouched */
        }
        buffer_add(&b, "", 1);
        assert_int_equal(decode_copy(&m, b.data, b.len), WEIR_E_CORRUPT); /* and so is one with a byte too many */
    }
    buffer_close(&b);
}

/* Any flipped bit gives a refusal or a message that can be written again: never a crash, never a value out of range. */
static void flipped_bits_do_no_harm(void **state)
{
    (void)state;
    struct buffer b, again;
    buffer_init(&b, 0);
    buffer_init(&again, 0);
    for (size_t t = 0; t < SAMPLE_TYPES; t++) {
        uint64_t s = 70 + t;
        struct wire_msg m;
        sample_msg(&samples, &s, sample_types[t], &m);
        buffer_clear(&b);
        assert_int_equal(wire_msg_encode(&m, &b), WEIR_OK);
        for (size_t bit = 0; bit < 8 * b.len; bit++) {
            b.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
            if (decode_copy(&m, b.data, b.len) == WEIR_OK) {
                buffer_clear(&again);
                assert_int_equal(wire_msg_encode(&m, &again), WEIR_OK);
                wire_msg_close(&m);
            }
            b.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
    }
    buffer_close(&b);
    buffer_close(&again);
}

static void put_envelope(struct buffer *b, uint64_t type)
{
    static const uint8_t job[16];
    buffer_clear(b);
    pack_array(b, 5);
    pack_uint(b, type);
    pack_uint(b, 3);
    pack_bin(b, job, sizeof job);
    pack_uint(b, 1);
}

/* Bytes allocated at present, as the allocator counts them. */
static size_t heap_bytes(void)
{
    return mallinfo2().uordblks + mallinfo2().hblkhd;
}

static void a_bomb_costs_no_memory(void **state)
{
    (void)state;
    static const unsigned char counts[][5] = {
        {0xdf, 0xff, 0xff, 0xff, 0xff}, {0xdd, 0xff, 0xff, 0xff, 0xff}, {0xdb, 0xff, 0xff, 0xff, 0xff}, {0xc6, 0xff, 0xff, 0xff, 0xff},
        {0xc9, 0xff, 0xff, 0xff, 0xff}, {0xdd, 0x00, 0x10, 0x00, 0x00}, {0xdf, 0x00, 0x08, 0x00, 0x00},
    };
    struct buffer b;
    buffer_init(&b, 0);
    struct wire_msg out;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        size_t before = heap_bytes();
        assert_int_equal(decode_copy(&out, counts[i], 5), WEIR_E_CORRUPT); /* as the message */
        put_envelope(&b, WIRE_WORKER_STATS);
        buffer_add(&b, counts[i], 5);
        assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_E_CORRUPT); /* as its body */
        put_envelope(&b, WIRE_WORKER_STATS);
        pack_map(&b, 1);
        pack_uint(&b, 1);
        buffer_add(&b, counts[i], 5);
        assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_E_CORRUPT); /* as a list of rows */
        assert_true(heap_bytes() < before + 65536);
    }
    buffer_close(&b);
}

/* Lets the process grow by `room` bytes and no more; gives the old limit. */
static struct rlimit limit_memory(size_t room)
{
    struct rlimit before, now;
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu", &pages), 1);
    fclose(f);
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    now = before;
    now.rlim_cur = pages * (size_t)sysconf(_SC_PAGESIZE) + room;
    assert_int_equal(setrlimit(RLIMIT_AS, &now), 0);
    return before;
}

/* Elements of a list that are paid for by one byte each would be 128 bytes each in memory; they are refused before any is allocated. */
static void a_list_of_empty_rows_is_refused(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 0);
    put_envelope(&b, WIRE_WORKER_STATS);
    pack_map(&b, 1);
    pack_uint(&b, 1);
    pack_array(&b, 1u << 20);
    for (uint32_t i = 0; i < 1u << 20; i++) pack_array(&b, 0);
    struct wire_msg out;
    struct weir_diag diag;
    struct rlimit limit = limit_memory(16u << 20); /* the rows would be 128 MiB */
    weir_err err = wire_msg_decode(&out, b.data, b.len, &diag);
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    assert_int_equal(err, WEIR_E_CORRUPT);
    assert_string_equal(diag.text, "WORKER_STATS message: field 1 is cut or out of range");
    buffer_close(&b);
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 0);
    put_envelope(&b, WIRE_CANCEL);
    pack_map(&b, 1);
    pack_uint(&b, 63); /* unknown: skipped */
    size_t before = b.len;
    struct wire_msg out;
    for (int depth = 1; depth < 40; depth++) {
        b.len = before;
        for (int i = 0; i < depth; i++) pack_array(&b, 1);
        pack_nil(&b);
        bool fits = depth + 2 <= WEIR_MSGPACK_DEPTH;
        assert_int_equal(decode_copy(&out, b.data, b.len), fits ? WEIR_OK : WEIR_E_CORRUPT);
        if (fits) wire_msg_close(&out);
    }
    b.len = before;
    for (int i = 0; i < 1000000; i++) pack_array(&b, 1);
    assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_E_CORRUPT); /* and without deep recursion */
    buffer_close(&b);
}

static void fields_of_a_later_version_are_skipped(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 0);
    put_envelope(&b, WIRE_START);
    pack_map(&b, 3);
    pack_uint(&b, 40);
    pack_map(&b, 1);
    pack_str(&b, "new");
    pack_array(&b, 2);
    pack_nil(&b);
    pack_float(&b, 1.5);
    pack_uint(&b, 1);
    pack_array(&b, 1);
    pack_array(&b, 5); /* a row with two values more than we know */
    pack_uint(&b, 9);
    pack_str(&b, "ipc://x");
    pack_bin(&b, "0123456789abcdef", 16);
    pack_bool(&b, true);
    pack_array(&b, 0);
    pack_uint(&b, UINT64_MAX);
    pack_int(&b, -5);
    struct wire_msg out;
    assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_OK);
    assert_int_equal(out.start.n_peers, 1);
    assert_int_equal(out.start.peers[0].worker, 9);
    assert_string_equal(out.start.peers[0].endpoint, "ipc://x");
    assert_memory_equal(out.start.peers[0].incarnation.bytes, "0123456789abcdef", 16);
    wire_msg_close(&out);
    buffer_close(&b);
}

static void missing_fields_are_zero_or_empty(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 0);
    put_envelope(&b, WIRE_REGISTER);
    pack_map(&b, 0);
    struct wire_msg out;
    assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_OK);
    assert_int_equal(out.epoch, 3);
    assert_string_equal(out.reg.taskmanager, "");
    assert_string_equal(out.reg.version, "");
    assert_int_equal(out.reg.slots, 0);
    wire_msg_close(&out);
    put_envelope(&b, WIRE_WORKER_ENDED); /* but an outcome there must be */
    pack_map(&b, 0);
    struct weir_diag diag;
    assert_int_equal(wire_msg_decode(&out, b.data, b.len, &diag), WEIR_E_CORRUPT);
    assert_string_equal(diag.text, "WORKER_ENDED message: field 1 is missing");
    buffer_close(&b);
}

static void one_field(struct buffer *b, enum wire_type type, uint64_t number)
{
    put_envelope(b, type);
    pack_map(b, 1);
    pack_uint(b, number);
}

static void values_out_of_range_are_refused(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 0);
    struct wire_msg out;
    one_field(&b, WIRE_REGISTER, 4);
    pack_uint(&b, WEIR_SLOTS_MAX + 1);
    assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_E_CORRUPT);
    one_field(&b, WIRE_REGISTER, 5);
    pack_uint(&b, UINT64_C(1) << 32);
    assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_E_CORRUPT);
    one_field(&b, WIRE_REGISTER, 5);
    pack_int(&b, -1);
    assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_E_CORRUPT);
    one_field(&b, WIRE_REGISTER, 1);
    pack_strn(&b, "a\0b", 3);
    assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_E_CORRUPT); /* a NUL in a string */
    one_field(&b, WIRE_REGISTER, 2);
    pack_bin(&b, "short", 5);
    assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_E_CORRUPT);
    one_field(&b, WIRE_WORKER_ENDED, 1);
    pack_uint(&b, 4);
    assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_E_CORRUPT);
    put_envelope(&b, WIRE_FETCH);
    pack_map(&b, 2);
    for (int i = 0; i < 2; i++) {
        pack_uint(&b, 2);
        pack_uint(&b, 0);
    }
    struct weir_diag diag;
    assert_int_equal(wire_msg_decode(&out, b.data, b.len, &diag), WEIR_E_CORRUPT);
    assert_string_equal(diag.text, "FETCH message: field 2 is doubled");
    put_envelope(&b, WIRE_CANCEL);
    pack_map(&b, 0);
    pack_nil(&b);
    b.data[0] = 0x96; /* an array of six */
    assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_E_CORRUPT);
    b.len--;
    b.data[0] = 0x94; /* an array of four, and the body behind it */
    assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_E_CORRUPT);
    put_envelope(&b, 15);
    pack_map(&b, 0);
    assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_E_UNSUPPORTED);
    buffer_close(&b);
}

/* What no receiver would take is not sent: the mistake shows where it is made. */
static void nonsense_is_not_encoded(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 0);
    uint32_t slot_worker[] = {0, 2};
    struct wire_msg m = {.type = WIRE_DEPLOY, .deploy = {.n_workers = 2, .n_slots = 2, .slot_worker = slot_worker}};
    buffer_str(&b, "before");
    assert_int_equal(wire_msg_encode(&m, &b), WEIR_E_ARGUMENT);
    assert_int_equal(b.len, 6);
    slot_worker[1] = 1;
    buffer_clear(&b);
    assert_int_equal(wire_msg_encode(&m, &b), WEIR_OK); /* NULL strings are written as "" */
    struct wire_msg out;
    assert_int_equal(decode_copy(&out, b.data, b.len), WEIR_OK);
    assert_string_equal(out.deploy.cwd, "");
    wire_msg_close(&out);
    m = (struct wire_msg){.type = WIRE_CHUNK, .chunk = {.offset = 5, .total = 8, .data = {"abcd", 4}}};
    buffer_clear(&b);
    assert_int_equal(wire_msg_encode(&m, &b), WEIR_E_ARGUMENT);
    buffer_close(&b);
    buffer_init(&b, 20);
    m = (struct wire_msg){.type = WIRE_CANCEL};
    assert_int_equal(wire_msg_encode(&m, &b), WEIR_E_LIMIT);
    buffer_close(&b);
}

/* A savepoint says where it goes, and a checkpoint does not; who restores names a manifest. */
static void checkpoints_that_contradict_themselves_are_not_encoded(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, 0);
    struct wire_msg m = {.type = WIRE_TRIGGER, .trigger = {.id = 1, .options = CHECKPOINT_SAVEPOINT}};
    assert_int_equal(wire_msg_encode(&m, &b), WEIR_E_ARGUMENT);
    m.trigger.dir = "relative";
    buffer_clear(&b);
    assert_int_equal(wire_msg_encode(&m, &b), WEIR_E_ARGUMENT);
    m.trigger.options = CHECKPOINT_DRAIN;
    m.trigger.dir = "";
    buffer_clear(&b);
    assert_int_equal(wire_msg_encode(&m, &b), WEIR_E_ARGUMENT);
    m.trigger = (typeof(m.trigger)){.id = 0};
    buffer_clear(&b);
    assert_int_equal(wire_msg_encode(&m, &b), WEIR_E_ARGUMENT);
    m = (struct wire_msg){.type = WIRE_DEPLOY, .deploy = {.n_workers = 1, .restore = {.id = 3}}};
    buffer_clear(&b);
    assert_int_equal(wire_msg_encode(&m, &b), WEIR_E_ARGUMENT);
    m.deploy.restore.path = "/manifest";
    buffer_clear(&b);
    assert_int_equal(wire_msg_encode(&m, &b), WEIR_OK);
    buffer_close(&b);
}

static void types_have_names(void **state)
{
    (void)state;
    assert_string_equal(wire_type_name(WIRE_DEPLOY), "DEPLOY");
    assert_string_equal(wire_type_name(WIRE_WORKER_ALIVE), "WORKER_ALIVE");
    assert_string_equal(wire_type_name((enum wire_type)99), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_survives_the_wire),
        cmocka_unit_test(a_cut_message_is_refused_at_every_byte),
        cmocka_unit_test(flipped_bits_do_no_harm),
        cmocka_unit_test(a_bomb_costs_no_memory),
        cmocka_unit_test(a_list_of_empty_rows_is_refused),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(fields_of_a_later_version_are_skipped),
        cmocka_unit_test(missing_fields_are_zero_or_empty),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(nonsense_is_not_encoded),
        cmocka_unit_test(checkpoints_that_contradict_themselves_are_not_encoded),
        cmocka_unit_test(types_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
