/* libc_malloc.c: see libc_malloc.h. libc's symbols are looked up in its own table (the ELF
 * specification's dynamic section; the hash table is GNU's, described by U. Drepper, "How To Write
 * Shared Libraries", and by A. Roenky, "ELF: better symbol lookup via DT_GNU_HASH"), since dlsym
 * finds whatever stands in front of libc, takes the loader's lock, and does not tell where a
 * symbol's entry lies.
 */
#include "preload/libc_malloc.h"

#ifdef __GLIBC__
#include <dlfcn.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/libc_names.h"

struct tm_libc_malloc tm_libc_malloc;

/* What is needed of libc's dynamic section. */
static struct {
    uintptr_t load; /* its load address, 0: not found */
    const uint32_t *hash;
    ElfW(Sym) * symbols;
    const char *names;
} libc;

/* Since glibc 2.35: which library an address is in, without a lock. Weak: an older one has it not.
 */
#pragma weak _dl_find_object

typedef void any_fn(void);

/* A symbol of libc's, and what takes its place. Where the program or another
 * library stands in front of Tidemark, the name leads there, as it does for everybody. */
static const struct {
    const char *name;
    any_fn *own;
} replaced[] = {
    {"malloc", (any_fn *)malloc},
    {"free", (any_fn *)free},
    {"calloc", (any_fn *)calloc},
    {"realloc", (any_fn *)realloc},
    {"reallocarray", (any_fn *)reallocarray},
    {"aligned_alloc", (any_fn *)aligned_alloc},
    {"memalign", (any_fn *)memalign},
    {"posix_memalign", (any_fn *)posix_memalign},
    {"valloc", (any_fn *)valloc},
    {"pvalloc", (any_fn *)pvalloc},
    {"cfree", (any_fn *)cfree},
    {"malloc_usable_size", (any_fn *)malloc_usable_size},
    {"malloc_trim", (any_fn *)malloc_trim},
    {"__libc_malloc", (any_fn *)__libc_malloc},
    {"__libc_calloc", (any_fn *)__libc_calloc},
    {"__libc_realloc", (any_fn *)__libc_realloc},
    {"__libc_free", (any_fn *)__libc_free},
    {"__libc_memalign", (any_fn *)__libc_memalign},
    {"__libc_valloc", (any_fn *)__libc_valloc},
    {"__libc_pvalloc", (any_fn *)__libc_pvalloc},
};
enum { REPLACED = sizeof replaced / sizeof replaced[0] };

/* libc's entry of that name, NULL: none. */
static ElfW(Sym) * find(const char *name)
{
    uint32_t hash = 5381;
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++)
        hash = hash * 33 + *c;
    /* Buckets, the first symbol that is in the table, words of the Bloom filter, its shift. */
    uint32_t buckets = libc.hash[0], first = libc.hash[1], words = libc.hash[2];
    const uint32_t *bucket = libc.hash + 4 + words * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    const uint32_t *chain = bucket + buckets;
    uint32_t i = bucket[hash % buckets];
    if (i < first)
        return NULL;
    for (;; i++) {
        uint32_t entry = chain[i - first];
        ElfW(Sym) *symbol = &libc.symbols[i];
        if ((entry | 1) == (hash | 1) && strcmp(libc.names + symbol->st_name, name) == 0)
            return symbol;
        if ((entry & 1) != 0) /* the chain's last */
            return NULL;
    }
}

/* The loader has put addresses in the place of the section's offsets. */
static bool read_dynamic(const struct link_map *map)
{
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_GNU_HASH)
            libc.hash = (const uint32_t *)entry->d_un.d_ptr;
        else if (entry->d_tag == DT_SYMTAB)
            libc.symbols = (ElfW(Sym) *)entry->d_un.d_ptr;
        else if (entry->d_tag == DT_STRTAB)
            libc.names = (const char *)entry->d_un.d_ptr;
    }
    return libc.hash != NULL && libc.symbols != NULL && libc.names != NULL;
}

static any_fn *function(const char *name)
{
    const ElfW(Sym) *symbol = find(name);
    return symbol != NULL ? (any_fn *)(libc.load + symbol->st_value) : NULL;
}

bool tm_libc_malloc_start(void)
{
    struct dl_find_object found;
    /* Any function that is libc's and that nobody stands in front of. */
    if (_dl_find_object == NULL || _dl_find_object(gnu_get_libc_version, &found) != 0 ||
        !read_dynamic(found.dlfo_link_map))
        return false;
    libc.load = found.dlfo_link_map->l_addr;
    tm_libc_malloc.free = (void (*)(void *))function("free");
    tm_libc_malloc.realloc = (void *(*)(void *, size_t))function("realloc");
    tm_libc_malloc.usable_size = (size_t(*)(void *))function("malloc_usable_size");
    tm_libc_malloc.info = (struct mallinfo2(*)(void))function("mallinfo2");
    return tm_libc_malloc.free != NULL && tm_libc_malloc.realloc != NULL &&
           tm_libc_malloc.usable_size != NULL && tm_libc_malloc.info != NULL;
}

/* The part of libc's table that holds these symbols, in whole pages. */
struct pages {
    uintptr_t start, end;
};

static struct pages pages_of(ElfW(Sym) *const *symbols)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    struct pages pages = {UINTPTR_MAX, 0};
    for (unsigned i = 0; i < REPLACED; i++) {
        uintptr_t start = (uintptr_t)symbols[i] & -page;
        uintptr_t end = ((uintptr_t)(symbols[i] + 1) + page - 1) & -page;
        if (symbols[i] != NULL && start < pages.start)
            pages.start = start;
        if (symbols[i] != NULL && end > pages.end)
            pages.end = end;
    }
    return pages;
}

/* How the loader mapped what is there. */
static int protection_at(uintptr_t address)
{
    const ElfW(Ehdr) *head = (const ElfW(Ehdr) *)libc.load;
    const ElfW(Phdr) *segment = (const ElfW(Phdr) *)(libc.load + head->e_phoff);
    for (unsigned i = 0; i < head->e_phnum; i++)
        if (segment[i].p_type == PT_LOAD &&
            address - libc.load - segment[i].p_vaddr < segment[i].p_memsz)
            return ((segment[i].p_flags & PF_R) != 0 ? PROT_READ : 0) |
                   ((segment[i].p_flags & PF_X) != 0 ? PROT_EXEC : 0);
    return PROT_READ;
}

static void replace(void)
{
    ElfW(Sym) * symbols[REPLACED];
    for (unsigned i = 0; i < REPLACED; i++)
        symbols[i] = find(replaced[i].name);
    struct pages pages = pages_of(symbols);
    if (pages.end == 0)
        return;
    void *start = (void *)pages.start;
    size_t bytes = pages.end - pages.start;
    int before = protection_at(pages.start);
    if (mprotect(start, bytes, before | PROT_WRITE) != 0)
        return;
    for (unsigned i = 0; i < REPLACED; i++)
        if (symbols[i] != NULL) /* another thread may be looking it up */
            __atomic_store_n(&symbols[i]->st_value, (uintptr_t)replaced[i].own - libc.load,
                             __ATOMIC_RELAXED);
    mprotect(start, bytes, before);
}

void tm_libc_malloc_hide(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int saved = errno;
    if (libc.load != 0)
        pthread_once(&once, replace);
    errno = saved;
}

#else

bool tm_libc_malloc_start(void)
{
    return false;
}

void tm_libc_malloc_hide(void) {}

#endif
