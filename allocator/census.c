/* census.c: see census.h. Reads what the other rooms keep, and believes none of it: a pointer must
 * lie where such a thing can lie, a list may not visit a block twice, a count may not exceed its
 * bound.
 */
#include "allocator/census.h"

#include "allocator/arena.h"
#include "allocator/cache.h"
#include "allocator/cell.h"
#include "allocator/full.h"
#include "allocator/kept.h"
#include "allocator/large.h"
#include "allocator/os.h"
#include "allocator/thread.h"

static_assert(TM_CENSUS_PAGE == TM_PAGE, "census.h speaks of the allocator's pages");
static_assert(TM_CENSUS_ARENA == TM_ARENA, "census.h speaks of the allocator's arenas");
static_assert((int)TM_CENSUS_POOL_PAGES == (int)TM_SLOT_PAGES, "census.h has room for every pool");
static_assert((int)TM_CENSUS_ARENA_POOLS == (int)TM_ARENA_POOLS, "kinds are the same");
static_assert((int)TM_CENSUS_ARENA_SPANS == (int)TM_ARENA_RUNS, "kinds are the same");
static_assert((int)TM_CENSUS_ARENA_SPAN == (int)TM_ARENA_SPAN, "kinds are the same");

enum { BLOCK_WORDS = TM_SLOT / 16 / 64, WARM_LIMIT = 1024 };

struct walk {
    const struct tm_census_visitor *visitor;
    void *context;
    unsigned wrong; /* inconsistencies met */
};

unsigned tm_census_class_count(void)
{
    return TM_CLASSES;
}

struct tm_census_class tm_census_class_at(unsigned size_class)
{
    const struct tm_class *class = &tm_classes[size_class];
    return (struct tm_census_class){
        .block_bytes = class->block_size,
        .pool_bytes = (uint32_t)(class->pages * TM_PAGE),
        .capacity = class->capacity,
    };
}

/* Marks the blocks of a list as free; returns how many were new. Stops at whatever cannot be a
 * block of the pool. */
static uint32_t mark_list(struct walk *walk, const struct tm_class *class, char *base,
                          const struct tm_block *list, uint64_t *free_blocks)
{
    uint32_t count = 0;
    for (const struct tm_block *block = list; block != NULL; block = block->next) {
        uintptr_t offset = (uintptr_t)block - (uintptr_t)base;
        uint32_t index = offset < class->pages * TM_PAGE
                             ? tm_class_block_index(class, (uint32_t)offset)
                             : UINT32_MAX;
        if (index >= class->capacity || (uintptr_t)index * class->block_size != offset ||
            (free_blocks[index / 64] >> (index % 64) & 1) != 0) {
            walk->wrong++;
            break;
        }
        free_blocks[index / 64] |= UINT64_C(1) << (index % 64);
        count++;
    }
    return count;
}

static const struct tm_heap *heap_that_owns(const struct tm_pool *pool)
{
    uintptr_t owner = tm_pool_owner(pool);
    const struct tm_heap *heap =
        owner == 0 ? NULL : atomic_load_explicit(&tm_heaps, memory_order_acquire);
    for (unsigned limit = TM_HEAPS_MAX; heap != NULL && heap->owner != owner; heap = heap->next)
        if (limit-- == 0)
            return NULL;
    return heap;
}

/* Marks the blocks of a warm class that wait in bins: they may be of any pool. */
static uint32_t mark_warm(const struct tm_pool *pool, char *base, uint64_t *free_blocks)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    uint32_t count = 0;
    unsigned heaps = TM_HEAPS_MAX;
    for (const struct tm_heap *heap = atomic_load_explicit(&tm_heaps, memory_order_acquire);
         heap != NULL && heaps-- > 0; heap = heap->next) {
        for (unsigned rest = 0; rest < 2; rest++) {
            const struct tm_block *block =
                rest == 0 ? heap->bin[pool->size_class] : heap->sampler.rest[pool->size_class];
            for (unsigned limit = WARM_LIMIT; limit > 0 && block != NULL && tm_in_arena(block);
                 limit--, block = block->next) {
                uintptr_t offset = (uintptr_t)block - (uintptr_t)base;
                uint32_t index = tm_class_block_index(class, (uint16_t)offset);
                if (offset >= class->pages * TM_PAGE || index >= class->capacity ||
                    (uintptr_t)index * class->block_size != offset)
                    continue;
                count += (free_blocks[index / 64] >> (index % 64) & 1) == 0;
                free_blocks[index / 64] |= UINT64_C(1) << (index % 64);
            }
        }
    }
    return count;
}

