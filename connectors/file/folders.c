/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file sink with rows divided over folders.
 *
 * A subtask owns the folders whose rows have its keys. Each has a writer; of a folder that is complete, or that is the longest open one of
 * too many, it rests (writer.h): durable, without descriptor. They are sorted by name.
 *
 * State, by key: map    "folders"   name -> event time at which it is complete
 *                timer              at that time: the folder is due: the next prepare marks it, and forgets it
 *        by subtask:    "lineage"   jobs whose part files are this output's own
 */
#include <stdio.h>
#include <stdlib.h>

#include "connectors/file/sink.h"
#include "weir/state.h"

#define OPEN_MAX 64u /* folders with a descriptor and a buffer at once; the one opened first rests beyond that */

struct folder {
    char *dir; /* of the sink, with the folder's name behind it */
    const char *name;
    uint32_t name_length;
    weir_time complete_ms;
    struct writer writer;
    struct folder *next; /* open ones, in order of opening */
    bool open;
    bool noted; /* the state has it, with complete_ms */
    bool due;   /* complete, and to be marked */
};

struct folders {
    struct file_sink_config config;
    struct lineage lineage;
    struct weir_state *known; /* map: name -> complete_ms */
    struct writer_format format;
    struct folder **items; /* by name */
    uint32_t n, cap;
    struct folder *last;            /* of the last row */
    struct folder *oldest, *newest; /* open ones */
    uint32_t n_open;
};

/* ---- folders by name ----------------------------------------------------------------------------------------------------------------- */

static bool is_name(const struct folder *folder, const char *name, uint32_t length)
{
    return folder && folder->name_length == length && memcmp(folder->name, name, length) == 0;
}

static int compare(const struct folder *folder, const char *name, uint32_t length)
{
    uint32_t shared = folder->name_length < length ? folder->name_length : length;
    int order = memcmp(folder->name, name, shared);
    return order ? order : (folder->name_length > length) - (folder->name_length < length);
}

