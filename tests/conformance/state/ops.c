/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/state/ops.h"

#include <inttypes.h>
#include <stdlib.h>

#include "runtime/base/hash.h"

static const char *const verbs[VERBS] = {
    "safe point",
    "namespace",
    "prefetch",
    "value edit",
    "value find",
    "value find and edit",
    "value read",
    "value write",
    "value clear",
    "value probe",
    "value scan",
    "value scan and remove",
    "reducing add",
    "aggregating add",
    "list add",
    "list scan",
    "list scan and add",
    "list is empty",
    "list clear",
    "map get",
    "map put",
    "map value",
    "map remove",
    "map scan",
    "map scan and remove",
    "map is empty",
    "map clear",
    "ordered put",
    "ordered get",
    "ordered remove",
    "ordered remove before",
    "ordered range",
    "ordered range and remove",
    "ordered clear",
    "timer set",
    "timer delete",
    "timer first",
    "timer pop",
    "pane make",
    "panes list",
    "pane probe",
    "pane find",
    "pane remove",
    "pane scan",
    "pane scan and remove",
    "pane drop",
    "broadcast get",
    "broadcast put",
    "broadcast remove",
    "broadcast scan",
    "operator list add",
    "operator list read",
    "operator list clear",
};

const char *verb_name(enum verb verb)
{
    return verbs[verb];
}

void answer_close(struct answer *a)
{
    free(a->data);
    *a = (struct answer){0};
}

void say_raw(struct answer *a, const void *data, size_t n)
{
    if (a->cap - a->n < n) {
        a->cap = (a->n + n) * 2 + 64;
        a->data = realloc(a->data, a->cap);
        MUST(a->data != NULL);
    }
    if (n) memcpy(a->data + a->n, data, n);
    a->n += n;
}

void say_u64(struct answer *a, uint64_t number)
{
    say_raw(a, &number, sizeof number);
}

void say_bytes(struct answer *a, struct weir_bytes bytes)
{
    say_u64(a, bytes.data ? (uint64_t)bytes.length + 1 : 0);
    if (bytes.data) say_raw(a, bytes.data, bytes.length);
}

uint64_t heard_u64(const struct answer *a, size_t at)
{
    uint64_t number = 0;
    if (a->n >= at + sizeof number) memcpy(&number, a->data + at, sizeof number);
    return number;
}

void op_print(FILE *to, const struct op *op, const struct config *config)
{
    fprintf(to, "%s", verbs[op->verb]);
    if (op->state < config->n_states) fprintf(to, " of %s", config->states[op->state].name);
    if (op->key && !op->n) fprintf(to, ", key of %u bytes in group %u", op->key->length, (unsigned)hash_key_group(op->key->hash));
    if (op->n) fprintf(to, ", %u keys", op->n);
    if (op->user_key.data) fprintf(to, ", own key of %u bytes", op->user_key.length);
    fprintf(to, ", %u bytes, times %" PRId64 " %" PRId64 ", seq %" PRIu64 ", pane %" PRId64 ", instance %u, domain %u, limit %u\n",
            op->bytes.length, op->time_ms, op->until_ms, op->seq, op->pane, op->instance, (unsigned)op->domain, op->limit);
}

void nudge(void *value, uint32_t size, uint32_t i)
{
    unsigned char *bytes = value;
    bytes[0] = (unsigned char)(bytes[0] + i + 1);
    bytes[size - 1] ^= (unsigned char)i;
}

void fold(void *acc, const void *value, uint32_t size)
{
    unsigned char *to = acc;
    const unsigned char *from = value;
    for (uint32_t i = 0; i < size; i++) to[i] = (unsigned char)(to[i] * 31 + from[i]);
}

void fold_row(void *acc, uint64_t row)
{
    uint64_t parts[2];
    memcpy(parts, acc, sizeof parts);
    parts[0] = parts[0] * 31 + row;
    parts[1]++;
    memcpy(acc, parts, sizeof parts);
}

uint64_t row_of(const struct op *op, uint32_t record)
{
    return op->salt * 0x9e3779b97f4a7c15u + record;
}

bool picked(uint64_t salt, const void *data, uint32_t length)
{
    return hash64_seed(data, length, salt) % 3 == 0;
}