static void count_pages(struct tm_census_pool *out, const struct tm_class *class,
                        const uint64_t *free_blocks)
{
    for (uint32_t index = 0; index < class->capacity; index++) {
        if (free_blocks[index / 64] >> (index % 64) & 1)
            continue;
        out->live++;
        uint32_t start = index * class->block_size;
        uint32_t end = start + class->block_size;
        for (uint32_t page = start >> TM_PAGE_SHIFT; page <= (end - 1) >> TM_PAGE_SHIFT; page++) {
            uint32_t page_start = page << TM_PAGE_SHIFT;
            uint32_t page_end = page_start + (uint32_t)TM_PAGE;
            uint32_t from = start > page_start ? start : page_start;
            uint32_t to = end < page_end ? end : page_end;
            out->live_blocks[page]++;
            out->live_bytes[page] = (uint16_t)(out->live_bytes[page] + (to - from));
        }
    }
}

static void walk_pool(struct walk *walk, const struct tm_pool *pool)
{
    const struct tm_class *class = &tm_classes[pool->size_class];
    char *base = tm_pool_base(pool);
    const struct tm_heap *heap = heap_that_owns(pool);
    uint64_t remote = atomic_load_explicit(&pool->remote, memory_order_acquire);
    struct tm_census_pool out = {
        .base = (uintptr_t)base,
        .size_class = pool->size_class,
        .pages = class->pages,
        .capacity = class->capacity,
        .heap = heap == NULL ? 0 : heap->id,
        .uncarved = tm_pool_uncarved(pool),
        .identity =
            tm_pool_identity(pool) < TM_POOL_CHOSEN ? tm_pool_identity(pool) : TM_POOL_CHOSEN,
        .chosen_page =
            tm_pool_identity(pool) < TM_POOL_CHOSEN ? 0 : tm_pool_identity(pool) - TM_POOL_CHOSEN,
        .cells = tm_cells_of_slot(base),
    };
    uint64_t free_blocks[BLOCK_WORDS] = {0};
    mark_list(walk, class, base, pool->free, free_blocks);
    for (unsigned page = 0; page < TM_SLOT_PAGES; page++)
        mark_list(walk, class, base, tm_pool_sifted(pool, page), free_blocks);
    out.remote = mark_list(walk, class, base, tm_remote_first(pool, remote), free_blocks);
    if (class->warm != 0)
        out.binned = mark_warm(pool, base, free_blocks);
    else if (heap != NULL && heap->current[pool->size_class] == pool)
        out.binned = mark_list(walk, class, base, heap->bin[pool->size_class], free_blocks);
    if (class->warm == 0 && heap != NULL && heap->current[pool->size_class] == pool)
        out.binned +=
            mark_list(walk, class, base, heap->sampler.rest[pool->size_class], free_blocks);
    for (uint32_t index = 0; index < class->capacity; index++)
        if ((tm_pool_uncarved(pool) >> (index * class->block_size >> TM_PAGE_SHIFT) & 1) != 0 ||
            (pool->hardened && !tm_full_is_live(pool, base + (size_t)index * class->block_size)))
            free_blocks[index / 64] |= UINT64_C(1) << (index % 64);
    count_pages(&out, class, free_blocks);
    out.free_blocks = free_blocks;
    walk->visitor->pool(&out, walk->context);
}

static void walk_pools(struct walk *walk, const struct tm_chunk *chunk, unsigned arena)
{
    for (unsigned slot = arena * TM_ARENA_SLOTS; slot < (arena + 1) * TM_ARENA_SLOTS; slot++) {
        const struct tm_pool *pool = (const struct tm_pool *)chunk->descriptors[slot];
        if (pool->taken && pool->size_class < TM_CLASSES)
            walk_pool(walk, pool);
    }
}

