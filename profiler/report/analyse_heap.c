/* analyse_heap.c: see analyse_heap.h. One pass over the arenas in address order; the pools of an
 * arena are the ones whose address lies in it. Page sets are 64-bit masks, as in the file.
 */
#include "profiler/report/analyse_heap.h"

#include "allocator/census.h"

#include <stdlib.h>
#include <string.h>

enum {
    PAGE = TM_CENSUS_PAGE,
    ARENA = TM_CENSUS_ARENA,
    ARENA_PAGES = TM_CENSUS_ARENA_PAGES,
    METADATA_KINDS = 12, /* kinds listed by name before the rest is gathered */
};

/* The pages of one arena by what is on them. */
struct arena_pages {
    uint64_t base;
    uint64_t resident;
    uint64_t taken; /* spans and metadata */
    uint64_t pool;
    uint64_t live; /* pool pages with a live block */
    uint64_t free; /* in none of these, and free by the file's word */
    uint64_t live_bytes;
};

static uint64_t bytes_of(uint64_t mask)
{
    return (uint64_t)__builtin_popcountll(mask) * PAGE;
}

/* Bits first .. first + count - 1; count <= 64 - first. */
static uint64_t run_mask(unsigned first, unsigned count)
{
    return count == 0 ? 0 : (count == 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1) << first;
}

size_t tm_extent_find(const struct tm_extent *extents, size_t count, uint64_t address)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (extents[middle].end > address)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Adds an extent behind the others if it starts after their end; else counts a contradiction. */
static bool add_extent(struct tm_heap *heap, struct tm_extent *extents, size_t *count,
                       uint64_t base, uint64_t bytes, uint64_t *resident)
{
    if (*count > 0 && base < extents[*count - 1].end) {
        heap->contradictions++;
        return false;
    }
    if (*resident > bytes) {
        heap->contradictions++;
        *resident = bytes;
    }
    if (bytes > 0)
        extents[(*count)++] = (struct tm_extent){base, base + bytes, *resident};
    return true;
}

static void take_spans(const struct tm_snapshot_file *snapshot, struct tm_heap *heap)
{
    for (size_t i = 0; i < snapshot->span_count; i++) {
        const struct tm_snapshot_span *span = &snapshot->spans[i];
        uint64_t resident = span->resident_bytes;
        if (!add_extent(heap, heap->span_extents, &heap->span_extent_count, span->base, span->bytes,
                        &resident))
            continue;
        uint32_t kind = span->kind;
        if (kind >= TM_SPAN_KINDS) {
            heap->contradictions++;
            kind = TM_CENSUS_SPAN_MAPPING;
        }
        struct tm_span_use *use = &heap->spans[kind];
        use->count++;
        use->bytes += span->bytes;
        use->resident_bytes += resident;
        if (span->bytes > use->largest_bytes)
            use->largest_bytes = span->bytes;
    }
}

static struct tm_metadata_use *metadata_kind(struct tm_heap *heap, const char what[24])
{
    for (size_t i = 0; i < heap->metadata_count; i++)
        if (strncmp(heap->metadata[i].what, what, 24) == 0)
            return &heap->metadata[i];
    if (heap->metadata_count == METADATA_KINDS)
        return &heap->metadata[METADATA_KINDS - 1];
    struct tm_metadata_use *use = &heap->metadata[heap->metadata_count++];
    if (heap->metadata_count == METADATA_KINDS)
        strcpy(use->what, "other kinds");
    else
        memcpy(use->what, what, 24);
    return use;
}

static void take_metadata(const struct tm_snapshot_file *snapshot, struct tm_heap *heap)
{
    for (size_t i = 0; i < snapshot->metadata_count; i++) {
        const struct tm_snapshot_metadata *metadata = &snapshot->metadata[i];
        uint64_t resident = metadata->resident_bytes;
        if (!add_extent(heap, heap->metadata_extents, &heap->metadata_extent_count, metadata->base,
                        metadata->bytes, &resident))
            continue;
        struct tm_metadata_use *use = metadata_kind(heap, metadata->what);
        use->bytes += metadata->bytes;
        use->resident_bytes += resident;
    }
}

