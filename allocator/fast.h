/* fast.h: the paths that nearly every request takes, to be inlined into each exported symbol: one
 * bin for malloc, one descriptor for free. Everything else is behind a call.
 */
#ifndef TIDEMARK_FAST_H
#define TIDEMARK_FAST_H

#include "allocator/heap.h"

void *tm_malloc_slow(size_t size);
void tm_free_slow(void *ptr);

static inline void *tm_malloc_fast(size_t size)
{
    /* The raw size is compared: rounding up first would wrap for the largest. */
    if (tm_unlikely(size > TM_CLASS_DIRECT_MAX))
        return tm_malloc_slow(size);
    struct tm_heap *heap = tm_heap;
    unsigned size_class = tm_class_direct[(size + 15) >> 4];
    struct tm_block *block = heap->bin[size_class];
    if (tm_unlikely(block == NULL))
        return tm_malloc_slow(size);
    heap->bin[size_class] = block->next;
    return block;
}

static inline void tm_free_fast(void *ptr)
{
    if (tm_likely(tm_in_chunk(ptr))) {
        struct tm_pool *pool = tm_pool_slot(ptr);
        if (tm_likely(atomic_load_explicit(&pool->owner, memory_order_relaxed) == tm_heap_id)) {
            tm_heap_free_own(pool, ptr);
            return;
        }
    }
    tm_free_slow(ptr);
}

#endif
