/* sizes.c: realloc() and malloc_usable_size() of what is no live block. malloc_usable_size() alone
 * changes nothing: that the program goes on is harmless.
 */
#include "tests/misuse/misuse.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 64 };

/* A freed block among live ones, so that nothing merges with it. */
static char *freed(size_t size)
{
    char *before = take(size), *block = take(size), *after = take(size);
    keep(before, size);
    keep(after, size);
    announce_block(block);
    give(block);
    return block;
}

__attribute__((noreturn)) static void resize_and_go_on(void *ptr, size_t to, size_t size)
{
    char *resized = opaque(realloc(opaque(ptr), to));
    if (resized != NULL)
        keep(resized, to);
    go_on(size);
}

static void realloc_freed_larger(size_t size)
{
    resize_and_go_on(freed(size), 3 * size, size);
}

static void realloc_freed_same(size_t size)
{
    resize_and_go_on(freed(size), size, size);
}

static void realloc_freed_smaller(size_t size)
{
    resize_and_go_on(freed(size), size / 3 + 1, size);
}

static void realloc_freed_to_0(size_t size)
{
    char *block = freed(size);
    void *result = opaque(realloc(opaque(block), 0));
    if (result != NULL)
        give(result);
    go_on(size);
}

static void realloc_moved(size_t size)
{
    char *block = take(size), *fence = take(size);
    size_t usable = malloc_usable_size(block);
    char *moved = opaque(realloc(opaque(block), 4 * size + 1000));
    if (moved == block)
        cannot("realloc grows it in place");
    keep(fence, size);
    keep(moved, 4 * size + 1000);
    announce(block, usable, usable);
    resize_and_go_on(block, 4 * size, size);
}

static void realloc_interior(size_t size)
{
    char *block = take(size);
    size_t usable = malloc_usable_size(block);
    keep(block, size);
    announce(block + 16, 1, usable);
    resize_and_go_on(block + 16, 2 * size, size);
}

static void realloc_misaligned(size_t size)
{
    char *block = take(size);
    size_t usable = malloc_usable_size(block);
    keep(block, size);
    announce(block + 1, 1, usable);
    resize_and_go_on(block + 1, 2 * size, size);
}

static void realloc_wild(size_t size)
{
    void *wild = at_address(0xdeadbee0);
    (void)size;
    announce(wild, 1, 0);
    resize_and_go_on(wild, SMALL, SMALL);
}

static void realloc_wild_41(size_t size)
{
    void *wild = at_address(0x4141414141414141);
    (void)size;
    announce(wild, 1, 0);
    resize_and_go_on(wild, SMALL, SMALL);
}

static void realloc_stack(size_t size)
{
    _Alignas(16) char here[SMALL * 2];
    (void)size;
    memset(here, 0, sizeof here);
    announce(here + 16, 1, 0);
    resize_and_go_on(here + 16, 2 * SMALL, SMALL);
}

static void realloc_static(size_t size)
{
    static _Alignas(16) char here[SMALL * 2];
    (void)size;
    announce(here, 1, 0);
    resize_and_go_on(here, 2 * SMALL, SMALL);
}

__attribute__((noreturn)) static void ask_and_go_on(void *ptr, size_t size)
{
    size_t answer = malloc_usable_size(opaque(ptr));
    __asm__ volatile("" : : "r"(answer));
    go_on(size);
}

static void usable_freed(size_t size)
{
    ask_and_go_on(freed(size), size);
}

static void usable_interior(size_t size)
{
    char *block = take(size);
    size_t usable = malloc_usable_size(block);
    announce(block + 16, 1, usable);
    ask_and_go_on(block + 16, size);
}

static void usable_wild(size_t size)
{
    void *wild = at_address(0xdeadbee0);
    (void)size;
    announce(wild, 1, 0);
    ask_and_go_on(wild, SMALL);
}

static void usable_stack(size_t size)
{
    _Alignas(16) char here[SMALL * 2];
    (void)size;
    memset(here, 0, sizeof here);
    announce(here + 16, 1, 0);
    ask_and_go_on(here + 16, SMALL);
}

const struct misuse_case misuse_cases[] = {
    {"realloc_freed_larger", realloc_freed_larger, 1},
    {"realloc_freed_same", realloc_freed_same, 1},
    {"realloc_freed_smaller", realloc_freed_smaller, 1},
    {"realloc_freed_to_0", realloc_freed_to_0, 1},
    {"realloc_moved", realloc_moved, 1},
    {"realloc_interior", realloc_interior, 64},
    {"realloc_misaligned", realloc_misaligned, 1},
    {"realloc_wild", realloc_wild, 0},
    {"realloc_wild_41", realloc_wild_41, 0},
    {"realloc_stack", realloc_stack, 0},
    {"realloc_static", realloc_static, 0},
    {"usable_freed", usable_freed, 1},
    {"usable_interior", usable_interior, 64},
    {"usable_wild", usable_wild, 0},
    {"usable_stack", usable_stack, 0},
    {NULL, NULL, 0},
};
