/* sampled.c: allocates from some sites in many ways and prints what it took and what of that is
 * live, by size, so that sampled_test.py can hold the estimates of many seeds against it.
 *
 * Lines: `site NAME WHAT USABLE REQUESTED COUNT`, where WHAT is allocated or live.
 */
#include "tests/sites/program.h"

#include <malloc.h>
#include <pthread.h>

enum { SIZES = 4096 };

/* What one site took, by usable size in units of 16 bytes up to 64 KiB and of pages above. */
struct site {
    const char *name;
    struct {
        size_t usable, requested;
        long allocated, live;
    } sizes[SIZES];
};

static struct site small = {.name = "at_small"}, middle = {.name = "at_middle"},
                   half = {.name = "at_half"}, warm = {.name = "at_warm"}, mix = {.name = "at_mix"},
                   given = {.name = "at_given"}, huge = {.name = "at_huge"},
                   large = {.name = "at_large"}, span = {.name = "at_span"},
                   grown = {.name = "at_grown"};

/* One for each pair of sizes. */
static unsigned place_of(struct site *site, size_t usable, size_t requested)
{
    unsigned place = (unsigned)((usable * 31 + requested) % SIZES);
    while (site->sizes[place].allocated != 0 &&
           (site->sizes[place].usable != usable || site->sizes[place].requested != requested))
        place = (place + 1) % SIZES;
    site->sizes[place].usable = usable;
    site->sizes[place].requested = requested;
    return place;
}

static void *took(struct site *site, void *block, size_t requested)
{
    unsigned place = place_of(site, malloc_usable_size(block), requested);
    site->sizes[place].allocated++;
    site->sizes[place].live++;
    return block;
}

static void give(struct site *site, void *block, size_t requested)
{
    site->sizes[place_of(site, malloc_usable_size(block), requested)].live--;
    free(block);
}

static void print(const struct site *site)
{
    for (unsigned i = 0; i < SIZES; i++)
        if (site->sizes[i].allocated != 0)
            printf("site %s allocated %zu %zu %ld\nsite %s live %zu %zu %ld\n", site->name,
                   site->sizes[i].usable, site->sizes[i].requested, site->sizes[i].allocated,
                   site->name, site->sizes[i].usable, site->sizes[i].requested,
                   site->sizes[i].live);
}

static unsigned dice(unsigned below)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((state >> 33) % below);
}

/* ---- the sites ---- */

static void *at_small(size_t size)
{
    return took(&small, malloc(size), size);
}

static void *at_middle(size_t size)
{
    return took(&middle, calloc(1, size), size);
}

static void *at_half(size_t size)
{
    return took(&half, malloc(size), size);
}

static void *at_warm(size_t size)
{
    return took(&warm, malloc(size), size);
}

static void *at_mix(size_t size)
{
    return took(&mix, malloc(size), size);
}

static void *at_given(size_t size)
{
    return took(&given, malloc(size), size);
}

static void *at_huge(size_t size)
{
    return took(&huge, malloc(size), size);
}

static void *at_large(size_t size)
{
    return took(&large, malloc(size), size);
}

static void *at_span(size_t size)
{
    return took(&span, malloc(size), size);
}

/* A block of a pool that stays where it is stays the same to the recorder, with what was asked for
 * first; another place, or a span, is another block. */
static void *at_grown(void *block, size_t *requested, size_t size)
{
    uintptr_t before = (uintptr_t)block;
    size_t usable = block == NULL ? 0 : malloc_usable_size(block);
    void *moved = realloc(block, size);
    if ((uintptr_t)moved == before && usable <= 32768)
        return moved;
    if (usable != 0)
        grown.sizes[place_of(&grown, usable, *requested)].live--;
    *requested = size;
    return took(&grown, moved, size);
}

/* ---- */

static void *blocks[110000];

static void *free_odd_ones(void *count)
{
    for (long i = 1; i < *(long *)count; i += 2)
        give(&given, blocks[i], 300);
    return NULL;
}

/* rate=4K makes a few thousand samples of each site. */
static void pools(void)
{
    pthread_t thread;
    long count = 104000;
    for (long i = 0; i < count; i++)
        blocks[i] = at_given(300);
    if (pthread_create(&thread, NULL, free_odd_ones, &count) != 0)
        fail("no thread");
    pthread_join(thread, NULL);
    for (long i = 0; i < 1100000; i++)
        at_small(16);
    for (long i = 0; i < 160000; i++)
        at_middle(100);
    /* Every second one is freed, in the order in which they came. */
    for (long i = 0; i < 64000; i++)
        blocks[i] = at_half(500);
    for (long i = 0; i < 64000; i += 2)
        give(&half, blocks[i], 500);
    /* Blocks that bins keep warm: one in eight stays. */
    for (long i = 0; i < 64000; i++) {
        void *block = at_warm(2000);
        if (i % 8 != 0)
            give(&warm, block, 2000);
    }
    /* Sizes of all kinds, of which some blocks are replaced in any order. */
    static size_t sizes[20000];
    for (long i = 0; i < 60000; i++) {
        unsigned at = dice(20000);
        if (sizes[at] != 0)
            give(&mix, blocks[at], sizes[at]);
        sizes[at] = 128 + dice(60) * 50;
        blocks[at] = at_mix(sizes[at]);
    }
}

/* For rate=128K. Hardly a page of it is touched. */
static void large_blocks(void)
{
    for (long i = 0; i < 100; i++)
        at_huge(1 << 20);
    for (long i = 0; i < 300; i++)
        at_large(512 * 1024);
    for (long i = 0; i < 7200; i++) {
        void *block = at_span(100 * 1024);
        if (i % 2 == 0)
            give(&span, block, 100 * 1024);
    }
    for (long i = 0; i < 800; i++) {
        void *block = NULL;
        size_t requested = 0;
        for (size_t size = 30000 + dice(30) * 100; size < 400000; size += size / 2)
            block = at_grown(block, &requested, size);
    }
}

int main(int argc, char **argv)
{
    static const struct site *const sites[] = {&small, &middle, &half,  &warm, &mix,
                                               &given, &huge,   &large, &span, &grown};
    use_static_output();
    if (argc == 2 && strcmp(argv[1], "pools") == 0)
        pools();
    else if (argc == 2 && strcmp(argv[1], "large") == 0)
        large_blocks();
    else
        fail("usage: sampled pools|large");
    take_snapshot();
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++)
        print(sites[i]);
    return 0;
}
