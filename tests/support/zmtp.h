/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection begins that knows ZMTP 3.1 and has no keys (rfc.zeromq.org/spec/37): for tests that talk to a port by themselves. */
#ifndef WEIR_TESTS_SUPPORT_ZMTP_H
#define WEIR_TESTS_SUPPORT_ZMTP_H

#include <stddef.h>
#include <string.h>

#define ZMTP_GREETING_BYTES 64
#define ZMTP_MECHANISM_AT 12 /* in a greeting */

/* Greeting with the NULL mechanism, and READY of a DEALER; returns how many bytes, of 128 at most. */
static inline size_t zmtp_begin(unsigned char *out)
{
    static const char ready[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06"
                                "DEALER";
    memset(out, 0, ZMTP_GREETING_BYTES);
    out[0] = 0xff;
    out[9] = 0x7f;
    out[10] = 3;
    memcpy(out + ZMTP_MECHANISM_AT, "NULL", 4);
    memcpy(out + ZMTP_GREETING_BYTES, ready, sizeof ready - 1);
    return ZMTP_GREETING_BYTES + sizeof ready - 1;
}

#endif
