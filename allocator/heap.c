/* heap.c: what happens when a bin is empty, when a pool drains, when a block comes home from
 * another thread, when pages are to go back, and when a heap is given up. The order of the file is
 * the life of a pool.
 *
 * Who owns a pool: the heap that fills its bin from it; then nobody, once all its blocks are handed
 * out; then, when its last heap frees into it again, that heap; when another thread does, still
 * nobody, but as soon as a quarter is free it goes to the shared list of its class (share.h), where
 * any heap that needs a pool finds it. Whoever frees its last block gives it back.
 */
#include "allocator/heap.h"

#include "allocator/cache.h"
#include "allocator/os.h"
#include "allocator/share.h"

/* Busy for ever: many threads share them, and do not wait at the gate on their account. */
struct tm_heap tm_heap_none = {.busy = true}, tm_heap_gone = {.busy = true};
_Thread_local struct tm_heap *tm_heap __attribute__((tls_model("initial-exec"))) = &tm_heap_none;
_Thread_local uint32_t tm_heap_id __attribute__((tls_model("initial-exec"))) = TM_HEAP_NO_ID;
_Atomic uint32_t tm_heaps_in_use;

/* How often all heaps were asked to give back what they can, and to look what came back from other
 * threads. */
static _Atomic uint32_t trim_calls, sweep_calls;
/* Bytes that other threads handed back to owned pools, since the last call for a sweep; in steps of
 * a quarter pool. */
static _Atomic size_t waiting;

uint32_t tm_heap_trims_called(void)
{
    return atomic_load_explicit(&trim_calls, memory_order_relaxed);
}

/* A slow path begins and ends. In between nobody forks; see gate.h. What runs nested in one passes.
 */
static bool begin(struct tm_heap *heap)
{
    bool nested = atomic_load_explicit(&heap->busy, memory_order_relaxed);
    if (!nested)
        tm_gate_pass(&heap->busy);
    return nested;
}

static void end(struct tm_heap *heap, bool nested)
{
    if (!nested)
        tm_gate_leave(&heap->busy);
}

/* ---- a heap's lists ---- */

static void adopt(struct tm_heap *heap, struct tm_pool *pool)
{
    atomic_store_explicit(&pool->home, (uint16_t)heap->id, memory_order_relaxed);
    atomic_store_explicit(&pool->owner, heap->id, memory_order_relaxed);
}

static void forget_free_pages(struct tm_heap *heap, struct tm_pool *pool)
{
    heap->free_pages -= pool->free_pages;
    pool->free_pages = 0;
}

static void leave_lists(struct tm_heap *heap, struct tm_pool *pool)
{
    forget_free_pages(heap, pool);
    if (pool->link.next != NULL)
        tm_list_remove(&pool->link);
}

static void note_free_pages(struct tm_heap *heap, struct tm_pool *pool, unsigned found)
{
    heap->free_pages += found;
    /* The first of them: from the partial to the holed pools. */
    if (found != 0 && found == pool->free_pages && pool->link.next != NULL) {
        tm_list_remove(&pool->link);
        tm_list_insert(&heap->holed[pool->size_class], &pool->link);
    }
}

enum { PAGES_KEPT = 32 }; /* below this nobody computes a budget */

/* Free pages inside a heap's pools that may stay: its part of half of what may be cached
 * altogether. */
static uint32_t page_budget(void)
{
    uint32_t heaps = atomic_load_explicit(&tm_heaps_in_use, memory_order_relaxed);
    size_t pages = tm_cache_budget() / TM_PAGE / 2 / (heaps == 0 ? 1 : heaps);
    return pages < PAGES_KEPT ? PAGES_KEPT : (uint32_t)pages;
}

static unsigned purge_known(struct tm_heap *heap);
static void sweep(struct tm_heap *heap);

static void settle(struct tm_heap *heap)
{
    uint32_t sweeps = atomic_load_explicit(&sweep_calls, memory_order_relaxed);
    if (tm_unlikely(sweeps != heap->sweep_seen)) {
        heap->sweep_seen = sweeps;
        sweep(heap);
    }
    if (tm_unlikely(heap->free_pages >= PAGES_KEPT) && heap->free_pages > page_budget() &&
        !tm_os_purge_refused())
        purge_known(heap);
    uint32_t trims = tm_heap_trims_called();
    if (tm_unlikely(trims != heap->trim_seen)) {
        heap->trim_seen = trims;
        tm_heap_purge(heap);
    }
}

