/* arena.c: see arena.h. Pools and page runs live in arenas of their own kind, so that the
 * short-lived odd sizes of runs do not chop up the aligned places of pools. An arena is indexed by
 * what it can still serve; an empty one belongs to no kind and goes back to its chunk.
 */
#include "allocator/arena.h"

#include "allocator/cache.h"
#include "allocator/hooks.h"

_Atomic(tm_hook_tick_fn *) tm_hook_tick;
_Atomic uint64_t tm_pools_taken;

/* Arenas with pools, by their free slots. */
static struct tm_buckets pool_index;
/* Arenas with page runs, by the length of their longest free run. */
static struct tm_buckets run_index;

static void count(_Atomic uint64_t *counter, int64_t pages)
{
    atomic_fetch_add_explicit(counter, (uint64_t)(pages * (int64_t)TM_PAGE), memory_order_relaxed);
    if (pages > 0)
        atomic_fetch_add_explicit(&tm_bytes_taken, (uint64_t)pages * TM_PAGE, memory_order_relaxed);
}

/* Unlocks, and tells the recorder that pages moved. */
static void done(void)
{
    tm_unlock(&tm_arena_lock);
    tm_hook_tick_fn *tick = atomic_load_explicit(&tm_hook_tick, memory_order_relaxed);
    if (tick != NULL)
        tick();
}

/* The pages of a slot in the mask of its arena. */
static uint64_t slot_mask(unsigned slot)
{
    return tm_mask64(slot * TM_SLOT_PAGES, TM_SLOT_PAGES);
}

static unsigned free_slots(uint64_t used)
{
    unsigned count = 0;
    for (unsigned slot = 0; slot < TM_ARENA_SLOTS; slot++)
        count += (used & slot_mask(slot)) == 0;
    return count;
}

/* Of the free slots of an arena, of which there is one, that with the most dirty pages. */
static unsigned best_slot(const struct tm_arena *arena)
{
    unsigned best = 0;
    int most = -1;
    for (unsigned slot = 0; slot < TM_ARENA_SLOTS; slot++) {
        int dirty = __builtin_popcountll(arena->dirty & slot_mask(slot));
        if ((arena->used & slot_mask(slot)) == 0 && dirty > most) {
            best = slot;
            most = dirty;
        }
    }
    return best;
}

static unsigned longest_run(uint64_t mask)
{
    unsigned length = 0;
    for (; mask != 0; mask &= mask << 1)
        length++;
    return length;
}

/* Page number of the first run of `pages` ones in `mask` at a multiple of `step`; -1 if there is
 * none. */
static int find_run(uint64_t mask, unsigned pages, unsigned step)
{
    /* After this, bit i is set where i … i+pages-1 were. */
    for (unsigned have = 1; have < pages && mask != 0;) {
        unsigned more = pages - have < have ? pages - have : have;
        mask &= mask >> more;
        have += more;
    }
    /* Then keep every step-th bit: for step 4 that is 0x1111…, all ones divided by 15. */
    mask &= step >= TM_ARENA_PAGES ? 1 : ~UINT64_C(0) / ((UINT64_C(1) << step) - 1);
    return mask == 0 ? -1 : __builtin_ctzll(mask);
}

static struct tm_arena *arena_of_index(struct tm_link *link)
{
    return link == NULL ? NULL
                        : (struct tm_arena *)((char *)link - offsetof(struct tm_arena, index));
}

static struct tm_buckets *index_of(const struct tm_arena *arena)
{
    return arena->kind == TM_ARENA_POOLS ? &pool_index : &run_index;
}

static void unindex(struct tm_arena *arena)
{
    if (arena->index.next != NULL)
        tm_bucket_remove(index_of(arena), arena->bucket, &arena->index);
}

/* Brings the index in line with the arena's pages. May unmap its chunk when it became empty. */
static void reindex(struct tm_arena *arena)
{
    if (arena->busy)
        return;
    unindex(arena);
    if (arena->used == 0) {
        tm_chunk_give_arena(arena);
        return;
    }
    unsigned bucket = 0;
    if (arena->kind == TM_ARENA_POOLS)
        bucket = free_slots(arena->used);
    else if (arena->kind == TM_ARENA_RUNS)
        bucket = longest_run(~arena->used);
    if (bucket != 0) {
        arena->bucket = (uint8_t)bucket;
        tm_bucket_insert(index_of(arena), bucket, &arena->index);
    }
}

void tm_arena_hide(struct tm_arena *arena)
{
    if (arena->kind == TM_ARENA_EMPTY)
        tm_chunk_hide_arena(arena);
    else
        unindex(arena);
    arena->busy = true;
}

void tm_arena_show(struct tm_arena *arena)
{
    arena->busy = false;
    if (arena->kind == TM_ARENA_EMPTY)
        tm_chunk_give_arena(arena);
    else
        reindex(arena);
}

/* Marks pages as used; returns those that may hold old contents. */
static uint64_t use(struct tm_arena *arena, uint64_t pages)
{
    uint64_t dirty = arena->dirty & pages;
    arena->used |= pages;
    tm_cache_drop(arena, pages);
    tm_cache_taken((unsigned)__builtin_popcountll(pages & ~dirty));
    return dirty;
}

