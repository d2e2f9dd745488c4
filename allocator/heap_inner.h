/* heap_inner.h: what the three files of a heap share, heap.c (requests), heap_return.c (frees) and
 * heap_purge.c (pages that go back); nobody else includes it.
 */
#ifndef TIDEMARK_HEAP_INNER_H
#define TIDEMARK_HEAP_INNER_H

#include "allocator/full.h"
#include "allocator/heap.h"

/* How often all heaps were asked for anything: a trim, or to look what came back. */
extern _Atomic uint32_t tm_heap_calls; /* a call releases what it is for; tm_heap_settle() acquires
                                          it. Who only looks whether there is one needs no order */

/* At the end of a slow path: whatever is due. */
void tm_heap_settle(struct tm_heap *heap);
/* Looks after a pool that the heap owns: takes in what came back, puts it where it belongs, gives
 * it back if nothing is in use and the class has another. */
void tm_heap_tend(struct tm_heap *heap, struct tm_pool *pool);
/* The same for all pools in its lists. */
void tm_heap_sweep(struct tm_heap *heap);
/* Frees a block of a pool that is not the heap's. */
void tm_heap_hand_back(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block);
/* How many freed blocks a bin of a warm class may take, where these are counted. What it had room
 * for and did not take is part of the countdown again. */
static inline uint8_t tm_heap_counted_room(struct tm_heap *heap, unsigned size_class, uint8_t warm)
{
    uint32_t until = heap->sampler.until[size_class] + heap->room[size_class];
    uint8_t room = until < warm ? (uint8_t)until : warm;
    heap->sampler.until[size_class] = until - room;
    return room;
}

/* The block that is handed out next. */
static inline struct tm_block *tm_heap_top(const struct tm_heap *heap, unsigned size_class)
{
    struct tm_block *bin = heap->bin[size_class];
    return tm_likely(bin != NULL || heap->sampler.front[size_class] == 0)
               ? bin
               : heap->sampler.rest[size_class];
}

/* From here on it is looked at how far a bin of a warm class grows. */
static inline void tm_heap_set_level(struct tm_heap *heap, unsigned size_class)
{
    uint8_t warm = tm_classes[size_class].warm;
    if (warm == 0 || tm_unlikely(tm_full))
        return;
    heap->level[size_class] = tm_heap_top(heap, size_class);
    heap->room[size_class] =
        tm_likely(!heap->sampler.on) ? warm : tm_heap_counted_room(heap, size_class, warm);
}

/* A slow path begins and ends. In between nobody forks; see gate.h. What runs nested in one passes.
 */
static inline bool begin(struct tm_heap *heap)
{
    bool nested = atomic_load_explicit(&heap->busy, memory_order_relaxed);
    if (!nested)
        tm_gate_pass(&heap->busy);
    return nested;
}

static inline void end(struct tm_heap *heap, bool nested)
{
    if (!nested)
        tm_gate_leave(&heap->busy);
}

/* ---- a heap's lists ---- */

static inline void own(const struct tm_heap *heap, struct tm_pool *pool)
{
    uintptr_t flags = tm_classes[pool->size_class].warm != 0 ? TM_OWNER_WARM : 0;
    if (atomic_load_explicit(&pool->told, memory_order_relaxed) != 0)
        flags |= TM_OWNER_TOLD;
    atomic_store_explicit(&pool->owner, heap->owner | flags, memory_order_relaxed);
}

static inline void adopt(struct tm_heap *heap, struct tm_pool *pool)
{
    atomic_store_explicit(&pool->home, (uint16_t)heap->id, memory_order_relaxed);
    own(heap, pool);
}

/* The pool is none of the heap's any more, or has no drained pages. */
static inline void discount(struct tm_heap *heap, const struct tm_pool *pool)
{
    heap->drained -= tm_pool_drained_pages(pool);
}

static inline void leave_list(struct tm_pool *pool)
{
    if (pool->place != TM_PLACE_NONE) {
        tm_list_remove(&pool->link);
        pool->place = TM_PLACE_NONE;
    }
}

/* Puts a pool into the list that it belongs to. One of large blocks is among the holed ones at
 * once: there is hardly a free that does not drain a page of it. */
static inline void enter_list(struct tm_heap *heap, struct tm_pool *pool)
{
    enum { LARGE = 2048 };
    bool holed = pool->drained != 0 || tm_classes[pool->size_class].block_size >= LARGE;
    pool->place = holed ? TM_PLACE_HOLED : TM_PLACE_PARTIAL;
    tm_list_append(holed ? &heap->holed[pool->size_class] : &heap->partial[pool->size_class],
                   &pool->link);
}

/* Puts a listed pool into the list that it belongs to by now. */
static inline void change_list(struct tm_heap *heap, struct tm_pool *pool)
{
    leave_list(pool);
    enter_list(heap, pool);
}

/* Takes in what others handed back to a pool of the heap's. */
static inline void collect(struct tm_heap *heap, struct tm_pool *pool)
{
    discount(heap, pool);
    tm_pool_collect(pool);
    heap->drained += tm_pool_drained_pages(pool);
}

/* Gives a pool back of which no block is in use. */
static inline void give(struct tm_heap *heap, struct tm_pool *pool)
{
    leave_list(pool);
    discount(heap, pool);
    tm_pool_give(pool);
}

/* The heap's lists have no other pool of its class. */
static inline bool only_one(const struct tm_heap *heap, const struct tm_pool *pool)
{
    const struct tm_link *partial = &heap->partial[pool->size_class];
    const struct tm_link *holed = &heap->holed[pool->size_class];
    return (tm_list_empty(partial) ||
            (partial->next == &pool->link && pool->link.next == partial)) &&
           (tm_list_empty(holed) || (holed->next == &pool->link && pool->link.next == holed));
}

#endif
