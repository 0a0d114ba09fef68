/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of config: texts to values, and how the readers of file, environment and flags hand over what they found. */
#ifndef WEIR_RUNTIME_BASE_CONFIG_VALUE_H
#define WEIR_RUNTIME_BASE_CONFIG_VALUE_H

#include "runtime/base/config.h"

enum config_rank { CONFIG_RANK_DEFAULT, CONFIG_RANK_FILE, CONFIG_RANK_ENV, CONFIG_RANK_FLAG };

/* Reads `text` as the key's type into *out (strings: 0). On failure *wanted is what it should have been, for the diagnostic. */
bool config_value_parse(const struct config_key *key, const char *text, int64_t *out, char *wanted, size_t wanted_size);

/* Is `name` a section of another program, or in one? Whatever it holds is passed over unread. */
bool config_is_foreign(const struct config *config, const char *name);

/*
 * Sets the key called `name` unless something of a higher rank has. origin: in words, copied.
 * Errors: WEIR_E_ARGUMENT (unknown key, bad value), WEIR_E_NOMEM.
 */
weir_err config_set(struct config *config, enum config_rank rank, const char *name, const char *text, const char *origin,
                    struct weir_diag *diag);

#endif
