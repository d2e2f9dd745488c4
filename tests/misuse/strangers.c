/* strangers.c: free() of what malloc never returned. */
#include "tests/misuse/misuse.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SMALL = 64, NEIGHBOURS = 8 };

__attribute__((noreturn)) static void give_and_go_on(void *ptr, size_t size)
{
    announce(ptr, 1, 0);
    give(ptr);
    go_on(size);
}

/* ---- by a block ---- */

/* The block in the middle of some; all of them live on. */
static char *among_others(size_t size)
{
    char *blocks[NEIGHBOURS] = {NULL};
    size_t count = how_many(size, NEIGHBOURS);
    for (size_t i = 0; i < count; i++) {
        blocks[i] = take(size);
        keep(blocks[i], size);
    }
    return blocks[count / 2];
}

__attribute__((noreturn)) static void give_beside(size_t size, ptrdiff_t distance)
{
    char *block = among_others(size);
    size_t usable = malloc_usable_size(block);
    announce(block + distance, 1, distance > 0 && (size_t)distance < usable ? usable : 0);
    give(at_address((uintptr_t)block + (uintptr_t)distance));
    go_on(size);
}

static void interior_16(size_t size)
{
    give_beside(size, 16);
}

static void interior_half(size_t size)
{
    give_beside(size, (ptrdiff_t)(size / 2 & ~(size_t)15));
}

static void interior_last(size_t size)
{
    give_beside(size, (ptrdiff_t)(size - 16));
}

static void interior_page(size_t size)
{
    give_beside(size, 4096);
}

static void misaligned_1(size_t size)
{
    give_beside(size, 1);
}

static void misaligned_8(size_t size)
{
    give_beside(size, 8);
}

static void before_16(size_t size)
{
    give_beside(size, -16);
}

static void rounded_down(size_t size, size_t to)
{
    char *block = among_others(size);
    uintptr_t down = (uintptr_t)block & ~(uintptr_t)(to - 1);
    if (is_kept(down))
        cannot("a block is there");
    give_and_go_on(at_address(down), size);
}

/* Where the page starts that the block reaches into. */
static uintptr_t next_page(const char *block)
{
    return ((uintptr_t)block & ~(uintptr_t)4095) + 4096;
}

/* Of a size that is no power of two some page starts inside a block. */
static void start_of_page(size_t size)
{
    size *= 3;
    char *block = among_others(size);
    for (unsigned i = 0; i < 10000 && next_page(block) >= (uintptr_t)block + size; i++)
        block = take(size);
    if (next_page(block) >= (uintptr_t)block + size)
        cannot("no block reaches into the next page");
    announce(at_address(next_page(block)), 1, malloc_usable_size(block));
    give(at_address(next_page(block)));
    go_on(size);
}

/* Behind the last block of 64 KiB, where an allocator of slabs of that size has a rest that is no
 * block, but lies where one would. */
static void behind_last(size_t size)
{
    enum { SLAB = 64 * 1024 };
    size *= 3;
    for (unsigned i = 0; i < 20000; i++) {
        char *block = take(size);
        size_t usable = malloc_usable_size(block), end = (uintptr_t)block % SLAB + usable;
        if (end < SLAB && end + usable > SLAB) {
            announce(block + usable, 1, 0);
            give(at_address((uintptr_t)block + usable));
            go_on(size);
        }
    }
    cannot("no block is the last of 64 KiB with a rest behind it");
}

static void start_of_4m(size_t size)
{
    rounded_down(size, (size_t)4 * MIB);
}

static void start_of_16m(size_t size)
{
    rounded_down(size, (size_t)16 * MIB);
}

/* Where Tidemark keeps what it knows of the blocks. */
static void behind_start_of_16m(size_t size)
{
    char *block = among_others(size);
    uintptr_t down = (uintptr_t)block & ~((uintptr_t)16 * MIB - 1);
    uintptr_t place = down + (uintptr_t)40 * KIB;
    if (place >= (uintptr_t)block - 4096)
        cannot("a block may be there");
    give_and_go_on(at_address(place), size);
}

static void start_of_64m(size_t size)
{
    rounded_down(size, (size_t)64 * MIB);
}