uint64_t tm_extent_pages(const struct tm_extent *extents, size_t count, uint64_t base)
{
    uint64_t mask = 0;
    for (size_t i = tm_extent_find(extents, count, base); i < count; i++) {
        if (extents[i].start >= base + ARENA)
            break;
        uint64_t start = extents[i].start > base ? extents[i].start - base : 0;
        uint64_t end = extents[i].end - base < ARENA ? extents[i].end - base : ARENA;
        unsigned first = (unsigned)(start / PAGE);
        mask |= run_mask(first, (unsigned)((end + PAGE - 1) / PAGE) - first);
    }
    return mask;
}

struct tm_snapshot_page tm_pool_page(const struct tm_snapshot_file *snapshot,
                                     const struct tm_snapshot_pool *pool, unsigned index,
                                     uint64_t *contradictions)
{
    const struct tm_snapshot_class *class = &snapshot->classes[pool->size_class];
    struct tm_snapshot_page page = {0, 0};
    if (pool->first_page != TM_NO_PAGES) {
        page = snapshot->pages[pool->first_page + index];
        if (page.live_bytes > PAGE || (page.live_blocks == 0) != (page.live_bytes == 0)) {
            ++*contradictions;
            page.live_bytes = page.live_bytes > PAGE ? PAGE : page.live_bytes;
        }
        return page;
    }
    if (pool->live == 0)
        return page;
    /* With all blocks live this is exact; if the file left out figures that differ, the live bytes
     * are shown as if they came first, which keeps their sum. */
    uint64_t used = (uint64_t)pool->live * class->block_bytes;
    uint64_t start = (uint64_t)index * PAGE;
    if (used <= start)
        return page;
    page.live_bytes = (uint16_t)(used - start < PAGE ? used - start : PAGE);
    page.live_blocks = 1;
    return page;
}

/* Counts a resident page with a live block by what is known of it. */
static void take_identity(struct tm_class_use *use, const struct tm_snapshot_pool *pool,
                          unsigned index, uint64_t pinned)
{
    uint32_t known = pool->identity < TM_IDENTITIES ? pool->identity : TM_IDENTITY_NONE;
    if (known == TM_IDENTITY_CHOSEN && pool->chosen_page != index)
        known = TM_IDENTITY_PASSED;
    struct tm_identity_use *identity = &use->identity[known];
    identity->pages++;
    identity->pinned_pages += pinned > 0;
    identity->pinned_bytes += pinned;
}

static void take_pool(const struct tm_snapshot_file *snapshot, struct tm_heap *heap,
                      const struct tm_snapshot_pool *pool, struct arena_pages *pages)
{
    const struct tm_snapshot_class *class = &snapshot->classes[pool->size_class];
    struct tm_class_use *use = &heap->classes[pool->size_class];
    unsigned first = (unsigned)((pool->base - pages->base) / PAGE);
    if (first + pool->pages > ARENA_PAGES) {
        heap->contradictions++;
        return;
    }
    uint64_t mask = run_mask(first, pool->pages);
    if (mask & (pages->pool | pages->taken)) {
        heap->contradictions++;
        return;
    }
    if (pool->live > class->capacity ||
        (pool->first_page == TM_NO_PAGES && pool->live != 0 && pool->live != class->capacity))
        heap->contradictions++;
    pages->pool |= mask;
    use->pools++;
    use->live_blocks += pool->live;
    use->capacity += class->capacity;
    use->binned += pool->binned;
    use->remote += pool->remote;
    uint64_t blocks = (uint64_t) class->capacity * class->block_bytes;
    uint64_t space = (uint64_t)pool->pages * PAGE;
    use->tail_bytes += blocks < space ? space - blocks : 0;
    heap->contradictions += pool->identity >= TM_IDENTITIES;
    for (unsigned i = 0; i < pool->pages; i++) {
        struct tm_snapshot_page page = tm_pool_page(snapshot, pool, i, &heap->contradictions);
        uint64_t bit = UINT64_C(1) << (first + i);
        bool resident = pages->resident & bit;
        bool live = page.live_blocks > 0 || page.live_bytes > 0;
        use->live_all_bytes += page.live_bytes;
        if (live)
            pages->live |= bit;
        if (resident && live) {
            use->live_bytes += page.live_bytes;
            use->pinned_bytes += PAGE - page.live_bytes;
            pages->live_bytes += page.live_bytes;
            take_identity(use, pool, i, PAGE - page.live_bytes);
        } else if (resident) {
            use->cached_bytes += PAGE;
        }
    }
}

