/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state/run.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"

#define CHUNK_FIRST_BYTES 1024u
#define CHUNK_BYTES MEMORY_HUGE_BYTES     /* the largest, mapped as one huge page: a page fault for each 2 MiB instead of 4 KiB */
#define CHUNK_ENTRY_MAX (CHUNK_BYTES / 4) /* larger entries have a chunk of their own; so at most a quarter of a chunk stays empty */
#define TIME_BYTES 8u                     /* time_ms in front of a value */
#define GROUPS 65536u                     /* values of the key group's two bytes */
#define COUNTING_MIN 16384u               /* entries from which on counting key groups pays */
#define INSERTION_MAX 48u                 /* ranges up to here are sorted by insertion */
#define LEVELS_MAX 40u                    /* of the radix sort; ranges left then (long keys that are much alike) are sorted by heap */
#define BUFFER_BYTES (256u << 10)         /* of files at a time: stays in the cache between the system's copy and the checksum */
#define FOLLOW_BYTES (1u << 20)           /* of a file between two looks at what has been written */
#define PREFETCH_AHEAD 12u                /* entries between asking for one's memory and writing it */

struct run_chunk {
    struct run_chunk *next;
    size_t bytes, used; /* with and of this header */
};

/* ---- entries: header, key, value; without padding, since sorting reads each once and writing reads it whole ------------------------ */

struct header {
    uint32_t key_length;   /* with prefix and key group */
    uint32_t value_length; /* with time_ms; 0 = a deletion */
};

static inline struct header header_of(const unsigned char *entry)
{
    struct header h;
    memcpy(&h, entry, sizeof h);
    return h;
}

static inline const unsigned char *key_of(const unsigned char *entry)
{
    return entry + sizeof(struct header);
}

static inline size_t entry_bytes(struct header h)
{
    return sizeof h + h.key_length + h.value_length;
}

/* Entries in their order lie anywhere; most are in two cache lines. */
static inline void prefetch_entry(const unsigned char *entry)
{
    __builtin_prefetch(entry);
    __builtin_prefetch(entry + 64);
}

/* Most keys and values are short; for them two moves that may overlap do, and no function need be called. */
static inline unsigned char *append(unsigned char *to, const void *from, size_t n)
{
    const unsigned char *end = (const unsigned char *)from + n;
    if (n >= 8 && n <= 16) {
        memcpy(to, from, 8);
        memcpy(to + n - 8, end - 8, 8);
    } else if (n > 16 && n <= 32) {
        memcpy(to, from, 16);
        memcpy(to + n - 16, end - 16, 16);
    } else if (n) {
        memcpy(to, from, n);
    }
    return to + n;
}

/* ---- gathering --------------------------------------------------------------------------------------------------------------------- */

void run_init(struct run *run, struct memory *memory)
{
    *run = (struct run){.file_bytes = RUN_FILE_BYTES, .memory = memory};
}

void run_set_prefix(struct run *run, struct weir_bytes prefix)
{
    WEIR_ASSERT(prefix.length <= RUN_PREFIX_MAX);
    unsigned char bytes[RUN_PREFIX_MAX] = {0};
    append(bytes, prefix.data, prefix.length);
    run->mixed |= run->n > 0 && (prefix.length != run->prefix_length || memcmp(bytes, run->prefix, sizeof bytes) != 0);
    run->prefix_length = prefix.length;
    memcpy(run->prefix, bytes, sizeof bytes);
}

void run_close(struct run *run)
{
    for (struct run_chunk *c = run->first, *next; c; c = next) {
        next = c->next;
        if (c->bytes == CHUNK_BYTES)
            memory_give_block(run->memory, c);
        else
            memory_free(run->memory, c, c->bytes);
    }
    memory_free(&run->sorting, run->sorted, run->n * sizeof *run->sorted);
    *run = (struct run){0};
}

