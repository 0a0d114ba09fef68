/* SPDX-License-Identifier: Apache-2.0 */
/* Identifiers: random 128-bit ids of jobs and incarnations, SHA-256 digests of artifacts; their hexadecimal text. */
#ifndef WEIR_RUNTIME_BASE_ID_H
#define WEIR_RUNTIME_BASE_ID_H

#include "weir/base.h"

struct weir_id {
    uint8_t bytes[16];
};
struct weir_digest {
    uint8_t bytes[32];
};

#define WEIR_ID_TEXT 33     /* 32 hex digits and NUL */
#define WEIR_DIGEST_TEXT 65 /* 64 hex digits and NUL */

struct weir_id id_random(void); /* from the kernel's generator; aborts when it fails */
bool id_equal(struct weir_id a, struct weir_id b);
bool id_is_zero(struct weir_id a);
uint64_t id_word(struct weir_id a); /* its first eight bytes, little-endian: the job's name in frames */
const char *id_text(struct weir_id a, char out[static WEIR_ID_TEXT]);
bool id_parse(const char *text, struct weir_id *out); /* exactly 32 lower-case hex digits */

bool digest_equal(struct weir_digest a, struct weir_digest b);
const char *digest_text(struct weir_digest a, char out[static WEIR_DIGEST_TEXT]);
bool digest_parse(const char *text, struct weir_digest *out);

/* SHA-256 (libsodium). Embedded value: init, update any number of times, final once. */
struct sha256 {
    _Alignas(16) unsigned char opaque[128];
};
void sha256_init(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *data, size_t n);
struct weir_digest sha256_final(struct sha256 *s);

#endif
