/* SPDX-License-Identifier: Apache-2.0 */
#include "api/jobctl/state.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/jobctl/exit.h"
#include "api/jobctl/format.h"
#include "api/jobctl/interrupt.h"
#include "api/jobctl/session.h"
#include "api/jobctl/state_text.h"
#include "api/jobctl/table.h"
#include "runtime/base/folder.h"
#include "runtime/base/nearest.h"
#include "runtime/checkpoint/reader.h"
#include "runtime/state/offline.h"

/* A state of an operator, over all its instances. */
struct summary {
    const struct pack_operator *operator_; /* one of them */
    const struct pack_state *state;
    uint64_t instances, files, bytes, entries;
};

struct summaries {
    struct summary *items;
    uint32_t n, cap;
};

static int fail_local(const struct weir_diag *diag)
{
    session_complain("%s", diag->text);
    return CTL_EXIT_FAILED;
}

/* ---- ls ------------------------------------------------------------------------------------------------------------------------------ */

static struct summary *summary_of(struct summaries *s, const struct pack_operator *o, const struct pack_state *state)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (strcmp(s->items[i].operator_->id, o->id) == 0 && strcmp(s->items[i].state->name, state->name) == 0) return &s->items[i];
    }
    if (s->n == s->cap) {
        uint32_t cap = s->cap * 2 + 16;
        struct summary *items = realloc(s->items, cap * sizeof *items);
        if (!items) return NULL;
        s->items = items;
        s->cap = cap;
    }
    s->items[s->n] = (struct summary){.operator_ = o, .state = state};
    return &s->items[s->n++];
}

static bool summarize(const struct checkpoint *c, struct summaries *out)
{
    const struct pack_operator *o;
    for (struct checkpoint_place at = {0}; (o = checkpoint_next(c, NULL, &at, NULL));) {
        for (uint32_t i = 0; i < o->n_states; i++) {
            struct summary *s = summary_of(out, o, &o->states[i]);
            if (!s) return false;
            s->instances++;
            s->files += o->states[i].n_files;
            for (uint32_t f = 0; f < o->states[i].n_files; f++) {
                s->bytes += o->states[i].files[f].bytes;
                s->entries += o->states[i].files[f].entries;
            }
        }
    }
    return true;
}

static json_t *text_of(void (*write)(struct buffer *, const struct weir_schema *), const struct weir_schema *schema)
{
    struct buffer b = {0};
    write(&b, schema);
    json_t *text = json_string(buffer_cstr(&b));
    buffer_close(&b);
    return text;
}

static json_t *summary_json(const struct summary *s)
{
    struct buffer key = {0};
    state_text_type(&key, &s->operator_->key);
    json_t *doc = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:I}", "operator", s->operator_->id, "state", s->state->name,
                            "kind", keyed_kind_name((enum keyed_kind)s->state->kind), "key", buffer_cstr(&key), "user-key",
                            text_of(state_text_schema, &s->state->user_key), "value", text_of(state_text_schema, &s->state->value),
                            "subtasks", (json_int_t)s->instances, "entries", (json_int_t)s->entries, "files", (json_int_t)s->files, "bytes",
                            (json_int_t)s->bytes);
    buffer_close(&key);
    return doc;
}

static bool print_json(const struct checkpoint *c, const struct summaries *s)
{
    char job[WEIR_ID_TEXT];
    const struct manifest *m = &c->manifest;
    json_t *states = json_array();
    for (uint32_t i = 0; i < s->n; i++) (void)json_array_append_new(states, summary_json(&s->items[i]));
    json_t *doc = json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "kind", m->kind == MANIFEST_SAVEPOINT ? "savepoint" : "checkpoint", "job",
                            id_text(m->job, job), "name", m->job_name, "checkpoint", (json_int_t)m->checkpoint_id, "created",
                            (json_int_t)m->created_ms, "states", states);
    bool printed = doc && json_dumpf(doc, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
    json_decref(doc);
    return printed;
}

