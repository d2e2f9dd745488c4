/* pool.h: one pool: its descriptor, its blocks, its pages. Knows no thread: heap.c decides who owns
 * it.
 *
 * A pool is owned by one heap or by nobody. The owner's fields may be touched by the owner only; a
 * pool that nobody owns is touched by whoever sets the OWNED bit of `remote` first. All blocks of a
 * pool that is full and ownerless are live; the thread that frees one decides what becomes of it
 * (the idea is mimalloc 3's: full pages are
 * ownerless, so a sleeping thread does not hold them back).
 *
 * Blocks that the owner frees are pushed on `free`. The owner's next refill moves the whole list
 * into its bin, so that malloc touches the heap only and free the descriptor only (as in rpmalloc
 * and mimalloc). Blocks are linked lazily, a page at a time: a page whose blocks are in no list is
 * `uncarved`, be it fresh or purged.
 */
#ifndef TIDEMARK_POOL_H
#define TIDEMARK_POOL_H

#include <stdatomic.h>

#include "allocator/chunk.h"
#include "allocator/sizeclass.h"

/* A free block. The blocks of a list are linked through their first word. */
struct tm_block {
    struct tm_block *next;
};

/* What a slot's descriptor is. */
enum tm_pool_form {
    TM_POOL_NONE = 0, /* of a slot that belongs to no pool */
    TM_POOL_HEAD = 1, /* of the first slot of a pool: the one in use */
    TM_POOL_BODY = 2, /* of its second slot, 3 of its third, 4 of its fourth: the head is form - 1
                         slots back */
};

/* One cache line: a free touches this and the block. (A second line for what other threads write
 * would spare the owner some misses, and costs each pool 64 bytes more: at 16 KiB a pool that was
 * 0.4 % of the RSS at the peak, and a fifth of what is held after it.) */
struct tm_pool {
    /* The id of the heap that owns it; 0: ownerless, or no head. Others read it only to compare it
     * with their own. */
    _Atomic uint32_t owner;
    uint16_t until; /* frees by the owner until tm_heap_attention(); in use = until + floor */
    uint16_t floor; /* see until. In use: live, or in the owner's bin, or in `remote` */
    struct tm_block *free; /* blocks freed since the last refill */
    /* Blocks that others freed, and who may touch the rest: see below. */
    _Atomic uint64_t remote;
    struct tm_link link; /* among its heap's partial or holed pools, or in the shared list */
    uint16_t carved;     /* blocks in carved pages: in use, or on `free` */
    uint16_t uncarved;   /* bit i: the blocks that start in page i are in no list and not in use */
    uint16_t clean;      /* bit i: page i reads as zero and is not resident */
    uint16_t purged; /* bit i: page i was purged since the pool was taken, and is untouched since */
    /* Of page i: blocks on `free` that overlap it, as far as they were looked at. A pool of 4 pages
     * has up to 257 in a page, one of 16 pages up to 5. */
    union {
        uint16_t few[TM_SLOT_PAGES];
        uint64_t many; /* four bits for each page */
    } page_free;
    uint16_t looked;       /* the part of `free` from this block on (offset / 16 + 1) is counted; 0:
                              nothing is */
    _Atomic uint16_t home; /* low bits of the id of the heap that had it last; written by owners,
                              read by anyone */
    uint8_t size_class;
    uint8_t form;       /* enum tm_pool_form */
    uint8_t free_pages; /* pages that the looks so far found to be free, dirty and carved */
    bool listed;        /* in the shared list of its class; guarded by that list's lock */
};

static_assert(sizeof(struct tm_pool) == TM_POOL_DESCRIPTOR, "the chunk's head is laid out for it");

/* ---- from an address ---- */

/* The descriptor of the slot that `address` lies in; tm_in_chunk(address). */
static inline struct tm_pool *tm_pool_slot(const void *address)
{
    uintptr_t a = (uintptr_t)address;
    static_assert(TM_POOL_DESCRIPTOR == 1 << 6, "the shift below");
    return (struct tm_pool *)((a & ~(TM_CHUNK - 1)) + TM_DESCRIPTORS_OFFSET +
                              (a >> (TM_SLOT_SHIFT - 6) & ((TM_CHUNK_SLOTS - 1) << 6)));
}

/* The pool that `address` lies in; NULL if that is none. tm_in_chunk(address). */
static inline struct tm_pool *tm_pool_of(const void *address)
{
    struct tm_pool *pool = tm_pool_slot(address);
    unsigned form = pool->form;
    return form == TM_POOL_NONE ? NULL : pool - (form - TM_POOL_HEAD);
}

