/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/checkpoint/layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HASH_DIGITS 32

const char *content_name(struct hash128 hash, uint64_t bytes, char out[static CONTENT_NAME])
{
    (void)snprintf(out, CONTENT_NAME, "%016" PRIx64 "%016" PRIx64 "-%" PRIu64, hash.high, hash.low, bytes);
    return out;
}

/* Decimal digits without a leading zero, to the end of the text. */
static bool parse_number(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (!*text || (text[0] == '0' && text[1])) return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value)) return false;
    }
    *out = value;
    return true;
}

static bool parse_hex(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    for (int i = 0; i < HASH_DIGITS / 2; i++) {
        char c = text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
        value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *out = value;
    return true;
}

bool content_parse(const char *name, struct hash128 *hash, uint64_t *bytes)
{
    struct hash128 h;
    uint64_t length;
    if (strlen(name) >= CONTENT_NAME || strlen(name) <= HASH_DIGITS + 1 || name[HASH_DIGITS] != '-') return false;
    if (!parse_hex(name, &h.high) || !parse_hex(name + HASH_DIGITS / 2, &h.low) || !parse_number(name + HASH_DIGITS + 1, &length))
        return false;
    *hash = h;
    *bytes = length;
    return true;
}

const char *layout_pack(uint32_t worker, char out[static PACK_NAME])
{
    (void)snprintf(out, PACK_NAME, "pack-%" PRIu32, worker);
    return out;
}

bool layout_is_pack(const char *name)
{
    uint64_t worker;
    return layout_number(name, "pack-", &worker) && worker <= UINT32_MAX;
}

bool layout_number(const char *name, const char *prefix, uint64_t *id)
{
    size_t length = strlen(prefix);
    return strncmp(name, prefix, length) == 0 && parse_number(name + length, id);
}

weir_err layout_join(const char *dir, const char *name, char out[static PATH_MAX], struct weir_diag *diag)
{
    int length = snprintf(out, PATH_MAX, "%s/%s", dir, name);
    if (length < 0 || length >= PATH_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "the path %.200s.../%s is longer than the system allows", dir, name);
    return WEIR_OK;
}

weir_err layout_job(const char *storage_dir, struct weir_id job, char out[static PATH_MAX], struct weir_diag *diag)
{
    char text[WEIR_ID_TEXT];
    return layout_join(storage_dir, id_text(job, text), out, diag);
}

weir_err layout_checkpoint(const char *job_dir, uint64_t id, char out[static PATH_MAX], struct weir_diag *diag)
{
    char name[32];
    (void)snprintf(name, sizeof name, "chk-%" PRIu64, id);
    return layout_join(job_dir, name, out, diag);
}
