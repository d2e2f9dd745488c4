/* cacheline.h: the inner loop of the two false-sharing workloads: a small block is written many
 * times over by the thread that holds it, so that time goes up when another thread's block lies on
 * the same cache line.
 */
#ifndef TIDEMARK_BENCH_CACHELINE_H
#define TIDEMARK_BENCH_CACHELINE_H

#include "bench.h"

/* Allocates, writes and frees `count` blocks of eight bytes, one after the other. */
static inline void write_blocks(uint64_t count, uint64_t writes)
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