static inline char *tm_pool_base(const struct tm_pool *pool)
{
    struct tm_chunk *chunk = tm_chunk_of(pool);
    return (char *)chunk +
           (size_t)((const char *)pool - chunk->descriptors[0]) / TM_POOL_DESCRIPTOR * TM_SLOT;
}

/* The pool whose `link` that is. */
static inline struct tm_pool *tm_pool_of_link(struct tm_link *link)
{
    return (struct tm_pool *)((char *)link - offsetof(struct tm_pool, link));
}

static inline unsigned tm_pool_pages(const struct tm_pool *pool)
{
    return tm_classes[pool->size_class].pages;
}

static inline uint32_t tm_pool_in_use(const struct tm_pool *pool)
{
    return (uint16_t)(pool->until + pool->floor);
}

/* ---- the remote word ----
 * bits 0–15 first block of the list (offset / 16 + 1; 0: empty), 16–31 blocks in it, 32–47 blocks
 * in use when the pool became ownerless, 63 OWNED. The list goes on through the blocks. */

#define TM_REMOTE_OWNED (UINT64_C(1) << 63)

static inline uint32_t tm_remote_count(uint64_t remote)
{
    return (uint32_t)(remote >> 16) & 0xffff;
}

static inline uint32_t tm_remote_in_use(uint64_t remote)
{
    return (uint32_t)(remote >> 32) & 0xffff;
}

static inline struct tm_block *tm_remote_first(const struct tm_pool *pool, uint64_t remote)
{
    uint32_t first = (uint32_t)remote & 0xffff;
    return first == 0 ? NULL : (struct tm_block *)(tm_pool_base(pool) + (size_t)(first - 1) * 16);
}

static inline uint64_t tm_remote_push(const struct tm_pool *pool, uint64_t remote,
                                      const void *block)
{
    uint64_t first = (uint64_t)((const char *)block - tm_pool_base(pool)) / 16 + 1;
    return ((remote & ~UINT64_C(0xffff)) | first) + (UINT64_C(1) << 16);
}

/* ---- for the owner ---- */

/* A fresh pool of the class, owned (OWNED is set) but with owner still 0; NULL: no memory. */
struct tm_pool *tm_pool_take(unsigned size_class);
/* Gives back a pool of which no block is in use. The caller has taken it out of every list. */
void tm_pool_give(struct tm_pool *pool);
/* Moves what others freed to `free`. Returns how many blocks that were. */
uint32_t tm_pool_collect(struct tm_pool *pool);
/* All blocks of `free` as a list, for the bin: they count as in use from then on. */
struct tm_block *tm_pool_take_free(struct tm_pool *pool);
/* Carves the lowest uncarved page, for the bin. *zero: the blocks are zero but for their first
 * word. */
struct tm_block *tm_pool_carve(struct tm_pool *pool, bool *zero);
/* Forgets `free`: its blocks count as in use from then on. */
void tm_pool_lose_free(struct tm_pool *pool);
/* Puts blocks that were not handed out back on `free`. */
void tm_pool_put_back(struct tm_pool *pool, struct tm_block *list);
/* Counts the frees since the last look, page by page. Returns how many more pages were found free.
 */
unsigned tm_pool_look(struct tm_pool *pool);
/* Forgets what was looked at: the next look finds all free pages again. */
void tm_pool_forget_looks(struct tm_pool *pool);
/* How many frees it takes at the least until one more page is free, everything being looked at; 1
 * or more. */
uint32_t tm_pool_frees_to_page(const struct tm_pool *pool);
/* Purges every page of which all blocks are free. Returns how many went. */
unsigned tm_pool_purge(struct tm_pool *pool);
/* Sets when tm_heap_attention() is to be called next: after so many frees, or when nothing is in
 * use. */
static inline void tm_pool_attend(struct tm_pool *pool, uint32_t in_use, uint32_t frees)
{
    pool->floor = (uint16_t)(in_use > frees ? in_use - frees : 0);
    pool->until = (uint16_t)(in_use - pool->floor);
}

/* Never: for the pool that feeds a bin, which drains and fills all the time. */
static inline void tm_pool_attend_never(struct tm_pool *pool, uint32_t in_use)
{
    pool->floor = UINT16_MAX;
    pool->until = (uint16_t)(in_use + 1);
}

static inline bool tm_pool_attended(const struct tm_pool *pool)
{
    return pool->floor != UINT16_MAX;
}

#endif