static void unuse(struct tm_arena *arena, uint64_t pages, uint64_t dirty)
{
    arena->used &= ~pages;
    tm_cache_add(arena, dirty);
}

/* ---- pools ---- */

void *tm_arena_take_pool(unsigned pages, uint16_t *dirty)
{
    tm_lock(&tm_arena_lock);
    struct tm_arena *arena = arena_of_index(tm_bucket_first(&pool_index, ~UINT64_C(0)));
    if (arena == NULL) {
        arena = tm_chunk_take_arena();
        if (arena == NULL) {
            tm_unlock(&tm_arena_lock);
            return NULL;
        }
        arena->kind = TM_ARENA_POOLS;
    }
    unsigned first = best_slot(arena) * TM_SLOT_PAGES;
    *dirty = (uint16_t)(use(arena, tm_mask64(first, pages)) >> first);
    reindex(arena);
    count(&tm_bytes_in_pools, pages);
    atomic_fetch_add_explicit(&tm_pools_taken, 1, memory_order_relaxed);
    void *base = tm_arena_base(arena) + first * TM_PAGE;
    done();
    return base;
}

void tm_arena_give_pool(void *base, unsigned pages, uint16_t dirty)
{
    struct tm_arena *arena = tm_arena_of(base);
    unsigned first = tm_page_of(base);
    tm_lock(&tm_arena_lock);
    unuse(arena, tm_mask64(first, pages), (uint64_t)dirty << first);
    reindex(arena);
    count(&tm_bytes_in_pools, -(int64_t)pages);
    tm_cache_settle();
    done();
}

/* ---- page runs ---- */

void *tm_arena_take_run(unsigned pages, size_t alignment, uint64_t *dirty)
{
    unsigned step = alignment <= TM_PAGE ? 1 : (unsigned)(alignment >> TM_PAGE_SHIFT);
    tm_lock(&tm_arena_lock);
    /* The shortest run that is long enough, for an aligned one surely long enough; the fullest
     * arenas have short runs. */
    unsigned need = pages + step - 1;
    struct tm_arena *arena = NULL;
    if (need < TM_ARENA_PAGES)
        arena = arena_of_index(tm_bucket_first(&run_index, ~UINT64_C(0) << need));
    if (arena == NULL) {
        arena = tm_chunk_take_arena();
        if (arena == NULL) {
            tm_unlock(&tm_arena_lock);
            return NULL;
        }
        arena->kind = TM_ARENA_RUNS;
    }
    int found = find_run(~arena->used, pages, step);
    if (found < 0)
        __builtin_unreachable(); /* the index promised one */
    unsigned first = (unsigned)found;
    *dirty = use(arena, tm_mask64(first, pages)) >> first;
    arena->run_pages[first] = (uint8_t)pages;
    reindex(arena);
    count(&tm_bytes_in_spans, pages);
    void *base = tm_arena_base(arena) + first * TM_PAGE;
    done();
    return base;
}

unsigned tm_arena_run_pages(const void *base)
{
    const struct tm_arena *arena = tm_arena_of(base);
    if (arena->kind != TM_ARENA_RUNS || ((uintptr_t)base & (TM_PAGE - 1)) != 0)
        return 0;
    return arena->run_pages[tm_page_of(base)];
}

bool tm_arena_give_run(void *base)
{
    struct tm_arena *arena = tm_arena_of(base);
    unsigned first = tm_page_of(base);
    tm_lock(&tm_arena_lock);
    unsigned pages = tm_arena_run_pages(base);
    if (tm_unlikely(pages == 0)) {
        tm_unlock(&tm_arena_lock);
        return false;
    }
    uint64_t mask = tm_mask64(first, pages);
    arena->run_pages[first] = 0;
    unuse(arena, mask, mask);
    reindex(arena);
    count(&tm_bytes_in_spans, -(int64_t)pages);
    tm_cache_settle();
    done();
    return true;
}

bool tm_arena_resize_run(void *base, unsigned pages, uint64_t *dirty)
{
    struct tm_arena *arena = tm_arena_of(base);
    unsigned first = tm_page_of(base);
    *dirty = 0;
    if (pages > TM_ARENA_PAGES - first)
        return false;
    tm_lock(&tm_arena_lock);
    unsigned old = arena->run_pages[first];
    bool fits = old != 0;
    if (fits && pages > old) {
        uint64_t more = tm_mask64(first + old, pages - old);
        fits = !arena->busy && (arena->used & more) == 0;
        if (fits)
            *dirty = use(arena, more);
    } else if (pages < old) {
        uint64_t less = tm_mask64(first + pages, old - pages);
        unuse(arena, less, less);
    }
    if (fits) {
        arena->run_pages[first] = (uint8_t)pages;
        reindex(arena);
        count(&tm_bytes_in_spans, (int64_t)pages - old);
        tm_cache_settle();
    }
    done();
    return fits;
}

/* ---- spans of whole arenas ---- */

static unsigned arenas_for(size_t pages)
{
    return (unsigned)((pages + TM_ARENA_PAGES - 1) / TM_ARENA_PAGES);
}

