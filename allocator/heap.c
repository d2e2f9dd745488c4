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

#include <string.h>

#include "allocator/arena.h"
#include "allocator/bounce.h"
#include "allocator/cache.h"
#include "allocator/kept.h"
#include "allocator/large.h"
#include "allocator/os.h"
#include "allocator/share.h"

/* Busy for ever: many threads share them, and do not wait at the gate on their account. */
struct tm_heap tm_heap_none = {.busy = true}, tm_heap_gone = {.busy = true};
_Thread_local struct tm_heap *tm_heap __attribute__((tls_model("initial-exec"))) = &tm_heap_none;
_Atomic uint32_t tm_heaps_in_use;

/* How often all heaps were asked for anything; of that, to give back what they can, and to look
 * what came back from other threads. */
static _Atomic uint32_t calls, trim_calls;
/* Bytes that other threads handed back to owned pools, since the last call for a sweep; in steps of
 * a quarter pool. */
static _Atomic size_t waiting;

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

static void own(const struct tm_heap *heap, struct tm_pool *pool)
{
    bool warm = tm_classes[pool->size_class].warm != 0;
    atomic_store_explicit(&pool->owner, heap->owner | (warm ? TM_OWNER_WARM : 0),
                          memory_order_relaxed);
}

static void adopt(struct tm_heap *heap, struct tm_pool *pool)
{
    atomic_store_explicit(&pool->home, (uint16_t)heap->id, memory_order_relaxed);
    own(heap, pool);
}

/* The pool is none of the heap's any more, or has no drained pages. */
static void discount(struct tm_heap *heap, const struct tm_pool *pool)
{
    heap->drained -= tm_pool_drained_pages(pool);
}

static void leave_list(struct tm_pool *pool)
{
    if (pool->place != TM_PLACE_NONE) {
        tm_list_remove(&pool->link);
        pool->place = TM_PLACE_NONE;
    }
}

/* Puts a pool into the list that it belongs to. One of large blocks is among the holed ones at
 * once: there is hardly a free that does not drain a page of it. */
static void enter_list(struct tm_heap *heap, struct tm_pool *pool)
{
    enum { LARGE = 2048 };
    bool holed = pool->drained != 0 || tm_classes[pool->size_class].block_size >= LARGE;
    pool->place = holed ? TM_PLACE_HOLED : TM_PLACE_PARTIAL;
    tm_list_append(holed ? &heap->holed[pool->size_class] : &heap->partial[pool->size_class],
                   &pool->link);
}

/* Gives a pool back of which no block is in use. */
static void give(struct tm_heap *heap, struct tm_pool *pool)
{
    leave_list(pool);
    discount(heap, pool);
    tm_pool_give(pool);
}

/* The heap's lists have no other pool of its class. */
static bool only_one(const struct tm_heap *heap, const struct tm_pool *pool)
{
    const struct tm_link *partial = &heap->partial[pool->size_class];
    const struct tm_link *holed = &heap->holed[pool->size_class];
    return (tm_list_empty(partial) ||
            (partial->next == &pool->link && pool->link.next == partial)) &&
           (tm_list_empty(holed) || (holed->next == &pool->link && pool->link.next == holed));
}

/* ---- how much may be held ---- */

enum { PAGES_KEPT = 32, QUICK_REFILLS = 64 };

/* Drained pages that a heap may hold: its part of half of what may be held altogether, and what
 * bounces. */
static uint32_t page_budget(void)
{
    uint32_t heaps = atomic_load_explicit(&tm_heaps_in_use, memory_order_relaxed);
    size_t pages = tm_cache_budget() / TM_PAGE / 2 / (heaps == 0 ? 1 : heaps);
    pages = (pages < PAGES_KEPT ? PAGES_KEPT : pages) + tm_cache_bonus() / TM_PAGE;
    return pages > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)pages;
}

