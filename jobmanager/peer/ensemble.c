/* SPDX-License-Identifier: Apache-2.0 */
#include "jobmanager/peer/ensemble.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/net/socket.h"

#define OBSERVER "observer:"

static_assert(ZAB_ADDRESS_MAX <= NET_ENDPOINT_MAX, "an endpoint of an address fits where endpoints go");

const char *ensemble_endpoint(const char *address, enum ensemble_address which, char out[static ZAB_ADDRESS_MAX])
{
    for (unsigned i = 0; i < (unsigned)which && *address != '\0'; i++) {
        address += strcspn(address, ";");
        if (*address == ';') address++;
    }
    (void)snprintf(out, ZAB_ADDRESS_MAX, "%.*s", (int)strcspn(address, ";"), address);
    return out;
}

static weir_err check_address(const char *address, struct weir_diag *diag)
{
    char endpoint[ZAB_ADDRESS_MAX];
    unsigned n = 1;
    for (const char *c = address; *c != '\0'; c++) n += *c == ';';
    if (n > ENSEMBLE_ADDRESSES) return weir_fail(diag, WEIR_E_ARGUMENT, "\"%s\" has more than %u endpoints", address, ENSEMBLE_ADDRESSES);
    for (unsigned i = 0; i < n; i++) {
        if (*ensemble_endpoint(address, (enum ensemble_address)i, endpoint) == '\0' && i != ENSEMBLE_PEER) continue;
        weir_err err = net_endpoint_check(endpoint, diag);
        if (err) return err;
    }
    return WEIR_OK;
}

/* "observer:ID=ADDRESS" of `length` bytes. */
static weir_err parse_member(const char *text, size_t length, struct zab_member *out, struct weir_diag *diag)
{
    char word[sizeof OBSERVER + 16 + ZAB_ADDRESS_MAX], *end;
    if (length >= sizeof word) return weir_fail(diag, WEIR_E_LIMIT, "a member's addresses have at most %u bytes", ZAB_ADDRESS_MAX - 1);
    memcpy(word, text, length);
    word[length] = '\0';
    out->observer = strncmp(word, OBSERVER, strlen(OBSERVER)) == 0;
    char *id = out->observer ? word + strlen(OBSERVER) : word;
    unsigned long long number = *id >= '1' && *id <= '9' ? strtoull(id, &end, 10) : 0;
    if (number == 0 || number > UINT32_MAX || *end != '=')
        return weir_fail(diag, WEIR_E_ARGUMENT, "\"%s\" is no member: ID=PEER;CLIENT;ADMIN;CONTROL", word);
    out->id = (uint32_t)number;
    if (strlen(end + 1) >= ZAB_ADDRESS_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "a member's addresses have at most %u bytes", ZAB_ADDRESS_MAX - 1);
    memcpy(out->address, end + 1, strlen(end + 1) + 1);
    return check_address(out->address, diag);
}

static weir_err add_member(struct zab_members *list, const struct zab_member *member, struct weir_diag *diag)
{
    if (members_find(list, member->id)) return weir_fail(diag, WEIR_E_ARGUMENT, "member %" PRIu32 " is there twice", member->id);
    if (list->n == ZAB_MEMBERS_MAX) return weir_fail(diag, WEIR_E_LIMIT, "an ensemble has at most %u members", ZAB_MEMBERS_MAX);
    uint32_t at = list->n;
    while (at > 0 && list->at[at - 1].id > member->id) at--;
    memmove(&list->at[at + 1], &list->at[at], (list->n - at) * sizeof list->at[0]);
    list->at[at] = *member;
    list->n++;
    return WEIR_OK;
}

static weir_err parse_all(const char *text, struct zab_members *out, struct weir_diag *diag)
{
    weir_err err = WEIR_OK;
    for (const char *at = text; !err && *at != '\0';) {
        struct zab_member member = {0};
        size_t length = strcspn(at, ", \n\t");
        if (length > 0) err = parse_member(at, length, &member, diag);
        if (length > 0 && !err) err = add_member(out, &member, diag);
        at += length;
        at += strspn(at, ", \n\t");
    }
    return err;
}

weir_err ensemble_parse(const char *text, uint32_t id, struct zab_members *out, struct weir_diag *diag)
{
    struct zab_members list = {0};
    weir_err err = parse_all(text, &list, diag);
    if (err) return err;
    if (list.n == 0) list = (struct zab_members){.n = 1, .at[0] = {.id = id}};
    if (!members_find(&list, id)) return weir_fail(diag, WEIR_E_ARGUMENT, "coordination.id %" PRIu32 " is not in coordination.peers", id);
    if (members_voters(&list) == 0) return weir_fail(diag, WEIR_E_ARGUMENT, "coordination.peers has observers only: nobody could decide");
    *out = list;
    return WEIR_OK;
}

const char *ensemble_clients(const struct zab_members *members, const char *own, char out[static ENSEMBLE_CLIENTS_MAX])
{
    char endpoint[ZAB_ADDRESS_MAX];
    size_t at = (size_t)snprintf(out, ENSEMBLE_CLIENTS_MAX, "%.*s", ZAB_ADDRESS_MAX - 1, own);
    for (uint32_t i = 0, n = at > 0; i < members->n && n < ZAB_MEMBERS_MAX; i++) {
        if (*ensemble_endpoint(members->at[i].address, ENSEMBLE_CLIENT, endpoint) == '\0' || strcmp(endpoint, own) == 0) continue;
        at += (size_t)snprintf(out + at, ENSEMBLE_CLIENTS_MAX - at, "%s%s", n++ ? "," : "", endpoint);
    }
    return out;
}

struct weir_id ensemble_cluster(const char *name)
{
    struct sha256 hash;
    struct weir_id id;
    sha256_init(&hash);
    sha256_update(&hash, name, strlen(name));
    struct weir_digest digest = sha256_final(&hash);
    memcpy(id.bytes, digest.bytes, sizeof id.bytes);
    return id;
}
