/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the seed corpora of the fuzz targets: `fuzz_seeds tests/fuzz/corpus`. The same files every time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "jobmanager/catalog_note.h"
#include "jobmanager/catalog_records.h"
#include "runtime/base/hash.h"
#include "runtime/coord/epochs.h"
#include "runtime/coord/image.h"
#include "runtime/coord/log_record.h"
#include "runtime/coord/protocol.h"
#include "runtime/coord/quorum.h"
#include "runtime/coord/stat.h"
#include "runtime/coord/txn.h"
#include "runtime/coord/watch.h"
#include "runtime/coord/zab.h"
#include "runtime/wire/frame.h"
#include "runtime/wire/message.h"
#include "runtime/wire/pack.h"
#include "tests/unit/checkpoint/samples.h"
#include "tests/unit/wire/samples.h"

static const char *root;

static void write_seed(const char *target, const char *name, const void *data, size_t size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", root, target);
    if (mkdir(path, 0755) && errno != EEXIST) {
        perror(path);
        exit(1);
    }
    snprintf(path, sizeof path, "%s/%s/%s", root, target, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) {
        perror(path);
        exit(1);
    }
}

static void write_messages(void)
{
    static struct samples samples;
    struct buffer b = {0};
    for (size_t t = 0; t < SAMPLE_TYPES; t++) {
        uint64_t seed = 1000 + t;
        struct wire_msg m;
        sample_msg(&samples, &seed, sample_types[t], &m);
        buffer_clear(&b);
        if (wire_msg_encode(&m, &b)) exit(1);
        write_seed("fuzz_message", wire_type_name(m.type), b.data, b.len);
    }
    buffer_close(&b);
}

static void write_values(void)
{
    static const uint8_t forms[] = {
        0x9f, 0xc0, 0xc3, 0x7f, 0xe0, 0xcc, 0xff, 0xd1, 0x80, 0x00, 0xca, 0x3f, 0x80, 0,    0,    0xa3, 'a',  'b', 'c',
        0xc4, 1,    0,    0xd6, 5,    1,    2,    3,    4,    0xc7, 1,    9,    9,    0x81, 0x01, 0x90, 0xd9, 1,   'x',
        0xdc, 0,    1,    0xc2, 0xde, 0,    1,    0xc0, 0xc0, 0xcf, 1,    2,    3,    4,    5,    6,    7,    8,
    };
    static const uint8_t bomb[] = {0xdf, 0xff, 0xff, 0xff, 0xff};
    uint8_t deep[40];
    memset(deep, 0x91, sizeof deep);
    deep[sizeof deep - 1] = 0xc0;
    write_seed("fuzz_cursor", "forms", forms, sizeof forms);
    write_seed("fuzz_cursor", "bomb", bomb, sizeof bomb);
    write_seed("fuzz_cursor", "deep", deep, sizeof deep);
}

static void write_frames(void)
{
    static struct {
        struct frame_header header;
        _Alignas(8) uint8_t body[512];
    } f;
    f.header = (struct frame_header){.kind = FRAME_BARRIER, .job = 1, .epoch = 1, .attempt = 1, .channel = 2, .seq = 3, .time_ms = 7};
    frame_seal(&f.header);
    write_seed("fuzz_frame", "barrier", &f, sizeof f.header);
    f.header = (struct frame_header){.kind = FRAME_DATA, .flags = FRAME_UNIFORM, .stride = 24};
    for (uint32_t mixed = 0; mixed < 2; mixed++) {
        f.header.bytes = f.header.count = 0;
        for (uint32_t i = 0; i < 5; i++) {
            struct weir_record rec = {.size = mixed ? 7 * i : 8, .key_group = (uint16_t)(i * 1000), .kind = (uint8_t)(i % 4), .time_ms = i};
            memcpy(f.body + f.header.bytes, &rec, sizeof rec);
            f.header.bytes += weir_record_span(rec.size);
            f.header.count++;
        }
        frame_seal(&f.header);
        write_seed("fuzz_frame", mixed ? "mixed" : "uniform", &f, sizeof f.header + f.header.bytes);
        f.header.flags = 0;
    }
}

