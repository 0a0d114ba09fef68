/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the note of a plugin; see note.h. The file comes from a user: every offset is checked against `len` before it is followed. */
#include "api/src/note.h"

#include <elf.h>

#include "weir/plugin.h"

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#error "plugins are checked for x86-64 and aarch64 only"
#endif

struct bytes {
    const unsigned char *data;
    size_t len;
};

/* Copies `size` bytes at `at`; false when they do not lie in the bytes. Copying also settles alignment. */
static bool copy_at(struct bytes from, uint64_t at, void *to, size_t size)
{
    if (at > from.len || size > from.len - at) return false;
    memcpy(to, from.data + at, size);
    return true;
}

/* A run inside the bytes. */
static bool slice(struct bytes from, uint64_t at, uint64_t size, struct bytes *out)
{
    if (at > from.len || size > from.len - at) return false;
    *out = (struct bytes){from.data + at, (size_t)size};
    return true;
}

/* ---- the header ------------------------------------------------------------------------------------------------------------------ */

static const char *machine_name(uint32_t machine)
{
    switch (machine) {
    case EM_X86_64: return "x86-64";
    case EM_AARCH64: return "aarch64";
    case EM_386: return "32-bit x86";
    case EM_ARM: return "32-bit ARM";
    case EM_RISCV: return "RISC-V";
    case EM_PPC64: return "PowerPC";
    case EM_S390: return "S/390";
    default: return "another machine";
    }
}

static weir_err read_header(struct bytes file, Elf64_Ehdr *h, struct weir_diag *diag)
{
    unsigned char ident[EI_NIDENT];
    if (!copy_at(file, 0, ident, sizeof ident) || memcmp(ident, ELFMAG, SELFMAG)) {
        return weir_fail(diag, WEIR_E_ARGUMENT, "not an ELF shared object: build it with cc -shared -fPIC");
    }
    /* Class and byte order come first, as the rest of the header depends on them. */
    if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB) {
        return weir_fail(diag, WEIR_E_ABI, "built for another machine: this Weir runs on 64-bit little-endian %s", machine_name(MACHINE));
    }
    if (!copy_at(file, 0, h, sizeof *h)) return weir_fail(diag, WEIR_E_CORRUPT, "the ELF header is cut off after %zu bytes", file.len);
    if (h->e_type != ET_DYN) return weir_fail(diag, WEIR_E_ARGUMENT, "not an ELF shared object: build it with cc -shared -fPIC");
    if (h->e_machine != MACHINE) {
        return weir_fail(diag, WEIR_E_ABI, "built for %s (ELF machine %u), this Weir runs on %s", machine_name(h->e_machine), h->e_machine,
                         machine_name(MACHINE));
    }
    if (h->e_phnum && h->e_phentsize != sizeof(Elf64_Phdr)) {
        return weir_fail(diag, WEIR_E_CORRUPT, "the ELF header gives program headers of %u bytes instead of %zu", h->e_phentsize,
                         sizeof(Elf64_Phdr));
    }
    return WEIR_OK;
}

/* ---- notes ----------------------------------------------------------------------------------------------------------------------- */

/* `at` rounded up to `align`, a power of two; `at` is below 2^34, so nothing wraps. */
static uint64_t round_up(uint64_t at, uint64_t align)
{
    return (at + align - 1) & ~(align - 1);
}

static bool is_ours(const Elf64_Nhdr *note, struct bytes owner)
{
    return note->n_type == WEIR_NOTE_TYPE && owner.len == sizeof WEIR_NOTE_OWNER && !memcmp(owner.data, WEIR_NOTE_OWNER, owner.len);
}

/* Looks through one segment for the Weir note. *found tells; false: the notes leave the segment. */
static bool search_notes(struct bytes segment, uint64_t align, struct bytes *desc, bool *found)
{
    uint64_t at = 0;
    while (at < segment.len && !*found) {
        Elf64_Nhdr note;
        struct bytes owner, text;
        if (!copy_at(segment, at, &note, sizeof note)) return false;
        uint64_t desc_at = round_up(at + sizeof note + note.n_namesz, align);
        if (!slice(segment, at + sizeof note, note.n_namesz, &owner) || !slice(segment, desc_at, note.n_descsz, &text)) return false;
        if (is_ours(&note, owner)) *desc = text, *found = true;
        at = round_up(desc_at + note.n_descsz, align);
    }
    return true;
}

