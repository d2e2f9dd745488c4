/* foreign.c: see foreign.h. The form of a glibc chunk is as its malloc/malloc.c describes it: the
 * word before a block has the chunk's size, a multiple of 16 that counts this word, and flags in
 * the low bits; the word before that is the preceding chunk's, or for a mapping of its own what
 * lies between the mapping's start and the chunk. The next chunk's header has a flag that says that
 * this one is in use. It has been so since glibc 2.3.
 */
#include "preload/foreign.h"

#include "allocator/hooks.h"
#include "allocator/os.h"
#include "allocator/tidemark_alloc.h"
#include "preload/libc_malloc.h"

#ifdef __GLIBC__
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    PREVIOUS_IN_USE = 1,
    OWN_MAPPING = 2,
    FLAGS = 7,
    UNIT = 16, /* sizes and addresses of chunks are multiples of it */
    SMALLEST = 32,
};

struct header {
    size_t before; /* the chunk's, or the mapping's, bytes before this one */
    size_t size;   /* with the flags */
};

/* Another namespace was made: there is another libc. */
static _Atomic bool namespaces;
/* libc's malloc has handed something out: it will always have. */
static _Atomic bool libc_used;

/* Reads what may be no memory. Where the kernel does not permit to look (a filter), the header
 * reads as a plausible one: libc's own checks are left. */
static bool read_header(uintptr_t address, struct header *header)
{
    struct iovec there = {(void *)address, sizeof *header}, here = {header, sizeof *header};
    ssize_t got = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
    if (got == -1 && (errno == EPERM || errno == ENOSYS))
        *header = (struct header){0, SMALLEST | PREVIOUS_IN_USE};
    else if (got != (ssize_t)sizeof *header)
        return false;
    return true;
}

/* Bytes of the chunk of this block, 0: there is no header of glibc's before it. */
static size_t chunk_of(const void *ptr, struct header *header)
{
    uintptr_t chunk = (uintptr_t)ptr - sizeof *header;
    if ((uintptr_t)ptr % UNIT != 0 || !read_header(chunk, header))
        return 0;
    size_t size = header->size & ~(size_t)FLAGS;
    if (size % UNIT != 0 || size < SMALLEST || size > PTRDIFF_MAX - chunk)
        return 0;
    if ((header->size & OWN_MAPPING) != 0) {
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
        bool whole = (chunk - header->before) % page == 0 && (header->before + size) % page == 0;
        return whole ? size : 0;
    }
    struct header next;
    bool in_use =
        read_header(chunk + size, &next) && (next.size & PREVIOUS_IN_USE) != 0 && next.size > FLAGS;
    return in_use ? size : 0;
}

/* (glibc's mallinfo2 looks through all its free chunks.) */
static bool is_libc_used(void)
{
    if (atomic_load_explicit(&libc_used, memory_order_relaxed))
        return true;
    struct mallinfo2 info = tm_libc_malloc.info();
    if (info.arena + info.hblkhd == 0)
        return false;
    atomic_store_explicit(&libc_used, true, memory_order_relaxed);
    return true;
}

enum owner { NOBODY, LIBC, OTHER_NAMESPACE };

/* *bytes: what the block holds. */
static enum owner owner_of(const void *ptr, size_t *bytes)
{
    int saved = errno;
    struct header header;
    bool elsewhere = atomic_load_explicit(&namespaces, memory_order_relaxed);
    enum owner owner = is_libc_used() ? LIBC : elsewhere ? OTHER_NAMESPACE : NOBODY;
    size_t size = owner != NOBODY ? chunk_of(ptr, &header) : 0;
    errno = saved;
    if (size == 0)
        return NOBODY;
    /* A chunk that is no mapping has the next one's first word, too. */
    *bytes = size - ((header.size & OWN_MAPPING) != 0 ? sizeof header : sizeof header.size);
    return owner;
}

/* Which malloc of another namespace it is from cannot be told, so it stays. */
static void leave(void)
{
    static _Atomic bool said;
    static const char text[] = "tidemark: a block was freed that the malloc of another namespace "
                               "(dlmopen) allocated; it is "
                               "not given back. Let the library that allocated it free it. Further "
                               "ones are not reported.\n";
    if (!atomic_exchange_explicit(&said, true, memory_order_relaxed))
        tm_os_message(text, sizeof text - 1);
}

bool tm_foreign_free(void *ptr)
{
    size_t bytes;
    enum owner owner = owner_of(ptr, &bytes);
    if (owner == OTHER_NAMESPACE)
        leave();
    if (owner == LIBC)
        tm_libc_malloc.free(ptr);
    return owner != NOBODY;
}

bool tm_foreign_realloc(void *ptr, size_t size, void **result)
{
    size_t bytes;
    enum owner owner = owner_of(ptr, &bytes);
    if (owner == LIBC)
        *result = tm_libc_malloc.realloc(ptr, size);
    if (owner == OTHER_NAMESPACE) {
        *result = tm_malloc(size);
        if (*result != NULL) {
            memcpy(*result, ptr, bytes < size ? bytes : size);
            leave();
        }
    }
    return owner != NOBODY;
}

bool tm_foreign_usable(const void *ptr, size_t *bytes)
{
    return owner_of(ptr, bytes) != NOBODY;
}

void tm_foreign_namespace(void)
{
    atomic_store_explicit(&namespaces, true, memory_order_relaxed);
}

void tm_foreign_start(void)
{
    if (!tm_libc_malloc_start())
        return;
    atomic_store_explicit(&tm_hook_foreign_free, tm_foreign_free, memory_order_release);
    atomic_store_explicit(&tm_hook_foreign_resize, tm_foreign_realloc, memory_order_release);
    atomic_store_explicit(&tm_hook_foreign_usable, tm_foreign_usable, memory_order_release);
}

#else

void tm_foreign_start(void) {}

void tm_foreign_namespace(void) {}

#endif
