/* control_memory.c: reading the memory of another process: bytes, and where a symbol of a mapped
 * library lies. The library's own tables in memory are read, not its file, which may lie in a
 * container or be deleted. Nothing read is trusted.
 */
#include "profiler/report/control.h"

#include <elf.h>
#include <string.h>
#include <sys/uio.h>

enum { HEADERS = 32, DYNAMIC = 64, CHAIN = 4096 };

bool tm_remote_read(pid_t pid, uintptr_t from, void *to, size_t size)
{
    struct iovec here = {to, size};
    struct iovec there = {(void *)from, size};
    return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

/* What the dynamic section tells, as addresses in the process. */
struct tables {
    uintptr_t symbols, strings, hash;
};

static bool find_tables(pid_t pid, uintptr_t base, struct tables *tables)
{
    Elf64_Ehdr elf;
    Elf64_Phdr headers[HEADERS];
    Elf64_Dyn dynamic[DYNAMIC];
    if (!tm_remote_read(pid, base, &elf, sizeof elf) || memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 ||
        elf.e_phnum > HEADERS ||
        !tm_remote_read(pid, base + elf.e_phoff, headers, elf.e_phnum * sizeof headers[0]))
        return false;
    for (unsigned i = 0; i < elf.e_phnum; i++) {
        if (headers[i].p_type != PT_DYNAMIC)
            continue;
        size_t count = headers[i].p_memsz / sizeof dynamic[0];
        if (count > DYNAMIC)
            count = DYNAMIC;
        if (!tm_remote_read(pid, base + headers[i].p_vaddr, dynamic, count * sizeof dynamic[0]))
            return false;
        for (size_t entry = 0; entry < count; entry++) {
            /* The loader has made addresses of the offsets, on most machines. */
            uintptr_t address = dynamic[entry].d_un.d_ptr;
            if (address < base)
                address += base;
            if (dynamic[entry].d_tag == DT_SYMTAB)
                tables->symbols = address;
            else if (dynamic[entry].d_tag == DT_STRTAB)
                tables->strings = address;
            else if (dynamic[entry].d_tag == DT_GNU_HASH)
                tables->hash = address;
        }
    }
    return tables->symbols != 0 && tables->strings != 0 && tables->hash != 0;
}

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 5381;
    for (; *name != '\0'; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

uintptr_t tm_remote_symbol(pid_t pid, uintptr_t base, const char *name)
{
    struct tables tables = {0, 0, 0};
    uint32_t head[4]; /* buckets, first symbol, bloom words, bloom shift */
    uint32_t index, word;
    uint32_t wanted = hash_of(name);
    char probe;
    if (!tm_remote_read(pid, base, &probe, 1))
        return (uintptr_t)-1;
    if (!find_tables(pid, base, &tables) || !tm_remote_read(pid, tables.hash, head, sizeof head) ||
        head[0] == 0)
        return 0;
    uintptr_t buckets = tables.hash + sizeof head + (uintptr_t)head[2] * 8;
    uintptr_t chains = buckets + (uintptr_t)head[0] * 4;
    if (!tm_remote_read(pid, buckets + (uintptr_t)(wanted % head[0]) * 4, &index, sizeof index) ||
        index < head[1])
        return 0;
    for (unsigned i = 0; i < CHAIN; i++, index++) {
        Elf64_Sym symbol;
        char found[64];
        size_t length = strlen(name) + 1;
        if (!tm_remote_read(pid, chains + (uintptr_t)(index - head[1]) * 4, &word, sizeof word))
            return 0;
        if ((word | 1) == (wanted | 1) && length <= sizeof found &&
            tm_remote_read(pid, tables.symbols + (uintptr_t)index * sizeof symbol, &symbol,
                           sizeof symbol) &&
            tm_remote_read(pid, tables.strings + symbol.st_name, found, length) &&
            memcmp(found, name, length) == 0)
            return base + symbol.st_value;
        if ((word & 1) != 0)
            return 0;
    }
    return 0;
}
