/* pool.h: one pool: its descriptor, its blocks, its pages. Knows no thread: heap.c decides who owns
 * it.
 *
 * A pool is owned by one heap or by nobody. The owner's fields may be touched by the owner only; a
 * pool that nobody owns is touched by whoever sets the OWNED bit of `remote` first. All blocks of a
 * pool that is full and ownerless are live; the thread that frees one decides what becomes of it
 * (the idea is mimalloc 3's: full pages are ownerless, so a sleeping thread does not hold them
 * back).
 *
 * Blocks that the owner frees are pushed on `free`, and counted page by page: the free that leaves
 * no block of a page in use finds the page that can go back, with no search and at any time. The
 * owner's next refill moves the whole list into its bin, so that malloc touches the heap only and
 * free the descriptor only (as in rpmalloc and mimalloc). A purge sifts the list into one for each
 * page first, so that each free block is visited once, however often the pool is purged: the blocks
 * of a page that goes are forgotten with it. Blocks are linked lazily, a page at a time: a page
 * whose blocks are in no list is `uncarved`, be it fresh or purged.
 *
 * A block belongs to the page that it starts in. It may reach into pages behind that one: such a
 * page goes back only when that block is free, too.
 */
#ifndef TIDEMARK_POOL_H
#define TIDEMARK_POOL_H

#include <stdatomic.h>
#include <string.h>

#include "allocator/block.h"
#include "allocator/cell.h"
#include "allocator/chunk.h"
#include "allocator/sizeclass.h"

#define TM_OWNER_CALLED ((uintptr_t)1)
/* In the owner word of pools whose freed blocks go to the bin while they are warm (heap.h): it
 * keeps them off the path of free that small blocks take. */
#define TM_OWNER_WARM ((uintptr_t)2)
/* In the owner word of pools of which the recorder counts blocks, so that he is told when one of
 * them is freed. */
#define TM_OWNER_TOLD ((uintptr_t)8)
/* In place of a thread, as no thread's tm_thread_self() is that: the heap that many share, and
 * nobody ever again. */
#define TM_OWNER_SHARED ((uintptr_t)4)
#define TM_OWNER_LEFT   ((uintptr_t)16)
#define TM_OWNER_FLAGS  (TM_OWNER_CALLED | TM_OWNER_WARM | TM_OWNER_TOLD)

/* Where a pool is among its heap's; see heap.c. */
enum tm_pool_place {
    TM_PLACE_NONE = 0,    /* current, full, or nobody's */
    TM_PLACE_PARTIAL = 1, /* in the list of those with free blocks */
    TM_PLACE_HOLED = 2,   /* in the list of those with drained pages */
};

/* Four cache lines: the first is all that the owner's free touches, the second is for refills and
 * for others, the rest is for what was sifted. */
struct tm_pool {
    int16_t in_use[TM_SLOT_PAGES]; /* of each page, the blocks that start in it and are not free
                                      here nor uncarved: live, in the owner's bin, or in `remote`.
                                      Below 0: more were freed than were handed out */
    /* tm_thread_self() of the heap's thread that owns it; 0: ownerless, or no pool. Others read it
     * to compare it with their own, and set TM_OWNER_CALLED: then the owner's next free looks what
     * they handed back. */
    _Atomic uintptr_t owner;
    struct tm_block *free;   /* blocks freed since the last refill or purge */
    uint16_t drained;        /* bit i: page i may be resident, none of the blocks that start
                                in it are in use, and no purge left it since */
    _Atomic uint16_t closed; /* bit i: no block that starts in page i is in a list or in use, as
                                page i is uncarved, or none starts there; written by the owner,
                                read by whoever frees what looks like one */
    uint32_t reciprocal; /* of its class: tells starts of blocks; 0: nothing is one, as there is no
                            pool, or a hardened one */
    uint8_t size_class;
    bool thin;                /* so few blocks are carved that a bin would be empty again at
                                 once, and more can be */
    uint8_t place;            /* enum tm_pool_place */
    bool taken;               /* the slot holds a pool */
    bool listed;              /* in the shared list of its class; guarded by that list's
                                 lock */
    _Atomic uint8_t identity; /* enum tm_pool_identity (sample.h); written by the owner, read by
                                 whoever frees a block that is told */
    _Atomic uint16_t told; /* bit i: a block that starts in page i has a counted cell (cell.h), or
                              had one, or may not go to a bin; set by who hands such a block out,
                              cleared by the owner. Relaxed: who frees the block got it after the
                              bit was set */
    /* Blocks that others freed, and who may touch the rest: see below. */
    _Alignas(64) _Atomic uint64_t remote;
    struct tm_link link;          /* among its heap's partial or holed pools, or in the shared
                                     list */
    int16_t drawn[TM_SLOT_PAGES]; /* of each page, the blocks that start in it and are neither
                                     uncarved nor sifted: what in_use is with an empty `free` */
    uint16_t purged;              /* bit i: page i was purged since the pool was taken, and is
                                     untouched since */
    uint16_t came_back;           /* purged pages that were touched again since the heap last
                                     asked; it sets it to 0 */
    uint16_t counted;             /* pages of it that the shared list counts as drained */
    _Atomic uint16_t home;        /* low bits of the id of the heap that had it last; written by
                                     owners, read by anyone */
    /* Of each page: the first of the free blocks that start in it and were sifted (in steps of 16
     * bytes, from 1; 0: there are none). */
    _Alignas(64) uint16_t sifted[TM_SLOT_PAGES];
    uint16_t sifted_pages; /* bit i: sifted[i] is not 0 */
    uint16_t clean;        /* bit i: page i reads as zero and is not resident */
    bool hardened;         /* check=full: see full.h; constant while it is taken */
};

