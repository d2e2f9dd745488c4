/* heap_purge.c: how many drained pages a heap may hold, purging the rest, and the end of a heap.
 */
#include <string.h>

#include "allocator/arena.h"
#include "allocator/bounce.h"
#include "allocator/cache.h"
#include "allocator/heap_inner.h"
#include "allocator/kept.h"
#include "allocator/large.h"
#include "allocator/os.h"
#include "allocator/share.h"

_Atomic uint32_t tm_heap_calls;
/* Of these, how often for a trim. */
static _Atomic uint32_t trim_calls;

/* ---- how much may be held ---- */

enum { PAGES_KEPT = 16, QUICK_REFILLS = 64 };

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
static bool purge_all(struct tm_heap *heap);
static void empty_bins(struct tm_heap *heap);

void tm_heap_settle(struct tm_heap *heap)
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
    uint32_t now = atomic_load_explicit(&tm_heap_calls, memory_order_acquire);
    if (tm_likely(now == heap->calls_seen))
        return;
    heap->calls_seen = now;
    /* Past its end a thread is told nothing of: it has no heap of its own. */
    if (heap == tm_heap && tm_sample_follow(heap)) {
        empty_bins(heap);
        tm_sample_draw(heap);
    }
    uint32_t trims = atomic_load_explicit(&trim_calls, memory_order_relaxed);
    if (trims != heap->trim_seen) {
        heap->trim_seen = trims;
        purge_all(heap);
    } else {
        tm_heap_sweep(heap);
    }
}

void tm_heap_attend(struct tm_heap *heap)
{
    bool nested = begin(heap);
    tm_heap_settle(heap);
    end(heap, nested);
}

void tm_heap_begin(struct tm_heap *heap, uintptr_t owner)
{
    if (tm_full)
        memset(heap->class_of, 0, sizeof heap->class_of);
    else
        memcpy(heap->class_of, tm_class_direct, sizeof heap->class_of);
    heap->owner = owner;
    heap->drained_limit = PAGES_KEPT;
    heap->quick_left = QUICK_REFILLS;
    heap->calls_seen = atomic_load_explicit(&tm_heap_calls, memory_order_relaxed);
    heap->trim_seen = atomic_load_explicit(&trim_calls, memory_order_relaxed);
}

/* ---- pages go back ---- */

static unsigned purge_pool(struct tm_heap *heap, struct tm_pool *pool)
{
    discount(heap, pool);
    return tm_pool_purge(pool);
}

/* Puts blocks that nobody asked for where they belong. Returns how many. */
static uint32_t put_back(struct tm_heap *heap, unsigned size_class, struct tm_block *block)
{
    uint32_t count = 0;
    for (struct tm_block *next; block != NULL; block = next, count++) {
        next = tm_block_next(block);
        struct tm_pool *pool = tm_pool_slot(block);
        if (tm_pool_owner(pool) != heap->owner) {
            tm_heap_hand_back(heap, pool, block);
            continue;
        }
        discount(heap, pool);
        tm_pool_put_back(pool, block);
        heap->drained += tm_pool_drained_pages(pool);
        if (pool != heap->current[size_class])
            tm_heap_tend(heap, pool);
    }
    return count;
}

/* Takes the blocks out of a bin, and those that were left aside. Those of warm classes may be of
 * other pools than the current one, of other owners' too. */
static void empty_bin(struct tm_heap *heap, unsigned size_class)
{
    struct tm_block *block = heap->bin[size_class];
    heap->bin[size_class] = NULL;
    uint32_t count = block == NULL ? 0 : put_back(heap, size_class, block);
    if (tm_unlikely(heap->sampler.on)) {
        tm_sample_take_back(heap, size_class, count);
        put_back(heap, size_class, tm_sample_take_rest(heap, size_class));
    }
}

static void empty_bins(struct tm_heap *heap)
{
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++)
        empty_bin(heap, size_class);
}

/* The bin has more than a refill, which brings what a pool has at most, and one round of warm
 * blocks make. */
static bool too_long(const struct tm_heap *heap, unsigned size_class)
{
    unsigned limit = tm_classes[size_class].capacity + tm_classes[size_class].warm;
    for (const struct tm_block *block = tm_heap_top(heap, size_class); block != NULL;
         block = tm_block_next(block))
        if (limit-- == 0)
            return true;
    return false;
}

