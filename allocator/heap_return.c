/* heap_return.c: frees: what happens when a pool drains, and when a block comes back to a pool that
 * the freeing thread's heap does not own.
 */
#include "allocator/cache.h"
#include "allocator/heap_inner.h"
#include "allocator/share.h"

/* Bytes that other threads handed back to owned pools, since the last call for a sweep; in steps of
 * a quarter pool. Relaxed: what is added while another sets it to 0 may be lost, and the call
 * comes that much later. */
static _Atomic size_t waiting;

/* ---- a pool drains ---- */

/* A pool in one of the lists of which no block is in use. One of a class may stay for the next
 * request, if the heap may hold its pages. */
static void surplus(struct tm_heap *heap, struct tm_pool *pool)
{
    if (!only_one(heap, pool))
        give(heap, pool);
}

/* Looks after a pool that the heap owns: takes in what came back, puts it where it belongs. */
void tm_heap_tend(struct tm_heap *heap, struct tm_pool *pool)
{
    collect(heap, pool);
    if (pool->place == TM_PLACE_PARTIAL && pool->drained != 0)
        change_list(heap, pool);
    if (pool->place != TM_PLACE_NONE && tm_pool_empty(pool))
        surplus(heap, pool);
}

static void tend_list(struct tm_heap *heap, struct tm_link *head)
{
    if (tm_list_empty(head))
        return;
    for (struct tm_link *link = head->next, *next; link != head; link = next) {
        next = link->next;
        tm_heap_tend(heap, tm_pool_of_link(link));
    }
}

/* Tends all pools but the current ones. (A holed pool that a partial one has become meanwhile is
 * tended twice.) */
void tm_heap_sweep(struct tm_heap *heap)
{
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++) {
        tend_list(heap, &heap->partial[size_class]);
        tend_list(heap, &heap->holed[size_class]);
    }
}

static __attribute__((noinline)) void drained_slow(struct tm_heap *heap, struct tm_pool *pool)
{
    bool nested = begin(heap);
    tm_heap_tend(heap, pool);
    /* To be computed anew: the budget falls with what is in use, which only a drained pool tells.
     */
    heap->drained_limit = 0;
    tm_heap_settle(heap);
    end(heap, nested);
}

void tm_heap_drained(const struct tm_block *block)
{
    struct tm_heap *heap = tm_heap;
    struct tm_pool *pool = tm_pool_slot(block);
    if (tm_unlikely(pool->in_use[tm_pool_page(block)] < 0))
        tm_misuse_no_block("free", block);
    /* The pool is one of a thread that ended without telling, and whose thread pointer this one
     * has; see new_heap() in thread.c. */
    if (tm_unlikely(heap->id == 0))
        return;
    pool->drained |= (uint16_t)(1u << tm_pool_page(block));
    heap->drained += tm_classes[pool->size_class].pages_per_start;
    if (tm_unlikely(heap->drained > heap->drained_limit) ||
        (pool->place != TM_PLACE_NONE &&
         (pool->place == TM_PLACE_PARTIAL || tm_pool_empty(pool) ||
          atomic_load_explicit(&pool->remote, memory_order_relaxed) != TM_REMOTE_OWNED)))
        drained_slow(heap, pool);
}

void tm_heap_called(struct tm_pool *pool)
{
    struct tm_heap *heap = tm_heap;
    if (tm_unlikely(heap->id == 0))
        return; /* as above */
    bool nested = begin(heap);
    own(heap, pool);
    tm_heap_tend(heap, pool);
    end(heap, nested);
}

/* ---- a block comes back from another thread, or to a pool that nobody owns ---- */

/* The heap had the pool last. That two heaps share the low bits of their ids does no harm: either
 * may have it. */
static bool is_home(const struct tm_heap *heap, const struct tm_pool *pool)
{
    return heap->id != 0 &&
           atomic_load_explicit(&pool->home, memory_order_relaxed) == (uint16_t)heap->id;
}

/* A pool with free blocks, of which the caller has got the OWNED bit, is the heap's. */
static void take_in(struct tm_heap *heap, struct tm_pool *pool)
{
    if (pool->listed)
        tm_share_unlist(pool);
    adopt(heap, pool);
    heap->drained += tm_pool_drained_pages(pool);
    enter_list(heap, pool);
}

/* The caller has just got the OWNED bit of a pool that nobody owned. */
static void receive(struct tm_heap *heap, struct tm_pool *pool)
{
    tm_pool_collect(pool);
    if (tm_pool_empty(pool)) {
        tm_share_unlist(pool);
        tm_pool_give(pool);
    } else if (is_home(heap, pool)) {
        take_in(heap, pool);
    } else {
        tm_share(pool);
    }
}

