/* blocks.c: see blocks.h. That a pool is given back once, and touched by nobody afterwards, is seen
 * where arenas take and give its pages (by the linker's --wrap): from then on its descriptor and
 * its blocks are poison, but for the owner word, which other threads may still compare and flag
 * (call_owner() in heap_return.c).
 */
#include "tests/model/blocks.h"

#include <stdatomic.h>

#include "allocator/arena.h"
#include "allocator/cache.h"
#include "allocator/heap_inner.h"
#include "allocator/kept.h"
#include "allocator/os.h"
#include "allocator/pool.h"
#include "allocator/thread.h"
#include "allocator/tidemark_alloc.h"
#include "tests/model/model.h"

/* Plain: who frees a block that another thread took has it from that thread, which is not what is
 * modelled. A place belongs to one thread at a time. */
static struct place {
    uint64_t *block;
    size_t size;
} places[PLACES];

static uint64_t stamp(int place, size_t word)
{
    return (uint64_t)(place + 1) << 32 | word;
}

void take_block(int place, size_t size)
{
    uint64_t *block = tm_malloc(size);
    model_assert(block != NULL && places[place].block == NULL);
    places[place] = (struct place){block, size};
    /* The first words are where a list would be linked, the last is where the next block begins. */
    block[0] = stamp(place, 0);
    block[1] = stamp(place, 1);
    block[size / 8 - 1] = stamp(place, size / 8 - 1);
}

void free_block_of(int place)
{
    uint64_t *block = places[place].block;
    size_t last = places[place].size / 8 - 1;
    if (block == NULL)
        return;
    if (block[0] != stamp(place, 0) || block[last] != stamp(place, last) ||
        (last > 1 && block[1] != stamp(place, 1)))
        model_fail("block %d at %p was changed while it was live: it is another's, too", place,
                   (void *)block);
    places[place].block = NULL;
    tm_free(block);
}

void take_blocks(int first, int count, size_t size)
{
    for (int place = first; place < first + count; place++)
        take_block(place, size);
}

void free_blocks(int first, int count)
{
    for (int place = first; place < first + count; place++)
        free_block_of(place);
}

void all_came_back(void)
{
    if (tm_bytes_in_pools != 0)
        model_fail("all blocks are free and all threads gone, but %zu bytes of pools are kept: a "
                   "block was lost",
                   (size_t)tm_bytes_in_pools);
    model_assert(tm_bytes_clean_in_pools == 0 && tm_drained_bytes == 0);
}

void no_points_at_counters(void)
{
    _Atomic uint64_t *counters[] = {
        &tm_bytes_in_pools,
        &tm_bytes_in_spans,
        &tm_bytes_in_mappings,
        &tm_bytes_taken,
        &tm_bytes_clean_in_pools,
        &tm_cached_bytes,
        &tm_drained_bytes,
        &tm_kept_bytes,
        &tm_pools_taken,
        &tm_heap_metadata_bytes,
        &tm_chunk_mapped_bytes,
        &tm_os_counters.purge_calls,
        &tm_os_counters.purged_bytes,
        &tm_os_counters.unmapped_bytes,
    };
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
        model_no_points(counters[i], sizeof *counters[i]);
    model_no_points(&tm_heaps_in_use, sizeof tm_heaps_in_use);
}

/* ---- pools that are given back ---- */

void *__wrap_tm_arena_take_pool(unsigned pages, uint16_t *dirty);
void __wrap_tm_arena_give_pool(void *base, unsigned pages, uint16_t dirty);
void *__real_tm_arena_take_pool(unsigned pages, uint16_t *dirty);
void __real_tm_arena_give_pool(void *base, unsigned pages, uint16_t dirty);

static void poison(void *base, bool on)
{
    struct tm_pool *pool = tm_pool_slot(base);
    model_poison(pool, sizeof *pool, on, &pool->owner);
    model_poison(base, TM_SLOT, on, NULL);
}

void *__wrap_tm_arena_take_pool(unsigned pages, uint16_t *dirty)
{
    void *base = __real_tm_arena_take_pool(pages, dirty);
    if (base != NULL)
        poison(base, false);
    return base;
}

void __wrap_tm_arena_give_pool(void *base, unsigned pages, uint16_t dirty)
{
    poison(base, true); /* twice: it is touched while it is poison, and fails */
    __real_tm_arena_give_pool(base, pages, dirty);
}
