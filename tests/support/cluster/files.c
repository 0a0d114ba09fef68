/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/base/id.h"
#include "tests/support/cluster/cluster.h"

/* Lasts as long as the program: a story keeps its paths, and there are few. */
struct kept {
    struct kept *next;
    char text[];
};

static char *joined(const char *dir, const char *name, const char *ending)
{
    static struct kept *all;
    size_t size = strlen(dir) + strlen(name) + strlen(ending) + 2;
    struct kept *k = malloc(sizeof *k + size);
    assert_non_null(k);
    (void)snprintf(k->text, size, "%s/%s%s", dir, name, ending);
    k->next = all;
    all = k;
    return k->text;
}

const char *in_dir(const struct cluster *c, const char *name)
{
    return joined(c->dir, name, "");
}

const char *job_plugin(const char *name)
{
    return joined(WEIR_TEST_JOBS, name, ".so");
}

const char *example_plugin(const char *name)
{
    return joined(WEIR_TEST_EXAMPLES, name, ".so");
}

const char *test_data(const char *name)
{
    return joined(WEIR_TEST_DATA, name, "");
}

void file_write(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* Reads on until the end, whatever the size said: logs grow meanwhile. */
char *file_read(const char *path, size_t *len)
{
    FILE *file = fopen(path, "re");
    if (!file) return NULL;
    size_t room = 65536;
    char *data = malloc(room);
    *len = 0;
    while (data) {
        size_t n = fread(data + *len, 1, room - 1 - *len, file);
        *len += n;
        if (n == 0) break;
        if (*len + 1 == room) data = realloc(data, room *= 2);
    }
    (void)fclose(file);
    assert_non_null(data);
    data[*len] = '\0';
    return data;
}

bool file_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

void file_gunzip(const char *from, const char *to)
{
    static unsigned char bytes[65536];
    gzFile in = gzopen(from, "rbe");
    FILE *out = fopen(to, "we");
    assert_non_null(in);
    assert_non_null(out);
    for (int n; (n = gzread(in, bytes, sizeof bytes)) > 0;) assert_int_equal(fwrite(bytes, 1, (size_t)n, out), n);
    assert_int_equal(gzclose_r(in), Z_OK);
    assert_int_equal(fclose(out), 0);
}

uint32_t files_with_prefix(const char *dir, const char *prefix)
{
    uint32_t n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        const char *path = joined(dir, entry->d_name, "");
        bool folder = lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
        if (folder) n += files_with_prefix(path, prefix);
        n += strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && (!folder || *prefix == '\0');
    }
    if (d) (void)closedir(d);
    return n;
}

uint32_t sockets_below(const char *dir)
{
    size_t len;
    uint32_t n = 0;
    char *text = file_read("/proc/net/unix", &len);
    assert_non_null(text);
    for (const char *at = text; (at = strstr(at, dir)); at += strlen(dir)) n++;
    free(text);
    return n;
}

/* ---- sorted lines ------------------------------------------------------------------------------------------------------------------ */

struct lines {
    const char **at;
    uint32_t n, room;
};

static int by_bytes(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    size_t nx = strcspn(x, "\n"), ny = strcspn(y, "\n");
    int order = memcmp(x, y, nx < ny ? nx : ny);
    return order ? order : nx < ny ? -1 : nx > ny;
}

static void add_lines(struct lines *l, const char *text)
{
    for (const char *at = text; *at; at = strchr(at, '\n') + 1) {
        if (l->n == l->room) l->at = realloc(l->at, (l->room = l->room ? 2 * l->room : 1024) * sizeof *l->at);
        assert_non_null(l->at);
        assert_non_null(strchr(at, '\n')); /* the last line ends as all do */
        l->at[l->n++] = at;
    }
}

const char *sorted_sha256(const char *dir, uint32_t *n_lines)
{
    static char hex[WEIR_DIGEST_TEXT];
    char *texts[1024];
    uint32_t n_texts = 0;
    struct lines lines = {0};
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (strncmp(entry->d_name, "part-", 5) != 0) continue;
        size_t len;
        assert_true(n_texts < sizeof texts / sizeof *texts);
        texts[n_texts] = file_read(joined(dir, entry->d_name, ""), &len);
        add_lines(&lines, texts[n_texts++]);
    }
    if (d) (void)closedir(d);
    if (lines.n) qsort(lines.at, lines.n, sizeof *lines.at, by_bytes);
    struct sha256 hash;
    sha256_init(&hash);
    for (uint32_t i = 0; i < lines.n; i++) sha256_update(&hash, lines.at[i], strcspn(lines.at[i], "\n") + 1);
    digest_text(sha256_final(&hash), hex);
    *n_lines = lines.n;
    for (uint32_t i = 0; i < n_texts; i++) free(texts[i]);
    free(lines.at);
    return hex;
}

/* ---- text -------------------------------------------------------------------------------------------------------------------------- */

void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("\"%s\" is not in: %s", part, text);
}

void assert_has_not(const char *text, const char *part)
{
    if (strstr(text, part)) fail_msg("\"%s\" is in: %s", part, text);
}
