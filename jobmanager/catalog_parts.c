/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are larger than a node: written, read and removed in parts (catalog_tree.h, catalog_note.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobmanager/catalog_tree_internal.h"
#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/coord/limits.h"

enum {
    UNDER_WAY_MAX = 4, /* parts of one value that are asked for and not answered; other requests come between */
    REMOVED_MAX = 1000 /* parts that go in one transaction */
};

static_assert(CATALOG_VALUE_MAX <= (size_t)CATALOG_TREE_NODE_BYTES * CATALOG_PARTS_MAX, "every value has room in its parts");

/* ---- which keys have parts ---- */

static struct large **find_large(struct catalog_tree *t, const char *key)
{
    struct large **at = &t->larges;
    while (*at && strcmp((*at)->key, key) != 0) at = &(*at)->next;
    return at;
}

bool catalog_parts_known(const struct catalog_tree *t, const struct catalog_note *note)
{
    for (const struct large *l = t->larges; l; l = l->next)
        if (catalog_note_same(&l->note, note)) return true;
    return false;
}

static void remember(struct large **at, const char *key, const struct catalog_note *note)
{
    struct large *l = calloc(1, sizeof *l);
    WEIR_ASSERT(l);
    (void)snprintf(l->key, sizeof l->key, "%s", key);
    l->note = *note;
    *at = l;
}

void catalog_parts_are(struct catalog_tree *t, const char *key, const struct catalog_note *note)
{
    struct large **at = find_large(t, key), *former = *at;
    if (former && note && catalog_note_same(&former->note, note)) return;
    if (former) {
        *at = former->next;
        catalog_parts_remove(t, &former->note);
        free(former);
    }
    if (note) remember(find_large(t, key), key, note);
}

/* ---- removing ---- */

void catalog_parts_remove(struct catalog_tree *t, const struct catalog_note *note)
{
    char path[CATALOG_PART_PATH];
    struct get get = {.type = GET_CHILDREN, .path = bytes_text(catalog_note_folder(note, path)), .max = REMOVED_MAX};
    catalog_ask_read(t, SAW_PARTS, &get, false)->note = *note;
}

static void put_delete(struct buffer *ops, const char *path)
{
    put_request_op(ops, &(struct op){.type = OP_DELETE, .path = bytes_text(path), .version = OP_ANY_VERSION});
}

void catalog_parts_saw(struct catalog_tree *t, const struct request *r, const struct say *say)
{
    struct reader in;
    struct buffer ops = {0};
    char folder[CATALOG_PART_PATH], path[CATALOG_PART_PATH + COORD_NAME_MAX + 1];
    reader_init(&in, say->body.data, say->body.length);
    (void)read_u32(&in);                   /* results: one */
    if (say->err || read_u16(&in)) return; /* it has gone; or the next leadership finds it */
    (void)read_stat(&in);
    bool more = read_bool(&in);
    uint32_t n = read_u32(&in);
    const struct op check = catalog_op_check(t);
    (void)catalog_note_folder(&r->note, folder);
    put_request_op(&ops, &check);
    for (uint32_t i = 0; i < n && !in.broken; i++) {
        struct weir_bytes name = read_bytes(&in, COORD_NAME_MAX);
        (void)snprintf(path, sizeof path, "%s/%.*s", folder, (int)name.length, (const char *)name.data);
        put_delete(&ops, path);
    }
    if (!more) put_delete(&ops, folder);
    WEIR_ASSERT(!ops.err);
    if (!in.broken && n <= REMOVED_MAX) {
        (void)catalog_ask_ops(t, REMOVED_PARTS, bytes_of(ops.data, ops.len), n + 1 + !more);
        if (more) catalog_parts_remove(t, &r->note);
    }
    buffer_close(&ops);
}

/* ---- writing ---- */

static struct large_put **find_put(struct catalog_tree *t, uint64_t number)
{
    struct large_put **at = &t->puts;
    while (*at && (*at)->number != number) at = &(*at)->next;
    return at;
}

/* Do both keys lie in one folder? */
static bool beside(const char *a, const char *b)
{
    size_t length = (size_t)(strrchr(a, '/') - a) + 1;
    return !strncmp(a, b, length) && !strchr(b + length, '/');
}

/* What is held already waits for the same value, and is given before. */
static bool must_wait(const struct catalog_tree *t, const char *key)
{
    for (const struct large_put *p = t->puts; p; p = p->next)
        if (beside(p->key, key)) return true;
    return false;
}

bool catalog_parts_hold(struct catalog_tree *t, const struct catalog_order *order)
{
    struct held **at = &t->held;
    if (!must_wait(t, order->key)) return false;
    struct held *h = calloc(1, sizeof *h);
    WEIR_ASSERT(h);
    h->order = *order;
    (void)snprintf(h->key, sizeof h->key, "%s", order->key);
    buffer_add(&h->value, order->value.data, order->value.length);
    WEIR_ASSERT(!h->value.err);
    h->order.key = h->key;
    h->order.value = bytes_of(h->value.data, h->value.len);
    while (*at) at = &(*at)->next;
    *at = h;
    return true;
}

static void free_held(struct held *h)
{
    buffer_close(&h->value);
    free(h);
}

/* A value is published or refused: what waited behind it is given, up to the next one. */
static void release(struct catalog_tree *t)
{
    for (struct held **at = &t->held, *h; (h = *at) != NULL;) {
        if (must_wait(t, h->key)) {
            at = &h->next;
            continue;
        }
        *at = h->next;
        catalog_carry_out(t, &h->order);
        free_held(h);
    }
}

static void leave_put(struct large_put **at)
{
    struct large_put *p = *at;
    *at = p->next;
    buffer_close(&p->value);
    free(p);
}

/* Its folder, then its parts, if there are more. */
static void write_next(struct catalog_tree *t, struct large_put *p)
{
    char path[CATALOG_PART_PATH];
    struct weir_bytes data = bytes_text("");
    uint32_t part = p->n_asked - 1;
    if (p->n_asked > catalog_note_parts(&p->note)) return;
    if (p->n_asked) data = bytes_of(p->value.data + (size_t)part * p->note.part_bytes, catalog_note_part_bytes(&p->note, part));
    const char *to = p->n_asked ? catalog_note_part(&p->note, part, path) : catalog_note_folder(&p->note, path);
    const struct op ops[] = {catalog_op_check(t), catalog_op_create(to, data, NODE_PERSISTENT)};
    catalog_ask_write(t, WROTE_PART, ops, 2)->answer.number = p->number;
    p->n_asked++;
}

void catalog_parts_put(struct catalog_tree *t, const struct catalog_order *order)
{
    struct large_put *p = calloc(1, sizeof *p);
    WEIR_ASSERT(p);
    uint32_t least = (order->value.length + CATALOG_PARTS_MAX - 1) / CATALOG_PARTS_MAX;
    p->number = order->number;
    p->expected = order->expected;
    (void)snprintf(p->key, sizeof p->key, "%s", order->key);
    buffer_add(&p->value, order->value.data, order->value.length);
    WEIR_ASSERT(!p->value.err);
    p->note = (struct catalog_note){.claim = t->leader_version,
                                    .number = ++t->last_folder,
                                    .length = order->value.length,
                                    .part_bytes = t->node_bytes > least ? t->node_bytes : least,
                                    .crc32c = crc32c(0, order->value.data, order->value.length)};
    p->next = t->puts;
    t->puts = p;
    for (uint32_t i = 0; i < UNDER_WAY_MAX; i++) write_next(t, p);
}

/* Everything lies there: this makes it the value. */
static void publish(struct catalog_tree *t, const struct large_put *p)
{
    struct buffer note = {0};
    catalog_note_put(&note, &p->note);
    WEIR_ASSERT(!note.err);
    const struct catalog_order order = {
        .number = p->number, .kind = CATALOG_PUT, .key = p->key, .value = bytes_of(note.data, note.len), .expected = p->expected};
    struct request *r = catalog_write_node(t, &order);
    r->large = true;
    r->note = p->note;
    buffer_close(&note);
}

/* Without its note it is no value, so it certainly has not been put. */
static void refuse(struct catalog_tree *t, const struct large_put *p, unsigned err)
{
    struct request *r = request_new(DID_ORDER);
    r->answer = (struct catalog_answer){.number = p->number, .version = p->expected};
    catalog_answer_order(t, r, CATALOG_REFUSED, err);
    catalog_parts_remove(t, &p->note);
}

/* The error of a write, and whether the check has failed it. A reply without a body says that it was not carried out, or that nobody knows.
 */
static unsigned err_of(const struct say *say, bool *deposed)
{
    struct reader in;
    *deposed = false;
    if (say->err && !say->body.length) return say->err;
    reader_init(&in, say->body.data, say->body.length);
    unsigned err = read_u16(&in);
    *deposed = err && read_u32(&in) == 0 && !in.broken;
    return in.broken ? COORD_MARSHALLING : err;
}

void catalog_parts_wrote(struct catalog_tree *t, const struct request *r, const struct say *say)
{
    struct large_put **at = find_put(t, r->answer.number), *p = *at;
    bool deposed;
    unsigned err = err_of(say, &deposed);
    if (!p) return; /* it was refused already */
    if (deposed) {
        catalog_lose(t, "another JobManager has begun to lead");
        return;
    }
    if (!err) write_next(t, p);
    if (!err && ++p->n_done <= catalog_note_parts(&p->note)) return; /* with the folder */
    if (err)
        refuse(t, p, err);
    else
        publish(t, p);
    leave_put(at);
    release(t);
}

/* ---- reading ---- */

static struct large_get **find_get(struct catalog_tree *t, uint64_t number)
{
    struct large_get **at = &t->gets;
    while (*at && ((*at)->order ? (*at)->order->answer.number : 0) != number) at = &(*at)->next;
    return at;
}

static void leave_get(struct large_get **at)
{
    struct large_get *g = *at;
    *at = g->next;
    buffer_close(&g->value);
    free(g);
}

static void read_next(struct catalog_tree *t, struct large_get *g)
{
    char path[CATALOG_PART_PATH];
    if (g->n_asked == catalog_note_parts(&g->note)) return;
    struct get get = {.type = GET_DATA, .path = bytes_text(catalog_note_part(&g->note, g->n_asked++, path))};
    catalog_ask_read(t, READ_PART, &get, false)->answer.number = g->order ? g->order->answer.number : 0;
}

void catalog_parts_get(struct catalog_tree *t, struct request *order, const char *key, uint64_t version, const struct catalog_note *note)
{
    struct large_get *g = calloc(1, sizeof *g);
    WEIR_ASSERT(g);
    g->order = order;
    g->version = version;
    g->note = *note;
    (void)snprintf(g->key, sizeof g->key, "%s", key);
    g->next = t->gets;
    t->gets = g;
    for (uint32_t i = 0; i < UNDER_WAY_MAX; i++) read_next(t, g);
}

static const char *damage_of(const struct large_get *g)
{
    if (g->torn || g->value.len != g->note.length) return "parts of it are missing";
    return crc32c(0, g->value.data, g->value.len) == g->note.crc32c ? NULL : "its checksum differs";
}

/* What is read back and is damaged is nobody's value: the note stands for it. */
static void give(struct catalog_tree *t, struct large_get *g, const char *damage)
{
    struct request *r = g->order;
    buffer_clear(&r->bytes);
    if (damage)
        catalog_note_put(&r->bytes, &g->note);
    else
        buffer_add(&r->bytes, g->value.data, g->value.len);
    WEIR_ASSERT(!r->bytes.err);
    r->answer.version = g->version;
    r->answer.value = bytes_of(r->bytes.data, r->bytes.len);
    catalog_answer_order(t, r, CATALOG_COMMITTED, 0);
}

static void take_part(struct large_get *g, const struct say *say)
{
    struct reader in;
    reader_init(&in, say->body.data, say->body.length);
    (void)read_u32(&in); /* results: one */
    uint16_t err = read_u16(&in);
    struct weir_bytes data = err ? (struct weir_bytes){0} : read_data(&in, COORD_DATA_MAX);
    if (err || in.broken || data.length != catalog_note_part_bytes(&g->note, g->n_done)) g->torn = true;
    if (!g->torn) buffer_add(&g->value, data.data, data.length);
    WEIR_ASSERT(!g->value.err);
    g->n_done++;
}

/* The peer does not answer: what is read back is asked for again, what is listed must be read. */
static void give_up_get(struct catalog_tree *t, struct large_get *g, unsigned err)
{
    if (g->order)
        catalog_answer_order(t, g->order, CATALOG_UNKNOWN, err);
    else
        catalog_lose(t, "the catalog could not be read from the tree: %s", coord_err_name(err));
}

void catalog_parts_read(struct catalog_tree *t, const struct request *r, const struct say *say)
{
    struct large_get **at = find_get(t, r->answer.number), *g = *at;
    if (!g) return;
    if (!say->err) {
        take_part(g, say);
        read_next(t, g);
        if (g->n_done < catalog_note_parts(&g->note)) return;
    }
    if (say->err)
        give_up_get(t, g, say->err);
    else if (g->order)
        give(t, g, damage_of(g));
    else
        catalog_listed_large(t, g, damage_of(g));
    leave_get(at);
}

void catalog_parts_close(struct catalog_tree *t)
{
    while (t->puts) leave_put(&t->puts);
    for (struct held *h; (h = t->held) != NULL;) {
        t->held = h->next;
        free_held(h);
    }
    while (t->gets) {
        request_free(t->gets->order);
        leave_get(&t->gets);
    }
    for (struct large *l = t->larges, *next; l; l = next) {
        next = l->next;
        free(l);
    }
}