static void fill_row(struct table *t, const struct summary *s)
{
    char text[FORMAT_MAX];
    struct buffer b = {0};
    table_row(t);
    table_cell(t, s->operator_->id);
    table_cell(t, s->state->name);
    table_cell(t, keyed_kind_name((enum keyed_kind)s->state->kind));
    state_text_type(&b, &s->operator_->key);
    table_cell(t, buffer_cstr(&b));
    buffer_clear(&b);
    state_text_schema(&b, &s->state->value);
    table_cell(t, buffer_cstr(&b));
    table_cell(t, format_count(s->instances, text));
    table_cell(t, format_count(s->entries, text));
    table_cell(t, format_count(s->files, text));
    table_cell(t, format_bytes(s->bytes, text));
    buffer_close(&b);
}

static bool print_table(const struct checkpoint *c, const struct summaries *s)
{
    static const struct table_column columns[] = {{"OPERATOR", 0},
                                                  {"STATE", 0},
                                                  {"KIND", 0},
                                                  {"KEY", 0},
                                                  {"VALUE", TABLE_WRAP},
                                                  {"SUBTASKS", TABLE_RIGHT},
                                                  {"ENTRIES", TABLE_RIGHT},
                                                  {"FILES", TABLE_RIGHT},
                                                  {"SIZE", TABLE_RIGHT}};
    char job[WEIR_ID_TEXT], created[FORMAT_MAX];
    const struct manifest *m = &c->manifest;
    printf("%s %" PRIu64 " of job %.12s (%s), %s\n\n", m->kind == MANIFEST_SAVEPOINT ? "savepoint" : "checkpoint", m->checkpoint_id,
           id_text(m->job, job), m->job_name, format_time(m->created_ms, created));
    struct table *t = table_new(columns, sizeof columns / sizeof *columns);
    for (uint32_t i = 0; i < s->n; i++) fill_row(t, &s->items[i]);
    bool printed = table_print(t, stdout) == WEIR_OK;
    table_destroy(&t);
    return printed;
}

static int list_states(const struct checkpoint *c, const struct ctl_arguments *args)
{
    struct summaries s = {0};
    bool done = summarize(c, &s) && (args->format == CTL_JSON ? print_json(c, &s) : print_table(c, &s));
    free(s.items);
    if (!done) session_complain("out of memory, or standard output cannot be written");
    return done ? CTL_EXIT_OK : CTL_EXIT_FAILED;
}

/* ---- one state ----------------------------------------------------------------------------------------------------------------------- */

struct reading {
    const struct checkpoint *checkpoint;
    const struct ctl_arguments *args;
    char operator_id[WEIR_NAME_MAX + 1];
    const char *state;  /* its name */
    char temporary[64]; /* folder of inlined files and of the scratch database */
    struct buffer key;  /* get: the bytes of the key */
    struct buffer line;
    uint64_t printed;
    struct weir_diag diag;
};

static const struct pack_state *find_state(const struct pack_operator *o, const char *name)
{
    for (uint32_t i = 0; i < o->n_states; i++) {
        if (strcmp(o->states[i].name, name) == 0) return &o->states[i];
    }
    return NULL;
}

/* An instance that has the state; NULL, and why in the diag: there is none. */
static const struct pack_operator *find_any(struct reading *r)
{
    const struct pack_operator *o;
    char name[2 * WEIR_NAME_MAX + 2], best[sizeof name] = "";
    struct nearest near = {.word = r->args->state};
    for (struct checkpoint_place at = {0}; (o = checkpoint_next(r->checkpoint, NULL, &at, NULL));) {
        if (strcmp(o->id, r->operator_id) == 0 && find_state(o, r->state)) return o;
        for (uint32_t i = 0; i < o->n_states; i++) {
            (void)snprintf(name, sizeof name, "%s/%s", o->id, o->states[i].name);
            const char *before = near.best;
            nearest_offer(&near, name);
            if (near.best != before) (void)snprintf(best, sizeof best, "%s", name);
            if (near.best) near.best = best;
        }
    }
    if (best[0])
        (void)weir_fail(&r->diag, WEIR_E_NOT_FOUND, "there is no state %s: did you mean %s?", r->args->state, best);
    else
        (void)weir_fail(&r->diag, WEIR_E_NOT_FOUND, "there is no state %s: `jobctl state ls %s` lists them", r->args->state,
                        r->args->subject);
    return NULL;
}

