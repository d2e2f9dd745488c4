/* cache.c: see cache.h. */
#include "allocator/cache.h"

#include "allocator/arena.h"
#include "allocator/bounce.h"
#include "allocator/cell.h"
#include "allocator/os.h"

_Atomic uint64_t tm_bytes_clean_in_pools, tm_bytes_in_pools, tm_bytes_in_spans,
    tm_bytes_in_mappings, tm_cached_bytes, tm_drained_bytes, tm_bytes_taken;

/* Arenas with dirty pages, hottest first. */
static struct tm_link warm;
/* The arena of which somebody purges pages without the lock, and these pages; NULL: nobody does. He
 * goes on until the budget is met. */
static struct tm_arena *purging;
static uint64_t purging_pages;
/* So many purges are skipped, as the last one was refused. */
static unsigned fruitless;

/* What may stay: see tm_cache_budget(). A floor of twice the default was not faster.
 */
static _Atomic size_t retain_bytes = (size_t)512 * 1024;
static _Atomic unsigned retain_percent = 3;

void tm_cache_set_retain(size_t bytes, unsigned percent)
{
    atomic_store_explicit(&retain_bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&retain_percent, percent, memory_order_relaxed);
}

/* What comes back soon may stay on top of that. */
static struct tm_bounce bounce;
static _Atomic size_t bonus_now; /* bounce.bonus, for those who have not the lock */

size_t tm_cache_bonus(void)
{
    return atomic_load_explicit(&bonus_now, memory_order_relaxed);
}

/* Looks at the bonus, and tells the others. */
static void look(void)
{
    tm_bounce_look(&bounce, atomic_load_explicit(&tm_cached_bytes, memory_order_relaxed) +
                                atomic_load_explicit(&tm_drained_bytes, memory_order_relaxed));
    atomic_store_explicit(&bonus_now, bounce.bonus, memory_order_relaxed);
}

void tm_cache_taken(unsigned fresh_pages)
{
    tm_bounce_back(&bounce, fresh_pages * TM_PAGE);
    look();
}

void tm_cache_pool_pages_gone(unsigned pages)
{
    tm_lock(&tm_arena_lock);
    tm_bounce_gone(&bounce, pages * TM_PAGE);
    tm_unlock(&tm_arena_lock);
}

void tm_cache_pool_pages_back(unsigned pages)
{
    tm_lock(&tm_arena_lock);
    tm_cache_taken(pages);
    tm_unlock(&tm_arena_lock);
}

size_t tm_cache_budget(void)
{
    /* Mappings have no part in it: they go back whole. */
    uint64_t in_use = atomic_load_explicit(&tm_bytes_in_pools, memory_order_relaxed) +
                      atomic_load_explicit(&tm_bytes_in_spans, memory_order_relaxed);
    uint64_t clean = atomic_load_explicit(&tm_bytes_clean_in_pools, memory_order_relaxed);
    in_use = in_use > clean ? in_use - clean : 0;
    size_t part =
        (size_t)(in_use / 100 * atomic_load_explicit(&retain_percent, memory_order_relaxed));
    size_t floor = atomic_load_explicit(&retain_bytes, memory_order_relaxed);
    return part > floor ? part : floor;
}

static void count_cached(int64_t pages)
{
    atomic_fetch_add_explicit(&tm_cached_bytes, (uint64_t)(pages * (int64_t)TM_PAGE),
                              memory_order_relaxed);
}

/* Of the dirty pages those that could go back. */
static uint64_t pages_to_give(const struct tm_arena *arena)
{
    return tm_os_pages_alone(arena->dirty, arena->used);
}

/* Counts them anew, after pages of the arena changed. */
static void recount(struct tm_arena *arena)
{
    int now = __builtin_popcountll(pages_to_give(arena));
    count_cached(now - arena->cached_pages);
    arena->cached_pages = (uint8_t)now;
}

void tm_cache_add(struct tm_arena *arena, uint64_t pages)
{
    arena->dirty |= pages;
    recount(arena);
    if (arena->cached.next != NULL)
        tm_list_remove(&arena->cached);
    if (arena->cached_pages != 0)
        tm_list_insert(&warm, &arena->cached);
}

