/* heap.h: the heap of a thread: its bins and the pools that it owns. A heap is touched by its
 * thread only, without locks; what threads share (the lists of ownerless pools, the register of
 * heaps) is in share.c and thread.c behind locks.
 */
#ifndef TIDEMARK_HEAP_H
#define TIDEMARK_HEAP_H

#include "allocator/gate.h"
#include "allocator/pool.h"
#include "allocator/sample.h"

struct tm_heap {
    struct tm_block *bin[TM_CLASSES];          /* free blocks for the next mallocs, of pool
                                                  current[class]; those of warm classes of any pool */
    uint8_t class_of[TM_CLASS_DIRECT_MAX + 1]; /* tm_class_direct, where malloc has its address
                                                  already; all 0 in the two empty heaps, and in all
                                                  with check=full, where no request has class 0 */
    /* Blocks of 1 KiB and more go straight to the bin when they are freed, and are the next to be
     * handed out while the processor's caches have them. */
    uint8_t room[TM_CLASSES];  /* how many more may, until it is looked at how the bin grows */
    uint8_t grown[TM_CLASSES]; /* blocks by which it grew that way, about */
    uint8_t looks[TM_CLASSES]; /* how often it was looked at, modulo 256 */
    const struct tm_block *level[TM_CLASSES]; /* its first block when room was set */
    uint8_t bin_zero[TM_CLASSES];        /* 1: the bin's blocks are zero but for their first word */
    struct tm_pool *current[TM_CLASSES]; /* the pool that feeds the bin; NULL: none yet */
    struct tm_link partial[TM_CLASSES];  /* owned pools with free blocks, without the current one,
                                            the longest partial ones first */
    struct tm_link holed[TM_CLASSES];    /* the same, of which pages are drained */
    uint32_t drained;                    /* sum of tm_pool_drained_pages() of the owned pools */
    uint32_t drained_told;               /* what of it is in tm_drained_bytes */
    uint32_t drained_limit; /* drained pages above which it is looked at whether some must go */
    uint64_t looked_ms;     /* when a bonus (cache.h) was last looked at; tm_bounce_now_ms() */
    uint32_t calls_seen;    /* tm_heap_calls when the heap last did what it was called for */
    uint32_t trim_seen;     /* the same for calls for a trim alone */
    uint16_t quick_left;    /* refills until one settles */
    uint16_t purge_next;    /* size class that the next purge begins with */
    uintptr_t owner;   /* what its pools have for an owner: tm_thread_self(), or for the heap that
                          threads share after their end no thread's; 0: an empty heap */
    uint32_t id;       /* from 1; stays with the struct when another thread gets it;
                          0: one of the two empty heaps */
    _Atomic bool busy; /* inside a slow path; read by a thread that wants to fork */
    bool lost;         /* its thread never left a slow path: the child of the fork keeps off it */
    bool in_use;       /* belongs to a running thread; guarded by the register's lock */
    struct tm_sampler sampler;  /* what it tells the recorder */
    struct tm_heap *next;       /* all heaps ever made; constant once set */
    struct tm_heap *next_spare; /* heaps without a thread; guarded by the register's lock */
};

/* The calling thread's heap. Before its first request and after its end it points to one of two
 * heaps that are always empty and own nothing, so that the fast paths need no test. */
extern _Thread_local struct tm_heap *tm_heap __attribute__((tls_model("initial-exec")));
extern struct tm_heap tm_heap_none, tm_heap_gone;

/* Fills the empty bin of the class and takes one block from it. NULL: no memory. *zero: the block
 * is zero but for its first word. heap is the caller's and not an empty one. */
struct tm_block *tm_heap_refill(struct tm_heap *heap, unsigned size_class, bool *zero);

/* That was the last block in use of its page, in a pool that the calling thread's heap owns; or
 * there was none in use. */
void tm_heap_drained(const struct tm_block *block);

/* The bin of a class has no room for more freed blocks. */
void tm_heap_bin_full(struct tm_heap *heap, unsigned size_class);

/* The calling thread's heap owns the pool and was called to look what others handed back. */
void tm_heap_called(struct tm_pool *pool);

/* Frees a block of a pool that is not the caller's heap's. heap is an empty one where the caller
 * has none and holds the lock for that (thread.c). */
void tm_heap_free_remote(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block);

/* Gives back every free page of the heap's pools and of those that nobody owns. */
bool tm_heap_purge(struct tm_heap *heap);
/* Does what is due and what was called for, now. heap is the caller's. */
void tm_heap_attend(struct tm_heap *heap);
/* Asks all heaps to do that at their next slow path. */
void tm_heap_call_for_trim(void);
/* Makes a heap ready for a thread, or for all threads past their end (owner: see struct tm_heap).
 */
void tm_heap_begin(struct tm_heap *heap, uintptr_t owner);

/* check=full begins: the calling thread takes nothing more from the pools that it has, and nobody
 * owns them. What is live there is freed in vain. */
void tm_heap_leave_behind(void);

/* The heap's thread ends: gives up all its pools. */
void tm_heap_wind_up(struct tm_heap *heap);
/* In the child of a fork, for the heap of a thread that is not there. Its lists of pools are whole;
 * what its fast paths changed, its bins and the free lists of its pools, went on changing during
 * the fork and is not used. */
void tm_heap_inherit(struct tm_heap *heap);

/* Heaps that belong to a running thread; relaxed. Kept by thread.c. */
extern _Atomic uint32_t tm_heaps_in_use;

/* Frees a block of a pool that the calling thread's heap owns. */
static inline void tm_heap_free_own(struct tm_pool *pool, struct tm_block *block)
{
    tm_block_link(block, pool->free);
    pool->free = block;
    if (tm_unlikely(tm_pool_count_down(&pool->in_use[tm_pool_page(block)])))
        tm_heap_drained(block);
}

/* Puts a freed block of any pool into the bin of its class, where there is room. */
static inline void tm_heap_keep_warm(struct tm_heap *heap, unsigned size_class,
                                     struct tm_block *block)
{
    tm_block_link(block, heap->bin[size_class]);
    heap->bin[size_class] = block;
    heap->bin_zero[size_class] = 0;
    if (tm_unlikely(--heap->room[size_class] == 0))
        tm_heap_bin_full(heap, size_class);
}

#endif