static struct run_chunk *new_chunk(struct run *run, size_t bytes)
{
    struct run_chunk *c = bytes == CHUNK_BYTES ? memory_take_block(run->memory) : memory_alloc(run->memory, bytes);
    if (!c) return NULL;
    c->next = NULL;
    c->bytes = bytes;
    c->used = sizeof *c;
    return c;
}

/* A chunk for one large entry goes to the front, and entries go on into the last. */
static struct run_chunk *chunk_of_its_own(struct run *run, size_t need)
{
    struct run_chunk *c = new_chunk(run, sizeof *c + need);
    if (!c) return NULL;
    c->next = run->first;
    run->first = c;
    if (!run->last) run->last = c;
    return c;
}

static struct run_chunk *next_chunk(struct run *run, size_t need)
{
    size_t bytes = run->last ? run->last->bytes * 2 : CHUNK_FIRST_BYTES;
    while (bytes < sizeof(struct run_chunk) + need) bytes *= 2;
    struct run_chunk *c = new_chunk(run, bytes < CHUNK_BYTES ? bytes : CHUNK_BYTES);
    if (!c) return NULL;
    if (run->last)
        run->last->next = c;
    else
        run->first = c;
    run->last = c;
    return c;
}

/* Room for an entry, or NULL. */
static inline unsigned char *make_room(struct run *run, size_t need)
{
    struct run_chunk *c = run->last;
    if (WEIR_UNLIKELY(!c || need > c->bytes - c->used)) {
        c = need > CHUNK_ENTRY_MAX ? chunk_of_its_own(run, need) : next_chunk(run, need);
        if (!c) return NULL;
    }
    unsigned char *at = (unsigned char *)c + c->used;
    c->used += need;
    run->bytes += need;
    run->n++;
    return at;
}

bool run_block_is_coming(const struct run *run, uint64_t bytes)
{
    const struct run_chunk *c = run->last;
    return c && c->bytes * 2 >= CHUNK_BYTES && c->bytes - c->used < bytes && memory_block_is_coming(run->memory);
}

/* Makes room for an entry and fills in its header and key. Gives where its value goes, or NULL. */
static inline unsigned char *begin_entry(struct run *run, uint16_t key_group, const void *key, uint32_t key_length, uint32_t value_length)
{
    WEIR_ASSERT_HOT(!run->sorted);
    WEIR_ASSERT_HOT(key_length <= INT32_MAX);
    struct header h = {.key_length = run->prefix_length + RUN_PREFIX + key_length, .value_length = value_length};
    unsigned char *to = make_room(run, entry_bytes(h));
    if (!to) return NULL;
    to = append(to, &h, sizeof h);
    to = append(to, run->prefix, run->prefix_length);
    *to++ = (unsigned char)(key_group >> 8);
    *to++ = (unsigned char)key_group;
    return append(to, key, key_length);
}

weir_err run_add(struct run *run, uint16_t key_group, const void *key, uint32_t key_length, int64_t time_ms, const void *value,
                 uint32_t length)
{
    WEIR_ASSERT_HOT(length <= UINT32_MAX - TIME_BYTES);
    unsigned char *to = begin_entry(run, key_group, key, key_length, length + TIME_BYTES);
    if (!to) return WEIR_E_NOMEM;
    uint64_t time = htole64((uint64_t)time_ms);
    to = append(to, &time, sizeof time);
    append(to, value, length);
    return WEIR_OK;
}

weir_err run_delete(struct run *run, uint16_t key_group, const void *key, uint32_t key_length)
{
    return begin_entry(run, key_group, key, key_length, 0) ? WEIR_OK : WEIR_E_NOMEM;
}

/* ---- the order of two entries ------------------------------------------------------------------------------------------------------ */

/*
 * Eight bytes of the key from `depth` on, with zeros behind its end. Where these differ they order keys as memcmp does, also with the end
 * of a key: behind it the other key has zeros first, as filled up here, or is the longer one with something greater.
 */