/* The address with bits that a pointer tag or an error would set. */
static void tagged(size_t size)
{
    char *block = among_others(size);
    give_and_go_on(at_address((uintptr_t)block | (uintptr_t)1 << 60), size);
}

static void one_bit_off(size_t size)
{
    char *block = among_others(size);
    give_and_go_on(at_address((uintptr_t)block ^ (uintptr_t)1 << 44), size);
}

/* The end of the mapping that an address lies in. */
static uintptr_t end_of_mapping(const void *address)
{
    static char text[1 << 20];
    size_t used = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    if (maps == NULL)
        cannot("/proc/self/maps cannot be read");
    while (used + 1 < sizeof text && fgets(text + used, (int)(sizeof text - used), maps) != NULL) {
        size_t start, end;
        if (sscanf(text + used, "%zx-%zx", &start, &end) == 2 && start <= (uintptr_t)address &&
            (uintptr_t)address < end) {
            fclose(maps);
            return end;
        }
        used += strlen(text + used);
    }
    cannot("the block lies in no mapping");
}

/* In memory that the allocator has from the kernel, of which nothing was handed out yet. */
static void never_allocated(size_t size)
{
    char *block = among_others(size);
    uintptr_t end = end_of_mapping(block);
    uintptr_t wanted = end - 4096;
    if (wanted < (uintptr_t)block + malloc_usable_size(block) + 64 * (size_t)KIB)
        cannot("the allocator mapped nothing beyond it");
    give_and_go_on(at_address(wanted), size);
}

static void past_the_heap(size_t size)
{
    char *block = among_others(size);
    give_and_go_on(at_address(end_of_mapping(block)), size);
}

/* ---- elsewhere ---- */

static void stack(size_t size)
{
    _Alignas(16) char here[SMALL * 2];
    memset(here, 0x41, sizeof here);
    (void)size;
    give_and_go_on(here + 16, SMALL);
}

/* Whatever is kept of blocks that were freed says nothing of this place. */
static void stack_after_many(size_t size)
{
    enum { MANY = 20000 };
    static char *blocks[MANY];
    for (size_t i = 0; i < MANY; i++)
        blocks[i] = take(SMALL);
    for (size_t i = 0; i < MANY; i++)
        give(blocks[i]);
    stack(size);
}

/* Where a chunk of dlmalloc's kind would have its size, a small one stands. */
static void stack_made_up(size_t size)
{
    _Alignas(16) uint64_t here[16] = {0};
    (void)size;
    here[1] = here[9] = 65;
    give_and_go_on(&here[2], 56);
}

static _Alignas(4096) char some_static[2 * 4096];

static void static_page(size_t size)
{
    (void)size;
    give_and_go_on(some_static, SMALL);
}

static void static_inside(size_t size)
{
    (void)size;
    give_and_go_on(some_static + 4096 + 32, SMALL);
}

static void constant(size_t size)
{
    static const _Alignas(16) char text[] = "a text that cannot be written";
    (void)size;
    give_and_go_on(at_address((uintptr_t)text), SMALL);
}

static void code(size_t size)
{
    (void)size;
    give_and_go_on(at_address((uintptr_t)&code & ~(uintptr_t)15), SMALL);
}

static void mapped(size_t bytes, size_t offset, bool unmap)
{
    char *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        cannot("mmap failed");
    memset(mapping, 0, bytes < 8192 ? bytes : 8192);
    if (unmap)
        munmap(mapping, bytes);
    else
        forbid(mapping, bytes);
    give_and_go_on(mapping + offset, SMALL);
}

static void mmapped(size_t size)
{
    (void)size;
    mapped(MIB, 0, false);
}

static void mmapped_inside(size_t size)
{
    (void)size;
    mapped(MIB, 4096 + 16, false);
}

static void mmapped_large(size_t size)
{
    (void)size;
    mapped((size_t)64 * MIB, (size_t)32 * MIB, false);
}

static void unmapped(size_t size)
{
    (void)size;
    mapped((size_t)64 * MIB, (size_t)32 * MIB, true);
}

static void wild_deadbeef(size_t size)
{
    (void)size;
    give_and_go_on(at_address(0xdeadbeef), SMALL);
}

static void wild_aligned(size_t size)
{
    (void)size;
    give_and_go_on(at_address(0xdeadbee0), SMALL);
}

