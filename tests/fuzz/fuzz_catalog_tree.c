/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog's store above a peer that holds anything: the input is a list of {u8 what, u8 length, bytes}. 0: a message as it is. 1: the
 * bytes as body of the next reply. 2: a reply of the right form to the oldest request, with the bytes as data, or as names of one byte
 * each. 3, 4: the bytes are put, in parts if there are more than a few. 5: the key is read back; 6: deleted.
 */
#include <stdlib.h>
#include <string.h>

#include "jobmanager/catalog_tree.h"
#include "runtime/coord/protocol.h"
#include "runtime/coord/stat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ASKED_MAX 512

/* Requests that wait for their reply: what they read; 0: a write. */
struct asked {
    uint32_t n;
    struct {
        uint64_t xid;
        uint8_t type;
    } at[ASKED_MAX];
};

static void must(bool condition)
{
    if (!condition) abort();
}

static void listen(struct catalog_tree *t, struct asked *asked)
{
    struct weir_bytes message;
    struct ask ask;
    while (asked->n < ASKED_MAX && catalog_tree_say(t, &message, 0)) {
        struct get get = {0};
        struct reader r;
        must(read_ask(message, &ask));
        reader_init(&r, ask.ops.data, ask.ops.length);
        if (ask.type == ASK_READ) read_get(&r, &get);
        if (ask.type != ASK_READ && ask.type != ASK_WRITE) continue;
        asked->at[asked->n].xid = ask.xid;
        asked->at[asked->n++].type = (uint8_t)get.type;
    }
}

static void reply(struct catalog_tree *t, struct asked *asked, struct weir_bytes body)
{
    struct buffer bytes = {0};
    if (!asked->n) return;
    put_say(&bytes, &(struct say){.type = SAY_REPLY, .xid = asked->at[0].xid, .body = body});
    must(!bytes.err);
    memmove(&asked->at[0], &asked->at[1], --asked->n * sizeof asked->at[0]);
    catalog_tree_hear(t, bytes_of(bytes.data, bytes.len));
    buffer_close(&bytes);
}

/* As a good peer replies to the oldest request. */
static void reply_well(struct catalog_tree *t, struct asked *asked, struct weir_bytes content)
{
    struct buffer body = {0};
    struct coord_stat stat = {0};
    uint8_t type = asked->n ? asked->at[0].type : 0;
    if (type) put_u32(&body, 1);
    put_u16(&body, 0);
    if (type == GET_CHILDREN) {
        put_stat(&body, &stat);
        put_u8(&body, 0);
        put_u32(&body, content.length);
        for (uint32_t i = 0; i < content.length; i++) put_bytes(&body, bytes_of((const uint8_t *)content.data + i, 1));
    } else if (type) {
        put_data(&body, content);
        put_stat(&body, &stat);
    } else {
        put_u32(&body, 0);
    }
    must(!body.err);
    reply(t, asked, bytes_of(body.data, body.len));
    buffer_close(&body);
}

static void look(struct catalog_tree *t)
{
    const struct master_listed *at;
    struct catalog_answer answer;
    if (catalog_tree_state(t) != CATALOG_TREE_SERVING) return;
    uint32_t n = catalog_tree_listed(t, &at);
    for (uint32_t i = 0; i < n; i++) {
        must(!strncmp(at[i].key, "job/", 4) || !strncmp(at[i].key, "artifact/", 9));
        must(at[i].value.length <= CATALOG_VALUE_MAX);
    }
    while (catalog_tree_answer(t, &answer)) must(answer.outcome >= CATALOG_COMMITTED && answer.outcome <= CATALOG_UNKNOWN);
}

static void order(struct catalog_tree *t, uint8_t what, struct weir_bytes value)
{
    static uint64_t number;
    number++;
    struct catalog_order o = {.number = number, .kind = CATALOG_PUT, .key = "artifact/00", .value = value, .expected = number % 3};
    if (catalog_tree_state(t) != CATALOG_TREE_SERVING) return;
    if (what == 5) o.kind = CATALOG_GET;
    if (what == 6) o.kind = CATALOG_DELETE;
    if (what > 4) o.value = bytes_text("");
    catalog_tree_order(t, &o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct catalog_tree *t = NULL;
    struct asked asked = {0};
    struct buffer connected = {0};
    catalog_tree_new(&t, 7, 16);
    listen(t, &asked);
    put_say(&connected, &(struct say){.type = SAY_CONNECTED, .timeout_ms = 30000});
    must(!connected.err);
    catalog_tree_hear(t, bytes_of(connected.data, connected.len));
    buffer_close(&connected);
    for (size_t at = 0; at + 2 <= size && catalog_tree_state(t) != CATALOG_TREE_LOST;) {
        uint8_t what = data[at] % 7, length = data[at + 1];
        at += 2;
        if (length > size - at) length = (uint8_t)(size - at);
        struct weir_bytes bytes = bytes_of(data + at, length);
        listen(t, &asked);
        if (what == 0) catalog_tree_hear(t, bytes);
        if (what == 1) reply(t, &asked, bytes);
        if (what == 2) reply_well(t, &asked, bytes);
        if (what > 2) order(t, what, bytes);
        look(t);
        at += length;
    }
    catalog_tree_destroy(&t);
    return 0;
}
