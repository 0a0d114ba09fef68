/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weir: errors, diagnostics and the few attributes every other public header uses.
 *
 * A function that can fail returns a `weir_err`: WEIR_OK (0) or one code below. When it takes a `struct weir_diag *` (always last, may be
 * NULL), it also leaves a sentence there: what failed, the cause, and where one exists the remedy. Outputs stay untouched on failure.
 */
#ifndef WEIR_BASE_H
#define WEIR_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define WEIR_EXPORT __attribute__((visibility("default")))
#define WEIR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define WEIR_MUST_USE __attribute__((warn_unused_result))
#define WEIR_UNUSED __attribute__((unused))
#define WEIR_LIKELY(x) __builtin_expect(!!(x), 1)
#define WEIR_UNLIKELY(x) __builtin_expect(!!(x), 0)
#else
#error "Weir needs a compiler with GNU attributes (gcc or clang)"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Stable numbers: they travel in messages and stand in the documentation. Append only. */
typedef enum weir_err {
    WEIR_OK = 0,
    WEIR_E_ARGUMENT = 1,     /* the caller's value is outside its documented range */
    WEIR_E_NOMEM = 2,        /* an allocation or a memory budget failed */
    WEIR_E_LIMIT = 3,        /* a named limit was reached; the diagnostic names it */
    WEIR_E_IO = 4,           /* the operating system refused; the diagnostic has its words */
    WEIR_E_NOT_FOUND = 5,    /* no such file, job, plugin, key */
    WEIR_E_EXISTS = 6,       /* already there and must not be replaced */
    WEIR_E_CORRUPT = 7,      /* bytes that break their format or their checksum */
    WEIR_E_ABI = 8,          /* a plugin built for another Weir */
    WEIR_E_GRAPH = 9,        /* a job graph that cannot run: empty, cyclic, doubled ids, wrong input */
    WEIR_E_USER = 10,        /* user code returned or raised a failure */
    WEIR_E_TIMEOUT = 11,     /* a deadline passed */
    WEIR_E_UNREACHABLE = 12, /* a peer does not answer or is lost */
    WEIR_E_STATE = 13,       /* the request does not fit the present state (cancel of an ended job) */
    WEIR_E_PROTOCOL = 14,    /* a peer broke the protocol: version, sequence, order */
    WEIR_E_UNSUPPORTED = 15, /* known, but not by this build or format */
    WEIR_E_CANCELED = 16,    /* stopped on request */
    WEIR_E_INTERNAL = 17,    /* a defect in Weir; please report it */
    WEIR_E_DENIED = 18,      /* not for this key: it is not known there, or its role does not allow it */
} weir_err;

/* Longest diagnostic sentence, with its final NUL; longer ones are cut and end in "...". */
#define WEIR_DIAG_MAX 1024

/* Filled by a failing call. Zero-initialise it or not: a failing call overwrites it. Owner: the caller. */
struct weir_diag {
    weir_err code;
    char text[WEIR_DIAG_MAX];
};

/* The constant's name without the prefix, "CORRUPT"; "UNKNOWN" for a number that is none. Never NULL. Thread: any. */
WEIR_EXPORT const char *weir_err_name(weir_err err);

/*
 * Fills `diag` (NULL is allowed) and returns `err`, so that a failure is one line: `return weir_fail(diag, WEIR_E_IO, "...")`.
 * fmt must not end in a full stop or a line feed.
 */
WEIR_EXPORT weir_err weir_fail(struct weir_diag *diag, weir_err err, const char *fmt, ...) WEIR_PRINTF(3, 4);

/* As weir_fail, and appends ": " and the text for `errnum`. Returns WEIR_E_NOT_FOUND for ENOENT, WEIR_E_NOMEM for ENOMEM, else WEIR_E_IO.
 */
WEIR_EXPORT weir_err weir_fail_errno(struct weir_diag *diag, int errnum, const char *fmt, ...) WEIR_PRINTF(3, 4);

/* Puts context in front of the sentence already in `diag` ("restore task 3: ..."), keeps its code, returns `err`. */
WEIR_EXPORT weir_err weir_wrap(struct weir_diag *diag, weir_err err, const char *fmt, ...) WEIR_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif
#endif
