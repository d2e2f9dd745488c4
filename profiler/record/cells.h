/* cells.h: what the recorder keeps in a block's cell (allocator/cell.h): which site allocated it,
 * when, and how much of it was asked for.
 *
 * bit 63 counted: the block is one of the sample, or everything is recorded; else the cell only
 * names the site. Bit 62 exact: everything is. 44 to 61 site, 16 to 43 birth, 0 to 15 what was not
 * asked for.
 */
#ifndef TIDEMARK_RECORD_CELLS_H
#define TIDEMARK_RECORD_CELLS_H

#include "allocator/hooks.h"

#include <assert.h>

enum {
    TM_CELL_SITE_BITS = 18,
    TM_CELL_BIRTH_BITS = 28,
    TM_CELL_BIRTH_SHIFT = 16,
    TM_CELL_SITE_SHIFT = 44,
    TM_CELL_SPAN_SHIFT = 8, /* of spans the rest is in units of 256 bytes */
    TM_CELL_SPAN_ABOVE = 32 * 1024,
};
#define TM_CELL_EXACT    (UINT64_C(1) << 62)
#define TM_CELL_CLOCK_NS UINT64_C(16000000) /* unit of births: 49 days fit */

static_assert(TM_CELL_SITE_SHIFT + TM_CELL_SITE_BITS == 62, "the bits of a cell");
static_assert(TM_CELL_BIRTH_SHIFT + TM_CELL_BIRTH_BITS == TM_CELL_SITE_SHIFT, "the bits of a cell");

static inline uint64_t tm_cell_pack(uint64_t flags, uint32_t site, uint64_t now_ns,
                                    size_t requested, size_t usable)
{
    uint64_t birth = now_ns / TM_CELL_CLOCK_NS;
    uint64_t last = (UINT64_C(1) << TM_CELL_BIRTH_BITS) - 1;
    uint64_t rest = usable - requested;
    if (usable > TM_CELL_SPAN_ABOVE)
        rest >>= TM_CELL_SPAN_SHIFT;
    if (rest > UINT16_MAX)
        rest = UINT16_MAX;
    return flags | (uint64_t)site << TM_CELL_SITE_SHIFT |
           (birth > last ? last : birth) << TM_CELL_BIRTH_SHIFT | rest;
}

/* One that names the site and no more. */
static inline uint64_t tm_cell_name(uint32_t site)
{
    return (uint64_t)site << TM_CELL_SITE_SHIFT;
}

static inline uint32_t tm_cell_site(uint64_t cell)
{
    return (uint32_t)(cell >> TM_CELL_SITE_SHIFT) & ((1u << TM_CELL_SITE_BITS) - 1);
}

/* On the clock of the timeline, rounded down. */
static inline uint64_t tm_cell_birth_ns(uint64_t cell)
{
    return (cell >> TM_CELL_BIRTH_SHIFT & ((UINT64_C(1) << TM_CELL_BIRTH_BITS) - 1)) *
           TM_CELL_CLOCK_NS;
}

/* Of spans rounded up to 256 bytes less than a page. */
static inline size_t tm_cell_requested(uint64_t cell, size_t usable)
{
    size_t rest = (size_t)(cell & UINT16_MAX)
                  << (usable > TM_CELL_SPAN_ABOVE ? TM_CELL_SPAN_SHIFT : 0);
    return usable > rest ? usable - rest : 0;
}

#endif
