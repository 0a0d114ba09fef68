/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration from YAML files; the only user of libfyaml. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libfyaml.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/config_value.h"

struct walk {
    struct config *config;
    const char *path;
    struct weir_diag *diag;
};

static int line_of(struct fy_token *token)
{
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    return mark ? mark->line + 1 : 0;
}

/* ---- nodes --------------------------------------------------------------------------------------------------------------------- */

/* Puts `part` behind the section's name. False when the whole is longer than any key. */
static bool join(char out[CONFIG_NAME_MAX + 1], const char *section, const char *part, size_t len)
{
    int shown = (int)(len > CONFIG_NAME_MAX ? CONFIG_NAME_MAX + 1 : len);
    int n = snprintf(out, CONFIG_NAME_MAX + 1, "%s%s%.*s", section, *section ? "." : "", shown, part);
    return n >= 0 && n <= CONFIG_NAME_MAX;
}

/* The value of `name` is not one: says where, and what is wrong with it. */
static weir_err refuse(struct walk *w, int line, const char *name, const char *what)
{
    return weir_fail(w->diag, WEIR_E_ARGUMENT, "%s:%d: %s %s", w->path, line, name, what);
}

static weir_err set_scalar(struct walk *w, const char *name, struct fy_node *node, int line)
{
    size_t len = 0;
    const char *text = fy_node_get_scalar(node, &len);
    if (!text || fy_node_is_null(node)) return refuse(w, line, name, "has no value");
    if (memchr(text, '\0', len)) return refuse(w, line, name, "holds a NUL");
    char *copy = strndup(text, len);
    if (!copy) return weir_fail(w->diag, WEIR_E_NOMEM, "no memory for %s", w->path);
    char origin[PATH_MAX + 32];
    snprintf(origin, sizeof origin, "file %s:%d", w->path, line);
    weir_err err = config_set(w->config, CONFIG_RANK_FILE, name, copy, origin, w->diag);
    free(copy);
    return err;
}

static weir_err walk_mapping(struct walk *w, const char *section, struct fy_node *mapping, unsigned depth);

static weir_err walk_pair(struct walk *w, const char *section, struct fy_node_pair *pair, unsigned depth)
{
    char name[CONFIG_NAME_MAX + 1];
    struct fy_node *key = fy_node_pair_key(pair), *value = fy_node_pair_value(pair);
    size_t len = 0;
    const char *part = key && fy_node_is_scalar(key) && !fy_node_is_alias(key) ? fy_node_get_scalar(key, &len) : NULL;
    int line = key && fy_node_is_scalar(key) ? line_of(fy_node_get_scalar_token(key)) : 0;
    if (!part || len == 0 || memchr(part, '\0', len)) return refuse(w, line, "a key", "is not a plain word");
    if (!join(name, section, part, len)) return refuse(w, line, "a key", "is too long");
    if (config_is_foreign(w->config, name)) return WEIR_OK;
    if (!value) return refuse(w, line, name, "has no value");
    if (fy_node_get_tag_token(value)) return refuse(w, line, name, "has a tag; write a plain value");
    if (fy_node_is_alias(value) || fy_node_is_sequence(value)) return refuse(w, line, name, "is a list or an alias; write a plain value");
    if (fy_node_is_mapping(value)) return walk_mapping(w, name, value, depth + 1);
    return set_scalar(w, name, value, line);
}

static weir_err walk_mapping(struct walk *w, const char *section, struct fy_node *mapping, unsigned depth)
{
    if (depth > CONFIG_DEPTH_MAX)
        return weir_fail(w->diag, WEIR_E_LIMIT, "%s: more than %d mappings in each other", w->path, CONFIG_DEPTH_MAX);
    void *at = NULL;
    for (struct fy_node_pair *pair; (pair = fy_node_mapping_iterate(mapping, &at));) {
        weir_err err = walk_pair(w, section, pair, depth);
        if (err) return err;
    }
    return WEIR_OK;
}

/* ---- documents ----------------------------------------------------------------------------------------------------------------- */

static weir_err syntax_error(struct walk *w, struct fy_diag *log)
{
    void *at = NULL;
    struct fy_diag_error *first = fy_diag_errors_iterate(log, &at);
    if (!first) return weir_fail(w->diag, WEIR_E_ARGUMENT, "%s is not YAML", w->path);
    return weir_fail(w->diag, WEIR_E_ARGUMENT, "%s:%d: %s", w->path, first->line, first->msg);
}

static weir_err walk_document(struct walk *w, struct fy_document *doc)
{
    struct fy_node *root = fy_document_root(doc);
    if (!root || fy_node_is_null(root)) return WEIR_OK; /* an empty file, or comments only */
    if (!fy_node_is_mapping(root)) return weir_fail(w->diag, WEIR_E_ARGUMENT, "%s is not a mapping of keys to values", w->path);
    return walk_mapping(w, "", root, 1);
}