static_assert(sizeof(struct tm_pool) <= TM_POOL_DESCRIPTOR, "the chunk's head is laid out for it");
static_assert(offsetof(struct tm_pool, remote) == 64, "a free by the owner touches one line");

/* What tells the calling thread from all others that run, without a load of the thread's own. */
static inline uintptr_t tm_thread_self(void)
{
    return (uintptr_t)__builtin_thread_pointer();
}

/* ---- from an address ---- */

/* The descriptor of the slot that `address` lies in, of the chunk at `chunk`. */
static inline struct tm_pool *tm_pool_slot_in(uintptr_t chunk, const void *address)
{
    static_assert(TM_POOL_DESCRIPTOR == 1 << 8, "the shift below");
    return (struct tm_pool *)(chunk +
                              ((uintptr_t)address >> (TM_SLOT_SHIFT - 8) &
                               ((TM_CHUNK_SLOTS - 1) << 8)) +
                              TM_DESCRIPTORS_OFFSET);
}

/* The same; tm_in_chunk(address). */
static inline struct tm_pool *tm_pool_slot(const void *address)
{
    return tm_pool_slot_in((uintptr_t)address & ~(TM_CHUNK - 1), address);
}

/* The pool that `address` lies in; NULL if that is none. tm_in_chunk(address). */
static inline struct tm_pool *tm_pool_of(const void *address)
{
    struct tm_pool *pool = tm_pool_slot(address);
    return pool->taken ? pool : NULL;
}

/* The same of any address. */
static inline struct tm_pool *tm_pool_around(const void *address)
{
    return tm_in_chunk(address) ? tm_pool_of(address) : NULL;
}

static inline char *tm_pool_base(const struct tm_pool *pool)
{
    uintptr_t a = (uintptr_t)pool;
    return (char *)((a & ~(TM_CHUNK - 1)) +
                    (((a & (TM_CHUNK - 1)) - TM_DESCRIPTORS_OFFSET) << (TM_SLOT_SHIFT - 8)));
}

/* The pool whose `link` that is. */
static inline struct tm_pool *tm_pool_of_link(struct tm_link *link)
{
    return (struct tm_pool *)((char *)link - offsetof(struct tm_pool, link));
}

/* Counts a block out of its page. True: it was the last in use there, or none was. */
static inline bool tm_pool_count_down(int16_t *in_use)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
    /* (gcc makes five instructions of the line below.) */
    bool low;
    __asm__("subw $1, %0" : "+m"(*in_use), "=@ccle"(low));
    return low;
#else
    return --*in_use <= 0;
#endif
}

/* Whether a block of the pool starts at an address in its slot. (The blocks of a pool that is not
 * full to the brim end before the slot does: tm_pool_carve() marks what is behind.) The test for
 * divisibility is Lemire's, "Faster remainder by direct computation" (2019). */
static inline bool tm_pool_is_start(const struct tm_pool *pool, const void *address)
{
    return (uint16_t)(uintptr_t)address * pool->reciprocal < pool->reciprocal;
}