static inline uint64_t digits_at(const unsigned char *entry, uint32_t depth)
{
    uint32_t length = header_of(entry).key_length;
    const unsigned char *key = key_of(entry);
    uint64_t digits = 0;
    if (WEIR_LIKELY(length >= depth + 8))
        memcpy(&digits, key + depth, 8);
    else if (length > depth)
        memcpy(&digits, key + depth, length - depth);
    return be64toh(digits);
}

static bool key_before(const unsigned char *a, const unsigned char *b)
{
    uint32_t a_length = header_of(a).key_length, b_length = header_of(b).key_length;
    int order = memcmp(key_of(a), key_of(b), a_length < b_length ? a_length : b_length);
    return order ? order < 0 : a_length < b_length;
}

static inline bool before(const struct run_item *a, const struct run_item *b)
{
    return WEIR_LIKELY(a->digits != b->digits) ? a->digits < b->digits : key_before(a->entry, b->entry);
}

/* ---- sorting a range whose digits are of one depth --------------------------------------------------------------------------------- */

static void sort_by_insertion(struct run_item *items, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        struct run_item item = items[i];
        uint32_t at = i;
        for (; at > 0 && before(&item, &items[at - 1]); at--) items[at] = items[at - 1];
        items[at] = item;
    }
}

static void sift_down(struct run_item *items, uint32_t at, uint32_t n)
{
    struct run_item item = items[at];
    for (uint64_t child; (child = (uint64_t)at * 2 + 1) < n; at = (uint32_t)child) {
        if (child + 1 < n && before(&items[child], &items[child + 1])) child++;
        if (!before(&item, &items[child])) break;
        items[at] = items[child];
    }
    items[at] = item;
}

/* In place and never worse than n log n comparisons: for what the radix sort cannot tell apart in time. */
static void sort_by_heap(struct run_item *items, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;) sift_down(items, i, n);
    while (n > 1) {
        struct run_item top = items[0];
        items[0] = items[--n];
        items[n] = top;
        sift_down(items, 0, n);
    }
}

static uint64_t differing_bits(const struct run_item *items, uint32_t n)
{
    uint64_t bits = 0;
    for (uint32_t i = 1; i < n; i++) bits |= items[i].digits ^ items[0].digits;
    return bits;
}

/* Takes digits further on for items that are alike at `depth`: behind all the bytes they share. Gives the new depth. */
static uint32_t deepen(struct run_item *items, uint32_t n, uint32_t depth)
{
    const unsigned char *first = key_of(items[0].entry);
    uint32_t shared = header_of(items[0].entry).key_length;
    for (uint32_t i = 1; i < n && shared > depth + 8; i++) {
        if (i + PREFETCH_AHEAD < n) prefetch_entry(items[i + PREFETCH_AHEAD].entry);
        uint32_t length = header_of(items[i].entry).key_length, at = depth + 8;
        const unsigned char *key = key_of(items[i].entry);
        if (length < shared) shared = length;
        while (at < shared && key[at] == first[at]) at++;
        shared = at;
    }
    depth = shared > depth + 8 ? shared : depth + 8;
    for (uint32_t i = 0; i < n; i++) items[i].digits = digits_at(items[i].entry, depth);
    return depth;
}

static inline uint32_t bucket_of(const struct run_item *item, uint32_t shift)
{
    return (uint32_t)(item->digits >> shift) & 255;
}

/* Moves items into 256 buckets by eight bits of their digits (McIlroy, Bostic and McIlroy, "Engineering radix sort", 1993). */
static void distribute(struct run_item *items, uint32_t n, uint32_t shift, uint32_t ends[256])
{
    uint32_t next[256], counts[256] = {0}, sum = 0;
    for (uint32_t i = 0; i < n; i++) counts[bucket_of(&items[i], shift)]++;
    for (uint32_t b = 0; b < 256; b++) {
        next[b] = sum;
        ends[b] = sum += counts[b];
    }
    for (uint32_t b = 0; b < 256; b++) {
        while (next[b] < ends[b]) {
            struct run_item item = items[next[b]];
            for (uint32_t to; (to = bucket_of(&item, shift)) != b;) {
                struct run_item other = items[next[to]];
                items[next[to]++] = item;
                item = other;
            }
            items[next[b]++] = item;
        }
    }
}

