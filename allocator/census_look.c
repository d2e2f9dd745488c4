/* census_look.c: a quick look at some pools of the running process, where a walk of all (census.c)
 * would take too long: nothing but counts that descriptors have already is read, a cache line or
 * two for each pool.
 */
#include "allocator/census.h"

#include "allocator/arena.h"
#include "allocator/pool.h"

/* What is counted of a pool. */
struct counts {
    int16_t in_use[TM_SLOT_PAGES];
    uint16_t drained, clean;
    uint8_t size_class;
    bool taken;
};

/* The pool is another thread's, who changes each count by a plain store of the whole of it, on its
 * fast path, and pays nothing for those who look. So this is a race by the letter of C, and the
 * only one that the thread sanitizer is not shown: the loads are made as they are written
 * (volatile), each count is one that was there, and together they may be some operations apart,
 * which an estimate survives. Nothing is followed that was read here. */
__attribute__((no_sanitize("thread"))) static struct counts counts_of(const struct tm_pool *pool)
{
    const volatile struct tm_pool *now = pool;
    struct counts counts = {.drained = now->drained,
                            .clean = now->clean,
                            .size_class = now->size_class,
                            .taken = now->taken};
    for (unsigned page = 0; page < TM_SLOT_PAGES; page++)
        counts.in_use[page] = now->in_use[page];
    return counts;
}

static void look_at_pool(const struct tm_pool *pool, struct tm_census_look *out)
{
    struct counts counts = counts_of(pool);
    if (!counts.taken || counts.size_class >= TM_CLASSES)
        return;
    const struct tm_class *class = &tm_classes[counts.size_class];
    uint64_t remote = atomic_load_explicit(&pool->remote, memory_order_relaxed);
    uint32_t in_use = tm_pool_sum(counts.in_use);
    uint32_t freed = tm_remote_count(remote);
    uint32_t pages = (1u << class->pages) - 1;
    uint32_t touched = tm_count16((uint16_t)(pages & ~(uint32_t)counts.clean));
    out->pools++;
    out->touched_bytes += touched * TM_PAGE;
    out->live_bytes += (in_use > freed ? in_use - freed : 0) * (uint64_t) class->block_size;
    out->drained_bytes += tm_count16(counts.drained) * class->pages_per_start * TM_PAGE;
}

bool tm_census_look(unsigned arenas, uint32_t chance, struct tm_census_look *out)
{
    uint64_t there =
        atomic_load_explicit(&tm_chunk_mapped_bytes, memory_order_relaxed) >> TM_ARENA_SHIFT;
    uint64_t step = there > arenas ? (there + arenas - 1) / arenas : 1;
    uint64_t skip = chance % step;
    *out = (struct tm_census_look){.all = step == 1};
    if (!tm_lock_try(&tm_arena_lock))
        return false;
    for (const struct tm_chunk *chunk = tm_chunks; chunk != NULL; chunk = chunk->next) {
        uint64_t count = atomic_load_explicit(&chunk->arenas, memory_order_relaxed);
        for (; skip < count; skip += step)
            if (skip != 0 && chunk->arena[skip].kind == TM_ARENA_POOLS)
                for (uint64_t slot = 0; slot < TM_ARENA_SLOTS; slot++)
                    look_at_pool(
                        (const struct tm_pool *)chunk->descriptors[skip * TM_ARENA_SLOTS + slot],
                        out);
        skip -= count;
    }
    tm_unlock(&tm_arena_lock);
    return true;
}
