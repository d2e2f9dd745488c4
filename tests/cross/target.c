/* target.c: allocates by a chain of functions that a stack is to show, a thousand times by the same
 * one, and prints the path of a snapshot that it asks for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/tidemark.h"

enum { BLOCKS = 1000, BLOCK = 1000 };

static void *blocks[BLOCKS];

__attribute__((noinline)) static void *innermost(size_t size)
{
    void *block = malloc(size);
    memset(block, 1, size);
    return block;
}

/* With something on its stack, so that frames do not all look alike. */
__attribute__((noinline)) static void *in_the_middle(size_t size)
{
    volatile char room[200];
    room[0] = 1;
    void *block = innermost(size);
    room[1] = room[0];
    return block;
}

__attribute__((noinline)) static void *outermost(size_t size)
{
    void *block = in_the_middle(size);
    __asm__ volatile("");
    return block;
}

int main(void)
{
    char path[4096];
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = outermost(BLOCK);
    if (tidemark_snapshot(path, sizeof path) != 0) {
        perror("tidemark_snapshot");
        return 1;
    }
    puts(path);
    return 0;
}