/* By the highest eight bits in which they differ, again and again until little is left. The level bounds the stack. */
static void sort_range(struct run_item *items, uint32_t n, uint32_t depth, uint32_t level)
{
    uint64_t differing = differing_bits(items, n);
    for (; differing == 0 && n > 2 && level < LEVELS_MAX; level++) {
        depth = deepen(items, n, depth);
        differing = differing_bits(items, n);
    }
    if (n <= INSERTION_MAX) {
        sort_by_insertion(items, n);
        return;
    }
    if (level >= LEVELS_MAX) {
        sort_by_heap(items, n);
        return;
    }
    uint32_t top = 63 - (uint32_t)__builtin_clzll(differing), ends[256], from = 0;
    distribute(items, n, top > 7 ? top - 7 : 0, ends);
    for (uint32_t b = 0; b < 256; from = ends[b++]) {
        if (ends[b] - from > 1) sort_range(items + from, ends[b] - from, depth, level + 1);
    }
}

/* ---- sorting a run ----------------------------------------------------------------------------------------------------------------- */

#define EACH_ENTRY(run, entry)                                                                                                         \
    for (const struct run_chunk *c_ = (run)->first; c_; c_ = c_->next)                                                                 \
        for (const unsigned char *entry = (const unsigned char *)(c_ + 1), *end_ = (const unsigned char *)c_ + c_->used; entry < end_; \
             entry += entry_bytes(header_of(entry)))

static inline uint32_t group_of(const struct run *run, const unsigned char *entry)
{
    const unsigned char *at = key_of(entry) + run->prefix_length;
    return (uint32_t)at[0] << 8 | at[1];
}

static void sort_all(struct run *run, struct run_item *items)
{
    uint32_t depth = run->mixed ? 0 : run->prefix_length, n = 0;
    EACH_ENTRY(run, entry) items[n++] = (struct run_item){digits_at(entry, depth), entry};
    sort_range(items, n, depth, 0);
}

/* next: GROUPS zeros. A group's number of entries, then the place of its first, then of the next, at last its end. */
static void sort_by_group(struct run *run, struct run_item *items, uint32_t *next)
{
    uint32_t depth = run->prefix_length + RUN_PREFIX, sum = 0, from = 0;
    EACH_ENTRY(run, entry) next[group_of(run, entry)]++;
    for (uint32_t g = 0; g < GROUPS; g++) {
        uint32_t n = next[g];
        next[g] = sum;
        sum += n;
    }
    EACH_ENTRY(run, entry) items[next[group_of(run, entry)]++] = (struct run_item){digits_at(entry, depth), entry};
    for (uint32_t g = 0; g < GROUPS; from = next[g++]) sort_range(items + from, next[g] - from, depth, 0);
}

weir_err run_sort(struct run *run)
{
    if (run->sorted || run->n == 0) return WEIR_OK;
    WEIR_ASSERT(run->n <= UINT32_MAX);
    struct run_item *items = memory_alloc(&run->sorting, run->n * sizeof *items);
    if (!items) return WEIR_E_NOMEM;
    if (run->n < COUNTING_MIN || run->mixed) {
        sort_all(run, items);
    } else {
        uint32_t *next = memory_alloc(&run->sorting, GROUPS * sizeof *next);
        if (!next) {
            memory_free(&run->sorting, items, run->n * sizeof *items);
            return WEIR_E_NOMEM;
        }
        sort_by_group(run, items, next);
        memory_free(&run->sorting, next, GROUPS * sizeof *next);
    }
    run->sorted = items;
    return WEIR_OK;
}

void run_entry(const struct run *run, uint64_t i, struct weir_bytes *key, struct weir_bytes *value)
{
    WEIR_ASSERT_HOT(run->sorted && i < run->n);
    const unsigned char *entry = run->sorted[i].entry;
    struct header h = header_of(entry);
    *key = (struct weir_bytes){key_of(entry), h.key_length};
    *value = (struct weir_bytes){h.value_length ? key_of(entry) + h.key_length : NULL, h.value_length};
}

