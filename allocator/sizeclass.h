/* sizeclass.h: which block serves which request. Below everything else in the allocator.
 *
 * 16 classes in steps of 16 bytes up to 256, then eight for each doubling up to 32 KiB, so that
 * above 128 bytes less than an eighth of a block is rounding. (Four for each doubling, as most
 * peers have, leave up to a fifth.)
 */
#ifndef TIDEMARK_SIZECLASS_H
#define TIDEMARK_SIZECLASS_H

#include "allocator/layout.h"

enum {
    TM_CLASSES = 72,
    TM_CLASS_DIRECT_MAX = 1024, /* requests up to this find their class in a table */
};

struct tm_class {
    uint32_t block_size; /* bytes */
    uint16_t capacity;   /* blocks of a pool: what fits into a slot */
    uint8_t pages;       /* of a pool: what its blocks take of 16 */
    uint8_t
        pages_per_start; /* pages of a pool for each page that a block starts in, rounded down */
    uint16_t starts;     /* bit i: a block starts in page i of the pool */
    uint8_t
        warm; /* blocks freed that a bin takes at once, see heap.c; 0: the class is a small one */
    uint32_t reciprocal; /* ceil(2^32 / block_size): block index = offset * reciprocal >> 32 */
};

/* Constant after build; see sizeclass.c. */
extern const struct tm_class tm_classes[TM_CLASSES];
extern const uint8_t tm_class_direct[TM_CLASS_DIRECT_MAX + 1];

/* size is 257 to TM_SMALL_MAX. */
static inline unsigned tm_class_computed(size_t size)
{
    unsigned top = 63 - (unsigned)__builtin_clzll(size - 1);
    return 16 + (top - 8) * 8 + (unsigned)((size - 1) >> (top - 3) & 7);
}

/* size is 0 to TM_SMALL_MAX. */
static inline unsigned tm_class_of(size_t size)
{
    return size <= TM_CLASS_DIRECT_MAX ? tm_class_direct[size] : tm_class_computed(size);
}

/* Index of the block of a pool that holds the byte at `offset` (< 64 KiB). */
static inline unsigned tm_class_block_index(const struct tm_class *class, uint32_t offset)
{
    return (unsigned)((uint64_t)offset * class->reciprocal >> 32);
}

/* How many blocks start in a page, and which is the first of them. */
static inline uint32_t tm_class_blocks_of_page(const struct tm_class *class, unsigned page,
                                               uint32_t *first)
{
    uint32_t size = class->block_size;
    *first = (uint32_t)(((page << TM_PAGE_SHIFT) + size - 1) / size);
    uint32_t end = (uint32_t)((((page + 1) << TM_PAGE_SHIFT) + size - 1) / size);
    return (end < class->capacity ? end : class->capacity) - *first;
}

#endif
