/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/id.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/random.h>

#include "runtime/base/assert.h"

static_assert(sizeof(crypto_hash_sha256_state) <= sizeof(((struct sha256 *)0)->opaque), "sha256 state");
static_assert(_Alignof(crypto_hash_sha256_state) <= 16, "sha256 alignment");
static_assert(crypto_hash_sha256_BYTES == sizeof(struct weir_digest), "digest");

struct weir_id id_random(void)
{
    struct weir_id id;
    ssize_t n;
    do n = getrandom(id.bytes, sizeof id.bytes, 0);
    while (n < 0 && errno == EINTR);
    WEIR_ASSERT(n == (ssize_t)sizeof id.bytes);
    return id;
}

bool id_equal(struct weir_id a, struct weir_id b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

bool id_is_zero(struct weir_id a)
{
    return id_equal(a, (struct weir_id){{0}});
}

uint64_t id_word(struct weir_id a)
{
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) word |= (uint64_t)a.bytes[i] << (8 * i);
    return word;
}

static const char *to_hex(const uint8_t *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
    return out;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

static bool from_hex(const char *text, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = digit_value(text[2 * i]);
        int low = high < 0 ? -1 : digit_value(text[2 * i + 1]); /* never reads behind the text's NUL */
        if (low < 0) return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * n] == '\0';
}

const char *id_text(struct weir_id a, char out[static WEIR_ID_TEXT])
{
    return to_hex(a.bytes, sizeof a.bytes, out);
}

bool id_parse(const char *text, struct weir_id *out)
{
    struct weir_id id;
    if (!from_hex(text, id.bytes, sizeof id.bytes)) return false;
    *out = id;
    return true;
}

bool digest_equal(struct weir_digest a, struct weir_digest b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

const char *digest_text(struct weir_digest a, char out[static WEIR_DIGEST_TEXT])
{
    return to_hex(a.bytes, sizeof a.bytes, out);
}

bool digest_parse(const char *text, struct weir_digest *out)
{
    struct weir_digest digest;
    if (!from_hex(text, digest.bytes, sizeof digest.bytes)) return false;
    *out = digest;
    return true;
}

/* SHA-256 in libsodium needs no sodium_init: that call only picks faster code for other algorithms and seeds its generator. */
static crypto_hash_sha256_state *state_of(struct sha256 *s)
{
    return (crypto_hash_sha256_state *)(void *)s->opaque;
}

void sha256_init(struct sha256 *s)
{
    crypto_hash_sha256_init(state_of(s));
}

void sha256_update(struct sha256 *s, const void *data, size_t n)
{
    crypto_hash_sha256_update(state_of(s), data, n);
}

struct weir_digest sha256_final(struct sha256 *s)
{
    struct weir_digest digest;
    crypto_hash_sha256_final(state_of(s), digest.bytes);
    return digest;
}
