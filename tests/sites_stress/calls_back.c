/* calls_back.c: a library that calls the program back, and allocates afterwards. */
#include <stddef.h>
#include <stdlib.h>

extern void *(*call_back)(size_t size);
void *(*call_back)(size_t size);
void *work_inside(size_t size);

__attribute__((noinline)) void *work_inside(size_t size)
{
    void *block = call_back(size);
    free(block);
    return malloc(size + 2);
}
