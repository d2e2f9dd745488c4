/* fast.h: the paths that nearly every request takes, to be inlined into each exported symbol: one
 * bin for malloc, one descriptor for free. Everything else is behind a call.
 */
#ifndef TIDEMARK_FAST_H
#define TIDEMARK_FAST_H

#include "allocator/heap.h"

void *tm_malloc_slow(size_t size);
/* The same, of which the recorder is not told: the caller ends with tm_told(). */
void *tm_take(size_t size);
/* Frees what is in a slot of a chunk, whose descriptor that is, and NULL or anything elsewhere.
 * Stops the program if it is no live block. */
void tm_free_slow(struct tm_pool *pool, void *ptr);
void tm_free_span(void *ptr);

/* Tells the recorder of the block that is due. Returns it, or another one of its class with what is
 * in it. */
void *tm_tell(void *block, size_t requested, const struct tm_caller *caller);

/* Tells the recorder of a block that was just taken, if it is one that he is to know of. Every
 * function that the program calls and that may have taken one ends with it, outside all locks and
 * slow paths. */
static inline __attribute__((always_inline)) void *tm_told(void *block, size_t requested)
{
    struct tm_heap *heap = tm_heap;
    if (tm_unlikely(heap->sampler.due != NULL) && heap->sampler.due == block) {
        struct tm_caller caller = tm_caller_here();
        return tm_tell(block, requested, &caller);
    }
    return block;
}

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
    heap->bin[size_class] = tm_block_take(block);
    return block;
}

static inline void *tm_malloc_fast(size_t size)
{
    return tm_malloc_or(size, tm_malloc_slow);
}

static inline void tm_free_fast(void *ptr)
{
    uintptr_t chunk = tm_opaque((uintptr_t)ptr >> TM_CHUNK_SHIFT);
    if (tm_likely(chunk < TM_CHUNK_INDEXES && tm_chunk_marked(chunk))) {
        struct tm_pool *pool = tm_pool_slot_in(chunk << TM_CHUNK_SHIFT, ptr);
        if (tm_likely(atomic_load_explicit(&pool->owner, memory_order_relaxed) ==
                          tm_thread_self() &&
                      tm_pool_is_start(pool, ptr) && !tm_block_is_free(ptr)))
            tm_heap_free_own(pool, ptr);
        else
            tm_free_slow(pool, ptr);
        return;
    }
    tm_free_span(ptr);
}

#endif
