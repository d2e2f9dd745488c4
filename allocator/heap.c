/* heap.c: what happens when a bin is empty, when a pool drains, when a block comes home from
 * another thread, when pages are to go back, and when a thread ends. The order of the file is the
 * life of a pool.
 *
 * Who owns a pool: the heap that fills its bin from it; then nobody, once all its blocks are handed
 * out; then, when its last heap frees into it again, that heap; when another thread does, still
 * nobody, but as soon as a quarter is free it goes to the shared list of its class, where any heap
 * that needs a pool finds it. Whoever frees its last block gives it back.
 */
#include "allocator/heap.h"

#include "allocator/arena.h"
#include "allocator/cache.h"
#include "allocator/os.h"
#include "allocator/tidemark_alloc.h"

struct tm_heap tm_heap_none, tm_heap_gone;
_Thread_local struct tm_heap *tm_heap __attribute__((tls_model("initial-exec"))) = &tm_heap_none;
_Thread_local uint32_t tm_heap_id __attribute__((tls_model("initial-exec"))) = TM_HEAP_NO_ID;

_Atomic(struct tm_heap *) tm_heaps;
_Atomic uint32_t tm_heaps_in_use;
_Atomic uint64_t tm_heap_metadata_bytes;
struct tm_heap_stretch *tm_heap_stretches;
void (*tm_on_thread_heap)(void);

/* Guards the list of spare heaps and the memory that new ones are cut from. */
static struct tm_lock register_lock;
static struct tm_heap *spare_heaps;
static char *heap_memory, *heap_memory_end;
static uint32_t last_heap_id;

/* Ownerless pools with free blocks, by class. `OWNED` of a listed pool is set by whoever is about
 * to unlist it. */
static struct {
    struct tm_lock lock;
    struct tm_link pools;
    _Atomic uint32_t count; /* read without the lock to see whether it pays to look */
} shared[TM_CLASSES];

/* Serves the threads that are past their heap's end, one at a time. */
static struct tm_lock gone_lock;
static struct tm_heap *heap_of_the_gone;

static _Atomic uint32_t trim_calls;

static uint32_t trims_called(void)
{
    return atomic_load_explicit(&trim_calls, memory_order_relaxed);
}