static weir_err find_note(struct bytes file, const Elf64_Ehdr *h, struct bytes *desc, struct weir_diag *diag)
{
    bool found = false;
    struct bytes headers;
    if (!slice(file, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr), &headers)) {
        return weir_fail(diag, WEIR_E_CORRUPT, "the ELF program headers lie outside the file: is it cut off?");
    }
    for (uint32_t i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr segment;
        struct bytes notes;
        (void)copy_at(headers, i * sizeof segment, &segment, sizeof segment); /* inside: the slice has e_phnum of them */
        /* The loader maps what a segment says; behind the end of a file that is a SIGBUS in whoever touches it. */
        if (segment.p_type == PT_LOAD && !slice(file, segment.p_offset, segment.p_filesz, &notes))
            return weir_fail(diag, WEIR_E_CORRUPT, "a segment lies outside the file: is it cut off?");
        if (segment.p_type != PT_NOTE || found) continue;
        if (!slice(file, segment.p_offset, segment.p_filesz, &notes)) {
            return weir_fail(diag, WEIR_E_CORRUPT, "an ELF note segment lies outside the file: is it cut off?");
        }
        /* The linker keeps notes of different alignment in different segments; GNU properties are the ones with 8. */
        if (!search_notes(notes, segment.p_align == 8 ? 8 : 4, desc, &found)) {
            return weir_fail(diag, WEIR_E_CORRUPT, "an ELF note leaves its segment");
        }
    }
    if (found) return WEIR_OK;
    return weir_fail(diag, WEIR_E_ARGUMENT, "not a Weir plugin: it has no WEIR_PLUGIN(...)");
}

/* ---- the versions ---------------------------------------------------------------------------------------------------------------- */

/* The words behind major and minor, in the order of struct weir_abi_note. */
static const char *const shared_structs[] = {
    "weir_record",   "weir_batch",  "weir_out",    "weir_ctx",   "weir_key",
    "weir_operator", "weir_source", "weir_schema", "weir_field", "weir_aggregate",
};
enum { N_WORDS = sizeof(struct weir_abi_note) / sizeof(uint32_t), N_SHARED = sizeof shared_structs / sizeof shared_structs[0] };
static_assert(N_SHARED + 2 == N_WORDS, "a name for every size in the note");

static weir_err check_sizes(const uint32_t *theirs, const uint32_t *ours, struct weir_diag *diag)
{
    for (uint32_t i = 0; i < N_SHARED; i++) {
        if (theirs[i] == ours[i]) continue;
        return weir_fail(diag, WEIR_E_ABI,
                         "built with a struct %s of %u bytes, this Weir's has %u: rebuild it against this version's headers",
                         shared_structs[i], theirs[i], ours[i]);
    }
    return WEIR_OK;
}

static weir_err check_versions(struct bytes desc, struct weir_diag *diag)
{
    uint32_t theirs[N_WORDS] = {0}, ours[N_WORDS];
    const struct weir_abi_note note = WEIR_ABI_NOTE_INIT;
    memcpy(ours, &note, sizeof ours);
    memcpy(theirs, desc.data, desc.len < sizeof theirs ? desc.len : sizeof theirs); /* longer notes come from newer minors: refused below */
    if (desc.len < 2 * sizeof theirs[0]) return weir_fail(diag, WEIR_E_CORRUPT, "the Weir note is cut off after %zu bytes", desc.len);
    if (theirs[0] != ours[0] || theirs[1] > ours[1]) {
        return weir_fail(diag, WEIR_E_ABI, "built for Weir ABI %u.%u, this Weir speaks %u.%u: %s", theirs[0], theirs[1], ours[0], ours[1],
                         theirs[0] != ours[0] ? "rebuild it against this version's headers"
                                              : "update Weir, or rebuild it against this version's headers");
    }
    if (desc.len < sizeof theirs) return weir_fail(diag, WEIR_E_CORRUPT, "the Weir note is cut off after %zu bytes", desc.len);
    return check_sizes(theirs + 2, ours + 2, diag);
}

weir_err note_check(const void *data, size_t len, struct weir_diag *diag)
{
    struct bytes file = {data, len}, desc = {0};
    Elf64_Ehdr header;
    weir_err err = read_header(file, &header, diag);
    if (err) return err;
    err = find_note(file, &header, &desc, diag);
    if (err) return err;
    return check_versions(desc, diag);
}