static void wild_41(size_t size)
{
    (void)size;
    give_and_go_on(at_address(0x4141414141414141), SMALL);
}

static void wild_40(size_t size)
{
    (void)size;
    give_and_go_on(at_address(0x4040404040404040), SMALL);
}

static void wild_kernel(size_t size)
{
    (void)size;
    give_and_go_on(at_address(0xffff888000001000), SMALL);
}

static void wild_minus_1(size_t size)
{
    (void)size;
    give_and_go_on(at_address(UINTPTR_MAX), SMALL);
}

static void wild_minus_16(size_t size)
{
    (void)size;
    give_and_go_on(at_address(UINTPTR_MAX - 15), SMALL);
}

static void wild_1(size_t size)
{
    (void)size;
    give_and_go_on(at_address(1), SMALL);
}

static void wild_16(size_t size)
{
    (void)size;
    give_and_go_on(at_address(16), SMALL);
}

static void wild_top_of_user_space(size_t size)
{
    (void)size;
    give_and_go_on(at_address(0x7ffffffff000 - 16), SMALL);
}

/* The variables of the library that has malloc. */
static void library_data(size_t size)
{
    Dl_info info;
    void *function = dlsym(RTLD_DEFAULT, "malloc");
    FILE *maps = fopen("/proc/self/maps", "r");
    uintptr_t found = 0;
    char line[4096];
    (void)size;
    if (dladdr(function, &info) == 0 || maps == NULL)
        cannot("the library cannot be found");
    while (found == 0 && fgets(line, sizeof line, maps) != NULL) {
        size_t start, end;
        char access[8];
        if (sscanf(line, "%zx-%zx %7s", &start, &end, access) == 3 && access[1] == 'w' &&
            start > (uintptr_t)info.dli_fbase)
            found = start;
    }
    fclose(maps);
    if (found == 0)
        cannot("the library has no data");
    give_and_go_on(at_address(found + 64), SMALL);
}

/* What free() finds at the front of what the environment keeps. */
static void environment(size_t size)
{
    char *value = getenv("PATH");
    (void)size;
    if (value == NULL)
        cannot("there is no PATH");
    give_and_go_on(at_address(((uintptr_t)value + 15) & ~(uintptr_t)15), SMALL);
}

const struct misuse_case misuse_cases[] = {
    {"interior_16", interior_16, 64},
    {"interior_half", interior_half, 64},
    {"interior_last", interior_last, 64},
    {"interior_page", interior_page, 5000},
    {"misaligned_1", misaligned_1, 1},
    {"misaligned_8", misaligned_8, 1},
    {"before_16", before_16, 64},
    {"start_of_page", start_of_page, 1},
    {"behind_last", behind_last, 1},
    {"start_of_4m", start_of_4m, 1},
    {"start_of_16m", start_of_16m, 1},
    {"behind_start_of_16m", behind_start_of_16m, 1},
    {"start_of_64m", start_of_64m, 1},
    {"tagged", tagged, 1},
    {"one_bit_off", one_bit_off, 1},
    {"never_allocated", never_allocated, 1},
    {"past_the_heap", past_the_heap, 1},
    {"stack", stack, 0},
    {"stack_after_many", stack_after_many, 0},
    {"stack_made_up", stack_made_up, 0},
    {"static_page", static_page, 0},
    {"static_inside", static_inside, 0},
    {"constant", constant, 0},
    {"code", code, 0},
    {"mmapped", mmapped, 0},
    {"mmapped_inside", mmapped_inside, 0},
    {"mmapped_large", mmapped_large, 0},
    {"unmapped", unmapped, 0},
    {"wild_deadbeef", wild_deadbeef, 0},
    {"wild_aligned", wild_aligned, 0},
    {"wild_41", wild_41, 0},
    {"wild_40", wild_40, 0},
    {"wild_kernel", wild_kernel, 0},
    {"wild_minus_1", wild_minus_1, 0},
    {"wild_minus_16", wild_minus_16, 0},
    {"wild_1", wild_1, 0},
    {"wild_16", wild_16, 0},
    {"wild_top_of_user_space", wild_top_of_user_space, 0},
    {"library_data", library_data, 0},
    {"environment", environment, 0},
    {NULL, NULL, 0},
};