/* Where the name stands, or would stand. */
static uint32_t place_of(const struct folders *s, const char *name, uint32_t length)
{
    uint32_t lo = 0, hi = s->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (compare(s->items[mid], name, length) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool reserve(struct folders *s)
{
    if (s->n < s->cap) return true;
    uint32_t cap = s->cap ? s->cap * 2 : 16;
    struct folder **items = realloc(s->items, cap * sizeof *items);
    if (!items) return false;
    s->items = items;
    s->cap = cap;
    return true;
}

/* The author's function decides about paths, so it is not trusted with "..", absolute paths and names that readers skip. */
static const char *name_fault(const char *name, uint32_t length)
{
    if (length == 0 || length > WEIR_FILE_FOLDER_MAX) return "has a length outside 1 ... WEIR_FILE_FOLDER_MAX";
    if (memchr(name, '\0', length)) return "holds a NUL";
    for (uint32_t i = 0; i < length; i++) {
        if (i > 0 && name[i - 1] != '/') continue;
        if (name[i] == '/') return "is absolute, or has an empty component";
        if (name[i] == '.' || name[i] == '_') return "has a component that begins with '.' or '_'";
    }
    return name[length - 1] == '/' ? "ends in '/'" : NULL;
}

static weir_err no_memory(struct weir_ctx *ctx)
{
    return weir_fail(ctx->diag, WEIR_E_NOMEM, "file sink: no memory for a folder");
}

static weir_err make_folder(struct folders *s, struct weir_ctx *ctx, uint32_t at, const char *name, uint32_t length, struct folder **out)
{
    const char *fault = name_fault(name, length), *root = s->config.sink.dir;
    if (fault)
        return weir_fail(ctx->diag, WEIR_E_USER, "file sink: the folder \"%.*s\" of a row %s", length < 255 ? (int)length : 255, name,
                         fault);
    size_t root_length = strlen(root);
    struct folder *folder = calloc(1, sizeof *folder);
    char *dir = malloc(root_length + length + 2);
    if (!folder || !dir || !reserve(s)) {
        free(folder);
        free(dir);
        return no_memory(ctx);
    }
    (void)snprintf(dir, root_length + length + 2, "%s/%.*s", root, (int)length, name);
    *folder = (struct folder){.dir = dir, .name = dir + root_length + 1, .name_length = length, .complete_ms = WEIR_TIME_MAX};
    struct writer_options options = sink_writer_options(&s->config.sink, ctx, dir, &s->lineage);
    options.always_named = options.alone = true;
    writer_init(&folder->writer, &options);
    memmove(s->items + at + 1, s->items + at, (s->n - at) * sizeof *s->items);
    s->items[at] = *out = folder; /* from here on close frees it */
    s->n++;
    weir_err err = folder_make_all(dir, ctx->diag);
    return !err && !s->config.sink.replace ? sink_check_empty(dir, &s->lineage, ctx->diag) : err;
}

/* ---- open folders -------------------------------------------------------------------------------------------------------------------- */

static weir_err rest_oldest(struct folders *s, struct weir_ctx *ctx)
{
    struct folder *folder = s->oldest;
    s->oldest = folder->next;
    if (!s->oldest) s->newest = NULL;
    folder->next = NULL;
    folder->open = false;
    s->n_open--;
    return writer_rest(&folder->writer, ctx->diag);
}

static weir_err open_folder(struct folders *s, struct weir_ctx *ctx, struct folder *folder)
{
    weir_err err = s->n_open < OPEN_MAX ? WEIR_OK : rest_oldest(s, ctx);
    if (err) return err;
    folder->open = true;
    if (s->newest)
        s->newest->next = folder;
    else
        s->oldest = folder;
    s->newest = folder;
    s->n_open++;
    return WEIR_OK;
}

/* Of that name, made if there is none. */
static weir_err find_folder(struct folders *s, struct weir_ctx *ctx, const char *name, uint32_t length, struct folder **out)
{
    uint32_t at = length <= WEIR_FILE_FOLDER_MAX ? place_of(s, name, length) : 0;
    if (at < s->n && is_name(s->items[at], name, length)) {
        *out = s->items[at];
        return WEIR_OK;
    }
    return make_folder(s, ctx, at, name, length, out);
}

/* ---- when a folder is complete ------------------------------------------------------------------------------------------------------- */

/* Remembers the row's folder with the row's key, which is the current one. */
static weir_err note_folder(struct folders *s, struct weir_ctx *ctx, struct folder *folder, weir_time complete_ms)
{
    if (folder->noted && folder->complete_ms == complete_ms) return WEIR_OK;
    folder->noted = true;
    folder->complete_ms = complete_ms;
    weir_err err = weir_map_put(ctx, s->known, (struct weir_bytes){folder->name, folder->name_length}, &complete_ms, sizeof complete_ms);
    if (err) return err;
    return weir_timer_set(ctx, WEIR_EVENT_TIME, complete_ms < WEIR_TIME_MAX ? complete_ms : WEIR_TIME_MAX - 1, 0);
}

static weir_err row_folder(struct folders *s, struct weir_ctx *ctx, const void *row, struct folder **out)
{
    const struct weir_file_folders *how = s->config.sink.folders;
    char name[WEIR_FILE_FOLDER_MAX];
    uint32_t length = how->folder(row, name);
    struct folder *folder = s->last;
    weir_err err = is_name(folder, name, length) ? WEIR_OK : find_folder(s, ctx, name, length, &folder);
    if (!err) err = note_folder(s, ctx, folder, how->complete_ms ? how->complete_ms(row) : WEIR_TIME_MAX);
    if (!err && !folder->open) err = open_folder(s, ctx, folder);
    if (!err) s->last = *out = folder;
    return err;
}

/* A folder of the timer's key whose time has come: its name. 0: none is left. */
static uint32_t next_due(struct folders *s, struct weir_ctx *ctx, weir_time time_ms, char name[WEIR_FILE_FOLDER_MAX])
{
    uint64_t cursor = 0;
    struct weir_bytes key, value;
    while (weir_map_next(ctx, s->known, &cursor, &key, &value)) {
        weir_time complete_ms;
        memcpy(&complete_ms, value.data, sizeof complete_ms);
        if (complete_ms > time_ms && !(complete_ms == WEIR_TIME_MAX && time_ms == WEIR_TIME_MAX - 1)) continue;
        memcpy(name, key.data, key.length);
        return (uint32_t)key.length;
    }
    return 0;
}

static weir_err folders_on_timer(void *self, struct weir_ctx *ctx, const struct weir_timer *timer)
{
    struct folders *s = self;
    char name[WEIR_FILE_FOLDER_MAX];
    struct folder *folder;
    weir_err err = WEIR_OK;
    for (uint32_t length; !err && (length = next_due(s, ctx, timer->time_ms, name)) > 0;) {
        err = find_folder(s, ctx, name, length, &folder);
        if (err) break;
        folder->due = true;
        folder->noted = false;
        err = weir_map_remove(ctx, s->known, (struct weir_bytes){name, length});
    }
    return err;
}

/* ---- the operator -------------------------------------------------------------------------------------------------------------------- */

/* The jobs of all former subtasks, which agree, and this one. */
static weir_err open_lineage(struct folders *s, struct weir_ctx *ctx)
{
    const struct weir_state_desc desc = {.struct_size = sizeof desc, .name = "lineage"};
    struct weir_operator_list *list;
    weir_err err = weir_operator_list_open(ctx, &desc, WEIR_UNION, &list);
    if (err) return err;
    for (uint32_t i = 0; i < weir_operator_list_count(list); i++) {
        char job[PART_JOB_DIGITS + 1] = "";
        struct weir_bytes item = weir_operator_list_at(list, i);
        memcpy(job, item.data, item.length < PART_JOB_DIGITS ? item.length : PART_JOB_DIGITS);
        lineage_add(&s->lineage, job);
    }
    lineage_add(&s->lineage, ctx->job_id);
    weir_operator_list_clear(ctx, list);
    for (uint32_t i = 0; i < s->lineage.n && !err; i++) err = weir_operator_list_add(ctx, list, s->lineage.jobs[i], PART_JOB_DIGITS);
    return err;
}

static weir_err folders_open(void *self, struct weir_ctx *ctx)
{
    struct folders *s = self;
    memcpy(&s->config, ctx->config, sizeof s->config);
    const struct weir_file_sink *sink = &s->config.sink;
    if (sink->folders->struct_size != sizeof *sink->folders || !sink->folders->folder)
        return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "file sink: folders need a struct_size and a function `folder`");
    if (sink->changes) return weir_fail(ctx->diag, WEIR_E_ARGUMENT, "file sink: a changelog cannot be divided over folders");
    const struct weir_state_desc known = {.struct_size = sizeof known, .name = "folders", .value_size = sizeof(weir_time)};
    weir_err err = writer_format_init(&s->format, sink, s->config.schema, ctx->diag);
    if (!err) err = weir_map_open(ctx, &known, &s->known);
    if (!err) err = open_lineage(s, ctx);
    return err ? err : sink_open_folder(sink, ctx->diag);
}

static weir_err folders_process(void *self, struct weir_ctx *ctx, uint32_t input, struct weir_batch *batch)
{
    struct folders *s = self;
    (void)input;
    weir_time now_ms = weir_now_ms(ctx);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct weir_record *rec = weir_batch_record(batch, i);
        struct folder *folder;
        if (WEIR_UNLIKELY(rec->kind != WEIR_INSERT)) return sink_refuse_kind(ctx, rec);
        weir_set_key(ctx, i);
        weir_err err = row_folder(s, ctx, weir_record_row(rec), &folder);
        if (!err) err = writer_roll_by_time(&folder->writer, now_ms, ctx->diag);
        if (!err) err = writer_row(&folder->writer, &s->format, rec, now_ms, ctx->diag);
        if (WEIR_UNLIKELY(err)) return err;
    }
    return WEIR_OK;
}