void tm_heap_bin_full(struct tm_heap *heap, unsigned size_class)
{
    enum { LENGTH_EVERY = 4 };
    /* The next that is handed out anew is a sample: no more goes in until then. */
    if (tm_unlikely(heap->sampler.mode == TM_SAMPLE_SOME && heap->sampler.until[size_class] == 0))
        return;
    unsigned warm = tm_classes[size_class].warm;
    unsigned grown = 0;
    const struct tm_block *block = tm_heap_top(heap, size_class);
    while (grown < warm && block != NULL && block != heap->level[size_class]) {
        block = tm_block_next(block);
        grown++;
    }
    if (block != heap->level[size_class])
        grown = 0; /* mallocs went below the level meanwhile */
    heap->grown[size_class] = (uint8_t)(grown == 0 ? 0 : heap->grown[size_class] + grown);
    /* The level does not tell all: its block may have been taken, and freed again on top. */
    bool measured = ++heap->looks[size_class] % LENGTH_EVERY == 0;
    if (heap->grown[size_class] < warm && !(measured && too_long(heap, size_class))) {
        tm_heap_set_level(heap, size_class);
        return;
    }
    /* More is freed than taken: all goes to the pools, and so does what comes until the next
     * refill, so that no bin keeps pages after a peak. */
    bool nested = begin(heap);
    empty_bin(heap, size_class);
    tm_heap_settle(heap);
    end(heap, nested);
}

/* Takes the current pool's blocks out of the bin, gives the pool back if none is in use, and else
 * purges it. Returns how many pages went. */
static unsigned purge_current(struct tm_heap *heap, unsigned size_class)
{
    empty_bin(heap, size_class);
    struct tm_pool *pool = heap->current[size_class];
    if (pool == NULL)
        return 0;
    collect(heap, pool);
    if (!tm_pool_empty(pool))
        return purge_pool(heap, pool);
    heap->current[size_class] = NULL;
    give(heap, pool);
    return 0;
}

/* Purges holed pools of a class, the longest holed first, until the heap holds so few drained
 * pages. They are partial ones then. Returns how many pages went. (Those with the most drained
 * pages first, of all classes, took no fewer calls.) */
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
            change_list(heap, pool);
        }
    }
    return went;
}

/* Purges the partial pools of a class, too: a block that reached into the next page may have been
 * freed after that page drained. Returns how many pages went. */
static unsigned purge_partial(struct tm_heap *heap, unsigned size_class)
{
    unsigned went = 0;
    struct tm_link *head = &heap->partial[size_class];
    if (tm_list_empty(head))
        return 0;
    for (struct tm_link *link = head->next; link != head; link = link->next)
        went += purge_pool(heap, tm_pool_of_link(link));
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
    tm_heap_sweep(heap);
    unsigned went = 0;
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++) {
        went += purge_current(heap, size_class);
        went += purge_holed(heap, size_class, 0);
        went += purge_partial(heap, size_class);
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
    atomic_fetch_add_explicit(&tm_heap_calls, 1, memory_order_release);
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

static void leave_behind(struct tm_heap *heap, struct tm_pool *pool)
{
    leave_list(pool);
    discount(heap, pool);
    atomic_store_explicit(&pool->owner, TM_OWNER_LEFT, memory_order_relaxed);
}

void tm_heap_leave_behind(void)
{
    struct tm_heap *heap = tm_heap;
    if (heap->id == 0)
        return;
    bool nested = begin(heap);
    memset(heap->class_of, 0, sizeof heap->class_of);
    memset(heap->bin, 0, sizeof heap->bin);
    memset(heap->room, 0, sizeof heap->room);
    leave_all(heap, leave_behind);
    tell_drained(heap);
    end(heap, nested);
}

void tm_heap_wind_up(struct tm_heap *heap)
{
    bool nested = begin(heap);
    empty_bins(heap);
    memset(heap->room, 0, sizeof heap->room);
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
    if (!empty && (tm_pool_uncarved(pool) != 0 || pool->free != NULL))
        tm_share(pool);
    else if (empty || !tm_share_disown(pool))
        tm_pool_give(pool);
}

void tm_heap_inherit(struct tm_heap *heap)
{
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++)
        heap->bin[size_class] = heap->sampler.rest[size_class] = NULL;
    memset(heap->sampler.front, 0, sizeof heap->sampler.front);
    leave_all(heap, inherit);
    heap->drained = 0;
    tell_drained(heap);
}
