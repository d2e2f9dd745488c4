/* nothing.c: malloc and free that do nothing, for count.py to learn what the loop around them
 * costs. Every block is the same one, so only a program that needs no memory can be linked with it:
 * pairs.c.
 */
#include <stddef.h>
#include <stdlib.h>

static _Alignas(64) char block[64 * 1024];

void *malloc(size_t size)
{
    return block;
}

void free(void *pointer) {}
