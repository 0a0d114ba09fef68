/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program's configuration. It declares the keys it knows; values come, each hiding those before it, from
 *
 *     default < file < drop-ins (FILE.d/NAME.yaml in name order) < environment (WEIR_SECTION_KEY) < flags (--section.key, a short one,
 *     -D section.key=value)
 *
 * whatever the order of the calls below. Each value knows its origin. A key nobody declared is an error that names the nearest one.
 *
 * A file is YAML: mappings of mappings down to plain values; `net: {port: 1}` and `net.port: 1` say the same. Lists, aliases and tags
 * are refused. Several programs may share a file, an environment and -D flags: sections (the part before the first dot) in `foreign` are
 * others' and passed over.
 *
 *     static const struct config_key keys[] = {
 *         {"config.file", CONFIG_STR, "/etc/weir/weir.yaml", .flag = "config", .help = "configuration file"},
 *         {"taskmanager.slots", CONFIG_INT, "1", .min = 1, .max = WEIR_SLOTS_MAX, .help = "slots offered"},
 *     };
 *     static const struct config_table table = {keys, 2, (const char *const[]){"jobmanager", NULL}};
 *     ...
 *     err = config_new(&config, &table);
 *     if (!err) err = config_load(config, "config.file", &argc, argv, environ, diag);
 *
 * Thread: one at a time while loading; then any number may read.
 */
#ifndef WEIR_RUNTIME_BASE_CONFIG_H
#define WEIR_RUNTIME_BASE_CONFIG_H

#include "runtime/base/buffer.h"

enum config_type {
    CONFIG_STR,
    CONFIG_INT,      /* whole number, decimal */
    CONFIG_DURATION, /* kept in milliseconds; written with a unit: 250ms 3s 5m 2h 1d; without one it is milliseconds */
    CONFIG_SIZE,     /* kept in bytes; 65536, 64KiB, 16MiB, 2GiB */
    CONFIG_BOOL,     /* true, false, yes, no, on, off, 1, 0; as a flag also --x and --no-x */
};

struct config_key {
    const char *name; /* "section.key": lower-case letters, digits, '-', and at least one dot */
    enum config_type type;
    const char *fallback; /* the default, written as in a file; checked like any other value */
    int64_t min, max;     /* of numbers; both 0 = any that is not negative */
    const char *flag;     /* a short flag's name without dashes, besides --section.key; NULL = none */
    const char *help;     /* half a sentence for config_help */
};

struct config_table {
    const struct config_key *keys;
    uint32_t n_keys;
    const char *const *foreign; /* NULL-terminated; NULL = none. "test" is always one: tests talk to each other by WEIR_TEST_... */
};

#define CONFIG_FILE_MAX (1u << 20) /* bytes of one file; a larger one is refused */
#define CONFIG_DROPINS_MAX 256     /* drop-ins of one file; with more the file is refused */
#define CONFIG_DEPTH_MAX 8         /* mappings in mappings */
#define CONFIG_NAME_MAX 120        /* bytes of a key */

struct config;

/* All values are defaults then. The table is kept. Asserts that the defaults fit their types. Errors: WEIR_E_NOMEM. */
weir_err config_new(struct config **out, const struct config_table *table);
void config_destroy(struct config **config);

/*
 * Reads one file and its drop-ins. A missing file is WEIR_E_NOT_FOUND unless `may_miss`; its drop-ins are read in any case. Errors:
 * WEIR_E_ARGUMENT (unknown key, value out of range, no YAML), WEIR_E_IO, WEIR_E_LIMIT, WEIR_E_NOMEM; the diagnostic has file and line.
 */
weir_err config_read_file(struct config *config, const char *path, bool may_miss, struct weir_diag *diag);

/* env: NAME=VALUE strings ending with NULL, as `environ`. WEIR_NET_PORT sets net.port; '-' in a key is '_' here. */
weir_err config_read_env(struct config *config, char *const *env, struct weir_diag *diag);

/*
 * Takes the flags out of argv (argv[0] stays): --x VALUE, --x=VALUE, -D KEY=VALUE. What remains, in order: words without dashes, --help,
 * --version, and all that follows "--" (without it). *argc and argv are changed on success only.
 */
weir_err config_read_flags(struct config *config, int *argc, char **argv, struct weir_diag *diag);

/*
 * All three. file_key: the key that names the file, "" = no file; a file nobody asked for (its key has the default) may be missing.
 */
weir_err config_load(struct config *config, const char *file_key, int *argc, char **argv, char *const *env, struct weir_diag *diag);

/* Values by name. Asking for a key that was not declared, or with another type, is a defect: asserted. Texts are borrowed. */
const char *config_str(const struct config *config, const char *name);
int64_t config_int(const struct config *config, const char *name); /* CONFIG_INT, CONFIG_DURATION and CONFIG_SIZE */
bool config_bool(const struct config *config, const char *name);
/* "default", "file /etc/weir.yaml:3", "environment WEIR_NET_PORT", "flag --net.port". */
const char *config_origin(const struct config *config, const char *name);
bool config_is_default(const struct config *config, const char *name);

/* A line a key: `--net.port VALUE   help (default 1)`. */
void config_help(const struct config_table *table, struct buffer *out);
/* A line a key: `net.port = 1   # file /etc/weir.yaml:3`. */
void config_show(const struct config *config, struct buffer *out);

#endif
