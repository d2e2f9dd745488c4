/* malloc.c: the C symbols that libtidemark.so puts in libc's place, with the rules that C, POSIX
 * and glibc set for each. The work is the allocator's; the fast paths are inlined here from
 * allocator/fast.h.
 *
 * The __libc_ names are interposed too: old programs and some wrappers call them, and a block must
 * not come from one malloc and go to the other.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "allocator/fast.h"
#include "allocator/os.h"
#include "allocator/tidemark_alloc.h"
#include "preload/export.h"
#include "preload/libc_names.h"

static bool power_of_two(size_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

EXPORT void *malloc(size_t size)
{
    return tm_malloc_fast(size);
}

EXPORT void free(void *ptr)
{
    tm_free_fast(ptr);
}

EXPORT void *calloc(size_t count, size_t size)
{
    return tm_calloc(count, size);
}

EXPORT void *realloc(void *ptr, size_t size)
{
    return tm_realloc(ptr, size);
}

EXPORT void *reallocarray(void *ptr, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return tm_realloc(ptr, bytes);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    /* 2^63 is a power of two that no address but 0 is a multiple of: refused like glibc does. */
    if (!power_of_two(alignment) || alignment > PTRDIFF_MAX) {
        errno = EINVAL;
        return NULL;
    }
    return tm_aligned(alignment, size);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    if (alignment > PTRDIFF_MAX) {
        errno = EINVAL;
        return NULL;
    }
    /* glibc rounds an alignment that is no power of two up to one. */
    size_t rounded = 1;
    while (rounded < alignment)
        rounded *= 2;
    return tm_aligned(rounded, size);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (size > PTRDIFF_MAX)
        return ENOMEM;
    if (!power_of_two(alignment) || alignment % sizeof(void *) != 0)
        return EINVAL;
    int before = errno;
    void *block = tm_aligned(alignment, size);
    errno = before;
    if (block == NULL)
        return ENOMEM;
    *out = block;
    return 0;
}

EXPORT void *valloc(size_t size)
{
    return tm_aligned(tm_os_page(), size);
}

EXPORT void *pvalloc(size_t size)
{
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    size_t page = tm_os_page();
    return tm_aligned(page, tm_round_up(size == 0 ? 1 : size, page));
}

EXPORT size_t malloc_usable_size(void *ptr)
{
    return tm_usable_size(ptr);
}

EXPORT void free_sized(void *ptr, size_t size)
{
    (void)size;
    tm_free_fast(ptr);
}

EXPORT void free_aligned_sized(void *ptr, size_t alignment, size_t size)
{
    (void)alignment, (void)size;
    tm_free_fast(ptr);
}

ALIAS_OF(free) void cfree(void *ptr);
ALIAS_OF(malloc) void *__libc_malloc(size_t size);
ALIAS_OF(calloc) void *__libc_calloc(size_t count, size_t size);
ALIAS_OF(realloc) void *__libc_realloc(void *ptr, size_t size);
ALIAS_OF(free) void __libc_free(void *ptr);
ALIAS_OF(memalign) void *__libc_memalign(size_t alignment, size_t size);
ALIAS_OF(valloc) void *__libc_valloc(size_t size);
ALIAS_OF(pvalloc) void *__libc_pvalloc(size_t size);
ALIAS_OF(posix_memalign) int __posix_memalign(void **out, size_t alignment, size_t size);
