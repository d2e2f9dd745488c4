/* resident.c: what stays resident after a peak, while the program does nothing: 400 MiB of blocks
 * of 16 to 512 bytes, of which 95 % are freed in runs, or at random, or all. The bounds are the
 * project's promises. */
#include "check.h"

#include <malloc.h>
#include <sys/mman.h>

/* A run is about 1.3 MiB of requests one after the other, of all sizes. Shorter runs raise the page
 * floor of any allocator that keeps sizes apart: with 1,000 blocks it is 1.4 x live. */
enum { PEAK = 400 * MIB, MOST = PEAK / 16, RUN = 5000 };

static void **blocks; /* outside the heap, so that it is gone when RSS is read */
static size_t count;

static void build(void)
{
    if (resident_bytes() == 0)
        skip("/proc/self/statm cannot be read");
    blocks = mmap(NULL, MOST * sizeof *blocks, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(blocks != MAP_FAILED);
    uint64_t random = 31337;
    for (size_t bytes = 0; bytes < PEAK;) {
        size_t size = 16 + next_random(&random) % 497;
        void *ptr = opaque(malloc(size));
        CHECK(ptr != NULL);
        memset(ptr, 1, size);
        blocks[count++] = ptr;
        bytes += size;
    }
}

static void drop(size_t at)
{
    free(blocks[at]);
    blocks[at] = NULL;
}

/* The bytes that the program asked for and did not free, from the same sequence of sizes as in
 * build(). */
static size_t live(void)
{
    uint64_t random = 31337;
    size_t live_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        size_t size = 16 + next_random(&random) % 497;
        if (blocks[i] != NULL)
            live_bytes += size;
    }
    return live_bytes;
}

static int by_address(const void *a, const void *b)
{
    uintptr_t left = *(const uintptr_t *)a, right = *(const uintptr_t *)b;
    return (left > right) - (left < right);
}

/* Bytes of the pages on which a live block lies. Ends the use of the table. */
static size_t page_floor(void)
{
    size_t left = 0, pages = 0;
    for (size_t i = 0; i < count; i++)
        if (blocks[i] != NULL)
            blocks[left++] = blocks[i];
    qsort(blocks, left, sizeof *blocks, by_address);
    uintptr_t last = 0;
    for (size_t i = 0; i < left; i++) {
        uintptr_t first_page = (uintptr_t)blocks[i] / 4096;
        uintptr_t last_page = ((uintptr_t)blocks[i] + malloc_usable_size(blocks[i]) - 1) / 4096;
        for (uintptr_t page = first_page; page <= last_page; page++)
            if (page > last) {
                last = page;
                pages++;
            }
    }
    return pages * 4096;
}

static size_t resident_after_a_second(void)
{
    munmap(blocks, MOST * sizeof *blocks);
    struct timespec second = {1, 0};
    nanosleep(&second, NULL);
    return resident_bytes();
}

static void freed_in_runs(void)
{
    build();
    for (size_t i = 0; i < count; i++)
        if (i / RUN % 20 != 7)
            drop(i);
    size_t live_bytes = live(), floor = page_floor();
    size_t resident = resident_after_a_second();
    if ((double)resident > 1.6 * (double)live_bytes)
        fail("RSS %.1f MiB with %.1f MiB live: %.2f times, not 1.6 (page floor %.1f MiB)",
             (double)resident / MIB, (double)live_bytes / MIB,
             (double)resident / (double)live_bytes, (double)floor / MIB);
}

static void freed_at_random(void)
{
    build();
    uint64_t random = 4711;
    for (size_t i = 0; i < count; i++)
        if (next_random(&random) % 20 != 7)
            drop(i);
    /* qsort may allocate: the pages are counted while nothing is measured. */
    size_t floor = page_floor();
    size_t resident = resident_after_a_second();
    if ((double)resident > 1.15 * (double)floor)
        fail("RSS %.1f MiB, page floor %.1f MiB: %.3f times, not 1.15", (double)resident / MIB,
             (double)floor / MIB, (double)resident / (double)floor);
}

static void freed_all(void)
{
    build();
    for (size_t i = 0; i < count; i++)
        drop(i);
    size_t resident = resident_after_a_second();
    if (resident > 6 * MIB)
        fail("RSS %.2f MiB with nothing live, not 6", (double)resident / MIB);
}

int main(int argc, char **argv)
{
    static const struct api_case cases[] = {
        {"freed_in_runs", freed_in_runs},
        {"freed_at_random", freed_at_random},
        {"freed_all", freed_all},
    };
    return run_cases(argc, argv, cases, sizeof cases / sizeof cases[0]);
}