/* Scripts of fuzz_link.c: three bytes a step. */
static void write_scripts(void)
{
    enum { SAY = 0, SAY_MANY = 2, SEND = 4, WAIT = 6, WAIT_LONG = 8, TICK = 10, LATE = 12, FORGE = 14 | 16 };
    static const uint8_t clean[] = {SAY, 0,    0, SEND, 0,    0,   SEND | 1, 0,    0, SAY | 1, 0,    0, SEND | 1, 0,
                                    0,   SEND, 0, 0,    WAIT, 250, 0,        TICK, 0, 0,       SEND, 0, 0};
    static const uint8_t bad[] = {SAY_MANY, 9,         0,    SEND, 0x93, 0,    SEND | 1, 0x40, 0,    WAIT_LONG, 19,       0,        TICK,
                                  0,        0,         SEND, 0x12, 0,    LATE, 0,        0,    LATE, 1,         0,        SEND | 1, 0,
                                  0,        WAIT_LONG, 19,   0,    TICK, 0,    0,        SEND, 0,    0,         SEND | 1, 0,        0};
    static const uint8_t forged[] = {SAY, 0, 0, SEND, 0xaa, 0, FORGE, 64, 5, FORGE, 72, 9, SEND | 1, 0, 0, FORGE, 12, 1};
    static const uint8_t death[] = {SEND, 0, 0, SEND | 1, 0, 0, WAIT_LONG, 250, 0, TICK, 0, 0, TICK | 1, 0, 0, SAY, 0, 0, SEND, 0, 0};
    write_seed("fuzz_link", "clean", clean, sizeof clean);
    write_seed("fuzz_link", "bad", bad, sizeof bad);
    write_seed("fuzz_link", "forged", forged, sizeof forged);
    write_seed("fuzz_link", "death", death, sizeof death);
}

/* ---- coordination -------------------------------------------------------------------------------------------------------------------- */

static void add_txn(struct buffer *all, const struct txn *txn)
{
    size_t at = all->len;
    put_u32(all, 0);
    put_txn(all, txn);
    patch_u32(all, at, (uint32_t)(all->len - at - 4));
}

/* Transactions behind their lengths: a session, nodes of all kinds, changes of them, a failure, the session's end. */
static void make_history(struct buffer *all, bool whole)
{
    struct buffer ops = {0};
    struct weir_bytes data = bytes_text("data"), none = bytes_of(NULL, 0);
    const struct op made[] = {
        {.type = OP_CREATE, .path = bytes_text("/p"), .data = data, .acl = acl_open()},
        {.type = OP_CREATE, .path = bytes_text("/p/e-0000000000"), .acl = acl_open(), .kind = NODE_EPHEMERAL, .owner = 1, .sequence = 1},
        {.type = OP_CREATE, .path = bytes_text("/c"), .data = none, .acl = acl_open(), .kind = NODE_CONTAINER},
        {.type = OP_CREATE, .path = bytes_text("/t"), .data = data, .acl = acl_open(), .kind = NODE_TTL, .owner = 60000},
        {.type = OP_SET, .path = bytes_text("/p"), .data = none},
        {.type = OP_SET_ACL, .path = bytes_text("/c"), .acl = acl_open()},
        {.type = OP_SET_QUOTA, .path = bytes_text("/c"), .quota = {10, 1000}},
        {.type = OP_CHECK, .path = bytes_text("/")},
        {.type = OP_DELETE, .path = bytes_text("/t")},
    };
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) put_txn_op(&ops, &made[i]);
    add_txn(all, &(struct txn){.type = TXN_OPEN, .order = 1, .ms = 1, .session = 1, .timeout_ms = 1000, .peer = 1, .token = 2});
    add_txn(all, &(struct txn){.type = TXN_WRITE,
                               .order = 2,
                               .ms = 2,
                               .session = 1,
                               .xid = 1,
                               .n_ops = sizeof made / sizeof made[0],
                               .ops = bytes_of(ops.data, ops.len)});
    add_txn(all, &(struct txn){.type = TXN_WRITE, .order = 3, .ms = 3, .session = 1, .xid = 2, .acked = 1, .err = COORD_NO_NODE});
    if (whole) add_txn(all, &(struct txn){.type = TXN_CLOSE, .order = 4, .ms = 4, .session = 1, .reason = TXN_CLOSED});
    buffer_close(&ops);
}

