/* blocks.c: blocks with known contents, made in every way that libc has, changed, passed between
 * threads, and checked by whoever frees them. Every block begins with its size and a mark, and is
 * filled with a byte of the mark.
 */
#include "tests/torture/torture.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct block {
    size_t size; /* as requested */
    uint64_t mark;
    unsigned char bytes[];
};

enum {
    SHARED = 512,
    SPARSE = 64 * 1024, /* of larger ones the ends are filled, and a byte of each page */
    END = 2048,
    PAGE = 4096,
};

static _Atomic(struct block *) shared[SHARED];

/* ---- contents ---- */

static void paint(struct block *block, size_t size, uint64_t mark)
{
    size_t bytes = size - sizeof *block;
    unsigned char fill = (unsigned char)mark;
    block->size = size;
    block->mark = mark;
    if (size <= SPARSE) {
        memset(block->bytes, fill, bytes);
        return;
    }
    memset(block->bytes, fill, END);
    memset(block->bytes + bytes - END, fill, END);
    for (size_t at = END; at < bytes; at += PAGE)
        block->bytes[at] = fill;
}

static void check_bytes(const struct block *block, size_t from, size_t bytes)
{
    for (size_t at = from; at < from + bytes; at++)
        if (block->bytes[at] != (unsigned char)block->mark)
            FAIL("block %p of %zu bytes: byte %zu is 0x%02x, not 0x%02x", (const void *)block,
                 block->size, at, block->bytes[at], (unsigned char)block->mark);
}

/* The first `kept` bytes of the block, which was painted when it had so many or more. */
static void check_kept(const struct block *block, size_t kept)
{
    size_t bytes = kept - sizeof *block;
    if (block->size <= SPARSE) {
        check_bytes(block, 0, bytes);
        return;
    }
    check_bytes(block, 0, bytes < END ? bytes : END);
    if (kept == block->size)
        check_bytes(block, bytes - END, END);
    for (size_t at = END; at < bytes; at += PAGE)
        check_bytes(block, at, 1);
}

static void check(const struct block *block)
{
    if (malloc_usable_size((void *)(uintptr_t)block) < block->size)
        FAIL("block %p of %zu bytes has room for %zu", (const void *)block, block->size,
             malloc_usable_size((void *)(uintptr_t)block));
    check_kept(block, block->size);
}

/* ---- making and ending ---- */

/* Mostly small, sometimes up to some MiB. */
static size_t any_size(struct chance *chance)
{
    unsigned what = below(chance, 256);
    unsigned bits = what < 220 ? 4 + what % 7 : what < 252 ? 11 + what % 6 : 17 + what % 5;
    return sizeof(struct block) + (size_t)(draw(chance) % (UINT64_C(1) << bits));
}

static void check_zero(const unsigned char *bytes, size_t size)
{
    for (size_t at = 0; at < size; at += size <= SPARSE ? 1 : 509)
        if (bytes[at] != 0)
            FAIL("calloc(%zu) = %p: byte %zu is 0x%02x", size, (const void *)bytes, at, bytes[at]);
}

static void *any_request(struct chance *chance, size_t size, size_t *alignment)
{
    void *made = NULL;
    *alignment = 16;
    switch (below(chance, 12)) {
    case 0:
    case 1:
        made = calloc(1, size);
        if (made != NULL)
            check_zero(made, size);
        return made;
    case 2:
        *alignment = (size_t)16 << below(chance, 10);
        return posix_memalign(&made, *alignment, size) == 0 ? made : NULL;
    case 3:
        *alignment = (size_t)16 << below(chance, 5);
        return memalign(*alignment, size);
    case 4:
        return realloc(NULL, size);
    default:
        return malloc(size);
    }
}

static struct block *make(struct chance *chance)
{
    size_t alignment, size = any_size(chance);
    struct block *block = any_request(chance, size, &alignment);
    if (block == NULL)
        FAIL("no memory for %zu bytes", size);
    if ((uintptr_t)block % alignment != 0)
        FAIL("block %p of %zu bytes is not aligned to %zu", (void *)block, size, alignment);
    paint(block, size, draw(chance));
    return block;
}

static void end(struct block *block)
{
    if (block == NULL)
        return;
    check(block);
    block->mark = ~block->mark; /* a second end of it would be seen */
    free(block);
}

static struct block *change(struct chance *chance, struct block *block)
{
    size_t size = any_size(chance);
    check(block);
    size_t kept = size < block->size ? size : block->size;
    struct block *moved = realloc(block, size);
    if (moved == NULL)
        FAIL("no memory to make %zu bytes of a block", size);
    check_kept(moved, kept);
    paint(moved, size, draw(chance));
    return moved;
}

/* ---- what threads do ---- */

/* Blocks without a head, of some bytes. */
static void use_tiny(struct chance *chance)
{
    enum { TINY = 24 };
    unsigned char *tiny[TINY];
    for (unsigned i = 0; i < TINY; i++) {
        size_t size = 1 + i % 15;
        tiny[i] = below(chance, 2) == 0 ? calloc(size, 1) : malloc(size);
        if (tiny[i] == NULL)
            FAIL("no memory for %zu bytes", size);
        memset(tiny[i], (int)i + 1, size);
    }
    for (unsigned i = 0; i < TINY; i++) {
        unsigned char *block = tiny[i * 7 % TINY];
        size_t size = 1 + i * 7 % TINY % 15;
        for (size_t at = 0; at < size; at++)
            if (block[at] != i * 7 % TINY + 1)
                FAIL("block %p of %zu bytes was written to", (void *)block, size);
        free(block);
    }
}

void churn(struct own *own, unsigned steps)
{
    struct chance *chance = &own->chance;
    for (unsigned i = 0; i < steps; i++) {
        struct block **slot = &own->blocks[below(chance, OWN)];
        unsigned what = below(chance, 16);
        if (what < 4)
            *slot = atomic_exchange(&shared[below(chance, SHARED)], *slot);
        else if (*slot == NULL)
            *slot = make(chance);
        else if (what < 7)
            *slot = change(chance, *slot);
        else {
            end(*slot);
            *slot = NULL;
        }
    }
    if (below(chance, 8) == 0)
        use_tiny(chance);
    count(COUNT_BLOCKS);
}

void check_all(const struct own *own)
{
    for (unsigned i = 0; i < OWN; i++)
        if (own->blocks[i] != NULL)
            check(own->blocks[i]);
}

void release_all(struct own *own)
{
    for (unsigned i = 0; i < OWN; i++) {
        end(own->blocks[i]);
        own->blocks[i] = NULL;
    }
}

void swell(struct own *own)
{
    enum { MANY = 4096 };
    struct block **many = malloc(MANY * sizeof *many);
    CHECK(many != NULL);
    size_t size = sizeof(struct block) + below(&own->chance, 2000);
    unsigned stride = 2 * below(&own->chance, MANY / 2) + 1;
    for (unsigned i = 0; i < MANY; i++) {
        many[i] = malloc(size);
        if (many[i] == NULL)
            FAIL("no memory for block %u of %zu bytes", i, size);
        paint(many[i], size, i);
    }
    for (unsigned i = 0; i < MANY; i++)
        end(many[i * stride % MANY]);
    free(many);
}

void check_shared(void)
{
    for (unsigned i = 0; i < SHARED; i++)
        end(atomic_exchange(&shared[i], NULL));
}