void tm_cache_drop(struct tm_arena *arena, uint64_t pages)
{
    bool listed = arena->cached_pages != 0;
    arena->dirty &= ~pages;
    if (!listed)
        return;
    recount(arena);
    if (arena->cached_pages == 0)
        tm_list_remove(&arena->cached);
}

static struct tm_arena *arena_of_link(struct tm_link *link)
{
    return (struct tm_arena *)((char *)link - offsetof(struct tm_arena, cached));
}

struct tm_arena *tm_cache_warm_arena(void)
{
    if (tm_list_empty(&warm))
        return NULL;
    struct tm_link *link = warm.next;
    for (int looks = 0; looks < 8 && link != &warm; looks++, link = link->next) {
        struct tm_arena *arena = arena_of_link(link);
        if (arena->kind == TM_ARENA_EMPTY && !arena->busy)
            return arena;
    }
    return NULL;
}

/* Purges the pages of `mask`, whose neighbours on their kernel pages are free; returns those that
 * the kernel did not take. */
static uint64_t purge_pages(char *base, uint64_t mask)
{
    uint64_t left = 0;
    for (uint64_t todo = tm_os_pages_around(mask); todo != 0;) {
        unsigned first = (unsigned)__builtin_ctzll(todo);
        uint64_t rest = ~(todo >> first);
        unsigned count = rest == 0 ? 64 - first : (unsigned)__builtin_ctzll(rest);
        uint64_t run = tm_mask64(first, count);
        if (!tm_os_purge(base + first * TM_PAGE, count * TM_PAGE))
            left |= run & mask;
        todo &= ~run;
    }
    return left;
}

/* What the recorder said of blocks goes with them. Of a hidden arena, with the pages of it that are
 * in use, or were when it was hidden: without the lock others give some of them back. */
static void purge_cells(const struct tm_arena *arena, uint64_t used)
{
    char *base = tm_arena_base(arena);
    for (unsigned slot = 0; slot < TM_ARENA_SLOTS; slot++)
        if ((used & tm_mask64(slot * TM_SLOT_PAGES, TM_SLOT_PAGES)) == 0)
            tm_cells_purge(base + slot * TM_SLOT);
}

/* Purges the coldest arenas until at most `target` bytes are cached. */
static bool purge_to(uint64_t target)
{
    if (purging != NULL || tm_os_purge_refused())
        return false;
    if (fruitless > 0 && --fruitless > 0)
        return false;
    bool went = false;
    while (atomic_load_explicit(&tm_cached_bytes, memory_order_relaxed) > target &&
           !tm_list_empty(&warm)) {
        struct tm_arena *arena = arena_of_link(warm.previous);
        /* A whole chunk at once, if it goes anyway. */
        unsigned unmapped = tm_chunk_unmap_surplus(arena);
        if (unmapped != 0) {
            tm_bounce_gone(&bounce, unmapped * TM_PAGE);
            went = true;
            continue;
        }
        uint64_t pages = pages_to_give(arena), used = arena->used;
        tm_cache_drop(arena, pages);
        tm_arena_hide(arena);
        purging = arena;
        purging_pages = pages;
        tm_unlock(&tm_arena_lock);
        uint64_t left = purge_pages(tm_arena_base(arena), pages);
        purge_cells(arena, used);
        tm_lock(&tm_arena_lock);
        purging = NULL;
        tm_cache_add(arena, left);
        tm_arena_show(arena);
        if (left == pages) {
            /* Locked memory (mlockall): do not try at every free. */
            fruitless = 1024;
            break;
        }
        tm_bounce_gone(&bounce, (size_t)__builtin_popcountll(pages & ~left) * TM_PAGE);
        went = true;
    }
    return went;
}

void tm_cache_settle(void)
{
    uint64_t cached = atomic_load_explicit(&tm_cached_bytes, memory_order_relaxed);
    look();
    size_t budget = tm_cache_budget() + bounce.bonus;
    /* A quarter below it, so that the next free does not come here again. */
    if (tm_unlikely(cached > budget))
        purge_to(budget - budget / 4);
}

bool tm_cache_empty(void)
{
    return purge_to(0);
}

void tm_cache_fork_child(void)
{
    struct tm_arena *arena = purging;
    purging = NULL;
    if (arena != NULL) {
        tm_cache_add(arena, purging_pages);
        tm_arena_show(arena);
    }
}