static void add_ask(struct buffer *all, uint8_t what, const struct ask *ask)
{
    put_u8(all, what);
    size_t at = all->len;
    put_u32(all, 0);
    put_ask(all, ask);
    patch_u32(all, at, (uint32_t)(all->len - at - 4));
}

static void add_reads(struct buffer *all, uint64_t xid)
{
    struct buffer list = {0};
    struct weir_bytes top = bytes_text("/"), none = bytes_of("", 0);
    for (enum get_type t = GET_DATA; t <= GET_WATCH; t++)
        put_get(&list, &(struct get){.type = t, .path = top, .watch = true, .after = none, .kind = WATCH_RECURSIVE});
    add_ask(all, 0, &(struct ask){.type = ASK_READ, .xid = xid, .linear = true, .n = GET_WATCH, .ops = bytes_of(list.data, list.len)});
    buffer_clear(&list);
    for (uint8_t kind = WATCH_DATA; kind <= WATCH_RECURSIVE; kind = (uint8_t)(2 * kind))
        put_rewatch(&list, &(struct rewatch){.kind = kind, .path = top});
    add_ask(all, 0, &(struct ask){.type = ASK_WATCHES, .xid = xid + 1, .n = 5, .ops = bytes_of(list.data, list.len)});
    add_ask(all, 0, &(struct ask){.type = ASK_UNWATCH, .xid = xid + 2, .kinds = WATCH_PERSISTENT, .path = top});
    buffer_close(&list);
}

static void write_conversation(void)
{
    struct buffer all = {0}, ops = {0};
    struct op op = {.type = OP_CREATE, .path = bytes_text("/n-"), .acl = acl_open(), .kind = NODE_EPHEMERAL, .sequential = true};
    for (int i = 0; i < 2; i++) add_ask(&all, (uint8_t)i, &(struct ask){.type = ASK_CONNECT, .timeout_ms = 1000});
    add_ask(&all, 0, &(struct ask){.type = ASK_AUTH, .xid = 1, .scheme = ACL_DIGEST, .credentials = bytes_text("u:p")});
    add_reads(&all, 2);
    put_request_op(&ops, &op);
    put_request_op(&ops, &(struct op){.type = OP_SET, .path = bytes_text("/"), .data = bytes_text("data"), .version = OP_ANY_VERSION});
    for (uint8_t i = 0; i < 2; i++)
        add_ask(&all, i, &(struct ask){.type = ASK_WRITE, .xid = 9, .acked = 1, .n = 2, .ops = bytes_of(ops.data, ops.len)});
    add_ask(&all, 9, &(struct ask){.type = ASK_PING});
    add_ask(&all, 0, &(struct ask){.type = ASK_SYNC, .xid = 10});
    add_ask(&all, 0, &(struct ask){.type = ASK_CONFIRM, .xid = 1});
    add_ask(&all, 1, &(struct ask){.type = ASK_CLOSE, .xid = 10});
    write_seed("fuzz_coord_server", "conversation", all.data, all.len);
    buffer_close(&all);
    buffer_close(&ops);
}

static void add_say(struct buffer *all, const struct say *say)
{
    struct buffer b = {0};
    put_say(&b, say);
    put_u8(all, 2);
    put_u16(all, (uint16_t)b.len);
    buffer_add(all, b.data, b.len);
    buffer_close(&b);
}