/* ---- checksums --------------------------------------------------------------------------------------------------------------------- */

/* A file that is read from its beginning, perhaps while it grows. */
struct reading {
    const char *path;
    int fd;
    unsigned char *buffer;
    uint32_t crc32c; /* of the bytes read */
    uint64_t bytes;
    struct weir_diag *diag;
};

static weir_err reading_open(struct reading *r, const char *path, struct weir_diag *diag)
{
    *r = (struct reading){.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC), .diag = diag};
    if (r->fd < 0) return weir_fail_errno(diag, errno, "open %s", path);
    (void)posix_fadvise(r->fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* a wish: twice the read-ahead */
    r->buffer = malloc(BUFFER_BYTES);
    if (r->buffer) return WEIR_OK;
    (void)close(r->fd);
    return weir_fail(diag, WEIR_E_NOMEM, "read %s: out of memory", path);
}

static void reading_close(struct reading *r)
{
    free(r->buffer);
    (void)close(r->fd);
}

/* Gives the bytes read, 0 at the end, or -1 with errno. */
static ssize_t read_some(int fd, void *to, size_t n)
{
    ssize_t got;
    do got = read(fd, to, n);
    while (got < 0 && errno == EINTR);
    return got;
}

/* Goes on to what is the end of the file now. */
static weir_err read_on(struct reading *r)
{
    ssize_t got;
    while ((got = read_some(r->fd, r->buffer, BUFFER_BYTES)) > 0) {
        r->crc32c = crc32c(r->crc32c, r->buffer, (size_t)got);
        r->bytes += (uint64_t)got;
    }
    return got < 0 ? weir_fail_errno(r->diag, errno, "read %s", r->path) : WEIR_OK;
}

weir_err run_file_checksum(const char *path, uint32_t *crc, uint64_t *bytes, struct weir_diag *diag)
{
    struct reading r;
    weir_err err = reading_open(&r, path, diag);
    if (err) return err;
    err = read_on(&r);
    reading_close(&r);
    if (err) return err;
    *crc = r.crc32c;
    *bytes = r.bytes;
    return WEIR_OK;
}

void run_ranges_close(struct run_range *ranges, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        free((void *)(uintptr_t)ranges[i].from.data);
        free((void *)(uintptr_t)ranges[i].to.data);
    }
    free(ranges);
}

/* ---- writing ----------------------------------------------------------------------------------------------------------------------- */

struct output {
    const struct run *run;
    struct rocks_shared *shared;
    const char *dir, *stem;
    const struct run_range *ranges;
    uint32_t n_ranges;
    uint64_t next; /* entry to be written */
    struct run_file *files;
    uint32_t n_files, cap;
    struct weir_diag *diag;
};

static weir_err put_ranges(struct output *o, struct rocks_writer *w)
{
    weir_err err = WEIR_OK;
    for (uint32_t i = 0; !err && i < o->n_ranges; i++) err = rocks_writer_delete_range(w, o->ranges[i].from, o->ranges[i].to, o->diag);
    return err;
}

static weir_err put_entry(const struct run *run, uint64_t i, struct rocks_writer *w, struct weir_diag *diag)
{
    struct weir_bytes key, value;
    run_entry(run, i, &key, &value);
    if (!value.data) return rocks_writer_delete(w, key.data, key.length, diag);
    return rocks_writer_put(w, key.data, key.length, value.data, value.length, diag);
}

/*
 * Entries from o->next on, up to the first behind the size of a file. The file, which only grows at its end, is read behind the writer for
 * its checksum: RocksDB drops what it has written from the page cache, and afterwards it would have to come from the disk.
 */