static void put_member(struct buffer *b, const char *name)
{
    buffer_printf(b, "%s\"%s\": ", b->len > 1 ? ", " : "", name);
}

/* What the kind of state has of an entry, as one JSON object. */
static void write_entry(struct buffer *b, const struct pack_operator *o, const struct pack_state *s, const struct offline_entry *e)
{
    enum keyed_kind kind = (enum keyed_kind)s->kind;
    buffer_clear(b);
    buffer_str(b, "{");
    if (kind == KEYED_PANES) {
        put_member(b, "pane");
        buffer_printf(b, "%" PRId64, e->pane);
    }
    if (kind != KEYED_BROADCAST && kind != KEYED_OPERATOR_LIST) {
        put_member(b, "key");
        state_text_key(b, &o->key, e->key);
    }
    if (s->namespaced) {
        put_member(b, "namespace");
        state_text_string(b, e->ns);
    }
    if (kind == KEYED_ORDERED || kind == KEYED_TIMERS) {
        put_member(b, "time");
        buffer_printf(b, "%" PRId64 ", \"%s\": %" PRIu64, e->time_ms, kind == KEYED_TIMERS ? "tag" : "seq", e->seq);
    }
    if (kind == KEYED_MAP || kind == KEYED_BROADCAST) {
        put_member(b, "user-key");
        state_text_row(b, &s->user_key, e->user_key);
    }
    if (kind != KEYED_TIMERS) {
        put_member(b, "value");
        state_text_row(b, &s->value, e->value);
    }
    buffer_str(b, "}");
}

static bool is_full(const struct reading *r)
{
    return (r->args->limit && r->printed == r->args->limit) || interrupt_pending();
}

static weir_err print_entries(struct reading *r, struct offline *state, const struct pack_operator *o, const struct pack_state *s)
{
    struct offline_entry e;
    bool more = true;
    weir_err err = WEIR_OK;
    if (r->args->key) err = offline_only(state, (struct weir_bytes){r->key.data, (uint32_t)r->key.len}, &r->diag);
    while (!err && !is_full(r)) {
        err = offline_next(state, &more, &e, &r->diag);
        if (err || !more) break;
        write_entry(&r->line, o, s, &e);
        if (r->line.err) return weir_fail(&r->diag, r->line.err, "no memory for an entry");
        if (puts(buffer_cstr(&r->line)) == EOF) return weir_fail(&r->diag, WEIR_E_IO, "standard output cannot be written");
        r->printed++;
    }
    return err;
}

/* Where a file of a state lies; an inlined one is written out. Gives the path (free). */
static weir_err place_file(struct reading *r, const struct pack_file *file, uint32_t i, char **out)
{
    char path[PATH_MAX], name[32];
    weir_err err = WEIR_OK;
    if (file->content[0]) {
        err = checkpoint_file_path(r->checkpoint, file, path, &r->diag);
    } else {
        (void)snprintf(name, sizeof name, "inlined-%" PRIu32 ".sst", i);
        err = layout_join(r->temporary, name, path, &r->diag);
        if (!err) err = files_write(r->temporary, name, file->inlined.data, file->inlined.length, &r->diag);
    }
    if (err) return err;
    *out = strdup(path);
    return *out ? WEIR_OK : weir_fail(&r->diag, WEIR_E_NOMEM, "out of memory");
}

static weir_err read_files(struct reading *r, const struct pack_operator *o, const struct pack_state *s, const char *const *paths)
{
    char scratch[PATH_MAX];
    struct offline *state = NULL;
    weir_err err = layout_join(r->temporary, "scratch", scratch, &r->diag);
    struct offline_spec spec = {.scratch = scratch,
                                .kind = (enum keyed_kind)s->kind,
                                .namespaced = s->namespaced,
                                .value_size = s->value_size,
                                .element_size = s->element_size,
                                .ttl_ms = s->ttl_ms,
                                .now_ms = r->checkpoint->manifest.created_ms,
                                .first_group = o->first_group,
                                .last_group = o->last_group,
                                .paths = paths,
                                .n_paths = s->n_files};
    if (!err) err = offline_open(&state, &spec, &r->diag);
    if (!err) err = print_entries(r, state, o, s);
    offline_close(&state);
    return err;
}

