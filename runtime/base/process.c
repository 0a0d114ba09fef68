/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

int process_signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int process_signals_next(int fd)
{
    struct signalfd_siginfo info;
    return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

bool process_exit_with_parent(int64_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) return false;
    return getppid() == parent; /* asked afterwards: had the parent ended in between, the kernel would stay silent */
}

weir_err process_beside(const char *name, char *out, size_t size, struct weir_diag *diag)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) return weir_fail_errno(diag, errno, "cannot find out where this program is");
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) *slash = '\0';
    int len = snprintf(out, size, "%s/%s", self, name);
    if (len < 0 || (size_t)len >= size) return weir_fail(diag, WEIR_E_LIMIT, "the folder of this program has a name that is too long");
    return WEIR_OK;
}

int memfd_new(const char *name)
{
    return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

weir_err memfd_write(int fd, uint64_t offset, const void *data, size_t len, struct weir_diag *diag)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(fd, (const char *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return weir_fail_errno(diag, n < 0 ? errno : ENOMEM, "write %zu bytes to a memory file", len);
        done += (size_t)n;
    }
    return WEIR_OK;
}

static weir_err add_seals(int fd, int seals, struct weir_diag *diag)
{
    if (fcntl(fd, F_ADD_SEALS, seals) == 0) return WEIR_OK;
    return weir_fail_errno(diag, errno, "seal a memory file");
}

weir_err memfd_seal(int fd, struct weir_diag *diag)
{
    return add_seals(fd, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL, diag);
}

weir_err memfd_seal_size(int fd, uint64_t size, struct weir_diag *diag)
{
    if (ftruncate(fd, (off_t)size) != 0) return weir_fail_errno(diag, errno, "give a memory file %llu bytes", (unsigned long long)size);
    return add_seals(fd, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, diag);
}
