/* span.c: see span.h. */
#include "allocator/span.h"

#include <string.h>

#include "allocator/arena.h"
#include "allocator/full.h"
#include "allocator/guarded.h"
#include "allocator/large.h"

static size_t pages_for(size_t size)
{
    return (size + TM_PAGE - 1) >> TM_PAGE_SHIFT;
}

/* Clears the pages of `dirty`, bit i being the page at base + i pages. */
static void clear_dirty(char *base, uint64_t dirty)
{
    for (; dirty != 0; dirty &= dirty - 1)
        memset(base + (size_t)__builtin_ctzll(dirty) * TM_PAGE, 0, TM_PAGE);
}

static void *take_run(unsigned pages, size_t alignment, bool zero)
{
    uint64_t dirty;
    char *base = tm_arena_take_run(pages, alignment, &dirty);
    if (base != NULL && zero)
        clear_dirty(base, dirty);
    return base;
}

static void *take_arenas(size_t pages, size_t alignment, bool zero)
{
    uint64_t dirty[TM_SPAN_ARENAS];
    char *base = tm_arena_take_span(pages, alignment, dirty);
    if (base == NULL || !zero)
        return base;
    size_t arenas = (pages + TM_ARENA_PAGES - 1) / TM_ARENA_PAGES;
    for (size_t i = 0; i < arenas; i++)
        clear_dirty(base + i * TM_ARENA, dirty[i]);
    return base;
}

void *tm_span_take(size_t size, size_t alignment, bool zero)
{
    if (tm_unlikely(tm_full))
        return tm_guarded_take(size, alignment);
    void *base = NULL;
    size_t pages = pages_for(size);
    if (pages <= TM_ARENA_PAGES && alignment <= TM_ARENA)
        base = take_run((unsigned)pages, alignment, zero);
    else if (size <= TM_SPAN_MAX && alignment <= TM_SPAN_MAX)
        base = take_arenas(pages, alignment, zero);
    /* A mapping is exact: it may still fit where no chunk does. */
    if (base == NULL)
        base = tm_large_take(size, alignment, zero);
    return base;
}

size_t tm_span_bytes(const void *address)
{
    if (!tm_in_arena(address))
        return tm_large_bytes(address);
    size_t pages = tm_arena_run_pages(address);
    return (pages != 0 ? pages : tm_arena_span_pages(address)) * TM_PAGE;
}

bool tm_span_give(void *address)
{
    if (!tm_in_arena(address))
        return (tm_full && tm_guarded_give(address)) || tm_large_give(address);
    if (tm_arena_run_pages(address) != 0)
        return tm_arena_give_run(address);
    return tm_arena_span_pages(address) != 0 && tm_arena_give_span(address);
}

void *tm_span_resize(void *address, size_t size)
{
    if (tm_unlikely(tm_full))
        return NULL;
    if (!tm_in_arena(address))
        return size > TM_SPAN_MAX / 2 ? tm_large_resize(address, size) : NULL;
    size_t pages = pages_for(size);
    uint64_t dirty[TM_SPAN_ARENAS];
    bool fits = false;
    if (tm_arena_run_pages(address) != 0)
        fits = pages <= TM_ARENA_PAGES && tm_arena_resize_run(address, (unsigned)pages, dirty);
    else if (tm_arena_span_pages(address) != 0)
        fits = pages <= TM_SPAN_MAX / TM_PAGE && tm_arena_resize_span(address, pages, dirty);
    return fits ? address : NULL;
}