static struct tm_pool *pool_of_link(struct tm_link *link)
{
    return (struct tm_pool *)((char *)link - offsetof(struct tm_pool, link));
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

/* ---- heaps ---- */

/* Memory for one more heap; NULL: there is none. Under register_lock. */
static struct tm_heap *cut_heap(void)
{
    size_t size = tm_round_up(sizeof(struct tm_heap), 64);
    if ((size_t)(heap_memory_end - heap_memory) < size) {
        struct tm_heap_stretch *stretch = tm_os_map(TM_HEAP_STRETCH);
        if (stretch == NULL)
            return NULL;
        stretch->next = tm_heap_stretches;
        tm_heap_stretches = stretch;
        heap_memory = (char *)stretch + 64;
        heap_memory_end = (char *)stretch + TM_HEAP_STRETCH;
        atomic_fetch_add_explicit(&tm_heap_metadata_bytes, TM_HEAP_STRETCH, memory_order_relaxed);
    }
    struct tm_heap *heap = (struct tm_heap *)heap_memory;
    heap_memory += size;
    heap->id = ++last_heap_id;
    heap->next = atomic_load_explicit(&tm_heaps, memory_order_relaxed);
    atomic_store_explicit(&tm_heaps, heap, memory_order_release);
    return heap;
}

static struct tm_heap *new_heap(void)
{
    tm_lock(&register_lock);
    struct tm_heap *heap = spare_heaps;
    if (heap != NULL)
        spare_heaps = heap->next_spare;
    else
        heap = cut_heap();
    if (heap != NULL) {
        heap->in_use = true;
        heap->trim_seen = trims_called();
        atomic_fetch_add_explicit(&tm_heaps_in_use, 1, memory_order_relaxed);
    }
    tm_unlock(&register_lock);
    return heap;
}

static void retire_heap(struct tm_heap *heap)
{
    tm_lock(&register_lock);
    heap->in_use = false;
    heap->next_spare = spare_heaps;
    spare_heaps = heap;
    atomic_fetch_sub_explicit(&tm_heaps_in_use, 1, memory_order_relaxed);
    tm_unlock(&register_lock);
}

/* ---- ownership ---- */

static void adopt(struct tm_heap *heap, struct tm_pool *pool)
{
    atomic_store_explicit(&pool->home, (uint16_t)heap->id, memory_order_relaxed);
    atomic_store_explicit(&pool->owner, heap->id, memory_order_relaxed);
}

/* Gives the OWNED bit up. False if all blocks in use came back meanwhile: then the caller still has
 * it. */
static bool disown(struct tm_pool *pool)
{
    for (;;) {
        uint64_t in_use = (uint64_t)tm_pool_in_use(pool) << 32;
        uint64_t seen = TM_REMOTE_OWNED;
        if (atomic_compare_exchange_strong_explicit(&pool->remote, &seen, in_use,
                                                    memory_order_release, memory_order_relaxed))
            return true;
        tm_pool_collect(pool);
        if (tm_pool_in_use(pool) == 0)
            return false;
    }
}

static void unlist(struct tm_pool *pool)
{
    unsigned size_class = pool->size_class;
    tm_lock(&shared[size_class].lock);
    if (pool->listed) {
        pool->listed = false;
        tm_list_remove(&pool->link);
        atomic_fetch_sub_explicit(&shared[size_class].count, 1, memory_order_relaxed);
    }
    tm_unlock(&shared[size_class].lock);
}

/* Puts a pool into the shared list and gives it up, or gives it back if it drained. */
static void share(struct tm_pool *pool)
{
    unsigned size_class = pool->size_class;
    tm_lock(&shared[size_class].lock);
    if (!pool->listed) {
        pool->listed = true;
        tm_list_insert(&shared[size_class].pools, &pool->link);
        atomic_fetch_add_explicit(&shared[size_class].count, 1, memory_order_relaxed);
    }
    tm_unlock(&shared[size_class].lock);
    if (!disown(pool)) {
        unlist(pool);
        tm_pool_give(pool);
    }
}

/* A pool out of the shared list, owned by nobody but the caller; NULL: there is none. */
static struct tm_pool *take_shared(unsigned size_class)
{
    if (atomic_load_explicit(&shared[size_class].count, memory_order_relaxed) == 0)
        return NULL;
    struct tm_pool *found = NULL;
    tm_lock(&shared[size_class].lock);
    struct tm_link *head = &shared[size_class].pools;
    struct tm_link *link = tm_list_empty(head) ? head : head->next;
    for (; link != head && found == NULL; link = link->next) {
        struct tm_pool *pool = pool_of_link(link);
        uint64_t before =
            atomic_fetch_or_explicit(&pool->remote, TM_REMOTE_OWNED, memory_order_acquire);
        /* Else somebody is about to unlist it. */
        if ((before & TM_REMOTE_OWNED) == 0)
            found = pool;
    }
    if (found != NULL) {
        found->listed = false;
        tm_list_remove(&found->link);
        atomic_fetch_sub_explicit(&shared[size_class].count, 1, memory_order_relaxed);
    }
    tm_unlock(&shared[size_class].lock);
    return found;
}

/* ---- a heap's lists ---- */

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

static void settle(struct tm_heap *heap)
{
    if (tm_unlikely(heap->free_pages >= PAGES_KEPT) && heap->free_pages > page_budget() &&
        !tm_os_purge_refused())
        tm_heap_purge(heap);
    uint32_t calls = trims_called();
    if (tm_unlikely(calls != heap->trim_seen)) {
        heap->trim_seen = calls;
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
    struct tm_pool *best = NULL;
    uint32_t best_count = 0;
    int looks = 4;
    for (struct tm_link *link = head->next; link != head && looks-- > 0; link = link->next) {
        struct tm_pool *pool = pool_of_link(link);
        uint32_t count = available(pool);
        if (best == NULL ||
            (best_count <= few ? count > best_count : count > few && count < best_count)) {
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
        pool = take_shared(size_class);
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
        if (pool->free != NULL)
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

static struct tm_block *refill(struct tm_heap *heap, unsigned size_class, bool *zero)
{
    bool nested = begin(heap);
    struct tm_block *block = fill_bin(heap, size_class, zero);
    if (block != NULL)
        put_into_bin(heap, size_class, block, *zero);
    settle(heap);
    end(heap, nested);
    return block;
}

/* For threads whose heap is gone: frees still come after the last destructor, and so do requests.
 */
static struct tm_block *refill_for_the_gone(unsigned size_class, bool *zero)
{
    tm_lock(&gone_lock);
    if (heap_of_the_gone == NULL) {
        heap_of_the_gone = new_heap();
        /* Busy for ever: it does not wait at the gate, where gone_lock serves. */
        if (heap_of_the_gone != NULL)
            atomic_store_explicit(&heap_of_the_gone->busy, true, memory_order_relaxed);
    }
    struct tm_block *block = NULL;
    if (heap_of_the_gone != NULL) {
        block = heap_of_the_gone->bin[size_class];
        if (block != NULL)
            heap_of_the_gone->bin[size_class] = block->next;
        else
            block = refill(heap_of_the_gone, size_class, zero);
    }
    *zero = false;
    tm_unlock(&gone_lock);
    return block;
}

static struct tm_block *first_refill(unsigned size_class, bool *zero)
{
    struct tm_heap *heap = new_heap();
    if (heap == NULL)
        return NULL;
    tm_heap = heap;
    tm_heap_id = heap->id;
    struct tm_block *block = refill(heap, size_class, zero);
    /* May allocate itself; the heap is in place. */
    if (tm_on_thread_heap != NULL)
        tm_on_thread_heap();
    return block;
}

struct tm_block *tm_heap_refill(struct tm_heap *heap, unsigned size_class, bool *zero)
{
    /* The usual case, short: what was freed since the last refill. */
    struct tm_pool *pool = heap->current[size_class];
    if (tm_likely(pool != NULL && pool->free != NULL && heap->trim_seen == trims_called())) {
        bool nested = begin(heap);
        *zero = false;
        struct tm_block *block = put_into_bin(heap, size_class, tm_pool_take_free(pool), false);
        end(heap, nested);
        return block;
    }
    if (tm_likely(heap->id != 0))
        return refill(heap, size_class, zero);
    return heap == &tm_heap_gone ? refill_for_the_gone(size_class, zero)
                                 : first_refill(size_class, zero);
}

/* ---- a pool drains ---- */

void tm_heap_attention(struct tm_pool *pool)
{
    struct tm_heap *heap = tm_heap;
    bool nested = begin(heap);
    uint32_t in_use = pool->floor;
    if (in_use != 0) {
        note_free_pages(heap, pool, tm_pool_look(pool));
        tm_pool_attend(pool, in_use, tm_classes[pool->size_class].step);
    } else {
        leave_lists(heap, pool);
        tm_pool_give(pool);
    }
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
        unlist(pool);
        tm_pool_give(pool);
    } else if (is_home(heap, pool)) {
        unlist(pool);
        adopt(heap, pool);
        tm_list_insert(&heap->partial[pool->size_class], &pool->link);
        note_free_pages(heap, pool, tm_pool_look(pool));
        tm_pool_attend(pool, tm_pool_in_use(pool), tm_classes[pool->size_class].step);
    } else {
        share(pool);
    }
}

static void push_remote(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block)
{
    bool home = is_home(heap, pool);
    uint32_t worth_sharing = tm_classes[pool->size_class].capacity / 4u + 1;
    uint64_t remote = atomic_load_explicit(&pool->remote, memory_order_acquire);
    uint64_t next;
    do {
        block->next = tm_remote_first(pool, remote);
        next = tm_remote_push(pool, remote, block);
        if ((remote & TM_REMOTE_OWNED) == 0 &&
            (home || tm_remote_count(next) == tm_remote_in_use(next) ||
             tm_remote_count(next) == worth_sharing))
            next |= TM_REMOTE_OWNED;
    } while (!atomic_compare_exchange_weak_explicit(&pool->remote, &remote, next,
                                                    memory_order_acq_rel, memory_order_acquire));
    if (((remote ^ next) & TM_REMOTE_OWNED) != 0)
        receive(heap, pool);
}

void tm_heap_free_remote(struct tm_pool *pool, struct tm_block *block)
{
    struct tm_heap *heap = tm_heap;
    if (tm_likely(heap->id != 0)) {
        bool nested = begin(heap);
        push_remote(heap, pool, block);
        end(heap, nested);
    } else {
        /* The empty heaps have no gate of their own: the lock is what a forking thread takes. */
        tm_lock(&gone_lock);
        push_remote(heap, pool, block);
        tm_unlock(&gone_lock);
    }
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
        struct tm_pool *pool = pool_of_link(head->next);
        went += purge_pool(heap, pool);
        tm_list_remove(&pool->link);
        tm_list_insert(&heap->partial[size_class], &pool->link);
    }
    return went;
}

bool tm_heap_purge(struct tm_heap *heap)
{
    if (heap->id == 0)
        return false;
    bool nested = begin(heap);
    unsigned went = 0;
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++) {
        empty_bin(heap, size_class);
        if (heap->current[size_class] != NULL)
            went += purge_pool(heap, heap->current[size_class]);
        went += purge_holed(heap, size_class);
    }
    end(heap, nested);
    return went != 0;
}

void tm_heap_call_for_trim(void)
{
    atomic_fetch_add_explicit(&trim_calls, 1, memory_order_relaxed);
}

/* ---- a thread ends ---- */

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
    share(pool);
}

void tm_heap_thread_exit(void)
{
    struct tm_heap *heap = tm_heap;
    if (heap->id == 0)
        return;
    bool nested = begin(heap);
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++) {
        empty_bin(heap, size_class);
        if (heap->current[size_class] != NULL)
            abandon(heap, heap->current[size_class]);
        heap->current[size_class] = NULL;
        while (!tm_list_empty(&heap->partial[size_class]))
            abandon(heap, pool_of_link(heap->partial[size_class].next));
        while (!tm_list_empty(&heap->holed[size_class]))
            abandon(heap, pool_of_link(heap->holed[size_class].next));
    }
    tm_heap = &tm_heap_gone;
    tm_heap_id = TM_HEAP_NO_ID;
    end(heap, nested);
    retire_heap(heap);
}