/* What a client hears: a session, the answer to a read with a watch, its event, the answer to a write. */
static void write_hearing(void)
{
    struct buffer all = {0}, body = {0};
    const uint64_t first_xid = (1u << 20) + 1; /* CLIENT_GREETINGS, and one */
    put_u8(&all, 1);
    add_say(&all, &(struct say){.type = SAY_CONNECTED, .zxid = {1, 1}, .session = 1, .timeout_ms = 1000});
    put_u8(&all, 33 << 2); /* a GET with a watch */
    put_u32(&body, 1);
    put_u16(&body, COORD_OK);
    put_data(&body, bytes_text("data"));
    put_stat(&body, &(struct coord_stat){.data_len = 4});
    add_say(&all, &(struct say){.type = SAY_REPLY, .zxid = {1, 2}, .xid = first_xid, .body = bytes_of(body.data, body.len)});
    add_say(&all, &(struct say){.type = SAY_EVENT, .zxid = {1, 3}, .event = EVENT_CHANGED, .path = bytes_text("/a")});
    put_u8(&all, 0); /* a CREATE */
    buffer_clear(&body);
    put_u16(&body, COORD_OK);
    put_u32(&body, 0);
    put_u16(&body, 1);
    put_u8(&body, OP_CREATE);
    put_bytes(&body, bytes_text("/a"));
    put_stat(&body, &(struct coord_stat){.data_len = 4});
    add_say(&all, &(struct say){.type = SAY_REPLY, .zxid = {1, 4}, .xid = first_xid + 1, .body = bytes_of(body.data, body.len)});
    add_say(&all, &(struct say){.type = SAY_PONG, .zxid = {1, 4}});
    add_say(&all, &(struct say){.type = SAY_CONFIRMED, .zxid = {1, 4}, .xid = 1});
    write_seed("fuzz_coord_client", "hearing", all.data, all.len);
    buffer_close(&all);
    buffer_close(&body);
}

static void write_ensemble(void)
{
    static const struct quorum_status status = {.id = 1,
                                                .role = 3,
                                                .leads = true,
                                                .members = {.n = 1, .at = {{.id = 1, .address = "x;y"}}},
                                                .n_followers = 1,
                                                .followers = {{.id = 2, .linked = true}}};
    struct buffer b = {0};
    put_quorum_status(&b, &status);
    write_seed("fuzz_coord_client", "status", b.data, b.len);
    buffer_clear(&b);
    put_quorum_ask(&b, &(struct quorum_ask){.type = QUORUM_ASK_RECONFIG, .n = 1, .changes = {{.member = {.id = 4, .address = "x"}}}});
    write_seed("fuzz_coord_client", "reconfig", b.data, b.len);
    buffer_close(&b);
}

/* Files of a peer's folder, behind a byte that says which: 1 a segment of the log, 2 a snapshot, 3 the epochs. */
static void write_files(const struct buffer *image)
{
    static const uint8_t head_rest[16];
    struct buffer log = {0}, epochs = {0}, snapshot = {0};
    put_u8(&log, 1);
    put_u32(&log, 0x474f4c57);
    put_u32(&log, 1);
    put_u64(&log, 1);
    put_zxid(&log, (struct zxid){1, 1});
    put_zxid(&log, (struct zxid){0});
    buffer_add(&log, head_rest, 16);
    for (uint64_t i = 1; i <= 3; i++) {
        struct zab_entry e = {.zxid = {1, i}, .prev = {i > 1, i - 1}, .bytes = bytes_text("an entry")};
        put_log_record(&log, &e, i > 1 ? 64 : 0);
    }
    put_u8(&epochs, 3);
    epochs_encode(&epochs, &(struct epochs){.cluster = {{1}}, .peer = 1, .accepted = 2, .current = 1, .generation = 1});
    put_u8(&snapshot, 2);
    put_u32(&snapshot, 0x504e5357);
    put_u32(&snapshot, 1);
    put_zxid(&snapshot, (struct zxid){1, 3});
    put_u32(&snapshot, 0);
    put_u32(&snapshot, crc32c(0, snapshot.data + 1, 28));
    put_u32(&snapshot, (uint32_t)image->len);
    put_u32(&snapshot, crc32c(0, image->data, image->len));
    buffer_add(&snapshot, image->data, image->len);
    size_t at = snapshot.len;
    put_u32(&snapshot, 0);
    put_u32(&snapshot, 0);
    put_u64(&snapshot, 1);
    put_u64(&snapshot, at - 1);
    patch_u32(&snapshot, at + 4, crc32c(0, snapshot.data + at + 8, 16));
    write_seed("fuzz_coord_log", "log", log.data, log.len);
    write_seed("fuzz_coord_log", "epochs", epochs.data, epochs.len);
    write_seed("fuzz_coord_log", "snapshot", snapshot.data, snapshot.len);
    buffer_close(&log);
    buffer_close(&epochs);
    buffer_close(&snapshot);
}

