/* held.c: see held.h. What it keeps while it walks comes from mmap (spool.h): in the copy of the
 * process it is the copy's own.
 */
#include "profiler/record/held.h"

#include "profiler/record/cells.h"
#include "profiler/record/frames.h"
#include "profiler/record/site_sums.h"
#include "profiler/record/sites.h"
#include "profiler/record/spool.h"
#include "profiler/record/tally.h"
#include "profiler/record/writer.h"

#include <string.h>

enum {
    PAGE = TM_CENSUS_PAGE,
    PAGES = TM_CENSUS_POOL_PAGES,
    PAGE_BLOCKS = PAGE / 16 + 1, /* blocks that may reach into a page */
};

static struct tm_snapshot_recording recording;
static bool complete; /* every block's site is known; else those of chosen pools */

/* What is written of it: one record for each site, size class and group; for each set of sites,
 * class and group. */
static struct tm_tally held, sets;
static struct tm_spool members;
static struct tm_spool page_sets; /* by page, in the order of PAGES */

bool tm_held_start(void)
{
    if (tm_sites() == NULL)
        return false;
    memset(&recording, 0, sizeof recording);
    tm_sites_describe(&recording);
    complete = recording.identity_one_in == 1;
    return tm_site_sums_start(&recording);
}

/* The blocks of the pool that is being looked at that reach into each page, by the number of their
 * site. */
static struct {
    uint32_t sites[PAGE_BLOCKS];
    uint32_t count;
} pages[PAGES];

static unsigned group_of(const struct tm_census_pool *pool)
{
    uint64_t hash = (pool->base >> 16) * UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned)((hash >> 32) % recording.identity_groups);
}

/* The site of a block, if its pool is one whose blocks' sites are known. */
static uint32_t site_of_block(uint64_t cell, bool chosen)
{
    uint32_t site = chosen || (cell & TM_CELL_EXACT) != 0 ? tm_cell_site(cell) : TM_SITE_UNKNOWN;
    return site < recording.site_count ? site : TM_SITE_UNKNOWN;
}

static void enter_page(uint32_t page, uint32_t site)
{
    if (pages[page].count < PAGE_BLOCKS)
        pages[page].sites[pages[page].count++] = site;
}

static struct tm_snapshot_held *held_by(const struct tm_census_pool *pool, unsigned group,
                                        uint32_t site)
{
    struct tm_snapshot_held wanted = {
        .site = site, .size_class = (uint16_t)pool->size_class, .group = (uint16_t)group};
    uint64_t key = (uint64_t)site << 32 | (uint64_t)pool->size_class << 16 | group;
    return tm_tally_find(&held, key, NULL, NULL, &wanted, sizeof wanted);
}

/* Charges the free bytes of a page to the blocks on it, all the same; what remains to the first
 * ones. */
static void charge(const struct tm_census_pool *pool, unsigned group, const uint32_t *sites,
                   uint32_t count, uint64_t free_bytes)
{
    uint64_t each = free_bytes / count, remainder = free_bytes % count;
    for (uint32_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && sites[end] == sites[i];)
            end++;
        struct tm_snapshot_held *record = held_by(pool, group, sites[i]);
        if (record == NULL)
            return;
        uint64_t first = i < remainder ? (end < remainder ? end : remainder) - i : 0;
        record->share_bytes += each * (end - i) + first;
        record->blocks += end - i;
    }
}

static void sort(uint32_t *numbers, uint32_t count)
{
    for (uint32_t gap = count / 2; gap > 0; gap /= 2)
        for (uint32_t i = gap; i < count; i++)
            for (uint32_t j = i; j >= gap && numbers[j - gap] > numbers[j]; j -= gap) {
                uint32_t number = numbers[j];
                numbers[j] = numbers[j - gap];
                numbers[j - gap] = number;
            }
}

struct wanted_set {
    const uint32_t *sites;
    uint32_t count;
    unsigned size_class, group;
};

static bool is_set(const void *record, const void *context)
{
    const struct tm_snapshot_set *set = record;
    const struct wanted_set *wanted = context;
    const uint32_t *listed = (const uint32_t *)(const void *)members.base + set->first_member;
    return set->size_class == wanted->size_class && set->group == wanted->group &&
           set->members == wanted->count &&
           (wanted->count == TM_SET_MANY ||
            memcmp(listed, wanted->sites, wanted->count * sizeof *listed) == 0);
}

/* The page's blocks are all of these sites, sorted, each once. page: its index in PAGES, or
 * TM_NO_PAGES. */
