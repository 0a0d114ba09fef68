/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "weir/base.h"

const char *weir_err_name(weir_err err)
{
    switch (err) {
    case WEIR_OK: return "OK";
    case WEIR_E_ARGUMENT: return "ARGUMENT";
    case WEIR_E_NOMEM: return "NOMEM";
    case WEIR_E_LIMIT: return "LIMIT";
    case WEIR_E_IO: return "IO";
    case WEIR_E_NOT_FOUND: return "NOT_FOUND";
    case WEIR_E_EXISTS: return "EXISTS";
    case WEIR_E_CORRUPT: return "CORRUPT";
    case WEIR_E_ABI: return "ABI";
    case WEIR_E_GRAPH: return "GRAPH";
    case WEIR_E_USER: return "USER";
    case WEIR_E_TIMEOUT: return "TIMEOUT";
    case WEIR_E_UNREACHABLE: return "UNREACHABLE";
    case WEIR_E_STATE: return "STATE";
    case WEIR_E_PROTOCOL: return "PROTOCOL";
    case WEIR_E_UNSUPPORTED: return "UNSUPPORTED";
    case WEIR_E_DENIED: return "DENIED";
    case WEIR_E_CANCELED: return "CANCELED";
    case WEIR_E_INTERNAL: return "INTERNAL";
    }
    return "UNKNOWN";
}

/* What a sentence cut to `len` bytes ends in, so that the reader knows. Never leaves half of a UTF-8 character before the dots. */
static void mark_cut(char text[WEIR_DIAG_MAX])
{
    size_t at = WEIR_DIAG_MAX - 4;
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80) at--;
    memcpy(text + at, "...", 4);
}

/* Formats into a sentence's space. The arguments may point into `text` itself, so the new sentence is built beside it. */
static void put(char text[WEIR_DIAG_MAX], const char *tail, const char *fmt, va_list args)
{
    char built[WEIR_DIAG_MAX];
    int n = vsnprintf(built, sizeof built, fmt, args);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (len < sizeof built && tail) {
        n = snprintf(built + len, sizeof built - len, ": %s", tail);
        len += n < 0 ? 0 : (size_t)n;
    }
    if (len >= sizeof built) mark_cut(built);
    memcpy(text, built, strlen(built) + 1);
}

weir_err weir_fail(struct weir_diag *diag, weir_err err, const char *fmt, ...)
{
    if (!diag) return err;
    va_list args;
    va_start(args, fmt);
    put(diag->text, NULL, fmt, args);
    va_end(args);
    diag->code = err;
    return err;
}

weir_err weir_fail_errno(struct weir_diag *diag, int errnum, const char *fmt, ...)
{
    weir_err err = errnum == ENOENT ? WEIR_E_NOT_FOUND : errnum == ENOMEM ? WEIR_E_NOMEM : WEIR_E_IO;
    if (!diag) return err;
    char space[128];
    const char *words = strerror_r(errnum, space, sizeof space); /* the GNU one, which returns the text */
    va_list args;
    va_start(args, fmt);
    put(diag->text, words, fmt, args);
    va_end(args);
    diag->code = err;
    return err;
}

weir_err weir_wrap(struct weir_diag *diag, weir_err err, const char *fmt, ...)
{
    if (!diag) return err;
    char cause[WEIR_DIAG_MAX];
    size_t len = strnlen(diag->text, sizeof cause - 1);
    memcpy(cause, diag->text, len);
    cause[len] = '\0';
    va_list args;
    va_start(args, fmt);
    put(diag->text, cause, fmt, args);
    va_end(args);
    return err;
}