static void take_fullness(struct tm_heap *heap, const struct arena_pages *pages)
{
    uint64_t resident = bytes_of(pages->resident & (pages->pool | pages->free | pages->taken));
    uint64_t live = pages->live_bytes + bytes_of(pages->resident & pages->taken);
    if (resident == 0)
        return;
    size_t step = live == 0 ? 0 : (size_t)((live * 10 + resident - 1) / resident);
    struct tm_fullness *fullness = &heap->fullness[step];
    fullness->arenas++;
    fullness->resident_bytes += resident;
    fullness->live_bytes += live;
}

/* Units up to an arena. What is neither pool nor free page is in use for another reason and blocks
 * its unit too. */
static void take_units(struct tm_heap *heap, const struct arena_pages *pages)
{
    uint64_t can_go = (pages->pool & ~pages->live) | pages->free;
    for (int i = 0; i < TM_UNITS && heap->units[i].unit_bytes <= ARENA; i++) {
        unsigned width = (unsigned)(heap->units[i].unit_bytes / PAGE);
        for (unsigned first = 0; first < ARENA_PAGES; first += width) {
            uint64_t mask = run_mask(first, width);
            if ((can_go & mask) == mask)
                heap->units[i].return_bytes += bytes_of(pages->resident & mask);
        }
    }
}

/* Units larger than an arena: whole only if every arena in them is known and can go. */
struct wide_unit {
    uint64_t base;
    uint64_t arenas; /* that can go whole, one after the other from the base */
    uint64_t bytes;
};

static void take_wide_unit(struct tm_unit_return *unit, struct wide_unit *wide,
                           const struct arena_pages *pages)
{
    uint64_t base = pages->base - pages->base % unit->unit_bytes;
    if (base != wide->base)
        *wide = (struct wide_unit){base, 0, 0};
    uint64_t can_go = (pages->pool & ~pages->live) | pages->free;
    if (~can_go != 0)
        return;
    wide->arenas++;
    wide->bytes += bytes_of(pages->resident);
    if (wide->arenas == unit->unit_bytes / ARENA)
        unit->return_bytes += wide->bytes;
}

/* All pages on the kernel's pages, each `width` of the file's, that these lie on. */
static uint64_t around(uint64_t pages, unsigned width)
{
    uint64_t all = 0;
    for (unsigned first = 0; first < ARENA_PAGES; first += width)
        all |= (pages & run_mask(first, width)) != 0 ? run_mask(first, width) : 0;
    return all;
}

/* Sorts what has no live block into what could go back and what shares a page of the kernel's with
 * something else. */
static void take_free(struct tm_heap *heap, const struct arena_pages *pages)
{
    unsigned width = (unsigned)(heap->units[0].unit_bytes / PAGE);
    uint64_t free_pool = pages->resident & pages->pool & ~pages->live;
    uint64_t free_arena = pages->resident & pages->free;
    uint64_t beside = around(~((pages->pool & ~pages->live) | pages->free), width);
    heap->cached_pool_bytes += bytes_of(free_pool & ~beside);
    heap->beside_pool_bytes += bytes_of(free_pool & beside);
    heap->cached_arena_bytes += bytes_of(free_arena & ~beside);
    heap->beside_arena_bytes += bytes_of(free_arena & beside);
    heap->floor_bytes += bytes_of(pages->resident & pages->pool & around(pages->live, width));
}