/* The pages of arena `i` of a span of `pages` pages. The rest of its last arena is kept free, for
 * the span to grow into. */
static uint64_t span_mask(size_t pages, unsigned i)
{
    size_t before = (size_t)i * TM_ARENA_PAGES;
    if (pages <= before)
        return 0;
    size_t here = pages - before;
    return here >= TM_ARENA_PAGES ? ~UINT64_C(0) : tm_mask64(0, (unsigned)here);
}

/* Sets the pages that a span has in its arenas to those of its new length. */
static void fit_span(struct tm_arena *first, size_t pages, unsigned arenas, uint64_t *dirty)
{
    for (unsigned i = 0; i < arenas; i++) {
        uint64_t want = span_mask(pages, i);
        uint64_t less = first[i].used & ~want;
        if (less != 0)
            unuse(&first[i], less, less);
        dirty[i] = use(&first[i], want & ~first[i].used);
        first[i].kind = TM_ARENA_SPAN;
        first[i].span_pages = 0;
    }
    first->span_pages = (uint32_t)pages;
}

void *tm_arena_take_span(size_t pages, size_t alignment, uint64_t dirty[TM_SPAN_ARENAS])
{
    unsigned arenas = arenas_for(pages);
    tm_lock(&tm_arena_lock);
    struct tm_arena *first = tm_chunk_take_arenas(arenas, alignment);
    if (first == NULL) {
        tm_unlock(&tm_arena_lock);
        return NULL;
    }
    fit_span(first, pages, arenas, dirty);
    count(&tm_bytes_in_spans, (int64_t)pages);
    void *base = tm_arena_base(first);
    done();
    return base;
}

size_t tm_arena_span_pages(const void *base)
{
    const struct tm_arena *arena = tm_arena_of(base);
    if (arena->kind != TM_ARENA_SPAN || ((uintptr_t)base & (TM_ARENA - 1)) != 0)
        return 0;
    return arena->span_pages;
}

bool tm_arena_give_span(void *base)
{
    struct tm_arena *first = tm_arena_of(base);
    tm_lock(&tm_arena_lock);
    size_t pages = tm_arena_span_pages(base);
    if (tm_unlikely(pages == 0)) {
        tm_unlock(&tm_arena_lock);
        return false;
    }
    unsigned arenas = arenas_for(pages);
    first->span_pages = 0;
    /* From the end: the first arena's descriptor is needed until the last of them is given back. */
    for (unsigned i = arenas; i-- > 0;) {
        unuse(&first[i], first[i].used, first[i].used);
        reindex(&first[i]);
    }
    count(&tm_bytes_in_spans, -(int64_t)pages);
    tm_cache_settle();
    done();
    return true;
}

bool tm_arena_resize_span(void *base, size_t pages, uint64_t dirty[TM_SPAN_ARENAS])
{
    struct tm_arena *first = tm_arena_of(base);
    unsigned arenas = arenas_for(pages);
    if (arenas > TM_SPAN_ARENAS)
        return false;
    tm_lock(&tm_arena_lock);
    size_t old = first->span_pages;
    unsigned old_arenas = arenas_for(old);
    bool fits = old != 0 && !first[old_arenas - 1].busy;
    if (fits && arenas > old_arenas)
        fits = tm_chunk_take_next(&first[old_arenas - 1], arenas - old_arenas);
    if (fits) {
        fit_span(first, pages, arenas, dirty);
        for (unsigned i = old_arenas; i-- > arenas;) {
            unuse(&first[i], first[i].used, first[i].used);
            reindex(&first[i]);
        }
        count(&tm_bytes_in_spans, (int64_t)pages - (int64_t)old);
        tm_cache_settle();
    }
    done();
    return fits;
}

uintptr_t tm_arena_around(uintptr_t address, size_t *bytes)
{
    const struct tm_arena *arena = tm_arena_of((const void *)address);
    uintptr_t base = 0;
    *bytes = 0;
    if (arena->kind == TM_ARENA_RUNS) {
        unsigned page = tm_page_of((const void *)address);
        while (page > 0 && arena->run_pages[page] == 0)
            page--;
        base = (uintptr_t)tm_arena_base(arena) + page * TM_PAGE;
        *bytes = arena->run_pages[page] * TM_PAGE;
    } else if (arena->kind == TM_ARENA_SPAN) {
        while (arena->span_pages == 0 && tm_arena_number(arena) > 1)
            arena--;
        base = (uintptr_t)tm_arena_base(arena);
        *bytes = arena->span_pages * TM_PAGE;
    }
    return address - base < *bytes ? base : 0;
}

void tm_arena_settle(void)
{
    tm_lock(&tm_arena_lock);
    tm_cache_settle();
    done();
}

bool tm_arena_trim(void)
{
    tm_lock(&tm_arena_lock);
    bool went = tm_cache_empty();
    went |= tm_chunk_unmap_empty();
    done();
    return went;
}

void tm_arena_trim_try(void)
{
    if (tm_lock_try(&tm_arena_lock)) {
        tm_cache_empty();
        tm_chunk_unmap_empty();
        done();
    }
}