/* Complete folders are made durable now and not all together at the end. One that stands behind younger ones waits for them. */
static weir_err folders_on_watermark(void *self, struct weir_ctx *ctx, weir_time watermark_ms)
{
    struct folders *s = self;
    weir_err err = WEIR_OK;
    while (!err && s->oldest && s->oldest->complete_ms <= watermark_ms) err = rest_oldest(s, ctx);
    return err;
}

/* ---- the two phases ------------------------------------------------------------------------------------------------------------------ */

static void free_folder(struct folder *folder)
{
    writer_close(&folder->writer);
    free(folder->dir);
    free(folder);
}

static void take_from_open(struct folders *s, struct folder *folder)
{
    struct folder **at = &s->oldest, *before = NULL;
    if (!folder->open) return;
    for (; *at != folder; at = &(*at)->next) before = *at;
    *at = folder->next;
    if (s->newest == folder) s->newest = before;
    s->n_open--;
}

/* What was marked needs no memory any more: all else about it stands in the committable. */
static void forget_due(struct folders *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        struct folder *folder = s->items[i];
        if (!folder->due) {
            s->items[n++] = folder;
            continue;
        }
        if (s->last == folder) s->last = NULL;
        take_from_open(s, folder);
        free_folder(folder);
    }
    s->n = n;
}

/* Without checkpoints the folders stay until the commit, as their files do. */
static weir_err folders_prepare(void *self, struct weir_ctx *ctx, uint64_t checkpoint_id, struct weir_committables *out)
{
    struct folders *s = self;
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; i < s->n && !err; i++)
        err = writer_prepare(&s->items[i]->writer, checkpoint_id, s->items[i]->due ? SHOW_COMPLETE : 0, out, ctx->diag);
    if (!err && checkpoint_id) forget_due(s);
    return err;
}

static weir_err folders_commit(void *self, struct weir_ctx *ctx, struct weir_bytes committable)
{
    struct folders *s = self;
    struct show file;
    weir_err err = show_read(&file, committable, ctx->diag);
    for (uint32_t i = 0; i < s->n && !err; i++)
        if (strcmp(s->items[i]->dir, file.dir) == 0) err = writer_commit(&s->items[i]->writer, &file, ctx->diag);
    return err ? err : show(&file, &s->lineage, ctx->job_id, ctx->diag);
}

static weir_err folders_recover(void *self, struct weir_ctx *ctx, const struct weir_bytes *kept, uint32_t n_kept)
{
    const struct folders *s = self;
    return sink_remove_orphans(s->config.sink.dir, true, ctx, kept, n_kept);
}

static void folders_close(void *self, struct weir_ctx *ctx)
{
    struct folders *s = self;
    (void)ctx;
    for (uint32_t i = 0; i < s->n; i++) free_folder(s->items[i]);
    free(s->items);
    s->items = NULL;
    s->n = 0;
}

const struct weir_operator file_folders_sink = {
    .struct_size = sizeof(struct weir_operator),
    .name = "file",
    .self_size = sizeof(struct folders),
    .flags = WEIR_OPERATOR_SINK | WEIR_OPERATOR_KEYED,
    .open = folders_open,
    .process = folders_process,
    .on_watermark = folders_on_watermark,
    .on_timer = folders_on_timer,
    .prepare = folders_prepare,
    .commit = folders_commit,
    .recover = folders_recover,
    .close = folders_close,
    .abort = sink_abort,
};