/* The sizes at which it is told what would go back. */
static void set_units(struct tm_heap *heap, uint32_t kernel_page)
{
    uint64_t page = PAGE;
    while (page < kernel_page && page < ARENA / 4)
        page *= 2;
    const uint64_t sizes[TM_UNITS] = {page, page < 64 << 10 ? 64 << 10 : 128 << 10, ARENA, 2 << 20};
    for (int i = 0; i < TM_UNITS; i++)
        heap->units[i].unit_bytes = sizes[i];
}

static void walk_arenas(const struct tm_snapshot_file *snapshot, struct tm_heap *heap)
{
    struct wide_unit wide = {UINT64_MAX, 0, 0};
    size_t at = 0;
    for (size_t i = 0; i < snapshot->arena_count; i++) {
        const struct tm_snapshot_arena *arena = &snapshot->arenas[i];
        if (i > 0 && arena->base == arena[-1].base) {
            heap->contradictions++;
            continue;
        }
        struct arena_pages pages = {.base = arena->base, .resident = arena->resident_mask};
        pages.taken =
            tm_extent_pages(heap->span_extents, heap->span_extent_count, arena->base) |
            tm_extent_pages(heap->metadata_extents, heap->metadata_extent_count, arena->base);
        for (; at < snapshot->pool_count && snapshot->pools[at].base < arena->base + ARENA; at++) {
            if (snapshot->pools[at].base < arena->base)
                heap->contradictions++; /* in no arena of the file */
            else
                take_pool(snapshot, heap, &snapshot->pools[at], &pages);
        }
        pages.free = arena->free_mask & ~pages.pool & ~pages.taken;
        if (arena->free_mask & pages.pool)
            heap->contradictions++;
        heap->counted[i] = pages.resident & (pages.pool | pages.free);
        take_free(heap, &pages);
        heap->pool_bytes += bytes_of(pages.resident & pages.pool);
        if (arena->kind != TM_CENSUS_ARENA_META && arena->kind != TM_CENSUS_ARENA_SPAN)
            take_fullness(heap, &pages);
        take_units(heap, &pages);
        take_wide_unit(&heap->units[TM_UNITS - 1], &wide, &pages);
    }
    heap->contradictions += snapshot->pool_count - at;
}

bool tm_heap_analyse(const struct tm_snapshot_file *snapshot, struct tm_heap *heap)
{
    *heap = (struct tm_heap){.classes = NULL};
    set_units(heap, snapshot->process.page_bytes);
    heap->classes = calloc(snapshot->class_count + 1, sizeof *heap->classes);
    heap->counted = calloc(snapshot->arena_count + 1, sizeof *heap->counted);
    heap->span_extents = calloc(snapshot->span_count + 1, sizeof *heap->span_extents);
    heap->metadata_extents = calloc(snapshot->metadata_count + 1, sizeof *heap->metadata_extents);
    heap->metadata = calloc(METADATA_KINDS, sizeof *heap->metadata);
    if (!heap->classes || !heap->counted || !heap->span_extents || !heap->metadata_extents ||
        !heap->metadata) {
        tm_heap_free(heap);
        return false;
    }
    for (size_t i = 0; i < snapshot->class_count; i++) {
        heap->classes[i].block_bytes = snapshot->classes[i].block_bytes;
        heap->classes[i].pool_bytes = snapshot->classes[i].pool_bytes;
    }
    take_spans(snapshot, heap);
    take_metadata(snapshot, heap);
    walk_arenas(snapshot, heap);
    for (size_t i = 0; i < snapshot->class_count; i++) {
        heap->live_pool_bytes += heap->classes[i].live_bytes;
        heap->live_pool_all_bytes += heap->classes[i].live_all_bytes;
        heap->pinned_bytes += heap->classes[i].pinned_bytes;
    }
    heap->cached_bytes = heap->cached_pool_bytes + heap->cached_arena_bytes +
                         heap->spans[TM_CENSUS_SPAN_CACHED].resident_bytes;
    return true;
}

void tm_heap_free(struct tm_heap *heap)
{
    free(heap->classes);
    free(heap->counted);
    free(heap->span_extents);
    free(heap->metadata_extents);
    free(heap->metadata);
    *heap = (struct tm_heap){.classes = NULL};
}