static void write_image(const struct buffer *history)
{
    struct coord_state s;
    struct applied applied = {0};
    struct reader r;
    struct buffer image = {0};
    bool last = false;
    if (coord_state_init(&s)) exit(1);
    reader_init(&r, history->data, history->len);
    for (uint64_t i = 1; reader_left(&r) > 0; i++)
        if (txn_apply(&s, (struct zxid){1, i}, read_bytes(&r, UINT32_MAX), &applied, NULL)) exit(1);
    struct image *m = image_begin(&s);
    while (m && !last)
        if (image_slice(m, IMAGE_SLICE_BYTES, &image, &last)) exit(1);
    write_seed("fuzz_coord_image", "image", image.data, image.len);
    write_files(&image);
    image_end(&m);
    buffer_close(&image);
    applied_close(&applied);
    coord_state_close(&s);
}

static void write_coord(void)
{
    struct buffer open = {0}, whole = {0};
    make_history(&open, false);
    make_history(&whole, true);
    write_seed("fuzz_coord_txn", "open", open.data, open.len);
    write_seed("fuzz_coord_txn", "whole", whole.data, whole.len);
    write_image(&open);
    write_conversation();
    write_hearing();
    write_ensemble();
    buffer_close(&open);
    buffer_close(&whole);
}

/* ---- checkpoints -----------------------------------------------------------------------------------------------------------------------
 */
static void write_checkpoints(void)
{
    static struct sample_pack pack;
    static struct sample_manifest manifest;
    struct sample_journal journal;
    struct buffer b = {0};
    if (pack_encode(sample_pack(&pack, 1), &b, NULL)) exit(1);
    write_seed("fuzz_pack", "all", b.data, b.len);
    buffer_clear(&b);
    if (manifest_encode(sample_manifest(&manifest, 1), &b, NULL)) exit(1);
    write_seed("fuzz_manifest", "all", b.data, b.len);
    buffer_clear(&b);
    if (journal_encode(sample_journal(&journal, 1), &b, NULL)) exit(1);
    write_seed("fuzz_journal", "all", b.data, b.len);
    buffer_close(&b);
}

/* ---- the catalog -----------------------------------------------------------------------------------------------------------------------
 */

/* With the key in front, as fuzz_records.c reads it. */
static void write_record(enum job_key key, const char *name, struct buffer *b)
{
    write_seed("fuzz_records", name, b->data, b->len);
    buffer_clear(b);
    const unsigned char next = (unsigned char)(key + 1);
    buffer_add(b, &next, 1);
}