/* The page of its pool that a block starts in. */
static inline size_t tm_pool_page(const void *block)
{
    return tm_opaque((uint16_t)(uintptr_t)block) >> TM_PAGE_SHIFT;
}

static_assert(TM_SLOT_SHIFT == 16, "the low 16 bits are the offset in the pool");

/* The cell of a block of a pool or of a span that starts at `address` in a chunk; NULL: the chunk
 * has none. */
static inline tm_cell *tm_cell_of(const void *address)
{
    tm_cell *cells = tm_cells_of_slot(address);
    if (cells == NULL)
        return NULL;
    const struct tm_pool *pool = tm_pool_slot(address);
    if (!pool->taken)
        return cells + ((uintptr_t)address >> TM_PAGE_SHIFT & (TM_SLOT_PAGES - 1));
    return cells +
           tm_class_block_index(&tm_classes[pool->size_class], (uint16_t)(uintptr_t)address);
}

/* The block that begins `place` (from 1, in steps of 16 bytes) into the pool; 0: none. */
static inline struct tm_block *tm_pool_at(const struct tm_pool *pool, uint32_t place)
{
    return place == 0 ? NULL : (struct tm_block *)(tm_pool_base(pool) + (size_t)(place - 1) * 16);
}

static inline uint32_t tm_pool_place(const void *block)
{
    return block == NULL ? 0 : (uint32_t)((uintptr_t)block & (TM_SLOT - 1)) / 16 + 1;
}

/* The first of the sifted blocks of a page; NULL: there are none. */
static inline struct tm_block *tm_pool_sifted(const struct tm_pool *pool, unsigned page)
{
    return tm_pool_at(pool, pool->sifted[page]);
}

static inline uint16_t tm_pool_closed(const struct tm_pool *pool)
{
    return atomic_load_explicit(&pool->closed, memory_order_relaxed);
}

static inline uint16_t tm_pool_uncarved(const struct tm_pool *pool)
{
    return tm_pool_closed(pool) & tm_classes[pool->size_class].starts;
}

static inline unsigned tm_pool_identity(const struct tm_pool *pool)
{
    return atomic_load_explicit(&pool->identity, memory_order_relaxed);
}

static inline void tm_pool_identify(struct tm_pool *pool, unsigned identity)
{
    atomic_store_explicit(&pool->identity, (uint8_t)identity, memory_order_relaxed);
}

/* Whether a block of the pool that starts there may be live: it has no mark, and its page was
 * carved since it was purged. Any thread: while it is live neither changes. */
static inline bool tm_pool_may_be_live(const struct tm_pool *pool, const struct tm_block *block)
{
    return (tm_pool_closed(pool) >> tm_pool_page(block) & 1) == 0 && !tm_block_is_free(block);
}

/* The owner without the flags. */
static inline uintptr_t tm_pool_owner(const struct tm_pool *pool)
{
    return atomic_load_explicit(&pool->owner, memory_order_relaxed) & ~TM_OWNER_FLAGS;
}

/* The sum of the counts of all pages: at most 4096. Four counts at a time: no lane overflows. */
static inline uint32_t tm_pool_sum(const int16_t counts[TM_SLOT_PAGES])
{
    uint64_t lanes = 0;
    for (unsigned page = 0; page < TM_SLOT_PAGES; page += 4) {
        uint64_t four;
        memcpy(&four, &counts[page], sizeof four);
        lanes += four;
    }
    return (uint32_t)(lanes * UINT64_C(0x0001000100010001) >> 48);
}

static inline uint32_t tm_pool_in_use(const struct tm_pool *pool)
{
    return tm_pool_sum(pool->in_use);
}

/* Blocks in `free`. */
static inline uint32_t tm_pool_free_count(const struct tm_pool *pool)
{
    uint64_t lanes = 0;
    for (unsigned page = 0; page < TM_SLOT_PAGES; page += 4) {
        uint64_t drawn, in_use;
        memcpy(&drawn, &pool->drawn[page], sizeof drawn);
        memcpy(&in_use, &pool->in_use[page], sizeof in_use);
        lanes += drawn - in_use; /* no lane borrows */
    }
    return (uint32_t)(lanes * UINT64_C(0x0001000100010001) >> 48);
}

/* No block is in use. */
static inline bool tm_pool_empty(const struct tm_pool *pool)
{
    uint64_t any = 0;
    for (unsigned page = 0; page < TM_SLOT_PAGES; page += 4) {
        uint64_t four;
        memcpy(&four, &pool->in_use[page], sizeof four);
        any |= four;
    }
    return any == 0;
}

