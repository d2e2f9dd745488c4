/* aligned.c: the entry points other than malloc. A window of blocks is replaced at random by
 * posix_memalign and aligned_alloc, for the alignments that programs ask for, and by calloc of
 * small blocks; a second, smaller window by calloc of 1 KiB to 1 MiB. Blocks are written to before
 * they are freed, so that a calloc that forgets to clear reused memory is found. The alignment of
 * each block is checked, and that one word in 64 bytes of a small block and in 1 KiB of a large one
 * is zero.
 *
 * Alignments of 256 to 1024 bytes are left out: mimalloc 2.0.9 gets them wrong where the size is
 * the same (its issue 700), and would drop out of the comparison.
 */
#include "bench.h"

enum { SMALL_WINDOW = 2000, LARGE_WINDOW = 100, STRIDE = 64 };

static uint64_t operations = 5 * 1000 * 1000;
static uint64_t large_one_in = 200;
static uint64_t threads = 1;

struct windows {
    void *small[SMALL_WINDOW];
    void *large[LARGE_WINDOW];
};

/* A cache line mostly; each 16th time a page. */
static size_t some_alignment(struct bench_random *random)
{
    static const size_t alignments[16] = {64, 64, 64,  64,  64, 64, 64, 64,
                                          64, 64, 128, 128, 32, 32, 16, 4096};
    return alignments[bench_below(random, 16)];
}

static void *aligned_block(struct bench_thread *thread)
{
    size_t alignment = some_alignment(&thread->random);
    size_t size = bench_small(&thread->random);
    void *block = NULL;
    if (thread->operations % 2) {
        size = (size + alignment - 1) & ~(alignment - 1);
        block = aligned_alloc(alignment, size);
        if (!block)
            bench_out_of_memory("aligned_alloc", size);
    } else if (posix_memalign(&block, alignment, size) != 0) {
        bench_out_of_memory("posix_memalign", size);
    }
    if ((uintptr_t)block % alignment != 0)
        bench_fail("%p was handed out for an alignment of %zu", block, alignment);
    bench_mark(block, size);
    return block;
}

/* One word in each stride is looked at, and soiled for the next one who gets the memory. */
static void *cleared_block(size_t size, size_t stride)
{
    char *block = calloc(1, size);
    if (!block)
        bench_out_of_memory("calloc", size);
    uint64_t soil = ~(uint64_t)0;
    for (size_t at = 0; at + sizeof soil <= size; at += stride) {
        uint64_t word;
        memcpy(&word, block + at, sizeof word);
        if (word != 0)
            bench_fail("calloc of %zu bytes gave %p, where byte %zu is not zero but in %#zx", size,
                       (void *)block, at, (size_t)word);
        memcpy(block + at, &soil, sizeof soil);
    }
    bench_mark(block, size);
    return block;
}

static void replace(void **slot, void *block)
{
    if (*slot)
        bench_free(*slot);
    *slot = block;
}

static void work(struct bench_thread *thread)
{
    struct windows *windows = (struct windows *)thread->context + thread->index;
    struct bench_random *random = &thread->random;
    uint64_t count = bench_share(thread, operations);
    for (; thread->operations < count; thread->operations++) {
        if (bench_below(random, (uint32_t)large_one_in) == 0) {
            size_t size = bench_log_between(random, 1024, 1024 * 1024);
            replace(&windows->large[bench_below(random, LARGE_WINDOW)],
                    cleared_block(size, BENCH_PAGE / 4));
        } else {
            void **slot = &windows->small[bench_below(random, SMALL_WINDOW)];
            replace(slot, bench_below(random, 2) ? aligned_block(thread)
                                                 : cleared_block(bench_small(random), STRIDE));
        }
    }
    for (unsigned i = 0; i < SMALL_WINDOW; i++)
        replace(&windows->small[i], NULL);
    for (unsigned i = 0; i < LARGE_WINDOW; i++)
        replace(&windows->large[i], NULL);
}

int main(int argc, char **argv)
{
    const struct bench_option options[] = {
        {.name = "operations",
         .help = "blocks allocated and freed in all",
         .number = &operations,
         .least = 1,
         .most = UINT32_MAX},
        {.name = "large",
         .help = "one operation in so many is a calloc of 1 KiB to 1 MiB",
         .number = &large_one_in,
         .least = 1,
         .most = UINT32_MAX},
        {.name = "threads",
         .help = "threads that share the operations",
         .number = &threads,
         .least = 1,
         .most = BENCH_MOST_THREADS},
        {0}};
    bench_start(argc, argv, "posix_memalign, aligned_alloc and calloc.", options);
    operations = bench_scaled(operations);
    struct bench_run run =
        bench_threads(threads, work, bench_table(threads * sizeof(struct windows)));
    return bench_finish(run.operations, run.seconds);
}