static void report_span(struct walk *walk, uintptr_t base, uint64_t bytes, uint32_t kind,
                        uint64_t cell)
{
    struct tm_census_span span = {.base = base, .bytes = bytes, .kind = kind, .cell = cell};
    if (walk->visitor->span != NULL)
        walk->visitor->span(&span, walk->context);
}

static uint64_t cell_of_span(uintptr_t base)
{
    const tm_cell *cell = tm_cell_of((const void *)base);
    return cell == NULL ? 0 : atomic_load_explicit(cell, memory_order_relaxed);
}

static void walk_arena(struct walk *walk, const struct tm_chunk *chunk, unsigned number)
{
    const struct tm_arena *arena = &chunk->arena[number];
    uintptr_t base = (uintptr_t)chunk + number * TM_ARENA;
    struct tm_census_arena out = {
        .base = base,
        .kind = number == 0 ? TM_CENSUS_ARENA_META : arena->kind,
        .free_mask = number == 0 ? 0 : ~arena->used,
        .dirty_mask = number == 0 ? 0 : arena->dirty & ~arena->used,
    };
    if (walk->visitor->arena != NULL)
        walk->visitor->arena(&out, walk->context);
    if (number == 0)
        return;
    if (arena->kind == TM_ARENA_POOLS && walk->visitor->pool != NULL)
        walk_pools(walk, chunk, number);
    if (arena->kind == TM_ARENA_SPAN && arena->span_pages != 0)
        report_span(walk, base, arena->span_pages * TM_PAGE, TM_CENSUS_SPAN_ARENAS,
                    cell_of_span(base));
    if (arena->kind == TM_ARENA_RUNS)
        for (unsigned page = 0; page < TM_ARENA_PAGES; page++)
            if (arena->run_pages[page] != 0)
                report_span(walk, base + page * TM_PAGE, arena->run_pages[page] * TM_PAGE,
                            TM_CENSUS_SPAN_PAGES, cell_of_span(base + page * TM_PAGE));
}

static void report_meta(struct walk *walk, uintptr_t base, uint64_t bytes, const char *what)
{
    struct tm_census_meta meta = {.base = base, .bytes = bytes, .what = what};
    if (bytes != 0 && walk->visitor->meta != NULL)
        walk->visitor->meta(&meta, walk->context);
}

static void report_mapping(uintptr_t base, uint64_t bytes, uint64_t cell, void *context)
{
    report_span(context, base, bytes, TM_CENSUS_SPAN_MAPPING, cell);
}

static void report_kept(uintptr_t base, uint64_t bytes, void *context)
{
    report_span(context, base, bytes, TM_CENSUS_SPAN_CACHED, 0);
}

static void report_cells(struct walk *walk, const struct tm_chunk *chunk)
{
    uintptr_t base;
    uint64_t bytes;
    tm_cells_place(chunk, &base, &bytes);
    report_meta(walk, base, bytes, "sites");
}

/* A chunk's address is one that the validity table knows. */
static bool plausible_chunk(const struct tm_chunk *chunk)
{
    return ((uintptr_t)chunk & (TM_CHUNK - 1)) == 0 && tm_in_chunk(chunk) &&
           chunk->arenas <= TM_CHUNK_ARENAS;
}

