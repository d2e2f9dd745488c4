/* own_malloc.c: a program with a malloc of its own, as some large ones have. It stands before every
 * preloaded library, for the program and for libc.
 */
#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Alignas(16) char room[16 << 20];
static _Atomic size_t used;
static _Atomic int strange;

static int is_own(const void *ptr)
{
    return (const char *)ptr >= room && (const char *)ptr < room + sizeof room;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    size_t rounded = (size + 16 + alignment + 15) & ~(size_t)15;
    size_t start = atomic_fetch_add(&used, rounded);
    if (start + rounded > sizeof room) {
        errno = ENOMEM;
        return NULL;
    }
    uintptr_t block = ((uintptr_t)(room + start) + 16 + alignment - 1) & -alignment;
    ((size_t *)block)[-1] = size;
    return (void *)block;
}

void *memalign(size_t alignment, size_t size)
{
    return aligned_alloc(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    *out = aligned_alloc(alignment, size);
    return *out != NULL ? 0 : ENOMEM;
}

void *malloc(size_t size)
{
    return aligned_alloc(16, size);
}

void *calloc(size_t count, size_t size)
{
    return malloc(count * size); /* what is handed out once is zero */
}

void free(void *ptr)
{
    if (ptr != NULL && !is_own(ptr))
        strange = 1;
}

size_t malloc_usable_size(void *ptr)
{
    return ptr != NULL ? ((size_t *)ptr)[-1] : 0;
}

void *realloc(void *ptr, size_t size)
{
    void *block = malloc(size);
    if (block != NULL && ptr != NULL)
        memcpy(block, ptr, malloc_usable_size(ptr) < size ? malloc_usable_size(ptr) : size);
    free(ptr);
    return block;
}

static void *work(void *unused)
{
    for (int i = 0; i < 1000; i++) {
        char *copy = strdup("allocated by libc");
        assert(is_own(copy));
        free(copy);
    }
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert(pthread_create(&threads[i], NULL, work, NULL) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    /* A plug-in that is bound to libc's malloc keeps it, or gets the program's. */
    void *plugin = argc > 1 ? dlopen(argv[1], RTLD_LAZY | RTLD_DEEPBIND) : NULL;
    assert(argc == 1 || plugin != NULL);
    assert(!strange);
    puts("ok");
    return 0;
}
