/* census.h: the allocator's state as the recorder may see it: read-only, one interface.
 *
 * The walk trusts nothing: it is meant to run in a copy-on-write copy of the process that was
 * frozen at any instruction, so every list may be cut in half. It checks each pointer and index
 * before use, bounds every loop, calls nothing of libc, takes no lock and allocates nothing. It may
 * also run in the live process (the fallback when no copy can be made); the caller then holds the
 * arena lock through tm_census_lock() so that no chunk is unmapped under it, and figures of pools
 * may be off by the operations under way.
 */
#ifndef TIDEMARK_ALLOCATOR_CENSUS_H
#define TIDEMARK_ALLOCATOR_CENSUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TM_CENSUS_PAGE = 4096,        /* the page of all masks and counts here, in bytes */
    TM_CENSUS_ARENA = 256 * 1024, /* bytes of an arena */
    TM_CENSUS_ARENA_PAGES = 64,   /* pages of an arena: one bit each in a uint64_t */
    TM_CENSUS_POOL_PAGES = 16,    /* the most pages a pool has */
};

/* Process-wide counters, kept by the allocator as it works. Bytes unless told. Each is read with
 * a relaxed atomic load; together they may be a few operations apart. */
struct tm_census_counters {
    uint64_t pool_bytes;    /* in pools, without pages untouched since they were fresh or purged */
    uint64_t span_bytes;    /* in spans inside chunks (page runs and arena runs) */
    uint64_t mapping_bytes; /* in spans with a mapping of their own */
    uint64_t cached_bytes; /* free pages of arenas that may be resident, and freed mappings that are
                              kept */
    uint64_t mapped_bytes; /* address space of chunks */
    uint64_t metadata_bytes; /* address space of metadata: chunk heads, heaps, tables */
    uint64_t purged_bytes;   /* given back by madvise since start, cumulative */
    uint64_t unmapped_bytes; /* given back by munmap since start, cumulative */
    uint64_t purge_calls;    /* madvise calls since start (a count) */
    uint64_t taken_bytes;    /* of pools, spans and mappings taken since start, cumulative */
    uint64_t pools_taken;    /* pools taken from arenas since start (a count) */
    uint64_t heaps;          /* heaps that belong to a running thread (a count) */
};

struct tm_census_class {
    uint32_t block_bytes; /* size of every block of the class */
    uint32_t pool_bytes;  /* size of its pools */
    uint32_t capacity;    /* blocks in a pool */
};

enum tm_census_arena_kind {
    TM_CENSUS_ARENA_EMPTY = 0, /* no pool and no span in it */
    TM_CENSUS_ARENA_POOLS = 1, /* carries pools */
    TM_CENSUS_ARENA_SPANS = 2, /* carries page-run spans */
    TM_CENSUS_ARENA_SPAN = 3,  /* part of one span of whole arenas */
    TM_CENSUS_ARENA_META = 4,  /* the chunk's own descriptors */
};

struct tm_census_arena {
    uintptr_t base;      /* address, a multiple of TM_CENSUS_ARENA */
    uint32_t kind;       /* enum tm_census_arena_kind */
    uint64_t free_mask;  /* bit i: page i is in no pool and no span */
    uint64_t dirty_mask; /* bit i: page i is free and may be resident; subset of free_mask */
};

struct tm_census_pool {
    uintptr_t base;      /* address of the first block */
    uint32_t size_class; /* index for tm_census_class_at() */
    uint32_t pages;      /* up to 16 */
    uint32_t capacity;   /* blocks */
    uint32_t live;       /* blocks handed out and not freed */
    uint32_t binned;     /* free blocks that wait in the owner's bin */
    uint32_t remote;     /* free blocks that other threads handed back, not yet collected */
    uint32_t heap;       /* id of the heap that owns it; 0: ownerless */
    uint16_t uncarved;   /* bit i: no block that starts in page i was handed out since the page was
                            last   fresh or purged */
    uint16_t live_blocks[TM_CENSUS_POOL_PAGES]; /* live blocks that overlap page i */
    uint16_t
        live_bytes[TM_CENSUS_POOL_PAGES]; /* bytes of page i that lie in a live block, <= 4096 */
    uint32_t identity;           /* enum tm_pool_identity (sample.h), all chosen ones as one, */
    uint32_t chosen_page;        /* and the page of a chosen one */
    const uint64_t *free_blocks; /* bit i of word i / 64: block i is not live */
    const _Atomic uint64_t
        *cells; /* of each block what the recorder said of it (cell.h); NULL: nothing */
};

enum tm_census_span_kind {
    TM_CENSUS_SPAN_PAGES = 0,   /* a page run inside one arena */
    TM_CENSUS_SPAN_ARENAS = 1,  /* a run of whole arenas */
    TM_CENSUS_SPAN_MAPPING = 2, /* a mapping of its own */
    TM_CENSUS_SPAN_CACHED = 3,  /* a mapping that was freed and is kept: no live block */
};

struct tm_census_span {
    uintptr_t base; /* address */
    uint64_t bytes; /* usable bytes, a multiple of the page */
    uint32_t kind;  /* enum tm_census_span_kind */
    uint64_t cell;  /* what the recorder said of it (cell.h); 0: nothing */
};

/* One stretch of the allocator's own metadata (chunk heads, heaps, tables, the library's own data).
 */
struct tm_census_meta {
    uintptr_t base;
    uint64_t bytes;
    const char *what; /* static string */
};

/* Each function may be NULL. They are called in address order inside a chunk, pools after their
 * arena. Pointers are valid during the call only. */
struct tm_census_visitor {
    void (*arena)(const struct tm_census_arena *arena, void *context);
    void (*pool)(const struct tm_census_pool *pool, void *context);
    void (*span)(const struct tm_census_span *span, void *context);
    void (*meta)(const struct tm_census_meta *meta, void *context);
};

/* Walks everything. Returns the number of inconsistencies that it met and stepped over (an
 * operation cut in half). */
unsigned tm_census_walk(const struct tm_census_visitor *visitor, void *context);

/* Number of size classes; tm_census_class_at() for i below it. */
unsigned tm_census_class_count(void);
struct tm_census_class tm_census_class_at(unsigned size_class);

/* What some of the pools of the running process have, for an estimate of what all have. */
struct tm_census_look {
    uint32_t pools;         /* looked at */
    bool all;               /* there are no others */
    uint64_t touched_bytes; /* in them, without pages untouched since they were fresh or purged */
    uint64_t live_bytes;    /* of their blocks that are handed out, or wait in a thread's bin */
    uint64_t drained_bytes; /* of their pages that could go back */
};

/* Looks at the pools of about `arenas` arenas, evenly spread over all from a place that `chance`
 * says, in some microseconds. Other threads go on meanwhile: a count may be a few blocks off. Holds
 * the arena lock, and returns false if that is taken. Any thread, under no lock. */
bool tm_census_look(unsigned arenas, uint32_t chance, struct tm_census_look *out);

void tm_census_counters(struct tm_census_counters *out);
/* pool_bytes + span_bytes + mapping_bytes of it. */
uint64_t tm_census_in_use(void);

/* Bytes of the kernel's page: TM_CENSUS_PAGE, or several of them, which go back together only. */
size_t tm_census_kernel_page(void);

/* For a walk in the live process: try to take the locks of arenas and mappings for at most `tries`
 * polls of about 1 ms. False: it could not be had. Never call it from a signal handler. */
bool tm_census_lock(unsigned tries);
void tm_census_unlock(void);

#endif