static void tell_drained(struct tm_heap *heap)
{
    int64_t more = (int64_t)heap->drained - heap->drained_told;
    heap->drained_told = heap->drained;
    atomic_fetch_add_explicit(&tm_drained_bytes, (uint64_t)(more * (int64_t)TM_PAGE),
                              memory_order_relaxed);
}

/* More than the budget is held: whether that still pays is to be seen, now and then. */
static void look_at_bonus(struct tm_heap *heap)
{
    enum { EVERY_MS = 50 };
    uint64_t now = tm_bounce_now_ms();
    if (now - heap->looked_ms < EVERY_MS)
        return;
    heap->looked_ms = now;
    tell_drained(heap);
    tm_arena_settle();
    tm_large_settle();
    heap->drained_limit = page_budget();
}

static void purge_to(struct tm_heap *heap, uint32_t pages);
static void sweep(struct tm_heap *heap);
static bool purge_all(struct tm_heap *heap);

/* At the end of a slow path: whatever is due. */
static void settle(struct tm_heap *heap)
{
    heap->quick_left = QUICK_REFILLS;
    enum { WORTH_TELLING = 256 };
    if (tm_unlikely(heap->drained - heap->drained_told + WORTH_TELLING > 2 * WORTH_TELLING))
        tell_drained(heap);
    if (tm_unlikely(tm_cache_bonus() != 0 ||
                    atomic_load_explicit(&tm_kept_bytes, memory_order_relaxed) != 0))
        look_at_bonus(heap);
    if (tm_unlikely(heap->drained > heap->drained_limit)) {
        heap->drained_limit = page_budget();
        /* A quarter below it, so that the next free does not come here again. */
        if (heap->drained > heap->drained_limit && !tm_os_purge_refused())
            purge_to(heap, heap->drained_limit - heap->drained_limit / 4);
    }
    uint32_t now = atomic_load_explicit(&calls, memory_order_relaxed);
    if (tm_likely(now == heap->calls_seen))
        return;
    heap->calls_seen = now;
    uint32_t trims = atomic_load_explicit(&trim_calls, memory_order_relaxed);
    if (trims != heap->trim_seen) {
        heap->trim_seen = trims;
        purge_all(heap);
    } else {
        sweep(heap);
    }
}

void tm_heap_begin(struct tm_heap *heap, uintptr_t owner)
{
    memcpy(heap->class_of, tm_class_direct, sizeof heap->class_of);
    heap->owner = owner;
    heap->drained_limit = PAGES_KEPT;
    heap->quick_left = QUICK_REFILLS;
    heap->calls_seen = atomic_load_explicit(&calls, memory_order_relaxed);
    heap->trim_seen = atomic_load_explicit(&trim_calls, memory_order_relaxed);
}

/* ---- a bin is empty ---- */

/* Blocks that a refill from the pool would bring, or fewer; 0: none would come. */
static uint32_t available(const struct tm_pool *pool)
{
    return (pool->uncarved != 0) + tm_pool_sum(pool->drawn) - tm_pool_in_use(pool) +
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
        if (pool == NULL)
            pool = tm_pool_take(size_class);
        if (pool == NULL)
            return NULL;
        adopt(heap, pool);
    }
    heap->current[size_class] = pool;
    return pool;
}

/* Blocks of the pool for a bin; NULL: it has none. */
static struct tm_block *draw(struct tm_pool *pool, bool *zero)
{
    *zero = false;
    struct tm_block *list = NULL;
    if (pool->free != NULL && !pool->thin)
        list = tm_pool_take_free(pool);
    if (list == NULL && pool->sifted_pages != 0)
        list = tm_pool_take_sifted(pool);
    if (list == NULL)
        list = tm_pool_take_remote(pool);
    if (list == NULL && pool->uncarved != 0)
        list = tm_pool_carve(pool, zero);
    return list;
}

/* From here on it is looked at how far the bin grows. */
static void set_level(struct tm_heap *heap, unsigned size_class)
{
    heap->level[size_class] = heap->bin[size_class];
    heap->room[size_class] = tm_classes[size_class].warm;
}