static weir_err put_entries(struct output *o, struct rocks_writer *w, struct reading *r)
{
    const struct run *run = o->run;
    weir_err err = WEIR_OK;
    uint64_t size = 0, read_at = FOLLOW_BYTES;
    while (!err && o->next < run->n && size < run->file_bytes) {
        if (o->next + PREFETCH_AHEAD < run->n) prefetch_entry(run->sorted[o->next + PREFETCH_AHEAD].entry);
        err = put_entry(run, o->next++, w, o->diag);
        size = rocks_writer_size(w);
        if (err || size < read_at) continue;
        err = read_on(r);
        read_at = size + FOLLOW_BYTES;
    }
    return err;
}

static weir_err fill_file(struct output *o, struct rocks_writer *w, struct reading *r)
{
    weir_err err = o->n_files == 0 ? put_ranges(o, w) : WEIR_OK;
    if (!err) err = put_entries(o, w, r);
    if (!err) err = rocks_writer_finish(w, o->diag);
    return err;
}

/* Makes the file at `path` and sets the file's numbers. On failure there is none. */
static weir_err make_file(struct output *o, const char *path, struct run_file *file)
{
    struct rocks_writer *w = NULL;
    struct reading r;
    uint64_t before = o->next;
    weir_err err = rocks_writer_new(&w, o->shared, path, o->diag);
    if (err) return err;
    err = reading_open(&r, path, o->diag);
    if (err) {
        rocks_writer_destroy(&w);
        return err;
    }
    err = fill_file(o, w, &r);
    rocks_writer_destroy(&w);
    if (!err) {
        err = read_on(&r);
        if (err) (void)unlink(path);
    }
    reading_close(&r);
    file->bytes = r.bytes;
    file->crc32c = r.crc32c;
    file->entries = o->next - before;
    return err;
}

static weir_err reserve_file(struct output *o)
{
    if (o->n_files < o->cap) return WEIR_OK;
    uint32_t cap = o->cap ? o->cap * 2 : 4;
    struct run_file *files = realloc(o->files, cap * sizeof *files);
    if (!files) return weir_fail(o->diag, WEIR_E_NOMEM, "write %s/%s: out of memory", o->dir, o->stem);
    o->files = files;
    o->cap = cap;
    return WEIR_OK;
}

/* Where a file goes. One that is there already belongs to somebody else and must not be removed when this call fails. */
static weir_err path_of(const struct output *o, const char *name, char path[PATH_MAX])
{
    struct stat st;
    int n = snprintf(path, PATH_MAX, "%s/%s", o->dir, name);
    if (n < 0 || n >= PATH_MAX) return weir_fail(o->diag, WEIR_E_LIMIT, "write %s: path of more than %d bytes", name, PATH_MAX - 1);
    if (lstat(path, &st) == 0) return weir_fail(o->diag, WEIR_E_EXISTS, "write %s: there is such a file", path);
    return WEIR_OK;
}

static weir_err write_file(struct output *o)
{
    char path[PATH_MAX];
    struct run_file file = {0};
    int n = snprintf(file.name, sizeof file.name, "%s-%" PRIu32 ".sst", o->stem, o->n_files);
    if (n < 0 || (size_t)n >= sizeof file.name) return weir_fail(o->diag, WEIR_E_LIMIT, "write %s: name too long", o->stem);
    weir_err err = reserve_file(o);
    if (!err) err = path_of(o, file.name, path);
    if (err) return err;
    err = make_file(o, path, &file);
    if (err) return weir_wrap(o->diag, err, "write %s", path);
    o->files[o->n_files++] = file;
    return WEIR_OK;
}

static void remove_files(const struct output *o)
{
    char path[PATH_MAX];
    for (uint32_t i = 0; i < o->n_files; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", o->dir, o->files[i].name); /* it fitted before */
        (void)unlink(path);
    }
}

