/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library for LD_PRELOAD: a process connects from the loopback address in FROMADDR, where it has not bound the socket itself. So packets
 * between processes of one machine tell by their two addresses who sent them and to whom, and a filter can drop those of one pair.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define EXPORT __attribute__((visibility("default")))

static void bind_to(int fd, const char *address)
{
    struct sockaddr_in own = {0}, from = {.sin_family = AF_INET};
    socklen_t length = sizeof own;
    const int later = 1; /* the port is chosen by connect: the same one may be used towards another destination */
    if (getsockname(fd, (struct sockaddr *)&own, &length) || own.sin_family != AF_INET || own.sin_addr.s_addr != INADDR_ANY) return;
    if (inet_pton(AF_INET, address, &from.sin_addr) != 1) return;
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &later, sizeof later);
    (void)bind(fd, (struct sockaddr *)&from, sizeof from);
}

EXPORT int connect(int fd, const struct sockaddr *to, socklen_t length)
{
    static int (*real)(int, const struct sockaddr *, socklen_t);
    const char *address = getenv("FROMADDR");
    if (!real) {
        void *found = dlsym(RTLD_NEXT, "connect");
        memcpy(&real, &found, sizeof real);
    }
    if (address && to && length >= sizeof(struct sockaddr_in) && to->sa_family == AF_INET) bind_to(fd, address);
    return real(fd, to, length);
}
