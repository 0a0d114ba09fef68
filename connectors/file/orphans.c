/* SPDX-License-Identifier: Apache-2.0 */
/* What attempts of the job that failed have left behind: prepared files that no restored checkpoint tells of. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "connectors/file/sink.h"

struct orphans {
    struct weir_ctx *ctx;
    char **kept; /* paths, sorted */
    uint32_t n_kept;
    bool deep;
};

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static weir_err no_memory(struct weir_ctx *ctx)
{
    return weir_fail(ctx->diag, WEIR_E_NOMEM, "file sink: no memory to recover");
}

static weir_err note_kept(struct orphans *o, const struct weir_bytes *kept, uint32_t n, struct show *s)
{
    for (uint32_t i = 0; i < n; i++) {
        char path[PATH_MAX];
        weir_err err = show_read(s, kept[i], o->ctx->diag);
        if (err) return err;
        if (!(s->flags & SHOW_FILE) || !name_join(path, s->dir, s->temporary)) continue;
        o->kept[o->n_kept] = strdup(path);
        if (!o->kept[o->n_kept++]) return no_memory(o->ctx);
    }
    qsort(o->kept, o->n_kept, sizeof *o->kept, compare);
    return WEIR_OK;
}

static bool is_kept(const struct orphans *o, const char *dir, const char *name)
{
    char path[PATH_MAX];
    const char *key = path;
    if (!name_join(path, dir, name)) return true; /* none of ours has such a path */
    return o->n_kept && bsearch(&key, o->kept, o->n_kept, sizeof *o->kept, compare);
}

static bool is_folder(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static weir_err remove_orphan(void *arg, const char *dir, const char *name, struct weir_diag *diag)
{
    struct orphans *o = arg;
    char path[PATH_MAX];
    if (name_is_orphan(name, o->ctx->job_id, o->ctx->attempt)) return is_kept(o, dir, name) ? WEIR_OK : folder_remove_file(dir, name, diag);
    bool may_be_ours = o->deep && name[0] != '.' && name[0] != '_' && name_join(path, dir, name);
    return may_be_ours && is_folder(path) ? folder_each(path, remove_orphan, o, diag) : WEIR_OK;
}

weir_err sink_remove_orphans(const char *dir, bool deep, struct weir_ctx *ctx, const struct weir_bytes *kept, uint32_t n_kept)
{
    if (ctx->subtask != 0 || ctx->attempt <= 1) return WEIR_OK;
    struct orphans o = {.ctx = ctx, .kept = calloc((size_t)n_kept + 1, sizeof *o.kept), .deep = deep};
    struct show *s = malloc(sizeof *s);
    weir_err err = o.kept && s ? note_kept(&o, kept, n_kept, s) : no_memory(ctx);
    if (!err) err = folder_each(dir, remove_orphan, &o, ctx->diag);
    for (uint32_t i = 0; i < o.n_kept; i++) free(o.kept[i]);
    free(o.kept);
    free(s);
    return err;
}