static weir_err parse(struct walk *w, struct fy_parser *parser, struct fy_diag *log, const char *text, size_t len)
{
    if (fy_parser_set_string(parser, text, len)) return weir_fail(w->diag, WEIR_E_NOMEM, "no memory for %s", w->path);
    weir_err err = WEIR_OK;
    struct fy_document *doc = fy_parse_load_document(parser);
    if (doc) err = walk_document(w, doc);
    fy_parse_document_destroy(parser, doc);
    struct fy_document *more = !err && doc ? fy_parse_load_document(parser) : NULL;
    if (more) err = weir_fail(w->diag, WEIR_E_ARGUMENT, "%s holds more than one document", w->path);
    fy_parse_document_destroy(parser, more);
    if (!err && fy_parser_get_stream_error(parser)) err = syntax_error(w, log);
    return err;
}

static weir_err read_text(struct walk *w, const char *text, size_t len)
{
    struct fy_diag *log = fy_diag_create(NULL);
    if (log) fy_diag_set_collect_errors(log, true);
    struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG, .diag = log};
    struct fy_parser *parser = log ? fy_parser_create(&cfg) : NULL;
    weir_err err = parser ? parse(w, parser, log, text, len) : weir_fail(w->diag, WEIR_E_NOMEM, "no memory for %s", w->path);
    fy_parser_destroy(parser);
    fy_diag_destroy(log);
    return err;
}

/* ---- files --------------------------------------------------------------------------------------------------------------------- */

/* The whole file, with a NUL behind. Gives *out (malloc). */
static weir_err slurp(int fd, const char *path, char **out, size_t *len, struct weir_diag *diag)
{
    char *text = malloc(CONFIG_FILE_MAX + 1);
    size_t n = 0;
    ssize_t got = 1;
    if (!text) return weir_fail(diag, WEIR_E_NOMEM, "no memory for %s", path);
    while (got > 0 && n <= CONFIG_FILE_MAX) {
        got = read(fd, text + n, CONFIG_FILE_MAX + 1 - n);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got > 0)
            n += (size_t)got;
    }
    weir_err err = WEIR_OK;
    if (got < 0)
        err = weir_fail_errno(diag, errno, "read %s", path);
    else if (n > CONFIG_FILE_MAX)
        err = weir_fail(diag, WEIR_E_LIMIT, "%s is larger than %u bytes", path, CONFIG_FILE_MAX);
    if (err) {
        free(text);
        return err;
    }
    text[n] = '\0';
    *out = text;
    *len = n;
    return WEIR_OK;
}

static weir_err read_one(struct config *config, const char *path, bool may_miss, struct weir_diag *diag)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 && may_miss && errno == ENOENT) return WEIR_OK;
    if (fd < 0) return weir_fail_errno(diag, errno, "open configuration %s", path);
    char *text = NULL;
    size_t len = 0;
    weir_err err = slurp(fd, path, &text, &len, diag);
    close(fd);
    if (!err) err = read_text(&(struct walk){config, path, diag}, text, len);
    free(text);
    return err;
}

static int is_dropin(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return n > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 5, ".yaml") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* not alphasort: the order must not depend on the locale */
}

static weir_err read_dropins(struct config *config, const char *path, struct weir_diag *diag)
{
    char folder[PATH_MAX], file[PATH_MAX];
    struct dirent **entries = NULL;
    if (snprintf(folder, sizeof folder, "%s.d", path) >= (int)sizeof folder)
        return weir_fail(diag, WEIR_E_LIMIT, "path too long: %s", path);
    int n = scandir(folder, &entries, is_dropin, by_bytes);
    if (n < 0 && (errno == ENOENT || errno == ENOTDIR)) return WEIR_OK;
    if (n < 0) return weir_fail_errno(diag, errno, "read folder %s", folder);
    weir_err err = WEIR_OK;
    if (n > CONFIG_DROPINS_MAX) err = weir_fail(diag, WEIR_E_LIMIT, "%s holds more than %d files", folder, CONFIG_DROPINS_MAX);
    for (int i = 0; i < n; i++) {
        if (!err && snprintf(file, sizeof file, "%s/%s", folder, entries[i]->d_name) >= (int)sizeof file)
            err = weir_fail(diag, WEIR_E_LIMIT, "path too long: %s/%s", folder, entries[i]->d_name);
        if (!err) err = read_one(config, file, false, diag);
        free(entries[i]);
    }
    free(entries);
    return err;
}

weir_err config_read_file(struct config *config, const char *path, bool may_miss, struct weir_diag *diag)
{
    weir_err err = read_one(config, path, may_miss, diag);
    return err ? err : read_dropins(config, path, diag);
}
