/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/assert.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* printf is not async-signal-safe, and a failed assertion may well be met in a signal handler or with a broken heap. */
static void print(const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t n = write(STDERR_FILENO, text, left);
        if (n <= 0) return;
        text += n;
        left -= (size_t)n;
    }
}

_Noreturn void weir_assert_failed(const char *file, int line, const char *condition)
{
    char digits[12];
    char *at = digits + sizeof digits - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + line % 10);
        line /= 10;
    } while (line > 0);
    print(file);
    print(":");
    print(at);
    print(": assertion failed: ");
    print(condition);
    print("\n");
    abort();
}