static void write_records(void)
{
    static const char *const args[] = {"job", "--rows", "5"};
    static const struct job_option options[] = {{"execution.checkpointing.interval", "1s"}};
    struct job_submission sub = {.id = {{1}}, .digest = {{2}}, .size = 3, .name = "n", .cwd = "/", .parallelism = 2};
    struct ckpt_pointer pointer = {.id = 7, .owned = true, .path = (char *)(uintptr_t) "/c/chk-7", .bytes = 8, .crc32c = 9, .wall_ms = 10};
    struct graph_node node = {.id = "read", .name = "file", .kind = GRAPH_SOURCE, .n_outputs = 1};
    struct graph graph = {.name = "g", .n_nodes = 1, .nodes = &node};
    struct buffer b = {0};
    sub.args = args;
    sub.n_args = 3;
    sub.options = options;
    sub.n_options = 1;
    buffer_add(&b, "", 1);
    records_submission(&sub, 1, 2, &b);
    write_record(JOB_KEY_SUBMISSION, "submission", &b);
    if (graph_encode(&graph, &b)) exit(1);
    write_record(JOB_KEY_GRAPH, "graph", &b);
    struct job_worker worker = {.taskmanager = (char *)(uintptr_t) "tm-1"};
    records_attempt(&(struct job){.attempt = 2, .n_workers = 1, .workers = &worker}, 2, true, &b);
    write_record(JOB_KEY_ATTEMPT, "attempt", &b);
    records_counter(1, 2, &b);
    write_record(JOB_KEY_COUNTER, "counter", &b);
    records_pointers(1, (const struct ckpt_pointer *[]){&pointer}, 1, &b);
    write_record(JOB_KEY_POINTERS, "pointers", &b);
    struct job job = {.failure = {.code = WEIR_E_USER,
                                  .operator_id = (char *)(uintptr_t) "op",
                                  .reason = (char *)(uintptr_t) "why",
                                  .taskmanager = (char *)(uintptr_t) "tm-1"}};
    records_result(&job, JOB_FAILED, 5, &b);
    write_record(JOB_KEY_RESULT, "result", &b);
    records_cancel(1, &b);
    write_record(JOB_KEY_CANCEL, "cancel", &b);
    const struct ckpt_request requests[] = {{.id = {{1}}, .state = CKPT_REQUEST_WAITING, .path = "/save/1"},
                                            {.id = {{2}}, .state = CKPT_REQUEST_FAILED, .complete = true, .failure = "full"}};
    records_requests(1, requests, 2, &b);
    write_record(JOB_KEY_REQUESTS, "requests", &b);
    records_artifact(1, &(struct store_artifact){.size = 2, .name = "job.so", .uploaded_wall_ms = 3}, &b);
    write_record(JOB_KEYS, "artifact", &b);
    buffer_close(&b);
}

static void write_artifacts(void)
{
    static const char list[] = "{\"epoch\":1,\"version\":2,\"leader\":2,\"files\":[{\"id\":\""
                               "00000000000000000000000000000000000000000000000000000000000000aa\",\"name\":\"job.so\",\"size\":3,"
                               "\"uploaded\":4}]}";
    static const char answer[] = "{\"fetched\":1,\"missing\":[\"00000000000000000000000000000000000000000000000000000000000000aa\"]}";
    write_seed("fuzz_artifacts", "list", list, sizeof list - 1);
    write_seed("fuzz_artifacts", "answer", answer, sizeof answer - 1);
}

/* One message of every type, and scripts of fuzz_zab.c: a follower that is led, a leader that is followed. */
static struct zab_message zab_sample(enum zab_type type)
{
    struct zab_message m = {.type = type, .protocol = ZAB_PROTOCOL, .peer = 2, .session = 1, .round = 1, .epoch = 3, .nonce = 1};
    m.zxid = m.prev = m.commit = (struct zxid){2, 1};
    m.n_spans = 2;
    m.spans[0] = (struct zab_span){1, 1};
    m.spans[1] = (struct zab_span){2, 1};
    if (type == ZAB_ENTRY) m.zxid = (struct zxid){3, 1};
    if (type == ZAB_VOTE) m.state = ZAB_VOTE_LEADING;
    if (type == ZAB_PROMISE) m.flag = true;
    return m;
}

static void add_step(struct buffer *out, uint8_t what, uint8_t whom)
{
    buffer_add(out, (uint8_t[]){what, whom}, 2);
}