weir_err run_write(const struct run *run, struct rocks_shared *shared, const char *dir, const char *stem, const struct run_range *ranges,
                   uint32_t n_ranges, struct run_file **files, uint32_t *n_files, struct weir_diag *diag)
{
    WEIR_ASSERT(run->sorted || run->n == 0);
    struct output o = {.run = run, .shared = shared, .dir = dir, .stem = stem, .ranges = ranges, .n_ranges = n_ranges, .diag = diag};
    weir_err err = WEIR_OK;
    while (!err && (o.next < run->n || (n_ranges && o.n_files == 0))) err = write_file(&o);
    if (err) {
        remove_files(&o);
        free(o.files);
        return err;
    }
    *files = o.files;
    *n_files = o.n_files;
    return WEIR_OK;
}

/* ---- copy -------------------------------------------------------------------------------------------------------------------------- */

struct copy {
    const char *from_path, *to_path;
    int from, to;
    uint64_t left; /* of the size at the beginning */
    struct weir_diag *diag;
};

static weir_err copy_shrank(const struct copy *c)
{
    return weir_fail(c->diag, WEIR_E_IO, "copy %s: it ended %" PRIu64 " bytes before its size", c->from_path, c->left);
}

static weir_err write_all(const struct copy *c, const unsigned char *data, size_t n)
{
    while (n > 0) {
        ssize_t put = write(c->to, data, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return weir_fail_errno(c->diag, errno, "write %s", c->to_path);
        data += put;
        n -= (size_t)put;
    }
    return WEIR_OK;
}

static weir_err copy_through(struct copy *c, unsigned char *buffer)
{
    while (c->left > 0) {
        ssize_t got = read_some(c->from, buffer, c->left < BUFFER_BYTES ? (size_t)c->left : BUFFER_BYTES);
        if (got < 0) return weir_fail_errno(c->diag, errno, "read %s", c->from_path);
        if (got == 0) return copy_shrank(c);
        weir_err err = write_all(c, buffer, (size_t)got);
        if (err) return err;
        c->left -= (uint64_t)got;
    }
    return WEIR_OK;
}

static weir_err copy_by_hand(struct copy *c)
{
    unsigned char *buffer = malloc(BUFFER_BYTES);
    if (!buffer) return weir_fail(c->diag, WEIR_E_NOMEM, "copy %s: out of memory", c->from_path);
    weir_err err = copy_through(c, buffer);
    free(buffer);
    return err;
}

/* Between these two files, or by this kernel, it is not to be had. */
static bool not_offered(int errnum)
{
    return errnum == EXDEV || errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP;
}

static weir_err copy_bytes(struct copy *c)
{
    while (c->left > 0) {
        ssize_t got = copy_file_range(c->from, NULL, c->to, NULL, (size_t)c->left, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && not_offered(errno)) return copy_by_hand(c); /* both files stand where it ended */
        if (got < 0) return weir_fail_errno(c->diag, errno, "copy %s to %s", c->from_path, c->to_path);
        if (got == 0) return copy_shrank(c);
        c->left -= (uint64_t)got;
    }
    return WEIR_OK;
}

/* Makes the target and fills it; what fails behind its making removes it. */
static weir_err copy_open(struct copy *c)
{
    struct stat st;
    if (fstat(c->from, &st)) return weir_fail_errno(c->diag, errno, "stat %s", c->from_path);
    c->left = (uint64_t)st.st_size;
    c->to = open(c->to_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (c->to < 0 && errno == EEXIST)
        return weir_fail(c->diag, WEIR_E_EXISTS, "copy %s to %s: there is such a file", c->from_path, c->to_path);
    if (c->to < 0) return weir_fail_errno(c->diag, errno, "create %s", c->to_path);
    weir_err err = copy_bytes(c);
    if (close(c->to) && !err) err = weir_fail_errno(c->diag, errno, "close %s", c->to_path);
    if (err) (void)unlink(c->to_path);
    return err;
}

weir_err run_file_copy(const char *from, const char *to, struct weir_diag *diag)
{
    struct copy c = {.from_path = from, .to_path = to, .from = open(from, O_RDONLY | O_CLOEXEC), .diag = diag};
    if (c.from < 0) return weir_fail_errno(diag, errno, "open %s", from);
    weir_err err = copy_open(&c);
    (void)close(c.from);
    return err;
}
