/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/resolve.h"

#include "api/jobctl/field.h"
#include <stdio.h>
#include <string.h>

#define HEX "0123456789abcdef"

enum { SHOWN_DIGITS = 12, SHOWN_MAX = 4 }; /* of the candidates in a message */

const struct resolve_kind resolve_job = {"job", "jid", 32, "jobctl list"};
const struct resolve_kind resolve_plugin = {"plugin", "id", 64, "jobctl plugins list"};

struct matches {
    const char *id; /* of the first */
    size_t n;
    char shown[160]; /* the first ones, for the message */
};

static bool is_hex(const char *text)
{
    return *text && text[strspn(text, HEX)] == '\0';
}

bool resolve_is_id(const struct resolve_kind *kind, const char *typed)
{
    return strlen(typed) == kind->id_digits && is_hex(typed);
}

static void add_match(struct matches *m, const char *id)
{
    if (m->n == 0) m->id = id;
    size_t len = strlen(m->shown);
    if (m->n < SHOWN_MAX) snprintf(m->shown + len, sizeof m->shown - len, "%s%.*s", m->n ? ", " : "", SHOWN_DIGITS, id);
    if (m->n == SHOWN_MAX) snprintf(m->shown + len, sizeof m->shown - len, ", ...");
    m->n++;
}

/* Elements whose id begins with `typed` (prefix) or whose name is `typed`. Elements without a proper id count for nothing. */
static struct matches find(const struct resolve_kind *kind, const json_t *list, const char *typed, bool prefix)
{
    struct matches m = {0};
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *id = field_text(item, kind->id_key);
        if (!resolve_is_id(kind, id)) continue;
        bool fits = prefix ? strncmp(id, typed, strlen(typed)) == 0 : strcmp(field_text(item, "name"), typed) == 0;
        if (fits) add_match(&m, id);
    }
    return m;
}

weir_err resolve_find(const struct resolve_kind *kind, const json_t *list, const char *typed, char out[static RESOLVE_ID_MAX],
                      struct weir_diag *diag)
{
    bool hex = is_hex(typed);
    struct matches m = {0};
    const char *what = "name";
    if (!resolve_is_id(kind, typed)) m = find(kind, list, typed, false);
    if (m.n == 0 && hex && strlen(typed) >= RESOLVE_PREFIX_MIN) {
        m = find(kind, list, typed, true);
        what = "beginning of the id";
    }
    if (m.n == 0 && hex && strlen(typed) < RESOLVE_PREFIX_MIN) {
        return weir_fail(diag, WEIR_E_NOT_FOUND, "no %s has the name '%s', and an id needs at least %d digits: `%s` shows them", kind->noun,
                         typed, RESOLVE_PREFIX_MIN, kind->list_command);
    }
    if (m.n == 0) return weir_fail(diag, WEIR_E_NOT_FOUND, "no %s '%s': `%s` shows those there are", kind->noun, typed, kind->list_command);
    if (m.n > 1) {
        return weir_fail(diag, WEIR_E_ARGUMENT, "%zu %ss have the %s '%s' (%s): give more of the id", m.n, kind->noun, what, typed,
                         m.shown);
    }
    snprintf(out, RESOLVE_ID_MAX, "%s", m.id);
    return WEIR_OK;
}
