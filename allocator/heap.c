/* heap.c: requests: what happens when a bin is empty.
 *
 * Who owns a pool: the heap that fills its bin from it, and still that heap while it waits in a
 * list for its turn to do so again, as its blocks may come back meanwhile; then nobody, if none
 * did; then, when its last heap frees into it again, that heap; when another thread does, still
 * nobody, but as soon as a quarter is free it goes to the shared list of its class (share.h), where
 * any heap that needs a pool finds it. Whoever frees its last block gives it back.
 */
#include "allocator/cache.h"
#include "allocator/heap_inner.h"
#include "allocator/share.h"

/* Busy for ever: many threads share them, and do not wait at the gate on their account. */
struct tm_heap tm_heap_none = {.busy = true}, tm_heap_gone = {.busy = true};
_Thread_local struct tm_heap *tm_heap __attribute__((tls_model("initial-exec"))) = &tm_heap_none;
_Atomic uint32_t tm_heaps_in_use;

/* Blocks that a refill from the pool would bring, or fewer; 0: none would come. */
static uint32_t available(const struct tm_pool *pool)
{
    return (tm_pool_uncarved(pool) != 0) + tm_pool_sum(pool->drawn) - tm_pool_in_use(pool) +
           tm_count16(pool->sifted_pages) +
           tm_remote_count(atomic_load_explicit(&pool->remote, memory_order_relaxed));
}

/* All blocks of the pool are handed out: it becomes ownerless. False if some came back meanwhile.
 */
static bool leave_full(struct tm_heap *heap, struct tm_pool *pool)
{
    atomic_store_explicit(&pool->owner, 0, memory_order_relaxed);
    uint64_t seen = TM_REMOTE_OWNED;
    uint64_t in_use = (uint64_t)tm_pool_in_use(pool) << 32;
    if (atomic_compare_exchange_strong_explicit(&pool->remote, &seen, in_use, memory_order_release,
                                                memory_order_relaxed))
        return true;
    own(heap, pool);
    return false;
}

/* Of the two pools that are longest in a list the fuller one, so that the other may drain, but not
 * one that a refill would empty at once. Those that got no block back meanwhile go. */
static struct tm_pool *take_first(struct tm_heap *heap, struct tm_link *head)
{
    while (!tm_list_empty(head)) {
        struct tm_pool *pool = tm_pool_of_link(head->next);
        uint32_t count = available(pool);
        if (count == 0) {
            leave_list(pool);
            if (leave_full(heap, pool))
                continue;
        } else if (head->next->next != head) {
            uint32_t few = tm_classes[pool->size_class].capacity / 16u;
            struct tm_pool *other = tm_pool_of_link(head->next->next);
            uint32_t others = available(other);
            if (count <= few ? others > count : others > few && others < count)
                pool = other;
        }
        leave_list(pool);
        discount(heap, pool);
        return pool;
    }
    return NULL;
}

static struct tm_pool *next_pool(struct tm_heap *heap, unsigned size_class)
{
    struct tm_pool *pool = take_first(heap, &heap->partial[size_class]);
    if (pool == NULL)
        pool = take_first(heap, &heap->holed[size_class]);
    if (pool == NULL) {
        pool = tm_share_take(size_class);
        if (pool == NULL) {
            pool = tm_pool_take(size_class);
            if (pool == NULL)
                return NULL;
        }
        adopt(heap, pool);
    }
    if (tm_unlikely(tm_pool_identity(pool) != TM_POOL_UNASKED))
        tm_sample_unask(heap, pool);
    heap->current[size_class] = pool;
    return pool;
}

/* Blocks of the pool for a bin; NULL: it has none. *handed_back: so many of them, which is all or
 * none, were handed back by others. */
static struct tm_block *draw(struct tm_pool *pool, bool *zero, uint32_t *handed_back)
{
    *zero = false;
    *handed_back = 0;
    struct tm_block *list = NULL;
    if (pool->free != NULL && !pool->thin)
        list = tm_pool_take_free(pool);
    if (list == NULL && pool->sifted_pages != 0)
        list = tm_pool_take_sifted(pool);
    if (list == NULL)
        list = tm_pool_take_remote(pool, handed_back);
    if (list == NULL && tm_pool_uncarved(pool) != 0)
        list = tm_pool_carve(pool, zero);
    return list;
}

/* Takes the first block of a list and puts the others into the bin. */
static inline struct tm_block *put_into_bin(struct tm_heap *heap, unsigned size_class,
                                            struct tm_block *list, bool zero)
{
    heap->bin[size_class] = tm_block_take(list);
    heap->bin_zero[size_class] = zero;
    tm_heap_set_level(heap, size_class);
    heap->grown[size_class] = 0;
    return list;
}

/* Whether the whole list can go into the bin, as no block of it is one to be told of. Counts it if
 * so.
 */
static inline bool passes(struct tm_heap *heap, const struct tm_pool *pool, uint32_t count)
{
    struct tm_sampler *sampler = &heap->sampler;
    if (sampler->mode != TM_SAMPLE_SOME || sampler->until[pool->size_class] < count ||
        tm_pool_identity(pool) >= TM_POOL_CHOSEN)
        return false;
    sampler->until[pool->size_class] -= count;
    return true;
}