/* Several threads may be freeing a live block at the same instant, and each has found it live. It
 * has its mark before the word `remote` says so: who changes that word after another has, looks
 * again and finds the mark; or the block itself in front of the list, where his own mark is there
 * already (marked). Else it would be counted out of its pool twice, which might look empty then.
 * (To exchange the mark for that of a claim notices it as well, but waits for the block's line: a
 * third more time where threads free what others allocated. Not noticed at once is a free by the
 * pool's owner, which is plain, and one into a bin, where a block counts as in use: it is when the
 * block leaves the second list.) */
static inline void look_again(const struct tm_pool *pool, const struct tm_block *block,
                              uint64_t remote, bool marked)
{
    if (tm_unlikely(marked ? tm_remote_first(pool, remote) == block
                           : !tm_pool_may_be_live(pool, block)))
        tm_misuse_no_block("free", block);
}

/* The first block that comes back to a full pool comes from the heap that filled it. False: it is
 * not so. */
static bool come_home(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block,
                      bool *marked)
{
    uint64_t seen = atomic_load_explicit(&pool->remote, memory_order_relaxed);
    if (!is_home(heap, pool) || (seen & TM_REMOTE_OWNED) != 0 || tm_remote_count(seen) != 0)
        return false;
    look_again(pool, block, seen, *marked);
    tm_block_link(block, NULL);
    *marked = true;
    if (!atomic_compare_exchange_strong_explicit(&pool->remote, &seen, TM_REMOTE_OWNED,
                                                 memory_order_acq_rel, memory_order_relaxed))
        return false;
    tm_pool_put_back(pool, block);
    take_in(heap, pool);
    if (tm_pool_empty(pool))
        surplus(heap, pool);
    return true;
}

/* Blocks wait in an owned pool. The owner takes them when he needs some of the class; here he is
 * called to look at his next free into the pool, or they would keep its pages from draining by his
 * own frees. (By the time the pool may be another one: then somebody is called for nothing.) */
static void call_owner(struct tm_pool *pool)
{
    uintptr_t owner = atomic_load_explicit(&pool->owner, memory_order_relaxed);
    if (owner != 0 && (owner & TM_OWNER_CALLED) == 0)
        atomic_compare_exchange_strong_explicit(&pool->owner, &owner, owner | TM_OWNER_CALLED,
                                                memory_order_relaxed, memory_order_relaxed);
}

/* If many wait altogether, all owners are called to look at all their pools, at the next slow path.
 */
static void call_owners(size_t bytes)
{
    if (atomic_fetch_add_explicit(&waiting, bytes, memory_order_relaxed) + bytes >
        tm_cache_budget()) {
        atomic_store_explicit(&waiting, 0, memory_order_relaxed);
        atomic_fetch_add_explicit(&tm_heap_calls, 1, memory_order_relaxed);
    }
}

/* The owner is called each time that so many wait: of a pool with more pages than that, some have
 * none waiting, and drain. */
enum { CALL_AT = 8 };

static void push_remote(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block,
                        bool marked)
{
    /* Read before the block is out of hand: then the pool may be another one at once. */
    const struct tm_class *class = &tm_classes[pool->size_class];
    bool home = is_home(heap, pool);
    uint64_t remote = atomic_load_explicit(&pool->remote, memory_order_acquire);
    uint64_t next;
    do {
        look_again(pool, block, remote, marked);
        tm_block_link(block, tm_remote_first(pool, remote));
        marked = true;
        next = tm_remote_push(remote, block);
        /* Worth looking at: the last block in use, and a quarter of what was in use when nobody
         * looked last. */
        if ((remote & TM_REMOTE_OWNED) == 0 &&
            (home || tm_remote_count(next) == tm_remote_in_use(next) ||
             tm_remote_count(next) == tm_remote_in_use(next) / 4 + 1))
            next |= TM_REMOTE_OWNED;
    } while (!atomic_compare_exchange_weak_explicit(&pool->remote, &remote, next,
                                                    memory_order_acq_rel, memory_order_acquire));
    uint32_t quarter = class->capacity / 4u + 1;
    if (((remote ^ next) & TM_REMOTE_OWNED) != 0) {
        receive(heap, pool);
    } else if ((next & TM_REMOTE_OWNED) != 0) {
        uint32_t count = tm_remote_count(next);
        if (count % CALL_AT == 0 || class->capacity <= 2 * CALL_AT)
            call_owner(pool);
        if (count == quarter)
            call_owners(class->block_size * quarter);
    }
}

static void hand_back(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block,
                      bool marked)
{
    if (!come_home(heap, pool, block, &marked))
        push_remote(heap, pool, block, marked);
}

void tm_heap_hand_back(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block)
{
    hand_back(heap, pool, block, true);
}

void tm_heap_free_remote(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block)
{
    bool nested = begin(heap);
    hand_back(heap, pool, block, false);
    if (tm_unlikely(heap->drained > heap->drained_limit && heap->id != 0))
        tm_heap_settle(heap);
    end(heap, nested);
}
