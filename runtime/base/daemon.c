/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/base/process.h"

static int usage_error(const struct daemon_program *p, const char *sentence)
{
    (void)fprintf(stderr, "%s: %s\n%s: --help lists the flags\n", p->name, sentence, p->name);
    return DAEMON_USAGE;
}

static int print_help(const struct daemon_program *p)
{
    struct buffer text = {0};
    config_help(p->table, &text);
    (void)printf("Usage: %s [flags]\n%s\n\n%s\n  -D KEY=VALUE   sets a key by its full name; those of other programs are passed over\n"
                 "  -h, --help     this text\n      --version  the version\n",
                 p->name, p->purpose, buffer_cstr(&text));
    buffer_close(&text);
    return fflush(stdout) == 0 ? DAEMON_OK : DAEMON_FAILED;
}

/* Words that are no flags: help and version are asked for here, anything else is a mistake. */
static int take_words(const struct daemon_program *p, int argc, char **argv)
{
    char sentence[256];
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) return print_help(p);
        if (strcmp(argv[i], "--version") == 0)
            return printf("%s %s\n", p->name, WEIR_VERSION) > 0 && fflush(stdout) == 0 ? DAEMON_OK : DAEMON_FAILED;
    }
    if (argc <= 1) return DAEMON_GO_ON;
    (void)snprintf(sentence, sizeof sentence, "'%s' is not a flag", argv[1]);
    return usage_error(p, sentence);
}

/* WEIR_JOBMANAGER tells jobctl where the JobManager is; it is no key of anybody's configuration. */
static weir_err load(struct config *config, int *argc, char **argv, struct weir_diag *diag)
{
    size_t n = 0, kept = 0;
    while (environ[n]) n++;
    char **env = calloc(n + 1, sizeof *env);
    if (!env) return weir_fail(diag, WEIR_E_NOMEM, "no memory for the environment");
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "WEIR_JOBMANAGER=", 16) != 0) env[kept++] = environ[i];
    weir_err err = config_load(config, "config.file", argc, argv, env, diag);
    free(env);
    return err;
}

static int apply(const struct daemon_program *p, const struct config *config)
{
    enum log_level level;
    if (log_level_parse(config_str(config, "log.level"), &level)) return usage_error(p, "log.level is none of debug, info, warn, error");
    log_init(p->component, level);
    int64_t parent = config_int(config, "process.exit-with-parent");
    if (parent == 0 || process_exit_with_parent(parent)) return DAEMON_GO_ON;
    (void)fprintf(stderr, "%s: the parent process has ended\n", p->name);
    return DAEMON_FAILED;
}

int daemon_configure(struct config **out, const struct daemon_program *program, int argc, char **argv)
{
    struct config *config = NULL;
    struct weir_diag diag = {0};
    if (config_new(&config, program->table)) return usage_error(program, "no memory");
    weir_err err = load(config, &argc, argv, &diag);
    int status = err ? usage_error(program, diag.text) : take_words(program, argc, argv);
    if (status == DAEMON_GO_ON) status = apply(program, config);
    if (status == DAEMON_GO_ON)
        *out = config;
    else
        config_destroy(&config);
    return status;
}

int daemon_main(const struct daemon_program *program, daemon_serve serve, int argc, char **argv)
{
    struct config *config = NULL;
    struct weir_diag diag = {0};
    int signals = process_signals_open(); /* before the parent's end may send one */
    int status = daemon_configure(&config, program, argc, argv);
    if (status != DAEMON_GO_ON) return status;
    weir_err err = signals < 0 ? weir_fail(&diag, WEIR_E_IO, "cannot wait for signals") : serve(config, signals, &diag);
    if (err) log_error("cannot run", "code=%s reason=\"%s\"", weir_err_name(err), diag.text);
    config_destroy(&config);
    return err ? DAEMON_FAILED : DAEMON_OK;
}
