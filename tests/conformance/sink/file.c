/* SPDX-License-Identifier: Apache-2.0 */
/* The file sink in its forms under the suite. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/conformance/sink/suite.h"
#include "tests/support/temp_dir.h"
#include "weir/connector/file.h"

static void read_line(const char *line, struct suite_seen *seen)
{
    char *end;
    long long id = strtoll(line, &end, 10);
    bool whole = end != line && *end == ',' && id >= 0 && id < SUITE_ROWS && strcmp(end + 1, suite_text(id)) == 0;
    if (whole)
        seen->times[id]++;
    else
        seen->broken++;
}

static void read_file(const char *path, struct suite_seen *seen)
{
    size_t length;
    char *data = temp_read(path, &length);
    assert_non_null(data);
    if (length && data[length - 1] != '\n') seen->broken++;
    for (char *rest = data, *line; (line = strtok_r(rest, "\n", &rest));) read_line(line, seen);
    free(data);
}

static void read_folder(const char *dir, struct suite_seen *seen)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (const struct dirent *entry; (entry = readdir(d));) {
        char path[4096];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (strncmp(entry->d_name, "part-", 5) == 0)
            read_file(path, seen);
        else
            seen->left_over++;
    }
    (void)closedir(d);
}

static struct weir_stream *add(struct weir_stream *in, const char *dir, struct weir_file_sink sink)
{
    sink.dir = dir;
    sink.format = WEIR_FILE_CSV;
    return weir_to_file(in, "out", &sink);
}

static struct weir_stream *add_plain(struct weir_stream *in, const char *dir)
{
    return add(in, dir, (struct weir_file_sink){0});
}

/* Several files between two checkpoints. */
static struct weir_stream *add_rolling(struct weir_stream *in, const char *dir)
{
    return add(in, dir, (struct weir_file_sink){.roll_bytes = 40});
}

static struct weir_stream *add_at_least_once(struct weir_stream *in, const char *dir)
{
    return add(in, dir, (struct weir_file_sink){.at_least_once = true, .roll_bytes = 100});
}

static struct weir_stream *add_replacing(struct weir_stream *in, const char *dir)
{
    return add(in, dir, (struct weir_file_sink){.replace = true});
}

/* Of earlier runs, with checkpoints and without; what they say would be seen twice, or is broken. */
static void leave_files(const char *dir)
{
    static const char *const names[] = {"part-00000", "part-00002-1", "part-00001-deadbeef-7",
                                        ".part-00000-0.ffffffffffffffffffffffffffffffff.1.tmp"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        temp_write(path, "", 0);
    }
}

int main(void)
{
    static struct suite_sink sinks[] = {
        {.name = "file", .add = add_plain, .read = read_folder},
        {.name = "file, rolling", .add = add_rolling, .read = read_folder},
        {.name = "file, at least once", .at_least_once = true, .add = add_at_least_once, .read = read_folder},
        {.name = "file, replacing", .prepare_folder = leave_files, .add = add_replacing, .read = read_folder},
    };
    enum { N = sizeof sinks / sizeof *sinks };
    struct CMUnitTest tests[2 * N];
    for (uint32_t i = 0; i < N; i++) {
        tests[2 * i] = (struct CMUnitTest){.name = sinks[i].name, .test_func = suite_ended_anywhere, .initial_state = &sinks[i]};
        tests[2 * i + 1] = (struct CMUnitTest){.name = sinks[i].name, .test_func = suite_ended_again_and_again, .initial_state = &sinks[i]};
    }
    return cmocka_run_group_tests_name("sinks", tests, NULL, NULL);
}