unsigned tm_census_walk(const struct tm_census_visitor *visitor, void *context)
{
    struct walk walk = {.visitor = visitor, .context = context};
    size_t limit = TM_CHUNK_INDEXES;
    for (const struct tm_chunk *chunk = tm_chunks; chunk != NULL && limit-- > 0;
         chunk = chunk->next) {
        if (!plausible_chunk(chunk)) {
            walk.wrong++;
            break;
        }
        report_meta(&walk, (uintptr_t)chunk, TM_ARENA, "chunk heads");
        report_cells(&walk, chunk);
        for (unsigned number = 0; number < chunk->arenas; number++)
            walk_arena(&walk, chunk, number);
    }
    limit = TM_CHUNK_INDEXES;
    for (const struct tm_chunk *head = tm_chunk_bare_heads(); head != NULL && limit-- > 0;
         head = head->next) {
        if (((uintptr_t)head & (TM_CHUNK - 1)) != 0 || !tm_in_chunk(head)) {
            walk.wrong++;
            break;
        }
        report_meta(&walk, (uintptr_t)head, TM_ARENA, "chunk heads");
        report_cells(&walk, head);
    }
    tm_large_each(report_mapping, &walk);
    tm_kept_each(report_kept, &walk);
    limit = TM_HEAPS_MAX;
    for (const struct tm_heap_stretch *stretch = tm_heap_stretches; stretch != NULL && limit-- > 0;
         stretch = stretch->next)
        report_meta(&walk, (uintptr_t)stretch, TM_HEAP_STRETCH, "heaps");
    uintptr_t table;
    uint64_t table_bytes;
    tm_large_table(&table, &table_bytes);
    report_meta(&walk, table, table_bytes, "tables");
    report_meta(&walk, (uintptr_t)tm_chunk_valid, sizeof tm_chunk_valid, "tables");
    return walk.wrong;
}

static uint64_t touched_in_pools(void)
{
    uint64_t all = atomic_load_explicit(&tm_bytes_in_pools, memory_order_relaxed);
    uint64_t clean = atomic_load_explicit(&tm_bytes_clean_in_pools, memory_order_relaxed);
    return all > clean ? all - clean : 0;
}

uint64_t tm_census_in_use(void)
{
    return touched_in_pools() + atomic_load_explicit(&tm_bytes_in_spans, memory_order_relaxed) +
           atomic_load_explicit(&tm_bytes_in_mappings, memory_order_relaxed);
}

void tm_census_counters(struct tm_census_counters *out)
{
    *out = (struct tm_census_counters){
        .pool_bytes = touched_in_pools(),
        .span_bytes = atomic_load_explicit(&tm_bytes_in_spans, memory_order_relaxed),
        .mapping_bytes = atomic_load_explicit(&tm_bytes_in_mappings, memory_order_relaxed),
        .cached_bytes = atomic_load_explicit(&tm_cached_bytes, memory_order_relaxed) +
                        atomic_load_explicit(&tm_kept_bytes, memory_order_relaxed),
        .mapped_bytes = atomic_load_explicit(&tm_chunk_mapped_bytes, memory_order_relaxed),
        .metadata_bytes = atomic_load_explicit(&tm_heap_metadata_bytes, memory_order_relaxed),
        .purged_bytes = atomic_load_explicit(&tm_os_counters.purged_bytes, memory_order_relaxed),
        .unmapped_bytes =
            atomic_load_explicit(&tm_os_counters.unmapped_bytes, memory_order_relaxed),
        .purge_calls = atomic_load_explicit(&tm_os_counters.purge_calls, memory_order_relaxed),
        .taken_bytes = atomic_load_explicit(&tm_bytes_taken, memory_order_relaxed),
        .pools_taken = atomic_load_explicit(&tm_pools_taken, memory_order_relaxed),
        .heaps = atomic_load_explicit(&tm_heaps_in_use, memory_order_relaxed),
    };
}

/* One of the locks that a walk in the live process needs. */
static bool lock_within(struct tm_lock *lock, unsigned *tries)
{
    for (; *tries > 0; --*tries) {
        if (tm_lock_try(lock))
            return true;
        static _Atomic int nothing;
        tm_os_wait_at_most(&nothing, 0, 1000000);
    }
    return false;
}

size_t tm_census_kernel_page(void)
{
    return tm_os_page();
}

bool tm_census_lock(unsigned tries)
{
    /* In the order of fork.c. */
    if (!lock_within(&tm_large_lock, &tries))
        return false;
    if (lock_within(&tm_arena_lock, &tries))
        return true;
    tm_unlock(&tm_large_lock);
    return false;
}

void tm_census_unlock(void)
{
    tm_unlock(&tm_arena_lock);
    tm_unlock(&tm_large_lock);
}
