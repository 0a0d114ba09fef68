/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job plugin: a shared object with one descriptor and one ELF note.
 *
 * The note (section .note.weir, owner "Weir", type 1) holds the ABI version and the sizes of the public structs the plugin was compiled
 * with. It is read from the file before the file is loaded, so a plugin for another Weir is refused in words before any of its code runs.
 * Rule: WEIR_ABI_MAJOR changes when something public changes its meaning or layout; WEIR_ABI_MINOR when something is added at an end.
 */
#ifndef WEIR_PLUGIN_H
#define WEIR_PLUGIN_H

#include "weir/operator.h"
#include "weir/source.h"
#include "weir/stream.h"
#include "weir/window.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef WEIR_ABI_MAJOR /* tests build plugins for other versions */
#define WEIR_ABI_MAJOR 1u
#endif
#define WEIR_ABI_MINOR 0u
#define WEIR_NOTE_TYPE 1u
#define WEIR_NOTE_OWNER "Weir"

/* Little-endian 32-bit words, as in the note. Append only. */
struct weir_abi_note {
    uint32_t abi_major;
    uint32_t abi_minor;
    uint32_t size_record; /* sizeof of each struct the plugin and the runtime share */
    uint32_t size_batch;
    uint32_t size_out;
    uint32_t size_ctx;
    uint32_t size_key;
    uint32_t size_operator;
    uint32_t size_source;
    uint32_t size_schema;
    uint32_t size_field;
    uint32_t size_aggregate;
};

#define WEIR_ABI_NOTE_INIT                                                                                              \
    {                                                                                                                   \
        WEIR_ABI_MAJOR, WEIR_ABI_MINOR, sizeof(struct weir_record), sizeof(struct weir_batch), sizeof(struct weir_out), \
            sizeof(struct weir_ctx), sizeof(struct weir_key), sizeof(struct weir_operator), sizeof(struct weir_source), \
            sizeof(struct weir_schema), sizeof(struct weir_field), sizeof(struct weir_aggregate)                        \
    }

/* Builds the job's graph. argv[0] is the job's name, the rest what followed `--` on jobctl's line. A failure refuses the job. */
typedef weir_err (*weir_job_fn)(struct weir_env *env, int argc, char **argv, struct weir_diag *diag);

struct weir_plugin {
    size_t struct_size;
    uint32_t abi_major;
    uint32_t abi_minor;
    const char *name;    /* the job's default name */
    const char *version; /* the author's */
    weir_job_fn build;
};

#define WEIR_PLUGIN_SYMBOL "weir_plugin_v1"

/* WEIR_PLUGIN("accesslog", "1.0", build): once in a plugin. */
#define WEIR_PLUGIN(name_, version_, build_)                                                                                           \
    __attribute__((section(".note.weir"), used, aligned(4))) static const struct {                                                     \
        uint32_t owner_size, desc_size, type;                                                                                          \
        char owner[8];                                                                                                                 \
        struct weir_abi_note desc;                                                                                                     \
    } weir_plugin_note_ = {sizeof WEIR_NOTE_OWNER, sizeof(struct weir_abi_note), WEIR_NOTE_TYPE, WEIR_NOTE_OWNER, WEIR_ABI_NOTE_INIT}; \
    extern WEIR_EXPORT const struct weir_plugin weir_plugin_v1;                                                                        \
    const struct weir_plugin weir_plugin_v1 = {sizeof(struct weir_plugin), WEIR_ABI_MAJOR, WEIR_ABI_MINOR, name_, version_, build_}

#ifdef __cplusplus
}
#endif
#endif