static void count_set(struct wanted_set wanted, uint64_t free_bytes, uint32_t page)
{
    /* Records tell where in it their members are. */
    if (members.error != 0)
        return;
    if (wanted.count > TM_SET_MEMBERS)
        wanted.count = TM_SET_MANY;
    uint64_t key = (uint64_t)wanted.size_class << 16 | wanted.group;
    for (uint32_t i = 0; wanted.count != TM_SET_MANY && i < wanted.count; i++)
        key = (key ^ wanted.sites[i]) * UINT64_C(0x9e3779b97f4a7c15);
    struct tm_snapshot_set fresh = {
        .first_member = (uint32_t)(members.used / sizeof(uint32_t)),
        .members = wanted.count,
        .size_class = (uint16_t)wanted.size_class,
        .group = (uint16_t)wanted.group,
    };
    struct tm_snapshot_set *set = tm_tally_find(&sets, key, is_set, &wanted, &fresh, sizeof fresh);
    if (set == NULL)
        return;
    if (set->pages == 0 && wanted.count != TM_SET_MANY)
        tm_spool_add(&members, wanted.sites, wanted.count * sizeof *wanted.sites);
    set->pages++;
    set->resident_bytes += PAGE;
    set->held_bytes += free_bytes;
    struct tm_snapshot_page_set record = {
        .page = page,
        .set = (uint32_t)(set - (const struct tm_snapshot_set *)(const void *)sets.records.base)};
    if (free_bytes != 0 && page != TM_NO_PAGES)
        tm_spool_add(&page_sets, &record, sizeof record);
}

static void close_page(const struct tm_census_pool *pool, unsigned number, unsigned group,
                       uint32_t first_page)
{
    uint32_t count = pages[number].count;
    uint32_t *sites = pages[number].sites;
    uint64_t free_bytes = PAGE - pool->live_bytes[number];
    if (free_bytes != 0)
        charge(pool, group, sites, count, free_bytes);
    sort(sites, count);
    uint32_t different = 0;
    for (uint32_t i = 0; i < count; i++)
        if (different == 0 || sites[different - 1] != sites[i])
            sites[different++] = sites[i];
    for (uint32_t i = 0; i < different && free_bytes != 0; i++) {
        struct tm_snapshot_held *record = held_by(pool, group, sites[i]);
        if (record != NULL)
            record->pages++;
    }
    count_set((struct wanted_set){sites, different, pool->size_class, group}, free_bytes,
              first_page == TM_NO_PAGES ? TM_NO_PAGES : first_page + number);
}

void tm_held_pool(const struct tm_census_pool *pool, uint16_t resident, uint32_t first_page)
{
    uint32_t size = tm_census_class_at(pool->size_class).block_bytes;
    bool chosen = pool->identity == TM_IDENTITY_CHOSEN;
    bool charged = complete || chosen;
    if (pool->cells == NULL && !charged)
        return;
    uint16_t charged_pages = 0;
    if (complete)
        charged_pages = UINT16_MAX;
    else if (charged)
        charged_pages = (uint16_t)(1u << pool->chosen_page);
    for (unsigned page = 0; page < PAGES; page++)
        pages[page].count = 0;
    for (uint32_t i = 0; i < pool->capacity; i++) {
        if (pool->free_blocks[i / 64] >> (i % 64) & 1)
            continue;
        uint64_t cell = pool->cells == NULL
                            ? 0
                            : __atomic_load_n((const uint64_t *)&pool->cells[i], __ATOMIC_RELAXED);
        if ((cell & TM_CELL_COUNTED) != 0)
            tm_site_sums_block(cell, size);
        for (uint32_t page = i * size / PAGE; page <= ((i + 1) * size - 1) / PAGE; page++)
            if ((charged_pages >> page & 1) != 0)
                enter_page(page, site_of_block(cell, chosen));
    }
    for (unsigned page = 0; page < pool->pages; page++)
        if (pages[page].count != 0 && (resident >> page & 1) != 0)
            close_page(pool, page, group_of(pool), first_page);
}

void tm_held_span(const struct tm_census_span *span, uint64_t resident_bytes)
{
    if ((span->cell & TM_CELL_COUNTED) != 0)
        tm_site_sums_span(span->cell, span->bytes, resident_bytes);
}

int tm_held_error(void)
{
    return held.records.error != 0   ? held.records.error
           : sets.records.error != 0 ? sets.records.error
           : page_sets.error != 0    ? page_sets.error
                                     : members.error;
}

static void write_frames(void)
{
    static struct tm_spool spool;
    const struct tm_frame *frames = tm_frames();
    for (uint32_t i = 0; i < recording.frame_count; i++) {
        struct tm_snapshot_frame record = {frames[i].ip, frames[i].parent, frames[i].flags};
        tm_spool_add(&spool, &record, sizeof record);
    }
    tm_writer_fail(spool.error);
    tm_writer_section(TM_TAG_FRAMES, sizeof(struct tm_snapshot_frame), spool.base, spool.used);
    tm_spool_free(&spool);
}

void tm_held_write(uint64_t memory_bytes)
{
    recording.memory_bytes = memory_bytes;
    tm_writer_section(TM_TAG_RECORDING, sizeof recording, &recording, sizeof recording);
    write_frames();
    tm_site_sums_write();
    tm_writer_section(TM_TAG_HELD, sizeof(struct tm_snapshot_held), held.records.base,
                      held.records.used);
    tm_writer_section(TM_TAG_SETS, sizeof(struct tm_snapshot_set), sets.records.base,
                      sets.records.used);
    tm_writer_section(TM_TAG_MEMBERS, sizeof(uint32_t), members.base, members.used);
    tm_writer_section(TM_TAG_PAGE_SETS, sizeof(struct tm_snapshot_page_set), page_sets.base,
                      page_sets.used);
    tm_held_free();
}

void tm_held_free(void)
{
    tm_tally_free(&held);
    tm_tally_free(&sets);
    tm_spool_free(&members);
    tm_spool_free(&page_sets);
    tm_site_sums_free();
}