static weir_err read_instance(struct reading *r, const struct pack_operator *o, const struct pack_state *s)
{
    char **paths = calloc((size_t)s->n_files + 1, sizeof *paths);
    weir_err err = paths ? WEIR_OK : weir_fail(&r->diag, WEIR_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < s->n_files && !err; i++) err = place_file(r, &s->files[i], i, &paths[i]);
    if (!err && s->n_files) err = read_files(r, o, s, (const char *const *)paths);
    for (uint32_t i = 0; paths && i < s->n_files; i++) free(paths[i]);
    free(paths);
    return err;
}

/* Does this instance have the key that is asked for? */
static bool holds_key(const struct reading *r, const struct pack_operator *o)
{
    uint16_t group = hash_key_group(hash64(r->key.data, r->key.len));
    return !r->args->key || (group >= o->first_group && group <= o->last_group);
}

static weir_err read_instances(struct reading *r)
{
    const struct pack_operator *o;
    weir_err err = WEIR_OK;
    for (struct checkpoint_place at = {0}; !err && !is_full(r) && (o = checkpoint_next(r->checkpoint, r->operator_id, &at, NULL));) {
        const struct pack_state *s = find_state(o, r->state);
        if (s && holds_key(r, o)) err = read_instance(r, o, s);
        if (s && s->kind == KEYED_BROADCAST) break; /* the same in every instance */
    }
    return err;
}

static weir_err make_temporary(struct reading *r)
{
    const char *base = getenv("TMPDIR");
    int n = snprintf(r->temporary, sizeof r->temporary, "%s/weir-state-XXXXXX", base && *base ? base : "/tmp");
    if (n >= (int)sizeof r->temporary) (void)snprintf(r->temporary, sizeof r->temporary, "/tmp/weir-state-XXXXXX");
    if (mkdtemp(r->temporary)) return WEIR_OK;
    weir_err err = weir_fail(&r->diag, WEIR_E_IO, "cannot make a folder %s: set TMPDIR to one where files may be made", r->temporary);
    r->temporary[0] = '\0';
    return err;
}

static weir_err read_state(struct reading *r)
{
    const struct pack_operator *o = find_any(r);
    weir_err err = o ? WEIR_OK : r->diag.code;
    if (!err && r->args->key) err = state_text_parse_key(&o->key, r->args->key, &r->key, &r->diag);
    if (!err) err = make_temporary(r);
    if (!err) err = read_instances(r);
    if (r->temporary[0]) (void)folder_remove(r->temporary, NULL);
    return err;
}

/* scan and get. */
static int print_state(const struct checkpoint *c, const struct ctl_arguments *args)
{
    struct reading r = {.checkpoint = c, .args = args};
    const char *slash = strchr(args->state, '/');
    (void)snprintf(r.operator_id, sizeof r.operator_id, "%.*s", (int)(slash - args->state), args->state);
    r.state = slash + 1;
    weir_err err = read_state(&r);
    buffer_close(&r.key);
    buffer_close(&r.line);
    if (err) return fail_local(&r.diag);
    if (interrupt_pending()) return CTL_EXIT_INTERRUPTED;
    if (args->key && r.printed == 0) {
        session_complain("%s has nothing of key %s", args->state, args->key);
        return CTL_EXIT_FAILED;
    }
    return CTL_EXIT_OK;
}

int state_command(const struct ctl_arguments *args)
{
    struct weir_diag diag;
    struct checkpoint *c = NULL;
    if (checkpoint_open(&c, args->subject, NULL, &diag)) return fail_local(&diag);
    int code = args->state ? print_state(c, args) : list_states(c, args);
    checkpoint_close(&c);
    return code;
}
