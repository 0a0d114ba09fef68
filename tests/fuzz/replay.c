/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target without a fuzzer: `fuzz_x PATH... [--mutations=N] [--seed=S]`. A path is a file or a folder of them; each is given
 * to the target as it is, and then N mutations of the files in turn, drawn from S, so that two runs do the same. An input that is being
 * tried is named by (seed, mutation), and written to ./crash-<target> when the target aborts, which repeats the failure.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/wire/samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 65536u
#define INPUTS_MAX 1024u
#define EDITS_MAX 6u /* of one mutation */

struct input {
    uint8_t *data;
    size_t size;
};

static struct input inputs[INPUTS_MAX];
static size_t n_inputs;
static uint8_t trial[2 * INPUT_MAX];
static size_t trial_size;
static char crash_name[64];

static void keep_input(int signal_number)
{
    int fd = open(crash_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0) {
        ssize_t ignored = write(fd, trial, trial_size);
        (void)ignored;
        ignored = write(STDERR_FILENO, "input kept as ", 14);
        ignored = write(STDERR_FILENO, crash_name, strlen(crash_name));
        ignored = write(STDERR_FILENO, "\n", 1);
        close(fd);
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void add_file(const char *path)
{
    static uint8_t space[INPUT_MAX];
    FILE *f = fopen(path, "rb");
    if (!f || n_inputs == INPUTS_MAX) {
        fprintf(stderr, "cannot take %s\n", path);
        exit(2);
    }
    size_t size = fread(space, 1, sizeof space, f);
    fclose(f);
    uint8_t *data = malloc(size ? size : 1);
    if (!data) exit(2);
    memcpy(data, space, size);
    inputs[n_inputs++] = (struct input){data, size};
}

static int no_dots(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void add_path(const char *path)
{
    struct stat st;
    struct dirent **entries;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        add_file(path);
        return;
    }
    int n = scandir(path, &entries, no_dots, by_bytes);
    if (n < 0 && errno == ENOENT) return; /* a target may have no seeds */
    if (n < 0) {
        perror(path);
        exit(2);
    }
    for (int i = 0; i < n; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        add_file(name);
        free(entries[i]);
    }
    free(entries);
}

/* An exact copy on the heap, so that a sanitizer sees the first byte read behind its end. */
static void try_input(void)
{
    uint8_t *copy = malloc(trial_size ? trial_size : 1);
    if (!copy) exit(2);
    memcpy(copy, trial, trial_size);
    LLVMFuzzerTestOneInput(copy, trial_size);
    free(copy);
}

static void replace_run(size_t at, size_t remove, const uint8_t *with, size_t n)
{
    if (trial_size - remove + n > sizeof trial) return;
    memmove(trial + at + n, trial + at + remove, trial_size - at - remove);
    memcpy(trial + at, with, n);
    trial_size = trial_size - remove + n;
}

static void edit(uint64_t *seed)
{
    static const uint8_t telling[] = {0x00, 0x01, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1,
                                      0xc4, 0xc6, 0xcb, 0xcf, 0xd3, 0xd9, 0xdb, 0xdd, 0xdf, 0xff};
    uint8_t byte = draw_below(seed, 2) ? telling[draw_below(seed, sizeof telling)] : (uint8_t)draw(seed);
    size_t at = draw_below(seed, (uint32_t)trial_size + 1);
    size_t left = trial_size - at;
    switch (draw_below(seed, 6)) {
    case 0:
        if (left) trial[at] ^= (uint8_t)(1u << draw_below(seed, 8));
        return;
    case 1:
        if (left) trial[at] = byte;
        return;
    case 2: replace_run(at, 0, &byte, 1); return;
    case 3: replace_run(at, left ? draw_below(seed, left < 16 ? (uint32_t)left + 1 : 16) : 0, &byte, 0); return;
    case 4:
        if (draw_below(seed, 8) == 0) trial_size = at;
        return;
    default: {
        const struct input *other = &inputs[draw_below(seed, (uint32_t)n_inputs)];
        size_t from = draw_below(seed, (uint32_t)other->size + 1);
        size_t n = other->size - from;
        replace_run(at, left / 2, other->data + from, n < 64 ? n : 64);
        return;
    }
    }
}

static void mutate(uint64_t *seed)
{
    const struct input *from = &inputs[draw_below(seed, (uint32_t)n_inputs)];
    memcpy(trial, from->data, from->size);
    trial_size = from->size;
    for (uint32_t n = 1 + draw_below(seed, EDITS_MAX); n > 0; n--) edit(seed);
}

int main(int argc, char **argv)
{
    unsigned long mutations = 20000;
    uint64_t seed = 1;
    const char *name = strrchr(argv[0], '/');
    snprintf(crash_name, sizeof crash_name, "crash-%s", name ? name + 1 : argv[0]);
    signal(SIGABRT, keep_input);
    signal(SIGSEGV, keep_input);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--mutations=", 12) == 0)
            mutations = strtoul(argv[i] + 12, NULL, 10);
        else if (strncmp(argv[i], "--seed=", 7) == 0)
            seed = strtoull(argv[i] + 7, NULL, 10);
        else
            add_path(argv[i]);
    }
    if (n_inputs == 0) inputs[n_inputs++] = (struct input){malloc(1), 0}; /* mutations grow from nothing, too */
    for (size_t i = 0; i < n_inputs; i++) {
        memcpy(trial, inputs[i].data, inputs[i].size);
        trial_size = inputs[i].size;
        try_input();
    }
    for (unsigned long i = 0; i < mutations; i++) {
        mutate(&seed);
        try_input();
    }
    printf("%zu inputs and %lu mutations passed\n", n_inputs, mutations);
    for (size_t i = 0; i < n_inputs; i++) free(inputs[i].data);
    return 0;
}
