/* swell.c: a heap that has swollen, for the tests of the HTML report: swell MIB [KEEP [STACKS]]. It
 * fills about so many MiB with records, indexes, texts and a few large tables, frees all but one
 * in KEEP (50) of the small ones, and ends; TIDEMARK=exit=snapshot takes the snapshot. Each kind
 * has a function of its own, so that it has a name. The choice of what stays is the same in each
 * run. With a third number, up to 40, it allocates through 512 different stacks for each.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = 4, LARGE = 4 };

static uint64_t state = 1;

static uint64_t next(void)
{
    uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Makes the block resident, as a program's memory is that was written to. */
static void *filled(void *block, size_t bytes)
{
    if (!block)
        abort();
    memset(block, 1, bytes);
    return block;
}

static __attribute__((noinline)) void *make_record(void)
{
    size_t bytes = 100 + next() % 28;
    return filled(malloc(bytes), bytes);
}

static __attribute__((noinline)) void *make_index_entry(void)
{
    return filled(malloc(33), 33);
}

static __attribute__((noinline)) void *make_text(void)
{
    size_t bytes = 200 + next() % 1800;
    return filled(malloc(bytes), bytes);
}

static __attribute__((noinline)) void *make_session(void)
{
    return filled(malloc(500), 500);
}

static __attribute__((noinline)) void *make_table(size_t bytes)
{
    return filled(malloc(bytes), bytes);
}

/* One of each kind, or none where it is not its turn. */
static __attribute__((noinline)) void load_item(void **slots)
{
    slots[0] = make_record();
    slots[1] = make_index_entry();
    slots[2] = next() % 4 == 0 ? make_text() : NULL;
    slots[3] = next() % 8 == 0 ? make_session() : NULL;
}

/* Calls on lines of their own: each of the bits of path chooses one. More stacks than these would
 * have one frame at one place of the stack, called on more ways than the recorder tells apart. */
/* NOLINTNEXTLINE(misc-no-recursion): the stacks are what this is for */
static __attribute__((noinline)) void *allocate_through(unsigned depth, unsigned path)
{
    if (depth == 0 && path == 0)
        return filled(malloc(16), 16);
    if (depth == 0)
        return filled(malloc(16), 16);
    if (path & 1)
        return allocate_through(depth - 1, path >> 1);
    return allocate_through(depth - 1, path >> 1);
}

enum { THROUGH = 8, PATHS = 1 << (THROUGH + 1) };

/* The same from so many frames further in. */
/* NOLINTNEXTLINE(misc-no-recursion): the stacks are what this is for */
static __attribute__((noinline)) void *allocate_from(unsigned further, unsigned path)
{
    return further == 0 ? allocate_through(THROUGH, path) : allocate_from(further - 1, path);
}

int main(int argc, char **argv)
{
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 16;
    size_t keep = argc > 2 ? strtoul(argv[2], NULL, 10) : 50;
    unsigned long stacks = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    if (mib == 0 || keep == 0 || stacks > 40) {
        fprintf(stderr,
                "usage: swell MIB [KEEP [STACKS]]; the first two from 1, STACKS up to 40\n");
        return 2;
    }
    size_t items = mib * 2000; /* of about 500 bytes each */
    void **slots = calloc(items * KINDS, sizeof *slots);
    void *tables[LARGE];
    if (!slots)
        return 1;
    for (size_t i = 0; i < LARGE; i++)
        tables[i] = make_table((i + 1) * 300000);
    for (size_t i = 0; i < items; i++)
        load_item(&slots[i * KINDS]);
    for (size_t i = 0; i < items * KINDS; i++) {
        /* Sessions of the second half stay all, so that some pages are full. */
        if (next() % keep == 0 || (i % KINDS == 3 && i > items * KINDS / 2))
            continue;
        free(slots[i]);
        slots[i] = NULL;
    }
    for (size_t i = 0; i < LARGE; i += 2)
        free(tables[i]);
    for (unsigned i = 0; i < stacks * PATHS; i++)
        allocate_from(i / PATHS, i % PATHS);
    printf("%zu items\n", items);
    return 0;
}
