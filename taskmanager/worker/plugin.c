/* SPDX-License-Identifier: Apache-2.0 */
#include "taskmanager/worker/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "api/src/note.h"
#include "runtime/base/limits.h"

static weir_err check_note(int fd, struct weir_diag *diag)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return weir_fail_errno(diag, errno, "look at the plugin");
    if (st.st_size <= 0 || st.st_size > WEIR_PLUGIN_MAX)
        return weir_fail(diag, WEIR_E_LIMIT, "a plugin of %lld bytes", (long long)st.st_size);
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) return weir_fail_errno(diag, errno, "map the plugin");
    weir_err err = note_check(data, (size_t)st.st_size, diag);
    (void)munmap(data, (size_t)st.st_size);
    return err;
}

weir_err plugin_load(const struct weir_plugin **out, int fd, struct weir_diag *diag)
{
    weir_err err = check_note(fd, diag);
    if (err) return err;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) return weir_fail(diag, WEIR_E_IO, "the plugin does not load: %s", dlerror());
    const struct weir_plugin *plugin = dlsym(handle, WEIR_PLUGIN_SYMBOL);
    if (!plugin) return weir_fail(diag, WEIR_E_ABI, "the plugin does not export %s: use WEIR_PLUGIN(...) once", WEIR_PLUGIN_SYMBOL);
    if (plugin->struct_size < sizeof *plugin || plugin->abi_major != WEIR_ABI_MAJOR || !plugin->build || !plugin->name)
        return weir_fail(diag, WEIR_E_ABI, "the plugin's descriptor does not fit its note: rebuild it");
    *out = plugin;
    return WEIR_OK;
}

weir_err plugin_build(struct weir_env **out, const struct weir_plugin *plugin, const char *cwd, uint32_t parallelism, int argc, char **argv,
                      struct weir_diag *diag)
{
    struct weir_env *env = NULL;
    weir_err err = weir_env_new(&env, argv[0], cwd, parallelism);
    if (err) return weir_fail(diag, err, "no memory for the graph");
    struct weir_diag said = {0};
    err = plugin->build(env, argc, argv, &said);
    if (err) {
        if (diag) *diag = said;
        if (diag && said.text[0] == '\0')
            (void)weir_fail(diag, err, "the plugin's entry function returned %s without a reason", weir_err_name(err));
    } else {
        err = weir_env_finish(env, diag);
    }
    if (err) {
        weir_env_destroy(&env);
        return err;
    }
    *out = env;
    return WEIR_OK;
}
