/* SPDX-License-Identifier: Apache-2.0 */
/* Files of keys: a key pair (first byte even) or a list of known keys. What is accepted is written and read again as the same. */
#include <stdlib.h>
#include <string.h>

#include "runtime/net/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) abort();
}

static void try_pair(const char *text, size_t length)
{
    struct net_key_pair pair, again;
    struct buffer b = {0};
    struct weir_diag diag = {0};
    weir_err err = net_key_pair_parse(&pair, text, length, &diag);
    must(!err || diag.text[0] != '\0');
    if (err) return;
    net_key_pair_text(&pair, "fuzz", &b);
    must(net_key_pair_parse(&again, (const char *)b.data, b.len, NULL) == WEIR_OK);
    must(memcmp(&pair, &again, sizeof pair) == 0);
    buffer_close(&b);
}

static void check_list(const struct net_known_keys *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        const struct net_known_key *k = &list->at[i];
        must(strlen(k->key) == NET_KEY_TEXT - 1 && k->role && net_key_name_valid(k->name, strlen(k->name)));
        must(net_known_keys_find(list, k->key) == k);
        must(k->n_endpoints == 0 || k->role == NET_ROLE_JOBMANAGER);
        for (uint32_t j = 0; j < k->n_endpoints; j++)
            must(net_known_keys_at(list, k->endpoints[j]) && !net_endpoint_check_as(k->endpoints[j], true, NULL));
    }
}

static void try_list(const char *text, size_t length)
{
    struct net_known_keys list = {0}, again = {0};
    struct buffer b = {0};
    struct weir_diag diag = {0};
    weir_err err = net_known_keys_parse(&list, text, length, "fuzz", &diag);
    must(!err || diag.text[0] != '\0');
    if (!err) {
        check_list(&list);
        for (uint32_t i = 0; i < list.n; i++) net_known_key_text(&list.at[i], &b);
        must(net_known_keys_parse(&again, (const char *)b.data, b.len, "again", NULL) == WEIR_OK);
        must(again.n == list.n && (list.n == 0 || memcmp(again.at, list.at, list.n * sizeof *list.at) == 0));
    }
    buffer_close(&b);
    net_known_keys_close(&list);
    net_known_keys_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536) return 0;
    char *copy = malloc(size > 1 ? size - 1 : 1); /* of its own size: what reads beyond it is seen */
    must(copy);
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 1)
        try_list(copy, size - 1);
    else
        try_pair(copy, size - 1);
    free(copy);
    return 0;
}