static void add_message(struct buffer *out, uint8_t from, const struct zab_message *m)
{
    struct buffer b = {0};
    message_encode(m, &b);
    buffer_add(out, (uint8_t[]){0, from, (uint8_t)b.len}, 3);
    buffer_add(out, b.data, b.len);
    buffer_close(&b);
}

static void write_zab_script(const char *name, const enum zab_type *types, size_t n, enum zab_vote_state state)
{
    struct buffer b = {0};
    add_step(&b, 1, 2);
    struct zab_message m = zab_sample(ZAB_HELLO);
    m.zxid = (struct zxid){0};
    add_message(&b, 2, &m);
    m = zab_sample(ZAB_VOTE);
    m.state = state;
    m.peer = state == ZAB_VOTE_LOOKING ? 1 : 2;
    m.epoch = 2;
    add_message(&b, 2, &m);
    for (size_t i = 0; i < n; i++) {
        m = zab_sample(types[i]);
        if (types[i] == ZAB_PROMISE) m.epoch = 2;
        add_message(&b, 2, &m);
        add_step(&b, 5, 0);
    }
    write_seed("fuzz_zab", name, b.data, b.len);
    buffer_close(&b);
}

static void write_zab(void)
{
    static const enum zab_type led[] = {ZAB_EPOCH, ZAB_SYNC, ZAB_NEW_LEADER, ZAB_UP_TO_DATE, ZAB_ENTRY, ZAB_COMMIT, ZAB_PING};
    static const enum zab_type installed[] = {ZAB_EPOCH, ZAB_SNAPSHOT, ZAB_NEW_LEADER, ZAB_UP_TO_DATE};
    static const enum zab_type followed[] = {ZAB_FOLLOW, ZAB_PROMISE, ZAB_JOINED, ZAB_ACK, ZAB_PONG, ZAB_BARRIER, ZAB_FORWARD};
    struct buffer b = {0};
    for (enum zab_type t = ZAB_HELLO; t < ZAB_TYPES; t++) {
        struct zab_message m = zab_sample(t);
        buffer_clear(&b);
        message_encode(&m, &b);
        write_seed("fuzz_zab", message_name(t), b.data, b.len);
    }
    buffer_close(&b);
    write_zab_script("led", led, sizeof led / sizeof led[0], ZAB_VOTE_LEADING);
    write_zab_script("installed", installed, sizeof installed / sizeof installed[0], ZAB_VOTE_LEADING);
    write_zab_script("followed", followed, sizeof followed / sizeof followed[0], ZAB_VOTE_LOOKING);
}

/* What a peer answers who reads the live configuration: {u8 what, u8 length, bytes} each. */
static void add_answer(struct buffer *out, const struct buffer *body)
{
    put_u8(out, 1);
    put_u8(out, (uint8_t)body->len);
    buffer_add(out, body->data, body->len);
}

static void add_children(struct buffer *out, const char *const *names, uint32_t n)
{
    struct buffer body = {0};
    put_u32(&body, 1);
    put_u16(&body, COORD_OK);
    put_stat(&body, &(struct coord_stat){.n_children = n});
    put_u8(&body, false);
    put_u32(&body, n);
    for (uint32_t i = 0; i < n; i++) put_bytes(&body, bytes_text(names[i]));
    add_answer(out, &body);
    buffer_close(&body);
}

static void add_value(struct buffer *out, const char *text)
{
    struct buffer body = {0};
    put_u32(&body, 1);
    put_u16(&body, COORD_OK);
    put_bytes(&body, bytes_text(text));
    put_stat(&body, &(struct coord_stat){0});
    add_answer(out, &body);
    buffer_close(&body);
}