/* ---- fork ---- */

void tm_heap_lock_all(void)
{
    tm_lock(&gone_lock);
    tm_lock(&register_lock);
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++)
        tm_lock(&shared[size_class].lock);
}

void tm_heap_unlock_all(void)
{
    for (unsigned size_class = TM_CLASSES; size_class-- > 0;)
        tm_unlock(&shared[size_class].lock);
    tm_unlock(&register_lock);
    tm_unlock(&gone_lock);
}

void tm_heap_reset_locks(void)
{
    tm_lock_reset(&gone_lock);
    tm_lock_reset(&register_lock);
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++)
        tm_lock_reset(&shared[size_class].lock);
}

void tm_heap_wait_idle(void)
{
    for (struct tm_heap *heap = atomic_load_explicit(&tm_heaps, memory_order_acquire); heap != NULL;
         heap = heap->next) {
        heap->lost = false;
        if (heap == tm_heap || heap == heap_of_the_gone)
            continue;
        /* A slow path is over in microseconds, or milliseconds while the kernel purges. A thread
         * that was ended in the middle of one would never leave it. */
        enum { TRIES = 20000 };
        int tries = 0;
        while (atomic_load_explicit(&heap->busy, memory_order_seq_cst) && tries++ < TRIES) {
            static _Atomic int nothing;
            if (tries > 100)
                tm_os_wait_at_most(&nothing, 0, 50000);
        }
        heap->lost = tries > TRIES;
    }
}

