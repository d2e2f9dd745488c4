/* model.c: a random sequence of operations against a shadow model: every live block is filled with
 * its own pattern and checked at every change and at the end; blocks may not overlap; usable sizes
 * are stable; calloc is zero. usage: model [SEED [OPERATIONS [full]]]; the seed (0: by the clock)
 * is printed, so that a failure can be run again.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "allocator/census.h"
#include "allocator/tidemark_alloc.h"

enum { SLOTS = 4000 };

static struct {
    unsigned char *block; /* NULL: no block */
    size_t size;          /* requested */
    size_t usable;        /* as it was told first */
    unsigned char fill;
} slots[SLOTS];

static uint64_t state;

static uint64_t random64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * UINT64_C(0x2545f4914f6cdd1d);
}

static void fail(const char *what, int slot)
{
    fprintf(stderr, "model: %s: slot %d, block %p, size %zu\n", what, slot,
            (void *)slots[slot].block, slots[slot].size);
    abort();
}

/* Mostly small, sometimes any size up to some megabytes, near borders more often than not. */
static size_t random_size(void)
{
    unsigned bits = (unsigned)(random64() % 100);
    bits = bits < 70 ? 4 + bits % 7 : bits < 95 ? 8 + bits % 9 : 15 + bits % 9;
    size_t size = (size_t)(random64() % (UINT64_C(1) << bits));
    if (random64() % 4 == 0)
        size = ((size_t)1 << bits) - 1 + (size_t)(random64() % 3);
    return size;
}

static void check_fill(int slot, size_t bytes)
{
    const unsigned char *block = slots[slot].block;
    for (size_t i = 0; i < bytes; i++)
        if (block[i] != slots[slot].fill)
            fail("contents changed", slot);
}

/* check=full, in which every block that grows beyond its class moves. */
static bool full;

static void check(int slot)
{
    if (tm_usable_size(slots[slot].block) != slots[slot].usable)
        fail("usable size changed", slot);
    check_fill(slot, slots[slot].size);
}

static void fill(int slot, size_t size)
{
    slots[slot].size = size;
    slots[slot].usable = tm_usable_size(slots[slot].block);
    slots[slot].fill = (unsigned char)random64();
    if (slots[slot].usable < size)
        fail("usable size below the request", slot);
    /* All that may be used is written to: an overlap shows in the neighbour. */
    memset(slots[slot].block, slots[slot].fill, slots[slot].usable);
}

static void take(int slot)
{
    size_t size = random_size();
    size_t alignment = 16;
    switch (random64() % 8) {
    case 0:
        slots[slot].block = tm_calloc(1, size);
        for (size_t i = 0; slots[slot].block != NULL && i < size; i++)
            if (slots[slot].block[i] != 0)
                fail("calloc is not zero", slot);
        break;
    case 1:
        alignment = (size_t)1 << random64() % 20;
        slots[slot].block = tm_aligned(alignment, size);
        break;
    default:
        slots[slot].block = tm_malloc(size);
    }
    if (slots[slot].block == NULL)
        fail("no memory", slot);
    if ((uintptr_t)slots[slot].block % (alignment < 16 ? 16 : alignment) != 0)
        fail("wrong alignment", slot);
    fill(slot, size);
}

static void change(int slot)
{
    size_t size = random_size();
    check(slot);
    size_t kept = size < slots[slot].size ? size : slots[slot].size;
    bool stays = size > 0 && size <= slots[slot].usable && size >= slots[slot].usable / 2;
    unsigned char *moved = tm_realloc(slots[slot].block, size);
    if (size == 0) {
        slots[slot].block = NULL;
        return;
    }
    if (moved == NULL)
        fail("realloc: no memory", slot);
    if (stays && !full && moved != slots[slot].block)
        fail("realloc moved a block that fits", slot);
    slots[slot].block = moved;
    check_fill(slot, kept);
    fill(slot, size);
}

static void release(int slot)
{
    check(slot);
    tm_free(slots[slot].block);
    slots[slot].block = NULL;
}

static void sum(const struct tm_census_pool *pool, void *context)
{
    *(uint64_t *)context += pool->live;
}

static void add_span(const struct tm_census_span *span, void *context)
{
    *(uint64_t *)context += span->kind != TM_CENSUS_SPAN_CACHED;
}

static void check_census(void)
{
    uint64_t live = 0, counted = 0;
    for (int i = 0; i < SLOTS; i++)
        live += slots[i].block != NULL;
    struct tm_census_visitor visitor = {.pool = sum, .span = add_span};
    if (tm_census_walk(&visitor, &counted) != 0)
        fail("the census met an inconsistency", 0);
    if (live != counted) {
        fprintf(stderr, "model: %llu live blocks, the census counts %llu\n",
                (unsigned long long)live, (unsigned long long)counted);
        abort();
    }
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 0;
    if (seed == 0)
        seed = (uint64_t)time(NULL) * 2654435761u + 1;
    long operations = argc > 2 ? atol(argv[2]) : 300000;
    full = argc > 3 && strcmp(argv[3], "full") == 0;
    printf("model: seed %llu, %ld operations%s\n", (unsigned long long)seed, operations,
           full ? ", check=full" : "");
    fflush(stdout);
    state = seed | 1;
    if (full)
        tm_set_check_full();
    /* How many slots are in use swings, so that arenas fill, thin out and empty. */
    for (long i = 0; i < operations; i++) {
        int span = i / 20000 % 3 == 0 ? SLOTS : i / 20000 % 3 == 1 ? 200 : SLOTS / 4;
        int slot = (int)(random64() % (uint64_t)span);
        if (slots[slot].block == NULL)
            take(slot);
        else if (random64() % 4 == 0)
            change(slot);
        else
            release(slot);
        if (i % 20000 == 19999) {
            for (int j = 200; j < SLOTS; j++)
                if (slots[j].block != NULL && random64() % 16 != 0)
                    release(j);
            if (random64() % 2 == 0)
                tm_trim();
            check_census();
        }
    }
    for (int i = 0; i < SLOTS; i++)
        if (slots[i].block != NULL)
            release(i);
    check_census();
    puts("model: ok");
    return 0;
}
