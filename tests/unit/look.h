/* look.h: what the tests look at from outside: the allocator's counters, a sum over the census, and
 * which pages the kernel says are resident, which no counter of the allocator's own can embellish.
 */
#ifndef TIDEMARK_TESTS_LOOK_H
#define TIDEMARK_TESTS_LOOK_H

#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "allocator/census.h"

#define LOOK_PAGE ((size_t)TM_CENSUS_PAGE)

static inline struct tm_census_counters look_counters(void)
{
    struct tm_census_counters now;
    tm_census_counters(&now);
    return now;
}

/* To be called first where look_resident() is asked: a huge page, if the system gives them to
 * everybody, makes pages resident that nobody touched. (An emulator may not know the call.) */
static inline void look_at_small_pages(void)
{
    if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0)
        return;
    char text[64] = "";
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    if (file != NULL && fgets(text, sizeof text, file) == NULL)
        text[0] = '\0';
    if (file != NULL)
        fclose(file);
    if (strstr(text, "[always]") != NULL)
        skip();
}

/* Resident pages of a stretch; those of it that are not mapped count as not resident. */
static inline size_t look_resident(const void *address, size_t bytes)
{
    size_t count = 0;
    for (size_t offset = 0; offset < bytes; offset += LOOK_PAGE) {
        unsigned char state = 0;
        if (mincore((char *)(uintptr_t)address + offset, LOOK_PAGE, &state) == 0)
            count += state & 1;
    }
    return count;
}

/* Sums over the census. */
struct look {
    uint64_t live, live_bytes; /* blocks in pools that the program has */
    uint64_t binned, remote;   /* free blocks in bins, and handed back by other threads */
    uint64_t pools;            /* how many there are */
    /* Resident pages of pools in which no live block has a byte; those into which a block reaches
     * that starts in a page with live ones are counted apart. */
    uint64_t empty_resident, empty_behind_live;
    uint64_t spans,
        mappings; /* bytes of large live blocks in chunks, and with a mapping of their own */
    uint64_t kept_count, kept; /* freed mappings that are kept, and their bytes */
};

static inline void look_at_pool(const struct tm_census_pool *pool, void *context)
{
    struct look *look = context;
    look->pools++;
    look->live += pool->live;
    look->live_bytes += (uint64_t)pool->live * tm_census_class_at(pool->size_class).block_bytes;
    look->binned += pool->binned;
    look->remote += pool->remote;
    uint32_t size = tm_census_class_at(pool->size_class).block_bytes;
    for (uint32_t page = 0; page < pool->pages; page++) {
        if (pool->live_blocks[page] != 0 ||
            look_resident((char *)pool->base + page * LOOK_PAGE, LOOK_PAGE) == 0)
            continue;
        /* The page in which the block starts that has this one's first byte. */
        uint32_t start = page * TM_CENSUS_PAGE / size * size / TM_CENSUS_PAGE;
        if (pool->live_blocks[start] != 0)
            look->empty_behind_live++;
        else
            look->empty_resident++;
    }
}

static inline void look_at_span(const struct tm_census_span *span, void *context)
{
    struct look *look = context;
    if (span->kind == TM_CENSUS_SPAN_CACHED) {
        look->kept_count++;
        look->kept += span->bytes;
    } else if (span->kind == TM_CENSUS_SPAN_MAPPING) {
        look->mappings += span->bytes;
    } else {
        look->spans += span->bytes;
    }
}

/* The walk finds nothing that contradicts itself. */
static inline struct look look_around(void)
{
    struct look look = {0};
    struct tm_census_visitor visitor = {.pool = look_at_pool, .span = look_at_span};
    assert_int_equal(tm_census_walk(&visitor, &look), 0);
    return look;
}

static inline bool all_bytes(const void *block, int value, size_t size)
{
    const char *bytes = block;
    return size == 0 || (bytes[0] == (char)value && memcmp(bytes, bytes + 1, size - 1) == 0);
}

#endif