/* A pool of a thread that the child does not have. Which of its carved blocks are free cannot be
 * told, as the fast paths ran on during the fork: they count as in use. Those that are get freed
 * like any others; the rest is lost to the child. */
static void inherit(struct tm_heap *heap, struct tm_pool *pool)
{
    leave_lists(heap, pool);
    tm_pool_lose_free(pool);
    tm_pool_collect(pool);
    atomic_store_explicit(&pool->owner, 0, memory_order_relaxed);
    if (pool->free != NULL || pool->uncarved != 0)
        share(pool);
    else if (!disown(pool))
        tm_pool_give(pool);
}

void tm_heap_fork_child(void)
{
    struct tm_heap *heap = atomic_load_explicit(&tm_heaps, memory_order_relaxed);
    for (; heap != NULL; heap = heap->next) {
        if (!heap->in_use || heap->lost || heap == tm_heap || heap == heap_of_the_gone)
            continue;
        for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++) {
            heap->bin[size_class] = NULL;
            if (heap->current[size_class] != NULL)
                inherit(heap, heap->current[size_class]);
            heap->current[size_class] = NULL;
            while (!tm_list_empty(&heap->partial[size_class]))
                inherit(heap, pool_of_link(heap->partial[size_class].next));
            while (!tm_list_empty(&heap->holed[size_class]))
                inherit(heap, pool_of_link(heap->holed[size_class].next));
        }
        retire_heap(heap);
    }
}
