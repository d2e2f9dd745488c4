/* cacheline.h: the options and the inner loop of the two false-sharing workloads: a small block is
 * written many times over by the thread that holds it, so that time goes up when another thread's
 * block lies on the same cache line.
 */
#ifndef TIDEMARK_BENCH_CACHELINE_H
#define TIDEMARK_BENCH_CACHELINE_H

#include "bench.h"

/* What both can be told. */
static uint64_t threads = 2;
static uint64_t writes = 100;
static uint64_t operations = 20 * 1000 * 1000;

static const struct bench_option options[] = {
    {.name = "threads",
     .help = "threads that share the operations",
     .number = &threads,
     .least = 1,
     .most = BENCH_MOST_THREADS},
    {.name = "writes", .help = "to each block", .number = &writes, .least = 1, .most = UINT32_MAX},
    {.name = "operations",
     .help = "blocks allocated and freed in all",
     .number = &operations,
     .least = 1,
     .most = UINT32_MAX},
    {0}};

/* Allocates, writes and frees `count` blocks of eight bytes, one after the other. */
static inline void write_blocks(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        volatile uint64_t *block = bench_alloc(sizeof *block);
        uint64_t before = *block;
        for (uint64_t j = 0; j < writes; j++)
            *block = *block + 1;
        if (*block != before + writes)
            bench_fail("%zu writes to the block at %p left %#zx where %#zx is right: another block "
                       "overlaps it",
                       (size_t)writes, (void *)block, (size_t)*block, (size_t)(before + writes));
        *block = before;
        bench_free((void *)block);
    }
}

#endif
