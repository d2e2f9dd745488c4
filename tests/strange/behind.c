/* behind.c: a library that is preloaded behind another malloc and asks for the next one after
 * itself: it gets libc's own, whose blocks it gives to the program.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>

void *behind_malloc(size_t size);
void *behind_memalign(size_t alignment, size_t size);
void behind_free(void *ptr);
size_t behind_in_use(void);

void *behind_malloc(size_t size)
{
    return ((void *(*)(size_t))dlsym(RTLD_NEXT, "malloc"))(size);
}

void *behind_memalign(size_t alignment, size_t size)
{
    return ((void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "memalign"))(alignment, size);
}

void behind_free(void *ptr)
{
    ((void (*)(void *))dlsym(RTLD_NEXT, "free"))(ptr);
}

/* Bytes in use in the malloc that these are from. */
size_t behind_in_use(void)
{
    struct mallinfo2 info = ((struct mallinfo2(*)(void))dlsym(RTLD_NEXT, "mallinfo2"))();
    return info.uordblks + info.hblkhd;
}