static void write_live(void)
{
    static const char *const root_names[] = {"jobs", "log.level"}, *const jobs[] = {"0123456789abcdef0123456789abcdef"},
                             *const keys[] = {"job.rate"};
    struct buffer all = {0}, body = {0};
    put_u32(&body, 1);
    put_u16(&body, COORD_OK);
    add_answer(&all, &body); /* the watch */
    add_children(&all, root_names, 2);
    add_children(&all, jobs, 1);
    add_children(&all, keys, 1);
    add_value(&all, "5");
    add_value(&all, "debug");
    put_u16(&all, 2); /* an event: everything again */
    add_children(&all, root_names + 1, 1);
    add_value(&all, "warn");
    write_seed("fuzz_live_tree", "settings", all.data, all.len);
    buffer_close(&all);
    buffer_close(&body);
}

static void add_turn(struct buffer *all, uint8_t what, struct weir_bytes bytes)
{
    put_u8(all, what);
    put_u8(all, (uint8_t)bytes.length);
    buffer_add(all, bytes.data, bytes.length);
}

/* A claim, a value in two parts and the folder of none, then a value that is put in parts, and read back. */
static void write_catalog(void)
{
    static const char text[] = "twenty bytes of text";
    const struct catalog_note note = {.claim = 1, .number = 1, .length = 20, .part_bytes = 16, .crc32c = crc32c(0, text, 20)};
    struct buffer all = {0}, bytes = {0};
    catalog_note_put(&bytes, &note);
    for (int i = 0; i < 5; i++) add_turn(&all, 2, bytes_text(""));
    add_turn(&all, 2, bytes_text("1")); /* who led */
    add_turn(&all, 2, bytes_text(""));  /* claimed */
    add_turn(&all, 2, bytes_text("a")); /* an artifact */
    add_turn(&all, 2, bytes_of(bytes.data, bytes.len));
    add_turn(&all, 2, bytes_of(text, 16));
    add_turn(&all, 2, bytes_of(text + 16, 4));
    add_turn(&all, 2, bytes_text(""));  /* no jobs */
    add_turn(&all, 2, bytes_text("x")); /* folders of parts */
    add_turn(&all, 4, bytes_text("a value that is put in three parts"));
    for (int i = 0; i < 7; i++) add_turn(&all, 2, bytes_text(""));
    add_turn(&all, 5, bytes_text(""));
    add_turn(&all, 2, bytes_of(bytes.data, bytes.len));
    for (int i = 0; i < 4; i++) add_turn(&all, 2, bytes_of(text, 16));
    add_turn(&all, 6, bytes_text(""));
    for (int i = 0; i < 4; i++) add_turn(&all, 2, bytes_text("01"));
    write_seed("fuzz_catalog_tree", "parts", all.data, all.len);
    buffer_close(&all);
    buffer_close(&bytes);
}

#define SEED_KEY "ZQU%9F.f67jq:BSY!n+GHj9P#rLEpe(Q7=B6wkPb" /* of nobody */

static void write_text(const char *target, const char *name, const char *text)
{
    write_seed(target, name, text, strlen(text));
}

/* The first character chooses: 'c' is odd, for a list, 'b' is even, for a pair. */
static void write_keys(void)
{
    write_text("fuzz_keys", "pair", "b# weir key pair\npublic " SEED_KEY "\nsecret X%Ieu(svB%G@z45rixlNu9BY/CiyCC/47^J4X<sv\n");
    write_text("fuzz_keys", "half", "bpublic " SEED_KEY "\n\n");
    write_text("fuzz_keys", "list",
               "c# the cluster\njobmanager jm-1 " SEED_KEY
               " tcp://127.0.0.1:* tcp://[::1]:8081 ipc:///run/x\nadmin ann m-46lAS=[q/?iV}R*?@=pzT26i^MiKi#Yo4v{nem\r\n");
    write_text("fuzz_keys", "nothing", "c# nothing but words\n");
    write_text("fuzz_keys", "doubled", "cviewer a " SEED_KEY "\n\tclient b " SEED_KEY);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    root = argv[1];
    write_coord();
    write_messages();
    write_values();
    write_frames();
    write_scripts();
    write_checkpoints();
    write_records();
    write_artifacts();
    write_zab();
    write_live();
    write_catalog();
    write_keys();
    return 0;
}