/* ---- a bin is empty ---- */

/* Blocks that a refill from the pool would bring. */
static uint32_t available(const struct tm_pool *pool)
{
    return pool->carved - tm_pool_in_use(pool) +
           tm_remote_count(atomic_load_explicit(&pool->remote, memory_order_relaxed));
}

/* One of the heap's partial pools. Of the first few the fullest, so that the others may drain, but
 * not one that a refill would empty at once. */
static struct tm_pool *take_partial(struct tm_heap *heap, unsigned size_class)
{
    struct tm_link *head = &heap->partial[size_class];
    if (tm_list_empty(head))
        head = &heap->holed[size_class];
    if (tm_list_empty(head))
        return NULL;
    uint32_t few = tm_classes[size_class].capacity / 16u;
    struct tm_pool *best = tm_pool_of_link(head->next);
    uint32_t best_count = available(best);
    int looks = 3;
    for (struct tm_link *link = head->next->next; link != head && looks-- > 0; link = link->next) {
        struct tm_pool *pool = tm_pool_of_link(link);
        uint32_t count = available(pool);
        if (best_count <= few ? count > best_count : count > few && count < best_count) {
            best = pool;
            best_count = count;
        }
    }
    leave_lists(heap, best);
    return best;
}

static struct tm_pool *next_pool(struct tm_heap *heap, unsigned size_class)
{
    struct tm_pool *pool = take_partial(heap, size_class);
    if (pool == NULL) {
        pool = tm_share_take(size_class);
        if (pool == NULL)
            pool = tm_pool_take(size_class);
        if (pool == NULL)
            return NULL;
        adopt(heap, pool);
    }
    heap->current[size_class] = pool;
    return pool;
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
    atomic_store_explicit(&pool->owner, heap->id, memory_order_relaxed);
    return false;
}

/* The pool has so few blocks in use and on lists that its bin would be empty again at once: one
 * more page of it pays. Not of larger blocks, which would go round through more of the processor's
 * cache than the refills cost. */
static bool wants_more(const struct tm_pool *pool)
{
    enum { FEW = 16 };
    return pool->carved < FEW && pool->uncarved != 0 && tm_pool_pages(pool) == TM_SLOT_PAGES;
}

static struct tm_block *fill_bin(struct tm_heap *heap, unsigned size_class, bool *zero)
{
    struct tm_pool *pool = heap->current[size_class];
    if (pool != NULL)
        forget_free_pages(heap, pool);
    for (;;) {
        if (pool == NULL) {
            pool = next_pool(heap, size_class);
            if (pool == NULL)
                return NULL;
        }
        if (pool->free == NULL)
            tm_pool_collect(pool);
        *zero = false;
        if (pool->free != NULL && !wants_more(pool))
            return tm_pool_take_free(pool);
        if (pool->uncarved != 0)
            return tm_pool_carve(pool, zero);
        if (leave_full(heap, pool)) {
            heap->current[size_class] = NULL;
            pool = NULL;
        }
    }
}

/* Puts a list into the bin but for its first block, which is the caller's. */
static struct tm_block *put_into_bin(struct tm_heap *heap, unsigned size_class,
                                     struct tm_block *list, bool zero)
{
    heap->bin[size_class] = list->next;
    heap->bin_zero[size_class] = zero;
    return list;
}

static struct tm_block *refill_slow(struct tm_heap *heap, unsigned size_class, bool *zero)
{
    bool nested = begin(heap);
    struct tm_block *block = fill_bin(heap, size_class, zero);
    if (block != NULL)
        put_into_bin(heap, size_class, block, *zero);
    settle(heap);
    end(heap, nested);
    return block;
}