/* Before blocks are drawn from the pool, where they are counted. */
static inline void look_before(struct tm_heap *heap, struct tm_pool *pool)
{
    /* In an empty pool every page is one or the other, as a rule. */
    if (tm_unlikely((pool->drained | tm_pool_uncarved(pool)) ==
                    tm_classes[pool->size_class].starts) &&
        tm_pool_empty(pool))
        tm_sample_choose(heap, pool);
    if (tm_unlikely(tm_pool_identity(pool) >= TM_POOL_CHOSEN))
        heap->sampler.near_chosen = tm_sample_near_chosen(pool);
}

static __attribute__((noinline)) struct tm_block *deal_slow(struct tm_heap *heap,
                                                            unsigned size_class,
                                                            struct tm_block *list, bool zero,
                                                            bool handed_back)
{
    struct tm_block *first = tm_sample_deal(heap, heap->current[size_class], list, handed_back);
    heap->bin_zero[size_class] = zero;
    tm_heap_set_level(heap, size_class);
    heap->grown[size_class] = 0;
    return first;
}

/* As put_into_bin() where blocks are counted: `count` of the current pool. */
static inline struct tm_block *deal(struct tm_heap *heap, unsigned size_class,
                                    struct tm_block *list, bool zero, uint32_t count,
                                    bool handed_back)
{
    /* What the bin had room for and did not take comes before the next sample. */
    if (heap->room[size_class] != 0)
        tm_sample_take_back(heap, size_class, 0);
    return tm_likely(passes(heap, heap->current[size_class], count))
               ? put_into_bin(heap, size_class, list, zero)
               : deal_slow(heap, size_class, list, zero, handed_back);
}

static struct tm_block *fill_bin(struct tm_heap *heap, unsigned size_class, bool *zero)
{
    struct tm_pool *pool = heap->current[size_class];
    for (;;) {
        if (pool == NULL) {
            pool = next_pool(heap, size_class);
            if (pool == NULL)
                return NULL;
        } else {
            discount(heap, pool);
        }
        bool counted = heap->sampler.on;
        if (tm_unlikely(counted))
            look_before(heap, pool);
        uint32_t before = tm_unlikely(counted) ? tm_pool_in_use(pool) : 0, handed_back;
        struct tm_block *list = draw(pool, zero, &handed_back);
        if (list != NULL) {
            heap->drained += tm_pool_drained_pages(pool);
            if (tm_unlikely(pool->came_back != 0)) {
                tm_cache_pool_pages_back(pool->came_back);
                pool->came_back = 0;
            }
            if (tm_likely(!counted))
                return put_into_bin(heap, size_class, list, *zero);
            uint32_t count = handed_back != 0 ? handed_back : tm_pool_in_use(pool) - before;
            return deal(heap, size_class, list, *zero, count, handed_back != 0);
        }
        /* All handed out. Some of its blocks may be back before its turn comes again. */
        heap->current[size_class] = NULL;
        enter_list(heap, pool);
        pool = NULL;
    }
}

static __attribute__((noinline)) struct tm_block *refill_slow(struct tm_heap *heap,
                                                              unsigned size_class, bool *zero)
{
    bool nested = begin(heap);
    /* What is called for may be how bins are filled. */
    if (tm_unlikely(heap->calls_seen != atomic_load_explicit(&tm_heap_calls, memory_order_relaxed)))
        tm_heap_settle(heap);
    struct tm_block *block = fill_bin(heap, size_class, zero);
    tm_heap_settle(heap);
    end(heap, nested);
    return block;
}

struct tm_block *tm_heap_refill(struct tm_heap *heap, unsigned size_class, bool *zero)
{
    if (tm_unlikely(heap->sampler.rest[size_class] != NULL)) {
        *zero = heap->bin_zero[size_class];
        return tm_sample_deal_rest(heap, size_class);
    }
    /* The usual case, short: what was freed since the last refill. */
    struct tm_pool *pool = heap->current[size_class];
    if (tm_unlikely(pool == NULL || pool->free == NULL || pool->thin || heap->quick_left == 0 ||
                    atomic_load_explicit(&heap->busy, memory_order_relaxed) ||
                    heap->calls_seen != atomic_load_explicit(&tm_heap_calls, memory_order_relaxed)))
        return refill_slow(heap, size_class, zero);
    tm_gate_pass(&heap->busy);
    heap->quick_left--;
    uint16_t reused = pool->drained & (uint16_t)~tm_pool_closed(pool);
    if (reused != 0)
        heap->drained -= tm_count16(reused) * tm_classes[size_class].pages_per_start;
    *zero = false;
    struct tm_block *block;
    if (tm_likely(!heap->sampler.on)) {
        block = put_into_bin(heap, size_class, tm_pool_take_free(pool), false);
    } else {
        look_before(heap, pool);
        uint32_t count = tm_pool_free_count(pool);
        block = deal(heap, size_class, tm_pool_take_free(pool), false, count, false);
    }
    tm_gate_leave(&heap->busy);
    return block;
}
