/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths of nodes: absolute, elements behind slashes, "/" is the root. What ZooKeeper refuses is refused: an empty element, "." and "..",
 * NUL and other control characters, surrogates and private use (U+D800 to U+F8FF), U+FFF0 to U+FFFF, bytes that are no UTF-8. All
 * functions but path_check want a path that it has let pass.
 */
#ifndef WEIR_RUNTIME_COORD_PATH_H
#define WEIR_RUNTIME_COORD_PATH_H

#include "runtime/coord/bytes.h"

/* NULL when `path` is one; else what is wrong with it, a constant text. */
const char *path_check(struct weir_bytes path);

/*
 * As path_check for the prefix of a sequential node, which may end in a slash: its name is then the number alone. The name must leave room
 * for the number's PATH_SEQUENCE_MAX digits.
 */
const char *path_check_sequential(struct weir_bytes prefix);

#define PATH_SEQUENCE_MAX 20 /* digits of the largest sequence number; it has ten at least */

bool path_is_root(struct weir_bytes path);
struct weir_bytes path_parent(struct weir_bytes path); /* "/" for "/a"; of a path that is not the root */
struct weir_bytes path_name(struct weir_bytes path);   /* "b" for "/a/b"; empty for the root */

/* Takes the first element off `*rest`, which begins as a path; false at its end. */
bool path_element(struct weir_bytes *rest, struct weir_bytes *element);

/* True when `path` is `above` or lies below it. */
bool path_within(struct weir_bytes path, struct weir_bytes above);

#endif