/* Takes the first block of a list and puts the others into the bin. */
static struct tm_block *put_into_bin(struct tm_heap *heap, unsigned size_class,
                                     struct tm_block *list, bool zero)
{
    heap->bin[size_class] = list->next;
    heap->bin_zero[size_class] = zero;
    set_level(heap, size_class);
    heap->grown[size_class] = 0;
    return list;
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
        struct tm_block *list = draw(pool, zero);
        if (list != NULL) {
            heap->drained += tm_pool_drained_pages(pool);
            if (tm_unlikely(pool->came_back != 0)) {
                tm_cache_pool_pages_back(pool->came_back);
                pool->came_back = 0;
            }
            return put_into_bin(heap, size_class, list, *zero);
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
    struct tm_block *block = fill_bin(heap, size_class, zero);
    settle(heap);
    end(heap, nested);
    return block;
}

struct tm_block *tm_heap_refill(struct tm_heap *heap, unsigned size_class, bool *zero)
{
    /* The usual case, short: what was freed since the last refill. */
    struct tm_pool *pool = heap->current[size_class];
    if (tm_unlikely(pool == NULL || pool->free == NULL || pool->thin || heap->quick_left == 0 ||
                    atomic_load_explicit(&heap->busy, memory_order_relaxed) ||
                    heap->calls_seen != atomic_load_explicit(&calls, memory_order_relaxed)))
        return refill_slow(heap, size_class, zero);
    tm_gate_pass(&heap->busy);
    heap->quick_left--;
    uint16_t reused = pool->drained & (uint16_t)~pool->uncarved;
    if (reused != 0)
        heap->drained -= tm_count16(reused) * tm_classes[size_class].pages_per_start;
    *zero = false;
    struct tm_block *block = put_into_bin(heap, size_class, tm_pool_take_free(pool), false);
    tm_gate_leave(&heap->busy);
    return block;
}

/* ---- a pool drains ---- */

/* A pool in one of the lists of which no block is in use. One of a class may stay for the next
 * request, if the heap may hold its pages. */
static void surplus(struct tm_heap *heap, struct tm_pool *pool)
{
    if (!only_one(heap, pool))
        give(heap, pool);
}

/* Looks after a pool that the heap owns: takes in what came back, puts it where it belongs. */
static void tend(struct tm_heap *heap, struct tm_pool *pool)
{
    discount(heap, pool);
    tm_pool_collect(pool);
    heap->drained += tm_pool_drained_pages(pool);
    if (pool->place == TM_PLACE_PARTIAL && pool->drained != 0) {
        leave_list(pool);
        enter_list(heap, pool);
    }
    if (pool->place != TM_PLACE_NONE && tm_pool_empty(pool))
        surplus(heap, pool);
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

static __attribute__((noinline)) void drained_slow(struct tm_heap *heap, struct tm_pool *pool)
{
    bool nested = begin(heap);
    tend(heap, pool);
    /* The budget falls with what is in use, which only a drained pool tells. */
    heap->drained_limit = page_budget();
    settle(heap);
    end(heap, nested);
}

void tm_heap_drained(const struct tm_block *block)
{
    struct tm_heap *heap = tm_heap;
    struct tm_pool *pool = tm_pool_slot(block);
    pool->drained |= (uint16_t)(1u << tm_pool_page(block));
    heap->drained += tm_classes[pool->size_class].pages_per_start;
    if (tm_unlikely(heap->drained > heap->drained_limit))
        drained_slow(heap, pool);
    else if (pool->place != TM_PLACE_NONE &&
             (pool->place == TM_PLACE_PARTIAL || tm_pool_empty(pool) ||
              atomic_load_explicit(&pool->remote, memory_order_relaxed) != TM_REMOTE_OWNED))
        drained_slow(heap, pool);
}

void tm_heap_called(struct tm_pool *pool)
{
    struct tm_heap *heap = tm_heap;
    bool nested = begin(heap);
    own(heap, pool);
    tend(heap, pool);
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

/* The first block that comes back to a full pool comes from the heap that filled it. False: it is
 * not so. */
static bool come_home(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block)
{
    uint64_t seen = atomic_load_explicit(&pool->remote, memory_order_relaxed);
    if (!is_home(heap, pool) || (seen & TM_REMOTE_OWNED) != 0 || tm_remote_count(seen) != 0 ||
        !atomic_compare_exchange_strong_explicit(&pool->remote, &seen, TM_REMOTE_OWNED,
                                                 memory_order_acquire, memory_order_relaxed))
        return false;
    block->next = NULL;
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
        atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    }
}

/* The owner is called each time that so many wait: of a pool with more pages than that, some have
 * none waiting, and drain. */
enum { CALL_AT = 8 };

static void push_remote(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block)
{
    /* Read before the block is out of hand: then the pool may be another one at once. */
    const struct tm_class *class = &tm_classes[pool->size_class];
    bool home = is_home(heap, pool);
    uint64_t remote = atomic_load_explicit(&pool->remote, memory_order_acquire);
    uint64_t next;
    do {
        block->next = tm_remote_first(pool, remote);
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

static void hand_back(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block)
{
    if (!come_home(heap, pool, block))
        push_remote(heap, pool, block);
}

void tm_heap_free_remote(struct tm_heap *heap, struct tm_pool *pool, struct tm_block *block)
{
    bool nested = begin(heap);
    hand_back(heap, pool, block);
    if (tm_unlikely(heap->drained > heap->drained_limit && heap->id != 0))
        settle(heap);
    end(heap, nested);
}

/* ---- pages go back ---- */

static unsigned purge_pool(struct tm_heap *heap, struct tm_pool *pool)
{
    discount(heap, pool);
    return tm_pool_purge(pool);
}

/* Takes the blocks out of a bin. Those of warm classes may be of other
 * pools than the current one, of other owners' too. */
static void empty_bin(struct tm_heap *heap, unsigned size_class)
{
    struct tm_block *block = heap->bin[size_class];
    heap->bin[size_class] = NULL;
    for (struct tm_block *next; block != NULL; block = next) {
        next = block->next;
        struct tm_pool *pool = tm_pool_slot(block);
        uintptr_t owner = atomic_load_explicit(&pool->owner, memory_order_relaxed);
        if ((owner & ~(TM_OWNER_CALLED | TM_OWNER_WARM)) != heap->owner) {
            hand_back(heap, pool, block);
            continue;
        }
        discount(heap, pool);
        block->next = NULL;
        tm_pool_put_back(pool, block);
        heap->drained += tm_pool_drained_pages(pool);
        if (pool != heap->current[size_class])
            tend(heap, pool);
    }
}

void tm_heap_bin_full(struct tm_heap *heap, unsigned size_class)
{
    unsigned warm = tm_classes[size_class].warm;
    unsigned grown = 0;
    const struct tm_block *block = heap->bin[size_class];
    while (grown < warm && block != NULL && block != heap->level[size_class]) {
        block = block->next;
        grown++;
    }
    if (block != heap->level[size_class])
        grown = 0; /* mallocs went below the level meanwhile */
    heap->grown[size_class] = (uint8_t)(grown == 0 ? 0 : heap->grown[size_class] + grown);
    if (heap->grown[size_class] < warm) {
        set_level(heap, size_class);
        return;
    }
    /* More is freed than taken: all goes to the pools, and so does what comes until the next
     * refill, so that no bin keeps pages after a peak. */
    bool nested = begin(heap);
    empty_bin(heap, size_class);
    settle(heap);
    end(heap, nested);
}

/* Takes the current pool's blocks out of the bin, gives the pool back if none is in use, and else
 * purges it. Returns how many pages went. */
static unsigned purge_current(struct tm_heap *heap, unsigned size_class)
{
    struct tm_pool *pool = heap->current[size_class];
    if (pool == NULL)
        return 0;
    empty_bin(heap, size_class);
    discount(heap, pool);
    tm_pool_collect(pool);
    heap->drained += tm_pool_drained_pages(pool);
    if (!tm_pool_empty(pool))
        return purge_pool(heap, pool);
    heap->current[size_class] = NULL;
    give(heap, pool);
    return 0;
}

/* Purges holed pools of a class, the longest holed first, until the heap holds so few drained
 * pages. They are partial ones then. Returns how many pages went. */
static unsigned purge_holed(struct tm_heap *heap, unsigned size_class, uint32_t pages)
{
    unsigned went = 0;
    struct tm_link *head = &heap->holed[size_class];
    if (tm_list_empty(head))
        return 0;
    /* Some come back to its end. */
    const struct tm_link *last = head->previous;
    for (bool more = true; more && heap->drained > pages;) {
        struct tm_pool *pool = tm_pool_of_link(head->next);
        more = &pool->link != last;
        if (tm_pool_empty(pool)) {
            give(heap, pool);
        } else {
            went += purge_pool(heap, pool);
            leave_list(pool);
            enter_list(heap, pool);
        }
    }
    return went;
}

/* Purges until the heap holds so few drained pages; the current pools only if need be. */
static void purge_to(struct tm_heap *heap, uint32_t pages)
{
    unsigned went = 0;
    for (unsigned i = 0; heap->drained > pages && i < TM_CLASSES; i++) {
        heap->purge_next = (uint16_t)((heap->purge_next + 1) % TM_CLASSES);
        went += purge_holed(heap, heap->purge_next, pages);
    }
    for (unsigned size_class = 0; heap->drained > pages && size_class < TM_CLASSES; size_class++)
        went += purge_current(heap, size_class);
    if (went != 0)
        tm_cache_pool_pages_gone(went);
}

/* Purges every free page of the heap's pools and of those that nobody owns. */
static bool purge_all(struct tm_heap *heap)
{
    sweep(heap);
    unsigned went = 0;
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++) {
        went += purge_current(heap, size_class);
        went += purge_holed(heap, size_class, 0);
    }
    return tm_share_purge() || went != 0;
}

bool tm_heap_purge(struct tm_heap *heap)
{
    bool nested = begin(heap);
    bool went = purge_all(heap);
    end(heap, nested);
    return went;
}

void tm_heap_call_for_trim(void)
{
    atomic_fetch_add_explicit(&trim_calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
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
    leave_list(pool);
    discount(heap, pool);
    tm_pool_collect(pool);
    if (tm_pool_empty(pool)) {
        tm_pool_give(pool);
        return;
    }
    atomic_store_explicit(&pool->owner, 0, memory_order_relaxed);
    tm_share(pool);
}

void tm_heap_wind_up(struct tm_heap *heap)
{
    bool nested = begin(heap);
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++) {
        empty_bin(heap, size_class);
        heap->room[size_class] = 0;
    }
    leave_all(heap, abandon);
    tell_drained(heap);
    end(heap, nested);
}

/* Which of the pool's carved blocks are free cannot be told: they count as in use. Those that are
 * get freed like any others; the rest is lost to the child. */
static void inherit(struct tm_heap *heap, struct tm_pool *pool)
{
    leave_list(pool);
    tm_pool_lose_free(pool);
    tm_pool_collect(pool);
    atomic_store_explicit(&pool->owner, 0, memory_order_relaxed);
    bool empty = tm_pool_empty(pool);
    if (!empty && (pool->uncarved != 0 || pool->free != NULL))
        tm_share(pool);
    else if (empty || !tm_share_disown(pool))
        tm_pool_give(pool);
}

void tm_heap_inherit(struct tm_heap *heap)
{
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++)
        heap->bin[size_class] = NULL;
    leave_all(heap, inherit);
    heap->drained = 0;
    tell_drained(heap);
}