struct tm_block *tm_heap_refill(struct tm_heap *heap, unsigned size_class, bool *zero)
{
    /* The usual case, short: what was freed since the last refill. */
    struct tm_pool *pool = heap->current[size_class];
    if (tm_unlikely(pool == NULL || pool->free == NULL || wants_more(pool) ||
                    heap->trim_seen != tm_heap_trims_called()))
        return refill_slow(heap, size_class, zero);
    bool nested = begin(heap);
    *zero = false;
    struct tm_block *block = put_into_bin(heap, size_class, tm_pool_take_free(pool), false);
    end(heap, nested);
    return block;
}

/* ---- a pool drains ---- */

/* Looks after a partial or holed pool: takes in what came back, gives it back if nothing is in use,
 * else finds the pages that became free. */
static void tend(struct tm_heap *heap, struct tm_pool *pool)
{
    tm_pool_collect(pool);
    if (tm_pool_in_use(pool) == 0) {
        leave_lists(heap, pool);
        tm_pool_give(pool);
    } else {
        note_free_pages(heap, pool, tm_pool_look(pool));
        tm_pool_attend(pool, tm_pool_in_use(pool), tm_pool_frees_to_page(pool));
    }
}

static void tend_list(struct tm_heap *heap, struct tm_link *head)
{
    if (tm_list_empty(head))
        return;
    for (struct tm_link *link = head->next, *next; link != head; link = next) {
        next = link->next;
        tend(heap, tm_pool_of_link(link));
    }
}

/* Tends all pools but the current ones. (A holed pool that a partial one has become meanwhile is
 * tended twice.) */
static void sweep(struct tm_heap *heap)
{
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++) {
        tend_list(heap, &heap->partial[size_class]);
        tend_list(heap, &heap->holed[size_class]);
    }
}

void tm_heap_attention(struct tm_pool *pool)
{
    struct tm_heap *heap = tm_heap;
    bool nested = begin(heap);
    tend(heap, pool);
    settle(heap);
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

/* The caller has just got the OWNED bit of a pool that nobody owned. */
static void receive(struct tm_heap *heap, struct tm_pool *pool)
{
    tm_pool_collect(pool);
    if (tm_pool_in_use(pool) == 0) {
        tm_share_unlist(pool);
        tm_pool_give(pool);
    } else if (is_home(heap, pool)) {
        tm_share_unlist(pool);
        adopt(heap, pool);
        tm_list_insert(&heap->partial[pool->size_class], &pool->link);
        tend(heap, pool);
    } else {
        tm_share(pool);
    }
}

/* An owned pool has blocks waiting for its owner, who looks when he needs some. If many wait
 * altogether, he is called. */
static void call_owners(size_t bytes)
{
    if (atomic_fetch_add_explicit(&waiting, bytes, memory_order_relaxed) + bytes >
        tm_cache_budget()) {
        atomic_store_explicit(&waiting, 0, memory_order_relaxed);
        atomic_fetch_add_explicit(&sweep_calls, 1, memory_order_relaxed);
    }
}

static void push_remote(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block)
{
    /* Read before the block is out of hand: then the pool may be another one at once. */
    const struct tm_class *class = &tm_classes[pool->size_class];
    bool home = is_home(heap, pool);
    uint64_t remote = atomic_load_explicit(&pool->remote, memory_order_acquire);
    uint64_t next;
    do {
        block->next = tm_remote_first(pool, remote);
        next = tm_remote_push(pool, remote, block);
        /* Worth looking at: the last block in use, and a quarter of what was in use when nobody
         * looked last. */
        if ((remote & TM_REMOTE_OWNED) == 0 &&
            (home || tm_remote_count(next) == tm_remote_in_use(next) ||
             tm_remote_count(next) == tm_remote_in_use(next) / 4 + 1))
            next |= TM_REMOTE_OWNED;
    } while (!atomic_compare_exchange_weak_explicit(&pool->remote, &remote, next,
                                                    memory_order_acq_rel, memory_order_acquire));
    uint32_t quarter = class->capacity / 4u + 1;
    if (((remote ^ next) & TM_REMOTE_OWNED) != 0)
        receive(heap, pool);
    else if ((next & TM_REMOTE_OWNED) != 0 && tm_remote_count(next) == quarter)
        call_owners(class->block_size * quarter);
}

void tm_heap_free_remote(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block)
{
    bool nested = begin(heap);
    push_remote(heap, pool, block);
    end(heap, nested);
}

/* ---- pages go back ---- */

/* Takes the current pool's blocks out of the bin. Gives the pool back if none is in use. */
static void empty_bin(struct tm_heap *heap, unsigned size_class)
{
    struct tm_pool *pool = heap->current[size_class];
    if (pool == NULL)
        return;
    tm_pool_put_back(pool, heap->bin[size_class]);
    heap->bin[size_class] = NULL;
    tm_pool_collect(pool);
    if (tm_pool_in_use(pool) == 0) {
        leave_lists(heap, pool);
        heap->current[size_class] = NULL;
        tm_pool_give(pool);
    }
}

static unsigned purge_pool(struct tm_heap *heap, struct tm_pool *pool)
{
    forget_free_pages(heap, pool);
    return tm_pool_purge(pool);
}

/* Purges the holed pools of a class, which are partial ones then. */
static unsigned purge_holed(struct tm_heap *heap, unsigned size_class)
{
    unsigned went = 0;
    struct tm_link *head = &heap->holed[size_class];
    while (!tm_list_empty(head)) {
        struct tm_pool *pool = tm_pool_of_link(head->next);
        went += purge_pool(heap, pool);
        tm_list_remove(&pool->link);
        tm_list_insert(&heap->partial[size_class], &pool->link);
    }
    return went;
}

/* Purges what is known to be free. Returns how many pages went. */
static unsigned purge_known(struct tm_heap *heap)
{
    unsigned went = 0;
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++) {
        empty_bin(heap, size_class);
        if (heap->current[size_class] != NULL)
            went += purge_pool(heap, heap->current[size_class]);
        went += purge_holed(heap, size_class);
    }
    return went;
}

