/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of files. */
#ifndef WEIR_RUNTIME_BASE_FOLDER_H
#define WEIR_RUNTIME_BASE_FOLDER_H

#include "weir/base.h"

/* Removes a folder with all it holds; links are removed, not followed. One that is not there is no error. Errors: WEIR_E_IO, with the path.
 */
weir_err folder_remove(const char *path, struct weir_diag *diag);

/*
 * Makes a folder, and those above it that are missing, for the owner alone. One that is there is no
 * error when it belongs to this user. Errors: WEIR_E_IO, WEIR_E_LIMIT, with the path.
 */
weir_err folder_make(const char *path, struct weir_diag *diag);

/* The same for a folder that may be shared: one that is there is taken as it is, whoever's. */
weir_err folder_have(const char *path, struct weir_diag *diag);

#endif
