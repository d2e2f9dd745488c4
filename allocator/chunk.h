/* chunk.h: chunks and the descriptors of their arenas: the data that arena.c, cache.c and chunk.c
 * share, and the arithmetic from an address to its descriptors. All of it is guarded by
 * tm_arena_lock unless told.
 *
 * Metadata lies out of the blocks' way: the first arena of a chunk carries the descriptors of all
 * others, between two guard pages: one stops an overrun from the chunk below, the other what runs
 * backwards from the first block behind. A chunk may be mapped in
 * part only (`arenas` of them, from its start) and grows in place, so that a small process, or one
 * under RLIMIT_AS, does not pay for 16 MiB.
 */
#ifndef TIDEMARK_CHUNK_H
#define TIDEMARK_CHUNK_H

#include "allocator/bucket.h"
#include "allocator/layout.h"
#include "allocator/lock.h"

enum tm_arena_kind {
    TM_ARENA_EMPTY = 0, /* no pool and no span in it */
    TM_ARENA_POOLS = 1, /* carries pools */
    TM_ARENA_RUNS = 2,  /* carries page runs: spans smaller than an arena */
    TM_ARENA_SPAN = 3,  /* part of one span of whole arenas */
};

struct tm_arena {
    uint64_t used;         /* bit i: page i is in a pool or span */
    uint64_t dirty;        /* bit i: page i is free and may be resident; never a bit of `used` */
    struct tm_link index;  /* in the index of its kind, while it has room and is not busy */
    struct tm_link cached; /* in the list of arenas with cached pages, while it has any */
    uint32_t span_pages;   /* of the span that starts here (TM_ARENA_SPAN); 0 in its other arenas */
    uint8_t kind;          /* enum tm_arena_kind */
    uint8_t bucket;        /* in the index, while index.next is set */
    bool busy;             /* its pages are being purged without the lock: nobody may take any */
    uint8_t cached_pages;  /* dirty ones that could go back: all, or where the kernel's page is
                              several of ours, those whose neighbours there are free, too */
    uint8_t run_pages[TM_ARENA_PAGES]; /* TM_ARENA_RUNS: length of the span that starts at page i,
                                          else 0 */
};

enum { TM_POOL_DESCRIPTOR = 256 };

struct tm_chunk {
    char guard[64 * 1024];             /* whole pages, whatever the kernel's are */
    struct tm_link index;              /* in the index of chunks with empty arenas */
    struct tm_chunk *next, *previous;  /* all chunks */
    uint64_t empty;                    /* bit i: arena i is mapped, empty and not busy */
    _Atomic(_Atomic uint64_t *) cells; /* cell.h; NULL: nothing in it was ever recorded */
    _Atomic uint32_t
        arenas;     /* how many are mapped, the one with this head included; read by anyone */
    uint8_t bucket; /* in the index, while index.next is set */
    bool all_empty; /* every arena but the head is empty */
    struct tm_arena arena[TM_CHUNK_ARENAS];
    /* One descriptor for each slot; what is in it is pool.h's business. Zero: no pool. */
    _Alignas(16 * 1024) char descriptors[TM_CHUNK_SLOTS][TM_POOL_DESCRIPTOR];
};

/* Cells of a slot (cell.h): enough for the smallest blocks. Those of a chunk lie in one mapping. */
#define TM_SLOT_CELLS        (TM_SLOT / 16)
#define TM_CHUNK_CELLS_BYTES (TM_CHUNK_SLOTS * TM_SLOT_CELLS * sizeof(uint64_t))

#define TM_DESCRIPTORS_OFFSET ((size_t)80 * 1024)
static_assert(offsetof(struct tm_chunk, descriptors) == TM_DESCRIPTORS_OFFSET,
              "pool.h computes with it");
static_assert(sizeof(struct tm_chunk) <= TM_ARENA - (size_t)64 * 1024,
              "the head takes one arena, the last page of which is a guard");

