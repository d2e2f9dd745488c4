/* fast.h: the paths that nearly every request takes, to be inlined into each exported symbol: one
 * bin for malloc, one descriptor for free. Everything else is behind a call.
 */
#ifndef TIDEMARK_FAST_H
#define TIDEMARK_FAST_H

#include "allocator/heap.h"

void *tm_malloc_slow(size_t size);
/* The same for a function that the program called. */
void *tm_malloc_slow_for(size_t size, const struct tm_caller *caller);
void tm_free_slow(void *ptr);

/* slow: what to call where the bin is empty, the request too large, or there is no heap yet. */
static inline void *tm_malloc_or(size_t size, void *(*slow)(size_t size))
{
    /* The raw size is compared: rounding up first would wrap for the largest. */
    if (tm_unlikely(size > TM_CLASS_DIRECT_MAX))
        return slow(size);
    struct tm_heap *heap = tm_heap;
    unsigned size_class = heap->class_of[size];
    struct tm_block *block = (struct tm_block *)tm_opaque((uintptr_t)heap->bin[size_class]);
    if (tm_unlikely(block == NULL))
        return slow(size);
    /* (A prefetch of the next block, as tcmalloc has it, gained nothing.) */
    heap->bin[size_class] = block->next;
    return block;
}

static inline void *tm_malloc_fast(size_t size)
{
    return tm_malloc_or(size, tm_malloc_slow);
}

static inline void tm_free_fast(void *ptr)
{
    /* An address that no program can have lies outside the table: like a wild one anywhere, it is
     * not told from others here. */
    uintptr_t chunk = tm_opaque((uintptr_t)ptr >> TM_CHUNK_SHIFT);
    if (tm_likely(tm_chunk_valid[chunk] != 0)) {
        struct tm_pool *pool = tm_pool_slot_in(chunk << TM_CHUNK_SHIFT, ptr);
        if (tm_likely(atomic_load_explicit(&pool->owner, memory_order_relaxed) ==
                      tm_thread_self())) {
            tm_heap_free_own(pool, ptr);
            return;
        }
    }
    tm_free_slow(ptr);
}

#endif
