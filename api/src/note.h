/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ELF note of a plugin (weir/plugin.h), read from the file's bytes before the file is loaded: a plugin for another machine or another
 * Weir is refused in words, before any of its code runs.
 */
#ifndef WEIR_API_SRC_NOTE_H
#define WEIR_API_SRC_NOTE_H

#include "weir/base.h"

/*
 * Checks that the bytes are a shared object for this machine with a Weir note that fits this build: same ABI major, no newer minor, same
 * sizes of the structs both share. A pure function: nothing is loaded, no byte outside `data` is read, whatever the bytes say.
 *
 * data    The whole file, borrowed; any alignment.
 * Errors: WEIR_E_ARGUMENT  not an ELF shared object, or one without a Weir note
 *         WEIR_E_ABI       for another machine, another ABI, other struct sizes
 *         WEIR_E_CORRUPT   an ELF file whose tables leave it
 * Thread: any.
 */
weir_err note_check(const void *data, size_t len, struct weir_diag *diag);

#endif