bool tm_heap_purge(struct tm_heap *heap)
{
    bool nested = begin(heap);
    sweep(heap);
    bool went = purge_known(heap) != 0;
    went |= tm_share_purge();
    end(heap, nested);
    return went;
}

void tm_heap_call_for_trim(void)
{
    atomic_fetch_add_explicit(&trim_calls, 1, memory_order_relaxed);
}

/* ---- a heap is given up ---- */

/* Calls leave() for each pool that the heap owns, which is to take it out of the heap's lists. */
static void leave_all(struct tm_heap *heap,
                      void (*leave)(struct tm_heap *heap, struct tm_pool *pool))
{
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++) {
        struct tm_pool *pool = heap->current[size_class];
        heap->current[size_class] = NULL;
        if (pool != NULL)
            leave(heap, pool);
        while (!tm_list_empty(&heap->partial[size_class]))
            leave(heap, tm_pool_of_link(heap->partial[size_class].next));
        while (!tm_list_empty(&heap->holed[size_class]))
            leave(heap, tm_pool_of_link(heap->holed[size_class].next));
    }
}

/* Leaves a pool to whoever needs one of its class. */
static void abandon(struct tm_heap *heap, struct tm_pool *pool)
{
    leave_lists(heap, pool);
    tm_pool_collect(pool);
    if (tm_pool_in_use(pool) == 0) {
        tm_pool_give(pool);
        return;
    }
    tm_pool_purge(pool);
    atomic_store_explicit(&pool->owner, 0, memory_order_relaxed);
    tm_share(pool);
}

void tm_heap_wind_up(struct tm_heap *heap)
{
    bool nested = begin(heap);
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++)
        empty_bin(heap, size_class);
    leave_all(heap, abandon);
    end(heap, nested);
}

/* Which of the pool's carved blocks are free cannot be told: they count as in use. Those that are
 * get freed like any others; the rest is lost to the child. */
static void inherit(struct tm_heap *heap, struct tm_pool *pool)
{
    leave_lists(heap, pool);
    tm_pool_lose_free(pool);
    tm_pool_collect(pool);
    atomic_store_explicit(&pool->owner, 0, memory_order_relaxed);
    uint32_t in_use = tm_pool_in_use(pool);
    if (in_use != 0 && (pool->free != NULL || pool->uncarved != 0))
        tm_share(pool);
    else if (in_use == 0 || !tm_share_disown(pool))
        tm_pool_give(pool);
}

void tm_heap_inherit(struct tm_heap *heap)
{
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++)
        heap->bin[size_class] = NULL;
    leave_all(heap, inherit);
}
