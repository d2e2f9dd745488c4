/* build_id.c: see build_id.h. Costs three small reads for each mapped file. */
#include "profiler/record/build_id.h"

#include "profiler/record/sys.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>

enum { HEADERS = 32, NOTES = 1024 };

static bool fetch(int memory, uint64_t from, void *to, size_t bytes)
{
    return tm_sys_pread(memory, to, bytes, from) == (long)bytes;
}

/* Walks the notes in bytes and writes the id of the first that has one. */
static bool find_id(const char *notes, size_t bytes, char id[TM_BUILD_ID_HEX])
{
    Elf64_Nhdr note;
    size_t at = 0;
    while (at + sizeof note <= bytes) {
        memcpy(&note, notes + at, sizeof note);
        size_t name = at + sizeof note;
        size_t description = name + (((size_t)note.n_namesz + 3) & ~(size_t)3);
        size_t next = description + (((size_t)note.n_descsz + 3) & ~(size_t)3);
        if (next > bytes)
            return false;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz > 0 &&
            note.n_descsz <= (TM_BUILD_ID_HEX - 1) / 2 && memcmp(notes + name, "GNU", 4) == 0) {
            for (size_t i = 0; i < note.n_descsz; i++) {
                unsigned char byte = (unsigned char)notes[description + i];
                id[2 * i] = "0123456789abcdef"[byte >> 4];
                id[2 * i + 1] = "0123456789abcdef"[byte & 15];
            }
            id[2 * (size_t)note.n_descsz] = '\0';
            return true;
        }
        at = next;
    }
    return false;
}

bool tm_build_id(int memory, uint64_t start, uint64_t end, char id[TM_BUILD_ID_HEX])
{
    static Elf64_Phdr headers[HEADERS];
    static char notes[NOTES];
    Elf64_Ehdr elf = {.e_phnum = 0};
    if (!fetch(memory, start, &elf, sizeof elf) || memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 ||
        elf.e_ident[EI_CLASS] != ELFCLASS64 || elf.e_phentsize != sizeof headers[0])
        return false;
    size_t count = elf.e_phnum < HEADERS ? elf.e_phnum : HEADERS;
    if (elf.e_phoff > end - start ||
        !fetch(memory, start + elf.e_phoff, headers, count * sizeof headers[0]))
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t bytes = headers[i].p_filesz < NOTES ? (size_t)headers[i].p_filesz : NOTES;
        /* Offsets in the file are offsets from start as long as they lie in its first mapping,
         * where notes are. */
        if (headers[i].p_type == PT_NOTE && headers[i].p_offset <= end - start &&
            bytes <= end - start - headers[i].p_offset &&
            fetch(memory, start + headers[i].p_offset, notes, bytes) && find_id(notes, bytes, id))
            return true;
    }
    return false;
}