/* How many of 16 bits are set. (What the compiler makes of its builtin for every x86-64 is a call.)
 */
static inline uint32_t tm_count16(uint16_t bits)
{
    uint32_t x = bits - (bits >> 1 & 0x5555u);
    x = (x & 0x3333) + (x >> 2 & 0x3333);
    x = (x + (x >> 4)) & 0x0f0f;
    return (x + (x >> 8)) & 0x1f;
}

/* Resident pages of which all blocks are free; of larger blocks that reach over several, about. */
static inline uint32_t tm_pool_drained_pages(const struct tm_pool *pool)
{
    return pool->drained == 0
               ? 0
               : tm_count16(pool->drained) * tm_classes[pool->size_class].pages_per_start;
}

/* ---- the remote word ----
 * bits 0–15 first block of the list (offset / 16 + 1; 0: empty), 16–31 blocks in it, 32–47 blocks
 * in use when the pool became ownerless, 63 OWNED. The list goes on through the blocks.
 *
 * OWNED is a lock on all the pool's plain fields, that is tried and never waited for. Who sets it
 * (come_home and push_remote in heap_return.c, take in share.c) or finds blocks while he has it
 * (tm_pool_take_remote) acquires; who gives it up (leave_full in heap.c, tm_share_disown) releases,
 * by a compare-exchange that fails if blocks are waiting, so none is left behind. Each push
 * releases the block's link, and the fields of whoever gave the bit up go on in it: all changes of
 * the word but the first are updates, so one acquire sees all that was released since.
 * Which blocks wait may change at any time, but the list is taken whole, by an exchange, so no
 * block comes back to its front unseen (ABA).
 * A pool is alive while a block of it is in use: who pushes one may touch the pool until his
 * compare-exchange succeeds, and afterwards only if that set OWNED. (call_owner, which flags the
 * owner word all the same, says why that is harmless.) All in use having come back is seen by
 * whoever has the bit then, or takes it with that push: he alone gives the pool back.
 *
 * `owner` is relaxed: a thread asks whether it is its own pointer, which only it writes there, so
 * it reads that or something else; whoever owns the pool has OWNED, which orders the rest. `home`
 * is a hint: an old one sends a block the longer way. (Modelled: tests/model/pools.c.) */

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
    return tm_pool_at(pool, (uint32_t)remote & 0xffff);
}

static inline uint64_t tm_remote_push(uint64_t remote, const void *block)
{
    return ((remote & ~UINT64_C(0xffff)) | tm_pool_place(block)) + (UINT64_C(1) << 16);
}

/* ---- for the owner ---- */

/* A fresh pool of the class, owned (OWNED is set) but with owner still 0; NULL: no memory. */
struct tm_pool *tm_pool_take(unsigned size_class);
/* Gives back a pool of which no block is in use. The caller has taken it out of every list. */
void tm_pool_give(struct tm_pool *pool);
/* Puts what others freed into `free`. */
void tm_pool_collect(struct tm_pool *pool);
/* What others freed as a list, for the bin, and how many that are; NULL: nothing. They count as in
 * use all the while. */
struct tm_block *tm_pool_take_remote(struct tm_pool *pool, uint32_t *count);
/* The blocks of `free`, for the bin: they count as in use from then on. NULL: there are none. */
static inline struct tm_block *tm_pool_take_free(struct tm_pool *pool)
{
    struct tm_block *list = pool->free;
    pool->free = NULL;
    memcpy(pool->in_use, pool->drawn, sizeof pool->in_use);
    pool->drained &= tm_pool_closed(pool);
    return list;
}
/* The same of the sifted blocks of a page, or of several if these are few. */
struct tm_block *tm_pool_take_sifted(struct tm_pool *pool);
/* Carves the lowest uncarved page, or several if they are resident anyway, for the bin. *zero: the
 * blocks are zero but for their first word. */
struct tm_block *tm_pool_carve(struct tm_pool *pool, bool *zero);
/* Forgets the free blocks: they count as in use from then on. */
void tm_pool_lose_free(struct tm_pool *pool);
/* Puts a block that counts as in use into `free`. */
void tm_pool_put_back(struct tm_pool *pool, struct tm_block *block);
/* Purges every drained page that no other block reaches into. Returns how many went. */
unsigned tm_pool_purge(struct tm_pool *pool);

#endif
