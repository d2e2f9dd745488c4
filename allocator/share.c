/* share.c: see share.h. A list and a lock for each class; the lock is held for a few instructions.
 *
 * The OWNED bit and the list are two things: whoever sets the bit of a listed pool takes it out of
 * the list next. So a taker passes over pools whose bit is set already: their owner is on his way
 * to unlist them.
 *
 * The bit is a lock on the pool's plain fields, `listed` among them: setting it acquires, giving it
 * up (tm_share_disown) releases, and the blocks that others push in between are updates of the same
 * word, which keep what the release handed on. The lists' locks guard the links; a pool in a list
 * is not given back, as who gives it unlists it first, under that lock. `count` is relaxed: read
 * without the lock it may be old, and then a pool is not found, or looked for in vain.
 * (Modelled: tests/model/pools.c.)
 */
#include "allocator/share.h"

#include "allocator/cache.h"

/* Ownerless pools with free blocks, by class. */
static struct {
    struct tm_lock lock;
    struct tm_link pools;
    _Atomic uint32_t count; /* read without the lock to see whether it pays to look */
} shared[TM_CLASSES];

/* Drained pages of listed pools: the sum of `counted`. */
static _Atomic uint32_t drained_pages;

/* Gives the OWNED bit up. False if all blocks in use came back meanwhile: then the caller still has
 * it. */
bool tm_share_disown(struct tm_pool *pool)
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

/* What the list counts of a pool that the caller has the OWNED bit of. */
static uint32_t count_drained(struct tm_pool *pool, uint32_t pages)
{
    uint32_t more = pages - pool->counted;
    pool->counted = (uint16_t)pages;
    return atomic_fetch_add_explicit(&drained_pages, more, memory_order_relaxed) + more;
}

/* Takes a listed pool out of its list, whose lock the caller has, besides the OWNED bit. */
static void remove_listed(struct tm_pool *pool)
{
    pool->listed = false;
    tm_list_remove(&pool->link);
    count_drained(pool, 0);
    atomic_fetch_sub_explicit(&shared[pool->size_class].count, 1, memory_order_relaxed);
}

void tm_share_unlist(struct tm_pool *pool)
{
    unsigned size_class = pool->size_class;
    tm_lock(&shared[size_class].lock);
    if (pool->listed)
        remove_listed(pool);
    tm_unlock(&shared[size_class].lock);
}

/* The first or the last pool of the list that nobody has the OWNED bit of; NULL: there is none. */
static struct tm_pool *take(unsigned size_class, bool first)
{
    if (atomic_load_explicit(&shared[size_class].count, memory_order_relaxed) == 0)
        return NULL;
    struct tm_pool *found = NULL;
    tm_lock(&shared[size_class].lock);
    struct tm_link *head = &shared[size_class].pools;
    struct tm_link *link = tm_list_empty(head) ? head : first ? head->next : head->previous;
    for (; link != head && found == NULL; link = first ? link->next : link->previous) {
        struct tm_pool *pool = tm_pool_of_link(link);
        uint64_t before =
            atomic_fetch_or_explicit(&pool->remote, TM_REMOTE_OWNED, memory_order_acquire);
        /* Else somebody is about to unlist it. */
        if ((before & TM_REMOTE_OWNED) == 0)
            found = pool;
    }
    if (found != NULL)
        remove_listed(found);
    tm_unlock(&shared[size_class].lock);
    return found;
}

struct tm_pool *tm_share_take(unsigned size_class)
{
    return take(size_class, true);
}

/* Nobody's budget counts the drained pages of the shared pools but this. */
static void settle(struct tm_pool *pool)
{
    uint32_t all = count_drained(pool, tm_pool_drained_pages(pool));
    if (pool->drained != 0 && all * TM_PAGE > tm_cache_budget() / 2 + tm_cache_bonus()) {
        tm_cache_pool_pages_gone(tm_pool_purge(pool));
        count_drained(pool, 0);
    }
}

void tm_share(struct tm_pool *pool)
{
    unsigned size_class = pool->size_class;
    settle(pool);
    tm_lock(&shared[size_class].lock);
    if (!pool->listed) {
        pool->listed = true;
        tm_list_insert(&shared[size_class].pools, &pool->link);
        atomic_fetch_add_explicit(&shared[size_class].count, 1, memory_order_relaxed);
    }
    tm_unlock(&shared[size_class].lock);
    if (!tm_share_disown(pool)) {
        tm_share_unlist(pool);
        tm_pool_give(pool);
    }
}

bool tm_share_purge(void)
{
    unsigned went = 0;
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++) {
        /* Each pool that is there now once: the purged ones go to the front again. */
        uint32_t count = atomic_load_explicit(&shared[size_class].count, memory_order_relaxed);
        for (; count > 0; count--) {
            struct tm_pool *pool = take(size_class, false);
            if (pool == NULL)
                break;
            tm_pool_collect(pool);
            if (tm_pool_in_use(pool) == 0) {
                tm_pool_give(pool);
            } else {
                went += tm_pool_purge(pool);
                tm_share(pool);
            }
        }
    }
    return went != 0;
}

void tm_share_lock_all(void)
{
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++)
        tm_lock(&shared[size_class].lock);
}

void tm_share_unlock_all(void)
{
    for (unsigned size_class = TM_CLASSES; size_class-- > 0;)
        tm_unlock(&shared[size_class].lock);
}

void tm_share_reset_locks(void)
{
    for (unsigned size_class = 0; size_class < TM_CLASSES; size_class++)
        tm_lock_reset(&shared[size_class].lock);
}
