/* analyse_heap.h: the allocator's own memory, counted page by page from the snapshot's ARENAS,
 * POOLS, PAGES, SPANS and METADATA. Every page belongs to one owner: metadata and spans first, then
 * pools, then free pages, so nothing is counted twice whatever the file says; where its figures
 * contradict each other that is counted and shown. All bytes are resident bytes unless a comment
 * says otherwise.
 */
#ifndef TIDEMARK_REPORT_ANALYSE_HEAP_H
#define TIDEMARK_REPORT_ANALYSE_HEAP_H

#include "profiler/report/snapshot_read.h"

enum {
    TM_FULLNESS_STEPS = 11, /* 0: no live byte; i: up to i * 10 % of the resident bytes are live */
    TM_UNITS = 4,           /* granularities of the what-if */
    TM_SPAN_KINDS = 4,      /* as enum tm_census_span_kind */
    TM_IDENTITIES = 3,      /* as enum tm_snapshot_identity */
};

/* Resident pages with a live block, in pools of one size class, by enum tm_snapshot_identity: what
 * estimates from the chosen pages are scaled by. The other pages of a pool with a chosen one count
 * as passed. */
struct tm_identity_use {
    uint64_t pages;
    uint64_t pinned_pages; /* of them with pinned bytes */
    uint64_t pinned_bytes;
};

/* Pools of one size class. */
struct tm_class_use {
    uint32_t block_bytes; /* size of a block */
    uint32_t pool_bytes;  /* address space of one pool */
    uint64_t pools;       /* how many */
    uint64_t live_blocks; /* blocks in use */
    uint64_t capacity;    /* blocks that the pools have room for */
    uint64_t binned;      /* free blocks in bins of threads */
    uint64_t remote;      /* free blocks that other threads handed back */
    uint64_t tail_bytes;  /* address space at the ends of pools that is no block; part of pinned or
                             cached */
    uint64_t live_all_bytes;                        /* in live blocks, resident or not */
    uint64_t live_bytes;                            /* in live blocks */
    uint64_t pinned_bytes;                          /* free, on pages with a live block */
    uint64_t cached_bytes;                          /* on pages without a live block */
    struct tm_identity_use identity[TM_IDENTITIES]; /* by enum tm_snapshot_identity */
};

/* Arenas whose live share falls into one step. */
struct tm_fullness {
    uint64_t arenas;
    uint64_t resident_bytes;
    uint64_t live_bytes;
};

/* What would go back if memory went back in aligned units of one size: resident bytes of units
 * without a live block, span or metadata. */
struct tm_unit_return {
    uint64_t unit_bytes;
    uint64_t return_bytes;
};

/* Spans of one kind. Those of the kind TM_CENSUS_SPAN_CACHED are held, the others are live. */
struct tm_span_use {
    uint64_t count;
    uint64_t bytes; /* usable, resident or not */
    uint64_t resident_bytes;
    uint64_t largest_bytes; /* usable bytes of the largest */
};

/* Address range whose resident bytes are known. */
struct tm_extent {
    uint64_t start, end;
    uint64_t resident_bytes;
};

/* Metadata of one kind. `what` is text from the file: escape it. */
struct tm_metadata_use {
    char what[25];
    uint64_t bytes; /* address space */
    uint64_t resident_bytes;
};

struct tm_heap {
    struct tm_class_use *classes; /* by size class; length: the snapshot's class_count */
    struct tm_fullness fullness[TM_FULLNESS_STEPS];
    struct tm_unit_return units[TM_UNITS]; /* the kernel's page, 64 KiB (128 where that is the
                                              page), 256 KiB, 2 MiB */
    struct tm_span_use spans[TM_SPAN_KINDS];
    uint64_t live_pool_bytes;     /* in live blocks of pools, rounding included */
    uint64_t live_pool_all_bytes; /* the same, resident or not */
    uint64_t pinned_bytes;        /* free, on pool pages with a live block */
    uint64_t cached_pool_bytes;   /* pool pages without a live block */
    uint64_t cached_arena_bytes;  /* free pages of arenas */
    /* The same where the kernel's page is several of the file's, and one of the others is in use.
     */
    uint64_t beside_pool_bytes;
    uint64_t beside_arena_bytes;
    uint64_t cached_bytes;   /* the cached ones, and the mappings that were freed and are kept */
    uint64_t floor_bytes;    /* the kernel's pages with a live block of a pool: the page floor */
    uint64_t pool_bytes;     /* all resident pool pages */
    uint64_t contradictions; /* figures of the file that cannot all be true */
    /* Where the allocator's memory lies, for the accounting of the mappings. Each list is sorted
     * and free of overlaps. */
    uint64_t *counted; /* for each arena of the snapshot: pages counted as pool or free */
    struct tm_extent *span_extents; /* of spans */
    size_t span_extent_count;
    struct tm_extent *metadata_extents; /* of metadata */
    size_t metadata_extent_count;
    struct tm_metadata_use *metadata; /* one for each kind; the last may gather the rest */
    size_t metadata_count;
};

/* False when memory runs out; then nothing is left to free. */
bool tm_heap_analyse(const struct tm_snapshot_file *snapshot, struct tm_heap *heap);
void tm_heap_free(struct tm_heap *heap);

/* Index of the first extent that ends above the address; count if there is none. */
size_t tm_extent_find(const struct tm_extent *extents, size_t count, uint64_t address);

/* Pages of the arena at `base` that an extent touches, as a mask. */
uint64_t tm_extent_pages(const struct tm_extent *extents, size_t count, uint64_t base);

/* What the live blocks cover of page `index` of a pool. Where the file has no figures for the page
 * they follow from the pool's: all blocks live, or none. Counts where figures contradict each
 * other. */
struct tm_snapshot_page tm_pool_page(const struct tm_snapshot_file *snapshot,
                                     const struct tm_snapshot_pool *pool, unsigned index,
                                     uint64_t *contradictions);

#endif
