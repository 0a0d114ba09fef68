/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live configuration from a peer that answers anything: the input is a list of {u8 what, u8 length, bytes}. 0: a message as it is. 1:
 * the body of the reply to what was asked last. 2: an event. 3: a job is to be forgotten. What is read keeps to its limits, and every
 * setting lies where its path says.
 */
#include <stdlib.h>
#include <string.h>

#include "jobmanager/live_tree.h"
#include "runtime/coord/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) abort();
}

static void hear(struct live_tree *t, struct say *say)
{
    struct buffer bytes = {0};
    put_say(&bytes, say);
    must(!bytes.err);
    live_tree_hear(t, bytes_of(bytes.data, bytes.len));
    buffer_close(&bytes);
}

/* Takes what the tree says; the number of its last request. */
static uint64_t listen(struct live_tree *t)
{
    static uint64_t xid;
    struct weir_bytes message;
    struct ask ask;
    while (live_tree_say(t, &message, 0)) {
        must(read_ask(message, &ask));
        if (ask.type == ASK_READ || ask.type == ASK_WRITE) xid = ask.xid;
    }
    return xid;
}

static void look(const struct live_tree *t)
{
    const struct live_setting *at;
    uint32_t n;
    char path[LIVE_PATH_MAX];
    struct live_setting again;
    if (!live_tree_reading(t, &at, &n)) return;
    must(n <= LIVE_SETTINGS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        live_path(at[i].job, at[i].key, path);
        must(live_parse_path(path, &again));
        must(strcmp(again.job, at[i].job) == 0 && strcmp(again.key, at[i].key) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct live_tree *t = NULL;
    live_tree_new(&t);
    (void)listen(t);
    hear(t, &(struct say){.type = SAY_CONNECTED, .timeout_ms = 30000});
    for (size_t at = 0; at + 2 <= size && !live_tree_lost(t);) {
        uint8_t what = data[at] % 4, length = data[at + 1];
        at += 2;
        if (length > size - at) length = (uint8_t)(size - at);
        struct weir_bytes bytes = bytes_of(data + at, length);
        uint64_t xid = listen(t);
        if (what == 0) live_tree_hear(t, bytes);
        if (what == 1) hear(t, &(struct say){.type = SAY_REPLY, .xid = xid, .body = bytes});
        if (what == 2) hear(t, &(struct say){.type = SAY_EVENT, .event = 1, .path = bytes_text(LIVE_ROOT)});
        if (what == 3) live_tree_forget(t, (struct weir_id){{length}});
        look(t);
        at += length;
    }
    live_tree_destroy(&t);
    return 0;
}
