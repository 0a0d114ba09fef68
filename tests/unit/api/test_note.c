/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins before they are loaded. This program is position-independent and carries WEIR_PLUGIN itself, so its own file is a true linker's
 * output with a Weir note; everything else is made by hand, byte by byte.
 */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/src/note.h"
#include "weir/weir.h"

static weir_err build(struct weir_env *env, int argc, char **argv, struct weir_diag *diag)
{
    (void)env, (void)argc, (void)argv, (void)diag;
    return WEIR_OK;
}
WEIR_PLUGIN("note", "1.0", build);

#if defined(__x86_64__)
enum { OURS = EM_X86_64, THEIRS = EM_AARCH64 };
#else
enum { OURS = EM_AARCH64, THEIRS = EM_X86_64 };
#endif

/* A small shared object: header, two program headers, a foreign note with alignment 8, and a foreign and the Weir note with alignment 4. */
struct image {
    Elf64_Ehdr h;
    Elf64_Phdr segments[3];
    struct {
        Elf64_Nhdr note;
        char owner[4];
        unsigned char desc[16];
    } gnu; /* .note.gnu.property: its 12 bytes are padded to 16 */
    struct {
        Elf64_Nhdr note;
        char owner[4];
        unsigned char desc[20];
    } build_id;
    struct {
        Elf64_Nhdr note;
        char owner[8];
        struct weir_abi_note desc;
    } weir;
};

static struct image plugin(void)
{
    struct image image = {
        .h = {.e_type = ET_DYN,
              .e_machine = OURS,
              .e_phoff = offsetof(struct image, segments),
              .e_phentsize = sizeof(Elf64_Phdr),
              .e_phnum = 3},
        .segments = {{.p_type = PT_LOAD, .p_offset = 0, .p_filesz = sizeof(struct image)},
                     {.p_type = PT_NOTE, .p_offset = offsetof(struct image, gnu), .p_filesz = sizeof image.gnu, .p_align = 8},
                     {.p_type = PT_NOTE,
                      .p_offset = offsetof(struct image, build_id),
                      .p_filesz = sizeof(struct image) - offsetof(struct image, build_id),
                      .p_align = 4}},
        .gnu = {.note = {4, 12, 5}, .owner = "GNU"},
        .build_id = {.note = {4, 20, 3}, .owner = "GNU"},
        .weir = {.note = {sizeof WEIR_NOTE_OWNER, sizeof(struct weir_abi_note), WEIR_NOTE_TYPE},
                 .owner = WEIR_NOTE_OWNER,
                 .desc = WEIR_ABI_NOTE_INIT},
    };
    memcpy(image.h.e_ident, ELFMAG, SELFMAG);
    image.h.e_ident[EI_CLASS] = ELFCLASS64;
    image.h.e_ident[EI_DATA] = ELFDATA2LSB;
    return image;
}

static void expect(const void *data, size_t len, weir_err err, const char *part)
{
    struct weir_diag diag = {.code = WEIR_OK, .text = ""};
    assert_int_equal(note_check(data, len, &diag), err);
    if (!strstr(diag.text, part)) fail_msg("\"%s\" is not in \"%s\"", part, diag.text);
    assert_int_equal(note_check(data, len, NULL), err);
}

#define EXPECT(image, err, part) expect(&(image), sizeof(image), err, part)