/* 1: the head of a chunk of ours is mapped at that multiple of TM_CHUNK, and stays so. Written
 * under tm_arena_lock, once; read without a lock in every free. For a block of a pool the store was
 * before its thread got the block, and whoever frees it has its address from there. Any other
 * address (a span that lies where a chunk has not grown to, what is no block at all) may be looked
 * up while the byte changes, so it is atomic: 0 is "not in a chunk", and 1 leads to a head that is
 * mapped already, where the slot says "no pool"; both lead to the spans. Relaxed is enough for the
 * reader: what it does next depends on the byte, and a head not yet written to reads as "no pool",
 * too. The byte never goes back to 0, so what 1 led to does not go away. */
extern _Atomic uint8_t tm_chunk_valid[TM_CHUNK_INDEXES];

extern struct tm_lock tm_arena_lock;
extern struct tm_chunk *tm_chunks; /* all chunks; guarded by tm_arena_lock */

static inline bool tm_chunk_marked(size_t index)
{
    return atomic_load_explicit(&tm_chunk_valid[index], memory_order_relaxed) != 0;
}

static inline bool tm_in_chunk(const void *address)
{
    size_t index = (uintptr_t)address >> TM_CHUNK_SHIFT;
    return tm_likely(index < TM_CHUNK_INDEXES) && tm_chunk_marked(index);
}

static inline struct tm_chunk *tm_chunk_of(const void *address)
{
    return (struct tm_chunk *)((uintptr_t)address & ~(TM_CHUNK - 1));
}

static inline struct tm_arena *tm_arena_of(const void *address)
{
    return &tm_chunk_of(address)
                ->arena[(uintptr_t)address >> TM_ARENA_SHIFT & (TM_CHUNK_ARENAS - 1)];
}

static inline unsigned tm_arena_number(const struct tm_arena *arena)
{
    return (unsigned)(arena - tm_chunk_of(arena)->arena);
}

static inline char *tm_arena_base(const struct tm_arena *arena)
{
    return (char *)tm_chunk_of(arena) + (size_t)tm_arena_number(arena) * TM_ARENA;
}

/* As tm_in_chunk(), and not in the part of the chunk that is not mapped: something else may lie
 * there. */
static inline bool tm_in_arena(const void *address)
{
    return tm_in_chunk(address) &&
           tm_arena_number(tm_arena_of(address)) <
               atomic_load_explicit(&tm_chunk_of(address)->arenas, memory_order_relaxed);
}

/* Page number inside its arena. */
static inline unsigned tm_page_of(const void *address)
{
    return (unsigned)((uintptr_t)address >> TM_PAGE_SHIFT & (TM_ARENA_PAGES - 1));
}

/* Takes an empty arena, a cached one if there is one; NULL if the OS gives none. */
struct tm_arena *tm_chunk_take_arena(void);
/* Takes `count` neighbouring empty arenas of which the first lies at a multiple of `alignment`
 * bytes. */
struct tm_arena *tm_chunk_take_arenas(unsigned count, size_t alignment);
/* Takes the `count` arenas behind `arena` if they are empty. */
bool tm_chunk_take_next(struct tm_arena *arena, unsigned count);
/* Gives back an arena whose pages are all free. May unmap the chunk: touch neither afterwards. */
void tm_chunk_give_arena(struct tm_arena *arena);
/* Unmaps the chunk of an arena if all of it is empty and another such chunk is left. Returns how
 * many cached pages went with it; 0: it stays. */
unsigned tm_chunk_unmap_surplus(struct tm_arena *arena);
/* Takes an empty arena out of reach while its pages are purged; tm_chunk_give_arena() brings it
 * back. */
void tm_chunk_hide_arena(struct tm_arena *arena);

/* Unmaps the chunks of which every arena is empty. True if there were any. */
bool tm_chunk_unmap_empty(void);
/* The heads that stayed behind, linked by next; for the census. */
const struct tm_chunk *tm_chunk_bare_heads(void);

/* Bytes of address space in chunks; relaxed. */
extern _Atomic uint64_t tm_chunk_mapped_bytes;

#endif