static void what_the_linker_made_is_accepted(void **state)
{
    (void)state;
    FILE *file = fopen("/proc/self/exe", "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    unsigned char *data = malloc((size_t)size);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)size, file), (size_t)size);
    (void)fclose(file);
    bool independent = ((const Elf64_Ehdr *)(const void *)data)->e_type == ET_DYN;
    if (independent) expect(data, (size_t)size, WEIR_OK, "");
    free(data);
    if (!independent) skip(); /* a toolchain that links programs to fixed addresses */
}

static void a_plugin_of_this_version_is_accepted(void **state)
{
    (void)state;
    struct image image = plugin();
    EXPECT(image, WEIR_OK, "");
    image.weir.desc.abi_minor = 0; /* an older minor with the same structs */
    EXPECT(image, WEIR_OK, "");
}

static void other_files_are_refused_in_words(void **state)
{
    (void)state;
    static const char script[] = "#!/bin/sh\necho a script is longer than an ELF identification\n";
    expect(NULL, 0, WEIR_E_ARGUMENT, "not an ELF shared object");
    expect("\x7f"
           "EL",
           3, WEIR_E_ARGUMENT, "not an ELF shared object");
    EXPECT(script, WEIR_E_ARGUMENT, "not an ELF shared object");
    struct image image = plugin();
    image.h.e_type = ET_REL; /* an object file: cc -c instead of cc -shared */
    EXPECT(image, WEIR_E_ARGUMENT, "not an ELF shared object");
}

static void another_machine_is_refused(void **state)
{
    (void)state;
    struct image image = plugin();
    image.h.e_machine = THEIRS;
    EXPECT(image, WEIR_E_ABI, "built for ");
    image = plugin();
    image.h.e_ident[EI_CLASS] = ELFCLASS32;
    EXPECT(image, WEIR_E_ABI, "built for another machine");
    image = plugin();
    image.h.e_ident[EI_DATA] = ELFDATA2MSB;
    EXPECT(image, WEIR_E_ABI, "built for another machine");
}

static void a_library_that_is_no_plugin_is_refused(void **state)
{
    (void)state;
    static const char told[] = "not a Weir plugin: it has no WEIR_PLUGIN(...)";
    struct image image = plugin();
    image.h.e_phnum = 2; /* the segment with the note is not listed */
    EXPECT(image, WEIR_E_ARGUMENT, told);
    image = plugin();
    memcpy(image.weir.owner, "Wear", 4);
    EXPECT(image, WEIR_E_ARGUMENT, told);
    image = plugin();
    image.weir.note.n_type = 2; /* ours, but of a kind this version does not know */
    EXPECT(image, WEIR_E_ARGUMENT, told);
    image = plugin();
    image.h.e_phnum = 0;
    image.h.e_phentsize = 0;
    EXPECT(image, WEIR_E_ARGUMENT, told);
}

static void another_abi_is_refused(void **state)
{
    (void)state;
    char told[128];
    struct image image = plugin();
    image.weir.desc.abi_major = WEIR_ABI_MAJOR + 1;
    image.weir.desc.abi_minor = 0;
    (void)snprintf(told, sizeof told, "built for Weir ABI %u.0, this Weir speaks %u.%u: rebuild it against this version's headers",
                   WEIR_ABI_MAJOR + 1, WEIR_ABI_MAJOR, WEIR_ABI_MINOR);
    EXPECT(image, WEIR_E_ABI, told);
    image = plugin();
    image.weir.desc.abi_minor = WEIR_ABI_MINOR + 1;
    EXPECT(image, WEIR_E_ABI, "update Weir, or rebuild");
}

static void another_size_of_a_struct_is_refused_by_name(void **state)
{
    (void)state;
    struct image image = plugin();
    image.weir.desc.size_ctx = 8;
    EXPECT(image, WEIR_E_ABI, "a struct weir_ctx of 8 bytes");
    image = plugin();
    image.weir.desc.size_aggregate += 8;
    EXPECT(image, WEIR_E_ABI, "a struct weir_aggregate of ");
    image = plugin();
    image.weir.desc.size_record = 0;
    EXPECT(image, WEIR_E_ABI, "a struct weir_record of 0 bytes");
}

static void tables_that_leave_the_file_are_corrupt(void **state)
{
    (void)state;
    static const uint64_t far[] = {sizeof(struct image), UINT64_MAX, UINT64_MAX - 8, 1ull << 63, 1ull << 32};
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++) {
        struct image image = plugin();
        image.h.e_phoff = far[i];
        EXPECT(image, WEIR_E_CORRUPT, "program headers lie outside");
        image = plugin();
        image.segments[2].p_offset = far[i];
        EXPECT(image, WEIR_E_CORRUPT, "segment lies outside");
        image = plugin();
        image.segments[2].p_filesz = far[i];
        EXPECT(image, WEIR_E_CORRUPT, "segment lies outside");
    }
    struct image image = plugin();
    image.h.e_phentsize = 32;
    EXPECT(image, WEIR_E_CORRUPT, "32 bytes instead of 56");
    image = plugin();
    image.h.e_phnum = UINT16_MAX;
    EXPECT(image, WEIR_E_CORRUPT, "program headers lie outside");
    image = plugin();
    image.build_id.note.n_descsz = UINT32_MAX;
    EXPECT(image, WEIR_E_CORRUPT, "leaves its segment");
    image = plugin();
    image.build_id.note.n_namesz = UINT32_MAX;
    EXPECT(image, WEIR_E_CORRUPT, "leaves its segment");
    image = plugin();
    image.weir.note.n_descsz = 4;
    image.segments[2].p_filesz -= sizeof(struct weir_abi_note) - 4;
    EXPECT(image, WEIR_E_CORRUPT, "note is cut off");
    image = plugin();
    image.weir.note.n_descsz -= 4;
    EXPECT(image, WEIR_E_CORRUPT, "note is cut off");
}

/* Cut at each byte and every bit turned once, each time in a heap block of that very size so that a sanitizer sees a byte too far. */
static void damaged_files_never_crash(void **state)
{
    (void)state;
    const struct image image = plugin();
    for (size_t len = 0; len < sizeof image; len++) {
        unsigned char *data = malloc(len ? len : 1);
        assert_non_null(data);
        memcpy(data, &image, len);
        assert_int_not_equal(note_check(data, len, NULL), WEIR_OK);
        free(data);
    }
    unsigned char *data = malloc(sizeof image + 1);
    assert_non_null(data);
    for (size_t bit = 0; bit < 8 * sizeof image; bit++) {
        memcpy(data + 1, &image, sizeof image); /* and not aligned, either */
        data[1 + bit / 8] ^= (unsigned char)(1u << bit % 8);
        struct weir_diag diag;
        weir_err err = note_check(data + 1, sizeof image, &diag);
        assert_true(err == WEIR_OK || err == WEIR_E_ARGUMENT || err == WEIR_E_ABI || err == WEIR_E_CORRUPT);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest stories[] = {
        cmocka_unit_test(what_the_linker_made_is_accepted),
        cmocka_unit_test(a_plugin_of_this_version_is_accepted),
        cmocka_unit_test(other_files_are_refused_in_words),
        cmocka_unit_test(another_machine_is_refused),
        cmocka_unit_test(a_library_that_is_no_plugin_is_refused),
        cmocka_unit_test(another_abi_is_refused),
        cmocka_unit_test(another_size_of_a_struct_is_refused_by_name),
        cmocka_unit_test(tables_that_leave_the_file_are_corrupt),
        cmocka_unit_test(damaged_files_never_crash),
    };
    return cmocka_run_group_tests(stories, NULL, NULL);
}
